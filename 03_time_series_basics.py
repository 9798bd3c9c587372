"""03_time_series_basics: how a time series becomes examples, and how not to fool yourself.

The question    A network learns from pairs of input and target.  How does one long row of
                numbers become pairs?  How do we know that a forecast is any good?
The number      +0.66 or -0.10: the skill of the same nearest-neighbour model on Google's
                share price, with its windows split at random, and split by time.  Only the
                second is true.

Windows of L steps, and the K steps after each as its target (N windows, I = 1 feature):

    input_n  = (y_n, ..., y_{n+L-1})            target_n = (y_{n+L}, ..., y_{n+L+K-1})
    z_t      = (y_t - mean) / std               mean and std of the training stretch only
    skill    = 1 - RMSE / RMSE of persistence   persistence forecasts "as now"

    python 03_time_series_basics.py             # 4 s, one core used

    Fooling yourself 1: splitting at random      skill 12 days ahead, split
                                                 at random     by time
      5 neighbours        GOOG                       +0.66       -0.10
      5 neighbours        10 random walks            +0.60       -0.55

Writes metrics.json and four figures to outputs/03_time_series_basics/; look at fooling.png first.

Next: 04_simple_rnn.py, the first recurrent network; 06_gru_time_series.py forecasts.
"""

from __future__ import annotations

import argparse

import numpy as np

import rnn_baselines as rb
import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "03_time_series_basics"


# %% [markdown]
# ## 1. Data
# A series has one number for each time step, the oldest first.  Ours is made by a rule, so we
# know what is in it: a trend, two seasons (think of the hours of a day and of a week) and noise.
# Nobody can forecast the noise, so no forecast of it has an RMSE below NOISE, except by luck.
# %%
NOISE = 1.0


def make_sine(num_steps: int, seed: int) -> np.ndarray:
    """Return (T,) values: a trend, waves of 24 and of 168 steps, and noise."""
    t = np.arange(num_steps)
    # y_t = 20 + 0.01 t + 5 sin(2 pi t / 24) + 3 sin(2 pi t / 168) + e_t,   e_t ~ N(0, NOISE^2)
    signal = 20 + 0.01 * t + 5 * np.sin(2 * np.pi * t / 24) + 3 * np.sin(2 * np.pi * t / 168)
    return signal + np.random.default_rng(seed).normal(0.0, NOISE, num_steps)


# %% [markdown]
# ### What is in a series?
# The classical decomposition: series = trend + season + residual.  The trend is a moving average
# over exactly one season, in which the season cancels out.  What remains is averaged over all
# first steps of a season, all second steps, and so on: that is the season.  Of the sine's two
# seasons we name one, 24; the other one stays in the trend.
#
# **Pitfall.**  The moving average is *centred*, so half of what it averages is in the future.
# That is fine for looking at the past.  Given to a model that forecasts, such a trend is a leak.
# %%
def decompose(values: np.ndarray, season: int) -> dict[str, np.ndarray]:
    """Return trend, season and residual, each (T,); NaN where the average lacks neighbours."""
    weights = np.ones(season)
    if season % 2 == 0:  # an even window has no middle step: count both of its ends half
        weights = np.r_[0.5, np.ones(season - 1), 0.5]
    half = len(weights) // 2
    trend = np.full(len(values), np.nan)
    trend[half : len(values) - half] = np.convolve(values, weights / season, mode="valid")
    phase = np.arange(len(values)) % season
    profile = np.array([np.nanmean((values - trend)[phase == p]) for p in range(season)])
    seasonal = (profile - profile.mean())[phase]
    return {"trend": trend, "season": seasonal, "residual": values - trend - seasonal}


# %% [markdown]
# ### Autocorrelation
# How much does the value k steps ago say about the value now?  Near 1: nearly all.  Near 0:
# nothing that a straight line could use.  A season shows as a peak at its own length.
#
#     r_k = sum_t (y_t - mean)(y_{t-k} - mean) / sum_t (y_t - mean)^2
# %%
def autocorrelation(values: np.ndarray, max_lag: int) -> np.ndarray:
    """Return r_0 to r_max_lag, (max_lag + 1,)."""
    centred = values - values.mean()
    products = [centred[k:] @ centred[: len(centred) - k] for k in range(max_lag + 1)]
    return np.array(products) / products[0]


# %% [markdown]
# ### Returns, and what stays the same
# A share of 500 dollars moves by more dollars a day than one of 100.  The log-return does not
# depend on the level: for small moves, it is the change as a fraction of the price.
#
#     r_t = log(p_t / p_{t-1})
#
# A series is *stationary* when its mean, its spread and its autocorrelation do not change with
# time.  A model can only learn what stays the same.  So first ask which view of a series is nearest
# to stationary.  Returns come nearer than prices, not all the way: their spread changes.
# %%
def log_returns(prices: np.ndarray) -> np.ndarray:
    """(T,) prices -> (T - 1,) log-returns."""
    return np.diff(np.log(prices))


def describe_series(series: rd.Series, prices: np.ndarray) -> dict[str, dict]:
    """Print and return what is in the series, and what changes in prices and log-returns.

    Whatever the eye learns from the later stretches leaks as well: it sees train alone.
    """
    values = series.values[rd.split_by_time(len(series.values))["train"], 0]
    print(f"{'data':<10}{series.name}: {len(series.values):,} steps, {values[:5].round(2)} ...")
    parts = decompose(values, series.season).items()
    components = {name: float(np.nanstd(part)) for name, part in parts}
    print(f"\nWhat is in {series.name}?  Standard deviations, season {series.season}")
    print("  " + "   ".join(f"{part} {std:.2f}" for part, std in components.items()))
    r = autocorrelation(values, series.season)
    print(f"  autocorrelation at lag 1: {r[1]:+.2f}, at lag {series.season}: {r[-1]:+.2f}")

    print("\nIs it stationary?  GOOG, 1st and 2nd half of its training stretch")
    print("                    mean              std dev     autocorrelation at lag 1")
    stationarity = {}
    prices = prices[rd.split_by_time(len(prices))["train"]]
    views = {"price (dollars)": prices, "log-return (%)": 100 * log_returns(prices)}
    for name, view in views.items():
        first, second = np.array_split(view, 2)
        numbers = [first.mean(), second.mean(), first.std(), second.std()]
        numbers.append(autocorrelation(view, 1)[1])
        stationarity[name] = [float(number) for number in numbers]
        print(f"  {name:<16}" + "".join(f"{number:9.2f}" for number in numbers))
    return {"components": components, "stationarity": stationarity}


# %% [markdown]
# ## 2. From a series to examples
# ### Splits
# The past trains and the future tests, for that is how a forecast is used.  A window lies wholly
# inside one stretch, so no training window holds a value of a later stretch.  (Some books leave a
# gap between the stretches as well.  It is not needed against leaks, and costs data.)
#
# `rd.split_by_time` gives three slices: the first 70 % of the steps train, the next 15 % validate,
# and the last 15 % test.
#
# ### Scaling
# Networks learn best from numbers around 0 and of size 1: tanh is flat beyond 3.
#
#     standard   z = (x - mean) / std             how many standard deviations from the mean
#     minmax     z = (x - min) / (max - min)      0 to 1, until a new record is set
#
# A later stretch may leave 0 to 1.  That is no fault of the scaler: the future may be new.
# %%
class Scaler:
    """A shift and a scale, measured on the values given here: give it the training stretch."""

    def __init__(self, kind: str, values: np.ndarray):
        if kind == "standard":
            self.shift = float(values.mean())
            self.scale = float(values.std())
        else:
            self.shift = float(values.min())
            self.scale = float(np.ptp(values))

    def transform(self, x: np.ndarray) -> np.ndarray:
        return (x - self.shift) / self.scale

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return z * self.scale + self.shift


# %% [markdown]
# ### Windows
# A window is one example: L values to read, and the K values that follow, to forecast.
#
#     values   y0 y1 y2 y3 y4 y5 ...             L = 3, K = 2
#     window 0 [y0 y1 y2]->[y3 y4]
#     window 1    [y1 y2 y3]->[y4 y5]
#
# The windows are views: they take no memory until a model copies them.  Neighbours share most of
# their steps, so 1,000 windows hold far less news than 1,000 examples.
#
# Is there a leak?  Cut the *clock* into windows in place of the values, and look.
# %%
def make_windows(values: np.ndarray, length: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut (T,) values into inputs (N, L) and targets (N, K); N = T - L - K + 1."""
    windows = np.lib.stride_tricks.sliding_window_view(values, length + horizon)  # (N, L + K)
    return windows[:, :length], windows[:, length:]


def make_examples(series: rd.Series, kind: str, length: int, horizon: int) -> Scaler:
    """Scale the series, cut each stretch into windows, print their shapes; return the scaler."""
    values = series.values[:, 0]  # (T,)
    stretches = rd.split_by_time(len(values))
    scaler = Scaler(kind, values[stretches["train"]])  # and nothing later
    print(f"\nFrom the series to examples: (value - {scaler.shift:.2f}) / {scaler.scale:.2f}")
    latest = -1
    for name, stretch in stretches.items():
        clock = np.arange(stretch.start, stretch.stop)
        seen, asked = make_windows(clock, length, horizon)
        assert (seen[:, -1] < asked[:, 0]).all()  # all inputs precede their targets
        assert seen[0, 0] > latest  # and every stretch the next one
        latest = asked[-1, -1]

        z = scaler.transform(values[stretch])
        inputs, targets = make_windows(z, length, horizon)
        shapes = f"inputs {inputs.shape!s:<13} targets {targets.shape!s:<13}"
        steps = f"steps {stretch.start:,} to {stretch.stop - 1:,}"
        print(f"  {name:<6}{steps:<24}{shapes}{z.min():+.2f} to {z.max():+.2f}")
    # An RNN wants (B, T, I), the number of features last, even where it is 1.
    print(f"  for an RNN, (B, T, I): 4 windows are a {inputs[:4, :, None].shape} tensor")
    return scaler


# %% [markdown]
# ## 3. Fooling yourself, measured
# Three experiments, always on GOOG: windows of 50 days, trained on August 2004 to July 2007, scored
# on the validation stretch.  "Linear" is Ridge: linear regression with a small penalty on large
# weights, because 50 neighbouring inputs are nearly copies of each other.
#
# ### Mistake 1: shuffling the windows before splitting them
# For photographs it is right.  But windows that start a day apart share 49 of their 50 inputs and
# 11 of the 12 days that they forecast.  Nearly every "unseen" window has a twin in training.
#
# Skill is 1 - RMSE / RMSE of persistence ("it stays as it is today"): 1 is perfect, 0 is no better
# than persistence, below 0 is worse.  The models forecast the change from today, so a price level
# never seen in training does not defeat them.
# %%
LAB_LENGTH = 50
LAB_HORIZON = 12


def rmse(forecast, truth) -> float:
    return float(np.sqrt(np.mean((np.asarray(forecast) - truth) ** 2)))


def skill_of_both_splits(values: np.ndarray, model, seed: int) -> list[float]:
    """Fit and score a model on equally many windows, split at random and split by time."""
    stretches = rd.split_by_time(len(values))
    z = Scaler("standard", values[stretches["train"]]).transform(values[: stretches["val"].stop])
    inputs, targets = make_windows(z, LAB_LENGTH, LAB_HORIZON)
    change = targets[:, -1] - inputs[:, -1]  # (N,) what 12 days bring; persistence says 0
    first = np.arange(len(inputs))  # window n begins at step n
    last = first + LAB_LENGTH + LAB_HORIZON - 1
    train = np.flatnonzero(last < stretches["train"].stop)
    val = np.flatnonzero(first >= stretches["val"].start)
    shuffled = np.random.default_rng(seed).permutation(first)[: len(train) + len(val)]
    skills = []
    for fit_on, score_on in (np.split(shuffled, [len(train)]), (train, val)):
        forecast = model.fit(inputs[fit_on], change[fit_on]).predict(inputs[score_on])
        skills.append(1 - rmse(forecast, change[score_on]) / rmse(0.0, change[score_on]))
    return skills


# %% [markdown]
# The control is a random walk.  It takes a fresh random step each day, up as likely as down.  No
# forecast of it can beat persistence except by luck, so a skill well above 0 proves a leak.  (Well
# below 0 is honest: the model took chance for a pattern.)
#
# The nearest neighbours copy the answer from a window that overlaps the question.  The linear
# model hardly leaks: its 51 weights cannot store the windows.  A network's thousands can.
# %%
def compare_splits(prices: np.ndarray, num_walks: int, seed: int) -> dict[str, list[float]]:
    """Print and return {model and data: [skill split at random, skill split by time]}."""
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor

    walks = np.random.default_rng(seed).normal(size=(num_walks, len(prices))).cumsum(axis=1)
    models = {"linear": Ridge(alpha=1.0), "5 neighbours": KNeighborsRegressor(n_neighbors=5)}
    print(f"\nFooling yourself 1: splitting at random      skill {LAB_HORIZON} days ahead, split")
    print("                                             at random     by time")
    results = {}
    for model_name, model in models.items():
        for data_name, series in {"GOOG": [prices], f"{num_walks} random walks": walks}.items():
            pairs = [skill_of_both_splits(values, model, seed) for values in series]
            pair = np.mean(pairs, axis=0).tolist()
            print(f"  {model_name:<20}{data_name:<20}{pair[0]:+12.2f}{pair[1]:+12.2f}")
            results[f"{model_name}, {data_name}"] = pair
    return results


# %% [markdown]
# ### Mistake 2: fitting the scaler before splitting
# Its minimum and maximum then come from the future too.  Linear regression without a penalty does
# not care about shift and scale: in dollars its forecasts are the same.
#
# - In scaled units the leak looks like progress, but only the ruler has grown.
# - A network that ends in a sigmoid cannot leave 0 to 1.  It cannot forecast a record price, unless
#   a scaler that knows the future has already made room for it.
# %%
def forecast_next_day(values: np.ndarray, scaler: Scaler, model):
    """Fit on the training stretch; return scaled forecast, truth and today's value, each (N,)."""
    stretches = rd.split_by_time(len(values))
    z = scaler.transform(values)
    inputs, targets = make_windows(z[stretches["train"]], LAB_LENGTH, 1)
    model.fit(inputs, targets[:, 0])
    inputs, targets = make_windows(z[stretches["val"]], LAB_LENGTH, 1)
    return model.predict(inputs), targets[:, 0], inputs[:, -1]


def compare_scalers(prices: np.ndarray) -> dict[str, list[float]]:
    """Print and return {scaler: [RMSE scaled, in dollars, in dollars if bounded to 0..1]}."""
    from sklearn.linear_model import LinearRegression

    print("\nFooling yourself 2: scaling with the future  RMSE one day ahead, min-max scaling")
    print("  scaler fitted on      scaled     dollars     dollars, output kept in 0..1")
    results = {}
    train = prices[rd.split_by_time(len(prices))["train"]]
    for name, known in {"everything": prices, "train only": train}.items():
        scaler = Scaler("minmax", known)
        forecast, truth, _ = forecast_next_day(prices, scaler, LinearRegression())
        scaled = rmse(forecast, truth)
        bounded = rmse(np.clip(forecast, 0, 1), truth) * scaler.scale
        results[name] = [scaled, scaled * scaler.scale, bounded]
        print(f"  {name:<18}{scaled:10.3f}{scaled * scaler.scale:12.2f}{bounded:12.2f}")
    return results


# %% [markdown]
# ### Mistake 3: being impressed by a forecast of prices
# R^2 compares with "always the mean".  On prices everything beats that.  Such a forecast follows
# the curve closely, a day late.  Ask of every forecast whether it beats persistence.
# %%
def compare_with_persistence(prices: np.ndarray) -> tuple[dict[str, list], np.ndarray]:
    """Print and return {forecast: [R^2, RMSE]}; and the linear forecasts and prices, (2, N)."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    scaler = Scaler("standard", prices[rd.split_by_time(len(prices))["train"]])
    scaled = forecast_next_day(prices, scaler, Ridge(alpha=1.0))
    forecast, truth, today = scaler.inverse(np.stack(scaled))  # (N,) each, in dollars
    print("\nFooling yourself 3: a fine R^2 on prices     R^2   RMSE one day ahead, dollars")
    results = {}
    for name, guess in {"linear": forecast, "persistence": today}.items():
        results[name] = [float(r2_score(truth, guess)), rmse(guess, truth)]
        print(f"  {name:<43}{results[name][0]:.3f}{results[name][1]:7.2f}")
    near = rmse(forecast, today)
    print(f"  The linear forecast is {near:.2f} dollars from today's price: it repeats it.")
    return results, np.stack([forecast, truth])


def fool_yourself(prices: np.ndarray, num_walks: int, seed: int) -> tuple[dict, np.ndarray]:
    """Make the three mistakes; return what they show, and the forecasts of the third."""
    skills = compare_splits(prices, num_walks, seed)
    scalers = compare_scalers(prices)
    illusion, price_forecast = compare_with_persistence(prices)
    shown = {"skill_at_random_and_by_time": skills, "rmse_by_scaler": scalers}
    return {**shown, "price_illusion": illusion}, price_forecast


# %% [markdown]
# ### Baselines
# Four forecasts that cost next to nothing.  A network is worth what it adds to them.
#
#     persistence       y_{t+k} = y_t                         nothing changes
#     seasonal naive    y_{t+k} = y_{t+k-m}                   as one season (m steps) before
#     moving average    y_{t+k} = mean of the last m steps    of the window; less noise
#     linear AR         y_{t+k} = b_k + w_k . window          ridge, tuned on validation
#
# MAE and RMSE are in the unit of the series; RMSE counts a big miss for more.  MASE (Hyndman and
# Koehler 2006) has no unit: below 1 is a smaller error than persistence made, one step ahead, on
# train.  t says how surely persistence is beaten (chapter 06): between -2 and 2 it may be luck.
# %%
def score_baselines(series: rd.Series, scaler: Scaler, length: int, horizon: int) -> dict:
    """Forecast the test stretch; print and return {baseline: scores}."""
    values = series.values[:, 0]  # (T,)
    stretches = rd.split_by_time(len(values))
    splits = {}
    for part, stretch in stretches.items():
        splits[part] = make_windows(scaler.transform(values[stretch]), length, horizon)
    linear = rb.linear_forecast(splits["train"], splits["val"], splits["test"][0])  # (N, K)
    inputs, truth = make_windows(values[stretches["test"]], length, horizon)  # (N, L), (N, K)
    now = stretches["test"].start + length - 1 + np.arange(len(inputs))
    average = inputs[:, -series.season :].mean(axis=1)  # (N,)
    forecasts = {"linear AR": scaler.inverse(linear)}
    forecasts.update(rb.naive_forecasts(values, now, horizon, series.season))
    forecasts["moving average"] = np.repeat(average[:, None], horizon, axis=1)

    naive_error = float(np.abs(np.diff(values[stretches["train"]])).mean())
    scores = rb.forecast_scores(forecasts, truth, naive_error)
    rb.print_forecast_scores(scores, f"Baselines on the test stretch: {len(truth):,} windows")
    return scores


# %% [markdown]
# ## 4. Looking inside
# Prices remember for months, because a price is all the changes before it added up.  The changes
# themselves, the returns, remember next to nothing: there is little to forecast.
# %%
def plot_autocorrelation(series: rd.Series, prices: np.ndarray, plt):
    values = series.values[rd.split_by_time(len(series.values))["train"], 0]
    prices = prices[rd.split_by_time(len(prices))["train"]]
    figure, columns = plt.subplots(1, 3, figsize=(9, 3.3), sharey=True)
    panels = {series.name: values, "GOOG price": prices, "GOOG log-return": log_returns(prices)}
    for axes, (title, numbers) in zip(columns, panels.items()):
        correlations = autocorrelation(numbers, min(200, len(numbers) // 2))
        axes.vlines(range(len(correlations)), 0, correlations, color=ru.BLUE, lw=1)
        # White noise of this length stays between these lines at 95 % of the lags.
        edge = 1.96 / np.sqrt(len(numbers))
        axes.axhspan(-edge, edge, color=ru.GREY, alpha=0.3, lw=0)
        axes.set(title=title, xlabel="lag (steps)")
    columns[0].set_ylabel("autocorrelation")
    figure.suptitle("How long does the past matter?")
    return figure


def plot_splits_and_scaling(series: rd.Series, plt):
    """Two axes, one curve: scaling changes the numbers beside it, not its shape."""
    values = series.values[:, 0]
    stretches = rd.split_by_time(len(values))
    scaler = Scaler("minmax", values[stretches["train"]])
    figure, axes = plt.subplots(figsize=(9, 4))
    for name, stretch in stretches.items():
        axes.plot(series.times[stretch], values[stretch], lw=1, label=name)
    axes.axhspan(scaler.shift, scaler.shift + scaler.scale, color=ru.GREY, alpha=0.2, lw=0)
    axes.set(xlabel="time", ylabel=series.name, title="What may the model see, and on what scale?")
    both_ways = (scaler.transform, scaler.inverse)
    axes.secondary_yaxis("right", functions=both_ways, ylabel="min-max scaled")
    axes.legend(loc="upper left")
    return figure


def plot_fooling(skills: dict, price_forecast: np.ndarray, plt):
    """Left: skill by kind of split.  Right: a price forecast trails its price by a day."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4))
    places = np.arange(len(skills))
    at_random, by_time = np.array(list(skills.values())).T
    left.bar(places - 0.2, at_random, 0.38, label="split at random")
    left.bar(places + 0.2, by_time, 0.38, label="split by time")
    left.axhline(0, color=ru.BLACK, lw=0.8)
    left.set_xticks(places, [name.replace(", ", "\n") for name in skills], fontsize=8)
    left.set(ylabel="skill (0: persistence)", title="Is the skill real?")
    left.legend(loc="upper left")
    forecast, price = price_forecast[:, :30]
    right.plot(price, "o-", ms=3, color=ru.BLACK, label="price")
    right.plot(forecast, "s--", ms=3, color=ru.ORANGE, label="its forecast, a day before")
    right.set(xlabel="trading day", ylabel="US dollars", title="Is this a good forecast?")
    right.legend(loc="upper left")
    return figure


def draw_figures(series, prices, metrics: dict, price_forecast, folder, show) -> None:
    plt = ru.get_pyplot(show)
    title = "What must networks beat? (test)"
    figures = {
        "autocorrelation": plot_autocorrelation(series, prices, plt),
        "splits_and_scaling": plot_splits_and_scaling(series, plt),
        "fooling": plot_fooling(metrics["skill_at_random_and_by_time"], price_forecast, plt),
        "baselines": rb.plot_by_horizon(metrics["test"], series.name, title),
    }
    ru.save_figures(figures, folder, show)


# %% [markdown]
# ## 5. Command line and main
# %%
def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--dataset", choices=("sine", "stock"), help="without it: sine")
    add("--data", metavar="FILE.csv", help="a table of your own: a header, one row a step")
    add("--column", metavar="NAME", help="the column of --data to forecast")
    add("--date-column", metavar="NAME", help="the dates of --data, if several columns have some")
    add("--sequence-length", type=ru.at_least(1), default=50, help="L, steps a window shows")
    add("--horizon", type=ru.at_least(1), default=12, help="K, steps to forecast")
    add("--season", type=ru.at_least(1), help="m; without it: sine 24, stock 5, --data 7")
    add("--scaler", choices=("standard", "minmax"), default="standard", help="see class Scaler")
    add("--num-steps", type=ru.at_least(1), default=2000, help="length of the sine")
    add("--quick", action="store_true", help="a tiny run, to see that it works")
    ru.add_run_flags(parser, downloads=False)
    args = ru.parse_arguments(parser, argv, quick={"num_steps": 800})
    if bool(args.data) != bool(args.column) or (args.date_column and not args.data):
        raise ru.UserError("give a file with --data and its column to forecast with --column")
    return args


def main(argv=None) -> dict:
    args = parse_args(argv)
    ru.start_run(args, TUTORIAL)
    # One window in each stretch, two seasons for the decomposition, and something that varies.
    series = rd.load_series(
        args.data, args.column, [], args.date_column, args.dataset, args.season, args.num_steps,
        args.seed, make_sine, window=args.sequence_length + args.horizon, seasons=2,
    )  # fmt: skip
    _, prices = rd.load_goog()
    described = describe_series(series, prices)
    scaler = make_examples(series, args.scaler, args.sequence_length, args.horizon)
    fooled, price_forecast = fool_yourself(prices, 3 if args.quick else 10, args.seed)
    scores = score_baselines(series, scaler, args.sequence_length, args.horizon)
    metrics = ru.write_metrics(args, TUTORIAL, series.source, False, {
        "num_steps": len(series.values), "scaler": vars(scaler), **described, **fooled,
        "test": scores, "baselines": {name: row["rmse"] for name, row in scores.items()},
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(series, prices, metrics, price_forecast, args.output_dir, args.show)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: with `--season 168`, into which component does the slow wave of the sine
#    go, and does the seasonal naive forecast gain from it?
# 2. Change one flag: `--dataset stock`.  Which baseline wins, and how does its RMSE grow with the
#    days ahead?  The MASE of persistence is near 2 on test: why not 1?
# 3. Explain a failure: with `--dataset stock --scaler minmax`, what range is printed for each
#    stretch?  What would a network that ends in a sigmoid answer in November 2007?
# 4. Modify: set LAB_HORIZON to 1, 3 and 30.  Why has the random split next to no leak at 1?
#    Then, in `fool_yourself`, hand log_returns(prices) to `compare_with_persistence`, instead of
#    prices (what it prints is then not in dollars).  Which R^2 do you get, and what does it say?
# 5. An open question: our model is fitted once.  How would you score one that is fitted again
#    each month, without letting it see the future?
