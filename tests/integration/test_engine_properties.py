"""Random journeys, lives and crashes: what must never happen does not, and all ends well."""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.messages import CancelledReason, FailedReason, NotSentReason
from tests.conftest import FUZZ_CASES
from tests.integration.engine_world import World, a_world

JOURNEYS = FUZZ_CASES * 3 // 20
"""300 in the ordinary run."""
TOGETHER = 20
"""Journeys of one world."""
ON_POSTGRESQL = 0.2

REASONS: dict[str, set[str | None]] = {
    "sent": {None},
    "unknown": {None},
    "not_sent": {reason.value for reason in NotSentReason},
    "cancelled": {reason.value for reason in CancelledReason},
    "failed": {FailedReason.REJECTED.value, FailedReason.PROVIDER_ERROR.value},
}
"""The final states of a world without receipts."""
AGAIN_AFTER = 6 * 3600  # seconds


def check_states(world: World, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Every message and run has come to an end that the product knows, and says why."""
    odd = [m for m in rows["message"] if m["reason"] not in REASONS.get(m["state"], set())]
    assert odd == []
    endless = [run for run in rows["enrolment"] if run["end_reason"] not in set(EndReason)]
    assert endless == []
    kept = Counter(one.message_id for one in world.model.handed if one.kept)
    allowed = {"sent": {1}, "unknown": {0, 1}}
    wrong = [
        (m["id"], m["state"], kept[m["id"]])
        for m in rows["message"]
        if kept[m["id"]] not in allowed.get(m["state"], {0})
    ]
    assert wrong == []


def check_runs(world: World, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Runs of one key follow each other as `reenter` says; people who were merged apart."""
    rules = {flow.name: flow.reenter for flow in world.flows}
    merged = {run["contact_id"] for run in rows["enrolment"] if run["end_reason"] == "merged"}
    merged |= merged_people(world, rows)
    chains: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in sorted(rows["enrolment"], key=lambda row: row["entry"]):
        if run["contact_id"] not in merged:
            chains[run["flow"], run["contact_id"], run["key"]].append(run)
    for (flow, _, _), runs in chains.items():
        assert len(runs) == 1 or rules[flow] != "never", runs
        for one, other in pairwise(runs):
            assert one["ended_at"] <= other["entered_at"], (one, other)
            if rules[flow].startswith("after"):
                apart = (other["entered_at"] - one["entered_at"]).total_seconds()
                assert apart >= AGAIN_AFTER, (one, other)


def merged_people(world: World, rows: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Contacts about whom events of several people were told."""
    events = {told.deed.event_id: told.deed for told in world.model.told}
    told: dict[str, set[str]] = defaultdict(set)
    for row in rows["event"]:
        deed = events.get(row["source_id"])
        if deed is not None and row["contact_id"]:
            told[row["contact_id"]] |= {name for name in deed.names if name.startswith("email:")}
            if deed.kind == "contact.updated":
                told[row["contact_id"]] |= {"merge", "of two"}
    return {contact for contact, names in told.items() if len(names) > 1}


def check_entries(world: World, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Whoever did what lets people in has been in: nothing acknowledged is forgotten."""
    entered = {(run["flow"], run["contact_id"]) for run in rows["enrolment"]}
    about = {row["source_id"]: row["contact_id"] for row in rows["event"]}
    assert {told.deed.event_id for told in world.model.told} <= set(about)
    for flow in world.flows:
        if flow.trigger == "cart.updated":
            came = {
                about[told.deed.event_id]
                for told in world.model.told
                if told.deed.kind == flow.trigger
            }
            missing = {person for person in came if (flow.name, person) not in entered}
            assert missing == set(), flow.text


def check(world: World) -> None:
    rows = world.rows()
    assert world.model.complaints(world.sent(rows)) == []
    check_states(world, rows)
    check_runs(world, rows)
    check_entries(world, rows)


async def live(url: str, folder: Path, engines: int) -> None:
    """A world of its own seed; `WORLD_SEED` makes the same one again."""
    seed = int(os.environ.get("WORLD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"WORLD_SEED={seed}")  # noqa: T201 - shown with a failure
    with a_world(url, folder, seed, engines, TOGETHER) as world:
        await world.live(deeds=80)
        check(world)
        assert world.model.handed, "nothing was ever sent"


def numbers(share: float) -> range:
    return range(max(round(JOURNEYS * share / TOGETHER), 1))


@pytest.mark.parametrize("number", numbers(1 - ON_POSTGRESQL))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_engine_that_crashes_breaks_no_promise(
    database_url: str, tmp_path: Path, number: int
) -> None:
    await live(database_url, tmp_path, engines=1)


@pytest.mark.parametrize("number", numbers(ON_POSTGRESQL))
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_four_engines_on_one_database_break_no_promise(
    database_url: str, tmp_path: Path, number: int
) -> None:
    await live(database_url, tmp_path, engines=4)
