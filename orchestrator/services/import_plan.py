"""A contact file before and after its import: the plan, the summary, the rows that failed."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from orchestrator.domain.consent import canonical
from orchestrator.domain.flows import FlowBook
from orchestrator.ports import PhoneNumbers
from orchestrator.services.contact_rows import COLUMNS, RowDefaults, RowError, RowReader
from orchestrator.services.csv_text import CsvFile, Unreadable, inspect


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was imported, and the remedy; `usage`: the command was called wrongly."""

    message: str
    usage: bool


@dataclass(slots=True)
class Summary:
    """What an import came to; contacts and consents are counted once per row and channel."""

    rows: int = 0
    imported: int = 0
    known: int = 0
    created: int = 0
    updated: int = 0
    granted: int = 0
    requested: int = 0
    withdrawn: int = 0
    kept_refusals: int = 0
    """Answers left out because the person has said no, and the file cannot show it was before."""
    suppressed: int = 0
    errors: list[RowError] = field(default_factory=list)
    ignored_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A file that can be imported, and how its rows are read."""

    file: CsvFile
    reader: RowReader
    book: FlowBook
    ignored: tuple[str, ...]

    @property
    def watermark(self) -> str:
        """The name under which progress is kept: this file with these options."""
        defaults = self.reader.defaults
        said = [defaults.source, defaults.method, defaults.wording, defaults.region]
        options = [*said, str(defaults.given_at), sorted(self.reader.topics)]
        return "import " + hashlib.sha256(canonical([self.file.digest, options])).hexdigest()


def plan_import(
    path: Path, defaults: RowDefaults, book: FlowBook, phones: PhoneNumbers
) -> ImportPlan | Refusal:
    """Look at the file and the options before anything is written."""
    file = inspect(path)
    if isinstance(file, Unreadable):
        return Refusal(file.message, usage=False)
    refusal = _unproven(file, defaults) or _unnamed(file)
    ignored = tuple(
        name for name in file.header if name and name not in (*COLUMNS, *book.attributes)
    )
    for name in ignored:
        if near := get_close_matches(name, COLUMNS, 1, 0.85):
            refusal = refusal or f'column "{name}" is not known: did you mean "{near[0]}"?'
    if refusal:
        return Refusal(f"{path}: {refusal}", usage=True)
    reader = RowReader(file.header, defaults, tuple(book.topics), book.attributes, phones)
    return ImportPlan(file, reader, book, ignored)


def _unproven(file: CsvFile, defaults: RowDefaults) -> str | None:
    missing = [
        f"{what} (--{option} TEXT, or a column {column})"
        for what, option, column, default in (
            ("the source of consent", "source", "consent_source", defaults.source),
            ("the method of consent", "method", "consent_method", defaults.method),
        )
        if not (default and default.strip()) and column not in file.header
    ]
    return f"missing: {' and '.join(missing)}" if missing else None


def _unnamed(file: CsvFile) -> str | None:
    if {"email", "phone", "id"} & set(file.header):
        return None
    return f"no column is named email, phone or id; there are: {', '.join(file.header)}"


def write_errors(plan: ImportPlan, errors: Sequence[RowError]) -> Path | None:
    """Write the rows that failed beside the file, with their lines and reasons.

    Without errors the list of an earlier run is removed; returns the path if one was written.
    """
    path = plan.file.path.with_name(plan.file.path.stem + ".errors.csv")
    if not errors:
        path.unlink(missing_ok=True)
        return None
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, delimiter=plan.file.separator)
        writer.writerow(["line", "error", *plan.file.header])
        for error in errors:
            writer.writerow([error.line, error.message, *error.cells])
    return path
