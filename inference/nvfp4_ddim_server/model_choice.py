"""Which model a request is for: the registry's, the server's own, or one of the library's."""

import asyncio
from collections.abc import Callable

from nvfp4_ddim_contracts import AnyRequest, GenerationRequest, Preset
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.requests import spec_of
from nvfp4_ddim_contracts.tasks import TaskRequest

from .errors import RegistryError, UnknownModelError
from .models import RegistryModels
from .ports import BundledModels, Pipeline, StoredArtifact
from .waiting import WaitingRoom

__all__ = ["ModelChooser"]


class ModelChooser:
    """Chooses, for use from the event loop."""

    def __init__(
        self,
        own: Callable[[Preset], Pipeline],
        models: RegistryModels | None,
        bundled: BundledModels,
        room: WaitingRoom,
    ) -> None:
        """Put the parts together.

        Args:
            own: The server's own model; raises while it is still loading.
            models: The registry's, if there is a registry.
            bundled: Finds models that come with the library.
            room: Where to wait for the registry.
        """
        self._own = own
        self._models = models
        self._bundled = bundled
        self._room = room

    async def choose(self, request: AnyRequest) -> tuple[LiveModel | None, StoredArtifact | None]:
        """The model that a request is for.

        Returns:
            The registry's model, or one that comes with the library; neither for the server's own.

        Raises:
            UnknownModelError: No model of that name is being served.
            RegistryError: The registry can't be read.
        """
        own = self._own(request.preset)
        if not isinstance(request, GenerationRequest):
            return await self._task_model_of(request, own)
        if request.model is None:
            return None, None
        is_own = request.model == own.model_name
        if self._models is not None:
            found = self._models.find(request.model, own if is_own else None)
            return await self._room.wait(found), None
        if not is_own:
            raise UnknownModelError(
                f"This server holds the model {own.model_name!r}, not {request.model!r}."
            )
        return None, None

    async def _task_model_of(
        self, request: TaskRequest, own: Pipeline
    ) -> tuple[LiveModel | None, StoredArtifact | None]:
        """The task's own model where the request names none: the registry's wins."""
        name = request.model or spec_of(request).model
        is_own = name == own.model_name
        trouble: Exception | None = None
        if self._models is not None:
            try:
                live = await self._room.wait(self._models.find(name, own if is_own else None))
            except (UnknownModelError, RegistryError) as error:
                trouble = error
            else:
                if live is not None:
                    return live, None
        if is_own:
            return None, None
        bundled = await asyncio.to_thread(self._bundled, name)
        if bundled is None:
            raise trouble or UnknownModelError(f"This server has no model {name!r}.")
        return None, bundled
