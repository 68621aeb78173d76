"""Finds a running daemon: by address, by the file it leaves in its data folder, by default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanmill.client.address_file import ADDRESS_FILE, read_address_file
from spanmill.errors import Unreachable
from spanmill.model import Address

DEFAULT_ADDRESS: Final = Address("127.0.0.1", 8320)
"""Where a daemon's API listens unless told otherwise."""


@dataclass(frozen=True)
class Found:
    """A daemon's API address, and why we believe it is there (`from --api`, …)."""

    address: Address
    because: str


def find_daemon(api: str | None = None, data_dir: Path | None = None) -> Found:
    """
    Find a daemon's API: `api` where given, else the data folder's address file, else the default.

    Raises:
        Unreachable: `api` or the address file holds no address.
    """
    if api is not None:
        try:
            return Found(Address.parse(api.removeprefix("http://").rstrip("/")), "as told")
        except ValueError as error:
            raise Unreachable(str(error)) from None
    if data_dir is None:
        return Found(DEFAULT_ADDRESS, "the default; name another with --api or --data-dir")
    path = data_dir / ADDRESS_FILE
    try:
        address = read_address_file(data_dir)
    except ValueError:
        raise Unreachable(f"{path} holds no address; restart the daemon, or use --api") from None
    if address is None:
        return Found(DEFAULT_ADDRESS, f"the default; there is no {path}")
    return Found(address, f"from {path}")
