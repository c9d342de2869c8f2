from __future__ import annotations

import re
from datetime import date
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.flows import (
    AttributeType,
    Brand,
    LocalText,
    Logo,
    MessageClass,
    PrivacyNotice,
    Topic,
)
from orchestrator.rendering.context import RenderContext, is_web_link
from orchestrator.rendering.email import EmailRenderer
from orchestrator.rendering.templates import built_in

PAGE = """{% extends "shell.html" %}
{% block subject %}Hello {{ contact.first_name }}{% endblock %}
{% block preheader %}Things & more{% endblock %}
{% block content %}
{{ heading("One & two") }}
<p>A <a href="{{ brand.url }}">plain link</a>.</p>
{{ product_list(event.items, currency=event.currency, total=event.total) }}
{{ button("Go on", event.checkout_url or brand.url) }}
{{ quiet_link("Later", brand.url) }}
{% call note() %}Code <strong>TEA</strong>{% endcall %}
{{ image("https://cdn.northwind.example/tea.png", "A cup of tea") }}
{{ divider() }}
{% endblock %}
"""
SHORT = """{% extends "shell.html" %}{% block subject %}SUBJECT{% endblock %}
{% block content %}CONTENT{% endblock %}"""

LINKS = {
    "unsubscribe": "https://mail.northwind.example/u/tok-en_1",
    "preferences": "https://mail.northwind.example/preferences/tok-en_2",
    "confirm": "https://mail.northwind.example/confirm/tok-en_3",
    "view": "https://mail.northwind.example/view/tok-en_4",
    "privacy": "https://northwind.example/privacy",
}
ITEMS: list[dict[str, Any]] = [
    {"name": "Moominland Midwinter", "quantity": 1, "price": "12.90"},
    {
        "name": "The Summer Book",
        "quantity": "2",
        "price": 14.5,
        "url": "https://northwind.example/b",
    },
    {"name": "A map", "image": "https://cdn.northwind.example/map.png", "price": "5"},
]
CART = {"items": ITEMS, "total": "46.90", "currency": "EUR", "type": "checkout.started"}


def brand(**more: Any) -> Brand:
    fields: dict[str, Any] = {
        "name": LocalText("Northwind Books", {"fa": "کتاب"}),
        "legal_name": LocalText("Northwind Books Oy"),
        "url": "https://northwind.example",
        "email_marketing": "Northwind <news@m.northwind.example>",
        "email_service": "Northwind <hello@northwind.example>",
        "postal_address": LocalText("Keskuskatu 1, 00100 Helsinki"),
        "support": "help@northwind.example",
        "locale": "en",
        "timezone": "Europe/Helsinki",
        "currency": "EUR",
        "privacy": PrivacyNotice("2026-12", date(2026, 12, 15), "https://northwind.example/p"),
        **more,
    }
    return Brand(**fields)


TOPICS = {"offers": Topic("offers", LocalText("Offers and sales"))}


def renderer(page: str = PAGE, brand_: Brand | None = None, **files: str) -> EmailRenderer:
    more = {f"email/cart/{name.replace('_', '.')}.html": text for name, text in files.items()}
    sources = {**built_in(), "email/cart/page.html": page, **more}
    return EmailRenderer(sources, brand_ or brand(), TOPICS, {"points": AttributeType.NUMBER})


def context(message_class: MessageClass = MessageClass.MARKETING, **more: Any) -> RenderContext:
    facts: dict[str, Any] = {"contact": {"first_name": "Ada"}, "event": CART, **more}
    return RenderContext(message_class, LINKS, topic="offers", **facts)


class Outline(HTMLParser):
    """The elements of a page in order, with their attributes, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parents: list[str] = []
        self.body_children: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.parents[-1:] == ["body"]:
            self.body_children.append(dict(attrs))
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "hr"}:
            self.parents.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.parents.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def skeleton(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.elements]


def test_subject_preheader_html_and_text_come_from_one_template() -> None:
    mail = renderer().render("cart/page", context())
    assert (mail.subject, mail.preheader, mail.locale) == ("Hello Ada", "Things & more", "en")
    assert "<title>Hello Ada</title>" in mail.html
    assert "Things &amp; more" in mail.html
    assert mail.text.startswith("One & two\n\nA plain link <https://northwind.example>.\n")
    for line in (
        "- Moominland Midwinter, 1 × €12.90",
        "- The Summer Book, 2 × €14.50",
        "Total: €46.90",
        "Go on:\nhttps://northwind.example",
        "Code TEA",
        "A cup of tea",
    ):
        assert line in mail.text


def test_the_page_holds_the_basics_of_an_accessible_mail() -> None:
    outline = Outline(renderer().render("cart/page", context()).html)
    (html,) = outline.of("html")
    assert (html["lang"], html["dir"]) == ("en", "ltr")
    assert [(child["lang"], child["dir"]) for child in outline.body_children] == [("en", "ltr")]
    assert all(table["role"] == "presentation" for table in outline.of("table"))
    assert all("alt" in image for image in outline.of("img"))
    assert len(outline.of("h1")) == 1
    assert {meta.get("name") for meta in outline.of("meta")} >= {
        "color-scheme",
        "supported-color-schemes",
    }


def test_every_painted_element_has_a_class_with_a_dark_rule() -> None:
    html = renderer().render("cart/page", context()).html
    dark = html[html.index("@media (prefers-color-scheme:dark)") : html.index("</head>")]
    for tag, attributes in Outline(html).elements:
        style = attributes.get("style") or ""
        if re.search(r"#[0-9a-f]{6}", style):
            names = (attributes.get("class") or "").split()
            assert any(re.search(rf"\.{name}[,{{]", dark) for name in names), (tag, style)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_product_list_has_a_row_per_item(count: int) -> None:
    html = renderer().render("cart/page", context(event={"items": ITEMS[:count]})).html
    assert html.count('class="product-name"') == count
    for item in ITEMS[:count]:
        assert str(item["name"]) in html


def test_a_mail_needs_no_more_than_an_address() -> None:
    mail = renderer().render("cart/page", context(event=None, contact={"email": "a@b.example"}))
    assert mail.subject == "Hello"
    assert "None" not in mail.text + mail.html


@pytest.mark.parametrize(
    ("message_class", "unsubscribe", "preferences"),
    [
        (MessageClass.MARKETING, True, True),
        (MessageClass.SERVICE, False, True),
        (MessageClass.LEGAL, False, True),
        (MessageClass.TRANSACTIONAL, False, False),
    ],
)
def test_the_footer_offers_the_ways_out_of_its_class(
    message_class: MessageClass, unsubscribe: bool, preferences: bool
) -> None:
    mail = renderer().render("cart/page", context(message_class))
    for part in (mail.html, mail.text):
        assert (LINKS["unsubscribe"] in part) is unsubscribe
        assert (LINKS["preferences"] in part) is preferences
        for fact in (
            "Northwind Books Oy",
            "Keskuskatu 1, 00100 Helsinki",
            "help@northwind.example",
            LINKS["privacy"],
            "You get this because",
        ):
            assert fact in part


def test_the_plain_part_has_every_address_of_the_page() -> None:
    mail = renderer().render("cart/page", context())
    for link in Outline(mail.html).of("a"):
        address = unescape(link["href"] or "").removeprefix("mailto:")
        # Alone: the shop's own address is also how its privacy policy's begins.
        assert re.search(rf"{re.escape(address)}(?![^\s<>])", mail.text), address


def test_the_same_input_gives_the_same_mail() -> None:
    assert renderer().render("cart/page", context()) == renderer().render("cart/page", context())


def test_a_page_stays_far_below_the_size_at_which_clients_clip() -> None:
    many = {**CART, "items": ITEMS * 12}
    assert len(renderer().render("cart/page", context(event=many)).html.encode()) < 80_000


HOSTILE = st.text(max_size=40) | st.sampled_from(
    ['"><script>alert(1)</script>', "a\r\nBcc: x@y.example", "<!--part-->", "{{ brand }}", "\x1e"]
)


@settings(max_examples=30)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_data_adds_no_element_and_no_attribute(name: str, title: str, url: str) -> None:
    event = {"items": [{"name": title, "url": url, "quantity": 1, "price": "1"}], "data": {}}
    mail = SHARED.render("cart/page", context(event=event, contact={"first_name": name}))
    tame = {"items": [{"name": "tame", "quantity": 1, "price": "1"}]}
    usual = SHARED.render("cart/page", context(event=tame))
    assert Outline(mail.html).skeleton() == Outline(usual.html).skeleton()
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject + mail.text


SHARED = renderer()


def test_data_turns_no_words_around() -> None:
    event = {"items": [{"name": "\u2066\u202eTea", "quantity": 1, "price": "1"}], "data": {}}
    mail = SHARED.render("cart/page", context(event=event, contact={"first_name": "\u202eAda"}))
    assert "Ada" in mail.html
    assert "Tea" in mail.text
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", mail.html + mail.text + mail.subject)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://northwind.example/a?b=c#d", True),
        ("http://127.0.0.1:8000/u/x", True),
        ("http://localhost/x", True),
        ("mailto:a@b.example", True),
        ("http://northwind.example", False),
        ("javascript:alert(1)", False),
        (" https://northwind.example", False),
        ("https://northwind.example/a b", False),
        ("data:text/html,x", False),
        (None, False),
    ],
)
def test_only_safe_addresses_become_links(url: object, wanted: bool) -> None:
    assert is_web_link(url) is wanted


def test_a_button_without_a_safe_address_fails_with_its_line() -> None:
    page = SHORT.replace("CONTENT", '\n{{ button("Go", "javascript:alert(1)") }}')
    with pytest.raises(RenderFailed, match=r"cart/page\.html:3: javascript:alert\(1\) is no"):
        renderer(page).render("cart/page", context())


def test_a_plain_part_written_by_hand_replaces_the_made_one() -> None:
    page = (
        SHORT + "{% block text %}Dear {{ contact.first_name }},\n\n  your tea & cake{% endblock %}"
    )
    mail = renderer(page).render("cart/page", context())
    assert mail.text.startswith("Dear Ada,\n\n  your tea & cake\n")
    assert LINKS["unsubscribe"] in mail.text
    assert "CONTENT" in mail.html


def test_a_step_may_give_its_own_subject() -> None:
    given_subject = LocalText("Another", {"fi": "Toinen"})
    mail = renderer().render("cart/page", context(subject=given_subject))
    assert mail.subject == "Another"


def test_step_outputs_and_attributes_are_names() -> None:
    page = SHORT.replace("CONTENT", "{{ gift.code }} {{ gift.more }}{{ contact.points }}")
    contact = {"points": "12"}
    mail = renderer(page).render(
        "cart/page", context(contact=contact, outputs={"gift": {"code": "TEA"}})
    )
    assert mail.text.startswith("TEA 12\n")


@pytest.mark.parametrize(
    ("locale", "subject", "lang"),
    [("fi-FI", "Hei", "fi"), ("fi", "Hei", "fi"), ("sv", "SUBJECT", "en"), (None, "SUBJECT", "en")],
)
def test_a_locale_of_its_own_file_or_wholly_the_brands(
    locale: str | None, subject: str, lang: str
) -> None:
    mails = renderer(SHORT, page_fi=SHORT.replace("SUBJECT", "Hei"))
    mail = mails.render("cart/page", context(locale=locale))
    assert (mail.subject, mail.locale) == (subject, lang)
    assert f'<html lang="{lang}" dir="ltr"' in mail.html


def test_a_language_from_right_to_left_turns_the_page() -> None:
    mail = renderer(SHORT, page_fa=SHORT.replace("SUBJECT", "سلام")).render(
        "cart/page", context(locale="fa-IR")
    )
    assert '<html lang="fa" dir="rtl"' in mail.html
    assert "text-align:left" not in mail.html
    assert "text-align:right" in mail.html
    assert "کتاب" in mail.html


def test_a_logo_has_one_alternative_text_and_a_dark_twin() -> None:
    logo = Logo("https://cdn.northwind.example/l.png", "https://cdn.northwind.example/d.png")
    images = Outline(renderer(SHORT, brand(logo=logo)).render("cart/page", context()).html).of(
        "img"
    )
    assert [(image["alt"], image.get("aria-hidden")) for image in images] == [
        ("Northwind Books", None),
        ("", "true"),
    ]
    assert "display:none" in (images[1]["style"] or "")


def test_the_brands_accent_paints_the_button() -> None:
    mail = renderer(PAGE, brand(theme={"accent": "#7a0b0b"})).render("cart/page", context())
    assert "background-color:#7a0b0b" in mail.html


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (SHORT.replace("CONTENT", "{{ evnt.total }}"), 'unknown name "evnt"'),
        (SHORT.replace("CONTENT", "{% if %}"), "Expected an expression"),
        (PAGE, ""),
    ],
)
def test_a_template_is_checked_without_data(page: str, message: str) -> None:
    failures = renderer(page).check("cart/page")
    assert [message in failure.message for failure in failures] == ([True] if message else [])


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<p>no shell</p>", "begins with"),
        (SHORT.replace("SUBJECT", " "), "the subject is empty"),
        ('{% extends "shel.html" %}', 'unknown template "shel.html", did you mean "shell.html"?'),
    ],
)
def test_a_page_that_is_no_mail_fails_with_a_reason(page: str, message: str) -> None:
    with pytest.raises(RenderFailed, match=message):
        renderer(page).render("cart/page", context())


def test_a_missing_template_is_named() -> None:
    with pytest.raises(RenderFailed, match=r"there is no file templates/email/cart/none\.html"):
        renderer().render("cart/none", context())
