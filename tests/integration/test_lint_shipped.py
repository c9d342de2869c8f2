"""The shipped shop under its own rules, from the files to the message that is not sent."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from time import process_time

import pytest
from typer.testing import CliRunner

from orchestrator.bootstrap.files import read_files
from orchestrator.cli import program
from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import Channel, FlowBook, Logo, SendStep
from orchestrator.rendering.checking import check_templates
from orchestrator.rendering.lint import fixtures
from orchestrator.rendering.lint.fixtures import HOSTILE, KINDS, TAME, Sent
from orchestrator.rendering.lint.matrix import Matrix
from orchestrator.rendering.locales import Catalogues
from tests.integration.shop import Shop, checkout

ROOT = Path(__file__).parents[2]


def files(name: str = "flows.yaml") -> tuple[FlowBook, dict[str, str]]:
    read = read_files(ROOT / name, ROOT / "templates").candidate
    assert read.book is not None
    return read.book, dict(read.templates)


def mails(book: FlowBook, locales: tuple[str, ...]) -> list[Sent]:
    return [
        Sent(flow, step, Channel.EMAIL, locale)
        for flow in book.flows.values()
        for step in flow.steps
        if isinstance(step, SendStep) and Channel.EMAIL in step.via
        for locale in locales
    ]


def test_the_shipped_shop_has_neither_errors_nor_warnings() -> None:
    assert read_files(ROOT / "flows.yaml", ROOT / "templates").candidate.findings == ()


def test_the_quick_start_breaks_no_rule() -> None:
    book, sources = files("examples/quickstart.yaml")
    assert check_templates(book, sources, "templates") == ()


def test_every_mail_is_looked_at_in_every_language_for_every_person() -> None:
    book, sources = files()
    locales = (book.brand.locale, *Catalogues(sources).tags)
    assert len(locales) == 5
    matrix = Matrix(book, sources, "templates")
    for sent in mails(book, locales):
        for kind in KINDS:
            mail = matrix.mail(sent, kind)
            assert mail is not None, sent
            assert mail.locale == sent.locale


def test_a_second_look_costs_nothing() -> None:
    files()
    began = process_time()
    files()
    assert process_time() - began < 1


def test_a_logo_breaks_no_rule() -> None:
    book, sources = files()
    cdn = "https://cdn.northwind.example"
    brand = replace(book.brand, logo=Logo(f"{cdn}/logo.png", f"{cdn}/logo-dark.png"))
    matrix = Matrix(replace(book, brand=brand), sources, "templates")
    some = mails(book, ("en", "fa"))[:6]
    assert [one for sent in some for one in matrix.findings(sent)] == []


def test_check_tells_of_a_broken_rule_and_fails(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    shutil.copy(ROOT / "flows.yaml", tmp_path)
    path = tmp_path / "templates" / "email" / "winback" / "goodbye.html"
    broken = path.read_text().replace("{{ heading", '<img src="https://x.example/a.png">{{ heading')
    path.write_text(broken)
    place = broken[: broken.index("<img")]
    flows, templates = tmp_path / "flows.yaml", tmp_path / "templates"
    arguments = ["check", str(flows), "--templates", str(templates), "--json"]
    result = CliRunner().invoke(program, arguments)
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {(one["rule"], one["severity"]) for one in found} == {("A9", "error"), ("C11", "error")}
    assert {one["file"] for one in found} == {str(path)}
    assert {one["line"] for one in found} == {place.count("\n") + 1}
    assert all(one["hint"] for one in found)


async def test_a_mail_that_clients_would_cut_off_is_not_sent(shop: Shop) -> None:
    many = [{"name": f"Book {number} " + "x" * 3_000, "quantity": 1} for number in range(100)]
    await shop.receive("checkout.started", "ada@example.com", **checkout(items=many))
    await shop.pass_time(hours=2)
    assert shop.outcomes() == [("first", "not_sent", "lint")]
    assert "(C1)" in shop.messages()[0].decision["problem"]
    assert shop.provider.sent == []


def test_an_accent_that_is_darkened_is_told_with_its_place(tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text((ROOT / "flows.yaml").read_text().replace("#0b5a7a", "#FFE9A0"))
    (finding,) = read_files(flows, ROOT / "templates").candidate.findings
    line = flows.read_text().splitlines()[finding.line - 1]
    assert (finding.rule, finding.severity) == ("A13", Severity.WARNING)
    assert line[finding.column - 1 :].startswith("#FFE9A0")
    assert "have #756b4a instead" in finding.message


def test_ten_thousand_hostile_characters_in_every_field_change_no_tag_header_or_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nasty = (
        "<script>x()</script>\"'>\r\nBcc: x@y.example\r\n{{ brand.name }}{% for %}\u202e\u2066🔥"
    )
    words = (nasty * 200)[:10_000]
    tame = fixtures._VOICES[TAME]
    voice = replace(tame, first_name=words, last_name=words, titles=(words, "Tea"), word=words)
    monkeypatch.setitem(fixtures._VOICES, HOSTILE, voice)
    book, templates = files()
    matrix = Matrix(book, templates, "templates")
    for sent in mails(book, ("en", "fa")):
        mail, usual = matrix.mail(sent, HOSTILE), matrix.mail(sent, TAME)
        assert mail is not None
        assert usual is not None
        assert mail.page.skeleton == usual.page.skeleton
        links = [[link.attributes["href"] for link in one.page.links] for one in (mail, usual)]
        assert links[0] == links[1]
        headers = [message_from_bytes(one.wire, policy=default) for one in (mail, usual)]
        assert headers[0].keys() == headers[1].keys()
        assert not headers[0].defects
        assert not {"\u202e", "\u2066"} & {*mail.mail.subject, *mail.mail.html, *mail.mail.text}
        assert len(mail.mail.html.encode()) <= 60_000
        again = matrix.mail(sent, HOSTILE)
        assert again is not None
        assert again.wire == mail.wire
