"""`python -m nvfp4_ddim_jobs quantize|train`: what SageMaker runs in a job's container."""

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
from .training import run_training

__all__ = ["main"]

EXIT_FAILED = 1

logger = logging.getLogger(__name__)


def main() -> int:
    """Run one job.

    Returns:
        The process's exit code: 0 once there is an answer, even that a model is refused.
    """
    parser = argparse.ArgumentParser(prog="nvfp4_ddim_jobs")
    parser.add_argument("job", choices=["quantize", "train"])
    job = parser.parse_args().job
    configure_logging(os.environ.get("LOG_LEVEL") or "INFO")
    _prepare_process()
    root = Path(os.environ.get(ROOT_VARIABLE) or ROOT)
    try:
        return _train(root) if job == "train" else _quantize(root)
    except Exception as error:
        # Whatever it is: who reads the report has no other word of it.
        logger.error("job failed", exc_info=error)
        write_exit_message(root, f"{type(error).__name__}: {error}")
        if not isinstance(error, JobError):
            raise
        return EXIT_FAILED


def _quantize(root: Path) -> int:
    from diffusers.utils import logging as diffusers_logging

    from .quantize import run_quantization

    # Bars are lines without number in a log.
    diffusers_logging.disable_progress_bar()
    run_quantization(ProcessingFolders(root))
    return 0


def _train(root: Path) -> int:
    code = run_training(root, os.environ)
    if code:
        write_exit_message(root, f"The training script ended with {code}; its log says why.")
    return EXIT_FAILED if code else 0


def _prepare_process() -> None:
    """Settings of the process as a whole, before torch is imported, which reads some of them."""
    tune_process()
    # Advice to developers.
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # This warning quotes the prompt, which must not end in a log.
    warnings.filterwarnings("ignore", message="only the first .* tokens of the prompt count")


if __name__ == "__main__":
    sys.exit(main())
