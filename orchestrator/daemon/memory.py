"""How often the interpreter looks for garbage: seldom, and not among what was loaded."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 20, 50)
"""New objects after which the young are looked at, and how many such looks until the older are.

CPython's own 700 or 2,000 are for small programs: at that, looking took a seventh of the
database's thread. Nearly everything of a message goes by its count of references, without a look.
"""


def spare_what_is_loaded() -> None:
    """Leave modules, flows and templates out of every later look; call it once all is loaded.

    A full look at them takes a tenth of a second, in which no webhook is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
