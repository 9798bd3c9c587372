"""Rebuild docs/results.json, the figure, and the tables of README and TEACHING, from real runs.

    python docs/build_results.py RUNS     # every metrics.json below RUNS, made by the scripts
    python docs/build_results.py          # table and figure from docs/results.json as it stands

Each script writes a metrics.json into its --output-dir.  Run each with --seed 0, 1 and 2 into
folders of their own below RUNS (names do not matter), then this program.  Only runs on real
data with default flags count: embedded or --quick runs and runs with --max-examples are refused.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import rnn_utils as ru  # noqa: E402

RESULTS, TEACHING = ROOT / "docs" / "results.json", ROOT / "docs" / "TEACHING.md"
README = ROOT / "README.md"
FIGURE = ROOT / "docs" / "images" / "when_do_i_need_an_rnn.png"


class Entry(NamedTuple):
    """One row of the figure: what a network and the best classical baseline reach."""

    tutorial: str
    dataset: str
    name: str
    measure: str
    perfect: float  # the value of an answer without error
    network: Callable[[dict], float]
    baselines: Callable[[dict], dict[str, float]]


def best(baselines: dict[str, float], perfect: float) -> tuple[str, float]:
    """The baseline nearest to `perfect`."""
    return min(baselines.items(), key=lambda item: abs(perfect - item[1]))


def of_test(measure: str) -> Callable[[dict], float]:
    return lambda metrics: metrics["test"][measure]


def order_task(metrics: dict) -> dict[str, float]:
    return metrics["order_tasks"]["peak before trough?"]


def last_step(scores: dict) -> float:
    """The error at the end of the horizon, where a chaotic series is hardest to know."""
    return scores["by_horizon"]["rmse"][-1]


def bits(metrics: dict) -> dict[str, float]:
    """The n-gram models of chapter 10 in bits; its metrics have nats."""
    return {name: nats / math.log(2) for name, nats in metrics["baselines"].items()}


def recorded(metrics: dict) -> dict[str, float]:
    return metrics["baselines"]


ENTRIES = (
    Entry("01_sequence_basics", "arithmetic", "01 order of two events", "accuracy", 1.0,
          lambda m: order_task(m)["rnn"], lambda m: {"bag of values": order_task(m)["bag"]}),
    Entry("04_simple_rnn", "names", "04 language of a name", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("05_lstm_sentiment", "imdb", "05 film reviews", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("06_gru_time_series", "sine", "06 sine waves", "RMSE", 0.0, of_test("rmse"), recorded),
    Entry("06_gru_time_series", "mackey-glass", "06 chaos, last step", "RMSE", 0.0,
          lambda m: last_step(m["test"]),
          lambda m: {name: last_step(scores) for name, scores in m["baseline_scores"].items()}),
    Entry("06_gru_time_series", "stock", "06 share price", "RMSE", 0.0, of_test("rmse"), recorded),
    Entry("07_bidirectional_rnn", "trec", "07 questions", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("08_seq2seq_basic", "reverse", "08 reversal", "exact match", 1.0,
          of_test("exact_match"), recorded),
    Entry("09_attention_mechanism", "multi30k", "09 English to French", "BLEU", 100.0,
          of_test("bleu"), recorded),
    Entry("10_text_generation", "shakespeare", "10 Shakespeare", "bits per character", 0.0,
          of_test("bits"), bits),
)  # fmt: skip

# (script, flags of the run if any, question, data, expected)
CHAPTERS = (
    ("01_sequence_basics", "", "what is a sequence, and why does order matter?", "generated", "-"),
    ("02_text_preprocessing", "", "how does text become numbers a network can read?",
     "sentences, `imdb`", "-"),
    ("03_time_series_basics", "", "how does a series become examples, without fooling oneself?",
     "sine, GOOG", "-"),
    ("04_simple_rnn", "", "which of 18 languages does a surname come from?", "`names`", "70-75 %"),
    ("05_lstm_sentiment", "", "is a film review for or against, and which cell remembers?",
     "`imdb`", "85-90 %"),
    ("06_gru_time_series", "", "can a GRU forecast, and does it know how good it is?",
     "sine, chaos, GOOG", "a low error"),
    ("07_bidirectional_rnn", "", "what does it change to read from both ends?", "`trec`, `imdb`",
     "88-92 %"),
    ("08_seq2seq_basic", "", "can one vector carry a whole sequence?", "digits, `multi30k`",
     "95 % and more"),
    ("09_attention_mechanism", "", "what does a translator look at while it writes?", "`multi30k`",
     "better than without attention"),
    ("10_text_generation", "", "can a network that guesses the next character write?",
     "`shakespeare`, code", "text samples"),
)  # fmt: skip


def notes(metrics: dict) -> str:
    """What the two chapters without a network in their metrics measure."""
    if metrics["tutorial"] == "02_text_preprocessing":
        padding = metrics["padding"]
        return f"padding: {padding['random']:.0%} at random, {padding['bucketed']:.0%} by length"
    if metrics["tutorial"] == "03_time_series_basics":
        at_random, by_time = metrics["skill_at_random_and_by_time"]["5 neighbours, GOOG"]
        return f"skill of one model: {at_random:+.2f} split at random, {by_time:+.2f} by time"
    return ""


def read_runs(folder: Path) -> dict[tuple[str, str], list[dict]]:
    """The metrics below `folder`, by (tutorial, dataset), one for each seed, sorted by seed."""
    runs: dict[tuple[str, str], dict[int, dict]] = defaultdict(dict)
    for path in sorted(folder.rglob("metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        config = metrics["config"]
        stand_in = metrics["embedded"] and metrics["tutorial"] in {e.tutorial for e in ENTRIES}
        if stand_in or config.get("quick") or config.get("eval_only"):
            raise ru.UserError(f"{path}: an embedded, --quick or --eval-only run; remove it")
        runs[metrics["tutorial"], metrics["dataset"]][config["seed"]] = metrics
    return {key: [by_seed[seed] for seed in sorted(by_seed)] for key, by_seed in runs.items()}


def collect(runs: dict) -> dict[str, Any]:
    """What docs/results.json holds: one record per entry, and the times of every script."""
    records, seconds = [], defaultdict(list)
    for (tutorial, _), all_metrics in runs.items():
        seconds[tutorial] += [metrics["total_seconds"] for metrics in all_metrics]
    for entry in ENTRIES:
        all_metrics = runs.get((entry.tutorial, entry.dataset), [])
        if not all_metrics:
            continue
        chosen = [best(entry.baselines(metrics), entry.perfect) for metrics in all_metrics]
        records.append({
            "name": entry.name, "tutorial": entry.tutorial, "dataset": entry.dataset,
            "measure": entry.measure, "perfect": entry.perfect,
            "seeds": [metrics["config"]["seed"] for metrics in all_metrics],
            "network": [round(entry.network(metrics), 4) for metrics in all_metrics],
            "baseline": chosen[0][0], "baseline_values": [round(value, 4) for _, value in chosen],
        })  # fmt: skip
    versions = next(iter(runs.values()))[0]["versions"]
    return {
        "records": records,
        "notes": {key[0]: text for key, metrics in runs.items() if (text := notes(metrics[0]))},
        "seconds": {
            name: [round(s) for s in sorted(all_)] for name, all_ in sorted(seconds.items())
        },
        "versions": {key: versions[key] for key in ("python", "torch")},
    }


def removed(record: dict) -> list[float]:
    """For each seed the share of the baseline's error that the network removes; below 0: adds."""
    return [
        1 - abs(record["perfect"] - value) / abs(record["perfect"] - reference)
        for value, reference in zip(record["network"], record["baseline_values"])
    ]


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and the least and greatest value: with three seeds, nothing finer is honest."""
    return statistics.fmean(values), min(values), max(values)


def draw(results: dict) -> None:
    """The figure: for each record, the share of the best baseline's error that is removed."""
    plt = ru.get_pyplot()
    records = results["records"][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(records) + 1.4))
    for row, record in enumerate(records):
        mean, low, high = interval([100 * share for share in removed(record)])
        color = ru.BLUE if mean > 0 else ru.ORANGE
        axes.barh(row, mean, color=color, height=0.6)
        axes.plot([low, high], [row, row], color=ru.BLACK, lw=2)
        value = statistics.fmean(record["network"])
        reference = statistics.fmean(record["baseline_values"])
        text = f"{value:.3g} against {reference:.3g} ({record['measure']}; {record['baseline']})"
        inside = mean > 60
        axes.text(2 if inside else max(high, 0) + 2, row, text, va="center", fontsize=8.5,
                  color="white" if inside else ru.BLACK)  # fmt: skip
    axes.axvline(0, color=ru.GREY)
    axes.set_yticks(range(len(records)), [record["name"] for record in records])
    axes.set(xlim=(min(-35, axes.get_xlim()[0]), 105))
    axes.set_xlabel("share of the best classical baseline's error that the network removes (%)")
    axes.set_title("When do I need an RNN?")
    ru.save_figure(figure, FIGURE.parent, FIGURE.stem)


def readable(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def table(results: dict) -> str:
    """README's table of the ten scripts, in Markdown."""
    lines = [
        "| script | the question it answers | data | time | measured | best classical baseline "
        "| expected |",
        "|---|---|---|---|---|---|---|",
    ]
    for script, flags, question, data, expected in CHAPTERS:
        seconds = results["seconds"].get(script)
        time = readable(min(seconds)) if seconds else "-"  # the others had busy neighbours
        measured, references = [], []
        for record in results["records"]:
            if record["tutorial"] == script:
                mean, low, high = interval(record["network"])
                spread = f" ({low:.3f} to {high:.3f})" if len(record["network"]) > 1 else ""
                measured.append(f"{record['name'][3:]}: {record['measure']} {mean:.3f}{spread}")
                reference = statistics.fmean(record["baseline_values"])
                references.append(f"{reference:.3f}, {record['baseline']}")
        measured = measured or [results["notes"].get(script, "-")]
        command = f"[`{script}.py`]({script}.py)" + (f" `{flags}`" if flags else "")
        cells = (command, question, data, time, "<br>".join(measured))
        lines.append(f"| {' | '.join(cells)} | {'<br>'.join(references) or '-'} | {expected} |")
    return "\n".join(lines)


def ranges(results: dict) -> str:
    """TEACHING's table of the range of each result over the seeds."""
    lines = ["| script | measure | seeds | lowest | mean | highest |", "|---|---|---|---|---|---|"]
    for record in results["records"]:
        mean, low, high = interval(record["network"])
        values = " | ".join(f"{value:.4f}" for value in (low, mean, high))
        lines.append(
            f"| {record['name']} | {record['measure']} | {len(record['seeds'])} | {values} |"
        )
    return "\n".join(lines)


def between_markers(text: str, marker: str, new: str) -> str:
    """`text` with the lines between `<!-- marker:begin` and `<!-- marker:end` replaced."""
    begin, end = text.index(f"<!-- {marker}:begin"), text.index(f"<!-- {marker}:end")
    return text[: text.index("\n", begin) + 1] + new + "\n" + text[end:]


def rewrite(path: Path, marker: str, new: str) -> None:
    text = between_markers(path.read_text(encoding="utf-8"), marker, new)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def main(argv: list[str]) -> None:
    if argv:
        runs = read_runs(Path(argv[0]))
        if not runs:
            raise ru.UserError(f"{argv[0]}: no metrics.json below this folder")
        ru.write_json(RESULTS, collect(runs))
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    FIGURE.parent.mkdir(exist_ok=True)
    draw(results)
    rewrite(README, "results", table(results))
    rewrite(TEACHING, "ranges", ranges(results))
    print(table(results))


if __name__ == "__main__":
    ru.run(lambda: main(sys.argv[1:]))
