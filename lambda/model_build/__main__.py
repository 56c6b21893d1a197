"""The command: python -m model_build build | verify | synthesize | demo | list."""

import signal
import sys

from model_build.command import run_command

if __name__ == "__main__":
    # Being ended is being interrupted: what is half made is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run_command(sys.argv[1:]))
