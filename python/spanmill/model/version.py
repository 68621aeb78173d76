"""The one version, as the installed package states it."""

from importlib import metadata
from typing import Final

__version__: Final = metadata.version("spanmill")
"""Such as `0.1.0`."""
