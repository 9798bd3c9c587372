"""All ten scripts: no network, the same figures again, and the habits of other machines."""

from __future__ import annotations

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


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    for part in load_script("tests/benchmark").PARTS:
        command = [sys.executable, str(ROOT / "tests" / "benchmark.py"), "--only", part]
        command += ["--repeats", "1", "--json", str(tmp_path / f"{part}.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / f"{part}.json").read_text(encoding="utf-8"))["parts"][part]
