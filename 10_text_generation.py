"""10_text_generation: can a network that guesses the next character write Shakespeare?

The question    A language model says how likely each next symbol is.  How good must it be before
                its text, written one guess at a time, reads like its author?
The number      2.14 bits per character of unseen Shakespeare (seed 0).  Counting 6-grams needs
                2.20, counting single characters 4.83.

    h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})                       z_t = W h_t + b
    p(x_{t+1} = i | x_1 ... x_t) = exp(z_{t,i} / τ) / sum over j of exp(z_{t,j} / τ)
    p(x_1 ... x_N) = product over t of p(x_t | x_1 ... x_{t-1})

    x_t (E,)       symbol t: a row of the embedding table      τ  the temperature: 1 in training,
    h_t, c_t (H,)  the state after t symbols                      your choice in writing
    z_t (V,)       one score (logit) per symbol of the vocabulary

    python 10_text_generation.py              # 5 minutes on one slow core

    epoch   train loss   grad norm   val loss   val bits   seconds
        after 0 updates: 'JnCq!-?AYjYdTXpxSFJORcPcUz sMX?!3OoPvHYgGdFxQEuO:3UPTytu3GSsBKJ ...
        5        1.263        0.29      1.407      2.030  ...
        after 4,625 updates: "Jushing a father's death, as what he loved\\nMy uncle, yet the ...
    test      loss 1.4840   bits 2.1409   perplexity 4.4105   (epoch 5, chosen on validation)
              bits 4.8290   unigram
              bits 2.2001   6-gram

It writes metrics.json and two figures to outputs/10_text_generation/.  Look at next_symbols.png
first.  With --save-model it also writes models/10_text_generation.pt, which then writes alone.
Any text can be the teacher.  Longer training is better, if there is dropout (section 3):

    python 10_text_generation.py --path models/10_text_generation.pt --prompt "ROMEO:"
    python 10_text_generation.py --data my_recipes/ --temperature 0.8 --max-length 500
    python 10_text_generation.py --hidden-size 512 --epochs 8 --dropout 0.2   # 2.106 bits, 14 min

Next: extras/10_distributed.py trains this model by several processes, on a text of any size.
"""

from __future__ import annotations

import argparse
import functools
import math
import re
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import rnn_baselines as rb
import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "10_text_generation"
UNK = 0  # the index of every unknown symbol


# %% [markdown]
# ## 1. Data
# The data is one long text.  A symbol is a character or, with `--level word`, a word or a
# punctuation mark together with the space before it.  Nothing is thrown away: joined together,
# the symbols are the text again.  So generated words need no rules for spaces.
# %%
def tokenize(text: str, level: str) -> list[str]:
    """Cut a text into characters (level "char") or words (level "word")."""
    if level == "char":
        return list(text)
    return re.findall(r" ?\w+(?:'\w+)*| ?[^\w\s]|\s", text)


# %% [markdown]
# ### Three splits
# A text has an order, so it is cut, not shuffled.  Shuffled lines would put neighbours into
# different splits, and the test would ask about scenes that training has half read.
#
# The last 10 % are the test, as in published results.  The usual validation part, the 5 % before
# it, is the first half of the play that the test continues.  Published models have trained on it,
# and so must we, or the results could not be compared.  We validate on the first 5 %.
# %%
def cut(sequence) -> dict:
    """Return train, val and test.  The first symbol of val and of test is input only."""
    val_end = int(len(sequence) * 0.05)
    test_start = int(len(sequence) * 0.9)
    train = sequence[val_end:test_start]
    return {"train": train, "val": sequence[:val_end], "test": sequence[test_start - 1 :]}


# %% [markdown]
# A vocabulary numbers the symbols of the training part.  A symbol that occurs once becomes
# `<unk>` (unknown), like every symbol that only val or test have.  There is no padding in this
# chapter, so `<unk>` is the only special symbol, and its index is 0.
#
# **Pitfall.**  A text may itself contain the letters `<unk>` (Penn Treebank does).  Those are
# ordinary characters.  We recognise an unknown symbol by its index, never by its spelling.
# %%
def decode(ids: torch.Tensor, vocab: ru.Vocab) -> str:
    """The text of (N,) indices, with the one character U+FFFD for each unknown symbol."""
    symbols = vocab.get_itos()
    symbols[UNK] = "\ufffd"
    return "".join(symbols[index] for index in ids.tolist())


# %% [markdown]
# ### Streams
# We cut the training text into B streams of equal length.  All streams are read side by side, T
# symbols at a time.  Row b of a chunk continues row b of the chunk before, so the state after
# one chunk is exactly the state before the next.  The target of a symbol is the one that follows.
#
#     stream 1   First Citizen:|Befor  /  e we proceed any fur  /  ther, hear me speak.  / ...
#     stream 2   e is|rather to have   /  my hat than my heart  /  , I will practise|th  / ...
# %%
def make_streams(ids: torch.Tensor, num_streams: int, steps: int) -> tuple:
    """(N,) indices -> inputs and targets (B, L), L a multiple of `steps`; the rest is not used."""
    length = (len(ids) - 1) // num_streams // steps * steps  # L
    used = num_streams * length
    inputs = ids[:used].view(num_streams, length)  # (B, L)
    targets = ids[1 : used + 1].view(num_streams, length)  # (B, L)
    return inputs, targets


# %% [markdown]
# ## 2. Model
# Predicting the next symbol is classification: V classes, and a prediction at every step.  The
# layers are those of chapter 05.  Two things are new.
#
# - The state comes in as an argument and goes out as a result.  The caller says what to continue.
# - There are V scores at *every* step, because every symbol has a next one.  The state at step t
#   has read only x_1 to x_t, so no prediction sees its own target.
#
# There are many words: two tables, to read with (V, E) and to write with (V, H), would hold most of
# the weights.  If E = H, one table can do both ("tied weights", Press and Wolf 2017).
# %%
class LanguageModel(nn.Module):
    """Embedding -> LSTM -> the logits of the next symbol, at every step.

    vocab_size      V, different symbols, `<unk>` among them
    embedding_size  E, numbers per symbol
    hidden_size     H, numbers in the state h_t
    dropout         the share of the embedding and of h_t that training sets to 0
    tied            use one table to read and to write; needs E = H
    """

    def __init__(self, vocab_size, embedding_size=64, hidden_size=384, dropout=0.0, tied=False):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.rnn = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, vocab_size)  # W and b
        if tied:
            self.output.weight = self.embedding.weight
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # N(0, 1) makes huge logits
        ru.initialise_recurrent(self.rnn)  # orthogonal matrices (04), open forget gates (05)

    def forward(self, inputs: torch.Tensor, state=None) -> tuple[torch.Tensor, tuple]:
        """(B, T) symbols -> logits (B, T, V), and the state after the last symbol.

        `state` is the pair (h, c), each (1, B, H); None stands for zeros.
        """
        embedded = self.dropout(self.embedding(inputs))  # (B, T, E)
        states, state = self.rnn(embedded, state)  # (B, T, H)
        return self.output(self.dropout(states)), state  # (B, T, V)


# %% [markdown]
# ## 3. Training and evaluation
# ### Truncated back-propagation through time
# Six of the lines are those of chapter 04.  The lines about `state` are new.  In the other chapters
# every sequence starts from zeros.  Here the state goes on from one chunk to the next, so the
# network can remember more than a chunk.  (With `--stateless` every chunk starts from zeros, and
# you can see how much the carried state helps.)
#
# But the state is *detached*: it keeps its numbers and loses its history.  The gradient stops at
# the border of the chunk.  Without this cut, each update would go back to the first letter of the
# book, and all steps since then would have to stay in memory.
#
# **Pitfall.**  If the state is always carried, the network almost never meets the zeros that every
# prompt starts from.  Then it writes nonsense at first: "DACXBY?AQjQ?TXp".  So one chunk in 50,
# chosen at random, starts from zeros.
# %%
RESTART = 0.02
EARLY = (0, 100, 300)  # updates of the first epoch before which the network writes a line


def train_epoch(
    model, inputs, targets, optimizer, vocab, epoch, epochs, lr, sequence_length, clip, stateless
) -> tuple[float, float, list]:
    """Read the streams (B, L) once; return mean loss, mean norm and [(updates, line written)]."""
    model.train()
    chunks = list(zip(inputs.split(sequence_length, dim=1), targets.split(sequence_length, dim=1)))
    total_steps = epochs * len(chunks)
    step = (epoch - 1) * len(chunks)
    state = None
    loss_sum = 0.0
    norm_sum = 0.0
    samples = []
    for chunk_inputs, chunk_targets in ru.progress(chunks, desc=f"epoch {epoch}"):  # (B, T) each
        if epoch == 1 and step in EARLY:
            samples.append((step, write_line(model, vocab)))
            model.train()  # writing has switched dropout off
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, lr)

        if stateless or torch.rand(()) < RESTART:
            state = None
        logits, (h, c) = model(chunk_inputs, state)  # (B, T, V); h and c (1, B, H)
        state = (h.detach(), c.detach())
        loss = F.cross_entropy(logits.flatten(0, 1), chunk_targets.flatten())  # mean of all B * T
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item()
    ru.check_finite(loss_sum, epoch)
    samples.append((step, write_line(model, vocab)))
    return loss_sum / len(chunks), norm_sum / len(chunks), samples


# %% [markdown]
# ### Evaluation: nats, bits and perplexity
# The loss is -log p(next symbol).  It has three common units.
#
#     loss         in nats, with the natural logarithm
#     bits         loss / log 2
#     perplexity   exp(loss)
#
# Bits: the mean length of a symbol in a file that is compressed with this model.  Perplexity: the
# network is as unsure as if it had to choose among so many equally likely symbols.
#
# **Pitfall.**  With `--level word` all rare words are one symbol, `<unk>`, which is easy to guess.
# A smaller vocabulary lowers the perplexity.  Compare it only where the vocabulary is the same.
#
# The state is carried through the whole split, also for a model trained with `--stateless`.
# %%
@torch.no_grad()
def evaluate(model, ids: torch.Tensor, steps: int = 2000) -> dict[str, float]:
    """Score all N symbols that follow the first of `ids` (N + 1,), with dropout off."""
    model.eval()
    state = None
    loss_sum = 0.0
    for inputs, targets in zip(ids[:-1].split(steps), ids[1:].split(steps)):  # (T,) each
        logits, state = model(inputs[None], state)  # (1, T, V)
        loss_sum += F.cross_entropy(logits[0], targets, reduction="sum").item()
    loss = loss_sum / (len(ids) - 1)
    return {"loss": loss, "bits": loss / math.log(2), "perplexity": math.exp(min(loss, 700))}


# %% [markdown]
# ### The training loop
# It is the loop of chapter 04.  The best epoch has the least validation loss.  The lines that the
# network writes show what it has learned: first frequent letters, then words, then lines of a play.
#
# **Misconception: "More epochs are better."**  `--epochs 50` ends with 2.25 bits on test, 5 epochs
# with 2.14.  The learning rate falls from the first epoch to the last.  With 50 it is still high
# when the network knows much of the text by heart.  Dropout hinders that: give it with them.
# %%
def train(
    model, inputs, targets, val_ids, vocab, epochs: int, lr: float, sequence_length: int,
    clip: float, patience: int, stateless: bool, about: dict, path=None, save_model=False,
    resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train on the streams (B, L); return the history and the best epoch, and leave its weights.

    With `save_model`, everything is saved at `path` after each epoch, together with `about`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    best = {"epoch": 0, "loss": math.inf}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "loss")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no better validation loss for {patience} epochs")
            break
        started = time.perf_counter()
        train_loss, gradient_norm, samples = train_epoch(
            model, inputs, targets, optimizer, vocab, epoch, epochs, lr, sequence_length, clip,
            stateless,
        )  # fmt: skip
        val = evaluate(model, val_ids)
        history.append({
            "epoch": epoch, "train_loss": train_loss, "gradient_norm": gradient_norm,
            "val_loss": val["loss"], "val_bits": val["bits"],
            "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip
        if val["loss"] < best["loss"]:
            best = {"epoch": epoch, "loss": val["loss"], "weights": ru.snapshot(model)}
        if save_model:
            ru.save_epoch(path, TUTORIAL, about, best, history, model, optimizer)
        ru.print_epoch(history[-1], best["epoch"])
        for updates, line in samples:
            print(f"    after {updates:,} updates: {line!r}", flush=True)
    model.load_state_dict(best["weights"])
    return history, best


# %% [markdown]
# ### What the network has to beat
# Counting.  An n-gram model predicts the next symbol from the n - 1 symbols before it: how often
# did each symbol follow them in train?  Long contexts say more, but most are rare.  So all orders
# are mixed ("modified Kneser-Ney", see `rb.kneser_ney`).  The order n is chosen on validation.
# %%
def baselines(data: dict, vocab_size: int, level: str) -> dict[str, dict[str, float]]:
    """Bits per symbol of the unigram and of the best n-gram model: {"val" or "test": {name}}."""
    train, val, test = data["train"], data["val"][1:], data["test"][1:]
    ids = torch.cat([train, val, test]).cpu().numpy()
    # An n-gram must fit into 63 bits.  Long groups of words hardly ever occur twice.
    highest = min(7 if level == "char" else 5, int(63 / math.log2(vocab_size)))
    bits = {"val": {}, "test": {}}
    for n in range(1, highest + 1):
        cost = -np.log2(rb.kneser_ney(ids, len(train), vocab_size, n))  # val, then test
        bits["val"][n] = cost[: len(val)].mean()
        bits["test"][n] = cost[len(val) :].mean()
    best = min(bits["val"], key=bits["val"].get)
    return {part: {"unigram": of[1], f"{best}-gram": of[best]} for part, of in bits.items()}


def measure_test(model, data: dict, vocab, level: str, epoch: int, length: int) -> tuple:
    """Print and return all measures; return the n-gram models' bits on validation, too."""
    test = evaluate(model, data["test"])  # nothing is chosen after this
    ngrams = baselines(data, len(vocab), level)
    ru.print_test(test, ngrams["test"], "bits", f"epoch {epoch}, chosen on validation")
    ladder = temperature_ladder(model, vocab, data, 2 * length)
    return {"test": test, "baselines": ngrams["test"], "ladder": ladder}, ngrams["val"]


# %% [markdown]
# ## 4. Writing
# The network does not write.  It says how likely each next symbol is, and we choose one.
#
# - **Temperature** τ divides the logits.  Below 1, likely symbols become even more likely; above 1,
#   all become more alike.  At 0 we always take the likeliest *symbol*, and the text repeats itself.
#   It is not the likeliest *text*: after a less likely symbol, the rest may be much more likely.
# - **top-k** keeps the k likeliest symbols.
# - **top-p** (the "nucleus", Holtzman et al. 2020) keeps the fewest symbols that together have
#   probability p: few where the network is sure, many where it is not.
# %%
def next_probabilities(logits, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0):
    """(V,) logits -> (V,) probabilities.  top_k 0 and top_p 1 exclude nothing."""
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    logits = (logits - logits.max()) / temperature  # the largest is 0, so nothing overflows
    # A symbol is excluded by the logit -inf: softmax turns it into probability 0.
    if top_k:
        least = logits.topk(min(top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        p = ordered.softmax(dim=0)
        before = p.cumsum(dim=0) - p  # what the likelier symbols have together
        # order.argsort() is the way back: the place of each symbol in the sorted row.
        logits = logits.masked_fill((before >= top_p)[order.argsort()], -math.inf)
    return logits.softmax(dim=0)


# %% [markdown]
# **Autoregressive** means: each symbol that is chosen becomes the next input.  The first input is
# the prompt, all at once; after that, one symbol at a time.  The state holds everything written
# so far, so a step costs the same however long the text has grown.  A symbol that is chosen cannot
# be taken back.  A symbol of the prompt that training has not seen is read as `<unk>`.
#
# **Pitfall.**  `generate` yields symbols as they arise.  A `with torch.no_grad():` inside it would
# stay in force in the caller's code between two symbols.  The decorator ends it at every yield.
# %%
@torch.no_grad()
def generate(model, vocab, prompt, length: int, seed: int, temperature=1.0, top_k=0, top_p=1.0):
    """Yield `length` symbols that follow the list of indices `prompt`; switches dropout off."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    device = model.output.bias.device
    inputs = torch.tensor([prompt], device=device)  # (1, T)
    state = None
    for _ in range(length):
        logits, state = model(inputs, state)  # (1, T, V)
        logits = logits[0, -1].cpu()  # (V,) after the last symbol
        logits[UNK] = -math.inf  # "something rare" cannot be written down
        p = next_probabilities(logits, temperature, top_k, top_p)
        index = torch.multinomial(p, 1, generator=generator)  # (1,)
        yield vocab.lookup_token(int(index))
        inputs = index[None].to(device)  # (1, 1)


def encode_prompt(prompt: str, vocab, level: str) -> list[int]:
    """Indices of a prompt; without one, of a line break, or of the commonest symbol."""
    first = "\n" if "\n" in vocab else vocab.lookup_token(1)
    return vocab(tokenize(prompt, level) or [first])


def write_samples(
    model, about: dict, prompt, num_samples, length: int, seed: int, temperature, top_k, top_p
) -> list[str]:
    """Print texts symbol by symbol as they arise, one where no number is given; return them."""
    torch.set_num_threads(1)  # one symbol is too little work to share
    vocab = ru.Vocab(about["vocab"])
    start = encode_prompt(prompt or "", vocab, about["config"]["level"])
    texts = []
    for own in range(seed, seed + (num_samples or 1)):  # a seed of its own for each text
        print(f"\n----- temperature {temperature:g}, top-k {top_k}, top-p {top_p:g}, seed {own}")
        texts.append(decode(torch.tensor(start), vocab))
        print(texts[-1], end="")
        for symbol in generate(model, vocab, start, length, own, temperature, top_k, top_p):
            print(symbol, end="", flush=True)
            texts[-1] += symbol
    print("\n-----")
    return texts


def write_line(model, vocab, length: int = 80, temperature: float = 0.8) -> str:
    """Some characters without a prompt, to watch the network learn."""
    start = encode_prompt("", vocab, "char")
    return "".join(generate(model, vocab, start, length, 0, temperature))[:length]


# %% [markdown]
# ## 5. Looking inside
# ### Writing or reciting?
# A network can lower its loss by memorising passages.  So we measure, at several temperatures:
#
# - **distinct-n** (Li et al. 2016): the share of different groups of n words; repetition lowers it.
# - **the longest copy**: the longest piece that is in the training text, letter for letter.
#
# People repeat themselves and quote, too.  So the last row measures unseen text of this length.
# %%
def distinct_n(text: str, n: int) -> float:
    """The share of different n-grams among all n-grams of words."""
    words = text.split()
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def longest_copy(text: str, source: str) -> str:
    """The longest piece of `text` that is in `source`."""
    longest = ""
    for start in range(len(text)):
        # A piece that starts here matters only if it is longer than the longest so far.
        while start + len(longest) < len(text) and text[start : start + len(longest) + 1] in source:
            longest = text[start : start + len(longest) + 1]
    return longest


def temperature_ladder(model, vocab, data: dict, length: int) -> list[dict]:
    """Write at each temperature and measure what is new in it; the last row is unseen text."""
    texts = {str(t): write_line(model, vocab, length, t) for t in (0.3, 0.6, 0.8, 1.0, 1.3)}
    texts["unseen text"] = decode(data["val"][1 : length + 1], vocab)[:length]
    print(f"\nWriting or reciting?  {length:,} characters at each temperature")
    print("temperature  distinct-1  distinct-2  longest copy of the training text")
    source = decode(data["train"], vocab)
    rows = []
    for name, text in texts.items():
        one = distinct_n(text, 1)
        two = distinct_n(text, 2)
        copied = longest_copy(text, source)
        print(f"{name:>11}  {one:10.2f}  {two:10.2f}  {len(copied):3d}: {copied[:48]!r}")
        rows.append({"temperature": name, "distinct_1": one, "distinct_2": two, "copied": copied})
    return rows


# %% [markdown]
# ### What does the network expect next?
# The figure shows the five likeliest symbols at each place, from the best on.  Orange: it came.
#
# To place a line break, the network must know how long the line is.  Karpathy et al. (2015) found
# units of the state that count.  Look for one: correlate each unit with the number of symbols since
# the line began.  Among hundreds of units one will correlate by luck.  So choose the unit on one
# half of a text, and report its correlation on the other half.
# %%
@torch.no_grad()
def plot_reading(model, vocab, ids: torch.Tensor, title: str, plt):
    """The likeliest next symbols along the end of the text `ids`."""
    model.eval()
    in_characters = all(len(symbol) == 1 for symbol in vocab.get_itos()[1:])
    ids = ids[-49:] if in_characters else ids[-13:]  # (T + 1,), as many as there is room for
    logits, _ = model(ids[None, :-1])  # (1, T, V)
    top = logits[0].softmax(dim=1).cpu().topk(min(5, len(vocab)), dim=1)  # two tables (T, 5)
    visible = str.maketrans("\n\t ", "\u21b5\u2192\u2423")
    came = [symbol.translate(visible) for symbol in vocab.lookup_tokens(ids[1:])]
    figure, axes = plt.subplots(figsize=(11, 4))
    ranks = range(1, top.values.shape[1] + 1)
    ru.plot_heatmap(axes, top.values.T, ranks, came, "probability", "Blues", 0, 1)
    for (t, rank), index in np.ndenumerate(top.indices.numpy()):
        guess = vocab.lookup_token(int(index)).translate(visible)
        color = "white" if top.values[t, rank] > 0.5 else "black"
        if guess == came[t]:
            color = ru.ORANGE
        axes.text(t, rank, guess, ha="center", va="center", color=color, parse_math=False)
    axes.set(xlabel="the symbols that came, in an unseen text", ylabel="rank of the guess")
    figure.suptitle(f"What does the network expect next?{title}")
    return figure


# %% [markdown]
# ## 6. Command line and main
# %%
def load_parts(data, dataset, data_dir, offline, max_chars, level, needed) -> tuple:
    """The symbols of the user's text, else of the data set: ({part: [...]}, source, embedded)."""
    source = data or dataset
    embedded = False
    if data:
        text = rd.read_text_files(data)
    elif dataset == "code":
        text = rd.load_code()
    else:
        text, source, embedded = rd.load_dataset("shakespeare", dataset, data_dir, offline)
    if len(text) > max_chars:
        print(f"{'data':<10}the first {max_chars:,} of {len(text):,} characters")
    text = text[:max_chars]
    if level == "word" and rd.token_level(text.split("\n")) == "characters":
        raise ru.UserError(f"{source}: no spaces between words; use --level char")
    parts = cut(tokenize(text, level))
    count = len(parts["train"])
    needed = max(200, needed)
    if count < needed:
        what = f"{source}: {count:,} {level}s to train on; a chunk of each stream takes {needed:,}"
        raise ru.UserError(f"{what}; give more text, or reduce --batch-size or --sequence-length")
    sizes = f"{count:,} train, {len(parts['val']) - 1:,} val, {len(parts['test']) - 1:,} test"
    print(f"{'data':<10}{source}: {level}s: {sizes}")
    return parts, source, embedded


# Flags of writing.  They do not shape the model, so a resumed run may have others.
WRITING = ("prompt", "temperature", "max_length", "num_samples", "top_k", "top_p")


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--prompt", metavar="TEXT", help="what to go on from (with --path: no training)")
    add("--temperature", type=ru.between(0), default=0.8, help="0: always the likeliest symbol")
    add("--max-length", type=ru.at_least(1), default=500, help="symbols to write")
    add("--num-samples", type=ru.at_least(1), help="texts to write (default: 1)")
    add("--top-k", type=ru.at_least(0), default=0, help="choose among the K likeliest; 0: all")
    add("--top-p", type=ru.between(1e-9, 1), default=1.0, help="or the fewest with this share")
    add("--level", choices=("char", "word"), default="char", help="what a symbol is")
    add("--sequence-length", type=ru.at_least(1), default=64, help="symbols in a chunk")
    add("--stateless", action="store_true", help="start every chunk of training from zeros")
    ru.add_training_flags(
        parser, epochs=5, lr=4e-3, batch_size=16, clip=1, patience=4, hidden_size=384, dropout=0
    )
    add = parser.add_argument_group("data").add_argument
    auto = "auto: shakespeare, or embedded data where it is not available; code: Python's library"
    add("--dataset", choices=("auto", "shakespeare", "code", "embedded"), default="auto", help=auto)
    add("--data", metavar="PATH", help="your own text: a file, or a folder of them")
    add("--max-chars", type=ru.at_least(1), default=2_000_000, help="use the first N characters")
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=2)
    quick = {"dataset": "embedded", "epochs": 2, "hidden_size": 64, "max_chars": 40_000}
    quick.update(lr=1e-2, sequence_length=32, max_length=100, threads=1)
    return ru.parse_arguments(parser, argv, quick)


def build(parts: dict, source: str, level: str, hidden_size, dropout, config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    vocab = ru.Vocab.build([parts["train"]], specials=(ru.Vocab.UNK,), min_freq=2)
    if len(vocab) < 3:
        raise ru.UserError(f"{source}: fewer than two different {level}s to learn from")
    sizes = {"vocab_size": len(vocab), "hidden_size": hidden_size, "dropout": dropout}
    if level == "word":
        sizes.update(embedding_size=hidden_size, tied=True)
    return LanguageModel(**sizes), {"config": config, "sizes": sizes, "vocab": vocab.get_itos()}


def load_model(path) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch."""
    return ru.load_model(path, TUTORIAL, LanguageModel, "vocab", "level")


def introduce(model, about: dict, parts: dict) -> tuple:
    """Number the symbols, make the streams, and print the layers and how the first stream begins.

    Returns the vocabulary, {part: (N,) indices}, and the inputs and targets (B, L).
    """
    vocab = ru.Vocab(about["vocab"])
    device = model.output.weight.device
    data = {part: torch.tensor(vocab(symbols)).to(device) for part, symbols in parts.items()}
    steps = about["config"]["sequence_length"]
    inputs, targets = make_streams(data["train"], about["config"]["batch_size"], steps)
    ru.print_layers(model, inputs[:, :steps])
    for name, stream in (("inputs", inputs[0, :8]), ("targets", targets[0, :8])):
        print(f"{name:<10}{stream.tolist()} = {decode(stream, vocab)!r}")
    return vocab, data, inputs, targets


def draw_figures(model, vocab, val_ids, metrics: dict, counted: dict, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    figures = {"next_symbols": plot_reading(model, vocab, val_ids, title, plt)}
    if metrics["history"]:  # --eval-only has none
        line = {f"{name}, validation": bits for name, bits in list(counted.items())[1:]}
        curves = ru.plot_history(metrics["history"], "nats per symbol", line, title, "bits")
        figures["training_curves"] = curves
    ru.save_figures(figures, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    write = functools.partial(
        write_samples, prompt=args.prompt, num_samples=args.num_samples, length=args.max_length,
        seed=args.seed, temperature=args.temperature, top_k=args.top_k, top_p=args.top_p,
    )  # fmt: skip
    if ru.answers_alone(args, args.prompt) or ru.answers_alone(args, args.num_samples):
        model, about, _ = load_model(args.path)
        return {"samples": write(model.to(ru.get_device(args.device)), about)}

    device, config = ru.start_run(args, TUTORIAL, *WRITING)
    parts, source, embedded = load_parts(
        args.data, args.dataset, args.data_dir, args.offline, args.max_chars, args.level,
        args.batch_size * args.sequence_length + 1,
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = load_model(args.path)
    else:
        model, about = build(parts, source, args.level, args.hidden_size, args.dropout, config)
    vocab, data, inputs, targets = introduce(model.to(device), about, parts)
    if not args.eval_only:
        history, best = train(
            model, inputs, targets, data["val"], vocab, args.epochs, args.lr, args.sequence_length,
            args.clip, args.patience, args.stateless, about, args.path, args.save_model, args.resume
        )  # fmt: skip
    measured, counted = measure_test(model, data, vocab, args.level, best["epoch"], args.max_length)
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": inputs.numel(), **measured,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, vocab, data["val"], metrics, counted, args.output_dir, args.show)
    write(model, about)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: after a run with `--save-model`, write from
#    `--path models/10_text_generation.pt --prompt "ROMEO:"` with `--temperature 0`, 0.5 and 1.5.
#    Which text repeats itself, which misspells?  Which rows of "Writing or reciting?" said so?
# 2. Change one flag: `--stateless`, with `--max-chars 200000 --epochs 3 --sequence-length 16`, then
#    64.  How many symbols has a prediction read on average, in training?  Which loss rises, and
#    which hardly does, measured with a state that is carried on all the same?
# 3. Explain a failure: in `train_epoch` replace the line with `detach` by `state = (h, c)`.  What
#    does PyTorch say, in which update, and why not in the first?
# 4. Modify the code: let `generate` remember its last 50 symbols and lower the logit of each of
#    them, except spaces, by 1.  What happens to distinct-2 at temperature 0.3, and to line breaks?
# 5. An open question: this model takes more than 2 bits a character.  People who guess English
#    text need about 1 (Shannon 1951).  What do they know that this network does not?
