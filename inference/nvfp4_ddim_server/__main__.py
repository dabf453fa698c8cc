"""`python -m nvfp4_ddim_server [serve]`: serve what the environment says.

SageMaker runs the image with the argument `serve`, or `train` where a training job names no entry
point of its own; that becomes `python -m nvfp4_ddim_jobs train`. Where Lambda runs it, its runtime
API is in the environment, and the process serves that instead of HTTP.
"""

import argparse
import os
import sys

from .errors import SettingsError
from .lambda_lane import RUNTIME_API, run
from .main import serve
from .settings import ServerSettings

__all__ = ["main"]

EXIT_USAGE = 2


def main() -> int:
    """Read the environment and serve.

    Returns:
        The process's exit code.
    """
    parser = argparse.ArgumentParser(prog="nvfp4_ddim_server", description=ServerSettings.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", nargs="?", choices=["serve", "train"], default="serve")
    if parser.parse_args().command == "train":
        # Another program in this process's place, so that SageMaker's signals reach it.
        os.execv(sys.executable, [sys.executable, "-m", "nvfp4_ddim_jobs", "train"])  # noqa: S606
    if runtime_api := os.environ.get(RUNTIME_API):
        run(runtime_api)
        return 0
    try:
        settings = ServerSettings.from_environment()
    except SettingsError as error:
        print(f"The environment is not usable: {error}", file=sys.stderr)
        return EXIT_USAGE
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
