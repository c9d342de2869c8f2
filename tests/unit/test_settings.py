from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import (
    PREFIX,
    Settings,
    load_settings,
    unknown_variables,
    write_env,
)

Load = Callable[..., Settings]

ROOT = Path(__file__).parents[2]
KEY = "k9Qw7f2mZr4Tn8Lx1Vb6"
NEEDED = {"SECRET_KEY": KEY, "SUPPRESSION_KEY": KEY[::-1]}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    def load_from(**values: str) -> Settings:
        for name, value in (NEEDED | values).items():
            monkeypatch.setenv(PREFIX + name, value)
        return load_settings(None)

    return load_from


def test_defaults_need_no_provider_and_no_server(load: Load) -> None:
    settings = load()
    assert settings.bind == "127.0.0.1:8000"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.database_url.get_secret_value() == "sqlite:///var/orchestrator.db"
    assert [url.get_secret_value() for url in settings.email_url] == ["outbox:var/outbox"]
    assert (settings.flows, settings.templates) == (Path("flows.yaml"), Path("templates"))
    assert settings.reload == "auto"


def test_comma_lists_keep_their_order_and_lose_their_spaces(load: Load) -> None:
    settings = load(SECRET_KEY=f"{KEY}new, {KEY}old", EMAIL_URL="smtp://a:b@c:25, outbox:var/x")
    assert [key.get_secret_value() for key in settings.secret_key] == [f"{KEY}new", f"{KEY}old"]
    assert [url.get_secret_value() for url in settings.email_url] == [
        "smtp://a:b@c:25",
        "outbox:var/x",
    ]


@pytest.mark.parametrize(
    "text", ['{"standard": ["a", "b"], "shopify": "c"}', """'{"standard": ["a", "b"]}'"""]
)
def test_webhook_secrets_are_json_of_name_to_one_or_several(load: Load, text: str) -> None:
    secrets = load(WEBHOOK_SECRETS=text).webhook_secrets
    assert [one.get_secret_value() for one in secrets["standard"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("SECRET_KEY", "", "is missing"),
        ("SUPPRESSION_KEY", "", "is missing"),
        ("SECRET_KEY", "changeme-changeme-changeme", "placeholder"),
        ("SECRET_KEY", "<your secret key here>", "placeholder"),
        ("SUPPRESSION_KEY", "replace-me-with-something", "placeholder"),
        ("ADMIN_TOKEN", "admin", "placeholder"),
        ("ADMIN_TOKEN", "s3cr3t", "too short"),
        ("SECRET_KEY", "q8Zr", "too short"),
        ("BIND", "8000", "such as 127.0.0.1:8000"),
        ("BIND", "127.0.0.1:99999", "65535"),
        ("PUBLIC_URL", "messages.example", "whole address"),
        ("PUBLIC_URL", "https://x.example/?a=1", "neither a query"),
        ("DATABASE_URL", "mysql://x", "sqlite:/// or postgresql://"),
        ("RELOAD", "sometimes", "'auto' or 'manual'"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy", "'proxy'"),
        ("EMAIL_URL", "mail.example", "smtp://"),
        ("WEBHOOK_SECRETS", "{", "must be JSON"),
        ("WEBHOOK_SECRETS", '["whsec_x"]', "JSON object"),
        ("WEBHOOK_SECRETS", '{"standard": 7}', "a text or a list"),
        ("WEBHOOK_SECRETS", '{"standrd": "whsec_c2VjcmV0"}', "did you mean standard"),
        ("WEBHOOK_SECRETS", '{"magento": "secret"}', "known are bigcommerce brevo"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(load: Load, name: str, value: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{PREFIX}{name} .*{re.escape(wanted)}"):
        load(**{name: value})


def test_all_problems_are_told_at_once(load: Load) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(SECRET_KEY="", BIND="x", RELOAD="y")
    assert len(str(caught.value).splitlines()) == 3


def test_a_refusal_never_shows_the_value(load: Load) -> None:
    values = {
        "SECRET_KEY": "hunter2",
        "EMAIL_URL": "hunter2",
        "WEBHOOK_SECRETS": "{hunter2",
        "DATABASE_URL": "hunter2",
    }
    with pytest.raises(ConfigurationError) as caught:
        load(**values)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "192.0.2.7:80", "shop.example:80"])
def test_a_bind_that_others_can_reach_needs_an_admin_token(load: Load, bind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{PREFIX}ADMIN_TOKEN is missing"):
        load(BIND=bind)
    assert load(BIND=bind, ADMIN_TOKEN="t9-Xw4-Kq7").bind == bind


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"])
def test_a_loopback_bind_needs_none(load: Load, bind: str) -> None:
    assert load(BIND=bind).loopback


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"BIND": "[::1]:80"}, "http://[::1]:80"),
        ({"BIND": "0.0.0.0:9", "ADMIN_TOKEN": "t9-Xw4-Kq7"}, "http://127.0.0.1:9"),
        ({"PUBLIC_URL": "https://m.example/shop/"}, "https://m.example/shop"),
    ],
)
def test_base_url_has_no_slash_at_its_end(load: Load, values: dict[str, str], url: str) -> None:
    assert load(**values).base_url == url


def test_no_secret_is_in_the_repr(load: Load) -> None:
    settings = load(
        ADMIN_TOKEN="Tok-en-4711",
        DATABASE_URL="postgresql://u:pa55word@db/x",
        EMAIL_URL="smtp://u:pa55word@host:25",
        WEBHOOK_SECRETS='{"postmark": ["u:pa55word"]}',
        COUPON_URL="https://pa55word@shop.example",
    )
    shown = f"{settings!r} {settings}"
    assert "pa55word" not in shown
    assert "4711" not in shown
    assert KEY not in shown


def test_secret_texts_are_the_secret_parts_alone(load: Load) -> None:
    texts = load(
        DATABASE_URL="postgresql://u:db-pass@db/x",
        EMAIL_URL="smtp://u:p%40ss-word@host:25,sendgrid://SG.key,brevo://brevokey",
        SMS_URL="twilio://AC1:auth-token@default?from=+15005550006",
        WEBHOOK_SECRETS='{"standard": ["whsec_c2VjcmV0"], "postmark": ["hook:hook-pass"]}',
    ).secret_texts()
    assert {"db-pass", "p@ss-word", "brevokey", "auth-token"} <= texts
    assert {"c2VjcmV0", "hook-pass", KEY} <= texts
    assert texts.isdisjoint({"", "host", "db", "default", "var", "outbox:var/outbox", "smtp"})


def test_unknown_variables_are_named_with_the_nearest_one(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("ORCHESTRATOR_SECRT_KEY=x\nPATH=/bin\n")
    environ = {"ORCHESTRATOR_QQQ": "1", "ORCHESTRATOR_BIND": "x", "OTHER": "y"}
    warnings = unknown_variables(env_file, environ)
    assert warnings == [
        "ORCHESTRATOR_QQQ is not a setting; docs/settings.md lists those there are",
        "ORCHESTRATOR_SECRT_KEY is not a setting; did you mean ORCHESTRATOR_SECRET_KEY?",
    ]


def test_write_env_makes_a_private_file_that_loads(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    written = write_env(path, {})
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(written) == 4
    settings = load_settings(path)
    assert settings.admin_token is not None
    assert settings.webhook_secrets["standard"][0].get_secret_value().startswith("whsec_")


def test_write_env_changes_nothing_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"# mine\nORCHESTRATOR_SECRET_KEY={KEY}\nORCHESTRATOR_ADMIN_TOKEN=")
    written = write_env(path, {"ORCHESTRATOR_SUPPRESSION_KEY": KEY})
    assert written == ["ORCHESTRATOR_ADMIN_TOKEN", "ORCHESTRATOR_WEBHOOK_SECRETS"]
    text = path.read_text()
    assert text.startswith(f"# mine\nORCHESTRATOR_SECRET_KEY={KEY}\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_env(path, {"ORCHESTRATOR_SUPPRESSION_KEY": KEY}) == []
    assert path.read_text() == text


def test_every_random_secret_is_another(tmp_path: Path) -> None:
    texts = set()
    for number in range(20):
        write_env(tmp_path / str(number), {})
        texts.add((tmp_path / str(number)).read_text())
        load_settings(tmp_path / str(number))
    assert len(texts) == 20


def test_the_environment_wins_over_the_file(load: Load, tmp_path: Path) -> None:
    write_env(tmp_path / ".env", {})
    load(BIND="127.0.0.1:81")
    assert load_settings(tmp_path / ".env").port == 81


def test_the_written_secrets_are_json_for_a_shell_too(tmp_path: Path) -> None:
    write_env(tmp_path / ".env", {})
    (line,) = re.findall(r"WEBHOOK_SECRETS='(.*)'", (tmp_path / ".env").read_text())
    assert list(json.loads(line)) == ["standard"]


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    missing = [name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in text]
    assert missing == []
