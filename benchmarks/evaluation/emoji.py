"""The bundled text-to-image model as a subject: full precision, and prompts it was trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from nvfp4_ddim_optimizer.artifacts import read_manifest
from nvfp4_ddim_optimizer.sources import bundled_models, load_diffusers, locate_model
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel, generate_images
from training.captions import load_entries
from training.common import load_images

from .noising import PROBE_STEPS, noised

__all__ = ["EmojiModel"]

_PROBED = 16


class EmojiModel:
    """The emoji model with its own captions: drawing k mod 599 for sample k, phrased in turn.

    So every 599 samples show each drawing once, as the reference set does.
    """

    name = "emoji-64"
    batch = 60
    survey_count = 600
    full_count = 2_040

    def __init__(self, pipeline: Any, data: Path) -> None:
        self._model = TextToImageModel.from_diffusers(pipeline)
        self._drawings = load_images(data)
        self._guidance = read_manifest(bundled_models()["emoji-64"]).default_guidance_scale
        entries = load_entries(data)
        # In an order that mixes categories, so that any prefix is a fair sample.
        self._order = np.random.default_rng(0).permutation(len(entries)).tolist()
        self._phrases = [entry.phrases for entry in entries]
        self.components: dict[str, nn.Module] = {
            "text_encoder": self._model.text_encoder.eval(),
            "unet": self._model.unet.eval().to(memory_format=torch.channels_last),
        }
        self._model.vae.eval()
        self.settings = f"guidance {self._guidance:g}, {len(entries)} drawings, phrases in turn"

    @classmethod
    def open(cls, model: Path, drawings: Path) -> "EmojiModel":
        """Load the model.

        Args:
            model: A diffusers directory.
            drawings: What `training.emoji_data` writes.

        Raises:
            FileNotFoundError: The model or the drawings are not there.
        """
        if not drawings.exists():
            raise FileNotFoundError(f"{drawings} is missing: run python -m training.emoji_data")
        if not model.exists():
            raise FileNotFoundError(f"{model} is missing")
        return cls(load_diffusers(locate_model(model)), drawings)

    def sample(self, first: int, count: int, steps: int, seed: int) -> Tensor:
        """See `Subject.sample`."""
        numbers = range(first, first + count)
        height, width = self._model.native_size
        pictures = generate_images(
            self._model,
            self._conditioner(),
            [self._prompt(number) for number in numbers],
            [seed + number for number in numbers],
            self._model.diffusion.uniform_timesteps(steps),
            guidance_scale=self._guidance,
            height=height,
            width=width,
        )
        return _to_bytes(pictures)

    def reference(self) -> Tensor:
        """See `Subject.reference`: all drawings it was trained on."""
        return self._drawings

    @torch.inference_mode()
    def probe(self) -> list[Tensor]:
        """See `Subject.probe`: drawings with their labels, noised in the latent space."""
        chosen = self._order[:_PROBED]
        pixels = self._drawings[chosen].float() / 127.5 - 1
        vae, diffusion = self._model.vae, self._model.diffusion
        latents = vae.encode(pixels).latents * vae.config.scaling_factor
        condition = self._conditioner().encode([self._phrases[k][0] for k in chosen])
        plan = diffusion.uniform_timesteps(PROBE_STEPS)
        return [
            self._model.unet(
                noised(latents, diffusion.schedule().alpha_cumprod(t), t),
                torch.tensor(t),
                encoder_hidden_states=condition,
                return_dict=False,
            )[0]
            for t in plan.timesteps
        ]

    def _conditioner(self) -> TextConditioner:
        """A new one each time: it remembers embeddings, which the encoder's weights change."""
        model = self._model
        return TextConditioner(model.tokenizer, model.text_encoder, model.device)

    def _prompt(self, number: int) -> str:
        drawing = self._order[number % len(self._order)]
        phrases = self._phrases[drawing]
        return phrases[number // len(self._order) % len(phrases)]


def _to_bytes(pictures: list[Image.Image]) -> Tensor:
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous()
