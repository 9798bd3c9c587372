"""Every reader of a user's files: whatever a file holds, a sound value or one clear line.

Hypothesis makes the files: correct ones, correct ones that were damaged a little (an odd byte, a
lost line, another encoding), and bytes at random; a folder or nothing at all may stand in place of
a file.  100 files for each reader, and 1,000 of them under the marker `slow`.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import datetime
import gzip
import io
import random
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import torch
from helpers import ROOT, load_script
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import rnn_data as rd
import rnn_pairs as rp
import rnn_texts as rt
import rnn_utils as ru

NUMBER_OF_FILES = [100, pytest.param(1000, marks=pytest.mark.slow)]
chapter = {path.name[:2]: load_script(path.stem) for path in sorted(ROOT.glob("[01][0-9]_*.py"))}
LONGEST_MESSAGE = 700  # characters, the path aside: who reads on?


class Reader(NamedTuple):
    """One way into the course for a user's file."""

    name: str
    file: str  # under this name, for some readers go by its ending
    content: st.SearchStrategy  # bytes; a dict of such is a folder; None is nothing at all
    read: Callable[[Path], Any]
    check: Callable[[Any], None]  # what holds of a value that was read


# ---------------------------------------------------------------- files, from sound to garbage

MISSING, FOLDER = None, {}
ODD = [
    b"\0", b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\r\n",
    b"\n", b"\n\n\n", b"\x0b", b"\x0c", b"\x1c", b"\x1b[2J", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\xc2\xa0", b'"', b'""', b'"\n', b"'", b",", b",,", b"\t", b";", b":", b" ", b"\\", b"$",
    b"nan", b"inf", b"-inf", b"1e999", b"1e308", b"1e31", b"-1e-320", b"0", b"-", b"NA", b"1_0",
    b"0x1", b"2024-02-30", b"1700-01-01", b"9999-12-31", b"<unk>", b"<pad>", b"<eos>", b"text",
    "é".encode(), "e\u0301".encode(), "İ".encode(), "李".encode(), "²²²²".encode(), "１".encode(),
]  # fmt: skip
GIANT = b"<giant>"  # stands for a word longer than a field may be by default in Python's csv


def insert(data: bytes, start: int, end: int, odd: bytes) -> bytes:
    return data[:start] + odd + data[start:]


def replace(data: bytes, start: int, end: int, odd: bytes) -> bytes:
    return data[:start] + odd + data[end:]


def lose(data: bytes, start: int, end: int, odd: bytes) -> bytes:
    return data[:start] + data[end:]


def repeat(data: bytes, start: int, end: int, odd: bytes) -> bytes:
    return data[:end] + data[start:]


def lose_the_first_line(data: bytes, *_) -> bytes:
    return data.partition(b"\n")[2]


def turn_the_lines_round(data: bytes, *_) -> bytes:
    head, *lines = data.split(b"\n")
    return b"\n".join([head, *lines[::-1]])


def swallow_a_cell(data: bytes, start: int, *_) -> bytes:
    """Lose what stands between two separators."""
    cells = data[start:].split(b",", 2)
    return data[:start] + b",".join(cells[:1] + cells[2:])


def old_macintosh(data: bytes, *_) -> bytes:
    return data.replace(b"\n", b"\r")


def windows(data: bytes, *_) -> bytes:
    return b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")


def in_utf16(data: bytes, *_) -> bytes:
    return data.decode("utf-8", "replace").encode("utf-16")


def in_latin1(data: bytes, *_) -> bytes:
    return data.decode("utf-8", "replace").encode("latin-1", "replace")


def grow(data: bytes, start: int, *_) -> bytes:
    return data[:start] + GIANT + data[start:]


DAMAGES = [
    *(insert, insert, replace, replace, lose, repeat, lose_the_first_line, turn_the_lines_round),
    *(swallow_a_cell, old_macintosh, windows, in_utf16, in_latin1, grow),
]


@st.composite
def damaged(draw, sound: st.SearchStrategy) -> bytes:
    """A sound file to which one to three things have happened."""
    data = draw(sound)
    for damage in draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3)):
        start, end = sorted(draw(st.integers(0, len(data))) for _ in range(2))
        data = damage(data, start, end, draw(st.sampled_from(ODD)))
    return data


def in_shares(*shares: tuple[int, st.SearchStrategy]) -> st.SearchStrategy:
    """Files of several sorts, so many parts of each; `one_of` takes a sort named twice once."""
    places = [place for place, (share, _) in enumerate(shares) for _ in range(share)]
    return st.sampled_from(places).flatmap(lambda place: shares[place][1])


def anything(sound: st.SearchStrategy) -> st.SearchStrategy:
    """What may be found where a file is expected; two in five are sound."""
    garbage = st.binary(max_size=300) | st.text(max_size=200).map(lambda t: t.encode())
    odd = st.sampled_from([b"", b"\n \n", b"\xef\xbb\xbf", GIANT, b"\n" * 999, MISSING, FOLDER])
    return in_shares((2, sound), (2, damaged(sound)), (1, garbage | odd))


def place(path: Path, content) -> None:
    """Put bytes, a folder (a dict) or nothing at `path`, whatever stood there before."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    if isinstance(content, dict):
        path.mkdir()
        for name, inner in content.items():
            place(path / name, inner)
    elif content is not None:
        path.write_bytes(content.replace(GIANT, b"z" * 150_000))


# ---------------------------------------------------------------- sound files

WORDS = [
    *("a", "b", "red", "green", "blue", "don't", "naïve", "İstanbul", "3.5", "ok!", 'say "hi"'),
    *("x,y", "<unk>", "<pad>", "$", "李", "(no)", "\u0301\u200b", "\x07", "😀"),
]
PLAIN = ["0", "1.5", "-2", "1e3", "-0.25", " 7 ", "12345.678", "+7", "3e-5"]
WILD = ["1e-300", "-1e29", "1e30", "9e29", "1e-320", "1_000", "１２", "-3e-99"]
SPELLED = ["$1.50", "(2)", "7 %", "12%", "1,234.5", "1.234,5", "1,5", "1.87M", "3K", "-$4", "1'000"]
DATE_FORMS = [
    *("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%S+01:00", "%m/%d/%Y"),
    *("%d.%m.%Y", "%d/%m/%Y %H:%M", "%b %d, %Y", "%d %B %Y", "%m/%d/%y", "%Y-%m-%d %H:%M:%S.%fZ"),
]
GAPS = ["", ".", "null", "NA", "-"]
REVIEW_NAMES = [
    f"aclImdb/{split}/{label}/{number}_7.txt"
    for split in ("train", "test")
    for label in ("pos", "neg")
    for number in (0, 1)
] + ["aclImdb/train/unsup/0_0.txt", "aclImdb/README", "train/pos/0_9.txt"]
KINDS = [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"Z"]


def made(by: Callable, fewest: int, most: int, **options) -> st.SearchStrategy:
    """Files made by `by(rng, size, **options)`, of `fewest` to `most` rows."""
    sizes, seeds = st.integers(fewest, most), st.integers(0, 2**32)
    return st.builds(lambda size, seed: by(random.Random(seed), size, **options), sizes, seeds)


def table(rows: list, delimiter: str = ",") -> bytes:
    """A CSV file with quotes where they are needed."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def phrase(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 5)))


def labelled(rng, size: int, delimiter: str = ",", labels=("x", "y", "y:z")) -> bytes:
    """A table of texts and labels; the texts are numbered with letters, so they are distinct."""
    rows = [[f"{chr(97 + i)} {phrase(rng)}", rng.choice(labels)] for i in range(size)]
    if rng.random() < 0.5:
        return table([["text", "label"], *rows], delimiter)
    return table(
        [["id", "Label", " TEXT "], *([7, label, text] for text, label in rows)], delimiter
    )


def prose(rng, size: int) -> bytes:
    return "\n".join(f"{phrase(rng)} {rng.randint(0, 99)}" for _ in range(size)).encode()


def pair_lines(rng, size: int, sources: int = 99) -> bytes:
    ends = ["", "", "\tCC-BY", "\t"]
    rows = [f"{phrase(rng)} {i % sources}\t{phrase(rng)}{rng.choice(ends)}" for i in range(size)]
    return "\n".join(rows).encode()


def sequences(rng, size: int, numbers=PLAIN) -> bytes:
    rows = [",".join(rng.choices(numbers, k=rng.randint(2, 6))) for _ in range(size)]
    return "\n".join(rows).encode()


def series(rng, size: int, numbers=PLAIN, forms=("%Y-%m-%d",), delimiter=",", gaps=0.0) -> bytes:
    """A table of numbers, and of dates that go forwards, or now and then backwards."""
    form, rows = rng.choice(forms), []
    day = datetime.datetime(rng.choice([2024] * 8 + [1969, 1700, 1]), 1, 1)
    steps = rng.choice([(1,)] * 6 + [(1, 3), (1, 0.5), (200_000, 1)])
    for index in range(size):
        cells = [rng.choice(GAPS) if rng.random() < gaps else rng.choice(numbers) for _ in "yz"]
        rows.append([day.strftime(form), *cells])
        with contextlib.suppress(OverflowError):  # after the year 9999 dates stand still
            day += datetime.timedelta(days=steps[index % len(steps)])
    if rng.random() < 0.2:
        rows.reverse()
    if rng.random() < 0.2:
        rows += [["", "", ""]] * 3
    return table([["date", "y", "z z"], *rows], delimiter)


def names(rng, size: int) -> bytes:
    odd = ["Müller", "O'Néàl", "Łoś-", "de la ", ""]
    rows = [rng.choice(odd) + "".join(rng.choices("abcxyz", k=4)) for _ in range(size)]
    return "\n".join(rows).encode()


def tar(rng, size: int) -> bytes:
    """An archive of reviews; now and then a member is no file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", bufsize=512) as archive:
        for _ in range(size):
            member, text = tarfile.TarInfo(rng.choice(REVIEW_NAMES)), phrase(rng).encode()
            if rng.random() < 0.03:
                member.type, member.linkname = rng.choice(KINDS), rng.choice(REVIEW_NAMES)
            else:
                member.size = len(text)
            archive.addfile(member, io.BytesIO(text) if member.size else None)
    return out.getvalue()


def trec(rng, size: int) -> bytes:
    classes = ["NUM:date", "HUM:ind", "DESC:def"]
    return "\n".join(f"{rng.choice(classes)} {phrase(rng)} {i}" for i in range(size)).encode()


def zipped(content) -> Any:
    if not isinstance(content, bytes):
        return content
    return gzip.compress(content.replace(GIANT, b"z" * 150_000), 1)


FILE_NAMES = st.sampled_from(["A.txt", "B.txt", "C d.txt", "é.txt", "notes.md", ".txt", ".h.txt"])


def folder(sound: st.SearchStrategy) -> st.SearchStrategy:
    """Folders of such files, half of them with something else among them; or a file instead."""
    good = st.dictionaries(FILE_NAMES, sound, min_size=2, max_size=5)
    mixed = st.dictionaries(FILE_NAMES, anything(sound), max_size=4)
    return in_shares((2, good), (2, mixed), (1, sound))


def captions() -> st.SearchStrategy:
    """The folder of multi30k: six files, and two of them may be damaged."""
    stems = [(stem, side) for stem in ("train", "val", "test_2016_flickr") for side in ("en", "fr")]
    good = made(prose, 12, 12).map(zipped)
    files = {f"{stem}.{side}.gz": good for stem, side in stems}
    inside = made(prose, 12, 12)
    train = anything(good) | anything(inside).map(zipped)
    files["train.en.gz"] = in_shares((1, good), (1, train))
    files["val.fr.gz"] = in_shares((3, good), (1, damaged(inside).map(zipped)))
    return st.fixed_dictionaries({"multi30k": st.fixed_dictionaries(files)})


def questions() -> st.SearchStrategy:
    files = {"TREC.train": anything(made(trec, 20, 60)), "TREC.test": st.just(b"HUM:ind Who ?")}
    return st.fixed_dictionaries({"trec": st.fixed_dictionaries(files)})


# ---------------------------------------------------------------- what holds of a value


def check_text(text) -> None:
    assert type(text) is str and text.strip() and "\r" not in text and "\0" not in text


def check_rows(rows) -> None:
    assert len({label for _, label in rows}) >= 2
    for text, label in rows:
        check_text(text)
        check_text(label)
        assert text == text.strip() and label == label.strip()


def check_series(answer) -> None:
    dates, values = answer
    assert values.dtype == np.float64 and values.ndim == 2 and len(values) and values.shape[1] == 2
    assert np.isfinite(values).all()
    if dates is not None:
        assert dates.shape == (len(values),) and not np.isnat(dates).any()
        assert (dates[1:] > dates[:-1]).all()  # no file here has a doubled hour


def check_sequences(sequences) -> None:
    assert len(sequences) >= 2
    for sequence in sequences:
        assert sequence.dtype == np.float32 and sequence.ndim == 2 and sequence.shape[1] == 1
        assert len(sequence) >= 2 and np.isfinite(sequence).all()


def check_sentences(answer) -> None:
    sentences, groups, _ = answer
    assert len(sentences) >= 20 and len(set(sentences)) == len(sentences) and groups == {}
    assert all(type(text) is str and text == text.strip() != "" for text in sentences)
    for text in sentences:
        tokens = ru.basic_english(text)
        assert tokens and all(type(token) is str and token for token in tokens)


def check_scaled_series(scaled: list[np.ndarray]) -> None:
    for stretch in scaled:
        assert stretch.size and np.isfinite(stretch).all() and (abs(stretch) < 1e150).all()


def check_windows(answer) -> None:
    splits, scaler = answer
    assert set(splits) == {"train", "val", "test"}
    for split in splits.values():
        assert len(split.inputs) == len(split.targets) == len(split.now) > 0
        assert split.inputs.isfinite().all() and split.targets.isfinite().all()
        assert np.isfinite(scaler.to_units(split.targets)).all()


def check_names(answer) -> None:
    splits, data, about = answer
    assert len(about["labels"]) >= 2
    names = [{name for name, _ in rows} for rows in splits.values()]
    assert all(names) and sum(map(len, names)) == len(set.union(*names))  # in one split only
    check_classes(data, about)


def check_texts(answer) -> None:
    splits, data, about = answer
    texts = [{tuple(words) for words, _ in rows} for rows in splits.values()]
    if about["config"]["data"]:  # TREC's own test may hold what a cut has made alike
        assert all(len(set(words)) for words in texts)
    check_classes(data, about)


def check_classes(data: dict, about: dict) -> None:
    """Of what a classifier reads: every split has examples, and all numbers are in range."""
    assert set(data) == {"train", "val", "test"} and len(about["labels"]) >= 2
    for split in data.values():
        assert len(split.inputs) == len(split.targets) == len(split.lengths) == len(split.texts) > 0
        assert (split.lengths > 0).all() and int(split.targets.min()) >= 0
        assert int(split.targets.max()) < len(about["labels"])
        assert int(split.inputs.min()) >= 0 and int(split.inputs.max()) < len(about["vocab"])
    assert len(set(data["train"].targets.tolist())) == len(about["labels"])


def check_pair_splits(answer) -> None:
    splits, data, about = answer
    assert set(splits) == {"train", "val", "test"} and all(splits.values())
    if about["config"]["data"]:
        sources = [{source for source, _ in rows} for rows in splits.values()]
        assert sum(map(len, sources)) == len(set.union(*sources))  # each in one split only
    for part, split in data.items():
        assert len(split.sources) == len(split.targets) == len(splits[part])
        assert (split.source_lengths > 0).all() and (split.target_lengths > 2).all()
        assert int(split.sources.max()) < len(about["vocabs"][0])
        assert int(split.targets.max()) < len(about["vocabs"][1])


def check_streams(answer) -> None:
    data, inputs, targets, vocab = answer
    assert len(data["train"]) >= 200 and all(len(ids) > 1 for ids in data.values())
    assert all(int(ids.min()) >= 0 and int(ids.max()) < len(vocab) for ids in data.values())
    assert inputs.shape == targets.shape and torch.equal(inputs[:, 1:], targets[:, :-1])
    assert inputs.numel() > 0
    assert len(chapter["10"].decode(data["val"], ru.Vocab(vocab))) >= len(data["val"])


def check_pairs(rows) -> None:
    assert len(rows) >= 10
    for source, target in rows:
        check_text(source)
        check_text(target)


def check_captions(splits) -> None:
    assert set(splits) == {"train", "val", "test"} and all(splits.values())
    for rows in splits.values():
        assert all(type(side) is str for pair in rows for side in pair)


def check_tokens(splits) -> None:
    """Of reviews or questions: no text of train is there twice, or in another split."""
    texts = {part: [tuple(tokens) for tokens, _ in rows] for part, rows in splits.items()}
    train = texts["train"] + texts.get("val", [])
    assert len(train) == len(set(train)) and not set(train) & set(texts["test"])
    for rows in splits.values():
        for tokens, label in rows:
            assert type(tokens) is list and all(type(token) is str for token in tokens)
            assert type(label) is str and ":" not in label


# ---------------------------------------------------------------- the readers


def dataset_of(name: str) -> Callable:
    return lambda folder: rd.load_dataset(name, name, folder, offline=True)[0]


def columns_of(path, date_column=None) -> tuple:
    return rd.read_series(path, ["y", "z z"], date_column)


def parallel(folder) -> list:
    return rd.read_pairs([folder / "one", folder / "other"])


def scaled_by_03(path, kind: str) -> list[np.ndarray]:
    """From the file to what its windows are cut from."""
    script = chapter["03"]
    series = rd.load_series(path, "y", [], None, None, 2, 0, 0, None, window=3, seasons=2)
    stretches = rd.split_by_time(len(series.values))
    values = series.values[:, 0]
    scaler = script.Scaler(kind, values[stretches["train"]])
    return [scaler.transform(values[stretch]) for stretch in stretches.values()]


def windows_of_06(path) -> tuple:
    """From the file to tensors."""
    script = chapter["06"]
    series = rd.load_series(path, "y", ["z z"], "date", None, 2, 0, 0, None, window=3)
    config = {"sequence_length": 2, "horizon": 1, "hidden_size": 4, "anchor": "last", "dropout": 0}
    model, about = script.build(series, config)
    scaler, splits = script.introduce(model, about, series)
    return splits, scaler


LOADED_FROM = (("text", "label"), "auto", None, True, None)


def names_of_04(path) -> tuple:
    """From the file to a model and tensors."""
    script = chapter["04"]
    columns, *others = LOADED_FROM
    splits, _, embedded = script.load_names(str(path), columns, False, *others)
    _, about = script.build(splits, 4, 0.0, {"data": str(path)})
    vocab = ru.Vocab(about["vocab"])
    data = {k: script.encode(rows, vocab, about["labels"], "cpu") for k, rows in splits.items()}
    assert not embedded
    return splits, data, about


def reviews_of_05(path) -> tuple:
    script = chapter["05"]
    splits, _, embedded = script.load_reviews(str(path), *LOADED_FROM, 9)
    model, about = script.build(splits, 4, 0.0, "max", {"data": str(path), "max_length": 9})
    data = rt.encode_splits(model, about, splits, str(path))
    assert not embedded
    return splits, data, about


def questions_of_07(data, loaded_from=LOADED_FROM) -> tuple:
    script = chapter["07"]
    splits, source, embedded = script.load_texts(data, *loaded_from, 9)
    config = {"data": data, "max_length": 9, "direction": "both"}
    config.update(hidden_size=4, num_layers=1, dropout=0.0)
    model, about = script.build(splits, config)
    tensors = rt.encode_splits(model, about, splits, source)
    assert not embedded
    return splits, tensors, about


def trec_of_07(folder) -> tuple:
    return questions_of_07(None, (None, "trec", folder, True, None))


def pairs_of(number: str, data, dataset="auto", data_dir=None) -> tuple:
    """By 08 or 09, from the file to a model and tensors."""
    script = chapter[number]
    digits = [1] if number == "08" else []
    flags = [data, None, dataset, data_dir, True, None]
    splits, levels, source, embedded = script.load_splits("translate", *digits, *flags)
    config = {"attention_type": "dot", "hidden_size": 4, "dropout": 0.0, "data": data}
    _, about = rp.build(script.Seq2Seq, splits, levels, source, config, script.SIZES)
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    assert not embedded and set(levels) <= {"words", "characters"}
    return splits, {k: rp.encode_pairs(rows, *vocabs) for k, rows in splits.items()}, about


def streams_of_10(path, level="char", max_chars: int = 100_000) -> tuple:
    """From the file, or folder, to the numbers of its symbols."""
    script = chapter["10"]
    parts, source, embedded = script.load_parts(str(path), "auto", None, True, max_chars, level, 7)
    config = {"sequence_length": 3, "batch_size": 2}
    model, about = script.build(parts, source, level, 4, 0.0, config)
    _, data, inputs, targets = script.introduce(model, about, parts)
    assert not embedded
    return data, inputs, targets, about["vocab"]


texts = anything(made(prose, 1, 20))
own_table = anything(made(labelled, 2, 25))
tab_table = anything(made(labelled, 2, 25, delimiter="\t"))
own_series = anything(made(series, 30, 60) | made(series, 30, 60, numbers=PLAIN * 8 + WILD))
with_gaps = anything(made(series, 30, 60, gaps=0.02))
spelled = anything(
    made(series, 1, 20, numbers=SPELLED[:2])
    | made(series, 1, 20, numbers=SPELLED, delimiter=";")
    | made(series, 1, 20, numbers=["1,5", "1.234,5", "12"], delimiter=";")
    | made(series, 1, 20, numbers=["1,234.5", "-0.1"], delimiter="\t")
)
own_sequences = anything(made(sequences, 2, 6) | made(sequences, 1, 6, numbers=PLAIN + WILD))
two_labels = anything(made(labelled, 10, 25, labels="xy"))
any_labels = anything(made(labelled, 15, 25))
long_texts = made(prose, 10, 80)
all_dates = anything(made(series, 1, 60, forms=DATE_FORMS))
own_pairs = anything(made(pair_lines, 10, 30) | made(pair_lines, 5, 30, sources=3))
archives = anything(made(tar, 6, 12)).map(zipped) | anything(made(tar, 6, 12).map(zipped))
archive_folder = st.fixed_dictionaries(
    {"imdb": st.fixed_dictionaries({"aclImdb_v1.tar.gz": archives})}
)
sub_folders = st.dictionaries(
    st.sampled_from(["pos", "neg", "unsup", ".git"]), folder(made(prose, 1, 3)), min_size=1
)
sides = st.fixed_dictionaries({
    "one": anything(made(prose, 12, 12)), "other": in_shares(
        (3, made(prose, 12, 12)), (1, anything(made(prose, 11, 13)))
    ),
})  # fmt: skip

READERS = [
    Reader("text", "a.txt", texts, rd.read_text, check_text),
    Reader("folder of texts", "texts", folder(made(prose, 1, 9)), rd.read_text_files, check_text),
    Reader("table", "a.csv", own_table, rd.read_labelled_texts, check_rows),
    Reader("tab table", "a.TSV", tab_table, rd.read_labelled_texts, check_rows),
    Reader("label files", "names", folder(made(names, 2, 12)), rd.read_labelled_texts, check_rows),
    Reader("label folders", "reviews", sub_folders, rd.read_labelled_texts, check_rows),
    Reader("series", "a.csv", own_series, columns_of, check_series),
    Reader("series with gaps", "a.csv", with_gaps, columns_of, check_series),
    Reader("spelled numbers", "a.csv", spelled, columns_of, check_series),
    Reader("dates", "a.csv", all_dates, lambda p: columns_of(p, "date"), check_series),
    Reader("dates found", "a.csv", all_dates, columns_of, check_series),
    Reader("pairs", "a.tsv", own_pairs, lambda p: rd.read_pairs([p]), check_pairs),
    Reader("pairs in a table", "a.csv", anything(made(labelled, 10, 25)),
           lambda p: rd.read_pairs([p], ["text", "label"]), check_pairs),
    Reader("parallel files", "both", sides, parallel, check_pairs),
    Reader("imdb", "data", archive_folder, dataset_of("imdb"), check_tokens),
    Reader("multi30k", "data", captions(), dataset_of("multi30k"), check_captions),
    Reader("trec", "data", questions(), dataset_of("trec"), check_tokens),
    Reader("01", "a.csv", own_sequences, chapter["01"].read_sequences, check_sequences),
    Reader("02", "a.txt", anything(made(prose, 15, 60)),
           lambda p: chapter["02"].load_sentences(p, "auto", None, True, 0), check_sentences),
    Reader("03", "a.csv", own_series, lambda p: scaled_by_03(p, "standard"), check_scaled_series),
    Reader("03 minmax", "a.csv", own_series, lambda p: scaled_by_03(p, "minmax"),
           check_scaled_series),
    Reader("04 table", "a.csv", any_labels, names_of_04, check_names),
    Reader("04 folder", "names", folder(made(names, 2, 12)), names_of_04, check_names),
    Reader("05", "a.csv", two_labels, reviews_of_05, check_texts),
    Reader("06", "a.csv", own_series, windows_of_06, check_windows),
    Reader("07", "a.csv", any_labels, lambda p: questions_of_07(str(p)), check_texts),
    Reader("07 trec", "data", questions(), trec_of_07, check_texts),
    Reader("08", "a.tsv", own_pairs, lambda p: pairs_of("08", [str(p)]), check_pair_splits),
    Reader("08 captions", "data", captions(), lambda p: pairs_of("08", None, "multi30k", p),
           check_pair_splits),
    Reader("09", "both", sides,
           lambda p: pairs_of("09", [str(p / "one"), str(p / "other")]), check_pair_splits),
    Reader("10", "a.txt", anything(long_texts), streams_of_10, check_streams),
    Reader("10 words", "a.txt", anything(made(prose, 60, 90)), lambda p: streams_of_10(p, "word"),
           check_streams),
    Reader("10 folder", "texts", folder(long_texts), lambda p: streams_of_10(p, max_chars=900),
           check_streams),
]  # fmt: skip


def verdict(reader: Reader, path: Path) -> str:
    """Read what lies at `path`: "read" and sound, or "refused" in one line that names the file."""
    try:
        value = reader.read(path)
    except ru.UserError as error:
        message = " ".join(str(error).split())  # as `run` prints it
        assert message.isprintable(), message  # one line, and nothing that a terminal obeys
        assert str(path) in message or message.startswith(("multi30k", "trec")), message
        assert len(message) - len(str(path)) <= LONGEST_MESSAGE, message
        return "refused"
    reader.check(value)
    return "read"


def try_files(reader: Reader, folder: Path, count: int, **more) -> collections.Counter:
    """Give `count` files to a reader, the same ones in every run; count what it did with them."""
    found, path = collections.Counter(), folder / reader.file

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        report_multiple_bugs=False, **more,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(reader.content)
    def read(content):
        place(path, content)
        found[verdict(reader, path)] += 1

    read()
    return found


@pytest.mark.parametrize("count", NUMBER_OF_FILES)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_any_file_gives_a_sound_value_or_one_line(reader, count, tmp_path):
    found = try_files(reader, tmp_path, count)
    # Otherwise nothing would have been tested but the one or the other.
    assert min(found["read"], found["refused"]) >= count / 20, found


@pytest.mark.parametrize(
    ("read", "complaint"),
    [
        (
            lambda path: path.read_text(encoding="utf-8"),
            (OSError, UnicodeDecodeError, AssertionError),
        ),
        (lambda path: rd.read_text(path).encode(), AssertionError),  # no text
        (lambda path: rd.read_text(path.with_name("b.txt")), AssertionError),  # another file
    ],
)
def test_a_careless_reader_is_found_out(read, complaint, tmp_path):
    careless = READERS[0]._replace(read=read)
    with pytest.raises(complaint):
        try_files(careless, tmp_path, 100, phases=[Phase.generate])


# ---------------------------------------------------------------- standard input


@pytest.mark.parametrize("count", NUMBER_OF_FILES)
def test_lines_of_standard_input_may_be_anything(count, monkeypatch, capsys):
    """`--predict -` in 08 and `--translate -` in 09 answer every line that has a word in it."""
    asked = []
    vocabs = [ru.Vocab([*ru.SPECIALS, *words]) for words in (("a", "red"), ("rouge",))]

    def ask() -> None:
        lines = rt.texts_asked(["-"])
        for line in lines:
            for level in ("words", "characters"):
                source = rp.read_source(line, vocabs[0], level)
                split = rp.encode_sources([source], vocabs, "cpu")
                assert int(split.source_lengths[0]) == split.sources.shape[1] > 0
        asked.extend(lines)

    @settings(max_examples=count, deadline=None, derandomize=True, database=None)
    @given(texts.filter(lambda content: isinstance(content, bytes)))
    def read(content):
        stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        ru.run(ask)

    read()
    assert capsys.readouterr().err == ""
    assert len(asked) > count and all(line == line.strip() != "" for line in asked)
