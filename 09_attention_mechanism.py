"""09_attention_mechanism: what does a translator look at while it writes each word?

The question    In chapter 08 one vector had to carry a whole sentence.  What if the decoder may
                look back at the source, at all of it, before each word it writes?
The number      54.8 BLEU on 1,000 unseen captions with attention, 24.6 without (seed 0, greedy).
                The translation of the most similar training caption gets 17.8.
Misconceptions  "Attention explains the translation."  It says where the decoder looked.  What it
                found there is a state of the encoder, which knows the neighbours as well.
                "Attention came with Transformers."  It came with networks like this one, in
                2014; Transformers kept it and left the recurrence out.
                "With attention length does not matter."  It matters less: trained on numbers of
                up to 20 digits it reverses 0.98 of those of 20 and 0.56 of those of 30, where
                the network of chapter 08 reverses none (`--task reverse`, seed 0).

    a_ts = exp(score(d_t, h_s)) / sum over r of exp(score(d_t, h_r))     weights
    context_t = sum over s of a_ts h_s                                   what was seen
    p(y_t | y_1 ... y_{t-1}, x) = softmax(W_o tanh(W_c [d_t ; context_t] + b_c) + b_o)

    score(q, k)    dot: q . k     general: q . (W k)     scaled-dot-product: q . k / sqrt(H)
                   additive: v . tanh(W_q q + W_k k + b), and its q is d_{t-1}
    h_s (H,)  encoder's output at source token s     d_t (H,)  decoder's state at step t
    a_ts      a number, sums to 1 over s             S, T      lengths of source and target
    W (H, H), W_q, W_k, v, W_c (E, 2H), W_o (V, E)   learned; W_o is the embedding table

    python 09_attention_mechanism.py --beam-size 5     # 1334 s of CPU time (more by the clock)

    data      multi30k: 29,000 train, 1,014 val, 1,000 test; tokens are words and marks ...
    epoch  train loss  val loss  tokens   exact   BLEU  grad norm  seconds
        1       4.414     2.396   0.266   0.011  20.94       0.65    514.9  *
       ...
       10       1.121     1.205   0.479   0.133  52.80       0.72    149.8  *
    test      1,000 pairs (the loss is with teacher forcing)
              loss 1.1329   token accuracy 0.5095   exact match 0.1560   bleu 54.7685   greedy ...
              token accuracy 0.5183   exact match 0.1690   bleu 56.1700   beam search, K = 5
              bleu 0.5239   source unchanged
              bleu 17.8462   translation memory

    collected from several runs: BLEU by source length, and after --epochs 3
    the default, "general"    6: 58.0  10: 58.9  14: 54.7  18: 50.9  22: 43.7
    --attention-type none     6: 36.4  10: 29.2  14: 23.2  18: 18.3  22: 13.3
    --epochs 3                dot 47.7  additive 46.1  general 45.2  scaled-dot-product 44.0

    python 09_attention_mechanism.py --task dates      # 1.000 right (seed 0), 80 s
    # after a run with --save-model:
    python 09_attention_mechanism.py --path models/09_attention_mechanism.pt --translate "A dog."

Writes metrics.json and three figures to outputs/09_attention_mechanism/; look at alignments.png
first.  Next: 10_text_generation.py, a decoder without a source.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import math
import random
import sys
import textwrap
import time
from typing import NamedTuple

import rnn_utils as ru

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TUTORIAL = "09_attention_mechanism"

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------

# The special tokens of chapter 08, at these indices of both vocabularies.
PAD, UNK, BOS, EOS = range(4)
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


# The stand-in for a machine without network, and the clearest picture of attention: dates, as
# people write them, into the one form in which they can be sorted.  Day, month and year change
# places, the name of a month becomes a number, and two digits of a year become four ('62 is
# 1962, '38 is 2038).  Source and target are read character by character.
DATE_FORMS = """{month} {d}, {y}|{month} the {nth}, {y}|the {nth} of {month}, {y}|{d} {mon} {y}
{weekday}, {d} {month} {y}|{weekday} the {nth} of {mon}, {y}|{nth} {month} '{yy}|{mon} {d} '{yy}
{y}, {month} {d}|{d}/{mon}/{yy}|{d}.{m}.{y}|{y}/{m}/{d}""".replace("\n", "|").split("|")
# Not from `calendar`, which speaks the language of the machine.
MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september"]
MONTHS += ["october", "november", "december"]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
FIRST_DAY, NUM_DAYS = datetime.date(1950, 1, 1), 36_525  # to the end of 2049
LONGEST = 20  # digits of a number to reverse, in training


def write_date(day: datetime.date, form: str) -> str:
    """A date in one of `DATE_FORMS`, in lower case."""
    ending = "th" if 11 <= day.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    names = {"month": month, "mon": month[:3], "weekday": weekday, "nth": f"{day.day}{ending}"}
    return form.format(d=day.day, m=day.month, y=day.year, yy=f"{day.year % 100:02d}", **names)


def date_pairs(count: int) -> list[tuple[str, str]]:
    """Pairs like ("the 3rd of march, 2017", "2017-03-03"), none of the 36,525 days twice."""
    rng = random.Random(0)
    numbers = rng.sample(range(NUM_DAYS), min(count, NUM_DAYS))
    days = [FIRST_DAY + datetime.timedelta(number) for number in numbers]
    return [(write_date(day, rng.choice(DATE_FORMS)), day.isoformat()) for day in days]


def reversal_pairs(count: int, lengths) -> list[tuple[str, str]]:
    """Strings of digits and their reversal, as in chapter 08, to compare the curves by length."""
    return [(digits, digits[::-1]) for digits in ru.digit_strings(count, lengths)]


def toy_splits(task: str, count: int | None) -> dict[str, list]:
    """{"train", "val", "test"} of (source, target) character tuples; no source in two of them."""
    pairs = (
        date_pairs(count or 15_000) if task == "dates"
        else reversal_pairs(count or 30_000, range(1, LONGEST + 1))
    )  # fmt: skip
    return ru.split_pairs(ru.tokenise_pairs(pairs, tuple))


# --data takes pairs of your own, one a line, separated by a tab; further columns are ignored.  They
# may be sentences of two languages, or texts and their summaries:
#     two dogs are running on the beach, and a man in red looks on .   dogs on a beach
#     the bus that goes to the market was late again this morning .    a late bus
#     a woman in a white coat is cutting bread for her children .      a woman cuts bread
def load_splits(args: argparse.Namespace) -> tuple[dict[str, list], bool]:
    """Return {"train", "val", "test"}, lists of (source, target) token tuples, and whether they
    are the embedded stand-in.

    Settles what the command line left open: `args.task`, `args.dataset`.
    """
    if args.task == "reverse" or (args.task == "dates" and args.dataset != "embedded"):
        args.dataset = args.task
        return toy_splits(args.task, args.max_examples), False
    splits, stand_in = ru.load_pairs(args, lambda: toy_splits("dates", args.max_examples))
    args.task = "dates" if stand_in else "translate"
    return splits, stand_in


# %% ------------------------------------------------------------------
# 2. Model
# ----------------------------------------------------------------------

ATTENTION_TYPES = ("additive", "dot", "general", "scaled-dot-product", "none")


class Memory(NamedTuple):
    """What the encoder leaves for the decoder to look at: B sources of S positions."""

    keys: torch.Tensor  # (B, S, H)
    values: torch.Tensor  # (B, S, H)
    mask: torch.Tensor  # (B, S), True at real tokens


# Attention is a question put to the source.  The query q is the decoder's state, the keys k_s are
# the encoder's outputs, one for each token: how well does position s answer q?
#     dot                    q . k_s                         Luong et al. 2015
#     general                q . (W k_s)                     Luong et al. 2015
#     scaled-dot-product     q . k_s / sqrt(H)               Vaswani et al. 2017
#     additive               v . tanh(W_q q + W_k k_s + b)   Bahdanau et al. 2015
# Softmax turns the scores into weights that add up to 1, and the answer, the context vector, is
# the mean of the encoder's outputs under these weights.  A hard choice of one position would
# have no gradient; a mean has one for every position.
class Attention(nn.Module):
    """Queries (B, T, H) to a memory of S positions -> contexts (B, T, H), weights (B, T, S)."""

    def __init__(self, kind: str, hidden_size: int):
        super().__init__()
        self.kind = kind
        if kind == "general":
            self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        elif kind == "additive":
            self.W_q = nn.Linear(hidden_size, hidden_size, bias=False)
            self.W_k = nn.Linear(hidden_size, hidden_size)  # one bias is enough for the sum
            self.v = nn.Linear(hidden_size, 1, bias=False)

    def keys(self, values: torch.Tensor) -> torch.Tensor:
        """What a query is compared with, (B, S, H): made once for a source, not at each step."""
        if self.kind == "general":
            return self.W(values)
        return self.W_k(values) if self.kind == "additive" else values

    def scores(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(B, T, H), (B, S, H) -> (B, T, S), any real numbers."""
        if self.kind == "additive":
            sums = self.W_q(queries)[:, :, None] + keys[:, None]  # (B, T, S, H)
            return self.v(torch.tanh(sums)).squeeze(3)
        scores = queries @ keys.transpose(1, 2)  # all dot products of a sentence in one product
        # A sum of H products grows like sqrt(H), and a softmax of large scores is all but a hard
        # choice, through which hardly any gradient passes.
        return scores / math.sqrt(keys.shape[2]) if self.kind == "scaled-dot-product" else scores

    def forward(self, queries: torch.Tensor, memory: Memory):
        scores = self.scores(queries, memory.keys)  # (B, T, S)
        # Pitfall: without the mask padding gets weight too, and the translation of a short
        # sentence changes with the longest sentence in its batch.
        scores = scores.masked_fill(~memory.mask[:, None], float("-inf"))
        weights = scores.softmax(dim=2)  # (B, T, S), rows add up to 1, 0 at padding
        return weights @ memory.values, weights


# A table that starts with N(0, 1), PyTorch's default, learns slowly: Adam moves each number by
# about the learning rate, whatever its size.  So start with small numbers and multiply by sqrt(E)
# on the way out (Vaswani et al. 2017): inputs of size 1 that move sqrt(E) times as fast.
class ScaledEmbedding(nn.Embedding):
    """Tokens (...) -> vectors (..., E) of size about 1, from a table of N(0, 1 / E)."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().forward(tokens) * math.sqrt(self.embedding_dim)


# The encoder reads in both directions (chapter 07), with half the state for each, so position s
# knows the words around it: that is what makes it worth looking at.  Where the decoder of chapter
# 08 got the last state and nothing else, this one gets all outputs.  It still starts from a state:
# one made of the last state of each direction.
class Encoder(nn.Module):
    """Bidirectional LSTM: sources (B, S) -> outputs (B, S, H), the decoder's first state."""

    def __init__(self, vocab_size: int, embedding_size: int, hidden_size: int, dropout: float):
        super().__init__()
        self.embedding = ScaledEmbedding(vocab_size, embedding_size)
        self.dropout = nn.Dropout(dropout)
        options = {"batch_first": True, "bidirectional": True}
        self.rnn = nn.LSTM(embedding_size, hidden_size // 2, **options)
        self.to_state = nn.Linear(hidden_size, 2 * hidden_size)
        ru.initialise_recurrent(self.rnn)

    def forward(self, sources: torch.Tensor, lengths: torch.Tensor):
        """(B, S) tokens, (B,) -> outputs (B, S', H) up to the longest, (h, c) each (1, B, H)."""
        embedded = self.dropout(self.embedding(sources))  # (B, S, E)
        if int(lengths.min()) == int(lengths.max()):  # the rule here: batches of one length
            outputs, (h_n, _) = self.rnn(embedded[:, : lengths[0]])  # (B, S', H), (2, B, H / 2)
        else:  # the backward direction must not start on padding
            options = {"batch_first": True, "enforce_sorted": False}
            packed = pack_padded_sequence(embedded, lengths.cpu(), **options)
            outputs, (h_n, _) = self.rnn(packed)
            outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        ends = torch.cat([h_n[0], h_n[1]], dim=1)  # (B, H), each direction after its last token
        h_0, c_0 = torch.tanh(self.to_state(ends)).chunk(2, dim=1)  # each (B, H)
        return outputs, (h_0[None].contiguous(), c_0[None].contiguous())


# When does the decoder look?  Two papers, two answers, and the difference decides the speed.
#
#   Luong (dot, general, scaled)             Bahdanau (additive)
#   d_t = LSTM(y_{t-1}, d_{t-1})             context_t = attend(d_{t-1})
#   context_t = attend(d_t)                  d_t = LSTM([y_{t-1}; context_t], d_{t-1})
#
# Luong looks after the step.  In training all inputs y are known, so one call runs the LSTM over
# the whole target, and one product of matrices asks all T questions.  Bahdanau looks before the
# step and feeds in what was seen: every step waits for the one before it, in a Python loop.  Both
# then write from the state and the context.  (Luong's paper also has a variant that waits, "input
# feeding".)
class Seq2Seq(nn.Module):
    """Encoder -> decoder with attention -> scores of the next token; with "none", without."""

    def __init__(self, source_size: int, target_size: int, args: argparse.Namespace):
        super().__init__()
        E, H = args.embedding_size, args.hidden_size
        self.kind = args.attention_type
        self.encoder = Encoder(source_size, E, H, args.dropout)
        self.attention = Attention(self.kind, H)
        self.embedding = ScaledEmbedding(target_size, E)
        context_size = H if self.kind == "additive" else 0
        self.rnn = nn.LSTM(E + context_size, H, batch_first=True)
        self.readout = nn.Linear(H if self.kind == "none" else 2 * H, E)
        self.output = nn.Linear(E, target_size)
        # One table reads words and writes them (tied weights): less room to learn by heart.
        self.output.weight = self.embedding.weight
        self.dropout = nn.Dropout(args.dropout)
        ru.initialise_recurrent(self.rnn)

    def encode(self, sources: torch.Tensor, lengths: torch.Tensor):
        """(B, S) tokens and (B,) lengths -> `Memory`, and the state the decoder starts from."""
        values, state = self.encoder(sources, lengths)
        mask = ru.lengths_to_mask(lengths, values.shape[1])  # (B, S)
        return Memory(self.attention.keys(values), values, mask), state

    def decode(self, tokens: torch.Tensor, state, memory: Memory):
        """(B, T) tokens read -> features (B, T, E), the state after, weights (B, T, S) or None."""
        embedded = self.dropout(self.embedding(tokens))  # (B, T, E)
        weights = None
        if self.kind == "additive":
            seen = []
            for x_t in embedded.split(1, dim=1):  # (B, 1, E)
                d_prev = state[0].transpose(0, 1)  # (B, 1, H)
                context, weights = self.attention(d_prev, memory)  # (B, 1, H), (B, 1, S)
                d_t, state = self.rnn(torch.cat([x_t, context], dim=2), state)
                seen.append((torch.cat([d_t, context], dim=2), weights))
            states, weights = (torch.cat(parts, dim=1) for parts in zip(*seen))
        else:
            states, state = self.rnn(embedded, state)  # (B, T, H)
            if self.kind != "none":
                contexts, weights = self.attention(states, memory)
                states = torch.cat([states, contexts], dim=2)  # (B, T, 2H)
        return self.dropout(torch.tanh(self.readout(states))), state, weights

    def forward(self, sources, lengths, targets) -> torch.Tensor:
        """(B, S), (B,), (B, T + 1) with <bos> and <eos> -> logits (N, V) of the N real targets.

        Row by row; what the padding of short targets would predict is left out before the
        largest product of all, by the V x E matrix.
        """
        memory, state = self.encode(sources, lengths)
        features, _, _ = self.decode(targets[:, :-1], state, memory)  # (B, T, E)
        return self.output(features[targets[:, 1:] != PAD])  # (N, E) -> (N, V)


# %% ------------------------------------------------------------------
# 3. Decoding, training and evaluation
# ----------------------------------------------------------------------


# Beam search as in chapter 08: K beginnings are kept, each is extended by each of the V tokens,
# and the best K of those K * V go on, by their mean log-probability (the length normalisation).
# With K = 1 that is greedy decoding.  The memory is repeated once; only states move between rows.
@torch.no_grad()
def search(model: Seq2Seq, sources, lengths, max_length: int, beam_size: int = 1):
    """(B, S), (B,) -> (B, T) tokens of each best beam, T <= `max_length`, and its score (B,)."""
    B, K = len(sources), beam_size
    memory, state = model.encode(sources, lengths)
    memory = Memory(*(part.repeat_interleave(K, dim=0) for part in memory))  # (B * K, ...)
    state = tuple(part.repeat_interleave(K, dim=1) for part in state)
    written = sources.new_full((B * K, 1), BOS)
    log_p = torch.full((B, K), float("-inf"), device=sources.device)
    log_p[:, 0] = 0.0  # all K start alike: count one, or the search finds K times the same
    count = torch.zeros_like(log_p)  # tokens written, <eos> included
    done = torch.zeros_like(log_p, dtype=torch.bool)
    first_row = K * torch.arange(B, device=sources.device)[:, None]  # (B, 1)
    for _ in range(max_length):
        features, state, _ = model.decode(written[:, -1:], state, memory)
        step = model.output(features).log_softmax(dim=2).view(B, K, -1)  # (B, K, V)
        step[done] = float("-inf")  # a beam that is done goes on with <pad>, which costs nothing
        step[..., PAD] = step[..., PAD].masked_fill(done, 0.0)
        total, count = log_p[..., None] + step, count + ~done
        scores, best = (total / count[..., None]).flatten(1).topk(K)  # (B, K) of K * V
        parent, token = best // step.shape[2], best % step.shape[2]
        log_p, count = total.flatten(1).gather(1, best), count.gather(1, parent)
        done = done.gather(1, parent) | (token == EOS)
        rows = (first_row + parent).flatten()  # each beam goes on from its parent
        written = torch.cat([written[rows], token.view(-1, 1)], dim=1)
        state = tuple(part[:, rows] for part in state)
        if bool(done.all()):
            break
    return written.view(B, K, -1)[:, 0, 1:], scores[:, 0]


def translate(model, split, vocab, max_length: int, beam_size: int = 1) -> list[tuple]:
    """Decode a split without a look at its targets; return a tuple of tokens for each source."""
    model.eval()
    found: list = [()] * len(split.pairs)
    batch_size = max(1, 256 // beam_size)
    sampler = ru.BucketBatchSampler(split.source_lengths.cpu(), batch_size, equal=True)
    for rows in sampler:
        lengths = split.source_lengths[rows]
        sources = split.sources[rows, : lengths[0]]
        tokens, _ = search(model, sources, lengths, max_length, beam_size)
        for row, line in zip(rows, tokens.tolist()):
            found[row] = tuple(vocab.lookup_tokens(itertools.takewhile(lambda i: i != EOS, line)))
    return found


# Label smoothing (Szegedy et al. 2016): the target is not "this token, with certainty" but this
# token with 1 - e, and all V tokens share e.  A network that is never asked for probability 1 is
# less sure of its training sentences, and of the wrong word when translating.
def batch_loss(model, split, rows: list[int], smoothing: float = 0.0):
    """(the loss to descend, the true loss, number of tokens), summed over real target tokens."""
    lengths = split.source_lengths[rows]
    sources = split.sources[rows, : lengths.max()]  # (B, S)
    targets = split.targets[rows, : split.target_lengths[rows].max()]  # (B, T + 1)
    # By hand, so that one log_softmax over V words serves both losses.
    log_p = model(sources, lengths, targets).log_softmax(dim=1)  # (N, V)
    wanted = targets[:, 1:]
    loss = F.nll_loss(log_p, wanted[wanted != PAD], reduction="sum")
    smooth = (1 - smoothing) * loss - smoothing * log_p.mean(dim=1).sum() if smoothing else loss
    return smooth, loss.item(), len(log_p)


@torch.no_grad()
def evaluate(model, split, vocab, args) -> tuple[dict[str, float], list]:
    """Return the scores, of which only `loss` is with teacher forcing, and the greedy answers."""
    outputs = translate(model, split, vocab, args.max_length)
    batches = ru.BucketBatchSampler(split.source_lengths.cpu(), 256, equal=True)
    loss_sum = sum(batch_loss(model, split, rows)[1] for rows in batches)
    num_tokens = int((split.target_lengths - 1).sum())  # <bos> is never a target
    wanted = [target for _, target in split.pairs]
    scores = ru.sequence_scores(outputs, wanted, args.task)
    return {"loss": loss_sum / num_tokens, **scores}, outputs


def train_epoch(model, split, optimizer, epoch: int, args) -> dict[str, float]:
    """Make one pass over the training pairs, with teacher forcing; return what it measured."""
    model.train()
    # Batches of one source length: the encoder needs no packing, and wastes no step on padding.
    lengths = split.source_lengths.cpu()
    sampler = ru.BucketBatchSampler(lengths, args.batch_size, equal=True, seed=args.seed)
    sampler.set_epoch(epoch)
    total_steps, step = args.epochs * len(sampler), (epoch - 1) * len(sampler)
    loss_sum, num_tokens, norm_sum = 0.0, 0, 0.0
    for rows in ru.progress(sampler, desc=f"epoch {epoch}"):
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, args.lr)
        smooth, loss, count = batch_loss(model, split, rows, args.label_smoothing)
        optimizer.zero_grad()
        (smooth / count).backward()
        norm_sum += ru.clip_gradients(model.parameters(), args.clip)
        optimizer.step()
        step += 1
        loss_sum += loss
        num_tokens += count
    ru.check_finite(loss_sum, epoch)
    means = {"train_loss": loss_sum / num_tokens, "gradient_norm": norm_sum / len(sampler)}
    return {**means, "train_tokens": num_tokens}


def train(model, data: dict, vocabs, args) -> tuple[list[dict], dict]:
    """Train for up to `args.epochs`; return the history and the best epoch with its weights.

    "Best" is by what the decoder writes on its own for the validation sources: their BLEU, or
    their token accuracy in the toy tasks, where exact match may stay at 0 for several epochs.
    """
    device = model.output.weight.device
    # betas as in chapter 08
    options = {"lr": args.lr, "betas": (0.9, 0.98), "fused": ru.fused_adam_works(device)}
    optimizer = torch.optim.Adam(model.parameters(), **options)
    stopper = ru.EarlyStopping(args.patience, higher_is_better=True)
    config = ru.training_config(args)
    resumable = {"config": config, "model": model, "optimizer": optimizer, "stopper": stopper}
    chosen_by = "bleu" if args.task == "translate" else "token_accuracy"
    history, best = [], {}
    if args.resume:
        record = ru.load_training_state(args.path, TUTORIAL, **resumable)
        history, best = record["history"], record["best"]

    bleu = "   BLEU" if args.task == "translate" else ""
    print(f"\nepoch  train loss  val loss  tokens   exact{bleu}  grad norm  seconds")
    with ru.interruptible(args, history):
        while len(history) < args.epochs and not stopper.should_stop:
            started = time.perf_counter()
            row = {"epoch": len(history) + 1}
            row |= train_epoch(model, data["train"], optimizer, row["epoch"], args)
            scores, _ = evaluate(model, data["val"], vocabs[1], args)
            row |= {f"val_{name}": value for name, value in scores.items()}
            row["seconds"] = round(time.perf_counter() - started, 3)
            improved = stopper.step(row[f"val_{chosen_by}"])
            if improved:
                best = {"epoch": row["epoch"], "metrics": row, "weights": ru.snapshot(model)}
            if args.save_model:
                tokens = [vocab.get_itos() for vocab in vocabs]
                ru.save_epoch(args.path, TUTORIAL, resumable, [*history, row], best, vocabs=tokens)
            # Last, so that Ctrl-C while saving does not count this epoch as finished.
            history.append(row)
            ru.print_pair_epoch(row, improved)
    if len(history) < args.epochs:
        print(f"stopped early: no better validation {chosen_by} for {args.patience} epochs")
    return history, best


# %% ------------------------------------------------------------------
# 4. Looking inside
# ----------------------------------------------------------------------


# The weights of an answer, from one more pass that reads the answer: row t says where the decoder
# looked before it wrote token t.  An alignment like that was never shown to the network; it came
# about because it helps.  But weights are not an explanation: position s of the encoder knows
# its neighbours too, and a context may count for little in what is written.
@torch.no_grad()
def alignment(model: Seq2Seq, vocabs, source: tuple, output: tuple) -> torch.Tensor:
    """(T + 1, S) weights: a row for each token of `output` and one for the <eos> behind it."""
    model.eval()
    split = ru.encode_pairs([(source, output)], vocabs, model.output.weight.device)
    memory, state = model.encode(split.sources, split.source_lengths)
    return model.decode(split.targets[:, :-1], state, memory)[2][0].cpu()


def num_swaps(weights: torch.Tensor) -> int:
    """How often the next token looks at an earlier source position than this one."""
    looked_at = weights[:-1].argmax(dim=1)  # without <eos>
    return int((looked_at[1:] < looked_at[:-1]).sum())


def choose_examples(model, vocabs, pairs: list, outputs: list, count: int) -> list[tuple]:
    """(source, output, weights) of short answers, right ones if there are any, swaps first."""
    right = [row for row, (_, target) in enumerate(pairs) if outputs[row] == target]
    written = [row for row in right or range(len(pairs)) if outputs[row]]
    found = []
    for row in sorted(written, key=lambda row: (len(pairs[row][0]) < 5, len(pairs[row][0])))[:40]:
        source, output = pairs[row][0], outputs[row]
        found.append((source, output, alignment(model, vocabs, source, output)))
    return sorted(found, key=lambda example: num_swaps(example[2]) == 0)[:count]


def plot_alignments(examples: list[tuple], plt, title: str):
    """One heat map for each (source, output, weights): the output downwards, the source across."""
    widths = [len(source) for source, _, _ in examples]
    height = max(len(output) for _, output, _ in examples)
    size = (2.5 + 0.36 * sum(widths) + 1.2 * len(widths), 2.2 + 0.34 * height)
    ratios = {"squeeze": False, "width_ratios": widths}
    figure, panels = plt.subplots(1, len(examples), figsize=size, **ratios)
    for axes, (source, output, weights) in zip(panels[0], examples):
        options = {"cmap": "Blues", "vmin": 0, "vmax": 1}
        last = "weight" if axes is panels[0, -1] else None
        ru.plot_heatmap(axes, weights, [*output, "<eos>"], source, last, **options)
        words = max(map(len, source)) > 1
        if words:  # single characters are upright
            axes.tick_params(axis="x", rotation=60)
        text = textwrap.fill((" " if words else "").join(source), max(16, 5 * len(source)))
        axes.set_title(text, fontsize=10, parse_math=False)
        axes.set(xlabel="source token", ylabel="written token")
    figure.suptitle(f"Where does the decoder look before it writes a token?{title}")
    return figure


# The same axes as in chapter 08, where one vector had to hold the whole source.  What attention
# cures is capacity; a source longer than any in training remains a problem of its own.
def by_length(model, split, outputs, vocabs, args) -> dict:
    """The main measure for each source length; of numbers, for lengths beyond training too."""
    if args.task != "reverse":  # sources of one length are few: take four lengths as one
        return ru.scores_by_length(split.pairs, outputs, args.task, width=4, fewest=20)
    lengths = range(LONGEST + 1, LONGEST + LONGEST // 2 + 1)
    pairs = ru.tokenise_pairs(reversal_pairs(1000, lengths), tuple)
    longer = ru.encode_pairs(pairs, vocabs, split.sources.device)
    further = translate(model, longer, vocabs[1], args.max_length)
    return ru.scores_by_length([*split.pairs, *pairs], [*outputs, *further], args.task)


# What is attention worth?  The same network without it: same encoder, pairs, seed and schedule.
# Only the layers that read the context shrink: the readout and, for "additive", the decoder's LSTM.
def without_attention(data: dict, vocabs, args, device) -> dict:
    """Train the model with attention "none"; return its history, test scores and curve."""
    print("\nthe same without attention", end="")
    variant = ru.variant(args, attention_type="none")
    model = Seq2Seq(len(vocabs[0]), len(vocabs[1]), variant).to(device)
    history, best = train(model, data, vocabs, variant)
    model.load_state_dict(best["weights"])
    test, outputs = evaluate(model, data["test"], vocabs[1], args)
    curve = by_length(model, data["test"], outputs, vocabs, args)
    return {"history": history, "test": test, "by_length": curve}


# %% ------------------------------------------------------------------
# 5. Command line and main
# ----------------------------------------------------------------------

TOY = {"hidden_size": 128, "embedding_size": 32, "dropout": 0.0, "label_smoothing": 0.0}
TOY |= {"batch_size": 64, "lr": 5e-3, "patience": 4, "max_length": 50, "epochs": 8}
DEFAULTS = {
    "translate": {
        "hidden_size": 256, "embedding_size": 128, "dropout": 0.2, "label_smoothing": 0.1,
        "batch_size": 64, "lr": 3e-3, "patience": 4, "max_length": 60, "epochs": 10,
    },
    "dates": TOY,
    "reverse": TOY,
}  # fmt: skip
QUICK = {"dataset": "embedded", "epochs": 3, "hidden_size": 64, "max_examples": 1500, "lr": 1e-2}
QUICK |= {"batch_size": 16, "threads": 1}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    tasks = "without it: translate, or dates where multi30k is not available"
    add("--task", choices=tuple(DEFAULTS), help=tasks)
    formula = "how well a source position answers: the formula of the scores"
    add("--attention-type", choices=ATTENTION_TYPES, default="general", help=formula)
    add("--epochs", type=ru.at_least(1), help="passes over the training pairs (10; toys: 8)")
    texts = "translate these; -: lines of stdin (with --path: no training)"
    add("--translate", nargs="+", action="extend", metavar="TEXT", help=texts)
    own = "a TSV of your own with columns source, target (no header)"
    add("--data", metavar="FILE.tsv", help=own)
    add("--quick", action="store_true", help="a tiny run on embedded data, to see that it works")

    add = parser.add_argument_group("data and decoding").add_argument
    choices = ("auto", "multi30k", "embedded")
    auto = "auto: multi30k, or embedded data (dates) where it is not available"
    add("--dataset", choices=choices, default="auto", help=auto)
    number = "use about N training pairs (all); toys: draw N pairs (15,000; reverse: 30,000)"
    add("--max-examples", type=ru.at_least(50), metavar="N", help=number)
    add("--beam-size", type=ru.at_least(1), default=1, help="K of beam search; 1: greedy")
    add("--max-length", type=ru.at_least(2), help="longest output, <eos> included (60; toys: 50)")
    add("--compare", action="store_true", help="also train the same network without attention")

    add = parser.add_argument_group("model and training").add_argument
    size = "numbers in the state h_t, an even number (256; toys: 128)"
    add("--hidden-size", type=ru.at_least(2), help=size)
    add("--dropout", type=ru.between(0, 0.95), help="share of activations zeroed (0.2; toys: 0)")
    rate = "peak learning rate (0.003; toys: 0.005)"
    add("--lr", type=ru.between(0, 10, open_low=True), help=rate)
    add("--batch-size", type=ru.at_least(1), help="pairs in memory at a time (64)")
    add("--clip", type=ru.between(0), default=1.0, help="largest gradient norm; 0: no clipping")
    patience = "epochs without improvement before stopping; 0: never stop early (4)"
    add("--patience", type=ru.at_least(0), help=patience)
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=2)

    args = ru.parse_arguments(parser, argv, QUICK)
    sentences = args.data or args.dataset == "multi30k" or args.task == "translate"
    if sentences and args.task not in (None, "translate"):
        raise ru.UserError(f"--data and multi30k are translated; drop --task {args.task}")
    if args.task == "translate" and args.dataset == "embedded" and not args.data:
        raise ru.UserError("--task translate: the embedded data are dates; name --task dates")
    if args.task == "translate" and args.dataset == "auto" and not args.eval_only:
        args.dataset = "multi30k"  # asked for by name: no stand-in
    if args.hidden_size and args.hidden_size % 2:  # each direction of the encoder gets one half
        raise ru.UserError(f"--hidden-size {args.hidden_size} is odd; give an even number")
    if args.compare and args.attention_type == "none":
        raise ru.UserError("--compare: sets an attention type against none; give another one")
    if args.compare and args.eval_only:
        raise ru.UserError("--compare trains a model, and --eval-only none; drop one of them")
    return args


def take_trained_settings(args, trained: dict) -> None:
    """For --eval-only: the settings of the checkpoint, its data too unless others are named."""
    if trained["task"] == "translate" and args.dataset == "embedded" and not args.data:
        raise ru.UserError(
            f"--path {args.path}: this model translates, and the embedded data are dates; drop "
            "--quick or --dataset embedded"
        )
    asked = args.max_length  # how long an answer may be is chosen again
    ru.take_pair_settings(args, trained)
    args.max_length = asked or args.max_length


def read_texts(texts: list[str], task: str) -> dict[str, tuple]:
    """The tokens of each text of --translate; "-" means the lines of standard input."""
    found = {}
    for text in texts:
        for line in sys.stdin if text == "-" else [text]:
            line = line.strip()
            tokens = ru.basic_english(line) if task == "translate" else line.lower()
            if tokens:
                found[line] = tuple(tokens)
            elif text != "-":
                raise ru.UserError(f"--translate {text!r}: there is no word in it")
    return found


def print_translations(model, vocabs, task: str, args) -> tuple[dict[str, str], list[tuple]]:
    """Answer each text of --translate; return the answers, and what `plot_alignments` draws."""
    answers, examples, gap = {}, [], " " if task == "translate" else ""
    for text, source in read_texts(args.translate, task).items():
        split = ru.encode_pairs([(source, ())], vocabs, model.output.weight.device)
        (output,) = translate(model, split, vocabs[1], args.max_length, args.beam_size)
        answers[text] = gap.join(output)
        print(f"\n{text}\n  -> {answers[text]}")
        ru.print_unknown(source, vocabs[0])
        if model.kind == "none" or not output:
            continue
        weights = alignment(model, vocabs, source, output)
        examples.append((source, output, weights))
        best = zip(output, weights.max(dim=1).values.tolist(), weights.argmax(dim=1).tolist())
        looks = [f"{token}<-{source[place]} {weight:.2f}" for token, weight, place in best]
        for start in range(0, len(looks), 4):
            print("     " + "  ".join(f"{look:<20}" for look in looks[start : start + 4]).rstrip())
    return answers, examples


def answer(model, vocabs, task: str, args) -> dict[str, str]:
    """--translate from a checkpoint: print the answers and draw where the decoder looked."""
    answers, examples = print_translations(model, vocabs, task, args)
    if examples and not args.no_plots:
        folder = args.output_dir or f"outputs/{TUTORIAL}/translate"
        ru.require_writable(folder, "--output-dir")
        figure = plot_alignments(examples[:3], ru.get_pyplot(args.show), "")
        print(f"\n{'files':<10}{ru.save_figure(figure, folder, 'alignments', args.show)}")
    return answers


def introduce(model, data: dict, vocabs, args, device) -> None:
    """Print the settings, the sizes, and two training pairs as the decoder meets them."""
    ru.print_configuration(args, device)
    sizes = ", ".join(f"{len(split.pairs):,} {part}" for part, split in data.items())
    words = "words and marks (rnn_utils.basic_english, lower case)"
    tokens = words if args.task == "translate" else "characters"
    print(f"{'data':<10}{args.dataset}: {sizes}; tokens are {tokens}")
    print(f"{'model':<10}{args.attention_type} attention, {ru.count_parameters(model):,} ", end="")
    print(f"parameters; vocabularies of {len(vocabs[0]):,} and {len(vocabs[1]):,} tokens")
    few = sorted(data["train"].pairs[:100], key=lambda pair: len(pair[0]))[2:6:3]
    ru.print_pairs(ru.encode_pairs(few, vocabs), vocabs)


def report_lengths(curves: dict, test: dict, compared: dict, args) -> None:
    """Print the main measure by source length, and what attention has gained."""
    measure = ru.main_measure(args.task)
    trained_to = LONGEST if args.task == "reverse" else None
    for name, curve in curves.items():
        ru.print_by_length(curve, f"attention {name}: {measure}", trained_to)
    if compared:
        ours, theirs = test[measure], compared["test"][measure]
        print(f"\n{'gain':<10}{measure.replace('_', ' ')} {ours:.4f} with attention, ", end="")
        print(f"{theirs:.4f} without: {ours - theirs:+.4f}")


def draw_figures(model, vocabs, split, outputs, history, baselines, curves, args, title):
    """Draw and save every figure; return their paths."""
    plt, measure = ru.get_pyplot(args.show), ru.main_measure(args.task)
    label = "BLEU" if measure == "bleu" else "exact match (share of answers)"
    figure, axes = plt.subplots(figsize=(8, 4))
    trained_to = LONGEST if args.task == "reverse" else None
    ru.plot_by_length(axes, curves, label, args.task, trained_to)
    axes.set_title(f"Do long sources suffer, with and without attention?{title}")
    figures = {"by_length": figure}
    if args.attention_type != "none":
        count = 2 if args.task == "translate" else 1
        examples = choose_examples(model, vocabs, split.pairs, outputs, count)
        if examples:
            figures["alignments"] = plot_alignments(examples, plt, title)
    if history:  # --eval-only has none
        loss = "loss, teacher-forced (nats per token)"
        figure = ru.plot_history(history, loss, baselines, measure, label)
        figure.suptitle(f"Does it learn to translate, or the training pairs?{title}")
        figures["training_curves"] = figure
    return ru.save_figures(figures, args)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    if ru.answers_alone(args, args.translate):
        device = ru.get_device(args.device)
        model, vocabs, checkpoint = ru.load_pair_model(args.path, TUTORIAL, Seq2Seq, device)
        args.max_length = args.max_length or checkpoint["config"]["max_length"]
        return answer(model, vocabs, checkpoint["config"]["task"], args)

    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: what does a translator look at while it writes?\n")
    if args.eval_only:
        model, vocabs, best = ru.load_pair_model(args.path, TUTORIAL, Seq2Seq, device)
        take_trained_settings(args, best["config"])
    splits, embedded = load_splits(args)
    for name, value in DEFAULTS[args.task].items():  # what was not given
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    if not args.eval_only:
        min_freq = 2 if args.dataset == "multi30k" else 1  # a word met once teaches little
        vocabs = [ru.Vocab.build(side, SPECIALS, min_freq) for side in zip(*splits["train"])]
        model = Seq2Seq(len(vocabs[0]), len(vocabs[1]), args).to(device)
    data = {part: ru.encode_pairs(pairs, vocabs, device) for part, pairs in splits.items()}
    introduce(model, data, vocabs, args, device)

    history = []
    if not args.eval_only:
        history, best = train(model, data, vocabs, args)
        model.load_state_dict(best["weights"])

    split = data["test"]  # looked at only now, when the epoch is chosen
    test, outputs = evaluate(model, split, vocabs[1], args)
    searched = None
    if args.beam_size > 1:
        searched = translate(model, split, vocabs[1], args.max_length, args.beam_size)
    baselines = ru.report_pair_test(splits, test, searched, best["epoch"], args)
    ru.print_examples(split.pairs, outputs, " " if args.task == "translate" else "")
    curves = {args.attention_type: by_length(model, split, outputs, vocabs, args)}
    compared = {}
    if args.compare:
        compared = without_attention(data, vocabs, args, device)
        curves["none"] = compared["by_length"]
    report_lengths(curves, test, compared, args)

    figures, title = [], " (embedded data)" if embedded else ""
    if not args.no_plots:
        figures = draw_figures(
            model, vocabs, split, outputs, history, baselines, curves, args, title
        )
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        parameters=ru.count_parameters(model), history=history, best_epoch=best["epoch"],
        baselines=baselines, test=test, by_length=curves, compare=compared,
        items_per_second=ru.items_per_second(sum(row["train_tokens"] for row in history), history),
    )  # fmt: skip
    ru.print_files(args, figures)
    if args.translate:
        print_translations(model, vocabs, args.task, args)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: `--task dates --epochs 4 --save-model --path models/dates.pt`, and after it
#    `--path models/dates.pt --translate "friday the 3rd of mar, 2017"`.  Which characters get
#    hardly any weight in outputs/09_attention_mechanism/translate/alignments.png, and where does
#    the decoder look for the "0" of the month?
# 2. Change one flag: `--task reverse`, then the same with `--compare`.  In by_length.png, what has
#    attention cured left of the dashed line, and what has it not cured right of it?
# 3. Explain a failure: take the line with `masked_fill` out of `Attention.forward` and run
#    `python -m pytest tests/test_09_attention_mechanism.py -k among_longer`.  Why do four of the
#    five tests fail and not the fifth?  And why would no run of this script show the fault?  (Look
#    for the argument that it gives `BucketBatchSampler` each time.)
# 4. Modify the code: let the scores of `dot` be cosines, q . k_s / (|q| |k_s|), and run `--task
#    dates --attention-type dot`.  Between which bounds does each weight now lie, for a source of 20
#    characters?  What do you see in alignments.png, and what when they are multiplied by 10?
# 5. An open question: attention finds a position by what is there.  To reverse a number the
#    decoder must know *where* it is in it.  How do the states of this encoder tell the 7 in the
#    third place from the 7 in the ninth, and what do Transformers, which have no states, do?
