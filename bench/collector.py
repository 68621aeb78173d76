"""Builds the OpenTelemetry Collector with its own builder, once, and reads its own metrics."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

VERSION: Final = "0.158.0"
"""Of the builder and, by `peers/builder.yaml`, of every module; newer mixes do not compile."""

_ROOT: Final = Path(__file__).parent.parent
_RECIPE: Final = _ROOT / "bench" / "peers" / "builder.yaml"
_TARGET: Final = _ROOT / "target" / "peers"
_BUILD_WITHIN_S: Final = 1800


class CollectorError(Exception):
    """There is no Collector on this machine and none can be built; says why in one line."""


def built() -> Path:
    """
    Give the Collector's binary, building it first where this recipe was never built.

    It stays in `target/peers/`, in a folder named after the recipe's contents.

    Raises:
        CollectorError: Go is missing or the build failed.
    """
    recipe = _RECIPE.read_text(encoding="utf-8")
    folder = _TARGET / f"otelcol-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    binary = folder / "otelcol-bench"
    if binary.exists():
        return binary
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise CollectorError("Go is not installed; the Collector is built with Go 1.26 or newer")
    environment = {
        **os.environ,
        "PATH": f"{Path(go).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "GOBIN": str(_TARGET / "bin"),
        # No toolchain is fetched; one module's sum cannot be looked up.
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod",
        "GOSUMDB": "off",
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "builder.yaml"
    config.write_text(recipe.replace("dist:\n", f"dist:\n  output_path: {folder}\n", 1), "utf-8")
    print(f"building the Collector {VERSION} into {folder}; this takes minutes, once", flush=True)
    builder = f"go.opentelemetry.io/collector/cmd/builder@v{VERSION}"
    _run([go, "install", builder], environment)
    _run([str(_TARGET / "bin" / "builder"), f"--config={config}"], environment)
    return binary


def total(metrics_page: str, name: str) -> int:
    """Add up every series of one counter on a Prometheus page; 0 where it does not appear."""
    samples = re.findall(rf"^{name}(?:_total)?(?:\{{[^}}]*\}})? (\S+)$", metrics_page, re.MULTILINE)
    return int(sum(map(float, samples)))


def _run(command: list[str], environment: dict[str, str]) -> None:
    log = _TARGET / "build.log"
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_BUILD_WITHIN_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    if code != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise CollectorError(
            f"`{Path(command[0]).name}` failed ({code}): {' '.join(last)}; see {log}"
        )
