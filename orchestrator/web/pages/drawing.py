"""A journey as its page draws it: cards and gaps on a line, with who stands where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
from orchestrator.web.pages.words import CHANNELS, spaced

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
    """A branch. Without cards it goes straight on."""

    title: str
    cards: tuple[DrawnCard, ...]
    ends: bool


@dataclass(frozen=True, slots=True)
class DrawnCard:
    """A step: `kind` is what it looks like, `here` and `passed` are empty where they are none."""

    id: str
    kind: str
    words: str
    here: str
    passed: str
    title: str = ""
    channels: str = ""
    problem: str = ""
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
            ways=tuple(self._way(way) for way in card.ways),
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

    def _way(self, way: Way) -> DrawnWay:
        return DrawnWay(way.title, self.cards(way.cards), way.ends)


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
    if isinstance(step, ExitStep) or (not passed.runs and not passed.exact):
        return ""
    return spaced(passed.runs) if passed.exact else f"at least {spaced(passed.runs)}"


def _title(sample: Sample) -> str:
    return sample.subject or sample.text


def _outcomes(sends: Iterable[SendCount]) -> Iterable[Outcome]:
    counted: Counter[MessageState] = Counter()
    for send in sends:
        counted[send.state] += send.messages
    for states, word, tone in _GROUPS:
        number = sum(counted[state] for state in states)
        if number:
            yield Outcome(spaced(number), word, tone)
