"""Faults: a crash, a full disk, Ctrl-C, a damaged or hostile file.  Nothing saved is ever lost.

Each table names a fault and how it is caused; the test below it says what must hold then.  They
are run on `rnn_utils` and on 04, the cheapest script, and under the marker `slow` on all others.
What a download can suffer is in test_download.py.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import torch
from helpers import (
    ROOT,
    InterruptedAfter,
    assert_one_line_error,
    load_script,
    run_here,
    same_but_for_times,
)

import rnn_data as rd
import rnn_utils as ru

try:
    import resource
except ImportError:  # Windows
    resource = None


class Learner(NamedTuple):
    """A script that trains: flags for a training of a second, and to ask what it has learned."""

    name: str
    tiny: list[str]
    ask: list[str]


def learner(number: str, *ask: str, tiny: str) -> Learner:
    (path,) = ROOT.glob(f"{number}_*.py")
    return Learner(path.stem, ["--no-plots", "--epochs", "3", *tiny.split()], list(ask))


QUICK = "--quick --max-examples 400 --hidden-size 8"
LEARNERS = [
    learner("04", "--predict", "Li", tiny="--quick --max-examples 600 --hidden-size 16"),
    *[
        pytest.param(each, marks=pytest.mark.slow)
        for each in (
            learner("05", "--predict", "a good film", tiny="--quick --max-examples 200"),
            learner("06", "--forecast", "2",
                    tiny="--num-steps 600 --hidden-size 6 --sequence-length 12 --horizon 4"),
            learner("07", "--predict", "who is it ?", tiny=QUICK),
            learner("08", "--predict", "123", tiny=QUICK),
            learner("09", "--translate", "3 may 2001", tiny=QUICK),
            learner("10", "--prompt", "x",
                    tiny="--quick --max-chars 20000 --hidden-size 16 --max-length 20"),
        )
    ],
]  # fmt: skip
MODEL = Path("models/m.pt")


class Broken(NamedTuple):
    """A training of three epochs that stopped after the first, in the folder `old`."""

    learner: Learner
    script: Any
    flags: list[str]
    old: Path
    straight: dict  # the metrics of the same training without a break


def by_name(value) -> str | None:
    return value if isinstance(value, str) else getattr(value, "name", None)


@pytest.fixture(scope="module", params=LEARNERS, ids=by_name)
def broken(request, tmp_path_factory) -> Broken:
    each, here = request.param, os.getcwd()
    script, folder = load_script(each.name), tmp_path_factory.mktemp("broken off")
    flags = [*each.tiny, "--save-model", "--path", str(MODEL), "--output-dir", "out"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        (folder / "straight").mkdir()
        os.chdir("straight")
        straight = script.main(flags)
        (folder / "old").mkdir()
        os.chdir(folder / "old")
        patch.setattr(script, "evaluate", InterruptedAfter(1, script.evaluate))
        with pytest.raises(KeyboardInterrupt):
            script.main(flags)
    assert os.getcwd() == here and (folder / "old" / MODEL).is_file()
    return Broken(each, script, flags, folder / "old", same_but_for_times(straight))


@pytest.fixture()
def work(broken, tmp_path, monkeypatch) -> Path:
    """A copy of the folder of the broken training, to do harm to; the current folder."""
    folder = shutil.copytree(broken.old, tmp_path / "work")
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_the_training_can_go_on(broken: Broken, capsys) -> None:
    """The next run ends as one without any break, and leaves no temporary file."""
    done = run_here(broken.script, [*broken.flags, "--resume"], capsys)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    metrics = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))
    assert same_but_for_times(metrics) == broken.straight
    assert not list(Path().rglob("*.tmp"))


# ---------------------------------------------------------------- in the middle of a save

STAGES = ["at the first byte", "half-way", "before the flush", "before the rename", "after it"]


def strike(patch: Callable, stage: str, name: str, act: Callable) -> None:
    """Make `act()` happen at one stage of saving the file `name`; `patch` works like setattr."""
    real_save, real_fsync, real_replace = torch.save, os.fsync, os.replace
    writing = [""]

    def save(record, file):
        writing[0] = Path(file.name).name
        if writing[0] == f"{name}.tmp" and stage == "at the first byte":
            act()
        if writing[0] == f"{name}.tmp" and stage == "half-way":
            whole = io.BytesIO()
            real_save(record, whole)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            act()
        real_save(record, file)

    def fsync(number):
        if writing[0] == f"{name}.tmp" and stage == "before the flush":
            act()
        real_fsync(number)

    def replace(source, target):
        if Path(target).name == name and stage == "before the rename":
            act()
        real_replace(source, target)
        if Path(target).name == name and stage == "after it":
            act()

    patch(torch, "save", save)
    patch(os, "fsync", fsync)
    patch(os, "replace", replace)


def kill_each(name: str, flags: list[str], jobs: list) -> list[int]:
    """Go on with the training in each of the folders, to be killed in a save; the exit statuses.

    Each job is (folder, stage, file).  One process imports everything and forks a child for each
    folder, since importing takes longer than the training.
    """
    # What every child would otherwise import anew: scikit-learn, and half of PyTorch.
    import sklearn.metrics  # noqa: F401

    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    script, statuses = load_script(name), []
    for folder, stage, file in jobs:
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            strike(setattr, stage, file, lambda: os.kill(os.getpid(), signal.SIGKILL))
            script.main(flags)
            os._exit(0)
        statuses.append(os.waitpid(child, 0)[1])
    return statuses


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has loaded PyTorch")
@pytest.mark.parametrize(
    "stages", [STAGES[1::2], pytest.param(STAGES[::2], marks=pytest.mark.slow)]
)
def test_kill_9_in_a_save_loses_nothing(broken, stages, tmp_path, monkeypatch, capsys):
    jobs = [(str(tmp_path / stage), stage, MODEL.name) for stage in stages]
    for folder, _, _ in jobs:
        shutil.copytree(broken.old, folder)
    code = "import sys, json, test_faults; print(test_faults.kill_each(*json.load(sys.stdin)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=json.dumps([broken.learner.name, [*broken.flags, "--resume"], jobs]),
        cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == f"{[int(signal.SIGKILL)] * len(jobs)}\n", done.stdout + done.stderr
    old = contents(broken.old)
    for folder, stage, _ in jobs:
        monkeypatch.chdir(folder)
        record = ru.load_checkpoint(MODEL, broken.learner.name)
        assert record["about"]["config"]["epochs"] == 3
        replaced = stage == "after it"
        assert replaced or MODEL.read_bytes() == old[MODEL.as_posix()], folder
        assert len(record["training"]["history"]) == (2 if replaced else 1)
    # Going on takes a second, so only from where the folders differ most.
    for folder, stage, _ in jobs:
        if stage in ("half-way", "after it"):
            monkeypatch.chdir(folder)
            assert_the_training_can_go_on(broken, capsys)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def no_permission() -> None:
    raise PermissionError(errno.EACCES, "Permission denied")  # on Windows: another program reads it


def broken_disk() -> None:
    raise OSError(errno.EIO, "Input/output error")


@contextlib.contextmanager
def largest_file(size: int):
    """A disk on which no file can grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class Fault(NamedTuple):
    """Something that goes wrong in a save, and what the user is told."""

    name: str
    cause: Callable[[pytest.MonkeyPatch, str], Any]  # given the name of the file that is saved
    status: int = 2
    says: str = "cannot be written"


def at(stage: str, act: Callable, **told) -> Fault:
    return Fault(f"{act.__name__} {stage}", lambda p, n: strike(p.setattr, stage, n, act), **told)


def a_full_disk(share: float) -> Fault:
    def cause(patch, name) -> contextlib.AbstractContextManager:
        return largest_file(int(share * (Path("models") / name).stat().st_size))

    mark = f"disk full after {share:.0%} of the file"
    return Fault(mark, cause)


def folder_in_the_way(patch, name) -> None:
    (Path("models") / f"{name}.tmp").mkdir()


FAULTS = [
    *[a_full_disk(share) for share in (0, 0.4, 0.99)],
    *[at(stage, ctrl_c, status=130, says="") for stage in STAGES],
    at("at the first byte", broken_disk),
    at("before the flush", broken_disk),
    at("before the rename", no_permission),
    Fault("a folder where the file is to be written", folder_in_the_way),
]


NOTHING = contextlib.nullcontext()


@contextlib.contextmanager
def caused(fault: Fault, name: str):
    """The fault, while the block lasts; then the user mends it."""
    if fault.name.startswith("disk") and resource is None:
        pytest.skip("no such limit here")
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs have none
    try:
        with pytest.MonkeyPatch.context() as patch, fault.cause(patch, name) or NOTHING:
            yield
    finally:
        signal.signal(signal.SIGINT, handler)
    with contextlib.suppress(OSError):
        (Path("models") / f"{name}.tmp").rmdir()


def assert_told(done, fault: Fault) -> None:
    if fault.status == 2:
        assert_one_line_error(done, "m.", fault.says)  # on a full disk m.pt may be the first
        return
    lines = done.stderr.strip().splitlines()
    assert done.returncode == fault.status and len(lines) == 1, done.stderr
    assert lines[0].startswith("Stopped by Ctrl-C.")


@pytest.mark.parametrize("fault", FAULTS, ids=by_name)
def test_a_fault_in_saving_keeps_the_previous_file(fault, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MODEL.parent.mkdir()
    saved = {"weights": {"w": torch.rand(1000)}, "labels": ["a"]}
    ru.save_checkpoint(MODEL, "04", {"number": 1, **saved})
    old = MODEL.read_bytes()
    with caused(fault, MODEL.name), pytest.raises(SystemExit) as stop:
        ru.run(lambda: ru.save_checkpoint(MODEL, "04", {"number": 2, **saved}))
    done = subprocess.CompletedProcess([], stop.value.code, "", capsys.readouterr().err)
    assert_told(done, fault)
    if fault.name == "ctrl_c after it":
        assert ru.load_checkpoint(MODEL, "04")["number"] == 2
    else:
        assert MODEL.read_bytes() == old
    ru.save_checkpoint(MODEL, "04", {"number": 3, **saved})
    assert ru.load_checkpoint(MODEL, "04")["number"] == 3
    assert contents(tmp_path).keys() == {MODEL.as_posix()}


FEW = ("40%", "ctrl_c half-way", "ctrl_c after it")  # a training takes a second
IN_TRAINING = [
    pytest.param(fault, marks=() if any(mark in fault.name for mark in FEW) else pytest.mark.slow)
    for fault in FAULTS
]


@pytest.mark.parametrize("fault", IN_TRAINING, ids=by_name)
def test_a_fault_in_training_loses_no_finished_epoch(broken, fault, work, capsys):
    old = contents(work)
    with caused(fault, MODEL.name):
        done = run_here(broken.script, [*broken.flags, "--resume"], capsys)
    assert_told(done, fault)
    if fault.status == 130:
        assert f"finished epochs are in {MODEL}" in done.stderr and "--resume" in done.stderr
    now = contents(work)
    ru.load_checkpoint(MODEL, broken.learner.name)
    if fault.name != "ctrl_c after it":
        assert now[MODEL.as_posix()] == old[MODEL.as_posix()]
    if fault.status == 2:
        assert now.keys() == old.keys()  # no half a file either
    assert_the_training_can_go_on(broken, capsys)


def test_ctrl_c_in_an_epoch_says_how_to_go_on(broken, work, monkeypatch, capsys):
    old = contents(work)

    def cause(patch, _):
        patch.setattr(broken.script, "evaluate", lambda *args: ctrl_c())

    fault = Fault("ctrl_c in an epoch", cause, status=130)
    with caused(fault, ""):
        done = run_here(broken.script, [*broken.flags, "--resume"], capsys)
    assert_told(done, fault)
    assert f"finished epochs are in {MODEL}" in done.stderr and "--resume" in done.stderr
    assert contents(work) == old
    assert_the_training_can_go_on(broken, capsys)


# ---------------------------------------------------------------- results on a full disk

SCRIPTS = [path.stem for path in sorted(ROOT.glob("[01][0-9]_*.py"))]


def draw(number: int) -> None:
    plt = ru.get_pyplot()
    figure, axes = plt.subplots()
    axes.plot([0, number])
    ru.save_figures({"curve": figure}, ".")


@pytest.mark.skipif(resource is None, reason="no limit of a file's size")
@pytest.mark.parametrize("size", [0, 1000])
def test_a_full_disk_keeps_the_previous_figure_and_metrics(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(1)
    ru.write_json("metrics.json", list(range(1000)))
    old = contents(tmp_path)
    with largest_file(size):
        with pytest.raises(ru.UserError, match=r"curve\.png.*cannot be written"):
            draw(2)
        with pytest.raises(ru.UserError, match=r"metrics\.json.*cannot be written"):
            ru.write_json("metrics.json", list(range(2000)))
    assert contents(tmp_path) == old
    draw(2)
    ru.write_json("metrics.json", [])
    assert contents(tmp_path).keys() == old.keys()


@pytest.mark.slow
@pytest.mark.skipif(resource is None, reason="no limit of a file's size")
@pytest.mark.parametrize("name", SCRIPTS)
def test_results_on_a_full_disk_leave_those_of_the_last_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script, flags = load_script(name), ["--quick", "--output-dir", "out"]
    assert run_here(script, flags, capsys).returncode == 0
    old = contents(tmp_path)
    assert "out/metrics.json" in old
    with largest_file(0):
        done = run_here(script, [*flags, "--seed", "1"], capsys)
    ru.get_pyplot().close("all")  # figures that were not written; a script of its own just ends
    assert_one_line_error(done, "cannot be written")
    assert contents(tmp_path) == old
    assert run_here(script, flags, capsys).returncode == 0
    assert contents(tmp_path).keys() == old.keys()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_folder_that_cannot_be_made_is_found_before_training(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"in the way")
    script = load_script(name)
    trains = name in [getattr(each, "values", [each])[0].name for each in LEARNERS]
    refused = [["--output-dir", "file/out"], ["--output-dir", "file"]]
    refused += [["--save-model", "--path", "file/m.pt"]] if trains else []
    for flags in refused:
        done = run_here(script, ["--quick", *flags], capsys)
        assert_one_line_error(done, flags[-2], "file")
        assert "epoch" not in done.stdout
        assert contents(tmp_path) == {"file": b"in the way"}
        shutil.rmtree("outputs", ignore_errors=True)


# ---------------------------------------------------------------- damaged and hostile checkpoints


class Hostile:
    """When unpickled, makes a folder as a sign that a stranger's code has run."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def resaved(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    """Damage from within: the checkpoint, changed and saved again."""

    def damage(path: Path) -> None:
        record = torch.load(path, weights_only=True)
        changed = change(record)
        torch.save(record if changed is None else changed, path)

    return damage


def cut_to(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return damage


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no checkpoint")


def without_its_pickle(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if not name.endswith("data.pkl"):
                archive.writestr(name, data)


def of_another_script(path: Path) -> None:
    name = "06_gru_time_series" if b"04_simple_rnn" in path.read_bytes() else "04_simple_rnn"
    resaved(lambda record: {**record, "tutorial": name})(path)


def all_weights(record: dict) -> list[dict]:
    """Those of the best epoch, which answer, and those of the last, which --resume needs."""
    return [record["best"]["weights"], record["training"]["weights"]]


def one_row_more(record: dict) -> None:
    for weights in all_weights(record):
        name, value = next(iter(weights.items()))
        weights[name] = torch.cat([value, value[:1]])


def one_weight_less(record: dict) -> None:
    for weights in all_weights(record):
        weights.popitem()


def no_weights(record: dict) -> None:
    for weights in all_weights(record):
        weights.clear()


def without(*keys: str) -> Callable[[Path], None]:
    """The checkpoint without one entry, given by the keys that lead to it."""

    def change(record: dict) -> None:
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return resaved(change)


def hostile_inside(record: dict) -> None:
    record["best"]["weights"]["more"] = Hostile()


def hostile_optimizer(record: dict) -> None:
    record["about"]["config"]["lr"] = Hostile()


WAYS = ["ask", "evaluate", "resume"]


class Damage(NamedTuple):
    name: str
    cause: Callable[[Path], None]
    says: str = "m."
    ways: Sequence[str] = WAYS  # in which the damage must be found


def no_settings(record: dict) -> None:
    record["about"]["config"].clear()


def no_sizes(record: dict) -> None:
    record["about"]["sizes"].clear()


DAMAGES = [
    Damage("empty", cut_to(0)),
    Damage("first half", cut_to(0.5)),
    Damage("all but the end", cut_to(0.999)),
    Damage("random bytes", lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000))),
    Damage("text", lambda path: path.write_text("weights: 1, 2, 3\n", encoding="utf-8")),
    Damage("a folder", folder_instead),
    Damage("another zip", other_members),
    Damage("zip without its pickle", without_its_pickle),
    Damage("another script's", of_another_script, "saved by"),
    Damage("a list", resaved(lambda record: [1, 2]), "not a checkpoint"),
    Damage("another format", resaved(lambda record: {**record, "format": 99}), "format 99"),
    Damage("one row more", resaved(one_row_more), "does not fit"),
    Damage("one weight less", resaved(one_weight_less), "does not fit"),
    Damage("no weights at all", resaved(no_weights), "does not fit"),
    Damage("no settings", resaved(no_settings), "does not fit", ["evaluate"]),
    Damage("no settings to resume", resaved(no_settings), "cannot resume", ["resume"]),
    Damage("no sizes", resaved(no_sizes), "does not fit", ["ask", "evaluate"]),
    Damage("hostile inside", resaved(hostile_inside)),
    Damage("hostile settings", resaved(hostile_optimizer)),
    Damage("hostile pickle", lambda path: path.write_bytes(pickle.dumps(Hostile()))),
    Damage("hostile and old", lambda path: torch.save(
        {"tutorial": "04_simple_rnn", "x": Hostile()}, path, _use_new_zipfile_serialization=False
    )),
]  # fmt: skip


def flags_of(broken: Broken, way: str) -> list[str]:
    if way == "ask":
        return [*broken.learner.ask, "--path", str(MODEL)]
    if way == "resume":
        return [*broken.flags, "--resume"]
    quick = ["--quick"] if "--quick" in broken.flags else []
    return ["--eval-only", "--path", str(MODEL), "--no-plots", "--output-dir", "out", *quick]


@pytest.mark.parametrize(
    ("damage", "way"), [(damage, way) for damage in DAMAGES for way in damage.ways], ids=by_name
)
def test_a_damaged_checkpoint_is_one_line(broken, damage, way, work, capsys):
    damage.cause(MODEL)
    before = contents(work)
    done = run_here(broken.script, flags_of(broken, way), capsys)
    assert_one_line_error(done, MODEL.name, damage.says)
    assert not (work / "pwned").exists() and contents(work) == before


def test_the_hostile_files_would_do_harm(tmp_path, monkeypatch):
    """Without protection they run code; or the test above would show nothing."""
    monkeypatch.chdir(tmp_path)
    weights = {"w": torch.ones(1)}
    record = {"best": {"weights": weights}, "training": {"weights": weights}}
    torch.save({**record, "about": {"config": {}}}, "m.pt")
    hostile = [damage for damage in DAMAGES if damage.name.startswith("hostile")]
    assert len(hostile) == 4
    for damage in hostile:
        path = Path(shutil.copy("m.pt", "copy.pt"))
        damage.cause(path)
        with contextlib.suppress(RuntimeError, ValueError, pickle.UnpicklingError):
            torch.load(path, weights_only=False)
        if not Path("pwned").exists():
            pickle.loads(path.read_bytes())
        assert Path("pwned").is_dir(), damage.name
        Path("pwned").rmdir()


@pytest.mark.parametrize(
    "way", ["ask", *(pytest.param(way, marks=pytest.mark.slow) for way in ("evaluate", "resume"))]
)
def test_a_checkpoint_without_one_of_its_parts_is_one_line_or_not_missed(
    broken, way, work, monkeypatch, capsys
):
    refused = set()
    whole = torch.load(MODEL, weights_only=True)
    parts = [(part,) for part in whole]
    parts += [(part, name) for part in ("about", "best", "training") for name in whole[part]]
    for part in parts:
        shutil.copy(broken.old / MODEL, MODEL)
        without(*part)(MODEL)
        done = run_here(broken.script, flags_of(broken, way), capsys)
        if done.returncode:
            assert_one_line_error(done, MODEL.name)
            refused.add(part)
        shutil.copytree(broken.old, work, dirs_exist_ok=True)
    assert refused >= {("tutorial",), ("format",), ("about",), ("best",), ("about", "config")}


def test_a_setting_that_is_missing_is_one_line_or_not_missed(broken, work, capsys):
    about = torch.load(MODEL, weights_only=True)["about"]
    refused = set()
    for part in ("sizes", "config"):
        for name in about[part]:
            shutil.copy(broken.old / MODEL, MODEL)
            without("about", part, name)(MODEL)
            done = run_here(broken.script, flags_of(broken, "ask"), capsys)
            if done.returncode:
                assert_one_line_error(done, MODEL.name)
                refused.add(name)
    assert "hidden_size" in refused and "seed" not in refused


# ---------------------------------------------------------------- damaged data and caches


CACHE_DAMAGES = {
    "half": lambda data: data[: len(data) // 2],
    "all but the end": lambda data: data[:-1],
    "a byte more": lambda data: data + b"e",
    "flipped": lambda data: bytes(b ^ 1 if i % 97 == 96 else b for i, b in enumerate(data)),
    "one line less": lambda data: data[: data.rindex(b"\n")],
    "without the first line": lambda data: data.partition(b"\n")[2],
    "only the first line": lambda data: data.partition(b"\n")[0],
    "a folder": None,
}


@pytest.mark.parametrize("damage", CACHE_DAMAGES.values(), ids=CACHE_DAMAGES)
def test_a_damaged_cache_of_tokens_is_made_anew(damage, tmp_path):
    folder = tmp_path / "imdb"
    folder.mkdir()
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
        for name in ("train/neg/0_1", "train/neg/1_1", "train/pos/0_9", "test/pos/0_9"):
            member = tarfile.TarInfo(f"aclImdb/{name}.txt")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))

    def load() -> dict:
        return rd.load_dataset("imdb", "imdb", tmp_path)[0]

    first, cache = load(), folder / "tokens.txt"
    assert load() == first and cache.is_file()
    sound = cache.read_bytes()
    if damage is None:
        cache.unlink()
        cache.mkdir()
    else:
        cache.write_bytes(damage(sound))
        assert cache.read_bytes() != sound
    assert load() == first
    assert not list(folder.glob("*.tmp"))
    assert cache.is_dir() or cache.read_bytes() == sound


DATA_SETS = {  # script: its data set, how to ask for it, a file of it
    "04_simple_rnn": ("names", "Arabic.txt"),
    "05_lstm_sentiment": ("imdb", "aclImdb_v1.tar.gz"),
    "07_bidirectional_rnn": ("trec", "TREC.train"),
    "09_attention_mechanism": ("multi30k", "train.en.gz"),
    "10_text_generation": ("shakespeare", "input.txt"),
}


@pytest.mark.parametrize("content", [b"", b"\0\xff" * 500, b"one line\n", None], ids=repr)
@pytest.mark.parametrize("name", DATA_SETS)
def test_a_damaged_data_file_is_one_line(name, content, tmp_path, capsys):
    dataset, damaged = DATA_SETS[name]
    folder = tmp_path / dataset
    folder.mkdir()
    for file in rd.DATA_SETS[dataset][1]:
        (folder / file).write_bytes(b"sound\n")
    (folder / damaged).unlink()
    if content is None:
        (folder / damaged).mkdir()
    else:
        (folder / damaged).write_bytes(content)
    flags = ["--dataset", dataset, "--data-dir", str(tmp_path), "--offline"]
    done = run_here(load_script(name), [*flags, "--output-dir", str(tmp_path / "out")], capsys)
    assert_one_line_error(done, dataset)
