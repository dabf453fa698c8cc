"""OpenVINO: the UNet converted once, weights in f16, int8 or NVFP4 (by NNCF)."""

import gc
import time
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from .contract import Job, unet_inputs
from .torch_unet import TorchUNet, load_unet

__all__ = ["load", "prepare"]

_COMPRESSION: dict[str, dict[str, Any]] = {
    "int8": {"mode": nncf.CompressWeightsMode.INT8_SYM},
    "nvfp4": {
        "mode": nncf.CompressWeightsMode.NVFP4,
        "group_size": 16,
        "all_layers": True,
    },
}


class _Traced(nn.Module):
    """The UNet with plain arguments, which is what a tracer wants."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        predicted: Tensor = self.unet(latents, timestep, text, return_dict=False)[0]
        return predicted


class OpenVINOUNet(TorchUNet):
    """A compiled OpenVINO model."""

    def __init__(self, job: Job, compiled: Any, details: dict[str, str]) -> None:
        """Take a model that is compiled for the processor."""
        super().__init__(job, None, details)
        self._request = compiled.create_infer_request()
        inputs = self._inputs
        self._arrays = [
            inputs.latents.numpy(),
            np.array(inputs.timestep, dtype=np.int64),
            inputs.text.numpy(),
        ]

    def step(self) -> float:
        """Run the inference request."""
        begin = time.perf_counter()
        predicted = self._request.infer(self._arrays, share_inputs=True)[0]
        seconds = time.perf_counter() - begin
        self._output = torch.from_numpy(np.array(predicted))
        return seconds


def _ir(job: Job, variant: str) -> Path:
    return job.work.parent / f"openvino-{variant}" / "unet.xml"


def prepare(job: Job) -> None:
    """Convert to OpenVINO's format, and compress that."""
    plain = _ir(job, "f16")
    if not plain.exists():
        inputs = unet_inputs(job.model, job.size)
        example = (inputs.latents, torch.tensor(inputs.timestep), inputs.text)
        with torch.no_grad():
            model = ov.convert_model(
                _Traced(load_unet(job)),
                example_input=example,
                input=[tuple(inputs.latents.shape), (), tuple(inputs.text.shape)],
            )
        ov.save_model(model, plain, compress_to_fp16=True)
        del model
        gc.collect()
    target = _ir(job, job.variant)
    if not target.exists():
        model = ov.Core().read_model(plain)
        ov.save_model(nncf.compress_weights(model, **_COMPRESSION[job.variant]), target)


def load(job: Job) -> OpenVINOUNet:
    """Variants: "f16", "int8", "nvfp4"; activations are float32 in all of them."""
    settings = {
        "INFERENCE_NUM_THREADS": job.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    path = _ir(job, job.variant)
    compiled = ov.Core().compile_model(path, "CPU", settings)
    size = sum(file.stat().st_size for file in path.parent.glob("unet.*"))
    return OpenVINOUNet(job, compiled, {"file": f"{size / 1e9:.2f} GB"})
