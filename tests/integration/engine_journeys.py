"""Random journeys, and random lives of the people in them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.integration.shop import BRAND

TOPICS = ("offers", "news")
HOURS = timedelta(hours=1)
PERIODS = {"hour": HOURS, "day": timedelta(days=1), "week": timedelta(weeks=1)}

Caps = dict[str, list[tuple[int, str]]]
"""For each channel, how many messages per period."""


@dataclass(frozen=True)
class Journey:
    """A flow as it is written, and what its rules promise."""

    name: str
    text: str
    topic: str
    trigger: str
    keyed: bool
    """By checkout; else by person."""
    exit_on: str | None
    exit_keyed: bool
    reenter: str
    withdraws: bool


@dataclass
class Writer:
    """Writes flows by a small grammar."""

    draw: random.Random
    sends: int = 0
    before: list[str] = field(default_factory=list)
    """The sends that a condition may speak of."""

    def journey(self, number: int) -> Journey:
        draw = self.draw
        name, topic = f"flow{number}", draw.choice(TOPICS)
        trigger = draw.choice(["checkout.started", "checkout.started", "cart.updated"])
        keyed = trigger == "checkout.started" and draw.random() < 0.7
        exit_on = draw.choice(["order.placed", "order.placed", "product.viewed", None])
        exit_keyed = exit_on == "order.placed" and keyed
        reenter = draw.choice(["never", "always", "after 6 hours", "restart"])
        self.sends, self.before = 0, []
        steps = [*self._steps(draw.randint(2, 4), depth=0), *self._send()]
        head = [
            f"class: marketing\n    topic: {topic}\n    when: {{event: {trigger}}}",
            f"reenter: {reenter}\n    priority: {draw.randrange(101)}",
        ]
        if keyed:
            head.append("key: event.checkout_id")
        if exit_on:
            where = "\n      where: event.checkout_id == key" if exit_keyed else ""
            head.append(f"exit_when:\n      event: {exit_on}{where}")
        lines = [*head, "steps:", *(f"  {line}" for line in steps)]
        body = "".join(f"    {line}\n" for line in lines)
        withdraws = "withdraw:" in body
        return Journey(
            name,
            f"  {name}:\n{body}",
            topic,
            trigger,
            keyed,
            exit_on,
            exit_keyed,
            reenter,
            withdraws,
        )

    def _steps(self, count: int, depth: int) -> Iterator[str]:
        kinds = [self._send, self._wait, self._wait, self._wait_until]
        if depth < 2:
            kinds += [lambda: self._if(depth), lambda: self._wait_for(depth)] * 2
            kinds += [self._withdraw]
        for _ in range(count):
            yield from self.draw.choice(kinds)()

    def _send(self) -> Iterator[str]:
        self.sends += 1
        via = self.draw.choice([None, None, "[sms, email]", "[email, sms]", "sms"])
        template = "cart/reminder" if via else self.draw.choice(["cart/reminder", "cart/nudge"])
        yield f"- send: {template}"
        yield f"  id: s{self.sends}"
        if via:
            yield f"  via: {via}"
        late = self.draw.choice([None, None, None, "skip", "send within 12 hours"])
        if late:
            yield f"  if_late: {late}"
        if self.draw.random() < 0.2:
            yield "  if_not_allowed: exit"
        self.before.append(f"s{self.sends}")

    def _wait(self) -> Iterator[str]:
        spans = ["30 minutes", "2 hours", "8 hours", "1 day", "1 calendar day at 10:00"]
        yield f"- wait: {self.draw.choice(spans)}"

    def _wait_until(self) -> Iterator[str]:
        yield f"- wait_until: {self.draw.choice(['10:00', '09:00-20:00', 'tuesday 10:00'])}"

    def _if(self, depth: int) -> Iterator[str]:
        conditions = ["contact.orders.count > 0", "event.total >= 50", "contact.consent.email.news"]
        yield f"- if: {self.draw.choice(conditions)}"
        yield from self._branches(depth)

    def _wait_for(self, depth: int) -> Iterator[str]:
        sent = [f"{name}.sent" for name in self.before[-1:]]
        awaited = [
            "contact.orders.count > 1",
            "{event: cart.updated}",
            "{event: contact.subscribed}",
        ]
        yield f"- wait_for: {self.draw.choice([*awaited, *sent])}"
        yield f"  within: {self.draw.choice(['1 hour', '5 hours', '2 days'])}"
        if self.draw.random() < 0.3:
            yield "  since: entry"
        yield from self._branches(depth)

    def _branches(self, depth: int) -> Iterator[str]:
        before = list(self.before)
        yield "  then:"
        yield from (f"    {line}" for line in self._steps(1, depth + 1))
        if self.draw.random() < 0.5:
            then, self.before = self.before, before
            yield "  otherwise:"
            yield from (f"    {line}" for line in self._steps(1, depth + 1))
            if self.draw.random() < 0.2:
                yield "    - exit: enough"
            self.before = list(dict.fromkeys([*then, *self.before]))

    def _withdraw(self) -> Iterator[str]:
        if self.draw.random() < 0.3:
            yield f"- withdraw: {self.draw.choice(['all topics', '[offers]'])}"
        else:
            yield from self._wait()


@dataclass(frozen=True)
class Deed:
    """Something that happens: an event as a shop tells it."""

    event_id: str
    kind: str
    names: tuple[str, ...]
    """The identities it names: `email:…`, `phone:…`, `id:…`; none for a guest's."""
    ago: timedelta
    fields: dict[str, Any] = field(default_factory=dict)
    consent: dict[str, str] = field(default_factory=dict)


@dataclass
class Life:
    """What a handful of people do, in a random order, now and then told twice or late."""

    draw: random.Random
    people: int
    checkouts: list[tuple[str, int]] = field(default_factory=list)
    told: list[Deed] = field(default_factory=list)

    def deeds(self, count: int) -> Iterator[Deed]:
        for number in range(count):
            if self.told and self.draw.random() < 0.1:
                yield self.draw.choice(self.told)
                continue
            deed = self._deed(f"e{number}")
            self.told.append(deed)
            yield deed

    def identities(self, person: int) -> tuple[str, ...]:
        return f"email:p{person}@example.com", f"phone:+3584012345{person:02}", f"id:s{person}"

    def _deed(self, event_id: str) -> Deed:
        draw, person = self.draw, self.draw.randrange(self.people)
        kind = draw.choices(
            [
                "checkout.started",
                "cart.updated",
                "order.placed",
                "contact.subscribed",
                "contact.unsubscribed",
                "product.viewed",
                "contact.updated",
            ],
            [30, 18, 14, 12, 8, 5, 3],
        )[0]
        names = self.identities(person)[: draw.choice([1, 2, 3, 3])]
        if kind == "contact.updated":  # two people turn out to be one
            other = draw.randrange(self.people)
            names = (self.identities(person)[0], self.identities(other)[2])
        ago = draw.choice([timedelta(), timedelta(), timedelta(), draw.uniform(0, 3) * HOURS])
        fields, consent = self._told_of(kind, person)
        if kind == "order.placed" and fields.get("checkout_id") and draw.random() < 0.2:
            names = ()  # the shop says only which checkout it was
        return Deed(event_id, kind, names, ago, fields, consent)

    def _told_of(self, kind: str, person: int) -> tuple[dict[str, Any], dict[str, str]]:
        """The fields of an event, and what it says of consent."""
        match kind:
            case "checkout.started":
                return self._checkout(person), self._answers(yes=0.5)
            case "order.placed":
                return self._order(person), {}
            case "contact.subscribed":
                return {}, self._answers(yes=0.9)
            case "contact.unsubscribed":
                topics = self.draw.choice([None, None, ["offers"]])
                channels = self.draw.choice([{}, {"email": "no"}, {"sms": "no"}])
                return ({"data": {"topics": topics}} if topics else {}), channels
            case _:
                return {}, {}

    def _checkout(self, person: int) -> dict[str, Any]:
        number = f"c{len(self.checkouts)}"
        self.checkouts.append((number, person))
        return {"checkout_id": number, "total": self.draw.choice(["20", "80"])}

    def _order(self, person: int) -> dict[str, Any]:
        mine = [number for number, owner in self.checkouts if owner == person]
        # Now and then an order is told before its checkout.
        soon = [f"c{len(self.checkouts)}"] if self.draw.random() < 0.1 else []
        number = self.draw.choice([*mine[-2:], *soon] or [""])
        fields = {"order_id": f"o{self.draw.randrange(10_000)}", "total": "40"}
        return fields | ({"checkout_id": number} if number else {})

    def _answers(self, yes: float) -> dict[str, str]:
        answers = ["yes" if self.draw.random() < yes else "unknown" for _ in range(2)]
        return dict(zip(("email", "sms"), answers, strict=True))


def some_caps(draw: random.Random) -> Caps:
    """Rolling caps for each channel: one, or several that hold together."""

    def of_channel() -> list[tuple[int, str]]:
        day, week = (draw.randint(1, 4), "day"), (draw.randint(3, 7), "week")
        return draw.choice([[day], [week], [day, week], [week, day], [(1, "hour"), day, week]])

    return {"email": of_channel(), "sms": of_channel()}


def flows_file(journeys: list[Journey], caps: Caps) -> str:
    """The whole file, with its caps as the default policy."""
    words = ", ".join(
        f"{channel}: [{', '.join(f'{limit} per {period}' for limit, period in some)}]"
        for channel, some in caps.items()
    )
    policies = f"policies:\n  default:\n    caps: {{{words}}}\n"
    return f"{BRAND}{policies}flows:\n{''.join(one.text for one in journeys)}"
