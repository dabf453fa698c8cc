import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nvfp4_ddim_contracts import GenerationRequest
from nvfp4_ddim_server.errors import ClientGoneError, NotReadyError
from nvfp4_ddim_server.queueing import Finished
from nvfp4_ddim_server.service import InferenceService
from nvfp4_ddim_server.settings import ServerSettings

REQUEST = GenerationRequest(prompt="a pear", num_inference_steps=1000)


async def paint(
    service: InferenceService,
    job_id: str | None = None,
    client_gone: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Finished:
    async with service.planned(REQUEST) as planned:
        return await service.carry_out(planned.plan, job_id, client_gone or never)


@pytest.fixture
def run(pipeline: Any, sink: Any) -> Callable[..., None]:
    """Runs a coroutine function on a started, ready service, and closes it afterwards."""

    def run_it(
        body: Callable[[InferenceService], Coroutine[Any, Any, None]], **settings: Any
    ) -> None:
        async def main() -> None:
            service = InferenceService(ServerSettings(**settings), lambda: pipeline, sink)
            service.start()
            while True:
                try:
                    service.check_ready()
                    break
                except NotReadyError:
                    await asyncio.sleep(0.01)
            pipeline.gate.clear()
            try:
                await body(service)
            finally:
                pipeline.gate.set()
                assert service.close()

        asyncio.run(asyncio.wait_for(main(), 20))

    return run_it


async def never() -> None:
    await asyncio.Event().wait()


def test_a_caller_who_leaves_stops_the_work(run: Any) -> None:
    async def body(service: InferenceService) -> None:
        async def leave() -> None:
            await asyncio.sleep(0.05)

        with pytest.raises(ClientGoneError):
            await paint(service, client_gone=leave)

    run(body)


def test_what_outlives_the_grace_period_is_cut_off(run: Any) -> None:
    async def body(service: InferenceService) -> None:
        running = asyncio.ensure_future(paint(service))
        await asyncio.sleep(0.05)
        service.drain()
        with pytest.raises(NotReadyError, match="shutting down"):
            await running

    run(body, drain_seconds=0.1)


def test_what_finishes_within_the_grace_period_is_delivered(run: Any, pipeline: Any) -> None:
    async def body(service: InferenceService) -> None:
        running = asyncio.ensure_future(paint(service))
        await asyncio.sleep(0.05)
        service.drain()
        pipeline.gate.set()
        assert len((await running).results) == 1

    run(body, drain_seconds=10)


def test_a_task_that_is_cancelled_stops_the_work(run: Any) -> None:
    async def body(service: InferenceService) -> None:
        running = asyncio.ensure_future(paint(service))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        # `run` asserts that the worker's thread ends.

    run(body)


def test_progress_is_written_before_the_service_is_gone(run: Any, pipeline: Any, sink: Any) -> None:
    async def body(service: InferenceService) -> None:
        pipeline.gate.set()
        await paint(service, "0" * 32)

    run(body)
    assert sink.reports[-1] == ("0" * 32, 1000, 1000)
