"""Where telemetry enters: request bytes go on to the core undecoded."""

from spanmill.receiver.grpc import GrpcReceiver
from spanmill.receiver.section import ReceiverLimits

__all__ = ["GrpcReceiver", "ReceiverLimits"]
