"""Rules about what the law asks for: the way out, who writes and why, notices (D9, E2, E8, E12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.domain.flows import MessageClass
from orchestrator.rendering import formats
from orchestrator.rendering.lint.page import Element
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark, short
from orchestrator.rendering.lint.wordlists import PROMOTION, UNSUBSCRIBE, words_of

_CAMPAIGN = re.compile(r"[?&]utm_campaign=[^&]", re.IGNORECASE)
_SENTENCE: Final = 4
"""Words that are at least a reason."""


def d9(mail: Mail) -> Iterator[Remark]:
    """A marketing mail has a visible way out, named as such."""
    address = mail.links.get("unsubscribe")
    if not mail.marketing or not address:
        return
    if address not in mail.mail.text:
        yield Remark(
            "the plain part of a marketing mail has no way out", "print {{ links.unsubscribe }}"
        )
    ways = [one for one in mail.page.links if one.attributes["href"] == address]
    if not ways:
        yield Remark(
            "a marketing mail without a link to unsubscribe",
            'write <a href="{{ links.unsubscribe }}">{{ _("Unsubscribe") }}</a> in the footer',
        )
        return
    known = UNSUBSCRIBE.get(mail.language)
    if known is None:
        return
    words = words_of(UNSUBSCRIBE, mail.language) if mail.language == "en" else known
    if not any(word in way.words.casefold() for way in ways for word in words):
        yield Remark(
            f'the way out is called "{ways[0].words}"',
            f'call it by its name: "{words[0].capitalize()}"',
            ways[0],
        )


def e2(mail: Mail) -> Iterator[Remark]:
    """What is not marketing promotes nothing."""
    if mail.marketing:
        return
    for one in mail.page.seen:
        if "promo" in one.classes:
            yield Remark(
                f"a {mail.message_class.value} mail promotes something: {short(one.text)}",
                "leave the coupon or the recommendation out, or write class: marketing",
                one,
            )
    for link in mail.page.links:
        if _CAMPAIGN.search(link.attributes["href"]):
            yield Remark(
                f'a {mail.message_class.value} mail leads to a campaign: "{short(link.words)}"',
                "leave utm_campaign out",
                link,
                ("utm_campaign",),
            )


def e2_words(mail: Mail) -> Iterator[Remark]:
    """... and does not sound like it."""
    if mail.marketing or mail.facts != TYPICAL:
        return
    said = f"{mail.mail.subject} {mail.mail.preheader} {mail.page.words}"
    for word in words_of(PROMOTION, mail.language):
        if found := re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said, re.IGNORECASE):
            yield Remark(
                f'"{found[0]}" in a {mail.message_class.value} mail sounds like advertising',
                "say it without, or write class: marketing",
                clues=(found[0],),
            )


def e8(mail: Mail) -> Iterator[Remark]:
    """A marketing mail says who writes, from where, why, and how to choose and to ask."""
    if not mail.marketing:
        return
    brand, locale = mail.brand, mail.locale
    wanted = {
        "the legal name": (brand.legal_name.in_locale(locale), "{{ brand.legal_name }}"),
        "the postal address": (
            brand.postal_address.in_locale(locale),
            "{{ brand.postal_address }}",
        ),
        "a way to ask": (brand.support, "{{ brand.support }}"),
    }
    texts = {"page": mail.page.words, "plain part": " ".join(mail.mail.text.split())}
    addresses = {link.attributes["href"] for link in mail.page.links}
    for name, (words, hint) in wanted.items():
        for part, text in texts.items():
            held = words in addresses or f"mailto:{words}" in addresses if part == "page" else False
            if " ".join(words.split()) not in text and not held:
                yield Remark(f"{name} is missing in the {part}", f"print {hint} in the footer")
    preferences = mail.links.get("preferences")
    if preferences and (preferences not in addresses or preferences not in mail.mail.text):
        yield Remark(
            "there is no link to the preferences", "print {{ links.preferences }} in the footer"
        )
    if _footer(mail) is not None and len(_reason(mail)) < _SENTENCE:
        yield Remark(
            "the footer does not say why somebody gets this mail",
            "fill the block `reason`, or leave it out: then there is a sentence for each class",
        )


def e8_privacy(mail: Mail) -> Iterator[Remark]:
    """... and where its privacy policy is."""
    if not mail.marketing or mail.facts != TYPICAL:
        return
    address = mail.links.get("privacy")
    if not address:
        yield Remark(
            "there is no privacy policy to link to", "write brand.privacy.url in flows.yaml"
        )
    elif address not in {link.attributes["href"] for link in mail.page.links}:
        yield Remark("there is no link to the privacy policy", "print {{ links.privacy }}")


def _footer(mail: Mail) -> Element | None:
    return next(
        (one for one in mail.page.seen if "foot" in one.classes or one.tag == "footer"), None
    )


def _reason(mail: Mail) -> list[str]:
    """The words of the footer that are neither links nor names and addresses."""
    foot = _footer(mail)
    text = " ".join(foot.text.split()) if foot else ""
    for link in foot.all("a") if foot else ():
        text = text.replace(" ".join(link.text.split()), " ")
    brand, locale = mail.brand, mail.locale
    for known in (brand.legal_name, brand.postal_address):
        text = text.replace(" ".join(known.in_locale(locale).split()), " ")
    return re.findall(r"\w{2,}", text)


def e12(mail: Mail) -> Iterator[Remark]:
    """The notice of a new policy says what changes, why, from when, and what one can do."""
    notice = mail.brand.privacy
    if mail.message_class is not MessageClass.LEGAL or not mail.about_policy or notice is None:
        return
    locale, brand = mail.locale, mail.brand
    wanted = {
        "who is responsible": (brand.legal_name.in_locale(locale), "{{ brand.legal_name }}"),
        "from when it holds": (
            formats.day(notice.effective, locale),
            "legal_notice(brand.privacy)",
        ),
        "whom to ask": (brand.support, "{{ brand.support }}"),
        "a link to the new policy": (notice.url, "{{ brand.privacy.url }}"),
    }
    if notice.why:
        wanted["why it changes"] = (notice.why.in_locale(locale), "legal_notice(brand.privacy)")
    if notice.previous_url:
        wanted["a link to the old policy"] = (
            notice.previous_url,
            "{{ brand.privacy.previous_url }}",
        )
    if preferences := mail.links.get("preferences"):
        wanted["a link to the preferences"] = (preferences, "{{ links.preferences }}")
    for change in notice.changes:
        wanted["what changes"] = (change.in_locale(locale), "legal_notice(brand.privacy)")
        yield from _missing(mail, {"what changes": wanted.pop("what changes")})
    yield from _missing(mail, wanted)
    way_out = mail.links.get("unsubscribe")
    if way_out and way_out in mail.mail.html:
        yield Remark(
            "a notice that the law asks for offers to unsubscribe from it",
            "leave {{ links.unsubscribe }} out",
            clues=("links.unsubscribe",),
        )


def _missing(mail: Mail, wanted: dict[str, tuple[str, str]]) -> Iterator[Remark]:
    addresses = " ".join(link.attributes["href"] for link in mail.page.links)
    page = f"{mail.page.words} {addresses}"
    plain = " ".join(mail.mail.text.split())
    for name, (words, hint) in wanted.items():
        text = " ".join(words.split())
        for part, said in (("page", page), ("plain part", plain)):
            if text not in said:
                yield Remark(f"the notice does not say in its {part} {name}", f"print {hint}")
