"""CloudFormation for the local cloud: moto's models, the types that moto lacks, a strict engine."""

from .adapter import Provisioned, ResourceAdapter, ResourceRequest, register_adapters
from .buckets import install_bucket_deletion
from .engine import install_engine

__all__ = [
    "Provisioned",
    "ResourceAdapter",
    "ResourceRequest",
    "install_bucket_deletion",
    "install_engine",
    "register_adapters",
]
