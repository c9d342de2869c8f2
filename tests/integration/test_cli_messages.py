"""The command line as an operator uses it in scripts."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from orchestrator import __version__
from orchestrator.cli import program
from tests.integration.shop import Shop, checkout


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(program, ["--version"])
    assert (done.exit_code, done.output) == (0, f"orchestrator {__version__}\n")


async def test_piped_on_every_message_is_one_line(
    shop: Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "somebody.with.quite.a.long.address@customers.of.the.shop.example.com"
    await shop.receive("checkout.started", address, **checkout())
    await shop.pass_time(hours=2)
    monkeypatch.setenv("ORCHESTRATOR_DATABASE_URL", database_url)
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "a secret key that is long enough for this")
    monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "another one that is long enough for it")
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(program, ["messages"])
    heading, line = done.output.rstrip().splitlines()
    assert heading.split() == ["created", "contact", "flow", "step", "by", "status"]
    assert line.split()[2:] == [address, "cart", "first", "email", "sent"]
