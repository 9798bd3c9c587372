"""docs/results.json, the table in README and the program that makes both agree."""

from __future__ import annotations

import importlib.util
import json

import pytest
from helpers import ROOT, load_script

import rnn_utils as ru

SPEC = importlib.util.spec_from_file_location("build_results", ROOT / "docs" / "build_results.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)
RESULTS = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))


def test_readme_and_teaching_show_what_the_results_file_holds():
    for path, marker, table in (
        (build.README, "results", build.table(RESULTS)),
        (build.TEACHING, "ranges", build.ranges(RESULTS)),
    ):
        text = path.read_text(encoding="utf-8")
        expected = build.between_markers(text, marker, table)
        assert expected == text, "run: python docs/build_results.py"
    assert {record["tutorial"][:2] for record in RESULTS["records"]} >= {"01", "04", "05", "06"}


def test_every_record_has_a_seed_for_every_value():
    names = {entry.name for entry in build.ENTRIES}
    for record in RESULTS["records"]:
        assert record["name"] in names
        counts = {len(record[key]) for key in ("seeds", "network", "baseline_values")}
        counts.add(len(record.get("intervals", record["seeds"])))
        assert len(counts) == 1 and len(set(record["seeds"])) == len(record["seeds"])


def metrics_of(*flags, tutorial="04_simple_rnn", accuracy=0.8, **changes):
    """What a run with these flags would write, if it came to this accuracy."""
    config = json.loads(json.dumps(vars(load_script(tutorial).parse_args(flags))))
    metrics = {
        "tutorial": tutorial, "dataset": "names", "embedded": False, "total_seconds": 60.4,
        "config": config, "test": {"accuracy": accuracy, "minus_groups": [0.05, 0.01, 0.09]},
        "baselines": {"majority": 0.5, "n-grams": 0.75},
        "versions": {"python": "3", "torch": "2", "numpy": "1", "platform": "x"},
    }  # fmt: skip
    return {**metrics, **changes}


SEED_1 = ("--seed", "1")


def write_runs(folder, *all_metrics):
    for number, metrics in enumerate(all_metrics):
        (folder / str(number)).mkdir()
        (folder / str(number) / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def test_collects_one_value_for_each_seed_and_the_best_baseline(tmp_path):
    folder = write_runs(tmp_path, metrics_of(*SEED_1, accuracy=0.7), metrics_of())
    results = build.collect(build.read_runs(folder), {})
    (record,) = results["records"]
    assert record["seeds"] == [0, 1] and record["network"] == [0.8, 0.7]
    assert record["baseline"] == "n-grams" and record["baseline_values"] == [0.75, 0.75]
    # 0.25 wrong without a network; 0.20 with seed 0, 0.30 with seed 1
    assert build.removed(record) == pytest.approx([0.2, -0.2])
    assert results["seconds"] == {"04_simple_rnn": [60, 60]}
    assert "accuracy 0.750 (0.700 to 0.800)" in build.table(results)


def test_what_was_not_run_again_keeps_its_record(tmp_path):
    first = build.collect(build.read_runs(write_runs(tmp_path, metrics_of())), {})
    old = {
        "records": [RESULTS["records"][0], *first["records"]],
        "notes": {"02_text_preprocessing": "half"},
        "seconds": {"01_sequence_basics": [7], "04_simple_rnn": [90]},
    }
    (tmp_path / "new").mkdir()
    new = build.read_runs(write_runs(tmp_path / "new", metrics_of(*SEED_1, accuracy=0.7)))
    results = build.collect(new, old)
    assert results["records"][0] == RESULTS["records"][0]
    assert results["records"][1]["seeds"] == [0, 1]
    assert results["records"][1]["network"] == [0.8, 0.7]
    assert results["notes"] == old["notes"]
    assert results["seconds"] == {"01_sequence_basics": [7], "04_simple_rnn": [60, 90]}


def of_06(*flags, dataset: str, seconds: float):
    steps = {"by_horizon": {"rmse": [2.0, 5.0]}}
    return metrics_of(
        *flags, tutorial="06_gru_time_series", dataset=dataset, total_seconds=seconds,
        test={"rmse": 2.0, **steps}, baselines={"persistence": 3.0},
        baseline_scores={"persistence": steps},
    )  # fmt: skip


def test_times_are_those_of_the_default_data_set(tmp_path):
    stock = of_06("--dataset", "stock", dataset="stock", seconds=8.0)
    folder = write_runs(tmp_path, stock, of_06(dataset="sine", seconds=26.0))
    assert build.collect(build.read_runs(folder), {})["seconds"] == {"06_gru_time_series": [26]}


def test_the_last_step_is_compared_with_the_baselines_last_step(tmp_path):
    chaos = of_06("--dataset", "mackey-glass", dataset="mackey-glass", seconds=8.0)
    chaos["baseline_scores"]["persistence"] = {"by_horizon": {"rmse": [3.0, 9.0]}}
    (record,) = build.collect(build.read_runs(write_runs(tmp_path, chaos)), {})["records"]
    assert record["network"] == [5.0] and record["baseline_values"] == [9.0]


@pytest.mark.parametrize(
    ("intervals", "no_difference"),
    [
        ([[0.05, 0.01, 0.09], [0.04, 0.01, 0.07]], False),
        ([[-0.05, -0.09, -0.01], [-0.04, -0.07, -0.01]], False),
        ([[0.03, -0.01, 0.07], [0.04, -0.02, 0.10]], True),
        ([[0.05, 0.03, 0.07], [0.01, -0.01, 0.03]], False),  # the mean of the ends: 0.01 to 0.05
    ],
)
def test_a_win_is_one_only_where_its_interval_excludes_0(intervals, no_difference, tmp_path):
    runs = [metrics_of(), metrics_of(*SEED_1)]
    for metrics, interval in zip(runs, intervals):
        metrics["test"]["minus_groups"] = interval
    results = build.collect(build.read_runs(write_runs(tmp_path, *runs)), {})
    assert results["records"][0]["intervals"] == intervals
    assert ("0.750, n-grams (no difference)" in build.table(results)) == no_difference


def test_an_interval_is_that_of_the_baseline_in_the_table_or_none(tmp_path):
    # The script compares itself with its last baseline; here the first is better.
    metrics = metrics_of(baselines={"letters": 0.78, "n-grams": 0.75})
    metrics["test"]["minus_groups"] = [0.05, -0.01, 0.09]
    (record,) = build.collect(build.read_runs(write_runs(tmp_path, metrics)), {})["records"]
    assert record["baseline"] == "letters" and "intervals" not in record
    assert not build.undecided(record)


def test_every_picture_in_the_table_exists_and_leads_to_a_section():
    readme = build.README.read_text(encoding="utf-8")
    for chapter in build.CHAPTERS:
        assert (ROOT / "docs" / "images" / f"{chapter.figure}.png").is_file()
        assert f"\n### {chapter.script[:2]} {chapter.title}\n" in readme


def test_embedded_runs_are_no_results(tmp_path):
    with pytest.raises(ru.UserError, match=r"metrics\.json: a run on embedded data"):
        build.read_runs(write_runs(tmp_path, metrics_of(embedded=True)))


@pytest.mark.parametrize(
    "flags",
    [("--quick",), ("--eval-only",), ("--epochs", "21"), ("--hidden-size", "512"),
     ("--max-examples", "500"), ("--data", "my.csv")],
    ids=lambda flags: flags[0],
)  # fmt: skip
def test_runs_with_other_flags_are_no_results(flags, tmp_path):
    with pytest.raises(ru.UserError, match=rf"metrics\.json: not a default run \(.*{flags[0]} "):
        build.read_runs(write_runs(tmp_path, metrics_of(*flags)))


def test_a_default_is_that_of_the_script_and_of_its_data_set(tmp_path):
    other = metrics_of("--dataset", "stock", "--anchor", "mean", tutorial="06_gru_time_series")
    with pytest.raises(ru.UserError, match="--anchor mean"):
        build.read_runs(write_runs(tmp_path, other))


def test_where_and_how_a_script_runs_is_free(tmp_path):
    flags = ("--dataset", "names", "--threads", "3", "--output-dir", "x", "--no-plots", "--offline")
    runs = [metrics_of(*flags, "--device", "cpu", "--save-model", "--path", "y.pt")]
    runs += [metrics_of("--compare", tutorial="09_attention_mechanism", dataset="multi30k")]
    assert len(build.read_runs(write_runs(tmp_path, *runs))) == 2


@pytest.mark.parametrize("name", sorted(path.stem for path in ROOT.glob("[01][0-9]_*.py")))
def test_what_is_free_is_a_flag_and_what_a_default_run_has_is_default(name):
    args = vars(load_script(name).parse_args([]))
    assert build.FREE_OF.get(name, set()) <= set(args)
    assert {"seed", "device", "threads", "output_dir"} <= set(args) & build.FREE
    assert build.changed_flags(name, json.loads(json.dumps(args))) == []


def test_a_lower_error_is_better_where_perfect_is_zero():
    record = {"perfect": 0.0, "network": [0.5], "baseline_values": [2.0]}
    assert build.removed(record) == [0.75]
