"""The `nvfp4-ddim` command: one file per subcommand, nothing heavy imported before it is needed."""

from .app import main

__all__ = ["main"]
