"""Tests of 02_text_preprocessing: tokens, vocabulary, batches and embeddings as claimed."""

from __future__ import annotations

import collections
import json
import os
import re
import sys
import tarfile
import types
from pathlib import Path

import rnn_utils as ru

import pytest
import torch
from helpers import assert_one_line_error, load_script, run_script
from hypothesis import given, settings
from hypothesis import strategies as st

NAME = "02_text_preprocessing"
script = load_script(NAME)

# torchtext 0.18, basic_english_normalize: these substitutions, in this order, after lower().
TORCHTEXT_RULES = [
    (r"\'", " '  "),
    (r"\"", ""),
    (r"\.", " . "),
    (r"<br \/>", " "),
    (r",", " , "),
    (r"\(", " ( "),
    (r"\)", " ) "),
    (r"\!", " ! "),
    (r"\?", " ? "),
    (r"\;", " "),
    (r"\:", " "),
    (r"\s+", " "),
]


def reference(text: str) -> list[str]:
    text = text.lower()
    for pattern, replacement in TORCHTEXT_RULES:
        text = re.sub(pattern, replacement, text)
    return text.split()


HARD_CASES = [
    ("You can't!", ["you", "can", "'", "t", "!"]),
    ('She said "no".', ["she", "said", "no", "."]),
    ('5" by 7"', ["5", "by", "7"]),
    ('con"cat"enate', ["concatenate"]),
    ("Wait...", ["wait", ".", ".", "."]),
    ("U.S.A.", ["u", ".", "s", ".", "a", "."]),
    ("3.14, -2,5", ["3", ".", "14", ",", "-2", ",", "5"]),
    ("a;b:c", ["a", "b", "c"]),
    ("at 9:45", ["at", "9", "45"]),
    ("one<br />two", ["one", "two"]),
    ("one<BR />two", ["one", "two"]),
    ("one<br/>two", ["one<br/>two"]),
    ('<b"r />x', ["x"]),
    ("(why?)", ["(", "why", "?", ")"]),
    ("well-known [x]", ["well-known", "[x]"]),
    ("http://a.org/b?c=1", ["http", "//a", ".", "org/b", "?", "c=1"]),
    ("''", ["'", "'"]),
    ("it’s", ["it’s"]),
    ("ZOË’S CAFÉ", ["zoë’s", "café"]),
    ("tab\tnew\nline\u00a0space", ["tab", "new", "line", "space"]),
    ("😂😂!", ["😂😂", "!"]),
    ('";:', []),
    ("", []),
]


@pytest.mark.parametrize("text, tokens", HARD_CASES)
def test_basic_english_on_hard_cases(text, tokens):
    assert ru.basic_english(text) == tokens == reference(text)


PIECES = st.sampled_from(["<br />", "<br", " />", '"', "'", ".", ";", ":", "İ", "\x1c", "\u2028"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8)).map("".join))
def test_basic_english_equals_the_rules(text):
    assert ru.basic_english(text) == reference(text)


# ---------------------------------------------------------------- corpus


def test_the_corpus_is_varied_and_always_the_same():
    corpus = script.embedded_corpus()
    assert corpus == script.embedded_corpus()
    assert len(set(corpus)) >= 400
    text = "\n".join(corpus)
    for kind in ("n't ", "é", "https://", "1998", "🎂", "?", '"'):
        assert kind in text
    assert not re.search("[{}|]", text)
    lengths = {len(ru.basic_english(sentence)) for sentence in corpus}
    assert min(lengths) <= 3 and max(lengths) >= 40


def test_normalise_gives_one_spelling():
    assert script.normalise("  cafe\u0301 ") == "café"
    assert script.normalise("“don’t”") == '"don\'t"'


# ---------------------------------------------------------------- byte-pair encoding


def test_merges_on_the_example_of_sennrich():
    # e+s and s+t occur 9 times each, and e+s is first in the alphabet; after est</w> (9
    # times) come l+o and lo+w (7), then the 6 of "newest", again in alphabetical order.
    words = collections.Counter(low=5, lower=2, newest=6, widest=3)
    merges = script.learn_merges(words, 9)
    assert merges == [
        ("e", "s"), ("es", "t"), ("est", "</w>"), ("l", "o"), ("lo", "w"),
        ("e", "w"), ("ew", "est</w>"), ("n", "ewest</w>"), ("low", "</w>"),
    ]  # fmt: skip
    rank = {pair: place for place, pair in enumerate(merges)}
    assert script.split_word("lowest", rank) == ["low", "est</w>"]  # never seen before
    assert script.split_word("low", rank) == ["low</w>"]


def test_pairs_merge_from_left_to_right():
    assert script.merge_pair(list("aaa"), ("a", "a")) == ["aa", "a"]
    assert script.merge_pair(list("abab"), ("a", "b")) == ["ab", "ab"]


def test_merging_stops_when_no_pair_repeats():
    assert script.learn_merges(collections.Counter(ab=1), 10) == []


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abcde", min_size=1), st.lists(st.text("abcde", min_size=1), min_size=1))
def test_splitting_replays_the_merges_and_loses_nothing(word, words):
    merges = script.learn_merges(collections.Counter(words * 2), 20)
    pieces = script.split_word(word, {pair: place for place, pair in enumerate(merges)})
    replayed = [*word, script.END]
    for pair in merges:
        replayed = script.merge_pair(replayed, pair)
    assert pieces == replayed
    assert "".join(pieces) == word + script.END


# ---------------------------------------------------------------- torchtext


def test_torchtext_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchtext", None)  # makes `import` raise ImportError
    assert "does not load" in script.compare_with_torchtext(["a"])


def test_torchtext_broken(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchtext":
                raise OSError("undefined symbol")

    monkeypatch.delitem(sys.modules, "torchtext", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "does not load" in script.compare_with_torchtext(["a"])


@pytest.mark.parametrize("good", [True, False])
def test_torchtext_present(monkeypatch, good):
    """A stand-in with torchtext's own rules, and one that forgets to lower-case."""
    package, data, utils, vocab = (
        types.ModuleType(name)
        for name in ("torchtext", "torchtext.data", "torchtext.data.utils", "torchtext.vocab")
    )
    utils.get_tokenizer = lambda name: reference if good else str.split
    vocab.build_vocab_from_iterator = lambda texts, specials: ru.Vocab.build(texts, specials)
    for module in (package, data, utils, vocab):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    sentence = script.compare_with_torchtext(["The cat.", "dog"])
    assert f"splits {0 if good else 1} of 2" in sentence
    assert sentence.endswith("the same")


# ---------------------------------------------------------------- vocabulary and indices


def prepare(*flags):
    args = script.parse_args(list(flags))
    text, _, _ = script.load_sentences(args)
    num_train = len(text) * 9 // 10
    return (text, num_train, *script.prepare(text, num_train, args))


def test_indices_round_trip():
    text, _, tokens, vocab, encoded, _ = prepare("--min-freq", "1")
    known = [i for i in range(len(text)) if all(word in vocab for word in tokens[i])]
    assert len(known) > 400
    for i in known:
        assert vocab.lookup_tokens(encoded[i]) == reference(text[i])


def test_the_vocabulary_sees_train_only():
    _, num_train, tokens, vocab, encoded, _ = prepare("--min-freq", "1")
    train = {word for sentence in tokens[:num_train] for word in sentence}
    assert set(vocab.get_itos()) == train | {"<pad>", "<unk>"}
    strangers = {word for sentence in tokens[num_train:] for word in sentence} - train
    assert strangers  # the test would be empty without them
    for sentence, indices in zip(tokens[num_train:], encoded[num_train:]):
        assert [word in strangers for word in sentence] == (indices == 1).tolist()


def test_no_held_out_sentence_is_in_train():
    text, num_train, *_ = prepare()
    assert not set(text[:num_train]) & set(text[num_train:])


def test_max_vocab_and_a_text_without_tokens():
    *_, vocab, _, _ = prepare("--max-vocab", "20")
    assert len(vocab) == 20
    assert script.tokenize_all(['";"']) == [["<unk>"]]


# ---------------------------------------------------------------- batches


def test_padding_share_by_hand():
    # Batches of lengths (2, 4) and (3,): 8 + 3 cells, 9 tokens.
    assert script.padding_share(torch.tensor([2, 4, 3]), [[0, 1], [2]]) == pytest.approx(2 / 11)


def test_buckets_waste_less_and_the_cut_holds(capsys):
    _, num_train, *_, encoded, _ = prepare()
    sentences, batches, share = script.study_batches(encoded, num_train, script.parse_args([]))
    assert share["bucketed"] < 0.1 < 0.3 < share["random"]
    for parts in batches.values():
        assert sorted(i for part in parts for i in part) == list(range(len(encoded)))
    assert max(map(len, sentences)) == share["cut"] < share["longest"]


def test_the_cut_is_chosen_on_train_only():
    encoded = [torch.full((length,), 2) for length in [5] * 90 + [50] * 10]
    _, _, measures = script.study_batches(encoded, 90, script.parse_args([]))
    assert measures["cut"] == 5 and measures["longest"] == 50


def test_packing_by_hand():
    # Lengths 7, 5, 4 and 2.
    assert script.show_packing() == [4, 4, 3, 3, 2, 1, 1]


# ---------------------------------------------------------------- embeddings


def test_pairs_by_hand():
    # Sentences "5 1 6" (1 is <unk>) and "7 8": no pair with <unk>, none across sentences.
    pairs = script.skipgram_pairs([torch.tensor([5, 1, 6]), torch.tensor([7, 8])], window=2)
    assert sorted(pairs.tolist()) == [[5, 6], [6, 5], [7, 8], [8, 7]]
    pairs = script.skipgram_pairs([torch.tensor([5, 1, 6]), torch.tensor([7, 8])], window=1)
    assert sorted(pairs.tolist()) == [[7, 8], [8, 7]]


def test_nearest_leaves_out_the_word_and_the_specials():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 0.1]])
    assert script.nearest(vectors, 2, 2) == [4, 3]


# ---------------------------------------------------------------- the whole script


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    return script.main(["--output-dir", str(folder), "--no-plots"]), folder


def test_the_claims_of_the_docstring(full_run):
    metrics, _ = full_run
    table = metrics["tokenizers"]
    assert table["character"]["vocabulary"] < table["basic_english"]["vocabulary"]
    assert table["basic_english"]["vocabulary"] < table["whitespace"]["vocabulary"]
    assert table["byte-pair"]["tokens_per_sentence"] < table["character"]["tokens_per_sentence"]
    assert table["byte-pair"]["unknown"] < table["whitespace"]["unknown"]
    assert metrics["embeddings"]["same_group"] > 0.9
    assert metrics["embeddings"]["same_group_random"] < 0.15
    assert set(metrics["embeddings"]["neighbours"]["paris"]) <= {
        city.lower() for city in script.GROUPS["city"]
    }


def test_the_files_hold_what_a_model_needs(full_run):
    metrics, folder = full_run
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["embedded"] is True and metrics["dataset"] == "embedded"
    data = torch.load(folder / "processed.pt", weights_only=True)
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    assert data["vocab"] == vocab and data["embeddings"].shape == (len(vocab), 32)
    assert int(data["lengths"].sum()) == len(data["indices"])
    assert int(data["indices"].max()) < len(vocab)


def timeless(value):
    if isinstance(value, dict):
        return {
            key: timeless(item)
            for key, item in value.items()
            if "seconds" not in key and "per_second" not in key and key != "output_dir"
        }
    return value


def test_the_command_line_draws_and_repeats_itself(tmp_path):
    completed = run_script(NAME, "--quick", cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    folder = tmp_path / "outputs" / NAME
    assert {path.stem for path in folder.glob("*.png")} == {"corpus", "padding", "embeddings"}
    first = timeless(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
    again = timeless(script.main(["--quick", "--no-plots", "--output-dir", str(tmp_path / "b")]))
    assert not list((tmp_path / "b").glob("*.png"))
    for metrics in (first, again):
        metrics["config"].pop("no_plots")
    assert first == again


@pytest.mark.parametrize(
    ("flags", "drawn"),
    [
        (["--min-freq", "8"], True),  # some groups have no known word
        (["--max-vocab", "12"], False),  # no group has one
        (["--max-examples", "20"], False),  # there are two in all, too few for a map
    ],
)
def test_groups_without_a_known_word_are_left_out(flags, drawn, tmp_path):
    metrics = script.main([*flags, "--quick", "--output-dir", str(tmp_path)])
    assert (tmp_path / "embeddings.png").exists() == drawn
    assert 0 <= metrics["embeddings"]["same_group"] <= 1
    known = set(json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8")))
    unknown = [words for words in script.GROUPS.values() if not known & {w.lower() for w in words}]
    assert unknown  # the test would be empty without such a group


def test_own_text_in_any_script_with_dollars_and_emoji(tmp_path):
    lines = [f"Наш кот {number} ест $5 за $6, 😂 然后 don’t. " * 2 for number in range(30)]
    (tmp_path / "own.txt").write_text("\n".join([*lines, '";"', "", "<br />"]), encoding="utf-8")
    flags = ["--data", str(tmp_path / "own.txt"), "--quick", "--output-dir", str(tmp_path / "out")]
    metrics = script.main(flags)
    assert metrics["dataset"] == "own.txt" and metrics["embedded"] is False
    assert "same_group" not in metrics["embeddings"]


BAD_FILES = {
    "empty.txt": (b"", "empty"),
    "one.txt": (b"Only one line.\n", "at least 20"),
    "same.txt": (b"The same line.\n" * 50, "1 different sentences"),
    "binary.txt": (bytes(range(256)), "binary"),
    "latin.txt": (b"fine\ncaf\xe9\n", "line 2"),
    "rare.txt": ("\n".join(f"w{i} v{i}" for i in range(50)).encode(), "--min-freq"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name, tmp_path):
    content, fragment = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ru.UserError, match=re.escape(name) + ".*" + re.escape(fragment)):
        script.main(["--data", str(tmp_path / name), "--output-dir", str(tmp_path / "out")])


def test_a_missing_file_is_one_line_on_the_command_line(tmp_path):
    assert_one_line_error(run_script(NAME, "--data", "no.txt", cwd=tmp_path), "no.txt", "no such")


# ---------------------------------------------------------------- the archive of reviews


def write_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            source = path.with_name("member")
            source.write_bytes(text.encode("utf-8"))
            archive.add(source, name)


MEMBERS = {
    "aclImdb/train/pos/1_9.txt": "Très bien.",
    "aclImdb/train/neg/0_2.txt": "Bad.<br />Sad.",
    "aclImdb/train/pos/0_9.txt": "Good.",
    "aclImdb/train/unsup/0_0.txt": "No label.",
    "aclImdb/train/labeledBow.feat": "0:1",
    "aclImdb/test/urls_pos.txt": "http://example.org",
    "aclImdb/test/pos/0_10.txt": "Great. " + "".join(chr(97 + i * i % 26) for i in range(5000)),
}


def test_read_imdb_sorts_and_takes_labelled_reviews_only(tmp_path):
    write_archive(tmp_path / "a.tar.gz", MEMBERS)
    reviews = ru.read_imdb(tmp_path / "a.tar.gz")
    assert reviews["train"] == [("Bad.<br />Sad.", "neg"), ("Good.", "pos"), ("Très bien.", "pos")]
    assert [label for _, label in reviews["test"]] == ["pos"]


def test_read_imdb_finds_every_kind_of_damage(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_archive(path, MEMBERS)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (whole[:-1], whole[:-200], whole[: len(whole) // 2], bytes(flipped), b"", b"x"):
        path.write_bytes(damaged)
        with pytest.raises(ru.UserError, match="delete it and run again"):
            ru.read_imdb(path)
    write_archive(path, {"other/file.txt": "x"})
    with pytest.raises(ru.UserError, match="no movie reviews"):
        ru.read_imdb(path)
    with pytest.raises(ru.UserError, match="no such file"):
        ru.read_imdb(tmp_path / "missing.tar.gz")


def test_imdb_by_name_never_falls_back(tmp_path, monkeypatch):
    monkeypatch.delenv("RNN_DATA_DIR", raising=False)
    with pytest.raises(ru.DataUnavailable, match=r"aclImdb_v1\.tar\.gz"):
        script.main(["--dataset", "imdb", "--data-dir", "none", "--output-dir", str(tmp_path)])


ARCHIVE = Path(os.environ.get("RNN_DATA_DIR", "data")) / "imdb" / "aclImdb_v1.tar.gz"


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="the reviews are not on this machine")
def test_the_real_archive():
    reviews = ru.read_imdb(ARCHIVE)
    for rows in reviews.values():
        assert collections.Counter(label for _, label in rows) == {"pos": 12500, "neg": 12500}
    texts = [text for text, _ in reviews["train"][:200]]
    assert script.tokenize_all(texts) == [reference(text) for text in texts]
