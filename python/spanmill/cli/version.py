"""`spanmill version`."""

import typer

from spanmill.cli.options import JsonOption, print_json


def version(as_json: JsonOption = False) -> None:
    """
    Print the version and how the core was built.

    Example: spanmill version --json
    """
    from spanmill import __version__, _core

    build = _core.build_info()
    if as_json:
        print_json({"version": __version__, "core": build})
    else:
        core = ", ".join(f"{key} {value}" for key, value in build.items() if key != "version")
        typer.echo(f"spanmill {__version__} ({core})")
