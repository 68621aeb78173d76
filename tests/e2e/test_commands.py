"""The command line asks a running daemon and finds it by itself."""

import json
import time

import pytest

from tests import traces
from tests.e2e import fleet
from tests.e2e.conftest import Daemon, Start, run


@pytest.fixture
def busy(daemon: Daemon) -> Daemon:
    """Give a daemon that has taken 300 events."""
    for request in fleet.requests(fleet.calls(300, time.time_ns()), 100):
        daemon.export(request)
    return daemon


@pytest.mark.parametrize("how", ["--data-dir", "--api"])
def test_query(how: str, busy: Daemon) -> None:
    """A query finds the daemon by its data folder or address, and prints what the API answers."""
    where = busy.data_dir if how == "--data-dir" else busy.ready["api"]

    answer = run("query", "ttft", "--by", "tenant", "--window", "2m", "--json", how, where)

    assert 0 == answer.returncode, answer.stderr
    series = json.loads(answer.stdout)["series"]
    assert list(fleet.TENANTS) == [row["dims"]["tenant"] for row in series]
    assert 300 == sum(row["count"] for row in series)


def test_tables(busy: Daemon) -> None:
    """Tables show each tenant, objective and class by name, and end with what they rest on."""
    options = ("--data-dir", busy.data_dir)
    query = run("query", "ttft", "--by", "tenant", "--window", "2m", *options)
    ledger = run("ledger", *options)
    slo = run("slo", "show", *options)

    assert [0, 0, 0] == [answer.returncode for answer in (query, ledger, slo)]
    assert all(tenant in query.stdout for tenant in (*fleet.TENANTS, "p99"))
    assert "balanced" == ledger.stdout.splitlines()[-1]
    assert all(name in slo.stdout for name in ("ttft-fast", "tenant=acme", "errors"))


def test_counts_and_rankings(start: Start) -> None:
    """Users are counted and prompts ranked by a view that names them, as tables and as JSON."""
    view = {"name": "v", "dimensions": ["model"], "measures": ["duration"]}
    daemon = start(views=[view | {"distinct": ["user"], "top": ["prompt"]}])
    now_ns = time.time_ns()
    spans = [
        traces.span(
            now_ns,
            1.0,
            {
                "gen_ai.request.model": "large",
                "user.id": f"user-{n % 7}",
                "gen_ai.prompt.name": "search" if n % 4 else "support",
            },
        )
        for n in range(40)
    ]
    daemon.export(traces.request(spans).SerializeToString())
    options = ("--window", "2m", "--data-dir", daemon.data_dir)

    users = run("distinct", "user", "--by", "model", *options)
    prompts = run("top-values", "prompt", "-k", "1", *options)
    as_json = run("distinct", "user", "--json", *options)
    wrong = run("top-values", "model", *options)

    assert [0, 0, 0, 2] == [it.returncode for it in (users, prompts, as_json, wrong)]
    assert ["large", "7"] in [line.split() for line in users.stdout.splitlines()]
    assert ["search", "30", "75", "%"] in [line.split() for line in prompts.stdout.splitlines()]
    assert "exact" == users.stdout.splitlines()[-1] == prompts.stdout.splitlines()[-1]
    assert 7 == json.loads(as_json.stdout)["series"][0]["distinct"]
    assert "v with top (prompt) by model" in wrong.stderr


def test_pictures_and_comparisons(busy: Daemon) -> None:
    """Steps, a picture and a comparison print what the API answers; piped they are plain text."""
    options = ("--data-dir", busy.data_dir)
    steps = run("query", "ttft", "--by", "tenant", "--window", "2m", "--step", "1m", *options)
    picture = run("heatmap", "ttft", "--window", "2m", *options)
    values = ("--dimension", "model", "--between", "large", "small")
    compared = run("compare", "ttft", "--window", "2m", *values, *options)

    assert [0, 0, 0] == [answer.returncode for answer in (steps, picture, compared)]
    assert all(tenant in steps.stdout for tenant in (*fleet.TENANTS, "p99"))
    assert "300 events" in picture.stdout
    assert all(word in compared.stdout for word in ("model=large", "model=small", "clear"))
    assert not any("\x1b" in answer.stdout for answer in (steps, picture, compared))


@pytest.mark.parametrize(
    "command",
    [
        "query ttft --step 10s",
        "heatmap ttft",
        "compare ttft --dimension tenant --between acme birch",
    ],
)
def test_json(command: str, busy: Daemon) -> None:
    """Each question prints its answer as JSON for scripts."""
    answer = run(*command.split(), "--window", "2m", "--json", "--data-dir", busy.data_dir)

    assert 0 == answer.returncode, answer.stderr
    assert "ttft" == json.loads(answer.stdout)["measure"]


def test_nothing_in_the_window(daemon: Daemon) -> None:
    """A window without an event is said, not shown as zero."""
    for command in ("query ttft", "query ttft --step 1m", "heatmap ttft"):
        answer = run(*command.split(), "--data-dir", daemon.data_dir)

        assert 0 == answer.returncode
        assert "No event has this measure in this window." in answer.stdout
    answer = run("compare", "ttft", "--data-dir", daemon.data_dir)
    assert 0 == answer.returncode
    assert "Neither has an event with this measure." in answer.stdout


def test_unknown_names(busy: Daemon) -> None:
    """A name that does not exist exits 2 with one line that lists those that do."""
    for arguments in (("query", "tfft"), ("slo", "show", "eror")):
        answer = run(*arguments, "--data-dir", busy.data_dir)

        assert 2 == answer.returncode
        assert 1 == len(answer.stderr.splitlines())


def test_doctor_knows_the_daemon(busy: Daemon) -> None:
    """Beside a running daemon the doctor finds it instead of ports and a folder in use."""
    answer = run("doctor", "--json", "-c", busy.folder / "spanmill.yaml")

    findings = {one["check"]: one for one in json.loads(answer.stdout)}
    assert 0 == answer.returncode
    assert str(busy.ready["api"]) in findings["daemon"]["found"]
    assert "ok" == findings["data folder"]["state"]
