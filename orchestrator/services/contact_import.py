"""People and their consent from a CSV file: in batches, repeatable, resumable.

A row is known by the hash of its words, its source and its method, so a second run changes
nothing. A watermark per file and options tells how far a run came that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from orchestrator.ports import Clock, Database, Ids, Lane, UnitOfWork
from orchestrator.services.contact_rows import ContactRow, RowDefaults, RowError, RowReader
from orchestrator.services.csv_text import rows_of
from orchestrator.services.import_batch import ImportBatch
from orchestrator.services.import_plan import (
    ImportPlan,
    Refusal,
    Summary,
    plan_import,
    write_errors,
)

__all__ = [
    "BATCH",
    "ContactImport",
    "ImportPlan",
    "Refusal",
    "RowDefaults",
    "Summary",
    "plan_import",
    "write_errors",
]

BATCH: Final = 200
"""Rows in one transaction: about 100 ms in which nobody else writes to a SQLite database."""


class ContactImport:
    """Writes planned files."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def run(self, plan: ImportPlan, progress: Callable[[int], None]) -> Summary:
        """Import every good row; `progress` hears the number of lines done.

        Raises TransientError when the database is lost; a later run goes on from there.
        """
        summary = Summary(ignored_columns=plan.ignored)
        name = plan.watermark
        done = int(
            await self._database.run(Lane.IMPORT, lambda uow: uow.firings.watermark(name)) or 0
        )
        batch: list[ContactRow] = []
        for raw in rows_of(plan.file):
            summary.rows += 1
            row = _read(plan.reader, raw.line, raw.cells, raw.error)
            if isinstance(row, RowError):
                summary.errors.append(row)
            elif row.line <= done:
                summary.known += 1
            else:
                batch.append(row)
            if len(batch) == BATCH:
                await self._write(plan, batch, summary)
                progress(raw.line)
                batch = []
        if batch:
            await self._write(plan, batch, summary)
        progress(plan.file.lines)
        return summary

    async def _write(self, plan: ImportPlan, batch: Sequence[ContactRow], summary: Summary) -> None:
        def work(uow: UnitOfWork) -> Summary:
            now = self._clock.now()
            counted = ImportBatch(uow, plan, self._ids, now).write(batch)
            uow.firings.set_watermark(plan.watermark, str(batch[-1].line), now)
            return counted

        _add(summary, await self._database.run(Lane.IMPORT, work))


def _read(
    reader: RowReader, line: int, cells: Sequence[str], error: str | None
) -> ContactRow | RowError:
    if error is not None:
        return RowError(line, error, tuple(cells))
    return reader.read(line, cells)


_COUNTS: Final = (
    *("imported", "known", "created", "updated", "granted", "requested", "withdrawn"),
    *("kept_refusals", "suppressed"),
)


def _add(total: Summary, part: Summary) -> None:
    for name in _COUNTS:
        setattr(total, name, getattr(total, name) + getattr(part, name))
