"""A wrong answer for each stub, of the kind that looks right; each check must catch its own.

The comment above each says what is wrong with it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from helpers import load_script
from torch import nn

RECALL_BATCH = load_script("05_lstm_sentiment").recall_batch
DELAYS = load_script("05_lstm_sentiment").DELAYS


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


# The symbol itself is counted as a step: every delay is too short by one.
def recall_batch_of_update(update: int, batch_size: int, generator: torch.Generator):
    return RECALL_BATCH(DELAYS[update % len(DELAYS)] - 1, batch_size, generator)


# One interval for all steps: too wide for the near ones, too narrow for the far ones.
def coverage_by_step(calibration_errors: np.ndarray, test_errors: np.ndarray) -> np.ndarray:
    low, high = np.quantile(calibration_errors, [0.05, 0.95])
    return ((low <= test_errors) & (test_errors <= high)).mean(axis=0)


# Without < and >, -ville at the end of a word is the same as in its middle.
def known_group_share(word: str, known_words: list[str]) -> float:
    def groups(word: str) -> set[str]:
        return {word[i : i + size] for size in (3, 4) for i in range(len(word) - size + 1)}

    known = set().union(*map(groups, known_words))
    return len(groups(word) & known) / max(1, len(groups(word)))


# Turned round with its padding: the encoder reads padding first and stops before the end.
def encode_reversed(model: nn.Module, sources: torch.Tensor, lengths: torch.Tensor):
    return model.encode(sources.flip(1), lengths)


# F.normalize takes dim=1 unless told otherwise, and that is time here.
def cosine_scores(queries: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    return scale * F.normalize(queries) @ F.normalize(keys).transpose(1, 2)


# Dividing makes a positive logit smaller, and a negative one larger: those become likelier.
def penalise_repeats(logits: torch.Tensor, written: list[int], penalty: float) -> torch.Tensor:
    logits = logits.clone()
    recent = list(set(written[-50:]))
    logits[recent] = logits[recent] / (1 + penalty)
    return logits
