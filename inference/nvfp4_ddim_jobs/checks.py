"""Looking at a dropped model before hours are spent on it."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from nvfp4_ddim_contracts.incoming import (
    ORDER_NAME,
    PICKLE_SUFFIXES,
    QuantizationProblemCode,
    QuantizationTask,
)

from .errors import RefusedModelError

__all__ = ["check_files", "check_weights"]

_CHUNK = 2**24


def check_files(model: Path, task: QuantizationTask) -> None:
    """Compare what was downloaded with what was looked at before.

    Raises:
        RefusedModelError: A file is missing, new or of another size, or is a pickle.
    """
    found = {
        path.relative_to(model).as_posix(): path.stat().st_size
        for path in model.rglob("*")
        if path.is_file()
    }
    # The order may have been dropped again meanwhile; the one that counts is in the task.
    found.pop(ORDER_NAME, None)
    expected = {file.path: file.bytes for file in task.files}
    if found != expected:
        changed = sorted(
            path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)
        )
        raise RefusedModelError(
            QuantizationProblemCode.MODEL_CHANGED,
            f"The model was changed while it was being read: {', '.join(changed[:5])}. Upload "
            f"all files first and {ORDER_NAME} last, and leave them alone until the report is "
            "there.",
        )
    for path in found:
        if Path(path).suffix.lower() in PICKLE_SUFFIXES:
            raise RefusedModelError(
                QuantizationProblemCode.PICKLE, f"{path} is a pickle; upload safetensors only."
            )


def check_weights(model: Path) -> None:
    """Read every weight once, one tensor at a time.

    Raises:
        RefusedModelError: A file is no safetensors file, or a weight is not finite.
    """
    for path in sorted(model.rglob("*.safetensors")):
        name = path.relative_to(model).as_posix()
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - it is no mapping
                    if not _is_finite(file.get_tensor(key)):
                        raise RefusedModelError(
                            QuantizationProblemCode.NOT_FINITE,
                            f"{name}: the tensor {key} holds numbers that are infinite or not "
                            "numbers. The training that made it diverged, or the file is damaged.",
                        )
        except SafetensorError as error:
            raise RefusedModelError(
                QuantizationProblemCode.INVALID_INPUT, f"{name} is no safetensors file: {error}"
            ) from error


def _is_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # In pieces: isfinite makes a second tensor of the same number of elements.
    return all(bool(torch.isfinite(part).all()) for part in torch.split(tensor.reshape(-1), _CHUNK))
