"""Puts the starting files of `orchestrator init` into the wheel, beside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STARTING_FILES = ("flows.yaml", "flows.test.yaml", "templates", "examples")


class StartingFiles(BuildHookInterface[Any]):
    """Maps them to `orchestrator/_starter/`; an editable install reads the checkout instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add every starting file that exists, unless `version` is an editable install."""
        if version == "editable":
            return
        root = Path(self.root)
        build_data["force_include"] |= {
            str(root / name): f"orchestrator/_starter/{name}"
            for name in STARTING_FILES
            if (root / name).exists()
        }
