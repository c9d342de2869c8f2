"""A journey as its page draws it: cards and gaps on a line, with who stands where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from orchestrator.domain.flows import (
    Channel,
    ChooseStep,
    CouponStep,
    EmitStep,
    ExitStep,
    ExperimentStep,
    Flow,
    IfStep,
    SendStep,
    SetStep,
    StartStep,
    Step,
    TagStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WebhookStep,
    WithdrawStep,
)
from orchestrator.domain.messages import MessageState
from orchestrator.domain.passages import Passed
from orchestrator.flowfile.outline import Card, Way
from orchestrator.ports import SendCount
from orchestrator.services.journey_board import JourneyFigures
from orchestrator.services.samples import Sample
from orchestrator.web.pages.words import CHANNELS, shortened, spaced

_ARRIVED: Final = frozenset(
    {MessageState.SENT, MessageState.DELIVERED, MessageState.BOUNCED, MessageState.COMPLAINED}
)
_GROUPS: Final = (
    (_ARRIVED, "sent", "good"),
    (frozenset({MessageState.QUEUED, MessageState.HELD, MessageState.SENDING}), "waiting", "wait"),
    (frozenset({MessageState.NOT_SENT}), "not sent", "none"),
    (frozenset({MessageState.CANCELLED}), "cancelled", "none"),
    (frozenset({MessageState.FAILED}), "failed", "bad"),
    (frozenset({MessageState.UNKNOWN}), "in doubt", "wait"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many messages of a step came to something, and the colour of that."""

    number: str
    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class DrawnWay:
    """A branch. Without cards it goes straight on.

    The line under the branches, where they meet again, has two halves below each of them.
    """

    title: str
    cards: tuple[DrawnCard, ...]
    ends: bool
    joins_before: bool
    joins_behind: bool


@dataclass(frozen=True, slots=True)
class DrawnCard:
    """A step: `kind` is what it looks like, `here` and `passed` are empty where they are none.

    `stops` tells that nobody goes on from here.
    """

    id: str
    kind: str
    words: str
    here: str
    passed: str
    title: str = ""
    channels: str = ""
    problem: str = ""
    stops: bool = False
    outcomes: tuple[Outcome, ...] = ()
    ways: tuple[DrawnWay, ...] = ()


class Drawing:
    """Puts figures and samples to the steps of an outline."""

    def __init__(
        self,
        flow: Flow,
        figures: JourneyFigures,
        samples: Mapping[tuple[str, Channel], Sample],
    ) -> None:
        self._flow = flow
        self._figures = figures
        self._samples = samples

    def cards(self, cards: Iterable[Card]) -> tuple[DrawnCard, ...]:
        """The steps as they are drawn."""
        return tuple(self._card(card) for card in cards)

    def _card(self, card: Card) -> DrawnCard:
        step, figures = card.step, self._figures.steps[card.step.id]
        drawn = DrawnCard(
            id=step.id,
            kind=_kind(step),
            words=card.words.removesuffix("."),
            here=spaced(figures.here) if figures.here else "",
            passed=_passed(step, figures.passed),
            stops=_stops(card),
            ways=self._ways(card.ways),
        )
        if not isinstance(step, SendStep):
            return drawn
        samples = [self._samples[step.id, channel] for channel in step.via]
        return DrawnCard(
            id=drawn.id,
            kind=drawn.kind,
            words=step.template,
            here=drawn.here,
            passed=drawn.passed,
            title=next((_title(sample) for sample in samples if _title(sample)), step.template),
            channels=", or else ".join(CHANNELS[channel] for channel in step.via),
            problem=next((sample.problem for sample in samples if sample.problem), ""),
            outcomes=tuple(_outcomes(figures.sends)),
        )

    def _ways(self, ways: Sequence[Way]) -> tuple[DrawnWay, ...]:
        """Branches beside each other.

        Counted in halves of a branch, the line where they meet again reaches from the first to
        the last that comes out, and to the middle of them all.
        """
        middle = len(ways)
        out = [2 * number + 1 for number, way in enumerate(ways) if not way.ends]
        first, last = (min(*out, middle), max(*out, middle)) if out else (0, 0)
        return tuple(
            DrawnWay(
                way.title,
                self.cards(way.cards),
                way.ends,
                joins_before=first <= 2 * number and 2 * number + 1 <= last,
                joins_behind=first <= 2 * number + 1 and 2 * number + 2 <= last,
            )
            for number, way in enumerate(ways)
        )


def _stops(card: Card) -> bool:
    """Whether the run ends at a step, whichever way it goes."""
    if card.ways:
        return all(way.ends for way in card.ways)
    return isinstance(card.step, ExitStep)


def _kind(step: Step) -> str:
    match step:
        case SendStep():
            return "send"
        case WaitStep() | WaitUntilStep():
            return "gap"
        case WaitForStep() | IfStep() | ChooseStep() | ExperimentStep():
            return "fork"
        case ExitStep():
            return "end"
        case (
            SetStep()
            | TagStep()
            | CouponStep()
            | WebhookStep()
            | EmitStep()
            | StartStep()
            | WithdrawStep()
        ):
            return "act"
        case _:
            assert_never(step)


def _passed(step: Step, passed: Passed) -> str:
    """Nobody goes on from an exit; some branches can only be told as `at least`."""
    if isinstance(step, ExitStep) or not passed.runs:
        return ""
    return spaced(passed.runs) if passed.exact else f"at least {spaced(passed.runs)}"


def _title(sample: Sample) -> str:
    """A mail's subject, or how a short message begins."""
    return sample.subject or shortened(sample.text)


def _outcomes(sends: Iterable[SendCount]) -> Iterable[Outcome]:
    counted: Counter[MessageState] = Counter()
    for send in sends:
        counted[send.state] += send.messages
    for states, word, tone in _GROUPS:
        number = sum(counted[state] for state in states)
        if number:
            yield Outcome(spaced(number), word, tone)
