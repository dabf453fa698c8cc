"""SDNQ: float4 E2M1 weights in groups of 16, convolutions too, as near to NVFP4 as it has."""

import torch
from diffusers import UNet2DConditionModel
from sdnq import SDNQConfig, load_sdnq_model, save_sdnq_model

from .contract import Job
from .torch_unet import TorchUNet

__all__ = ["load", "prepare"]


def prepare(job: Job) -> None:
    """Quantise and save."""
    target = job.work / "unet"
    if (target / "config.json").exists():
        return
    config = SDNQConfig(
        weights_dtype=job.variant,
        group_size=16,
        quant_conv=True,
        quantization_device="cpu",
        return_device="cpu",
    )
    unet = UNet2DConditionModel.from_pretrained(
        job.model / "unet", quantization_config=config, torch_dtype=torch.float32
    )
    save_sdnq_model(unet, str(target))


def load(job: Job) -> TorchUNet:
    """Variants: SDNQ's names of weight types, such as "float4_e2m1fn"."""
    target = job.work / "unet"
    unet = load_sdnq_model(
        str(target), model_cls=UNet2DConditionModel, dtype=torch.float32, device="cpu"
    )
    size = sum(file.stat().st_size for file in target.glob("*.safetensors"))
    unet = unet.eval().requires_grad_(requires_grad=False)
    return TorchUNet(job, unet, {"file": f"{size / 1e9:.2f} GB", "group size": "16"})
