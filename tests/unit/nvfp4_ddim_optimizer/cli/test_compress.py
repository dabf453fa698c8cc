"""`nvfp4-ddim compress` and `decompress`, from file to file."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from nvfp4_ddim_optimizer.cli.app import app

pytest.importorskip("constriction")

runner = CliRunner()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = Image.linear_gradient("L").resize((160, 128)).convert("RGB")
    ImageDraw.Draw(image).ellipse((30, 30, 90, 90), (180, 60, 40))
    image.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_there_and_back(picture: Path) -> None:
    done = runner.invoke(app, ["compress", str(picture), "-b", "0.4", "-q", "strict", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    packed = picture.with_suffix(".ndpc")
    assert report["compressed_bytes"] == packed.stat().st_size <= 0.4 * 160 * 128 / 8 + 1
    shown = picture.with_name("shown.png")
    done = runner.invoke(app, ["decompress", str(packed), "-o", str(shown), "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert Image.open(shown).size == (160, 128)
    assert "160×128" in done.stdout
    assert not list(picture.parent.glob(".*part"))


def test_wrong_usage_is_explained(picture: Path) -> None:
    for arguments, message in (
        (["compress", "missing.png"], "there is no file"),
        (["decompress", str(picture)], "no compressed picture"),
        (["decompress", str(picture), "-o", "shown.jpg"], "end the name in .png"),
        (["decompress", str(picture), "-q", "best"], "as_encoded"),
    ):
        done = runner.invoke(app, arguments)
        assert done.exit_code == 2
        assert message in " ".join(done.output.split())
