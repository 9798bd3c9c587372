"""07: both directions are nn.LSTM's, padding changes nothing, each half has read what we say."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import rnn_utils as ru

import numpy as np
import pytest
import torch
from helpers import (
    InterruptedAfter,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_here,
    run_script,
    same_but_for_times,
)
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

script = load_script("07_bidirectional_rnn")
NAME = "07_bidirectional_rnn"
TINY = ["--quick", "--max-examples", "300", "--no-plots", "--hidden-size", "8"]
POOLINGS = ["meanmax", "mean", "max", "last"]
DIRECTIONS = ["forward", "backward", "both"]
WORDS = [f"word{index}" for index in range(30)]
LABELS = ["0", "1", "2"]
NAMES = script.Names(ru.Vocab(["<pad>", "<unk>", *WORDS]), LABELS, LABELS)


def settings(**changes):
    chosen = {"direction": "both", "pooling": "meanmax", "hidden_size": 6, "num_layers": 1}
    chosen |= {"dataset": "random words"}
    chosen.update(dropout=0.0, max_length=50, batch_size=64, clip=0.0, lr=0.1, epochs=1)
    return script.argparse.Namespace(**{**chosen, **changes})


def tiny_model(**changes):
    ru.set_seed(0)
    model = script.TextClassifier(NAMES, settings(**changes)).eval()
    for name, parameter in model.lstm.named_parameters():
        if "bias" in name:  # as after training: with the zeros of the start, padding does nothing
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def random_split(count=33, longest=9):
    rng = np.random.default_rng(1)
    texts = [rng.choice(WORDS, rng.integers(1, longest + 1)).tolist() for _ in range(count)]
    corpus = ru.Corpus.from_tokens(texts, [str(rng.integers(3)) for _ in range(count)])
    return script.encode(corpus, NAMES, settings())


# ---------------------------------------------------------------- the model


def test_reverse_turns_each_text_within_its_length():
    inputs = torch.tensor([[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]])[:, :, None]
    turned = script.reverse(inputs, torch.tensor([3, 5]))[:, :, 0]
    assert turned.tolist() == [[3, 2, 1, 0, 0], [5, 4, 3, 2, 1]]


@pytest.mark.parametrize("num_layers", [1, 2])
def test_both_directions_equal_a_packed_nn_lstm_in_output_and_gradient(num_layers):
    ru.set_seed(0)
    ours = script.BidirectionalLSTM(5, 7, num_layers, 0.0, "both")
    theirs = torch.nn.LSTM(5, 7, num_layers, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for layer, pair in enumerate(ours.layers):
            for suffix, lstm in zip(("", "_reverse"), pair):
                for name, parameter in lstm.named_parameters():
                    name = name.replace("l0", f"l{layer}{suffix}")
                    getattr(theirs, name).copy_(parameter)
    lengths, inputs = torch.tensor([6, 1, 4]), torch.randn(3, 6, 5)
    mask, results = ru.lengths_to_mask(lengths), []
    for lstm in (ours, theirs):
        x = inputs.clone().requires_grad_()
        if lstm is ours:
            output = lstm(x, lengths)
        else:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True)
        output[mask].square().sum().backward()
        results.append((output[mask], x.grad))
    for mine, reference in zip(*results):
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_padding_and_order_change_no_logit(direction, pooling, num_layers):
    model = tiny_model(direction=direction, pooling=pooling, num_layers=num_layers)
    split = random_split()
    logits = script.predict_logits(model, split)
    inputs, lengths = split.batch(list(range(33)))
    wider = torch.nn.functional.pad(inputs, (0, 0, 0, 7))
    torch.testing.assert_close(model(wider, lengths)[0], logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        model(inputs.flip(0), lengths.flip(0))[0].flip(0), logits, atol=1e-5, rtol=0
    )
    alone = torch.cat([model(*split.batch([row]))[0] for row in range(33)])
    torch.testing.assert_close(alone, logits, atol=1e-5, rtol=0)


def test_the_naive_reading_does_depend_on_padding():
    model, split = tiny_model(pooling="naive"), random_split()
    inputs, lengths = split.batch(list(range(33)))
    wider = torch.nn.functional.pad(inputs, (0, 0, 0, 7))
    assert (model(wider, lengths)[0] - model(inputs, lengths)[0]).abs().max() > 1e-3


def summaries(words: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The forward and the backward half of the summary by `--pooling last`."""
    model = tiny_model(pooling="last")
    corpus = ru.Corpus.from_tokens([words], ["0"])
    inputs, lengths = script.encode(corpus, NAMES, settings()).batch([0])
    with torch.no_grad():
        states = model.read(inputs, lengths)
    return script.summarise(states, lengths, None, "last", "both")[0].chunk(2)


def test_each_summary_has_read_the_whole_text():
    plain = summaries(WORDS[:6])
    for changed in (["word20", *WORDS[1:6]], [*WORDS[:5], "word20"]):
        for half, reference in zip(summaries(changed), plain):
            assert (half - reference).abs().max() > 1e-5


def test_each_direction_has_read_only_its_own_side():
    model, split = tiny_model(), random_split(count=20)
    inputs = split.words[torch.arange(2, 8)][None]  # (1, 6, 1 + G)
    lengths, changed = torch.tensor([6]), inputs.clone()
    changed[0, 3] = split.words[9]
    with torch.no_grad():
        moved = (model.read(changed, lengths) - model.read(inputs, lengths))[0].abs()  # (T, 2 H)
    forward, backward = (half.sum(dim=1) > 0 for half in moved.chunk(2, dim=1))
    assert forward.tolist() == [False, False, False, True, True, True]
    assert backward.tolist() == [True, True, True, True, False, False]


def test_pooling_reads_the_states_it_names():
    states, lengths = torch.randn(2, 5, 6), torch.tensor([3, 5])
    pool = {p: script.summarise(states, lengths, None, p, "both") for p in [*POOLINGS, "naive"]}
    real = states[0, :3]
    torch.testing.assert_close(pool["mean"][0], real.mean(dim=0))
    torch.testing.assert_close(pool["max"][0], real.max(dim=0).values)
    torch.testing.assert_close(pool["last"][0], torch.cat([real[2, :3], real[0, 3:]]))
    torch.testing.assert_close(pool["meanmax"], torch.cat([pool["mean"], pool["max"]], dim=1))
    assert torch.equal(pool["naive"], states[:, -1])


def test_dropout_acts_with_one_layer_and_does_not_warn():
    model, split = tiny_model(dropout=0.5).train(), random_split()
    batch = split.batch(list(range(33)))
    assert (model(*batch)[0] - model(*batch)[0]).abs().max() > 1e-3
    model.eval()
    assert torch.equal(model(*batch)[0], model(*batch)[0])


def test_model_can_overfit_one_batch():
    model, split = tiny_model(hidden_size=32), random_split(count=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        logits, _ = model(*split.batch(list(range(16))))
        loss = torch.nn.functional.cross_entropy(logits, split.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert script.evaluate(model, split)["accuracy"] == 1.0


class Batches(list):
    def set_epoch(self, epoch):
        pass


def test_accumulated_batches_make_the_update_of_one_large_batch():
    split, after = random_split(count=64), []
    for size in (64, 16, 10):  # 10: the last of the seven parts holds only four texts
        model = tiny_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        chosen = settings(batch_size=size, clip=1.0)
        script.train_epoch(model, split, Batches([list(range(64))]), optimizer, 1, chosen)
        after.append(ru.snapshot(model))
    for weights in after[1:]:
        for name, value in weights.items():
            torch.testing.assert_close(value, after[0][name], atol=1e-6, rtol=0)


def test_accumulating_runs_make_the_same_batches(tmp_path):
    """300 texts are not a multiple of 64: the last update of an epoch is a smaller one."""
    flags = [*TINY, "--dropout", "0", "--output-dir", str(tmp_path)]
    sizes = (["--batch-size", "64"], ["--batch-size", "16", "--accumulate-steps", "4"])
    one, four = (script.main([*flags, *size])["history"] for size in sizes)
    for first, second in zip(one, four):
        for name in ("train_loss", "val_loss"):
            assert second[name] == pytest.approx(first[name], abs=1e-4)


def test_every_text_is_seen_once_an_epoch(monkeypatch):
    seen, batch = [], script.Split.batch

    def watched(self, rows):
        seen.extend(rows)
        return batch(self, rows)

    monkeypatch.setattr(script.Split, "batch", watched)
    model, split = tiny_model(), random_split(count=50)
    sampler = ru.BucketBatchSampler(split.lengths, 8)
    script.train_epoch(
        model, split, sampler, torch.optim.SGD(model.parameters(), lr=0.1), 1, settings()
    )
    assert sorted(seen) == list(range(50))


def test_batch_size_changes_no_reported_loss(monkeypatch):
    model, split, predict = tiny_model(), random_split(), script.predict_logits
    whole = script.evaluate(model, split)
    monkeypatch.setattr(script, "predict_logits", lambda m, s: predict(m, s, batch_size=5))
    for name, value in script.evaluate(model, split).items():
        assert value == pytest.approx(whole[name], abs=1e-6)


# ---------------------------------------------------------------- words and texts


def test_a_word_is_its_index_and_its_letter_groups():
    vocab = ru.Vocab(["<pad>", "<unk>", "city"])
    known, unknown, similar, long = script.describe_words(
        ["city", "zzz", "pity", "x" * 300], vocab
    ).tolist()
    assert (known[0], unknown[0]) == (2, 1)
    assert sum(number > 0 for number in known[1:]) == 4 + 3  # of <city>: 4 threes and 3 fours
    assert len(set(known[1:8]) & set(similar[1:8])) == 2 + 1  # "ity", "ty>", "ity>"
    assert 0 not in long and len(long) == 1 + script.MAX_GROUPS


def test_any_text_can_be_encoded():
    texts = [["word1"], WORDS * 400, ["never", "met"], [], ["<unk>", "<pad>", "word2"]]
    corpus = ru.Corpus.from_tokens(texts, ["0"] * len(texts))
    split = script.encode(corpus, NAMES, settings())
    assert split.lengths.tolist() == [1, 50, 2, 1, 3]  # an empty text is read as one <unk>
    logits = script.predict_logits(tiny_model(), split)
    assert torch.isfinite(logits).all()
    assert (logits[2] - logits[3]).abs().max() > 1e-5  # unknown words differ by their letters


def test_padding_words_have_no_vector():
    split, model = random_split(), tiny_model()
    assert not split.words[0].any()
    assert not model.word.weight[0].any() and not model.groups.weight[0].any()


def test_repetitions_leave_train_and_test_stays_whole():
    parts = {"train": [("A b?", "x"), ("a B ?", "x"), ("c d", "y"), ("e", "y")]}
    parts["test"] = [("C d", "y"), ("c d", "y")]
    corpora, dropped = script.tokenize(parts)
    assert [corpora["train"][row] for row in range(2)] == [["a", "b", "?"], ["e"]]
    assert (len(corpora["train"]), len(corpora["test"]), dropped) == (2, 2, 2)


def test_set_aside_takes_a_share_of_every_label_and_repeats():
    labels = ["a"] * 90 + ["b"] * 10 + ["c"]
    corpus = ru.Corpus.from_tokens([[str(i)] for i in range(101)], labels)
    rest, aside = corpus.set_aside(0.1)
    assert [aside.labels.count(label) for label in "abc"] == [9, 1, 1]
    texts = [part[row] for part in (rest, aside) for row in range(len(part))]
    assert sorted(texts) == sorted([[str(i)] for i in range(101)])
    again = corpus.set_aside(0.1)[1]
    assert [again[row] for row in range(11)] == [aside[row] for row in range(11)]
    assert [corpus.set_aside(0.01, least=5)[1].labels.count(label) for label in "abc"] == [5, 5, 1]


def test_vocabulary_is_built_from_train_only(tmp_path, monkeypatch):
    rows = [f"shared shared a{i} b{i} w{i} w{i},{'x' if i % 2 else 'y'}" for i in range(60)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    args = ["--data", str(tmp_path / "own.csv"), *TINY[3:], "--epochs", "1", "--save-model"]
    args += ["--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
    script.main(args)
    vocab = ru.load_checkpoint(tmp_path / "m.pt", NAME)["vocab"]
    corpora, _ = script.load_texts(script.parse_args(args))
    train = {word for row in range(len(corpora["train"])) for word in corpora["train"][row]}
    assert {"shared"} < set(vocab) - {"<pad>", "<unk>"} <= train
    assert len(vocab) == 2 + 1 + len(corpora["train"])  # <pad> <unk> shared, and one w per text


# ---------------------------------------------------------------- what the chapter claims


def test_embedded_texts_are_distinct_repeatable_and_end_beside_a_decoy():
    pairs = script.embedded_texts()
    assert pairs == script.embedded_texts() and len(set(pairs)) == 4000
    for text, label in pairs[::50]:
        right = text.split(script.BLANK)[1]
        assert any(cue in right for cue in script.CUES[label].split("|"))
    corpora, _ = script.load_texts(script.parse_args(["--quick"]))
    scores = script.baselines(corpora)
    assert scores["majority label"] < 0.3
    assert 0.4 < scores["word 1-2-gram logistic regression"] < 0.8  # half of it is guessing


def test_lesson_forward_knows_nothing_at_the_blank_and_backward_all(tmp_path):
    metrics = script.main(["--lesson", "direction", "--output-dir", str(tmp_path)])
    accuracy = {(row["direction"], row["pooling"]): row["accuracy"] for row in metrics["lesson"]}
    assert accuracy["forward", "blank"] < 0.25 + 0.05
    assert accuracy["backward", "blank"] > 0.95 and accuracy["both", "blank"] > 0.95
    assert accuracy["backward", "naive"] < 0.25 + 0.05
    assert (tmp_path / "direction.png").exists() and (tmp_path / "metrics.json").exists()


def test_directions_are_compared_at_equal_size():
    for num_layers in (1, 2):
        both = settings(hidden_size=20, num_layers=num_layers)
        size = script.equal_hidden_size("forward", both)
        one = settings(direction="forward", hidden_size=size, num_layers=num_layers)
        counts = []
        for chosen in (both, one):
            lstm = (chosen.hidden_size, num_layers, 0, chosen.direction)
            counts.append(
                ru.count_parameters(script.BidirectionalLSTM(script.EMBEDDING_SIZE, *lstm))
            )
        assert counts[1] == pytest.approx(counts[0], rel=0.03)
        assert script.equal_hidden_size("both", one) == 20


def test_paired_interval_covers_the_difference_and_narrows_for_agreeing_models():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(500, generator=generator) < 0.9
    second = first.clone()
    second[:10] = False
    gain, low, high = script.paired_interval(first, second)
    assert gain == pytest.approx(float(first.float().mean() - second.float().mean()))
    assert 0 <= low < gain < high < 0.04
    other = torch.rand(500, generator=generator) < 0.9  # errs on other questions
    _, low_other, high_other = script.paired_interval(first, other)
    assert high_other - low_other > 2 * (high - low)
    assert script.paired_interval(first, first) == (0.0, 0.0, 0.0)


def test_occlusion_finds_the_only_word_that_counts():
    model = tiny_model(pooling="last")
    with torch.no_grad():
        model.groups.weight.zero_()
        model.word.weight.zero_()
        model.word.weight[10] = 1.0
    split = random_split(count=20)
    split = split._replace(inputs=torch.tensor([[4, 10, 5, 6]]), lengths=torch.tensor([4]))
    split.words[:, 0] = torch.arange(len(split.words))
    added = script.occlude(model, split, 0)
    assert added[1].abs() > 1e-4 and added[[0, 2, 3]].abs().max() < 1e-7


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
    assert set(metrics["test"]["by_label"]) == set(script.CUES)
    assert not (tmp_path / "models").exists()


def test_compare_trains_the_other_directions_and_saves_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metrics = script.main([*TINY, "--compare", "--save-model", "--epochs", "2"])
    assert set(metrics["compare"]) == set(DIRECTIONS)
    assert metrics["compare"]["both"]["accuracy"] == pytest.approx(metrics["test"]["accuracy"])
    saved = ru.load_checkpoint(tmp_path / "models" / f"{NAME}.pt", NAME)
    assert saved["config"]["direction"] == "both"
    for row in metrics["compare"].values():
        assert row["interval"][0] <= row["both_minus_it"] <= row["interval"][1]


def test_details_help_in_training_and_are_not_answered(tmp_path):
    rows = [f"who is number {i},HUM:{'ind' if i % 2 else 'gr'}" for i in range(20)]
    rows += [f"when was number {i},NUM" for i in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    metrics = script.main(
        ["--data", str(tmp_path / "own.csv"), "--epochs", "3", "--hidden-size", "8", "--lr", "0.05",
         "--no-plots", "--save-model", "--path", str(tmp_path / "m.pt"),
         "--output-dir", str(tmp_path)]
    )  # fmt: skip
    saved = ru.load_checkpoint(tmp_path / "m.pt", NAME)
    assert saved["labels"] == ["HUM", "NUM"] and saved["details"] == ["HUM:gr", "HUM:ind", "NUM"]
    assert set(metrics["test"]["by_label"]) == {"HUM", "NUM"}
    assert metrics["test"]["accuracy"] == 1.0  # "who" or "when": the easiest of questions


@pytest.mark.parametrize("flags", [["--direction", "backward"], ["--num-layers", "2"]])
def test_other_architectures_run(flags, tmp_path):
    metrics = script.main([*TINY, *flags, "--epochs", "1", "--output-dir", str(tmp_path)])
    assert len(metrics["history"]) == 1 and metrics["parameters"] > 0


def test_same_seed_same_metrics(trained, tmp_path):
    again = script.main([*TINY, "--epochs", "4", "--output-dir", str(tmp_path / "out")])
    assert same_but_for_times(again) == same_but_for_times(trained[1])


@pytest.mark.parametrize(("patience", "epochs", "counts"), [(0, 4, 4), (2, 3, 1)])
def test_the_last_epoch_counts_unless_patience_lets_validation_choose(
    patience, epochs, counts, tmp_path, monkeypatch
):
    losses = iter([1.0, 2.0, 3.0, 4.0])
    scores = {"accuracy": 0.5, "macro_f1": 0.5}
    monkeypatch.setattr(script, "evaluate", lambda *_: {"loss": next(losses), **scores})
    flags = [*TINY, "--epochs", "4", "--patience", str(patience), "--output-dir", str(tmp_path)]
    metrics = script.main(flags)
    assert len(metrics["history"]) == epochs and metrics["best_epoch"] == counts


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


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt, match=r"m\.last\.pt.*--resume"):
            script.main(command)
    resumed = script.main([*command, "--resume"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    weights = [
        ru.load_checkpoint(path, NAME)["weights"]
        for path in (tmp_path / "m.pt", folder / "models" / f"{NAME}.pt")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


MISTAKES = [
    (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
    (["--data", "one.csv"], ["one.csv", "only the label"]),
    (["--data", "columns.csv"], ["columns.csv, line 1", "'label'"]),
    (["--data", "empty.csv"], ["empty.csv, line 3", "text is empty"]),
    (["--data", "quotes.csv"], ["quotes.csv, line 3", "no word"]),
    (["--data", "rare.csv"], ["rare.csv", "'y' has 2 distinct texts"]),
    (["--eval-only", "--path", "good.pt", "--data", "new.csv"], ["new.csv, line 3", "'fish'"]),
    (["--dataset", "trec", "--data-dir", "nothing"], ["TREC.train", "--offline"]),
    (["--dataset", "imdb", "--data-dir", "nothing"], ["aclImdb", "--offline"]),
    (["--predict", ";", "--path", "good.pt"], ["--predict", "no word"]),
    (["--predict", "who", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
    (["--predict", "who", "--path", "broken.pt"], ["broken.pt", "damaged"]),
    (["--predict", "who", "--path", "other.pt"], ["other.pt", "saved by 05_lstm_sentiment"]),
    (["--eval-only", "--compare"], ["--compare", "--eval-only"]),
    (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
    (["--quick", "--resume"], [".last.pt", "nothing to resume"]),
    (["--direction", "sideways"], ["--direction", "sideways"]),
    (["--dropout", "1"], ["--dropout", "0.95"]),
    (["--lesson", "attention"], ["--lesson"]),
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
        "new": "text,label\na,food\nb,fish\n",
    }
    for name, text in files.items():
        Path(f"{name}.csv").write_text(text, encoding="utf-8")
    Path("broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint("other.pt", "05_lstm_sentiment", vocab=[])
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
    corpora, embedded = script.load_texts(script.parse_args(["--dataset", "trec"]))
    assert not embedded and len(corpora["test"]) == 500
    texts = {name: {tuple(c[row]) for row in range(len(c))} for name, c in corpora.items()}
    assert not (texts["test"] & texts["train"] or texts["test"] & texts["val"])
    assert not texts["train"] & texts["val"]
    assert sum(len(corpora[name]) for name in ("train", "val")) == 5368
    labels = set(corpora["train"].labels)
    assert {script.class_of(x) for x in labels} == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}
    assert len(labels) == 50


def test_trec_beats_the_majority_after_two_epochs(tmp_path):
    real_data("trec", "TREC.train")
    metrics = script.main(
        ["--dataset", "trec", "--epochs", "2", "--hidden-size", "16", "--max-examples", "1500",
         "--lr", "0.02", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"] + 0.2


def test_probes_learn_from_a_rare_label_too():
    texts = [["so"] * 200] * 98 + [["no"] * 200] * 2
    corpus = ru.Corpus.from_tokens(texts, ["ham"] * 98 + ["spam"] * 2)
    names = script.Names(ru.Vocab(["<pad>", "<unk>", "so", "no"]), ["ham", "spam"], ["ham", "spam"])
    args = script.parse_args(["--hidden-size", "4"])
    split = script.encode(corpus, names, args)
    model = script.TextClassifier(names, args)
    for probe in script.fit_probes(model, split, num_states=1000).values():
        assert probe.classes_.tolist() == [0, 1]


def test_labels_that_the_model_does_not_know_are_one_line():
    corpus = ru.Corpus.from_tokens([["so"]], ["animal"])
    names = script.Names(ru.Vocab(["<pad>", "<unk>", "so"]), ["ham", "spam"], ["ham", "spam"])
    with pytest.raises(ru.UserError, match="'animal' is not one that the model knows: ham, spam"):
        script.encode(corpus, names, script.parse_args([]))
