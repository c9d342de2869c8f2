"""The Celery application of the baseline: a task per mail, with an ETA."""

from __future__ import annotations

import os

from celery import Celery

from bench.baselines.mail import send_cart

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task  # type: ignore[untyped-decorator]
def send(cart_id: int) -> None:
    send_cart(cart_id)
