"""Tables of figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Figures, percentile

_CONSOLE = Console(file=sys.stdout, width=130)


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the first column to the left, numbers to the right."""
    drawn = Table(title=title)
    for place, heading in enumerate(headings):
        drawn.add_column(heading, justify="right" if place else "left")
    for row in rows:
        drawn.add_row(*row)
    _CONSOLE.print(drawn)


def engine(found: Sequence[Figures]) -> None:
    """Daemons and baselines side by side; ratios are to the first."""
    first = found[0]
    table(
        "Messages out, from one due moment",
        (
            *("", "Messages", "Messages/s", "CPU s/1,000", "of it database", "sink's, apart"),
            *("CPU, ratio", "Rate, ratio", "Peak MB"),
        ),
        [
            (
                one.name,
                f"{one.messages:,}",
                f"{one.rate:.0f}",
                f"{one.cpu_per_thousand:.2f}",
                f"{one.per_thousand(one.cpu_database):.2f}",
                f"{one.per_thousand(one.cpu_sink):.2f}",
                f"{one.cpu_per_thousand / first.cpu_per_thousand:.2f} ×",
                f"{one.rate / first.rate:.2f} ×",
                f"{one.peak_mb:.0f}",
            )
            for one in found
        ],
    )
    table(
        "Jobs in, lateness after the due moment, and what arrived",
        (
            *("", "In/s", "CPU s/1,000 in", "p50 burst", "p99 burst", "p50 paced", "p99 paced"),
            *("Arrived", "Agrees"),
        ),
        [
            (
                one.name,
                f"{one.events_per_second:.0f}",
                f"{one.per_thousand(one.cpu_in):.2f}",
                *(_seconds(one.lateness, percent) for percent in (50, 99)),
                *(_seconds(one.lateness_paced, percent) for percent in (50, 99)),
                f"{one.arrived:,}",
                "yes" if one.agrees else f"NO: {one.states}, {one.twice} twice",
            )
            for one in found
        ],
    )
    for one in found:
        if not one.all_waited:
            print(f"{one.name}: the due moment came before every run waited; its figures mix")
    print(f"bytes of a mail: {', '.join(f'{one.name} {one.bytes_each:,}' for one in found)}")


def _seconds(ordered: Sequence[float], percent: float) -> str:
    return f"{percentile(ordered, percent):.2f} s" if ordered else ""
