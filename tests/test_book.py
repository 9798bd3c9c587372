"""The book: it builds without a warning, its links lead somewhere, and its notebooks run."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from urllib.parse import unquote, urlsplit

import pytest
from helpers import ROOT

for module in ("sphinx", "myst_nb", "furo", "jupytext", "PIL"):
    pytest.importorskip(module)
from book_html import Page, build_book

DOCS = ROOT / "docs"
CHAPTERS = sorted(path.stem for path in ROOT.glob("[01][0-9]_*.py"))
CAPTIONS = json.loads((DOCS / "captions.json").read_text(encoding="utf-8"))


def load(name: str):
    """A program of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(DOCS))  # where book.py looks for the other programs
book_module = load("book")
build_notebooks = load("build_notebooks")
record_runs = load("record_runs")


def plain(text: str) -> str:
    return " ".join(text.split())


# ---- The pages ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return build_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def pages(book):
    return {path.relative_to(book).as_posix(): Page(path) for path in book.rglob("*.html")}


def test_the_book_has_a_page_for_every_chapter_and_every_module(pages):
    expected = {f"chapters/{name}.html" for name in CHAPTERS}
    expected |= {f"api/{path.stem}.html" for path in ROOT.glob("rnn_*.py")}
    others = ("index", "key_concepts", "own_data", "TEACHING", "results", "glossary", "try_it")
    expected |= {f"{name}.html" for name in others}
    assert expected <= set(pages), expected - set(pages)


def test_every_link_and_every_picture_leads_somewhere(book, pages):
    checked = 0
    for page in pages.values():
        for target in page.values("a", "href") + page.loaded():
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            path = page.path
            if parts.path:
                path = (page.path.parent / unquote(parts.path)).resolve()
            assert path.is_file(), (page.path, target)
            place = unquote(parts.fragment)
            if place and path.suffix == ".html":
                found = pages[path.relative_to(book.resolve()).as_posix()]
                assert place in found.ids, (page.path, target)
            checked += 1
        assert page.nested == 0, page.path
    assert checked > 1000


def test_nothing_is_loaded_from_another_host(book, pages):
    for page in pages.values():
        for target in page.loaded():
            assert not urlsplit(target).netloc, (page.path, target)
    for path in book.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text), path


def test_every_picture_says_in_words_what_it_shows(pages):
    texts = [
        found.get("alt") for page in pages.values() for tag, found in page.tags if tag == "img"
    ]
    assert len(texts) > 25
    assert all(text and len(text) > 10 and not text.endswith(".png") for text in texts)


def test_the_start_page_is_small(book, pages):
    page = pages["index.html"]
    files = {page.path} | {page.path.parent / urlsplit(target).path for target in page.loaded()}
    for style in [path for path in files if path.suffix == ".css"]:
        for target in re.findall(r"url\([\"']?([^\"')]+)", style.read_text(encoding="utf-8")):
            if not target.startswith("data:"):
                files.add(style.parent / urlsplit(target).path)
    assert any(path.suffix == ".png" for path in files)
    assert sum(path.stat().st_size for path in files) < 500_000


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_holds_the_chapter_its_log_and_its_figures(name, book, pages):
    page = pages[f"chapters/{name}.html"]
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    for line in re.findall(r"^(?:def|class) .*", source, re.MULTILINE):
        assert plain(line) in page.text
    question = re.search(r"^The question +([\w ,]+)", source, re.MULTILINE)[1]
    exercise = re.search(r"^# ## Exercises\n# 1\. ([\w ,]+)", source, re.MULTILINE)[1]
    assert plain(question) in page.text and exercise in page.text
    for log in (DOCS / "runs" / name).glob("*.txt"):
        assert plain(log.read_text(encoding="utf-8")) in page.text
    pictures = page.values("img", "src")
    drawn = [target for target in pictures if "diagrams" not in target and target.endswith(".png")]
    assert len(drawn) == len(CAPTIONS[name])

    files = [(page.path.parent / target).resolve() for target in page.values("a", "href")
             if "_downloads" in target]  # fmt: skip
    course, script, notebook = sorted(files, key=lambda path: path.suffix, reverse=True)
    assert course.name == "learn_rnns.zip"
    assert script.name == f"{name}.py" and script.read_text(encoding="utf-8") == source
    assert notebook.name == f"{name}.ipynb"
    others = {target for target in page.values("a", "href") if target in
              {f"{other}.html" for other in CHAPTERS} - {f"{name}.html"}}  # fmt: skip
    assert len(others) == 9
    assert "fmt: " not in page.text
    assert {"exercises", "what-it-prints", "its-figures"} <= page.ids


@pytest.mark.parametrize("path", sorted(ROOT.glob("rnn_*.py")), ids=lambda path: path.stem)
def test_a_module_is_described_by_its_docstrings(path, pages):
    page = pages[f"api/{path.stem}.html"]
    described = 0
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            if text:
                assert plain(text).replace("`", "")[:60] in page.text.replace("`", ""), node.name
                assert f"{path.stem}.{node.name}" in page.ids
                described += 1
    assert described > 4
    assert "\\" not in "".join(re.findall(r"<p>.*?</p>", page.path.read_text(encoding="utf-8")))


def test_the_terms_of_the_course_lead_to_the_glossary(pages):
    terms = {place for place in pages["glossary.html"].ids if place.startswith("term-")}
    assert len(terms) >= 30
    used = set()
    for name, page in pages.items():
        links = [target.partition("#")[2] for target in page.values("a", "href")
                 if "glossary.html#term-" in target]  # fmt: skip
        assert len(links) == len(set(links)), name  # where it first stands, and not again
        assert len(links) >= 5 or not name.startswith("chapters/"), name
        used |= set(links)
    assert used <= terms and len(used) >= 45


def test_a_link_to_the_glossary_shows_the_definition(pages):
    titles = [
        (found["href"].partition("#term-")[2], found.get("title", "")) for page in pages.values()
        for tag, found in page.tags if tag == "a" and "glossary.html#term-" in found.get("href", "")
    ]  # fmt: skip
    assert len(titles) > 100 and all(len(title) > 20 for _, title in titles)
    assert ("logit", "A score before softmax. Models of this course return logits.") in titles
    assert any(place == "macro-F1" for place, _ in titles)


@pytest.mark.parametrize("text", ["macro f1", "macro F1", "Macro-F1", "TF-IDF", "Linear AR"])
def test_a_term_is_found_in_other_spellings(text):
    found = book_module.TERM.fullmatch(text)
    assert book_module.TARGETS[found[1]] in book_module.TERMS


def article(page: Page) -> str:
    return page.path.read_text(encoding="utf-8").partition("<article")[2].partition("</article")[0]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_opens_in_order_and_folds_what_is_no_lesson(name, pages):
    html = article(pages[f"chapters/{name}.html"])
    marks = [">The question.<", ">Equations and symbols<", ">Run it<", ">It prints<"]
    marks += ['id="imports"', "<details", 'id="exercises"', 'id="its-figures"', ">Next.<"]
    if name in book_module.DIAGRAMS.values():
        marks.insert(2, "<figure")
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places), list(zip(marks, places))
    folded = re.findall(r"<details(.*?)</details>", html, re.DOTALL)
    assert len(folded) == 2
    assert "import</span>" in folded[0] and "parse_args" in folded[1]
    assert html.count('<div class="cell ') > 6  # most of the code is open


def test_the_files_named_in_an_opening_are_links_and_code(pages):
    html = article(pages["chapters/03_time_series_basics.html"])
    following = html[html.index(">Next.<") :]
    for script in ("04_simple_rnn", "06_gru_time_series"):
        assert re.search(rf'href="{script}.html">(<[^>]*>)*{script}.py<', following)
    assert '<span class="pre">fooling.png</span>' in html


def test_the_zip_holds_a_course_that_runs(book, pages, tmp_path):
    (course,) = book.glob("_downloads/*/learn_rnns.zip")
    for name in ("index.html", "install.html"):
        assert any(target.endswith("/learn_rnns.zip") for target in pages[name].values("a", "href"))
    with zipfile.ZipFile(course) as file:
        file.extractall(tmp_path)
    folder = tmp_path / "learn_rnns"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in ROOT.glob("*.py")} <= names
    assert {"LICENSE", "requirements.txt", "docs/TEACHING.md", "extras/10_distributed.py"} <= names
    assert not any(name.endswith(".pyc") or name.startswith("docs/runs") for name in names)
    for page in ("README.md", "docs/TEACHING.md"):
        text = (folder / page).read_text(encoding="utf-8")
        targets = set(re.findall(r'\]\(([^)#:\s]+)[^):]*\)|src="([^":]+)"', text))
        linked = [(folder / page).parent / "".join(target) for target in sorted(targets)]
        assert linked and [str(path) for path in linked if not path.exists()] == []
    for command in (["01_sequence_basics.py", "--help"], ["05_lstm_sentiment.py", "--help"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0 and "--seed" in done.stdout, done.stderr
    # No test of the zip needs what is only in the repository.
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout
    assert "tests/test_exercises.py" in done.stdout


def test_the_zip_is_the_same_in_every_build(book):
    (course,) = book.glob("_downloads/*/learn_rnns.zip")  # from copies of the files, newly dated
    assert book_module.course_zip() == course.read_bytes()


def test_diagrams_in_the_key_concepts_have_captions(pages):
    html = article(pages["key_concepts.html"])
    pictures = set(re.findall(r"_images/(\w+)\.svg", html))
    assert {"rnn_unrolled", "vanilla_cell", "lstm_cell", "gru_cell", "bidirectional"} <= pictures
    assert html.count("<figcaption") == len(pictures)


def test_equations_are_no_code(pages):
    html = (pages["chapters/04_simple_rnn.html"].path).read_text(encoding="utf-8")
    equation = html.index("h_t = tanh(W_x x_t + W_h h_{t-1} + b)")
    block = html[html.rindex("<div", 0, equation - 40) : equation]
    assert "highlight" in block and '<span class="err"' not in html


# ---- The recorded runs -------------------------------------------------------------------


def test_every_figure_has_a_caption_and_every_caption_a_figure():
    for name in CHAPTERS:
        figures = {path.stem for path in (DOCS / "runs" / name).glob("*.png")}
        assert figures == set(CAPTIONS[name])


def test_the_recorded_runs_are_small():
    sizes = [path.stat().st_size for path in (DOCS / "runs").rglob("*.*")]
    assert len(sizes) > 35 and sum(sizes) < 2_000_000


def make_runs(folder, line: str):
    from PIL import Image

    for runs in record_runs.RUNS.values():
        for run in runs:
            (folder / run).mkdir(parents=True)
            Image.new("RGB", (40, 30), "white").save(folder / run / "curve.png")
            (folder / f"{run}.log").write_text(line.format(run=run), encoding="utf-8")


def test_a_recorded_log_names_no_folder_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(record_runs, "ROOT", tmp_path)
    make_runs(tmp_path / "runs", "path=/home/x/04.pt\n/home/x/{run}/metrics.json  \n1 / 2\n")
    record_runs.main([str(tmp_path / "runs")])
    folder = tmp_path / "docs" / "runs" / "07_bidirectional_rnn"
    assert sorted(path.name for path in folder.iterdir()) == ["curve.png", "lesson.txt", "log.txt"]
    assert (folder / "log.txt").read_text(encoding="utf-8") == (
        "path=models/07_bidirectional_rnn.pt\noutputs/07_bidirectional_rnn/metrics.json\n1 / 2\n"
    )


def test_an_unknown_path_in_a_log_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(record_runs, "ROOT", tmp_path)
    make_runs(tmp_path / "runs", "data  /home/x/names.txt\n")
    with pytest.raises(SystemExit, match=r"01_0\.log still names a path .*: /home/x/names\.txt"):
        record_runs.main([str(tmp_path / "runs")])


def test_a_missing_run_is_named_and_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(record_runs, "ROOT", tmp_path)
    make_runs(tmp_path / "runs", "done\n")
    shutil.rmtree(tmp_path / "runs" / "06_0")
    with pytest.raises(SystemExit, match="lacks 06_0; nothing was changed"):
        record_runs.main([str(tmp_path / "runs")])
    assert not (tmp_path / "docs").exists()


# ---- The notebooks -----------------------------------------------------------------------


def test_the_opening_keeps_equations_and_joins_sentences():
    docstring = """04_x: a question?

The question    A name is a row
                of letters.
The number      0.8 is right.

Some text:

    h_t = tanh(a)      the state

    x_t  an input

    python 04_x.py

    right 0.8

Writes out/x.json.  With --data FILE.csv, not `a--b`:

    python 04_x.py --data my.csv

Next: 05_y.py.
"""
    assert build_notebooks.opening(docstring, ["A drawing"]).splitlines() == [
        "**The question.** A name is a row", "of letters.", "", "**The number.** 0.8 is right.",
        "", "**Equations and symbols**", "", "Some text:",
        "", "```text", "h_t = tanh(a)      the state", "", "x_t  an input", "```",
        "", "A drawing",
        "", "**Run it**", "", "```sh", "python 04_x.py", "```",
        "", "**It prints**", "", "```text", "right 0.8", "```",
        "", "Writes `out/x.json`.  With `--data FILE.csv`, not `a--b`:",
        "", "```sh", "python 04_x.py --data my.csv", "```",
    ]  # fmt: skip
    assert build_notebooks.following(docstring) == "**Next.** `05_y.py`."


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """All ten notebooks, in a folder with the modules, as a reader would have them."""
    folder = tmp_path_factory.mktemp("notebooks")
    build_notebooks.main([str(folder)])
    for path in ROOT.glob("rnn_*.py"):
        shutil.copy(path, folder)
    return folder


def test_all_ten_chapters_become_notebooks(notebooks):
    assert sorted(path.stem for path in notebooks.glob("*.ipynb")) == CHAPTERS
    for name in CHAPTERS:
        cells = json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        lines = (ROOT / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if line.startswith("def ")] == [
            line for line in code.splitlines() if line.startswith("def ")
        ]


FAST = ("01_sequence_basics", "04_simple_rnn")
ALL = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CHAPTERS]


@pytest.mark.parametrize("name", ALL)
def test_a_notebook_runs_from_top_to_bottom_and_shows_its_figures(name, notebooks):
    pytest.importorskip("ipykernel")
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", f"{name}.ipynb"]
    done = subprocess.run(command, cwd=notebooks, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    cells = json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [out for out in cells[-1]["outputs"] if "image/png" in out.get("data", {})]
    drawn = list((notebooks / "outputs" / f"{name}_notebook").glob("*.png"))
    assert len(shown) == len(drawn) >= 2
