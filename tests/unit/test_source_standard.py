from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import (
    ConfigurationError,
    MalformedPayload,
    VerificationError,
)
from orchestrator.domain.events import ConsentAnswer, IncomingEvent
from orchestrator.flowfile.triggers import _EVENT_TYPE
from orchestrator.sources.fields import LONGEST_ID, LONGEST_TEXT, MOST_ITEMS
from orchestrator.sources.standard import StandardSource, sign

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SENT = "2026-11-20T11:59:30+00:00"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"another-key-another-key-another-").decode()


def normalise_phone(text: str, region: str | None) -> str | None:
    if text.startswith("+"):
        return text.replace(" ", "")
    return f"+358{text.lstrip('0')}" if region == "FI" else None


SOURCE = StandardSource([SECRET], normalise_phone)


def headers_for(
    body: bytes, *, secret: str = SECRET, at: datetime = NOW, event_id: str = "evt_1"
) -> dict[str, str]:
    """Headers as a sender's own code would make them, over any bytes."""
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = hmac.new(key, f"{event_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(mark).decode()}",
    }


def read_raw(body: bytes) -> IncomingEvent:
    return SOURCE.read(headers_for(body), body, NOW)


def read(data: Any, **envelope: Any) -> IncomingEvent:
    body = {"type": "checkout.started", "timestamp": SENT, "data": data} | envelope
    return read_raw(json.dumps(body).encode())


def dropped(event: IncomingEvent) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event.payload["data"]["_dropped"]
    return found


def test_an_event_is_read_with_its_fields() -> None:
    event = read(
        {
            "checkout_id": "c1",
            "total": 40.10,
            "currency": "eur",
            "items": [{"name": "Notebook", "quantity": 2, "price": "20.05", "sku": 77}],
            "contact": {"email": " Ada@Example.COM ", "phone": "040 1", "country": "fi"},
            "consent": {"email": "yes"},
            "data": {"source": "web"},
        }
    )
    assert (event.source, event.source_id, event.type) == ("standard", "evt_1", "checkout.started")
    assert event.occurred_at == NOW - timedelta(seconds=30)
    assert event.contact is not None
    assert event.contact.email == "ada@example.com"
    assert event.contact.phone == "+35840 1"
    assert event.contact.country == "FI"
    assert event.consent == {"email": ConsentAnswer.YES}
    assert event.payload == {
        "checkout_id": "c1",
        "total": "40.1",
        "currency": "EUR",
        "items": [{"name": "Notebook", "quantity": 2, "price": "20.05", "sku": "77"}],
        "consent": {"email": "yes"},
        "data": {"source": "web"},
    }


def test_our_own_signature_is_accepted() -> None:
    body = json.dumps({"type": "a.b", "timestamp": SENT, "data": {}})
    assert SOURCE.read(sign(SECRET, "e9", NOW, body), body.encode(), NOW).source_id == "e9"


BODY = b'{"type": "a.b", "data": {}}'
GOOD = headers_for(BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_2"},
        {"webhook-id": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "nonsense without a comma"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,!!!"},
        {"webhook-signature": "v1,ÿþ"},
        {"webhook-signature": "v1," + "A" * 100_000},
        {"webhook-signature": "v2," + GOOD["webhook-signature"][3:]},
        {"webhook-signature": GOOD["webhook-signature"][3:]},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": GOOD["webhook-timestamp"] + ".0"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "0" + GOOD["webhook-timestamp"]},
        {"webhook-timestamp": "9" * 12},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "١٢٣"},
        {"webhook-timestamp": GOOD["webhook-timestamp"] + " "},
    ],
)
def test_a_header_that_was_not_signed_so_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(GOOD | change, BODY, NOW)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_missing_header_is_refused(name: str) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read({key: value for key, value in GOOD.items() if key != name}, BODY, NOW)


def test_another_body_is_refused() -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(GOOD, BODY + b" ", NOW)


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_a_stale_or_future_request_is_refused(seconds: int) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(headers_for(BODY, at=NOW + timedelta(seconds=seconds)), BODY, NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_either_way_are_allowed(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert SOURCE.read(headers_for(BODY, at=at), BODY, NOW).occurred_at <= NOW


def test_an_old_secret_is_good_until_it_is_removed() -> None:
    both = StandardSource([OTHER, SECRET], normalise_phone)
    assert both.read(headers_for(BODY), BODY, NOW).source_id
    assert both.read(headers_for(BODY, secret=OTHER), BODY, NOW).source_id
    with pytest.raises(VerificationError):
        SOURCE.read(headers_for(BODY, secret=OTHER), BODY, NOW)


def test_one_good_signature_among_several_is_enough() -> None:
    mixed = GOOD | {"webhook-signature": f"v1a,x v1,AAAA junk {GOOD['webhook-signature']}"}
    assert SOURCE.read(mixed, BODY, NOW).source_id


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(VerificationError):
        StandardSource([], normalise_phone).read(GOOD, BODY, NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_ä", "whsec_A"])
def test_a_secret_that_is_none_is_a_setting_to_mend(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRETS"):
        StandardSource([secret], normalise_phone)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"type": "a.b", "data": {"text": "\xe9"}}',
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b'{"type": 7}',
        b'{"type": ""}',
        b'{"type": null}',
        b'{"type": "a.b", "data": {"total": NaN}}',
        b'{"type": "a.b", "data": {"total": -Infinity}}',
        b'{"type": "a.b", "data": {"data": ' + b"[" * 11 + b"]" * 11 + b"}}",
    ],
)
def test_an_authentic_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        read_raw(body)


def test_a_body_that_is_neither_authentic_nor_readable_is_not_authentic() -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(GOOD, b"\xff\xfe", NOW)


def test_ten_levels_are_not_too_deep() -> None:
    deep: Any = 1
    for _ in range(10):
        deep = [deep]
    assert read({"data": {}, "mine": deep}).payload["data"]["mine"] == deep


@pytest.mark.parametrize("kind", ["foo", "made.up", "x" * 128, "ünï"])
def test_an_unknown_type_is_an_event(kind: str) -> None:
    assert read({}, type=kind).type == kind


@pytest.mark.parametrize("length", [129, 5_000])
def test_a_type_that_is_too_long_is_cut_and_kept_beside(length: int) -> None:
    kind = "order.placed." + "x" * (length - 13)
    event = read({"total": 4}, type=kind)
    assert event.type == f"{kind[:127]}…"
    assert event.payload["total"] == "4"
    assert dropped(event)["type"] == {
        "why": f"has {length} characters; 127 are kept",
        "value": kind,
    }


def test_no_journey_can_await_a_type_that_was_cut() -> None:
    cut = read({}, type="a." + "b" * 200).type
    assert _EVENT_TYPE.fullmatch(cut[:-1])
    assert not _EVENT_TYPE.fullmatch(cut)


def test_an_id_that_is_too_long_still_tells_duplicates_from_others() -> None:
    def stored(event_id: str) -> str:
        return SOURCE.read(headers_for(BODY, event_id=event_id), BODY, NOW).source_id

    long = "e" * 256
    assert stored(long) == stored(long)
    assert stored(long) not in {stored(long + "e"), stored("e" * 255), stored("é" * 256)}
    assert len(stored("e" * 10_000)) <= LONGEST_ID
    assert stored("e" * 255) == "e" * 255


def test_a_byte_order_mark_is_passed_over_once() -> None:
    mark = b"\xef\xbb\xbf"
    assert read_raw(mark + BODY).type == "a.b"
    with pytest.raises(MalformedPayload):
        read_raw(mark + mark + BODY)


@pytest.mark.parametrize("data", [None, {}, {"contact": None}, {"contact": {}}])
def test_an_event_without_a_contact_is_an_event(data: Any) -> None:
    event = read(data)
    assert event.contact is None
    assert event.payload == {}


@pytest.mark.parametrize("data", [[], [1], "text", 7, True])
def test_data_of_another_kind_is_kept_as_not_understood(data: Any) -> None:
    assert dropped(read(data))["data"]["value"] == data


@pytest.mark.parametrize(
    ("timestamp", "wanted"),
    [
        ("2026-11-20T10:00:00Z", NOW - timedelta(hours=2)),
        ("2026-11-20T10:00:00", NOW - timedelta(hours=2)),
        ("2026-11-20T12:00:00+02:00", NOW - timedelta(hours=2)),
        ("2026-11-20", NOW.replace(hour=0)),
        ("9999-12-31T23:59:59Z", NOW),
        ("9999-12-31T23:59:59-23:00", NOW),
        ("0001-01-01T00:00:00+23:00", NOW),
        ("soon", NOW),
        (1_700_000_000, NOW),
        (None, NOW),
    ],
)
def test_the_time_is_read_and_never_lies_ahead(timestamp: Any, wanted: datetime) -> None:
    assert read({}, timestamp=timestamp).occurred_at == wanted


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("total", "12.50", "12.50"),
        ("total", 12, "12"),
        ("total", -3, "-3"),
        ("checkout_id", 450789469, "450789469"),
        ("rating", 4, 4),
        ("rating", "4.5", 4.5),
        ("score", 10, 10),
        ("text", "Thanks!", "Thanks!"),
        ("text", 5, "5"),
        ("currency", "sek", "SEK"),
        ("checkout_url", "https://x.example/c?a=1", "https://x.example/c?a=1"),
        ("checkout_url", "http://x.example/c?a=1", "https://x.example/c?a=1"),
        ("checkout_url", "HTTP://x.example/c", "https://x.example/c"),
        ("checkout_url", "http://localhost:3000/c", "http://localhost:3000/c"),
        ("checkout_url", " https://x.example/my cart\n", "https://x.example/my%20cart"),
        ("checkout_url", 'https://x.example/"><img>', "https://x.example/%22%3E%3Cimg%3E"),
        ("checkout_url", "https://x.example/\u202ea\r\nb", "https://x.example/%E2%80%AEab"),
        ("tracking", {"carrier": "Posti", "number": 123}, {"carrier": "Posti", "number": "123"}),
        ("product", {"id": 1, "price": 2.5, "colour": "red"}, None),
    ],
)
def test_a_field_is_kept_in_its_canonical_form(field: str, value: Any, kept: Any) -> None:
    wanted = {"id": "1", "price": "2.5", "colour": "red"} if kept is None else kept
    assert read({field: value}).payload == {field: wanted}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total", "a lot"),
        ("total", True),
        ("total", []),
        ("total", "NaN"),
        ("total", "Infinity"),
        ("total", "1e400"),
        ("total", 10**30),
        ("checkout_id", "x" * 256),
        ("checkout_id", {}),
        ("order_id", ""),
        ("order_id", 2**70),
        ("items", "one"),
        ("items", {}),
        ("product", []),
        ("rating", "five"),
        ("text", ["a"]),
        ("currency", "euro"),
        ("checkout_url", "javascript:alert(1)"),
        ("checkout_url", "http://[bad"),
        ("checkout_url", "/cart"),
        ("tracking", "1Z"),
        ("consent", "yes"),
        ("data", "x"),
        ("contact", "ada@example.com"),
    ],
)
def test_a_field_of_the_wrong_kind_is_left_out_and_told(field: str, value: Any) -> None:
    event = read({field: value})
    assert list(event.payload) == ["data"]
    assert list(dropped(event)) == [field]
    assert dropped(event)[field]["why"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "not an address"),
        ("email", 7),
        ("email", "a@b@c.example"),
        ("phone", "call me"),
        ("locale", "Finnish please"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("country", "Finland"),
    ],
)
def test_an_unreadable_part_of_a_contact_is_left_out_and_kept(field: str, value: Any) -> None:
    event = read({"contact": {"id": "c9", field: value}})
    assert event.contact is not None
    assert getattr(event.contact, field) is None
    assert dropped(event)[f"contact.{field}"]["value"] == value


def test_a_contact_nobody_can_recognise_is_none_but_is_kept() -> None:
    event = read({"contact": {"first_name": "Ada"}})
    assert event.contact is None
    assert dropped(event)["contact"]["value"] == {"first_name": "Ada"}


def test_further_keys_of_a_contact_are_attributes() -> None:
    event = read({"contact": {"id": 1, "points": 3, "attributes": {"birthday": "2000-02-29"}}})
    assert event.contact is not None
    assert event.contact.attributes == {"points": 3, "birthday": "2000-02-29"}


def test_further_keys_of_an_event_are_data() -> None:
    assert read({"colour": "red", "data": {"size": 4}}).payload == {
        "data": {"colour": "red", "size": 4}
    }


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("yes", ConsentAnswer.YES),
        (" YES ", ConsentAnswer.YES),
        (True, ConsentAnswer.YES),
        ("no", ConsentAnswer.NO),
        (False, ConsentAnswer.NO),
        ("unknown", ConsentAnswer.UNKNOWN),
        (None, ConsentAnswer.UNKNOWN),
        ("maybe", ConsentAnswer.UNKNOWN),
        ("true", ConsentAnswer.UNKNOWN),
        (1, ConsentAnswer.UNKNOWN),
        (1.0, ConsentAnswer.UNKNOWN),
        ([], ConsentAnswer.UNKNOWN),
        ({"email": "yes"}, ConsentAnswer.UNKNOWN),
    ],
)
def test_only_an_explicit_answer_is_consent(value: Any, wanted: ConsentAnswer) -> None:
    assert read({"consent": {"sms": value}}).consent == {"sms": wanted}


def test_a_channel_we_do_not_know_has_no_consent() -> None:
    event = read({"consent": {"fax": "yes", "tracking": "no"}})
    assert event.consent == {"tracking": ConsentAnswer.NO}
    assert "consent.fax" in dropped(event)


def test_only_a_hundred_items_are_kept() -> None:
    event = read({"items": [{"name": str(number)} for number in range(MOST_ITEMS + 5)]})
    assert len(event.payload["items"]) == MOST_ITEMS
    assert "105" in dropped(event)["items"]["why"]


def test_a_bad_item_does_not_fail_its_neighbours() -> None:
    event = read({"items": [{"name": "A"}, "B", {"name": "C", "price": "free"}]})
    assert event.payload["items"] == [{"name": "A"}, {"name": "C"}]
    assert set(dropped(event)) == {"items[1]", "items[2].price"}


def test_a_long_text_is_cut_between_characters() -> None:
    event = read({"text": "ä" * LONGEST_TEXT})
    assert event.payload["text"] == "ä" * (LONGEST_TEXT // 2)
    assert "text" in dropped(event)


@pytest.mark.parametrize(
    ("spelled", "kept"),
    [
        ("0.1", 0.1),
        ("3.0", 3),
        ("1e3", 1000),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", "9223372036854775808"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e400", "1E+400"),
        ("1e9999999999999999999999", "1e9999999999999999999999"),
    ],
)
def test_a_number_of_the_senders_own_stays_exact(spelled: str, kept: Any) -> None:
    body = f'{{"type": "a.b", "data": {{"mine": {spelled}}}}}'
    assert read_raw(body.encode()).payload["data"]["mine"] == kept


def test_a_very_long_number_is_no_reason_to_fail() -> None:
    body = b'{"type": "a.b", "data": {"total": ' + b"9" * 100_000 + b"}}"
    assert "total" in dropped(read_raw(body))


def test_what_no_database_can_hold_is_taken_out_of_texts() -> None:
    event = read_raw(b'{"type": "a.b", "data": {"text": "a\\u0000b\\ud800c", "k\\u0000": 1}}')
    assert event.payload == {"text": "abc", "data": {"k": 1}}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NAMES = st.sampled_from(
    "contact consent items product total data tracking rating text email phone price id".split()
)


@settings(settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 8)
@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)))
def test_no_readable_body_fails_and_what_is_read_is_json(data: Mapping[str, Any]) -> None:
    try:
        event = read(data)
    except MalformedPayload as error:
        assert "nested" in str(error)  # noqa: PT017  # the only reason there may be
        return
    text = json.dumps(event.payload, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()
    assert all(isinstance(answer, ConsentAnswer) for answer in event.consent.values())


@settings(settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 8)
@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(list(GOOD)), st.text(max_size=40)))
def test_a_stranger_is_always_refused(body: bytes, headers: Mapping[str, str]) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(headers, body, NOW)
