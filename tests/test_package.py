"""All ten scripts: no network, the same figures again, other machines, and who knows whom."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import re
import shlex
import socket
import subprocess
import sys

import pytest
from helpers import ROOT, load_script, run_script, same_but_for_times

import rnn_utils

SCRIPTS = sorted(path.stem for path in ROOT.glob("[01][0-9]_*.py"))


def one_now_the_others_slowly(first: str) -> list:
    """All scripts as parameters; every one but `first` with the marker `slow`."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name != first)) for name in SCRIPTS]


def test_there_are_ten():
    assert [name[:2] for name in SCRIPTS] == [f"{number:02d}" for number in range(1, 11)]


def test_no_test_reaches_another_machine():
    for call in (socket.create_connection, lambda address: socket.getaddrinfo(*address)):
        with pytest.raises(RuntimeError, match=r"reach 192\.0\.2\.1"):
            call(("192.0.2.1", 80))
    call = "import urllib.request as u; u.urlopen('http://example.org', timeout=1)"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    assert "a test wants to reach example.org" in done.stderr


# A folder with a blank and an accent in its name, a console that knows 256 characters, no network,
# no home to write to; and twice, for the same seed gives the same figures.
@pytest.mark.parametrize("name", one_now_the_others_slowly("02_text_preprocessing"))
def test_the_same_seed_gives_the_same_metrics_on_a_strange_machine(name, tmp_path):
    folder, metrics = tmp_path / "réseaux récurrents", []
    folder.mkdir()
    for _ in range(2):
        flags = ["--quick"] + ["--offline"] * (name[:2] not in ("01", "03", "06"))
        done = run_script(name, *flags, cwd=folder, PYTHONIOENCODING="cp1252", HOME="/nowhere")
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        path = folder / "outputs" / name / "metrics.json"
        metrics.append(json.loads(path.read_text(encoding="utf-8")))
        figures = list(path.parent.glob("*.png"))
        assert figures and all(figure.stat().st_size > 5000 for figure in figures)
    assert same_but_for_times(metrics[0]) == same_but_for_times(metrics[1])


# ---------------------------------------------------------------- what the scripts say themselves

COMMAND = re.compile(r"^ *(?:# *)?python (\d\d_\w+)\.py *([^#\n]*)", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*\w")


def flags_of(name: str) -> set[str]:
    """Every flag in the help of a script."""
    help_text = io.StringIO()
    with contextlib.redirect_stdout(help_text), pytest.raises(SystemExit):
        load_script(name).parse_args(["--help"])
    return set(FLAG.findall(help_text.getvalue()))


@pytest.mark.parametrize("name", SCRIPTS)
def test_docstring_and_exercises_name_flags_and_commands_that_exist(name):
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    exercises = source[source.index("# Exercises\n") :]
    assert len(re.findall(r"^# [1-5]\. ", exercises, re.MULTILINE)) == 5
    commands = COMMAND.findall(re.sub(r"\\\n#? *", "", source))  # long ones go on in the next line
    assert name in {script for script, _ in commands}
    for script, flags in commands:
        load_script(script).parse_args(shlex.split(flags))
    known = set.union(flags_of(name), *(flags_of(script) for script, _ in commands))
    other = {f"--{flag}" for flag in ("nproc-per-node", "to", "upgrade")}  # of other programs
    assert set(FLAG.findall(source)) <= known | other


# ---------------------------------------------------------------- who knows whom

# Each may use those before it.
MODULES = ("rnn_utils", "rnn_files", "rnn_data", "rnn_baselines", "rnn_texts", "rnn_pairs")
EXTRAS = sorted(f"extras/{path.stem}" for path in ROOT.glob("extras/*.py"))
TREES = {
    name: ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))
    for name in (*MODULES, *SCRIPTS, *EXTRAS)
}
# What one chapter alone uses belongs into that chapter.  Exceptions, with their reasons:
ALLOWED = {
    "rnn_data.fold_to_ascii": "it makes the letters of a data set, with a table of its own",
    "rnn_data.date_pairs": "made-up data, always there, beside digit_strings",
    "rnn_files.read_text_files": "readers of users' files stand together, and treat them alike",
    "rnn_baselines.kneser_ney": "a baseline, with an explanation and tests of its own",
}
# A palette is one thing, whichever of its colours a chapter takes.
COLOURS = {"BLUE", "ORANGE", "GREEN", "PINK", "SKY", "YELLOW", "BLACK", "GREY"}


def public_names(module: str) -> set[str]:
    """What a module defines at its top level and does not keep to itself."""
    names = set()
    for node in TREES[module].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            found = [part for target in node.targets for part in ast.walk(target)]
            names.update(part.id for part in found if isinstance(part, ast.Name))
    return {f"{module}.{name}" for name in names if not name.startswith("_")}


def shared_names_used(file: str) -> set[str]:
    """What a file uses of the modules: "rnn_utils.PAD" for its ru.PAD, and so on."""
    module_of, home_of, used = {}, {}, set()
    if file in MODULES:  # a module may use what is its own
        home_of.update({name.partition(".")[2]: name for name in public_names(file)})
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            module_of.update({item.asname or item.name: item.name for item in node.names})
        elif isinstance(node, ast.ImportFrom):
            home_of.update({item.name: f"{node.module}.{item.name}" for item in node.names})
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.add(f"{module_of.get(node.value.id)}.{node.attr}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            used.add(home_of.get(node.id))
    # rnn_data hands on what rnn_files reads.
    handed_on = {name.replace("rnn_files", "rnn_data"): name for name in public_names("rnn_files")}
    return {handed_on.get(name, name) for name in used}


def test_no_name_in_a_module_serves_one_chapter_alone():
    used = {file: shared_names_used(file) for file in TREES}
    alone = {}
    for name in set().union(*map(public_names, MODULES)):
        if name.partition(".")[2] in COLOURS:
            continue
        users = [file for file in TREES if name in used[file]]
        if len(users) == 1 and users[0] not in MODULES:
            alone[name] = users[0]
    mistakes = [f"{name} serves {user} alone" for name, user in alone.items()]
    mistakes = [line for line in mistakes if line.split()[0] not in ALLOWED]
    assert not mistakes, "\n".join(sorted(mistakes))
    assert set(ALLOWED) <= set(alone)  # no exception that is not needed


def imported_by(file: str) -> set[str]:
    """The names of all modules that a file imports."""
    imported = set()
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            imported.update(item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    return imported


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("rnn_texts", ["rnn_pairs", "04_simple_rnn", "05_lstm_sentiment", "07_bidirectional_rnn"]),
        ("rnn_pairs", ["08_seq2seq_basic", "09_attention_mechanism"]),
    ],
)
def test_the_modules_of_one_task_serve_the_chapters_of_that_task(module, expected):
    assert [file for file in TREES if module in imported_by(file)] == expected


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_only_those_below_it_and_knows_no_chapter(module):
    imported = imported_by(module)
    own = {path.stem for path in ROOT.glob("*.py")}
    assert imported & own <= set(MODULES[: MODULES.index(module)])
    code = ast.unparse(TREES[module])  # without comments
    assert [script for script in SCRIPTS if script in code] == []


@pytest.mark.parametrize("name", [*SCRIPTS, *EXTRAS])
def test_only_main_and_parse_args_know_the_command_line(name):
    know = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            given = node.args
            parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg]
            if {"args", "settings"} & {item.arg for item in parameters if item}:
                know.add(getattr(node, "name", "a lambda"))
    assert know <= {"main", "parse_args"}


# ---------------------------------------------------------------- what the next maintainer reads


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_contributing_says_which_module_imports_which():
    rows = re.findall(r"^\| `(rnn_\w+)` \|.*\|(.*)\|$", read("CONTRIBUTING.md"), re.MULTILINE)
    said = {module: set(re.findall(r"`(\w+)`", imports)) for module, imports in rows}
    assert said == {module: imported_by(module) & set(MODULES) for module in MODULES}


def test_mypy_checks_all_modules():
    files = re.search(r"\[tool\.mypy\]\nfiles = \[(.*)\]", read("pyproject.toml"))[1]
    assert sorted(re.findall(r'"(\w+)\.py"', files)) == sorted(MODULES)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_and_programs_of_the_maintainers_pages_exist(name):
    links = re.findall(r"\]\((?!http)([^)#]+)", read(name))
    programs = re.findall(r"(?<![\w/])(?:docs/|tests/|extras/)?\w+\.py\b", read(name))
    assert programs
    assert [path for path in links + programs if not (ROOT / path).exists()] == []


def test_the_citation_has_the_title_of_readme():
    title = re.search(r'^title: "(.*)"$', read("CITATION.cff"), re.MULTILINE)[1]
    assert read("README.md").startswith(f"# {title}\n")


@pytest.mark.parametrize("form", ["bug", "question"])
def test_forms_ask_for_command_versions_and_last_lines(form, tmp_path):
    text = read(f".github/ISSUE_TEMPLATE/{form}.yml")
    labels = re.findall(r"label: (.*)", text)[-3:]
    assert labels == ["The command", "The versions", "The last lines of the output"]
    metrics = rnn_utils.write_metrics(
        argparse.Namespace(output_dir=str(tmp_path)), "", "", True, {}
    )
    assert set(re.findall(r'"(\w+)": "', text)) == set(metrics["versions"])


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    for part in load_script("tests/benchmark").PARTS:
        command = [sys.executable, str(ROOT / "tests" / "benchmark.py"), "--only", part]
        command += ["--repeats", "1", "--json", str(tmp_path / f"{part}.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / f"{part}.json").read_text(encoding="utf-8"))["parts"][part]
