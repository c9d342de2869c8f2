"""A bookshop's customers and what they do by themselves, drawn from a seed.

Nobody here can be reached: addresses are under example.com (RFC 2606), telephone numbers are
those that the North American numbering plan keeps for fiction (555-0100 to 555-0199).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

_FIRST: Final = (
    "Aino Ada Amir Astrid Bea Carlos Clara Daniel Elif Emma Erik Fatima Felix Freya Grace Hana Hugo"
    " Ida Ines Ivan Jonas Julia Kaito Lars Leila Linnea Lucia Marek Maya Mikko Nadia Nils Noor Olga"
    " Omar Paula Petra Rosa Sami Sofia Tomas Vera Viktor Yusuf Zoe"
).split()
_LAST: Final = (
    "Ahmed Andersen Becker Bianchi Costa Dahl Dubois Eklund Evans Fischer Garcia Haddad Hansen Ito"
    " Jansen Kaya Keller Korhonen Kowalski Laine Lindqvist Lopez Martin Meyer Moreau Nieminen Novak"
    " Okafor Olsen Petrov Rossi Santos Schmidt Silva Smith Tanaka Virtanen Weber Wilson Young"
).split()
_PLACES: Final = (
    ("FI", "Europe/Helsinki", 24),
    ("SE", "Europe/Stockholm", 11),
    ("DE", "Europe/Berlin", 13),
    ("GB", "Europe/London", 9),
    ("FR", "Europe/Paris", 8),
    ("US", "America/New_York", 35),
)
"""Country, time zone and how many of a hundred live there."""
_AREA_CODES: Final = ("202", "212", "312", "415", "617")
_BOOKS: Final = (
    ("KALEV-01", "The Kalevala", "classics", "24.90"),
    ("SEVEN-02", "Seven Brothers", "classics", "19.90"),
    ("PRIDE-03", "Pride and Prejudice", "novels", "12.50"),
    ("MOBYD-04", "Moby-Dick", "novels", "16.90"),
    ("EMMAA-05", "Emma", "novels", "11.90"),
    ("JEYRE-06", "Jane Eyre", "novels", "12.90"),
    ("DRACU-07", "Dracula", "novels", "13.50"),
    ("ALICE-08", "Alice in Wonderland", "children", "18.00"),
    ("SECRE-09", "The Secret Garden", "children", "14.90"),
    ("TREAS-10", "Treasure Island", "children", "13.90"),
    ("PETER-11", "Peter Pan", "children", "15.50"),
    ("WALDE-12", "Walden", "essays", "17.90"),
    ("MEDIT-13", "Meditations", "essays", "9.90"),
    ("ORIGI-14", "On the Origin of Species", "science", "21.00"),
    ("COFFE-15", "A Notebook for Readers", "stationery", "8.50"),
    ("LAMPS-16", "A Reading Lamp", "stationery", "49.00"),
)
_REVIEWS: Final = (
    "Could not put it down.",
    "A present for my sister; she loves it.",
    "Beautiful edition, fast delivery.",
    "Good, though the print is small.",
)
_CONSENTING: Final = 0.75
_PHONED: Final = 0.85
_OLD: Final = 0.4
_SUBSCRIBING: Final = 0.35
_GONE: Final = 0.03


@dataclass(slots=True)
class Customer:
    """Somebody who shops here."""

    number: int
    first_name: str
    last_name: str
    country: str
    timezone: str
    phone: str | None
    agrees: bool
    """Whether they say yes to mails and texts when they shop."""
    gone: bool
    """Whether mails to this address come back."""
    open_checkout: Mapping[str, Any] | None = field(default=None)

    @property
    def email(self) -> str:
        """An address that nobody has."""
        return f"{self.first_name}.{self.last_name}.{self.number}@example.com".lower()

    def contact(self) -> dict[str, Any]:
        """What the shop tells of them."""
        told = {
            "email": self.email,
            "phone": self.phone,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "country": self.country,
            "timezone": self.timezone,
            "locale": "en",
        }
        return {name: value for name, value in told.items() if value}

    def consent(self) -> dict[str, str]:
        """What they say at the checkout."""
        if not self.agrees:
            return {"email": "unknown"}
        return {"email": "yes", "sms": "yes"} if self.phone else {"email": "yes"}


@dataclass(frozen=True, slots=True)
class ShopEvent:
    """Something the shop tells; `fields` are those of an event but for its contact."""

    at: datetime
    customer: Customer
    type: str
    fields: Mapping[str, Any]


class SampleShop:
    """Draws customers and their lives between two moments."""

    def __init__(self, seed: int, start: datetime, end: datetime) -> None:
        self._random = Random(seed)  # noqa: S311 - to be drawn again, not to be guessed
        self._start = start
        self._end = end
        self._checkouts = 1000

    def customer(self, number: int) -> Customer:
        """The next customer."""
        draw = self._random
        countries, zones, weights = zip(*_PLACES, strict=True)
        (place,) = draw.choices(range(len(_PLACES)), weights)
        phoned = countries[place] == "US" and draw.random() < _PHONED
        # A hundred numbers to an area code, given out once each.
        code = _AREA_CODES[(number // 100) % len(_AREA_CODES)]
        return Customer(
            number=number,
            first_name=draw.choice(_FIRST),
            last_name=draw.choice(_LAST),
            country=countries[place],
            timezone=zones[place],
            phone=f"+1{code}55501{number % 100:02}" if phoned else None,
            agrees=draw.random() < _CONSENTING,
            gone=draw.random() < _GONE,
        )

    def life(self, customer: Customer) -> Iterator[ShopEvent]:
        """What somebody does by themselves, in no order."""
        draw = self._random
        if draw.random() < _OLD:
            joined = self._start
            before = self._start - timedelta(days=draw.uniform(30, 140))
            yield ShopEvent(before, customer, "order.placed", self._order(self._basket(customer)))
        else:
            joined = self._between(self._start, self._end, customer)
        if draw.random() < _SUBSCRIBING:
            consent = {"email": "yes", **({"sms": "yes"} if customer.phone else {})}
            yield ShopEvent(joined, customer, "contact.subscribed", {"consent": consent})
        for _ in range(draw.choice((0, 0, 1, 1, 1, 2, 3))):
            if joined < self._end:
                yield from self._trip(customer, self._between(joined, self._end, customer))

    def _trip(self, customer: Customer, at: datetime) -> Iterator[ShopEvent]:
        """A visit: looking around, a checkout, perhaps an order with all that follows."""
        draw = self._random
        basket = self._basket(customer)
        for item in basket["items"]:
            seen_at = at - timedelta(minutes=draw.uniform(1, 12))
            yield ShopEvent(seen_at, customer, "product.viewed", {"product": item})
        yield ShopEvent(at, customer, "checkout.started", basket)
        chance = draw.random()
        if chance < 0.45:  # noqa: PLR2004 - buys at once
            yield from self.purchase(customer, basket, at + timedelta(minutes=draw.uniform(4, 45)))
        elif chance < 0.6:  # noqa: PLR2004 - thinks about it
            yield from self.purchase(customer, basket, at + timedelta(hours=draw.uniform(2, 40)))

    def purchase(
        self, customer: Customer, basket: Mapping[str, Any], at: datetime
    ) -> Iterator[ShopEvent]:
        """An order, its parcel, and sometimes a complaint or a refund."""
        draw = self._random
        order = self._order(basket)
        yield ShopEvent(at, customer, "order.placed", order)
        packed_at = at + timedelta(hours=draw.uniform(5, 40))
        arrived_at = packed_at + timedelta(days=draw.uniform(1.5, 5))
        known = {name: order[name] for name in ("order_id", "checkout_id", "items")}
        tracking = {"carrier": "Posti", "number": f"JJFI{draw.randrange(10**8, 10**9)}"}
        yield ShopEvent(packed_at, customer, "order.fulfilled", {**known, "tracking": tracking})
        yield ShopEvent(arrived_at, customer, "order.delivered", known)
        if draw.random() < 0.07:  # noqa: PLR2004 - one in fourteen
            asked_at = arrived_at + timedelta(days=draw.uniform(0.2, 6))
            said = {"order_id": order["order_id"], "text": "A corner of the cover is bent."}
            yield ShopEvent(asked_at, customer, "support.opened", said)
            solved_at = asked_at + timedelta(hours=draw.uniform(2, 48))
            yield ShopEvent(solved_at, customer, "support.closed", {"order_id": order["order_id"]})
            if draw.random() < 0.5:  # noqa: PLR2004 - every other one
                yield ShopEvent(solved_at, customer, "order.refunded", known)

    def hesitation(self, customer: Customer) -> Iterator[ShopEvent]:
        """Three checkouts left open so shortly before the end that a cap is full."""
        for hours in (15.5, 4.5, 2.2):
            at = self._end - timedelta(hours=hours)
            yield ShopEvent(at, customer, "checkout.started", self._basket(customer))

    def review(self, customer: Customer, at: datetime) -> ShopEvent:
        """What somebody writes who was asked."""
        said = {"rating": self._random.choice((3, 4, 5, 5)), "text": self._random.choice(_REVIEWS)}
        return ShopEvent(at, customer, "review.submitted", said)

    def _basket(self, customer: Customer) -> dict[str, Any]:
        draw = self._random
        self._checkouts += 1
        number = f"c-{self._checkouts}"
        items = [
            {
                "sku": sku,
                "name": name,
                "category": category,
                "price": price,
                "quantity": draw.choice((1, 1, 1, 2)),
                "url": f"https://northwind.example/books/{sku.lower()}",
            }
            for sku, name, category, price in draw.sample(_BOOKS, draw.choice((1, 1, 2, 3)))
        ]
        prices = (Decimal(str(one["price"])) * Decimal(one["quantity"]) for one in items)
        return {
            "checkout_id": number,
            "checkout_url": f"https://northwind.example/checkout/{number}",
            "total": str(sum(prices, Decimal())),
            "currency": "EUR",
            "items": items,
            "consent": customer.consent(),
        }

    def _order(self, basket: Mapping[str, Any]) -> dict[str, Any]:
        return {**basket, "order_id": str(basket["checkout_id"]).replace("c-", "o-")}

    def _between(self, start: datetime, end: datetime, customer: Customer) -> datetime:
        """A moment at which people are awake; the last one is `end`."""
        draw = self._random
        days = max((end - start).days, 0)
        day = (start + timedelta(days=draw.randint(0, days))).date()
        clock = time(draw.choices(range(7, 24), range(3, 20))[0], draw.randrange(60))
        at = datetime.combine(day, clock, ZoneInfo(customer.timezone)).astimezone(end.tzinfo)
        at += timedelta(seconds=draw.randrange(60))
        return min(max(at, start), end)
