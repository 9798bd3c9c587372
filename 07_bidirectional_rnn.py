"""07_bidirectional_rnn: what does it change to read from both ends?

The question    A text is there as a whole before we answer.  Why should a network know, at each
                word, only the words before it?
The number      0.886 of TREC's test questions are right (mean of seeds 0 to 4).  Logistic
                regression on words and pairs of words gets 0.892: no difference is shown.
Misconceptions  "`states[:, -1]` sums up the text."  Its backward half has read one word, and in
                a batch it is padding (0.258 below, no better than a guess).
                "Two directions are always better."  *Inside* a text, one may know nothing: see
                forward at the blank, below.  Over a whole text each has read everything: forward
                alone gets 0.886 (exercise 2), both 0.882.  And the backward one needs the end of
                the text: a forecast or a text in the making (chapters 06 and 10) has none.

    h_t^f = LSTM_f(x_t, h_{t-1}^f)    t = 1 ... T     forward: the LSTM of chapter 05
    h_t^b = LSTM_b(x_t, h_{t+1}^b)    t = T ... 1     backward: the text turned around
    h_t   = [h_t^f ; h_t^b]                           both (c_t is carried along likewise)
    y     = W max_t h_t + b                           softmax(y): probabilities

    x_t (E,) word t      h_t^f, h_t^b (H,) states      y (L,) one score per label

    python 07_bidirectional_rnn.py --lesson direction     # first; 15 s of one core

    lesson    states[:, -1]  both               0.258   (test accuracy)
              at the blank   forward            0.233
              at the blank   backward           1.000
              at the blank   both               1.000
              always the same answer            0.255

    python 07_bidirectional_rnn.py --epochs 15            # 27 s of one core

    test      loss 0.4119   accuracy 0.8820   macro f1 0.8683   (epoch 11, chosen on validation)
              accuracy 0.1880   majority label
              accuracy 0.8920   words and pairs, logistic regression
              network minus words and pairs, logistic regression: -0.0100
              95 % interval -0.0363 to +0.0163: no difference is shown

They write metrics.json and figures to outputs/07_bidirectional_rnn/ and to lesson/ in it: look at
direction.png and word_by_word.png.  A model that --save-model has written answers alone:

    python 07_bidirectional_rnn.py --path models/07_bidirectional_rnn.pt --predict "Who is Popeye?"

Next: 08_seq2seq_basic.py, where the answer is a sequence as well.
"""

from __future__ import annotations

import argparse
import functools
import time

import torch
import torch.nn.functional as F
from torch import nn

import rnn_baselines as rb
import rnn_texts as rt
import rnn_utils as ru

TUTORIAL = "07_bidirectional_rnn"


# %% [markdown]
# ## 1. Data
# TREC holds short questions.  We are asked for the class of the answer, one of six:
#
# - ABBR, an abbreviation: "what does inri stand for when used on jesus ' cross ?"
# - DESC, a description: "why do heavier objects travel downhill faster ?"
# - ENTY, a thing: "what articles of clothing are tokens in monopoly ?"
# - HUM, a person or a group: "who was the pride of the yankees ?"
# - LOC, a place: "where do the adventures of `` the swiss family robinson ' ' take place ?"
# - NUM, a number or a date: "when was ozzy osbourne born ?"
#
# There are 500 test questions.  Copies of them in train are left out, or the test would measure
# memory.  A twentieth of each class in train is set aside for validation.  (`--dataset imdb` reads
# film reviews, and of a long one its first and last `max_length / 2` words.)
#
# ### From words to numbers
# As in chapter 05, a vocabulary numbers the words, and the N texts of a split become tensors:
#
#     inputs    (N, T)   word indices, padded with 0 at the end
#     lengths   (N,)     words in each text
#     targets   (N,)     label indices
# %%
def read_words(text: str, source: str) -> list[str]:
    """The words of a text in lower case; UserError, naming the source, where there are none."""
    words = ru.basic_english(text)
    if not words:
        raise ru.UserError(f"{source}: no word in {text[:40]!r}; every text needs at least one")
    return words


def load_texts(data, columns, dataset, data_dir, offline, max_examples, max_length):
    """Load and split the texts of the user's `data`, else of the data set.

    Your own texts are a table, or a folder with a file per label (LABEL.txt, one text a line):

        text,label
        where is the bus stop,place
        "when does it leave, today?",time

    Returns ({"train", "val", "test": (words, label) pairs}, the source, whether it is embedded).
    """
    name = "imdb" if dataset == "imdb" else "trec"
    read = functools.partial(read_words, source=data)
    splits, source, embedded = rt.load_texts(name, read, data, columns, dataset, data_dir, offline)
    splits = {part: rt.thin_out(pairs, max_examples) for part, pairs in splits.items()}
    rt.hold_out(splits, source, test=0.1, val=0.05)
    num_cut = 0
    for part, pairs in splits.items():
        num_cut += sum(len(words) > max_length for words, _ in pairs)
        splits[part] = [(rt.keep_both_ends(words, max_length), label) for words, label in pairs]
    sizes = ", ".join(f"{len(splits[part]):,} {part}" for part in ("train", "val", "test"))
    print(f"{'data':<10}{source}: {sizes}; {num_cut:,} texts cut to {max_length} words")
    return splits, source, embedded


# %% [markdown]
# ## 2. Model
# ### Two LSTMs that read towards each other
# The LSTM of chapter 05 knows, at word t, the words 1 to t.  A second LSTM with weights of its
# own reads the text from its end, and knows the words T to t.  Together they know the whole text.
#
#     h_t^f = LSTM_f(x_t, h_{t-1}^f)    t = 1 ... T     forward
#     h_t^b = LSTM_b(x_t, h_{t+1}^b)    t = T ... 1     backward
#     h_t   = [h_t^f ; h_t^b]                           both, one vector of 2 H numbers
#
# The backward LSTM is an ordinary LSTM.  We turn the text around, let the LSTM read it, and turn
# its states around again, so that state t stands at word t.
#
# **Pitfall.**  `inputs.flip(1)` puts the padding *first*, and the backward LSTM starts on it.  Turn
# each text around within its own length.  (nn.LSTM with `bidirectional=True` does not know the
# lengths either.  In a batch with padding it needs the packed sequences of chapter 02.)
# %%
def reverse(inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Turn each sequence of (B, T, I) around within its length; padding stays at the end."""
    steps = torch.arange(inputs.shape[1], device=inputs.device)  # (T,)
    source = lengths[:, None] - 1 - steps  # (B, T): the step that comes to t
    # At padding it is below 0.  Such an index counts from the end: padding comes from padding.
    rows = torch.arange(len(inputs), device=inputs.device)[:, None]  # (B, 1)
    return inputs[rows, source]  # (B, T, I)


class BidirectionalLSTM(nn.Module):
    """LSTM layers that read forward, backward, or both ways; padding changes no state.

    input_size    I, numbers per word
    hidden_size   H, numbers in the state of each direction
    num_layers    layers; each reads the states of the layer below
    dropout       the share of those states that training sets to 0
    direction     "forward", "backward" or "both": D = 1 or 2 directions

    forward: (B, T, I) and lengths (B,) -> states (B, T, D * H), 0 at padding.
    """

    def __init__(self, input_size, hidden_size, num_layers=1, dropout=0.0, direction="both"):
        super().__init__()
        self.directions = ("forward", "backward") if direction == "both" else (direction,)
        self.lstms = nn.ModuleDict()  # "0 forward", "0 backward", "1 forward", ...
        for layer in range(num_layers):
            for name in self.directions:
                lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
                ru.initialise_recurrent(lstm)  # orthogonal W_h, open forget gates
                self.lstms[f"{layer} {name}"] = lstm
            input_size = len(self.directions) * hidden_size  # of the next layer
        self.num_layers = num_layers
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        for layer in range(self.num_layers):
            if layer > 0:
                inputs = self.dropout(inputs)
            halves = []
            for name in self.directions:
                lstm = self.lstms[f"{layer} {name}"]
                if name == "forward":
                    states, _ = lstm(inputs)  # (B, T, H)
                else:
                    states, _ = lstm(reverse(inputs, lengths))
                    states = reverse(states, lengths)  # (B, T, H), state t at word t again
                halves.append(states)
            inputs = torch.cat(halves, dim=2)  # (B, T, D * H)
        mask = ru.lengths_to_mask(lengths, inputs.shape[1])  # (B, T)
        return inputs.masked_fill(~mask[:, :, None], 0.0)


# %% [markdown]
# ### From T states to one vector
# Two states have read the whole text: the *last* one of the forward LSTM, and the *first* one of
# the backward LSTM.  We use all states: for each of the 2 H numbers, take the maximum over the
# words.  A unit that found something, anywhere in the text, is then heard.
#
# **Pitfall.**  Many tutorials read `states[:, -1]`.  At the last word, the backward LSTM has read
# a single word.  And in a batch, the last column is padding for all texts but the longest, so that
# their summary is empty.
#
# nn.Embedding starts with random numbers of size 1.  A word that training meets twice hardly moves
# from there.  Start the vectors small, so that training soon outweighs the random initial values.
# %%
class TextClassifier(nn.Module):
    """Embedding -> dropout -> bidirectional LSTM -> pooling -> dropout -> one score per label.

    vocab_size       words, and two more: padding and the unknown word
    num_labels       L, labels to choose from
    dropout          the share of numbers that training sets to 0, other ones each time
    embedding_size   E, numbers per word; the others are those of BidirectionalLSTM
    """

    def __init__(
        self, vocab_size, num_labels, hidden_size=64, num_layers=1, dropout=0.5, direction="both",
        embedding_size=100,
    ):  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        self.embedding.weight.data *= 0.1
        self.lstm = BidirectionalLSTM(embedding_size, hidden_size, num_layers, dropout, direction)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(len(self.lstm.directions) * hidden_size, num_labels)  # W and b

    def read(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T) words and (B,) lengths -> the states (B, T, D * H)."""
        embedded = self.embedding(inputs)  # (B, T, E)
        return self.lstm(self.dropout(embedded), lengths)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T) words and (B,) lengths -> logits (B, L)."""
        states = self.read(inputs, lengths)  # (B, T, D * H)
        mask = ru.lengths_to_mask(lengths, inputs.shape[1])  # (B, T), False at padding
        # Padding is never the maximum.  The summary is (B, D * H).
        summary = states.masked_fill(~mask[:, :, None], float("-inf")).max(dim=1).values
        return self.output(self.dropout(summary))  # (B, L)


# %% [markdown]
# ## 3. Training and evaluation
# ### One epoch
# The six lines of chapter 04, with two additions.
#
# - **Accumulated gradients**, as in chapter 05.  `--batch-size 16 --accumulate-steps 4` makes the
#   update of `--batch-size 64`, from the gradients of four small batches.
# - **Label smoothing** (Szegedy et al. 2016).  All labels share a tenth of the target.  So the
#   network need not become ever surer of questions that it has learned by heart.  The loss that we
#   report is without it, as in validation.
# %%
def train_epoch(
    model, split: rt.Split, sampler, optimizer, epoch: int, epochs: int, lr, batch_size: int, clip
) -> tuple[float, float]:
    """Train on every text once; return the mean loss and the accuracy."""
    model.train()
    sampler.set_epoch(epoch)
    step = (epoch - 1) * len(sampler)
    loss_sum = 0.0
    num_correct = 0
    for rows in ru.progress(sampler, desc=f"epoch {epoch}"):
        # The texts of one update; the model reads `batch_size` of them at a time.
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, epochs * len(sampler), lr)
        optimizer.zero_grad()
        for part in torch.tensor(rows).split(batch_size):
            lengths = split.lengths[part]  # (B,)
            targets = split.targets[part]  # (B,)
            inputs = split.inputs[part, : lengths.max()]  # (B, T)
            logits = model(inputs, lengths)  # (B, L)
            loss = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=0.1)
            (loss / len(rows)).backward()
            loss_sum += F.cross_entropy(logits.detach(), targets, reduction="sum").item()
            num_correct += (logits.argmax(dim=1) == targets).sum().item()
        ru.clip_gradients(model.parameters(), clip)
        optimizer.step()
        step += 1
    ru.check_finite(loss_sum, epoch)
    return loss_sum / len(split.texts), num_correct / len(split.texts)


# %% [markdown]
# ### Evaluation
# ABBR has one question in sixty, and accuracy hardly notices it.  Macro-F1 does: it is the mean of
# the F1 scores of the labels, each with the same weight (chapter 04).
# %%
@torch.no_grad()
def predict_logits(model, split: rt.Split, batch_size: int = 256) -> torch.Tensor:
    """Return the logits (N, L) of a split, with dropout off."""
    model.eval()
    batches = zip(split.inputs.split(batch_size), split.lengths.split(batch_size))
    return torch.cat([model(inputs, lengths) for inputs, lengths in batches])


def evaluate(model, split: rt.Split) -> dict[str, float]:
    """Measure loss (nats per text), accuracy and macro-F1 of a model on a split."""
    return rb.classification_scores(predict_logits(model, split), split.targets)


# %% [markdown]
# ### The training loop
# We keep the weights of the epoch with the least validation loss (marked `*`).  Why not the best
# accuracy?  With 268 validation questions, accuracy moves in steps of 0.4 points, and epochs tie.
# The loss also sees *how sure* an answer is.  `--patience 3` stops after three epochs without a
# lower loss.
# %%
def train(
    model, train_split: rt.Split, val_split: rt.Split, epochs: int, lr: float, batch_size: int,
    accumulate_steps: int, clip: float, patience: int, seed: int, about: dict, path=None,
    save_model=False, resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`; leave `model` with the best weights; return history and best epoch.

    With `save_model`, everything is saved at `path` after each epoch, together with `about`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    texts_per_update = batch_size * accumulate_steps
    sampler = ru.BucketBatchSampler(train_split.lengths.cpu(), texts_per_update, seed=seed)
    history = []
    best = {"epoch": 0, "loss": float("inf")}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "loss")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no lower validation loss for {patience} epochs")
            break
        started = time.perf_counter()
        train_loss, train_accuracy = train_epoch(
            model, train_split, sampler, optimizer, epoch, epochs, lr, batch_size, clip
        )
        val = evaluate(model, val_split)
        history.append({
            "epoch": epoch,
            "train_loss": train_loss, "train_accuracy": train_accuracy,
            "val_loss": val["loss"], "val_accuracy": val["accuracy"],
            "val_macro_f1": val["macro_f1"],
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
# It has to beat the most frequent label, and logistic regression on words and pairs of neighbours.
# With pairs such as "how many", a linear model is strong here.  C (regularisation) is chosen on
# validation, as the network's epoch is.
#
# An accuracy of 0.89 on 500 questions is uncertain by 0.03.  But both methods answer the same
# questions, so compare them question by question: where both are right, nothing differs.  The
# network wins only where the whole interval is above 0.
# %%
def measure_test(model, test: rt.Split, splits: dict[str, list], epoch: int, other) -> tuple:
    """Print and return the scores on test, and {baseline: accuracy}.  Nothing is chosen later.

    `other` is {path: (model, about)} of a network to compare with, or {}.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    ngrams = CountVectorizer(ngram_range=(1, 2), token_pattern="[^ ]+", lowercase=False)
    methods = {"words and pairs, logistic regression": ngrams}
    baselines, their_right = rb.classifier_baselines(splits, methods)
    for path, (network, about) in other.items():  # it becomes the last of the baselines
        its_test = rt.encode_splits(network, about, {"test": splits["test"]}, path)["test"]
        its_answers = predict_logits(network, its_test).argmax(dim=1)
        their_right = (its_answers == its_test.targets).cpu().numpy()
        baselines[path] = float(their_right.mean())
    logits = predict_logits(model, test)
    scores = rb.classification_scores(logits, test.targets)
    right = logits.argmax(dim=1) == test.targets
    interval = rb.paired_interval(right.cpu(), their_right)
    ru.print_test(scores, baselines, "accuracy", f"epoch {epoch}, chosen on validation", interval)
    return {**scores, "minus_last": list(interval)}, baselines


# %% [markdown]
# ## 4. Looking inside
# ### What each direction can know: the blank
# The embedded sentences ask for the thing in a blank:
#
#     once something right there that barked again stood beside a ____ of ours that sank as usual .
#
# What "sank" is a vehicle.  The words before the blank are a decoy: they describe another thing.
# We train the network to answer from the state *at the blank*.  The forward LSTM has read the decoy
# only, the backward LSTM the words that tell.  With both, we need not know which side has them.
# %%
class StateReader(TextClassifier):
    """Answers from one state of each text, not from the maximum.

    blank_idx   the index of the word at which the state is read; None reads states[:, -1]
    """

    def __init__(self, blank_idx, vocab_size, num_labels, direction):
        super().__init__(vocab_size, num_labels, hidden_size=32, dropout=0.2, direction=direction)
        self.blank_idx = blank_idx

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        states = self.read(inputs, lengths)  # (B, T, D * H)
        steps = torch.full_like(lengths, -1)  # (B,)
        if self.blank_idx is not None:
            steps = (inputs == self.blank_idx).int().argmax(dim=1)  # where the blank is
        rows = torch.arange(len(inputs), device=inputs.device)
        return self.output(self.dropout(states[rows, steps]))  # (B, L)


def direction_lesson(data: dict[str, rt.Split], vocab, labels, seed: int) -> tuple:
    """Train six small models; return their results, and the last: both directions, at the blank."""
    test = data["test"]
    sampler = ru.BucketBatchSampler(data["train"].lengths.cpu(), 64, seed=seed)
    results = []
    print(f"\n{'lesson':<10}state read     direction  test accuracy")
    for place, blank_idx in {"states[:, -1]": None, "at the blank": vocab["____"]}.items():
        for direction in ("forward", "backward", "both"):
            ru.set_seed(seed)
            model = StateReader(blank_idx, len(vocab), len(labels), direction)
            model.to(test.inputs.device)
            optimizer = torch.optim.Adam(model.parameters())
            for epoch in (1, 2, 3):
                train_epoch(model, data["train"], sampler, optimizer, epoch, 3, 1e-2, 64, 1.0)
            accuracy = evaluate(model, test)["accuracy"]
            print(f"{'':<10}{place:<13}  {direction:<9}  {accuracy:13.3f}", flush=True)
            results.append({"place": place, "direction": direction, "accuracy": accuracy})
    majority = int(test.targets.bincount().max()) / len(test.texts)
    print(f"{'':<10}always the same answer    {majority:13.3f}")
    return results, model


# %% [markdown]
# ### What each direction knows at each word
# The output layer adds the two halves:
#
#     y = W [h^f ; h^b] + b = W_f h^f + W_b h^b + b
#
# So leave one half out, and see what the other says at each word.  (Dropout has taught the layer
# to answer when numbers are missing.)  In direction.png, the backward half is sure as soon as it
# has read the words that tell.  The forward half has learned nothing, for it has nothing to say
# at the blank.  It is unsure at every word.
#
# word_by_word.png shows test questions.  The words that tell stand first: "when", "how far".  The
# forward half gets surer with every word.  The backward half has to wait for them.
#
# **Pitfall.**  On whole texts this is a hint, not an explanation.  The layer has learned from the
# maxima over all words and from both halves together, not from one half at one word.
# %%
@torch.no_grad()
def answer_word_by_word(model, split: rt.Split, row: int) -> dict[str, torch.Tensor]:
    """Read one text of a split; return {direction: probabilities (T, L)}, on the CPU."""
    model.eval()
    length = split.lengths[row : row + 1]
    states = model.read(split.inputs[row : row + 1, :length], length)[0]  # (T, D * H)
    halves = states.chunk(len(model.lstm.directions), dim=1)  # h^f and h^b, (T, H) each
    weights = model.output.weight.chunk(len(halves), dim=1)  # W_f and W_b, (L, H) each
    answers = {}
    for direction, half, weight in zip(model.lstm.directions, halves, weights):
        logits = F.linear(half, weight, model.output.bias)  # W_f h^f + b: (T, L)
        answers[direction] = logits.softmax(dim=1).cpu()
    return answers


def plot_word_by_word(model, test: rt.Split, rows: list[int], labels, title: str, show: bool):
    """One column for each text, one panel for each direction."""
    plt = ru.get_pyplot(show)
    num_panels = len(model.lstm.directions)
    size = (2 * len(rows) + 0.28 * int(test.lengths[rows].sum()), 3 * num_panels + 1)
    figure, grid = plt.subplots(num_panels, len(rows), figsize=size, squeeze=False)
    for column, row in zip(grid.T, rows):
        answers = answer_word_by_word(model, test, row)
        for axes, (direction, shares) in zip(column, answers.items()):
            ru.plot_heatmap(axes, shares.T, labels, test.texts[row], "probability", "Blues", 0, 1)
            axes.tick_params(axis="x", rotation=90)
            axes.set_title(f"{direction} (truth: {labels[int(test.targets[row])]})")
    figure.suptitle(f"What does each direction know at each word?{title}")
    return figure


# %% [markdown]
# ## 5. Command line and main
# %%
def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--lesson", choices=("direction",), help="what each direction can know")
    add("--predict", nargs="+", metavar="TEXT", help="which class is it?")
    add("--direction", choices=("both", "forward", "backward"), default="both", help="who reads")
    add("--compare", metavar="PATH", help="another checkpoint, to compare with on test")
    add("--num-layers", type=ru.at_least(1), default=1, help="stacked recurrent layers")
    add("--accumulate-steps", type=ru.at_least(1), default=1, help="batches for one update")
    add("--max-length", type=ru.at_least(1), default=200, help="words kept of a text")
    ru.add_training_flags(
        parser, epochs=15, lr=3e-3, batch_size=64, clip=1, patience=0, hidden_size=64, dropout=0.5
    )
    own = "your own texts: a table, or a folder of LABEL.txt files"
    ru.add_data_flags(parser, "trec", own, columns=["text", "label"], others=("imdb",))
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser)
    tiny = {"dataset": "embedded", "max_examples": 1500, "epochs": 2, "hidden_size": 32, "lr": 0.02}
    args = ru.parse_arguments(parser, argv, quick=tiny)
    if args.lesson:
        if args.data or args.eval_only or args.save_model or args.resume or args.compare:
            raise ru.UserError(
                "--lesson trains small models on data of its own; it takes no data, "
                "no checkpoint and nothing to compare: drop those flags"
            )
        args.dataset = "embedded"
        args.output_dir = args.output_dir or f"outputs/{TUTORIAL}/lesson"
    return args


# %% [markdown]
# A new question brings new words, which are read as `<unk>`.  To train the vector of `<unk>`, leave
# words that occur once in train out of the vocabulary: in TREC, more than half of all words.
# %%
def build(splits: dict[str, list], config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    vocab = ru.Vocab.build([words for words, _ in splits["train"]], min_freq=2, max_size=10_000)
    labels = sorted({label for _, label in splits["train"]})
    sizes = {"vocab_size": len(vocab), "num_labels": len(labels)}
    for name in ("hidden_size", "num_layers", "dropout", "direction"):
        sizes[name] = config[name]
    about = {"config": config, "sizes": sizes, "vocab": vocab.get_itos(), "labels": labels}
    return TextClassifier(**sizes), about


def load_model(path) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch."""
    return ru.load_model(path, TUTORIAL, TextClassifier, "vocab", "labels", "max_length")


def load_other(path, device) -> dict[str, tuple]:
    """{path: (model, about)} of a network to compare with, {} without a path."""
    if not path:
        return {}
    with torch.random.fork_rng():  # the training shall draw the same numbers as without it
        model, about, _ = load_model(path)
    return {path: (model.to(device), about)}


def predict(model, about: dict, texts: list[str]) -> dict[str, dict]:
    """Print the likeliest labels of each text; return {text: {label: probability}}."""
    labels = about["labels"]

    def logits_of(known: list[list[str]]) -> torch.Tensor:  # (N, L)
        return predict_logits(model, rt.encode_texts(model, about, known))

    if rt.wants_table(texts):
        return rt.print_labels(texts, ru.basic_english, logits_of, labels)
    answers = {}
    for text in rt.texts_asked(texts):
        logits = logits_of([read_words(text, "--predict")])[0]  # (L,)
        answers[text] = dict(zip(labels, logits.softmax(dim=0).tolist()))
        ranked = sorted(answers[text].items(), key=lambda item: -item[1])[:6]
        print(f"\n{text[:300]}\n  {', '.join(f'{name} {share:.1%}' for name, share in ranked)}")
    return answers


def draw_figures(model, test: rt.Split, labels: list[str], metrics: dict, folder, show) -> None:
    ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    predicted = predict_logits(model, test).argmax(dim=1).cpu()
    figures = {"confusion_matrix": rt.plot_confusion(test.targets.cpu(), predicted, labels, title)}
    # Three texts that a figure can show.
    rows = [row for row, length in enumerate(test.lengths.tolist()) if 6 <= length <= 30][:3]
    if rows:
        figures["word_by_word"] = plot_word_by_word(model, test, rows, labels, title, show)
    rt.save_figures(figures, metrics, "nats per text", title, folder, show)


def run_lesson(splits, config: dict, device, write, folder, no_plots: bool, show: bool) -> dict:
    """Train the models of the lesson; `write` its metrics, save its figure, return the metrics."""
    model, about = build(splits, config)
    data = rt.encode_splits(model.to(device), about, splits, "embedded")
    vocab = ru.Vocab(about["vocab"])
    results, reader = direction_lesson(data, vocab, about["labels"], config["seed"])
    metrics = write({"lesson": results})
    if not no_plots:
        figure = plot_word_by_word(reader, data["test"], [0], about["labels"], "", show)
        ru.save_figures({"direction": figure}, folder, show)
    return metrics


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.predict):
        model, about, _ = load_model(args.path)
        return predict(model.to(ru.get_device(args.device)), about, args.predict)

    device, config = ru.start_run(args, TUTORIAL, "predict", "lesson", "compare")
    splits, source, embedded = load_texts(
        args.data, args.columns, args.dataset, args.data_dir, args.offline, args.max_examples,
        args.max_length,
    )  # fmt: skip
    write = functools.partial(ru.write_metrics, args, TUTORIAL, source, embedded)
    if args.lesson:
        return run_lesson(splits, config, device, write, args.output_dir, args.no_plots, args.show)

    history = []
    other = load_other(args.compare, device)  # a wrong path is found before the training
    if args.eval_only:
        model, about, best = load_model(args.path)
    else:
        model, about = build(splits, config)
    data = rt.introduce(model.to(device), about, splits, source)
    if not args.eval_only:
        history, best = train(
            model, data["train"], data["val"], args.epochs, args.lr, args.batch_size,
            args.accumulate_steps, args.clip, args.patience, args.seed, about, args.path,
            args.save_model, args.resume,
        )  # fmt: skip
    test, baselines = measure_test(model, data["test"], splits, best["epoch"], other)
    metrics = write({
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"]), "baselines": baselines, "test": test,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, data["test"], about["labels"], metrics, args.output_dir, args.show)
    predict(model, about, args.predict or [])
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--lesson direction`.  In direction.png, at which words is the backward half
#    sure?  Why does the forward half stay unsure to the end, when it has read the same words?
# 2. Change one flag: `--direction forward --hidden-size 128 --save-model --path models/one.pt`,
#    then the default with `--compare models/one.pt`.  Why twice the hidden size?  How wide is the
#    interval, and how many test questions would show a difference of one point?
# 3. Explain a failure: in `BidirectionalLSTM.forward` replace both calls of `reverse` by
#    `.flip(1)`.  Then run `python -m pytest tests/test_07_bidirectional_rnn.py`: which tests
#    notice?  Why does accuracy on TREC fall so little?  (How much padding is there in training,
#    see `BucketBatchSampler`, and how much in `predict_logits`?)
# 4. Modify the code: in `TextClassifier.forward`, take the two states that have read the whole text
#    in place of the maximum; then take `states[:, -1]`.  Compare on validation, with seeds 0 to 2:
#    which of the two costs something, and which no more than another seed?
# 5. An open question: let `predict` hide one word at a time behind ru.UNK, and print by how much
#    the log-probability of the answer falls (occlusion).  Of two words that say the same, why does
#    each seem to add nothing?  What would you report in its place?
