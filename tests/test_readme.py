"""README: every command in it parses, and (marker `slow`) runs, shrunk by --quick."""

from __future__ import annotations

import re
import shlex
import sys
import types

import pytest
from helpers import ROOT, load_script, run_script

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python (\d\d_\w+)\.py ?(.*)")


def commands(kind: str) -> list[list[tuple[str, list[str]]]]:
    """For each fence of one kind the (script, flags) of its lines that call a chapter."""
    fences = []
    for name, text in FENCE.findall(README):
        found = [COMMAND.fullmatch(line) for line in text.splitlines() if name == kind]
        lines = [(match[1], shlex.split(match[2])) for match in found if match]
        if lines:
            fences.append(lines)
    return fences


EVERY = [line for kind in ("bash", "sh") for lines in commands(kind) for line in lines]


def test_readme_has_commands_for_every_chapter():
    assert {script for script, _ in EVERY} == {path.stem for path in ROOT.glob("[01][0-9]_*.py")}


@pytest.mark.parametrize(("script", "flags"), EVERY)
def test_every_command_parses(script, flags):
    args = load_script(script).parse_args(flags)
    for flag in flags:
        if flag.startswith("--"):
            assert hasattr(args, flag[2:].replace("-", "_"))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#\s]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    anchors = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert anchors and anchors <= headings, anchors - headings


@pytest.mark.slow
@pytest.mark.parametrize("lines", commands("bash"), ids=lambda lines: lines[0][0][:2])
def test_every_command_runs(lines, tmp_path):
    for script, flags in lines:
        answers = {"--predict", "--forecast", "--prompt", "--eval-only", "--lesson"} & {*flags}
        quick = [] if answers or "--translate" in flags else ["--quick"]
        if "--epochs" in flags:
            flags[flags.index("--epochs") + 1] = "2"
        done = run_script(script, *flags, *quick, cwd=tmp_path, timeout=600)
        assert done.returncode == 0, (script, flags, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", sorted(ROOT.glob("[01][0-9]_*.py")), ids=lambda path: path.stem)
def test_every_script_opens_as_a_notebook(path, monkeypatch, capsys):
    jupytext = pytest.importorskip("jupytext")
    cells = jupytext.read(path).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert len(code) + len(prose) == len(cells)
    if path.stem >= "04":  # text and code in turn, not one lump
        assert 15 <= len(cells) <= 32
        assert len(prose) >= 7 and all(text.strip() for text in prose)
        kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in cells)
        assert "ccc" not in kinds and "mmm" not in kinds
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)  # for the dataclasses in the cells
    for cell in code:
        exec(compile(cell, path.stem, "exec"), notebook.__dict__)
    assert callable(notebook.main)
    # Nothing has run by itself, and the one line that was printed says how to run it.
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        'In a notebook, call main([...]) with the flags as a list: main(["--quick"])'
    ]
    assert printed.err == ""
