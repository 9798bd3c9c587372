"""benchmark: where the seconds go, and what they would be otherwise.

    python tests/benchmark.py                         # every part, 5 repetitions each
    python tests/benchmark.py --only reference        # how fast is this machine?  seconds
    python tests/benchmark.py --json mine.json        # the numbers (default: benchmark.json)
    python tests/benchmark.py --only memory --full    # default runs in place of --quick: an hour

It measures and judges nothing: no time makes it fail, and pytest does not collect it.  It needs
no download; only `batch_one` reads the surnames where they are on disk.

    reference  20 updates of plain networks as large as those of 05, 09 and 10
    step       each script's own train_epoch against the bare loop on the same, prepared batches
    batching   padded batches of similar lengths, padded random batches, packed sequences
    cells      the hand-written cells of 04, 05 and 06 against nn.RNN, nn.LSTM and nn.GRU
    threads    the networks of `reference` by 1, 2 and 4 threads, alone and beside a busy process
    batch_one  one name at a time, as older tutorials train, against batches, to equal accuracy
    startup    from the start of the process to the first batch of a --quick run
    memory     the most memory that a run ever holds

How to repeat   On a machine with nothing else to do: a second program takes more from some rows
than from others.  What is compared is run in turns in one process, forth and back, after one turn
that does not count, so that a slow minute slows all alike.  A time is the median over the turns,
and a ratio the median of the ratios within a turn.  One thread, except in `threads` and where a
script runs as a process of its own.  With fewer than 5 repetitions expect other numbers next time.

How to read     Ratios travel from machine to machine better than seconds do.  `reference` uses
nothing of the scripts, so it stays the same when they change: divide a run's seconds by those of
`reference` from the same minute, and compare that.  In `step`, 0.95 means: of the time of an epoch
95 % is the network, and 5 % the rest, which is making batches, clipping, the schedule, counting.
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

import torch
import torch.nn.functional as F
from helpers import load_script
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import rnn_pairs as rp
import rnn_texts as rt
import rnn_utils as ru

SCRIPTS = sorted(path.stem for path in ROOT.glob("[0-9][0-9]_*.py"))


# %% ---- 1. Clocks, tables, made-up data --------------------------------------------
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


def train_step(model, inputs, loss: Callable, optimizer) -> None:
    """What no training can do without: forward, loss, backward, step."""
    loss(model(*inputs)).backward()
    optimizer.step()
    optimizer.zero_grad()


# A loss takes as long whatever the targets are, so zeros do.
def class_loss(logits: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    targets = torch.zeros(logits.shape[:-1], dtype=torch.long, device=logits.device).flatten()
    return F.cross_entropy(logits.flatten(0, -2), targets, label_smoothing=smoothing)


def yes_no_loss(logits: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


# %% ---- 2. How fast is this machine? -----------------------------------------------
class Reviews(nn.Module):
    """As large as the network of 05: words (B, T) -> one logit (B,)."""

    def __init__(self):
        super().__init__()
        self.embedding, self.output = nn.Embedding(3_000, 100), nn.Linear(64, 1)
        self.rnn = nn.LSTM(100, 64, batch_first=True)

    def forward(self, words):
        return self.output(self.rnn(self.embedding(words))[0].amax(dim=1))[:, 0]


class Translator(nn.Module):
    """As large as the network of 09: sources (B, S), targets (B, T) -> (B, T, V)."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(6_000, 128), nn.Embedding(6_000, 128)
        self.encoder = nn.LSTM(128, 128, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(128, 256, batch_first=True)
        self.readout = nn.Linear(512, 128)

    def forward(self, sources, targets):
        outputs, _ = self.encoder(self.source(sources))  # (B, S, H)
        states, _ = self.decoder(self.target(targets))  # (B, T, H)
        weights = (states @ outputs.transpose(1, 2)).softmax(dim=2)  # (B, T, S)
        features = self.readout(torch.cat([states, weights @ outputs], dim=2)).tanh()
        return features @ self.target.weight.T


class Characters(nn.Module):
    """As large as the network of 10: symbols (B, T) -> (B, T, V)."""

    def __init__(self):
        super().__init__()
        self.embedding, self.output = nn.Embedding(66, 64), nn.Linear(384, 66)
        self.rnn = nn.LSTM(64, 384, batch_first=True)

    def forward(self, symbols):
        return self.output(self.rnn(self.embedding(symbols))[0])


UPDATES = 20


def plain_networks(device: torch.device) -> dict[str, Callable]:
    """{network and batch: a function that makes UPDATES updates}."""
    cases = {
        "05, 64 x 250 words": (Reviews(), [(64, 250)], 3_000, yes_no_loss),
        "09, 64 x 12 -> 14 words": (Translator(), [(64, 12), (64, 14)], 6_000, class_loss),
        "10, 16 x 64 characters": (Characters(), [(16, 64)], 66, class_loss),
    }

    def make_updates(model, shapes, size, loss) -> None:
        inputs = [torch.randint(size, shape).to(device) for shape in shapes]
        optimizer = torch.optim.Adam(model.to(device).parameters())

        def updates():
            for _ in range(UPDATES):
                train_step(model, inputs, loss, optimizer)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return updates

    return {name: make_updates(*case) for name, case in cases.items()}


def reference(args) -> list[dict]:
    """(a) 20 updates of plain networks, as large as those of 05, 09 and 10, and on such batches"""
    device = ru.get_device(args.device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    rows = []
    for name, seconds in take_turns(plain_networks(device), args.repeats).items():
        row = {"network": name, "device": card, "s": statistics.median(seconds)}
        rows.append({**row, "seconds": seconds})
    total = sum(row["s"] for row in rows)
    return [*rows, {"network": "together", "device": card, "s": total, "seconds": []}]


# %% ---- 3. The scripts' own models, on batches of the shape that their data have ----
# Each of these makes the model that a script trains by default, and a function that is the script's
# train_epoch on `num_batches` batches.
def labelled(lengths: list[int], vocab_size: int, num_labels: int):
    """A Split of random texts of these lengths."""
    texts = [torch.randint(2, vocab_size, (n,)) for n in lengths]
    inputs, lengths = ru.pad_batch(texts)
    return rt.Split(texts, inputs, lengths, torch.randint(num_labels, (len(texts),)))


def names_case(script, num_batches: int):
    """04: names of 3 to 15 letters."""
    flags = script.parse_args([])
    split = labelled(text_lengths(num_batches * flags.batch_size, 7, 15), 31, 18)
    model = script.NameClassifier(31, 18, flags.hidden_size, flags.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=flags.lr)
    sampler = ru.BucketBatchSampler(split.lengths, flags.batch_size)
    plan = (1, flags.epochs, flags.lr, flags.clip)
    return model, lambda: script.train_epoch(model, split, sampler, optimizer, *plan)


def texts_case(script, num_batches: int):
    """05: texts as long as IMDB's reviews.  07: as TREC's questions."""
    flags = script.parse_args([])
    count = num_batches * flags.batch_size
    if script.TUTORIAL.startswith("05"):
        lengths = text_lengths(count, 210, flags.max_length)
        split = labelled(lengths, script.VOCABULARY, 2)
        model = script.ReviewClassifier(script.VOCABULARY, flags.hidden_size, flags.dropout)
    else:
        split = labelled(text_lengths(count, 10, 37), 3_500, 6)
        model = script.TextClassifier(3_500, 6, flags.hidden_size, dropout=flags.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=flags.lr)
    sampler = ru.BucketBatchSampler(split.lengths, flags.batch_size)
    plan = (1, flags.epochs, flags.lr, flags.batch_size, flags.clip)
    return model, lambda: script.train_epoch(model, split, sampler, optimizer, *plan)


def series_case(script, num_batches: int):
    """06: the sine of the default run, as long as the batches need it."""
    flags = script.parse_args([])
    L, K = flags.sequence_length, flags.horizon
    steps = num_batches * flags.batch_size + L + K - 1
    z = torch.from_numpy(script.make_sine(steps, 0) / 5 - 5).float()[:, None]  # (T, 1)
    split = script.make_windows(z, slice(0, steps), L, K)
    model = script.Forecaster(1, K, flags.hidden_size, flags.anchor, flags.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=flags.lr)
    plan = (1, flags.epochs, flags.lr, flags.batch_size, flags.clip)
    return model, lambda: script.train_epoch(model, split, optimizer, *plan)


# 08 and 09 fill their batches with sources of one length.  Of each length a few remain, which make
# smaller batches; in so short an epoch they would be many, so here every batch is full.
def pairs_case(script, num_batches: int):
    """08: reversal of up to 20 digits.  09: sentences as in Multi30k."""
    flags = script.parse_args([])
    translate = script.TUTORIAL.startswith("09")
    usual = [11, 14, 9, 17, 12, 10] if translate else [20, 13, 17, 6, 18, 10, 15, 19]
    lengths = (usual * num_batches)[:num_batches] * flags.batch_size
    size = 6_000 if translate else 14
    more = [n + translate * random.randint(0, 4) for n in lengths]
    words = [[torch.randint(4, size, (n,)).tolist() for n in side] for side in (lengths, more)]
    sources, targets = words[0], [[ru.BOS, *target, ru.EOS] for target in words[1]]
    split = rp.PairSplit(list(zip(*words)), *ru.pad_batch(sources), *ru.pad_batch(targets))
    model = script.Seq2Seq(size, size, hidden_size=flags.hidden_size, dropout=flags.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=flags.lr, betas=(0.9, 0.98))
    plan = (1, flags.epochs, flags.lr, flags.batch_size, flags.clip, 0)
    return model, lambda: script.train_epoch(model, split, optimizer, *plan)


def characters_case(script, num_batches: int):
    """10: random characters, as many different ones as Shakespeare uses."""
    flags = script.parse_args([])
    T = flags.sequence_length
    ids = torch.randint(1, 66, (num_batches * flags.batch_size * T + 1,))
    streams = script.make_streams(ids, flags.batch_size, T)
    model = script.LanguageModel(66, hidden_size=flags.hidden_size, dropout=flags.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=flags.lr)
    # It writes a line once in an epoch.  In so few batches as here that would count for far more.
    script.write_line = lambda *_: ""
    plan = (None, 2, flags.epochs, flags.lr, T, flags.clip)
    return model, lambda: script.train_epoch(model, *streams, optimizer, *plan)


CASES = {  # script -> its case, batches in a turn, the loss of what its model returns
    "04_simple_rnn": (names_case, 30, class_loss),
    "05_lstm_sentiment": (texts_case, 4, yes_no_loss),
    "06_gru_time_series": (series_case, 15, lambda y: F.mse_loss(y, torch.zeros_like(y))),
    "07_bidirectional_rnn": (texts_case, 10, functools.partial(class_loss, smoothing=0.1)),
    "08_seq2seq_basic": (pairs_case, 16, class_loss),
    "09_attention_mechanism": (pairs_case, 6, class_loss),
    "10_text_generation": (characters_case, 12, lambda answer: class_loss(answer[0])),
}


def step(args) -> list[dict]:
    """(b) each script's own training step against the bare loop on the same tensors"""
    rows = []
    for name, (make, num_batches, loss) in CASES.items():
        model, epoch = make(load_script(name), num_batches)
        optimizer = torch.optim.Adam(model.parameters())
        batches = []  # what the script calls its model with
        hook = model.register_forward_pre_hook(lambda _, inputs, kept=batches: kept.append(inputs))
        epoch()
        hook.remove()

        def bare(model=model, batches=batches, loss=loss, optimizer=optimizer):
            for inputs in batches:
                train_step(model, inputs, loss, optimizer)

        seconds = take_turns({"script": epoch, "bare": bare}, args.repeats)
        row = {"script": name, "batches": len(batches)}
        for loop, values in seconds.items():
            row[f"{loop} ms/step"] = median_ms(values, len(batches))
        row["bare / script"] = median_ratio(seconds["bare"], seconds["script"])
        rows.append({**row, "seconds": list(seconds.values())})
    return rows


# %% ---- 4. Batches, cells, threads -------------------------------------------------
def batching(args) -> list[dict]:
    """(c) an epoch of an LSTM over 256 texts of 3 to 200 words, put into batches in three ways"""
    lengths = torch.tensor(text_lengths(256, 70, 200))
    texts = [torch.randint(1, 5_000, (n,)) for n in lengths.tolist()]
    lstm, output = nn.LSTM(100, 128, batch_first=True), nn.Linear(128, 1)
    parts = nn.ModuleList([nn.Embedding(5_000, 100, padding_idx=0), lstm, output])
    optimizer = torch.optim.Adam(parts.parameters())

    def classify(inputs, own_lengths, packed: bool):
        embedded = parts[0](inputs)  # (B, T, E)
        if packed:
            options = {"batch_first": True, "enforce_sorted": False}
            _, (h_n, _) = lstm(pack_padded_sequence(embedded, own_lengths, **options))
            return output(h_n[0])[:, 0]  # (B,)
        return output(lstm(embedded)[0][torch.arange(len(inputs)), own_lengths - 1])[:, 0]

    def epoch(batches, packed: bool):
        for rows in batches:
            inputs = (*ru.pad_batch([texts[row] for row in rows]), packed)
            train_step(classify, inputs, yes_no_loss, optimizer)

    similar = list(ru.BucketBatchSampler(lengths, 64))
    chance = [rows.tolist() for rows in torch.randperm(len(texts)).split(64)]
    ways = {"padded, similar lengths": (similar, False), "padded, random": (chance, False)}
    ways["packed, random"] = (chance, True)
    runs = {name: functools.partial(epoch, *way) for name, way in ways.items()}
    seconds, rows, num_words = take_turns(runs, args.repeats), [], int(lengths.sum())
    for (name, values), (batches, packed) in zip(seconds.items(), ways.values()):
        steps = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
        padding = 0.0 if packed else 1 - num_words / steps
        row = {"batches": name, "padding": f"{padding:.0%}", "epoch ms": median_ms(values)}
        row["words/s"] = num_words / statistics.median(values)
        row["times the first"] = median_ratio(values, seconds["padded, similar lengths"])
        rows.append({**row, "seconds": values})
    return rows


def cells(args) -> list[dict]:
    """(d) forward and backward of a cell by hand and of PyTorch's (B=64 T=50 E=100 H=128)"""
    inputs, rows = torch.randn(64, 50, 100), []
    for name, script in zip(("RNN", "LSTM", "GRU"), SCRIPTS[3:6]):
        ours = getattr(load_script(script), f"HandWritten{name}")(100, 128)
        layers = {"by hand": ours, "nn": getattr(nn, name)(100, 128, batch_first=True)}
        runs = {
            key: lambda layer=layer: [layer(inputs)[0].sum().backward() for _ in range(5)]
            for key, layer in layers.items()
        }
        seconds = take_turns(runs, args.repeats)
        row = {"cell": name, **{f"{key} ms": median_ms(s, 5) for key, s in seconds.items()}}
        row["by hand / nn"] = median_ratio(seconds["by hand"], seconds["nn"])
        rows.append({**row, "seconds": list(seconds.values())})
    return rows


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
    """(e) the same as in (a) by more threads, alone and beside a busy process"""
    rows = []
    for count in sorted({1, 2, 4, os.cpu_count()}):
        torch.set_num_threads(count)
        alone = take_turns(plain_networks(torch.device("cpu")), args.repeats)
        with busy_process():
            beside = take_turns(plain_networks(torch.device("cpu")), args.repeats)
        for name, seconds in alone.items():
            row = {"network": name, "threads": count, "alone s": statistics.median(seconds)}
            row["beside s"] = statistics.median(beside[name])
            row["beside / alone"] = row["beside s"] / row["alone s"]
            rows.append({**row, "seconds": [seconds, beside[name]]})
    return sorted(rows, key=lambda row: row["network"])


# %% ---- 5. Whole runs --------------------------------------------------------------
ENOUGH, LIMIT = 0.72, 40.0  # validation accuracy to reach; seconds of training after which to stop


def train_until(script, data: dict, model, batch_size: int, optimizer) -> dict:
    """Train on names until ENOUGH of the validation names are right, or for LIMIT seconds."""
    train, seconds, seen, accuracy = data["train"], 0.0, 0, 0.0
    sampler = ru.BucketBatchSampler(train.lengths, batch_size)
    while accuracy < ENOUGH and seconds < LIMIT:
        sampler.set_epoch(seen)
        for rows in sampler:
            started, lengths = time.perf_counter(), train.lengths[rows]
            inputs = (train.inputs[rows, : lengths.max()], lengths)
            targets = train.targets[rows]
            train_step(model, inputs, functools.partial(F.cross_entropy, target=targets), optimizer)
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
    """(f) from nothing to 72 % of the validation surnames right, or 40 s: batches of 1 and of 64"""
    script = load_script("04_simple_rnn")
    flags = script.parse_args([])
    with contextlib.redirect_stdout(io.StringIO()):
        splits, source, _ = script.load_names(None, None, True, "auto", None, True, None)
    vocab = ru.Vocab.build(name for name, _ in splits["train"])
    labels = sorted({label for rows in splits.values() for _, label in rows})
    data = {part: script.encode(rows, vocab, labels, "cpu") for part, rows in splits.items()}
    rows = []
    for size, kind, lr in ((1, "SGD", 0.005), (1, "Adam", 0.0005), (64, "Adam", flags.lr)):
        ru.set_seed(0)
        model = script.NameClassifier(len(vocab), len(labels), flags.hidden_size, flags.dropout)
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=lr)
        row = {"data": source, "batch": size, "optimiser": f"{kind} {lr}"}
        row.update(train_until(script, data, model, size, optimizer))
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


# Starting takes seconds: each script is timed once, after a start that does not count.
def startup(args) -> list[dict]:
    """(g) seconds from the start of the process to the first batch of a --quick run"""
    search = os.pathsep.join([str(TESTS), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": search, "RNN_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:

        def start(name: str) -> None:
            command = [sys.executable, "-c", TO_FIRST_BATCH, name, folder]
            child = subprocess.run(command, env=environment, capture_output=True, text=True)
            if child.returncode != 77:
                raise RuntimeError(f"{name} came to no first batch: {child.stderr}")

        runs = {name: functools.partial(start, name) for name in CASES}
        seconds = take_turns(runs, 1)
    return [{"script": name, "s": values[0]} for name, values in seconds.items()]


# A child begins with the size of the process that it is split off from: so a small one starts it.
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory(args) -> list[dict]:
    """(h) the most resident memory of each run; the first row is PyTorch by itself"""
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


# %% ---- 6. Command line ------------------------------------------------------------
PARTS = {
    part.__name__: part
    for part in (reference, step, batching, cells, threads, batch_one, startup, memory)
}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument
    add("--only", choices=tuple(PARTS), metavar="NAME", help=f"one of {', '.join(PARTS)}")
    add("--json", default="benchmark.json", metavar="FILE", help="where the numbers go")
    add("--repeats", type=ru.at_least(1), default=5, help="turns of which the median is taken")
    add("--device", default="cpu", help="reference: cpu, or cuda")
    add("--full", action="store_true", help="memory: default runs in place of --quick")
    return parser.parse_args(argv)


def main(argv=None) -> dict:
    args = parse_args(argv)
    torch.set_flush_denormal(True)  # as the scripts do
    results = {"torch": torch.__version__, "cores": os.cpu_count(), "repeats": args.repeats}
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
