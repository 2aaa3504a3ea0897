"""`python -m serving.supervisor`: the same as `groundtone up`."""

import sys

from common.settings import load
from serving.supervisor import up

if __name__ == "__main__":
    sys.exit(up(load()))
