"""An edit goes live whole or not at all, and nobody inside is left without a way on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.bootstrap import files
from orchestrator.bootstrap.files import read_files
from orchestrator.cli import program
from orchestrator.daemon.edits import Edits
from orchestrator.domain.errors import NotFound
from orchestrator.domain.findings import Finding
from orchestrator.domain.identifiers import VersionHash
from orchestrator.domain.messages import MessageState
from orchestrator.ports import Delivery, DeliveryOutcome, StoredVersion
from orchestrator.services.publishing import Published, last_try, publish
from orchestrator.services.versions import VersionLibrary
from tests.integration.shop import BRAND, CART, ROOT, Shop, checkout

ADA, BEA = "ada@example.com", "bea@example.com"
MOVING = CART.replace("    steps:\n", "    on_change: move_to_new\n    steps:\n")


@dataclass
class Desk:
    """A marketer's files, next to the shop that publishes them."""

    shop: Shop
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def flows(self) -> Path:
        return self.folder / "flows.yaml"

    @property
    def templates(self) -> Path:
        return self.folder / "templates"

    def publish(self, flows: str | None = None) -> Published:
        if flows is not None:
            self.flows.write_text(flows)
        read = read_files(self.flows, self.templates)
        app = self.shop.app
        return publish(app.database, app.library, read.candidate, "test", self.shop.clock)

    def edits(self) -> Edits:
        paths = {"flows": self.flows, "templates": self.templates}
        settings = self.shop.app.settings.model_copy(update=paths)
        return Edits(replace(self.shop.app, settings=settings), self.said.append)

    def revision(self) -> int:
        with self.shop.app.database.read() as uow:
            live = uow.versions.live()
        assert live is not None
        return live[0]


@pytest.fixture
def desk(shop: Shop, tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    shutil.copytree(ROOT / "templates", folder / "templates")
    (folder / "flows.yaml").write_text(BRAND + CART)
    return Desk(shop, folder)


async def move(shop: Shop) -> None:
    while await shop.app.moving.run_once(2):
        pass


def messages_of(published: Published) -> list[str]:
    return [f"{one.message}; {one.hint}" for one in published.findings if one.rule == "moved"]


# What goes live -----------------------------------------------------------------------------


async def test_a_broken_edit_changes_nothing_and_its_findings_are_kept(desk: Desk) -> None:
    done = desk.publish(BRAND + CART.replace("wait: 1 hour", "wait: 1 huor"))
    assert done.version is None
    assert desk.revision() == 1
    with desk.shop.app.database.read() as uow:
        told = last_try(uow)
    assert told is not None
    assert (told.by, told.version) == ("test", None)
    assert told.findings == done.findings
    desk.publish(BRAND + CART)
    with desk.shop.app.database.read() as uow:
        told = last_try(uow)
    assert told is not None
    assert told.version == desk.shop.app.library.live()


async def test_what_changed_is_told_by_name(desk: Desk) -> None:
    more = CART + CART.replace("flows:\n  cart:", "  cart_two:")
    (desk.templates / "email/cart/nudge.html").write_text(
        (desk.templates / "email/cart/nudge.html").read_text() + "\n"
    )
    changes = desk.publish(BRAND + more).changes
    assert (changes.added, changes.templates) == (("cart_two",), ("email/cart/nudge.html",))
    changes = desk.publish(BRAND + CART.replace("1 hour", "2 hours")).changes
    assert (changes.changed, changes.removed, changes.settings) == (("cart",), ("cart_two",), False)
    changes = desk.publish(
        BRAND.replace("Offers", "Sales") + CART.replace("1 hour", "2 hours")
    ).changes
    assert changes.sentences() == ["changed: brand or shared settings"]


async def test_publishing_the_same_again_changes_nothing(desk: Desk) -> None:
    assert not desk.publish().changed
    assert not desk.publish(BRAND + "# a remark\n" + CART).changed
    assert desk.revision() == 1


async def test_a_live_version_that_this_program_cannot_read_can_be_replaced(desk: Desk) -> None:
    shop = desk.shop
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    library = shop.app.library
    with shop.app.database.transaction() as uow:
        unreadable = StoredVersion(VersionHash("0" * 64), "flows.yaml", "flows: [", {})
        uow.versions.save(unreadable, shop.clock.now())
        assert uow.versions.publish(unreadable.hash, 1, "newer", shop.clock.now())
    with pytest.raises(NotFound, match="can no longer be read by this program"):
        library.refresh()
    done = desk.publish(BRAND + CART.replace("1 hour", "2 hours"))
    assert (done.revision, done.version) == (3, library.live())


async def test_another_process_follows_what_was_published(desk: Desk, shop: Shop) -> None:
    library = shop.app.library
    other = VersionLibrary(shop.app.database, library._compile, library._make_renderer)
    assert other.refresh()
    desk.publish(BRAND + CART.replace("1 hour", "2 hours"))
    assert other.refresh()
    assert other.live() == library.live()
    assert not other.refresh()


# Who is still inside ------------------------------------------------------------------------


async def test_a_removed_step_is_finished_by_those_who_entered_with_it(desk: Desk) -> None:
    shop = desk.shop
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=2)
    assert desk.publish(BRAND + CART.partition("      - wait: 1 day")[0]).version is not None
    await shop.receive("checkout.started", BEA, **checkout("c2"))
    await shop.pass_time(days=2)
    assert [mail.envelope_to for _, mail in shop.provider.sent] == [ADA, ADA, BEA] or [
        mail.envelope_to for _, mail in shop.provider.sent
    ] == [ADA, BEA, ADA]


async def test_a_template_that_people_inside_still_need_cannot_be_removed(desk: Desk) -> None:
    shop = desk.shop
    for number, email in enumerate((ADA, BEA)):
        await shop.receive("checkout.started", email, **checkout(f"c{number}"))
    await shop.settle()
    shorter = BRAND + CART.partition("      - wait: 1 day")[0]
    (desk.templates / "email/cart/nudge.html").unlink()
    done = desk.publish(shorter)
    (found,) = messages_of(done)
    assert found == (
        'there is no email template "cart/nudge" any more, but 2 people are still to get it in '
        'the flow "cart" (step second); keep the file until they are through, or set '
        "on_change: move_to_new in the flow"
    )
    assert desk.revision() == 1
    await shop.pass_time(days=2)
    assert len(shop.provider.sent) == 4
    assert desk.publish(shorter).version is not None


async def test_a_template_of_a_waiting_message_cannot_be_removed(desk: Desk) -> None:
    shop = desk.shop
    later = Delivery(DeliveryOutcome.RETRY, code="451", retry_after=timedelta(hours=2))
    shop.provider.answers = [later]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=1)
    (desk.templates / "email/cart/reminder.html").unlink()
    moving = MOVING.replace("cart/reminder", "cart/nudge")
    (found,) = messages_of(desk.publish(BRAND + moving))
    assert found.startswith('there is no email template "cart/reminder" any more, but 1 person is')


# Moving to the new version ------------------------------------------------------------------


async def test_people_move_to_the_new_version_and_their_waits_count_from_the_old(
    desk: Desk,
) -> None:
    shop = desk.shop
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=2)
    desk.publish(BRAND + MOVING.replace("wait: 1 day", "wait: 5 hours"))
    await move(shop)
    (run,) = shop.runs(ADA)
    assert run.version == shop.app.library.live()
    await shop.pass_time(hours=3)
    assert len(shop.provider.sent) == 1
    await shop.pass_time(hours=1)
    assert len(shop.provider.sent) == 2


async def test_a_step_that_is_gone_must_name_its_successor(desk: Desk) -> None:
    shop = desk.shop
    shop.provider.answers = [
        Delivery(DeliveryOutcome.RETRY, retry_after=timedelta(hours=2)) for _ in range(2)
    ]
    for number, email in enumerate((ADA, BEA)):
        await shop.receive("checkout.started", email, **checkout(f"c{number}"))
    await shop.pass_time(hours=1)
    renamed = MOVING.replace("id: first", "id: hello").replace("cart/reminder", "cart/nudge")
    (found,) = messages_of(desk.publish(BRAND + renamed))
    assert '2 people are at the step "first" of the flow "cart"' in found
    assert "moved: {first: NEW_STEP}" in found
    named = renamed.replace("    steps:\n", "    moved: {first: hello}\n    steps:\n")
    assert desk.publish(BRAND + named).version is not None
    await move(shop)
    assert [reason for _, state, reason in shop.outcomes() if state == "cancelled"] == ["moved"] * 2
    await shop.settle()
    assert sorted((row.step, row.state) for row in shop.messages()) == [
        ("first", MessageState.CANCELLED),
        ("first", MessageState.CANCELLED),
        ("hello", MessageState.SENT),
        ("hello", MessageState.SENT),
    ]


async def test_a_step_without_an_id_is_only_a_place(desk: Desk) -> None:
    shop = desk.shop
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    before = MOVING.replace(
        "      - wait: 1 hour\n", "      - wait: 5 hours\n      - wait: 1 hour\n"
    )
    (found,) = messages_of(desk.publish(BRAND + before))
    assert 'at the step "1"' in found
    named = before.replace("    steps:\n", '    moved: {"1": "2"}\n    steps:\n')
    assert desk.publish(BRAND + named).version is not None
    await move(shop)
    await shop.pass_time(hours=1)
    assert len(shop.provider.sent) == 1


async def test_whoever_is_due_before_being_moved_takes_the_new_versions_step(desk: Desk) -> None:
    shop = desk.shop
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    (desk.templates / "email/cart/reminder.html").unlink()
    assert desk.publish(BRAND + MOVING.replace("cart/reminder", "cart/nudge")).version is not None
    await shop.settle()
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_message_in_doubt_keeps_its_run_where_it_is(desk: Desk) -> None:
    shop = desk.shop
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.pass_time(hours=1)
    renamed = MOVING.replace("id: first", "id: hello")
    desk.publish(BRAND + renamed.replace("    steps:\n", "    moved: {first: hello}\n    steps:\n"))
    await move(shop)
    assert shop.outcomes() == [("first", "unknown", None)]
    await shop.pass_time(hours=73)
    await move(shop)
    (run,) = shop.runs(ADA)
    assert run.version == shop.app.library.live()
    await shop.pass_time(days=2)
    assert [state for _, state, _ in shop.outcomes()] == ["unknown", "sent"]


# The files ----------------------------------------------------------------------------------


async def looks(edits: Edits, times: int = 2) -> int:
    return sum([await edits.run_once() for _ in range(times)])


async def test_an_edit_publishes_itself_once_it_is_at_rest(desk: Desk) -> None:
    edits = desk.edits()
    assert await looks(edits, 3) == 0
    desk.flows.write_text(BRAND + "flows:\n")
    assert await edits.run_once() == 0
    desk.flows.write_text(BRAND + CART.replace("1 hour", "2 hours"))
    assert await edits.run_once() == 0
    assert await edits.run_once() == 1
    assert await looks(edits, 3) == 0
    assert desk.revision() == 2
    # Templates that no step names are for `check` to tell of, not for the daemon.
    assert desk.said == []


Change = Callable[[Desk], Any]


def _edit(desk: Desk) -> None:
    file = desk.templates / "email/cart/nudge.html"
    file.write_text(file.read_text() + " ")


def _replace(desk: Desk) -> None:
    new = desk.templates / "email/cart/new.tmp"
    new.write_text((desk.templates / "email/cart/nudge.html").read_text() + " ")
    new.replace(desk.templates / "email/cart/nudge.html")


def _swap_folder(desk: Desk) -> None:
    shutil.copytree(desk.templates, desk.folder / "next")
    (desk.folder / "next/sms/cart/extra.txt").write_text("{{ contact.first_name }}\n")
    shutil.rmtree(desk.templates)
    (desk.folder / "next").rename(desk.templates)


@pytest.mark.parametrize("change", [_edit, _replace, _swap_folder])
async def test_an_edited_template_publishes_itself(desk: Desk, change: Change) -> None:
    edits = desk.edits()
    change(desk)
    assert await looks(edits) == 1
    assert desk.revision() == 2


async def test_a_broken_edit_is_shown_once_and_the_last_good_version_stays(desk: Desk) -> None:
    edits = desk.edits()
    desk.flows.write_text(BRAND + CART.replace("send: cart/nudge", "send: cart/nugde"))
    assert await looks(edits, 5) == 1
    assert "cart/nugde" in desk.said[0]
    shutil.rmtree(desk.templates)
    assert await looks(edits, 5) == 1
    assert "there is no such folder" in desk.said[-1]
    assert desk.revision() == 1


async def test_files_that_cannot_be_read_do_not_stop_what_is_live_at_a_restart(desk: Desk) -> None:
    (desk.templates / "email/cart/nudge.html").write_bytes("Für Sie".encode("latin-1"))
    assert desk.edits().publish("start")
    assert "nudge.html:1:2: this is not UTF-8 text" in desk.said[0]
    shutil.rmtree(desk.templates)
    assert desk.edits().publish("start")
    assert desk.said[-1].endswith("folder of templates; the version published last stays live")
    assert desk.revision() == 1


# The verb -----------------------------------------------------------------------------------


@pytest.fixture
def apply(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    url = desk.shop.app.settings.database_url.get_secret_value()
    monkeypatch.chdir(desk.folder)
    monkeypatch.setenv("ORCHESTRATOR_DATABASE_URL", url)
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "s" * 40)
    return lambda *arguments: CliRunner().invoke(program, ["apply", *arguments])


async def test_apply_tells_the_revision_and_what_changed(
    desk: Desk, apply: Callable[..., Result]
) -> None:
    assert "is live already" in apply().output
    desk.flows.write_text(BRAND + CART.replace("1 hour", "2 hours"))
    result = apply()
    assert result.exit_code == 0, result.output
    assert "revision 2 (" in result.output
    assert "changed flows: cart" in result.output
    assert desk.revision() == 2


async def test_apply_with_an_error_exits_1_and_shows_it_in_place(
    desk: Desk, apply: Callable[..., Result]
) -> None:
    other = desk.folder / "other.yaml"
    other.write_text(BRAND + CART.replace("1 hour", "1 huor"))
    result = apply("other.yaml")
    assert result.exit_code == 1
    assert "other.yaml:" in result.output
    assert "revision 1 stays live" in result.output
    assert desk.revision() == 1


def test_a_restart_does_not_look_at_live_messages_again(shop: Shop, monkeypatch: Any) -> None:
    shop.publish(BRAND + CART)
    file, templates = shop.folder / "flows.yaml", ROOT / "templates"
    looked: list[str] = []

    def looking(*_: Any) -> tuple[Finding, ...]:
        looked.append("looked")
        return ()

    monkeypatch.setattr(files, "check_templates", looking)
    live = shop.app.library.live()
    assert files.read_files(file, templates, live).candidate.publishable
    assert looked == []
    file.write_text((BRAND + CART).replace("1 hour", "2 hours"))
    files.read_files(file, templates, live)
    assert looked == ["looked"]
