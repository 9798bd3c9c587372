"""05: the cell is nn.LSTM, padding changes nothing, accumulation is exact, no review leaks."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    InterruptedAfter,
    assert_classifier_keeps_splits_apart,
    assert_dropout_scales,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_here,
    run_script,
    same_but_for_times,
)

import rnn_data as rd
import rnn_texts as rt
import rnn_utils as ru

NAME = "05_lstm_sentiment"
script = load_script(NAME)
TINY = ["--quick", "--max-examples", "200", "--no-plots", "--hidden-size", "8", "--epochs", "2"]
POOLINGS = ("max", "last")


def tiny_model(hidden_size=7, dropout=0.0, pooling="max"):
    ru.set_seed(0)
    return script.ReviewClassifier(20, hidden_size=hidden_size, dropout=dropout, pooling=pooling)


def random_split(count=40, longest=12):
    rng = np.random.RandomState(1)
    words = [f"w{number}" for number in range(18)]
    texts = [list(rng.choice(words, rng.randint(1, longest + 1))) for _ in range(count)]
    pairs = list(zip(texts, ["neg", "pos"] * (count // 2)))
    return rt.encode(pairs, ru.Vocab(["<pad>", "<unk>", *words]), ["neg", "pos"], "cpu")


def hand_written(lstm: torch.nn.LSTM):
    """The hand-written cell with the weights of an nn.LSTM, which stacks i, f, c~, o."""
    size = lstm.hidden_size
    cell = script.HandWrittenLSTM(lstm.input_size, size)
    with torch.no_grad():
        for number, gate in enumerate((cell.W_i, cell.W_f, cell.W_c, cell.W_o)):
            rows = slice(number * size, (number + 1) * size)
            both = torch.cat([lstm.weight_hh_l0[rows], lstm.weight_ih_l0[rows]], dim=1)
            gate.weight.copy_(both)
            gate.bias.copy_(lstm.bias_hh_l0[rows] + lstm.bias_ih_l0[rows])
    return cell


# ---------------------------------------------------------------- the model


def test_hand_written_cell_equals_nn_lstm_in_output_and_gradient():
    ru.set_seed(0)
    theirs = torch.nn.LSTM(5, 8, batch_first=True)
    ours = hand_written(theirs)
    inputs, results = torch.randn(4, 11, 5), []
    for cell in (ours, theirs):
        x = inputs.clone().requires_grad_()
        output, (h_n, c_n) = cell(x)
        (output.square().sum() + h_n.sum() + c_n.square().sum()).backward()
        results.append((output, h_n, c_n, x.grad))
    for mine, reference in zip(*results):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)
    gates = [ours.W_i, ours.W_f, ours.W_c, ours.W_o]
    recurrent = torch.cat([gate.weight.grad[:, :8] for gate in gates])
    torch.testing.assert_close(recurrent, theirs.weight_hh_l0.grad, atol=1e-5, rtol=1e-5)
    bias = torch.cat([gate.bias.grad for gate in gates])
    torch.testing.assert_close(bias, theirs.bias_ih_l0.grad, atol=1e-5, rtol=1e-5)


def test_hand_written_cell_can_take_the_place_of_nn_lstm_in_the_model():
    model, split = tiny_model().eval(), random_split()
    before = script.predict_logits(model, split)
    model.rnn = hand_written(model.rnn)
    torch.testing.assert_close(script.predict_logits(model, split), before, atol=1e-5, rtol=0)


def test_gates_that_are_drawn_are_those_of_the_cell():
    model = tiny_model()
    with torch.no_grad():  # zero biases would hide a wrong one
        for name in ("bias_ih_l0", "bias_hh_l0"):
            getattr(model.rnn, name).uniform_(-1, 1)
    vocab = ru.Vocab(["<pad>", "<unk>", *"abcdef"])
    words = list("abcafe")
    gates = script.gates_over(model, vocab, words)
    cell = hand_written(model.rnn)
    embedded = model.embedding(torch.tensor([vocab(words)]))
    h_t = c_t = torch.zeros(1, 7)
    for t, x_t in enumerate(embedded.unbind(dim=1)):
        joint = torch.cat([h_t, x_t], dim=1)
        expected = {"forget": cell.W_f(joint), "input": cell.W_i(joint), "output": cell.W_o(joint)}
        for name, sums in expected.items():
            torch.testing.assert_close(gates[name][t], sums[0].sigmoid(), atol=1e-6, rtol=0)
        h_t, c_t = cell.step(x_t, h_t, c_t)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_and_order_in_the_batch_never_change_a_logit(pooling):
    model, split = tiny_model(pooling=pooling).eval(), random_split()
    logits = model(split.inputs, split.lengths)
    wider = model(F.pad(split.inputs, (0, 9)), split.lengths)
    torch.testing.assert_close(wider, logits, atol=1e-5, rtol=0)
    order = torch.randperm(40)
    torch.testing.assert_close(
        model(split.inputs[order], split.lengths[order]), logits[order], atol=1e-5, rtol=0
    )
    for batch_size in (7, 256):  # each answer goes back to the place of its review
        torch.testing.assert_close(
            script.predict_logits(model, split, batch_size), logits, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_equals_the_plain_formula_on_each_review(pooling):
    states, lengths = torch.randn(5, 9, 4) - 5, torch.tensor([1, 9, 3, 5, 2])
    states[0, 1:] = 0  # padding that would win a maximum: every real state is below 0
    for row, length in enumerate(lengths.tolist()):
        alone = states[row, :length]
        expected = {
            "last": alone[-1], "max": alone.max(dim=0).values
        }  # fmt: skip
        pooled = tiny_model(pooling=pooling).pool(states, lengths)[row]
        torch.testing.assert_close(pooled, expected[pooling])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_word_by_word_is_the_answer_to_each_prefix(pooling):
    vocab = ru.Vocab(["<pad>", "<unk>", *"abcdefgh"])
    model = tiny_model(pooling=pooling).eval()
    words = list("hgfedcba")
    answers, states = script.read_word_by_word(model, vocab, words)
    assert states.shape == (8, 7)
    for t in range(1, 9):
        alone = model(torch.tensor([vocab(words[:t])]), torch.tensor([t])).sigmoid()
        torch.testing.assert_close(answers[t - 1 : t], alone, atol=1e-6, rtol=0)


def test_the_forget_gate_alone_starts_open():
    cell = hand_written(tiny_model().rnn)  # which tells the gates apart by their names
    assert cell.W_f.bias.eq(1).all()
    for gate in (cell.W_i, cell.W_o, cell.W_c):
        assert gate.bias.abs().max() < 0.8  # two draws of PyTorch's, up to 1 / sqrt(7) each


def test_padding_has_the_vector_zero_and_keeps_it():
    model, split = tiny_model(), random_split()
    assert not model.embedding.weight[ru.PAD].any()
    model(split.inputs, split.lengths).sum().backward()
    assert not model.embedding.weight.grad[ru.PAD].any()


def test_dropout_hides_whole_words_and_numbers_of_the_summary_in_training_only():
    split = random_split()
    model = tiny_model(dropout=0.5)
    seen = []
    model.rnn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].eq(0)))
    model.output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].eq(0)))
    first = model(split.inputs, split.lengths)
    real = ru.lengths_to_mask(split.lengths, split.inputs.shape[1])
    words, summary = seen
    assert torch.equal(words.all(dim=2), words.any(dim=2))  # all of a vector, or nothing
    assert words.all(dim=2)[real].float().mean() == pytest.approx(0.5, abs=0.1)
    assert summary.float().mean() == pytest.approx(0.5, abs=0.1)
    assert not torch.allclose(first, model(split.inputs, split.lengths), atol=1e-4)
    model.eval()
    seen.clear()
    model(split.inputs, split.lengths)
    assert not seen[0][real].any() and not seen[1].any()


def test_dropout_scales_what_it_keeps():
    model = tiny_model(dropout=0.25)
    assert_dropout_scales(model.hide_words, 0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_the_model_can_be_lifted_into_an_empty_file():
    import inspect

    source = "import torch\nfrom torch import nn\n" + inspect.getsource(script.ReviewClassifier)
    names = {}
    exec(source, names)
    logits = names["ReviewClassifier"](20)(torch.tensor([[5, 6, 0]]), torch.tensor([2]))
    assert logits.shape == (1,)


# ---------------------------------------------------------------- training


class Batches(list):
    """A sampler of these batches, in this order."""

    def set_epoch(self, epoch):
        pass


def test_accumulated_gradients_equal_those_of_one_batch(monkeypatch):
    split, gradients, losses = random_split(count=64), [], []
    for batch_size in (64, 16, 24):  # 24 + 24 + 16: a remainder
        model = tiny_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        monkeypatch.setattr(optimizer, "step", lambda: None)
        loss, _, _ = script.train_epoch(
            model,
            split,
            Batches([list(range(64))]),
            optimizer,
            1,
            1,
            lr=1e-2,
            batch_size=batch_size,
            clip=0,
        )
        losses.append(loss)
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)
    for other in gradients[1:]:
        for mine, reference in zip(other, gradients[0]):
            torch.testing.assert_close(mine, reference, atol=1e-6, rtol=0)


def test_each_update_has_the_gradient_of_its_own_batch_alone():
    split, gradients = random_split(count=32), []
    first, last = list(range(16)), list(range(16, 32))
    for batches in ([first, last], [last]):
        model = tiny_model()
        optimizer = torch.optim.Adam(model.parameters())
        script.train_epoch(model, split, Batches(batches), optimizer, 1, 1, 1e-9, 5, 0)
        gradients.append(model.output.weight.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def run_training(model, train_split, val_split, **changes):
    flags = {
        "epochs": 4, "lr": 0.01, "batch_size": 8, "accumulate_steps": 1, "clip": 1.0,
        "patience": 0, "seed": 0, "about": {},
    }  # fmt: skip
    return script.train(model, train_split, val_split, **{**flags, **changes})


def test_every_review_is_seen_once_an_epoch_and_updates_are_as_large_as_asked():
    model, split, seen, updates = tiny_model(), random_split(count=50), [], []
    split.inputs[:, 0] = torch.arange(50) % 20  # so that a batch says which reviews it holds

    def spy(_, inputs):
        if model.training:
            seen.append(len(inputs[0]))

    model.register_forward_pre_hook(spy)
    clip = ru.clip_gradients
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ru, "clip_gradients", lambda *a: (updates.append(sum(seen)), clip(*a))[1])
        run_training(model, split, split, epochs=2, batch_size=4, accumulate_steps=3)
    assert sum(seen) == 2 * 50 and max(seen) == 4
    assert len(updates) == 2 * 5 and max(np.diff([0, *updates])) == 12  # 50 = 4 * 12 + 2


def test_model_can_overfit_one_batch():
    model, split = tiny_model(hidden_size=16), random_split(count=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        logits = model(split.inputs, split.lengths)
        loss = F.binary_cross_entropy_with_logits(logits, split.targets.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert script.evaluate(model, split)["accuracy"] == 1.0


def test_evaluation_equals_the_definition():
    model, split = tiny_model(), random_split()
    logits, scores = script.predict_logits(model, split), script.evaluate(model, split)
    loss = F.binary_cross_entropy_with_logits(logits, split.targets.float())
    assert scores["loss"] == pytest.approx(loss.item(), abs=1e-6)
    right = (logits > 0) == (split.targets > 0.5)
    assert scores["accuracy"] == pytest.approx(right.float().mean().item())


def test_the_best_epoch_is_chosen_on_validation_accuracy_then_loss(monkeypatch):
    """Neither training nor test decides; an equal result is no progress."""
    accuracies = iter([0.5, 0.6, 0.6, 0.6, 0.4])
    losses = iter([0.1, 0.5, 0.4, 0.4, 0.1])
    splits = []

    def evaluate(model, split):
        splits.append(split)
        return {"loss": next(losses), "accuracy": next(accuracies), "macro_f1": 0.0}

    snapshots = []
    snapshot = ru.snapshot

    def remember(model):
        snapshots.append(snapshot(model))
        return snapshots[-1]

    monkeypatch.setattr(script, "evaluate", evaluate)
    monkeypatch.setattr(ru, "snapshot", remember)
    model, train_split, val_split = tiny_model(), random_split(), random_split(count=20)
    history, best = run_training(model, train_split, val_split, epochs=5)
    assert best["epoch"] == 3 and len(history) == 5
    assert len(splits) == 5 and all(split is val_split for split in splits)
    assert len(snapshots) == 3  # of epochs 1, 2 and 3
    kept = snapshots[2]["output.weight"]
    assert torch.equal(model.state_dict()["output.weight"], kept)


def test_each_split_has_its_place(tmp_path, monkeypatch):
    flags = [*TINY, "--output-dir", str(tmp_path)]
    assert_classifier_keeps_splits_apart(script, flags, monkeypatch)


def test_training_stops_after_patience_epochs_without_a_better_one(monkeypatch, capsys):
    losses = iter([0.5, 0.6, 0.5, 0.7, 0.2])
    monkeypatch.setattr(
        script, "evaluate", lambda model, split: {"loss": next(losses), "accuracy": 0.5}
    )
    history, best = run_training(tiny_model(), random_split(), random_split(), epochs=5, patience=3)
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


def test_single_words_know_no_order_and_pairs_do(capsys):
    pairs = []
    for n in range(1, 9):
        pairs += [(["good", "bad"] * n, "x"), (["bad", "good"] * n, "y")]
    vocab = ru.Vocab(["<pad>", "<unk>", "good", "bad"])
    test = rt.encode(pairs, vocab, ["x", "y"], "cpu")
    splits = dict.fromkeys(("train", "val", "test"), pairs)
    _, baselines = script.measure_test(tiny_model(), test, splits, 1)
    assert baselines["TF-IDF of words"] == 0.5 and baselines["TF-IDF of words and pairs"] == 1.0


# ---------------------------------------------------------------- what the chapter claims


def test_open_forget_gates_let_the_gradient_through(capsys):
    left = {name: norms[20] for name, norms in script.gradient_lesson(seed=0).items()}
    assert "LSTM, b_f = 3" in capsys.readouterr().out
    assert left["RNN"] < 1e-4 and left["LSTM, b_f = 0"] < 1e-3
    assert left["LSTM, b_f = 0"] < left["LSTM, b_f = 1"] / 10 < left["LSTM, b_f = 3"] / 10
    assert left["RNN, orthogonal"] > 10 * left["RNN"]


def test_gradient_is_relative_to_that_of_the_last_input_and_runs_backwards():
    cells = script.memory_cells(input_size=4, hidden_size=8)
    ru.set_seed(0)
    norms = script.gradient_by_distance(cells["RNN"], steps=30)
    assert len(norms) == 30 and norms[0] == 1 and norms[29] < norms[1]
    lstm = cells["LSTM, b_f = 3"]
    assert (lstm.bias_ih_l0 + lstm.bias_hh_l0)[8:16].eq(3).all()


# ---------------------------------------------------------------- the data


def load(data=None, dataset="embedded", max_examples=None):
    return script.load_reviews(data, ["text", "label"], dataset, None, True, max_examples, 400)


def test_splits_are_fixed_stratified_and_without_leaks(capsys):
    splits, source, embedded = load()
    assert source == "embedded" and embedded
    texts = [{tuple(words) for words, _ in splits[part]} for part in ("train", "val", "test")]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    everything = {tuple(words) for words, _ in rd.load_dataset("imdb", "embedded")[0]["train"]}
    assert set().union(*texts) == everything
    for pairs in splits.values():
        num_positive = sum(label == "pos" for _, label in pairs)
        assert num_positive == pytest.approx(len(pairs) / 2, abs=2)
    assert load()[0] == splits


def test_max_examples_thins_every_split_and_keeps_its_balance(capsys):
    splits, _, _ = load(max_examples=100)
    for pairs in splits.values():
        assert len(pairs) == 100
        assert sum(label == "pos" for _, label in pairs) == pytest.approx(50, abs=1)


@pytest.mark.parametrize("max_length", [2, 5, 9, 10, 11])
def test_long_texts_keep_their_first_and_last_words_and_short_ones_all(max_length):
    words = [str(number) for number in range(10)]
    vocab = ru.Vocab.build([words])
    about = {"vocab": vocab.get_itos(), "labels": ["x", "y"], "config": {"max_length": max_length}}
    split = rt.encode_splits(tiny_model(), about, {"test": [(words, "x")]}, "own")["test"]
    head = (max_length + 1) // 2
    tail = max_length - head
    expected = words if max_length >= 10 else words[:head] + words[len(words) - tail :]
    assert vocab.lookup_tokens(split.inputs[0]) == expected == split.texts[0]


def write_table(path, rows):
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return str(path)


def test_vocabulary_is_built_from_train_only(tmp_path, capsys):
    rows = [f"text number{n} word{n},{'good' if n % 2 else 'bad'}" for n in range(40)]
    path = write_table(tmp_path / "own.csv", [*rows, *[r.replace("text", "texts") for r in rows]])
    splits, _, _ = load(data=path)
    _, about = script.build(splits, 4, 0.0, "max", {"data": path})
    counts = {}
    for words, _ in splits["train"]:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    frequent = {word for word, count in counts.items() if count >= 2}
    assert set(about["vocab"]) == frequent | {"<pad>", "<unk>"}
    everywhere = {word for pairs in splits.values() for words, _ in pairs for word in words}
    assert everywhere - set(counts)  # test and val have words that train has not


def test_own_texts_of_the_same_words_are_one_text(tmp_path, capsys):
    rows = [f"Great phone{'!' * n},pos\nPoor phone{' !' * n},neg\nmodel {n},pos\nno {n},neg"
            for n in range(1, 9)]  # fmt: skip
    rows += ["great  phone !,pos", "GREAT phone!,neg"]  # the first label counts
    splits, _, _ = load(data=write_table(tmp_path / "phones.csv", rows))
    labels = [(tuple(words), label) for pairs in splits.values() for words, label in pairs]
    assert len(labels) == len(dict(labels)) == 32
    assert dict(labels)["great", "phone", "!"] == "pos"


def test_special_tokens_in_a_text_are_ordinary_words():
    vocab = ru.Vocab.build([["fine", "<pad>"]])
    split = rt.encode([(["<unk>", "fine", "<pad>"], "a")], vocab, ["a", "b"], "cpu")
    assert split.inputs[0, 0] == ru.UNK and ru.PAD not in split.inputs[0]


def test_real_reviews_beat_the_majority_after_short_epochs(tmp_path):
    folder = Path(os.environ.get("RNN_DATA_DIR", "data"))
    if not (folder / "imdb" / "aclImdb_v1.tar.gz").is_file():
        pytest.skip("the imdb data set is not here")
    metrics = script.main(
        ["--dataset", "imdb", "--epochs", "3", "--hidden-size", "16", "--max-examples", "1000",
         "--max-length", "60", "--batch-size", "16", "--lr", "0.01", "--dropout", "0.2",
         "--threads", "1", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["embedded"] is False and metrics["dataset"] == "imdb"
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"] + 0.1


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained run")
    flags = [*TINY, "--epochs", "4", "--patience", "0", "--save-model"]
    done = run_script(NAME, *flags, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_learns_what_single_words_cannot_tell(tmp_path):
    done = run_script(NAME, "--quick", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    figures = {"word_by_word", "training_curves"}
    assert {path.stem for path in output.glob("*.png")} == figures
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    accuracy, baselines = metrics["test"]["accuracy"], metrics["baselines"]
    assert accuracy > baselines["majority label"] + 0.1
    assert accuracy > baselines["TF-IDF of words"] + 0.1
    assert baselines["TF-IDF of words and pairs"] > baselines["TF-IDF of words"]
    difference, low, high = metrics["test"]["minus_tfidf"]
    assert difference == pytest.approx(accuracy - baselines["TF-IDF of words and pairs"])
    assert low < difference < high
    assert "(64, 1)" in done.stdout  # layers with their shapes
    assert not (tmp_path / "models").exists()


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--patience", "0", "--save-model"]
    command += ["--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
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


def test_checkpoint_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    path = f"models/{NAME}.pt"
    done = run_script(NAME, "--eval-only", "--path", path, "--no-plots", cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "outputs" / NAME / "eval" / "metrics.json").read_text())
    assert evaluated["test"] == metrics["test"]
    assert "hidden-size=8" in done.stdout  # the settings of the model, not of this command
    kept = json.loads((folder / "outputs" / NAME / "metrics.json").read_text())
    assert kept == metrics


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    folder, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    flags = ["--predict", "The plot is not dull.", "xyzzy", "--path", "mine.pt"]
    done = run_script(NAME, *flags, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "dull 0." in done.stdout and "[xyzzy] 0." in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


@pytest.mark.parametrize("text", ["one", "word " * 10_000, "xyzzy plugh", "", '"', "<pad> <unk>"])
def test_reviews_of_any_length_are_answered(trained, text, capsys):
    folder, _ = trained
    model, about, _ = script.load_model(folder / "models" / f"{NAME}.pt")
    answers = script.predict(model, about, [text])
    assert list(answers) == [text.strip()] and 0 < answers[text.strip()] < 1
    assert capsys.readouterr().out.count("0.") <= 1 + about["config"]["max_length"] + 1


def test_standard_input_is_answered_in_a_table(trained, monkeypatch, capsys):
    """One row a line, in order, and nothing else; the same answers as one text at a time."""
    folder, _ = trained
    path = folder / "models" / f"{NAME}.pt"
    texts = ["The plot is not dull.", "xyzzy", "word " * 500 + "end", "Not\twithout charm"]
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
        positive = alone[text]
        assert answer == ("pos" if positive > 0.5 else "neg")
        assert float(probability) == pytest.approx(max(positive, 1 - positive), abs=1e-4)


def test_underscores_of_the_text_are_printed(capsys):
    about = {"vocab": ["<pad>", "<unk>", "a", "good", "film"], "labels": ["neg", "pos"]}
    about["config"] = {"max_length": 9}
    script.predict(tiny_model(), about, ["A _really_ good film"])
    assert "[_really_] 0." in capsys.readouterr().out


def test_own_data_in_a_table(tmp_path):
    path = tmp_path / "my reviews.tsv"
    texts = [f"{w} {n}" for n in range(10) for w in ("lovely", "broken")]
    rows = [f"{text}\t{'happy' if 'lovely' in text else 'unhappy'}" for text in texts]
    path.write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "2", "--hidden-size", "4"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["embedded"] is False and metrics["dataset"] == str(path)
    assert (tmp_path / "out" / "word_by_word.png").exists()


BAD_TABLES = {
    "no_column.csv": ("text,mood\na,b\n", ["line 1", "label"]),
    "one_class.csv": ("text,label\na,x\nb,x\n", ["only the label"]),
    "empty_text.csv": ("text,label\na,x\n,y\n", ["line 3", "text"]),
    "rare.csv": ("text,label\na,x\nb,x\nc,x\nd,y\n", ["'y'", "3 distinct texts and has 1"]),
    "three.csv": ("text,label\na,x\nb,y\nc,z\n", ["'x', 'y', 'z'", "more than two labels"]),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_table_names_file_and_what_is_wrong(tmp_path, name):
    content, fragments = BAD_TABLES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ru.UserError) as caught:
        script.main(["--data", str(tmp_path / name), "--output-dir", str(tmp_path / "out")])
    for fragment in [name, *fragments]:
        assert fragment in str(caught.value)


def test_labels_that_the_model_does_not_know_name_the_file(trained, tmp_path, capsys):
    rows = [f"{label} {n},{label}" for n in range(4) for label in ("happy", "unhappy")]
    table = write_table(tmp_path / "new.csv", rows)
    model = str(trained[0] / "models" / f"{NAME}.pt")
    flags = ["--eval-only", "--path", model, "--data", table, "--output-dir", str(tmp_path)]
    done = run_here(script, flags, capsys)
    assert_one_line_error(done, "new.csv: the label 'happy'", "neg, pos")


def test_words_not_separated_by_spaces_are_one_line(tmp_path, capsys):
    path = write_table(
        tmp_path / "unspaced.csv", [f"w{n}a{n},{'pos' if n % 2 else 'neg'}" for n in range(30)]
    )
    done = run_here(script, ["--data", path, "--output-dir", str(tmp_path)], capsys)
    assert_one_line_error(done, "unspaced.csv", "no word appears twice", "spaces")


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        (["--dataset", "imdb", "--data-dir", "empty"], ["aclImdb_v1.tar.gz", "--offline"]),
        (["--dataset", "imdb", "--data-dir", "bad"], ["aclImdb_v1.tar.gz", "damaged"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--predict", "x", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
        (["--predict", "x", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], [f"{NAME}.pt", "nothing to resume"]),
        (["--pooling", "median"], ["--pooling", "last"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "imdb").mkdir(parents=True)
    (tmp_path / "bad" / "imdb" / "aclImdb_v1.tar.gz").write_bytes(b"\x1f\x8b\x08 no archive")
    ru.save_checkpoint(tmp_path / "other.pt", "04_simple_rnn", {"vocab": []})
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, {"about": {"labels": ["a"]}})
    assert_one_line_error(run_here(script, flags, capsys), *fragments)


def test_help_imports_nothing_heavy():
    assert_help_imports_nothing_heavy(NAME, "--pooling")
