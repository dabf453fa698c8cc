"""Who takes part. Nothing of a peer is imported here: each may be absent."""

import os
from dataclasses import dataclass, field
from importlib.util import find_spec

__all__ = ["BASELINE", "OURS", "PEERS", "Peer"]

OURS = "ours"
BASELINE = "diffusers"
_TUNED_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "THP_MEM_ALLOC_ENABLE": "1",
}


@dataclass(frozen=True)
class Peer:
    """One contestant.

    Attributes:
        module: File in this package.
        variant: Its settings; see the module's `load`.
        label: For tables and plots.
        max_error: Largest relative error |y - y_fp32| / |y_fp32| of the predicted noise that its
            number format explains; more than that means that it computes something else.
        packages: Distributions whose versions are recorded; the first is named after its module.
        environment: Variables of its process.
        converts: Whether it needs the model in another form first.
        own_picture: Whether it has a text encoder and decoder of its own; the others only stand
            in for diffusers' UNet.
    """

    module: str
    variant: str
    label: str
    max_error: float
    packages: tuple[str, ...] = ("torch", "diffusers")
    environment: dict[str, str] = field(default_factory=dict)
    converts: bool = True
    own_picture: bool = False

    @property
    def missing(self) -> str | None:
        """The distribution to install, or None if the peer can run."""
        for package in self.packages:
            if find_spec(_MODULES.get(package, package)) is None:
                return package
        return None

    def variables(self, threads: int) -> dict[str, str]:
        """The environment of its process."""
        common = {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            # Threads that spin while they wait would take the other contestant's processor.
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
            "HF_HUB_OFFLINE": "1",
            "TQDM_DISABLE": "1",
        }
        return dict(os.environ) | common | self.environment


_MODULES = {
    "stable-diffusion-cpp-python": "stable_diffusion_cpp",
    "nvfp4-ddim-optimizer": "nvfp4_ddim_optimizer",
}
_LIBRARY = ("nvfp4-ddim-optimizer", "torch", "diffusers")
_OPENVINO = ("openvino", "nncf", "torch", "diffusers")
_TORCHAO = ("torchao", "torch", "diffusers")

PEERS = {
    # As the command line and the server run it: they set the allocator at their start.
    OURS: Peer("ours", "default", "NVFP4, ours", 0.5, _LIBRARY, _TUNED_ALLOCATOR),
    "ours-low-memory": Peer(
        "ours", "low-memory", "NVFP4, ours, low memory", 0.5, _LIBRARY, _TUNED_ALLOCATOR
    ),
    BASELINE: Peer("torch_unet", "eager", "diffusers fp32", 1e-4, converts=False),
    "diffusers-tuned": Peer(
        "torch_unet",
        "eager",
        "diffusers fp32, allocator tuned",
        1e-4,
        environment=_TUNED_ALLOCATOR,
        converts=False,
    ),
    "torch-compile": Peer(
        "torch_unet",
        "compiled",
        "torch.compile fp32",
        1e-3,
        environment=_TUNED_ALLOCATOR,
        converts=False,
    ),
    "openvino-f16": Peer("openvino_unet", "f16", "OpenVINO f16", 0.02, _OPENVINO),
    "openvino-int8": Peer("openvino_unet", "int8", "OpenVINO int8", 0.1, _OPENVINO),
    "openvino-nvfp4": Peer("openvino_unet", "nvfp4", "OpenVINO NVFP4", 0.5, _OPENVINO),
    "sdnq": Peer(
        "sdnq_unet",
        "float4_e2m1fn",
        "SDNQ float4",
        0.5,
        ("sdnq", "torch", "diffusers"),
        _TUNED_ALLOCATOR,
    ),
    "torchao-int8": Peer(
        "torchao_unet", "int8", "torchao int8", 0.1, _TORCHAO, _TUNED_ALLOCATOR, converts=False
    ),
    "torchao-nvfp4": Peer(
        "torchao_unet", "nvfp4", "torchao NVFP4", 0.5, _TORCHAO, _TUNED_ALLOCATOR, converts=False
    ),
    "sdcpp": Peer(
        "sdcpp",
        "q4_0",
        "stable-diffusion.cpp q4_0",
        0.5,
        ("stable-diffusion-cpp-python", "torch", "diffusers"),
        own_picture=True,
    ),
}
"""Contestants by name; every one but the first runs in alternation with the first."""
