"""Report on a photo of a potato leaf: what it is, how sure, where, and what to do.

Run: python examples/analyze.py [PHOTO] [OUT]
"""

import sys
from pathlib import Path

from PIL import Image

from nvfp4_ddim_optimizer import OptimizationPipeline
from nvfp4_ddim_optimizer.tasks.analyze import LeafAnalyzer

SAMPLE = Path(__file__).parent / "inputs" / "potato_late_blight.jpg"


def main(photo: Path = SAMPLE, out: Path = Path("out/analyze-example")) -> None:
    """Use both ways: typed on pictures, and on bytes as the service does."""
    pipeline = OptimizationPipeline.from_preset("potato-leaf-128", "balanced")

    analyzer = LeafAnalyzer(pipeline.task("analyze").model)
    quick = analyzer.analyze(Image.open(photo), method="fast").report
    print(f"fast:     {quick.finding}, probability {quick.probability:.1%}")

    answer = pipeline.run("analyze", {"photo": photo.read_bytes()}, seed=0)
    report = answer.report
    print(f"thorough: {report.finding}, probability {report.probability:.1%}")
    if report.severity is not None:
        print(f"affected: about {report.severity:.0%} of the leaf ({report.severity_level})")
    print(f"advice:   {report.advice.title}")
    for step in report.advice.steps:
        print(f"  - {step}")
    print(report.advice.note)

    out.mkdir(parents=True, exist_ok=True)
    for file in answer.files:
        (out / file.name).write_bytes(file.data)
    (out / "report.json").write_text(report.model_dump_json(indent=2))
    print(f"pictures and report: {out}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
