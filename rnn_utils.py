"""rnn_utils: what a chapter borrows, so that its own lines are about the network.

There is no model, no training loop and no data set in this file.  Those are the lessons, and
every chapter shows its own.  Data sets and files are in rnn_data.py; scores, and simple methods
to compare a network with, are in rnn_baselines.py.  The sections can be read in any order.

Shapes are written with B batch, T time, V vocabulary, H hidden size, I features.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import math
import os
import platform
import random
import sys
import textwrap
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import threadpoolctl
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm


# %% ---- 1. Start, errors, Ctrl-C ---------------------------------------------------
class UserError(Exception):
    """A mistake that the user can mend.  The message says what is wrong, where, and what to do."""


def run(main: Callable[[], Any]) -> None:
    """Call `main` as a program: errors of the user in one line, a clean Ctrl-C, a safe console.

    Exit status: 0 when `main` returns, 2 for a mistake of the user's, 130 after Ctrl-C.
    In a notebook made from a script nothing is run, and a line says how to call `main`.
    """
    # `%run` and an editor's Run button put the file of `main` into sys.argv; a notebook does not.
    started = Path(sys.argv[0]).resolve()
    if "ipykernel" in sys.modules and started != Path(main.__code__.co_filename).resolve():
        print('In a notebook, call main([...]) with the flags as a list: main(["--quick"])')
        return
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # A character that a Windows console cannot print becomes "?"; training must go on.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        main()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        saved = "No epoch was saved (--save-model keeps each one that is finished)."
        if _this_run["checkpoint"]:
            saved = f"The finished epochs are in {_this_run['checkpoint']}; add --resume to go on."
        print(f"\nStopped by Ctrl-C. {saved}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as in `python 04_simple_rnn.py | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


# What the functions below remember of the run; start_run sets it anew.
_this_run: dict = {"started": time.perf_counter(), "checkpoint": None, "columns": None}
warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # PyTorch 2.0 warns of itself


# %% ---- 2. Device and seed ---------------------------------------------------------
def get_device(name: str = "auto") -> torch.device:
    """Return the device: cpu, cuda, cuda:N or mps; `auto` is CUDA if there is one, else the CPU.

    Raises UserError for a device that is not there; it never runs on the CPU instead.  Apple's
    mps must be named: several releases of PyTorch computed LSTM and GRU wrongly on it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise UserError(f"--device {name}: no such device; use auto, cpu, cuda, cuda:1 or mps")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--device {name}: not usable here ({reason}); use --device cpu") from None
    if name == "mps":
        warnings.warn("mps is untested, and has computed LSTM and GRU wrongly", stacklevel=2)
    return torch.device(name)


def set_threads(threads: int) -> None:
    """Let PyTorch, NumPy and scikit-learn use so many CPU threads; 0 leaves their own choice."""
    if threads == 0:
        return
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)  # libraries that are loaded: NumPy's
    for library in ("OMP", "OPENBLAS", "MKL"):  # and those that come later: SciPy's
        os.environ[f"{library}_NUM_THREADS"] = str(threads)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch: on the same CPU, a run then repeats bit for bit."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


# %% ---- 3. Text --------------------------------------------------------------------
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
PAD = 0  # fills short sequences up
UNK = 1  # stands for every token that is not in the vocabulary
BOS = 2  # beginning of sequence: the first token that a decoder reads
EOS = 3  # end of sequence: the last token that a decoder writes


def basic_english(text: str) -> list[str]:
    """Split a sentence as torchtext does: "You can't!" -> ["you", "can", "'", "t", "!"]."""
    # The order matters for odd input: quotes go before the line break is recognised.
    text = text.lower().replace('"', "").replace("<br />", " ").replace(";", " ").replace(":", " ")
    for mark in "'.,()!?":
        text = text.replace(mark, f" {mark} ")
    return text.split()


class Vocab:
    """A two-way table between tokens and indices, with the method names of torchtext.

    `tokens` lists every token in index order.  The special tokens come first, and `<unk>` must
    be one of them: every token that is not in the table gets its index.  `vocab["<bos>"]` is the
    index of a special token, but `vocab(tokens)` takes "<bos>" in a text for an ordinary word.

    Build one from the training texts with `Vocab.build`; save it as the plain list
    `vocab.get_itos()` and restore it with `Vocab(that_list)`.
    """

    UNK = "<unk>"

    def __init__(self, tokens: Sequence[str]):
        self._itos = list(tokens)
        specials = itertools.takewhile(lambda token: token in SPECIALS, self._itos)
        self._specials = {token: index for index, token in enumerate(specials)}
        first = len(self._specials)
        self._stoi = {token: index for index, token in enumerate(self._itos[first:], start=first)}
        if len(self._specials) + len(self._stoi) != len(self._itos):
            raise ValueError("a token appears twice in the vocabulary")
        if self.UNK not in self._specials:
            raise ValueError(f"the vocabulary must begin with special tokens, one is {self.UNK}")
        self._default_index = self._specials[self.UNK]

    @classmethod
    def build(cls, texts: Iterable, specials=SPECIALS[:2], min_freq=1, max_size=None) -> Vocab:
        """Number the tokens of `texts`, lists of tokens: the most frequent first, ties by alphabet.

        Before them come the special tokens, so `<pad>` is 0; `max_size` counts these, too.
        """
        counts: collections.Counter[str] = collections.Counter()
        for tokens in texts:
            counts.update(tokens)
        # Words that are spelled like a special token go last, so that they are not among those.
        ranked = sorted(counts.items(), key=lambda item: (item[0] in SPECIALS, -item[1], item[0]))
        tokens = list(specials) + [token for token, count in ranked if count >= min_freq]
        return cls(tokens[:max_size])

    def __len__(self) -> int:
        return len(self._itos)

    def __contains__(self, token: str) -> bool:
        return token in self._stoi or token in self._specials

    def __getitem__(self, token: str) -> int:
        """The index of one token, a special one or a word."""
        if token in self._specials:
            return self._specials[token]
        return self._stoi.get(token, self._default_index)

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """Numericalise a text: the index of each token, none of them taken for a special one."""
        return [self._stoi.get(token, self._default_index) for token in tokens]

    lookup_indices = __call__

    def lookup_token(self, index: int) -> str:
        if not 0 <= index < len(self._itos):
            raise IndexError(f"index {index} is outside the vocabulary of {len(self)}")
        return self._itos[index]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        return [self.lookup_token(int(index)) for index in indices]

    def get_itos(self) -> list[str]:
        """The tokens in index order: a plain list, to be saved."""
        return list(self._itos)

    def get_stoi(self) -> dict[str, int]:
        """{token: index}; where a word is spelled like a special token, the special one."""
        return self._stoi | self._specials

    def get_default_index(self) -> int:
        return self._default_index

    def set_default_index(self, index: int) -> None:
        """Choose the index that unknown tokens get (at first that of `<unk>`)."""
        self._default_index = index


# %% ---- 4. Batches -----------------------------------------------------------------
def pad_batch(sequences: Sequence, pad_value: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences of different lengths, filling the short ones up at their end.

    `sequences`: B lists, arrays or tensors, each (T_i,) or (T_i, I), none of them empty.
    Returns the batch, (B, T) or (B, T, I) with T the longest, and the lengths (B,).
    """
    tensors = [torch.as_tensor(sequence) for sequence in sequences]
    lengths = torch.tensor([len(tensor) for tensor in tensors])
    if len(tensors) == 0 or int(lengths.min()) == 0:
        raise ValueError("pad_batch needs at least one sequence, and none of length 0")
    return pad_sequence(tensors, batch_first=True, padding_value=pad_value), lengths


def lengths_to_mask(lengths: torch.Tensor, max_length: int | None = None) -> torch.Tensor:
    """Return a boolean mask (B, T), True at real steps; T is `max_length` or the longest."""
    steps = torch.arange(max_length or int(lengths.max()), device=lengths.device)  # (T,)
    return steps[None, :] < lengths[:, None]  # (B, T)


class BucketBatchSampler(torch.utils.data.Sampler):
    """Batches of sequences of similar length, in a new random order each epoch.

    Padding costs as much time as real data.  So: shuffle, sort by length only within pools of
    50 batches, cut into batches, shuffle the batches.  With `equal`, every batch holds one
    length only (no padding at all, at the price of some small batches).

    Every index appears exactly once per epoch.  The order depends on `seed` and on the epoch
    alone: call `set_epoch(n)` before epoch n, or every epoch is the same.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, equal: bool = False, seed: int = 0):
        self.lengths = torch.as_tensor(lengths)
        self.batch_size = batch_size
        self.equal = equal
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if not self.equal:
            return math.ceil(len(self.lengths) / self.batch_size)
        _, counts = self.lengths.unique(return_counts=True)
        return int((counts / self.batch_size).ceil().sum())

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        if self.equal:
            by_length = order[self.lengths[order].argsort(stable=True)]
            _, counts = self.lengths[by_length].unique_consecutive(return_counts=True)
            groups = by_length.split(counts.tolist())
        else:
            pools = order.split(50 * self.batch_size)
            groups = [pool[self.lengths[pool].argsort(stable=True)] for pool in pools]
        batches = []
        for group in groups:
            batches.extend(group.split(self.batch_size))
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index].tolist()


# %% ---- 5. Training ----------------------------------------------------------------
def clip_gradients(parameters: Iterable[torch.Tensor], max_norm: float) -> float:
    """Scale all gradients down together so that their norm is at most `max_norm`; 0: do not.

    Returns the norm before clipping.
    """
    limit = max_norm if max_norm > 0 else math.inf
    return float(torch.nn.utils.clip_grad_norm_(parameters, limit))


def learning_rate(step: int, total_steps: int, peak: float, warmup: float = 0.1) -> float:
    """The rate at one step: a linear rise over the first `warmup`, then half a cosine to 0.

    Source: Loshchilov and Hutter 2017 (SGDR), without the restarts.
    """
    rising = warmup * total_steps
    if step < rising:
        return peak * (step + 1) / math.ceil(rising)
    done = (step - rising) / max(1.0, total_steps - rising)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def check_finite(loss: float, epoch: int) -> None:
    """Stop with an explanation when the loss is infinite or not a number (UserError)."""
    if not math.isfinite(loss):
        what = f"the training loss became {loss} in epoch {epoch}: the weights have diverged"
        raise UserError(f"{what}; try a lower --lr, or a --clip between 0.5 and 5")


@torch.no_grad()
def initialise_recurrent(rnn: torch.nn.Module) -> None:
    """Orthogonal recurrent matrices and zero biases, but 1 at an LSTM's forget gate, in place.

    `rnn` is an nn.RNN, nn.LSTM or nn.GRU.  Orthogonal matrices keep the length of a state
    (Saxe et al. 2014); the open forget gate lets a cell keep its content (Gers et al. 2000).
    """
    size = rnn.hidden_size
    for name, parameter in rnn.named_parameters():
        if "weight_hh" in name:
            for gate in parameter.split(size):  # an LSTM stacks 4 matrices, a GRU 3
                torch.nn.init.orthogonal_(gate)
        elif "bias" in name:
            torch.nn.init.zeros_(parameter)
            if isinstance(rnn, torch.nn.LSTM) and "bias_ih" in name:
                parameter[size : 2 * size] = 1.0  # the gates: input, forget, cell, output


def progress(iterable: Iterable | None = None, **options) -> tqdm:
    """A progress bar on a terminal, and nothing where the output goes to a file."""
    return tqdm(iterable, leave=False, disable=not sys.stderr.isatty(), **options)


def count_parameters(model: torch.nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights on the CPU, which further training leaves alone."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def print_layers(model: torch.nn.Module, *inputs) -> None:
    """Call the model with `inputs`; print each layer, the shape of its output, its parameters.

    Of several outputs the first is shown, and of several calls of a layer the first.
    """
    shapes: dict[torch.nn.Module, str] = {}

    def remember(layer, _, output) -> None:
        first = output
        while isinstance(first, tuple):
            first = first[0]
        shapes.setdefault(layer, str(tuple(first.shape)))

    hooks = [layer.register_forward_hook(remember) for layer in model.children()]
    was_training = model.training
    model.eval()  # no dropout, so no random number is drawn
    model(*inputs)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    print(f"{'model':<10}{'layer':<32}{'output shape':<22}{'parameters':>10}")
    for name, layer in model.named_children():
        described = f"{name} ({type(layer).__name__})"
        shape = shapes.get(layer, "not used here")
        print(f"{'':<10}{described:<32}{shape:<22}{count_parameters(layer):>10,}")
    print(f"{'':<10}{'together':<54}{count_parameters(model):>10,}")


# %% ---- 6. Checkpoints -------------------------------------------------------------
CHECKPOINT_FORMAT = 2


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write to; the file written takes the place of `path` if all goes well.

    A crash at any moment leaves either the old file or the new one.  Raises UserError when the
    disk is full or the folder read-only.
    """
    temporary = Path(f"{path}.tmp")
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, (OSError, RuntimeError)):  # PyTorch's, when the disk is full
            raise UserError(f"{path}: cannot be written ({error})") from None
        raise


def save_checkpoint(path, tutorial: str, contents: dict) -> None:
    """Write `contents`, plain Python types and tensors."""
    record = {"format": CHECKPOINT_FORMAT, "tutorial": tutorial, **contents}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(record, file)
        file.flush()
        os.fsync(file.fileno())
        # Read it back before it replaces a good one: torch.save writes more than may be loaded.
        torch.load(temporary, map_location="cpu", weights_only=True)


def load_checkpoint(path, tutorial: str) -> dict:
    """Read what `save_checkpoint` wrote for the same tutorial, onto the CPU; else UserError.

    With `weights_only`, a file made to run code is refused.  PyTorch before 2.6 had a hole in
    that protection, so open strangers' files with 2.6 or newer.
    """
    if Path(path).is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint; train one with --save-model --path {path}")
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        writer = record["tutorial"]
        version = record["format"]
    except Exception as error:  # a damaged file can fail in any way; all mean the same
        what = f"not a checkpoint of this course, or damaged ({type(error).__name__})"
        raise UserError(f"{path}: {what}; train again with --save-model") from None
    if writer != tutorial:
        raise UserError(f"{path}: saved by {writer}, not by {tutorial}; open it there")
    if version != CHECKPOINT_FORMAT:
        what = f"format {version}, and this script reads format {CHECKPOINT_FORMAT}"
        raise UserError(f"{path}: {what}; train again with --save-model")
    return record


def load_model(path, tutorial: str, model_class: Callable, *needed: str) -> tuple:
    """Rebuild the model of a checkpoint, with its best weights; return it, `about` and `best`.

    `needed` names what must be in `about`, or among its flags, `about["config"]`.
    """
    record = load_checkpoint(path, tutorial)
    with restoring(path):
        about = record["about"]
        config = about["config"]
        for name in needed:
            if name not in about and name not in config:
                raise KeyError(name)
        # These raise where a stranger's file holds something else than vocabularies and names.
        for tokens in [about.get("vocab", ["<unk>"]), *about.get("vocabs", [])]:
            Vocab(tokens)
        for name in ("labels", "levels"):
            " ".join(about.get(name, []))
        model = model_class(**about["sizes"])
        model.load_state_dict(record["best"]["weights"])
        best = record["best"]
        best["epoch"] = int(best["epoch"])
    return model, about, best


@contextlib.contextmanager
def restoring(path) -> Iterator[None]:
    """Around code that rebuilds a model from a checkpoint: what is missing is a UserError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        what = f"the checkpoint does not fit this script ({reason})"
        raise UserError(f"{path}: {what}; train again with --save-model") from None


def save_epoch(path, tutorial: str, about: dict, best: dict, history, model, optimizer) -> None:
    """After an epoch: save the best weights so far, and all that going on would need.

    `about["config"]` holds the flags of the training, as `start_run` returned them.
    """
    cuda = torch.cuda.get_rng_state_all()  # empty without a GPU
    training = {
        "weights": snapshot(model),
        "optimizer": optimizer.state_dict(),
        "history": history,
        "random": {"python": random.getstate(), "torch": torch.get_rng_state(), "cuda": cuda},
    }
    save_checkpoint(path, tutorial, {"about": about, "best": best, "training": training})
    _this_run["checkpoint"] = path


def resume(path, tutorial: str, model, optimizer, *needed: str) -> tuple:
    """Restore model, optimiser and random states from a checkpoint; return (history, best).

    `best` has "epoch", "weights" and what `needed` names.  start_run has compared the flags.
    """
    record = load_checkpoint(path, tutorial)
    with restoring(path):
        best = {name: record["best"][name] for name in ("epoch", "weights", *needed)}
        training = record["training"]
        model.load_state_dict(training["weights"])
        optimizer.load_state_dict(training["optimizer"])
        history = training["history"]
        state = training["random"]
        random.setstate(state["python"])
        torch.set_rng_state(state["torch"])
        torch.cuda.set_rng_state_all(state.get("cuda", [])[: torch.cuda.device_count()])
    _this_run["checkpoint"] = path
    print(f"{'resumed':<10}after epoch {len(history)}; the best so far is epoch {best['epoch']}")
    return history, best


# %% ---- 7. Figures -----------------------------------------------------------------
# Okabe and Ito's palette: told apart with every common form of colour blindness.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK = PALETTE
GREY = "#999999"


def get_pyplot(show: bool = False):
    """Import matplotlib, drawing to files unless `show`, and set the course's look."""
    os.environ.pop("MPLBACKEND", None)  # a notebook's own, which cannot be loaded outside it
    import matplotlib.pyplot as plt

    if not show:
        plt.switch_backend("Agg")  # works on a server, and opens no window
    plt.rc("axes", prop_cycle=plt.cycler(color=PALETTE), titlesize=12)
    plt.rc("axes.spines", top=False, right=False)
    plt.rcParams.update({"figure.dpi": 110, "figure.constrained_layout.use": True, "font.size": 11})
    plt.rc("date", converter="concise")  # a whole date at each tick would not fit
    plt.rc("legend", edgecolor="none", framealpha=0.85)
    return plt


def save_figures(figures: dict[str, Any], folder, show: bool = False) -> None:
    """Save each {name: figure} as `<folder>/<name>.png`, say so, and show it if asked."""
    import matplotlib.pyplot as plt

    for name, figure in figures.items():
        path = Path(folder) / f"{name}.png"
        with replacing(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks: a box
            figure.savefig(temporary, format="png")
        print(f"{'':<10}{path}")
    if show:
        plt.show()
    plt.close("all")


def plot_curves(axes, history: list[dict], measure: str, label: str, baselines=None) -> None:
    """Draw one measure over the epochs: training solid, validation dashed, {baseline: value}."""
    epochs = [row["epoch"] for row in history]
    for part, style, color in (("train", "o-", BLUE), ("val", "o--", ORANGE)):
        if f"{part}_{measure}" in history[0]:
            values = [row[f"{part}_{measure}"] for row in history]
            name = "training" if part == "train" else "validation"
            axes.plot(epochs, values, style, ms=3, color=color, label=name)
    for (name, value), style in zip((baselines or {}).items(), (":", "-.", "--")):
        axes.axhline(value, color=GREY, linestyle=style, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.legend()


def plot_history(history: list[dict], unit: str, baselines: dict, title: str, measure="accuracy"):
    """Return a figure with the loss (in `unit`) and the main measure over the epochs."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    plot_curves(left, history, "loss", f"loss ({unit})")
    plot_curves(right, history, measure, measure.replace("_", " "), baselines)
    figure.suptitle(f"Does the network still learn, or does it memorise?{title}")
    return figure


def plot_heatmap(axes, matrix, row_names, column_names, label, cmap="Blues", vmin=None, vmax=None):
    """Draw a matrix (rows, columns) as colours; `label` names the colour bar, None omits it."""
    image = axes.imshow(np.asarray(matrix), aspect="auto", cmap=cmap, vmin=vmin, vmax=vmax)
    # Names may be words of a user's text, and a pair of dollar signs in them is no formula.
    axes.set_xticks(range(len(column_names)), column_names, parse_math=False)
    axes.set_yticks(range(len(row_names)), row_names, parse_math=False)
    axes.spines[:].set_visible(False)
    if label is not None:
        axes.figure.colorbar(image, ax=axes, label=label)


# %% ---- 8. Command line ------------------------------------------------------------
class _OneLineParser(argparse.ArgumentParser):
    """argparse prints its usage before every error; one line is easier to act on."""

    def error(self, message: str):
        self.exit(2, f"error: {message} (--help lists the flags)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but no "(default: None)": there the help text says what happens."""

    def _get_help_string(self, action):
        hidden = action.default is None or action.default is False  # a default of 0 is shown
        return action.help if hidden else super()._get_help_string(action)


def make_parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose `--help` opens with the first line of the script's docstring."""
    first_line = (docstring or "").strip().partition("\n")[0]  # `python -OO` has no docstrings
    return _OneLineParser(description=first_line, formatter_class=_Help, allow_abbrev=False)


def between(low: float, high: float = math.inf, kind: type = float) -> Callable:
    """An argparse type: a number from `low` to `high`, of the type `kind`."""

    def number(text: str) -> float:
        value = kind(text)  # a ValueError becomes argparse's own message
        if not (low <= value <= high and abs(value) < 2**31):
            upper = "" if math.isinf(high) else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"must be {low:g} or more{upper}, and is {text}")
        return value

    number.__name__ = "whole number" if kind is int else "number"  # for argparse's message
    return number


def at_least(minimum: int) -> Callable[[str], int]:
    """An argparse type: a whole number that is not below `minimum`."""
    return between(minimum, kind=int)


def add_data_flags(parser, dataset: str, own: str, columns, others: Sequence[str] = ()) -> None:
    """Add the flags that say what to learn from.

    `own` describes the user's data: a table with two `columns`, or, without these, one or two
    files of pairs, whose header is read only if `--columns` is given.
    """
    add = parser.add_argument_group("data").add_argument
    auto = f"auto: {dataset}, or small embedded data where it is not available"
    choices = ["auto", dataset, *others, "embedded"]
    add("--dataset", choices=choices, default="auto", help=auto)
    add("--data", metavar="PATH", nargs=None if columns else "+", help=own)
    add("--columns", nargs=2, default=columns, metavar="NAME", help="the columns of your table")
    add("--max-examples", type=at_least(1), metavar="N", help="use about N examples")


def add_training_flags(parser: argparse.ArgumentParser, **defaults) -> None:
    """Add the flags of every training, with the script's own defaults."""
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=at_least(1), help="passes over the training data")
    add("--lr", type=between(1e-9, 10), help="peak learning rate")
    add("--batch-size", type=at_least(1), help="examples in memory at a time")
    add("--clip", type=between(0), help="largest length of the gradient; 0: no clipping")
    add("--patience", type=at_least(0), help="epochs without a better one, then stop; 0: never")
    add("--hidden-size", type=at_least(1), help="numbers in the state h_t")
    add("--dropout", type=between(0, 0.95), help="share of activations zeroed")
    add("--quick", action="store_true", help="a tiny run on embedded data, to see that it works")
    parser.set_defaults(**defaults)


def add_run_flags(parser: argparse.ArgumentParser, threads: int = 1, downloads=True) -> None:
    """Add the flags that mean the same in every script; `downloads`: those of data sets, too."""
    threads = threads if (os.cpu_count() or 1) >= 4 else 1
    add = parser.add_argument_group("machine and files").add_argument
    add("--seed", type=at_least(0), default=0, help="random seed: same seed, same result")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--threads", type=at_least(0), default=threads, help="CPU threads; 0: PyTorch's choice")
    if downloads:
        add("--data-dir", help="folder of the data sets (default: $RNN_DATA_DIR, else ./data)")
        add("--offline", action="store_true", help="never use the network")
    add("--output-dir", help="folder of figures and metrics.json (default: outputs/<script>)")
    add("--no-plots", action="store_true", help="draw no figures")
    add("--show", action="store_true", help="also open the figures in windows")


def add_checkpoint_flags(parser: argparse.ArgumentParser, tutorial: str) -> None:
    """Add the flags about checkpoints, the same in every script that has any."""
    add = parser.add_argument_group("checkpoints").add_argument
    add("--save-model", action="store_true", help="save the model after every epoch")
    add("--path", help=f"the checkpoint (default: models/{tutorial}.pt)")
    add("--resume", action="store_true", help="go on with a --save-model run, with the same flags")
    add("--eval-only", action="store_true", help="score the checkpoint; train only baselines")


def parse_arguments(parser: argparse.ArgumentParser, argv, quick: dict) -> argparse.Namespace:
    """Parse the command line; with `--quick`, what is not written out comes from `quick`."""
    args = parser.parse_args(argv)
    if args.quick:
        parser.set_defaults(**quick)
        args = parser.parse_args(argv)
    return args


def answers_alone(args: argparse.Namespace, asked) -> bool:
    """Whether the checkpoint alone is to answer; `asked` is the value of --predict, or None."""
    trains = args.save_model or args.resume or args.eval_only
    return asked is not None and bool(args.path) and not trains


def start_run(args: argparse.Namespace, tutorial: str, *others: str) -> tuple[torch.device, dict]:
    """Set threads and seed, and find out *before* training whether results can be written.

    Fills in the defaults of `args.output_dir` and `args.path`.  Returns the device, and the flags
    that shape the trained model, without the `others`, such as "predict": a resumed run must
    agree in all of them, and with --eval-only they are put into `args` from the checkpoint.
    """
    _this_run.update(started=time.perf_counter(), checkpoint=None, columns=None)
    os.environ.pop("MPLBACKEND", None)  # see get_pyplot; rnn_data loads matplotlib, too
    device = get_device(args.device)
    set_threads(args.threads)
    set_seed(args.seed)
    # A gradient that vanishes ends in numbers below 1e-38, which a CPU handles a hundred times
    # more slowly than others: an LSTM read at its last state took 4 times as long.
    torch.set_flush_denormal(True)
    evaluates = getattr(args, "eval_only", False)
    # The figures of an evaluation get a folder of their own; those of the training stay.
    folder = Path("outputs") / tutorial / ("eval" if evaluates else "")
    args.output_dir = args.output_dir or str(folder)
    _require_writable(args.output_dir, "--output-dir")
    if hasattr(args, "path"):  # a script with checkpoints
        questions = ("predict", "translate", "forecast", "prompt")
        if not args.path and any(getattr(args, name, None) is not None for name in questions):
            print("there is no --path: a new network is trained first, and then asked")
        args.path = args.path or str(Path("models") / f"{tutorial}.pt")
        _check_checkpoint_flags(args)
    config = {k: v for k, v in vars(args).items() if k not in _RUN_FLAGS and k not in others}
    if getattr(args, "resume", False):
        _require_same_flags(args.path, load_checkpoint(args.path, tutorial), config)
    if evaluates:
        config = _take_settings(args, load_checkpoint(args.path, tutorial), list(config))
    print(f"{tutorial} on {device}")
    settings = {name: v for name, v in vars(args).items() if v is not None and v is not False}
    text = "  ".join(f"{name.replace('_', '-')}={value}" for name, value in settings.items())
    text = textwrap.fill(text, 88, subsequent_indent=" " * 10, break_on_hyphens=False)
    print(f"{'settings':<10}{text}")
    return device, config


# Flags that say where and how to run, not what is trained.
_RUN_FLAGS = ["data_dir", "device", "eval_only", "no_plots", "offline", "output_dir", "path"]
_RUN_FLAGS += ["quick", "resume", "save_model", "show", "threads"]
_DATA_FLAGS = ["data", "dataset", "columns", "max_examples", "date_column", "num_steps"]


def _check_checkpoint_flags(args: argparse.Namespace) -> None:
    if args.eval_only and (args.save_model or args.resume):
        raise UserError("--eval-only trains nothing; drop --save-model and --resume")
    args.save_model = args.save_model or args.resume
    if args.save_model:
        if Path(args.path).is_dir():
            raise UserError(f"--path {args.path}: is a folder; name a file in it")
        _require_writable(Path(args.path).parent, "--path")
    if args.resume and not Path(args.path).is_file():
        remedy = "if no epoch was finished, start again with --save-model and without --resume"
        raise UserError(f"{args.path}: nothing to resume there; {remedy}")


def _require_same_flags(path, checkpoint: dict, config: dict) -> None:
    """Raise UserError where the saved run had other flags: two halves of different experiments."""
    with restoring(path):
        saved = checkpoint["about"]["config"]
        pairs = [(name, saved.get(name), value) for name, value in config.items()]
    found = [f"--{name.replace('_', '-')} {a}, not {b}" for name, a, b in pairs if a != b]
    if found:
        remedy = (
            "give the flags of that run (--quick among them), or another --path without --resume"
        )
        raise UserError(f"{path}: cannot resume, that run had {'; '.join(found)[:300]}; {remedy}")


def _take_settings(args: argparse.Namespace, checkpoint: dict, names: list[str]) -> dict:
    """Put the flags that a model was trained with into `args`; return them.

    That includes its data, unless `--data` or `--dataset` names others: only on the data it was
    trained with is the test split one that the model has never seen.
    """
    with restoring(args.path):
        trained = {name: checkpoint["about"]["config"][name] for name in names}
    kept = []
    if args.data is not None or args.dataset not in (None, "auto"):
        # Of other data, too, the columns and season of the training count, unless others are named.
        own = ("column", "features", "season")
        given = [name for name in own if getattr(args, name, None) is not None]
        kept = _DATA_FLAGS + given
    vars(args).update({name: value for name, value in trained.items() if name not in kept})
    return trained


def _require_writable(folder, flag: str) -> None:
    """Create a folder and make sure that a file can be made in it, or raise UserError."""
    probe = Path(folder) / f".write-test-{os.getpid()}"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{flag}: cannot write to the folder {folder} ({error.strerror})") from None


def print_epoch(row: dict, best_epoch: int) -> None:
    """Print a row of the history, the first one below its columns; * marks the best epoch."""
    names = [f"{key.replace('_', ' ').replace('gradient', 'grad'):>5}" for key in row]
    values = []
    for name, (key, value) in zip(names, row.items()):
        digits = {"epoch": 0, "gradient_norm": 2, "seconds": 1}.get(key, 3)
        if "loss" in key and value < 0.1:
            digits = 5
        values.append(f"{value:{len(name)}.{digits}f}")
    if _this_run["columns"] != names:
        _this_run["columns"] = names
        print("\n" + "   ".join(names))
    print("   ".join(values) + ("  *" if row["epoch"] == best_epoch else ""), flush=True)


def print_test(scores: dict, baselines: dict, measure: str, note: str, interval=None) -> None:
    """Print the test scores, the main measure of each baseline, and a `paired_interval`."""
    shown = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in scores.items()]
    print(f"\n{'test':<10}{'   '.join(shown)}   ({note})")
    for name, value in baselines.items():
        print(f"{'':<10}{measure} {value:.4f}   {name}")
    if interval:
        difference, low, high = interval
        verdict = "better" if difference > 0 else "worse"
        verdict = "no difference is shown" if low <= 0 <= high else f"{verdict} by more than luck"
        print(f"{'':<10}network minus {list(baselines)[-1]}: {difference:+.4f}")
        print(f"{'':<10}95 % interval {low:+.4f} to {high:+.4f}: {verdict}")


def write_metrics(args, tutorial: str, dataset: str, embedded: bool, measured: dict) -> dict:
    """Write `<output_dir>/metrics.json` and return its contents.

    `measured` holds the results, as plain values; with a `history`, also `items_per_epoch`.
    """
    history = measured.get("history", [])
    seconds = sum(row["seconds"] for row in history)  # those before a --resume, too
    items = measured.get("items_per_epoch", 0) * len(history)
    metrics = {
        "tutorial": tutorial,
        "dataset": dataset,
        "embedded": embedded,
        "config": dict(vars(args)),
        **measured,
        "train_seconds": round(seconds, 3),
        "items_per_second": round(items / seconds, 1) if seconds else 0.0,
        "total_seconds": round(time.perf_counter() - _this_run["started"], 3),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
    }
    path = Path(args.output_dir) / "metrics.json"
    write_json(path, metrics)
    print(f"\n{'files':<10}{path}")
    if getattr(args, "save_model", False):
        print(f"{'':<10}{args.path}: the model, and what --resume needs")
    return metrics


def write_json(path, value: Any) -> None:
    """Write plain values as JSON, atomically; a NaN in them is a bug, and raises ValueError."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
