"""Runs the real container's programs: servers behind endpoints, and jobs that end."""

from .endpoint import Endpoint, EndpointSpec
from .jobs_api import JobsApi
from .service import SageMakerService

__all__ = ["Endpoint", "EndpointSpec", "JobsApi", "SageMakerService"]
