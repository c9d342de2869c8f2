"""What each of Shopify's topics tells, in the fields of the product.

Amounts of a checkout are in the currency the buyer saw, those of an order in the shop's own
(shopify.dev, "Migrating to support multiple currencies"); neither is converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from orchestrator.domain.events import ConsentAnswer
from orchestrator.sources.fields import NormalisePhone
from orchestrator.sources.json_values import read_decimal, read_time
from orchestrator.sources.shopify.bodies import Body, first, part, parts, without_nothing
from orchestrator.sources.shopify.people import (
    Said,
    person_of_customer,
    person_of_purchase,
    said_by_state,
    with_consent,
)

_ONE_VARIANT: Final = "default title"
"""What Shopify calls the only variant of a product that has none."""
_STATUS: Final = re.compile(r"[a-z][a-z_]{0,59}")


@dataclass(frozen=True, slots=True)
class Told:
    """An event before its fields are checked; `times` are where to find when, best first."""

    type: str
    fields: Mapping[str, Any]
    times: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """An authentic body, and what its reading takes."""

    body: Body
    normalise_phone: NormalisePhone
    now: datetime


Reader = Callable[[Webhook], Told]


def reader_of(topic: str) -> Reader:
    """How a topic is read; one we do not know is an event of its own, `shopify.` in front."""
    if topic in _TOPICS:
        return _TOPICS[topic]
    kind = f"shopify.{topic.replace('/', '.')}"
    return partial(_FAMILIES.get(topic.partition("/")[0], _other), kind, "updated_at")


def _checkout(kind: str, time: str, webhook: Webhook) -> Told:
    body = webhook.body
    person = person_of_purchase(body, webhook.normalise_phone)
    fields = {
        **person,
        "checkout_id": first(body.get("token"), body.get("cart_token"), body.get("id")),
        "total": body.get("total_price"),
        "currency": first(body.get("presentment_currency"), body.get("currency")),
        "items": _items(body.get("line_items")),
        "checkout_url": first(body.get("abandoned_checkout_url")),
        "data": {**person["data"], **_prices(body), "completed_at": _completed_at(webhook)},
    }
    return Told(kind, fields, _times(body, time))


def _completed_at(webhook: Webhook) -> str | None:
    """When the checkout became an order; a mark that is no time means that it has by now."""
    told = first(webhook.body.get("completed_at"))
    if told is None or told is False:
        return None
    return (read_time(told) or webhook.now).isoformat()


def _order(kind: str, time: str, webhook: Webhook) -> Told:
    body = webhook.body
    person = person_of_purchase(body, webhook.normalise_phone)
    paid = part(body, "total_price_set", "presentment_money")
    fields = {
        **person,
        "order_id": body.get("id"),
        "checkout_id": first(*(body.get(key) for key in ("checkout_token", "cart_token"))),
        "total": body.get("total_price"),
        "currency": first(body.get("currency")),
        "items": _items(body.get("line_items")),
        "tracking": _tracking(body),
        "data": {
            **person["data"],
            **_prices(body),
            **{name: body.get(name) for name in _ORDER_DATA},
            "presentment_total": paid.get("amount"),
            "presentment_currency": paid.get("currency_code"),
        },
    }
    return Told(kind, fields, _times(body, time))


_ORDER_DATA: Final = (
    "name",
    "order_number",
    "order_status_url",
    "financial_status",
    "fulfillment_status",
    "cancel_reason",
    "source_name",
    "tags",
)


def _prices(body: Body) -> dict[str, Any]:
    codes = [one.get("code") for one in parts(body, "discount_codes")]
    names = ("subtotal_price", "total_discounts", "total_tax")
    return {**{name: body.get(name) for name in names}, "discount_codes": codes}


def _items(lines: Any) -> Any:
    return [_item(line) for line in lines] if isinstance(lines, list) else lines


def _item(line: Any) -> Any:
    if not isinstance(line, dict):
        return line
    variant_id = line.get("variant_id")
    return without_nothing(
        {
            "id": first(variant_id, line.get("id"), line.get("product_id")),
            "product_id": line.get("product_id"),
            "variant_id": str(variant_id) if isinstance(variant_id, int) else variant_id,
            "sku": line.get("sku"),
            "name": _item_name(line),
            "quantity": line.get("quantity"),
            "price": line.get("price"),
        }
    )


def _item_name(line: Body) -> Any:
    """Title and variant, in the buyer's language where Shopify translated them."""
    title = first(line.get("presentment_title"), line.get("title"), line.get("name"))
    variant = first(line.get("presentment_variant_title"), line.get("variant_title"))
    if not isinstance(variant, str) or variant.strip().lower() == _ONE_VARIANT:
        return title
    return f"{title} - {variant}" if isinstance(title, str) else title


def _tracking(body: Body) -> dict[str, Any] | None:
    """The parcel that was sent last."""
    last = next(reversed(parts(body, "fulfillments")), {})
    found = {
        "carrier": last.get("tracking_company"),
        "number": last.get("tracking_number"),
        "url": last.get("tracking_url"),
    }
    return without_nothing(found) or None


def _refund(webhook: Webhook) -> Told:
    """What was given back stands apart: the order's own total and items stay what they are."""
    body = webhook.body
    given_back = [one for one in parts(body, "transactions") if one.get("kind") == "refund"]
    amounts = [read_decimal(one.get("amount")) for one in given_back]
    total = sum((one for one in amounts if one is not None), Decimal(0))
    lines = [
        {**line, "quantity": one.get("quantity"), "price": line.get("price")}
        for one in parts(body, "refund_line_items")
        if (line := part(one, "line_item"))
    ]
    refund = {
        "id": body.get("id"),
        "amount": format(total, "f") if given_back else None,
        "currency": first(*(one.get("currency") for one in given_back)),
        "items": _items(lines),
    }
    fields = {"order_id": body.get("order_id"), "data": {"refund": without_nothing(refund)}}
    return Told("order.refunded", fields, _times(body, "created_at"))


def _fulfilment(webhook: Webhook) -> Told:
    """A parcel's news; that it arrived is what review requests wait for."""
    body = webhook.body
    told = body.get("status")
    status = told if isinstance(told, str) and _STATUS.fullmatch(told) else "unknown"
    names = ("fulfillment_id", "status", "message", "estimated_delivery_at")
    fields = {
        "order_id": body.get("order_id"),
        "data": {name: body.get(name) for name in names},
    }
    kind = "order.delivered" if status == "delivered" else f"fulfillment.{status}"
    return Told(kind, fields, _times(body, "happened_at"))


def _customer(kind: str, time: str, webhook: Webhook) -> Told:
    body = webhook.body
    person = person_of_customer(body, webhook.normalise_phone)
    names = ("tags", "state", "verified_email")
    data = {**person["data"], **{name: body.get(name) for name in names}}
    return Told(kind, {**person, "data": data}, _times(body, time))


def _deleted_customer(webhook: Webhook) -> Told:
    """Only whom it was: what else the body holds is what the shop has deleted."""
    contact = without_nothing({"id": webhook.body.get("id")}) or None
    return Told("shopify.customers.delete", {"contact": contact})


def _consent(channel: str, webhook: Webhook) -> Told:
    """A channel's consent has changed: the one webhook that may also withdraw."""
    body = webhook.body
    consent = part(body, f"{channel}_marketing_consent")
    if channel == "email":
        name, address = "email", first(body.get("email_address"), body.get("email"))
    else:
        name, address = "phone", first(body.get("phone"))
    said = said_by_state(consent, webhook.now, address) or Said()
    contact = without_nothing({"id": first(body.get("customer_id"), body.get("id")), name: address})
    person = with_consent(contact, {channel: said}, webhook.normalise_phone)
    kind = {
        ConsentAnswer.YES: "contact.subscribed",
        ConsentAnswer.NO: "contact.unsubscribed",
        ConsentAnswer.UNKNOWN: "contact.updated",
    }[ConsentAnswer(person["consent"][channel])]
    data = {**person["data"], "marketing_consent": dict(consent)}
    return Told(kind, {**person, "data": data}, (consent.get("consent_updated_at"),))


def _privacy(kind: str, webhook: Webhook) -> Told:
    """A request under privacy law, kept as told; it must not bring a person into being."""
    return Told(kind, {"data": dict(webhook.body)})


def _uninstalled(webhook: Webhook) -> Told:
    """The shop has removed the app; its owner's address and phone are not ours to keep."""
    body = webhook.body
    data = {"shop_id": body.get("id"), "shop": body.get("myshopify_domain")}
    return Told("shopify.app.uninstalled", {"data": data})


def _other(kind: str, time: str, webhook: Webhook) -> Told:
    """A topic of which only the customer is understood; the rest is kept as told."""
    person = person_of_customer(part(webhook.body, "customer"), webhook.normalise_phone)
    fields = {"contact": person["contact"], "data": dict(webhook.body)}
    return Told(kind, fields, _times(webhook.body, time))


def _times(body: Body, best: str) -> tuple[Any, ...]:
    return tuple(body.get(name) for name in (best, "updated_at", "created_at"))


_FAMILIES: Final[Mapping[str, Callable[..., Told]]] = {
    "checkouts": _checkout,
    "orders": _order,
    "customers": _customer,
}
_TOPICS: Final[Mapping[str, Reader]] = {
    "checkouts/create": partial(_checkout, "checkout.started", "created_at"),
    "checkouts/update": partial(_checkout, "checkout.updated", "updated_at"),
    "checkouts/delete": partial(_checkout, "checkout.expired", "updated_at"),
    "orders/create": partial(_order, "order.placed", "created_at"),
    "orders/paid": partial(_order, "order.paid", "updated_at"),
    "orders/fulfilled": partial(_order, "order.fulfilled", "updated_at"),
    "orders/cancelled": partial(_order, "order.cancelled", "cancelled_at"),
    "refunds/create": _refund,
    "fulfillment_events/create": _fulfilment,
    "customers/create": partial(_customer, "contact.created", "created_at"),
    "customers/update": partial(_customer, "contact.updated", "updated_at"),
    "customers/delete": _deleted_customer,
    "customers_email_marketing_consent/update": partial(_consent, "email"),
    "customers_marketing_consent/update": partial(_consent, "sms"),
    "customers/data_request": partial(_privacy, "privacy.data_request"),
    "customers/redact": partial(_privacy, "privacy.customer_redact"),
    "shop/redact": partial(_privacy, "privacy.shop_redact"),
    "app/uninstalled": _uninstalled,
}
