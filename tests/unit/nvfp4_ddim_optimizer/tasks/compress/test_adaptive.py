import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nvfp4_ddim_optimizer.tasks.compress.adaptive import BinaryDecoder, BinaryEncoder

CONTEXTS = 5


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, CONTEXTS - 1), st.integers(0, 1)), max_size=400))
def test_bits_come_back(bits: list[tuple[int, int]]) -> None:
    encoder = BinaryEncoder(CONTEXTS)
    for context, bit in bits:
        encoder.code(context, bit)
    decoder = BinaryDecoder(encoder.finish(), CONTEXTS)
    assert [(context, decoder.code(context)) for context, _ in bits] == bits


def test_long_streams_with_carries_come_back() -> None:
    """Very likely and very unlikely bits drive the coder's interval to its ends."""
    rng = np.random.default_rng(0)
    bits = [
        (i % CONTEXTS, int(rng.random() < (0.001, 0.999, 0.5, 0.97, 0.03)[i % CONTEXTS]))
        for i in range(60_000)
    ]
    encoder = BinaryEncoder(CONTEXTS)
    for context, bit in bits:
        encoder.code(context, bit)
    stream = encoder.finish()
    decoder = BinaryDecoder(stream, CONTEXTS)
    assert [decoder.code(context) for context, _ in bits] == [bit for _, bit in bits]
    # Entropies 0.011, 0.011, 1, 0.194, 0.194 bits: 0.282 on average.
    assert len(stream) * 8 < 60_000 * 0.282 * 1.08


def test_likely_bits_take_almost_nothing() -> None:
    encoder = BinaryEncoder(1)
    for _ in range(10_000):
        encoder.code(0, 0)
    assert len(encoder.finish()) < 25
