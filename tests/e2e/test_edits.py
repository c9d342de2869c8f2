"""Edits on the disk and the daemon as a process: who publishes, and how soon it is live."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.tables import live_version
from tests.e2e.running import ROOT, Daemon, wait_for

SOON = 2.0
"""Seconds in which what `apply` published is live everywhere."""
SLACK = 2.0
"""What a busy machine may add."""

GIFT = """\
  gift:
    class: legal
    when: manual
    key: event.checkout_id
    steps: [send: cart/reminder]
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    file = tmp_path / "flows.yaml"
    file.write_text((ROOT / "examples" / "quickstart.yaml").read_text())
    return file


def revision(daemon: Daemon) -> int:
    engine = create_engine_for(daemon.database_url)
    with engine.connect() as connection:
        newest = connection.scalar(select(func.max(live_version.c.revision)))
    engine.dispose()
    return newest or 0


def test_an_edit_publishes_itself_and_a_broken_one_changes_nothing(
    tmp_path: Path, database_url: str, flows: Path
) -> None:
    with Daemon(tmp_path, database_url, flows) as daemon:
        assert revision(daemon) == 1
        sound = flows.read_text()
        flows.write_text(sound.replace("send: cart/reminder", "send: cart/remainder", 1))
        wait_for(lambda: "has errors" in daemon.log(), "the refusal")
        assert revision(daemon) == 1
        assert daemon.get("/readyz").status_code == 200
        flows.write_text(sound + GIFT)
        wait_for(lambda: revision(daemon) == 2, "the edit")


def test_somebody_is_entered_by_hand_while_the_daemon_runs(
    tmp_path: Path, database_url: str, flows: Path
) -> None:
    flows.write_text(flows.read_text() + GIFT)
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"checkout_id": "c9", "items": [{"name": "Ink", "quantity": 2}]}))
    with Daemon(tmp_path, database_url, flows) as daemon:
        daemon.post({"type": "contact.updated", "contact": {"email": "ada@example.com"}})
        words = ("trigger", "gift", "--contact", "ada@example.com", "--data", str(data))
        done = daemon.command(*words)
        assert (done.returncode, done.stdout) == (0, "ada@example.com has entered gift.\n"), done
        (mail,) = wait_for(daemon.outbox, "the mail")
        assert b"Ink" in mail.read_bytes()
        again = daemon.command("trigger", "gfit", "--contact", "ada@example.com")
        assert again.returncode == 1
        assert again.stderr == 'orchestrator: no flow is called "gfit"; did you mean "gift"?\n'


def test_with_reload_manual_only_apply_publishes(
    tmp_path: Path, database_url: str, flows: Path
) -> None:
    manual = {"ORCHESTRATOR_RELOAD": "manual"}
    with Daemon(tmp_path, database_url, flows, manual) as daemon:
        assert daemon.get("/readyz").status_code == 503
        done = daemon.command("apply")
        assert done.returncode == 0, done.stderr
        assert "new flows: " in done.stdout
        began = time.monotonic()
        wait_for(lambda: daemon.get("/readyz").status_code == 200, "the version")
        assert time.monotonic() - began < SOON + SLACK
        flows.write_text(flows.read_text() + GIFT)
        time.sleep(SOON)
        assert revision(daemon) == 1
        assert "new flows: gift" in daemon.command("apply").stdout
        assert revision(daemon) == 2
