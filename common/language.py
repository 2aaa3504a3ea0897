"""The language of a text, told by its script: enough for English, Japanese and Chinese, and it costs microseconds."""

import re
from enum import StrEnum

_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9d]")
_LATIN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


class Language(StrEnum):
    """BCP 47 tags of the languages that groundtone answers in."""

    ENGLISH = "en"
    JAPANESE = "ja"
    TRADITIONAL_CHINESE = "zh-TW"
    SIMPLIFIED_CHINESE = "zh-CN"


def language_of(text: str) -> Language:
    """The language of `text`: kana make it Japanese, Han without kana Chinese, all else English.

    A text counts as Japanese from one kana to twenty Han characters on, so that a Chinese page that names a Japanese
    product stays Chinese. With more than two words in Latin letters to a character of either it is English, which names
    something. Chinese is Traditional unless characters of the Simplified standard prevail.
    """
    han = len(_HAN.findall(text))
    kana = len(_KANA.findall(text))
    if 2 * (han + kana) < len(_LATIN.findall(text)):
        return Language.ENGLISH
    if kana and kana * 20 >= han:
        return Language.JAPANESE
    if not han:
        return Language.ENGLISH
    return (
        Language.SIMPLIFIED_CHINESE
        if _encodable(text, "gb2312") > _encodable(text, "big5")
        else Language.TRADITIONAL_CHINESE
    )


def family_of(lang: str) -> str:
    """`en`, `ja` or `zh` for a BCP 47 tag, `en` for any other: what is searched as one language.

    Traditional and Simplified Chinese share their terms, which analysis folds together.
    """
    named = lang.partition("-")[0]
    return named if named in ("en", "ja", "zh") else "en"


_COURTESY = re.compile(
    r"(?:(?:hello|hi|hey|good (?:day|morning|afternoon|evening)|thanks|thank you|many thanks|goodbye|bye)"
    r"(?: (?:there|all|very much|so much|a lot|again|for your (?:help|time|reply)))?"
    r"|こんにちは|こんばんは|おはようございます|はじめまして|ありがとう(?:ございま(?:す|した))?|さようなら"
    r"|[你您]好|早安|午安|晚安|早上好|哈囉|(?:非常|多)?[謝谢]{1,2}(?:[你您])?|再[見见])",
    re.IGNORECASE,
)


def is_courtesy(text: str) -> bool:
    """Whether `text` is a greeting or thanks and nothing else: there is nothing to look up for it."""
    return _COURTESY.fullmatch(text.strip().rstrip(".!?,~。！？、～ ")) is not None


def _encodable(text: str, charset: str) -> int:
    """How many bytes `charset` can hold of `text`: GB 2312 lacks the Traditional characters, Big5 the Simplified."""
    return len(text.encode(charset, "ignore"))
