"""The command line: `groundtone COMMAND`. It speaks the gateway's HTTP API and nothing else, so it works from afar.

Exit codes: 0 done; 1 the answer is no (a check failed, the service refused); 2 usage; 3 the service or a part of it
is unreachable. With `--json` one JSON document is on stdout, also for an error, and everything else is on stderr.
"""

from serving.cli.app import main

__all__ = ["main"]
