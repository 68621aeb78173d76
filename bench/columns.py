"""
The same traffic as `payload`, as `SpanBatch` messages: encoded once, fresh at each send.

A message stays as it is but for its number and its time, which are appended: of a field that
stands twice the last counts. Each comes from a sender of its own, as it is sent by one lane.
"""

import itertools
import secrets
import time
from typing import Final

import numpy as np

from bench import payload
from bench.payload import MODELS, REGIONS, SERVICES, SPREAD_NS, TENANTS, Traffic
from spanmill import _core
from spanmill.v1 import ingest_pb2
from spanmill.writer.columns import Columns, encode
from spanmill.writer.dictionary import Dictionary

SEND: Final = "/spanmill.v1.Ingest/Send"


class Request:
    """One sender's `SpanBatch`, with another number and time at each send."""

    def __init__(self, columns: Columns, dictionary: Dictionary, before_ns: int) -> None:
        """
        Encode a batch.

        Args:
            before_ns: How long before the oldest end the first of the starts is.
        """
        self.spans: Final = len(columns)
        batch = encode(columns)
        batch.producer_id = secrets.token_bytes(16)
        batch.epoch = time.time_ns()
        self._before_ns = SPREAD_NS + before_ns
        self._first = (
            batch.SerializeToString()
            + ingest_pb2.SpanBatch(
                new_series=dictionary.since(0, len(dictionary))
            ).SerializeToString()
        )
        batch.dict_base = len(dictionary)
        self._later = batch.SerializeToString()
        self._seq = 0

    @property
    def body(self) -> bytes:
        """The message with its dictionary, without a number and a checksum."""
        return self._first

    def fresh(self, now_ns: int, _first: int) -> bytes:
        """Give the message to send now; its dictionary goes with the first only."""
        body = self._later if self._seq else self._first
        self._seq += 1
        fields = ingest_pb2.SpanBatch(seq=self._seq, base_time_ns=now_ns - self._before_ns)
        return _core.with_checksum(body + fields.SerializeToString())


def requests(batch: int) -> list[Request]:
    """Cut the pool's traffic into batches, in the order of `payload.Pool.requests`."""
    traffic = Traffic.drawn()
    resources = list(itertools.product(SERVICES, REGIONS))
    per_resource = payload.POOL_SPANS // len(resources)
    if per_resource % batch:
        raise ValueError(f"batch must divide {per_resource}, got {batch}")
    made = []
    for turn in range(per_resource // batch):
        for r, (service, region) in enumerate(resources):
            first = r * per_resource + turn * batch
            made.append(_request(traffic, slice(first, first + batch), service, region))
    return made


def _request(traffic: Traffic, part: slice, service: str, region: str) -> Request:
    dictionary = Dictionary({"service.name": service, "cloud.region": region})
    series = [
        dictionary.place(
            {"gen_ai.request.model": MODELS[model], "spanmill.tenant": TENANTS[tenant]}
        )
        for model, tenant in zip(traffic.model[part], traffic.tenant[part], strict=True)
    ]
    duration_us = np.rint(traffic.duration_s[part] * 1e6).astype(np.int64)
    # Newest last, as a gateway records them; from the longest request's start on.
    end_us = np.linspace(0, SPREAD_NS / 1e3 - 1_000, len(series)).astype(np.int64)
    start_us = end_us - duration_us
    return Request(
        Columns(
            series=np.array(series, np.uint32),
            start_us=start_us - start_us.min(),
            duration_us=duration_us,
            failed=traffic.failed[part],
            measures={
                "ttft_s": traffic.ttft_s[part],
                "queue_time_s": traffic.queue_s[part],
                "input_tokens": traffic.input_tokens[part].astype(np.float64),
                "output_tokens": traffic.output_tokens[part].astype(np.float64),
            },
        ),
        dictionary,
        -int(start_us.min()) * 1000,
    )
