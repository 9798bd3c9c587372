"""A wrong answer for each stub, of the kind that looks right; each check must catch its own.

The comment above each says what is wrong with it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


# The norm of the mean state, in which states of opposite sign cancel, for the mean of the norms.
def state_norms(rnn: nn.RNN, inputs: torch.Tensor) -> torch.Tensor:
    states, _ = rnn(inputs)  # (B, T, H)
    return states.mean(dim=0).norm(dim=1)


# One long text: the end of a sentence becomes a neighbour of the beginning of the next.
def same_sentence_share(sentences: list[torch.Tensor], word: int, neighbours: list[int]) -> float:
    flat = torch.cat(sentences).tolist()
    places = [place for place, index in enumerate(flat) if index == word]
    company = {near for place in places for near in flat[max(0, place - 10) : place + 11]}
    return sum(near in company for near in neighbours) / len(neighbours)


# The square of the correlation, which forgives a forecast a wrong level and a wrong scale.
def persistence_r2(values: np.ndarray) -> float:
    return float(np.corrcoef(values[:-1], values[1:])[0, 1] ** 2)


# The stack of an LSTM's four matrices as one: its columns are orthogonal, its gates are not.
@torch.no_grad()
def initialise_with_gain(rnn: nn.Module, hidden_size: int, gain: float) -> None:
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter, gain=gain)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)


# The other symbols come from the whole alphabet, so the answer can be shown again later.
def recall_batch(delay: int, batch_size: int, generator: torch.Generator):
    symbols = torch.randint(16, (batch_size, delay + 1), generator=generator)
    symbols[:, 0] %= 8
    return F.one_hot(symbols, 16).float(), symbols[:, 0]


# One interval for all steps: too wide for the near ones, too narrow for the far ones.
def coverage_by_step(calibration_errors: np.ndarray, test_errors: np.ndarray) -> np.ndarray:
    low, high = np.quantile(calibration_errors, [0.05, 0.95])
    return ((low <= test_errors) & (test_errors <= high)).mean(axis=0)


# At the last word the backward half has read one word, not all.
def states_that_read_all(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return states[torch.arange(len(lengths)), lengths - 1]


# Its "own" tokens are those of a pass with the right ones: it never meets its own mistakes.
def scheduled_sampling(
    model: nn.Module,
    sources: torch.Tensor,
    lengths: torch.Tensor,
    targets: torch.Tensor,
    share: float,
) -> torch.Tensor:
    own = model(sources, lengths, targets).argmax(dim=2)[:, :-1]  # (B, T - 1)
    read = targets[:, :-1].clone()
    read[:, 1:] = torch.where(torch.rand(own.shape) < share, own, read[:, 1:])
    return model.decode(read, model.encode(sources, lengths))[0]


# F.normalize takes dim=1 unless told otherwise, and that is time here.
def cosine_scores(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    return scale * F.normalize(queries) @ F.normalize(keys).transpose(1, 2)


# Dividing makes a positive logit smaller, and a negative one larger: those become likelier.
def penalise_repeats(
    logits: torch.Tensor, written: list[int], penalty: float, space: int
) -> torch.Tensor:
    logits = logits.clone()
    recent = list(set(written[-50:]) - {space})
    logits[recent] = logits[recent] / (1 + penalty)
    return logits
