"""10_text_generation: can a network that guesses the next character write Shakespeare?

The question    A language model says how likely each next symbol is.  How good must it be before
                what it writes, one guess at a time, reads like its author?
The number      2.11 bits per character of unseen Shakespeare (1.464 nats; mean of seeds 0 and 1).
                Counting 6-grams needs 2.25, counting single characters 4.83.
Misconceptions  "The state starts at zero with every batch."  Here, and only here, it is carried on.
                "It plans what to say."  It chooses one character, and is then stuck with it.
                "The lower the temperature, the better."  Its likeliest text repeats itself.

    p(x_1 ... x_N) = product over t of p(x_t | x_1 ... x_{t-1})
    h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})                       z_t = W h_t + b
    p(x_{t+1} = i | x_1 ... x_t) = exp(z_{t,i} / τ) / sum over j of exp(z_{t,j} / τ)

    x_t  a symbol (an embedding, E)    h_t, c_t (H,)  the state        z_t (V,)  logits
    τ    the temperature: 1 in training, yours to choose when writing

    python 10_text_generation.py     # 15 minutes and more on a slow 2-core CPU, 0.5 GB

    data      shakespeare: chars: 948,085 train, 55,768 val, 111,540 test
    epoch  train loss  val loss  bits per char  grad norm  seconds
       after 0 updates: JnCq!-?AYjYdTXpxSFJORcPcUz sMX?!3OoPvHYgGdFxQEuO:3UPTytu3GSsBKJZ&YNq: ...
       12      1.2775    1.3881          2.003       0.19    101.7  *
       after 5,544 updates: Justice, traitor's grace, the cause that do she was so.|This ...
    test      1.4692 nats  2.1196 bits  perplexity 4.35  the network, on all 111,540 chars
    test      1.5614 nats  2.2527 bits  perplexity 4.77  6-gram

Writes metrics.json and three figures to outputs/10_text_generation/; look at hidden_units.png
first.  A saved model (--save-model) writes by itself, any text can be the teacher, and at word
level perplexity says among how many words the model hesitates (seed 0):

    python 10_text_generation.py --path models/10_text_generation.pt --prompt "ROMEO:"
    python 10_text_generation.py --data my_recipes/
    python 10_text_generation.py --level word --dropout 0.5 --epochs 4   # 68.0; trigrams: 78.9
    torchrun --nproc-per-node=4 10_text_generation.py --batch-size 128   # one run, four processes
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import re
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import rnn_utils as ru

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

TUTORIAL = "10_text_generation"

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------

# At word level a symbol is a word or a punctuation mark together with the space before it, or
# one other white-space character.  Nothing is thrown away, so the symbols joined together are
# the text again, line breaks and all, and generated words need no rules for spaces.
WORD = re.compile(r" ?\w+(?:'\w+)*| ?[^\w\s]|\s")


def tokenize(text: str, level: str) -> list[str]:
    """Cut a text into characters or words; joined together they are the text."""
    return ru.char_tokenizer(text) if level == "char" else WORD.findall(text)


# --data takes one file, or a folder of them (poems.txt, or recipes/cake.txt, recipes/soup.txt):
#     Plum cake
#     Stir the butter until it is white. Add three eggs,
#     one after the other, and the flour.
def find_text(args: argparse.Namespace) -> tuple[list[Path], str, bool]:
    """Return the files of the text, the name of the data set, and whether it is embedded."""
    library = sysconfig.get_paths()["stdlib"]  # real text that is on every machine
    if args.data:
        path = Path(args.data)
        return ru.list_folder(path) if path.is_dir() else [path], args.data, False
    if args.dataset == "code":
        return ru.list_folder(library, "*.py"), "code", False
    return ru.load_or_embedded(
        args.dataset,
        "shakespeare",
        lambda: [ru.data_file("shakespeare", "input.txt", args.data_dir, args.offline)],
        lambda: ru.list_folder(library, "*.py"),
    )


# A text has an order, so it is cut, not shuffled: shuffled lines would put neighbours into
# different splits, and the network would be tested on scenes that it has half read.  The last 10 %
# are the test, as in published results.  The usual validation part, the 5 % before it, is the first
# half of the play that the test continues; published models have trained on it, so we must too, or
# the losses could not be compared.  We validate on the first 5 %.  A million symbols are enough to
# test on, however long the text.
def cut(sequence) -> dict:
    """Return the parts of an array or tensor: train, val, and test with the item before it.

    The first item of val and test is input only: from it the first one scored is predicted.
    """
    size = len(sequence)
    first, last = min(int(size * 0.05), 500_000), max(int(size * 0.9), size - 1_000_000)
    return {"train": sequence[first:last], "val": sequence[:first], "test": sequence[last - 1 :]}


def build_vocab(words: list[str], ids: np.ndarray, args: argparse.Namespace) -> ru.Vocab:
    """Number the training symbols; what was seen only once is <unk>, like all that is new.

    `ids` (N,) is the whole text, in numbers that are places in `words`.
    """
    source, train = args.data or f"--dataset {args.dataset}", cut(ids)["train"]
    needed = max(args.batch_size * args.sequence_length + 1, 200)
    if len(train) < needed:
        raise ru.UserError(
            f"{source}: {len(train):,} {args.level}s to train on, and one chunk of each stream "
            f"takes {needed:,}; give more text, or reduce --batch-size or --sequence-length"
        )
    counts = sum(np.bincount(block, minlength=len(words)) for block in ru.blocks(train)).tolist()
    vocab = ru.Vocab.from_counts(dict(zip(words, counts)), specials=(ru.Vocab.UNK,), min_freq=2)
    if len(vocab) < 3:
        raise ru.UserError(f"{source}: fewer than two different {args.level}s to learn from")
    return vocab


def encode(files: list[Path], args, vocab=None, file=None) -> tuple[np.ndarray, ru.Vocab]:
    """Return the text as (N,) int32 indices, in memory or in `file`, and their vocabulary."""
    texts = ru.read_files(files, args.max_chars)
    words, ids = ru.number_tokens((tokenize(text, args.level) for text in texts), file)
    vocab = vocab or build_vocab(words, ids, args)
    table = np.array(vocab(words), np.int32)
    for block in ru.blocks(ids):
        block[:] = table[block]
    return ids, vocab


# A text of many gigabytes has no room in memory.  With --max-chars 0 its indices are written to a
# file, once, and the file is "mapped": it looks like an array, and the operating system reads the
# pages that are touched and forgets them again when memory is short.  Training reads each stream
# from front to back, which suits it.
# "r+", though nothing is written: for a private copy ("c") the system would have to promise as
# much memory as the file is long, and what is opened with "r" PyTorch does not take.
def map_numbers(file) -> np.ndarray:
    return np.memmap(file, np.int32, "r+")


def load_data(args: argparse.Namespace, vocab=None) -> tuple[dict, ru.Vocab, bool]:
    """Return the splits as indices: train (N,), val and test (N + 1,), see `cut`; int32, CPU."""
    on_disk = None if args.max_chars else Path(args.output_dir) / "text.int32"

    def prepare() -> tuple:
        files, name, embedded = find_text(args)
        number = functools.partial(encode, files, args, vocab)
        if on_disk:
            return None, ru.numbered_once(on_disk, files, args.level, number, vocab), name, embedded
        return (*number(), name, embedded)

    # With several processes (section 6), the first prepares the text for all.
    ids, vocab, args.dataset, embedded = from_all(prepare() if RANK == 0 else None)[0]
    ids = map_numbers(on_disk) if on_disk else ids
    return cut(torch.from_numpy(ids)), vocab, embedded


def decode(ids: torch.Tensor, vocab: ru.Vocab) -> str:
    """The text of (N,) indices, with the one character U+FFFD for each <unk>."""
    return "".join(vocab.lookup_tokens(ids.tolist())).replace(ru.Vocab.UNK, "\ufffd")


# The text is cut into B streams of equal length, and all streams are read at once, T symbols
# at a time.  Row b of a chunk goes on where row b of the chunk before it ended, so the state
# after one chunk is exactly the state before the next:
#
#     stream 1   First Citizen:|Befor  /  e we proceed any fur  /  ther, hear me speak.  / ...
#     stream 2   e is|rather to have   /  my hat than my heart  /  , I will practise|th  / ...
#
# The target of each symbol is the one that follows it.
def make_streams(ids: torch.Tensor, num_streams: int, steps: int) -> list[torch.Tensor]:
    """(N,) indices -> inputs and targets (B, L), L a multiple of `steps`; the rest is not used.

    Both are views: nothing is copied, and of a text on disk nothing is read yet.
    """
    length = (len(ids) - 1) // num_streams // steps * steps
    return [ids[k : k + num_streams * length].view(num_streams, length) for k in (0, 1)]


# %% ------------------------------------------------------------------
# 2. Model
# ----------------------------------------------------------------------

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STEPS = {"rnn": torch.rnn_tanh_cell, "lstm": torch.lstm_cell, "gru": torch.gru_cell}
CHAR_EMBEDDING = 64


# To predict the next symbol is to classify, with V classes and a prediction at every step.  Words
# are many, and their two tables, one to read with (V x E) and one to write with (V x H), would
# hold most of the weights.  With E = H one table serves both: "tied weights" (Press and Wolf
# 2017).  Characters are few; 64 numbers for each are plenty, and nothing is tied.
class LanguageModel(nn.Module):
    """Embedding -> recurrent layers -> logits of the next symbol, at every step."""

    def __init__(self, vocab_size: int, args: argparse.Namespace):
        super().__init__()
        embedding_size = CHAR_EMBEDDING if args.level == "char" else args.hidden_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = args.cell
        between = args.dropout if args.num_layers > 1 else 0.0  # dropout between the layers
        options = {"num_layers": args.num_layers, "dropout": between, "batch_first": True}
        self.rnn = CELLS[args.cell](embedding_size, args.hidden_size, **options)
        self.dropout = nn.Dropout(args.dropout)
        self.output = nn.Linear(args.hidden_size, vocab_size)
        if args.level == "word":
            self.output.weight = self.embedding.weight
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # N(0, 1) makes huge logits
        ru.initialise_recurrent(self.rnn)
        self.layers = self.rnn.all_weights  # for `step`: the same tensors, a list for each layer

    def forward(self, inputs: torch.Tensor, state=None) -> tuple:
        """(B, T) symbols, state or None for zeros -> logits (B, T, V), state after the last."""
        embedded = self.dropout(self.embedding(inputs))  # (B, T, E)
        states, state = self.rnn(embedded, state)  # (B, T, H)
        return self.output(self.dropout(states)), state

    # To write, the network takes one step at a time.  nn.LSTM is made for many: called with
    # T = 1 it spends most of its time on preparations.  So take its weights and call the cell.
    def step(self, symbol: torch.Tensor, states: list) -> tuple[torch.Tensor, list]:
        """One symbol (B,), one state per layer -> logits (B, V), the new states; no dropout."""
        layer_input, new_states = self.embedding(symbol), []  # (B, E)
        for weights, state in zip(self.layers, states):
            new_states.append(STEPS[self.cell](layer_input, state, *weights))
            layer_input = new_states[-1][0] if self.cell == "lstm" else new_states[-1]  # h_t (B, H)
        return self.output(layer_input), new_states

    def zero_states(self, batch_size: int = 1) -> list:
        """The states for the first `step`: h, and for an LSTM the pair (h, c), of each layer."""
        h_0 = self.output.bias.new_zeros(batch_size, self.rnn.hidden_size)  # (B, H)
        return [(h_0, h_0) if self.cell == "lstm" else h_0] * self.rnn.num_layers


# %% ------------------------------------------------------------------
# 3. Training and evaluation
# ----------------------------------------------------------------------


# --amp, automatic mixed precision: matrices are multiplied in bfloat16, numbers of 16 bits.  They
# have fewer digits than float32 (3, not 7) but its range, so a small gradient loses precision and
# does not become 0: the loss need not be scaled up, as it must be for float16.  The weights, the
# loss and Adam stay in float32, and so does all that is not training.  Faster only where the
# processor multiplies bfloat16 itself: a CPU that did not took 2.7 times as long per update.
def mixed_precision(device: torch.device, args: argparse.Namespace):
    return torch.autocast(device.type, torch.bfloat16, enabled=args.amp)


@torch.no_grad()
def require_amp(model, device: torch.device, args: argparse.Namespace) -> None:
    """Raise UserError where this processor cannot compute the model in bfloat16."""
    try:
        with mixed_precision(device, args):
            model.eval()(torch.zeros(1, 1, dtype=torch.long, device=device))
    except RuntimeError:
        raise ru.UserError(
            f"--amp: this {device.type} computes no {args.cell} in bfloat16; train without --amp"
        ) from None


def detach(state):
    """The same numbers without their past; the state of an LSTM is a pair (h, c)."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


# Truncated back-propagation through time.  The state is carried from one chunk to the next, so
# what the network remembers may be older than the chunk.  But the state is detached, cut off
# from the computation that made it, and the gradient stops at the border: without the cut, each
# update would have to go back to the first letter of the book, and all steps since would have
# to be kept in memory.  With --stateless every chunk starts from zeros instead.
# Pitfall: with a state that is always carried, the network hardly ever sees the zeros that each
# prompt starts from, and wrote "DACXBY?AQjQ?TXp" after its first line break.  So one chunk in 50
# starts from zeros.
RESTART = 0.02
EARLY = (0, 100, 300)  # updates of the first epoch before which the network writes a line


def train_epoch(model, streams, optimizer, vocab, epoch: int, args) -> dict:
    """Read every stream once, from its beginning; return what was measured."""
    plain = getattr(model, "module", model)  # without what section 6 wraps around it
    device, num_chunks = plain.output.bias.device, streams[0].shape[1] // args.sequence_length
    step, total_steps = (epoch - 1) * num_chunks, args.epochs * num_chunks
    state, loss_sum, norm_sum, samples = None, 0.0, 0.0, []
    model.train()
    for chunk, restart in chunks(num_chunks, epoch, args):
        if epoch == 1 and step in EARLY:
            samples.append([step, write_line(plain, vocab, args)])
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, args.lr)

        inputs, targets = (stream[:, chunk].to(device, torch.long) for stream in streams)  # (B, T)
        if restart:
            state = None
        with mixed_precision(device, args):
            logits, state = model(inputs, state)  # (B, T, V)
        state = detach(state)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())  # mean of B * T
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), args.clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item()
    train_loss = sum(from_all(loss_sum)) / NUM_PROCESSES / num_chunks
    ru.check_finite(train_loss, epoch)
    samples.append([step, write_line(plain, vocab, args)])
    return {"train_loss": train_loss, "gradient_norm": norm_sum / num_chunks, "samples": samples}


def chunks(num_chunks: int, epoch: int, args) -> Iterator[tuple[slice, bool]]:
    """The place of each chunk in the streams, and whether the state is set to zeros before it."""
    restarts = (args.stateless or bool(torch.rand(()) < RESTART) for _ in range(num_chunks))
    if NUM_PROCESSES > 1:  # see section 6: all start from zeros together...
        restarts = from_all(list(restarts))[0]
    if RANK:  # ... but drop different units
        torch.manual_seed(args.seed + epoch * NUM_PROCESSES + RANK)
    for k, restart in zip(ru.progress(range(num_chunks), desc=f"epoch {epoch}"), restarts):
        yield slice(k * args.sequence_length, (k + 1) * args.sequence_length), restart


def train(model, data: dict, vocab, args) -> tuple[list[dict], dict]:
    """Train for up to `args.epochs`; return the history and the epoch of least validation loss."""
    streams = make_streams(data["train"], args.batch_size, args.sequence_length)
    streams = [stream.chunk(NUM_PROCESSES)[RANK] for stream in streams]  # the share of this process
    # AdamW is Adam with weight decay: each update also shrinks every weight by the factor
    # 1 - 0.01 * lr (0.01 is PyTorch's default).  Like dropout, a brake on learning by heart.
    fused = ru.fused_adam_works(model.output.bias.device)  # fused: one pass over all weights (05)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, fused=fused)
    stopper = ru.EarlyStopping(args.patience)
    config = {k: v for k, v in ru.training_config(args).items() if k not in WRITING_FLAGS}
    resumable = {"config": config, "model": model, "optimizer": optimizer, "stopper": stopper}
    history, best = [], {}
    if args.resume:
        record = ru.load_training_state(args.path, TUTORIAL, **resumable)
        history, best = record["history"], record["best"]
    network = DistributedDataParallel(model) if NUM_PROCESSES > 1 else model

    print(f"\nepoch  train loss  val loss  bits per {args.level}  grad norm  seconds")
    with ru.interruptible(args, history):
        while len(history) < args.epochs and not stopper.should_stop:
            started = time.perf_counter()
            row = {"epoch": len(history) + 1}
            row |= train_epoch(network, streams, optimizer, vocab, row["epoch"], args)
            validation = from_all(evaluate(model, data["val"]))[0]  # so that all stop together
            row |= {f"val_{k}": v for k, v in validation.items()}
            row["seconds"] = round(time.perf_counter() - started, 3)
            improved = stopper.step(row["val_loss"])
            if improved:
                best = {"epoch": row["epoch"], "metrics": row, "weights": ru.snapshot(model)}
            if args.save_model and RANK == 0:
                tokens = vocab.get_itos()
                ru.save_epoch(args.path, TUTORIAL, resumable, [*history, row], best, vocab=tokens)
            # Last, so that Ctrl-C while saving does not count this epoch as finished.
            history.append(row)
            print_epoch(row, improved)
    if len(history) < args.epochs:
        print(f"stopped early: no better validation loss for {args.patience} epochs")
    else:
        print(f"finished: after {args.epochs} epochs the learning rate has fallen to 0")
    return history, best


def print_epoch(row: dict, improved: bool) -> None:
    print(
        f"{row['epoch']:5d}  {row['train_loss']:10.4f}  {row['val_loss']:8.4f}"
        f"  {row['val_bits']:13.3f}  {row['gradient_norm']:9.2f}"
        f"  {row['seconds']:7.1f}{'  *' if improved else ''}"
    )
    for updates, line in row["samples"]:
        print(f"       after {updates:,} updates: {line}", flush=True)


# The loss is -log p(next symbol), in nats.  Divided by log 2 it is in bits: what a symbol would
# take in a file compressed with this model.  exp(loss) is the perplexity: the network is as
# unsure as if it had to guess among so many equally likely symbols.
# Pitfall: at --level word all rare words are one symbol, <unk>, in the loss of the network and of
# the n-grams, and easier to guess than the words would be.  The smaller the vocabulary, the lower
# the perplexity: compare it only where the vocabulary is the same.
def scores(loss: float) -> dict[str, float]:
    return {"loss": loss, "bits": loss / math.log(2), "perplexity": math.exp(min(loss, 700))}


# The state is carried through the whole split, as a reader's memory is (also for a model
# trained with --stateless), so the length of the pieces it is read in does not matter.
@torch.no_grad()
def evaluate(model, ids: torch.Tensor, steps: int = 2000) -> dict[str, float]:
    """Score all N symbols that follow the first of `ids` (N + 1,), dropout off."""
    model.eval()
    device, state, loss_sum = model.output.bias.device, None, 0.0
    for piece in zip(ids[:-1].split(steps), ids[1:].split(steps)):
        inputs, targets = (part.to(device, torch.long) for part in piece)  # (T,), (T,)
        logits, state = model(inputs[None], state)  # (1, T, V)
        loss_sum += F.cross_entropy(logits[0], targets, reduction="sum").item()
    return scores(loss_sum / (len(ids) - 1))


# What the network has to beat: counting.  An n-gram model predicts the next symbol from the n - 1
# before it, by how often each symbol followed them in the training text.  Long contexts know
# more, but most have hardly been seen, so all orders are blended (ru.kneser_ney says how).  The
# counts of more than some millions of symbols would fill the memory of a laptop.
COUNTED = 5_000_000


def score_baselines(data: dict, vocab_size: int, level: str) -> dict[str, dict[str, float]]:
    """Losses of the unigram and the best n-gram model, its order chosen on validation."""
    parts = [data["train"][-COUNTED:], data["test"][1:], data["val"][1:]]
    ids, start, num_test = torch.cat(parts).numpy(), len(parts[0]), len(parts[1])
    # An n-gram must fit into 63 bits.  Words repeat too seldom for more than trigrams.
    highest = min(7 if level == "char" else 3, int(63 / math.log2(vocab_size)))
    losses = {}
    for n in range(1, highest + 1):
        loss = -np.log(ru.kneser_ney(ids, start, vocab_size, n))  # (N,)
        losses[n] = {"test": float(loss[:num_test].mean()), "val": float(loss[num_test:].mean())}
    best = min(losses, key=lambda n: losses[n]["val"])
    return {"unigram": losses[1], f"{best}-gram": losses[best]}


# %% ------------------------------------------------------------------
# 4. Generation
# ----------------------------------------------------------------------

TEMPERATURES = (0.3, 0.6, 0.8, 1.0, 1.3)


# The network does not write; it says how likely each next symbol is, and we choose.  Dividing
# the logits by a temperature below 1 makes likely symbols likelier still, above 1 it makes all
# more alike.  top-k keeps the k likeliest; top-p (the "nucleus", Holtzman et al. 2020) the fewest
# that together have probability p: few where the network is sure, many where it is not.
def next_probabilities(logits, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0):
    """(V,) logits -> (V,) probabilities.  Temperature 0 is greedy; top_k 0 and top_p 1 are off."""
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).to(logits.dtype)
    logits = (logits - logits.max()) / temperature  # the largest is 0, so nothing overflows
    if top_k:
        kept = logits.topk(min(top_k, len(logits))).indices
        logits = torch.full_like(logits, -math.inf).index_copy(0, kept, logits[kept])
    probabilities = logits.softmax(dim=0)
    if top_p < 1:
        ordered, order = probabilities.sort(descending=True)
        before = ordered.cumsum(dim=0) - ordered  # what the likelier ones have together
        probabilities[order[before >= top_p]] = 0
        probabilities = probabilities / probabilities.sum()
    return probabilities


# Autoregressive: each symbol that is chosen becomes the next input.  The state holds all that was
# written, so a step costs the same however long the text has grown.
# Pitfall: `with torch.inference_mode():` inside a generator stays in force in the caller's code
# between two symbols.  The decorator switches it off at every yield.
@torch.inference_mode()
def generate(model, vocab, prompt: list[int], length: int, seed: int, **choice) -> Iterator[str]:
    """Yield `length` symbols that follow `prompt`; `choice` goes to next_probabilities."""
    generator, states = torch.Generator().manual_seed(seed), model.zero_states()
    prompt = torch.tensor(prompt, device=model.output.bias.device)  # (T,)
    banned, symbols = torch.zeros(len(vocab)), vocab.get_itos()
    banned[vocab[ru.Vocab.UNK]] = -math.inf  # "something rare" cannot be written down
    for symbol in prompt.split(1):
        logits, states = model.step(symbol, states)  # (1, V)
    for _ in range(length):
        probabilities = next_probabilities(logits[0].cpu() + banned, **choice)
        # A draw is a race: symbol i waits for a random time, 1 / p_i on average, and the first to
        # come is written.  torch.multinomial does the same, and longer checks what it is given.
        waiting = torch.empty_like(probabilities).exponential_(generator=generator)
        index = (probabilities / waiting).argmax(0, keepdim=True)  # (1,)
        yield symbols[index.item()]
        logits, states = model.step(index.to(prompt.device), states)


def encode_prompt(prompt: str, vocab, level: str) -> list[int]:
    """Indices of a prompt.  Symbols that the model has never read are left out, with a note.

    If none remains, the prompt is a line break, or the commonest symbol of a text without any.
    """
    symbols = tokenize(prompt, level)
    unknown = ", ".join(repr(symbol) for symbol in symbols if symbol not in vocab)
    if unknown:
        print(f"note: not in the training text, left out of the prompt: {unknown}", file=sys.stderr)
    known = [symbol for symbol in symbols if symbol in vocab]
    return vocab(known or ["\n" if "\n" in vocab else vocab.lookup_token(1)])


def write_samples(model, vocab, args) -> list[str]:
    """Print `args.num_samples` texts, symbol by symbol as they arise; return them."""
    torch.set_num_threads(1)  # one symbol is too little work to share
    choice = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    prompt, texts = encode_prompt(args.prompt or "", vocab, args.level), []
    for number in range(args.num_samples):
        print(f"\n----- sample {number + 1}: {', '.join(f'{k} {v:g}' for k, v in choice.items())}")
        pieces, started = vocab.lookup_tokens(prompt), time.perf_counter()
        print("".join(pieces), end="")
        for piece in generate(model, vocab, prompt, args.max_length, args.seed + number, **choice):
            print(piece, end="", flush=True)
            pieces.append(piece)
        rate = args.max_length / (time.perf_counter() - started)
        print(f"\n----- {rate:,.0f} {args.level}s per second")
        texts.append("".join(pieces))
    return texts


def write_line(model, vocab, args) -> str:
    """80 characters in one printable line, to watch the network learn."""
    prompt = encode_prompt("", vocab, args.level)
    text = "".join(generate(model, vocab, prompt, 80, args.seed, temperature=0.8))
    return text[:80].replace("\n", "|")


# Is it writing or reciting?  A network can lower its loss by learning passages by heart.  So for
# each temperature: which share of its words, and of its pairs of words, are different ("distinct-
# n", Li et al. 2016; a text that repeats itself has few), and which is the longest piece that
# is in the training text letter for letter?  People repeat themselves and quote too, so the
# same is measured on unseen text of the same length.
def distinct_n(text: str, n: int) -> float:
    """The share of different n-grams among all n-grams of words."""
    words = text.split()
    grams = list(zip(*(words[offset:] for offset in range(n))))
    return len(set(grams)) / max(1, len(grams))


def longest_copy(text: str, source: str) -> str:
    """The longest piece of `text` that is in `source`."""
    longest = ""
    for start in range(len(text)):
        # A piece that starts here matters only if it is longer than the longest so far.
        end = start + len(longest) + 1
        while end <= len(text) and text[start:end] in source:
            longest, end = text[start:end], end + 1
    return longest


def temperature_ladder(model, vocab, data: dict, args) -> list[dict]:
    """Write at each temperature and measure what is new in it; the last row is unseen text."""
    texts, prompt, length = {}, encode_prompt("", vocab, args.level), 2 * args.max_length
    for temperature in TEMPERATURES:
        symbols = generate(model, vocab, prompt, length, args.seed, temperature=temperature)
        texts[str(temperature)] = "".join(symbols)[:length]
    texts["unseen text"] = decode(data["val"][1 : length + 1], vocab)[:length]
    print(f"\nWriting or reciting?  {length:,} characters at each temperature")
    print("temperature  distinct-1  distinct-2  longest copy of the training text")
    rows, source = [], decode(data["train"][-COUNTED:], vocab)
    for name, text in texts.items():
        one, two, copied = distinct_n(text, 1), distinct_n(text, 2), longest_copy(text, source)
        print(f"{name:>11}  {one:10.2f}  {two:10.2f}  {len(copied):3d}: {copied[:48]!r}")
        rows.append({"temperature": name, "distinct_1": one, "distinct_2": two, "copied": copied})
    return rows


# %% ------------------------------------------------------------------
# 5. Looking inside
# ----------------------------------------------------------------------


# What might a unit of the state stand for?  Each pattern finds stretches of a text: places where
# a reader is inside something, or counts how far it has come.
FEATURES = {
    "characters since the line began": r".+",
    "characters since the word began": r"\w+",
    "in the line after a blank line": r"(?<=\n\n).+",
    "inside double quotes": r'"[^"\n]*"',
    "inside a # comment": r"#.*",
}


def text_features(text: str) -> dict[str, np.ndarray]:
    """Name -> a number for each character of `text`: 1, 2, 3... or 1 inside a stretch, else 0."""
    features = {name: np.zeros(len(text)) for name in FEATURES}
    for name, values in features.items():
        for match in re.finditer(FEATURES[name], text):
            inside = values[match.start() : match.end()]
            inside[:] = np.arange(1, len(inside) + 1) if "since" in name else 1
    return features


@torch.no_grad()
def read(model, ids: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """(T,) symbols -> the states of the top layer (T, H), next symbol probabilities (T, V)."""
    model.eval()
    ids = ids.to(model.output.bias.device, torch.long)
    states, _ = model.rnn(model.embedding(ids[None]))  # (1, T, H)
    return states[0].cpu().numpy(), model.output(states[0]).softmax(dim=1).cpu()


# Nobody told the network to count columns.  For each property, take the unit whose state
# correlates with it most on one piece of text.  Among hundreds of units one will correlate by
# luck, so the correlation that we report is the same unit's on another piece.
def find_units(model, vocab, ids: torch.Tensor) -> tuple[list[dict], np.ndarray, str]:
    """Return [{feature, unit, correlation}], best first; states (T, H) and text of the 2nd half."""
    text, half = decode(ids, vocab), len(ids) // 2  # at character level equally long
    states, found = read(model, ids)[0], []
    for name, values in text_features(text).items():
        if np.ptp(values[:half]) == 0 or np.ptp(values[half:]) == 0:
            continue  # Shakespeare writes no comments
        with np.errstate(invalid="ignore"):  # the correlation of a unit that never moves is NaN
            there = np.corrcoef(states[:half], values[:half], rowvar=False)[-1, :-1]  # (H,)
        unit = int(np.nanargmax(np.abs(there)))
        correlation = float(np.corrcoef(states[half:, unit], values[half:])[0, 1])
        found.append({"feature": name, "unit": unit, "correlation": correlation})
    found.sort(key=lambda row: -abs(row["correlation"]))
    print("\nWhat does a unit of the state stand for?  (chosen on one text, measured on another)")
    for row in found:
        print(f"  unit {row['unit']:3d}  {row['correlation']:+.2f}  {row['feature']}")
    return found, states[half:], text[half:]


def plot_units(found: list[dict], states: np.ndarray, text: str, plt, title: str):
    """A passage, three times: its characters coloured by the state of each of the best units."""
    begin = text.find("\n\n") + 2
    lines = text[begin:].replace("\t", " ").split("\n")[:7]
    width = min(70, max(1, *map(len, lines)))
    size = (max(6, 1.5 + 0.115 * width), 0.7 + 2 * len(found[:3]))  # inches
    figure, panels = plt.subplots(len(found[:3]), 1, figsize=size, squeeze=False)
    options = {"ha": "center", "va": "center", "family": "monospace", "fontsize": 9}
    options |= {"parse_math": False, "in_layout": False}  # the letters need no room of their own
    for axes, row in zip(panels[:, 0], found):
        grid, place = np.full((len(lines), width), np.nan), begin
        for number, line in enumerate(lines):
            for column, letter in enumerate(line[:width]):
                h_t = grid[number, column] = states[place + column, row["unit"]]
                color = "white" if abs(h_t) > 0.6 else "black"
                axes.text(column, number, letter, color=color, **options)
            place += len(line) + 1
        image = axes.imshow(grid, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
        axes.set_axis_off()
        name = f"unit {row['unit']}: {row['feature']} (correlation {row['correlation']:+.2f})"
        axes.set_title(name, fontsize=10, loc="left")
    figure.colorbar(image, ax=panels, label="state h_t", shrink=0.8)
    figure.suptitle(f"What does a unit of the state stand for?{title}")
    return figure


def visible(symbol: str) -> str:
    """Line breaks and blanks as characters that can be seen."""
    return symbol.replace("\n", "\u21b5").replace("\t", "\u2192").replace(" ", "\u2423")


def plot_next_symbols(model, vocab, ids: torch.Tensor, level: str, plt, title: str):
    """Along a line: the five likeliest symbols at each place, above the one that came."""
    count = min(len(ids) - 1, 36 if level == "char" else 10)
    probabilities = read(model, ids[:-1])[1][-count:]  # (T, V)
    top = probabilities.topk(min(5, len(vocab)), dim=1)  # values and indices (T, 5)
    ranks = ["1st", "2nd", "3rd", "4th", "5th"][: top.values.shape[1]]
    came = [visible(symbol) for symbol in vocab.lookup_tokens(ids[-count:])]
    figure, axes = plt.subplots(figsize=(9, 3.4))
    options = {"cmap": "Blues", "vmin": 0, "vmax": 1}
    ru.plot_heatmap(axes, top.values.T.numpy(), ranks, came, "probability", **options)
    for (t, rank), index in np.ndenumerate(top.indices.numpy()):
        guess = visible(vocab.lookup_token(int(index)))
        color = "white" if top.values[t, rank] > 0.5 else "black"
        axes.text(t, rank, guess, ha="center", va="center", color=color, parse_math=False)
        if guess == came[t]:
            box = plt.Rectangle((t - 0.5, rank - 0.5), 1, 1, fill=False, color=ru.ORANGE, lw=2)
            axes.add_patch(box)
    axes.set(xlabel=f"the {level}s that came, in an unseen text", ylabel="guess")
    figure.suptitle(f"What does the network expect next? (framed: what came){title}")
    return figure


def plot_training(history: list[dict], baselines: dict, level: str, plt, title: str):
    """Left: the loss of both splits.  Right: what the network wrote along the way."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.3))
    lines = [(f"{name}, validation", loss["val"]) for name, loss in baselines.items()][1:]
    ru.plot_curves(left, history, "loss", f"loss (nats per {level})", lines)
    both_ways = (lambda nats: nats / math.log(2), lambda bits: bits * math.log(2))
    left.secondary_yaxis("right", functions=both_ways).set_ylabel(f"bits per {level}")
    samples = [sample for row in history for sample in row["samples"]]
    right.set_axis_off()
    for place in range(min(8, len(samples))):  # the first six and the last two
        updates, line = samples[place if place < 6 else place - min(8, len(samples))]
        y, options = 1 - place / 8, {"fontsize": 8, "va": "top", "parse_math": False}
        right.text(0, y, f"after {updates:,} updates", color=ru.BLUE, **options)
        right.text(0, y - 0.05, line, family="monospace", **options)
    figure.suptitle(f"What has been learned, and when?{title}")
    return figure


# %% ------------------------------------------------------------------
# 6. More than one process (to be skipped at a first reading)
# ----------------------------------------------------------------------

# `torchrun --nproc-per-node=4` starts this script four times and tells each process its number,
# the rank.  Each has a copy of the whole model and reads its own share of the streams, and the
# state that it carries is its own affair.  During `backward`, PyTorch's DistributedDataParallel
# (DDP) replaces every gradient by its mean over all processes (an "all-reduce": each gives a
# number, each gets the mean), and sends those of one layer while those below are being computed.
# So all take the same step from the same weights, and the copies stay equal though no weight is
# sent.  The shares are equal, and the mean of their means is the mean of the whole batch: but for
# rounding and dropout, four processes learn what one would.
RANK = int(os.environ.get("RANK", 0))
NUM_PROCESSES = int(os.environ.get("WORLD_SIZE", 1))


def join_processes(args: argparse.Namespace) -> None:
    """Connect the processes that torchrun has started, and give each a GPU where there are any."""
    if args.batch_size % NUM_PROCESSES:
        share = f"{NUM_PROCESSES} processes share it equally; give a multiple of {NUM_PROCESSES}"
        raise ru.UserError(f"--batch-size {args.batch_size}: {share}")
    backend = "gloo"  # for what is in the CPU's memory; NCCL for what is in a GPU's
    if ru.get_device(args.device).type == "cuda":
        backend, args.device = "cpu:gloo,cuda:nccl", f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(ru.get_device(args.device))
    dist.init_process_group(backend)


def from_all(value) -> list:
    """What `value` is in each process, by rank: the same list in all of them."""
    values = [value] * NUM_PROCESSES
    if NUM_PROCESSES > 1:
        dist.all_gather_object(values, value)
    return values


# %% ------------------------------------------------------------------
# 7. Command line and main
# ----------------------------------------------------------------------

QUICK = {"dataset": "embedded", "epochs": 2, "hidden_size": 64, "max_chars": 40_000, "lr": 1e-2,
         "batch_size": 16, "sequence_length": 32, "max_length": 100, "threads": 1}  # fmt: skip
# How a trained model writes is no part of its training.
WRITING_FLAGS = {"prompt", "max_length", "temperature", "top_k", "top_p", "num_samples"}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--epochs", type=ru.at_least(1), default=12, help="passes over the training text")
    add("--prompt", metavar="TEXT", help="what to go on from (with --path: no training)")
    datasets = ("auto", "shakespeare", "code", "embedded")
    words = "auto: shakespeare, or embedded data where it is not available; code: Python's library"
    add("--dataset", choices=datasets, default="auto", help=words)
    add("--data", metavar="PATH", help="your own UTF-8 text file, or a folder of them")
    quick = "a tiny run on embedded data, to see that it works"
    add("--quick", action="store_true", help=quick)

    add = parser.add_argument_group("writing").add_argument
    add("--max-length", type=ru.at_least(1), default=500, help="symbols to write")
    add("--temperature", type=ru.between(0), default=0.8, help="0: always the likeliest symbol")
    add("--top-k", type=ru.at_least(0), default=0, help="choose among the k likeliest; 0: all")
    top_p = "choose among the fewest that have this probability; 1: all"
    add("--top-p", type=ru.between(0, 1, open_low=True), default=1.0, help=top_p)
    add("--num-samples", type=ru.at_least(1), default=1, help="texts to write")

    add = parser.add_argument_group("model and training").add_argument
    add("--level", choices=("char", "word"), default="char", help="what a symbol is")
    add("--cell", choices=tuple(CELLS), default="lstm", help="the recurrent layer")
    add("--hidden-size", type=ru.at_least(1), default=384, help="numbers in the state h_t")
    add("--num-layers", type=ru.at_least(1), default=1, help="stacked recurrent layers")
    add("--dropout", type=ru.between(0, 0.95), default=0.1, help="share of activations zeroed")
    add("--lr", type=ru.between(0, 10, open_low=True), default=5e-3, help="peak learning rate")
    add("--batch-size", type=ru.at_least(1), default=32, help="streams read side by side")
    add("--sequence-length", type=ru.at_least(1), default=64, help="symbols in a chunk")
    add("--amp", action="store_true", help="train in bfloat16, where that is fast")
    add("--stateless", action="store_true", help="start every chunk of training from a zero state")
    add("--clip", type=ru.between(0), default=1.0, help="largest gradient norm; 0: no clipping")
    patience = "epochs without improvement before stopping; 0: never stop early"
    add("--patience", type=ru.at_least(0), default=4, help=patience)
    most = "use only the beginning of the text; 0: all of it, from a file in --output-dir"
    add("--max-chars", type=ru.at_least(0), default=2_000_000, help=most)
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=2)
    return ru.parse_arguments(parser, argv, QUICK)


def load_model(path, device) -> tuple[LanguageModel, ru.Vocab, dict]:
    """Rebuild the model of a checkpoint; return it with its vocabulary and record."""
    checkpoint = ru.load_checkpoint(path, TUTORIAL)
    with ru.restoring(path):
        vocab, settings = ru.Vocab(checkpoint["vocab"]), argparse.Namespace(**checkpoint["config"])
        model = LanguageModel(len(vocab), settings)
        model.load_state_dict(checkpoint["weights"])
    return model.to(device), vocab, checkpoint


def introduce(model, data: dict, vocab, args, device) -> None:
    """Print the size of the data, the settings and the model, and a few inputs and targets."""
    sizes = ", ".join(f"{len(ids) - (part != 'train'):,} {part}" for part, ids in data.items())
    print(f"{'data':<10}{args.dataset}: {args.level}s: {sizes}")
    ru.print_configuration(args, device)
    print(f"{'model':<10}{args.cell}, {ru.count_parameters(model):,} parameters", end="")
    print(f", {len(vocab):,} different {args.level}s")
    for name, row in zip(("inputs", "targets"), make_streams(data["train"], 1, 8)):
        print(f"{name:<10}{row[0, :8].tolist()} = {decode(row[0, :8], vocab)!r}")


def report(test: dict, baselines: dict, history: list[dict], count: int, args) -> None:
    lines = {f"the network, on all {count:,} {args.level}s": test}
    lines |= {name: scores(loss["test"]) for name, loss in baselines.items()}
    print()
    for name, line in lines.items():
        print(f"{'test':<10}{line['loss']:.4f} nats  {line['bits']:.4f} bits", end="")
        print(f"  perplexity {line['perplexity']:.2f}  {name}")
    name = list(baselines)[-1]
    better = [row["epoch"] for row in history if row["val_loss"] < baselines[name]["val"]]
    if better:
        print(f"{'':<10}on validation better than the {name} since epoch {better[0]}")


def draw_figures(model, vocab, data, history, baselines, found, args, title) -> list[Path]:
    """Draw and save every figure; return their paths."""
    plt, line = ru.get_pyplot(args.show), data["val"][:400]
    figures = {"next_symbols": plot_next_symbols(model, vocab, line, args.level, plt, title)}
    if found[0]:
        figures["hidden_units"] = plot_units(*found, plt, title)
    if history:  # --eval-only has none
        figures["training_curves"] = plot_training(history, baselines, args.level, plt, title)
    return ru.save_figures(figures, args)


@ru.one_voice(RANK, NUM_PROCESSES)  # process 0 alone prints
def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    if NUM_PROCESSES > 1:
        join_processes(args)
    if ru.answers_alone(args, args.prompt):
        model, vocab, record = load_model(args.path, ru.get_device(args.device))
        args.level = record["config"]["level"]
        return {"samples": write_samples(model, vocab, args)}

    device, vocab, history = ru.start_run(args, TUTORIAL), None, []
    if args.eval_only:
        model, vocab, best = load_model(args.path, device)
        ru.take_trained_settings(args, best["config"], ("data", "dataset", "max_chars"))
    symbol = "word" if args.level == "word" else "character"
    print(f"{TUTORIAL}: can a network that guesses the next {symbol} write?\n")
    data, vocab, embedded = load_data(args, vocab)
    if not args.eval_only:
        model = LanguageModel(len(vocab), args).to(device)
    if args.amp:
        require_amp(model, device, args)
    introduce(model, data, vocab, args, device)

    if not args.eval_only:
        history, best = train(model, data, vocab, args)
        model.load_state_dict(best["weights"])
    if NUM_PROCESSES > 1:
        dist.destroy_process_group()
    if RANK:
        return {}  # the rest is for process 0

    test = evaluate(model, data["test"])  # the only look at the test text
    baselines = score_baselines(data, len(vocab), args.level)
    report(test, baselines, history, len(data["test"]) - 1, args)
    ladder = temperature_ladder(model, vocab, data, args)
    found = find_units(model, vocab, data["val"][1:10_001]) if args.level == "char" else [[]]

    figures, title = [], " (embedded data)" if embedded else ""
    if not args.no_plots:
        figures = draw_figures(model, vocab, data, history, baselines, found, args, title)
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        parameters=ru.count_parameters(model), history=history, best_epoch=best["epoch"],
        baselines={name: loss["test"] for name, loss in baselines.items()}, test=test,
        ladder=ladder, units=found[0],
        items_per_second=ru.items_per_second(len(history) * len(data["train"]), history),
    )  # fmt: skip
    ru.print_files(args, figures)
    write_samples(model, vocab, args)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: after a run with --save-model, `--path models/10_text_generation.pt --prompt
#    "ROMEO:"` with `--temperature 0`, 0.5 and 1.5.  Which of them repeats itself, which misspells,
#    and which rows of the table "Writing or reciting?" of that run pointed there?
# 2. Change one flag: `--stateless`.  How many characters has a prediction read on average, in
#    training, with --sequence-length 64, and with 16?  The validation loss is measured with a state
#    that is carried on all the same: in which of the two runs does it rise more, and why?
# 3. Explain a failure: take `detach` out of `train_epoch`.  What does PyTorch say, in which
#    update, and why not in the first?
# 4. Modify the code: let `generate` remember its last 50 symbols and hand them, but for spaces, to
#    `next_probabilities`, which takes 1 off their logits.  What becomes of distinct-2 at
#    temperature 0.3, and of the line breaks?
# 5. An open question: this model takes 2.1 bits per character.  People who guess English text
#    need about 1 (Shannon 1951).  What do they know that this network does not?
