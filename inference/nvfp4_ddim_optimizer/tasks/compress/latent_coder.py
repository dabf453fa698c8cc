"""Quantise a latent and code it; decode it to exactly the same whole numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .entropy_model import LATENT_UNITS, EntropyModel
from .integer_network import Whole
from .stages import GROUPS, HYPER_CHANNELS, HYPER_FACTOR, STAGES
from .symbols import MAX_MAGNITUDE, SymbolReader, SymbolWriter, split_tables

__all__ = ["PREVIEW_STAGES", "CodedLatent", "LatentCoder", "hyper_shape"]

PREVIEW_STAGES = 3
"""The first stages, and the hyper-latent, form a segment of their own, from which a preview can
be decoded while the rest is under way."""


@dataclass(frozen=True)
class CodedLatent:
    """A coded latent.

    Attributes:
        segments: The preview's bytes, and the rest.
        latent: [C, h, w] float64, what the decoder gets, in steps.
        symbols: All symbols in coding order, for a checksum.
    """

    segments: tuple[bytes, bytes]
    latent: Whole
    symbols: NDArray[np.int16]


def hyper_shape(height: int, width: int) -> tuple[int, int, int]:
    """Shape of the hyper-latent of a latent of [C, height, width]."""
    return HYPER_CHANNELS, -(-height // HYPER_FACTOR), -(-width // HYPER_FACTOR)


class LatentCoder:
    """Both directions, from a model's tables."""

    def __init__(self, tables: Mapping[str, NDArray[np.generic]]) -> None:
        """Args: tables: the model's constant tensors, by name."""
        self._model = EntropyModel(tables)
        self._scales = split_tables(tables, "scale")
        self._hyper = split_tables(tables, "hyper")
        self._thresholds = tables["thresholds"].astype(np.float64)
        self._firsts = np.concatenate([[0], np.cumsum(GROUPS)])

    def _round(self, difference: Whole) -> NDArray[np.int64]:
        """Whole steps; small ones fall to 0 earlier, since 0 is the cheapest symbol."""
        magnitude = np.abs(difference)
        first, others = self._thresholds
        steps = np.where(magnitude < 1, magnitude >= first, np.floor(magnitude + 1 - others))
        rounded: Whole = np.sign(difference) * np.minimum(steps, MAX_MAGNITUDE)
        return rounded.astype(np.int64)

    def _channels(self, number: int) -> slice:
        group = STAGES[number].group
        return slice(int(self._firsts[group]), int(self._firsts[group + 1]))

    def quantise(
        self, y: Whole, z: NDArray[np.int64], step_index: int
    ) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.intp]]], Whole]:
        """Round a latent, stage by stage.

        Args:
            y: [C, h, w], in steps.
            z: The hyper-latent, rounded.
            step_index: Index of the quantiser's step.

        Returns:
            Symbols and table numbers of each stage, and the latent that the decoder gets.
        """
        features = self._model.features(z, *y.shape[1:])
        decoded = np.zeros_like(y)
        stages = []
        for number in range(len(STAGES)):
            prediction, rows, columns = self._model.predict(number, features, decoded, step_index)
            channels = self._channels(number)
            target = y[channels, rows, columns]
            symbols = self._round(target - prediction.mean / LATENT_UNITS)
            decoded[channels, rows, columns] = LATENT_UNITS * symbols + prediction.mean
            stages.append((symbols, prediction.scale_class))
        return stages, decoded / LATENT_UNITS

    def bits(self, y: Whole, z: NDArray[np.int64], step_index: int) -> float:
        """About how many bits a latent takes, without coding it."""
        stages, _ = self.quantise(y, z, step_index)
        total = sum(self._scales.bits(symbols, classes) for symbols, classes in stages)
        return total + self._hyper.bits(z, _hyper_classes(z.shape))

    def encode(self, y: Whole, z: NDArray[np.int64], step_index: int) -> CodedLatent:
        """Code a latent; arguments as for `quantise`."""
        stages, latent = self.quantise(y, z, step_index)
        writer, segments = SymbolWriter(), []
        writer.write(z, _hyper_classes(z.shape), self._hyper)
        for number, (symbols, classes) in enumerate(stages):
            if number == PREVIEW_STAGES:
                segments.append(writer.finish())
                writer = SymbolWriter()
            writer.write(symbols, classes, self._scales)
        flat = [z.ravel(), *[symbols.ravel() for symbols, _ in stages]]
        return CodedLatent(
            (segments[0], writer.finish()), latent, np.concatenate(flat).astype(np.int16)
        )

    def decode(
        self, segments: tuple[bytes, bytes | None], height: int, width: int, step_index: int
    ) -> tuple[Whole, NDArray[np.int16]]:
        """Decode a latent.

        Args:
            segments: As `encode` gave them; without the second one, the latent is a preview
                whose other elements are zero.
            height: Rows of the latent.
            width: Columns of the latent.
            step_index: Index of the quantiser's step.

        Returns:
            The latent [C, h, w] in steps, and all symbols in coding order.

        Raises:
            BitstreamError: The bytes are no coded latent.
        """
        reader = SymbolReader(segments[0])
        z = reader.read(_hyper_classes(hyper_shape(height, width)), self._hyper)
        features = self._model.features(z, height, width)
        decoded = np.zeros((int(self._firsts[-1]), height, width))
        flat = [z.ravel()]
        for number in range(len(STAGES)):
            if number == PREVIEW_STAGES:
                if segments[1] is None:
                    break
                reader = SymbolReader(segments[1])
            prediction, rows, columns = self._model.predict(number, features, decoded, step_index)
            symbols = reader.read(prediction.scale_class, self._scales)
            channels = self._channels(number)
            decoded[channels, rows, columns] = LATENT_UNITS * symbols + prediction.mean
            flat.append(symbols.ravel())
        return decoded / LATENT_UNITS, np.concatenate(flat).astype(np.int16)


def _hyper_classes(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """The hyper-latent has a table for each channel."""
    return np.broadcast_to(np.arange(shape[0])[:, None, None], shape).astype(np.intp)
