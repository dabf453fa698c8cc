"""An autoencoder without hidden layers: an orthogonal transform of square patches.

The principal components of patches (Karhunen-Loève transform) are the linear autoencoder of least
squared error; a transform like JPEG's, but learned, over colours and places together.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

__all__ = ["PatchTransform"]


class PatchTransform(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Pictures to latents and back, patch by patch.

    The weights are parameters rather than a convolution's, so that they are stored as they are.

    Attributes:
        basis: Orthonormal rows, [K, 3 p p] float32.
        scale: What a coefficient is divided by to become a latent, [K] float32.
        mean: The mean patch, [3 p p] float32.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, patch_size: int = 8, latent_channels: int = 32) -> None:
        """Make an untrained transform.

        Args:
            patch_size: p, pixels along a side.
            latent_channels: K.
        """
        super().__init__()
        self.patch_size, self.latent_channels = patch_size, latent_channels
        size = 3 * patch_size**2
        self.basis = nn.Parameter(torch.eye(latent_channels, size))
        self.scale = nn.Parameter(torch.ones(latent_channels))
        self.mean = nn.Parameter(torch.zeros(size))

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents [B, K, H/p, W/p] of pictures [B, 3, H, W] in [-1, 1]; p divides H and W."""
        kernel = self.basis / self.scale[:, None]
        bias = -(kernel @ self.mean)
        kernel = kernel.view(-1, 3, self.patch_size, self.patch_size)
        latents: Tensor = nn.functional.conv2d(pictures, kernel, bias, stride=self.patch_size)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] of latents [B, K, H/p, W/p]."""
        size = self.patch_size
        kernel = (self.basis * self.scale[:, None]).view(-1, 3, size, size)
        pictures: Tensor = nn.functional.conv_transpose2d(latents, kernel, stride=size)
        mean = self.mean.view(3, size, size)
        return pictures + mean.repeat(1, latents.shape[-2], latents.shape[-1])

    def forward(self, pictures: Tensor) -> Tensor:
        """What is left of pictures [B, 3, H, W] after the way through the latents."""
        return self.decode(self.encode(pictures))
