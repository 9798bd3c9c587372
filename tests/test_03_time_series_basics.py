"""03: windows never see the future, the scaler sees train only, and the three traps are real."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import (
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    note_calls,
    run_script,
)
from hypothesis import given
from hypothesis import strategies as st

import rnn_data as rd
import rnn_utils as ru

script = load_script("03_time_series_basics")


@pytest.fixture(scope="module")
def prices():
    return rd.load_goog()[1]


@pytest.fixture
def csv_file(tmp_path):
    def write(content, name="series.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def run_main(tmp_path, *flags):
    return script.main(["--quick", "--no-plots", "--output-dir", str(tmp_path), *map(str, flags)])


# Windows and splits


def test_windows_of_the_worked_example():
    inputs, targets = script.make_windows(np.arange(6.0), length=3, horizon=2)
    assert inputs.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert targets.tolist() == [[3, 4], [4, 5]]


def test_windows_are_views_not_copies():
    values = np.arange(1_000_000.0)
    inputs, targets = script.make_windows(values, 50, 12)
    assert np.shares_memory(inputs, values) and np.shares_memory(targets, values)


@given(num_steps=st.integers(1, 400), length=st.integers(1, 20), horizon=st.integers(1, 20))
def test_no_window_sees_its_target_or_a_later_stretch(num_steps, length, horizon):
    latest = -1
    for stretch in rd.split_by_time(num_steps).values():
        clock = np.arange(num_steps)[stretch]
        if len(clock) < length + horizon:
            return
        inputs, targets = script.make_windows(clock, length, horizon)
        assert len(inputs) == len(clock) - length - horizon + 1
        assert (inputs.max(axis=1) + 1 == targets.min(axis=1)).all()
        assert inputs.min() > latest
        assert targets.max() == clock[-1]
        latest = clock[-1]
    assert latest == num_steps - 1


def test_stretches_that_overlap_are_noticed(monkeypatch):
    series = rd.Series("y.csv", "y", np.arange(200.0)[:, None], np.arange(200), 7)
    for start in (100, 90):
        stretches = {"train": slice(0, 100), "val": slice(start, 200)}
        monkeypatch.setattr(rd, "split_by_time", lambda _, stretches=stretches: stretches)
        if start == 100:
            script.make_examples(series, "standard", 5, 2)
        else:
            with pytest.raises(AssertionError):
                script.make_examples(series, "standard", 5, 2)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_scaler_is_fitted_on_train_only(kind, tmp_path, csv_file):
    values = script.make_sine(400, seed=1)
    flags = ("--column", "y", "--season", 24, "--sequence-length", 10, "--scaler", kind)
    shifts = []
    for later in (0.0, 1000.0):  # the test stretch must not move the scaler
        series = np.r_[values[:340], values[340:] + later]
        path = csv_file("y\n" + "\n".join(map(repr, series.tolist())))
        shifts.append(run_main(tmp_path, "--data", path, *flags)["scaler"])
    assert shifts[0] == shifts[1]
    expected = values[:280].mean() if kind == "standard" else values[:280].min()
    assert shifts[0]["shift"] == pytest.approx(expected)


def test_scaling_back_returns_the_values():
    values = script.make_sine(100, seed=2)
    for kind in ("standard", "minmax"):
        scaler = script.Scaler(kind, values[:70])
        np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values)


def test_the_figure_of_scaling_has_one_curve_and_two_axes():
    t = np.arange(100.0)
    series = rd.Series("y.csv", "y", 50 + 2 * t[:, None], t, 7)
    figure = script.plot_splits_and_scaling(series, ru.get_pyplot())
    figure.canvas.draw()
    axes = figure.axes[0]
    (right,) = axes.child_axes
    low, high = axes.get_ylim()
    train_only = script.Scaler("minmax", series.values[:70, 0])
    expected = train_only.transform(np.array([low, high]))
    np.testing.assert_allclose(right.get_ylim(), expected)


# Looking at a series


@pytest.mark.parametrize("season", [7, 24])
def test_decomposition_finds_what_was_put_in(season):
    t = np.arange(season * 20)
    wave = 5 * np.sin(2 * np.pi * t / season)
    parts = script.decompose(10 + 0.1 * t + wave, season)
    inner = slice(season, -season)
    np.testing.assert_allclose(parts["trend"][inner], (10 + 0.1 * t)[inner])
    np.testing.assert_allclose(parts["season"], wave, atol=1e-9)
    np.testing.assert_allclose(parts["residual"][inner], 0, atol=1e-9)


def test_autocorrelation_peaks_at_the_season_and_vanishes_for_noise():
    t = np.arange(2400)
    wave = script.autocorrelation(np.sin(2 * np.pi * t / 24), 30)
    assert wave[0] == 1 and wave[13:].argmax() + 13 == 24 and wave[12] < -0.9
    noise = script.autocorrelation(np.random.default_rng(0).normal(size=2400), 30)
    assert np.abs(noise[1:]).max() < 0.1


def stationarity_of(prices) -> dict:
    series = rd.Series("y.csv", "y", prices[:, None], np.arange(len(prices)), 5)
    return script.describe_series(series, prices)["stationarity"]


def test_returns_are_nearer_to_stationary_than_prices(prices):
    rows = stationarity_of(prices)
    assert rows["price (dollars)"][1] > 1.5 * rows["price (dollars)"][0]  # the mean moves
    assert rows["price (dollars)"][4] > 0.95 and abs(rows["log-return (%)"][4]) < 0.1


# Fooling yourself


@pytest.mark.parametrize("seed", [0, 5])
def test_a_random_split_invents_skill_and_a_split_by_time_does_not(prices, seed):
    skills = script.compare_splits(prices, 3, seed)
    for data in ("GOOG", "3 random walks"):
        at_random, by_time = skills[f"5 neighbours, {data}"]
        assert at_random > 0.4 and by_time < 0.1
        assert abs(skills[f"linear, {data}"][0]) < 0.1  # as printed: no leak to speak of


def test_a_scaler_that_saw_the_future_flatters_only_in_scaled_units(prices):
    rows = script.compare_scalers(prices)
    (scaled, dollars, bounded), (fair_scaled, fair_dollars, fair_bounded) = rows.values()
    assert scaled < 0.9 * fair_scaled
    assert dollars == pytest.approx(fair_dollars)
    assert bounded == pytest.approx(dollars) and fair_bounded > 3 * fair_dollars


def test_prices_look_forecastable_and_are_not(prices):
    results, _ = script.compare_with_persistence(prices)
    assert results["linear"][0] > 0.9  # the R^2 that impresses
    assert results["persistence"][1] < results["linear"][1]  # and what it is worth


class Recorder:
    """Stands in for a model: keeps what it is fitted on and what it is asked."""

    def __init__(self):
        self.fitted, self.asked = [], []

    def fit(self, inputs, targets):
        self.fitted.append((inputs, targets))
        return self

    def predict(self, inputs):
        self.asked.append(inputs)
        return np.zeros(len(inputs))


def test_the_split_by_time_keeps_every_window_in_its_stretch_and_both_splits_are_as_large():
    clock = np.arange(500.0)  # value t stands at step t: the windows show where they are from
    stretches = rd.split_by_time(500)
    scaler = script.Scaler("standard", clock[stretches["train"]])
    model = Recorder()
    script.skill_of_both_splits(clock, model, 0)
    (at_random, _), (by_time, _) = model.fitted
    assert len(at_random) == len(by_time) and len(model.asked[0]) == len(model.asked[1])
    last_step = scaler.inverse(by_time.max()) + script.LAB_HORIZON
    assert round(last_step) == stretches["train"].stop - 1
    assert round(scaler.inverse(model.asked[1].min())) == stretches["val"].start


def test_the_forecast_of_the_next_day_is_fitted_on_train_and_asked_on_val():
    clock, model = np.arange(500.0), Recorder()
    stretches = rd.split_by_time(500)
    script.forecast_next_day(clock, script.Scaler("minmax", np.array([0.0, 1.0])), model)
    ((_, targets),) = model.fitted
    assert targets.max() == stretches["train"].stop - 1
    assert model.asked[0].min() == stretches["val"].start


def test_nothing_in_the_lab_has_seen_the_test_stretch(prices):
    later = prices.copy()
    later[rd.split_by_time(len(prices))["test"]] *= 10
    for lab in (
        lambda values: script.compare_splits(values, 1, 0),
        lambda values: script.compare_scalers(values)["train only"],
        lambda values: script.compare_with_persistence(values)[0],
    ):
        assert lab(later) == lab(prices)


def test_the_scalers_of_the_lab_know_the_training_stretch_alone(prices, monkeypatch):
    fitted = note_calls(monkeypatch, script.Scaler, "__init__")
    script.compare_splits(prices, 1, 0)
    script.compare_with_persistence(prices)
    train = prices[rd.split_by_time(len(prices))["train"]]
    assert len(fitted) == 5 and all(len(call.args[2]) == len(train) for call in fitted)
    np.testing.assert_array_equal(fitted[-1].args[2], train)


def test_what_is_described_is_the_training_stretch(csv_file, tmp_path, monkeypatch, prices):
    """What the eye learns from later stretches would leak as well."""
    values = script.make_sine(400, seed=1)
    components = []
    for later in (0.0, 1000.0):
        series = np.r_[values[:280], values[280:] + later]
        path = csv_file("y\n" + "\n".join(map(repr, series.tolist())))
        flags = ("--data", path, "--column", "y", "--season", 24, "--sequence-length", 10)
        metrics = run_main(tmp_path, *flags)
        components.append(metrics["components"])
    assert components[0] == components[1]
    early = prices[rd.split_by_time(len(prices))["train"]]
    halves = [half.mean() for half in np.array_split(early, 2)]
    assert metrics["stationarity"]["price (dollars)"][:2] == halves


def test_the_figure_of_autocorrelation_shows_the_training_stretches(tmp_path, monkeypatch, prices):
    correlated = note_calls(monkeypatch, script, "autocorrelation")
    drawn = note_calls(monkeypatch, script, "plot_autocorrelation")
    script.main(["--quick", "--output-dir", str(tmp_path)])
    lengths = [len(call.args[0]) for call in correlated[-3:]]
    train = int(0.7 * len(prices))
    assert len(drawn) == 1 and lengths == [560, train, train - 1]  # of 800 steps, and of GOOG


# Baselines


def baselines_of(values, horizon=12, season=4):
    series = rd.Series("y.csv", "y", values[:, None], np.arange(len(values)), season)
    train = values[rd.split_by_time(len(values))["train"]]
    scaler = script.Scaler("standard", train)
    return script.score_baselines(series, scaler, 6, horizon)


@pytest.mark.parametrize("season", [4, 11])  # shorter than the horizon, longer than the window
def test_seasonal_naive_is_perfect_on_a_periodic_series(season):
    scores = baselines_of(np.tile(np.arange(season) ** 2.0, 40), horizon=9, season=season)
    assert scores["seasonal naive"]["by_horizon"]["rmse"] == [0.0] * 9
    assert scores["seasonal naive"]["skill"] == 1


def test_scores_on_a_straight_line():
    scores = baselines_of(3.0 * np.arange(200), horizon=2)
    assert scores["persistence"]["mae"] == scores["persistence"]["rmse"] == 3
    assert scores["persistence"]["mase"] == 1 and scores["persistence"]["skill"] == 0
    assert scores["persistence"]["by_horizon"]["rmse"] == [3, 6]
    assert scores["moving average"]["mae"] == pytest.approx(3 * 2.5)  # the last 4 lag by 1.5
    assert scores["linear AR"]["mae"] < 1


def test_forecasts_do_not_depend_on_what_comes_later(monkeypatch):
    seen = []
    monkeypatch.setattr(
        script.rb, "forecast_scores",
        lambda forecasts, truth, naive_error: seen.append(forecasts) or dict.fromkeys(forecasts),
    )  # fmt: skip
    monkeypatch.setattr(script.rb, "print_forecast_scores", lambda *_: None)
    values = script.make_sine(400, seed=3)
    changed = values.copy()
    changed[-1] += 100  # seen by no input, only as the last target
    for series in (values, changed):
        baselines_of(series)
    for name in seen[0]:
        np.testing.assert_array_equal(seen[0][name], seen[1][name])


def test_baselines_are_fitted_on_train_and_tuned_on_val(monkeypatch):
    """Another test stretch changes neither; MASE divides by the error on train."""
    fitted = note_calls(monkeypatch, script.rb, "linear_forecast")
    scored = note_calls(monkeypatch, script.rb, "forecast_scores")
    values = script.make_sine(400, seed=3)
    baselines_of(values)
    baselines_of(np.r_[values[:340], values[340:] + 100])
    for first, second in zip(*(call.args[:2] for call in fitted)):
        for ours, theirs in zip(first, second):
            np.testing.assert_array_equal(ours, theirs)
    expected = np.abs(np.diff(values[:280])).mean()
    assert [call.args[2] for call in scored] == pytest.approx([expected] * 2)


# Files of one's own


def test_newest_row_first_is_turned_round(csv_file, tmp_path, capsys):
    dates = np.datetime64("2020-01-01") + np.arange(400)
    rows = [f"{date},{value:.3f}" for date, value in zip(dates, script.make_sine(400, 5))]
    results = []
    for name, order in (("old.csv", rows), ("new.csv", rows[::-1])):
        path = csv_file("\n".join(["Date,Close", *order]), name)
        flags = ("--column", "Close", "--sequence-length", 20)
        results.append(run_main(tmp_path, "--data", path, *flags))
    assert results[0]["test"] == results[1]["test"]
    assert "newest row first" in capsys.readouterr().out


def test_144_monthly_rows_are_enough(csv_file, tmp_path):
    months = np.arange("1949-01", "1961-01", dtype="datetime64[M]")
    values = 100 + np.arange(144) + 20 * np.sin(np.arange(144) * np.pi / 6)
    rows = [f"{month},{value:.1f}" for month, value in zip(months, values)]
    path = csv_file("\n".join(["Month,Riders", *rows]))
    flags = ("--sequence-length", 12, "--horizon", 3, "--season", 12)
    metrics = run_main(tmp_path, "--data", path, "--column", "Riders", *flags)
    assert metrics["num_steps"] == 144 and metrics["baselines"]["linear AR"] < 5


def test_series_without_enough_in_them_are_refused(csv_file, tmp_path):
    short = csv_file("y\n" + "1\n2\n" * 30)
    with pytest.raises(ru.UserError, match=r"60 values are too few.* 62 steps"):
        run_main(tmp_path, "--data", short, "--column", "y")
    with pytest.raises(ru.UserError, match=r"2 seasons of 25 .* of 42"):
        flags = ("--sequence-length", 2, "--horizon", 1, "--season", 25)
        run_main(tmp_path, "--data", short, "--column", "y", *flags)
    flat = csv_file("y\n" + "1\n" * 800)
    with pytest.raises(ru.UserError, match="'y' never changes"):
        run_main(tmp_path, "--data", flat, "--column", "y")


@pytest.mark.parametrize("flags", [["--data", "x.csv"], ["--column", "y"], ["--date-column", "d"]])
def test_file_and_column_go_together(flags):
    with pytest.raises(ru.UserError, match="--column"):
        script.parse_args(flags)


def test_a_long_file_is_fitted_on_some_of_its_windows(csv_file, tmp_path, monkeypatch):
    values = script.make_sine(70_000, seed=0)
    path = csv_file("y\n" + "\n".join(f"{value:.3f}" for value in values))
    rows = []
    flat = script.rb._flat
    monkeypatch.setattr(script.rb, "_flat", lambda w: rows.append(len(w)) or flat(w))
    monkeypatch.setattr(script, "compare_splits", lambda *_: {})
    run_main(tmp_path, "--data", path, "--column", "y", "--season", 24)
    assert rows[0] == rows[1] <= 20_000  # inputs and targets of train


def test_long_lines_are_drawn_whole(tmp_path):
    plt, t = ru.get_pyplot(), np.arange(100_000)
    series = rd.Series("y.csv", "y", np.sin(2 * np.pi * t / 21)[:, None], t, 21)
    figure = script.plot_splits_and_scaling(series, plt)
    drawn = np.concatenate([line.get_ydata() for line in figure.axes[0].lines])
    np.testing.assert_array_equal(drawn, series.values[:, 0])
    figure.savefig(tmp_path / "long.png")  # a line of so many points is no trouble to Agg
    plt.close(figure)


def test_stationarity_names_the_means_that_it_prints(capsys):
    prices = np.r_[np.linspace(10.0, 30.0, 140), np.full(60, 99.0)]
    first, second, *_ = stationarity_of(prices)["price (dollars)"]
    assert f"{first:9.2f}{second:9.2f}" in capsys.readouterr().out
    assert (round(first), round(second)) == (15, 25)


# The command line


def test_quick_run_writes_metrics_and_figures(tmp_path):
    completed = run_script("03_time_series_basics", "--quick", cwd=tmp_path)
    assert completed.returncode == 0 and completed.stderr == "", completed.stderr
    folder = tmp_path / "outputs" / "03_time_series_basics"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tutorial"] == "03_time_series_basics" and metrics["embedded"] is False
    assert metrics["dataset"] == "sine" and metrics["num_steps"] == 800
    assert metrics["baselines"]["linear AR"] < 0.8 * metrics["baselines"]["persistence"]
    assert metrics["baselines"]["linear AR"] > 0.8 * script.NOISE
    figures = {path.stem for path in folder.glob("*.png")}
    assert figures == {"autocorrelation", "baselines", "fooling", "splits_and_scaling"}


def test_same_seed_same_metrics(tmp_path):
    first, second = (run_main(tmp_path, "--seed", 3) for _ in range(2))
    other = run_main(tmp_path, "--seed", 4)
    for metrics in (first, second, other):
        del metrics["total_seconds"]
    assert first == second and first["test"] != other["test"]


def test_stock_and_own_dates_from_the_command_line(csv_file, tmp_path, prices):
    assert run_main(tmp_path, "--dataset", "stock")["dataset"] == "stock"
    dates = np.datetime64("2020-01-01") + np.arange(500)
    rows = "\n".join(f"{date},{price}" for date, price in zip(dates, prices))
    path = csv_file("day,close\n" + rows)
    flags = f"--data {path} --column close --date-column day --horizon 1 --sequence-length 20"
    metrics = script.main([*flags.split(), "--quick", "--output-dir", str(tmp_path)])
    assert metrics["dataset"] == str(path) and metrics["num_steps"] == 500


def test_user_mistakes_are_one_line(csv_file, tmp_path, capsys):
    flags = ("--data", csv_file("d,x\n2024-01-01,1\n"), "--column", "y")
    completed = run_script("03_time_series_basics", *flags, cwd=tmp_path)
    assert_one_line_error(completed, "no column 'y'", "'d', 'x'")
    with pytest.raises(SystemExit) as caught:
        script.parse_args(["--horizon", "0"])
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and printed.count("\n") == 1 and "--horizon" in printed


def test_help_does_not_wait_for_heavy_imports():
    assert_help_imports_nothing_heavy("03_time_series_basics", "--sequence-length")
