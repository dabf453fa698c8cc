"""What is fitted on features and prediction errors once the weights are there.

The statistics of the classes come from the training leaves; every temperature, weight and limit
from the validation leaves, which the weights never saw. Both are gathered with the full-precision
and with the NVFP4 weights and pooled, since both carry the same numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer
from nvfp4_ddim_optimizer.tasks.analyze.features import encode
from nvfp4_ddim_optimizer.tasks.analyze.heat_map import heat_map, redness
from nvfp4_ddim_optimizer.tasks.analyze.leaf import LeafCrop, crop_leaf, leaf_mask
from nvfp4_ddim_optimizer.tasks.analyze.options import CLASSES
from nvfp4_ddim_optimizer.tasks.analyze.prediction_errors import VIEWS, view
from training.analyze.augment import augment
from training.analyze.data import Leaves

__all__ = ["fit_options", "fit_tables", "with_masks"]

VERSIONS = 1
ERROR_LEVELS = 8
# Half of the validation photos are augmented, some of them beyond use. A leaf that is turned away
# costs another photo; a foreign picture that is not gets advice that means nothing.
LIMIT_QUANTILE = 0.9
RIDGE = 0.01
HEAT_QUANTILE = 0.98


def with_masks(leaves: Leaves) -> Tensor:
    """Leaf masks [N, 1, H, W] bool."""
    pictures = leaves.images.permute(0, 2, 3, 1).numpy()
    masks = np.stack([leaf_mask(Image.fromarray(picture)) for picture in pictures])
    return torch.from_numpy(masks)[:, None]


def versions(
    leaves: Leaves, masks: Tensor, count: int, seed: int
) -> Iterator[tuple[LeafCrop, int, bool]]:
    """Each leaf as it is, then in `count` augmented versions: cut out, label, whether augmented."""
    generator = torch.Generator().manual_seed(seed)
    for version in range(1 + count):
        for index in range(len(leaves.names)):
            image = leaves.images[index : index + 1]
            if version:
                image = augment(image, masks[index : index + 1], generator).mul(255).byte()
            pixels = image[0].permute(1, 2, 0).numpy()
            crop = crop_leaf(Image.fromarray(pixels), pixels.shape[0])
            yield crop, int(leaves.labels[index]), version > 0


def fit_tables(
    models: Sequence[TaskModel], leaves: Leaves, masks: Tensor, head: dict[str, Tensor], seed: int
) -> Tables:
    """Head, and mean and whitening of the training leaves' style."""
    seen = list(versions(leaves, masks, 1, seed))
    generator = torch.Generator().manual_seed(seed)
    turns = torch.randint(VIEWS, (len(seen),), generator=generator).tolist()
    crops = torch.stack(
        [
            view(torch.from_numpy(np.array(crop.image)).permute(2, 0, 1), turn)
            for (crop, _, _), turn in zip(seen, turns, strict=True)
        ]
    )
    styles = []
    for model in models:
        analyzer = LeafAnalyzer(model)
        for batch in crops.split(48):
            latents = analyzer.transform.encode(batch.float().div(127.5).sub(1))
            level = analyzer.options.feature_timestep
            styles.append(encode(analyzer.unet, latents, level, len(CLASSES)).style)
    x = torch.cat(styles).double()
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-6
    standard = (x - mean) / deviation
    covariance = standard.T @ standard / len(standard) + RIDGE * torch.eye(x.shape[1])
    values, vectors = torch.linalg.eigh(covariance)
    tensors = {
        "head_weight": head["weight"],
        "head_bias": head["bias"],
        "style_mean": mean,
        "style_whitening": vectors / values.sqrt() / deviation[:, None],
    }
    return Tables.of({name: tensor.float().contiguous() for name, tensor in tensors.items()})


@dataclass(frozen=True)
class Seen:
    """What one model says of one validation photo."""

    label: int
    logits: Tensor
    error_means: Tensor
    distance: float
    healthy_heat: npt.NDArray[np.float32]
    healthy_redness: npt.NDArray[np.float32]


def _look(analyzer: LeafAnalyzer, crop: LeafCrop, label: int, augmented: bool, seed: int) -> Seen:
    views = analyzer.views(crop.image)
    scores = analyzer.scores(views)
    errors = analyzer.errors(views, ERROR_LEVELS, seed)
    likelier = 1 + int(errors.means[1:].argmin())
    heat = heat_map(errors.maps, 0, likelier, analyzer.side)
    healthy = crop.mask & (label == 0)
    return Seen(
        label,
        scores.logits,
        errors.means,
        scores.distance,
        heat[healthy],
        # A colour cast shifts the redness of the whole photo: it would make the limit useless.
        redness(crop.image)[healthy & (not augmented)],
    )


def fit_options(
    models: Sequence[TaskModel], validation: Leaves, masks: Tensor, seed: int
) -> dict[str, float]:
    """Temperatures, weights and limits, by the names of `AnalyzeOptions`."""
    analyzers = [LeafAnalyzer(model) for model in models]
    seen = [
        _look(analyzer, crop, label, augmented, seed + number)
        for number, (crop, label, augmented) in enumerate(
            versions(validation, masks, VERSIONS, seed)
        )
        for analyzer in analyzers
    ]
    labels = torch.tensor([one.label for one in seen])
    logits = torch.stack([one.logits for one in seen])
    errors = torch.stack([one.error_means for one in seen])
    temperature = _best(lambda t: _loss(logits / t, labels), 0.3, 5.0)
    scale = _best(lambda s: _loss(-errors * s, labels), 1.0, 2000.0)
    first, second = (
        torch.log_softmax(logits / temperature, 1),
        torch.log_softmax(-errors * scale, 1),
    )
    weights = min(
        ((a, b) for a in np.linspace(0.2, 1.2, 11) for b in np.linspace(0, 1, 11)),
        key=lambda pair: _loss(pair[0] * first + pair[1] * second, labels),
    )
    heat = np.concatenate([one.healthy_heat for one in seen])
    red = np.concatenate([one.healthy_redness for one in seen])
    return {
        "feature_temperature": temperature,
        "error_scale": scale,
        "feature_weight": float(weights[0]),
        "error_weight": float(weights[1]),
        "distance_limit": float(np.quantile([one.distance for one in seen], LIMIT_QUANTILE)),
        "redness_limit": float(np.quantile(red, HEAT_QUANTILE)),
        "heat_limit": max(1e-3, float(np.quantile(heat, HEAT_QUANTILE))),
    }


def _loss(logits: Tensor, labels: Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(logits, labels))


def _best(loss: Callable[[float], float], low: float, high: float) -> float:
    """The argument of least loss on a logarithmic grid of 200."""
    return float(min(np.geomspace(low, high, 200), key=loss))
