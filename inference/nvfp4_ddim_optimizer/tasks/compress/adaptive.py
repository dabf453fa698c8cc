"""An adaptive binary range coder: probabilities are learnt while coding, from both sides alike.

The arithmetic is that of LZMA's coder (32-bit range, carry propagation, 16-bit probabilities),
with a learning rate that falls with the number of times a context was seen, as in JBIG2's and
PAQ's state machines. All numbers are whole.
"""

from typing import Protocol

__all__ = ["BinaryCoder", "BinaryDecoder", "BinaryEncoder"]

_TOP = 1 << 24
_MASK = 0xFFFFFFFF
_HALF = 1 << 15
# How far a probability moves, 1/2**shift, after it was seen this often.
_SHIFTS = (1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6)
_LOWEST, _HIGHEST = 24, 65512


class _Contexts:
    """Probability of a 1 in each context, times 2**16, and how often it was seen."""

    def __init__(self, count: int) -> None:
        self.probability = [_HALF] * count
        self.seen = [0] * count

    def update(self, context: int, bit: int) -> None:
        seen = self.seen[context]
        shift = _SHIFTS[seen]
        if seen < len(_SHIFTS) - 1:
            self.seen[context] = seen + 1
        old = self.probability[context]
        new = old + ((65536 - old) >> shift) if bit else old - (old >> shift)
        self.probability[context] = min(max(new, _LOWEST), _HIGHEST)


class BinaryCoder(Protocol):
    """Either direction: the decoder ignores the bit that it is given."""

    def code(self, context: int, bit: int) -> int:
        """Code a bit in a context; the bit that was coded."""


class BinaryEncoder:
    """Bits to bytes."""

    def __init__(self, contexts: int) -> None:
        """Args: contexts: how many there are."""
        self._contexts = _Contexts(contexts)
        self._low, self._range = 0, _MASK
        self._cache, self._pending = 0, 0
        self._bytes = bytearray()
        self._first = True

    def code(self, context: int, bit: int) -> int:
        """Write a bit."""
        bound = (self._range >> 16) * self._contexts.probability[context]
        if bit:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        self._contexts.update(context, bit)
        while self._range < _TOP:
            self._range = (self._range << 8) & _MASK
            self._shift()
        return bit

    def _shift(self) -> None:
        if self._low < 0xFF000000 or self._low > _MASK:
            carry = self._low >> 32
            if not self._first:
                self._bytes.append((self._cache + carry) & 0xFF)
            self._first = False
            self._bytes.extend(bytes([(0xFF + carry) & 0xFF]) * self._pending)
            self._pending = 0
            self._cache = (self._low >> 24) & 0xFF
        else:
            self._pending += 1
        self._low = (self._low << 8) & _MASK

    def finish(self) -> bytes:
        """The bytes; trailing zeros are left out, the decoder puts them back."""
        for _ in range(5):
            self._shift()
        return bytes(self._bytes).rstrip(b"\0")


class BinaryDecoder:
    """Bytes to bits."""

    def __init__(self, stream: bytes, contexts: int) -> None:
        """Args: stream: from BinaryEncoder.finish; contexts: as many as the encoder had."""
        self._contexts = _Contexts(contexts)
        self._stream = stream
        self._range, self._position = _MASK, 4
        self._value = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")

    def code(self, context: int, bit: int = 0) -> int:  # noqa: ARG002 - the encoder's argument
        """Read a bit."""
        bound = (self._range >> 16) * self._contexts.probability[context]
        if self._value < bound:
            self._range, found = bound, 1
        else:
            self._value -= bound
            self._range -= bound
            found = 0
        self._contexts.update(context, found)
        while self._range < _TOP:
            self._range = (self._range << 8) & _MASK
            self._value = ((self._value << 8) | self._next()) & _MASK
        return found

    def _next(self) -> int:
        position = self._position
        self._position += 1
        return self._stream[position] if position < len(self._stream) else 0
