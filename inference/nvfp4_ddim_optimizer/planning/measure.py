"""The footprint of a model, from its configuration alone: no weight is read."""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from torch import Tensor, nn

from nvfp4_ddim_optimizer.artifacts import read_manifest
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.footprint import Component, Footprint, Picture, Work
from nvfp4_ddim_optimizer.native import library
from nvfp4_ddim_optimizer.nn import LayerPolicy, plan_layers, suits_weight
from nvfp4_ddim_optimizer.nvfp4 import packed_shapes
from nvfp4_ddim_optimizer.sources import ModelKind, ModelSource
from nvfp4_ddim_optimizer.tasks.components import SUPPORTED_COMPONENTS
from nvfp4_ddim_optimizer.tasks.stripes import (
    STRIPE_BYTES,
    can_decode_in_stripes,
    held_bytes_per_pixel,
)

from .trace import WINOGRAD_BYTES, trace

__all__ = ["MeasuredModel", "measure_model"]

_TOKENS = 77
_STORED_BYTES = 2  # of a number that is not packed: bfloat16
_FP32_BYTES = 4
_SCALE_BYTES = 1
# Alive at once while a stripe is made: the normalised rows, the result, and a copy of either.
_STRIPES_ALIVE = 3
_DECODER = ("decoder.", "post_quant_conv.")


@dataclass(frozen=True)
class MeasuredModel:
    """What is known of a model before it is loaded.

    Attributes:
        footprint: What it takes.
        native_height: Pixels that it was trained at.
        native_width: The same.
    """

    footprint: Footprint
    native_height: int
    native_width: int

    @property
    def picture(self) -> Picture:
        """One picture of the native size, with guidance."""
        return Picture(self.native_height, self.native_width)


def measure_model(source: ModelSource) -> MeasuredModel:
    """Find out what a model takes.

    Its networks are built on the meta device and traced, which takes a second for Stable
    Diffusion and is remembered.

    Args:
        source: Where the model is; of a hub id, configurations are downloaded.

    Raises:
        ArtifactError: An artifact has no valid manifest.
        ModelNotSupportedError: The model has no usable configuration, or is of another kind.
    """
    packed = None
    if source.kind is ModelKind.ARTIFACT:
        layers = read_manifest(source.location).layers
        packed = frozenset(f"{layer.component}.{layer.name}" for layer in layers)
    return _measure(tuple(_configurations(source).items()), packed)


@lru_cache(maxsize=8)
def _measure(
    configurations: tuple[tuple[str, tuple[str, str]], ...], packed: frozenset[str] | None
) -> MeasuredModel:
    """As `measure_model`.

    Args:
        configurations: (component, (class, configuration as JSON)) of each component.
        packed: "component.layer" of the layers that are packed; None: those that would be.
    """
    models = {name: _empty(*described) for name, described in configurations}
    sizes = {name: _weigh(name, model, packed) for name, model in models.items()}
    vae, unet = models["vae"], models["unet"]
    pixels_per_latent = 4 ** (len(vae.config.block_out_channels) - 1)
    unet_call = _trace_unet(unet, pixels_per_latent)
    decoding = _trace_decoder(vae, unet.config.sample_size, pixels_per_latent)
    tiled, tile_bytes = decoding, 0
    if can_decode_in_stripes(vae):
        held = held_bytes_per_pixel(vae) * decoding.pixels
        made = max(made for _, made in decoding.moments)
        tiled = replace(decoding, moments=((held, made),))
        tile_bytes = _STRIPES_ALIVE * STRIPE_BYTES + (WINOGRAD_BYTES if library() else 0)
    footprint = Footprint(
        text_encoder=sizes["text_encoder"],
        unet=sizes["unet"],
        vae=sizes["vae"],
        unet_call=unet_call,
        decoding=decoding,
        tiled_decoding=tiled,
        tile_bytes=tile_bytes,
        is_mapped=packed is not None,
    )
    height, width = _size(unet.config.sample_size)
    factor = math.isqrt(pixels_per_latent)
    return MeasuredModel(footprint, height * factor, width * factor)


def _configurations(source: ModelSource) -> dict[str, tuple[str, str]]:
    """(class, configuration as JSON) of the components that text-to-image runs."""
    found = {}
    try:
        index = diffusers.DiffusionPipeline.load_config(source.location)
        for name, classes in SUPPORTED_COMPONENTS.items():
            class_name = (index.get(name) or (None, None))[1]
            if class_name is None:
                raise ValueError(f"it has no {name}")
            if class_name not in classes:
                raise ModelNotSupportedError(
                    f"{index.get('_class_name')}.{name} is {class_name}, but only "
                    f"{' and '.join(classes)} can be run"
                )
            found[name] = class_name, _load_config(class_name, source.location, name)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelNotSupportedError(
            f"could not load {source.location!r} as a diffusers model: {error}"
        ) from error
    return found


def _load_config(class_name: str, location: str, component: str) -> str:
    if class_name == "CLIPTextModel":
        config = transformers.CLIPTextConfig.from_pretrained(location, subfolder=component)
        return json.dumps(config.to_dict(), sort_keys=True, default=str)
    cls = getattr(diffusers, class_name)
    return json.dumps(cls.load_config(location, subfolder=component), sort_keys=True)


def _empty(class_name: str, configuration: str) -> Any:
    """A component on the meta device."""
    config = json.loads(configuration)
    with init_empty_weights(include_buffers=True):
        if class_name == "CLIPTextModel":
            return transformers.CLIPTextModel(transformers.CLIPTextConfig.from_dict(config)).eval()
        return getattr(diffusers, class_name).from_config(config).eval()


def _weigh(name: str, model: nn.Module, packed: Collection[str] | None) -> Component:
    """Sizes of a component's weights."""
    layers = {planned.name: planned for planned in plan_layers(model, name, LayerPolicy())}
    if packed is None:
        chosen = {n for n, planned in layers.items() if planned.keep_reason is None}
    else:
        chosen = {n for n in layers if f"{name}.{n}" in packed}
    number_bytes = _FP32_BYTES if packed is None else _STORED_BYTES
    winograd = library() is not None
    stored = dense = never_dense = 0
    for parameter_name, parameter in model.named_parameters():
        layer, _, kind = parameter_name.rpartition(".")
        dense += _FP32_BYTES * parameter.numel()
        if kind == "weight" and layer in chosen:
            codes, scales = packed_shapes(tuple(parameter.shape))
            stored += codes[0] * codes[1] + _SCALE_BYTES * scales[0] * scales[1] + _FP32_BYTES
            if winograd and _suits_winograd(layers[layer].layer):
                never_dense += _FP32_BYTES * parameter.numel()
        elif name != "vae" or packed is None or parameter_name.startswith(_DECODER):
            stored += number_bytes * parameter.numel()
    return Component(stored, dense, never_dense)


def _suits_winograd(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
        return False
    (height, width), (down, across), (tall, wide) = layer.stride, layer.padding, layer.dilation
    return suits_weight(
        tuple(layer.weight.shape), (height, width), (down, across), (tall, wide), layer.groups
    )


def _trace_unet(unet: Any, pixels_per_latent: int) -> Work:
    """One pass of the UNet for one picture of the size it was trained at."""
    config = unet.config
    height, width = _size(config.sample_size)
    features = config.cross_attention_dim
    features = features if isinstance(features, int) else features[0]
    # Quantised convolutions are channels_last, and so are the tensors between them.
    unet = unet.to(memory_format=torch.channels_last)

    def run() -> None:
        unet(
            _meta(1, config.in_channels, height, width),
            _meta(),
            encoder_hidden_states=_meta(1, _TOKENS, features),
            return_dict=False,
        )

    pixels = height * width * pixels_per_latent
    return trace(unet, pixels, run, winograd=library() is not None)


def _trace_decoder(vae: Any, sample_size: int | tuple[int, int], pixels_per_latent: int) -> Work:
    height, width = _size(sample_size)
    latent = (1, vae.config.latent_channels, height, width)
    pixels = height * width * pixels_per_latent
    return trace(vae, pixels, lambda: vae.decode(_meta(*latent)), winograd=library() is not None)


def _size(sample_size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (sample_size,) * 2 if isinstance(sample_size, int) else sample_size
    return height, width


def _meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")
