"""`send-event`: sign an event and post it to the daemon, as a shop would."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from orchestrator.domain.errors import ConfigurationError, MalformedPayload, TransientError
from orchestrator.settings import Settings, load_settings

if TYPE_CHECKING:
    import httpx
    from standardwebhooks import Webhook

PATIENCE: Final = 15.0
"""Seconds to wait for the daemon's answer."""
_ENVELOPE: Final = ("id", "type", "occurred_at")


def send_event(
    file: Annotated[
        Path,
        typer.Argument(
            help="A JSON file with one event or a list; - reads it from standard input."
        ),
    ],
    url: Annotated[
        str | None, typer.Option(help="Where to post; by default this daemon's /webhooks/standard.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field: checkout_id=c-2, contact.email=b@shop.example"),
    ] = None,
) -> None:
    """Sign the events of FILE and post them to the daemon.

    An event without an id gets a random one, one without occurred_at happens now.
    """
    import httpx
    from standardwebhooks import Webhook

    settings = load_settings()
    target = url or f"{settings.base_url}/webhooks/standard"
    webhook = Webhook(_secret(settings))
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        for event in _events(file):
            for assignment in change or ():
                _set(event, assignment)
            _post(client, webhook, target, event)


def _secret(settings: Settings) -> str:
    secrets = settings.webhook_secrets.get("standard")
    if not secrets:
        raise ConfigurationError(
            'ORCHESTRATOR_WEBHOOK_SECRETS has no "standard" secret to sign with; '
            "`make run` writes one into .env"
        )
    return secrets[0].get_secret_value()


def _events(file: Path) -> list[dict[str, Any]]:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        found = json.loads(text)
    except OSError as error:
        raise MalformedPayload(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MalformedPayload(f"{name}: is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise MalformedPayload(f"{name}:{error.lineno}:{error.colno}: {error.msg}") from None
    events = found if isinstance(found, list) else [found]
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise MalformedPayload(f'{name}: an event is an object with a "type"')
    return events


def _set(event: dict[str, Any], assignment: str) -> None:
    """Set `a.b=text` in an event; groups on the way are made."""
    path, equals, text = assignment.partition("=")
    *groups, name = path.split(".")
    if not equals or not all((*groups, name)):
        raise typer.BadParameter(f"{assignment!r} is not like name=value", param_hint="--set")
    place = event
    for group in groups:
        inner = place.setdefault(group, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(f"{group} is no group of fields", param_hint="--set")
        place = inner
    place[name] = text


def _post(client: httpx.Client, webhook: Webhook, target: str, event: dict[str, Any]) -> None:
    import httpx

    now = datetime.now(UTC)
    event_id = str(event.get("id") or uuid4())
    fields = {name: value for name, value in event.items() if name not in _ENVELOPE}
    timestamp = event.get("occurred_at") or now.isoformat()
    body = json.dumps({"type": event["type"], "timestamp": timestamp, "data": fields})
    headers = {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": webhook.sign(event_id, now, body),
    }
    try:
        answer = client.post(target, content=body.encode(), headers=headers)
    except httpx.HTTPError as error:
        raise TransientError(
            f"{target} cannot be reached ({type(error).__name__}); is the daemon running?"
        ) from None
    if answer.status_code != httpx.codes.OK:
        raise MalformedPayload(f"{target} answered {answer.status_code}: {answer.text[:500]}")
    typer.echo(f"{event['type']} {event_id}: {answer.text.strip()}")
