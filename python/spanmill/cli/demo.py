"""`spanmill demo`."""

from typing import Annotated, Final

import typer

SEED_MAX: Final = 1 << 20


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the daemon running and say how to watch it.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=SEED_MAX, help="Decides the traffic.")] = 1,
) -> None:
    """
    Play one hour of a fleet's traffic through a real daemon, in under a minute.

    It listens on free loopback ports, writes to a temporary folder, and leaves nothing.

    Example: spanmill demo --keep

    Exit codes: 0 all the daemon said was right; 1 something was not; 130 interrupted.
    """
    from spanmill.demo import Scenario, run_demo

    raise typer.Exit(run_demo(keep=keep, scenario=Scenario(seed=seed)))
