"""03: windows never see the future, the scaler sees train only, and the three traps are real."""

from __future__ import annotations

import json

import rnn_utils as ru

import numpy as np
import pytest
from helpers import (
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_script,
)
from hypothesis import given
from hypothesis import strategies as st

script = load_script("03_time_series_basics")


@pytest.fixture(scope="module")
def prices():
    return ru.load_goog()[1]


@pytest.fixture
def csv_file(tmp_path):
    def write(content, name="series.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def run_main(tmp_path, *flags):
    return script.main(["--quick", "--no-plots", "--output-dir", str(tmp_path), *map(str, flags)])


def arguments(*flags):
    args = script.parse_args(list(map(str, flags)))
    args.stride = args.stride or 1
    return args


# Windows and splits


def test_windows_of_the_worked_example():
    inputs, targets = script.make_windows(np.arange(8.0), length=3, horizon=2, stride=2)
    assert inputs.tolist() == [[0, 1, 2], [2, 3, 4]]
    assert targets.tolist() == [[3, 4], [5, 6]]


def test_windows_are_views_not_copies():
    values = np.arange(1_000_000.0)
    inputs, targets = script.make_windows(values, 50, 12)
    assert np.shares_memory(inputs, values) and np.shares_memory(targets, values)


@given(
    num_steps=st.integers(1, 400), length=st.integers(1, 20), horizon=st.integers(1, 20),
    stride=st.integers(1, 9), gap=st.integers(0, 30),
)  # fmt: skip
def test_no_window_sees_its_target_or_a_later_stretch(num_steps, length, horizon, stride, gap):
    stretches = script.split_by_time(num_steps, gap)
    latest = -1
    for stretch in stretches.values():
        clock = np.arange(num_steps)[stretch]
        if len(clock) < length + horizon:
            return
        inputs, targets = script.make_windows(clock, length, horizon, stride)
        assert (inputs.max(axis=1) + 1 == targets.min(axis=1)).all()
        assert inputs.min() > latest + (gap if latest >= 0 else 0)
        latest = clock[-1]


def test_assert_no_future_notices_stretches_that_overlap():
    overlapping = {"train": slice(0, 100), "val": slice(90, 200)}
    with pytest.raises(AssertionError):
        script.assert_no_future(overlapping, arguments("--sequence-length", 5, "--horizon", 2))


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


def test_returns_are_nearer_to_stationary_than_prices(prices):
    rows = script.describe_stationarity(prices[:732])
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


# Baselines


def baselines_of(values, *flags, season=4):
    args = arguments("--sequence-length", 6, "--gap", 0, *flags)
    series = script.Series("y", values, np.arange(len(values)), "units", season)
    stretches = script.split_by_time(len(values), args.gap)
    scaler = script.Scaler("standard", values[stretches["train"]])
    forecasts, targets = script.forecast_baselines(series, stretches, scaler, args)
    scores = script.score_baselines(forecasts, targets, values[stretches["train"]], "y")
    return forecasts, targets, scores


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("season", [4, 11])  # shorter than the horizon, longer than the window
def test_seasonal_naive_is_perfect_on_a_periodic_series(season, stride):
    values = np.tile(np.arange(season) ** 2.0, 40)
    flags = ("--horizon", 9, "--stride", stride)
    forecasts, targets, scores = baselines_of(values, *flags, season=season)
    np.testing.assert_array_equal(forecasts["seasonal naive"], targets)
    assert scores["seasonal naive"]["rmse"] == 0 and scores["seasonal naive"]["skill"] == 1


def test_scores_on_a_straight_line():
    forecasts, _, scores = baselines_of(3.0 * np.arange(200), "--horizon", 2)
    assert scores["persistence"]["mae"] == scores["persistence"]["rmse"] == 3
    assert scores["persistence"]["mase"] == 1 and scores["persistence"]["skill"] == 0
    assert scores["persistence"]["by_horizon"]["rmse"] == [3, 6]
    assert scores["moving average"]["mae"] == pytest.approx(3 * 2.5)  # the last 4 lag by 1.5
    assert scores["linear AR"]["mae"] < 1
    assert forecasts["linear AR"].shape == (200 - 170 - 6 - 2 + 1, 2)


def test_forecasts_do_not_depend_on_what_comes_later():
    values = script.make_sine(400, seed=3)
    changed = values.copy()
    changed[-1] += 100  # seen by no input, only as the last target
    (before, _, _), (after, _, _) = baselines_of(values), baselines_of(changed)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


# Files of one's own


def test_read_series_returns_dates_and_values(csv_file, capsys):
    path = csv_file("\ufeffdate, a ,b\r\n2024-01-01,1,10\r\n2024-01-02,2.5,20\r\n\r\n")
    dates, values = ru.read_series(path, ["b", "a"], "date")
    assert values.tolist() == [[10, 1], [20, 2.5]]
    assert dates.astype("datetime64[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    assert ru.read_series(path, ["a"])[0] is None
    assert capsys.readouterr().out == ""


def test_uneven_dates_are_reported_and_used(csv_file, capsys):
    path = csv_file("d,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n2024-01-08,4\n")
    dates, _ = ru.read_series(path, ["y"], "d")
    printed = capsys.readouterr().out
    assert "1 of 3 steps" in printed and "5 days" in printed and "line 5" in printed
    assert len(dates) == 4


BAD_FILES = {
    "empty": (b"", ["empty"]),
    "only a header": (b"d,y\n", ["no rows"]),
    "binary": (b"d,y\n\x00\x01\x02", ["binary"]),
    "latin-1": (b"d,y\n1,2\n\xe9,3\n", ["line 3", "UTF-8"]),
    "unknown column": (b"d,x,z\n2024-01-01,1,2\n", ["'y'", "d, x, z"]),
    "text": (b"d,y\n2024-01-01,1\n2024-01-02,high\n", ["line 3", "'high'", "'y'"]),
    "infinite": (b"d,y\n2024-01-01,inf\n", ["line 2", "'inf'"]),
    "decimal comma": (b"d,y\n2024-01-01,1,5\n", ["line 2", "3 cells"]),
    "thousands": (b'd,y\n2024-01-01,"1,500"\n', ["line 2", "'1,500'"]),
    "missing": (b"d,y\n2024-01-01,1\n2024-01-02,\n2024-01-03,NaN\n", ["line 3", "2 of 3"]),
    "all missing": (b"d,y\n2024-01-01,NaN\n2024-01-02,nan\n", ["line 2", "2 of 2"]),
    "blank line": (b"d,y\n2024-01-01,1\n\n2024-01-03,3\n", ["line 3", "no value"]),
    "open quote": (b'd,y\n2024-01-01,"1\n2024-01-02,2\n', ["line 2", "quotes"]),
    "date twice": (b"d,y\n2024-01-01,1\n2024-01-01,2\n", ["line 3", "again"]),
    "dates backwards": (b"d,y\n2024-01-02,1\n2024-01-01,2\n", ["line 3", "later one"]),
    "no date": (b"d,y\n2024-01-01,1\n2024-02-30,2\n", ["line 3", "2024-02-30"]),
    "day or month": (b"d,y\n01/02/2024,1\n", ["line 2", "01/02/2024"]),
}


@pytest.mark.parametrize("content, fragments", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused_with_their_line(content, fragments, csv_file):
    path = csv_file(content)
    with pytest.raises(ru.UserError) as caught:
        ru.read_series(path, ["y"], "d")
    for fragment in ["series.csv", *fragments]:
        assert fragment in str(caught.value)


def test_series_without_enough_in_them_are_refused(csv_file, tmp_path):
    short = csv_file("y\n" + "1\n2\n" * 30)
    with pytest.raises(ru.UserError, match=r"60 values are too few.* 62 steps"):
        run_main(tmp_path, "--data", short, "--column", "y")
    with pytest.raises(ru.UserError, match=r"two seasons of 25 .* of 42"):
        flags = ("--sequence-length", 2, "--horizon", 1, "--gap", 0, "--season", 25)
        run_main(tmp_path, "--data", short, "--column", "y", *flags)
    flat = csv_file("y\n" + "1\n" * 800)
    with pytest.raises(ru.UserError, match="'y' never changes"):
        run_main(tmp_path, "--data", flat, "--column", "y")


@pytest.mark.parametrize("flags", [["--data", "x.csv"], ["--column", "y"]])
def test_file_and_column_go_together(flags):
    with pytest.raises(ru.UserError, match="--column"):
        script.parse_args(flags)


def test_a_long_file_is_thinned_and_says_so(csv_file, tmp_path, capsys):
    values = script.make_sine(70_000, seed=0)
    path = csv_file("y\n" + "\n".join(f"{value:.3f}" for value in values))
    run_main(tmp_path, "--data", path, "--column", "y", "--season", 24)
    printed = capsys.readouterr().out
    assert "stride=4" in printed and "inputs (12235, 50)" in printed


def test_long_lines_are_drawn_whole(tmp_path):
    plt, t = ru.get_pyplot(), np.arange(100_000)
    series = script.Series("y", np.sin(2 * np.pi * t / 21), t, "units", 21)
    figure = script.plot_components(series, slice(None), plt)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), series.values)
    figure.savefig(tmp_path / "long.png")  # a line of so many points is no trouble to Agg
    plt.close(figure)


def test_stationarity_names_the_means_that_it_prints(capsys):
    rows = script.describe_stationarity(np.linspace(10.0, 30.0, 200))
    first, second, *_ = rows["price (dollars)"]
    text = f"holds at {first:.0f} dollars need not hold at {second:.0f}."
    assert text in capsys.readouterr().out and (round(first), round(second)) == (15, 25)


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
    assert figures == {
        "autocorrelation", "baselines", "components", "fooling", "splits_and_scaling", "window"
    }  # fmt: skip


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
    assert_one_line_error(completed, "no column 'y'", "d, x")
    with pytest.raises(SystemExit) as caught:
        script.parse_args(["--horizon", "0"])
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and printed.count("\n") == 1 and "--horizon" in printed


def test_help_does_not_wait_for_heavy_imports():
    assert_help_imports_nothing_heavy("03_time_series_basics", "--sequence-length")
