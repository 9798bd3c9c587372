"""The coding exercises, one for each script: does the student's function have the right properties?

`tests/exercises/stubs.py` holds the functions to fill in; those still empty are skipped.  The
checks prove themselves: each must pass on `right_answers.py` and fail on `wrong_answers.py`,
which lie beside it.  Leave both out of what students get, and that proof is skipped.

A check looks at properties, not at the code: any way of writing a function is right that has
them.  None trains, and none takes a second.
"""

from __future__ import annotations

import argparse
import inspect

import rnn_utils as ru

import numpy as np
import pytest
import torch
from exercises import stubs
from helpers import load_script
from torch import nn

close = torch.testing.assert_close


def check_state_norms(state_norms):
    torch.manual_seed(0)
    rnn, inputs = nn.RNN(3, 8, batch_first=True), torch.randn(5, 6, 3)
    norms = torch.as_tensor(state_norms(rnn, inputs)).detach().float()
    assert norms.shape == (6,)
    # h_t is the last state of an RNN that has read t steps and no more.
    ends = [rnn(inputs[:, :t])[1][0] for t in range(1, 7)]  # T tensors (B, H)
    close(norms, torch.stack([h_t.norm(dim=1).mean() for h_t in ends]).detach())
    # W_h orthogonal keeps lengths, half of it halves them: one small push, and then silence.
    # The second row is pushed the other way.  (tanh of a number so small is the number.)
    rnn, inputs = nn.RNN(1, 8, batch_first=True, bias=False), torch.zeros(2, 6, 1)
    inputs[:, 0, 0] = torch.tensor([1e-3, -1e-3])
    for gain in (0.5, 1.0):
        nn.init.orthogonal_(rnn.weight_hh_l0, gain=gain)
        norms = torch.as_tensor(state_norms(rnn, inputs)).detach().float()
        close(norms[1:] / norms[:-1], torch.full((5,), gain), atol=1e-3, rtol=0)


def check_same_sentence_share(same_sentence_share):
    sentences = [torch.tensor(words) for words in ([2, 3, 4], [5, 6, 2], [7, 8, 9], [3, 8])]
    assert same_sentence_share(sentences, 2, [3, 4, 5, 6]) == 1.0
    assert same_sentence_share(sentences, 2, [3, 7, 8, 9]) == 0.25  # 7 follows 2, a sentence on
    assert same_sentence_share(sentences, 9, [3, 2]) == 0.0
    assert same_sentence_share(sentences, 4, [3, 9, 5]) == pytest.approx(1 / 3)
    for word, near in ((8, 3), (2, 7), (5, 2)):  # neither order nor direction counts
        share = same_sentence_share(sentences, word, [near])
        assert share == same_sentence_share(sentences[::-1], near, [word])


def check_persistence_r2(persistence_r2):
    # 2 and 4 are forecast as 1 and 2: squared errors 1 + 4, about their mean 3 they are 1 + 1.
    assert persistence_r2(np.array([1.0, 2.0, 4.0])) == pytest.approx(1 - 5 / 2)
    assert persistence_r2(np.array([0.0, 1.0, 2.0, 3.0, 4.0])) == pytest.approx(1 - 4 / 5)
    noise = np.random.default_rng(0).normal(size=2000)
    # Unrelated steps: the mean errs by the variance, "as before" by twice as much.
    assert persistence_r2(noise) == pytest.approx(-1, abs=0.1)
    assert persistence_r2(noise.cumsum()) > 0.95  # a random walk looks well forecast
    assert persistence_r2(5 - 3 * noise) == pytest.approx(persistence_r2(noise))  # any unit


def check_initialise_with_gain(initialise_with_gain):
    torch.manual_seed(0)
    for layer in (nn.RNN, nn.LSTM, nn.GRU):
        rnn = layer(3, 7, num_layers=2)
        before = {name: value.clone() for name, value in rnn.named_parameters()}
        for gain in (0.5, 3.0):
            initialise_with_gain(rnn, 7, gain)
            for name, value in rnn.named_parameters():
                if name.startswith("weight_ih"):
                    assert torch.equal(value, before[name]), f"{name} has changed"
                elif name.startswith("bias"):
                    assert not value.any(), f"{name} is not zero"
                else:
                    for gate in value.detach().split(7):
                        # W W^T = gain^2 I
                        close(gate @ gate.T, gain**2 * torch.eye(7), atol=1e-4, rtol=0)
                assert value.requires_grad  # it is still to be trained


def check_recall_batch_of_update(recall_batch_of_update):
    script = load_script("05_lstm_sentiment")
    generator, delays = torch.Generator().manual_seed(0), []
    for update in range(8):
        inputs, targets = recall_batch_of_update(update, 5, generator)
        assert inputs.shape == (5, inputs.shape[1], 2 * script.NUM_SYMBOLS)
        symbols = inputs.argmax(dim=2)  # (B, delay + 1)
        assert torch.equal(symbols[:, 0], targets)  # the first one is to be recalled
        assert bool((symbols[:, 1:] >= script.NUM_SYMBOLS).all())  # the others are not
        delays.append(inputs.shape[1] - 1)
    # Any four updates in a row meet all four delays.
    assert all(sorted(delays[k : k + 4]) == sorted(script.DELAYS) for k in range(5)), delays


def check_coverage_by_step(coverage_by_step):
    rng, spread = np.random.default_rng(0), np.array([1.0, 3.0, 10.0])  # errors grow with distance
    calibration, test = (rng.normal(size=(4000, 3)) * spread for _ in range(2))
    shares = np.asarray(coverage_by_step(calibration, test))
    assert shares.shape == (3,)
    assert shares == pytest.approx(0.9, abs=0.03)
    assert np.asarray(coverage_by_step(test, test)) == pytest.approx(0.9, abs=1e-3)
    # Errors on a stretch learned by heart are too small: the intervals come out too narrow.
    # Half of +-1.645 standard deviations holds 58.9 % of a normal distribution.
    assert np.asarray(coverage_by_step(calibration / 2, test)) == pytest.approx(0.589, abs=0.03)
    # The centre need not be 0: a forecast may be too low throughout.
    assert np.asarray(coverage_by_step(calibration + 50, test + 50)) == pytest.approx(shares)


def check_known_group_share(known_group_share):
    script = load_script("07_bidirectional_rnn")
    assert known_group_share("town", ["town"]) == 1.0
    assert known_group_share("town", ["qqq", "zzz"]) == 0.0
    assert known_group_share("cat", ["concat"]) == pytest.approx(3 / 5)  # cat at> cat>, no <ca
    words = ["louisville", "nashville", "cat", "cattle", "at", "seat", "aaaa"]
    rows = script.describe_words(words, ru.Vocab.build([words]))
    groups = [set(row[1:].tolist()) - {0} for row in rows]  # as the script numbers them
    for row, word in enumerate(words):
        known = set().union(*groups[:row])
        share = len(groups[row] & known) / len(groups[row])
        assert known_group_share(word, words[:row]) == pytest.approx(share), word


def check_encode_reversed(encode_reversed):
    script = load_script("08_seq2seq_basic")
    torch.manual_seed(0)
    settings = argparse.Namespace(embedding_size=5, hidden_size=6, dropout=0.0)
    model = script.Seq2Seq(12, 12, settings).eval()
    sources, lengths = torch.randint(4, 12, (3, 7)), torch.full((3,), 7)
    backwards = torch.tensor([row[::-1] for row in sources.tolist()])
    wanted = model.encode(backwards, lengths)
    wider = nn.functional.pad(sources, (0, 2))  # with padding behind the last token
    for inputs in (sources, wider):
        for part, expected in zip(encode_reversed(model, inputs, lengths), wanted):
            assert part.shape == (1, 3, 6)
            close(part, expected)
    assert torch.equal(wider[:, :7], sources)  # what was handed in is as it was


def check_cosine_scores(cosine_scores):
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    scores = cosine_scores(queries, keys, 2.0)
    assert scores.shape == (2, 3, 5)
    for b, t, s in ((0, 0, 0), (1, 2, 4), (0, 1, 3)):
        cosine = nn.functional.cosine_similarity(queries[b, t], keys[b, s], dim=0)
        close(scores[b, t, s], 2 * cosine)
    close(cosine_scores(7 * queries, 0.1 * keys, 2.0), scores)  # lengths do not count
    close(cosine_scores(queries, queries, 3.0).diagonal(dim1=1, dim2=2), torch.full((2, 3), 3.0))
    keys[0, 1] = 0.0
    assert bool((cosine_scores(queries, keys, 2.0)[0, :, 1] == 0).all())


def check_penalise_repeats(penalise_repeats):
    torch.manual_seed(0)
    logits = torch.randn(8)  # positive and negative ones
    before, written = logits.clone(), [7] + [0] * 20 + [2, 5] * 15  # 7 is the 51st from the end
    changed = penalise_repeats(logits, written, 1.5)
    assert torch.equal(logits, before), "the logits handed in have changed"
    wanted = torch.tensor([1.5, 0, 1.5, 0, 0, 1.5, 0, 0])
    close(before - changed, wanted)
    # For probabilities: the odds of a repeated symbol against a new one fall by exp(penalty).
    odds = [(p[2] / p[3]).log() for p in (before.softmax(dim=0), changed.softmax(dim=0))]
    close(odds[0] - odds[1], torch.tensor(1.5))
    assert torch.equal(penalise_repeats(logits, written, 0.0), before)
    assert torch.equal(penalise_repeats(logits, [], 1.5), before)


CHECKS = [  # one for each script, in their order
    check_state_norms,
    check_same_sentence_share,
    check_persistence_r2,
    check_initialise_with_gain,
    check_recall_batch_of_update,
    check_coverage_by_step,
    check_known_group_share,
    check_encode_reversed,
    check_cosine_scores,
    check_penalise_repeats,
]
NAMES = [check.__name__[len("check_") :] for check in CHECKS]
IDS = [f"{number:02d}-{name}" for number, name in enumerate(NAMES, start=1)]
each_exercise = pytest.mark.parametrize(("name", "check"), list(zip(NAMES, CHECKS)), ids=IDS)


@each_exercise
def test_students_answer(name, check):
    """The function in the stubs, once it is filled in."""
    try:
        check(getattr(stubs, name))
    except NotImplementedError:
        pytest.skip(f"{name} in tests/exercises/stubs.py is still to be written")


@each_exercise
def test_check_passes_on_the_right_answer(name, check):
    answers = pytest.importorskip("exercises.right_answers")
    check(getattr(answers, name))


@each_exercise
def test_check_fails_on_the_wrong_answer(name, check):
    answers = pytest.importorskip("exercises.wrong_answers")
    with pytest.raises(AssertionError):
        check(getattr(answers, name))


def test_stubs_and_answers_have_the_same_functions_with_the_same_arguments():
    for module in ("right_answers", "wrong_answers"):
        answers = pytest.importorskip(f"exercises.{module}")
        for name in NAMES:
            ours, theirs = (inspect.signature(getattr(m, name)) for m in (answers, stubs))
            assert list(ours.parameters) == list(theirs.parameters), (module, name)
