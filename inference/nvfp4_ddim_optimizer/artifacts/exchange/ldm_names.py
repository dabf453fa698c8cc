"""A UNet's tensors under the names of the original Stable Diffusion code (LDM).

    down_blocks.1.resnets.0.conv1.weight -> input_blocks.4.0.in_layers.2.weight

ComfyUI expects these names, and they are short enough for GGUF.

Source: CompVis, latent-diffusion, `ldm/modules/diffusionmodules/openaimodel.py`; diffusers goes the
other way in `loaders/single_file_utils.py`, which the tests use.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ldm_name"]

_OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_RESIZE = re.compile(r"(down|up)_blocks\.(\d+)\.(?:down|up)samplers\.0\.conv(.*)")


def ldm_name(name: str, config: Mapping[str, Any]) -> str:
    """The LDM name of a tensor or layer.

    Args:
        name: A layer's path or a tensor's full name inside a diffusers UNet2DConditionModel.
        config: The UNet's config.json.

    Returns:
        The LDM name; the same name where LDM's UNet has no such part.
    """
    per_block = config.get("layers_per_block", 2)
    if not isinstance(per_block, int):
        return name
    if match := _RESIZE.fullmatch(name):
        side, block, rest = match[1], int(match[2]), match[3]
        return _resize_name(side, block, rest, per_block, config)
    if match := _BLOCK.fullmatch(name):
        side, block, kind, index = match[1], int(match[2]), match[3], int(match[4])
        inside = _renamed_start(match[5], _RESNET) if kind == "resnets" else match[5]
        first = 1 if side == "down" else 0  # input block 0 is the convolution that begins the UNet
        number = first + (per_block + 1) * block + index
        group = "input_blocks" if side == "down" else "output_blocks"
        return f"{group}.{number}.{0 if kind == 'resnets' else 1}.{inside}"
    if match := _MIDDLE.fullmatch(name):
        kind, index = match[1], int(match[2])
        inside = _renamed_start(match[3], _RESNET) if kind == "resnets" else match[3]
        return f"middle_block.{2 * index if kind == 'resnets' else 2 * index + 1}.{inside}"
    return _renamed_start(name, _OUTSIDE)


def _resize_name(
    side: str, block: int, rest: str, per_block: int, config: Mapping[str, Any]
) -> str:
    if side == "down":
        return f"input_blocks.{(per_block + 1) * (block + 1)}.0.op{rest}"
    attends = "CrossAttn" in config["up_block_types"][block]
    return f"output_blocks.{(per_block + 1) * (block + 1) - 1}.{2 if attends else 1}.conv{rest}"


def _renamed_start(name: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name
