"""A flows file in a hurry: the same journeys, in which a day passes in half a second."""

from __future__ import annotations

import math
import re
from typing import Final

DAY: Final = 0.5
"""Seconds in which a day of the file passes; whatever is written takes at least one."""

_DAYS: Final = {"second": 1 / 86_400, "minute": 1 / 1_440, "hour": 1 / 24, "day": 1, "week": 7}
_LENGTH: Final = r"(?P<count>\d+) (?:calendar )?(?P<unit>second|minute|hour|day|week)s?"

_WAIT: Final = re.compile(rf"(?m)(?P<key>^[ -]*(?:wait|within)): {_LENGTH}(?: at \d\d:\d\d)?$")
_WAIT_UNTIL: Final = re.compile(r"(?m)(?P<key>^[ -]*)wait_until: .+$")
_CAP: Final = re.compile(r"(?P<limit>\d+) per (?P<unit>day|week)")


def in_a_hurry(flows: str) -> str:
    """Shorten the waits, deadlines and caps of a flows file; clock times are not waited for.

    Conditions (`days(120)`), lateness and re-entry stay as they are.
    """
    flows = _WAIT.sub(lambda found: f"{found['key']}: {_seconds(found)}", flows)
    flows = _WAIT_UNTIL.sub(lambda found: f"{found['key']}wait: 1 seconds", flows)
    return _CAP.sub(lambda found: f"{found['limit']} per {_seconds(found)}", flows)


def _seconds(found: re.Match[str]) -> str:
    days = int(found.groupdict().get("count") or 1) * _DAYS[found["unit"]]
    return f"{max(math.ceil(days * DAY), 1)} seconds"
