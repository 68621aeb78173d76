"""Where a listener listens."""

import ipaddress
from dataclasses import dataclass
from typing import Final, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

_PORT_MAX: Final = 65535


@dataclass(frozen=True)
class Address:
    """Host and port of a listener. Port 0 lets the kernel choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> Self:
        """
        Read `host:port`; an IPv6 host stands in brackets.

        Raises:
            ValueError: Not an address.
        """
        if isinstance(value, cls):
            return value
        problem = f"{value!r} is not an address such as 127.0.0.1:4317 or [::1]:4317"
        if not isinstance(value, str):
            raise ValueError(problem)  # noqa: TRY004  pydantic collects no TypeError
        host, colon, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        numeric = port.isascii() and port.isdigit() and int(port) <= _PORT_MAX
        if not (colon and host and numeric) or (":" in host) != bracketed:
            raise ValueError(problem)
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(
            cls.parse,
            core_schema.is_instance_schema(cls),
            json_schema_input_schema=core_schema.str_schema(pattern=r"^.+:\d{1,5}$"),
            serialization=core_schema.to_string_ser_schema(),
        )
