"""`python -m local.ministack`: see the package."""

import sys

from local.errors import LocalCloudError
from local.settings import LocalSettings

from .check import check_in_ministack, find_ministack

__all__ = ["main"]


def main() -> int:
    """Deploy, ask, and say what came back.

    Returns:
        The process's exit code: 0 where every answer is as expected, or ministack is not here.
    """
    command = find_ministack()
    if command is None:
        print("Skipped: ministack is not installed. See `python -m pydoc local.ministack`.")
        return 0
    base = LocalSettings.from_environment()
    settings = base.model_copy(
        update={
            "port_base": base.port_base + 100,
            "state_directory": base.state_directory / "ministack",
        }
    )
    try:
        answers = check_in_ministack(settings, command, print)
    except LocalCloudError as error:
        print(error, file=sys.stderr)
        return 1
    for answer in answers:
        verdict = "as expected" if answer.is_right else "WRONG"
        print(f"{answer.status} {verdict}: {answer.question}")
    return 0 if all(answer.is_right for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
