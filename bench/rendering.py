"""What one mail costs to make, stage by stage, beside the usual way to make it.

The measured mail is that of the engine's measurement: five items, some 30 KB of HTML. Beside it
the same sources in a plain, unsandboxed Jinja2 environment and `EmailMessage.as_bytes`. Both take
turns, some mails at a time as the engine renders them, so that disturbances fall on both; CPU of
this thread, medians.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial, wraps
from statistics import median
from typing import Any
from uuid import UUID

from bench import report
from bench.baselines import mail as baseline
from bench.product import SHOP
from bench.shop.events import checkouts
from orchestrator.bootstrap.files import read_files
from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import RenderRequest
from orchestrator.rendering import context, environment, links, message, plain

MAILS = int(os.environ.get("BENCH_MAILS", "600"))
WARM = 40
TURN = 20
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
STAGES = (
    "links of the message",
    "facts",
    "template, HTML",
    "template, text",
    "plain part from its markup",
    "links through /c/",
    "MIME",
    "held to the rules once more",
)
NOT_MADE = ("links through /c/", "held to the rules once more")
"""What the baseline does not do at all."""

Spent = dict[str, float]


class StillClock:
    def now(self) -> datetime:
        return NOW


def renderer() -> message.MessageRenderer:
    candidate = read_files(SHOP / "flows.yaml", SHOP / "templates").candidate
    assert candidate.book is not None
    tokens = links.SignedLinkTokens(links.TokenSigner(["measurements are signed"]), StillClock())
    ways = links.Links("https://mail.northwind.example", tokens)
    return message.MessageRenderer(candidate.book, candidate.templates, ways)


def requests(number: int) -> list[RenderRequest]:
    """A message each to so many people, about a cart of their own."""
    return [
        _request(place, json.loads(body)) for place, (_, body) in enumerate(checkouts(number, NOW))
    ]


def _request(place: int, event: dict[str, Any]) -> RenderRequest:
    data = {**event["data"], "type": event["type"], "occurred_at": event["timestamp"], "data": {}}
    person = data["contact"]
    known: dict[str, Any] = {
        **dict.fromkeys(("phone", "last_seen_at")),
        **person,
        "id": ContactId(str(UUID(int=place))),
        "tracking": False,
        "tags": (),
        "attributes": {},
        "source": {},
        "orders": OrderHistory(),
        "created_at": NOW,
    }
    queued: dict[str, Any] = {
        **dict.fromkeys("locale variant reason expires_at sending_at sent_at provider".split()),
        "id": MessageId(str(UUID(int=place + (1 << 64)))),
        "enrolment_id": EnrolmentId("e"),
        "contact_id": known["id"],
        "flow": "abandoned_cart",
        "step": "1",
        "template": "bench/cart",
        "topic": "offers",
        "version": VersionHash("v"),
        "channel": Channel.EMAIL,
        "message_class": "marketing",
        "state": MessageState.QUEUED,
        "not_before": NOW,
        "created_at": NOW,
        "priority": 50,
        "attempts": 0,
        "provider_id": None,
        "decision": {},
    }
    facts = {"event": data, "checkout": data}
    return RenderRequest(Message(**queued), Contact(**known), facts, NOW)


def carts(number: int) -> list[baseline.Cart]:
    """The same carts for the baseline."""
    return [
        baseline.Cart(id=place, first_name="Ada", email=data["contact"]["email"], payload=data)
        for place, (_, body) in enumerate(checkouts(number, NOW))
        if (data := json.loads(body)["data"])
    ]


def usual_mail(cart: baseline.Cart) -> bytes:
    """What the baseline makes of a cart."""
    return baseline.message_for(cart).as_bytes()


def cost(call: Callable[[], object]) -> float:
    """CPU microseconds of one call on this thread."""
    start = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - start) / 1000


def stopped(
    stage: Callable[..., str], spent: Spent, call: Callable[..., Any]
) -> Callable[..., Any]:
    """The call, its time added under the name of its stage."""

    @wraps(call)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.thread_time_ns()
        try:
            return call(*args, **kwargs)
        finally:
            name = stage(*args)
            spent[name] = spent.get(name, 0.0) + (time.thread_time_ns() - start) / 1000

    return timed


@contextmanager
def stopwatches(spent: Spent) -> Iterator[None]:
    """Within it, each stage of rendering writes down what it spent."""
    watched: list[tuple[Any, str, Callable[..., str]]] = [
        (links.Links, "of_message", lambda *_: "links of the message"),
        (context.Vocabulary, "facts", lambda *_: "facts"),
        (
            environment.MessageEnvironment,
            "rendered",
            lambda of, *_: f"template, {'HTML' if of.globals['part'] == 'html' else 'text'}",
        ),
        (plain, "flowed", lambda *_: "plain part from its markup"),
        (message, "with_counted_links", lambda *_: "links through /c/"),
        (message, "in_ascii", lambda *_: "MIME"),
        (message, "build_mail", lambda *_: "MIME"),
        (message, "hold_mail", lambda *_: "held to the rules once more"),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in watched]
    try:
        for (place, name, stage), (*_, call) in zip(watched, before, strict=True):
            setattr(place, name, stopped(stage, spent, call))
        yield
    finally:
        for place, name, call in before:
            setattr(place, name, call)


def stages(ours: message.MessageRenderer, asked: Sequence[RenderRequest]) -> dict[str, float]:
    """Median microseconds of each stage."""
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    spent: Spent = {}
    with stopwatches(spent):  # once: whatever replaces a method makes Python forget what it learnt
        for request in asked:
            spent.clear()
            ours.render(request)
            for stage in STAGES:
                found[stage].append(spent[stage])
    return {stage: median(values) for stage, values in found.items()}


def main() -> None:
    first = renderer()
    asked = requests(MAILS)
    cold = cost(partial(first.render, asked[0]))
    usual = carts(MAILS)
    cold_usual = cost(partial(usual_mail, usual[0]))
    ours: list[float] = []
    theirs: list[float] = []
    for place in range(0, MAILS, TURN):
        ours += [cost(partial(first.render, one)) for one in asked[place : place + TURN]]
        theirs += [cost(partial(usual_mail, one)) for one in usual[place : place + TURN]]
    parts = stages(first, asked)
    whole, other = median(ours[WARM:]), median(theirs[WARM:])
    made = sum(spent for stage, spent in parts.items() if stage not in NOT_MADE)
    report.table(
        f"One mail's making, {MAILS} mails (CPU, medians)",
        ("", "µs", "Share"),
        [
            *((stage, f"{spent:.0f}", f"{spent / whole:.0%}") for stage, spent in parts.items()),
            (
                "rendering and MIME, as the baseline",
                f"{made:.0f}",
                f"{made / whole:.0%}",
            ),
            ("whole, with the digest that is recorded", f"{whole:.0f}", "100%"),
            ("plain Jinja2 and EmailMessage", f"{other:.0f}", f"{other / whole:.0%}"),
        ],
    )
    sizes = (len(first.render(asked[0]).body), len(usual_mail(usual[0])))
    print(
        f"the first mail, everything compiled: ours {cold / 1000:.0f} ms, "
        f"plain {cold_usual / 1000:.0f} ms; "
        f"bytes on the wire: ours {sizes[0]:,}, plain {sizes[1]:,}"
    )
