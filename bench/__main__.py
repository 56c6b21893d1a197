"""The command: python -m bench, with lambda/ and the repository on PYTHONPATH."""

import sys

from bench.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(sys.argv[1:]))
