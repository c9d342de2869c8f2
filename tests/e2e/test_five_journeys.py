"""The shipped shop as a process: from webhooks to mail that a real SMTP server has taken.

Texts go to a stand-in for Twilio, and a STOP comes back. Only times are shortened: see `hurry`.
Half of the people come from Shopify, half by Standard Webhooks, on both databases.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from orchestrator.domain.flows import MessageClass, SendStep, WaitUntilStep
from orchestrator.flowfile import load_text
from orchestrator.services.audiences import EVERY
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.tables import segment_watch
from tests import shopify_webhooks as shopify
from tests.e2e.hurry import in_a_hurry
from tests.e2e.running import ROOT, SECRET, Daemon, wait_for
from tests.integration.smtp_server import SmtpServer, running_smtp_server
from tests.integration.twilio_server import (
    TOKEN,
    TwilioServer,
    inbound,
    running_twilio,
    signed_request,
)

LONG_AGO = timedelta(days=130)
YES = {"email": "yes", "sms": "yes"}
ITEMS = [{"name": "The Summer Book", "quantity": 1, "price": 14.5}]

CATO = "+358401234567"
CART = ["Your basket is still here", "Still thinking it over?"]
WELCOME = ["Welcome to Northwind Books", "Where would you like to start?"]
REVIEW = ["How did you like it?", "Two lines for the next reader?"]
WIN_BACK = [
    "New on our shelves since your last visit",
    "The delivery is on us",
    "Shall we keep writing to you?",
]
NOTICE = "New privacy policy from"
QUESTION = "Please confirm your email address"

WANTED = {
    "cato@example.com": CART,
    "dora@example.com": [QUESTION, *WELCOME],
    "nora@example.com": REVIEW[:1],
    "rita@example.com": REVIEW,
    "will@example.com": WIN_BACK,
    "shopify.cart@example.com": CART,
    "shopify.welcome@example.com": WELCOME,
    "shopify.review@example.com": REVIEW,
    "shopify.winback@example.com": WIN_BACK,
}
"""Who gets what, but for the notice, which everybody gets; Nora opts out at her first mail."""


def shipped() -> str:
    return (ROOT / "flows.yaml").read_text()


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with running_smtp_server(SmtpServer()) as server:
        yield server


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with running_twilio() as server:
        yield server


@pytest.fixture
def daemon(
    tmp_path: Path, database_url: str, smtp: SmtpServer, twilio: TwilioServer
) -> Iterator[Daemon]:
    flows = tmp_path / "flows.yaml"
    flows.write_text(in_a_hurry(shipped()))
    secrets = {"standard": [SECRET], "shopify": [shopify.SECRET], "twilio": [TOKEN]}
    settings = {
        "ORCHESTRATOR_EMAIL_URL": f"smtp://127.0.0.1:{smtp.port}?tls=none",
        "ORCHESTRATOR_SMS_URL": twilio.provider_url(),
        "ORCHESTRATOR_WEBHOOK_SECRETS": json.dumps(secrets),
    }
    with Daemon(tmp_path, database_url, flows, settings) as running:
        yield running


# Shops ------------------------------------------------------------------------------------


def post(
    daemon: Daemon, kind: str, email: str, ago: timedelta = timedelta(), **fields: Any
) -> None:
    """An event by Standard Webhooks."""
    contact = {"email": email, **fields.pop("contact", {})}
    moment = datetime.now(UTC) - ago
    data = {"contact": contact, "consent": YES, "items": ITEMS, "currency": "EUR", **fields}
    body = json.dumps({"type": kind, "timestamp": moment.isoformat(), "data": data})
    assert daemon.post_signed(str(uuid4()), body.encode(), SECRET).status_code == 200


def post_shopify(daemon: Daemon, topic: str, name: str, **changes: Any) -> None:
    """One of Shopify's webhooks."""
    body = json.dumps(shopify.body_of(name, **changes)).encode()
    headers = shopify.headers_for(topic, body, str(uuid4()), str(uuid4()))
    url = f"{daemon.url}/webhooks/shopify"
    answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    assert answer.status_code == 200


def bought(number: int, email: str, ago: timedelta = timedelta()) -> dict[str, Any]:
    """What is another person's in a Shopify checkout or order."""
    moment = (datetime.now(UTC) - ago).isoformat()
    customer = {"id": number, "email": email, "first_name": "Ada"}
    times = dict.fromkeys(("created_at", "updated_at", "processed_at"), moment)
    return {
        **times,
        "id": number,
        "email": email,
        "contact_email": email,
        "sms_marketing_phone": f"+35840123450{number}",
        "buyer_accepts_marketing": True,
        "customer": customer,
        "billing_address": {"country_code": "FI"},
        "checkout_token": None,
        "cart_token": None,
    }


def open_standard(daemon: Daemon) -> None:
    post(daemon, "order.placed", "will@example.com", LONG_AGO, order_id="w1")
    post(daemon, "contact.subscribed", "dora@example.com", contact={"country": "DE"})
    post(daemon, "order.delivered", "nora@example.com", order_id="n1")
    post(daemon, "order.delivered", "rita@example.com", order_id="r1")
    post(
        daemon,
        "checkout.started",
        "cato@example.com",
        checkout_id="c1",
        contact={"phone": CATO},
    )


def open_shopify(daemon: Daemon) -> None:
    now = datetime.now(UTC).isoformat()
    lapsed = bought(1, "shopify.winback@example.com", LONG_AGO)
    post_shopify(daemon, "orders/create", "order", **lapsed)
    post_shopify(
        daemon, "checkouts/create", "checkout", **bought(2, "shopify.cart@example.com"), token="s2"
    )
    consent = {"state": "subscribed", "opt_in_level": None, "consent_updated_at": now}
    post_shopify(
        daemon,
        "customers_email_marketing_consent/update",
        "email_consent",
        customer_id=3,
        email_address="shopify.welcome@example.com",
        email_marketing_consent=consent,
    )
    post_shopify(daemon, "orders/create", "order", **bought(4, "shopify.review@example.com"))
    arrived = {"order_id": 4, "happened_at": now, "created_at": now, "updated_at": now}
    post_shopify(daemon, "fulfillment_events/create", "fulfillment_event", **arrived)


# Mail -------------------------------------------------------------------------------------


def mails_to(server: SmtpServer, email: str) -> list[EmailMessage]:
    """What the server has taken for an address, oldest first."""
    return [
        message_from_bytes(taken.body, _class=EmailMessage, policy=policy.default)
        for taken in list(server.inbox)
        if taken.recipients == (email,)
    ]


def wait_for_mail(server: SmtpServer, email: str, subject: str) -> EmailMessage:
    def look() -> list[EmailMessage]:
        return [m for m in mails_to(server, email) if m["Subject"].startswith(subject)]

    return wait_for(look, f"{subject!r} for {email}")[0]


def check(mail: EmailMessage, email: str) -> None:
    """Both parts; the unsubscribe pair on marketing alone; the sender that belongs to it."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert [one.addr_spec for one in mail["To"].addresses] == [email]
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    for part in (plain, html):
        assert "Keskuskatu 1, 00100 Helsinki" in part.get_content()
    subject = mail["Subject"]
    marketing = not subject.startswith((NOTICE, QUESTION))
    address = "news@m.northwind.example" if marketing else "hello@northwind.example"
    assert mail["From"].addresses[0].addr_spec == address
    assert ("List-Unsubscribe" in mail) is marketing
    assert mail["List-Unsubscribe-Post"] == ("List-Unsubscribe=One-Click" if marketing else None)
    assert ("/u/" in html.get_content()) is marketing


def one_click(mail: EmailMessage) -> None:
    url = mail["List-Unsubscribe"].strip("<>").split(">")[0]
    answer = httpx.post(url, data={"List-Unsubscribe": "One-Click"}, trust_env=False)
    assert answer.status_code == 200


def confirm(daemon: Daemon, email: str) -> None:
    """The shop's own page has had the address confirmed."""
    proof = {"consent_evidence": {"confirmed_at": datetime.now(UTC).isoformat()}}
    post(daemon, "contact.confirmed", email, consent={"email": "yes"}, data=proof)


def stand_still(daemon: Daemon) -> None:
    """The last look at the segments was as long ago as the next one takes to come."""
    engine = create_engine_for(daemon.database_url)
    with engine.begin() as connection:
        connection.execute(update(segment_watch).values(finished_at=datetime.now(UTC) - EVERY))
    engine.dispose()


# Texts ------------------------------------------------------------------------------------


def stop(daemon: Daemon, number: str) -> None:
    url = f"{daemon.url}/replies/twilio"
    headers, body = signed_request(url, inbound("Stop.", number))
    answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    assert answer.status_code == 200


def standing(daemon: Daemon, number: str) -> set[str]:
    """Where the holder of a number stands by SMS."""
    answer = httpx.get(
        f"{daemon.url}/api/consents",
        params={"phone": number},
        headers={"authorization": f"Bearer {daemon.environment['ORCHESTRATOR_ADMIN_TOKEN']}"},
        trust_env=False,
    )
    return {row["status"] for row in answer.json() if row["channel"] == "sms"}


# The story --------------------------------------------------------------------------------


def test_five_journeys_end_with_mail_and_texts_that_servers_have_taken(
    daemon: Daemon, smtp: SmtpServer, twilio: TwilioServer
) -> None:
    open_standard(daemon)
    open_shopify(daemon)
    wait_for_mail(smtp, "dora@example.com", QUESTION)
    confirm(daemon, "dora@example.com")
    one_click(wait_for_mail(smtp, "nora@example.com", REVIEW[0]))

    assert daemon.stop() == 0
    stand_still(daemon)
    text = daemon.flows.read_text()
    daemon.flows.write_text(text.replace("version: 2026-12", "version: 2027-06"))
    daemon.start()

    for email, wanted in WANTED.items():
        wait_for_mail(smtp, email, NOTICE)
        wait_for_mail(smtp, email, wanted[-1])
    for email, wanted in WANTED.items():
        mails = mails_to(smtp, email)
        subjects = [mail["Subject"] for mail in mails]
        assert [one for one in subjects if not one.startswith(NOTICE)] == wanted
        assert len(subjects) == len(wanted) + 1
        for mail in mails:
            check(mail, email)
    assert {taken.recipients for taken in smtp.inbox} == {(email,) for email in WANTED}

    settled = Counter((row["channel"], row["status"], row["reason"]) for row in daemon.messages())
    assert settled == {
        ("email", "sent", None): len(smtp.inbox),
        ("sms", "sent", None): 2,
        ("email", "not_sent", "no_consent"): 1,
    }
    assert {text["To"] for text in twilio.made} == {CATO, "+358401234502"}
    assert all(text["Body"].startswith("Northwind Books: ") for text in twilio.made)
    assert len(twilio.made) == 2
    assert standing(daemon, CATO) == {"granted"}
    stop(daemon, CATO)
    assert standing(daemon, CATO) == {"withdrawn"}


def test_a_hurry_changes_times_and_nothing_else() -> None:
    calm, hurried = load_text(shipped()).book, load_text(in_a_hurry(shipped())).book
    assert calm is not None
    assert hurried is not None
    for name, flow in calm.flows.items():
        quick = hurried.flows[name]
        assert (quick.triggers, quick.key, quick.audience) == (
            flow.triggers,
            flow.key,
            flow.audience,
        )
        assert quick.exits == flow.exits
        assert len(quick.steps) == len(flow.steps)
        assert not any(isinstance(step, WaitUntilStep) for step in quick.steps)
        for slow, fast in zip(flow.steps, quick.steps, strict=True):
            assert slow.id == fast.id
            if isinstance(slow, SendStep):
                assert isinstance(fast, SendStep)
                assert (fast.template, fast.via, fast.topic) == (
                    slow.template,
                    slow.via,
                    slow.topic,
                )
    assert {flow.flow_class for flow in hurried.flows.values()} >= {MessageClass.LEGAL}
