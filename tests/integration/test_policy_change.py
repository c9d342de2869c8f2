"""Who hears of a new privacy policy: everybody who was there, once."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.services.notices import Notices
from orchestrator.storage.identifiers import UuidIds
from tests.integration.shop import BRAND, START, Shop

ADA, BEA, CAT = "ada@example.com", "bea@example.com", "cat@example.com"

NOTICE = """\
flows:
  notice:
    class: legal
    when: {policy_change: privacy}
    steps:
      - send: privacy/notice
"""


def policy(version: str) -> str:
    """The brand with a version of its privacy policy."""
    privacy = f"""\
  privacy:
    version: "{version}"
    effective: 2026-12-15
    url: https://northwind.example/privacy
    previous_url: https://northwind.example/privacy/2025
    why: The law changed.
    changes: [We keep orders for six years.]
"""
    return BRAND.replace("topics:\n", privacy + "topics:\n")


async def tell(shop: Shop) -> None:
    """Let in everybody who is to be told, in batches of two, of two versions at most."""
    for _ in range(2):
        while await shop.app.notices.run_once(2):
            pass
    await shop.settle()


async def people(shop: Shop, *emails: str) -> None:
    for email in emails:
        await shop.receive("contact.updated", email)
    await shop.settle()


def keys(shop: Shop, email: str) -> list[str]:
    return [run.key for run in shop.runs(email)]


async def test_the_first_version_writes_to_nobody(shop: Shop) -> None:
    await people(shop, ADA)
    shop.publish(policy("2026") + NOTICE)
    await tell(shop)
    assert shop.runs(ADA) == []


async def test_a_new_version_reaches_everybody_who_exists_exactly_once(shop: Shop) -> None:
    await people(shop, ADA, BEA, CAT)
    shop.publish(policy("2026") + NOTICE)
    shop.publish(policy("2027") + NOTICE)
    await tell(shop)
    shop.publish(policy("2027") + NOTICE.replace("class: legal", "class: legal\n    title: Notice"))
    await tell(shop)
    assert [keys(shop, email) for email in (ADA, BEA, CAT)] == [["2027"]] * 3
    assert {run.version for run in shop.runs(ADA)} != {shop.app.library.live()}
    assert sorted(mail.envelope_to for _, mail in shop.provider.sent) == [ADA, BEA, CAT]


async def test_whoever_comes_later_is_not_told(shop: Shop) -> None:
    await people(shop, ADA)
    shop.publish(policy("2026") + NOTICE)
    shop.publish(policy("2027") + NOTICE)
    shop.clock.moment += timedelta(seconds=1)
    await people(shop, BEA)
    await tell(shop)
    assert keys(shop, ADA) == ["2027"]
    assert keys(shop, BEA) == []


async def test_going_back_writes_to_nobody_and_the_next_version_to_everybody(shop: Shop) -> None:
    await people(shop, ADA)
    for version in ("2026", "2027", "2026", "2027", "2028"):
        shop.publish(policy(version) + NOTICE)
        await tell(shop)
    assert keys(shop, ADA) == ["2027", "2028"]
    with shop.app.database.read() as uow:
        known = uow.privacy_versions.known()
    assert [one.version for one in known] == ["2026", "2027", "2028"]
    assert all(one.finished_at == START for one in known)


async def test_of_two_versions_published_at_once_everybody_enters_both_and_reads_the_newer(
    shop: Shop,
) -> None:
    await people(shop, ADA, BEA)
    for version in ("2026", "2027"):
        shop.publish(policy(version) + NOTICE)
    shop.clock.moment += timedelta(seconds=1)
    await people(shop, CAT)
    shop.publish(policy("2028") + NOTICE)
    await tell(shop)
    assert [keys(shop, email) for email in (ADA, BEA, CAT)] == [["2027", "2028"]] * 2 + [["2028"]]
    assert sorted(mail.envelope_to for _, mail in shop.provider.sent) == [ADA, BEA, CAT]
    told = [(m.state.value, m.reason) for m in shop.messages()]
    assert sorted(told) == [("cancelled", "replaced")] * 2 + [("sent", None)] * 3


async def test_a_version_superseded_halfway_is_told_to_nobody_else(shop: Shop) -> None:
    await people(shop, ADA, BEA)
    for version in ("2026", "2027"):
        shop.publish(policy(version) + NOTICE)
    assert await shop.app.notices.run_once(1) == 1
    await shop.settle()
    shop.publish(policy("2028") + NOTICE)
    await tell(shop)
    assert [keys(shop, email) for email in (ADA, BEA)] == [["2027", "2028"]] * 2
    assert len(shop.provider.sent) == 3
    assert [m.reason for m in shop.messages() if m.state.value == "cancelled"] == ["replaced"]


async def test_a_version_taken_back_halfway_waits_until_it_is_live_again(shop: Shop) -> None:
    await people(shop, ADA, BEA)
    for version in ("2026", "2027"):
        shop.publish(policy(version) + NOTICE)
    assert await shop.app.notices.run_once(1) == 1
    shop.publish(policy("2026") + NOTICE)
    await tell(shop)
    assert sorted([keys(shop, ADA), keys(shop, BEA)]) == [[], ["2027"]]
    shop.publish(policy("2027") + NOTICE)
    await tell(shop)
    assert [keys(shop, ADA), keys(shop, BEA)] == [["2027"], ["2027"]]


async def test_it_goes_on_where_a_crash_stopped_it(shop: Shop) -> None:
    await people(shop, ADA, BEA, CAT)
    for version in ("2026", "2027"):
        shop.publish(policy(version) + NOTICE)
    assert await shop.app.notices.run_once(2) == 2
    restarted = Notices(shop.app.database, shop.app.library, shop.clock, UuidIds())
    while await restarted.run_once(2):
        pass
    assert [keys(shop, email) for email in (ADA, BEA, CAT)] == [["2027"]] * 3


async def test_a_flow_added_later_tells_nobody_of_an_older_change(shop: Shop) -> None:
    await people(shop, ADA)
    manual = NOTICE.replace("{policy_change: privacy}", "manual")
    shop.publish(policy("2026") + manual)
    shop.publish(policy("2027") + manual)
    await tell(shop)
    shop.publish(policy("2027") + NOTICE)
    await tell(shop)
    assert shop.runs(ADA) == []


async def test_merged_and_erased_people_are_not_told(shop: Shop) -> None:
    await people(shop, ADA, BEA)
    shop.publish(policy("2026") + NOTICE)
    ada, bea = shop.contact_id(ADA), shop.contact_id(BEA)
    with shop.app.database.transaction() as uow:
        now = shop.clock.now()
        uow.contacts.update({ada: {"erased_at": now}, bea: {"merged_into": ada}}, now)
    shop.publish(policy("2027") + NOTICE)
    await tell(shop)
    assert shop.runs(ADA) == shop.runs(BEA) == []
