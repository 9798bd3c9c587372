"""06: the cell is nn.GRU, no forecast sees the future, the intervals hold, no run is lost."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from helpers import (
    InterruptedAfter,
    Watched,
    assert_dropout_scales,
    assert_help_imports_nothing_heavy,
    assert_one_line_error,
    load_script,
    note_calls,
    note_gradients,
    run_here,
    run_script,
    same_but_for_times,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_baselines as rb
import rnn_data as rd
import rnn_utils as ru

script = load_script("06_gru_time_series")
NAME = "06_gru_time_series"
TINY = ["--num-steps", "600", "--epochs", "2", "--hidden-size", "6", "--sequence-length", "12"]
TINY += ["--horizon", "4", "--no-plots"]
ANCHORS = ["mean", "last", "none"]


def tiny_model(num_features=1, horizon=3, hidden_size=7, anchor="mean"):
    ru.set_seed(0)
    return script.Forecaster(num_features, horizon, hidden_size, anchor)


def prepare(series_values, length=50, horizon=20, season=7):
    """A series of (T,) or (T, I) values, cut and scaled as `main` does it."""
    values = np.asarray(series_values, dtype=float).reshape(len(series_values), -1)
    series = rd.Series("y.csv", "y", values, np.arange(len(values)), season)
    stretches = rd.split_by_time(len(values))
    rd.check_stretches(series, length + horizon)
    scaler = script.Scaler.fit(values[stretches["train"]])
    about = {"config": {"sequence_length": length}, "sizes": {"horizon": horizon}}
    about["scaler"] = scaler._asdict()
    model = script.Forecaster(values.shape[1], horizon, hidden_size=2)
    return series, *script.introduce(model, about, series)


def scored(model, series, scaler, splits):
    """What `measure_test` says, with intervals of no width."""
    horizon = splits["test"].targets.shape[1]
    return script.measure_test(model, series, splits, scaler, torch.zeros(2, horizon))


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


def test_recurrent_matrices_start_orthogonal():
    for gate in tiny_model().rnn.weight_hh_l0.split(7):
        torch.testing.assert_close(gate @ gate.T, torch.eye(7), atol=1e-5, rtol=0)


def test_dropout_scales_what_it_keeps():
    model = script.Forecaster(1, 3, dropout=0.25)
    assert_dropout_scales(model.dropout, 0.25)


def test_the_hand_written_cell_does_the_work_of_the_layer():
    windows = torch.randn(5, 9, 1)
    model = tiny_model()
    expected = model(windows)
    model.rnn = script.HandWrittenGRU.from_torch(model.rnn)
    torch.testing.assert_close(model(windows), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("anchor", ["mean", "last"])
def test_an_anchored_forecast_moves_with_the_level(anchor):
    model, window = tiny_model(2, anchor=anchor), torch.randn(5, 9, 2)
    moved = window + torch.tensor([10.0, -3.0])
    torch.testing.assert_close(model(moved), model(window) + 10.0, atol=1e-4, rtol=0)
    fixed = tiny_model(2, anchor="none")
    assert not torch.allclose(fixed(moved), fixed(window) + 10.0, atol=1e-1)


def test_the_anchors_are_what_they_are_called():
    window = torch.tensor([[[1.0], [2.0], [6.0]]])
    anchors = [tiny_model(anchor=anchor).measure(window).item() for anchor in ANCHORS]
    assert anchors == [3.0, 6.0, 0.0]
    silent = tiny_model(anchor="last")
    torch.nn.init.zeros_(silent.output.weight)
    torch.nn.init.zeros_(silent.output.bias)
    assert silent(window).tolist() == [[6.0, 6.0, 6.0]]  # a network that says 0: "as now"


def test_gates_read_are_those_of_the_network():
    model, window = tiny_model(), torch.randn(9, 1)
    panels = script.read_gates(model, window)
    states, _ = model.rnn((window - window.mean(dim=0))[None])
    torch.testing.assert_close(panels["state h_t"], states[0], atol=1e-6, rtol=0)
    for name in ("reset gate r_t", "update gate z_t"):
        assert panels[name].shape == (9, 7) and 0 < panels[name].min() < panels[name].max() < 1


@pytest.mark.parametrize("steps", [(1, 8), (1,)])
def test_the_figure_shows_the_forecast_over_the_value_it_forecasts(steps, capsys):
    """The first step ahead and the last; where they are one, it is shown once, and printed once."""
    series, scaler, splits = prepare(script.make_sine(400, 0), 12, steps[-1])
    test = splits["test"]
    _, answers = scored(tiny_model(horizon=steps[-1]), series, scaler, splits)
    printed = capsys.readouterr().out
    assert printed.count("ahead\n") == 1 and printed.count("RMSE") == len(steps)
    assert ("8 steps ahead" in printed) == (8 in steps)
    figure = script.plot_forecast(series, test.now, answers, ru.get_pyplot())
    assert len(figure.axes) == len(steps)
    for axes, k in zip(figure.axes, steps):
        lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
        assert lines["truth"][:, 0].tolist() == lines["forecast"][:, 0].tolist()
        np.testing.assert_array_equal(lines["truth"][:, 0], test.now + k)
        np.testing.assert_array_equal(lines["truth"][:, 1], series.values[test.now + k, 0])
        np.testing.assert_array_equal(lines["forecast"][:, 1], answers[0, :, k - 1])


def test_model_can_overfit_one_batch():
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
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
    split = script.make_windows(torch.arange(10.0)[:, None], slice(2, 8), 3, 2)
    assert split.inputs[:, :, 0].tolist() == [[2, 3, 4], [3, 4, 5]]
    assert split.targets.tolist() == [[5, 6], [6, 7]]
    assert split.now.tolist() == [4, 5]


def test_windows_are_views_not_copies():
    z = torch.arange(1_000_000.0)[:, None]
    split = script.make_windows(z, slice(0, 1_000_000), 50, 20)
    for windows in (split.inputs, split.targets):
        assert windows.untyped_storage().data_ptr() == z.untyped_storage().data_ptr()


@settings(deadline=None)
@given(num_steps=st.integers(20, 600), length=st.integers(1, 12), horizon=st.integers(1, 8))
def test_no_window_of_train_or_val_holds_a_value_of_a_later_stretch(num_steps, length, horizon):
    try:
        _, scaler, splits = prepare(np.arange(num_steps), length, horizon, season=1)
    except ru.UserError as error:
        assert "too few" in str(error)
        return
    latest = -math.inf
    for split in splits.values():
        seen = scaler.to_units(split.inputs[:, :, 0])
        asked = scaler.to_units(split.targets)
        np.testing.assert_allclose(seen[:, -1], split.now, atol=1e-2)
        np.testing.assert_allclose(asked[:, 0], split.now + 1, atol=1e-2)
        assert seen.min() > latest + 0.5
        latest = asked.max()
    assert latest == pytest.approx(num_steps - 1, abs=1e-2)


def test_the_scaler_sees_the_training_stretch_only():
    values = script.make_sine(800, seed=1)
    scalers = [prepare(np.r_[values[:560], values[560:] + later])[1] for later in (0.0, 1000.0)]
    assert scalers[0] == scalers[1]
    assert scalers[0].shift[0] == pytest.approx(values[:560].mean())
    assert scalers[0].scale[0] == pytest.approx(values[:560].std())


def test_the_scaler_of_a_run_is_that_of_its_training_stretch(csv_file, tmp_path):
    """The whole command: a scaler that was fitted on all values would be another one."""
    values = script.make_sine(600, seed=1)
    values[420:] += 50.0
    path = csv_file("y\n" + "\n".join(map(repr, values.tolist())))
    flags = ["--data", str(path), "--column", "y", "--save-model", "--path", f"{path}.pt"]
    script.main([*TINY, "--epochs", "1", *flags, "--output-dir", str(tmp_path)])
    scaler = ru.load_checkpoint(f"{path}.pt", NAME)["about"]["scaler"]
    assert scaler["shift"] == pytest.approx([values[:420].mean()])
    assert scaler["scale"] == pytest.approx([values[:420].std()])


def test_scaling_and_unscaling_round_trip():
    values = np.c_[script.make_sine(800, 2), np.full(800, 5.0)]  # a constant feature, too
    _, scaler, splits = prepare(values)
    assert torch.isfinite(splits["test"].inputs).all()
    z = scaler.transform(values)[:, :1]
    np.testing.assert_allclose(scaler.to_units(z), values[:, :1], rtol=1e-6)
    restored = script.Scaler(**json.loads(json.dumps(scaler._asdict())))
    assert restored == scaler


def test_unscaling_is_in_float64_and_on_the_cpu_first(monkeypatch):
    """float64 does not exist on mps: the tensor has to leave the device before it is widened."""
    order = []
    cpu, double = torch.Tensor.cpu, torch.Tensor.double
    monkeypatch.setattr(torch.Tensor, "cpu", lambda z: order.append("cpu") or cpu(z))
    monkeypatch.setattr(torch.Tensor, "double", lambda z: order.append("double") or double(z))
    result = script.Scaler([0.1], [1.0]).to_units(torch.zeros(1))
    assert order == ["cpu", "double"] and result.dtype == np.float64 and result[0] == 0.1


# ---------------------------------------------------------------- forecasts


@pytest.mark.parametrize("anchor", ANCHORS)
def test_forecast_at_t_ignores_what_comes_after_t(anchor):
    values = script.make_sine(400, seed=3)
    results = []
    for later in (0.0, 50.0):
        changed = values.copy()
        changed[395:] += later  # within the targets of the last windows only
        series, scaler, splits = prepare(changed, 12, season=24)
        model = tiny_model(horizon=20, anchor=anchor)
        assert splits["test"].now.max() < 395
        answers = script.forecast_in_units(model, splits["test"].inputs, torch.ones(2, 20), scaler)
        linear = script.rb.linear_forecast(splits["train"], splits["val"], splits["test"].inputs)
        naive = script.rb.naive_forecasts(series.values[:, 0], splits["test"].now, 20, 24)
        results.append([answers, linear, *naive.values()])
    for before, after in zip(*results):
        np.testing.assert_array_equal(before, after)


def test_batch_size_changes_no_forecast():
    model, windows = tiny_model(), torch.randn(23, 9, 1)
    whole = script.forecast_direct(model, windows)
    torch.testing.assert_close(script.forecast_direct(model, windows, 5), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("season", [4, 11])  # shorter than the horizon, and longer
def test_seasonal_naive_is_perfect_on_a_periodic_series(season):
    values = np.tile(np.arange(season) ** 2.0, 60)
    series, scaler, splits = prepare(values, 6, 9, season=season)
    measured, _ = scored(tiny_model(horizon=9), series, scaler, splits)
    scores = measured["baseline_scores"]
    assert scores["seasonal naive"]["by_horizon"]["rmse"] == [0.0] * 9
    now = splits["test"].now
    steps = np.abs(values[now + 4] - values[now])
    assert scores["persistence"]["by_horizon"]["mae"][3] == pytest.approx(steps.mean())


def test_linear_forecast_continues_a_sum_of_waves():
    t = np.arange(600)
    waves = 0.01 * t + np.sin(2 * np.pi * t / 24) + np.sin(2 * np.pi * t / 12.42)
    series, scaler, splits = prepare(waves, season=24)
    measured, _ = scored(tiny_model(horizon=20), series, scaler, splits)
    assert max(measured["baseline_scores"]["linear AR"]["by_horizon"]["rmse"]) < 1e-3
    assert measured["baselines"]["linear AR"] < 1e-3


def test_intervals_hold_what_they_promise_on_the_data_they_were_measured_on():
    _, scaler, splits = prepare(script.make_sine(900, 4))
    val, model = splits["val"], tiny_model(horizon=20)
    quantiles = script.calibrate(model, val)
    forecast, *bands = script.forecast_in_units(model, val.inputs, quantiles, scaler)
    bands = np.array(bands)
    expected = scaler.to_units(script.forecast_direct(model, val.inputs))
    np.testing.assert_array_equal(forecast, expected)
    truth = scaler.to_units(val.targets)
    assert bands.shape == (2, *truth.shape) and (bands[0] < bands[1]).all()
    below = (truth <= bands).mean(axis=(1, 2))
    np.testing.assert_allclose(below, [0.05, 0.95], atol=0.02)


def test_coverage_counts_the_test_values_in_the_intervals():
    series, scaler, splits = prepare(script.make_sine(900, 4), 12, 5)
    shares = []
    for width in (0.0, 0.5, 100.0):
        quantiles = torch.tensor([[-width] * 5, [width] * 5])
        measured, answers = script.measure_test(
            tiny_model(horizon=5), series, splits, scaler, quantiles
        )
        truth = scaler.to_units(splits["test"].targets)
        inside = np.abs(truth - answers[0]) <= width * scaler.scale[0] + 1e-6
        assert measured["test"]["coverage"] == pytest.approx(inside.mean(), abs=0.005)
        shares.append(measured["test"]["coverage"])
    assert shares[0] < 0.01 < shares[1] < 1 == shares[2]


def test_mackey_glass_is_chaotic_and_bounded():
    first, again, other = (
        rd.load_series(None, None, [], None, "mackey-glass", None, 600, seed, None, 9).values[:, 0]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) == 600 and 0.2 < first.min() < first.max() < 1.5
    assert np.abs(first - other).max() > 0.3
    # the equation, checked by the slope between neighbouring steps
    past, now = first[:-18], first[17:-1]
    slope = 0.2 * past / (1 + past**10) - 0.1 * now
    assert np.abs(np.diff(first)[17:] - slope).max() < 0.05


# ---------------------------------------------------------------- training


def test_the_best_epoch_is_chosen_on_validation_and_the_first_of_ties(monkeypatch):
    """Neither training loss nor test decides; an equal loss is no progress."""
    losses = iter([0.9, 0.3, 0.3, 0.5])
    seen = []

    def evaluate(model, split):
        seen.append(split)
        return next(losses)

    monkeypatch.setattr(script, "evaluate", evaluate)
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
    model = tiny_model()
    weights = []
    save = ru.snapshot
    monkeypatch.setattr(ru, "snapshot", lambda m: weights.append(save(m)) or weights[-1])
    history, best = script.train(
        model, splits["train"], splits["val"], epochs=4, lr=0.01, batch_size=32, clip=1.0,
        patience=0, about={},
    )  # fmt: skip
    assert best["epoch"] == 2 and best["loss"] == 0.3 and len(history) == 4
    assert len(seen) == 4 and all(split is splits["val"] for split in seen)
    assert all(torch.equal(model.state_dict()[name], w) for name, w in weights[1].items())
    expected = script.calibrate(model, splits["val"])  # the intervals are those of these weights
    torch.testing.assert_close(best["quantiles"], expected)


def train_one_epoch(model, split, batch_size=32):
    """One epoch in which the weights stay nearly as they are."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return script.train_epoch(model, split, optimizer, 1, 1, 1e-9, batch_size, 0.0)


def test_an_epoch_reads_every_window_once_in_random_order_and_its_loss_is_their_mean():
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
    model, split, order = tiny_model(), splits["train"], []
    assert len(split.inputs) % 32  # the last batch is a small one
    expected = script.evaluate(model, split)
    model.register_forward_pre_hook(lambda _, batch: order.extend(batch[0][:, :2, 0].tolist()))
    loss, _ = train_one_epoch(model, split)
    assert loss == pytest.approx(expected, rel=1e-5)
    in_time = split.inputs[:, :2, 0].tolist()
    assert order != in_time and sorted(order) == sorted(in_time)


def test_each_update_has_the_gradient_of_its_own_batch_alone(monkeypatch):
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
    model = tiny_model()
    alone = note_gradients(monkeypatch, script, "mse_loss", model.output.weight)
    train_one_epoch(model, splits["train"])
    assert len(alone) > 2
    torch.testing.assert_close(model.output.weight.grad, alone[-1])


def test_forecasts_use_no_dropout():
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
    model = script.Forecaster(1, 3, dropout=0.5).train()
    assert script.evaluate(model, splits["val"]) == script.evaluate(model.train(), splits["val"])


def test_each_split_has_its_place(tmp_path, monkeypatch):
    """Train is learned from, validation chooses, and test is forecast once, at the end."""
    watched = Watched(script, monkeypatch)
    asked = note_calls(monkeypatch, script, "forecast_in_units")
    fitted = note_calls(monkeypatch, rb, "linear_forecast")
    measured = note_calls(monkeypatch, rb, "forecast_scores")
    script.main([*TINY, "--clip", "0.7", "--output-dir", str(tmp_path)])
    data = watched.data()
    assert all(call.args[1] is data["train"] for call in watched.learned)
    assert all(call.args[1] is data["val"] for call in watched.evaluated)
    assert [call.args[1] is data["test"].inputs for call in asked] == [True]
    train, val, inputs = fitted[0].args
    assert train is data["train"] and val is data["val"] and inputs is data["test"].inputs
    values = script.make_sine(600, seed=0)[:420]  # MASE divides by the error on train
    assert measured[0].args[2] == pytest.approx(np.abs(np.diff(values)).mean())
    watched.assert_steps(clip=0.7)


def test_training_stops_after_patience_epochs_without_a_better_one(monkeypatch, capsys):
    losses = iter([0.5, 0.6, 0.5, 0.7, 0.1])
    monkeypatch.setattr(script, "evaluate", lambda model, split: next(losses))
    _, _, splits = prepare(script.make_sine(300, 0), 12, 3)
    history, best = script.train(
        tiny_model(), splits["train"], splits["val"], epochs=5, lr=0.01, batch_size=32, clip=1.0,
        patience=3, about={},
    )  # fmt: skip
    assert best["epoch"] == 1 and len(history) == 4
    assert "stopped early" in capsys.readouterr().out


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
    assert metrics["dataset"] == "sine"
    assert metrics["test"]["skill"] > 0.4 and metrics["test"]["t"] > 2
    assert metrics["test"]["rmse"] < 0.6 * metrics["baselines"]["persistence"]
    assert 0.9 * script.NOISE < metrics["baselines"]["linear AR"] < 1.5 * script.NOISE
    by_horizon = metrics["test"]["by_horizon"]
    assert {len(values) for values in by_horizon.values()} == {8}
    assert set(by_horizon) == {"mae", "rmse", "mase", "skill", "coverage"}
    assert 0.7 < metrics["test"]["coverage"] < 1
    figures = {path.stem for path in (folder / "outputs" / NAME).glob("*.png")}
    assert figures == {
        "error_by_horizon", "forecast", "gates", "training_curves"
    }  # fmt: skip
    assert "(32, 8)" in done.stdout or "(64, 8)" in done.stdout  # layers with their shapes
    rows = metrics["forecast"]
    assert len(rows["forecast"]) == 5
    assert all(a < b < c for a, b, c in zip(rows["low"], rows["forecast"], rows["high"]))
    assert f"{rows['forecast'][4]:.4f}" in done.stdout


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
        with pytest.raises(KeyboardInterrupt):
            script.main(command)
    resumed = script.main([*command, "--resume", "--forecast", "2"])
    assert resumed.pop("forecast") and straight.pop("forecast") is None
    assert same_but_for_times(resumed) == same_but_for_times(straight)
    seconds = sum(row["seconds"] for row in resumed["history"])  # of the first half, too
    num_windows = 0.7 * 600 - 12 - 4 + 1
    assert resumed["items_per_second"] == pytest.approx(4 * num_windows / seconds, rel=1e-3)
    weights = [
        ru.load_checkpoint(tmp_path / name, NAME)["best"]["weights"]
        for name in ("m.pt", "straight.pt")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with pytest.raises(ru.UserError, match=r"--lr 0.01, not 0.5"):
        script.main([*command, "--resume", "--lr", "0.5"])


def test_resuming_a_finished_or_stopped_run_trains_no_further(tmp_path):
    command = [*TINY, "--save-model", "--path", str(tmp_path / "m.pt")]
    command += ["--output-dir", str(tmp_path)]
    straight = script.main(command)
    again = script.main([*command, "--resume"])
    assert same_but_for_times(again) == same_but_for_times(straight)


@pytest.mark.parametrize(
    "flags", [["--dropout", "0.5"], ["--horizon", "1"], ["--sequence-length", "1"]]
)
def test_variants_train(flags, tmp_path):
    metrics = script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    assert metrics["history"][1]["train_loss"] < metrics["history"][0]["train_loss"]


def test_stock_claims_no_skill_where_there_is_none(tmp_path, capsys):
    flags = ["--dataset", "stock", "--epochs", "1", "--hidden-size", "4"]
    metrics = script.main([*flags, "--output-dir", str(tmp_path)])
    assert metrics["dataset"] == "stock" and metrics["config"]["anchor"] == "last"
    assert metrics["test"]["t"] < 2 and abs(metrics["test"]["skill"]) < 0.1
    printed = capsys.readouterr().out
    assert "better than" not in printed.replace("neither better nor worse than", "")
    assert f"{metrics['test']['skill']:+.2f}" in printed and "noise" not in printed
    assert {path.stem for path in tmp_path.glob("*.png")} > {"forecast", "gates"}


# ---------------------------------------------------------------- files of one's own


def test_own_file_with_dates_and_features(csv_file, tmp_path):
    values, other = script.make_sine(400, 5), script.make_sine(400, 6)
    dates = np.datetime64("2020-01-01") + np.arange(400)
    rows = "\n".join(f"{d},{o:.3f},{v:.3f}" for d, o, v in zip(dates, other, values))
    path = csv_file("day,visitors,sales\n" + rows, "my shop.csv")
    flags = ["--column", "sales", "--date-column", "day", "--features", "visitors"]
    flags += ["--data", str(path), "--save-model", "--path", f"{path}.pt"]
    metrics = script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    assert metrics["dataset"] == str(path)
    answer = script.main(["--forecast", "3", "--path", f"{path}.pt"])
    assert len(answer["forecast"]) == 3
    flags = ["--eval-only", "--no-plots", "--path", f"{path}.pt", "--output-dir", str(tmp_path)]
    again = script.main(flags)
    assert again["test"] == metrics["test"]
    with pytest.raises(ru.UserError, match="reads 2 columns, and the data have 1"):
        flags = ["--eval-only", "--path", f"{path}.pt", "--dataset", "stock"]
        script.main([*flags, "--output-dir", str(tmp_path)])


def test_forecast_goes_on_from_new_rows_with_the_scaler_of_the_training(csv_file, tmp_path, capsys):
    values = script.make_sine(700, 5)
    rows = [f"{value!r}" for value in values.tolist()]
    old = csv_file("\n".join(["y", *rows[:600]]), "old.csv")
    new = csv_file("\n".join(["y", *rows[600:650]]), "new.csv")
    model = str(tmp_path / "m.pt")
    flags = ["--data", str(old), "--column", "y", "--save-model", "--path", model]
    script.main([*TINY, *flags, "--output-dir", str(tmp_path)])
    answer = script.main(["--forecast", "4", "--path", model, "--data", str(new)])
    network, about, _ = script.load_model(model)
    scaler = script.Scaler(**about["scaler"])
    assert scaler.shift == pytest.approx([values[:420].mean()])  # nothing of the new rows
    window = scaler.transform(values[638:650, None])[None]
    expected = scaler.to_units(script.forecast_direct(network, window))[0]
    assert answer["forecast"] == pytest.approx(expected.tolist(), rel=1e-6)
    assert f"where it was {values[649]:.6g}" in capsys.readouterr().out
    short = csv_file("\n".join(["y", *rows[:11]]), "short.csv")
    with pytest.raises(ru.UserError, match="11 rows, and the network reads 12"):
        script.main(["--forecast", "4", "--path", model, "--data", str(short)])
    with pytest.raises(ru.UserError, match=r"no column 'z'"):
        flags = ["--data", str(new), "--column", "z"]
        script.main(["--forecast", "4", "--path", model, *flags])


def test_144_monthly_rows_are_enough(csv_file, tmp_path):
    months = np.arange("1949-01", "1961-01", dtype="datetime64[M]")
    values = 100 + np.arange(144) + 20 * np.sin(np.arange(144) * np.pi / 6)
    rows = [f"{month},{value:.1f}" for month, value in zip(months, values)]
    path = csv_file("\n".join(["Month,Riders", *rows]))
    flags = ["--data", str(path), "--column", "Riders", "--sequence-length", "12"]
    flags += ["--horizon", "3", "--season", "12", "--no-plots", "--output-dir", str(tmp_path)]
    model = str(tmp_path / "riders.pt")
    metrics = script.main([*flags, "--hidden-size", "16", "--save-model", "--path", model])
    assert metrics["test"]["skill"] > 0.2
    # On a file of the user's, too, the season is that of the training.
    flags = ["--eval-only", "--path", model, "--data", str(path), "--no-plots"]
    again = script.main([*flags, "--output-dir", str(tmp_path)])
    assert again["baselines"] == metrics["baselines"]


def test_newest_row_first_is_turned_round(csv_file, tmp_path, capsys):
    dates = np.datetime64("2020-01-01") + np.arange(400)
    rows = [f"{date},{value:.3f}" for date, value in zip(dates, script.make_sine(400, 5))]
    results = []
    for name, order in (("old.csv", rows), ("new.csv", rows[::-1])):
        path = csv_file("\n".join(["Date,Close", *order]), name)
        flags = ["--data", str(path), "--column", "Close", "--epochs", "1", "--forecast", "3"]
        results.append(script.main([*TINY, *flags, "--output-dir", str(tmp_path)]))
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["forecast"] == results[1]["forecast"]
    assert "newest row first" in capsys.readouterr().out


DATED = "d,y\n2024-01-01,1\n"
BAD_FILES = {
    "too short": ("y\n" + "1\n2\n" * 30, [], ["60 values are too few", "70 steps", "--horizon"]),
    "constant": ("y\n" + "3\n" * 800, [], ["'y' never changes"]),
    "missing": ("y\n1\nNaN\n3\n", [], ["line 3", "1 of 3"]),
    "text": ("y\n1\nhigh\n", [], ["line 3", "'high'"]),
    "unknown column": ("x,z\n1,2\n", [], ["'y'", "'x', 'z'"]),
    "unknown feature": ("y,z\n1,2\n", ["--features", "w"], ["'w'", "'y', 'z'"]),
    "date twice": (DATED + "2024-01-01,2\n", ["--date-column", "d"], ["line 3", "again"]),
    "unsorted": (
        DATED + "2024-01-03,2\n2024-01-02,3\n",
        ["--date-column", "d"],
        ["line 4", "later one"],
    ),
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
        (["--data", "x.csv"], ["x.csv", "'day', 'sales'", "--column"]),
        (
            ["--forecast", "3", "--path", "sine.pt", "--data", "x.csv"],
            ["'day', 'sales'", "--column"],
        ),
        (["--features", "a"], ["--features", "--data"]),
        (["--data", "x.csv", "--dataset", "sine", "--column", "y"], ["--dataset"]),
        (["--forecast", "3", "--path", "absent.pt"], ["absent.pt", "--save-model"]),
        (["--forecast", "3", "--path", "hollow.pt"], ["hollow.pt", "does not fit"]),
        (["--eval-only", "--resume"], ["--eval-only", "--resume"]),
        (["--quick", "--resume"], [f"{NAME}.pt", "nothing to resume", "--save-model"]),
        (["--eval-only", "--path", "other.pt"], ["other.pt", "saved by 04_simple_rnn"]),
    ],
)
def test_mistakes_are_user_errors(tmp_path, flags, fragments, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ru.save_checkpoint(tmp_path / "other.pt", "04_simple_rnn", {"vocab": []})
    ru.save_checkpoint(tmp_path / "hollow.pt", NAME, {"about": {"scaler": {"shift": [0.0]}}})
    (tmp_path / "x.csv").write_text("day,sales\n1,2\n2,3\n")
    if "sine.pt" in flags:  # trained without a table, so it names no column
        script.main([*TINY, "--epochs", "1", "--save-model", "--path", "sine.pt"])
    with pytest.raises(ru.UserError) as caught:
        script.main(flags)
    for fragment in fragments:
        assert fragment in str(caught.value)


DAMAGES = [
    {"scaler": {}},
    {"scaler": None},
    {"scaler": {"shift": [0.0], "scale": None}},
    {"scaler": {"shift": ["a"], "scale": [1.0]}},
    {"end": None},
    {"end": {}},
    {"end": {"name": "y", "source": "y", "season": 7, "times": ["1"], "values": None}},
    {"end": {"name": "y", "source": "y", "season": 7, "times": [], "values": [[0.0]] * 8}},
    {"config": {}},
]


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
@pytest.mark.parametrize("flags", [["--forecast", "3"], ["--eval-only"]], ids=str)
def test_a_damaged_checkpoint_is_one_line(trained, tmp_path, damage, flags, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record = ru.load_checkpoint(trained[0] / "models" / f"{NAME}.pt", NAME)
    record["about"].update(damage)
    ru.save_checkpoint(tmp_path / "bad.pt", NAME, record)
    done = run_here(script, [*flags, "--path", "bad.pt"], capsys)
    assert_one_line_error(done, "bad.pt", "does not fit this script", "--save-model")


def test_user_mistakes_are_one_line(csv_file, tmp_path):
    csv_file("y\n1\nhigh\n")
    done = run_script(NAME, "--data", "series.csv", "--column", "y", cwd=tmp_path)
    assert_one_line_error(done, "series.csv, line 3", "'high'")


def test_help_does_not_wait_for_heavy_imports():
    assert_help_imports_nothing_heavy(NAME, "--sequence-length")


def test_evaluation_on_other_rows_reads_the_columns_of_the_training(tmp_path, monkeypatch, capsys):
    """Without flags those of the training; others are read if they are named, and said."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{20 + np.sin(t):.3f},{t % 7}" for t in range(400)]
    for name in ("old.csv", "new.csv"):
        (tmp_path / name).write_text("\n".join(["sales,visitors", *rows]), encoding="utf-8")
    train = "--data old.csv --column sales --features visitors --epochs 1 --hidden-size 4"
    sizes = " --sequence-length 10 --horizon 3 --no-plots --save-model --path m.pt"
    script.main((train + sizes).split())
    ask = ["--eval-only", "--path", "m.pt", "--no-plots", "--data", "new.csv"]
    assert script.main(ask)["config"]["column"] == "sales"
    assert "trained on" not in capsys.readouterr().out
    script.main([*ask, "--column", "visitors", "--features", "sales"])
    assert "the network was trained on 'sales'" in capsys.readouterr().out
