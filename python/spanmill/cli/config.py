"""`spanmill config`: the config file, checked, shown and described."""

import typer

from spanmill.cli.options import ConfigOption, JsonOption, SetOption, failing_plainly

config_commands = typer.Typer(help="Check, show and describe the config.", no_args_is_help=True)


@config_commands.command()
def check(config: ConfigOption = None, sets: SetOption = None) -> None:
    """
    Check a config and the objective files it names, without starting anything.

    Example: spanmill config check -c spanmill.yaml

    Exit codes: 0 it is good; 2 it is not, and every problem is printed.
    """
    from spanmill import config as config_file

    with failing_plainly():
        loaded = config_file.load(config, sets or ())
    views, objectives = len(loaded.config.views), len(loaded.objectives)
    typer.echo(f"good: {views} view(s), {objectives} objective(s)")


@config_commands.command()
def show(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """
    Print a config in full, defaults included.

    Example: spanmill config show -c spanmill.yaml --set window.lateness=2m

    Exit codes: 0 printed; 2 the config is wrong, and every problem is printed.
    """
    from spanmill import config as config_file

    with failing_plainly():
        loaded = config_file.load(config, sets or ())
    if as_json:
        typer.echo(loaded.config.model_dump_json(indent=2))
    else:
        typer.echo(config_file.as_yaml(loaded.config), nl=False)


@config_commands.command()
def schema() -> None:
    """
    Print the JSON Schema of the config file, for completion in an editor.

    Example: spanmill config schema > spanmill.schema.json
    """
    from spanmill import config as config_file

    typer.echo(config_file.json_schema())
