"""rnn_texts: the same texts are set aside in every run, and long ones keep both ends."""

from __future__ import annotations

import io
import sys

import pytest
import torch

import rnn_texts as rt
import rnn_utils as ru


def test_set_aside_takes_the_share_of_each_label_and_is_the_same_in_every_run():
    rows = [(n, "ab"[n % 3 == 0]) for n in range(300)]
    rest, aside = rt.set_aside(rows, 0.1)
    assert sorted(rest + aside) == rows and rest == sorted(rest) and aside == sorted(aside)
    labels = [label for _, label in aside]
    assert (labels.count("a"), labels.count("b")) == (20, 10)
    assert aside[:6] == [(10, "a"), (12, "b"), (33, "b"), (34, "a"), (44, "a"), (54, "b")]
    assert rt.set_aside(rows, 0.1) == (rest, aside)
    assert [label for _, label in rt.set_aside(rows[:4], 0.01, least=2)[1]] == ["b", "a", "a", "b"]


def test_thinning_out_keeps_the_shares_and_some_of_each_label():
    rows = [(f"a{n}", "A") for n in range(900)] + [(f"b{n}", "B") for n in range(20)]
    kept = rt.thin_out(rows, 92)
    labels = [label for _, label in kept]
    assert len(set(kept)) == len(kept) and set(kept) < set(rows)
    assert (labels.count("A"), labels.count("B")) == (90, 10)
    assert rt.thin_out(rows, 92) == kept  # the same in every run
    assert rt.thin_out(rows, None) == rt.thin_out(rows, 5000) == rows


def test_only_what_a_source_lacks_is_held_out_and_a_rare_label_is_refused():
    rows = [(n, "ab"[n % 2]) for n in range(200)]
    splits = {"train": list(rows)}
    rt.hold_out(splits, "mine.csv", test=0.1, val=0.05)
    assert [len(splits[part]) for part in ("train", "val", "test")] == [172, 8, 20]
    assert sorted(splits["train"] + splits["val"] + splits["test"]) == rows
    splits = {"train": list(rows), "test": rows[:3]}
    rt.hold_out(splits, "mine.csv", test=0.1, val=0.1)
    assert [len(splits[part]) for part in ("train", "val", "test")] == [180, 20, 3]
    with pytest.raises(ru.UserError, match=r"mine\.csv: the label 'b' needs at least 3 .* has 2"):
        rt.hold_out({"train": [*rows[::2], *rows[1:4:2]]}, "mine.csv", 0.1, 0.1)


def test_a_label_that_the_model_does_not_know_is_named_with_its_source():
    about = {"vocab": ["<unk>", "x"], "labels": ["a", "b", "c"], "config": {}}
    model = torch.nn.Linear(1, 1)  # which device?
    rt.encode_splits(model, about, {"test": [(["x"], label) for label in "aba"]}, "mine.csv")
    with pytest.raises(ru.UserError, match=r"mine\.csv: the label 'd' .*: a, b, c"):
        rt.encode_splits(model, about, {"test": [(["x"], label) for label in "ad"]}, "mine.csv")


@pytest.mark.parametrize("length", range(1, 9))
def test_of_a_long_text_both_ends_are_kept(length):
    kept = rt.keep_both_ends(list("abcdefgh"), length)
    head = (length + 1) // 2
    assert "".join(kept) == "abcdefgh"[:head] + "abcdefgh"[8 - (length - head) :]


def test_a_line_without_a_word_is_passed_over(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('i am cold\n\n"\n ; \nhow are you ?\n'))
    assert rt.texts_asked(["-", " hi "]) == ["i am cold", "how are you ?", "hi"]
