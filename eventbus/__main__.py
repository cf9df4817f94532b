"""``python -m eventbus``: the command, from a checkout too."""

from eventbus.cli import main

if __name__ == "__main__":
    main()
