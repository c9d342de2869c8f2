"""People entered by hand, and what keeps them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import program
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.errors import NotFound
from orchestrator.services.entering import Door
from orchestrator.services.manual import ManualEntry, Outcome, enter_by_hand
from orchestrator.storage.identifiers import UuidIds
from tests.integration.shop import BRAND, Shop, checkout

ADA = "ada@example.com"

GIFT = """\
flows:
  gift:
    class: legal
    when: manual
    audience: contact.country == 'FI'
    reenter: after 1 day
    steps:
      - wait: 1 hour
      - send: cart/nudge
"""


async def known(shop: Shop, country: str = "FI") -> None:
    await shop.receive("contact.updated", ADA, contact={"country": country})
    await shop.settle()


def enter(shop: Shop, flow: str, fields: Mapping[str, Any] | None = None) -> ManualEntry:
    with shop.app.database.transaction() as uow:
        door = Door.open(shop.app.library, UuidIds(), shop.clock.now())
        return enter_by_hand(uow, door, flow, shop.contact(ADA), fields or {})


def live_keys(runs: list[Enrolment]) -> list[str]:
    return [run.key for run in runs if run.ended_at is None]


async def test_a_person_is_entered_and_goes_the_journeys_way(shop: Shop) -> None:
    shop.publish(BRAND + GIFT)
    await known(shop)
    entry = enter(shop, "gift")
    assert entry.outcome is Outcome.ENTERED
    assert entry.meant_for_hands
    await shop.pass_time(hours=1)
    assert [state for _, state, _ in shop.outcomes()] == ["sent"]


async def test_any_flow_can_be_entered_and_its_key_comes_from_the_data(shop: Shop) -> None:
    await known(shop)
    entry = enter(shop, "cart", {"checkout_id": "c9", "items": [{"name": "Ink", "quantity": 2}]})
    assert not entry.meant_for_hands
    await shop.receive("order.placed", ADA, checkout_id="c1", order_id="o1")
    await shop.settle()
    assert live_keys(shop.runs(ADA)) == ["c9"]
    await shop.receive("order.placed", ADA, checkout_id="c9", order_id="o2")
    await shop.settle()
    assert live_keys(shop.runs(ADA)) == []


async def test_the_data_is_the_event_of_templates_and_conditions(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    enter(shop, "cart", {"checkout_id": "c9", "items": [{"name": "Fountain pen", "quantity": 1}]})
    await shop.pass_time(hours=1)
    bodies = [mail.body for _, mail in shop.provider.sent]
    assert sum(b"Fountain pen" in body for body in bodies) == 1


async def test_the_audience_and_the_reentry_rule_hold(shop: Shop) -> None:
    shop.publish(BRAND + GIFT)
    await known(shop, "SE")
    assert enter(shop, "gift").outcome is Outcome.NOT_MEANT
    await known(shop)
    assert enter(shop, "gift").outcome is Outcome.ENTERED
    assert enter(shop, "gift").outcome is Outcome.INSIDE
    await shop.pass_time(hours=2)
    assert enter(shop, "gift").outcome is Outcome.NOT_AGAIN
    await shop.pass_time(days=1)
    assert enter(shop, "gift").outcome is Outcome.ENTERED
    assert [run.entry for run in shop.runs(ADA)] == [1, 2]


async def test_restart_takes_the_place_of_the_run_inside(shop: Shop) -> None:
    shop.publish(BRAND + GIFT.replace("after 1 day", "restart"))
    await known(shop)
    for _ in range(2):
        assert enter(shop, "gift").outcome is Outcome.ENTERED
    assert [run.end_reason for run in shop.runs(ADA)] == ["restarted", None]


async def test_an_unknown_flow_is_told_with_the_nearest_name(shop: Shop) -> None:
    await known(shop)
    with pytest.raises(NotFound, match='no flow is called "crat"; did you mean "cart"'):
        enter(shop, "crat")


async def test_erased_people_stay_outside(shop: Shop) -> None:
    await known(shop)
    with shop.app.database.transaction() as uow:
        uow.contacts.update(
            {shop.contact_id(ADA): {"erased_at": shop.clock.now()}}, shop.clock.now()
        )
    assert enter(shop, "cart").outcome is Outcome.ERASED


# The verb -----------------------------------------------------------------------------------


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command line against the shop's database."""

    def run(shop: Shop, *arguments: str) -> Result:
        url = shop.app.settings.database_url.get_secret_value()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ORCHESTRATOR_DATABASE_URL", url)
        monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "k" * 40)
        monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "s" * 40)
        return CliRunner().invoke(program, list(arguments))

    return run


async def test_the_verb_enters_somebody_with_data(shop: Shop, verb: Any, tmp_path: Path) -> None:
    await known(shop)
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"checkout_id": "c9", "colour": "red"}))
    result = verb(shop, "trigger", "cart", "--contact", ADA, "--data", str(file))
    assert result.exit_code == 0, result.output
    assert "has entered cart" in result.output
    assert "no `when: manual`" in result.output
    (run,) = shop.runs(ADA)
    assert run.event_id is not None
    with shop.app.database.read() as uow:
        event = uow.events.load([run.event_id])[run.event_id]
    assert event.payload == {"checkout_id": "c9", "data": {"colour": "red"}}
    again = verb(shop, "trigger", "cart", "--contact", ADA, "--data", str(file))
    assert again.exit_code == 1
    assert "is inside cart already" in again.output


async def test_the_verb_tells_who_and_what_is_unknown(
    shop: Shop, verb: Any, tmp_path: Path
) -> None:
    await known(shop)
    nobody = verb(shop, "trigger", "cart", "--contact", "eve@example.com")
    assert isinstance(nobody.exception, NotFound)
    assert str(nobody.exception) == "nobody is known as eve@example.com"
    (tmp_path / "list.json").write_text("[1]")
    for name in ("missing.json", "list.json"):
        wrong = verb(shop, "trigger", "cart", "--contact", ADA, "--data", str(tmp_path / name))
        assert wrong.exit_code == 2
    assert shop.runs(ADA) == []
