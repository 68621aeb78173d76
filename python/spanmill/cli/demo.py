"""`spanmill demo`."""

from typing import Annotated

import typer

SEED_MAX = 1 << 20


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the daemon running and say how to watch it.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=SEED_MAX, help="Decides the traffic; the same for the same.")
    ] = 1,
) -> None:
    """
    Play one hour of a fleet's traffic through a real daemon, in under a minute.

    Everything happens on loopback, in a temporary folder, and is removed at the end.
    Exits with 1 when anything the daemon says differs from what was sent.

    Example: spanmill demo --keep
    """
    from spanmill.demo import Scenario, run_demo

    raise typer.Exit(run_demo(keep=keep, scenario=Scenario(seed=seed)))
