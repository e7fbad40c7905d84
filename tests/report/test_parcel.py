import base64
import gzip
import json
import re

from omniflow.report import parcel
from omniflow.report.svg import Drawing

SHARED = {"d1": '<path id="d1" d="M 0 0"></path>', "d2": '<g id="d2" ><use href="#d1"/></g>'}
POINTS = [("<a> & b", "#000000", [(1.0, 2.0, "1 to 2", '"3"')])]


def page(*titles):
    figures = [
        parcel.figure(Drawing(310.0, 295.5, SHARED, f'<use href="#d2"/>{n}'), POINTS, title)
        for n, title in enumerate(titles)
    ]
    return parcel.pack(f"<p>{'</p><p>'.join(figures)}</p>{parcel.MARK}")


def unpacked(text):
    packed = re.search(r'id="figures">(.*?)</script>', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_figures_move_into_the_parcel_in_their_order():
    text = page("one", "two")
    found = unpacked(text)
    assert [elements for elements, _ in found["figures"]] == [
        '<use href="#d2"/>0',
        '<use href="#d2"/>1',
    ]
    assert re.findall(
        r'<div role="img" tabindex="0" data-figure="(\d)" aria-label="(\w+)"', text
    ) == [
        ("0", "one"),
        ("1", "two"),
    ]
    assert 'data-box="0 0 310 295.5"' in text
    assert "<svg" not in text
    assert parcel.MARK not in text


def test_what_figures_share_is_kept_once():
    assert unpacked(page("one", "two"))["shared"] == "".join(SHARED.values())


def test_numbers_of_points_come_through_as_they_are():
    found = unpacked(page("one"))["figures"][0][1]
    assert found == json.loads(json.dumps(POINTS))


def test_hostile_titles_are_escaped():
    text = page('"><script>alert(1)</script>')
    assert "<script>alert" not in text
    assert 'aria-label="&quot;&gt;&lt;script&gt;' in text


def test_the_same_page_gives_the_same_parcel():
    assert page("one", "two") == page("one", "two")
