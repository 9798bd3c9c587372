"""Script 01: order is invisible to a bag and visible to a state, and every shape is as printed."""

from __future__ import annotations

import json
import math
from functools import partial

import rnn_utils as ru

import numpy as np
import pytest
import torch
from helpers import assert_one_line_error, load_script, run_script
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

NAME = "01_sequence_basics"
script = load_script(NAME)


LEARNING = ["--quick", "--updates", "300"]  # --quick alone stops before the RNN has learned


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """One run of the real command line on a file of our own; several tests look at it."""
    folder = tmp_path_factory.mktemp("quick")
    data = folder / "own.csv"
    data.write_text("1,2,3,4,5,6\n\n5,3,1,,,\n2,2\n", encoding="utf-8")
    completed = run_script(NAME, *LEARNING, "--data", "own.csv", cwd=folder)
    assert completed.returncode == 0, completed.stderr
    return folder, completed.stdout


# --- patterns ----------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", script.PATTERNS)
def test_every_pattern_has_two_axes_and_repeats_with_its_seed(pattern):
    first, second = (script.make_sequence(pattern, 30, np.random.default_rng(3)) for _ in "ab")
    features = {"circle": 2, "letters": 3}.get(pattern, 1)
    assert first.shape == (30, features) and first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    other = [script.make_sequence(pattern, 30, np.random.default_rng(s)) for s in range(8)]
    assert any(not np.array_equal(first, sequence) for sequence in other)


@given(seed=st.integers(0, 10_000), length=st.integers(4, 200))
@settings(max_examples=40, deadline=None)
def test_patterns_obey_the_rule_they_are_named_after(seed, length):
    def make(pattern):
        return script.make_sequence(pattern, length, np.random.default_rng(seed)).astype(float)

    differences = np.diff(make("arithmetic"), axis=0)
    assert np.allclose(differences, differences[0], atol=1e-4)
    ratios = make("geometric")[1:] / make("geometric")[:-1]
    assert np.allclose(ratios, ratios[0], atol=1e-4)
    assert np.array_equal(make("alternating")[1:], -make("alternating")[:-1])
    digits = make("fibonacci")[:, 0]
    assert np.array_equal(digits[2:], (digits[1:-1] + digits[:-2]) % 10)
    assert set(make("square").ravel()) <= {-1.0, 1.0}
    assert np.allclose((make("circle") ** 2).sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(make("letters").sum(axis=1), np.ones(length))
    # The same noise drives both: AR(1) forgets a fifth of its value in each step, the walk nothing.
    walk, ar1 = make("random-walk")[:, 0], make("ar1")[:, 0]
    assert np.allclose(np.diff(walk), ar1[1:] - 0.8 * ar1[:-1], atol=1e-4)


def test_lengths_vary_between_a_third_and_the_whole():
    sequences = script.make_sequences("sine", 300, 30, np.random.default_rng(0))
    lengths = {len(sequence) for sequence in sequences}
    assert min(lengths) == 10 and max(lengths) == 30 and len(lengths) > 15


# --- batches -----------------------------------------------------------------------------


def test_collate_pads_with_zeros_and_the_mask_finds_them():
    sequences = [np.ones((length, 2), dtype=np.float32) for length in (3, 5, 2)]
    inputs, lengths, mask = script.collate(sequences)
    assert inputs.shape == (3, 5, 2) and lengths.tolist() == [3, 5, 2]
    assert torch.equal(inputs, mask[:, :, None].expand(3, 5, 2).float())


def test_default_collate_fails_on_unequal_lengths_as_the_script_says():
    sequences = [np.ones((length, 1), dtype=np.float32) for length in (3, 5)]
    with pytest.raises(RuntimeError):
        next(iter(torch.utils.data.DataLoader(sequences, batch_size=2)))


def test_padding_moves_the_plain_mean_and_not_the_masked_one(capsys):
    sequences = [np.full((length, 1), 7, dtype=np.float32) for length in (2, 6, 4, 9)]
    (inputs, mask), means = script.show_batches(sequences, batch_size=3)
    assert inputs.shape == (3, 6, 1) and mask.sum() == 12
    assert means["padding"] == pytest.approx(1 / 3)
    assert means["mean_under_mask"] == pytest.approx(7)
    assert means["mean_with_padding"] == pytest.approx(7 * 12 / 18)
    assert "(3, 6, 1)" in capsys.readouterr().out


def test_a_batch_size_beyond_the_data_is_the_whole_data():
    sequences = script.make_sequences("circle", 5, 12, np.random.default_rng(0))
    (inputs, _), _ = script.show_batches(sequences, batch_size=100)
    assert inputs.shape[0] == 5 and inputs.shape[2] == 2


def test_check_shape_refuses_a_wrong_claim():
    with pytest.raises(AssertionError):
        script.check_shape("claim", torch.zeros(2, 3), 3, 2)


# --- autocorrelation ---------------------------------------------------------------------


def test_autocorrelation_of_known_series():
    alternating = [np.array([[1.0], [-1.0]] * 10)]
    assert script.autocorrelation(alternating, 1) == pytest.approx(-1)
    assert script.autocorrelation(alternating, 2) == pytest.approx(1)
    t = np.arange(12_000)
    sine = [np.sin(2 * math.pi * t / 12)[:, None]]
    for lag in (1, 2, 3, 6):
        expected = math.cos(2 * math.pi * lag / 12)
        assert script.autocorrelation(sine, lag) == pytest.approx(expected, abs=1e-3)
    rng = np.random.default_rng(0)
    ar1 = [script.make_sequence("ar1", 20_000, rng)]
    for lag in (1, 2, 5):
        assert script.autocorrelation(ar1, lag) == pytest.approx(0.8**lag, abs=0.04)


def test_autocorrelation_does_not_invent_what_cannot_be_measured():
    constant = [np.full((9, 1), 0.1), np.full((7, 1), 1e6 + 0.1)]
    assert math.isnan(script.autocorrelation(constant, 1))
    assert math.isnan(script.autocorrelation([np.array([[1.0], [2.0]])], 2))


def test_shuffling_destroys_the_correlation_and_keeps_the_values():
    rng = np.random.default_rng(0)
    groups = {"sine": script.make_sequences("sine", 64, 48, rng)}
    before = [np.sort(sequence, axis=0) for sequence in groups["sine"]]
    result = script.measure_autocorrelation(groups, rng)["sine"]
    assert result["by_lag"][0] > 0.8 and abs(result["shuffled"]) < 0.1
    for old, new in zip(before, groups["sine"]):  # the caller's sequences are left alone
        np.testing.assert_array_equal(old, np.sort(new, axis=0))


# --- the RNN by hand ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_numpy_recurrence_equals_nn_rnn_with_any_weights(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    shapes = {"W_X": (2, 1), "W_H": (2, 2), "BIAS": (2,), "X": (7, 1)}
    for name, shape in shapes.items():
        monkeypatch.setattr(script, name, rng.normal(size=shape))
    result = script.rnn_by_hand()  # asserts that nn.RNN agrees
    cell = nn.RNNCell(1, 2).double()
    weights = (script.W_X, script.W_H, script.BIAS, np.zeros(2))
    for parameter, value in zip(cell.parameters(), weights):
        parameter.data = torch.from_numpy(value)
    h = torch.zeros(1, 2, dtype=torch.double)
    for x, expected in zip(script.X, result["states"]):
        h = cell(torch.from_numpy(x)[None], h)
        assert h[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_first_state_is_the_sum_a_student_gets_with_a_pencil():
    result = script.rnn_by_hand()
    assert result["states"][0] == pytest.approx([math.tanh(1.1), math.tanh(-0.5)])
    assert result["difference"] < 1e-6


def test_answers_are_asserted_and_printed(capsys):
    script.answer_questions()
    printed = capsys.readouterr().out
    assert printed.count("(1, 5, 4)") == 2  # batch_first does not move h_n
    assert "(5, 3, 4)" in printed and "(3, 5, 4)" in printed
    assert "[0.0, 1.0, 2.0]" in printed and "[0.0, 5.0, 10.0]" in printed


# --- the tasks and the models ------------------------------------------------------------


def test_peak_task_pairs_each_sequence_with_itself_backwards():
    inputs, targets = script.peak_task(200, torch.Generator().manual_seed(0))
    x = inputs[:, :, 0]
    assert inputs.shape == (200, 20, 1) and targets.tolist() != [0] * 200
    assert torch.equal(x[:100].flip(1), x[100:])
    assert torch.equal(targets, 1 - targets.roll(100))
    assert torch.equal(targets, (x.argmax(dim=1) < x.argmin(dim=1)).long())


def test_symbol_task_asks_for_the_right_step_of_equal_multisets():
    inputs, targets = script.symbol_task(300, torch.Generator().manual_seed(0), ago=3)
    assert torch.equal(inputs.sum(dim=1), torch.full((300, 4), 3.0))
    assert torch.equal(targets, inputs.argmax(dim=2)[:, -4])
    assert set(targets.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("delay", [1, 2, 9])
def test_recall_task_asks_for_the_symbol_delay_steps_before_the_last(delay):
    inputs, targets = script.recall_task(50, torch.Generator().manual_seed(0), delay)
    assert inputs.shape == (50, delay + 1, 4)
    assert torch.equal(targets, inputs.argmax(dim=2)[:, -1 - delay])


def test_order_is_invisible_to_the_bag_and_visible_to_the_rnn():
    torch.manual_seed(0)
    inputs = torch.randn(8, 10, 3)
    bag, rnn = script.BagOfSteps(3, 16, 4), script.SmallRNN(3, 16, 4)
    assert torch.allclose(bag(inputs), bag(inputs.flip(1)), atol=1e-6)
    assert not torch.allclose(rnn(inputs), rnn(inputs.flip(1)), atol=1e-2)


def test_recurrent_weights_start_orthogonal():
    weight = script.SmallRNN(3, 16, 4).rnn.weight_hh_l0
    assert torch.allclose(weight @ weight.T, torch.eye(16), atol=1e-5)


@pytest.mark.parametrize("task, chance", [("peak_task", 0.5), ("symbol_task", 0.25)])
def test_bag_stays_near_chance_while_the_rnn_passes_95_percent(task, chance):
    args = script.parse_args([])
    setting = (getattr(script, task), round(1 / chance), 1, args, "cpu")  # not the default seed
    _, bag, updates = script.train_and_test(script.BagOfSteps, *setting)
    assert abs(bag - chance) < 0.03  # at least four standard errors with 4,000 sequences
    assert updates == args.updates  # it had all the training there was
    _, rnn, _ = script.train_and_test(script.SmallRNN, *setting)
    assert rnn > 0.95


def test_the_updates_that_are_counted_are_those_that_were_made(monkeypatch):
    made, clip = [], ru.clip_gradients
    monkeypatch.setattr(ru, "clip_gradients", lambda *a: made.append(1) or clip(*a))
    task, args = partial(script.recall_task, delay=1), script.parse_args(["--updates", "300"])
    _, _, updates = script.train_and_test(script.SmallRNN, task, script.NUM_SYMBOLS, 0, args, "cpu")
    assert updates == len(made) < 300  # it ended early


# --- the command line --------------------------------------------------------------------


def test_quick_run_writes_metrics_and_figures(quick_run):
    folder, printed = quick_run
    output = folder / "outputs" / NAME
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tutorial"] == NAME and metrics["embedded"] is False
    assert metrics["dataset"] == "own.csv" and metrics["config"]["quick"] is True
    assert metrics["total_seconds"] > 0 and metrics["versions"]["torch"] == torch.__version__
    assert metrics["two_orders"] == [6.125, 3.25]
    peak = metrics["order_tasks"]["peak before trough?"]
    assert peak["bag"] == pytest.approx(0.5, abs=0.001) and peak["rnn"] > 0.95
    assert metrics["autocorrelation"]["your data"]["by_lag"][-1] is None  # too short for lag 12
    assert min(metrics["recall"]["2"]["accuracy"]) > 0.95
    assert "(3, 6, 1)" in printed  # your own three sequences, padded to the longest
    for name in ("patterns", "padded_batch", "autocorrelation", "hidden_states", "recall"):
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_same_seed_same_metrics_and_main_works_in_a_notebook(quick_run, tmp_path):
    folder, _ = quick_run
    before = json.loads((folder / "outputs" / NAME / "metrics.json").read_text(encoding="utf-8"))
    flags = [*LEARNING, "--no-plots", "--data", str(folder / "own.csv")]
    threads = torch.get_num_threads()
    after = script.main([*flags, "--output-dir", str(tmp_path / "again")])
    torch.set_num_threads(threads)
    for metrics in (before, after):
        for key in ("config", "dataset", "total_seconds"):  # paths and times
            del metrics[key]
    assert json.loads(json.dumps(after)) == before
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    "content, where, what",
    [
        (b"", "", "empty"),
        (b"\n \n", "", "empty"),
        (b"1,2,3\n", "", "only one sequence"),
        (b"\x00\x01\x02", "", "binary"),
        (b"1,2\n\xff\xfe,3\n", "line 2", "UTF-8"),
        (b"price,volume\n1,2\n3,4\n", "line 1", "'price'"),
        (b"1,2\n3,,4\n", "line 2", "write numbers"),
        (b"1,2\n\nnan,nan\n", "line 3", "NaN"),
        (b"1,2\n1,-inf\n", "line 2", "1e30"),
        (b"1,2\n5\n", "line 2", "two or more"),
        (b",,,\n,,\n", "", "one sequence"),
    ],
)
def test_bad_data_is_one_error_that_names_the_place(content, where, what, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ru.UserError) as caught:
        script.main(["--data", str(path), "--output-dir", str(tmp_path / "out")])
    for fragment in ("bad.csv", where, what):
        assert fragment in str(caught.value)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_missing_file_is_one_line_with_status_2(tmp_path):
    missing = run_script(NAME, "--data", "nowhere.csv", cwd=tmp_path)
    assert_one_line_error(missing, "nowhere.csv", "no such file")


@pytest.mark.parametrize(
    "flags", [["--sequence-length", "1"], ["--num-sequences", "1"], ["--pattern", "cube"]]
)
def test_flags_out_of_range_are_refused(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        script.parse_args(flags)
    assert caught.value.code == 2 and flags[0] in capsys.readouterr().err


def test_own_data_survives_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbf1,2,3\r\n4, 5 ,,\r\n")
    sequences = script.read_sequences(path)
    assert [sequence.ravel().tolist() for sequence in sequences] == [[1, 2, 3], [4, 5]]
