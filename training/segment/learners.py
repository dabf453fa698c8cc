"""What is trained: the diffusion model, and a supervised U-Net of the same size to compare with."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from nvfp4_ddim_optimizer.networks.mask_autoencoder import MaskAutoencoder
from training.common import cosine_rate
from training.segment.data import Pairs
from training.segment.networks import (
    LATENT_CHANNELS,
    build_denoiser,
    build_image_encoder,
    build_mask_autoencoder,
    build_scheduler,
    build_supervised,
)

__all__ = [
    "DiffusionLearner",
    "Learner",
    "SupervisedLearner",
    "diffusion_modules",
    "mask_loss",
    "supervised_modules",
]

LAST_TIMESTEP = 999


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy, and a part of soft Dice: [N, 1, H, W] each, the mean over images."""
    p = logits.sigmoid()
    both = (p * masks).sum((1, 2, 3))
    dice = (2 * both + 1) / (p.sum((1, 2, 3)) + masks.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + 0.3 * (1 - dice).mean()


class Learner(ABC):
    """A network, its moving average, its optimizer."""

    name: str

    def __init__(self, model: nn.ModuleDict, average: nn.ModuleDict, peak_rate: float) -> None:
        self.model, self.average, self.peak_rate = model, average, peak_rate
        average.load_state_dict(model.state_dict())
        average.requires_grad_(False).eval()
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 1e-2}, {"params": plain, "weight_decay": 0.0}],
            lr=peak_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.step, self.cpu_seconds = 0, 0.0

    @abstractmethod
    def loss(self, batch: Pairs) -> Tensor:
        """The scalar to minimise."""

    @abstractmethod
    def predict(self, images: Tensor) -> Tensor:
        """Probability [N, 1, H, W] of a pixel's belonging to the mask, by the average weights."""

    def update(self, batch: Pairs, progress: float) -> float:
        """One step of the optimizer and of the average; progress in [0, 1] sets the rate."""
        loss = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_rate * cosine_rate(progress, self.step, warmup_steps=100)
        self.optimizer.step()
        self.step += 1
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            slow, fast = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(slow, fast, 1 - decay)
        return loss.item()

    def load(self, run: Path) -> None:
        """Go on from the average weights of an earlier run; the optimizer starts anew."""
        state = torch.load(run / f"{self.name}.pt", weights_only=True)
        self.model.load_state_dict(state)
        self.average.load_state_dict(state)

    def save(self, run: Path) -> None:
        """Write the average weights."""
        torch.save(self.average.state_dict(), run / f"{self.name}.pt")


def diffusion_modules() -> nn.ModuleDict:
    """Image encoder, denoiser and autoencoder of masks, from random weights."""
    return nn.ModuleDict(
        {
            "image_encoder": build_image_encoder(),
            "unet": build_denoiser(),
            "mask_autoencoder": build_mask_autoencoder(),
        }
    )


def supervised_modules() -> nn.ModuleDict:
    """The U-Net, from random weights."""
    return nn.ModuleDict({"unet": build_supervised()})


class SupervisedLearner(Learner):
    """Image to mask directly."""

    name = "supervised"

    def __init__(self, peak_rate: float) -> None:
        super().__init__(supervised_modules(), supervised_modules(), peak_rate)

    def loss(self, batch: Pairs) -> Tensor:
        """Loss of the mask."""
        return mask_loss(F.pixel_shuffle(self.model["unet"](batch.images), 4), batch.masks)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """The U-Net's softmax."""
        return F.pixel_shuffle(self.average["unet"](images), 4).sigmoid()


class DiffusionLearner(Learner):
    """Image encoder and denoiser end to end; the mask encoder stays, the mask decoder learns on.

    The first channels of the image's latent are asked to be the latent of the mask already: what
    the image says for certain is learned there, without noise, and the denoiser starts from it.
    """

    name = "diffusion"

    def __init__(self, mask_autoencoder: Path, peak_rate: float, seed: int) -> None:
        trained = MaskAutoencoder.from_pretrained(mask_autoencoder)
        model = diffusion_modules()
        model["mask_autoencoder"].load_state_dict(trained.state_dict())
        super().__init__(model, diffusion_modules(), peak_rate)
        self.model["mask_autoencoder"].encoder.requires_grad_(False)
        self.generator = torch.Generator().manual_seed(seed)
        self.alphas = build_scheduler().alphas_cumprod

    def _timesteps(self, count: int) -> Tensor:
        """A quarter at pure noise, where sampling begins; the others spread over all timesteps."""
        strata = torch.arange(count) + torch.rand(count, generator=self.generator)
        timesteps = (strata / count * 1000).long().clamp_max(LAST_TIMESTEP)
        timesteps[-max(1, count // 4) :] = LAST_TIMESTEP
        return timesteps

    def loss(self, batch: Pairs) -> Tensor:
        """v, the mask decoded from the x_0 that v implies, and what the image encoder guesses."""
        autoencoder, count = self.model["mask_autoencoder"], len(batch)
        with torch.no_grad():
            x0 = autoencoder.encode(batch.masks)
        condition = self.model["image_encoder"](batch.images)
        timesteps = self._timesteps(count)
        alpha_bar = self.alphas[timesteps].view(-1, 1, 1, 1)
        signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        noise = torch.randn(x0.shape, generator=self.generator)
        noisy = signal * x0 + spread * noise
        v = self.model["unet"](torch.cat([noisy, condition], 1), timesteps, return_dict=False)[0]
        # Hang et al. 2023 (arXiv:2303.09556), the SNR weight in its v form, without its zero at T.
        snr = (alpha_bar / (1 - alpha_bar).clamp_min(1e-6)).flatten()
        weight = (snr.clamp_max(5) + 1) / (snr + 1)
        error = (v - (signal * noise - spread * x0)).square().mean((1, 2, 3))
        predicted = signal * noisy - spread * v
        guess = condition[:, :LATENT_CHANNELS]
        logits = autoencoder.decode(torch.cat([predicted, guess]))
        return (
            (weight * error).mean()
            + 0.5 * (guess - x0).square().mean()
            + mask_loss(logits[:count], batch.masks)
            + 0.5 * mask_loss(logits[count:], batch.masks)
        )

    @torch.no_grad()
    def predict(self, images: Tensor, steps: int = 1, samples: int = 1) -> Tensor:
        """Mean probability over samples of DDIM."""
        condition = self.average["image_encoder"](images)
        scheduler: DDIMScheduler = build_scheduler()
        scheduler.set_timesteps(steps)
        total = torch.zeros(len(images), 1, *images.shape[2:])
        generator = torch.Generator().manual_seed(0)
        for _ in range(samples):
            shape = (len(images), LATENT_CHANNELS, *condition.shape[2:])
            x = torch.randn(shape, generator=generator)
            for t in scheduler.timesteps:
                both = torch.cat([x, condition], 1)
                v = self.average["unet"](both, t, return_dict=False)[0]
                x = scheduler.step(v, t, x, return_dict=False)[0]
            total += self.average["mask_autoencoder"].decode(x).sigmoid() / samples
        return total
