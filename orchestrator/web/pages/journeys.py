"""Journeys: the board of all of them, each one drawn, and its messages as people see them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from orchestrator.domain.flows import Channel, Flow, FlowBook, SendStep
from orchestrator.flowfile.outline import outline_flow
from orchestrator.ports import FlowTotals
from orchestrator.services.journey_board import (
    JourneyFigures,
    Standings,
    journey_figures,
    standings,
    totals,
)
from orchestrator.services.samples import Sample, sample_of
from orchestrator.web.pages import LOCALE
from orchestrator.web.pages.drawing import Drawing
from orchestrator.web.pages.frame import Frame, Visit
from orchestrator.web.pages.recent import Recent
from orchestrator.web.pages.strip import Mark, strip
from orchestrator.web.pages.words import CHANNELS, CLASSES, spaced
from orchestrator.web.parts import WebParts

# A sample shows its own styles and pictures; its links lead to nobody, and so nowhere.
_SAMPLE_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:;"
    " frame-ancestors 'self'"
)
_DARK: Final = re.compile(r"@media\s*\(\s*prefers-color-scheme\s*:\s*dark\s*\)")
_SCHEME: Final = re.compile(r"color-scheme\s*:\s*light dark")
_LOOKS: Final = {"light": "not all", "dark": "all"}


@dataclass(frozen=True, slots=True)
class _Card:
    """A journey on the board."""

    name: str
    title: str
    kind: str
    stage: str
    description: str
    start: str
    figures: tuple[tuple[str, str], ...]
    strip: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class _Preview:
    """A sample on its page."""

    channel: Channel
    word: str
    sample: Sample


class JourneyPages:
    """`/` and `/journeys/…`."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame
        self._samples: dict[tuple[str, str, str, Channel], Sample] = {}
        self._totals = Recent[Mapping[str, FlowTotals]]()
        self._standings = Recent[Standings]()
        self._figures = Recent[JourneyFigures]()

    async def board(self, visit: Visit) -> Response:
        """Every journey of the live version as a card."""
        query = self._parts.database.query
        found = await self._totals.get("", lambda: query(lambda uow: totals(uow, visit.now)))
        here = await self._standings.get("", lambda: query(standings))
        book = visit.book
        cards = (
            [
                _card(book, flow, found.get(flow.name, FlowTotals()), here.get(flow.name, {}))
                for flow in book.flows.values()
            ]
            if book
            else []
        )
        return await self._frame.page(visit, "journeys.html", here="journeys", cards=cards)

    async def journey(self, visit: Visit) -> Response:
        """One journey drawn, with where people are."""
        book, flow = self._named(visit)
        if book is None or flow is None:
            return await self._missing(visit)
        figures = await self._counted(visit, flow)
        samples = await run_in_threadpool(self._samples_of, visit, flow)
        outline = outline_flow(book, flow.name)
        return await self._frame.page(
            visit,
            "journey.html",
            here="journeys",
            flow=flow,
            kind=_kind(book, flow),
            outline=outline,
            figures=figures,
            cards=Drawing(flow, figures, samples).cards(outline.cards),
        )

    async def sample(self, visit: Visit) -> Response:
        """A send step's message, in light and in dark."""
        _, flow = self._named(visit)
        step = _send(visit, flow)
        if flow is None or step is None:
            return await self._missing(visit)
        samples = await run_in_threadpool(self._samples_of, visit, flow)
        previews = [
            _Preview(channel, CHANNELS[channel], samples[step.id, channel]) for channel in step.via
        ]
        return await self._frame.page(
            visit,
            "sample.html",
            here="journeys",
            frames=True,
            flow=flow,
            step=step,
            previews=previews,
        )

    async def sample_html(self, visit: Visit) -> Response:
        """The HTML of such a message, in the colours asked for, for the frames of its page."""
        _, flow = self._named(visit)
        step = _send(visit, flow)
        look = _LOOKS.get(visit.request.path_params["look"])
        if flow is None or step is None or look is None:
            return await self._missing(visit)
        samples = await run_in_threadpool(self._samples_of, visit, flow)
        sample = samples.get((step.id, Channel.EMAIL))
        if sample is None or not sample.html:
            return await self._missing(visit)
        only = visit.request.path_params["look"]
        html = _SCHEME.sub(f"color-scheme: {only}", _DARK.sub(f"@media {look}", sample.html))
        return HTMLResponse(html, headers={"content-security-policy": _SAMPLE_POLICY})

    async def _counted(self, visit: Visit, flow: Flow) -> JourneyFigures:
        """The figures of a flow in the live version."""
        library, query = self._parts.library, self._parts.database.query
        return await self._figures.get(
            f"{library.live()} {flow.name}",
            lambda: query(lambda uow: journey_figures(uow, library, flow, visit.now)),
        )

    def _named(self, visit: Visit) -> tuple[FlowBook | None, Flow | None]:
        name: str = visit.request.path_params["flow"]
        return visit.book, visit.book.flows.get(name) if visit.book else None

    def _samples_of(self, visit: Visit, flow: Flow) -> dict[tuple[str, Channel], Sample]:
        """The samples of a flow's sends, made once for each version."""
        library = self._parts.library
        live = library.live()
        if any(version != live for version, *_ in list(self._samples)):
            self._samples = {}
        found: dict[tuple[str, Channel], Sample] = {}
        for step, channel in _sends(flow):
            key = (live, flow.name, step.id, channel)
            if key not in self._samples:
                self._samples[key] = sample_of(library, flow, step, channel, visit.now)
            found[step.id, channel] = self._samples[key]
        return found

    async def _missing(self, visit: Visit) -> Response:
        return await self._frame.missing(
            visit, "The live version has no such journey or step.", "journeys"
        )


def _sends(flow: Flow) -> Iterator[tuple[SendStep, Channel]]:
    for step in flow.steps:
        if isinstance(step, SendStep):
            yield from ((step, channel) for channel in step.via)


def _send(visit: Visit, flow: Flow | None) -> SendStep | None:
    step: Any = flow.program.get(visit.request.path_params["step"]) if flow else None
    return step if isinstance(step, SendStep) else None


def _kind(book: FlowBook, flow: Flow) -> str:
    topic = book.topics.get(flow.topic or "")
    words = [CLASSES[flow.flow_class], topic.title.in_locale(LOCALE) if topic else ""]
    return " · ".join(word for word in words if word)


def _card(book: FlowBook, flow: Flow, known: FlowTotals, here: Mapping[str | None, int]) -> _Card:
    outline = outline_flow(book, flow.name)
    return _Card(
        name=flow.name,
        title=flow.title,
        kind=_kind(book, flow),
        stage=flow.stage.value.capitalize() if flow.stage else "",
        description=flow.description,
        start=outline.start,
        figures=(
            (spaced(known.inside), "here now"),
            (spaced(known.entered), "entered"),
            (spaced(known.sent), "sent"),
        ),
        strip=strip(outline.cards, here),
    )
