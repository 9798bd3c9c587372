"""rnn_data: the data sets of the course, the files of a user, and stand-ins for both.

A chapter asks for a data set by name, or reads a file that the user brings.  Either way it gets
plain Python lists (of a series, NumPy arrays), and need not know where they came from.  The
sections can be read in any order:

    1  Files of the data sets   DATA_SETS, data_file, download
    2  Data sets                load_dataset, imdb_split, load_goog, load_code, digit_strings, ...
    3  Tokens, series, names    token_level, own_series, load_series, split_by_time, fold_to_ascii
    4  Stand-ins                what `load_dataset` gives where there is no network

The readers of a user's files are in rnn_files.py, and can be called from here as well.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import http.client
import itertools
import os
import random
import re
import socket
import sys
import sysconfig
import tarfile
import unicodedata
import urllib.error
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.hub import download_url_to_file

from rnn_files import read_labelled_texts, read_pairs, read_series, read_text, read_text_files  # noqa: F401
from rnn_utils import UserError, basic_english, progress, replacing


class DataUnavailable(UserError):
    """A data set is neither on disk nor available from the network."""


# %% [markdown]
# ## 1. Files of the data sets
# Every address names a fixed commit and every file has its SHA-256, so a course given next year
# uses the same bytes as this year's.  Data set -> (address of its folder, {file: SHA-256}):

# %%
_GITHUB = "https://raw.githubusercontent.com"
DATA_SETS = {
    "names": (
        _GITHUB + "/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names", {
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
    }),
    "trec": (
        _GITHUB + "/harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data/raw", {
        "TREC.test": "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
        "TREC.train": "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",
    }),
    "multi30k": (
        _GITHUB + "/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw", {
        "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",  # noqa: E501
        "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",  # noqa: E501
        "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
        "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
        "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    }),
    "shakespeare": (
        _GITHUB + "/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare", {  # noqa: E501
        "input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    }),
    "imdb": (
        "https://ai.stanford.edu/~amaas/data/sentiment", {
        "aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    }),
}  # fmt: skip

TIME_OUT_SECONDS = 10  # no connection, or no further byte, within this: the network is absent


def data_file(dataset: str, filename: str, data_dir=None, offline: bool = False) -> Path:
    """Return the path of one file of a data set, downloading it if need be.

    Looked for at `<folder>/<dataset>/<filename>`, where the folder is `data_dir`, else the
    environment variable RNN_DATA_DIR, else `./data`.  A missing file is fetched from its
    pinned address, or from `$RNN_DATA_MIRROR/<dataset>/<filename>`; never with `offline` or
    RNN_OFFLINE=1.  Raises DataUnavailable when it is not there and cannot be fetched.
    """
    # What is on the disk is not checked: a class may have put its own version there.
    path = Path(data_dir or os.environ.get("RNN_DATA_DIR") or "data") / dataset / filename
    if path.is_file():
        return path
    address, checksums = DATA_SETS[dataset]
    if os.environ.get("RNN_DATA_MIRROR"):
        address = f"{os.environ['RNN_DATA_MIRROR'].rstrip('/')}/{dataset}"
    url = f"{address}/{filename}"
    if offline or os.environ.get("RNN_OFFLINE", "").lower() not in ("", "0", "false", "no"):
        raise DataUnavailable(
            f"{path} is not there, and --offline or RNN_OFFLINE forbids downloading it; "
            f"put {url} there, or name a folder that has it with --data-dir"
        )
    download(url, path, checksums[filename])
    return path


def download(url: str, path: Path, sha256: str) -> None:
    """Fetch `url` into `path`, or raise DataUnavailable; what has this name is always whole."""
    # The library opens its own connection, and takes the time-out that holds for all of Python.
    time_out_before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIME_OUT_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a temporary name, which is deleted if anything goes wrong.
        download_url_to_file(url, str(path), hash_prefix=sha256, progress=sys.stderr.isatty())
        return
    except RuntimeError as error:
        if "hash" not in str(error):
            raise
        # A wrong file, half a file, or the page on which a campus network asks for a name.
        reason = "not the expected file, or not all of it: its SHA-256 differs"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(error)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
    finally:
        socket.setdefaulttimeout(time_out_before)
    remedy = f"try later, or put the file at {path} by hand"
    raise DataUnavailable(f"cannot download {url} ({reason}); {remedy}")


# %% [markdown]
# ## 2. Data sets


# %%
def load_dataset(name: str, asked: str = "auto", data_dir=None, offline: bool = False) -> tuple:
    """Return (data, source, embedded) of the data set `name`, or of its stand-in.

    `asked` is the flag `--dataset`.  "auto" takes the real data, and where that is impossible,
    after a warning, the stand-in.  "embedded" takes the stand-in at once.  A data set asked for
    by its name is never replaced; if it cannot be had, DataUnavailable is raised.

    `source` is the name, or "embedded"; `embedded` says whether it is the stand-in.  `data`:

        names        [(name as written, language), ...]
        imdb         {"train", "val", "test": [(tokens, "pos" or "neg"), ...]}
        trec         {"train", "test": [(tokens, class), ...]}
        multi30k     {"train", "val", "test": [(English, French), ...]}, not tokenised
        shakespeare  one string
        sentences    ([text, ...], {kind: [word, ...]}): reviews of imdb, of which no kinds
                     are known, or made-up sentences, in which words of a kind fill a slot

    A stand-in has the same form, but of the splits only "train".  Tokens are lists of words
    from `basic_english`.
    """
    loaders: dict[str, tuple] = {
        "names": (_load_names, _invented_names),
        "imdb": (_load_imdb, _invented_reviews),
        "trec": (_load_trec, _invented_blanks),
        "multi30k": (_load_multi30k, _phrase_book),
        "shakespeare": (_load_shakespeare, load_code),
        "sentences": (_load_sentences, _invented_sentences),
    }
    load, stand_in = loaders[name]
    if asked != "embedded":
        try:
            return load(data_dir, offline), name, False
        except DataUnavailable as reason:
            if asked != "auto":
                raise
            # So loud that nobody overlooks it.
            print(
                f"{'!' * 78}\n!! The data set '{name}' is not available:\n!!   {reason}\n"
                "!! Using the small EMBEDDED stand-in instead. Its figures say nothing about\n"
                f"!! the real data. To insist on the real data: --dataset {name}\n{'!' * 78}",
                file=sys.stderr,
            )
    return stand_in(), "embedded", True


# %% [markdown]
# ### Names (Robertson 2017)
# Surnames of 18 languages, a file for each language, one name a line.  Two traps: Arabic lists
# each of 108 names 8 to 28 times, and 477 names stand in the files of several languages.  A split
# at random puts the same name into train and test.  So the names come here as they are written,
# and the chapter folds them, drops repetitions, and splits by name.


# %%
def _load_names(data_dir, offline) -> list[tuple[str, str]]:
    """Return 20,050 pairs (name, language), in the order of the files."""
    rows = []
    for filename in DATA_SETS["names"][1]:
        path = data_file("names", filename, data_dir, offline)
        for line in read_text(path).splitlines():
            if line.strip():
                rows.append((line.strip(), path.stem))
    return rows


# %% [markdown]
# ### Questions (Li and Roth 2002)
# What does a question ask for?  One of six classes: ABBR abbreviation, DESC description, ENTY
# thing, HUM person, LOC place, NUM number.  A line is `CLASS:detail question`:
#
#     NUM:date When did Hawaii become a state ?
#
# Of the 500 test questions, 11 are in train as well.  A text that is in both would be answered
# from memory, so the copies in train go, and so do repetitions within train.


# %%
def _load_trec(data_dir, offline) -> dict[str, list[tuple[list[str], str]]]:
    """Return the questions in words, with their classes: 5,368 of train and 500 of test."""
    parts = {}
    for part in ("train", "test"):
        path = data_file("trec", f"TREC.{part}", data_dir, offline)
        lines = path.read_text(encoding="latin-1").splitlines()
        rows = [re.fullmatch(r"([A-Z]+):\w+ (.*\w.*)", line) for line in lines]
        if not rows or not all(rows):
            raise UserError(f"{path}: not a file of TREC questions; delete it and run again")
        parts[part] = [(" ".join(basic_english(row[2])), row[1]) for row in rows if row]
    parts["train"] = _drop_repetitions(parts["train"], parts["test"], "trec")
    return {part: [(words.split(), label) for words, label in parts[part]] for part in parts}


def _drop_repetitions(train: list[tuple], test: list[tuple], source: str) -> list[tuple]:
    """Return each text of train once, and none that is in test; print how many are left out.

    A text is the first thing in its row: a string of words.
    """
    seen = {row[0] for row in test}
    kept = []
    for row in train:
        if row[0] not in seen:
            seen.add(row[0])
            kept.append(row)
    if len(kept) < len(train):
        count = len(train) - len(kept)
        print(f"{'data':<10}{source}: {count:,} repeated texts left out of train")
    return kept


# %% [markdown]
# ### Translations (Elliott et al. 2016, 2017)
# Captions of photographs, in English and French: 29,000 pairs to train, 1,014 to validate, and
# 1,000 to test, those of `test_2016_flickr`.  They are taken whole, as for published results,
# although one caption of val is in train as well.


# %%
def _load_multi30k(data_dir, offline) -> dict[str, list[tuple[str, str]]]:
    """Return {"train", "val", "test"}; line n of the French file translates line n here."""
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
        english, french = sides
        if len(english) != len(french):
            raise UserError(f"{path}: {len(french):,} lines to {len(english):,} English ones")
        splits[split] = list(zip(english, french))
    return splits


def _load_shakespeare(data_dir, offline) -> str:
    """1,115,394 characters of plays, as Karpathy (2015) put them together."""
    return read_text(data_file("shakespeare", "input.txt", data_dir, offline))


# %% [markdown]
# ### Film reviews (Maas et al. 2011)
# 25,000 reviews to train on, and 25,000 of other films to test on.  A film has up to 30 reviews.
# A validation split drawn at random would be of films that are in train as well, and would
# reward a model for learning the names in them.  The archive numbers the reviews of each label
# from 0 to 12499, film by film, and these stretches share no film with the rest:


# %%
def imdb_split(label: str, number: int) -> str:
    """The split, "train" or "val", of a review in the folder `train`.

    The number is the first one in the name of its file: 0 in `train/pos/0_9.txt`.
    """
    held_out = 3583 <= number <= 4856
    if label == "pos":
        held_out = number >= 11205
    return "val" if held_out else "train"


def _load_imdb(data_dir, offline) -> dict[str, list[tuple[list[str], str]]]:
    """The film reviews in words."""
    parts: dict[str, list] = {"train": [], "test": []}
    for line in _tokenised(data_file("imdb", "aclImdb_v1.tar.gz", data_dir, offline)):
        split, label, number, words = line.split(" ", 3)
        part = imdb_split(label, int(number)) if split == "train" else split
        parts[split].append((words, label, part))
    parts["train"] = _drop_repetitions(parts["train"], parts["test"], "imdb")
    splits: dict[str, list] = {"train": [], "val": [], "test": []}
    for words, label, part in parts["train"] + parts["test"]:
        # Interned, equal words are one object, and a token costs the 8 bytes of a reference.
        splits[part].append(([sys.intern(word) for word in words.split()], label))
    return splits


def _tokenised(archive: Path) -> list[str]:
    """A line for each film review: split, label, number and words.

    To make them takes up to twenty seconds, so they are kept beside the archive, where that
    folder can be written to.  The first line there has the check sums of archive and lines.
    """
    cache = archive.with_name("tokens.txt")
    archive_sum = zlib.crc32(archive.read_bytes())
    with contextlib.suppress(OSError):
        sums, _, kept = cache.read_bytes().partition(b"\n")
        if sums == b"%d %d" % (archive_sum, zlib.crc32(kept)):
            return kept.decode("utf-8").split("\n")
    lines = []
    for split, label, number, text in progress(read_imdb(archive), desc="tokenising"):
        lines.append(f"{split} {label} {number} {' '.join(basic_english(text))}")
    kept = "\n".join(lines).encode("utf-8")
    with contextlib.suppress(UserError), replacing(cache) as temporary:
        temporary.write_bytes(b"%d %d\n" % (archive_sum, zlib.crc32(kept)) + kept)
    return lines


_REVIEW = re.compile(r"[^/]+/(train|test)/(pos|neg)/(\d+)_\d+\.txt")


def read_imdb(path) -> list[tuple[str, str, int, str]]:
    """Read (split, label, number, text) of the labelled film reviews, in this order.

    `path` is the archive, whose members are named aclImdb/train/pos/0_9.txt and so on.  Raises
    UserError when it is damaged or of another kind.
    """
    reviews = []
    try:
        with gzip.open(path) as stream:
            # "r|": front to back, once.  Jumping about in a .gz means unpacking it again.
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = _REVIEW.fullmatch(member.name)
                    if name and member.isfile():
                        file = archive.extractfile(member)
                        assert file
                        text = file.read().decode("utf-8")
                        reviews.append((name[1], name[2], int(name[3]), text))
            # tarfile takes a broken archive for a short one; gzip's own check, at the very
            # end of the file, does not.
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run again") from None
    if {review[0] for review in reviews} != {"train", "test"}:
        raise UserError(f"{path}: holds no film reviews; delete it and run again")
    return sorted(reviews)


def _load_sentences(data_dir, offline) -> tuple[list[str], dict]:
    """The film reviews of train as they are written, and no kinds of words."""
    reviews = read_imdb(data_file("imdb", "aclImdb_v1.tar.gz", data_dir, offline))
    return [text for split, _, _, text in reviews if split == "train"], {}


# %% [markdown]
# ### Data that is always there


# %%
def load_goog() -> tuple[np.ndarray, np.ndarray]:
    """Google's share price on 1,047 trading days, August 2004 to October 2008, from matplotlib.

    Returns the dates (T,) and the adjusted closing prices (T,) in US dollars.
    """
    from matplotlib import cbook

    try:
        with np.load(cbook.get_sample_data("goog.npz", asfileobj=False)) as file:
            table = file["price_data"]
    except OSError as error:
        what = f"this matplotlib came without its sample data ({error})"
        remedy = "pip install matplotlib, or bring a series of your own with --data"
        raise DataUnavailable(f"{what}; {remedy}") from None
    return table["date"], table["adj_close"].astype(np.float64)


def load_code(max_chars: int = 420_000) -> str:
    """The first characters of Python's standard library: real text that is on every machine."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "\n".join(read_text(file) for file in files if file.stat().st_size)
    if not text:
        raise DataUnavailable("this Python has no source of its library; bring a text with --data")
    return text[:max_chars]


def digit_strings(count: int, lengths: Sequence[int], seed: int = 0) -> list[str]:
    """Draw `count` strings of random digits, the length of each from `lengths`."""
    rng = random.Random(seed)
    return ["".join(rng.choices("0123456789", k=rng.choice(lengths))) for _ in range(count)]


_DATE_FORMS = [
    "{month} {d}, {y}", "{month} the {nth}, {y}", "the {nth} of {month}, {y}", "{d} {mon} {y}",
    "{weekday}, {d} {month} {y}", "{weekday} the {nth} of {mon}, {y}", "{nth} {month} '{yy}",
    "{mon} {d} '{yy}", "{y}, {month} {d}", "{d}/{mon}/{yy}", "{d}.{m}.{y}", "{y}/{m}/{d}",
]  # fmt: skip
# Not from Python's `calendar`, which speaks the language of the machine.
_MONTH_NAMES = (
    "january february march april may june july august september october november december"
)
_WEEKDAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
_NTH = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}  # others: th


def date_pairs(count: int) -> list[tuple[str, str]]:
    """Draw `count` days of a century, none twice: ("friday, 3 march 2017", "2017-03-03"), ...

    A century has 36,525 days; there are no more pairs than that.
    """
    rng = random.Random(0)
    first = datetime.date(1950, 1, 1)
    pairs = []
    for number in rng.sample(range(36_525), min(count, 36_525)):
        day = first + datetime.timedelta(days=number)
        pairs.append((_write_date(day, rng.choice(_DATE_FORMS)), day.isoformat()))
    return pairs


def _write_date(day: datetime.date, form: str) -> str:
    """A date in one of `_DATE_FORMS`, in lower case."""
    month = _MONTH_NAMES.split()[day.month - 1]
    return form.format(
        d=day.day, nth=f"{day.day}{_NTH.get(day.day, 'th')}", m=day.month, month=month,
        mon=month[:3], y=day.year, yy=f"{day.year % 100:02d}",
        weekday=_WEEKDAY_NAMES.split()[day.weekday()],
    )  # fmt: skip


# %% [markdown]
# ## 3. Tokens, series and names


# %%
# Chinese, Japanese, Thai, Lao, Burmese and Khmer put no spaces between words.
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def token_level(texts: Sequence[str]) -> str:
    """Whether "words" or "characters" are the tokens of these texts.

    It is characters where half of the letters are of a script without spaces, or where no text
    has a second word: as a word, a new text would be unknown to a network.
    """
    letters = "".join(texts[:1000]).replace(" ", "")
    if 2 * len(_WITHOUT_SPACES.findall(letters)) > len(letters):
        return "characters"
    several = any(len(basic_english(text)) > 1 for text in texts)
    return "words" if several else "characters"


class Series(NamedTuple):
    """A series in the order of time."""

    source: str  # the file, or the name of the data set
    name: str
    values: np.ndarray  # (T, I); column 0 is what is forecast
    times: np.ndarray  # (T,) dates, or step numbers where there are none
    season: int  # m, steps in one season


def own_series(path, column, features, date_column, season: int | None) -> Series:
    """Read a series of the user's: what is forecast, and further columns.  See read_series."""
    columns = [column or "", *(features or [])]  # without one, the error lists those of the table
    times, values = read_series(path, columns, date_column)  # (T,), (T, I)
    if times is None:
        times = np.arange(len(values))
    return Series(str(path), columns[0], values, times, season or 7)


def load_series(
    data, column, features, date_column, dataset, season, num_steps, seed, make_sine, window,
    seasons=1,
) -> Series:  # fmt: skip
    """The user's table `data`, else "stock" (see load_goog), "mackey-glass", or a sine.

    The last two have num_steps values; `make_sine(num_steps, seed)` returns those of the sine.
    Raises UserError where a `window` or the `seasons` do not fit, see check_stretches.
    """
    if data:
        series = own_series(data, column, features, date_column, season)
    elif dataset == "stock":
        dates, prices = load_goog()
        series = Series(dataset, "GOOG (US dollars)", prices[:, None], dates, season or 5)
    elif dataset == "mackey-glass":
        values = _mackey_glass(num_steps, seed)[:, None]  # (T, 1)
        series = Series(dataset, f"{dataset} (units)", values, np.arange(num_steps), season or 50)
    else:
        values = make_sine(num_steps, seed)[:, None]  # (T, 1)
        series = Series("sine", "sine (units)", values, np.arange(num_steps), season or 24)
    check_stretches(series, window, seasons)
    return series


def _mackey_glass(num_steps: int, seed: int, tau: int = 17, per_step: int = 10) -> np.ndarray:
    """Return (T,) values; the seed sets the start, whose first 500 steps are thrown away."""
    start = 1.2 + 0.2 * (np.random.default_rng(seed).random() - 0.5)
    delay = tau * per_step
    x = [start] * (delay + 1)
    for _ in range((num_steps + 500) * per_step):
        # dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t),   Euler steps of 1 / per_step
        old = x[-1 - delay]
        x.append(x[-1] + (0.2 * old / (1 + old**10) - 0.1 * x[-1]) / per_step)
    return np.array(x[::per_step][-num_steps:])


def split_by_time(num_steps: int) -> dict[str, slice]:
    """Cut T steps into 70 % train, 15 % val and 15 % test, in this order."""
    train_end = int(0.70 * num_steps)
    val_end = int(0.85 * num_steps)
    parts = {"train": slice(0, train_end), "val": slice(train_end, val_end)}
    parts["test"] = slice(val_end, num_steps)
    return parts


def check_stretches(series: Series, window: int, seasons: int = 1) -> None:
    """Raise UserError where a series is too short, or has nothing to learn from.

    Each stretch of `split_by_time` must hold one window, and "train" so many seasons.
    """
    stretches = split_by_time(len(series.values))
    sizes = {part: stretch.stop - stretch.start for part, stretch in stretches.items()}
    if min(sizes.values()) < window:
        found = ", ".join(f"{part} {size}" for part, size in sizes.items())
        what = f"{len(series.values):,} values are too few: one window takes {window} steps"
        remedy = "give more, or train with a smaller --sequence-length or --horizon"
        raise UserError(f"{series.source}: {what}, and the stretches have {found}; {remedy}")
    if sizes["train"] < seasons * series.season:
        count = "a season" if seasons == 1 else f"{seasons} seasons"
        what = f"{count} of {series.season} steps cannot fit into the training stretch"
        remedy = "give a smaller --season"
        raise UserError(f"{series.source}: {what} of {sizes['train']}; {remedy}")
    if np.ptp(series.values[stretches["train"], 0]) < 1e-100:  # the square of so little is 0
        what = f"{series.name!r} never changes in its training stretch"
        raise UserError(f"{series.source}: {what}; forecast another column")


_ALPHABET = "abcdefghijklmnopqrstuvwxyz '-"
# Letters that Unicode does not decompose into a plain letter and an accent.
_SPELLED_OUT = str.maketrans({
    "ß": "ss", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe",
    "’": "'",
})  # fmt: skip


def fold_to_ascii(name: str) -> str:
    """Reduce a name to the letters a to z, space, ' and -; "" if none of it is left.

    Every spelling of a name gets one form, "Müller" and "MULLER" alike.  NFD splits "ü" into
    "u" and a combining accent, and what is not in the alphabet is then dropped.
    """
    decomposed = unicodedata.normalize("NFD", name.lower().translate(_SPELLED_OUT))
    kept = "".join(letter for letter in decomposed if letter in _ALPHABET)
    return " ".join(kept.split())


# %% [markdown]
# ## 4. Stand-ins
# What `load_dataset` gives on a machine without a network: made up by rules, small, and the same
# on every machine.  They show that a chapter works.  A figure reached on them says nothing about
# real data.
#
# ### Names
# Surnames put together from the syllables that give a language away.  Each row: how many to
# draw | first parts | middles | endings, where "-" is nothing and "_" a space.  Not as easy as it
# looks: -es is Spanish or Portuguese, -son English or Scottish, and one name in twelve has
# married into another language, so that nothing can reach 100 %.

# %%
_SYLLABLES = {
    "Arabic": "400 | ab as ba fa ha ka kha ma na sa sha ta"
        " | - b l r d mm s | ad ari awi een i im our oun",
    "Chinese": "350 | b ch d f g h j l m q sh t w x y zh"
        " | - | an ang ao ei en eng i ia iang ing ong ou u ua un",
    "Czech": "800 | bar cer dvor fial hav jan kol kuc mar nov pro sed sva vav zem"
        " | - an ov | ak ek ec ik ka ny sky ova cek",
    "Dutch": "500 | van_ de_ van_den_ -"
        " | berg bos brink dijk groot haan heuvel kamp meer roos vliet wijk | - en er ma stra s",
    "English": "4000 | al ash brad chap dun ed ham hol lang nor pres red shel stan thorn wal wood"
        " | - ing er e | bury by croft don field ford ham ley man son ton well worth",
    "French": "500 | beau bel bou char cler de_ dela du fon gar la lam le mar mon rou"
        " | b ch d l m n r v | ais ard aud eau elle et ier in ois on",
    "German": "900 | acker bach baum berg eich fisch hart kauf klein kohl neu schnei schu stein"
        " | - en er | bach bauer berg er hoff mann meyer stein wald",
    "Greek": "350 | anton christ demetr georg kar kost mich nik pan pap theod vas"
        " | - a i | akis atos idis iou opoulos akos",
    "Irish": "350 | o' mc -"
        " | bran cal con don dun fin gal kean mur rei shea sul | - agh an ey igan ley ly ohue",
    "Italian": "900 | al bar bel cap de_ col fer gal lom mar mor ric ros sal tor"
        " | - an ar en et in | ani elli etti i ini one oni ucci a",
    "Japanese": "1200 | a fuji ha hashi i ka ki ko ma mi mori na o sa shi ta to ya yo"
        " | - ka ma na shi ta yama | da gawa hara i ki moto mura no saki shita ta yama",
    "Korean": "250 | b ch g h j k m n p s sh y"
        " | a eo i o u yeo | - h k n ng m",
    "Polish": "350 | boro dom gra jan kacz kamin kow krol lew maz now pio wisn zie"
        " | - al in ow | czak czyk ak ek icki ski wicz",
    "Portuguese": "250 | al bar car cor cos fer mar men mor per rod sil sou ten"
        " | - d n r v | a eira es eiro inho os",
    "Russian": "8000 | ab bel bog dem dob gal gor iv kar kuz lap maks nov pet pol rom sid tim vas"
        " | - an ar en ich il in ol | chenko ev evsky in ikov ko kin off ov ovich sky uk yov",
    "Scottish": "300 | mac mc -"
        " | al camp cul doug fer gil gor ken kin ross | - ald bell gus land las ley mour son",
    "Spanish": "500 | al bar cam cas cor fer gar gom her lo mar men mor per rod san"
        " | - an in ol | a ado ales arez ero es ez illo o os",
    "Vietnamese": "250 | b ch d h kh l ng ngh ph t th tr v x"
        " | - | a ai am an ang anh ao e i inh o on ong u uan uong uyen y",
}  # fmt: skip


def _invented_names() -> list[tuple[str, str]]:
    """Draw about 20,000 (name, language) pairs."""
    rng = random.Random(0)
    # "400 | ab as | - b | ad ari" -> ["400"], and three lists of syllables
    parts = {}
    for language, row in _SYLLABLES.items():
        parts[language] = [syllables.split() for syllables in row.split(" | ")]
    rows = []
    for language, (count, firsts, middles, _) in parts.items():
        for _ in range(int(count[0])):
            # A family keeps its name when it moves, and the label is where it lives.
            origin = language
            if rng.random() < 1 / 12:
                origin = rng.choice(list(parts))
            syllables = [rng.choice(firsts), rng.choice(middles), rng.choice(parts[origin][3])]
            name = "".join(syllable.strip("-") for syllable in syllables)
            rows.append((" ".join(name.split("_")).strip(), language))
    return rows


# %% [markdown]
# ### Film reviews
# A small grammar.  Its point is that words alone do not decide.  "Without charm" is a complaint
# and "not without charm" is praise; "dull at first, yet the end is superb" says the opposite of
# the same words the other way round.  A bag of words sees no difference; a network that reads
# in order can.  A sign is +1 for praise and -1 for blame; _WORDS[sign] are the adjectives that
# fit; praise is "not without" charm and "entirely without" flaws.

# %%
_WORDS = {
    +1: ["superb", "gripping", "tender", "funny", "fresh", "elegant", "honest", "clever", "warm"],
    -1: ["dull", "clumsy", "shallow", "noisy", "stale", "lifeless", "tedious", "silly", "cold"],
}
_NOUNS = {+1: ["charm", "wit", "grace", "heart"], -1: ["flaws", "cliches", "gaps", "bluster"]}
_WITHOUT = {+1: "not without", -1: "entirely without"}
_ASPECTS = ["the plot", "the acting", "the script", "the music", "the pace", "the camera work"]
_DEGREES = ["very", "really", "quite", "truly", "rather", ""]
_OPINIONS = [
    "{about} is {degree} {fitting}",
    "{about} is not {degree} {opposite}",
    "nobody could call {about} {degree} {opposite}",
    "{about} is {lacking} {good}",
    "{about} is {spared} {bad}",
    "{about} seems {degree} {opposite} at first , yet turns out {degree} {fitting}",
    "{about} is {fitting} in the end , however {opposite} it may seem at first",
]
_FILLER = [
    "i saw it on a tuesday with two friends", "the cinema was half full", "it runs for two hours",
    "the story is set in a small town", "it was shot in black and white", "we had read the book",
    "the director also wrote it", "the leads play two sisters", "it opens with a long train ride",
]  # fmt: skip


def _opinion(sign: int, rng: random.Random) -> str:
    """One sentence of praise (+1) or blame (-1), as often as not by the other's words."""
    words = {
        "about": rng.choice(_ASPECTS),
        "degree": rng.choice(_DEGREES),
        "fitting": rng.choice(_WORDS[sign]),
        "opposite": rng.choice(_WORDS[-sign]),
        "lacking": _WITHOUT[sign],
        "good": rng.choice(_NOUNS[+1]),
        "spared": _WITHOUT[-sign],
        "bad": rng.choice(_NOUNS[-1]),
    }
    return rng.choice(_OPINIONS).format_map(words)


def _invented_reviews(count: int = 6000) -> dict[str, list[tuple[list[str], str]]]:
    """Make up `count` reviews of 20 to 120 words, half of them praise."""
    rng = random.Random(0)
    pairs = []
    for number in range(count):
        sign = 1 if number % 2 else -1
        # Two to four opinions, among sentences that say nothing about the film's worth.
        sentences = [_opinion(sign, rng) for _ in range(rng.randint(2, 4))]
        sentences += rng.sample(_FILLER, rng.randint(2, 7))
        rng.shuffle(sentences)
        text = " ".join(" . ".join(sentences).split()) + " ."
        pairs.append((text, "pos" if sign > 0 else "neg"))
    return {"train": [(basic_english(text), label) for text, label in sorted(pairs)]}


# %% [markdown]
# ### Questions
# Of the same form as those about things in trec: what was in the blank?
#
#     once something right there that was sliced again stood beside a ____ of ours that honked ...
#
# Only the words right of the blank tell.  Those left of it are a decoy,
# for they describe another thing.  A bag of words sees both descriptions, and cannot know which
# of them belongs to the blank.

# %%
_CUES = {
    "animal": "barked|purred|grazed|was fed|hatched|wagged its tail|had sharp claws|laid eggs",
    "food": "tasted sweet|was fried|went mouldy|was sliced|burnt in the pan|melted|was peeled",
    "tool": "cut wood|was hammered|needed sharpening|drilled a hole|measured it|tightened screws",
    "vehicle": "took off|was parked|skidded|had two wheels|ran out of petrol|sank|honked|docked",
}
_OPENINGS = ["yesterday", "last week", "at noon", "they say", "once", "on monday"]
_PLACES = ["right there", "near the harbour", "by the door", "in the old town", "of ours"]
_ENDINGS = ["for an hour", "again", "in the rain", "as usual", "when nobody looked"]


def _invented_blanks(count: int = 4000) -> dict[str, list[tuple[list[str], str]]]:
    """Make up `count` distinct texts with a blank, "____", and what was in it."""
    rng = random.Random(0)
    labels = sorted(_CUES)
    pairs: set[tuple[str, str]] = set()
    while len(pairs) < count:
        label = rng.choice(labels)
        decoy = rng.choice(labels)
        told = []
        for name in (decoy, label):
            place = rng.choice(_PLACES)
            cue = rng.choice(_CUES[name].split("|"))
            told.append(f"{place} that {cue} {rng.choice(_ENDINGS)}")
        start = rng.choice(_OPENINGS)
        pairs.add((f"{start} something {told[0]} stood beside a ____ {told[1]} .", label))
    # Sorted, because a set has no order that would be the same in the next run.
    return {"train": [(basic_english(text), label) for text, label in sorted(pairs)]}


# %% [markdown]
# ### Translation
# A phrase book put together from parts.  French puts these adjectives behind the noun, and makes
# them and the article agree with it, so even here hardly a word can be translated without a look
# at its neighbours.  A row lists phrases, English:French, and "|" stands between them; every
# phrase of a row goes with every phrase of the others.

# %%
_WHO = (
    "the black dog:le chien noir|a dog:un chien|a girl:une fille|a green bus:un bus vert"
    "|a tired girl:une fille fatiguée|the boy:le garçon|a white cow:une vache blanche"
    "|the cow:la vache|a black cat:un chat noir|the tired baker:le boulanger fatigué"
)
_DOES = "runs:court|sleeps:dort|sings:chante|waits:attend|falls:tombe|comes:vient"
_WHERE = (
    ":|in the garden:dans le jardin|on the beach:sur la plage|in the street:dans la rue"
    "|near the house:près de la maison|by the river:au bord de la rivière"
)
_WHEN = ":|today:aujourd'hui|at night:la nuit|every morning:chaque matin"


def _phrase_book() -> dict[str, list[tuple[str, str]]]:
    """1,440 English-French pairs."""
    parts = []
    for row in (_WHO, _DOES, _WHERE, _WHEN):
        parts.append([entry.split(":") for entry in row.split("|")])
    pairs = []
    for who, does, where, when in itertools.product(parts[0], parts[1], parts[2], parts[3]):
        sides = zip(who, does, where, when)  # all phrases in English, then all in French
        english, french = (" ".join(filter(None, phrases)) + "." for phrases in sides)
        pairs.append((english, french))
    return {"train": pairs}


# %% [markdown]
# ### Sentences
# Templates with slots to fill, and some odd sentences that any tokenizer should have met.  Words
# of one kind fill the same slots, so they keep the same company.  A sentence ends at "|" or at
# the end of a line.

# %%
_KINDS = {
    "animal": "cat dog horse rabbit cow sheep goat donkey",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January March April June August October December",
    "city": "Paris London Madrid Rome Lisbon Berlin Vienna Prague",
    "food": "bread soup rice cheese pasta salad fish cake",
    "instrument": "piano violin guitar cello flute trumpet",
    "colour": "red blue green yellow white black brown grey",
    "job": "nurse teacher baker pilot farmer lawyer doctor dentist",
    "person": "Anna Ben Carla David Emma Farid Grace Hugo",
}
_NUMBERS = {"hour": "6:15 7:30 8 9:45", "price": "19.90 49 120 1,250"}
_TEMPLATES = """the {animal} slept in the straw all afternoon|we fed the {animal} before breakfast
the vet looked at the {animal} and found nothing wrong|a {animal} ran across the field
my neighbour's {animal} is older than I am|somebody left the gate open and the {animal} got out
{person} has a class every {day}|the museum is closed on {day}|the parcel arrived on {day}
the match was moved from {day} evening to the following week|every {day} we eat at my aunt's
{person} flew to {city} last week|the night train to {city} leaves at {hour}
I've never been to {city}, but I'd love to go|flights to {city} cost {price} euros in {month}
{person} plays the {instrument} in a small band|the {instrument} was badly out of tune
{person} practised the {instrument} until {hour}|the shop sells a used {instrument} for {price}
{person} ordered some {food} and a glass of water|there isn't any {food} left
this {food} tastes better than it looks|nobody has touched the {food} on the table
it rained a lot in {city}|{month} was cold this year|we'll be on holiday in {month}
the exam is in {month}|{person} painted the door {colour}|she wore a {colour} coat to the wedding
the walls are {colour}|{person} works as a {job} in {city}|my sister wants to become a {job}
the {job} told us not to worry|the {job} wasn't in on {day}"""
_REQUESTS = """could you buy {food} on your way home?|welcome to {city}!|see you next {day}!
have you seen the {animal}?|are you going to {city} in {month}?|who plays the {instrument}?
please call the {job} on {day}.|happy birthday, {person}!|why is everything {colour} in here?"""
_BEGINNINGS = ["", "", "", "", "I heard that ", "it turns out that ", "as far as I remember, "]
_ODD = """Wait... what?|Don't panic!|No.|Yes, yes, yes!|She said: "I'm not sure."|It's 5 o'clock.
Zoë's café opened in 1998; the naïve plan worked.|We paid £3.50 (about 4.10 euros) for a crêpe.
See https://example.org/rnn?lesson=2 for the slides.|Mail me at anna.b@example.com, please.
The results are at www.example.net/results.html, aren't they?|Great concert tonight 🎻🎺 !!!
I can't believe it 😂😂|Three candles and one cake 🎂|Señor Núñez lives in São Paulo.|Mind the gap!
They'd've told us if they'd known.|Rock 'n' roll isn't dead.|The temperature fell to -12.5 degrees.
Version 2.0.1 fixes 37 bugs.|Call 555-0199 before 9 a.m. or after 5 p.m.|It's 50% off, today only!
The well-known mother-in-law joke wasn't funny.|“Curly” and "straight" quotes aren't the same.
If you ask me, the film was far too long, the plot made no sense, the music was loud, and yet, \
when the lights came on, nobody in the whole cinema wanted to stand up and leave."""


def _invented_sentences(draws: int = 16) -> tuple[list[str], dict[str, list[str]]]:
    """Fill each template `draws` times; return the sentences, and the words by kind."""
    rng = random.Random(2)
    fillers = {kind: words.split() for kind, words in (_KINDS | _NUMBERS).items()}
    odd, statements, requests = (re.split("[|\n]", text) for text in (_ODD, _TEMPLATES, _REQUESTS))

    def fill(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda slot: rng.choice(fillers[slot[1]]), template)

    sentences = [fill(request) for request in requests * draws]
    for template in statements * draws:
        second = ", and " + fill(rng.choice(statements)) if rng.random() < 0.15 else ""
        sentences.append(rng.choice(_BEGINNINGS) + fill(template) + second + ".")
    kinds = {kind: words.lower().split() for kind, words in _KINDS.items()}
    return odd + [text[0].upper() + text[1:] for text in sentences], kinds
