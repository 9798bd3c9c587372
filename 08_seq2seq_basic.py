"""08_seq2seq_basic: can one vector carry a whole sequence from one network to another?

The question    So far a sequence gave one label.  Now the answer is itself a sequence, with its
                own length and order: 31415 -> 51413, or English -> French.
The number      0.998 of unseen numbers of 1 to 20 digits are reversed without a mistake (mean of
                seeds 0, 1, 2), 0.20 of those of 25 digits, none of 30 (seed 0).
Misconceptions  "The decoder sees the source."  It sees two vectors, the encoder's last h and c,
                and no more than these, whether the source has 3 tokens or 30.
                "Teacher forcing is cheating."  It is for training only.  In evaluation the
                decoder reads what it has written itself, mistakes included.
                "A low loss means good answers."  The loss is measured with the right token
                before every step; answers are written without.

The encoder-decoder (Sutskever et al. 2014, Cho et al. 2014), with the LSTM of chapter 05:

    h_s, c_s = LSTM_enc(x_s, h_{s-1}, c_{s-1})        s = 1..S      h_0 = c_0 = 0
    d_t, e_t = LSTM_dec(y_{t-1}, d_{t-1}, e_{t-1})    t = 1..T      d_0 = h_S, e_0 = c_S
    p(y_t | y_1 ... y_{t-1}, x) = softmax(W d_t + b)                y_0 = <bos>, y_T = <eos>

    x_s, y_t (E,)  embedded tokens of source and target     W (V, H)  state to scores of tokens
    h, c, d, e (H,)  states of encoder and decoder          S, T, V   lengths, vocabulary

    python 08_seq2seq_basic.py --epochs 30       # 171 s on a slow CPU, one core

    epoch  train loss  val loss  tokens   exact  grad norm  seconds
        1       2.172     1.693   0.240   0.034       1.12      5.5  *
       ...
       29       0.003     0.002   0.999   0.995       0.03      5.5  *
    test      1,718 pairs (the loss is with teacher forcing)
              loss 0.0019   token accuracy 0.9996   exact match 0.9988   greedy (epoch 29, ...
              exact match 0.0064   source unchanged
              exact match 0.0000   translation memory

    python 08_seq2seq_basic.py --task add        # two-digit sums: 0.992 right (seed 0), 55 s
    python 08_seq2seq_basic.py --compare capacity --epochs 10     # or: --compare forcing
    python 08_seq2seq_basic.py --task translate --beam-size 5     # Multi30k, English to French

Writes metrics.json and three figures to outputs/08_seq2seq_basic/; look at by_length.png first.
Next: 09_attention_mechanism.py lets the decoder look back at the source.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter

import rnn_utils as ru

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

TUTORIAL = "08_seq2seq_basic"

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------

# Four special tokens, at these indices of both vocabularies.  <bos> (beginning of sequence) is
# what the decoder reads before it has written anything; <eos> (end of sequence) is what it
# writes when it is done, and the only way it can say so: nobody tells it how long the answer is.
PAD, UNK, BOS, EOS = range(4)
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


# Three toy tasks, whose right answer a program knows.  They isolate what a translator must be
# able to do: keep everything in memory (copy), put it into another order (reverse), and
# combine pieces that are far apart (add, where a carry runs from right to left).  No source is in
# two splits; 12+34 may be in training and 34+12 in the test, for these are two sequences.
def right_answer(source: str, task: str) -> str:
    if task == "add":
        return str(sum(int(number) for number in source.split("+")))
    return source[::-1] if task == "reverse" else source


def generate_pairs(task: str, count: int, lengths, seed: int = 0) -> list[tuple[str, str]]:
    """Draw up to `count` distinct (source, answer) pairs; `lengths` are digits per number."""
    sources = ru.digit_strings(2 * count if task == "add" else count, lengths, seed)
    if task == "add":
        sources = [f"{int(left)}+{int(right)}" for left, right in zip(sources[::2], sources[1::2])]
    return [(source, right_answer(source, task)) for source in dict.fromkeys(sources)]


# The stand-in for a machine without network: a phrase book put together from parts.  French puts
# these adjectives behind the noun, and makes them and the article agree with it, so even here
# hardly a word can be translated without a look at its neighbours.
def phrase_book() -> list[tuple[str, str]]:
    """1,440 English-French pairs of a small grammar, the same ones on every machine."""
    who = "the black dog:le chien noir|a dog:un chien|a girl:une fille|a green bus:un bus vert"
    who += "|a tired girl:une fille fatiguée|the boy:le garçon|a white cow:une vache blanche"
    who += "|the cow:la vache|a black cat:un chat noir|the tired baker:le boulanger fatigué"
    does = "runs:court|sleeps:dort|sings:chante|waits:attend|falls:tombe|comes:vient"
    where = ":|in the garden:dans le jardin|on the beach:sur la plage|in the street:dans la rue"
    where += "|near the house:près de la maison|by the river:au bord de la rivière"
    when = ":|today:aujourd'hui|at night:la nuit|every morning:chaque matin"
    parts = [[entry.split(":") for entry in row.split("|")] for row in (who, does, where, when)]
    sides = [zip(*phrase) for phrase in itertools.product(*parts)]
    return [tuple(" ".join(filter(None, side)) + "." for side in pair) for pair in sides]


def phrase_book_splits() -> dict[str, list]:
    return ru.split_pairs(ru.tokenise_pairs(phrase_book(), ru.basic_english))


# --data takes pairs of your own, one a line, separated by a tab; further columns are ignored:
#     go on!          continue !
#     i am cold.      j'ai froid.
#     who is there?   qui est là ?
def load_splits(args: argparse.Namespace) -> tuple[dict[str, list], bool]:
    """Return {"train", "val", "test"}, lists of (source, target) token tuples, and whether they
    are the embedded stand-in.
    """
    if args.task == "translate":
        return ru.load_pairs(args, phrase_book_splits)
    args.dataset = args.task
    pairs = generate_pairs(args.task, 3 * args.max_examples, range(1, args.digits + 1))
    return ru.split_pairs(ru.tokenise_pairs(pairs, tuple)), False


# %% ------------------------------------------------------------------
# 2. Model
# ----------------------------------------------------------------------


# Two networks and one hand-over.  The encoder reads the source and writes nothing; the state in
# which it ends, h and c, 2H numbers whatever the length, is where the decoder starts.  The
# decoder is a language model of the target that starts from the encoder's state instead of zeros.
class Seq2Seq(nn.Module):
    """Encoder LSTM -> its last state -> decoder LSTM -> scores of the next token."""

    def __init__(self, source_size: int, target_size: int, args: argparse.Namespace):
        super().__init__()
        embedding_size, hidden_size = args.embedding_size, args.hidden_size
        self.source_embedding = nn.Embedding(source_size, embedding_size, padding_idx=PAD)
        self.target_embedding = nn.Embedding(target_size, embedding_size, padding_idx=PAD)
        self.encoder = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.decoder = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(args.dropout)
        self.output = nn.Linear(hidden_size, target_size)
        # Recurrent matrices that keep lengths (chapter 04), and forget gates that start open.
        for lstm in (self.encoder, self.decoder):
            ru.initialise_recurrent(lstm)

    def encode(self, sources: torch.Tensor, lengths: torch.Tensor):
        """(B, S) tokens and (B,) lengths -> the state (h, c) after each last token."""
        embedded = self.dropout(self.source_embedding(sources))  # (B, S, E)
        if int(lengths.min()) == int(lengths.max()):  # the rule here: batches of one length
            _, state = self.encoder(embedded[:, : lengths[0]])
        else:
            # Pitfall: the state at the end of the row has read the padding too.  A packed
            # sequence stops each row at its own length; it is right, and slow on a CPU.
            options = {"batch_first": True, "enforce_sorted": False}
            packed = pack_padded_sequence(embedded, lengths.cpu(), **options)
            _, state = self.encoder(packed)
        return state  # h and c, each (1, B, H)

    def decode(self, tokens: torch.Tensor, state):
        """(B, T) tokens read and the state before them -> (B, T, V) logits, the state after."""
        states, state = self.decoder(self.dropout(self.target_embedding(tokens)), state)
        return self.output(self.dropout(states)), state

    # Teacher forcing: whatever the decoder would have written, it reads the *right* token next.
    # Then all its inputs are known beforehand, and one call runs the whole target.  With a
    # ratio below 1 it must at times read its own last token, which is known only after that
    # step: a Python loop, about half as fast.  Either way it runs to the end of the target; an
    # early <eos> of its own is one more mistake to learn from.
    def forward(self, sources, lengths, targets, teacher_forcing: float = 1.0) -> torch.Tensor:
        """(B, S), (B,), (B, T + 1) with <bos> and <eos> -> logits (B, T, V)."""
        state, inputs = self.encode(sources, lengths), targets[:, :-1]  # (B, T)
        if teacher_forcing == 1:
            return self.decode(inputs, state)[0]
        token, logits = inputs[:, :1], []
        for t in range(inputs.shape[1]):
            if t > 0:  # per step and sequence, a coin decides (Bengio et al. 2015)
                own = logits[-1].argmax(dim=2)  # (B, 1)
                forced = torch.rand(own.shape, device=own.device) < teacher_forcing
                token = torch.where(forced, inputs[:, t : t + 1], own)
            step, state = self.decode(token, state)  # (B, 1, V)
            logits.append(step)
        return torch.cat(logits, dim=1)


# %% ------------------------------------------------------------------
# 3. Decoding, training and evaluation
# ----------------------------------------------------------------------


# In use there is no target to read: the decoder reads what it has just written.  Greedy
# decoding takes the likeliest token at each step.  A whole batch goes through each step
# together; rows that have written <eos> run on idly until the last is done, and what they write
# after it is cut off later.
@torch.no_grad()
def greedy(model: Seq2Seq, sources, lengths, max_length: int) -> torch.Tensor:
    """(B, S), (B,) -> (B, T) tokens written, T at most `max_length`; cut them at <eos>."""
    state = model.encode(sources, lengths)
    token = sources.new_full((len(sources), 1), BOS)  # (B, 1)
    done = torch.zeros_like(token, dtype=torch.bool)
    written = []
    for _ in range(max_length):
        logits, state = model.decode(token, state)  # (B, 1, V)
        token = logits.argmax(dim=2)  # (B, 1)
        written.append(token)
        done |= token == EOS
        if bool(done.all()):
            break
    return torch.cat(written, dim=1)


# Greedy decoding cannot take anything back: a first word that looks best alone may lead to a
# poor sentence.  Beam search keeps the K best beginnings.  Each step extends all of them by all
# V tokens and keeps the K best of those K * V.  "Best" is by
#     score = (log p(y_1) + log p(y_2 | y_1) + ...) / length
# Every log p is below 0, so each further token lowers the sum: undivided, it would favour the
# shortest sentences.  The K beams of a sentence are K rows of the batch; the model needs no change.
@torch.no_grad()
def beam_search(model: Seq2Seq, sources, lengths, max_length: int, beam_size: int):
    """(B, S), (B,) -> (B, T) tokens of each best beam, and its score (B,); K = beam_size."""
    B, K = len(sources), beam_size
    state = tuple(s.repeat_interleave(K, dim=1) for s in model.encode(sources, lengths))
    written = sources.new_full((B * K, 1), BOS)  # (B * K, T)
    log_p = torch.full((B, K), float("-inf"), device=sources.device)
    log_p[:, 0] = 0.0  # all K beams start alike: count one, or the search finds K times the same
    count = torch.zeros_like(log_p)  # tokens written, <eos> included
    done = torch.zeros_like(log_p, dtype=torch.bool)
    first_row = K * torch.arange(B, device=sources.device)[:, None]  # (B, 1)
    for _ in range(max_length):
        logits, state = model.decode(written[:, -1:], state)
        step = logits.log_softmax(dim=2).view(B, K, -1)  # (B, K, V)
        # A beam that is done has one continuation, <pad>, which costs nothing.
        step[done] = float("-inf")
        step[..., PAD] = step[..., PAD].masked_fill(done, 0.0)
        total, count = log_p[..., None] + step, count + ~done  # (B, K, V), (B, K)
        scores, best = (total / count[..., None]).flatten(1).topk(K)  # (B, K) of K * V
        parent, token = best // step.shape[2], best % step.shape[2]  # (B, K)
        log_p, count = total.flatten(1).gather(1, best), count.gather(1, parent)
        done = done.gather(1, parent) | (token == EOS)
        rows = (first_row + parent).flatten()  # (B * K,): each beam goes on from its parent
        written = torch.cat([written[rows], token.view(-1, 1)], dim=1)
        state = tuple(s[:, rows] for s in state)
        if bool(done.all()):
            break
    return written.view(B, K, -1)[:, 0, 1:], scores[:, 0]  # topk sorts: beam 0 is the best


def answers(model, split, vocab, max_length: int, beam_size: int = 1) -> list:
    """Decode a split without a look at its targets; return a tuple of words for each source."""
    model.eval()
    found: list = [None] * len(split.pairs)
    batch_size = max(1, 256 // beam_size)
    sampler = ru.BucketBatchSampler(split.source_lengths.cpu(), batch_size, equal=True)
    for rows in sampler:
        lengths = split.source_lengths[rows]
        batch = (model, split.sources[rows, : lengths[0]], lengths, max_length)
        tokens = greedy(*batch) if beam_size == 1 else beam_search(*batch, beam_size)[0]
        for row, line in zip(rows, tokens.tolist()):
            found[row] = tuple(vocab.lookup_tokens(itertools.takewhile(lambda i: i != EOS, line)))
    return found


# One target has two roles.  At each step the decoder reads a token and has to write the next one:
# it reads <bos> 7 1 4 and writes 7 1 4 <eos>.  So <bos> 7 1 4 <eos> is stored once; all but its
# last token is the decoder's input, all but its first what it is scored by.
def batch_loss(model, split, rows: list[int], teacher_forcing: float = 1.0):
    """The summed loss over the real target tokens of a batch, and their number."""
    lengths = split.source_lengths[rows]
    sources = split.sources[rows, : lengths.max()]  # (B, S)
    targets = split.targets[rows, : split.target_lengths[rows].max()]  # (B, T + 1)
    logits = model(sources, lengths, targets, teacher_forcing)  # (B, T, V)
    wanted = targets[:, 1:]  # (B, T), the input shifted by one
    # Without ignore_index the padding behind short targets would count as tokens to predict.
    options = {"ignore_index": PAD, "reduction": "sum"}
    loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), **options)
    return loss, int((wanted != PAD).sum())


# Exact match asks for the whole answer, and is the honest measure where there is one right
# answer.  Token accuracy counts the right tokens at the right place.  A sentence has many
# right translations, and one word too many shifts all that follow: there we count groups of
# words wherever they appear, which is BLEU (its formula is in `ru.bleu`).
@torch.no_grad()
def evaluate(model, split, vocab, args) -> tuple[dict[str, float], list]:
    """Return the scores, of which only `loss` is with teacher forcing, and the greedy answers."""
    outputs = answers(model, split, vocab, args.max_length)
    batches = ru.BucketBatchSampler(split.source_lengths.cpu(), 256, equal=True)
    loss_sum = sum(batch_loss(model, split, rows)[0].item() for rows in batches)
    num_tokens = int((split.target_lengths - 1).sum())  # <bos> is never a target
    wanted = [target for _, target in split.pairs]
    scores = ru.sequence_scores(outputs, wanted, args.task)
    return {"loss": loss_sum / num_tokens, **scores}, outputs


# A toy task never runs out of examples.  Each epoch draws new ones, so there is nothing to learn
# by heart: even the training loss is about pairs that the network has not seen.  A number of n
# digits is drawn n times as often as one of a single digit, for the long ones are hard, and the
# short ones few.  (Validation and test draw all lengths alike.)
def pairs_of_epoch(epoch: int, data: dict, vocabs, args) -> ru.PairSplit:
    """The training pairs of one epoch: always the same ones, or new ones in the toy tasks."""
    if args.task == "translate":
        return data["train"]
    held_out = {source for part in ("val", "test") for source, _ in data[part].pairs}
    lengths = [length for length in range(1, args.digits + 1) for _ in range(length)]
    seed = args.seed * 1_000_003 + epoch
    drawn = generate_pairs(args.task, args.max_examples, lengths, seed)
    pairs = ru.tokenise_pairs(drawn, tuple)
    new = [pair for pair in pairs if pair[0] not in held_out]
    return ru.encode_pairs(new, vocabs, data["train"].sources.device)


def train_epoch(model, split, optimizer, epoch: int, args) -> dict[str, float]:
    """Make one pass over the training pairs; return what it measured."""
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
        loss, count = batch_loss(model, split, rows, args.teacher_forcing)
        optimizer.zero_grad()
        (loss / count).backward()
        norm_sum += ru.clip_gradients(model.parameters(), args.clip)
        optimizer.step()
        step += 1
        loss_sum += loss.item()
        num_tokens += count
    ru.check_finite(loss_sum, epoch)
    return {
        "train_loss": loss_sum / num_tokens,
        "train_pairs": len(split.pairs),
        "gradient_norm": norm_sum / len(sampler),
    }


# The best epoch is chosen by what the decoder writes on its own, not by its loss: the loss is
# measured with teacher forcing, and a decoder that relies on the right tokens it is handed may
# look good in it and get lost alone.
def train(model, data: dict, vocabs, args) -> tuple[list[dict], dict]:
    """Train for up to `args.epochs`; return the history and the best epoch with its weights.

    "Best" is by BLEU of the validation pairs, or by token accuracy in the toy tasks, where
    exact match may stay at 0 for several epochs.
    """
    # Adam divides by a running mean of squared gradients.  0.98 lets it follow within 50 steps, in
    # place of 1,000: in short runs of `reverse`, 3 more answers in 100 were then right.
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.9, 0.98))
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
            split = pairs_of_epoch(row["epoch"], data, vocabs, args)
            row |= train_epoch(model, split, optimizer, row["epoch"], args)
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


# A vector of 2H numbers has to hold the whole source, so there must be a length at which it
# fails.  Where?  Two failures hide behind that question.  Capacity: sources as long as those in
# training, too much for so few numbers.  Generalisation: sources longer than any in training,
# which the state might well hold, had the network ever practised it.
def by_length(model, split, outputs, vocabs, args) -> dict:
    """The main measure for each source length; of numbers, for lengths beyond training too."""
    if args.task == "translate":  # sentences of one length are few: take four lengths as one
        return ru.scores_by_length(split.pairs, outputs, args.task, width=4, fewest=20)
    lengths = range(args.digits + 1, args.digits + max(2, args.digits // 2) + 1)
    pairs = ru.tokenise_pairs(generate_pairs(args.task, 1000, lengths), tuple)
    longer = ru.encode_pairs(pairs, vocabs, split.sources.device)
    further = answers(model, longer, vocabs[1], args.max_length)
    return ru.scores_by_length([*split.pairs, *pairs], [*outputs, *further], args.task)


# The encoder's last state is a point in 2H dimensions.  Principal components are the directions in
# which the points differ most.  Over all numbers, that is mostly their length.  Among short
# numbers of one length it is the digit to be written first.
@torch.no_grad()
def plot_states(model, split, plt, task: str, title: str):
    model.eval()
    h, c = model.encode(split.sources, split.source_lengths)
    states, lengths = torch.cat([h[0], c[0]], dim=1).cpu(), split.source_lengths.tolist()
    counts = Counter(lengths)
    # The shortest length with at least 60 sources, so that the colours mean something.
    length = min(length for length in counts if counts[length] >= min(60, max(counts.values())))
    rows = [row for row, other in enumerate(lengths) if other == length]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4))
    dots = left.scatter(*principal_components(states).T, c=lengths, s=8, cmap="viridis")
    figure.colorbar(dots, ax=left, label=f"source length ({ru.LENGTH_UNITS[task]})")
    left.set_title("all sources", fontsize=10)
    first, points = [split.pairs[row][1][0] for row in rows], principal_components(states[rows])
    for index, (token, _) in enumerate(sorted(Counter(first).most_common(10))):
        chosen = points[[place for place, other in enumerate(first) if other == token]]
        marker = f"${token}$" if token.isdigit() else "os"[index // len(ru.PALETTE)]
        color = ru.PALETTE[index % len(ru.PALETTE)]
        right.scatter(*chosen.T, s=35, marker=marker, lw=0, color=color, label=token)
    right.legend(title="writes first", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    right.set_title(f"sources of {length} {ru.LENGTH_UNITS[task]}", fontsize=10)
    for axes in (left, right):
        axes.set(xlabel="1st principal component", ylabel="2nd")
    figure.suptitle(f"What does the encoder's last state know?{title}")
    return figure


def principal_components(states: torch.Tensor):
    """(N, D) -> (N, 2), as an array: the points along the two directions of most variance."""
    centred = states - states.mean(dim=0)
    return (centred @ torch.linalg.svd(centred).Vh[:2].T).numpy()


# To compare models is to train them all.  All else stays the same: pairs, seed, epochs, schedule.
#   capacity   Four state sizes.  Where a small state fails inside the lengths of training, and a
#              larger one that was trained as long does not, room is what it lacked.
#   forcing    Without teacher forcing the decoder practises what it will have to do alone.  But
#              until it is any good it reads nonsense, and learns what to write after nonsense.
COMPARISONS = {
    "capacity": ("hidden_size", (16, 32, 64, 128), "Does a bigger state hold longer sequences?"),
    "forcing": ("teacher_forcing", (1.0, 0.5, 0.0), "Is it worth showing the right tokens?"),
}


def compare(data: dict, vocabs, args, device) -> dict[str, dict]:
    """Train a model for each value of a setting; return what each reached on validation."""
    setting, values, _ = COMPARISONS[args.compare]
    results = {}
    for value in values:
        name = f"{setting.replace('_', ' ')} {value}"
        print(f"\n{name}", end="")
        variant = ru.variant(args, **{setting: value})
        model = Seq2Seq(len(vocabs[0]), len(vocabs[1]), variant).to(device)
        history, best = train(model, data, vocabs, variant)
        model.load_state_dict(best["weights"])
        outputs = answers(model, data["val"], vocabs[1], args.max_length)
        curve = by_length(model, data["val"], outputs, vocabs, args)
        results[name] = {"history": history, "by_length": curve}
        results[name]["best"] = best["metrics"][f"val_{ru.main_measure(args.task)}"]
    print(f"\n{'compare':<10}{COMPARISONS[args.compare][2]}")
    for name, result in results.items():
        print(f"{'':<10}{result['best']:.3f}  {name}  ({ru.main_measure(args.task)}, validation)")
    return results


def plot_comparison(results: dict[str, dict], trained_to, args, plt, title: str):
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    measure = ru.main_measure(args.task)
    for (name, result), marker in zip(results.items(), "osD^"):
        rows, seconds = result["history"], sum(row["seconds"] for row in result["history"])
        label = f"{name} ({seconds / len(rows):.1f} s an epoch)"
        heights = [row[f"val_{measure}"] for row in rows]
        left.plot(range(1, len(rows) + 1), heights, marker + "-", ms=4, label=label)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set(xlabel="epoch", ylabel=f"validation {measure.replace('_', ' ')}")
    left.legend(fontsize=9)
    curves = {name: result["by_length"] for name, result in results.items()}
    ru.plot_by_length(right, curves, "", args.task, trained_to)
    figure.suptitle(COMPARISONS[args.compare][2] + title)
    return figure


# %% ------------------------------------------------------------------
# 5. Command line and main
# ----------------------------------------------------------------------

TOY = {"hidden_size": 128, "embedding_size": 32, "dropout": 0.0, "batch_size": 32, "lr": 6e-3}
TOY |= {"patience": 0, "max_examples": 6500, "digits": 20}
DEFAULTS = {
    "reverse": TOY,
    "copy": TOY,
    "add": {**TOY, "digits": 2},
    "translate": {
        "hidden_size": 256, "embedding_size": 128, "dropout": 0.4, "batch_size": 64, "lr": 2e-3,
        "patience": 4, "max_examples": None, "digits": None,
    },
}  # fmt: skip
QUICK = {"dataset": "embedded", "epochs": 4, "hidden_size": 32, "max_examples": 2000, "digits": 4,
         "threads": 1}  # fmt: skip


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--task", choices=tuple(DEFAULTS), help="without it: reverse, or translate with --data")
    add("--epochs", type=ru.at_least(1), default=30, help="passes over the training pairs")
    add("--predict", nargs="+", action="extend", metavar="TEXT", help="answer these")
    add("--beam-size", type=ru.at_least(1), default=1, help="K of beam search; 1: greedy")
    own = "a TSV of your own with columns source, target (no header), to translate"
    add("--data", metavar="FILE.tsv", help=own)
    tiny = "a tiny run on generated data, to see that it works"
    add("--quick", action="store_true", help=tiny)

    add = parser.add_argument_group("data").add_argument
    choices = ("auto", "multi30k", "embedded")
    auto = "of --task translate; auto: multi30k, or embedded data where it is not available"
    add("--dataset", choices=choices, default="auto", help=auto)
    add("--digits", type=ru.at_least(1), help="longest number in training (20; add: 2)")
    number = "use about N training pairs (in each epoch 6,500 new ones; translate: all)"
    add("--max-examples", type=ru.at_least(50), metavar="N", help=number)

    add = parser.add_argument_group("model and training").add_argument
    size = "numbers in the state h_t (128; translate: 256)"
    add("--hidden-size", type=ru.at_least(1), help=size)
    shares = "share of activations zeroed (0; translate: 0.4)"
    add("--dropout", type=ru.between(0, 0.95), help=shares)
    forced = "share of steps at which the decoder reads the right token"
    add("--teacher-forcing", type=ru.between(0, 1), default=1.0, metavar="RATIO", help=forced)
    add("--max-length", type=ru.at_least(2), default=50, help="longest answer, <eos> included")
    rate = "peak learning rate (0.006; translate: 0.002)"
    add("--lr", type=ru.between(0, 10, open_low=True), help=rate)
    batch = "pairs in memory at a time (32; translate: 64)"
    add("--batch-size", type=ru.at_least(1), help=batch)
    add("--clip", type=ru.between(0), default=1.0, help="largest gradient norm; 0: no clipping")
    patience = "epochs without improvement before stopping; 0: never stop early (0; translate: 4)"
    add("--patience", type=ru.at_least(0), help=patience)
    add("--compare", choices=tuple(COMPARISONS), help="also train 4 hidden sizes, or 3 ratios")
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=1)

    args = ru.parse_arguments(parser, argv, QUICK)
    sentences = args.data or args.dataset == "multi30k"
    if sentences and args.task not in (None, "translate"):
        raise ru.UserError(f"--data and multi30k are translated; drop --task {args.task}")
    for text in args.predict or []:
        if not ru.basic_english(text):
            raise ru.UserError(f"--predict {text!r}: there is nothing in it to answer")
    if args.compare and args.eval_only:
        raise ru.UserError("--compare trains models, and --eval-only none; drop one of them")
    if args.eval_only:  # the checkpoint knows the task and all that follows from it
        return args
    args.task = args.task or ("translate" if sentences else "reverse")
    for name, value in DEFAULTS[args.task].items():  # what was not given
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    if args.digits and args.digits + 2 > args.max_length:
        raise ru.UserError(f"--digits {args.digits}: needs --max-length {args.digits + 2} or more")
    return args


def print_predictions(model, vocabs, task: str, args) -> dict[str, str]:
    """Answer each text of --predict; say which of its tokens the model does not know."""
    found, gap = {}, " " if task == "translate" else ""
    for text in args.predict:
        source = tuple(ru.basic_english(text) if gap else text)
        split = ru.encode_pairs([(source, ())], vocabs, model.output.weight.device)
        (output,) = answers(model, split, vocabs[1], args.max_length, args.beam_size)
        found[text] = gap.join(output)
        print(f"\n{text}\n  -> {found[text]}")
        ru.print_unknown(source, vocabs[0])
    return found


def introduce(model, data: dict, vocabs, args, device) -> None:
    """Print the settings, the sizes, and three training pairs as the decoder meets them."""
    ru.print_configuration(args, device)
    sizes = ", ".join(f"{len(split.pairs):,} {part}" for part, split in data.items())
    tokens = "words and marks (rnn_utils.basic_english, lower case)"
    if args.task != "translate":
        tokens = f"characters, and each epoch draws {args.max_examples:,} new train pairs"
    print(f"{'data':<10}{args.dataset}: {sizes}; tokens are {tokens}")
    print(f"{'model':<10}{ru.count_parameters(model):,} parameters; ", end="")
    print(f"vocabularies of {len(vocabs[0]):,} and {len(vocabs[1]):,} tokens")
    few = sorted(data["train"].pairs[:100], key=lambda pair: len(pair[0]))[2:9:3]
    ru.print_pairs(ru.encode_pairs(few, vocabs), vocabs)


def draw_figures(model, split, history, baselines, curve, trained_to, comparison, args, title):
    """Draw and save every figure; return their paths."""
    plt, measure = ru.get_pyplot(args.show), ru.main_measure(args.task)
    label = "BLEU" if measure == "bleu" else "exact match (share of answers)"
    figures = {"encoder_states": plot_states(model, split, plt, args.task, title)}
    figure, axes = plt.subplots(figsize=(8, 4))
    ru.plot_by_length(axes, {"LSTM encoder-decoder": curve}, label, args.task, trained_to)
    axes.set_title(f"At which length does one vector fail?{title}")
    figures["by_length"] = figure
    if history:  # --eval-only has none
        loss = "loss, teacher-forced (nats per token)"
        figure = ru.plot_history(history, loss, baselines, measure, label)
        figure.suptitle(f"Does it learn the task, or the training pairs?{title}")
        figures["training_curves"] = figure
    if comparison:
        figures[args.compare] = plot_comparison(comparison, trained_to, args, plt, title)
    return ru.save_figures(figures, args)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        device = ru.get_device(args.device)
        model, vocabs, checkpoint = ru.load_pair_model(args.path, TUTORIAL, Seq2Seq, device)
        return print_predictions(model, vocabs, checkpoint["config"]["task"], args)

    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: can one vector carry a whole sequence?\n")
    if args.eval_only:
        model, vocabs, best = ru.load_pair_model(args.path, TUTORIAL, Seq2Seq, device)
        ru.take_pair_settings(args, best["config"])
    splits, embedded = load_splits(args)
    if not args.eval_only:
        min_freq = 2 if args.dataset == "multi30k" else 1  # a word met once teaches little
        sides = zip(*splits["train"])  # no vocabulary from val or test
        vocabs = [ru.Vocab.build(side, SPECIALS, min_freq) for side in sides]
        model = Seq2Seq(len(vocabs[0]), len(vocabs[1]), args).to(device)
    data = {part: ru.encode_pairs(pairs, vocabs, device) for part, pairs in splits.items()}
    introduce(model, data, vocabs, args, device)

    history = []
    if not args.eval_only:
        history, best = train(model, data, vocabs, args)
        model.load_state_dict(best["weights"])

    split = data["test"]  # looked at here for the first and only time
    test, outputs = evaluate(model, split, vocabs[1], args)
    searched = None
    if args.beam_size > 1:
        searched = answers(model, split, vocabs[1], args.max_length, args.beam_size)
    # In the toy tasks a third answer without a network scores 1: `right_answer`, a line of Python.
    baselines = ru.report_pair_test(splits, test, searched, best["epoch"], args)
    ru.print_examples(split.pairs, outputs, " " if args.task == "translate" else "")
    curve = by_length(model, split, outputs, vocabs, args)
    longest = int(data["train"].source_lengths.max())
    trained_to = None if args.task == "translate" else longest
    ru.print_by_length(curve, ru.main_measure(args.task), trained_to)
    comparison = compare(data, vocabs, args, device) if args.compare else {}

    figures, title = [], " (embedded data)" if embedded else ""
    if not args.no_plots:
        figures = draw_figures(
            model, split, history, baselines, curve, trained_to, comparison, args, title
        )
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        parameters=ru.count_parameters(model), history=history, best_epoch=best["epoch"],
        baselines=baselines, test=test, by_length=curve, compare=comparison,
        items_per_second=ru.items_per_second(sum(row["train_pairs"] for row in history), history),
    )  # fmt: skip
    ru.print_files(args, figures)
    if args.predict:
        print_predictions(model, vocabs, args.task, args)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: `--digits 8 --epochs 5` with `--task reverse` and `--task copy`.  Both ask
#    for the same tokens.  Which is learned sooner?  In each, how many steps are there between
#    reading a digit and writing it, for the digit read first and for the one read last?
# 2. Change one flag: `--digits 10`, then `--digits 30` (with the same `--epochs`).  Where does
#    by_length.png fall to 0 in each, and does the network know longer numbers than it was shown?
# 3. Explain a failure: in `batch_loss` write `wanted = targets[:, :-1]`, that is, forget the shift,
#    and run with `--digits 8 --epochs 5`.  The loss becomes tiny.  What has the decoder learned?
# 4. Modify the code: in `Seq2Seq.encode`, turn the batches of one length round with `.flip(1)`, as
#    Sutskever et al. did, and repeat exercise 1.  What has become of `copy`, and why?
# 5. An open question: the state has 2H numbers of 32 bits, and 20 digits are 67 bits.  By that
#    count 2 numbers would do.  What else does a state need besides room for the digits?
