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

import rnn_utils as ru

import numpy as np
import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_seed_and_rng_state_repeat_every_generator():
    ru.set_seed(3)
    state = ru.rng_state()
    drawn = [random.random(), torch.rand(3).tolist()]
    random.random(), torch.rand(5)
    ru.restore_rng_state(state)
    assert drawn == [random.random(), torch.rand(3).tolist()]
    ru.set_seed(3)
    first = np.random.rand()
    ru.set_seed(3)
    assert first == np.random.rand()


# ---------------------------------------------------------------- text


def test_vocab_orders_by_frequency_then_alphabet_after_the_specials():
    vocab = ru.Vocab.build([["b", "a", "c"], ["c", "b"], ["c", "<unk>"]])
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


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"text\0label", "binary"),
        (b"good\nbad \xff\xfe", "line 2"),
    ],
)
def test_read_text_names_what_is_wrong(tmp_path, content, fragment):
    with pytest.raises(ru.UserError, match=fragment):
        ru.read_text(write(tmp_path / "file.txt", content))


def test_read_text_missing_file_and_folder(tmp_path):
    with pytest.raises(ru.UserError, match="no such file"):
        ru.read_text(tmp_path / "absent.txt")
    with pytest.raises(ru.UserError, match="cannot be read"):
        ru.read_text(tmp_path)


def test_read_text_takes_windows_files(tmp_path):
    path = write(tmp_path / "dos.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert ru.read_text(path) == "one\ntwo\n"


def test_read_labelled_text_keeps_quotes_commas_and_lines(tmp_path):
    content = 'id,label,text\n1,pos,"good, very\ngood"\n\n2,neg,bad\n'
    rows = ru.read_labelled_text(write(tmp_path / "data.csv", content))
    assert rows == [("good, very\ngood", "pos", 2), ("bad", "neg", 5)]


def test_read_labelled_text_splits_tsv_at_tabs(tmp_path):
    rows = ru.read_labelled_text(write(tmp_path / "d.tsv", "text\tlabel\na, b\tx\nc\ty\n"))
    assert [row.text for row in rows] == ["a, b", "c"]


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("review,label\na,b\n", ["line 1", "'text'", "review"]),
        ("text,label\na,x\n,y\n", ["line 3", "text is empty"]),
        ("text,label\na,x\nb\n", ["line 3", "label is empty"]),
        ("text,label\na,x\nb,x\n", ["only the label 'x'", "two labels"]),
        ("text,label\n", ["no rows"]),
        ('text,label\na,x\n"open,y\nb,z\n', ["line 3", "quotes"]),
    ],
)
def test_read_labelled_text_names_file_and_line(tmp_path, content, fragments):
    path = write(tmp_path / "own.csv", content)
    with pytest.raises(ru.UserError) as caught:
        ru.read_labelled_text(path)
    for fragment in ["own.csv", *fragments]:
        assert fragment in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_file_gives_anything_but_rows_or_a_user_error(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("fuzz") / "any.csv", b"text,label\n" + content)
    try:
        rows = ru.read_labelled_text(path)
    except ru.UserError as error:
        assert "any.csv" in str(error)
    else:
        assert all(row.text and row.label for row in rows)


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


def test_early_stopping_counts_and_resumes():
    stopper = ru.EarlyStopping(patience=2)
    assert [stopper.step(v) for v in (1.0, 0.5, 0.6)] == [True, True, False]
    assert not stopper.should_stop
    resumed = ru.EarlyStopping(patience=2)
    resumed.load_state_dict(stopper.state_dict())
    assert not resumed.step(math.nan) and resumed.should_stop
    never = ru.EarlyStopping(patience=0, higher_is_better=True)
    assert [never.step(v) for v in (0.5, 0.4, 0.6)] == [True, False, True]
    assert not never.should_stop


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
    ru.save_checkpoint(tmp_path / "m.pt", "04", **contents)
    record = ru.load_checkpoint(tmp_path / "m.pt", "04")
    assert torch.equal(record["weights"]["w"], contents["weights"]["w"])
    assert record["config"] == contents["config"] and record["labels"] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


@pytest.mark.parametrize(
    "value", [np.float64(1), Path("x"), argparse.Namespace(), {1, 2}, object()]
)
def test_checkpoint_refuses_at_saving_what_could_not_be_loaded(tmp_path, value):
    with pytest.raises(TypeError, match="plain type"):
        ru.save_checkpoint(tmp_path / "m.pt", "04", config={"deep": [value]})
    assert not list(tmp_path.iterdir())


def test_checkpoint_that_runs_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    for name, dump in (("zip.pt", torch.save), ("plain.pt", None)):
        path = tmp_path / name
        if dump:
            dump({"tutorial": "04", "format": 1, "x": Hostile()}, path)
        else:
            path.write_bytes(pickle.dumps(Hostile()))
        with pytest.raises(ru.UserError, match=name):
            ru.load_checkpoint(path, "04")
    assert not (tmp_path / "pwned").exists()


def test_damaged_foreign_and_wrong_checkpoints_are_one_line_errors(tmp_path):
    good = tmp_path / "good.pt"
    ru.save_checkpoint(good, "05_lstm_sentiment", weights=torch.rand(100))
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


KILLED_SAVE = """
    import os, sys
    import torch
    import rnn_utils as ru

    path, stage = sys.argv[1], sys.argv[2]
    ru.save_checkpoint(path, "04", number=1)
    if stage == "writing":
        real_save = torch.save
        def torch_save(record, file):
            real_save(record, file)
            file.flush()
            os.kill(os.getpid(), 9)
        torch.save = torch_save
    else:
        os.replace = lambda source, target: os.kill(os.getpid(), 9)
    ru.save_checkpoint(path, "04", number=2)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("stage", ["writing", "renaming"])
def test_killed_save_leaves_the_previous_checkpoint_whole(tmp_path, stage):
    path = tmp_path / "m.pt"
    command = [sys.executable, "-c", textwrap.dedent(KILLED_SAVE), str(path), stage]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert (tmp_path / "m.pt.tmp").exists()  # it did die half-way
    assert ru.load_checkpoint(path, "04")["number"] == 1
    ru.save_checkpoint(path, "04", number=3)  # and the next save works
    assert ru.load_checkpoint(path, "04")["number"] == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_line_and_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    ru.save_checkpoint(path, "04", number=1)
    (tmp_path / "m.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(ru.UserError, match=r"m\.pt: the checkpoint cannot be written"):
        ru.save_checkpoint(path, "04", weights=torch.rand(1000))
    assert ru.load_checkpoint(path, "04")["number"] == 1


# ---------------------------------------------------------------- command line


def parse(*argv):
    parser = ru.make_parser("A test.\nMore.")
    parser.add_argument("--epochs", type=ru.at_least(1), default=5)
    parser.add_argument("--lr", type=ru.between(0, 10, open_low=True), default=0.1)
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
    path = ru.write_json(tmp_path / "m.json", {"a": 1.5})
    assert json.loads(path.read_text()) == {"a": 1.5}
    with pytest.raises(ValueError, match="JSON"):
        ru.write_json(path, {"a": math.nan})
    assert json.loads(path.read_text()) == {"a": 1.5}
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_unwritable_folder_is_found_before_training(tmp_path):
    blocker = write(tmp_path / "file", "x")
    with pytest.raises(ru.UserError, match=r"--output-dir.*cannot write"):
        ru.require_writable(blocker / "sub", "--output-dir")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ru.UserError("line one\nline two"), 2, "error: line one line two"),
        (KeyboardInterrupt("2 epochs are saved"), 130, "2 epochs are saved"),
    ],
)
def test_run_turns_errors_into_a_line_and_a_status(error, status, text, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stop:
        ru.run(main)
    assert stop.value.code == status
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith(text)


def test_in_a_notebook_nothing_runs_by_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    ru.run(lambda: pytest.fail("the flags of a notebook's kernel are not the script's"))


def test_items_per_second_counts_resumed_epochs_and_none():
    assert ru.items_per_second(100, [{"seconds": 2.0}, {"seconds": 3.0}]) == 20.0
    assert ru.items_per_second(0, []) == 0.0


def test_help_shows_defaults_but_not_none(capsys):
    parser = ru.make_parser("A script.")
    parser.add_argument("--path", help="the file (default: here)")
    parser.add_argument("--clip", default=0, help="a number")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    printed = capsys.readouterr().out
    assert "None" not in printed and "(default: 0)" in printed


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 2), (None, 1)])
def test_no_more_threads_than_cores_unless_asked_for(cores, expected, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    parser = ru.make_parser("name: text")
    ru.add_run_flags(parser, threads=2)
    assert parser.parse_args([]).threads == expected
    assert parser.parse_args(["--threads", "3"]).threads == 3


def test_openmp_reads_how_threads_wait_when_torch_is_loaded_so_rnn_utils_comes_first():
    """In every script, and the user's own choice is kept."""
    look = "import os, sys; import rnn_utils; print(os.environ['OMP_WAIT_POLICY'])"
    folder = Path(ru.__file__).parent
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    for chosen, expected in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        answer = subprocess.run(
            [sys.executable, "-c", look], cwd=folder, env={**environment, **chosen},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert answer.stdout.strip() == expected
    for script in sorted(folder.glob("[01]?_*.py")):
        lines = script.read_text(encoding="utf-8").splitlines()
        assert lines.index("import rnn_utils as ru") < lines.index("import torch"), script.name


def test_the_size_that_matches_a_number_of_parameters():
    assert ru.matching_size(lambda size: size * size, 50, range(1, 20)) == 7


def test_a_label_that_the_model_does_not_know_is_named_with_its_source():
    ru.check_labels(["a", "b", "a"], ["a", "b", "c"], "mine.csv")
    with pytest.raises(ru.UserError, match=r"mine\.csv: the label 'd'.*a, b, c"):
        ru.check_labels(["a", "d"], ["a", "b", "c"], "mine.csv")


def test_seconds_of_training_count_the_epochs_before_a_resume(tmp_path):
    args = ru.argparse.Namespace(output_dir=str(tmp_path))
    history = [{"epoch": 1, "seconds": 2.5}, {"epoch": 2, "seconds": 1.25}]
    metrics = ru.write_metrics(args, "name", started=0.0, history=history)
    assert metrics["train_seconds"] == 3.75


def test_what_was_loaded_can_be_saved_and_loaded_again(tmp_path):
    ru.save_checkpoint(tmp_path / "a.pt", "name", config={"lr": 0.1}, weights={})
    loaded = ru.load_checkpoint(tmp_path / "a.pt", "name")
    ru.save_checkpoint(tmp_path / "b.pt", "name", config=loaded["config"], weights={})
    again = ru.load_checkpoint(tmp_path / "b.pt", "name")
    assert again == loaded
    with pytest.raises(ru.UserError, match=r"b\.pt.*has no 'seed'"):
        again["config"]["seed"]
