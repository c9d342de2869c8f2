"""Rules about text messages beside those of `sms_check`: links, glued addresses, words (F9-F11)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.domain.flows import MessageClass
from orchestrator.rendering.lint.subject import Remark, Text
from orchestrator.rendering.lint.wordlists import (
    ONE_TIME_CODE,
    SHORTENERS,
    WITHHELD,
    words_of,
)
from orchestrator.rendering.theme import direction

_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_GLUED = re.compile(r"[.,;:!?)\]»”\"']$|[\u0590-\u08ff\ufb1d-\ufefc]")


def f8(text: Text) -> Iterator[Remark]:
    """The first text from a North American number says how to stop and to ask, how often, what for.

    What it costs is looked for in English alone: how languages say it, no list tells.
    """
    marketing = text.message_class is MessageClass.MARKETING
    if not (marketing and text.first and text.sender.startswith("+1")):
        return
    said = text.text.upper()
    wanted = {
        "STOP": "STOP" in said,
        "HELP": "HELP" in said,
        "how often": bool(re.search(r"\d|VARIES|RECURRING", _URL.sub("", said))),
        "that rates may apply": "RATES" in said or not text.locale.startswith("en"),
    }
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        yield Remark(
            f"the first text from {text.sender} does not say {', '.join(missing)}",
            'carriers ask for it: {% include "opt_out.txt" %}',
        )


def f9(text: Text) -> Iterator[Remark]:
    """Links are https, and not through a shared shortener."""
    for found in _URL.finditer(text.text):
        host = (urlsplit(found[0]).hostname or "").lower()
        if host in SHORTENERS:
            yield Remark(
                f"carriers block texts with links through {host}",
                "write the address itself",
                clues=(host,),
            )
        elif not found[0].startswith("https://") and host not in {"127.0.0.1", "localhost"}:
            yield Remark(
                f"{found[0][:60]} is no https address", "begin it with https://", clues=(found[0],)
            )


def f10(text: Text) -> Iterator[Remark]:
    """An address ends where it ends, and in a text from right to left has its own line."""
    for line in text.text.split("\n"):
        for found in _URL.finditer(line):
            if _GLUED.search(found[0]):
                yield Remark(
                    f"{found[0][-30:]!r} is glued to what follows: telephones take it in",
                    "end the line after the address",
                    clues=(found[0],),
                )
            elif direction(text.locale) == "rtl" and _rtl(line.replace(found[0], "")):
                yield Remark(
                    "an address stands in a line from right to left", "give it a line of its own"
                )


def f11(text: Text) -> Iterator[Remark]:
    """Nothing secret, and nothing that carriers refuse."""
    said = text.text.casefold()
    language = text.locale.partition("-")[0].lower()
    for word in words_of(WITHHELD, language):
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said):
            yield Remark(f'carriers refuse texts with "{word}"', "say it in a mail", clues=(word,))
    if text.message_class is not MessageClass.TRANSACTIONAL:
        for word in words_of(ONE_TIME_CODE, language):
            if word in said:
                yield Remark(
                    f'"{word}" in a {text.message_class.value} text',
                    "codes for signing in are transactional",
                    clues=(word,),
                )


def _rtl(line: str) -> bool:
    return any(unicodedata.bidirectional(one) in {"R", "AL"} for one in line)
