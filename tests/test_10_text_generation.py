"""10: the chunks join up, the state is detached, sampling is a distribution, no run is lost."""

from __future__ import annotations

import collections
import json
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    ROOT,
    InterruptedAfter,
    Watched,
    assert_dropout_scales,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    note_calls,
    run_here,
    run_script,
    same_but_for_times,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_data as rd
import rnn_utils as ru

script = load_script("10_text_generation")
NAME = "10_text_generation"
TINY = ["--quick", "--no-plots", "--max-chars", "20000", "--hidden-size", "16", "--batch-size", "8"]
TINY += ["--max-length", "20"]


def tiny_model(vocab_size=11, seed=0, **changes):
    sizes = {"hidden_size": 9, "dropout": 0.0}
    ru.set_seed(seed)
    model = script.LanguageModel(vocab_size, **{**sizes, **changes}).eval()
    return model


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


def load_own(text, folder, level="char", needed=20):
    (folder / "own.txt").write_text(text, encoding="utf-8")
    path = str(folder / "own.txt")
    parts, _, _ = script.load_parts(path, "auto", None, True, 10**6, level, needed)
    return parts


def numbered(parts, level="char") -> tuple:
    """A new model, its vocabulary, and {part: (N,) indices} of the symbols in `parts`."""
    config = {"sequence_length": 4, "batch_size": 1}
    model, about = script.build(parts, "x", level, 9, 0.0, config)
    vocab, data, _, _ = script.introduce(model, about, parts)
    return model, vocab, data


def test_splits_are_in_order_and_each_is_predicted_whole(tmp_path):
    text = "".join(chr(97 + index % 23) for index in range(1000))
    parts = load_own(text, tmp_path)
    assert "".join(parts["val"]) == text[:50]
    assert "".join(parts["train"]) == text[50:900]
    assert "".join(parts["test"]) == text[899:]  # the first is input only


def test_vocabulary_comes_from_the_training_text_alone():
    symbols = ["d" * 15, "ab" * 127, "c" + "d" * 30]  # d is in val and test, c once in train
    model, vocab, ids = numbered(script.cut("".join(symbols)))
    assert vocab.get_itos() == ["<unk>", "a", "b"]
    assert model.output.out_features == 3
    assert ids["train"][:2].tolist() == [1, 2] or ids["train"][:2].tolist() == [0, 0]
    assert not ids["val"].any()  # all unknown


def test_unk_in_letters_is_ordinary_text(tmp_path):
    """Point 3 of issue 16: Penn Treebank writes `<unk>`; decoding goes by index, not by text."""
    text = "a <unk> in the text\n" * 100
    for level in ("char", "word"):
        parts = load_own(text, tmp_path, level)
        _, vocab, ids = numbered(parts, level)
        assert script.decode(ids["train"], vocab) == "".join(parts["train"])
    assert script.decode(torch.tensor([0, 1, 0]), tiny_vocab()) == "\ufffd\n\ufffd"


def test_text_with_unk_in_letters_trains_and_is_scored(tmp_path):
    text = "".join(f"river <unk> {'abc'[n % 3]} stone {n % 7}\n" for n in range(300))
    (tmp_path / "own.txt").write_text(text, encoding="utf-8")
    flags = ["--data", str(tmp_path / "own.txt"), "--hidden-size", "16", "--epochs", "2"]
    flags += ["--batch-size", "2", "--max-length", "60", "--sequence-length", "32", "--lr", "0.02"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["test"]["bits"] < metrics["baselines"]["unigram"]
    assert (tmp_path / "out" / "next_symbols.png").exists()


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_words_joined_together_are_the_text(text):
    assert "".join(script.tokenize(text, "word")) == text


def test_words_are_words():
    words = script.tokenize("ROMEO:\nI'll go, now.", "word")
    assert words == ["ROMEO", ":", "\n", "I'll", " go", ",", " now", "."]


def test_words_of_a_language_without_spaces_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text("今天你看音乐。\n现在他们喜欢茶。\n" * 200, encoding="utf-8")
    done = run_here(script, ["--data", "own.txt", "--level", "word"], capsys)
    assert_one_line_error(done, "own.txt", "no spaces", "--level char")
    parts, _, _ = script.load_parts("own.txt", "auto", None, True, 10**6, "char", 100)
    assert parts["train"]


def test_a_folder_is_read_with_its_sub_folders_and_a_cut_text_is_said(tmp_path, capsys):
    folder = tmp_path / "my texts"
    (folder / "chapters").mkdir(parents=True)
    (folder / "README.md").write_text("read me\n" * 50, encoding="utf-8")
    (folder / "chapters" / "one.txt").write_text("it was night\n" * 500, encoding="utf-8")
    parts, _, _ = script.load_parts(str(folder), "auto", None, True, 6000, "char", 100)
    train = "".join(parts["train"])
    assert "read me" in train and "it was night" in train
    assert "the first 6,000 of 6,901 characters" in capsys.readouterr().out
    assert sum(len(symbols) for symbols in parts.values()) == 6000 + 1  # test has one of train's


# ---------------------------------------------------------------- the model


def test_carried_state_makes_chunks_equal_one_long_pass():
    model, ids = tiny_model(), random_ids(60)
    whole, _ = model(ids[None])
    state, pieces = None, []
    for chunk in ids.split(7):
        logits, (h, c) = model(chunk[None], state)
        state = (h.detach(), c.detach())
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=0)


def test_single_steps_equal_the_layer():
    model, ids = tiny_model(), random_ids(17)
    whole, _ = model(ids[None])
    state = None
    for t, symbol in enumerate(ids):
        logits, state = model(symbol[None, None], state)
        torch.testing.assert_close(logits[0, 0], whole[0, t], atol=1e-6, rtol=1e-5)


def test_the_future_never_leaks():
    model, ids = tiny_model(), random_ids(30)
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


def test_evaluation_uses_no_dropout():
    model = tiny_model(dropout=0.9)
    assert script.evaluate(model.train(), random_ids(50)) == script.evaluate(model, random_ids(50))
    assert F.dropout(torch.ones(3), 0.9, model.training).tolist() == [1, 1, 1]


def test_tied_weights_are_one_table():
    words, characters = tiny_model(embedding_size=9, tied=True), tiny_model()
    assert words.output.weight is words.embedding.weight
    assert words.output.weight.abs().max() <= 0.1  # N(0, 1) would make huge logits
    assert characters.output.weight is not characters.embedding.weight
    of_rnn = sum(parameter.numel() for parameter in words.rnn.parameters())
    assert ru.count_parameters(words) == of_rnn + 11 * 9 + 11
    parts = {"train": list("abab" * 20)}
    assert script.build(parts, "x", "word", 9, 0.0, {})[0].output.weight.shape == (3, 9)


def test_dropout_scales_what_it_keeps():
    model = tiny_model(dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_forget_gate_is_open_and_recurrent_matrices_orthogonal():
    rnn = script.build({"train": list("abab")}, "x", "char", 8, 0.0, {})[0].rnn
    for gate in rnn.weight_hh_l0.split(8):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)
    assert rnn.bias_ih_l0.tolist() == [0] * 8 + [1] * 8 + [0] * 16
    assert not rnn.bias_hh_l0.any()


# ---------------------------------------------------------------- training


def run_epoch(
    model, streams, epoch=1, epochs=1, steps=5, clip=1.0, stateless=False, optimizer=None
):
    optimizer = optimizer or torch.optim.Adam(model.parameters())
    return script.train_epoch(
        model, *streams, optimizer, tiny_vocab(), epoch, epochs, 1e-2, steps, clip, stateless
    )


def states_seen_in_training(monkeypatch, stateless=False):
    """Train one epoch of 6 chunks; return the state that each chunk began with."""
    model, seen = tiny_model(), []
    forward = model.forward
    model.forward = lambda inputs, state=None: seen.append(state) or forward(inputs, state)
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    run_epoch(model, script.make_streams(random_ids(62), 2, 5), stateless=stateless)
    return seen


def test_training_carries_the_state_detached_and_stateless_does_not(monkeypatch):
    assert script.RESTART == 1 / 50  # as the text says
    monkeypatch.setattr(script, "RESTART", 0.0)
    first, *others = states_seen_in_training(monkeypatch)
    assert first is None and len(others) == 5
    assert all(not part.requires_grad and part.any() for state in others for part in state)
    assert states_seen_in_training(monkeypatch, stateless=True) == [None] * 6
    monkeypatch.setattr(script, "RESTART", 1.0)
    assert states_seen_in_training(monkeypatch) == [None] * 6


def test_the_carried_state_is_the_one_after_the_chunk_before(monkeypatch):
    monkeypatch.setattr(script, "RESTART", 0.0)
    monkeypatch.setattr(script.ru, "learning_rate", lambda *_: 0.0)  # weights stay as they are
    inputs, _ = script.make_streams(random_ids(62), 2, 5)
    seen = states_seen_in_training(monkeypatch)
    model = tiny_model()
    for chunk in (1, 3):
        _, (h, c) = model(inputs[:, : 5 * chunk])
        torch.testing.assert_close(seen[chunk][0], h.detach(), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(seen[chunk][1], c.detach(), atol=1e-6, rtol=1e-5)


def test_the_gradient_is_that_of_the_last_chunk_alone_and_clipped(monkeypatch):
    monkeypatch.setattr(script, "RESTART", 0.0)
    monkeypatch.setattr(script.ru, "learning_rate", lambda *_: 0.0)  # weights stay as they are
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    inputs, targets = script.make_streams(random_ids(62), 2, 5)
    model = tiny_model()
    _, (h, c) = model(inputs[:, :25])
    logits, _ = model(inputs[:, 25:], (h.detach(), c.detach()))
    loss = F.cross_entropy(logits.flatten(0, 1), targets[:, 25:].flatten())
    expected = torch.autograd.grad(loss, list(model.parameters()))
    run_epoch(model, (inputs, targets), clip=0)
    for parameter, gradient in zip(model.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)
    _, mean_norm, _ = run_epoch(model, (inputs, targets), clip=1e-3)
    assert mean_norm > 0.01  # as it was before clipping
    assert sum(p.grad.square().sum() for p in model.parameters()).sqrt() < 1.01e-3


def test_dropout_is_on_again_after_an_early_line():
    model, seen = tiny_model(dropout=0.5), []
    model.register_forward_hook(lambda module, given, _: seen.append(module.training))
    model.register_forward_hook(lambda module, given, _: seen.append(len(given[0])))
    streams = script.make_streams(random_ids(2 * 20 + 1), 2, 5)
    _, _, samples = run_epoch(model, streams)
    modes = {(training, rows) for training, rows in zip(seen[::2], seen[1::2])}
    assert modes == {(True, 2), (False, 1)}  # two streams in training, one text in writing
    assert [updates for updates, _ in samples] == [0, 4]


def test_model_can_overfit_one_batch(monkeypatch):
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    model = tiny_model(hidden_size=64)
    streams = script.make_streams(random_ids(2 * 20 + 1), 2, 20)
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(1, 151):
        loss, _, _ = run_epoch(model, streams, epoch, 150, steps=20, optimizer=optimizer)
    assert loss < 0.05


def train_with_scores(monkeypatch, losses, epochs, patience):
    """Train while `evaluate` returns given losses; return history, best, and what it was given."""
    given = iter(losses)
    splits = []

    def evaluate(model, ids):
        splits.append(ids)
        return {"loss": next(given), "bits": 0.0, "perplexity": 0.0}

    monkeypatch.setattr(script, "evaluate", evaluate)
    monkeypatch.setattr(script, "write_line", lambda *_: "")
    model, val_ids = tiny_model(), random_ids(20)
    inputs, targets = script.make_streams(random_ids(62), 2, 5)
    kept = []  # copies of the weights, as they were when an epoch was the best so far
    snapshot = ru.snapshot
    monkeypatch.setattr(ru, "snapshot", lambda m: kept.append(snapshot(m)) or kept[-1])
    history, best = script.train(
        model, inputs, targets, val_ids, tiny_vocab(), epochs, 0.01, 5, 1.0, patience, False, {}
    )
    assert all(ids is val_ids for ids in splits)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[-1][name])  # those of the best epoch, not the last ones
    return history, best


def test_the_best_epoch_is_chosen_on_validation_and_the_first_of_ties(monkeypatch, capsys):
    history, best = train_with_scores(monkeypatch, [0.3, 0.2, 0.2, 0.25], 4, 0)
    assert best["epoch"] == 2 and len(history) == 4


def test_each_split_has_its_place(tmp_path, monkeypatch):
    """Train is learned from, validation chooses, and test is scored once, at the end."""
    watched = Watched(script, monkeypatch)
    script.main([*TINY, "--epochs", "2", "--clip", "0.7", "--output-dir", str(tmp_path)])
    data = watched.data()
    for call in watched.learned:
        assert torch.equal(call.args[1][0], data["train"][: call.args[1].shape[1]])
    order = [data["val"], data["val"], data["test"]]
    assert all(call.args[1] is ids for call, ids in zip(watched.evaluated, order))
    assert len(watched.evaluated) == 3
    watched.assert_steps(clip=0.7)


def test_training_stops_after_patience_epochs_without_a_better_one(monkeypatch, capsys):
    history, best = train_with_scores(monkeypatch, [2.0, 2.1, 2.0, 2.2, 1.0], 5, 3)
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early: no better validation loss for 3 epochs" in capsys.readouterr().out


# ---------------------------------------------------------------- the n-gram baseline


def test_order_is_chosen_on_validation_and_unigram_is_the_entropy():
    text = torch.tensor([1, 2, 3, 1, 3, 2] * 400)  # a cycle: no order below 3 knows it
    data = {"train": text[:2040], "val": text[2039:2160], "test": text[2159:]}
    bits = script.baselines(data, 4, "char")
    assert list(bits["val"]) == list(bits["test"])
    first, best = bits["test"]
    assert first == "unigram"
    assert bits["test"]["unigram"] == pytest.approx(math.log2(3), abs=0.01)
    assert int(best[0]) >= 3 and bits["test"][best] < 0.02


def test_the_order_does_not_depend_on_test(monkeypatch):
    """Order 2 is best on val, order 3 on test: 2 is taken."""
    cost = {1: (3.0, 3.0), 2: (1.0, 2.0), 3: (2.0, 1.0)}  # bits on val, on test

    def kneser_ney(ids, start, vocab_size, order):
        val, test = cost.get(order, (9.0, 9.0))
        return np.array([2.0**-val] * 10 + [2.0**-test] * 20)

    monkeypatch.setattr(script.rb, "kneser_ney", kneser_ney)
    data = {"train": torch.zeros(50), "val": torch.zeros(11), "test": torch.zeros(21)}
    assert script.baselines(data, 4, "word") == {
        "val": {"unigram": 3.0, "2-gram": 1.0}, "test": {"unigram": 3.0, "2-gram": 2.0}
    }  # fmt: skip


def test_the_test_split_is_what_is_reported(monkeypatch, capsys):
    data = {part: random_ids(60, seed=seed) for seed, part in enumerate(("train", "val", "test"))}
    model = tiny_model()
    measured, counted = script.measure_test(model, data, tiny_vocab(), "char", 3, 5)
    test, unigram = measured["test"], measured["baselines"]["unigram"]
    assert test == script.evaluate(model, data["test"]) != script.evaluate(model, data["val"])
    assert counted["unigram"] != unigram
    printed = capsys.readouterr().out
    assert f"{test['bits']:.4f}" in printed and f"{unigram:.4f}" in printed
    assert "epoch 3, chosen on validation" in printed


# ---------------------------------------------------------------- writing

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
        nucleus = script.next_probabilities(LOGITS, top_p=top_p)
        count = int((nucleus > 0).sum())
        assert ranked[:count].sum() >= top_p - 1e-6 > ranked[: count - 1].sum() - 2e-6
        assert nucleus.topk(count).indices.tolist() == full.topk(count).indices.tolist()


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
    model, vocab = tiny_model(dropout=0.5), tiny_vocab()
    with torch.no_grad():
        model.output.bias[0] = 50.0  # <unk> would be certain
    texts = []
    for seed in (0, 0, 1):
        text = ""
        for symbol in script.generate(model.train(), vocab, [1], 40, seed, temperature=1.0):
            assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
            text += symbol
        texts.append(text)
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 40 and "<unk>" not in texts[0] and not model.training


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


def test_each_sample_has_a_seed_of_its_own(monkeypatch, capsys):
    drawn = note_calls(monkeypatch, script, "generate")
    about = {"vocab": tiny_vocab().get_itos(), "config": {"level": "char"}}
    script.write_samples(tiny_model(), about, "ab", 3, 5, 7, 1.0, 0, 1.0)
    assert [call.args[4] for call in drawn] == [7, 8, 9]


def test_a_prompt_is_encoded_and_without_one_the_text_begins_with_a_line_break():
    vocab = tiny_vocab()
    assert script.encode_prompt("aXb", vocab, "char") == [2, 0, 3]  # X is unknown
    assert script.encode_prompt("", vocab, "char") == vocab("\n")
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


def test_the_ladder_copies_from_train_and_its_last_row_is_unseen_text(capsys):
    vocab = tiny_vocab()
    data = {"train": torch.tensor(vocab("abcdef" * 50)), "val": torch.tensor(vocab("xgh abcd" * 9))}
    rows = script.temperature_ladder(tiny_model(), vocab, data, 40)
    names = [row["temperature"] for row in rows]
    assert names == ["0.3", "0.6", "0.8", "1.0", "1.3", "unseen text"]
    assert rows[-1]["copied"] == "abcd"
    assert all(row["copied"] in "abcdef" * 50 for row in rows)


# ---------------------------------------------------------------- looking inside


def test_figure_of_guesses_shows_what_came(monkeypatch):
    plt, vocab, model = ru.get_pyplot(), tiny_vocab(), tiny_model()
    ids = torch.tensor(vocab("ab\nc"))
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias[vocab("b")[0]] = 9.0  # always expects b
    figure = script.plot_reading(model, vocab, ids, "", plt)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["b", "\u21b5", "c"]
    first = [letter for letter in axes.texts if letter.get_position()[1] == 0]
    assert [letter.get_text() for letter in first] == ["b"] * 3
    assert [letter.get_color() for letter in first] == [ru.ORANGE, "white", "white"]
    plt.close(figure)


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
    assert {path.stem for path in output.glob("*.png")} == {"next_symbols", "training_curves"}
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    assert metrics["test"]["bits"] < metrics["baselines"]["unigram"]
    assert [row["temperature"] for row in metrics["ladder"]][-1] == "unseen text"
    assert "after 0 updates" in done.stdout and "(16, 32, 64)" in done.stdout
    assert not (tmp_path / "models").exists()  # nothing is saved unasked


def test_same_seed_same_metrics(trained, tmp_path):
    _, first = trained
    again = script.main([*TINY, "--epochs", "4", "--output-dir", str(tmp_path / "out")])
    assert same_but_for_times(again) == same_but_for_times(first)
    assert len(first["history"]) == 4 and first["test"]["bits"] < first["baselines"]["unigram"]


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt):
            script.main(command)
    # How the model shall write afterwards is not part of its training.
    resumed = script.main([*command, "--resume", "--temperature", "0.5"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    paths = tmp_path / "m.pt", folder / "models" / f"{NAME}.pt"
    weights = [ru.load_checkpoint(path, NAME)["best"]["weights"] for path in paths]
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
    for key in ("test", "best_epoch", "ladder", "baselines", "embedded"):
        assert evaluated[key] == metrics[key]
    assert (folder / "evaluated" / "next_symbols.png").exists()
    assert "hidden-size=16" in done.stdout  # the settings of the model, not of this command


def test_a_prompt_needs_the_checkpoint_alone_and_is_seeded(trained, tmp_path):
    folder, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    flags = ["--path", "mine.pt", "--prompt", "def §read(", "--max-length", "30"]
    flags += ["--num-samples", "2", "--temperature", "0.7", "--top-k", "20", "--top-p", "0.9"]
    first = run_script(NAME, *flags, cwd=tmp_path)
    assert first.returncode == 0 and first.stderr == "", first.stderr
    assert first.stdout.count("def \ufffdread(") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]
    model, about, _ = script.load_model(tmp_path / "mine.pt")
    vocab = ru.Vocab(about["vocab"])
    for seed in (0, 1):
        symbols = script.generate(model, vocab, vocab("def §read("), 30, seed, 0.7, 20, 0.9)
        assert "read(" + "".join(symbols) in first.stdout


def test_several_samples_need_the_checkpoint_alone(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = str(trained[0] / "models" / f"{NAME}.pt")
    samples = script.main(["--path", path, "--num-samples", "3", "--max-length", "25"])["samples"]
    assert len(set(samples)) == 3 and all(len(text) == 26 for text in samples)
    assert not list(tmp_path.iterdir())


def test_the_text_is_printed_symbol_by_symbol(trained, monkeypatch, capsys):
    printed = []

    def slowly(*_):
        for symbol in "xyz":
            printed.append(capsys.readouterr().out)
            yield symbol

    monkeypatch.setattr(script, "generate", slowly)
    script.main(["--path", str(trained[0] / "models" / f"{NAME}.pt"), "--prompt", "a"])
    assert printed[0].endswith("a") and printed[1:] == ["x", "y"]


def test_words_from_a_folder_of_files(tmp_path):
    folder = tmp_path / "recettes d'été"
    folder.mkdir()
    for number in range(3):
        text = f"Stir the butter and the {['egg', 'flour', 'milk'][number]}, then wait.\n" * 30
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    (folder / ".hidden").write_bytes(b"\0")
    (folder / "empty.txt").write_text("")
    flags = ["--data", str(folder), "--level", "word", "--epochs", "3", "--hidden-size", "16"]
    flags += ["--batch-size", "2", "--sequence-length", "8", "--max-length", "10"]
    metrics = script.main([*flags, "--lr", "0.02", "--output-dir", str(tmp_path / "out")])
    assert metrics["embedded"] is False and metrics["dataset"] == str(folder)
    assert metrics["test"]["bits"] < metrics["baselines"]["unigram"]
    assert list(metrics["baselines"])[1] in ("2-gram", "3-gram", "4-gram", "5-gram")
    figures = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert figures == {"next_symbols", "training_curves"}


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
        (["--top-p", "0"], ["--top-p", "at most 1"]),
        (["--top-p", "1.5"], ["--top-p", "at most 1"]),
        (["--data", "empty"], ["empty", "no text"]),
        (["--dataset", "shakespeare", "--data-dir", "empty"], ["input.txt", "--offline"]),
        (["--quick", "--max-chars", "100"], ["85 chars to train on", "--sequence-length"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--prompt", "x", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--prompt", "x", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
        (["--prompt", "x", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], [f"{NAME}.pt", "nothing to resume", "--save-model"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
        (["--no-such-flag"], ["--no-such-flag"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint("other.pt", "04_simple_rnn", {"about": {}})
    ru.save_checkpoint("hollow.pt", NAME, {"about": {"vocab": ["<unk>", "a"]}})
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
    parts, _, _ = script.load_parts(str(file), "auto", None, True, 2_000_000, "char", 100)
    assert "".join(parts["test"][1:]) == rd.read_text(file)[int(0.9 * 1_115_394) :]
    flags = ["--dataset", "shakespeare", "--max-chars", "60000", "--hidden-size", "64"]
    flags += ["--epochs", "2", "--lr", "1e-2", "--no-plots", "--max-length", "20"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert metrics["embedded"] is False
    assert metrics["test"]["bits"] < metrics["baselines"]["unigram"] - 0.7


# ---------------------------------------------------------------- extras/10_distributed.py

DISTRIBUTED = ROOT / "extras" / "10_distributed.py"


@pytest.fixture(scope="module")
def extra():
    return load_script("extras/10_distributed")


def own_text(folder):
    text = "".join(f"{n} times {n} is {n * n}, naïve\r\n" for n in range(700))
    (folder / "own.txt").write_bytes(("\ufeff" + text).encode())
    return str(folder / "own.txt"), text.replace("\r\n", "\n")


def test_a_text_on_disk_is_the_text_in_memory(extra, tmp_path, monkeypatch):
    monkeypatch.setattr(extra, "BLOCK", 1000)
    path, text = own_text(tmp_path)
    vocab = ru.Vocab(extra.number_text(path, tmp_path / "ids", 100))
    parts = script.cut(torch.from_numpy(extra.map_file(tmp_path / "ids")))
    in_memory = script.cut(list(text))
    for part in ("train", "val", "test"):
        assert script.decode(parts[part], vocab) == "".join(in_memory[part])
    _, about = script.build(in_memory, "x", "char", 9, 0.0, {})
    assert set(vocab.get_itos()) == set(about["vocab"])


def test_the_vocabulary_of_a_text_on_disk_comes_from_its_training_part(extra, tmp_path):
    text = "d" * 15 + "ab" * 127 + "c" + "d" * 30
    (tmp_path / "own.txt").write_text(text, encoding="utf-8")
    assert extra.number_text(tmp_path / "own.txt", tmp_path / "ids", 1) == ["<unk>", "a", "b"]


def test_a_mapped_text_takes_no_memory(extra, tmp_path):
    with open(tmp_path / "ids", "wb") as file:
        try:
            file.truncate(1 << 41)  # a hole: two terabytes, and no disk
        except OSError:
            pytest.skip("no such files on this disk")
    ids = extra.map_file(tmp_path / "ids")
    assert len(ids) == 1 << 39 and int(ids[-1]) == 0


def test_training_on_a_text_on_disk_learns_and_chapter_10_writes_from_it(extra, tmp_path, capsys):
    path, _ = own_text(tmp_path)
    flags = ["--data", path, "--hidden-size", "16", "--epochs", "2", "--batch-size", "8"]
    metrics = extra.main([*flags, "--lr", "0.02", "--output-dir", str(tmp_path / "out")])
    losses = [row["val_loss"] for row in metrics["history"]]
    assert losses[1] < losses[0] and metrics["processes"] == 1
    model = str(tmp_path / "out" / "model.pt")
    (text,) = script.main(["--path", model, "--prompt", "7 times", "--max-length", "9"])["samples"]
    assert text.startswith("7 times") and len(text) == 16


def test_the_extra_carries_the_state_detached_as_chapter_10_does(extra, monkeypatch, capsys):
    monkeypatch.setattr(extra.chapter, "RESTART", 0.0)
    monkeypatch.setattr(extra, "STEPS", 5)
    data = {"train": random_ids(62), "val": random_ids(20)}
    model, seen = tiny_model(), []
    model.register_forward_pre_hook(lambda module, given: seen.append((module.training, given)))
    history, best = extra.train(model, data, torch.device("cpu"), 1, 0.01, 2, False)
    states = [given[1] for training, given in seen if training]
    assert states[0] is None and len(states) == 6
    assert all(not part.requires_grad and part.any() for state in states[1:] for part in state)
    assert best["epoch"] == 1 and best["loss"] == history[0]["val_loss"]


def test_bfloat16_trains_close_to_float32_or_is_refused(extra, tmp_path, capsys):
    path, _ = own_text(tmp_path)
    flags = ["--data", path, "--hidden-size", "16", "--epochs", "1", "--batch-size", "8"]
    exact = extra.main([*flags, "--output-dir", str(tmp_path)])["history"][0]["train_loss"]
    try:
        rounded = extra.main([*flags, "--bf16", "--output-dir", str(tmp_path)])
    except ru.UserError as error:
        pytest.skip(str(error))
    assert 0 < abs(rounded["history"][0]["train_loss"] - exact) < 0.01


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, None])
def test_bf16_is_refused_where_the_state_has_another_type(extra, dtype):
    """cuDNN runs recurrent layers in float16 whatever was asked for (issue 16, point 14)."""

    def model(inputs):
        if dtype is None:
            raise RuntimeError("could not create a primitive descriptor")
        return None, (torch.zeros(1, dtype=dtype), None)

    with pytest.raises(ru.UserError, match=r"--bf16: the LSTM computes .* on this cpu"):
        extra.require_bfloat16(model, torch.device("cpu"))


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (None, ["own.txt", "No such file"]),
        (b"abc\xff\xfe" * 999, ["own.txt", "UTF-8"]),
        (b"abc", ["own.txt", "give more text"]),
        (b"", ["own.txt", "give more text"]),
    ],
)
def test_bad_texts_of_the_extra_are_one_line(
    extra, tmp_path, content, fragments, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("own.txt").write_bytes(content)
    assert_one_line_error(run_here(extra, ["--data", "own.txt"], capsys), *fragments)


def torchrun(*flags, cwd):
    """Run the extra in two processes that talk through 127.0.0.1 alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command = [sys.executable, *launcher, "--master-port", port, str(DISTRIBUTED), *flags]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    variables = {"GLOO_SOCKET_IFNAME": loopback, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, encoding="utf-8", capture_output=True,
        timeout=180,
    )  # fmt: skip


needs_torchrun = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(),
    reason="torchrun needs a PyTorch with libuv, which on Windows it has not",
)


@needs_torchrun
def test_two_processes_learn_what_one_does(extra, tmp_path):
    path, _ = own_text(tmp_path)
    flags = ["--data", path, "--hidden-size", "16", "--epochs", "3", "--batch-size", "8"]
    alone = extra.main([*flags, "--output-dir", str(tmp_path / "alone")])
    two = torchrun(*flags, "--output-dir", "together", cwd=tmp_path)
    assert two.returncode == 0 and "Warning" not in two.stderr, two.stderr
    assert two.stdout.count("chosen on validation") == 1  # process 0 alone prints
    together = json.loads((tmp_path / "together" / "metrics.json").read_text())
    assert together["processes"] == 2
    for row, same in zip(together["history"], alone["history"]):
        assert row["val_loss"] == pytest.approx(same["val_loss"], abs=1e-4)
    assert together["test"]["loss"] == pytest.approx(alone["test"]["loss"], abs=1e-4)
    weights = [
        ru.load_checkpoint(tmp_path / folder / "model.pt", NAME)["best"]["weights"]
        for folder in ("alone", "together")
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-3, rtol=0)


@needs_torchrun
@pytest.mark.slow
def test_a_mistake_in_two_processes_is_named(tmp_path):
    two = torchrun("--data", "absent.txt", "--batch-size", "7", cwd=tmp_path)
    assert two.returncode != 0 and "error: --batch-size 7: no multiple of 2" in two.stderr
