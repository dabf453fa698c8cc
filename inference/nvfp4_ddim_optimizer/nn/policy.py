"""Which layers become NVFP4, and why the others do not."""

import math
import re
from dataclasses import dataclass

from torch import nn

from nvfp4_ddim_optimizer.nvfp4 import BLOCK_SIZE

__all__ = ["KeepRule", "LayerPolicy"]


@dataclass(frozen=True)
class KeepRule:
    """Layers that stay as they are.

    Attributes:
        component: Regular expression for the whole component name, such as "unet".
        layer: Regular expression for the beginning of the layer's path inside the component.
        reason: Why, for the report.
    """

    component: str
    layer: str
    reason: str


_DEFAULT_RULES = (
    KeepRule(
        "vae|movq|[a-z_]+_vae", "", "the autoencoder sets the picture's fine detail and is small"
    ),
    KeepRule(
        "image_encoder",
        r"stem\.|head$",
        "the first and the last layer are the most sensitive, and tiny",
    ),
    KeepRule(
        "analysis|synthesis",
        r"linear$",
        "the codec's linear transform carries most of the picture",
    ),
    KeepRule(
        "unet|refiner",
        r"conv_in$|conv_out$",
        "the first and the last layer are the most sensitive, and tiny",
    ),
    KeepRule(
        "unet|refiner",
        r"(time_embedding|time_proj|class_embedding|add_embedding|add_time_proj)(\.|$)",
        "every layer sees the time embedding's error, and it runs once a step",
    ),
)


@dataclass(frozen=True)
class LayerPolicy:
    """Decides for every linear layer and 2-D convolution of a model.

    Attributes:
        rules: Layers that stay as they are, by name; the first match gives the reason.
        min_parameters: Weights of fewer elements stay: what they save is not worth their error.
    """

    rules: tuple[KeepRule, ...] = _DEFAULT_RULES
    min_parameters: int = 1024

    def reason_to_keep(self, component: str, name: str, layer: nn.Module) -> str | None:
        """Why a layer stays as it is, or None if it becomes NVFP4.

        Args:
            component: Diffusers component, such as "unet".
            name: Path of the layer inside the component.
            layer: An nn.Linear or nn.Conv2d.
        """
        for rule in self.rules:
            if re.fullmatch(rule.component, component) and re.match(rule.layer, name):
                return rule.reason
        if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
            return f"its padding mode is {layer.padding_mode!r}"
        shape = tuple(layer.weight.shape) if isinstance(layer.weight, nn.Parameter) else ()
        if math.prod(shape[1:]) < BLOCK_SIZE:
            return f"fewer than {BLOCK_SIZE} inputs: it would be mostly padding"
        if math.prod(shape) < self.min_parameters:
            return f"fewer than {self.min_parameters} weights: nothing to save"
        return None
