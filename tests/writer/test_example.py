"""The sample gateway reports every request, in what its customers felt."""

import importlib.util
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from spanmill import SpanBatchWriter
from tests import cores
from tests.writer.batches import Daemon

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "gateway" / "gateway.py"


@pytest.fixture
def gateway() -> ModuleType:
    """Load the example as its users run it."""
    spec = importlib.util.spec_from_file_location("gateway_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon with an objective on errors."""
    core = cores.open_core(tmp_path, objectives=[cores.ERRORS])
    daemon = Daemon(core)
    yield daemon
    daemon.stop()
    core.close()


def ask(port: int, model: str, tenant: str) -> int:
    """Ask for a completion, and count the events of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "how are you today"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"x-tenant": tenant},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return sum(line.startswith(b"data: ") for line in answer.read().splitlines())


def test_the_gateway_reports_every_request(gateway: ModuleType, daemon: Daemon) -> None:
    """Each request is an event of its model and tenant with its tokens; a failed one is bad."""
    with SpanBatchWriter(daemon.address, resource={"service.name": "sample-gateway"}) as writer:
        with gateway.Gateway(("127.0.0.1", 0), writer) as server:
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            port = server.server_address[1]
            streamed = [ask(port, "atlas-small", "acme") for _ in range(2)]
            with pytest.raises(urllib.error.HTTPError, match="404"):
                ask(port, "unheard-of", "blue")
            server.shutdown()
            serving.join()
        assert writer.flush(20)

    assert {"atlas-small": 2, "unheard-of": 1} == daemon.counts()
    assert {"acme": 2, "blue": 1} == daemon.counts(by="tenant")
    assert {"atlas-small": 2} == daemon.counts("ttft")
    assert all(events > 4 for events in streamed)
    (errors,) = json.loads(daemon.core.slos())
    assert (2, 1) == (errors["good"], errors["bad"])
