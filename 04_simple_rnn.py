"""04_simple_rnn: which of 18 languages does a surname come from?

The question    A name is a sequence of letters.  Can a network that reads one letter at a
                time, and keeps what it has read in a vector, tell where the name is from?
The number      0.817 of unseen names (mean of seeds 0, 1, 2).  Always answering "Russian"
                gets 0.521, and logistic regression on groups of letters 0.832: it wins.
Misconceptions  "It has weights for every letter."  The same W_x and W_h serve every step;
                that is why names may have any length.
                "`output` of nn.RNN is the prediction."  It holds the state after each step.
                "The state carries over to the next name."  It starts from 0 for each.

The vanilla RNN (Elman 1990), H hidden units, E numbers per letter, L languages:

    h_t = tanh(W_x x_t + W_h h_{t-1} + b)             h_0 = 0
    y   = W_y h_T + b_y                               softmax(y): probabilities

    x_t (E,)  the letter at step t          W_x (H, E)   letter to state
    h_t (H,)  the state after t letters     W_h (H, H)   state to next state
    y   (L,)  one score per language        W_y (L, H)   state to scores

    python 04_simple_rnn.py --epochs 20          # 72 s on a slow 2-core CPU, one core used

    data      names: 20,050 lines, 2,065 of them duplicates; 17,411 names remain, 477 of ...
    split     14,387 train, 1,809 val, 1,789 test; no name is in two of them
    epoch  train loss  acc    val loss  acc    macro-F1  grad norm  seconds
        1       1.521  0.570     0.979  0.719     0.168       2.18      4.0  *
       ...
       17       0.427  0.864     0.589  0.831     0.484       1.60      2.4  *
    test      accuracy 0.8150 of 1,789 names   macro-F1 0.492   loss 0.635   (epoch 17, ...
              accuracy 0.5210   majority label
              accuracy 0.8323   1-3-gram logistic regression
              accuracy 0.4388   the same network, the letters of each name shuffled

Writes metrics.json and four figures to outputs/04_simple_rnn/; look at letter_by_letter.png
first.  With --save-model also models/04_simple_rnn.pt, which then answers by itself:

    python 04_simple_rnn.py --path models/04_simple_rnn.pt --predict Trampotova

The gated cell of chapter 06 comes close to the baseline: `--cell gru` reached 0.830 (seed 0).
Next: 05_lstm_sentiment.py reads whole reviews, over which this cell forgets.
"""

from __future__ import annotations

import argparse
import random
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import rnn_utils as ru

import torch
import torch.nn.functional as F
from torch import nn

TUTORIAL = "04_simple_rnn"

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------

ALPHABET = "abcdefghijklmnopqrstuvwxyz '-"
# Letters that Unicode does not decompose into a plain letter and an accent.
SPELLED_OUT = str.maketrans(
    {"ß": "ss", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
    | {"æ": "ae", "œ": "oe", "’": "'"}
)


# Folding gives every spelling of a name one form, "Müller" and "MULLER" alike.  NFD splits
# "ü" into "u" and a combining accent, and what is not in the alphabet is then dropped.  It
# costs information (an umlaut is German), and gains a small alphabet in which every letter
# is frequent enough to be learned.
def fold(name: str) -> str:
    """Reduce a name to the 29 characters of ALPHABET; "" if none of it is left."""
    decomposed = unicodedata.normalize("NFD", name.lower().translate(SPELLED_OUT))
    kept = "".join(letter for letter in decomposed if letter in ALPHABET)
    return " ".join(kept.split())


def read_names_file(path) -> list[tuple[str, str]]:
    """Read `LABEL.txt`, one name per line; return (folded name, label) pairs."""
    pairs = []
    for number, line in enumerate(ru.read_text(path).splitlines(), start=1):
        if line.strip():
            pairs.append((fold_or_fail(line, path, number), Path(path).stem))
    return pairs


def fold_or_fail(name: str, path, line: int) -> str:
    folded = fold(name)
    if not folded:
        raise ru.UserError(f"{path}, line {line}: no letter from a to z in {name.strip()[:40]!r}")
    return folded


# --data takes either layout that a class is likely to have:
#     a folder    plants/Tree.txt, plants/Herb.txt ...       one name per line
#     a table     text,label
#                 oak,Tree
#                 dill,Herb
def read_own_names(path) -> list[tuple[str, str]]:
    """Read (folded name, label) pairs from a folder of LABEL.txt files or a CSV/TSV."""
    if not Path(path).is_dir():
        rows = ru.read_labelled_text(path)
        return [(fold_or_fail(row.text, path, row.line), row.label) for row in rows]
    files = sorted(Path(path).glob("*.txt"))
    if len(files) < 2:
        raise ru.UserError(
            f"{path}: {len(files)} .txt files in this folder; it takes one per label, two at least"
        )
    return [pair for file in files for pair in read_names_file(file)]


# The stand-in for a machine without a network: surnames put together from the syllables
# that give a language away.  Each row: how many to draw | first parts | middles | endings,
# where "-" is nothing and "_" a space.  Not as easy as it looks: -es is Spanish or
# Portuguese, -son English or Scottish, and one name in twelve has married into another
# language, so that nothing can reach 100 %.
SYLLABLES = {
    "Arabic": "400 | ab as ba fa ha ka kha ma na sa sha ta"
        " | - b l r d mm s | ad ari awi een i im our oun",
    "Chinese": "350 | b ch d f g h j l m q sh t w x y zh"
        " | - | an ang ao ei en eng i ia iang ing ong ou u ua un",
    "Czech": "800 | bar cer dvor fial hav jan kol kuc mar nov pro sed sva vav zem"
        " | - an ov | ak ek ec ik ka ny sky ova cek",
    "Dutch": "500 | van_ de_ van_den_ -"
        " | berg bos brink dijk groot haan heuvel kamp meer roos vliet wijk | - en er ma stra s",
    "English": "4000 | al ash brad chap dun ed ham hol lang nor pres red shel stan thorn wal wood"
        " | - ing er e | bury by croft don field ford ham ley man son ton well worth",
    "French": "500 | beau bel bou char cler de_ dela du fon gar la lam le mar mon rou"
        " | b ch d l m n r v | ais ard aud eau elle et ier in ois on",
    "German": "900 | acker bach baum berg eich fisch hart kauf klein kohl neu schnei schu stein"
        " | - en er | bach bauer berg er hoff mann meyer stein wald",
    "Greek": "350 | anton christ demetr georg kar kost mich nik pan pap theod vas"
        " | - a i | akis atos idis iou opoulos akos",
    "Irish": "350 | o' mc -"
        " | bran cal con don dun fin gal kean mur rei shea sul | - agh an ey igan ley ly ohue",
    "Italian": "900 | al bar bel cap de_ col fer gal lom mar mor ric ros sal tor"
        " | - an ar en et in | ani elli etti i ini one oni ucci a",
    "Japanese": "1200 | a fuji ha hashi i ka ki ko ma mi mori na o sa shi ta to ya yo"
        " | - ka ma na shi ta yama | da gawa hara i ki moto mura no saki shita ta yama",
    "Korean": "250 | b ch g h j k m n p s sh y"
        " | a eo i o u yeo | - h k n ng m",
    "Polish": "350 | boro dom gra jan kacz kamin kow krol lew maz now pio wisn zie"
        " | - al in ow | czak czyk ak ek icki ski wicz",
    "Portuguese": "250 | al bar car cor cos fer mar men mor per rod sil sou ten"
        " | - d n r v | a eira es eiro inho os",
    "Russian": "8000 | ab bel bog dem dob gal gor iv kar kuz lap maks nov pet pol rom sid tim vas"
        " | - an ar en ich il in ol | chenko ev evsky in ikov ko kin off ov ovich sky uk yov",
    "Scottish": "300 | mac mc -"
        " | al camp cul doug fer gil gor ken kin ross | - ald bell gus land las ley mour son",
    "Spanish": "500 | al bar cam cas cor fer gar gom her lo mar men mor per rod san"
        " | - an in ol | a ado ales arez ero es ez illo o os",
    "Vietnamese": "250 | b ch d h kh l ng ngh ph t th tr v x"
        " | - | a ai am an ang anh ao e i inh o on ong u uan uong uyen y",
}  # fmt: skip


def embedded_names() -> list[tuple[str, str]]:
    """Draw about 20,000 made-up (name, label) pairs, the same ones on every machine."""
    rng = random.Random(0)
    count, parts = {}, {}  # parts: language -> [first parts, middles, endings]
    for language, row in SYLLABLES.items():
        number, *texts = row.split(" | ")
        count[language] = int(number)
        parts[language] = [[part.replace("_", " ").strip("-") for part in t.split()] for t in texts]
    pairs = []
    for language, (firsts, middles, _) in parts.items():
        for _ in range(count[language]):
            origin = rng.choice(list(parts)) if rng.random() < 1 / 12 else language
            name = rng.choice(firsts) + rng.choice(middles) + rng.choice(parts[origin][2])
            pairs.append((fold(name), language))
    return pairs


def load_names(args: argparse.Namespace) -> tuple[list[tuple[str, str]], str, bool]:
    """Return (name, label) pairs, the name of the data set, and whether it is the stand-in."""
    if args.data:
        return read_own_names(args.data), args.data, False

    def real_names():
        filenames = ru.DATA_SETS["names"][1]
        files = [ru.data_file("names", name, args.data_dir, args.offline) for name in filenames]
        return [pair for file in files for pair in read_names_file(file)]

    return ru.load_or_embedded(args.dataset, "names", real_names, embedded_names)


def thin_out(pairs: list[tuple], max_examples: int | None) -> list[tuple[str, str]]:
    """For --max-examples: about so many distinct (name, label) pairs, each label's share kept.

    A label keeps at least 10 of its pairs.  The choice is the same in every run.
    """
    distinct = sorted(set(pairs))
    if not max_examples or max_examples >= len(distinct):
        return distinct
    random.Random(0).shuffle(distinct)
    share, of_label = max_examples / len(distinct), defaultdict(list)
    for pair in distinct:
        of_label[pair[1]].append(pair)
    kept = [rows[: max(10, round(share * len(rows)))] for rows in of_label.values()]
    return [pair for rows in kept for pair in rows]


# The names come with traps that have fooled many tutorials.  Arabic lists each of its 108
# names 8 to 28 times, so a random split puts the same line in train and test, and the network is
# praised for its memory.  And 477 names belong to several languages: if "abel" is French in
# train and English in test, the split leaks too.  So: fold, then remove duplicates, then
# split *by name*, so that all rows of a name stay together.
def split_by_name(pairs: list[tuple], source: str = "the data") -> dict[str, list[tuple]]:
    """Split distinct pairs 80/10/10 into train, val and test, label by label.

    No name is in two splits.  The split is the same whatever the seed, so a checkpoint
    never meets its training names in the test of a later run.
    """
    labels_of = defaultdict(list)
    for name, label in sorted(set(pairs)):
        labels_of[name].append(label)
    frequency = Counter(label for labels in labels_of.values() for label in labels)
    rarest, count = frequency.most_common()[-1]
    if count < 3:
        raise ru.UserError(
            f"{source}: the label {rarest[:40]!r} has {count} distinct names and needs at least 3: "
            "one each to train, validate and test; add names or remove the label"
        )
    # A name with several labels counts for the rarest: nearly all Scottish names here are
    # English as well, and every label should be tested.
    names_of = defaultdict(list)
    for name, labels in labels_of.items():
        names_of[min(labels, key=frequency.get)].append(name)
    rng = random.Random(0)
    splits = {"train": [], "val": [], "test": []}
    for _, names in sorted(names_of.items()):
        rng.shuffle(names)
        tenth = max(1, round(len(names) / 10))
        for position, name in enumerate(names):
            part = "test" if position < tenth else "val" if position < 2 * tenth else "train"
            splits[part] += [(name, label) for label in labels_of[name]]
    return splits


# From letters to numbers: "abe" -> [2, 12, 4], one index per letter, padded with 0 up to the
# longest name so that all names form one rectangle.  The lengths remember where each ends.
# The whole set fits in memory, so a batch is a few rows of a tensor.  (01's DataLoader would
# build each batch in Python; slicing tensors is faster.)
class Split(NamedTuple):
    """One split as tensors."""

    names: list[str]
    inputs: torch.Tensor  # (N, T) letter indices, padded with 0 at the end
    lengths: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N,) label indices


def encode(pairs, vocab: ru.Vocab, labels: list[str], device="cpu", source="the data") -> Split:
    """Turn (name, label) pairs into a Split; a label outside `labels` is a UserError."""
    ru.check_labels((label for _, label in pairs), labels, source)
    inputs, lengths = ru.pad_batch([vocab(name) for name, _ in pairs])
    targets = torch.tensor([labels.index(label) for _, label in pairs])
    names = [name for name, _ in pairs]
    return Split(names, inputs.to(device), lengths.to(device), targets.to(device))


# %% ------------------------------------------------------------------
# 2. Model
# ----------------------------------------------------------------------

EMBEDDING_SIZE = 64
LETTER_DROPOUT = 0.05
PAD, UNK = 0, 1  # where ru.Vocab puts <pad> and <unk>


# The whole vanilla RNN.  It differs from a feed-forward layer in one term, W_h h_{t-1}:
# the state of the step before is an input of this one.  nn.RNN computes exactly this in
# C++ (the tests compare outputs and gradients); train with this one by --from-scratch.
class HandWrittenRNN(nn.Module):
    """A one-layer tanh RNN with the interface of nn.RNN(batch_first=True).

    forward: (B, T, E) -> every state (B, T, H), and the last state (1, B, H).
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.W_x = nn.Linear(input_size, hidden_size)
        # No bias here: W_x already carries the single b.  (nn.RNN has two biases, and only
        # their sum matters.)
        self.W_h = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x_t: torch.Tensor, h_prev: torch.Tensor) -> torch.Tensor:
        """One letter: (B, E) and the state before it (B, H) -> the state after it (B, H)."""
        # h_t = tanh(W_x x_t + W_h h_{t-1} + b)
        return torch.tanh(self.W_x(x_t) + self.W_h(h_prev))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h_t = inputs.new_zeros(inputs.shape[0], self.hidden_size)  # (B, H), h_0 = 0
        states = []
        for x_t in inputs.unbind(dim=1):  # T tensors of (B, E)
            h_t = self.step(x_t, h_t)
            states.append(h_t)
        return torch.stack(states, dim=1), h_t[None]  # (B, T, H), (1, B, H)


CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


# The RNN turns a name of any length into one vector, h_T; an ordinary linear layer turns that
# into 18 scores.  There is no softmax here: the loss applies it (to logits, which is safer
# numerically), and so does whoever wants to read probabilities.
class NameClassifier(nn.Module):
    """Embedding -> recurrent layer -> state at the last letter -> scores of the languages."""

    def __init__(self, vocab_size: int, num_labels: int, args: argparse.Namespace):
        super().__init__()
        # W_x times a one-hot letter picks one column of W_x.  An embedding stores such
        # columns and looks them up; the layer after it mixes them further.
        self.embedding = nn.Embedding(vocab_size, EMBEDDING_SIZE, padding_idx=PAD)
        if args.from_scratch:
            self.rnn = HandWrittenRNN(EMBEDDING_SIZE, args.hidden_size)
        else:
            between = args.dropout if args.num_layers > 1 else 0.0  # nn.RNN warns about one layer
            options = {"num_layers": args.num_layers, "dropout": between, "batch_first": True}
            self.rnn = CELLS[args.cell](EMBEDDING_SIZE, args.hidden_size, **options)
        self.dropout = nn.Dropout(args.dropout)
        self.output = nn.Linear(args.hidden_size, num_labels)  # W_y and b_y
        if args.cell == "rnn":
            initialise(self.rnn)
        else:
            # The same for each gate; but an LSTM's forget gate starts open, or half of its
            # memory would be gone after each letter (chapter 05).
            ru.initialise_recurrent(self.rnn)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T) letters and (B,) lengths -> (B, L) logits."""
        states, _ = self.rnn(self.embedding(inputs))  # (B, T, H)
        # Pitfall: states[:, -1] is the state after the padding of all but the longest
        # name.  Read each name's state at its own last letter instead.
        rows = torch.arange(len(lengths), device=lengths.device)
        last = states[rows, lengths - 1]  # (B, H)
        return self.output(self.dropout(last))


# W_h is applied once per letter, so whatever it does to the length of a vector it does T
# times over.  An orthogonal matrix keeps lengths: the state neither dies out nor blows up
# at the start of training (Saxe et al. 2014).  nn.RNN's own default draws small uniform
# numbers, with which the state shrinks at every step; numbers too large drive tanh flat
# against +-1, where its slope is 0 and nothing learns.
@torch.no_grad()
def initialise(rnn: nn.RNN | HandWrittenRNN) -> None:
    """Make every recurrent matrix orthogonal and every bias zero, in place."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_hh") or name == "W_h.weight":
            nn.init.orthogonal_(parameter)
        elif "bias" in name:
            nn.init.zeros_(parameter)


# %% ------------------------------------------------------------------
# 3. Training and evaluation
# ----------------------------------------------------------------------


# Half of the names are Russian, and one in 250 is Vietnamese: a loss that adds up names can
# afford to ignore it.  Accuracy does not show that.  Macro-F1 does: the F1 score (the harmonic
# mean of precision and recall) of each language by itself, and then their plain mean.
# Weighting each name by 1 / frequency would give every language the same say, but 56 Vietnamese
# names cannot carry 130 times the weight of Russian ones: in our runs the network then learned
# them by heart and both measures fell.  The square root is the usual compromise.
def class_weights(targets: torch.Tensor, num_labels: int) -> torch.Tensor:
    """(N,) targets -> (L,) weights, 1 / sqrt(frequency), scaled so that their mean over N is 1."""
    counts = torch.bincount(targets, minlength=num_labels).clamp(min=1)
    weights = counts.float().rsqrt()
    return weights * len(targets) / weights[targets].sum()


# The five lines at the heart of every training loop of this course: logits (scores before
# softmax), loss (in nats: minus the natural logarithm of the probability of the true label),
# backward, clip, step.  Clipping scales a gradient that is too long down to a given length, so
# that one odd batch cannot throw the weights away.  The length before clipping is logged: when
# it grows from epoch to epoch, trouble is near before the loss shows it.
def train_epoch(model, split: Split, sampler, optimizer, weights, epoch: int, args) -> dict:
    """Make one pass over the training names; return what it measured."""
    model.train()
    sampler.set_epoch(epoch)
    total_steps, step = args.epochs * len(sampler), (epoch - 1) * len(sampler)
    loss_sum, num_correct, norm_sum = 0.0, 0, 0.0
    for indices in ru.progress(sampler, desc=f"epoch {epoch}"):
        # Names of similar length share a batch; cut away the padding they do not need.
        lengths, targets = split.lengths[indices], split.targets[indices]  # (B,), (B,)
        inputs = split.inputs[indices, : lengths.max()]  # (B, T)
        # Hide one letter in twenty behind <unk>.  The network learns not to rely on any single
        # letter, and <unk>, which no training name contains, gets a vector that means something.
        hidden = torch.rand(inputs.shape, device=inputs.device) < LETTER_DROPOUT
        inputs = inputs.masked_fill(hidden & (inputs != PAD), UNK)
        # The rate rises over the first tenth of all steps and then falls to 0, so each value of
        # --epochs has a course of its own from the first epoch on.
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, args.lr)

        logits = model(inputs, lengths)  # (B, L)
        # The mean is over names.  (With weight= and the default reduction, PyTorch divides
        # by the weights in the batch instead, and a batch of rare names counts no more.)
        loss = F.cross_entropy(logits, targets, weight=weights, reduction="sum") / len(indices)
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), args.clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item() * len(indices)
        num_correct += (logits.argmax(dim=1) == targets).sum().item()
    ru.check_finite(loss_sum, epoch)
    count = len(split.names)
    return {
        "train_loss": loss_sum / count,
        "train_accuracy": num_correct / count,
        "gradient_norm": norm_sum / len(sampler),
    }


# After each epoch the model answers the validation names, which it does not learn from.  The
# training loss always falls; when validation stops improving, what is still learned is the
# training names by heart.  So we keep the weights of the best validation epoch (marked *), and
# stop when there has been no better one for a while.  The test names take no part in this.
# In the first epochs training looks worse than validation: its figures are averages over an
# epoch in which the weights still changed, with dropout on.  Validation comes afterwards, with
# dropout off.
def train(model, data: dict[str, Split], vocab, labels, args) -> tuple[list[dict], dict]:
    """Train for up to `args.epochs`; return the history and the best epoch with its weights.

    "Best" is by validation accuracy, the measure that is reported at the end.
    """
    train_split, val_split = data["train"], data["val"]
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    sampler = ru.BucketBatchSampler(train_split.lengths.cpu(), args.batch_size, seed=args.seed)
    stopper = ru.EarlyStopping(args.patience, higher_is_better=True)
    weights = class_weights(train_split.targets, len(labels)) if args.class_weights else None
    config = ru.training_config(args)
    resumable = {"config": config, "model": model, "optimizer": optimizer, "stopper": stopper}
    history, best = [], {}
    if args.resume:
        record = ru.load_training_state(args.path, TUTORIAL, **resumable)
        history, best = record["history"], record["best"]

    print("\nepoch  train loss  acc    val loss  acc    macro-F1  grad norm  seconds")
    with ru.interruptible(args, history):
        while len(history) < args.epochs and not stopper.should_stop:
            started = time.perf_counter()
            row = {"epoch": len(history) + 1}
            row |= train_epoch(model, train_split, sampler, optimizer, weights, row["epoch"], args)
            row |= {f"val_{name}": value for name, value in evaluate(model, val_split).items()}
            row["seconds"] = round(time.perf_counter() - started, 3)
            improved = stopper.step(row["val_accuracy"])
            if improved:
                best = {"epoch": row["epoch"], "metrics": row, "weights": ru.snapshot(model)}
            if args.save_model:  # all that --predict needs, and beside it what --resume needs
                contents = {"vocab": vocab.get_itos(), "labels": labels}
                ru.save_epoch(args.path, TUTORIAL, resumable, [*history, row], best, **contents)
            # Last, so that Ctrl-C while saving does not count this epoch as finished.
            history.append(row)
            print_epoch(row, improved)
    if len(history) < args.epochs:
        print(f"stopped early: no better validation accuracy for {args.patience} epochs")
    return history, best


def print_epoch(row: dict, improved: bool) -> None:
    print(f"{row['epoch']:5d}  {row['train_loss']:10.3f}  {row['train_accuracy']:.3f}", end="  ")
    print(f"{row['val_loss']:8.3f}  {row['val_accuracy']:.3f}", end="  ")
    print(f"{row['val_macro_f1']:8.3f}  {row['gradient_norm']:9.2f}", end="  ")
    print(f"{row['seconds']:7.1f}{'  *' if improved else ''}", flush=True)


# eval() turns dropout off, no_grad() the bookkeeping for gradients.  Forgetting the first makes
# the measured accuracy random and too low; forgetting the second costs memory and time.
@torch.no_grad()
def predict_logits(model, split: Split, batch_size: int = 512) -> torch.Tensor:
    """Return the logits (N, L) of a split, dropout off."""
    model.eval()
    batches = zip(split.inputs.split(batch_size), split.lengths.split(batch_size))
    return torch.cat([model(inputs, lengths) for inputs, lengths in batches])


def evaluate(model, split: Split) -> dict[str, float]:
    """Measure loss (nats per name), accuracy and macro-F1 of a model on a split."""
    return ru.classification_scores(predict_logits(model, split), split.targets)


# What the network has to beat.  A logistic regression that counts groups of one to three
# letters knows "sch" and a final "ski", and no order beyond three letters.  On names that is
# most of what there is to know: a strong simple baseline keeps you honest.
def baselines(splits: dict[str, list]) -> dict[str, float]:
    """Return the test accuracy of the majority label and of character n-gram regression."""
    from sklearn.feature_extraction.text import CountVectorizer

    # "^" and "$" mark the ends of a name, so that a final "ov$" differs from "ov" within.
    ngrams = CountVectorizer(analyzer="char", ngram_range=(1, 3), preprocessor="^{}$".format)
    majority, regression = ru.linear_baselines(splits["train"], splits["test"], ngrams)
    return {"majority label": majority, "1-3-gram logistic regression": regression}


# %% ------------------------------------------------------------------
# 4. Looking inside
# ----------------------------------------------------------------------


# Back-propagation through time is the chain rule along the sequence.  Each step contributes
# one factor, dh_t / dh_{t-1} = w (1 - h_t^2), because tanh'(a) = 1 - tanh(a)^2.
def bptt_by_hand(w: float = 1.2, inputs: tuple[float, ...] = (0.5, -0.3, 0.8)) -> list[float]:
    """Print the factors of dh_3/dh_0 for a scalar RNN, and check their product by autograd."""
    print("\nBack-propagation through time, h_t = tanh(w h_{t-1} + x_t) with w = " + str(w))
    h_0 = torch.zeros((), dtype=torch.float64, requires_grad=True)
    h_t, product, factors = h_0, 1.0, []
    for t, x_t in enumerate(inputs, start=1):
        h_t = torch.tanh(w * h_t + x_t)
        factors.append(w * (1 - h_t.item() ** 2))
        product *= factors[-1]
        print(f"  t={t}  x={x_t:+.1f}  h={h_t.item():+.4f}  factor w(1 - h^2) = {factors[-1]:.4f}")
    (by_autograd,) = torch.autograd.grad(h_t, h_0)
    assert abs(product - by_autograd.item()) < 1e-12
    print(f"  product = dh_3/dh_0 = {product:.6f}, and autograd says {by_autograd.item():.6f}")
    return factors


# With many steps the product becomes a power.  In a network the factor is a matrix, and its
# spectral radius (the largest |eigenvalue|) takes the place of w: below 1 the gradient
# vanishes, above 1 it explodes, until tanh saturates and holds it back.
def gradient_through_steps(radius: float, steps: int = 50, hidden_size: int = 32) -> dict:
    """Back-propagate from h_50 to every state of an untrained RNN with a given radius.

    Returns the gradient norms |dL/dh_t|, t = 1..steps, and the norm of the gradient of all
    weights before and after clipping to 1.
    """
    generator = torch.Generator().manual_seed(0)
    cell = HandWrittenRNN(4, hidden_size)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 1e-3)
        orthogonal, _ = torch.linalg.qr(torch.randn(hidden_size, hidden_size, generator=generator))
        cell.W_h.weight.copy_(radius * orthogonal)  # every eigenvalue has |.| = radius
    inputs = torch.randn(steps, 1, 4, generator=generator)
    states = [torch.zeros(1, hidden_size)]
    for x_t in inputs:
        states.append(cell.step(x_t, states[-1]))
        states[-1].retain_grad()
    states[-1].sum().backward()
    norms = [float(state.grad.norm()) for state in states[1:]]
    before = ru.clip_gradients(cell.parameters(), 1.0)
    after = ru.clip_gradients(cell.parameters(), 0.0)  # measures only
    return {"norms": norms, "before_clipping": before, "after_clipping": after}


def gradient_lesson() -> dict[float, dict]:
    """Print how the gradient fares over 50 steps at three spectral radii; return the norms."""
    print("\nThe same over 50 steps, by spectral radius of W_h (untrained, small inputs)")
    print("  radius   |dL/dh_50|   |dL/dh_1|   weight gradient   after clipping to 1")
    results = {radius: gradient_through_steps(radius) for radius in (0.5, 1.0, 1.5)}
    for radius, result in results.items():
        print(f"  {radius:6.1f}   {result['norms'][-1]:10.1e}   {result['norms'][0]:9.1e}", end="")
        print(f"   {result['before_clipping']:15.1e}   {result['after_clipping']:19.1e}")
    print("  Clipping tames the explosion.  It cannot bring back a gradient that has vanished.")
    return results


# Is that a worry here?  Measure it on the trained network: how strongly would the loss react to
# a small change of the first letter's vector, compared with the last letter's?  Nine steps are
# few, and the factors of an orthogonal W_h are near 1.
def letter_gradients(model, split: Split, length: int = 9) -> list[float]:
    """How much each letter of names of one length moves the loss: mean |dL/dx_t| per t.

    Takes the commonest length where fewer than five names have `length` letters.
    """
    chosen = split.lengths == length
    if int(chosen.sum()) < 5:
        chosen = split.lengths == split.lengths.mode().values
        length = int(split.lengths.mode().values)
    model.eval()
    embedded = model.embedding(split.inputs[chosen, :length]).detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN differentiates in train mode only
        states, _ = model.rnn(embedded)  # (B, T, H)
    F.cross_entropy(model.output(states[:, -1]), split.targets[chosen]).backward()
    return embedded.grad.norm(dim=2).mean(dim=0).tolist()  # (T,)


def describe_letter_gradients(by_letter: list[float]) -> float | None:
    """Print and return how much gradient the first letter gets, relative to the last."""
    if by_letter[-1] == 0:
        print("  Here no gradient reaches the letters: the network is saturated.")
        return None
    ratio = by_letter[0] / by_letter[-1]
    print(f"  Here, in names of {len(by_letter)} letters, the first letter of a name gets", end=" ")
    print(f"{ratio:.2f} times the gradient of the last", end="")
    print(": so few steps do it no harm." if 0.1 < ratio < 10 else ".")
    return ratio


# Shuffling the letters of the test names leaves the network all the letters and takes away
# their order: the accuracy that is lost is what order was worth.
def shuffle_letters(split: Split) -> Split:
    """The same names, each with its letters in random order."""
    generator = torch.Generator().manual_seed(0)
    inputs = split.inputs.clone()
    for row, length in zip(inputs, split.lengths.tolist()):
        row[:length] = row[torch.randperm(length, generator=generator).to(row.device)]
    return split._replace(inputs=inputs)


# After every letter there is a state, so there is an answer to "what if the name ended
# here?": put each state, not only the last, through the output layer.  Pitfall: the network
# has learned from whole names only.  Its answer after one or two letters is worth little,
# however high the probability, for hardly any name it has seen ends there.
@torch.no_grad()
def read_letter_by_letter(model, vocab, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states (T, H) and the label probabilities (T, L) after each letter."""
    model.eval()
    device = model.output.weight.device
    states, _ = model.rnn(model.embedding(torch.tensor([vocab(name)], device=device)))
    return states[0].cpu(), model.output(states[0]).softmax(dim=1).cpu()


def print_prediction(model, vocab, labels: list[str], name: str) -> list[tuple[str, float]]:
    """Print the top-3 labels after each letter as bars; return those after the last."""
    folded = fold(name)
    _, probabilities = read_letter_by_letter(model, vocab, folded)  # (T, L)
    width = max(len(label) for label in labels)
    print(f"\n{name}" + ("" if folded == name.lower() else f", read as {folded!r}"))
    for t, row in enumerate(probabilities, start=1):
        top = [(float(row[index]), labels[index]) for index in row.argsort(descending=True)[:3]]
        others = ", ".join(f"{label} {p:.0%}" for p, label in top[1:])
        bar = f"{top[0][0]:4.0%} " + "#" * round(20 * top[0][0])
        prefix = folded[:t].replace(" ", "_")
        print(f"  {prefix:<{len(folded)}}  {top[0][1]:<{width}} {bar:<25}  {others}")
    return [(label, probability) for probability, label in top]


def instructive_names(model, vocab, split: Split, count: int = 3) -> list[str]:
    """Correctly classified test names on which the network changed its mind most often."""
    right = (predict_logits(model, split).argmax(dim=1) == split.targets).tolist()
    candidates = [name for name, correct in zip(split.names, right) if correct and len(name) < 11]

    def changes_of_mind(name: str) -> int:
        answers = read_letter_by_letter(model, vocab, name)[1].argmax(dim=1)
        return int((answers[1:] != answers[:-1]).sum())

    return sorted(candidates, key=changes_of_mind, reverse=True)[:count]


def plot_letter_by_letter(model, vocab, labels, test: Split, plt, title: str):
    """Above: the answer after each letter.  Below: the hidden units that move most."""
    names = instructive_names(model, vocab, test)
    size = (3.4 * len(names), 6)
    figure, grid = plt.subplots(2, len(names), figsize=size, squeeze=False, height_ratios=(3, 2))
    for (above, below), name in zip(grid.T, names):
        states, probabilities = read_letter_by_letter(model, vocab, name)  # (T, H), (T, L)
        top = probabilities.max(dim=0).values.argsort(descending=True)[:6]
        units = states.std(dim=0).argsort(descending=True)[:12]
        answers, best = probabilities[:, top].T, [labels[index] for index in top]
        hidden, numbers = states[:, units].T, units.tolist()
        bars = ("probability", "state h_t") if name == names[-1] else (None, None)
        ru.plot_heatmap(above, answers, best, name, bars[0], cmap="Blues", vmin=0, vmax=1)
        ru.plot_heatmap(below, hidden, numbers, name, bars[1], cmap="RdBu", vmin=-1, vmax=1)
        above.set_title(name)
        below.set(xlabel="letter read", ylabel="hidden unit")
    figure.suptitle(f"What does the network think after each letter?{title}")
    return figure


def plot_gradients(lesson: dict, by_letter: list[float], plt, title: str):
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for radius, result in lesson.items():
        left.plot(range(1, len(result["norms"]) + 1), result["norms"], label=f"radius {radius}")
    left.set(yscale="log", xlabel="step t", ylabel="|dL/dh_t|", title="50 steps, untrained")
    left.legend()
    right.bar(range(1, len(by_letter) + 1), by_letter, color=ru.BLUE)
    right.set(xlabel="letter t", ylabel="|dL/dx_t|", title=f"names, trained{title}")
    figure.suptitle("How much gradient reaches the first step?")
    return figure


# %% ------------------------------------------------------------------
# 5. Command line and main
# ----------------------------------------------------------------------

QUICK = {"dataset": "embedded", "epochs": 2, "hidden_size": 32, "max_examples": 2000}


def name_argument(text: str) -> str:
    """Refuse a name without Latin letters at once, not after training."""
    if not fold(text):
        raise argparse.ArgumentTypeError(f"no letter from a to z in {text!r}; transcribe it")
    return text


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--epochs", type=ru.at_least(1), default=20, help="passes over the training names")
    add("--predict", nargs="+", action="extend", metavar="NAME", type=name_argument,
        help="where is it from?")  # fmt: skip
    auto = "auto: names, or embedded data where it is not available"
    add("--dataset", choices=("auto", "names", "embedded"), default="auto", help=auto)
    own = "a CSV or TSV of your own with columns text,label, or a folder of LABEL.txt files"
    add("--data", metavar="PATH", help=own)
    quick = "a tiny run on embedded data, to see that it works"
    add("--quick", action="store_true", help=quick)

    add = parser.add_argument_group("model and training").add_argument
    add("--cell", choices=tuple(CELLS), default="rnn", help="the recurrent layer")
    add("--from-scratch", action="store_true", help="train HandWrittenRNN instead of nn.RNN")
    add("--hidden-size", type=ru.at_least(1), default=256, help="numbers in the state h_t")
    add("--num-layers", type=ru.at_least(1), default=1, help="stacked recurrent layers")
    add("--dropout", type=ru.between(0, 0.95), default=0.5, help="share of activations zeroed")
    add("--lr", type=ru.between(0, 10, open_low=True), default=2e-3, help="peak learning rate")
    add("--batch-size", type=ru.at_least(1), default=64, help="names in memory at a time")
    add("--clip", type=ru.between(0), default=1.0, help="largest gradient norm; 0: no clipping")
    patience = "epochs without improvement before stopping; 0: never stop early"
    add("--patience", type=ru.at_least(0), default=6, help=patience)
    add("--class-weights", action="store_true", help="let rare languages count for more")
    add("--max-examples", type=ru.at_least(1), metavar="N", help="use about N of the names")
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=1)

    args = ru.parse_arguments(parser, argv, QUICK)
    if args.from_scratch and (args.cell != "rnn" or args.num_layers != 1):
        parser.error("--from-scratch is one layer of --cell rnn; drop the other flag")
    return args


def load_model(path, device) -> tuple[NameClassifier, ru.Vocab, list[str], dict]:
    """Rebuild the model of a checkpoint; return it with its vocabulary, labels and record."""
    checkpoint = ru.load_checkpoint(path, TUTORIAL)
    with ru.restoring(path):
        vocab, labels = ru.Vocab(checkpoint["vocab"]), checkpoint["labels"]
        settings = argparse.Namespace(**checkpoint["config"])
        model = NameClassifier(len(vocab), len(labels), settings)
        model.load_state_dict(checkpoint["weights"])
    return model.to(device), vocab, labels, checkpoint


def prepare_data(args) -> tuple[dict[str, list], bool]:
    """Load, thin out and split the names, and say what they are like."""
    pairs, args.dataset, embedded = load_names(args)
    distinct = set(pairs)
    labels_per_name = Counter(name for name, _ in distinct)
    cross = sum(count > 1 for count in labels_per_name.values())
    print(f"{'data':<10}{args.dataset}: {len(pairs):,} lines", end="")
    print(f", {len(pairs) - len(distinct):,} of them duplicates;", end=" ")
    print(f"{len(labels_per_name):,} names remain, {cross:,} of them in several languages")
    splits = split_by_name(thin_out(pairs, args.max_examples), args.dataset)
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in splits.items())
    print(f"{'split':<10}{sizes}; no name is in two of them")
    return splits, embedded


def introduce(model, data: dict[str, Split], vocab, labels, args, device) -> None:
    """Print the settings, the size of the model, and three names as the network gets them."""
    ru.print_configuration(args, device)
    print(f"{'model':<10}{args.cell}, {ru.count_parameters(model):,} parameters")
    split = data["train"]
    print(f"{'batch':<10}three of the training names, as padded letter indices:")
    width = int(split.lengths[:3].max())
    for letters, length, target in zip(split.inputs[:3], split.lengths, split.targets):
        indices = " ".join(f"{index:2d}" for index in letters[:width].tolist())
        decoded = "".join(vocab.lookup_tokens(letters[:length]))
        print(f"{'':<10}{indices}  = {decoded}, {labels[target]}")


def report(test: dict, count: int, references: dict, shuffled: float, best_epoch: int) -> None:
    print(f"\n{'test':<10}accuracy {test['accuracy']:.4f} of {count:,} names", end="")
    print(f"   macro-F1 {test['macro_f1']:.3f}   loss {test['loss']:.3f}", end="")
    print(f"   (epoch {best_epoch}, chosen on validation)")
    for name, accuracy in references.items():
        print(f"{'':<10}accuracy {accuracy:.4f}   {name}")
    print(f"{'':<10}accuracy {shuffled:.4f}   the same network, the letters of each name shuffled")


def draw_figures(model, test: Split, vocab, labels, history, references, gradients, args, title):
    """Draw and save every figure; return their paths."""
    plt = ru.get_pyplot(args.show)
    predicted = predict_logits(model, test).argmax(dim=1).cpu()
    confusion = ru.plot_confusion(test.targets.cpu(), predicted, labels)
    confusion.suptitle(f"Which languages are confused?{title}")
    figures = {
        "letter_by_letter": plot_letter_by_letter(model, vocab, labels, test, plt, title),
        "confusion_matrix": confusion,
        "gradients": plot_gradients(*gradients, plt, title),
    }
    if history:  # --eval-only has none
        curves = ru.plot_history(history, "loss (nats per name)", references)
        curves.suptitle(f"Does the network still learn, or does it memorise?{title}")
        figures["training_curves"] = curves
    return ru.save_figures(figures, args)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, vocab, labels, _ = load_model(args.path, ru.get_device(args.device))
        return {name: print_prediction(model, vocab, labels, name) for name in args.predict}

    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: which language does a surname come from?\n")
    if args.eval_only:
        model, vocab, labels, best = load_model(args.path, device)
        ru.take_trained_settings(args, best["config"])
    splits, embedded = prepare_data(args)
    if not args.eval_only:
        vocab = ru.Vocab.build(name for name, _ in splits["train"])  # a name is its letters
        labels = sorted({label for rows in splits.values() for _, label in rows})
        model = NameClassifier(len(vocab), len(labels), args).to(device)
    data = {part: encode(splits[part], vocab, labels, device, args.dataset) for part in splits}
    introduce(model, data, vocab, labels, args, device)

    history = []
    if not args.eval_only:
        history, best = train(model, data, vocab, labels, args)
        model.load_state_dict(best["weights"])

    # The first look at the test names: nothing is chosen from here on.
    test = evaluate(model, data["test"])
    references = baselines(splits)
    shuffled = evaluate(model, shuffle_letters(data["test"]))["accuracy"]
    report(test, len(data["test"].names), references, shuffled, best["epoch"])

    bptt_by_hand()
    gradients = gradient_lesson(), letter_gradients(model, data["test"])
    first_to_last = describe_letter_gradients(gradients[1])

    figures, title = [], " (embedded data)" if embedded else ""
    if not args.no_plots:
        figures = draw_figures(
            model, data["test"], vocab, labels, history, references, gradients, args, title
        )
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        parameters=ru.count_parameters(model), history=history, best_epoch=best["epoch"],
        baselines=references, test={**test, "accuracy_shuffled_letters": shuffled},
        gradient_first_to_last_letter=first_to_last,
        items_per_second=ru.items_per_second(len(history) * len(data["train"].names), history),
    )  # fmt: skip
    ru.print_files(args, figures)
    for name in args.predict or []:
        print_prediction(model, vocab, labels, name)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: `--cell gru`, and `--hidden-size 16`.  Which of them changes the
#    number of parameters more, and which the test accuracy?
# 2. Change one flag: `--class-weights`.  What happens to accuracy and to macro-F1, and to the
#    rows of confusion_matrix.png?  (Of Vietnamese and Scottish names, 7 and 10 are in the test:
#    how far can one such row be trusted?)
# 3. Explain a failure: in `NameClassifier.forward` read `states[:, -1]` instead.  Pad one name
#    to 10 and to 20 letters and compare its logits.  Then run the tests of this script: which
#    of them notice, and what does each of them compare?
# 4. Modify the code: in `initialise`, give `orthogonal_` a gain of 0.5, then of 3, and train
#    with `--epochs 1`.  The loss hardly notices 0.5, because names are short; gradients.png
#    does.  What does each gain do to the first letter's gradient, and why does 3 harm the loss?
# 5. An open question: "Abel" belongs to five languages in these data, and each name
#    counts once per language.  What is the best accuracy that any classifier can reach on
#    such names, and what would you report in place of accuracy?
