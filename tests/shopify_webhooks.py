"""Shopify as the tests play it: bodies from `tests/fixtures/shopify`, signed like Shopify's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures" / "shopify"
SECRET = "the client secret of the app"
SHOP = "northwind.myshopify.example"


def body_of(name: str, **changes: Any) -> dict[str, Any]:
    """A fixture with other values at its top."""
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return {**found, **changes}


def signature(body: bytes, secret: str = SECRET) -> str:
    """By its definition, and not by the code under test."""
    mark = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(mark).decode()


def headers_for(
    topic: str, body: bytes, event_id: str | None = "ev-1", webhook_id: str | None = "wh-1"
) -> dict[str, str]:
    """What comes with a webhook; names in lower case, as a source is given them."""
    headers = {
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": signature(body),
        "x-shopify-shop-domain": SHOP,
        "x-shopify-api-version": "2026-10",
        "x-shopify-triggered-at": "2026-11-20T07:45:31.123456789Z",
        "x-shopify-event-id": event_id,
        "x-shopify-webhook-id": webhook_id,
    }
    return {name: value for name, value in headers.items() if value is not None}
