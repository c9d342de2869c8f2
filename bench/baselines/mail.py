"""The body of every baseline's task: read the cart, render, send, write it down.

Written the usual way: a cached Jinja2 template with styles inlined beforehand, `EmailMessage`,
`smtplib`, a SQLAlchemy session. No consent, no caps, no exits, no record of tries.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import make_msgid
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment
from markupsafe import Markup
from sqlalchemy import JSON, DateTime, Engine, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from orchestrator.bootstrap.files import read_files
from orchestrator.domain.flows import Channel
from orchestrator.rendering.context import Vocabulary, filters
from orchestrator.rendering.styles import Sheet
from orchestrator.rendering.templates import of_channel
from orchestrator.rendering.theme import tokens_for

SHOP = Path(__file__).parents[1] / "shop"
TEXT = """Your basket is still here.
{% for item in event["items"] %}
{{ item.name }}, {{ item.quantity }} x {{ item.price|money(event.currency) }}
{{ item.url }}
{% endfor %}
Total: {{ event.total|money(event.currency) }}
Go to your basket: {{ event.checkout_url }}

Unsubscribe: {{ links.unsubscribe }}
"""


class Base(DeclarativeBase):
    """Tables of the baseline."""


class Cart(Base):
    __tablename__ = "cart"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    first_name: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


@cache
def engine() -> Engine:
    return create_engine(os.environ["BENCH_DATABASE"])


@cache
def templates() -> Environment:
    """The measured mail's own sources, in a plain environment."""
    read = read_files(SHOP / "flows.yaml", SHOP / "templates")
    book = read.candidate.book
    assert book is not None
    sheet_of = of_channel(read.candidate.templates, Channel.EMAIL)
    sheet = Sheet(sheet_of["mail.css"], tokens_for(book.brand.theme.get("accent")), rtl=False)
    pages = {
        name: sheet.inlined(text).replace("event.items", 'event["items"]')
        for name, text in sheet_of.items()
        if name.endswith(".html")
    }
    environment = Environment(
        loader=DictLoader({**pages, "plain.txt": TEXT}),
        autoescape=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(filters(book.brand, "en"))
    environment.globals.update(
        brand=Vocabulary(book.brand, book.topics).brand_in("en"),
        locale="en",
        filler=Markup("&#847;&zwnj;&nbsp;") * 60,
        theme={
            **sheet.constants,
            "dir": "ltr",
            "head": Markup(sheet.resolved(sheet_of["head.css"])),
            "dark": Markup(sheet.dark()),
        },
    )
    environment.globals.update(vars(environment.get_template("components.html").module))
    return environment


def facts(cart: Cart) -> Mapping[str, Any]:
    base = f"https://northwind.example/{cart.id}"
    return {
        "contact": {"first_name": cart.first_name},
        "event": cart.payload,
        "class": "marketing",
        "reason": "You get this because you said yes to offers.",
        "subject": f"{cart.first_name}, your basket is still here",
        "preheader": "We have kept it for you.",
        "links": {
            "unsubscribe": f"{base}/unsubscribe",
            "preferences": f"{base}/preferences",
            "privacy": None,
        },
    }


def message_for(cart: Cart) -> EmailMessage:
    known = facts(cart)
    mail = EmailMessage()
    mail["From"] = "Northwind Books <news@m.northwind.example>"
    mail["To"] = cart.email
    mail["Subject"] = known["subject"]
    mail["Message-ID"] = make_msgid(str(cart.id), "m.northwind.example")
    mail["List-Unsubscribe"] = f"<{known['links']['unsubscribe']}>"
    mail.set_content(templates().get_template("plain.txt").render(known))
    mail.add_alternative(templates().get_template("bench/cart.html").render(known), subtype="html")
    return mail


def send_cart(cart_id: int) -> None:
    """One person's mail, from the row to the row."""
    with Session(engine()) as session:
        cart = session.get_one(Cart, cart_id)
        mail = message_for(cart)
        with smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_SMTP_PORT"])) as server:
            server.send_message(mail)
        cart.sent_at = datetime.now(UTC)
        session.commit()
