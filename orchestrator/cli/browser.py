"""Pictures of pages, taken by a browser that is installed on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import ConfigurationError

BROWSERS: Final = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "brave-browser"),
)
"""Programs that take the same options, in the order in which they are looked for."""
VARIABLE: Final = "ORCHESTRATOR_BROWSER"

_PATIENCE: Final = 60.0
"""Seconds for one picture: a cold start on a small machine takes ten."""
_TALLEST: Final = 20_000
_GAP: Final = 24


@dataclass(frozen=True, slots=True)
class Pane:
    """A page as somebody sees it: `width` in CSS pixels, and which colours they prefer."""

    html: str
    width: int
    dark: bool
    caption: str = ""


def find_browser() -> str:
    """The browser to use; raises ConfigurationError if there is none."""
    asked = os.environ.get(VARIABLE)
    for name in [asked] if asked else BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    known = f"{VARIABLE} names no program: {asked}" if asked else "no browser was found"
    raise ConfigurationError(
        f"{known}; install Chromium or Google Chrome, or set {VARIABLE} to where it is"
    )


def photograph(panes: Sequence[Pane], picture: Path, browser: str | None = None) -> None:
    """Write a PNG of pages beside each other, each whole.

    A frame prefers the colours of its place (CSS Color Adjustment, `color-scheme`), so light
    and dark stand in one picture. Raises ConfigurationError if the browser does not take it.
    """
    program = browser or find_browser()
    width = sum(pane.width for pane in panes) + _GAP * (len(panes) + 1)
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        page = Path(folder, "page.html")
        page.write_text(_sheet(panes), "utf-8")
        profile = f"--user-data-dir={folder}/profile"
        measured = _run(program, [profile, f"--window-size={width},1000", "--dump-dom", page])
        tall = re.search(r'data-tall="(\d+)"', measured)
        height = min(int(tall[1]), _TALLEST) if tall else 1000
        shot = Path(folder, "picture.png")
        _run(program, [profile, f"--window-size={width},{height}", f"--screenshot={shot}", page])
        if not shot.is_file():
            raise ConfigurationError(f"{program} made no picture")
        picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(shot, picture)


def _run(program: str, options: Iterable[str | Path]) -> str:
    usual = ["--headless", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
    if os.geteuid() == 0:
        usual.append("--no-sandbox")  # it refuses to run as root otherwise
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments, no shell
            [program, *usual, *map(str, options)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{program} takes no pictures: {error}") from None
    return done.stdout


def _sheet(panes: Iterable[Pane]) -> str:
    """A page of frames that grow as tall as what they show."""
    frames = "".join(
        f'<figure><figcaption>{escape(pane.caption)}</figcaption><iframe style="width:'
        f'{pane.width}px;color-scheme:{"dark" if pane.dark else "light"}" '
        f'srcdoc="{escape(pane.html)}"></iframe></figure>'
        for pane in panes
    )
    return (
        '<!DOCTYPE html><meta charset="utf-8"><style>'
        f"body{{margin:{_GAP}px;display:flex;gap:{_GAP}px;align-items:flex-start;"
        "background:#d9d5cc;font:14px/1.5 system-ui,sans-serif;color:#22262b}"
        "figure{margin:0}figcaption:empty{display:none}figcaption{margin-bottom:8px}"
        "iframe{border:0;border-radius:8px;display:block}</style>"
        f"{frames}<script>onload=()=>{{for(const f of document.querySelectorAll('iframe'))"
        "f.style.height=f.contentDocument.documentElement.scrollHeight+'px';"
        "document.body.dataset.tall="
        f"Math.ceil(document.body.getBoundingClientRect().bottom)+{_GAP}}}</script>"
    )
