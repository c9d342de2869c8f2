"""`preview`: a template as somebody would get it."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.domain.flows import Channel
from orchestrator.domain.segments import size_of
from orchestrator.settings import load_paths

if TYPE_CHECKING:
    from orchestrator.cli.browser import Pane
    from orchestrator.services.samples import Sample

FAILED: Final = 1
PHONE: Final = 390
DESKTOP: Final = 700
"""Widths in CSS pixels."""


class Form(StrEnum):
    """What is printed."""

    HTML = "html"
    TEXT = "text"
    SMS = "sms"


def preview(
    template: Annotated[str, typer.Argument(metavar="GROUP/NAME")],
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", help="html or text of the mail, or the SMS; by default a summary of all."
        ),
    ] = None,
    locale: Annotated[str | None, typer.Option(help="A language, such as fi or pt-BR.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="A real person: email, phone or id; else a made-up one.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Write a picture, light and dark, on phone and desktop.")
    ] = None,
    flows: Annotated[Path | None, typer.Option(help="By default ORCHESTRATOR_FLOWS.")] = None,
    templates: Annotated[Path | None, typer.Option(help="The folder of templates.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show a template as a made-up or a real person would get it; sends nothing."""
    from orchestrator.bootstrap.previews import Previews

    paths = load_paths()
    previews = Previews(flows or paths.flows, templates or paths.templates)
    channels = _wanted(previews.channels(template), form, template)
    samples = [
        previews.sample(template, channel, locale=locale, contact=contact) for channel in channels
    ]
    samples = _shown(samples, locale)
    if png is not None:
        _photograph(samples, png)
        typer.echo(f"wrote {png}", err=True)
    if as_json:
        typer.echo(json.dumps([asdict(sample) for sample in samples], ensure_ascii=False))
    elif form is not None:
        typer.echo(samples[0].html if form is Form.HTML else samples[0].text)
    elif png is None:
        typer.echo("\n\n".join(map(_summary, samples)))


def _shown(samples: list[Sample], locale: str | None) -> list[Sample]:
    """What there is to see. Somebody without a telephone still gets the mail; a mistake ends it."""
    for sample in samples:
        said = sample.problem
        if not said and locale and _language(sample.locale) != _language(locale):
            said = f"not written in {locale}, so people get it in {sample.locale}"
        if said:
            typer.echo(f"{sample.channel.value}: {said}", err=True)
    shown = [sample for sample in samples if not sample.problem]
    if not shown or any(sample.problem and not sample.unreachable for sample in samples):
        raise typer.Exit(FAILED)
    return shown


def _language(tag: str) -> str:
    return tag.lower().replace("_", "-").partition("-")[0]


def _wanted(there: list[Channel], form: Form | None, template: str) -> list[Channel]:
    """The channels asked for; a form that the template is not written in is a usage error."""
    if form is None:
        return there
    channel = Channel.SMS if form is Form.SMS else Channel.EMAIL
    if channel not in there:
        known = " and ".join(one.value for one in there)
        raise typer.BadParameter(f"{template} is written for {known} alone", param_hint="--format")
    return [channel]


def _summary(sample: Sample) -> str:
    if sample.channel is Channel.SMS:
        size = size_of(sample.text)
        parts = "1 part" if size.segments == 1 else f"{size.segments} parts"
        return f"SMS, {parts} in {size.encoding.value}\n\n{sample.text}"
    if sample.channel is not Channel.EMAIL:
        return f"{sample.channel.value.upper()}\n\n{sample.text}"
    return f"EMAIL\nSubject: {sample.subject}\n\n{sample.text.rstrip()}"


def _photograph(samples: list[Sample], picture: Path) -> None:
    from orchestrator.cli.browser import photograph

    photograph([pane for sample in samples for pane in panes(sample)], picture)


def panes(sample: Sample) -> list[Pane]:
    """A mail on a phone and on a desktop, a text on a phone; each in light and in dark."""
    from orchestrator.cli.browser import Pane

    mail = sample.channel is Channel.EMAIL
    html = sample.html if mail else _bubble(sample.text)
    widths = {"Phone": PHONE, "Desktop": DESKTOP} if mail else {"SMS": PHONE}
    return [
        Pane(html, width, dark, f"{name}, {'dark' if dark else 'light'}")
        for name, width in widths.items()
        for dark in (False, True)
    ]


def _bubble(text: str) -> str:
    """A text as a telephone shows it."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><title>SMS</title><style>'
        "body{margin:0;padding:24px;background:#fffdfa;font:16px/1.5 system-ui,sans-serif}"
        "p{margin:0;padding:12px 16px;border-radius:18px 18px 18px 4px;background:#e9e6df;"
        "color:#22262b;max-width:290px;white-space:pre-wrap;overflow-wrap:anywhere;"
        "unicode-bidi:plaintext}"
        "@media(prefers-color-scheme:dark){body{background:#121518}"
        "p{background:#2b3036;color:#e9e7e2}}</style></head>"
        f"<body><p>{escape(text)}</p></body></html>"
    )
