"""08_seq2seq_basic: can one vector carry a whole sequence from one network to another?

The question    So far a sequence gave one label.  Now the answer is itself a sequence, with its
                own length and order: 31415 -> 51413, or English -> French.
The number      0.996 of unseen numbers of 1 to 20 digits are reversed without a mistake, 0.22 of
                those of 25 digits, none of those of 30 (seed 0).

The encoder-decoder (Sutskever et al. 2014, Cho et al. 2014), with the LSTM of chapter 05:

    h_s, c_s = LSTM_enc(x_s, h_{s-1}, c_{s-1})        s = 1..S      h_0 = c_0 = 0
    d_t, e_t = LSTM_dec(y_{t-1}, d_{t-1}, e_{t-1})    t = 1..T      d_0 = h_S, e_0 = c_S
    p(y_t | y_1 ... y_{t-1}, x) = softmax(W d_t + b)                y_0 = <bos>, y_T = <eos>

    x_s, y_t (E,)  embedded tokens of source and target     W (V, H)  state to scores of tokens
    h, c, d, e (H,)  states of encoder and decoder          S, T, V   lengths, vocabulary

    python 08_seq2seq_basic.py --epochs 30          # 75 s on a laptop, one core used

    data      reverse: 13,751 train, 1,718 val, 1,718 test, 1,000 longer; 14 characters in ...
    epoch   train loss   grad norm   val loss   val forced accuracy   ...
        1        2.172        1.12      1.693                 0.423   ...  *
       ...
       30        0.003        0.03      0.002                 1.000   ...  *
    test      loss 0.0021   forced accuracy 0.9997   token accuracy 0.9991   exact match 0.9959 ...
              exact match 0.0064   source unchanged
              exact match 0.0000   translation memory

    python 08_seq2seq_basic.py --compare capacity --epochs 10
    python 08_seq2seq_basic.py --task translate               # Multi30k, English to French

It writes metrics.json and three figures to outputs/08_seq2seq_basic/.  Look at by_length.png
first.  With --save-model it also writes models/08_seq2seq_basic.pt, which then answers alone:

    python 08_seq2seq_basic.py --path models/08_seq2seq_basic.pt --predict 31415

Next: 09_attention_mechanism.py lets the decoder look back at the source.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import rnn_baselines as rb
import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "08_seq2seq_basic"


# %% [markdown]
# ## 1. Data
# Each example is a pair of sequences, a source and a target, cut into tokens: words and
# punctuation marks of a sentence, or single characters.
#
# Three toy tasks have answers that a line of Python knows.  Each isolates one thing that a
# translator must be able to do: keep everything in memory (`copy`), put it into another order
# (`reverse`), combine what is far apart (`add`, where a carry runs from right to left).
#
# The fourth task, `translate`, takes English and French captions of photographs (Multi30k), or
# sentences of your own.
# %%
def right_answer(source: str, task: str) -> str:
    if task == "add":
        return str(sum(int(number) for number in source.split("+")))
    if task == "reverse":
        return source[::-1]
    return source


def draw_pairs(task: str, count: int, lengths, seed: int = 0) -> list[tuple[tuple, tuple]]:
    """Draw up to `count` different (source, target) pairs of a toy task, tuples of characters.

    The number of digits is drawn from `lengths`; for `add`, once for each of the two numbers.
    """
    if task == "add":
        sources = draw_sums(count, lengths, seed)
    else:
        sources = rd.digit_strings(count, lengths, seed)
    return [(tuple(source), tuple(right_answer(source, task))) for source in dict.fromkeys(sources)]


def draw_sums(count: int, lengths, seed: int) -> list[str]:
    """Draw `count` strings like "12+7", in which no number begins with 0."""
    rng = random.Random(seed)
    sums = []
    for _ in range(count):
        numbers = [rng.randrange(10 ** (n - 1), 10**n) for n in rng.choices(lengths, k=2)]
        sums.append(f"{numbers[0]}+{numbers[1]}")
    return sums


# %% [markdown]
# ### New pairs in every epoch
# A toy task never runs out of examples.  So each epoch draws new ones, and there is nothing to
# learn by heart: even the training loss is about pairs that the network has not seen.
#
# A number of n digits is drawn n times as often as one of a single digit.  Long numbers are
# hard, and of short ones there are few.  (Validation and test draw all lengths alike.)  Pairs
# whose source is in validation or test are left out.
# %%
def fresh_pairs(task: str, count: int, digits: int, seed: int, splits: dict, vocabs, device):
    """Return a function that draws about `count` training pairs for an epoch, as a PairSplit.

    The same epoch of the same seed gets the same pairs, so a resumed run repeats them.
    Sentences cannot be drawn: for `translate` there is no such function, but None.
    """
    if task == "translate":
        return None
    held_out = {source for source, _ in splits["val"] + splits["test"]}
    lengths = []
    for length in range(1, digits + 1):
        lengths += [length] * length

    def draw(epoch: int) -> ru.PairSplit:
        pairs = draw_pairs(task, count, lengths, seed * 1_000_003 + epoch)
        new = [(source, target) for source, target in pairs if source not in held_out]
        return ru.encode_pairs(new, vocabs[0], vocabs[1], device)

    return draw


# %% [markdown]
# ### From tokens to numbers
# Source and target have a vocabulary each, made from the training pairs only.  Index 0 is
# padding and 1 the unknown token, as before.  A decoder needs two more special tokens:
#
# - `<bos>` (index 2, beginning of sequence) is the token that it reads before it has written any;
# - `<eos>` (index 3, end of sequence) is the token that it writes when it is done.  Nobody tells
#   it how long the answer is, so it must learn to stop.
#
# `ru.encode_pairs` puts them around each target: "51" becomes <bos> 5 1 <eos>.
#
# **One target has two roles.**  At each step the decoder reads a token and has to write the next:
# it reads <bos> 5 1 and writes 5 1 <eos>.  So all but the last token are its input, and all but
# the first are its goal.
#
# ## 2. Model
# ### Encoder, one vector, decoder
# There are two networks.  The encoder reads the source and writes nothing.  The state in which
# it ends, h and c, has 2H numbers, however long the source is.  The decoder starts from this
# state and from then on never sees the source.  Otherwise it is a network that predicts the next
# token of the target.
#
# **Misconception: "The decoder sees the source."**  It sees the two vectors and no more than
# these, whether the source has 3 tokens or 30.
#
# ### Teacher forcing
# In training, the decoder reads the *right* token at each step, even if it has just written a
# wrong one.  Then all its inputs are known beforehand, and one call runs the whole target.
#
# **Misconception: "Teacher forcing is cheating."**  It is for training only.  In use, the decoder
# reads the tokens that it has written itself, mistakes included.  It has never practised that.
# Scheduled sampling (Bengio et al. 2015) lets it read its own tokens at some steps of the
# training (exercise 4).
# %%
class Seq2Seq(nn.Module):
    """Encoder LSTM -> its last state -> decoder LSTM -> scores of the next token.

    source_size      tokens in the vocabulary of the sources, padding (index 0) included
    target_size      V, the same for the targets
    hidden_size      H, numbers in each of h and c, in both networks
    dropout          the share of numbers that training sets to 0, in the embedded tokens and
                     in the decoder's states
    embedding_size   E, numbers per token
    """

    def __init__(self, source_size, target_size, hidden_size=128, dropout=0.0, embedding_size=32):
        super().__init__()
        self.source_embedding = nn.Embedding(source_size, embedding_size, padding_idx=0)
        self.target_embedding = nn.Embedding(target_size, embedding_size, padding_idx=0)
        self.encoder = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.decoder = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, target_size)  # W and b

    def encode(self, sources: torch.Tensor, lengths: torch.Tensor):
        """(B, S) tokens and (B,) lengths -> the state (h, c) after each last token."""
        embedded = self.dropout(self.source_embedding(sources))  # (B, S, E)
        if lengths.min() == lengths.max():  # the usual case here: batches of one length
            _, state = self.encoder(embedded[:, : lengths[0]])
        else:
            # Pitfall: the state at the end of a row has read the padding too.  A packed
            # sequence stops each row at its own length.  It is right, and slow on a CPU.
            packed = pack_padded_sequence(
                embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            _, state = self.encoder(packed)
        return state  # h and c, each (1, B, H)

    def decode(self, tokens: torch.Tensor, state):
        """(B, T) tokens to read and the state before them -> (B, T, V) logits, state after."""
        embedded = self.dropout(self.target_embedding(tokens))  # (B, T, E)
        states, state = self.decoder(embedded, state)  # (B, T, H), and h and c, each (1, B, H)
        return self.output(self.dropout(states)), state

    def forward(self, sources, lengths, targets) -> torch.Tensor:
        """Teacher forcing: (B, S), (B,), (B, T + 1) with <bos> and <eos> -> (B, T, V) logits."""
        state = self.encode(sources, lengths)
        logits, _ = self.decode(targets[:, :-1], state)  # reads all but the last token
        return logits


# %% [markdown]
# ## 3. Training and evaluation
# ### The loss
# The loss is the mean of -log p(right next token).  Targets of a batch differ in length, and
# there is nothing to predict in the padding behind the short ones.  So we keep only the scores
# at real tokens: a mask picks N of the B x T positions.
# %%
def predict_next(model, split: ru.PairSplit, rows: list[int]):
    """Return the logits (N, V) and the right tokens (N,) at the N real steps of some rows."""
    lengths = split.source_lengths[rows]  # (B,)
    sources = split.sources[rows, : lengths.max()]  # (B, S)
    targets = split.targets[rows, : split.target_lengths[rows].max()]  # (B, T + 1)
    logits = model(sources, lengths, targets)  # (B, T, V)
    wanted = targets[:, 1:]  # (B, T), the decoder's input shifted by one
    real = wanted != ru.PAD
    return logits[real], wanted[real]


# %% [markdown]
# ### One epoch
# The six lines of chapter 04.  A batch holds sources of one length only.  So the encoder needs no
# packing, and no step is wasted on padding.
# %%
def train_epoch(
    model, split: ru.PairSplit, optimizer, epoch: int, epochs: int, lr: float, batch_size: int,
    clip: float, seed: int,
) -> tuple[float, float]:  # fmt: skip
    """Train on every pair once; return the mean loss (nats per token) and gradient norm."""
    model.train()
    sampler = ru.BucketBatchSampler(split.source_lengths.cpu(), batch_size, equal=True, seed=seed)
    sampler.set_epoch(epoch)
    total_steps = epochs * len(sampler)
    step = (epoch - 1) * len(sampler)
    loss_sum = 0.0
    num_tokens = 0
    norm_sum = 0.0
    for rows in ru.progress(sampler, desc=f"epoch {epoch}"):
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, lr)

        logits, wanted = predict_next(model, split, rows)  # (N, V), (N,)
        loss = F.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item() * len(wanted)
        num_tokens += len(wanted)
    ru.check_finite(loss_sum, epoch)
    return loss_sum / num_tokens, norm_sum / len(sampler)


# %% [markdown]
# ### Evaluation with teacher forcing
# After each epoch we measure the loss on validation, and forced accuracy: how often the likeliest
# next token is the right one, if all tokens before it are right.
# %%
@torch.no_grad()
def evaluate(model, split: ru.PairSplit) -> dict[str, float]:
    """Measure loss (nats per token) and accuracy with teacher forcing."""
    model.eval()
    loss_sum = 0.0
    num_right = 0
    num_tokens = 0
    for rows in ru.BucketBatchSampler(split.source_lengths.cpu(), 256, equal=True):
        logits, wanted = predict_next(model, split, rows)  # (N, V), (N,)
        loss_sum += F.cross_entropy(logits, wanted, reduction="sum").item()
        num_right += int((logits.argmax(dim=1) == wanted).sum())
        num_tokens += len(wanted)
    return {"loss": loss_sum / num_tokens, "forced_accuracy": num_right / num_tokens}


# %% [markdown]
# ### Greedy decoding
# In use there is no target to read: the decoder reads the token that it has just written.
# Greedy decoding takes the likeliest token at each step.  (Chapter 09 shows beam search.)  A whole
# batch goes through each step together.  A row that has written <eos> runs on until the last row
# is done, and what it writes after its <eos> is cut off.
# %%
@torch.no_grad()
def greedy(model, sources, lengths, max_length: int) -> torch.Tensor:
    """(B, S), (B,) -> (B, T) tokens written, T at most `max_length`; <eos> ends an answer."""
    state = model.encode(sources, lengths)
    token = sources.new_full((len(sources), 1), ru.BOS)  # (B, 1)
    done = torch.zeros_like(token, dtype=torch.bool)
    written = []
    for _ in range(max_length):
        logits, state = model.decode(token, state)  # (B, 1, V)
        token = logits.argmax(dim=2)  # (B, 1)
        written.append(token)
        done = done | (token == ru.EOS)
        if done.all():
            break
    return torch.cat(written, dim=1)


def answer(model, split: ru.PairSplit, target_vocab, max_length: int) -> list[tuple]:
    """Answer each source of a split, without a look at its target, by a tuple of tokens."""
    model.eval()
    outputs = [()] * len(split.pairs)
    for rows in ru.BucketBatchSampler(split.source_lengths.cpu(), 256, equal=True):
        lengths = split.source_lengths[rows]
        written = greedy(model, split.sources[rows, : lengths[0]], lengths, max_length)
        for row, line in zip(rows, written.tolist()):
            if ru.EOS in line:
                line = line[: line.index(ru.EOS)]
            outputs[row] = tuple(target_vocab.lookup_tokens(line))
    return outputs


# %% [markdown]
# ### The training loop
# It is the loop of chapter 04.  The best epoch is the one with the lowest validation loss.
# Scores of whole answers are too coarse for that: in short runs, or on few pairs, they stay at
# 0 for many epochs, while the loss already falls.
#
# **Misconception: "A low loss means good answers."**  The loss is measured with the right tokens
# before every step, and the answers are written without them.  After one mistake, the decoder
# reads a beginning that it may never have met in training.  So at the end, and only there, we let
# the best network answer and count:
#
# - *exact match*: the share of answers in which nothing is wrong.  It is the honest measure where
#   there is one right answer.  If each of 20 tokens is right in 99 % of cases, about 0.99^20 =
#   82 % of the answers are.
# - *token accuracy*: the share of target tokens that have the same place in the answer.
# - *BLEU*: a sentence has many right translations, and one word too many shifts all that follow.
#   So BLEU counts groups of words wherever they stand (its formula is in `rb.bleu`).  Ours is
#   computed on lower-case tokens; do not compare it with published figures.
# %%
def train(
    model, train_split: ru.PairSplit, val_split: ru.PairSplit, epochs: int, lr: float,
    batch_size: int, clip: float, patience: int, seed: int, about: dict, path=None,
    save_model=False, resume=False, draw=None,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`, and leave `model` with the weights of the best epoch.

    Returns the history and the best epoch.  With `save_model`, everything is saved at `path`
    after each epoch, together with `about`.  In a toy task, `draw(epoch)` makes the training
    pairs of an epoch.
    """
    ru.initialise_recurrent(model.encoder)  # orthogonal matrices, open forget gates (04, 05)
    ru.initialise_recurrent(model.decoder)
    # Adam divides by a running mean of squared gradients.  0.98 lets it follow within 50 steps,
    # in place of 1,000, which helps in short runs.
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.98))
    history = []
    best = {"epoch": 0, "loss": float("inf")}
    if resume:
        history, best = ru.resume(path, TUTORIAL, about, model, optimizer, "loss")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no lower validation loss for {patience} epochs")
            break
        started = time.perf_counter()
        if draw:
            train_split = draw(epoch)
        train_loss, gradient_norm = train_epoch(
            model, train_split, optimizer, epoch, epochs, lr, batch_size, clip, seed
        )
        val = evaluate(model, val_split)
        history.append({
            "epoch": epoch, "train_loss": train_loss, "gradient_norm": gradient_norm,
            "val_loss": val["loss"], "val_forced_accuracy": val["forced_accuracy"],
            "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip
        if val["loss"] < best["loss"]:
            best = {"epoch": epoch, "loss": val["loss"], "weights": ru.snapshot(model)}
        if save_model:
            ru.save_epoch(path, TUTORIAL, about, best, history, model, optimizer)
        ru.print_epoch(history[-1], best["epoch"])
    model.load_state_dict(best["weights"])
    return history, best


# %% [markdown]
# ### What the network has to beat
# Two answers need no network: the source itself, unchanged, and the target of the most similar
# source in training (a translation memory).  In a toy task, `right_answer` would score 1.
#
# ## 4. Looking inside
# ### At which length does it fail?
# There are two failures to be told apart.
#
# - *Generalisation*: the source is longer than any in training.  The network fails there even if
#   its state has room enough, for it has never practised such lengths.  In a toy task we draw
#   longer numbers to see it.
# - *Capacity*, the bottleneck: the source is as long as those in training, and 2H numbers are too
#   few to hold it.  `--compare capacity` trains four sizes of the state.  Where a small one fails
#   inside the lengths of training, and a larger one does not, room is what it lacked.
#   `--task translate` shows it as well: the longer the sentence, the lower BLEU.
# %%
def score_test(model, data: dict, vocabs, level, max_length, note: str) -> tuple:
    """Answer the sources of test, the first look at it; print the scores, and those by length.

    Returns the scores, the baselines, the answers, and {source length: score}.
    """
    scores = evaluate(model, data["test"])
    outputs = answer(model, data["test"], vocabs[1], max_length)
    scores, baselines = rb.report_answers(data, outputs, scores, level, note)
    curve = score_by_length(model, data, "test", outputs, vocabs, level, max_length)
    rb.print_by_length(curve, "test", level)
    return scores, baselines, outputs, curve


def score_by_length(model, data: dict, part: str, outputs, vocabs, level, max_length) -> dict:
    """Return {source length: score} for the answers to a part of the data, "val" or "test".

    The longer numbers of a toy task are answered, too.  Of sentences there are few of one
    length, so four lengths are put together.
    """
    measure = rb.main_measure(level)
    pairs = data[part].pairs
    if "longer" not in data:
        return rb.scores_by_length(pairs, outputs, measure, width=4, fewest=20)
    further = answer(model, data["longer"], vocabs[1], max_length)
    return rb.scores_by_length(pairs + data["longer"].pairs, outputs + further, measure)


def compare_capacity(fit, data: dict, vocabs, level: str, dropout: float, max_length: int) -> dict:
    """Train a network of each hidden size by `fit`; return {name: its history and curve}.

    All else stays the same: pairs, seed, epochs, schedule.  Scores are those on validation.
    """
    results = {}
    for hidden_size in (16, 32, 64, 128):
        name = f"hidden size {hidden_size}"
        print(f"\n{name}")
        model = Seq2Seq(len(vocabs[0]), len(vocabs[1]), hidden_size, dropout)
        history, _ = fit(model.to(data["val"].sources.device))
        outputs = answer(model, data["val"], vocabs[1], max_length)
        curve = score_by_length(model, data, "val", outputs, vocabs, level, max_length)
        results[name] = {"history": history, "by_length": curve}
    for name, result in results.items():
        rb.print_by_length(result["by_length"], f"validation, {name}", level)
    return results


# %% [markdown]
# ### What the one vector knows
# The encoder's last state is a point in 2H dimensions.  Principal components are the directions
# in which points differ most.  Among short numbers of one length, most of that difference is due
# to the digit that has to be written first: in the figure, equal digits lie together.
# %%
def principal_components(states: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N, 2): the points along the two directions of most variance."""
    centred = states - states.mean(dim=0)
    return centred @ torch.linalg.svd(centred).Vh[:2].T


@torch.no_grad()
def plot_states(model, split: ru.PairSplit, unit: str, title: str, plt):
    """Draw the last states of all sources of one length, coloured by the first target token."""
    model.eval()
    # The shortest length with at least 60 sources, so that there is something to see.
    counts = split.source_lengths.bincount()
    length = int((counts >= min(60, int(counts.max()))).nonzero()[0])
    rows = (split.source_lengths == length).nonzero()[:, 0]
    h, c = model.encode(split.sources[rows], split.source_lengths[rows])  # each (1, N, H)
    x, y = principal_components(torch.cat([h[0], c[0]], dim=1).cpu()).T  # (N, 2H) -> 2 x (N,)
    first = [split.pairs[row][1][0] for row in rows.tolist()]
    kinds = sorted(set(first))
    colors = [kinds.index(token) for token in first]
    figure, axes = plt.subplots(figsize=(6.5, 4.6))
    dots = axes.scatter(x, y, c=colors, s=20, cmap=plt.get_cmap("tab10", len(kinds)))
    figure.colorbar(dots, label="first token to be written").set_ticks(
        range(len(kinds)), labels=kinds
    )
    axes.set(xlabel="1st principal component", ylabel="2nd")
    axes.set_title(f"What does the state know after {length} {unit}?{title}")
    return figure


# %% [markdown]
# ## 5. Command line and main
# `--data` takes pairs of your own, one a line, separated by a tab; further columns are ignored.
# It also takes two files, with a sentence and its translation in the same line of each.
#
#     go on!          continue !
#     i am cold.      j'ai froid.
#     who is there?   qui est là ?
# %%
TOY = {"hidden_size": 128, "dropout": 0.0, "batch_size": 32, "lr": 6e-3, "patience": 0}
TRANSLATE = {"hidden_size": 256, "dropout": 0.4, "batch_size": 64, "lr": 2e-3, "patience": 4}
QUICK = {"dataset": "embedded", "epochs": 4, "hidden_size": 32, "max_examples": 2000, "digits": 4}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    tasks = ("reverse", "copy", "add", "translate")
    add("--task", choices=tasks, help="without it: reverse, or translate with --data")
    add("--predict", nargs="+", metavar="TEXT", help="answer these")
    add("--digits", type=ru.at_least(1), help="longest number in training (20; add: 2)")
    add("--max-length", type=ru.at_least(2), default=60, help="longest answer, in tokens")
    add("--compare", choices=("capacity",), help="also train networks of four hidden sizes")
    ru.add_training_flags(parser, epochs=30, clip=1, **TOY)
    own = "pairs of your own, to translate: a file with tabs, or two parallel files"
    ru.add_data_flags(parser, "multi30k", own, columns=None)
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser)

    args = ru.parse_arguments(parser, argv, QUICK)
    sentences = args.data or args.dataset == "multi30k"
    if sentences and args.task not in (None, "translate"):
        raise ru.UserError(f"--data and multi30k are translated; drop --task {args.task}")
    if args.compare and args.eval_only:
        raise ru.UserError("--compare trains models, and --eval-only none; drop one of them")
    if sentences or args.task == "translate":
        parser.set_defaults(task="translate", **TRANSLATE)
    elif not args.eval_only:  # a checkpoint knows its task
        digits = 2 if args.task == "add" else 20
        parser.set_defaults(task="reverse", digits=digits, max_examples=6500)
    return ru.parse_arguments(parser, argv, QUICK)


def load_splits(task, digits, data, columns, dataset, data_dir, offline, max_examples) -> tuple:
    """Return (splits, levels, source, embedded).

    splits   {"train", "val", "test": pairs of token tuples}; in a toy task also "longer"
    levels   what the tokens of source and target are: "words" or "characters"
    """
    if task == "translate":
        return rd.sentence_pairs(data, columns, dataset, data_dir, offline, max_examples)
    splits = rd.split_pairs(draw_pairs(task, 3 * max_examples, range(1, digits + 1)))
    beyond = range(digits + 1, digits + max(2, digits // 2) + 1)  # digits, as in no training pair
    splits["longer"] = draw_pairs(task, 1000, beyond)
    return splits, ["characters", "characters"], task, False


def build(splits, levels, source, hidden_size: int, dropout: float, config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    min_freq = 2 if source == "multi30k" else 1  # a word met once teaches little
    vocabs = ru.build_vocabs(splits["train"], min_freq)  # none from val or test
    sizes = {"source_size": len(vocabs[0]), "target_size": len(vocabs[1])}
    sizes.update(hidden_size=hidden_size, dropout=dropout)
    about = {"config": config, "sizes": sizes, "vocabs": vocabs, "levels": levels}
    return Seq2Seq(**sizes), about


def load_model(path, task=None) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch.

    Raises UserError if another `task` is asked for than the one it was trained for.
    """
    about, best = ru.load_best(path, TUTORIAL, "vocabs", "levels")
    with ru.restoring(path):
        model = Seq2Seq(**about["sizes"])
        model.load_state_dict(best["weights"])
        trained_for = about["config"]["task"]
    if task not in (None, trained_for):
        raise ru.UserError(f"{path}: trained for {trained_for}, and cannot {task}")
    return model, about, best


def predict(model, about: dict, texts: list[str], max_length: int) -> dict[str, str]:
    """Print the answer to each text; return {text: answer}."""
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    gap = " " if about["levels"][1] == "words" else ""
    answers = {}
    for text in ru.texts_asked(texts):
        print(f"\n{text}")
        split = ru.encode_text(text, vocabs, about["levels"][0], model.output.weight.device)
        (output,) = answer(model, split, vocabs[1], max_length)
        answers[text] = gap.join(output)
        print(f"  -> {answers[text]}")
    return answers


def draw_figures(model, data: dict, metrics: dict, levels, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    trained_to = int(data["train"].source_lengths.max())
    unit = levels[0]
    score = rb.main_measure(levels[1]).replace("_", " ")
    figures = {"encoder_states": plot_states(model, data["test"], unit, title, plt)}
    figures["by_length"], axes = plt.subplots(figsize=(8, 4))
    curves = {"LSTM encoder-decoder": metrics["by_length"]}
    ru.plot_by_length(axes, curves, unit, f"{score} on test", trained_to)
    axes.set_title(f"At which length does one vector fail?{title}")
    if metrics["compare"]:
        figures["capacity"], axes = plt.subplots(figsize=(8, 4))
        curves = {name: result["by_length"] for name, result in metrics["compare"].items()}
        ru.plot_by_length(axes, curves, unit, f"{score} on validation", trained_to)
        axes.set_title(f"Does a bigger state hold longer sequences?{title}")
    if metrics["history"]:  # --eval-only has none
        figures["training_curves"] = ru.plot_history(
            metrics["history"], "nats per token", {}, title, "forced_accuracy"
        )
    ru.save_figures(figures, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, about, _ = load_model(args.path)
        return predict(model.to(ru.get_device(args.device)), about, args.predict, args.max_length)

    asked = args.task
    device, config = ru.start_run(args, TUTORIAL, "predict", "compare", "max_length")
    splits, levels, source, embedded = load_splits(
        args.task, config["digits"], args.data, args.columns, args.dataset, args.data_dir,
        args.offline, config["max_examples"],
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = load_model(args.path, asked)
    else:
        model, about = build(splits, levels, source, args.hidden_size, args.dropout, config)
    model.to(device)
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    data = {part: ru.encode_pairs(splits[part], vocabs[0], vocabs[1], device) for part in splits}
    ru.print_pairs(data, vocabs, levels, source, args.max_length)
    ru.print_layers(model, *data["train"].first())
    draw = fresh_pairs(
        args.task, config["max_examples"], config["digits"], args.seed, splits, vocabs, device
    )

    def fit(model, save_model=False, resume=False):
        return train(
            model, data["train"], data["val"], args.epochs, args.lr, args.batch_size, args.clip,
            args.patience, args.seed, about, args.path, save_model, resume, draw,
        )  # fmt: skip

    if not args.eval_only:
        history, best = fit(model, args.save_model, args.resume)
    note = f"epoch {best['epoch']}, chosen on validation"
    test, baselines, _, curve = score_test(model, data, vocabs, levels[1], args.max_length, note)
    capacity = {}
    if args.compare:
        capacity = compare_capacity(fit, data, vocabs, levels[1], args.dropout, args.max_length)
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"]), "baselines": baselines, "test": test,
        "by_length": curve, "compare": capacity,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data, metrics, levels, args.output_dir, args.show)
    predict(model, about, args.predict or [], args.max_length)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--digits 8 --epochs 5` with `--task reverse` and `--task copy`.  Both ask
#    for the same tokens.  Which is learned sooner?  In each, how many steps lie between reading a
#    digit and writing it, for the digit read first and for the one read last?
# 2. Change one flag: `--digits 10`, then `--digits 30`, with the same `--epochs`.  Where does
#    by_length.png fall to 0 in each?  Is that capacity or generalisation?
# 3. Explain a failure: in `predict_next` write `wanted = targets[:, :-1]`, that is, forget the
#    shift, and run with `--digits 8 --epochs 5`.  The loss becomes tiny.  What has the decoder
#    learned?
# 4. Modify the code: scheduled sampling.  In `Seq2Seq.forward` run the decoder step by step, and
#    at each step toss a coin: it reads the right token or its own last one.  What does it cost in
#    seconds, and what does it bring with `--digits 8 --epochs 5`?
# 5. An open question: the state has 2H numbers of 32 bits.  20 digits are 20 log2(10) = 66.4 bits,
#    so by that count 3 numbers would do.  What else does a state need besides room for digits?
