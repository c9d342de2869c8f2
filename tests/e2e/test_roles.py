"""Web and workers as processes of their own: what `apply` publishes reaches each of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.running import ROOT, Daemon, wait_for
from tests.kill.fleet import READY, Part

FOLLOWED = 2.0
"""Seconds after `apply` in which every worker uses what it published: the promise."""

FLOWS = """\
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <hello@northwind.example>
  postal_address: Keskuskatu 1, Helsinki
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  offers: {title: Offers}
flows:
  cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    steps: [send: cart/reminder]
"""


class Company:
    """A web and two workers that publish nothing themselves; each worker's mail lies apart."""

    def __init__(self, folder: Path, url: str) -> None:
        self.templates = folder / "templates"
        shutil.copytree(ROOT / "templates", self.templates)
        flows = folder / "flows.yaml"
        flows.write_text(FLOWS)
        self.outboxes = [folder / "one", folder / "two"]
        shared = {
            "ORCHESTRATOR_RELOAD": "manual",
            "ORCHESTRATOR_TEMPLATES": str(self.templates),
        }
        self.daemon = Daemon(folder, url, flows, shared)
        self.daemon.url = f"http://127.0.0.1:{self.daemon.port}"
        self.parts = [Part(self.daemon, ("run", "--only", "web"))]
        for outbox in self.outboxes:
            own = {**shared, "ORCHESTRATOR_EMAIL_URL": f"outbox:{outbox}"}
            self.parts.append(Part(Daemon(folder, url, flows, own), ("run", "--only", "worker")))

    def start(self) -> None:
        for part in self.parts:
            part.start()
        wait_for(lambda: self.daemon.log().count("is at work") == 2, "both workers", READY)
        wait_for(lambda: "Ready on" in self.daemon.log(), "the web", READY)

    def edit(self, old: str, new: str) -> None:
        file = self.templates / "email" / "cart" / "reminder.html"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def apply(self) -> None:
        """Publish; every process has had its time to follow when this returns."""
        done = self.daemon.command("apply")
        assert done.returncode == 0, done.stderr
        time.sleep(FOLLOWED)

    def subjects(self) -> list[list[str]]:
        """What each worker sends to new customers, once each of them has sent something."""
        before = [set(outbox.glob("*.eml")) for outbox in self.outboxes]

        def new() -> list[set[Path]]:
            return [
                set(outbox.glob("*.eml")) - known
                for outbox, known in zip(self.outboxes, before, strict=True)
            ]

        def both() -> bool:
            name = uuid4().hex
            event = {"contact": {"email": f"{name}@example.com"}, "consent": {"email": "yes"}}
            answer = self.daemon.post({"type": "checkout.started", "checkout_id": name, **event})
            assert answer.status_code == 200
            return all(new())

        wait_for(both, "a mail from each worker", READY)
        return [[_subject(mail) for mail in mails] for mails in new()]


def _subject(mail: Path) -> str:
    lines = mail.read_text().splitlines()
    return next(line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: "))


@pytest.fixture
def company(tmp_path: Path, database_url: str) -> Iterator[Company]:
    made = Company(tmp_path, database_url)
    try:
        yield made
    finally:
        for part in made.parts:
            if part.process is not None and part.process.poll() is None:
                part.kill()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_is_applied_reaches_every_worker_within_two_seconds(company: Company) -> None:
    company.start()
    assert company.daemon.get("/readyz").status_code == 503
    company.apply()
    assert company.daemon.get("/readyz").status_code == 200
    assert {one for sent in company.subjects() for one in sent} == {"Your basket is still here"}
    company.edit("Your basket is still here", "The second edition")
    assert {one for sent in company.subjects() for one in sent} == {"Your basket is still here"}
    company.apply()
    assert {one for sent in company.subjects() for one in sent} == {"The second edition"}
