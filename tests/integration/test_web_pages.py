"""The marketers' pages of a shop in which something has happened."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from orchestrator.bootstrap.application import App
from orchestrator.bootstrap.files import read_files
from orchestrator.ports import Delivery, DeliveryOutcome
from orchestrator.services.publishing import publish
from tests.integration.shop import BRAND, ROOT, Shop, checkout, open_shop

pytestmark = pytest.mark.anyio

FORKED = """\
flows:
  cart:
    title: Left basket
    description: For those who nearly bought.
    stage: purchase
    class: marketing
    topic: offers
    when: {event: checkout.started}
    key: event.checkout_id
    exit_when:
      event: order.placed
      where: event.checkout_id == key
    steps:
      - wait: 1 hour
      - send: cart/reminder
        id: first
      - if: contact.orders.count == 0
        then:
          - send: cart/nudge
            id: newcomer
        otherwise:
          - exit: knows us
      - wait: 2 days
"""
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}\u202e"
PAGES = ["/", "/journeys/cart", "/journeys/cart/first", "/people", "/messages", "/publishing"]


class Outline(HTMLParser):
    """What a page says, and whether its parts are well formed."""

    VOID = frozenset({"meta", "input", "br", "img", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace(" ,", ",")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def shop(tmp_path: Path, _migrated_sqlite_url: str) -> Iterator[Shop]:
    """On SQLite alone: what the pages read is held on both databases by tests/contract."""
    with open_shop(tmp_path, _migrated_sqlite_url) as opened:
        yield opened


@pytest.fixture
async def inside(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is logged in."""
    app: App = shop.app
    transport = httpx.ASGITransport(app.web)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        answer = await client.post("/login/" + app.access.login_token(shop.clock.now()))
        assert answer.status_code == 303
        yield client


async def seen(client: httpx.AsyncClient, path: str) -> Outline:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return Outline(answer.text)


async def busy(shop: Shop) -> None:
    """Ada bought, Bea is on her way, Cleo has said yes to nothing."""
    shop.publish(BRAND + FORKED)
    await shop.receive("checkout.started", "ada@example.com", **checkout("c1"))
    await shop.receive("order.placed", "ada@example.com", checkout_id="c1", order_id="o1")
    await shop.receive(
        "checkout.started",
        "bea@example.com",
        contact={"first_name": "Bea", "last_name": "Berg", "phone": "+358401234567"},
        **checkout("c2"),
    )
    await shop.receive("checkout.started", "cleo@example.com", **checkout("c3", consent={}))
    await shop.pass_time(hours=2)


# Journeys -----------------------------------------------------------------------------------


async def test_the_board_tells_a_journey_in_words_and_figures(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    text = (await seen(inside, "/")).text
    assert "Purchase Marketing · Offers Left basket For those who nearly bought." in text
    assert "A person enters when they start a checkout." in text
    assert "here now 2 entered 3 sent 2" in text


async def test_the_board_draws_each_journey_with_who_stands_where(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    strip = (await seen(inside, "/")).text.partition("start a checkout. ")[2]
    assert strip.startswith("1 hour email if email end 2 days 2 here now")


async def test_a_journey_is_drawn_with_who_stands_where(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    text = (await seen(inside, "/journeys/cart")).text
    assert "here now 2 entered in 30 days 3 of those, at the end 0" in text
    assert "Wait 1 hour 2 passed" in text
    assert "email Your basket is still here cart/reminder 1 sent 1 not sent 2 passed" in text
    assert "If not The run ends here: knows us" in text
    assert "Wait 2 days 2 here now" in text
    assert text.index("If so") < text.index("cart/nudge") < text.index("If not")


async def test_steps_that_are_gone_are_told_apart(shop: Shop, inside: httpx.AsyncClient) -> None:
    await busy(shop)
    shop.publish(BRAND + FORKED.replace("      - wait: 2 days\n", ""))
    text = (await seen(inside, "/journeys/cart")).text
    assert "2 more stand at steps of older versions that are gone in this one." in text


async def test_a_message_is_shown_in_light_and_dark(shop: Shop, inside: httpx.AsyncClient) -> None:
    page = await inside.get("/journeys/privacy_notice/1")
    assert page.status_code == 404
    outline = await seen(inside, "/journeys/cart/first")
    frames = outline.all("iframe")
    paths = [f"/journeys/cart/first/{look}" for look in ("light", "dark")]
    assert [frame["src"] for frame in frames] == paths
    assert all("sandbox" in frame and not frame["sandbox"] for frame in frames)
    light, dark = [await inside.get(path) for path in paths]
    assert "@media not all" in light.text
    assert "@media all" in dark.text
    assert "prefers-color-scheme" not in light.text + dark.text
    policy = dark.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert (
        "frame-src 'self'"
        in (await inside.get("/journeys/cart/first")).headers["content-security-policy"]
    )


async def test_a_text_message_is_shown_as_a_bubble(shop: Shop, inside: httpx.AsyncClient) -> None:
    shop.publish(BRAND + FORKED.replace("id: first", "id: first\n        via: [email, sms]"))
    outline = await seen(inside, "/journeys/cart/first")
    assert "By SMS" in outline.text
    assert {"class": "bubble"} in outline.all("p")
    assert (await inside.get("/journeys/cart/first/sepia")).status_code == 404


# People and messages ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["bea@example.com", "+358 40 1234567", "BEA@example.com "])
async def test_who_is_named_beyond_doubt_is_opened(
    shop: Shop, inside: httpx.AsyncClient, text: str
) -> None:
    await busy(shop)
    answer = await inside.get("/people", params={"q": text})
    path = f"/people/{shop.contact_id('bea@example.com')}"
    assert (answer.status_code, answer.headers["location"]) == (303, path)


async def test_people_are_found_by_name(shop: Shop, inside: httpx.AsyncClient) -> None:
    await busy(shop)
    found = (await seen(inside, "/people?q=ber")).text
    assert "Bea Berg bea@example.com +358401234567" in found
    assert "ada@example.com" not in found
    assert "Nobody is found for “zz”" in (await seen(inside, "/people?q=zz")).text


async def test_a_long_list_of_people_has_a_next_page(shop: Shop, inside: httpx.AsyncClient) -> None:
    for number in range(51):
        await shop.receive("contact.created", f"p{number}@example.com")
    first = await inside.get("/people")
    (older,) = re.findall(r'href="(/people\?before=[^"]+)"', first.text)
    assert "p50@example.com" in first.text
    assert "p0@example.com" not in first.text
    assert "p0@example.com" in (await inside.get(older)).text


async def test_a_person_shows_consent_first_and_then_what_happened(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    text = (await seen(inside, f"/people/{shop.contact_id('bea@example.com')}")).text
    assert "Yes to News and Offers by email, since 20 November 2026" in text
    steps = ["Left basket: cart/nudge by email", "Entered Left basket", "Started a checkout"]
    assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
    assert "Allowed by consent record" in text
    assert "Notebook · 40" in text
    assert "Stands at step 4, goes on in 1 day" in text
    assert "Times are the shop's, Europe/Helsinki." in text


async def test_messages_tell_their_reasons_and_are_chosen_by_state(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    everything = (await seen(inside, "/messages")).text
    assert "not sent they have not agreed to this cleo@example.com" in everything
    refused = (await seen(inside, "/messages?state=not_sent&flow=cart&time=day")).text
    assert "bea" not in refused.lower()
    assert "cleo@example.com" in refused
    assert "No such messages." in (await seen(inside, "/messages?flow=nothing")).text


async def test_what_the_address_asks_for_in_vain_is_passed_over(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    await busy(shop)
    asked = "/messages?state=lost&time=never&before=x&flow="
    assert (await seen(inside, asked)).text.count("cart/") == 4
    assert (await inside.get("/people/nobody")).status_code == 404
    assert (await inside.get("/people?before=x")).status_code == 200


# Publishing ---------------------------------------------------------------------------------


async def test_a_refused_edit_shows_on_every_page_with_its_lines(
    shop: Shop, inside: httpx.AsyncClient
) -> None:
    file = shop.folder / "flows.yaml"
    file.write_text(BRAND + FORKED.replace("exit_when:", "exit_wen:").replace("2 days", "2 dyas"))
    read = read_files(file, ROOT / "templates")
    publish(shop.app.database, shop.app.library, read.candidate, "file", shop.clock)
    assert "Edit not live : 2 errors" in (await seen(inside, "/")).text
    answer = await inside.get("/publishing")
    line = read.candidate.source.splitlines().index("    exit_wen:") + 1
    assert f"flows.yaml:{line}:5</code>: <strong>unknown key &#34;exit_wen&#34;" in answer.text
    assert f"{line:>5} |     exit_wen:\n" in answer.text
    assert "      |     ^^^^^^^^</span>" in answer.text
    assert "did you mean &#34;exit_when&#34;?" in answer.text
    assert "What was live before stays live." in answer.text


async def test_a_published_edit_says_so(shop: Shop, inside: httpx.AsyncClient) -> None:
    text = (await seen(inside, "/publishing")).text
    assert "Live flows.yaml was published just now" in text
    assert shop.app.library.live() in text


# Every page ---------------------------------------------------------------------------------


async def test_a_hostile_name_breaks_no_page(shop: Shop, inside: httpx.AsyncClient) -> None:
    shop.publish(BRAND + FORKED)
    who = {"first_name": HOSTILE, "last_name": "x" * 10_000}
    items = [{"name": HOSTILE, "quantity": 1, "price": "1"}]
    await shop.receive("checkout.started", "e@example.com", contact=who, **checkout(items=items))
    await shop.receive(HOSTILE[:100], "e@example.com")
    await shop.pass_time(hours=2)
    person = f"/people/{shop.contact_id('e@example.com')}"
    for path in ("/people", "/people?q=%3Cscript%3E", "/messages", person):
        html = (await inside.get(path)).text
        assert "alert(1)" in html
        assert "<script" not in html
        assert "<img" not in html
        assert "xxx" * 30 not in html
        assert Outline(html).all("script") == []


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_well_formed_and_bring_all_they_need(
    shop: Shop, inside: httpx.AsyncClient, path: str
) -> None:
    await busy(shop)
    answer = await inside.get(path)
    outline = Outline(answer.text)
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = {one["for"] for one in outline.all("label")}
    fields = [one for one in outline.all("input") if one["type"] != "hidden"]
    assert all(one["id"] in names for one in (*fields, *outline.all("select")))
    assert all(one["scope"] == "col" for one in outline.all("th"))
    assert all(one.get("title") for one in (*outline.all("iframe"), *outline.all("time")))
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert " style=" not in answer.text
    ids = [one["id"] for _, one in outline.tags if "id" in one]
    assert len(ids) == len(set(ids))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy


async def test_empty_pages_say_what_to_do(shop: Shop, inside: httpx.AsyncClient) -> None:
    assert "orchestrator contacts import" in (await seen(inside, "/people")).text
    assert "orchestrator send-event" in (await seen(inside, "/messages")).text


async def test_a_message_in_doubt_is_told(shop: Shop, inside: httpx.AsyncClient) -> None:
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    shop.publish(BRAND + FORKED)
    await shop.receive("checkout.started", "bea@example.com", **checkout())
    await shop.pass_time(hours=2)
    text = (await seen(inside, "/messages")).text
    assert "in doubt sent, but no answer came bea@example.com" in text
