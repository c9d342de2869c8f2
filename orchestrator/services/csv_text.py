"""CSV files as spreadsheets and shops write them, read row by row."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20
_SEPARATORS: Final = ",;\t"
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_REMEDY: Final = "save it as CSV UTF-8 and import that"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a file cannot be read as a whole, and what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A readable file: what it holds as a whole. `digest` is the SHA-256 of its bytes."""

    path: Path
    digest: str
    lines: int
    separator: str
    header: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row and the line it starts on; `error` says why it has no usable cells."""

    line: int
    cells: Sequence[str]
    error: str | None = None


def inspect(path: Path) -> CsvFile | Unreadable:
    """Read a file once: whether it is UTF-8 (a byte order mark is fine), and its header.

    Column names are compared in lower case, with underscores for spaces.
    """
    try:
        counted = _counted(path)
    except OSError as error:
        return Unreadable(f"{path}: cannot be read ({error.strerror})")
    if isinstance(counted, Unreadable):
        return counted
    digest, lines = counted
    with path.open(encoding="utf-8-sig", newline="") as text:
        first = next((line for line in text if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)  # the first of equals: a comma
    try:
        header = next(csv.reader([first], delimiter=separator), [])
    except csv.Error as error:
        return Unreadable(f"{path}:1: the header cannot be read ({error})")
    names = tuple(name.strip().lower().replace(" ", "_").replace("-", "_") for name in header)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if not any(names):
        return Unreadable(f"{path}: is empty: the first line must name the columns")
    if twice:
        return Unreadable(f"{path}:1: two columns are named {', '.join(twice)}: rename one")
    return CsvFile(path, digest, lines, separator, names)


def _counted(path: Path) -> tuple[str, int] | Unreadable:
    """(SHA-256, lines) of a file that is UTF-8 from end to end."""
    digest, lines = hashlib.sha256(), 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            if not lines and chunk.startswith(_WIDE):
                return Unreadable(f"{path}: is UTF-16 or UTF-32, not UTF-8: {_REMEDY}")
            digest.update(chunk)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].count(b"\n") + 1
                return Unreadable(f"{path}:{line}: is not UTF-8: {_REMEDY}")
            if "\0" in text:
                line = lines + text[: text.index("\0")].count("\n") + 1
                return Unreadable(f"{path}:{line}: holds NUL characters: {_REMEDY}")
            lines += text.count("\n")
            if not chunk:
                return digest.hexdigest(), lines


def rows_of(file: CsvFile) -> Iterator[CsvRow]:
    """The rows below the header, in order, blank ones left out."""
    with file.path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=file.separator, strict=True)
        header_seen = False
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield CsvRow(line, (), f"cannot be read: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if not header_seen:
                header_seen = True
                continue
            wrong = len(cells) != len(file.header)
            error_text = f"has {len(cells)} cells, the header has {len(file.header)}"
            yield CsvRow(line, cells, error_text if wrong else None)
