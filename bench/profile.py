"""Where the time goes: the engine's stages under cProfile, on SQLite in one process.

Each thread is measured by its own CPU clock. The profiler makes many small calls look dearer
than they are, so the shares tell more than the milliseconds.
"""

from __future__ import annotations

import os
import pstats
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import engine, report
from bench.product import Product

MESSAGES = int(os.environ.get("BENCH_PROFILED", "1000"))
STAGES = (
    ("events in: read and verified", "sources/standard.py", "read"),
    ("events in: stored", "services/ingest.py", "ingest"),
    ("events heard, runs begun", "services/enrol.py", "hear_waiting"),
    ("runs advanced", "services/advance.py", "_advance"),
    ("messages claimed and their facts read", "services/dispatch.py", "_claim"),
    ("rendered: links and facts", "rendering/context.py", "facts"),
    ("rendered: both dialects of the template", "rendering/environment.py", "rendered"),
    ("rendered: plain part from its markup", "rendering/email.py", "_body"),
    ("rendered: MIME", "rendering/mime.py", "build_mail"),
    ("gate", "services/gatekeeping.py", "judge"),
    ("SMTP", "channels/email/smtp.py", "send"),
    ("results written", "services/results.py", "write_results"),
)


class _Profiled(Product):
    """The daemon inside `bench.profiled`."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "BENCH_PROFILE": str(self.folder)}


def measure() -> pstats.Stats:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        folder = Path(name)
        command = (sys.executable, "-m", "bench.profiled")
        place = engine.Place("profiled", f"sqlite:///{folder}/shop.db", command=command)
        engine.measure(replace(place, product=_Profiled), MESSAGES, folder)
        return pstats.Stats(*map(str, folder.glob("*.pstats")))


def spent(stats: pstats.Stats, file: str, function: str) -> float:
    """Cumulated CPU seconds of a function."""
    timed: dict[tuple[str, int, str], Any] = stats.stats  # type: ignore[attr-defined]
    return sum(
        float(found[3])
        for (path, _, name), found in timed.items()
        if path.endswith(file) and name == function
    )


def main() -> None:
    if sys.version_info >= (3, 12):
        print("profile is left out: from Python 3.12 on cProfile cannot watch several threads")
        return
    stats = measure()
    found = [(title, spent(stats, file, function)) for title, file, function in STAGES]
    whole = sum(seconds for _, seconds in found)
    report.table(
        f"Where the time goes, {MESSAGES:,} messages (CPU under the profiler)",
        ("", "ms a message", "Share"),
        [
            (title, f"{seconds * 1000 / MESSAGES:.2f}", f"{seconds / whole:.0%}")
            for title, seconds in found
        ],
    )
