"""Finding and loading the compiled kernels.

The library has a plain C interface and is built with the package (`setup.py`), where there is a
compiler. Its OpenMP runtime is the one that torch has loaded already, so torch is imported first.
"""

import ctypes
import importlib.machinery
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nvfp4_ddim_optimizer.errors import InvalidInputError

__all__ = ["Library", "library", "library_path", "select_instruction_set"]

_FOLDER = Path(__file__).parent
_STEM = "_kernels"
_POINTER, _INT64, _INT32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
_ALIGNMENT = 16  # floats: a cache line, and the widest vector


class _Search(ctypes.Structure):
    """`Nvfp4Search` in csrc/api.h."""

    _fields_ = (
        ("blocks", _POINTER),
        ("importance", _POINTER),
        ("bases", _POINTER),
        ("tables", _POINTER),
        ("count", _INT64),
        ("first_step", _INT32),
        ("steps", _INT32),
        ("codes", _POINTER),
        ("scales", _POINTER),
    )


_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "nvfp4_instruction_sets": (ctypes.c_char_p, []),
    "nvfp4_instruction_set": (ctypes.c_char_p, []),
    "nvfp4_select": (ctypes.c_bool, [ctypes.c_char_p]),
    "nvfp4_has_threads": (ctypes.c_bool, []),
    "nvfp4_dequantize": (
        None,
        [_POINTER, _POINTER, _POINTER, _INT64, _INT32, _POINTER, _INT32],
    ),
    "nvfp4_search_blocks": (None, [ctypes.POINTER(_Search), _INT32]),
    "nvfp4_convolve_scratch": (_INT64, [_POINTER, _INT32]),
    "nvfp4_convolve": (None, [*[_POINTER] * 8, _INT32]),
    "nvfp4_convolve_dense": (None, [*[_POINTER] * 6, _INT32]),
    "nvfp4_attend_scratch": (_INT64, [_POINTER, _INT32]),
    "nvfp4_attend": (None, [*[_POINTER] * 6, _INT32]),
}
_FORMATS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


class _Convolution(ctypes.Structure):
    _fields_: ClassVar = [(name, _INT64) for name in ("n", "h", "w", "c", "o")]


class _Attention(ctypes.Structure):
    """`Nvfp4Attention` in csrc/api.h."""

    _fields_: ClassVar = [
        *((name, _INT64) for name in ("batch", "heads", "queries", "keys", "width", "values")),
        *((name, _INT64 * 3) for name in ("q_stride", "k_stride", "v_stride")),
        ("scale", ctypes.c_float),
    ]


class Library:
    """The compiled kernels. Arguments are checked by the callers in this package only.

    Attributes:
        path: The file that was loaded.
    """

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
            OSError: It is no library for this machine.
            AttributeError: It is a library of another version, which lacks a function.
        """
        self.path = path
        self._functions = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._functions, name)
            function.restype, function.argtypes = result, arguments

    @property
    def instruction_sets(self) -> tuple[str, ...]:
        """What the library was built for and this processor can run, best first."""
        return tuple(self._functions.nvfp4_instruction_sets().decode().split(","))

    @property
    def instruction_set(self) -> str:
        """The one in use."""
        return str(self._functions.nvfp4_instruction_set().decode())

    @property
    def has_threads(self) -> bool:
        """Whether the kernels use several threads."""
        return bool(self._functions.nvfp4_has_threads())

    def select(self, name: str | None) -> bool:
        """Use one of `instruction_sets` from now on; None: the best. False: not to be had."""
        return bool(self._functions.nvfp4_select(None if name is None else name.encode()))

    def dequantize(self, codes: Tensor, scales: Tensor, global_scale: Tensor, out: Tensor) -> None:
        """Dequantise into `out`. All tensors are of the CPU and contiguous.

        Args:
            codes: uint8 [rows, K_pad / 2].
            scales: float8_e4m3fn [rows, K_pad / 16].
            global_scale: float32 [].
            out: [rows, K_pad], float32, float16 or bfloat16.
        """
        self._functions.nvfp4_dequantize(
            codes.data_ptr(),
            scales.data_ptr(),
            global_scale.data_ptr(),
            scales.numel(),
            _FORMATS[out.dtype],
            out.data_ptr(),
            torch.get_num_threads(),
        )

    def search_blocks(
        self,
        blocks: Tensor,
        bases: Tensor,
        importance: Tensor | None,
        tables: Tensor,
        steps: range,
    ) -> tuple[Tensor, Tensor]:
        """Choose scales and codes of blocks. All tensors are of the CPU and contiguous.

        Args:
            blocks: float32 [N, 16].
            bases: As of `nvfp4.block_search.search_reference`.
            importance: The same.
            tables: The rows of `SearchTables`, in one tensor.
            steps: E4M3 steps from the base that are tried.

        Returns:
            (codes uint8 [N, 8], scales uint8 [N]: E4M3 bytes).
        """
        count = blocks.shape[0]
        codes = torch.empty((count, 8), dtype=torch.uint8)
        scales = torch.empty(count, dtype=torch.uint8)
        search = _Search(
            blocks.data_ptr(),
            None if importance is None else importance.data_ptr(),
            bases.data_ptr(),
            tables.data_ptr(),
            count,
            steps.start,
            len(steps),
            codes.data_ptr(),
            scales.data_ptr(),
        )
        self._functions.nvfp4_search_blocks(search, torch.get_num_threads())
        return codes, scales

    def convolve(
        self,
        x: Tensor,
        packed: tuple[Tensor, Tensor, Tensor],
        bias: Tensor | None,
        out: Tensor,
    ) -> None:
        """Convolve 3x3 with stride 1 and padding 1.

        Every tensor is of the CPU and contiguous, `x` and `out` in the sense of channels_last.

        Args:
            x: float32 [N, C, H, W], C a multiple of 16.
            packed: The weight: codes uint8 [O, 9 C / 2], scales float8_e4m3fn [O, 9 C / 16],
                global scale float32 [].
            bias: float32 [O] or None.
            out: float32 [N, O, H, W].
        """
        self._convolve(self._functions.nvfp4_convolve, x, packed, bias, out)

    def convolve_dense(self, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
        """The same with a weight in float32.

        Args:
            x: float32 [N, C, H, W], C a multiple of 16.
            weight: float32 [O, C, 3, 3], contiguous as channels_last.
            bias: float32 [O] or None.
            out: float32 [N, O, H, W].
        """
        self._convolve(self._functions.nvfp4_convolve_dense, x, (weight,), bias, out)

    def _convolve(
        self,
        function: Callable[..., None],
        x: Tensor,
        weight: tuple[Tensor, ...],
        bias: Tensor | None,
        out: Tensor,
    ) -> None:
        batch, channels, height, width = x.shape
        shape = _Convolution(batch, height, width, channels, out.shape[1])
        threads = torch.get_num_threads()
        scratch = _Scratch(self._functions.nvfp4_convolve_scratch(ctypes.byref(shape), threads))
        function(
            ctypes.byref(shape),
            x.data_ptr(),
            *(part.data_ptr() for part in weight),
            None if bias is None else bias.data_ptr(),
            out.data_ptr(),
            scratch.address,
            threads,
        )

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, out: Tensor) -> None:
        """Softmax of the scaled products of queries and keys, times the values.

        Tensors are of the CPU and float32. The last dimension of queries, keys and values is
        contiguous.

        Args:
            query: [B, heads, queries, D].
            key: [B, heads, keys, D].
            value: [B, heads, keys, E].
            scale: Of the products.
            out: [B, queries, heads, E], contiguous.
        """
        batch, heads, queries, width = query.shape
        strides = [(_INT64 * 3)(*part.stride()[:3]) for part in (query, key, value)]
        shape = _Attention(
            batch, heads, queries, key.shape[2], width, value.shape[3], *strides, scale
        )
        threads = torch.get_num_threads()
        scratch = _Scratch(self._functions.nvfp4_attend_scratch(ctypes.byref(shape), threads))
        self._functions.nvfp4_attend(
            ctypes.byref(shape),
            *(part.data_ptr() for part in (query, key, value, out)),
            scratch.address,
            threads,
        )


class _Scratch:
    """Memory for a kernel to work in, aligned.

    Attributes:
        address: Of its beginning; good as long as this object is there.
    """

    def __init__(self, floats: int) -> None:
        self._memory = torch.empty(floats + _ALIGNMENT)
        self.address = self._memory.data_ptr() + 4 * (-(self._memory.data_ptr() // 4) % _ALIGNMENT)


def library_path() -> Path | None:
    """The compiled library beside this file, if it was built."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = _FOLDER / f"{_STEM}{suffix}"
        if path.exists():
            return path
    return None


@lru_cache(maxsize=1)
def library() -> Library | None:
    """The kernels, loaded once; None where there are none, with one warning that says why."""
    path = library_path()
    if path is None:
        reason = "the package was installed without a C++ compiler"
    else:
        try:
            return Library(path)
        except (OSError, AttributeError) as error:
            reason = f"{path.name} can't be used: {error}"
    warnings.warn(
        f"NVFP4 layers run without native kernels, several times slower on a CPU ({reason}). "
        "Install GCC or Clang, then reinstall the package, or run "
        "`python setup.py build_ext --inplace` in a checkout",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def select_instruction_set(name: str | None) -> None:
    """Make the kernels use a certain instruction set, for tests and measurements.

    Args:
        name: One of `Library.instruction_sets`; None: the best again.

    Raises:
        InvalidInputError: There is no such kernel, or this processor can't run it.
    """
    kernels = library()
    available = () if kernels is None else kernels.instruction_sets
    if kernels is None or not kernels.select(name):
        raise InvalidInputError(f"no native kernels for {name!r}; available: {list(available)}")
