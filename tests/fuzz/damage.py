"""Damage: what disks, transfers and attackers do to the bytes of a file."""

from hypothesis import strategies as st

# Lengths, offsets and types that readers trust: 0, 1, the largest of 1, 2, 4 and 8 bytes, negative
# numbers, and sizes that no memory holds.
_NUMBERS = [0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
_TEXTS = [b"-1", b"1e999", b"nan", b"null", b"[]", b"{}", b'""', b"\x00", b"\xff\xfe", b"[" * 2000]


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """A damaged copy of a file's content: one to three of the kinds below."""
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(KINDS))(draw, content)
    return content


def _place(draw, content):
    """Any byte; as often one of the first or last, where formats keep what they are."""
    size = max(len(content) - 1, 0)
    near = draw(st.sampled_from([None, 512, -512]))
    if near is None:
        return draw(st.integers(0, size))
    low, high = (0, min(size, near)) if near > 0 else (max(0, size + near), size)
    return draw(st.integers(low, high))


def _flipped(draw, content):
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        if changed:
            changed[_place(draw, content)] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def _truncated(draw, content):
    return content[: draw(st.integers(0, max(len(content) - 1, 0)))]


def _spliced(draw, content):
    """A chunk of the file in place of another, before another, or left out."""
    length = draw(st.integers(1, 4096))
    at, source = _place(draw, content), _place(draw, content)
    chunk = draw(st.sampled_from([content[source : source + length], b""]))
    kept = draw(st.sampled_from([0, length]))
    return content[:at] + chunk + content[at + kept :]


def _number(draw, content):
    size, value = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(_NUMBERS))
    order = draw(st.sampled_from(["little", "big"]))
    at = _place(draw, content)
    number = (value % 2 ** (8 * size)).to_bytes(size, order)
    return content[:at] + number + content[at + size :]


def _text(draw, content):
    at, text = _place(draw, content), draw(st.sampled_from(_TEXTS))
    return content[:at] + text + content[at + draw(st.sampled_from([0, 1, len(text)])) :]


def _overwritten(draw, content):
    at, length = _place(draw, content), draw(st.integers(1, 64))
    fill = draw(st.sampled_from([b"\x00", b"\xff"])) * length
    return content[:at] + draw(st.one_of(st.just(fill), st.binary(max_size=64))) + content[at:][64:]


KINDS = [_flipped, _flipped, _truncated, _spliced, _number, _number, _text, _overwritten]
