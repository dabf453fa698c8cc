#!/usr/bin/env python3
"""Checks an installation: is this machine ready, and does the bundled model make a picture?

Runs `nvfp4-ddim verify` and `nvfp4-ddim generate` of the environment that install.sh made (or of
the Python that runs this script). Needs no AWS account and no network.

Exit codes: 0 ready; 2 wrong usage; 1 or the command's own code when a check failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROMPT = "red heart"
SEED = 7
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SCRIPTS = Path(__file__).resolve().parent / ".venv" / ("Scripts" if os.name == "nt" else "bin")


def main() -> int:
    """Run both checks and say what came of them."""
    arguments = parse_arguments()
    command = find_command()
    if command is None:
        return fail("the library is not installed. Run install.sh, on Windows install_windows.ps1.")
    generate = [command, "generate", PROMPT, "--preset", "fast", "--seed", str(SEED)]
    generate += ["--device", arguments.device, "--output", str(arguments.output)]
    for title, step in (
        ("This machine", [command, "verify"]),
        (f'A picture of "{PROMPT}"', generate),
    ):
        print(f"\n{title}", flush=True)
        code = subprocess.run(step, check=False).returncode  # noqa: S603 - our own command line
        if code != 0:
            return fail(f"`{' '.join(step)}` ended with code {code}; see above.", code)
    if not arguments.output.read_bytes().startswith(PNG_SIGNATURE):
        return fail(f"{arguments.output} is not a PNG file.")
    print(f"\nReady. The picture is {arguments.output.resolve()}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Check an installation of NVFP4-DDIM Optimizer.")
    parser.add_argument("--device", default="cpu", help="where to make the picture: cpu or cuda")
    parser.add_argument(
        "--output",
        type=png_path,
        default=Path("out/verify_setup.png"),
        help="where to save the picture (.png; default: out/verify_setup.png)",
    )
    return parser.parse_args()


def png_path(text: str) -> Path:
    """A path that ends in .png."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError("must end in .png")
    return Path(text)


def find_command() -> "str | None":
    """The installed `nvfp4-ddim`: of .venv, else beside the running Python, else on PATH."""
    places = (str(SCRIPTS), str(Path(sys.executable).parent), None)
    found = (shutil.which("nvfp4-ddim", path=place) for place in places)
    return next(filter(None, found), None)


def fail(message: str, code: int = 1) -> int:
    """Say what is wrong; negative codes (ended by a signal) become 1."""
    print(f"\nNot ready: {message}", file=sys.stderr)
    return code if code > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
