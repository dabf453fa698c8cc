"""What the command line takes to compress and to decompress: peak memory of each process."""

import sys
import tempfile
from pathlib import Path

from benchmarks.uses.measured_process import run_measured

__all__ = ["command_peaks"]

_PROGRAM = "from nvfp4_ddim_optimizer.cli import main; main()"


def command_peaks(picture: Path, artifact: str, bitrate: float) -> dict[str, float]:
    """Peak resident bytes of `compress`, `decompress`, and `decompress -q perceptual`."""
    with tempfile.TemporaryDirectory() as folder:
        file, output = str(Path(folder) / "picture.ndpc"), str(Path(folder) / "picture.png")
        commands = {
            "compress": ["compress", str(picture), "-b", str(bitrate), "-o", file],
            "decompress": ["decompress", file, "-q", "fidelity", "-o", output],
            "decompress_refined": ["decompress", file, "-q", "perceptual", "-o", output],
        }
        peaks = {}
        for name, arguments in commands.items():
            Path(output).unlink(missing_ok=True)
            command = [sys.executable, "-c", _PROGRAM, *arguments, "-m", artifact]
            peaks[name] = run_measured(command).peak_bytes
        return peaks
