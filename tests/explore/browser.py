"""Debian's Chromium through Playwright, or the reason why there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serving import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def missing() -> str:
    """Return why no browser can be used; empty if one can."""
    for module in ("playwright", "axe_playwright_python"):
        if find_spec(module) is None:
            return f"needs {module}, of the extra dev"
    return "" if CHROMIUM else "needs Chromium: apt-get install chromium"


@dataclass
class Tab:
    """A page of the explorer in a browser, and whatever went wrong on it."""

    page: Any
    origin: str
    faults: list[str] = field(default_factory=list)

    def go(self, page: str, query: str = "") -> None:
        """Go to a page and wait until it is shown."""
        self.page.evaluate("delete document.body.dataset.shown")
        self.page.evaluate("hash => { location.hash = hash }", f"#/{page}{'?' if query else ''}{query}")
        self.page.wait_for_selector(f"body[data-shown={page or 'front'}]")

    def ledger(self, cell: str) -> None:
        """Wait until the ledger of a cell is shown."""
        self.page.wait_for_function("cell => document.querySelector('.ledger h2')?.textContent === cell", arg=cell)


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def open_tab(chromium: Any, served: Served, **options: Any) -> Tab:
    """Open the explorer in a context of its own; requests that leave the machine and errors become faults."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
    name, _, value = served.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": f"http://{served.host}"}])
    return _watched(context, f"http://{served.host}", f"http://{served.host}")


def open_file(chromium: Any, file: Path, **options: Any) -> Tab:
    """Open a page that was saved; requests for anything but the file and what is inside it become faults."""
    return _watched(chromium.new_context(**options), file.as_uri(), file.as_uri())


def _watched(context: Any, address: str, origin: str) -> Tab:
    tab = Tab(context.new_page(), origin)
    own = (origin, "data:", "blob:")
    tab.page.on("console", lambda message: message.type in ("error", "warning") and tab.faults.append(message.text))
    tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.page.on("request", lambda request: request.url.startswith(own) or tab.faults.append(request.url))
    tab.page.goto(address)
    tab.page.wait_for_selector("body[data-shown]")
    return tab
