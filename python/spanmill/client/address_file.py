"""The file in which a running daemon says where it listens."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from spanmill.errors import StartError
from spanmill.model import Address, __version__

ADDRESS_FILE: Final = "address.json"
"""Its name in the data folder; removed when the daemon stops."""


def write_address_files(files: Sequence[Path], addresses: Mapping[str, Address]) -> None:
    """
    Write pid, version and addresses as JSON; each file appears whole or not at all.

    Raises:
        StartError: A file cannot be written.
    """
    written = {name: str(address) for name, address in addresses.items()}
    text = json.dumps({"pid": os.getpid(), "version": __version__} | written)
    for path in files:
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            staged.write_text(text + "\n", encoding="utf-8")
            staged.replace(path)
        except OSError as error:
            raise StartError(f"cannot write {path}: {error.strerror}") from None


def remove_address_files(files: Sequence[Path]) -> None:
    """
    Remove files that no longer hold; one left by a killed daemon would mislead.

    Raises:
        StartError: A file cannot be removed.
    """
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StartError(f"cannot remove {path}: {error.strerror}") from None


def read_address_file(data_dir: Path) -> Address | None:
    """
    Read where the API of the daemon on a data folder listens; None where there is no file.

    Raises:
        ValueError: The file holds no address.
    """
    try:
        return Address.parse(json.loads((data_dir / ADDRESS_FILE).read_bytes())["api"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
