"""rnn_utils: text, batching, training helpers, checkpoints and the command line."""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_utils as ru

# ---------------------------------------------------------------- devices and seeds


def test_device_that_is_absent_is_an_error_not_a_cpu_run():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ru.UserError, match="--device cuda"):
        ru.get_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "xla", "", "cuda:x"])
def test_unknown_device_is_an_error(name):
    with pytest.raises(ru.UserError):
        ru.get_device(name)


def test_cpu_and_auto_devices():
    assert ru.get_device("cpu").type == "cpu"
    assert ru.get_device("auto").type in ("cpu", "cuda")


def test_seed_repeats_every_generator():
    drawn = []
    for _ in range(2):
        ru.set_seed(3)
        drawn.append([random.random(), torch.rand(3).tolist(), np.random.rand()])
    assert drawn[0] == drawn[1]


# ---------------------------------------------------------------- text


def test_vocab_orders_by_frequency_then_alphabet_after_the_specials():
    vocab = ru.Vocab.build([["b", "a", "c"], ["c", "b"], ["c"]])
    assert vocab.get_itos() == ["<pad>", "<unk>", "c", "b", "a"]
    assert vocab(["a", "never seen", "c"]) == [4, 1, 2]
    assert vocab["nope"] == vocab.get_default_index() == 1
    assert "a" in vocab and "nope" not in vocab and len(vocab) == 5
    assert vocab.lookup_tokens([2, 3]) == ["c", "b"]
    assert vocab.lookup_indices(["b"]) == [3]


def test_vocab_min_freq_and_max_size():
    texts = [["a"] * 3 + ["b"] * 2 + ["c"]]
    assert ru.Vocab.build(texts, min_freq=2).get_itos() == ["<pad>", "<unk>", "a", "b"]
    assert len(ru.Vocab.build(texts, max_size=3)) == 3


def test_vocab_from_saved_list_is_the_same():
    vocab = ru.Vocab.build([list("hello world")])
    again = ru.Vocab(json.loads(json.dumps(vocab.get_itos())))
    assert again.get_stoi() == vocab.get_stoi()


def test_vocab_refuses_duplicates_and_a_missing_unk():
    with pytest.raises(ValueError, match="twice"):
        ru.Vocab(["<unk>", "a", "a"])
    with pytest.raises(ValueError, match="<unk>"):
        ru.Vocab(["a", "b"])
    with pytest.raises(IndexError):
        ru.Vocab(["<unk>"]).lookup_token(-1)


def test_a_text_can_spell_a_special_token_and_is_never_taken_for_one():
    texts = [["<eos>", "a"], ["<eos>", "<unk>"], ["<eos>", "a"]]
    vocab = ru.Vocab.build(texts, specials=ru.SPECIALS)
    ids = vocab(["<eos>", "a", "<unk>", "<pad>"])
    assert min(ids[:3]) > ru.EOS and len(set(ids[:3])) == 3
    assert ids[3] == ru.UNK  # not in the texts, so unknown; and not the padding
    assert vocab.lookup_tokens(ids[:3]) == ["<eos>", "a", "<unk>"]
    assert [vocab[token] for token in ru.SPECIALS] == [ru.PAD, ru.UNK, ru.BOS, ru.EOS]
    assert ru.Vocab(vocab.get_itos())(["<eos>", "a", "<unk>"]) == ids[:3]
    few = ru.Vocab.build(texts)  # <eos> is the most frequent word, and no special token here
    assert ru.Vocab(few.get_itos())(["<eos>", "a"]) == few(["<eos>", "a"]) and few("a") == [2]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("You can now install it!", ["you", "can", "now", "install", "it", "!"]),
        ("don't", ["don", "'", "t"]),
        ('a "quoted" word', ["a", "quoted", "word"]),
        ("one<br />two", ["one", "two"]),
        ("(a, b); c: d.", ["(", "a", ",", "b", ")", "c", "d", "."]),
        ("  ", []),
    ],
)
def test_basic_english(text, tokens):
    assert ru.basic_english(text) == tokens


def write(path: Path, content) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


# ---------------------------------------------------------------- batching


def test_pad_batch_and_mask_agree():
    batch, lengths = ru.pad_batch([[5, 6, 7], [8]], pad_value=-1)
    assert batch.tolist() == [[5, 6, 7], [8, -1, -1]]
    assert lengths.tolist() == [3, 1]
    assert ru.lengths_to_mask(lengths).tolist() == [[True] * 3, [True, False, False]]
    assert ru.lengths_to_mask(lengths, 4).shape == (2, 4)


def test_pad_batch_keeps_features():
    batch, _ = ru.pad_batch([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert batch.shape == (2, 4, 3) and batch.dtype == torch.float32
    assert float(batch.sum()) == 18.0


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_pad_batch_refuses_nothing(sequences):
    with pytest.raises(ValueError, match="length 0"):
        ru.pad_batch(sequences)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=200),
    batch_size=st.integers(1, 17),
    equal=st.booleans(),
    seed=st.integers(0, 5),
)
def test_sampler_sees_every_example_once_in_an_order_the_seed_decides(
    lengths, batch_size, equal, seed
):
    sampler = ru.BucketBatchSampler(lengths, batch_size, equal=equal, seed=seed)
    sampler.set_epoch(2)
    batches = list(sampler)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    assert max(map(len, batches)) <= batch_size
    if equal:
        assert all(len({lengths[index] for index in batch}) == 1 for batch in batches)
    again = ru.BucketBatchSampler(lengths, batch_size, equal=equal, seed=seed)
    again.set_epoch(2)
    assert batches == list(again)


def test_sampler_saves_padding_and_changes_with_the_epoch():
    lengths = torch.randint(1, 100, (2000,), generator=torch.Generator().manual_seed(0))
    sampler = ru.BucketBatchSampler(lengths, 20)
    batches = list(sampler)
    waste = sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches)
    in_order = sum(
        int(part.max() * len(part) - part.sum()) for part in lengths[torch.arange(2000)].split(20)
    )
    assert waste < in_order / 4
    sampler.set_epoch(1)
    assert list(sampler) != batches


# ---------------------------------------------------------------- training


def test_clip_gradients_returns_the_norm_before_and_zero_is_off():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert ru.clip_gradients([weight], 0.0) == pytest.approx(5.0)
    assert weight.grad.tolist() == [3.0, 4.0]
    assert ru.clip_gradients([weight], 1.0) == pytest.approx(5.0)
    assert float(weight.grad.norm()) == pytest.approx(1.0, abs=1e-5)


def test_learning_rate_rises_then_falls_to_nothing():
    rates = [ru.learning_rate(step, 100, 2.0) for step in range(100)]
    assert max(rates) == pytest.approx(2.0) and rates.index(max(rates)) in (9, 10)
    assert rates[0] > 0 and 0 <= rates[-1] < 0.01
    assert all(0 < ru.learning_rate(step, 3, 1.0) <= 1.0 for step in range(3))


def test_check_finite_explains():
    ru.check_finite(1.0, 1)
    with pytest.raises(ru.UserError, match=r"epoch 3.*--lr"):
        ru.check_finite(math.nan, 3)


# ---------------------------------------------------------------- checkpoints


def test_checkpoint_round_trip(tmp_path):
    contents = {
        "weights": {"w": torch.rand(2, 3)},
        "labels": ["a"],
        "config": {"lr": 0.1, "x": None},
    }
    ru.save_checkpoint(tmp_path / "m.pt", "04", contents)
    record = ru.load_checkpoint(tmp_path / "m.pt", "04")
    assert torch.equal(record["weights"]["w"], contents["weights"]["w"])
    assert record["config"] == contents["config"] and record["labels"] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


@pytest.mark.parametrize("value", [np.float64(1), Path("x"), argparse.Namespace(), object()])
def test_checkpoint_refuses_at_saving_what_could_not_be_loaded(tmp_path, value):
    ru.save_checkpoint(tmp_path / "m.pt", "04", {"number": 1})
    with pytest.raises((pickle.UnpicklingError, ru.UserError)):
        ru.save_checkpoint(tmp_path / "m.pt", "04", {"config": {"deep": [value]}})
    assert ru.load_checkpoint(tmp_path / "m.pt", "04")["number"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


def test_checkpoint_that_runs_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    for name, dump in (("zip.pt", torch.save), ("plain.pt", None)):
        path = tmp_path / name
        if dump:
            dump({"tutorial": "04", "format": 2, "x": Hostile()}, path)
        else:
            path.write_bytes(pickle.dumps(Hostile()))
        with pytest.raises(ru.UserError, match=name):
            ru.load_checkpoint(path, "04")
    assert not (tmp_path / "pwned").exists()


def test_damaged_foreign_and_wrong_checkpoints_are_one_line_errors(tmp_path):
    good = tmp_path / "good.pt"
    ru.save_checkpoint(good, "05_lstm_sentiment", {"weights": torch.rand(100)})
    data = good.read_bytes()
    cases = {
        "truncated.pt": data[: len(data) // 2],
        "text.pt": b"not a checkpoint",
        "empty.pt": b"",
    }
    for name, content in cases.items():
        with pytest.raises(ru.UserError, match=name):
            ru.load_checkpoint(write(tmp_path / name, content), "05_lstm_sentiment")
    with pytest.raises(ru.UserError, match="saved by 05_lstm_sentiment"):
        ru.load_checkpoint(good, "04_simple_rnn")
    torch.save([1, 2], tmp_path / "foreign.pt")
    with pytest.raises(ru.UserError, match="not a checkpoint of this course"):
        ru.load_checkpoint(tmp_path / "foreign.pt", "04_simple_rnn")
    with pytest.raises(ru.UserError, match="no such checkpoint"):
        ru.load_checkpoint(tmp_path / "absent.pt", "04_simple_rnn")
    with pytest.raises(ru.UserError, match="is a folder"):
        ru.load_checkpoint(tmp_path, "04_simple_rnn")


KILLED_SAVE = """
    import os, sys
    import torch
    import rnn_utils as ru

    path, stage = sys.argv[1], sys.argv[2]
    ru.save_checkpoint(path, "04", {"number": 1})
    if stage == "writing":
        real_save = torch.save
        def torch_save(record, file):
            real_save(record, file)
            file.flush()
            os.kill(os.getpid(), 9)
        torch.save = torch_save
    else:
        os.replace = lambda source, target: os.kill(os.getpid(), 9)
    ru.save_checkpoint(path, "04", {"number": 2})
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("stage", ["writing", "renaming"])
def test_killed_save_leaves_the_previous_checkpoint_whole(tmp_path, stage):
    path = tmp_path / "m.pt"
    command = [sys.executable, "-c", textwrap.dedent(KILLED_SAVE), str(path), stage]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert (tmp_path / "m.pt.tmp").exists()  # it did die half-way
    assert ru.load_checkpoint(path, "04")["number"] == 1
    ru.save_checkpoint(path, "04", {"number": 3})  # and the next save works
    assert ru.load_checkpoint(path, "04")["number"] == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_line_and_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    ru.save_checkpoint(path, "04", {"number": 1})
    (tmp_path / "m.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(ru.UserError, match=r"m\.pt: cannot be written"):
        ru.save_checkpoint(path, "04", {"weights": torch.rand(1000)})
    assert ru.load_checkpoint(path, "04")["number"] == 1


# ---------------------------------------------------------------- command line


def parse(*argv):
    parser = ru.make_parser("A test.\nMore.")
    parser.add_argument("--epochs", type=ru.at_least(1), default=5)
    parser.add_argument("--lr", type=ru.between(1e-9, 10), default=0.1)
    parser.add_argument("--quick", action="store_true")
    return ru.parse_arguments(parser, argv, {"epochs": 2})


@pytest.mark.parametrize(
    "argv",
    [("--epochs", "-1"), ("--epochs", "2.5"), ("--lr", "0"), ("--lr", "nan"), ("--epoch", "3")],
)  # fmt: skip
def test_flag_out_of_range_is_one_line_and_status_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(*argv)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and argv[0] in lines[0]


def test_quick_changes_defaults_and_a_written_flag_wins():
    assert parse().epochs == 5
    assert parse("--quick").epochs == 2
    assert parse("--quick", "--epochs", "7").epochs == 7


def test_write_json_refuses_nan_and_is_atomic(tmp_path):
    path = tmp_path / "m.json"
    ru.write_json(path, {"a": 1.5})
    assert json.loads(path.read_text()) == {"a": 1.5}
    with pytest.raises(ValueError, match="JSON"):
        ru.write_json(path, {"a": math.nan})
    assert json.loads(path.read_text()) == {"a": 1.5}
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def run_arguments(folder, *flags):
    parser = ru.make_parser("A test.")
    ru.add_checkpoint_flags(parser, "name")
    ru.add_run_flags(parser)
    return parser.parse_args(["--output-dir", str(folder), *flags])


def test_metrics_sum_up_seconds_and_speed_also_of_epochs_before_a_resume(tmp_path, capsys):
    args = run_arguments(tmp_path)
    ru.start_run(args, "name")
    history = [{"epoch": 1, "seconds": 2.5}, {"epoch": 2, "seconds": 1.5}]
    measured = {"history": history, "items_per_epoch": 100}
    metrics = ru.write_metrics(args, "name", "names", False, measured)
    assert metrics["train_seconds"] == 4.0 and metrics["items_per_second"] == 50.0
    assert metrics["embedded"] is False and metrics["total_seconds"] < 60
    assert ru.write_metrics(args, "name", "names", True, {})["items_per_second"] == 0.0
    assert json.loads((tmp_path / "metrics.json").read_text())["embedded"] is True


def test_unwritable_folder_is_found_before_training(tmp_path):
    blocker = write(tmp_path / "file", "x")
    with pytest.raises(ru.UserError, match=r"--output-dir.*cannot write"):
        ru.start_run(run_arguments(blocker / "sub"), "name")


def test_run_turns_a_users_error_into_a_line_and_a_status(capsys):
    def main():
        raise ru.UserError("line one\nline two")

    with pytest.raises(SystemExit) as stop:
        ru.run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == "error: line one line two"


@pytest.mark.parametrize("saves", [True, False])
def test_ctrl_c_says_what_is_saved(saves, tmp_path, capsys):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())

    def main():
        ru.start_run(run_arguments(tmp_path), "name")
        if saves:
            ru.save_epoch(tmp_path / "m.pt", "name", {"config": {}}, {}, [], model, optimizer)
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        ru.run(main)
    assert stop.value.code == 130
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert ("m.pt" in last and "--resume" in last) if saves else "No epoch was saved" in last


NOTEBOOK = "ipykernel_launcher.py"


@pytest.mark.parametrize("started", [NOTEBOOK, __file__])
def test_a_notebook_waits_for_main_and_a_run_button_does_not(started, monkeypatch, capsys):
    """In IPython, `%run script.py` and an editor's Run button put the script into sys.argv."""
    calls = []

    def main():
        calls.append("ran")

    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(sys, "argv", [started])
    ru.run(main)
    assert calls == ([] if started == NOTEBOOK else ["ran"])
    assert ("main([" in capsys.readouterr().out) == (started == NOTEBOOK)


def test_inherited_matplotlib_backend_costs_nothing(tmp_path):
    code = (
        "import rnn_utils as ru\n"
        "plt = ru.get_pyplot()\n"
        "figure, axes = plt.subplots()\n"
        f"ru.save_figures({{'empty': figure}}, {str(tmp_path)!r})"
    )
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.absent"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_a_parser_without_a_docstring_as_under_python_OO(capsys):
    ru.make_parser(None).print_help()
    assert "usage" in capsys.readouterr().out


def test_help_shows_defaults_but_not_none(capsys):
    parser = ru.make_parser("A script.")
    parser.add_argument("--path", help="the file (default: here)")
    parser.add_argument("--clip", default=0, help="a number")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    printed = capsys.readouterr().out
    assert "None" not in printed and "(default: 0)" in printed


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 2), (None, 1)])
def test_two_threads_only_where_there_are_four_cores_unless_asked_for(cores, expected, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    parser = ru.make_parser("name: text")
    ru.add_run_flags(parser, threads=2)
    assert parser.parse_args([]).threads == expected
    assert parser.parse_args(["--threads", "3"]).threads == 3


# ---------------------------------------------------------------- training state


def small_training(seed: int = 0):
    ru.set_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_resume_restores_weights_optimiser_history_and_random_numbers(tmp_path):
    path = tmp_path / "m.pt"
    about = {"config": {"lr": 0.1, "epochs": 4}}
    model, optimizer = small_training()
    history = [{"epoch": 1, "seconds": 1.0}]
    best = {"epoch": 1, "loss": 2.0, "weights": {}}
    ru.save_epoch(path, "name", about, best, history, model, optimizer)
    drawn = [random.random(), torch.rand(3).tolist()]
    other, its_optimizer = small_training(seed=5)
    assert ru.resume(path, "name", other, its_optimizer, "loss") == (history, best)
    assert drawn == [random.random(), torch.rand(3).tolist()]
    assert torch.equal(other.weight, model.weight)
    moment = its_optimizer.state_dict()["state"][0]["exp_avg"]
    assert torch.equal(moment, optimizer.state_dict()["state"][0]["exp_avg"])


def test_resume_refuses_other_flags_and_an_absent_file(tmp_path):
    path = tmp_path / "m.pt"
    model, optimizer = small_training()
    with pytest.raises(ru.UserError, match=r"nothing to resume.*--save-model"):
        ru.start_run(run_arguments(tmp_path, "--resume", "--path", str(path)), "name")
    saved = {"config": {"seed": 7, "batch_size": 64, "lr": 0.1}}
    ru.save_epoch(path, "name", saved, {}, [], model, optimizer)
    args = run_arguments(tmp_path, "--resume", "--path", str(path))
    vars(args).update(batch_size=32, lr=0.1)
    # All flags that differ are named at once, before any data are read.
    with pytest.raises(ru.UserError, match=r"--seed 7, not 0; --batch-size 64, not 32; give"):
        ru.start_run(args, "name")
    vars(args).update(batch_size=64, seed=7)
    assert ru.start_run(args, "name")[1] == saved["config"]


def test_a_checkpoint_without_what_the_script_needs_is_refused(tmp_path):
    """As one is that an earlier version of a script has saved, which chose by another measure."""
    path = tmp_path / "m.pt"
    model, optimizer = small_training()
    about = {"config": {"lr": 0.1}, "sizes": {"in_features": 3, "out_features": 1}}
    best = {"epoch": 1, "loss": 2.0, "weights": torch.nn.Linear(3, 1).state_dict()}
    ru.save_epoch(path, "name", about, best, [], model, optimizer)
    with pytest.raises(ru.UserError, match=r"does not fit.*accuracy"):
        ru.resume(path, "name", model, optimizer, "accuracy")
    with pytest.raises(ru.UserError, match=r"does not fit.*max_length"):
        ru.load_model(path, "name", torch.nn.Linear, "max_length")
    with pytest.raises(ru.UserError, match=r"does not fit.*vocab"):
        ru.load_model(path, "name", torch.nn.Linear, "vocab")
    with pytest.raises(ru.UserError, match=r"does not fit.*unexpected keyword"):
        ru.load_model(path, "name", lambda in_features: None)
    linear, found, found_best = ru.load_model(path, "name", torch.nn.Linear, "lr")
    assert found == about and found_best["epoch"] == 1
    assert torch.equal(linear.weight, best["weights"]["weight"])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("vocab", None), ("vocab", ["a"]), ("vocab", {}), ("vocabs", [None]), ("labels", [1, 2]),
     ("labels", None), ("levels", 3)],
)  # fmt: skip
def test_a_checkpoint_with_something_else_in_the_place_of_words_is_refused(name, wrong, tmp_path):
    path = tmp_path / "m.pt"
    weights = torch.nn.Linear(3, 1).state_dict()
    about = {"config": {}, "sizes": {"in_features": 3, "out_features": 1}, name: wrong}
    contents = {"about": about, "best": {"epoch": 1, "weights": weights}}
    ru.save_checkpoint(path, "name", contents)
    with pytest.raises(ru.UserError, match=r"does not fit.*--save-model"):
        ru.load_model(path, "name", torch.nn.Linear, name)


def test_a_snapshot_is_left_alone_by_training():
    model, optimizer = small_training()
    kept = ru.snapshot(model)
    before = model.weight.detach().clone()
    optimizer.step()
    assert torch.equal(kept["weight"], before) and not torch.equal(kept["weight"], model.weight)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_matrices_start_orthogonal_and_only_the_forget_gate_open(kind):
    rnn = getattr(torch.nn, kind)(4, 6, num_layers=2)
    ru.initialise_recurrent(rnn)
    for layer in range(2):
        for gate in getattr(rnn, f"weight_hh_l{layer}").split(6):
            torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
        bias = getattr(rnn, f"bias_ih_l{layer}") + getattr(rnn, f"bias_hh_l{layer}")
        expected = torch.zeros_like(bias)
        if kind == "LSTM":
            expected[6:12] = 1  # input, forget, cell, output
        assert torch.equal(bias, expected)


def test_print_layers_shows_shapes_and_parameters_and_changes_nothing(capsys):
    dropout, gru = torch.nn.Dropout(0.5), torch.nn.GRU(4, 6, batch_first=True)
    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), dropout, gru)  # dropout draws numbers
    model.train()
    state = torch.get_rng_state()
    ru.print_layers(model, torch.zeros(2, 5, dtype=torch.long))
    printed = capsys.readouterr().out
    assert "(2, 5, 4)" in printed and "(2, 5, 6)" in printed and "Embedding" in printed
    assert f"{ru.count_parameters(model):,}" in printed.splitlines()[-1]
    assert model.training and torch.equal(state, torch.get_rng_state())
    ru.print_layers(model.eval(), torch.zeros(2, 5, dtype=torch.long))
    assert not model.training


def test_print_epoch_names_its_columns_once_a_run_also_after_a_resume(tmp_path, capsys):
    for first in (1, 3):
        ru.start_run(run_arguments(tmp_path), "name")
        capsys.readouterr()
        ru.print_epoch({"epoch": first, "val_accuracy": 0.5, "seconds": 1.0}, best_epoch=first)
        ru.print_epoch({"epoch": first + 1, "val_accuracy": 0.25, "seconds": 1.0}, first)
        lines = capsys.readouterr().out.strip().splitlines()
        assert lines[0].split() == ["epoch", "val", "accuracy", "seconds"]
        assert lines[1].split() == [str(first), "0.500", "1.0", "*"]
        assert lines[2].split()[-1] == "1.0" and len(lines) == 3


def test_evaluation_takes_the_flags_of_the_training_and_no_others(tmp_path):
    """A checkpoint from a stranger must not decide where files are written."""
    model, optimizer = small_training()
    about = {"config": {"lr": 0.5, "dataset": "names", "output_dir": "elsewhere", "seed": 7}}
    path = tmp_path / "m.pt"
    ru.save_epoch(path, "name", about, {}, [], model, optimizer)
    parser = ru.make_parser("A test.")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--data")
    parser.add_argument("--dataset", default="auto")
    ru.add_checkpoint_flags(parser, "name")
    ru.add_run_flags(parser)
    flags = ["--eval-only", "--path", str(path), "--output-dir", str(tmp_path / "mine")]
    args = parser.parse_args(flags)
    with pytest.raises(ru.UserError, match=r"m\.pt: the checkpoint does not fit.*'data'"):
        ru.start_run(args, "name")  # it does not say which data
    about["config"]["data"] = None
    ru.save_epoch(path, "name", about, {}, [], model, optimizer)
    _, config = ru.start_run(args, "name")
    assert args.lr == 0.5 and args.seed == 7 and args.dataset == "names"
    assert args.output_dir == str(tmp_path / "mine") and "output_dir" not in config
    args = parser.parse_args([*flags, "--data", "my.csv"])
    ru.start_run(args, "name")
    assert args.data == "my.csv" and args.lr == 0.5


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.02, -0.01, 0.05), "no difference is shown"),
        ((-0.02, -0.05, 0.0), "no difference is shown"),  # its end is 0
        ((0.02, 0.01, 0.03), "better by more than luck"),
        ((-0.02, -0.03, -0.01), "worse by more than luck"),  # a defeat is no luck either
    ],
)
def test_a_difference_is_more_than_luck_where_its_interval_excludes_0(interval, verdict, capsys):
    ru.print_test({"accuracy": 0.9}, {"majority label": 0.5}, "accuracy", "epoch 1", interval)
    printed = capsys.readouterr().out
    assert f"network minus majority label: {interval[0]:+.4f}\n" in printed
    assert f"95 % interval {interval[1]:+.4f} to {interval[2]:+.4f}: {verdict}\n" in printed
