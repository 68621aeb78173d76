"""`spanmill.v1.LedgerService`: a sender asks what became of its events, on the port it sends to."""

import json
from typing import Any, Final, Protocol

import grpc
from google.protobuf import json_format

from spanmill.errors import Closed
from spanmill.v1 import ledger_pb2

SERVICE_NAME: Final = ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"].full_name
"""For the health and reflection services: `spanmill.v1.LedgerService`."""


class HasLedger(Protocol):
    """What the service needs of an engine."""

    def ledger(self) -> bytes:
        """
        Account for every event received, as JSON bytes.

        Raises:
            Closed: The engine was closed.
        """


class LedgerService:
    """Answers `GetLedger` from the numbers behind `GET /api/v1/ledger`."""

    def __init__(self, engine: HasLedger) -> None:
        self._engine = engine

    def add_to(self, server: grpc.Server) -> None:
        """Serve on `server`; call before it starts."""
        method = grpc.unary_unary_rpc_method_handler(
            self._get_ledger,
            request_deserializer=ledger_pb2.GetLedgerRequest.FromString,
            response_serializer=ledger_pb2.GetLedgerResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE_NAME, {"GetLedger": method}),)
        )

    def _get_ledger(
        self, _request: ledger_pb2.GetLedgerRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetLedgerResponse:
        try:
            ledger = json.loads(self._engine.ledger())
        except Closed as closed:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(closed))
        return encode(ledger)


def encode(ledger: dict[str, Any]) -> ledger_pb2.GetLedgerResponse:
    """
    Put the API's ledger into the answer's message.

    Raises:
        json_format.ParseError: A key has no field in ledger.proto.
    """
    by = ledger["by"]
    total = {key: value for key, value in ledger.items() if key != "by"}
    return json_format.ParseDict(
        {"total": total, "by_source": by["source"], "by_tenant": by["tenant"]},
        ledger_pb2.GetLedgerResponse(),
    )
