"""What every shipped mail and every component promises, looked up in the finished page.

Numbers such as 4.5 are those of WCAG 2.2; the rules about clients follow what they drop or rewrite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.domain.flows import Channel, FlowBook, MessageClass, SendStep
from orchestrator.flowfile import load_file
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.email import EmailRenderer, RenderedEmail
from orchestrator.rendering.sms import SmsRenderer
from orchestrator.rendering.templates import load_folder
from orchestrator.rendering.theme import TOKENS, contrast
from tests.unit.gallery import GALLERY
from tests.unit.mail_page import Element, Page, colours

ROOT = Path(__file__).parents[2]
LINKS = {
    "unsubscribe": "https://mail.northwind.example/u/" + "t" * 111,
    "preferences": "https://mail.northwind.example/preferences/" + "p" * 111,
    "confirm": "https://mail.northwind.example/confirm/" + "c" * 111,
    "view": "https://mail.northwind.example/view/" + "v" * 111,
    "privacy": "https://northwind.example/privacy",
}
TEA = "https://northwind.example/tea"
ITEM = {"name": "Tea", "quantity": 2, "price": "14.50", "url": TEA}
PICTURED = {**ITEM, "name": "A map", "image": "https://cdn.northwind.example/map.png"}
LONG = {**PICTURED, "name": "A long title, as books have them " * 3, "url": TEA + "?" * 200}
NAMELESS = {"name": " ", "url": "https://northwind.example/nameless"}
HOSTILE = '"><script>alert(1)</script>{{ brand }}{% if %}\r\nBcc: x\u202e’ 🎉' + "x" * 200


class Sample(NamedTuple):
    """A rendered mail, as a page too."""

    template: str
    message_class: MessageClass
    facts: str
    locale: str
    mail: RenderedEmail
    page: Page

    def __str__(self) -> str:
        return f"{self.template} ({self.facts}, {self.locale})"


@cache
def book() -> FlowBook:
    loaded = load_file(ROOT / "flows.yaml")
    assert loaded.book is not None
    return loaded.book


@cache
def sources() -> dict[str, str]:
    """The shipped templates and the gallery, which is there once more as if it were Persian."""
    own = dict.fromkeys(("email/all/gallery.html", "email/all/gallery.fa.html"), GALLERY)
    return {**load_folder(ROOT / "templates"), **own}


@cache
def mails() -> EmailRenderer:
    return EmailRenderer(sources(), book().brand, book().topics, book().attributes)


def facts_of(name: str) -> dict[str, Any]:
    example = json.loads((ROOT / "examples" / "checkout.json").read_text())
    example["occurred_at"] = "2026-11-20T10:00:00+00:00"
    hostile = {"name": HOSTILE, "quantity": 3, "price": "9", "url": 'https://x.example/"><b>'}
    items = {
        "nothing": [],
        "one item": [ITEM],
        "typical": example["items"],
        "twelve items": [ITEM, PICTURED, NAMELESS] * 4,
        "a hundred items": [LONG] * 100,
        "hostile": [ITEM, hostile],
        "tame": [ITEM, {"name": "tame", "quantity": 3, "price": "9"}],
    }
    event = {} if name == "nothing" else {**example, "items": items[name]}
    person = {"hostile": HOSTILE, "nothing": None}.get(name, "Ada")
    return {"event": event, "order": event, "contact": {"first_name": person}}


@cache
def sample(template: str, message_class: MessageClass, facts: str, locale: str = "en") -> Sample:
    context = RenderContext(
        message_class,
        LINKS,
        locale=locale,
        topic="offers" if message_class is not MessageClass.LEGAL else None,
        outputs={"gift": {"code": "BACK-TO-BOOKS"}},
        **facts_of(facts),
    )
    mail = mails().render(template, context)
    return Sample(template, message_class, facts, locale, mail, Page(mail.html))


@cache
def named() -> tuple[tuple[str, MessageClass], ...]:
    """Every mail that a step sends, with its class."""
    return tuple(
        dict.fromkeys(
            (step.template, step.flow_class)
            for flow in book().flows.values()
            for step in flow.steps
            if isinstance(step, SendStep) and Channel.EMAIL in step.via
        )
    )


GALLERY_MAIL = ("all/gallery", MessageClass.MARKETING)
KINDS = ("typical", "nothing", "twelve items", "hostile")


def shipped(*kinds: str) -> Iterator[Sample]:
    """Every shipped mail with some facts, and with the typical ones from right to left."""
    for template, message_class in named():
        for kind in kinds or KINDS:
            yield sample(template, message_class, kind)
        yield sample(template, message_class, "typical", "fa")


def every() -> Iterator[Sample]:
    yield from shipped()
    for kind in KINDS:
        yield sample(*GALLERY_MAIL, kind)
    yield sample(*GALLERY_MAIL, "typical", "fa")


def test_all_mails_of_the_five_journeys_are_looked_at() -> None:
    assert len(named()) == 12
    assert {name.partition("/")[0] for name, _ in named()} == {
        *("welcome", "cart", "review", "winback", "privacy"),
    }


# Accessibility ------------------------------------------------------------------------------


def test_page_and_body_say_their_language_and_direction() -> None:
    for one in every():
        wanted = ("fa", "rtl") if one.locale == "fa" else ("en", "ltr")
        children = [child for child in one.page.body.children if isinstance(child, Element)]
        for element in (*one.page.all("html"), *children):
            assert (element.attributes["lang"], element.attributes["dir"]) == wanted, str(one)


AT_THE_END = {"price-cell", "total-cell", "order-number", "order-head-number", "order-total"}
"""Figures, which stand at the end of their line."""


def test_nothing_holds_a_page_from_right_to_left_back() -> None:
    for one in every():
        away = "left" if one.locale == "fa" else "right"
        for element in one.page.body.all():
            assert "direction" not in element.style
            if element.style.get("text-align") == away:
                assert AT_THE_END & {*element.classes}, (str(one), element.classes)
    turned = sample("cart/reminder", MessageClass.MARKETING, "typical", "fa").page
    (card,) = [cell for cell in turned.all("td") if "card" in cell.classes]
    assert {"border-right", "padding-right"} <= card.style.keys()


def test_the_title_of_the_page_is_the_subject() -> None:
    for one in every():
        (title,) = one.page.all("title")
        assert title.words == one.mail.subject


def test_tables_are_layout_by_their_role_or_facts_by_their_headers() -> None:
    for one in every():
        for table in one.page.all("table"):
            headers = table.all("th", "caption")
            if table.attributes.get("role") == "presentation":
                assert not [th for th in headers if _table(th) is table], str(one)
            else:
                assert headers, str(one)
                assert all(th.attributes["scope"] in {"row", "col"} for th in headers)
        for comment in one.page.comments:
            for table_tag in re.findall(r"<table[^>]*>", comment):
                assert 'role="presentation"' in table_tag


def test_what_outlook_alone_reads_is_closed_in_order() -> None:
    for one in every():
        open_tags: list[str] = []
        for closing, tag in re.findall(r"<(/?)(table|tr|td)\b", "".join(one.page.comments)):
            if closing:
                assert open_tags.pop() == tag, str(one)
            else:
                open_tags.append(tag)
        assert open_tags == [], str(one)


def _table(element: Element) -> Element:
    return next(one for one in element.lineage if one.tag == "table")


def test_pictures_have_alternative_texts_and_never_name_a_link_by_silence() -> None:
    for one in every():
        for image in one.page.all("img"):
            alt = image.attributes["alt"]
            assert len(alt) <= 150
            assert not re.search(r"\.(png|jpe?g|gif)$|^(image|logo)$|://", alt)
            assert int(image.attributes.get("width") or 0) <= 536


def test_every_link_has_a_name_and_the_same_name_leads_to_the_same_place() -> None:
    for one in every():
        places: dict[tuple[str, str], set[str]] = {}
        for link in one.page.links:
            assert link.words, str(one)
            assert link.words.lower() not in {"click here", "here", "read more", "more", "link"}
            if one.facts != "twelve items":  # the same things again, by design
                places.setdefault((link.group, link.words), set()).add(link.attributes["href"])
        assert all(len(there) == 1 for there in places.values()), str(one)


def test_one_heading_leads_and_none_is_empty_or_skips_a_level() -> None:
    for one in every():
        headings = one.page.all("h1", "h2", "h3", "h4")
        levels = [int(heading.tag[1]) for heading in headings]
        assert levels[0] == 1, str(one)
        assert levels.count(1) == 1, str(one)
        assert all(below - above <= 1 for above, below in pairwise(levels)), str(one)
        assert all(heading.words for heading in headings), str(one)


@pytest.mark.parametrize("mode", ["light", "dark", "outlook dark"])
def test_every_text_can_be_read(mode: str) -> None:
    for one in every():
        rules = {"dark": one.page.dark, "outlook dark": one.page.outlook}.get(mode, dict)()
        for element in one.page.texts:
            front, back = colours(element, "light" if mode == "light" else "dark", rules)
            assert contrast(front, back) >= 4.5, (str(one), element.classes, front, back)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_button_stands_out_from_what_is_behind_it(mode: str) -> None:
    for one in every():
        rules = one.page.dark() if mode == "dark" else {}
        for link in one.page.links:
            if (own := link.own("background-color", rules)) is None:
                continue
            cell = link.parent
            assert cell is not None
            assert cell.parent is not None
            _, behind = colours(cell.parent, mode, rules)
            assert contrast(own, behind) >= 3, str(one)


BOXED = {"wordmark", "star", "answer"}
"""Links that nothing else stands beside."""


def test_links_within_words_are_underlined() -> None:
    for one in every():
        for link in one.page.links:
            alone = BOXED & {*link.classes}
            if link.own("background-color") is None and not alone:
                assert link.computed("text-decoration") == "underline", (str(one), link.words)


def test_words_are_large_enough_and_lines_far_enough_apart() -> None:
    for one in every():
        for element in one.page.texts:
            foot = any("foot" in around.classes for around in element.lineage)
            assert element.pixels("font-size") >= (14 if foot else 16), (str(one), element.classes)
            lines = element.computed("line-height") or ""
            assert "px" not in lines
            large = element.pixels("font-size") >= 20
            assert float(lines) >= (1.25 if large else 1.5), (str(one), element.classes)


def test_what_is_tapped_is_at_least_44_pixels_high() -> None:
    for one in every():
        for link in one.page.links:
            display = link.style.get("display")
            if display in {"block", "inline-block"} and not link.all("img"):
                above, _, below = (*link.style["padding"].split(), "", "")[:3]
                padding = float(above[:-2]) + float((below or above)[:-2])
                height = padding + link.pixels("font-size") * link.pixels("line-height")
                assert height >= 44, (str(one), link.words)


def test_nothing_is_justified_and_little_is_centred() -> None:
    for one in every():
        for element in one.page.texts:
            align = element.computed("text-align")
            assert align != "justify"
            assert align != "center" or len(element.words) <= 240


def test_a_page_fits_a_narrow_screen_and_grows_with_its_words() -> None:
    for one in every():
        for element in one.page.body.all():
            for name in ("width", "max-width", "min-width"):
                value = element.style.get(name, "0")
                assert not value.endswith("px") or float(value[:-2]) <= 600, str(one)
            assert int(element.attributes.get("width", "0").removesuffix("%")) <= 600
            if element.tag != "img":
                assert element.style.get("height", "0") in {"0", "auto"}
            elif "logo" not in element.classes:
                assert element.style["height"] == "auto"


# Dark mode ----------------------------------------------------------------------------------


def test_the_page_declares_both_modes_and_the_dark_sheet_comes_last() -> None:
    for one in every():
        content = {
            meta.attributes.get("name"): meta.attributes.get("content")
            for meta in one.page.all("meta")
        }
        assert content["color-scheme"] == content["supported-color-schemes"] == "light dark"
        first, second = one.page.sheets
        assert "color-scheme: light dark; supported-color-schemes: light dark" in first
        assert second.strip().startswith("@media (prefers-color-scheme:dark)")
        assert all(len(sheet.encode()) <= 16_000 for sheet in one.page.sheets)


def test_every_dark_rule_has_its_twin_for_outlook() -> None:
    page = sample(*GALLERY_MAIL, "typical").page
    assert page.dark() == page.outlook()
    twins = page.sheets[1].partition("}}\n")[2].strip()
    for line in twins.splitlines():
        wanted = "[data-ogsb]" if "{background-color:" in line else "[data-ogsc]"
        assert set(re.findall(r"\[data-og\w+\]", line)) == {wanted}


def test_every_painted_element_turns_dark_by_its_class() -> None:
    for one in every():
        dark = one.page.dark()
        for element in one.page.body.all():
            for name, value in element.style.items():
                if re.search(r"#[0-9a-f]{6}", value):
                    assert element.own(name, dark) != value, (str(one), element.classes, name)


def test_no_colour_is_pure_black_or_white() -> None:
    colours_used = {colour for token in TOKENS.values() for colour in (token.light, token.dark)}
    assert not colours_used & {"#000000", "#ffffff"}


def test_a_picture_with_a_dark_twin_is_shown_and_told_once() -> None:
    images = [
        image
        for image in sample(*GALLERY_MAIL, "typical").page.all("img")
        if {"light-only", "dark-only"} & {*image.classes}
    ]
    day, night = images
    assert (day.attributes["alt"], day.hidden) == ("IMAGE-ALT", False)
    assert (night.attributes["alt"], night.attributes["aria-hidden"]) == ("", "true")
    assert night.hidden
    assert night.style["mso-hide"] == "all"


# What clients and filters do ----------------------------------------------------------------

SAFE = frozenset(
    """
    html head meta title style body div table tr td th h1 h2 h3 p a img span bdi strong em br ul ol
    li hr blockquote
    """.split()
)


def test_only_elements_that_every_client_knows_are_used() -> None:
    for one in every():
        assert {element.tag for element in one.page.all()} <= SAFE, str(one)
        assert "url(" not in one.mail.html
        assert "data:" not in one.mail.html
        assert not re.search(r"\.(svg|webp|avif)\b", one.mail.html)


def test_nothing_is_loaded_from_a_host_that_is_not_the_shops() -> None:
    for one in every():
        for image in one.page.all("img"):
            assert image.attributes["src"].startswith("https://cdn.northwind.example/"), str(one)


def test_a_shipped_mail_stays_far_below_what_clients_clip() -> None:
    for one in shipped("typical", "twelve items"):
        assert len(one.mail.html.encode()) <= 60_000, str(one)


@pytest.mark.parametrize("locale", ["en", "ru", "fa"])
def test_a_large_basket_is_cut_short_before_clients_cut_the_mail(locale: str) -> None:
    mail = sample("cart/reminder", MessageClass.MARKETING, "a hundred items", locale)
    rows = [one for one in mail.page.body.all() if "price-cell" in one.classes]
    assert len(rows) == 40
    assert len(mail.mail.html.encode()) < 90_000
    more = {"en": "And 60 more items.", "ru": "И ещё 60 товаров.", "fa": "و ۶۰ کالای دیگر."}[locale]
    assert more in mail.mail.html
    assert more in mail.mail.text
    assert mail.mail.text.count(TEA) == 40


def test_nothing_of_a_template_or_of_python_is_left() -> None:
    left = re.compile(r"\{\{|\{%|\{#|\bNone\b|\bundefined\b|\[\]|\bnan\b")
    for one in every():
        if one.facts != "hostile":
            assert not left.search(one.mail.html + one.mail.text + one.mail.subject), str(one)


def test_hostile_words_add_no_element_and_no_attribute() -> None:
    for template, message_class in (*named(), GALLERY_MAIL):
        hostile = sample(template, message_class, "hostile")
        tame = sample(template, message_class, "tame")
        assert hostile.page.skeleton == tame.page.skeleton
        addresses = [link.attributes["href"] for link in hostile.page.links]
        assert addresses == [link.attributes["href"] for link in tame.page.links]
        assert hostile.mail.subject == tame.mail.subject


@pytest.mark.parametrize(("facts", "rows"), [("nothing", 0), ("one item", 1), ("twelve items", 12)])
@pytest.mark.parametrize("template", ["cart/reminder", "cart/nudge"])
def test_a_list_has_as_many_rows_as_there_are_items(template: str, facts: str, rows: int) -> None:
    page = sample(template, MessageClass.MARKETING, facts).page
    assert len([p for p in page.all("p") if "product-name" in p.classes]) == rows
    assert len([t for t in page.all("table") if "products" in t.classes]) == min(rows, 1)


def test_columns_share_a_wide_screen_and_stack_on_a_narrow_one() -> None:
    page = sample(*GALLERY_MAIL, "typical").page
    columns = [div for div in page.all("div") if "column" in div.classes]
    assert [column.style["display"] for column in columns] == ["inline-block"] * 2
    assert sum(float(column.style["max-width"][:-2]) for column in columns) <= 600 - 64
    assert ".column { max-width: 100% !important }" in page.sheets[0]


# One call, two parts ------------------------------------------------------------------------


def test_the_plain_part_has_every_address_of_the_page() -> None:
    for one in every():
        said = " ".join(one.mail.text.split())
        for link in one.page.links:
            address = unescape(link.attributes["href"]).removeprefix("mailto:")
            # Alone: the shop's own address is also how its privacy policy's begins.
            assert re.search(rf"{re.escape(address)}(?![^\s<>])", said), (str(one), address)


def test_the_plain_part_has_every_fact_of_the_page() -> None:
    for one in every():
        if one.facts == "hostile":
            continue
        told = set(re.findall(r"[\w.€@]+", one.mail.text))
        for element in one.page.texts:
            facts = re.findall(r"(?:€ ?)?\d[\d.]*|[A-Z]+-[A-Z-]+", element.words)
            for fact in facts:
                assert set(re.findall(r"[\w.€@]+", fact)) <= told, (str(one), fact)
        assert "<" not in re.sub(r"<[^<>\s]+>", "", one.mail.text), str(one)


@pytest.mark.parametrize(
    "words", sorted(set(re.findall(r'"([A-Z]+-[A-Z]+)"', GALLERY)) | {"NOTE-WORDS"})
)
def test_what_a_component_says_stands_in_both_parts(words: str) -> None:
    one = sample(*GALLERY_MAIL, "typical")
    assert words in one.page.body.words
    assert words in one.mail.text


# Words and law ------------------------------------------------------------------------------


def test_subjects_are_short_and_preheaders_add_to_them() -> None:
    for one in shipped("typical", "nothing"):
        assert 1 <= len(one.mail.subject) <= 45, str(one)
        assert 30 <= len(one.mail.preheader) <= 110, str(one)
        assert one.mail.preheader != one.mail.subject
        assert not one.mail.subject.isupper()
        assert "!" not in one.mail.subject


def test_nothing_hurries_blames_or_shouts() -> None:
    pressure = re.compile(
        r"hurry up|last chance|only today|don.t miss|act now|forgot|miss you|running out|!",
        re.IGNORECASE,
    )
    for one in shipped("typical"):
        assert not pressure.search(one.mail.text), str(one)


def test_a_mail_has_one_button_or_a_question_in_its_place() -> None:
    for one in shipped("typical"):
        buttons = [link for link in one.page.links if "button" in link.classes]
        questions = [table for table in one.page.all("table") if "answers" in table.classes]
        assert len(buttons) + len(questions) == 1, str(one)


def test_the_footer_says_who_writes_and_why_and_how_to_leave() -> None:
    for one in shipped():
        (foot,) = [cell for cell in one.page.all("td") if "foot" in cell.classes]
        for part in (foot.words, one.mail.text):
            said = " ".join(part.split())
            because = "این پیام را می‌گیرید" if one.locale == "fa" else "You get this because"
            assert because in said, str(one)
            assert "Northwind Books Oy, Keskuskatu 1, 00100 Helsinki, Finland" in said
            assert "help@northwind.example" in said
        ways = {link.attributes["href"]: link.words for link in foot.all("a")}
        assert {LINKS["privacy"], LINKS["view"], LINKS["preferences"]} <= ways.keys()
        marketing = one.message_class is MessageClass.MARKETING
        leave = "لغو عضویت" if one.locale == "fa" else "Unsubscribe"
        assert (leave in ways.values()) is marketing
        assert (LINKS["unsubscribe"] in one.mail.text) is marketing


def test_only_marketing_promotes() -> None:
    for one in shipped():
        if one.message_class is not MessageClass.MARKETING:
            assert not [e for e in one.page.body.all() if "promo" in e.classes], str(one)
    gallery = sample(*GALLERY_MAIL, "typical").page
    promoting = [e.classes[0] for e in gallery.body.all() if "promo" in e.classes]
    assert promoting == ["products", "coupon"]


def test_the_question_whether_an_address_is_right_asks_nothing_else() -> None:
    page = sample("welcome/confirm", MessageClass.SERVICE, "typical").page
    (card,) = [cell for cell in page.all("td") if "card" in cell.classes]
    assert [link.attributes["href"] for link in card.all("a")] == [LINKS["confirm"]]


def test_the_notice_of_a_new_policy_says_all_that_the_law_asks_for() -> None:
    one = sample("privacy/notice", MessageClass.LEGAL, "typical")
    brand = book().brand
    assert brand.privacy is not None
    (card,) = [cell for cell in one.page.all("td") if "card" in cell.classes]
    for part in (card.words, " ".join(one.mail.text.split())):
        assert "The controller is Northwind Books Oy, Keskuskatu 1" in part
        for change in brand.privacy.changes:
            assert change.in_locale("en") in part
        assert "Why: The law on bookkeeping changed." in part
        assert "From: December 15, 2026" in part
        for heading in ("What changes", "What it means for you", "What you can do"):
            assert heading in part
        for choice in (
            "corrected or erased",
            "Object",
            "take back a consent",
            "Close your account",
        ):
            assert choice in part
        assert "does not become more by this notice" in part
        assert "data protection authority" in part
    ways = [link.attributes["href"] for link in card.all("a")]
    assert ways == [
        brand.privacy.url,
        brand.privacy.previous_url,
        LINKS["preferences"],
        "mailto:help@northwind.example",
    ]


# Text messages ------------------------------------------------------------------------------

GSM_TWO_PARTS = 306


@pytest.mark.parametrize(
    ("sender", "last"),
    [
        ("NORTHWIND", ["No more texts:", LINKS["unsubscribe"]]),
        ("+358401234567", ["Reply STOP to stop."]),
        (
            "+15005550006",
            ["Max. 3 texts a week. Msg & data rates may apply. Reply HELP for help, STOP to stop."],
        ),
    ],
)
def test_a_text_says_who_writes_one_thing_and_how_its_sender_is_stopped(
    sender: str, last: list[str]
) -> None:
    texts = SmsRenderer(sources(), book().brand, book().topics)
    context = RenderContext(
        MessageClass.MARKETING, LINKS, topic="offers", sender=sender, **facts_of("typical")
    )
    lines = texts.render("cart/reminder", context).text.split("\n")
    assert lines == [
        "Northwind Books: your basket is still here.",
        "https://northwind.example/checkout/c-1001",
        *last,
    ]
    assert "\n".join(lines).isascii()
    assert len("\n".join(lines)) <= GSM_TWO_PARTS


def test_the_text_promises_no_more_than_the_cap_allows() -> None:
    source = sources()["sms/opt_out.txt"]
    (often,) = re.findall(r"Max\. (\d+) texts a week", source)
    (cap,) = book().policies["default"].caps[Channel.SMS]
    assert (cap.limit, cap.period.days) == (int(often), 7)
