"""Threads that do database work in the order of its urgency."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from orchestrator.domain.errors import TransientError
from orchestrator.ports.database import Lane

T = TypeVar("T")

_STOP = len(Lane)
"""Behind every lane: what was accepted before is done first."""

_Job = tuple[int, int, Callable[[], None]]


class Lanes:
    """A queue by lane, first come first served within a lane, and threads that empty it."""

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._closing = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, lane: Lane, work: Callable[[], T]) -> Future[T]:
        """Put work in a lane; its future may be cancelled until the work begins.

        Raises TransientError once the lanes are closed.
        """
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                _settle(future, work)

        with self._closing:
            if self._closed:
                raise TransientError("the database is being closed")
            self._jobs.put((lane, next(self._numbers), job))
        return future

    def waiting(self) -> int:
        """How much work has not begun."""
        return self._jobs.qsize()

    def close(self, timeout: float | None = None) -> bool:
        """Accept no more and finish what was accepted; False if `timeout` seconds were too few."""
        with self._closing:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._jobs.put((_STOP, next(self._numbers), _nothing))
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while True:
            lane, _, job = self._jobs.get()
            if lane == _STOP:
                return
            job()


def _nothing() -> None:
    """What comes after everything else."""


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - whoever waits for it shall see it
        future.set_exception(error)
