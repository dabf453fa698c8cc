"""Event sources: DynamoDB streams, SQS queues, EventBridge rules and schedules."""

from .dispatcher import EventDispatcher

__all__ = ["EventDispatcher"]
