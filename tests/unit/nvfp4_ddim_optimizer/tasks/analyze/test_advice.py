"""The table of advice is complete."""

import json
from importlib.resources import files

import pytest

from nvfp4_ddim_contracts.tasks.analyze import Finding
from nvfp4_ddim_optimizer.tasks.analyze.advice import advice_for


@pytest.mark.parametrize("finding", list(Finding))
def test_every_finding_has_advice(finding: Finding) -> None:
    advice = advice_for(finding)
    assert advice.title
    assert advice.cause
    assert len(advice.steps) >= 3
    assert "local adviser" in advice.note
    assert finding is Finding.NOT_SURE or advice.sources


def test_every_source_is_cited_and_has_an_address() -> None:
    package = files("nvfp4_ddim_optimizer.tasks.analyze")
    table = json.loads(package.joinpath("advice.json").read_text("utf-8"))
    cited = {key for entry in table["advice"].values() for key in entry["sources"]}
    assert cited == set(table["sources"])
    assert all(source["url"].startswith("http") for source in table["sources"].values())
