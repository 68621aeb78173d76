"""
A sample AI gateway that reports to spanmill with `SpanBatchWriter`.

It answers `POST /v1/chat/completions` in the shape that clients of OpenAI's API expect, from a
model that only pretends, streams the answer, and records one event a request: what was
asked of which model by whom, how long the first token and the whole answer took, and whether it
failed. That last part, `Reporter`, is all that a real gateway would take over.

    spanmill serve &
    python examples/gateway/gateway.py --spanmill 127.0.0.1:4317 --port 8080
    curl -N localhost:8080/v1/chat/completions -H 'x-tenant: acme' \
      -d '{"model": "atlas-small", "messages": [{"role": "user", "content": "hello"}]}'
    spanmill top
"""

import argparse
import contextlib
import json
import random
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from spanmill import SpanBatchWriter

MODELS: Final = {"atlas-large": 0.030, "atlas-small": 0.008}
"""Models with the seconds that each of their tokens takes."""

FIRST_TOKEN_S: Final = 0.05
TOKENS: Final = (4, 24)


class Reporter:
    """Times one request and records it when it is over, however it ends."""

    def __init__(self, writer: SpanBatchWriter, model: str, tenant: str) -> None:
        self._writer = writer
        # Few combinations: what differs for every request is a measure, or stays out.
        self._attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "spanmill.tenant": tenant,
        }
        self._started = time.time()
        self._clock = time.perf_counter()
        self._ttft_s: float | None = None
        self._input_tokens = 0
        self._output_tokens = 0

    def __enter__(self) -> Self:
        return self

    def asked(self, input_tokens: int) -> None:
        """Note the length of the prompt."""
        self._input_tokens = input_tokens

    def token(self) -> None:
        """Note a token on its way to the customer."""
        if self._ttft_s is None:
            self._ttft_s = time.perf_counter() - self._clock
        self._output_tokens += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        attributes = self._attributes
        if kind is not None:
            attributes = {**attributes, "error.type": kind.__name__}
        self._writer.record(
            attributes,
            self._started,
            # By the clock that nobody adjusts.
            time.perf_counter() - self._clock,
            failed=kind is not None,
            **({"ttft_s": self._ttft_s} if self._ttft_s is not None else {}),
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
        )


class UnknownModelError(Exception):
    """A request names a model that the gateway does not have."""


def answer(model: str, rng: random.Random) -> Iterator[str]:
    """Pretend to be a model: tokens at its pace."""
    if model not in MODELS:
        raise UnknownModelError(model)
    time.sleep(FIRST_TOKEN_S * rng.uniform(0.5, 2.0))
    for n in range(rng.randint(*TOKENS)):
        yield f"word{n} "
        time.sleep(MODELS[model] * rng.uniform(0.5, 1.5))


class Gateway(ThreadingHTTPServer):
    """Serves requests to models, and reports each of them."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], writer: SpanBatchWriter) -> None:
        super().__init__(address, Handler)
        self.writer = writer
        self.rng = random.Random()  # noqa: S311  no secret


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Gateway

    def do_POST(self) -> None:
        """Answer a chat completion as a stream of events."""
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model, tenant = str(body.get("model", "")), self.headers.get("x-tenant", "")
        try:
            with Reporter(self.server.writer, model, tenant) as reporter:
                prompt = " ".join(str(it.get("content", "")) for it in body.get("messages", []))
                reporter.asked(len(prompt.split()))
                self._stream(reporter, answer(model, self.server.rng))
        except UnknownModelError:
            self.send_error(404, f"no model {model}; there are {', '.join(MODELS)}")
        except ConnectionError:
            self.close_connection = True

    def _stream(self, reporter: Reporter, tokens: Iterator[str]) -> None:
        first = next(tokens)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while True:
            chunk = {"choices": [{"index": 0, "delta": {"content": first}}]}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            reporter.token()
            if (following := next(tokens, None)) is None:
                break
            first = following
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as http.server has it
        """Say nothing: spanmill knows."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A sample AI gateway that reports to spanmill.")
    parser.add_argument("--spanmill", default="127.0.0.1:4317", help="its listen.otlp_grpc")
    parser.add_argument("--port", type=int, default=8080)
    asked = parser.parse_args()
    resource = {"service.name": "sample-gateway", "cloud.region": "eu-west-1"}
    # Leaving sends what is recorded and not sent yet.
    with (
        SpanBatchWriter(asked.spanmill, resource=resource) as writer,
        Gateway(("127.0.0.1", asked.port), writer) as gateway,
        contextlib.suppress(KeyboardInterrupt),
    ):
        gateway.serve_forever()


if __name__ == "__main__":
    main()
