"""What several test files use: loading a numbered script, and running one as users do."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

import rnn_baselines
import rnn_pairs
import rnn_texts
import rnn_utils

ROOT = Path(__file__).resolve().parent.parent
# Warnings are errors, but for two of PyTorch 2.0's own: its wheels let tiny numbers become 0, on
# which NumPy remarks, and it warns of what its own `load` does.
WARNINGS = ["-W", "error", "-W", "ignore:The value of the smallest subnormal:UserWarning"]
WARNINGS += ["-W", "ignore:TypedStorage is deprecated:UserWarning"]


def load_script(name: str):
    """Import a script such as "04_simple_rnn", whose name `import` cannot spell."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run_script(name: str, *flags, cwd, timeout: float = 120, **environment):
    """Run a script in its own process, in the folder `cwd`, with warnings as errors.

    Returns the CompletedProcess with text in `stdout` and `stderr`.  The network is
    off; further environment variables may be given by name.
    """
    environment = {"RNN_OFFLINE": "1", "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        [sys.executable, *WARNINGS, str(ROOT / f"{name}.py"), *map(str, flags)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=environment["PYTHONIOENCODING"],
        timeout=timeout,
    )


def run_here(script, flags, capsys) -> subprocess.CompletedProcess:
    """Run a loaded script's `main` as a program, in this process: as `run_script`, but fast."""
    try:
        rnn_utils.run(lambda: script.main(flags))
        status = 0
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    return subprocess.CompletedProcess(flags, status, printed.out, printed.err)


def assert_one_line_error(completed, *fragments: str) -> None:
    """The contract of every user's mistake: status 2, one line that names the trouble."""
    assert completed.returncode == 2, completed.stderr
    lines = completed.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), completed.stderr
    for fragment in fragments:
        assert fragment in lines[0], lines[0]


class InterruptedAfter:
    """Stands in for a script's `evaluate`, and presses Ctrl-C in the epoch after `epochs`."""

    def __init__(self, epochs: int, evaluate):
        self.left, self.evaluate = epochs, evaluate

    def __call__(self, *inputs):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.evaluate(*inputs)


class Call(NamedTuple):
    args: tuple
    result: Any


def note_calls(monkeypatch, owner, name: str) -> list[Call]:
    """Let `owner.name` note its calls in the list that is returned; it does its work as before."""
    original = getattr(owner, name)
    calls = []

    def noting(*args, **named):
        calls.append(Call(args, original(*args, **named)))
        return calls[-1].result

    monkeypatch.setattr(owner, name, noting)
    return calls


class Watched:
    """Notes what one run of a script learns from, what it chooses by, and its steps."""

    def __init__(self, script, monkeypatch, home=None):
        """`home` is the module that holds `introduce`, if it is not the script."""
        self.introduced = note_calls(monkeypatch, home or script, "introduce")
        self.learned = note_calls(monkeypatch, script, "train_epoch")
        self.evaluated = note_calls(monkeypatch, script, "evaluate")
        self.rates = note_calls(monkeypatch, rnn_utils, "learning_rate")
        self.clipped = note_calls(monkeypatch, rnn_utils, "clip_gradients")
        self.epochs = note_calls(monkeypatch, rnn_utils.BucketBatchSampler, "set_epoch")

    def data(self) -> dict:
        """The splits as tensors, as `introduce` returned them, alone or among other things."""
        result = self.introduced[0].result
        return result if isinstance(result, dict) else next(x for x in result if type(x) is dict)

    def assert_steps(self, clip: float) -> None:
        """The schedule covers each step of all epochs once, and each gradient is clipped."""
        steps = [call.args[0] for call in self.rates]
        assert steps == list(range(len(steps))) and len(self.learned) > 1
        assert {call.args[1] for call in self.rates} == {len(steps)}
        assert {call.args[1] for call in self.clipped} == {clip}
        assert len(self.clipped) == len(steps)

    def assert_new_batches_in_every_epoch(self) -> None:
        assert [call.args[1] for call in self.epochs] == list(range(1, len(self.learned) + 1))


def assert_classifier_keeps_splits_apart(script, flags: list[str], monkeypatch) -> None:
    """Run a script of labelled texts for two epochs; each split must have its place.

    Train is learned from, validation chooses, and test is asked once, at the end.
    """
    watched = Watched(script, monkeypatch, home=rnn_texts)
    asked = note_calls(monkeypatch, script, "predict_logits")
    compared = note_calls(monkeypatch, rnn_baselines, "classifier_baselines")
    script.main([*flags, "--epochs", "2", "--clip", "0.7"])
    data = watched.data()
    assert all(call.args[1] is data["train"] for call in watched.learned)
    assert all(call.args[1] is data["val"] for call in watched.evaluated)
    assert [call.args[1] is data["test"] for call in asked] == [False, False, True]
    splits = watched.introduced[0].args[2]
    assert compared[0].args[0] is splits  # the baselines have the same three
    watched.assert_steps(clip=0.7)
    watched.assert_new_batches_in_every_epoch()


def assert_translator_keeps_splits_apart(script, flags: list[str], monkeypatch) -> Watched:
    """The same for a script of pairs; 08 learns from fresh pairs, so that is not asked here."""
    watched = Watched(script, monkeypatch, home=rnn_pairs)
    answered = note_calls(monkeypatch, rnn_pairs, "answer")
    compared = note_calls(monkeypatch, rnn_baselines, "pair_baselines")
    script.main([*flags, "--epochs", "2", "--clip", "0.7"])
    data = watched.data()
    order = [data["val"], data["val"], data["test"]]
    assert all(call.args[1] is split for call, split in zip(watched.evaluated, order))
    assert len(watched.evaluated) == 3 and answered[0].args[1] is data["test"]
    memory, asked, _ = compared[0].args
    assert memory is data["train"].pairs and asked is data["test"].pairs
    watched.assert_steps(clip=0.7)
    watched.assert_new_batches_in_every_epoch()
    return watched


def note_gradients(monkeypatch, script, loss_name: str, parameter) -> list[torch.Tensor]:
    """Let a loss of the script's `F` note the gradient of each batch alone in what is returned."""
    loss_function = getattr(script.F, loss_name)
    alone = []

    def noting(guess, wanted):
        loss = loss_function(guess, wanted)
        alone.append(torch.autograd.grad(loss, parameter, retain_graph=True)[0])
        return loss

    monkeypatch.setattr(script.F, loss_name, noting)
    return alone


def assert_dropout_scales(layer, share: float) -> None:
    """Training divides what it keeps by 1 - share, so the mean stays; evaluation keeps all."""
    ones = torch.ones(50, 10, 20)
    kept = layer.train()(ones)
    assert not kept.all() and torch.allclose(kept[kept != 0], ones[kept != 0] / (1 - share))
    assert torch.equal(layer.eval()(ones), ones)


def assert_help_imports_nothing_heavy(name: str, flag: str) -> None:
    """`--help` must name `flag`, and do without what only some paths of a script need."""
    code = (
        "import sys; from helpers import load_script\n"
        f"try: load_script('{name}').main(['--help'])\n"
        "except SystemExit: print('heavy:', *{'matplotlib', 'pandas', 'sklearn'} & {*sys.modules})"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert flag in completed.stdout
    assert completed.stdout.splitlines()[-1].strip() == "heavy:", completed


def same_but_for_times(metrics: dict) -> dict:
    """What must repeat bit for bit when a run is repeated: the metrics without times and paths."""

    def without_times(value):
        if isinstance(value, list):
            return [without_times(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: without_times(item) for key, item in value.items() if "second" not in key}

    kept = {key: value for key, value in metrics.items() if key not in ("config", "versions")}
    return without_times(json.loads(json.dumps(kept)))  # keys and numbers as the file has them
