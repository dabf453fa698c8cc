"""`python -m lambdas.openapi [PATH]`: write the document, by default to docs/openapi.json."""

import sys
from pathlib import Path

from .document import render_document

DEFAULT_PATH = Path("docs/openapi.json")


def main(arguments: list[str]) -> int:
    """Write the document.

    Args:
        arguments: The path to write to, or nothing.

    Returns:
        The exit code.
    """
    path = Path(arguments[0]) if arguments else DEFAULT_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_document(), encoding="utf-8")
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
