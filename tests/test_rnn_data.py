"""The data sets, their splits and stand-ins, and the readers of a user's files."""

from __future__ import annotations

import datetime
import gzip
import io
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

import rnn_baselines as rb
import rnn_data as rd
import rnn_texts as rt
import rnn_utils as ru


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def is_here(*parts: str) -> bool:
    return Path(os.environ.get("RNN_DATA_DIR", "data")).joinpath(*parts).is_file()


def assert_refused(read, *fragments: str) -> None:
    """`read()` must raise a UserError of one short line with all of the fragments."""
    with pytest.raises(ru.UserError) as caught:
        read()
    message = " ".join(str(caught.value).split())
    assert message.isprintable() and len(message) < 800
    for fragment in fragments:
        assert fragment in message, message


# ---------------------------------------------------------------- real data or stand-in


def test_the_stand_in_comes_with_a_warning_that_nobody_overlooks(tmp_path, capsys):
    data, source, embedded = rd.load_dataset("trec", "auto", tmp_path, offline=True)
    errors = capsys.readouterr().err.splitlines()
    assert (source, embedded) == ("embedded", True) and set(data) == {"train"}
    assert errors[0] == errors[-1] == "!" * 78 and any("EMBEDDED" in line for line in errors)
    assert any("--dataset trec" in line for line in errors)


def test_a_data_set_asked_for_by_name_is_never_replaced(tmp_path, capsys):
    for name in rd.DATA_SETS:
        with pytest.raises(rd.DataUnavailable, match="--offline"):
            rd.load_dataset(name, name, tmp_path, offline=True)
    assert capsys.readouterr().err == ""


def test_the_stand_in_asked_for_is_no_warning(capsys):
    for name in rd.DATA_SETS:
        first = rd.load_dataset(name, "embedded")
        assert first == rd.load_dataset(name, "embedded") and first[1:] == ("embedded", True)
    assert capsys.readouterr() == ("", "")


def test_a_damaged_data_set_is_an_error_and_not_replaced(tmp_path):
    write(tmp_path / "multi30k" / "train.en.gz", b"not gzip")
    write(tmp_path / "trec" / "TREC.train", "one\ntwo\n")
    write(tmp_path / "imdb" / "aclImdb_v1.tar.gz", b"\x1f\x8b\x08 no archive")
    write(tmp_path / "shakespeare" / "input.txt", b"")
    assert_refused(lambda: rd.load_dataset("multi30k", "auto", tmp_path), "train.en.gz: damaged")
    assert_refused(lambda: rd.load_dataset("trec", "auto", tmp_path), "TREC.train", "delete it")
    write(tmp_path / "trec" / "TREC.train", "NUM:date When ?\nNUM:date ;\n")  # without a word
    assert_refused(lambda: rd.load_dataset("trec", "auto", tmp_path), "TREC.train", "delete it")
    assert_refused(lambda: rd.load_dataset("imdb", "auto", tmp_path), "damaged", "delete it")
    assert_refused(lambda: rd.load_dataset("shakespeare", "auto", tmp_path), "input.txt", "empty")


def test_captions_of_unequal_number_are_refused(tmp_path):
    for stem in ("train", "val", "test_2016_flickr"):
        write(tmp_path / "multi30k" / f"{stem}.en.gz", gzip.compress(b"a cat\na dog\n"))
        write(tmp_path / "multi30k" / f"{stem}.fr.gz", gzip.compress(b"un chat\n"))
    assert_refused(lambda: rd.load_dataset("multi30k", "auto", tmp_path), "1 lines to 2")


def test_questions_of_the_test_and_repetitions_leave_train(tmp_path, capsys):
    train = "NUM:date When ?\nHUM:ind Who ?\nNUM:count How  many ?\nDESC:def WHO ?\nHUM:x Where\n"
    write(tmp_path / "trec" / "TREC.train", train + "NUM:date When ?\n")
    write(tmp_path / "trec" / "TREC.test", "HUM:ind how many ?\n")
    data, source, embedded = rd.load_dataset("trec", "trec", tmp_path)
    assert (source, embedded) == ("trec", False)
    assert data["train"] == [(["when", "?"], "NUM"), (["who", "?"], "HUM"), (["where"], "HUM")]
    assert data["test"] == [(["how", "many", "?"], "HUM")]
    assert "trec: 3 repeated texts left out of train" in capsys.readouterr().out


@pytest.mark.skipif(not is_here("trec", "TREC.train"), reason="trec is not here")
def test_trec_has_the_sizes_we_say_and_no_test_question_in_train():
    data, _, _ = rd.load_dataset("trec", "trec")
    texts = {part: {tuple(tokens) for tokens, _ in rows} for part, rows in data.items()}
    assert len(data["train"]) == len(texts["train"]) == 5368 and len(data["test"]) == 500
    assert not texts["test"] & texts["train"]
    assert {x for _, x in data["train"]} == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}


@pytest.mark.skipif(not is_here("multi30k", "train.en.gz"), reason="multi30k is not here")
def test_multi30k_where_it_is():
    data, _, _ = rd.load_dataset("multi30k", "multi30k")
    sizes = {part: len(rows) for part, rows in data.items()}
    assert sizes == {"train": 29_000, "val": 1_014, "test": 1_000}
    assert all(english and french for rows in data.values() for english, french in rows)


@pytest.mark.skipif(not is_here("names", "Arabic.txt"), reason="the names are not here")
def test_real_names_have_the_duplicates_we_say():
    data, _, _ = rd.load_dataset("names", "names")
    assert len(data) == 20_050 and data[0] == ("Khoury", "Arabic")
    assert not all(name.isascii() for name, _ in data)  # as written
    assert len({(rd.fold_to_ascii(name), label) for name, label in data}) == 17_985


@pytest.mark.skipif(not is_here("shakespeare", "input.txt"), reason="shakespeare is not here")
def test_shakespeare_is_whole():
    text, _, _ = rd.load_dataset("shakespeare", "shakespeare")
    assert len(text) == 1_115_394 and text.startswith("First Citizen:\n")


def test_google_prices_are_real_and_daily():
    dates, prices = rd.load_goog()
    assert dates.shape == prices.shape == (1047,) and (dates[1:] > dates[:-1]).all()
    assert str(dates[0]) == "2004-08-19" and prices.min() > 50


def test_digit_strings_repeat_and_have_the_lengths_asked_for():
    drawn = rd.digit_strings(200, [2, 5], seed=3)
    assert drawn == rd.digit_strings(200, [2, 5], seed=3) != rd.digit_strings(200, [2, 5], seed=4)
    assert {len(digits) for digits in drawn} == {2, 5} and all(map(str.isdecimal, drawn))


def test_dates_are_written_as_people_do():
    day = datetime.date(2017, 3, 3)
    assert rd._write_date(day, "the {nth} of {month}, {y}") == "the 3rd of march, 2017"
    assert rd._write_date(day, "{weekday}, {d} {mon} '{yy}") == "friday, 3 mar '17"
    endings = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th"}
    endings.update({21: "21st", 22: "22nd", 23: "23rd", 30: "30th", 31: "31st"})
    for number, expected in endings.items():
        assert rd._write_date(datetime.date(2000, 1, number), "{nth}") == expected


def test_python_s_own_source_is_at_most_as_long_as_asked():
    code = rd.load_code()
    assert len(code) == 420_000 and code == rd.load_dataset("shakespeare", "embedded")[0]
    assert rd.load_code(1000) == code[:1000] and "def " in code


# ---------------------------------------------------------------- stand-ins


def test_embedded_names_are_many_and_of_all_languages():
    rows, _, _ = rd.load_dataset("names", "embedded")
    assert 19_000 <= len(rows) <= 21_000 and len({label for _, label in rows}) == 18
    assert all(name and name == rd.fold_to_ascii(name) for name, _ in rows)
    assert rows[:2] == [("khai", "Arabic"), ("mari", "Arabic")]


def test_embedded_names_repeat_across_languages_so_nothing_can_be_perfect():
    labels_of = {}
    for name, label in set(rd.load_dataset("names", "embedded")[0]):
        labels_of.setdefault(name, set()).add(label)
    assert sum(len(labels) > 1 for labels in labels_of.values()) > 50


def test_embedded_reviews_are_many_and_of_the_promised_length():
    rows = rd.load_dataset("imdb", "embedded")[0]["train"]
    lengths = [len(tokens) for tokens, _ in rows]
    assert min(lengths) >= 20 and max(lengths) <= 120
    assert len(rows) == len({tuple(tokens) for tokens, _ in rows}) > 5000
    assert sum(label == "pos" for _, label in rows) == pytest.approx(len(rows) / 2, abs=2)


def test_single_words_do_not_decide_the_embedded_reviews():
    from sklearn.feature_extraction.text import CountVectorizer

    rows = [(" ".join(x), label) for x, label in rd.load_dataset("imdb", "embedded")[0]["train"]]
    rest, test = rt.set_aside(rows, 0.1)
    train, val = rt.set_aside(rest, 0.1)
    right, _ = rb.ngram_regression(train, val, test, CountVectorizer())
    assert right.mean() < 0.7


def test_embedded_blanks_are_distinct_and_end_beside_a_decoy():
    rows = rd.load_dataset("trec", "embedded")[0]["train"]
    assert len(rows) == len({tuple(tokens) for tokens, _ in rows}) == 4000
    for tokens, label in rows[::50]:
        assert tokens.count("____") == 1
        right = " ".join(tokens[tokens.index("____") :])
        assert any(cue in right for cue in rd._CUES[label].split("|"))


def test_phrase_book_has_no_source_twice_and_swaps_noun_and_adjective():
    rows = rd.load_dataset("multi30k", "embedded")[0]["train"]
    pairs = dict(rows)
    assert len(pairs) == len(rows) == 1440
    assert pairs["a white cow sleeps."] == "une vache blanche dort."
    assert pairs["the boy runs on the beach at night."] == "le garçon court sur la plage la nuit."


# ---------------------------------------------------------------- film reviews


def write_archive(path, reviews) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in reviews.items():
            member = tarfile.TarInfo(f"aclImdb/{name}.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def load_imdb(folder) -> dict:
    return rd.load_dataset("imdb", "imdb", folder)[0]


def test_imdb_drops_what_appears_twice_and_keeps_its_tokens(tmp_path, capsys):
    reviews = {
        "train/neg/0_1": "Dull.", "train/neg/1_2": "So dull!", "train/neg/2_2": "So dull !",
        "train/neg/4000_1": "so DULL!", "train/pos/0_9": "Fine", "train/unsup/0_0": "no label",
        "train/pos/1_9": "A joy<br />indeed", "train/pos/12000_9": "Fine",
        "test/neg/0_1": "Dull.", "test/pos/0_8": "Warm\x85 and wise", "train/pos/11300_8": "New",
    }  # fmt: skip
    write_archive(tmp_path / "imdb" / "aclImdb_v1.tar.gz", reviews)
    fresh = load_imdb(tmp_path)
    assert (tmp_path / "imdb" / "tokens.txt").exists()
    assert capsys.readouterr().out.count("imdb: 4 repeated texts left out of train") == 1
    again = load_imdb(tmp_path)
    assert capsys.readouterr().out.count("imdb: 4 repeated texts left out of train") == 1
    assert fresh == again
    assert fresh["train"] == [
        (["so", "dull", "!"], "neg"), (["fine"], "pos"), (["a", "joy", "indeed"], "pos")
    ]  # fmt: skip
    assert fresh["val"] == [(["new"], "pos")]
    assert fresh["test"] == [(["dull", "."], "neg"), (["warm", "and", "wise"], "pos")]


def test_validation_reviews_are_cut_by_number_not_by_string():
    """As strings, 10000 comes before 9; the films are numbered, so a string cuts through them."""
    for label, first, last in (("pos", 11205, 12499), ("neg", 3583, 4856)):
        chosen = [n for n in range(12500) if rd.imdb_split(label, n) == "val"]
        assert chosen == list(range(first, last + 1))


def test_validation_films_are_others_than_those_of_train(tmp_path):
    """With invented films of up to 30 reviews, where the real ones have their borders."""
    film = {}
    for label, borders in (("pos", {0, 11205}), ("neg", {0, 3583, 4857})):
        for n in range(12500):
            starts_here = n in borders or n % 29 == 0
            film[label, n] = f"{label} {n}" if starts_here else film[label, n - 1]
    parts = {"train": set(), "val": set()}
    for (label, n), name in film.items():
        parts[rd.imdb_split(label, n)].add(name)
    assert not parts["train"] & parts["val"]
    reviews = {f"train/{label}/{n}_5": f"{label} {n}" for label, n in film if n % 500 == 83}
    write_archive(tmp_path / "imdb" / "aclImdb_v1.tar.gz", reviews | {"test/pos/0_9": "test"})
    val = [" ".join(tokens) for tokens, _ in load_imdb(tmp_path)["val"]]
    assert val == ["neg 3583", "neg 4083", "neg 4583", "pos 11583", "pos 12083"]


THREE_REVIEWS = {"train/neg/0_1": "a", "train/pos/0_9": "b", "test/pos/0_9": "c"}


@pytest.mark.parametrize("content", [b"", b"no sums", "other lines", None])
def test_a_damaged_or_old_cache_of_tokens_is_made_again(tmp_path, content):
    archive = tmp_path / "imdb" / "aclImdb_v1.tar.gz"
    cache = archive.with_name("tokens.txt")
    write_archive(archive, THREE_REVIEWS)
    load_imdb(tmp_path)
    if content is None:  # another archive under the same name
        write_archive(archive, {**THREE_REVIEWS, "train/neg/0_1": "x"})
        os.utime(archive, (1, 1))
    elif content == "other lines":
        cache.write_bytes(cache.read_bytes().partition(b"\n")[0] + b"\ntrain neg 0 old")
    else:
        cache.write_bytes(content)
    train = load_imdb(tmp_path)["train"]
    assert train[0] == (["x" if content is None else "a"], "neg")
    before = cache.stat().st_mtime_ns
    load_imdb(tmp_path)
    assert cache.stat().st_mtime_ns == before  # this one is kept


def test_a_read_only_folder_needs_no_cache(tmp_path, monkeypatch):
    write_archive(tmp_path / "imdb" / "aclImdb_v1.tar.gz", THREE_REVIEWS)

    def refuse(*args, **options):
        raise PermissionError("read-only")

    # Root may write anywhere, so chmod proves nothing.
    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert len(load_imdb(tmp_path)["train"]) == 2
    assert [path.name for path in (tmp_path / "imdb").iterdir()] == ["aclImdb_v1.tar.gz"]


def test_equal_words_of_reviews_are_one_object(tmp_path):
    reviews = {f"train/pos/{n}_9": f"some words {n}" for n in range(3)}
    write_archive(tmp_path / "imdb" / "aclImdb_v1.tar.gz", reviews | {"test/neg/0_1": "words"})
    data = load_imdb(tmp_path)
    words = [tokens[1] for tokens, _ in data["train"]] + data["test"][0][0]
    assert len(words) == 4 and len({id(word) for word in words}) == 1


@pytest.mark.slow
@pytest.mark.skipif(not is_here("imdb", "aclImdb_v1.tar.gz"), reason="imdb is not here")
def test_the_real_reviews_have_the_sizes_we_say(tmp_path):
    source = Path(os.environ.get("RNN_DATA_DIR", "data"), "imdb", "aclImdb_v1.tar.gz")
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / source.name).write_bytes(source.read_bytes())  # the cache is ours
    data = load_imdb(tmp_path)
    assert {part: len(rows) for part, rows in data.items()} == {
        "train": 22_217, "val": 2_561, "test": 25_000
    }  # fmt: skip
    texts = {part: {" ".join(tokens) for tokens, _ in rows} for part, rows in data.items()}
    assert len(texts["train"]) == 22_217 and not texts["train"] & (texts["val"] | texts["test"])
    assert len(texts["val"]) == 2_561 and not texts["val"] & texts["test"]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Müller", "muller"), ("Ślusàrski", "slusarski"), ("Wałęsa", "walesa"),
        ("O’Brien", "o'brien"), ("Voß", "voss"), ("  San  Nicolas ", "san nicolas"),
        ("Иванов", ""), ("李", ""),
    ],
)  # fmt: skip
def test_names_are_folded_to_a_to_z(name, folded):
    assert rd.fold_to_ascii(name) == folded


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["empty"]),
        (b" \n\n", ["empty"]),
        (b"text\0label", ["binary"]),
        ("text\0".encode("utf-16"), ["binary"]),
        (b"good\nbad \xff\xfe", ["line 2", "save the file as UTF-8"]),
        (b"\xff\xfeodd number of bytes", ["not UTF-8"]),
    ],
)
def test_read_text_names_what_is_wrong(tmp_path, content, fragments):
    path = write(tmp_path / "file.txt", content)
    assert_refused(lambda: rd.read_text(path), "file.txt", *fragments)


def test_read_text_missing_file_and_folder(tmp_path):
    assert_refused(lambda: rd.read_text(tmp_path / "absent.txt"), "no such file")
    assert_refused(lambda: rd.read_text(tmp_path), "is a folder; name a file")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_read_text_takes_windows_files(tmp_path, encoding):
    mark = "\ufeff" if encoding.endswith("e") else ""
    path = write(tmp_path / "dos.txt", f"{mark}één\r\ntwo\r\rfour".encode(encoding))
    assert rd.read_text(path) == "één\ntwo\n\nfour"


def test_a_folder_is_read_with_its_sub_folders_and_what_is_left_out_is_named(tmp_path, capsys):
    for name, content in {
        "README.md": "# Notes\n", "chapters/one.txt": "One.\n", "chapters/b/two": "Two.",
        ".git/config": "hidden", "chapters/.hidden.txt": "hidden", "cover.png": b"\x89PNG\0",
        "chapters/latin.txt": b"\xe9t\xe9", "none.txt": b"",
    }.items():  # fmt: skip
        write(tmp_path / "book" / name, content)
    assert rd.read_text_files(tmp_path / "book") == "# Notes\n\nTwo.\nOne.\n"
    printed = capsys.readouterr().out
    assert "left out" in printed and len(printed.splitlines()) == 1
    for name in ("cover.png", "latin.txt", "none.txt"):
        assert name in printed
    assert rd.read_text_files(tmp_path / "book" / "README.md") == "# Notes\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("files", [[], ["a.txt", "b.txt"]])
def test_a_folder_without_text_is_refused(tmp_path, files):
    for name in files:
        write(tmp_path / name, b"")
    assert_refused(lambda: rd.read_text_files(tmp_path), str(tmp_path), "no text in this folder")


ROWS = [("good, very\ngood", "pos"), ("bad", "neg"), ('say "no"', "neg"), ("NA", "null")]
ROWS_AS_CSV = '"good, very\ngood",pos\nbad,neg\n\n"say ""no""",neg\nNA,null\n'


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("plain.csv", f"text,label\n{ROWS_AS_CSV}", ("text", "label")),
        ("upper.csv", f"Text, LABEL \n{ROWS_AS_CSV}", ("text", "label")),
        ("two_spellings.csv", f"text,label\n{ROWS_AS_CSV}", ("text", "label")),
        ("kaggle.csv", f"review,sentiment\n{ROWS_AS_CSV}", ("review", "sentiment")),
        ("marked.csv", f"\ufefftext,label\n{ROWS_AS_CSV}", ("text", "label")),
        ("utf16.csv", f"text,label\n{ROWS_AS_CSV}".encode("utf-16"), ("text", "label")),
        ("windows.csv", f"text,label\n{ROWS_AS_CSV}".replace("\n", "\r\n"), ("text", "label")),
        ("empty_tail.csv", f"v1,v2\n{ROWS_AS_CSV}\n,\n , \n,\n", ("v1", "v2")),
        ("wide.csv", f"text,label,,\n{ROWS_AS_CSV}", ("text", "label")),
    ],
)  # fmt: skip
def test_a_table_of_texts_is_read_however_it_is_written(tmp_path, name, content, columns):
    if name == "wide.csv":  # empty columns, as Excel leaves them
        content = content.replace("pos\n", "pos,,\n").replace("neg\n", "neg,,\n")
        content = content.replace("null\n", "null,,\n")
    assert rd.read_labelled_texts(write(tmp_path / name, content), columns) == ROWS


def test_a_table_may_be_cut_by_semicolons_or_tabs_whatever_its_name(tmp_path):
    expected = [("a, b", "x"), ("c; d", "y")]
    for name, content in {
        "semicolons.csv": 'text;label;n\na, b;x;1\n"c; d";y;2\n',
        "tabs.csv": "n\ttext\tlabel\n1\ta, b\tx\n2\tc; d\ty\n",
        "tabs.tsv": 'label\ttext\nx\t"a, b"\ny\t"c; d"\n',
        "commas.tsv": 'text,label\n"a, b",x\nc; d,y\n',
    }.items():
        assert rd.read_labelled_texts(write(tmp_path / name, content)) == expected


def test_a_quotation_over_rows_of_a_tsv_swallows_nothing(tmp_path, capsys):
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(160)]
    rows[5] = ('" would buy again', "b")
    rows[85] = ('very happy"', "b")
    rows[90] = ('"closed"', "a")
    lines = [f"{text}\t{label}" for text, label in rows]
    path = write(tmp_path / "spans.tsv", "\n".join(["text\tlabel", *lines]))
    assert rd.read_labelled_texts(path) == rows
    assert "quotation marks" in capsys.readouterr().out


def test_a_tsv_whose_quotations_are_closed_is_unquoted(tmp_path, capsys):
    content = 'text\tlabel\n"say ""no"""\ta\nit\'s 5" wide\tb\n"tab\there"\tb\n'
    rows = rd.read_labelled_texts(write(tmp_path / "closed.tsv", content))
    assert rows == [('say "no"', "a"), ("it's 5\" wide", "b"), ("tab\there", "b")]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("review,label\na,b\n", ["line 1", "'text'", "'review', 'label'", "--columns"]),
        ("text,text,label\na,b,c\n", ["line 1", "several columns", "'text'"]),
        ("Text,TEXT,label\na,b,c\n", ["line 1", "several columns", "'text'"]),
        ("text,label\na,x\n,y\nb,y\n,z\n", ["line 3", "text or label is empty", "such rows: 2"]),
        ("text,label\na,x\nb,\n", ["line 3", "label is empty", "such rows: 1"]),
        ("text,label\na,x\nb\n", ["line 3", "1 cells", "header has 2"]),
        ("text,label\na,x\nb, c,y\n", ["line 3", "3 cells", "quotation marks"]),
        ("text,label\na,x\nb,x\n", ["only the label 'x'", "two labels"]),
        ("text,label\n", ["no texts"]),
        ('text,label\na,x\n"open,y\nb,z\n', ["line 3", "quotes"]),
        ('text,label\na,x\n"b" c,z\n', ["line 3", "quotes"]),
        (b"text,label\na,x\nb\xe9,y\n", ["line 3", "UTF-8"]),
        (b"text,label\na\0,x\n", ["binary"]),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, content, fragments):
    path = write(tmp_path / "own.csv", content)
    assert_refused(lambda: rd.read_labelled_texts(path), "own.csv", *fragments)


def test_files_or_folders_may_be_named_after_the_labels(tmp_path, capsys):
    for name, content in {
        "lists/Tree.txt": "oak\n\nash, or elm\n", "lists/Herb.txt": "\ufeffdill\r\n",
        "lists/notes.md": "none", "lists/.x.txt": "hidden",
        "train/pos/0_9.txt": "Good.\nVery.", "train/pos/10_9.txt": " Fine \n",
        "train/neg/0_1.txt": "Bad.", "train/unsup/0_0.txt": "What?", "train/urls_pos.txt": "www",
    }.items():  # fmt: skip
        write(tmp_path / name, content)
    rows = [("dill", "Herb"), ("oak", "Tree"), ("ash, or elm", "Tree")]
    assert rd.read_labelled_texts(tmp_path / "lists") == rows
    assert "3 texts with the labels Herb, Tree" in capsys.readouterr().out
    rows = [("Bad.", "neg"), ("Good.\nVery.", "pos"), ("Fine", "pos")]
    assert rd.read_labelled_texts(tmp_path / "train") == rows
    assert "3 texts with the labels neg, pos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({}, ["no texts"]),
        ({"A.txt": b"abc\ndef\n"}, ["only the label 'A'"]),
        ({"A.txt": b"abc\n", "B.txt": b""}, ["B.txt", "empty"]),
        ({"A.txt": b"abc\n\xff\n", "B.txt": b"x\n"}, ["A.txt, line 2", "UTF-8"]),
        ({"train/pos/1.txt": b"x", "train/urls.txt": b"y"}, ["train has folders of its own"]),
        ({"a/1.txt": b"x", "a/2.txt": b" ", "b/1.txt": b""}, ["2.txt", "2 empty files"]),
    ],
)
def test_a_bad_folder_of_labels_is_refused(tmp_path, files, fragments):
    for name, content in files.items():
        write(tmp_path / "own" / name, content)
    (tmp_path / "own").mkdir(exist_ok=True)
    assert_refused(lambda: rd.read_labelled_texts(tmp_path / "own"), "own", *fragments)


# ---------------------------------------------------------------- pairs

PAIRS = [(f"line {n}.", f"ligne {n}, oui.") for n in range(12)]
GOOD = "".join(f"{source}\t{target}\n" for source, target in PAIRS)


def test_pairs_are_read_however_they_are_written(tmp_path, capsys):
    assert rd.read_pairs([write(tmp_path / "good.tsv", GOOD)]) == PAIRS
    assert capsys.readouterr().out == ""
    extra = GOOD.replace("oui.\n", "oui.\tCC-BY 2.0 (France)\n\n")
    assert rd.read_pairs([write(tmp_path / "a.tsv", extra)]) == PAIRS
    assert "a.tsv: columns after the second left out\n" in capsys.readouterr().out
    table = "id,English,French\n" + "".join(f'7,{s},"{t}"\n' for s, t in PAIRS)
    path = write(tmp_path / "b.csv", table)
    assert rd.read_pairs([path], ["english", "French"]) == PAIRS
    sources = write(tmp_path / "train.en", "\n".join(source for source, _ in PAIRS))
    targets = write(tmp_path / "train.fr", "\n".join(target for _, target in PAIRS) + "\n")
    assert rd.read_pairs([sources, targets]) == PAIRS
    assert rd.read_pairs([write(tmp_path / "c.tsv", GOOD.replace("line 3", '"line 3'))])[3] == (
        '"line 3.', "ligne 3, oui."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (GOOD + "no tab here\nnor here", ["line 13", "such lines: 2", "source, tab, target"]),
        ("one column\n" * 12, ["line 1", "such lines: 12", "--columns"]),
        (GOOD + "source\t\n", ["line 13", "no word"]),
        (GOOD + "\ttarget\n", ["line 13", "no word"]),
        ("a\tb\n", ["1 pairs", "at least 10"]),
        ("\n\n", ["empty"]),
        (GOOD + '\n"\tguillemet\n', ["line 14", "no word"]),
    ],
)
def test_bad_pairs_are_refused(tmp_path, text, fragments):
    path = write(tmp_path / "p.tsv", text)
    assert_refused(lambda: rd.read_pairs([path]), "p.tsv", *fragments)


def test_files_that_are_not_parallel_are_refused(tmp_path):
    one = write(tmp_path / "one", "a\n" * 12)
    other = write(tmp_path / "other", "b\n" * 11)
    assert_refused(lambda: rd.read_pairs([one, other]), "other: 11 lines", "12", "same line")
    write(other, "b\n" * 11 + "\n")
    assert_refused(lambda: rd.read_pairs([one, other]), "other: 11 lines")
    write(other, "b\n" * 10 + "\nb\n")
    assert_refused(lambda: rd.read_pairs([one, other]), "other, line 11", "no word")


# ---------------------------------------------------------------- series

DAYS = np.datetime64("2022-01-03") + np.arange(60)  # 3 January to 3 March
VALUES = np.round(1000 + 130 * np.sin(np.arange(60)), 2)
FILLED = VALUES.copy()
FILLED[[20, 40]] = FILLED[[19, 39]]


def series_file(date, number, header="date,sales", mark=",", order=1, tail="") -> str:
    """A file of DAYS and VALUES: `date` writes a datetime, `number` a value (given its row)."""
    lines = []
    for row, (day, value) in enumerate(zip(DAYS.astype(datetime.datetime), VALUES.tolist())):
        lines.append(f"{date(day)}{mark}{number(value, row)}\n")
    return header + "\n" + "".join(lines[::order]) + tail


def plain(value: float, row: int = 0) -> str:
    return f"{value:.2f}"


def iso(day) -> str:
    return day.isoformat()


def us_date(day) -> str:
    return f"{day.month}/{day.day}/{day.year}"


def european(value: float, row: int = 0) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def gap(word: str):
    return lambda value, row: word if row in (20, 40) else plain(value)


def stamp(day) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))


# The kinds of file that people have, each with what is to be said about it.
SERIES = {
    "plain": (series_file(iso, plain), "dates from column 'date'"),
    "byte order mark": ("\ufeff" + series_file(iso, plain), ""),
    "utf-16": (series_file(iso, plain).encode("utf-16"), ""),
    "windows": (series_file(iso, plain).replace("\n", "\r\n"), ""),
    "tabs": (series_file(iso, plain, "date\tsales", "\t"), ""),
    "semicolons": (series_file(iso, plain, "date;sales", ";"), ""),
    "german": (
        series_file(lambda d: d.strftime("%d.%m.%Y"), european, "date;sales", ";"),
        "'1.000,00' in 'sales' is 1000",
    ),
    "decimal commas in quotes": (series_file(iso, lambda v, _: f'"{v:.2f}"'.replace(".", ",")), ""),
    "thousands": (series_file(iso, lambda v, _: f'"{v:,.2f}"'), "'1,000.00' in 'sales' is 1000"),
    "swiss thousands": (series_file(iso, lambda v, _: f"{v:,.2f}".replace(",", "'")), ""),
    "french thousands": (
        series_file(
            iso, lambda v, _: european(v).replace(".", "\u202f"), "date;sales", ";"
        ), "",
    ),
    "dollars": (series_file(iso, lambda v, _: f'"${v:,.2f}"'), "'$1,000.00'"),
    "euros": (series_file(iso, lambda v, _: f"{european(v)} €", "date;sales", ";"), "€"),
    "percent": (series_file(iso, lambda v, _: f"{v:.2f}%"), "%"),
    "kilo": (series_file(iso, lambda v, _: f"{v / 1000:.5f}K"), "K' in 'sales'"),
    "newest first": (series_file(iso, plain, order=-1), "newest row first"),
    "us dates": (series_file(us_date, plain), "'1/3/2022' is 2022-01-03"),
    "us dates, newest first": (series_file(us_date, plain, order=-1), "newest row first"),
    "short us dates": (series_file(lambda d: f"{d.month}/{d.day}/22", plain), ""),
    "british dates": (series_file(lambda d: d.strftime("%d/%m/%Y"), plain), "is 2022-01-03"),
    "dashes": (series_file(lambda d: d.strftime("%d-%m-%Y"), plain), "is 2022-01-03"),
    "month names": (series_file(lambda d: f'"{d.strftime("%b %d, %Y")}"', plain), "Jan 03, 2022"),
    "long names": (series_file(lambda d: d.strftime("%d %B %Y"), plain), "03 January 2022"),
    "excel names": (series_file(lambda d: d.strftime("%d-%b-%y"), plain), "03-Jan-22"),
    "digits": (series_file(lambda d: d.strftime("%Y%m%d"), plain), "'20220103' is 2022-01-03"),
    "slashes": (series_file(lambda d: d.strftime("%Y/%m/%d"), plain), ""),
    "times": (series_file(lambda d: f"{d} 00:00:00", plain), ""),
    "american times": (series_file(lambda d: f"{us_date(d)} 12:00 AM", plain), ""),
    "iso times": (series_file(lambda d: f"{d}T00:00:00.000Z", plain), "UTC"),
    "time zone": (series_file(lambda d: f"{d} 02:00:00+02:00", plain), "UTC"),
    "short time zone": (series_file(lambda d: f"{d} 00:00:00+00", plain), "UTC"),
    "named time zone": (series_file(lambda d: f"{d} 00:00 UTC", plain), "UTC"),
    "unix": (series_file(stamp, plain, "Timestamp,sales"), "is 2022-01-03"),
    "unix ms": (series_file(lambda d: stamp(d) * 1000, plain, "time,sales"), "is 2022-01-03"),
    "empty tail": (
        series_file(iso, lambda v, _: f"{v:.2f},,", "date,sales,,", tail=",,,\n" * 20),
        "20 empty rows",
    ),
    "total": (series_file(iso, plain, tail="Total,60000.00\n"), "a total"),
    "total and tail": (series_file(iso, plain, tail="TOTAL:,6\n,\n\n"), "a total"),
    "blank lines at the end": (series_file(iso, plain, tail="\n\n\n"), ""),
}  # fmt: skip
GAPS = {word: series_file(iso, gap(word)) for word in ("", ".", "null", "NA", "-", "NaN", "None")}
GAPS["NaN in German"] = series_file(
    iso, lambda v, row: "NaN" if row in (20, 40) else european(v), "date;sales", ";"
)


@pytest.mark.parametrize("kind", SERIES)
def test_files_that_people_have_give_what_their_plain_equivalent_gives(kind, tmp_path, capsys):
    content, said = SERIES[kind]
    path = write(tmp_path / "series.csv", content)
    dates, values = rd.read_series(path, ["sales"])
    printed = capsys.readouterr().out
    assert dates.dtype.kind == "M" and (dates == DAYS).all()
    assert values.dtype == np.float64 and values.shape == (60, 1)
    np.testing.assert_allclose(values[:, 0], VALUES, rtol=1e-12)
    assert said in printed and len(printed.splitlines()) == 1 and str(path) in printed
    column = content.decode("utf-16") if isinstance(content, bytes) else content
    column = column.lstrip("\ufeff").replace(";", ",").replace("\t", ",").partition(",")[0]
    named = rd.read_series(path, ["sales"], column)
    assert (named[0] == dates).all() and (named[1] == values).all()


@pytest.mark.parametrize("word", GAPS)
def test_gaps_are_filled_with_the_value_before_and_counted(word, tmp_path, capsys):
    dates, values = rd.read_series(write(tmp_path / "s.csv", GAPS[word]), ["sales"])
    assert (dates == DAYS).all() and values[:, 0].tolist() == FILLED.tolist()
    assert "2 missing values filled with the value before" in capsys.readouterr().out


def test_gaps_are_filled_in_the_order_of_time_and_not_of_the_file(tmp_path):
    content = series_file(iso, gap(""), order=-1)
    _, values = rd.read_series(write(tmp_path / "s.csv", content), ["sales"])
    assert values[:, 0].tolist() == FILLED.tolist()


def test_a_gap_at_the_end_is_filled_and_one_at_the_start_is_left_out(tmp_path, capsys):
    lines = series_file(iso, plain).splitlines()
    lines[1] = "2022-01-03,"
    lines[-1] = "2022-03-03,null"
    dates, values = rd.read_series(write(tmp_path / "s.csv", "\n".join(lines)), ["sales"])
    assert (dates == DAYS[1:]).all()
    assert values[:, 0].tolist() == [*VALUES[1:-1].tolist(), VALUES[-2]]
    printed = capsys.readouterr().out
    assert "the first 1 rows" in printed and "1 missing values filled" in printed


@pytest.mark.parametrize("count", [3, 4])
def test_up_to_one_in_twenty_may_be_missing(count, tmp_path):
    numbers = ["" if 5 <= row < 5 + count else f"{row}" for row in range(60)]
    path = write(tmp_path / "s.csv", "y,z\n" + "".join(f"{n},1\n" for n in numbers))
    if count == 3:
        assert rd.read_series(path, ["z", "y"])[1][4:9].tolist() == [[1, 4]] * 4 + [[1, 8]]
    else:
        assert_refused(lambda: rd.read_series(path, ["z", "y"]), "line 7", "4 of 60", "'y'")


def months(day) -> str:
    return f"{day.year}{day.month:02d}"


@pytest.mark.parametrize(
    ("form", "header"),
    [("%Y%m", "yyyymm,y"), ("%Y-%m", "Month,y"), ("%b %Y", "m,y"), ("%Y-%m-01", "date,y")],
)
def test_months_are_even_steps(form, header, tmp_path, capsys):
    dates = [datetime.date(1949 + n // 12, n % 12 + 1, 1) for n in range(144)]
    lines = [f"{day.strftime(form)},{n}" for n, day in enumerate(dates)]
    path = write(tmp_path / "s.csv", "\n".join([header, *lines]))
    read, values = rd.read_series(path, ["y"], header.split(",")[0])
    assert read.astype(datetime.datetime).tolist() == [
        datetime.datetime(day.year, day.month, 1) for day in dates
    ]
    assert values[:, 0].tolist() == list(range(144))
    assert "steps between" not in capsys.readouterr().out


def test_ends_of_months_are_even_steps(tmp_path, capsys):
    days = np.arange("2020-02", "2023-02", dtype="datetime64[M]").astype("datetime64[D]")
    days = days - np.timedelta64(1, "D")
    path = write(tmp_path / "s.csv", "\n".join(["d,y", *(f"{day},1" for day in days)]))
    assert (rd.read_series(path, ["y"], "d")[0] == days).all()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["{}-01-01", "{}", "01/31/{}"])
def test_years_outside_of_nanoseconds(form, tmp_path):
    lines = [f"{form.format(year)},{year % 7}" for year in range(1500, 2400)]
    dates, values = rd.read_series(
        write(tmp_path / "s.csv", "\n".join(["year,y", *lines])), ["y"], "year"
    )
    assert dates.astype("datetime64[Y]").astype(str).tolist() == [str(y) for y in range(1500, 2400)]
    assert values[:, 0].tolist() == [year % 7 for year in range(1500, 2400)]


def test_the_doubled_hour_at_the_end_of_summer_time_is_kept(tmp_path, capsys):
    times = np.datetime64("2023-10-28T00") + np.arange(48).repeat(1 + (np.arange(48) == 26))
    lines = [f"{str(time).replace('T', ' ')}:00,{n}" for n, time in enumerate(times)]
    path = write(tmp_path / "s.csv", "\n".join(["time,y", *lines]))
    dates, values = rd.read_series(path, ["y"])
    assert len(dates) == 49 and values[:, 0].tolist() == list(range(49))
    assert "summer time" in capsys.readouterr().out
    path = write(path, path.read_text().replace("2023-10-29 02", "2023-10-29 05"))
    assert_refused(lambda: rd.read_series(path, ["y"]), "line 29", "2023-10-29 05:00:00")


def test_uneven_dates_are_reported_and_used(tmp_path, capsys):
    path = write(
        tmp_path / "s.csv", "d,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n2024-01-08,4\n"
    )
    dates, _ = rd.read_series(path, ["y"], "d")
    printed = capsys.readouterr().out
    assert "1 of 3 steps" in printed and "5 days" in printed and "line 5" in printed
    assert len(dates) == 4


def test_nothing_is_said_about_a_file_as_it_should_be(tmp_path, capsys):
    path = write(
        tmp_path / "s.csv", "\ufeffdate, a ,b\r\n2024-01-01,1,10\r\n2024-01-02,2.5,20\r\n\r\n"
    )
    dates, values = rd.read_series(path, ["b", "a"], "date")
    assert values.tolist() == [[10, 1], [20, 2.5]]
    assert dates.astype("datetime64[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("y\n1\n2\n3\n", ["y"]),
        ("id,y\n7,1\n8,2\n9,3\n", ["y"]),
        ("year,month,y\n2020,1,1\n2020,2,2\n2020,3,3\n", ["y"]),  # no column alone is a date
        ("volume,y\n1640995200,1\n1640995300,2\n1640995400,3\n", ["y"]),
    ],
)
def test_without_a_column_of_dates_there_are_none(content, columns, tmp_path, capsys):
    dates, values = rd.read_series(write(tmp_path / "s.csv", content), columns)
    assert dates is None and values[:, 0].tolist() == [1, 2, 3]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("y;z\n1,5;0,25\n1.102;0,75\n", [1.5, 1102]),  # another number tells
        ("y;z\n1.102;0.25\n2.205;0.75\n", [1.102, 2.205]),  # household power, voltage
        ("y;z\n1.1020;1\n2.205;2\n", [1.102, 2.205]),  # the remedies that are named
        ("y;z\n1102;1\n2205;2\n", [1102, 2205]),
        ("y\n(5.50)\n-$7\n", [-5.5, -7]),
        ("y\n1.87M\n950K\n", [1_870_000, 950_000]),
        ("y\n(\uff112)\n(3)\n", [-12, -3]),  # a digit as Japanese keyboards write it
        ("\ufeffy\n1\n\ufeff2\n", [1, 2]),  # two files put together, each with its mark
        ("y\n\u22125\n+3\n", [-5, 3]),
        ('y\n"1,102"\n"12,345"\n', [1102, 12345]),
        ("y\tz\n1.102\t1\n2.205\t2\n", [1.102, 2.205]),
        ('y\n"1,234,567"\n"996"\n', [1234567, 996]),
        ("y;z\n1.234.567;1\n996;2\n", [1234567, 996]),
        ("y\n1e3\n2.5E-1\n", [1000, 0.25]),
        ("y;z\n12,5 %;1\n7 %;2\n", [12.5, 7]),
    ],
)
def test_numbers_are_what_their_whole_column_says(content, expected, tmp_path):
    _, values = rd.read_series(write(tmp_path / "s.csv", content), ["y"])
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-12)


BAD_SERIES = {
    "empty": (b"", ["empty"]),
    "only a header": (b"d,y\n", ["no rows"]),
    "only delimiters": (b"\n,,\n,,\n", ["line 1", "put names above"]),
    "binary": (b"d,y\n\x00\x01\x02", ["binary"]),
    "latin-1": (b"d,y\n1,2\n\xe9,3\n", ["line 3", "UTF-8"]),
    "unknown column": (b"d,x,z\n2024-01-01,1,2\n", ["'y'", "'d', 'x', 'z'", "--column"]),
    "column twice": (b"d,y,y\n2024-01-01,1,2\n", ["line 1", "several columns", "'y'"]),
    "text": (b"d,y\n2024-01-01,1\n2024-01-02,high\n", ["line 3", "'high'", "'y'"]),
    "infinite": (b"d,y\n2024-01-01,inf\n", ["line 2", "'inf'"]),
    "too large": (b"d,y\n2024-01-01,1\n2024-01-02,1e31\n", ["line 3", "'1e31'", "1e30"]),
    "decimal comma": (b"d,y\n2024-01-01,1,5\n", ["line 2", "3 cells"]),
    "short row": (b"d,x,y\n2024-01-01,1\n", ["line 2", "2 cells"]),
    "thousands or decimals": (b"d;y\n2024-01-01;1.500\n", ["line 2", "'1.500'", "four decimals"]),
    "decimals or thousands": (b"d;y\n2024-01-01;1,500\n", ["line 2", "'1,500'", "two meanings"]),
    "both marks": (b'd,y\n2024-01-01,"1,5"\n2024-01-02,1.5\n', ["'y'", "like the others"]),
    "two currencies": ("d,y\n2024-01-01,$1\n2024-01-02,€1\n".encode(), ["'y'", "$", "€"]),
    "percent and not": (b"d,y\n2024-01-01,1%\n2024-01-02,0.5\n", ["line 3", "'0.5'", "%"]),
    "half a bracket": (b"d,y\n2024-01-01,(1\n", ["line 2", "'(1'"]),
    "missing": (b"d,y\n2024-01-01,1\n2024-01-02,\n2024-01-03,NaN\n", ["line 3", "2 of 3"]),
    "all missing": (b"d,y\n2024-01-01,NaN\n2024-01-02,nan\n", ["line 2", "2 of 2"]),
    "all missing, semicolons": (b"d;y\n2024-01-01;NaN\n2024-01-02;\n", ["2 of 2"]),
    "several rows of another length": (b"d,y\n1\n2024-01-01,1\n1,2,3\n", ["such rows: 2"]),
    "several texts": (b"d,y\n2024-01-01,a\n2024-01-02,1\n2024-01-03,b\n", ["such cells: 2"]),
    "blank line": (b"d,y\n2024-01-01,1\n\n2024-01-03,3\n", ["line 3", "not a date"]),
    "open quote": (b'd,y\n2024-01-01,"1\n2024-01-02,2\n', ["line 2", "quotes"]),
    "date twice": (b"d,y\n2024-01-01,1\n2024-01-01,2\n", ["line 3", "again"]),
    "out of order": (
        b"d,y\n2024-01-01,1\n2024-01-05,2\n2024-01-03,2\n2024-01-09,2\n",
        ["line 4", "later one"],
    ),
    "no such date": (b"d,y\n2024-01-01,1\n2024-02-30,2\n", ["line 3", "2024-02-30"]),
    "no date": (b"d,y\nyesterday,1\n", ["line 2", "'yesterday'", "2024-12-31"]),
    "day or month": (b"d,y\n01/02/2024,1\n2/2/2024,1\n", ["line 2", "2024-01-02", "2024-02-01"]),
    "another form": (b"d,y\n2024-01-01,1\n01/13/2024,1\n", ["line 3", "01/13/2024"]),
    "a zone once": (
        b"d,y\n2024-01-01 00:00+01:00,1\n2024-01-02 00:00,1\n", ["line 3", "2024-01-02"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("content, fragments", BAD_SERIES.values(), ids=BAD_SERIES)
def test_bad_series_are_refused_with_their_line(content, fragments, tmp_path):
    path = write(tmp_path / "series.csv", content)
    assert_refused(lambda: rd.read_series(path, ["y"], "d"), "series.csv", *fragments)


def test_several_columns_of_dates_are_a_question_for_the_user(tmp_path):
    path = write(tmp_path / "s.csv", "a,b,y\n2024-01-02,2024-01-01,1\n2024-01-03,2024-01-02,2\n")
    assert_refused(lambda: rd.read_series(path, ["y"]), "s.csv", "a, b", "--date-column")
    assert str(rd.read_series(path, ["y"], "b")[0][0])[:10] == "2024-01-01"


def test_a_month_that_no_row_tells_from_a_day_is_refused(tmp_path):
    lines = [f"{month}/1/{year},{month}" for year in (2020, 2021) for month in range(1, 13)]
    path = write(tmp_path / "s.csv", "\n".join(["date,y", *lines]))
    assert_refused(
        lambda: rd.read_series(path, ["y"]), "line 3", "'2/1/2020'", "2020-02-01", "2020-01-02"
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["iso", "german"])
def test_a_million_rows_in_little_time_and_memory(form, tmp_path):
    """Time is measured, and asserted with room for a busy machine; see the README."""
    resource = pytest.importorskip("resource")
    times = (np.datetime64("2010-01-01T00:00") + np.arange(1_000_000)).astype(str)
    path = tmp_path / "long.csv"
    with open(path, "w", encoding="utf-8") as file:
        file.write("date;y\n")
        for n, moment in enumerate(times.tolist()):
            number = f"{n / 7:.2f}" if form == "iso" else european(n / 7)
            file.write(f"{moment};{number}\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    dates, values = rd.read_series(path, ["y"])
    seconds = time.process_time() - started
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert dates.shape == (1_000_000,) and values[-1, 0] == round(999_999 / 7, 2)
    assert seconds < 10 and megabytes < 500
