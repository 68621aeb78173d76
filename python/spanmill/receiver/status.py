"""
Error answers as OTLP clients act on them.

A client sends again after UNAVAILABLE, at the time `RetryInfo` tells; it drops the
batch after INVALID_ARGUMENT and INTERNAL.

Source: OpenTelemetry protocol specification 1.11.0, "Failures".
"""

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


def retry_later(message: str, after_s: float) -> grpc.Status:
    """UNAVAILABLE with a delay: nothing was folded, the same request may succeed then."""
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(round(after_s * 1e9))
    return _status(code_pb2.UNAVAILABLE, message, error_details_pb2.RetryInfo(retry_delay=delay))


def bad_request(message: str) -> grpc.Status:
    """INVALID_ARGUMENT: the request is not one that can be taken, and no retry can help."""
    violation = error_details_pb2.BadRequest.FieldViolation(description=message)
    return _status(
        code_pb2.INVALID_ARGUMENT,
        message,
        error_details_pb2.BadRequest(field_violations=[violation]),
    )


def out_of_step(message: str) -> grpc.Status:
    """FAILED_PRECONDITION: the sender must send more before, or with, the same request."""
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="DICTIONARY", description=message
    )
    return _status(
        code_pb2.FAILED_PRECONDITION,
        message,
        error_details_pb2.PreconditionFailure(violations=[violation]),
    )


def unavailable(message: str) -> grpc.Status:
    """UNAVAILABLE without a delay: this daemon is going away, another may be coming."""
    return _status(code_pb2.UNAVAILABLE, message)


def internal(message: str) -> grpc.Status:
    """INTERNAL: our fault, and the same bytes would fail again."""
    return _status(code_pb2.INTERNAL, message)


def _status(code: int, message: str, *details: Message) -> grpc.Status:
    packed = []
    for detail in details:
        one = any_pb2.Any()
        one.Pack(detail)
        packed.append(one)
    return rpc_status.to_status(status_pb2.Status(code=code, message=message, details=packed))
