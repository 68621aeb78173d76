"""Every command there is."""

import typer

from spanmill.cli.companion import distinct, top_values
from spanmill.cli.compare import compare
from spanmill.cli.config import config_commands
from spanmill.cli.demo import demo
from spanmill.cli.doctor import doctor
from spanmill.cli.export import export_commands
from spanmill.cli.heatmap import heatmap
from spanmill.cli.ledger import ledger
from spanmill.cli.query import query
from spanmill.cli.serve import serve
from spanmill.cli.slo import slo_commands
from spanmill.cli.top import top
from spanmill.cli.version import version

# One command is one file and one line here; the order is that of --help.
COMMANDS = (
    serve,
    demo,
    top,
    query,
    heatmap,
    compare,
    distinct,
    top_values,
    ledger,
    doctor,
    version,
)

GROUPS = {
    "slo": slo_commands,
    "config": config_commands,
    "export": export_commands,
}

app = typer.Typer(
    name="spanmill",
    help="Latency percentiles and error budgets for AI inference fleets, from plain OTLP.",
    no_args_is_help=True,
    # Tracebacks with local variables would show what customers sent.
    pretty_exceptions_enable=False,
)

for command in COMMANDS:
    app.command()(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command named in `sys.argv`."""
    app()
