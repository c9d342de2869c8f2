"""Ratings, questions and their answers: one tap each, in every language, in both parts."""
# ruff: noqa: RUF001  # other alphabets are what this is about

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.flows import MessageClass
from orchestrator.rendering.context import RenderContext, with_query
from orchestrator.rendering.counted import with_counted_links
from orchestrator.rendering.email import EmailRenderer, RenderedEmail
from orchestrator.rendering.templates import built_in
from tests.unit.gallery import GALLERY
from tests.unit.lint_shop import PLAIN, ROOT, book, page, said, sent, sources
from tests.unit.mail_page import Element, Page

LOCALES = ("en", "fi", "pl", "ru", "fa")
OWN = "https://mail.northwind.example/"
LINKS = {
    name: f"{OWN}{name}/token"
    for name in ("unsubscribe", "preferences", "confirm", "view", "privacy")
}
HOSTILE = '"><script>alert(1)</script>{{ brand }}\r\nBcc: x\u202e’ 🎉' + "x" * 200


@cache
def mail(content: str, locale: str = "en", name: str = "Ada") -> RenderedEmail:
    file = f"{PLAIN}{content}\n{{% endblock %}}\n"
    files = {f"email/all/own.{one}.html": file for one in LOCALES}
    mails = EmailRenderer({**built_in(), "email/all/own.html": file, **files}, book().brand)
    context = RenderContext(
        MessageClass.MARKETING, LINKS, locale=locale, contact={"first_name": name}
    )
    return mails.render("all/own", context)


def made(content: str, *classes: str, **asked: Any) -> list[Element]:
    """The elements of some classes in a page of its own."""
    found = Page(mail(content, **asked).html).body.all()
    return [one for one in found if {*classes} & {*one.classes}]


def lines(content: str, **asked: Any) -> list[str]:
    """What the plain part says of a page of its own, above the footer."""
    text = mail(content, **asked).text.partition("\n--\n")[0]
    return [line for line in text.split("\n") if line]


# An answer in an address ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://shop.example/tea", "https://shop.example/tea?rating=4"),
        ("https://shop.example", "https://shop.example?rating=4"),
        ("https://shop.example/?a=1&b=%20x+y", "https://shop.example/?a=1&b=%20x+y&rating=4"),
        ("https://shop.example/?a&a=2#/r?b=1", "https://shop.example/?a&a=2&rating=4#/r?b=1"),
        ("https://shop.example/?#top", "https://shop.example/?rating=4#top"),
        ("https://shop.example/?rating=1&a=1", "https://shop.example/?a=1&rating=4"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x?rating=4"),
    ],
)
def test_an_answer_is_added_and_all_else_in_the_address_stays(url: str, wanted: str) -> None:
    assert with_query(url, "rating", 4) == wanted


def test_an_answer_is_one_value_whatever_is_in_it() -> None:
    url = with_query("https://shop.example/?a=1", "a b&c", "d&e=f#g ü")
    assert parse_qs(urlsplit(url).query) == {"a": ["1"], "a b&c": ["d&e=f#g ü"]}
    assert urlsplit(url).fragment == ""


@pytest.mark.parametrize(
    "url",
    [None, "", "javascript:alert(1)", "mailto:a@shop.example", "tel:+358", "http://x.example"],
)
def test_only_a_web_address_can_carry_an_answer(url: object) -> None:
    with pytest.raises(ValueError, match="is no https address"):
        with_query(url, "rating", 4)


# Stars ------------------------------------------------------------------------------------------

RATING = '{{ rating("https://northwind.example/tea?a=1#rate", "How was it?") }}'


def test_a_rating_is_five_links_each_with_its_own_number_of_stars() -> None:
    stars = made(RATING, "star")
    assert [one.attributes["href"] for one in stars] == [
        f"https://northwind.example/tea?a=1&rating={number}#rate" for number in range(1, 6)
    ]
    assert [one.words for one in stars] == ["★1", "★2", "★3", "★4", "★5"]
    assert not Page(mail(RATING).html).all("img")


@pytest.mark.parametrize(
    ("locale", "names"),
    [
        ("en", ["1 star out of 5", "4 stars out of 5", "5 stars out of 5"]),
        ("fi", ["1 tähti viidestä", "4 tähteä viidestä", "5 tähteä viidestä"]),
        ("pl", ["1 gwiazdka na 5", "4 gwiazdki na 5", "5 gwiazdek na 5"]),
        ("ru", ["1 звезда из 5", "4 звезды из 5", "5 звёзд из 5"]),
        ("fa", ["۱ ستاره از ۵", "۴ ستاره از ۵", "۵ ستاره از ۵"]),
    ],
)
def test_each_star_has_a_name_in_the_readers_language(locale: str, names: list[str]) -> None:
    stars = made(RATING, "star", locale=locale)
    labels = [one.attributes["aria-label"] for one in stars]
    assert [labels[0], *labels[3:]] == names
    # What is seen is part of the name (WCAG 2.5.3).
    assert all(one.words[-1] in label for one, label in zip(stars, labels, strict=True))
    told = lines(RATING, locale=locale)
    assert told[0] == "How was it?"
    assert told[1:] == [
        f"- {label}: {star.attributes['href']}" for label, star in zip(labels, stars, strict=True)
    ]


def test_the_ends_of_a_scale_are_told_to_everybody() -> None:
    content = '{{ rating("https://northwind.example/", low="Bad", high="Good") }}'
    assert [one.words for one in made(content, "star-end")] == ["Bad", "Good"]
    labels = [one.attributes["aria-label"] for one in made(content, "star")]
    assert (labels[0], labels[4]) == ("1 star out of 5 (Bad)", "5 stars out of 5 (Good)")
    assert labels[1:4] == [f"{number} stars out of 5" for number in (2, 3, 4)]
    assert lines(content)[0] == "Your rating"
    assert lines(content)[1] == "- 1 star out of 5 (Bad): https://northwind.example/?rating=1"


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        ('question="How was it?"', "How was it?"),
        ('question="How was it?", about="Tea"', "Tea"),
        ('about="Tea"', "Tea"),
        ('about=" "', "Your rating"),
        ("about=none", "Your rating"),
    ],
)
def test_stars_are_heard_with_what_they_are_for(arguments: str, label: str) -> None:
    stars = made('{{ rating("https://northwind.example/", ' + arguments + ") }}", "star")
    assert {one.group for one in stars} == {label}


def test_things_beside_each_other_can_be_rated_without_a_warning() -> None:
    two = "".join(
        '{{ rating("https://northwind.example/' + name + '", about="' + name + '") }}'
        for name in ("tea", "honey")
    )
    assert said(page(f"<p>Two things</p>{two}"), sent("all/own")) == []
    same = two.replace('about="honey"', 'about="tea"')
    assert "A11" in "".join(said(page(f"<p>Two things</p>{same}"), sent("all/own")))


# Questions --------------------------------------------------------------------------------------

SURVEY = (
    '{{ survey("Coffee or tea?", ["Coffee", "Tea", ["Neither", links.preferences]],'
    ' url="https://northwind.example/drinks?a=1") }}'
)


def test_a_question_stands_before_its_answers_and_is_heard_with_them() -> None:
    question, *answers = made(SURVEY, "question", "answer")
    assert question.words == "Coffee or tea?"
    assert {one.group for one in answers} == {"Coffee or tea?"}
    assert [(one.words, one.attributes["href"]) for one in answers] == [
        ("Coffee", "https://northwind.example/drinks?a=1&answer=1"),
        ("Tea", "https://northwind.example/drinks?a=1&answer=2"),
        ("Neither", LINKS["preferences"]),
    ]
    assert lines(SURVEY) == [
        "Coffee or tea?",
        "- Coffee: https://northwind.example/drinks?a=1&answer=1",
        "- Tea: https://northwind.example/drinks?a=1&answer=2",
        f"- Neither: {LINKS['preferences']}",
    ]


@pytest.mark.parametrize(
    "call",
    [
        'survey("A question", ["An answer"])',
        'survey("A question", [["An answer", "javascript:alert(1)"]])',
        'survey("A question", [["An answer", none]])',
        'survey("A question", [["An answer"]])',
        'rating("tel:+358")',
        "rating(none)",
        'social([["Somewhere", "ftp://x.example"]])',
    ],
)
def test_an_answer_that_leads_nowhere_is_an_error_with_its_line(call: str) -> None:
    with pytest.raises(RenderFailed) as failure:
        mail(f"<p>Words</p>\n\n{{{{ {call} }}}}")
    assert (failure.value.template, failure.value.line) == ("all/own.en.html", 7)


# What somebody said, and where else we are -----------------------------------------------------


@pytest.mark.parametrize(
    ("stars", "shown", "label"),
    [
        ("4", "★★★★☆", "4 stars out of 5"),
        ("4.4", "★★★★☆", "4 stars out of 5"),
        ("1", "★☆☆☆☆", "1 star out of 5"),
        ("0", "☆☆☆☆☆", "0 stars out of 5"),
        ("-1", "☆☆☆☆☆", "0 stars out of 5"),
        ("9", "★★★★★", "5 stars out of 5"),
    ],
)
def test_a_review_shows_and_tells_its_stars(stars: str, shown: str, label: str) -> None:
    content = '{{ quote("Read in one night.", "Aino", stars=' + stars + ") }}"
    (given,) = made(content, "quote-stars")
    (span,) = given.all("span")
    assert (span.words, span.attributes["role"]) == (shown, "img")
    assert span.attributes["aria-label"] == label
    assert lines(content) == [label, "Read in one night.", "Aino"]


def test_a_quote_without_stars_has_none() -> None:
    assert made('{{ quote("Read in one night.") }}', "quote-stars") == []


SOCIAL = '{{ social([["Mastodon", "https://m.example/@n"], ["Blog", "https://b.example/"]]) }}'


def test_social_links_are_words_without_a_picture() -> None:
    links = made(SOCIAL, "social-link")
    assert [(one.words, one.attributes["href"]) for one in links] == [
        ("Mastodon", "https://m.example/@n"),
        ("Blog", "https://b.example/"),
    ]
    assert not Page(mail(SOCIAL).html).all("img")
    assert lines(SOCIAL) == ["Mastodon: https://m.example/@n", "Blog: https://b.example/"]
    assert made("{{ social([]) }}", "social", "social-link") == []


# All of them ------------------------------------------------------------------------------------

SAYING = (
    '{{ rating("https://northwind.example/", contact.first_name, low=contact.first_name) }}'
    '{{ rating("https://northwind.example/", about=contact.first_name) }}'
    '{{ survey(contact.first_name, [contact.first_name], "https://northwind.example/") }}'
    '{{ survey("A question", [[contact.first_name, "https://northwind.example/"]]) }}'
    "{{ quote(contact.first_name, contact.first_name, stars=3) }}"
    '{{ social([[contact.first_name, "https://northwind.example/"]]) }}'
)


def test_hostile_words_in_any_place_add_no_tag_and_no_address() -> None:
    hostile, tame = (Page(mail(SAYING, name=name).html) for name in (HOSTILE, "Ada"))
    assert hostile.skeleton == tame.skeleton
    ways = [[link.attributes["href"] for link in one.links] for one in (hostile, tame)]
    assert ways[0] == ways[1]
    assert "\nBcc" not in mail(SAYING, name=HOSTILE).text


@pytest.mark.parametrize("content", [RATING, SURVEY, SOCIAL])
def test_clicks_on_answers_are_counted_but_not_on_ways_out(content: str) -> None:
    plain = mail(content)
    counted = with_counted_links(plain, OWN, lambda url: f"c/{url.encode().hex()}")
    for before, after in zip(answers(plain), answers(counted), strict=True):
        way_out = before.startswith(OWN)
        assert after == (before if way_out else f"{OWN}c/{before.encode().hex()}")
        assert after in counted.text


def answers(one: RenderedEmail) -> list[str]:
    links = Page(one.html).links
    return [
        link.attributes["href"]
        for link in links
        if {"star", "answer", "social-link"} & {*link.classes}
    ]


def test_every_component_speaks_in_both_parts_stands_in_the_gallery_and_is_documented() -> None:
    parts = ROOT / "orchestrator" / "rendering" / "components"
    page, plain = (
        re.findall(r"{% macro ([a-z]\w*)(\(.*?\)) %}", (parts / f"components.{kind}").read_text())
        for kind in ("html", "txt")
    )
    assert page
    assert sorted(page) == sorted(plain)
    told = (ROOT / "docs" / "templates.md").read_text()
    for name, signature in page:
        assert f"`{name}{signature}`" in told or name in {"greeting", "legal_notice"}, name
        assert f"`{name}(" in told
        assert f" {name}(" in GALLERY, name


@pytest.mark.parametrize("locale", LOCALES)
def test_a_mail_with_every_component_keeps_every_rule_in_every_language(locale: str) -> None:
    changed = {**sources(), f"email/all/gallery.{locale}.html": GALLERY}
    assert said(changed, sent("all/gallery", locale=locale)) == []


def test_from_right_to_left_one_star_is_on_the_right() -> None:
    content = '{{ rating("https://northwind.example/", low="بد", high="خوب") }}'
    low, high = made(content, "star-end", locale="fa")
    assert (low.attributes["align"], high.attributes["align"]) == ("right", "left")
    assert {one.attributes["dir"] for one in low.lineage if "dir" in one.attributes} == {"rtl"}


# The shipped mails ------------------------------------------------------------------------------


def shipped(template: str, items: list[dict[str, Any]]) -> Page:
    mails = EmailRenderer(sources(), book().brand, book().topics)
    order = {"items": items}
    context = RenderContext(MessageClass.MARKETING, LINKS, topic="reviews", order=order)
    return Page(mails.render(template, context).html)


def rated(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the stars of a review request are for, and where they lead."""
    stars = [one for one in shipped("review/request", items).links if "star" in one.classes]
    places = [one.attributes["href"].partition("?")[0] for one in stars]
    return list(dict.fromkeys(zip([one.group for one in stars], places, strict=True)))


def test_a_review_request_has_stars_for_three_things_at_most() -> None:
    books = [
        {"name": name, "url": f"https://northwind.example/{name}"} for name in ("a", "b", "c", "d")
    ]
    for number in (1, 3):
        assert rated(books[:number]) == [(one["name"], one["url"]) for one in books[:number]]
    assert rated(books) == rated(books[:3])
    assert rated([books[0], {"name": "b"}]) == rated(books[:1])


def test_an_order_whose_things_have_no_page_is_rated_as_a_whole() -> None:
    for items in ([], [{"name": "a"}], [{"name": "a", "url": "javascript:1"}, {"name": "b"}]):
        assert rated(items) == [("Your rating", "https://northwind.example")]


def test_only_who_wants_to_stay_is_counted_in_the_farewell() -> None:
    page = shipped("winback/goodbye", [])
    stay, *others = [one.attributes["href"] for one in page.links if "answer" in one.classes]
    assert stay == book().brand.url
    assert others == [LINKS["preferences"], LINKS["unsubscribe"]]
