"""`python -m bench.profiled run`: the program under cProfile, every thread of it.

Writes the times of all functions into the folder `BENCH_PROFILE` when it ends.
"""

from __future__ import annotations

import cProfile
import itertools
import os
import threading
import time
from pathlib import Path

from orchestrator.cli import app

_numbers = itertools.count()


def profiled_threads() -> None:
    plain = threading.Thread.run

    def run(self: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.runcall(plain, self)
        finally:
            _write(profile)

    threading.Thread.run = run  # type: ignore[method-assign]


def _write(profile: cProfile.Profile) -> None:
    profile.dump_stats(Path(os.environ["BENCH_PROFILE"]) / f"{os.getpid()}-{next(_numbers)}.pstats")


def leave(code: int) -> None:
    """Instead of ending at once, which would take the figures along."""
    raise SystemExit(code)


if __name__ == "__main__":
    os._exit = leave  # type: ignore[assignment]
    profiled_threads()
    main = cProfile.Profile(time.thread_time)
    try:
        main.runcall(app)
    finally:
        _write(main)
