"""Threads for one kind of call, which notice calls whose request never arrived."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Workers(ThreadPoolExecutor):
    """
    Runs calls of one method and reports how each ended.

    gRPC answers an oversize message itself, and a sender may give up half way: the
    method is then never called, but its worker is. A call that ends without
    `arrived` was undelivered.
    """

    def __init__(
        self,
        count: int,
        name: str,
        *,
        on_end: Callable[[], None],
        on_undelivered: Callable[[], None],
    ) -> None:
        super().__init__(max_workers=count, thread_name_prefix=name)
        self._on_end = on_end
        self._on_undelivered = on_undelivered
        self._here = threading.local()

    def arrived(self) -> None:
        """Note that this thread's call has its request."""
        self._here.arrived = True

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue one call."""
        return super().submit(self._run, partial(fn, *args, **kwargs))

    def _run(self, call: Callable[[], R]) -> R:
        self._here.arrived = False
        try:
            return call()
        finally:
            self._on_end()
            if not self._here.arrived:
                self._on_undelivered()
