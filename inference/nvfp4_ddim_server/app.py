"""SageMaker's contract over HTTP: `GET /ping` and `POST /invocations`.

Source: Amazon SageMaker developer guide, "Custom inference code with hosting services".
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from .artifact_store import ArtifactStore
from .errors import ServerError
from .invocation import Invocation
from .loading import (
    artifact_loader,
    bundled_artifact,
    connect_inputs,
    connect_progress,
    connect_registry,
    decompressed_directory,
    pipeline_loader,
    registry_pipeline_loader,
)
from .model_pool import ModelPool
from .models import RegistryModels
from .ports import (
    ArtifactLoader,
    BundledModels,
    InputStore,
    ModelRegistry,
    PipelineLoader,
    ProgressSink,
)
from .problems import problem_response
from .service import InferenceService
from .settings import ServerSettings

__all__ = ["create_app"]


def create_app(
    settings: ServerSettings,
    *,
    load_pipeline: PipelineLoader | None = None,
    load_artifact: ArtifactLoader | None = None,
    registry: ModelRegistry | None = None,
    sink: ProgressSink | None = None,
    bundled: BundledModels | None = None,
    inputs: InputStore | None = None,
    on_broken: Callable[[], None] = lambda: None,
) -> Starlette:
    """Make the ASGI application; the model starts to load with its lifespan.

    Args:
        settings: What an operator can set.
        load_pipeline: Verifies and loads the model; by default the artifact in `model_dir`.
        load_artifact: The same for other models; by default the library's loader.
        registry: Other models that requests may name; by default those of the artifact bucket, if
            one is set.
        sink: Where jobs' progress goes; by default the job table, if one is set.
        bundled: Models that come with the library; by default those that do.
        inputs: Callers' files; by default those of the upload bucket, if one is set.
        on_broken: Called once, on another thread, when the model can't be loaded or the
            accelerator is lost. `/ping` answers 503 with the reason from then on.

    Returns:
        The application. `app.state.service` is its `InferenceService`; after shutdown,
        `app.state.is_worker_gone` says whether no thread is left in the sampler.

    Raises:
        StartError: Progress, a registry or uploads are wanted, but AWS can't be used.
    """
    models = None
    pool = ModelPool(load_artifact or artifact_loader(settings), settings.model_memory_bytes)
    if registry := registry or connect_registry(settings):
        store = ArtifactStore(
            registry, settings.model_cache_dir, settings.model_disk_bytes, decompressed_directory
        )
        models = RegistryModels(registry, store)
    if load_pipeline is None:
        is_registrys = settings.model_source == "registry"
        load_pipeline = (
            registry_pipeline_loader(settings, registry)
            if is_registrys
            else pipeline_loader(settings)
        )
    service = InferenceService(
        settings,
        load_pipeline,
        sink or connect_progress(settings),
        on_broken,
        models,
        pool=pool,
        bundled=bundled or bundled_artifact,
        inputs=inputs or connect_inputs(settings),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        app.state.is_worker_gone = service.close()

    async def ping(_request: Request) -> Response:
        service.check_ready()
        return Response()

    async def invocations(request: Request) -> Response:
        return await Invocation(service, settings, request).answer()

    handlers: dict[int | type[Exception], ExceptionHandler] = {
        ServerError: _answer_error,
        404: _answer_error,
        405: _answer_error,
        Exception: _answer_error,
    }
    app = Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        lifespan=lifespan,
        exception_handlers=handlers,
    )
    app.state.service = service
    app.state.is_worker_gone = True
    return app


async def _answer_error(_request: Request, error: Exception) -> Response:
    return problem_response(error)
