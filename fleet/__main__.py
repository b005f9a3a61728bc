"""Entry of the `fleet` command and of `python -m fleet`."""

import sys


def main() -> None:
    """Run the command line. It is imported here, so that Ctrl-C while it loads ends without a traceback, too."""
    try:
        from fleet.runtime.streams import Streams  # noqa: PLC0415

        streams = Streams()
        from fleet.cli import main as command_line  # noqa: PLC0415

        command_line(streams)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
