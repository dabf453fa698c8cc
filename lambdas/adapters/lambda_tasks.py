"""Inference by a function: its own, or one that calls an endpoint."""

from dataclasses import dataclass
from typing import Any

from nvfp4_ddim_contracts.lanes import InferenceTask

__all__ = ["LambdaTasks"]


@dataclass(frozen=True)
class LambdaTasks:
    """Implements `InferenceQueue` on one function, by asynchronous invocations."""

    client: Any
    function_name: str

    def submit(self, job_id: str, input_uri: str) -> None:  # noqa: ARG002 - the URI names the job
        """Ask for the inference of the request that lies at `input_uri`."""
        self.client.invoke(
            FunctionName=self.function_name,
            InvocationType="Event",
            Payload=InferenceTask(input_uri=input_uri).model_dump_json().encode(),
        )
