"""01_sequence_basics: what is a sequence, and why does the order of its steps matter?

The question    Two networks see the same numbers.  A *bag* looks at every step alone, and
                averages what it finds.  A *recurrent network* (RNN) carries a state from step
                to step.  Which of them can answer a question about order?
The number      Does the peak of a series come before its trough?  The bag is right in 50.0 %
                of the cases, as if it guessed.  The RNN is right in 99.5 %.

The RNN has H hidden units, and each step brings I numbers:

    h_t = tanh(W_x x_t + W_h h_{t-1} + b)             h_0 = 0

    x_t (I,)  the input at step t           W_x (H, I)  input to state
    h_t (H,)  the state after step t        W_h (H, H)  state to next state      b (H,)

    python 01_sequence_basics.py                 # 11 s, one core used

    Does the peak come before the trough?
      bag        50.0% of 4,000 new sequences
      rnn        99.5% of 4,000 new sequences
    Which symbol came first, `delay` steps ago?  Guessing: 25.0%
      delay     mean   each network
         64    56.0%   43.5%  100.0%  24.6%

It writes metrics.json and three figures to outputs/01_sequence_basics/.  Look at
hidden_states.png first.  Next: 02_text_preprocessing.py, where the steps are words.
"""

from __future__ import annotations

import argparse
import itertools
import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "01_sequence_basics"
LAGS = (1, 2, 6, 12)  # steps between two values whose correlation is measured
NUM_TEST = 4000  # sequences in a test; a score near 50 % has a standard error of 0.8 points
NUM_SYMBOLS = 4  # different symbols in the memory task


# %% [markdown]
# ## 1. Data
# A *bag* of values knows which values came, and how often.  For a bag, 1, 2, 3, 4 and 4, 3, 2, 1
# are the same.  A *state* is updated once per value, and each update starts from the state that
# it finds.  Take h = 0.5 h + x: it halves the past and adds the present.  It gives 6.125 after
# 1, 2, 3, 4 and 3.25 after 4, 3, 2, 1.  This is already a recurrent network, with one unit.
#
# ### Sequences made by rule
# Each rule ties a step to the steps before it, from a random start, rate or phase.
#
#     arithmetic    x_t = x_{t-1} + rate
#     geometric     x_t = ratio x_{t-1}
#     random-walk   x_t = x_{t-1} + noise            keeps all of its past
#     ar1           x_t = 0.8 x_{t-1} + noise        autoregressive: loses a fifth at each step
#     alternating   x_t = -x_{t-1}
#     fibonacci     x_t = (x_{t-1} + x_{t-2}) mod 10
#
# The sine, the square wave and the circle turn once in 12 steps.  A sequence has two axes, time
# and features: (T, I).  Most rules give one number per step, and I is 1.  The circle has two.  A
# letter has three: b is (0, 1, 0), a *one-hot* vector.
# %%
PATTERNS = (
    "arithmetic", "geometric", "sine", "square", "random-walk", "ar1", "alternating", "fibonacci",
    "circle", "letters",
)  # fmt: skip


def make_sequence(pattern: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return one random sequence of the named pattern: (T, I), float32."""
    t = np.arange(length)
    noise = rng.normal(size=length)
    start = rng.uniform(1, 2)
    rate = rng.random()
    phase = int(rng.integers(60))
    angle = 2 * math.pi * (t / 12 + rate)  # one turn in 12 steps
    steps = {
        "arithmetic": start + rate * t,
        "geometric": start * (0.9 + 0.09 * rate) ** t,
        "sine": np.sin(angle),
        "square": np.where(np.sin(angle) >= 0, 1, -1),
        "random-walk": np.cumsum(noise),
        "ar1": list(itertools.accumulate(noise, lambda x, e: 0.8 * x + e)),
        "alternating": (-1.0) ** (t + phase),
        "fibonacci": fibonacci_digits(phase + length)[phase:],
        "circle": np.stack([np.cos(angle), np.sin(angle)], axis=1),  # (T, 2)
        # Mostly the next letter in turn: (T, 3)
        "letters": np.eye(3)[(phase + np.cumsum(rng.random(length) < 0.8)) % 3],
    }
    return np.array(steps[pattern], dtype=np.float32).reshape(length, -1)  # (T, I)


def fibonacci_digits(length: int) -> list[int]:
    """The last digits of the first `length` Fibonacci numbers."""
    digits = [0, 1]
    while len(digits) < length:
        digits.append((digits[-1] + digits[-2]) % 10)
    return digits


# %% [markdown]
# ### Shapes and batches
# A batch lays B sequences side by side, so that one matrix product serves them all.  Lengths
# differ, and a tensor is a box.  Cutting all sequences to one length would throw data away.
# *Padding* fills short sequences up with zeros at their end.  `lengths` keeps where each one
# ends, and the *mask* says the same with one True or False per step.  (A DataLoader only stacks,
# and fails where lengths differ: give it a `collate_fn` that pads.)
#
# - This course puts the batch first, (B, T, I).  The default of `nn.RNN` is time first.
#   `transpose` swaps the two axes.  `view` is wrong here: it pours the numbers, in the order
#   they are in, into a box of another shape.  Of [[0, 1, 2], [3, 4, 5]] it makes the pairs
#   0 1, 2 3 and 4 5, and mixes the two sequences up.
# - Symbols such as letters come as indices, one whole number per step: "abca" is 0, 1, 2, 0, of
#   shape (T,).  Or V different symbols come as one-hot vectors of V numbers: (T, V), here (4, 3).
# - **Pitfall.**  A plain mean of a batch counts the zeros of the padding.  Sum under the mask,
#   and divide by the number of real steps.
# %%
def show_batches(sequences: list[np.ndarray], batch_size: int) -> dict[str, float]:
    """Print the shapes of the first batch; return what padding does to its mean."""
    inputs, lengths = ru.pad_batch(sequences[:batch_size])
    mask = ru.lengths_to_mask(lengths)
    print("\nShapes and batches")
    print_shape("one sequence (T, I)", sequences[0])
    print_shape("a padded batch (B, T, I)", inputs)
    print_shape("its lengths (B,)", lengths)
    print_shape("its mask (B, T)", mask)
    print_shape("time first (T, B, I)", inputs.transpose(0, 1))
    padding = 1 - float(mask.float().mean())
    plain = float(inputs.mean())
    masked = float((inputs * mask[:, :, None]).sum() / (mask.sum() * inputs.shape[2]))
    print(f"  padding: {padding:.0%} of the batch; mean {plain:.3f} with it, {masked:.3f} without")
    return {"padding": padding, "mean_with_padding": plain, "mean_under_mask": masked}


def print_shape(name: str, tensor) -> None:
    print(f"  {name:<42} {tuple(tensor.shape)}")


# %% [markdown]
# ## 2. Model
# ### Three steps by hand
# Here is an RNN with two units and fixed weights.  It reads 1, 0, 2, and then the same values
# backwards.  Follow every number once with a pencil.  The first step has no past:
#
#     h_1 = tanh(W_x 1 + W_h 0 + b) = (tanh(1.0 + 0.1), tanh(-0.5)) = (0.8005, -0.4621)
#
# `nn.RNN` computes the same (the tests compare them).  It has two biases; only their sum counts.
#
# **Misconception.**  "An RNN has weights for every step, so it needs one fixed length."  It has
# one set of weights, and uses it at every step.  Lengths may differ.
# %%
W_X = np.array([[1.0], [-0.5]])  # (H, I) = (2, 1)
W_H = np.array([[0.5, -0.3], [0.2, 0.4]])  # (H, H)
BIAS = np.array([0.1, 0.0])  # (H,)


def rnn_by_hand(inputs: list[float]) -> list[list[float]]:
    """Print and return the states h_1, h_2, ..., each (H,), of the RNN above."""
    print(f"\nBy hand, for inputs {inputs} with sum {sum(inputs)}: h_t = tanh(W_x x_t + W_h h + b)")
    h_t = np.zeros(2)  # h_0
    states = []
    for t, x_t in enumerate(inputs, start=1):
        from_input = W_X @ [x_t]  # (H,)
        from_past = W_H @ h_t  # (H,), h_t is still the state before
        # h_t = tanh(W_x x_t + W_h h_{t-1} + b)
        h_t = np.tanh(from_input + from_past + BIAS)  # (H,)
        states.append(h_t.tolist())
        print(f"  h_{t} = tanh({from_input} + {from_past.round(4)} + {BIAS}) = {h_t.round(4)}")
    return states


# %% [markdown]
# ### A bag and a network
# Both models put each step through tanh(W_x x_t + ... + b), and both answer with a linear layer.
# They differ in the dots: only the RNN has W_h h_{t-1} there, and with it the past.  The answers
# are *logits*: one score for each of C possible answers.  The largest is the choice.
#
# **Pitfall.**  `nn.RNN` returns two things.  `output` (B, T, H) holds the state after every step,
# `h_n` the last one alone.  `batch_first` does not move `h_n`: its first axis counts layers and
# directions, not time, and it is (layers * directions, B, H) in both layouts.
# %%
class BagOfSteps(nn.Module):
    """Mean of the steps, each seen alone -> one score per answer: (B, T, I) -> (B, C).

    input_size    I, numbers per step
    hidden_size   H, numbers that a step is turned into
    num_classes   C, possible answers
    """

    def __init__(self, input_size: int, hidden_size: int, num_classes: int):
        super().__init__()
        self.step = nn.Linear(input_size, hidden_size)  # W_x and b
        self.output = nn.Linear(hidden_size, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.step(inputs))  # (B, T, H)
        return self.output(h.mean(dim=1))  # (B, H) -> (B, C)


class SmallRNN(nn.Module):
    """State after the last step -> one score per answer; arguments as in BagOfSteps."""

    def __init__(self, input_size: int, hidden_size: int, num_classes: int):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, num_classes)
        # An orthogonal matrix keeps the length of a vector (Saxe et al. 2014): see section 4.
        nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        _, h_n = self.rnn(inputs)  # (1, B, H)
        return self.output(h_n[0])  # (B, C)


# %% [markdown]
# ## 3. Training and evaluation
# ### A question about order
# Does the peak come before the trough?  The input is noise, with one peak and one trough in
# random places.  Each sequence comes also backwards: the same values, the opposite answer.  A
# bag must say the same about both, so it gets half of them right, whatever its size and training.
# %%
def peak_task(num: int, generator: torch.Generator, length: int = 20):
    """Draw `num` sequences: inputs (num, T, 1), targets (num,), 1 where the peak comes first."""
    half = num // 2
    x = 0.3 * torch.randn(half, length, generator=generator).clamp(-2, 2)  # (num/2, T)
    places = torch.rand(half, length, generator=generator).argsort(dim=1)  # 0 ... T-1, shuffled
    peak = places[:, 0]
    trough = places[:, 1]
    x[torch.arange(half), peak] = 2.0
    x[torch.arange(half), trough] = -2.0
    answer = (peak < trough).long()
    return torch.cat([x, x.flip(1)])[:, :, None], torch.cat([answer, 1 - answer])


# %% [markdown]
# ### Training
# Every update draws new sequences by rule.  So there is no training set to memorise.  There is
# no validation set either, because no choice is made by a score.  Training ends early when a new
# batch is answered with near certainty.  The loss is the mean of -log p(right answer).
# `clip_gradients` limits the length of a gradient.  Chapter 04 explains each line.
# %%
def train(model, task, generator: torch.Generator, max_updates: int, device) -> None:
    """Train on new batches of 64 sequences, `max_updates` times at most."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(max_updates):
        inputs, targets = task(64, generator)  # (B, T, I), (B,)
        logits = model(inputs.to(device))  # (B, C)
        loss = F.cross_entropy(logits, targets.to(device))
        if loss.item() < 0.003:
            break
        optimizer.zero_grad()
        loss.backward()
        ru.clip_gradients(model.parameters(), 1.0)
        optimizer.step()


def train_and_test(model, task, seed: int, max_updates: int, device) -> float:
    """Train a new model; return its accuracy on sequences that it has not seen."""
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = task(NUM_TEST, generator)
    train(model, task, generator, max_updates, device)
    with torch.no_grad():
        answers = model(inputs.to(device)).argmax(dim=1).cpu()  # (NUM_TEST,)
    return float((answers == targets).double().mean())


def compare_models(seed: int, hidden_size: int, max_updates: int, device) -> tuple:
    """Train both models for the question about order; return the RNN, and the accuracies."""
    print("\nDoes the peak come before the trough?")
    results = {"guessing": 0.5}
    for name, model_class in {"bag": BagOfSteps, "rnn": SmallRNN}.items():
        torch.manual_seed(seed)
        model = model_class(input_size=1, hidden_size=hidden_size, num_classes=2).to(device)
        ru.print_layers(model, torch.zeros(64, 20, 1, device=device))
        results[name] = train_and_test(model, peak_task, seed, max_updates, device)
    for name, accuracy in results.items():
        print(f"  {name:<9}{accuracy:>7.1%} of {NUM_TEST:,} new sequences")
    return model, results


# %% [markdown]
# ## 4. Looking inside
# ### Time dependency, measured
# Does a step tell us something about the step k later?  Pair every value x_t with the one k steps
# on, x_{t+k}, and correlate.  +1: they rise and fall together.  -1: one rises when the other falls.
# 0: no straight line links them.  Shuffling keeps the values of each sequence and destroys their
# order.  A correlation that is left after it has nothing to do with time.
#
# **Pitfalls.**  Subtracting the mean of each short sequence lowers the correlation at long lags:
# a random walk forgets nothing, and yet it reads near 0 at lag 12.  Fibonacci digits seem to have
# no memory, although two of them determine the next exactly: "mod 10" is not a straight line.
# %%
def autocorrelation(sequences: list[np.ndarray], lag: int) -> float:
    """Correlation of x_t with x_{t+lag} over sequences (T, I); NaN where nothing varies."""
    centred = [sequence - sequence.mean(axis=0, dtype=np.float64) for sequence in sequences]
    now = np.concatenate([x[:-lag].ravel() for x in centred])
    later = np.concatenate([x[lag:].ravel() for x in centred])
    largest = max(float(np.abs(sequence).max()) for sequence in sequences)
    if len(now) == 0 or min(now.std(), later.std()) <= 1e-9 * largest:
        return math.nan
    return float(np.corrcoef(now, later)[0, 1])


def measure_autocorrelation(groups: dict[str, list[np.ndarray]], rng) -> dict:
    """Print and return, for each named group, the correlation at LAGS, None for NaN."""
    print("\nAutocorrelation: what does a step say about the step k later?")
    print(f"  {'pattern':<12}{'k=1':>8}{'k=2':>8}{'k=6':>8}{'k=12':>8}{'k=1, shuffled':>16}")
    results = {}
    for name, sequences in groups.items():
        row = [autocorrelation(sequences, lag) for lag in LAGS]
        row.append(autocorrelation([rng.permutation(sequence) for sequence in sequences], 1))
        print(f"  {name:<12}" + "".join(f"{value:8.2f}" for value in row))
        results[name] = [None if math.isnan(value) else value for value in row]
    return results


# %% [markdown]
# ### How far back does it remember?
# The RNN has one symbol to keep, then `delay` others to ignore.  At each of these the memory goes
# through W_h and tanh once more, and so does the gradient on its way back.  We train several
# networks for each delay: where the task is almost too hard, the random first weights decide.
# W_h has a good start here, it is orthogonal.  Chapter 05 puts LSTM and GRU beside it.
# %%
def recall_task(num: int, generator: torch.Generator, delay: int):
    """Which symbol came first?  inputs (num, delay + 1, 4), targets (num,)."""
    symbols = torch.randint(NUM_SYMBOLS, (num, delay + 1), generator=generator)
    return torch.eye(NUM_SYMBOLS)[symbols], symbols[:, 0]


def measure_recall(max_delay, runs, seed, hidden_size, max_updates, device) -> dict[int, list]:
    """Train `runs` RNNs for each delay 2, 4, 8, ...; print and return their accuracies."""
    print(f"\nWhich symbol came first, `delay` steps ago?  Guessing: {1 / NUM_SYMBOLS:.1%}")
    print("  delay     mean   each network")
    results = {}
    delay = 2
    while delay <= max_delay:
        task = partial(recall_task, delay=delay)
        results[delay] = []
        for run in range(seed, seed + runs):
            torch.manual_seed(run)
            model = SmallRNN(NUM_SYMBOLS, hidden_size, NUM_SYMBOLS).to(device)
            results[delay].append(train_and_test(model, task, run, max_updates, device))
        each = "  ".join(f"{accuracy:.1%}" for accuracy in results[delay])
        print(f"  {delay:>5}{np.mean(results[delay]):>9.1%}   {each}")
        delay *= 2
    return results


# %% [markdown]
# ### Hidden states
# hidden_states.png shows the RNN of section 3 on a sequence without noise, and on it backwards:
# the inputs above, the states of all units in the middle, and the answer after each step below.
#
# **Pitfall.**  The network was trained to answer after the last step only.  Putting the earlier
# states through its output layer asks: what would you say if the sequence ended here?  Before
# both peak and trough have come, the answer need not make sense.
# %%
@torch.no_grad()
def plot_hidden_states(model: SmallRNN, device, plt):
    """Inputs, states and answers, step by step, for both directions of one sequence."""
    x = torch.zeros(20, device=device)
    x[5] = 2.0
    x[14] = -2.0
    inputs = torch.stack([x, x.flip(0)])[:, :, None]  # (2, T, 1)
    states, _ = model.rnn(inputs)  # (2, T, H)
    answers = model.output(states).softmax(dim=-1)[:, :, 1]  # (2, T)
    units = (states[0, -1] - states[1, -1]).argsort()  # by what they say in the end
    figure, grid = plt.subplots(3, 2, figsize=(9, 7), sharex=True, sharey="row")
    for i, title in enumerate(("peak first", "the same values backwards: trough first")):
        grid[0, i].plot(inputs[i, :, 0].tolist(), "o-", ms=3)
        grid[0, i].set_title(title)
        unit_states = states[i][:, units].T.tolist()  # (H, T)
        image = grid[1, i].imshow(unit_states, aspect="auto", cmap="RdBu", vmin=-1, vmax=1)
        grid[2, i].plot(answers[i].tolist(), "o-", ms=3, color=ru.ORANGE)
        grid[2, i].axhline(0.5, color=ru.GREY, linestyle=":")
        grid[2, i].set_xlabel("step t")
    for axes, label in zip(grid[:, 0], ("input $x_t$", "hidden unit", "P(peak first)")):
        axes.set_ylabel(label)
    figure.colorbar(image, ax=grid[1, :], label="state $h_t$")
    figure.suptitle("What does the state keep, once peak and trough have passed?")
    return figure


def plot_patterns(groups: dict[str, list[np.ndarray]], plt):
    """The longest sequence of each group."""
    figure = plt.figure(figsize=(9, 8))
    for place, (name, sequences) in enumerate(groups.items(), start=1):
        axes = figure.add_subplot(4, 3, place, title=name)
        longest = max(sequences, key=len)  # (T, I)
        if name == "letters":
            longest = longest.argmax(axis=1)  # (T,): 0 is a, 1 is b, 2 is c
        axes.plot(longest, "o-", ms=2.5, lw=1)
    figure.suptitle("Which rule ties each step to the steps before it?")
    figure.supxlabel("step t")
    figure.supylabel("value $x_t$")
    return figure


def plot_recall(results: dict[int, list[float]], max_updates: int, plt):
    """A point for each network, and the mean of those with the same delay."""
    figure, axes = plt.subplots(figsize=(7.5, 4))
    delays = [str(delay) for delay in results]
    axes.plot(delays, list(results.values()), "o", color=ru.SKY)
    means = [np.mean(accuracies) for accuracies in results.values()]
    axes.plot(delays, means, color=ru.BLUE, label="mean (points: each network)")
    axes.axhline(1 / NUM_SYMBOLS, color=ru.GREY, linestyle=":", label="guessing")
    title = f"How far back does a vanilla RNN remember, after {max_updates} updates?"
    axes.set(xlabel="delay (steps)", ylabel="accuracy", ylim=(0, 1.05), title=title)
    axes.legend(loc="center left")
    return figure


def draw_figures(groups, network, recall: dict, max_updates: int, device, folder, show) -> None:
    plt = ru.get_pyplot(show)
    figures = {
        "patterns": plot_patterns(groups, plt),
        "hidden_states": plot_hidden_states(network, device, plt),
        "recall": plot_recall(recall, max_updates, plt),
    }
    ru.save_figures(figures, folder, show)


# %% [markdown]
# ## 5. Command line and main
# %%
def read_sequences(path) -> list[np.ndarray]:
    """Read one sequence per line, without a header; return arrays (T, 1), or raise UserError.

    0.5,0.8,1.3,2.1
    4,3,2
    1,-1,1,-1,1
    """
    sequences = []
    for number, line in enumerate(rd.read_text(path).split("\n"), start=1):
        line = line.rstrip(", \t")  # spreadsheets fill short rows up with empty cells: 1,2,,,
        if not line:
            continue
        try:
            values = [float(cell) for cell in line.split(",")]
        except ValueError:
            values = []
        if len(values) < 2 or not all(abs(value) < 1e30 for value in values):  # so is no NaN
            remedy = "write two or more numbers below 1e30, separated by commas, and no header"
            raise ru.UserError(f"{path}, line {number}: {line[:60]!r} is no sequence; {remedy}")
        sequences.append(np.array(values, dtype=np.float32)[:, None])
    if len(sequences) < 2:
        raise ru.UserError(f"{path}: only one sequence; a batch needs two or more, one per line")
    return sequences


def load_sequences(data, rng) -> dict[str, list[np.ndarray]]:
    """Return the user's own sequences, if any, and 64 of each pattern."""
    groups = {"your data": read_sequences(data)} if data else {}
    for pattern in PATTERNS:
        lengths = rng.integers(16, 49, size=64)
        groups[pattern] = [make_sequence(pattern, int(length), rng) for length in lengths]
    return groups


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--pattern", choices=PATTERNS, default="arithmetic", help="the sequences put into batches")
    add("--data", metavar="CSV", help="your own sequences instead, one per line, without header")
    add("--batch-size", type=ru.at_least(1), default=8, help="sequences in a padded batch")
    add("--hidden-size", type=ru.at_least(1), default=16, help="numbers in the state h_t")
    add("--max-delay", type=ru.at_least(2), default=64, help="longest delay to remember")
    add("--updates", type=ru.at_least(1), default=300, help="updates of each network, at most")
    add("--runs", type=ru.at_least(1), default=3, help="networks for each delay")
    add("--quick", action="store_true", help="a tiny run, to see that it works")
    ru.add_run_flags(parser, downloads=False)
    return ru.parse_arguments(parser, argv, quick={"updates": 60, "max_delay": 4, "runs": 1})


def main(argv=None) -> dict:
    args = parse_args(argv)
    device, _ = ru.start_run(args, TUTORIAL)
    rng = np.random.default_rng(args.seed)
    groups = load_sequences(args.data, rng)
    chosen = "your data" if args.data else args.pattern
    batching = show_batches(groups[chosen], args.batch_size)
    by_hand = [rnn_by_hand([1, 0, 2]), rnn_by_hand([2, 0, 1])]
    network, accuracies = compare_models(args.seed, args.hidden_size, args.updates, device)
    correlations = measure_autocorrelation(groups, rng)
    recall = measure_recall(
        args.max_delay, args.runs, args.seed, args.hidden_size, args.updates, device
    )
    metrics = ru.write_metrics(args, TUTORIAL, args.data or args.pattern, False, {
        "batching": batching, "by_hand": by_hand, "recall": recall,
        "order_tasks": {"peak before trough?": accuracies}, "autocorrelation": correlations,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(groups, network, recall, args.updates, device, args.output_dir, args.show)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then compute: the state of h = 0.5 h + x after 2, 2, 2, 2.  Find four other numbers
#    that lead to the same state.  What can this state not tell apart?
# 2. Change one flag: `--hidden-size 4`, then 64.  Which rows of the recall table change?
# 3. Explain: look at P(peak first) in hidden_states.png, between the two spikes.  What did the
#    network learn to keep, and why is that enough to answer right at the end?
# 4. Modify the code: in `SmallRNN`, take out nn.init.orthogonal_ and run with `--runs 5`.  From
#    which delay on is recall a matter of luck, and from which is it gone?  Print the norm of h
#    after each step of a new network, with and without the line.  What did it do?
# 5. An open question: in `peak_task` the backwards copies hold a bag at exactly 50 %.  Invent a
#    question about order that a bag answers better than by guessing, although it sees no order.
