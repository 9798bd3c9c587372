"""Write the ten chapters as notebooks.

    python docs/build_notebooks.py OUT

The text cells of a chapter become text, code cells code, and the docstring an opening in Markdown.
Two cells are added: the first says where the notebook has to lie, the last runs `main` with
--quick and shows the figures.  The pages of the book are made from the same cells.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(ROOT.glob("[01][0-9]_*.py"))
LABEL = re.compile(r"(The question|The number|Misconceptions) +")
EQUATIONS, COMMANDS, OUTPUT = "Equations and symbols", "Run it", "It prints"
PIECE = r"--[a-z][\w-]*|(?:\w+/)*\w+\.(?:csv|json|png|pth?|py)\b|(?:\w+/)+\w*"
# Flags and files, one after the other and with placeholders such as NAME; or code as it is.
CODE = re.compile(rf"`[^`]+`|(?<!\w)(?:{PIECE})(?: (?:{PIECE}|[A-Z]{{2,}}\b))*")
FIRST = """# Keep this notebook in the folder of the course, next to rnn_utils.py.
import sys

sys.path.insert(0, ".")"""
LAST_TEXT = """## Run it
Nothing has been trained yet.  `main` takes the flags of the command line as a list.  With
`--quick` it trains a tiny model on built-in data, in seconds.  For the real run leave `--quick`
out."""
LAST = """from pathlib import Path

from IPython.display import Image, display

metrics = main(["--quick", "--output-dir", "outputs/{name}_notebook"])
for figure in sorted(Path("outputs/{name}_notebook").glob("*.png")):
    display(Image(figure))"""


def fenced(block: str, kind: str) -> str:
    """A block as preformatted text; commands in the colours of a shell."""
    return f"```{'sh' if kind == COMMANDS else 'text'}\n{block}\n```"


def prose(block: str) -> str:
    """A paragraph in Markdown: file names and flags in the font of code, its label in bold."""
    lines = []
    for line in block.splitlines():
        label = LABEL.match(line)
        if label:
            line = f"\n**{label[1]}.** {line[label.end() :]}"
        lines.append(line if label else line.strip())
    return CODE.sub(lambda found: f"`{found[0].strip('`')}`", "\n".join(lines).strip())


def blocks(docstring: str) -> list[tuple[str, str]]:
    """(kind, text) of each paragraph ("") and each indented block of a docstring, without "Next".

    What starts with `python` is a command, what stands directly below a command is its output, and
    all else are equations.  Two of a kind, one below the other, become one.
    """
    found = [("", "")]
    text = docstring.partition("Next: ")[0].strip()
    for block in re.split(r"\n\s*\n", text)[1:]:
        above, text_above = found[-1]
        kind = ""
        if block.startswith("    "):
            block = textwrap.dedent(block)
            below_command = above in (COMMANDS, OUTPUT)
            kind = OUTPUT if below_command else EQUATIONS
            kind = COMMANDS if block.startswith("python ") else kind
        if kind and kind == above:
            found[-1] = (kind, f"{text_above}\n\n{block}")
        else:
            found.append((kind, block))
    return found[1:]


def opening(docstring: str, drawings: Iterable[str] = ()) -> str:
    """The docstring of a chapter, without its first line and "Next", in Markdown.

    What is indented stays as it is, below a label; but a paragraph that ends with a colon is label
    enough for commands.  The drawings follow the equations.
    """
    parts, commands_seen = [], False
    for kind, text in blocks(docstring):
        introduced = bool(parts) and parts[-1].endswith(":")
        if kind == COMMANDS and not commands_seen:
            parts += drawings
            commands_seen = True
        if kind == EQUATIONS:
            parts.insert(len(parts) - introduced, f"**{kind}**")
        elif kind and not introduced:
            parts.append(f"**{kind}**")
        parts.append(fenced(text, kind) if kind else prose(text))
    return "\n\n".join(parts)


def following(docstring: str) -> str:
    """What to read after a chapter."""
    return f"**Next.** {prose(docstring.partition('Next: ')[2])}"


def chapter_cells(path: Path) -> tuple[str, list[NotebookNode]]:
    """The docstring of a chapter, and its cells without it."""
    first, *others = jupytext.read(path, fmt="py:percent").cells
    docstring = ast.parse(first.source).body[0]
    imports = "\n".join(first.source.splitlines()[docstring.end_lineno :]).strip()
    return docstring.value.value, [new_code_cell(imports), *others]


def as_notebook(cells: list[NotebookNode]) -> NotebookNode:
    """The cells as a notebook that is the same in every build."""
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
    notebook = new_notebook(cells=cells)
    notebook.metadata.kernelspec = {
        "display_name": "Python 3", "language": "python", "name": "python3",
    }  # fmt: skip
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def chapter_notebook(path: Path) -> NotebookNode:
    """The whole chapter as a notebook that runs from top to bottom."""
    docstring, cells = chapter_cells(path)
    title = docstring.strip().splitlines()[0]
    text = new_markdown_cell(f"# {title}\n\n{opening(docstring)}\n\n{following(docstring)}")
    last = new_code_cell(LAST.format(name=path.stem))
    return as_notebook([text, new_code_cell(FIRST), *cells, new_markdown_cell(LAST_TEXT), last])


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        raise SystemExit(__doc__)
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    for path in CHAPTERS:
        target = folder / f"{path.stem}.ipynb"
        jupytext.write(chapter_notebook(path), target)
        print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
