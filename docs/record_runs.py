"""Keep what the ten chapters printed and drew in real runs, for the pages of the book.

    python docs/record_runs.py RUNS

RUNS holds, for chapter 04, `04_0.log` (what `python 04_simple_rnn.py --output-dir RUNS/04_0`
printed) and the folder `04_0` with its figures; likewise for the other chapters.  `07_lesson` is
the run of 07 with `--lesson direction`.  Logs and figures go to docs/runs/: the logs without
the paths of the machine, the figures with at most 256 colours.  What the figures show is said in
docs/captions.json.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in ROOT.glob("[01][0-9]_*.py"))
# Chapter -> the run that its page shows first, and those that follow.
RUNS = {name: [f"{name[:2]}_0"] for name in CHAPTERS}
RUNS["07_bidirectional_rnn"].append("07_lesson")


def without_paths(text: str, chapter: str, run: str) -> str:
    """`text` with the names that a reader's own run would print."""
    text = re.sub(rf"/\S*/{run}\b", f"outputs/{chapter}", text)
    text = re.sub(r"/\S*/[\w.-]+\.pt\b", f"models/{chapter}.pt", text)
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    left = re.search(r"(?<![\w.])(/|[A-Z]:\\)\w+[/\\]\S*", text)
    if left:
        raise SystemExit(f"error: {run}.log still names a path of the machine: {left[0]}")
    return text


def shrink(source: Path, target: Path) -> None:
    """Save a figure with 256 colours, which are enough for plots."""
    picture = Image.open(source).convert("RGB")
    picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(target, optimize=True)


def record(folder: Path, chapter: str) -> int:
    """Copy the runs of one chapter; return how many bytes they take."""
    target = ROOT / "docs" / "runs" / chapter
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    for run in RUNS[chapter]:
        log = "log.txt" if run.endswith("_0") else f"{run[3:]}.txt"
        text = (folder / f"{run}.log").read_text(encoding="utf-8")
        with open(target / log, "w", encoding="utf-8", newline="\n") as file:
            file.write(without_paths(text, chapter, run))
        for figure in sorted((folder / run).glob("*.png")):
            shrink(figure, target / figure.name)
    return sum(path.stat().st_size for path in target.iterdir())


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        raise SystemExit(__doc__)
    folder = Path(argv[0])
    missing = [run for runs in RUNS.values() for run in runs if not (folder / run).is_dir()]
    missing += [f"{run}.log" for runs in RUNS.values() for run in runs
                if not (folder / f"{run}.log").is_file()]  # fmt: skip
    if missing:
        raise SystemExit(f"error: {folder} lacks {', '.join(missing)}; nothing was changed")
    total = 0
    for chapter in CHAPTERS:
        size = record(folder, chapter)
        total += size
        print(f"{chapter:<24}{size / 1000:6.0f} kB")
    print(f"{'together':<24}{total / 1000:6.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
