"""Bytes to text: the encodings of English, Japanese and Chinese documents, told apart, or a clear error.

Most byte strings decode in several of them, to nonsense in all but one. Real text is full of a few dozen common
characters; nonsense scatters over thousands. So a decoding counts only where enough of it is common.
"""

import re

from common.errors import ErrorCode, InvalidRequest

_COMMON = frozenset(
    "、。，；：？！「」『』（）・ー"
    + "".join(map(chr, range(0x3041, 0x3097)))
    + "".join(map(chr, range(0x30A1, 0x30FB)))
    + "０１２３４５６７８９％"
    "的一是不了人我在有他這这中大來来上國国個个到說说們们為为子和你地出道也時时年得就那要下以生會会自著着去之過过家學学對对可她里裡後后小麼么心多天而能好都然沒没日於于起"
    "還还發发成事只作當当想看文無无開开手十用主行方又如前所本見见經经頭头面公同三已老從从動动兩两長长知間间高分業业業務务銀银行金利率費费元円圓账賬帳戶户客款卡存月資资產产"
    "第二四五六七八九百千万萬億亿合定入取引名部新電电話话場场合最現现表理次店支更保險险手数數料每毎條条件請请與与及或其此通關关係系法市民"
)
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_HALF_KANA = re.compile(r"[\uff61-\uff9f]")
_LEGACY = ("cp932", "cp950", "euc_jp", "gb18030")
_ENOUGH = 0.25


def decode(data: bytes, charset: str | None = None) -> str:
    """The text of `data`. `charset` is what the sender said, and is believed when it fits.

    Raises InvalidRequest for bytes that are no text in UTF-8, UTF-16, Shift_JIS, EUC-JP, Big5 or GB 18030.
    """
    text = _said(data, charset) or _unicode(data) or _legacy(data)
    if text is None:
        raise unreadable("The document's text encoding can't be told.", "Save it as UTF-8 and send it again.")
    if "\x00" in text:
        raise unreadable(
            "The document holds NUL bytes, so it is no text.", "Send it with the media type of its format."
        )
    return text


def unreadable(what: str, do: str) -> InvalidRequest:
    return InvalidRequest(what, do, code=ErrorCode.UNREADABLE_DOCUMENT)


def _said(data: bytes, charset: str | None) -> str | None:
    if not charset:
        return None
    try:
        return data.decode("utf-8-sig" if charset.lower() in ("utf-8", "utf8") else charset)
    except (ValueError, LookupError):  # no text in that encoding, or no such encoding
        return None


def _unicode(data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _strict(data, "utf-16")
    if (text := _strict(data, "utf-8-sig")) is not None and "\x00" not in text:
        return text
    if len(data) % 2 == 0 and b"\x00" in data:
        little = data[1::2].count(0) > data[0::2].count(0)
        wide = _strict(data, "utf-16-le" if little else "utf-16-be")
        if wide is not None and "\x00" not in wide:
            return wide
    return text


def _legacy(data: bytes) -> str | None:
    decoded = [text for charset in _LEGACY if (text := _strict(data, charset)) is not None]
    best = max(decoded, key=_plausible, default=None)
    return best if best is not None and _plausible(best) >= _ENOUGH else None


def _plausible(text: str) -> float:
    """The share of common characters beyond ASCII. Half-width kana, the trace of Big5 as Shift_JIS, count against."""
    foreign = _FOREIGN.findall(text)
    common = sum(character in _COMMON for character in foreign)
    return (common - len(_HALF_KANA.findall(text))) / len(foreign) if foreign else 1.0


def _strict(data: bytes, charset: str) -> str | None:
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        return None
