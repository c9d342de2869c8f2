"""A text message is judged as it comes out: too long, in foreign letters, nameless, no way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import LocalText, MessageClass
from orchestrator.rendering.sms import SmsRenderer
from orchestrator.rendering.sms_check import SentText, check_text
from tests.unit.test_rendering_sms import BRAND, context

GOOD = "{{ brand.name }}: your basket is here.\n{{ links.unsubscribe }}"


def findings(text: str, brand: Any = BRAND, **sent: Any) -> list[Finding]:
    sources = {f"sms/cart/reminder{suffix}.txt": text for suffix in ("", ".fi")}
    renderer = SmsRenderer(sources, brand)
    of = SentText("cart/reminder", **{"message_class": MessageClass.MARKETING, **sent})
    return list(check_text(renderer, brand, of, "templates/sms"))


def rules(text: str, brand: Any = BRAND, **sent: Any) -> list[tuple[str, Severity]]:
    return [(one.rule, one.severity) for one in findings(text, brand, **sent)]


def test_a_good_text_is_without_a_finding() -> None:
    assert rules(GOOD) == []


def test_a_text_over_its_budget_is_a_warning() -> None:
    (finding,) = findings(GOOD + "a" * 250)
    assert (finding.rule, finding.severity) == ("F3", Severity.WARNING)
    assert finding.message.startswith("it takes 3 SMS")
    assert rules("{{ brand.name }}: " + "س" * 180 + " stop") == []  # 3 are allowed to UCS-2
    assert rules("{{ brand.name }}: " + "س" * 210 + " stop") == [("F3", Severity.WARNING)]


def test_a_text_that_long_names_make_too_long_is_an_error() -> None:
    many = "{{ brand.name }}: {{ contact.first_name }} STOP " + "{{ event.checkout_url }} " * 20
    assert rules(many) == [("F3", Severity.ERROR), ("F3", Severity.WARNING)]


def test_typographic_characters_are_told_with_place_cost_and_remedy() -> None:
    long = "{{ brand.name }}: " + "a" * 90 + "\nit’s here – stop"
    quote, dash = findings(long)
    assert str(quote) == (
        "templates/sms/cart/reminder.txt:2:3: '’' (U+2019) is not in the SMS alphabet; with such"
        ' characters the text is UCS-2: 2 SMS instead of 1; write "\'" instead'
    )
    assert (dash.rule, dash.severity, dash.line, dash.column) == ("F4", Severity.WARNING, 2, 11)


def test_letters_of_a_language_are_no_mistake() -> None:
    assert rules("{{ brand.name }}: Twój koszyk czeka – STOP") == []
    assert rules("{{ brand.name }}: سبد خرید شما\nSTOP") == []


def test_a_text_says_at_once_who_sends_it() -> None:
    (finding,) = findings("Your basket is still here, just as you left it. Northwind. STOP")
    assert (finding.rule, finding.severity) == ("F7", Severity.ERROR)
    finnish = replace(BRAND, name=LocalText("Northwind", {"fi": "Pohjatuuli"}))
    assert rules("{{ brand.name }}: STOP", finnish, locale="fi") == []
    assert rules("Northwind: STOP", finnish, locale="fi") == [("F7", Severity.ERROR)]


def test_a_marketing_text_says_how_to_stop() -> None:
    assert rules("{{ brand.name }}: hello") == [("F8", Severity.WARNING)]
    assert rules("{{ brand.name }}: hello", message_class=MessageClass.TRANSACTIONAL) == []
    assert rules("{{ brand.name }}: hello. Reply STOP to stop.") == []


def test_each_sender_of_the_brand_is_asked() -> None:
    text = "{{ brand.name }}: hi {% if sender == 'NORTHWIND' %}x{% else %}STOP{% endif %}"
    brand = replace(BRAND, sms={"default": "+15005550006"})
    assert rules(text, brand) == []
    named = replace(BRAND, sms={"default": "+15005550006", "FI": "NORTHWIND"})
    assert rules(text, named) == [("F8", Severity.WARNING)]


def test_outputs_of_steps_have_made_up_values() -> None:
    text = "{{ brand.name }}: {{ gift.code }} until {{ gift.expires_at|date }} STOP"
    assert rules(text, outputs=("gift",)) == []


def test_a_text_that_fails_for_a_made_up_order_is_a_warning() -> None:
    (finding,) = findings("{{ brand.name }}\n{{ 1 // 0 }}")
    assert (finding.severity, finding.line) == (Severity.WARNING, 2)


def test_a_text_is_rendered_with_its_size_and_never_beyond_what_is_sent() -> None:
    def rendered(text: str) -> Any:
        renderer = SmsRenderer({"sms/cart/reminder.txt": text}, BRAND)
        return renderer.render("cart/reminder", context())

    assert rendered("a" * 161).size.segments == 2
    assert rendered("a" * 1530).size.segments == 10
    with pytest.raises(RenderFailed, match="11 SMS and 1531 characters"):
        rendered("a" * 1531)
