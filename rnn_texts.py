"""rnn_texts: labelled texts, for the chapters that classify them.

    1  Data      load_texts, hold_out, set_aside, thin_out, check_counts
    2  Tensors   Split, keep_both_ends, encode, encode_splits, encode_texts, introduce
    3  Answers   texts_asked, wants_table, print_table, print_labels
    4  Figures   plot_confusion, save_figures

A text is a list of its tokens: of its words, or a string of its letters.  `about` is what a
checkpoint says of a model besides its weights: {"config", "sizes", "vocab", "labels"}.

Shapes are written with N texts, T tokens, L labels.
"""

from __future__ import annotations

import collections
import math
import random
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

import rnn_data as rd
import rnn_utils as ru

# %% [markdown]
# ## 1. Data
# The same texts are set aside in every run, whatever the seed.  So a checkpoint never meets its
# training texts in the test of a later run.  What is random is drawn by a generator of its own,
# `random.Random(0)`, which `set_seed` does not reach.


# %%
def load_texts(name: str, read: Callable, data, columns, asked, data_dir, offline) -> tuple:
    """Load the user's texts at `data`, else the data set `name` (see rnn_data.load_dataset).

    `read` makes of a text of the user's the tokens that the network reads.  Texts of the same
    tokens are one text, such as "Great phone!" and "great phone !"; its first label counts.

    Returns ({"train", perhaps "val", "test": [(tokens, label), ...]}, source, embedded).
    """
    if not data:
        return rd.load_dataset(name, asked, data_dir, offline)
    label_of: dict[tuple, str] = {}
    for text, label in rd.read_labelled_texts(data, columns):
        label_of.setdefault(tuple(read(text)), label)
    return {"train": sorted(label_of.items())}, data, False


def hold_out(splits: dict[str, list], source: str, test: float, val: float) -> None:
    """Where a source has no split for test, then for val, take this share of train for it."""
    check_counts(splits["train"], source)
    for part, share in {"test": test, "val": val}.items():
        if part not in splits:
            splits["train"], splits[part] = set_aside(splits["train"], share)


def set_aside(rows: list[tuple], share: float, least: int = 1) -> tuple[list, list]:
    """Part [(x, label), ...] in the rest and the rows set aside, both in their old order.

    Set aside is `share` of the rows of each label, and `least` of them at least.
    """
    places_of = collections.defaultdict(list)
    for place, (_, label) in enumerate(rows):
        places_of[label].append(place)
    rng = random.Random(0)
    chosen = set()
    for _, places in sorted(places_of.items()):
        rng.shuffle(places)
        chosen.update(places[: max(least, round(share * len(places)))])
    rest = [row for place, row in enumerate(rows) if place not in chosen]
    aside = [row for place, row in enumerate(rows) if place in chosen]
    return rest, aside


def thin_out(rows: list[tuple], max_examples: int | None, least: int = 10) -> list[tuple]:
    """About `max_examples` of [(x, label), ...]: a share of each label, `least` rows at least."""
    if not max_examples or max_examples >= len(rows):
        return list(rows)
    return set_aside(rows, max_examples / len(rows), least)[1]


def check_counts(rows: Sequence[tuple], source: str, least: int = 3) -> None:
    """Raise UserError where there is one label, or one with fewer than `least` distinct texts."""
    counts = collections.Counter(label for _, label in rows)
    if len(counts) < 2:
        raise ru.UserError(f"{source}: a classifier needs at least two labels")
    rarest, count = counts.most_common()[-1]
    if count < least:
        what = f"the label {rarest[:40]!r} needs at least {least} distinct texts and has {count}"
        remedy = "one each to train, validate and test; add texts or remove the label"
        raise ru.UserError(f"{source}: {what}: {remedy}")


# %% ---- 2. Tensors -----------------------------------------------------------------
class Split(NamedTuple):
    """The texts of one split, and their tensors."""

    texts: list  # N lists of tokens
    inputs: torch.Tensor  # (N, T) token indices, padded with 0 at the end
    lengths: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N,) label indices


def keep_both_ends(tokens: Sequence[str], max_length: int | None) -> Sequence[str]:
    """Cut a long text to its first and last `max_length` / 2 tokens; None keeps all."""
    if max_length is None or len(tokens) <= max_length:
        return tokens
    head = (max_length + 1) // 2
    tail = max_length - head
    return list(tokens[:head]) + list(tokens[len(tokens) - tail :])


def encode(pairs: Sequence[tuple], vocab: ru.Vocab, labels: list[str], device) -> Split:
    """Turn (tokens, label) pairs into a Split; no text may be empty."""
    texts = [tokens for tokens, _ in pairs]
    inputs, lengths = ru.pad_batch([vocab(tokens) for tokens in texts])
    targets = torch.tensor([labels.index(label) for _, label in pairs])
    return Split(texts, inputs.to(device), lengths.to(device), targets.to(device))


def encode_splits(model, about: dict, splits: dict, source: str, encode=encode) -> dict:
    """Encode the splits of a source for a model, on its device: {name: Split}.

    Texts longer than the `max_length` that the model was trained with keep both ends.  A chapter
    may bring its own `encode`.  Raises UserError for a label that the model does not know.
    """
    vocab = ru.Vocab(about["vocab"])
    max_length = about["config"].get("max_length")
    device = next(model.parameters()).device
    data = {}
    for part, pairs in splits.items():
        unknown = {label for _, label in pairs} - set(about["labels"])
        if unknown:
            what = f"the label {min(unknown)[:40]!r} is not one that the model knows"
            raise ru.UserError(f"{source}: {what}: {', '.join(about['labels'])}")
        cut = [(keep_both_ends(tokens, max_length), label) for tokens, label in pairs]
        data[part] = encode(cut, vocab, about["labels"], device)
    return data


def encode_texts(model, about: dict, texts: list, encode=encode) -> Split:
    """The same for a list of texts that have no labels yet: the targets say nothing."""
    pairs = [(tokens, about["labels"][0]) for tokens in texts]
    return encode_splits(model, about, {"asked": pairs}, "", encode)["asked"]


def introduce(model, about: dict, splits: dict, source: str, encode=encode, gap=" ") -> dict:
    """Encode the splits; print the layers of the model and the first texts.

    `gap` stands between two tokens.  Returns {name: Split}, see encode_splits.
    """
    data = encode_splits(model, about, splits, source, encode)
    train = data["train"]
    ru.print_layers(model, train.inputs[:64], train.lengths[:64])
    vocab = ru.Vocab(about["vocab"])
    print(f"{'batch':<10}the first training texts as indices, 0 is padding:")
    width = min(20, int(train.lengths[:3].max()))
    for row, length in enumerate(train.lengths[:3].tolist()):
        indices = train.inputs[row, :width].tolist()
        tokens = vocab.lookup_tokens(indices[:length])
        label = about["labels"][int(train.targets[row])]
        print(f"{'':<10}{' '.join(f'{index:2d}' for index in indices)}")
        print(f"{'':<12}= {gap.join(tokens)} -> {label}")
    return data


# %% ---- 3. Answers -----------------------------------------------------------------
def texts_asked(texts: Sequence[str], every_line: bool = False) -> list[str]:
    """The texts of `--predict` or its like; "-" stands for the lines of standard input.

    A line without words is passed over, unless `every_line` is asked for.
    """
    found = []
    for text in texts:
        if text == "-":
            lines = [line.strip() for line in sys.stdin]
            found += [line for line in lines if every_line or ru.basic_english(line)]
        else:
            found.append(text.strip())
    return found


def wants_table(texts: Sequence[str] | None) -> bool:
    """Whether `--predict -` was given and the answers go to a file or to another program."""
    return texts is not None and "-" in texts and not sys.stdout.isatty()


def print_table(texts: Sequence[str], read: Callable, answer_all: Callable) -> dict[str, str]:
    """Answer the lines of standard input in a table: text, answer, probability of the answer.

    Row n answers line n, with tabs between.  `read` makes of a text what the network reads, and
    `answer_all` gives [(answer, probability), ...] to a list of those.  Where there is nothing
    to read, as in an empty line, the answer is empty.
    """
    texts = texts_asked(texts, every_line=True)
    inputs = [read(text) for text in texts]
    known = [tokens for tokens in inputs if tokens]
    answers = iter(answer_all(known) if known else [])
    table = {}
    for text, tokens in zip(texts, inputs):
        table[text], probability = next(answers) if tokens else ("", math.nan)
        print(f"{' '.join(text.split())}\t{table[text]}\t{probability:.4f}")
    return table


def print_labels(texts, read: Callable, logits_of: Callable, labels: Sequence[str]) -> dict:
    """Print such a table of likeliest labels; `logits_of` gives logits (N, L) for N texts."""

    def answer_all(known: list) -> list[tuple[str, float]]:
        best = logits_of(known).softmax(dim=1).max(dim=1)
        return [(labels[index], p) for index, p in zip(best.indices.tolist(), best.values.tolist())]

    return print_table(texts, read, answer_all)


# %% ---- 4. Figures -----------------------------------------------------------------
def plot_confusion(targets, predicted, labels: Sequence[str], title: str):
    """Return a figure of the confusion matrix; `targets` and `predicted` are (N,) indices.

    Rows are the true labels and add up to 1, so the diagonal is each label's recall.
    """
    import matplotlib.pyplot as plt
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(targets, predicted, labels=range(len(labels)), normalize="true")
    side = 2.5 + 0.32 * len(labels)
    figure, axes = plt.subplots(figsize=(side + 1, side))
    ru.plot_heatmap(axes, matrix, labels, labels, "share of the row", cmap="Blues", vmin=0, vmax=1)
    axes.tick_params(axis="x", rotation=90)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(f"Which labels are confused?{title}")
    return figure


def save_figures(figures: dict, metrics: dict, unit: str, title: str, folder, show: bool) -> None:
    """Save the figures, and with them that of the training, if there was one; losses in `unit`."""
    history = metrics["history"]
    if history:  # --eval-only has none
        figures["training_curves"] = ru.plot_history(history, unit, metrics["baselines"], title)
    ru.save_figures(figures, folder, show)
