import pytest
import torch

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.networks import Tables


def test_holds_what_it_was_made_of() -> None:
    counts = torch.tensor([1, 2, 2**31 - 1], dtype=torch.int32)
    tables = Tables.of({"counts": counts, "scale": torch.tensor(1 / 3)})
    assert torch.equal(tables["counts"], counts)
    assert tables["scale"].item() == torch.tensor(1 / 3).item()
    assert "counts" in tables
    assert "other" not in tables


def test_refuses_what_it_would_not_keep_exactly() -> None:
    with pytest.raises(InvalidInputError, match="bfloat16"):
        Tables.of({"mean": torch.zeros(1, dtype=torch.bfloat16)})
