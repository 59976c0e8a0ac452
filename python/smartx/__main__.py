"""`python -m smartx`, and where the command `smartx` begins: Ctrl-C is answered from here on."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the command line, which takes a moment, and run it."""
    try:
        from smartx.cli import main as work

        work()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
