"""Mails before SpamAssassin: local rules alone, one process for many mails."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from tests.leaving_out import leave_out

UNPACKED: Final = Path(__file__).parent / "unpacked"
"""Where `make opinions` unpacks the Debian packages."""

MISTAKEN: Final = {"ru": ("MIXED_ES",)}
"""Rules that a language breaks by being written.

MIXED_ES takes letters that look like an `e` for one in disguise, and Cyrillic has one: whatever
is Russian and shows some addresses in Latin letters is hit. Its authors score it 0.01 for Polish,
Czech, Slovak, Croatian and Greek, in lines that the package carries as comments; Russian is not
among them.
"""

_SCORES = re.compile(rb"^X-Spam-Scores: (\S+) ((?:.+\n)(?:[ \t].+\n)*)", re.MULTILINE)
_SETTINGS: Final = (
    "add_header all Scores _SCORE_ _TESTSSCORES(,)_",
    "use_bayes 0",  # a filter that learned from nobody's mail has no opinion
    "report_safe 0",
)


@dataclass(frozen=True)
class Score:
    """What it says of a mail: the sum, and what each rule that was hit gave."""

    total: float
    rules: dict[str, float]

    def without(self, *rules: str) -> float:
        """The sum but for some rules."""
        return sum(given for rule, given in self.rules.items() if rule not in rules)


def score(mails: Sequence[bytes], folder: Path) -> list[Score]:
    """The scores of mails, in their order; `folder` is scratch. Skips where it is missing."""
    if not UNPACKED.is_dir():
        leave_out("SpamAssassin is not installed: `make opinions`")
    paths = [folder / f"{number:05}.eml" for number in range(len(mails))]
    for path, mail in zip(paths, mails, strict=True):
        path.write_bytes(mail)
    done = subprocess.run(
        [*_command(folder), *map(str, paths)],
        capture_output=True,
        timeout=900,
        check=False,
        env={"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    scores = [_score(total, told) for total, told in _SCORES.findall(done.stdout)]
    assert len(scores) == len(mails), done.stderr.decode(errors="replace")
    return scores


def received(mail: bytes, at: datetime) -> bytes:
    """A mail as the recipient's server has it, which SpamAssassin expects: with two traces.

    One of the provider that the daemon hands mail to, one of the recipient's server (RFC 5321
    section 4.4). Addresses are those for documentation, of which it knows the IPv4 ones as such.
    """
    stamp = format_datetime(at).encode()
    provider, shop = b"out.m.northwind.example", b"shop.northwind.example"
    return b"".join(
        (
            b"Return-Path: <news@m.northwind.example>\r\n",
            b"Received: from %b (%b [IPv6:2001:db8:25::5])\r\n" % (provider, provider),
            b"\tby mx.example.com (Postfix) with ESMTPS id 4dCXkT2mZ1z3B\r\n",
            b"\tfor <ada@example.com>; %b\r\n" % stamp,
            b"Received: from %b (%b [IPv6:2001:db8:25::80])\r\n" % (shop, shop),
            b"\tby %b (Postfix) with ESMTPSA id 4dCXkS0Hq7z1c\r\n" % provider,
            b"\tfor <ada@example.com>; %b\r\n" % stamp,
            mail,
        )
    )


def _command(folder: Path) -> list[str]:
    usr = UNPACKED / "usr"
    compiled = sorted((usr / "lib").glob("*/perl5/*"))
    libraries = [usr / "share" / "perl5", *compiled]
    return [
        *("perl", "-T", *(f"-I{path}" for path in libraries)),
        *(str(usr / "bin" / "spamassassin"), "--local", "--test-mode"),
        *("--configpath", str(usr / "share" / "spamassassin")),
        *("--siteconfigpath", str(UNPACKED / "etc" / "spamassassin")),
        *("--prefspath", str(folder / "preferences")),
        *(f"--cf={setting}" for setting in _SETTINGS),
    ]


def _score(total: bytes, told: bytes) -> Score:
    pairs = (one.partition("=") for one in b"".join(told.split()).decode().split(","))
    rules = {rule: float(given) for rule, _, given in pairs if given}
    assert abs(sum(rules.values()) - float(total)) < 0.1, told  # the sum is told in tenths
    return Score(float(total), rules)
