"""`python -m nvfp4_ddim_server`: serve what the environment says."""

import sys

from .errors import SettingsError
from .main import serve
from .settings import ServerSettings

EXIT_USAGE = 2


def main() -> int:
    """Read the environment and serve."""
    try:
        settings = ServerSettings.from_environment()
    except SettingsError as error:
        print(f"The environment is not usable: {error}", file=sys.stderr)
        return EXIT_USAGE
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
