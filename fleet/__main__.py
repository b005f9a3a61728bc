"""Entry of the `fleet` command and of `python -m fleet`."""

import sys


def main() -> None:
    """Run the command line. It is imported here, so that Ctrl-C while it loads ends without a traceback, too."""
    try:
        from fleet.cli import main as command_line  # noqa: PLC0415

        command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
