"""Range coding of whole numbers with integer frequency tables (constriction)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvfp4_ddim_optimizer.errors import BitstreamError, ModelNotSupportedError

__all__ = [
    "FREQUENCY_TOTAL",
    "MAX_MAGNITUDE",
    "FrequencyTables",
    "SymbolReader",
    "SymbolWriter",
    "constriction",
    "split_tables",
]

FREQUENCY_TOTAL = 1 << 16
"""Sum of a table's frequencies: their shares are exact in floating point."""

MAX_MAGNITUDE = 2047
"""Of a symbol."""

_ESCAPE_BITS = 11


def constriction() -> Any:
    """The entropy coder.

    Raises:
        ModelNotSupportedError: It is not installed.
    """
    try:
        import constriction as package
    except ImportError as error:
        raise ModelNotSupportedError(
            "compressing pictures needs the package constriction: "
            "pip install 'nvfp4-ddim-optimizer[compress]'"
        ) from error
    return package


class FrequencyTables:
    """One table for each class: symbols -radius … radius, then an escape for all others."""

    def __init__(self, frequencies: NDArray[np.int64], radii: NDArray[np.int64]) -> None:
        """Take tables.

        Args:
            frequencies: All tables one after the other, each of 2 * radius + 2 numbers.
            radii: One for each table.
        """
        self.radii = radii.astype(np.int64)
        ends = np.cumsum(2 * self.radii + 2)
        self.tables = np.split(frequencies.astype(np.int64), ends[:-1])
        self._models: dict[int, Any] = {}
        width = 2 * int(self.radii.max()) + 2
        self._bits = np.full((len(self.tables), width), np.nan)
        for index, table in enumerate(self.tables):
            self._bits[index, : len(table)] = -np.log2(table / FREQUENCY_TOTAL)

    def model(self, index: int) -> Any:
        """constriction's model of a table."""
        if index not in self._models:
            shares = self.tables[index] / FREQUENCY_TOTAL
            categorical = constriction().stream.model.Categorical
            self._models[index] = categorical(shares, perfect=False)
        return self._models[index]

    def bits(self, symbols: NDArray[np.int64], classes: NDArray[np.intp]) -> float:
        """About how many bits symbols take, without coding them."""
        radius = self.radii[classes]
        escaped = np.abs(symbols) > radius
        column = np.where(escaped, 2 * radius + 1, symbols + radius)
        return float(self._bits[classes, column].sum() + (_ESCAPE_BITS + 1) * escaped.sum())


def _by_class(classes: NDArray[np.intp]) -> Sequence[tuple[int, NDArray[np.intp]]]:
    """Each class that occurs, with the flat positions where it does, in order."""
    flat = classes.ravel()
    return [(int(index), np.nonzero(flat == index)[0]) for index in np.unique(flat)]


class SymbolWriter:
    """Codes arrays of whole numbers, one after the other."""

    def __init__(self) -> None:
        """Begin an empty stream."""
        self._encoder = constriction().stream.queue.RangeEncoder()
        self._uniform = constriction().stream.model.Uniform(2 << _ESCAPE_BITS)

    def write(
        self, symbols: NDArray[np.int64], classes: NDArray[np.intp], tables: FrequencyTables
    ) -> None:
        """Code symbols with the tables that their classes name."""
        flat = symbols.ravel()
        for index, where in _by_class(classes):
            radius = int(tables.radii[index])
            values = flat[where]
            escaped = np.abs(values) > radius
            coded = np.where(escaped, 2 * radius + 1, values + radius)
            self._encoder.encode(coded.astype(np.int32), tables.model(index))
            if escaped.any():
                rest = values[escaped] + (1 << _ESCAPE_BITS)
                self._encoder.encode(rest.astype(np.int32), self._uniform)

    def finish(self) -> bytes:
        """The stream. Trailing zeros are left out; the reader puts them back."""
        words = self._encoder.get_compressed()
        return bytes(words.astype("<u4").tobytes().rstrip(b"\0"))


class SymbolReader:
    """Reads what a SymbolWriter wrote."""

    def __init__(self, stream: bytes) -> None:
        """Args: stream: from SymbolWriter.finish."""
        padded = stream + bytes(-len(stream) % 4)
        words = np.frombuffer(padded, "<u4").astype(np.uint32)
        self._decoder = constriction().stream.queue.RangeDecoder(words)
        self._uniform = constriction().stream.model.Uniform(2 << _ESCAPE_BITS)

    def read(self, classes: NDArray[np.intp], tables: FrequencyTables) -> NDArray[np.int64]:
        """Symbols, in the shape of their classes.

        Raises:
            BitstreamError: The stream is no such stream.
        """
        symbols = np.zeros(classes.size, np.int64)
        try:
            for index, where in _by_class(classes):
                radius = int(tables.radii[index])
                coded = self._decoder.decode(tables.model(index), len(where)).astype(np.int64)
                values, escaped = coded - radius, coded == 2 * radius + 1
                if escaped.any():
                    rest = self._decoder.decode(self._uniform, int(escaped.sum()))
                    values[escaped] = rest.astype(np.int64) - (1 << _ESCAPE_BITS)
                symbols[where] = values
        except AssertionError as error:
            raise BitstreamError("the coded picture is damaged: it can't be decoded") from error
        return symbols.reshape(classes.shape)


def split_tables(tables: Mapping[str, NDArray[np.generic]], name: str) -> FrequencyTables:
    """The frequency tables `<name>_frequencies` and `<name>_radii` of a model."""
    return FrequencyTables(
        tables[f"{name}_frequencies"].astype(np.int64), tables[f"{name}_radii"].astype(np.int64)
    )
