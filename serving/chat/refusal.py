"""What the assistant says where it does not answer: politely, in the asker's language, with a hand-over."""

from common.language import Language

_NO_EVIDENCE = {
    Language.ENGLISH: "Our current documents do not state this, so we would rather not guess.",
    Language.JAPANESE: "現在の資料には該当する記載がございませんので、推測でのご回答は控えさせていただきます。",
    Language.TRADITIONAL_CHINESE: "目前的資料中沒有相關記載，為避免誤導，恕我們無法臆測。",
    Language.SIMPLIFIED_CHINESE: "目前的资料中没有相关记载，为避免误导，恕我们无法臆测。",
}
_OUTSIDE = {
    Language.ENGLISH: "We are sorry, this is outside what we can help with here.",
    Language.JAPANESE: "申し訳ございませんが、こちらの窓口ではご案内できない内容でございます。",
    Language.TRADITIONAL_CHINESE: "很抱歉，這個問題不在本服務的範圍內。",
    Language.SIMPLIFIED_CHINESE: "很抱歉，这个问题不在本服务的范围内。",
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


def refusal(language: Language, handover: str, outside: bool = False) -> str:
    """Why it does not answer, with `handover` (a person, a number, an address) where the assistant has one."""
    refusal = (_OUTSIDE if outside else _NO_EVIDENCE)[language]
    if not handover:
        return refusal
    joint = " " if language is Language.ENGLISH else ""
    return f"{refusal}{joint}{_HANDOVER[language].format(handover=handover)}"


def withheld_figure(language: Language) -> str:
    """The notice that stands in an answer where an unsupported figure stood."""
    return _WITHHELD[language]
