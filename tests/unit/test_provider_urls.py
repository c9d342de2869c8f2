"""Addresses of providers are taken apart exactly, and nothing secret leaves them."""

from __future__ import annotations

import string
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from orchestrator.bootstrap.application import providers_of
from orchestrator.channels.email.smtp import _OPTIONS, SmtpProvider, smtp_provider
from orchestrator.channels.email.smtp_connection import MailServer, Tls
from orchestrator.channels.failover import FailoverProvider
from orchestrator.channels.outbox import OutboxProvider
from orchestrator.channels.urls import read_provider_url
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import Channel
from orchestrator.ports import Provider
from orchestrator.settings import Settings

SETTING = "ORCHESTRATOR_EMAIL_URL"
SECRET = "s3cret-word"


def server(text: str) -> MailServer:
    return provider(text)._server


def provider(text: str) -> SmtpProvider:
    return smtp_provider(read_provider_url(text, SETTING))


def test_every_part_is_read() -> None:
    url = read_provider_url("smtp://ada:pw@mail.example:2525/?tls=require&connections=3", SETTING)
    assert (url.scheme, url.user, url.password) == ("smtp", "ada", "pw")
    assert (url.host, url.port, url.path) == ("mail.example", 2525, "/")
    assert url.options == {"tls": "require", "connections": "3"}


def test_an_outbox_has_a_folder() -> None:
    assert read_provider_url("outbox:var/outbox", SETTING).path == "var/outbox"


def test_an_ipv6_address_stands_in_brackets() -> None:
    url = read_provider_url("smtp://[2001:db8::1]:25", SETTING)
    assert (url.host, url.port) == ("2001:db8::1", 25)
    assert read_provider_url("smtp://[::1]", SETTING).port is None


def test_letters_of_a_host_are_kept_because_it_may_be_a_key() -> None:
    assert read_provider_url("sendgrid://SG.AbC_d-E", SETTING).host == "SG.AbC_d-E"


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_account_survives_percent_encoding(user: str, password: str) -> None:
    try:
        text = f"smtp://{quote(user, safe='')}:{quote(password, safe='')}@host:25"
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    url = read_provider_url(text, SETTING)
    assert (url.user, url.password, url.host) == (user, password, "host")


@given(st.text(string.printable, max_size=30))
def test_any_text_is_an_address_or_a_problem_that_names_the_setting(text: str) -> None:
    problem = ""
    try:
        read_provider_url(f"smtp://u:{SECRET}{text}", SETTING)
    except ConfigurationError as error:
        problem = "".join(traceback.format_exception(error))
    assert SECRET not in problem
    assert not problem or SETTING in problem


@pytest.mark.parametrize(
    "text",
    [
        f"smtp://u:{SECRET}/x@host:25",
        f"smtp://u:{SECRET}?x@host:25",
        f"smtp://u:{SECRET}#x@host:25",
        f"smtp://u:{SECRET}@host:smtp",
        f"smtp://u:{SECRET}@host:70000",
        f"smtp://u:{SECRET}@host:0",
        f"smtp://u:{SECRET}@[::1",
        f"smtp://u:{SECRET}@ho st",
        f"smtp://u:{SECRET}%ff@host",
        f"smtp://u:{SECRET}@host?tls",
        f"smtp://u:{SECRET}@host?tls=maybe",
        f"smtp://u:{SECRET}@host?tsl=require",
        f"smtp://u:{SECRET}@host?connections=0",
        f"smtp://u:{SECRET}@host?connections=many",
        f"smtp://u:{SECRET}@host?ca=nowhere.pem",
        f"smtp://u:{SECRET}@host?helo=two%20words",
        f"smtp://u:{SECRET}@host?base_url=http://x",
        f"smtp://u:{SECRET}@host/path",
        f"smtp://u:{SECRET}@",
        f"smtp://{SECRET}@host",
        f"smtp:{SECRET}",
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(text)
    assert str(caught.value).startswith(f"{SETTING}: ")
    assert SECRET not in str(caught.value)


def test_a_slip_in_an_options_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean tls"):
        provider("smtp://host?tsl=require")


def test_nothing_that_holds_an_account_shows_it() -> None:
    url = read_provider_url(f"smtp://ada:{SECRET}@host", SETTING)
    mail_server = server(f"smtp://ada:{SECRET}@host")
    assert SECRET not in f"{url!r} {url} {mail_server!r} {smtp_provider(url)!r}"
    assert "ada" not in f"{url!r} {mail_server!r}"


@pytest.mark.parametrize(
    ("text", "port", "tls"),
    [
        ("smtp://host", 587, Tls.OFFERED),
        ("smtp://host:25", 25, Tls.OFFERED),
        ("smtp://host:465", 465, Tls.IMPLICIT),
        ("smtp://host:465?tls=require", 465, Tls.REQUIRE),
        ("smtp://host?tls=require", 587, Tls.REQUIRE),
        ("smtp://host?tls=implicit", 465, Tls.IMPLICIT),
        ("smtp://host:2525?tls=none", 2525, Tls.NONE),
    ],
)
def test_ports_and_encryption_go_together(text: str, port: int, tls: Tls) -> None:
    found = server(text)
    assert (found.port, found.tls) == (port, tls)
    assert (found.context is None) == (tls is Tls.NONE)


def test_certificates_are_verified() -> None:
    context = server("smtp://host").context
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_another_place_to_connect_to_can_be_given() -> None:
    found = server("smtp://u:p@mail.example:587?tls=none&base_url=smtp://127.0.0.1:2525")
    assert (found.host, found.port, found.user) == ("127.0.0.1", 2525, "u")


def test_sixteen_connections_unless_told_otherwise() -> None:
    assert provider("smtp://host?tls=none").connections == 16
    assert provider("smtp://host?tls=none&connections=40").connections == 40


def test_this_host_calls_itself_as_it_is_told() -> None:
    assert server("smtp://host?tls=none&helo=mail.example.com").hello == "mail.example.com"


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    for option in _OPTIONS:
        assert f"| `{option}` |" in page


class _Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)


def providers(**urls: str) -> dict[Channel, Provider]:
    key = SecretStr("a key that is long enough")
    lists: dict[str, Any] = {
        name: tuple(map(SecretStr, url.split(","))) for name, url in urls.items()
    }
    made = Settings(secret_key=(key,), suppression_key=key, _env_file=None, **lists)
    return providers_of(made, _Clock())


def test_a_comma_list_is_the_order_of_failover() -> None:
    chain = providers(email_url="smtp://a?tls=none,smtp://b?tls=none,outbox:var/x")[Channel.EMAIL]
    assert isinstance(chain, FailoverProvider)
    assert [one.name for one in chain.providers] == ["smtp", "smtp", "outbox"]


def test_one_server_alone_is_given_rest_too() -> None:
    assert isinstance(providers(email_url="smtp://a?tls=none")[Channel.EMAIL], FailoverProvider)


def test_a_single_outbox_stands_alone() -> None:
    assert isinstance(providers()[Channel.SMS], OutboxProvider)


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("email_url", "pigeon://coop"),
        ("sms_url", "smtp://host"),
        ("email_url", f"smtp://{SECRET}@h"),
    ],
)
def test_what_a_channel_cannot_use_names_its_setting(setting: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"ORCHESTRATOR_{setting.upper()}") as caught:
        providers(**{setting: url})
    assert SECRET not in str(caught.value)
