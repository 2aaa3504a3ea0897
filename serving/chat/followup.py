"""A follow-up is searched in its context: "and for students?" names neither the account nor the fee.

It is searched twice, alone and behind the questions before it, and the two rankings are joined by reciprocal rank
fusion (Cormack et al. 2009). What both find is what the follow-up asks about: alone, "and the Premium card?" finds
every fact of that card; behind the question before it, it finds first what was just answered. No rule tells a follow-up
from a new question, because none is needed: a new question's own ranking carries it. Nothing here knows a language.
`benchmarks/conversation.py` measures it against either search alone and against a rewriting by the engine.
"""

from dataclasses import replace

from common.evidence import Evidence, Findings
from common.language import Language, family_of, is_courtesy
from serving.chat.request import ChatRequest, Role

EARLIER = 2
"""How many questions before the last one are its context."""
LONGEST = 300
"""Characters of a question that can be a follow-up, or a follow-up's context. Longer ones speak for themselves."""
DEPTH = 20
"""How many chunks of each ranking are joined."""
_K = 10


def in_context(request: ChatRequest) -> str | None:
    """The last question behind those before it, as one text to search for; None where it stands alone."""
    asked = [text for m in request.messages if m.role is Role.USER and (text := m.text.strip())]
    *earlier, last = asked
    context = [text for text in earlier[-EARLIER:] if len(text) <= LONGEST and not is_courtesy(text)]
    if not context or len(last) > LONGEST or is_courtesy(last):
        return None
    return " ".join([*context, last])


def join(alone: Findings, within: Findings, language: Language, top_k: int, weak_below: float) -> Findings:
    """The best `top_k` of both rankings, each with the better of its scores; weak if the first is below the bound.

    Outside the scope where both are: "and for students?" alone is about school.
    Another language than the asker's comes after its own, where that has evidence: a text without a subject, or with
    two, is trusted little anywhere, and would go astray.
    The first, and not the best: the chunk that answered the question before scores well whatever is asked now.
    """
    found: dict[str, Evidence] = {}
    places: dict[str, float] = {}
    for ranking in (alone.evidence, within.evidence):
        for place, one in enumerate(ranking):
            places[one.chunk] = places.get(one.chunk, 0.0) + 1 / (_K + place)
            known = found.get(one.chunk, one)
            found[one.chunk] = one if one.score > known.score else known
    ranked = sorted(found.values(), key=lambda one: -places[one.chunk])
    own = [one for one in ranked if family_of(one.lang) == family_of(language)]
    if own and own[0].score >= weak_below:
        ranked = own + [one for one in ranked if one not in own]
    best = tuple(ranked[:top_k])
    weak = not best or best[0].score < weak_below
    return replace(within, evidence=best, weak=weak, outside=alone.outside and within.outside)
