"""Serves the deployed CloudFront distributions from this machine's S3."""

from .distributions import Behavior, Distribution, DistributionRegistry
from .server import create_cdn_app

__all__ = ["Behavior", "Distribution", "DistributionRegistry", "create_cdn_app"]
