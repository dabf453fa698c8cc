"""The curated table of advice."""

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from nvfp4_ddim_contracts.tasks.analyze import Advice, Finding, Source

__all__ = ["advice_for"]


def advice_for(finding: Finding) -> Advice:
    """What to do about a finding, with where the advice comes from."""
    table = _table()
    entry = table["advice"][finding.value]
    return Advice(
        title=entry["title"],
        cause=entry["cause"],
        steps=tuple(entry["steps"]),
        sources=tuple(Source(**table["sources"][key]) for key in entry["sources"]),
        note=table["note"],
    )


@lru_cache(maxsize=1)
def _table() -> Any:
    return json.loads(files(__package__).joinpath("advice.json").read_text("utf-8"))
