"""Claims: numbers that the docs state, with the command and the machine that gave them.

`docs/benchmarks/<topic>.json` is a list of claims; `docs/benchmarks/README.md` is made from them by
`python -m benchmarks.page`.
"""

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

__all__ = ["DOCS", "Claim", "machine", "write_claims"]

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"


@dataclass(frozen=True)
class Claim:
    """One measured number.

    Attributes:
        id: Its name.
        value: What was measured.
        unit: "bytes" and "s" are written for people on the page; others as they are.
        goal: What was promised; None where nothing was.
        better: Which side of the goal is good.
        note: What was measured, and where a goal is missed, what was tried.
        group: Claims of a topic with the same group share a table.
    """

    id: str
    value: float
    unit: str
    goal: float | None
    better: Literal["lower", "higher"]
    note: str = ""
    group: str = ""


def machine() -> str:
    """The machine in words: processor, cores, memory."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    cores = psutil.cpu_count() or 1
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{cpu}, {cores} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.machine()}"


def write_claims(topic: str, command: str, claims: list[Claim], docs: Path = DOCS) -> Path:
    """Write `<docs>/<topic>.json`.

    Args:
        topic: File name without its suffix.
        command: How anyone makes these numbers again.
        claims: What was measured.
        docs: The folder; tests and smoke runs have their own.

    Returns:
        The file's path.
    """
    common = {
        "command": command,
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    docs.mkdir(parents=True, exist_ok=True)
    path = docs / f"{topic}.json"
    path.write_text(json.dumps([asdict(claim) | common for claim in claims], indent=2) + "\n")
    return path
