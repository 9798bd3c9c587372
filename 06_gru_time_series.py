"""06_gru_time_series: can a GRU forecast, and does it know how good it is?

The question    A GRU reads the last 50 values of a series and forecasts the next 20.  Is that
                better than "as now", or than a linear model?  How sure may it be?
The number      +0.77 and -0.05: the skill of the same network, one step ahead, on sine waves
                with noise and on Google's share price (means of seeds 0, 1, 2).  On a chaotic
                series a linear model wins one step ahead, and the GRU 20 steps ahead.

The GRU (Cho et al. 2014) as PyTorch computes it; * multiplies element by element:

    r_t = sigmoid(W_xr x_t + b_xr + W_hr h_{t-1} + b_hr)        reset: use the past?
    z_t = sigmoid(W_xz x_t + b_xz + W_hz h_{t-1} + b_hz)        update: keep the past?
    n_t = tanh(W_xn x_t + b_xn + r_t * (W_hn h_{t-1} + b_hn))   candidate
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       h_0 = 0
    (y_{L+1}, ..., y_{L+K}) = anchor + W_y h_L + b_y            all K steps at once

    x_t (I,)  the values at step t              h_t, r_t, z_t, n_t (H,)
    L  steps in a window (--sequence-length)    K  steps to forecast (--horizon)
    skill = 1 - RMSE / RMSE of persistence ("as now");  t: section 3

    python 06_gru_time_series.py --sequence-length 50      # 15 s on a laptop, one core used

    test      sine (units), 381 windows
                        one step ahead                               20 steps ahead
                           MAE      RMSE      MASE   skill      t        RMSE   skill
      GRU                0.166     0.207     0.214   +0.78  +15.6       0.212   +0.94
      linear AR           0.16     0.198     0.207   +0.79  +15.7       0.203   +0.94
      persistence        0.755     0.935     0.975   +0.00   +0.0        3.39   +0.00
      ...
      The 90 % intervals hold 90.2% of the test values.

Writes metrics.json and four figures to outputs/06_gru_time_series/; look at forecast.png first.
Then try --dataset stock or mackey-glass, or your own --data FILE.csv --column NAME:

    python 06_gru_time_series.py --save-model --path sine.pt
    python 06_gru_time_series.py --forecast 20 --path sine.pt      # answers at once

Next: 07_bidirectional_rnn.py reads in both directions, which a forecast must not.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import rnn_baselines as rb
import rnn_data as rd
import rnn_utils as ru

TUTORIAL = "06_gru_time_series"
NOISE = 0.2  # standard deviation of the noise on the sine, in its units


# %% [markdown]
# ## 1. Data
# Two of our series are made by a rule, so we know what can be forecast in them.
#
# - **sine** has a trend, two waves and noise.  Think of the sun's day of 24 hours and the tide of
#   12.42.  Nobody can forecast the noise: no RMSE stays below NOISE, except by luck.  A wave
#   continues by a *linear* rule, a fixed combination of its last two values.  Here a linear model
#   has all it needs, and the GRU has to show that it is no worse.
# - **mackey-glass** is the opposite: no noise, and no linear rule.  The number of blood cells
#   depends, through a curve with a hump, on the number 17 days ago (Mackey and Glass 1977).  This
#   is chaos: the series never repeats, and small errors grow.
# - **stock** is real: Google's share price on 1,047 trading days.
# %%
def make_sine(num_steps: int, seed: int) -> np.ndarray:
    """Return (T,) values: a trend, waves of 24 and of 12.42 steps, and noise."""
    t = np.arange(num_steps)
    # y_t = 20 + 0.005 t + 3 sin(2 pi t / 24) + 2 sin(2 pi t / 12.42) + e_t,  e_t ~ N(0, NOISE^2)
    signal = 20 + 0.005 * t + 3 * np.sin(2 * np.pi * t / 24) + 2 * np.sin(2 * np.pi * t / 12.42)
    return signal + np.random.default_rng(seed).normal(0.0, NOISE, num_steps)


# %% [markdown]
# ### Splits and scaling
# Chapter 03 explains both.  The past trains and the future tests.  A window lies wholly inside one
# stretch.  A network learns best from numbers around 0 and of size 1: z = (y - shift) / scale,
# with mean and standard deviation of the *training* stretch.
# %%
class Scaler(NamedTuple):
    """Shift and scale of each of the I columns, and the way back."""

    shift: list[float]
    scale: list[float]

    @classmethod
    def fit(cls, train: np.ndarray) -> Scaler:
        """Measure the training stretch (T, I), and nothing later."""
        scale = train.std(axis=0)
        scale[scale == 0] = 1.0  # a column that never changes tells nothing and does no harm
        return cls(train.mean(axis=0).tolist(), scale.tolist())

    def transform(self, values: np.ndarray) -> torch.Tensor:
        """(T, I) values -> (T, I) scaled."""
        if values.shape[1] != len(self.shift):
            found = f"reads {len(self.shift)} columns, and the data have {values.shape[1]}"
            raise ru.UserError(f"the network {found}; give as many --features as in its training")
        return torch.tensor((values - self.shift) / self.scale, dtype=torch.float32)

    def to_units(self, z: torch.Tensor) -> np.ndarray:
        """Scaled values of column 0, of any shape -> values in the unit of the series."""
        # First to the CPU, then to float64: a GPU of Apple's (mps) has no float64.
        return z.cpu().double().numpy() * self.scale[0] + self.shift[0]


# %% [markdown]
# ### Windows
# A window is one example: L steps to read, and the K steps that follow, to forecast.  There is one
# at every step, and all are views into one array: they take no memory until a batch is copied.
# %%
class Split(NamedTuple):
    """The N windows of one stretch; inputs and targets are both inside it."""

    inputs: torch.Tensor  # (N, L, I) scaled
    targets: torch.Tensor  # (N, K) scaled, the future of column 0
    now: np.ndarray  # (N,) the place in the series of the last step of each input


def make_windows(z: torch.Tensor, stretch: slice, length: int, horizon: int) -> Split:
    """Cut one stretch of the scaled series (T, I) into windows."""
    windows = z[stretch].unfold(0, length + horizon, 1).transpose(1, 2)  # (N, L + K, I)
    now = stretch.start + length - 1 + np.arange(len(windows))
    return Split(windows[:, :length], windows[:, length:, 0], now)


# %% [markdown]
# ## 2. Model
# ### The cell
# The LSTM of chapter 05 has three gates and two states.  The GRU (Cho et al. 2014) makes do with
# two gates and one state.  A gate is a vector of numbers between 0 and 1, one for each unit.
#
# - The update gate z_t decides how much of the old state stays.  Where z_t is 1, h_t is h_{t-1},
#   unchanged, and so is the gradient on its way back.
# - The reset gate r_t decides how much of the old state the candidate n_t may use.  Where r_t is
#   0, the candidate ignores the past.
#
# **Pitfall.**  The paper resets *before* the matrix product, W_hn (r_t * h_{t-1}).  PyTorch and
# cuDNN reset after it, so that no product has to wait for a gate.  And Chung et al. (2014) swap
# z_t and 1 - z_t.  Weights of one variant do not work in another.
# %%
class HandWrittenGRU(nn.Module):
    """A one-layer GRU with the interface of nn.GRU(batch_first=True).

    forward: (B, T, I) -> every state (B, T, H), and the last state (1, B, H).
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        # W_xr, W_xz and W_xn stacked, and W_hr, W_hz, W_hn: one product computes all three.
        self.W_x = nn.Linear(input_size, 3 * hidden_size)
        self.W_h = nn.Linear(hidden_size, 3 * hidden_size)

    def step(self, x_t: torch.Tensor, h_prev: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One step: (B, I) and the state before it (B, H) -> h_t, r_t and z_t, each (B, H)."""
        x_r, x_z, x_n = self.W_x(x_t).chunk(3, dim=1)  # W_xr x_t + b_xr, ..., (B, H) each
        h_r, h_z, h_n = self.W_h(h_prev).chunk(3, dim=1)  # W_hr h_{t-1} + b_hr, ...
        # r_t = sigmoid(W_xr x_t + b_xr + W_hr h_{t-1} + b_hr)
        r_t = torch.sigmoid(x_r + h_r)
        # z_t = sigmoid(W_xz x_t + b_xz + W_hz h_{t-1} + b_hz)
        z_t = torch.sigmoid(x_z + h_z)
        # n_t = tanh(W_xn x_t + b_xn + r_t * (W_hn h_{t-1} + b_hn))
        n_t = torch.tanh(x_n + r_t * h_n)
        # h_t = (1 - z_t) * n_t + z_t * h_{t-1}
        return (1 - z_t) * n_t + z_t * h_prev, r_t, z_t

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h_t = inputs.new_zeros(inputs.shape[0], self.hidden_size)  # (B, H), h_0 = 0
        states = []
        for x_t in inputs.unbind(dim=1):  # T tensors of (B, I)
            h_t, _, _ = self.step(x_t, h_t)
            states.append(h_t)
        return torch.stack(states, dim=1), h_t[None]  # (B, T, H), (1, B, H)

    @classmethod
    def from_torch(cls, gru: nn.GRU) -> HandWrittenGRU:
        """A cell that shares the weights of a one-layer nn.GRU: r, z and n are stacked alike."""
        cell = cls(gru.input_size, gru.hidden_size)
        cell.W_x.weight = gru.weight_ih_l0
        cell.W_h.weight = gru.weight_hh_l0
        cell.W_x.bias = gru.bias_ih_l0
        cell.W_h.bias = gru.bias_hh_l0
        return cell


# %% [markdown]
# ### The forecaster
# GRU -> Dense.  `nn.GRU` computes the same as the cell above, and faster.  A linear layer turns
# the state after the last step into all K forecasts at once (a *direct* forecast).
#
# **The anchor.**  A trend carries a series to levels that no training window had, and there a
# network cannot be trusted.  So each window is measured from a point of its own, its anchor, and
# the forecast is the anchor plus what the network says.
#
# - `mean`, the mean of the window: for a wave on a trend.  Without it, the test RMSE on sine is
#   1.9 in place of 0.21, one step ahead.
# - `last`, the last value: for a price, of which only the last value counts.  A network that
#   answers 0 then forecasts "as now".  (On sine the last value carries its noise into every
#   forecast, and the RMSE is 0.27.)
# - `none`: for a series that stays at one level, as mackey-glass does.  How far a window is from
#   that level is then worth knowing.
# %%
class Forecaster(nn.Module):
    """GRU -> state at the last step -> the next K values of column 0.

    num_features  I, columns that the network reads
    horizon       K, steps to forecast
    hidden_size   H, numbers in the state
    anchor        from where a window is measured: its "mean", its "last" value, or "none"
    dropout       the share of the numbers in h_L that training sets to 0, other ones each time
    """

    def __init__(self, num_features, horizon, hidden_size=64, anchor="mean", dropout=0.0):
        super().__init__()
        self.rnn = nn.GRU(num_features, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, horizon)  # W_y and b_y
        self.anchor = anchor
        ru.initialise_recurrent(self.rnn)  # orthogonal matrices, as in 04

    def measure(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, L, I) scaled windows -> their anchors (B, 1, I)."""
        if self.anchor == "mean":
            return inputs.mean(dim=1, keepdim=True)
        if self.anchor == "last":
            return inputs[:, -1:]
        return torch.zeros_like(inputs[:, :1])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, L, I) scaled windows -> (B, K) scaled forecasts."""
        anchor = self.measure(inputs)  # (B, 1, I)
        states, _ = self.rnn(inputs - anchor)  # (B, L, H)
        return anchor[:, :, 0] + self.output(self.dropout(states[:, -1]))  # (B, K)


# %% [markdown]
# ## 3. Training and evaluation
# ### One epoch
# It is the loop of chapter 04; the loss is the mean squared error over all K steps, near and far.
#
# Is it right to shuffle the windows?  *Within* the training stretch, yes: all of it is past.
# Shuffling before the split is the mistake (03 measures it).
# %%
def train_epoch(model, split, optimizer, epoch, epochs, lr, batch_size, clip) -> tuple:
    """Train on every window once; return the mean loss and the mean gradient norm."""
    model.train()
    batches = torch.randperm(len(split.inputs)).to(split.inputs.device).split(batch_size)
    total_steps = epochs * len(batches)
    step = (epoch - 1) * len(batches)
    loss_sum = 0.0
    norm_sum = 0.0
    for rows in ru.progress(batches, desc=f"epoch {epoch}"):
        for group in optimizer.param_groups:
            group["lr"] = ru.learning_rate(step, total_steps, lr)

        forecast = model(split.inputs[rows])  # (B, K)
        loss = F.mse_loss(forecast, split.targets[rows])
        optimizer.zero_grad()
        loss.backward()
        norm_sum += ru.clip_gradients(model.parameters(), clip)
        optimizer.step()

        step += 1
        loss_sum += loss.item() * len(rows)
    ru.check_finite(loss_sum, epoch)
    return loss_sum / len(split.inputs), norm_sum / len(batches)


# %% [markdown]
# ### Forecasts
# Our forecast is *direct*: the network has K outputs, and each is trained for its own distance.  A
# *recursive* forecast appends the next step to the window as if it were data, and goes on.  It
# reaches any distance, and feeds on its own errors.  (Exercise 4 compares the two.)
# %%
@torch.no_grad()
def forecast_direct(model, inputs: torch.Tensor, batch_size: int = 1024) -> torch.Tensor:
    """Scaled windows (N, L, I) -> all K forecasts at once, (N, K), with dropout off."""
    model.eval()
    return torch.cat([model(batch) for batch in inputs.split(batch_size)])


def evaluate(model, split: Split) -> float:
    """Mean squared error of the forecasts, scaled, over all windows and steps."""
    return float(F.mse_loss(forecast_direct(model, split.inputs), split.targets))


# %% [markdown]
# ### How sure is a forecast?
# Look at the errors on data that the network was not trained on.  For each distance we take two
# quantiles of the validation errors: 5 % of the errors are below the first, 5 % above the second.
# Between them lie 90 %.  So will 90 % of future errors, *if the future is like the validation
# stretch*.  (The same stretch chooses the epoch, below.  So the intervals are a little too narrow.)
# On test we count how much they really hold.
# %%
def calibrate(model, val: Split) -> torch.Tensor:
    """The 5 % and 95 % quantiles (2, K) of the validation errors, scaled."""
    errors = val.targets - forecast_direct(model, val.inputs)  # (N, K)
    return torch.from_numpy(np.quantile(errors.cpu().numpy(), [0.05, 0.95], axis=0)).float()


def forecast_in_units(model, inputs, quantiles, scaler: Scaler) -> np.ndarray:
    """Scaled windows -> (3, N, K): forecasts, and the two ends of their 90 % intervals."""
    z = forecast_direct(model, inputs).cpu()  # (N, K)
    return scaler.to_units(torch.stack([z, z + quantiles[0], z + quantiles[1]]))


# %% [markdown]
# ### The training loop
# "Best" is by validation loss.  A forecaster that trains for too long learns the noise of its
# training stretch: `--dataset stock` shows it after two epochs.  The test stretch takes no part.
# %%
def train(
    model, train_split: Split, val_split: Split, epochs: int, lr: float, batch_size: int,
    clip: float, patience: int, about: dict, path=None, save_model=False, resume=False,
) -> tuple[list[dict], dict]:  # fmt: skip
    """Train for up to `epochs`, and leave `model` with the weights of the best epoch.

    Returns the history and the best epoch.  With `save_model`, everything is saved at `path`
    after each epoch, together with `about`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    best = {"epoch": 0, "loss": math.inf}
    if resume:
        history, best = ru.resume(path, TUTORIAL, model, optimizer, "loss", "quantiles")

    for epoch in range(len(history) + 1, epochs + 1):
        if patience and len(history) - best["epoch"] >= patience:
            print(f"stopped early: no better validation loss for {patience} epochs")
            break
        started = time.perf_counter()
        train_loss, gradient_norm = train_epoch(
            model, train_split, optimizer, epoch, epochs, lr, batch_size, clip
        )
        val_loss = evaluate(model, val_split)
        history.append({
            "epoch": epoch, "train_loss": train_loss, "gradient_norm": gradient_norm,
            "val_loss": val_loss,
            "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip
        if val_loss < best["loss"]:
            best = {"epoch": epoch, "loss": val_loss, "weights": ru.snapshot(model)}
            best["quantiles"] = calibrate(model, val_split)
        if save_model:
            ru.save_epoch(path, TUTORIAL, about, best, history, model, optimizer)
        ru.print_epoch(history[-1], best["epoch"])
    model.load_state_dict(best["weights"])
    return history, best


# %% [markdown]
# ### What the network has to beat
# The baselines of chapter 03, on the same windows:
#
#     persistence       y_{t+k} = y_t                   nothing changes
#     seasonal naive    y_{t+k} = y_{t+k-m}             as one season (m steps) before
#     linear AR         z_{t+k} = b_k + w_k . window    ridge regression, tuned on validation
#
# MAE and RMSE are in the unit of the series.  MASE is MAE relative to persistence (chapter 03).
# A skill of +0.01 may be luck.  So `t` compares the squared errors with those of persistence, one
# step ahead: the mean difference divided by its standard error.  Between -2 and 2, claim nothing.
# %%
def measure_test(model, series: rd.Series, splits, scaler: Scaler, quantiles) -> tuple:
    """Score network and baselines on test, and print it.  Nothing is chosen afterwards.

    Returns what metrics.json says of it, and the network's forecasts and intervals (3, N, K).
    """
    test = splits["test"]
    horizon = test.targets.shape[1]
    answers = forecast_in_units(model, test.inputs, quantiles, scaler)
    linear = rb.linear_forecast(splits["train"], splits["val"], test.inputs)  # (N, K) scaled
    values = series.values[:, 0]  # (T,)
    forecasts = {"GRU": answers[0], "linear AR": scaler.to_units(torch.from_numpy(linear))}
    forecasts.update(rb.naive_forecasts(values, test.now, horizon, series.season))

    truth = values[test.now[:, None] + np.arange(1, horizon + 1)]  # (N, K)
    train_values = values[rd.split_by_time(len(values))["train"]]
    scores = rb.forecast_scores(forecasts, truth, float(np.abs(np.diff(train_values)).mean()))
    rb.print_forecast_scores(scores, f"test      {series.name}, {len(truth):,} windows")
    if series.source == "sine":
        share = scores["GRU"]["rmse"] / NOISE - 1
        print(f"  Nobody can forecast the noise, {NOISE}; the GRU's RMSE is {share:+.1%} from it.")
    inside = (answers[1] <= truth) & (truth <= answers[2])  # (N, K)
    scores["GRU"]["coverage"] = float(inside.mean())
    scores["GRU"]["by_horizon"]["coverage"] = inside.mean(axis=0).tolist()
    print(f"  The 90 % intervals hold {inside.mean():.1%} of the test values.")
    measured = {"test": scores.pop("GRU"), "baseline_scores": scores}
    measured["baselines"] = {name: row["rmse"] for name, row in scores.items()}
    return measured, answers


# %% [markdown]
# ## 4. Looking inside
# ### The gates
# `nn.GRU` does not show its gates.  Our own cell, with the trained weights, reads a window and
# writes them down.
# %%
@torch.no_grad()
def read_gates(model: Forecaster, window: torch.Tensor) -> dict[str, torch.Tensor]:
    """(L, I) scaled window -> reset gate, update gate and state over time, each (L, H)."""
    cell = HandWrittenGRU.from_torch(model.rnn)
    window = window - model.measure(window[None])[0]  # (L, I)
    h_t = window.new_zeros(1, cell.hidden_size)
    rows = []
    for x_t in window[:, None]:  # L tensors of (1, I)
        h_t, r_t, z_t = cell.step(x_t, h_t)
        rows.append(torch.cat([r_t, z_t, h_t]).cpu())  # (3, H)
    r, z, h = torch.stack(rows, dim=1)  # (L, H) each
    return {"reset gate r_t": r, "update gate z_t": z, "state h_t": h}


def plot_gates(model, window: torch.Tensor, name: str, plt):
    """The 16 units whose state moves most, below the input."""
    panels = read_gates(model, window)
    units = panels["state h_t"].std(dim=0).argsort(descending=True)[:16].tolist()
    figure, rows = plt.subplots(4, 1, figsize=(9, 9), height_ratios=(2, 3, 3, 3))
    rows[0].plot(window[:, 0].cpu(), "o-", ms=3, color=ru.BLACK)
    rows[0].set(ylabel="input (scaled)", xlim=(-0.5, len(window) - 0.5))
    # What a value of 1 means; gates are in 0 to 1, and states in -1 to 1.
    looks = [("1: use the past", "Blues", 0), ("1: keep the state", "Blues", 0), ("", "RdBu", -1)]
    for axes, (label, values), (text, colors, low) in zip(rows[1:], panels.items(), looks):
        ru.plot_heatmap(axes, values[:, units].T, units, [], f"{label}\n{text}", colors, low, 1)
        axes.set_ylabel("hidden unit")
        axes.tick_params(labelsize=7)
    rows[3].set_xlabel("step of the window")
    figure.suptitle(f"When does the GRU keep its state?  (one test window of {name})")
    return figure


# %% [markdown]
# ### RNN, LSTM and GRU side by side
# The cells differ in how many pairs W_x, W_h they carry: the RNN 1, the GRU 3, the LSTM 4.  So put
# `nn.RNN` or `nn.LSTM` in place of `nn.GRU` in `Forecaster` (with `--no-plots`).  With 64 units,
# the RMSE on validation over all 20 steps (mean of seeds 0 to 2) is 0.214 for the RNN (5,588
# parameters), 0.218 for the GRU (14,164) and 0.220 for the LSTM (18,452).  A fair comparison has as
# many parameters: 111 units in the RNN give 0.215, and 55 in the LSTM 0.218.
#
# On waves that repeat within the window nothing has to be kept for long, and the gates gain
# nothing.  They are worth their parameters where the RNN forgets (chapter 05).
#
# ### The forecast beside the truth
# The forecast of a share price follows every turn, and pictures like it sell.  Look closer: it
# turns a day late.  It has found nothing better than the last price (03 measures this).
# %%
def plot_forecast(series: rd.Series, now: np.ndarray, answers: np.ndarray, plt):
    """The first and the last step ahead (1 and K), beside the truth; `answers` (3, N, K)."""
    now = now[:120]  # more windows would be a black bar
    steps = sorted({1, answers.shape[2]})
    figure, rows = plt.subplots(len(steps), 1, figsize=(9, 6.5), squeeze=False)
    for axes, k in zip(rows[:, 0], steps):
        times = series.times[now + k]
        forecast, low, high = answers[:, :120, k - 1]
        axes.fill_between(times, low, high, color=ru.SKY, alpha=0.4, label="90 % interval")
        axes.plot(times, series.values[now + k, 0], color=ru.BLACK, lw=1.5, label="truth")
        axes.plot(times, forecast, "--", color=ru.BLUE, label="forecast")
        axes.set(ylabel=series.name, title=f"steps ahead: {k}")
    axes.set_xlabel("time (start of the test stretch)")
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle("Does the forecast meet the truth?")
    return figure


def draw_figures(model, series, test: Split, metrics, answers, folder, show) -> None:
    plt = ru.get_pyplot(show)
    scores = {"GRU": metrics["test"]} | metrics["baseline_scores"]
    title = "How does the error grow with the distance?  (test)"
    figures = {
        "forecast": plot_forecast(series, test.now, answers, plt),
        "gates": plot_gates(model, test.inputs[0], series.source, plt),
        "error_by_horizon": rb.plot_by_horizon(scores, series.name, title),
    }
    if metrics["history"]:  # --eval-only has none
        figures["training_curves"], axes = plt.subplots(figsize=(7, 4))
        ru.plot_curves(axes, metrics["history"], "loss", "mean squared error (scaled)")
        axes.set(title=f"Does it still learn, or memorise?  ({series.source})", yscale="log")
    ru.save_figures(figures, folder, show)


# %% [markdown]
# ## 5. Command line and main
# %%
def newest_rows(about: dict, data, column, features, date_column) -> rd.Series:
    """What a forecast goes on from: the table `data`, else the end of the training's series."""
    if not data:
        return rd.Series(**about["end"])
    trained = about["config"]
    column = column or trained["column"]
    return rd.own_series(data, column, features or trained["features"], date_column, None)


def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("start here").add_argument
    add("--dataset", choices=("sine", "mackey-glass", "stock"), help="without it: sine")
    add("--data", metavar="FILE.csv", help="a table of your own: a header, one row a step")
    add("--column", metavar="NAME", help="the column of --data to forecast")
    add("--sequence-length", type=ru.at_least(1), default=50, help="L, steps a window shows")
    add("--horizon", type=ru.at_least(1), default=20, help="K, steps to forecast")
    add("--forecast", type=ru.at_least(1), metavar="N", help="print N steps beyond the data")
    add("--date-column", metavar="NAME", help="the dates of --data, if several columns have some")
    add("--features", nargs="+", metavar="NAME", help="further columns to read")
    add("--season", type=ru.at_least(1), help="m; sine 24, mackey-glass 50, stock 5, --data 7")
    add("--num-steps", type=ru.at_least(1), default=3000, help="length of a generated series")
    add("--anchor", choices=("mean", "last", "none"), help="else: mean, stock last, chaos none")
    ru.add_training_flags(
        parser, epochs=20, lr=0.01, batch_size=64, clip=1, patience=6, hidden_size=64, dropout=0
    )
    ru.add_checkpoint_flags(parser, TUTORIAL)
    ru.add_run_flags(parser, downloads=False)
    quick = {"num_steps": 800, "epochs": 5, "hidden_size": 16, "batch_size": 32, "lr": 0.03}
    quick.update(sequence_length=24, horizon=8)
    args = ru.parse_arguments(parser, argv, quick)
    if args.data and args.dataset:
        raise ru.UserError("--data and --dataset are two series; give one of them")
    if (args.column or args.date_column or args.features) and not args.data:
        raise ru.UserError("--column, --date-column and --features belong to a file: add --data")
    args.anchor = args.anchor or {"stock": "last", "mackey-glass": "none"}.get(args.dataset, "mean")
    args.horizon = max(args.horizon, args.forecast or 0)
    return args


def build(series: rd.Series, config: dict) -> tuple:
    """Make a new model; return it, and `about`: all that a checkpoint says besides weights."""
    scaler = Scaler.fit(series.values[rd.split_by_time(len(series.values))["train"]])
    sizes = {name: config[name] for name in ("horizon", "hidden_size", "anchor", "dropout")}
    sizes["num_features"] = len(scaler.shift)
    rows = series.values[-config["sequence_length"] :].tolist()  # --forecast goes on here
    end = series._replace(values=rows, times=[str(series.times[-1])])
    about = {"config": config, "sizes": sizes, "scaler": scaler._asdict(), "end": end._asdict()}
    return Forecaster(**sizes), about


def load_model(path) -> tuple:
    """Rebuild the model of a checkpoint; return it, `about`, and the best epoch."""
    needed = ["scaler", "end", "sequence_length", "column", "features"]
    model, about, best = ru.load_model(path, TUTORIAL, Forecaster, *needed)
    with ru.restoring(path):  # stop here where a stranger's file holds something else
        end = rd.Series(**about["end"])
        Scaler(**about["scaler"]).transform(np.array(end.values))
        str(end.times[-1])
        best["quantiles"] = best["quantiles"].view(2, about["sizes"]["horizon"])
    return model, about, best


def introduce(model, about: dict, series: rd.Series) -> tuple[Scaler, dict[str, Split]]:
    """Scale the series and cut it into windows; print what is where, and the model's layers."""
    scaler = Scaler(**about["scaler"])
    z = scaler.transform(series.values).to(model.output.weight.device)  # (T, I)
    print(f"data      {series.name}: {len(z):,} steps")
    trained_on = about["config"].get("column") or about["config"].get("dataset")
    if trained_on not in (None, series.name, series.source):  # --eval-only on other data
        print(f"{'':<10}the network was trained on {trained_on!r}")
    length = about["config"]["sequence_length"]
    splits = {}
    for part, stretch in rd.split_by_time(len(z)).items():
        splits[part] = make_windows(z, stretch, length, about["sizes"]["horizon"])
        steps = f"steps {stretch.start:,} to {stretch.stop - 1:,}"
        print(f"{'':<10}{part}: {steps}, {len(splits[part].now):,} windows")
    window = " ".join(f"{z:+.2f}" for z in splits["train"].inputs[0, -4:, 0].tolist())
    target = " ".join(f"{z:+.2f}" for z in splits["train"].targets[0, :4].tolist())
    print(f"example   scaled: ... {window} -> {target} ...")
    ru.print_layers(model, splits["train"].inputs[:64])
    return scaler, splits


def predict(model, about: dict, best: dict, series: rd.Series, steps: int | None) -> dict | None:
    """Print the forecast of the `steps` that follow the series; return {name: list}."""
    if steps is None:  # not asked
        return None
    length = about["config"]["sequence_length"]
    if steps > about["sizes"]["horizon"]:  # nobody has measured how far to trust it there
        what = f"--forecast {steps}: this network forecasts {about['sizes']['horizon']} steps"
        raise ru.UserError(f"{what}; train one with --horizon {steps}")
    rows = np.array(series.values[-length:])  # (L, I)
    if len(rows) < length:
        raise ru.UserError(f"{series.source}: {len(rows)} rows, and the network reads {length}")
    scaler = Scaler(**about["scaler"])
    window = scaler.transform(rows)[None].to(model.output.weight.device)  # (1, L, I)
    answers = forecast_in_units(model, window, best["quantiles"], scaler)[:, 0, :steps]
    last = f"{series.times[-1]!s:.16}, where it was {rows[-1, 0]:.6g}"
    print(f"\nforecast  {series.name} after {last}")
    print("  step    forecast     90 % interval")
    for k, (value, low, high) in enumerate(answers.T, start=1):
        print(f"  {k:+4d}  {value:10.4f}  {low:10.4f} to {high:.4f}")
    return dict(zip(("forecast", "low", "high"), answers.tolist()))


def main(argv=None) -> dict:
    args = parse_args(argv)
    if ru.answers_alone(args, args.forecast):
        model, about, best = load_model(args.path)
        series = newest_rows(about, args.data, args.column, args.features, args.date_column)
        return predict(model.to(ru.get_device(args.device)), about, best, series, args.forecast)

    device, config = ru.start_run(args, TUTORIAL, "forecast")
    series = rd.load_series(
        args.data, args.column, args.features, args.date_column, args.dataset, args.season,
        args.num_steps, args.seed, make_sine, args.sequence_length + args.horizon,
    )  # fmt: skip
    history = []
    if args.eval_only:
        model, about, best = load_model(args.path)
    else:
        model, about = build(series, config)
    scaler, splits = introduce(model.to(device), about, series)
    if not args.eval_only:
        history, best = train(
            model, splits["train"], splits["val"], args.epochs, args.lr, args.batch_size,
            args.clip, args.patience, about, args.path, args.save_model, args.resume,
        )  # fmt: skip
    measured, answers = measure_test(model, series, splits, scaler, best["quantiles"])
    metrics = ru.write_metrics(args, TUTORIAL, series.source, False, {
        "parameters": ru.count_parameters(model), "history": history, "best_epoch": best["epoch"],
        "items_per_epoch": len(splits["train"].now), **measured,
        "forecast": predict(model, about, best, series, args.forecast),
    })  # fmt: skip
    if not args.no_plots:
        draw_figures(model, series, splits["test"], metrics, answers, args.output_dir, args.show)
    return metrics


if __name__ == "__main__":
    ru.run(main)


# %% [markdown]
# ## Exercises
# 1. Predict, then run: `--dataset mackey-glass --horizon 1`.  Which model wins, and by what
#    factor?  And with `--horizon 40`?  There, look at error_by_horizon.png.
# 2. Change one flag: `--sequence-length 5`.  How far from the noise are the network and the
#    linear model now, one step ahead (RMSE / 0.2 - 1)?  Why is step 20 easier than step 1?
# 3. Explain a failure: `--anchor none` on sine.  What happens to the skill, and what share do
#    the intervals hold?  Print the smallest and largest value of each stretch in `introduce`.
# 4. Modify the code: in `train`, let `calibrate` take its errors from `train_split`, and run
#    `--dataset stock`.  What happens to the coverage on test, and why are the errors on the
#    training stretch no use for that?  Then write a recursive forecast: take step 1 of
#    `forecast_direct`, append it to the window, drop the oldest step, and repeat 20 times.  Where
#    is it better than the direct one: on sine, on stock, on mackey-glass?
# 5. An open question: the validation stretch of GOOG holds a fall of its own, and so the 90 %
#    intervals hold far more than 90 % of the summer of 2008.  How would you let them widen and
#    narrow within days?
