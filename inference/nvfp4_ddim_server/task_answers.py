"""From a task's output to the answer: JSON with everything, or one of its files."""

import base64
import functools
import importlib.metadata
import time
from dataclasses import dataclass
from typing import Self

from starlette.responses import Response

from nvfp4_ddim_contracts import Provenance, Timings
from nvfp4_ddim_contracts.tasks import TaskFile, TaskProvenance, TaskResult

from .negotiation import choose_file
from .queueing import Finished
from .service import PlannedRequest
from .task_planning import TaskPlan

__all__ = ["TaskAnswer", "fact_headers", "library_version", "task_provenance"]


@dataclass(frozen=True)
class TaskAnswer:
    """A task's result, and its JSON."""

    result: TaskResult
    text: bytes

    @classmethod
    def of(
        cls,
        finished: Finished,
        plan: TaskPlan,
        provenance: TaskProvenance,
        instance_type: str | None,
    ) -> Self:
        """Encode an output. Takes a while for large files."""
        begun = time.monotonic()
        output = finished.results[0]
        files = tuple(
            TaskFile(name=file.name, media_type=file.media_type, data=base64.b64encode(file.data))
            for file in output.files
        )
        result = TaskResult(
            task=plan.task,
            report=output.report.model_dump(mode="json"),
            files=files,
            provenance=provenance,
            timings=Timings(
                queue_seconds=finished.queue_seconds,
                generate_seconds=finished.generate_seconds,
                encode_seconds=time.monotonic() - begun,
            ),
            instance_type=instance_type,
        )
        return cls(result, result.model_dump_json().encode())

    def response(self, accept: str | None) -> Response:
        """The answer in the form that the caller prefers.

        Raises:
            NotAcceptableError: It can't be had in any that the caller accepts.
        """
        files = self.result.files
        index = choose_file(accept, [file.media_type for file in files])
        if index is None:
            return Response(self.text, media_type="application/json")
        name = files[index].name
        return Response(
            files[index].data,
            media_type=files[index].media_type,
            headers={
                **fact_headers(self.result.provenance, self.result.timings),
                "Content-Disposition": f'attachment; filename="{name}"',
            },
        )


def task_provenance(planned: PlannedRequest, plan: TaskPlan) -> TaskProvenance:
    """Where a task's output comes from."""
    return TaskProvenance(
        model=planned.model_name,
        artifact_sha256=planned.artifact_sha256,
        preset=plan.preset,
        num_inference_steps=plan.num_inference_steps,
        seed=plan.seed,
        execution_path=planned.execution_path,
        library_version=library_version(),
    )


def fact_headers(provenance: Provenance | TaskProvenance, timings: Timings) -> dict[str, str]:
    """Provenance and timings of what comes bare, such as `X-NVFP4-DDIM-Seed`."""
    facts = provenance.model_dump(mode="json") | timings.model_dump(mode="json")
    return {
        f"X-NVFP4-DDIM-{name.replace('_', '-').title()}": str(value)
        for name, value in facts.items()
    }


@functools.cache
def library_version() -> str:
    """The version of the library."""
    return importlib.metadata.version("nvfp4-ddim-optimizer")
