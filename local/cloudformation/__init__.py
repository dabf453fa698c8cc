"""CloudFormation for the local cloud: moto's models, the types that moto lacks, a strict engine."""

from .adapter import Provisioned, ResourceAdapter, ResourceRequest, register_adapters
from .buckets import install_buckets
from .change_sets import install_change_sets
from .engine import install_engine

__all__ = [
    "Provisioned",
    "ResourceAdapter",
    "ResourceRequest",
    "install_buckets",
    "install_change_sets",
    "install_engine",
    "register_adapters",
]
