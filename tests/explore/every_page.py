"""Reaches every page of the explorer by mouse, and by keyboard alone, wide and on 360 pixels, in each language.

    python tests/explore/every_page.py --python path/to/another/environment/bin/python

Prints one JSON object: how often a page was reached, and whatever went wrong: what axe finds, errors in the console,
violations of the policy, requests that leave the machine, pages that are wider than the screen. The exit status is 1 if
anything did, and 0 with the reason if there is no browser. With --python, that environment's rot180 serves the pages.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from browser import Tab, browser, missing, open_tab
from serving import NETWORK, end, start

PAGES = ("train", "journey", "microscope", "products", "river", "biography", "time", "try", "lab", "bench")

FOCUSED = "() => document.activeElement?.getAttribute('href') ?? ''"


def violations(tab: Tab) -> list[tuple[str, list[str]]]:
    """Return what axe finds on a page: the rule, and some of the elements that violate it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab.page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


def reach(tab: Tab, name: str, by: str) -> None:
    """Go from the front page to a page by its link, with the mouse or with Tab and Enter."""
    tab.go("")
    page = tab.page
    page.evaluate("delete document.body.dataset.shown")
    if by == "mouse":
        page.locator(f"nav a[href='#/{name}']").click()
    else:
        page.evaluate("document.activeElement?.blur()")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(FOCUSED) == f"#/{name}":
                break
        page.keyboard.press("Enter")
    page.wait_for_selector(f"body[data-shown={name}]")
    if name == "microscope":
        page.wait_for_selector(".ledger .value")


def look_at_all(tab: Tab, language: str, width: int, by: str, *, axe: bool) -> tuple[int, list[str]]:
    """Reach every page; return how many were reached, and what is wrong with them."""
    page, wrong = tab.page, []
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("combobox").first.select_option(language)
    page.wait_for_function("code => document.documentElement.lang === code", arg=language)
    for name in PAGES:
        reach(tab, name, by)
        where = f"{name}, {language}, {width} px"
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{where}: wider than the screen")
        if page.locator(".notice.bad:visible").count():
            wrong.append(f"{where}: {page.locator('.notice.bad:visible').first.text_content()}")
        wrong += [f"{where}: {found}" for found in violations(tab)] if axe else []
    return len(PAGES), wrong + tab.faults


def main(given: Any) -> int:
    """Look at all pages and print."""
    if missing():
        print(json.dumps({"skipped": missing()}))
        return 0
    process, served = start(NETWORK, "--data", "digits", "--engine", "numpy", python=given.python)
    told: dict[str, Any] = {}
    wrong: list[str] = []
    try:
        served.open()
        with browser() as chromium:
            for language, width, by in (("en", 1440, "mouse"), ("zh", 360, "keyboard")):
                tab = open_tab(chromium, served)
                told[f"{language}, {width} px, {by}"], found = look_at_all(tab, language, width, by, axe=True)
                wrong += found
    finally:
        end(process)
    print(json.dumps({"reached": told, "of": len(PAGES), "wrong": wrong}))
    return int(bool(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    sys.exit(main(parser.parse_args()))
