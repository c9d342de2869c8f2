"""Four workers as processes of their own, and many journeys for few places under the caps."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Daemon, wait_for
from tests.kill.crowd import Customer, Shopfront
from tests.kill.fleet import Fleet, SinkProcess, environment
from tests.kill.test_kill import CONNECTIONS, FLOWS, database_of
from tests.kill.verdict import Verdict, at_rest

PEOPLE = 50
CAPS = "policies: {default: {caps: {email: [2 per hour, 3 per day]}, if_late: skip}}\n"
ROOM = 2
PRIORITIES = (90, 50, 50, 50, 50, 10)
REFUSED = {("not_sent", "cap"), ("not_sent", "late")}


def rivals() -> str:
    """Journeys that want to write to the same people at the same moment."""
    brand = FLOWS.partition("flows:\n")[0]
    flows = "".join(
        f"""\
  rival{number}:
    class: marketing
    topic: offers
    priority: {priority}
    when: {{event: checkout.started}}
    steps:
      - wait: 2 seconds
      - send: cart/reminder
"""
        for number, priority in enumerate(PRIORITIES)
    )
    return f"{brand}{CAPS}flows:\n{flows}"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_four_workers_at_once_exceed_no_cap_and_use_it_up(
    tmp_path: Path, database_url: str
) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(rivals())
    people = [Customer(str(number), consents=True) for number in range(PEOPLE)]
    book = tmp_path / "sink.jsonl"
    with database_of(database_url) as engine, SinkProcess(book, seed=14) as sink:
        daemon = Daemon(tmp_path, database_url, flows, environment(sink, CONNECTIONS))
        with Fleet(daemon, roles=True, draw=random.Random(14), workers=4) as fleet:
            fleet.start()
            asyncio.run(Shopfront(daemon.url).serve(people))
            wait_for(lambda: at_rest(engine), "rest", 90)
            assert set(fleet.stop()) == {0}
        verdict = Verdict.read(engine, book)
    verdict.check_delivery(CONNECTIONS, killed=0)
    outcomes: dict[str, Counter[tuple[str, str | None]]] = defaultdict(Counter)
    for one in verdict.messages:
        outcomes[one["email"]][one["state"], one["reason"]] += 1
    assert set(outcomes) == {person.email for person in people}
    for found in outcomes.values():
        check_person(found, asked_again=verdict.book.asked_again)


def check_person(found: Counter[tuple[Any, str | None]], asked_again: int) -> None:
    """Every journey had its message; as many as there was room for went out."""
    assert found.total() == len(PRIORITIES), found
    out = found["sent", None] + found["unknown", None]
    assert ROOM - asked_again <= out <= ROOM, found
    assert set(found) <= {("sent", None), ("unknown", None), *REFUSED}, found
