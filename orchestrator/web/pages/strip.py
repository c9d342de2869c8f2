"""A journey in one line: its steps in order, with how many people stand at each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.domain.flows import (
    CouponStep,
    ExitStep,
    SendStep,
    WaitStep,
    WaitUntilStep,
    WithdrawStep,
)
from orchestrator.flowfile.outline import Card
from orchestrator.web.pages.words import CHANNELS, spaced

_WAITING = re.compile(r"^Wait (?:until |for (?:the time )?)?")


@dataclass(frozen=True, slots=True)
class Mark:
    """One step in the line; `aside` where only some people come past it."""

    kind: str
    word: str
    told: str
    here: str
    aside: bool


def strip(cards: Iterable[Card], here: Mapping[str | None, int]) -> tuple[Mark, ...]:
    """The marks of a journey; steps of branches follow the fork that leads to them."""
    return tuple(_marks(cards, here, aside=False))


def _marks(cards: Iterable[Card], here: Mapping[str | None, int], *, aside: bool) -> Iterator[Mark]:
    for card in cards:
        kind, word = _short(card)
        standing = here.get(card.step.id, 0)
        yield Mark(kind, word, card.words, spaced(standing) if standing else "", aside)
        for way in card.ways:
            yield from _marks(way.cards, here, aside=True)


def _short(card: Card) -> tuple[str, str]:
    match card.step:
        case SendStep(via=via):
            return "letter", " or ".join(CHANNELS[channel] for channel in via)
        case WaitStep() | WaitUntilStep():
            return "pause", _WAITING.sub("", card.words).rstrip(".")
        case CouponStep():
            return "act", "coupon"
        case ExitStep():
            return "act", "end"
        case WithdrawStep():
            return "act", "opt-out"
        case _:
            return "question", "clicked?" if "clicked" in card.words else "if"
