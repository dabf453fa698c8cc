"""The wheel is what a laptop user installs: it must carry a working model and no AWS."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_every_file_of_the_bundled_model_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    packages = ROOT / "inference"
    bundled = packages / "nvfp4_ddim_optimizer" / "bundled"
    expected = {p.relative_to(packages).as_posix() for p in bundled.rglob("*") if p.is_file()}
    assert any(name.endswith("manifest.json") for name in expected)
    assert expected <= set(wheel.namelist())


@pytest.mark.slow
def test_the_library_needs_no_aws(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    requirements = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist") or []
    core = {line.split(";")[0].strip() for line in requirements if "extra ==" not in line}
    assert any(line.startswith("torch") for line in core)
    assert not any(line.startswith(("boto", "aws", "moto", "starlette")) for line in core)
    top_level = {name.split("/")[0] for name in wheel.namelist()}
    assert top_level.isdisjoint({"lambdas", "infra", "local", "tests", "training"})
