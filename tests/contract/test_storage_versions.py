"""Versions by compare-and-set, firings once, watermarks, coupons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.domain.errors import Conflict
from orchestrator.domain.identifiers import VersionHash
from orchestrator.ports import StoredVersion
from orchestrator.storage.tables import coupon


def test_a_version_is_stored_once_and_read_back(world: Any, database: Any) -> None:
    version = StoredVersion(
        VersionHash("h1"), "flows.yaml", "version: 1\n", {"email/a.html": "\u00e4"}
    )
    with database.transaction() as unit:
        assert unit.versions.load(version.hash) is None
        unit.versions.save(version, world.clock.now())
        unit.versions.save(version, world.clock.now())
        assert unit.versions.load(version.hash) == version


def test_publishing_needs_the_newest_revision(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.versions.live() is None
        assert not unit.versions.publish(VersionHash("h1"), 1, "ada", now)
        assert unit.versions.publish(VersionHash("h1"), 0, "ada", now)
        assert not unit.versions.publish(VersionHash("h2"), 0, "bob", now)
        assert unit.versions.live() == (1, "h1")
        assert unit.versions.publish(VersionHash("h2"), 1, "bob", now)
        assert unit.versions.live() == (2, "h2")


def test_a_moment_of_a_schedule_fires_once(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.firings.fire("monthly", now, now)
        assert not unit.firings.fire("monthly", now, now)
        assert unit.firings.fire("monthly", now + timedelta(days=30), now)
        assert unit.firings.fire("weekly", now, now)


def test_a_watermark_is_remembered_and_moved(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.firings.watermark("import") is None
        unit.firings.set_watermark("import", "500", now)
        unit.firings.set_watermark("import", "1000", now)
        assert unit.firings.watermark("import") == "1000"


def test_a_step_gives_its_code_once(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    run, now = world.run(person), world.clock.now()
    with database.transaction() as unit:
        for _ in range(2):
            unit.coupons.assign(person, run.id, "gift", "TEA10", "", None, now)
    with database.engine.connect() as connection:
        assert connection.scalars(select(coupon.c.code)).all() == ["TEA10"]


def test_a_code_for_everybody_may_go_to_many_but_a_pools_code_to_one(
    world: Any, database: Any
) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    runs, now = [world.run(ada), world.run(bob)], world.clock.now()
    with database.transaction() as unit:
        for run in runs:
            unit.coupons.assign(run.contact_id, run.id, "gift", "TEA10", "", None, now)
        unit.coupons.assign(ada, runs[0].id, "bonus", "X1", "spring", None, now)
        with pytest.raises(Conflict):
            unit.coupons.assign(bob, runs[1].id, "bonus", "X1", "spring", None, now)


def test_a_free_code_of_a_pool_is_taken(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    run, now = world.run(person), world.clock.now()
    free = {"id": world.ids.new(), "shard": 1, "pool": "spring", "code": "X1"}
    with database.engine.begin() as connection:
        connection.execute(coupon.insert(), [free])
    with database.transaction() as unit:
        unit.coupons.assign(person, run.id, "gift", "X1", "spring", now, now)
    with database.engine.connect() as connection:
        row = connection.execute(select(coupon)).one()
    assert (row.id, row.contact_id, row.assigned_at) == (free["id"], person, now)
