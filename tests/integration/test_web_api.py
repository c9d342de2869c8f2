from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.consent import ConsentAction, ConsentEntry
from orchestrator.domain.enrolments import NewEnrolment
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import ContactFields, IncomingEvent
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId, MessageId
from orchestrator.domain.messages import NewMessage
from orchestrator.ports import NewEvent, StoredVersion
from tests.integration.web_world import BEARER, NOW, TOKEN, VERSION, FixedLibrary, World, a_world

pytestmark = pytest.mark.anyio

EVENT = EventId("018f3c5e-7a2b-7cde-9f00-00000000000e")
RUN = EnrolmentId("018f3c5e-7a2b-7cde-9f00-00000000000f")
MESSAGES = [MessageId(f"018f3c5e-7a2b-7cde-9f00-{number:012}") for number in range(3)]
NOBODY = "018f3c5e-7a2b-7cde-9f00-999999999999"


@pytest.fixture
def web(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The same web as elsewhere, once on each database."""
    with a_world(database_url, tmp_path) as world:
        yield world


@pytest.fixture
def ada(web: World) -> ContactId:
    """A person with consent, an event, a run, messages and a suppressed number."""
    fields = ContactFields(email="ada@example.com", first_name="Ada", id="shop-7")
    with web.database.transaction() as uow:
        (found,) = uow.contacts.resolve([fields], NOW)
        ada = found.contact_id
        entry = ConsentEntry(
            contact_id=ada,
            channel=Channel.EMAIL,
            topic="offers",
            action=ConsentAction.GRANTED,
            legal_basis="consent",
            method="checkbox",
            occurred_at=NOW,
        )
        uow.consents.append([entry], NOW)
        event = IncomingEvent("standard", "s1", "order.placed", NOW, fields, {"total": "9.90"})
        uow.events.insert([NewEvent(EVENT, ada, NOW, event)])
        uow.versions.save(StoredVersion(VERSION, "flows.yaml", "version: 1\n", {"a": "b"}), NOW)
        uow.versions.publish(VERSION, 0, "tests", NOW)
        uow.enrolments.insert([_run(ada)])
        for minutes, message_id in enumerate(MESSAGES):
            uow.messages.insert([_message(message_id, ada)], NOW + timedelta(minutes=minutes))
        uow.suppressions.add(
            Channel.SMS, "+358401234567", reason="stop", hard=True, source="reply", now=NOW
        )
    return ada


def _run(contact_id: ContactId) -> NewEnrolment:
    return NewEnrolment(
        id=RUN,
        flow="abandoned_cart",
        version=VERSION,
        contact_id=contact_id,
        key="c1",
        entry=1,
        event_id=EVENT,
        step=None,
        entered_at=NOW,
        due_at=NOW,
    )


def _message(message_id: MessageId, contact_id: ContactId) -> NewMessage:
    return NewMessage(
        id=message_id,
        enrolment_id=RUN,
        contact_id=contact_id,
        flow="abandoned_cart",
        version=VERSION,
        step=f"step_{message_id[-1]}",
        channel=Channel.EMAIL,
        template="cart/reminder",
        message_class=MessageClass.MARKETING,
        topic="offers",
        priority=50,
        not_before=NOW,
        expires_at=None,
    )


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"],
)
async def test_nobody_else_is_answered(web: World, authorization: str) -> None:
    headers = {b"authorization": authorization.encode()}
    async with web.client() as client:
        for path in ("/api/flows", "/api/contacts", "/api/nowhere", "/api", "/metrics"):
            answer = await client.get(path, headers=headers, follow_redirects=True)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_description_is_open_and_lists_every_path(web: World) -> None:
    async with web.client() as client:
        described = (await client.get("/api/openapi.json")).json()
    assert described["openapi"].startswith("3.")
    wanted = "contacts consents flows versions enrolments messages events suppressions".split()
    for name in wanted:
        assert any(path.startswith(f"/{name}") for path in described["paths"])
    assert described["servers"] == [{"url": "/api"}]


async def test_the_description_tells_clients_to_bring_the_token(web: World) -> None:
    async with web.client() as client:
        described = (await client.get("/api/openapi.json")).json()
    (name, scheme), *others = described["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"], others) == ("http", "bearer", [])
    operations = [one for path in described["paths"].values() for one in path.values()]
    assert operations
    assert all(one["security"] == [{name: []}] for one in operations)


async def test_a_person_is_found_by_any_identity(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:
        for query in ({"email": "ADA@example.com"}, {"external_id": "shop-7"}):
            (found,) = (await client.get("/api/contacts", params=query)).json()
            assert (found["id"], found["email"]) == (ada, "ada@example.com")
        assert (await client.get("/api/contacts", params={"email": "no@x.example"})).json() == []
        assert (await client.get("/api/contacts", params={"email": "?"})).json() == []
        one = (await client.get(f"/api/contacts/{ada}")).json()
    assert one["first_name"] == "Ada"
    assert one["orders"]["count"] == 0


async def test_everybody_is_listed_in_pages(web: World, ada: ContactId) -> None:
    with web.database.transaction() as uow:
        others = [ContactFields(email=f"{number}@example.com") for number in range(4)]
        uow.contacts.resolve(others, NOW)
    found: list[str] = []
    async with web.client(headers=BEARER) as client:
        for size in (2, 2, 1, 0):
            query = {"limit": "2"} | ({"after": found[-1]} if found else {})
            page = (await client.get("/api/contacts", params=query)).json()
            assert len(page) == size
            found += [contact["id"] for contact in page]
    assert len(set(found)) == 5
    assert found == sorted(found)


async def test_consent_is_shown_with_the_record_that_proves_it(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:
        (state,) = (await client.get(f"/api/contacts/{ada}/consents")).json()
        by_email = await client.get("/api/consents", params={"email": "ada@example.com"})
    assert (state["channel"], state["topic"], state["status"]) == ("email", "offers", "granted")
    assert state["seq"] >= 0
    assert by_email.json() == [state]


async def test_flows_and_versions_are_shown(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:
        names = [flow["name"] for flow in (await client.get("/api/flows")).json()]
        flow = (await client.get("/api/flows/abandoned_cart")).json()
        (version,) = (await client.get("/api/versions")).json()
        same = (await client.get(f"/api/versions/{VERSION}")).json()
    assert "abandoned_cart" in names
    assert flow["message_class"] == "marketing"
    assert "Wait 1 hour" in flow["explanation"]
    assert version == same
    assert (version["live"], version["revision"], version["templates"]) == (True, 1, ["a"])


async def test_runs_and_events_are_shown(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:
        (run,) = (await client.get("/api/enrolments", params={"contact_id": ada})).json()
        assert (await client.get(f"/api/enrolments/{RUN}")).json() == run
        event = (await client.get(f"/api/events/{EVENT}")).json()
        assert (await client.get("/api/events", params={"contact_id": ada})).json() == [event]
        older = {"contact_id": ada, "before": EVENT}
        assert (await client.get("/api/events", params=older)).json() == []
    assert (run["flow"], run["key"], run["event_id"]) == ("abandoned_cart", "c1", EVENT)
    assert (event["source_id"], event["payload"]) == ("s1", {"total": "9.90"})


async def test_messages_are_listed_newest_first_and_filtered(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:

        async def ids(**query: str | int) -> list[str]:
            answer = await client.get("/api/messages", params=query)
            assert answer.status_code == 200
            return [message["id"] for message in answer.json()]

        newest = MESSAGES[::-1]
        assert await ids() == newest
        assert await ids(limit=2) == newest[:2]
        assert await ids(flow="abandoned_cart", status="queued") == newest
        assert await ids(limit=1, before=newest[0]) == newest[1:2]
        assert await ids(before=newest[1]) == newest[2:]
        assert await ids(before=newest[2]) == []
        assert await ids(before=NOBODY) == []
        assert await ids(flow="other") == []
        assert await ids(status="sent") == []
        assert await ids(contact="ada@example.com") == newest
        assert await ids(contact=ada) == newest
        assert await ids(since=(NOW + timedelta(minutes=2)).isoformat()) == newest[:1]
        one = (await client.get(f"/api/messages/{MESSAGES[0]}")).json()
    assert (one["contact"], one["status"]) == ("ada@example.com", "queued")


async def test_pages_of_messages_written_at_once_lose_none(web: World, ada: ContactId) -> None:
    more = [f"018f3c5e-7a2b-7cde-9f01-{number:012}" for number in range(5)]
    with web.database.transaction() as uow:
        rows = [replace(_message(MessageId(one), ada), step=one) for one in more]
        uow.messages.insert(rows, NOW + timedelta(hours=1))
    found: list[str] = []
    async with web.client(headers=BEARER) as client:
        while True:
            query = {"limit": "3"} | ({"before": found[-1]} if found else {})
            page = (await client.get("/api/messages", params=query)).json()
            if not page:
                break
            found += [message["id"] for message in page]
    assert found == [*more[::-1], *MESSAGES[::-1]]


async def test_a_suppression_is_shown_to_who_knows_the_address(web: World, ada: ContactId) -> None:
    async with web.client(headers=BEARER) as client:

        async def found(**query: str) -> object:
            return (await client.get("/api/suppressions", params=query)).json()

        hard = {"channel": "sms", "address": "+358401234567", "hard": True}
        assert await found(address="+358401234567") == [hard]
        assert await found(address="+358401234567", channel="email") == []


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"/api/{path}/{one}"
            for path in ("contacts", "enrolments", "events", "messages")
            for one in ("none", NOBODY)
        ),
        f"/api/contacts/{NOBODY}/consents",
        "/api/flows/none",
        "/api/versions/none",
        "/api/enrolments?contact_id=none",
        "/api/messages?contact=nobody@x.example",
        "/api/messages?contact=nobody",
        "/api/nowhere",
    ],
)
async def test_what_is_not_there_is_404(web: World, path: str) -> None:
    async with web.client(headers=BEARER) as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/messages?limit=0",
        "/api/messages?limit=9999",
        "/api/messages?status=odd",
        "/api/messages?since=yesterday",
        "/api/suppressions",
        "/api/suppressions?address=a&channel=fax",
        "/api/contacts?email=" + "x" * 300,
    ],
)
async def test_a_question_that_cannot_be_read_is_422(web: World, path: str) -> None:
    async with web.client(headers=BEARER) as client:
        answer = await client.get(path)
    assert answer.status_code == 422
    assert answer.json()["title"] == "Unreadable request"
    assert answer.json()["detail"]


async def test_nothing_can_be_changed_by_api_yet(web: World) -> None:
    async with web.client(headers=BEARER) as client:
        for method in ("POST", "PUT", "DELETE"):
            assert (await client.request(method, "/api/contacts")).status_code == 405


async def test_before_publishing_there_are_no_flows(web: World) -> None:
    bare = web.changed(library=FixedLibrary(None))
    async with bare.client(headers=BEARER) as client:
        assert (await client.get("/api/flows")).status_code == 404
        assert (await client.get("/api/versions")).json() == []


async def test_figures_are_for_the_bearer_and_count_the_waiting_work(
    web: World, ada: ContactId
) -> None:
    web.clock.step(timedelta(minutes=5))
    async with web.client(headers=BEARER) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "orchestrator_enrolments_due 1.0" in answer.text
    assert "orchestrator_messages_due 3.0" in answer.text
    assert "orchestrator_oldest_due_seconds 300.0" in answer.text


async def test_figures_are_shown_while_the_database_is_out_of_reach(
    web: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_work: object) -> None:
        raise TransientError("out of reach")

    monkeypatch.setattr(web.database, "query", fail)
    async with web.client(headers=BEARER) as client:
        assert (await client.get("/metrics")).status_code == 200
        answer = await client.get("/api/contacts", params={"email": "a@b.example"})
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert answer.headers["retry-after"]


async def test_alive_always_and_ready_when_nothing_is_missing(web: World) -> None:
    async with web.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        web.outside.reasons.append("starting")
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not_ready", "reasons": ["starting"]}
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.head("/healthz")).status_code == 200
