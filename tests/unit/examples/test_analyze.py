"""The example runs on the bundled sample."""

import json
from pathlib import Path

import pytest

from examples.analyze import main


def test_it_reports_on_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(out=tmp_path)
    assert "late_blight" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["finding"] == "late_blight"
    assert {p.name for p in tmp_path.iterdir()} == {"heat_map.png", "overlay.png", "report.json"}
