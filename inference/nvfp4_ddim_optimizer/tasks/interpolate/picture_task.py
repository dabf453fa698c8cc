"""The same task for a text-to-image model: frames between two pictures."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL import Image

from nvfp4_ddim_contracts.tasks import TaskSpec
from nvfp4_ddim_contracts.tasks.interpolate import SPEC, InterpolateParameters, InterpolateReport
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.tasks.base import OutputFile, RunOptions, Task, TaskOutput
from nvfp4_ddim_optimizer.tasks.components import TextToImageModel
from nvfp4_ddim_optimizer.tasks.text import TextConditioner

from .arrays import even_fractions
from .pictures import interpolate_pictures
from .preview import animation
from .reading import read_picture, sniff

__all__ = ["PictureInterpolationTask"]


class PictureInterpolationTask(Task[InterpolateParameters, InterpolateReport]):
    """Frames between two pictures, by latent slerp: the model was not trained for it."""

    spec: ClassVar[TaskSpec] = SPEC

    def __init__(self, model: TextToImageModel, conditioner: TextConditioner) -> None:
        """Take a model that paints, which is no `TaskModel`."""
        self._painter = model
        self._conditioner = conditioner

    def frames(
        self, start: Image.Image, end: Image.Image, fractions: Sequence[float], **settings: Any
    ) -> list[Image.Image]:
        """Pictures between two.

        Args:
            start: The first.
            end: The last.
            fractions: Where between them, each in [0, 1].
            settings: Those of `interpolate_pictures`.

        Raises:
            InvalidInputError: A number is out of range.
            GenerationCancelled: `should_cancel` said so.
        """
        return interpolate_pictures(
            self._painter, self._conditioner, start, end, fractions, **settings
        )

    def run(
        self, inputs: Mapping[str, bytes], parameters: InterpolateParameters, options: RunOptions
    ) -> TaskOutput[InterpolateReport]:
        """Interpolate between two pictures.

        Returns:
            The report, one PNG for each frame, ends included, and `preview.webp`.

        Raises:
            InvalidInputError: A file is no picture, or a parameter is one of fields only.
            GenerationCancelled: `should_cancel` said so.
        """
        for name in ("start", "end"):
            if sniff(inputs[name]) != "picture":
                raise InvalidInputError(
                    f"this model interpolates pictures, and the {name} is none: for fields use "
                    f"the model {SPEC.model}"
                )
        fractions = even_fractions(parameters.num_steps)
        pictures = self.frames(
            read_picture(inputs["start"], "start"),
            read_picture(inputs["end"], "end"),
            fractions,
            num_inference_steps=options.num_inference_steps,
            prompt=parameters.prompt,
            on_step=options.on_step,
            should_cancel=options.should_cancel,
        )
        files = []
        for index, picture in enumerate(pictures):
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            files.append(OutputFile(f"frame-{index:02d}.png", "image/png", buffer.getvalue()))
        files.append(OutputFile("preview.webp", "image/webp", animation(pictures)))
        report = InterpolateReport(
            kind="picture",
            fractions=list(fractions),
            members=1,
            notes=["latent slerp: the model was not trained to interpolate"],
        )
        return TaskOutput(report, tuple(files))
