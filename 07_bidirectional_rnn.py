"""07_bidirectional_rnn: what does it change to read from both ends?

The question    A text is there as a whole before we answer.  Why should a network know, at each
                word, only what came before?
The number      0.896 of TREC's test questions (mean of seeds 0 to 4, from 0.892 to 0.898).
                Logistic regression on words and pairs of words gets 0.882.
Misconceptions  "`output[:, -1]` sums up the text."  Its backward half has read one word, and
                under padding it is nothing: 0.323 where the blank's state reaches 1.000.
                "Two directions are always better."  At one word *inside* a text it matters
                which side holds the answer: at a blank whose clue comes after it, forward
                gets 0.240, backward 1.000; both get 1.000, and we need not know the side.
                Over a whole text each direction has read everything, and the gain is small:
                an accuracy of 0.89 on 500 questions is uncertain by 0.03; see `--compare`.
                "So always use both."  The backward one needs the end, which a forecast or a
                text that is being written (chapters 06 and 10) does not have.

    h_t^f = LSTM_f(x_t, h_{t-1}^f)    t = 1 ... T     forward: the LSTM of chapter 05
    h_t^b = LSTM_b(x_t, h_{t+1}^b)    t = T ... 1     backward: the text turned around
    (c_t is carried along likewise)
    h_t   = [h_t^f ; h_t^b]                           what both know at word t
    y     = W [mean_t h_t ; max_t h_t] + b            softmax(y): probabilities

    x_t (E,) word t      h_t^f, h_t^b (H,) states      y (L,) a score per class

    python 07_bidirectional_rnn.py --lesson direction     # first; 34 s, one core

    lesson    direction  state read     test accuracy
              forward    at the blank           0.240
              backward   at the blank           1.000
              both       at the blank           1.000
              both       states[:, -1]          0.323
              backward   states[:, -1]          0.250
              always the same answer            0.255

    python 07_bidirectional_rnn.py --epochs 15            # 68 s on a slow CPU, one core

    epoch  train loss  acc    val loss  acc    macro-F1  seconds
        1       1.585  0.331     1.265  0.518     0.380      5.9  *
       ...
       15       0.134  0.991     0.399  0.880     0.852      3.1
    test      accuracy 0.8980 of 500 texts   macro-F1 0.892   loss 0.400   (epoch 15, the last)
              accuracy 0.1880   majority label
              accuracy 0.8820   word 1-2-gram logistic regression
    probes    accuracy from the state at the first, the middle and the last word:
              forward    0.448  0.810  0.882
              backward   0.786  0.414  0.184

Writes metrics.json and three figures to outputs/07_bidirectional_rnn/; look at word_by_word.png
first.  The lesson writes direction.png to the folder lesson/ in it.  After --save-model:

    python 07_bidirectional_rnn.py --path models/07_bidirectional_rnn.pt --predict "Who is Popeye?"

Next: 08_seq2seq_basic.py, where the answer is a sequence as well.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import rnn_utils as ru

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

TUTORIAL = "07_bidirectional_rnn"
DIRECTIONS = ("forward", "backward", "both")

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------


# A line of TREC is `CLASS:detail question`, for example `NUM:date When did Hawaii become a
# state ?`.  We are asked for the class, one of six: ABBR abbreviation, DESC description, ENTY
# thing, HUM person, LOC place, NUM number.  The 50 details help to learn it: see
# train_epoch.
def load_trec(args: argparse.Namespace) -> dict[str, list[tuple[str, str]]]:
    """Return {"train": (question, label) pairs, "test": ...} of the TREC questions."""
    parts = {}
    for part in ("train", "test"):
        path = ru.data_file("trec", f"TREC.{part}", args.data_dir, args.offline)
        lines = path.read_text(encoding="latin-1").splitlines()
        rows = [line.split(" ", 1) for line in lines]
        if not rows or any(len(row) < 2 for row in rows):
            raise ru.UserError(f"{path}: not a file of TREC questions; delete it and run again")
        parts[part] = [(question, label) for label, question in rows]
    return parts


def class_of(label: str) -> str:
    """The class in a label: "NUM:date" -> "NUM", and "food" is its own class."""
    return label.split(":")[0]


# The stand-in is also the lesson of this chapter: what was in the blank?  Only the words
# right of the blank tell.  Those left of it are a decoy, for they describe another thing.  A
# bag of words sees both descriptions, and cannot know which of them belongs to the blank.
BLANK = "____"
CUES = {
    "animal": "barked|purred|grazed|was fed|hatched|wagged its tail|had sharp claws|laid eggs",
    "food": "tasted sweet|was fried|went mouldy|was sliced|burnt in the pan|melted|was peeled",
    "tool": "cut wood|was hammered|needed sharpening|drilled a hole|measured it|tightened screws",
    "vehicle": "took off|was parked|skidded|had two wheels|ran out of petrol|sank|honked|docked",
}
OPENINGS = ["yesterday", "last week", "at noon", "they say", "once", "on monday"]
PLACES = ["right there", "near the harbour", "by the door", "in the old town", "of ours"]
ENDINGS = ["for an hour", "again", "in the rain", "as usual", "when nobody looked"]


def embedded_texts(count: int = 4000) -> list[tuple[str, str]]:
    """Make up `count` distinct (text, label) pairs, the same ones on every machine."""
    rng, pairs, labels = random.Random(0), set(), sorted(CUES)
    while len(pairs) < count:
        label, decoy = rng.choice(labels), rng.choice(labels)
        told = [
            f"{rng.choice(PLACES)} that {rng.choice(CUES[name].split('|'))} {rng.choice(ENDINGS)}"
            for name in (decoy, label)
        ]
        start = rng.choice(OPENINGS)
        pairs.add((f"{start} something {told[0]} stood beside a {BLANK} {told[1]} .", label))
    return sorted(pairs)


# --data: a CSV or TSV whose header names the columns.  A label may have a detail, as in TREC:
#     text,label
#     where is the bus stop,place
#     "when does it leave, today?",time:hour
def read_own_texts(path, known_labels=None) -> list[tuple[str, str]]:
    """Read the (text, label) pairs of a table; with `known_labels`, allow no others."""
    rows = ru.read_labelled_text(path)
    for row in rows:
        if not ru.basic_english(row.text):
            raise ru.UserError(f"{path}, line {row.line}: no word in {row.text[:40]!r}")
        if known_labels:
            ru.check_labels([class_of(row.label)], known_labels, f"{path}, line {row.line}")
    return [(row.text, row.label) for row in rows]


# A text that is in both train and test would be answered from memory.  Of TREC's 500 test
# questions 11 are in train as well; the copies in train go, as do repetitions within it.
def tokenize(parts: dict[str, list]) -> tuple[dict[str, ru.Corpus], int]:
    """Split (text, label) pairs into words; drop from train repetitions, and what is in test.

    Returns the corpora and the number of texts dropped.
    """
    rows, kept = {}, {}
    for part, pairs in parts.items():
        rows[part] = [(tuple(ru.basic_english(text)), label) for text, label in pairs]
    asked = {tokens for tokens, _ in rows.get("test", [])}
    for tokens, label in rows["train"]:
        if tokens not in asked:
            kept.setdefault(tokens, label)
    dropped = len(rows["train"]) - len(kept)
    rows["train"] = kept.items()
    return {part: ru.Corpus.from_tokens(*zip(*pairs)) for part, pairs in rows.items()}, dropped


def load_texts(args: argparse.Namespace, known_labels=None) -> tuple[dict[str, ru.Corpus], bool]:
    """Return the corpora {"train", "val", "test"}, and whether they are the stand-in."""

    def real():
        if args.dataset == "imdb":
            return ru.load_imdb(args.data_dir, args.offline)
        return tokenize(load_trec(args))

    if args.data:
        loaded = tokenize({"train": read_own_texts(args.data, known_labels)})
        args.dataset, embedded = args.data, False
    else:
        name = "imdb" if args.dataset == "imdb" else "trec"
        loaded, args.dataset, embedded = ru.load_or_embedded(
            args.dataset, name, real, lambda: tokenize({"train": embedded_texts()})
        )
    corpora, dropped = loaded
    for part, corpus in corpora.items():
        if args.max_examples and args.max_examples < len(corpus):
            corpora[part] = corpus.set_aside(args.max_examples / len(corpus), least=10)[1]
    rarest, count = Counter(corpora["train"].labels).most_common()[-1]
    if count < 3:
        raise ru.UserError(
            f"{args.dataset}: the label {rarest[:40]!r} has {count} distinct texts and needs at "
            "least 3: one each to train, validate and test; add texts or remove the label"
        )
    if len({class_of(label) for label in corpora["train"].labels}) < 2:
        raise ru.UserError(
            f"{args.dataset}: all distinct texts are of the class {class_of(rarest)[:40]!r} (what "
            "comes before a colon); a classifier needs at least two"
        )
    # TREC and IMDB come with a test set.  With 5,000 questions to learn from each one counts, and
    # a twentieth of them is enough to choose the epoch by.
    for part, share in (("test", 0.1), ("val", 0.05)):
        if part not in corpora:
            corpora["train"], corpora[part] = corpora["train"].set_aside(share)
    sizes = ", ".join(f"{len(corpora[part]):,} {part}" for part in ("train", "val", "test"))
    print(f"{'data':<10}{args.dataset}: {sizes}; repetitions dropped from train: {dropped}")
    return corpora, embedded


# Three in five of the words in TREC occur once, and a new question brings new ones.  A network
# that knows only whole words is helpless there; but a new word in "-ville" is still a town.  So
# a word is given in two ways (Bojanowski et al. 2017): as an entry of the vocabulary, perhaps
# <unk>, and as its groups of three and four letters, "city" as <ci cit ity ty> <cit city ity>.
# A checksum numbers the groups from 1 to 5,000; now and then two share a number.
NUM_GROUPS, MAX_GROUPS = 5000, 24  # of a word of more than 12 letters the last groups go
MIN_FREQUENCY = 2  # a word met once becomes <unk>, and so <unk> gets trained


def describe_words(words: list[str], vocab: ru.Vocab) -> torch.Tensor:
    """Return a row per word, (W, 1 + G): its index, then its letter groups, 0 for none."""
    rows = np.zeros((len(words), 1 + MAX_GROUPS), dtype=np.int64)
    rows[:, 0] = vocab(words)
    for row, word in zip(rows, words):
        word = f"<{word}>"
        groups = [word[i : i + size] for size in (3, 4) for i in range(len(word) - size + 1)]
        numbers = [zlib.crc32(group.encode()) % NUM_GROUPS + 1 for group in groups[:MAX_GROUPS]]
        row[1 : 1 + len(numbers)] = numbers
    return torch.from_numpy(rows)


class Names(NamedTuple):
    """What the numbers that the network reads and returns stand for."""

    vocab: ru.Vocab
    labels: list[str]  # the classes
    details: list[str]  # the whole labels, for training only


class Split(NamedTuple):
    """One split as tensors.  Each word is a row of `words`; row 0 stands for padding."""

    corpus: ru.Corpus
    words: torch.Tensor  # (W, 1 + G), see describe_words
    inputs: torch.Tensor  # (N, T) rows of `words`, padded with 0 at the end
    lengths: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N,) indices of the classes
    details: torch.Tensor  # (N,) indices of the whole labels

    def batch(self, rows) -> tuple[torch.Tensor, torch.Tensor]:
        """The inputs (B, T, 1 + G) and lengths (B,) of some texts, T the longest of them."""
        lengths = self.lengths[rows]
        return self.words[self.inputs[rows, : lengths.max()]], lengths


def encode(corpus: ru.Corpus, names: Names, args, device="cpu") -> Split:
    """Turn a corpus into a Split; of a text, the first and last --max-length / 2 words."""
    ru.check_labels(map(class_of, corpus.labels), names.labels, args.dataset)
    specials = [ru.Vocab.PAD, ru.Vocab.UNK]
    every_word = ru.Vocab(specials + [word for word in corpus.words if word not in specials])
    words = describe_words(every_word.get_itos(), names.vocab)
    words[:2, 1:] = 0  # the specials have no letters
    inputs, lengths = ru.pad_batch(corpus.encode(every_word, args.max_length))
    targets = torch.tensor([names.labels.index(class_of(label)) for label in corpus.labels])
    number = {label: index for index, label in enumerate(names.details)}
    details = torch.tensor([number.get(label, 0) for label in corpus.labels])  # 0: outside train
    tensors = (words, inputs, lengths, targets, details)
    return Split(corpus, *(tensor.to(device) for tensor in tensors))


# %% ------------------------------------------------------------------
# 2. Model
# ----------------------------------------------------------------------

EMBEDDING_SIZE = 100
PAD, UNK = 0, 1  # where ru.Vocab puts <pad> and <unk>


# A bidirectional layer is two LSTMs with weights of their own.  One reads the text as it is.
# The other reads it turned around, and its states are turned back: so the two states at word t
# hold what was read up to t, and what was read from the end down to t.
# Pitfall: inputs.flip(1) puts the padding first, and the backward LSTM starts on it.  Turn
# each text within its own length.  (nn.LSTM(bidirectional=True) does not know the lengths: it
# has the same fault in batches with padding, unless they are packed as chapter 02 shows.)
def reverse(inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Turn each sequence of (B, T, I) around within its length; padding stays at the end."""
    steps = torch.arange(inputs.shape[1], device=inputs.device)  # (T,)
    source = lengths[:, None] - 1 - steps  # (B, T), negative at padding
    source = torch.where(source < 0, steps, source)
    rows = torch.arange(len(lengths), device=inputs.device)[:, None]  # (B, 1)
    return inputs[rows, source]  # (B, T, I): whole vectors move, which costs half of gather()


class BidirectionalLSTM(nn.Module):
    """LSTM layers that read forward, backward, or both ways; no state depends on padding.

    forward: (B, T, I) and lengths (B,) -> states (B, T, D * H), the forward ones first, and 0
    at padding; D is the number of directions.
    """

    def __init__(self, input_size, hidden_size, num_layers, dropout, direction):
        super().__init__()
        self.names = DIRECTIONS[:2] if direction == "both" else (direction,)
        self.layers, self.dropout = nn.ModuleList(), nn.Dropout(dropout)
        for _ in range(num_layers):
            pair = [nn.LSTM(input_size, hidden_size, batch_first=True) for _ in self.names]
            self.layers.append(nn.ModuleList(pair))
            input_size = hidden_size * len(pair)  # both LSTMs of the next layer read both halves
            for lstm in pair:
                ru.initialise_recurrent(lstm)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(self.layers):
            if number > 0:
                inputs = self.dropout(inputs)
            halves = []
            for name, lstm in zip(self.names, layer):
                if name == "forward":
                    states, _ = lstm(inputs)
                else:
                    states = reverse(lstm(reverse(inputs, lengths))[0], lengths)
                halves.append(states)  # (B, T, H)
            inputs = torch.cat(halves, dim=2)  # (B, T, D * H)
        mask = ru.lengths_to_mask(lengths, inputs.shape[1])  # (B, T)
        # 0 at padding, as unpacking leaves it.  (On a CPU a product is faster than masked_fill.)
        return inputs * mask[:, :, None]


# From states to one vector.  Which state has read the whole text?  The forward LSTM's last,
# and the backward LSTM's *first*.  Pitfall: `states[:, -1]`, which many tutorials use, takes
# the backward state that has read a single word; and in a batch the last column is padding
# for all but the longest texts, so that they get no state at all.  That is `--pooling naive`.
def summarise(states, lengths, blanks, pooling: str, direction: str) -> torch.Tensor:
    """Pool states (B, T, D * H) over the words of each text: (B, D * H), for meanmax twice that.

    `blanks` (B,) is where the blank is, for the lesson, whose `pooling` is "blank".
    """
    rows = torch.arange(len(lengths), device=lengths.device)
    if pooling == "naive":
        return states[:, -1]
    if pooling == "blank":
        return states[rows, blanks]
    if pooling == "last":
        last, first = states[rows, lengths - 1], states[:, 0]  # both (B, D * H)
        if direction != "both":
            return last if direction == "forward" else first
        return torch.cat([last.chunk(2, dim=1)[0], first.chunk(2, dim=1)[1]], dim=1)
    mask = ru.lengths_to_mask(lengths, states.shape[1])[:, :, None]  # (B, T, 1)
    mean = (states * mask).sum(dim=1) / lengths[:, None]
    most = (states + mask.log()).amax(dim=1)  # log 1 = 0; log 0 = -inf is never the maximum
    return {"mean": mean, "max": most, "meanmax": torch.cat([mean, most], dim=1)}[pooling]


class TextClassifier(nn.Module):
    """Word and letter-group embeddings -> (bidirectional) LSTM -> pooling -> scores."""

    def __init__(self, names: Names, args: argparse.Namespace):
        super().__init__()
        self.pooling, self.direction, self.blank = args.pooling, args.direction, names.vocab[BLANK]
        self.word = nn.Embedding(len(names.vocab), EMBEDDING_SIZE, padding_idx=PAD)
        self.groups = nn.EmbeddingBag(NUM_GROUPS + 1, EMBEDDING_SIZE, mode="mean", padding_idx=0)
        # nn.Embedding starts with numbers of size 1.  A word met twice hardly moves from there:
        # it stays noise.  Started small, a word says little until it has been learned.
        for table in (self.word, self.groups):
            table.weight.data *= 0.1
        self.lstm = BidirectionalLSTM(
            EMBEDDING_SIZE, args.hidden_size, args.num_layers, args.dropout, args.direction
        )
        self.dropout = nn.Dropout(args.dropout)
        vectors = len(self.lstm.names) * (2 if args.pooling == "meanmax" else 1)
        self.output = nn.Linear(vectors * args.hidden_size, len(names.labels))
        self.detail = nn.Linear(vectors * args.hidden_size, len(names.details))  # for training only

    def read(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T, 1 + G) word rows and lengths (B,) -> the states (B, T, D * H)."""
        letters = self.groups(inputs[:, :, 1:].flatten(0, 1))  # (B * T, E), means over groups
        embedded = self.word(inputs[:, :, 0]) + letters.view(*inputs.shape[:2], -1)  # (B, T, E)
        return self.lstm(self.dropout(embedded), lengths)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor):
        """(B, T, 1 + G) word rows and lengths (B,) -> logits (B, L) of classes and of details."""
        states = self.read(inputs, lengths)
        blanks = (inputs[:, :, 0] == self.blank).int().argmax(dim=1)  # 0 where there is none
        summary = summarise(states, lengths, blanks, self.pooling, self.direction)
        summary = self.dropout(summary)
        return self.output(summary), self.detail(summary)


# %% ------------------------------------------------------------------
# 3. Training and evaluation
# ----------------------------------------------------------------------


# Two things keep the network from learning 5,000 questions by heart.  It has to name the detail
# as well: a state that tells a date from a count holds more than one that knows "a number", and
# the class gains by it (multi-task learning, Caruana 1997).  And the target is not 1 for the
# right class and 0 for the others: a tenth of it is shared out among all L classes, so that the
# right one keeps 0.9 + 0.1 / L (label smoothing, Szegedy et al. 2016).
SMOOTHING = 0.1


# Too little memory for a batch of 64?  `--batch-size 16 --accumulate-steps 4` makes the same
# update from four batches of 16: backward() *adds* to the gradients that are there, and each
# part is divided by the size of the whole, so that their sum is the gradient of one mean.
def train_epoch(model, split: Split, sampler, optimizer, epoch: int, args) -> dict:
    """Make one pass over the training texts; return what it measured."""
    model.train()
    sampler.set_epoch(epoch)
    total_steps, step = args.epochs * len(sampler), (epoch - 1) * len(sampler)
    loss_sum, num_correct = 0.0, 0
    smoothed = {"reduction": "sum", "label_smoothing": SMOOTHING}
    for rows in ru.progress(sampler, desc=f"epoch {epoch}"):
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, args.lr)
        optimizer.zero_grad()
        for start in range(0, len(rows), args.batch_size):
            part = rows[start : start + args.batch_size]
            targets = split.targets[part]  # (B,)
            logits, details = model(*split.batch(part))  # (B, L), (B, number of details)
            loss = F.cross_entropy(logits, targets, **smoothed)
            loss = loss + F.cross_entropy(details, split.details[part], **smoothed)
            (loss / len(rows)).backward()
            # Report the loss that validation reports: of the class, without smoothing.
            loss_sum += F.cross_entropy(logits.detach(), targets, reduction="sum").item()
            num_correct += (logits.argmax(dim=1) == targets).sum().item()
        ru.clip_gradients(model.parameters(), args.clip)
        optimizer.step()
        step += 1
    ru.check_finite(loss_sum, epoch)
    count = len(split.lengths)
    return {"train_loss": loss_sum / count, "train_accuracy": num_correct / count}


# Which epoch counts?  The last, for the learning rate falls to 0 and the weights settle.  On 276
# questions validation would choose among 15 epochs by luck: with 500 training questions set aside
# as a mock test, the last epoch answered 0.859 of them, the one of least validation loss 0.839
# (means of four seeds).  Where --patience may end the training early, validation does choose.
def train(model, data: dict[str, Split], names: Names, args) -> tuple[list[dict], dict]:
    """Train for up to `args.epochs`; return the history and the epoch that counts, with weights."""
    train_split, val_split = data["train"], data["val"]
    fused = ru.fused_adam_works(model.output.weight.device)  # all weights in one pass: see 05
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, fused=fused)
    size = args.batch_size * args.accumulate_steps  # texts per update
    sampler = ru.BucketBatchSampler(train_split.lengths.cpu(), size, seed=args.seed)
    stopper, config = ru.EarlyStopping(args.patience), ru.training_config(args)
    resumable = {"config": config, "model": model, "optimizer": optimizer, "stopper": stopper}
    history, best = [], {}
    if args.resume:
        record = ru.load_training_state(args.path, TUTORIAL, **resumable)
        history, best = record["history"], record["best"]

    print("\nepoch  train loss  acc    val loss  acc    macro-F1  seconds")
    with ru.interruptible(args, history):
        while len(history) < args.epochs and not stopper.should_stop:
            started = time.perf_counter()
            row = {"epoch": len(history) + 1}
            row |= train_epoch(model, train_split, sampler, optimizer, row["epoch"], args)
            row |= {f"val_{name}": value for name, value in evaluate(model, val_split).items()}
            row["seconds"] = round(time.perf_counter() - started, 3)
            improved = stopper.step(row["val_loss"])
            if improved or not args.patience:
                best = {"epoch": row["epoch"], "metrics": row, "weights": ru.snapshot(model)}
            if args.save_model:
                contents = {**names._asdict(), "vocab": names.vocab.get_itos()}
                ru.save_epoch(args.path, TUTORIAL, resumable, [*history, row], best, **contents)
            # Last, so that Ctrl-C while saving does not count this epoch as finished.
            history.append(row)
            print_epoch(row, improved)
    if len(history) < args.epochs:
        print(f"stopped early: no better validation loss for {args.patience} epochs")
    return history, best


def print_epoch(row: dict, improved: bool) -> None:
    print(
        f"{row['epoch']:5d}  {row['train_loss']:10.3f}  {row['train_accuracy']:.3f}"
        f"  {row['val_loss']:8.3f}  {row['val_accuracy']:.3f}  {row['val_macro_f1']:8.3f}"
        f"  {row['seconds']:7.1f}{'  *' if improved else ''}",
        flush=True,
    )


@torch.no_grad()
def predict_logits(model, split: Split, batch_size: int = 256) -> torch.Tensor:
    """Return the logits (N, L) of a split, dropout off, in the order of the split."""
    model.eval()
    order = split.lengths.argsort()  # texts of similar length together: little padding
    logits = torch.cat([model(*split.batch(rows))[0] for rows in order.split(batch_size)])
    return logits[order.argsort()]


def evaluate(model, split: Split) -> dict[str, float]:
    """Measure loss (nats per text), accuracy and macro-F1 of a model on a split."""
    return ru.classification_scores(predict_logits(model, split), split.targets)


def baselines(corpora: dict[str, ru.Corpus]) -> dict[str, float]:
    """Return the test accuracy of the majority label and of word 1-2-gram regression."""
    from sklearn.feature_extraction.text import CountVectorizer

    def pairs(corpus: ru.Corpus) -> list[tuple[str, str]]:
        return [(" ".join(corpus[row]), class_of(label)) for row, label in enumerate(corpus.labels)]

    ngrams = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")  # words as we split them
    scores = ru.linear_baselines(pairs(corpora["train"]), pairs(corpora["test"]), ngrams)
    return dict(zip(("majority label", "word 1-2-gram logistic regression"), scores))


# Two directions have twice the weights of one.  For a fair comparison a single direction gets
# a larger state, so that all three models have about the same number of parameters.
def equal_hidden_size(direction: str, args) -> int:
    """The hidden size at which `direction` has as many LSTM weights as the model of `args`."""

    def weights(H: int, direction: str) -> int:
        # An LSTM has four W_x (H, I), four W_h (H, H) and eight biases (H,).  The first layer
        # reads embeddings, I = E, and a further one the states of D directions, I = D * H.
        D = 2 if direction == "both" else 1
        input_sizes = [EMBEDDING_SIZE] + [D * H] * (args.num_layers - 1)
        return sum(D * 4 * H * (size + H + 2) for size in input_sizes)

    wanted, sizes = weights(args.hidden_size, args.direction), range(1, 2 * args.hidden_size + 1)
    return ru.matching_size(lambda H: weights(H, direction), wanted, sizes)


# Is a difference of one point on 500 questions real?  Both models answer the same questions, so
# compare question by question; where both are right, or both wrong, nothing differs.  The
# bootstrap asks how the mean difference varies from one sample of questions to another: draw
# 500 of the 500 with replacement, 5,000 times, and see where 95 % of the means lie.
def paired_interval(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float, float]:
    """Difference of two accuracies and its 95 % bootstrap interval, from right/wrong (N,)."""
    difference = (first.float() - second.float()).cpu().numpy()  # -1, 0 or 1 per text
    draws = np.random.default_rng(0).choice(difference, (5000, len(difference))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def compare_directions(model, predicted, data, names: Names, args) -> dict[str, dict]:
    """Train the other directions at equal size; print and return how all three fare on test."""
    models, answers, results = {args.direction: model}, {args.direction: predicted}, {}
    for direction in DIRECTIONS:
        if direction != args.direction:
            size = equal_hidden_size(direction, args)
            print(f"\n{'compare':<10}--direction {direction} --hidden-size {size}")
            own = ru.variant(args, direction=direction, hidden_size=size)
            other = TextClassifier(names, own).to(data["test"].targets.device)
            _, best = train(other, data, names, own)
            other.load_state_dict(best["weights"])
            models[direction] = other
            answers[direction] = predict_logits(other, data["test"]).argmax(dim=1).cpu()
    right = {name: answers[name] == data["test"].targets.cpu() for name in DIRECTIONS}
    print(f"\n{'compare':<10}direction  parameters  test accuracy   gain of both  95 % interval")
    for name in DIRECTIONS:
        count, accuracy = ru.count_parameters(models[name]), right[name].float().mean().item()
        gain, *interval = paired_interval(right["both"], right[name])
        results[name] = {"parameters": count, "accuracy": accuracy}
        results[name] |= {"both_minus_it": gain, "interval": interval}
        print(f"{'':<10}{name:<9}  {count:10,}  {accuracy:13.4f}", end="")
        print("" if name == "both" else "  {:+13.3f}  {:+.3f} to {:+.3f}".format(gain, *interval))
    return results


# %% ------------------------------------------------------------------
# 4. Looking inside
# ----------------------------------------------------------------------

LESSON = {"hidden_size": 32, "num_layers": 1, "dropout": 0.2, "epochs": 3}
LESSON |= {"batch_size": 64, "lr": 1e-2, "clip": 1.0}


# First, at the blank: who knows what comes to its right?  Then one answer for the sentence, from
# states[:, -1]: there only the longest sentences of a batch have a state at all, and its backward
# half has read nothing but the full stop.
def direction_lesson(data: dict[str, Split], names: Names, args, started: float) -> dict:
    """Train five small models; print, draw and return what each of them reached."""
    results, models, lengths = [], {}, data["train"].lengths.cpu()
    print(f"\n{'lesson':<10}direction  state read     test accuracy")
    runs = [(direction, "blank") for direction in DIRECTIONS]
    for direction, pooling in [*runs, ("both", "naive"), ("backward", "naive")]:
        settings = argparse.Namespace(**LESSON, direction=direction, pooling=pooling)
        ru.set_seed(args.seed)
        model = TextClassifier(names, settings).to(data["train"].targets.device)
        optimizer = torch.optim.Adam(model.parameters())
        sampler = ru.BucketBatchSampler(lengths, settings.batch_size, seed=args.seed)
        for epoch in range(1, settings.epochs + 1):
            train_epoch(model, data["train"], sampler, optimizer, epoch, settings)
        accuracy = evaluate(model, data["test"])["accuracy"]
        place = "at the blank" if pooling == "blank" else "states[:, -1]"
        print(f"{'':<10}{direction:<9}  {place:<13}  {accuracy:13.3f}", flush=True)
        results.append({"direction": direction, "pooling": pooling, "accuracy": accuracy})
        models.setdefault(direction, model)
    majority = Counter(data["test"].corpus.labels).most_common(1)[0][1] / len(data["test"].lengths)
    print(f"{'':<10}always the same answer   {majority:13.3f}")
    figures = []
    if not args.no_plots:
        figure = plot_lesson(models, data["test"], names.labels, ru.get_pyplot(args.show))
        figures = [ru.save_figure(figure, args.output_dir, "direction", args.show)]
    measured = {"dataset": args.dataset, "embedded": True, "lesson": results}
    metrics = ru.write_metrics(args, TUTORIAL, started, **measured)
    ru.print_files(args, figures)
    return metrics


def plot_lesson(models, split: Split, labels, plt):
    """For one test sentence: the answer if the state at each word were the one at the blank."""
    figure, grid = plt.subplots(3, 1, figsize=(9, 7), sharex=True)
    words, truth = split.corpus[0], split.corpus.labels[0]
    for axes, direction in zip(grid, DIRECTIONS):
        model = models[direction].eval()
        with torch.no_grad():
            answers = model.output(model.read(*split.batch([0])))[0].softmax(dim=1).cpu()  # (T, L)
        draw_answers(axes, answers, labels, words)
        corner, size = (words.index(BLANK) - 0.5, -0.5), (1, len(labels))
        frame = plt.Rectangle(corner, *size, fill=False, color=ru.ORANGE, lw=1.5, clip_on=False)
        axes.add_patch(frame)
        axes.set_title(f"{direction} (truth: {truth})")
    figure.colorbar(grid[0].images[0], ax=grid, label="probability")
    figure.suptitle("What fills the blank? The answer read from the state at each word")
    return figure


def draw_answers(axes, answers, labels: list[str], words: list[str]) -> None:
    """Draw the label probabilities (T, L) at each word as a heat map."""
    ru.plot_heatmap(axes, answers.T, labels, words, None, cmap="Blues", vmin=0, vmax=1)
    axes.tick_params(axis="x", rotation=90)


# What does each direction know at each word?  The output layer cannot say: it has learned to
# read both directions together, pooled over the whole text.  So ask a probe, a logistic
# regression that is given nothing but the forward (or the backward) state at one word, and has
# learned from training texts to name the label.  The network itself stays as it is.
def fit_probes(model, split: Split, num_states: int = 5_000) -> dict:
    """Fit a probe per direction on about `num_states` states: {direction: probe}."""
    from sklearn.linear_model import LogisticRegression

    count = math.ceil(num_states / split.lengths.float().mean().item())
    order = np.random.default_rng(0).permutation(len(split.lengths)).tolist()
    one_of_each = {int(split.targets[row]): row for row in reversed(order)}  # none may be missing
    rows = list(dict.fromkeys([*order[:count], *one_of_each.values()]))
    targets = split.targets[rows].repeat_interleave(split.lengths[rows]).cpu().numpy()
    states, probes = [states_at_each_word(model, split, row) for row in rows], {}
    for name in model.lstm.names:
        inputs = np.concatenate([of_text[name] for of_text in states])
        probes[name] = LogisticRegression(max_iter=1000).fit(inputs, targets)
    return probes


@torch.no_grad()
def states_at_each_word(model, split: Split, row: int) -> dict[str, np.ndarray]:
    """The top layer's states (T, H) of one text, by direction."""
    model.eval()
    states = model.read(*split.batch([row]))[0].cpu()  # (T, D * H)
    halves = states.chunk(len(model.lstm.names), dim=1)  # (T, H) each
    return {name: half.numpy() for name, half in zip(model.lstm.names, halves)}


def probe_accuracy(model, probes: dict, split: Split, count: int = 500) -> dict[str, list[float]]:
    """Print and return the accuracy of each probe at the first, middle and last word."""
    right = {name: [] for name in probes}
    for row, target in enumerate(split.targets[:count].tolist()):
        for name, states in states_at_each_word(model, split, row).items():
            right[name].append(probes[name].predict(states[[0, len(states) // 2, -1]]) == target)
    print(f"\n{'probes':<10}accuracy from the state at the first, the middle and the last word:")
    for name, hits in right.items():
        right[name] = np.mean(hits, axis=0).tolist()
        print("{:<10}{:<9}  {:.3f}  {:.3f}  {:.3f}".format("", name, *right[name]))
    return right


# Hide one word at a time behind <unk>: by how many nats does the log-probability of the answer
# fall?  Pitfall: of two words that say the same, each adds nothing, for the other is there.
def occlude(model, split: Split, row: int) -> torch.Tensor:
    """How much each word of a text adds to the log-probability of the model's answer, (T,)."""
    inputs, lengths = split.batch([row])  # (1, T, 1 + G)
    length = int(lengths)
    masked = inputs.repeat(length + 1, 1, 1)
    steps = torch.arange(length, device=inputs.device)
    masked[steps, steps] = 0
    masked[steps, steps, 0] = UNK  # row t lacks word t; the last row lacks none
    with torch.no_grad():
        model.eval()
        scores = model(masked, lengths.repeat(length + 1))[0].log_softmax(dim=1)  # (T + 1, L)
    answer = scores[-1].argmax()
    return (scores[-1, answer] - scores[:-1, answer]).cpu()


def instructive_texts(predicted, split: Split, count: int = 3) -> list[int]:
    """Rows of rightly answered texts of about nine words, each of another label."""
    right, chosen = predicted == split.targets.cpu(), {}
    for row in (split.lengths - 9).abs().argsort(stable=True).tolist():
        if right[row] and split.lengths[row] == len(split.corpus[row]) <= 40:
            chosen.setdefault(int(split.targets[row]), row)
    return list(chosen.values())[:count]


def plot_directions(model, probes, split: Split, rows, labels, plt, title: str):
    """One column per text, one panel per direction: the probe's answer at each word."""
    size = (3.6 * len(rows) + 1, 2.9 * len(probes) + 0.6)
    figure, grid = plt.subplots(len(probes), len(rows), figsize=size, squeeze=False)
    for column, row in zip(grid.T, rows):
        for axes, (name, states) in zip(column, states_at_each_word(model, split, row).items()):
            names = [labels[target] for target in probes[name].classes_]
            draw_answers(axes, probes[name].predict_proba(states), names, split.corpus[row])
            axes.set_title(f"{name} (truth: {split.corpus.labels[row]})")
    figure.colorbar(grid[0, 0].images[0], ax=grid, label="probability")
    figure.suptitle(f"What does each direction know at each word?{title}")
    return figure


def print_prediction(model, names: Names, args, text: str) -> dict[str, float]:
    """Print the label probabilities of a text and what each word adds; return the former."""
    labels = names.labels
    corpus = ru.Corpus.from_tokens([ru.basic_english(text)], labels[:1])
    split = encode(corpus, names, args, model.output.weight.device)
    answers = predict_logits(model, split)[0].softmax(dim=0)
    ranked = answers.argsort(descending=True).tolist()
    print(f"\n{text[:300]}")
    print("  " + ", ".join(f"{labels[index]} {answers[index]:.1%}" for index in ranked[:6]))
    if split.lengths[0] == len(corpus[0]) <= 40:
        print("  what each word adds to the log-probability of that answer (nats):")
        for word, added in zip(corpus[0], occlude(model, split, 0).tolist()):
            print(f"    {word:<14}{added:+6.2f}  {'#' * min(40, round(8 * added))}".rstrip())
    return {labels[index]: float(answers[index]) for index in ranked}


# %% ------------------------------------------------------------------
# 5. Command line and main
# ----------------------------------------------------------------------

QUICK = {"dataset": "embedded", "epochs": 2, "hidden_size": 32, "max_examples": 1500, "lr": 0.02,
         "threads": 1}  # fmt: skip


def text_argument(text: str) -> str:
    """Refuse a text without words at once, not after training."""
    if not ru.basic_english(text):
        raise argparse.ArgumentTypeError(f"no word in {text!r}")
    return text


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--lesson", choices=("direction",), help="what each direction can know, in seconds")
    add("--epochs", type=ru.at_least(1), default=15, help="passes over the training texts")
    add("--predict", nargs="+", action="extend", metavar="TEXT", type=text_argument,
        help="which class is it?")  # fmt: skip
    add("--dataset", choices=("auto", "trec", "imdb", "embedded"), default="auto",
        help="auto: trec, or embedded data where it is not available")  # fmt: skip
    add("--data", metavar="PATH", help="a CSV or TSV of your own with columns text and label")
    add("--quick", action="store_true", help="a tiny run on embedded data, to see that it works")

    add = parser.add_argument_group("model and training").add_argument
    add("--direction", choices=("both", "forward", "backward"), default="both", help="who reads")
    add("--compare", action="store_true", help="also train the other directions, at equal size")
    add("--pooling", choices=("meanmax", "mean", "max", "last", "naive"), default="meanmax",
        help="from states to one vector; naive is the classic mistake")  # fmt: skip
    add("--hidden-size", type=ru.at_least(1), default=128,
        help="numbers in each direction's state h_t")  # fmt: skip
    add("--num-layers", type=ru.at_least(1), default=1, help="stacked recurrent layers")
    add("--dropout", type=ru.between(0, 0.95), default=0.5, help="share of activations zeroed")
    add("--lr", type=ru.between(0, 10, open_low=True), default=3e-3, help="peak learning rate")
    add("--batch-size", type=ru.at_least(1), default=64, help="texts in memory at a time")
    add("--accumulate-steps", type=ru.at_least(1), default=1, help="batches per update")
    add("--clip", type=ru.between(0), default=1.0, help="largest gradient norm; 0: no clipping")
    add("--patience", type=ru.at_least(0), default=0,
        help="epochs without improvement before stopping; 0: never, the last counts")  # fmt: skip
    add("--max-length", type=ru.at_least(1), default=200, help="words kept of a text")
    add("--max-examples", type=ru.at_least(1), metavar="N", help="use about N texts of each split")
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=1)
    args = ru.parse_arguments(parser, argv, QUICK)
    if args.compare and args.eval_only:
        parser.error("--compare trains two more models, and --eval-only none; drop one of them")
    if args.lesson:
        args.dataset, args.data = "embedded", None
        args.output_dir = args.output_dir or str(Path("outputs") / TUTORIAL / "lesson")
    return args


def load_model(path, device) -> tuple[TextClassifier, Names, dict]:
    """Rebuild the model of a checkpoint; return it with its names and the record."""
    checkpoint = ru.load_checkpoint(path, TUTORIAL)
    with ru.restoring(path):
        vocab = ru.Vocab(checkpoint["vocab"])
        names = Names(vocab, checkpoint["labels"], checkpoint["details"])
        model = TextClassifier(names, argparse.Namespace(**checkpoint["config"]))
        model.load_state_dict(checkpoint["weights"])
    return model.to(device), names, checkpoint


def introduce(model, data: dict[str, Split], names: Names, args, device) -> None:
    """Print the settings, the size of the model, and two texts as the network gets them."""
    ru.print_configuration(args, device)
    print(f"{'model':<10}{args.direction}, {ru.count_parameters(model):,} parameters;", end=" ")
    print(f"{len(names.vocab):,} words, {len(names.labels)} labels")
    split = data["train"]
    print(f"{'batch':<10}two of the training texts, as padded word indices (1 is unknown):")
    inputs, _ = split.batch([0, 1])
    for row in (0, 1):
        indices = " ".join(map(str, inputs[row, :20, 0].tolist()))
        text = " ".join(split.corpus[row][:20])
        print(f"{'':<10}{indices}\n{'':<12}= {text}, {names.labels[split.targets[row]]}")


def report(predicted, test: Split, scores: dict, references: dict, labels, epoch: str) -> dict:
    """Print the test result, the baselines, precision and recall of each label; return the last."""
    from sklearn.metrics import classification_report

    print(f"\n{'test':<10}accuracy {scores['accuracy']:.4f} of {len(test.lengths):,} texts", end="")
    print(f"   macro-F1 {scores['macro_f1']:.3f}   loss {scores['loss']:.3f}", end="")
    print(f"   ({epoch})")
    for name, accuracy in references.items():
        print(f"{'':<10}accuracy {accuracy:.4f}   {name}")
    options = {"labels": range(len(labels)), "target_names": labels, "zero_division": 0}
    print("\n" + classification_report(test.targets.cpu(), predicted, digits=3, **options))
    rows = classification_report(test.targets.cpu(), predicted, output_dict=True, **options)
    return {label: {key: float(rows[label][key]) for key in rows[label]} for label in labels}


def draw_figures(model, probes, rows, predicted, test, labels, history, references, args, title):
    """Draw and save every figure; return their paths."""
    plt = ru.get_pyplot(args.show)
    confusion = ru.plot_confusion(test.targets.cpu(), predicted, labels)
    confusion.suptitle(f"Which labels are confused?{title}")
    figures = {"confusion_matrix": confusion}
    if rows:
        figures["word_by_word"] = plot_directions(model, probes, test, rows, labels, plt, title)
    if history:  # --eval-only has none
        curves = ru.plot_history(history, "loss (nats per text)", references)
        curves.suptitle(f"Does the network still learn, or does it memorise?{title}")
        figures["training_curves"] = curves
    return ru.save_figures(figures, args)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, names, best = load_model(args.path, ru.get_device(args.device))
        args.max_length = best["config"]["max_length"]
        return {text: print_prediction(model, names, args, text) for text in args.predict}

    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: what does it change to read from both ends?\n")
    if args.eval_only:
        model, names, best = load_model(args.path, device)
        ru.take_trained_settings(args, best["config"])
    corpora, embedded = load_texts(args, names.labels if args.eval_only else None)
    if not args.eval_only:
        details = sorted(set(corpora["train"].labels))
        vocab = corpora["train"].build_vocab(min_freq=MIN_FREQUENCY)
        names = Names(vocab, sorted({class_of(detail) for detail in details}), details)
    data = {part: encode(corpus, names, args, device) for part, corpus in corpora.items()}
    if args.lesson:
        return direction_lesson(data, names, args, started)
    if not args.eval_only:
        model = TextClassifier(names, args).to(device)
    introduce(model, data, names, args, device)

    history, test = [], data["test"]
    if not args.eval_only:
        history, best = train(model, data, names, args)
        model.load_state_dict(best["weights"])

    logits, references = predict_logits(model, test), baselines(corpora)  # the first look at test
    scores, predicted = ru.classification_scores(logits, test.targets), logits.argmax(dim=1).cpu()
    epoch = f"epoch {best['epoch']}, {'chosen on validation' if args.patience else 'the last'}"
    scores["by_label"] = report(predicted, test, scores, references, names.labels, epoch)
    comparison = compare_directions(model, predicted, data, names, args) if args.compare else {}
    probes = fit_probes(model, data["train"])
    knows = probe_accuracy(model, probes, test)

    rows = instructive_texts(predicted, test)
    figures, title = [], " (embedded data)" if embedded else ""
    if not args.no_plots:
        figures = draw_figures(
            model, probes, rows, predicted, test, names.labels, history, references, args, title
        )
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        parameters=ru.count_parameters(model), history=history, best_epoch=best["epoch"],
        baselines=references, test=scores, compare=comparison, probes=knows,
        items_per_second=ru.items_per_second(len(history) * len(data["train"].lengths), history),
    )  # fmt: skip
    ru.print_files(args, figures)
    for text in args.predict or [" ".join(corpora["test"][row]) for row in rows]:
        print_prediction(model, names, args, text)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: `--lesson direction`.  In direction.png, from which word on is the backward
#    model sure?  Why does the forward one stay unsure to the end, when it has read the same?
# 2. Change one flag: `--pooling last`, then `--pooling naive`, with `--direction both` and with
#    `--direction backward`.  Why does one of the four fall so low?
# 3. Explain a failure: in `BidirectionalLSTM.forward` replace both `reverse(x, lengths)` by
#    `x.flip(1)`.  Which tests notice?  How far does the accuracy on TREC fall, and why not
#    further?  (What does `BucketBatchSampler` do to the padding?)
# 4. Modify the code: delete the last line of the loop in `describe_words`, so that a word is its
#    vocabulary entry alone.  What does validation lose, and for which unknown words of
#    `--predict` does the answer change?
# 5. An open question: how wide is the interval of `--compare`, and how many test questions would
#    show a difference of one point?  (How does its width depend on their number?)
