"""The models that callers may name."""

from dataclasses import dataclass

from nvfp4_ddim_contracts.models import Model, ModelList

from .ports import ModelCatalogue

__all__ = ["ModelService"]

_OWNER = "nvfp4-ddim"


@dataclass(frozen=True)
class ModelService:
    """Lists models in the shape that OpenAI's clients know."""

    catalogue: ModelCatalogue

    def list_models(self) -> ModelList:
        """All models being served, by name."""
        return ModelList(
            data=tuple(
                Model(
                    id=model.name,
                    created=model.created,
                    owned_by=_OWNER,
                    artifact_sha256=model.artifact_sha256,
                    license=model.license,
                    artifact_bytes=model.artifact_bytes,
                    native_width=model.native_width,
                    native_height=model.native_height,
                )
                for model in self.catalogue.all()
            )
        )
