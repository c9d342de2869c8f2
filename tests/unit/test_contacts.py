from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.contacts import normalise_email
from orchestrator.domain.flows import Channel
from tests.unit.shop import contact


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace+news@Example.COM\n", "ada.lovelace+news@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("ada@post.example.co.uk", "ada@post.example.co.uk"),
        ("straße@straße.example", "straße@straße.example"),
        ("A\u030angstro\u0308m@example.com", "ångström@example.com"),
        ("иван@пример.рф", "иван@пример.рф"),
    ],
)
def test_an_address_is_compared_in_lower_case_and_keeps_its_letters(
    text: str, address: str
) -> None:
    assert normalise_email(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@example",
        "ada@example.c",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "ada@.example.com",
        "ada@example..com",
        "ada@example.com.",
        "ada lovelace@example.com",
        "Ada <ada@example.com>",
        "ada@example.com>",
        "ada@example.com,eve@example.com",
        "ada@example.com;",
        "ada@exam\nple.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\x00@example.com",
        "ada\x7f@example.com",
        "ada\u2028@example.com",
        '"ada"@example.com',
        "ada@[192.0.2.1]",
        "a" * 65 + "@example.com",
        "ada@" + "a" * 64 + ".com",
        "ada@" + "a." * 125 + "com",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert normalise_email(text) is None


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=4))
def test_an_address_once_normalised_stays_as_it_is(name: str, host: str, end: str) -> None:
    address = normalise_email(f"{name}a@b{host}.{end}com")
    if address is not None:
        assert normalise_email(address) == address
        assert not set(address) & set(' \t\r\n<>,;"')


def test_each_channel_reaches_its_own_address() -> None:
    ada = contact(email="ada@example.com", phone="+358401234567")
    assert ada.address(Channel.EMAIL) == "ada@example.com"
    assert ada.address(Channel.SMS) == ada.address(Channel.WHATSAPP) == "+358401234567"


@pytest.mark.parametrize(
    ("email", "phone", "label"),
    [
        ("ada@example.com", "+358401234567", "ada@example.com"),
        (None, "+358401234567", "+358401234567"),
        (None, None, "ada"),
    ],
)
def test_listings_name_a_person_by_email_else_phone_else_id(
    email: str | None, phone: str | None, label: str
) -> None:
    assert contact(email=email, phone=phone).label == label
