"""Confirming and choosing, from the links in real mails to the gate, on each database."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest

from orchestrator.domain.consent import LedgerRecord
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import Event
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.rendering.links import SignedLinkTokens, TokenSigner
from tests.integration.shop import ROOT, Shop, open_shop

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
PHONE = "+4915112345678"
NOBODY = ContactId("018f3c5e-7a2b-7cde-9f00-0123456789ab")
YES = {"email": "yes", "sms": "yes"}
NEWS, OFFERS, REVIEWS = "email:news", "email:offers", "email:reviews"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """The shipped shop."""
    with open_shop(tmp_path, database_url, (ROOT / "flows.yaml").read_text()) as opened:
        yield opened


def browser(shop: Shop, **options: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(shop.app.web, **options)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


def tokens(shop: Shop) -> SignedLinkTokens:
    return SignedLinkTokens(TokenSigner(["tests sign with this key"]), shop.clock)


def claims(shop: Shop, channel: Channel | None = Channel.EMAIL) -> LinkClaims:
    return LinkClaims(shop.contact_id(ADA), None, channel, "news")


def preferences(shop: Shop) -> str:
    return "/preferences/" + tokens(shop).sign(LinkPurpose.PREFERENCES, claims(shop))


def link(shop: Shop, kind: str, number: int = -1) -> str:
    """The path of a link in a mail that was sent, as its reader finds it."""
    parsed = email.message_from_bytes(shop.provider.sent[number][1].body, policy=email.policy.SMTP)
    body = parsed.get_body(("html",))
    assert body is not None
    (found,) = set(re.findall(rf'"http://127\.0\.0\.1:8000(/{kind}/[\w-]+)"', body.get_content()))
    return str(found)


async def sign_up(shop: Shop, country: str = "DE", phone: str | None = None) -> None:
    person = {"country": country, "first_name": "Ada", "phone": phone, "timezone": "Europe/Berlin"}
    await shop.receive("contact.subscribed", ADA, contact=person, consent=YES)
    await shop.settle()


def standing(shop: Shop) -> dict[str, str]:
    contact_id = shop.contact_id(ADA)
    with shop.app.database.read() as uow:
        states = uow.consents.states([contact_id])[contact_id]
    return {f"{state.channel.value}:{state.topic}": state.status.value for state in states}


def records(shop: Shop) -> list[LedgerRecord]:
    with shop.app.database.read() as uow:
        return uow.consents.records(shop.contact_id(ADA))


def told(shop: Shop) -> list[Event]:
    """What journeys were told by ourselves, the oldest first."""
    with shop.app.database.read() as uow:
        found = uow.events.of_contact(shop.contact_id(ADA), 100)
    return [event for event in reversed(found) if event.source == "orchestrator"]


def ticked(html: str) -> list[str]:
    return re.findall(r'name="on" value="([\w:]+)" checked', html)


def shown(html: str) -> list[str]:
    return re.findall(r'name="shown" value="([\w:]+)"', html)


async def save(shop: Shop, *on: str, path: str | None = None) -> httpx.Response:
    """What a browser does: ask for the form, tick these boxes alone, press Save."""
    path = path or preferences(shop)
    async with browser(shop) as client:
        html = (await client.get(path)).text
        shop.clock.moment += timedelta(seconds=1)
        return await client.post(path, data={"shown": shown(html), "on": list(on)})


# Confirming ---------------------------------------------------------------------------------


async def test_double_opt_in_from_sign_up_to_the_first_letter(shop: Shop) -> None:
    await sign_up(shop)
    assert [message.template for message in shop.messages()] == ["welcome/confirm"]
    path = link(shop, "confirm")
    async with browser(shop) as client:
        asked = await client.get(path)
        assert asked.status_code == 200
        assert "News and new arrivals" in asked.text
        assert "a…@example.com" in asked.text
        await shop.pass_time(hours=2)
        assert standing(shop)[NEWS] == "requested"
        done = await client.post(path)
    assert (done.status_code, "set-cookie" in done.headers) == (200, False)
    assert "Thank you, it is confirmed" in done.text
    assert {standing(shop)[name] for name in (NEWS, OFFERS, REVIEWS)} == {"granted"}
    assert standing(shop)["sms:news"] == "requested"
    await shop.pass_time(days=4)
    assert [message.template for message in shop.messages()] == [
        "welcome/confirm",
        "welcome/hello",
        "welcome/start",
    ]
    assert {message.state.value for message in shop.messages()} == {"sent"}


async def test_the_ledger_proves_the_confirmation(shop: Shop) -> None:
    await sign_up(shop)
    async with browser(shop) as client:
        await client.post(link(shop, "confirm"), headers={"user-agent": "Reader/1.0"})
    record = records(shop)[-1]
    message_id, _ = shop.provider.sent[0]
    assert (record.action.value, record.method) == ("confirmed", "double_opt_in")
    assert record.details["message_id"] == message_id
    assert record.details["confirmed_at"] == shop.clock.moment.isoformat()
    assert record.details["collection_point"] == "/confirm"
    assert "News and new arrivals" in record.details["wording"]
    assert record.personal is not None
    assert record.personal["user_agent"] == "Reader/1.0"
    assert record.personal["address"] == ADA


async def test_a_confirmation_counts_once_and_says_so_again(shop: Shop) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")
    async with browser(shop) as client:
        await client.post(path)
        written = len(records(shop))
        again = await client.post(path)
        looked = await client.get(path)
    assert (again.status_code, looked.status_code) == (200, 200)
    assert "Already confirmed" in again.text
    assert "Already confirmed" in looked.text
    assert len(records(shop)) == written
    assert [event.type for event in told(shop)] == ["contact.confirmed"]
    assert told(shop)[0].payload["data"] == {"topics": ["news", "offers", "reviews"]}


async def test_of_two_presses_at_once_one_confirms(shop: Shop) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")
    async with browser(shop) as client:
        answers = await asyncio.gather(*(client.post(path) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum("Thank you, it is confirmed" in answer.text for answer in answers) == 1
    assert [record.action.value for record in records(shop)].count("confirmed") == 3
    assert [event.type for event in told(shop)] == ["contact.confirmed"]


async def test_a_spent_link_does_not_confirm_what_is_asked_for_later(shop: Shop) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")
    async with browser(shop) as client:
        await client.post(path)
        shop.clock.moment += timedelta(minutes=1)
        await client.post(preferences(shop), data={"stop": "all"})
        shop.clock.moment += timedelta(minutes=1)
        await sign_up(shop)
        assert standing(shop)[NEWS] == "requested"
        answer = await client.post(path)
    assert answer.status_code == 200
    assert "There is nothing to confirm" in answer.text
    assert standing(shop)[NEWS] == "requested"


async def test_who_has_stopped_meanwhile_is_not_brought_back_by_the_link(shop: Shop) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")
    async with browser(shop) as client:
        shop.clock.moment += timedelta(minutes=1)
        await client.post(preferences(shop), data={"stop": "all"})
        answer = await client.post(path)
    assert "There is nothing to confirm" in answer.text
    assert standing(shop)[NEWS] == "withdrawn"


async def test_after_seven_days_the_link_says_that_it_is_too_old(shop: Shop) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")
    shop.clock.moment += timedelta(days=7)
    async with browser(shop) as client:
        for method in ("GET", "POST"):
            answer = await client.request(method, path)
            assert answer.status_code == 200
            assert "This link is too old" in answer.text
    assert standing(shop)[NEWS] == "requested"


@pytest.mark.parametrize("kind", ["confirm", "preferences"])
async def test_looking_changes_nothing(shop: Shop, kind: str) -> None:
    await sign_up(shop)
    before = records(shop)
    path = link(shop, "confirm") if kind == "confirm" else preferences(shop)
    async with browser(shop) as client:
        for method in ("GET", "HEAD", "GET"):
            assert (await client.request(method, path)).status_code == 200
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, path)).status_code == 405
    assert records(shop) == before
    assert told(shop) == []


async def test_forged_links_and_links_for_other_things_are_404(shop: Shop) -> None:
    await sign_up(shop)
    before = records(shop)
    stranger = SignedLinkTokens(TokenSigner(["somebody else's"]), shop.clock)
    purposes = {"confirm": LinkPurpose.CONFIRM, "preferences": LinkPurpose.PREFERENCES}
    async with browser(shop) as client:
        for page, own in purposes.items():
            real = tokens(shop).sign(own, claims(shop))
            bad = [
                real[:-4],
                real + "A",
                "x",
                "%00",
                "ä",
                "a" * 5000,
                stranger.sign(own, claims(shop)),
            ]
            bad += [tokens(shop).sign(one, claims(shop)) for one in LinkPurpose if one is not own]
            for token in bad:
                for method in ("GET", "POST"):
                    answer = await client.request(method, f"/{page}/{token}")
                    assert answer.status_code == 404
                    assert "This link does not work" in answer.text
    assert records(shop) == before


async def test_a_link_of_nobody_says_so(shop: Shop) -> None:
    gone = LinkClaims(NOBODY, None, Channel.EMAIL, None)
    async with browser(shop) as client:
        for page, purpose in [
            ("confirm", LinkPurpose.CONFIRM),
            ("preferences", LinkPurpose.PREFERENCES),
        ]:
            for method in ("GET", "POST"):
                path = f"/{page}/{tokens(shop).sign(purpose, gone)}"
                answer = await client.request(method, path, headers=FORM)
                assert answer.status_code == 404
                assert "There is nothing here any more" in answer.text


async def test_a_link_of_somebody_erased_brings_nothing_back(shop: Shop) -> None:
    await sign_up(shop)
    confirm, choose = link(shop, "confirm"), preferences(shop)
    before = records(shop)
    with shop.app.database.transaction() as uow:
        now = shop.clock.moment
        uow.contacts.update({shop.contact_id(ADA): {"erased_at": now}}, now)
    async with browser(shop) as client:
        for path in (confirm, choose):
            answer = await client.post(path, data={"on": [NEWS]})
            assert answer.status_code == 404
            assert "There is nothing here any more" in answer.text
    assert records(shop) == before


# Choosing -----------------------------------------------------------------------------------


async def test_the_form_shows_how_things_stand(shop: Shop) -> None:
    await sign_up(shop, "FI")
    html = (await save(shop, NEWS, REVIEWS)).text
    assert shown(html) == [NEWS, OFFERS, REVIEWS]
    assert ticked(html) == [NEWS, REVIEWS]
    assert "You will get no more “Offers and sales” by email." in html
    assert ADA not in unescape(html)
    assert shop.contact_id(ADA) not in html


async def test_texts_are_offered_to_whoever_has_a_phone(shop: Shop) -> None:
    await sign_up(shop, "FI", PHONE)
    async with browser(shop) as client:
        html = (await client.get(preferences(shop))).text
    assert shown(html) == [NEWS, OFFERS, REVIEWS, "sms:news", "sms:offers", "sms:reviews"]
    assert "…5678" in html
    assert PHONE not in html


async def test_what_was_sent_is_what_holds(shop: Shop) -> None:
    await sign_up(shop, "FI", PHONE)
    await save(shop, OFFERS, "sms:news")
    assert standing(shop) == {
        NEWS: "withdrawn",
        OFFERS: "granted",
        REVIEWS: "withdrawn",
        "sms:news": "granted",
        "sms:offers": "withdrawn",
        "sms:reviews": "withdrawn",
    }
    await save(shop, NEWS)
    assert {name for name, status in standing(shop).items() if status == "granted"} == {NEWS}
    types = [(event.type, event.payload.get("consent")) for event in told(shop)][1:]
    assert types == [
        ("contact.unsubscribed", {"email": "no"}),
        ("contact.unsubscribed", {"sms": "no"}),
        ("contact.unsubscribed", {"email": "no"}),
        ("contact.unsubscribed", {"sms": "no"}),
        ("contact.confirmed", None),
    ]


async def test_saving_without_a_change_records_nothing(shop: Shop) -> None:
    await sign_up(shop, "FI")
    before = records(shop)
    html = (await save(shop, NEWS, OFFERS, REVIEWS)).text
    assert "Everything stays as it is" in html
    assert records(shop) == before


async def test_unticked_boxes_of_somebody_unknown_stay_unknown(shop: Shop) -> None:
    await shop.receive("contact.created", ADA, contact={"country": "FI"})
    html = (await save(shop, OFFERS)).text
    assert "From now on you get “Offers and sales” by email." in html
    assert standing(shop) == {OFFERS: "granted"}


async def test_what_waits_for_confirmation_is_not_ticked_beforehand(shop: Shop) -> None:
    await sign_up(shop)
    async with browser(shop) as client:
        html = (await client.get(preferences(shop))).text
    assert ticked(html) == []
    assert html.count("Asked for, not confirmed yet") == 3
    await save(shop, NEWS)
    assert standing(shop)[NEWS] == "granted"
    assert standing(shop)[OFFERS] == "withdrawn"


async def test_a_tick_lets_the_welcome_go_on(shop: Shop) -> None:
    await sign_up(shop)
    await save(shop, NEWS, path=link(shop, "preferences"))
    await shop.settle()
    assert [message.template for message in shop.messages()][1:] == ["welcome/hello"]


async def test_the_gate_sees_what_was_chosen(shop: Shop) -> None:
    await sign_up(shop, "FI")
    assert [message.state.value for message in shop.messages()] == ["sent"]
    await save(shop, OFFERS)
    await shop.pass_time(days=4)
    assert [message.reason for message in shop.messages()] == [None, "no_consent"]


async def test_stop_everything_stops_every_channel_and_can_be_undone_in_place(shop: Shop) -> None:
    await sign_up(shop, "FI", PHONE)
    path = preferences(shop)
    async with browser(shop) as client:
        shop.clock.moment += timedelta(seconds=1)
        stopped = await client.post(path, data={"stop": "all", "on": [NEWS]})
        written = len(records(shop))
        again = await client.post(path, data={"stop": "all"})
    assert "Everything is stopped" in stopped.text
    assert "no more marketing from us by email or by text message. This" in stopped.text
    assert "WhatsApp" not in stopped.text
    assert "Stop everything</button>" not in stopped.text
    assert set(standing(shop).values()) == {"withdrawn"}
    assert {"email:*", "sms:*", "whatsapp:*"} <= set(standing(shop))
    assert (again.status_code, len(records(shop))) == (200, written)
    assert "From now on you get “News and new arrivals” by email." in (await save(shop, NEWS)).text
    assert standing(shop)[NEWS] == "granted"


async def test_the_ledger_proves_what_the_form_asked(shop: Shop) -> None:
    await shop.receive("contact.created", ADA, contact={"country": "FI"})
    await save(shop, OFFERS)
    (record,) = records(shop)
    assert record.method == "preference_page"
    assert record.details["collection_point"] == "/preferences"
    assert record.details["wording"] == (
        "What may we send you? By email: News and new arrivals; Offers and sales; Review requests."
    )


async def test_links_of_either_half_of_a_merged_person_lead_to_the_whole(shop: Shop) -> None:
    await shop.receive("contact.created", ADA, contact={"country": "FI"})
    await shop.receive("contact.created", contact={"phone": PHONE})
    with shop.app.database.read() as uow:
        halves = {uow.contacts.find("email", ADA), uow.contacts.find("phone", PHONE)}
    await shop.receive("contact.updated", ADA, contact={"phone": PHONE})
    assert len(halves) == 2
    for half, box in zip(halves, (NEWS, "sms:news"), strict=True):
        assert half is not None
        one = LinkClaims(half, None, Channel.EMAIL, None)
        path = "/preferences/" + tokens(shop).sign(LinkPurpose.PREFERENCES, one)
        html = (await save(shop, box, path=path)).text
        assert box in ticked(html)
        assert {"email:news", "sms:news"} <= set(shown(html))


# What strangers and machines send -------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"&".join(b"on=email:offers" for _ in range(10_000)), "headers": FORM},
        {"content": b"on=" + b"x" * 2_000_000, "headers": FORM},
        {"content": b"shown=email%3Anews", "headers": {"content-type": "text/plain"}},
        {"content": b"shown=\xff\xfe", "headers": FORM},
        {"json": {"shown": [NEWS], "stop": "all"}},
        {"files": {"stop": (None, "all")}},
        {"content": b"stop=all"},
    ],
    ids=["10000 fields", "2 MB", "text", "not UTF-8", "json", "multipart", "no type"],
)
async def test_a_form_that_cannot_be_read_changes_nothing(
    shop: Shop, sent: dict[str, object]
) -> None:
    await sign_up(shop, "FI")
    before = records(shop)
    async with browser(shop) as client:
        answer = await client.post(preferences(shop), **sent)  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert "could not be read. Nothing has changed." in answer.text
    assert ticked(answer.text) == [NEWS, OFFERS, REVIEWS]
    assert records(shop) == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"List-Unsubscribe": "One-Click"},
        {"on": ["email:nothing", "fax:offers", "email", ":", "", "email:*", "email:offers:x"]},
        {"shown": ["email:nothing", "email:*", "whatsapp:news", "sms:news", "\x00", "email:\x00"]},
        {"on": ["<script>alert(1)</script>", "email:<b>", "{{ 7 * 7 }}"], "other": ["x"] * 100},
    ],
    ids=["empty", "one-click", "unknown ticks", "unknown shown", "markup"],
)
async def test_what_the_form_never_offered_is_passed_over(
    shop: Shop, fields: dict[str, list[str]]
) -> None:
    await sign_up(shop, "FI")
    before = records(shop)
    async with browser(shop) as client:
        answer = await client.post(preferences(shop), data=fields, headers=FORM)
    assert answer.status_code == 200
    assert "Everything stays as it is" in answer.text
    assert "<script" not in answer.text
    assert records(shop) == before


async def test_a_topic_that_came_after_the_form_is_left_alone(shop: Shop) -> None:
    await sign_up(shop, "FI")
    async with browser(shop) as client:
        await client.post(preferences(shop), data={"shown": [NEWS], "on": [NEWS]})
    assert {standing(shop)[name] for name in (NEWS, OFFERS, REVIEWS)} == {"granted"}


async def test_when_storing_fails_no_page_claims_success(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(shop)
    path = link(shop, "confirm")

    async def failing(*_: object) -> None:
        raise TransientError("the disk is full")

    monkeypatch.setattr(type(shop.app.database), "run", failing)
    async with browser(shop) as client:
        for one, fields in [(path, {}), (preferences(shop), {"stop": "all"})]:
            answer = await client.post(one, data=fields, headers=FORM)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert "Not done yet" in answer.text


async def test_the_pages_are_for_everybody_and_keep_to_themselves(shop: Shop) -> None:
    await sign_up(shop, "DE", PHONE)
    async with browser(shop) as client:
        for path in (link(shop, "confirm"), preferences(shop)):
            for method in ("GET", "POST"):
                answer = await client.request(method, path, headers=FORM)
                html, headers = answer.text, answer.headers
                assert headers["cache-control"] == "no-store"
                assert headers["referrer-policy"] == "no-referrer"
                assert "default-src 'none'" in headers["content-security-policy"]
                assert "set-cookie" not in headers
                assert '<html lang="en" dir="ltr">' in html
                assert html.count("<h1>") == 1
                assert not re.search(r"<(script|img|link)|\son\w+=|\sstyle=", html)
                boxes = html.count('type="checkbox"')
                assert html.count('<label class="choice"><input type="checkbox"') == boxes
                assert html.count("<fieldset>") == html.count("<legend>")


async def test_an_opt_out_by_link_leads_to_the_choices(shop: Shop) -> None:
    await sign_up(shop, "FI")
    async with browser(shop) as client:
        done = (await client.post(link(shop, "u"))).text
        (path,) = re.findall(r'href="(/preferences/[\w-]+)"', done)
        html = (await client.get(path)).text
    assert ticked(html) == [OFFERS, REVIEWS]
