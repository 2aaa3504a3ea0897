"""Facts that are told without a figure, or by one that its words make volatile; and figures of speech that tell none.

Patterns are for text whose full-width forms were folded (`finding.WIDE`), which keeps every place.
"""

import re

from adapters.lint.finding import Rule

_HAN_NUMERAL = "〇零一二三四五六七八九十百千万萬"
_NUMERAL = rf"[\d{_HAN_NUMERAL}]{{1,9}}"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


FACTS: tuple[tuple[Rule, re.Pattern[str]], ...] = (
    (
        Rule.LINK,
        _any(
            r"\b(?:https?://|www\.)[^\s\u3000-\u9fff]+",
            r"\b(?:[a-z0-9-]{1,63}\.){1,6}(?:com|org|net|jp|tw|cn|uk|eu)\b[\w/-]*",
        ),
    ),
    (
        Rule.VERSION,
        _any(
            r"(?:\b(?:version|release|edition|build)|\bver\.|バージョン|版本)\s?\d+(?:\.\d+)*",
            r"\bv\d+(?:\.\d+)*\b",
            r"(?<![\d.])\d{1,6}(?:\.\d{1,6}){2}(?![\d.])",
            r"\b(?:\d+(?:st|nd|rd|th)|first|second|third|fourth|fifth) (?:edition|version|release)\b",
            rf"第\s?{_NUMERAL}版",
            r"(?<![a-z\d.])\d{1,6}(?:\.\d{1,6}){0,3}\s?版",
            r"\b(?:iOS|Android|Windows|macOS)\s?\d+(?:\.\d+)*",
        ),
    ),
    (
        Rule.STOCK,
        _any(
            r"\b(?:in|out of) stock\b(?! (?:exchange|market|trading))",
            r"\bsold out\b|\bback-?order(?:ed)?\b|\bwhile (?:stocks|supplies) last\b",
            r"\b(?:currently|temporarily) unavailable\b|\blimited (?:availability|stock|supply)\b",
            r"\b(?:nothing|none)(?: is| are)? left\b|\b(?:run|ran) out of\b",
            r"\b(?:only|just) (?:a few|\w+)(?: \w+)? (?:left|remain(?:ing)?)\b",
            rf"(?:在庫)?残り(?:わずか|僅か|{_NUMERAL})|在庫|品切れ|売り?切れ|完売|品薄|欠品|入荷",
            rf"庫存|库存|現貨|现货|缺貨|缺货|售罄|售完|補貨|补货|斷貨|断货|(?:僅|仅|只)剩|(?:剩餘|剩余){_NUMERAL}|限量",
        ),
    ),
    (
        Rule.PRICE,
        _any(
            r"\b(?:free of charge|for free|on the house|at no (?:extra |additional )?(?:charge|cost)|half[- ]price)\b",
            r"(?<![\w.])\d{1,6}p\b",
            "無料|半額|免費|免费|不收費|不收费|半價|半价",
        ),
    ),
    (
        Rule.RATE,
        _any(
            r"\bhalf a per ?cent\b|\b(?:half|(?:an?|one|two|three) (?:half|third|quarter|fifth|tenth)s?) of\b",
            r"[〇一二三四五六七八九]{1,3}・[〇一二三四五六七八九]{1,4}\s?[%割]",
            r"[\d一二三四五六七八九]{1,2}折(?!扣|疊|叠)",
        ),
    ),
    (
        Rule.DATE,
        _any(
            r"\b(?:yesterday|tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)\b",
            r"\bthe (?:twen|thir|for|fif|six|seven|eigh|nine)ties\b",
            r"\b(?:last|next|this|coming) (?:week|weekend|month|quarter|year|spring|summer|autumn|winter)\b",
            r"\bin (?:spring|summer|autumn|winter)\b|\b(?:christmas|easter|new year|weekends?)\b",
            "年内|年末|年始|お盆|週末|周末|春節|春节|端午|中秋|過年|过年|聖誕|圣诞",
            "昨日|明日|先週|今週|来週|先月|今月|来月|昨年|去年|今年|来年|[月火水木金土日]曜日?",
            "昨天|明天|後天|后天|明年|[上下本這这][個个]?(?:月|季度|(?:星期|禮拜|礼拜|週|周)[一二三四五六日天]?)",
            "(?:星期|禮拜|礼拜|週|周)[一二三四五六日天](?!次)",
        ),
    ),
    (Rule.TIME, _any(r"\b(?:noon|midnight)\b|正午|中午|午夜")),
    (
        Rule.DURATION,
        _any(r"\bfortnight\b|\bhalf (?:a|an) (?:year|month|day|hour)\b|半(?:年|月|日|天|時間|小時)(?!額|度)"),
    ),
    (Rule.QUANTITY, _any(r"\b(?:a|half a) dozen\b", rf"{_NUMERAL}[点點個枚本名件](?:限り|限定|まで|以内|以內|為限)")),
    (Rule.PHONE, _any(rf"(?:\bext(?:\.|ension)?|内線|分機|分机)\s?{_NUMERAL}")),
)
OF_ANSWERS = frozenset({Rule.DATE, Rule.TIME, Rule.DURATION, Rule.PRICE, Rule.RATE})
"""Words of these rules are refused in answers only: people ask about next month and whether it is free."""

_IDIOM = re.compile(
    "五十音|二人三脚|十人十色|三日坊主|三日月|二日酔い|二つ返事|一日千秋|百人力|五分五分|石の上にも三年|八百屋"
    "|百分百|一分一秒|百年好合|放一百個心|[千万萬][萬万](?=[不別别要請请記记小])"
    # How many parts the answer has, or people it speaks to.
    r"|\b(?:two|three|four|five)(?: \w+)? (?:ways|points|steps|parts|things|questions|reasons)\b"
    "|[二三四五]つ(?:の(?:手順|方法|点|理由|ステップ)|ほど)|お[一二三四五]人|(?:以下|下列|這|这)[兩两二三四五六][點点項项]",
    re.IGNORECASE,
)
_MARKER = re.compile(r"(?:^|(?<=[\s(。;]))\(?(\d{1,2})[).、](?!\d)")


def figures_of_speech(text: str) -> list[tuple[int, int]]:
    """Ranges whose numerals state nothing: idioms, and the numbers that a list counts up from 1."""
    ranges = [match.span() for match in _IDIOM.finditer(text)]
    expected = 1
    for match in _MARKER.finditer(text):
        if int(match[1]) == expected:
            ranges.append(match.span())
            expected += 1
    return ranges
