"""`python -m bench.baselines.enqueue celery|apscheduler NUMBER DUE_AT`: work in, one by one.

Celery's tasks go to the broker, and the process ends. APScheduler runs its jobs in this very
process, so it stays until it is told to stop.
"""

from __future__ import annotations

import signal
import sys
from datetime import datetime

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from bench.baselines.mail import engine, send_cart


def celery(number: int, due_at: datetime) -> None:
    from bench.baselines.tasks import send  # noqa: PLC0415 - needs a broker

    for cart_id in range(1, number + 1):
        send.apply_async((cart_id,), eta=due_at)
    print("added", flush=True)


def apscheduler(number: int, due_at: datetime) -> None:
    store = SQLAlchemyJobStore(url=str(engine().url))
    # Its default forgets jobs that are more than a second late.
    scheduler = BackgroundScheduler(
        jobstores={"default": store}, job_defaults={"misfire_grace_time": None}
    )
    scheduler.start()
    for cart_id in range(1, number + 1):
        scheduler.add_job(send_cart, "date", run_date=due_at, args=[cart_id])
    print("added", flush=True)
    signal.sigwait({signal.SIGTERM})
    scheduler.shutdown()


if __name__ == "__main__":
    how = {"celery": celery, "apscheduler": apscheduler}[sys.argv[1]]
    how(int(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
