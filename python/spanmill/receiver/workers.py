"""Threads of their own for one kind of call, and calls whose request never arrived."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

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


def on_pool(
    pool: ThreadPoolExecutor, behavior: Callable[..., R], *, non_blocking: bool = False
) -> Callable[..., R]:
    """
    Give a method threads of its own, through the attributes that gRPC looks for.

    A `non_blocking` stream gets a function to send with as its third argument, and its
    thread is free again once it returns.
    """

    def call(*arguments: Any) -> R:  # noqa: ANN401  as gRPC calls it
        return behavior(*arguments)

    call.experimental_thread_pool = pool  # type: ignore[attr-defined]
    call.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return call
