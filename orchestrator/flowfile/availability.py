"""What flows.yaml may say already but no engine does yet.

Publishing refuses each of these by name. When the engine learns one, its row goes.
"""

from __future__ import annotations

from typing import Final

from orchestrator.flowfile.source import Log

NOT_YET: Final[dict[str, str]] = {
    # flow keys
    "flow.holdout": "holdout",
    "flow.spread": "spread",
    # triggers
    "schedule.schedule": "schedule",
    "date.date": "date",
    "event.each": "each",
    # steps
    "choose.choose": "choose",
    "experiment.experiment": "experiment",
    "set.set": "set",
    "tag.tag": "tag",
    "untag.untag": "untag",
    "webhook.webhook": "webhook",
    "emit.emit": "emit",
    "start.start": "start",
    # companions and values
    "send.to": "to",
    "send.attach": "attach",
    "channel=whatsapp": "whatsapp",
    "brand.whatsapp": "whatsapp",
    "coupon.percent": "percent",
    "coupon.amount": "amount",
    "coupon.pool": "pool",
    "coupon.prefix": "prefix",
    # policies
    "policy.quiet_hours": "quiet_hours",
    "cap=calendar day": "calendar day",
    "if_late=next window": "next window",
}
"""Use of the grammar, as `group.key` or `choice=word`, to the word a marketer wrote."""


def report_unavailable(log: Log) -> None:
    """Log every use of what is not available yet, in the order of the file."""
    for what, span in log.uses:
        word = NOT_YET.get(what)
        if word:
            hint = "remove it for now"
            log.wrong("unavailable", span, f'"{word}" is not available yet', hint)
