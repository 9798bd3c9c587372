"""Rebuild docs/results.json, the figure, and the tables of README and TEACHING, from real runs.

    python docs/build_results.py RUNS     # every metrics.json below RUNS, made by the scripts
    python docs/build_results.py          # table and figure from docs/results.json as it is

Each script writes a metrics.json into its --output-dir.  Run each with --seed 0, 1 and 2 into
folders of their own below RUNS (names do not matter), then this program.  What RUNS has nothing
about keeps its old record.  Only runs on real data with default flags count: others are refused,
and named.  Free are the seed, --dataset, where files go and where the script runs.
"""

from __future__ import annotations

import importlib.util
import json
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
    """One row of the figure: what a network and the best of its baselines reach."""

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


def recorded(metrics: dict) -> dict[str, float]:
    return metrics["baselines"]


def last_step(scores: dict) -> float:
    """The error at the end of the horizon, where a chaotic series is hardest to know."""
    return scores["by_horizon"]["rmse"][-1]


def recorded_last_step(metrics: dict) -> dict[str, float]:
    return {name: last_step(scores) for name, scores in metrics["baseline_scores"].items()}


ENTRIES = (
    Entry("01_sequence_basics", "arithmetic", "01 order of two events", "accuracy", 1.0,
          lambda m: order_task(m)["rnn"], lambda m: {"bag of values": order_task(m)["bag"]}),
    Entry("04_simple_rnn", "names", "04 language of a name", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("05_lstm_sentiment", "imdb", "05 film reviews", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("06_gru_time_series", "sine", "06 sine waves", "RMSE", 0.0, of_test("rmse"), recorded),
    Entry("06_gru_time_series", "mackey-glass", "06 chaos, last step", "RMSE", 0.0,
          lambda m: last_step(m["test"]), recorded_last_step),
    Entry("06_gru_time_series", "stock", "06 share price", "RMSE", 0.0, of_test("rmse"), recorded),
    Entry("07_bidirectional_rnn", "trec", "07 questions", "accuracy", 1.0,
          of_test("accuracy"), recorded),
    Entry("08_seq2seq_basic", "reverse", "08 reversal", "exact match", 1.0,
          of_test("exact_match"), recorded),
    Entry("09_attention_mechanism", "multi30k", "09 English to French", "BLEU", 100.0,
          of_test("bleu"), recorded),
    Entry("10_text_generation", "shakespeare", "10 Shakespeare", "bits per character", 0.0,
          of_test("bits"), recorded),
)  # fmt: skip


class Chapter(NamedTuple):
    """One row of README's table."""

    script: str
    title: str  # of its section in README
    question: str
    data: str
    model: str
    figure: str
    target: str


CHAPTERS = (
    Chapter("01_sequence_basics", "Sequences", "What is a sequence, and why does order matter?",
            "generated patterns", "RNN vs. a bag of values", "01_recall", "-"),
    Chapter("02_text_preprocessing", "Text", "How does text become numbers a network can read?",
            "sentences", "skip-gram embeddings", "02_padding", "-"),
    Chapter("03_time_series_basics", "Time series", "How does a series become examples, without "
            "fooling oneself?", "sine, GOOG prices", "linear models, nearest neighbours",
            "03_fooling", "-"),
    Chapter("04_simple_rnn", "Vanilla RNN", "Which of 18 languages does a surname come from?",
            "`names`", "embedding → RNN → linear", "04_letter_by_letter", "70-75 %"),
    Chapter("05_lstm_sentiment", "LSTM", "Is a film review for or against, and which cell "
            "remembers?", "`imdb`", "embedding → LSTM → pooling → linear", "05_word_by_word",
            "85-90 %"),
    Chapter("06_gru_time_series", "GRU", "Can a GRU forecast, and does it know how good it is?",
            "sine, Mackey-Glass, GOOG", "GRU → linear", "06_forecast", "a low error"),
    Chapter("07_bidirectional_rnn", "Both directions", "What changes when a network reads from "
            "both ends?", "`trec`", "embeddings → Bi-LSTM → pooling → linear", "07_direction",
            "88-92 %"),
    Chapter("08_seq2seq_basic", "Sequence to sequence", "Can one vector carry a whole sequence?",
            "digits", "encoder LSTM → decoder LSTM", "08_by_length", "95 % or more"),
    Chapter("09_attention_mechanism", "Attention", "What does a translator look at while it "
            "writes?", "`multi30k`", "Bi-LSTM → attention → LSTM", "09_alignments",
            "a gain over no attention"),
    Chapter("10_text_generation", "Text generation", "Can a network that guesses the next "
            "character write?", "`shakespeare`", "embedding → LSTM → linear", "10_next_symbols",
            "text samples"),
)  # fmt: skip


def notes(metrics: dict) -> str:
    """What the two chapters without a network in their metrics measure."""
    if metrics["tutorial"] == "02_text_preprocessing":
        padding = metrics["padding"]
        return f"padding: {padding['random']:.0%} at random, {padding['bucketed']:.0%} by length"
    if metrics["tutorial"] == "03_time_series_basics":
        at_random, by_time = metrics["skill_at_random_and_by_time"]["5 neighbours, GOOG"]
        return f"skill of one model: {at_random:+.2f} split at random, {by_time:+.2f} by time"
    if metrics["tutorial"] == "09_attention_mechanism" and metrics.get("compare"):
        seed, without = metrics["config"]["seed"], metrics["compare"]["test"]["bleu"]
        return f"without attention {without:.1f} (seed {seed})"
    return ""


# Flags that say where and how a script runs, and not what it trains or measures.
FREE = {"seed", "dataset", "data_dir", "device", "no_plots", "offline", "output_dir", "path"}
FREE |= {"resume", "save_model", "show", "threads"}
# These come on top of a default run, and change nothing of it.
FREE_OF = {"08_seq2seq_basic": {"compare"}, "09_attention_mechanism": {"compare"}}


def load_script(name: str):
    """A chapter as a module; `import` cannot spell its name."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def changed_flags(tutorial: str, config: dict) -> list[str]:
    """The flags of a run that are not the script's defaults for its data set."""
    flags = ["--dataset", config["dataset"]] if config.get("dataset") else []
    defaults = vars(load_script(tutorial).parse_args(flags))
    free = FREE | FREE_OF.get(tutorial, set())
    return [
        f"--{name.replace('_', '-')} {config.get(name)}"
        for name in sorted({*defaults, *config} - free)
        if config.get(name) != defaults.get(name)
    ]


def read_runs(folder: Path) -> dict[tuple[str, str], list[dict]]:
    """The metrics below `folder`, by (tutorial, dataset), one for each seed, sorted by seed."""
    runs: dict[tuple[str, str], dict[int, dict]] = defaultdict(dict)
    for path in sorted(folder.rglob("metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        tutorial, config = metrics["tutorial"], metrics["config"]
        if metrics["embedded"] and tutorial in {entry.tutorial for entry in ENTRIES}:
            raise ru.UserError(f"{path}: a run on embedded data; remove it")
        changed = changed_flags(tutorial, config)
        if changed:
            raise ru.UserError(f"{path}: not a default run ({', '.join(changed)}); remove it")
        runs[tutorial, metrics["dataset"]][config["seed"]] = metrics
    return {key: [by_seed[seed] for seed in sorted(by_seed)] for key, by_seed in runs.items()}


def interval_of(metrics: dict, baseline: str) -> list[float] | None:
    """[difference, low, high] of network and baseline, if the run has compared these two.

    A script compares the answers of its network with those of its last baseline.
    """
    if list(metrics.get("baselines", {}))[-1:] != [baseline]:
        return None
    found = [value for key, value in metrics["test"].items() if key.startswith("minus_")]
    return found[0] if found else None


def collect(runs: dict, old: dict[str, Any]) -> dict[str, Any]:
    """What docs/results.json holds: one record per entry, and the times of the default runs.

    `old` is what it held before; a seed, a note or a script that `runs` has nothing about is taken
    from there.
    """
    usual = {}
    for entry in ENTRIES:
        usual.setdefault(entry.tutorial, entry.dataset)  # 06 has three data sets; time the first
    seconds = defaultdict(list, old.get("seconds", {}))
    for (tutorial, dataset), all_metrics in runs.items():
        if usual.get(tutorial, dataset) == dataset:
            new = [round(metrics["total_seconds"]) for metrics in all_metrics]
            seconds[tutorial] = sorted(seconds[tutorial] + new)
    records, before = [], {record["name"]: record for record in old.get("records", [])}
    for entry in ENTRIES:
        kept = before.get(entry.name, {"seeds": [], "network": [], "baseline_values": []})
        intervals = kept.get("intervals", [None] * len(kept["seeds"]))
        columns = (kept["network"], kept["baseline_values"], intervals)
        values = dict(zip(kept["seeds"], zip(*columns)))
        name = kept.get("baseline")
        for metrics in runs.get((entry.tutorial, entry.dataset), []):
            name, reference = best(entry.baselines(metrics), entry.perfect)
            interval = interval_of(metrics, name)
            values[metrics["config"]["seed"]] = (entry.network(metrics), reference, interval)
        if values:
            network, references, intervals = zip(*(values[seed] for seed in sorted(values)))
            record = {
                "name": entry.name, "tutorial": entry.tutorial, "dataset": entry.dataset,
                "measure": entry.measure, "perfect": entry.perfect, "seeds": sorted(values),
                "network": [round(value, 4) for value in network],
                "baseline": name, "baseline_values": [round(value, 4) for value in references],
            }  # fmt: skip
            if None not in intervals:
                record["intervals"] = [[round(end, 4) for end in ends] for ends in intervals]
            records.append(record)
    versions = next(iter(runs.values()))[0]["versions"]
    said = {key[0]: text for key, metrics in runs.items() if (text := notes(metrics[0]))}
    return {
        "records": records,
        "notes": {**old.get("notes", {}), **said},
        "seconds": dict(sorted(seconds.items())),
        "versions": {key: versions[key] for key in ("python", "torch")},
    }


def removed(record: dict) -> list[float]:
    """For each seed the share of the baseline's error that the network removes; below 0: adds."""
    return [
        1 - abs(record["perfect"] - value) / abs(record["perfect"] - reference)
        for value, reference in zip(record["network"], record["baseline_values"])
    ]


def undecided(record: dict) -> bool:
    """Whether luck with the test examples may explain the difference to the baseline.

    All seeds answer the same test, so more seeds do not make its interval narrower: we take the
    mean of their lower and of their upper ends.  Records of other measures have no interval.
    """
    ends = record.get("intervals")
    if not ends:
        return False
    low = statistics.fmean(low for _, low, _ in ends)
    high = statistics.fmean(high for _, _, high in ends)
    return low <= 0 <= high


def spread(values: list[float]) -> tuple[float, float, float]:
    """Mean and the least and greatest value: with three seeds, nothing finer is honest."""
    return statistics.fmean(values), min(values), max(values)


def shown(value: float, measure: str) -> str:
    """A value with as many digits as its differences between seeds deserve."""
    digits = {"BLEU": ".1f", "bits per character": ".2f", "RMSE": "#.3g"}
    return format(value, digits.get(measure, ".3f"))


def draw(results: dict) -> None:
    """The figure: for each record, the share of the best baseline's error that is removed."""
    plt = ru.get_pyplot()
    records = sorted(results["records"], key=lambda record: statistics.fmean(removed(record)))
    figure, axes = plt.subplots(figsize=(9, 0.46 * len(records) + 1.5))
    for row, record in enumerate(records):
        mean, low, high = spread([100 * share for share in removed(record)])
        color = ru.BLUE if mean > 0 else ru.ORANGE
        if undecided(record):
            color = ru.GREY
        axes.barh(row, mean, color=color, height=0.62, alpha=0.85)
        axes.plot([low, high], [row, row], color=ru.BLACK, lw=2)
        value, reference = (
            shown(statistics.fmean(record[key]), record["measure"])
            for key in ("network", "baseline_values")
        )
        text = f"{value} vs. {reference}  ({record['measure']}; {record['baseline']})"
        inside = mean > 60
        axes.text(2 if inside else max(high, 0) + 2, row, text, va="center", fontsize=9.5,
                  color="white" if inside else ru.BLACK)  # fmt: skip
    axes.axvline(0, color=ru.GREY)
    axes.set_yticks(range(len(records)), [record["name"] for record in records])
    axes.set(xlim=(min(-35, axes.get_xlim()[0]), 122), ylim=(-0.6, len(records) + 0.1))
    axes.set_xticks(range(-20, 101, 20))
    options = {"ha": "center", "va": "center", "fontweight": "bold"}
    axes.text(-17, len(records) - 0.3, "baseline wins", color=ru.ORANGE, **options)
    axes.text(18, len(records) - 0.3, "network wins", color=ru.BLUE, **options)
    label = "share of the best baseline's error that the network removes (%)"
    if any(map(undecided, records)):
        label += "\ngrey: no difference is shown, its 95 % interval contains 0"
    axes.set_xlabel(label)
    axes.set_title("When do I need an RNN?")
    ru.save_figures({FIGURE.stem: figure}, FIGURE.parent)


def readable(seconds: float) -> str:
    return f"{seconds:.0f}&nbsp;s" if seconds < 120 else f"{seconds / 60:.0f}&nbsp;min"


def table(results: dict) -> str:
    """README's table of the ten scripts, in Markdown; each picture leads to a section."""
    lines = [
        "| chapter | question, data and network | time | measured | best baseline | target |",
        "|---|---|---|---|---|---|",
    ]
    for chapter in CHAPTERS:
        number = chapter.script[:2]
        anchor = f"{number}-{chapter.title.lower().replace(' ', '-')}"
        picture = f'<img src="docs/images/{chapter.figure}.png" width="120" alt="">'
        seconds = results["seconds"].get(chapter.script)
        measured, references = [], []
        for record in results["records"]:
            if record["tutorial"] == chapter.script:
                measure = record["measure"]
                mean, low, high = (shown(v, measure) for v in spread(record["network"]))
                seeds = f" ({low} to {high})" if low != high else ""
                measured.append(f"{record['name'][3:]}: {measure} {mean}{seeds}")
                reference = shown(statistics.fmean(record["baseline_values"]), measure)
                verdict = " (no difference)" if undecided(record) else ""
                references.append(f"{reference}, {record['baseline']}{verdict}")
        measured += filter(None, [results["notes"].get(chapter.script)])
        cells = (
            f"[{picture}<br>{number} {chapter.title}](#{anchor})",
            f"{chapter.question}<br>{chapter.data}: {chapter.model}<br>`{chapter.script}.py`",
            readable(min(seconds)) if seconds else "-",  # the others had busy neighbours
            "<br>".join(measured),
            "<br>".join(references) or "-",
            chapter.target,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ranges(results: dict) -> str:
    """TEACHING's table of the range of each result over the seeds."""
    lines = ["| script | measure | seeds | lowest | mean | highest |", "|---|---|---|---|---|---|"]
    for record in results["records"]:
        mean, low, high = spread(record["network"])
        values = " | ".join(shown(value, record["measure"]) for value in (low, mean, high))
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
        old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        ru.write_json(RESULTS, collect(runs, old))
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    FIGURE.parent.mkdir(exist_ok=True)
    draw(results)
    rewrite(README, "results", table(results))
    rewrite(TEACHING, "ranges", ranges(results))
    print(table(results))


if __name__ == "__main__":
    ru.run(lambda: main(sys.argv[1:]))
