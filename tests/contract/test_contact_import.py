"""Importing people and their consent, on both databases."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.cli.contact_page import contact_page
from orchestrator.domain.consent import (
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentEvidence,
    ConsentStatus,
    Method,
    permission,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import (
    AttributeType,
    Brand,
    Channel,
    DoubleOptIn,
    FlowBook,
    LocalText,
    Topic,
)
from orchestrator.services.contact_import import (
    BATCH,
    ContactImport,
    ImportPlan,
    Refusal,
    RowDefaults,
    Summary,
    plan_import,
    write_errors,
)
from orchestrator.services.contact_view import ContactView, as_json, find_contact, view_contact
from orchestrator.sources.phones import normalise_phone
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.ledger_signing import HmacCheckpointSigner
from orchestrator.storage.unit_of_work import SqlDatabase

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
STATED = RowDefaults("Summer fair", "paper form", "Send me offers.")


def book(double_opt_in: DoubleOptIn = DoubleOptIn.WHERE_REQUIRED) -> FlowBook:
    brand = Brand(
        name=LocalText("Northwind"),
        url="https://northwind.example",
        email_marketing="news@northwind.example",
        email_service="hello@northwind.example",
        postal_address=LocalText("Helsinki"),
        support="help@northwind.example",
        locale="en",
        timezone="Europe/Helsinki",
        legal_name=LocalText("Northwind Oy"),
        double_opt_in=double_opt_in,
    )
    return FlowBook(
        version_hash="0" * 64,
        brand=brand,
        topics={name: Topic(name, LocalText(name)) for name in ("news", "offers")},
        policies={},
        segments={},
        attributes={
            "birthday": AttributeType.DATE,
            "points": AttributeType.NUMBER,
            "vip": AttributeType.BOOLEAN,
            "likes": AttributeType.LIST,
        },
        tables={},
        flows={},
    )


@dataclass
class SteppingClock:
    moment: datetime = NOW

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment


@dataclass
class Shop:
    database: SqlDatabase
    clock: SteppingClock
    folder: Path
    steps: list[int] = field(default_factory=list)

    def plan(
        self, text: str | bytes, defaults: RowDefaults = STATED, flows: FlowBook | None = None
    ) -> ImportPlan:
        plan = self.refused(text, defaults, flows)
        assert isinstance(plan, ImportPlan), plan
        return plan

    def refused(
        self, text: str | bytes, defaults: RowDefaults = STATED, flows: FlowBook | None = None
    ) -> ImportPlan | Refusal:
        path = self.folder / "people.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return plan_import(path, defaults, flows or book(), normalise_phone)

    def run(self, plan: ImportPlan) -> Summary:
        importer = ContactImport(self.database, self.clock, UuidIds())
        return asyncio.run(importer.run(plan, self.steps.append))

    def load(self, text: str | bytes, defaults: RowDefaults = STATED) -> Summary:
        return self.run(self.plan(text, defaults))

    def person(self, who: str) -> Contact:
        with self.database.read() as uow:
            found = find_contact(uow, who, normalise_phone)
        assert found is not None, who
        return found

    def view(self, who: str) -> ContactView:
        with self.database.read() as uow:
            return view_contact(uow, self.person(who))

    def may_send(self, who: str, topic: str = "offers", channel: Channel = Channel.EMAIL) -> bool:
        return permission(self.view(who).states, channel, topic, self.clock.now()).allowed

    def records(self) -> int:
        with self.database.read() as uow:
            report = uow.consents.verify(HmacCheckpointSigner(["a secret"]))
        assert report.intact, [str(finding) for finding in report.findings]
        return report.records

    def say(self, who: str, action: ConsentAction, actor: Actor, at: datetime) -> None:
        details, personal = ConsentEvidence(actor, "a page").split()
        entry = ConsentEntry(
            contact_id=self.person(who).id,
            channel=Channel.EMAIL,
            topic="*",
            action=action,
            legal_basis="consent",
            method=Method.PREFERENCE_PAGE,
            occurred_at=at,
            details=details,
            personal=personal,
        )
        with self.database.transaction() as uow:
            uow.consents.append([entry], self.clock.now())


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    clock = SteppingClock()
    database = SqlDatabase(
        create_engine_for(database_url), clock=clock, ids=UuidIds(), suppression_key=b"key"
    )
    yield Shop(database, clock, tmp_path)
    database.close()


def test_people_come_with_names_attributes_and_consent(shop: Shop) -> None:
    summary = shop.load(
        "Email,Phone,First name,Country,birthday,points,vip,likes,tags,consent_email,consent_sms\n"
        "Ada@Example.com,040 123 4567,Ada,FI,1987-04-30,12.5,yes,tea;books,vip|new,yes,offers\n"
    )
    assert (summary.rows, summary.imported, summary.created, summary.granted) == (1, 1, 1, 2)
    ada = shop.person("ADA@example.com")
    assert (ada.phone, ada.first_name, ada.country) == ("+358401234567", "Ada", "FI")
    assert ada.attributes == {
        "birthday": "1987-04-30",
        "points": 12.5,
        "vip": True,
        "likes": ["tea", "books"],
    }
    assert ada.tags == ("vip", "new")
    assert shop.may_send("ada@example.com", "news")
    assert shop.may_send("+358 40 123 4567", "offers", Channel.SMS)
    assert not shop.may_send(ada.id, "news", Channel.SMS)
    assert not shop.may_send(ada.id, "a topic added later")


def test_the_proof_of_an_imported_consent_is_complete(shop: Shop) -> None:
    shop.load(
        "email,country,consent_email,consent_at,consent_ip\n"
        "Ada@example.com,FI,offers,2026-03-01,192.0.2.7\n"
    )
    (record,) = shop.view("ada@example.com").records
    assert (record.method, record.legal_basis) == ("paper_form", "consent")
    assert record.occurred_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert record.details["collection_point"] == "Summer fair"
    assert record.details["wording"] == "Send me offers."
    assert record.details["jurisdiction"] == "FI"
    assert record.details["controller"] == "Northwind Oy"
    assert record.personal == {
        "address": "ada@example.com",
        "address_given": "Ada@example.com",
        "ip": "192.0.2.7",
    }


def test_a_second_run_changes_nothing(shop: Shop) -> None:
    text = "email,consent_email\n" + "".join(f"a{n}@example.com,yes\n" for n in range(30))
    first = shop.load(text)
    assert (first.imported, shop.records()) == (30, 60)
    again = shop.load(text)
    assert (again.imported, again.known, again.granted, shop.records()) == (0, 30, 0, 60)
    shuffled = "email,consent_email\n" + "".join(f"a{n}@example.com,yes\n" for n in range(40))
    more = shop.load(shuffled)
    assert (more.imported, more.known, shop.records()) == (10, 30, 80)


def test_a_row_that_stands_twice_counts_once(shop: Shop) -> None:
    summary = shop.load("email,consent_email\na@example.com,yes\n\na@example.com,yes\n")
    assert (summary.rows, summary.imported, summary.known, shop.records()) == (2, 1, 1, 2)


class Killed(BaseException):
    """The process ends here."""


def test_a_killed_import_goes_on_where_it_stopped(shop: Shop) -> None:
    text = "email,consent_email\n" + "".join(f"a{n}@example.com,yes\n" for n in range(450))
    plan = shop.plan(text)

    def dies(done: int) -> None:
        raise Killed

    importer = ContactImport(shop.database, shop.clock, UuidIds())
    with pytest.raises(Killed):
        asyncio.run(importer.run(plan, dies))
    assert shop.records() == 2 * BATCH
    summary = shop.run(plan)
    assert (summary.imported, summary.known, shop.records()) == (450 - BATCH, BATCH, 900)


def test_bad_rows_are_listed_with_their_lines_and_good_ones_imported(shop: Shop) -> None:
    text = (
        "email,phone,birthday,points,timezone,consent_email,consent_at\n"
        "ada@example.com,,,,,yes,\n"
        "no address,,,,,yes,\n"
        ",,,,,,\n"
        ",040 123 4567,,,,,\n"
        '"ben@example.com\n",,30.4.1987,many,Europe/Helsingfors,offer,yesterday\n'
        "cleo@example.com,,,,,\n"
        "dan@example.com,,,,,yes,\n"
        ",+358401234567,,,,yes,\n"
        ",,1987-04-30,,,,\n"
    )
    plan = shop.plan(text)
    summary = shop.run(plan)
    assert (summary.rows, summary.imported) == (8, 2)
    assert [(error.line, error.message) for error in summary.errors] == [
        (3, 'email: "no address" is no address'),
        (5, 'phone: "040 123 4567" is no number that takes messages (--country FI reads 040…)'),
        (
            6,
            (
                'timezone: "Europe/Helsingfors" is no name like Europe/Helsinki; '
                'birthday: "30.4.1987" is no date like 1987-04-30; '
                'points: "many" is no number like 12 or 12.50; '
                'consent_email: "offer" is no topic of the flows file: did you mean "offers"?; '
                'consent_at: "yesterday" is no date like 2026-03-01'
            ),
        ),
        (8, "has 6 cells, the header has 7"),
        (10, "consent_email: the row has no email"),
        (11, "nobody: an email, a phone or an id is needed"),
    ]
    path = write_errors(plan, summary.errors)
    assert path is not None
    assert path.name == "people.errors.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["line", "3", "5", "6", "8", "10", "11"]
    assert rows[1][2] == "no address"
    assert write_errors(plan, []) is None
    assert not path.exists()


def test_an_open_quote_is_one_bad_row(shop: Shop) -> None:
    summary = shop.load('email,first_name\na@example.com,Ada\nb@example.com,"Ben\n')
    assert (summary.imported, [error.line for error in summary.errors]) == (1, [3])


@pytest.mark.parametrize(
    ("defaults", "header", "missing"),
    [
        (RowDefaults(), "email", ["source", "method"]),
        (RowDefaults(source="Fair"), "email,consent_email", ["method"]),
        (RowDefaults(method="web_form"), "email,consent_email", ["source"]),
        (RowDefaults(method=" "), "email,consent_source", ["method"]),
    ],
)
def test_source_and_method_are_obligatory(
    shop: Shop, defaults: RowDefaults, header: str, missing: list[str]
) -> None:
    refusal = shop.refused(f"{header}\n", defaults)
    assert isinstance(refusal, Refusal)
    assert refusal.usage
    for word in ("source", "method"):
        assert (f"--{word} TEXT" in refusal.message) == (word in missing)


def test_source_and_method_may_be_columns(shop: Shop) -> None:
    summary = shop.load(
        "email,consent_email,consent_source,consent_method\n"
        "a@example.com,yes,Fair,paper form\n"
        "b@example.com,yes,,\n",
        RowDefaults(),
    )
    assert summary.imported == 1
    assert "consent_source: empty" in summary.errors[0].message
    assert shop.view("a@example.com").records[0].method == "paper_form"


@pytest.mark.parametrize("method", ["pre_checked", "Pre-checked", "unknown", "purchased"])
@pytest.mark.parametrize(
    ("country", "phone", "usable"),
    [
        ("FI", "", False),
        ("GB", "", False),
        ("CA", "", False),
        ("", "+358401234567", False),
        ("", "", False),
        ("US", "", True),
    ],
)
def test_a_consent_without_a_clear_act_is_refused(
    shop: Shop, method: str, country: str, phone: str, usable: bool
) -> None:
    text = f"email,phone,country,consent_email\na@example.com,{phone},{country},yes\n"
    summary = shop.load(text, replace(STATED, method=method))
    assert summary.granted == usable
    if not usable:
        assert "a clear act is needed" in summary.errors[0].message


def test_a_country_with_double_opt_in_gets_requests(shop: Shop) -> None:
    text = "email,country,consent_email\na@example.com,DE,yes\nb@example.com,FI,yes\n"
    summary = shop.load(text)
    assert (summary.requested, summary.granted) == (1, 1)
    assert {s.status for s in shop.view("a@example.com").states} == {ConsentStatus.REQUESTED}


def test_a_consent_confirmed_elsewhere_needs_no_second_confirmation(shop: Shop) -> None:
    text = "email,country,consent_email\na@example.com,DE,yes\n"
    assert shop.load(text, replace(STATED, method="double opt-in")).granted == 1


def test_a_brand_may_always_want_confirmation(shop: Shop) -> None:
    plan = shop.plan("email,consent_email\na@example.com,yes\n", flows=book(DoubleOptIn.ALWAYS))
    assert shop.run(plan).requested == 1


def test_no_and_unknown_withdraw_nothing(shop: Shop) -> None:
    shop.load("email,consent_email\na@example.com,yes\n")
    shop.load("email,consent_email\na@example.com,no\n")
    shop.load("email,consent_email\na@example.com,unknown\n")
    assert shop.may_send("a@example.com")


def test_unsubscribed_people_can_be_brought_along(shop: Shop) -> None:
    shop.load("email,consent_email\na@example.com,yes\n")
    assert shop.load("email,consent_email\na@example.com,unsubscribed\n").withdrawn == 1
    assert not shop.may_send("a@example.com")


def test_a_withdrawal_is_not_undone_by_a_file_that_tells_no_date(shop: Shop) -> None:
    shop.load("email\na@example.com\n")
    shop.say("a@example.com", ConsentAction.WITHDRAWN, Actor.PERSON, NOW)
    summary = shop.load("email,consent_email\na@example.com,yes\n")
    assert (summary.granted, summary.kept_refusals) == (0, 1)
    assert not shop.may_send("a@example.com")


@pytest.mark.parametrize(("given", "allowed"), [("2026-11-19", False), ("2026-11-21", True)])
def test_a_dated_consent_counts_only_after_the_withdrawal(
    shop: Shop, given: str, allowed: bool
) -> None:
    shop.load("email\na@example.com\n")
    shop.say("a@example.com", ConsentAction.WITHDRAWN, Actor.PERSON, NOW)
    shop.clock.moment = NOW + timedelta(days=3)
    shop.load(f"email,consent_email,consent_at\na@example.com,yes,{given}\n")
    assert shop.may_send("a@example.com") == allowed


def test_no_file_lifts_an_objection(shop: Shop) -> None:
    shop.load("email\na@example.com\n")
    shop.say("a@example.com", ConsentAction.OBJECTED, Actor.PERSON, NOW)
    shop.clock.moment = NOW + timedelta(days=3)
    for method in ("keyword", "preference_page", "double_opt_in"):
        shop.load(
            "email,consent_email,consent_at\na@example.com,yes,2026-11-22\n",
            replace(STATED, method=method),
        )
    assert not shop.may_send("a@example.com")
    shop.say("a@example.com", ConsentAction.GRANTED, Actor.PERSON, shop.clock.now())
    assert shop.may_send("a@example.com")


def test_a_suppressed_address_is_counted_and_stays_so(shop: Shop) -> None:
    with shop.database.transaction() as uow:
        uow.suppressions.add(
            Channel.EMAIL, "a@example.com", reason="complaint", hard=True, source="t", now=NOW
        )
    assert shop.load("email,consent_email\na@example.com,yes\n").suppressed == 1
    with shop.database.read() as uow:
        assert uow.suppressions.find([(Channel.EMAIL, "a@example.com")])


def test_implied_consent_lapses(shop: Shop) -> None:
    summary = shop.load(
        "email,country,consent_email,consent_basis,consent_at\n"
        "a@example.com,CA,offers,implied_purchase,2024-11-25\n"
        "b@example.com,CA,offers,implied_inquiry,2026-08-31\n"
        "c@example.com,CA,offers,implied_inquiry,\n"
    )
    assert [error.line for error in summary.errors] == [4]
    (state,) = shop.view("b@example.com").states
    assert state.expires_at == datetime(2027, 2, 28, tzinfo=UTC)
    assert shop.may_send("a@example.com")
    shop.clock.moment = datetime(2026, 11, 25, tzinfo=UTC)
    assert not shop.may_send("a@example.com")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_spreadsheets_of_all_kinds_are_read(
    shop: Shop, separator: str, mark: bytes, ending: str
) -> None:
    rows = [["email", "first_name"], ["a@example.com", "Äijä"], ["", ""]]
    text = ending.join(separator.join(row) for row in rows)
    assert shop.load(mark + text.encode()).imported == 1
    assert shop.person("a@example.com").first_name == "Äijä"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("email\nä@example.com\n".encode("latin-1"), "people.csv:2: is not UTF-8"),
        ("email\na@example.com\n".encode("utf-16"), "UTF-16"),
        (b"email\nab\x00c@example.com\n", "people.csv:2: holds NUL"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"email,email\n", "two columns are named email"),
    ],
)
def test_an_unreadable_file_is_refused_with_a_remedy(
    shop: Shop, content: bytes, words: str
) -> None:
    refusal = shop.refused(content)
    assert isinstance(refusal, Refusal)
    assert not refusal.usage
    assert words in refusal.message


def test_a_misspelt_column_is_not_ignored(shop: Shop) -> None:
    refusal = shop.refused("email,cosent_email\n")
    assert isinstance(refusal, Refusal)
    assert 'did you mean "consent_email"?' in refusal.message
    assert shop.load("email,Shoe size\na@example.com,42\n").ignored_columns == ("shoe_size",)


def test_a_file_that_names_nobody_is_refused(shop: Shop) -> None:
    refusal = shop.refused("name,consent_email\n")
    assert isinstance(refusal, Refusal)
    assert "no column is named email, phone or id" in refusal.message


def test_what_the_file_leaves_out_stays(shop: Shop) -> None:
    shop.load("email,first_name,points,tags\na@example.com,Ada,3,vip\n")
    summary = shop.load("email,last_name,vip,tags\na@example.com,Byron,no,new\n")
    assert (summary.created, summary.updated) == (0, 1)
    ada = shop.person("a@example.com")
    assert (ada.first_name, ada.last_name, ada.tags) == ("Ada", "Byron", ("vip", "new"))
    assert ada.attributes == {"points": 3, "vip": False}


def test_an_import_starts_no_journey(shop: Shop) -> None:
    shop.load("email,consent_email\na@example.com,yes\n")
    with shop.database.transaction() as uow:
        assert uow.events.lock_waiting_contacts(10) == []


def test_a_row_may_bring_two_people_together(shop: Shop) -> None:
    shop.load("email,consent_email\na@example.com,yes\n")
    shop.load("phone,consent_sms\n+358401234567,offers\n")
    shop.say("a@example.com", ConsentAction.WITHDRAWN, Actor.PERSON, shop.clock.now())
    shop.load("email,phone\na@example.com,+358401234567\n")
    assert shop.person("a@example.com").id == shop.person("+358401234567").id
    assert shop.may_send("a@example.com", "offers", Channel.SMS)
    assert not shop.may_send("a@example.com", "offers", Channel.EMAIL)
    assert shop.records() == 4


def test_twenty_thousand_rows_come_in_one_go(shop: Shop) -> None:
    count = 20_000
    rows = (f"p{n}@example.com,Name {n},yes,{n}\n" for n in range(count))
    plan = shop.plan("email,first_name,consent_email,points\n" + "".join(rows))
    began = time.monotonic()
    summary = shop.run(plan)
    assert (summary.imported, summary.created, summary.granted) == (count, count, count)
    assert time.monotonic() - began < 300  # seconds; far beyond what a busy machine needs
    assert shop.steps[-1] == count + 1
    assert shop.steps == sorted(shop.steps)


def test_a_person_is_shown_with_proof(shop: Shop) -> None:
    shop.load("email,id,first_name,consent_email\nada@example.com,c-17,Ada,yes\n")
    for who in ("ada@example.com", "c-17", shop.person("c-17").id):
        document = json.loads(json.dumps(as_json(shop.view(who))))
        assert set(document) == {"contact", "consents", "enrolments", "messages"}
        assert document["contact"]["external_id"] == "c-17"
        assert [consent["topic"] for consent in document["consents"]] == ["news", "offers"]
        assert {consent["source"] for consent in document["consents"]} == {"Summer fair"}
    page = list(contact_page(shop.view("c-17")))
    assert all(len(line) <= 80 for line, _ in page)
    assert page[0] == ("Ada", True)
    text = "\n".join(line for line, _ in page)
    assert "News and offers by email: yes, since 20 November 2026 (paper form, Summer" in text
    assert "Nobody" not in text


def test_nobody_is_found_by_words_that_name_nobody(shop: Shop) -> None:
    with shop.database.read() as uow:
        for who in ("", "nobody@example.com", "+358401234567", "c-17", "0" * 32, "0040"):
            assert find_contact(uow, who) is None


def test_somebody_merged_is_shown_as_the_survivor(shop: Shop) -> None:
    shop.load("email\na@example.com\n")
    shop.load("phone\n+358401234567\n")
    ids = [shop.person("a@example.com").id, shop.person("+358401234567").id]
    shop.load("email,phone\na@example.com,+358401234567\n")
    assert {shop.person(one).id for one in ids} == {shop.person("a@example.com").id}
