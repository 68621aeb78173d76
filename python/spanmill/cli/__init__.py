"""The command line."""

from spanmill.cli.app import main

__all__ = ["main"]
