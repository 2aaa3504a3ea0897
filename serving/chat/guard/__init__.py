"""Whether the figures of an answer stand in its evidence, about what the answer says.

`Guard` knows one question and its evidence; `Hearing` judges a text that is still being written.
"""

from serving.chat.guard.judge import Guard, Hearing
from serving.chat.guard.verdict import HELD_AGAINST, Derivation, Judged, Operation, Status, Verdict

__all__ = ["HELD_AGAINST", "Derivation", "Guard", "Hearing", "Judged", "Operation", "Status", "Verdict"]
