"""Runs deployed Lambda functions as subprocesses that see only their package and boto3."""

from .moto_functions import MotoFunctions
from .packages import PackageStore
from .runtime import FunctionSpec, InvocationResult, LambdaRuntime

__all__ = ["FunctionSpec", "InvocationResult", "LambdaRuntime", "MotoFunctions", "PackageStore"]
