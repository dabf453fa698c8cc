"""What a model takes: weights of its components, and what one call of each computes with.

Everything here is arithmetic on numbers that `planning` finds out once for a model.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "RUNTIME_BYTES",
    "Component",
    "Footprint",
    "Picture",
    "Weights",
    "Work",
    "peak_bytes",
    "rough_footprint",
    "weight_bytes",
]

RUNTIME_BYTES = 480_000_000
"""A process with torch, diffusers and transformers loaded that has computed something."""

_TEXT_ACTIVATION_BYTES = 16_000_000  # 77 tokens
_FP32_BYTES = 4
_PIXEL_BYTES = 3 * _FP32_BYTES
_PACKED_SHARE = 4.5 / 32


class Weights(StrEnum):
    """How a model's weights are held."""

    KEPT = "kept"
    """Dequantised once, and kept next to the packed ones."""

    MAPPED = "mapped"
    """Mapped from files as they are stored; those of one component at a time."""

    PACKED = "packed"
    """In memory as NVFP4, of a model that was quantised on the fly or decompressed to memory."""


@dataclass(frozen=True)
class Picture:
    """What is asked for.

    Attributes:
        height: Pixels.
        width: Pixels.
        batch: Pictures sampled together.
        passes: Of the UNet in one batch for each: 2 for guidance with both passes together.
    """

    height: int
    width: int
    batch: int = 1
    passes: int = 2

    @property
    def pixels(self) -> int:
        """Of one picture."""
        return self.height * self.width


@dataclass(frozen=True)
class Work:
    """One call of a component for one picture of a reference size.

    Attributes:
        pixels: Of the reference picture.
        moments: (bytes of activations, bytes of weights made for the call) at the operations that
            can be the peak: activations grow with pixels and batch, weights don't.
        convolution_flops: Of convolutions, floating-point operations.
        linear_flops: Of matrix products.
        self_attention_flops: Of attention among the picture's own tokens.
        cross_attention_flops: Of attention to the prompt's tokens.
    """

    pixels: int
    moments: tuple[tuple[int, int], ...]
    convolution_flops: int = 0
    linear_flops: int = 0
    self_attention_flops: int = 0
    cross_attention_flops: int = 0

    def peak_bytes(self, pixels: int, *, weights: bool) -> int:
        """Most bytes at once.

        Args:
            pixels: Of all pictures that are computed together.
            weights: Whether weights are made for the call.
        """
        scale = pixels / self.pixels
        return max(int(live * scale) + weights * made for live, made in self.moments)


@dataclass(frozen=True)
class Component:
    """A component's weights.

    Attributes:
        stored_bytes: As the artifact stores them.
        dense_bytes: In float32.
        never_dense_bytes: The part of `dense_bytes` that a CPU computes from packed weights in any
            case: 3 x 3 convolutions, where the native kernels are there.
    """

    stored_bytes: int
    dense_bytes: int
    never_dense_bytes: int = 0


@dataclass(frozen=True)
class Footprint:
    """What a model takes, in float32.

    Attributes:
        text_encoder: Its weights.
        unet: Its weights.
        vae: Its weights; the decoder's alone where they are mapped, for the encoder is not used.
        unet_call: One pass.
        decoding: The autoencoder's decoder, as it is.
        tiled_decoding: The same in tiles, which don't save anything for some autoencoders.
        tile_bytes: Temporaries of tiled decoding, whatever the picture's size.
        is_mapped: Whether weights can be mapped from files.
    """

    text_encoder: Component
    unet: Component
    vae: Component
    unet_call: Work
    decoding: Work
    tiled_decoding: Work
    tile_bytes: int = 0
    is_mapped: bool = True


def peak_bytes(
    footprint: Footprint, picture: Picture, weights: Weights, *, tiled: bool, number_bytes: int = 4
) -> int:
    """Predict the most memory that painting takes at once, the process itself left out.

    Args:
        footprint: The model.
        picture: What is painted.
        weights: How weights are held.
        tiled: Whether the autoencoder decodes in tiles.
        number_bytes: Bytes of a number that is computed with.

    Returns:
        Bytes.
    """
    share = number_bytes / _FP32_BYTES
    text, unet, vae = _held_weights(footprint, weights, number_bytes)
    made = weights is not Weights.KEPT
    decoding = footprint.tiled_decoding if tiled else footprint.decoding
    sampled = picture.pixels * picture.batch * picture.passes
    pictures = picture.pixels * picture.batch * _PIXEL_BYTES
    stages = (
        text + _TEXT_ACTIVATION_BYTES,
        unet + int(share * footprint.unet_call.peak_bytes(sampled, weights=made)),
        vae
        + int(share * decoding.peak_bytes(picture.pixels, weights=made))
        + tiled * footprint.tile_bytes
        + (picture.batch - 1) * pictures // picture.batch,
    )
    return max(stages)


def weight_bytes(footprint: Footprint, weights: Weights, *, number_bytes: int = 4) -> int:
    """Most memory that the weights take at once, work left out.

    Args:
        footprint: The model.
        weights: How weights are held.
        number_bytes: Bytes of a number that is computed with.
    """
    return max(_held_weights(footprint, weights, number_bytes))


def rough_footprint(original_bytes: int) -> Footprint:
    """A footprint of which only the size is known; work is as Stable Diffusion's.

    Args:
        original_bytes: All parameters in float32.
    """
    stored = int(original_bytes * _PACKED_SHARE)
    work = Work(512 * 512, ((400_000_000, 0),))
    nothing = Component(0, 0)
    return Footprint(nothing, Component(stored, original_bytes), nothing, work, work, work)


def _held_weights(
    footprint: Footprint, weights: Weights, number_bytes: int
) -> tuple[int, int, int]:
    """Bytes of weights in memory while the text encoder, the UNet and the autoencoder work."""
    parts = (footprint.text_encoder, footprint.unet, footprint.vae)
    stored = [part.stored_bytes for part in parts]
    if weights is Weights.MAPPED:
        return stored[0], stored[1], stored[2]
    if weights is Weights.PACKED:
        return sum(stored), sum(stored), sum(stored)
    spared = number_bytes == _FP32_BYTES
    dense = [
        (part.dense_bytes - spared * part.never_dense_bytes) * number_bytes // _FP32_BYTES
        for part in parts
    ]
    text, unet, vae = (stored[k] + dense[k] for k in range(3))
    return text, text + unet, text + unet + vae
