"""The models being served, as pointers `models/<name>/live.json` in the artifact bucket."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lambdas.domain.ports import Clock
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, live_pointer_key
from nvfp4_ddim_contracts.models import LiveModel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Catalogue"]

_FRESH_SECONDS = 60.0


@dataclass(frozen=True)
class S3Catalogue:
    """Implements `ModelCatalogue`; a model that was found is remembered for a minute."""

    client: "S3Client"
    bucket: str
    clock: Clock
    _found: dict[str, tuple[float, LiveModel]] = field(default_factory=dict, repr=False)

    def find(self, name: str) -> LiveModel | None:
        """The model of that name, or None."""
        now = self.clock.monotonic()
        if name in self._found and now - self._found[name][0] < _FRESH_SECONDS:
            return self._found[name][1]
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=live_pointer_key(name))
        except self.client.exceptions.NoSuchKey:
            return None
        model = LiveModel.model_validate_json(answer["Body"].read())
        self._found[name] = (now, model)
        return model

    def all(self) -> tuple[LiveModel, ...]:
        """All models, by name."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=MODELS_PREFIX, Delimiter="/"
        )
        names = sorted(
            prefix["Prefix"].removeprefix(MODELS_PREFIX).rstrip("/")
            for page in pages
            for prefix in page.get("CommonPrefixes", [])
        )
        return tuple(model for name in names if (model := self.find(name)) is not None)
