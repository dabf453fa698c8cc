"""`python -m local`: the local cloud's command line."""

from local.cli import main

if __name__ == "__main__":
    main()
