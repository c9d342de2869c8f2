"""For every rule a good mail is broken, and the rule notices; unbroken it is silent."""

# ruff: noqa: E501, RUF001 - a change is read on one line; some are Cyrillic
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import pytest

from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.rendering.lint.matrix import Matrix
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Rule
from orchestrator.rendering.lint.table import RULES, TEXT_RULES
from tests.unit.lint_shop import ROOT, book, findings, page, sent, sources

SHELL, PARTS, SHEET = "email/shell.html", "email/components.html", "email/mail.css"
DOCS = (ROOT / "docs" / "rules.md").read_text()
SECTIONS = {"A": 24, "B": 11, "C": 12, "D": 4, "F": 12}
GALLERY, CART, OWN = "all/gallery", "all/cart", "all/own"
NOTICE = "privacy/notice"


class Change(NamedTuple):
    """In a file `old` becomes `new`; then the template is looked at."""

    template: str
    path: str
    old: str
    new: str
    message_class: MessageClass = MessageClass.MARKETING
    locale: str = "en"


def own(content: str, message_class: MessageClass = MessageClass.MARKETING) -> Change:
    """A page of a marketer's own."""
    return Change(OWN, "", "", content, message_class)


HERE = "https://northwind.example/"
P = "<p>Words enough, so that this is a message and not only a picture of one.</p>"
LINES = "Words that go on and on, over more lines than anybody likes to read. " * 6
CHANGES: dict[str, list[Change]] = {
    "A1": [
        Change(CART, SHELL, '<html lang="{{ locale }}" dir', "<html dir"),
        Change(CART, SHELL, '<html lang="{{ locale }}"', '<html lang="fi"'),
        Change(CART, SHELL, '<html lang="{{ locale }}" dir="{{ theme.dir }}"', '<html lang="en"'),
    ],
    "A2": [
        Change(CART, SHELL, '<div class="page" lang="{{ locale }}"', '<div class="page"'),
        Change(CART, SHELL, '<body class="body">', '<body class="body"><div>.</div>'),
    ],
    "A3": [Change(CART, SHELL, 'dir="{{ theme.dir }}"', 'dir="rtl"')],
    "A4": [
        Change(
            CART,
            "email/all/cart.fa.html",
            "",
            '{% extends "shell.html" %}{% block subject %}x{% endblock %}'
            '{% block content %}<p style="text-align:left">x</p>{% endblock %}',
            locale="fa",
        )
    ],
    "A5": [
        Change(
            CART,
            "email/all/cart.fa.html",
            "",
            '{% extends "shell.html" %}{% block subject %}سبد{% endblock %}'
            "{% block content %}<p>قیمت €12.50 است</p>{% endblock %}",
            locale="fa",
        )
    ],
    "A6": [own("<p>Добрый день, вот что у нас нового на этой неделе.</p>")],
    "A7": [
        Change(CART, SHELL, "<title>{{ subject }}</title>", ""),
        Change(CART, SHELL, "<title>{{ subject }}</title>", "<title>Newsletter</title>"),
    ],
    "A8": [
        Change(CART, PARTS, 'class="button-row" role="presentation"', 'class="button-row"'),
        Change(GALLERY, PARTS, '<table class="order"', '<table class="order" role="presentation"'),
        Change(GALLERY, PARTS, 'class="order-head" scope="col"', 'class="order-head"'),
        Change(CART, SHELL, '<!--[if mso]><table role="presentation"', "<!--[if mso]><table"),
    ],
    "A9": [
        Change(GALLERY, PARTS, ' alt="{{ alt }}" width="536"', ' width="536"'),
        Change(GALLERY, "email/all/gallery.html", '"IMAGE-ALT"', '"day.png"'),
        Change(GALLERY, "email/all/gallery.html", '"IMAGE-ALT"', '""'),
    ],
    "A10": [own('<p>Look: <a href="https://northwind.example/x"> </a></p>')],
    "A11": [own('<p>To read it, <a href="https://northwind.example/x">Click here</a>.</p>')],
    "A12": [
        Change(GALLERY, "email/all/gallery.html", ", level=2", ", level=1"),
        Change(GALLERY, "email/all/gallery.html", '{{ heading("LEVEL-TWO", level=2) }}', ""),
        Change(GALLERY, "email/all/gallery.html", '"LEVEL-TWO"', '""'),
        own("<p>" + "many words " * 80 + "</p>"),
    ],
    "A13": [
        Change(CART, SHEET, "p.words { margin: 0 0 16px; color: var(--text)", "p.words { color: #bbb"),
        own('<p style="color:#9a9a9a">Hardly to be seen in light mode.</p>'),
        own('<p><span style="color:#222">Hardly to be seen in dark mode.</span></p>'),
        own('<p><span style="color:rgba(0,0,0,.6)">Seen through.</span></p>'),
    ],
    "A14": [
        Change(CART, SHEET, "background-color: var(--accent)", "background-color: var(--page)"),
    ],
    "A15": [
        Change(
            GALLERY,
            SHEET,
            "a.link { color: var(--accent); text-decoration: underline }",
            "a.link { color: var(--accent); text-decoration: none }",
        )
    ],
    "A16": [
        Change(CART, SHEET, "p.words { margin: 0 0 16px; color: var(--text); font-size: 16px", "p.words { font-size: 13px"),
        own('<p style="line-height:1">Lines that touch each other.</p>'),
        own('<p style="line-height:20px">Lines of a fixed height.</p>'),
        own('<p style="font-size:15px">A little small.</p>'),
    ],
    "A17": [
        Change(CART, SHEET, ".button { display: block; padding: 12px 28px", ".button { display: block; padding: 4px"),
        Change(CART, SHEET, ".button { display: block; padding: 12px 28px", ".button { display: block; padding: 0"),
        own('<p><a style="display:block;font-size:14px" href="https://northwind.example/x">A</a></p>'),
    ],
    "A18": [own(f'<p style="text-align:center">{LINES}</p>')],
    "A19": [
        own(
            '<p><img src="https://northwind.example/a.png"'
            ' alt="A whole letter about new books, offers and opening times, in a picture">'
            "</p><p>See above.</p>"
        )
    ],
    "A21": [
        own('<form action="https://northwind.example/"><input name="a"></form>'),
        own('<p onclick="leave()">Your basket</p>'),
        own(f"<p>Some <b>bold words.</p>{P}"),
        own(f'<p><a href="{HERE}new">The new books</p>{P}'),
        own(f"<div>{P}"),
        own(f"{P}</td></tr></table>{P}"),
        own(f"{P}</b>"),
        own(f'{P}<p><a href="{HERE}x">One <a href="{HERE}y">within</a> another</a></p>'),
    ],
    "A22": [
        Change(CART, "email/shell.txt", "{{ links.preferences }}", ""),
        Change(
            CART,
            "email/all/cart.html",
            "{% block content %}",
            "{% block text %}Go to your basket.{% endblock %}{% block content %}",
        ),
    ],
    "A23": [own(f'<table role="presentation" width="800"><tr><td>{P}</td></tr></table>')],
    "B1": [
        Change(CART, SHELL, '<meta name="color-scheme" content="light dark">', ""),
        Change(CART, "email/head.css", ":root {", ".none {"),
    ],
    "B2": [
        Change(CART, SHELL, "{{ theme.dark }}", ""),
        own('<p><span style="color:#808080;font-size:28px">Grey in both.</span></p>'),
    ],
    "B3": [Change(CART, "email/head.css", "[data-ogsc] .light-only { display: none !important }", "")],
    "B4": [
        Change(CART, "email/head.css", ".light-only { display: none !important }", ".light-only { display: none }"),
    ],
    "B5": [own('<div style="background-color:#f0e0c0"><p>Painted by hand.</p></div>')],
    "B6": [own('<p style="font-size:28px;color:#1e1e1e;background:#696969">Large, on grey.</p>')],
    "B7": [own('<p><span style="color:#000;background:#fff">As black as it gets.</span></p>')],
    "B8": [
        Change(GALLERY, PARTS, 'class="picture dark-only" src="{{ dark|web_link }}" alt=""', 'class="picture dark-only" src="{{ dark|web_link }}" alt="Night"'),
        Change(GALLERY, SHEET, ".dark-only { display: none;", ".dark-only {"),
    ],
    "B9": [own(f'{P}<p><img src="https://northwind.example/a.webp" alt="A map" width="96"></p>')],
    "B10": [own('<div style="background:url(https://northwind.example/a.png)"><p>Over it.</p></div>')],
    "C1": [
        Change(CART, "email/all/cart.html", "{{ product_list(", "{% for i in range(6) %}<p>" + "long " * 4000 + "</p>{% endfor %}{{ product_list("),
        Change(CART, "email/all/cart.html", "{{ product_list(", "<p>" + "long " * 14000 + "</p>{{ product_list("),
    ],
    "C2": [
        own("<style>p { margin: 0 }</style><p>A sheet in the body.</p>"),
        Change(CART, SHELL, "{{ theme.head }}\n</style>", "{{ theme.dark }}\n</style>"),
    ],
    "C3": [
        own("{% autoescape false %}<p>{{ contact.first_name }}</p>{% endautoescape %}"),
        own("<p><a class={{ contact.first_name }} href='https://northwind.example'>A shelf</a></p>"),
    ],
    "C4": [
        own('<p>A page: <a href="javascript:alert(1)">The new arrivals</a></p>'),
        own('<p>A page: <a href="http://northwind.example/">The new arrivals</a></p>'),
        own('<p>A page: <a href="{{ event.text }}">The new arrivals</a></p>'),
        own('<p>A page: <a href="#">The new arrivals</a></p>'),
        own("<p>A page: <a>The new arrivals</a></p>"),
    ],
    "C5": [
        own("{% raw %}<p>Hello {{ first_name }}</p>{% endraw %}"),
        own("<p>{{ ', ' ~ contact.first_name }}</p>"),
    ],
    "C6": [
        Change(CART, "email/all/cart.html", "{% block subject %}", "{% block subject %}Re: "),
        Change(CART, "email/all/cart.html", "{% block subject %}", "{% block subject %}LAST CHANCE TO BUY ALL THESE GOOD BOOKS "),
        Change(CART, "email/all/cart.html", "{% block subject %}", "{% block subject %}A subject that goes on and on and never ends "),
    ],
    "C7": [
        Change(CART, SHELL, "{{ filler }}", ""),
        Change(CART, SHELL, "{% if preheader %}", "{% if false %}"),
        Change(CART, "email/all/cart.html", "We have kept it for you. Take it up whenever it suits you.", "x"),
    ],
    "C8": [
        Change(
            CART,
            "email/all/cart.html",
            "{% block content %}",
            "{% block text %}{{ event.items[0].name }}{% endblock %}{% block content %}",
        )
    ],
    "C11": [
        own(f'{P}<p><img src="https://elsewhere.example/a.png" alt="A map" width="96"></p>'),
        Change(CART, "email/head.css", ":root {", "@import 'https://fonts.example/a.css';\n:root {"),
        own('<link rel="stylesheet" href="https://fonts.example/a.css">'),
        own(f'{P}<p><img src="{HERE}a.png" srcset="https://elsewhere.example/b.png 2x" alt="A map" width="96"></p>'),
    ],
    "D9": [
        Change(CART, SHELL, 'href="{{ links.unsubscribe }}"', 'href="{{ brand.url }}"'),
        Change(CART, SHELL, '{{ _("Unsubscribe") }}', "Settings"),
    ],
    "E2": [
        Change(GALLERY, "", "", "", MessageClass.TRANSACTIONAL),
        own('<p><a href="https://northwind.example/?utm_campaign=may">New books</a></p>', MessageClass.SERVICE),
        own("<p>With a discount for you.</p>", MessageClass.SERVICE),
    ],
    "E8": [
        Change(CART, SHELL, "{{ brand.postal_address }}", ""),
        Change(CART, SHELL, "{{ brand.legal_name }}", ""),
        Change(CART, SHELL, "{% block reason %}{{ reason }}", "{% block why %}"),
        Change(CART, SHELL, "if links.privacy", "if false"),
    ],
    "E12": [
        Change(NOTICE, "email/privacy/notice.html", "{{ legal_notice(brand.privacy) }}", "", MessageClass.LEGAL),
        Change(NOTICE, "email/privacy/notice.html", "brand.privacy.previous_url)", "brand.url)", MessageClass.LEGAL),
        Change(NOTICE, SHELL, 'links.unsubscribe and class == "marketing"', "links.unsubscribe", MessageClass.LEGAL),
    ],
}  # fmt: skip


def header(name: str, value: str) -> Callable[[Mail], Mail]:
    def change(mail: Mail) -> Mail:
        lines = mail.wire.partition(b"\r\n\r\n")[0].split(b"\r\n")
        (old,) = [line for line in lines if line.startswith(f"{name}:".encode())]
        return replace(mail, wire=mail.wire.replace(old, value.encode(), 1))

    return change


ON_THE_WIRE: dict[str, list[Callable[[Mail], Mail]]] = {
    "C12": [lambda mail: replace(mail, again=mail.wire + b"\r\n")],
    "D1": [
        header("Date", "X-Date: then"),
        header("Date", "Date: Fri, 20 Nov 2026 10:00:00 GMT"),
        header("From", "From: a@m.northwind.example\r\nFrom: b@m.northwind.example"),
    ],
    "D2": [
        header("Message-ID", "Message-ID: <1@elsewhere.example>"),
        header("Message-ID", "Message-ID: <ada-1@m.northwind.example>"),
    ],
    "D3": [
        header("List-Unsubscribe", "List-Unsubscribe: <mailto:out@northwind.example>"),
        header("List-Unsubscribe-Post", "List-Unsubscribe-Post: yes"),
    ],
    "D4": [
        header("List-Unsubscribe", "List-Unsubscribe: =?utf-8?q?=3Chttps=3A//?="),
        header("Subject", "Subject: " + "x" * 1000),
        lambda mail: replace(mail, wire=mail.wire + b"x" * 999 + b"\r\n"),
        lambda mail: replace(mail, wire=mail.wire.replace(b" 7bit\r\n", b" quoted-printable\r\n")),
    ],
    "D11": [header("List-Id", "List-Id: <ada@example.com>")],
}

IN_A_TEXT: dict[str, list[str]] = {
    "F3": ["{{ brand.name }}: " + "words " * 300],
    "F4": ["{{ brand.name }}: your basket’s still here. Reply STOP to stop."],
    "F7": ["Your basket is still here. {{ brand.name }} Reply STOP to stop."],
    "F8": [
        "{{ brand.name }}: your basket is still here.",
        "{{ brand.name }}: your basket is still here. Reply STOP to stop.",
    ],
    "F9": [
        "{{ brand.name }}: https://bit.ly/3xYz\nReply STOP to stop.",
        "{{ brand.name }}: http://northwind.example\nReply STOP to stop.",
    ],
    "F10": ["{{ brand.name }}: see https://northwind.example/a.\nReply STOP to stop."],
    "F11": [
        "{{ brand.name }}: your password is tea.\nReply STOP to stop.",
        "{{ brand.name }}: your verification code is 123.\nReply STOP to stop.",
    ],
}


def changed(change: Change) -> dict[str, str]:
    if change.template == OWN:
        return page(change.new)
    if not change.path:
        return sources()
    text = sources().get(change.path, "")
    assert change.old in text, change
    return {**sources(), change.path: text.replace(change.old, change.new)}


@cache
def found_by(change: Change) -> set[tuple[str, Severity]]:
    looked_at = sent(change.template, change.message_class, locale=change.locale)
    return {(one.rule, one.severity) for one in findings(changed(change), looked_at)}


@cache
def good() -> Mail:
    mail = Matrix(book(), sources(), "templates").mail(sent(CART), TYPICAL)
    assert mail is not None
    return mail


def test_every_rule_has_something_that_breaks_it() -> None:
    broken = CHANGES.keys() | ON_THE_WIRE.keys()
    assert {rule.number for rule in RULES} == broken
    assert {rule.number for rule in TEXT_RULES} <= IN_A_TEXT.keys()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((number, change), id=f"{number}-{place}")
        for number, changes in CHANGES.items()
        for place, change in enumerate(changes)
    ],
)
def test_a_broken_mail_is_noticed_by_its_rule(change: tuple[str, Change]) -> None:
    number, what = change
    assert number in {rule for rule, _ in found_by(what)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.number}-{rule.severity}")
def test_each_severity_of_a_rule_is_reached(rule: Rule) -> None:
    if rule.number in ON_THE_WIRE:
        assert all([*rule.check(change(good()))] for change in ON_THE_WIRE[rule.number])
        assert [*rule.check(good())] == []
    else:
        wanted = (rule.number, rule.severity)
        assert any(wanted in found_by(change) for change in CHANGES[rule.number])


@pytest.mark.parametrize("number", IN_A_TEXT)
def test_a_broken_text_is_noticed_by_its_rule(number: str) -> None:
    for text in IN_A_TEXT[number]:
        texts = {**sources(), "sms/all/own.txt": text}
        one = sent("all/own", channel=Channel.SMS)
        assert number in {finding.rule for finding in findings(texts, one)}, text


def test_each_severity_of_a_rule_about_texts_is_reached() -> None:
    for rule in TEXT_RULES:
        told = set()
        for text in IN_A_TEXT[rule.number]:
            texts = {**sources(), "sms/all/own.txt": text}
            one = sent("all/own", channel=Channel.SMS)
            told |= {(found.rule, found.severity) for found in findings(texts, one)}
        assert (rule.number, rule.severity) in told


def test_every_rule_is_documented_with_its_severity() -> None:
    rows = re.findall(r"^\| ([A-F]\d+)(?:, ([A-F]\d+))? \| *(\w*) *\|", DOCS, re.MULTILINE)
    told = {(number, severity) for *numbers, severity in rows for number in numbers if number}
    held = {(rule.number, rule.severity.value) for rule in (*RULES, *TEXT_RULES)}
    assert held <= told
    wanted = [*((one, number) for one, most in SECTIONS.items() for number in range(1, most + 1))]
    assert {f"{section}{number}" for section, number in wanted} <= {number for number, _ in told}


def test_unbroken_mails_and_texts_are_silent() -> None:
    assert findings(sources(), sent(GALLERY)) == []
    assert findings(sources(), sent(CART)) == []
    assert findings(sources(), sent("cart/reminder", channel=Channel.SMS)) == []
