"""Do the comparison of speeds and the page still work? A tiny run, in under a minute, thrown away.

The bundled model at its native size stands in for Stable Diffusion: numbers say nothing here, only
whether they are sane.

Run: python -m benchmarks.smoke
"""

import json
import tempfile
import time
from pathlib import Path

from benchmarks.claims import DOCS
from benchmarks.page import write_page
from benchmarks.peers.client import Arena
from benchmarks.peers.registry import BASELINE
from benchmarks.speed import PICTURES, measure
from benchmarks.speed_report import write_report

__all__ = ["main"]

_MODEL = Path(__file__).parents[1] / "models" / "emoji-64"
_SIZE, _THREADS, _ROUNDS = 64, 1, 3
_SANE_RATIOS = (0.02, 50.0)
_SANE_BYTES = (100e6, 8e9)


class SmokeError(AssertionError):
    """A benchmark ran and gave something that can't be."""


def _check(claims: dict[str, float]) -> None:
    expected = {
        "step_ratio_vs_diffusers_fp32": _SANE_RATIOS,
        "image_ratio_balanced_vs_50step_fp32": _SANE_RATIOS,
        "step_peak_bytes_ours": _SANE_BYTES,
        "step_peak_bytes_diffusers": _SANE_BYTES,
    }
    for name, (least, most) in expected.items():
        if name not in claims:
            raise SmokeError(f"no claim {name}")
        if not least <= claims[name] <= most:
            raise SmokeError(f"{name} = {claims[name]:g} lies outside {least:g} to {most:g}")
        print(f"  {name} {claims[name]:.4g}")


def _speed(work: Path, docs: Path) -> None:
    arena = Arena(_MODEL, work, _SIZE, _THREADS)
    records = measure(arena, [BASELINE, PICTURES], rounds=_ROUNDS, full=False, again=True)
    for name, record in records.items():
        if "failed" in record:
            log = "".join(f"\n{path}:\n{path.read_text()}" for path in work.glob("*.log"))
            raise SmokeError(f"{name}: {record['failed']}{log}")
    path = write_report(records, "python -m benchmarks.smoke", docs)
    _check({claim["id"]: claim["value"] for claim in json.loads(path.read_text())})


def _page(docs: Path) -> None:
    """The published claims make a page, and so do the ones just measured."""
    for path in DOCS.glob("*.json"):
        if not (docs / path.name).exists():
            (docs / path.name).write_text(path.read_text())
    page = write_page(docs).read_text()
    for wanted in ("step_ratio_vs_diffusers_fp32", "speed_steps.png"):
        if wanted not in page:
            raise SmokeError(f"{wanted} is not on the page")


def main() -> None:
    """Measure something tiny, and make the page."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-smoke-") as folder:
        work, docs = Path(folder, "work"), Path(folder, "docs")
        work.mkdir()
        docs.mkdir()
        _speed(work, docs)
        _page(docs)
    print(f"speeds are measured and give sane numbers: {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
