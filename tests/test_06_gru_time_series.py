"""06: the cell is nn.GRU, no forecast sees the future, the intervals hold, no run is lost."""

from __future__ import annotations

import json
import math
import shutil

import rnn_utils as ru

import numpy as np
import pytest
import torch
from helpers import (
    InterruptedAfter,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    run_script,
    same_but_for_times,
)
from hypothesis import given, settings
from hypothesis import strategies as st

script = load_script("06_gru_time_series")
NAME = "06_gru_time_series"
TINY = ["--num-steps", "600", "--epochs", "2", "--hidden-size", "6", "--sequence-length", "12"]
TINY += ["--horizon", "4", "--no-plots"]


def tiny_model(num_features=1, **changes):
    settings = {"cell": "gru", "from_scratch": False, "hidden_size": 7, "horizon": 3}
    ru.set_seed(0)
    namespace = script.argparse.Namespace(**{**settings, "centred": True, **changes})
    return script.Forecaster(num_features, namespace)


def arguments(*flags):
    args = script.parse_args(list(map(str, flags)))
    script.settle(args, None)
    return args


def prepare(series_values, *flags, returns=False):
    """A series of (T,) or (T, I) values, cut and scaled as `main` does it."""
    args = arguments("--data", "x.csv", "--column", "y", *flags)
    values = np.asarray(series_values, dtype=float).reshape(len(series_values), -1)
    args.season, args.stride, levels = args.season or 7, args.stride or 1, values[:, 0]
    if returns:
        values, levels = script.log_returns(levels, "x.csv")[:, None], levels[1:]
    series = script.Series("y", levels, values, np.arange(len(values)), "units")
    stretches = script.split_by_time(len(values))
    ru.check_stretches(series.values[:, 0], stretches, args, seasons=1, name=series.name)
    args.returns, args.centred = returns, not returns
    scaler = script.Scaler.fit(values[stretches["train"]], args)
    return series, scaler, script.make_splits(series, stretches, scaler, args, "cpu"), args


@pytest.fixture
def csv_file(tmp_path):
    def write(content, name="series.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("direction", ["ours to theirs", "theirs to ours"])
def test_hand_written_gru_equals_nn_gru_in_output_and_gradient(direction):
    ru.set_seed(1)
    ours, theirs = script.HandWrittenGRU(5, 8), torch.nn.GRU(5, 8, batch_first=True)
    if direction == "theirs to ours":
        ours = script.HandWrittenGRU.from_torch(theirs)
    names = {"weight_ih_l0": ours.W_x.weight, "weight_hh_l0": ours.W_h.weight}
    names.update(bias_ih_l0=ours.W_x.bias, bias_hh_l0=ours.W_h.bias)
    if direction == "ours to theirs":
        with torch.no_grad():
            for name, parameter in names.items():
                getattr(theirs, name).copy_(parameter)
    inputs = torch.randn(4, 11, 5)
    results = []
    for cell in (ours, theirs):
        x = inputs.clone().requires_grad_()
        output, h_n = cell(x)
        (output.square().sum() + h_n.sum()).backward()
        results.append((output, h_n, x.grad))
    for mine, reference in zip(*results):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-6)
    for name, parameter in names.items():
        torch.testing.assert_close(
            parameter.grad, getattr(theirs, name).grad, atol=1e-5, rtol=1e-5, msg=name
        )


def test_the_paper_resets_before_the_product_and_pytorch_after():
    """The difference that the comment in HandWrittenGRU.step speaks of is real."""
    ru.set_seed(2)
    cell = script.HandWrittenGRU(2, 5)
    x_t, h_prev = torch.randn(3, 2), torch.randn(3, 5)
    h_t, r_t, z_t = cell.step(x_t, h_prev)
    n_t = (h_t - z_t * h_prev) / (1 - z_t)
    W_hn, b_hn = cell.W_h.weight[10:], cell.W_h.bias[10:]
    x_n = cell.W_x(x_t)[:, 10:]
    torch.testing.assert_close(n_t, torch.tanh(x_n + r_t * (h_prev @ W_hn.T + b_hn)))
    paper = torch.tanh(x_n + (r_t * h_prev) @ W_hn.T + b_hn)
    assert (n_t - paper).abs().max().item() > 0.01


def test_update_gate_of_one_keeps_the_state():
    cell = script.HandWrittenGRU(1, 4)
    with torch.no_grad():
        cell.W_x.bias[4:8] = 50.0  # z_t = 1
    h_prev = torch.randn(2, 4)
    h_t, _, z_t = cell.step(torch.randn(2, 1), h_prev)
    torch.testing.assert_close(h_t, h_prev)
    assert (z_t == 1).all()


@pytest.mark.parametrize("cell", script.CELLS)
def test_recurrent_matrices_start_orthogonal(cell):
    for gate in tiny_model(cell=cell).rnn.weight_hh_l0.split(7):
        torch.testing.assert_close(gate @ gate.T, torch.eye(7), atol=1e-5, rtol=0)
    for gate in tiny_model(from_scratch=True).rnn.W_h.weight.split(7):
        torch.testing.assert_close(gate @ gate.T, torch.eye(7), atol=1e-5, rtol=0)


def test_the_lstm_of_the_comparison_starts_with_its_forget_gate_open():
    lstm = tiny_model(cell="lstm").rnn
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).split(7)  # input, forget, cell, output
    assert [gate.tolist() for gate in bias] == [[0.0] * 7, [1.0] * 7, [0.0] * 7, [0.0] * 7]


def test_from_scratch_starts_as_the_same_network():
    windows = torch.randn(5, 9, 1)
    ours, theirs = tiny_model(from_scratch=True), tiny_model()
    torch.testing.assert_close(ours(windows), theirs(windows), atol=1e-6, rtol=0)


VARIANTS = [{}, {"from_scratch": True}, {"cell": "lstm"}, {"cell": "rnn"}]


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_centred_forecast_moves_with_the_level(changes):
    model, window = tiny_model(2, **changes), torch.randn(5, 9, 2)
    moved = window + torch.tensor([10.0, -3.0])
    torch.testing.assert_close(model(moved), model(window) + 10.0, atol=1e-4, rtol=0)
    fixed = tiny_model(2, centred=False, **changes)
    assert not torch.allclose(fixed(moved), fixed(window) + 10.0, atol=1e-1)


def test_gates_read_are_those_of_the_network():
    model, window = tiny_model(), torch.randn(9, 1)
    panels = script.read_gates(model, window)
    states, _ = model.rnn((window - window.mean(dim=0))[None])
    torch.testing.assert_close(panels["state h_t"], states[0], atol=1e-6, rtol=0)
    for name in ("reset gate r_t", "update gate z_t"):
        assert panels[name].shape == (9, 7) and 0 < panels[name].min() < panels[name].max() < 1


def test_the_fan_shows_what_happened():
    series, scaler, splits, _ = prepare(script.make_sine(400, 0), "--sequence-length", 12)
    test = splits["test"]
    forecast = scaler.to_levels(tiny_model(horizon=20)(test.inputs).detach(), test.today)
    bands = script.intervals(forecast, np.arange(80.0).reshape(4, 20), scaler)
    (axes,) = script.plot_fan(series, test, forecast, bands, ru.get_pyplot()).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    shown = np.r_[lines["known"][:-1], lines["what happened"]]  # they meet at step 0
    assert shown[:, 0].tolist() == list(range(-39, 21))
    np.testing.assert_array_equal(shown[:, 1], series.levels[-60:])
    assert f"step {399 - 20}" in axes.get_xlabel()


def test_model_can_overfit_one_batch():
    _, _, splits, _ = prepare(script.make_sine(300, 0), "--sequence-length", 12, "--horizon", 3)
    model = tiny_model(hidden_size=32)
    x, y = splits["train"].inputs[:16], splits["train"].targets[:16]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-2 * y.var().item()


# ---------------------------------------------------------------- windows, splits, scaling


def test_windows_of_the_worked_example():
    inputs, targets = script.make_windows(torch.arange(8.0)[:, None], 3, 2, stride=2)
    assert inputs[:, :, 0].tolist() == [[0, 1, 2], [2, 3, 4]]
    assert targets[:, :, 0].tolist() == [[3, 4], [5, 6]]


def test_windows_are_views_not_copies():
    z = torch.arange(1_000_000.0)[:, None]
    inputs, targets = script.make_windows(z, 50, 20)
    for windows in (inputs, targets):
        assert windows.untyped_storage().data_ptr() == z.untyped_storage().data_ptr()


@settings(deadline=None)
@given(
    num_steps=st.integers(150, 600), length=st.integers(1, 12), horizon=st.integers(1, 8),
    stride=st.integers(1, 5),
)  # fmt: skip
def test_no_window_of_train_or_val_holds_a_value_of_a_later_stretch(
    num_steps, length, horizon, stride
):
    clock = np.arange(num_steps, dtype=float)
    flags = ("--sequence-length", length, "--horizon", horizon, "--stride", stride)
    try:
        _, scaler, splits, _ = prepare(clock, *flags)
    except ru.UserError as error:
        assert "too few" in str(error)
        return
    latest = -math.inf
    for split in splits.values():
        seen = scaler.to_levels(split.inputs[:, :, 0], split.today)
        asked = scaler.to_levels(split.targets, split.today)
        np.testing.assert_allclose(asked, split.truth, atol=1e-2)
        np.testing.assert_array_equal(split.today, clock[split.now])
        np.testing.assert_allclose(seen[:, -1], split.today, atol=1e-2)
        assert (split.truth[:, 0] == split.today + 1).all()
        assert seen.min() > latest + (script.GAP - 0.5 if latest >= 0 else 0)
        latest = split.truth.max()


def test_the_scaler_sees_the_training_stretch_only():
    values = script.make_sine(800, seed=1)
    scalers = [prepare(np.r_[values[:560], values[560:] + later])[1] for later in (0.0, 1000.0)]
    assert scalers[0] == scalers[1]
    assert scalers[0].shift[0] == pytest.approx(values[:560].mean())


def test_a_trend_does_not_shrink_what_the_network_sees():
    values, steep = script.make_sine(800, seed=1), 3.0 * np.arange(800)
    flat, trend = (prepare(y, "--sequence-length", 10)[1] for y in (values, values + steep))
    assert trend.scale[0] < 12 < 0.1 * (values + steep)[:560].std()
    assert flat.scale[0] == pytest.approx(2.2, abs=0.5)


def test_scaling_and_unscaling_round_trip():
    values = np.c_[script.make_sine(800, 2), np.full(800, 5.0)]  # a constant feature, too
    _, scaler, splits, _ = prepare(values)
    assert torch.isfinite(splits["test"].inputs).all()
    z = torch.tensor(scaler.transform(values))[:, :1]
    np.testing.assert_allclose(scaler.to_levels(z, values[:, 0]), values[:, :1], rtol=1e-12)
    restored = script.Scaler(**json.loads(json.dumps(scaler._asdict())))
    assert restored == scaler


def test_returns_add_up_to_the_price():
    prices = np.exp(np.random.default_rng(0).normal(size=400).cumsum() * 0.02) * 100
    returns = script.log_returns(prices, "x")
    scaler = script.Scaler.fit(returns[:, None], arguments("--dataset", "stock"))
    z, _ = script.make_windows(torch.tensor(scaler.transform(returns[:, None])), 10, 0)
    today = prices[: len(z)]  # the price before the first return of each row
    expected = np.lib.stride_tricks.sliding_window_view(prices[1:], 10)
    np.testing.assert_allclose(scaler.to_levels(z[:, :, 0], today), expected, rtol=1e-9)


# ---------------------------------------------------------------- forecasts


@pytest.mark.parametrize("changes", VARIANTS)
def test_forecast_at_t_ignores_what_comes_after_t(changes):
    values = script.make_sine(400, seed=3)
    model, results = tiny_model(horizon=20, **changes), []
    for later in (0.0, 50.0):
        changed = values.copy()
        changed[395:] += later  # within the targets of the last windows only
        series, scaler, splits, args = prepare(changed, "--season", 24, "--sequence-length", 12)
        results.append(script.forecast_test(model, series, splits, scaler, args))
        assert splits["test"].now.max() < 395
    for name, forecast in results[0].items():
        np.testing.assert_array_equal(forecast, results[1][name], err_msg=name)


def test_recursive_forecast_by_hand():
    model, window = tiny_model(2), torch.randn(3, 6, 2)
    rows = []
    for row in window:
        steps = row.tolist()
        for _ in range(4):
            y = model(torch.tensor([steps[-6:]]))[0, 0].item()
            steps.append([y, steps[-1][1]])  # the other column keeps its last value
        rows.append([step[0] for step in steps[-4:]])
    forecast = script.forecast_recursive(model, window, 4)
    torch.testing.assert_close(forecast, torch.tensor(rows), atol=1e-6, rtol=0)
    assert torch.equal(forecast[:, 0], script.forecast_direct(model, window)[:, 0])


def test_batch_size_changes_no_forecast():
    model, windows = tiny_model(), torch.randn(23, 9, 1)
    whole = script.forecast_direct(model, windows)
    torch.testing.assert_close(script.forecast_direct(model, windows, 5), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("season", [4, 11])  # shorter than the horizon, and longer
def test_seasonal_naive_is_perfect_on_a_periodic_series(season):
    flags = ("--season", season, "--horizon", 9, "--sequence-length", 6)
    series, scaler, splits, args = prepare(np.tile(np.arange(season) ** 2.0, 60), *flags)
    forecasts = script.forecast_test(tiny_model(horizon=9), series, splits, scaler, args)
    np.testing.assert_array_equal(forecasts["seasonal naive"], splits["test"].truth)
    np.testing.assert_array_equal(forecasts["persistence"][:, 3], splits["test"].today)


def test_linear_forecast_continues_a_sum_of_waves():
    t = np.arange(600)
    waves = 0.01 * t + np.sin(2 * np.pi * t / 24) + np.sin(2 * np.pi * t / 12.42)
    series, scaler, splits, args = prepare(waves, "--season", 24)
    forecast = script.forecast_test(tiny_model(horizon=20), series, splits, scaler, args)
    np.testing.assert_allclose(forecast["linear AR"], splits["test"].truth, atol=1e-3)


def test_scores_on_a_straight_line():
    truth = 3.0 * np.arange(1, 41)[:, None] + 3.0 * np.arange(1, 3)  # (40, 2)
    persistence = np.repeat(truth[:, :1] - 3, 2, axis=1)
    scores = ru.forecast_scores({"persistence": persistence, "exact": truth}, truth, 6.0)
    row = scores["persistence"]
    assert row["mae"] == row["rmse"] == 3 and row["mase"] == 0.5 and row["skill"] == row["t"] == 0
    assert row["by_horizon"]["rmse"] == [3, 6] and row["by_horizon"]["mase"] == [0.5, 1]
    assert scores["exact"]["skill"] == 1 and scores["exact"]["by_horizon"]["skill"] == [1, 1]


def test_t_tells_luck_from_skill():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 1))
    guesses = {"persistence": truth + rng.normal(size=(400, 1))}
    guesses["equal"] = truth + rng.normal(size=(400, 1))
    guesses["better"] = truth + 0.5 * rng.normal(size=(400, 1))
    scores = ru.forecast_scores(guesses, truth, 1.0)
    assert abs(scores["equal"]["t"]) < 2 < 5 < scores["better"]["t"]


@pytest.mark.parametrize("returns", [False, True])
def test_intervals_hold_what_they_promise_on_the_data_they_were_measured_on(returns):
    _, scaler, splits, _ = prepare(script.make_sine(900, 4), returns=returns)
    val, model = splits["val"], tiny_model(horizon=20, centred=not returns)
    quantiles = script.calibrate(model, val, scaler)
    forecast = scaler.to_levels(script.forecast_direct(model, val.inputs), val.today)
    bands = script.intervals(forecast, quantiles, scaler)
    assert bands.shape == (4, *val.truth.shape) and (np.diff(bands, axis=0) >= 0).all()
    below = (val.truth <= bands).mean(axis=(1, 2))
    np.testing.assert_allclose(below, script.QUANTILES, atol=0.02)


def test_mackey_glass_is_chaotic_and_bounded():
    first, again = script.make_mackey_glass(600, 0), script.make_mackey_glass(600, 0)
    other = script.make_mackey_glass(600, 1)
    np.testing.assert_array_equal(first, again)
    assert len(first) == 600 and 0.2 < first.min() < first.max() < 1.5
    assert np.abs(first - other).max() > 0.3
    # the equation, checked by the slope between neighbouring steps
    past, now = first[:-18], first[17:-1]
    slope = 0.2 * past / (1 + past**10) - 0.1 * now
    assert np.abs(np.diff(first)[17:] - slope).max() < 0.05


# ---------------------------------------------------------------- training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a checkpoint, and the metrics of the run that made it."""
    folder = tmp_path_factory.mktemp("trained run")  # a space in the path, as on many laptops
    flags = ["--quick", "--save-model", "--forecast", "5"]
    done = run_script(NAME, *flags, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads((folder / "outputs" / NAME / "metrics.json").read_text()), done


def test_quick_run_beats_persistence_and_draws(trained):
    folder, metrics, done = trained
    assert metrics["tutorial"] == NAME and metrics["embedded"] is False
    assert metrics["dataset"] == "sine" and metrics["noise"] == script.NOISE
    assert metrics["test"]["skill"] > 0.4 and metrics["test"]["t"] > 2
    assert metrics["test"]["rmse"] < 0.6 * metrics["baselines"]["persistence"]
    assert 0.9 * script.NOISE < metrics["baselines"]["linear AR"] < 1.5 * script.NOISE
    by_horizon = metrics["test"]["by_horizon"]
    assert {len(values) for values in by_horizon.values()} == {8}
    assert set(by_horizon) == {"mae", "rmse", "mase", "skill", "coverage"}
    assert 0.7 < metrics["test"]["coverage"] < 1
    figures = {path.stem for path in (folder / "outputs" / NAME).glob("*.png")}
    assert figures == {
        "error_by_horizon", "fan", "forecast", "gates", "training_curves"
    }  # fmt: skip
    rows = metrics["forecast"]
    assert len(rows["forecast"]) == 5
    assert all(a < b < c for a, b, c in zip(rows["low"], rows["forecast"], rows["high"]))
    assert f"{rows['forecast'][4]:.4f}" in done.stdout


def test_recursive_forecasts_stay_finite_for_1000_steps(trained):
    folder, _, _ = trained
    model, scaler, record = script.load_model(folder / "models" / f"{NAME}.pt", "cpu")
    z = script.forecast_recursive(model, record["latest"]["window"], 1000)
    levels = scaler.to_levels(z, np.array([record["latest"]["today"]]))
    assert z.shape == (1, 1000) and np.isfinite(levels).all()
    assert np.abs(levels).max() < 1000


def test_same_seed_same_metrics(tmp_path):
    runs = [script.main([*TINY, "--seed", s, "--output-dir", str(tmp_path)]) for s in "334"]
    first, again, other = map(same_but_for_times, runs)
    assert first == again and first["test"] != other["test"]


def test_checkpoint_in_a_fresh_process_gives_the_same_test_figures(trained):
    folder, metrics, _ = trained
    path = f"models/{NAME}.pt"
    flags = ["--eval-only", "--no-plots", "--output-dir", "evaluated"]
    done = run_script(NAME, *flags, "--path", path, cwd=folder)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((folder / "evaluated" / "metrics.json").read_text())
    assert evaluated["test"] == metrics["test"]
    assert evaluated["best_epoch"] == metrics["best_epoch"]


def test_forecast_needs_the_checkpoint_alone(trained, tmp_path):
    folder, metrics, _ = trained
    shutil.copy(folder / "models" / f"{NAME}.pt", tmp_path / "mine.pt")
    done = run_script(NAME, "--forecast", "5", "--path", "mine.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("forecast", "low", "high"):
        for value in metrics["forecast"][name]:
            assert f"{value:.4f}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pt"]
    with pytest.raises(ru.UserError, match=r"--forecast 9.* 8 steps.*--horizon 9"):
        script.main(["--forecast", "9", "--path", str(tmp_path / "mine.pt")])


def test_resumed_run_equals_one_straight_bit_for_bit(tmp_path, monkeypatch):
    command = [*TINY, "--epochs", "4", "--save-model", "--output-dir", str(tmp_path)]
    straight = script.main([*command, "--path", str(tmp_path / "straight.pt")])
    command += ["--path", str(tmp_path / "m.pt")]
    with monkeypatch.context() as patch:
        patch.setattr(script, "evaluate", InterruptedAfter(2, script.evaluate))
        with pytest.raises(KeyboardInterrupt, match=r"m.last.pt.*--resume"):
            script.main(command)
    resumed = script.main([*command, "--resume", "--forecast", "2"])
    assert resumed.pop("forecast") and same_but_for_times(resumed) == same_but_for_times(straight)
    seconds = sum(row["seconds"] for row in resumed["history"])  # of the first half, too
    num_windows = 0.7 * 600 - 12 - 4 + 1
    assert resumed["items_per_second"] == pytest.approx(4 * num_windows / seconds, rel=1e-3)
    weights = [
        ru.load_checkpoint(tmp_path / name, NAME)["weights"] for name in ("m.pt", "straight.pt")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with pytest.raises(ru.UserError, match=r"--lr 0.01 .* 0.5"):
        script.main([*command, "--resume", "--lr", "0.5"])


def test_compare_cells_at_equal_size_and_at_equal_parameters(tmp_path, capsys):
    metrics = script.main([*TINY, "--hidden-size", "20", "--compare-cells",
                           "--output-dir", str(tmp_path)])  # fmt: skip
    rows = metrics["cells"]
    assert [row["cell"] for row in rows] == ["rnn", "lstm", "gru", "rnn", "lstm"]
    rnn, lstm, gru, large_rnn, small_lstm = rows
    assert rnn["hidden_size"] == lstm["hidden_size"] == gru["hidden_size"] == 20
    assert rnn["parameters"] < gru["parameters"] < lstm["parameters"]
    for row in (large_rnn, small_lstm):
        assert row["parameters"] == pytest.approx(gru["parameters"], rel=0.05)
    assert gru["rmse_by_horizon"] == metrics["test"]["by_horizon"]["rmse"]
    assert all(row["seconds"] > 0 for row in rows)
    assert "Key differences" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--from-scratch"], ["--cell", "lstm"], ["--horizon", "1"]])
def test_variants_train(flags, tmp_path):
    metrics = script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    assert metrics["history"][1]["train_loss"] < metrics["history"][0]["train_loss"]


def test_stock_claims_no_skill_where_there_is_none(tmp_path, capsys):
    flags = ["--dataset", "stock", "--epochs", "1", "--hidden-size", "4"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert metrics["noise"] is None and metrics["config"]["returns"] is True
    assert abs(metrics["test"]["t"]) < 2 and abs(metrics["test"]["skill"]) < 0.1
    printed = capsys.readouterr().out
    assert "indistinguishable from persistence" in printed and "better than" not in printed
    assert f"{metrics['test']['skill']:+.3f}" in printed
    assert {path.stem for path in tmp_path.glob("*.png")} > {"shadow", "fan", "gates"}


# ---------------------------------------------------------------- files of one's own


def test_own_file_with_dates_and_features(csv_file, tmp_path):
    values, other = script.make_sine(400, 5), script.make_sine(400, 6)
    dates = np.datetime64("2020-01-01") + np.arange(400)
    rows = "\n".join(f"{d},{o:.3f},{v:.3f}" for d, o, v in zip(dates, other, values))
    path = csv_file("day,visitors,sales\n" + rows, "my shop.csv")
    flags = ["--column", "sales", "--date-column", "day", "--features", "visitors"]
    flags += ["--data", str(path), "--save-model", "--path", f"{path}.pt"]
    metrics = script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    assert metrics["dataset"] == str(path) and metrics["config"]["season"] == 7
    answer = script.main(["--forecast", "3", "--path", f"{path}.pt"])
    assert len(answer["forecast"]) == 3
    flags = ["--eval-only", "--no-plots", "--path", f"{path}.pt", "--output-dir", str(tmp_path)]
    again = script.main(flags)
    assert again["test"] == metrics["test"]
    with pytest.raises(ru.UserError, match="reads 2 columns"):
        flags = ["--eval-only", "--path", f"{path}.pt", "--data", str(path), "--column", "sales"]
        script.main([*flags, "--output-dir", str(tmp_path)])


def test_a_long_file_is_thinned_and_scored_on_a_sample(csv_file, tmp_path):
    path = csv_file("y\n" + "\n".join(f"{value:.3f}" for value in script.make_sine(70_000, 0)))
    flags = ["--data", str(path), "--column", "y", "--epochs", "1", "--hidden-size", "4"]
    metrics = script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    assert metrics["config"]["stride"] == 4
    _, _, splits, _ = prepare(np.arange(70_000.0), "--stride", 1)
    assert len(splits["train"].now) > 48_000 and len(splits["test"].now) <= script.MAX_SCORED


DATED = "d,y\n2024-01-01,1\n"
BAD_FILES = {
    "too short": ("y\n" + "1\n2\n" * 30, [], ["60 values are too few", "70 steps"]),
    "constant": ("y\n" + "3\n" * 800, [], ["'y' never changes"]),
    "missing": ("y\n1\nNaN\n3\n", [], ["line 3", "1 of 3"]),
    "text": ("y\n1\nhigh\n", [], ["line 3", "'high'"]),
    "unknown column": ("x,z\n1,2\n", [], ["'y'", "x, z"]),
    "unknown feature": ("y,z\n1,2\n", ["--features", "w"], ["'w'", "y, z"]),
    "date twice": (DATED + "2024-01-01,2\n", ["--date-column", "d"], ["line 3", "again"]),
    "unsorted": (DATED + "2023-01-01,2\n", ["--date-column", "d"], ["line 3", "later one"]),
    "no price": ("y\n1\n2\n-3\n4\n", ["--returns"], ["line 4", "above 0"]),
    "long season": ("y\n" + "1\n2\n" * 400, ["--season", "700"], ["season of 700", "560"]),
}


@pytest.mark.parametrize("content, flags, fragments", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_get_the_documented_answer(content, flags, fragments, csv_file, tmp_path):
    path = csv_file(content)
    with pytest.raises(ru.UserError) as caught:
        script.main(["--data", str(path), "--column", "y", *flags, "--output-dir", str(tmp_path)])
    for fragment in ["series.csv", *fragments]:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--data", "x.csv"], ["--column"]),
        (["--features", "a"], ["--features", "--data"]),
        (["--data", "x.csv", "--dataset", "sine", "--column", "y"], ["--dataset"]),
        (["--from-scratch", "--cell", "lstm"], ["--from-scratch"]),
        (["--forecast", "3", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--forecast", "3", "--path", "hollow.pt", "--dataset", "sine"], ["drop --data"]),
        (["--forecast", "3", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--eval-only", "--compare-cells"], ["--compare-cells", "--eval-only"]),
        (["--eval-only", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
    ],
)
def test_mistakes_are_user_errors(tmp_path, flags, fragments, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ru.save_checkpoint(tmp_path / "other.pt", "04_simple_rnn", vocab=[])
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, scaler={"shift": [0.0]})
    with pytest.raises(ru.UserError) as caught:
        script.main(flags)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_user_mistakes_are_one_line(csv_file, tmp_path):
    csv_file("y\n1\nhigh\n")
    done = run_script(NAME, "--data", "series.csv", "--column", "y", cwd=tmp_path)
    assert_one_line_error(done, "series.csv, line 3", "'high'")


def test_help_does_not_wait_for_heavy_imports():
    assert_help_imports_nothing_heavy(NAME, "--sequence-length")
