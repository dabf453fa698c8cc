import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.errors import BitstreamError
from nvfp4_ddim_optimizer.tasks.compress.symbols import (
    FREQUENCY_TOTAL,
    MAX_MAGNITUDE,
    FrequencyTables,
    SymbolReader,
    SymbolWriter,
)

pytest.importorskip("constriction")


def _tables() -> FrequencyTables:
    radii = np.array([1, 3])
    narrow = [10, FREQUENCY_TOTAL - 25, 10, 5]
    wide = [100, 200, 3000, FREQUENCY_TOTAL - 6610, 3000, 200, 100, 10]
    return FrequencyTables(np.array(narrow + wide), radii)


symbols = st.lists(
    st.tuples(
        st.one_of(st.integers(-2, 2), st.integers(-MAX_MAGNITUDE, MAX_MAGNITUDE)),
        st.integers(0, 1),
    ),
    max_size=80,
)


@settings(max_examples=40, deadline=None)
@given(symbols, symbols)
def test_symbols_come_back(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    tables, writer, arrays = _tables(), SymbolWriter(), []
    for part in (first, second):
        values = np.array([value for value, _ in part], np.int64)
        classes = np.array([index for _, index in part], np.intp)
        writer.write(values, classes, tables)
        arrays.append((values, classes))
    reader = SymbolReader(writer.finish())
    for values, classes in arrays:
        np.testing.assert_array_equal(reader.read(classes, tables), values)


def test_the_estimate_is_what_coding_takes() -> None:
    tables, rng = _tables(), np.random.default_rng(0)
    classes = rng.integers(0, 2, (8, 500))
    values = np.where(rng.random((8, 500)) < 0.05, rng.integers(-4, 5, (8, 500)), 0)
    writer = SymbolWriter()
    writer.write(values, classes, tables)
    assert 8 * len(writer.finish()) == pytest.approx(tables.bits(values, classes), rel=0.02)


def test_a_damaged_stream_gives_other_symbols_or_an_error() -> None:
    tables, rng = _tables(), np.random.default_rng(0)
    classes = rng.integers(0, 2, 2000)
    values = np.where(rng.random(2000) < 0.1, rng.integers(-3, 4, 2000), 0)
    writer = SymbolWriter()
    writer.write(values, classes, tables)
    stream = bytearray(writer.finish())
    stream[10] ^= 0xFF
    try:
        damaged = SymbolReader(bytes(stream)).read(classes, tables)
    except BitstreamError:
        return
    assert not np.array_equal(damaged, values)
