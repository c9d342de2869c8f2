"""A mail with every component, for the rules and for the browser."""

from __future__ import annotations

GALLERY = """{% extends "shell.html" %}
{% block subject %}Every component{% endblock %}
{% block preheader %}One of each, so that the rules can be looked up in it.{% endblock %}
{% block content %}
{% set cdn = "https://cdn.northwind.example/" %}
{{ heading("Every component") }}
<p>Plain words with <a href="{{ links.preferences }}">your choice</a> in them.</p>
{{ greeting("Ada") }}
{{ text("TEXT-WORDS") }}
{{ button("BUTTON-WORDS", brand.url ~ "/button") }}
{{ quiet_link("QUIET-WORDS", brand.url ~ "/quiet") }}
{{ product_list(event.items, currency=event.currency, total=event.total, promo=true) }}
{{ heading("LEVEL-TWO", level=2) }}
{{ heading("LEVEL-THREE", level=3) }}
{# Twenty items listed twice make a page that clients cut off. #}
{% set few = event.items if event.items|length < 20 else [] %}
{{ order_table(few, currency=event.currency, total=event.total) }}
{{ facts([["FACT-NAME", "FACT-WORDS"]]) }}
{% call columns() %}
{% call column() %}
{{ card("CARD-ONE", "CARD-WORDS", "CARD-LINK", brand.url ~ "/card", cdn ~ "card.png") }}
{% endcall %}
{% call column() %}{{ card("CARD-TWO", "CARD-MORE") }}{% endcall %}
{% endcall %}
{{ coupon("COUPON-CODE", "COUPON-WORDS", until=event.occurred_at) }}
{{ quote("QUOTE-WORDS", "QUOTE-WHO", stars=4) }}
{{ rating(cdn ~ "one?of=two#rate", "RATING-QUESTION", low="RATING-LOW", high="RATING-HIGH") }}
{{ survey("SURVEY-QUESTION", ["ANSWER-ONE", "ANSWER-TWO", ["ANSWER-STOP", links.unsubscribe]],
          url=brand.url ~ "/answers") }}
{{ social([["SOCIAL-ONE", brand.url ~ "/one"], ["SOCIAL-TWO", brand.url ~ "/two"]]) }}
{{ image(cdn ~ "day.png", "IMAGE-ALT", brand.url ~ "/image", dark=cdn ~ "night.png") }}
{% call note() %}NOTE-<strong>WORDS</strong>{% endcall %}
{{ legal_notice(brand.privacy) }}
{{ divider() }}
{% endblock %}
"""
