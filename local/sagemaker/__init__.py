"""Runs the real inference server behind deployed SageMaker endpoints."""

from .endpoint import Endpoint, EndpointSpec
from .service import SageMakerService

__all__ = ["Endpoint", "EndpointSpec", "SageMakerService"]
