"""rnn_baselines: scores, and baselines whose own settings are chosen on validation."""

from __future__ import annotations

import collections
import math
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge

import rnn_baselines as rb

DATA = Path(os.environ.get("RNN_DATA_DIR", "data"))


def count_vectorizer(ngram_range=(1, 1)):
    return CountVectorizer(ngram_range=ngram_range, token_pattern="[^ ]+")


# ---------------------------------------------------------------- classification


def test_classification_scores_by_hand():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    targets = torch.tensor([0, 1, 2, 0])
    scores = rb.classification_scores(logits, targets)
    loss = [math.log(sum(math.exp(z) for z in row)) - row[t] for row, t in zip(logits, targets)]
    assert scores["loss"] == pytest.approx(float(sum(loss)) / 4)
    assert scores["accuracy"] == 0.5
    # F1 is 1/2 for label 0 (1 right, 2 predicted, 2 wanted), 2/3 for label 1, 0 for label 2.
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert set(scores) == {"loss", "accuracy", "macro_f1"}
    assert all(type(value) is float for value in scores.values())


def test_the_majority_is_that_of_train_and_not_that_of_test():
    rows = [("w x", label) for label in ("a", "a", "b")]
    test = [("w x", label) for label in ("b", "b", "b", "a")]
    accuracies, right = rb.classifier_baselines({"train": rows, "val": test, "test": test}, {})
    assert accuracies == {"majority label": 0.25} and right.tolist() == [False] * 3 + [True]
    none_right = {"train": rows, "val": test[:3], "test": test[:3]}
    assert rb.classifier_baselines(none_right, {})[0] == {"majority label": 0.0}


def test_the_baselines_of_a_classifier_are_those_of_each_vectorizer_and_the_last_is_compared():
    splits = {"train": TRAIN, "val": FOLLOWS_WORDS, "test": FOLLOWS_WORDS}
    letters = CountVectorizer(analyzer="char", vocabulary=["w"])  # w is in every text
    found, right = rb.classifier_baselines(splits, {"w": letters, "words": count_vectorizer()})
    assert found == {"majority label": 1 / 3, "w": 1 / 3, "words": 1.0}
    assert right.tolist() == [True] * 3
    assert rb.classifier_baselines(splits, {"w": letters})[1].tolist() == [False, False, True]


# With a small C the regression gives every text the most frequent label of train, "many"; with a
# large C it follows the words.  So the labels of val decide which C is best.
TRAIN = [("w x", "many")] * 6 + [("w y", "few")] * 2
FOLLOWS_WORDS = [("w y", "few"), ("w y", "few"), ("w x", "many")]
IGNORES_WORDS = [("w y", "many"), ("w y", "many"), ("w x", "many")]


@pytest.mark.parametrize("test_rows", [FOLLOWS_WORDS, IGNORES_WORDS])
@pytest.mark.parametrize(("val_rows", "C"), [(FOLLOWS_WORDS, 10.0), (IGNORES_WORDS, 0.001)])
def test_the_strength_of_the_regression_is_chosen_on_val_and_never_on_test(val_rows, C, test_rows):
    strengths = (0.001, 10.0)
    found = rb.ngram_regression(TRAIN, val_rows, test_rows, count_vectorizer(), strengths)
    right, chosen = found
    assert chosen == C
    # The answers to "w y", "w y" and "w x" follow from C, whatever the labels of test are.
    answers = ["few", "few", "many"] if C == 10.0 else ["many", "many", "many"]
    correct = [answer == label for answer, (_, label) in zip(answers, test_rows)]
    assert right.dtype == bool and right.tolist() == correct


def test_of_equally_good_strengths_the_first_is_taken():
    rows = [("w x", "many")]
    *_, C = rb.ngram_regression(TRAIN, rows, rows, count_vectorizer(), (0.5, 0.1, 2.0))
    assert C == 0.5


def test_the_vectorizer_and_the_regression_see_train_only():
    val_rows = [("valonly y", "few"), ("x", "many")]
    test_rows = [("testonly y", "few"), ("x", "many")]
    vectorizer = count_vectorizer()
    rb.ngram_regression(TRAIN, val_rows, test_rows, vectorizer)
    assert set(vectorizer.vocabulary_) == {"w", "x", "y"}
    # A word whose label only val (or test) could teach stays unknown: "z" is always "few" there.
    hidden = [("z", "few")] * 50
    right, _ = rb.ngram_regression(TRAIN, hidden, hidden, count_vectorizer())
    assert not right.any()


def test_tokens_and_texts_are_read_alike_and_any_label_will_do():
    texts = [("a b", 0), ("b c", 1), ("a ?", 0), ("c ?", 1)] * 3
    tokens = [(tuple(text.split()), label) for text, label in texts]
    from_texts = rb.ngram_regression(texts, texts, texts, count_vectorizer())
    from_tokens = rb.ngram_regression(tokens, tokens, tokens, count_vectorizer())
    assert from_texts[0].all() and from_tokens[0].all()
    assert from_texts[1] == from_tokens[1]
    letters = CountVectorizer(analyzer="char", preprocessor="^{}$".format)
    rb.ngram_regression(texts, texts, texts, letters)
    assert "^" in letters.vocabulary_ and "$" in letters.vocabulary_


def test_one_label_is_refused():
    rows = [("a b", 0), ("b c", 0)]
    with pytest.raises(ValueError, match="class"):
        rb.ngram_regression(rows, rows, rows, count_vectorizer())


# ---------------------------------------------------------------- intervals


def test_paired_interval_by_hand():
    # 100 examples: the first alone is right on 12, the other alone on 4.
    right = np.array([True] * 12 + [False] * 4 + [True] * 84)
    other = np.array([False] * 12 + [True] * 4 + [True] * 84)
    gain, low, high = rb.paired_interval(right, other)
    # d^2 has the mean 0.16, d the mean 0.08.
    margin = 1.96 * math.sqrt(0.16 - 0.08**2) / 10
    assert (gain, low, high) == pytest.approx((0.08, 0.08 - margin, 0.08 + margin))
    assert low > 0  # a gain
    assert rb.paired_interval(other, right) == pytest.approx((-gain, -high, -low))


def test_paired_interval_covers_the_difference_and_narrows_for_agreeing_models():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(500, generator=generator) < 0.9
    second = first.clone()
    second[:10] = False
    gain, low, high = rb.paired_interval(first, second)
    assert gain == pytest.approx(float(first.float().mean() - second.float().mean()))
    assert 0 <= low < gain < high < 0.04
    other = torch.rand(500, generator=generator) < 0.9  # errs on other questions
    _, low_other, high_other = rb.paired_interval(first, other)
    assert high_other - low_other > 2 * (high - low)
    assert rb.paired_interval(first, first) == (0.0, 0.0, 0.0)


def test_95_of_100_intervals_hold_the_true_difference():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        # Models that agree on seven texts in ten; the first has 0.2, the other 0.1 for itself.
        draw = rng.random(400)
        _, low, high = rb.paired_interval((draw < 0.9), (draw < 0.7) | (draw > 0.9))
        held += low <= 0.1 <= high
    assert 930 <= held <= 970


@pytest.mark.parametrize("shape", [1, 4, (3, 1)])
def test_paired_interval_refuses_answers_to_other_questions(shape):
    other = np.ones(shape, dtype=bool)
    with pytest.raises(ValueError, match="pair"):
        rb.paired_interval(np.ones(3, dtype=bool), other)


# ---------------------------------------------------------------- forecasts


def test_scores_on_a_straight_line():
    truth = 3.0 * np.arange(1, 41)[:, None] + 3.0 * np.arange(1, 3)  # (40, 2)
    persistence = np.repeat(truth[:, :1] - 3, 2, axis=1)
    scores = rb.forecast_scores({"persistence": persistence, "exact": truth}, truth, 6.0)
    row = scores["persistence"]
    assert row["mae"] == row["rmse"] == 3 and row["mase"] == 0.5 and row["skill"] == row["t"] == 0
    assert row["by_horizon"]["rmse"] == [3, 6] and row["by_horizon"]["mase"] == [0.5, 1]
    assert row["by_horizon"]["mae"] == [3, 6]
    assert scores["exact"]["skill"] == 1 and scores["exact"]["by_horizon"]["skill"] == [1, 1]


def test_rmse_punishes_a_large_error_and_mae_does_not():
    truth = np.zeros((4, 1))
    forecasts = {"persistence": np.ones((4, 1)), "outlier": np.array([[0.0], [0.0], [0.0], [4.0]])}
    scores = rb.forecast_scores(forecasts, truth, 2.0)["outlier"]
    assert scores["mae"] == 1 and scores["rmse"] == 2 and scores["mase"] == 0.5
    assert scores["skill"] == -1


def test_where_persistence_makes_no_error_there_is_no_skill():
    truth = np.ones((5, 2))
    forecasts = {"persistence": truth, "other": truth + 1}
    scores = rb.forecast_scores(forecasts, truth, 1.0)
    assert scores["other"]["skill"] == 0 and scores["persistence"]["skill"] == 0
    assert scores["persistence"]["t"] == 0


def test_t_tells_luck_from_skill():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 1))
    guesses = {"persistence": truth + rng.normal(size=(400, 1))}
    guesses["equal"] = truth + rng.normal(size=(400, 1))
    guesses["better"] = truth + 0.5 * rng.normal(size=(400, 1))
    guesses["worse"] = truth + 2 * rng.normal(size=(400, 1))
    scores = rb.forecast_scores(guesses, truth, 1.0)
    assert abs(scores["equal"]["t"]) < 2 < 5 < scores["better"]["t"]
    assert scores["worse"]["t"] < -5


def windows_of(values, length, horizon):
    windows = np.lib.stride_tricks.sliding_window_view(values, length + horizon)
    return windows[:, :length], windows[:, length:]


def test_linear_forecast_continues_a_sum_of_waves():
    t = np.arange(600)
    waves = 0.01 * t + np.sin(2 * np.pi * t / 24) + np.sin(2 * np.pi * t / 12.42)
    train = windows_of(waves[:400], 40, 20)
    val = windows_of(waves[400:500], 40, 20)
    inputs, truth = windows_of(waves[500:], 40, 20)
    np.testing.assert_allclose(rb.linear_forecast(train, val, inputs), truth, atol=1e-3)


def noisy_windows(seed, count, noise, horizon=2):
    """Targets that are the last column of the inputs, and noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, 6))
    targets = inputs[:, -1:] * np.ones((1, horizon)) + noise * rng.normal(size=(count, horizon))
    return inputs, targets


@pytest.mark.parametrize("penalties", [(1e-6, 1e4), (1e4, 1e-6)])
def test_the_penalty_is_chosen_on_val_for_each_step(penalties):
    train = noisy_windows(0, 40, 0.1)
    inputs, _ = noisy_windows(1, 15, 0.1)
    val_inputs, val_targets = noisy_windows(2, 20, 0.1)
    # One step ahead val is like train.  Two steps ahead its targets are constant there, so that
    # the large penalty, which forecasts the mean, is the better one.
    val_targets = val_targets.copy()
    val_targets[:, 1] = train[1][:, 1].mean()
    forecasts = rb.linear_forecast(train, (val_inputs, val_targets), inputs, penalties)
    small = Ridge(alpha=1e-6).fit(*train).predict(inputs)
    large = Ridge(alpha=1e4).fit(*train).predict(inputs)
    np.testing.assert_allclose(forecasts[:, 0], small[:, 0])
    np.testing.assert_allclose(forecasts[:, 1], large[:, 1])


def test_of_equally_good_penalties_the_first_is_used():
    pair, zero = np.array([[1.0], [-1.0]]), np.zeros((1, 1))
    forecast = rb.linear_forecast((pair, pair), (zero, zero), np.ones((1, 1)), (1e-6, 1e4))
    assert forecast == pytest.approx(1.0, abs=1e-3)  # the large penalty would forecast about 0


def test_naive_forecasts_read_nothing_after_now():
    values = np.arange(40.0)  # value t stands at step t
    forecasts = rb.naive_forecasts(values, np.array([20]), 10, season=4)
    assert forecasts["persistence"].tolist() == [[20] * 10]
    assert forecasts["seasonal naive"].tolist() == [[17, 18, 19, 20, 17, 18, 19, 20, 17, 18]]


def test_a_linear_forecast_depends_on_its_own_window_only():
    train, val = noisy_windows(0, 40, 0.5), noisy_windows(1, 20, 0.5)
    inputs, _ = noisy_windows(2, 10, 0.5)
    together = rb.linear_forecast(train, val, inputs)
    changed = inputs.copy()
    changed[5:] += 100
    np.testing.assert_array_equal(rb.linear_forecast(train, val, changed)[:5], together[:5])
    alone = rb.linear_forecast(train, val, inputs[3:4])
    np.testing.assert_allclose(alone, together[3:4])


@pytest.mark.parametrize("horizon", [1, 3])
def test_linear_forecast_takes_tensors_with_several_features(horizon):
    train = noisy_windows(0, 40, 0.1, horizon)
    val = noisy_windows(1, 20, 0.1, horizon)
    inputs, truth = noisy_windows(2, 10, 0.1, horizon)
    flat = rb.linear_forecast(train, val, inputs)
    assert flat.shape == truth.shape and np.abs(flat - truth).mean() < 0.2
    deep = [torch.tensor(x).reshape(-1, 3, 2) for x in (train[0], val[0], inputs)]  # (N, T, I)
    train, val = (deep[0], torch.tensor(train[1])), (deep[1], torch.tensor(val[1]))
    np.testing.assert_allclose(rb.linear_forecast(train, val, deep[2]), flat)


# ---------------------------------------------------------------- BLEU


def random_sentences(seed, count, longest=12):
    rng = random.Random(seed)
    return [tuple(rng.choices("abcdef", k=rng.randint(1, longest))) for _ in range(count)]


def test_bleu_equals_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    for seed in range(6):
        references = random_sentences(seed, 20)
        outputs = [
            tuple(w for w in reference if random.Random(f"{seed}{i}{w}").random() < 0.8) or ("x",)
            for i, reference in enumerate(references)
        ]
        outputs[0] = (*references[0], *references[0])  # too long, n-grams counted too often
        theirs = sacrebleu.corpus_bleu(
            [" ".join(o) for o in outputs], [[" ".join(r) for r in references]],
            tokenize="none", smooth_method="none", force=True,
        ).score  # fmt: skip
        assert theirs > 5
        assert rb.bleu(outputs, references) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_bleu_of_short_texts_equals_sacrebleu_of_a_lower_order(longest):
    sacrebleu = pytest.importorskip("sacrebleu")
    metric = sacrebleu.metrics.BLEU(
        max_ngram_order=longest, tokenize="none", smooth_method="none", force=True
    )
    for seed in range(4):
        references = random_sentences(seed, 30, longest)
        assert max(map(len, references)) == longest
        outputs = [r if i % 3 else (*r[:-1], "z") for i, r in enumerate(references)]
        theirs = metric.corpus_score(
            [" ".join(o) for o in outputs], [[" ".join(r) for r in references]]
        )
        assert 0 < theirs.score < 100
        assert rb.bleu(outputs, references) == pytest.approx(theirs.score, abs=1e-6)


def test_bleu_by_hand():
    # 5 words of which 4 are right, 2 of 4 pairs, 1 of 3 triples, 0 of 2 quadruples
    assert rb.bleu([tuple("abcxd")], [tuple("abcde")]) == 0.0
    assert rb.bleu([tuple("abcde")], [tuple("abcde")]) == pytest.approx(100)
    # all right, but 4 words for 5: exp(1 - 5/4)
    assert rb.bleu([tuple("abcd")], [tuple("abcde")]) == pytest.approx(100 * math.exp(-0.25))
    # clipping: of "a a a a a" only one "a" counts
    assert rb.bleu([tuple("aaaaa")], [tuple("abcde")]) == 0.0
    assert rb.bleu([()], [tuple("abcde")]) == 0.0


def test_the_example_of_the_docstring():
    outputs, references = [tuple("abcx")], [tuple("abcd")]
    assert rb.bleu(outputs, references) == 0
    # Beside a second, perfect sentence: right groups of all groups, summed before dividing.
    outputs.append(tuple("efgh"))
    references.append(tuple("efgh"))
    precisions = [(3 + 4) / 8, (2 + 3) / 6, (1 + 2) / 4, (0 + 1) / 2]
    assert rb.bleu(outputs, references) == pytest.approx(100 * math.prod(precisions) ** 0.25)


def test_short_texts_use_the_longest_groups_that_the_references_have():
    assert rb.bleu([("a",)], [("a",)]) == 100
    assert rb.bleu([("a",), ("x",)], [("a",), ("b",)]) == pytest.approx(50)
    # Two words: p_1 = 3/4 and p_2 = 1/2, and the root is a square root.
    outputs, references = [("a", "b"), ("a", "x")], [("a", "b"), ("a", "c")]
    assert rb.bleu(outputs, references) == pytest.approx(100 * math.sqrt(3 / 4 * 1 / 2))
    # It is the references that count, not the outputs.
    assert rb.bleu([tuple("abxxxxx")], [("a", "b")]) == pytest.approx(
        100 * math.sqrt(2 / 7 * 1 / 6)
    )
    # The brevity penalty holds as well.
    assert rb.bleu([("a",), ()], [("a",), ("b",)]) == pytest.approx(100 * math.exp(1 - 2 / 1))


def test_bleu_of_the_references_is_100():
    for longest in range(1, 9):
        for seed in range(5):
            references = random_sentences(seed, 5, longest)
            assert rb.bleu(references, references) == 100
            assert rb.bleu([*references, ()], [*references, ()]) == 100


def test_bleu_refuses_what_it_cannot_compare():
    for outputs, references in [
        ([("a",)], [("a",), ("b",)]),
        ([("a",), ("b",)], [("a",)]),
        ([()], [()]),
        ([], []),
    ]:
        with pytest.raises(ValueError):
            rb.bleu(outputs, references)


# ---------------------------------------------------------------- sequences


def test_sequence_scores_count_wanted_and_extra_tokens():
    outputs, wanted = [("1", "2", "3"), ("1",)], [("1", "2"), ("1",)]
    scores = {"token_accuracy": 1.0, "exact_match": 0.5, "bleu": rb.bleu(outputs, wanted)}
    assert rb.sequence_scores(outputs, wanted) == scores
    nothing = rb.sequence_scores([()], [("1", "2")])
    assert nothing == {"token_accuracy": 0.0, "exact_match": 0.0, "bleu": 0.0}
    shifted = rb.sequence_scores([("x", "1", "2")], [("1", "2")])
    assert shifted["token_accuracy"] == 0 and shifted["bleu"] > 0
    with pytest.raises(ValueError):
        rb.sequence_scores([("1",)], [("1",), ("2",)])


def test_translation_memory_finds_the_nearest_source():
    train = [(("a", "red", "dog"), ("1",)), (("a", "cat"), ("2",)), (("the", "cow"), ("3",))]
    assert rb.translation_memory(train, [("the", "red", "dog"), ("one", "cow")]) == [("1",), ("3",)]


def test_translation_memory_knows_neighbours_marks_and_single_letters():
    train = [(("a", "b", "?"), ("1",)), (("b", "a", "!"), ("2",))]
    answers = rb.translation_memory(train, [("a", "b"), ("b", "a"), ("!",)])
    assert answers == [("1",), ("2",), ("2",)]


# ---------------------------------------------------------------- n-gram language models


def random_ids(length, vocab_size, seed=0):
    """Indices of which the first are the more frequent ones, as in a text."""
    rng = np.random.default_rng(seed)
    return np.minimum(rng.geometric(0.5, length) - 1, vocab_size - 1)


def discounts_by_hand(counts):
    """D_1, D_2 and D_3 of Chen and Goodman 1999, k / 2 where the formula gives nothing."""
    seen = collections.Counter(counts)
    found = {}
    for k in (1, 2, 3):
        found[k] = k / 2
        if seen[1] and seen[k]:
            Y = seen[1] / (seen[1] + 2 * seen[2])
            discount = k - (k + 1) * Y * seen[k + 1] / seen[k]
            found[k] = discount if discount > 0 else k / 2
    return found


def slow_kneser_ney(train, context, symbol, vocab_size, order):
    """The same model with dictionaries, one probability at a time."""
    p = 1 / vocab_size
    for n in range(1, order + 1):
        grams = [tuple(train[i : i + order]) for i in range(len(train) - order + 1)]
        for _ in range(order - n):
            grams = [gram[1:] for gram in set(grams)]
        counts = collections.Counter(grams)
        discounts = discounts_by_hand(counts.values())
        before = tuple(context[len(context) - n + 1 :]) if n > 1 else ()
        after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == before}
        if after:
            saved = {w: discounts[min(count, 3)] for w, count in after.items()}
            own = after.get(symbol, 0) - saved.get(symbol, 0)
            p = (own + sum(saved.values()) * p) / sum(after.values())
    return p


@pytest.mark.parametrize("length", [120, 600])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ngram_model_equals_the_slow_one_and_sums_to_1(order, length):
    train = random_ids(length, vocab_size=4)
    rest = random_ids(12, vocab_size=4, seed=2)
    ids = np.concatenate([train, rest])
    fast = rb.kneser_ney(ids, len(train), 4, order)
    assert fast.shape == (12,)
    for place in range(len(rest)):
        context = ids[: len(train) + place].tolist()
        slow = [slow_kneser_ney(train.tolist(), context, w, 4, order) for w in range(4)]
        assert sum(slow) == pytest.approx(1)
        assert fast[place] == pytest.approx(slow[rest[place]])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("text", [[0, 1] * 30, [0] * 40, list(range(5)) * 9, None])
def test_the_probabilities_of_all_symbols_sum_to_1(text, order):
    train = np.array(text if text else random_ids(300, vocab_size=5))
    total = 0.0
    for symbol in range(5):
        ids = np.append(train, symbol)
        total += rb.kneser_ney(ids, len(train), 5, order)[0]
    assert total == pytest.approx(1)


def test_kneser_ney_of_a_tiny_text_by_hand():
    # a b a b a c: the bigrams ab and ba were seen twice, ac once, so Y = 1 / (1 + 2 * 2) = 1/5,
    # D_1 = 1 - 2/5 * 2/1 = 1/5 and D_2 = 2 - 3/5 * 0/2 = 2.
    # Order 1: a, b and c were each seen in one context: n_1 = 3, Y = 1 and D_1 = 1 - 0 = 1, so
    # that everything is saved and p_1 is uniform, 1/3.
    # After a: b twice and c once; saved = D_2 + D_1 = 11/5.
    text = [0, 1, 0, 1, 0, 2]
    after_a = [rb.kneser_ney(np.array([*text, 0, w]), 6, 3, 2)[1] for w in range(3)]
    by_hand = [(0 + 11 / 5 / 3) / 3, (2 - 2 + 11 / 5 / 3) / 3, (1 - 1 / 5 + 11 / 5 / 3) / 3]
    assert after_a == pytest.approx(by_hand)
    assert by_hand == pytest.approx([11 / 45, 11 / 45, 23 / 45])
    # Nothing was ever seen after c: p_1 decides.
    assert rb.kneser_ney(np.array([*text, 1]), 6, 3, 2)[0] == pytest.approx(1 / 3)


def test_shorter_contexts_count_contexts_and_not_occurrences():
    # 9 stands after 8 only, though often; 5 stands after six different symbols, once each.
    text = [8, 9] * 20 + [0, 5, 1, 5, 2, 5, 3, 5, 4, 5, 6, 5]
    new = len(text)  # after 7, which was never seen
    nine = rb.kneser_ney(np.array([*text, 7, 9]), new, 10, 2)[1]
    five = rb.kneser_ney(np.array([*text, 7, 5]), new, 10, 2)[1]
    assert text.count(9) > 3 * text.count(5) and five > 3 * nine


def test_the_three_discounts_of_chen_and_goodman():
    counts = np.array([1] * 10 + [2] * 5 + [3] * 4 + [4] * 2 + [5] * 7 + [99] * 3)
    # Y = 10 / (10 + 2 * 5) = 1/2
    assert rb._discounts(counts).tolist() == pytest.approx([0, 0.5, 0.8, 2.0])


@pytest.mark.parametrize("counts", ["7", "1", "22", "3", "44", "12222", "123333", "1234444", "911"])
def test_discounts_stay_between_0_and_the_count(counts):
    discounts = rb._discounts(np.array([int(count) for count in counts]))
    assert discounts[0] == 0
    for k in (1, 2, 3):
        assert 0 < discounts[k] <= k


def test_ngram_model_never_says_never():
    ids = np.array([0, 1] * 50 + [0, 0, 2])  # 00 and 2 were never seen
    for order in (1, 2, 3):
        assert (rb.kneser_ney(ids, 100, 3, order) > 0).all()


@pytest.mark.parametrize("order", [1, 2, 4])
def test_ngram_model_counts_nothing_after_start(order):
    ids = random_ids(200, vocab_size=4)
    changed = ids.copy()
    changed[190:] = 3 - changed[190:]
    before = rb.kneser_ney(ids, 150, 4, order)
    np.testing.assert_array_equal(rb.kneser_ney(changed, 150, 4, order)[:40], before[:40])
    np.testing.assert_allclose(rb.kneser_ney(ids[:160], 150, 4, order), before[:10])


def test_an_order_that_does_not_fit_is_refused():
    ids = random_ids(100, vocab_size=4)
    assert rb.kneser_ney(ids, 90, 4, 31).shape == (10,)  # 4 ** 31 = 2 ** 62
    for start, order in ((90, 32), (3, 4), (0, 1)):
        with pytest.raises(ValueError, match="order"):
            rb.kneser_ney(ids, start, 4, order)


# ---------------------------------------------------------------- figures on real data


def test_shakespeare_needs_2_20_bits_a_character_at_order_6():
    path = DATA / "shakespeare" / "input.txt"
    if not path.is_file():
        pytest.skip("Shakespeare is not on this machine")
    codes = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    symbols, ids = np.unique(codes, return_inverse=True)
    p = rb.kneser_ney(ids, len(ids) * 9 // 10, len(symbols), order=6)
    assert -np.log2(p).mean() == pytest.approx(2.197, abs=0.003)


@pytest.mark.slow
def test_trec_reaches_0_89_with_the_strength_chosen_on_validation():
    if not (DATA / "trec" / "TREC.train").is_file():
        pytest.skip("TREC is not on this machine")

    def questions(part):
        lines = (DATA / "trec" / f"TREC.{part}").read_text(encoding="latin-1").splitlines()
        rows = [line.lower().split(" ", 1) for line in lines]
        return [(tuple(re.findall(r"\w+|[^\w\s]", text)), label) for label, text in rows]

    test = [(tokens, label.split(":")[0]) for tokens, label in questions("test")]
    asked = {tokens for tokens, _ in test}
    rows = [(tokens, label) for tokens, label in questions("train") if tokens not in asked]
    random.Random(0).shuffle(rows)
    rows = [(tokens, label.split(":")[0]) for tokens, label in rows]
    vectorizer = count_vectorizer(ngram_range=(1, 2))
    right, _ = rb.ngram_regression(rows[272:], rows[:272], test, vectorizer)
    assert right.shape == (500,) and right.mean() == pytest.approx(0.89, abs=0.01)
