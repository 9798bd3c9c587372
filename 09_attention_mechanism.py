"""09_attention_mechanism: what does a translator look at while it writes each word?

The question    In chapter 08 one vector had to carry a whole sentence.  What if the decoder may
                look back at the source, at all of it, before each word it writes?
The number      52.4 BLEU on 1,000 unseen captions with attention, 21.4 without (seed 0).  The
                translation of the most similar training caption gets 17.8.

The decoder of chapter 08, in state d_t, now asks all S outputs h_s of the encoder:

    a_ts = exp(score(d_t, h_s)) / sum over r of exp(score(d_t, h_r))     weights
    context_t = sum over s of a_ts h_s                                   the answer
    f_t = tanh(W_c [d_t ; context_t] + b_c)
    p(y_t | y_1 ... y_{t-1}, x) = softmax(W_o f_t + b_o)

    score(q, k)    dot: q . k     general: q . (W k)     scaled-dot-product: q . k / sqrt(H)
                   additive: v . tanh(W_q q + W_k k + b)          here q = d_t and k = h_s
    h_s, d_t (H,)  encoder's output at source token s, decoder's state at step t
    f_t (E,)       what a word y_t is written from        x, y      source and target
    a_ts           a number, sums to 1 over s             S, T      lengths of source and target

    python 09_attention_mechanism.py              # 5 minutes on a slow core

    data      multi30k: 29,000 train, 1,014 val, 1,000 test; 4,566 words in sources and ...
    epoch   train loss   grad norm   val loss   val forced accuracy   ...
        1        3.280        0.66      1.703                 0.685   ...  *
       ...
        4        0.972        0.53      1.121                 0.779   ...  *
    test      loss 1.0453   forced accuracy 0.7945   token accuracy 0.4919   ...   bleu 52.3716
              bleu 0.5239   source unchanged
              bleu 17.8462   translation memory
    bleu by source length        6: 54.475  10: 56.872  14: 52.720  18: 47.951  22: 42.307
    with --attention-type none   6: 31.862  10: 26.100  14: 19.806  18: 16.702  22: 13.157

    python 09_attention_mechanism.py --attention-type additive --epochs 10 --dropout 0.2   # BLEU 57
    python 09_attention_mechanism.py --task dates                  # 1.000 right (seed 0), 50 s

It writes metrics.json and three figures to outputs/09_attention_mechanism/.  Look at
alignments.png first.  The run of ten epochs takes 15 minutes.  After a run with --save-model:

    python 09_attention_mechanism.py --path models/09_attention_mechanism.pt --translate "A dog."

Next: 10_text_generation.py, a decoder without a source.
"""

from __future__ import annotations

import argparse
import functools
import math
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnn_data as rd
import rnn_pairs as rp
import rnn_utils as ru

TUTORIAL = "09_attention_mechanism"


# %% [markdown]
# ## 1. Data
# The task is `translate`: English captions of photographs into French (Multi30k), or texts of
# your own.  French puts most adjectives behind the noun, so a translator has to look around.
#
# Two toy tasks show the same in a minute, character by character.  `reverse` turns numbers round,
# as in chapter 08.  `dates` writes dates in the one form in which they can be sorted.  Day, month
# and year change places, and two digits of a year become four:
#
#     friday, 3 march 2017   2017-03-03
#     7th june '62           1962-06-07
# %%
def draw_pairs(task: str, count: int, lengths=None) -> list[tuple[tuple, tuple]]:
    """Draw `count` (source, target) pairs of characters; numbers have one of `lengths`."""
    if task == "dates":
        pairs = rd.date_pairs(count)
    else:
        pairs = [(digits, digits[::-1]) for digits in rd.digit_strings(count, lengths)]
    return [(tuple(source), tuple(target)) for source, target in pairs]


# %% [markdown]
# ## 2. Model
# ### Attention
# Attention is a question put to the source.  The query q is the decoder's state.  The keys are
# the encoder's outputs, one for each source token.  A score says how well position s answers q:
#
#     dot                    q . h_s                         Luong et al. 2015
#     general                q . (W h_s)                     Luong et al. 2015
#     scaled-dot-product     q . h_s / sqrt(H)               Vaswani et al. 2017
#     additive               v . tanh(W_q q + W_k h_s + b)   Bahdanau et al. 2015
#
# Softmax turns the scores into weights that add up to 1.  The answer, called the context, is the
# mean of the encoder's outputs under these weights.  To take only the best position would be a
# hard choice, and that has no gradient.  A mean has one for every position.
#
# A dot product is a sum of H products, and it grows like sqrt(H).  With large scores, softmax puts
# nearly all weight on one position, and its gradient is almost 0.  So the third formula divides.
# At our H the plain dot product, the simplest, learns fast: it is the default.  Additive scores end
# with a validation loss of 1.05 in place of 1.12 (seed 0), and take a third longer.
#
# **Pitfall.**  Short sentences are padded.  Without the mask, padding gets weight too, and the
# translation of a short sentence changes with the longest sentence in its batch.  A score of minus
# infinity becomes a weight of 0.  (Our batches hold sources of one length: nothing is hidden here.)
# %%
class Attention(nn.Module):
    """Queries (B, T, H) to outputs (B, S, H) -> contexts (B, T, H), weights (B, T, S).

    kind          additive, dot, general or scaled-dot-product
    hidden_size   H, numbers in a query and in an output
    """

    def __init__(self, kind: str, hidden_size: int):
        super().__init__()
        if kind not in ("additive", "dot", "general", "scaled-dot-product"):
            raise ValueError(f"no such attention: {kind}")
        self.kind = kind
        if kind == "general":
            self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        elif kind == "additive":
            self.W_q = nn.Linear(hidden_size, hidden_size, bias=False)
            self.W_k = nn.Linear(hidden_size, hidden_size)  # one bias is enough for the sum
            self.v = nn.Linear(hidden_size, 1, bias=False)

    def scores(self, queries: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """(B, T, H), (B, S, H) -> (B, T, S), any real numbers."""
        if self.kind == "additive":
            # Every query with every output: two axes, T and S.
            sums = self.W_q(queries)[:, :, None] + self.W_k(outputs)[:, None]  # (B, T, S, H)
            return self.v(torch.tanh(sums)).squeeze(3)
        keys = outputs
        if self.kind == "general":
            keys = self.W(outputs)
        scores = queries @ keys.transpose(1, 2)  # all dot products of a sentence at once
        if self.kind == "scaled-dot-product":
            scores = scores / math.sqrt(queries.shape[2])
        return scores

    def forward(self, queries, outputs, mask):  # the mask (B, S) is True at real tokens
        scores = self.scores(queries, outputs)  # (B, T, S)
        scores = scores.masked_fill(~mask[:, None], float("-inf"))
        weights = scores.softmax(dim=2)  # (B, T, S), rows add up to 1, 0 at padding
        return weights @ outputs, weights


# %% [markdown]
# ### Encoder, attention, decoder
# Four things differ from chapter 08.
#
# 1. The encoder reads in both directions, with half of the H numbers for each.  So position s
#    knows the words on both sides of it, which makes it worth looking at.  **Pitfall.**  The
#    backward direction must not start on padding, so sources of several lengths are packed.
# 2. `encode` also returns the outputs at all positions, and the mask: True at real tokens.
# 3. In `decode`, each state d_t asks for a context.  What the decoder writes depends on both,
#    through f_t, a vector of E numbers.
# 4. One table reads the words of the target and writes them (tied weights): f_t is compared with
#    the vector of every word.  (The list of layers shows it twice, "together" counts it once.)
#
# The tables start with small numbers, N(0, 1 / E), and are multiplied by sqrt(E) when they are
# read (Vaswani et al. 2017).  One step of Adam changes each number by about the learning rate.
# After the multiplication by sqrt(E), the change is sqrt(E) times as large.
#
# Here the decoder asks *after* its step, with d_t (Luong).  All target words are known in
# training, so one call runs all steps, and one product of matrices asks all T questions.
# Bahdanau's decoder asks *before* its step, with d_{t-1}: each step waits for the one before it.
# %%
class Seq2Seq(nn.Module):
    """Bidirectional encoder -> decoder with attention -> scores of the next token.

    source_size      tokens in the vocabulary of the sources, padding (index 0) included
    target_size      V, the same for the targets
    attention_type   a kind of Attention, or "none": then the decoder gets the last state only
    hidden_size      H, an even number: numbers in an output h_s and in a state d_t
    dropout          the share of numbers that training sets to 0, in the embedded tokens and f_t
    embedding_size   E, numbers per token
    """

    def __init__(
        self, source_size, target_size, attention_type="dot", hidden_size=256, dropout=0.2,
        embedding_size=128,
    ):  # fmt: skip
        super().__init__()
        self.source_embedding = nn.Embedding(source_size, embedding_size)
        self.target_embedding = nn.Embedding(target_size, embedding_size)
        half = hidden_size // 2  # for each direction
        self.encoder = nn.LSTM(embedding_size, half, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.attention = None
        width = hidden_size
        if attention_type != "none":
            self.attention = Attention(attention_type, hidden_size)
            width = 2 * hidden_size
        self.readout = nn.Linear(width, embedding_size)  # W_c and b_c
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(embedding_size, target_size)  # W_o and b_o
        self.output.weight = self.target_embedding.weight
        self.scale = math.sqrt(embedding_size)
        nn.init.normal_(self.source_embedding.weight, std=1 / self.scale)
        nn.init.normal_(self.target_embedding.weight, std=1 / self.scale)
        for rnn in (self.encoder, self.decoder):  # orthogonal matrices (04), and forget gates with
            ru.initialise_recurrent(rnn)  # a bias of 1, so that a cell keeps its content (05)

    def encode(self, sources: torch.Tensor, lengths: torch.Tensor):
        """(B, S) tokens, (B,) lengths -> outputs (B, S', H) up to the longest, mask, state."""
        embedded = self.dropout(self.scale * self.source_embedding(sources))  # (B, S, E)
        longest = int(lengths.max())  # S'
        if lengths.min() == longest:  # the usual case here: batches of one length
            outputs, (h_n, c_n) = self.encoder(embedded[:, :longest])  # (B, S', H)
        else:
            packed = pack_padded_sequence(
                embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            outputs, (h_n, c_n) = self.encoder(packed)
            outputs, _ = pad_packed_sequence(outputs, batch_first=True)  # (B, S', H)
        # Each direction after its last token, side by side: (2, B, H / 2) -> (1, B, H)
        h_0 = torch.cat([h_n[0], h_n[1]], dim=1)[None]
        c_0 = torch.cat([c_n[0], c_n[1]], dim=1)[None]
        mask = ru.lengths_to_mask(lengths, longest)  # (B, S'), True at real tokens
        return outputs, mask, (h_0, c_0)

    def decode(self, tokens: torch.Tensor, state, outputs, mask):
        """(B, T) tokens to read -> f_t for each (B, T, E), the state after, weights (B, T, S)."""
        embedded = self.dropout(self.scale * self.target_embedding(tokens))  # (B, T, E)
        states, state = self.decoder(embedded, state)  # (B, T, H)
        weights = None
        if self.attention is not None:
            contexts, weights = self.attention(states, outputs, mask)
            states = torch.cat([states, contexts], dim=2)  # (B, T, 2H)
        return self.dropout(torch.tanh(self.readout(states))), state, weights

    def forward(self, sources, lengths, targets) -> torch.Tensor:
        """Teacher forcing: (B, S), (B,), (B, T + 1) -> (N, V) logits of the N real tokens."""
        outputs, mask, state = self.encode(sources, lengths)
        features, _, _ = self.decode(targets[:, :-1], state, outputs, mask)
        # The product with the V x E table costs most: keep the f_t of real tokens only.
        return self.output(features[targets[:, 1:] != 0])


# %% [markdown]
# ## 3. Training and evaluation
# ### One epoch
# As in chapter 08: six lines, and batches of sources of one length.  The first line,
# `predict_next`, runs the model with teacher forcing: the decoder reads the right tokens, and has
# to write each of them one step before it reads it.  The loss is the mean of -log p(right next
# token) over the N real tokens of a batch.
# %%
def predict_next(model, split: rp.PairSplit, rows: list[int]):
    """Return the logits (N, V) and the right tokens (N,) at the N real steps of some rows."""
    sources, lengths, targets = split.batch(rows)  # (B, S), (B,), (B, T + 1)
    logits = model(sources, lengths, targets)  # (N, V)
    wanted = targets[:, 1:]  # (B, T), the decoder's input shifted by one
    return logits, wanted[wanted != ru.PAD]


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
# ### Evaluation
# Loss and accuracy on pairs that take no part in training.  The decoder reads the right tokens, so
# "forced accuracy" does not say how good its own sentences are.  BLEU says that, once, on test.
# %%
@torch.no_grad()
def evaluate(model, split: rp.PairSplit) -> dict[str, float]:
    """Measure loss (nats per token) and accuracy with teacher forcing."""
    model.eval()
    loss_sum = 0.0
    num_right = 0
    num_tokens = 0
    for rows in ru.BucketBatchSampler(split.source_lengths.cpu(), 64, equal=True):
        logits, wanted = predict_next(model, split, rows)  # (N, V), (N,)
        loss_sum += F.cross_entropy(logits, wanted, reduction="sum").item()
        num_right += int((logits.argmax(dim=1) == wanted).sum())
        num_tokens += len(wanted)
    return {"loss": loss_sum / num_tokens, "forced_accuracy": num_right / num_tokens}


# %% [markdown]
# ### Beam search
# Greedy decoding cannot take anything back.  A first word that looks best alone may lead to a poor
# sentence.  Beam search keeps the K best beginnings.  Each step extends all of them by all V
# tokens, and keeps the K best of those K * V.  "Best" is by
#
#     score = (log p(y_1) + log p(y_2 | y_1) + ...) / length
#
# Every log p is below 0, so each further token lowers the sum.  Without the division, the search
# would favour short sentences.  The K beams of a sentence are K rows of the batch, so the model
# needs no change.  K = 1 is greedy decoding; K = 5 makes the 57.0 BLEU of the run at the top 58.2.
#
# Two details are easy to miss.  All K beams start alike, so only the first may count in the first
# step; otherwise the search finds the same sentence K times.  A beam that has written <eos> has
# one continuation, <pad>, which costs nothing.
# %%
@torch.no_grad()
def beam_search(model, sources, lengths, max_length: int, beam_size: int = 1):
    """Return the best beam of each source, (B, T) tokens, and its log p, (B,); K = beam_size."""
    model.eval()
    B = len(sources)
    K = beam_size
    outputs, mask, (h, c) = model.encode(sources, lengths)
    outputs = outputs.repeat_interleave(K, dim=0)  # (B * K, S, H)
    mask = mask.repeat_interleave(K, dim=0)
    state = (h.repeat_interleave(K, dim=1), c.repeat_interleave(K, dim=1))
    written = sources.new_full((B * K, 1), ru.BOS)  # (B * K, T)
    log_p = torch.full((B, K), float("-inf"), device=sources.device)
    log_p[:, 0] = 0.0  # in the first step, the others do not count
    count = torch.zeros_like(log_p)  # tokens written, <eos> included
    done = torch.zeros_like(log_p, dtype=torch.bool)
    first_row = K * torch.arange(B, device=sources.device)[:, None]  # (B, 1)
    for _ in range(max_length):
        features, state, _ = model.decode(written[:, -1:], state, outputs, mask)
        step = model.output(features).log_softmax(dim=2).view(B, K, -1)  # (B, K, V)
        step[done] = float("-inf")  # a finished beam may only write <pad>, with log p = 0
        step[..., ru.PAD] = step[..., ru.PAD].masked_fill(done, 0.0)
        total = log_p[..., None] + step  # (B, K, V)
        count = count + ~done
        _, best = (total / count[..., None]).flatten(1).topk(K)  # (B, K) of K * V, sorted
        parent = best // step.shape[2]  # (B, K): which beam goes on
        token = best % step.shape[2]  # (B, K): by which token
        log_p = total.flatten(1).gather(1, best)
        count = count.gather(1, parent)
        done = done.gather(1, parent) | (token == ru.EOS)
        rows = (first_row + parent).flatten()  # (B * K,)
        written = torch.cat([written[rows], token.view(-1, 1)], dim=1)
        state = (state[0][:, rows], state[1][:, rows])
        if done.all():
            break
    return written.view(B, K, -1)[:, 0, 1:], log_p[:, 0]


# %% [markdown]
# ### The training loop
# The loop of chapter 08, without its new pairs for each epoch.  The best epoch is the one with the
# lowest validation loss.  Only the best network writes translations, once, at the end: to decode
# takes longer than to measure the loss.
#
# Adam divides by a running mean of squared gradients.  The second of `betas` says how slowly this
# mean changes: 0.98 averages over about 50 steps, the usual 0.999 over 1,000.  In a short run it
# helps to average over fewer steps.
# %%
def train(
    model, train_split, val_split, epochs, lr, batch_size, clip, patience, seed, about,
    path=None, save_model=False, resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`, and leave `model` with the weights of the best epoch.

    Returns the history and the best epoch.  With `save_model`, everything is saved at `path`
    after each epoch, together with `about`.
    """
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
# As in chapter 08: the source unchanged, the target of the most similar source in training, and
# with `--compare` the same network without attention.
#
# BLEU here uses lower-case words of our own tokeniser.  Do not compare it with published figures.
#
# ## 4. Looking inside
# ### Where does the decoder look?
# The weights of an answer come from one more pass, which reads the answer.  Row t says where the
# decoder looked before it wrote token t.  Nobody has shown the network such an alignment.  It came
# about because it lowers the loss.
#
# **Misconception: "Attention explains the translation."**  The weights say where the decoder
# looked.  What it found there is an output of the encoder, which knows the neighbours as well.
# And a context may count for little in what is written.
#
# **Misconception: "Attention came with Transformers."**  It came with networks like this one, in
# 2014.  Transformers kept it and left the recurrence out.
# %%
@torch.no_grad()
def alignment(model, vocabs, source: tuple, output: tuple) -> torch.Tensor:
    """(T + 1, S) weights: a row for each token of `output` and one for the <eos> behind it."""
    model.eval()
    split = rp.encode_pairs([(source, output)], vocabs[0], vocabs[1], model.output.weight.device)
    outputs, mask, state = model.encode(split.sources, split.source_lengths)
    _, _, weights = model.decode(split.targets[:, :-1], state, outputs, mask)  # (1, T + 1, S)
    return weights[0].cpu()


def choose_examples(model, vocabs, pairs: list, outputs: list, count: int) -> list[tuple]:
    """Return (source, output, weights) of short answers, right ones if there are any."""
    rows = [row for row in range(len(pairs)) if outputs[row]]
    right = [row for row in rows if outputs[row] == pairs[row][1]]
    examples = []
    for row in sorted(right or rows, key=lambda row: abs(len(pairs[row][0]) - 9))[:count]:
        source = pairs[row][0]
        examples.append((source, outputs[row], alignment(model, vocabs, source, outputs[row])))
    return examples


def plot_alignments(examples: list[tuple], title: str, plt):
    """One heat map for each (source, output, weights): the output downwards, the source across."""
    widths = [len(source) + 3 for source, _, _ in examples]
    height = 2.2 + 0.34 * max(len(output) for _, output, _ in examples)
    figure = plt.figure(figsize=(2 + 0.36 * sum(widths), height))
    panels = figure.subplots(1, len(examples), squeeze=False, width_ratios=widths)[0]
    labels = [None] * (len(examples) - 1) + ["weight"]  # one colour bar, at the last panel
    for axes, label, (source, output, weights) in zip(panels, labels, examples):
        ru.plot_heatmap(axes, weights, [*output, "<eos>"], source, label, "Blues", vmin=0, vmax=1)
        axes.set(xlabel="source token", ylabel="written token")
        if max(map(len, source)) > 1:  # single characters stand upright
            axes.tick_params(axis="x", rotation=60)
    figure.suptitle(f"Where does the decoder look before it writes a token?{title}")
    return figure


# %% [markdown]
# ### What is attention worth?
# The same network without it: the same encoder, pairs, seed and schedule.  The weights of the
# scores are missing, and the readout is smaller, for there is no context to read.  Compare the
# scores by source length: the longer a sentence, the more of it is lost in one vector.
#
# **Misconception: "With attention length does not matter."**  It matters less.  Of numbers of 20
# digits, the longest in training, `--task reverse` has 0.96 right (seed 0), and of 30 digits 0.91.
# %%
def score_test(model, data, about, max_length: int, beam_size: int, epoch: int) -> tuple:
    """Answer the sources of test, the first look at it; return the scores and the answers."""
    decode = functools.partial(beam_search, model, max_length=max_length, beam_size=beam_size)
    note = f"beam size {beam_size}, epoch {epoch}, chosen on validation"
    forced = evaluate(model, data["test"])
    scores, outputs = rp.score_test(data, decode, forced, about, note, beam_size)
    scores["by_length"] = {about["sizes"]["attention_type"]: scores["by_length"]}
    return scores, outputs


def add_comparison(scores: dict, data: dict, about: dict, max_length: int) -> None:
    """Train the same network without attention, and put its results into `scores`."""
    print("\nthe same without attention")
    ru.set_seed(about["config"]["seed"])  # the draws of a run with --attention-type none
    about = dict(about, sizes=dict(about["sizes"], attention_type="none"))
    model = Seq2Seq(**about["sizes"]).to(data["test"].sources.device)
    history, best = fit(model, data, about)
    without, _ = score_test(model, data, about, max_length, 1, best["epoch"])
    curve = without["by_length"]["none"]
    scores["by_length"]["none"] = curve
    scores["compare"] = {"history": history, "test": without["test"], "by_length": curve}


# %% [markdown]
# ## 5. Command line and main
# `--data` takes pairs of your own, as in chapter 08: sentences of two languages, or texts and their
# summaries.  One file has a pair a line, with a tab between its sides.
# %%
ATTENTION_TYPES = ("additive", "dot", "general", "scaled-dot-product", "none")
SIZES = ("attention_type", "hidden_size", "dropout")  # the flags that Seq2Seq takes
TRANSLATE = {"hidden_size": 256, "dropout": 0.1, "batch_size": 64, "lr": 5e-3, "patience": 4}
OWN = {"epochs": 30, "batch_size": 16, "lr": 3e-3, "dropout": 0.2}
TOY = {"hidden_size": 128, "dropout": 0.0, "epochs": 8}
QUICK = {"dataset": "embedded", "epochs": 3, "hidden_size": 64, "batch_size": 16, "lr": 1e-2}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--task", choices=("translate", "dates", "reverse"), help="translate if not given")
    add("--attention-type", choices=ATTENTION_TYPES, default="dot", help="formula of the scores")
    add("--translate", nargs="+", metavar="TEXT", help="translate these; -: lines of stdin")
    add("--beam-size", type=ru.at_least(1), default=1, help="K of beam search; 1: greedy")
    add("--compare", action="store_true", help="also train the same network without attention")
    rp.add_flags(parser, TUTORIAL, epochs=4, **TRANSLATE)

    args = parser.parse_args(argv)
    rp.check_task(args.task, args.data, args.dataset)
    if args.compare and (args.eval_only or args.attention_type == "none"):
        other = "--eval-only" if args.eval_only else "--attention-type none"
        raise ru.UserError(f"--compare trains a second network without attention; drop {other}")
    if args.hidden_size % 2:  # each direction of the encoder gets one half
        raise ru.UserError(f"--hidden-size {args.hidden_size} is odd; give an even number")
    # Each task has defaults of its own.  What is written on the command line wins over them.
    if args.task in ("dates", "reverse"):
        count = 15_000 if args.task == "dates" else 30_000
        parser.set_defaults(max_examples=count, **TOY)
    elif args.data:
        parser.set_defaults(task="translate", **OWN)
    elif args.dataset == "multi30k" or not args.eval_only:  # a checkpoint knows its task
        parser.set_defaults(task="translate")
    if args.quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args(argv)


def load_splits(task, data, columns, dataset, data_dir, offline, max_examples) -> tuple:
    """Return what rp.sentence_pairs does; `reverse` has also pairs "longer" than in training."""
    if task == "translate":
        return rp.sentence_pairs(data, columns, dataset, data_dir, offline, max_examples)
    splits = rp.split_pairs(draw_pairs(task, max_examples, range(1, 21)))
    if task == "reverse":
        splits["longer"] = draw_pairs(task, 1000, range(21, 31))
    return splits, ["characters", "characters"], task, False


def fit(model, data, about, path=None, save_model=False, resume=False) -> tuple:
    """Call `train` with the flags in `about`; return the history and the best epoch."""
    config = about["config"]
    return train(
        model, data["train"], data["val"], config["epochs"], config["lr"], config["batch_size"],
        config["clip"], config["patience"], config["seed"], about, path, save_model, resume,
    )  # fmt: skip


def translate(model, about: dict, texts, max_length: int, beam_size: int, folder) -> dict:
    """Print the answer to each text, and where the decoder looked; return {text: answer}.

    With a `folder`, the weights of the first three are drawn there, but never for a table.
    """
    vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
    examples = []

    def look(source: tuple, output: tuple) -> None:
        if model.attention is None or not output:
            return
        weights = alignment(model, vocabs, source, output)  # (T + 1, S)
        examples.append((source, output, weights))
        looks = [f"{token}<-{source[row.argmax()]}" for token, row in zip(output, weights)]
        print(f"     {'  '.join(looks)}")

    decode = functools.partial(beam_search, model, max_length=max_length, beam_size=beam_size)
    answers = rp.answer_texts(texts, decode, about, model.output.weight.device, beam_size, look)
    if examples and folder:
        figure = plot_alignments(examples[:3], "", ru.get_pyplot())
        ru.save_figures({"translations": figure}, folder)
    return answers


def draw_figures(model, data: dict, metrics: dict, about: dict, outputs, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    question = f"Do long sources suffer?{title}"
    curves = metrics["by_length"]
    figures = {"by_length": rp.plot_by_length(curves, data, about, "test", question)}
    if model.attention is not None and any(outputs):
        vocabs = [ru.Vocab(tokens) for tokens in about["vocabs"]]
        examples = choose_examples(model, vocabs, data["test"].pairs, outputs, 2)
        figures["alignments"] = plot_alignments(examples, title, plt)
    rp.save_figures(figures, metrics, title, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.translate):
        model, about, _ = rp.load_model(args.path, TUTORIAL, Seq2Seq, ru.get_device(args.device))
        folder = None if args.no_plots else args.output_dir or f"outputs/{TUTORIAL}"
        return translate(model, about, args.translate, args.max_length, args.beam_size, folder)

    asked = args.task
    device, config = ru.start_run(args, TUTORIAL, "translate", "compare", "max_length", "beam_size")
    splits, levels, source, embedded = load_splits(
        args.task, args.data, args.columns, args.dataset, args.data_dir, args.offline,
        config["max_examples"],
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = rp.load_model(args.path, TUTORIAL, Seq2Seq, device, asked)
    else:
        model, about = rp.build(Seq2Seq, splits, levels, source, config, SIZES)
    data = rp.introduce(model.to(device), about, splits, source, args.max_length)
    if not args.eval_only:
        history, best = fit(model, data, about, args.path, args.save_model, args.resume)
    found, outputs = score_test(model, data, about, args.max_length, args.beam_size, best["epoch"])
    if args.compare:
        add_comparison(found, data, about, args.max_length)
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"]), "compare": {}, **found,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data, metrics, about, outputs, args.output_dir, args.show)
    folder = None if args.no_plots else args.output_dir
    translate(model, about, args.translate or [], args.max_length, args.beam_size, folder)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--task dates --epochs 4 --save-model --path models/dates.pt`, and then
#    `--path models/dates.pt --translate "friday the 3rd of mar, 2017"`.  Which characters get
#    hardly any weight in translations.png?  Where does the decoder look for the month's "0"?
# 2. Change one flag: `--task reverse`, then the same with `--compare`.  In by_length.png, how far
#    does each curve fall left of the dashed line, and right of it?  Why does one hardly fall?
# 3. Explain a failure: take the line with `masked_fill` out of `Attention.forward` and run
#    `python -m pytest tests/test_09_attention_mechanism.py -k among_longer` (once before:
#    `pip install -r tests/requirements.txt`).  Why do four of the five tests fail and not the
#    fifth?  Why does no run of this script show it?  (Look at the batches, and at `rp.answer`.)
# 4. Modify the code: let the scores of `dot` be cosines, q . h_s / (|q| |h_s|), and run `--task
#    dates`.  Between which bounds does each weight now lie, for a source of 20 characters?  What
#    do you see in alignments.png, and what when the cosines are multiplied by 10?
# 5. An open question: attention finds a position by what is there.  To reverse a number the
#    decoder must know *where* it is in it.  How do the states of this encoder tell the 7 in the
#    third place from the 7 in the ninth, and what do Transformers, which have no states, do?
