"""Finding, loading and choosing the native kernels."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.native import library, library_path, select_instruction_set
from nvfp4_ddim_optimizer.nvfp4 import dequantize_matrix

MODULE = sys.modules[library.__module__]

needs_kernels = pytest.mark.skipif(library_path() is None, reason="the kernels are not built")


@pytest.fixture
def another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which the library is looked for instead."""
    monkeypatch.setattr(MODULE, "_FOLDER", tmp_path)
    library.cache_clear()
    yield tmp_path
    library.cache_clear()


@needs_kernels
def test_an_instruction_set_can_be_chosen() -> None:
    kernels = library()
    assert kernels is not None
    best, *_, last = [*kernels.instruction_sets, "baseline"]
    assert kernels.instruction_set == best
    select_instruction_set(last)
    assert kernels.instruction_set == "baseline"
    select_instruction_set(None)
    assert kernels.instruction_set == best
    with pytest.raises(InvalidInputError, match=r"no native kernels for 'mmx'; .*'baseline'"):
        select_instruction_set("mmx")


@pytest.mark.usefixtures("another_folder")
def test_without_a_library_one_warning_and_plain_torch() -> None:
    codes = torch.full((2, 8), 0x2A, dtype=torch.uint8)
    scales = torch.ones(2, 1).to(torch.float8_e4m3fn)
    with pytest.warns(RuntimeWarning, match="without native kernels.*build_ext"):
        values = dequantize_matrix(codes, scales, torch.tensor(2.0), dtype=torch.float32)
    assert values[0].tolist() == [-2.0, 2.0] * 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert library() is None
        with pytest.raises(InvalidInputError, match="available"):
            select_instruction_set(None)


def test_a_broken_library_is_not_used(another_folder: Path) -> None:
    name = MODULE.importlib.machinery.EXTENSION_SUFFIXES[0]
    (another_folder / f"_kernels{name}").write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match="can't be used"):
        assert library() is None


@needs_kernels
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_torch_and_the_kernels_share_one_openmp_runtime() -> None:
    """Two runtimes would mean two pools of threads that fight for the processors."""
    program = (
        "from nvfp4_ddim_optimizer.native import library; k = library(); assert k.has_threads\n"
        "import pathlib; print(pathlib.Path('/proc/self/maps').read_text())"
    )
    maps = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    files = {line.split()[-1] for line in maps.splitlines() if "/" in line}
    assert any("_kernels" in file for file in files)
    assert len([file for file in files if "gomp" in file or "iomp" in file]) == 1
