"""rnn_pairs: no source in two splits, tokens as they are written, and answers in their order."""

from __future__ import annotations

import io
import math

import pytest
import torch

import rnn_data as rd
import rnn_pairs as rp
import rnn_utils as ru
from rnn_baselines import bleu

VOCAB = ru.Vocab([*ru.SPECIALS, *"0123456789"])
ABOUT = {"vocabs": [VOCAB.get_itos()] * 2, "levels": ["characters", "characters"]}


def pairs_of(*texts: str) -> list[tuple]:
    """Digits, and the same digits again."""
    return [(tuple(text), tuple(text)) for text in texts]


def copy_up_to_3(sources, lengths):
    """Stands in for a decoder: right up to 3 tokens; e^-1, e^-2, ... by the number of tokens."""
    written = torch.full((len(sources), 5), ru.EOS)
    length = min(3, sources.shape[1])
    written[:, :length] = sources[:, :length]
    written[:, length + 1 :] = 7  # behind <eos>: no part of the answer
    return written, -lengths.float()


def test_pairs_with_one_source_stay_in_one_split():
    pairs = [(f"s{n % 100}", f"t{n}") for n in range(300)]
    splits = rp.split_pairs(pairs[::-1] + pairs)
    assert splits == rp.split_pairs(pairs)
    assert sorted(pair for rows in splits.values() for pair in rows) == sorted(pairs)
    sources = [{source for source, _ in splits[part]} for part in ("train", "val", "test")]
    assert [len(part) for part in sources] == [80, 10, 10] and len(set.union(*sources)) == 100
    assert list(map(len, rp.split_pairs([(n, n) for n in range(90_000)]).values())) == [
        86_000, 2_000, 2_000
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        (["go on !", "stop"], "words"),
        (["stop", "go"], "characters"),
        (["今天 你看", "音乐"], "characters"),
    ],
)
def test_scripts_without_spaces_and_single_words_are_read_by_characters(texts, level):
    assert rd.token_level(texts) == level


def test_vocabularies_are_those_of_train_and_rare_words_of_multi30k_are_unknown():
    splits = {"train": [(("a", "b"), ("x",)), (("a",), ("x", "y")), (("a", "b"), ("x", "y"))]}
    splits.update(val=[(("c", "c"), ("z", "z"))], test=[(("d", "d"), ("w", "w"))])
    _, about = rp.build(dict, splits, ["words", "words"], "own.tsv", {}, ())
    assert about["vocabs"] == [[*ru.SPECIALS, "a", "b"], [*ru.SPECIALS, "x", "y"]]
    _, about = rp.build(dict, splits, ["words", "words"], "multi30k", {}, ())
    assert about["vocabs"] == [[*ru.SPECIALS, "a"], [*ru.SPECIALS, "x"]]


def test_max_examples_bounds_train_alone(monkeypatch):
    pairs = [(f"go on {n} .", f"va {n} .") for n in range(20)]
    parts = dict.fromkeys(("train", "val", "test"), pairs)
    monkeypatch.setattr(rd, "load_dataset", lambda *_: (parts, "multi30k", False))
    splits, _, _, _ = rp.sentence_pairs(None, max_examples=5)
    assert {part: len(rows) for part, rows in splits.items()} == {"train": 5, "val": 20, "test": 20}


def test_a_batch_is_as_wide_as_its_longest_rows():
    split = rp.encode_pairs(pairs_of("12345", "1", "123"), VOCAB, VOCAB)
    sources, lengths, targets = split.batch([1, 2])
    assert sources.shape == (2, 3) and lengths.tolist() == [1, 3] and targets.shape == (2, 5)
    assert VOCAB.lookup_tokens(targets[0]) == ["<bos>", "1", "<eos>", "<pad>", "<pad>"]


@pytest.mark.parametrize("beam_size", [1, 1000])
def test_answers_and_probabilities_stand_in_the_order_of_the_sources(beam_size):
    texts = ["12", "1", "123", "22", "1234", "9"]
    split = rp.encode_pairs(pairs_of(*texts), VOCAB, VOCAB)
    outputs, probabilities = rp.answer(copy_up_to_3, split, VOCAB, beam_size)
    assert outputs == [tuple(text[:3]) for text in texts]
    assert probabilities == pytest.approx([math.exp(-len(text)) for text in texts])


def test_a_table_leaves_the_answer_empty_where_there_is_nothing_to_read(monkeypatch, capsys):
    about = {"vocabs": [[*ru.SPECIALS, "hi", "you"]] * 2, "levels": ["words", "words"]}
    monkeypatch.setattr("sys.stdin", io.StringIO("hi you\n\nyou\n"))
    answers = rp.answer_texts(['"', "-"], copy_up_to_3, about, "cpu")
    assert answers == {'"': "", "hi you": "hi you", "": "", "you": "you"}
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ['"', "", "nan"],
        ["hi you", "hi you", "0.1353"],
        ["", "", "nan"],
        ["you", "you", "0.3679"],
    ]


def test_outside_of_a_table_a_text_without_a_token_is_an_error_and_each_answer_is_shown(capsys):
    looked = []
    look = lambda source, output: looked.append((source, output))  # noqa: E731
    assert rp.answer_texts(["12"], copy_up_to_3, ABOUT, "cpu", look=look) == {"12": "12"}
    assert looked == [(("1", "2"), ("1", "2"))] and "12\n  -> 12" in capsys.readouterr().out
    with pytest.raises(ru.UserError, match="no token"):
        rp.answer_texts([" "], copy_up_to_3, ABOUT, "cpu")


def curve_of(lengths, right, level: str, longer: bool) -> dict:
    """The curve of sources of these lengths, whose answers are right or wrong."""
    pairs = [(tuple("1" * n), ("1",)) for n in lengths]
    data = {"test": rp.encode_pairs(pairs, VOCAB, VOCAB)}
    if longer:
        data["longer"] = rp.encode_pairs(pairs[:1], VOCAB, VOCAB)
    answers = {n: 5 if is_right else 6 for n, is_right in zip(lengths, right)}  # "1" or "2"

    def decode(sources, _):
        written = torch.full((len(sources), 2), ru.EOS)
        written[:, 0] = answers[sources.shape[1]]
        return written, torch.zeros(len(sources))

    about = {**ABOUT, "levels": [level, level]}
    return rp.score_by_length(data, "test", decode, about)[1]


def test_scores_by_length_groups_and_leaves_out_small_groups():
    lengths = [1, 4, 5, 8, 7, 9]
    right = [True, False, True, True, False, True]
    for level, best in (("characters", 1.0), ("words", 100.0)):
        each = curve_of(lengths, right, level, longer=True)
        assert list(each) == [1, 4, 5, 7, 8, 9] and each[8] == best and each[7] == 0.0
    grouped = curve_of(lengths * 7, right * 7, "characters", longer=False)
    assert grouped == {6: pytest.approx(2 / 3)}  # 14 of 1 to 4 and 7 of 9 to 12 are too few
    more = curve_of(lengths * 10, right * 10, "characters", longer=False)
    assert more == {2: 0.5, 6: pytest.approx(2 / 3)}


def test_longer_sources_are_scored_too_where_there_are_some():
    data = {"test": rp.encode_pairs(pairs_of("12", "123", "45"), VOCAB, VOCAB)}
    outputs, few = rp.score_by_length(data, "test", copy_up_to_3, ABOUT)
    assert outputs == [("1", "2"), ("1", "2", "3"), ("4", "5")] and few == {}
    data["longer"] = rp.encode_pairs(pairs_of("12345", "9999"), VOCAB, VOCAB)
    outputs, curve = rp.score_by_length(data, "test", copy_up_to_3, ABOUT)
    assert len(outputs) == 3 and curve == {2: 1.0, 3: 1.0, 4: 0.0, 5: 0.0}


@pytest.mark.parametrize("level", ["characters", "words"])
def test_the_test_is_compared_with_the_source_itself_and_the_most_similar_source(level, capsys):
    texts = {"train": [("12", "3"), ("45", "6")], "test": [("17", "3"), ("48", "48")]}
    data = {}
    for part, pairs in texts.items():
        pairs = [(tuple(source), tuple(target)) for source, target in pairs]
        data[part] = rp.encode_pairs(pairs, VOCAB, VOCAB)
    about = {**ABOUT, "levels": [level, level]}
    found, outputs = rp.score_test(data, copy_up_to_3, {"loss": 2.0}, about, "a note")
    assert outputs == [("1", "7"), ("4", "8")] and found["test"]["loss"] == 2.0
    assert found["test"]["exact_match"] == 0.5 and "a note" in capsys.readouterr().out
    measured = {"source unchanged": 0.5, "translation memory": 0.5}
    if level == "words":
        right = [tuple("3"), tuple("48")]
        measured = {
            "source unchanged": bleu(outputs, right),
            "translation memory": bleu([("3",), ("6",)], right),
        }
        assert measured["source unchanged"] > measured["translation memory"]
    assert found["baselines"] == measured


@pytest.mark.parametrize(
    ("task", "data", "dataset"), [("copy", "x.tsv", "auto"), ("dates", None, "multi30k")]
)
def test_sentences_are_no_toy_task(task, data, dataset):
    with pytest.raises(ru.UserError, match=task):
        rp.check_task(task, data, dataset)
    rp.check_task("translate", data, dataset)
    rp.check_task(None, data, dataset)
    rp.check_task(task, None, "embedded")


def test_a_table_with_commas_in_the_place_of_pairs_is_told_that_it_has_no_tab(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("en,fr\n" + "a dog,un chien\n" * 20, encoding="utf-8")
    with pytest.raises(ru.UserError, match=r"pairs.csv, line 1: no tab.*--columns"):
        rd.read_pairs([path])
