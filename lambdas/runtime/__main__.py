"""`python -m lambdas.runtime`, started by `start.sh`."""

import os

from .loop import run

__all__: list[str] = []

run(os.environ)
