"""The HTTP listener: a server with a thread and an event loop of its own."""

import socket
import threading
from collections.abc import Callable
from typing import Final

import uvicorn

from spanmill import _core
from spanmill.api.app import Unready, build_app
from spanmill.api.metrics import ExportFigures, registry
from spanmill.errors import StartError, cannot_listen
from spanmill.model import Address

_START_WITHIN_S: Final = 10.0
_DRAIN_S: Final = 2
_CONNECTIONS: Final = 512


class _Server(uvicorn.Server):
    """Tells when it accepts, instead of being asked again and again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


class ApiServer:
    """Serves the API, health and metrics until stopped."""

    def __init__(
        self,
        engine: _core.Engine,
        address: Address,
        *,
        unready: Unready,
        export: Callable[[], ExportFigures],
    ) -> None:
        self._address = address
        self._server = _Server(
            uvicorn.Config(
                build_app(engine, unready, registry(engine, export)),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> Address:
        """Where it listens; the port is known once started."""
        return self._address

    def start(self) -> None:
        """
        Bind and accept.

        Raises:
            AddressInUse: Another process listens there.
            StartError: The address cannot be bound for another reason.
        """
        # Bound here, so that port 0 is known and a port in use is our error to word.
        listener = _bind(self._address)
        self._address = Address(self._address.host, listener.getsockname()[1])
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="api", daemon=True
        )
        self._thread.start()
        if not self._server.accepting.wait(_START_WITHIN_S):
            raise StartError(f"the API did not start within {_START_WITHIN_S:g} s; see the log")

    def stop(self) -> None:
        """Answer what was asked already, then close."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()


def _bind(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise cannot_listen(address, "listen.api", error) from None
    return listener
