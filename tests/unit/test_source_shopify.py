"""Shopify's webhooks: what is believed, and what is read of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from orchestrator.bootstrap.application import _sources
from orchestrator.domain.errors import ConfigurationError, MalformedPayload, VerificationError
from orchestrator.domain.events import IncomingEvent
from orchestrator.settings import Settings
from orchestrator.sources.fields import LONGEST_ID, MOST_ITEMS
from orchestrator.sources.phones import normalise_phone
from orchestrator.sources.shopify import ShopifySource, sign
from orchestrator.sources.shopify.topics import _TOPICS
from orchestrator.sources.standard import LONGEST_TYPE
from tests.shopify_webhooks import FIXTURES, SECRET, SHOP, body_of, headers_for, signature

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = ShopifySource([SECRET], normalise_phone)

TOPICS = {
    "checkouts/create": ("checkout", "checkout.started"),
    "checkouts/update": ("checkout", "checkout.updated"),
    "checkouts/delete": ("checkout", "checkout.expired"),
    "orders/create": ("order", "order.placed"),
    "orders/paid": ("order", "order.paid"),
    "orders/fulfilled": ("order", "order.fulfilled"),
    "orders/cancelled": ("order", "order.cancelled"),
    "orders/updated": ("order", "shopify.orders.updated"),
    "refunds/create": ("refund", "order.refunded"),
    "fulfillment_events/create": ("fulfillment_event", "order.delivered"),
    "customers/create": ("customer", "contact.created"),
    "customers/update": ("customer", "contact.updated"),
    "customers/enable": ("customer", "shopify.customers.enable"),
    "customers/delete": ("customer", "shopify.customers.delete"),
    "customers_email_marketing_consent/update": ("email_consent", "contact.subscribed"),
    "customers_marketing_consent/update": ("sms_consent", "contact.subscribed"),
    "customers/data_request": ("data_request", "privacy.data_request"),
    "customers/redact": ("data_request", "privacy.customer_redact"),
    "shop/redact": ("data_request", "privacy.shop_redact"),
    "app/uninstalled": ("data_request", "shopify.app.uninstalled"),
    "products/update": ("checkout", "shopify.products.update"),
}


def read_raw(topic: str, body: bytes, **ids: str | None) -> IncomingEvent:
    return SOURCE.read(headers_for(topic, body, **ids), body, NOW)


def read(topic: str, body: Any, **ids: str | None) -> IncomingEvent:
    return read_raw(topic, json.dumps(body).encode(), **ids)


def checkout(**changes: Any) -> IncomingEvent:
    return read("checkouts/update", body_of("checkout", **changes))


def order(**changes: Any) -> IncomingEvent:
    return read("orders/create", body_of("order", **changes))


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


# What is believed ---------------------------------------------------------------------------

BODY = b'{"token": "c1", "note": "\xc3\xa4 \\/ \\u00e4"}'
GOOD = headers_for("checkouts/create", BODY)


def test_the_raw_bytes_are_what_is_signed() -> None:
    assert SOURCE.read(GOOD, BODY, NOW).payload["checkout_id"] == "c1"
    for other in (BODY + b" ", BODY.replace(b"\\/", b"/"), json.dumps(json.loads(BODY)).encode()):
        with pytest.raises(VerificationError):
            SOURCE.read(GOOD, other, NOW)


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "AAAA",
        "not base64!",
        signature(BODY)[:-2],
        signature(BODY)[:-1],
        signature(BODY) + "=",
        signature(BODY).lower(),
        signature(BODY, "another secret"),
        signature(BODY, ""),
        "ÿþ",
        "é" * 44,
        "\x00",
        "A" * 100_000,
    ],
)
def test_another_signature_is_refused(given: str) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(GOOD | {"x-shopify-hmac-sha256": given}, BODY, NOW)


def test_a_missing_signature_is_refused() -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(without(GOOD, "x-shopify-hmac-sha256"), BODY, NOW)


def test_an_old_secret_is_good_until_it_is_removed() -> None:
    both = ShopifySource(["the new secret", SECRET], normalise_phone)
    newer = GOOD | {"x-shopify-hmac-sha256": signature(BODY, "the new secret")}
    assert both.read(GOOD, BODY, NOW).type == both.read(newer, BODY, NOW).type
    with pytest.raises(VerificationError):
        SOURCE.read(newer, BODY, NOW)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(VerificationError):
        ShopifySource([], normalise_phone).read(GOOD, BODY, NOW)


@pytest.mark.parametrize("secret", ["", "  ", "\n"])
def test_an_empty_secret_is_a_setting_to_mend(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRETS"):
        ShopifySource([SECRET, secret], normalise_phone)


def test_our_own_signature_is_shopifys() -> None:
    assert sign(SECRET, BODY) == signature(BODY)


def test_a_source_stands_where_it_has_a_secret() -> None:
    settings = Settings(
        _env_file=None,
        secret_key=(SecretStr("tests sign with this key"),),
        suppression_key=SecretStr("tests hash with this key"),
        webhook_secrets={"shopify": (SecretStr(SECRET),)},
    )
    sources = _sources(settings)
    assert list(sources) == ["shopify"]
    assert sources["shopify"].read(GOOD, BODY, NOW) is not None


def test_the_headers_of_the_newer_events_api_are_read() -> None:
    newer = {name.removeprefix("x-"): value for name, value in GOOD.items()}
    assert SOURCE.read(newer, BODY, NOW) == SOURCE.read(GOOD, BODY, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"{", b"[]", b"null", b"7", b'"x"', b'{"a": NaN}', b"[" * 100_000]
)
def test_an_authentic_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        read_raw("checkouts/create", body)


def test_what_is_neither_authentic_nor_readable_is_not_authentic() -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(GOOD, b"\xff\xfe", NOW)


# Which event it is --------------------------------------------------------------------------


def identity(topic: str = "orders/create", body: Any = None, **ids: str | None) -> str:
    return read(topic, body or {"id": 1}, **ids).source_id


def test_the_event_is_known_by_its_event_id_whatever_subscription_brought_it() -> None:
    assert identity(event_id="e", webhook_id="a") == identity(event_id="e", webhook_id="b")
    assert identity(event_id="e") != identity(event_id="f")


def test_without_an_event_id_the_webhook_id_is_its_identity() -> None:
    assert identity(event_id=None, webhook_id="a") == identity(event_id=None, webhook_id="a")
    assert identity(event_id=None, webhook_id="a") != identity(event_id=None, webhook_id="b")


def test_without_any_id_the_body_is_its_identity() -> None:
    def found(topic: str, note: str) -> str:
        return identity(topic, {"id": 1, "note": note}, event_id=None, webhook_id=None)

    assert found("orders/paid", "a") == found("orders/paid", "a")
    assert found("orders/paid", "a") != found("orders/paid", "b")
    assert found("orders/paid", "a") != found("orders/create", "a")


def test_one_action_on_two_topics_or_of_two_objects_is_two_events() -> None:
    assert identity("orders/create") != identity("orders/paid")
    assert identity(body={"id": 1}) != identity(body={"id": 2})
    redact = "customers/redact"
    assert identity(redact, {"customer": {"id": 1}}) != identity(redact, {"customer": {"id": 2}})


def test_the_version_of_the_api_makes_no_other_event() -> None:
    whole = body_of("checkout", id=981)
    newer = without(whole, "id")
    assert identity("checkouts/create", whole) == identity("checkouts/create", newer)


@pytest.mark.parametrize("given", ["x" * 300, "ä", "a b", "\x00", "\ud800"])
def test_an_odd_id_is_still_an_identity(given: str) -> None:
    found = identity(event_id=given)
    assert found == identity(event_id=given)
    assert found.isascii()
    assert len(found) <= LONGEST_ID


# Topics and times ---------------------------------------------------------------------------


@pytest.mark.parametrize("topic", list(TOPICS))
def test_every_topic_has_its_type(topic: str) -> None:
    fixture, kind = TOPICS[topic]
    event = read(topic, body_of(fixture))
    assert (event.source, event.type) == ("shopify", kind)
    assert event.payload["data"]["shop"] == SHOP or topic == "app/uninstalled"


def test_every_topic_stands_in_the_docs_with_its_type() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources" / "shopify.md").read_text()
    for topic, (_, kind) in TOPICS.items():
        if topic not in {"orders/updated", "customers/enable", "products/update"}:
            assert f"`{topic}`" in page
            assert f"`{kind}`" in page
    assert set(_TOPICS) <= set(TOPICS)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("Orders/Create", "order.placed"),
        ("customer.tags_added", "shopify.customer.tags_added"),
        ("moon/landed", "shopify.moon.landed"),
        ("", "shopify.unknown"),
        ("a/b/c", "shopify.unknown"),
        ("ä/ö", "shopify.unknown"),
        ("x" * 400, "shopify.unknown"),
        ("../../etc", "shopify.unknown"),
    ],
)
def test_a_topic_we_do_not_know_is_an_event_of_its_own(topic: str, kind: str) -> None:
    event = read(topic, {"id": 1, "colour": "red"})
    assert event.type == kind
    assert len(event.type) <= LONGEST_TYPE


@pytest.mark.parametrize(
    ("topic", "changes", "minute"),
    [
        ("checkouts/create", {}, "07:40"),
        ("checkouts/update", {}, "07:45"),
        ("checkouts/update", {"updated_at": None}, "07:40"),
        ("checkouts/update", {"updated_at": "2026-11-20T03:45:30-04:00"}, "07:45"),
        ("checkouts/update", {"updated_at": "2030-01-01T00:00:00Z"}, "12:00"),
        ("checkouts/update", {"updated_at": "soon", "created_at": 5}, "12:00"),
        ("orders/create", {}, "08:02"),
        ("orders/paid", {}, "09:30"),
        ("orders/cancelled", {"cancelled_at": "2026-11-20T10:30:00Z"}, "10:30"),
        ("refunds/create", {}, "09:40"),
        ("fulfillment_events/create", {}, "09:45"),
        ("customers/update", {}, "07:00"),
        ("customers_marketing_consent/update", {}, "07:50"),
    ],
)
def test_an_event_happened_when_its_body_says(
    topic: str, changes: dict[str, Any], minute: str
) -> None:
    event = read(topic, body_of(TOPICS[topic][0], **changes))
    assert event.occurred_at.strftime("%H:%M") == minute
    assert event.occurred_at.date() == NOW.date()


def test_a_header_never_tells_the_time() -> None:
    body = b'{"token": "c1"}'
    for stamp in ("2020-01-01T00:00:00Z", "", "2040-01-01T00:00:00Z"):
        headers = headers_for("checkouts/update", body) | {"x-shopify-triggered-at": stamp}
        assert SOURCE.read(headers, body, NOW).occurred_at == NOW


# Purchases ----------------------------------------------------------------------------------


def test_a_checkout_is_read_with_its_fields() -> None:
    event = read("checkouts/create", body_of("checkout"))
    assert event.payload["checkout_id"] == "c0ffee5eed"
    assert event.payload["total"] == "612.50"
    assert event.payload["currency"] == "SEK"  # the amounts of a checkout are the buyer's
    assert event.payload["checkout_url"].startswith("https://northwind.example/checkouts/")
    assert event.payload["items"][0] == {
        "id": "4401",
        "product_id": "880001",
        "variant_id": "4401",
        "sku": "NB-A5-RED",
        "name": "Anteckningsbok - A5 / röd",
        "quantity": 2,
        "price": "240.00",
    }
    assert event.payload["items"][1]["name"] == "Gift wrapping"
    assert event.payload["data"]["discount_codes"] == ["AUTUMN"]
    assert "_dropped" not in event.payload["data"]
    assert "completed_at" not in event.payload["data"]


def test_the_currency_of_the_shop_is_that_of_its_orders() -> None:
    event = order()
    assert (event.payload["total"], event.payload["currency"]) == ("53.20", "EUR")
    assert event.payload["data"]["presentment_total"] == "612.50"
    assert event.payload["data"]["presentment_currency"] == "SEK"


def test_a_checkout_without_a_presentment_currency_is_in_the_shops() -> None:
    assert checkout(presentment_currency=None).payload["currency"] == "EUR"


def test_an_order_and_its_checkout_have_one_checkout_id() -> None:
    assert order().payload["checkout_id"] == checkout().payload["checkout_id"]
    assert order(checkout_token=None).payload["checkout_id"] == "cart-7"
    assert checkout(token=None).payload["checkout_id"] == "cart-7"
    assert "checkout_id" not in order(checkout_token=None, cart_token=None).payload
    assert checkout(token="", cart_token=None, id=981).payload["checkout_id"] == "981"


def test_an_order_is_read_with_what_is_about_it() -> None:
    event = order()
    assert event.payload["order_id"] == "5500001"
    assert event.payload["tracking"] == {
        "carrier": "Posti",
        "number": "JJFI6500",
        "url": "https://posti.example/JJFI6500",
    }
    assert event.payload["data"]["name"] == "#1043"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2026-11-20T11:00:00+02:00", "2026-11-20T09:00:00+00:00"),
        (True, NOW.isoformat()),
        ("yes", NOW.isoformat()),
        (None, None),
        ("", None),
        (False, None),
    ],
)
def test_a_checkout_tells_that_it_is_completed(told: Any, kept: str | None) -> None:
    assert checkout(completed_at=told).payload["data"].get("completed_at") == kept


def test_only_a_hundred_items_are_kept_and_nothing_else_is_lost() -> None:
    lines = [{"title": f"Book {number}", "price": "1.00"} for number in range(250)]
    event = checkout(line_items=lines)
    assert [item["name"] for item in event.payload["items"]] == [
        f"Book {number}" for number in range(MOST_ITEMS)
    ]
    assert "250" in event.payload["data"]["_dropped"]["items"]["why"]
    assert event.contact == checkout().contact
    assert event.payload["total"] == "612.50"


@pytest.mark.parametrize("variant", [None, "", "Default Title", "default title", 7])
def test_a_product_without_variants_is_named_by_its_title(variant: Any) -> None:
    event = checkout(line_items=[{"title": "Lamp", "variant_title": variant}])
    assert event.payload["items"] == [{"name": "Lamp"}]


def test_what_is_given_back_is_not_the_total_of_the_order() -> None:
    event = read("refunds/create", body_of("refund"))
    assert event.contact is None
    assert without(dict(event.payload), "data") == {"order_id": "5500001"}
    refund = event.payload["data"]["refund"]
    assert (refund["amount"], refund["currency"]) == ("21.90", "EUR")
    assert [(item["name"], item["quantity"]) for item in refund["items"]] == [
        ("Notebook - A5 / red", 1)
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("delivered", "order.delivered"),
        ("in_transit", "fulfillment.in_transit"),
        ("out_for_delivery", "fulfillment.out_for_delivery"),
        ("not really", "fulfillment.unknown"),
        (None, "fulfillment.unknown"),
        (["delivered"], "fulfillment.unknown"),
        ("x" * 500, "fulfillment.unknown"),
    ],
)
def test_news_of_a_parcel_have_their_type(status: Any, kind: str) -> None:
    event = read("fulfillment_events/create", body_of("fulfillment_event", status=status))
    assert (event.type, event.payload["order_id"]) == (kind, "5500001")


# Privacy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact", "shop/redact"])
def test_a_privacy_request_is_kept_and_brings_nobody_into_being(topic: str) -> None:
    event = read(topic, body_of("data_request"))
    assert event.contact is None
    assert event.payload["data"]["customer"]["email"] == "ada.lindqvist@example.com"


def test_of_a_deleted_customer_only_the_id_is_kept() -> None:
    event = read("customers/delete", body_of("customer"))
    assert event.contact is not None
    assert (event.contact.id, event.contact.email) == ("7300001", None)
    assert event.contact.phone is None
    assert "ada" not in json.dumps(event.payload).lower()


def test_the_owner_of_a_shop_that_leaves_is_not_kept() -> None:
    shop = {"id": 1, "myshopify_domain": SHOP, "email": "owner@example.com", "phone": "+35840"}
    event = read("app/uninstalled", shop)
    assert event.contact is None
    assert event.payload == {"data": {"shop_id": 1, "shop": SHOP}}


# Anything may come --------------------------------------------------------------------------

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, 1e300, "1e999", "NaN", "x" * 11_000, "", "\x00", "ä", "+1 5", "DE"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
BODIES = {path.stem: json.loads(path.read_text()) for path in FIXTURES.glob("*.json")}


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a body."""
    inner = list(body.items()) if isinstance(body, dict) else []
    inner = list(enumerate(body)) if isinstance(body, list) else inner
    found = [path] if path else []
    return found + [one for key, value in inner for one in places(value, (*path, key))]


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The body with another value there; a way that is gone by now changes nothing."""
    inner = body = copy.deepcopy(body)
    for key in path[:-1]:
        if not isinstance(inner, dict | list):
            return body
        try:
            inner = inner[key]
        except (KeyError, IndexError, TypeError):
            return body
    if isinstance(inner, dict) and isinstance(path[-1], str):
        inner[path[-1]] = value
    return body


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    body = BODIES[draw(st.sampled_from(sorted(BODIES)))]
    for path in draw(st.lists(st.sampled_from(places(body)), min_size=1, max_size=4)):
        body = changed(body, path, draw(JUNK))
    return body


def is_sound(event: IncomingEvent) -> None:
    """Whatever was read can be stored by every database, and is what it says."""
    text = json.dumps(event.payload, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()
    assert event.occurred_at <= NOW
    assert len(event.source_id) <= LONGEST_ID
    assert 0 < len(event.type) <= LONGEST_TYPE
    assert len(event.payload.get("items") or ()) <= MOST_ITEMS
    for name in ("checkout_id", "order_id", "total", "currency"):
        assert isinstance(event.payload.get(name, ""), str)


@settings(settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 4)
@given(mutated(), st.sampled_from(sorted(TOPICS)))
def test_no_readable_body_fails(body: Any, topic: str) -> None:
    try:
        is_sound(read(topic, body))
    except MalformedPayload as error:
        assert "nested" in str(error)  # noqa: PT017  # the only reason there may be


@settings(settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 8)
@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(list(GOOD)), st.text(max_size=40)))
def test_a_stranger_is_always_refused(body: bytes, headers: Mapping[str, str]) -> None:
    with pytest.raises(VerificationError):
        SOURCE.read(headers, body, NOW)


@settings(settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 8)
@given(
    st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.sampled_from(["", "x-"])
)
def test_no_header_beside_the_signature_makes_a_body_unreadable(
    topic: str, event_id: str, shop: str, prefix: str
) -> None:
    body = b'{"token": "c1"}'
    headers = {
        f"{prefix}shopify-hmac-sha256": signature(body),
        f"{prefix}shopify-topic": topic,
        f"{prefix}shopify-event-id": event_id,
        f"{prefix}shopify-shop-domain": shop,
        f"{prefix}shopify-test": "true",
    }
    is_sound(SOURCE.read(headers, body, NOW))


@pytest.mark.parametrize("topic", ["orders/create", "moon/landed"])
def test_ten_thousand_fields_are_read_soon(topic: str) -> None:
    body = body_of("order") | {f"field_{number}": "x" * 50 for number in range(10_000)}
    is_sound(read(topic, body))


def test_a_far_off_time_is_no_reason_to_fail() -> None:
    for text in ("9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00", "2026-13-40"):
        event = checkout(updated_at=text, created_at=text, completed_at=text)
        assert event.occurred_at <= NOW
