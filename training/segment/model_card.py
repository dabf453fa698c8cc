"""The model card of `nuclei-128`, with the numbers that the benchmark measured.

python -m training.segment.model_card
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.claims import DOCS

__all__ = ["write_card"]

CARD = """# nuclei-128

Marks cell nuclei in microscopy images, by latent diffusion. **Not a medical device: not for
diagnosis, and not tested on patients' data.**

| part | what it does | parameters |
| --- | --- | --- |
| `image_encoder` | image to a latent 32×32×24; its first 8 channels guess the mask | 675,848 |
| `mask_vae` | mask 128×128 to a latent 32×32×8 and back | 45,016 |
| `unet` | DDIM denoiser of the mask's latent, the image's latent as further channels | 365,840 |

v-prediction, 1000 timesteps, zero terminal SNR, trailing spacing. Each sample starts from its own
noise and sees the image in another orientation. The probability is half the mean of the masks
decoded at every step of every sample, half the mean of the image encoder's own guess. Its entropy,
one third of it averaged over 3×3 pixels, is the uncertainty. Images of any size are covered with
overlapping tiles.

Sampling adds little to the mask here; on the validation images of an earlier model the guess alone
had a Dice of .8905, the mean of all steps .8835, both together .8909, and the mean of the last
steps alone (plain DDIM, 4 samples) .8745. It adds the uncertainty.

## Data
564 images 128×128 with masks made from BBBC038v1 (2018 Data Science Bowl, Broad Bioimage
Benchmark Collection, CC0), scaled down. `training/segment/split.json`
fixes 420 for training, 44 for choosing the threshold, 100 held out. Images whose coarse pictures
correlate above 0.7 in some orientation are kept in the same part. Kinds of images (microscope and
stain) occur in all parts.

## Measured on the 100 images held out
{metrics}

`python -m benchmarks.segment --data FILE` makes these numbers again;
`docs/benchmarks/segment.json` has all of them. The U-Net has 1,044,640 parameters and was trained
beside this model by turns, with the same processor time (1,287 s each), images and augmentation. In
that time it made 7,812 steps, this model 4,804. The goal of a mean Dice of .92 is missed: the
median image reaches it, but some stained slides come out at .4 to .7.

## Limits
- The model marks pixels. Nuclei that touch are parted afterwards where the neck between them is
  narrow; those that overlap by more than a twentieth of their area mostly count as one.
- Nuclei should be about 5 to 40 pixels across; `rescale` helps with others.
- Trained on fluorescence (about four fifths) and stained tissue. On other pictures it marks
  whatever looks brightest or darkest. On CT or MR it finds no organs.
- Contrast is normalised for the whole image: an empty image is mostly noise after that, and may
  get false marks. Look at the uncertainty map.
- The uncertainty is the model's own; it does not know pictures unlike its training data.

## Licence
Weights: CC0-1.0, as the data. Code: Apache-2.0.
"""

NAMES = {
    "otsu": "Otsu's threshold",
    "unet": "supervised U-Net, same size and time",
    "unet_views": "the same, mean of 4 orientations",
    "fp_10": "full precision, 10 steps",
    "nvfp4_10": "NVFP4, 10 steps",
    "fp_20": "full precision, 20 steps",
    "nvfp4_20": "NVFP4, 20 steps",
    "fp_50": "full precision, 50 steps",
    "nvfp4_50": "NVFP4, 50 steps",
}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _metrics(claims: Path) -> str:
    if not claims.is_file():
        return "Not measured yet."
    values = {each["id"]: each["value"] for each in json.loads(claims.read_text("utf-8"))}
    lines = [
        "| | mean Dice | fluorescence | stained | mean IoU | AURC ×1000 | ECE |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for id_, name in NAMES.items():
        if f"dice_{id_}" not in values:
            continue
        area, ece = values.get(f"aurc_{id_}"), values.get(f"ece_{id_}")
        lines.append(
            f"| {name} | {values[f'dice_{id_}']:.4f} | {_number(values.get(f'dice_{id_}_dark'))} | "
            f"{_number(values.get(f'dice_{id_}_stained'))} | {values[f'iou_{id_}']:.4f} | "
            f"{'' if area is None else f'{1000 * area:.2f}'} | "
            f"{_number(ece)} |"
        )
    return "\n".join(lines) + (
        "\n\nAURC: area under the risk-coverage curve over pixels, lower is better. ECE: expected "
        "calibration error."
    )


def write_card(model: Path, docs: Path = DOCS) -> None:
    """Write README.md of a model's directory."""
    card = CARD.format(metrics=_metrics(docs / "segment.json"))
    (model / "README.md").write_text(card, "utf-8")


def main(
    model: Annotated[Path, typer.Option(help="directory of the model")] = Path("models/nuclei-128"),
) -> None:
    """Renew the card after a benchmark."""
    write_card(model)


if __name__ == "__main__":
    typer.run(main)
