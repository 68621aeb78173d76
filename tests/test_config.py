"""A config is right as a whole or refused as a whole, with everything that is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from spanmill import config
from spanmill.config import Config
from spanmill.engine import DEFAULT_VIEW, open_engine
from spanmill.errors import ConfigError
from spanmill.model import Address

BAD = """\
lisen: {api: 127.0.0.1:0}
listen: {otlp_grpc: 4317}
durability: synced
window: {latenes: 5s, idle: 0}
views:
  - {name: a, dimensions: [modl, model], measures: [ttft, tpott]}
  - {name: b, dimensions: [model, model], measures: []}
limits: {inflight_bytes: 1MiB, series: 0}
export: {codec: gzip}
slo: {files: [slo.yaml, missing.yaml]}
log: {level: loud}
"""


def problems_of(path: Path | None, *sets: str) -> list[str]:
    """Load what must be refused; problems are given without the file's folder."""
    with pytest.raises(ConfigError) as raised:
        config.load(path, sets)
    folder = f"{path.parent}/" if path else ""
    return [problem.replace(folder, "") for problem in raised.value.problems]


def write(tmp_path: Path, text: str) -> Path:
    """Write a config file."""
    path = tmp_path / "spanmill.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_all_defaults() -> None:
    """Without a file there is one view, loopback addresses, and a data folder right here."""
    loaded = config.load().config

    assert (DEFAULT_VIEW,) == loaded.views
    assert Address("127.0.0.1", 4317) == loaded.listen.otlp_grpc
    assert Address("127.0.0.1", 8320) == loaded.listen.api
    assert "sync" == loaded.durability
    assert Path.cwd() / "spanmill-data" == loaded.data_dir


def test_an_empty_file_is_no_file(tmp_path: Path) -> None:
    """An empty file and empty sections mean defaults; the data folder stands beside the file."""
    path = write(tmp_path, "window:\nviews: [{name: v, dimensions: [], measures: [ttft]}]\n")

    loaded = config.load(path).config

    assert Config().window == loaded.window
    assert tmp_path / "spanmill-data" == loaded.data_dir


def test_every_problem_at_once(tmp_path: Path) -> None:
    """
    All problems of the config, of the objective files it names and of --set come in one
    answer, each with its place, its key path and, for a name, the nearest known one.
    """
    (tmp_path / "slo.yaml").write_text("slos: [{name: x, objective: 2}]", encoding="utf-8")

    problems = problems_of(write(tmp_path, BAD), "windo.lateness=5s", "log.level=shouting", "data")

    assert {
        "--set data: not of the form section.key=value",
        (
            "spanmill.yaml:2: listen.otlp_grpc: 4317 is not an address such as 127.0.0.1:4317 "
            "or [::1]:4317"
        ),
        "spanmill.yaml:3: durability: must be 'sync', 'relaxed' or 'off'",
        "spanmill.yaml:4: window.latenes: unknown key; did you mean lateness?",
        "spanmill.yaml:4: window.idle: must be greater than 0",
        "spanmill.yaml:6: views[0].dimensions[0]: no dimension 'modl'; did you mean model?",
        "spanmill.yaml:6: views[0].measures[1]: no measure 'tpott'; did you mean tpot?",
        "spanmill.yaml:7: views[1].dimensions: names something twice",
        "spanmill.yaml:7: views[1].measures: must have at least 1 item after validation, not 0",
        "spanmill.yaml:8: limits.series: must be greater than or equal to 1",
        "spanmill.yaml:9: export.codec: must be 'zstd', 'snappy' or 'none'",
        "--set log.level: log.level: must be 'debug', 'info', 'warning' or 'error'",
        "spanmill.yaml:1: lisen: unknown key; did you mean listen?",
        "--set windo.lateness: windo: unknown key; did you mean window?",
        "slo.yaml:1: slos[0].sli: required, but missing",
        (
            "slo.yaml:1: slos[0].objective: 2 is not between 0 and 1; "
            "write the share of good events, 0.99 for 99 %"
        ),
        "missing.yaml: cannot be read: No such file or directory",
    } == set(problems)


def test_largest_request_must_fit(tmp_path: Path) -> None:
    """Limits that contradict each other are refused with both numbers."""
    path = write(tmp_path, "limits: {inflight_bytes: 1MiB}")

    assert [
        (
            "spanmill.yaml:1: limits: inflight_bytes (1048576) is below request_bytes (16777216): "
            "the largest request would never fit"
        )
    ] == problems_of(path)


def test_views_have_their_own_names(tmp_path: Path) -> None:
    """Two views of one name are refused: queries could not tell them apart."""
    view = "{name: a, dimensions: [], measures: [ttft]}"

    assert ["spanmill.yaml:1: views: two views are named 'a'; rename one"] == problems_of(
        write(tmp_path, f"views: [{view}, {view}]")
    )


@pytest.mark.parametrize(
    ("key_path", "value", "option"),
    [
        ("window.lateness", 120.0, "window.lateness=2m"),
        ("durability", "off", "durability=off"),
        ("limits.series", 5, "limits.series=5"),
        ("log.format", "json", "log.format=json"),
        ("listen.api", "127.0.0.1:0", "listen.api=127.0.0.1:0"),
        ("slo.files", [], "slo.files=[]"),
        (
            "views",
            [
                {
                    "name": "v",
                    "where": {},
                    "dimensions": ["model"],
                    "measures": ["ttft"],
                    "distinct": [],
                    "top": [],
                }
            ],
            "views=[{name: v, dimensions: [model], measures: [ttft]}]",
        ),
    ],
)
def test_set(key_path: str, value: object, option: str, tmp_path: Path) -> None:
    """`--set` puts a YAML value over the file's, whole lists and sections included."""
    path = write(tmp_path, "window: {lateness: 1s}\nlimits:\nslo: {files: [missing.yaml]}\n")
    found: Any = config.load(path, [option, *([] if "slo" in option else ["slo.files=[]"])])

    found = found.config.model_dump(mode="json")
    for part in key_path.split("."):
        found = found[part]

    assert value == found


@pytest.mark.parametrize(
    ("problem", "option"),
    [
        ("--set a.b.c: not of the form section.key=value", "a.b.c"),
        ("--set .=1: not of the form section.key=value", ".=1"),
        ("--set window.lateness.x: window.lateness has no keys", "window.lateness.x=1"),
        ("--set data_dir:1: not valid YAML: ", "data_dir=["),
        ("--set limit.series: limit: unknown key; did you mean limits?", "limit.series=1"),
    ],
)
def test_bad_set(problem: str, option: str, tmp_path: Path) -> None:
    """A `--set` that cannot be applied is a problem that names the option itself."""
    (found,) = problems_of(write(tmp_path, "window: {lateness: 1s}"), option)

    assert found.startswith(problem)


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"- a", b"a: 1\na: 2\n"])
def test_a_file_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    """A file that is no YAML mapping is refused with its name, whatever it holds."""
    path = tmp_path / "spanmill.yaml"
    path.write_bytes(content)

    assert problems_of(path)[0].startswith("spanmill.yaml")


def test_shown_config_reads_back(tmp_path: Path) -> None:
    """What `config show` prints is a config file that means the same."""
    first = config.load(
        write(
            tmp_path,
            "data_dir: here\nlisten: {api: '[::1]:0'}\nwindow: {lateness: 90s}\n"
            "views: [{name: v, where: {tenant: [a, b]}, dimensions: [model], measures: [cost]}]\n",
        )
    )

    again = config.load(write(tmp_path, config.as_yaml(first.config)))

    assert first == again


def test_schema_describes_every_key() -> None:
    """The JSON Schema has every key with a description, refuses others, and shows defaults."""
    schema = json.loads(config.json_schema())
    sections = [schema, *schema["$defs"].values()]
    described = {
        key: schema["$defs"].get(entry.get("$ref", "").rpartition("/")[2], {}) | entry
        for section in sections
        if section["type"] == "object"
        for key, entry in section["properties"].items()
    }

    assert [] == [key for key, entry in described.items() if not entry.get("description")]
    assert all(it["additionalProperties"] is False for it in sections if it["type"] == "object")
    assert set(Config.model_fields) == set(schema["properties"])
    assert 60.0 == described["lateness"]["default"]


def test_the_core_takes_the_defaults(tmp_path: Path) -> None:
    """The default config is one that the core builds from."""
    loaded = config.load(None, [f"data_dir={tmp_path}"])

    open_engine(loaded.config, []).close()


def test_the_end_user_is_counted_only(tmp_path: Path) -> None:
    """The end user may be counted by a view, and is refused wherever its values would show."""
    view = "name: v, dimensions: [model], measures: [ttft]"
    good = config.load(write(tmp_path, f"views: [{{{view}, distinct: [user], top: [prompt]}}]"))
    assert ("user",) == good.config.views[0].distinct

    (tmp_path / "slo.yaml").write_text(
        "slos: [{name: x, sli: {kind: errors}, objective: 0.9, group_by: [user]}]", encoding="utf-8"
    )
    bad = "{name: v, dimensions: [user], measures: [ttft], top: [user], where: {user: alice}}"
    problems = problems_of(write(tmp_path, f"views: [{bad}]\nslo: {{files: [slo.yaml]}}\n"))

    hint = "user is kept as a keyed hash that nothing can show; it may stand in distinct of a view"
    assert 4 == len(problems)
    assert all(hint in problem for problem in problems)
