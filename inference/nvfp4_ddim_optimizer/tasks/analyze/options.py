"""What calibration found, as the model carries it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nvfp4_ddim_contracts.tasks.analyze import Disease
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel

__all__ = ["CLASSES", "AnalyzeOptions", "read_options"]

CLASSES = (Disease.HEALTHY, Disease.EARLY_BLIGHT, Disease.LATE_BLIGHT)
"""The order of the class labels."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AnalyzeOptions(BaseModel):
    """Numbers that belong to the weights.

    Attributes:
        classes: Names of the labels; the label after the last is the null class.
        feature_timestep: Noise level of the pass that features are taken from.
        first_timestep: Lowest noise level at which prediction errors are compared.
        last_timestep: Highest one.
        feature_temperature: What logits of the linear head are divided by.
        error_scale: What relative prediction errors are multiplied by to become logits.
        feature_weight: Share of the head's log-probabilities in the thorough answer.
        error_weight: Share of the prediction errors' log-probabilities in it.
        distance_limit: Distance of a photo's style that makes it unlike the training's leaves.
        heat_limit: Difference of the errors above which a place counts as hot.
        redness_limit: Redness above which a pixel in a hot place counts as affected.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[Disease, ...]
    feature_timestep: int = Field(ge=0)
    first_timestep: int = Field(ge=0)
    last_timestep: int = Field(ge=1)
    feature_temperature: Positive
    error_scale: Positive
    feature_weight: float = Field(ge=0)
    error_weight: float = Field(ge=0)
    distance_limit: Positive
    heat_limit: Positive
    redness_limit: float = Field(ge=-1, le=1)


def read_options(model: TaskModel) -> AnalyzeOptions:
    """The options of a model.

    Raises:
        ModelNotSupportedError: They are not those of a model for this task.
    """
    try:
        options = AnalyzeOptions.model_validate(model.options)
    except ValidationError as error:
        raise ModelNotSupportedError(f"the model's options are not for analyze: {error}") from error
    if options.classes != CLASSES or options.first_timestep >= options.last_timestep:
        raise ModelNotSupportedError(
            f"the model's classes must be {', '.join(CLASSES)}, and its timesteps a range"
        )
    return options
