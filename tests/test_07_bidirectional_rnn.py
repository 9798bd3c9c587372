"""07: both directions are nn.LSTM's, padding changes nothing, each half has read what we say."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
from pathlib import Path

import pytest
import torch
from helpers import (
    InterruptedAfter,
    assert_classifier_keeps_splits_apart,
    assert_dropout_scales,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    note_calls,
    run_here,
    run_script,
    same_but_for_times,
)
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnn_texts as rt
import rnn_utils as ru

script = load_script("07_bidirectional_rnn")
NAME = "07_bidirectional_rnn"
TINY = ["--quick", "--max-examples", "300", "--no-plots", "--hidden-size", "8"]
DIRECTIONS = ["forward", "backward", "both"]
WORDS = [f"word{index}" for index in range(30)]
LABELS = ["0", "1", "2"]
VOCAB = ru.Vocab(["<pad>", "<unk>", *WORDS])


def tiny_model(**changes):
    ru.set_seed(0)
    sizes = {"hidden_size": 6, "dropout": 0.0, "embedding_size": 10, **changes}
    model = script.TextClassifier(len(VOCAB), len(LABELS), **sizes).eval()
    for name, parameter in model.lstm.named_parameters():
        if "bias" in name:  # as after training: with the zeros of the start, padding does nothing
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def random_pairs(count=33, longest=9):
    rng = random.Random(1)
    return [
        (rng.choices(WORDS, k=rng.randint(1, longest)), rng.choice(LABELS)) for _ in range(count)
    ]


def random_split(count=33, longest=9):
    return rt.encode(random_pairs(count, longest), VOCAB, LABELS, "cpu")


def train_one_epoch(model, split, sampler, lr=0.1, batch_size=64, clip=0.0):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return script.train_epoch(model, split, sampler, optimizer, 1, 1, lr, batch_size, clip)


def load(*flags):
    args = script.parse_args(list(flags))
    return script.load_texts(
        args.data, args.columns, args.dataset, args.data_dir, args.offline, args.max_examples,
        args.max_length,
    )  # fmt: skip


# ---------------------------------------------------------------- the model


def test_reverse_turns_each_text_within_its_length():
    inputs = torch.tensor([[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]])[:, :, None]
    turned = script.reverse(inputs, torch.tensor([3, 5]))[:, :, 0]
    assert turned.tolist() == [[3, 2, 1, 0, 0], [5, 4, 3, 2, 1]]


@pytest.mark.parametrize("num_layers", [1, 2])
def test_both_directions_equal_a_packed_nn_lstm_in_output_and_gradient(num_layers):
    ru.set_seed(0)
    ours = script.BidirectionalLSTM(5, 7, num_layers)
    theirs = torch.nn.LSTM(5, 7, num_layers, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for layer in range(num_layers):
            for suffix, direction in (("", "forward"), ("_reverse", "backward")):
                for name, parameter in ours.lstms[f"{layer} {direction}"].named_parameters():
                    name = name.replace("l0", f"l{layer}{suffix}")
                    getattr(theirs, name).copy_(parameter)
    lengths = torch.tensor([6, 1, 4])
    inputs = torch.randn(3, 6, 5)
    mask = ru.lengths_to_mask(lengths)
    results = []
    for lstm in (ours, theirs):
        x = inputs.clone().requires_grad_()
        if lstm is ours:
            output = lstm(x, lengths)
        else:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True)
        output[mask].square().sum().backward()
        results.append((output, x.grad))  # output: at padding, too, where both have 0
    for mine, reference in zip(*results):
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_padding_and_order_change_no_logit(direction, num_layers):
    model = tiny_model(direction=direction, num_layers=num_layers)
    split = random_split()
    logits = script.predict_logits(model, split)
    wider = torch.nn.functional.pad(split.inputs, (0, 7))
    torch.testing.assert_close(model(wider, split.lengths), logits, atol=1e-5, rtol=0)
    turned = model(split.inputs.flip(0), split.lengths.flip(0)).flip(0)
    torch.testing.assert_close(turned, logits, atol=1e-5, rtol=0)
    alone = [
        model(split.inputs[row : row + 1, :length], split.lengths[row : row + 1])
        for row, length in enumerate(split.lengths.tolist())
    ]
    torch.testing.assert_close(torch.cat(alone), logits, atol=1e-5, rtol=0)


def test_the_naive_reading_does_depend_on_padding():
    ru.set_seed(0)
    model = script.StateReader(None, len(VOCAB), len(LABELS), "both").eval()
    split = random_split()
    wider = torch.nn.functional.pad(split.inputs, (0, 7))
    logits = model(split.inputs, split.lengths)
    assert (model(wider, split.lengths) - logits).abs().max() > 1e-3
    states = model.read(split.inputs, split.lengths)
    torch.testing.assert_close(logits, model.output(states[:, -1]))


def test_the_state_is_read_at_the_blank():
    ru.set_seed(0)
    model = script.StateReader(7, len(VOCAB), len(LABELS), "both").eval()
    inputs = torch.tensor([[3, 7, 4, 5], [3, 4, 7, 0]])
    lengths = torch.tensor([4, 3])
    states = model.read(inputs, lengths)
    expected = model.output(torch.stack([states[0, 1], states[1, 2]]))
    torch.testing.assert_close(model(inputs, lengths), expected)


def test_the_summary_is_the_maximum_over_real_words():
    model = tiny_model()
    split = random_split()
    states = model.read(split.inputs, split.lengths)
    summaries = [
        states[row, :length].max(dim=0).values for row, length in enumerate(split.lengths.tolist())
    ]
    torch.testing.assert_close(
        script.predict_logits(model, split), model.output(torch.stack(summaries))
    )


@torch.no_grad()
def test_each_direction_has_read_only_its_own_side():
    model = tiny_model()
    inputs = torch.arange(2, 8)[None]  # (1, 6)
    changed = inputs.clone()
    changed[0, 3] = 9
    lengths = torch.tensor([6])
    moved = (model.read(changed, lengths) - model.read(inputs, lengths))[0].abs()  # (T, 2 H)
    forward, backward = (half.sum(dim=1) > 0 for half in moved.chunk(2, dim=1))
    assert forward.tolist() == [False, False, False, True, True, True]
    assert backward.tolist() == [True, True, True, True, False, False]


@torch.no_grad()
def test_the_answers_word_by_word_have_read_what_we_say():
    model = tiny_model()
    texts = [(WORDS[:6], "0"), ([*WORDS[:3], "word20", *WORDS[4:6]], "0")]
    split = rt.encode(texts, VOCAB, LABELS, "cpu")
    before = script.answer_word_by_word(model, split, 0)
    after = script.answer_word_by_word(model, split, 1)
    moved = {name: (after[name] - before[name]).abs().sum(dim=1) > 1e-7 for name in before}
    assert not moved["forward"][:3].any() and moved["forward"][3]
    assert not moved["backward"][4:].any() and moved["backward"][3]
    # W_f h^f + b and W_b h^b + b add up to the answer of both halves, and b.
    logits = before["forward"].log() + before["backward"].log() - model.output.bias
    both = model.output(model.read(split.inputs[:1], split.lengths[:1])[0])
    torch.testing.assert_close(logits.softmax(dim=1), both.softmax(dim=1))


def test_small_vectors_at_the_start_and_none_for_padding():
    model = script.TextClassifier(500, 3)
    weight = model.embedding.weight
    assert not weight[0].any()
    assert 0.09 < float(weight[1:].detach().std()) < 0.11


def test_every_direction_starts_from_orthogonal_matrices_and_an_open_forget_gate():
    lstms = script.TextClassifier(9, 2, hidden_size=6, num_layers=2).lstm.lstms
    assert len(lstms) == 4
    for lstm in lstms.values():
        for gate in lstm.weight_hh_l0.split(6):
            torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
        assert lstm.bias_ih_l0.tolist() == [0] * 6 + [1] * 6 + [0] * 12


def test_dropout_acts_with_one_layer_and_does_not_warn():
    model, split = tiny_model(dropout=0.5).train(), random_split()
    batch = (split.inputs, split.lengths)
    assert (model(*batch) - model(*batch)).abs().max() > 1e-3
    model.eval()
    assert torch.equal(model(*batch), model(*batch))


def test_dropout_scales_what_it_keeps():
    model = tiny_model(dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)
    assert_dropout_scales(model.lstm.dropout, 0.25)


def test_model_can_overfit_one_batch():
    model, split = tiny_model(hidden_size=32), random_split(count=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(model(split.inputs, split.lengths), split.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert script.evaluate(model, split)["accuracy"] == 1.0


# ---------------------------------------------------------------- the training


class Batches(list):
    def set_epoch(self, epoch):
        pass


def test_accumulated_batches_make_the_update_of_one_large_batch():
    split = random_split(count=64)
    after = []
    for size in (64, 16, 10):  # 10: the last of the seven parts holds only four texts
        model = tiny_model()
        train_one_epoch(model, split, Batches([list(range(64))]), batch_size=size, clip=1.0)
        after.append(ru.snapshot(model))
    for weights in after[1:]:
        for name, value in weights.items():
            torch.testing.assert_close(value, after[0][name], atol=1e-6, rtol=0)


def test_accumulating_runs_make_the_same_batches(tmp_path):
    """270 texts are not a multiple of 64: the last update of an epoch is a smaller one."""
    flags = [*TINY, "--dropout", "0", "--output-dir", str(tmp_path)]
    sizes = (["--batch-size", "64"], ["--batch-size", "16", "--accumulate-steps", "4"])
    one, four = (script.main([*flags, *size])["history"] for size in sizes)
    for first, second in zip(one, four):
        for name in ("train_loss", "val_loss"):
            assert second[name] == pytest.approx(first[name], abs=1e-4)


def test_each_update_has_the_gradient_of_its_own_batch_alone():
    split, gradients = random_split(count=32), []
    first, last = list(range(16)), list(range(16, 32))
    for batches in ([first, last], [last]):
        model = tiny_model()
        train_one_epoch(model, split, Batches(batches), lr=1e-9, batch_size=5)
        gradients.append(model.output.weight.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_all_labels_share_a_tenth_of_the_target_in_training():
    model, split = tiny_model(), random_split()
    target = 0.9 * torch.eye(3)[split.targets] + 0.1 / 3  # (N, L)
    p = script.predict_logits(model, split).softmax(dim=1)
    train_one_epoch(model, split, Batches([list(range(33))]), lr=1e-9)
    gradient = (p - target).mean(dim=0)  # of cross-entropy for the bias of the output layer
    torch.testing.assert_close(model.output.bias.grad, gradient, atol=1e-6, rtol=1e-4)


def test_every_text_is_seen_once_an_epoch():
    model, split = tiny_model(), random_split(count=50)
    split.inputs[:, 0] = 2 + torch.arange(50) % 30  # 50 texts, told apart by their first words
    split.inputs[:, 1] = 2 + torch.arange(50) // 30
    lengths = split.lengths.clamp(min=2)
    split = split._replace(lengths=lengths)
    seen = []
    model.register_forward_pre_hook(lambda _, batch: seen.extend(batch[0][:, :2].tolist()))
    train_one_epoch(model, split, ru.BucketBatchSampler(lengths, 8), batch_size=3)
    assert sorted(seen) == sorted(split.inputs[:, :2].tolist())


def test_evaluation_uses_no_dropout():
    model, split = tiny_model(dropout=0.5).train(), random_split()
    assert script.evaluate(model, split) == script.evaluate(model.train(), split)


def test_batch_size_changes_no_reported_loss(monkeypatch):
    model, split, predict = tiny_model(), random_split(), script.predict_logits
    whole = script.evaluate(model, split)
    monkeypatch.setattr(script, "predict_logits", lambda m, s: predict(m, s, batch_size=5))
    for name, value in script.evaluate(model, split).items():
        assert value == pytest.approx(whole[name], abs=1e-6)


def test_the_training_loss_is_a_mean_over_texts_in_nats():
    split = random_split()
    model = tiny_model()
    expected = script.evaluate(model, split)["loss"]
    loss, _ = train_one_epoch(model, split, Batches([list(range(33))]), lr=1e-9, batch_size=7)
    assert loss == pytest.approx(expected, abs=1e-5)


def run_training(monkeypatch, losses, epochs, patience):
    """Train a tiny model whose validation losses are given; return history, best and splits."""
    losses = iter(losses)
    splits = []

    def evaluate(model, split):
        splits.append(split)
        return {"loss": next(losses), "accuracy": 0.5, "macro_f1": 0.5}

    kept = []  # copies of the weights, as they were when an epoch was the best so far
    snapshot = ru.snapshot
    monkeypatch.setattr(ru, "snapshot", lambda m: kept.append(snapshot(m)) or kept[-1])
    monkeypatch.setattr(script, "evaluate", evaluate)
    model, val_split = tiny_model(), random_split(count=20)
    history, best = script.train(
        model, random_split(), val_split, epochs=epochs, lr=0.01, batch_size=8,
        accumulate_steps=1, clip=1.0, patience=patience, seed=0, about={},
    )  # fmt: skip
    assert all(split is val_split for split in splits)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[-1][name])  # the model has those of the best epoch
    return history, best


def test_the_best_epoch_is_that_of_least_validation_loss_and_the_first_of_ties(monkeypatch):
    """Neither training nor test decides; an equal result is no progress."""
    history, best = run_training(monkeypatch, [0.2, 0.1, 0.1, 0.15], epochs=4, patience=0)
    assert best["epoch"] == 2 and len(history) == 4


def test_each_split_has_its_place(tmp_path, monkeypatch):
    flags = [*TINY, "--output-dir", str(tmp_path)]
    assert_classifier_keeps_splits_apart(script, flags, monkeypatch)


def test_training_stops_after_patience_epochs_without_a_better_one(monkeypatch, capsys):
    history, best = run_training(monkeypatch, [1.0, 1.1, 1.0, 1.2, 0.1], epochs=5, patience=3)
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


# ---------------------------------------------------------------- the data


def test_long_texts_keep_both_ends_and_are_counted(tmp_path, capsys):
    rows = [f"start{i} {'middle ' * 10} end{i},{'x' if i % 2 else 'y'}" for i in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    splits, _, _ = load("--data", str(tmp_path / "own.csv"), "--max-length", "4")
    texts = [words for pairs in splits.values() for words, _ in pairs]
    assert all(len(words) == 4 for words in texts)
    assert all(words[0].startswith("start") and words[-1].startswith("end") for words in texts)
    assert "20 texts cut to 4 words" in capsys.readouterr().out


def test_any_text_can_be_answered():
    about = {"vocab": VOCAB.get_itos(), "labels": LABELS, "config": {"max_length": 50}}
    texts = ["word1", "word2 " * 4000, "never met", "<unk> <pad> word2", "Grüße, 李!"]
    answers = script.predict(tiny_model(), about, texts)
    for text in map(str.strip, texts):
        assert set(answers[text]) == set(LABELS)
        assert sum(answers[text].values()) == pytest.approx(1)
    with pytest.raises(ru.UserError, match="no word"):
        script.predict(tiny_model(), about, [";"])


def test_repetitions_in_own_texts_are_dropped(tmp_path):
    rows = ["A b?,x", "a B ?,y", "c,x", "d,x", "e,y", "f,y", "g,y"]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    splits, source, embedded = load("--data", str(tmp_path / "own.csv"))
    rows = sorted((" ".join(words), label) for pairs in splits.values() for words, label in pairs)
    assert rows == [("a b ?", "x"), *zip("cdefg", "xxyyy")]  # of two labels, the first
    assert source == str(tmp_path / "own.csv") and not embedded


def test_vocabulary_is_built_from_train_only(tmp_path):
    rows = [f"shared shared a{i} b{i} w{i} w{i},{'x' if i % 2 else 'y'}" for i in range(60)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    flags = ["--data", str(tmp_path / "own.csv"), *TINY[3:], "--epochs", "1", "--save-model"]
    flags += ["--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
    script.main(flags)
    vocab = ru.load_checkpoint(tmp_path / "m.pt", NAME)["about"]["vocab"]
    splits, _, _ = load(*flags)
    train = {word for words, _ in splits["train"] for word in words}
    assert {"shared"} < set(vocab) - {"<pad>", "<unk>"} <= train
    assert len(vocab) == 2 + 1 + len(splits["train"])  # <pad> <unk> shared, and one w per text


def test_labels_that_the_model_does_not_know_are_one_line():
    about = {"vocab": VOCAB.get_itos(), "labels": ["ham", "spam"], "config": {}}
    wanted = "mail.csv: the label 'animal' is not one that the model knows: ham, spam"
    with pytest.raises(ru.UserError, match=wanted):
        rt.encode_splits(tiny_model(), about, {"val": [(["so"], "animal")]}, "mail.csv")


def write_classes(path, count: int) -> str:
    """A table of ten classes with `count` texts each; a word that comes twice tells the class."""
    rows = [f"kind{c} item {c}{n} of kind{c} ?,class{c}" for c in range(10) for n in range(count)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return str(path)


def test_ten_classes_of_three_texts_each_train_with_the_default_flags(tmp_path):
    table = write_classes(tmp_path / "ten.csv", 3)
    splits, _, _ = load("--data", table)
    for pairs in splits.values():  # one text of each class to train, validate and test
        assert sorted(label for _, label in pairs) == [f"class{c}" for c in range(10)]
    metrics = script.main(["--data", table, "--output-dir", str(tmp_path / "out")])
    assert len(metrics["history"]) == 15
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"]
    longer = ["--data", table, "--epochs", "100", "--output-dir", str(tmp_path), "--no-plots"]
    assert script.main(longer)["test"]["accuracy"] > 0.5  # and with more updates it learns


def test_two_texts_of_a_class_are_too_few(tmp_path, capsys):
    flags = ["--data", write_classes(tmp_path / "ten.csv", 2), "--output-dir", str(tmp_path)]
    assert_one_line_error(run_here(script, flags, capsys), "ten.csv", "needs at least 3")


# ---------------------------------------------------------------- what the chapter claims


def test_a_bag_of_words_cannot_fill_the_blank():
    splits, _, embedded = load("--quick")
    labels = sorted({label for _, label in splits["train"]})
    vocab = ru.Vocab.build([words for words, _ in splits["train"]])
    model = script.TextClassifier(len(vocab), len(labels), hidden_size=4)
    test = rt.encode(splits["test"], vocab, labels, "cpu")
    _, baselines = script.measure_test(model, test, splits, 1, {})
    assert embedded and baselines["majority label"] < 0.35
    assert 0.4 < baselines["words and pairs, logistic regression"] < 0.8  # half of it is guessing


def test_the_lesson_gives_every_model_the_same_start_and_the_same_test(monkeypatch):
    seeded = note_calls(monkeypatch, ru, "set_seed")
    evaluated = note_calls(monkeypatch, script, "evaluate")
    monkeypatch.setattr(script, "train_epoch", lambda *_: None)
    data = {"train": random_split(), "test": random_split(count=20)}
    script.direction_lesson(data, VOCAB, LABELS, seed=3)
    assert [call.args for call in seeded] == [(3,)] * 6
    assert len(evaluated) == 6 and all(call.args[1] is data["test"] for call in evaluated)


def test_lesson_forward_knows_nothing_at_the_blank_and_backward_all(tmp_path):
    metrics = script.main(["--lesson", "direction", "--output-dir", str(tmp_path)])
    accuracy = {(row["direction"], row["place"]): row["accuracy"] for row in metrics["lesson"]}
    assert accuracy["forward", "at the blank"] < 0.25 + 0.05
    assert accuracy["backward", "at the blank"] > 0.95 and accuracy["both", "at the blank"] > 0.95
    assert accuracy["backward", "states[:, -1]"] < 0.25 + 0.05
    assert accuracy["both", "states[:, -1]"] < 0.5
    assert (tmp_path / "direction.png").exists() and (tmp_path / "metrics.json").exists()


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")
    done = run_script(NAME, *TINY, "--epochs", "4", "--save-model", cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_the_baselines(tmp_path):
    done = run_script(NAME, "--quick", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    figures = {"word_by_word", "confusion_matrix", "training_curves"}
    assert {path.stem for path in output.glob("*.png")} == figures
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    assert metrics["test"]["accuracy"] > max(metrics["baselines"].values())
    gain, low, high = metrics["test"]["minus_last"]
    assert 0 < low < gain < high
    regression = metrics["baselines"]["words and pairs, logistic regression"]
    assert gain == pytest.approx(metrics["test"]["accuracy"] - regression)
    assert "(64, 4)" in done.stdout  # layers with their shapes
    assert not (tmp_path / "models").exists()


def test_another_checkpoint_is_compared_question_by_question(trained, tmp_path, monkeypatch):
    folder, first = trained
    monkeypatch.chdir(tmp_path)
    model = str(folder / "models" / f"{NAME}.pt")
    flags = ["--epochs", "1", "--direction", "forward", "--output-dir", str(tmp_path)]
    second = script.main([*TINY, *flags, "--compare", model])
    alone = script.main([*TINY, *flags])  # to compare changes nothing in the training
    for measure in ("train_loss", "val_loss"):
        assert second["history"][0][measure] == alone["history"][0][measure]
    gain, low, high = second["test"]["minus_last"]
    difference = second["test"]["accuracy"] - first["test"]["accuracy"]
    assert gain == pytest.approx(difference) and low <= gain <= high
    assert second["baselines"][model] == pytest.approx(first["test"]["accuracy"])
    same = script.main(["--eval-only", "--path", model, "--compare", model, "--no-plots"])
    assert same["test"]["minus_last"] == [0, 0, 0]


def test_a_label_that_only_the_test_has_is_refused():
    """Nothing could be learned about it: a data set of someone's own may be so."""
    splits = {"train": [(["who"], "HUM"), (["when"], "NUM")] * 4, "test": [(["where"], "LOC")]}
    config = {"direction": "both", "hidden_size": 4, "num_layers": 1, "dropout": 0.0}
    model, about = script.build(splits, config)
    with pytest.raises(ru.UserError, match=r"trec: the label 'LOC' is not one .*: HUM, NUM"):
        rt.encode_splits(model, about, splits, "trec")


def test_a_wrong_checkpoint_to_compare_with_is_found_before_the_training(monkeypatch, tmp_path):
    monkeypatch.setattr(script, "train", lambda *_: pytest.fail("trained first"))
    flags = ["--compare", str(tmp_path / "absent.pt"), "--output-dir", str(tmp_path)]
    with pytest.raises(ru.UserError, match="no such checkpoint"):
        script.main([*TINY, *flags])


def test_a_model_of_other_labels_cannot_be_compared_with(trained, tmp_path, capsys):
    model = str(trained[0] / "models" / f"{NAME}.pt")
    table = write_classes(tmp_path / "ten.csv", 3)
    flags = ["--data", table, "--epochs", "1", "--compare", model, "--output-dir", str(tmp_path)]
    done = run_here(script, flags, capsys)
    assert_one_line_error(done, f"{NAME}.pt: the label 'class0'", "animal, food, tool, vehicle")


@pytest.mark.parametrize("flags", [["--direction", "backward"], ["--num-layers", "2"]])
def test_other_architectures_run(flags, tmp_path):
    metrics = script.main([*TINY, *flags, "--epochs", "1", "--output-dir", str(tmp_path)])
    assert len(metrics["history"]) == 1 and metrics["parameters"] > 0


def test_one_direction_draws_its_figures(tmp_path):
    flags = [flag for flag in TINY if flag != "--no-plots"]
    flags += ["--direction", "forward", "--epochs", "1", "--output-dir", str(tmp_path)]
    script.main(flags)
    figures = {"confusion_matrix", "training_curves", "word_by_word"}
    assert {path.stem for path in tmp_path.glob("*.png")} == figures


def test_same_seed_same_metrics(trained, tmp_path):
    again = script.main([*TINY, "--epochs", "4", "--output-dir", str(tmp_path / "out")])
    assert same_but_for_times(again) == same_but_for_times(trained[1])


def test_evaluation_gives_the_same_test_figures(trained, tmp_path, monkeypatch):
    folder, metrics = trained
    monkeypatch.chdir(folder)
    evaluated = script.main(["--eval-only", "--no-plots"])
    assert evaluated["test"] == metrics["test"]
    assert evaluated["best_epoch"] == metrics["best_epoch"]
    kept = json.loads((folder / "outputs" / NAME / "metrics.json").read_text())
    assert kept == metrics  # evaluation has a folder of its own


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    texts = ["Something in the old town barked.", "zzz " * 10_000, "Grüße, 李!"]
    done = run_script(
        NAME, "--predict", *texts, "--path", "mine.pt", cwd=tmp_path, RNN_DATA_DIR="nowhere"
    )
    assert done.returncode == 0, done.stderr
    assert "barked" in done.stdout and "animal" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


def test_standard_input_is_answered_in_a_table(trained, monkeypatch, capsys):
    """One row a line, in order, and nothing else; the same answers as one text at a time."""
    path = trained[0] / "models" / f"{NAME}.pt"
    texts = ["Something in the town barked.", "Grüße, 李!", "who\tis it ?", "zzz " * 500 + "z"]
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("\n\n".join([*texts, ";", *texts[:1] * 300]) + "\n")
    )
    done = run_here(script, ["--path", str(path), "--predict", "-"], capsys)
    assert done.returncode == 0 and done.stderr == ""
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[1::2] == [["", "", "nan"]] * 304  # row n answers line n, an empty one as well
    rows = rows[::2]
    assert [row[0] for row in rows[:4]] == [" ".join(text.split()) for text in texts]
    assert rows[4] == [";", "", "nan"]  # there is no word to read
    assert rows[5:] == [rows[0]] * 300
    model, about, _ = script.load_model(path)
    alone = script.predict(model, about, texts)
    for text, (_, answer, probability) in zip(texts, rows):
        assert answer == max(alone[text], key=alone[text].get)
        assert float(probability) == pytest.approx(alone[text][answer], abs=1e-4)


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


def test_resuming_a_finished_run_trains_no_further(trained, tmp_path):
    folder, straight = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "m.pt")
    command = [*TINY, "--epochs", "4", "--path", str(tmp_path / "m.pt"), "--resume"]
    again = script.main([*command, "--output-dir", str(tmp_path)])
    assert same_but_for_times(again) == same_but_for_times(straight)


MISTAKES = [
    (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
    (["--data", "one.csv"], ["one.csv", "only the label"]),
    (["--data", "columns.csv"], ["columns.csv, line 1", "'label'"]),
    (["--data", "empty.csv"], ["empty.csv, line 3", "is empty"]),
    (["--data", "quotes.csv"], ["quotes.csv", "no word"]),
    (["--data", "rare.csv"], ["rare.csv", "'y' needs at least 3 distinct texts and has 2"]),
    (
        ["--eval-only", "--path", "good.pt", "--data", "new.csv"],
        ["new.csv: the label 'fish'", "animal, food"],
    ),
    (["--dataset", "trec", "--data-dir", "nothing"], ["TREC.train", "--offline"]),
    (["--dataset", "imdb", "--data-dir", "nothing"], ["aclImdb", "--offline"]),
    (["--predict", ";", "--path", "good.pt"], ["--predict", "no word"]),
    (["--predict", "who", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
    (["--predict", "who", "--path", "broken.pt"], ["broken.pt", "damaged"]),
    (["--predict", "who", "--path", "other.pt"], ["other.pt", "saved by 05_lstm_sentiment"]),
    (["--predict", "who", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
    (["--quick", "--compare", "absent.pt"], ["absent.pt", "--save-model"]),
    (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
    (["--quick", "--resume"], [".pt", "nothing to resume"]),
    (["--direction", "sideways"], ["--direction", "sideways"]),
    (["--dropout", "1"], ["--dropout", "0.95"]),
    (["--lesson", "attention"], ["--lesson"]),
    (["--lesson", "direction", "--save-model"], ["--lesson", "drop those flags"]),
    (["--lesson", "direction", "--resume"], ["--lesson", "drop those flags"]),
    (["--lesson", "direction", "--eval-only"], ["--lesson", "drop those flags"]),
    (["--lesson", "direction", "--data", "absent.csv"], ["--lesson", "drop those flags"]),
]


@pytest.mark.parametrize(("flags", "fragments"), MISTAKES)
def test_mistakes_end_in_one_line_and_status_2(
    tmp_path, flags, fragments, monkeypatch, capsys, trained
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", "good.pt")
    files = {
        "one": "text,label\nabc,x\n",
        "columns": "text,class\nabc,x\n",
        "empty": "text,label\nabc,x\n,y\n",
        "quotes": "text,label\nabc,x\n;,y\n",
        "rare": "text,label\na,x\nb,x\nc,x\nd,y\ne,y\nE,y\n",
        "new": "text,label\na,food\nb,food\nc,food\nd,fish\ne,fish\nf,fish\n",
    }
    for name, text in files.items():
        Path(f"{name}.csv").write_text(text, encoding="utf-8")
    Path("broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint("other.pt", "05_lstm_sentiment", {"vocab": []})
    ru.save_checkpoint("hollow.pt", NAME, {"about": {"labels": ["a"]}})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run_here(script, flags, capsys), *fragments)
    after = {path.name for path in tmp_path.iterdir()} - {"outputs", "models"}
    assert sorted(after) == before


def test_resuming_with_another_configuration_is_an_error(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    flags = [*TINY, "--epochs", "4", "--direction", "forward", "--resume"]
    assert_one_line_error(run_here(script, flags, capsys), "--direction both", "forward")


def test_auto_falls_back_with_a_warning_nobody_can_miss(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    metrics = script.main([*TINY[1:], "--epochs", "1", "--data-dir", "no"])
    assert "EMBEDDED" in capsys.readouterr().err and metrics["embedded"] is True


def test_help_is_light_and_survives_a_cp1252_console(tmp_path):
    assert_help_imports_nothing_heavy(NAME, "--direction")
    done = run_script(NAME, "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and done.stderr == ""


def real_data(*parts: str) -> str:
    path = Path(os.environ.get("RNN_DATA_DIR", "data")).joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return str(path)


def test_trec_has_the_sizes_we_say_and_no_test_question_in_train():
    real_data("trec", "TREC.train")
    splits, source, embedded = load("--dataset", "trec")
    assert not embedded and source == "trec" and len(splits["test"]) == 500
    texts = {part: {tuple(words) for words, _ in pairs} for part, pairs in splits.items()}
    assert not (texts["test"] & texts["train"] or texts["test"] & texts["val"])
    assert not texts["train"] & texts["val"]
    assert len(splits["train"]) + len(splits["val"]) == 5368
    assert {label for _, label in splits["train"]} == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}


def test_trec_beats_the_majority_after_two_epochs(tmp_path):
    real_data("trec", "TREC.train")
    metrics = script.main(
        ["--dataset", "trec", "--epochs", "2", "--hidden-size", "16", "--max-examples", "1500",
         "--lr", "0.02", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"] + 0.2
