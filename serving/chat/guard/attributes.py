"""What a figure is a figure of: fee, rate, limit, age. A few words of three languages for each.

Only kinds of attribute that no honest paraphrase exchanges stand here: a fee is never told as a limit.
"""

import re

_WORDS = {
    "fee": r"fees?|charges?|cost(?:s|ing)?|prices?|手数料|料金|[年月]?会費|費用|利用料|保管料|作製料|報酬|"
    r"手續費|手续费|[年月]費|"
    r"年费|年租金|管理費|开户费|開辦費|簽約費|違約金",
    "limit": r"limits?|maximum|ceiling|限度額|上限|限額|限额|額度|额度",
    "rate": r"(?:interest|lending) rates?|interest on|yields?|金利|利率|年利",
    "reward": r"rewards?|cash ?back|還元率?|回饋|回馈",
    "age": r"ages?|aged|years? old|年齢|年齡|年龄|満?\d+[歳歲岁]|年滿|年满",
    "margin": r"margins?|spreads?|スプレッド|價差|价差",
    "deposit": r"(?:minimum|opening|smallest) (?:opening )?deposit|お預け入れ|存款金額|開戶金額|存款金额|开户金额",
    "revenue": r"revenues?|sales|売上高?|營收|营收|營業額",
    "profit": r"net income|profits?|earnings|純?利益|淨利|净利",
    "assets": r"total assets|総資産|總資產|总资产",
    "expense": r"expenses?|expenditures?|支出|開支|开支",
    "headcount": r"employees|従業員|員工|员工",
}
_PATTERN = re.compile("|".join(rf"(?P<{name}>{line})" for name, line in _WORDS.items()), re.IGNORECASE)
# What is said to be absent is not what the figure is of.
_ABSENT = re.compile(
    r"(?:free of|without|no|waive[ds]?|exempt from)\s+(?:an?y?\s+)?(?:\w+\s+){0,2}?(?:fees?|charges?|costs?)|"
    r"(?:手数料|会費|費用|手續費|年費)(?:は?無料|は?かかりません|はいただきません|全免|免收)|免[年手][續]?費",
    re.IGNORECASE,
)

_RISES = re.compile(
    r"\b(?:increas\w*|grew|grow\w*|rose|rise[ns]?|rising|up|higher|gain\w*|expan\w+|improv\w+)\b|増|上昇|成長|伸び|增|上升|上漲|上涨",
    re.IGNORECASE,
)
_FALLS = re.compile(
    r"\b(?:decreas\w*|declin\w*|fell|fall\w*|drop\w*|down|lower|contract\w*|shrank|reduc\w+)\b|減|低下|下落|下降|衰退|减|下滑",
    re.IGNORECASE,
)
_TELLS = re.compile(r"[\s）)]*(?:[増减減增]|の?(?:上昇|低下|下落|成長|下降))")


def directions(before: str, after: str) -> set[str]:
    """Which ways a rate goes by the words before it, and by a mark of Japanese or Chinese right behind it."""
    told = _TELLS.match(after)
    text = before + (told[0] if told else "")
    return {way for way, words in (("up", _RISES), ("down", _FALLS)) if words.search(text)}


def attributes(text: str) -> frozenset[str]:
    """The kinds of attribute that `text` names."""
    text = _ABSENT.sub(" ", text)
    found = {match.lastgroup for match in _PATTERN.finditer(text) if match.lastgroup and _whole(text, match)}
    return frozenset(name for name in found if name)


def _whole(text: str, match: re.Match[str]) -> bool:
    if not match[0].isascii():
        return True
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    return not ((before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()))
