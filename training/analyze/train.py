"""Train the class-conditional latent diffusion model that also serves as a classifier.

Three terms, on differently augmented leaves of one batch:

1. denoising: v-prediction (Salimans & Ho 2022) with the SNR weight of `training.diffusion`, with
   the leaf's class or, in a fifth of the cases, with the null class;
2. contrast: the same noisy latents with a wrong class must be predicted worse: logistic loss on the
   difference of the squared errors. It sharpens the generative classifier and the heat map;
3. classification: cross-entropy of a linear layer on the pooled encoder features, null class, low
   noise. It is what makes the fast path accurate: denoising alone gives weaker features.
"""

import time
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import UNet2DModel
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from nvfp4_ddim_optimizer.networks import PatchTransform
from nvfp4_ddim_optimizer.tasks.analyze.features import encode, pooled_states
from nvfp4_ddim_optimizer.tasks.analyze.leaf import leaf_mask
from nvfp4_ddim_optimizer.tasks.analyze.prediction_errors import view
from training.analyze.augment import augment
from training.analyze.data import CLASSES, Leaves, load_leaves, read_split
from training.analyze.networks import NULL_CLASS, build_scheduler, build_unet, fit_transform
from training.common import WallClock, cosine_rate, log_line

__all__ = ["FEATURE_TIMESTEP", "main", "to_latents"]

FEATURE_TIMESTEP = 10
LOW_NOISE = 40
CONTRAST_TIMESTEPS = (100, 700)
POOL = 3000


def to_latents(transform: PatchTransform, images: Tensor) -> Tensor:
    """Latents [B, C, h, w] of images [B, 3, H, W] float32 in [0, 1]."""
    return transform.encode(images.mul(2).sub(1))


class Batches:
    """Augmented leaves with their labels, as many of each class.

    A third of a batch is newly augmented; the rest are versions made before, turned by quarters and
    mirrored anew: augmenting takes as long as the encoder's pass.
    """

    def __init__(self, leaves: Leaves, masks: Tensor, generator: torch.Generator) -> None:
        self.leaves, self.masks, self.generator = leaves, masks, generator
        self.members = [torch.nonzero(leaves.labels == c).flatten() for c in range(len(CLASSES))]
        self.pool: deque[tuple[Tensor, int]] = deque(maxlen=POOL)

    def _fresh(self, count: int) -> list[tuple[Tensor, int]]:
        labels = [k % len(CLASSES) for k in range(count)]
        index = [
            int(self.members[c][torch.randint(len(self.members[c]), (), generator=self.generator)])
            for c in labels
        ]
        images = augment(self.leaves.images[index], self.masks[index], self.generator)
        return list(zip(images.mul(255).round().byte(), labels, strict=True))

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] float32 in [0, 1] and [B] labels."""
        wanted = count if len(self.pool) < 4 * count else count // 3
        chosen = self._fresh(wanted)
        if wanted < count:
            kept = torch.randint(len(self.pool), (count - wanted,), generator=self.generator)
            turns = torch.randint(8, kept.shape, generator=self.generator).tolist()
            again = [self.pool[i] for i in kept.tolist()]
            self.pool.extend(chosen)
            chosen += [
                (view(image, turn), label)
                for (image, label), turn in zip(again, turns, strict=True)
            ]
        else:
            self.pool.extend(chosen)
        images = torch.stack([image for image, _ in chosen])
        return images.float().div(255), torch.tensor([label for _, label in chosen])


def leaf_masks(leaves: Leaves, cache: Path) -> Tensor:
    """Leaf masks [N, 1, H, W] bool; computed once."""
    if not cache.exists():
        pictures = leaves.images.permute(0, 2, 3, 1).numpy()
        np.save(cache, np.stack([leaf_mask(Image.fromarray(picture)) for picture in pictures]))
    return torch.from_numpy(np.load(cache))[:, None]


class Trainer:
    """Model, average of its weights, head and optimizer."""

    def __init__(
        self,
        leaves: Leaves,
        masks: Tensor,
        transform: PatchTransform,
        *,
        rate: float,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.batches = Batches(leaves, masks, self.generator)
        self.transform = transform
        self.alphas = build_scheduler().alphas_cumprod
        self.model, self.average = build_unet(), build_unet()
        width = 2 * self.model.config.block_out_channels[-1]
        self.head, self.average_head = (
            nn.Linear(width, len(CLASSES)),
            nn.Linear(width, len(CLASSES)),
        )
        self.average.load_state_dict(self.model.state_dict())
        self.average_head.load_state_dict(self.head.state_dict())
        parameters = [*self.model.parameters(), *self.head.parameters()]
        self.parameters, self.rate = parameters, rate
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=rate,
            betas=(0.9, 0.99),
        )
        self.step = 0

    def noisy(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and the v that belongs to it."""
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        noise = torch.randn(latents.shape, generator=self.generator)
        x = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        return x, alpha.sqrt() * noise - (1 - alpha).sqrt() * latents

    def losses(self, generative: int, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Denoising, contrast and classification loss, and the batch's accuracy."""
        with torch.no_grad():
            images, labels = self.batches.draw(batch)
            order = torch.randperm(len(images), generator=self.generator)
            latents, labels = to_latents(self.transform, images)[order], labels[order]
        clean, known = latents[:generative], labels[:generative]
        half = generative // 2
        everywhere = (torch.arange(half) + torch.rand(half, generator=self.generator)) / half * 1000
        middle = torch.randint(*CONTRAST_TIMESTEPS, (generative - half,), generator=self.generator)
        timesteps = torch.cat([everywhere.long().clamp_max(999), middle])
        x, v = self.noisy(clean, timesteps)
        dropped = torch.rand(half, generator=self.generator) < 0.4
        classes = torch.cat([known[:half].masked_fill(dropped, NULL_CLASS), known[half:]])
        wrong = (
            known[half:] + torch.randint(1, 3, (generative - half,), generator=self.generator)
        ) % 3
        output = self.model(
            torch.cat([x, x[half:]]),
            torch.cat([timesteps, middle]),
            torch.cat([classes, wrong]),
            return_dict=False,
        )[0]
        error = (output[:generative] - v).square().mean(dim=(1, 2, 3))
        error_wrong = (output[generative:] - v[half:]).square().mean(dim=(1, 2, 3))
        alpha = self.alphas[timesteps]
        snr = alpha / (1 - alpha).clamp_min(1e-6)
        weight = (snr.clamp_max(5) + 1) / (snr + 1)
        denoising = (weight * error).mean()
        # Relative, so that neither the noise level nor how hard a leaf is sets the scale.
        relative = (error_wrong - error[half:]) / error[half:].detach()
        contrast = functional.softplus(-40 * relative).mean()
        low = torch.randint(0, LOW_NOISE, (batch,), generator=self.generator)
        x_low, _ = self.noisy(latents, low)
        null = torch.full((batch,), NULL_CLASS)
        logits = self.head(pooled_states(self.model, x_low, low, null))
        classification = functional.cross_entropy(logits, labels, label_smoothing=0.05)
        return denoising, contrast, classification, (logits.argmax(1) == labels).float().mean()

    def update(self, loss: Tensor, progress: float) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * cosine_rate(progress, self.step, warmup_steps=100)
        self.optimizer.step()
        self.step += 1
        decay = min(0.995, (1 + self.step) / (10 + self.step))
        averaged = [*self.average.parameters(), *self.average_head.parameters()]
        with torch.no_grad():
            for kept, current in zip(averaged, self.parameters, strict=True):
                kept.lerp_(current, 1 - decay)

    @torch.no_grad()
    def accuracy(self, leaves: Leaves) -> float:
        """Of the averaged weights, on leaves as they are."""
        self.average.eval()
        x = to_latents(self.transform, leaves.images.float().div(255))
        features = encode(self.average, x, FEATURE_TIMESTEP, NULL_CLASS).features
        logits = self.average_head(features)
        return float((logits.argmax(1) == leaves.labels).float().mean())

    def state(self) -> dict[str, Any]:
        return {
            "unet": self.model.state_dict(),
            "average": self.average.state_dict(),
            "head": self.head.state_dict(),
            "average_head": self.average_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }

    def resume(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.head.load_state_dict(state["head"])
        self.average_head.load_state_dict(state["average_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def main(
    data: Annotated[Path, typer.Option(help="folder or zip with train/ and val/")],
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 60m")],
    run: Annotated[Path, typer.Option(help="output folder")] = Path("training/runs/analyze"),
    rate: float = 1.5e-3,
    generative: Annotated[int, typer.Option(help="leaves of a step that are denoised too")] = 6,
    batch: Annotated[int, typer.Option(help="leaves of a step")] = 48,
    seed: int = 0,
    resume: Annotated[bool, typer.Option(help="go on from the last checkpoint")] = False,
) -> None:
    """Train on train/ without its validation part; write the averaged weights."""
    run.mkdir(parents=True, exist_ok=True)
    split, everything = read_split(), load_leaves(data, "train")
    kept = np.array([name in split.validation for name in everything.names])
    leaves, validation = everything.choose(~kept), everything.choose(kept)
    transform = fit_transform(leaves.images.float().div(127.5).sub(1))
    transform.save_pretrained(run / "transform")
    masks = leaf_masks(leaves, run / "masks.npy")
    trainer = Trainer(leaves, masks, transform, rate=rate, seed=seed)
    if resume:
        trainer.resume(run / "checkpoint.pt")
    parameters = sum(p.numel() for p in trainer.model.parameters())
    log_line(
        run / "log.txt",
        f"{parameters} parameters, {len(leaves.names)} leaves, {len(validation.names)} kept back",
    )
    clock, first = WallClock(until), trainer.step
    started = saved = time.time()
    shown = torch.zeros(4)
    while not clock.over():
        parts = trainer.losses(generative, batch)
        trainer.update(parts[0] + 0.05 * parts[1] + 0.5 * parts[2], clock.progress())
        now = torch.stack(parts).detach()
        shown = now if trainer.step == first + 1 else 0.98 * shown + 0.02 * now
        if trainer.step % 50 == 0:
            speed = (trainer.step - first) / (time.time() - started)
            text = " ".join(
                f"{n} {v:.4f}"
                for n, v in zip(
                    ("denoise", "contrast", "classify", "accuracy"), shown.tolist(), strict=True
                )
            )
            log_line(
                run / "log.txt",
                f"step {trainer.step} {text} {speed:.2f} steps/s done {clock.progress():.3f}",
            )
        if time.time() - saved > 240:
            saved = time.time()
            torch.save(trainer.state(), run / "checkpoint.pt")
            log_line(run / "log.txt", f"validation accuracy {trainer.accuracy(validation):.4f}")
    torch.save(trainer.state(), run / "checkpoint.pt")
    _save(trainer, run)
    log_line(run / "log.txt", f"end: validation accuracy {trainer.accuracy(validation):.4f}")


def _save(trainer: Trainer, run: Path) -> None:
    unet: UNet2DModel = trainer.average
    unet.save_pretrained(run / "unet")
    torch.save(trainer.average_head.state_dict(), run / "head.pt")


if __name__ == "__main__":
    typer.run(main)
