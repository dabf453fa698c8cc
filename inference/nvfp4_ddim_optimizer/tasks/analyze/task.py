"""`analyze` on bytes, for the container, batches and the command line."""

import io
from collections.abc import Mapping
from typing import ClassVar

from PIL import Image

from nvfp4_ddim_contracts.tasks import TaskSpec
from nvfp4_ddim_contracts.tasks.analyze import SPEC, AnalyzeParameters, AnalyzeReport
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import OutputFile, RunOptions, Task, TaskOutput

from .analyzer import LeafAnalysis, LeafAnalyzer
from .heat_map import paint_heat, paint_overlay
from .photo import read_photo

__all__ = ["AnalyzeTask"]


class AnalyzeTask(Task[AnalyzeParameters, AnalyzeReport]):
    """A photo of a potato leaf to a report, a heat map and an overlay picture."""

    spec: ClassVar[TaskSpec] = SPEC

    def __init__(self, model: TaskModel) -> None:
        """Take a model's parts.

        Raises:
            ModelNotSupportedError: They are not those of a model for this task.
        """
        super().__init__(model)
        self.analyzer = LeafAnalyzer(model)

    def run(
        self,
        inputs: Mapping[str, bytes],
        parameters: AnalyzeParameters,
        options: RunOptions,
    ) -> TaskOutput[AnalyzeReport]:
        """Report on a photo; see `Task.run`.

        The files are `heat_map.png` and `overlay.png`, both over the square that was looked at,
        and only with the thorough method.
        """
        analysis = self.analyzer.analyze(
            read_photo(inputs["photo"]),
            method=parameters.method,
            least_probability=parameters.least_probability,
            num_inference_steps=options.num_inference_steps,
            seed=options.seed,
            on_step=options.on_step,
            should_cancel=options.should_cancel,
        )
        files = self._pictures(analysis) if parameters.heat_map else ()
        return TaskOutput(analysis.report, files)

    def _pictures(self, analysis: LeafAnalysis) -> tuple[OutputFile, ...]:
        if analysis.heat is None or analysis.affected is None:
            return ()
        crop, limit = analysis.crop, self.analyzer.options.heat_limit
        return (
            _png("heat_map.png", paint_heat(analysis.heat, crop.mask, limit)),
            _png("overlay.png", paint_overlay(crop.image, analysis.affected)),
        )


def _png(name: str, image: Image.Image) -> OutputFile:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return OutputFile(name, "image/png", buffer.getvalue())
