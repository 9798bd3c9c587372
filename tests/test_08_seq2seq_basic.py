"""08: padding changes nothing, no answer sees its target, no test pair is trained on."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from helpers import (
    InterruptedAfter,
    assert_dropout_scales,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    assert_translator_keeps_splits_apart,
    load_script,
    note_calls,
    note_gradients,
    run_here,
    run_script,
    same_but_for_times,
)

import rnn_data as rd
import rnn_pairs as rp
import rnn_utils as ru

script = load_script("08_seq2seq_basic")
NAME = "08_seq2seq_basic"
TINY = ["--quick", "--no-plots", "--max-examples", "400", "--hidden-size", "16"]
VOCAB = ru.Vocab([*ru.SPECIALS, *"0123456789"])


def tiny_model(hidden_size=12):
    ru.set_seed(0)
    model = script.Seq2Seq(len(VOCAB), len(VOCAB), hidden_size, dropout=0.0, embedding_size=8)
    return model.eval()


def sharp_model():
    """Untrained, but with opinions: answers of different lengths."""
    model = tiny_model()
    with torch.no_grad():
        model.output.weight.mul_(12)
        model.output.bias[[ru.PAD, ru.UNK, ru.BOS]] = -1e4
    return model


def digits_split(count=24, longest=7, task="copy"):
    return rp.encode_pairs(script.draw_pairs(task, count, range(1, longest + 1)), VOCAB, VOCAB)


def answer(model, split, vocab, max_length):
    """The answers to a split, without their probabilities."""
    decode = functools.partial(script.greedy, model, max_length=max_length)
    return rp.answer(decode, split, vocab)[0]


def mean_loss(model, split, rows):
    logits, wanted = script.predict_next(model, split, rows)
    return torch.nn.functional.cross_entropy(logits, wanted).item(), len(wanted)


def train(model, split, val, **changes):
    settings = {"epochs": 4, "lr": 0.01, "batch_size": 8, "clip": 1.0, "patience": 0, "seed": 0}
    return script.train(model, split, val, **{**settings, **changes}, about={})


# ---------------------------------------------------------------- the model


def test_decoder_starts_where_the_encoder_ends_and_is_the_librarys_lstm():
    model, split = tiny_model(), digits_split(1)
    logits = model(split.sources, split.source_lengths, split.targets)
    _, (h_t, c_t) = model.encoder(model.source_embedding(split.sources))
    cell = torch.nn.LSTMCell(8, 12)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(getattr(model.decoder, name + "_l0"))
    h_t, c_t = h_t[0], c_t[0]
    for t in range(logits.shape[1]):
        h_t, c_t = cell(model.target_embedding(split.targets[:, t]), (h_t, c_t))
        torch.testing.assert_close(model.output(h_t), logits[:, t], atol=1e-6, rtol=0)


def test_extra_padding_changes_neither_logits_nor_loss_nor_answers():
    model, split = sharp_model(), digits_split()
    wider = split._replace(
        sources=torch.nn.functional.pad(split.sources, (0, 5)),
        targets=torch.nn.functional.pad(split.targets, (0, 4)),
    )
    rows = list(range(len(split.pairs)))  # of several lengths: the packed path
    assert len(set(split.source_lengths.tolist())) > 3
    T = split.targets.shape[1] - 1
    logits = model(split.sources, split.source_lengths, split.targets)
    padded = model(wider.sources, wider.source_lengths, wider.targets)
    torch.testing.assert_close(padded[:, :T], logits, atol=1e-5, rtol=0)
    loss, count = mean_loss(model, split, rows)
    wide_loss, wide_count = mean_loss(model, wider, rows)
    assert wide_count == count == int((split.target_lengths - 1).sum())
    assert wide_loss == pytest.approx(loss, rel=1e-5)
    assert answer(model, split, VOCAB, 9) == answer(model, wider, VOCAB, 9)


def test_a_sentence_is_encoded_the_same_alone_and_among_longer_ones():
    model, split = tiny_model(), digits_split()
    together = model.encode(split.sources, split.source_lengths)
    for row in (0, 5, 9):
        length = split.source_lengths[row : row + 1]
        alone = model.encode(split.sources[row : row + 1, : int(length)], length)
        for one, many in zip(alone, together):
            torch.testing.assert_close(one[:, 0], many[:, row], atol=1e-6, rtol=0)


def test_loss_and_forced_accuracy_do_not_depend_on_the_batch():
    model, split = sharp_model(), digits_split()
    loss_sum = num_right = 0
    for row in range(len(split.pairs)):
        logits, wanted = script.predict_next(model, split, [row])
        loss_sum += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        num_right += int((logits.argmax(dim=1) == wanted).sum())
    tokens = int((split.target_lengths - 1).sum())
    measured = script.evaluate(model, split)
    assert measured["loss"] == pytest.approx(loss_sum / tokens, rel=1e-5)
    assert measured["forced_accuracy"] == pytest.approx(num_right / tokens)


def test_the_decoder_reads_the_target_shifted_by_one_and_is_scored_by_the_rest():
    pairs = [(("4", "2"), ("2", "4")), (("7",), ("7",))]
    split = rp.encode_pairs(pairs, VOCAB, VOCAB)
    model, read = tiny_model(), []
    embed = model.target_embedding.forward
    model.target_embedding.forward = lambda tokens: read.append(tokens) or embed(tokens)
    _, wanted = script.predict_next(model, split, [0, 1])
    assert VOCAB.lookup_tokens(read[0][0]) == ["<bos>", "2", "4"]
    assert VOCAB.lookup_tokens(wanted) == ["2", "4", "<eos>", "7", "<eos>"]  # no padding


def test_the_future_of_the_target_does_not_leak_into_its_logits():
    model, split = tiny_model(), digits_split(6, 5)
    other = split.targets.clone()
    other[:, 3:] = 5
    parts = (split.sources, split.source_lengths)
    torch.testing.assert_close(model(*parts, split.targets)[:, :3], model(*parts, other)[:, :3])


def test_answers_do_not_look_at_the_target():
    model, split = sharp_model(), digits_split()
    blind = split._replace(targets=torch.full_like(split.targets, 5))
    assert answer(model, blind, VOCAB, 8) == answer(model, split, VOCAB, 8)


def test_dropout_scales_what_it_keeps():
    model = script.Seq2Seq(20, 20, dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_model_can_overfit_one_batch_and_decodes_what_it_has_learned():
    model, split = tiny_model(hidden_size=48), digits_split(12, 4, "reverse")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rows = list(range(len(split.pairs)))
    for _ in range(120):
        logits, wanted = script.predict_next(model, split, rows)
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert answer(model, split, VOCAB, 10) == [target for _, target in split.pairs]


def test_greedy_takes_the_likeliest_token_and_reads_it_next():
    model, split = sharp_model(), digits_split(20)
    decode = functools.partial(script.greedy, model, max_length=15)
    answers, probabilities = rp.answer(decode, split, VOCAB)
    assert len({len(words) for words in answers}) > 3  # some end early, not all at once
    for row in range(0, 20, 3):
        length = split.source_lengths[row : row + 1]
        state = model.encode(split.sources[row : row + 1, : int(length)], length)
        token, written, log_p = ru.BOS, [], 0.0
        while len(written) < 15:
            logits, state = model.decode(torch.tensor([[token]]), state)
            token = int(logits.argmax())
            log_p += logits.log_softmax(dim=2).max().item()
            if token == ru.EOS:
                break
            written.append(token)
        assert answers[row] == tuple(VOCAB.lookup_tokens(written))
        assert probabilities[row] == pytest.approx(math.exp(log_p), rel=1e-4)


def test_answers_come_back_in_the_order_of_the_split():
    model, split = sharp_model(), digits_split(30)
    alone = [
        answer(model, rp.encode_pairs([pair], VOCAB, VOCAB), VOCAB, 15)[0] for pair in split.pairs
    ]
    assert answer(model, split, VOCAB, 15) == alone and len(set(alone)) > 5


@pytest.mark.parametrize("length", [1, 200])
def test_sources_of_one_word_and_of_200(length):
    split = rp.encode_pairs([(("7",) * length, ())], VOCAB, VOCAB)
    (words,) = answer(tiny_model(), split, VOCAB, 20)
    assert len(words) <= 20


# ---------------------------------------------------------------- training


def test_the_best_epoch_is_chosen_by_validation_loss_and_the_first_of_ties(monkeypatch):
    """Accuracy does not decide, nor training, nor test; an equal loss is no progress."""
    losses, splits = iter([0.9, 0.6, 0.6, 0.8]), []

    def evaluate(model, split):
        splits.append(split)
        return {"loss": next(losses), "forced_accuracy": 0.1 * len(splits)}

    monkeypatch.setattr(script, "evaluate", evaluate)
    model, val = tiny_model(), digits_split(9)
    seen = []
    snapshot = ru.snapshot
    monkeypatch.setattr(ru, "snapshot", lambda m: seen.append(snapshot(m)) or seen[-1])
    history, best = train(model, digits_split(), val)
    assert best["epoch"] == 2 and len(history) == 4 and all(split is val for split in splits)
    assert len(seen) == 2 and torch.equal(model.output.weight, seen[1]["output.weight"])


def train_one_epoch(model, split):
    """One epoch in which the weights stay nearly as they are; return the reported loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return script.train_epoch(model, split, optimizer, 1, 1, 1e-9, 8, 0.0, 0)[0]


def test_the_training_loss_is_a_mean_over_tokens():
    """Batches differ in length and in size: a mean of their means would be another number."""
    model, split = tiny_model(), digits_split()
    assert train_one_epoch(model, split) == pytest.approx(script.evaluate(model, split)["loss"])


def test_each_update_has_the_gradient_of_its_own_batch_alone(monkeypatch):
    model, split = tiny_model(), digits_split()
    alone = note_gradients(monkeypatch, script, "cross_entropy", model.output.bias)
    train_one_epoch(model, split)
    assert len(alone) > 2
    torch.testing.assert_close(model.output.bias.grad, alone[-1])


def test_evaluation_uses_no_dropout():
    model = script.Seq2Seq(len(VOCAB), len(VOCAB), hidden_size=12, dropout=0.5).train()
    split = digits_split()
    assert script.evaluate(model, split) == script.evaluate(model.train(), split)


def test_each_split_has_its_place(tmp_path, monkeypatch):
    """Train is learned from, validation chooses, and test is answered once, at the end."""
    flags = [*TINY, "--output-dir", str(tmp_path)]
    assert_translator_keeps_splits_apart(script, flags, monkeypatch)


def test_training_stops_after_patience_epochs_without_a_lower_loss(monkeypatch, capsys):
    losses = iter([0.5, 0.6, 0.5, 0.7, 0.4])
    scores = {"forced_accuracy": 0.0}
    monkeypatch.setattr(script, "evaluate", lambda *_: {"loss": next(losses), **scores})
    history, best = train(tiny_model(), digits_split(), digits_split(9), epochs=5, patience=3)
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


def test_training_starts_from_orthogonal_matrices_and_open_forget_gates(monkeypatch):
    model = tiny_model()
    train(model, digits_split(), digits_split(9), epochs=1, lr=1e-9)
    for lstm in (model.encoder, model.decoder):
        for gate in lstm.weight_hh_l0.split(12):
            torch.testing.assert_close(gate @ gate.T, torch.eye(12), atol=1e-4, rtol=0)
        assert lstm.bias_ih_l0[12:24].tolist() == pytest.approx([1.0] * 12, abs=1e-5)


# ---------------------------------------------------------------- the data


def test_right_answers():
    assert script.right_answer("1203", "reverse") == "3021"
    assert script.right_answer("1203", "copy") == "1203"
    assert script.right_answer("95+7", "add") == "102"


def test_sums_have_numbers_of_the_lengths_asked_for_without_leading_zeros():
    for source, target in script.draw_pairs("add", 500, range(3, 5)):
        numbers = "".join(source).split("+")
        assert all(len(n) in (3, 4) and n[0] != "0" for n in numbers)
        assert "".join(target) == str(int(numbers[0]) + int(numbers[1]))


@pytest.mark.parametrize("task", ["reverse", "copy", "add"])
def test_no_sequence_is_in_two_splits_in_any_epoch(task):
    splits, levels, source, embedded = script.load_splits(
        task, 2, None, None, "auto", None, True, 3000
    )
    assert (levels, source, embedded) == (["characters", "characters"], task, False)
    sources = {part: {source for source, _ in pairs} for part, pairs in splits.items()}
    assert not sources["val"] & sources["test"]
    held_out = sources["val"] | sources["test"]
    assert held_out and not sources["train"] & held_out
    _, about = rp.build(dict, splits, levels, source, {}, ())
    vocabs = about["vocabs"]
    data = {part: rp.encode_pairs(splits[part], *map(ru.Vocab, vocabs)) for part in splits}
    draw = script.fresh_pairs(task, 3000, 2, 0, data, vocabs)
    epochs = [draw(epoch) for epoch in (1, 2, 2)]
    for split in epochs:
        assert split.pairs and not {source for source, _ in split.pairs} & held_out
    assert epochs[0].pairs != epochs[1].pairs and epochs[1].pairs == epochs[2].pairs
    for source, target in [*splits["val"], *epochs[0].pairs]:
        assert script.right_answer("".join(source), task) == "".join(target)


def test_lengths_beyond_those_of_training_are_scored_too():
    splits, _, _, _ = script.load_splits("copy", 5, None, None, "auto", None, True, 60)
    assert {len(source) for source, _ in splits["longer"]} == {6, 7}
    data = {part: rp.encode_pairs(splits[part], VOCAB, VOCAB) for part in splits}

    # Here a copy of the source is right, so these are right up to 5 digits and wrong beyond.
    def decode(sources, lengths):
        ends = torch.full((len(sources), 1), ru.EOS)
        written = sources if sources.shape[1] <= 5 else ends
        return torch.cat([written, ends], dim=1), torch.zeros(len(sources))

    about = {"vocabs": [VOCAB.get_itos()] * 2, "levels": ["characters", "characters"]}
    _, curve = rp.score_by_length(data, "test", decode, about)
    assert {6, 7} <= set(curve) <= {1, 2, 3, 4, 5, 6, 7}
    assert all((value == 1) == (length <= 5) for length, value in curve.items())


def test_vocabulary_is_from_the_training_pairs_only(tmp_path, monkeypatch):
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for stem, word in (("train", "cat"), ("val", "horse"), ("test_2016_flickr", "goose")):
        for language in ("en", "fr"):
            with gzip.open(folder / f"{stem}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(f"a {word} .\n" * 10)
    script.main(
        ["--dataset", "multi30k", "--data-dir", str(tmp_path), "--epochs", "1", "--hidden-size",
         "4", "--no-plots", "--output-dir", str(tmp_path / "out"), "--save-model", "--path",
         str(tmp_path / "m.pt")]
    )  # fmt: skip
    vocabs = ru.load_checkpoint(tmp_path / "m.pt", NAME)["about"]["vocabs"]
    assert vocabs[0] == [*ru.SPECIALS, ".", "a", "cat"]


GOOD = "".join(f"line {n}.\tligne {n}.\n" for n in range(12))


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (GOOD + "no tab here\n", ["line 13", "tab"]),
        (GOOD + "source\t\n", ["line 13", "no word"]),
        ("a\tb\n", ["1 pairs", "at least 10"]),
        ("\n\n", ["empty"]),
        ("a b.\tc d.\n" * 12, ["1 different sources", "at least 10"]),
    ],
)
def test_bad_pairs_are_one_line(tmp_path, text, fragments, capsys):
    path = tmp_path / "p.tsv"
    path.write_text(text, encoding="utf-8")
    done = run_here(
        script, ["--data", str(path), "--quick", "--output-dir", str(tmp_path / "out")], capsys
    )
    assert_one_line_error(done, *fragments)


def reversed_words(count, last=""):
    """Sentences of four words and their reversal; any word may stand at any place."""
    words = ["red", "dog", "sees", "tall", "trees", "now"]
    numbers = torch.randint(0, 6, (count, 4), generator=torch.Generator().manual_seed(0)).tolist()
    rows = []
    for row in numbers:
        source = [words[n] for n in row]
        rows.append((" ".join(source), " ".join(source[::-1]) + last))
    return rows


def run_on(rows, tmp_path, *flags):
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join("\t".join(row) for row in rows), encoding="utf-8")
    output = ["--no-plots", "--output-dir", str(tmp_path / "out")]
    return script.main(["--data", str(path), *flags, *output])


def test_a_text_that_spells_special_tokens_is_scored_like_any_other(tmp_path):
    rows = [(source, f"<bos> {target} <eos>") for source, target in reversed_words(300)]
    metrics = run_on(rows, tmp_path, "--epochs", "30", "--hidden-size", "64", "--lr", "0.01",
                     "--dropout", "0")  # fmt: skip
    assert metrics["test"]["exact_match"] > 0.9


def test_texts_without_spaces_are_read_by_characters(tmp_path, capsys):
    rows = [(source, "今天你看音乐"[: 2 + n % 5] + "狗猫鱼鸟"[n % 4]) for n, (source, _) in
            enumerate(reversed_words(60))]  # fmt: skip
    metrics = run_on(rows, tmp_path, "--epochs", "1", "--hidden-size", "8")
    assert "characters in targets" in capsys.readouterr().out
    assert metrics["by_length"] is not None


def test_targets_longer_than_max_length_are_counted(tmp_path, capsys):
    rows = reversed_words(200)
    run_on(rows, tmp_path, "--epochs", "1", "--hidden-size", "8", "--max-length", "3")
    printed = capsys.readouterr().out
    assert "targets of test are longer than --max-length 3" in printed


def test_a_very_long_line_is_left_out_and_said(tmp_path, capsys):
    rows = [*reversed_words(100), ("word " * 6000, "too long")]
    run_on(rows, tmp_path, "--epochs", "1", "--hidden-size", "8")
    assert "1 pairs of more than 500 tokens left out" in capsys.readouterr().out


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")
    done = run_script(NAME, *TINY, "--save-model", cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_the_baselines(tmp_path):
    done = run_script(NAME, "--quick", "--predict", "123", "12a", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    assert {path.stem for path in output.glob("*.png")} == {
        "by_length", "encoder_states", "training_curves"
    }  # fmt: skip
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is False and metrics["dataset"] == "reverse"
    assert metrics["items_per_epoch"] == script.QUICK["max_examples"]  # what an epoch draws
    assert metrics["test"]["exact_match"] > max(metrics["baselines"].values())
    assert "never seen in training: a" in done.stdout
    assert not (tmp_path / "models").exists()


def test_translation_of_the_phrase_book_beats_the_translation_memory(tmp_path):
    metrics = script.main(
        ["--quick", "--task", "translate", "--epochs", "10", "--lr", "0.01", "--hidden-size",
         "64", "--dropout", "0", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["embedded"] is True
    assert metrics["test"]["bleu"] > max(metrics["baselines"].values())


def test_same_seed_same_metrics(trained, tmp_path):
    again = script.main([*TINY, "--output-dir", str(tmp_path)])
    assert same_but_for_times(again) == same_but_for_times(trained[1])


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--save-model", "--path", str(tmp_path / "m.pt")]
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


def test_eval_only_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    flags = ["--eval-only", "--path", f"models/{NAME}.pt", "--output-dir", "evaluated"]
    done = run_script(NAME, *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated["test"] == metrics["test"]
    assert evaluated["by_length"] == metrics["by_length"]
    assert (folder / "evaluated" / "by_length.png").exists()


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    done = run_script(NAME, "--predict", "123", "45", "--path", "mine.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "123\n  -> " in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


def test_lines_of_standard_input_become_a_table(trained, monkeypatch, capsys):
    """One row a line, the answer and its probability; none for a line without a token."""
    path = trained[0] / "models" / f"{NAME}.pt"
    texts = ["123", "45", "1?", "7"]
    stdin = io.StringIO("\n".join([*texts[:2], "", *texts[2:]]) + "\n")
    monkeypatch.setattr("sys.stdin", stdin)
    done = run_here(script, ["--predict", "-", "--path", str(path)], capsys)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows.pop(2) == ["", "", "nan"]  # row n answers line n, an empty one as well
    assert [row[0] for row in rows] == texts and {len(row) for row in rows} == {3}
    model, about, _ = rp.load_model(path, NAME, script.Seq2Seq)
    split = rp.encode_sources([tuple(t) for t in texts], [*map(ru.Vocab, about["vocabs"])], "cpu")
    for (_, written, p), row in zip(rows, range(len(texts))):
        # The same answer, scored by the model as if it were the target.
        target = [ru.BOS, *ru.Vocab(about["vocabs"][1])(written), ru.EOS]
        sources, lengths, _ = split.batch([row])
        log_p = model.eval()(sources, lengths, torch.tensor([target])).log_softmax(dim=2)
        total = log_p[0, range(len(target) - 1), target[1:]].sum()
        assert float(p) == pytest.approx(total.exp().item(), abs=2e-4)


def test_a_table_of_many_texts_has_the_answers_of_single_ones(trained, monkeypatch, capsys):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    texts = [str(n) for n in range(1, 700, 7)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(texts) + "\n"))
    table = script.main(["--predict", "-", "--path", path])
    assert capsys.readouterr().out.count("\n") == len(table) == 100
    assert table == script.main(["--predict", *texts, "--path", path])


def test_long_numbers_are_drawn_more_often_in_training_and_no_more_often_in_the_test():
    splits, levels, source, _ = script.load_splits("copy", 8, None, None, "auto", None, True, 3000)
    _, about = rp.build(dict, splits, levels, source, {}, ())
    vocabs = about["vocabs"]
    data = {part: rp.encode_pairs(splits[part], *map(ru.Vocab, vocabs)) for part in splits}
    drawn = script.fresh_pairs("copy", 3000, 8, 0, data, vocabs)(1)
    counts, in_test = drawn.source_lengths.bincount(), data["test"].source_lengths.bincount()
    assert counts[8] / counts[5] == pytest.approx(8 / 5, rel=0.15)
    assert in_test[8] / in_test[5] == pytest.approx(1.0, abs=0.35)


def test_compare_trains_four_sizes_and_draws(tmp_path, monkeypatch):
    scored = note_calls(monkeypatch, rp, "score_by_length")
    flags = [flag for flag in TINY if flag != "--no-plots"] + ["--epochs", "1"]
    flags += ["--compare", "capacity", "--max-examples", "100", "--output-dir", str(tmp_path)]
    metrics = script.main(flags)
    assert len(metrics["compare"]) == 4
    assert [call.args[1] for call in scored] == ["test"] + 4 * ["val"]  # test chooses no size
    assert (tmp_path / "capacity.png").exists()


def test_a_comparison_leaves_the_saved_model_alone(tmp_path):
    flags = [*TINY, "--epochs", "1", "--max-examples", "100", "--save-model"]
    paths = [tmp_path / "with.pt", tmp_path / "without.pt"]
    for path, more in zip(paths, (["--compare", "capacity"], [])):
        output = ["--path", str(path), "--output-dir", str(tmp_path)]
        script.main([*flags, *more, *output])
    weights = [ru.load_checkpoint(path, NAME)["best"]["weights"] for path in paths]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_principal_components_equal_scikit_learns_up_to_their_signs():
    from sklearn.decomposition import PCA

    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    theirs = torch.tensor(PCA(2).fit_transform(states.numpy()))
    ours = script.principal_components(states)
    torch.testing.assert_close(ours.abs(), theirs.abs(), atol=1e-4, rtol=0)
    assert script.principal_components(states[:1]).shape == (1, 2)  # of the smallest test split


def test_own_pairs_with_a_third_column_ten_are_enough_to_run_and_draw(tmp_path, capsys):
    path = tmp_path / "paires à moi.tsv"
    rows = [row + "\tCC-BY" for row in GOOD.splitlines()[:10]]
    path.write_text("\n".join(rows), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "1", "--hidden-size", "4"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["dataset"] == str(path) and metrics["embedded"] is False
    assert "bleu" in metrics["test"] and "<eos>" in capsys.readouterr().out
    for name in ("encoder_states", "by_length", "training_curves"):
        assert (tmp_path / "out" / f"{name}.png").exists()


def test_two_parallel_files_and_two_named_columns_give_the_same_pairs(tmp_path):
    rows = reversed_words(60)
    for side, name in ((0, "a.en"), (1, "a.fr")):
        text = "\n".join(row[side] for row in rows)
        (tmp_path / name).write_text(text, encoding="utf-8")
    table = ["id,fr,en", *(f"{n},{fr},{en}" for n, (en, fr) in enumerate(rows))]
    (tmp_path / "a.csv").write_text("\n".join(table), encoding="utf-8")
    files = [str(tmp_path / "a.en"), str(tmp_path / "a.fr")]
    end = ["--epochs", "1", "--hidden-size", "4", "--no-plots", "--output-dir", str(tmp_path)]
    two = script.main(["--data", *files, *end])
    named = script.main(["--data", str(tmp_path / "a.csv"), "--columns", "en", "fr", *end])
    assert two["test"] == named["test"]


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--data", "nowhere.tsv"], ["nowhere.tsv", "no such file"]),
        (["--data", "x.tsv", "--task", "copy"], ["--data", "--task copy"]),
        (["--dataset", "multi30k", "--task", "add"], ["multi30k", "--task add"]),
        (["--predict", "", "--path", "good.pt"], ["''", "no token"]),
        (["--dataset", "multi30k", "--data-dir", "empty"], ["train.en.gz", "--offline"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--predict", "12", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--predict", "12", "--path", "other.pt"], ["other.pt", "05_lstm_sentiment"]),
        (["--predict", "12", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], ["nothing to resume", "--save-model"]),
        (["--eval-only", "--compare", "capacity"], ["--compare", "--eval-only"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
        (["--eval-only", "--path", "good.pt", "--task", "add"], ["good.pt", "trained for reverse"]),
        (["--eval-only", "--path", "good.pt", "--data", "x.tsv"], ["trained for reverse"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(
    trained, tmp_path, flags, fragments, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 no")
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "good.pt")
    ru.save_checkpoint(tmp_path / "other.pt", "05_lstm_sentiment", {"vocab": []})
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, {"about": {"vocabs": [["<unk>"]]}})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run_here(script, flags, capsys), *fragments)
    after = {path.name for path in tmp_path.iterdir()} - {"outputs", "models"}
    assert sorted(after) == before


def test_resuming_with_another_configuration_is_an_error(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    done = run_here(script, [*TINY, "--lr", "0.1", "--resume"], capsys)
    assert_one_line_error(done, "--lr 0.006", "0.1")


def test_translate_falls_back_with_a_warning_nobody_can_miss(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    metrics = script.main(
        ["--task", "translate", "--epochs", "1", "--max-examples", "100", "--hidden-size", "8",
         "--no-plots", "--data-dir", "nothing"]
    )  # fmt: skip
    assert metrics["embedded"] is True
    assert "EMBEDDED" in capsys.readouterr().err


CASES = Path(__file__).resolve().parent.parent.parent / "shared" / "cases"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pairs_short", "pairs_eos"])
def test_small_files_are_learned_with_default_flags(tmp_path, name):
    if not (CASES / f"{name}.tsv").is_file():
        pytest.skip("the sample files are not here")
    flags = ["--data", str(CASES / f"{name}.tsv"), "--no-plots", "--output-dir", str(tmp_path)]
    assert script.main(flags)["test"]["exact_match"] > 0.95


def test_300_pairs_of_long_sentences_never_keep_the_first_epoch(tmp_path):
    """BLEU is 0 in every epoch there, and the loss falls."""
    pairs = rd.load_dataset("multi30k", "embedded")[0]["train"][::12]
    metrics = run_on(pairs, tmp_path, "--epochs", "4", "--hidden-size", "16", "--patience", "2")
    assert metrics["best_epoch"] == 4


def test_help_survives_a_cp1252_console_and_imports_nothing_heavy(tmp_path):
    done = run_script(NAME, "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and "--max-length" in done.stdout
    assert_help_imports_nothing_heavy(NAME, "--max-length")


def test_each_size_that_is_compared_starts_from_the_same_draws(monkeypatch):
    first = []

    def fit(model, data, about):
        first.append(model.source_embedding.weight.detach().clone())
        return [], {}

    monkeypatch.setattr(script, "fit", fit)
    monkeypatch.setattr(script.rp, "score_by_length", lambda *inputs: ([], {}))
    pairs = [(tuple("123"), tuple("321"))] * 2
    data = {"val": rp.encode_pairs(pairs, *[ru.Vocab([*ru.SPECIALS, *"123"])] * 2)}
    sizes = {"source_size": 7, "target_size": 7, "hidden_size": 8, "dropout": 0.0}
    about = {"config": {"seed": 3}, "sizes": sizes, "levels": ["characters", "characters"]}
    script.compare_capacity(data, about, 5)
    assert len(first) == 4 and all(torch.equal(weights, first[0]) for weights in first)
