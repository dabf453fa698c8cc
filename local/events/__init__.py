"""Event sources: DynamoDB streams, SQS queues and schedules that invoke functions."""

from .dispatcher import EventDispatcher

__all__ = ["EventDispatcher"]
