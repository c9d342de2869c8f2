"""What was loaded at the start costs no later look for garbage."""

from __future__ import annotations

import subprocess
import sys

from orchestrator.daemon.memory import THRESHOLDS

SCRIPT = """
import gc
from orchestrator.daemon.memory import spare_what_is_loaded
kept = [[] for _ in range(1000)]
spare_what_is_loaded()
looked_at = any(kept is one for one in gc.get_objects())
print(gc.get_freeze_count() > 1000, gc.get_threshold(), looked_at)
"""


def test_what_is_loaded_is_left_out_of_every_later_look() -> None:
    # In a process of its own: it cannot be undone for one object.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"True {THRESHOLDS} False"
