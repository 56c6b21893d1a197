"""The command: python -m model_build build | verify | synthesize | list | demo."""

import sys

from model_build.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(sys.argv[1:]))
