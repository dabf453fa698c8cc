"""State machines that really execute: moto's interpreter, and what it lacks of Distributed Map."""

from .engine import install_state_machines

__all__ = ["install_state_machines"]
