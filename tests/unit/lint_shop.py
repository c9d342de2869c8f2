"""The shipped shop under the rules, as it is and with something changed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from orchestrator.domain.findings import Finding
from orchestrator.domain.flows import Channel, FlowBook, MessageClass, SendStep
from orchestrator.flowfile import load_file
from orchestrator.rendering.lint.fixtures import Sent
from orchestrator.rendering.lint.matrix import Matrix
from orchestrator.rendering.templates import load_folder
from tests.unit.gallery import GALLERY

ROOT = Path(__file__).parents[2]
CART = """{% extends "shell.html" %}

{% block subject %}Your basket is still here{% endblock %}
{% block preheader %}We have kept it for you. Take it up whenever it suits you.{% endblock %}

{% block content %}
{{ heading("Your basket is still here") }}

<p>Hello{% if contact.first_name %} {{ contact.first_name }}{% endif %}, nothing is lost.</p>

{{ product_list(event.items, currency=event.currency, total=event.total) }}

{{ button("Go to your basket", event.checkout_url or brand.url) }}
{% endblock %}
"""
PLAIN = """{% extends "shell.html" %}
{% block subject %}News from the shop{% endblock %}
{% block preheader %}What has come in this week, and what we think of it.{% endblock %}
{% block content %}
"""
"""How a marketer's own page begins; `page` ends it."""


@cache
def book() -> FlowBook:
    loaded = load_file(ROOT / "flows.yaml")
    assert loaded.book is not None
    return loaded.book


@cache
def sources() -> dict[str, str]:
    shipped = load_folder(ROOT / "templates")
    return {**shipped, "email/all/gallery.html": GALLERY, "email/all/cart.html": CART}


def page(content: str) -> dict[str, str]:
    """The shipped templates with one page of plain HTML."""
    return {**sources(), "email/all/own.html": f"{PLAIN}{content}\n{{% endblock %}}\n"}


def sent(
    template: str,
    message_class: MessageClass = MessageClass.MARKETING,
    *,
    channel: Channel = Channel.EMAIL,
    locale: str = "en",
) -> Sent:
    """A template as a step of that class sends it; the flow is one that knows such steps."""
    topical = message_class is MessageClass.MARKETING
    flow = book().flows["win_back" if topical else "privacy_notice"]
    step = next(one for one in flow.steps if isinstance(one, SendStep))
    step = replace(step, template=template, flow_class=message_class, via=(channel,))
    return Sent(flow, step, channel, locale)


def findings(changed: dict[str, str], one: Sent, shop: FlowBook | None = None) -> list[Finding]:
    return list(Matrix(shop or book(), changed, "templates").findings(one))


def said(changed: dict[str, str], one: Sent, shop: FlowBook | None = None) -> list[str]:
    """Each finding as a terminal shows it, after its severity and rule."""
    return [f"{f.severity} {f.rule} {f}" for f in findings(changed, one, shop)]
