"""`python -m nvfp4_ddim_jobs quantize`: what SageMaker runs in a processing job's container."""

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from nvfp4_ddim_optimizer.process import tune_process
from nvfp4_ddim_server.logs import configure_logging

from .errors import JobError
from .folders import ROOT, ROOT_VARIABLE, ProcessingFolders, write_exit_message

__all__ = ["main"]

EXIT_FAILED = 1

logger = logging.getLogger(__name__)


def main() -> int:
    """Run one job.

    Returns:
        The process's exit code: 0 once there is an answer, even that a model is refused.
    """
    parser = argparse.ArgumentParser(prog="nvfp4_ddim_jobs")
    parser.add_argument("job", choices=["quantize"])
    parser.parse_args()
    configure_logging(os.environ.get("LOG_LEVEL") or "INFO")
    _prepare_process()
    root = Path(os.environ.get(ROOT_VARIABLE) or ROOT)
    try:
        _quantize(root)
    except Exception as error:
        # Whatever it is: who reads the report has no other word of it.
        logger.error("job failed", exc_info=error)
        write_exit_message(root, f"{type(error).__name__}: {error}")
        if not isinstance(error, JobError):
            raise
        return EXIT_FAILED
    return 0


def _quantize(root: Path) -> None:
    from .quantize import run_quantization

    run_quantization(ProcessingFolders(root))


def _prepare_process() -> None:
    """Settings of the process as a whole, before torch is imported, which reads some of them."""
    tune_process()
    # Advice to developers, and bars that make thousands of lines.
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # This warning quotes the prompt, which must not end in a log.
    warnings.filterwarnings("ignore", message="only the first .* tokens of the prompt count")


if __name__ == "__main__":
    sys.exit(main())
