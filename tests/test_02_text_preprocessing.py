"""Tests of 02_text_preprocessing: tokens, vocabulary, batches and embeddings as claimed."""

from __future__ import annotations

import collections
import json
import math
import os
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from helpers import assert_one_line_error, load_script, note_calls, run_script, same_but_for_times
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

import rnn_data as rd
import rnn_utils as ru

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
    corpus, groups = rd.load_dataset("sentences", "embedded")[0]
    assert (corpus, groups) == rd.load_dataset("sentences", "embedded")[0]
    words = {word for sentence in corpus for word in ru.basic_english(sentence)}
    assert len(groups) == 9 and all(words >= set(group) for group in groups.values())
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
    names = ("torchtext", "torchtext.data", "torchtext.data.utils")
    package, data, utils = (types.ModuleType(name) for name in names)
    utils.get_tokenizer = lambda name: reference if good else str.split
    for module in (package, data, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    sentence = script.compare_with_torchtext(["The cat.", "dog"])
    assert f"splits {0 if good else 1} of 2" in sentence


# ---------------------------------------------------------------- vocabulary and indices


def prepare(min_freq=2, max_size=None, max_length=0):
    """Sentences, tokens, indices and vocabulary of the embedded corpus, as main makes them."""
    text, groups, source = script.load_sentences(None, "embedded", None, True, 0)
    assert groups and source == "embedded"
    num_train = len(text) * 9 // 10
    tokens = [ru.basic_english(sentence) for sentence in text]
    vocab = ru.Vocab.build(tokens[:num_train], min_freq=min_freq, max_size=max_size)
    sentences, cut = script.numericalise(tokens, vocab, num_train, max_length)
    return text, num_train, tokens, vocab, sentences, cut


def test_indices_round_trip():
    text, _, tokens, vocab, sentences, _ = prepare(min_freq=1, max_length=1000)
    known = [i for i in range(len(text)) if all(word in vocab for word in tokens[i])]
    assert len(known) > 400
    for i in known:
        assert vocab.lookup_tokens(sentences[i]) == reference(text[i])


def test_the_vocabulary_sees_train_only(tmp_path):
    flags = ["--min-freq", "1", "--epochs", "1", "--no-plots", "--max-length", "1000"]
    script.main([*flags, "--output-dir", str(tmp_path)])
    data = torch.load(tmp_path / "processed.pt", weights_only=True)
    sentences = data["indices"].split(data["lengths"].tolist())
    text, *_ = script.load_sentences(None, "embedded", None, True, 0)
    tokens = [reference(sentence) for sentence in text]
    num_train = data["num_train"]
    train = {word for sentence in tokens[:num_train] for word in sentence}
    assert set(data["vocab"]) == train | {"<pad>", "<unk>"}
    strangers = {word for sentence in tokens[num_train:] for word in sentence} - train
    assert strangers  # the test would be empty without them
    for words, indices in zip(tokens[num_train:], sentences[num_train:]):
        assert [word in strangers for word in words] == (indices == 1).tolist()


def test_no_held_out_sentence_is_in_train():
    text, num_train, *_ = prepare()
    assert not set(text[:num_train]) & set(text[num_train:])


def test_max_vocab_and_a_text_without_tokens(tmp_path):
    assert len(prepare(max_size=20)[3]) == 20
    lines = ['";"', "", " ", *(f"sentence {number}" for number in range(30))]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    text, groups, source = script.load_sentences(tmp_path / "a.txt", "embedded", None, True, 0)
    assert sorted(text) == sorted(lines[3:]) and source == "a.txt" and not groups
    assert all(ru.basic_english(sentence) for sentence in text)


def test_words_spelled_like_special_tokens_are_ordinary_words(tmp_path):
    lines = [f"the <unk> met a <pad> and a <eos> {number % 3}" for number in range(40)]
    lines = [f"{line} {'again ' * number}" for number, line in enumerate(lines)]
    (tmp_path / "own.txt").write_text("\n".join(lines), encoding="utf-8")
    flags = ["--data", str(tmp_path / "own.txt"), "--quick", "--no-plots", "--words", "<pad>"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    data = torch.load(tmp_path / "processed.pt", weights_only=True)
    assert int(data["indices"].min()) > ru.UNK  # no padding, and every word is known
    assert metrics["vocabulary"]["unknown"] == 0
    assert list(metrics["embeddings"]["neighbours"]) == ["<pad>"]
    vocab = ru.Vocab(data["vocab"])
    assert script.unknown_rate(vocab, [["<unk>", "the", "stranger", "<pad>"]]) == 0.25


# ---------------------------------------------------------------- batches


def test_padding_share_by_hand(monkeypatch):
    # Batches of lengths (2, 4) and (3,): 8 + 3 cells, 9 tokens.  Buckets (2, 3) and (4,): 6 + 4.
    monkeypatch.setattr(torch, "randperm", lambda n, generator=None: torch.arange(n))
    sentences = [torch.full((length,), 5) for length in (2, 4, 3)]
    batches, share = script.compare_batches(sentences, 2, 0)
    assert batches["random"] == [[0, 1], [2]] and sorted(batches["bucketed"]) == [[0, 2], [1]]
    assert share == {"random": pytest.approx(2 / 11), "bucketed": pytest.approx(1 / 10)}


def test_buckets_waste_less_and_the_cut_holds():
    _, _, tokens, _, sentences, cut = prepare()
    batches, share = script.compare_batches(sentences, 32, 0)
    assert share["bucketed"] < 0.1 < 0.3 < share["random"]
    for parts in batches.values():
        assert sorted(i for part in parts for i in part) == list(range(len(sentences)))
    assert max(len(sentence) for sentence in sentences) == cut < max(len(words) for words in tokens)


def test_the_cut_is_chosen_on_train_only():
    tokens = [["a"] * length for length in [5] * 90 + [50] * 10]
    vocab = ru.Vocab.build(tokens)
    sentences, cut = script.numericalise(tokens, vocab, 90, 0)
    assert cut == 5 and {len(sentence) for sentence in sentences} == {5}
    assert script.numericalise(tokens, vocab, 90, 30)[1] == 30


def test_the_mask_marks_the_words(capsys):
    script.compare_batches([torch.tensor([5, 6, 7]), torch.tensor([8])], 2, 0)
    first, *tensors, _ = capsys.readouterr().out.splitlines()
    assert "(2, 3), lengths [3, 1]" in first
    rows = [re.findall(r"\d+", line) for line in tensors]
    assert rows == [["5", "6", "7"], ["8", "0", "0"], ["1", "1", "1"], ["1", "0", "0"]]


def test_packing_by_hand(tmp_path):
    sentences = [torch.arange(2, 2 + length) for length in (4, 7, 2, 5, 9)]  # four are packed
    vocab = ru.Vocab(["<pad>", "<unk>", *"abcdefghi"])
    vectors = torch.randn(len(vocab), script.EMBEDDING_SIZE)
    path = script.save_results(sentences, 4, vocab, vectors, tmp_path)
    assert script.feed_rnn(path) == [4, 4, 3, 3, 2, 1, 1]


# ---------------------------------------------------------------- embeddings


def test_pairs_by_hand():
    # Sentences "5 1 6" (1 is <unk>) and "7 8": no pair with <unk>, none across sentences.
    pairs = script.skipgram_pairs([torch.tensor([5, 1, 6]), torch.tensor([7, 8])], window=2)
    assert sorted(pairs.tolist()) == [[5, 6], [6, 5], [7, 8], [8, 7]]
    pairs = script.skipgram_pairs([torch.tensor([5, 1, 6]), torch.tensor([7, 8])], window=1)
    assert sorted(pairs.tolist()) == [[7, 8], [8, 7]]


def test_too_few_words_or_no_neighbours_are_a_users_error(tmp_path):
    pairs = script.skipgram_pairs([torch.tensor([5]), torch.tensor([6, 1, 1, 7])], window=2)
    assert pairs.shape == (0, 2)
    flags = ["--output-dir", str(tmp_path), "--quick"]
    for size in ("3", "9"):
        with pytest.raises(ru.UserError, match="--max-vocab"):
            script.main(["--max-vocab", size, *flags])
    alone = "\n".join(f"word{number} " for number in range(40))  # 40 words, and no pair of them
    (tmp_path / "alone.txt").write_text(alone, encoding="utf-8")
    with pytest.raises(ru.UserError, match=r"alone\.txt.*--min-freq"):
        script.main(["--data", str(tmp_path / "alone.txt"), "--min-freq", "1", *flags])


def test_a_look_up_is_a_product_with_one_hot_vectors():
    script.lookup_is_one_hot_product([torch.tensor([5, 1, 6]), torch.tensor([7])], 8)  # asserts


def test_nearest_leaves_out_the_word_and_the_specials():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 0.1]])
    assert script.nearest(vectors, 2, 2) == [4, 3]


def test_near_is_a_matter_of_direction_and_not_of_length():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.3, 0.03], [9.0, 9.0]])
    assert script.nearest(vectors, 2, 2) == [3, 4]


def test_skip_gram_starts_undecided_and_draws_by_frequency_to_the_power_of_three_quarters(
    monkeypatch, capsys
):
    drawn = note_calls(monkeypatch, torch, "multinomial")
    monkeypatch.setattr(torch.optim, "Adam", lambda weights, lr: torch.optim.SGD(weights, lr=1e-9))
    sentences = [torch.tensor([2, 3]), torch.tensor([3, 2]), torch.tensor([2, 4])]
    script.train_skipgram(sentences, "a text", 10, 1, "cpu")
    frequencies = [0, 0, 3**0.75, 2**0.75, 1, 0, 0, 0, 0, 0]
    assert drawn[0].args[0].tolist() == pytest.approx(frequencies)
    undecided = (1 + script.NUM_NEGATIVES) * math.log(2)  # each pair is as likely real as drawn
    assert f"loss {undecided:.3f}" in capsys.readouterr().out


def test_held_out_text_teaches_nothing(tmp_path, monkeypatch):
    """Neither the vectors nor a vocabulary of another tokenizer have seen it."""
    read = note_calls(monkeypatch, script, "skipgram_pairs")
    ranked = note_calls(monkeypatch, script, "study_vocabulary")
    script.main(["--quick", "--no-plots", "--output-dir", str(tmp_path)])
    tokens, num_train, _, _ = ranked[0].args
    assert len(read[0].args[0]) == num_train < len(tokens)
    table = script.compare_tokenizers(["a b", "b a"], ["c d d", "e"], 1)
    assert {row["unknown"] for name, row in table.items() if name != "character"} == {1.0}


def test_words_are_counted_in_train_and_missed_in_held_out_text(capsys):
    tokens = [["a", "b"]] * 9 + [["c", "a"]]
    vocab = ru.Vocab.build(tokens[:9])
    found = script.study_vocabulary(tokens, 9, vocab, "a")
    assert found == {"size": 4, "train_words": 2, "unknown": 0.5}


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
    steps = {name: row["tokens_per_sentence"] for name, row in table.items()}
    assert steps["whitespace"] < steps["basic_english"] < steps["character"]
    unknown = {name: row["unknown"] for name, row in table.items()}
    assert unknown["character"] < unknown["basic_english"] < unknown["whitespace"]
    assert metrics["padding"]["random"] == pytest.approx(0.454, abs=5e-4)
    assert metrics["padding"]["bucketed"] == pytest.approx(0.039, abs=5e-4)
    assert metrics["embeddings"]["same_group"] > 0.9
    assert metrics["embeddings"]["same_group_random"] < 0.15
    groups = rd.load_dataset("sentences", "embedded")[0][1]
    assert set(metrics["embeddings"]["neighbours"]["paris"]) <= set(groups["city"])


def test_the_files_hold_what_a_model_needs(full_run):
    metrics, folder = full_run
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["embedded"] is True and metrics["dataset"] == "embedded"
    data = torch.load(folder / "processed.pt", weights_only=True)
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    assert data["vocab"] == vocab and data["embeddings"].shape == (len(vocab), 32)
    assert int(data["lengths"].sum()) == len(data["indices"])
    assert int(data["indices"].max()) < len(vocab)
    assert int(data["lengths"].max()) == metrics["cut"]


def test_the_last_state_is_that_of_a_packed_run_and_not_h_n(full_run):
    _, folder = full_run
    script.feed_rnn(folder / "processed.pt")  # asserts that packed and own last state agree
    data = torch.load(folder / "processed.pt", weights_only=True)
    sentences = data["indices"].split(data["lengths"].tolist())[:4]
    batch, lengths = ru.pad_batch(sentences)
    torch.manual_seed(0)
    rnn = torch.nn.RNN(32, 16, batch_first=True)
    inputs = data["embeddings"][batch]
    _, h_n = rnn(inputs)
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    assert not torch.allclose(h_n, rnn(packed)[1], atol=1e-3)


def test_the_command_line_draws_and_repeats_itself(tmp_path):
    completed = run_script(NAME, "--quick", cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    folder = tmp_path / "outputs" / NAME
    assert {path.stem for path in folder.glob("*.png")} == {"padding", "embeddings"}
    first = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    again = script.main(["--quick", "--no-plots", "--output-dir", str(tmp_path / "b")])
    assert not list((tmp_path / "b").glob("*.png"))
    assert same_but_for_times(first) == same_but_for_times(again)


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
    groups = rd.load_dataset("sentences", "embedded")[0][1]
    unknown = [words for words in groups.values() if not known & set(words)]
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


def test_imdb_by_name_never_falls_back(tmp_path, monkeypatch):
    monkeypatch.delenv("RNN_DATA_DIR", raising=False)
    with pytest.raises(rd.DataUnavailable, match=r"aclImdb_v1\.tar\.gz"):
        script.main(["--dataset", "imdb", "--data-dir", "none", "--output-dir", str(tmp_path)])


def test_of_the_reviews_only_those_of_train_are_read(monkeypatch):
    reviews = [("test", "neg", 0, "Seen never.")]
    reviews += [
        ("train", "pos", number, f"Review {number}, as it is written.") for number in range(30)
    ]
    monkeypatch.setattr(rd, "data_file", lambda *a: None)
    monkeypatch.setattr(rd, "read_imdb", lambda path: reviews)
    text, groups, source = script.load_sentences(None, "imdb", None, True, 0)
    assert sorted(text) == sorted(review[3] for review in reviews[1:])
    assert source == "imdb" and not groups


ARCHIVE = Path(os.environ.get("RNN_DATA_DIR", "data")) / "imdb" / "aclImdb_v1.tar.gz"


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.is_file(), reason="the reviews are not on this machine")
def test_the_real_archive():
    reviews = rd.read_imdb(ARCHIVE)
    for split in ("train", "test"):
        labels = collections.Counter(label for part, label, _, _ in reviews if part == split)
        assert labels == {"pos": 12500, "neg": 12500}
    texts = [text for *_, text in reviews[:200]]
    assert [ru.basic_english(text) for text in texts] == [reference(text) for text in texts]
