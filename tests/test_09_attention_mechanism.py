"""09: every attention type is its formula, padding is invisible, no answer sees its target."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import os
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
    note_gradients,
    run_here,
    run_script,
    same_but_for_times,
)

import rnn_data as rd
import rnn_pairs as rp
import rnn_utils as ru

script = load_script("09_attention_mechanism")
NAME = "09_attention_mechanism"
TINY = ["--quick", "--no-plots", "--task", "dates", "--max-examples", "400", "--hidden-size", "16"]
VOCAB = ru.Vocab([*ru.SPECIALS, *"0123456789"])
ALL = script.ATTENTION_TYPES
REAL = [kind for kind in ALL if kind != "none"]


def tiny_model(kind="general", hidden_size=12, embedding_size=8):
    ru.set_seed(0)
    size = len(VOCAB)
    return script.Seq2Seq(size, size, kind, hidden_size, 0.0, embedding_size).eval()


def sharp_model(kind="general"):
    """Untrained, but with opinions: answers of different lengths, and beams that differ."""
    model = tiny_model(kind, hidden_size=24)
    with torch.no_grad():
        for layer in (model.encoder, model.decoder):
            for name, weight in layer.named_parameters():
                if "weight" in name:
                    weight.mul_(2)
        for layer in (model.readout, model.output):
            layer.weight.mul_(6)
        model.output.bias[[ru.PAD, ru.UNK, ru.BOS]] = -1e4
    return model


def digits_split(count=24, longest=7):
    return rp.encode_pairs(script.draw_pairs("reverse", count, range(1, longest + 1)), VOCAB, VOCAB)


def answer(model, split, vocab, max_length, beam_size=1):
    """The answers to a split, without their probabilities."""
    decode = functools.partial(
        script.beam_search, model, max_length=max_length, beam_size=beam_size
    )
    return rp.answer(decode, split, vocab, beam_size)[0]


def search(model, split, max_length, beam_size):
    """Tokens of the best beams, and the mean log p of their tokens, <eos> included."""
    parts = (split.sources, split.source_lengths, max_length, beam_size)
    tokens, log_p = script.beam_search(model, *parts)
    counts = [len(until_eos(line)) + (ru.EOS in line) for line in tokens.tolist()]
    return tokens, log_p / torch.tensor(counts)


def until_eos(line):
    """The tokens of an answer, without its first <eos> and what follows."""
    return VOCAB.lookup_tokens(line[: line.index(ru.EOS)] if ru.EOS in line else line)


def score_of(model, split, row, words, finished):
    """Mean log-probability of an answer, from one teacher-forced pass."""
    tokens = [ru.BOS, *VOCAB(words)] + [ru.EOS] * finished
    length = split.source_lengths[row : row + 1]
    logits = model(split.sources[row : row + 1, : int(length)], length, torch.tensor([tokens]))
    return logits.log_softmax(dim=1)[range(len(tokens) - 1), tokens[1:]].mean().item()


def mean_loss(model, split, rows):
    logits, wanted = script.predict_next(model, split, rows)
    return torch.nn.functional.cross_entropy(logits, wanted).item(), len(wanted)


def train(model, split, val, **changes):
    settings = {"epochs": 4, "lr": 0.01, "batch_size": 8, "clip": 1.0, "patience": 0, "seed": 0}
    return script.train(model, split, val, **{**settings, **changes}, about={})


# ---------------------------------------------------------------- attention


def mask_of(lengths, longest):
    return ru.lengths_to_mask(torch.tensor(lengths), longest)


def score_by_hand(attention, q, h):
    """The score of one query for one position, from the formula of its paper."""
    if attention.kind == "dot":
        return sum(a * b for a, b in zip(q, h))
    if attention.kind == "scaled-dot-product":
        return sum(a * b for a, b in zip(q, h)) / math.sqrt(len(q))
    if attention.kind == "general":
        W = attention.W.weight.tolist()
        return sum(q[i] * W[i][j] * h[j] for i in range(len(q)) for j in range(len(h)))
    W_q, W_k = attention.W_q.weight.tolist(), attention.W_k.weight.tolist()
    bias, v = attention.W_k.bias.tolist(), attention.v.weight[0].tolist()
    H = range(len(q))
    return sum(
        v[i] * math.tanh(sum(W_q[i][j] * q[j] + W_k[i][j] * h[j] for j in H) + bias[i]) for i in H
    )


@pytest.mark.parametrize("kind", REAL)
def test_each_type_equals_its_formula_in_float64(kind):
    ru.set_seed(1)
    attention = script.Attention(kind, 5).double()
    queries, values = torch.randn(2, 3, 5).double(), torch.randn(2, 4, 5).double()
    lengths = [4, 2]
    contexts, weights = attention(queries, values, mask_of(lengths, 4))
    for b, t in ((0, 0), (0, 2), (1, 1)):
        scores = [
            score_by_hand(attention, queries[b, t].tolist(), values[b, s].tolist())
            for s in range(lengths[b])
        ]
        total = sum(map(math.exp, scores))
        expected = [math.exp(score) / total for score in scores] + [0.0] * (4 - lengths[b])
        assert weights[b, t].tolist() == pytest.approx(expected, abs=1e-12)
        context = [
            sum(w * values[b, s, i].item() for s, w in enumerate(expected)) for i in range(5)
        ]
        assert contexts[b, t].tolist() == pytest.approx(context, abs=1e-12)


def test_scores_of_numbers_small_enough_to_check_in_the_head():
    query, values = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    assert script.Attention("dot", 2).scores(query, values).tolist() == [[[3.0, 2.0]]]
    scaled = script.Attention("scaled-dot-product", 2)
    expected = [3 / math.sqrt(2), 2 / math.sqrt(2)]
    assert scaled.scores(query, values)[0, 0].tolist() == pytest.approx(expected)
    general, additive = script.Attention("general", 2), script.Attention("additive", 2)
    with torch.no_grad():
        general.W.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # swaps the two numbers
        additive.W_q.weight.copy_(torch.eye(2))
        additive.W_k.weight.copy_(torch.eye(2))
        additive.W_k.bias.zero_()
        additive.v.weight.copy_(torch.tensor([[1.0, -1.0]]))
        assert general.scores(query, values).tolist() == [[[6.0, 1.0]]]
        expected = [math.tanh(4) - math.tanh(2), math.tanh(1) - math.tanh(3)]
        scores = additive.scores(query, values)[0, 0].tolist()
    assert scores == pytest.approx(expected, abs=1e-6)


def test_scaled_dot_product_equals_the_librarys():
    queries, values = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    attention, mask = script.Attention("scaled-dot-product", 8), mask_of([5, 3], 5)
    library = torch.nn.functional.scaled_dot_product_attention(
        queries, values, values, attn_mask=mask[:, None]
    )
    torch.testing.assert_close(attention(queries, values, mask)[0], library, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", REAL)
def test_rows_sum_to_one_and_permuted_positions_permute_the_weights(kind):
    ru.set_seed(2)
    attention = script.Attention(kind, 6)
    queries, values = torch.randn(3, 4, 6), torch.randn(3, 7, 6)
    contexts, weights = attention(queries, values, mask_of([7, 4, 1], 7))
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, 4))
    assert bool((weights[1, :, 4:] == 0).all()) and bool((weights[2, :, 0] == 1).all())
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    moved, moved_weights = attention(queries[:1], values[:1, order], mask_of([7], 7))
    torch.testing.assert_close(moved_weights, weights[:1, :, order], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved, contexts[:1], atol=1e-6, rtol=0)


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("kind", ALL)
def test_extra_padding_changes_neither_logits_nor_loss_nor_answers(kind):
    model, split = sharp_model(kind), digits_split()
    wider = split._replace(
        sources=torch.nn.functional.pad(split.sources, (0, 5)),
        targets=torch.nn.functional.pad(split.targets, (0, 4)),
    )
    rows = list(range(len(split.pairs)))  # of several lengths: the packed path
    assert len(set(split.source_lengths.tolist())) > 3
    logits = model(split.sources, split.source_lengths, split.targets)
    padded = model(wider.sources, wider.source_lengths, wider.targets)
    torch.testing.assert_close(padded, logits, atol=1e-5, rtol=0)
    assert mean_loss(model, wider, rows) == pytest.approx(mean_loss(model, split, rows), rel=1e-5)
    for beam_size in (1, 3):
        assert answer(model, split, VOCAB, 9, beam_size) == answer(
            model, wider, VOCAB, 9, beam_size
        )


@pytest.mark.parametrize("kind", ALL)
def test_a_sentence_gives_the_same_alone_and_among_longer_ones(kind):
    model, split = tiny_model(kind), digits_split()
    logits = model(split.sources, split.source_lengths, split.targets)
    ends = (split.target_lengths - 1).cumsum(dim=0).tolist()
    for row in (0, 5, 9):
        length = split.source_lengths[row : row + 1]
        targets = split.targets[row : row + 1, : split.target_lengths[row]]
        alone = model(split.sources[row : row + 1, : int(length)], length, targets)
        begin = ends[row] - int(split.target_lengths[row]) + 1
        torch.testing.assert_close(alone, logits[begin : ends[row]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_the_whole_target_at_once_equals_one_step_at_a_time(kind):
    model, split = tiny_model(kind), digits_split(6)
    outputs, mask, start = model.encode(split.sources, split.source_lengths)
    tokens = split.targets[:, :-1]
    features, end, weights = model.decode(tokens, start, outputs, mask)
    state, steps = start, []
    for t in range(tokens.shape[1]):
        step, state, row = model.decode(tokens[:, t : t + 1], state, outputs, mask)
        steps.append(step)
        if kind != "none":
            torch.testing.assert_close(row[:, 0], weights[:, t], atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat(steps, dim=1), features, atol=1e-6, rtol=0)
    torch.testing.assert_close(state, end, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", REAL)
def test_the_query_is_the_decoders_state_and_the_context_joins_it(kind):
    model, split = tiny_model(kind), digits_split(6)
    outputs, mask, start = model.encode(split.sources, split.source_lengths)
    tokens = split.targets[:, :-1]
    features, _, weights = model.decode(tokens, start, outputs, mask)
    states, _ = model.decoder(model.scale * model.target_embedding(tokens), start)
    contexts, expected = model.attention(states, outputs, mask)
    torch.testing.assert_close(weights, expected)
    both = torch.cat([states, contexts], dim=2)
    torch.testing.assert_close(features, torch.tanh(model.readout(both)))


def test_encoder_outputs_know_both_sides_and_start_the_decoder():
    model, split = tiny_model(), digits_split(1, 6)
    lengths = split.source_lengths
    outputs, _, (h_0, c_0) = model.encode(split.sources, lengths)
    S, half = outputs.shape[1], 6
    torch.testing.assert_close(
        h_0[0], torch.cat([outputs[:, S - 1, :half], outputs[:, 0, half:]], 1)
    )
    assert c_0.shape == (1, 1, 12)
    other = split.sources.clone()
    other[:, -1] = 4 + (other[:, -1] - 3) % 10  # another last digit
    changed, _, _ = model.encode(other, lengths)
    assert not torch.equal(changed[:, 0, half:], outputs[:, 0, half:])  # seen by the first output
    torch.testing.assert_close(changed[:, : S - 1, :half], outputs[:, : S - 1, :half])


def test_words_are_read_and_written_by_one_table_of_small_numbers():
    model = script.Seq2Seq(50, 4000)
    assert model.output.weight is model.target_embedding.weight
    assert model.target_embedding.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    read = model.scale * model.target_embedding(torch.arange(4000))
    assert read.std().item() == pytest.approx(1.0, rel=0.05)


def test_dropout_scales_what_it_keeps():
    model = script.Seq2Seq(20, 20, dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_without_attention_the_decoder_does_not_see_the_outputs():
    for kind in ALL:
        model, split = tiny_model(kind), digits_split(6)
        outputs, mask, state = model.encode(split.sources, split.source_lengths)
        tokens = split.targets[:, :-1]
        seen = model.decode(tokens, state, outputs, mask)[0]
        blank = model.decode(tokens, state, torch.zeros_like(outputs), mask)[0]
        assert torch.equal(seen, blank) == (kind == "none")


def test_loss_and_forced_accuracy_do_not_depend_on_the_batch():
    model, split = tiny_model(), digits_split()
    loss_sum = num_right = 0
    for row in range(len(split.pairs)):
        logits, wanted = script.predict_next(model, split, [row])
        loss_sum += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        num_right += int((logits.argmax(dim=1) == wanted).sum())
    tokens = int((split.target_lengths - 1).sum())
    scores = script.evaluate(model, split)
    assert scores["loss"] == pytest.approx(loss_sum / tokens, rel=1e-5)
    assert scores["forced_accuracy"] == pytest.approx(num_right / tokens)


def test_the_future_of_the_target_does_not_leak_into_its_logits():
    for kind in ALL:
        model, split = tiny_model(kind), digits_split(1, 6)
        other = split.targets.clone()
        other[:, 3:] = 5
        parts = (split.sources, split.source_lengths)
        ours, theirs = model(*parts, split.targets), model(*parts, other)
        torch.testing.assert_close(ours[:3], theirs[:3])


@pytest.mark.parametrize("kind", REAL)
def test_model_can_overfit_one_batch_and_decodes_what_it_has_learned(kind):
    model, split = tiny_model(kind, hidden_size=48, embedding_size=16), digits_split(12, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rows = list(range(len(split.pairs)))
    for _ in range(120):
        logits, wanted = script.predict_next(model, split, rows)
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wanted = [target for _, target in split.pairs]
    assert answer(model, split, VOCAB, 10) == wanted
    assert answer(model, split, VOCAB, 10, beam_size=3) == wanted


# ---------------------------------------------------------------- training


def test_the_best_epoch_is_chosen_by_validation_loss_and_the_first_of_ties(monkeypatch):
    """Accuracy does not decide, nor training, nor test; an equal loss is no progress."""
    losses, splits = iter([0.9, 0.6, 0.6, 0.8]), []

    def evaluate(model, split):
        splits.append(split)
        return {"loss": next(losses), "forced_accuracy": 0.1 * len(splits)}

    monkeypatch.setattr(script, "evaluate", evaluate)
    model, val, seen = tiny_model(), digits_split(9), []
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
    watched = assert_translator_keeps_splits_apart(script, flags, monkeypatch)
    assert all(call.args[1] is watched.data()["train"] for call in watched.learned)


def test_training_starts_from_orthogonal_matrices_and_open_forget_gates():
    model = tiny_model()
    train(model, digits_split(), digits_split(9), epochs=1, lr=1e-9)
    for lstm, size in ((model.encoder, 6), (model.decoder, 12)):
        for name, parameter in lstm.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.split(size):
                    torch.testing.assert_close(gate @ gate.T, torch.eye(size), atol=1e-4, rtol=0)
            elif "bias_ih" in name:
                opened = parameter[size : 2 * size].tolist()
                assert opened == pytest.approx([1.0] * size, abs=1e-5)


def test_training_stops_after_patience_epochs_without_a_lower_loss(monkeypatch, capsys):
    losses = iter([0.5, 0.6, 0.5, 0.7, 0.4])
    scores = {"forced_accuracy": 0.0}
    monkeypatch.setattr(script, "evaluate", lambda *_: {"loss": next(losses), **scores})
    history, best = train(tiny_model(), digits_split(), digits_split(9), epochs=5, patience=3)
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


# ---------------------------------------------------------------- decoding


@pytest.mark.parametrize("kind", ["additive", "dot", "none"])
def test_beam_size_1_is_greedy(kind):
    model, split = sharp_model(kind), digits_split(30)
    answers = answer(model, split, VOCAB, 15)
    for row in range(len(split.pairs)):
        length = split.source_lengths[row : row + 1]
        outputs, mask, state = model.encode(split.sources[row : row + 1, : int(length)], length)
        token, greedy = ru.BOS, []
        while token != ru.EOS and len(greedy) < 15:
            features, state, _ = model.decode(torch.tensor([[token]]), state, outputs, mask)
            token = int(model.output(features).argmax())
            greedy.append(token)
        assert list(answers[row]) == until_eos(greedy)
    # Some answers end early, not all at once.
    assert len(set(answers)) > 3 and len({len(words) for words in answers}) > 1


def test_beam_search_scores_what_it_returns_and_beats_greedy_on_average():
    model, split = sharp_model(), digits_split(60)
    means = [search(model, split, 15, 1)[1].mean().item()]
    for beam_size in (2, 5, 30):  # 30: more beams than the vocabulary has tokens
        tokens, scores = search(model, split, 15, beam_size)
        for row in range(0, len(split.pairs), 7):
            line = tokens[row].tolist()
            expected = score_of(model, split, row, until_eos(line), ru.EOS in line)
            assert scores[row].item() == pytest.approx(expected, abs=1e-5)
        means.append(scores.mean().item())
    assert means[1] > means[0] and means[2] > means[0] and means[3] >= means[1]


def test_a_wide_beam_finds_the_best_of_all_short_answers():
    model, split = sharp_model(), digits_split(6, 3)
    real = "0123456789"
    _, scores = search(model, split, 2, 200)
    for row in range(len(split.pairs)):
        answers = [("", True)] + [(a, True) for a in real]
        answers += [(a + b, False) for a in real for b in real]
        best = max(score_of(model, split, row, words, finished) for words, finished in answers)
        assert scores[row].item() == pytest.approx(best, abs=1e-5)


def test_answers_come_back_in_the_order_of_the_split():
    model, split = sharp_model(), digits_split(30)
    alone = [
        answer(model, rp.encode_pairs([pair], VOCAB, VOCAB), VOCAB, 15)[0] for pair in split.pairs
    ]
    assert answer(model, split, VOCAB, 15) == alone
    assert len(set(alone)) > 5


def test_answers_do_not_look_at_the_target():
    model, split = sharp_model(), digits_split()
    blind = split._replace(targets=torch.full_like(split.targets, 5))
    for beam_size in (1, 4):
        assert answer(model, blind, VOCAB, 8, beam_size) == answer(
            model, split, VOCAB, 8, beam_size
        )


def test_training_never_stops_a_sequence_early():
    model, split = tiny_model(), digits_split()
    with torch.no_grad():
        model.output.bias[ru.EOS] = 100.0  # it would write <eos> at once, and for ever
    logits = model(split.sources, split.source_lengths, split.targets)
    assert len(logits) == int((split.target_lengths - 1).sum())


@pytest.mark.parametrize("length", [1, 200])
def test_sources_of_one_word_and_of_200(length):
    model = sharp_model()
    split = rp.encode_pairs([(("7",) * length, ())], VOCAB, VOCAB)
    (words,) = answer(model, split, VOCAB, 20)
    assert len(words) <= 20
    weights = script.alignment(model, (VOCAB, VOCAB), ("7",) * length, words)
    assert weights.shape == (len(words) + 1, length)


# ---------------------------------------------------------------- the data


def toy_splits(task, count):
    splits, levels, source, embedded = script.load_splits(
        task, None, None, "auto", None, True, count
    )
    assert (levels, source, embedded) == (["characters", "characters"], task, False)
    return splits


def test_no_day_is_in_two_splits_and_every_form_is_read_back():
    splits = toy_splits("dates", 4000)
    days = [{target for _, target in splits[part]} for part in ("train", "val", "test")]
    assert sum(map(len, days)) == len(set.union(*days)) == 4000
    assert len(script.draw_pairs("dates", 10**6)) == 36_525
    pairs = script.draw_pairs("dates", 3000)
    assert pairs == script.draw_pairs("dates", 3000)
    months = rd._MONTH_NAMES.split()
    for source, target in pairs:  # an answer follows from its source: two digits say the century
        source, (year, month, day) = "".join(source), "".join(target).split("-")
        assert 1950 <= int(year) <= 2049 and year[2:] in source and str(int(day)) in source
        assert months[int(month) - 1][:3] in source or str(int(month)) in source


def test_no_number_is_in_two_splits():
    splits = toy_splits("reverse", 2000)
    sources = [{source for source, _ in splits[part]} for part in ("train", "val", "test")]
    assert sum(map(len, sources)) == len(set.union(*sources))
    assert all(source == target[::-1] for source, target in splits["test"])
    assert {len(source) for source, _ in splits["longer"]} == set(range(21, 31))


def test_vocabulary_is_from_the_training_pairs_only(tmp_path):
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for stem, word in (("train", "cat"), ("val", "horse"), ("test_2016_flickr", "goose")):
        for language in ("en", "fr"):
            with gzip.open(folder / f"{stem}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(f"a {word} .\n" * 10)
    metrics = script.main(
        ["--data-dir", str(tmp_path), "--epochs", "1", "--hidden-size", "4", "--no-plots",
         "--output-dir", str(tmp_path / "out"), "--save-model", "--path", str(tmp_path / "m.pt")]
    )  # fmt: skip
    assert metrics["dataset"] == "multi30k" and metrics["embedded"] is False
    vocabs = ru.load_checkpoint(tmp_path / "m.pt", NAME)["about"]["vocabs"]
    assert vocabs[0] == [*ru.SPECIALS, ".", "a", "cat"]


# ---------------------------------------------------------------- looking inside


def test_row_t_says_where_the_decoder_looked_before_it_wrote_token_t():
    model, source, output = sharp_model(), tuple("31415"), tuple("926")
    rows = script.alignment(model, [VOCAB, VOCAB], source, output)
    split = rp.encode_sources([source], [VOCAB, VOCAB], "cpu")
    outputs, mask, state = model.encode(split.sources, split.source_lengths)
    for row, token in zip(rows, [ru.BOS, *VOCAB(output)]):
        _, state, weights = model.decode(torch.tensor([[token]]), state, outputs, mask)
        torch.testing.assert_close(row, weights[0, 0])


def test_examples_are_right_answers(monkeypatch):
    pairs = [(tuple("12345")[:n], tuple("54321")[:n]) for n in (5, 5, 5)]
    outputs = [pairs[0][1], ("9",), pairs[2][1]]
    monkeypatch.setattr(script, "alignment", lambda *parts: torch.eye(6))
    examples = script.choose_examples(None, None, pairs, outputs, 3)
    assert [example[1] for example in examples] == [pairs[0][1], pairs[2][1]]


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")
    done = run_script(NAME, *TINY, "--save-model", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_the_baselines(tmp_path):
    done = run_script(NAME, "--quick", "--translate", "a girl sings.", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    assert {path.stem for path in output.glob("*.png")} == {
        "by_length", "alignments", "training_curves", "translations"
    }  # fmt: skip
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["config"]["task"] == "translate"
    assert metrics["test"]["bleu"] > max(metrics["baselines"].values()) + 10
    assert "a girl sings.\n  -> une fille chante ." in done.stdout
    assert not (tmp_path / "models").exists()


def test_same_seed_same_metrics(trained, tmp_path):
    again = script.main([*TINY, "--output-dir", str(tmp_path)])
    assert same_but_for_times(again) == same_but_for_times(trained[1])


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(1, script.evaluate))
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
    assert (folder / "evaluated" / "alignments.png").exists()


def test_eval_only_may_search_with_more_beams(trained, tmp_path):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    flags = ["--eval-only", "--path", path, "--no-plots", "--output-dir", str(tmp_path)]
    metrics = script.main([*flags, "--beam-size", "2"])
    assert metrics["test"]["loss"] == pytest.approx(trained[1]["test"]["loss"])
    assert metrics["config"]["beam_size"] == 2


def test_translate_needs_the_checkpoint_alone_and_draws(trained, tmp_path):
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    flags = ["--translate", "3 march 2017", "5 ~ may 1999", "--path", "mine.pt"]
    done = run_script(NAME, *flags, "--output-dir", "drawn", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "3 march 2017\n  -> " in done.stdout and "never seen in training: ~" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "mine.pt"]
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["translations.png"]


def test_translate_reads_standard_input(trained, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", iter(["3 march 2017\n", "\n", "4 may 2001\n"]))
    path = str(trained[0] / "models" / f"{NAME}.pt")
    answers = script.main(["--translate", "-", "--path", path, "--no-plots"])
    assert list(answers) == ["3 march 2017", "", "4 may 2001"] and answers[""] == ""


@pytest.mark.parametrize("beam_size", [1, 3])
def test_lines_of_standard_input_become_a_table(trained, beam_size, tmp_path, monkeypatch, capsys):
    """Answers and their probabilities, and no figure and no other line."""
    monkeypatch.chdir(tmp_path)
    path = str(trained[0] / "models" / f"{NAME}.pt")
    texts = ["3 march 2017", "4 may 2001", "7th ~ june '62", "1/2/1999"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*texts[:1], "", *texts[1:]]) + "\n"))
    flags = ["--path", path, "--beam-size", str(beam_size), "--max-length", "12"]
    done = run_here(script, ["--translate", "-", *flags], capsys)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert list(tmp_path.iterdir()) == []
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows.pop(1) == ["", "", "nan"]  # row n answers line n, an empty one as well
    assert [row[0] for row in rows] == texts and {len(row) for row in rows} == {3}
    single = script.main(["--translate", *texts, *flags, "--no-plots"])
    assert single == {text: written for text, written, _ in rows}
    model, about, _ = rp.load_model(path, NAME, script.Seq2Seq)
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    for text, written, p in rows:
        finished = [ru.EOS] * (len(written) < 12)
        target = [ru.BOS, *vocabs[1](written), *finished]
        sources, lengths, _ = rp.encode_sources([tuple(text)], vocabs, "cpu").batch([0])
        log_p = model.eval()(sources, lengths, torch.tensor([target])).log_softmax(dim=1)
        total = log_p[range(len(target) - 1), target[1:]].sum()
        assert float(p) == pytest.approx(total.exp().item(), abs=2e-4)


@pytest.mark.parametrize("kind", ["additive", "general", "scaled-dot-product", "none"])
def test_every_type_runs(tmp_path, kind):
    flags = [flag for flag in TINY if flag != "--no-plots"] + ["--epochs", "1"]
    metrics = script.main([*flags, "--attention-type", kind, "--output-dir", str(tmp_path)])
    assert (tmp_path / "alignments.png").exists() == (kind != "none")
    assert set(metrics["by_length"]) == {kind}


def test_a_comparison_leaves_the_saved_model_alone(tmp_path):
    flags = [*TINY, "--epochs", "1", "--save-model"]
    paths = [tmp_path / "with.pt", tmp_path / "without.pt"]
    for path, more in zip(paths, (["--compare"], [])):
        script.main([*flags, *more, "--path", str(path), "--output-dir", str(tmp_path)])
    weights = [ru.load_checkpoint(path, NAME)["best"]["weights"] for path in paths]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_compare_trains_the_same_without_attention(tmp_path, capsys):
    metrics = script.main([*TINY, "--compare", "--output-dir", str(tmp_path)])
    alone = script.main([*TINY, "--attention-type", "none", "--output-dir", str(tmp_path)])
    losses = [[row["val_loss"] for row in m["history"]] for m in (metrics["compare"], alone)]
    assert losses[0] == losses[1]  # the same seed: the same draws as in a run of its own
    assert set(metrics["by_length"]) == {"dot", "none"}
    assert len(metrics["compare"]["history"]) == len(metrics["history"])
    assert "without attention" in capsys.readouterr().out


def test_numbers_are_reversed_and_longer_ones_scored_too(tmp_path):
    flags = ["--task", "reverse", "--max-examples", "300", "--epochs", "1", "--hidden-size", "8"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert max(metrics["by_length"]["dot"]) == 30


GOOD = "".join(f"line {n}.\tligne {n}.\n" for n in range(12))


def test_own_pairs_with_a_third_column_and_ten_lines_are_enough(tmp_path, capsys):
    path = tmp_path / "paires à moi.tsv"
    rows = [row + "\tCC-BY" for row in GOOD.splitlines()[:10]]
    path.write_text("\n".join(rows), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "1", "--hidden-size", "8"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["dataset"] == str(path) and metrics["embedded"] is False
    assert "bleu" in metrics["test"] and "<eos>" in capsys.readouterr().out
    assert (tmp_path / "out" / "alignments.png").exists()


def test_without_data_it_takes_the_stand_in_with_a_warning_nobody_can_miss(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = ["--epochs", "1", "--max-examples", "100", "--hidden-size", "8", "--no-plots"]
    metrics = script.main([*flags, "--data-dir", "nothing"])
    assert metrics["embedded"] is True and metrics["config"]["task"] == "translate"
    assert "EMBEDDED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--hidden-size", "7"], ["--hidden-size", "7 is odd"]),
        (["--attention-type", "cosine"], ["--attention-type", "cosine", "additive"]),
        (["--data", "nowhere.tsv"], ["nowhere.tsv", "no such file"]),
        (["--data", "one_column.tsv"], ["one_column.tsv, line 1", "tab"]),
        (["--data", "x.tsv", "--task", "dates"], ["--data", "--task dates"]),
        (["--dataset", "multi30k", "--task", "reverse"], ["multi30k", "--task reverse"]),
        (["--dataset", "multi30k", "--data-dir", "empty"], ["train.en.gz", "--offline"]),
        (["--compare", "--attention-type", "none"], ["--compare", "none"]),
        (["--translate", "", "--path", "good.pt"], ["''", "no token"]),
        (["--eval-only", "--compare"], ["--compare", "--eval-only"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--eval-only", "--path", "good.pt", "--task", "reverse"], ["good.pt", "for dates"]),
        (["--eval-only", "--path", "good.pt", "--data", "x.tsv"], ["good.pt", "for dates"]),
        (["--translate", "12", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--translate", "12", "--path", "other.pt"], ["other.pt", "05_lstm_sentiment"]),
        (["--translate", "12", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], ["nothing to resume", "--save-model"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(
    trained, tmp_path, flags, fragments, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 no")
    (tmp_path / "one_column.tsv").write_text("one\n" * 12, encoding="utf-8")
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "good.pt")
    ru.save_checkpoint(tmp_path / "other.pt", "05_lstm_sentiment", {"vocab": []})
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, {"about": {"vocabs": [["<unk>"]]}})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run_here(script, flags, capsys), *fragments)
    after = {path.name for path in tmp_path.iterdir()} - {"outputs", "models"}
    assert sorted(after) == before


def test_resuming_with_another_configuration_is_an_error(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    done = run_here(script, [*TINY, "--attention-type", "general", "--resume"], capsys)
    assert_one_line_error(done, "--attention-type dot", "general")


def test_multi30k_translates_better_than_it_copies_where_it_is(tmp_path):
    folder = os.path.join(os.environ.get("RNN_DATA_DIR", "data"), "multi30k")
    if not os.path.isfile(os.path.join(folder, "train.en.gz")):
        pytest.skip("multi30k is not here")
    flags = ["--max-examples", "600", "--epochs", "1", "--hidden-size", "16", "--no-plots"]
    metrics = script.main([*flags, "--lr", "0.01", "--output-dir", str(tmp_path)])
    assert metrics["dataset"] == "multi30k" and metrics["embedded"] is False
    assert metrics["test"]["loss"] < 7.0  # ln 1,100 for a guess


def test_help_survives_a_cp1252_console_and_imports_nothing_heavy(tmp_path):
    done = run_script(NAME, "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and "--attention-type" in done.stdout
    assert_help_imports_nothing_heavy(NAME, "--attention-type")


def test_how_long_an_answer_may_be_is_chosen_again(trained, tmp_path):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    flags = ["--eval-only", "--path", path, "--no-plots", "--output-dir", str(tmp_path)]
    metrics = script.main([*flags, "--max-length", "3"])
    assert metrics["config"]["max_length"] == 3
    assert metrics["test"]["exact_match"] == 0.0  # "201" is no date


def test_dollar_signs_in_a_text_are_no_formula(trained, tmp_path):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    flags = ["--path", path, "--translate", "$\\foo$ 3", "--output-dir", str(tmp_path)]
    script.main(flags)
    assert (tmp_path / "translations.png").exists()
    plt = ru.get_pyplot()
    figure, axes = plt.subplots()
    ru.plot_heatmap(axes, [[0.5]], ["$\\foo$"], ["a"], None)
    ru.save_figures({"dollars": figure}, tmp_path)


CASES = Path(__file__).resolve().parent.parent.parent / "shared" / "cases"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pairs_short", "pairs_eos"])
def test_small_files_are_learned_with_default_flags(tmp_path, name):
    if not (CASES / f"{name}.tsv").is_file():
        pytest.skip("the sample files are not here")
    flags = ["--data", str(CASES / f"{name}.tsv"), "--no-plots", "--output-dir", str(tmp_path)]
    assert script.main(flags)["test"]["exact_match"] > 0.95


def test_a_text_that_spells_special_tokens_is_scored_like_any_other(tmp_path):
    words = ["red", "dog", "sees", "tall", "trees", "now"]
    numbers = torch.randint(0, 6, (300, 4), generator=torch.Generator().manual_seed(0)).tolist()
    rows = []
    for row in numbers:
        source = [words[n] for n in row]
        rows.append(f"{' '.join(source)}\t<bos> {' '.join(source[::-1])} <eos>")
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(rows), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "15", "--hidden-size", "64", "--lr", "0.01"]
    metrics = script.main([*flags, "--no-plots", "--output-dir", str(tmp_path)])
    assert metrics["test"]["exact_match"] > 0.7  # compared as texts, none would be right
