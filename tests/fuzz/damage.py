"""Damage: what disks, transfers and attackers do to the bytes of a file."""

import io
import random
import zipfile

from hypothesis import strategies as st

# Lengths, offsets and types that readers trust: 0, 1, the largest of 1, 2, 4 and 8 bytes, negative
# numbers, and sizes that no memory holds.
_NUMBERS = [0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
_TEXTS = [b"-1", b"1e999", b"nan", b"null", b"[]", b"{}", b'""', b"\x00", b"\xff\xfe", b"[" * 2000]
_MAGIC = 8  # bytes at the beginning that tell the format; without them hardly anything is read


SEEDS = st.integers(0, 2**63)  # of damage: places are to be drawn evenly


def damaged(seed: int, content: bytes) -> bytes:
    """A damaged copy of a file's content."""
    return _damaged(random.Random(seed), content)


def damaged_member(seed: int, content: bytes) -> bytes:
    """A zip file of which one member is damaged, with checksums that are right."""
    draw, target = random.Random(seed), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as file, zipfile.ZipFile(target, "w") as changed:
        names = file.namelist()
        worse = draw.choice(names)
        for name in names:
            member = file.read(name)
            changed.writestr(name, _damaged(draw, member) if name == worse else member)
    return target.getvalue()


def _damaged(draw, content):
    changed = content
    while changed == content:
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            changed = draw.choice(_KINDS)(draw, changed)
    return changed


def _place(draw, content):
    """Any byte; often one of the first or last, where formats keep what they are."""
    size = len(content)
    low, high = draw.choice([(_MAGIC, size), (_MAGIC, size), (_MAGIC, 512), (size - 512, size)])
    if draw.random() < 0.02:
        low = 0
    low, high = min(max(low, 0), size), min(high, size)
    return draw.randrange(low, high) if low < high else 0


def _flipped(draw, content):
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        if changed:
            changed[_place(draw, content)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncated(draw, content):
    return content[: draw.randrange(len(content) or 1)]


def _spliced(draw, content):
    """A chunk of the file in place of another, before another, or left out."""
    length = draw.choice([1, 8, 64, 512, 4096])
    at, source = _place(draw, content), _place(draw, content)
    chunk = draw.choice([content[source : source + length], b""])
    return content[:at] + chunk + content[at + draw.choice([0, length]) :]


def _exchanged(draw, content):
    """A chunk of the file in place of another of the same length."""
    length = draw.choice([1, 4, 8, 64, 512])
    at, source = _place(draw, content), _place(draw, content)
    chunk = content[source : source + length]
    return content[:at] + chunk + content[at + len(chunk) :]


def _number(draw, content):
    size, order = draw.choice([1, 2, 4, 8]), draw.choice(["little", "big"])
    at = _place(draw, content) // size * size
    number = (draw.choice(_NUMBERS) % 2 ** (8 * size)).to_bytes(size, order)
    return content[:at] + number + content[at + size :]


def _text(draw, content):
    at, text = _place(draw, content), draw.choice(_TEXTS)
    return content[:at] + text + content[at + draw.choice([0, 1, len(text)]) :]


def _overwritten(draw, content):
    at, length = _place(draw, content), draw.randrange(1, 64)
    fill = draw.choice([b"\x00" * length, b"\xff" * length, draw.randbytes(length)])
    return content[:at] + fill + content[at + length :]


_KINDS = [*[_flipped, _number, _exchanged] * 3, _truncated, _spliced, _text, _overwritten]
