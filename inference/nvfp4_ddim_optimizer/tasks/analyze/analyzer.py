"""A photo in, a report out: the pieces of this package in their order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nvfp4_ddim_contracts.tasks.analyze import (
    AnalyzeMethod,
    AnalyzeReport,
    ClassProbabilities,
    Disease,
    Finding,
    LeafBox,
)
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel

from .advice import advice_for
from .features import encode, head_logits, style_distance
from .heat_map import Floats, Mask, affected_pixels, heat_map, level_of
from .leaf import LeafCrop, crop_leaf
from .options import CLASSES, read_options
from .photo import upright
from .prediction_errors import VIEWS, ClassErrors, class_errors, noise_levels, view

__all__ = ["LeafAnalysis", "LeafAnalyzer", "LeafScores"]

_HEALTHY = CLASSES.index(Disease.HEALTHY)
# Above every limit: no number says how unlike a leaf the absence of one is.
_NO_LEAF = 10.0


@dataclass(frozen=True)
class LeafScores:
    """What one pass says.

    Attributes:
        logits: Of the linear head, mean of the eight views, [K] float32.
        distance: Of the style from the training leaves', mean of the views.
    """

    logits: Tensor
    distance: float


@dataclass(frozen=True)
class LeafAnalysis:
    """A report with its pictures.

    Attributes:
        report: As the API gives it.
        crop: What was looked at.
        heat: [side, side] float32 over the crop: see `heat_map`. None with the fast method.
        affected: [side, side] bool over the crop: see `affected_pixels`. None where `heat` is.
    """

    report: AnalyzeReport
    crop: LeafCrop
    heat: Floats | None
    affected: Mask | None


class LeafAnalyzer:
    """A model that tells healthy potato leaves from blighted ones.

    Example:
        >>> pipeline = OptimizationPipeline.from_preset("potato-leaf-128")
        >>> analyzer = LeafAnalyzer(pipeline.task("analyze").model)
        >>> analyzer.analyze(Image.open("leaf.jpg")).report.finding
    """

    def __init__(self, model: TaskModel) -> None:
        """Take the model's parts.

        Raises:
            ModelNotSupportedError: They are not those of a model for this task.
        """
        self.options = read_options(model)
        self.transform = model.component("transform", "PatchTransform")
        self.unet = model.component("unet", "UNet2DModel")
        self.tables = model.component("tables", "Tables")
        self.schedule = model.diffusion.schedule()
        if model.native_height != model.native_width:
            raise ModelNotSupportedError("the model must work on square photos")
        self.side = model.native_height

    @torch.no_grad()
    def views(self, crop: Image.Image) -> Tensor:
        """Latents of the eight turned and mirrored versions of a crop, [8, C, h, w]."""
        device = self.transform.basis.device
        pixels = torch.from_numpy(np.array(crop, np.float32)).permute(2, 0, 1).to(device)
        pixels = pixels.div(127.5).sub(1)
        pictures = torch.stack([view(pixels, number) for number in range(VIEWS)])
        latents: Tensor = self.transform.encode(pictures)
        return latents

    @torch.no_grad()
    def scores(self, views: Tensor) -> LeafScores:
        """Look at a photo once: all its views in one batch.

        Args:
            views: [8, C, h, w] float32, of `views`.
        """
        encoded = encode(self.unet, views, self.options.feature_timestep, len(CLASSES))
        return LeafScores(
            head_logits(self.tables, encoded.features).mean(dim=0).cpu(),
            float(style_distance(self.tables, encoded.style).mean()),
        )

    def unlike_training(self, scores: LeafScores, crop: LeafCrop) -> float:
        """How unlike the leaves of the training a photo is; above 1 is too unlike.

        Args:
            scores: Of the photo's crop.
            crop: Where no leaf was found in it, it is too unlike whatever the scores say.
        """
        distance = scores.distance / self.options.distance_limit
        return distance + (0.0 if crop.share > 0 else _NO_LEAF)

    def feature_probabilities(self, scores: LeafScores) -> Tensor:
        """Calibrated, [K]."""
        return torch.softmax(scores.logits / self.options.feature_temperature, dim=0)

    def error_probabilities(self, errors: ClassErrors) -> Tensor:
        """Calibrated, [K]."""
        return torch.softmax(-errors.means * self.options.error_scale, dim=0)

    def errors(
        self,
        views: Tensor,
        count: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> ClassErrors:
        """Prediction errors of the classes at several noise levels.

        Args:
            views: [8, C, h, w] float32, of `views`.
            count: Noise levels.
            seed: Of the noise.
            on_step: Called after each level.
            should_cancel: Asked before each batch.

        Raises:
            GenerationCancelled: `should_cancel` said so.
        """
        return class_errors(
            self.unet,
            list(views),
            self.schedule,
            noise_levels(self.options.first_timestep, self.options.last_timestep, count),
            num_classes=len(CLASSES),
            local_until=(self.options.first_timestep + self.options.last_timestep + 1) // 2,
            generator=torch.Generator().manual_seed(seed),
            on_step=on_step,
            should_cancel=should_cancel,
        )

    def fused(self, from_features: Tensor, from_errors: Tensor) -> Tensor:
        """Both answers as one: a weighted sum of log-probabilities.

        Args:
            from_features: [K], of `feature_probabilities`.
            from_errors: [K], of `error_probabilities`.

        Returns:
            Probabilities [K].
        """
        weights = self.options.feature_weight, self.options.error_weight
        logs = (weights[0] * from_features.clamp_min(1e-12).log()) + (
            weights[1] * from_errors.clamp_min(1e-12).log()
        )
        return torch.softmax(logs, dim=0)

    def analyze(
        self,
        photo: Image.Image,
        *,
        method: AnalyzeMethod | str = AnalyzeMethod.THOROUGH,
        least_probability: float = 0.7,
        num_inference_steps: int = 20,
        seed: int = 0,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> LeafAnalysis:
        """Report on the leaf of a photo.

        Args:
            photo: Any size and mode; its EXIF orientation is honoured.
            method: "fast": one pass, no heat map, no severity. "thorough": both ways.
            least_probability: Below it the finding is "not_sure".
            num_inference_steps: Noise levels of the thorough method.
            seed: Of their noise.
            on_step: Called after each level.
            should_cancel: Asked before each level.

        Raises:
            InvalidInputError: The photo is too small, or the method unknown.
            GenerationCancelled: `should_cancel` said so.
        """
        if method not in tuple(AnalyzeMethod):
            raise InvalidInputError(f"the method is {' or '.join(AnalyzeMethod)}, not {method!r}")
        if num_inference_steps < 1:
            raise InvalidInputError("num_inference_steps must be at least 1")
        crop = crop_leaf(upright(photo), self.side)
        views = self.views(crop.image)
        scores = self.scores(views)
        from_features = probabilities = self.feature_probabilities(scores)
        from_errors = heat = affected = None
        if method == AnalyzeMethod.THOROUGH:
            errors = self.errors(views, num_inference_steps, seed, on_step, should_cancel)
            from_errors = self.error_probabilities(errors)
            probabilities = self.fused(from_features, from_errors)
            heat = self._heat(errors, probabilities)
            affected = self._affected(crop, heat)
        unlike = self.unlike_training(scores, crop)
        reason = _doubt(crop, unlike, float(probabilities.max()), least_probability)
        likeliest = CLASSES[int(probabilities.argmax())]
        finding = Finding.NOT_SURE if reason else Finding(likeliest.value)
        severity = None
        if affected is not None and not reason:
            area = max(1, int(crop.mask.sum()))
            severity = 0.0 if likeliest is Disease.HEALTHY else float(affected.sum()) / area
        left, top, right, bottom = crop.box
        report = AnalyzeReport(
            finding=finding,
            probability=float(probabilities.max().clamp(0, 1)),
            probabilities=_named(probabilities),
            reason=reason,
            unlike_training=unlike,
            leaf_share=crop.share,
            leaf_box=LeafBox(left=left, top=top, right=right, bottom=bottom),
            severity=severity,
            severity_level=None if severity is None else level_of(severity),
            fast_probabilities=_named(from_features),
            diffusion_probabilities=None if from_errors is None else _named(from_errors),
            advice=advice_for(finding),
        )
        return LeafAnalysis(report, crop, heat, affected)

    def _heat(self, errors: ClassErrors, probabilities: Tensor) -> Floats:
        """Against the likeliest disease, also on a leaf that is taken for healthy."""
        diseases = probabilities.clone()
        diseases[_HEALTHY] = -1
        return heat_map(errors.maps, _HEALTHY, int(diseases.argmax()), self.side)

    def _affected(self, crop: LeafCrop, heat: Floats) -> Mask:
        limits = self.options.heat_limit, self.options.redness_limit
        return affected_pixels(crop.image, heat, crop.mask, *limits)


def _named(probabilities: Tensor) -> ClassProbabilities:
    values = probabilities.clamp(0, 1).tolist()
    return ClassProbabilities(**{c.value: v for c, v in zip(CLASSES, values, strict=True)})


def _doubt(crop: LeafCrop, unlike: float, probability: float, least: float) -> str:
    if crop.share == 0:
        return "nothing on the photo is coloured like a leaf"
    if unlike > 1:
        return "the photo is unlike the potato leaves that the model was trained on"
    if probability < least:
        return f"no class reaches a probability of {least:g}"
    return ""
