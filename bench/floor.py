"""
The floor: a Python gRPC server that takes the same bytes and does nothing with them.

Built with the receiver's options and number of workers, so that what spanmill costs above it
is spanmill's own. Started as `python -m bench.floor PORT`.
"""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from spanmill.allocator import keep_large_blocks
from spanmill.daemon import SWITCH_INTERVAL_S
from spanmill.receiver import ReceiverLimits, ingest
from spanmill.receiver.grpc import CONNECTION_AGE_MS, STREAMS_PER_CONNECTION, TRACE_SERVICE

REQUEST_BYTES = 64 * 1024 * 1024


def serve() -> None:
    """Serve on the loopback port given as the only argument, until stopped."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_large_blocks()
    server = grpc.server(
        ThreadPoolExecutor(ReceiverLimits().workers),
        options=(
            ("grpc.max_receive_message_length", REQUEST_BYTES),
            ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
            ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
            ("grpc.so_reuseport", 0),
        ),
    )
    export = grpc.unary_unary_rpc_method_handler(_export)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(TRACE_SERVICE, {"Export": export}),)
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(ingest.SERVICE_NAME, {"Send": export}),)
    )
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    gc.collect()
    gc.freeze()
    server.wait_for_termination()


def _export(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    return b""


if __name__ == "__main__":
    serve()
