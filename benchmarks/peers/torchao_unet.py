"""torchao: weight-only quantisation of the linear layers; it has none for convolutions."""

from typing import Any

from torchao.prototype.mx_formats import NVFP4WeightOnlyConfig
from torchao.quantization import Int8WeightOnlyConfig, quantize_

from .contract import Job
from .torch_unet import TorchUNet, load_unet

__all__ = ["load"]

_CONFIGS: dict[str, Any] = {
    "int8": lambda: Int8WeightOnlyConfig(version=2),
    "nvfp4": NVFP4WeightOnlyConfig,
}


def load(job: Job) -> TorchUNet:
    """Variants: "int8", "nvfp4"."""
    unet = load_unet(job)
    quantize_(unet, _CONFIGS[job.variant]())
    return TorchUNet(job, unet, {"quantised": "linear layers"})
