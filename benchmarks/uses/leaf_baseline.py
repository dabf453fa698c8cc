"""The bar: EfficientNet-Lite0 features (ImageNet) with logistic regression."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.evaluate import IMAGENET_MEAN, IMAGENET_STD, load_feature_network

__all__ = ["Baseline", "fit_baseline"]

# The network's own size; leaves of 128 pixels are enlarged, which helped it.
_SIZE = 224
_PENALTIES = (1e-4, 1e-3, 1e-2)


class Baseline:
    """Features, standardised, and a linear layer."""

    def __init__(self) -> None:
        self.network = load_feature_network()
        self.shift = self.spread = torch.zeros(0)
        self.linear = torch.nn.Linear(1280, 3)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """[N, 1280] of images [N, 3, H, W] uint8."""
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        vectors = []
        for part in torch.split(images, 16):
            x = functional.interpolate(part.float() / 255, size=_SIZE, mode="bicubic")
            network = self.network.extract_features  # type: ignore[operator]
            vectors.append(network((x - mean) / std).mean(dim=(2, 3)))
        return torch.cat(vectors)

    def probabilities(self, features: Tensor) -> npt.NDArray[np.float64]:
        """[N, 3]."""
        with torch.no_grad():
            logits = self.linear((features - self.shift) / self.spread)
        return torch.softmax(logits.double(), dim=1).numpy()


def fit_baseline(
    images: Tensor, labels: Tensor, validation: npt.NDArray[np.bool_]
) -> tuple[Baseline, float]:
    """Choose the penalty on the validation leaves, then fit on all of them.

    Args:
        images: [N, 3, H, W] uint8, the training leaves with the validation leaves.
        labels: [N].
        validation: [N], which ones the penalty is chosen on.

    Returns:
        The baseline, and the penalty.
    """
    torch.manual_seed(0)
    baseline = Baseline()
    features = baseline.features(images)
    kept = torch.from_numpy(validation)

    def loss_of(penalty: float) -> float:
        _fit(baseline, features[~kept], labels[~kept], penalty)
        logits = torch.from_numpy(baseline.probabilities(features[kept])).clamp_min(1e-12).log()
        return float(functional.nll_loss(logits, labels[kept]))

    penalty = min(_PENALTIES, key=loss_of)
    _fit(baseline, features, labels, penalty)
    return baseline, penalty


def _fit(baseline: Baseline, features: Tensor, labels: Tensor, penalty: float) -> None:
    baseline.shift, baseline.spread = features.mean(dim=0), features.std(dim=0) + 1e-6
    x = (features - baseline.shift) / baseline.spread
    torch.nn.init.zeros_(baseline.linear.weight)
    torch.nn.init.zeros_(baseline.linear.bias)
    optimizer = torch.optim.LBFGS(
        baseline.linear.parameters(), max_iter=200, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(baseline.linear(x), labels)
        loss = loss + penalty * baseline.linear.weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)
