"""The page in a real browser: by keyboard, on a phone, readable by all, quiet on the network, equal to the command."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Server
from PIL import Image

import rot180
from rot180.inside import attribution
from rot180.language import LANGUAGES
from rot180.serve.app import PAGE
from rot180.web.page import page_files

sys.path.append(str(Path(__file__).parents[1] / "explore"))
from browser import browser, missing

in_browser = pytest.mark.skipif(bool(missing()), reason=missing())

SHARES = "() => [...document.querySelectorAll('.share .number')].map((share) => share.textContent)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def open_page(chromium: Any, server: Server, **options: Any) -> tuple[Any, list[str]]:
    """Open the page in a context of its own; return it, and the faults that are noticed on it."""
    faults: list[str] = []
    page = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options}).new_page()
    page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: request.url.startswith(f"http://{server.host}/") or faults.append(request.url))
    page.goto(f"http://{server.host}/")
    page.wait_for_selector("body[data-shown]")
    return page, faults


def until_done(page: Any, *, classes: int = 10, says: str = "Done.") -> None:
    """Wait for an answer about so many classes, in the language in which it says so."""
    page.wait_for_function(
        "([classes, says]) => document.querySelector('[role=status]').textContent === says"
        " && document.querySelectorAll('.share .number').length === classes",
        arg=[classes, says],
    )


def image_on(board: Any) -> np.ndarray[Any, Any]:
    """Return the red of the pixels of a canvas."""
    url = board.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))[:, :, 0]


@in_browser
def test_a_file_is_answered_as_by_the_command_and_examined(chromium: Any, server: Server, folder: Path) -> None:
    three = Path(__file__).parents[2] / "examples" / "three.png"
    page, faults = open_page(chromium, server)
    page.set_input_files("#file", three)
    until_done(page)
    (told,) = server.json("POST", "/predict?top=all", three.read_bytes())["predictions"]
    shares = {one["label"]: one["probability"] for one in told["top"]}
    assert page.evaluate(SHARES) == [f"{100 * shares[str(label)]:.1f}%" for label in range(10)]
    assert page.locator(".panels figure").count() == 3
    assert page.locator(".layer").count() == 3
    pixels = image_on(page.locator(".board canvas"))
    found = attribution(
        rot180.load_model(folder / "digits.safetensors"), pixels[:, :, None], int(told["top"][0]["label"])
    )
    largest = page.locator(".panels figure").nth(2).locator(".legend span").last.text_content()
    assert float(largest) == pytest.approx(np.abs(found.occlusion).max(), rel=0.01)
    page.locator(".share").nth(7).click()
    page.get_by_text(re.compile("for 7 changes|output for 7")).wait_for()
    assert faults == []


@in_browser
def test_drawing_by_keyboard_alone(chromium: Any, server: Server) -> None:
    page, faults = open_page(chromium, server)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role') === 'application'"):
            break
    for key in ("Space", "ArrowDown", "Space", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    until_done(page)
    drawn = image_on(page.locator(".board canvas"))
    assert drawn[4, 4] == drawn[5, 4] == drawn[5, 5] == 255
    assert np.count_nonzero(drawn) == 3
    assert len(page.evaluate(SHARES)) == 10
    page.select_option("#model", "colors")
    assert page.evaluate("document.activeElement.id") == "model"
    until_done(page, classes=3)  # about the same picture
    assert page.locator(".share").all_text_contents()[2].startswith("雪")
    page.select_option("select[name=language]", "zh")
    until_done(page, classes=3, says="完成。")
    assert faults == []


@in_browser
def test_a_picture_that_cannot_be_read_is_told(chromium: Any, server: Server) -> None:
    page, _ = open_page(chromium, server)
    page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"not an image"})
    page.locator("[role=alert]").wait_for()
    assert "expected an image" in page.locator("[role=alert]").text_content()


@in_browser
@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1440, "light"), ("zh", 360, "dark")])
def test_the_page_is_accessible_and_fits(chromium: Any, server: Server, language: str, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page, faults = open_page(
        chromium, server, color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 800}
    )
    if language != "en":  # what is chosen already would be drawn again as well, some time later
        page.select_option("select[name=language]", language)
    page.wait_for_function("code => document.documentElement.lang === code", arg=language)
    page.set_input_files("#file", Path(__file__).parents[2] / "examples" / "three.png")
    until_done(page, says="完成。" if language == "zh" else "Done.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.lang") == language
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert Axe().run(page).response["violations"] == []
    assert faults == []


def test_the_pages_texts_are_complete() -> None:
    files = page_files(PAGE)
    catalogs = {code: json.loads(files[f"{code}.json"]) for code in LANGUAGES}
    scripts = "".join(
        files[name].decode() for name in ("main.js", "layers.js", "board.js", "answer.js", "frame.js", "texts.js")
    )
    for code in LANGUAGES:
        assert list(catalogs[code]) == list(catalogs["en"])
    for key in re.findall(r'\bt(?:ell)?\("([^"]+)"', scripts):
        assert key in catalogs["en"], key
    own = json.loads((PAGE / "en.json").read_text(encoding="utf-8"))
    assert [key for key in own if f'"{key}"' not in scripts] == []
