"""rnn_files: reads the files that users have.

What is unusual in a file but has only one meaning is read, and said in one printed line.  What
has two meanings, or none, raises UserError: one line that names the file, the line and a remedy.

    1  Texts     read_text, read_text_files, read_labelled_texts, read_pairs
    2  Tables    Table
    3  Series    read_series, its numbers and its dates

Shapes are written with T time steps and I columns of numbers.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rnn_utils import UserError, basic_english

# %% [markdown]
# ## 1. Texts
# A file that is not UTF-8 could be read as Latin-1, and would then give other letters than
# its writer meant, without an error.  So it is refused.


# %%
def read_text(path, may_be_empty: bool = False) -> str:
    """Read a text file, UTF-8 or UTF-16, or raise UserError; a line ending becomes a newline."""
    if Path(path).is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    try:
        raw = Path(path).read_bytes()
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raw = raw.decode("utf-16").encode()
        if b"\0" in raw:
            raise UserError(f"{path}: a binary file, not text; save it as UTF-8 text")
        text = raw.decode("utf-8-sig")  # "sig": without the mark that Windows editors set
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        what = "not UTF-8 text; save the file as UTF-8 (Excel: 'CSV UTF-8')"
        raise UserError(f"{path}, line {line}: {what}") from None
    if not (may_be_empty or text.strip()):
        raise UserError(f"{path}: the file is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _say(path, notes: list[str]) -> None:
    """Print in one line how a file was read, where there is anything to say."""
    if notes:
        print(f"{'data':<10}{path}: {'; '.join(notes)}")


def read_text_files(path) -> str:
    """Read a text file, or all those in a folder and its sub-folders, in the order of names."""
    folder = Path(path)
    if not folder.is_dir():
        return read_text(path)
    texts = []
    left_out = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and "/." not in f"/{name}":  # none that is hidden
            try:
                texts.append(read_text(file))
            except UserError:
                left_out.append(name)
    if not texts:
        raise UserError(f"{path}: no text in this folder; put UTF-8 text files there")
    if left_out:
        names = ", ".join(left_out)[:300]
        _say(path, [f"{len(left_out):,} left out, empty or not UTF-8 text: {names}"])
    return "\n".join(texts)


def read_labelled_texts(path, columns: Sequence[str] = ("text", "label")) -> list[tuple[str, str]]:
    """Read [(text, label), ...] from a table or a folder; UserError below two labels.

    A table names its `columns` in the first line; other columns are ignored:

        text,label
        "A slow start, but what an ending!",positive
        I want my two hours back,negative

    A folder holds a file LABEL.txt for each label, one text a line, or a sub-folder for each
    label, with a .txt file for each text.
    """
    if Path(path).is_dir():
        rows = _read_label_folder(Path(path))
    else:
        _, rows = Table(path).pairs(columns)
    labels = {label for _, label in rows}
    if len(labels) < 2:
        found = f"only the label {min(labels)[:40]!r}" if labels else "no texts"
        raise UserError(f"{path}: {found}; a classifier needs at least two labels")
    return rows


def _read_label_folder(folder: Path) -> list[tuple[str, str]]:
    """The texts of a folder, whose sub-folders or files are named after their labels.

    The unpacked IMDB has two traps: lists of addresses beside its sub-folders, so files are
    read only where there are no sub-folders; and "unsup", a sub-folder without a label.
    """
    deeper = sorted(folder.glob("[!.]*/[!.]*/[!.]*.txt"))
    if deeper:
        what = f"{deeper[0].parent.parent} has folders of its own"
        raise UserError(f"{folder}: {what}; name the folder whose sub-folders are the labels")
    inner = [file for file in folder.glob("[!.]*/[!.]*.txt") if file.parent.name != "unsup"]
    rows = []
    empty = []
    for file in sorted(inner or folder.glob("[!.]*.txt")):
        text = read_text(file, may_be_empty=True).strip()
        if not text:
            empty.append(file)
        elif inner:
            rows.append((text, file.parent.name))
        else:
            lines = [line.strip() for line in text.split("\n")]
            rows += [(line, file.stem) for line in lines if line]
    if empty:
        raise UserError(f"{empty[0]}: empty, one of {len(empty):,} empty files; delete them")
    labels = ", ".join(sorted({label for _, label in rows}))
    _say(folder, [f"{len(rows):,} texts with the labels {labels[:200]}"])
    return rows


def read_pairs(paths: Sequence, columns: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Read [(source, target), ...] from one file or two; UserError below 10 pairs.

    One file has a pair a line, source and target separated by a tab, and no header.  Columns
    after the second are ignored:

        i am cold.\tj'ai froid.\tCC-BY 2.0 (France)

    With `columns` it is a table that has two columns of these names.  Two files are parallel:
    each line of the second translates the same line of the first.
    """
    if columns:
        places, pairs = Table(paths[0]).pairs(columns)
    else:
        sides = [read_text(path).rstrip("\n").split("\n") for path in paths]
        rows: Iterable = zip(sides[0], sides[-1])
        if len(paths) == 1:
            rows = (f"{line}\t".split("\t")[:2] for line in sides[0])
            if any(line.count("\t") > 1 for line in sides[0]):
                _say(paths[0], ["columns after the second left out"])
        elif len(sides[0]) != len(sides[1]):
            what = f"{len(sides[1]):,} lines, and {paths[0]} has {len(sides[0]):,}"
            raise UserError(f"{paths[1]}: {what}; each must translate the same line there")
        places = []
        pairs = []
        for line, (source, target) in enumerate(rows, start=1):
            if source.strip() or target.strip():
                places.append(line)
                pairs.append((source.strip(), target.strip()))
    # What has no word for `basic_english`, such as a lone quotation mark, cannot be translated.
    bad = [line for line, pair in zip(places, pairs) if not all(map(basic_english, pair))]
    if bad:
        what = f"no word in source or target (such lines: {len(bad):,})"
        if len(paths) == 1 and not columns and "\t" not in sides[0][bad[0] - 1]:
            what = f"no tab (such lines: {len(bad):,})"
        remedy = "a line is source, tab, target; for a table name two columns with --columns"
        raise UserError(f"{paths[-1]}, line {bad[0]}: {what}; {remedy}")
    if len(pairs) < 10:
        what = f"{len(pairs)} pairs; at least 10 are needed to train, validate and test"
        raise UserError(f"{paths[0]}: {what}")
    return pairs


# %% [markdown]
# ## 2. Tables
# Python's csv module cuts a table into cells.  It is strict and counts lines; pandas would fill
# up a row that is too short, and shift its values, without a word.  What the cells mean is then
# found out with pandas, a whole column at a time.

# %%
# A TSV may be written with the quotation marks of CSV, or may hold marks that mean nothing.
# With the first, every cell that begins with a mark ends with one.  This finds one that does not:
_OPEN_QUOTE = re.compile(r'(?m)(?:^|\t)"(?!(?:[^"\n]|"")*"(?:\t|$))')


class Table:
    """A table of cells with a header; raises UserError, with the line, where it is damaged.

    delimiter  the comma, semicolon or tab that cuts the header into most cells
    header     the names of the columns
    head       the first 100 rows: (line, cells), every row as long as the header
    notes      what is to be said about the file
    """

    def __init__(self, path):
        self.path = path
        self.notes: list[str] = []
        text = read_text(path).replace("\ufeff", "").rstrip("\n")  # where files were put together
        top = text[:10_000].split("\n")[:2]
        sizes = {mark: [len(row) for row in csv.reader(top, delimiter=mark)] for mark in ",;\t"}
        self.delimiter = max(sizes, key=sizes.get)
        # A quotation that opens in a row of a TSV would swallow all rows up to the next mark.
        quoting = csv.QUOTE_MINIMAL
        if self.delimiter == "\t" and _OPEN_QUOTE.search(text):
            quoting = csv.QUOTE_NONE
            self.notes.append("quotation marks read as they stand")
        # Rows without a value, which spreadsheets leave at the end, are no data.
        end = text.find("\n", len(text.rstrip(f" \n{self.delimiter}")))
        if end >= 0:
            count = text.count("\n", end)
            self.notes.append(f"{count:,} empty rows at the end left out")
            text = text[:end]
        if not text:
            raise self.error(1, "no column has a name; put names above the values")
        csv.field_size_limit(1 << 30)  # a long document in one cell is not an error
        lines = io.StringIO(text)
        reader = csv.reader(lines, delimiter=self.delimiter, quoting=quoting, strict=True)
        self._rows = self._cut(reader)
        self.header = [name.strip() for name in next(self._rows)[1]]
        self.head = list(itertools.islice(self._rows, 100))

    def error(self, line: int, what: str) -> UserError:
        """What to raise for a mistake in this line."""
        return UserError(f"{self.path}, line {line}: {what}")

    def refuse(self, cells, row: int, why: str) -> None:
        """Raise UserError for one cell of a column."""
        what = f"{cells.iloc[row][:40]!r} in column {self.header[cells.name][:40]!r}"
        raise self.error(cells.index[row], f"{what} {why}")

    def _cut(self, reader) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of the header and of each row."""
        width = 0  # of the header, which comes first
        end = 0  # the last line of a row, for a quoted cell may span several
        try:
            for cells in reader:
                line = end + 1
                end = reader.line_num
                width = width or len(cells)
                if len(cells) != width:
                    if 0 < len(cells) < width or any(cells[width:]):
                        count = 1 + sum(len(others) not in (0, width) for others in reader)
                        what = f"{len(cells)} cells, and the header has {width}"
                        remedy = "put quotation marks around a cell that holds the delimiter"
                        raise self.error(line, f"{what} (such rows: {count:,}); {remedy}")
                    cells = cells[:width] or [""] * width
                yield line, cells
        except csv.Error as error:
            raise self.error(end + 1, f"{error}; check the quotes") from None

    def place(self, name: str, flag: str) -> int:
        """The number of the column `name`, given with `flag`, in capitals or not."""
        for spelling in (str, str.lower):
            names = [spelling(other) for other in self.header]
            if names.count(spelling(name)) == 1:
                return names.index(spelling(name))
            if spelling(name) in names:
                raise self.error(1, f"several columns are named {name!r}; rename all but one")
        columns = ", ".join(map(repr, self.header))[:300]
        what = f"no column {name!r}" if name else "no column is named"
        remedy = f"choose with {flag}, or put names above them"
        raise self.error(1, f"{what}; the names in this line are {columns}; {remedy}")

    def pairs(self, names: Sequence[str]) -> tuple[list[int], list[tuple[str, str]]]:
        """Read two columns of texts: lines and pairs; rows where both are empty are skipped."""
        left, right = (self.place(name, "--columns") for name in names)
        frame = self.frame([left, right])
        whole = (frame != "").all(axis=1)
        gaps = frame.index[(frame != "").any(axis=1) & ~whole]
        if len(gaps):
            what = f"{names[0]} or {names[1]} is empty (such rows: {len(gaps):,})"
            raise self.error(gaps[0], f"{what}; fill or delete them")
        _say(self.path, self.notes)
        frame = frame[whole]
        return list(frame.index), list(zip(frame[left], frame[right]))

    def frame(self, places: Sequence[int]):
        """Read columns, by number, as a DataFrame of strings; its index holds the lines."""
        import pandas as pd

        columns: dict[int, list[str]] = {place: [] for place in places}
        lines = []
        for line, row in itertools.chain(self.head, self._rows):
            lines.append(line)
            for place, column in columns.items():
                column.append(row[place].strip())
        return pd.DataFrame(columns, index=lines, dtype=object)


# %% [markdown]
# ## 3. Series
# A number or a date can be written in many ways, and some have two meanings: 1.102 may be 1102,
# and 1/3/2022 the first of March.  One cell cannot decide, but usually a whole column can.


# %%
def read_series(path, columns: Sequence[str], date_column: str | None = None) -> tuple:
    """Read numeric columns of a table, and its dates.

        date,sales
        2024-01-01,103.5
        2024-01-02,98

    Returns dates (T,) as datetime64 and values (T, I) as float64, oldest first.  The dates are
    those of `date_column`, else of the one column that reads as dates; without any, None.

    Newest row first is turned round.  Up to one value in twenty of a column may be missing.
    It is filled with the value before it: a later value, or a mean, would show the network what
    it has to forecast, and without its row, time would be shorter.  A printed line says what was
    done.  Raises UserError, with the line, for what cannot be read or has two meanings.
    """
    import pandas as pd

    table = Table(path)
    places = [table.place(columns[0], "--column")]
    places += [table.place(name, "--features") for name in columns[1:]]
    if date_column:
        date_place: int | None = table.place(date_column, "--date-column")
    else:
        date_place = _find_dates(table, places)
    # A total is named in the column of the dates, or in the first.
    named = date_place or 0
    frame = table.frame([*places, named])
    if len(frame) and _TOTAL.fullmatch(frame[named].iloc[-1]):
        frame = frame[:-1]
        table.notes.append("the last row, a total, left out")
    if not len(frame):
        raise UserError(f"{path}: no rows below its header")
    dates = None
    if date_place is not None:
        if not date_column:
            table.notes.append(f"dates from column {table.header[date_place][:40]!r}")
        dates = _read_dates(frame[date_place], table)
        if dates[0] > dates[-1]:
            frame = frame[::-1]
            dates = dates[::-1]
            table.notes.append("newest row first, turned round")
        _check_order(dates, frame[date_place], table)
    frame = frame[places]  # a million dates as strings take 80 MB
    mark = _decimal_mark(table)
    numbers = [_read_numbers(frame[place], table, mark) for place in places]
    gaps = pd.DataFrame(np.column_stack(numbers))  # (T, I)
    filled = gaps.ffill()
    start = int(filled.isna().any(axis=1).sum())  # before it, a column has no value yet
    if start:
        table.notes.append(f"the first {start:,} rows, which lack a value, left out")
    count = int(gaps[start:].isna().to_numpy().sum())
    if count:
        table.notes.append(f"{count:,} missing values filled with the value before")
    _say(path, table.notes)
    return None if dates is None else dates[start:], filled[start:].to_numpy()


_TOTAL = re.compile(r"(?i)(?:(?:grand )?totals?|sum)[ :]*")  # of the rows above


# %% [markdown]
# ### Numbers
# | written              | read as      | because                                       |
# |----------------------|--------------|-----------------------------------------------|
# | `1,102.29`           | 1102.29      | the mark that comes last is the decimal mark  |
# | `1.102,29`           | 1102.29      | likewise                                      |
# | `"1,102"`, cut by `,`| 1102         | see `_read_spelled`                           |
# | `1.102`, cut by `;`  | 1.102 / 1102 | as another number of the file decides         |
# | `$5`, `(5)`, `12 %`  | 5, -5, 12    | the unit is the same in the whole column      |
# | `1.87M`, `950K`      | 1870000, ... |                                               |
# | empty, `.`, `null`   | missing      |                                               |

# %%
_WORDS = ["", ".", "-", "--", "?", "na", "n/a", "#n/a", "<na>", "nan", "NaN", "null", "none"]
_MISSING = {spelling(word) for word in _WORDS for spelling in (str, str.upper, str.title)}
# Beside comma and point, apostrophes and spaces may stand between thousands.
_GAP = "'\u2019 \u00a0\u202f"
_SIGN = r"(?=[-+.,]*\d)[-+]?"  # "(?=": at least one digit must follow
# Decimal mark -> numbers that have it.  Thousands have three digits after each mark, and the
# number does not start with 0: so 0.125 and 12.5 have a decimal point, and 1.102.300 has not.
_STYLES = {
    ".": rf"{_SIGN}(?:\d+|[1-9]\d?\d?(?:[,{_GAP}]\d\d\d)+)?(?:\.\d*)?(?:[eE][-+]?\d+)?",
    ",": rf"{_SIGN}(?:\d+|[1-9]\d?\d?(?:[.{_GAP}]\d\d\d)+)?(?:,\d*)?",
}
# "-$1,102.29", "12 %", "1.87M"; and in brackets what is below 0.
_NUMBER = (
    r"([-+(]?) ?([$€£¥₹₩₽]?) ?([-+]?)"  # 1 opening mark, 2 unit, 3 sign
    rf"([\d.,{_GAP}]*\d[.,]?(?:[eE][-+]?\d+)?)"  # 4 digits
    r" ?([kKMB]?) ?([%$€£¥₹₩₽]?)(\)?)$"  # 5 scale, 6 unit, 7 closing bracket
)
_SCALES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}


def _decimal_mark(table: Table) -> str:
    """What stands before decimals in this table, "." or ","; "" if no number tells.

    All columns of the first rows are asked, also those that are not wanted.
    """
    found = set()
    for cell in itertools.chain.from_iterable(row for _, row in table.head):
        marks = [m for m, style in _STYLES.items() if re.fullmatch(style, cell.strip())]
        if len(marks) == 1:
            found.add(marks[0])
    return found.pop() if len(found) == 1 else ""


def _read_numbers(cells, table: Table, mark: str) -> np.ndarray:
    """The numbers (T,) in a column of strings, NaN where a cell says that there is none."""
    numbers = np.full(len(cells), np.nan)
    known = ~cells.isin(_MISSING).to_numpy()
    if known.any():
        numbers[known] = _read_spelled(cells[known], table, mark)
    wild = np.abs(numbers) > 1e30  # whose squares no computation survives
    if wild.any():
        table.refuse(cells, wild.argmax(), "is not a number below 1e30; write 1234.5")
    gaps = np.isnan(numbers)
    if 20 * gaps.sum() > len(gaps):
        what = f"is no value; {gaps.sum():,} of {len(gaps):,} are missing, and at most one in"
        remedy = "twenty is filled with the value before; fill them, or leave out that stretch"
        table.refuse(cells, gaps.argmax(), f"{what} {remedy}")
    return numbers


def _read_spelled(texts, table: Table, mark: str) -> np.ndarray:
    """The numbers (T,) in strings, as people write them; none of them is missing.

    The whole column has one decimal mark.  Where it could be either, the `mark` of other columns
    decides.  Without one, it is the point in a file cut by commas, for there a decimal comma
    would need quotation marks; in other files the number is refused.
    """
    # Most files: numbers as Python writes them.  Only in a file cut by semicolons, which is what
    # spreadsheets with decimal commas write, 1.102 may mean 1102.
    if mark == "." or (not mark and table.delimiter != ";"):
        with contextlib.suppress(ValueError):
            return texts.astype(float).to_numpy()
    digits = texts
    factors = 1.0
    if re.search(rf"[^-+\d.,{_GAP}]", "".join(texts)):
        digits, factors = _split_units(texts, table)
    fits = {name: digits.str.fullmatch(style) for name, style in _STYLES.items()}
    marks = [name for name in fits if fits[name].all()]
    if not marks:
        row = max(fit.argmin() for fit in fits.values())  # the first that is not of this style
        table.refuse(texts, row, "is not a number, or not written like the others; write 1234.5")
    if len(marks) == 2 and not mark and table.delimiter != ",":
        marked = digits.str.contains("[.,]")
        if marked.any():
            why = "has two meanings; write it without a mark, or with four decimals"
            table.refuse(texts, marked.argmax(), why)
    decimal = mark if mark in marks else marks[0]
    # To what Python reads: no marks between thousands, and a point before the decimals.
    written = "\n".join(digits)
    for gap in set(_GAP + ".,") - {decimal}:
        written = written.replace(gap, "")
    numbers = np.array([float(text) for text in written.replace(decimal, ".").split("\n")])
    numbers = numbers * factors
    # Show the user one number, the longest, if it is written otherwise than here.
    row = np.argmax([len(text) for text in texts])
    number = f"{numbers[row]:.12g}"
    if texts.iloc[row] != number:
        name = table.header[texts.name][:40]
        table.notes.append(f"{texts.iloc[row]!r} in {name!r} is {number}")
    return numbers


def _split_units(texts, table: Table) -> tuple:
    """Split (T,) strings such as "-$1.87M" into digits, "1.87", and factors, -1,000,000.

    A column has one currency, or percent signs in all cells; 12 % becomes 12.
    """
    import pandas as pd

    unit = (re.findall("[%$€£¥₹₩₽]", "".join(texts)) or [""])[0]
    units = [unit] if unit == "%" else [unit, ""]
    split = re.compile(_NUMBER).match
    digits = []
    factors = []
    strange = []
    for row, cell in enumerate(texts):
        found = split(cell.replace("\u2212", "-"))
        if not found or found[2] + found[6] not in units or (found[1] == "(") != (found[7] == ")"):
            strange.append(row)
            continue
        below_zero = found[1] in ("-", "(") or found[3] == "-"
        digits.append(found[4])
        factors.append(-_SCALES[found[5]] if below_zero else _SCALES[found[5]])
    if strange:
        what = f"is not a number in {unit}" if unit else "is not a number"
        why = f"{what} (such cells: {len(strange):,}); write 1234.5"
        table.refuse(texts, strange[0], why)
    return pd.Series(digits), np.array(factors)


# %% [markdown]
# ### Dates
# A column of dates has one format.  Those in which its first cell is a date are tried on the
# whole column, and exactly one must fit all cells (or all that fit must say the same).  So
# 1/3/2022 is in January as soon as one row says 1/13/2022, and is refused where no row tells.
# The formats are those of `datetime.strptime`.

# %%
_DAYS = [
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y",
    "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%y/%m/%d", "%b %d, %Y", "%B %d, %Y",
    "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %Y", "%B %Y", "%b-%Y",
]  # fmt: skip
_TIMES = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"]
_DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 9: "s", 10: "s", 12: "ms", 13: "ms"}  # s: Unix time
# At the end of a time: Z, UTC, +01:00, +0100 or +01.
_ZONE = r" ?(?:Z|UTC|GMT|([-+]\d\d):?(\d\d)?)$"
# What a column of dates may be called, if its dates are plain numbers such as 202201.
_NAMES = "date|time|day|month|year|period|stamp|datum|zeit|monat|jahr|unix|^ds$|^ts$|^dt$"


def _strptime(text: str, form: str) -> datetime.datetime | None:
    """The date in a text of this format; None if it is not one."""
    with contextlib.suppress(ValueError):
        return datetime.datetime.strptime(text, form)
    return None


def _date_forms(cell: str) -> list[str]:
    """The formats in which a cell is a date: "1/3/2022" has two, "12.5" none.

    For a Unix time the answer is "s" or "ms", seconds or milliseconds since 1970.
    """
    if re.fullmatch(r"\d+(\.0*)?", cell):
        size = len(cell.split(".")[0])
        return [_DIGITS[size]] if size in _DIGITS else []
    # "2022-01-03T10:00:00Z" is a day, "T", and a time with its zone.
    parts = re.fullmatch(r"(?s)(.*?)(?:(,?[T ])(\d\d?:.*))?", cell)
    assert parts  # every string fits
    day, gap, time = parts.groups(default="")
    forms = [form for form in _DAYS if _strptime(day, form)]
    if gap:
        zone = "%z" if re.search(_ZONE, time) else ""
        times = [form for form in _TIMES if _strptime(re.sub(_ZONE, "", time), form)]
        forms = [f"{form}{gap}{time}{zone}" for form in forms for time in times]
    return forms


def _find_dates(table: Table, places: list[int]) -> int | None:
    """The number of the one column whose first rows read as dates, or None; not of `places`."""
    found = []
    for place, name in enumerate(table.header):
        cells = [row[place].strip() for _, row in table.head]
        cells = [cell for cell in cells if cell and not _TOTAL.fullmatch(cell)]
        # Not meant are dates that come again: the year of each month, or the day of each shop.
        if place in places or len(set(cells)) <= len(cells) / 2:
            continue
        # Any number of ten digits can be a time, but only some columns are called so.
        if re.fullmatch(r"[\d.]+", cells[0]) and not re.search(_NAMES, name.lower()):
            continue
        if all(_date_forms(cell) for cell in cells[:: max(1, len(cells) // 10)]):
            found.append(place)
    if len(found) > 1:
        names = ", ".join(table.header[place] for place in found)[:300]
        raise table.error(1, f"several columns have dates: {names}; choose with --date-column")
    return found[0] if found else None


def _parse_dates(cells, form: str) -> np.ndarray:
    """Read (T,) strings of one format as datetime64, up to the first that is not of it.

    Microseconds, not the nanoseconds that pandas likes: those end in the year 2262.
    """
    import pandas as pd

    if form in ("s", "ms"):
        stamps = pd.to_datetime(pd.to_numeric(cells, errors="coerce"), unit=form, errors="coerce")
    else:
        stamps = pd.to_datetime(cells, format=form, errors="coerce", utc="%z" in form)
    dates = stamps.dt.tz_localize(None).to_numpy("datetime64[us]", copy=True)
    for row in np.flatnonzero(np.isnat(dates)):
        # Older pandas has no dates before the year 1678 and after 2262, but Python has.
        date = _strptime(cells.iloc[row], form)
        if date is None:
            return dates[:row]
        dates[row] = date.replace(tzinfo=None) - (date.utcoffset() or datetime.timedelta())
    return dates


def _read_dates(cells, table: Table) -> np.ndarray:
    """Turn (T,) strings into datetime64; times with a zone become UTC."""
    first = cells.iloc[0]
    forms = _date_forms(first)
    plain = cells
    if forms and forms[0].endswith("%z"):
        table.notes.append("times in UTC")
        plain = cells.str.replace(
            _ZONE, lambda zone: (zone[1] or "+00") + (zone[2] or "00"), regex=True
        )
    readings = [_parse_dates(plain, form) for form in forms]
    dates = max(readings, key=len, default=np.array([]))
    if len(dates) < len(cells):
        example = first[:40] if len(dates) else "2024-12-31"
        remedy = "write every date as 2024-12-31 or 2024-12-31 23:59"
        table.refuse(cells, len(dates), f"is not a date like {example!r}; {remedy}")
    for other in readings:
        if len(other) == len(dates) and np.any(dates != other):
            row = np.argmax(dates != other)
            what = f"may be {_spell(dates[row])} or {_spell(other[row])}, and no row decides which"
            table.refuse(cells, row, f"{what}; write every date as 2024-12-31")
    if not forms[0].startswith("%Y-%m-%d"):
        table.notes.append(f"{first!r} is {_spell(dates[0])}")
    return dates


def _spell(date: np.datetime64) -> str:
    """The date as people write it, without a time if that is midnight."""
    return str(date)[:19].replace("T", " ").replace(" 00:00:00", "")


def _check_order(dates: np.ndarray, cells, table: Table) -> None:
    """Make sure that time (T,) moves forwards; note where its steps differ."""
    seconds = np.diff(dates).astype(np.int64) / 1e6  # (T - 1,)
    if not len(seconds):
        return
    # At the end of summer time, clocks go back by an hour, early on a Sunday.  Times without a
    # zone then come twice, and are in order all the same.
    usual = np.median(seconds)
    hour = dates[1:].astype("datetime64[h]").astype(np.int64) % 168  # of a week from Thursday
    doubled = (seconds == usual - 3600) & (usual <= 3600) & (hour >= 72) & (hour < 76)
    backwards = (seconds <= 0) & ~doubled
    if backwards.any():
        row = backwards.argmax()
        what = "again" if seconds[row] == 0 else "after a later one"
        what = f"the date {_spell(dates[row + 1])} comes {what}"
        raise table.error(cells.index[row + 1], f"{what}; one row per date, the oldest first")
    if doubled.any():
        table.notes.append("the hour that is repeated at the end of summer time kept")
    unit = "days"
    steps = seconds / 86400
    # Months and years have equal steps if counted in months; a day after their last is a first.
    for days in (dates, dates + np.timedelta64(1, "D")):
        months = days.astype("datetime64[M]")
        if len(np.unique(days - months)) == 1:  # always the same day of the month
            unit = "months"
            steps = np.diff(months).astype(np.int64)
    kinds, counts = np.unique(steps, return_counts=True)
    usual = kinds[counts.argmax()]
    odd = np.flatnonzero(steps != usual)
    if len(odd):
        first = f"first: {steps[odd[0]]:.6g} {unit}, before line {cells.index[odd[0] + 1]}"
        table.notes.append(
            f"{len(odd):,} of {len(steps):,} steps between dates are not the usual "
            f"{usual:.6g} {unit} ({first}); models count rows, not days"
        )
