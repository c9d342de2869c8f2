"""The files a new shop starts from: in the installed package, or in a checkout."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orchestrator
from orchestrator.domain.errors import ConfigurationError

NAMES: Final = ("flows.yaml", "flows.test.yaml", "templates", "examples")


def copy_to(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy what is not there yet; returns the paths written, and those kept as they were.

    Raises ConfigurationError where the folder cannot be written.
    """
    written: list[Path] = []
    kept: list[Path] = []
    root = _root()
    try:
        for source in _files(root):
            target = folder / source.relative_to(root)
            if target.exists():
                kept.append(target)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            written.append(target)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder}: {error.strerror}") from None
    return written, kept


def _root() -> Path:
    package = Path(orchestrator.__file__).parent
    shipped = package / "_starter"
    return shipped if shipped.is_dir() else package.parent


def _files(root: Path) -> Iterator[Path]:
    for name in NAMES:
        place = root / name
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(path for path in place.rglob("*") if path.is_file())
