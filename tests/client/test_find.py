"""A daemon is found by what is most certain first."""

from pathlib import Path

import pytest

from spanmill.client import (
    ADDRESS_FILE,
    DEFAULT_ADDRESS,
    find_daemon,
    remove_address_files,
    write_address_files,
)
from spanmill.errors import StartError, Unreachable
from spanmill.model import Address

ADDRESSES = {"otlp_grpc": Address("127.0.0.1", 1), "api": Address("127.0.0.1", 2)}


def test_told_beats_file_beats_default(tmp_path: Path) -> None:
    """An address told wins; else the data folder's file; else the default."""
    assert DEFAULT_ADDRESS == find_daemon(None, tmp_path).address
    write_address_files([tmp_path / ADDRESS_FILE], ADDRESSES)
    assert Address("127.0.0.1", 2) == find_daemon(None, tmp_path).address
    assert Address("10.0.0.1", 3) == find_daemon("10.0.0.1:3", tmp_path).address
    assert DEFAULT_ADDRESS == find_daemon().address


def test_an_address_may_be_a_url() -> None:
    """What a browser shows is understood too."""
    assert Address("127.0.0.1", 8320) == find_daemon("http://127.0.0.1:8320/").address


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"api": 5}', '{"api": "x"}'])
def test_a_broken_file_is_said(content: str, tmp_path: Path) -> None:
    """An address file that holds no address is an error that names it, not a silent default."""
    (tmp_path / ADDRESS_FILE).write_text(content, encoding="utf-8")

    with pytest.raises(Unreachable, match=ADDRESS_FILE):
        find_daemon(None, tmp_path)


def test_a_wrong_address_is_said() -> None:
    """An address that is none is an error with an example of one."""
    with pytest.raises(Unreachable, match="is not an address such as"):
        find_daemon("nowhere")


def test_files_appear_whole_and_go(tmp_path: Path) -> None:
    """Writing leaves nothing but the file itself, and removing leaves nothing at all."""
    path = tmp_path / ADDRESS_FILE

    write_address_files([path], ADDRESSES)

    assert [path] == list(tmp_path.iterdir())
    remove_address_files([path, path])
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that does not exist stops the start with one line."""
    with pytest.raises(StartError, match="cannot write"):
        write_address_files([tmp_path / "missing" / "ready.json"], ADDRESSES)
