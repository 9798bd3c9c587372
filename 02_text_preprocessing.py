"""02_text_preprocessing: how does text become numbers that a recurrent network can read?

The question    A network multiplies and adds numbers, and a sentence holds none.  Which steps
                lead from the one to the other, and what does each of them lose?
The number      45 % of an epoch over the built-in sentences is padding if batches are drawn at
                random, and 4 % if sentences of similar length share a batch.

    text -> tokens -> indices (T,) -> padded batch (B, T) -> embedded (B, T, E) -> nn.RNN

    embedding    x_t = onehot(w_t) W            W (V, E), one row per word of the vocabulary
    skip-gram    loss = -log s(u_o . v_c) - sum_k log s(-u_k . v_c)
                 v_c (E,) centre word   u_o (E,) a word near it   u_k (E,) K random words
                 s(a) = 1 / (1 + exp(-a))

B sentences in a batch, T steps, V words, E numbers per word.

    python 02_text_preprocessing.py              # 6 s, one core used

    Vocabulary: 243 entries of 339 different words in train
      tokens   don ' t panic zoë ' s café isn ' t closed on monday , is it ?
      indices  1 14 26 1 1 14 34 1 118 14 26 51 15 81 4 20 12 25
      back     <unk> ' t <unk> <unk> ' s <unk> isn ' t closed on monday , is it ?
      padding in batches of 32: at random 45.4%, bucketed by length 3.9%
      cat          goat, sheep, cow, dog
      of 3 neighbours, in the word's own group: 99.5%; at random 2.9%

    python 02_text_preprocessing.py --data my_sentences.txt --words rain snow
    python 02_text_preprocessing.py --dataset imdb --max-vocab 8000 --epochs 3   # minutes

It writes processed.pt and vocab.json (all that a model needs), metrics.json and two figures
to outputs/02_text_preprocessing/.  Next: 03_time_series_basics.py, the same for numbers.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import random
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "02_text_preprocessing"
SAMPLE = 600  # the slow parts read this many sentences; the embedded corpus has fewer in train
EXAMPLE = "Don't panic: Zoë's café isn't closed on Monday, is it?"
EMBEDDING_SIZE = 32  # E
NUM_NEGATIVES = 5  # K


# %% [markdown]
# ## 1. Data
# Several hundred sentences are made from templates such as "{person} flew to {city} last week",
# and some odd ones are added.  Words of one group (the cities) fill the same slot, so they keep
# the same company.  Section 3 asks whether embeddings find these groups from the text alone.
#
# **Pitfall: two spellings of one character.**  "é" can be one code point, or "e" and a combining
# accent.  An apostrophe can be straight or curly.  To a program these are different tokens, and
# each gets a part of the evidence.  Unicode form NFC is the spelling with one code point.
#
# Each sentence is kept once: one in both train and held-out text makes unknown words look rarer.
# %%
def normalise(text: str) -> str:
    """Return the text in Unicode form NFC, with straight quotes, without outer spaces."""
    straight = str.maketrans("‘’“”", "''\"\"")
    return unicodedata.normalize("NFC", text).translate(straight).strip()


def load_sentences(data, dataset, data_dir, offline, seed: int, max_examples=None) -> tuple:
    """Return distinct sentences in random order, groups of words (if embedded), and the source."""
    source = Path(data).name if data else dataset
    if data:
        sentences = rd.read_text(data).splitlines()
        groups = {}
    else:
        (sentences, groups), _, _ = rd.load_dataset("sentences", dataset, data_dir, offline)
    distinct = dict.fromkeys(normalise(text) for text in sentences)  # keeps the order
    distinct = [text for text in distinct if ru.basic_english(text)]  # '";"' has no tokens
    if len(distinct) < 20:
        raise ru.UserError(f"{data}: {len(distinct)} different sentences; give at least 20 lines")
    random.Random(seed).shuffle(distinct)
    print(f"{'data':<10}{source}: {len(sentences):,} lines, {len(distinct):,} of them different")
    return distinct[:max_examples], groups, source


# %% [markdown]
# ## 2. From sentences to tensors
# ### Tokens
# A *tokenizer* cuts a text into tokens, here words and punctuation marks:
# "You can't!" -> you can ' t !  (Section 4 compares it with others.)
#
# ### Vocabulary and indices
# A *vocabulary* numbers the words, and *numericalising* replaces each word by its number.  An
# index is a name, not a quantity: word 7 is not more than word 3.  Two indices are special: 0,
# <pad>, fills short sentences up; 1, <unk>, stands for every word that is not in the vocabulary.
#
# The vocabulary is built on train only.  A word that occurs in held-out text alone must stay
# unknown, as it will be when the model is used.
#
# A few words make up most of a text, and most words are rare.  Zipf's law: the word of rank r
# occurs about 1/r as often as the first.  So leaving out rare words makes the embedding much
# smaller and loses few tokens.  There is no way back: an unknown word comes back as <unk>.
# %%
def study_vocabulary(tokens, num_train: int, vocab: ru.Vocab, example: str) -> dict:
    """Print how frequent words are, and what the vocabulary misses; return the measures."""
    words = collections.Counter(itertools.chain.from_iterable(tokens[:num_train]))
    counts = [count for _, count in words.most_common()]
    unknown = unknown_rate(vocab, tokens[num_train:])
    print(f"{'split':<10}{num_train:,} train, {len(tokens) - num_train:,} held out")
    print(f"\nVocabulary: {len(vocab):,} entries of {len(counts):,} different words in train")
    print("   rank   occurrences   by Zipf's law   tokens covered so far")
    for rank in (1, 10, 100, 1000, 10_000):
        if rank <= len(counts):
            covered = sum(counts[:rank]) / sum(counts)
            print(f"{rank:7,}{counts[rank - 1]:14,}{counts[0] / rank:16,.1f}{covered:24.1%}")
    print(f"  unknown in the held-out sentences: {unknown:.1%} of the tokens")
    example_words = ru.basic_english(example)
    indices = vocab(example_words)
    print(f"  tokens   {' '.join(example_words)}")
    print(f"  indices  {' '.join(str(index) for index in indices)}")
    print(f"  back     {' '.join(vocab.lookup_tokens(indices))}")
    return {"size": len(vocab), "train_words": len(counts), "unknown": unknown}


def unknown_rate(vocab: ru.Vocab, texts: list[list[str]]) -> float:
    """The share of tokens that the vocabulary does not hold."""
    indices = vocab(itertools.chain.from_iterable(texts))
    return indices.count(ru.UNK) / max(1, len(indices))


# %% [markdown]
# ### Padding, mask, buckets
# A batch is a rectangle, and its longest sentence sets the width.  All others are filled up with
# <pad>, and the *mask* says which steps are real.  Padding costs as much time as words.  So cut
# the few longest sentences, and let sentences of similar length share a batch (*buckets*).
# The cut is chosen on train only, like the vocabulary: 95 % of the sentences stay whole.
# %%
def numericalise(tokens, vocab: ru.Vocab, num_train: int, max_length: int) -> tuple[list, int]:
    """Return the indices (T,) of each sentence, and the cut; `max_length` 0: choose the cut."""
    lengths = np.array([len(words) for words in tokens])  # (N,)
    cut = max_length or int(np.percentile(lengths[:num_train], 95))
    shortened = (lengths > cut).mean()
    print(f"\nLengths {lengths.min()} to {lengths.max()}; a cut at {cut} shortens {shortened:.1%}")
    return [torch.tensor(vocab(words[:cut])) for words in tokens], cut


def compare_batches(sentences, batch_size: int, seed: int) -> tuple[dict, dict]:
    """Print a padded batch; return batches as lists of indices, and their shares of padding."""
    batch, lengths = ru.pad_batch(sentences[:4])  # (B, T), (B,)
    mask = ru.lengths_to_mask(lengths)  # (B, T), here 1 is a word and 0 is padding
    print(f"A padded batch {tuple(batch.shape)}, lengths {lengths.tolist()}, and its mask:")
    print(batch[:, :14])
    print(mask[:, :14].long())
    lengths = torch.tensor([len(sentence) for sentence in sentences])  # (N,)
    at_random = torch.randperm(len(lengths)).split(batch_size)
    batches = {"random": [rows.tolist() for rows in at_random]}
    batches["bucketed"] = list(ru.BucketBatchSampler(lengths, batch_size, seed=seed))
    share = {}
    for name, parts in batches.items():
        cells = sum(len(rows) * int(lengths[rows].max()) for rows in parts)
        share[name] = 1 - int(lengths.sum()) / cells
    print(f"  padding in batches of {batch_size}: at random {share['random']:.1%}", end="")
    print(f", bucketed by length {share['bucketed']:.1%}")
    return batches, share


# %% [markdown]
# ## 3. Embeddings
# An embedding is a table W of V rows, one per word.  A one-hot vector times that table picks one
# row.  So an embedding *is* a linear layer on one-hot words; a look-up skips the zeros.
# %%
def lookup_is_one_hot_product(sentences: list[torch.Tensor], vocab_size: int) -> None:
    """Assert that both ways agree on the first words of some sentences."""
    indices, _ = ru.pad_batch([sentence[:16] for sentence in sentences])  # (B, T)
    embedding = nn.Embedding(vocab_size, EMBEDDING_SIZE)
    one_hot = F.one_hot(indices, vocab_size).float()  # (B, T, V)
    assert torch.allclose(embedding(indices), one_hot @ embedding.weight)  # (B, T, E)
    print(f"\nEmbedding {tuple(indices.shape)} words: look-up and one-hot product agree")


# %% [markdown]
# ### Skip-gram
# "You shall know a word by the company it keeps" (Firth 1957).  Skip-gram trains the vector of a
# word to predict the words around it.  Words with similar company get similar vectors.
# %%
def skipgram_pairs(sentences: list[torch.Tensor], window: int = 3) -> torch.Tensor:
    """Return (P, 2): every word with every word up to `window` steps away, <unk> left out."""
    pairs = []
    for distance in range(1, window + 1):
        near = [torch.stack([s[:-distance], s[distance:]], dim=1) for s in sentences]
        near = torch.cat(near)  # (p, 2): a word, and the word `distance` steps to its right
        known = near[(near > ru.UNK).all(dim=1)]
        pairs += [known, known.flip(1)]
    return torch.cat(pairs)


# %% [markdown]
# Predicting one word of V needs a softmax over V.  *Negative sampling* asks an easier question:
# is this a real pair, or was its second word drawn at random?  Each word has two vectors: v as a
# centre, u as a neighbour, because a word is seldom its own neighbour.  We keep v.  The random
# words are drawn by frequency to the power 3/4 (Mikolov et al. 2013).
#
# All u start at 0, so all scores start at 0: each pair is as likely real as drawn.
# **Pitfall.**  If every v were 0 as well, all gradients would be 0, and nothing would ever move.
# %%
def train_skipgram(sentences, source: str, vocab_size: int, epochs: int, device) -> torch.Tensor:
    """Train on the pairs of words in these sentences; return the vectors (V, E) on the CPU."""
    pairs = skipgram_pairs(sentences[:SAMPLE])  # (P, 2)
    if vocab_size < 10 or len(pairs) == 0:
        advice = "lower --min-freq, raise --max-vocab or give more text"
        raise ru.UserError(f"{source}: {vocab_size - 2} words are too few to learn from; {advice}")
    print(f"\nSkip-gram: {len(pairs):,} pairs of words")
    centres = nn.Embedding(vocab_size, EMBEDDING_SIZE).to(device)  # v
    contexts = nn.Embedding(vocab_size, EMBEDDING_SIZE).to(device)  # u
    nn.init.zeros_(contexts.weight)
    nn.init.normal_(centres.weight, std=0.1)
    optimizer = torch.optim.Adam([centres.weight, contexts.weight], lr=0.01)
    noise = torch.bincount(pairs[:, 1], minlength=vocab_size).float() ** 0.75  # (V,)
    for epoch in range(1, epochs + 1):
        loss_sum = 0.0
        for batch in pairs[torch.randperm(len(pairs))].split(1024):
            drawn = torch.multinomial(noise, NUM_NEGATIVES * len(batch), replacement=True)
            others = torch.cat([batch[:, 1:], drawn.view(-1, NUM_NEGATIVES)], dim=1)  # (B, 1 + K)
            v_c = centres(batch[:, 0].to(device))[:, :, None]  # (B, E, 1)
            scores = (contexts(others.to(device)) @ v_c)[:, :, 0]  # (B, 1 + K)
            # -log s(u_o . v_c) - sum_k log s(-u_k . v_c)
            scores = torch.cat([scores[:, :1], -scores[:, 1:]], dim=1)
            loss = -F.logsigmoid(scores).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(batch)
        ru.check_finite(loss_sum, epoch)
        if epoch in (1, epochs):
            print(f"  epoch {epoch:3d}  loss {loss_sum / len(pairs):.3f} nats per pair")
    return centres.weight.detach().cpu()


# %% [markdown]
# ### Neighbours
# Skip-gram compares vectors by their product, so the direction carries the meaning, and the
# length grows with frequency.  Hence the cosine of the angle.
#
# Do the vectors know what the corpus was made from?  For each word of a group, we count how many
# of its 3 nearest neighbours, among all words, are of the same group.
# %%
def known_groups(groups: dict[str, list[str]], vocab: ru.Vocab) -> list[list[str]]:
    """The words of each group that the vocabulary holds; of other text, frequent words, alone."""
    if not groups:
        return [[word] for word in vocab.get_itos()[2:52]]
    known = []
    for words in groups.values():
        known.append([word for word in words if word in vocab])
    return [words for words in known if words]


def nearest(vectors: torch.Tensor, index: int, count: int) -> list[int]:
    """The words whose vectors make the smallest angle with that of word `index`."""
    similarity = F.cosine_similarity(vectors[index][None], vectors)  # (V,)
    similarity[[ru.PAD, ru.UNK, index]] = -2.0  # none of these
    return similarity.topk(count).indices.tolist()


def show_neighbours(vectors, vocab: ru.Vocab, words, groups: list[list[str]]) -> dict:
    """Print and return the 4 nearest neighbours of the words, else of the first of each group."""
    near = {}
    for word in words or [group[0] for group in groups[-9:]]:
        index = vocab([word])[0]
        if index == ru.UNK:
            print(f"  {word:<12} is not in the vocabulary")
        else:
            near[word] = vocab.lookup_tokens(nearest(vectors, index, 4))
            print(f"  {word:<12} {', '.join(near[word])}")
    return near


def compare_with_groups(vectors: torch.Tensor, vocab: ru.Vocab, groups: list[list[str]]) -> dict:
    """Return how many of the 3 nearest neighbours are of the same group, and how many by chance."""
    shares = {}
    chance = torch.randn(vectors.shape)
    for name, table in (("same_group", vectors), ("same_group_random", chance)):
        hits = []
        for words in groups:
            members = vocab(words)
            for index in members:
                hits += [near in members for near in nearest(table, index, 3)]
        shares[name] = sum(hits) / max(1, len(hits))
    print(f"  of 3 neighbours, in the word's own group: {shares['same_group']:.1%}", end="")
    print(f"; at random {shares['same_group_random']:.1%}")
    return shares


# %% [markdown]
# ### Into the network
# The file holds all that a model needs: tensors and plain types, no code.  So it is safe to load.
#
# **Pitfall.**  <pad> is not silence: an RNN updates its state on padding too.  So `h_n` is the
# state after the padding.  Each sentence's own last state is at `lengths - 1`.
#
# nn.RNN can also skip padding.  A *packed* sequence stores a batch step by step: all first words,
# then all second words, and so on, of the sentences that are still running.
#
#     padded                      packed       t=0       t=1      t=2       t=3
#     see   you  next   monday                 see mind  you the  next gap  monday
#     mind  the  gap    <pad>     batch_sizes  2         2        2         1
#
# Its `h_n` holds each sentence's own last state.  Later chapters use buckets: faster on a CPU.
# %%
def save_results(sentences, num_train: int, vocab: ru.Vocab, vectors, folder) -> Path:
    """Write vocab.json, and processed.pt with all that a model needs; return its path."""
    path = Path(folder) / "processed.pt"
    contents = {
        "indices": torch.cat(sentences),  # all sentences, one after the other
        "lengths": torch.tensor([len(sentence) for sentence in sentences]),
        "num_train": num_train,
        "vocab": vocab.get_itos(),
        "embeddings": vectors,
    }
    ru.save_checkpoint(path, TUTORIAL, contents)
    ru.write_json(path.with_name("vocab.json"), vocab.get_itos())
    return path


def feed_rnn(path: Path) -> list[int]:
    """Put the first four sentences of processed.pt through nn.RNN, padded and packed."""
    data = ru.load_checkpoint(path, TUTORIAL)
    sentences = data["indices"].split(data["lengths"].tolist())
    batch, lengths = ru.pad_batch(sentences[:4])  # (B, T), (B,)
    embedding = nn.Embedding.from_pretrained(data["embeddings"], padding_idx=ru.PAD)
    rnn = nn.RNN(EMBEDDING_SIZE, hidden_size=16, batch_first=True)
    inputs = embedding(batch)  # (B, T, E)
    output, h_n = rnn(inputs)  # (B, T, H), (1, B, H)
    last = output[torch.arange(len(batch)), lengths - 1]  # (B, H)
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    _, packed_h_n = rnn(packed)
    assert torch.allclose(packed_h_n[0], last, atol=1e-6)
    print(f"\nFrom {path.name} to nn.RNN: indices {tuple(batch.shape)} -> ", end="")
    print(f"embedded {tuple(inputs.shape)} -> output {tuple(output.shape)}, h_n {tuple(h_n.shape)}")
    sizes = packed.batch_sizes.tolist()
    print(f"  packed: {batch.numel()} cells become {len(packed.data)}, batch_sizes {sizes[:16]}")
    return sizes


# %% [markdown]
# ## 4. Looking inside
# ### Other tokenizers
# - Splitting at spaces makes "cat", "cat." and "Cat" three words without any connection.
# - basic_english lower-cases, and gives punctuation tokens of its own.
# - Characters need the smallest vocabulary and the longest sequences.
# - Byte-pair encoding (Sennrich et al. 2016) is in between.  It starts from characters and, again
#   and again, joins the pair of neighbours that is most frequent in the corpus.  Frequent words
#   end up whole, and a new word is spelled from pieces that are known.
#
# The vocabulary is the number of rows of the embedding, and of the output layer of a language
# model.  Tokens per sentence are the steps of the RNN.  An unknown token cannot be read at all.
# %%
def compare_tokenizers(train: list[str], held_out: list[str], min_freq: int) -> dict:
    """Print and return vocabulary size, tokens per sentence and unknown rate of three."""
    split = {"whitespace": str.split, "basic_english": ru.basic_english}
    split["character"] = list
    print("\nTokenizer        vocabulary   tokens/sentence   unknown held-out")
    table = {}
    for name, tokenizer in split.items():
        vocab = ru.Vocab.build([tokenizer(text) for text in train[:SAMPLE]], min_freq=min_freq)
        texts = [tokenizer(text) for text in held_out[:SAMPLE]]
        steps = sum(len(tokens) for tokens in texts) / len(texts)
        unknown = unknown_rate(vocab, texts)
        table[name] = {"vocabulary": len(vocab), "tokens_per_sentence": steps, "unknown": unknown}
        print(f"  {name:<15}{len(vocab):>10,}{steps:>18.1f}{unknown:>19.1%}")
    return table


def compare_with_torchtext(sentences: list[str]) -> str:
    """Compare our tokens with those of torchtext, which ended in 2024; print and return it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its own end
            from torchtext.data.utils import get_tokenizer
    except (ImportError, OSError):  # OSError: installed, but built for another PyTorch
        found = "torchtext does not load here, and nothing in this course needs it"
    else:
        theirs = get_tokenizer("basic_english")
        differing = sum(theirs(text) != ru.basic_english(text) for text in sentences)
        found = f"torchtext splits {differing} of {len(sentences)} sentences differently"
    print(f"  {found}")
    return found


# %% [markdown]
# ### Figures
# - padding.png: every cell is one step of one sentence.  The darker, the more frequent the word.
#   Grey is padding, for which the network works and learns nothing.
# - embeddings.png: principal component analysis (PCA) draws the E numbers of a vector in the two
#   directions along which the vectors differ most.  Words that are far apart on the map are far
#   apart in truth; words close together need not be.
# %%
def plot_padding(sentences, batches: dict, share: dict, title: str, plt):
    columns = min(4, len(batches["random"]))
    figure, grid = plt.subplots(2, columns, figsize=(9, 5.6), sharey=True, squeeze=False)
    tallest = len(batches["random"][0])
    longest = max(len(sentence) for sentence in sentences)
    colours = plt.get_cmap("viridis").with_extremes(under="#d9d9d9")  # below 0: grey
    most = np.log(max(int(sentence.max()) for sentence in sentences))
    for row, (name, parts) in zip(grid, batches.items()):
        for axes, part in zip(row, parts):
            batch, lengths = ru.pad_batch([sentences[index] for index in part])  # (B, T)
            padding = ~ru.lengths_to_mask(lengths)  # (B, T)
            shown = batch.float().log().masked_fill(padding, -1).numpy()
            axes.imshow(shown, colours, aspect="auto", interpolation="nearest", vmin=0, vmax=most)
            axes.set(xlim=(-0.5, longest - 0.5), ylim=(tallest - 0.5, -0.5), xlabel="step")
            axes.set_title(f"{padding.float().mean():.0%} padding")
        row[0].set_ylabel(f"{name} batches\n({share[name]:.0%} padding)\nsentence")
    figure.suptitle(f"How much of a batch is padding (grey)?{title}")
    return figure


def plot_embeddings(vectors: torch.Tensor, vocab: ru.Vocab, groups: list[list[str]], title, plt):
    """Draw each group of words in a colour of its own, with its first words above it."""
    all_words = itertools.chain.from_iterable(groups)
    pca = PCA(n_components=2).fit(F.normalize(vectors[vocab(all_words)]))  # of length 1
    figure, axes = plt.subplots(figsize=(9, 6))
    colours = [*ru.PALETTE, ru.GREY, "#882255"]
    for number, words in enumerate(groups):
        x, y = pca.transform(F.normalize(vectors[vocab(words)])).T  # each (number of words,)
        axes.scatter(x, y, color=colours[number % 9], marker="osD^v"[number % 5])
        axes.annotate(", ".join(words[:3]), (x.mean(), y.max()), (0, 6), ha="center", size=10,
                      textcoords="offset points", parse_math=False)  # fmt: skip
    kept = pca.explained_variance_ratio_.sum()
    axes.set_xlabel(f"first principal component (the two hold {kept:.0%} of the variance)")
    axes.set_ylabel("second principal component")
    axes.set_title(f"Are words that keep similar company close together?{title}")
    return figure


def draw_figures(sentences, batches, vectors, vocab, groups, metrics: dict, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = " (embedded data)" if metrics["embedded"] else ""
    figures = {"padding": plot_padding(sentences, batches, metrics["padding"], title, plt)}
    if sum(len(words) for words in groups) >= 3:  # a map of two words is empty
        figures["embeddings"] = plot_embeddings(vectors, vocab, groups, title, plt)
    ru.save_figures(figures, folder, show)


# %% [markdown]
# ## 5. Command line and main
# %%
def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this chapter").add_argument
    add("--data", metavar="FILE", help="your own UTF-8 text, one sentence per line")
    add("--dataset", choices=("embedded", "imdb"), default="embedded", help="imdb: film reviews")
    add("--words", nargs="+", type=str.lower, help="print the nearest neighbours of these")
    add("--min-freq", type=ru.at_least(1), default=2, help="rarer words become <unk>")
    add("--max-vocab", type=ru.at_least(3), default=20_000, help="largest vocabulary")
    add("--max-length", type=ru.at_least(0), default=0, help="tokens kept; 0: 95 %% stay whole")
    add("--batch-size", type=ru.at_least(1), default=32, help="sentences per batch")
    add("--epochs", type=ru.at_least(1), default=15, help="passes over the skip-gram pairs")
    add("--max-examples", type=ru.at_least(20), metavar="N", help="use about N of the sentences")
    add("--quick", action="store_true", help="a tiny run on embedded data, to see that it works")
    ru.add_run_flags(parser)
    return ru.parse_arguments(parser, argv, quick={"max_examples": 250, "epochs": 5})


def main(argv=None) -> dict:
    args = parse_args(argv)
    device, _ = ru.start_run(args, TUTORIAL)
    texts, groups, source = load_sentences(
        args.data, args.dataset, args.data_dir, args.offline, args.seed, args.max_examples
    )
    num_train = len(texts) * 9 // 10  # the others are held out
    tokens = [ru.basic_english(text) for text in texts]
    vocab = ru.Vocab.build(tokens[:num_train], min_freq=args.min_freq, max_size=args.max_vocab)
    example = EXAMPLE if groups else texts[-1][:60]
    vocabulary = study_vocabulary(tokens, num_train, vocab, example)
    sentences, cut = numericalise(tokens, vocab, num_train, args.max_length)
    batches, padding = compare_batches(sentences, args.batch_size, args.seed)
    lookup_is_one_hot_product(sentences[:16], len(vocab))
    vectors = train_skipgram(sentences[:num_train], source, len(vocab), args.epochs, device)
    known = known_groups(groups, vocab)
    embeddings = {"neighbours": show_neighbours(vectors, vocab, args.words, known)}
    if groups:
        embeddings.update(compare_with_groups(vectors, vocab, known))
    packing = feed_rnn(save_results(sentences, num_train, vocab, vectors, args.output_dir))
    tokenizers = compare_tokenizers(texts[:num_train], texts[num_train:], args.min_freq)
    torchtext = compare_with_torchtext(texts[:SAMPLE])
    metrics = ru.write_metrics(args, TUTORIAL, source, bool(groups), {
        "tokenizers": tokenizers, "torchtext": torchtext, "vocabulary": vocabulary, "cut": cut,
        "padding": padding, "packed_batch_sizes": packing, "embeddings": embeddings,
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(sentences, batches, vectors, vocab, known, metrics, args.output_dir, args.show)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--batch-size 2`, then 500.  What becomes of the two shares in padding.png?
# 2. Change one flag: `--min-freq 1`, then 5.  What becomes of the vocabulary, and of the unknown
#    words?  With 1, which rows could a network that reads these indices never train?
# 3. Explain: at rank 100 the embedded corpus has three times the occurrences that Zipf's law
#    says.  Find the reason in `_TEMPLATES` of rnn_data.py; then try a book of your own (`--data`).
# 4. Modify the code: give `skipgram_pairs` a window of 1, then of 10.  With which do the nearest
#    neighbours become words of the same sentences, not of one kind ("in the word's own group")?
# 5. An open question: write byte-pair encoding for the words of the corpus, in about 20 lines.
#    After 0, 300 and 3000 merges, compare its tokens per sentence and unknown tokens with those
#    of the other three.  What does it turn into at either end?
