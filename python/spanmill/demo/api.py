"""The daemon's HTTP API, asked as any other program would ask it."""

from collections.abc import Mapping
from typing import Any, Self

import httpx

from spanmill.errors import RequestFailed

Answer = dict[str, Any]
"""One JSON object of an answer."""


class Api:
    """One connection; close it, or use it in a `with`."""

    def __init__(self, address: str) -> None:
        # No proxies: a daemon on loopback must not be asked for through one.
        self._http = httpx.Client(
            base_url=f"http://{address}/api/v1", timeout=30.0, trust_env=False
        )

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        """
        Ask, and give the JSON of the answer.

        Raises:
            RequestFailed: The daemon answered with an error.
        """
        answer = self._http.get(path, params=params)
        if not answer.is_success:
            message = f"GET {answer.url} answered {answer.status_code}: {answer.text}"
            raise RequestFailed(message, answer.status_code, "demo")
        return answer.json()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
