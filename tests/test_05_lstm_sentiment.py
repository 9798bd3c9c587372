"""05: the cell is nn.LSTM, padding changes nothing, accumulation is exact, no review leaks."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import rnn_utils as ru

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    InterruptedAfter,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_here,
    run_script,
    same_but_for_times,
)

NAME = "05_lstm_sentiment"
script = load_script(NAME)
TINY = ["--quick", "--max-examples", "200", "--no-plots", "--hidden-size", "8", "--epochs", "2"]


def settings(**changes) -> argparse.Namespace:
    defaults = {
        "cell": "lstm", "from_scratch": False, "hidden_size": 7, "num_layers": 1, "dropout": 0.0,
        "input_dropout": 0.0,
        "pooling": "meanmax", "read_state": "own-end", "max_length": 12, "batch_size": 64,
        "accumulate_steps": 1, "lr": 1e-2, "clip": 1.0, "epochs": 1, "seed": 0, "dataset": "x",
    }  # fmt: skip
    return argparse.Namespace(**{**defaults, **changes})


def tiny_model(**changes):
    ru.set_seed(0)
    return script.ReviewClassifier(20, settings(**changes))


def random_split(count=40, longest=12):
    rng = np.random.RandomState(1)
    words = [f"w{number}" for number in range(18)]
    texts = [list(rng.choice(words, rng.randint(1, longest + 1))) for _ in range(count)]
    labels = ["neg", "pos"] * (count // 2)
    vocab = ru.Vocab(["<pad>", "<unk>", *words])
    return script.encode(ru.Corpus.from_tokens(texts, labels), vocab, ["neg", "pos"], settings())


# ---------------------------------------------------------------- the model


def test_hand_written_cell_equals_nn_lstm_in_output_and_gradient():
    ru.set_seed(0)
    theirs = torch.nn.LSTM(5, 8, batch_first=True)
    ours = script.HandWrittenLSTM.from_torch(theirs)
    inputs, results = torch.randn(4, 11, 5), []
    for cell in (ours, theirs):
        x = inputs.clone().requires_grad_()
        output, (h_n, c_n) = cell(x)
        (output.square().sum() + h_n.sum() + c_n.square().sum()).backward()
        results.append((output, h_n, c_n, x.grad))
    for mine, reference in zip(*results):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)
    gates = [ours.W_i, ours.W_f, ours.W_c, ours.W_o]
    recurrent = torch.cat([gate.weight.grad[:, :8] for gate in gates])
    torch.testing.assert_close(recurrent, theirs.weight_hh_l0.grad, atol=1e-5, rtol=1e-5)
    bias = torch.cat([gate.bias.grad for gate in gates])
    torch.testing.assert_close(bias, theirs.bias_ih_l0.grad, atol=1e-5, rtol=1e-5)


def test_gates_that_are_drawn_make_the_states_of_the_model():
    model = tiny_model()
    vocab = ru.Vocab(["<pad>", "<unk>", *"abcdef"])
    gates, cells = script.gates_over(model, vocab, list("abcafe"))
    embedded = model.embedding(torch.tensor([vocab(list("abcafe"))]))
    states, (_, c_n) = model.rnn(embedded)
    torch.testing.assert_close(gates.output * torch.tanh(cells), states[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(cells[-1], c_n[0, 0], atol=1e-6, rtol=0)
    assert all(bool(((gate > 0) & (gate < 1)).all()) for gate in gates)


VARIANTS = [
    {}, {"from_scratch": True}, {"cell": "rnn", "pooling": "last"}, {"pooling": "mean"},
    {"cell": "gru", "num_layers": 2, "pooling": "max"}, {"cell": "none", "pooling": "mean"},
]  # fmt: skip


@pytest.mark.parametrize("changes", VARIANTS)
def test_padding_and_order_in_the_batch_never_change_a_logit(changes):
    model, split = tiny_model(**changes).eval(), random_split()
    inputs, lengths, _ = script.make_batch(split, list(range(40)), "cpu")
    logits = model(inputs, lengths)
    wider = model(F.pad(inputs, (0, 9)), lengths)
    torch.testing.assert_close(wider, logits, atol=1e-5, rtol=0)
    order = torch.randperm(40)
    torch.testing.assert_close(
        model(inputs[order], lengths[order]), logits[order], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(script.read_all(model, split, model, 7), logits, atol=1e-5, rtol=0)


def test_read_after_the_padding_the_answer_depends_on_the_padding():
    model, split = tiny_model(pooling="last").eval(), random_split()
    labels, words = ["neg", "pos"], split.corpus
    vocab = ru.Vocab(["<pad>", "<unk>", *split.corpus.words])
    answers = []
    for length in (12, 24):
        padded = settings(read_state="padded", max_length=length)
        encoded = script.encode(words, vocab, labels, padded)
        assert {len(text) for text in encoded.inputs} == {length}
        answers.append(script.read_all(model, encoded, model))
    assert (answers[0] - answers[1]).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", script.POOLINGS)
def test_pooling_equals_the_plain_formula_on_each_review(pooling):
    states, lengths = torch.randn(5, 9, 4), torch.tensor([1, 9, 3, 5, 2])
    for row, length in enumerate(lengths.tolist()):
        alone = states[row, :length]
        parts = {"last": alone[-1], "mean": alone.mean(dim=0), "max": alone.max(dim=0).values}
        expected = torch.cat([part for name, part in parts.items() if name in pooling])
        torch.testing.assert_close(script.pool(states, lengths, pooling)[row], expected)


def test_word_by_word_is_the_answer_to_each_prefix():
    vocab = ru.Vocab(["<pad>", "<unk>", *"abcdefgh"])
    for pooling in script.POOLINGS:
        model = tiny_model(pooling=pooling).eval()
        answers = script.read_word_by_word(model, vocab, list("hgfedcba"))
        for t in range(1, 9):
            inputs = torch.tensor([vocab(list("hgfedcba")[:t])])
            alone = model(inputs, torch.tensor([t])).sigmoid()
            torch.testing.assert_close(answers[t - 1 : t], alone, atol=1e-6, rtol=0)


def test_forget_bias_is_one_and_recurrent_matrices_are_orthogonal():
    for cell in (tiny_model(num_layers=2).rnn, tiny_model(from_scratch=True).rnn):
        if isinstance(cell, torch.nn.LSTM):
            matrices = [gate for n in (0, 1) for gate in getattr(cell, f"weight_hh_l{n}").split(7)]
            bias = torch.stack([getattr(cell, f"bias_ih_l{n}") for n in (0, 1)])
            assert bias[:, 7:14].eq(1).all() and bias.sum() == 14
        else:
            gates = (cell.W_f, cell.W_i, cell.W_o, cell.W_c)
            matrices = [gate.weight[:, :7] for gate in gates]
            assert cell.W_f.bias.eq(1).all() and not cell.W_i.bias.any()
        for matrix in matrices:
            torch.testing.assert_close(matrix @ matrix.T, torch.eye(7), atol=1e-5, rtol=0)


def test_from_scratch_starts_from_the_same_weights():
    ours = tiny_model(from_scratch=True).rnn
    theirs = script.HandWrittenLSTM.from_torch(tiny_model().rnn)
    for mine, reference in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(mine, reference) and mine.requires_grad


def test_dropout_acts_around_a_single_layer():
    inputs, lengths, _ = script.make_batch(random_split(), list(range(40)), "cpu")
    for flag in ("dropout", "input_dropout"):
        model = tiny_model(**{flag: 0.5})
        assert not torch.allclose(model(inputs, lengths), model(inputs, lengths), atol=1e-4)
        model.eval()
        torch.testing.assert_close(model(inputs, lengths), model(inputs, lengths))


def test_accumulated_gradients_equal_those_of_one_batch(monkeypatch):
    split, gradients = random_split(count=64), []
    for batch_size, steps in ((64, 1), (16, 4), (24, 3)):  # 24 + 24 + 16: a remainder
        args = settings(batch_size=batch_size, accumulate_steps=steps, clip=0)
        model = tiny_model()
        optimizer, _ = script.start_training(model, split, args)
        monkeypatch.setattr(optimizer, "step", lambda: None)
        script.train_epoch(model, split, OneBatch(64), optimizer, 1, args)
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for other in gradients[1:]:
        for mine, reference in zip(other, gradients[0]):
            torch.testing.assert_close(mine, reference, atol=1e-6, rtol=0)


class OneBatch:
    """A sampler of one batch that holds everything."""

    def __init__(self, count):
        self.count = count

    def set_epoch(self, epoch):
        pass

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([list(range(self.count))])


def test_every_review_is_seen_once_an_epoch(monkeypatch):
    split, seen = random_split(count=50), []
    make_batch = script.make_batch

    def spy(split, rows, device):
        seen.extend(rows)
        return make_batch(split, rows, device)

    monkeypatch.setattr(script, "make_batch", spy)
    args = settings(batch_size=4, accumulate_steps=3)
    model = tiny_model()
    optimizer, sampler = script.start_training(model, split, args)
    for epoch in (1, 2):
        script.train_epoch(model, split, sampler, optimizer, epoch, args)
        assert sorted(seen) == list(range(50))
        seen.clear()


def test_model_can_overfit_one_batch():
    model, split = tiny_model(hidden_size=16), random_split(count=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    inputs, lengths, targets = script.make_batch(split, list(range(16)), "cpu")
    for _ in range(150):
        loss = F.binary_cross_entropy_with_logits(model(inputs, lengths), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert script.evaluate(model, split)["accuracy"] == 1.0


def test_evaluation_equals_the_definition():
    model, split = tiny_model(), random_split()
    logits, scores = script.read_all(model, split, model), script.evaluate(model, split)
    loss = F.binary_cross_entropy_with_logits(logits, split.targets)
    assert scores["loss"] == pytest.approx(loss.item(), abs=1e-6)
    right = (logits > 0) == (split.targets > 0.5)
    assert scores["accuracy"] == pytest.approx(right.float().mean().item())


# ---------------------------------------------------------------- the lesson on memory


def test_open_forget_gates_let_the_gradient_through():
    left = {}
    for name in script.MEMORY_CELLS:
        ru.set_seed(0)
        left[name] = script.gradient_by_distance(script.memory_cell(name, 16))[20]
    assert left["RNN"] < 1e-4 and left["LSTM, b_f = 0"] < 1e-3
    assert left["LSTM, b_f = 0"] < left["LSTM, b_f = 1"] / 10 < left["LSTM, b_f = 3"] / 10


def test_recall_batch_shows_the_symbol_only_at_the_first_step():
    inputs, targets = script.recall_batch(6, 50, torch.Generator().manual_seed(0))
    assert inputs.shape == (50, 7, 2 * script.NUM_SYMBOLS)
    assert torch.equal(inputs[:, 0].argmax(dim=1), targets)
    assert bool((inputs[:, 1:].argmax(dim=2) >= script.NUM_SYMBOLS).all())


def test_a_short_delay_is_learned_and_without_training_it_is_chance():
    assert script.learn_to_recall("LSTM, b_f = 3", delay=2, updates=120, seed=0) > 0.9
    assert script.learn_to_recall("LSTM, b_f = 3", delay=2, updates=0, seed=0) < 0.4


def test_lesson_draws_and_records(tmp_path, capsys):
    metrics = script.main(["--lesson", "memory", "--quick", "--output-dir", str(tmp_path)])
    assert (tmp_path / "memory.png").exists()
    assert set(metrics["lesson"]["recall"]) == set(script.MEMORY_CELLS)
    assert "makes it likely" not in capsys.readouterr().out  # 20 updates show nothing


# ---------------------------------------------------------------- the data


def test_corpus_gives_back_its_texts_and_the_vocabulary_of_a_plain_count():
    texts = [["a", "b", "a"], [], ["c", "a"], ["d"]]
    corpus = ru.Corpus.from_tokens(texts, list("xyxy"))
    assert [corpus[row] for row in range(4)] == texts and len(corpus) == 4
    part = corpus.select([2, 0])
    assert [part[0], part[1]] == [texts[2], texts[0]] and part.labels == ["x", "x"]
    for options in ({}, {"min_freq": 2}, {"max_size": 3}):
        expected = ru.Vocab.build([texts[2], texts[0]], **options).get_itos()
        assert part.build_vocab(**options).get_itos() == expected
    vocab = part.build_vocab()
    assert "d" not in vocab
    encoded = [text.tolist() for text in corpus.encode(vocab)]
    assert encoded == [vocab(text) or [vocab["<unk>"]] for text in texts]


@pytest.mark.parametrize("max_length", [2, 5, 6, 9, 10, 11])
def test_long_texts_keep_their_first_and_last_words(max_length):
    words = [str(number) for number in range(10)]
    corpus = ru.Corpus.from_tokens([words], ["x"])
    vocab = corpus.build_vocab()
    (encoded,) = corpus.encode(vocab, max_length)
    kept = vocab.lookup_tokens(encoded)
    head = (max_length + 1) // 2
    tail = max_length - head
    expected = words if max_length >= 10 else words[:head] + (words[-tail:] if tail else [])
    assert kept == expected == script.words_read(" ".join(words), max_length)


def test_embedded_reviews_are_many_repeatable_and_of_the_promised_length():
    pairs = script.embedded_reviews()
    assert pairs == script.embedded_reviews()
    assert len(set(pairs)) > 5000
    lengths = [len(text.split()) for text, _ in pairs]
    assert min(lengths) >= 20 and max(lengths) <= 120


def test_single_words_do_not_decide_the_embedded_reviews():
    from sklearn.feature_extraction.text import CountVectorizer

    pairs = script.embedded_reviews()
    _, accuracy = ru.linear_baselines(pairs[:5000], pairs[5000:], CountVectorizer())
    assert accuracy < 0.7


def test_splits_are_fixed_stratified_and_without_leaks(capsys):
    args = argparse.Namespace(data=None, dataset="embedded", max_examples=None)
    splits, embedded = script.load_reviews(args)
    texts = [{" ".join(part[row]) for row in range(len(part))} for part in splits.values()]
    assert embedded and not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    assert sum(map(len, texts)) == len(set(script.embedded_reviews()))
    for part in splits.values():
        assert part.labels.count("pos") == pytest.approx(len(part) / 2, abs=2)


def write_archive(path, reviews):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in reviews.items():
            member = tarfile.TarInfo(f"aclImdb/{name}.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def test_imdb_drops_what_appears_twice_and_keeps_its_tokens(tmp_path):
    folder = tmp_path / "imdb"
    folder.mkdir()
    reviews = {
        "train/neg/0_1": "Dull.", "train/neg/1_2": "So dull!", "train/neg/2_2": "So dull!",
        "train/pos/0_9": "Fine", "train/pos/1_9": "A joy<br />indeed",
        "test/neg/0_1": "Dull.", "test/pos/0_8": "Warm\x85 and wise",
    }  # fmt: skip
    write_archive(folder / "aclImdb_v1.tar.gz", reviews)
    fresh, dropped = ru.load_imdb(tmp_path)
    assert dropped == 2 and (folder / "tokens.npz").exists()
    again, dropped_again = ru.load_imdb(tmp_path)
    assert dropped_again == 2
    for parts in (fresh, again):
        train = {
            (" ".join(parts[part][row]), parts[part].labels[row])
            for part in ("train", "val")
            for row in range(len(parts[part]))
        }
        assert train == {("so dull !", "neg"), ("fine", "pos"), ("a joy indeed", "pos")}
        assert [parts["test"][row] for row in range(2)] == [["dull", "."], ["warm", "and", "wise"]]


def test_validation_reviews_are_the_last_of_each_label_so_of_other_films(tmp_path):
    (tmp_path / "imdb").mkdir()
    names = [f"train/{label}/{n:02d}_5" for label in ("pos", "neg") for n in range(20)]
    reviews = {name: name.replace("/", " ") for name in names} | {"test/pos/0_9": "test"}
    write_archive(tmp_path / "imdb" / "aclImdb_v1.tar.gz", reviews)
    parts, _ = ru.load_imdb(tmp_path)
    found = [" ".join(parts["val"][row]) for row in range(len(parts["val"]))]
    assert found == [f"train {label} {n}_5" for label in ("neg", "pos") for n in (18, 19)]
    assert len(parts["train"]) == 36


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_or_old_cache_of_tokens_is_made_again(tmp_path, content):
    folder = tmp_path / "imdb"
    folder.mkdir()
    archive = folder / "aclImdb_v1.tar.gz"
    write_archive(archive, {"train/neg/0_1": "a", "train/pos/0_9": "b", "test/pos/0_9": "c"})
    ru.load_imdb(tmp_path)
    if content is None:  # another archive under the same name
        write_archive(archive, {"train/neg/0_1": "x", "train/pos/0_9": "b", "test/pos/0_9": "c"})
        os.utime(archive, (1, 1))
    else:
        (folder / "tokens.npz").write_bytes(content)
    parts, _ = ru.load_imdb(tmp_path)
    assert parts["val"][0] == (["a"] if content is not None else ["x"])


def test_a_read_only_folder_needs_no_cache(tmp_path, monkeypatch):
    folder = tmp_path / "imdb"
    folder.mkdir()
    write_archive(
        folder / "aclImdb_v1.tar.gz",
        {"train/neg/0_1": "a", "train/pos/0_9": "b", "test/pos/0_9": "c"},
    )

    def refuse(*args, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr(np, "savez", refuse)  # root may write anywhere, so chmod proves nothing
    parts, _ = ru.load_imdb(tmp_path)
    assert len(parts["train"]) + len(parts["val"]) == 2
    assert [path.name for path in folder.iterdir()] == ["aclImdb_v1.tar.gz"]


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained run")
    flags = [*TINY, "--epochs", "4", "--patience", "0", "--save-model"]
    done = run_script(NAME, *flags, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_learns_what_single_words_cannot_tell(tmp_path):
    done = run_script(NAME, "--quick", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    figures = {"word_by_word", "confusion_matrix", "training_curves"}
    assert {path.stem for path in output.glob("*.png")} == figures
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is True and metrics["tutorial"] == NAME
    accuracy, baselines = metrics["test"]["accuracy"], metrics["baselines"]
    assert accuracy > baselines["majority label"] + 0.1
    assert accuracy > baselines["averaged embeddings"] + 0.1
    assert accuracy > metrics["test"]["accuracy_shuffled_words"] + 0.1
    assert set(baselines) == {"majority label", "TF-IDF logistic regression", "averaged embeddings"}
    assert not (tmp_path / "models").exists()


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--epochs", "4", "--patience", "0", "--save-model"]
    command += ["--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt, match=r"m\.last\.pt.*--resume"):
            script.main(command)
    resumed = script.main([*command, "--resume"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    weights = [
        ru.load_checkpoint(path, NAME)["weights"]
        for path in (tmp_path / "m.pt", folder / "models" / f"{NAME}.pt")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_checkpoint_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    path = f"models/{NAME}.pt"
    done = run_script(NAME, "--eval-only", "--path", path, "--no-plots", cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "outputs" / NAME / "eval" / "metrics.json").read_text())
    assert evaluated["test"] == metrics["test"]
    assert "hidden-size=8" in done.stdout


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    folder, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    flags = ["--predict", "The plot is not dull.", "--predict", "xyzzy", "--path", "mine.pt"]
    done = run_script(NAME, *flags, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "dull 0." in done.stdout and "[xyzzy] 0." in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


def test_predict_reads_standard_input(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr("sys.stdin", io.StringIO("the plot is fresh\n\nthe music is stale\n"))
    answers = script.main(["--predict", "-", "--path", str(folder / "models" / f"{NAME}.pt")])
    assert list(answers) == ["the plot is fresh", "the music is stale"]
    assert all(0 < value < 1 for value in answers.values())


@pytest.mark.parametrize("text", ["one", "word " * 10_000, "xyzzy plugh", "", '"'])
def test_reviews_of_any_length_are_answered(trained, text, capsys):
    folder, _ = trained
    model, vocab, labels, best = script.load_model(folder / "models" / f"{NAME}.pt", "cpu")
    words = script.words_read(text, best["config"]["max_length"])
    answer = script.print_prediction(model, vocab, labels, text, best["config"]["max_length"])
    assert 0 < answer < 1 and 1 <= len(words) <= best["config"]["max_length"]


def test_vocabulary_is_built_from_train_only(tmp_path, capsys):
    path = tmp_path / "own.csv"
    rows = [f"text number{n} word{n},{'good' if n % 2 else 'bad'}" for n in range(40)]
    path.write_text("\n".join(["text,label", *rows, *[r.replace("text", "texts") for r in rows]]))
    args = argparse.Namespace(data=str(path), dataset="auto", max_examples=None)
    splits, _ = script.load_reviews(args)
    vocab = splits["train"].build_vocab()
    train = {word for row in range(len(splits["train"])) for word in splits["train"][row]}
    assert set(vocab.get_itos()) == train | {"<pad>", "<unk>"}
    held_out = {word for row in range(len(splits["test"])) for word in splits["test"][row]}
    assert held_out - train


def test_own_data_in_a_table(tmp_path):
    path = tmp_path / "my reviews.tsv"
    texts = [f"{w} {n}" for n in range(10) for w in ("lovely", "broken")]
    rows = [f"{text}\t{'happy' if 'lovely' in text else 'unhappy'}" for text in texts]
    path.write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "2", "--hidden-size", "4"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["embedded"] is False and metrics["dataset"] == str(path)
    assert (tmp_path / "out" / "word_by_word.png").exists()


def test_padded_reading_is_compared_with_the_right_one(tmp_path, capsys):
    metrics = script.main([*TINY, "--read-state", "padded", "--output-dir", str(tmp_path)])
    assert "the same, read at each review's own end" in metrics["baselines"]
    assert metrics["config"]["pooling"] == "last"
    assert "Read after the padding" in capsys.readouterr().out


BAD_TABLES = {
    "no_column.csv": ("text,mood\na,b\n", ["line 1", "label"]),
    "one_class.csv": ("text,label\na,x\nb,x\n", ["only the label"]),
    "empty_text.csv": ("text,label\na,x\n,y\n", ["line 3", "text is empty"]),
    "rare.csv": ("text,label\na,x\nb,x\nc,x\nd,y\n", ["line 5", "'y' has 1 distinct texts"]),
    "three.csv": ("text,label\na,x\nb,y\nc,z\n", ["line 4", "'z'", "third label"]),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_table_names_file_and_line(tmp_path, name):
    content, fragments = BAD_TABLES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ru.UserError) as caught:
        script.main(["--data", str(tmp_path / name), "--output-dir", str(tmp_path / "out")])
    for fragment in [name, *fragments]:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        (["--dataset", "imdb", "--data-dir", "empty"], ["aclImdb_v1.tar.gz", "--offline"]),
        (["--dataset", "imdb", "--data-dir", "bad"], ["aclImdb_v1.tar.gz", "damaged"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--predict", "x", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
        (["--predict", "x", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--from-scratch", "--cell", "gru"], ["--from-scratch"]),
        (["--quick", "--resume"], [".last.pt", "nothing to resume"]),
        (["--lesson", "forgetting"], ["--lesson", "memory"]),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "imdb").mkdir(parents=True)
    (tmp_path / "bad" / "imdb" / "aclImdb_v1.tar.gz").write_bytes(b"\x1f\x8b\x08 no archive")
    ru.save_checkpoint(tmp_path / "other.pt", "04_simple_rnn", vocab=[])
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, vocab=["<pad>", "<unk>"], labels=["a"])
    assert_one_line_error(run_here(script, flags, capsys), *fragments)


def test_help_imports_nothing_heavy():
    assert_help_imports_nothing_heavy(NAME, "--lesson")


def test_real_reviews_beat_the_majority_after_one_short_epoch(tmp_path):
    folder = Path(os.environ.get("RNN_DATA_DIR", "data"))
    if not (folder / "imdb" / "aclImdb_v1.tar.gz").is_file():
        pytest.skip("the imdb data set is not here")
    metrics = script.main(
        ["--dataset", "imdb", "--epochs", "3", "--hidden-size", "16", "--max-examples", "1000",
         "--max-length", "60", "--batch-size", "16", "--lr", "0.01", "--input-dropout", "0",
         "--threads", "1", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["embedded"] is False and metrics["dataset"] == "imdb"
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority label"] + 0.1


def test_own_texts_of_the_same_words_are_one_text(tmp_path):
    path = tmp_path / "phones.csv"
    rows = [f"Great phone{'!' * n},pos\nPoor phone{' !' * n},neg\nmodel {n},pos\nno {n},neg"
            for n in range(1, 9)]  # fmt: skip
    rows += ["great  phone !,pos", "GREAT phone!,pos"]
    path.write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    args = script.parse_args(["--data", str(path)])
    parts, _ = script.load_reviews(args)
    texts = [tuple(corpus[row]) for corpus in parts.values() for row in range(len(corpus))]
    assert len(texts) == len(set(texts)) == 32


def test_words_not_separated_by_spaces_are_one_line(tmp_path, capsys):
    path = tmp_path / "unspaced.csv"
    rows = [f"w{n}a{n},{'pos' if n % 2 else 'neg'}" for n in range(30)]
    path.write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    done = run_here(script, ["--data", str(path), "--output-dir", str(tmp_path)], capsys)
    assert_one_line_error(done, "unspaced.csv", "no word appears twice", "spaces")


def test_rare_words_do_not_stop_the_word_counts():
    words = [f"w{n}" for n in range(1200)]
    corpus = ru.Corpus.from_tokens([[word] for word in words], ["pos", "neg"] * 600)
    scores = script.word_count_baselines({"train": corpus, "test": corpus})
    assert scores["majority label"] == 0.5


def test_shuffling_leaves_padding_at_the_end():
    text = torch.tensor([5, 6, 7, 8, 9, 0, 0, 0])
    split = script.Split(None, [text], torch.tensor([1.0]))
    (shuffled,) = script.shuffle_words(split).inputs
    assert sorted(shuffled[:5].tolist()) == [5, 6, 7, 8, 9] and not shuffled[5:].any()


def test_lesson_leaves_the_metrics_of_a_training_run_alone():
    assert script.parse_args(["--lesson", "memory"]).output_dir.endswith("lesson")


def test_underscores_of_the_text_are_printed(capsys):
    vocab = ru.Vocab(["<pad>", "<unk>", "a", "good", "film"])
    ru.set_seed(0)
    model = script.ReviewClassifier(len(vocab), script.parse_args(["--quick"]))
    script.print_prediction(model, vocab, ["neg", "pos"], "a _really_ good film", 50)
    assert "[_really_] 0." in capsys.readouterr().out
