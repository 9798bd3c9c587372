"""A right answer for each stub; not for students.  `tests/test_exercises.py` must pass on these."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def state_norms(rnn: nn.RNN, inputs: torch.Tensor) -> torch.Tensor:
    states, _ = rnn(inputs)  # (B, T, H)
    return states.norm(dim=2).mean(dim=0)  # (T,)


def same_sentence_share(sentences: list[torch.Tensor], word: int, neighbours: list[int]) -> float:
    company = {
        near for text in map(torch.Tensor.tolist, sentences) if word in text for near in text
    }
    return sum(near in company for near in neighbours) / len(neighbours)


def persistence_r2(values: np.ndarray) -> float:
    forecast, truth = values[:-1], values[1:]  # (T - 1,) each
    return float(1 - ((truth - forecast) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


@torch.no_grad()
def initialise_with_gain(rnn: nn.Module, hidden_size: int, gain: float) -> None:
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.split(hidden_size):  # LSTM stacks 4 matrices, GRU 3
                nn.init.orthogonal_(gate, gain=gain)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)


def recall_batch(delay: int, batch_size: int, generator: torch.Generator):
    targets = torch.randint(8, (batch_size,), generator=generator)
    others = torch.randint(8, 16, (batch_size, delay), generator=generator)
    symbols = torch.cat([targets[:, None], others], dim=1)  # (B, delay + 1)
    return F.one_hot(symbols, 16).float(), targets


def coverage_by_step(calibration_errors: np.ndarray, test_errors: np.ndarray) -> np.ndarray:
    low, high = np.quantile(calibration_errors, [0.05, 0.95], axis=0)  # (H,) each
    return ((low <= test_errors) & (test_errors <= high)).mean(axis=0)  # (H,)


def states_that_read_all(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    forward, backward = states.chunk(2, dim=2)  # (B, T, H) each
    rows = torch.arange(len(lengths))
    return torch.cat([forward[rows, lengths - 1], backward[:, 0]], dim=1)


def scheduled_sampling(
    model: nn.Module,
    sources: torch.Tensor,
    lengths: torch.Tensor,
    targets: torch.Tensor,
    share: float,
) -> torch.Tensor:
    state = model.encode(sources, lengths)
    token = targets[:, :1]  # (B, 1): <bos>
    all_logits = []
    for step in range(1, targets.shape[1]):
        logits, state = model.decode(token, state)  # (B, 1, V)
        all_logits.append(logits)
        own = torch.rand(len(targets), 1) < share  # (B, 1)
        token = torch.where(own, logits.argmax(dim=2), targets[:, step : step + 1])
    return torch.cat(all_logits, dim=1)


def cosine_scores(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    queries, keys = F.normalize(queries, dim=2), F.normalize(keys, dim=2)  # each vector of length 1
    return scale * queries @ keys.transpose(1, 2)  # (B, T, S)


def penalise_repeats(
    logits: torch.Tensor, written: list[int], penalty: float, space: int
) -> torch.Tensor:
    logits = logits.clone()
    logits[list(set(written[-50:]) - {space})] -= penalty
    return logits
