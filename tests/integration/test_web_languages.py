"""Pages for customers speak their language: from the mail to the proof of what was shown."""
# ruff: noqa: RUF001  # other alphabets are what this is about

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.rendering.links import SignedLinkTokens, TokenSigner
from orchestrator.rendering.locales import pieces, spoken_in
from orchestrator.web.pages import FOLDER
from tests.integration.shop import ROOT, Shop, open_shop

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
PAGES = ("unsubscribe", "unsubscribed", "preferences", "confirm", "confirmed")


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """The shipped shop."""
    with open_shop(tmp_path, database_url, (ROOT / "flows.yaml").read_text()) as opened:
        yield opened


def browser(shop: Shop) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(shop.app.web)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


def path(shop: Shop, purpose: LinkPurpose, root: str) -> str:
    signer = SignedLinkTokens(TokenSigner(["tests sign with this key"]), shop.clock)
    claims = LinkClaims(shop.contact_id(ADA), None, Channel.EMAIL, "news")
    return f"/{root}/{signer.sign(purpose, claims)}"


async def known(shop: Shop, locale: str | None, country: str = "FI") -> None:
    person = {"country": country, "locale": locale}
    yes = {"email": "yes", "sms": "unknown"}
    await shop.receive("contact.subscribed", ADA, contact=person, consent=yes)


@pytest.mark.parametrize(
    ("locale", "side", "heading", "done"),
    [
        ("fi-FI", "ltr", "Lopetetaanko ”Uutiset ja uutuudet” sähköpostitse?", "on peruttu"),
        ("pl", "ltr", "Zatrzymać „Wiadomości i nowości” e-mailem?", "zakończona"),
        ("ru", "ltr", "Остановить «Новости и новинки» по электронной почте?", "отписаны"),
        ("fa", "rtl", "«خبرها و تازه‌ها» با ایمیل متوقف شود؟", "عضویت شما لغو شد"),
        ("sv", "ltr", "Stop “News and new arrivals” by email?", "You are unsubscribed"),
        (None, "ltr", "Stop “News and new arrivals” by email?", "You are unsubscribed"),
    ],
)
async def test_unsubscribing_speaks_the_readers_language(
    shop: Shop, locale: str | None, side: str, heading: str, done: str
) -> None:
    await known(shop, locale)
    way = path(shop, LinkPurpose.UNSUBSCRIBE, "u")
    async with browser(shop) as client:
        asked = (await client.get(way, headers={"accept-language": "de"})).text
        answer = (await client.post(way)).text
    tag = (locale or "en").partition("-")[0]
    assert f'<html lang="{"en" if tag == "sv" else tag}" dir="{side}">' in asked
    assert f"<h1>{heading}</h1>" in asked
    assert done in answer


@pytest.mark.parametrize("locale", ["fi", "fa"])
async def test_no_word_of_english_is_left_on_a_translated_page(shop: Shop, locale: str) -> None:
    await known(shop, locale, "DE")
    ways = [
        path(shop, LinkPurpose.UNSUBSCRIBE, "u"),
        path(shop, LinkPurpose.PREFERENCES, "preferences"),
        path(shop, LinkPurpose.CONFIRM, "confirm"),
    ]
    async with browser(shop) as client:
        pages = [(await client.get(way)).text for way in ways]
        pages += [(await client.post(ways[2])).text]
        pages += [(await client.post(ways[1], data={"stop": "all"})).text]
        pages += [(await client.post(ways[0])).text]
    english = {
        words.strip(" :.”“")
        for name in PAGES
        for _, text, _ in spoken_in((FOLDER / f"{name}.html").read_text())
        for words, _ in pieces(str(text))
        if len(words) > 5
    }
    for page in pages:
        seen = re.sub(r"<[^>]*>", " ", page.partition("<body")[2])
        assert [words for words in english if words in seen] == []


async def test_the_proof_holds_the_words_and_the_language_that_were_shown(shop: Shop) -> None:
    await shop.receive("contact.created", ADA, contact={"country": "FI", "locale": "fi"})
    way = path(shop, LinkPurpose.PREFERENCES, "preferences")
    async with browser(shop) as client:
        saved = await client.post(way, data={"shown": ["email:news"], "on": ["email:news"]})
    assert "Tästä lähtien saat sähköpostitse: ”Uutiset ja uutuudet”." in saved.text
    with shop.app.database.read() as uow:
        (record,) = uow.consents.records(shop.contact_id(ADA))
    assert record.details["wording"] == (
        "Mitä saamme lähettää sinulle? Sähköpostitse: Uutiset ja uutuudet."
    )
    assert record.details["wording_locale"] == "fi"


@pytest.mark.parametrize(
    ("header", "lang"),
    [("fa-IR,fa;q=0.9,en;q=0.8", "fa"), ("sv,fi;q=0.8", "fi"), ("", "en"), ("*;;,<x>", "en")],
)
async def test_where_nobody_is_known_the_browser_is_asked(
    shop: Shop, header: str, lang: str
) -> None:
    async with browser(shop) as client:
        for way in ("/u/x", "/preferences/x", "/confirm/x", "/view/x", "/c/x"):
            answer = await client.get(way, headers={"accept-language": header})
            assert answer.status_code == 404
            assert f'<html lang="{lang}"' in answer.text


async def test_a_page_does_not_depend_on_finding_its_language(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known(shop, "fi")
    way = path(shop, LinkPurpose.UNSUBSCRIBE, "u")

    async def out_of_reach(*_: object) -> None:
        raise TransientError("the database is away")

    monkeypatch.setattr("orchestrator.services.preferences.Preferences.locale", out_of_reach)
    async with browser(shop) as client:
        answer = await client.post(way)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
