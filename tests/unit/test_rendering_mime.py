from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, MIMEPart
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import RecipientRejected, RenderFailed
from orchestrator.rendering.email import RenderedEmail
from orchestrator.rendering.mime import MailEnvelope, build_mail, clean, domain_of

URL = "https://mail.northwind.example/u/" + "AQabc-_xyz" * 12
ENVELOPE = MailEnvelope(
    message_id="01936f5e-2d4a-7c3e-8a11-4f2f6a1b0c02",
    sender="Northwind Books <news@m.northwind.example>",
    recipient="ada@example.com",
    recipient_name="Ada Lindqvist",
    date=datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC),
    reply_to="help@northwind.example",
    unsubscribe_url=URL,
    list_name="offers",
    list_title="Offers and sales",
    feedback_id="cart:offers:northwind",
)
MAIL = RenderedEmail("Your basket is still here", "", "<p>Hello</p>\n", "Hello\n", "en")


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def legal(content: bytes) -> None:
    """What every message must keep on the wire."""
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    head, _, body = content.partition(b"\r\n\r\n")
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    names = re.findall(rb"^([A-Za-z-]+):", head, re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(names) <= {name.encode() for name in HEADERS}


def arrived(part: MIMEPart) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


HEADERS = (
    "From To Subject Date Message-ID Reply-To List-Id List-Unsubscribe List-Unsubscribe-Post "
    "Feedback-ID Auto-Submitted MIME-Version Content-Type"
).split()


def test_a_marketing_mail_has_every_header_once() -> None:
    content = build_mail(ENVELOPE, MAIL)
    legal(content)
    mail = parsed(content)
    assert mail.keys() == HEADERS
    assert mail["From"] == "Northwind Books <news@m.northwind.example>"
    assert mail["To"] == "Ada Lindqvist <ada@example.com>"
    assert mail["Subject"] == "Your basket is still here"
    assert mail["Message-ID"] == f"<{ENVELOPE.message_id}@m.northwind.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(str(mail["Date"])) == ENVELOPE.date
    assert mail["List-Id"] == '"Offers and sales" <offers.m.northwind.example>'


def test_the_unsubscribe_pair_is_on_the_wire_as_receivers_want_it() -> None:
    content = build_mail(ENVELOPE, MAIL)
    assert f"\r\nList-Unsubscribe: <{URL}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


def test_other_classes_carry_no_unsubscribe_pair() -> None:
    content = build_mail(replace(ENVELOPE, unsubscribe_url=None), MAIL)
    assert b"List-Unsubscribe" not in content


def test_the_text_part_comes_first_and_both_arrive_unchanged() -> None:
    long_line = "sana " * 300 + "= ää € 文\t.\n.\n\nFrom here\n"
    mail = replace(MAIL, text=long_line, html=f"<p>{long_line}</p>\n")
    content = build_mail(ENVELOPE, mail)
    legal(content)
    text, html = parsed(content).iter_parts()
    assert text.get_content_type() == "text/plain"
    assert html.get_content_type() == "text/html"
    assert arrived(text) == mail.text
    assert arrived(html) == mail.html


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hyvää päivää. Korisi on tallessa, jatka milloin haluat.\n", "quoted-printable"),
        ("سلام دنیا\n", "base64"),
    ],
)
def test_the_shorter_encoding_is_taken(text: str, encoding: str) -> None:
    part = next(parsed(build_mail(ENVELOPE, replace(MAIL, text=text))).iter_parts())
    assert part["Content-Transfer-Encoding"] == encoding
    assert arrived(part) == text


def test_a_retry_has_the_same_bytes() -> None:
    assert build_mail(ENVELOPE, MAIL) == build_mail(replace(ENVELOPE), MAIL)
    other = build_mail(replace(ENVELOPE, message_id="other"), MAIL)
    assert b"<other@m.northwind.example>" in other
    assert _boundary(other) != _boundary(build_mail(ENVELOPE, MAIL))


def _boundary(content: bytes) -> str | None:
    return parsed(content).get_boundary()


def test_the_date_keeps_its_offset() -> None:
    at = ENVELOPE.date.astimezone(ZoneInfo("Europe/Helsinki"))
    assert b"Date: Fri, 20 Nov 2026 12:00:05 +0200" in build_mail(replace(ENVELOPE, date=at), MAIL)
    assert at.utcoffset() == timedelta(hours=2)


hostile = st.text(max_size=300) | st.sampled_from(
    [
        "Ada\r\nBcc: everyone@example.com",
        "=?utf-8?q?Bcc?=",
        'Ada "The Countess" <evil@example.com>',
        "Lovelace, Ada, Ärzte; (comment) \\",
        "\u202eadA",
        "ä" * 200,
        "a" * 300,
        "Ада Лавлейс " * 20,
    ]
)


@given(hostile, hostile, hostile)
def test_no_name_subject_or_title_breaks_out_of_its_header(
    name: str, subject: str, title: str
) -> None:
    envelope = replace(ENVELOPE, recipient_name=name, list_title=title)
    content = build_mail(envelope, replace(MAIL, subject=subject[:150]))
    legal(content)
    mail = parsed(content)
    assert mail["Subject"].split() == clean(subject[:150]).split()
    spoken, address = parseaddr(str(message_from_bytes(content)["To"]).replace("\r\n", ""))
    assert address == "ada@example.com"
    assert str(make_header(decode_header(spoken))).split() == clean(name)[:100].split()
    head = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    for line in head.split(b"\r\n"):
        if line.startswith((b"List-", b"Feedback-ID", b"Message-ID")):
            assert b"=?" not in line


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_any_body_arrives_as_it_was(text: str, html: str) -> None:
    content = build_mail(ENVELOPE, replace(MAIL, text=text, html=html))
    legal(content)
    for part, sent in zip(parsed(content).iter_parts(), (text, html), strict=True):
        wanted = sent.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.replace(b"\r\n", b"\n") == wanted


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ada@example.com", "ada@example.com"),
        ("o'hara+tag@sub.example.com", "o'hara+tag@sub.example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_addresses_are_written_in_ascii(address: str, written: str) -> None:
    mail = parsed(build_mail(replace(ENVELOPE, recipient=address), MAIL))
    assert mail["To"].addresses[0].addr_spec == written


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ä@example.com",
        "a b@example.com",
        "a@example.com\r\nX: y",
        "a@b@example.com",
        "a@example.com, b@example.com",
        "a@" + "ü" * 70 + ".example",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RecipientRejected) as refusal:
        build_mail(replace(ENVELOPE, recipient=address), MAIL)
    assert refusal.value.reason == "invalid_address"


@pytest.mark.parametrize(
    "change",
    [
        {"unsubscribe_url": "https://x.example/u/a b"},
        {"unsubscribe_url": "https://x.example/u/a\r\nBcc: x@y.example"},
        {"unsubscribe_url": "https://x.example/" + "a" * 1000},
        {"message_id": "a b\r\n"},
        {"feedback_id": "ä"},
        {"sender": "nobody"},
    ],
)
def test_machine_readable_headers_are_refused_rather_than_mended(change: dict[str, Any]) -> None:
    with pytest.raises(RenderFailed):
        build_mail(replace(ENVELOPE, **change), MAIL)


def test_the_sending_domain_is_that_of_the_sender() -> None:
    assert domain_of("Northwind <news@m.northwind.example>") == "m.northwind.example"
    assert domain_of("Bücher <news@bücher.example>") == "xn--bcher-kva.example"
