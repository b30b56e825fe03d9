"""`python -m tests.clients.written_run NAME FOLDER`: a run to serve, with its first weights, for tests of clients."""

import sys
from pathlib import Path

from tests.serving.served_runs import AGENTS, write_run

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    write_run(Path(folder), AGENTS[name])
