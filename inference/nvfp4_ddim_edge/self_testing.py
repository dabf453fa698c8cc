"""Painting the picture that a release has to paint, in a process of its own.

A release that runs out of memory, hangs or crashes takes that process with it, not the agent.
"""

import base64
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ValidationError

from nvfp4_ddim_contracts.edge import REFERENCE_PIXELS, SelfTest

from .agent_ports import SelfTestResult
from .errors import SelfTestError

__all__ = ["ProcessSelfTester", "compare", "paint", "reference"]

_TAIL_CHARACTERS = 300
_FLAT = 8  # grey levels between the darkest and the brightest value of a picture of something


class _Painted(BaseModel):
    """What the process answers."""

    execution_path: str
    png: str


@dataclass(frozen=True)
class ProcessSelfTester:
    """Implements `SelfTester`."""

    timeout_seconds: float = 1_800.0

    def run(self, directory: Path, test: SelfTest) -> SelfTestResult:
        """Paint and compare."""
        command = [sys.executable, "-m", "nvfp4_ddim_edge.self_testing", str(directory)]
        try:
            process = subprocess.run(  # noqa: S603 - this very program
                command,
                input=test.model_dump_json(),
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SelfTestError(
                f"the picture was not painted within {self.timeout_seconds:.0f} s"
            ) from None
        if process.returncode:
            said = process.stderr.strip()[-_TAIL_CHARACTERS:]
            raise SelfTestError(f"painting ended with status {process.returncode}: {said}")
        try:
            painted = _Painted.model_validate_json(process.stdout)
        except ValidationError as error:
            raise SelfTestError(f"painting gave no picture: {error}") from error
        picture = _open(base64.b64decode(painted.png))
        return SelfTestResult(painted.execution_path, compare(picture, test))


def compare(picture: Image.Image, test: SelfTest) -> float | None:
    """Compare a picture with the one that is expected.

    Args:
        picture: Reduced as `paint` does.
        test: What it should be.

    Returns:
        The PSNR in dB; None where nothing is expected, or where the two are equal.

    Raises:
        SelfTestError: It is too far from it; without an expectation: it shows one flat colour.
    """
    import numpy as np

    values = np.asarray(picture, dtype=np.float64)
    if test.expected_png is None:
        if values.max() - values.min() < _FLAT:
            raise SelfTestError("the picture is one flat colour")
        return None
    expected = np.asarray(_open(test.expected_png), dtype=np.float64)
    if expected.shape != values.shape:
        raise SelfTestError(f"the picture is {picture.size}, not as large as the one expected")
    error = float(np.mean((values - expected) ** 2))
    if error == 0:
        return None
    found = float(10 * np.log10(255**2 / error))
    if found < test.min_psnr_db:
        raise SelfTestError(
            f"the picture is {found:.1f} dB from the one expected; it has to reach "
            f"{test.min_psnr_db:.1f} dB"
        )
    return found


def paint(directory: Path, test: SelfTest) -> tuple[Image.Image, str]:
    """Paint a self-test's picture with an artifact, in this process.

    Returns:
        The picture, RGB, its longest side at most `REFERENCE_PIXELS`; and the execution path.
    """
    from nvfp4_ddim_optimizer import OptimizationPipeline

    pipeline = OptimizationPipeline.from_preset(str(directory), preset="fast", device="cpu")
    picture = pipeline.generate(
        test.prompt, num_inference_steps=test.num_inference_steps, seed=test.seed
    ).convert("RGB")
    picture.thumbnail((REFERENCE_PIXELS, REFERENCE_PIXELS), Image.Resampling.BOX)
    return picture, pipeline.execution_path


def reference(directory: Path, test: SelfTest) -> SelfTest:
    """The self-test that expects what an artifact paints now."""
    picture, _ = paint(directory, test)
    return SelfTest(**{
        **test.model_dump(exclude={"expected_png"}), "expected_png": base64.b64encode(_png(picture))
    })  # fmt: skip


def _open(png: bytes) -> Image.Image:
    # PNG alone: no other decoder need be trusted with what came over the network.
    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _main() -> None:
    test = SelfTest.model_validate_json(sys.stdin.read())
    picture, path = paint(Path(sys.argv[1]), test)
    png = base64.b64encode(_png(picture)).decode("ascii")
    sys.stdout.write(_Painted(execution_path=path, png=png).model_dump_json())


if __name__ == "__main__":
    _main()
