"""rnn_utils: what the ten tutorials share that is not the lesson.

Data files, seeds, devices, vocabularies, padding, checkpoints, plots and the command
line live here, so that each numbered script can spend its lines on the recurrent
network it is about.  There is no model and no training loop in this file: those are
the lessons, and every script shows its own.

Read it in any order, or not at all.  The sections:

    1  Errors and start-up     UserError, DataUnavailable, run, one_voice
    2  Devices and seeds       get_device, set_threads, set_seed, rng_state, restore_rng_state
    3  Data files              data_file, download, load_or_embedded
    4  Text                    basic_english, char_tokenizer, Vocab, read_text,
                               list_folder, read_blocks, read_files, number_tokens, blocks,
                               numbered_once, read_labelled_text, check_labels, read_imdb,
                               Corpus, load_imdb,
                               read_series, load_goog, check_stretches,
                               read_pairs, load_multi30k, digit_strings, tokenise_pairs,
                               split_pairs, load_pairs
    5  Batching                pad_batch, lengths_to_mask, BucketBatchSampler, encode_pairs
    6  Training                clip_gradients, learning_rate, EarlyStopping, check_finite,
                               initialise_recurrent,
                               scores and baselines of every kind, bleu
    7  Checkpoints             save_checkpoint, load_checkpoint, save_epoch, and --resume
    8  Plots                   get_pyplot, save_figures, plot_curves, plot_heatmap, plot_by_length
    9  Command line            make_parser, add_run_flags, add_checkpoint_flags, parse_arguments,
                               answers_alone, variant, start_run, write_metrics

Shapes are written with B batch, T time, V vocabulary, H hidden size, I features.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import csv
import gzip
import hashlib
import http.client
import io
import itertools
import json
import math
import os
import platform
import queue
import random
import signal
import sys
import tarfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

# Threads that wait for each other spin by default, and beside another busy program they then spin
# where it could work: 2 threads on 2 busy cores took 20 times as long as 1.  Sleeping instead costs
# little.  PyTorch's OpenMP reads this when it is loaded, so rnn_utils is imported before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import threadpoolctl
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

# %% ------------------------------------------------------------------
# 1. Errors and start-up
# ----------------------------------------------------------------------


class UserError(Exception):
    """A mistake the user can mend.  The message says what is wrong, where, and what to do.

    On the command line `run` prints it as one line, without a traceback, and exits
    with status 2.  In a notebook it is an ordinary exception.
    """


class DataUnavailable(UserError):
    """A data set is neither on disk nor available from the network."""


def run(main: Callable[[], Any]) -> None:
    """Call `main` as a program: clean one-line errors, clean Ctrl-C, a safe console.

    Exit status: 0 when `main` returns, 2 for a mistake of the user's, 130 after Ctrl-C.
    In a notebook, whose command line is not ours, it does nothing: call `main([flags])` there.
    """
    if "ipykernel" in sys.modules:
        return
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # A Windows console in code page 1252 cannot print every character; print "?"
        # in its place rather than stop half-way through a training run.  And what comes in
        # need not be UTF-8.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        main()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        # A training loop may say in the exception what it has saved.
        print(f"\nStopped by Ctrl-C. {interrupt}".rstrip(), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as in `python 04_simple_rnn.py | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@contextlib.contextmanager
def one_voice(rank: int, num_processes: int) -> Iterator[None]:
    """Around a `main` that runs in several processes: process 0 alone prints, errors too.

    Ctrl-C reaches every process, and once more through torchrun.  If another process left first,
    process 0 would wait for it in vain, and never say what is saved.
    """

    def stop_once(*_) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if rank == 0:
            raise KeyboardInterrupt
        threading.Timer(3, os._exit, [130]).start()

    if num_processes > 1:
        signal.signal(signal.SIGINT, stop_once)
    if rank == 0:
        yield
        return
    unread = io.StringIO()
    try:
        with contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
            yield
    except BaseException:
        time.sleep(20)  # if process 0 has failed as well, torchrun ends this one meanwhile
        raise


# %% ------------------------------------------------------------------
# 2. Devices and seeds
# ----------------------------------------------------------------------


def get_device(name: str = "auto") -> torch.device:
    """Return the device to compute on.

    `auto` is CUDA if there is a GPU, else the CPU.  Apple's `mps` is used only when
    named, because its LSTM and GRU have given wrong results in several releases.
    A device that was asked for and is not there is a UserError, never a silent CPU run.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"--device {name}: no such device; use auto, cpu, cuda, cuda:1 or mps")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(
                f"--device {name}: this PyTorch finds no CUDA GPU; use --device cpu, or install "
                "a CUDA build of PyTorch and a driver"
            )
        count = torch.cuda.device_count()
        if device.index is not None and device.index >= count:
            raise UserError(f"--device {name}: there are {count} GPUs, cuda:0 to cuda:{count - 1}")
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("--device mps: not available on this machine; use --device cpu")
        warnings.warn("mps has computed LSTM and GRU wrongly; check against cpu", stacklevel=2)
    return device


def set_threads(threads: int) -> None:
    """Let PyTorch, NumPy and scikit-learn use so many CPU threads; 0 leaves their own choice.

    A small model gains nothing by a second thread: it spends the time on waiting for the other.
    """
    if not threads:
        return
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)  # libraries that are loaded: NumPy's
    for library in ("OMP", "OPENBLAS", "MKL"):  # and those that come later: SciPy's
        os.environ[f"{library}_NUM_THREADS"] = str(threads)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (CPU and GPU; data loaders draw theirs from PyTorch).

    With the same seed, machine and thread count, a CPU run repeats bit for bit.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def rng_state() -> dict:
    """Return the states of Python's and PyTorch's random generators, as plain types."""
    state = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng_state(state: dict) -> None:
    """Put back what `rng_state` returned, so that the next random number is the same."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


# %% ------------------------------------------------------------------
# 3. Data files
# ----------------------------------------------------------------------

_GITHUB = "https://raw.githubusercontent.com"

# Data set -> (address of its folder, {file name: SHA-256}).  Every address names a
# fixed commit and every file its checksum, so a course given next year uses the same
# bytes as this year's.
DATA_SETS: dict[str, tuple[str, dict[str, str]]] = {
    "names": (
        f"{_GITHUB}/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names",
        {
            "Arabic.txt": "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc",
            "Chinese.txt": "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465",
            "Czech.txt": "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7",
            "Dutch.txt": "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3",
            "English.txt": "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2",
            "French.txt": "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95",
            "German.txt": "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db",
            "Greek.txt": "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6",
            "Irish.txt": "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058",
            "Italian.txt": "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4",
            "Japanese.txt": "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f",
            "Korean.txt": "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136",
            "Polish.txt": "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826",
            "Portuguese.txt": "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53",
            "Russian.txt": "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c",
            "Scottish.txt": "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd",
            "Spanish.txt": "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7",
            "Vietnamese.txt": "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d",
        },
    ),
    "trec": (
        f"{_GITHUB}/harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data/raw",
        {
            "TREC.test": "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
            "TREC.train": "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",
        },
    ),
    "multi30k": (
        f"{_GITHUB}/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw",
        {
            "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",  # noqa: E501
            "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",  # noqa: E501
            "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
            "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
            "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
            "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
        },
    ),
    "shakespeare": (
        f"{_GITHUB}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
        {
            "input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        },
    ),
    "imdb": (
        "https://ai.stanford.edu/~amaas/data/sentiment",
        {
            "aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
        },
    ),
}

CONNECT_SECONDS = 5  # no answer within this: the network counts as absent
STALL_SECONDS = 15  # no byte within this: the transfer counts as broken
TRIES = 3  # how often a broken transfer is taken up again


def data_file(dataset: str, filename: str, data_dir=None, offline: bool = False) -> Path:
    """Return the path of one file of a data set, downloading it if need be.

    Looked for at `<folder>/<dataset>/<filename>`, where the folder is `data_dir`, else
    the environment variable RNN_DATA_DIR, else `./data`.  A missing file is fetched from
    its pinned address, or from `$RNN_DATA_MIRROR/<dataset>/<filename>` where a class has
    a mirror of its own, and checked against its SHA-256.  With `offline`, or with
    RNN_OFFLINE=1 in the environment, no connection is attempted.

    Raises DataUnavailable when the file is not there and cannot be fetched.
    """
    path = Path(data_dir or os.environ.get("RNN_DATA_DIR") or "data") / dataset / filename
    if path.is_file():
        return path
    base, checksums = DATA_SETS[dataset]
    mirror = os.environ.get("RNN_DATA_MIRROR")
    url = f"{mirror.rstrip('/')}/{dataset}/{filename}" if mirror else f"{base}/{filename}"
    if offline or os.environ.get("RNN_OFFLINE", "").lower() not in ("", "0", "false", "no"):
        raise DataUnavailable(
            f"{path} is not there, and --offline or RNN_OFFLINE forbids downloading it; "
            f"put {url} there, or name a folder that has it with --data-dir"
        )
    download(url, path, checksums[filename])
    return path


class _BrokenTransfer(Exception):
    """The connection failed after it was made; what has arrived is kept."""


def download(url: str, path: Path, sha256: str) -> None:
    """Fetch `url` into `path`: resumed after a break, checked, and put in place whole.

    The bytes go to `path` with `.part` added, and get their final name only once the
    checksum fits, so a file under its final name is always complete.  A broken transfer
    is taken up where it broke, up to 3 times; a host that does not answer within 5 s is
    not tried again.  Raises DataUnavailable; only a resumable `.part` is ever left.
    """
    part = path.with_name(path.name + ".part")
    by_hand = f"or put the file at {path} by hand"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        leftover = part.exists()
    except OSError as error:
        raise DataUnavailable(f"cannot write to {path.parent} ({error.strerror})") from None
    tries = 0
    while True:
        tries += 1
        try:
            _fetch(url, part)
        except _BrokenTransfer as error:
            if tries < TRIES:
                continue
            raise DataUnavailable(
                f"{url}: broke off {TRIES} times ({error}); run again to resume, {by_hand}"
            ) from None
        except urllib.error.HTTPError as error:
            error.close()
            raise DataUnavailable(
                f"{url}: the server answered {error.code} {error.reason}; try later, {by_hand}"
            ) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise DataUnavailable(
                f"cannot download {url} ({reason}); try later, {by_hand}"
            ) from None
        if _sha256(part) == sha256:
            os.replace(part, path)
            return
        part.unlink()  # wrong bytes cannot be resumed from
        if leftover:  # they may stem from an earlier, other file: once more from nothing
            leftover = False
            continue
        raise DataUnavailable(f"{url}: not the expected file (its SHA-256 differs); {by_hand[3:]}")


def _fetch(url: str, part: Path) -> None:
    """Append to `part` the bytes of `url` that it lacks."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rnn-tutorials"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = _open_url(request)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()  # nothing lies beyond `start`: the part is whole, or worthless
        return
    with response, open(part, "ab") as file:
        if start and response.status != 206:
            file.truncate(0)  # the server ignored Range and sends everything
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        bar = progress(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem)
        with bar:
            for chunk in _chunks(response):
                file.write(chunk)
                start += len(chunk)
                bar.update(len(chunk))
    if total is not None and start < total:
        raise _BrokenTransfer(f"{start:,} of {total:,} bytes arrived")


def _chunks(response) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(1 << 16)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenTransfer(error) from None
        if not chunk:
            return
        yield chunk


def _open_url(request: urllib.request.Request):
    """Open `request`, waiting CONNECT_SECONDS in all.

    `urlopen(timeout=...)` alone would wait that long for *each* address of the host, and
    without limit for its name to resolve.
    """
    answers: queue.Queue = queue.Queue()

    def connect() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=STALL_SECONDS))
        except Exception as error:  # handed over, and raised below
            answers.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise OSError(f"no answer within {CONNECT_SECONDS} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def load_or_embedded(asked: str, dataset: str, load: Callable, embedded: Callable) -> tuple:
    """Return (data, its name, whether it is the stand-in) for a `--dataset` flag.

    `asked` is the flag: "auto" takes `load()`, and where that is impossible, after a
    warning, `embedded()`; the data set asked for by name is never replaced.
    """
    if asked == "embedded":
        return embedded(), "embedded", True
    try:
        return load(), dataset, False
    except DataUnavailable as reason:
        if asked != "auto":
            raise
        _warn_embedded(dataset, reason)
    return embedded(), "embedded", True


def _warn_embedded(dataset: str, reason: Exception) -> None:
    """Say, so that nobody overlooks it, that the real data set is being replaced."""
    print("!" * 78, file=sys.stderr)
    print(f"!! The data set '{dataset}' is not available:", file=sys.stderr)
    print(f"!!   {reason}", file=sys.stderr)
    print(
        "!! Using the small EMBEDDED stand-in instead. Its figures say nothing about",
        file=sys.stderr,
    )
    print(f"!! the real data. To insist on the real data: --dataset {dataset}", file=sys.stderr)
    print("!" * 78, file=sys.stderr)


# %% ------------------------------------------------------------------
# 4. Text
# ----------------------------------------------------------------------


def basic_english(text: str) -> list[str]:
    """Split a sentence into lower-case words and punctuation marks.

    Gives the same tokens as torchtext's `get_tokenizer("basic_english")`:
    "You can't!" -> ["you", "can", "'", "t", "!"].
    """
    # The order matters for odd input: quotes go before the line break is recognised.
    text = text.lower().replace('"', "").replace("<br />", " ").replace(";", " ").replace(":", " ")
    for mark in "'.,()!?":
        text = text.replace(mark, f" {mark} ")
    return text.split()


def char_tokenizer(text: str) -> list[str]:
    """Split a text into its characters."""
    return list(text)


class Vocab:
    """A two-way table between tokens and indices, with the method names of torchtext.

    `tokens` lists every token in index order and must hold `<unk>`: a token that is not
    in the table gets that index, so unknown words never raise.  Build one from the
    training texts with `Vocab.build`; save it as the plain list `vocab.get_itos()` and
    restore it with `Vocab(that_list)`.
    """

    PAD, UNK = "<pad>", "<unk>"

    def __init__(self, tokens: Sequence[str]):
        self._itos = list(tokens)
        self._stoi = {token: index for index, token in enumerate(self._itos)}
        if len(self._stoi) != len(self._itos):
            raise ValueError("a token appears twice in the vocabulary")
        if self.UNK not in self._stoi:
            raise ValueError(f"the vocabulary needs the token {self.UNK}")
        self.set_default_index(self._stoi[self.UNK])

    @classmethod
    def build(
        cls,
        texts: Iterable[Iterable[str]],
        specials: Sequence[str] = (PAD, UNK),
        min_freq: int = 1,
        max_size: int | None = None,
    ) -> Vocab:
        """Count the tokens of `texts` (an iterable of token lists) and number them.

        Special tokens come first, so `<pad>` is 0; then the most frequent tokens, ties in
        alphabetical order, leaving out those rarer than `min_freq`.  `max_size` bounds
        the whole vocabulary, specials included.
        """
        counts = collections.Counter()
        for tokens in texts:
            counts.update(tokens)
        return cls.from_counts(counts, specials, min_freq, max_size)

    @classmethod
    def from_counts(
        cls,
        counts: dict[str, int],
        specials: Sequence[str] = (PAD, UNK),
        min_freq: int = 1,
        max_size: int | None = None,
    ) -> Vocab:
        """Number tokens that have been counted already; see `build`."""
        counts = {token: count for token, count in counts.items() if token not in specials}
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        tokens = list(specials) + [token for token, count in ranked if count >= min_freq]
        return cls(tokens[:max_size])

    def __len__(self) -> int:
        return len(self._itos)

    def __contains__(self, token: str) -> bool:
        return token in self._stoi

    def __getitem__(self, token: str) -> int:
        return self._stoi.get(token, self._default_index)

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """Numericalise: the index of each token."""
        get, default = self._stoi.get, self._default_index
        return [get(token, default) for token in tokens]

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
        return dict(self._stoi)

    def get_default_index(self) -> int:
        return self._default_index

    def set_default_index(self, index: int) -> None:
        """Choose the index that unknown tokens get (at first that of `<unk>`)."""
        self._default_index = index


def read_text(path) -> str:
    """Read a UTF-8 text file; every line ending becomes a newline.

    Raises UserError when it is missing, a folder, binary, empty or not UTF-8 (with the
    line of the first bad byte).
    """
    return "".join(read_blocks(path))


def list_folder(folder, pattern: str = "[!.]*") -> list[Path]:
    """The files of a folder that hold anything, in the order of their names."""
    files = [file for file in sorted(Path(folder).glob(pattern)) if file.is_file()]
    if not files:
        raise UserError(f"{folder}: no files in this folder; put UTF-8 text files there")
    files = [file for file in files if file.stat().st_size]
    if not files:
        raise UserError(f"{folder}: no text in it, all its files are empty")
    return files


def read_blocks(path, size: int = 1 << 22) -> Iterator[str]:
    """Read a text as `read_text` does, in pieces of `size` bytes and up to the next line end.

    A line is never cut, so a text without line ends is one piece.
    """
    lines, filled = 1, False
    try:
        with open(path, "rb") as file:
            while raw := file.read(size) + file.readline():
                text = _decode(raw, path, lines)
                lines += raw.count(b"\n")
                filled = filled or bool(text.strip())
                yield text
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not filled:
        raise UserError(f"{path}: the file is empty")


def _decode(raw: bytes, path, first_line: int) -> str:
    if b"\0" in raw:
        raise UserError(f"{path}: a binary file, not text; save it as UTF-8 text")
    if first_line == 1:
        raw = raw[3:] if raw.startswith(b"\xef\xbb\xbf") else raw  # by Windows editors
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + raw.count(b"\n", 0, error.start)
        raise UserError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_files(files: Sequence[Path], max_chars: int = 0) -> Iterator[str]:
    """The text of several files, some millions of characters at a time; between two a line break.

    It ends after `max_chars` characters; 0: with the last file.
    """
    left = max_chars or math.inf
    for file in files:
        line_break = ["\n"] if file != files[0] else []
        for text in itertools.chain(line_break, read_blocks(file)):
            yield text[: min(left, len(text))]
            left -= len(text)
            if left <= 0:
                return


def number_tokens(texts: Iterable[Sequence[str]], file=None) -> tuple[list[str], np.ndarray]:
    """Number tokens in the order in which they are first met.

    Returns the distinct tokens and (N,) int32, the place in that list of each token of all
    texts, one text after the other.  With `file`, a path, the numbers are written there and
    mapped into memory, so that there may be more of them than memory holds.
    """
    number = collections.defaultdict(int)
    number.default_factory = number.__len__  # a token met for the first time: the next number
    pieces = (array.array("i", [number[token] for token in tokens]) for tokens in texts)
    if file is None:
        numbers = array.array("i")
        for piece in pieces:
            numbers.extend(piece)
        return list(number), np.array(numbers, np.int32)
    with open(file, "wb") as out:
        for piece in pieces:
            piece.tofile(out)
    return list(number), np.memmap(file, np.int32, "r+")


BLOCK = 1 << 22


def blocks(ids: np.ndarray) -> Iterator[np.ndarray]:
    """Views of (N,) numbers, one stretch after another: at no time is all of it in memory."""
    return (ids[k : k + BLOCK] for k in range(0, len(ids), BLOCK))


def numbered_once(file, texts: Sequence[Path], level: str, number: Callable, vocab=None) -> Vocab:
    """Write a text as numbers to `file`, unless they are there already; return their vocabulary.

    `number(path)` writes them to `path` and returns them, mapped into memory, with their Vocab.
    A record beside `file` says which `texts`, `level` and Vocab its numbers come from; where
    that has changed, or is not the `vocab` asked for, they are written again.  Raises UserError
    for a text that cannot be read and a file that cannot be written.
    """
    file, record = Path(file), Path(file).with_suffix(".json")
    try:
        stats = [[str(text.resolve()), text.stat().st_size, text.stat().st_mtime] for text in texts]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
    source = {"level": level, "files": stats}
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))
        whole = kept["source"] == source and file.stat().st_size == kept["bytes"]
        if whole and (vocab is None or vocab.get_itos() == kept["vocab"]):
            print(f"{'data':<10}prepared before, in {file}")
            return Vocab(kept["vocab"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or a damaged one
    print(f"{'data':<10}writing all of it as numbers to {file}")
    part = file.with_name(f"{file.name}.{os.getpid()}")  # renamed when whole: another run may be
    try:  # reading the old file, and keeps it
        record.unlink(missing_ok=True)
        ids, vocab = number(part)
        ids.flush()
        contents = {"source": source, "bytes": ids.nbytes, "vocab": vocab.get_itos()}
        del ids  # Windows renames no file that is mapped
        os.replace(part, file)
        record.write_text(json.dumps(contents), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{file}: cannot be written ({error.strerror}); make room, choose another "
            "--output-dir, or read less with --max-chars"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # gone already, or on Windows still mapped
            part.unlink()
    return vocab


class LabelledText(NamedTuple):
    """One row of a user's own data: a text, its label, and the line it begins on."""

    text: str
    label: str
    line: int


def read_labelled_text(path) -> list[LabelledText]:
    """Read a table of texts and labels whose header names the columns `text` and `label`.

    A name that ends in `.tsv` is split at tabs, any other at commas; quotes as in any
    spreadsheet's CSV.  Further columns are ignored, blank lines skipped.

        text,label
        "A slow start, but what an ending!",positive
        I want my two hours back,negative

    Raises UserError, with the line, for a missing column, an empty text or label and
    broken quotes, and for a file with fewer than two labels.
    """
    delimiter = "\t" if str(path).lower().endswith(".tsv") else ","
    csv.field_size_limit(1 << 30)  # a long document in one field is not an error
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    rows, columns, line = [], None, 1
    try:
        for fields in reader:
            if columns is None:
                columns = _find_columns(fields, delimiter, path, line)
            elif any(field.strip() for field in fields):
                values = [fields[c].strip() if c < len(fields) else "" for c in columns]
                for name, value in zip(("text", "label"), values):
                    if not value:
                        raise UserError(f"{path}, line {line}: the {name} is empty")
                rows.append(LabelledText(values[0], values[1], line))
            line = reader.line_num + 1  # a quoted field may span several lines
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: {error}; check the quotes") from None
    labels = {row.label for row in rows}
    if len(labels) < 2:
        found = f"only the label {labels.pop()[:40]!r}" if labels else "no rows below its header"
        raise UserError(f"{path}: {found}; a classifier needs at least two labels")
    return rows


def check_labels(found: Iterable[str], known: Sequence[str], source: str) -> None:
    """Raise UserError where a label is `found` in `source` that is not `known` to a model."""
    unknown = {*found} - {*known}
    if unknown:
        raise UserError(
            f"{source}: the label {min(unknown)[:40]!r} is not one that the model knows: "
            f"{', '.join(known)}"
        )


def _find_columns(header: list[str], separator: str, path, line: int) -> list[int]:
    names = [name.strip().lower() for name in header]
    for wanted in ("text", "label"):
        if wanted not in names:
            raise UserError(
                f"{path}, line {line}: no column '{wanted}' in the header; "
                f"it must name 'text' and 'label' separated by {separator!r}, "
                f"and is {separator.join(header)[:100]!r}"
            )
    return [names.index("text"), names.index("label")]


def read_imdb(path) -> dict[str, list[tuple[str, str]]]:
    """Read the labelled movie reviews from their archive, without unpacking it.

    `path` is aclImdb_v1.tar.gz, whose members are named aclImdb/train/pos/0_9.txt and so
    on.  Returns {"train": [(text, label), ...], "test": [...]}, labels "pos" and "neg",
    each list sorted by member name (all of "neg" first: shuffle before you cut).

    Raises UserError when the archive is missing, damaged or of another kind.
    Source: Maas et al. 2011.
    """
    found: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}
    try:
        with gzip.open(path) as stream:
            # "r|": front to back, once.  Jumping about in a .gz means unpacking it again.
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    archive.members = []  # or tarfile keeps a record of each of the 50,000
                    parts = member.name.split("/")
                    if (
                        member.isfile()
                        and len(parts) == 4
                        and parts[1] in found
                        and parts[2] in ("pos", "neg")
                        and parts[3].endswith(".txt")
                    ):
                        text = archive.extractfile(member).read().decode("utf-8")
                        found[parts[1]].append((member.name, text, parts[2]))
            # tarfile takes a broken archive for a short one; gzip's own check, at the very
            # end of the file, does not.
            while stream.read(1 << 20):
                pass
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError, zlib.error) as error:
        raise UserError(
            f"{path}: the archive is damaged ({error}); delete it and run again"
        ) from None
    if not (found["train"] and found["test"]):
        raise UserError(f"{path}: holds no movie reviews; delete it and run again")
    return {
        split: [(text, label) for _, text, label in sorted(rows)] for split, rows in found.items()
    }


class Corpus:
    """Many tokenised texts in one array: cheap to keep, to save, and to give a vocabulary.

    words     every distinct token, in any order; one list may serve several corpora
    indices   (total tokens,) int32 into `words`, all texts one after the other
    starts    (N + 1,) text i is indices[starts[i] : starts[i + 1]]
    labels    N strings

    25,000 reviews are 6.8 million tokens.  As Python lists they take seconds to be walked
    through; here a vocabulary is one `bincount` and numericalising one table look-up.
    """

    def __init__(self, words: list[str], indices, starts, labels: Sequence[str]):
        self.words, self.indices, self.starts = words, indices, starts
        self.labels = list(labels)

    @classmethod
    def from_tokens(cls, texts: Iterable[Sequence[str]], labels: Sequence[str]) -> Corpus:
        """Put token lists together; `texts` may be a generator."""
        starts = [0]

        def counted() -> Iterator[Sequence[str]]:
            for tokens in texts:
                starts.append(starts[-1] + len(tokens))
                yield tokens

        words, indices = number_tokens(counted())
        return cls(words, indices, np.array(starts, np.int64), labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> list[str]:
        """The tokens of one text."""
        start, end = self.starts[row], self.starts[row + 1]
        return [self.words[index] for index in self.indices[start:end].tolist()]

    def select(self, rows: Sequence[int]) -> Corpus:
        """A corpus of some of the texts, in the order of `rows`."""
        pieces = [self.indices[self.starts[row] : self.starts[row + 1]] for row in rows]
        starts = np.cumsum([0, *map(len, pieces)])
        joined = np.concatenate(pieces) if pieces else self.indices[:0]
        return Corpus(self.words, joined, starts, [self.labels[row] for row in rows])

    def set_aside(self, share: float, least: int = 1) -> tuple[Corpus, Corpus]:
        """Part in (the rest, `share` of each label's texts, and `least` of them at least).

        The same texts in every run, whatever the seed: a checkpoint never meets its training
        texts in the test of a later run.
        """
        rng, rows_of = random.Random(0), {}
        for row, label in enumerate(self.labels):
            rows_of.setdefault(label, []).append(row)
        rest, aside = [], []
        for _, rows in sorted(rows_of.items()):
            rng.shuffle(rows)
            count = max(least, round(share * len(rows)))
            aside += rows[:count]
            rest += rows[count:]
        return self.select(sorted(rest)), self.select(sorted(aside))

    def build_vocab(self, **options) -> Vocab:
        """A vocabulary of these texts; options as for `Vocab.build`."""
        counts = np.bincount(self.indices, minlength=len(self.words))
        met = np.flatnonzero(counts)  # the list of words may belong to other texts as well
        counted = zip([self.words[i] for i in met.tolist()], counts[met].tolist())
        return Vocab.from_counts(dict(counted), **options)

    def encode(self, vocab: Vocab, max_length: int | None = None) -> list[torch.Tensor]:
        """Numericalise: N tensors of vocabulary indices, each (T_i,).

        Of a text longer than `max_length` the first and last half of so many tokens are
        kept: reviews say what they think in the beginning and at the end.  An empty text
        becomes one `<unk>`, for a network must have something to read.
        """
        table = np.array(vocab(self.words) or [0])
        encoded = table[self.indices]
        texts = []
        for start, end in zip(self.starts[:-1].tolist(), self.starts[1:].tolist()):
            text = encoded[start:end]
            if max_length and len(text) > max_length:
                head = (max_length + 1) // 2
                text = np.concatenate([text[:head], text[len(text) - (max_length - head) :]])
            texts.append(torch.from_numpy(text if len(text) else np.array([vocab[Vocab.UNK]])))
        return texts


def load_imdb(data_dir=None, offline: bool = False) -> tuple[dict[str, Corpus], int]:
    """The movie reviews in words (`basic_english`): {"train", "val", "test"}, labels pos/neg.

    123 reviews of the test set are in the training set as well, and a hundred of the
    training reviews stand there twice.  The extra copies are dropped from train, so that no
    review is in two places; their number is returned, too.

    The reviews of one film, up to 30, stand together in the archive, and the films of the test
    set are others than those of train.  So the validation split is the last tenth of each
    label in the archive's order, of other films than the rest: a random tenth would share its
    films with the rest, and reward a model for learning their names.

    Tokenising takes some twenty seconds, so the result is kept beside the archive as
    `tokens.npz`, where that folder can be written to.
    """
    archive = data_file("imdb", "aclImdb_v1.tar.gz", data_dir, offline)
    cache = archive.with_name("tokens.npz")
    stamp = np.array([2, zlib.crc32(archive.read_bytes())])  # 2: the format of the cache
    kept = _read_imdb_cache(cache, stamp)
    if kept is None:
        reviews = read_imdb(archive)
        seen, train = set(reviews["test"]), []
        for pair in reviews["train"]:
            if pair not in seen:
                seen.add(pair)
                train.append(pair)
        both = train + reviews["test"]
        corpus = Corpus.from_tokens(
            (basic_english(text) for text, _ in progress(both, desc="tokenising")),
            [label for _, label in both],
        )
        num_train, num_dropped = len(train), len(reviews["train"]) - len(train)
        _write_imdb_cache(cache, stamp, corpus, num_train, num_dropped)
    else:
        corpus, num_train, num_dropped = kept
    rows = {"train": [], "val": [], "test": list(range(num_train, len(corpus)))}
    for label in ("neg", "pos"):
        found = [row for row in range(num_train) if corpus.labels[row] == label]
        first = len(found) * 9 // 10
        rows["train"] += found[:first]
        rows["val"] += found[first:]
    return {part: corpus.select(chosen) for part, chosen in rows.items()}, num_dropped


# All that opening an absent, cut or scrambled .npz file has been seen to raise.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def _read_imdb_cache(cache: Path, stamp: np.ndarray) -> tuple[Corpus, int, int] | None:
    """What `_write_imdb_cache` has kept, or None where there is nothing that fits."""
    try:
        # Plain arrays only: allow_pickle is off.
        with open(cache, "rb") as raw, np.load(raw) as file:
            if not np.array_equal(file["stamp"], stamp):
                return None  # another archive, or tokens of an older format
            words = file["words"].tobytes().decode().split("\n")
            labels = ["pos" if positive else "neg" for positive in file["positive"].tolist()]
            corpus = Corpus(words, file["indices"], file["starts"], labels)
            return corpus, *file["numbers"].tolist()
    except _UNREADABLE:
        return None  # absent or damaged: tokenise again


def _write_imdb_cache(cache: Path, stamp, corpus: Corpus, *numbers: int) -> None:
    temporary = cache.with_name(f"tokens.{os.getpid()}.tmp")  # two runs at once do no harm
    try:
        with open(temporary, "wb") as file:
            np.savez(
                file,
                stamp=stamp,
                words=np.frombuffer("\n".join(corpus.words).encode(), np.uint8),
                indices=corpus.indices,
                starts=corpus.starts,
                positive=np.array([label == "pos" for label in corpus.labels]),
                numbers=np.array(numbers),
            )
        os.replace(temporary, cache)
    except OSError:  # a read-only folder, or a full disk: do without
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_series(path, columns: Sequence[str], date_column: str | None = None):
    """Read numeric columns of a CSV or TSV file whose first line names its columns.

        date,sales
        2024-01-01,103.5
        2024-01-02,98

    Rows are time steps, oldest first.  Returns the dates (T,) as datetime64, or None
    without a `date_column`, and the values (T, I) as float64.  Steps of unequal length
    between dates are allowed, and reported in one printed line.

    Raises UserError, with the line, for an unknown column, text among the numbers, a row of
    the wrong length, and dates that are unreadable, repeated or out of order.  Missing
    values are an error too, with their count: dropping the rows would shorten time, and
    interpolating would use the future.
    """
    # One byte per character, where io.StringIO takes four: a million rows must fit.
    text = io.TextIOWrapper(io.BytesIO(read_text(path).rstrip("\n").encode()), "utf-8", newline="")
    delimiter = "\t" if str(path).lower().endswith(".tsv") else ","
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    numbers, lines, line, date_cells = array.array("d"), array.array("q"), 2, []
    try:
        header = [name.strip() for name in next(reader)]
        for name in [*columns, *([date_column] if date_column else [])]:
            if name not in header:
                raise UserError(
                    f"{path}, line 1: no column {name!r}; its columns: {', '.join(header)[:300]!r}"
                )
        wanted = [(header.index(name), name) for name in columns]
        date_index = header.index(date_column) if date_column else None
        for fields in reader:
            fields = fields or [""] * len(header)  # a blank line is a step without a value
            if len(fields) != len(header):
                raise UserError(
                    f"{path}, line {line}: {len(fields)} cells, and the header has {len(header)}"
                )
            for index, name in wanted:
                numbers.append(_read_number(fields[index], path, line, name))
            if date_index is not None:
                date_cells.append(fields[date_index].strip())
            lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: {error}; check the quotes") from None
    if not lines:
        raise UserError(f"{path}: no rows below its header")
    values = np.array(numbers).reshape(len(lines), len(columns))  # (T, I)
    rows, places = np.nonzero(np.isnan(values))
    if len(rows):
        raise UserError(
            f"{path}, line {lines[rows[0]]}: no value in column {columns[places[0]]!r} "
            f"({len(rows):,} of {values.size:,} are missing); fill it with the value before it "
            "(pandas: ffill), or leave out that stretch"
        )
    return (None if date_column is None else _read_dates(date_cells, lines, path)), values


def _read_number(cell: str, path, line: int, column: str) -> float:
    """The number in a cell, or NaN where the cell says that there is none."""
    try:
        value = float(cell)
    except ValueError:
        missing = cell.strip().lower() in ("", "-", "?", "na", "n/a", "null", "none")
        value = math.nan if missing else math.inf
    if abs(value) > 1e30:  # whose squares no computation survives
        raise UserError(
            f"{path}, line {line}: {cell[:40]!r} in column {column!r} is not a number below 1e30; "
            "write 1234.5, with no unit and no comma"
        )
    return value


def _read_dates(cells: Sequence[str], lines: Sequence[int], path) -> np.ndarray:
    """Turn date cells into datetime64 (T,), and make sure that time moves forwards."""
    import pandas as pd

    for cell, line in zip(cells, lines):  # is 01/02/2024 in January or in February?
        if not cell[:4].isdigit():
            raise UserError(f"{path}, line {line}: the date {cell[:40]!r} is not like 2024-12-31")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns where it cannot infer a format
        stamps = pd.to_datetime(pd.Series(cells), errors="coerce", utc=True)
    if stamps.isna().any():
        row = int(stamps.isna().to_numpy().argmax())
        raise UserError(
            f"{path}, line {lines[row]}: {cells[row][:40]!r} is not a date like {cells[0][:40]!r} "
            "in the first row; write every date as 2024-12-31 or 2024-12-31 23:59"
        )
    dates = stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    backwards = np.flatnonzero(dates[1:] <= dates[:-1])
    if len(backwards):
        row = int(backwards[0]) + 1
        what = "again" if dates[row] == dates[row - 1] else "after a later one"
        raise UserError(
            f"{path}, line {lines[row]}: the date {cells[row]} comes {what}; "
            "one row per date, the oldest first"
        )
    steps = np.diff(dates)
    if len(steps):
        kinds, counts = np.unique(steps, return_counts=True)
        usual = kinds[counts.argmax()]
        odd = np.flatnonzero(steps != usual)
        if len(odd):
            first, line = pd.Timedelta(steps[odd[0]]), lines[int(odd[0]) + 1]
            print(
                f"note: {path}: {len(odd):,} of {len(steps):,} steps between dates are not the "
                f"usual {pd.Timedelta(usual)} (first: {first}, before line {line}); "
                "models count rows, not days"
            )
    return dates


def load_goog() -> tuple[np.ndarray, np.ndarray]:
    """Google's share price on 1,047 trading days, August 2004 to October 2008.

    Returns the dates (T,) and the adjusted closing prices (T,) in US dollars.  The file
    comes with matplotlib, so this real data set needs no download.
    """
    from matplotlib import cbook

    try:
        with np.load(cbook.get_sample_data("goog.npz", asfileobj=False)) as file:
            table = file["price_data"]
    except OSError as error:
        raise DataUnavailable(
            f"this matplotlib came without its sample data ({error}); pip install matplotlib, "
            "or bring a series of your own with --data"
        ) from None
    return table["date"], table["adj_close"].astype(np.float64)


def check_stretches(
    values: np.ndarray, stretches: dict[str, slice], args, seasons: int, name: str
) -> None:
    """Refuse a series (T,) that is too short for its windows, or has nothing to learn from.

    Every stretch must hold a window of `args.sequence_length` + `args.horizon` steps, and
    "train" so many `seasons` of `args.season` steps.  Raises UserError.
    """
    source = args.data or f"--dataset {args.dataset}"
    sizes = {part: max(0, stretch.stop - stretch.start) for part, stretch in stretches.items()}
    need = args.sequence_length + args.horizon
    if min(sizes.values()) < need:
        found = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise UserError(
            f"{source}: {len(values):,} values are too few: one window takes {need} steps, and "
            f"the stretches have {found}; give more, or reduce --sequence-length or --horizon"
        )
    if sizes["train"] < seasons * args.season:
        count = "a season" if seasons == 1 else "two seasons"
        raise UserError(
            f"{source}: {count} of {args.season} steps cannot fit into the training stretch of "
            f"{sizes['train']}; give a smaller --season"
        )
    if np.ptp(values[stretches["train"]]) < 1e-100:  # the square of so little is 0
        raise UserError(f"{source}: {name!r} never changes in its training stretch")


def read_pairs(path) -> list[tuple[str, str]]:
    """Read pairs of texts, one pair a line, source and target separated by a tab.

        go on!\tcontinue !
        i am cold.\tj'ai froid.\tCC-BY 2.0 (France)

    There is no header.  Columns after the second are ignored, blank lines skipped.  Raises
    UserError, with the line, where a tab or one of the two texts is missing, and for a file
    with fewer than 10 pairs.
    """
    pairs = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) < 2:
            raise UserError(
                f"{path}, line {number}: no tab in {line.strip()[:40]!r}; a line is "
                "source, tab, target"
            )
        for side, text in zip(("source", "target"), columns):
            if not text:
                raise UserError(f"{path}, line {number}: the {side} is empty")
            if not basic_english(text):
                raise UserError(f"{path}, line {number}: no word in {line.strip()[:40]!r}")
        pairs.append((columns[0], columns[1]))
    if len(pairs) < 10:
        raise UserError(
            f"{path}, line {number}: the file ends after {len(pairs)} pairs; at least 10 are "
            "needed to train, validate and test"
        )
    return pairs


def load_multi30k(data_dir=None, offline: bool = False) -> dict[str, list[tuple[str, str]]]:
    """English-French captions of photographs: {"train": [(english, french), ...], "val", "test"}.

    29,000, 1,014 and 1,000 pairs; "test" is test_2016_flickr.  Raises DataUnavailable where a
    file is not available, UserError where one is damaged.  Source: Elliott et al. 2016, 2017.
    """
    splits = {}
    for split, stem in (("train", "train"), ("val", "val"), ("test", "test_2016_flickr")):
        sides = []
        for language in ("en", "fr"):
            path = data_file("multi30k", f"{stem}.{language}.gz", data_dir, offline)
            try:
                with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
                    sides.append([line.strip() for line in file])
            except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
                raise UserError(f"{path}: damaged ({error}); delete it and run again") from None
        if len(sides[0]) != len(sides[1]):
            raise UserError(f"{path}: {len(sides[1]):,} lines to {len(sides[0]):,} English ones")
        splits[split] = list(zip(*sides))
    return splits


def digit_strings(count: int, lengths: Sequence[int], seed: int = 0) -> list[str]:
    """Draw `count` strings of random digits, the length of each from `lengths`.

    Of short ones there are few, so they come up again and again.
    """
    rng = random.Random(seed)
    return ["".join(rng.choices("0123456789", k=rng.choice(lengths))) for _ in range(count)]


def tokenise_pairs(
    pairs: Iterable[tuple[str, str]], tokenizer: Callable, name: str = "the data"
) -> list[tuple]:
    """Turn (source, target) texts into (source, target) tuples of tokens.

    Raises UserError, with the `name` of the data, for a text without any token.
    """
    tokenised = []
    for pair in pairs:
        source, target = (tuple(tokenizer(text)) for text in pair)
        if not (source and target):
            shown = ", ".join(repr(text[:40]) for text in pair)
            raise UserError(f"{name}: no word in one side of the pair ({shown}); remove it")
        tokenised.append((source, target))
    return tokenised


def load_pairs(args: argparse.Namespace, embedded: Callable) -> tuple[dict[str, list], bool]:
    """Sentence pairs of `--data`, else of `--dataset`: multi30k, or the stand-in.

    Returns {"train", "val", "test"} of tokenised pairs (`basic_english` on both sides), and
    whether they are the stand-in, for which `embedded()` makes such a dict; sets `args.dataset`
    to the name.  `--max-examples` bounds train.
    """

    def load() -> dict[str, list]:
        splits = load_multi30k(args.data_dir, args.offline)
        return {part: tokenise_pairs(splits[part], basic_english, "multi30k") for part in splits}

    if args.data:
        pairs = tokenise_pairs(read_pairs(args.data), basic_english)
        distinct = len({source for source, _ in pairs})
        if distinct < 10:
            raise UserError(
                f"{args.data}: {len(pairs):,} pairs have only {distinct} different sources; at "
                "least 10 are needed to train, validate and test"
            )
        splits = split_pairs(pairs)
        args.dataset, stand_in = args.data, False
    else:
        loaded = load_or_embedded(args.dataset, "multi30k", load, embedded)
        splits, args.dataset, stand_in = loaded
    splits["train"] = splits["train"][: args.max_examples]
    return splits, stand_in


def split_pairs(pairs: Sequence[tuple], max_held_out: int = 2000) -> dict[str, list[tuple]]:
    """Split distinct (source, target) pairs into train, val and test, the same in every run.

    A tenth of the sources, at most `max_held_out`, is for val, and as many for test.  Pairs
    with the same source stay together: no source is in two splits.
    """
    targets_of = collections.defaultdict(list)
    for source, target in sorted(set(pairs)):
        targets_of[source].append(target)
    sources = list(targets_of)
    random.Random(0).shuffle(sources)
    held_out = max(1, min(len(sources) // 10, max_held_out))
    parts = {"test": sources[:held_out], "val": sources[held_out : 2 * held_out]}
    parts["train"] = sources[2 * held_out :]
    return {
        name: [(source, target) for source in parts[name] for target in targets_of[source]]
        for name in ("train", "val", "test")
    }


# %% ------------------------------------------------------------------
# 5. Batching
# ----------------------------------------------------------------------


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

    Padding costs as much as real data.  So: shuffle, sort by length only within pools of
    50 batches, cut into batches, shuffle the batches.  Lengths within a batch are close,
    and yet no epoch sees the same batches again.  With `equal`, every batch holds one
    length only (no padding at all, at the price of some small batches).

    Every index appears exactly once per epoch.  The order depends on `seed` and on the
    epoch alone, so a resumed run repeats it: call `set_epoch(n)` before epoch n, or
    every epoch is the same.  Pass it to a DataLoader as `batch_sampler=`.
    """

    POOL = 50  # batches

    def __init__(self, lengths: Sequence[int], batch_size: int, equal: bool = False, seed: int = 0):
        self.lengths = torch.as_tensor(lengths)
        self.batch_size, self.equal, self.seed, self.epoch = batch_size, equal, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if not self.equal:
            return math.ceil(len(self.lengths) / self.batch_size)
        _, counts = self.lengths.unique(return_counts=True)
        return int(((counts + self.batch_size - 1) // self.batch_size).sum())

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        if self.equal:
            by_length = order[self.lengths[order].argsort(stable=True)]
            _, counts = self.lengths[by_length].unique_consecutive(return_counts=True)
            groups = by_length.split(counts.tolist())
        else:
            pools = order.split(self.POOL * self.batch_size)
            groups = [pool[self.lengths[pool].argsort(stable=True)] for pool in pools]
        batches = [batch for group in groups for batch in group.split(self.batch_size)]
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index].tolist()


class PairSplit(NamedTuple):
    """Sources and targets as tensors, with the token tuples that they were made from."""

    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]
    sources: torch.Tensor  # (N, S) indices, padded with 0 at the end
    source_lengths: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N, T) indices, <bos> first and <eos> last, padded with 0
    target_lengths: torch.Tensor  # (N,) counting both


def encode_pairs(pairs: Sequence[tuple], vocabs: Sequence[Vocab], device="cpu") -> PairSplit:
    """Numericalise (source, target) token tuples by the vocabularies of source and target.

    The target's vocabulary must hold `<bos>` and `<eos>`, which are put around each target.
    """
    bos, eos = vocabs[1](["<bos>", "<eos>"])
    sources, source_lengths = pad_batch([vocabs[0](source) for source, _ in pairs])
    targets, target_lengths = pad_batch([[bos, *vocabs[1](target), eos] for _, target in pairs])
    tensors = (sources, source_lengths, targets, target_lengths)
    return PairSplit(list(pairs), *(tensor.to(device) for tensor in tensors))


# %% ------------------------------------------------------------------
# 6. Training
# ----------------------------------------------------------------------


def clip_gradients(parameters: Iterable[torch.Tensor], max_norm: float) -> float:
    """Scale all gradients down together so that their norm is at most `max_norm`.

    The direction of the step stays, only its length changes.  Returns the norm before
    clipping; `max_norm` 0 measures and does not clip.
    """
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm if max_norm > 0 else math.inf)
    return float(norm)


def fused_adam_works(device: torch.device) -> bool:
    """Whether `torch.optim.Adam(fused=True)`, one pass over all weights, runs on a device.

    On a CPU it came with PyTorch 2.4, and there it is several times faster than the default.
    """
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return device.type == "cuda" or (device.type == "cpu" and version >= (2, 4))


def learning_rate(step: int, total_steps: int, peak: float, warmup: float = 0.1) -> float:
    """The rate at one step: a linear rise over the first `warmup`, then half a cosine to 0.

    A plain function of the step has no state, so it resumes exactly and can be drawn.
    Source: Loshchilov and Hutter 2017 (SGDR), without the restarts.
    """
    rising = warmup * total_steps
    if step < rising:
        return peak * (step + 1) / math.ceil(rising)
    done = (step - rising) / max(1.0, total_steps - rising)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


class EarlyStopping:
    """Watch a validation measure and say when it has stopped improving.

    `step(value)` returns True where `value` is the best so far (keep that model);
    `should_stop` turns True after `patience` epochs without one.  Patience 0: never.
    """

    def __init__(self, patience: int, higher_is_better: bool = False):
        self.patience, self.sign = patience, 1.0 if higher_is_better else -1.0
        self.best, self.bad_epochs = -math.inf, 0

    def step(self, value: float) -> bool:
        improved = self.sign * value > self.best
        if improved:
            self.best, self.bad_epochs = self.sign * value, 0
        else:
            self.bad_epochs += 1
        return improved

    @property
    def should_stop(self) -> bool:
        return 0 < self.patience <= self.bad_epochs

    def state_dict(self) -> dict:
        return {"best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state: dict) -> None:
        self.best, self.bad_epochs = state["best"], state["bad_epochs"]


def check_finite(loss: float, epoch: int) -> None:
    """Stop with an explanation when the loss is infinite or not a number."""
    if not math.isfinite(loss):
        raise UserError(
            f"the training loss became {loss} in epoch {epoch}: the weights have diverged; "
            "try a lower --lr, or a --clip between 0.5 and 5"
        )


@torch.no_grad()
def initialise_recurrent(rnn: torch.nn.Module) -> None:
    """Orthogonal recurrent matrices and zero biases, but 1 at an LSTM's forget gate, in place.

    `rnn` is an nn.RNN, nn.LSTM or nn.GRU.  Orthogonal matrices keep the length of a state
    (Saxe et al. 2014); the open forget gate lets a cell keep what it has (Gers et al. 2000).
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


def matching_size(count: Callable[[int], int], wanted: int, sizes: Iterable[int]) -> int:
    """The one of `sizes` whose `count` of parameters comes closest to `wanted`."""
    return min(sizes, key=lambda size: abs(count(size) - wanted))


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights on the CPU, which further training leaves alone."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def classification_scores(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Loss (nats per example), accuracy and macro-F1 of logits (N, L) for targets (N,)."""
    from sklearn.metrics import f1_score

    loss = torch.nn.functional.cross_entropy(logits, targets)
    predicted, targets = logits.argmax(dim=1).cpu().numpy(), targets.cpu().numpy()
    return {
        "loss": float(loss),
        "accuracy": float((predicted == targets).mean()),
        "macro_f1": float(f1_score(targets, predicted, average="macro")),
    }


def forecast_scores(forecasts: dict, truth: np.ndarray, naive_error: float) -> dict[str, dict]:
    """Score forecasts of a series, {name: (N, H)} with "persistence" among them, by (N, H) truth.

    `naive_error` is the MAE of persistence one step ahead on the training stretch.  Returns
    {name: {"mae", "rmse", "mase", "skill", "t", "by_horizon"}}: the first four are of step 1,
    and of each step, as lists, in `by_horizon`.  `t` says how surely step 1 beats persistence:
    the mean difference of their squared errors, divided by its standard error.
    Sources: Hyndman and Koehler 2006 (MASE), Diebold and Mariano 1995 (t).
    """
    squared = {name: (forecast - truth) ** 2 for name, forecast in forecasts.items()}  # (N, H)
    persistence = np.sqrt(squared["persistence"].mean(axis=0))  # (H,)
    scores = {}
    for name, forecast in forecasts.items():
        mae, rmse = np.abs(forecast - truth).mean(axis=0), np.sqrt(squared[name].mean(axis=0))
        # Persistence without any error cannot be improved upon: count that as no skill.
        skill = np.where(persistence > 0, 1 - rmse / np.where(persistence > 0, persistence, 1), 0)
        steps = {"mae": mae, "rmse": rmse, "mase": mae / naive_error, "skill": skill}
        gain = squared["persistence"][:, 0] - squared[name][:, 0]  # (N,)
        error = gain.std() / math.sqrt(len(gain))
        scores[name] = {measure: float(values[0]) for measure, values in steps.items()}
        scores[name]["t"] = float(gain.mean() / error) if error > 0 else 0.0
        scores[name]["by_horizon"] = {key: values.tolist() for key, values in steps.items()}
    return scores


def linear_baselines(
    train: Sequence, test: Sequence, vectorizer, C: float = 1.0
) -> tuple[float, float]:
    """Test accuracy of the most frequent training label, and of logistic regression.

    `train` and `test` hold (text, label) pairs; `vectorizer` is scikit-learn's, and turns
    texts into counts; a larger `C` lets the regression fit the training texts more closely.
    """
    from sklearn.linear_model import LogisticRegression

    (train_texts, train_labels), (test_texts, test_labels) = zip(*train), zip(*test)
    majority = collections.Counter(train_labels).most_common(1)[0][0]
    features = vectorizer.fit_transform(train_texts)
    regression = LogisticRegression(C=C, max_iter=3000).fit(features, train_labels)
    accuracy = regression.score(vectorizer.transform(test_texts), test_labels)
    return test_labels.count(majority) / len(test_labels), float(accuracy)


def sequence_scores(
    outputs: Sequence[tuple], wanted: Sequence[tuple], task: str
) -> dict[str, float]:
    """Compare N answers, tuples of tokens, with the ones `wanted`, which never hold <unk>.

    `token_accuracy`: the share of the wanted tokens that are at the same place in the answer;
    `exact_match`: the share of the answers in which nothing is wrong; and, where the task is
    to "translate", `bleu`.
    """
    right = sum(a == b for pair in zip(outputs, wanted) for a, b in zip(*pair))
    exact = sum(output == target for output, target in zip(outputs, wanted))
    scores = {
        "token_accuracy": right / sum(map(len, wanted)),
        "exact_match": exact / len(wanted),
    }
    return scores | ({"bleu": bleu(outputs, wanted)} if task == "translate" else {})


def main_measure(task: str) -> str:
    """The one of `sequence_scores` that counts: BLEU where there are many right answers."""
    return "bleu" if task == "translate" else "exact_match"


def scores_by_length(
    pairs: Sequence[tuple], outputs: Sequence, task: str, width: int = 1, fewest: int = 1
) -> dict[int, float]:
    """The main measure of the answers to the (source, target) `pairs` of each source length.

    `width` lengths at a time count as one, given by their middle; groups of less than
    `fewest` pairs are left out.  Returns {length: value}, for `plot_by_length`.
    """
    groups = collections.defaultdict(list)
    for (source, target), output in zip(pairs, outputs):
        groups[(len(source) - 1) // width * width + (width + 1) // 2].append((output, target))
    return {
        length: sequence_scores(*zip(*rows), task)[main_measure(task)]
        for length, rows in sorted(groups.items())
        if len(rows) >= fewest
    }


def print_by_length(curve: dict[int, float], measure: str, trained_to: int | None = None) -> None:
    """Print what `scores_by_length` returned, five lengths to a line."""
    longest = f" (longest in training: {trained_to})" if trained_to else ""
    print(f"\n{measure.replace('_', ' ')} by source length{longest}")
    cells = [f"{length:4d}: {value:6.3f}" for length, value in curve.items()]
    for start in range(0, len(cells), 5):
        print("  " + "".join(cells[start : start + 5]))


def print_examples(pairs: Sequence[tuple], outputs: Sequence[tuple], gap: str = " ") -> None:
    """Print the first three right and the first three wrong answers to (source, target) pairs."""
    for right in (True, False):
        rows = [(s, t, o) for (s, t), o in zip(pairs, outputs) if (o == t) == right][:3]
        print(f"\n{'right' if right else 'wrong'}" + ("" if rows else ": none"))
        for source, target, output in rows:
            print(f"  source   {gap.join(source)}\n  output   {gap.join(output)}")
            if not right:
                print(f"  wanted   {gap.join(target)}")


def print_pair_epoch(row: dict, improved: bool) -> None:
    """Print one row of the history of a network that answers sequences with sequences."""
    bleu = f"  {row['val_bleu']:5.2f}" if "val_bleu" in row else ""
    print(
        f"{row['epoch']:5d}  {row['train_loss']:10.3f}  {row['val_loss']:8.3f}"
        f"  {row['val_token_accuracy']:6.3f}  {row['val_exact_match']:6.3f}{bleu}"
        f"  {row['gradient_norm']:9.2f}  {row['seconds']:7.1f}{'  *' if improved else ''}",
        flush=True,
    )


def report_pair_test(
    splits: dict[str, list], test: dict, searched: list | None, epoch: int, args: argparse.Namespace
) -> dict[str, float]:
    """Print a line of scores for each way to answer the test pairs; return the baselines.

    `test` holds the scores of the greedy answers of the best `epoch`.  Those of `searched`, the
    answers of beam search if there was one, are put into test["beam"].
    """
    wanted = [target for _, target in splits["test"]]
    rows = {f"greedy (epoch {epoch}, chosen on validation)": dict(test)}
    if searched:
        test["beam"] = sequence_scores(searched, wanted, args.task)
        rows[f"beam search, K = {args.beam_size}"] = test["beam"]
    baselines = pair_baselines(splits, args.task)
    rows |= {name: {main_measure(args.task): value} for name, value in baselines.items()}
    print(f"\n{'test':<10}{len(wanted):,} pairs (the loss is with teacher forcing)")
    for name, scores in rows.items():
        values = [f"{key.replace('_', ' ')} {value:.4f}   " for key, value in scores.items()]
        print(f"{'':<10}{''.join(values)}{name}")
    return baselines


def translation_memory(train: Sequence[tuple], sources: Sequence) -> list:
    """The target of the most similar training source: a strong answer without a network.

    `train` holds (source, target) token tuples.  Similar are sources that share rare tokens
    and pairs of neighbours (TF-IDF, cosine).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    def one_and_two_tokens(tokens):
        return [*tokens, *map(" ".join, zip(tokens, tokens[1:]))]

    vectorizer = TfidfVectorizer(analyzer=one_and_two_tokens, dtype=np.float32)
    memory = vectorizer.fit_transform([source for source, _ in train])
    queries = vectorizer.transform(sources)
    nearest = [int((memory @ query.T).toarray().argmax()) for query in queries]
    return [train[row][1] for row in nearest]


def pair_baselines(splits: dict[str, list], task: str) -> dict[str, float]:
    """What a network must beat: the main measure of answers to the test pairs that need none.

    The answers are the source as it is (names and numbers survive that), and a translation memory.
    """
    sources, wanted = zip(*splits["test"])
    memory = translation_memory(splits["train"], sources)
    return {
        name: sequence_scores(outputs, wanted, task)[main_measure(task)]
        for name, outputs in {"source unchanged": sources, "translation memory": memory}.items()
    }


def print_pairs(batch, vocabs: Sequence[Vocab]) -> None:
    """Print a few pairs as a decoder meets them; `batch` is a `PairSplit`."""
    print(f"{'batch':<10}{len(batch.pairs)} pairs; the target is what the decoder reads, shifted")
    sides = ((vocabs[0], batch.sources), (vocabs[1], batch.targets[:, :-1]))
    rows = dict(zip(("source", "reads", "target"), (*sides, (vocabs[1], batch.targets[:, 1:]))))
    for index in range(len(batch.pairs)):
        for name, (vocab, tokens) in rows.items():
            print(f"{'':<10}{name:<8}{' '.join(vocab.lookup_tokens(tokens[index]))}")


def print_unknown(tokens: Iterable[str], vocab: Vocab) -> None:
    """Say which tokens of a source the network has never met."""
    unknown = [token for token in tokens if token not in vocab]
    if unknown:
        print(f"     read as <unk>, never seen in training: {' '.join(unknown)}")


def load_pair_model(path, tutorial: str, build: Callable, device) -> tuple:
    """Rebuild a model from its checkpoint; return it, its two vocabularies, and the record.

    `build(source_size, target_size, settings)` makes the model.
    """
    checkpoint = load_checkpoint(path, tutorial)
    with restoring(path):
        vocabs = [Vocab(tokens) for tokens in checkpoint["vocabs"]]
        model = build(*map(len, vocabs), argparse.Namespace(**checkpoint["config"]))
        model.load_state_dict(checkpoint["weights"])
    return model.to(device), vocabs, checkpoint


def take_pair_settings(args: argparse.Namespace, trained: dict) -> None:
    """`take_trained_settings` for pairs; UserError for another task, or --data for a toy task."""
    if args.task not in (None, trained["task"]):
        raise UserError(f"--path {args.path}: this model was trained for {trained['task']} only")
    toy = trained["task"] != "translate"
    if toy and args.data:
        raise UserError(
            f"--data: the model at {args.path} cannot translate, it was trained for "
            f"{trained['task']} only; drop --data"
        )
    # Generated pairs are the same ones only if every setting is.
    take_trained_settings(args, trained, () if toy else ("data", "dataset", "max_examples"))


def bleu(outputs: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """BLEU of a corpus of tokenised sentences, 0 to 100; one reference for each output.

        BLEU = 100 * min(1, exp(1 - r / c)) * (p_1 p_2 p_3 p_4)^(1/4)

    p_n is the precision of n-grams: of all groups of n successive words in the outputs, the
    share that appears in the reference of the same sentence.  A group counts at most as often
    as the reference has it, or "the the the" would be perfect.  r and c are the numbers of
    words in all references and all outputs: precision alone would reward one safe word, so
    outputs that are too short pay for it.  Counts are summed over the corpus before dividing;
    nothing is smoothed, so without any right group of four words the score is 0.
    Source: Papineni et al. 2002.
    """
    right, total = [0] * 4, [0] * 4
    for output, reference in zip(outputs, references):
        for n in range(1, 5):
            ours, theirs = _count_ngrams(output, n), _count_ngrams(reference, n)
            right[n - 1] += sum((ours & theirs).values())  # & takes the smaller count of the two
            total[n - 1] += sum(ours.values())
    if min(right) == 0:
        return 0.0
    c, r = sum(map(len, outputs)), sum(map(len, references))
    brevity = min(0.0, 1 - r / c)
    return 100 * math.exp(brevity + sum(math.log(a / b) for a, b in zip(right, total)) / 4)


def _count_ngrams(words: Sequence[str], n: int) -> collections.Counter:
    return collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def kneser_ney(ids: np.ndarray, start: int, vocab_size: int, order: int) -> np.ndarray:
    """An n-gram language model: p(ids[i] | the n - 1 before it) for every i >= `start`, (N,).

    It counts in ids[:start], and n = `order`.  Most contexts c of n - 1 symbols are rare, so each
    order takes a discount D off its counts, and what that saves goes to the order below:

        p_n(w | c) = (max(count(c, w) - D, 0) + D kinds(c) p_{n-1}(w | c')) / count(c)

    kinds(c) is the number of different symbols seen after c, and c' is c without its oldest.  The
    lower orders count in how many contexts a symbol was seen, not how often: "Francisco" is
    frequent, but only after "San".  vocab_size ** order must be below 2 ** 63.
    Source: Kneser and Ney 1995, interpolated; D as in Ney, Essen and Kneser 1994.
    """
    grams, counts = np.unique(_ngrams(ids[:start], order, vocab_size), return_counts=True)
    orders = []
    for n in range(order, 0, -1):
        orders.append((n, grams, counts))
        grams, counts = np.unique(grams % vocab_size ** (n - 1), return_counts=True)
    p = np.full(len(ids) - start, 1 / vocab_size)  # order 0: all symbols alike
    for n, grams, counts in reversed(orders):
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = (once + 1) / (once + 2 * twice + 2)  # never 0, or p could be
        contexts, first = np.unique(grams // vocab_size, return_index=True)
        totals, kinds = np.add.reduceat(counts, first), np.diff([*first, len(grams)])
        keys = _ngrams(ids[start - n + 1 :], n, vocab_size)
        count = _look_up(keys, grams, counts)
        total = _look_up(keys // vocab_size, contexts, totals)
        saved = discount * _look_up(keys // vocab_size, contexts, kinds)
        mixed = (np.maximum(count - discount, 0) + saved * p) / np.maximum(total, 1)
        p = np.where(total > 0, mixed, p)  # a context never seen: the order below decides
    return p


def _ngrams(ids: np.ndarray, n: int, vocab_size: int) -> np.ndarray:
    """(N,) indices -> the N - n + 1 n-grams in them, each as one integer in base `vocab_size`."""
    keys = np.zeros(len(ids) - n + 1, dtype=np.int64)
    for offset in range(n):
        keys = keys * vocab_size + ids[offset : len(keys) + offset]
    return keys


def _look_up(keys: np.ndarray, table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each key in a sorted table, 0 for those not in it."""
    places = np.searchsorted(table, keys).clip(max=len(table) - 1)
    return np.where(table[places] == keys, values[places], 0)


# %% ------------------------------------------------------------------
# 7. Checkpoints
# ----------------------------------------------------------------------

CHECKPOINT_FORMAT = 1
_PLAIN = (type(None), bool, int, float, str, torch.Tensor)


def _require_plain(value: Any, where: str) -> None:
    """Refuse what `torch.load(weights_only=True)` would later refuse to load."""
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(key, f"{where} key")
            _require_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _require_plain(item, f"{where}[{index}]")
    elif type(value) not in _PLAIN and not isinstance(value, torch.nn.Parameter):
        raise TypeError(f"{where} is a {type(value).__name__}: convert it to a plain type first")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name to write to; the file written takes the place of `path` if all goes well.

    Otherwise it is deleted.  So there is always the old file or the new one, never half of one.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def save_checkpoint(path, tutorial: str, **contents: Any) -> None:
    """Write one file that holds all a model needs: weights, vocabulary, labels, settings.

    `contents` are plain Python types and tensors.  The file is written under another
    name, flushed to the disk and only then renamed, so a crash at any moment leaves
    either the old file or the new one, never half of one.  Raises UserError when the
    disk is full or the folder read-only.
    """
    # The settings of a checkpoint that was loaded are a _Record, which cannot be loaded again.
    contents = {k: dict(v) if isinstance(v, _Record) else v for k, v in contents.items()}
    _require_plain(contents, "checkpoint")
    record = {"format": CHECKPOINT_FORMAT, "tutorial": tutorial, **contents}
    try:
        with _replacing(Path(path)) as temporary, open(temporary, "wb") as file:
            torch.save(record, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise UserError(f"{path}: the checkpoint cannot be written ({error})") from None


class _Record(dict):
    """The contents of a checkpoint; what is not in it, and should be, is a UserError."""

    def __init__(self, contents: dict, path):
        super().__init__(contents)
        self.path = path

    def __missing__(self, key):
        raise UserError(
            f"{self.path}: the checkpoint does not fit this script (it has no {key!r}); "
            "train again with --save-model"
        )


def load_checkpoint(path, tutorial: str, resuming: bool = False) -> dict:
    """Read what `save_checkpoint` wrote for the same tutorial, onto the CPU.

    Only tensors and plain types are accepted (`weights_only=True`), so a file made to
    run code when opened is refused; PyTorch before 2.6 had a hole in that protection, so
    open strangers' files with 2.6 or newer.  Raises UserError for a file that is missing,
    damaged, not a checkpoint, or another tutorial's.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint; train one with --save-model --path {path}")
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way; all mean the same
        raise UserError(
            f"{path}: not a checkpoint of this course, or damaged ({type(error).__name__}); "
            "train again with --save-model"
        ) from None
    if not isinstance(record, dict) or "tutorial" not in record or "format" not in record:
        raise UserError(f"{path}: a PyTorch file, but not a checkpoint of this course")
    if record["tutorial"] != tutorial:
        raise UserError(f"{path}: saved by {record['tutorial']}, not by {tutorial}; open it there")
    if record["format"] != CHECKPOINT_FORMAT:
        raise UserError(
            f"{path}: format {record['format']}, and this version reads {CHECKPOINT_FORMAT}; "
            "train again with --save-model"
        )
    if "optimizer" in record and not resuming:
        model = str(path).replace(".last.", ".")
        raise UserError(f"{path}: the state for --resume; the model itself is {model}")
    if isinstance(record.get("config"), dict):
        record["config"] = _Record(record["config"], path)
    return _Record(record, path)


@contextlib.contextmanager
def restoring(path) -> Iterator[None]:
    """Around code that rebuilds a model from a checkpoint: what is missing is a UserError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: the checkpoint does not fit this script ({type(error).__name__}: {reason}); "
            "train again with --save-model"
        ) from None


def last_path(path) -> Path:
    """Where the state for `--resume` lies: `models/names.pt` -> `models/names.last.pt`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.last{path.suffix}")


def save_training_state(
    path, tutorial: str, *, config: dict, model, optimizer, stopper: EarlyStopping, **progress_made
) -> None:
    """Save at `last_path(path)` all that going on needs, as if there had been no break.

    `progress_made` holds the script's own plain values: epoch, best, history...
    """
    save_checkpoint(
        last_path(path),
        tutorial,
        config=config,
        model=snapshot(model),
        optimizer=optimizer.state_dict(),
        stopper=stopper.state_dict(),
        rng=rng_state(),
        **progress_made,
    )


def load_training_state(
    path, tutorial: str, *, config: dict, model, optimizer, stopper: EarlyStopping
) -> dict:
    """Restore model, optimiser, stopper and random generators; return the whole record.

    Raises UserError when the saved run had other settings: its second half would then
    belong to another experiment than its first.
    """
    if not last_path(path).is_file():
        raise UserError(
            f"{last_path(path)}: nothing to resume there; start with --save-model --path {path}"
        )
    path = last_path(path)
    record = load_checkpoint(path, tutorial, resuming=True)
    with restoring(path):
        saved = record["config"]
        differing = [key for key in config if saved.get(key) != config[key]]
        if differing:
            key = next((key for key in differing if saved.get(key) is not None), differing[0])
            flag = "--" + key.replace("_", "-")
            raise UserError(
                f"{path}: cannot resume, that run had {flag} {saved.get(key)} and this one has "
                f"{config[key]}; use the same flags, or start again without --resume"
            )
        model.load_state_dict(record["model"])
        optimizer.load_state_dict(record["optimizer"])
        stopper.load_state_dict(record["stopper"])
        restore_rng_state(record["rng"])
    return record


def save_epoch(path, tutorial: str, resumable: dict, history: list, best: dict, **contents) -> None:
    """After an epoch: save the best model so far at `path`, and beside it what --resume needs.

    `resumable` holds config, model, optimizer and stopper, see `save_training_state`; `best` and
    `contents` are what the model's checkpoint holds besides the config.
    """
    save_checkpoint(path, tutorial, config=resumable["config"], **contents, **best)
    save_training_state(path, tutorial, **resumable, history=history, best=best)


@contextlib.contextmanager
def interruptible(args: argparse.Namespace, history: list) -> Iterator[None]:
    """Around a training loop: Ctrl-C says what is saved and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if getattr(args, "is_variant", False):  # see `variant`
            saved = "The comparison is lost; a model that was saved before it is not."
        elif args.save_model and history:
            saved = f"The finished epochs are in {last_path(args.path)}; add --resume to go on."
        elif args.save_model:
            saved = "No epoch was finished, so there is nothing to resume."
        else:
            saved = "Nothing was saved: --save-model keeps every finished epoch."
        raise KeyboardInterrupt(saved) from None


# %% ------------------------------------------------------------------
# 8. Plots
# ----------------------------------------------------------------------

# Okabe and Ito's palette: told apart with every common form of colour blindness.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, BLACK, GREY = "#56B4E9", "#E69F00", "#000000", "#999999"
PALETTE = [BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK]


def get_pyplot(show: bool = False):
    """Import matplotlib, drawing to files (Agg) unless `show`, and set the course's look."""
    import matplotlib

    if not show:
        matplotlib.use("Agg")  # works on a server, and opens no window
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 12,
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "font.size": 11,
            "legend.edgecolor": "none",
            "legend.framealpha": 0.85,
            "savefig.facecolor": "white",
        }
    )
    return plt


def save_figure(figure, folder, name: str, show: bool = False) -> Path:
    """Save a figure as `<folder>/<name>.png`, show it if asked, and free its memory."""
    import matplotlib.pyplot as plt

    path = Path(folder) / f"{name}.png"
    try:
        with _replacing(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is a box
            figure.savefig(temporary, format="png")
    except OSError as error:
        raise UserError(f"{path}: the figure cannot be written ({error.strerror})") from None
    if show:
        plt.show()
    plt.close(figure)
    return path


def save_figures(figures: dict[str, Any], args: argparse.Namespace) -> list[Path]:
    """Save {name: figure} in `args.output_dir`; return the paths."""
    return [save_figure(fig, args.output_dir, name, args.show) for name, fig in figures.items()]


def plot_curves(axes, history: list[dict], measure: str, label: str, baselines=()) -> None:
    """Draw one measure over the epochs: training solid, validation dashed, baselines grey.

    `history` holds one dict per epoch with `train_<measure>` and `val_<measure>`, either
    of which may be absent; `baselines` are (name, value) pairs.
    """
    epochs = [row["epoch"] for row in history]
    for split, style, color in (("train", "o-", BLUE), ("val", "o--", ORANGE)):
        key = f"{split}_{measure}"
        if key in history[0]:
            name = "training" if split == "train" else "validation"
            axes.plot(epochs, [row[key] for row in history], style, ms=3, color=color, label=name)
    for (name, value), style in zip(baselines, (":", "-.", "--")):
        axes.axhline(value, color=GREY, linestyle=style, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.legend()


def plot_history(history: list[dict], loss: str, baselines: dict, measure="accuracy", label=None):
    """Return a figure with the loss and the main measure over the epochs.

    `loss` labels the axis of the loss, with its unit; `label` that of the measure, if its name
    does not do.
    """
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    plot_curves(left, history, "loss", loss)
    plot_curves(right, history, measure, label or measure, baselines.items())
    return figure


def plot_confusion(targets, predicted, labels: Sequence[str]):
    """Return a figure of the confusion matrix; `targets` and `predicted` are (N,) indices.

    Rows are the true labels and add up to 1, so the diagonal is each label's recall.
    """
    import matplotlib.pyplot as plt
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(targets, predicted, labels=range(len(labels)), normalize="true")
    side = 2.5 + 0.32 * len(labels)
    figure, axes = plt.subplots(figsize=(side + 1, side))
    plot_heatmap(axes, matrix, labels, labels, "share of the row", cmap="Blues", vmin=0, vmax=1)
    axes.tick_params(axis="x", rotation=90)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def plot_heatmap(axes, matrix, row_names, column_names, label: str | None, **image_options):
    """Draw a matrix (rows, columns) as colours, its rows and columns named.

    `label` names the colour bar; None leaves it out.
    """
    image = axes.imshow(np.asarray(matrix), aspect="auto", **image_options)
    # Names may be words of a user's text, and a pair of dollar signs in them is no formula.
    axes.set_xticks(range(len(column_names)), column_names, parse_math=False)
    axes.set_yticks(range(len(row_names)), row_names, parse_math=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if label is not None:
        axes.figure.colorbar(image, ax=axes, label=label)


# What the length of a source counts, for the axes of figures.
LENGTH_UNITS = {"translate": "tokens", "reverse": "digits", "copy": "digits"}
LENGTH_UNITS |= {"add": "characters", "dates": "characters"}


def plot_by_length(axes, curves: dict[str, dict], label: str, task: str, trained_to=None):
    """Draw one curve of {source length: value} for each name in `curves`.

    `label` names the value, and `task` decides what a length counts.  `trained_to` marks the
    greatest length in training: what fails left of the line is capacity, what fails right of it
    is generalisation.
    """
    for (name, values), marker in zip(curves.items(), "osD^vPX"):
        lengths = sorted(values)
        heights = [values[length] for length in lengths]
        axes.plot(lengths, heights, marker + "-", ms=4, label=name)
    if trained_to is not None:
        axes.axvline(trained_to + 0.5, color=GREY, linestyle="--", label="longest in training")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel=f"source length ({LENGTH_UNITS[task]})", ylabel=label)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9)


# %% ------------------------------------------------------------------
# 9. Command line
# ----------------------------------------------------------------------


class _OneLineParser(argparse.ArgumentParser):
    """argparse prints its usage before every error; one line is easier to act on."""

    def error(self, message: str):
        self.exit(2, f"error: {message} (--help lists the flags)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but no "(default: None)": there the help text says what happens."""

    def _get_help_string(self, action):
        hidden = action.default is None or action.default is False  # a default of 0 is shown
        return action.help if hidden else super()._get_help_string(action)


def make_parser(docstring: str) -> argparse.ArgumentParser:
    """A parser whose `--help` opens with the first line of the script's docstring."""
    return _OneLineParser(
        description=docstring.strip().splitlines()[0],
        formatter_class=_Help,
        allow_abbrev=False,
    )


def at_least(minimum: int) -> Callable[[str], int]:
    """An argparse type: a whole number that is not below `minimum`."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not minimum <= value < 2**31:
            raise argparse.ArgumentTypeError(f"must be {minimum} or more, and is {text}")
        return value

    return whole_number


def between(low: float, high: float = math.inf, open_low: bool = False) -> Callable[[str], float]:
    """An argparse type: a number from `low` (not `low` itself if `open_low`) to `high`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (low <= value <= high) or (open_low and value == low) or math.isinf(value):
            lower = f"above {low:g}" if open_low else f"{low:g} or more"
            upper = "" if math.isinf(high) else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"must be {lower}{upper}, and is {text}")
        return value

    return number


def add_run_flags(parser: argparse.ArgumentParser, threads: int, downloads: bool = True) -> None:
    """Add the flags that mean the same in every script: seed, device, files, figures.

    `threads` is the script's own measured best, and the default where there are so many cores.
    `downloads` adds the flags about data.
    """
    threads = min(threads, os.cpu_count() or 1)
    group = parser.add_argument_group("machine and files")
    add = group.add_argument
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
    add("--save-model", action="store_true", help="keep the best model, and what --resume needs")
    add("--path", help=f"the checkpoint (default: models/{tutorial}.pt)")
    resume = "continue an interrupted --save-model run, with the same flags"
    add("--resume", action="store_true", help=resume)
    score = "score the checkpoint at --path; train only baselines"
    add("--eval-only", action="store_true", help=score)


def parse_arguments(parser: argparse.ArgumentParser, argv, quick: dict) -> argparse.Namespace:
    """Parse the command line; with `--quick`, take `quick` as the defaults.

    A flag that is written out wins over `--quick`.
    """
    args = parser.parse_args(argv)
    if args.quick:
        parser.set_defaults(**quick)
        args = parser.parse_args(argv)
    return args


def answers_alone(args: argparse.Namespace, asked) -> bool:
    """Whether the checkpoint at --path is to answer what was `asked`, with no data and no training.

    `asked` is the value of `--predict` or its like, None where it was not given.
    """
    trains = args.save_model or args.resume or args.eval_only
    alone = asked is not None and bool(args.path) and not trains
    if alone:
        set_threads(args.threads)
    return alone


def variant(args: argparse.Namespace, **changes) -> argparse.Namespace:
    """Settings for a model that is trained for comparison: seeded alike, and never saved."""
    set_seed(args.seed)
    never = {"save_model": False, "resume": False, "is_variant": True}
    return argparse.Namespace(**{**vars(args), **never, **changes})


def start_run(args: argparse.Namespace, tutorial: str) -> torch.device:
    """Set threads and seed, and find out *before* training whether results can be written.

    Fills in the defaults of `args.output_dir` and `args.path`, creates the folders, and
    returns the device.
    """
    device = get_device(args.device)
    set_threads(args.threads)
    set_seed(args.seed)
    # A gradient that vanishes ends in numbers below 1e-38, which a CPU handles a hundred
    # times more slowly than others: an LSTM read at its last state took 4 times as long.
    torch.set_flush_denormal(True)
    folder = Path("outputs") / tutorial
    if getattr(args, "eval_only", False):
        if args.save_model or args.resume:
            raise UserError("--eval-only trains nothing; drop --save-model and --resume")
        folder /= "eval"  # of its own, so that the metrics of the training run stay
    args.output_dir = args.output_dir or str(folder)
    require_writable(args.output_dir, "--output-dir")
    if not hasattr(args, "path"):  # a script without checkpoints
        return device
    args.path = args.path or str(Path("models") / f"{tutorial}.pt")
    args.save_model |= args.resume
    if args.save_model:
        if Path(args.path).is_dir():
            raise UserError(f"--path {args.path}: is a folder; name a file in it")
        require_writable(Path(args.path).parent, "--path")
    return device


def require_writable(folder, flag: str) -> None:
    """Create a folder and make sure that a file can be made in it, or raise UserError."""
    probe = Path(folder) / f".write-test-{os.getpid()}"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{flag}: cannot write to the folder {folder} ({error.strerror})") from None


def configuration(args: argparse.Namespace) -> dict:
    """The flags as a dict of plain values, for metrics.json and checkpoints."""
    return dict(vars(args))


# Flags that say where and how to run, not what is trained.
_RUN_FLAGS = {
    *("data_dir", "device", "eval_only", "no_plots", "offline", "output_dir", "path"),
    *("beam_size", "compare", "compare_cells", "forecast", "lesson", "predict", "quick", "resume"),
    *("save_model", "show", "threads", "translate"),
}


def training_config(args: argparse.Namespace) -> dict:
    """The flags that shape the trained model: a resumed run must agree in all of them."""
    return {key: value for key, value in vars(args).items() if key not in _RUN_FLAGS}


def take_trained_settings(
    args: argparse.Namespace, trained: dict, data_flags=("data", "dataset", "max_examples")
) -> None:
    """For --eval-only: put the settings that the model was trained with into `args`.

    That includes its data (`data_flags`), unless `--data` or `--dataset` names others: only
    on the data it was trained with is the test split one that the model has never seen.
    """
    own_data = args.data is not None or args.dataset not in (None, "auto")
    for name, value in trained.items():
        if name not in _RUN_FLAGS and not (own_data and name in data_flags):
            setattr(args, name, value)


def print_configuration(args: argparse.Namespace, device: torch.device) -> None:
    """Print every setting that is in force, and the device."""
    settings = {k: v for k, v in vars(args).items() if v is not None and v is not False}
    settings["device"] = device
    text = "  ".join(f"{key.replace('_', '-')}={value}" for key, value in settings.items())
    for index, line in enumerate(textwrap.wrap(text, 78, break_on_hyphens=False)):
        print(f"{'' if index else 'settings':<10}{line}")


def versions() -> dict[str, str]:
    """What the figures of a run depend on besides its flags."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def items_per_second(num_items: int, history: list[dict]) -> float:
    """Training items by the seconds of all epochs in `history`, resumed ones too; 0 for none."""
    seconds = sum(row["seconds"] for row in history)
    return round(num_items / seconds, 1) if seconds else 0.0


def write_metrics(args: argparse.Namespace, tutorial: str, started: float, **measured) -> dict:
    """Write `<output_dir>/metrics.json` and return its contents.

    `measured` holds the script's own results, plain values; `started` is the
    `time.perf_counter()` at which the script began.  `train_seconds` is the sum over the epochs
    of the `history`, those before a --resume too.
    """
    if "history" in measured:
        seconds = sum(row["seconds"] for row in measured["history"])
        measured["train_seconds"] = round(seconds, 3)
    metrics = {
        "tutorial": tutorial,
        "config": configuration(args),
        **measured,
        "total_seconds": round(time.perf_counter() - started, 3),
        "versions": versions(),
    }
    write_json(Path(args.output_dir) / "metrics.json", metrics)
    return metrics


def print_files(args: argparse.Namespace, figures: Sequence[Path]) -> None:
    """Say at the end which files the run has left."""
    names = ", ".join(figure.name for figure in figures)
    print(f"\n{'files':<10}{args.output_dir}: metrics.json{', ' + names if names else ''}")
    if getattr(args, "save_model", False):
        print(f"{'':<10}{args.path} (the model), {last_path(args.path)} (for --resume)")


def write_json(path, value: Any) -> Path:
    """Write plain values as JSON, atomically; a NaN in them is a bug, and raises ValueError."""
    path = Path(path)
    text = json.dumps(value, indent=1, allow_nan=False)
    try:
        with _replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return path
