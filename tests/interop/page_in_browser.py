"""Open exported pages in Chromium: every layer, the keyboard, a narrow window, accessibility, no request.

python tests/interop/page_in_browser.py [FOLDER FOR PICTURES]
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "explore"))

from browser import browser
from test_standalone import NETWORKS, varied

import rot180
from rot180.errors import ArgumentError
from rot180.interop.standalone import export_page

ALLOWED = ("file:", "data:", "blob:")


def opened(chromium, path, faults, **options):
    """Open a page, and wait until it has compared its outputs."""
    page = chromium.new_context(**options).new_page()
    page.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: request.url.startswith(ALLOWED) or faults.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-proof]", timeout=60_000)
    return page


def main() -> int:
    """Print what was found, and return 1 if anything is wrong."""
    from axe_playwright_python.sync_playwright import Axe

    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    faults: list[str] = []
    with browser() as chromium:
        for name, text in NETWORKS.items():
            # a page is for gray or colored pictures
            size, _, rest = text.partition(" > ")
            channels = int(size.split("x")[-1])
            if "x" in size and channels not in (1, 3):
                text = f"{size.rpartition('x')[0]}x3 > conv1x1:{channels} > {rest}"
            for weights in ("float32", "int8"):
                path = folder / "page.html"
                try:
                    export_page(varied(rot180.network(text)), path, weights=weights)
                except ArgumentError as error:
                    print(f"{name}: {error}")
                    break
                page = opened(chromium, path, faults)
                said = page.text_content("#proof")
                print(f"{name}, {weights}: {said}", flush=True)
                if page.get_attribute("html", "data-proof") != "holds":
                    faults.append(f"{name}, {weights}: {said}")
                page.context.close()
        data = rot180.load_data("digits")
        model = rot180.network("8x8x1 > conv3x3:16:same bn relu maxpool2 > fc10")
        model.class_names = data.class_names
        rot180.fit(model, data, epochs=4)
        path = folder / "digits.html"
        print(export_page(model, path))
        for language, narrow, dark in (("en-US", False, False), ("zh-CN", True, True)):
            page = opened(
                chromium,
                path,
                faults,
                locale=language,
                viewport={"width": 360 if narrow else 1100, "height": 740},
                color_scheme="dark" if dark else "light",
            )
            page.focus("#canvas")
            for key in (
                "ArrowUp",
                "ArrowUp",
                "Space",
                "ArrowDown",
                "Space",
                "ArrowDown",
                "Space",
                "ArrowDown",
                "Space",
            ):
                page.keyboard.press(key)
            page.wait_for_selector("#rows tr")
            page.screenshot(path=folder / f"drawn-{language}.png", full_page=True)
            page.keyboard.press("Delete")
            if page.query_selector("#rows tr"):
                faults.append("Delete does not clear")
            page.set_input_files("#file", Path("examples/three.png"))
            page.wait_for_selector("#rows tr")
            print(language, page.text_content("#said"))
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append(f"{language}: wider than the window")
            for found in Axe().run(page).response["violations"]:
                faults.append(f"{language}: {found['id']}: {found['nodes'][0]['html'][:200]}")
            page.screenshot(path=folder / f"digits-{language}.png", full_page=True)
            page.click("#language")
            page.click("#example")
            page.context.close()
    print("\n".join(faults) or "no fault, and no request")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
