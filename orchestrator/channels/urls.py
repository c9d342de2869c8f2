"""Addresses of providers: `scheme://user:password@host:port?option=value`, or `outbox:FOLDER`.

Nothing here shows a part of an address that may be a secret, neither in an error nor in `repr`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from orchestrator.domain.errors import ConfigurationError

CONNECTIONS: Final = 16
"""Connections to one provider from one process, unless `?connections=` says otherwise."""
MOST_CONNECTIONS: Final = 1000

_LAST_PORT: Final = 65535
_HOST: Final = re.compile(r"[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True, repr=False)
class ProviderUrl:
    """A provider's address, percent-decoded. `setting` is the variable it stands in.

    `host` keeps its letters as written: for some providers it is a key.
    """

    setting: str
    scheme: str
    user: str = ""
    password: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    options: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"ProviderUrl({self.scheme!r}, setting={self.setting!r})"

    def option(self, name: str, default: str = "") -> str:
        """An option's value; one that is empty counts as not given."""
        return (self.options or {}).get(name) or default

    def connections(self) -> int:
        """How many connections to keep at most. Raises ConfigurationError."""
        text = self.option("connections", str(CONNECTIONS))
        if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_CONNECTIONS:
            return int(text)
        raise self.problem(f"connections is a number from 1 to {MOST_CONNECTIONS}")

    def check_options(self, known: Collection[str]) -> None:
        """Refuse options that nobody reads. Raises ConfigurationError with the nearest name."""
        for name in self.options or {}:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise self.problem(f"{self.scheme} has no option {name[:40]!r}; {hint}")

    def problem(self, message: str) -> ConfigurationError:
        """An error that names the setting this address stands in."""
        return ConfigurationError(f"{self.setting}: {message}")


def read_provider_url(text: str, setting: str) -> ProviderUrl:
    """Take an address apart. Raises ConfigurationError, which shows nothing of the address."""
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9+]*", scheme):
        raise ConfigurationError(f"{setting}: write outbox:FOLDER or smtp://user:password@host:587")
    if not rest.startswith("//"):
        return ProviderUrl(setting, scheme, path=rest)
    try:
        return _read(urlsplit(text), setting)
    except ValueError:
        raise ConfigurationError(f"{setting}: {_remedy(scheme)}") from None


def _read(parts: SplitResult, setting: str) -> ProviderUrl:
    """Raises ValueError where the parts make no address."""
    # A character that ends the host, within a password, leaves an @ behind it.
    if "@" in parts.path or "@" in parts.query or parts.fragment:
        raise ValueError
    account, _, place = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    host, port = _place(place)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    return ProviderUrl(
        setting=setting,
        scheme=parts.scheme,
        user=unquote(user, errors="strict"),
        password=unquote(password, errors="strict"),
        host=host,
        port=port,
        path=unquote(parts.path),
        options=options,
    )


def _place(place: str) -> tuple[str, int | None]:
    """Host and port; the brackets of an IPv6 address are taken off. Raises ValueError."""
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    if not _HOST.fullmatch(host) or (port and not (port.isascii() and port.isdigit())):
        raise ValueError
    if port and not 0 < int(port) <= _LAST_PORT:
        raise ValueError
    return host.removeprefix("[").removesuffix("]"), int(port) if port else None


def _remedy(scheme: str) -> str:
    return (
        f"this is no {scheme} address. It is like {scheme}://user:password@host:587?option=value,"
        " and characters such as @ : / ? # % , in a user name or password are percent-encoded"
    )
