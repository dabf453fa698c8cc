"""S3 buckets: what moto's CloudFormation leaves out.

moto leaves a bucket that holds objects and says nothing, and ignores notifications.
"""

from typing import Any

from moto.s3.models import FakeBucket, s3_backends

from local.errors import ProvisioningError, UnsupportedResourceError

from .values import as_bool

__all__ = ["install_buckets"]

_NOTIFICATIONS = "NotificationConfiguration"
_EVENT_BRIDGE = "EventBridgeConfiguration"


def install_buckets() -> None:
    """Make CloudFormation's buckets notify EventBridge, and refuse to be deleted when full."""
    create = FakeBucket.create_from_cloudformation_json
    update = FakeBucket.update_from_cloudformation_json

    def created(cls: type, name: str, template: Any, *arguments: Any, **named: Any) -> Any:
        del cls
        bucket = create(name, template, *arguments, **named)
        _set_notifications(bucket, template.get("Properties", {}))
        return bucket

    def updated(
        cls: type,
        /,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        **named: Any,
    ) -> Any:
        del cls
        bucket = update(original_resource, new_resource_name, cloudformation_json, **named)
        _set_notifications(bucket, cloudformation_json.get("Properties", {}))
        return bucket

    def delete(
        cls: type, resource_name: str, properties: Any, account_id: str, region_name: str
    ) -> None:
        del cls, properties, region_name
        backend = s3_backends[account_id]["aws"]
        if resource_name in backend.buckets and backend.delete_bucket(resource_name) is None:
            raise ProvisioningError(
                f"The bucket you tried to delete is not empty: {resource_name}. You must delete "
                "all versions in the bucket."
            )

    FakeBucket.create_from_cloudformation_json = classmethod(created)
    FakeBucket.update_from_cloudformation_json = classmethod(updated)
    FakeBucket.delete_from_cloudformation_json = classmethod(delete)


def _set_notifications(bucket: Any, properties: dict[str, Any]) -> None:
    wanted = properties.get(_NOTIFICATIONS, {})
    unknown = sorted(set(wanted) - {_EVENT_BRIDGE})
    if unknown:
        raise UnsupportedResourceError(
            f"The local cloud's buckets notify EventBridge alone, not {', '.join(unknown)}."
        )
    enabled = _EVENT_BRIDGE in wanted and as_bool(
        wanted[_EVENT_BRIDGE].get("EventBridgeEnabled", True)
    )
    bucket.set_notification_configuration({_EVENT_BRIDGE: {}} if enabled else None)
