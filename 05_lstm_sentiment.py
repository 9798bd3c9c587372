"""05_lstm_sentiment: is this film review for or against?

The question    A review has hundreds of words.  Can a network that reads them one by one keep what
                matters, where the vanilla RNN of chapter 04 forgets it?
The number      0.02 of the gradient is left 20 steps back in an LSTM whose forget gate starts open
                (bias 1), 0.00004 where its bias is 0, as it nearly is in a new nn.LSTM.

The LSTM (Hochreiter and Schmidhuber 1997, Gers et al. 2000), with s = sigmoid:

    f_t  = s(W_f [h_{t-1}; x_t] + b_f)       forget gate    what to keep of the memory
    i_t  = s(W_i [h_{t-1}; x_t] + b_i)       input gate     what to write into it
    o_t  = s(W_o [h_{t-1}; x_t] + b_o)       output gate    what to show of it
    c~_t = tanh(W_c [h_{t-1}; x_t] + b_c)    candidate      what could be written
    c_t  = f_t * c_{t-1} + i_t * c~_t        cell state     the memory: a sum
    h_t  = o_t * tanh(c_t)                   hidden state   what other layers see

    x_t (E,)  word t as a vector      h_t, c_t, gates (H,)      W (H, H + E)   b_f ... (H,)
    [a; b]    a above b, one vector   *  unit by unit           h_0 = c_0 = 0
    z = v . max_t h_t + a             P(positive) = s(z)

    python 05_lstm_sentiment.py                 # 4 minutes, one core used
    python 05_lstm_sentiment.py --epochs 10     # accuracy 0.897, 7 minutes

    data      imdb: 22,217 train, 2,561 val, 25,000 test; longer than 400 words: 17% of test
    epoch   train loss   train accuracy   grad norm   val loss   val accuracy   seconds
        1        0.546            0.697        0.50      0.363          0.850  ...       *
       ...
        4        0.271            0.888        0.52      0.288          0.886  ...       *
        5        0.256            0.897        0.52      0.290          0.886  ...
    test      loss 0.2632   accuracy 0.8902   macro f1 0.8902   (epoch 4, chosen on validation)
              accuracy 0.5000   majority label
              accuracy 0.8910   TF-IDF of words
              accuracy 0.9063   TF-IDF of words and pairs
              network minus TF-IDF of words and pairs: -0.0161
              95 % interval -0.0197 to -0.0125: worse by more than luck

Writes metrics.json and two figures to outputs/05_lstm_sentiment/; look at word_by_word.png first.
With --save-model --path models/sentiment.pth also a checkpoint, which then answers alone:

    python 05_lstm_sentiment.py --path models/sentiment.pth --predict "Not without charm."

Next: 06_gru_time_series.py, a cell of two gates.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import rnn_baselines as rb
import rnn_texts as rt
import rnn_utils as ru

TUTORIAL = "05_lstm_sentiment"
VOCABULARY = 3_000  # padding, <unk> and the most frequent words


# %% [markdown]
# ## 1. Data
# IMDB has 50,000 film reviews, half of them praise, and a test set of its own.  Some training
# reviews are set aside for validation: they choose the epoch, and the network never learns from
# them.  Of any other source, a tenth is the test, and a tenth of the rest is for validation.
#
# **Pitfall.**  A film has up to 30 reviews, and the test films are others than the training films.
# A random validation split would share films with train.  The network knows their names, so
# validation would look better than the test.  So IMDB's validation reviews are of further films.
# %%
def read_words(text: str) -> list[str]:
    """The words of a text in lower case; there is always a word to read."""
    return ru.basic_english(text) or ["<unk>"]


def load_reviews(data, columns, dataset, data_dir, offline, max_examples, max_length) -> tuple:
    """Load the reviews of the user's `data`, else of the data set, in words.

    Your own texts may be a folder, or a table with two labels, whatever they are called:

        text,label
        "Arrived broken, and nobody answers.",unhappy
        Just what I was looking for,happy

    Returns ({"train", "val", "test": (words, label) pairs}, the source, whether it is embedded).
    """
    splits, source, embedded = rt.load_texts(
        "imdb", read_words, data, columns, dataset, data_dir, offline
    )
    labels = sorted({label for _, label in splits["train"]})
    if len(labels) > 2:
        names = ", ".join(map(repr, labels))[:200]
        raise ru.UserError(f"{source}: more than two labels ({names}); chapter 07 takes any number")
    rt.hold_out(splits, source, test=0.1, val=0.1)
    splits = {part: rt.thin_out(pairs, max_examples) for part, pairs in splits.items()}
    sizes = ", ".join(f"{len(splits[part]):,} {part}" for part in ("train", "val", "test"))
    longer = np.mean([len(words) > max_length for words, _ in splits["test"]])
    print(f"{'data':<10}{source}: {sizes}; longer than {max_length} words: {longer:.0%} of test")
    return splits, source, embedded


# %% [markdown]
# ### From words to numbers
# A vocabulary numbers the 3,000 most frequent words of the training reviews.  All others share
# the index of `<unk>`, "unknown".  Most of these are names of people and films.  Other films have
# other names, so there is little to learn from these words, and much to learn by heart.
#
# A review is cut to its first and last `--max-length` / 2 words.  Reviewers say what they think
# at the beginning and at the end; the middle tells the story, and costs as much time.  As in
# chapter 04, the N reviews of a split become tensors (by `rt.encode`):
#
#     inputs    (N, T)   word indices, padded with 0 at the end
#     lengths   (N,)     words in each review
#     targets   (N,)     1 for labels[1], 0 for labels[0]
# %%
def build_vocab(train: list[tuple], source: str) -> ru.Vocab:
    """Number the most frequent words of the training texts; none occurs only once."""
    vocab = ru.Vocab.build([words for words, _ in train], min_freq=2, max_size=VOCABULARY)
    if len(vocab) == 2:  # padding and the unknown word
        raise ru.UserError(f"{source}: no word appears twice; are spaces between words?")
    return vocab


# %% [markdown]
# ## 2. Model
# ### The cell
# A vanilla RNN puts its whole state through W_h and tanh at every step, and the gradient passes
# through both on its way back.  An LSTM has a second state, the cell state c_t, which is a sum:
#
#     c_t = f_t * c_{t-1} + i_t * c~_t
#
# So on the direct path dc_t / dc_{t-1} = f_t, one factor per unit, without a matrix and tanh.  (A
# second path leads through h_{t-1} and the gates.)  Where the forget gate f_t stays near 1, memory
# and gradient survive many steps.  Where it is near 0, the unit starts afresh.
#
# A gate is a layer like any other: it is learned, and it opens and closes again for each word.
# The model below uses `nn.LSTM`, which computes the same, and faster.  The tests compare the two.
# %%
class HandWrittenLSTM(nn.Module):
    """A one-layer LSTM with the interface of nn.LSTM(batch_first=True)."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        # Each gate looks at the state and the word side by side: [h_{t-1}; x_t].
        self.W_f = nn.Linear(hidden_size + input_size, hidden_size)
        self.W_i = nn.Linear(hidden_size + input_size, hidden_size)
        self.W_o = nn.Linear(hidden_size + input_size, hidden_size)
        self.W_c = nn.Linear(hidden_size + input_size, hidden_size)

    def step(self, x_t, h_prev, c_prev) -> tuple[torch.Tensor, torch.Tensor]:
        """One word: (B, E) and the two states before it -> the two states after it (B, H)."""
        joint = torch.cat([h_prev, x_t], dim=1)  # (B, H + E)
        # f_t = sigmoid(W_f [h_{t-1}; x_t] + b_f)      what to keep of the memory
        f_t = torch.sigmoid(self.W_f(joint))
        # i_t = sigmoid(W_i [h_{t-1}; x_t] + b_i)      what to write into it
        i_t = torch.sigmoid(self.W_i(joint))
        # o_t = sigmoid(W_o [h_{t-1}; x_t] + b_o)      what to show of it
        o_t = torch.sigmoid(self.W_o(joint))
        # c~_t = tanh(W_c [h_{t-1}; x_t] + b_c)        what could be written
        candidate = torch.tanh(self.W_c(joint))
        # c_t = f_t * c_{t-1} + i_t * c~_t             the memory itself: a sum
        c_t = f_t * c_prev + i_t * candidate
        # h_t = o_t * tanh(c_t)                        what the rest of the network sees
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t

    def forward(self, inputs: torch.Tensor):
        """(B, T, E) -> every h_t (B, T, H), and the last (h_T, c_T), each (1, B, H)."""
        h_t = inputs.new_zeros(inputs.shape[0], self.hidden_size)  # (B, H), h_0 = 0
        c_t = torch.zeros_like(h_t)  # (B, H), c_0 = 0
        states = []
        for x_t in inputs.unbind(dim=1):  # T tensors of (B, E)
            h_t, c_t = self.step(x_t, h_t, c_t)
            states.append(h_t)
        return torch.stack(states, dim=1), (h_t[None], c_t[None])


# %% [markdown]
# ### The classifier
# The dense layer needs one vector, and a review has T states.
#
# - `pooling="last"`: h_T has to carry all that was read, from hundreds of words back.
# - `pooling="max"`: of each unit, the largest value anywhere in the review.  This asks less of the
#   memory: a unit may report "superb!" when it comes, and then forget it.
#
# **Pitfall.**  Short reviews are filled up to the longest of their batch, and the LSTM goes on
# computing there.  The states of the padding are not states of the review.  `states[:, -1]` is
# such a state, and a plain maximum over all positions includes them.  So the padding is masked.
#
# **Start with an open forget gate.**  Before training, f_t is about sigmoid(b_f).  With b_f = 0
# that is 0.5, and half of the memory is lost at each step.  With b_f = 1 it is 0.73.  The gate can
# learn to open, but only from a gradient that has come through it, so we open it at the start
# (Jozefowicz et al. 2015).  `gradient_lesson` in section 4 measures the difference.
#
# **Hide whole words.**  `nn.Dropout1d` sets the vectors of random words to 0, in training only.
# So the network cannot rely on any one word, and learns less by heart than with `nn.Dropout`,
# which hides some numbers of each vector: the others still tell which word it is.
# %%
class ReviewClassifier(nn.Module):
    """Embedding -> LSTM -> pooling over the words -> dense layer -> one logit.

    vocab_size       words, and two more: padding (index 0) and the unknown word
    hidden_size      H, numbers in h_t and in c_t
    dropout          the share of the words, and of the numbers in the summary, that are hidden
    pooling          how T states become one vector, the summary: "max" or "last"
    embedding_size   E, numbers per word
    """

    def __init__(self, vocab_size, hidden_size=64, dropout=0.3, pooling="max", embedding_size=100):
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        # Start the vectors small, so that training soon outweighs the random initial values.
        nn.init.normal_(self.embedding.weight[1:].data, std=0.1)
        self.hide_words = nn.Dropout1d(dropout)
        self.rnn = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        # nn.LSTM stacks its gates in the order i, f, c~, o.  It adds two biases to each.
        nn.init.ones_(self.rnn.bias_ih_l0.data[hidden_size : 2 * hidden_size])
        nn.init.zeros_(self.rnn.bias_hh_l0.data[hidden_size : 2 * hidden_size])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T) words and (B,) lengths -> (B,) logits: above 0 means labels[1]."""
        embedded = self.hide_words(self.embedding(inputs))  # (B, T, E)
        states, _ = self.rnn(embedded)  # (B, T, H)
        summary = self.dropout(self.pool(states, lengths))  # (B, H)
        return self.output(summary)[:, 0]  # (B,)

    def pool(self, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T, H) states and (B,) lengths -> (B, H); the states of the padding do not count."""
        if self.pooling == "last":
            rows = torch.arange(len(lengths), device=lengths.device)
            return states[rows, lengths - 1]  # (B, H)
        steps = torch.arange(states.shape[1], device=lengths.device)  # (T,)
        padding = steps >= lengths[:, None]  # (B, T), True behind the last word
        return states.masked_fill(padding[:, :, None], float("-inf")).amax(dim=1)  # (B, H)


# %% [markdown]
# ## 3. Training and evaluation
# ### One epoch, with gradient accumulation
# Two labels need one logit z only: P(labels[1]) = sigmoid(z), and z > 0 means labels[1].  The loss
# is -log of the probability of the true label, in nats, computed from z itself.
#
# Long reviews need memory: all T states of a batch are kept for the backward pass.
# `--batch-size 16 --accumulate-steps 4` makes the same update as `--batch-size 64` (but for the
# random draws of dropout) and holds a quarter of the states.  `backward()` *adds* to the gradient,
# so the four parts may come one after the other.  Each is a sum, divided by the size of the whole:
# together they are the gradient of one mean, also where the last part is smaller.
# %%
def train_epoch(
    model, split: rt.Split, sampler, optimizer, epoch: int, epochs: int, lr: float,
    batch_size: int, clip: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Train on every review once; return the mean loss, the accuracy and the mean gradient norm."""
    model.train()
    sampler.set_epoch(epoch)
    first_step = (epoch - 1) * len(sampler)
    loss_sum = 0.0
    num_correct = 0
    norm_sum = 0.0
    for step, rows in enumerate(ru.progress(sampler, desc=f"epoch {epoch}"), first_step):
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, epochs * len(sampler), lr)
        optimizer.zero_grad()
        for start in range(0, len(rows), batch_size):  # the parts of one update
            part = rows[start : start + batch_size]
            lengths = split.lengths[part]  # (B,)
            targets = split.targets[part].float()  # (B,)
            inputs = split.inputs[part, : lengths.max()]  # (B, T)
            logits = model(inputs, lengths)  # (B,)
            loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
            (loss / len(rows)).backward()
            loss_sum += loss.item()
            num_correct += ((logits > 0) == (targets > 0.5)).sum().item()
        norm_sum += ru.clip_gradients(model.parameters(), clip)
        optimizer.step()
    ru.check_finite(loss_sum, epoch)
    num_reviews = len(split.texts)
    return loss_sum / num_reviews, num_correct / num_reviews, norm_sum / len(sampler)


# %% [markdown]
# ### Evaluation
# For two labels, softmax of the scores (0, z) is (1 - sigmoid(z), sigmoid(z)).  So the scores of
# chapter 04 serve here as well: put a column of zeros before z.
# %%
@torch.no_grad()
def predict_logits(model, split: rt.Split, batch_size: int = 256) -> torch.Tensor:
    """Return the logits (N,) of a split, in its order, with dropout off."""
    model.eval()
    logits = torch.zeros(len(split.texts), device=split.inputs.device)
    # Reviews of similar length go together, which saves padding.  The longest come first: each
    # batch then fits into the memory that the one before has freed.
    for rows in split.lengths.argsort(descending=True).split(batch_size):
        lengths = split.lengths[rows]  # (B,)
        logits[rows] = model(split.inputs[rows, : lengths.max()], lengths)
    return logits


def two_scores(logits: torch.Tensor) -> torch.Tensor:
    """(N,) logits z -> (N, 2) scores: 0 and z."""
    return F.pad(logits[:, None], (1, 0))


def evaluate(model, split: rt.Split) -> dict[str, float]:
    """Measure loss (nats per review), accuracy and macro-F1 of a model on a split."""
    return rb.classification_scores(two_scores(predict_logits(model, split)), split.targets)


# %% [markdown]
# ### The training loop
# The epoch with the best validation accuracy is kept (marked `*`); the lower loss decides a tie.
# Late in training, accuracy and loss may both rise: fewer mistakes, each made with more certainty.
# (Why training looks worse than validation at first: see chapter 04.)
# %%
def train(
    model, train_split: rt.Split, val_split: rt.Split, epochs: int, lr: float, batch_size: int,
    accumulate_steps: int, clip: float, patience: int, seed: int, about: dict, path=None,
    save_model=False, resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Leave `model` with the weights of the best epoch; return the history and that epoch.

    With `save_model`, everything is saved at `path` after each epoch, together with `about`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    reviews_per_update = batch_size * accumulate_steps
    # Reviews of similar length share a batch: in random ones, half of the steps would be padding.
    sampler = ru.BucketBatchSampler(train_split.lengths.cpu(), reviews_per_update, seed=seed)
    history = []
    best = {"epoch": 0, "score": (-1.0, 0.0)}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "score")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no better validation result for {patience} epochs")
            break
        started = time.perf_counter()
        train_loss, train_accuracy, gradient_norm = train_epoch(
            model, train_split, sampler, optimizer, epoch, epochs, lr, batch_size, clip
        )
        val = evaluate(model, val_split)
        history.append({
            "epoch": epoch, "train_loss": train_loss, "train_accuracy": train_accuracy,
            "gradient_norm": gradient_norm, "val_loss": val["loss"],
            "val_accuracy": val["accuracy"], "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip
        score_now = (val["accuracy"], -val["loss"])  # tuples are compared from the left
        if score_now > best["score"]:
            best = {"epoch": epoch, "score": score_now, "weights": ru.snapshot(model)}
        if save_model:
            ru.save_epoch(path, TUTORIAL, about, best, history, model, optimizer)
        ru.print_epoch(history[-1], best["epoch"])
    model.load_state_dict(best["weights"])
    return history, best


# %% [markdown]
# ### The test, and what the network has to beat
# TF-IDF counts the words of a review, and a rare word counts for more than a frequent one.  A
# logistic regression weighs the counts.  Single words know no order at all.  With pairs of
# neighbours, "not good" is a feature of its own.  C (regularisation) is chosen on validation, as
# the epoch is.
# The comparison is not quite even: TF-IDF reads whole reviews, the network cuts a sixth of them.
#
# TF-IDF of words and pairs wins.  Does the order of words not matter?  It does, but most film
# reviews also say their opinion in single words and pairs, many times over.  The embedded reviews
# do not: there "not without charm" is praise and "without charm" is blame.  Run
# `--dataset embedded`, which takes a minute, and compare the same three lines.
# %%
def measure_test(model, test: rt.Split, splits: dict[str, list], epoch: int) -> tuple[dict, dict]:
    """Print and return the scores on test, and {baseline: accuracy}.  Nothing is chosen later."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    methods = {}
    for name, longest in {"TF-IDF of words": 1, "TF-IDF of words and pairs": 2}.items():
        methods[name] = TfidfVectorizer(
            ngram_range=(1, longest), max_features=100_000, sublinear_tf=True, lowercase=False,
            token_pattern="[^ ]+", dtype=np.float32,
        )  # fmt: skip
    baselines, their_right = rb.classifier_baselines(splits, methods)
    logits = predict_logits(model, test)
    scores = rb.classification_scores(two_scores(logits), test.targets)
    right = (logits > 0) == (test.targets > 0)  # (N,)
    interval = rb.paired_interval(right.cpu(), their_right)
    ru.print_test(scores, baselines, "accuracy", f"epoch {epoch}, chosen on validation", interval)
    return {**scores, "minus_tfidf": list(interval)}, baselines


# %% [markdown]
# ## 4. Looking inside
# ### How far back does the gradient reach?
# Read 101 random inputs with a cell that is not trained yet.  How much does the last state
# still depend on the input k steps earlier?
#
# All cells start from the weights that PyTorch draws, but for what the name says: an orthogonal
# W_h and biases of 0 in one RNN, the bias b_f of the forget gate in three LSTMs.  PyTorch itself
# starts near b_f = 0.  On the direct path alone, b_f = 0 would leave 0.5^20, a millionth, after
# 20 steps.  We measure more, because the path through h and the gates adds to it.
#
# "An LSTM remembers" is half of the truth.  The gates make memory possible, and the start of
# training decides whether it is used.  A well started vanilla RNN can remember, too.
# %%
def memory_cells(input_size: int = 16, hidden_size: int = 64) -> dict[str, nn.Module]:
    """Make the cells to compare, by name."""
    cells = {"RNN": nn.RNN(input_size, hidden_size, batch_first=True)}
    cells["RNN, orthogonal"] = nn.RNN(input_size, hidden_size, batch_first=True)
    ru.initialise_recurrent(cells["RNN, orthogonal"])
    cells["GRU"] = nn.GRU(input_size, hidden_size, batch_first=True)
    for forget_bias in (0, 1, 3):
        lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        nn.init.constant_(lstm.bias_ih_l0.data[hidden_size : 2 * hidden_size], forget_bias)
        nn.init.zeros_(lstm.bias_hh_l0.data[hidden_size : 2 * hidden_size])
        cells[f"LSTM, b_f = {forget_bias}"] = lstm
    return cells


def gradient_by_distance(cell: nn.Module, steps: int = 101) -> list[float]:
    """|dL/dx_{T-k}| / |dL/dx_T| for k = 0 ... steps - 1, with L a random projection of h_T."""
    inputs = torch.randn(32, steps, cell.input_size, requires_grad=True)  # (B, T, I)
    states, _ = cell(inputs)  # (B, T, H)
    (states[:, -1] * torch.randn(cell.hidden_size)).sum().backward()
    norms = inputs.grad.norm(dim=2).mean(dim=0)  # (T,)
    return (norms / norms[-1]).flip(0).tolist()


def gradient_lesson(seed: int) -> dict[str, list[float]]:
    """Print how much gradient is left k steps back; return {cell: a value for each k}."""
    print("\nHow much gradient is left, k steps back?  (before training; 1 at k = 0)")
    print(f"  {'':<16}     k = 1    k = 10    k = 20    k = 50   k = 100")
    ru.set_seed(seed)
    gradients = {name: gradient_by_distance(cell) for name, cell in memory_cells().items()}
    for name, left in gradients.items():
        print(f"  {name:<16}" + "".join(f"{left[k]:10.0e}" for k in (1, 10, 20, 50, 100)))
    return gradients


# %% [markdown]
# ### The answer after every word
# What would the network answer if the review ended here?  It needs the running maximum of its
# states, or the last.
# %%
@torch.no_grad()
def read_word_by_word(model, vocab, words: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return P(labels[1]) after each word, (T,), and the states, (T, H)."""
    model.eval()
    indices = torch.tensor([vocab(words)], device=model.output.weight.device)  # (1, T)
    states, _ = model.rnn(model.embedding(indices))  # (1, T, H)
    lengths = torch.arange(1, len(words) + 1, device=indices.device)  # (T,): 1, 2, ...
    # The same states T times over: as a review of one word, of two words, ...
    summaries = model.pool(states.expand(len(words), -1, -1), lengths)  # (T, H)
    return model.output(summaries)[:, 0].sigmoid(), states[0]


def predict(model, about: dict, texts: list[str]) -> dict:
    """Print the answer to each text, and after each of its words; return {text: P(labels[1])}."""
    labels = about["labels"]
    if rt.wants_table(texts):

        def scores_of(known: list[list[str]]) -> torch.Tensor:  # (N, 2)
            return two_scores(predict_logits(model, rt.encode_texts(model, about, known)))

        return rt.print_labels(texts, ru.basic_english, scores_of, labels)
    vocab = ru.Vocab(about["vocab"])
    answers = {}
    for text in rt.texts_asked(texts):
        words = rt.keep_both_ends(read_words(text), about["config"]["max_length"])
        probabilities = read_word_by_word(model, vocab, words)[0].tolist()  # T numbers
        print(f"\nP({labels[1]}) after each word; the network reads <unk> in place of [a word]:")
        for word, index, p in zip(words, vocab(words), probabilities):
            shown = f"[{word}]" if index == ru.UNK else word
            print(f"{shown:>16} {p:.2f} {'#' * round(20 * p)}")
        print(f"{'answer':>16} {labels[int(p > 0.5)]}, P({labels[1]}) = {p:.3f}")
        answers[text] = p
    return answers


# %% [markdown]
# ### The gates over a review
# `nn.LSTM` returns no gates.  But a gate depends on h_{t-1} and x_t only, so with all states known
# one product gives all gates.  `nn.LSTM` stacks the four matrices in the order i, f, c~, o.
# %%
# The review that the figure is drawn from; it is of our own making, and turns.
EXAMPLE = (
    "The start is slow and the plot is thin, but what a wonderful film this turns out to be. "
    "The acting is superb, and in the end I was moved to tears. Not perfect, but a joy."
)


@torch.no_grad()
def gates_over(model, vocab, words: list[str]) -> dict[str, torch.Tensor]:
    """The forget, input and output gate at each word, each (T, H)."""
    _, states = read_word_by_word(model, vocab, words)  # (T, H)
    previous = F.pad(states, (0, 0, 1, 0))[:-1]  # (T, H): h_{t-1}, with h_0 = 0
    embedded = model.embedding(torch.tensor(vocab(words), device=states.device))  # (T, E)
    lstm = model.rnn
    sums = embedded @ lstm.weight_ih_l0.T + lstm.bias_ih_l0  # (T, 4H)
    sums = sums + previous @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
    i_t, f_t, _, o_t = sums.sigmoid().cpu().chunk(4, dim=1)  # (T, H) each
    return {"forget": f_t, "input": i_t, "output": o_t}


def plot_word_by_word(model, vocab, labels, words: list[str], title: str, plt):
    """From above: the answer after each word, the hidden states, and the three gates."""
    probabilities, states = read_word_by_word(model, vocab, words)  # (T,), (T, H)
    units = states.std(dim=0).argsort(descending=True)[:10].tolist()  # those that change most
    figure, panels = plt.subplots(5, 1, figsize=(10, 10.5), sharex=True)
    panels[0].plot(probabilities.cpu(), "o-", ms=3, color=ru.BLUE)
    panels[0].axhline(0.5, color=ru.GREY, linestyle=":")
    panels[0].set(ylim=(0, 1), ylabel=f"P({labels[1]})")
    ru.plot_heatmap(panels[1], states[:, units].T.cpu(), units, words, "state h_t", "RdBu", -1, 1)
    for panel, (name, gate) in zip(panels[2:], gates_over(model, vocab, words).items()):
        ru.plot_heatmap(panel, gate[:, units].T, units, words, f"{name} gate", "viridis", 0, 1)
    for panel in panels[1:]:
        panel.set_ylabel("hidden unit")
    panels[4].tick_params(axis="x", rotation=90)
    figure.suptitle(f"What does the network think after each word?  What do its gates do?{title}")
    return figure


# %% [markdown]
# ## 5. Command line and main
# %%
def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--predict", nargs="+", metavar="TEXT", help="praise or blame?")
    add("--pooling", choices=("max", "last"), default="max", help="see section 2")
    add("--max-length", type=ru.at_least(2), default=400, help="words read of a review")
    add("--accumulate-steps", type=ru.at_least(1), default=1, help="batches per update")
    ru.add_training_flags(
        parser, epochs=5, lr=3e-3, batch_size=64, clip=1, patience=2, hidden_size=64, dropout=0.3
    )
    own = "your own texts with two labels: a table, or a folder of LABEL.txt files"
    ru.add_data_flags(parser, "imdb", own, columns=["text", "label"])
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, threads=2)
    quick = {"dataset": "embedded", "epochs": 4, "hidden_size": 24, "lr": 0.01, "batch_size": 32}
    quick.update(max_examples=800, max_length=120, dropout=0.2, threads=1)
    return ru.parse_arguments(parser, argv, quick)


def build(splits: dict[str, list], hidden_size, dropout, pooling, config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    vocab = build_vocab(splits["train"], config["data"])
    labels = sorted({label for _, label in splits["train"]})
    sizes = {"vocab_size": len(vocab), "hidden_size": hidden_size}
    sizes.update(dropout=dropout, pooling=pooling)
    about = {"config": config, "sizes": sizes, "vocab": vocab.get_itos(), "labels": labels}
    return ReviewClassifier(**sizes), about


def load_model(path) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch."""
    return ru.load_model(path, TUTORIAL, ReviewClassifier, "vocab", "labels", "max_length")


def draw_figures(model, test: rt.Split, about: dict, metrics: dict, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    vocab = ru.Vocab(about["vocab"])
    words = ru.basic_english(EXAMPLE)
    if metrics["dataset"] != "imdb":  # a text of about 30 words that the network can read
        words = min(test.texts, key=lambda text: abs(len(text) - 30))[:60]
    figures = {"word_by_word": plot_word_by_word(model, vocab, about["labels"], words, title, plt)}
    rt.save_figures(figures, metrics, "nats per review", title, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, about, _ = load_model(args.path)
        return predict(model.to(ru.get_device(args.device)), about, args.predict)

    device, config = ru.start_run(args, TUTORIAL, "predict")
    splits, source, embedded = load_reviews(
        args.data, args.columns, args.dataset, args.data_dir, args.offline, args.max_examples,
        args.max_length,
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = load_model(args.path)
    else:
        model, about = build(splits, args.hidden_size, args.dropout, args.pooling, config)
    data = rt.introduce(model.to(device), about, splits, source)
    if not args.eval_only:
        history, best = train(
            model, data["train"], data["val"], args.epochs, args.lr, args.batch_size,
            args.accumulate_steps, args.clip, args.patience, args.seed, about, args.path,
            args.save_model, args.resume,
        )  # fmt: skip
    test, baselines = measure_test(model, data["test"], splits, best["epoch"])
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"]), "baselines": baselines, "test": test,
        "gradient": gradient_lesson(args.seed),
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data["test"], about, metrics, args.output_dir, args.show)
    predict(model, about, args.predict or [])
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--quick`.  Which cells in the table of gradients keep less than a
#    thousandth after 20 steps?  One keeps a third even after 50: is that only good news?
# 2. Change one flag: `--max-examples 3000` with `--pooling last` and with `max`, seeds 0 and 1.  Is
#    the difference larger than that of two seeds?  Then put `nn.RNN` in the place of `nn.LSTM`,
#    without the two lines about biases and with `--no-plots`.  Why does the maximum forgive a cell
#    that forgets?
# 3. Explain a failure: in `ReviewClassifier.pool`, return `states[:, -1]` for "last", and train as
#    in exercise 2.  Nothing crashes, and accuracy hardly falls.  How many steps of padding do state
#    and gradient have to survive, and why so few?  Which tests in tests/test_05_*.py notice?
# 4. Modify the code: a memory task.  Show each cell of `memory_cells` one of 8 symbols, then 20
#    symbols of another alphabet, all one-hot; it shall answer the first.  Which cells are better
#    than chance, 1/8, after 300 updates on batches of 32?  Compare with the table of gradients.
# 5. An open question: put the words of the validation reviews in random order, and evaluate the
#    trained network.  How much is lost?  Does the LSTM ignore order, or do reviews repeat what
#    they say?  Invent a measurement that tells the two apart, for example with `--predict` on
#    pairs like "not bad, good" and "not good, bad".
