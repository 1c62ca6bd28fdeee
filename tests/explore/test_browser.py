"""The pages in a real browser: reached by keyboard, readable by all, quiet on the network, and true to the digit."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import Tab, browser, missing, open_file, open_tab
from every_page import PAGES, look_at_all, violations
from ledgers_in_page import differences, number
from PIL import Image
from serving import NETWORK, Served, end, start

from rot180.explore import open_subject, write_lesson
from rot180.explore.lesson import PAGES as LESSON
from rot180.inside import BUGS, products
from rot180.inside.explain import Trace
from rot180.runs.replay import weights_sha256
from rot180.runs.train_run import RunSettings, train_run

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def tab(chromium: Any, served: Served) -> Tab:
    return open_tab(chromium, served)


def test_the_printed_ledgers_are_those_of_the_network_and_add_up(tab: Tab) -> None:
    assert differences(tab, open_subject(NETWORK), 14) == []
    assert tab.faults == []


def test_turning_round_reverses_the_kernel_by_keyboard_alone(tab: Tab) -> None:
    tab.go("microscope", "image=5&layer=conv1&cell=3,3,1")
    tab.ledger("conv1.output[3,3,1]")
    page = tab.page

    def orders() -> list[list[str]]:
        found: list[list[str]] = page.evaluate(
            "[...document.querySelectorAll('.panels figure:not(.primary) svg')].map((map) => "
            "[...map.querySelectorAll('text')].map((text) => [+text.getAttribute('y'), +text.getAttribute('x'), "
            "text.textContent]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((one) => one[2]))"
        )
        return found

    forward = list("123456789")
    assert orders() == [forward, forward]
    page.locator("#image").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('figure.primary') !== null"):
            break
    page.keyboard.press("ArrowRight")
    tab.ledger("conv1.output[3,4,1]")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.includes('3%2C4%2C1')")
    page.keyboard.press("b")
    tab.ledger("conv1.input.grad[3,4,0]")
    page.wait_for_function("() => document.querySelectorAll('.panels figure:not(.primary) svg text').length === 18")
    assert orders() == [forward, forward[::-1]]
    page.keyboard.press("b")
    tab.ledger("conv1.output[3,4,1]")


def test_the_three_products_are_brushed_together_by_keyboard_and_folding_adds_up(tab: Tab) -> None:
    page = tab.page
    tab.go("products", "image=5&layer=conv1&at=27,4,1")
    model = open_subject(NETWORK, data="digits")
    found = products(Trace(model.model, np.asarray(model.images[5]), int(model.labels[5])), 0)

    def read() -> tuple[list[float], float, list[Fraction]]:
        """The three sums that the page has added up, and the sum of the copies with its entries."""
        sums = page.locator(".product > p").all_text_contents()
        totals = [float(text.split("added up by this page ")[1].split(",")[0].replace("−", "-")) for text in sums]
        rows = [number(text) for text in page.locator(".fold tbody td.n").all_text_contents()]
        return totals, number(page.locator(".fold tr.sum td.n").text_content()), rows

    def hold(p: int, k: int, f: int) -> None:
        totals, folded, copies = read()
        assert totals == pytest.approx([found.y_col[p, f], found.dw_col[k, f], found.dx_col[p, k]], rel=1e-4, abs=1e-6)
        pixel = found.places[p, k]
        assert page.locator(".fold tbody tr:not([data-rest])").count() == (found.places == pixel).sum()
        assert sum(copies) == folded
        assert float(folded) == pytest.approx(found.folded.ravel()[pixel], rel=1e-4, abs=1e-7)

    hold(27, 4, 1)
    page.locator(".product").nth(0).locator("figure").nth(1).locator(".cell").focus()  # x_col
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    hold(28, 5, 1)
    page.locator(".product").nth(1).locator("figure").nth(0).locator(".cell").focus()  # dw_col
    page.keyboard.press("ArrowRight")
    hold(28, 5, 2)
    assert "at=28%2C5%2C2" in page.url
    chosen = "[...document.querySelectorAll('.product .cell')].map((cell) => cell.textContent.split(':')[0])"
    assert len(set(page.evaluate(chosen))) > 3
    assert tab.faults == []


def test_a_source_leads_to_its_own_ledger_and_a_click_on_a_map_turns_round(tab: Tab) -> None:
    tab.go("microscope", "image=5&layer=conv1&cell=3,3,1")
    tab.ledger("conv1.output[3,3,1]")
    tab.page.get_by_role("button", name="conv1.weight[0,0,0,1]").click()
    tab.ledger("conv1.weight.grad[0,0,0,1]")
    tab.go("microscope", "image=5&layer=conv1&cell=3,3,1")
    tab.ledger("conv1.output[3,3,1]")
    box = tab.page.locator(".panels figure .map").first.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 4.5 / 8)
    tab.ledger("conv1.input.grad[4,2,0]")


def test_training_runs_and_pauses_and_the_microscope_tells_that_it_is_older(tab: Tab) -> None:
    page = tab.page
    tab.go("train")
    page.get_by_role("button", name="One step").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent === 'paused'", timeout=60_000)
    page.get_by_role("button", name="Part of a step").click()
    page.get_by_text("images went forward").wait_for()
    page.get_by_role("button", name="Part of a step").click()
    page.get_by_text("went back through the network").wait_for()
    tab.go("microscope", "image=5")
    page.wait_for_selector(".ledger .value")
    assert page.locator(".notice").is_hidden()
    tab.go("train")
    page.get_by_role("button", name="One step").click()
    page.wait_for_function("() => document.querySelector('.tiles div:nth-child(2) dd').textContent === '2'")
    page.get_by_role("button", name="Start over").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent === 'not in training'")
    assert tab.faults == []


def test_the_biography_of_a_weight_is_scrubbed_and_its_pulls_add_up(tab: Tab) -> None:
    page = tab.page
    tab.go("")
    tab.go("train")
    for steps in range(1, 4):
        page.get_by_role("button", name="One step").click()
        page.wait_for_function(
            "n => document.querySelector('.tiles div:nth-child(2) dd').textContent === n",
            arg=str(steps),
            timeout=60_000,
        )
    tab.go("microscope", "image=5&layer=conv1&view=weight&cell=0,1,0,2")
    page.get_by_role("link", name="Biography of conv1.weight[0,1,0,2]").click()
    page.get_by_text("Update 3").first.wait_for()  # the last one whose batch is known
    assert page.locator(".pull").count() == 32
    pulls = page.locator(".pulls + p").text_content()
    assert float(pulls.split("left over ")[1].replace("−", "-")) == pytest.approx(0, abs=1e-7)
    page.locator("#moment").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Update 2").first.wait_for()
    before, after = page.locator("section.fold tr").nth(-2), page.locator("section.fold tr").nth(-1)
    values = [float(row.locator("td").last.text_content().replace("−", "-")) for row in (before, after)]
    life = page.evaluate(
        "() => fetch('/api/biography', { method: 'POST', headers: { 'Content-Type': 'application/json' }, "
        "body: JSON.stringify({ cell: 'conv1.weight[0,1,0,2]' }) }).then((answer) => answer.json())"
    )
    assert values == pytest.approx(life["values"][1:3], abs=1e-6)
    page.locator(".pull").nth(7).focus()
    page.keyboard.press("Enter")
    page.get_by_text("The products of image 7").first.wait_for()
    tab.go("train")
    page.get_by_role("button", name="Start over").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent === 'not in training'")
    assert tab.faults == []


def test_a_finished_run_is_replayed_and_compared_on_the_page(chromium: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        settings = RunSettings(model="8x8x1 > conv3x3:2 relu > fc10", epochs=2, seed=seed, limit=200, engine="numpy")
        run = train_run(settings, out=tmp_path / str(seed), draw=False)
    process, served = start(str(tmp_path / "1"), "--beside", str(tmp_path / "0"))
    try:
        served.open()
        tab = open_tab(chromium, served)
        tab.go("time")
        tab.page.get_by_role("button", name="Replay from update").press("Enter")
        tab.page.wait_for_selector("[data-same]", timeout=60_000)
        assert weights_sha256(run.model.state) in tab.page.locator("[data-same=true]").text_content()
        tab.page.get_by_text("the answer was always").wait_for()
        tab.page.get_by_text("in the other run, difference").wait_for()
        tab.page.locator("#beside-step").press("Home")
        tab.page.get_by_text("batch 1: ").wait_for()
        for width in (1440, 360):
            tab.page.set_viewport_size({"width": width, "height": 800})
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            assert violations(tab) == []
        assert tab.faults == []
    finally:
        end(process)


def test_a_lesson_is_one_file_that_asks_nobody_for_anything(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lesson.html"
    monkeypatch.setattr("rot180.explore.lesson.MOST_IMAGES", 4)
    monkeypatch.setattr("rot180.explore.lesson.MOST_ENTRIES", 8_000)
    monkeypatch.setattr("rot180.explore.lesson.BUGS", {"no-rotation": BUGS["no-rotation"]})  # each takes seconds
    subject = open_subject("8x8x1 > conv3x3:2:same relu maxpool2 > fc10", data="digits", engine="numpy")
    write_lesson(subject, file)
    assert file.stat().st_size < 2_000_000
    assert not re.search(rb"(src|href)=.?https?:", file.read_bytes())
    tab = open_file(chromium, file)
    page = tab.page
    for language, width in (("en", 1440), ("zh", 360)):
        page.set_viewport_size({"width": width, "height": 800})
        page.get_by_role("combobox").first.select_option(language)
        page.wait_for_function("code => document.documentElement.lang === code", arg=language)
        for name in ("", *LESSON):
            tab.go(name)
            assert page.locator(".notice.bad:visible").count() == 0, name
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert width > 360 or violations(tab) == [], name
    page.get_by_role("combobox").first.select_option("en")
    tab.go("")
    page.get_by_role("button", name="Take the tour").click()
    for step in range(1, 11):
        page.get_by_text(f"Step {step} of 10").wait_for()
        page.wait_for_selector(".ledger .value")
        assert page.locator(".ledger .notice.bad").count() == 0, step
        page.get_by_role("button", name="Next" if step < 10 else "Finish").click()
    trace = Trace(subject.model, np.asarray(subject.images[0]), int(subject.labels[0]))
    tab.go("microscope", "image=0&layer=conv1&cell=4,5,1")
    tab.ledger("conv1.output[4,5,1]")
    assert float(page.locator(".ledger .value").get_attribute("data-stored")) == trace.outputs[0][0, 4, 5, 1]
    tab.go("bench")
    page.get_by_role("button", name="No rotation").click()
    page.get_by_text("The check").wait_for()
    tab.go("microscope", "image=3&layer=fc1&view=weight&cell=31,9")
    page.get_by_text("This file does not hold the answer").wait_for()
    assert tab.faults == []


@pytest.mark.parametrize(
    ("language", "width", "scheme", "by"), [("en", 1440, "light", "mouse"), ("zh", 360, "dark", "keyboard")]
)
def test_every_page_is_reached_accessible_fits_and_asks_no_other_machine(
    chromium: Any, served: Served, language: str, width: int, scheme: str, by: str
) -> None:
    tab = open_tab(chromium, served, color_scheme=scheme, reduced_motion="reduce")
    assert look_at_all(tab, language, width, by, axe=True) == (len(PAGES), [])
    assert set(PAGES) == set(tab.page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.hash.slice(2))"))
    tab.go("")
    assert violations(tab) == []


def test_the_tour_leads_from_a_pixel_to_its_gradient(tab: Tab) -> None:
    page = tab.page
    tab.go("")
    page.get_by_role("button", name="Take the tour").click()
    seen = []
    for step in range(1, 11):
        page.get_by_text(f"Step {step} of 10").wait_for()
        page.wait_for_selector(".ledger .value")
        seen.append(page.locator(".tour p").nth(1).text_content())
        if step < 10:
            page.get_by_role("button", name="Next").click()
    assert len(set(seen)) == 10
    assert "rotation by 180 degrees" in seen[-1]
    page.wait_for_function("() => document.querySelector('.ledger h2')?.textContent.startsWith('conv1.input.grad')")
    page.get_by_role("button", name="Finish").click()
    assert page.locator(".tour").is_hidden()
    assert tab.faults == []


def test_a_panel_is_saved_as_svg_and_png(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    tab.go("microscope", "image=5&layer=conv1&cell=3,3,1")
    tab.ledger("conv1.output[3,3,1]")
    page.locator("#panel").focus()
    names = page.locator("#panel option").all_text_contents()
    assert len(names) == 4  # two maps, the kernel, the ledger
    saved = {}
    for at, kind in ((0, "SVG"), (0, "PNG"), (3, "SVG")):
        page.locator("#panel").select_option(str(at))
        with page.expect_download() as waiting:
            page.get_by_role("button", name=kind).press("Enter")
        assert waiting.value.suggested_filename.endswith(f".{kind.lower()}")
        waiting.value.save_as(tmp_path / "saved")
        saved[at, kind] = (tmp_path / "saved").read_bytes()
    figure = ElementTree.fromstring(saved[0, "SVG"])
    assert b'href="data:image/png;base64,' in saved[0, "SVG"]
    texts = [text.text for text in figure.iter("{http://www.w3.org/2000/svg}text")]
    assert {"image", *"123456789"} <= set(texts)
    ledger = " ".join(
        text.text for text in ElementTree.fromstring(saved[3, "SVG"]).iter("{http://www.w3.org/2000/svg}text")
    )
    assert "conv1.output[3,3,1]" in ledger
    assert page.locator("tr.sum td.n").text_content() in ledger
    tab.go("microscope", "image=5&layer=conv3&cell=0,0,3")  # more entries than the window holds
    tab.ledger("conv3.output[0,0,3]")
    page.locator("#panel").focus()
    page.locator("#panel").select_option(str(page.locator("#panel option").count() - 1))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="SVG").press("Enter")
    waiting.value.save_as(tmp_path / "long")
    long = ElementTree.parse(tmp_path / "long").getroot()
    places = [(float(text.get("y") or 0), text.text) for text in long.iter("{http://www.w3.org/2000/svg}text")]
    total = next(y for y, text in places if text == page.locator("tr.sum td.n").text_content())
    amounts = page.locator(".ledger .scroll tbody td.n:last-child").all_text_contents()
    assert len(amounts) == 10  # the largest, and the others together
    assert all(any(text == amount and y < total for y, text in places) for amount in amounts)
    assert max(y for y, _ in places) < float(long.get("height") or 0)
    tab.go("bench")
    assert page.locator("#panel").text_content() == "nothing to save yet"
    page.get_by_role("button", name="PNG").press("Enter")
    picture = np.asarray(Image.open(io.BytesIO(saved[0, "PNG"])).convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 8  # the map's colors, not an empty page
    assert tab.faults == []


def test_forced_colors_keep_the_marks(chromium: Any, served: Served) -> None:
    tab = open_tab(chromium, served, forced_colors="active")
    tab.go("microscope", "image=5&layer=conv1&cell=3,3,1")
    tab.ledger("conv1.output[3,3,1]")
    stroke = tab.page.evaluate("getComputedStyle(document.querySelector('.panels .mark')).stroke")
    ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert stroke not in ("none", ground)
    assert tab.faults == []
