"""The coding exercises: one function for each script, to be filled in.

Replace the `raise NotImplementedError` of a function by your own code, and run, in the folder
of README.md,

    python -m pytest tests/test_exercises.py -v

A function that is still empty is skipped.  One that is filled in passes or fails, and the
message of a failure says which property does not hold.

Some exercises train for minutes.  Here is what can be tested without: the function that
the exercise changes, or one that measures what it asks about.  Each docstring says which.
What is in a script may be used: `load_script("05_lstm_sentiment").memory_cells`, after
`from helpers import load_script`.

Letters of the shapes, as in the scripts: B batch, T time, S source time, I features, H hidden,
V vocabulary, N and M examples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def state_norms(rnn: nn.RNN, inputs: torch.Tensor) -> torch.Tensor:
    """How long is the state after each step?  inputs (B, T, I) -> norms (T,).

    01_sequence_basics, exercise 4, which asks for the norm of h after each step of a new
    network.  `rnn` has one layer and `batch_first=True`.  Entry t is the mean over the batch
    of the Euclidean norm of h_t.
    """
    raise NotImplementedError


def same_sentence_share(sentences: list[torch.Tensor], word: int, neighbours: list[int]) -> float:
    """Which share of `neighbours` is in one sentence with `word`, at least once?

    In the spirit of 02_text_preprocessing, exercise 4: it tells neighbours from the same
    sentences from neighbours of the same kind, by a number.  `sentences` are tensors (T_i,) of
    word indices, `word` and `neighbours` (one or more) are indices.
    """
    raise NotImplementedError


def persistence_r2(values: np.ndarray) -> float:
    """R^2 of the forecast "as the step before" for a series (T,), over its T - 1 last values.

    03_time_series_basics, exercise 4, which hands prices and then returns to
    `compare_with_persistence`.  R^2 = 1 - sum (y_t - forecast_t)^2 / sum (y_t - mean of y)^2,
    with y the T - 1 values that are forecast.
    """
    raise NotImplementedError


def initialise_with_gain(rnn: nn.Module, hidden_size: int, gain: float) -> None:
    """Make every recurrent matrix `gain` times an orthogonal one, every bias 0, in place.

    04_simple_rnn, exercise 4: `orthogonal_` with a gain, for PyTorch's own layers.  `rnn` is an
    nn.RNN, nn.LSTM or nn.GRU of any number of layers.  An LSTM stacks 4 matrices (H, H) in one
    parameter, a GRU 3, and each of them is to be orthogonal by itself.  The input weights stay
    as they are.
    """
    raise NotImplementedError


def recall_batch(delay: int, batch_size: int, generator: torch.Generator):
    """A batch of the memory task: inputs (B, delay + 1, 16) and targets (B,).

    05_lstm_sentiment, exercise 4.  There are 16 symbols, one-hot, as float.  The first step shows
    one of the symbols 0 to 7, which is the target.  Then come `delay` symbols from 8 to 15, which
    say nothing about it.  All are drawn at random by the generator, each alike.
    """
    raise NotImplementedError


def coverage_by_step(calibration_errors: np.ndarray, test_errors: np.ndarray) -> np.ndarray:
    """Which share of the test errors lies within the 90 % interval, for each step ahead?

    In the spirit of 06_gru_time_series, exercise 4, which calibrates on the wrong stretch.
    calibration_errors (N, H) and test_errors (M, H), here with H steps ahead, -> shares (H,).
    The interval of a step reaches from the 5 % to the 95 % quantile of the calibration errors
    of that step, both ends included.
    """
    raise NotImplementedError


def states_that_read_all(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Of each direction, the state that has read the whole text.

    07_bidirectional_rnn, exercise 4, in place of the maximum in `TextClassifier.forward`.
    states (B, T, 2 H) are those of a BidirectionalLSTM, the forward half first; lengths (B,)
    -> (B, 2 H), the forward half first.
    """
    raise NotImplementedError


def scheduled_sampling(
    model: nn.Module,
    sources: torch.Tensor,
    lengths: torch.Tensor,
    targets: torch.Tensor,
    share: float,
) -> torch.Tensor:
    """As `Seq2Seq.forward`, but the decoder sometimes reads its own tokens: logits (B, T, V).

    08_seq2seq_basic, exercise 4.  `model` is the script's Seq2Seq; targets (B, T + 1) begin
    with <bos>, which is always read first.  At each step after it, and for each row, toss a coin:
    with probability `share` the decoder reads the token to which it has just given the highest
    score, else the right one.  With 0 this is teacher forcing, with 1 greedy decoding.
    """
    raise NotImplementedError


def cosine_scores(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    """How well does each position answer?  (B, T, H), (B, S, H) -> scores (B, T, S).

    09_attention_mechanism, exercise 4, for `Attention.scores`: score = scale * cosine of the
    angle between query and key.  The lengths of both no longer count.  A key or query of zeros
    scores 0, not NaN.
    """
    raise NotImplementedError


def penalise_repeats(
    logits: torch.Tensor, written: list[int], penalty: float, space: int
) -> torch.Tensor:
    """Make what was written lately less likely: logits (V,) -> new logits (V,).

    10_text_generation, exercise 4, before `next_probabilities` makes probabilities of them.
    Subtract `penalty` from the logit of each symbol that is among the last 50 of
    `written`, once, however often it is there.  The symbol `space` is spared.  The logits handed
    in stay as they are.
    """
    raise NotImplementedError
