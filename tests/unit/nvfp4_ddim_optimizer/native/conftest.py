"""What the tests of native kernels share."""

from collections.abc import Iterator

import pytest
import torch

from nvfp4_ddim_optimizer.native import Library, library_path, select_instruction_set


def _instruction_sets() -> tuple[str, ...]:
    path = library_path()
    return ("unavailable",) if path is None else Library(path).instruction_sets


@pytest.fixture(scope="module", params=_instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each one that this processor has, forced."""
    if request.param == "unavailable":
        pytest.skip("the native kernels are not built: python setup.py build_ext --inplace")
    select_instruction_set(request.param)
    yield request.param
    select_instruction_set(None)


@pytest.fixture(scope="module", params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Numbers of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
