"""What a figure depends on besides the code: the machine and the versions."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench import collector
from spanmill import _core


def describe() -> dict[str, str]:
    """List machine and versions, in the order in which a person would ask for them."""
    return {
        **base(),
        "grpcio": version("grpcio"),
        "Collector": f"{collector.VERSION}, {_first_line('go', 'version')}",
    }


def base() -> dict[str, str]:
    """List what every bench depends on."""
    core = _core.build_info()
    return {
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at start": f"{os.getloadavg()[0]:.2f}",
        "spanmill": f"{core['version']}, {core['profile']}, {_commit()}",
        "rustc": _first_line("rustc", "--version"),
        "Python": platform.python_version(),
    }


def cpu_model() -> str:
    """Name the CPU as the kernel does."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def slug() -> str:
    """Name the machine in a folder name: CPU and number of cores, never its host name."""
    model = re.sub(r"[^a-z0-9]+", "-", cpu_model().lower()).strip("-")
    return f"{model}-{os.cpu_count()}-cores"


def _commit() -> str:
    commit = _first_line("git", "rev-parse", "--short", "HEAD")
    changed = _first_line("git", "status", "--porcelain", "--", "rust", "python", "bench")
    return f"commit {commit}" + (" with changes" if changed not in ("", "unknown") else "")


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        return "unknown"
    return ran.stdout.partition("\n")[0].strip()
