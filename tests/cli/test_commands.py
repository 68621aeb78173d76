"""Commands that need no daemon: their answers, and exit codes that mean something."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from spanmill.cli.app import app

GOOD_SLO = "slos:\n  - {name: x, sli: {kind: errors}, objective: 0.99, period: 7d}\n"


def run(*arguments: object) -> Result:
    """Run one command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def names(commands: Sequence[str]) -> list[str]:
    """Give every command and subcommand as it is typed."""
    groups = {"slo": ["show", "check"], "config": ["check", "show", "schema"]}
    return [f"{one} {sub}".strip() for one in commands for sub in groups.get(one, [""])]


@pytest.mark.parametrize(
    "command",
    names(
        [
            *("serve", "query", "heatmap", "compare", "distinct", "top-values"),
            *("ledger", "doctor", "version", "slo", "config"),
        ]
    ),
)
def test_help_has_an_example(command: str) -> None:
    """Every command explains itself with an example that starts with how it is typed."""
    answer = run(*command.split(), "--help")

    assert 0 == answer.exit_code
    assert f"Example: spanmill {command}" in answer.output


def test_config_check(tmp_path: Path) -> None:
    """A good config exits 0; a bad one exits 2 with one line for each problem."""
    (tmp_path / "slo.yaml").write_text(GOOD_SLO, encoding="utf-8")
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("slo: {files: [slo.yaml]}", encoding="utf-8")
    bad.write_text("a: 1\nb: 2\n", encoding="utf-8")

    assert "good: 1 view(s), 1 objective(s)\n" == run("config", "check", "-c", good).output
    answer = run("config", "check", "-c", bad)
    assert 2 == answer.exit_code
    assert 2 == len(answer.stderr.splitlines())
    assert all(line.startswith(f"spanmill: {bad}:") for line in answer.stderr.splitlines())


def test_config_show() -> None:
    """A config is shown in full, as YAML or JSON, with what was set over it."""
    shown = yaml.safe_load(run("config", "show", "--set", "limits.series=7").output)
    as_json = json.loads(run("config", "show", "--json", "--set", "limits.series=7").output)

    assert 7 == shown["limits"]["series"] == as_json["limits"]["series"]
    assert "127.0.0.1:4317" == shown["listen"]["otlp_grpc"] == as_json["listen"]["otlp_grpc"]


def test_config_schema() -> None:
    """The schema is JSON that an editor takes."""
    assert json.loads(run("config", "schema").output)["properties"]["data_dir"]


def test_slo_check(tmp_path: Path) -> None:
    """Good objectives are told as promises; bad ones exit 2 with every problem."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD_SLO, encoding="utf-8")
    bad.write_text("slos: [{name: y, objective: 5}]", encoding="utf-8")

    assert "x: 99 % of events good over 7d, 1 % may be bad\n" == run("slo", "check", good).output
    assert "x" == json.loads(run("slo", "check", "--json", good).output)[0]["name"]
    answer = run("slo", "check", good, bad)
    assert 2 == answer.exit_code
    assert 2 == len(answer.stderr.splitlines())


def test_version() -> None:
    """The version names the package and how its core was built."""
    version = json.loads(run("version", "--json").output)

    assert version["version"] == version["core"]["version"]
    assert version["core"]["profile"] in {"release", "debug"}


@pytest.mark.parametrize(
    "command",
    ["query ttft", "query ttft --step 1m", "heatmap ttft", "compare ttft", "ledger", "slo show"],
)
def test_no_daemon(command: str, tmp_path: Path) -> None:
    """Without a daemon a command exits 1 with one line that says how to get one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    answer = run(*command.split(), "--api", f"127.0.0.1:{port}", "--data-dir", tmp_path)

    assert 1 == answer.exit_code
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"spanmill: no daemon answers at 127.0.0.1:{port} (as told)")
    assert line.endswith("start one with `spanmill serve`")


@pytest.mark.parametrize(
    "arguments", [["--q", "p99"], ["--where", "acme"]], ids=["no rank", "no condition"]
)
def test_bad_query(arguments: list[str]) -> None:
    """An argument that cannot be meant is refused before a daemon is asked."""
    answer = run("query", "ttft", *arguments)

    assert 2 == answer.exit_code
    assert "is not valid; use" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ("--against soon", "use a duration such as 1h-ago"),
        ("--dimension model", "--dimension model --between a b"),
        ("--between a b", "--dimension model --between a b"),
        ("--against 1h-ago --dimension model --between a b", "give one of them"),
    ],
)
def test_bad_comparison(arguments: str, right: str) -> None:
    """A comparison that cannot be meant is refused before a daemon is asked."""
    answer = run("compare", "ttft", *arguments.split())

    assert 2 == answer.exit_code
    assert right in answer.stderr


def doctor(tmp_path: Path, *sets: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the doctor on free ports and a folder of the test's own; give findings by check."""
    ports = ["listen.api=127.0.0.1:0", "listen.otlp_grpc=127.0.0.1:0", f"data_dir={tmp_path / 'd'}"]
    options = [part for one in [*ports, *sets] for part in ("--set", one)]
    answer = run("doctor", "--json", *options)
    return answer.exit_code, {one["check"]: one for one in json.loads(answer.output)}


def test_doctor_finds_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """Where a daemon can run nothing fails, and the folder that it tried is gone again."""
    code, findings = doctor(tmp_path)

    assert 0 == code
    assert [] == [one for one in findings.values() if one["state"] == "fail"]
    assert {"core", "libraries", "clock", "config", "data folder", "disk"} <= set(findings)
    assert [] == list(tmp_path.iterdir())


def test_doctor_finds_a_port_in_use(tmp_path: Path) -> None:
    """A taken port fails with the key to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, findings = doctor(tmp_path, f"listen.api=127.0.0.1:{taken.getsockname()[1]}")

    assert 1 == code
    assert "fail" == findings["listen.api"]["state"]
    assert "set listen.api" in findings["listen.api"]["found"]


def test_doctor_finds_a_bad_folder(tmp_path: Path) -> None:
    """A data folder that cannot be used fails with its name."""
    (tmp_path / "file").touch()

    code, findings = doctor(tmp_path, f"data_dir={tmp_path / 'file' / 'data'}")

    assert 1 == code
    assert "fail" == findings["data folder"]["state"]


def test_doctor_shows_every_config_problem() -> None:
    """With a bad config each problem is a finding."""
    answer = run("doctor", "--set", "a.b=1", "--set", "c.d=2")

    assert 1 == answer.exit_code
    assert 2 == sum(line.startswith("fail  config: --set") for line in answer.output.splitlines())
