"""Count nuclei in a microscope picture, and show where the model is not sure.

    python examples/segment.py
    python examples/segment.py my-cells.png --output result

Runs offline on the bundled model. Not a medical device.
"""

import argparse
from pathlib import Path
from typing import cast

from PIL import Image

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.segment import SegmentTask

INPUTS = Path(__file__).parent / "inputs"


def main() -> None:
    """Segment one picture and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=INPUTS / "nuclei-stained.png")
    parser.add_argument("--output", type=Path, default=Path("segment-example"))
    parser.add_argument("--model", default="nuclei-128")
    arguments = parser.parse_args()

    pipeline = OptimizationPipeline.from_preset(arguments.model, preset="fast")
    segmenter = cast("SegmentTask", pipeline.task("segment")).segmenter
    found = segmenter.segment(
        Image.open(arguments.picture),
        SegmentParameters(samples=4),
        RunOptions(num_inference_steps=10, seed=0),
    )

    areas = sorted(each.area_px for each in found.instances)
    print(f"{len(areas)} nuclei cover {found.mask.mean():.1%} of {arguments.picture.name}")
    if areas:
        print(f"areas from {areas[0]} to {areas[-1]} pixels, median {areas[len(areas) // 2]}")
    doubtful = [each for each in found.instances if each.uncertainty > 0.5]
    print(f"look again at {len(doubtful)} of them: the model is not sure")
    for each in doubtful[:5]:
        print(f"  row {each.row:.0f}, column {each.column:.0f}: {each.uncertainty:.2f} bits")

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "overlay.png"
    overlay = found.overlay()
    overlay.resize((overlay.width * 4, overlay.height * 4), Image.Resampling.NEAREST).save(path)
    print(f"outlines: {path}")


if __name__ == "__main__":
    main()
