"""Columns of numbers from a CSV file whose first line names them."""

from __future__ import annotations

import codecs
import csv
import io
import keyword
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepest import check
from steepest.apps.fits.formula import spelled

# What stands where a value is missing, in lower case.
MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none"}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # how Windows marks its "Unicode" text
DATE = r"\s*(\d{1,4}([-/.])\d{1,2}\2\d{1,4}(?!\d)|\d{1,2}:\d\d)"
DECIMAL_COMMA = r"^(\s*[+-]?\d+),(\d+(?:[eE][+-]?\d+)?\s*)$"


class TableError(ValueError):
    """What is wrong with a CSV file, and in which line (1 is the first)."""

    def __init__(self, path: Path | str, line: int, problem: str) -> None:
        self.line = line
        super().__init__(f"{path}, line {line}: {problem}")


@dataclass(frozen=True)
class Table:
    """A file's columns as text, with the line of each row; units from headers as "t [s]"."""

    path: str
    units: dict[str, str]  # every column's name -> its unit, or ""
    rows: list[list[str]]
    lines: list[int]
    header_line: int
    repeated: frozenset[str]  # names that several columns have, of which none can be told
    omitted: int = 0  # rows left out

    @property
    def names(self) -> dict[str, str]:
        """What a formula says for each column -> its unit, or ""."""
        return {as_identifier(title): unit for title, unit in self.units.items()}

    def index(self, name: str) -> int:
        """Which column has this name, as the header has it or as a formula says it."""
        for names in (list(self.units), list(self.names)):
            if name in names:
                if as_identifier(name) in self.repeated:
                    problem = f"two columns are named {as_identifier(name)!r}"
                    raise TableError(self.path, self.header_line, problem)
                return names.index(name)
        problem = f"no column {name!r}; the header has {', '.join(self.names)}"
        raise TableError(self.path, self.header_line, problem)

    def column(self, name: str) -> NDArray[np.float64]:
        """One column as floats, (m,); raises `TableError` at a field that is not finite."""
        j = self.index(name)
        pairs = zip(self.lines, self.rows, strict=True)
        return np.array([self.number(line, name, row[j]) for line, row in pairs])

    def without_missing(self, names: Sequence[str]) -> Table:
        """The rows that have a field in each of these columns."""
        at = [self.index(name) for name in names]
        kept = [i for i, row in enumerate(self.rows) if not any(is_missing(row[j]) for j in at)]
        if not kept:
            raise TableError(self.path, self.header_line, "every row has a missing field")
        rows, lines = [self.rows[i] for i in kept], [self.lines[i] for i in kept]
        return replace(self, rows=rows, lines=lines, omitted=len(self.rows) - len(kept))

    def number(self, line: int, name: str, text: str) -> float:
        hint = "; --omit-missing leaves such rows out" if is_missing(text) else ""
        try:
            if "_" in text:
                raise ValueError  # 1_000 is a number to Python alone
            value = float(text)
        except ValueError:
            seen = repr(text.strip()) if text.strip() else "an empty field"
            if "," in text and is_number(text.replace(",", ".")):
                seen += " (a decimal has a point)"
            if re.match(DATE, text):
                hint = "; write a date or a time as a number, such as the days since the first"
            problem = f"column {name!r}: {seen} is not a number{hint}"
            raise TableError(self.path, line, problem) from None
        if not math.isfinite(value):
            problem = f"column {name!r}: {text.strip()} is not finite{hint}"
            raise TableError(self.path, line, problem)
        return value


def read_table(path: str, encoding: str = "utf-8") -> Table:
    """Read a CSV file, or standard input for "-": a header, then rows of as many fields.

    Fields are separated by tabs, semicolons or commas, whichever of these, in this order, the
    header has, or else by blanks; between semicolons a decimal may have a comma. Empty lines,
    those that begin with "#" and a spreadsheet's "sep=;" are skipped; the header may be the comment
    above the numbers, as `numpy.savetxt` writes it.

    Raises `TableError`, or `OSError` where the file cannot be opened.
    """
    raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    path = "stdin" if path == "-" else path
    text = decoded(path, raw, encoding)
    lines = list(io.StringIO(text, newline=""))  # splitlines has more ends
    content = [(i, line) for i, line in enumerate(lines, 1) if is_content(line)]
    if not content:
        raise TableError(path, 1, "no header; the first line names the columns")
    _, whole_header = next(read_records(path, content, "\x1f", strict=False))
    separator = next((mark for mark in "\t;," if mark in whole_header[0]), " ")
    records = list(read_records(path, content, separator))
    if all(map(is_number, records[0][1])):
        records[:0] = commented_header(path, lines, records[0], separator)
    header_line, header = records[0]
    units, repeated = parse_header(path, header_line, header)
    if len(records) == 1:
        raise TableError(path, header_line, "no rows after the header")
    for line, row in records[1:]:
        if len(row) != len(header):
            problem = f"{check.counted(len(row), 'field')}, where the header has {len(header)}"
            raise TableError(path, line, problem)
    rows, row_lines = [row for _, row in records[1:]], [line for line, _ in records[1:]]
    if separator == ";":
        rows = [[re.sub(DECIMAL_COMMA, r"\1.\2", field) for field in row] for row in rows]
    return Table(path, units, rows, row_lines, header_line, frozenset(repeated))


def decoded(path: str, raw: bytes, encoding: str) -> str:
    """A file's text; raises `TableError` at the first line that is not in the encoding."""
    try:
        codec = codecs.lookup(encoding).name
        return raw.decode("utf-8-sig" if codec == "utf-8" else codec)
    except LookupError:  # also of an encoding that is not one of text
        raise ValueError(f"--encoding: {encoding!r} is not known; expected latin-1, say") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        such = "utf-16" if raw.startswith(UTF_16) else "latin-1"
        problem = (
            f"not text in {codec.upper()}; save it as that, or give --encoding, such as {such}"
        )
        raise TableError(path, line, problem) from None


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_content(line: str) -> bool:
    return not re.fullmatch(r"\s*(#.*|sep=.)?\s*", line, re.DOTALL)


def read_records(
    path: str, content: list[tuple[int, str]], separator: str, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line of the file on which it ends."""
    text = (" ".join(line.split()) + "\n" if separator == " " else line for _, line in content)
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=strict)
    try:
        for record in reader:
            yield content[reader.line_num - 1][0], record
    except csv.Error as error:
        raise TableError(path, content[reader.line_num - 1][0], str(error)) from None


def commented_header(
    path: str, lines: list[str], first: tuple[int, list[str]], separator: str
) -> list[tuple[int, list[str]]]:
    """The record of the comment right above the first one, where it has as many fields."""
    number, fields = first[0] - 1, first[1]
    comment = lines[number - 1].lstrip() if number else ""
    if not comment.startswith("#"):
        return []
    records = list(read_records(path, [(number, comment.lstrip("#"))], separator))
    return [record for record in records if len(record[1]) == len(fields)]


def parse_header(path: str, line: int, header: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """name -> unit of "name", "name [unit]" or "name (unit)", and the names that come again.

    A column without a name, as pandas' index or one after a last separator, is column_2, say; a
    name that comes again is followed by its column's.
    """
    if all(map(is_number, header)):
        raise TableError(path, line, "numbers; the first line names the columns")
    units: dict[str, str] = {}
    said: set[str] = set()
    repeated: set[str] = set()
    for j, title in enumerate(header, 1):
        name, unit = split_unit(title.strip())
        name = spelled(name) or f"column_{j}"
        while as_identifier(name) in said:
            repeated.add(as_identifier(name))
            name = f"{name}, column {j}"
        said.add(as_identifier(name))
        units[name] = unit
    return units, repeated


def as_identifier(name: str) -> str:
    """What a formula can say for a column: lap_time for "lap time", lambda_ for "lambda"."""
    if not name.isidentifier() and (said := re.sub(r"\W+", "_", name).strip("_")):
        name = f"_{said}" if said[0].isdigit() else said
    return f"{name}_" if keyword.iskeyword(name) else name


def split_unit(title: str) -> tuple[str, str]:
    for opening, closing in ("[]", "()", "（）"):
        if title.endswith(closing) and opening in title:
            name, _, unit = title[:-1].partition(opening)
            return name.strip(), unit.strip()
    return title, ""
