"""The book in headless Chromium: no error, nothing fetched, and room on a telephone.

Skipped where Debian's Chromium or Playwright is missing: `apt-get install chromium`,
`pip install playwright`.
"""

from __future__ import annotations

import shutil

import pytest

for module in ("sphinx", "myst_nb", "furo", "jupytext", "playwright"):
    pytest.importorskip(module)
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium", allow_module_level=True)
from book_html import build_book
from playwright.sync_api import sync_playwright

PAGES = ("index", "results", "key_concepts", "glossary", "own_data", "TEACHING", "api/rnn_utils",
         "chapters/04_simple_rnn", "chapters/09_attention_mechanism")  # fmt: skip
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
FLAGS += ["--disable-background-networking"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return build_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def visit(browser, address: str, **options):
    """Open a page; return it, its complaints, and the addresses that it asked for."""
    page = browser.new_page(**options)
    errors, asked = [], []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    return page, errors, asked


def narrow() -> dict:
    return {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_error_and_fits_on_a_telephone(name, book, browser):
    page, errors, asked = visit(browser, f"{(book / name).as_uri()}.html", **narrow())
    assert errors == []
    assert asked and all(address.startswith(("file:", "data:")) for address in asked)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.parametrize("name", ["index", "chapters/04_simple_rnn"])
def test_the_text_is_there_without_scripts(name, book, browser):
    page, _, _ = visit(browser, f"{(book / name).as_uri()}.html", java_script_enabled=False)
    article = page.locator("article")
    assert article.locator("h1").is_visible()
    assert all(part.is_visible() for part in article.locator("p:not(summary p)").all()[:20])
    for part in article.locator("details").all():  # folded, and opened by a click
        code = part.locator("pre").first
        assert not code.is_visible()
        part.locator("summary").click()
        assert code.is_visible()
    page.close()


def background(page) -> int:
    """How bright the page is, from 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(colour.partition("(")[2].partition(",")[0])


def test_the_page_is_dark_for_who_wants_it_dark(book, browser):
    address = (book / "index.html").as_uri()
    light, _, _ = visit(browser, address, color_scheme="light")
    dark, _, _ = visit(browser, address, color_scheme="dark")
    assert background(light) > 230 and background(dark) < 40
    light.close()
    dark.close()


def test_the_search_finds_without_a_server(book, browser):
    page, errors, _ = visit(browser, f"{(book / 'search.html').as_uri()}?q=teacher+forcing")
    page.wait_for_selector("#search-results li a")
    found = [link.get_attribute("href") for link in page.locator("#search-results li a").all()]
    assert any("08_seq2seq_basic" in target for target in found)
    assert errors == []
    page.close()


def test_the_keyboard_reaches_the_next_chapter(book, browser):
    page, _, _ = visit(browser, (book / "chapters" / "04_simple_rnn.html").as_uri())
    page.locator("a.next-page").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/05_lstm_sentiment.html")
    page.close()
