"""benchmark: where the seconds go, and what they would be otherwise.

    python tests/benchmark.py                         # every part, 5 repetitions each
    python tests/benchmark.py --only cells            # one part
    python tests/benchmark.py --json mine.json        # the numbers (default: benchmark.json)
    python tests/benchmark.py --only memory --full    # default runs in place of --quick: an hour

It measures and judges nothing: no time makes it fail, and pytest does not collect it.  It needs
no download; only `batch_one` reads the surnames where they are on disk.

    step       each script's own train_epoch against the bare loop on the same, prepared batches
    batching   padded batches of similar lengths, padded random batches, packed sequences
    cells      the hand-written cells of 04, 05 and 06 against nn.RNN, nn.LSTM and nn.GRU
    threads    1, 2 and more threads, alone and beside a busy process; and Keras 3, if installed
    batch_one  one name at a time, as older tutorials train, against batches, to equal accuracy
    startup    from the start of the process to the first batch of a --quick run
    memory     the most memory that a run ever holds
    scaling    how times grow with length, batch, state and corpus, against a straight line

How to repeat   On a machine with nothing else to do: a second program takes more from some rows
than from others.  What is compared is run in turns in one process, forth and back, after one turn
that does not count, so that a slow minute slows all alike.  A time is the median over the turns,
and a ratio the median of the ratios within a turn.  One thread, except in `threads` and where a
script runs as a process of its own.  With fewer than 5 repetitions expect other numbers next time.

How to read     Ratios travel from machine to machine better than seconds do.  In `step`, 0.95
means: of the time of an epoch 95 % is the network, and 5 % the rest, which is making batches,
clipping, the schedule, counting.  In `scaling`, "against line" sets the last doubling against a
straight line: at 1.0 it is on the line, below it a fixed cost is shared by more, and well above
it something grows faster than its work.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
sys.path[:0] = [str(TESTS), str(ROOT)]

import rnn_utils as ru

import torch
import torch.nn.functional as F
from helpers import load_script
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

SCRIPTS = sorted(path.stem for path in ROOT.glob("[0-9][0-9]_*.py"))
FUSED = ru.fused_adam_works(torch.device("cpu"))

# %% ------------------------------------------------------------------
# 1. Clocks, tables, made-up data
# ----------------------------------------------------------------------


def take_turns(runs: dict, repeats: int) -> dict[str, list[float]]:
    """Seconds of every run in every turn; a first turn, to warm up, is left out."""
    seconds = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            started = time.perf_counter()
            runs[name]()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(seconds: list[float], others: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(seconds, others))


def median_ms(seconds: list[float], steps: int = 1) -> float:
    return 1000 * statistics.median(seconds) / steps


def print_table(rows: list[dict]) -> None:
    """Print rows with their keys as header; lists are for the JSON file only."""

    def show(value) -> str:
        if isinstance(value, float):
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    columns = [key for key, value in rows[0].items() if not isinstance(value, list)]
    lines = [columns, *([show(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for first, *others in lines:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:]))
        print("  ".join([f"  {first:<{widths[0]}}", *cells]))


def text_lengths(count: int, median: float, longest: int) -> list[int]:
    """Lengths from 3 to `longest`, with the long tail that texts have."""
    lengths = torch.exp(math.log(median) + 0.6 * torch.randn(count)).long()
    return lengths.clamp(3, longest).tolist()


def made_up(lengths: list[int], num_words: int) -> list[list[str]]:
    """Texts of these lengths; as in every language, few words are frequent and most are rare."""
    return [[f"w{int(num_words ** random.random())}" for _ in range(n)] for n in lengths]


# %% ------------------------------------------------------------------
# 2. The scripts' own models, on batches of the shape that their data have
# ----------------------------------------------------------------------

# Each of these makes the model that a script trains by default, its optimiser, and a function that
# is the script's train_epoch on `num_batches` batches; `changes` are to the script's settings.


def settings(script, *flags: str, **changes) -> argparse.Namespace:
    """The script's default settings, some of them changed."""
    args = script.parse_args(list(flags))
    vars(args).update(changes)
    return args


def names_case(script, num_batches: int, **changes):
    """04: made-up surnames."""
    args = settings(script, **changes)
    pairs = random.sample(script.embedded_names(), num_batches * args.batch_size)
    vocab, labels = ru.Vocab.build(name for name, _ in pairs), list(script.SYLLABLES)
    split = script.encode(pairs, vocab, labels)
    model = script.NameClassifier(len(vocab), len(labels), args)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    sampler = ru.BucketBatchSampler(split.lengths, args.batch_size)
    return (
        model,
        optimizer,
        lambda: script.train_epoch(model, split, sampler, optimizer, None, 1, args),
    )


def reviews_case(script, num_batches: int, length: int | None = None, **changes):
    """05: texts as long as IMDB's reviews, or of `length` words each."""
    args = settings(script, **changes)
    count = num_batches * args.batch_size
    lengths = [length] * count if length else text_lengths(count, 210, args.max_length)
    corpus = ru.Corpus.from_tokens(made_up(lengths, 50_000), ["neg", "pos"] * (count // 2))
    vocab = ru.Vocab(["<pad>", "<unk>", *(f"w{k}" for k in range(2, script.VOCABULARY))])
    split = script.encode(corpus, vocab, ["neg", "pos"], args)
    model = script.ReviewClassifier(len(vocab), args)
    optimizer, sampler = script.start_training(model, split, args)
    return model, optimizer, lambda: script.train_epoch(model, split, sampler, optimizer, 1, args)


def series_case(script, num_batches: int, **changes):
    """06: the sine of the default run."""
    args = settings(script, **changes)
    script.settle(args, None)
    values = torch.from_numpy(script.make_sine(args.num_steps, 0) / 5 - 5).float()[:, None]
    inputs, targets = script.make_windows(values, args.sequence_length, args.horizon)
    count = num_batches * args.batch_size
    split = script.Split(inputs[:count], targets[:count, :, 0], None, None, None)
    model = script.Forecaster(1, args)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    return model, optimizer, lambda: script.train_epoch(model, split, optimizer, 1, args)


def questions_case(script, num_batches: int, **changes):
    """07: texts as long as TREC's questions; as many words and labels."""
    args = settings(script, **changes)
    count = num_batches * args.batch_size
    details = [f"{k % 6}:{k}" for k in range(50)]
    texts = made_up(text_lengths(count, 10, 37), 8_700)
    corpus = ru.Corpus.from_tokens(texts, random.choices(details, k=count))
    vocab = ru.Vocab(["<pad>", "<unk>", *(f"w{k}" for k in range(2, 3_500))])
    names = script.Names(vocab, sorted({detail[0] for detail in details}), details)
    split = script.encode(corpus, names, args)
    model = script.TextClassifier(names, args)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    sampler = ru.BucketBatchSampler(split.lengths, args.batch_size)
    return model, optimizer, lambda: script.train_epoch(model, split, sampler, optimizer, 1, args)


# 08 and 09 fill their batches with sources of one length.  Of each length a few remain, which make
# smaller batches; in so short an epoch they would be many, so here every batch is full.
def pairs_case(script, num_batches: int, length: int | None = None, **changes):
    """08: reversal of up to 20 digits.  09: sentences as in Multi30k, or of `length` words."""
    translate = script.TUTORIAL.startswith("09")
    args = settings(script, *(["--task", "translate"] if translate else []))
    vars(args).update({**script.DEFAULTS[args.task], **changes})
    usual = [11, 14, 9, 17, 12, 10] if translate else [20, 13, 17, 6, 18, 10, 15, 19]
    lengths = (([length] if length else usual) * num_batches)[:num_batches] * args.batch_size
    num_words = 6_000 if translate else 10
    more = [n + translate * random.randint(0, 4) for n in lengths]
    vocab = ru.Vocab([*script.SPECIALS, *(f"w{k}" for k in range(1, num_words))])
    split = ru.encode_pairs(
        list(zip(made_up(lengths, num_words), made_up(more, num_words))), (vocab, vocab)
    )
    model = script.Seq2Seq(len(vocab), len(vocab), args)
    options = {"betas": (0.9, 0.98), "fused": translate and FUSED}
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, **options)
    return model, optimizer, lambda: script.train_epoch(model, split, optimizer, 1, args)


def characters_case(script, num_batches: int, **changes):
    """10: random characters, as many different ones as Shakespeare uses."""
    args = settings(script, **changes)
    vocab = ru.Vocab(["<unk>", "\n", *map(chr, range(64, 127))])
    ids = torch.randint(1, 65, (num_batches * args.batch_size * args.sequence_length + 1,))
    streams = script.make_streams(ids, args.batch_size, args.sequence_length)
    model = script.LanguageModel(len(vocab), args)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, fused=FUSED)
    # It writes a line once in 460 batches, an epoch of Shakespeare.  In so few batches as here
    # the line would count for far more than it does.
    script.write_line = lambda *_: ""
    return model, optimizer, lambda: script.train_epoch(model, streams, optimizer, vocab, 2, args)


# A loss takes as long whatever the targets are, so zeros do.
def class_loss(*all_logits: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    losses = []
    for logits in all_logits:
        targets = torch.zeros(logits.shape[:-1], dtype=torch.long).flatten()
        losses.append(F.cross_entropy(logits.flatten(0, -2), targets, label_smoothing=smoothing))
    return sum(losses)


CASES = {  # script -> its case, batches in a turn, the loss of what its model returns
    "04_simple_rnn": (names_case, 30, class_loss),
    "05_lstm_sentiment": (
        reviews_case, 4, lambda z: F.binary_cross_entropy_with_logits(z, torch.zeros_like(z)),
    ),
    "06_gru_time_series": (series_case, 15, lambda y: F.mse_loss(y, torch.zeros_like(y))),
    "07_bidirectional_rnn": (questions_case, 10, lambda both: class_loss(*both, smoothing=0.1)),
    "08_seq2seq_basic": (pairs_case, 16, class_loss),
    "09_attention_mechanism": (pairs_case, 6, lambda z: class_loss(z, smoothing=0.1)),
    "10_text_generation": (characters_case, 4, lambda answer: class_loss(answer[0])),
}  # fmt: skip


# The bare loop is what no training can do without: forward, loss, backward, step.
def both_loops(name: str, num_batches: int | None = None, **changes):
    """Return (the script's train_epoch, the bare loop over the same tensors, their number)."""
    script, (make, usual, loss) = load_script(name), CASES[name]
    model, optimizer, epoch = make(script, num_batches or usual, **changes)
    batches = []  # what the model is called with
    hook = model.register_forward_pre_hook(lambda _, inputs: batches.append(inputs))
    epoch()
    hook.remove()

    def bare():
        for inputs in batches:
            loss(model(*inputs)).backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch, bare, len(batches)


def step(args) -> list[dict]:
    """(a) each script's own training step against the bare loop on the same tensors"""
    rows = []
    for name in CASES:
        script, bare, count = both_loops(name)
        seconds = take_turns({"script": script, "bare": bare}, args.repeats)
        row = {"script": name, "batches": count}
        row |= {f"{loop} ms/step": median_ms(values, count) for loop, values in seconds.items()}
        row["bare / script"] = median_ratio(seconds["bare"], seconds["script"])
        rows.append({**row, "seconds": list(seconds.values())})
    return rows


# %% ------------------------------------------------------------------
# 3. Batches, cells, threads
# ----------------------------------------------------------------------


def batching(args) -> list[dict]:
    """(b) an epoch of an LSTM over 256 texts of 3 to 200 words, put into batches in three ways"""
    lengths = torch.tensor(text_lengths(256, 70, 200))
    texts = [torch.randint(1, 5_000, (n,)) for n in lengths.tolist()]
    lstm, output = nn.LSTM(100, 128, batch_first=True), nn.Linear(128, 1)
    parts = nn.ModuleList([nn.Embedding(5_000, 100, padding_idx=0), lstm, output])
    optimizer = torch.optim.Adam(parts.parameters(), fused=FUSED)

    def epoch(batches, packed: bool):
        for rows in batches:
            inputs, own_lengths = ru.pad_batch([texts[row] for row in rows])
            embedded = parts[0](inputs)  # (B, T, E)
            if packed:
                options = {"batch_first": True, "enforce_sorted": False}
                _, (h_n, _) = lstm(pack_padded_sequence(embedded, own_lengths, **options))
                last = h_n[0]  # (B, H)
            else:
                last = lstm(embedded)[0][torch.arange(len(rows)), own_lengths - 1]
            logits = output(last)[:, 0]
            F.binary_cross_entropy_with_logits(logits, torch.ones(len(rows))).backward()
            optimizer.step()
            optimizer.zero_grad()

    similar = list(ru.BucketBatchSampler(lengths, 64))
    chance = [rows.tolist() for rows in torch.randperm(len(texts)).split(64)]
    ways = {"padded, similar lengths": (similar, False), "padded, random": (chance, False)}
    ways["packed, random"] = (chance, True)
    runs = {name: lambda way=way: epoch(*way) for name, way in ways.items()}
    seconds, rows, num_words = take_turns(runs, args.repeats), [], int(lengths.sum())
    for (name, values), (batches, packed) in zip(seconds.items(), ways.values()):
        steps = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
        padding = 0.0 if packed else 1 - num_words / steps
        row = {"batches": name, "padding": f"{padding:.0%}", "epoch ms": median_ms(values)}
        row["words/s"] = num_words / statistics.median(values)
        row["times the first"] = median_ratio(values, seconds["padded, similar lengths"])
        rows.append({**row, "seconds": values})
    return rows


CELLS = ("RNN", "LSTM", "GRU")
B, E, H = 64, 100, 128  # of the next two parts


def cells(args) -> list[dict]:
    """(c) forward and backward of a cell by hand and of PyTorch's (B=64 T=50 E=100 H=128)"""
    inputs, rows = torch.randn(B, 50, E), []
    for name, script in zip(CELLS, SCRIPTS[3:6]):
        ours = getattr(load_script(script), f"HandWritten{name}")(E, H)
        layers = {"by hand": ours, "nn": getattr(nn, name)(E, H, batch_first=True)}
        runs = {
            key: lambda layer=layer: [layer(inputs)[0].sum().backward() for _ in range(5)]
            for key, layer in layers.items()
        }
        seconds = take_turns(runs, args.repeats)
        row = {"cell": name, **{f"{key} ms": median_ms(s, 5) for key, s in seconds.items()}}
        row["by hand / nn"] = median_ratio(seconds["by hand"], seconds["nn"])
        rows.append({**row, "seconds": list(seconds.values())})
    return rows


T, V = 200, 5_000  # chapter 05's texts: embedding -> recurrent layer -> mean -> one logit


def torch_step(cell: str) -> Callable:
    """One update of a network that reads words and answers yes or no."""
    table, output = nn.Embedding(V, E), nn.Linear(H, 1)
    rnn = getattr(nn, cell)(E, H, batch_first=True)
    weights = [weight for layer in (table, rnn, output) for weight in layer.parameters()]
    optimizer = torch.optim.Adam(weights, fused=FUSED)
    inputs, targets = torch.randint(V, (B, T)), torch.randint(2, (B,)).float()

    def update():
        logits = output(rnn(table(inputs))[0].mean(dim=1))[:, 0]
        F.binary_cross_entropy_with_logits(logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return update


def keras_step(cell: str) -> Callable:
    """The same update in Keras 3, compiled where its backend can."""
    import keras

    layers = keras.layers
    rnn = getattr(layers, "SimpleRNN" if cell == "RNN" else cell)(H, return_sequences=True)
    pooling, output = layers.GlobalAveragePooling1D(), layers.Dense(1)
    model = keras.Sequential([keras.Input((T,)), layers.Embedding(V, E), rnn, pooling, output])
    model.compile(optimizer="adam", loss=keras.losses.BinaryCrossentropy(from_logits=True))
    inputs, targets = torch.randint(V, (B, T)).numpy(), torch.randint(2, (B, 1)).float().numpy()
    return lambda: model.train_on_batch(inputs, targets)


def keras_backend() -> str | None:
    """$KERAS_BACKEND, else the first that is installed; None, and a line, without Keras."""
    if importlib.util.find_spec("keras") is None:
        print("  Keras is not installed, so its rows are left out (pip install keras)")
        return None
    present = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    return os.environ.setdefault("KERAS_BACKEND", present[0])


@contextlib.contextmanager
def busy_process():
    """Another program that keeps one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def threads(args) -> list[dict]:
    """(d) one update by threads, alone and beside a busy process (B=64 T=200 E=100 H=128)"""
    plans = [("PyTorch", count, torch_step) for count in sorted({1, 2, 4, os.cpu_count()})]
    backend, rows = keras_backend(), []
    if backend:  # TensorFlow and JAX choose their threads themselves
        plans.append((f"Keras, {backend}", args.own_threads, keras_step))
    for library, count, make in plans:
        torch.set_num_threads(count)
        runs = {cell: make(cell) for cell in CELLS}
        alone = take_turns(runs, args.repeats)
        with busy_process():
            beside = take_turns(runs, args.repeats)
        own = "its own" if make is keras_step else str(count)
        for cell in CELLS:
            one, two = median_ms(alone[cell]), median_ms(beside[cell])
            row = {"cell": cell, "library": library, "threads": own, "alone ms": one}
            row |= {"words/s": 1000 * B * T / one, "busy ms": two, "busy / alone": two / one}
            rows.append({**row, "seconds": [alone[cell], beside[cell]]})
    return sorted(rows, key=lambda row: CELLS.index(row["cell"]))


# %% ------------------------------------------------------------------
# 4. Whole runs
# ----------------------------------------------------------------------

ENOUGH, LIMIT = 0.72, 40.0  # validation accuracy to reach; seconds of training after which to stop


def train_until(script, data: dict, model, batch_size: int, optimizer) -> dict:
    """Train on names until ENOUGH of the validation names are right, or for LIMIT seconds."""
    train, seconds, seen, accuracy = data["train"], 0.0, 0, 0.0
    sampler = ru.BucketBatchSampler(train.lengths, batch_size)
    while accuracy < ENOUGH and seconds < LIMIT:
        sampler.set_epoch(seen)
        for rows in sampler:
            started, lengths = time.perf_counter(), train.lengths[rows]
            logits = model(train.inputs[rows, : lengths.max()], lengths)
            F.cross_entropy(logits, train.targets[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds += time.perf_counter() - started
            seen += len(rows)
            if seen % 640 == 0:  # looking costs no time that counts
                accuracy = script.evaluate(model, data["val"])["accuracy"]
                model.train()
                if accuracy >= ENOUGH or seconds >= LIMIT:
                    break
    return {"s to it": seconds, "names read": seen, "accuracy": accuracy}


# Older tutorials take one name at a time, and so pay for each name all that a step costs besides
# its arithmetic.  SGD with 0.005 is theirs.  Same network here, same names, same order of them.
def batch_one(args) -> list[dict]:
    """(e) from nothing to 72 % of the validation surnames right, or 40 s: batches of 1 and of 64"""
    script = load_script("04_simple_rnn")
    chosen = settings(script, "--offline")
    with contextlib.redirect_stdout(io.StringIO()):
        splits, embedded = script.prepare_data(chosen)
    vocab = ru.Vocab.build(name for name, _ in splits["train"])
    labels = sorted({label for rows in splits.values() for _, label in rows})
    data = {part: script.encode(rows, vocab, labels) for part, rows in splits.items()}
    rows = []
    for size, kind, lr in ((1, "SGD", 0.005), (1, "Adam", 0.0005), (64, "Adam", chosen.lr)):
        ru.set_seed(0)
        model = script.NameClassifier(len(vocab), len(labels), chosen)
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=lr)
        row = {"data": "embedded" if embedded else "names", "batch": size}
        row |= {"optimiser": f"{kind} {lr}", **train_until(script, data, model, size, optimizer)}
        rows.append({**row, "names/s": row["names read"] / row["s to it"]})
    return rows


# The script runs as it is; only where it asks for its first batch, the process ends.
TO_FIRST_BATCH = """
import os, sys
import rnn_utils
from helpers import load_script
rnn_utils.progress = lambda *args, **options: os._exit(77)
load_script(sys.argv[1]).main(["--quick", "--output-dir", sys.argv[2]])
"""


# Cold: no bytecode on disk, as after installing, so Python compiles every module it imports.
# Nearly all of that is PyTorch, the same for every script; so it is done for one of them.
# Starting takes seconds: each script is timed once, after a start that does not count.
def startup(args) -> list[dict]:
    """(f) seconds from the start of the process to the first batch of a --quick run"""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        search = os.pathsep.join([str(TESTS), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": search, "RNN_OFFLINE": "1"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")

        def start(name: str) -> None:
            command = [sys.executable, "-c", TO_FIRST_BATCH, name, folder]
            child = subprocess.run(command, env=environment, capture_output=True, text=True)
            if child.returncode != 77:
                raise RuntimeError(f"{name} came to no first batch: {child.stderr}")

        started = time.perf_counter()
        start(SCRIPTS[3])
        cold = time.perf_counter() - started
        rows.append({"script": SCRIPTS[3], "start": "cold", "s": cold})
        runs = {name: lambda name=name: start(name) for name in CASES}
        for name, seconds in take_turns(runs, 1).items():
            rows.append({"script": name, "start": "cached", "s": seconds[0]})
    return rows


# A child begins with the size of the process that it is split off from: so a small one starts it.
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory(args) -> list[dict]:
    """(g) the most resident memory of each run; the first row is PyTorch by itself"""
    if importlib.util.find_spec("resource") is None:
        print("  Windows keeps no such number, so there is nothing to report")
        return []
    flags, rows = [] if args.full else ["--quick"], []
    commands = {"import torch": ["-c", "import torch"]}
    commands |= {" ".join([name, *flags]): [str(ROOT / f"{name}.py"), *flags] for name in SCRIPTS}
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands.items():
            command = [sys.executable, "-c", PEAK, sys.executable, *command]
            started = time.perf_counter()
            child = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            status, peak = map(int, child.stdout.split())
            if status:
                raise RuntimeError(f"{name} failed: {child.stderr}")
            rows.append({"run": name, "MiB": peak / unit, "s": time.perf_counter() - started})
    return rows


# %% ------------------------------------------------------------------
# 5. Growth
# ----------------------------------------------------------------------


def growing_steps() -> dict[str, tuple]:
    """What grows -> (its sizes, size -> the bare loop over one batch, size -> the work in it)."""

    def of(script: str, setting: str, **changes) -> Callable:
        return lambda n: both_loops(script, 1, **changes, **{setting: n})[1]

    def weights(n: int) -> int:  # of an LSTM that reads 100 numbers
        return 4 * n * (n + 100)

    lengths, sizes, reviews, text = (50, 100, 200, 400), (16, 32, 64, 128), SCRIPTS[4], SCRIPTS[9]
    return {
        "05 words": (lengths, of(reviews, "length"), int),
        "05 batch": (sizes, of(reviews, "batch_size", length=100), int),
        "05 hidden size": (sizes, of(reviews, "hidden_size", length=100), weights),
        "06 window": (lengths, of(SCRIPTS[5], "sequence_length"), int),
        "09 words": ((8, 16, 32, 64), of(SCRIPTS[8], "length"), int),
        "10 chunk": (sizes, of(text, "sequence_length"), int),
        "10 streams": (sizes, of(text, "batch_size", sequence_length=32), int),
    }


def growing_preparations() -> dict[str, tuple]:
    """The same for what is done once for a corpus of n texts of about 20 words."""
    names, reviews, pairs, text = (load_script(SCRIPTS[k]) for k in (3, 4, 7, 9))

    def encode_reviews(texts):
        tokens = (ru.basic_english(" ".join(text)) for text in texts)
        rest, _ = ru.Corpus.from_tokens(tokens, ["neg", "pos"] * (len(texts) // 2)).set_aside(0.1)
        return reviews.encode(rest, rest.build_vocab(), ["neg", "pos"], settings(reviews))

    def encode_pairs(texts):
        train = ru.split_pairs([(tuple(t), tuple(reversed(t))) for t in texts])["train"]
        vocabs = [ru.Vocab.build(side, pairs.SPECIALS) for side in zip(*train)]
        return ru.encode_pairs(train, vocabs)

    def encode_text(texts):
        words, ids = ru.number_tokens(text.tokenize(" ".join(line), "char") for line in texts)
        return text.build_vocab(words, ids, settings(text))

    def five_grams(texts):
        ids = torch.randint(65, (100 * len(texts),)).numpy()
        return ru.kneser_ney(ids, len(ids) * 9 // 10, 65, 5)

    tasks = {
        "04 split": lambda texts: names.split_by_name([(" ".join(t), t[0][:2]) for t in texts]),
        "05 corpus to indices": encode_reviews,
        "08, 09 pairs to indices": encode_pairs,
        "10 text to indices": encode_text,
        "10 5-gram baseline": five_grams,
        "batches of an epoch": lambda texts: list(ru.BucketBatchSampler(list(map(len, texts)), 64)),
    }

    def on(task: Callable, n: int) -> Callable:
        texts = made_up(text_lengths(n, 20, 100), 20_000)
        return lambda: task(texts)

    sizes = (1_000, 2_000, 4_000, 8_000)
    return {name: (sizes, functools.partial(on, task), int) for name, task in tasks.items()}


def scaling(args) -> list[dict]:
    """(h) how times grow, each size twice the one before, against a straight line"""
    rows = []
    for name, (sizes, make, work) in {**growing_steps(), **growing_preparations()}.items():
        seconds = take_turns({size: make(size) for size in sizes}, args.repeats)
        first, before, last = sizes[0], sizes[-2], sizes[-1]
        row = {"what grows": name, "from": first, "to": last}
        row |= {"first ms": median_ms(seconds[first]), "last ms": median_ms(seconds[last])}
        row["last doubling"] = median_ratio(seconds[last], seconds[before])
        row["line"] = work(last) / work(before)
        row["against line"] = row["last doubling"] / row["line"]
        rows.append({**row, "sizes": list(sizes), "seconds": list(seconds.values())})
    return rows


# %% ------------------------------------------------------------------
# 6. Command line
# ----------------------------------------------------------------------

PARTS = {
    part.__name__: part
    for part in (step, batching, cells, threads, batch_one, startup, memory, scaling)
}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument
    add("--only", choices=tuple(PARTS), metavar="NAME", help=f"one of {', '.join(PARTS)}")
    add("--json", default="benchmark.json", metavar="FILE", help="where the numbers go")
    add("--repeats", type=ru.at_least(1), default=5, help="turns of which the median is taken")
    add("--full", action="store_true", help="memory: default runs in place of --quick")
    return parser.parse_args(argv)


def main(argv=None) -> dict:
    args = parse_args(argv)
    args.own_threads = torch.get_num_threads()
    torch.set_flush_denormal(True)  # as the scripts do
    results = {"versions": ru.versions(), "cores": os.cpu_count(), "repeats": args.repeats}
    results.update(seconds={}, parts={})
    for name in [args.only] if args.only else PARTS:
        print(f"\n{name}: {PARTS[name].__doc__}", flush=True)
        ru.set_seed(0)
        torch.set_num_threads(1)
        started = time.perf_counter()
        rows = results["parts"][name] = PARTS[name](args)
        if rows:
            print_table(rows)
        results["seconds"][name] = round(time.perf_counter() - started, 1)
        ru.write_json(args.json, results)  # after each part: what has been measured is kept
    print(f"\n{args.json} holds the seconds of every turn, too")
    return results


if __name__ == "__main__":
    ru.run(main)
