"""Every reader of a user's files: whatever a file holds, a sound value or one clear line.

Hypothesis makes the files: correct ones, correct ones that were damaged a little (an odd byte, a
lost line, another encoding), and bytes at random; a folder or nothing at all may stand in place of
a file.  100 files for each reader, and 1,000 of them under the marker `slow`.
"""

from __future__ import annotations

import argparse
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

import rnn_utils as ru

import numpy as np
import pytest
from helpers import load_script
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

NUMBER_OF_FILES = [100, pytest.param(1000, marks=pytest.mark.slow)]
LONGEST_MESSAGE = 700  # characters, the path aside: who reads on?

chapter = {
    name[:2]: load_script(name)
    for name in (
        "01_sequence_basics", "02_text_preprocessing", "03_time_series_basics", "04_simple_rnn",
        "05_lstm_sentiment", "06_gru_time_series", "07_bidirectional_rnn", "08_seq2seq_basic",
        "09_attention_mechanism", "10_text_generation",
    )
}  # fmt: skip


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
DATE_FORMS = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%S+01:00"]
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


def series(rng, size: int, numbers=PLAIN, forms=("%Y-%m-%d",)) -> bytes:
    """A table of numbers, and of dates that go forwards."""
    form, rows = rng.choice(forms), [["date", "y", "z z"]]
    day = datetime.datetime(rng.choice([2024] * 8 + [1969, 1700, 1]), 1, 1)
    steps = rng.choice([(1,)] * 6 + [(1, 3), (1, 0.5), (200_000, 1)])
    for index in range(size):
        rows.append([day.strftime(form), *rng.choices(numbers, k=2)])
        with contextlib.suppress(OverflowError):  # after the year 9999 dates stand still
            day += datetime.timedelta(days=steps[index % len(steps)])
    return table(rows)


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
    assert len({label for _, label, _ in rows}) >= 2
    for text, label, _ in rows:
        check_text(text)
        check_text(label)
        assert text == text.strip() and label == label.strip()
    numbers = [line for _, _, line in rows]
    assert numbers == sorted(set(numbers)) and numbers[0] >= 2  # the header is line 1


def check_series(answer) -> None:
    dates, values = answer
    assert values.dtype == np.float64 and values.ndim == 2 and len(values) and values.shape[1] == 2
    assert np.isfinite(values).all()
    if dates is not None:
        assert dates.shape == (len(values),) and not np.isnat(dates).any()
        assert (dates[1:] > dates[:-1]).all()


def check_sequences(sequences) -> None:
    assert len(sequences) >= 2
    for sequence in sequences:
        assert sequence.dtype == np.float32 and sequence.ndim == 2 and sequence.shape[1] == 1
        assert len(sequence) >= 2 and np.isfinite(sequence).all()


def check_sentences(answer) -> None:
    sentences, _, embedded = answer
    assert len(sentences) >= 20 and len(set(sentences)) == len(sentences) and not embedded
    assert all(type(text) is str and text == text.strip() != "" for text in sentences)
    for tokens in chapter["02"].tokenize_all(sentences):
        assert tokens and all(type(token) is str and token for token in tokens)


def check_scaled_series(scaled: list[np.ndarray]) -> None:
    for stretch in scaled:
        assert stretch.size and np.isfinite(stretch).all() and (abs(stretch) < 1e150).all()


def check_tensors_of_windows(splits) -> None:
    for split in splits.values():
        assert len(split.inputs) == len(split.targets) == len(split.truth) > 0
        assert split.inputs.isfinite().all() and split.targets.isfinite().all()
        assert np.isfinite(split.truth).all()


def check_names(splits) -> None:
    script = chapter["04"]
    vocab = ru.Vocab.build(name for name, _ in splits["train"])
    labels = sorted({label for rows in splits.values() for _, label in rows})
    assert len(labels) >= 1 and all(labels)
    names = [{name for name, _ in rows} for rows in splits.values()]
    assert all(names) and sum(map(len, names)) == len(set.union(*names))  # in one split only
    assert all(name and set(name) <= set(script.ALPHABET) for part in names for name in part)
    for rows in splits.values():
        split = script.encode(rows, vocab, labels)
        assert len(split.inputs) == len(split.targets) == len(split.names)
        assert (split.lengths > 0).all() and int(split.inputs.max()) < len(vocab)


def check_corpora(fewest_labels: int, label_of=str) -> Callable:
    def check(answer) -> None:
        corpora, embedded = answer
        assert not embedded and list(corpora) and set(corpora) == {"train", "val", "test"}
        known = {label_of(label) for label in corpora["train"].labels}
        assert len(known) >= fewest_labels
        vocab = corpora["train"].build_vocab()
        for corpus in corpora.values():
            assert len(corpus) == len(corpus.labels) == len(corpus.starts) - 1 > 0
            assert {label_of(label) for label in corpus.labels} <= known
            encoded = corpus.encode(vocab, 4)
            assert len(encoded) == len(corpus)
            assert all(0 < len(t) <= 4 and t.min() >= 0 and t.max() < len(vocab) for t in encoded)

    return check


def check_pairs(rows) -> None:
    assert len(rows) >= 10
    for source, target in rows:
        check_text(source)
        check_text(target)


def check_pair_splits(answer) -> None:
    splits, embedded = answer
    assert not embedded and set(splits) == {"train", "val", "test"} and all(splits.values())
    sources = [{source for source, _ in rows} for rows in splits.values()]
    assert sum(map(len, sources)) == len(set.union(*sources))  # each in one split only
    check_encoded_pairs(splits)


def check_encoded_pairs(splits) -> None:
    specials = ["<pad>", "<unk>", "<bos>", "<eos>"]
    vocabs = [ru.Vocab.build(side, specials) for side in zip(*splits["train"])]
    for rows in splits.values():
        split = ru.encode_pairs(rows, vocabs)
        assert len(split.sources) == len(split.targets) == len(rows) > 0
        assert (split.source_lengths > 0).all() and (split.target_lengths > 2).all()


def check_reviews(reviews) -> None:
    assert set(reviews) == {"train", "test"} and all(reviews.values())
    for rows in reviews.values():
        assert all(type(text) is str and label in ("pos", "neg") for text, label in rows)


def check_stream(answer) -> None:
    data, vocab = answer
    assert len(data["train"]) >= 200 and all(len(ids) > 1 for ids in data.values())
    assert all(int(ids.min()) >= 0 and int(ids.max()) < len(vocab) for ids in data.values())


# ---------------------------------------------------------------- the readers


def flags(path, **more) -> argparse.Namespace:
    """The flags that a script's loader looks at, with `path` for --data."""
    common = {"data": str(path), "dataset": "auto", "data_dir": None, "offline": True}
    return argparse.Namespace(**{**common, "max_examples": None, "seed": 0, **more})


def series_flags(path, **more) -> argparse.Namespace:
    own = {"column": "y", "date_column": None, "features": None, "season": 2, "stride": 1}
    shape = {"sequence_length": 2, "horizon": 1, "gap": 0, "scaler": "standard", "returns": False}
    return flags(path, **{**own, **shape, "centred": True, "dataset": None, **more})


def scaled_by_03(path, **more) -> list[np.ndarray]:
    """From the file to what its windows are cut from."""
    script, args = chapter["03"], series_flags(path, **more)
    read = script.load_series(args)
    stretches = script.split_by_time(len(read.values), args.gap)
    ru.check_stretches(read.values, stretches, args, seasons=2, name=read.name)
    scaler = script.Scaler(args.scaler, read.values[stretches["train"]])
    return [scaler.transform(read.values[stretch]) for stretch in stretches.values()]


def windows_of_06(path, **more) -> dict:
    """From the file to tensors."""
    script, args = chapter["06"], series_flags(path, **more)
    read = script.load_series(args)
    steps = len(read.levels)
    ends = [0, int(0.7 * steps), int(0.85 * steps), steps]  # without the gaps of long series
    stretches = {k: slice(*ends[i : i + 2]) for i, k in enumerate(("train", "val", "test"))}
    ru.check_stretches(read.values[:, 0], stretches, args, seasons=1, name=read.name)
    scaler = script.Scaler.fit(read.values[stretches["train"]], args)
    return script.make_splits(read, stretches, scaler, args, "cpu")


def streams_of_10(path, max_chars: int = 100_000) -> tuple[dict, ru.Vocab]:
    """From the file, or folder, to the numbers of its characters; 0: by way of a mapped file."""
    shape = {"level": "char", "batch_size": 2, "sequence_length": 3, "max_chars": max_chars}
    args = flags(path, output_dir=str(path.parent), **shape)
    data, vocab, embedded = chapter["10"].load_data(args)
    assert not embedded
    return data, vocab


def in_blocks(path) -> str:
    """What `read_blocks` makes of a file is what `read_text` does, however small the blocks."""
    try:
        whole = ru.read_text(path)
    except ru.UserError as error:
        with pytest.raises(ru.UserError) as caught:
            list(ru.read_blocks(path, 5))
        # Of two faults in a file, the smaller blocks may meet the other one first.
        assert str(caught.value) == str(error) or b"\0" in path.read_bytes()
        raise
    assert "".join(ru.read_blocks(path, 5)) == whole
    return whole


def captions_of(folder) -> dict:
    args = flags(None, data=None, data_dir=str(folder), dataset="multi30k")
    return ru.load_pairs(args, lambda: pytest.fail("asked for by name"))[0]


def trec_of(folder) -> tuple:
    """As a training does: what is in the test but not in train is refused where it is encoded."""
    script, options = chapter["07"], {"data": None, "dataset": "trec", "max_length": 5}
    args = flags(None, data_dir=str(folder), **options)
    corpora, embedded = script.load_texts(args)
    labels = sorted({script.class_of(label) for label in corpora["train"].labels})
    names = script.Names(corpora["train"].build_vocab(), labels, labels)
    for corpus in corpora.values():
        script.encode(corpus, names, args)
    return corpora, embedded


def columns_of(path, date_column=None) -> tuple:
    return ru.read_series(path, ["y", "z z"], date_column)


texts = anything(made(prose, 1, 20))
own_table = anything(made(labelled, 2, 25))
own_series = anything(made(series, 30, 60) | made(series, 30, 60, numbers=PLAIN * 8 + WILD))
all_dates = anything(made(series, 1, 60, forms=DATE_FORMS))
own_sequences = anything(made(sequences, 2, 6) | made(sequences, 1, 6, numbers=PLAIN + WILD))
prices = anything(made(series, 30, 60, numbers=["1", "2.5", "99", "101"]))
of_any_class = made(labelled, 15, 25)
of_one_class = made(labelled, 15, 25, labels=["y:a", "y:b"])
classes = anything(in_shares((3, of_any_class), (1, of_one_class)))
own_pairs = anything(made(pair_lines, 10, 30) | made(pair_lines, 5, 30, sources=3))
archives = anything(made(tar, 6, 12)).map(zipped) | anything(made(tar, 6, 12).map(zipped))
long_texts = made(prose, 10, 80)
one, two, three, four, five, six, seven, eight, nine = (chapter[f"0{n}"] for n in range(1, 10))

READERS = [
    Reader("read_text", "a.txt", texts, ru.read_text, check_text),
    Reader("read_blocks", "a.txt", texts, in_blocks, check_text),
    Reader("table", "a.csv", own_table, ru.read_labelled_text, check_rows),
    Reader("tab table", "a.TSV", anything(made(labelled, 2, 25, delimiter="\t")),
           ru.read_labelled_text, check_rows),
    Reader("series", "a.csv", own_series, columns_of, check_series),
    Reader("dates", "a.csv", all_dates, lambda p: columns_of(p, "date"), check_series),
    Reader("pairs", "a.tsv", own_pairs, ru.read_pairs, check_pairs),
    Reader("reviews", "a.tar.gz", archives, ru.read_imdb, check_reviews),
    Reader("captions", "data", captions(), captions_of, check_encoded_pairs),
    Reader("01", "a.csv", own_sequences, one.read_sequences, check_sequences),
    Reader("02", "a.txt", anything(made(prose, 15, 60)), lambda p: two.load_sentences(flags(p)),
           check_sentences),
    Reader("03", "a.csv", own_series, scaled_by_03, check_scaled_series),
    Reader("03 minmax", "a.csv", own_series, lambda p: scaled_by_03(p, scaler="minmax"),
           check_scaled_series),
    Reader("04 table", "a.csv", anything(made(labelled, 15, 25)),
           lambda p: four.prepare_data(flags(p))[0], check_names),
    Reader("04 folder", "names", folder(made(names, 2, 12)),
           lambda p: four.prepare_data(flags(p))[0], check_names),
    Reader("05", "a.csv", anything(made(labelled, 10, 25, labels="xy")),
           lambda p: five.load_reviews(flags(p)), check_corpora(2)),
    Reader("06", "a.csv", own_series,
           lambda p: windows_of_06(p, features=["z z"], date_column="date"),
           check_tensors_of_windows),
    Reader("06 returns", "a.csv", prices, lambda p: windows_of_06(p, returns=True, centred=False),
           check_tensors_of_windows),
    Reader("07", "a.csv", classes, lambda p: seven.load_texts(flags(p)),
           check_corpora(2, seven.class_of)),
    Reader("07 trec", "data", questions(), trec_of, check_corpora(2, seven.class_of)),
    Reader("08", "a.tsv", own_pairs, lambda p: eight.load_splits(flags(p, task="translate")),
           check_pair_splits),
    Reader("09", "a.tsv", own_pairs, lambda p: nine.load_splits(flags(p, task=None)),
           check_pair_splits),
    Reader("10", "a.txt", anything(long_texts), streams_of_10, check_stream),
    Reader("10 on disk", "texts", folder(long_texts), lambda p: streams_of_10(p, max_chars=0),
           check_stream),
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
        (lambda path: ru.read_text(path).encode(), AssertionError),  # no text
        (lambda path: ru.read_text(path.with_name("b.txt")), AssertionError),  # another file
    ],
)
def test_a_careless_reader_is_found_out(read, complaint, tmp_path):
    careless = READERS[0]._replace(read=read)
    with pytest.raises(complaint):
        try_files(careless, tmp_path, 100, phases=[Phase.generate])


def test_a_missing_text_is_refused_before_it_is_mapped(tmp_path):
    on_disk = next(reader for reader in READERS if reader.name == "10 on disk")
    assert verdict(on_disk, tmp_path / "nowhere.txt") == "refused"


# ---------------------------------------------------------------- standard input


@pytest.mark.parametrize("count", NUMBER_OF_FILES)
def test_lines_of_standard_input_may_be_anything(count, monkeypatch, capsys):
    """`--predict -` in 05 and `--translate -` in 09 answer every line that has a word in it."""
    answered = []
    monkeypatch.setattr(chapter["05"], "print_prediction", lambda *args: answered.append(args[3]))

    @settings(max_examples=count, deadline=None, derandomize=True, database=None)
    @given(texts.filter(lambda content: isinstance(content, bytes)))
    def read(content):
        for ask in (
            lambda: chapter["05"].answer(["-"], None, None, None, 9),
            lambda: answered.extend(chapter["09"].read_texts(["-"], "translate")),
        ):
            stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
            monkeypatch.setattr(sys, "stdin", stdin)
            ru.run(ask)

    read()
    assert capsys.readouterr().err == ""
    assert len(answered) > count and all(line == line.strip() != "" for line in answered)
