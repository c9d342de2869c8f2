"""Checkouts of five items as a shop sends them, signed by Standard Webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from orchestrator.sources.standard import sign

SECRET = "whsec_bWVhc3VyZW1lbnRzIGFyZSBzaWduZWQgd2l0aCBpdA=="
WAIT = timedelta(minutes=4)
"""What the measured journey waits after its event occurred."""

_BOOKS = (
    ("MOOM-06", "Moominland Midwinter", "novels", 1, 12.90),
    ("JANS-11", "The Summer Book", "novels", 2, 14.50),
    ("LIND-02", "Ronia, the Robber's Daughter", "children's books", 1, 11.20),
    ("WALT-19", "The Egyptian", "historical novels", 1, 24.00),
    ("OKSA-01", "Purge", "contemporary fiction", 3, 9.95),
)


def checkouts(number: int, due_at: datetime, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """Ids and bodies of events whose journeys are all due at one moment; a person each."""
    occurred_at = (due_at - WAIT).isoformat()
    for place in range(first, first + number):
        checkout = f"c-{place}"
        data = {
            "checkout_id": checkout,
            "contact": {
                "email": f"reader{place}@example.com",
                "first_name": "Ada",
                "last_name": f"Lindqvist {place}",
                "locale": "en",
                "timezone": "Europe/Helsinki",
                "country": "FI",
            },
            "consent": {"email": "yes"},
            "total": 95.95,
            "currency": "EUR",
            "items": [
                {
                    "sku": sku,
                    "name": name,
                    "category": category,
                    "quantity": quantity,
                    "price": price,
                    "url": f"https://northwind.example/books/{sku.lower()}?basket={checkout}",
                    "image": f"https://cdn.northwind.example/covers/{sku.lower()}.jpg",
                }
                for sku, name, category, quantity, price in _BOOKS
            ],
            "checkout_url": f"https://northwind.example/checkout/{checkout}",
        }
        event = {"type": "checkout.started", "timestamp": occurred_at, "data": data}
        yield str(uuid4()), json.dumps(event).encode()


def signed_request(event_id: str, body: bytes) -> bytes:
    """The whole HTTP request, ready for the wire."""
    headers = sign(SECRET, event_id, datetime.now(UTC), body.decode())
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        "POST /webhooks/standard HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"{lines}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
