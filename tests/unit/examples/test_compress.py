from pathlib import Path

import pytest
from PIL import Image

from examples.compress import main

pytest.importorskip("constriction")


def test_pictures_arrive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path)
    printed = capsys.readouterr().out
    assert "as photo" in printed
    assert "as page" in printed
    for name in ("portrait-base", "portrait-refined", "notice-base"):
        assert Image.open(tmp_path / f"{name}.png").size[0] in {480, 512}
    assert (tmp_path / "portrait.ndpc").stat().st_size <= 1.05 * 0.1 * 512 * 600 / 8
