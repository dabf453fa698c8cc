"""Finding out what a model takes, and how fast this machine works.

configuration --trace on the meta device--> Footprint --memory.plan_execution--> ExecutionPlan
"""

from .measure import MeasuredModel, measure_model
from .speed import MachineSpeed, measure_speed, predict_seconds
from .trace import trace

__all__ = [
    "MachineSpeed",
    "MeasuredModel",
    "measure_model",
    "measure_speed",
    "predict_seconds",
    "trace",
]
