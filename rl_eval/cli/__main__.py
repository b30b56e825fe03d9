"""`python -m rl_eval.cli`."""

import sys

from rl_eval.cli import main

if __name__ == "__main__":
    sys.exit(main())
