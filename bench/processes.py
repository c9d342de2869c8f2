"""What processes and their children have used, read from /proc (Linux)."""

from __future__ import annotations

import os
import platform
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*roots: int) -> float:
    """User and system time of these processes and all below them, finished ones included."""
    return sum(_times(pid) for pid in tree(roots))


def peak_megabytes(*roots: int) -> float:
    """The sum of what each of them held in memory at its height."""
    return sum(_peak(pid) for pid in tree(roots))


def tree(roots: Iterable[int]) -> set[int]:
    """The processes and all their living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(int(folder.name))):
            children[int(fields[1])].append(int(folder.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def machine() -> str:
    """The line that stands above every figure."""
    name = "processor unknown"
    if found := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()):
        name = found[1]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {name}, Python {platform.python_version()}; "
        f"load before the measurement {load}"
    )


def _fields(pid: int) -> list[str]:
    """The fields of `stat` from the state on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _times(pid: int) -> float:
    fields = _fields(pid)
    # utime, stime, and the same of children it has waited for
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _peak(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0
