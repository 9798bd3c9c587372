"""The pages of the book that are made from the chapters, and what Sphinx is told to do with text.

conf.py calls `write_pages`, which fills docs/chapters/ (not part of the package), and connects
the functions of the last two sections to Sphinx.  Nothing here runs a chapter.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import statistics
import zipfile
from pathlib import Path

import build_notebooks
import build_results
import jupytext
from docutils import nodes
from nbformat.v4 import new_markdown_cell
from sphinx import addnodes

DOCS = Path(__file__).resolve().parent
PAGES = DOCS / "chapters"
CAPTIONS = json.loads((DOCS / "captions.json").read_text(encoding="utf-8"))
RESULTS = json.loads(build_results.RESULTS.read_text(encoding="utf-8"))
# Pages in which a trained network runs -> chapter, and what to do there.
LIVE = {
    "names": ("04_simple_rnn", "Type a name, and see the languages after each letter"),
    "dates": ("09_attention_mechanism", "Type a date, and see where the decoder looks"),
    "shakespeare": ("10_text_generation", "Let the network write, and turn its temperature"),
}
# The diagrams of docs/draw_diagrams.py -> the chapter that shows them.
DIAGRAMS = {
    "rnn_unrolled": "01_sequence_basics",
    "padding": "02_text_preprocessing",
    "vanilla_cell": "04_simple_rnn",
    "lstm_cell": "05_lstm_sentiment",
    "gru_cell": "06_gru_time_series",
    "bidirectional": "07_bidirectional_rnn",
    "encoder_decoder": "08_seq2seq_basic",
    "attention": "09_attention_mechanism",
    "truncated_bptt": "10_text_generation",
}
FORMATTER = re.compile(r"^ *# fmt: (?:off|on)\n|  # fmt: skip", re.MULTILINE)
# The course as a zip, for those who read the book: what it holds, and the tests that need docs/.
COURSE = "learn_rnns"
COURSE_FILES = (
    "*.py", "*.md", "LICENSE", "requirements.txt", "pyproject.toml", "extras/*.py", "tests/**/*.*",
    "docs/TEACHING.md", "docs/results.json", "docs/images/**/*.png",
)  # fmt: skip
TESTS_OF_DOCS = {"book_html.py"} | {
    f"test_{name}.py"
    for name in ("book", "browser", "diagrams", "live", "package", "readme", "results")
}


# ---- 1. Pages ----------------------------------------------------------------------------


def write(name: str, contents: str | bytes) -> None:
    """Write a file, unless it is there already: Sphinx reads again only what has changed."""
    path = PAGES / name
    if isinstance(contents, str):
        contents = contents.encode("utf-8")
    if not path.exists() or path.read_bytes() != contents:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def course_zip() -> bytes:
    """The course in one folder of a zip file; the same files give the same bytes."""
    root = build_notebooks.ROOT
    found = {path for pattern in COURSE_FILES for path in root.glob(pattern)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as course:
        for path in sorted(found):
            name = path.relative_to(root).as_posix()
            if "/." in name or "__pycache__" in name or path.name in TESTS_OF_DOCS:
                continue
            entry = zipfile.ZipInfo(f"{COURSE}/{name}")  # dated 1980
            entry.external_attr = 0o644 << 16  # anyone may read it
            course.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def figure(path: str, alt: str, caption: str) -> str:
    """A figure with its caption; `path` as seen from its page."""
    return f"```{{figure}} {path}\n:alt: {alt}\n\n{caption}\n```"


def diagrams(names: list[str], images: str) -> list[str]:
    """Those of the diagrams that are drawn; `images` is docs/images/ as seen from the page."""
    found = []
    for name in names:
        if (DOCS / "images" / "diagrams" / f"{name}.svg").is_file():
            found.append(figure(f"{images}/diagrams/{name}.svg", *CAPTIONS["diagrams"][name]))
    return found


def links(script: str) -> str:
    """The line below a chapter's title."""
    parts = [
        f"{{download}}`The script <../../{script}.py>` (needs the `rnn_*.py` files: "
        f"{{download}}`the whole course as a zip <{COURSE}.zip>`)",
        f"{{download}}`as a notebook <notebooks/{script}.ipynb>`",
        "[what it prints](#what-it-prints)",
        "[its figures](#its-figures)",
        "[exercises](#exercises)",
    ]
    for name, (chapter, _) in LIVE.items():
        if chapter == script and (DOCS / "live" / f"{name}.html").is_file():
            parts.append(f'<a href="../live/{name}.html">try it in the browser</a>')
    return " · ".join(parts)


def printed(script: str) -> str:
    """What the recorded runs of a chapter printed, and what they drew."""
    folder = DOCS / "runs" / script
    seed_and_versions = f"seed 0, PyTorch {RESULTS['versions']['torch']}"
    parts = [
        f"## What it prints\nThe log of `python {script}.py` ({seed_and_versions}, a 2-core "
        "machine without a GPU).  Times depend on the machine."
    ]
    for log in sorted(folder.glob("*.txt"), key=lambda path: path.stem != "log"):
        if log.stem != "log":
            parts.append(f"And of the lesson `{log.stem}`:")
        parts.append(f"```{{literalinclude}} ../runs/{script}/{log.name}\n:language: text\n```")
    parts.append("## Its figures")
    for name, (alt, caption) in CAPTIONS[script].items():
        parts.append(figure(f"../runs/{script}/{name}.png", alt, f"`{name}.png`: {caption}"))
    return "\n\n".join(parts)


def with_links(text: str) -> str:
    """Make the file names of chapters links to their pages."""
    return re.sub(r"(`([01][0-9]_\w+)\.py`)", r"[\1](\2.ipynb)", text)


def chapter_page(chapter) -> str:
    """The page of a chapter: its text and code, what it prints and draws, and what comes next.

    Imports and command line are folded up, and remarks to the formatter left out.
    """
    script = chapter.script
    docstring, cells = build_notebooks.chapter_cells(build_notebooks.ROOT / f"{script}.py")
    names = [name for name, where in DIAGRAMS.items() if where == script]
    drawn = diagrams(names, "../images")
    title = f"# {script[:2]} {chapter.title}\n\n*{chapter.question}*\n\n{links(script)}"
    opening = with_links(build_notebooks.opening(docstring, drawn))
    following = with_links(build_notebooks.following(docstring))
    head = new_markdown_cell(f"{title}\n\n{opening}\n\n## Imports")
    tail = new_markdown_cell(f"{printed(script)}\n\n{following}")
    notebook = build_notebooks.as_notebook([head, *cells, tail])
    folded = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            folded = bool(re.search(r"^## (Imports|.*Command line)", cell.source, re.MULTILINE))
            continue
        cell.source = FORMATTER.sub("", cell.source)
        if folded:
            cell.metadata["tags"] = ["hide-input"]
    return jupytext.writes(notebook, fmt="ipynb")


def contents() -> str:
    """The chapters as a list for the start page."""
    lines = []
    for script, title, question, *_ in build_results.CHAPTERS:
        lines.append(f"- [{script[:2]} {title}](chapters/{script}.ipynb): {question}")
    return "\n".join(lines)


def results_table() -> str:
    """docs/results.json as a table: what the networks reach, and the best of their baselines."""
    lines = ["| task | measure | network | best baseline | seeds | who wins |"]
    lines += ["|---|---|---|---|---|---|"]
    for record in RESULTS["records"]:
        measure = record["measure"]
        mean, low, high = (
            build_results.shown(value, measure) for value in build_results.spread(record["network"])
        )
        network = mean if low == high else f"{mean} ({low} to {high})"
        reference = statistics.fmean(record["baseline_values"])
        share = statistics.fmean(build_results.removed(record))
        winner = "network" if share > 0 else "baseline"
        if build_results.undecided(record):
            winner = "no difference is shown"
        cells = (
            f"[{record['name']}](chapters/{record['tutorial']}.ipynb)", measure, network,
            f"{build_results.shown(reference, measure)}, {record['baseline']}",
            ", ".join(map(str, record["seeds"])), winner,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def live_list() -> str:
    """The pages in which a network runs, as a list; those that are there."""
    lines = [
        f"- <a href='live/{name}.html'>{text}</a> (chapter {chapter[:2]})"
        for name, (chapter, text) in LIVE.items()
        if (DOCS / "live" / f"{name}.html").is_file()
    ]
    return "\n".join(lines) or "(This copy of the book was built without them.)"


def key_concepts(readme: str) -> str:
    """This section of README, its diagrams with captions."""
    section = re.search(r"\n## Key concepts\n(.*?)\n## Data\n", readme, re.DOTALL)[1]

    def captioned(found) -> str:
        alt, name = found.groups()
        return figure(f"images/diagrams/{name}.svg", alt, CAPTIONS["diagrams"][name][1])

    return re.sub(r"!\[(.*)\]\(docs/images/diagrams/(\w+)\.png\)", captioned, section)


def write_pages() -> None:
    for chapter in build_results.CHAPTERS:
        write(f"{chapter.script}.ipynb", chapter_page(chapter))
    for path in build_notebooks.CHAPTERS:
        notebook = jupytext.writes(build_notebooks.chapter_notebook(path), fmt="ipynb")
        write(f"notebooks/{path.name.replace('.py', '.ipynb')}", notebook)
    readme = build_results.README.read_text(encoding="utf-8")
    write(f"{COURSE}.zip", course_zip())
    write("parts/contents.md", contents())
    write("parts/key_concepts.md", key_concepts(readme))
    write("parts/results.md", results_table())
    write("parts/live.md", live_list())
    others = [name for name in DIAGRAMS if f"diagrams/{name}" not in readme]
    drawn = diagrams(others, "images")
    write("parts/diagrams.md", "\n\n".join(["### More diagrams", *drawn] if drawn else []))


def front_door(app, docname: str, source: list[str]) -> None:
    """TEACHING.md is also read on GitHub, where README is the first page."""
    source[0] = source[0].replace("](../README.md)", "](index.md)")


def copy_live_pages(app, exception) -> None:
    """Put the live pages into the book as they are."""
    if exception is None and app.builder.format == "html" and (DOCS / "live").is_dir():
        shutil.copytree(DOCS / "live", Path(app.outdir) / "live", dirs_exist_ok=True)


# ---- 2. Glossary -------------------------------------------------------------------------

# Term -> its definition; and what stands on a page -> term.
TERMS = dict(
    re.findall(r"^(\w.*)\n  (\w.*)", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.M)
)
TARGETS = {term: term for term in TERMS}
TARGETS.update(dict.fromkeys(("macro f1", "macro F1"), "macro-F1"))
TARGETS.update({text[0].upper() + text[1:]: term for text, term in TARGETS.items()})  # first words
# The longest first, so that "forget gate" is not taken for "gate"; with the plural.  But no
# "windows", which are mostly those of a screen.
TERM = re.compile(
    r"(?<![\w.-])(?![Ww]indows)("
    + "|".join(sorted(TARGETS, key=len, reverse=True)).replace(" ", r"\s+")
    + r")s?(?![\w-])"
)
NOT_INSIDE = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.Invisible,
              nodes.raw, nodes.caption, addnodes.pending_xref, addnodes.download_reference,
              addnodes.desc_signature, nodes.rubric)  # fmt: skip


def join_lines(doctree) -> None:
    """A paragraph comes as one text for each line; make it one, so that terms are not cut."""
    for element in list(doctree.findall(nodes.TextElement)):
        joined = []
        for child in element.children:
            if joined and isinstance(child, nodes.Text) and isinstance(joined[-1], nodes.Text):
                joined[-1] = nodes.Text(joined[-1] + child)
            else:
                joined.append(child)
        element.children = []
        element.extend(joined)


def link_terms(app, doctree) -> None:
    """Link each term of the glossary where it first stands on a page."""
    docname = app.env.docname
    if docname in ("glossary", "try_it"):  # the second is a list of links
        return
    join_lines(doctree)
    seen = set()
    for text in list(doctree.findall(nodes.Text)):
        parent = text.parent
        while parent is not None and not isinstance(parent, NOT_INSIDE):
            parent = parent.parent
        if parent is not None:
            continue
        pieces, end = [], 0
        for match in TERM.finditer(text):
            term = TARGETS[" ".join(match[1].split())]
            if term in seen:
                continue
            seen.add(term)
            link = addnodes.pending_xref(
                "", nodes.inline("", match[0], classes=["std", "std-term"]), refdomain="std",
                reftype="term", reftarget=term, refdoc=docname, refwarn=True,
            )  # fmt: skip
            pieces += [nodes.Text(text[end : match.start()]), link]
            end = match.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[end:])])


def show_definitions(app, doctree, docname: str) -> None:
    """The definition of a term appears when the mouse rests on its link."""
    for link in doctree.findall(nodes.reference):
        if isinstance(link[0], nodes.inline) and "std-term" in link[0]["classes"]:
            term = TARGETS[" ".join(TERM.match(link.astext())[1].split())]
            link["reftitle"] = TERMS[term].replace("`", "")


# ---- 3. Docstrings -----------------------------------------------------------------------


def as_rest(app, what, name, what_object, options, lines: list[str]) -> None:
    """The docstrings of the modules are plain text: keep their paragraphs, and their columns."""
    text = "\n".join(lines).strip("\n")
    new = []
    for block in re.split(r"\n\s*\n", text):
        if re.search(r"^ |[^.:?! ]  +\S", block, re.MULTILINE):  # indented, or in columns
            new += ["::", "", *(f"    {line}" for line in block.splitlines()), ""]
        else:
            parts = re.split(r"(`[^`]+`|(?<!\w)--[a-z][\w-]*)", block)
            parts[::2] = [re.sub(r"([*_|\\])", r"\\\1", part) for part in parts[::2]]
            parts[1::2] = [f"``{part.strip('`')}``" for part in parts[1::2]]
            new += ["".join(parts).replace("\n", " "), ""]
    lines[:] = new


def skip_fields(app, what, name, value, skip, options):
    """The fields of a named tuple have no docstring of their own: the class names them."""
    return True if type(value).__name__ == "_tuplegetter" else None
