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
    python 08_seq2seq_basic.py --task translate     # Multi30k, English to French: up to an hour

It writes metrics.json and three figures to outputs/08_seq2seq_basic/.  Look at by_length.png
first.  With --save-model it also writes models/08_seq2seq_basic.pt, which then answers alone:

    python 08_seq2seq_basic.py --path models/08_seq2seq_basic.pt --predict 31415

Next: 09_attention_mechanism.py lets the decoder look back at the source.
"""

from __future__ import annotations

import argparse
import functools
import random
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import rnn_data as rd
import rnn_pairs as rp
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
def fresh_pairs(task: str, count: int, digits: int, seed: int, data: dict, vocabs):
    """Return a function that draws about `count` training pairs for an epoch, as a PairSplit.

    The same epoch of the same seed gets the same pairs, so a resumed run repeats them.
    Sentences cannot be drawn: for `translate` there is no such function, but None.
    """
    if task == "translate":
        return None
    held_out = {source for source, _ in data["val"].pairs + data["test"].pairs}
    source_vocab = ru.Vocab(vocabs[0])
    target_vocab = ru.Vocab(vocabs[1])
    lengths = []
    for length in range(1, digits + 1):
        lengths += [length] * length

    def draw(epoch: int) -> rp.PairSplit:
        pairs = draw_pairs(task, count, lengths, seed * 1_000_003 + epoch)
        new = [(source, target) for source, target in pairs if source not in held_out]
        return rp.encode_pairs(new, source_vocab, target_vocab, data["val"].sources.device)

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
# `rp.encode_pairs` puts them around each target: "51" becomes <bos> 5 1 <eos>.
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
        for rnn in (self.encoder, self.decoder):
            ru.initialise_recurrent(rnn)  # orthogonal matrices (04), open forget gates (05)

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
def predict_next(model, split: rp.PairSplit, rows: list[int]):
    """Return the logits (N, V) and the right tokens (N,) at the N real steps of some rows."""
    sources, lengths, targets = split.batch(rows)  # (B, S), (B,), (B, T + 1)
    logits = model(sources, lengths, targets)  # (B, T, V)
    wanted = targets[:, 1:]  # (B, T), the decoder's input shifted by one
    real = wanted != ru.PAD
    return logits[real], wanted[real]


# %% [markdown]
# ### One epoch
# The six lines of chapter 04.  A batch holds sources of one length only.  So the encoder needs no
# packing, and no step is wasted on padding.
# %%
def train_epoch(model, split, optimizer, epoch, epochs, lr, batch_size, clip, seed) -> tuple:
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
def evaluate(model, split: rp.PairSplit) -> dict[str, float]:
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
# is done.  What it writes after its <eos> is cut off (by `rp.answer`), and does not count.
#
# The probability of a whole answer is the product of those of its tokens, <eos> included.  We
# add logarithms, because a product of many numbers below 1 soon becomes too small for a computer.
# %%
@torch.no_grad()
def greedy(model, sources, lengths, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, S), (B,) -> (B, T) tokens written, T at most `max_length`, and log p(answer), (B,).

    <eos> ends an answer; what stands behind it is no part of it.
    """
    model.eval()
    state = model.encode(sources, lengths)
    token = sources.new_full((len(sources), 1), ru.BOS)  # (B, 1)
    done = torch.zeros_like(token, dtype=torch.bool)
    log_p = torch.zeros(token.shape, device=sources.device)  # (B, 1)
    written = []
    for _ in range(max_length):
        logits, state = model.decode(token, state)  # (B, 1, V)
        token = logits.argmax(dim=2)  # (B, 1)
        written.append(token)
        likeliest = logits.log_softmax(dim=2).amax(dim=2)  # (B, 1), log p of that token
        log_p = log_p + likeliest.masked_fill(done, 0.0)
        done = done | (token == ru.EOS)
        if done.all():
            break
    return torch.cat(written, dim=1), log_p.squeeze(1)


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
#   So BLEU counts groups of words wherever they stand (its formula is in `rnn_baselines.bleu`).
#   Ours is computed on lower-case tokens; do not compare it with published figures.
# %%
def train(
    model, train_split: rp.PairSplit, val_split: rp.PairSplit, epochs: int, lr: float,
    batch_size: int, clip: float, patience: int, seed: int, about: dict, path=None,
    save_model=False, resume=False, draw=None,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`, and leave `model` with the weights of the best epoch.

    Returns the history and the best epoch.  With `save_model`, everything is saved at `path`
    after each epoch, together with `about`.  In a toy task, `draw(epoch)` makes the training
    pairs of an epoch.
    """
    # Adam divides by a running mean of squared gradients.  0.98 lets it follow within 50 steps,
    # in place of 1,000, which helps in short runs.
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.98))
    history = []
    best = {"epoch": 0, "loss": float("inf")}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "loss")

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
#   few to hold it.  `--compare capacity` trains four sizes of the state equally long.  The smaller
#   the state, the earlier it fails, inside the lengths of training.  (More epochs help each.)
#   `--task translate` shows it as well: the longer the sentence, the lower BLEU.
# %%
def score_test(model, data: dict, about: dict, max_length: int, epoch: int) -> dict:
    """Answer the sources of test, the first look at it; print and return the scores."""
    decode = functools.partial(greedy, model, max_length=max_length)
    note = f"epoch {epoch}, chosen on validation"
    scores, _ = rp.score_test(data, decode, evaluate(model, data["test"]), about, note)
    return scores


def compare_capacity(data: dict, about: dict, max_length: int) -> dict:
    """Train a network of each hidden size; return {name: its history and curve}.

    All else stays the same: pairs, seed, epochs, schedule.  Scores are those on validation.
    """
    results = {}
    for hidden_size in (16, 32, 64, 128):
        name = f"hidden size {hidden_size}"
        print(f"\n{name}")
        sizes = dict(about["sizes"], hidden_size=hidden_size)
        ru.set_seed(about["config"]["seed"])  # each size with the same draws
        model = Seq2Seq(**sizes).to(data["val"].sources.device)
        history, _ = fit(model, data, about)
        decode = functools.partial(greedy, model, max_length=max_length)
        _, curve = rp.score_by_length(data, "val", decode, about)
        results[name] = {"history": history, "by_length": curve}
    for name, result in results.items():
        rp.print_by_length(result["by_length"], f"validation, {name}", about["levels"][1])
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
def plot_states(model, split: rp.PairSplit, unit: str, title: str, plt):
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
SIZES = ("hidden_size", "dropout")  # the flags that Seq2Seq takes
TOY = {"hidden_size": 128, "dropout": 0.0, "batch_size": 32, "lr": 6e-3, "patience": 0}
TRANSLATE = {"hidden_size": 256, "dropout": 0.4, "batch_size": 64, "lr": 2e-3, "patience": 4}
QUICK = {"dataset": "embedded", "epochs": 4, "hidden_size": 32, "max_examples": 2000, "digits": 4}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    tasks = ("reverse", "copy", "add", "translate")
    add("--task", choices=tasks, help="without it: reverse, or translate with --data")
    add("--predict", nargs="+", metavar="TEXT", help="answer these; -: lines of stdin")
    add("--digits", type=ru.at_least(1), help="longest number in training (20; add: 2)")
    add("--compare", choices=("capacity",), help="also train networks of four hidden sizes")
    rp.add_flags(parser, TUTORIAL, epochs=30, **TOY)

    args = parser.parse_args(argv)
    rp.check_task(args.task, args.data, args.dataset)
    if args.compare and args.eval_only:
        raise ru.UserError("--compare trains models, and --eval-only none; drop one of them")
    # Each task has defaults of its own.  What is written on the command line wins over them.
    if args.task == "translate" or args.data or args.dataset == "multi30k":
        parser.set_defaults(task="translate", **TRANSLATE)
    elif not args.eval_only:  # a checkpoint knows its task
        digits = 2 if args.task == "add" else 20
        parser.set_defaults(task="reverse", digits=digits, max_examples=6500)
    if args.quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args(argv)


def load_splits(task, digits, data, columns, dataset, data_dir, offline, max_examples) -> tuple:
    """Return (splits, levels, source, embedded), as rp.sentence_pairs does.

    In a toy task there are also "longer" pairs: longer than any in training.
    """
    if task == "translate":
        return rp.sentence_pairs(data, columns, dataset, data_dir, offline, max_examples)
    splits = rp.split_pairs(draw_pairs(task, 3 * max_examples, range(1, digits + 1)))
    beyond = range(digits + 1, digits + max(2, digits // 2) + 1)  # digits, as in no training pair
    splits["longer"] = draw_pairs(task, 1000, beyond)
    return splits, ["characters", "characters"], task, False


def fit(
    model, data: dict, about: dict, path=None, save_model=False, resume=False
) -> tuple[list[dict], dict]:
    """Call `train` with the flags in `about`; return the history and the best epoch."""
    config = about["config"]
    draw = fresh_pairs(
        config["task"], config["max_examples"], config["digits"], config["seed"], data,
        about["vocabs"],
    )  # fmt: skip
    return train(
        model, data["train"], data["val"], config["epochs"], config["lr"], config["batch_size"],
        config["clip"], config["patience"], config["seed"], about, path, save_model, resume, draw,
    )  # fmt: skip


def predict(model, about: dict, texts: list[str], max_length: int) -> dict[str, str]:
    """Print the answer to each text; return {text: answer}."""
    decode = functools.partial(greedy, model, max_length=max_length)
    return rp.answer_texts(texts, decode, about, model.output.weight.device)


def draw_figures(model, data: dict, metrics: dict, about: dict, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    unit = about["levels"][0]
    figures = {"encoder_states": plot_states(model, data["test"], unit, title, plt)}
    curves = {"LSTM encoder-decoder": metrics["by_length"]}
    question = f"Which lengths are answered well?{title}"
    figures["by_length"] = rp.plot_by_length(curves, data, about, "test", question)
    if metrics["compare"]:
        curves = {name: result["by_length"] for name, result in metrics["compare"].items()}
        question = f"Does a bigger state hold longer sequences?{title}"
        figures["capacity"] = rp.plot_by_length(curves, data, about, "validation", question)
    rp.save_figures(figures, metrics, title, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        device = ru.get_device(args.device)
        model, about, _ = rp.load_model(args.path, TUTORIAL, Seq2Seq, device)
        return predict(model, about, args.predict, args.max_length)

    asked = args.task
    device, config = ru.start_run(args, TUTORIAL, "predict", "compare", "max_length")
    splits, levels, source, embedded = load_splits(
        args.task, config["digits"], args.data, args.columns, args.dataset, args.data_dir,
        args.offline, config["max_examples"],
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = rp.load_model(args.path, TUTORIAL, Seq2Seq, device, asked)
    else:
        model, about = rp.build(Seq2Seq, splits, levels, source, config, SIZES)
    data = rp.introduce(model.to(device), about, splits, source, args.max_length)
    if not args.eval_only:
        history, best = fit(model, data, about, args.path, args.save_model, args.resume)
    scores = score_test(model, data, about, args.max_length, best["epoch"])
    capacity = {}
    if args.compare:
        capacity = compare_capacity(data, about, args.max_length)
    fixed = config["task"] == "translate"  # the toy tasks draw new pairs for each epoch
    num_pairs = len(splits["train"]) if fixed else config["max_examples"]
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": num_pairs, "compare": capacity, **scores,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data, metrics, about, args.output_dir, args.show)
    predict(model, about, args.predict or [], args.max_length)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--digits 8 --epochs 5` with `--task reverse` and `--task copy`.  Both ask
#    for the same tokens.  Which is learned sooner?  In each, how many steps lie between reading a
#    digit and writing it, for the digit read first and for the one read last?
# 2. Change one flag: `--epochs 15` with `--digits 10`, then 30, each with an `--output-dir` of its
#    own.  Where does by_length.png fall below one half, left or right of the line?  Is it capacity?
# 3. Explain a failure: in `predict_next` write `wanted = targets[:, :-1]`, that is, forget the
#    shift, and run with `--digits 8 --epochs 5`.  The loss becomes tiny.  What has the decoder
#    learned?
# 4. Modify the code: scheduled sampling.  In `Seq2Seq.forward` run the decoder step by step, and
#    at each step toss a coin: it reads the right token or its own last one.  What does it cost in
#    seconds, and what does it bring with `--digits 8 --epochs 5`?
# 5. An open question: the state has 2H numbers of 32 bits.  20 digits are 20 log2(10) = 66.4 bits,
#    so by that count 3 numbers would do.  What else does a state need besides room for digits?
