"""The report in a browser, as its readers meet it: nothing runs, nothing is loaded, all of it can be read.

Screenshots of both themes and of a phone are kept in the folder that ACCESSLAKE_ARTEFACTS names, or else in pytest's own.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from report_cases import HOSTILE, NOW, SIGNATURE, make_hostile_lake
from small_lakes import make_lake

from etl.compact import compact
from etl.lake import create_lake
from etl.report import read_report, render_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.xdist_group("chromium")

HEADINGS = [
    "What needs action",
    "The lake at a glance",
    "Requests and bytes by day",
    "Errors",
    "Top readers",
    "Signature Version 2: who still uses it",
    "Findings by severity",
    "Storage, and what each query reads and costs",
    "The quality of the log itself",
]
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "a",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "nav",
        "ul",
        "ol",
    ),
    *("li", "main", "section", "div", "dl", "dt", "dd", "figure", "figcaption", "strong", "span", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "bdi", "br", "wbr", "code", "article", "footer"),
    *("svg", "g", "path", "line", "text", "rect"),
}
"""All that the templates and the charts are made of."""
PHONE = 390


@dataclass
class Opened:
    """A page, and what it did when it was opened."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a plain lake, of a hostile one and of an empty one."""
    folder = tmp_path_factory.mktemp("reports")
    plain = make_lake(folder)
    compact(str(plain))
    create_lake(str(folder / "empty"))
    found = {}
    for name, lake in (("plain", plain), ("hostile", make_hostile_lake(folder)), ("empty", folder / "empty")):
        found[name] = folder / f"{name}.html"
        found[name].write_text(render_report(read_report(str(lake), now=NOW)), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("ACCESSLAKE_ARTEFACTS")
    folder = Path(named) / "report" if named else tmp_path_factory.mktemp("artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_page(browser: Browser, path: Path, *, width: int = 1100, theme: Any = "light") -> Opened:
    """The page from its file; every request but the one for itself is refused and remembered."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=theme)
    opened = Opened(page)
    page.on("console", lambda message: opened.console.append(message.text))
    page.on("pageerror", lambda error: opened.console.append(str(error)))
    page.on("requestfailed", lambda request: opened.requests.append(request.url))
    page.on("dialog", lambda dialog: opened.console.append(dialog.message))
    own = path.as_uri()

    def refuse(route: Any) -> None:
        if route.request.url == own:
            route.continue_()
        else:
            opened.requests.append(route.request.url)
            route.abort()

    page.route("**/*", refuse)
    page.goto(own)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    return opened


@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_nothing_is_said_on_the_console_and_nothing_is_loaded(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    opened = open_page(browser, pages[name])
    assert opened.console == []
    assert opened.requests == []
    opened.page.close()


@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_every_section_is_there_in_order(browser: Browser, pages: dict[str, Path], name: str) -> None:
    page = open_page(browser, pages[name]).page
    assert page.get_by_role("heading", level=2).all_inner_texts() == HEADINGS
    assert page.get_by_role("heading", level=1).count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(each => +each.tagName[1])")
    assert all(following <= level + 1 for level, following in itertools.pairwise(levels))
    anchors = page.evaluate("[...document.querySelectorAll('a')].map(each => each.getAttribute('href'))")
    assert all(anchor.startswith("#") and page.locator(f"[id='{anchor[1:]}']").count() == 1 for anchor in anchors)
    page.close()


def test_hostile_text_is_only_text(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["hostile"]).page
    page.locator("body").click(position={"x": 1, "y": 1})
    assert page.evaluate("window.pwned") is None
    assert page.title().startswith("S3 access logs")
    assert page.evaluate("document.scripts.length") == 0
    names = page.evaluate("[...new Set([...document.querySelectorAll('*')].map(each => each.localName))]")
    assert set(names) <= ELEMENTS
    attributes = page.evaluate(
        "[...new Set([...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames()))]"
    )
    assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcdoc", "action"}]
    assert page.evaluate("[...document.querySelectorAll('link')].map(each => each.href)") == ["data:,"]
    page.close()


def test_hostile_text_is_shown_masked_and_with_what_draws_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["hostile"]).page
    content = page.content()
    text = page.evaluate("document.documentElement.textContent")
    whole = page.evaluate("[...document.querySelectorAll('details.cut > .log')].map(each => each.textContent)")
    everything = text
    assert SIGNATURE not in content
    assert "AKIAIOSFODNN7EXAMPLE" not in content
    assert "X-Amz-Signature=***" in everything
    assert not any(mark in content for mark in "\0\x1b\x07\u202e\u2066\u200b\u200f\ufeff")
    assert all(sign in everything for sign in (r"\u202e", r"\x00", r"\x1b[2J", r"\x07", r"\u200b"))
    assert HOSTILE[0] in everything
    assert any("a" * 8192 in each for each in whole)
    assert "49" not in [each.strip() for each in page.locator(".log").all_inner_texts()]
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_the_page_fits_a_phone(browser: Browser, pages: dict[str, Path], name: str, theme: str) -> None:
    page = open_page(browser, pages[name], width=PHONE, theme=theme).page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(each => !each.closest('.scroll')"
        " && each.getBoundingClientRect().right > innerWidth + 0.5).map(each => each.outerHTML.slice(0, 200))"
    )
    assert wide == []
    letters = page.evaluate(
        "[...document.querySelectorAll('.chart.narrow text')].map(each => each.getBoundingClientRect().height)"
    )
    assert all(height >= 11 for height in letters)
    assert bool(letters) == (name != "empty")
    page.close()


CELLS = """
() => [...document.querySelectorAll('main tbody > tr > *')].map(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const boxes = [...range.getClientRects()].filter(box => box.width && box.height);
  const table = cell.closest('table');
  const heads = [...table.querySelectorAll('thead th')];
  return {
    text: cell.textContent.trim().slice(0, 60),
    left: Math.min(...boxes.map(box => box.left)), right: Math.max(...boxes.map(box => box.right)),
    label: cell.localName === 'td' ? getComputedStyle(cell, '::before').content.slice(1, -1) : null,
    head: heads[[...cell.parentElement.children].indexOf(cell)].textContent,
    row: cell.parentElement.getBoundingClientRect().height,
    used: [...cell.parentElement.children].reduce((sum, each) => sum + each.getBoundingClientRect().height, 0),
    scrolls: table.parentElement.scrollWidth > table.parentElement.clientWidth,
  };
})
"""


@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_every_cell_is_on_the_screen_of_a_phone_with_its_label(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    page = open_page(browser, pages[name], width=PHONE).page
    cells = page.evaluate(CELLS)
    assert len(cells) > 50
    assert [cell for cell in cells if cell["text"] and not 0 <= cell["left"] < cell["right"] <= PHONE] == []
    assert [cell for cell in cells if cell["label"] not in (None, cell["head"])] == []
    # No height is left for what cannot be seen.
    assert [cell for cell in cells if cell["row"] > cell["used"] + 40] == []
    assert not any(cell["scrolls"] for cell in cells)
    page.close()


def test_a_table_stays_one_for_who_cannot_see_it(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["plain"], width=PHONE).page
    table = page.get_by_role("table").first
    assert table.get_by_role("columnheader").count() >= 3
    assert table.get_by_role("rowheader").count() == table.get_by_role("row").count() - 1
    page.close()


def test_what_is_cut_is_opened_with_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["hostile"], width=PHONE).page
    cut = page.locator("details.cut").first
    cut.evaluate("each => { each.open = false }")
    whole = cut.locator("> .log")
    assert not whole.is_visible()
    cut.locator("summary").focus()
    page.keyboard.press("Enter")
    assert whole.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    page.close()


@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_paper_shows_what_is_closed_and_cuts_nothing_off(browser: Browser, pages: dict[str, Path], name: str) -> None:
    page = open_page(browser, pages[name], width=718).page
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = false }")
    page.emulate_media(media="print")
    assert page.locator("details:not(.cut) tbody th").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    whole = page.locator("details.cut > .log")
    assert not any(each.is_visible() for each in whole.all()[:20])
    page.close()


CONTRAST = """
() => {
  const read = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = each => {
    for (let up = each; up; up = up.parentElement) {
      const found = read(getComputedStyle(up).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.getClientRects().length) continue;
    const style = getComputedStyle(each);
    const [one, other] = [light(read(each instanceof SVGElement ? style.fill : style.color)), light(ground(each))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push([each.localName, each.className.toString(), each.textContent.slice(0, 40), ratio]);
  }
  return poor;
}
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_all_text_can_be_told_from_its_ground(browser: Browser, pages: dict[str, Path], name: str, theme: str) -> None:
    page = open_page(browser, pages[name], theme=theme).page
    assert page.evaluate(CONTRAST) == []
    page.close()


def test_the_charts_follow_the_theme(browser: Browser, pages: dict[str, Path]) -> None:
    colours = {}
    for theme in ("light", "dark"):
        page = open_page(browser, pages["hostile"], theme=theme).page
        marks = page.locator(".chart.wide .role-mark path")
        colours[theme] = {each.evaluate("each => getComputedStyle(each).fill") for each in marks.all()}
        assert not colours[theme] & {"rgb(0, 0, 0)", "none"}
        page.close()
    assert len(colours["light"]) == len(colours["dark"]) == 5
    assert not colours["light"] & colours["dark"]


def test_it_can_be_read_without_eyes_and_without_a_mouse(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["hostile"]).page
    assert page.evaluate("document.documentElement.lang") == "en"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.locator("table").count() == page.locator("table:has(thead th[scope=col]):has(th[scope=row])").count()
    charts = page.locator(".chart.wide > svg")
    assert charts.count() == 4
    assert all(each.get_attribute("role") == "img" and each.get_attribute("aria-label") for each in charts.all())
    assert page.locator(".scroll:not([tabindex='0'][role=region][aria-label])").count() == 0
    page.close()


def test_an_empty_lake_says_so(browser: Browser, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["empty"]).page
    assert "The lake is empty" in page.locator("#glance").inner_text()
    assert page.locator(".empty").count() >= 6
    assert page.locator(".chart").count() == 0
    page.close()


@pytest.mark.parametrize(
    ("name", "width", "theme"), [("light", 1100, "light"), ("dark", 1100, "dark"), ("phone", PHONE, "light")]
)
def test_screenshots_are_kept(
    browser: Browser, pages: dict[str, Path], artefacts: Path, name: str, width: int, theme: str
) -> None:
    page = open_page(browser, pages["hostile"], width=width, theme=theme).page
    picture = artefacts / f"report-{name}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    page.close()
