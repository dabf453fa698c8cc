"""The model card: README.md of the exported directory."""

import json
from pathlib import Path

__all__ = ["model_card"]

DEFAULT_GUIDANCE = 2.0

CARD = """---
license: cc-by-4.0
language: en
library_name: diffusers
pipeline_tag: text-to-image
tags: [text-to-image, latent-diffusion, emoji, tiny]
---

# emoji-64

A small text-to-image latent diffusion model that draws emoji of 64x64 pixels on white. It exists so
that quantisation, sampling and serving can be tried and tested with real trained weights on a
machine without a GPU. It is not a general image model.

Art: **Twemoji, Copyright Twitter, Inc and other contributors, CC BY 4.0**
(<https://creativecommons.org/licenses/by/4.0/>). The model was trained on these drawings and what
it draws is derived from them: keep the attribution.

| part | what | parameters |
| --- | --- | --- |
| `unet` | `UNet2DConditionModel` on 8x8 latents of 8 channels, v-prediction | {unet:,} |
| `text_encoder` | `CLIPTextModel`, 3 layers, trained from random weights before the UNet | \
{text_encoder:,} |
| `vae` | `AutoencoderTiny`, 8 pixels to a latent, latents of unit variance | {vae:,} |
| `tokenizer` | `CLIPTokenizer`, own vocabulary, 32 tokens | |
| `scheduler` | `DDIMScheduler`, zero terminal SNR, trailing spacing | |

## Use
```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("models/emoji-64")
pipeline("a slice of watermelon", num_inference_steps=20, guidance_scale={guidance}).images[0]
```
Weights are stored in fp16; on a CPU load them in float32, as above. Native size: 64x64.

## Data and training
599 well-known drawings from the npm package emoji-datasource-twitter 16.0.0: the first emoji of
six categories, some familiar later ones and 14 flags. Captions are made from their names, Unicode
labels and the keywords of emojibase-data (MIT), reworded each time a drawing is shown.
`training/README.md` has the commands, times and machine.

## Results
{results}

## Limits
- It knows emoji, one at a time, and mostly those it was trained on: it is meant to reproduce them
  on request. It doesn't compose scenes, count, or follow long prompts (32 tokens are read).
- Fine detail is soft: lettering, thin lines, coats of arms on flags. See `docs/model/samples.png`.
- English only. It knows no people, letters, arrows, signs or clock faces: they were not in the
  data, and names of persons, brands or places mean nothing to it.
"""


def model_card(sizes: dict[str, int], results: Path) -> str:
    """The card's text.

    Args:
        sizes: parameters of "unet", "text_encoder" and "vae".
        results: what `training.evaluate` wrote; the card says so if it isn't there yet.
    """
    text, guidance = "Not measured yet.", DEFAULT_GUIDANCE
    if results.exists():
        content = json.loads(results.read_text(encoding="utf-8"))
        text, guidance = _results_text(content), content["best_of_sweep"]
    return CARD.format(**sizes, guidance=guidance, results=text)


def _results_text(content: dict[str, object]) -> str:
    rows = content["sweep"]
    if not isinstance(rows, list):
        raise TypeError("sweep is not a list")
    lines = [
        str(content["description"]),
        "",
        f"Guidance {content['best_of_sweep']} was best on these same captions. The standard error "
        "of a share is up to 3.5 points: smaller differences mean nothing.",
        "",
        "| guidance | top 1 | top 10 |",
        "| --- | --- | --- |",
        *(f"| {r['guidance']} | {r['top1']:.1%} | {r['top10']:.1%} |" for r in rows),
        "",
        f"Autoencoder: {content['vae_psnr_db']:.2f} dB over all drawings.",
        "",
        f"`{content['command']}`, {content['machine']}, {content['date']}.",
    ]
    return "\n".join(lines)
