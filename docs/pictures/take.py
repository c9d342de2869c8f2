"""Takes the pictures of the README: `make pictures`.

The mails and the text are what `preview` shows; the pages come from a daemon's own application,
on a database that `orchestrator demo` filled.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Final

import httpx

from orchestrator.bootstrap.application import App, build, login_link
from orchestrator.bootstrap.previews import Previews
from orchestrator.cli.browser import Pane, photograph
from orchestrator.cli.preview import PHONE, panes
from orchestrator.domain.flows import Channel
from orchestrator.settings import load_settings

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
GALLERY: Final = (
    *("welcome/hello", "cart/reminder", "review/request", "winback/gift", "privacy/notice"),
)
"""A mail of each journey."""
WIDE: Final = 1000
"""CSS pixels of a page on a desk."""


def main() -> None:
    """Take them all."""
    previews = Previews(ROOT / "flows.yaml", ROOT / "templates")
    for name, template in {"cart": "cart/reminder", "policy": "privacy/notice"}.items():
        mail = panes(previews.sample(template, Channel.EMAIL))
        photograph([pane for pane in mail if pane.width == PHONE], HERE / f"{name}.png")
    photograph(panes(previews.sample("cart/reminder", Channel.SMS)), HERE / "sms.png")
    for template in GALLERY:
        _gallery(previews, template)
    with _sample_shop():
        pages = asyncio.run(_pages("/", "/journeys/abandoned_cart"))
    for name, page in zip(("journeys", "journey"), pages, strict=True):
        both = [Pane(page, WIDE, dark=False), Pane(page, WIDE, dark=True)]
        photograph(both, HERE / f"{name}.png")


def _gallery(previews: Previews, template: str) -> None:
    """A mail on a phone: light, dark, and from right to left."""
    english, persian = (
        previews.sample(template, Channel.EMAIL, locale=locale).html for locale in ("en", "fa")
    )
    shown = [
        Pane(english, PHONE, dark=False, caption="English, light"),
        Pane(english, PHONE, dark=True, caption="English, dark"),
        Pane(persian, PHONE, dark=False, caption="Persian, light"),
    ]
    photograph(shown, HERE / f"gallery-{template.replace('/', '-')}.png")


@contextmanager
def _sample_shop() -> Iterator[None]:
    """A folder with a database of three months, as `orchestrator demo` makes it."""
    os.environ |= {
        "ORCHESTRATOR_FLOWS": str(ROOT / "flows.yaml"),
        "ORCHESTRATOR_TEMPLATES": str(ROOT / "templates"),
    }
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        program = Path(sys.executable).with_name("orchestrator")
        subprocess.run([program, "demo", "--write-secrets"], check=True)
        yield


async def _pages(*paths: str) -> list[str]:
    """Pages behind the login."""
    with build(load_settings()) as app:
        app.library.refresh()
        return await _fetched(app, paths)


async def _fetched(app: App, paths: tuple[str, ...]) -> list[str]:
    transport = httpx.ASGITransport(app.web)
    async with httpx.AsyncClient(transport=transport, base_url=app.settings.base_url) as client:
        await client.post(login_link(app, app.clock.now()))
        answers = [await client.get(path) for path in paths]
    return [answer.raise_for_status().text for answer in answers]


if __name__ == "__main__":
    main()
