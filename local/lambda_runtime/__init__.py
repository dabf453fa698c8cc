"""Runs deployed Lambda functions as subprocesses that see only their package and boto3."""

from .functions import FunctionSpec
from .moto_functions import MotoFunctions
from .packages import PackageStore
from .runtime import InvocationResult, LambdaRuntime

__all__ = ["FunctionSpec", "InvocationResult", "LambdaRuntime", "MotoFunctions", "PackageStore"]
