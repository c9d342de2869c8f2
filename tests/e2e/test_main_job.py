"""The main job, against the daemon as a process, on both databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import ROOT, SECRET, Daemon, wait_for

FOREIGN = "whsec_Zm9yZ2VkLCBub3Qgb3VycywgcmVhbGx5IG5vdC4="
QUICK = ROOT / "examples" / "quickstart.yaml"


def checkout(number: str) -> dict[str, Any]:
    """The shipped checkout, as another person's."""
    event: dict[str, Any] = json.loads((ROOT / "examples" / "checkout.json").read_text())
    event["checkout_id"] = f"c-{number}"
    event["contact"]["email"] = f"ada.{number}@example.com"
    event["contact"].pop("phone")
    return event


@pytest.fixture
def daemon(tmp_path: Path, database_url: str) -> Iterator[Daemon]:
    """The quick start's journeys, with waits short enough for a test."""
    flows = tmp_path / "flows.yaml"
    text = QUICK.read_text()
    for slow, quick in (("5 seconds", "2 seconds"), ("20 seconds", "1 seconds")):
        text = text.replace(slow, quick)
    flows.write_text(text.replace("wait: 10 seconds", "wait: 2 seconds"))
    with Daemon(tmp_path, database_url, flows) as running:
        yield running


def parsed(path: Path) -> EmailMessage:
    return message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default)


def unsubscribe_path(daemon: Daemon, mail: EmailMessage) -> str:
    """Where the mail's one-click address leads, below the daemon's own."""
    found = re.match(r"<([^>]+)>", mail["List-Unsubscribe"])
    assert found is not None
    assert found[1].startswith(f"{daemon.url}/u/")
    return found[1].removeprefix(daemon.url)


def states(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str | None]]:
    return [(row["step"], row["channel"], row["status"], row["reason"]) for row in rows]


def test_a_checkout_becomes_a_mail_whose_unsubscribe_link_works(daemon: Daemon) -> None:
    assert daemon.get("/healthz").status_code == 200
    assert daemon.get("/readyz").status_code == 200
    daemon.send(checkout("1"))
    mail = parsed(wait_for(daemon.outbox, "the first mail")[0])
    assert mail["To"].addresses[0].addr_spec == "ada.1@example.com"
    html = mail.get_body(("html",))
    plain = mail.get_body(("plain",))
    assert html is not None
    assert plain is not None
    for part in (html.get_content(), plain.get_content()):
        assert "Moominland Midwinter" in part
        assert "The Summer Book" in part
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = unsubscribe_path(daemon, mail)

    shown = daemon.get(path)
    assert shown.status_code == 200
    clicked = httpx.post(daemon.url + path, data={"List-Unsubscribe": "One-Click"}, trust_env=False)
    assert clicked.status_code == 200
    refused = ("5", "email", "not_sent", "no_consent")
    wait_for(lambda: refused in states(daemon.messages()), "the second mail's refusal")
    assert len(daemon.outbox()) == 1


def test_showing_the_unsubscribe_page_changes_nothing(daemon: Daemon) -> None:
    daemon.post(checkout("2"))
    mail = parsed(wait_for(daemon.outbox, "the first mail")[0])
    path = unsubscribe_path(daemon, mail)
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, daemon.url + path, trust_env=False)
        assert answer.status_code == 200
    assert len(wait_for(lambda: daemon.outbox()[1:], "the second mail")) == 1


def test_an_order_in_time_stops_the_journey(daemon: Daemon) -> None:
    daemon.post(checkout("3"))
    order = json.loads((ROOT / "examples" / "order.json").read_text())
    order |= {"checkout_id": "c-3", "contact": {"email": "ada.3@example.com"}}
    assert daemon.post(order).status_code == 200
    daemon.post(checkout("4"))
    wait_for(daemon.outbox, "the mail of the one who did not buy")
    contacts = {row["contact"] for row in daemon.messages()}
    assert contacts == {"ada.4@example.com"}


def test_forged_and_repeated_events_start_nothing(daemon: Daemon) -> None:
    body = json.dumps({"type": "checkout.started", "data": checkout("5")}).encode()
    assert daemon.post_signed("evt-1", body, FOREIGN).status_code == 401
    for _ in range(3):
        assert daemon.post(checkout("6"), "evt-2").status_code == 200
    again = checkout("6") | {"total": 99}
    assert daemon.post(again, "evt-3").status_code == 200
    wait_for(lambda: daemon.outbox()[1:], "the journey's second mail")
    rows = daemon.messages()
    assert {row["contact"] for row in rows} == {"ada.6@example.com"}
    assert [row["step"] for row in rows].count("first") == 1


def test_odd_but_readable_events_are_stored_once(daemon: Daemon) -> None:
    long_type = json.dumps({"type": "my." + "x" * 300, "data": {}}).encode()
    marked = b"\xef\xbb\xbf" + json.dumps({"type": "my.own", "data": None}).encode()
    for event_id, body in (("e" * 300, long_type), ("evt-7", marked), ("f" * 300, marked)):
        first, again = (daemon.post_signed(event_id, body, SECRET) for _ in range(2))
        assert (first.status_code, first.json()) == (200, {"status": "stored"})
        assert (again.status_code, again.json()) == (200, {"status": "duplicate"})


def test_sigterm_ends_it_well_and_a_restart_goes_on(daemon: Daemon) -> None:
    daemon.post(checkout("7"))
    assert daemon.stop() == 0
    daemon.start()
    assert len(wait_for(daemon.outbox, "the mail after the restart")) == 1


def test_secrets_addresses_and_tokens_stay_out_of_the_log(daemon: Daemon) -> None:
    daemon.post(checkout("8"))
    mail = parsed(wait_for(daemon.outbox, "a mail")[0])
    path = unsubscribe_path(daemon, mail)
    daemon.get(path)
    log = daemon.log()
    assert log
    for secret in ("ada.8@example.com", path.removeprefix("/u/"), SECRET, "an-end-to-end-admin"):
        assert secret not in log
