"""What can go wrong in a job.

JobError
├── RefusedModelError    the model, or what was made of it, must not be published
└── UsageError           the job was started with arguments or folders that can't be used
"""

from nvfp4_ddim_contracts.incoming import QuantizationProblem, QuantizationProblemCode

__all__ = ["JobError", "RefusedModelError", "UsageError"]


class JobError(Exception):
    """Base of all errors raised on purpose by this package."""


class RefusedModelError(JobError):
    """The model, or what was made of it, must not be published."""

    def __init__(self, code: QuantizationProblemCode, detail: str) -> None:
        super().__init__(detail)
        # The report's field has this limit.
        self.problem = QuantizationProblem(code=code, detail=detail[:2_000])


class UsageError(JobError):
    """The job was started with arguments or folders that can't be used."""
