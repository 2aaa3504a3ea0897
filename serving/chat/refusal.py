"""What the assistant says where it has no good evidence: politely, in the asker's language, with a hand-over."""

from common.language import Language

_NO_EVIDENCE = {
    Language.ENGLISH: "Our current documents do not state this, so we would rather not guess.",
    Language.JAPANESE: "現在の資料には該当する記載がございませんので、推測でのご回答は控えさせていただきます。",
    Language.TRADITIONAL_CHINESE: "目前的資料中沒有相關記載，為避免誤導，恕我們無法臆測。",
    Language.SIMPLIFIED_CHINESE: "目前的资料中没有相关记载，为避免误导，恕我们无法臆测。",
}
_HANDOVER = {
    Language.ENGLISH: "Please contact us: {handover}",
    Language.JAPANESE: "恐れ入りますが、こちらまでお問い合わせください：{handover}",
    Language.TRADITIONAL_CHINESE: "敬請與我們聯繫：{handover}",
    Language.SIMPLIFIED_CHINESE: "敬请与我们联系：{handover}",
}
_WITHHELD = {
    Language.ENGLISH: "[figure withheld]",
    Language.JAPANESE: "［数値は確認中です］",
    Language.TRADITIONAL_CHINESE: "［數字待確認］",
    Language.SIMPLIFIED_CHINESE: "［数字待确认］",
}


def no_evidence(language: Language, handover: str) -> str:
    """The polite refusal, with `handover` (a person, a number, an address) where the assistant has one."""
    refusal = _NO_EVIDENCE[language]
    if not handover:
        return refusal
    joint = " " if language is Language.ENGLISH else ""
    return f"{refusal}{joint}{_HANDOVER[language].format(handover=handover)}"


def withheld_figure(language: Language) -> str:
    """The notice that stands in an answer where an unsupported figure stood."""
    return _WITHHELD[language]
