"""Child processes and loopback HTTP servers."""

from .http_servers import LoopbackServer
from .processes import ManagedProcess, end_process_tree, is_running

__all__ = ["LoopbackServer", "ManagedProcess", "end_process_tree", "is_running"]
