"""Where template sources come from, and which of them a message in some language uses.

A version's sources are one mapping from path to text, as the files lie under `templates/`:
`email/cart/reminder.html`, `sms/cart/reminder.txt`, `locales/fi.po`. The components that come
with the product lie beneath the shop's own files, which win: `email/shell.html`,
`email/components.html`, their `.txt` twins for the plain part, `email/mail.css` and
`email/head.css`. So do the components' words in other languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Channel
from orchestrator.rendering import locales
from orchestrator.rendering.locales import Catalogues, closest

SUFFIXES: Final[Mapping[Channel, str]] = {
    Channel.EMAIL: ".html",
    Channel.SMS: ".txt",
    Channel.WHATSAPP: ".txt",
}
COMPONENTS: Final = (
    *("shell.html", "shell.txt", "components.html", "components.txt"),
    *("mail.css", "head.css"),
)
_READ: Final = frozenset({".html", ".txt", ".css", ".po"})


def built_in() -> dict[str, str]:
    """The components of the product and their words in other languages, by path."""
    folder = files("orchestrator.rendering") / "components"
    own = {f"email/{name}": (folder / name).read_text("utf-8") for name in COMPONENTS}
    return {**own, **locales.built_in()}


def load_folder(root: Path) -> dict[str, str]:
    """Every template under a folder, over the built-in components, by path with `/`.

    Raises:
        ConfigurationError: the folder is missing, or a file is not UTF-8.
    """
    sources, misread = read_folder(root)
    for finding in misread:
        raise ConfigurationError(str(finding))
    return sources


def read_folder(root: Path) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """The same, with a finding for each file that is not UTF-8; its text is what could be read.

    Raises:
        ConfigurationError: the folder is missing.
    """
    if not root.is_dir():
        raise ConfigurationError(f"{root}: there is no such folder of templates")
    sources, misread = built_in(), []
    for path in sorted(root.rglob("*")):
        if path.suffix in _READ and path.is_file():
            content = path.read_bytes()
            text = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
            sources[path.relative_to(root).as_posix()] = text
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                misread.append(_not_utf8(path, content[: error.start].decode("utf-8")))
    return sources, tuple(misread)


def _not_utf8(path: Path, before: str) -> Finding:
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message, hint = "this is not UTF-8 text", "save the file as UTF-8 in your editor"
    return Finding(Severity.ERROR, "file", str(path), line, column, message, hint)


def of_channel(sources: Mapping[str, str], channel: Channel) -> dict[str, str]:
    """The sources of one channel, by path below its folder."""
    prefix = f"{channel.value}/"
    return {
        path.removeprefix(prefix): text for path, text in sources.items() if path.startswith(prefix)
    }


def has_template(sources: Mapping[str, str], channel: Channel, name: str) -> bool:
    """Whether a send of `name` finds its file on a channel."""
    return f"{channel.value}/{name}{SUFFIXES[channel]}" in sources


def own_locales(sources: Mapping[str, str], channel: Channel, name: str) -> list[str]:
    """The languages in which a template has a file of its own."""
    start, end = f"{channel.value}/{name}.", SUFFIXES[channel]
    middles = (path[len(start) : -len(end)] for path in sources if path.startswith(start))
    return [tag for tag in middles if f"{start}{tag}{end}" in sources and "." not in tag]


def template_files(sources: Mapping[str, str]) -> list[tuple[Channel, str, str]]:
    """Channel, `group/name` and path of every template a step can name; variants once each."""
    found: list[tuple[Channel, str, str]] = []
    for channel in Channel:
        for path in of_channel(sources, channel):
            group, _, file = path.rpartition("/")
            if group and path.endswith(SUFFIXES[channel]):
                found.append((channel, f"{group}/{file.partition('.')[0]}", f"{channel}/{path}"))
    return found


def localised(
    sources: Mapping[str, str],
    name: str,
    suffix: str,
    locale: str | None,
    default: str,
    catalogues: Catalogues | None = None,
) -> tuple[str, str]:
    """The file for a template in a locale, and the locale the message is then in.

    `sources` are those of one channel. A file of its own for the locale or for its language
    comes first (`cart/reminder.fi.html`), then a catalogue that translates its subject;
    otherwise the message is wholly in the default locale.
    """
    source = sources.get(f"{name}{suffix}", "")
    for tag in closest(locale or default):
        if f"{name}.{tag}{suffix}" in sources:
            return f"{name}.{tag}{suffix}", tag
        if tag != default and catalogues and catalogues.translates(tag, source):
            return f"{name}{suffix}", tag
    for tag in closest(default):
        if f"{name}.{tag}{suffix}" in sources:
            return f"{name}.{tag}{suffix}", default
    return f"{name}{suffix}", default
