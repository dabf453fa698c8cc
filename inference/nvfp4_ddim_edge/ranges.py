"""Which bytes of a file are there: sets of half-open ranges [start, end)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

__all__ = ["ByteRange", "Ranges"]

ByteRange = tuple[int, int]


@dataclass(frozen=True)
class Ranges:
    """Ranges in ascending order that neither overlap nor touch."""

    spans: tuple[ByteRange, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[ByteRange]) -> Self:
        """Order and merge any ranges; empty ones vanish.

        Raises:
            ValueError: One begins below zero or after its end.
        """
        merged: list[ByteRange] = []
        for start, end in sorted(spans):
            if not 0 <= start <= end:
                raise ValueError(f"[{start}, {end}) is no range of bytes")
            if start == end:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return cls(tuple(merged))

    @property
    def total(self) -> int:
        """Bytes in all ranges together."""
        return sum(end - start for start, end in self.spans)

    def with_range(self, start: int, end: int) -> Self:
        """These and one more."""
        return self.of((*self.spans, (start, end)))

    def missing(self, size: int, chunk_bytes: int) -> Iterator[ByteRange]:
        """What a file of `size` bytes lacks, in pieces of at most `chunk_bytes`."""
        position = 0
        for start, end in (*self.spans, (size, size)):
            while position < start:
                piece_end = min(position + chunk_bytes, start)
                yield position, piece_end
                position = piece_end
            position = max(position, end)
