"""docs/results.json, the table in README and the program that makes both agree."""

from __future__ import annotations

import importlib.util
import json

import rnn_utils as ru

import pytest
from helpers import ROOT

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
        assert len(counts) == 1 and len(set(record["seeds"])) == len(record["seeds"])


def metrics_of(seed=0, accuracy=0.8, **changes):
    metrics = {
        "tutorial": "04_simple_rnn", "dataset": "names", "embedded": False, "total_seconds": 60.4,
        "config": {"seed": seed, "quick": False}, "test": {"accuracy": accuracy},
        "baselines": {"majority": 0.5, "n-grams": 0.75},
        "versions": {"python": "3", "torch": "2", "numpy": "1", "platform": "x"},
    }  # fmt: skip
    return {**metrics, **changes}


def write_runs(folder, *all_metrics):
    for number, metrics in enumerate(all_metrics):
        (folder / str(number)).mkdir()
        (folder / str(number) / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def test_collects_one_value_for_each_seed_and_the_best_baseline(tmp_path):
    folder = write_runs(tmp_path, metrics_of(1, 0.7), metrics_of(0, 0.8))
    results = build.collect(build.read_runs(folder), {})
    (record,) = results["records"]
    assert record["seeds"] == [0, 1] and record["network"] == [0.8, 0.7]
    assert record["baseline"] == "n-grams" and record["baseline_values"] == [0.75, 0.75]
    # 0.25 wrong without a network; 0.20 with seed 0, 0.30 with seed 1
    assert build.removed(record) == pytest.approx([0.2, -0.2])
    assert results["seconds"] == {"04_simple_rnn": [60, 60]}
    assert "accuracy 0.750 (0.700 to 0.800)" in build.table(results)


def test_what_was_not_run_again_keeps_its_record(tmp_path):
    first = build.collect(build.read_runs(write_runs(tmp_path, metrics_of(0, 0.8))), {})
    old = {
        "records": [RESULTS["records"][0], *first["records"]],
        "notes": {"02_text_preprocessing": "half"},
        "seconds": {"01_sequence_basics": [7], "04_simple_rnn": [90]},
    }
    (tmp_path / "new").mkdir()
    new = build.read_runs(write_runs(tmp_path / "new", metrics_of(1, 0.7)))
    results = build.collect(new, old)
    assert results["records"][0] == RESULTS["records"][0]
    assert results["records"][1]["seeds"] == [0, 1]
    assert results["records"][1]["network"] == [0.8, 0.7]
    assert results["notes"] == old["notes"]
    assert results["seconds"] == {"01_sequence_basics": [7], "04_simple_rnn": [60, 90]}


def test_times_are_those_of_the_default_data_set(tmp_path):
    stock = {"tutorial": "06_gru_time_series", "dataset": "stock", "baselines": {"persistence": 3}}
    stock |= {"test": {"rmse": 2.0}, "total_seconds": 8.0}
    sine = {**stock, "dataset": "sine", "total_seconds": 26.0}
    folder = write_runs(tmp_path, metrics_of(**stock), metrics_of(**sine))
    assert build.collect(build.read_runs(folder), {})["seconds"] == {"06_gru_time_series": [26]}


def test_every_picture_in_the_table_exists_and_leads_to_a_section():
    readme = build.README.read_text(encoding="utf-8")
    for chapter in build.CHAPTERS:
        assert (ROOT / "docs" / "images" / f"{chapter.figure}.png").is_file()
        assert f"\n### {chapter.script[:2]} {chapter.title}\n" in readme


@pytest.mark.parametrize(
    "metrics", [metrics_of(embedded=True), metrics_of(config={"seed": 0, "quick": True})]
)
def test_tiny_and_embedded_runs_are_no_results(tmp_path, metrics):
    with pytest.raises(ru.UserError, match=r"metrics\.json: an embedded"):
        build.read_runs(write_runs(tmp_path, metrics))


def test_a_lower_error_is_better_where_perfect_is_zero():
    record = {"perfect": 0.0, "network": [0.5], "baseline_values": [2.0]}
    assert build.removed(record) == [0.75]
