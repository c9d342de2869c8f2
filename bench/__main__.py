"""`python -m bench [NAME ...]`: every measurement, or those named."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import claims, engine, profile, rendering, waiting, webhooks
from bench.processes import machine

MEASUREMENTS: dict[str, Callable[[], None]] = {
    "engine": engine.main,
    "profile": profile.main,
    "render": rendering.main,
    "webhooks": webhooks.main,
    "waiting": waiting.main,
    "claims": claims.main,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        print(f"no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
        return 2
    print(machine())
    for name in names or MEASUREMENTS:
        MEASUREMENTS[name]()
    return 0


sys.exit(main(sys.argv[1:]))
