"""04_simple_rnn: which of 18 languages does a surname come from?

The question    A name is a sequence of letters.  A network reads one letter at a time and keeps
                a summary of the letters so far in a vector.  Can it name the language?
The number      0.817 of unseen names are right (mean of seeds 0, 1, 2).  Always answering
                "Russian" gets 0.521.  Logistic regression on groups of one to three letters
                gets 0.833, and is slightly ahead.

The vanilla RNN (Elman 1990) with H hidden units, E numbers per letter and L languages:

    h_t = tanh(W_x x_t + W_h h_{t-1} + b)             h_0 = 0
    y   = W_y h_T + b_y                               softmax(y): probabilities

    x_t (E,)  the letter at step t          W_x (H, E)   letter to state
    h_t (H,)  the state after t letters     W_h (H, H)   state to next state
    y   (L,)  one score per language        W_y (L, H)   state to scores

    python 04_simple_rnn.py --epochs 20          # 40 s on a laptop, one core used

    data      names: 20,050 lines, 17,985 different (name, label)
    split     14,387 train, 1,809 val, 1,789 test; no name is in two of them
    epoch   train loss   train accuracy   grad norm   val loss   val accuracy   ...   seconds
        1        1.540            0.560        2.13      0.926          0.729   ...       1.9  *
       17        0.280            0.909        1.23      0.663          0.824   ...       1.5  *
    test      loss 0.6896   accuracy 0.8139   macro f1 0.4699   (epoch 17, chosen on validation)
              accuracy 0.5210   majority label
              accuracy 0.6741   single letters
              accuracy 0.8334   groups of 1 to 3 letters
              network minus groups of 1 to 3 letters: -0.0196
              95 % interval -0.0333 to -0.0058: worse by more than luck

Writes metrics.json and four figures to outputs/04_simple_rnn/; look at letter_by_letter.png first.
With --save-model also models/04_simple_rnn.pt, which then answers alone:

    python 04_simple_rnn.py --path models/04_simple_rnn.pt --predict Trampotova

Next: 05_lstm_sentiment.py reads whole reviews, and this cell would forget their beginning.
"""

from __future__ import annotations

import argparse
import functools
import random
import time
from collections import Counter, defaultdict

import torch
import torch.nn.functional as F
from torch import nn

import rnn_baselines as rb
import rnn_data as rd
import rnn_texts as rt
import rnn_utils as ru

TUTORIAL = "04_simple_rnn"


# %% [markdown]
# ## 1. Data
# A line of the data is a name, and its file says the language.  We fold every name to 29
# characters, a to z, space, `'` and `-`: "Müller" becomes "muller".  Folding costs information
# (an umlaut is German).  It gains a small alphabet, in which every letter occurs often enough
# to be learned.
#
# These names have two traps, and many tutorials fell into them.
#
# - **Repeated lines.**  Arabic lists each of its 108 names 8 to 28 times.  A random split puts
#   the same line into train and test, and the test then measures memory.
# - **One name, several languages.**  477 names have more than one label.  If "abel" is French
#   in train and English in test, the test name was still seen in training.
#
# So we fold first, then remove repeated lines, then split *by name*: all rows of a name go to
# the same side.
# %%
def split_by_name(pairs: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Split distinct (name, label) pairs 80/10/10 into train, val and test, label by label.

    No name is in two splits.  The split does not depend on the seed: a saved model never meets
    its training names in the test of a later run.
    """
    labels_of = defaultdict(list)
    for name, label in sorted(set(pairs)):
        labels_of[name].append(label)
    # A name with several labels counts for its rarest label.  Nearly all Scottish names are
    # English as well, and the test should hold some names of every label.
    frequency = Counter(label for labels in labels_of.values() for label in labels)
    names_of = defaultdict(list)
    for name, labels in labels_of.items():
        names_of[min(labels, key=frequency.get)].append(name)

    rng = random.Random(0)
    splits = {"train": [], "val": [], "test": []}
    for label in sorted(names_of):
        names = names_of[label]
        rng.shuffle(names)
        tenth = max(1, round(len(names) / 10))
        parts = ["test"] * tenth + ["val"] * tenth + ["train"] * (len(names) - 2 * tenth)
        for name, part in zip(names, parts):
            splits[part].extend((name, label) for label in labels_of[name])
    return splits


# %% [markdown]
# ### From letters to numbers
# A vocabulary numbers the letters, the most frequent first: "abe" -> [2, 18, 4].  Short names are
# padded with 0 up to the longest, so that all names form one rectangle, and `lengths` keeps where
# each name ends.  The whole data set fits in memory: a batch is a few rows of a tensor.  `rt.Split`
# is a tuple with names for its parts: `texts`, `inputs`, `lengths` and `targets`.
# %%
def encode(pairs: list[tuple[str, str]], vocab: ru.Vocab, labels: list[str], device) -> rt.Split:
    """Turn N (name, label) pairs into tensors."""
    names = [name for name, _ in pairs]
    inputs, lengths = ru.pad_batch([vocab(name) for name in names])  # (N, T) indices, and (N,)
    targets = torch.tensor([labels.index(label) for _, label in pairs])  # (N,) label indices
    return rt.Split(names, inputs.to(device), lengths.to(device), targets.to(device))


# %% [markdown]
# ## 2. Model
# ### The cell
# A vanilla RNN differs from a feed-forward layer in one term: the state of the step before is
# an input of this step.
#
#     h_t = tanh(W_x x_t + W_h h_{t-1} + b)
#
# The same W_x, W_h and b serve every step.  The cell has no weights "for letter 3", so a name
# may have any length.  Every name starts from h_0 = 0: nothing is carried over from the name
# before.
#
# W_h multiplies the state at every letter.  If it makes vectors a little shorter, it does so T
# times.  We let it start orthogonal.  Such a matrix turns a vector and does not change its length,
# so more of the first letter is left in the last state (Saxe et al. 2014).
#
# PyTorch's `nn.RNN` computes the same (the tests compare outputs and gradients).
# %%
class HandWrittenRNN(nn.Module):
    """A one-layer tanh RNN with the interface of nn.RNN(batch_first=True).

    forward: (B, T, E) -> every state (B, T, H), and the last state (1, B, H).
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.W_x = nn.Linear(input_size, hidden_size)
        # No bias here: W_x carries the single b.  (nn.RNN has two biases; only their sum counts.)
        self.W_h = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.orthogonal_(self.W_h.weight)
        nn.init.zeros_(self.W_x.bias)

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


# %% [markdown]
# ### The classifier
# The RNN turns a name of any length into one vector, h_T.  A linear layer turns that vector
# into 18 scores.  There is no softmax in the model: the loss applies it to the scores (called
# logits), which is numerically safer.
#
# The letters come in as indices.  An embedding is a table with one row of E numbers per letter,
# learned like any other weight; x_t is the row of letter t.
#
# **Pitfall.**  For all names but the longest, `states[:, -1]` is the state *after the padding*, and
# so is the second result of the RNN.  Read each name's state at its own last letter.  (Chapter 02
# shows packing, another way out.)
# %%
class NameClassifier(nn.Module):
    """Embedding -> RNN -> state at the last letter -> one score per language.

    vocab_size       letters, and two more: padding (index 0) and the unknown letter
    num_labels       L, languages to choose from
    hidden_size      H, numbers in the state
    dropout          the share of h_T that is set to 0, at random, anew for each batch of training
    embedding_size   E, numbers per letter
    """

    def __init__(self, vocab_size, num_labels, hidden_size=256, dropout=0.5, embedding_size=64):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        self.rnn = HandWrittenRNN(embedding_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, num_labels)  # W_y and b_y

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T) letters and (B,) lengths -> (B, L) logits."""
        states, _ = self.rnn(self.embedding(inputs))  # (B, T, H)
        # Row 0 at its last letter, row 1 at its last letter, ...: two lists of B indices.
        rows = torch.arange(len(lengths), device=lengths.device)
        last = states[rows, lengths - 1]  # (B, H)
        return self.output(self.dropout(last))  # (B, L)


# %% [markdown]
# ## 3. Training and evaluation
# ### One epoch
# Six lines are the heart of every training loop in this course:
#
# 1. `logits = model(...)`: the scores.
# 2. `loss = F.cross_entropy(...)`: the mean of -log p(true label).  With the natural logarithm
#    its unit is called nat.
# 3. `optimizer.zero_grad()`: forget the gradient of the batch before.  Without this line,
#    PyTorch adds the new gradient to the old one.
# 4. `loss.backward()`: the gradient of the loss for every weight.
# 5. `clip_gradients`: a gradient longer than `clip` is scaled down to that length, so that no
#    batch can move the weights far.  We log the length before clipping.
# 6. `optimizer.step()`: change the weights.
#
# The learning rate rises over the first tenth of all steps and then falls to 0.  The schedule
# depends on the total number of steps, so runs with different `--epochs` differ from epoch 1.
# %%
def train_epoch(
    model, split: rt.Split, sampler, optimizer, epoch: int, epochs: int, lr: float, clip: float
) -> tuple[float, float, float]:
    """Train on every name once; return the mean loss, the accuracy and the mean gradient norm."""
    model.train()
    sampler.set_epoch(epoch)
    total_steps = epochs * len(sampler)
    step = (epoch - 1) * len(sampler)
    loss_sum = 0.0
    num_correct = 0
    norm_sum = 0.0
    for rows in ru.progress(sampler, desc=f"epoch {epoch}"):
        # Names of similar length share a batch; cut away the padding that they do not need.
        lengths = split.lengths[rows]  # (B,)
        targets = split.targets[rows]  # (B,)
        inputs = split.inputs[rows, : lengths.max()]  # (B, T)
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, lr)

        logits = model(inputs, lengths)  # (B, L)
        loss = F.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item() * len(rows)
        num_correct += (logits.argmax(dim=1) == targets).sum().item()
    ru.check_finite(loss_sum, epoch)
    num_names = len(split.texts)
    return loss_sum / num_names, num_correct / num_names, norm_sum / len(sampler)


# %% [markdown]
# ### Evaluation
# `eval()` turns dropout off, and `no_grad()` stops recording operations for backward.  Without
# the first, the measured accuracy is random and too low.  Without the second, evaluation costs
# more memory and time.
#
# Half of the names are Russian, one in 250 is Vietnamese, and accuracy hardly notices the rare
# ones.  Macro-F1 does: it is the F1 score (the harmonic mean of precision and recall) of each
# language alone, and then the plain mean of the 18 values.
# %%
@torch.no_grad()
def predict_logits(model, split: rt.Split, batch_size: int = 512) -> torch.Tensor:
    """Return the logits (N, L) of a split, with dropout off."""
    model.eval()
    batches = zip(split.inputs.split(batch_size), split.lengths.split(batch_size))
    return torch.cat([model(inputs, lengths) for inputs, lengths in batches])


def evaluate(model, split: rt.Split) -> dict[str, float]:
    """Measure loss (nats per name), accuracy and macro-F1 of a model on a split."""
    return rb.classification_scores(predict_logits(model, split), split.targets)


# %% [markdown]
# ### The training loop
# After each epoch the model answers the validation names, which it does not learn from.  Late in
# the training the training loss still falls and validation does not: from there on, the network
# memorises the training names.  So we keep the weights of the best validation epoch (marked `*`),
# and stop after `patience` epochs without a better one.  "Best" is by accuracy, because accuracy
# is the measure that we report; the loss may prefer another epoch.  The test names take no part.
#
# At first, training looks worse than validation: its figures are averages over an epoch in which
# the weights still change, with dropout on.  Validation comes afterwards, with dropout off.
# %%
def train(
    model, train_split: rt.Split, val_split: rt.Split, epochs: int, lr: float, batch_size: int,
    clip: float, patience: int, seed: int, about: dict, path=None, save_model=False, resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`, and leave `model` with the weights of the best epoch.

    Returns the history and the best epoch.  With `save_model`, everything is saved at `path`
    after each epoch, together with `about`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    sampler = ru.BucketBatchSampler(train_split.lengths.cpu(), batch_size, seed=seed)
    history = []
    best = {"epoch": 0, "accuracy": -1.0}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "accuracy")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no better validation accuracy for {patience} epochs")
            break
        started = time.perf_counter()
        train_loss, train_accuracy, gradient_norm = train_epoch(
            model, train_split, sampler, optimizer, epoch, epochs, lr, clip
        )
        val = evaluate(model, val_split)
        history.append({
            "epoch": epoch, "train_loss": train_loss, "train_accuracy": train_accuracy,
            "gradient_norm": gradient_norm, "val_loss": val["loss"],
            "val_accuracy": val["accuracy"], "val_macro_f1": val["macro_f1"],
            "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip
        if val["accuracy"] > best["accuracy"]:
            best = {"epoch": epoch, "accuracy": val["accuracy"], "weights": ru.snapshot(model)}
        if save_model:
            ru.save_epoch(path, TUTORIAL, about, best, history, model, optimizer)
        ru.print_epoch(history[-1], best["epoch"])
    model.load_state_dict(best["weights"])
    return history, best


# %% [markdown]
# ### The test, and what the network has to beat
# Always giving the most frequent label shows what an answer without looking is worth.  Logistic
# regression is a network without a hidden layer, softmax(W counts + b).  Counts of single letters
# know no order at all.  Counts of groups of one to three letters know "sch" and a final "ski".  The
# strength of regularisation is chosen on validation, as the network's epoch is.
#
# On names the groups win: nearly all there is to know stands within three letters, and with 14,000
# names to learn from, ready-made groups are easier to use than groups that must be discovered.
# Accuracies on 1,789 names also differ by luck: where the interval of the difference contains 0,
# neither method is shown to be better.
# %%
def measure_test(model, test: rt.Split, splits: dict[str, list], epoch: int) -> tuple[dict, dict]:
    """Print and return the scores on test, and {baseline: accuracy}.  Nothing is chosen later."""
    from sklearn.feature_extraction.text import CountVectorizer

    letters = CountVectorizer(analyzer="char", lowercase=False)
    # "^" and "$" mark the ends of a name, so that a final "ov$" differs from "ov" within.
    marked = "^{}$".format
    groups = CountVectorizer(analyzer="char", ngram_range=(1, 3), preprocessor=marked)
    methods = {"single letters": letters, "groups of 1 to 3 letters": groups}
    baselines, their_right = rb.classifier_baselines(splits, methods)
    logits = predict_logits(model, test)
    scores = rb.classification_scores(logits, test.targets)
    right = logits.argmax(dim=1) == test.targets
    interval = rb.paired_interval(right.cpu(), their_right)
    ru.print_test(scores, baselines, "accuracy", f"epoch {epoch}, chosen on validation", interval)
    return {**scores, "minus_groups": list(interval)}, baselines


# %% [markdown]
# ## 4. Looking inside
# ### Back-propagation through time
# It is the chain rule along the sequence.  For one unit, h_t = tanh(w h_{t-1} + x_t), each step
# contributes one factor:
#
#     dh_t / dh_{t-1} = w (1 - h_t^2)             because tanh'(a) = 1 - tanh(a)^2
# %%
def bptt_by_hand(w: float = 1.2, inputs: tuple[float, ...] = (0.5, -0.3, 0.8)) -> list[float]:
    """Print the factors of dh_3/dh_0 for one unit, and compare their product with autograd."""
    print(f"\nBack-propagation through time, h_t = tanh(w h_(t-1) + x_t) with w = {w}")
    h_0 = torch.zeros((), dtype=torch.float64, requires_grad=True)
    h_t = h_0
    factors = []
    for t, x_t in enumerate(inputs, start=1):
        h_t = torch.tanh(w * h_t + x_t)
        factors.append(w * (1 - h_t.item() ** 2))
        print(f"  t={t}  x={x_t:+.1f}  h={h_t.item():+.4f}  factor w(1 - h^2) = {factors[-1]:.4f}")
    product = torch.tensor(factors, dtype=torch.float64).prod().item()
    h_t.backward()
    print(f"  product = dh_3/dh_0 = {product:.6f}, and autograd says {h_0.grad.item():.6f}")
    return factors


# %% [markdown]
# ### Vanishing and exploding gradients
# The product of 50 factors that are nearly equal behaves like w^50.  In a network w is the matrix
# W_h, and its spectral radius (its largest |eigenvalue|) says by how much one step can stretch a
# vector.
#
# - Radius below 1: every step shrinks the gradient, and it vanishes.
# - Radius above 1: the gradient grows while the states are small.  Where a state is near +1 or
#   -1, the factor 1 - h^2 is near 0 and holds it back.
#
# Clipping limits a gradient that explodes.  It cannot bring back one that has vanished.  Our names
# have about seven letters, and our W_h starts with radius 1: here neither does harm.
# %%
def gradient_lesson(steps: int = 50, hidden_size: int = 32) -> dict[float, list[float]]:
    """Print |dL/dh_t| for t = 1 ... steps in untrained RNNs; return {spectral radius: norms}.

    The loss L is the sum of the last state, so |dL/dh_50| is sqrt(32) for 32 units.  The inputs
    are small random numbers.
    """
    print(f"\nThe same over {steps} steps, by spectral radius of W_h (untrained, small inputs)")
    print("  radius   |dL/dh_50|   |dL/dh_1|   |dL/dW_h| (clipping scales it to 1 at most)")
    norms = {}
    for radius in (0.5, 1.0, 1.5):
        generator = torch.Generator().manual_seed(0)
        orthogonal, _ = torch.linalg.qr(torch.randn(hidden_size, hidden_size, generator=generator))
        W_h = (radius * orthogonal).requires_grad_()  # every eigenvalue has |.| = radius
        states = [torch.zeros(hidden_size)]
        for _ in range(steps):
            x_t = 1e-3 * torch.randn(hidden_size, generator=generator)
            states.append(torch.tanh(W_h @ states[-1] + x_t))
        gradients = torch.autograd.grad(states[-1].sum(), [W_h, *states[1:]])
        norms[radius] = [float(gradient.norm()) for gradient in gradients[1:]]
        of_weights = float(gradients[0].norm())
        first = norms[radius][0]
        last = norms[radius][-1]
        print(f"  {radius:6.1f}   {last:10.1e}   {first:9.1e}   {of_weights:9.1e}")
    return norms


# %% [markdown]
# ### The answer after every letter
# There is a state after each letter, so we can ask after each one: which language, if the name
# ended here?  Put every state, not only the last, through the output layer.
#
# **Pitfall.**  The network has learned from whole names only.  After one or two letters its
# answer is worth little, even at a high probability: hardly any name in training ends there.
# %%
@torch.no_grad()
def read_letter_by_letter(model, vocab, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states (T, H) and the label probabilities (T, L) after each letter."""
    model.eval()
    letters = torch.tensor([vocab(name)], device=model.output.weight.device)  # (1, T)
    states, _ = model.rnn(model.embedding(letters))  # (1, T, H)
    probabilities = model.output(states[0]).softmax(dim=1)  # (T, L)
    return states[0].cpu(), probabilities.cpu()


def predict(model, about: dict, texts: list[str]) -> dict[str, dict]:
    """Print the best labels after each letter of each name; return {text: {label: probability}}."""
    labels = about["labels"]
    if rt.wants_table(texts):
        read = functools.partial(read_name, folded=about["folded"])

        def logits_of(names: list[str]) -> torch.Tensor:  # (N, L)
            return predict_logits(model, rt.encode_texts(model, about, names, encode))

        return rt.print_labels(texts, read, logits_of, labels)
    width = max(len(label) for label in labels)
    answers = {}
    for text in rt.texts_asked(texts):
        name = read_name(text, about["folded"])
        if not name:
            raise ru.UserError(
                f"no letter from a to z in the name {text!r}; write it in Latin letters"
            )
        _, probabilities = read_letter_by_letter(model, ru.Vocab(about["vocab"]), name)  # (T, L)
        print(f"\n{name}")
        for t, row in enumerate(probabilities.tolist(), start=1):
            ranked = sorted(zip(row, labels), reverse=True)[:3]
            share, best_label = ranked[0]
            bar = "#" * round(20 * share)
            others = ", ".join(f"{label} {share:.0%}" for share, label in ranked[1:])
            beginning = f"{name[:t].replace(' ', '_'):<{len(name)}}"
            print(f"  {beginning}  {best_label:<{width}} {share:4.0%} {bar:<20}  {others}")
        answers[text] = dict(zip(labels, probabilities[-1].tolist()))
    return answers


def plot_letter_by_letter(model, vocab, labels, names: list[str], title: str, plt):
    """Above: the answer after each letter.  Below: the hidden units that move most."""
    figure, grid = plt.subplots(2, len(names), figsize=(3.4 * len(names), 6), squeeze=False)
    for column, name in enumerate(names):
        states, probabilities = read_letter_by_letter(model, vocab, name)  # (T, H), (T, L)
        top = probabilities.max(dim=0).values.argsort(descending=True)[:6].tolist()
        units = states.std(dim=0).argsort(descending=True)[:12].tolist()
        top_labels = [labels[index] for index in top]
        above, below = grid[:, column]
        answers = probabilities[:, top].T  # (6, T)
        ru.plot_heatmap(above, answers, top_labels, name, "probability", "Blues", 0, 1)
        ru.plot_heatmap(below, states[:, units].T, units, name, "state h_t", "RdBu", -1, 1)
        above.set_title(name)
        below.set(xlabel="letter read", ylabel="hidden unit")
    figure.suptitle(f"What does the network think after each letter?{title}")
    return figure


def plot_gradients(lesson: dict, plt):
    figure, axes = plt.subplots(figsize=(5.5, 3.8))
    for radius, norms in lesson.items():
        axes.plot(range(1, len(norms) + 1), norms, label=f"spectral radius {radius}")
    axes.set(yscale="log", xlabel="step t", ylabel="|dL/dh_t|")
    axes.set_title("How much gradient reaches the first of 50 steps?")
    axes.legend()
    return figure


# %% [markdown]
# ## 5. Command line and main
# %%
def read_name(text: str, folded: bool) -> str:
    """The letters of a name as the network reads them; none may be left."""
    return rd.fold_to_ascii(text) if folded else " ".join(text.split())


def load_names(data, columns, folded, dataset, data_dir, offline, max_examples):
    """Load and split the names of the user's `data`, else of the data set.

    Your own names may be a folder with one file per label (plants/Tree.txt, plants/Herb.txt,
    one name a line) or a table.  Their letters stay as they are, in any script:

        text,label
        oak,Tree
        dill,Herb

    Returns ({"train", "val", "test": (name, label) pairs}, the source, whether it is embedded).
    """
    if data:
        rows = rd.read_labelled_texts(data, columns)
        source, embedded = data, False
    else:
        rows, source, embedded = rd.load_dataset("names", dataset, data_dir, offline)
    pairs = sorted({(read_name(text, folded), label) for text, label in rows})
    pairs = [(name, label) for name, label in pairs if name]
    print(f"{'data':<10}{source}: {len(rows):,} lines, {len(pairs):,} different (name, label)")
    rt.check_counts(pairs, source)
    splits = split_by_name(rt.thin_out(pairs, max_examples))
    sizes = ", ".join(f"{len(part_pairs):,} {part}" for part, part_pairs in splits.items())
    print(f"{'split':<10}{sizes}; no name is in two of them")
    return splits, source, embedded


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--predict", nargs="+", metavar="NAME", help="where is it from?")
    ru.add_training_flags(
        parser, epochs=20, lr=2e-3, batch_size=64, clip=1, patience=6, hidden_size=256, dropout=0.5
    )
    own = "your own names: a table, or a folder of LABEL.txt files"
    ru.add_data_flags(parser, "names", own, columns=["text", "label"])
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser)
    quick = {"dataset": "embedded", "epochs": 2, "hidden_size": 32, "max_examples": 2000}
    return ru.parse_arguments(parser, argv, quick)


def build(splits: dict[str, list], hidden_size: int, dropout: float, config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    # A name is its letters.  A letter that occurs once becomes <unk>, so that <unk> is trained.
    vocab = ru.Vocab.build([name for name, _ in splits["train"]], min_freq=2)
    labels = sorted({label for pairs in splits.values() for _, label in pairs})
    sizes = {"vocab_size": len(vocab), "num_labels": len(labels)}
    sizes.update(hidden_size=hidden_size, dropout=dropout)
    about = {"config": config, "sizes": sizes, "vocab": vocab.get_itos(), "labels": labels}
    about["folded"] = config["data"] is None
    return NameClassifier(**sizes), about


def load_model(path) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch."""
    return ru.load_model(path, TUTORIAL, NameClassifier, "vocab", "labels", "folded")


def draw_figures(model, test: rt.Split, about: dict, metrics: dict, lesson, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    vocab = ru.Vocab(about["vocab"])
    labels = about["labels"]
    predicted = predict_logits(model, test).argmax(dim=1)
    right = (predicted == test.targets).tolist()
    names = [name for name, is_right in zip(test.texts, right) if is_right and 6 <= len(name) <= 10]
    figures = {
        "letter_by_letter": plot_letter_by_letter(model, vocab, labels, names[:3], title, plt),
        "confusion_matrix": rt.plot_confusion(test.targets.cpu(), predicted.cpu(), labels, title),
        "gradients": plot_gradients(lesson, plt),
    }
    rt.save_figures(figures, metrics, "nats per name", title, folder, show)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, about, _ = load_model(args.path)
        return predict(model.to(ru.get_device(args.device)), about, args.predict)

    device, config = ru.start_run(args, TUTORIAL, "predict")
    splits, source, embedded = load_names(
        args.data, args.columns, config["data"] is None, args.dataset, args.data_dir,
        args.offline, args.max_examples,
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = load_model(args.path)
    else:
        model, about = build(splits, args.hidden_size, args.dropout, config)
    data = rt.introduce(model.to(device), about, splits, source, encode, gap="")
    if not args.eval_only:
        history, best = train(
            model, data["train"], data["val"], args.epochs, args.lr, args.batch_size, args.clip,
            args.patience, args.seed, about, args.path, args.save_model, args.resume,
        )  # fmt: skip
    test, baselines = measure_test(model, data["test"], splits, best["epoch"])
    bptt_by_hand()
    lesson = gradient_lesson()
    metrics = ru.write_metrics(args, TUTORIAL, source, embedded, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"]), "baselines": baselines, "test": test,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data["test"], about, metrics, lesson, args.output_dir, args.show)
    predict(model, about, args.predict or [])
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--hidden-size 16`.  How many parameters are left, and how much accuracy
#    goes with the rest?
# 2. Change one flag: `--epochs 60 --patience 0`.  Look at training_curves.png: from which epoch
#    on does the network only memorise, and which curve shows it first?
# 3. Explain a failure: in `NameClassifier.forward` read `states[:, -1]` instead.  Pad one name
#    to 10 and to 20 letters and compare its logits.  (To import the script in Python, write
#    `importlib.import_module("04_simple_rnn")`.)  Then run `python -m pytest
#    tests/test_04_simple_rnn.py -k "padding or last_letter"` (once before: `pip install -r
#    tests/requirements.txt`): two tests notice.  What does each of them compare?
# 4. Modify the code: in `HandWrittenRNN`, give `orthogonal_` a gain of 0.5, then of 3, and train
#    with `--epochs 1`.  Why does 3 harm the loss, and why does 0.5 hardly, with names so short?
#    Then use `nn.RNN(embedding_size, hidden_size, batch_first=True)` in its place, and after it
#    nn.GRU (chapter 06): which of them changes the accuracy, and which only the time?
# 5. An open question: "Abel" belongs to five languages in these data, and each name counts once
#    per language.  What is the best accuracy that any classifier can reach on such names, and
#    what would you report in place of accuracy?
