"""report.html in a real browser: it runs, asks for nothing, fits its window, and its script does what it says.

These run where SQLSPY_TEST_BROWSER is set to 1 (``make test-browser``): they need Chromium. With
SQLSPY_SCREENSHOTS set to a folder, pictures of the pages are left there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.bundle.report import report_html
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests import test_markup
from tests.browser import Browser
from tests.reported import make_bundle

pytestmark = pytest.mark.browser

SHOWN = "[...document.querySelectorAll('#list-tables > details:not(.out) .what b')].map(e => e.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def page(server: Server, prefix: str, tmp_path: Path) -> Path:
    bundle: Bundle = make_bundle(server, prefix, tmp_path / "bundle")
    return bundle.path / "report.html"


def picture(browser: Browser, tmp_path: Path, name: str) -> None:
    folder = Path(os.environ.get("SQLSPY_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    browser.picture(folder / name)
    assert (folder / name).stat().st_size > 20_000


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window(
    browser: Browser, page: Path, tmp_path: Path, width: int, dark: bool, server: Server, dj_conn: Any
) -> None:
    bundle = Bundle(page.parent)
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    bundle.verify()  # which adds first rows
    browser.open(page, width, dark=dark)
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]
    assert browser.run("document.title") == "A slice of a database"
    assert browser.run("document.documentElement.scrollWidth") == width
    browser.run("document.querySelectorAll('details').forEach(row => row.open = true)")
    assert browser.run("document.documentElement.scrollWidth") == width
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    # no text of a box leaves it
    script = """[...document.querySelectorAll('svg .box')].flatMap(box => {
        const outer = box.querySelector('.head').getBoundingClientRect();
        return [...box.querySelectorAll('text')].filter(text => {
            const inner = text.getBoundingClientRect();
            return inner.left < outer.left || inner.right > outer.right;
        }).map(text => text.textContent);
    })"""
    assert browser.run(script) == []
    pictures = "[...document.querySelectorAll('figure svg path')].map(path => path.getBBox().width > 50)"
    assert browser.run(pictures) == [True] * 10
    picture(browser, tmp_path, f"report-{width}-{'dark' if dark else 'light'}.png")


def test_no_text_becomes_an_element(browser: Browser, tmp_path: Path) -> None:
    """A bundle with markup in every field has the elements of one with a harmless text there."""
    script = """[...document.querySelectorAll('*')].filter(element => element.tagName != 'WBR').map(element =>
        [element.tagName, element.getAttributeNames().sort()].join())"""
    found = []
    for number, text in enumerate((test_markup.ALL, test_markup.harmless(test_markup.ALL))):
        bundle = test_markup.everywhere(text, "sql", *test_markup.IN_COMMANDS)
        page = tmp_path / f"{number}.html"
        page.write_text(report_html(**bundle), encoding="utf-8")
        browser.open(page, 1280)
        assert browser.complaints == [] and browser.requests == [page.as_uri()]
        assert browser.run("document.title").startswith("Data behind ")
        found.append(browser.run(script))
    assert found[0] == found[1]


def test_it_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page, 1280)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def search(browser: Browser, text: str) -> list[str]:
    browser.run(
        "{const i = document.querySelector('input[data-for=tables]');"
        f"i.value = {text!r}; i.dispatchEvent(new Event('input'))}}"
    )
    return list(browser.run(SHOWN))


def test_search(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    everything = search(browser, "")
    assert len(everything) == 7
    assert search(browser, "SPECIES mouse") == []
    assert search(browser, "imported") == ["Recording"]
    assert browser.run("document.querySelector('output[data-for=tables]').textContent") == "1 of 7"
    assert search(browser, "") == everything


def test_sort(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)

    def click(key: str) -> list[str]:
        browser.run(f"document.querySelector('[data-for=tables] [data-sort={key}]').click()")
        return list(browser.run(SHOWN))

    names = click("name")
    assert names == sorted(names, key=str.lower) and click("name") == names[::-1]
    click("rows")
    counts = browser.run("[...document.querySelectorAll('#list-tables > details')].map(e => +e.dataset.rows)")
    assert counts == sorted(counts, reverse=True) and counts[-1] == 0


def test_links_open_what_they_lead_to(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    browser.run(
        "document.querySelector('svg a.computed').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    opened = "[...document.querySelectorAll('details[open] .what b')].map(e => e.textContent)"
    assert browser.run(f"new Promise(r => setTimeout(() => r({opened}), 200))") == ["Spikes"]


def test_a_box_highlights_its_neighbours(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    browser.run(
        "document.querySelector('svg a.computed').parentNode.dispatchEvent(new Event('pointerenter'))"
    )
    near = browser.run("[...document.querySelectorAll('.box.near .name')].map(e => e.textContent).sort()")
    assert near == ["Recording", "Spikes"]
    assert browser.run("document.querySelectorAll('.edge.near').length") == 1


def test_all_of_it_can_be_read_without_its_script(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page, 1280)
        tree = browser.call("DOMSnapshot.captureSnapshot", computedStyles=[])
        assert {"Species", "Spikes"} <= set(tree["strings"])
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
