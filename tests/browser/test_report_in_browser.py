import re

import pytest

SVG = "[data-figure] > svg"
VISIBLE = "[data-figure]:visible"


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_is_wider_than_the_window(visit, comparison, width):
    visited = visit(comparison, width)
    for section in visited.page.locator("main > section[id]").all():
        section.scroll_into_view_if_needed()
    assert visited.page.evaluate("document.documentElement.scrollWidth") == width
    wide = visited.page.evaluate(
        """width => Array.from(document.querySelectorAll("[data-figure], p, h2, .tabs"))
            .filter(e => e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML)""",
        width,
    )
    assert wide == []


@pytest.mark.parametrize("width", [1280, 360])
def test_the_verdict_is_on_the_first_screen(visit, comparison, width):
    visited = visit(comparison, width)
    box = visited.page.locator("#verdict h2").bounding_box()
    assert box["y"] > 0
    assert box["y"] + box["height"] < 800


def test_figures_are_drawn_when_they_are_first_seen(visit, comparison):
    visited = visit(comparison)
    first, most = visited.count(SVG), visited.count("[data-figure]")
    assert first < most / 3
    last = visited.page.locator("#weights [data-figure]").first
    assert last.locator("svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator("svg").wait_for()
    before = last.bounding_box()
    assert last.locator("svg").bounding_box() == pytest.approx(before, abs=1)


def test_every_reference_of_a_figure_is_drawn(visit, comparison):
    visited = visit(comparison)
    visited.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    missing = visited.page.evaluate(
        """() => Array.from(document.querySelectorAll("[data-figure] use"))
            .map(use => use.getAttribute("href"))
            .filter(name => !document.getElementById(name.slice(1)))"""
    )
    assert missing == []
    sizes = visited.page.evaluate(
        """() => Array.from(document.querySelectorAll("#observables use"))
            .filter(use => use.closest(".block").offsetParent)
            .map(use => use.getBoundingClientRect().width)"""
    )
    assert len(sizes) > 100
    assert min(sizes) > 0


def test_buttons_choose_the_observable_of_all_sections(visit, comparison):
    visited = visit(comparison)
    page = visited.page
    assert visited.count(".block[data-observable=q2]:visible") > 0
    assert visited.count(".block[data-observable=jet_tau21]:visible") == 0
    page.locator("#observables [data-show=jet_tau21]").click()
    assert visited.count(".block[data-observable=q2]:visible") == 0
    assert page.locator("#convergence .block[data-observable=jet_tau21]").is_visible()
    assert page.locator("#observable").input_value() == "jet_tau21"
    page.locator("#observables .block:visible svg").first.wait_for()
    page.locator("#observable").select_option("*")
    assert visited.count("#observables .block:visible") == 2
    heat = page.locator("[data-tabs=heat] button").nth(1)
    heat.click()
    assert heat.get_attribute("aria-pressed") == "true"
    assert visited.count(".heat:visible") == 1


def _marker(page):
    """Box of a figure, and a place in the window where a point of a method is."""
    box = page.locator(f"#observables {VISIBLE}").nth(1)
    box.scroll_into_view_if_needed()
    box.locator("svg").wait_for()
    place = box.locator("g > use").nth(4).bounding_box()
    return box, place["x"] + place["width"] / 2, place["y"] + place["height"] / 2


def test_a_point_tells_its_numbers_to_the_pointer(visit, comparison):
    page = visit(comparison).page
    _, x, y = _marker(page)
    page.mouse.move(x, y)
    lines = page.locator("#tip > *").all_inner_texts()
    assert lines[0] == "none"
    assert re.fullmatch(r"Q² [\d.]+ to [\d.]+ GeV²", lines[1])
    assert re.fullmatch(r"0\.\d+\u00a0±\u00a00\.\d+", lines[2])
    ring = page.locator("#ring").bounding_box()
    assert ring["x"] + ring["width"] / 2 == pytest.approx(x, abs=2)
    assert ring["y"] + ring["height"] / 2 == pytest.approx(y, abs=2)
    page.mouse.move(3, 3)
    assert not page.locator("#tip").is_visible()


def test_a_point_tells_its_numbers_to_a_finger_on_a_narrow_screen(visit, comparison):
    page = visit(comparison, 360).page
    _, x, y = _marker(page)
    page.evaluate(
        """([x, y]) => document.elementFromPoint(x, y).dispatchEvent(new PointerEvent(
            "pointerdown", {clientX: x, clientY: y, bubbles: true, pointerType: "touch"}))""",
        [x, y],
    )
    tip = page.locator("#tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 360


def test_points_are_walked_through_by_keys(visit, comparison):
    page = visit(comparison).page
    box, *_ = _marker(page)
    box.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator("#tip").inner_text()
    assert first.splitlines()[0] == second.splitlines()[0] == "none"
    assert first != second
    page.keyboard.press("ArrowDown")
    assert page.locator("#tip").inner_text().startswith("parallel")
    assert page.locator("#tip").get_attribute("role") == "status"
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_print_has_everything_and_leaves_the_page_as_it_was(visit, measurement):
    visited = visit(measurement)
    folded = visited.count("details:not([open])")
    assert folded > 5
    pdf = visited.page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF")
    assert visited.count(SVG) == visited.count("[data-figure]")
    assert visited.count("details:not([open])") == folded
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    boxes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert 3 <= sheets <= 25
    for box in boxes:  # A4
        assert [float(n) for n in box] == pytest.approx([595, 842], abs=1)


def test_a_measurement_folds_what_compares_methods(visit, measurement, comparison):
    visited = visit(measurement)
    page = visited.page
    for name in ("losses", "timing", "weights", "networks"):
        assert not page.locator(f"#{name} > details").evaluate("e => e.open")
    page.locator(".bar a[href='#losses']").click()
    page.locator("#losses svg").first.wait_for()
    assert page.locator("#observables svg").first.is_visible()
    other = visit(comparison)
    assert other.count("details.fold:not([open])") == 0


def test_without_script_the_reader_is_told(chromium, comparison):
    page = chromium.new_page(java_script_enabled=False)
    page.goto(comparison.as_uri())
    assert "They are drawn by the script" in page.locator("noscript").inner_text()
    assert page.locator("#summary table").first.is_visible()
    page.close()


def test_ten_methods_and_nine_observables_stay_light(visit, large):
    assert large.stat().st_size < 8e6 * 9 / 10
    visited = visit(large)
    assert visited.count("[data-figure]") > 150
    assert visited.count(SVG) < 20
