"""What a figure measures, by the words in front of it: `noninterest expense` was 5, 資本適足率 為 5%.

Two measures are compared only where the evidence has both in these very words, so a paraphrase is never held against
an answer.
"""

import re

from common.figures.script import listed
from serving.chat.guard.names import fold, is_cjk, words

_CLAUSE = re.compile(r"[,;:、，；：。(（]|\b(?:and|while|but|with)\b")
_ASIDE = re.compile(r"[(（][^()（）]*[)）]")
_VERB = re.compile(
    r"\b(?:was|were|is|are|be|been|rose|fell|grew|increased|decreased|declined|improved|totall?ed|reached|stood|amounted"
    r"|came|represented|accounted|had|has|have|remained|comprised|more than|doubled|tripled)\b"
)
_TO = re.compile(r"\b(?:of|at|to|by)\b(?=\W*\Z)")
_IDLE = frozenset(listed("the a an our its their total this that year fiscal it we they of for in at on to by"))
_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff々A-Za-z0-9]+\Z")
_PARTICLES = re.compile(r"(?:は|が|も|で|約|为|為|是|占|佔|達|达|僅|仅|至|計|共|有|的|の)+\Z")
_PREDICATE = re.compile(r"(?<=..)(?:は|が|[占佔為为是達达])")
_TERM = re.compile(r"\A(?:期|度|末|現在)?の")
_CHANGE = re.compile(
    r"(?:同比|環比|环比|[較较].{0,4}|前[期年]比|年)?(?:[增減减][加少長长]?|成長|成长|下[降滑]|上升|上昇|低下)"
)
_ADVERBS = re.compile(r"(?:合計|約|およそ|大約|大约)\Z")


def measure(lead: str) -> frozenset[str]:
    """The words for what is measured in `lead`, which ends where a figure begins; none where that is not certain."""
    clauses = [piece for piece in _CLAUSE.split(_ASIDE.sub("", lead)) if piece.strip()]
    if not clauses:
        return frozenset()
    if is_cjk(lead):
        found = _RUN.search(clauses[-1].rstrip())
        run = _PREDICATE.split(found[0], maxsplit=1)[0] if found else ""
        run = _PARTICLES.sub("", _ADVERBS.sub("", _TERM.sub("", run)))
        if _CHANGE.fullmatch(run):
            return frozenset()
        return frozenset({fold(run).replace("佔", "占")}) if len(run) >= 2 else frozenset()
    verb = _VERB.search(clauses[-1]) or _TO.search(clauses[-1])
    said = frozenset(words(clauses[-1][: verb.start()])) - _IDLE if verb else frozenset[str]()
    return said if len(said) >= 2 else frozenset()


def tells_apart(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two measures are two, and not one in more or fewer words."""
    if not one or not other:
        return False
    if any(is_cjk(word) for word in one | other):
        return not any(a in b or b in a for a in one for b in other)
    return not one <= other and not other <= one
