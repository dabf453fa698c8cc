"""Many clients, trouble on purpose, and the books afterwards: parts of `benchmarks.service`."""

from .clients import Caller, Fate, run_clients
from .ledger import Ledger, read_ledger
from .trouble import Trouble

__all__ = ["Caller", "Fate", "Ledger", "Trouble", "read_ledger", "run_clients"]
