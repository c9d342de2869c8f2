"""Every shipped mail before a real browser: on a phone, in light and in dark."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from orchestrator.bootstrap.previews import Previews
from orchestrator.domain.flows import Channel, Logo, MessageClass
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.email import EmailRenderer
from orchestrator.rendering.templates import built_in, load_folder, template_files
from tests.browser.looking import DESKTOP, NOT_FOR_MAIL, PHONE, SMALLEST, Page, complaints, look
from tests.opinions.shipped import locales, shipped
from tests.unit.gallery import GALLERY
from tests.unit.lint_shop import book

ROOT = Path(__file__).parents[2]
WAYS = {
    name: f"https://mail.northwind.example/{name}/token"
    for name in ("unsubscribe", "preferences", "confirm", "view", "privacy")
}
CART = {
    "items": [{"name": "Tea", "quantity": 2, "price": "14.50", "url": "https://x.example/tea"}],
    "total": "29",
    "occurred_at": "2026-11-20T10:00:00+00:00",
}


@cache
def mails() -> dict[str, str]:
    """The HTML of every shipped mail, by its name."""
    previews = Previews(ROOT / "flows.yaml", ROOT / "templates")
    names = [
        name
        for channel, name, _ in template_files(load_folder(ROOT / "templates"))
        if channel is Channel.EMAIL
    ]
    return {name: previews.sample(name, Channel.EMAIL).html for name in names}


def pages(*looks: tuple[int, bool]) -> list[Page]:
    return [
        Page(name, html, width, dark, off=NOT_FOR_MAIL)
        for name, html in mails().items()
        for width, dark in looks
    ]


def test_axe_finds_nothing_in_any_mail_in_light_and_dark() -> None:
    found = look(pages((PHONE, False), (PHONE, True)))
    assert len(found) == 2 * len(mails())
    assert not complaints(found)


@cache
def gallery(locale: str) -> str:
    """The mail with every component, as it is in a language."""
    files = {**built_in(), f"email/all/gallery.{locale}.html": GALLERY}
    context = RenderContext(MessageClass.MARKETING, WAYS, locale=locale, event=CART)
    files["email/all/gallery.html"] = GALLERY
    cdn = "https://cdn.northwind.example"
    brand = replace(book().brand, logo=Logo(f"{cdn}/logo.png", f"{cdn}/logo-dark.png"))
    return EmailRenderer(files, brand).render("all/gallery", context).html


def test_every_component_can_be_read_and_hit_from_the_smallest_screen_on() -> None:
    looks = product(("en", "fa"), (SMALLEST, PHONE, DESKTOP), (False, True))
    found = look(
        [
            Page(f"gallery {locale}", gallery(locale), width, dark, off=NOT_FOR_MAIL)
            for locale, width, dark in looks
        ]
    )
    assert len(found) == 12
    assert not complaints(found)


def test_answers_and_stars_are_easy_to_hit_on_the_smallest_screen() -> None:
    (found,) = look([Page("gallery", gallery("en"), SMALLEST, axe=False, sizes=".star,.answer")])
    assert len(found["sizes"]) == 8
    assert all(min(size) >= 44 for size in found["sizes"]), found["sizes"]


def test_dark_mode_reaches_every_mail() -> None:
    asked = product(mails().items(), (False, True))
    found = look([Page(name, html, dark=dark, axe=False) for (name, html), dark in asked])
    for light, dark in zip(found[::2], found[1::2], strict=True):
        assert light["background"] != dark["background"], light["name"]


@pytest.mark.slow
@pytest.mark.parametrize("locale", locales())
def test_axe_finds_nothing_in_any_language_at_any_width(locale: str) -> None:
    made = [one for one in shipped() if one.locale == locale]
    assert {one.name for one in made} == set(mails())
    assert all(f'<html lang="{locale}"' in one.html for one in made)
    looks = list(product((SMALLEST, PHONE, DESKTOP), (False, True)))
    found = look(
        [
            Page(one.place, one.html, width, dark, off=NOT_FOR_MAIL)
            for one in made
            for width, dark in looks
        ]
    )
    assert len(found) == len(looks) * len(made)
    assert not complaints(found)


def test_the_checker_notices_what_is_wrong() -> None:
    wrong = (
        '<html lang="en"><head><title>Bad</title></head><body style="margin:0;width:900px">'
        '<p style="color:#bbb;background:#fff">Hardly to be read</p><img src="x.png">'
        '<a href="/a" style="display:block;width:10px;height:10px"></a></body></html>'
    )
    said = "\n".join(complaints(look([Page("wrong", wrong)])))
    for problem in ("900 px wide", "too small to hit", "color-contrast", "image-alt", "link-name"):
        assert problem in said


def test_what_the_checker_cannot_decide_is_said() -> None:
    unsure = (
        '<html lang="en"><head><title>Unsure</title></head><body><h1>Unsure</h1>'
        '<p style="color:#777;background:url(x.png)">Over a picture nobody saw</p></body></html>'
    )
    said = "\n".join(complaints(look([Page("unsure", unsure, off=NOT_FOR_MAIL)])))
    assert "undecided: color-contrast" in said
    assert "violations" not in said
