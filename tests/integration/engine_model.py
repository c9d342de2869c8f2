"""What must hold of every send, told by a model that knows nothing of the engine.

The model sees events being handed in and acknowledged, the moment at which each gate began to
decide, and what was handed over. It demands only what is certain: a withdrawal binds from its
acknowledgement on, a consent may count from the moment it was handed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.integration.engine_journeys import PERIODS, TOPICS, Caps, Deed, Journey


@dataclass
class Told:
    """An event in the order of everything that happened; `acked` once it was stored."""

    deed: Deed
    occurred_at: datetime
    submitted: int
    acked: int | None = None

    def bound(self, moment: int) -> bool:
        """Whether the engine is bound by it at a moment."""
        return self.acked is not None and self.acked < moment


@dataclass
class HandedOver:
    """A message at the provider. `gated` is when its gate began; `kept` whether it was taken."""

    message_id: str
    address: str
    channel: str
    gated: int
    gated_at: datetime
    outcome: str | None = None
    kept: bool = False

    @property
    def identity(self) -> str:
        return f"{'email' if self.channel == 'email' else 'phone'}:{self.address}"

    @property
    def counts(self) -> bool:
        """Whether it certainly takes up a place under a cap."""
        return self.kept or self.outcome in ("sent", "unknown")


@dataclass
class Sent:
    """What the database says of a message that was handed over."""

    enrolment_id: str
    step: str
    journey: Journey
    key: str
    trigger: str | None
    """The id of the event its run began with."""


@dataclass
class Model:
    """The history of one world."""

    journeys: Sequence[Journey]
    caps: Caps
    told: list[Told] = field(default_factory=list)
    handed: list[HandedOver] = field(default_factory=list)
    moment: int = 0

    def tick(self) -> int:
        """The next moment of the world's history."""
        self.moment += 1
        return self.moment

    def submit(self, deed: Deed, now: datetime) -> Told:
        """An event is handed in; one that is repeated stays what it was the first time."""
        for told in self.told:
            if told.deed.event_id == deed.event_id:
                return told
        told = Told(deed, now - deed.ago, self.tick())
        self.told.append(told)
        return told

    def acknowledge(self, told: Told) -> None:
        if told.acked is None:
            told.acked = self.tick()

    # People ---------------------------------------------------------------------------

    def people(self, events: Iterable[Told]) -> dict[str, str]:
        """Identities, each with the one that stands for the person they belong to."""
        roots: dict[str, str] = {}

        def root(name: str) -> str:
            while roots.setdefault(name, name) != name:
                name = roots[name]
            return name

        for told in events:
            for name in told.deed.names:
                roots[root(name)] = root(told.deed.names[0])
        return {name: root(name) for name in list(roots)}

    def owner(self, told: Told, events: Sequence[Told]) -> tuple[str, ...]:
        """The identities an event is about; those of its checkout where it names nobody."""
        if told.deed.names:
            return told.deed.names
        checkout = told.deed.fields.get("checkout_id")
        for other in events:
            if other.deed.kind == "checkout.started" and (
                other.deed.fields["checkout_id"] == checkout
            ):
                return other.deed.names
        return ()

    # What is demanded -----------------------------------------------------------------

    def complaints(self, sent: dict[str, Sent]) -> list[str]:
        """Everything that must not have happened."""
        found: list[str] = []
        accepted: dict[tuple[str, str], int] = defaultdict(int)
        for number, one in enumerate(self.handed):
            told = sent[one.message_id]
            what = f"{told.journey.name}/{told.step} to {one.identity} at {one.gated_at}"
            if not self.consented(one, told.journey.topic):
                found.append(f"no consent: {what}")
            if self.exited(one, told):
                found.append(f"after its exit: {what}")
            if self.over_cap(one, self.handed[: number + 1]):
                found.append(f"over the cap: {what}")
            accepted[told.enrolment_id, told.step] += one.kept
        found += [f"more than once: {run}/{step}" for (run, step), n in accepted.items() if n > 1]
        return found

    def consented(self, one: HandedOver, topic: str) -> bool:
        """A yes that may have been stored, newer than every no that certainly was."""
        possible = [told for told in self.told if told.submitted < one.gated]
        certain = [told for told in self.told if told.bound(one.gated)]
        yes = self._latest(possible, one, [t for t in possible if _grants(t, one.channel)])
        no = self._latest(certain, one, [t for t in certain if _withdraws(t, one.channel, topic)])
        return yes is not None and (no is None or yes > no)

    def _latest(self, events: list[Told], one: HandedOver, matching: list[Told]) -> datetime | None:
        people = self.people(events)
        mine = people.get(one.identity, one.identity)
        moments = [
            told.occurred_at
            for told in matching
            if any(people[name] == mine for name in self.owner(told, events))
        ]
        return max(moments, default=None)

    def exited(self, one: HandedOver, sent: Sent) -> bool:
        """Whether its run's exit was acknowledged before the gate began, and after its start."""
        journey = sent.journey
        start = next((told for told in self.told if told.deed.event_id == sent.trigger), None)
        if journey.exit_on is None or start is None or start.acked is None:
            return False
        for told in self.told:
            if told.deed.kind != journey.exit_on or not told.bound(one.gated):
                continue
            if told.submitted < start.acked:
                continue
            if journey.exit_keyed and told.deed.fields.get("checkout_id") != sent.key:
                continue
            known = [other for other in self.told if other.bound(told.submitted)]
            people = self.people([*known, start])
            owners = {people[name] for name in self.owner(told, known) if name in people}
            if people[start.deed.names[0]] in owners:
                return True
        return False

    def over_cap(self, one: HandedOver, so_far: Sequence[HandedOver]) -> bool:
        """Whether it was one too many under any cap of its channel."""
        return one.counts and any(
            self._within(one, so_far, PERIODS[period]) > limit
            for limit, period in self.caps[one.channel]
        )

    def _within(self, one: HandedOver, so_far: Sequence[HandedOver], period: timedelta) -> int:
        """How many messages its person had within a period on its channel, itself included."""
        people = self.people(told for told in self.told if told.bound(one.gated))
        mine = people.get(one.identity, one.identity)
        return sum(
            1
            for other in so_far
            if other.channel == one.channel
            and other.counts
            and people.get(other.identity, other.identity) == mine
            and one.gated_at - period < other.gated_at <= one.gated_at
        )

    def surely_consented(self, identities: set[str], channel: str, moment: int) -> bool:
        """One of them had certainly said yes by then, and nobody at all ever withdrew."""
        if any(told.deed.kind == "contact.unsubscribed" for told in self.told):
            return False
        return any(
            _grants(told, channel) and told.bound(moment) and identities & set(told.deed.names)
            for told in self.told
        )


def _grants(told: Told, channel: str) -> bool:
    return told.deed.consent.get(channel) == "yes"


def _withdraws(told: Told, channel: str, topic: str) -> bool:
    if told.deed.kind != "contact.unsubscribed":
        return False
    channels = [name for name, answer in told.deed.consent.items() if answer == "no"]
    topics = told.deed.fields.get("data", {}).get("topics", TOPICS)
    return topic in topics and channel in (channels or ("email", "sms"))
