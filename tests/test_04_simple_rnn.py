"""04: the cell is nn.RNN, padding and batch size change nothing, no name leaks, no run is lost."""

from __future__ import annotations

import inspect
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers import (
    ROOT,
    InterruptedAfter,
    assert_classifier_keeps_splits_apart,
    assert_dropout_scales,
    assert_one_line_error,
    load_script,
    note_gradients,
    run_here,
    run_script,
    same_but_for_times,
)

import rnn_data as rd
import rnn_texts as rt
import rnn_utils as ru

script = load_script("04_simple_rnn")
NAME = "04_simple_rnn"
TINY = ["--quick", "--max-examples", "600", "--no-plots", "--hidden-size", "16"]


def tiny_model(hidden_size=7):
    ru.set_seed(0)
    return script.NameClassifier(20, 4, hidden_size=hidden_size, dropout=0.0)


def random_split(count=33, longest=9):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator)
    inputs = torch.randint(2, 20, (count, longest), generator=generator)
    inputs[~ru.lengths_to_mask(lengths, longest)] = 0
    targets = torch.randint(0, 4, (count,), generator=generator)
    return rt.Split([""] * count, inputs, lengths, targets)


# ---------------------------------------------------------------- the model


def test_hand_written_cell_equals_nn_rnn_in_output_and_gradient():
    ru.set_seed(0)
    ours, theirs = script.HandWrittenRNN(5, 8), torch.nn.RNN(5, 8, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.W_x.weight)
        theirs.weight_hh_l0.copy_(ours.W_h.weight)
        theirs.bias_ih_l0.copy_(ours.W_x.bias)
        theirs.bias_hh_l0.zero_()
    inputs = torch.randn(4, 11, 5)
    results = []
    for cell in (ours, theirs):
        x = inputs.clone().requires_grad_()
        output, h_n = cell(x)
        (output.square().sum() + h_n.sum()).backward()
        results.append((output, h_n, x.grad))
    for mine, reference in zip(*results):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ours.W_h.weight.grad, theirs.weight_hh_l0.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.W_x.bias.grad, theirs.bias_ih_l0.grad, atol=1e-5, rtol=1e-5)


def test_padding_never_changes_a_prediction():
    model, split = tiny_model(), random_split()
    wider = split._replace(inputs=torch.nn.functional.pad(split.inputs, (0, 6)))
    torch.testing.assert_close(
        script.predict_logits(model, split), script.predict_logits(model, wider), atol=1e-6, rtol=0
    )


def test_batch_size_never_changes_the_reported_loss(monkeypatch):
    model, split = tiny_model(), random_split()
    whole = script.evaluate(model, split)
    predict = script.predict_logits
    monkeypatch.setattr(script, "predict_logits", lambda m, s: predict(m, s, batch_size=5))
    for name, value in script.evaluate(model, split).items():
        assert value == pytest.approx(whole[name], abs=1e-6)


def test_state_is_read_at_the_last_letter():
    model, split = tiny_model(), random_split()
    logits = script.predict_logits(model, split)
    for row in (0, 5):
        alone = split.inputs[row : row + 1, : split.lengths[row]]
        states, _ = model.rnn(model.embedding(alone))
        torch.testing.assert_close(model.output(states[:, -1])[0], logits[row], atol=1e-6, rtol=0)


def test_initialisation_is_orthogonal_and_unbiased():
    rnn = tiny_model().rnn
    weight = rnn.W_h.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(7), atol=1e-5, rtol=0)
    assert not rnn.W_x.bias.any() and rnn.W_h.bias is None


def test_the_model_can_be_lifted_into_an_empty_file(tmp_path):
    """Whoever likes the classes copies them: they lean on nothing but torch."""
    source = "import torch\nfrom torch import nn\n"
    for part in (script.HandWrittenRNN, script.NameClassifier):
        source += inspect.getsource(part)
    source += (
        "print(NameClassifier(31, 18)(torch.ones(4, 9).long(), torch.tensor([1, 4, 9, 2])).shape)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([4, 18])", done.stderr


def test_dropout_scales_what_it_keeps():
    model = script.NameClassifier(20, 4, dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_model_can_overfit_one_batch():
    model, split = tiny_model(hidden_size=32), random_split(count=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(model(split.inputs, split.lengths), split.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert script.evaluate(model, split)["accuracy"] == 1.0


def train_one_epoch(model, split, clip=0.0):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sampler = ru.BucketBatchSampler(split.lengths, 8)
    return script.train_epoch(model, split, sampler, optimizer, 1, 1, 1e-9, clip)


def test_the_training_loss_is_a_mean_over_names():
    """33 names are four batches of 8 and one of a single name, which counts as one name."""
    model, split = tiny_model(), random_split()
    expected = script.evaluate(model, split)
    loss, accuracy, _ = train_one_epoch(model, split)
    assert loss == pytest.approx(expected["loss"], abs=1e-5)
    assert accuracy == pytest.approx(expected["accuracy"])


def test_each_update_has_the_gradient_of_its_own_batch_alone(monkeypatch):
    model, split = tiny_model(), random_split()
    alone = note_gradients(monkeypatch, script, "cross_entropy", model.output.weight)
    train_one_epoch(model, split)
    assert len(alone) == 5
    torch.testing.assert_close(model.output.weight.grad, alone[-1])


def test_evaluation_uses_no_dropout():
    model, split = script.NameClassifier(20, 4, dropout=0.5).train(), random_split()
    assert script.evaluate(model, split) == script.evaluate(model.train(), split)


# ---------------------------------------------------------------- what the chapter claims


def test_bptt_factors_are_w_times_one_minus_h_squared(capsys):
    factors = script.bptt_by_hand(w=0.5, inputs=(0.0, 0.0, 0.0))
    assert factors == pytest.approx([0.5, 0.5, 0.5])  # h stays 0, so 1 - h^2 is 1
    assert "0.125000" in capsys.readouterr().out


def test_gradient_vanishes_below_radius_1_and_explodes_above(capsys):
    norms = script.gradient_lesson()
    capsys.readouterr()
    last = norms[1.0][-1]
    assert len(norms[1.0]) == 50
    assert norms[0.5][0] < 1e-10 * last
    assert 0.1 * last < norms[1.0][0] < 10 * last
    assert norms[1.5][0] > 100 * last


def test_the_best_epoch_is_chosen_on_validation_and_the_first_of_ties(monkeypatch):
    """Neither training accuracy nor test decides; an equal result is no progress."""
    scores = iter([0.2, 0.6, 0.6, 0.4])
    splits = []

    def evaluate(model, split):
        splits.append(split)
        return {"loss": 1.0, "accuracy": next(scores), "macro_f1": 0.0}

    snapshots = []
    snapshot = ru.snapshot

    def remember(model):
        snapshots.append(snapshot(model))
        return snapshots[-1]

    monkeypatch.setattr(script, "evaluate", evaluate)
    monkeypatch.setattr(ru, "snapshot", remember)
    model, train_split, val_split = tiny_model(), random_split(), random_split(count=20)
    history, best = script.train(
        model, train_split, val_split, epochs=4, lr=0.01, batch_size=8, clip=1.0, patience=0,
        seed=0, about={},
    )  # fmt: skip
    assert best["epoch"] == 2 and len(history) == 4
    assert all(split is val_split for split in splits)
    kept = snapshots[1]["output.weight"]  # of epoch 2; epoch 1 was the first to be better
    assert len(snapshots) == 2
    assert torch.equal(model.state_dict()["output.weight"], kept)


def test_each_split_has_its_place(tmp_path, monkeypatch):
    flags = [*TINY, "--output-dir", str(tmp_path)]
    assert_classifier_keeps_splits_apart(script, flags, monkeypatch)


def test_training_stops_after_patience_epochs_without_a_better_one(monkeypatch, capsys):
    scores = iter([0.5, 0.4, 0.5, 0.3, 0.2])
    monkeypatch.setattr(
        script, "evaluate",
        lambda model, split: {"loss": 1.0, "accuracy": next(scores), "macro_f1": 0.0},
    )  # fmt: skip
    history, best = script.train(
        tiny_model(), random_split(), random_split(), epochs=5, lr=0.01, batch_size=8, clip=1.0,
        patience=3, seed=0, about={},
    )  # fmt: skip
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


def test_single_letters_know_no_order_and_groups_do(capsys):
    pairs = [("ab" * n, "x") for n in range(1, 9)] + [("ba" * n, "y") for n in range(1, 9)]
    test = script.encode(pairs, ru.Vocab(["<pad>", "<unk>", *"ab"]), ["x", "y"], "cpu")
    splits = dict.fromkeys(("train", "val", "test"), pairs)
    _, baselines = script.measure_test(script.NameClassifier(4, 2), test, splits, 1)
    assert baselines["single letters"] == 0.5 == baselines["majority label"]
    assert baselines["groups of 1 to 3 letters"] == 1.0


# ---------------------------------------------------------------- the data


def check_split(splits, pairs):
    assert sorted(pair for rows in splits.values() for pair in rows) == sorted(set(pairs))
    names = [{name for name, _ in rows} for rows in splits.values()]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    labels = {label for _, label in pairs}
    assert all({label for _, label in rows} == labels for rows in splits.values())


def test_embedded_names_are_split_without_leaks():
    rows, _, embedded = rd.load_dataset("names", "embedded")
    pairs = [(rd.fold_to_ascii(name), label) for name, label in rows]
    assert embedded and len({label for _, label in pairs}) == 18
    splits = script.split_by_name(pairs)
    check_split(splits, pairs)
    assert splits == script.split_by_name(pairs[::-1])
    sizes = [len(part) / len(set(pairs)) for part in splits.values()]
    assert sizes == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def real_names_or_skip():
    folder = Path(os.environ.get("RNN_DATA_DIR", "data")) / "names"
    if not all((folder / name).is_file() for name in rd.DATA_SETS["names"][1]):
        pytest.skip("the names data set is not here")


def test_the_vocabulary_is_that_of_train():
    splits = {"train": [("aab", "x"), ("b", "y")], "val": [("cc", "x")], "test": [("dd", "y")]}
    _, about = script.build(splits, 8, 0.0, {"data": None})
    assert about["vocab"] == ["<pad>", "<unk>", "a", "b"]


def test_a_name_counts_for_its_rarest_label():
    """All 30 Scottish names are English as well, and test and val hold a tenth of them each."""
    names = [f"name{number:03d}" for number in range(330)]
    pairs = [(name, "English") for name in names] + [(name, "Scottish") for name in names[::11]]
    for part in ("test", "val"):
        rows = script.split_by_name(pairs)[part]
        assert sum(label == "Scottish" for _, label in rows) == 3


def test_real_names_have_the_duplicates_we_say_and_do_not_leak():
    real_names_or_skip()
    rows, _, _ = rd.load_dataset("names", "names")
    pairs = [(rd.fold_to_ascii(name), label) for name, label in rows]
    assert len(pairs) == 20_050
    assert len(set(pairs)) == 17_985
    check_split(script.split_by_name(pairs), pairs)


def test_real_names_beat_the_majority_after_one_epoch(tmp_path):
    real_names_or_skip()
    metrics = script.main(
        ["--dataset", "names", "--epochs", "1", "--hidden-size", "64", "--no-plots",
         "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["embedded"] is False and metrics["dataset"] == "names"
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"] + 0.1


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")  # a space in the path, as on many laptops
    done = run_script(NAME, *TINY, "--epochs", "4", "--save-model", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_chance(tmp_path):
    done = run_script(NAME, "--quick", "--predict", "Yamamoto", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    figures = {"letter_by_letter", "confusion_matrix", "gradients", "training_curves"}
    assert {path.stem for path in output.glob("*.png")} == figures
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"]
    assert len(metrics["history"]) == 2 and metrics["best_epoch"] in (1, 2)
    assert "yamamoto" in done.stdout and "(64, 18)" in done.stdout  # layers with their shapes
    assert not (tmp_path / "models").exists()  # nothing is saved unasked


def test_same_seed_same_metrics(trained, tmp_path):
    _, first = trained
    again = script.main([*TINY, "--epochs", "4", "--output-dir", str(tmp_path / "out")])
    assert same_but_for_times(again) == same_but_for_times(first)


def test_checkpoint_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    path = f"models/{NAME}.pt"
    done = run_script(NAME, "--eval-only", "--path", path, "--output-dir", "evaluated", cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated["test"] == metrics["test"]
    assert evaluated["best_epoch"] == metrics["best_epoch"]
    assert (folder / "evaluated" / "letter_by_letter.png").exists()
    assert "hidden-size=16" in done.stdout  # the settings of the model, not of this command


def test_evaluation_leaves_the_metrics_of_the_training_run(trained, monkeypatch):
    folder, metrics = trained
    monkeypatch.chdir(folder)
    script.main(["--eval-only", "--no-plots"])
    kept = json.loads((folder / "outputs" / NAME / "metrics.json").read_text())
    assert kept == metrics


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    folder, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    done = run_script(NAME, "--predict", "Müller", "O'Brien", "--path", "mine.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "muller" in done.stdout and "o'brien" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt):
            script.main(command)
    resumed = script.main([*command, "--resume"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    weights = [
        ru.load_checkpoint(path, NAME)["best"]["weights"]
        for path in (tmp_path / "m.pt", folder / "models" / f"{NAME}.pt")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resuming_a_finished_or_stopped_run_trains_no_further(trained, tmp_path):
    folder, straight = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "m.pt")
    command = [*TINY, "--epochs", "4", "--path", str(tmp_path / "m.pt"), "--resume"]
    again = script.main([*command, "--output-dir", str(tmp_path)])
    assert same_but_for_times(again) == same_but_for_times(straight)


def test_resuming_with_another_configuration_is_an_error(trained):
    folder, _ = trained
    done = run_script(NAME, *TINY, "--epochs", "4", "--lr", "0.1", "--resume", cwd=folder)
    assert_one_line_error(done, "--lr 0.002", "0.1")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_is_clean_and_says_how_to_go_on(tmp_path):
    flags = ["--quick", "--epochs", "500", "--patience", "0", "--save-model", "--no-plots"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / f"{NAME}.py"), *flags],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
        # A shell's background jobs ignore Ctrl-C, and so would this child of theirs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    last = tmp_path / "models" / f"{NAME}.pt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors and "--resume" in errors
    assert ru.load_checkpoint(last, NAME)["training"]["history"]


def test_own_data_from_a_folder_and_from_a_table(tmp_path):
    folder = tmp_path / "plantes à fleurs"
    folder.mkdir()
    names = {
        "Tree": "oak ash elm fir yew pine lime box",
        "Herb": "dill mint sage thyme basil anise",
    }
    for label, text in names.items():
        (folder / f"{label}.txt").write_text(text.replace(" ", "\n"), encoding="utf-8")
    table = tmp_path / "plants.csv"
    rows = [f"{name},{label}" for label, text in names.items() for name in text.split()]
    table.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    results = []
    for data in (folder, table):
        metrics = script.main(
            ["--data", str(data), "--epochs", "2", "--hidden-size", "8", "--no-plots",
             "--output-dir", str(tmp_path / "out")]
        )  # fmt: skip
        results.append(metrics["test"])
        assert metrics["embedded"] is False
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({}, ["names", "no texts", "two labels"]),
        ({"A.txt": b"abc\ndef\n"}, ["names", "two labels"]),
        ({"A.txt": b"abc\n", "B.txt": b""}, ["B.txt", "empty"]),
        ({"A.txt": b"abc\nab\na\n", "B.txt": b"xyz\nxyz\n"}, ["'B'", "at least 3"]),
        ({"A.txt": b"abc\n\xff\n", "B.txt": b"x\n"}, ["A.txt, line 2", "UTF-8"]),
    ],
)
def test_bad_folder_of_names_is_one_line(tmp_path, files, fragments):
    folder = tmp_path / "names"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ru.UserError) as caught:
        script.main(["--data", str(folder), "--output-dir", str(tmp_path / "out")])
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "-1"], ["--epochs", "1 or more"]),
        (["--data", "nowhere"], ["nowhere", "no such file"]),
        (["--data", "one.csv"], ["one.csv", "only the label"]),
        (["--dataset", "names", "--data-dir", "empty"], ["Arabic.txt", "--offline"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--predict", "Li", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--predict", "Li", "--path", "other.pt"], ["other.pt", "saved by 05_lstm_sentiment"]),
        (["--predict", "Li", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], [f"{NAME}.pt", "nothing to resume", "--save-model"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
        (["--quick", "--output-dir", "one.csv"], ["--output-dir", "one.csv"]),
        (["--quick", "--save-model", "--path", "empty"], ["--path empty", "folder"]),
        (["--no-such-flag"], ["--no-such-flag"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.csv").write_text("text,label\nabc,x\n", encoding="utf-8")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint(tmp_path / "other.pt", "05_lstm_sentiment", {"vocab": []})
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, {"about": {"labels": ["a"]}})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run_here(script, flags, capsys), *fragments)
    after = {path.name for path in tmp_path.iterdir()} - {"outputs", "models"}
    assert sorted(after) == before


def test_cuda_without_cuda_is_one_line(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert_one_line_error(run_script(NAME, "--device", "cuda", cwd=tmp_path), "--device cuda")


def test_auto_falls_back_with_a_warning_nobody_can_miss(tmp_path):
    done = run_script(
        NAME, "--epochs", "1", "--max-examples", "400", "--no-plots", "--data-dir", "nothing",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "EMBEDDED" in done.stderr and "--dataset names" in done.stderr
    metrics = json.loads((tmp_path / "outputs" / NAME / "metrics.json").read_text())
    assert metrics["embedded"] is True


def test_help_and_run_survive_a_cp1252_console(tmp_path):
    done = run_script(NAME, "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and "--epochs" in done.stdout
    flags = [*TINY, "--predict", "Ślusàrski"]
    done = run_script(NAME, *flags, cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr


def test_threads_are_recorded(tmp_path):
    metrics = script.main([*TINY, "--epochs", "1", "--threads", "2", "--output-dir", str(tmp_path)])
    assert metrics["config"]["threads"] == 2
    torch.set_num_threads(1)


def test_own_names_keep_their_script_and_their_digits(tmp_path):
    """Cyrillic names and product codes are read as they are; only the data set is folded."""
    codes = [f"{letter}{number}" for letter in "ЖЩ" for number in range(10, 30)]
    rows = [f"{code},{'even' if int(code[1:]) % 2 == 0 else 'odd'}" for code in codes]
    table = tmp_path / "codes.csv"
    table.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    flags = ["--data", str(table), "--epochs", "1", "--hidden-size", "8", "--no-plots"]
    flags += ["--save-model", "--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
    script.main(flags)
    vocab = ru.load_checkpoint(tmp_path / "m.pt", NAME)["about"]["vocab"]
    assert {"Ж", "Щ", "1", "2"} <= set(vocab)
    answers = script.main(["--predict", "Ж12", "--path", str(tmp_path / "m.pt")])
    assert set(answers["Ж12"]) == {"even", "odd"}


def test_a_name_without_letters_is_refused_in_one_line(trained, capsys):
    folder, _ = trained
    flags = ["--predict", "李", "--path", str(folder / "models" / f"{NAME}.pt")]
    assert_one_line_error(run_here(script, flags, capsys), "李", "a to z")


def test_standard_input_becomes_a_table_of_answers(trained, capsys, monkeypatch):
    """One row a line, in order, and nothing else; the same answers as one name at a time."""
    folder, _ = trained
    flags = ["--path", str(folder / "models" / f"{NAME}.pt"), "--predict"]
    names = ["Yamamoto", "O'Brien", "李", "Müller", "a"] * 300  # more than one batch
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(names) + "\n\n"))
    done = run_here(script, [*flags, "-"], capsys)
    assert done.returncode == 0 and done.stderr == ""
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows.pop() == ["", "", "nan"]  # an empty line has a row, too: row n answers line n
    assert [row[0] for row in rows] == names
    assert rows[2] == ["李", "", "nan"]
    answers = script.main([*flags, "Yamamoto", "Müller", "a"])
    for name, label, probability in rows[:2] + rows[3:]:
        if name in answers:
            assert label == max(answers[name], key=answers[name].get)
            assert float(probability) == pytest.approx(answers[name][label], abs=1e-4)


def test_evaluation_on_labels_that_the_model_does_not_know_names_the_file(
    trained, tmp_path, capsys
):
    folder, _ = trained
    table = tmp_path / "trees.csv"
    rows = [f"{name},{label}" for label in ("oak", "elm") for name in ("ada", "bob", "cid", "dan")]
    table.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    flags = ["--eval-only", "--path", str(folder / "models" / f"{NAME}.pt"), "--data", str(table)]
    done = run_here(script, [*flags, "--output-dir", str(tmp_path)], capsys)
    assert_one_line_error(done, "trees.csv", "elm")


def test_the_difference_is_that_of_the_network_from_the_groups_of_letters(trained):
    _, metrics = trained
    difference, low, high = metrics["test"]["minus_groups"]
    groups = metrics["baselines"]["groups of 1 to 3 letters"]
    assert difference == pytest.approx(metrics["test"]["accuracy"] - groups) != 0
    assert low < difference < high
