"""How a resource type that moto's CloudFormation lacks is added to it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

from local.clients import local_client
from local.errors import ProvisioningError

__all__ = [
    "ApiAdapter",
    "Properties",
    "Provisioned",
    "ResourceAdapter",
    "ResourceRequest",
    "register_adapters",
]

Properties = dict[str, Any]


@dataclass(frozen=True)
class ResourceRequest:
    """One resource to make or change.

    `name` is the template's own name where it gives one, else a generated one; `properties` are
    resolved, without references.
    """

    type_name: str
    logical_id: str
    name: str
    stack_id: str
    properties: Properties


@dataclass
class Provisioned:
    """A resource that exists: what `Ref` and `Fn::GetAtt` answer."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


class ResourceAdapter(ABC):
    """Makes, changes and deletes the resources of the types it names."""

    types: ClassVar[tuple[str, ...]]
    name_property: ClassVar[str] = ""

    @abstractmethod
    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the resource.

        Raises:
            ProvisioningError: It could not be made.
        """

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the resource; replaced by a new one unless the adapter knows better."""
        self.delete(current, previous)
        return self.create(request)

    @abstractmethod
    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the resource; one that is gone already is no error."""


class ApiAdapter(ResourceAdapter):
    """An adapter that calls the APIs that moto has for its types."""

    def __init__(self, aws_url: str) -> None:
        self._aws_url = aws_url

    def _client(self, service: str) -> Any:
        return local_client(service, self._aws_url)


class _AdaptedModel(CloudFormationModel):  # type: ignore[misc]
    """A resource of an adapted type in moto's stack."""

    adapter: ClassVar[ResourceAdapter]
    cloudformation_type_name: ClassVar[str]

    def __init__(self, provisioned: Provisioned, request: ResourceRequest) -> None:
        self.provisioned = provisioned
        self.request = request

    @property
    def physical_resource_id(self) -> str:
        return self.provisioned.physical_id

    def get_cfn_attribute(self, name: str) -> Any:
        try:
            return self.provisioned.attributes[name]
        except KeyError:
            raise ProvisioningError(
                f"{self.request.type_name} has no attribute {name!r} in the local cloud."
            ) from None

    @classmethod
    def cloudformation_type(cls) -> str:
        return getattr(cls, "cloudformation_type_name", "")

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.adapter.name_property if hasattr(cls, "adapter") else ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        del attr
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> "_AdaptedModel":
        del account_id, region_name
        request = ResourceRequest(
            type_name=kwargs["ResourceType"],
            logical_id=kwargs["LogicalId"],
            name=resource_name,
            stack_id=kwargs["StackId"],
            properties=cloudformation_json.get("Properties", {}),
        )
        return cls(cls.adapter.create(request), request)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "_AdaptedModel",
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "_AdaptedModel":
        del account_id, region_name
        previous = original_resource.request
        request = ResourceRequest(
            type_name=previous.type_name,
            logical_id=previous.logical_id,
            name=new_resource_name if cls.cloudformation_name_type() else previous.name,
            stack_id=previous.stack_id,
            properties=cloudformation_json.get("Properties", {}),
        )
        provisioned = cls.adapter.update(original_resource.provisioned, previous, request)
        return cls(provisioned, request)

    def delete(self, account_id: str, region_name: str) -> None:
        del account_id, region_name
        self.adapter.delete(self.provisioned, self.request)


def register_adapters(adapters: Iterable[ResourceAdapter]) -> dict[str, type[CloudFormationModel]]:
    """Make one moto model per adapted type and put it before moto's own, if it has one.

    Returns:
        The models by CloudFormation type; an adapter that names `Custom::*` answers for all
        custom resources.
    """
    models: dict[str, type[CloudFormationModel]] = {}
    for adapter in adapters:
        for name in adapter.types:
            models[name] = type(
                "Adapted" + "".join(part for part in name if part.isalnum()),
                (_AdaptedModel,),
                {"adapter": adapter, "cloudformation_type_name": name},
            )
    parsing.get_model_map.cache_clear()
    parsing.get_model_map().update(models)
    parsing.get_name_type_map().update(
        {name: model.cloudformation_name_type() for name, model in models.items()}
    )
    return models
