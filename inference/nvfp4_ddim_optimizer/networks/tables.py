"""Constant tensors that belong to a model: statistics, entropy tables, linear heads."""

from collections.abc import Mapping

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Tables"]

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.int64, torch.int32, torch.int16, torch.uint8)
}


class Tables(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Named tensors that are stored exactly, whatever the rest of the model is stored in.

    Example:
        >>> tables = Tables.of({"mean": torch.zeros(8), "counts": torch.arange(256)})
        >>> tables["mean"]
    """

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, tensors: Mapping[str, tuple[str, list[int]]] | None = None) -> None:
        """Make room for tensors.

        Args:
            tensors: Name -> (dtype, shape); dtypes are float32, int64, int32, int16 and uint8.

        Raises:
            InvalidInputError: A dtype is another one.
        """
        super().__init__()
        for name, (dtype, shape) in (tensors or {}).items():
            if dtype not in _DTYPES:
                raise InvalidInputError(
                    f"table {name!r} is of dtype {dtype!r}; {', '.join(_DTYPES)} can be stored"
                )
            self.register_buffer(name, torch.zeros(shape, dtype=_DTYPES[dtype]))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Tables":
        """Tables that hold these tensors.

        Raises:
            InvalidInputError: A tensor's dtype can't be stored.
        """
        shapes = {
            name: (str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
            for name, tensor in tensors.items()
        }
        tables: Tables = cls(shapes)
        for name, tensor in tensors.items():
            getattr(tables, name).copy_(tensor)
        return tables

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of a name.

        Raises:
            AttributeError: There is none.
        """
        tensor: Tensor = self.get_buffer(name)
        return tensor

    def __contains__(self, name: object) -> bool:
        """Whether there is a tensor of a name."""
        return name in self._buffers
