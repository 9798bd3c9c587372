"""Script 01: order is invisible to a bag and visible to a state, and every shape is as printed."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from helpers import assert_one_line_error, load_script, run_script, same_but_for_times
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import rnn_utils as ru

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


def sequences_of(pattern, num=64, longest=48, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(longest // 3, longest + 1, size=num)
    return [script.make_sequence(pattern, int(length), rng) for length in lengths]


def test_lengths_vary_between_a_third_and_the_whole():
    groups = script.load_sequences(None, np.random.default_rng(0))
    assert list(groups) == list(script.PATTERNS)
    for sequences in groups.values():
        lengths = {len(sequence) for sequence in sequences}
        assert min(lengths) >= 16 and max(lengths) <= 48 and len(lengths) > 15
    assert {len(x) for group in groups.values() for x in group} == set(range(16, 49))


# --- batches -----------------------------------------------------------------------------


def test_padding_moves_the_plain_mean_and_not_the_masked_one(capsys):
    sequences = [np.full((length, 1), 7, dtype=np.float32) for length in (2, 6, 4, 9)]
    means = script.show_batches(sequences, batch_size=3)
    assert means["padding"] == pytest.approx(1 / 3)
    assert means["mean_under_mask"] == pytest.approx(7)
    assert means["mean_with_padding"] == pytest.approx(7 * 12 / 18)
    printed = capsys.readouterr().out
    for what, shape in {
        "one sequence (T, I)": (2, 1),
        "a padded batch (B, T, I)": (3, 6, 1),
        "its lengths (B,)": (3,),
        "its mask (B, T)": (3, 6),
        "time first (T, B, I)": (6, 3, 1),
    }.items():
        assert f"  {what:<42} {shape}\n" in printed


def test_a_batch_size_beyond_the_data_is_the_whole_data(capsys):
    script.show_batches([np.ones((length, 2), np.float32) for length in (3, 9, 5)], batch_size=100)
    assert "(3, 9, 2)" in capsys.readouterr().out


def test_the_mean_under_the_mask_counts_every_feature():
    sequences = [np.tile(np.float32([1, 5]), (length, 1)) for length in (2, 5)]
    assert script.show_batches(sequences, batch_size=2)["mean_under_mask"] == pytest.approx(3)


def test_transpose_swaps_axes_and_view_mixes_the_sequences_as_the_text_says():
    numbers = torch.arange(6).view(2, 3)
    assert numbers.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert numbers.transpose(0, 1)[:, 0].tolist() == [0, 1, 2]
    assert numbers.view(3, 2).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_letters_as_indices_and_as_one_hot_vectors_have_the_shapes_of_the_text():
    letters = torch.tensor(["abc".index(letter) for letter in "abca"])
    assert letters.tolist() == [0, 1, 2, 0]
    assert nn.functional.one_hot(letters, num_classes=3).shape == (4, 3)


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
    groups = {"sine": sequences_of("sine")}
    before = [np.sort(sequence, axis=0) for sequence in groups["sine"]]
    *by_lag, shuffled = script.measure_autocorrelation(groups, rng)["sine"]
    assert len(by_lag) == len(script.LAGS)
    assert by_lag[0] > 0.8 and abs(shuffled) < 0.1
    for old, new in zip(before, groups["sine"]):  # the caller's sequences are left alone
        np.testing.assert_array_equal(old, np.sort(new, axis=0))


# --- the RNN by hand ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_steps_by_hand_equal_nn_rnn_with_any_weights(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    for name, shape in {"W_X": (2, 1), "W_H": (2, 2), "BIAS": (2,)}.items():
        monkeypatch.setattr(script, name, rng.normal(size=shape))
    inputs = rng.normal(size=7)
    states = script.rnn_by_hand(inputs.tolist())
    rnn = nn.RNN(1, 2, batch_first=True).double()
    weights = (script.W_X, script.W_H, script.BIAS, np.zeros(2))
    for parameter, value in zip(rnn.parameters(), weights):
        parameter.data = torch.from_numpy(value)
    output, _ = rnn(torch.from_numpy(inputs)[None, :, None])
    np.testing.assert_allclose(states, output[0].detach().numpy(), atol=1e-12)


def test_first_state_is_the_sum_a_student_gets_with_a_pencil():
    assert script.rnn_by_hand([1])[0] == pytest.approx([math.tanh(1.1), math.tanh(-0.5)])


def test_the_same_values_backwards_lead_to_another_state():
    forwards, backwards = script.rnn_by_hand([1, 0, 2]), script.rnn_by_hand([2, 0, 1])
    assert np.abs(np.subtract(forwards[-1], backwards[-1])).max() > 0.05


def test_batch_first_does_not_move_h_n_as_the_text_says():
    inputs = torch.randn(5, 3, 1)
    output, h_n = nn.RNN(1, 4, batch_first=True)(inputs)
    assert output.shape == (5, 3, 4) and h_n.shape == (1, 5, 4)
    assert torch.equal(output[:, -1], h_n[0])
    output, h_n = nn.RNN(1, 4)(inputs.transpose(0, 1))
    assert output.shape == (3, 5, 4) and h_n.shape == (1, 5, 4)


def test_the_state_of_the_first_cell_is_as_the_text_says():
    for values, state in (([1, 2, 3, 4], 6.125), ([4, 3, 2, 1], 3.25)):
        h = 0.0
        for x in values:
            h = 0.5 * h + x
        assert h == state


# --- the tasks and the models ------------------------------------------------------------


def test_peak_task_pairs_each_sequence_with_itself_backwards():
    inputs, targets = script.peak_task(200, torch.Generator().manual_seed(0))
    x = inputs[:, :, 0]
    assert inputs.shape == (200, 20, 1) and targets.tolist() != [0] * 200
    assert torch.equal(x[:100].flip(1), x[100:])
    assert torch.equal(targets, 1 - targets.roll(100))
    assert torch.equal(targets, (x.argmax(dim=1) < x.argmin(dim=1)).long())


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


def count_updates(monkeypatch):
    made, clip = [], ru.clip_gradients
    monkeypatch.setattr(ru, "clip_gradients", lambda *a: made.append(1) or clip(*a))
    return made


def test_bag_stays_near_chance_while_the_rnn_passes_95_percent(monkeypatch):
    made = count_updates(monkeypatch)
    scores = {}
    for model_class in (script.BagOfSteps, script.SmallRNN):
        torch.manual_seed(1)  # not the default seed
        model = model_class(1, 16, 2)
        scores[model_class] = script.train_and_test(model, script.peak_task, 1, 300, "cpu")
        if model_class is script.BagOfSteps:
            assert len(made) == 300  # it had all the training there was
    assert scores[script.BagOfSteps] == pytest.approx(0.5, abs=0.001)
    assert scores[script.SmallRNN] > 0.95


def test_training_ends_early_when_the_task_is_solved(monkeypatch):
    made = count_updates(monkeypatch)
    torch.manual_seed(0)
    model = script.SmallRNN(script.NUM_SYMBOLS, 16, script.NUM_SYMBOLS)
    task = partial(script.recall_task, delay=1)
    assert script.train_and_test(model, task, 0, 300, "cpu") > 0.99
    assert 0 < len(made) < 300


def test_each_network_of_a_delay_starts_from_its_own_weights(monkeypatch):
    starts = []

    def remember(model, task, seed, max_updates, device):
        starts.append((seed, model.output.weight.tolist()))
        return 0.5

    monkeypatch.setattr(script, "train_and_test", remember)
    script.measure_recall(4, 2, 7, 16, 1, "cpu")
    assert [seed for seed, _ in starts] == [7, 8, 7, 8]
    weights = [weight for _, weight in starts]
    assert weights[0] == weights[2] != weights[1] == weights[3]


def test_the_test_sequences_take_no_part_in_training():
    """They are drawn before the first batch, so that more training does not change them."""
    drawn = []

    def task(num, generator):
        drawn.append(num)
        return script.peak_task(num, generator)

    torch.manual_seed(0)
    script.train_and_test(script.BagOfSteps(1, 4, 2), task, 0, 3, "cpu")
    assert drawn == [script.NUM_TEST, 64, 64, 64]


# --- the command line --------------------------------------------------------------------


def test_quick_run_writes_metrics_and_figures(quick_run):
    folder, printed = quick_run
    output = folder / "outputs" / NAME
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tutorial"] == NAME and metrics["embedded"] is False
    assert metrics["dataset"] == "own.csv" and metrics["config"]["quick"] is True
    assert metrics["total_seconds"] > 0 and metrics["versions"]["torch"] == torch.__version__
    peak = metrics["order_tasks"]["peak before trough?"]
    assert peak["bag"] == pytest.approx(0.5, abs=0.001) and peak["rnn"] > 0.95
    assert metrics["autocorrelation"]["your data"][3] is None  # too short for lag 12
    assert min(metrics["recall"]["2"]) > 0.95
    assert "(3, 6, 1)" in printed  # your own three sequences, padded to the longest
    for name in ("patterns", "hidden_states", "recall"):
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_same_seed_same_metrics_and_main_works_in_a_notebook(quick_run, tmp_path):
    folder, _ = quick_run
    before = json.loads((folder / "outputs" / NAME / "metrics.json").read_text(encoding="utf-8"))
    flags = [*LEARNING, "--no-plots", "--data", str(folder / "own.csv")]
    threads = torch.get_num_threads()
    after = script.main([*flags, "--output-dir", str(tmp_path / "again")])
    torch.set_num_threads(threads)
    before["dataset"] = after["dataset"]  # a path
    assert same_but_for_times(after) == same_but_for_times(before)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    "content, where, what",
    [
        (b"", "", "empty"),
        (b"\n \n", "", "empty"),
        (b"1,2,3\n", "", "only one sequence"),
        (b"\x00\x01\x02", "", "binary"),
        (b"1,2\n\xff\xfe,3\n", "line 2", "UTF-8"),
        (b"price,volume\n1,2\n3,4\n", "line 1", "'price,volume'"),
        (b"1,2\n3,,4\n", "line 2", "numbers"),
        (b"1,2\n\nnan,nan\n", "line 3", "'nan,nan'"),
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
    "flags", [["--batch-size", "0"], ["--max-delay", "1"], ["--pattern", "cube"]]
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
