"""Promises written in files: what counts as good, for whom, how often, over which period."""

from spanmill.slo.files import SloConfig, load
from spanmill.slo.objective import Layer, Objective

__all__ = ["Layer", "Objective", "SloConfig", "load"]
