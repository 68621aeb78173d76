"""One hour of a fleet's traffic, played through the real daemon in under a minute."""

from spanmill.demo.run import Scenario, run_demo

__all__ = ["Scenario", "run_demo"]
