"""Deletion of S3 buckets: moto leaves a bucket that holds objects and says nothing."""

from typing import Any

from moto.s3.models import FakeBucket, s3_backends

from local.errors import ProvisioningError

__all__ = ["install_bucket_deletion"]


def install_bucket_deletion() -> None:
    """Make CloudFormation fail to delete a bucket that holds objects, as on AWS."""

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

    FakeBucket.delete_from_cloudformation_json = classmethod(delete)
