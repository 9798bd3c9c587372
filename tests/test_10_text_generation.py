"""10: the chunks join up, one step is the layer, sampling is a distribution, no run is lost."""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import rnn_utils as ru

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    InterruptedAfter,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_here,
    run_script,
    same_but_for_times,
)
from hypothesis import given, settings
from hypothesis import strategies as st

script = load_script("10_text_generation")
NAME = "10_text_generation"
TINY = ["--quick", "--no-plots", "--max-chars", "20000", "--hidden-size", "16", "--batch-size", "8"]
TINY += ["--max-length", "20"]


def tiny_model(vocab_size=11, seed=0, **changes):
    flags = {"level": "char", "cell": "lstm", "hidden_size": 9, "num_layers": 1, "dropout": 0.0}
    ru.set_seed(seed)
    return script.LanguageModel(vocab_size, argparse.Namespace(**{**flags, **changes})).eval()


def tiny_vocab():
    return ru.Vocab(["<unk>", "\n", *"abcdefghi"])


def random_ids(count, vocab_size=11, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab_size, (count,), generator=generator)


# ---------------------------------------------------------------- the data


def test_targets_are_the_next_inputs_also_across_chunk_borders():
    ids = torch.arange(1000)
    inputs, targets = script.make_streams(ids, num_streams=3, steps=16)
    assert inputs.shape == targets.shape == (3, 320)
    assert torch.equal(targets, inputs + 1)
    for stream in inputs:  # every stream is one stretch of the text, and no symbol is in two
        assert torch.equal(stream, torch.arange(int(stream[0]), int(stream[0]) + 320))
    assert len(inputs.unique()) == inputs.numel()
    chunks = inputs.split(16, dim=1)
    for before, after in zip(chunks, chunks[1:]):
        assert torch.equal(before[:, -1] + 1, after[:, 0])


def test_splits_are_in_order_and_each_is_predicted_whole(tmp_path):
    text = "".join(chr(97 + index % 23) for index in range(1000))
    (tmp_path / "own.txt").write_text(text, encoding="utf-8")
    flags = ["--data", str(tmp_path / "own.txt"), "--batch-size", "4"]
    data, vocab, _ = script.load_data(script.parse_args(flags))
    ids = torch.tensor(vocab(text))
    assert torch.equal(data["val"], ids[:50])
    assert torch.equal(data["train"], ids[50:900])
    assert torch.equal(data["test"][1:], ids[900:]) and data["test"][0] == ids[899]


def test_a_long_text_is_tested_on_a_million_symbols():
    parts = script.cut(np.broadcast_to(0, 10**9))
    assert [len(parts[name]) for name in ("val", "test")] == [500_000, 1_000_001]
    assert len(parts["train"]) == 10**9 - 1_500_000


def test_vocabulary_comes_from_the_training_text_alone(monkeypatch):
    monkeypatch.setattr(ru, "BLOCK", 100)  # of 255 symbols to train on
    args = argparse.Namespace(data="x", level="char", batch_size=2, sequence_length=4)
    words, ids = ru.number_tokens(["d" * 15, "ab" * 127, "c" + "d" * 30])
    vocab = script.build_vocab(words, ids, args)
    assert vocab.get_itos() == ["<unk>", "a", "b"]  # c was seen once, d is not in train
    assert vocab("abcd") == [1, 2, 0, 0]


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_text_on_disk_is_the_text_in_memory(level, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ru, "BLOCK", 1000)
    read_blocks = ru.read_blocks
    monkeypatch.setattr(ru, "read_blocks", lambda path: read_blocks(path, 500))
    for name in ("a.txt", "b.txt"):
        lines = [f"line {number}: it's about {name}, é\r\n" for number in range(300)]
        (tmp_path / name).write_bytes("".join(lines).encode())
    flags = ["--data", str(tmp_path), "--level", level, "--output-dir", str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    in_memory, vocab, _ = script.load_data(script.parse_args(flags))
    args = script.parse_args([*flags, "--max-chars", "0"])
    on_disk, mapped_vocab, _ = script.load_data(args)
    assert mapped_vocab.get_itos() == vocab.get_itos()
    for part in ("train", "val", "test"):
        assert torch.equal(on_disk[part], in_memory[part])
    text = script.decode(in_memory["train"], vocab)
    assert "it's about a.txt, é\nline" in text and "\r" not in text

    capsys.readouterr()
    again, _, _ = script.load_data(args)  # now from the file alone
    assert "prepared before" in capsys.readouterr().out
    assert torch.equal(again["train"], on_disk["train"])
    backwards = ru.Vocab(["<unk>", *vocab.get_itos()[:0:-1]])  # a checkpoint numbers otherwise
    other, _, _ = script.load_data(args, backwards)
    assert "writing" in capsys.readouterr().out
    assert not torch.equal(other["val"], in_memory["val"])
    assert script.decode(other["val"], backwards) == script.decode(in_memory["val"], vocab)


@pytest.mark.parametrize("damage", ["cut short", "gone", "no record", "changed", "not JSON"])
def test_a_damaged_or_old_file_of_numbers_is_written_again(damage, tmp_path, capsys):
    text, output = tmp_path / "own.txt", tmp_path / "out"
    text.write_text("to be or not to be\n" * 200, encoding="utf-8")
    output.mkdir()
    flags = ["--data", str(text), "--batch-size", "8", "--max-chars", "0"]
    args = script.parse_args([*flags, "--output-dir", str(output)])
    whole = script.load_data(args)[0]["train"].clone()
    record, file = output / "text.json", output / "text.int32"
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:-4])
    elif damage == "gone":
        file.unlink()
    elif damage == "no record":
        record.unlink()
    elif damage == "changed":
        text.write_text("to be or not to be\n" * 100, encoding="utf-8")
        whole = whole[: len(script.cut(range(1900))["train"])]
    else:
        record.write_text('{"source"', encoding="utf-8")
    capsys.readouterr()
    data, vocab, _ = script.load_data(args)
    assert "writing" in capsys.readouterr().out
    assert len(data["train"]) == len(whole)
    assert "to be or not to be" in script.decode(data["train"], vocab)


def test_a_run_keeps_its_text_while_another_writes_its_own(tmp_path):
    flags = ["--output-dir", str(tmp_path), "--max-chars", "0", "--batch-size", "4"]
    for name, text in (("a.txt", "abc" * 400), ("b.txt", "xy" * 400)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    first, vocab, _ = script.load_data(
        script.parse_args([*flags, "--data", str(tmp_path / "a.txt")])
    )
    script.load_data(script.parse_args([*flags, "--data", str(tmp_path / "b.txt")]))
    assert script.decode(first["train"], vocab) == ("abc" * 400)[60:1080]
    assert {path.name for path in tmp_path.glob("text.*")} == {"text.int32", "text.json"}


@pytest.mark.parametrize("flags", [[], ["--max-chars", "0"]])
def test_a_text_that_is_not_there_is_one_line(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    done = run_here(script, ["--quick", "--data", "absent.txt", *flags], capsys)
    assert_one_line_error(done, "absent.txt")
    (tmp_path / "binary.txt").write_bytes(b"text\n" * 9 + b"\0")
    done = run_here(script, ["--quick", "--data", "binary.txt", *flags], capsys)
    assert_one_line_error(done, "binary.txt", "binary")
    assert not list(tmp_path.rglob("text.*"))  # no half a file


@pytest.mark.parametrize("flags", [[], ["--max-chars", "0"]])
def test_a_folder_of_empty_files_is_one_line(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("hollow").mkdir()
    for name in ("a.txt", "b.txt"):
        (Path("hollow") / name).touch()
    done = run_here(script, ["--quick", "--data", "hollow", *flags], capsys)
    assert_one_line_error(done, "hollow: no text in it")
    assert not list(tmp_path.rglob("text.*"))


def test_a_mapped_text_takes_no_memory(tmp_path):
    with open(tmp_path / "text.int32", "wb") as file:
        try:
            file.truncate(1 << 41)  # a hole: two terabytes, and no disk
        except OSError:
            pytest.skip("no such files on this disk")
    ids = script.map_numbers(tmp_path / "text.int32")
    assert len(ids) == 1 << 39 and int(ids[-1]) == 0


def test_training_on_a_text_on_disk_gives_the_same_figures(tmp_path):
    text = tmp_path / "own.txt"
    text.write_text("".join(f"{n} times {n} is {n * n}\n" for n in range(700)), encoding="utf-8")
    flags = [*TINY, "--data", str(text), "--output-dir", str(tmp_path / "out")]
    in_memory = script.main(flags)
    on_disk = script.main([*flags, "--max-chars", "0"])
    assert same_but_for_times(in_memory) == same_but_for_times(on_disk)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_words_joined_together_are_the_text(text):
    assert "".join(script.tokenize(text, "word")) == text


def test_words_are_words():
    words = script.tokenize("ROMEO:\nI'll go, now.", "word")
    assert words == ["ROMEO", ":", "\n", "I'll", " go", ",", " now", "."]


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_single_steps_equal_the_layer(cell, num_layers):
    model, ids = tiny_model(cell=cell, num_layers=num_layers), random_ids(17)
    whole, _ = model(ids[None])
    states = model.zero_states()
    for t, symbol in enumerate(ids.split(1)):
        logits, states = model.step(symbol, states)
        torch.testing.assert_close(logits[0], whole[0, t], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_carried_state_makes_chunks_equal_one_long_pass(cell):
    model, ids = tiny_model(cell=cell), random_ids(60)
    whole, _ = model(ids[None])
    state, pieces = None, []
    for chunk in ids.split(7):
        logits, state = model(chunk[None], state)
        state = script.detach(state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=0)


def test_detached_state_has_the_numbers_and_no_past():
    model = tiny_model()
    _, state = model(random_ids(5)[None])
    assert all(part.requires_grad for part in state)
    for part, before in zip(script.detach(state), state):
        assert torch.equal(part, before) and not part.requires_grad


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_future_never_leaks(cell):
    model, ids = tiny_model(cell=cell), random_ids(30)
    changed = ids.clone()
    changed[20:] = (changed[20:] + 1) % 11
    before, after = model(ids[None])[0], model(changed[None])[0]
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.equal(before[:, 20:], after[:, 20:])


def test_evaluation_is_over_all_symbols_exactly():
    model, ids = tiny_model(), random_ids(101)
    logits, _ = model(ids[:-1][None])
    expected = -sum(logits[0].log_softmax(dim=1)[t, ids[t + 1]].item() for t in range(100)) / 100
    for steps in (1, 7, 100, 2000):
        scores = script.evaluate(model, ids, steps)
        assert scores["loss"] == pytest.approx(expected, abs=1e-6)
    assert scores["bits"] == pytest.approx(expected / math.log(2), abs=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(expected), abs=1e-4)


def test_words_share_one_table_and_characters_do_not():
    words, characters = tiny_model(level="word"), tiny_model()
    assert words.output.weight is words.embedding.weight
    assert characters.output.weight is not characters.embedding.weight
    assert (
        ru.count_parameters(words) == sum(p.numel() for p in words.rnn.parameters()) + 11 * 9 + 11
    )


def test_forget_gate_is_open_and_recurrent_matrices_orthogonal():
    rnn = tiny_model(hidden_size=8).rnn
    for gate in rnn.weight_hh_l0.split(8):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)
    assert rnn.bias_ih_l0.tolist() == [0] * 8 + [1] * 8 + [0] * 16
    assert not rnn.bias_hh_l0.any()


def training_args(**changes):
    flags = {"level": "char", "epochs": 1, "lr": 1e-2, "sequence_length": 5, "clip": 1.0, "seed": 0}
    return argparse.Namespace(**{**flags, "stateless": False, "amp": False, **changes})


def states_seen_in_training(monkeypatch, **changes):
    """Train one epoch of 6 chunks; return the state that each chunk began with."""
    model, seen = tiny_model(), []
    forward = model.forward
    model.forward = lambda inputs, state=None: seen.append(state) or forward(inputs, state)
    streams = script.make_streams(random_ids(62), 2, 5)
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    optimizer = torch.optim.AdamW(model.parameters())
    script.train_epoch(model, streams, optimizer, tiny_vocab(), 1, training_args(**changes))
    return seen


def test_training_carries_the_state_detached_and_stateless_does_not(monkeypatch):
    monkeypatch.setattr(script, "RESTART", 0.0)
    first, *others = states_seen_in_training(monkeypatch)
    assert first is None and len(others) == 5
    assert all(not part.requires_grad and part.any() for state in others for part in state)
    assert states_seen_in_training(monkeypatch, stateless=True) == [None] * 6
    monkeypatch.setattr(script, "RESTART", 1.0)
    assert states_seen_in_training(monkeypatch) == [None] * 6


def test_model_can_overfit_one_batch(monkeypatch):
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    model, ids = tiny_model(hidden_size=64), random_ids(2 * 20 + 1)
    streams = script.make_streams(ids, 2, 20)
    optimizer = torch.optim.AdamW(model.parameters())
    args = training_args(epochs=150, sequence_length=20)
    for epoch in range(1, 151):
        row = script.train_epoch(model, streams, optimizer, tiny_vocab(), epoch, args)
    assert row["train_loss"] < 0.05


CPU = torch.device("cpu")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_amp_trains_in_bfloat16_and_evaluates_in_float32(cell, monkeypatch):
    try:
        script.require_amp(tiny_model(cell=cell), CPU, training_args(amp=True, cell=cell))
    except ru.UserError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    streams, rows, dtypes = script.make_streams(random_ids(2 * 60 + 1), 2, 5), {}, []
    for amp in (False, True):
        model = tiny_model(hidden_size=32, cell=cell)
        model.register_forward_hook(lambda *call: dtypes.append(call[-1][0].dtype))
        optimizer = torch.optim.AdamW(model.parameters())
        args = training_args(amp=amp)
        rows[amp] = script.train_epoch(model, streams, optimizer, tiny_vocab(), 1, args)
        script.evaluate(model, random_ids(20))
        assert dtypes == [torch.bfloat16 if amp else torch.float32] * 12 + [torch.float32]
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        dtypes.clear()
    assert 0 < abs(rows[True]["train_loss"] - rows[False]["train_loss"]) < 0.01


def test_amp_on_a_processor_without_bfloat16_is_an_error_before_training(monkeypatch):
    def absent(*_):
        raise RuntimeError("could not create a primitive descriptor")

    model = tiny_model()
    monkeypatch.setattr(model.rnn, "forward", absent)
    with pytest.raises(ru.UserError, match="--amp: this cpu computes no lstm in bfloat16"):
        script.require_amp(model, CPU, training_args(amp=True, cell="lstm"))


# ---------------------------------------------------------------- more than one process


def torchrun(*flags, cwd, **options):
    """Start the script in two processes that talk through 127.0.0.1 alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command = [sys.executable, *launcher, "--master-port", port, script.__file__, *flags]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    variables = {"GLOO_SOCKET_IFNAME": loopback, "PYTHONIOENCODING": "utf-8", "RNN_OFFLINE": "1"}
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    options |= {"env": {**os.environ, **variables}, "encoding": "utf-8", **pipes}
    return subprocess.Popen(command, cwd=cwd, **options)


needs_torchrun = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(),
    reason="torchrun needs a PyTorch with libuv, which on Windows it has not",
)


@needs_torchrun
def test_two_processes_learn_what_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [*TINY, "--dropout", "0", "--epochs", "3"]
    alone = script.main([*flags, "--output-dir", "alone"])
    two = torchrun(*flags, "--save-model", cwd=tmp_path)
    printed, errors = two.communicate(timeout=120)
    assert two.returncode == 0 and "Warning" not in errors, errors
    assert printed.count("finished: after 3 epochs") == printed.count("sample 1:") == 1
    together = json.loads((tmp_path / "outputs" / NAME / "metrics.json").read_text())
    for row, same in zip(together["history"], alone["history"]):
        for measure in ("train_loss", "val_loss", "gradient_norm"):
            assert row[measure] == pytest.approx(same[measure], abs=1e-4)
    assert together["test"]["loss"] == pytest.approx(alone["test"]["loss"], abs=1e-4)
    # What two have saved, one can load, score and resume.
    model, vocab, _ = script.load_model(tmp_path / "models" / f"{NAME}.pt", "cpu")
    assert "".join(script.generate(model, vocab, [1], 5, seed=0))
    resumed = script.main([*flags, "--resume", "--output-dir", "alone"])
    assert same_but_for_times(resumed) == same_but_for_times(together)


@needs_torchrun
def test_a_mistake_in_two_processes_is_named_once(tmp_path):
    two = torchrun(*TINY, "--batch-size", "7", cwd=tmp_path)
    printed, errors = two.communicate(timeout=120)
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "--batch-size 7: 2 processes" in lines[0], errors
    assert two.returncode != 0 and printed == "" and not list(tmp_path.iterdir())


@pytest.mark.slow
@needs_torchrun
def test_ctrl_c_in_two_processes_says_once_what_is_saved(tmp_path):
    flags = [*TINY, "--epochs", "2000", "--patience", "0", "--save-model"]
    two = torchrun(*flags, cwd=tmp_path, start_new_session=True)
    for line in two.stdout:
        if line.startswith("    2 "):  # the second epoch is over
            break
    os.killpg(two.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, errors = two.communicate(timeout=60)
    assert errors.count("Stopped by Ctrl-C. The finished epochs are in") == 1, errors
    state = ru.load_checkpoint(tmp_path / "models" / f"{NAME}.last.pt", NAME, resuming=True)
    assert len(state["history"]) >= 2


def test_processes_restart_together_and_drop_different_units(monkeypatch):
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    monkeypatch.setattr(script, "RESTART", 0.5)
    monkeypatch.setattr(script, "NUM_PROCESSES", 2)
    zeros, losses, draws = [], [], []

    def from_all(value):  # process 0 runs first; the other gets what that one gave
        if isinstance(value, list):
            draws.append(value)
            return draws[:1]
        return [value, value]

    monkeypatch.setattr(script, "from_all", from_all)
    for rank in (0, 1):
        monkeypatch.setattr(script, "RANK", rank)
        model, seen = tiny_model(dropout=0.5), []
        model.register_forward_hook(lambda _, given, out, seen=seen: seen.append(given[1] is None))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
        streams = script.make_streams(random_ids(2 * 100 + 1), 2, 5)
        row = script.train_epoch(model, streams, optimizer, tiny_vocab(), 1, training_args())
        zeros.append(seen)
        losses.append(row["train_loss"])
    assert zeros[0] == zeros[1] and 0 < sum(zeros[0]) < len(zeros[0])
    assert losses[0] != losses[1]


# ---------------------------------------------------------------- the n-gram baseline


def slow_kneser_ney(train, context, symbol, vocab_size, order):
    """The same formula with dictionaries, one probability at a time."""
    p = 1 / vocab_size
    for n in range(1, order + 1):
        grams = [tuple(train[i : i + order]) for i in range(len(train) - order + 1)]
        for _ in range(order - n):
            grams = [gram[1:] for gram in set(grams)]
        counts = collections.Counter(grams)
        values = list(counts.values())
        discount = (values.count(1) + 1) / (values.count(1) + 2 * values.count(2) + 2)
        before = tuple(context[len(context) - n + 1 :]) if n > 1 else ()
        after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == before}
        if after:
            saved = discount * len(after) * p
            p = (max(after.get(symbol, 0) - discount, 0) + saved) / sum(after.values())
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ngram_model_equals_the_slow_one_and_sums_to_1(order):
    train = random_ids(120, vocab_size=4).numpy()
    rest = random_ids(12, vocab_size=4, seed=2).numpy()
    ids = np.concatenate([train, rest])
    fast = ru.kneser_ney(ids, len(train), 4, order)
    for place in range(len(rest)):
        context = ids[: len(train) + place].tolist()
        slow = [slow_kneser_ney(train.tolist(), context, w, 4, order) for w in range(4)]
        assert sum(slow) == pytest.approx(1)
        assert fast[place] == pytest.approx(slow[rest[place]])


def test_ngram_model_never_says_never():
    ids = np.array([0, 1] * 50 + [0, 0, 2])  # 00 and 2 were never seen
    for order in (1, 2, 3):
        assert (ru.kneser_ney(ids, 100, 3, order) > 0).all()


def test_order_is_chosen_on_validation_and_unigram_is_the_entropy():
    text = torch.tensor([1, 2, 3, 1, 3, 2] * 400)  # a cycle: no order below 3 knows it
    data = {"train": text[:2040], "val": text[2039:2160], "test": text[2159:]}
    losses = script.score_baselines(data, 4, "char")
    assert next(iter(losses)) == "unigram" and len(losses) == 2
    assert losses["unigram"]["test"] == pytest.approx(math.log(3), abs=0.01)
    best = list(losses)[1]
    assert int(best[0]) >= 3 and losses[best]["test"] < 0.02


# ---------------------------------------------------------------- generation

LOGITS = torch.tensor([2.0, -1.0, 0.5, 3.0, 0.0, -4.0])


@pytest.mark.parametrize("temperature", [0, 1e-30, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("top_k", [0, 1, 3, 100])
@pytest.mark.parametrize("top_p", [1e-6, 0.5, 0.9, 1.0])
def test_probabilities_sum_to_1(temperature, top_k, top_p):
    p = script.next_probabilities(LOGITS, temperature, top_k, top_p)
    assert p.shape == LOGITS.shape and bool((p >= 0).all())
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    assert p.argmax() == 3
    assert int((p > 0).sum()) <= (top_k or 6)


def test_temperature_is_softmax_and_entropy_rises_with_it():
    entropies = []
    for temperature in (0.1, 0.3, 0.6, 1.0, 2.0, 10.0):
        p = script.next_probabilities(LOGITS, temperature)
        torch.testing.assert_close(p, (LOGITS / temperature).softmax(dim=0))
        entropies.append(float(torch.distributions.Categorical(p).entropy()))
    assert entropies == sorted(entropies) and entropies[0] < 0.1 * entropies[-1]


def test_top_k_and_top_p_keep_the_likeliest_in_proportion():
    full = script.next_probabilities(LOGITS)
    kept = script.next_probabilities(LOGITS, top_k=2)
    assert kept.nonzero().flatten().tolist() == [0, 3]
    assert float(kept[3] / kept[0]) == pytest.approx(float(full[3] / full[0]))
    ranked = full.sort(descending=True).values
    for top_p in (0.3, 0.7, 0.75, 0.95, 0.999):
        count = int((script.next_probabilities(LOGITS, top_p=top_p) > 0).sum())
        assert ranked[:count].sum() >= top_p - 1e-6 > ranked[: count - 1].sum() - 2e-6


def test_top_k_1_equals_greedy_equals_the_argmax_of_the_whole_text():
    model, vocab = tiny_model(), tiny_vocab()
    prompt = vocab("\nabc")
    greedy = list(script.generate(model, vocab, prompt, 15, seed=0, temperature=0))
    assert greedy == list(script.generate(model, vocab, prompt, 15, seed=1, top_k=1))
    ids = list(prompt)
    for _ in range(15):
        logits = model(torch.tensor([ids]))[0][0, -1]
        logits[0] = -math.inf
        ids.append(int(logits.argmax()))
    assert vocab.lookup_tokens(ids[len(prompt) :]) == greedy


def test_same_seed_same_text_and_no_unk_and_no_mode_left_behind():
    model, vocab = tiny_model(), tiny_vocab()
    with torch.no_grad():
        model.output.bias[0] = 50.0  # <unk> would be certain
    texts = []
    for seed in (0, 0, 1):
        text = ""
        for symbol in script.generate(model, vocab, [1], 40, seed, temperature=1.0):
            assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
            text += symbol
        texts.append(text)
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 40 and "<unk>" not in texts[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_symbols_are_drawn_as_often_as_they_are_likely(temperature):
    model, vocab, drawn = tiny_model(hidden_size=2), tiny_vocab(), 4000
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(torch.linspace(-1, 1, 11))
    text = script.generate(model, vocab, [1], drawn, seed=0, temperature=temperature)
    counts, logits = collections.Counter(text), model.output.bias.detach()[1:]
    for symbol, p in zip(vocab.get_itos()[1:], (logits / temperature).softmax(dim=0).tolist()):
        assert abs(counts[symbol] / drawn - p) < 4 * math.sqrt(p * (1 - p) / drawn)


def test_unknown_symbols_of_a_prompt_are_left_out_and_named(capsys):
    vocab = tiny_vocab()
    assert script.encode_prompt("aXbé", vocab, "char") == vocab("ab")
    assert "'X', 'é'" in capsys.readouterr().err
    assert script.encode_prompt("", vocab, "char") == vocab("\n")
    assert script.encode_prompt("XY", vocab, "char") == vocab("\n")
    assert script.encode_prompt("", ru.Vocab(["<unk>", "x", "y"]), "char") == [1]


def test_distinct_n():
    assert script.distinct_n("to be or not to be", 1) == 4 / 6
    assert script.distinct_n("to be or not to be", 2) == 4 / 5
    assert script.distinct_n("", 2) == 0


@given(st.text("ab", max_size=25), st.text("ab", max_size=40))
@settings(max_examples=200, deadline=None)
def test_longest_copy_is_the_longest(text, source):
    pieces = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
    longest = max((len(piece) for piece in pieces if piece in source), default=0)
    copied = script.longest_copy(text, source)
    assert len(copied) == longest and copied in text and copied in source


# ---------------------------------------------------------------- looking inside


def test_features_of_a_text():
    features = script.text_features('ab c\n\n"x" # d\ne')
    values = {name.split()[-2] + " " + name.split()[-1]: v for name, v in features.items()}
    assert values["line began"].tolist() == [1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert values["word began"].tolist() == [1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1]
    assert values["blank line"].tolist() == [0] * 6 + [1] * 7 + [0, 0]
    assert values["double quotes"].tolist() == [0] * 6 + [1] * 3 + [0] * 6
    assert values["# comment"].tolist() == [0] * 10 + [1] * 3 + [0] * 2


def test_found_unit_is_the_one_that_knows(monkeypatch, capsys):
    vocab = ru.Vocab(["<unk>", "\n", "a", "b", " "])
    text = "aab ab\nb abba a\n" * 40
    ids = torch.tensor(vocab(text))
    states = np.random.default_rng(0).normal(size=(len(text), 6))
    column = script.text_features(text)["characters since the line began"]
    states[:, 4] -= 3 * column
    states[:, 2] = 0.5  # a unit that never moves
    monkeypatch.setattr(script, "read", lambda model, ids: (states, None))
    found, second, rest = script.find_units(None, vocab, ids)
    best = found[0]
    assert best["feature"] == "characters since the line began" and best["unit"] == 4
    assert best["correlation"] < -0.9
    assert rest == text[len(text) // 2 :] and len(second) == len(rest)
    assert "unit   4" in capsys.readouterr().out


def test_letters_can_be_read_on_every_colour_and_the_figure_is_as_wide_as_the_text():
    plt, rows = ru.get_pyplot(), [{"feature": "x", "unit": 1, "correlation": 0.5}]
    widths = {}
    for columns in (50, 70, 200):
        text = "a\n\n" + "bcde\n" + "f" * columns
        states = np.zeros((len(text), 2))
        states[3:7, 1] = 0.9, -0.9, 0.5, 0.0
        figure = script.plot_units(rows, states, text, plt, "")
        colors = {letter.get_text(): letter.get_color() for letter in figure.axes[0].texts}
        assert colors == {"b": "white", "c": "white", "d": "black", "e": "black", "f": "black"}
        assert figure.axes[0].get_xlim() == (-0.5, min(columns, 70) - 0.5)
        widths[columns] = figure.get_figwidth()
        plt.close(figure)
    assert widths[50] < widths[70] == widths[200]


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")
    done = run_script(NAME, *TINY, "--epochs", "4", "--save-model", cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_the_unigram(tmp_path):
    done = run_script(NAME, "--quick", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    figures = {"next_symbols", "hidden_units", "training_curves"}
    assert {path.stem for path in output.glob("*.png")} == figures
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    assert metrics["test"]["loss"] < metrics["baselines"]["unigram"]
    assert [row["temperature"] for row in metrics["ladder"]][-1] == "unseen text"
    assert not (tmp_path / "models").exists()  # nothing is saved unasked


def test_same_seed_same_metrics(trained, tmp_path):
    _, first = trained
    again = script.main([*TINY, "--epochs", "4", "--output-dir", str(tmp_path / "out")])
    assert same_but_for_times(again) == same_but_for_times(first)
    assert len(first["history"]) == 4 and first["test"]["loss"] < first["baselines"]["unigram"]


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt, match=r"finished epochs .*m\.last\.pt.*--resume"):
            script.main(command)
    # How the model shall write afterwards is not part of its training.
    resumed = script.main([*command, "--resume", "--temperature", "0.5"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    paths = tmp_path / "m.pt", folder / "models" / f"{NAME}.pt"
    weights = [ru.load_checkpoint(path, NAME)["weights"] for path in paths]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resuming_with_another_configuration_is_an_error(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    done = run_here(script, [*TINY, "--epochs", "4", "--lr", "0.1", "--resume"], capsys)
    assert_one_line_error(done, "--lr 0.01", "0.1")


def test_checkpoint_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    path = f"models/{NAME}.pt"
    flags = ["--eval-only", "--path", path, "--max-length", "20"]
    done = run_script(NAME, *flags, "--output-dir", "evaluated", cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    for key in ("test", "best_epoch", "ladder", "units", "baselines", "embedded"):
        assert evaluated[key] == metrics[key]
    assert (folder / "evaluated" / "hidden_units.png").exists()
    assert "hidden-size=16" in done.stdout  # the settings of the model, not of this command


def test_a_prompt_needs_the_checkpoint_alone_and_is_streamed_and_seeded(trained, tmp_path):
    folder, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    flags = ["--path", "mine.pt", "--prompt", "def §read(", "--max-length", "30"]
    flags += ["--num-samples", "2", "--temperature", "0.7", "--top-k", "20", "--top-p", "0.9"]
    first = run_script(NAME, *flags, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr.strip() == "note: not in the training text, left out of the prompt: '§'"
    assert first.stdout.count("def read(") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]
    model, vocab, _ = script.load_model(tmp_path / "mine.pt", "cpu")
    choice = {"temperature": 0.7, "top_k": 20, "top_p": 0.9}
    for seed in (0, 1):
        expected = "".join(script.generate(model, vocab, vocab("def read("), 30, seed, **choice))
        assert "def read(" + expected in first.stdout


def test_words_from_a_folder_of_files(tmp_path):
    folder = tmp_path / "recettes d'été"
    folder.mkdir()
    for number in range(3):
        text = f"Stir the butter and the {['egg', 'flour', 'milk'][number]}, then wait.\n" * 30
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    (folder / ".hidden").write_bytes(b"\0")
    (folder / "empty.txt").write_text("")
    flags = ["--data", str(folder), "--level", "word", "--epochs", "3", "--hidden-size", "16"]
    flags += ["--batch-size", "2", "--sequence-length", "8", "--max-length", "10", "--no-plots"]
    metrics = script.main([*flags, "--lr", "0.02", "--output-dir", str(tmp_path / "out")])
    assert metrics["embedded"] is False and metrics["dataset"] == str(folder)
    assert metrics["test"]["loss"] < metrics["baselines"]["unigram"]
    assert list(metrics["baselines"])[1] in ("2-gram", "3-gram")


def test_word_level_draws_its_figures(tmp_path, capsys):
    flags = ["--quick", "--level", "word", "--max-chars", "20000", "--hidden-size", "16"]
    script.main([*flags, "--max-length", "10", "--output-dir", str(tmp_path)])
    capsys.readouterr()
    assert {path.stem for path in tmp_path.glob("*.png")} == {"next_symbols", "training_curves"}


def test_early_stopping_and_the_end_of_the_schedule_say_so(tmp_path, capsys):
    flags = [*TINY, "--output-dir", str(tmp_path), "--max-chars", "6000"]
    script.main([*flags, "--epochs", "50", "--patience", "1", "--lr", "0.5"])
    assert "stopped early: no better validation loss for 1 epochs" in capsys.readouterr().out
    script.main(flags)
    assert "after 2 epochs the learning rate has fallen to 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["own.txt", "empty"]),
        (b"To be, or not to be", ["own.txt", "17 chars to train on", "--batch-size"]),
        (b"abc\0def" * 1000, ["own.txt", "binary"]),
        (b"aaaa" * 1000, ["own.txt", "fewer than two different"]),
        (b"abc\n\xff\xfe" * 1000, ["own.txt, line 2", "UTF-8"]),
        (None, ["own.txt", "no such file"]),
    ],
)
def test_bad_texts_are_one_line(tmp_path, content, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("own.txt").write_bytes(content)
    assert_one_line_error(run_here(script, ["--data", "own.txt"], capsys), *fragments)


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--temperature", "-1"], ["--temperature", "0 or more"]),
        (["--top-p", "0"], ["--top-p", "above 0"]),
        (["--top-p", "1.5"], ["--top-p", "at most 1"]),
        (["--data", "empty"], ["empty", "no files"]),
        (["--dataset", "shakespeare", "--data-dir", "empty"], ["input.txt", "--offline"]),
        (["--quick", "--max-chars", "100"], ["85 chars to train on", "--sequence-length"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--prompt", "x", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--prompt", "x", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
        (["--prompt", "x", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--prompt", "x", "--path", "my.last.pt"], ["state for --resume", "is my.pt"]),
        (["--quick", "--resume"], [".last.pt", "nothing to resume", "--save-model"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
        (["--no-such-flag"], ["--no-such-flag"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint("other.pt", "04_simple_rnn", vocab=[])
    ru.save_checkpoint("my.last.pt", NAME, optimizer={})
    ru.save_checkpoint("hollow.pt", NAME, vocab=["<unk>", "a"], config={"level": "char"})
    assert_one_line_error(run_here(script, flags, capsys), *fragments)


def test_auto_falls_back_to_code_with_a_warning_nobody_can_miss(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    metrics = script.main([*TINY, "--dataset", "auto", "--data-dir", "nothing"])
    assert "EMBEDDED" in capsys.readouterr().err
    assert metrics["embedded"] is True
    asked = script.main([*TINY, "--dataset", "code"])
    assert asked["embedded"] is False and asked["dataset"] == "code"
    assert asked["test"] == metrics["test"]  # it is the same text


def test_help_names_the_flags_and_imports_nothing_heavy():
    assert_help_imports_nothing_heavy(NAME, "--temperature")


def test_real_shakespeare_is_split_as_others_do_and_beats_the_unigram(tmp_path):
    file = Path(os.environ.get("RNN_DATA_DIR", "data")) / "shakespeare" / "input.txt"
    if not file.is_file():
        pytest.skip("tiny Shakespeare is not here")
    data, vocab, _ = script.load_data(script.parse_args(["--data", str(file)]))
    assert script.decode(data["test"][1:], vocab) == ru.read_text(file)[int(0.9 * 1_115_394) :]
    flags = ["--dataset", "shakespeare", "--max-chars", "60000", "--hidden-size", "64"]
    flags += ["--epochs", "2", "--lr", "1e-2", "--no-plots", "--max-length", "20"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert metrics["embedded"] is False
    assert metrics["test"]["loss"] < metrics["baselines"]["unigram"] - 0.5


def test_evaluation_uses_no_dropout():
    model = tiny_model(dropout=0.9)
    assert script.evaluate(model.train(), random_ids(50)) == script.evaluate(model, random_ids(50))
    assert F.dropout(torch.ones(3), 0.9, model.training).tolist() == [1, 1, 1]
