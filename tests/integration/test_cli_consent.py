"""`contacts import`, `contacts show` and `consent verify` as an operator calls them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import consent, contacts

FLOWS = """
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: news@northwind.example
  postal_address: Keskuskatu 1, 00100 Helsinki, Finland
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  news: {title: News}
  offers: {title: Offers}
flows: {}
"""
PEOPLE = """email,phone,first_name,country,consent_email
ada@example.com,040 123 4567,Ada,FI,yes
ben@example.com,,Ben,FI,no
nobody,,,,yes
"""
STATED = ["--source", "Summer fair", "--method", "paper form", "--country", "FI"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "one-two-three-four-five-six-seven-eight")
    monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "nine-ten-eleven-twelve-thirteen-etc")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "flows.yaml").write_text(FLOWS)
    (tmp_path / "people.csv").write_text(PEOPLE)
    return tmp_path


def call_contacts(*arguments: str) -> Result:
    return CliRunner().invoke(contacts.app, list(arguments))


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(consent.app, ["verify", *arguments])


def test_an_import_without_source_and_method_is_a_usage_error(folder: Path) -> None:
    result = call_contacts("import", "people.csv")
    assert result.exit_code == 2
    assert "--source TEXT" in result.stderr
    assert not (folder / "var").exists()


def test_a_file_that_is_not_there_is_a_usage_error(folder: Path) -> None:
    assert call_contacts("import", "other.csv", *STATED).exit_code == 2


def test_a_date_that_is_none_is_a_usage_error(folder: Path) -> None:
    assert call_contacts("import", "people.csv", *STATED, "--given", "soon").exit_code == 2


def test_an_import_prints_one_document_and_lists_bad_rows(folder: Path) -> None:
    result = call_contacts("import", "people.csv", *STATED, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["rows"], document["imported"], document["consents_granted"]) == (3, 2, 1)
    assert document["errors"] == [{"line": 4, "message": 'email: "nobody" is no address'}]
    assert document["errors_file"] == "people.errors.csv"
    assert (folder / "people.errors.csv").exists()
    again = call_contacts("import", "people.csv", *STATED)
    assert again.exit_code == 1
    assert "people.csv:4: email" in again.stderr
    assert "0 of 3 rows imported" in again.stdout
    assert "2 were imported before" in again.stdout


def test_good_rows_alone_end_well(folder: Path) -> None:
    (folder / "people.csv").write_text("email\nada@example.com\n")
    result = call_contacts("import", "people.csv", *STATED)
    assert result.exit_code == 0
    assert "nothing was granted" in result.stdout
    assert not (folder / "people.errors.csv").exists()


def test_a_person_is_shown_by_address_number_and_id(folder: Path) -> None:
    call_contacts("import", "people.csv", *STATED)
    document = json.loads(call_contacts("show", "ada@example.com", "--json").stdout)
    assert list(document) == ["contact", "consents", "enrolments", "messages"]
    for who in ("+358 40 123 4567", document["contact"]["id"]):
        page = call_contacts("show", who).stdout
        assert "News and offers by email: yes, since" in page
        assert max(map(len, page.splitlines())) <= 80
    assert "Nobody has asked this person yet." in call_contacts("show", "ben@example.com").stdout


def test_a_name_cannot_steer_the_terminal(folder: Path) -> None:
    (folder / "people.csv").write_text(
        "email,first_name\neve@example.com,\x1b[31mEve\x1b]0;hers\x07 \u202eback\u009b2J\n"
    )
    call_contacts("import", "people.csv", *STATED)
    page = call_contacts("show", "eve@example.com").stdout
    assert page.startswith("[31mEve]0;hers back2J\n")


def test_nobody_is_shown_as_an_error(folder: Path) -> None:
    result = call_contacts("show", "who@example.com")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "who@example.com" in result.stderr


def test_a_tampered_ledger_ends_with_an_error(folder: Path) -> None:
    call_contacts("import", "people.csv", *STATED)
    whole = verify()
    assert whole.exit_code == 0
    assert "The ledger is whole." in whole.stdout
    assert json.loads(verify("--json").stdout)["intact"] is True
    with sqlite3.connect(folder / "var" / "orchestrator.db") as database:
        database.execute("UPDATE consent_record SET topic = 'stolen' WHERE seq = 2")
    database.close()
    broken = verify()
    assert broken.exit_code == 1
    assert "#2: a field was altered" in broken.stdout
    assert "NOT whole" in broken.stdout
    document = json.loads(verify("--json").stdout)
    assert document["intact"] is False
    assert {finding["seq"] for finding in document["findings"]} >= {2}
