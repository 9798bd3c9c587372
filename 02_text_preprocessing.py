"""02_text_preprocessing: how does text become numbers that a recurrent network can read?

The question     A network multiplies and adds numbers, and a sentence holds none.  Which steps
                 lead from the one to the other, and what does each of them lose?
The number       45 % of an epoch over the built-in sentences is padding if batches are drawn
                 at random, and 4 % if sentences of similar length share a batch.
Misconceptions   An index is a name, not a quantity: word 7 is not more than word 3, which is
                 why it goes through an embedding.  And <pad> is not silence: an RNN updates
                 its state on padding too, so read each sentence's state at its own end.

    text -> tokens -> indices (T,) -> padded batch (B, T) -> embedded (B, T, E) -> nn.RNN

    embedding    x_t = onehot(w_t) W            W (V, E), one row per word of the vocabulary
    skip-gram    loss = -log s(u_o . v_c) - sum_k log s(-u_k . v_c)
                 v_c (E,) centre word   u_o (E,) a word near it   u_k (E,) K random words
                 s(a) = 1 / (1 + exp(-a))

B sentences in a batch, T steps, V words, E numbers per word.

    python 02_text_preprocessing.py            # 14 s on a slow 2-core CPU

    tokenizer      vocabulary  tokens/sentence  unknown held-out
    whitespace            296             10.0              4.3%
    basic_english         243             12.1              1.0%
    character              66             49.2              0.2%
    byte-pair             257             18.4              0.6%
    ...
    padding in batches of 32: at random 45.4%, bucketed by length 3.9%
    ...
    cat          goat, sheep, cow, dog
    paris        madrid, berlin, london, rome
    of 3 neighbours, in the word's own group: 99.5%; with random vectors 2.9%

    python 02_text_preprocessing.py --data my_sentences.txt --words rain snow
    python 02_text_preprocessing.py --dataset imdb --max-vocab 8000 --epochs 3    # minutes

Files in outputs/02_text_preprocessing: processed.pt and vocab.json (what a model needs),
corpus.png, padding.png, embeddings.png, metrics.json.
Next: 03_time_series_basics.py, the same for numbers; 05 puts reviews through an LSTM.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import random
import re
import sys
import time
import timeit
import unicodedata
import warnings
from pathlib import Path

import rnn_utils as ru

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TUTORIAL = "02_text_preprocessing"
SAMPLE = 600  # the slow parts read this many sentences; the embedded corpus has fewer in train
BPE_WORDS = 5000  # merges are learned from this many of the most frequent words

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------

# Words of one group fill the same slot of the templates below, so they keep the same
# company.  Section 5 asks whether embeddings find the groups from the text alone.
GROUP_TABLE = """animal: cat dog horse rabbit cow sheep goat donkey
day: Monday Tuesday Wednesday Thursday Friday Saturday Sunday
month: January March April June August October December
city: Paris London Madrid Rome Lisbon Berlin Vienna Prague
food: bread soup rice cheese pasta salad fish cake
instrument: piano violin guitar cello flute trumpet
colour: red blue green yellow white black brown grey
job: nurse teacher baker pilot farmer lawyer doctor dentist
person: Anna Ben Carla David Emma Farid Grace Hugo"""
GROUPS = {name: words.split() for name, words in re.findall(r"(\w+): (.+)", GROUP_TABLE)}
NUMBERS = {"hour": ["6:15", "7:30", "8", "9:45"], "price": ["19.90", "49", "120", "1,250"]}
TEMPLATES = """the {animal} slept in the straw all afternoon|we fed the {animal} before breakfast
the vet looked at the {animal} and found nothing wrong|a {animal} ran across the field
my neighbour's {animal} is older than I am|somebody left the gate open and the {animal} got out
{person} has a class every {day}|the museum is closed on {day}|the parcel arrived on {day}
the match was moved from {day} evening to the following week|every {day} we eat at my aunt's
{person} flew to {city} last week|the night train to {city} leaves at {hour}
I've never been to {city}, but I'd love to go|flights to {city} cost {price} euros in {month}
{person} plays the {instrument} in a small band|the {instrument} was badly out of tune
{person} practised the {instrument} until {hour}|the shop sells a used {instrument} for {price}
{person} ordered some {food} and a glass of water|there isn't any {food} left
this {food} tastes better than it looks|nobody has touched the {food} on the table
it rained a lot in {city}|{month} was cold this year|we'll be on holiday in {month}
the exam is in {month}|{person} painted the door {colour}|she wore a {colour} coat to the wedding
the walls are {colour}|{person} works as a {job} in {city}|my sister wants to become a {job}
the {job} told us not to worry|the {job} wasn't in on {day}"""
REQUESTS = """could you buy {food} on your way home?|welcome to {city}!|see you next {day}!
have you seen the {animal}?|are you going to {city} in {month}?|who plays the {instrument}?
please call the {job} on {day}.|happy birthday, {person}!|why is everything {colour} in here?"""
OPENINGS = ["", "", "", "", "I heard that ", "it turns out that ", "as far as I remember, "]
ODD = """Wait... what?|Don't panic!|No.|Yes, yes, yes!|She said: "I'm not sure."|It's 5 o'clock.
Zoë's café opened in 1998; the naïve plan worked.|We paid £3.50 (about 4.10 euros) for a crêpe.
See https://example.org/rnn?lesson=2 for the slides.|Mail me at anna.b@example.com, please.
The results are at www.example.net/results.html, aren't they?|Great concert tonight 🎻🎺 !!!
I can't believe it 😂😂|Three candles and one cake 🎂|Señor Núñez lives in São Paulo.|Mind the gap!
They'd've told us if they'd known.|Rock 'n' roll isn't dead.|The temperature fell to -12.5 degrees.
Version 2.0.1 fixes 37 bugs.|Call 555-0199 before 9 a.m. or after 5 p.m.|It's 50% off, today only!
The well-known mother-in-law joke wasn't funny.|“Curly” and "straight" quotes aren't the same.
If you ask me, the film was far too long, the plot made no sense, the music was loud, and yet, \
when the lights came on, nobody in the whole cinema wanted to stand up and leave."""


def embedded_corpus(draws: int = 16) -> list[str]:
    """Several hundred sentences, the same at every call: filled templates and odd ones."""
    rng = random.Random(2)
    fillers = {**GROUPS, **NUMBERS}
    odd, statements, requests = (re.split("[|\n]", t) for t in (ODD, TEMPLATES, REQUESTS))

    def fill(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda slot: rng.choice(fillers[slot[1]]), template)

    sentences = [fill(request) for request in requests * draws]
    for template in statements * draws:
        second = ", and " + fill(rng.choice(statements)) if rng.random() < 0.15 else ""
        sentences.append(rng.choice(OPENINGS) + fill(template) + second + ".")
    return odd + [text[0].upper() + text[1:] for text in sentences]


# One character can be written in several ways: "é" is one code point, or "e" and a
# combining accent; an apostrophe is straight or curly.  To a program they are different
# tokens, each with half of the evidence.  NFC picks the one-code-point spelling.
def normalise(text: str) -> str:
    """Return the text in Unicode form NFC, with straight quotes, without outer spaces."""
    text = unicodedata.normalize("NFC", text)
    for curly, straight in ("‘'", "’'", '“"', '”"'):
        text = text.replace(curly, straight)
    return text.strip()


# --data takes a UTF-8 text file, one sentence per line:
#     The museum is closed on Monday.
#     Where's the café?
#     See https://example.org for the programme!
def load_sentences(args) -> tuple[list[str], str, bool]:
    """Return the sentences, the name of their source, and whether they are the embedded ones.

    They come normalised, shuffled by the seed, and each only once: a sentence that is both
    in train and held out would make unknown words look rarer than they are.
    """
    if args.data:
        sentences, source = ru.read_text(args.data).splitlines(), Path(args.data).name
    elif args.dataset == "imdb":
        path = ru.data_file("imdb", "aclImdb_v1.tar.gz", args.data_dir, args.offline)
        sentences, source = [text for text, _ in ru.read_imdb(path)["train"]], "imdb"
    else:
        sentences, source = embedded_corpus(), "embedded"
    distinct = [text for text in dict.fromkeys(map(normalise, sentences)) if text]
    if len(distinct) < 20:
        raise ru.UserError(
            f"{args.data}: {len(distinct)} different sentences, and it takes at least 20; "
            "put each on a line of its own, or add more"
        )
    random.Random(args.seed).shuffle(distinct)
    print(f"{'data':<10}{source}: {len(sentences):,} lines, {len(distinct):,} of them different")
    return distinct[: args.max_examples], source, source == "embedded" and not args.data


# %% ------------------------------------------------------------------
# 2. Tokenising
# ----------------------------------------------------------------------

END = "</w>"  # marks the end of a word, so that the pieces can be joined again


# Byte-pair encoding starts from single characters and, again and again, joins the pair of
# neighbours that is most frequent in the corpus.  Frequent words end up whole, rare words
# in pieces, and a word never seen before is spelled from pieces that are known.
def learn_merges(words: collections.Counter, num_merges: int) -> list[tuple[str, str]]:
    """Return up to `num_merges` pairs, in the order in which they were merged.

    `words`: how often each word occurs.  Ties go to the pair that is first in the alphabet;
    pairs that occur once are not merged.  Source: Sennrich et al. 2016.
    """
    spelled = {word: [*word, END] for word in words}
    merges = []
    for _ in range(num_merges):
        counts = collections.Counter()
        for word, pieces in spelled.items():
            for pair in zip(pieces, pieces[1:]):
                counts[pair] += words[word]
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        merges.append(best)
        for word, pieces in spelled.items():
            if best[0] in pieces:
                spelled[word] = merge_pair(pieces, best)
    return merges


def merge_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of the pair, from left to right."""
    merged = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


# A new word is split by replaying the merges in the order in which they were learned:
# always the earliest that applies.
def split_word(word: str, rank: dict[tuple[str, str], int]) -> list[str]:
    """Split one word into learned pieces; `rank` maps a pair to its place in the order."""
    pieces = [*word, END]
    while True:
        pairs = [pair for pair in zip(pieces, pieces[1:]) if pair in rank]
        if not pairs:
            return pieces
        pieces = merge_pair(pieces, min(pairs, key=rank.get))


# Merges are learned within words only: a token never reaches across a space.
def make_bpe_tokenizer(sentences: list[str], num_merges: int):
    """Learn merges from sentences; return the tokenizer and the merges."""
    words = collections.Counter(word for text in sentences for word in ru.basic_english(text))
    merges = learn_merges(collections.Counter(dict(words.most_common(BPE_WORDS))), num_merges)
    rank = {pair: place for place, pair in enumerate(merges)}

    def byte_pair(text: str) -> list[str]:
        return [piece for word in ru.basic_english(text) for piece in split_word(word, rank)]

    return byte_pair, merges


# Splitting at spaces, which everybody tries first, makes "cat", "cat." and "Cat" three words
# that have nothing to do with each other; basic_english lower-cases, and gives punctuation
# tokens of its own.  Characters need the smallest vocabulary and the longest sequences, and
# byte pairs are in between.  Three numbers decide: the vocabulary is the number of rows of the
# embedding (and of the output layer of a language model); tokens per sentence is the number
# of steps the RNN takes; and what is unknown it cannot read at all.
def compare_tokenizers(train: list[str], held_out: list[str], example: str, args) -> dict:
    """Print and return vocabulary size, tokens per sentence and unknown rate of the four."""
    byte_pair, merges = make_bpe_tokenizer(train, args.num_merges)
    first = ", ".join(f"{left}+{right}" for left, right in merges[:7])
    print(f"\nByte-pair encoding learned {len(merges)} merges: {first} ...")
    print(f"One sentence, four tokenizers: {example}")
    tokenizers = {
        "whitespace": str.split,
        "basic_english": ru.basic_english,
        "character": ru.char_tokenizer,
        "byte-pair": byte_pair,
    }
    table = {}
    for name, tokenize in tokenizers.items():
        print(f"  {name:<15}{' | '.join(tokenize(example)[:15])}")
        vocab = ru.Vocab.build(map(tokenize, train), min_freq=args.min_freq)
        new = [tokenize(text) for text in held_out]
        table[name] = {
            "vocabulary": len(vocab),
            "tokens_per_sentence": sum(map(len, new)) / len(new),
            "unknown": unknown_rate(vocab, new),
        }
    print(f"\n  {'tokenizer':<15}{'vocabulary':>10}{'tokens/sentence':>17}{'unknown held-out':>18}")
    for name, row in table.items():
        print("  {:<15}{:>10,}{:>17.1f}{:>18.1%}".format(name, *row.values()))
    return table


def unknown_rate(vocab: ru.Vocab, token_lists: list[list[str]]) -> float:
    """The share of tokens that the vocabulary does not hold."""
    tokens = list(itertools.chain.from_iterable(token_lists))
    return sum(token not in vocab for token in tokens) / max(1, len(tokens))


# Older tutorials use torchtext, whose development ended in 2024.  ru.basic_english and
# ru.Vocab keep its behaviour and method names; where it still loads, this is the proof.
def compare_with_torchtext(sentences: list[str]) -> str:
    """Return one sentence on how torchtext's tokens and vocabulary compare with ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its own end
            from torchtext.data.utils import get_tokenizer
            from torchtext.vocab import build_vocab_from_iterator
    except (ImportError, OSError):  # OSError: installed, but built for another PyTorch
        return "torchtext does not load here, and nothing in this course needs it"
    tokenize = get_tokenizer("basic_english")
    ours = [ru.basic_english(text) for text in sentences]
    differing = sum(tokenize(text) != tokens for text, tokens in zip(sentences, ours))
    vocab = build_vocab_from_iterator(ours, specials=[ru.Vocab.PAD, ru.Vocab.UNK])
    same = "the same" if vocab.get_itos() == ru.Vocab.build(ours).get_itos() else "another"
    return f"torchtext splits {differing} of {len(ours)} sentences differently; vocabulary: {same}"


# %% ------------------------------------------------------------------
# 3. Vocabulary and numericalising
# ----------------------------------------------------------------------


# Pitfall: splitting makes a new string for each occurrence of "the".  Interning keeps one copy
# of each distinct word, and 25,000 film reviews then fit in memory as lists.
def tokenize_all(sentences: list[str]) -> list[list[str]]:
    """Tokenise with basic_english; a text without tokens (only quotes) becomes [<unk>]."""
    return [list(map(sys.intern, ru.basic_english(text))) or [ru.Vocab.UNK] for text in sentences]


def prepare(sentences: list[str], num_train: int, args):
    """Tokenise, build the vocabulary on the first `num_train` sentences, numericalise.

    Returns the token lists, the vocabulary, one tensor of indices (T_i,) per sentence, and what
    it cost.
    """
    started = time.perf_counter()
    tokens = tokenize_all(sentences)
    # On train only: a word that occurs in held-out text alone must stay unknown, as it
    # will be when the model is used.
    vocab = ru.Vocab.build(tokens[:num_train], min_freq=args.min_freq, max_size=args.max_vocab)
    encoded = [torch.tensor(vocab(words)) for words in tokens]
    seconds, count = time.perf_counter() - started, sum(map(len, tokens))
    print(f"\nTokenising, vocabulary and indices of {len(tokens):,} sentences, {count:,} tokens:")
    print(f"  {seconds:.2f} s, which is {count / seconds:,.0f} tokens/s")
    speed = {"tokens": count, "prepare_seconds": seconds, "items_per_second": count / seconds}
    return tokens, vocab, encoded, speed


# A few words make up most of a text, and most words are rare.  Zipf's law: the word of rank r
# occurs about 1/r as often as the first.  So leaving out rare words makes the embedding much
# smaller and loses few tokens; those become <unk>.
def study_vocabulary(tokens, num_train: int, vocab: ru.Vocab, min_freq: int, example: str):
    """Print what the vocabulary covers and misses.

    Returns how often each word of train occurs (sorted array), and the measures.
    """
    train, held_out = tokens[:num_train], tokens[num_train:]
    counts = collections.Counter(itertools.chain.from_iterable(train)).values()
    counts = np.array(sorted(counts, reverse=True))
    covered = counts.cumsum() / counts.sum()  # by the k + 1 most frequent words
    print(f"\nVocabulary: {len(vocab):,} entries; train has {len(counts):,} different", end=" ")
    print(f"words, {int((counts < min_freq).sum()):,} of them rarer than --min-freq {min_freq}")
    print(f"  it begins {vocab.get_itos()[:12]}")
    for k in (10, 100, 1000, 10_000):
        if k < len(counts):
            print(f"  the {k:,} most frequent words cover {covered[k - 1]:.1%} of the tokens")
    unknown = unknown_rate(vocab, held_out)
    print(f"  unknown in the held-out sentences: {unknown:.1%} of the tokens")
    # There and back again: an unknown word comes back as <unk>, whatever it was.
    words = ru.basic_english(example)
    print(f"  tokens   {' '.join(words)}")
    print(f"  indices  {' '.join(map(str, vocab(words)))}")
    print(f"  back     {' '.join(vocab.lookup_tokens(vocab(words)))}")
    return counts, {"size": len(vocab), "train_words": len(counts), "unknown": unknown}


# %% ------------------------------------------------------------------
# 4. Batches: padding, mask, buckets, packing
# ----------------------------------------------------------------------


# A batch is a rectangle, and its longest sentence sets the width.  All others are filled up
# with <pad>, and the mask remembers which steps are real.  So cut the few longest sentences,
# and let sentences of similar length share a batch.
def study_batches(encoded: list[torch.Tensor], num_train: int, args):
    """Truncate, pad one batch, and measure the padding of random and of bucketed batches.

    Returns the cut sentences, the two sets of batches (lists of indices) and the measures.
    """
    full = torch.tensor([len(sentence) for sentence in encoded])  # (N,)
    # Chosen on train only, like the vocabulary.
    cut = args.max_length or int(np.percentile(full[:num_train].numpy(), 95))
    sentences, lengths = [sentence[:cut] for sentence in encoded], full.clamp(max=cut)
    print(f"\nLengths: {full.min()} to {full.max()} tokens, mean {full.float().mean():.1f}")
    print(f"  cut at {cut}, which shortens {(full > cut).float().mean():.1%} of the sentences")

    batch, batch_lengths = ru.pad_batch(sentences[:4])  # (4, T), (4,)
    mask = ru.lengths_to_mask(batch_lengths)  # (4, T)
    assert batch.shape == mask.shape and bool((batch[~mask] == 0).all())
    print(f"  a padded batch {tuple(batch.shape)}, lengths {batch_lengths.tolist()}, and its mask:")
    for row, real in zip(batch[:, :16].tolist(), mask[:, :16].tolist()):  # wider: cut off here
        print("".join(f"{index:6d}" for index in row), "  ", *(".#"[step] for step in real))

    batches = {
        "random": [part.tolist() for part in torch.randperm(len(full)).split(args.batch_size)],
        "bucketed": list(ru.BucketBatchSampler(lengths, args.batch_size, seed=args.seed)),
    }
    share = {name: padding_share(lengths, parts) for name, parts in batches.items()}
    print(f"  padding in batches of {args.batch_size}: at random {share['random']:.1%}", end="")
    print(f", bucketed by length {share['bucketed']:.1%}")
    return sentences, batches, {"cut": cut, "longest": int(full.max()), **share}


def padding_share(lengths: torch.Tensor, batches: list[list[int]]) -> float:
    """The share of padding in all batches of an epoch."""
    cells = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - int(lengths.sum()) / cells


PACK_EXAMPLE = ["the museum is closed on Friday.", "see you next Monday!", "mind the gap!", "no."]


# nn.RNN can skip padding altogether.  A packed sequence stores the batch step by step: all
# first words, then all second words, and so on, only of sentences that are still running;
# batch_sizes[t] says how many those are.  (08 and 09 may need it; on a CPU, buckets are faster.)
def show_packing() -> list[int]:
    """Pack a batch, show what is stored, and assert that unpacking restores the batch."""
    tokens = tokenize_all(PACK_EXAMPLE)
    vocab = ru.Vocab.build(tokens)
    batch, lengths = ru.pad_batch([vocab(words) for words in tokens])  # (B, T), (B,)
    packed = pack_padded_sequence(batch, lengths, batch_first=True, enforce_sorted=False)
    unpacked, lengths_back = pad_packed_sequence(packed, batch_first=True)
    assert torch.equal(unpacked, batch) and torch.equal(lengths_back, lengths)
    sizes = packed.batch_sizes.tolist()
    print(f"\nPacked, the {batch.numel()} cells of a padded batch are {len(packed.data)} tokens:")
    for step, column in enumerate(packed.data.split(sizes)):
        words = "".join(f"{word:<9}" for word in vocab.lookup_tokens(column))
        print(f"  step {step}: {words:<36} batch_sizes[{step}] = {sizes[step]}")
    return sizes


# %% ------------------------------------------------------------------
# 5. Embeddings
# ----------------------------------------------------------------------


# An embedding is a table of V rows.  A one-hot vector times that table picks one row, so an
# embedding *is* a linear layer on one-hot words; looking the row up skips the zeros.
def lookup_is_one_hot_product(indices: torch.Tensor, vocab_size: int) -> dict[str, float]:
    """Assert that both ways agree on the batch (B, T), and time them (seconds)."""
    embedding = nn.Embedding(vocab_size, 32).requires_grad_(False)
    one_hot = F.one_hot(indices, vocab_size).float()  # (B, T, V)
    assert torch.allclose(embedding(indices), one_hot @ embedding.weight)  # (B, T, E)
    lookup = min(timeit.repeat(lambda: embedding(indices), number=1, repeat=50))
    product = min(timeit.repeat(lambda: one_hot @ embedding.weight, number=1, repeat=50))
    print(f"\nEmbedding {tuple(indices.shape)} words of {vocab_size:,}, two ways, one result:")
    print(f"  lookup {lookup * 1e6:,.0f} us, one-hot product {product * 1e6:,.0f} us")
    return {"lookup_seconds": lookup, "one_hot_seconds": product}


# "You shall know a word by the company it keeps" (Firth 1957).  Skip-gram trains the vector
# of a word to predict the words around it; words that keep similar company get similar vectors.
def skipgram_pairs(sentences: list[torch.Tensor], window: int) -> torch.Tensor:
    """Return (P, 2): every word with every word up to `window` steps away, `<unk>` left out."""
    flat = torch.cat(sentences)  # (N,)
    sentence_of = torch.arange(len(sentences)).repeat_interleave(
        torch.tensor([len(sentence) for sentence in sentences])
    )
    pairs = []
    for distance in range(1, window + 1):
        left, right = flat[:-distance], flat[distance:]
        inside = (sentence_of[:-distance] == sentence_of[distance:]) & (left > 1) & (right > 1)
        pairs += [torch.stack([left, right], 1)[inside], torch.stack([right, left], 1)[inside]]
    return torch.cat(pairs)


NUM_NEGATIVES = 5  # K


# Predicting one word of V needs a softmax over V.  Negative sampling asks an easier question:
# is this a real pair, or was its second word drawn at random?  Each word has two vectors, v
# as a centre and u as a neighbour, because a word is seldom its own neighbour; v is kept.
def train_skipgram(pairs: torch.Tensor, vocab_size: int, args, device) -> torch.Tensor:
    """Train on pairs (P, 2) for `args.epochs`; return the vectors (V, E) on the CPU.

    Source: Mikolov et al. 2013; the random words are drawn by frequency to the power 3/4.
    """
    centres = nn.Embedding(vocab_size, args.embedding_size).to(device)
    contexts = nn.Embedding(vocab_size, args.embedding_size).to(device)
    # With every u at 0 all scores start at 0: each pair is as likely real as drawn.  Pitfall: if
    # every v were 0 as well, all gradients would be 0, and nothing would ever move.
    nn.init.zeros_(contexts.weight)
    nn.init.normal_(centres.weight, std=0.1)
    optimizer = torch.optim.Adam([centres.weight, contexts.weight], lr=0.01)
    noise = torch.bincount(pairs[:, 1], minlength=vocab_size).float() ** 0.75  # (V,)
    for epoch in range(1, args.epochs + 1):
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
            loss_sum += float(loss.detach()) * len(batch)
        ru.check_finite(loss_sum, epoch)
        if epoch in (1, args.epochs):
            print(f"  epoch {epoch:3d}  loss {loss_sum / len(pairs):.3f} nats per pair")
    return centres.weight.detach().cpu()


# Skip-gram compares vectors by their product, so it is the direction that carries meaning;
# the length grows with frequency.  Hence the cosine.
def nearest(vectors: torch.Tensor, index: int, count: int) -> list[int]:
    """The words whose vectors make the smallest angle with that of word `index`."""
    similarity = F.cosine_similarity(vectors[index][None], vectors)  # (V,)
    similarity[[0, 1, index]] = -2.0  # neither <pad> nor <unk>, nor the word itself
    return similarity.topk(count).indices.tolist()


def known_groups(vocab: ru.Vocab) -> list[list[str]]:
    """The words of each group that the vocabulary holds, without groups of which it holds none."""
    lowered = [[word.lower() for word in words] for words in GROUPS.values()]
    return [known for words in lowered if (known := [word for word in words if word in vocab])]


# Do the vectors know what the corpus was made from?  For each word of a group: how many of
# its 3 nearest neighbours, among all words, are of the same group?
def group_purity(vectors: torch.Tensor, vocab: ru.Vocab) -> float:
    hits = []
    for words in known_groups(vocab):
        indices = vocab(words)
        hits += [near in indices for index in indices for near in nearest(vectors, index, 3)]
    return sum(hits) / max(1, len(hits))


def study_embeddings(sentences, vocab: ru.Vocab, embedded: bool, args, device):
    """Train skip-gram vectors and print nearest neighbours; return vectors and measures."""
    pairs = skipgram_pairs(sentences, window=3)
    if len(vocab) < 10 or len(pairs) == 0:
        raise ru.UserError(
            f"{args.data or args.dataset}: only {len(vocab) - 2} words are in the vocabulary, too "
            "few to learn from; lower --min-freq, raise --max-vocab or give more text"
        )
    print(f"\nSkip-gram: {len(pairs):,} pairs of words from {len(sentences):,} sentences")
    vectors = train_skipgram(pairs, len(vocab), args, device)  # (V, E)
    words = [word.lower() for word in args.words or PROBES if word.lower() in vocab]
    if not args.words and not embedded:  # frequent, and no mere "the"
        words = [word for word in vocab.get_itos()[2:] if len(word) > 3][:20:4]
    near = {word: vocab.lookup_tokens(nearest(vectors, vocab[word], 4)) for word in words}
    for word, neighbours in near.items():
        print(f"  {word:<12} {', '.join(neighbours)}")
    measures = {"pairs": len(pairs), "neighbours": near}
    if embedded:
        measures["same_group"] = group_purity(vectors, vocab)
        measures["same_group_random"] = group_purity(torch.randn(vectors.shape), vocab)
        print(f"  of 3 neighbours, in the word's own group: {measures['same_group']:.1%}", end="")
        print(f"; with random vectors {measures['same_group_random']:.1%}")
    return vectors, measures


def save_results(sentences, num_train: int, vocab: ru.Vocab, vectors, args) -> list[Path]:
    """Write processed.pt (indices, lengths, vocabulary, vectors) and vocab.json."""
    folder = Path(args.output_dir)
    ru.save_checkpoint(
        folder / "processed.pt",
        TUTORIAL,
        indices=torch.cat(sentences),  # all sentences, one after the other
        lengths=torch.tensor([len(sentence) for sentence in sentences]),
        num_train=num_train,
        vocab=vocab.get_itos(),
        embeddings=vectors,
    )
    return [folder / "processed.pt", ru.write_json(folder / "vocab.json", vocab.get_itos())]


# What all this was for.  The file holds everything a model needs, and it loads without
# trusting its author (`weights_only=True`: tensors and plain types, no code).
def feed_rnn(path: Path) -> None:
    """Load processed.pt and put its first four sentences through nn.RNN, printing shapes."""
    data = ru.load_checkpoint(path, TUTORIAL)
    sentences = data["indices"].split(data["lengths"].tolist())
    batch, lengths = ru.pad_batch(sentences[:4])  # (B, T), (B,)
    embedding = nn.Embedding.from_pretrained(data["embeddings"], padding_idx=0)
    rnn = nn.RNN(embedding.embedding_dim, hidden_size=16, batch_first=True)
    inputs = embedding(batch)  # (B, T, E)
    output, h_n = rnn(inputs)  # (B, T, H), (1, B, H)
    # Pitfall: h_n is the state after the padding.  Each sentence's own last state is at
    # lengths - 1, and is what a packed run returns as h_n.
    last = output[torch.arange(len(batch)), lengths - 1]  # (B, H)
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    assert torch.allclose(rnn(packed)[1][0], last, atol=1e-6)
    print(f"\nFrom {path.name} to nn.RNN: indices {tuple(batch.shape)} -> embedded", end=" ")
    print(f"{tuple(inputs.shape)} -> output {tuple(output.shape)}, h_n {tuple(h_n.shape)}")


# %% ------------------------------------------------------------------
# 6. Figures
# ----------------------------------------------------------------------


# On two logarithmic axes Zipf's 1 / rank is a straight line.
def plot_corpus(counts: np.ndarray, encoded, cut: int, title: str, plt):
    figure, (zipf, cover, length) = plt.subplots(1, 3, figsize=(10, 3.7))
    ranks = np.arange(1, len(counts) + 1)
    zipf.loglog(ranks, counts, ".", label="words")
    zipf.loglog(ranks, counts[0] / ranks, "--", color=ru.GREY, label="Zipf: 1 / rank")
    zipf.set(xlabel="rank of the word", ylabel="occurrences", title="How often is a word used?")
    zipf.set_ylim(bottom=0.7)
    zipf.legend()
    cover.semilogx(ranks, 100 * counts.cumsum() / counts.sum())
    cover.set(xlabel="words kept", ylabel="tokens covered (%)", title="How many words suffice?")
    lengths = np.array([len(sentence) for sentence in encoded])
    longest = int(np.percentile(lengths, 99.5))
    length.hist(lengths, bins=np.arange(0.5, longest + 1, max(1, longest // 40)))
    length.axvline(cut + 0.5, color=ru.ORANGE, linestyle="--")
    length.set(xlabel=f"tokens (dashed: cut at {cut})", ylabel="sentences")
    length.set_title("How long is a sentence?")
    figure.suptitle(f"What is the text made of?{title}")
    return figure


# Every cell is one step of one sentence: the darker, the more frequent the word; grey is
# padding, for which the network works and learns nothing.
def plot_padding(sentences, batches: dict, share: dict, title: str, plt):
    figure, grid = plt.subplots(2, 4, figsize=(9, 5.6), sharey=True)
    longest = max(len(sentence) for sentence in sentences)
    scale = np.log(max(int(sentence.max()) for sentence in sentences) + 1)
    for row, (name, parts) in zip(grid, batches.items()):
        for axes, part in zip(row, parts):
            batch, lengths = ru.pad_batch([sentences[index] for index in part])  # (B, T)
            mask = ru.lengths_to_mask(lengths).numpy()  # (B, T)
            colours = plt.get_cmap("viridis")(np.log(batch.numpy() + 1) / scale)  # (B, T, 4)
            colours[~mask] = (0.85, 0.85, 0.85, 1.0)
            axes.imshow(colours, aspect="auto", interpolation="nearest",
                        extent=(0, batch.shape[1], len(batch), 0))  # fmt: skip
            axes.set(xlim=(0, longest), xlabel="step", title=f"{1 - mask.mean():.0%} padding")
        for axes in row[len(parts) :]:
            axes.axis("off")
        row[0].set_ylabel(f"{name} batches\n({share[name]:.0%} padding)\nsentence")
    figure.suptitle(f"How much of a batch is padding (grey)?{title}")
    return figure


# A map has two dimensions and a vector E.  PCA keeps the two directions along which the
# drawn vectors differ most: the first right singular vectors of the centred matrix.  Words
# that are far apart here are far apart in truth; words close together need not be.
def plot_embeddings(vectors: torch.Tensor, vocab: ru.Vocab, groups: list[list[str]], title, plt):
    """Draw groups of words, or each word of the only group; it takes three words for a map."""
    chosen = F.normalize(vectors[vocab(itertools.chain(*groups))])  # (W, E), length 1
    centred = chosen - chosen.mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    points = (centred @ directions[:2].T).split([len(words) for words in groups])  # (W, 2)
    kept = singular[:2].square().sum() / singular.square().sum()
    figure, axes = plt.subplots(figsize=(9, 6))
    colours = [*ru.PALETTE, ru.GREY, "#882255"]
    for number, (words, xy) in enumerate(zip(groups, points)):
        axes.scatter(*xy.T.numpy(), color=colours[number], marker="osD^v"[number % 5])
        if len(groups) > 1:  # one label above each group: a label on every word is illegible
            labels = {", ".join(words[:3]) + " ...": (xy[:, 0].mean(), xy[:, 1].max())}
        else:
            labels = dict(zip(words, xy))
        for text, (x, y) in labels.items():
            axes.annotate(drawable(text), (float(x), float(y)), (0, 6), ha="center",
                          textcoords="offset points", size=10)  # fmt: skip
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.set_title(f"Are words that keep similar company close together?{title}")
    axes.text(1, 0, f"the two components hold {kept:.0%} of the variance", size=9, color="#666666",
              transform=axes.transAxes, ha="right", va="bottom")  # fmt: skip
    return figure


# Pitfall: "$" starts a formula in matplotlib, and its font has neither emoji nor Chinese.
def drawable(text: str) -> str:
    return "".join(c if ord(c) < 0x500 else "?" for c in text).replace("$", r"\$")


# %% ------------------------------------------------------------------
# 7. Command line and main
# ----------------------------------------------------------------------

PROBES = ["cat", "monday", "paris", "piano"]
EXAMPLE = "Don't panic: Zoë's café isn't closed on Monday, is it?"
QUICK = {"max_examples": 250, "num_merges": 60, "epochs": 5}


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--data", metavar="FILE", help="your own UTF-8 text, one sentence per line")
    add("--dataset", choices=("embedded", "imdb"), default="embedded", help="imdb: film reviews")
    add("--words", nargs="+", help="print the nearest neighbours of these")
    add("--num-merges", type=ru.at_least(0), default=300, help="byte-pair merges to learn")
    add("--min-freq", type=ru.at_least(1), default=2, help="rarer words become <unk>")
    add("--max-vocab", type=ru.at_least(3), default=20_000, help="largest vocabulary")
    add("--max-length", type=ru.at_least(0), default=0, help="tokens kept; 0: 95 %% stay whole")
    quick = "a tiny run on embedded data, to see that it works"
    add("--quick", action="store_true", help=quick)
    add = parser.add_argument_group("batches and embeddings").add_argument
    add("--batch-size", type=ru.at_least(1), default=32, help="sentences per batch")
    add("--embedding-size", type=ru.at_least(2), default=32, help="numbers per word vector")
    add("--epochs", type=ru.at_least(1), default=15, help="passes over the training pairs")
    add("--max-examples", type=ru.at_least(20), metavar="N", help="use about N of the sentences")
    ru.add_run_flags(parser, threads=1)
    return ru.parse_arguments(parser, argv, QUICK)


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: from sentences to batches that an RNN can read\n")
    ru.print_configuration(args, device)
    text, args.dataset, embedded = load_sentences(args)
    num_train = len(text) * 9 // 10
    train, held_out = text[:num_train], text[num_train:]
    print(f"{'split':<10}{len(train):,} train, {len(held_out):,} held out", end="")
    print(f"; the slow parts read {SAMPLE} of each" if len(train) > SAMPLE else "")

    example = EXAMPLE if embedded else held_out[0][:60]
    tokenizers = compare_tokenizers(train[:SAMPLE], held_out[:SAMPLE], example, args)
    torchtext = compare_with_torchtext(text[:SAMPLE])
    print(f"  {torchtext}")
    tokens, vocab, encoded, speed = prepare(text, num_train, args)
    counts, vocabulary = study_vocabulary(tokens, num_train, vocab, args.min_freq, example)
    sentences, batches, padding = study_batches(encoded, num_train, args)
    packing = show_packing()
    some = [sentence[:16] for sentence in sentences[:16]]  # one-hot takes V numbers a word
    lookup = lookup_is_one_hot_product(ru.pad_batch(some)[0], len(vocab))
    sample = sentences[:num_train][:SAMPLE]
    vectors, embeddings = study_embeddings(sample, vocab, embedded, args, device)
    files = save_results(sentences, num_train, vocab, vectors, args)
    feed_rnn(files[0])
    if not args.no_plots:
        plt = ru.get_pyplot(args.show)
        title = " (embedded data)" if embedded else f" ({drawable(args.dataset)})"
        figures = {
            "corpus": plot_corpus(counts, encoded, padding["cut"], title, plt),
            "padding": plot_padding(sentences, batches, padding, title, plt),
        }
        groups = known_groups(vocab) if embedded else [vocab.get_itos()[2:52]]
        if sum(map(len, groups)) >= 3:
            figures["embeddings"] = plot_embeddings(vectors, vocab, groups, title, plt)
        files += ru.save_figures(figures, args)
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.dataset, embedded=embedded,
        tokenizers=tokenizers, torchtext=torchtext, vocabulary=vocabulary, padding=padding,
        packed_batch_sizes=packing, lookup=lookup, embeddings=embeddings, **speed,
    )  # fmt: skip
    ru.print_files(args, files)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: what becomes of the two shares of padding with --batch-size 2, and what
#    with --batch-size 500?  Look at padding.png.
# 2. Run with --num-merges 0 and with 3000.  How many merges does the corpus yield at most, and
#    why?  Compare byte-pair's tokens per sentence with those of the character tokenizer, then
#    with those of basic_english: what does it turn into at either end?
# 3. Explain: the embedded corpus bends away from the Zipf line where English would not.  Find
#    the reason in TEMPLATES, then check with a book of your own (--data).
# 4. In `study_embeddings`, give `skipgram_pairs` a window of 1, then of 10.  With which do the
#    nearest neighbours become words of the same sentences rather than of the same kind?
#    Watch "in the word's own group".
# 5. Open: basic_english cuts "don't" into three tokens and loses capitals and quotes.  For
#    which task does that help, and for which would you keep them?
