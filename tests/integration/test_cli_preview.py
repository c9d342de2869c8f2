"""`preview` as a marketer runs it."""

from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import program
from orchestrator.cli.browser import find_browser, photograph
from orchestrator.cli.preview import panes
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import Channel
from orchestrator.services.samples import Sample
from tests.integration.shop import Shop, checkout

ROOT = Path(__file__).parents[2]
FILES = ["--flows", str(ROOT / "flows.yaml"), "--templates", str(ROOT / "templates")]


def preview(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(program, ["preview", *arguments, *FILES])
    return done.exit_code, done.output + ("" if done.exception is None else str(done.exception))


def test_a_summary_shows_every_channel() -> None:
    code, said = preview("cart/reminder")
    assert code == 0
    assert "Subject: Your basket is still here" in said
    assert re.search(r"^SMS, [12] parts? in GSM-7\n\nNorthwind Books: ", said, re.MULTILINE)


def test_one_form_is_printed_alone() -> None:
    assert preview("cart/reminder", "--format", "html")[1].startswith("<!DOCTYPE html>")
    assert preview("cart/reminder", "--format", "sms")[1].startswith("Northwind Books: ")
    assert "<" not in preview("cart/reminder", "--format", "text")[1]


def test_json_is_one_document() -> None:
    rows = json.loads(preview("cart/reminder", "--json")[1])
    assert [row["channel"] for row in rows] == ["email", "sms"]


def test_a_form_that_a_template_lacks_is_a_usage_error() -> None:
    code, said = preview("privacy/notice", "--format", "sms")
    assert code == 2
    assert "privacy/notice is written for email alone" in " ".join(said.split())


def test_a_name_nearly_right_is_told_the_right_one() -> None:
    _, said = preview("cart/remind")
    assert "there is no template cart/remind; did you mean cart/reminder?" in said


def test_a_language_it_is_not_written_in_is_told() -> None:
    code, said = preview("welcome/hello", "--locale", "sv")
    assert code == 0
    assert "email: not written in sv, so people get it in en\n" in said
    assert "not written" not in preview("welcome/hello", "--locale", "fi-FI")[1]


def test_a_template_that_no_step_names_can_be_looked_at(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    shutil.copy(templates / "email/cart/nudge.html", templates / "email/cart/new.html")
    done = CliRunner().invoke(
        program,
        ["preview", "cart/new", "--flows", FILES[1], "--templates", str(templates)],
    )
    assert done.exit_code == 0
    assert "Unsubscribe:" in done.output


def test_flows_that_cannot_be_read_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    for words, wrong in ((None, "the file cannot be read"), ("version: 1", '"brand" is missing')):
        flows = tmp_path / "mine.yaml"
        if words is not None:
            flows.write_text(words)
        done = CliRunner().invoke(
            program, ["preview", "cart/nudge", "--flows", str(flows), "--templates", FILES[3]]
        )
        assert isinstance(done.exception, ConfigurationError)
        assert str(done.exception).startswith(str(flows))
        assert wrong in str(done.exception)


def test_a_picture_is_as_tall_as_what_it_shows(tmp_path: Path) -> None:
    try:
        find_browser()
    except ConfigurationError as error:
        pytest.skip(str(error))
    picture = tmp_path / "text.png"
    photograph(panes(Sample(Channel.SMS, text="Short.")), picture)
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width == 852
    assert height < 400


def test_a_mistake_in_the_template_is_named_with_its_line(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / "email/cart/nudge.html").write_text(
        '{% extends "shell.html" %}\n{% block subject %}{{ event.totl }}{% endblock %}\n'
    )
    done = CliRunner().invoke(
        program,
        ["preview", "cart/nudge", "--flows", FILES[1], "--templates", str(templates)],
    )
    assert done.exit_code == 1
    assert "cart/nudge.html:2" in done.output


async def test_a_real_persons_basket_is_shown(
    shop: Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [{"name": "The Real Thing", "quantity": 1, "price": 40}]
    await shop.receive("checkout.started", "ada@example.com", **checkout(items=items))
    await shop.settle()
    monkeypatch.setenv("ORCHESTRATOR_DATABASE_URL", database_url)
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "a secret key that is long enough for this")
    monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "another one that is long enough for it")
    code, said = preview("cart/reminder", "--format", "text", "--contact", "ada@example.com")
    assert code == 0, said
    assert "The Real Thing" in said
    code, said = preview("cart/reminder", "--contact", "ada@example.com")
    assert (code, "The Real Thing" in said) == (0, True), said  # she has no telephone
    assert "sms: no address for sms" in said
    code, _ = preview("cart/reminder", "--format", "sms", "--contact", "ada@example.com")
    assert code == 1
    _, said = preview("cart/reminder", "--contact", "nobody@example.com")
    assert "nobody is known as nobody@example.com" in said
