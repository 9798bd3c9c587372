"""The coding exercises, one for each script: does the student's function have the right properties?

`tests/exercises/stubs.py` holds the functions to fill in; those still empty are skipped.  The
checks prove themselves: each must pass on `right_answers.py` and fail on `wrong_answers.py`,
which lie beside it.  Leave both out of what students get, and that proof is skipped.

A check looks at properties, not at the code: any way of writing a function is right that has
them.  None trains, and none takes a second.
"""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
from exercises import stubs
from helpers import ROOT, load_script
from torch import nn

import rnn_utils as ru

SCRIPTS = sorted(ROOT.glob("[01][0-9]_*.py"))
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


def check_recall_batch(recall_batch):
    inputs, targets = recall_batch(20, 2000, torch.Generator().manual_seed(0))
    assert inputs.shape == (2000, 21, 16)  # the symbol, and 20 others
    assert targets.shape == (2000,) and targets.dtype == torch.long
    symbols = inputs.argmax(dim=2)  # (B, T)
    assert torch.equal(inputs, nn.functional.one_hot(symbols, 16).to(inputs)), "not one-hot"
    assert inputs.is_floating_point()  # as a cell reads them
    assert torch.equal(symbols[:, 0], targets), "the first symbol is to be answered"
    assert sorted(targets.unique().tolist()) == list(range(8))
    # The others are of an alphabet of their own, so none of them can be taken for the answer.
    assert sorted(symbols[:, 1:].unique().tolist()) == list(range(8, 16))
    counts = torch.bincount(8 * targets + symbols[:, -1] - 8, minlength=64)
    assert counts.min() > 0, "the other symbols tell something about the answer"
    again, _ = recall_batch(20, 2000, torch.Generator().manual_seed(0))
    other, _ = recall_batch(20, 2000, torch.Generator().manual_seed(1))
    assert torch.equal(again, inputs) and not torch.equal(other, inputs)
    assert recall_batch(3, 7, torch.Generator())[0].shape == (7, 4, 16)


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


def check_states_that_read_all(states_that_read_all):
    script = load_script("07_bidirectional_rnn")
    torch.manual_seed(0)
    lstm = script.BidirectionalLSTM(3, 5)
    inputs, lengths = torch.randn(4, 7, 3), torch.tensor([7, 2, 5, 1])
    summary = states_that_read_all(lstm(inputs, lengths), lengths)
    assert summary.shape == (4, 10)  # 5 numbers of each direction
    for row, length in enumerate(lengths.tolist()):  # each text alone, without padding
        text = inputs[row : row + 1, :length]
        _, (forward, _) = lstm.lstms["0 forward"](text)
        _, (backward, _) = lstm.lstms["0 backward"](text.flip(1))
        close(summary[row], torch.cat([forward[0, 0], backward[0, 0]]))
    wider = nn.functional.pad(inputs, (0, 0, 0, 4))  # more padding changes nothing
    close(states_that_read_all(lstm(wider, lengths), lengths), summary)


def check_scheduled_sampling(scheduled_sampling):
    script = load_script("08_seq2seq_basic")
    torch.manual_seed(0)
    model = script.Seq2Seq(12, 12, hidden_size=16, embedding_size=8)
    nn.init.normal_(model.output.weight)  # answers that differ from step to step
    sources, lengths = torch.randint(4, 12, (40, 6)), torch.full((40,), 6)
    targets = torch.randint(4, 12, (40, 8))
    targets[:, 0] = ru.BOS
    # Never its own token: that is teacher forcing.
    right = scheduled_sampling(model, sources, lengths, targets, 0.0)
    close(right, model(sources, lengths, targets))
    assert right.requires_grad  # it is to be trained
    # Always its own: that is greedy decoding, and it cannot depend on the targets.
    own = scheduled_sampling(model, sources, lengths, targets, 1.0)
    greedy, _ = script.greedy(model, sources, lengths, 7)
    assert own.shape == right.shape == (40, 7, 12)
    steps = greedy.shape[1]  # greedy stops where all rows have written <eos>
    assert torch.equal(own.argmax(dim=2)[:, :steps], greedy), "not what greedy decoding writes"
    # In between: at each step one of the two, and the state goes on from what was read.
    mixed = scheduled_sampling(model, sources, lengths, targets, 0.5)
    state = model.encode(sources, lengths)
    logits, state = model.decode(targets[:, :1], state)  # <bos> is always right
    close(mixed[:, :1], logits)
    num_own = num_different = 0
    for step in range(1, 7):
        teacher, itself = targets[:, step : step + 1], logits.argmax(dim=2)  # (B, 1) each
        forced = model.decode(teacher, state)[0]  # (B, 1, V)
        was_right = (forced - mixed[:, step : step + 1]).abs().amax(dim=(1, 2)) < 1e-4  # (B,)
        read = torch.where(was_right[:, None], teacher, itself)
        logits, state = model.decode(read, state)
        close(mixed[:, step : step + 1], logits, atol=1e-4, rtol=0)
        num_own += int((~was_right).sum())
        num_different += int((teacher != itself).sum())
    assert 0 < num_own < num_different


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
    before = logits.clone()
    written = [7] + [0] * 20 + [2, 5, 6] * 10  # 7 is the 51st from the end
    changed = penalise_repeats(logits, written, 1.5, space=6)
    assert torch.equal(logits, before), "the logits handed in have changed"
    wanted = torch.tensor([1.5, 0, 1.5, 0, 0, 1.5, 0, 0])
    close(before - changed, wanted)
    # For probabilities: the odds of a repeated symbol against a new one fall by exp(penalty).
    odds = [(p[2] / p[3]).log() for p in (before.softmax(dim=0), changed.softmax(dim=0))]
    close(odds[0] - odds[1], torch.tensor(1.5))
    assert torch.equal(penalise_repeats(logits, written, 0.0, space=6), before)
    assert torch.equal(penalise_repeats(logits, [], 1.5, space=6), before)
    assert torch.equal(penalise_repeats(logits, [6, 6], 1.5, space=6), before)


CHECKS = {  # one for each script
    "01-state_norms": check_state_norms,
    "02-same_sentence_share": check_same_sentence_share,
    "03-persistence_r2": check_persistence_r2,
    "04-initialise_with_gain": check_initialise_with_gain,
    "05-recall_batch": check_recall_batch,
    "06-coverage_by_step": check_coverage_by_step,
    "07-states_that_read_all": check_states_that_read_all,
    "08-scheduled_sampling": check_scheduled_sampling,
    "09-cosine_scores": check_cosine_scores,
    "10-penalise_repeats": check_penalise_repeats,
}
NAMES = [name[3:] for name in CHECKS]
each_exercise = pytest.mark.parametrize(
    ("name", "check"), list(zip(NAMES, CHECKS.values())), ids=list(CHECKS)
)


def test_every_script_has_an_exercise_here_and_its_stub_says_which():
    assert [name[:2] for name in CHECKS] == [path.stem[:2] for path in SCRIPTS]
    for name, script in zip(CHECKS, SCRIPTS):
        described = inspect.getdoc(getattr(stubs, name[3:]))
        assert re.search(rf"{script.stem}, exercise [1-5]", described), name


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
