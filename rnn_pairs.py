"""rnn_pairs: (source, target) pairs of token sequences, for the chapters that translate.

`about` is what a checkpoint says of a model besides its weights: {"config", "sizes", "vocabs",
"levels"}, the last two one for sources and one for targets.  `decode` stands for a chapter's own
way to write answers: (B, S) sources of one length and their lengths (B,) go in, and (B, T) tokens
and the log-probability (B,) of each whole answer come out.

Shapes are written with N pairs, B batch, S source tokens, T target tokens.
"""

from __future__ import annotations

import collections
import functools
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

import rnn_baselines as rb
import rnn_data as rd
import rnn_texts as rt
import rnn_utils as ru


# %% ---- 1. Data --------------------------------------------------------------------
def tokenise(text: str, level: str) -> tuple[str, ...]:
    """Cut a text into "words" (see basic_english) or "characters", lower-case either way."""
    if level == "words":
        return tuple(ru.basic_english(text))
    return tuple(" ".join(text.lower().split()))


def split_pairs(pairs: Sequence[tuple], max_held_out: int = 2000) -> dict[str, list[tuple]]:
    """Split distinct (source, target) pairs into train, val and test.

    A tenth of the sources, at most `max_held_out`, is for val, and as many for test.  Pairs
    with the same source stay together: no source is in two splits.
    """
    targets_of = collections.defaultdict(list)
    for source, target in sorted(set(pairs)):
        targets_of[source].append(target)
    sources = list(targets_of)
    random.Random(0).shuffle(sources)
    held_out = max(1, min(len(sources) // 10, max_held_out))
    splits: dict[str, list[tuple]] = {"train": [], "val": [], "test": []}
    for place, source in enumerate(sources):
        part = ["test", "val", "train"][min(place // held_out, 2)]
        splits[part] += [(source, target) for target in targets_of[source]]
    return splits


LONGEST_TEXT = 500  # tokens; all pairs are padded to the longest, so one long line costs memory


def sentence_pairs(
    paths, columns=None, asked="auto", data_dir=None, offline=False, max_examples=None
) -> tuple:
    """Load pairs of texts: the user's `paths` (see read_pairs), else multi30k or its stand-in.

    Returns (splits, levels, source, embedded).  splits: {"train", "val", "test": [(source,
    target), ...]}, tuples of tokens, no source in two of them.  levels: "words" or "characters"
    for source and target.  `max_examples` bounds train.
    """
    if paths:
        parts = {"train": rd.read_pairs(paths, columns)}
        name = " ".join(paths)
        embedded = False
    else:
        parts, name, embedded = rd.load_dataset("multi30k", asked, data_dir, offline)
    levels = [rd.token_level([pair[side] for pair in parts["train"]]) for side in (0, 1)]
    splits = {}
    for part, pairs in parts.items():
        tokens = [(tokenise(a, levels[0]), tokenise(b, levels[1])) for a, b in pairs]
        splits[part] = [pair for pair in tokens if max(map(len, pair)) <= LONGEST_TEXT]
        left_out = len(tokens) - len(splits[part])
        if left_out:
            print(f"{'data':<10}{left_out:,} pairs of more than {LONGEST_TEXT} tokens left out")
    if "test" not in splits:
        count = len({source for source, _ in splits["train"]})
        if count < 10:
            what = f"{len(splits['train']):,} pairs have only {count} different sources"
            raise ru.UserError(
                f"{name}: {what}; at least 10 are needed to train, validate and test"
            )
        splits = split_pairs(splits["train"])
    splits["train"] = splits["train"][:max_examples]
    return splits, levels, name, embedded


# %% ---- 2. Tensors -----------------------------------------------------------------
class PairSplit(NamedTuple):
    """Sources and targets as tensors, with the token tuples that they were made from."""

    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]
    sources: torch.Tensor  # (N, S) indices, padded with 0 at the end
    source_lengths: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N, T + 1) indices, <bos> first and <eos> last, padded with 0
    target_lengths: torch.Tensor  # (N,) counting both

    def batch(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sources (B, S), lengths (B,) and targets (B, T + 1) of some rows, up to the longest."""
        lengths = self.source_lengths[rows]
        sources = self.sources[rows, : lengths.max()]
        return sources, lengths, self.targets[rows, : self.target_lengths[rows].max()]


def encode_pairs(
    pairs: Sequence[tuple], source_vocab: ru.Vocab, target_vocab: ru.Vocab, device="cpu"
) -> PairSplit:
    """Numericalise (source, target) token tuples; <bos> and <eos> are put around each target."""
    sources, source_lengths = ru.pad_batch([source_vocab(source) for source, _ in pairs])
    wrapped = [[ru.BOS, *target_vocab(target), ru.EOS] for _, target in pairs]
    targets, target_lengths = ru.pad_batch(wrapped)
    return PairSplit(
        list(pairs), sources.to(device), source_lengths.to(device), targets.to(device),
        target_lengths.to(device),
    )  # fmt: skip


def encode_sources(sources: list[tuple], vocabs, device) -> PairSplit:
    """Numericalise sources that have no targets yet: tuples of tokens, none of them empty."""
    return encode_pairs([(tokens, ()) for tokens in sources], vocabs[0], vocabs[1], device)


def read_source(text: str, source_vocab: ru.Vocab, level: str) -> tuple[str, ...]:
    """Cut a text of the user's into tokens of a `level`; say which of them are unknown."""
    tokens = tokenise(text, level)
    if not tokens:
        raise ru.UserError(f"{text[:40]!r}: there is no token in this text")
    unknown = [token for token in tokens if token not in source_vocab]
    if unknown:
        print(f"{'':<5}read as <unk>, never seen in training: {' '.join(unknown)}")
    return tokens


def build(model_class: Callable, splits, levels, source: str, config: dict, sizes) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights.

    `sizes` names the flags that the model takes, besides the sizes of its vocabularies.
    """
    min_freq = 3 if source == "multi30k" else 1  # a word met once or twice teaches little
    vocabs = []
    for side in (0, 1):  # sources, and targets: those of train, none from val or test
        texts = [pair[side] for pair in splits["train"]]
        vocabs.append(ru.Vocab.build(texts, ru.SPECIALS, min_freq).get_itos())
    values = {"source_size": len(vocabs[0]), "target_size": len(vocabs[1])}
    for name in sizes:
        values[name] = config[name]
    about = {"config": config, "sizes": values, "vocabs": vocabs, "levels": levels}
    return model_class(**values), about


def load_model(path, tutorial: str, model_class: Callable, device="cpu", task=None) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch.

    Raises UserError if another `task` is asked for than the one it was trained for.
    """
    model, about, best = ru.load_model(path, tutorial, model_class, "vocabs", "levels", "task")
    trained_for = about["config"]["task"]
    if task not in (None, trained_for):
        what = f"trained for {trained_for}, not for {task}"
        raise ru.UserError(f"{path}: {what}; drop --task and --data, or name another --path")
    return model.to(device), about, best


def introduce(model, about: dict, splits: dict, source: str, max_length: int) -> dict:
    """Encode the splits; print their sizes, two pairs as the model meets them, and its layers.

    Returns {name of a split: PairSplit}, on the device of the model.
    """
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    levels = about["levels"]
    device = next(model.parameters()).device
    data = {}
    for part, pairs in splits.items():
        data[part] = encode_pairs(pairs, vocabs[0], vocabs[1], device)
    sizes = ", ".join(f"{len(pairs):,} {part}" for part, pairs in splits.items())
    print(f"{'data':<10}{source}: {sizes}; {len(vocabs[0]):,} {levels[0]} in sources", end="")
    print(f" and {len(vocabs[1]):,} {levels[1]} in targets")
    too_long = sum(len(target) > max_length for _, target in splits["test"])
    if too_long:
        print(f"{'':<10}{too_long:,} targets of test are longer than --max-length {max_length}")
    print(f"{'batch':<10}what the decoder reads, and what it has to write at the same step:")
    for row in (0, 1):
        inputs, _, targets = data["train"].batch([row])  # (1, S), (1, T + 1)
        written = vocabs[1].lookup_tokens(targets[0])
        print(f"{'':<10}source  {' '.join(vocabs[0].lookup_tokens(inputs[0]))}")
        print(f"{'':<10}reads   {' '.join(written[:-1])}")
        print(f"{'':<10}writes  {' '.join(written[1:])}")
    ru.print_layers(model, *data["train"].batch([0]))
    return data


# %% ---- 3. Answers -----------------------------------------------------------------
def answer(
    decode: Callable, split: PairSplit, target_vocab: ru.Vocab, beam_size: int = 1
) -> tuple[list[tuple], list[float]]:
    """Answer each source of a split, without a look at its target.

    Returns the answers, tuples of tokens without <eos>, and the probability of each.  `beam_size`
    says how many rows `decode` makes of each source, so that no batch becomes too large.
    """
    outputs: list[tuple] = [()] * len(split.pairs)
    probabilities = [0.0] * len(split.pairs)
    batch_size = max(1, 256 // beam_size)
    for rows in ru.BucketBatchSampler(split.source_lengths.cpu(), batch_size, equal=True):
        lengths = split.source_lengths[rows]
        written, log_p = decode(split.sources[rows, : lengths[0]], lengths)  # (B, T), (B,)
        for row, line, p in zip(rows, written.tolist(), log_p.exp().tolist()):
            if ru.EOS in line:
                line = line[: line.index(ru.EOS)]
            outputs[row] = tuple(target_vocab.lookup_tokens(line))
            probabilities[row] = p
    return outputs, probabilities


def answer_texts(
    texts: Sequence[str], decode: Callable, about: dict, device, beam_size=1, look=None
) -> dict[str, str]:
    """Print the answer to each text of the user's; return {text: answer}.

    `look(source, output)` may print more about an answer.  Where `--predict -` goes to a file,
    the answers are a table instead, see rt.print_table.
    """
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    level = about["levels"][0]
    gap = _gap(about["levels"][1])

    def answer_all(sources: list[tuple]) -> list[tuple[str, float]]:
        split = encode_sources(sources, vocabs, device)
        outputs, probabilities = answer(decode, split, vocabs[1], beam_size)
        return [(gap.join(output), p) for output, p in zip(outputs, probabilities)]

    if rt.wants_table(texts):
        return rt.print_table(texts, functools.partial(tokenise, level=level), answer_all)
    answers = {}
    for text in rt.texts_asked(texts):
        print(f"\n{text}")
        source = read_source(text, vocabs[0], level)
        split = encode_sources([source], vocabs, device)
        (output,), _ = answer(decode, split, vocabs[1], beam_size)
        answers[text] = gap.join(output)
        print(f"  -> {answers[text]}")
        if look:
            look(source, output)
    return answers


def _gap(level: str) -> str:
    """What stands between two tokens of a text."""
    return " " if level == "words" else ""


def main_measure(level: str) -> str:
    """The main measure where "words" or "characters" are the tokens of an answer.

    A sentence has many right translations, so answers in words are not asked for exact match.
    """
    return "bleu" if level == "words" else "exact_match"


def score_test(
    data: dict, decode: Callable, scores: dict, about: dict, note: str, beam_size: int = 1
) -> tuple[dict, list]:
    """Answer the sources of test, the first look at it; print the scores, and those by length.

    data     {"train", "val", "test"} and, where a task has longer sources, "longer"
    scores   measured without the answers, such as the loss; they are printed first

    Returns {"test": all scores, "baselines": {name: main measure}, "by_length": {source length:
    main measure}}, and the answers.
    """
    level = about["levels"][1]
    measure = main_measure(level)
    pairs = data["test"].pairs
    sources = [source for source, _ in pairs]
    targets = [target for _, target in pairs]
    outputs, curve = score_by_length(data, "test", decode, about, beam_size)
    scores = scores | rb.sequence_scores(outputs, targets)
    # Two answers without a network.  A copy of the source has names and numbers right.
    remembered = rb.translation_memory(data["train"].pairs, sources)
    baselines = {
        "source unchanged": rb.sequence_scores(sources, targets)[measure],
        "translation memory": rb.sequence_scores(remembered, targets)[measure],
    }
    ru.print_test(scores, baselines, measure.replace("_", " "), note)
    print_answers(pairs, outputs, _gap(level))
    print_by_length(curve, "test", level)
    return {"test": scores, "baselines": baselines, "by_length": curve}, outputs


def score_by_length(
    data: dict, part: str, decode: Callable, about: dict, beam_size: int = 1
) -> tuple[list, dict[int, float]]:
    """Answer the sources of a part of the data; return the answers and {source length: score}.

    In a toy task the "longer" sources are answered as well, and every length has a score.  Of
    sentences there are few of one length: four lengths form one group, named by its middle (1
    to 4 become 2, 5 to 8 become 6), and groups of fewer than 20 pairs are left out.
    """
    vocab = ru.Vocab(about["vocabs"][1])
    outputs, _ = answer(decode, data[part], vocab, beam_size)
    answered = list(zip(data[part].pairs, outputs))
    width = 4
    fewest = 20
    if "longer" in data:
        width = 1
        fewest = 1
        further, _ = answer(decode, data["longer"], vocab, beam_size)
        answered += zip(data["longer"].pairs, further)
    groups = collections.defaultdict(list)
    for (source, target), output in answered:
        first = (len(source) - 1) // width * width + 1  # the shortest length of the group
        groups[first + (width - 1) // 2].append((output, target))
    curve = {}
    for length, rows in sorted(groups.items()):
        if len(rows) >= fewest:
            scores = rb.sequence_scores([row[0] for row in rows], [row[1] for row in rows])
            curve[length] = scores[main_measure(about["levels"][1])]
    return outputs, curve


def print_answers(pairs: list, outputs: list, gap: str) -> None:
    """Print the first three right and three wrong answers to (source, target) pairs."""
    for kind in ("right", "wrong"):
        chosen = []
        for (source, target), output in zip(pairs, outputs):
            if (output == target) == (kind == "right"):
                chosen.append((source, target, output))
        print(f"\n{kind:<10}{len(chosen):,} of {len(pairs):,} answers")
        for source, target, output in chosen[:3]:
            print(f"  source   {gap.join(source)}\n  output   {gap.join(output)}")
            if kind == "wrong":
                print(f"  wanted   {gap.join(target)}")


def print_by_length(curve: dict, name: str, level: str) -> None:
    """Print {source length: main measure}, five to a line."""
    print(f"\n{name}: {main_measure(level).replace('_', ' ')} by source length", end="")
    print("" if curve else ": too few pairs of any length")
    cells = [f"{length:4d}: {value:6.3f}" for length, value in curve.items()]
    for start in range(0, len(cells), 5):
        print("  " + "".join(cells[start : start + 5]))


def plot_by_length(curves: dict[str, dict], data: dict, about: dict, part: str, title: str):
    """Return a figure with one curve of {source length: main measure} for each name in `curves`.

    Where a toy task has longer sources than those in training, a line stands between them: what
    fails left of it is capacity, right of it generalisation.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    for (name, values), marker in zip(curves.items(), "osD^vPX"):
        axes.plot(list(values), list(values.values()), marker + "-", ms=4, label=name)
    if "longer" in data:
        trained_to = int(data["train"].source_lengths.max())
        axes.axvline(trained_to + 0.5, color=ru.GREY, linestyle="--", label="longest in training")
    axes.xaxis.get_major_locator().set_params(integer=True)
    measure = main_measure(about["levels"][1]).replace("_", " ")
    axes.set(xlabel=f"source length ({about['levels'][0]})", ylabel=f"{measure} on {part}")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9)
    axes.set_title(title)
    return figure


def save_figures(figures: dict, metrics: dict, title: str, folder, show: bool) -> None:
    """Save the figures, and with them that of the training, if there was one."""
    if metrics["history"]:  # --eval-only has none
        figures["training_curves"] = ru.plot_history(
            metrics["history"], "nats per token", {}, title, "forced_accuracy"
        )
    ru.save_figures(figures, folder, show)


# %% ---- 4. Flags -------------------------------------------------------------------
def add_flags(parser, tutorial: str, **defaults) -> None:
    """Add the flags of a chapter that answers sequences; `defaults` are those of the training."""
    add = parser.add_argument_group("answers").add_argument
    add("--max-length", type=ru.at_least(2), default=60, help="longest answer, in tokens")
    ru.add_training_flags(parser, clip=1, **defaults)
    own = "pairs of your own, to translate: a file with tabs, or two parallel files"
    ru.add_data_flags(parser, "multi30k", own, columns=None)
    ru.add_checkpoint_flags(parser, tutorial)
    ru.add_run_flags(parser)


def check_task(task: str | None, data, dataset: str) -> None:
    """Raise UserError where sentences are given, and a toy task is asked for."""
    if (data or dataset == "multi30k") and task not in (None, "translate"):
        remedy = "drop --task, or --data and --dataset multi30k"
        raise ru.UserError(f"--task {task} makes its own data; {remedy}")
