"""A right answer for each stub; not for students.  `tests/test_exercises.py` must pass on these."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from helpers import load_script
from torch import nn

RECALL_BATCH = load_script("05_lstm_sentiment").recall_batch
DELAYS = load_script("05_lstm_sentiment").DELAYS


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


def recall_batch_of_update(update: int, batch_size: int, generator: torch.Generator):
    return RECALL_BATCH(DELAYS[update % len(DELAYS)], batch_size, generator)


def coverage_by_step(calibration_errors: np.ndarray, test_errors: np.ndarray) -> np.ndarray:
    low, high = np.quantile(calibration_errors, [0.05, 0.95], axis=0)  # (H,) each
    return ((low <= test_errors) & (test_errors <= high)).mean(axis=0)  # (H,)


def known_group_share(word: str, known_words: list[str]) -> float:
    def groups(word: str) -> set[str]:
        word = f"<{word}>"
        return {word[i : i + size] for size in (3, 4) for i in range(len(word) - size + 1)}

    known = set().union(*map(groups, known_words))
    return len(groups(word) & known) / len(groups(word))


def encode_reversed(model: nn.Module, sources: torch.Tensor, lengths: torch.Tensor):
    return model.encode(sources[:, : lengths[0]].flip(1), lengths)


def cosine_scores(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    queries, keys = F.normalize(queries, dim=2), F.normalize(keys, dim=2)  # each vector of length 1
    return scale * queries @ keys.transpose(1, 2)  # (B, T, S)


def penalise_repeats(logits: torch.Tensor, written: list[int], penalty: float) -> torch.Tensor:
    logits = logits.clone()
    logits[list(set(written[-50:]))] -= penalty
    return logits
