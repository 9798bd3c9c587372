"""08: padding and beams change nothing they must not, no answer sees its target, BLEU is BLEU."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import shutil

import rnn_utils as ru

import pytest
import torch
from helpers import (
    InterruptedAfter,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_here,
    run_script,
    same_but_for_times,
    score_of,
    until_eos,
)

script = load_script("08_seq2seq_basic")
NAME = "08_seq2seq_basic"
TINY = ["--quick", "--no-plots", "--max-examples", "400", "--hidden-size", "16"]
VOCAB = ru.Vocab([*script.SPECIALS, *"0123456789"])


def tiny_model(**changes):
    ru.set_seed(0)
    settings = {"embedding_size": 8, "hidden_size": 12, "dropout": 0.0, **changes}
    return script.Seq2Seq(len(VOCAB), len(VOCAB), script.argparse.Namespace(**settings)).eval()


def digits_split(count=24, longest=7, task="copy"):
    pairs = script.generate_pairs(task, count, range(1, longest + 1))
    return ru.encode_pairs(ru.tokenise_pairs(pairs, tuple), (VOCAB, VOCAB))


# ---------------------------------------------------------------- the model


def test_decoder_starts_where_the_encoder_ends_and_is_the_librarys_lstm():
    model, split = tiny_model(), digits_split(1)
    logits = model(split.sources, split.source_lengths, split.targets)
    _, (h_t, c_t) = model.encoder(model.source_embedding(split.sources))
    cell = torch.nn.LSTMCell(8, 12)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(getattr(model.decoder, name + "_l0"))
    h_t, c_t = h_t[0], c_t[0]
    for t in range(logits.shape[1]):
        h_t, c_t = cell(model.target_embedding(split.targets[:, t]), (h_t, c_t))
        torch.testing.assert_close(model.output(h_t), logits[:, t], atol=1e-6, rtol=0)


def test_extra_padding_changes_neither_logits_nor_loss_nor_answers():
    model, split = tiny_model(), digits_split()
    wider = split._replace(
        sources=torch.nn.functional.pad(split.sources, (0, 5)),
        targets=torch.nn.functional.pad(split.targets, (0, 4)),
    )
    rows = list(range(len(split.pairs)))  # of several lengths: the packed path
    assert len(set(split.source_lengths.tolist())) > 3
    T = split.targets.shape[1] - 1
    logits = model(split.sources, split.source_lengths, split.targets)
    padded = model(wider.sources, wider.source_lengths, wider.targets)
    torch.testing.assert_close(padded[:, :T], logits, atol=1e-6, rtol=0)
    (loss, count), (wide_loss, wide_count) = (
        script.batch_loss(model, s, rows) for s in (split, wider)
    )
    assert wide_count == count == int((split.target_lengths - 1).sum())
    assert wide_loss.item() == pytest.approx(loss.item(), rel=1e-6)
    for beam_size in (1, 3):
        assert script.answers(model, split, VOCAB, 9, beam_size) == script.answers(
            model, wider, VOCAB, 9, beam_size
        )


def test_a_sentence_is_encoded_the_same_alone_and_among_longer_ones():
    model, split = tiny_model(), digits_split()
    together = model.encode(split.sources, split.source_lengths)
    for row in (0, 5, 9):
        length = split.source_lengths[row : row + 1]
        alone = model.encode(split.sources[row : row + 1, : int(length)], length)
        for one, many in zip(alone, together):
            torch.testing.assert_close(one[:, 0], many[:, row], atol=1e-6, rtol=0)


def test_loss_does_not_depend_on_the_batch():
    model, split = tiny_model(), digits_split()
    one_by_one = sum(
        script.batch_loss(model, split, [r])[0].item() for r in range(len(split.pairs))
    )
    tokens = int((split.target_lengths - 1).sum())
    assert script.evaluate(model, split, VOCAB, script.parse_args([]))[0]["loss"] == pytest.approx(
        one_by_one / tokens, rel=1e-5
    )


def test_step_by_step_with_ratio_1_equals_the_whole_target_at_once():
    model, split = tiny_model(), digits_split()
    parts = (split.sources, split.source_lengths, split.targets)
    torch.testing.assert_close(
        model(*parts, teacher_forcing=1.0 - 1e-12), model(*parts), atol=1e-6, rtol=0
    )


def test_with_ratio_0_training_reads_no_target_token_and_still_runs_to_its_end():
    model, split = tiny_model(), digits_split()
    with torch.no_grad():
        model.output.bias[script.EOS] = 100.0  # it writes <eos> at once, and for ever
    other = split.targets.clone()
    other[:, 1:] = other[:, 1:].clamp(min=4).flip(0)
    logits = [
        model(split.sources, split.source_lengths, targets, teacher_forcing=0.0)
        for targets in (split.targets, other)
    ]
    assert logits[0].shape[1] == split.targets.shape[1] - 1  # never stops a sequence early
    torch.testing.assert_close(logits[0], logits[1], atol=0, rtol=0)


def test_evaluation_does_not_look_at_the_target():
    model, split = tiny_model(), digits_split()
    blind = split._replace(targets=torch.full_like(split.targets, 5))
    for beam_size in (1, 4):
        assert script.answers(model, blind, VOCAB, 8, beam_size) == script.answers(
            model, split, VOCAB, 8, beam_size
        )


def test_model_can_overfit_one_batch_and_decodes_what_it_has_learned():
    model, split = tiny_model(hidden_size=48), digits_split(12, 4, "reverse")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rows = list(range(len(split.pairs)))
    for _ in range(120):
        loss, count = script.batch_loss(model, split, rows)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()
    wanted = [target for _, target in split.pairs]
    assert script.answers(model, split, VOCAB, 10) == wanted
    assert script.answers(model, split, VOCAB, 10, beam_size=3) == wanted


# ---------------------------------------------------------------- decoding


def sharp_model():
    """Untrained, but with opinions: answers of different lengths, and beams that differ."""
    model = tiny_model()
    with torch.no_grad():
        model.output.weight.mul_(12)
        model.output.bias[[script.PAD, script.UNK, script.BOS]] = -1e4
    return model


def test_beam_size_1_equals_greedy():
    model, split = sharp_model(), digits_split(60)
    parts = (split.sources, split.source_lengths, 15)
    one = script.greedy(model, *parts)
    two, _ = script.beam_search(model, *parts, beam_size=1)
    cut = [[until_eos(row, VOCAB) for row in tokens.tolist()] for tokens in (one, two)]
    assert cut[0] == cut[1]
    lengths = {len(words) for words in cut[0]}
    assert len(lengths) > 3 and min(lengths) < 14  # some end early, not all at once


def test_beam_search_scores_what_it_returns_and_beats_greedy_on_average():
    model, split = sharp_model(), digits_split(60)
    parts = (split.sources, split.source_lengths, 15)
    _, greedy_scores = script.beam_search(model, *parts, beam_size=1)
    means = [greedy_scores.mean().item()]
    for beam_size in (2, 5, 30):  # 30: more beams than the vocabulary has tokens
        tokens, scores = script.beam_search(model, *parts, beam_size)
        for row in range(0, len(split.pairs), 7):
            line = tokens[row].tolist()
            words = until_eos(line, VOCAB)
            expected = score_of(model, split, row, words, script.EOS in line, VOCAB)
            assert scores[row].item() == pytest.approx(expected, abs=1e-5)
        means.append(scores.mean().item())
    assert means[1] > means[0] and means[2] > means[0] and means[3] >= means[1]


def test_a_wide_beam_finds_the_best_of_all_short_answers():
    model, split = sharp_model(), digits_split(6, 3)
    real = [*range(4, 14)]
    _, scores = script.beam_search(model, split.sources, split.source_lengths, 2, 200)
    for row in range(len(split.pairs)):
        answers = [((), True)] + [((a,), True) for a in real]
        answers += [((a, b), False) for a in real for b in real]
        best = max(
            score_of(model, split, row, VOCAB.lookup_tokens(words), finished, VOCAB)
            for words, finished in answers
        )
        assert scores[row].item() == pytest.approx(best, abs=1e-5)


def test_answers_come_back_in_the_order_of_the_split():
    model, split = sharp_model(), digits_split(30)
    alone = [
        script.answers(model, ru.encode_pairs([pair], (VOCAB, VOCAB)), VOCAB, 15)[0]
        for pair in split.pairs
    ]
    assert script.answers(model, split, VOCAB, 15) == alone


@pytest.mark.parametrize("length", [1, 200])
def test_sources_of_one_word_and_of_200(length):
    model = tiny_model()
    split = ru.encode_pairs([(("7",) * length, ())], (VOCAB, VOCAB))
    (answer,) = script.answers(model, split, VOCAB, 20)
    assert len(answer) <= 20


# ---------------------------------------------------------------- the measures


def random_sentences(seed, count):
    rng = random.Random(seed)
    return [tuple(rng.choices("abcdef", k=rng.randint(1, 12))) for _ in range(count)]


def test_bleu_equals_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    for seed in range(6):
        references = random_sentences(seed, 20)
        outputs = [
            tuple(w for w in reference if random.Random(f"{seed}{i}{w}").random() < 0.8) or ("x",)
            for i, reference in enumerate(references)
        ]
        outputs[0] = (*references[0], *references[0])  # too long, n-grams counted too often
        theirs = sacrebleu.corpus_bleu(
            [" ".join(o) for o in outputs], [[" ".join(r) for r in references]],
            tokenize="none", smooth_method="none", force=True,
        ).score  # fmt: skip
        assert theirs > 5
        assert ru.bleu(outputs, references) == pytest.approx(theirs, abs=1e-6)


def test_bleu_by_hand():
    # 5 words of which 4 are right, 2 of 4 pairs, 1 of 3 triples, 0 of 2 quadruples
    assert ru.bleu([tuple("abcxd")], [tuple("abcde")]) == 0.0
    assert ru.bleu([tuple("abcde")], [tuple("abcde")]) == pytest.approx(100)
    # all right, but 4 words for 5: exp(1 - 5/4)
    assert ru.bleu([tuple("abcd")], [tuple("abcde")]) == pytest.approx(100 * math.exp(-0.25))
    # clipping: of "a a a a a" only one "a" counts
    assert ru.bleu([tuple("aaaaa")], [tuple("abcde")]) == 0.0
    assert ru.bleu([()], [tuple("abcde")]) == 0.0


def test_sequence_scores_count_wanted_and_extra_tokens():
    outputs, wanted = [("1", "2", "3"), ("1",)], [("1", "2"), ("1",)]
    scores = {"token_accuracy": 1.0, "exact_match": 0.5}
    assert ru.sequence_scores(outputs, wanted, "reverse") == scores
    scores["bleu"] = ru.bleu(outputs, wanted)
    assert ru.sequence_scores(outputs, wanted, "translate") == scores
    nothing = ru.sequence_scores([()], [("1", "2")], "reverse")
    assert nothing == {"token_accuracy": 0.0, "exact_match": 0.0}


def test_scores_by_length_groups_and_leaves_out_small_groups():
    pairs = [(tuple("a" * n), ("x",)) for n in (1, 4, 5, 8, 8, 9)]
    outputs = [("x",), ("y",), ("x",), ("x",), ("y",), ("x",)]
    assert ru.scores_by_length(pairs, outputs, "reverse")[8] == 0.5
    grouped = ru.scores_by_length(pairs, outputs, "reverse", width=4, fewest=2)
    assert grouped == {2: 0.5, 6: pytest.approx(2 / 3)}


def test_translation_memory_finds_the_nearest_source():
    train = [(("a", "red", "dog"), ("1",)), (("a", "cat"), ("2",)), (("the", "cow"), ("3",))]
    assert ru.translation_memory(train, [("the", "red", "dog"), ("one", "cow")]) == [("1",), ("3",)]


# ---------------------------------------------------------------- the data


def test_right_answers():
    assert script.right_answer("1203", "reverse") == "3021"
    assert script.right_answer("1203", "copy") == "1203"
    assert script.right_answer("95+7", "add") == "102"


@pytest.mark.parametrize("task", ["reverse", "copy", "add"])
def test_no_sequence_is_in_two_splits_in_any_epoch(task):
    args = script.parse_args(["--task", task, "--digits", "2", "--max-examples", "3000"])
    splits, _ = script.load_splits(args)
    vocabs = [ru.Vocab.build(side, script.SPECIALS) for side in zip(*splits["train"])]
    data = {part: ru.encode_pairs(pairs, vocabs) for part, pairs in splits.items()}
    sources = {part: {source for source, _ in pairs} for part, pairs in splits.items()}
    assert not sources["val"] & sources["test"]
    held_out = sources["val"] | sources["test"]
    assert held_out and not sources["train"] & held_out
    epochs = [script.pairs_of_epoch(epoch, data, vocabs, args) for epoch in (1, 2, 2)]
    for split in epochs:
        assert split.pairs and not {source for source, _ in split.pairs} & held_out
    assert epochs[0].pairs != epochs[1].pairs and epochs[1].pairs == epochs[2].pairs
    for source, target in [*splits["val"], *epochs[0].pairs]:
        assert script.right_answer("".join(source), task) == "".join(target)


def test_lengths_beyond_those_of_training_are_scored_too():
    args = script.parse_args(["--digits", "5"])
    split = digits_split(60, 5)
    outputs = [target for _, target in split.pairs]
    curve = script.by_length(tiny_model(), split, outputs, (VOCAB, VOCAB), args)
    assert set(curve) == {1, 2, 3, 4, 5, 6, 7}
    assert all((value == 1) == (length <= 5) for length, value in curve.items())


def test_decoder_input_and_target_are_shifted_by_one():
    split = ru.encode_pairs([(("4", "2"), ("2", "4")), (("7",), ("7",))], (VOCAB, VOCAB))
    read, wanted = split.targets[:, :-1], split.targets[:, 1:]
    assert VOCAB.lookup_tokens(read[0]) == ["<bos>", "2", "4"]
    assert VOCAB.lookup_tokens(wanted[0]) == ["2", "4", "<eos>"]
    assert VOCAB.lookup_tokens(wanted[1]) == ["7", "<eos>", "<pad>"]


def test_phrase_book_has_no_source_twice_and_swaps_noun_and_adjective():
    pairs = dict(script.phrase_book())
    assert len(pairs) == len(script.phrase_book()) == 1440
    assert pairs["a white cow sleeps."] == "une vache blanche dort."
    assert pairs["the boy runs on the beach at night."] == "le garçon court sur la plage la nuit."


def test_vocabulary_is_from_the_training_pairs_only(tmp_path, monkeypatch):
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for stem, word in (("train", "cat"), ("val", "horse"), ("test_2016_flickr", "goose")):
        for language in ("en", "fr"):
            with gzip.open(folder / f"{stem}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(f"a {word} .\n" * 10)
    seen = {}
    monkeypatch.setattr(
        script, "introduce", lambda model, data, vocabs, *rest: seen.update(vocabs=vocabs)
    )
    script.main(
        ["--task", "translate", "--dataset", "multi30k", "--data-dir", str(tmp_path), "--epochs",
         "1", "--hidden-size", "4", "--no-plots", "--output-dir", str(tmp_path / "out")]
    )  # fmt: skip
    assert seen["vocabs"][0].get_itos() == [*script.SPECIALS, ".", "a", "cat"]


def test_multi30k_where_it_is():
    folder = os.path.join(os.environ.get("RNN_DATA_DIR", "data"), "multi30k")
    if not os.path.isfile(os.path.join(folder, "train.en.gz")):
        pytest.skip("multi30k is not here")
    splits = ru.load_multi30k()
    assert {part: len(rows) for part, rows in splits.items()} == {
        "train": 29_000, "val": 1_014, "test": 1_000
    }  # fmt: skip
    assert all(english and french for rows in splits.values() for english, french in rows)


def test_damaged_multi30k_is_one_line(tmp_path):
    (tmp_path / "multi30k").mkdir()
    (tmp_path / "multi30k" / "train.en.gz").write_bytes(b"not gzip")
    with pytest.raises(ru.UserError, match=r"train\.en\.gz: damaged"):
        ru.load_multi30k(tmp_path)


GOOD = "".join(f"line {n}.\tligne {n}.\n" for n in range(12))


def test_read_pairs_ignores_further_columns_and_blank_lines(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("go on!\tcontinue !\tCC-BY\n\n" + GOOD, encoding="utf-8")
    pairs = ru.read_pairs(path)
    assert pairs[0] == ("go on!", "continue !") and len(pairs) == 13


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (GOOD + "no tab here\n", ["line 13", "no tab"]),
        ("one column\n" * 12, ["line 1", "no tab"]),
        (GOOD + "source\t\n", ["line 13", "the target is empty"]),
        (GOOD + "\ttarget\n", ["line 13", "the source is empty"]),
        ("a\tb\n", ["line 2", "1 pairs"]),
        ("\n\n", ["empty"]),
        (GOOD + '"\tguillemet\n', ["no word", "guillemet"]),
    ],
)
def test_bad_pairs_are_one_line(tmp_path, text, fragments, capsys):
    path = tmp_path / "p.tsv"
    path.write_text(text, encoding="utf-8")
    done = run_here(
        script, ["--data", str(path), "--quick", "--output-dir", str(tmp_path / "out")], capsys
    )
    assert_one_line_error(done, *fragments)


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")
    done = run_script(NAME, *TINY, "--save-model", cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text())


def test_quick_run_makes_figures_and_beats_the_baselines(tmp_path):
    done = run_script(NAME, "--quick", "--predict", "123", "12a", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    output = tmp_path / "outputs" / NAME
    assert {path.stem for path in output.glob("*.png")} == {
        "by_length", "encoder_states", "training_curves"
    }  # fmt: skip
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["embedded"] is False and metrics["dataset"] == "reverse"
    assert metrics["test"]["exact_match"] > max(metrics["baselines"].values())
    assert "never seen in training: a" in done.stdout
    assert not (tmp_path / "models").exists()


def test_translation_of_the_phrase_book_beats_the_translation_memory(tmp_path):
    metrics = script.main(
        ["--quick", "--task", "translate", "--epochs", "10", "--beam-size", "3", "--lr", "0.01",
         "--hidden-size", "64", "--dropout", "0", "--no-plots", "--output-dir", str(tmp_path)]
    )  # fmt: skip
    assert metrics["embedded"] is True
    assert metrics["test"]["bleu"] > max(metrics["baselines"].values())
    assert set(metrics["test"]["beam"]) == {"token_accuracy", "exact_match", "bleu"}


def test_same_seed_same_metrics(trained, tmp_path):
    again = script.main([*TINY, "--output-dir", str(tmp_path)])
    assert same_but_for_times(again) == same_but_for_times(trained[1])


def test_resumed_run_equals_one_straight_bit_for_bit(trained, tmp_path, monkeypatch):
    folder, straight = trained
    command = [*TINY, "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
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


def test_resumed_run_flips_the_same_coins_of_teacher_forcing(tmp_path, monkeypatch):
    def command(name):
        flags = ["--teacher-forcing", "0.5", "--save-model", "--path", str(tmp_path / name)]
        return [*TINY, *flags, "--output-dir", str(tmp_path)]

    straight = script.main(command("a.pt"))
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt):
            script.main(command("b.pt"))
    resumed = script.main([*command("b.pt"), "--resume"])
    assert same_but_for_times(resumed) == same_but_for_times(straight)


def test_eval_only_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics = trained
    path = f"models/{NAME}.pt"
    flags = ["--eval-only", "--path", path, "--output-dir", "evaluated", "--beam-size", "2"]
    done = run_script(NAME, *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated["test"].pop("beam")  # asked for now, not when it was trained
    assert evaluated["test"] == metrics["test"]
    assert (folder / "evaluated" / "by_length.png").exists()


def test_predict_needs_the_checkpoint_alone(trained, tmp_path):
    shutil.copy(trained[0] / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    done = run_script(NAME, "--predict", "123", "45", "--path", "mine.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "123\n  -> " in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]


@pytest.mark.parametrize(("what", "count"), [("capacity", 4), ("forcing", 3)])
def test_compare_trains_each_and_draws(tmp_path, what, count):
    flags = [flag for flag in TINY if flag != "--no-plots"] + ["--epochs", "1", "--compare", what]
    flags += ["--max-examples", "100"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert len(metrics["compare"]) == count
    assert (tmp_path / f"{what}.png").exists()


def test_ctrl_c_in_a_comparison_does_not_say_that_nothing_was_saved(tmp_path, monkeypatch):
    # The first two calls are the epoch and the test of the model that is saved.
    monkeypatch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
    flags = [*TINY, "--epochs", "1", "--compare", "capacity", "--max-examples", "100"]
    flags += ["--save-model", "--path", str(tmp_path / "m.pt"), "--output-dir", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt, match="comparison is lost") as stop:
        script.main(flags)
    assert "Nothing was saved" not in str(stop.value) and (tmp_path / "m.pt").exists()


def test_principal_components_equal_scikit_learns_up_to_their_signs():
    from sklearn.decomposition import PCA

    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    theirs = torch.tensor(PCA(2).fit_transform(states.numpy()))
    ours = torch.tensor(script.principal_components(states))
    torch.testing.assert_close(ours.abs(), theirs.abs(), atol=1e-4, rtol=0)
    assert script.principal_components(states[:1]).shape == (1, 2)  # of the smallest test split


def test_ten_pairs_are_enough_to_run_and_draw(tmp_path):
    path = tmp_path / "ten.tsv"
    path.write_text("\n".join(GOOD.splitlines()[:10]), encoding="utf-8")
    script.main(
        ["--data", str(path), "--epochs", "1", "--hidden-size", "4", "--output-dir", str(tmp_path)]
    )
    assert (tmp_path / "encoder_states.png").exists() and (tmp_path / "by_length.png").exists()


def test_own_pairs(tmp_path, capsys):
    path = tmp_path / "paires à moi.tsv"
    words = {"one": "un", "two": "deux", "three": "trois", "four": "quatre", "five": "cinq"}
    rows = [f"{a} {b}.\t{words[a]} {words[b]}.\tx" for a in words for b in words]
    path.write_text("\n".join(rows), encoding="utf-8")
    flags = ["--data", str(path), "--epochs", "2", "--hidden-size", "8", "--no-plots"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path / "out")])
    assert metrics["dataset"] == str(path) and metrics["embedded"] is False
    assert "bleu" in metrics["test"] and "<eos>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--data", "nowhere.tsv"], ["nowhere.tsv", "no such file"]),
        (["--data", "x.tsv", "--task", "copy"], ["--data", "--task copy"]),
        (["--dataset", "multi30k", "--task", "add"], ["multi30k", "--task add"]),
        (["--digits", "49"], ["--digits 49", "--max-length 51"]),
        (["--predict", ""], ["--predict", "nothing"]),
        (["--task", "translate", "--dataset", "multi30k", "--data-dir", "empty"],
         ["train.en.gz", "--offline"]),
        (["--eval-only", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--predict", "12", "--path", "broken.pt"], ["broken.pt", "damaged"]),
        (["--predict", "12", "--path", "other.pt"], ["other.pt", "05_lstm_sentiment"]),
        (["--predict", "12", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--quick", "--resume"], ["nothing to resume", "--save-model"]),
        (["--eval-only", "--compare", "capacity"], ["--compare", "--eval-only"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_line_and_status_2(tmp_path, flags, fragments, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 no")
    ru.save_checkpoint(tmp_path / "other.pt", "05_lstm_sentiment", vocab=[])
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, vocabs=[["<unk>"], ["<unk>"]])
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run_here(script, flags, capsys), *fragments)
    after = {path.name for path in tmp_path.iterdir()} - {"outputs", "models"}
    assert sorted(after) == before


def test_eval_only_of_another_task_than_the_checkpoint_s_is_an_error(trained, tmp_path, capsys):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    flags = ["--eval-only", "--path", path, "--task", "add", "--output-dir", str(tmp_path)]
    done = run_here(script, flags, capsys)
    assert_one_line_error(done, f"{NAME}.pt", "trained for reverse only")


def test_checkpoint_of_a_toy_task_does_not_translate(trained, tmp_path, capsys):
    path = str(trained[0] / "models" / f"{NAME}.pt")
    output = ["--output-dir", str(tmp_path)]
    done = run_here(script, ["--eval-only", "--path", path, "--data", "x.tsv", *output], capsys)
    assert_one_line_error(done, "--data", "cannot translate")


def test_resuming_with_another_configuration_is_an_error(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    done = run_here(script, [*TINY, "--teacher-forcing", "0.5", "--resume"], capsys)
    assert_one_line_error(done, "--teacher-forcing 1.0", "0.5")


def test_translate_falls_back_with_a_warning_nobody_can_miss(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    metrics = script.main(
        ["--task", "translate", "--epochs", "1", "--max-examples", "100", "--hidden-size", "8",
         "--no-plots", "--data-dir", "nothing"]
    )  # fmt: skip
    assert metrics["embedded"] is True
    assert "EMBEDDED" in capsys.readouterr().err


def test_help_survives_a_cp1252_console_and_imports_nothing_heavy(tmp_path):
    done = run_script(NAME, "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and "--beam-size" in done.stdout
    assert_help_imports_nothing_heavy(NAME, "--beam-size")
