"""Settings: read from the environment and `.env`, refused with a remedy, never shown.

Every variable begins with `ORCHESTRATOR_`; `docs/settings.md` lists them.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from orchestrator.domain.errors import ConfigurationError

PREFIX: Final = "ORCHESTRATOR_"
_SHORTEST_KEY: Final = 16
_SHORTEST_TOKEN: Final = 8
_SHORTEST_HIDDEN: Final = 4  # hiding shorter values would shred the log and hide nothing
_LAST_PORT: Final = 65535
_PLACEHOLDER: Final = re.compile(
    r"change.?me|replace.?me|placeholder|your.?(secret|key|token)|^x+$|^<.*>$"
    r"|^(secret|password|token|key|admin|test)s?$",
    re.IGNORECASE,
)
_REMEDY: Final = "`make run` or `orchestrator run --write-secrets` writes one into .env"
_SENDERS: Final = frozenset(
    "standard shopify woocommerce stripe bigcommerce saleor cloudevents segment mailgun sendgrid"
    " telnyx postmark brevo ses resend twilio".split()
)
"""Who may send events, receipts or replies, and so have secrets."""
_LOCAL_NAMES: Final = frozenset({"localhost"})

CommaList = Annotated[tuple[str, ...], NoDecode]
SecretList = Annotated[tuple[SecretStr, ...], NoDecode]
SecretTable = Annotated[dict[str, tuple[SecretStr, ...]], NoDecode]


class Paths(BaseSettings):
    """Where the marketers' files are: all that checking them needs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    flows: Path = Path("flows.yaml")
    templates: Path = Path("templates")


class Settings(Paths):
    """What the process was told. Build it with `load_settings`."""

    bind: str = "127.0.0.1:8000"
    database_url: SecretStr = SecretStr("sqlite:///var/orchestrator.db")
    public_url: str = ""
    secret_key: SecretList = ()
    suppression_key: SecretStr = SecretStr("")
    admin_token: SecretStr | None = None
    reload: Literal["auto", "manual"] = "auto"
    trusted_proxies: CommaList = ()
    email_url: SecretList = (SecretStr("outbox:var/outbox"),)
    sms_url: SecretList = (SecretStr("outbox:var/outbox"),)
    whatsapp_url: SecretList = (SecretStr("outbox:var/outbox"),)
    webhook_secrets: SecretTable = Field(default_factory=dict)
    outbound_secrets: SecretTable = Field(default_factory=dict)
    coupon_url: SecretStr | None = None
    shop_urls: SecretTable = Field(default_factory=dict)
    webhook_allow: CommaList = ()

    @field_validator("trusted_proxies", "webhook_allow", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return _split(value) if isinstance(value, str) else value

    @field_validator("secret_key", "email_url", "sms_url", "whatsapp_url", mode="before")
    @classmethod
    def _secret_list(cls, value: Any) -> Any:
        return tuple(map(SecretStr, _split(value))) if isinstance(value, str) else value

    @field_validator("webhook_secrets", "outbound_secrets", "shop_urls", mode="before")
    @classmethod
    def _secret_table(cls, value: Any) -> Any:
        return _secret_table(value) if isinstance(value, str) else value

    @field_validator("webhook_secrets")
    @classmethod
    def _checked_sources(
        cls, value: dict[str, tuple[SecretStr, ...]]
    ) -> dict[str, tuple[SecretStr, ...]]:
        for name in value.keys() - _SENDERS:
            near = difflib.get_close_matches(name, sorted(_SENDERS), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {' '.join(sorted(_SENDERS))}"
            raise ValueError(f"names {name!r}, which sends nothing here; {hint}")
        return value

    @field_validator("bind")
    @classmethod
    def _checked_bind(cls, value: str) -> str:
        _, port = _host_and_port(value)
        if not 0 <= port <= _LAST_PORT:
            raise ValueError(f"has a port outside 0 to {_LAST_PORT}")
        return value

    @field_validator("database_url")
    @classmethod
    def _checked_database(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("public_url")
    @classmethod
    def _checked_public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("must be a whole address such as https://messages.example.com")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("must have neither a query, nor a fragment, nor a user name")
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _checked_secret_key(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            raise ValueError(f"is missing: {_REMEDY}, or give 32 random bytes as text")
        for key in value:
            _refuse_weak(key, _SHORTEST_KEY)
        return value

    @field_validator("suppression_key")
    @classmethod
    def _checked_suppression_key(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError(f"is missing: {_REMEDY}; keep it for ever, or suppressions are lost")
        _refuse_weak(value, _SHORTEST_KEY)
        return value

    @field_validator("admin_token")
    @classmethod
    def _checked_admin_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _refuse_weak(value, _SHORTEST_TOKEN)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _checked_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ValueError(
                    f"holds {network!r}: write addresses or networks such as 10.0.0.0/8"
                ) from None
        return value

    @field_validator("email_url", "sms_url", "whatsapp_url")
    @classmethod
    def _checked_providers(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in value:
            if not re.match(r"[a-z][a-z0-9+]*:", url.get_secret_value()):
                raise ValueError("must be like outbox:var/outbox or smtp://user:password@host:587")
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.admin_token is None and not self.loopback:
            raise ValueError(
                f"{PREFIX}ADMIN_TOKEN is missing, and {PREFIX}BIND {self.bind} is reachable from"
                f" other machines: {_REMEDY}, or bind to 127.0.0.1"
            )
        return self

    @property
    def host(self) -> str:
        """The address to listen on."""
        return _host_and_port(self.bind)[0]

    @property
    def port(self) -> int:
        """The port to listen on; 0 lets the system choose."""
        return _host_and_port(self.bind)[1]

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the daemon."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host in _LOCAL_NAMES

    @property
    def base_url(self) -> str:
        """`PUBLIC_URL`, or where the daemon listens; without a slash at the end."""
        if self.public_url:
            return self.public_url
        wildcard = self.host in {"0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
        host = "127.0.0.1" if wildcard else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def secret_texts(self) -> frozenset[str]:
        """Every text that must never be shown, for the log's redaction."""
        found = set(_key_texts(self)) | set(_url_texts(self))
        return frozenset(text for text in found if len(text) >= _SHORTEST_HIDDEN)


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Read the settings; the environment wins over the file.

    Raises ConfigurationError naming every variable that is wrong and its remedy; the values
    themselves are never part of it.
    """
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_input=False)]
    except UnicodeDecodeError:
        problems = [f"{env_file} is not UTF-8 text"]
    raise ConfigurationError("\n".join(problems))


def load_paths(env_file: Path | None = Path(".env")) -> Paths:
    """Read the paths alone; no secret is needed to look at a file."""
    return Paths(_env_file=env_file)


def unknown_variables(
    env_file: Path | None = Path(".env"), environ: Mapping[str, str] | None = None
) -> list[str]:
    """One warning per `ORCHESTRATOR_` variable that nobody reads, with the nearest name."""
    names = set(os.environ if environ is None else environ) | set(_file_values(env_file))
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    return [
        _unknown(name, known)
        for name in sorted(names)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]


def write_env(path: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """Give `path` random secrets for those that neither it nor the environment has.

    Nothing that stands in the file is changed; the file is for its owner alone (0600).
    Returns the names of the variables written. Raises OSError.
    """
    present = {name for name, value in _file_values(path).items() if value}
    present |= {
        name for name, value in (os.environ if environ is None else environ).items() if value
    }
    signing = base64.b64encode(secrets.token_bytes(32)).decode()
    fresh = {
        f"{PREFIX}SECRET_KEY": secrets.token_urlsafe(32),
        f"{PREFIX}SUPPRESSION_KEY": secrets.token_urlsafe(32),
        f"{PREFIX}ADMIN_TOKEN": secrets.token_urlsafe(24),
        f"{PREFIX}WEBHOOK_SECRETS": f"""'{json.dumps({"standard": [f"whsec_{signing}"]})}'""",
    }
    missing = {name: value for name, value in fresh.items() if name not in present}
    if missing:
        _append(path, missing)
    return list(missing)


def _append(path: Path, values: Mapping[str, str]) -> None:
    before = path.read_text("utf-8") if path.exists() else ""
    opening = "" if before.endswith("\n") or not before else "\n"
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{opening}# Random secrets of this installation. Keep them, and to yourself.\n")
        file.write(lines)


def _file_values(env_file: Path | None) -> Mapping[str, str | None]:
    if env_file is None or not env_file.is_file():
        return {}
    return dotenv_values(env_file, interpolate=False)


def _unknown(name: str, known: set[str]) -> str:
    # Without the prefix, which would make any two names look alike.
    names = [one.removeprefix(PREFIX) for one in sorted(known)]
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), names, n=1)
    hint = (
        f"; did you mean {PREFIX}{near[0]}?" if near else "; docs/settings.md lists those there are"
    )
    return f"{name} is not a setting{hint}"


def _problem(detail: Any) -> str:
    """A line per problem; pydantic's own wording is kept, its input is not."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    return f"{PREFIX}{str(detail['loc'][0]).upper()} {message}"


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _host_and_port(bind: str) -> tuple[str, int]:
    host, separator, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (separator and host and port.isascii() and port.isdigit()):
        raise ValueError("must be an address and a port, such as 127.0.0.1:8000")
    return host, int(port)


def _refuse_weak(value: SecretStr, shortest: int) -> None:
    text = value.get_secret_value()
    if _PLACEHOLDER.search(text):
        raise ValueError(f"is a placeholder: {_REMEDY} where it is missing")
    if len(text) < shortest:
        raise ValueError(f"is too short to be a secret ({shortest} characters at least): {_REMEDY}")


def _secret_table(text: str) -> dict[str, tuple[SecretStr, ...]]:
    """A JSON object of name to one text or a list of texts.

    Quotes around the whole are dropped: Docker's --env-file hands them on, a shell does not.
    """
    try:
        table = json.loads(text.strip().removeprefix("'").removesuffix("'"))
    except (ValueError, RecursionError):
        raise ValueError('must be JSON, such as {"standard": ["whsec_..."]}') from None
    if not isinstance(table, dict):
        raise ValueError('must be a JSON object, such as {"standard": ["whsec_..."]}')  # noqa: TRY004  # pydantic collects ValueErrors
    found: dict[str, tuple[SecretStr, ...]] = {}
    for name, given in table.items():
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            raise ValueError(f"must give {name!r} a text or a list of texts")
        found[name] = tuple(map(SecretStr, texts))
    return found


def _key_texts(settings: Settings) -> Iterator[str]:
    singles = [*settings.secret_key, settings.suppression_key]
    if settings.admin_token is not None:
        singles.append(settings.admin_token)
    for table in (settings.webhook_secrets, settings.outbound_secrets):
        singles.extend(secret for values in table.values() for secret in values)
    for secret in singles:
        text = secret.get_secret_value()
        yield text
        yield text.removeprefix("whsec_")
        yield text.partition(":")[2]  # the password of user:password


def _url_texts(settings: Settings) -> Iterator[str]:
    """The parts of addresses that are secrets: never a scheme, a host or a folder."""
    urls = [settings.database_url, *settings.email_url, *settings.sms_url, *settings.whatsapp_url]
    urls.extend(url for values in settings.shop_urls.values() for url in values)
    if settings.coupon_url is not None:
        urls.append(settings.coupon_url)
    for secret in urls:
        parts = urlsplit(secret.get_secret_value())
        account, at, host = parts.netloc.rpartition("@")
        user, _, password = account.partition(":")
        hidden = [password] if password else [user]
        if not at and "." not in host and ":" not in host:  # sendgrid://KEY
            hidden.append(host)
        hidden.extend(
            value
            for name, value in parse_qsl(parts.query)
            if re.search(r"password|key|token|secret", name, re.IGNORECASE)
        )
        for text in hidden:
            yield text
            yield unquote(text)
