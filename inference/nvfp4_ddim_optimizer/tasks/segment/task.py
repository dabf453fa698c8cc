"""Segmentation as a task: a file in, a report and files out."""

from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nvfp4_ddim_contracts.tasks import TaskSpec
from nvfp4_ddim_contracts.tasks.segment import (
    MAX_LISTED_INSTANCES,
    SPEC,
    InstanceReport,
    SegmentParameters,
    SegmentReport,
    SliceReport,
)
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import OutputFile, RunOptions, Task, TaskOutput

from .instances import instances_csv
from .nifti import write_nifti
from .reading import read_scan
from .segmenter import Segmentation, Segmenter

__all__ = ["SegmentTask", "segmentation_files", "segmentation_report"]


class SegmentTask(Task[SegmentParameters, SegmentReport]):
    """Marks nuclei in a file."""

    spec: ClassVar[TaskSpec] = SPEC

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components.

        Raises:
            ModelNotSupportedError: They are not those of a segmentation model.
        """
        super().__init__(model)
        self.segmenter = Segmenter(model)

    def run(
        self, inputs: Mapping[str, bytes], parameters: SegmentParameters, options: RunOptions
    ) -> TaskOutput[SegmentReport]:
        """Read the file, segment it, and write what was found."""
        scan = read_scan(inputs["image"], parameters)
        found = self.segmenter.segment(scan, parameters, options)
        return TaskOutput(segmentation_report(found, parameters.samples), segmentation_files(found))


def segmentation_report(found: Segmentation, samples: int) -> SegmentReport:
    """The JSON part of the answer."""
    areas = np.array([each.area_px for each in found.instances])
    count, height, width = found.mask.shape
    per_slice = np.bincount([each.slice for each in found.instances], minlength=count)
    return SegmentReport(
        source=found.scan.source,
        width=width,
        height=height,
        slice_count=count,
        spacing_mm=found.scan.spacing_mm,
        threshold=found.threshold,
        samples=samples,
        foreground_fraction=float(found.mask.mean()),
        mean_uncertainty=float(found.uncertainty.mean(dtype=np.float64)),
        instance_count=len(found.instances),
        mean_area_px=float(areas.mean()) if len(areas) else None,
        median_area_px=float(np.median(areas)) if len(areas) else None,
        instances=tuple(
            InstanceReport(**asdict(each)) for each in found.instances[:MAX_LISTED_INSTANCES]
        ),
        slices=tuple(
            SliceReport(
                index=index,
                instance_count=int(per_slice[index]),
                foreground_fraction=float(found.mask[index].mean()),
                mean_uncertainty=float(found.uncertainty[index].mean(dtype=np.float64)),
            )
            for index in range(count)
        ),
    )


def segmentation_files(found: Segmentation) -> tuple[OutputFile, ...]:
    """Mask, probability and uncertainty, the overlay and the table of instances.

    Pictures come back as PNG (0 to 255), stacks as NIfTI with the affine of the input. The overlay
    shows the slice with the most of the mask.
    """
    shown = int(found.mask.sum((1, 2)).argmax())
    table = OutputFile("instances.csv", "text/csv", instances_csv(found.instances))
    overlay = OutputFile("overlay.png", "image/png", _png(found.overlay(shown)))
    maps: dict[str, NDArray[np.generic]] = {
        "mask": found.mask.astype(np.uint8),
        "labels": found.labels,
        "probability": found.probability.astype(np.float32),
        "uncertainty": found.uncertainty.astype(np.float32),
    }
    if len(found.mask) > 1 or found.scan.source == "nifti":
        volumes = (
            OutputFile(f"{name}.nii.gz", "application/gzip", write_nifti(each, found.scan.affine))
            for name, each in maps.items()
        )
        return (*volumes, overlay, table)
    pictures = (
        OutputFile(f"{name}.png", "image/png", _png(_grey(each[0]))) for name, each in maps.items()
    )
    return (*pictures, overlay, table)


def _grey(values: NDArray[np.generic]) -> Image.Image:
    """Masks and fractions from 0 to 255; labels as they are, in 16 bits."""
    if values.dtype == np.int32:
        return Image.fromarray(np.minimum(values.astype(np.int32), 65535).astype(np.uint16))
    scaled = np.clip(values.astype(np.float32), 0, 1) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()
