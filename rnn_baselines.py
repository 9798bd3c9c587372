"""Scores, and the simple methods that a network has to beat.

Is an accuracy of 0.80 good?  Not if 80 % of the texts have the same label.  So each chapter
prints two kinds of baseline beside its network: a trivial one, and a strong classical one.
Baselines are tuned as fairly as the network: their settings are chosen on validation.

Symbols: N examples, T steps of a window, I features, K steps ahead, L labels.
"""

import collections
import copy
import math

import numpy as np
import torch


# %% ---- 1. Classification ----------------------------------------------------------------
def classification_scores(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Loss (nats per example), accuracy and macro-F1 of logits (N, L) for labels (N,).

    F1 = 2 precision recall / (precision + recall) is computed for each label, and macro-F1
    is the mean over the labels: a rare label counts as much as a frequent one.
    """
    from sklearn.metrics import f1_score

    predicted = logits.argmax(dim=1).cpu().numpy()  # (N,)
    wanted = targets.cpu().numpy()  # (N,)
    return {
        "loss": float(torch.nn.functional.cross_entropy(logits, targets)),
        "accuracy": float((predicted == wanted).mean()),
        "macro_f1": float(f1_score(wanted, predicted, average="macro")),
    }


def classifier_baselines(splits: dict[str, list], vectorizers: dict) -> tuple[dict, np.ndarray]:
    """What a classifier of texts has to beat: always the majority, and n-gram regressions.

    splits        {"train", "val", "test"} of (text, label) pairs
    vectorizers   {name: vectorizer}, see ngram_regression

    Returns {name: accuracy on test}, and which test texts the last of them has right, (N,).
    """
    majority, _ = collections.Counter(label for _, label in splits["train"]).most_common(1)[0]
    right = np.array([label == majority for _, label in splits["test"]])
    accuracies = {"majority label": float(right.mean())}
    for name, vectorizer in vectorizers.items():
        right, _ = ngram_regression(splits["train"], splits["val"], splits["test"], vectorizer)
        accuracies[name] = float(right.mean())
    return accuracies, right


def ngram_regression(train, val, test, vectorizer, strengths=(0.1, 1.0, 10.0, 100.0)):
    """Classify texts by logistic regression on n-grams: n neighbouring letters or words.

        p(label | text) = softmax(W counts(text) + b)

    train, val, test   (text, label) pairs; a text may be a list of tokens
    vectorizer         of scikit-learn: turns texts into counts; is fitted on train only.
                       For lists of tokens, set its token_pattern to "[^ ]+"
    strengths          values of C to try: a large C lets W fit train closely, a small one
                       keeps W near 0.  The most accurate on val is used, the first of ties

    Returns which test texts are right, (N,) bool, and C.
    Raises scikit-learn's ValueError if train has a single label or no n-gram.
    """
    from sklearn.linear_model import LogisticRegression

    counts = vectorizer.fit_transform(_joined(train))  # (N, number of n-grams), sparse
    labels = [label for _, label in train]
    val_counts = vectorizer.transform(_joined(val))
    val_labels = [label for _, label in val]
    model = LogisticRegression(max_iter=3000, warm_start=True)
    models = []
    for C in strengths:  # each starts from the weights of the one before: half of the time
        models.append(copy.deepcopy(model.set_params(C=C).fit(counts, labels)))
    best = max(models, key=lambda model: model.score(val_counts, val_labels))
    # The choice is made.  Only now do we look at test.
    predicted = best.predict(vectorizer.transform(_joined(test)))
    return predicted == np.array([label for _, label in test]), best.C


def _joined(pairs) -> list[str]:
    """The first of each pair as one string: a text as it is, tokens with spaces between."""
    return [text if isinstance(text, str) else " ".join(text) for text, _ in pairs]


def paired_interval(right: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Difference of two accuracies on the same N examples, and its 95 % interval.

    For each example, d is 1 if only the first model is right, -1 if only the other, else 0.

        mean(d) - 1.96 std(d) / sqrt(N)   to   mean(d) + 1.96 std(d) / sqrt(N)

    std(d) / sqrt(N), the standard error, says how much the mean varies between samples of N
    examples: by less than 1.96 standard errors in 95 % of them.  If the interval has 0, the
    difference may be luck.  With fewer than ten d that are not 0, do not trust it.

    right, other: (N,) bool.  Returns (difference, low, high).  ValueError if N differs.
    """
    if np.shape(right) != np.shape(other):
        raise ValueError(f"shapes {np.shape(right)} and {np.shape(other)} do not pair")
    d = np.asarray(right, dtype=float) - np.asarray(other, dtype=float)  # (N,)
    margin = 1.96 * d.std() / math.sqrt(len(d))
    return float(d.mean()), float(d.mean() - margin), float(d.mean() + margin)


# %% ---- 2. Forecasting -------------------------------------------------------------------
def forecast_scores(forecasts: dict, truth: np.ndarray, naive_error: float) -> dict:
    """Score forecasts {name: (N, K)} by truth (N, K), the values that followed N windows.

    One forecast is called "persistence": nothing changes.  naive_error, above 0, is its MAE
    one step ahead on the training stretch.  MAE and RMSE are in the unit of the series.

    Returns {name: {"mae", "rmse", "mase", "skill", "t", "by_horizon"}}, one step ahead;
    by_horizon has lists of the first four for all K steps.  t says how surely persistence
    is beaten: from -2 to 2, claim nothing.  Sources: Hyndman and Koehler 2006 (MASE),
    Diebold and Mariano 1995 (t).
    """
    naive_squared = (forecasts["persistence"] - truth) ** 2  # (N, K)
    naive_rmse = np.sqrt(naive_squared.mean(axis=0))  # (K,)
    divisor = np.where(naive_rmse > 0, naive_rmse, 1)
    scores: dict[str, dict] = {}
    for name, forecast in forecasts.items():
        squared = (forecast - truth) ** 2  # (N, K)
        # RMSE = sqrt(mean of error^2): a large error counts for more than in MAE
        rmse = np.sqrt(squared.mean(axis=0))  # (K,)
        mae = np.abs(forecast - truth).mean(axis=0)  # (K,)
        # MASE = MAE / MAE of persistence on train
        mase = mae / naive_error
        # skill = 1 - RMSE / RMSE of persistence; 0 where persistence makes no error
        skill = np.where(naive_rmse > 0, 1 - rmse / divisor, 0)
        steps = {"mae": mae, "rmse": rmse, "mase": mase, "skill": skill}
        scores[name] = {measure: float(values[0]) for measure, values in steps.items()}
        # t = mean(gain) / (std(gain) / sqrt(N)), one step ahead
        gain = naive_squared[:, 0] - squared[:, 0]  # (N,)
        error = gain.std() / math.sqrt(len(gain))
        scores[name]["t"] = float(gain.mean() / error) if error > 0 else 0.0
        scores[name]["by_horizon"] = {key: row.tolist() for key, row in steps.items()}
    return scores


def naive_forecasts(values: np.ndarray, now: np.ndarray, num_steps: int, season: int) -> dict:
    """Forecast values (T,) at the places `now` (N,) by old ones: {name: (N, K)}, K = num_steps."""
    # persistence: y_{t+k} = y_t
    persistence = np.repeat(values[now, None], num_steps, axis=1)
    # seasonal naive: y_{t+k} = y_{t+k-m}, as one season of m steps before.  Further ahead than
    # one season, that is not known yet either: go back two, three ...
    ahead = np.arange(1, num_steps + 1)  # (K,)
    back = season * -(-ahead // season) - ahead  # (K,) steps before now, none negative
    return {"persistence": persistence, "seasonal naive": values[now[:, None] - back]}


def print_forecast_scores(scores: dict, title: str) -> None:
    """Print a table of what forecast_scores returns: one step ahead, and the last step."""
    num_steps = len(next(iter(scores.values()))["by_horizon"]["rmse"])
    lines = [f"{'':<20}one step ahead{'':<31}{num_steps} steps ahead"]
    lines.append(f"{'':<23}MAE      RMSE      MASE   skill      t        RMSE   skill")
    for name, row in scores.items():
        near = f"{row['mae']:10.3g}{row['rmse']:10.3g}{row['mase']:10.3g}{row['skill']:+8.2f}"
        steps = row["by_horizon"]
        far = f"{steps['rmse'][-1]:12.3g}{steps['skill'][-1]:+8.2f}"
        lines.append(f"  {name:<14}{near}{row['t']:+7.1f}{far}")
    if num_steps == 1:
        lines = [line[:61].rstrip() for line in lines]  # the last step is the first
    print(f"\n{title}", *lines, sep="\n")
    name, first = next(iter(scores.items()))
    verdict = "better" if first["t"] > 0 else "worse"
    if abs(first["t"]) <= 2:
        verdict = "neither better nor worse"
    print(f"  One step ahead {name} is {verdict} than persistence (t = {first['t']:+.1f}).")


def plot_by_horizon(scores: dict[str, dict], label: str, title: str):
    """Return a figure: RMSE of {name: scores of a forecast} against the number of steps ahead."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name, row in scores.items():
        rmse = row["by_horizon"]["rmse"]
        axes.plot(range(1, len(rmse) + 1), rmse, "o-", ms=3, label=name)
    axes.set(xlabel="steps ahead", ylabel=f"RMSE, {label}")
    axes.set_yscale("log", base=2)  # each line of the grid is twice the one below
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))  # beside the curves
    axes.set_title(title)
    return figure


def linear_forecast(train, val, inputs, penalties=(1e-6, 1e-3, 1.0, 100.0)) -> np.ndarray:
    """Forecast by a weighted sum of the window: linear autoregression, "linear AR".

        y_{t+k} = b_k + w_k . window          k = 1 to K steps ahead

    Ridge regression: the weights minimise squared error + penalty * |w_k|^2 on train.  The
    penalty keeps them small where neighbouring columns are nearly alike, as in a smooth
    series.  For each k, the penalty with the least squared error on val is used.

    train, val   (inputs, targets, ...): (N, T) or (N, T, I), and (N, K), scaled.  Of train, at
                 most 20,000 windows are used, evenly spaced
    inputs       (M, T) or (M, T, I): the windows to forecast from.  Returns (M, K), scaled
    """
    from sklearn.linear_model import Ridge

    num_steps = train[1].shape[1]  # K
    every = 1 + len(train[0]) // 20_000
    fitted_inputs = _flat(train[0][::every])
    fitted_targets = _flat(train[1][::every])
    errors = []
    forecasts = []
    for penalty in penalties:
        ridge = Ridge(alpha=penalty).fit(fitted_inputs, fitted_targets)
        # With K = 1, predict may return (N,): make it (N, 1).
        guesses = ridge.predict(_flat(val[0])).reshape(-1, num_steps)
        errors.append(((guesses - _flat(val[1])) ** 2).mean(axis=0))  # (K,)
        forecasts.append(ridge.predict(_flat(inputs)).reshape(-1, num_steps))  # (M, K)
    best = np.argmin(errors, axis=0)  # (K,): the place of a penalty
    return np.stack([forecasts[best[k]][:, k] for k in range(num_steps)], axis=1)  # (M, K)


def _flat(inputs) -> np.ndarray:
    """Windows (N, T) or (N, T, I), an array or a tensor, as rows (N, T * I) of float64."""
    if isinstance(inputs, torch.Tensor):
        inputs = inputs.cpu()
    return np.asarray(inputs, dtype=float).reshape(len(inputs), -1)


# %% ---- 3. Sequences ---------------------------------------------------------------------
def sequence_scores(outputs: list, wanted: list) -> dict[str, float]:
    """Compare N answers, tuples of tokens, with the N wanted ones; ValueError if N differs.

    token_accuracy   the share of the wanted tokens that have the same place in the answer
    exact_match      the share of the answers in which nothing is wrong
    bleu             0 to 100, for translations: many answers are right
    """
    num_exact = 0
    num_right = 0
    for output, target in zip(outputs, wanted):
        num_exact += output == target
        num_right += sum(ours == theirs for ours, theirs in zip(output, target))
    return {
        "token_accuracy": num_right / sum(len(target) for target in wanted),
        "exact_match": num_exact / len(wanted),
        "bleu": bleu(outputs, wanted),
    }


def bleu(outputs: list, references: list) -> float:
    """BLEU of N tokenised sentences, 0 to 100; each has one reference.

        BLEU = 100 brevity (p_1 p_2 p_3 p_4)^(1/4)

    p_n is a precision: of all groups of n successive words in the outputs, the share that
    also stands in the reference of the same sentence, at any place.  p_1 asks for the right
    words, p_4 for their order as well.  Two rules stop cheap tricks:

    - Clipping: a group is right at most as often as the reference has it.  Otherwise the
      output "the the the" would be perfect for the reference "the cat sat".
    - Brevity: precision alone rewards an output of one safe word.  With c words in all
      outputs and r in all references, brevity = exp(1 - r / c) if c < r, else 1.

    Example: for "a b c d", the output "a b c x" has p_1 = 3/4, p_2 = 2/3 (a b, b c),
    p_3 = 1/2 (a b c) and p_4 = 0, so BLEU is 0.  That is harsh for one sentence.  So right
    groups and all groups are summed over the N sentences before dividing.

    Short texts: groups longer than every reference cannot be right.  So n goes up to the
    length of the longest reference, at most 4, and the root follows.  bleu(r, r) is 100.

    Do not compare scores if the sentences are cut into tokens in different ways.  Source:
    Papineni et al. 2002.  ValueError if N differs, or no reference has a word.
    """
    order = min(4, max(len(reference) for reference in references))
    if order == 0 or len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs for {len(references)} references")
    mean_log = 0.0  # the logarithm of the root: log(p_1 p_2 ...) / order
    for n in range(1, order + 1):
        right = 0
        total = 0
        for output, reference in zip(outputs, references):
            ours = _count_groups(output, n)
            clipped = ours & _count_groups(reference, n)  # the smaller count of each group
            right += sum(clipped.values())
            total += sum(ours.values())
        if right == 0:
            return 0.0
        mean_log += math.log(right / total) / order
    c = sum(len(output) for output in outputs)
    r = sum(len(reference) for reference in references)
    return 100 * math.exp(min(0.0, 1 - r / c) + mean_log)


def _count_groups(words, n: int) -> collections.Counter:
    """How often each group of n successive words occurs."""
    return collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def translation_memory(train: list, sources: list) -> list:
    """Answer each source with the target of the most similar source of train.

    Sources are similar if they share rare words and rare pairs of neighbours (TF-IDF,
    cosine).  train holds (source, target) tuples of tokens.  Returns a target per source.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf = TfidfVectorizer(ngram_range=(1, 2), token_pattern="[^ ]+", dtype=np.float32)
    memory = tfidf.fit_transform(_joined(train))  # (N, features), sparse
    answers = []
    for query in tfidf.transform([" ".join(source) for source in sources]):
        similarity = memory @ query.T  # (N, 1): cosines, as all rows have length 1
        answers.append(train[similarity.toarray().argmax()][1])
    return answers


# %% ---- 4. Language models ---------------------------------------------------------------
def kneser_ney(ids: np.ndarray, start: int, vocab_size: int, order: int) -> np.ndarray:
    """An n-gram language model: p(ids[i] | the n - 1 ids before it) for i >= start, (N,).

    n = order: choose it on validation.  Only ids[:start] are counted.  Long contexts say
    most, but most are rare.  So each order takes a discount D off its counts and gives what
    it saves to the shorter context c', which is c without its oldest symbol:

        p_n(w | c) = (count(c, w) - D + saved(c) p_{n-1}(w | c')) / count(c)
        saved(c)   = sum of D over all symbols seen after c

    Shorter contexts count in how many contexts a symbol was seen, not how often (Kneser and
    Ney 1995): "Francisco" is frequent, but only after "San".  D depends on the count, as in
    the "modified" variant of Chen and Goodman 1999.  An n-gram is kept as one integer:
    ValueError if vocab_size ** order > 2 ** 63, or if start < order.
    """
    if start < order or vocab_size**order > 2**63:
        raise ValueError(f"order {order} is too high for {start} ids below {vocab_size}")
    grams, counts = np.unique(_ngrams(ids[:start], order, vocab_size), return_counts=True)
    tables = []
    for n in range(order, 0, -1):
        tables.append((n, grams, counts))
        # Drop the oldest symbol; each different n-gram counts once.
        grams, counts = np.unique(grams % vocab_size ** (n - 1), return_counts=True)
    p = np.full(len(ids) - start, 1 / vocab_size)  # (N,) order 0: all symbols alike
    for n, grams, counts in reversed(tables):
        D = _discounts(counts)  # (4,)
        contexts, first = np.unique(grams // vocab_size, return_index=True)
        totals = np.add.reduceat(counts, first)
        savings = np.add.reduceat(D[np.minimum(counts, 3)], first)
        keys = _ngrams(ids[start - n + 1 :], n, vocab_size)  # (N,) what is to be predicted
        count = _look_up(keys, grams, counts)
        total = _look_up(keys // vocab_size, contexts, totals)
        saved = _look_up(keys // vocab_size, contexts, savings)
        # p_n = (count - D + saved p_{n-1}) / total; a context never seen changes nothing
        kept = count - D[np.minimum(count, 3)]
        p = np.where(total > 0, (kept + saved * p) / np.maximum(total, 1), p)
    return p


def _discounts(counts: np.ndarray) -> np.ndarray:
    """The discounts (4,) of n-grams seen 0, 1, 2, and 3 or more times: 0, D_1, D_2, D_3.

        D_k = k - (k + 1) Y n_{k+1} / n_k          Y = n_1 / (n_1 + 2 n_2)

    n_k n-grams were seen k times.  If few were, this may be 0 / 0 or not above 0: then D_k
    is k / 2, as in KenLM.  So no discount is 0, and no probability either.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    D = np.array([0.0, 0.5, 1.0, 1.5])
    Y = n[1] / max(1, n[1] + 2 * n[2])
    for k in (1, 2, 3):
        discount = k - (k + 1) * Y * n[k + 1] / max(1, n[k])
        if n[1] > 0 and n[k] > 0 and discount > 0:
            D[k] = discount
    return D


def _ngrams(ids: np.ndarray, n: int, vocab_size: int) -> np.ndarray:
    """The N - n + 1 n-grams of ids (N,), each as one integer in base vocab_size."""
    keys = np.zeros(len(ids) - n + 1, dtype=np.int64)
    for offset in range(n):
        keys = keys * vocab_size + ids[offset : len(keys) + offset]
    return keys


def _look_up(keys: np.ndarray, table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each key in a sorted table, 0 for keys that are not in it."""
    places = np.searchsorted(table, keys).clip(max=len(table) - 1)
    return np.where(table[places] == keys, values[places], 0)
