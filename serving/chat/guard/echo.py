"""Whether an answer repeats a figure of the question without affirming it."""

import re

from common.figures import Figure

_NEGATED_BEFORE = re.compile(
    r"(?:\b(?:not|never|no longer|rather than|instead of|isn't|aren't|wasn't|doesn't|don't|didn't|won't|cannot|can't)\b"
    r"(?! (?:only|just|less|more|fewer|exceed\w*|over|under|below|above|until|before|later|earlier|to exceed)\b)"
    r"[^,;:.!?]{0,40}|(?:不是|並非|并非|而非|不為|不为|不會是|不会是|並不是|并不是|非)[^，。；、]{0,8})\Z",
    re.IGNORECASE,
)
_NEGATED_AFTER = re.compile(
    r"\A(?:\s*(?:is|was|are|would be) (?:not|in)\s?(?:correct|right|the|true|our|what)|"
    r"\s*(?:is|are|was)(?:n't| not| wrong| incorrect)\b|"
    r"[^。、，,.；;\n0-9０-９]{0,8}(?:ではありま|ではござい|ではな[くい]|じゃな|でなく|とは異なり)|"
    r"\s*(?:並不正確|并不正确|不正確|不正确|有誤|有误|是錯誤|是错误|的說法不))"
)
_ASKED = re.compile(
    r"(?:\byou (?:asked|mention(?:ed)?|name|wrote|quoted?|said)\b[^.;!?]{0,24}|"
    r"(?:お尋ね|ご質問|お問い合わせ|おっしゃ)[^。、]{0,8}|您(?:所)?(?:問|问|提到|說|说)[^，。；]{0,8})\Z",
    re.IGNORECASE,
)


def not_affirmed(sentence: str, figure: Figure) -> bool:
    """Whether `sentence` denies `figure`, or says that the asker named it. Indices are of `sentence`."""
    before, after = sentence[max(0, figure.start - 64) : figure.start], sentence[figure.end : figure.end + 32]
    return any(pattern.search(before) for pattern in (_NEGATED_BEFORE, _ASKED)) or bool(_NEGATED_AFTER.match(after))
