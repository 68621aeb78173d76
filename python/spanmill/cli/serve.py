"""`spanmill serve`."""

from pathlib import Path
from typing import Annotated

import typer

from spanmill.cli.options import ConfigOption, SetOption, failing_plainly


def serve(
    config: ConfigOption = None,
    sets: SetOption = None,
    ready_file: Annotated[
        Path | None,
        typer.Option("--ready-file", help="Written, as JSON, once every listener accepts."),
    ] = None,
) -> None:
    """
    Run the daemon until SIGTERM or Ctrl-C.

    Example: spanmill serve -c spanmill.yaml --set listen.otlp_grpc=127.0.0.1:0

    Exit codes: 0 stopped as told; 1 could not start (a port or the data folder is in use);
    2 the config is wrong, and every problem is printed before any port opens.
    """
    from spanmill import config as config_file
    from spanmill import daemon

    with failing_plainly():
        daemon.serve(config_file.load(config, sets or ()), ready_file)
