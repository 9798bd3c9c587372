"""01_sequence_basics: what is a sequence, and why does the order of its values matter?

The question     Two networks see the same numbers.  A *bag* looks at every step by itself
                 and averages what it finds.  A *recurrent network* (RNN) carries a state
                 from step to step.  Which of them can answer a question about order?
The number       Does the peak of a series come before its trough?  The bag is right about
                 50.0 % of the time, as if it guessed; the RNN 99.5 %.
Misconception    "An RNN has weights for every step, so it needs one fixed length."  It has
                 one set of weights and uses it at every step.  Lengths may differ; batches
                 are padded only because a tensor is a box.

    h_t = tanh(W_x x_t + W_h h_{t-1} + b)          h_0 = 0

    x_t (I,)  what arrives at step t       W_x (H, I)  from input to state
    h_t (H,)  the state after step t       W_h (H, H)  from the last state to the next
                                           b   (H,)    one number per unit of the state

    python 01_sequence_basics.py      # 31 s on a slow 2-core CPU, one core used

1. The same values in two orders
  [1, 2, 3, 4]   bag: sum = 10   state: h_4 = 6.125
  [4, 3, 2, 1]   bag: sum = 10   state: h_4 = 3.250
6. Two questions about order, asked of 4,000 new sequences each
                                      guessing      bag      RNN
  peak before trough?                    50.0%    50.0%    99.5%
  which symbol came 3 steps ago?         25.0%    24.2%   100.0%
7. Which symbol came first, `delay` steps ago?  Guessing: 25.0%
  delay     mean   updates   each network
      2   100.0%       137   100.0%  100.0%  100.0%
     32    99.6%       257   98.8%  100.0%  100.0%
     64    56.0%       300   43.5%  100.0%  24.6%

Your own sequences, with --data my.csv: one per line, lengths may differ, no header:

    0.5,0.8,1.3,2.1
    4,3,2
    1,-1,1,-1,1

Files, in outputs/01_sequence_basics/: metrics.json, patterns.png, padded_batch.png,
autocorrelation.png, hidden_states.png, recall.png.

Next: 02_text_preprocessing.py, where the steps are words.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from functools import partial

import rnn_utils as ru

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

TUTORIAL = "01_sequence_basics"

# %% ------------------------------------------------------------------
# 1. Why order matters
# ----------------------------------------------------------------------


# A bag knows which values came and how often: sum, mean, maximum, histogram.  A state is
# updated once per value, and what an update does depends on the state it finds.  The one
# below halves its past and adds the present.  It is already a recurrent network, with one
# unit, W_x = 1, W_h = 0.5 and no tanh.
def show_two_orders() -> list[float]:
    """Print the sum and the last state of the same values in two orders; return the states."""
    print("\n1. The same values in two orders")
    states = []
    for values in ([1, 2, 3, 4], [4, 3, 2, 1]):
        h = 0.0
        for x in values:
            h = 0.5 * h + x  # h_t = 0.5 h_{t-1} + x_t
        states.append(h)
        print(f"  {values}   bag: sum = {sum(values)}   state: h_4 = {h:.3f}")
    return states


# %% ------------------------------------------------------------------
# 2. Sequences made by rule
# ----------------------------------------------------------------------

PATTERNS = ("arithmetic", "geometric", "sine", "square", "random-walk")
PATTERNS += ("ar1", "alternating", "fibonacci", "circle", "letters")
PERIOD = 12  # steps in one turn of the sine, the square wave and the circle


# What makes a list of steps a sequence is that a step has to do with the steps before it.
# Each rule ties them together in its own way, from a start, rate or phase that is drawn for
# each sequence.  A random walk keeps all of its past; ar1 ("autoregressive of order 1")
# loses a fifth of it at each step.  The result has two axes, time and features, even where
# there is one feature per step; the circle has two, the letters a, b, c have one each.
def make_sequence(pattern: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """One random sequence of the named pattern, (T, I) float32."""
    t, noise = np.arange(length), rng.normal(size=length)
    start, rate, phase = rng.uniform(1, 2), rng.random(), int(rng.integers(60))
    angle = 2 * math.pi * (t / PERIOD + rate)
    letters = (phase + np.cumsum(rng.random(length) < 0.8)) % 3  # mostly the next in turn
    rules = {
        "arithmetic": lambda: start + rate * t,  # x_t = x_{t-1} + rate
        "geometric": lambda: start * (0.9 + 0.09 * rate) ** t,  # x_t = ratio x_{t-1}
        "sine": lambda: np.sin(angle),
        "square": lambda: np.where(np.sin(angle) >= 0, 1, -1),
        "random-walk": lambda: np.cumsum(noise),  # x_t = x_{t-1} + noise
        "ar1": lambda: list(itertools.accumulate(noise, lambda x, e: 0.8 * x + e)),
        "alternating": lambda: (-1.0) ** (t + phase),  # x_t = -x_{t-1}
        "fibonacci": lambda: fibonacci_digits(phase + length)[phase:],
        "circle": lambda: np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "letters": lambda: np.eye(3)[letters],  # one-hot: c is (0, 0, 1)
    }
    return np.array(rules[pattern](), dtype=np.float32).reshape(length, -1)


def fibonacci_digits(length: int) -> list[int]:
    """The last digits of the Fibonacci numbers: x_t = (x_{t-1} + x_{t-2}) mod 10."""
    digits = [0, 1]
    while len(digits) < length:
        digits.append((digits[-1] + digits[-2]) % 10)
    return digits


def make_sequences(pattern: str, num: int, longest: int, rng) -> list[np.ndarray]:
    """`num` sequences of one pattern, as long as `longest` or up to three times shorter."""
    lengths = rng.integers(max(2, longest // 3), longest + 1, size=num)
    return [make_sequence(pattern, int(length), rng) for length in lengths]


def make_groups(args: argparse.Namespace, rng) -> dict[str, list[np.ndarray]]:
    """The user's own sequences, if there are any, and some of each pattern, by name."""
    print("\n2. Sequences: shape (T, I) of the first one, and the start of its first feature")
    groups = {"your data": read_sequences(args.data)} if args.data else {}
    for name in PATTERNS:
        groups[name] = make_sequences(name, args.num_sequences, args.sequence_length, rng)
    for name, (first, *_) in groups.items():
        print(f"  {name:<12}{first.shape!s:<9}", *(f"{x:6.2f}" for x in first[:8, 0]))
    return groups


def read_sequences(path) -> list[np.ndarray]:
    """Read one sequence per line, numbers separated by commas; each becomes (T, 1) float32.

    Blank lines are skipped.  Raises UserError, with the line, for anything else.
    """
    sequences = []
    for number, line in enumerate(ru.read_text(path).split("\n"), start=1):
        line = line.rstrip(", \t")  # spreadsheets fill short rows up with empty cells: 1,2,,,
        try:
            values = [float(cell) for cell in line.split(",") if line]
        except ValueError as error:
            hint = "write numbers separated by commas, one sequence per line and no header"
            raise ru.UserError(f"{path}, line {number}: {str(error)[:80]}; {hint}") from None
        if not all(abs(value) < 1e30 for value in values):  # "not <" catches NaN as well
            raise ru.UserError(f"{path}, line {number}: NaN or a number above 1e30; take it out")
        if len(values) == 1:
            raise ru.UserError(f"{path}, line {number}: one value; a sequence needs two or more")
        if values:
            sequences.append(np.array(values, dtype=np.float32)[:, None])
    if len(sequences) < 2:
        raise ru.UserError(f"{path}: only one sequence; a batch needs two or more, one per line")
    return sequences


# %% ------------------------------------------------------------------
# 3. Shapes and batches
# ----------------------------------------------------------------------


# Most errors in a first RNN are errors of shape.  The letters are the same in the whole
# course: B sequences in a batch, T steps, I features per step, H units of state.
def check_shape(name: str, tensor, *expected: int) -> None:
    """Print a shape, having made sure that it is the one we claim."""
    assert tuple(tensor.shape) == expected, (name, tuple(tensor.shape), expected)
    print(f"  {name:<42} {expected}")


# Cutting sequences to one length throws data away; padding does not.  Short sequences are
# filled up with zeros at their end, and the lengths remember where each one really ends.
# The mask says the same with one True or False per step.  A DataLoader calls this function
# for every batch; its own default only stacks, and fails where lengths differ.
def collate(sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """B sequences (T_i, I) -> inputs (B, T, I), lengths (B,), mask (B, T)."""
    inputs, lengths = ru.pad_batch(sequences)
    return inputs, lengths, ru.lengths_to_mask(lengths)


# A batch lays sequences side by side, so that one matrix product serves them all.  This
# course puts the batch first, (B, T, I); nn.RNN's own default is time first, (T, B, I).
# Symbols come as indices, one whole number per step; one-hot vectors say the same thing
# with V numbers per step, V being the number of different symbols.
def show_batches(sequences: list[np.ndarray], batch_size: int) -> tuple[tuple, dict]:
    """Print the shapes of the first batch; return it, and what padding does to a mean."""
    print("\n3. Shapes and batches")
    first = sequences[:batch_size]
    B, T, num_features = len(first), max(len(sequence) for sequence in first), first[0].shape[1]
    print(f"  {'one sequence (T, I)':<42} {first[0].shape}")
    inputs, lengths, mask = next(iter(DataLoader(sequences, batch_size, collate_fn=collate)))
    check_shape("a padded batch (B, T, I)", inputs, B, T, num_features)
    check_shape("its lengths (B,)", lengths, B)
    check_shape("its mask (B, T)", mask, B, T)
    check_shape("time first (T, B, I)", inputs.transpose(0, 1), T, B, num_features)
    indices = torch.tensor([0, 1, 2, 0])  # the letters a b c a
    check_shape("letters as indices (T,)", indices, 4)
    check_shape("letters as one-hot vectors (T, V)", F.one_hot(indices, num_classes=3), 4, 3)
    # Pitfall: a plain mean counts the zeros.  Sum under the mask, and divide by real steps.
    waste, plain = 1 - float(mask.float().mean()), float(inputs.mean())
    masked = float((inputs * mask[:, :, None]).sum() / (mask.sum() * num_features))
    print(f"  {waste:.0%} of the batch is padding: mean {plain:.3f} with it, {masked:.3f} without")
    means = {"padding": waste, "mean_with_padding": plain, "mean_under_mask": masked}
    return (inputs, mask), means


# %% ------------------------------------------------------------------
# 4. Time dependency, measured
# ----------------------------------------------------------------------

MAX_LAG = 12


# Does a step tell us something about the step k later?  Pair every value with the one k
# steps on, and correlate: +1, they rise and fall together; -1, one rises as the other
# falls; 0, no straight line links them.  Read the table with care.  Subtracting from each
# short sequence its own mean lowers the correlation at long lags: a random walk forgets
# nothing, and yet reads near 0 at lag 12.  Fibonacci digits seem to have no memory, although
# two of them determine the next exactly: the rule, mod 10, is not a straight line.
def autocorrelation(sequences: list[np.ndarray], lag: int) -> float:
    """Correlation of x_t with x_{t+lag} over all sequences (T, I), each about its own mean."""
    centred = [sequence - sequence.mean(axis=0, dtype=np.float64) for sequence in sequences]
    now = np.concatenate([x[:-lag].ravel() for x in centred])
    later = np.concatenate([x[lag:].ravel() for x in centred])
    largest = max(float(np.abs(sequence).max()) for sequence in sequences)
    if len(now) == 0 or min(now.std(), later.std()) <= 1e-9 * largest:
        return math.nan  # no pairs, or nothing that varies: there is nothing to correlate
    return float(np.corrcoef(now, later)[0, 1])


# Shuffling keeps the values of each sequence and destroys their order.  Whatever is left of
# the correlation then has nothing to do with time.
def measure_autocorrelation(groups: dict[str, list[np.ndarray]], rng) -> dict:
    """Print and return, for each named group, the correlation at lags 1..MAX_LAG."""
    print("\n4. Autocorrelation: what does a step say about the step k later?")
    print(f"  {'pattern':<12}{'k=1':>8}{'k=2':>8}{'k=6':>8}{'k=12':>8}   k=1, shuffled")
    results = {}
    for name, sequences in groups.items():
        row = [autocorrelation(sequences, lag) for lag in range(1, MAX_LAG + 1)]
        row.append(autocorrelation([rng.permutation(sequence) for sequence in sequences], 1))
        print(f"  {name:<12}", *(f"{row[k - 1]:7.2f}" for k in (1, 2, 6, 12)), f"{row[-1]:15.2f}")
        *by_lag, shuffled = (None if math.isnan(value) else value for value in row)
        results[name] = {"by_lag": by_lag, "shuffled": shuffled}
    return results


# %% ------------------------------------------------------------------
# 5. Three steps of a recurrent network by hand
# ----------------------------------------------------------------------

X = np.array([[1.0], [0.0], [2.0]])  # (T, I) = (3, 1); at step 2 nothing arrives
W_X = np.array([[1.0], [-0.5]])  # (H, I) = (2, 1)
W_H = np.array([[0.5, -0.3], [0.2, 0.4]])  # (H, H)
BIAS = np.array([0.1, 0.0])  # (H,)


# Follow every number once with a pencil.  The same W_x, W_h and b serve all three steps.
def rnn_by_hand() -> dict:
    """Print h_1, h_2, h_3 (each (H,)); return them, and how far nn.RNN is from them."""
    print("\n5. Three steps by hand: h_t = tanh(W_x x_t + W_h h_{t-1} + b)")
    h, states = np.zeros(2), []
    for t, x in enumerate(X, start=1):
        h_prev = h
        # h_t = tanh(W_x x_t + W_h h_{t-1} + b)
        h = np.tanh(W_X @ x + W_H @ h_prev + BIAS)  # (H,)
        states.append(h.tolist())
        for i in range(2):
            past = f"{W_H[i, 0]:+}*({h_prev[0]:.4f}) {W_H[i, 1]:+}*({h_prev[1]:.4f})"
            print(f"  h_{t}[{i}] = tanh({W_X[i, 0]:+}*{x[0]} {past} {BIAS[i]:+}) = {h[i]:.4f}")

    rnn = nn.RNN(input_size=1, hidden_size=2, batch_first=True)
    # nn.RNN has two biases, as NVIDIA's cuDNN library does; only their sum matters.
    with torch.no_grad():
        for parameter, value in zip(rnn.parameters(), (W_X, W_H, BIAS, 0 * BIAS)):
            parameter.copy_(torch.from_numpy(value))
        output, _ = rnn(torch.from_numpy(X).float()[None])  # (1, T, H)
    difference = float(np.abs(output[0].numpy() - states).max())
    assert difference < 1e-6
    print(f"  nn.RNN with these weights differs by {difference:.0e} at most")
    return {"states": states, "difference": difference}


# Three questions that everybody asks.
# `output` or `h_n`?  `output` holds the state after every step, `h_n` the last one alone.
#     Neither is a prediction: that takes a linear layer on top.
# Why does batch_first not move `h_n`?  Its first axis counts layers and directions, not
#     time: it is (layers * directions, B, H) for either layout of the input.
# `view` or `transpose`?  `transpose` swaps two axes.  `view` pours the numbers, in the order
#     they are in, into a box of another shape, and so mixes up the sequences.
@torch.no_grad()
def answer_questions() -> None:
    """Show the answers on a batch of 5 sequences of 3 steps, in both layouts."""
    inputs = torch.arange(15.0).view(5, 3, 1)  # (B, T, I); sequence 0 is 0, 1, 2
    swapped, poured = inputs.transpose(0, 1), inputs.view(3, 5, 1)  # both (T, B, I)
    output, h_n = nn.RNN(input_size=1, hidden_size=4, batch_first=True)(inputs)
    check_shape("batch first: output (B, T, H)", output, 5, 3, 4)
    check_shape("batch first: h_n (layers, B, H)", h_n, 1, 5, 4)
    assert torch.equal(output[:, -1], h_n[0])
    output, h_n = nn.RNN(input_size=1, hidden_size=4)(swapped)
    check_shape("time first: output (T, B, H)", output, 3, 5, 4)
    check_shape("time first: h_n (layers, B, H)", h_n, 1, 5, 4)
    print(f"  sequence 0, time first by transpose: {swapped[:, 0, 0].tolist()}")
    print(f"  what view makes of it:               {poured[:, 0, 0].tolist()}")
    assert torch.equal(swapped[:, 0], inputs[0]) and not torch.equal(poured[:, 0], inputs[0])


# %% ------------------------------------------------------------------
# 6. Two questions about order
# ----------------------------------------------------------------------

NUM_TEST = 4000  # guessing one in two then scores 50 % give or take 0.8 (one standard error)
NUM_SYMBOLS = 4


# Noise, with one peak and one trough in random places.  Each sequence comes also backwards:
# the same values, the opposite answer.  A bag must say the same about both, so it gets one
# of every two right, and neither size nor training can help it.
def peak_task(num: int, generator: torch.Generator, length: int = 20):
    """Does the peak come before the trough?  inputs (num, T, 1), targets (num,) of 0 or 1."""
    half = num // 2
    x = 0.3 * torch.randn(half, length, generator=generator).clamp(-2, 2)  # (num/2, T)
    peak, trough = torch.rand(half, length, generator=generator).argsort(dim=1)[:, :2].T
    x[torch.arange(half), peak], x[torch.arange(half), trough] = 2.0, -2.0
    answer = (peak < trough).long()
    return torch.cat([x, x.flip(1)])[:, :, None], torch.cat([answer, 1 - answer])


# Four symbols, three times each, shuffled: to a bag all sequences look the same.
def symbol_task(num: int, generator: torch.Generator, ago: int = 3):
    """Which symbol came `ago` steps before the last?  inputs (num, 12, 4), targets (num,)."""
    order = torch.rand(num, 3 * NUM_SYMBOLS, generator=generator).argsort(dim=1)  # (num, T)
    symbols = order % NUM_SYMBOLS
    return torch.eye(NUM_SYMBOLS)[symbols], symbols[:, -1 - ago]


TASKS = {  # question -> (task, number of answers)
    "peak before trough?": (peak_task, 2),
    "which symbol came 3 steps ago?": (symbol_task, NUM_SYMBOLS),
}


# Both models put each step through tanh(W_x x_t + ... + b) and answer with a linear layer.
# They differ in the dots: only in the RNN does the past take part in what a step becomes.
class BagOfSteps(nn.Module):
    """Average of the steps, each seen by itself: (B, T, I) -> logits (B, C)."""

    def __init__(self, input_size: int, hidden_size: int, num_classes: int):
        super().__init__()
        self.step = nn.Linear(input_size, hidden_size)
        self.output = nn.Linear(hidden_size, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.step(inputs))  # (B, T, H)
        return self.output(h.mean(dim=1))  # (B, C)


class SmallRNN(nn.Module):
    """State after the last step of a vanilla RNN: (B, T, I) -> logits (B, C).

    W_h starts as a random orthogonal matrix, which keeps the length of the vectors it
    multiplies (Saxe et al. 2014); everything else starts as PyTorch has it.
    """

    def __init__(self, input_size: int, hidden_size: int, num_classes: int):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, num_classes)
        nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        _, h_n = self.rnn(inputs)  # (1, B, H)
        return self.output(h_n[0])  # (B, C)


# Every update draws new sequences by rule.  So there is no training set to learn by heart,
# and no validation set, as nothing is chosen by a score.  Training ends early when a batch
# that the model has never seen is answered with near certainty.
def train_and_test(model_class, task, num_classes: int, seed: int, args, device):
    """Train a new model on fresh batches of 64; return it, its test accuracy, its updates."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    test_inputs, test_targets = task(NUM_TEST, generator)
    model = model_class(test_inputs.shape[2], args.hidden_size, num_classes).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    updates = 0
    while updates < args.updates:
        inputs, targets = task(64, generator)
        loss = F.cross_entropy(model(inputs.to(device)), targets.to(device))
        if loss.item() < 0.003:
            break
        optimizer.zero_grad()
        loss.backward()
        ru.clip_gradients(model.parameters(), 1.0)  # chapter 04 shows what this is for
        optimizer.step()
        updates += 1
    with torch.no_grad():
        answers = model(test_inputs.to(device)).argmax(dim=1).cpu()
    return model, float((answers == test_targets).double().mean()), updates


def compare_models(args: argparse.Namespace, device) -> tuple[nn.Module, dict]:
    """Train both models on both tasks; return the RNN of the peak task, and the accuracies."""
    print(f"\n6. Two questions about order, asked of {NUM_TEST:,} new sequences each")
    print(f"  {'':<34}{'guessing':>10}{'bag':>9}{'RNN':>9}")
    networks, results = [], {}
    for name, (task, num_classes) in TASKS.items():
        setting = (task, num_classes, args.seed, args, device)
        _, bag, _ = train_and_test(BagOfSteps, *setting)
        network, rnn, _ = train_and_test(SmallRNN, *setting)
        networks.append(network)
        results[name] = {"guessing": 1 / num_classes, "bag": bag, "rnn": rnn}
        print(f"  {name:<34}{1 / num_classes:>10.1%}{bag:>9.1%}{rnn:>9.1%}")
    return networks[0], results


# %% ------------------------------------------------------------------
# 7. How far back does it remember?
# ----------------------------------------------------------------------


# One symbol to keep, then `delay` others to ignore.  At each of these the memory goes through
# W_h and tanh once more, and so does the gradient on its way back in training.  This is the
# vanilla RNN with a good start, W_h orthogonal; chapter 05 puts LSTM and GRU beside it, and
# shows that how they start decides there too.  Several networks for each delay, because the
# luck of the first weights counts for a lot where the task is almost too hard.
def recall_task(num: int, generator: torch.Generator, delay: int):
    """Which symbol came first?  inputs (num, delay + 1, 4), targets (num,)."""
    symbols = torch.randint(NUM_SYMBOLS, (num, delay + 1), generator=generator)
    return torch.eye(NUM_SYMBOLS)[symbols], symbols[:, 0]


def measure_recall(args: argparse.Namespace, device) -> dict:
    """Train `--runs` RNNs for each delay 2, 4, 8, ...; print and return their accuracies."""
    print(f"\n7. Which symbol came first, `delay` steps ago?  Guessing: {1 / NUM_SYMBOLS:.1%}")
    print(f"  {'delay':>5}{'mean':>9}{'updates':>10}   each network")
    results, delay = {}, 2
    while delay <= args.max_delay:
        setting = (SmallRNN, partial(recall_task, delay=delay), NUM_SYMBOLS)
        runs = [train_and_test(*setting, args.seed + run, args, device) for run in range(args.runs)]
        _, accuracies, updates = zip(*runs)
        results[str(delay)] = {"accuracy": list(accuracies), "updates": list(updates)}
        each = "  ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(f"  {delay:>5}{np.mean(accuracies):>9.1%}{np.mean(updates):>10.0f}   {each}")
        delay *= 2
    return results


# %% ------------------------------------------------------------------
# 8. Looking inside
# ----------------------------------------------------------------------


def plot_patterns(groups: dict[str, list[np.ndarray]], plt):
    figure = plt.figure(figsize=(9, 8))
    for place, (name, sequences) in enumerate(groups.items(), start=1):
        axes = figure.add_subplot(4, 3, place, title=name)
        longest = max(sequences, key=len)  # (T, I)
        axes.plot(longest.argmax(axis=1) if name == "letters" else longest, "o-", ms=2.5, lw=1)
    axes.set_yticks(range(3), "abc")  # the letters come last
    figure.suptitle("Which rule ties each step to the steps before it?")
    figure.supxlabel("step t")
    figure.supylabel("value $x_t$")
    return figure


def plot_padded_batch(batch, name: str, plt):
    inputs, mask = batch
    figure, panels = plt.subplots(2, 1, figsize=(9, 5.4), sharex=True)
    panels[0].set_title(f"Where does each sequence end? A batch of '{name}', padded with 0")
    panels[1].set(title="Its mask: 1 at real steps, 0 at padding", xlabel="step t")
    for axes, values, label in zip(panels, (inputs[:, :, 0], mask), ("value $x_t$", "mask")):
        image = axes.imshow(values.numpy(), aspect="auto", cmap="cividis", interpolation="none")
        figure.colorbar(image, ax=axes, label=label)
        axes.set_ylabel("sequence")
    return figure


def plot_autocorrelation(results: dict, plt):
    figure, axes = plt.subplots(figsize=(8, 4.2))
    matrix = np.array([row["by_lag"] for row in results.values()], dtype=float)  # None: NaN
    names, lags = list(results), range(1, MAX_LAG + 1)
    colours = {"cmap": "RdBu", "vmin": -1, "vmax": 1}
    ru.plot_heatmap(axes, matrix, names, lags, "correlation of $x_t$ and $x_{t+k}$", **colours)
    axes.set(title="What does a step tell about the step k later?", xlabel="lag k (steps)")
    return figure


# A fresh example of the peak task, without noise.  The model was trained to answer after the
# last step only.  Putting the earlier states through its output layer asks: what would you
# say if the sequence ended here?  Before both have come, the answer need not make sense.
@torch.no_grad()
def plot_hidden_states(model: SmallRNN, device, plt):
    """Peak at step 5 and trough at step 14, and backwards: inputs, states and answers."""
    x = torch.zeros(20, device=device)
    x[5], x[14] = 2.0, -2.0
    inputs = torch.stack([x, x.flip(0)])[:, :, None]  # (2, T, 1)
    states, _ = model.rnn(inputs)  # (2, T, H)
    answers = model.output(states).softmax(dim=-1)[:, :, 1]  # (2, T)
    units = (states[0, -1] - states[1, -1]).argsort()  # by what they say in the end
    figure, grid = plt.subplots(3, 2, figsize=(9, 7), sharex=True, sharey="row")
    colours = {"cmap": "RdBu", "vmin": -1, "vmax": 1}
    for i, (top, middle, bottom) in enumerate(grid.T):
        top.plot(inputs[i, :, 0].tolist(), "o-", ms=3)
        top.set_title(("peak first", "the same values backwards: trough first")[i])
        image = middle.imshow(states[i][:, units].T.tolist(), aspect="auto", **colours)
        bottom.plot(answers[i].tolist(), "o-", ms=3, color=ru.ORANGE)
        bottom.axhline(0.5, color=ru.GREY, linestyle=":")
        bottom.set_xlabel("step t")
    for axes, label in zip(grid[:, 0], ("input $x_t$", "hidden unit", "P(peak first)")):
        axes.set_ylabel(label)
    figure.colorbar(image, ax=grid[1, :], label="state $h_t$")
    figure.suptitle("What does the state keep, once peak and trough have passed?")
    return figure


def plot_recall(results: dict, updates: int, plt):
    figure, axes = plt.subplots(figsize=(7.5, 4))
    delays = [int(delay) for delay in results]
    scores = np.array([row["accuracy"] for row in results.values()])  # (delays, runs)
    axes.plot(delays, scores.mean(axis=1), color=ru.BLUE, label="mean")
    axes.plot(delays, scores[:, 0], "o", color=ru.SKY, label="each network")
    axes.plot(delays, scores[:, 1:], "o", color=ru.SKY)
    axes.axhline(1 / NUM_SYMBOLS, color=ru.GREY, linestyle=":", label="guessing")
    axes.set_xscale("log", base=2)
    axes.set_xticks(delays, delays)
    axes.set(xlabel="delay (steps)", ylabel="accuracy", ylim=(0, 1.05))
    axes.set_title(f"How far back does a vanilla RNN remember, after {updates} updates?")
    axes.legend(loc="center left")
    return figure


# %% ------------------------------------------------------------------
# 9. Command line and main
# ----------------------------------------------------------------------

QUICK = {"num_sequences": 16, "updates": 60, "max_delay": 4, "runs": 1}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--pattern", choices=PATTERNS, default="arithmetic", help="the sequences put into batches")
    add("--data", metavar="CSV", help="your own sequences instead, one per line, without header")
    add("--num-sequences", type=ru.at_least(2), default=64, help="sequences of each pattern")
    add("--sequence-length", type=ru.at_least(2), default=48, help="steps of the longest")
    add("--batch-size", type=ru.at_least(1), default=8, help="sequences in a padded batch")
    add("--hidden-size", type=ru.at_least(1), default=16, help="numbers in the state h_t")
    add("--max-delay", type=ru.at_least(2), default=64, help="longest delay in section 7")
    add("--updates", type=ru.at_least(1), default=300, help="updates of each network, at most")
    add("--runs", type=ru.at_least(1), default=3, help="networks for each delay in section 7")
    quick = "a tiny run on generated data, to see that it works"
    add("--quick", action="store_true", help=quick)
    ru.add_run_flags(parser, threads=1, downloads=False)
    return ru.parse_arguments(parser, argv, QUICK)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    device = ru.start_run(args, TUTORIAL)
    rng = np.random.default_rng(args.seed)
    print(f"{TUTORIAL}: what is a sequence, and why does order matter?\n")
    ru.print_configuration(args, device)

    two_orders = show_two_orders()
    groups = make_groups(args, rng)
    chosen = "your data" if args.data else args.pattern
    batch, batching = show_batches(groups[chosen], args.batch_size)
    correlations = measure_autocorrelation(groups, rng)
    by_hand = rnn_by_hand()
    answer_questions()
    peak_rnn, order_tasks = compare_models(args, device)
    recall = measure_recall(args, device)

    figures = []
    if not args.no_plots:
        plt = ru.get_pyplot(args.show)
        drawn = {
            "patterns": plot_patterns(groups, plt),
            "padded_batch": plot_padded_batch(batch, chosen, plt),
            "autocorrelation": plot_autocorrelation(correlations, plt),
            "hidden_states": plot_hidden_states(peak_rnn, device, plt),
            "recall": plot_recall(recall, args.updates, plt),
        }
        figures = ru.save_figures(drawn, args)
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.data or args.pattern, embedded=False,
        two_orders=two_orders, batching=batching, autocorrelation=correlations,
        by_hand=by_hand, order_tasks=order_tasks, recall=recall,
    )  # fmt: skip
    ru.print_files(args, figures)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then compute: the state of section 1 after [2, 2, 2, 2].  Find four other numbers
#    that lead to the same state: what can this state not tell apart?
# 2. Run with --hidden-size 4, then 64.  Which rows of section 7 change, and which do not?
# 3. In hidden_states.png, look at P(peak first) between the two spikes.  What did the network
#    learn to keep, and why is that enough to answer right at the end?
# 4. In `SmallRNN`, take out the line nn.init.orthogonal_ and run with --runs 5.  From which
#    delay on is recall a matter of luck, and from which is it gone?  Print the norm of h after
#    each step of a new network, with and without the line: what did it do?
# 5. Open: in `peak_task` the backwards copies hold a bag at exactly 50 %.  Invent a question
#    about order which a bag can answer better than by guessing, though it sees no order.
