from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigurationError, RenderFailed
from orchestrator.domain.flows import Brand, Channel, LocalText, MessageClass
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.sms import SmsRenderer, names_sender, tidy
from orchestrator.rendering.templates import (
    built_in,
    has_template,
    load_folder,
    localised,
)

BRAND = Brand(
    name=LocalText("Northwind"),
    legal_name=LocalText("Northwind Books Oy"),
    url="https://northwind.example",
    email_marketing="news@northwind.example",
    email_service="hello@northwind.example",
    postal_address=LocalText("Keskuskatu 1"),
    support="help@northwind.example",
    locale="en",
    timezone="Europe/Helsinki",
)


def renderer(text: str, **files: str) -> SmsRenderer:
    more = {f"sms/cart/{name.replace('_', '.')}.txt": source for name, source in files.items()}
    return SmsRenderer({"sms/cart/reminder.txt": text, **more}, BRAND)


def context(**facts: Any) -> RenderContext:
    links = {"unsubscribe": "https://x.example/u/t"}
    return RenderContext(MessageClass.MARKETING, links, **facts)


def test_a_text_is_not_escaped() -> None:
    sms = renderer("{{ brand.name }}: {{ contact.first_name }} & co\n{{ links.unsubscribe }}\n")
    text = sms.render("cart/reminder", context(contact={"first_name": "<Ada>"})).text
    assert text == "Northwind: <Ada> & co\nhttps://x.example/u/t"


def test_a_text_in_the_locale_of_its_own_file() -> None:
    sms = renderer("Hello", reminder_fi="Hei")
    assert sms.render("cart/reminder", context(locale="fi-FI")).locale == "fi"
    assert sms.render("cart/reminder", context(locale="sv")).text == "Hello"


def test_an_empty_text_or_a_missing_file_fails() -> None:
    with pytest.raises(RenderFailed, match="the message is empty"):
        renderer(" \n ").render("cart/reminder", context())
    with pytest.raises(RenderFailed, match=r"templates/sms/cart/nudge\.txt"):
        renderer("x").render("cart/nudge", context())


def test_a_text_is_checked_without_data() -> None:
    (failure,) = renderer("{{ contct.first_name }}").check("cart/reminder")
    assert 'did you mean "contact"?' in failure.message
    assert renderer("{{ gift.code }}").check("cart/reminder", ["gift"]) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a  b \n\n\n\nc\t", "a b\n\nc"),
        ("e\u0301", "é"),
        ("pay \u202eXYZ\u202c now", "pay XYZ now"),
        ("a\x00\x1bb\r\nc", "ab\nc"),
        ("क्\u200cष", "क्\u200cष"),
        ("\ufeffa", "a"),
    ],
)
def test_a_text_is_composed_and_stripped_of_what_misleads(text: str, wanted: str) -> None:
    assert tidy(text) == wanted


@given(st.text())
def test_tidying_twice_changes_nothing(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_a_folder_lies_over_the_components(tmp_path: Path) -> None:
    (tmp_path / "email/cart").mkdir(parents=True)
    (tmp_path / "email/cart/reminder.html").write_text("mine")
    (tmp_path / "email/shell.html").write_text("my shell")
    (tmp_path / "notes.md").write_text("not a template")
    sources = load_folder(tmp_path)
    assert sources["email/shell.html"] == "my shell"
    assert has_template(sources, Channel.EMAIL, "cart/reminder")
    assert not has_template(sources, Channel.SMS, "cart/reminder")
    assert sources.keys() == {*built_in(), "email/cart/reminder.html"}


def test_a_folder_that_is_missing_or_unreadable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"bad\.txt:1:1: this is not UTF-8 text"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("locale", "default", "wanted"),
    [
        ("fi-FI", "en", ("a.fi.txt", "fi")),
        ("zh-Hant-TW", "en", ("a.zh-Hant.txt", "zh-Hant")),
        ("sv", "en", ("a.txt", "en")),
        (None, "fi-FI", ("a.fi.txt", "fi")),
        ("sv", "fi-FI", ("a.fi.txt", "fi-FI")),
    ],
)
def test_the_closest_file_decides_the_locale(
    locale: str | None, default: str, wanted: tuple[str, str]
) -> None:
    sources = dict.fromkeys(("a.txt", "a.fi.txt", "a.zh-Hant.txt"), "")
    assert localised(sources, "a", ".txt", locale, default) == wanted


def test_an_address_alone_does_not_say_who_sends_a_text() -> None:
    assert not names_sender("It is back.\nhttps://kaffila.example/n", "Kaffila")
    assert names_sender("Kaffila: it is back.\nhttps://kaffila.example/n", "Kaffila")
    assert names_sender("KAFFILA.EXAMPLE: it is back.", "Kaffila.example")
    assert not names_sender(f"{'x' * 40} Kaffila", "Kaffila")
