"""Train the denoiser of the regression's residual.

v-prediction with zero terminal SNR. At the last timestep the input is pure noise, so the best
prediction there is the conditional mean of the residual: a quarter of every batch trains that.
The triples whose target lies in the last training day are left out of the batches; their errors
choose the checkpoint.
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers import UNet2DModel
from torch import Tensor, nn

from nvfp4_ddim_optimizer.tasks.interpolate.conditioning import (
    HALO,
    UNSHUFFLE,
    condition_channels,
    fold,
    unfold,
)
from training.common import WallClock, cosine_rate, log_line
from training.interpolate.data import FIELDS_PER_DAY, VALIDATION_DAY
from training.networks import build_scheduler

__all__ = ["build_unet"]

STEPS = 1000


def build_unet(height: int, width: int, dropout: float = 0.1) -> UNet2DModel:
    """Two levels over unshuffled pixels; circular in longitude through the halo."""
    area = UNSHUFFLE * UNSHUFFLE
    return UNet2DModel(
        sample_size=(height // UNSHUFFLE, width // UNSHUFFLE + 2 * HALO),
        in_channels=area * (1 + condition_channels()),
        out_channels=area,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        add_attention=False,
        norm_num_groups=8,
        dropout=dropout,
    )


class Trainer:
    """Model, average, optimizer and the prepared triples."""

    def __init__(
        self,
        prepared: dict[str, Tensor],
        *,
        peak_rate: float,
        dropout: float,
        condition_noise: float,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        validation = prepared["triples"][:, 1] // FIELDS_PER_DAY == VALIDATION_DAY
        spans = prepared["triples"][:, 2] - prepared["triples"][:, 0]
        self.train = (~validation).nonzero().flatten()
        self.validation = (validation & (spans == 2)).nonzero().flatten()
        # Half of what is drawn spans 12 hours.
        weights = torch.where(spans == 2, 1.0, 0.2)[self.train]
        self.weights = weights
        self.conditions, self.residuals = prepared["conditions"], prepared["residuals"]
        self.scale = prepared["scale"]
        rows = torch.cos(torch.deg2rad(prepared["latitudes"]))[:, None]
        importance = rows * (0.1 + self.scale / self.scale.mean())
        self.importance = importance / importance.mean()
        self.condition_noise = condition_noise
        self.model = build_unet(*self.scale.shape, dropout=dropout)
        self.average = build_unet(*self.scale.shape)
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        self.peak_rate, self.step = peak_rate, 0
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=peak_rate, betas=(0.9, 0.99), weight_decay=3e-2, fused=True
        )
        self.alphas = build_scheduler().alphas_cumprod

    def loss(self, size: int) -> Tensor:
        """Weighted squared error of v for a batch of triples."""
        index = self.train[torch.multinomial(self.weights, size, generator=self.generator)]
        condition, clean = self.conditions[index], self.residuals[index, None]
        shift = int(torch.randint(condition.shape[-1], (), generator=self.generator))
        condition, clean = condition.roll(shift, -1), clean.roll(shift, -1)
        # The anomalies, the cycle and the correction are themselves known from a few days only.
        blur = self.condition_noise * torch.randn(condition[:, :4].shape, generator=self.generator)
        condition = torch.cat([condition[:, :4] + blur, condition[:, 4:]], 1)
        strata = (torch.arange(size) + torch.rand(size, generator=self.generator)) / size
        # The first quarter of the batch stands at pure noise.
        timesteps = ((strata - 0.25) / 0.75 * STEPS).long()
        timesteps = torch.where(strata < 0.25, STEPS - 1, timesteps).clamp(0, STEPS - 1)
        weight = self.importance.roll(shift, -1)
        return self._errors(self.model, condition, clean, timesteps, weight)

    def _errors(
        self, model: nn.Module, condition: Tensor, clean: Tensor, timesteps: Tensor, weight: Tensor
    ) -> Tensor:
        noise = torch.randn(clean.shape, generator=self.generator)
        alpha_bar = self.alphas[timesteps].view(-1, 1, 1, 1)
        noisy = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise
        target = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean
        v = unfold(model(fold(torch.cat([noisy, condition], 1)), timesteps, return_dict=False)[0])
        snr = alpha_bar / (1 - alpha_bar).clamp_min(1e-6)
        share = (snr.clamp_max(5) + 1) / (snr + 1)
        mean: Tensor = (share * weight * (v - target).square()).mean()
        return mean

    def update(self, loss: Tensor, progress: float) -> None:
        """One optimizer step and one step of the average."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_rate * cosine_rate(progress, self.step, warmup_steps=50)
        self.optimizer.step()
        self.step += 1
        decay = min(0.995, (1 + self.step) / (10 + self.step))
        for averaged, current in zip(
            self.average.parameters(), self.model.parameters(), strict=True
        ):
            averaged.lerp_(current.detach(), 1 - decay)

    @torch.no_grad()
    def validate(self) -> tuple[float, float]:
        """On the day left out: loss of v, and MSE of the mean as a share of the regression's."""
        state = self.generator.get_state()
        self.generator.manual_seed(1)
        condition, clean = self.conditions[self.validation], self.residuals[self.validation, None]
        losses = [
            self._errors(
                self.average, condition, clean, torch.full((len(clean),), t), self.importance
            )
            for t in (99, 299, 499, 699, 899)
        ]
        noise = torch.randn(clean.shape, generator=self.generator)
        last = torch.full((len(clean),), STEPS - 1)
        mean = -unfold(self.average(fold(torch.cat([noise, condition], 1)), last).sample)
        rows = self.importance / (0.1 + self.scale / self.scale.mean()) * self.scale.square()
        share = (rows * (clean - mean).square()).mean() / (rows * clean.square()).mean()
        self.generator.set_state(state)
        return float(torch.stack(losses).mean()), float(share)


def main(
    until: Annotated[str, typer.Option(help="deadline, HH:MM UTC or minutes as in 45m")],
    run: Annotated[Path, typer.Option(help="folder of training.interpolate.regression")] = Path(
        "training/runs/interpolate"
    ),
    batch: int = 4,
    peak_rate: float = 1e-3,
    dropout: float = 0.1,
    condition_noise: Annotated[float, typer.Option(help="put on the anomalies' channels")] = 0.0,
    start: Annotated[Path | None, typer.Option(help="checkpoint to begin with")] = None,
    seed: int = 0,
) -> None:
    """Train until the deadline; the checkpoint best on the day left out is kept in best.pt."""
    prepared = torch.load(run / "prepared.pt", weights_only=True)
    trainer = Trainer(
        prepared,
        peak_rate=peak_rate,
        dropout=dropout,
        condition_noise=condition_noise,
        seed=seed,
    )
    if start is not None:
        weights = torch.load(start, weights_only=True)
        trainer.model.load_state_dict(weights)
        trainer.average.load_state_dict(weights)
    clock, log = WallClock(until), run / "log.txt"
    log_line(log, f"parameters {sum(p.numel() for p in trainer.model.parameters())}")
    began, validated, best, smooth = time.time(), time.time(), float("inf"), 0.0
    while True:
        progress = clock.progress()
        if time.time() - validated > 60 or progress >= 1:
            validated = time.time()
            loss_v, share = trainer.validate()
            speed = trainer.step * batch / (time.time() - began)
            log_line(
                log,
                f"step {trainer.step} loss {smooth:.4f} validation {loss_v:.4f} "
                f"mean {share:.4f} {speed:.2f} fields/s done {progress:.3f}",
            )
            torch.save(trainer.average.state_dict(), run / "last.pt")
            if loss_v + share < best:
                best = loss_v + share
                torch.save(trainer.average.state_dict(), run / "best.pt")
        if progress >= 1:
            break
        loss = trainer.loss(batch)
        trainer.update(loss, progress)
        value = float(loss.detach())
        smooth = 0.98 * smooth + 0.02 * value if smooth else value


if __name__ == "__main__":
    typer.run(main)
