"""03_time_series_basics: how a time series becomes examples, and how not to fool yourself.

The question    A network learns from pairs of input and target.  A time series is one long
                row of numbers.  How does it become pairs, and how do we know that a
                forecast is any good?
The number      +0.66 or -0.16: the skill of the same nearest-neighbour model on Google's
                share price, its windows split at random, and split by time.  Only the second
                is true.
Misconceptions  "Shuffling before splitting is careful."  It is a leak: windows overlap.
                "A forecast that follows the curve closely knows something."  "As today"
                follows it just as closely, and knows nothing.

Windows of L steps, and the H steps after each as its target (N windows, I = 1 feature):

    input_n  = (y_n, ..., y_{n+L-1})            target_n = (y_{n+L}, ..., y_{n+L+H-1})
    z_t      = (y_t - mean) / std               mean and std of the training stretch only
    skill    = 1 - RMSE / RMSE of persistence   persistence forecasts "as now"

    y_t  value at step t     z_t  scaled value     m  steps in a season

    python 03_time_series_basics.py             # 11 s on a slow 2-core CPU, 400 MB

    What is in sine?  (training stretch; season 24, in units)
      standard deviation of the trend        4.43
      standard deviation of the season       3.50
      standard deviation of the residual     0.96
    Fooling yourself 1: splitting at random      skill 12 days ahead, split
                                                 at random     by time
      linear              GOOG                       +0.01       -0.02
      ...
      5 neighbours        GOOG                       +0.66       -0.16
      5 neighbours        10 random walks            +0.61       -0.55
    Baselines on the test stretch of sine: 227 windows
      one step ahead           MAE    RMSE    MASE   skill    RMSE 12 steps ahead
      persistence             1.45    1.79    1.08   +0.00        7.44
      seasonal naive          1.87    2.28    1.39   -0.27        2.24
      ...
      linear AR               0.90    1.13    0.67   +0.37        1.33

Writes metrics.json and six figures to outputs/03_time_series_basics/.
Next: 04_simple_rnn.py, the first recurrent network; 06_gru_time_series.py forecasts.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import rnn_utils as ru

import numpy as np
import torch

TUTORIAL = "03_time_series_basics"

# %% ------------------------------------------------------------------
# 1. Data
# ----------------------------------------------------------------------


class Series(NamedTuple):
    """One number per time step, oldest first."""

    name: str
    values: np.ndarray  # (T,) float64
    times: np.ndarray  # (T,) dates, or step numbers where there are none
    unit: str
    season: int  # m, steps in one season


# A series made by rule, so that we know what is in it: a trend, two seasons (think of the
# hours of a day and of a week) and noise.  Nobody can forecast the noise, so no forecast of
# this series has an RMSE below NOISE, except by luck.
NOISE = 1.0


def make_sine(num_steps: int, seed: int) -> np.ndarray:
    """Return (T,) values: a trend, waves of 24 and of 168 steps, and noise."""
    t = np.arange(num_steps)
    # y_t = 20 + 0.01 t + 5 sin(2 pi t / 24) + 3 sin(2 pi t / 168) + e_t,   e_t ~ N(0, NOISE^2)
    signal = 20 + 0.01 * t + 5 * np.sin(2 * np.pi * t / 24) + 3 * np.sin(2 * np.pi * t / 168)
    return signal + np.random.default_rng(seed).normal(0.0, NOISE, num_steps)


# Your own series is a CSV file with a header, one row per time step and the oldest first:
#     date,sales
#     2024-01-01,103.5
#     2024-01-02,98
# python 03_time_series_basics.py --data shop.csv --column sales --date-column date --season 7
def load_series(args) -> Series:
    """Return the series that --data or --dataset asks for."""
    if args.data:
        dates, values = ru.read_series(args.data, [args.column], args.date_column)  # (T, 1)
        times = np.arange(len(values)) if dates is None else dates
        return Series(args.column, values[:, 0], times, args.column, args.season or 7)
    if args.dataset == "stock":
        dates, prices = ru.load_goog()
        return Series("GOOG", prices, dates, "US dollars", args.season or 5)
    values = make_sine(args.num_steps, args.seed)
    return Series("sine", values, np.arange(len(values)), "units", args.season or 24)


# %% ------------------------------------------------------------------
# 2. Looking at a series
# ----------------------------------------------------------------------


# The classical decomposition: series = trend + season + residual.  The trend is a moving
# average over exactly one season, in which the season cancels out.  What remains is averaged
# over all first steps of a season, all second steps, and so on.
# Pitfall: the moving average is *centred*, so half of what it averages is in the future.  That
# is fine for looking at the past, and a leak when the trend is given to a forecasting model.
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


# How much does the value k steps ago say about the value now?  Near 1: nearly all; near 0:
# nothing that a straight line could use.  A season shows as a peak at its own length.
def autocorrelation(values: np.ndarray, max_lag: int) -> np.ndarray:
    """Return the autocorrelation at lags 0 to max_lag, (max_lag + 1,)."""
    centred = values - values.mean()
    # r_k = sum_t (y_t - mean)(y_{t-k} - mean) / sum_t (y_t - mean)^2
    products = [centred[k:] @ centred[: len(centred) - k] for k in range(max_lag + 1)]
    return np.array(products) / products[0]


# A share of 500 dollars moves by more dollars a day than one of 100.  The log-return is, for
# small moves, the change as a fraction of the price, and so does not depend on its level.
def log_returns(prices: np.ndarray) -> np.ndarray:
    """r_t = log(p_t / p_{t-1}), (T - 1,)."""
    return np.diff(np.log(prices))


def describe_components(series: Series, train: np.ndarray) -> dict[str, float]:
    """Print how much the trend, the season and the residual of the training stretch vary."""
    print(f"\nWhat is in {series.name}?", end="  ")
    print(f"(training stretch; season {series.season}, in {series.unit})")
    stds = {}
    for name, part in decompose(train, series.season).items():
        stds[name] = float(np.nanstd(part))
        print(f"  standard deviation of the {name:<9}{stds[name]:8.2f}")
    correlations = autocorrelation(train, max_lag=series.season)
    print(f"  autocorrelation at lag 1: {correlations[1]:+.2f}", end="")
    print(f", at lag {series.season}: {correlations[-1]:+.2f}")
    return stds


# A series is stationary when its mean, its spread and its autocorrelation do not change with
# time.  A model can only learn what stays the same, so the first question about any series
# is which view of it (values, differences, returns) is nearest to stationary.
def describe_stationarity(prices: np.ndarray) -> dict[str, list[float]]:
    """Print mean and standard deviation of both halves, of prices and of log-returns."""
    print("\nIs it stationary?  GOOG, 1st and 2nd half of its training stretch")
    print("                       mean           std dev      autocorrelation at lag 1")
    views = {"price (dollars)": prices, "log-return (%)": 100 * log_returns(prices)}
    rows = {}
    for name, values in views.items():
        halves = np.array_split(values, 2)
        row = [half.mean() for half in halves] + [half.std() for half in halves]
        rows[name] = [float(number) for number in [*row, autocorrelation(values, 1)[1]]]
        print("  {:<16}{:8.2f}{:8.2f}{:9.2f}{:8.2f}{:+9.2f}".format(name, *rows[name]))
    early, late = rows["price (dollars)"][:2]
    print(f"  The price moves away for good: what holds at {early:.0f} dollars need not", end=" ")
    print(f"hold at {late:.0f}.")
    print("  Returns come nearer to stationary, not all the way: their spread changes.")
    return rows


# %% ------------------------------------------------------------------
# 3. From a series to examples
# ----------------------------------------------------------------------


# The past trains and the future tests, for that is how a forecast is used.  Neighbouring
# steps are nearly copies of each other, so a gap is left out at each cut: otherwise the
# first validation windows ask almost what the last training windows were told.
def split_by_time(num_steps: int, gap: int) -> dict[str, slice]:
    """Cut T steps into 70 % train, 15 % val and 15 % test, in this order, with gaps."""
    train_end, val_end = int(0.70 * num_steps), int(0.85 * num_steps)
    return {
        "train": slice(0, train_end),
        "val": slice(train_end + gap, val_end),
        "test": slice(val_end + gap, num_steps),
    }


# Networks learn best from numbers around zero and of size one: tanh is flat beyond 3.
#     standard   z = (x - mean) / std             how many standard deviations from the mean
#     minmax     z = (x - min) / (max - min)      0 to 1, until a new record is set
class Scaler:
    """A shift and a scale, measured on the values given here: give it the training stretch."""

    def __init__(self, kind: str, values: np.ndarray):
        if kind == "standard":
            self.shift, self.scale = float(values.mean()), float(values.std())
        else:
            self.shift, self.scale = float(values.min()), float(np.ptp(values))

    def transform(self, x: np.ndarray) -> np.ndarray:
        return (x - self.shift) / self.scale

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return z * self.scale + self.shift


# A window is one example: L values to look at, and the H values that follow, to forecast.
#     values   y0 y1 y2 y3 y4 y5 ...             L = 3, H = 2, stride 1
#     window 0 [y0 y1 y2]->[y3 y4]
#     window 1    [y1 y2 y3]->[y4 y5]
# The windows are views into the one array: however many, they take no memory until a model
# copies them.
def make_windows(values: np.ndarray, length: int, horizon: int, stride: int = 1):
    """Cut (T,) values into inputs (N, L) and targets (N, H), one window every `stride` steps."""
    windows = np.lib.stride_tricks.sliding_window_view(values, length + horizon)[::stride]
    inputs, targets = windows[:, :length], windows[:, length:]  # (N, L), (N, H)
    num_windows = (len(values) - length - horizon) // stride + 1
    assert inputs.shape == (num_windows, length) and targets.shape == (num_windows, horizon)
    return inputs, targets


# Proof that no window looks ahead: cut the *clock* into windows instead of the values.
def assert_no_future(stretches: dict[str, slice], args) -> None:
    """Check that all inputs precede their targets, and every stretch the next one."""
    latest = -1
    for stretch in stretches.values():
        clock = np.arange(stretch.start, stretch.stop)
        seen, asked = make_windows(clock, args.sequence_length, args.horizon, args.stride)
        assert (seen[:, -1] < asked[:, 0]).all() and seen[0, 0] > latest
        latest = asked[-1, -1]


def describe_examples(series: Series, stretches: dict[str, slice], args) -> Scaler:
    """Print the windows of each stretch with their shapes; return the scaler."""
    scaler = Scaler(args.scaler, series.values[stretches["train"]])  # and nothing later
    print("\nFrom the series to examples")
    print(f"  {args.scaler} scaling: (value - {scaler.shift:.2f}) / {scaler.scale:.2f}")
    for name, stretch in stretches.items():
        z = scaler.transform(series.values[stretch])
        inputs, targets = make_windows(z, args.sequence_length, args.horizon, args.stride)
        print(f"  {name:<6}steps {stretch.start:>7,} to {stretch.stop - 1:>7,}   inputs", end=" ")
        print(f"{inputs.shape!s:<11}  targets {targets.shape!s:<11}", end="  ")
        print(f"{z.min():+.2f} to {z.max():+.2f}")
    # An RNN wants (B, T, I), the number of features last, even where it is 1.
    batch = torch.tensor(inputs[:4, :, None], dtype=torch.float32)
    print(f"  for an RNN, (B, T, I): {len(batch)} windows are a {tuple(batch.shape)} tensor")
    return scaler


# %% ------------------------------------------------------------------
# 4. Fooling yourself, measured
# ----------------------------------------------------------------------

# Three experiments, always on the same data whatever the flags: GOOG, windows of 50 days,
# trained on August 2004 to July 2007 and scored on the validation stretch that follows.
# (The random split takes its windows from both.)  "Linear" is Ridge: linear regression with a
# small penalty on large weights, because 50 neighbouring inputs are nearly copies of each other.
LAB_LENGTH, LAB_HORIZON, LAB_GAP = 50, 12, 12


def rmse(forecast, truth) -> float:
    return float(np.sqrt(np.mean((np.asarray(forecast) - truth) ** 2)))


# Mistake 1: shuffling the windows before splitting them, as is right for photographs.
# Windows that start a day apart share 49 of their 50 inputs and 11 of the 12 days that they
# forecast, so nearly every "unseen" window has a twin in the training set.
#     skill = 1 - RMSE / RMSE of persistence       persistence: "it stays as it is today"
# 1 is perfect, 0 no better than persistence, below 0 worse.  The models forecast the change
# from today, so that a price level never seen in training is not what defeats them.
def skill_of_both_splits(values: np.ndarray, model, seed: int) -> tuple[float, float]:
    """Fit and score a model on equally many windows, split at random and split by time."""
    stretches = split_by_time(len(values), LAB_GAP)
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
    return skills[0], skills[1]


# The control: a random walk takes a fresh random step each day, up as likely as down.  No
# forecast of it can beat persistence except by luck, so a skill well above 0 proves a leak.
# (Well below 0 is an honest answer: the model took chance for a pattern, and pays for it.)
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
            results[f"{model_name}, {data_name}"] = pair = np.mean(pairs, axis=0).tolist()
            print(f"  {model_name:<20}{data_name:<20}{pair[0]:+12.2f}{pair[1]:+12.2f}")
    print("  Nobody can forecast a random walk, yet the nearest neighbours seem to: they copy the")
    print("  answer from a window that overlaps the question.  The linear model hardly leaks, as")
    print("  its 51 weights cannot store the windows; a network with thousands of weights can.")
    return results


def forecast_next_day(values: np.ndarray, scaler: Scaler, model):
    """Fit on the training stretch; return scaled forecast, truth and today's value, each (N,)."""
    stretches = split_by_time(len(values), LAB_GAP)
    z = scaler.transform(values)
    inputs, targets = make_windows(z[stretches["train"]], LAB_LENGTH, 1)
    model.fit(inputs, targets[:, 0])
    inputs, targets = make_windows(z[stretches["val"]], LAB_LENGTH, 1)
    return model.predict(inputs), targets[:, 0], inputs[:, -1]


# Mistake 2: fitting the scaler before splitting.  Its minimum and maximum then come from the
# future too.  Linear regression without a penalty does not care about shift and scale, so in
# dollars its forecasts are the same: what differs is only what the scaler itself does.
def compare_scalers(prices: np.ndarray) -> dict[str, list[float]]:
    """Print and return {scaler: [RMSE scaled, in dollars, in dollars if bounded to 0..1]}."""
    from sklearn.linear_model import LinearRegression

    train = prices[split_by_time(len(prices), LAB_GAP)["train"]]
    print("\nFooling yourself 2: scaling with the future  RMSE one day ahead, min-max scaling")
    print("  scaler fitted on      scaled     dollars     dollars, output kept in 0..1")
    results = {}
    for name, known in (("everything", prices), ("train only", train)):
        scaler = Scaler("minmax", known)
        forecast, truth, _ = forecast_next_day(prices, scaler, LinearRegression())
        scaled, bounded = rmse(forecast, truth), rmse(np.clip(forecast, 0, 1), truth)
        results[name] = [scaled, scaled * scaler.scale, bounded * scaler.scale]
        print("  {:<18}{:10.3f}{:12.2f}{:12.2f}".format(name, *results[name]))
    print("  In scaled units the leak looks like progress, but only the ruler has grown.  And a")
    print("  network that ends in a sigmoid cannot leave 0..1: it cannot forecast a record price,")
    print("  unless a scaler that knows the future has already made room for it.")
    return results


# Mistake 3: being impressed by a forecast of prices.  R^2 compares with "always the mean",
# and on prices everything beats that: tomorrow's price is today's, and a little.
def compare_with_persistence(prices: np.ndarray) -> tuple[dict[str, list], np.ndarray]:
    """Print and return {forecast: [R^2, RMSE]}; and the linear forecasts and prices, (2, N)."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    scaler = Scaler("standard", prices[split_by_time(len(prices), LAB_GAP)["train"]])
    scaled = forecast_next_day(prices, scaler, Ridge(alpha=1.0))
    forecast, truth, today = (scaler.inverse(z) for z in scaled)  # (N,) each, in dollars
    print("\nFooling yourself 3: a fine R^2 on prices     R^2   RMSE one day ahead, dollars")
    results = {}
    for name, guess in {"linear": forecast, "persistence": today}.items():
        results[name] = [float(r2_score(truth, guess)), rmse(guess, truth)]
        print("  {:<43}{:.3f}{:7.2f}".format(name, *results[name]))
    near, far = rmse(forecast, today), rmse(forecast, truth)
    print(f"  The linear forecast is {near:.2f} dollars from today's price and {far:.2f} from")
    print("  tomorrow's: it repeats today's.  Ask of every forecast whether it beats persistence.")
    return results, np.stack([forecast, truth])


# %% ------------------------------------------------------------------
# 5. Baselines
# ----------------------------------------------------------------------


# Four forecasts that cost next to nothing.  A network is worth what it adds to them.
#     persistence       y_{t+h} = y_t                         nothing changes
#     seasonal naive    y_{t+h} = y_{t+h-m}                   as one season (m steps) before
#     moving average    y_{t+h} = mean of the last m steps    of the window; less noise
#     linear AR         y_{t+h} = b_h + w_h . window          Ridge on the window
def forecast_baselines(series: Series, stretches, scaler: Scaler, args):
    """Forecast the test stretch; return {name: (N, H)} and the truth (N, H), in their unit."""
    from sklearn.linear_model import Ridge

    values, horizon, season = series.values, args.horizon, series.season
    cut = (args.sequence_length, horizon, args.stride)
    inputs, targets = make_windows(scaler.transform(values[stretches["train"]]), *cut)
    linear = Ridge(alpha=1.0).fit(inputs, targets)

    inputs, targets = make_windows(values[stretches["test"]], *cut)  # (N, L), (N, H)
    now = stretches["test"].start + args.sequence_length - 1 + args.stride * np.arange(len(inputs))
    ahead = np.arange(1, horizon + 1)  # (H,)
    # Further ahead than one season, y_{t+h-m} is not known yet either: go back two, three ...
    back = season * -(-ahead // season) - ahead  # (H,) steps before now, none negative
    every_step = np.ones((1, horizon))
    forecasts = {
        "persistence": inputs[:, -1:] * every_step,
        "seasonal naive": values[now[:, None] - back],
        "moving average": inputs[:, -season:].mean(axis=1, keepdims=True) * every_step,
        "linear AR": scaler.inverse(linear.predict(scaler.transform(inputs)).reshape(-1, horizon)),
    }
    return forecasts, targets


# MAE and RMSE are in the unit of the series; RMSE counts a big miss for more.  MASE (Hyndman
# and Koehler 2006) has no unit: below 1 is a smaller error than persistence made, one step
# ahead, on the training stretch.
def score_baselines(forecasts, targets, train: np.ndarray, name: str) -> dict[str, dict]:
    """Print, and return, {forecast: {mae, rmse, mase, skill: one step ahead; by_horizon: all}}."""
    num_windows, horizon = targets.shape
    print(f"\nBaselines on the test stretch of {name}: {num_windows:,} windows")
    print(f"  one step ahead           MAE    RMSE    MASE   skill    RMSE {horizon} steps ahead")
    scores = ru.forecast_scores(forecasts, targets, float(np.abs(np.diff(train)).mean()))
    for forecast, row in scores.items():
        print(f"  {forecast:<18}{row['mae']:10.2f}{row['rmse']:8.2f}{row['mase']:8.2f}", end="")
        print(f"{row['skill']:+8.2f}{row['by_horizon']['rmse'][-1]:12.2f}")
    best = min(scores, key=lambda forecast: scores[forecast]["rmse"])
    print(f"  For a network to beat, one step ahead: {best}, RMSE {scores[best]['rmse']:.2f}")
    return scores


# %% ------------------------------------------------------------------
# 6. Looking inside
# ----------------------------------------------------------------------

COLORS = {"train": ru.BLUE, "val": ru.YELLOW, "test": ru.ORANGE}


# Of the sine's two seasons, the decomposition is told of one: look for the other in the trend.
def plot_components(series: Series, train: slice, plt):
    parts = {"series": series.values[train], **decompose(series.values[train], series.season)}
    figure, rows = plt.subplots(4, 1, figsize=(9, 6.5), sharex=True)
    for axes, (name, part) in zip(rows, parts.items()):
        axes.plot(series.times[train], part, lw=1)
        axes.set_ylabel(name)
    rows[-1].set_xlabel("time (training stretch)")
    title = f"What is {series.name} made of?  ({series.unit}; season {series.season} steps)"
    figure.suptitle(title)
    return figure


# Prices remember for months, because a price is all the changes before it added up.  The
# changes themselves, the returns, remember next to nothing: there is little to forecast.
def plot_autocorrelation(series: Series, train: slice, prices: np.ndarray, plt):
    figure, columns = plt.subplots(1, 3, figsize=(9, 3.3), sharey=True)
    panels = [series.values[train], prices, log_returns(prices)]
    for axes, values, title in zip(columns, panels, [series.name, "GOOG price", "GOOG log-return"]):
        correlations = autocorrelation(values, min(200, len(values) // 2))
        axes.vlines(range(len(correlations)), 0, correlations, color=ru.BLUE, lw=1)
        # White noise of this length stays between these lines at 95 % of the lags.
        for sign in (-1, 1):
            axes.axhline(sign * 1.96 / np.sqrt(len(values)), color=ru.GREY, ls="--", lw=1)
        axes.set(title=title, xlabel="lag (steps)")
    columns[0].set_ylabel("autocorrelation")
    figure.suptitle("How long does the past matter?")
    return figure


# The same curve three times: scaling changes the axis, not the shape.  Where a later stretch
# leaves the dashed lines, a min-max scaler fitted on train hands the model numbers it never
# saw in training.  That is no fault of the scaler: the future has the right to be new.
def plot_splits_and_scaling(series: Series, stretches, gap: int, plt):
    train = series.values[stretches["train"]]
    figure, rows = plt.subplots(3, 1, figsize=(9, 6.5), sharex=True)
    views = {f"raw ({series.unit})": None, "standard": "standard", "min-max": "minmax"}
    for axes, (label, kind) in zip(rows, views.items()):
        axes.set_ylabel(label)
        for name, stretch in stretches.items():
            x, y = series.times[stretch], series.values[stretch]
            y = Scaler(kind, train).transform(y) if kind else y
            axes.plot(x, y, lw=1, color=COLORS[name])
            axes.axvspan(x[0], x[-1], color=COLORS[name], alpha=0.12, lw=0)
            if kind is None:
                axes.text(x[len(x) // 2], 1.02, name, transform=axes.get_xaxis_transform())
    for edge in (0, 1):
        rows[2].axhline(edge, color=ru.GREY, ls="--", lw=1)
    rows[2].set_xlabel(f"time ({gap} steps left out at each cut)")
    figure.suptitle("Which part may the model see, and on what scale?  (scaler fitted on train)")
    return figure


# Neighbouring windows share most of their steps.  This overlap is why they cannot be split at
# random, and why 1,000 windows hold far less than 1,000 examples' worth of news.
def plot_window(series: Series, scaler: Scaler, args, plt):
    """The first window and its target; below them, as bars, this window and the next ones."""
    length, span = args.sequence_length, args.sequence_length + args.horizon
    z = scaler.transform(series.values[: span + 3 * args.stride])
    figure, axes = plt.subplots(figsize=(9, 3.6))
    axes.plot(z, color=ru.GREY, lw=1)
    axes.plot(range(length), z[:length], "o-", ms=3, color=ru.BLUE, label="input")
    axes.plot(range(length, span), z[length:span], "s-", ms=4, color=ru.ORANGE, label="target")
    for n in range(4):
        y, start = z.min() - 0.08 * (n + 1) * np.ptp(z), n * args.stride
        axes.hlines(y, start, start + length - 1, color=ru.BLUE, lw=4, alpha=0.6)
        axes.hlines(y, start + length - 0.5, start + span - 1, color=ru.ORANGE, lw=4, alpha=0.6)
        axes.text(start + span, y, f"window {n}", va="center", fontsize=9)
    axes.set(xlabel="time step", ylabel=f"{series.name}, scaled")
    axes.set_title(f"What is one example?  L = {length}, H = {args.horizon}, stride {args.stride}")
    figure.legend(loc="outside right upper")
    return figure


def plot_fooling(skills: dict, price_forecast: np.ndarray, plt):
    """Left: skill by kind of split.  Right: a price forecast trails its price by a day."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4))
    at_random, by_time = np.array(list(skills.values())).T
    places = np.arange(len(skills))
    left.bar(places - 0.2, at_random, 0.38, color=ru.ORANGE, label="split at random")
    left.bar(places + 0.2, by_time, 0.38, color=ru.BLUE, label="split by time")
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


# One step ahead, staying put is hard to beat.  Further ahead a season counts for more: compare
# how the errors grow with the horizon.
def plot_baselines(forecasts, targets, scores, series: Series, plt):
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), width_ratios=(3, 2))
    left.plot(targets[:100, 0], color=ru.BLACK, lw=2, label="truth")
    for name, color in zip(forecasts, (ru.GREY, ru.GREEN, ru.PINK, ru.BLUE)):
        left.plot(forecasts[name][:100, 0], color=color, lw=1.2, label=name)
        errors = scores[name]["by_horizon"]["rmse"]
        right.plot(range(1, len(errors) + 1), errors, "o-", ms=3, color=color)
    left.set(xlabel="window of the test stretch", ylabel=series.unit, title="one step ahead")
    right.set(xlabel="steps ahead", ylabel=f"RMSE ({series.unit})", title="further ahead")
    right.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=5, fontsize=9)
    figure.suptitle(f"What must a network beat?  ({series.name})")
    return figure


# %% ------------------------------------------------------------------
# 7. Command line and main
# ----------------------------------------------------------------------

QUICK = {"num_steps": 800}
MAX_WINDOWS = 20_000  # fitting copies the windows; beyond this, take only every k-th


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--dataset", choices=("sine", "stock"), default="sine", help="made by rule, or GOOG")
    add("--data", metavar="FILE.csv", help="a series of your own, instead of --dataset")
    add("--column", metavar="NAME", help="the column of --data to forecast")
    add("--date-column", metavar="NAME", help="the column of --data with the dates, if any")
    add("--sequence-length", type=ru.at_least(1), default=50, help="L, steps a window shows")
    add("--horizon", type=ru.at_least(1), default=12, help="H, steps to forecast")
    quick = "a tiny run on generated data, to see that it works"
    add("--quick", action="store_true", help=quick)
    add = parser.add_argument_group("the series and its windows").add_argument
    add("--season", type=ru.at_least(1), help="m; without it: sine 24, stock 5, --data 7")
    add("--stride", type=ru.at_least(1), help="steps between windows (1; long series: more)")
    add("--gap", type=ru.at_least(0), default=12, help="steps left out at each cut")
    add("--scaler", choices=("standard", "minmax"), default="standard", help="see class Scaler")
    add("--num-steps", type=ru.at_least(1), default=2000, help="length of the sine")
    ru.add_run_flags(parser, threads=1, downloads=False)

    args = ru.parse_arguments(parser, argv, QUICK)
    if args.data and not args.column:
        raise ru.UserError(f"--data {args.data}: name the column to forecast with --column")
    if (args.column or args.date_column) and not args.data:
        raise ru.UserError("--column and --date-column belong to a file; name it with --data")
    if args.data:
        args.dataset = None
    return args


def main(argv=None) -> dict:
    started = time.perf_counter()
    args = parse_args(argv)
    device = ru.start_run(args, TUTORIAL)
    print(f"{TUTORIAL}: windows, scaling, and not fooling yourself\n")
    series = load_series(args)
    args.season = series.season
    args.stride = args.stride or 1 + len(series.values) // MAX_WINDOWS
    ru.print_configuration(args, device)
    print(f"{'data':<10}{series.name}: {len(series.values):,} steps, beginning with", end=" ")
    print(", ".join(f"{value:.2f}" for value in series.values[:5]))

    stretches = split_by_time(len(series.values), args.gap)
    # One window in each stretch, two seasons for the decomposition, and something that varies.
    ru.check_stretches(series.values, stretches, args, seasons=2, name=series.name)
    assert_no_future(stretches, args)
    train = series.values[stretches["train"]]  # what the eye learns from the rest leaks as well
    _, prices = ru.load_goog()
    early_prices = prices[split_by_time(len(prices), LAB_GAP)["train"]]
    components = describe_components(series, train)
    stationarity = describe_stationarity(early_prices)
    scaler = describe_examples(series, stretches, args)

    skills = compare_splits(prices, 3 if args.quick else 10, args.seed)
    scalers = compare_scalers(prices)
    illusion, price_forecast = compare_with_persistence(prices)

    forecasts, targets = forecast_baselines(series, stretches, scaler, args)
    scores = score_baselines(forecasts, targets, train, series.name)

    figures = []
    if not args.no_plots:
        plt, seen = ru.get_pyplot(args.show), stretches["train"]
        drawn = {
            "components": plot_components(series, seen, plt),
            "autocorrelation": plot_autocorrelation(series, seen, early_prices, plt),
            "splits_and_scaling": plot_splits_and_scaling(series, stretches, args.gap, plt),
            "window": plot_window(series, scaler, args, plt),
            "fooling": plot_fooling(skills, price_forecast, plt),
            "baselines": plot_baselines(forecasts, targets, scores, series, plt),
        }
        figures = ru.save_figures(drawn, args)
    metrics = ru.write_metrics(
        args, TUTORIAL, started, dataset=args.data or args.dataset, embedded=False,
        num_steps=len(series.values), components=components, stationarity=stationarity,
        scaler={"shift": scaler.shift, "scale": scaler.scale}, skill_at_random_and_by_time=skills,
        rmse_by_scaler=scalers, price_illusion=illusion, test=scores,
        baselines={name: row["rmse"] for name, row in scores.items()},
    )  # fmt: skip
    ru.print_files(args, figures)
    return metrics


if __name__ == "__main__":
    ru.run(main)

# %% ------------------------------------------------------------------
# Exercises
# ----------------------------------------------------------------------
# 1. Predict, then run: with `--season 168`, into which component does the slow wave of the
#    sine go, and does the seasonal naive forecast gain from it?  Look at components.png.
# 2. Change one flag: `--dataset stock`.  Which baseline wins, and how does its RMSE grow with
#    the number of days ahead?  Its MASE is near 2 although it *is* persistence: why?
# 3. Explain a failure: with `--dataset stock --scaler minmax`, what is the range of each
#    stretch in "From the series to examples"?  What would a network with a sigmoid as its
#    last layer answer in November 2007?
# 4. Modify: set LAB_HORIZON to 1, 3 and 30.  Why has the random split next to no leak at 1?
#    Then, in `main`, hand `compare_with_persistence` log_returns(prices) instead of prices (its
#    unit is then no longer dollars).  Which R^2 do you get, and what does it say?
# 5. An open question: our model is fitted once and then used for 15 % of the time.  How would
#    you score one that is fitted again each month, without letting it see the future?
