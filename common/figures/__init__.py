"""Figures in English, Japanese and Chinese text: what was stated, where, and whether two statements agree.

`find` recognises money, percentages, quantities, durations, dates, times, phone numbers, product codes and plain
numbers, in Arabic and full-width digits, Chinese numerals and English words. `open_tail` serves text that arrives in
pieces.

Not figures, on purpose: list and heading numbers, ordinals (1st, 第3条), references (Section 4.2, [3]), digits glued to
words (e5), `one` as a pronoun, Chinese numerals inside words (一般, 十分), URLs and e-mail addresses.
"""

from .recognise import find
from .stream import may_begin, open_tail
from .value import COUNTERS, Figure, Kind, Value, same

__all__ = ["COUNTERS", "Figure", "Kind", "Value", "find", "may_begin", "open_tail", "same"]
