"""Distributed Map as Step Functions runs it: batches, tolerated failures, written results.

moto reads the items and runs the children, but forgets why a child failed, tolerates every
failure, and writes a manifest without results.

Source: AWS Step Functions developer guide, "ItemBatcher", "Tolerated failure threshold",
"ResultWriter".
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, MapRunFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval.resource_output_transformer.transformer import (  # noqa: E501
    ResourceOutputTransformer,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.result_writer_decl import (  # noqa: E501
    ResultWriter,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError, ProgramStopped
from moto.stepfunctions.parser.asl.utils.json_path import extract_json

from .definition import Batching, MapExtras

__all__ = ["JsonLines", "exceeds", "install_distributed_map", "make_batches"]

_NO_EXTRAS = MapExtras()


class JsonLines(ResourceOutputTransformer):  # type: ignore[misc]
    """Items of a file with one JSON value a line."""

    def _eval_body(self, env: Any) -> None:
        configuration, text = env.stack.pop(), env.stack.pop()
        # str.splitlines would also split at characters that JSON allows inside a text.
        lines = [line for line in text.split("\n") if line.strip()]
        items = [json.loads(line) for line in lines]
        env.stack.append(items[: configuration["MaxItemsValue"]])


def install_distributed_map(s3: Any) -> None:
    """Put this file's functions in the place of moto's.

    Args:
        s3: The client that writes results.
    """

    def write_results(writer: Any, env: Any) -> None:
        env.stack.pop()
        # moto would look for the paths in the results.
        env.stack.append(env.states.get_input())
        writer.parargs.eval(env=env)
        parameters = env.stack.pop()
        env.stack.pop()
        record = env.map_run_record_pool_manager.get_all()[-1]
        env.stack.append(_write_results(s3, parameters, record))

    DistributedIterationComponent._map_run = _run_map
    DistributedItemProcessorWorker._eval_job = _run_child
    DistributedItemProcessorWorker.eval = _work
    ResultWriter._eval_body = write_results


def make_batches(items: list[Any], batching: Batching | None, state_input: Any) -> list[Any]:
    """What each child execution gets: an item, or `{"BatchInput": ..., "Items": [...]}`."""
    if batching is None:
        return items
    shared: dict[str, Any] = {}
    if batching.batch_input is not None:
        shared["BatchInput"] = {
            name.removesuffix(".$"): extract_json(value, state_input)
            if name.endswith(".$")
            else value
            for name, value in batching.batch_input.items()
        }
    size = batching.max_items
    return [{**shared, "Items": items[at : at + size]} for at in range(0, len(items), size)]


def exceeds(failed: int, total: int, *, count: int, percentage: float) -> bool:
    """Whether more items failed than a Map state tolerates; a threshold of 0 is an absent one."""
    if count == 0 and percentage == 0:
        return failed > 0
    return (count > 0 and failed > count) or (percentage > 0 and 100 * failed > percentage * total)


def _run_map(component: Any, env: Any, eval_input: Any) -> None:
    extras: MapExtras = getattr(component, "extras", _NO_EXTRAS)
    items = env.stack.pop()
    record = eval_input.map_run_record
    record.total_items, record.children = len(items), []
    record.batched = extras.batching is not None
    inputs = make_batches(items, extras.batching, env.states.get_input())
    pool = JobPool(job_program=component._get_iteration_program(), job_inputs=inputs)
    for _ in range(min(len(inputs), record.max_concurrency or len(inputs))):
        component._launch_worker(env=env, eval_input=eval_input, job_pool=pool)
    pool.await_jobs()
    error = pool.get_worker_exception()
    if error is not None:
        raise error
    env.stack.append([job.job_output for job in pool.get_closed_jobs()])


def _work(worker: Any) -> None:
    """Take one job after another; moto recurses, which ends at Python's limit."""
    pool = worker._job_pool
    while not worker.stopped() and (job := pool.next_job()) is not None:
        frame = worker._env.open_inner_frame()
        try:
            worker._eval_job(env=frame, job=job)
        finally:
            worker._env.delete_frame(frame)
        pool.close_job(job)


def _run_child(worker: Any, env: Any, job: Any) -> None:
    record = worker._map_run_record
    size = len(job.job_input["Items"]) if record.batched else 1
    _count(record, "total", size)
    _count(record, "running", size)
    child = _begin(record, env, job)
    _evaluate(worker, env, job, child)
    _count(record, "running", -size, executions=-1)
    _count(record, child["Status"].lower(), size)
    record.children.append((job.job_index, child))
    failed = record.item_counter.failed.get()
    count = int(record.tolerated_failure_count)
    percentage = float(record.tolerated_failure_percentage)
    too_many = exceeds(failed, record.total_items, count=count, percentage=percentage)
    if child["Status"] == "FAILED" and too_many:
        job.job_output = _threshold_exceeded(env)


def _evaluate(worker: Any, env: Any, job: Any, child: dict[str, Any]) -> None:
    try:
        env.states.reset(job.job_input)
        env.stack.append(env.states.get_input())
        worker._eval_input(env_frame=env)
        job.job_program.eval(env)
        state = env.program_state()
        if isinstance(state, ProgramError):
            error = state.error or {}
            child |= {"Error": error.get("error", ""), "Cause": error.get("cause", "")}
        elif isinstance(state, ProgramStopped):
            child["Status"] = "ABORTED"
        else:
            job.job_output = env.states.get_input()
            child |= {"Status": "SUCCEEDED", "Output": json.dumps(job.job_output)}
    except Exception as error:
        # As on AWS, a child's own trouble is its failure, not the Map state's.
        child |= {"Error": type(error).__name__, "Cause": str(error)}
    child["StopDate"] = datetime.now(UTC).isoformat()


def _begin(record: Any, env: Any, job: Any) -> dict[str, Any]:
    """The child's record; it counts as failed until it has succeeded."""
    name = str(uuid.uuid4())
    arn = record.map_run_arn.replace(":mapRun:", ":execution:").rsplit(":", 1)[0] + f":{name}"
    context = env.states.context_object.context_object_data
    context["Execution"] = {
        **context["Execution"],
        "Id": arn,
        "Name": name,
        "Input": job.job_input,
    }
    context["Map"] = {"Item": {"Index": job.job_index, "Value": job.job_input}}
    return {
        "ExecutionArn": arn,
        "Name": name,
        "Input": json.dumps(job.job_input),
        "InputDetails": {"Included": True},
        "StartDate": datetime.now(UTC).isoformat(),
        "StateMachineArn": record.map_state_machine_arn,
        "Status": "FAILED",
    }


def _count(record: Any, counter: str, items: int, executions: int = 1) -> None:
    getattr(record.item_counter, counter).offset(items)
    getattr(record.execution_counter, counter).offset(executions)


def _threshold_exceeded(env: Any) -> FailureEventException:
    name = StatesErrorName(typ=StatesErrorNameType.StatesExceedToleratedFailureThreshold)
    details = MapRunFailedEventDetails(
        error=name.error_name, cause="The specified tolerated failure threshold was exceeded"
    )
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),
        )
    )


def _write_results(s3: Any, parameters: dict[str, Any], record: Any) -> dict[str, Any]:
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "")
    base = f"{prefix.rstrip('/')}/" if prefix else ""
    base += record.map_run_arn.rsplit(":", 1)[1]
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    children = [child for _, child in sorted(record.children, key=lambda each: each[0])]
    for status in ("SUCCEEDED", "FAILED"):
        found = [child for child in children if child["Status"] == status]
        if found:
            body = json.dumps(found).encode()
            key = f"{base}/{status}_0.json"
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            files[status].append({"Key": key, "Size": len(body)})
            _count(record, "results_written", len(found), executions=len(found))
    manifest = {
        "DestinationBucket": bucket,
        "MapRunArn": record.map_run_arn,
        "ResultFiles": files,
    }
    s3.put_object(Bucket=bucket, Key=f"{base}/manifest.json", Body=json.dumps(manifest).encode())
    return {
        "MapRunArn": record.map_run_arn,
        "ResultWriterDetails": {"Bucket": bucket, "Key": f"{base}/manifest.json"},
    }
