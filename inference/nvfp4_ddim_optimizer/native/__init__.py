"""Kernels in C++ for the CPU, and what they need to be found.

csrc/ has a plain C interface and knows nothing of torch; `library` loads the result. Every kernel
has a reference in plain torch elsewhere in the package, which runs where it can't.
"""

from .library import Library, library, library_path, select_instruction_set

__all__ = ["Library", "library", "library_path", "select_instruction_set"]
