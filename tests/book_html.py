"""What the tests of the book share: building it, and reading its pages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from helpers import ROOT


def build_book(folder: Path) -> Path:
    """Build the book as README says, with warnings as errors; return the folder of its pages.

    It is built from a copy, because a build writes into docs/, and another may run beside it.
    """
    made = shutil.ignore_patterns("_build", "chapters", "__pycache__")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=made)
    for name in ("tests", "extras"):
        shutil.copytree(ROOT / name, folder / name, ignore=made)
    others = [ROOT / name for name in ("LICENSE", "requirements.txt", "pyproject.toml")]
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.md"), *others]:
        shutil.copy(path, folder)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "docs",
        "docs/_build/html",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "docs" / "_build" / "html"


class Page(HTMLParser):
    """The tags, the ids and the text of an HTML page, as it is before any script has run."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.tags: list[tuple[str, dict]] = []
        self.ids: set[str] = set()
        self.nested = 0  # links inside of links, which HTML does not allow
        self._in_link = False
        self._silent = 0  # inside <script>, <style> or <template>
        self._text: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self._text).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        self._silent += tag in ("script", "style", "template")
        if tag == "a":
            self.nested += self._in_link
            self._in_link = True

    def handle_endtag(self, tag):
        self._in_link = self._in_link and tag != "a"
        self._silent -= tag in ("script", "style", "template")

    def handle_data(self, data):
        if not self._silent:
            self._text.append(data)

    def values(self, tag: str, key: str) -> list[str]:
        """The values of an attribute, over all tags of a name."""
        return [found[key] for name, found in self.tags if name == tag and found.get(key)]

    def loaded(self) -> list[str]:
        """What a browser fetches to show the page: styles, scripts, pictures."""
        styles = [
            found["href"] for name, found in self.tags
            if name == "link" and {"stylesheet", "icon", "preload"} & {*found["rel"].split()}
        ]  # fmt: skip
        sources = [self.values(tag, "src") for tag in ("script", "img", "iframe", "source")]
        return styles + [source for found in sources for source in found]
