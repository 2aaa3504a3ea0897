"""The supervisor: starts engine, vectors, knowledge and gateway on one machine and keeps them running.

`up(settings)` is all that the rest of groundtone calls; `engine_command` serves the containers too. Containers start
the same processes singly and need no supervisor.
"""

from serving.supervisor.start import up

__all__ = ["up"]
