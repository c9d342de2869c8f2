"""The keys of a policy: hours, caps and lateness."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

from orchestrator.domain.durations import parse_duration
from orchestrator.domain.flows import Cap, Channel, ClockWindow, IfLate, Lateness, Policy
from orchestrator.flowfile.shapes import JsonSchema, Shape, nearest, read_scalar, write
from orchestrator.flowfile.source import Log, Node, Scalar, Span, shorten
from orchestrator.flowfile.source import Mapping as Group
from orchestrator.flowfile.structures import (
    At,
    Field,
    Fields,
    Many,
    Named,
    Placed,
    Record,
    each_value,
    fields,
)
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.times import Window

T = TypeVar("T")
_CAP: Final = re.compile(r"(?P<limit>\d{1,4}) per (?P<period>.+)")
_PERIODS: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class CapShape(Shape[Cap]):
    """`2 per day`, `3 per week`, `6 per 30 days` (all rolling), `2 per calendar day`."""

    def read(self, node: Node, log: Log) -> Cap | None:
        """The cap."""
        scalar = read_scalar(node, log, "a cap", "2 per day")
        if scalar is None:
            return None
        found = _CAP.fullmatch(" ".join(scalar.text.split()))
        period = found["period"] if found else ""
        if found and int(found["limit"]) > 0:
            if period == "calendar day":
                log.use("cap=calendar day", scalar)
                return Cap(int(found["limit"]), timedelta(days=1), calendar=True)
            span = _PERIODS.get(period) or _fixed(period)
            if span:
                return Cap(int(found["limit"]), span)
        amount = re.match(r"[1-9]\d{0,3}", scalar.text)
        hint = write(log, f"{amount[0] if amount else 2} per day")
        message = f'"{shorten(scalar.text)}" is no cap'
        log.wrong("value", scalar, message, f"{hint}, per week or per calendar day")
        return None

    def schema(self) -> JsonSchema:
        """The words."""
        return {
            "type": "string",
            "pattern": r"^\d+ per (calendar day|hour|day|week|month|\d+ \w+)$",
        }


def _fixed(text: str) -> timedelta | None:
    duration = parse_duration(text)
    return duration.fixed if duration and not duration.calendar_days else None


@dataclass(frozen=True, slots=True)
class PerChannel(Shape[dict[Channel, tuple[T, ...]]], Generic[T]):
    """One or several values per channel; written without channels, for all of them."""

    name: str
    inner: Shape[T]
    example: str

    def read(self, node: Node, log: Log) -> dict[Channel, tuple[T, ...]] | None:
        """The values by channel."""
        if not isinstance(node, Group):
            values = Many(self.inner).read(node, log)
            return None if values is None else dict.fromkeys(Channel, values)
        found = self._record().read(node, log)
        if found is None:
            return None
        read = {channel: found.values.get(channel.value) for channel in Channel}
        return {channel: some for channel, some in read.items() if isinstance(some, tuple)}

    def _record(self) -> Record:
        every = [
            Field(channel.value, Many(self.inner), f"For {channel.value}.", self.example)
            for channel in Channel
        ]
        return Record(self.name, fields(*every), self.name)

    def schema(self) -> JsonSchema:
        """By channel, or for all."""
        return {"anyOf": [Many(self.inner).schema(), self._record().schema()]}


@dataclass(frozen=True, slots=True)
class IfLateShape(Shape[IfLate]):
    """`send`, `skip`, `send within 12 hours` or `next window`."""

    def read(self, node: Node, log: Log) -> IfLate | None:
        """The rule."""
        scalar = read_scalar(node, log, "a rule for late messages", "send within 12 hours")
        if scalar is None:
            return None
        text = " ".join(scalar.text.split())
        if text.startswith("send within "):
            span = _fixed(text.removeprefix("send within "))
            if span:
                return IfLate(Lateness.SEND_WITHIN, span)
        elif text in {"send", "skip", "next window"}:
            log.use(f"if_late={text}", scalar)
            return IfLate(Lateness(text))
        meant = f"send {text}" if text.startswith("within ") else "send within 12 hours"
        hint = f"{write(log, meant)}, send, skip or next window"
        log.wrong("value", scalar, f'"{shorten(text)}" is no rule for late messages', hint)
        return None

    def schema(self) -> JsonSchema:
        """The words."""
        return {"type": "string", "pattern": "^(send|skip|next window|send within \\d+ \\w+)$"}


HOURS: Final = Field(
    "quiet_hours",
    PerChannel("quiet_hours", Window(), '"20:00-09:00"'),
    "Hours without messages, besides those of the law.",
    '{sms: "20:00-09:00"}',
)
CAPS: Final = Field(
    "caps",
    PerChannel("caps", CapShape(), "2 per day"),
    "The most marketing messages a person gets.",
    "{email: 2 per day, sms: 3 per week}",
)
IF_LATE: Final = Field(
    "if_late", IfLateShape(), "What becomes of a late message.", "send within 12 hours"
)
POLICY: Final = Record(
    "policy",
    fields(HOURS, CAPS, IF_LATE),
    "a policy",
    "caps: {email: 2 per day} in a policy",
)
POLICIES: Final = Named(NAME, POLICY, "a group of policies", "default: {caps: {email: 2 per day}}")


@dataclass(frozen=True, slots=True)
class PolicyOrName(Shape["str | Fields"]):
    """The name of a policy, or one written in place."""

    def read(self, node: Node, log: Log) -> str | Fields | None:
        """The name or the keys."""
        return NAME.read(node, log) if isinstance(node, Scalar) else POLICY.read(node, log)

    def schema(self) -> JsonSchema:
        """Either."""
        return {"anyOf": [NAME.schema(), {"$ref": "#/$defs/policy"}]}


OWN_POLICY: Final = Field(
    "policy",
    At(PolicyOrName()),
    "A named policy, or one in place.",
    "default",
)


def compile_policy(found: Fields) -> Policy:
    """One policy."""
    hours: Mapping[Channel, tuple[ClockWindow, ...]] = found.get(HOURS) or {}
    return Policy(hours, found.get(CAPS) or {}, found.get(IF_LATE))


def compile_policies(found: dict[str, Placed[Fields]] | None) -> dict[str, Policy]:
    """Policies by name."""
    return {name: compile_policy(policy) for name, policy, _ in each_value(found)}


def own_policy(
    found: Placed[str | Fields] | None, policies: Mapping[str, Policy], log: Log
) -> tuple[Policy, ...]:
    """The policy of a flow or step as written, or nothing."""
    if found is None:
        return ()
    if isinstance(found.value, Fields):
        return (compile_policy(found.value),)
    policy = policies.get(found.value)
    if policy is None:
        span = Span(found.node.start, found.node.end)
        log.wrong(
            "name", span, f'unknown policy "{found.value}"', nearest(found.value, [*policies])
        )
        return ()
    return (policy,)
