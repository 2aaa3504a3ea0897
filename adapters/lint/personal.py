"""Personal data that can be told by its form: e-mail addresses, numbers with check digits, names with a title.

Luhn (ISO/IEC 7812-1) for cards, modulo 97 (ISO 13616) for IBANs, and the check digits of Japan's My Number (Order of
the Ministry of Internal Affairs and Communications No. 85 of 2014, Art. 5) and of Taiwan's identity and resident
certificate numbers. Japanese and Chinese names are told by the commonest surnames. Doesn't cover: other names, and
addresses.
"""

import re
from collections.abc import Callable, Iterator

from adapters.lint.finding import WIDE, Rule

_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""Taiwan's letters by their value, A being 10."""


_SURNAMES_JA = (
    "佐藤|鈴木|高橋|田中|伊藤|渡[辺邊邉]|山本|中村|小林|加藤|吉田|山田|佐々木|山口|松本|井上|木村|斎藤|斉藤|清水|山崎|池田|橋本|阿部|石川|山下|"
    "中島|石井|小川|前田|岡田|長谷川|藤田|後藤|近藤|村上|遠藤|青木|坂本|福田|太田|西村|藤井|金子|岡本|藤原|三浦|中野|中川|原田|松田|竹内|小野|"
    "田村|中山|和田|石田|森田|上田|柴田|酒井|工藤|横山|宮崎|宮本|内田|高木|安藤|谷口|大野|丸山|今井|高田|藤本|武田|村田|上野|杉山|増田|平野|大塚"
)
_SURNAMES_ZH = (
    "王李張张劉刘陳陈楊杨趙赵黃黄周吳吴徐孫孙胡朱高林郭馬马羅罗梁宋鄭郑謝谢韓韩唐馮冯董蕭萧程曹袁鄧邓許许傅沈曾彭呂吕蘇苏盧卢"
    "蔣蒋蔡賈贾丁魏薛葉叶余潘杜戴夏鍾钟汪田姜范姚譚谭廖鄒邹熊陸陆郝孔崔康邱秦江顧顾侯邵孟段雷錢钱湯汤尹黎賀贺賴赖龔龚詹洪柯簡游"
)


def _digits(text: str) -> list[int]:
    return [int(mark) for mark in text if mark.isdigit()]


def is_card(text: str) -> bool:
    """Whether 13 to 19 digits end in Luhn's check digit."""
    digits = _digits(text)[::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return 13 <= len(digits) <= 19 and digits[-1] in (2, 3, 4, 5, 6) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether an IBAN's remainder is 1."""
    plain = text.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(mark, 36)) for mark in turned)) % 97 == 1


def is_my_number(text: str) -> bool:
    """Whether twelve digits end in My Number's check digit."""
    *digits, check = _digits(text)
    weights = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
    rest = sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 11
    return check == (0 if rest <= 1 else 11 - rest)


def is_roc_id(text: str) -> bool:
    """Whether a letter and nine places (the first a letter on older resident certificates) sum up to tens."""
    head = 10 + _LETTERS.index(text[0])
    second = (10 + _LETTERS.index(text[1])) % 10 if text[1].isalpha() else int(text[1])
    places = (head // 10, head % 10, second, *_digits(text[2:]))
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(place * weight for place, weight in zip(places, weights, strict=True)) % 10 == 0


_FORMS: tuple[tuple[Rule, re.Pattern[str], Callable[[str], bool]], ...] = (
    (Rule.EMAIL, re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"), lambda _: True),
    (
        Rule.IBAN,
        re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])"),
        is_iban,
    ),
    (Rule.CARD, re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])"), is_card),
    (Rule.MY_NUMBER, re.compile(r"(?<![\d-])\d{4}[ -]?\d{4}[ -]?\d{4}(?![\d-])"), is_my_number),
    (
        Rule.PERSON,
        re.compile(
            r"\b(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof)\b\.?(?: [A-Z][\w'’-]+)+"
            rf"|(?:{_SURNAMES_JA})[ ]?(?:[一-龯々]{{0,3}}|[ぁ-んァ-ヶー]{{2,4}})(?:様(?![式々子])|さん|さま|氏(?!名))"
            rf"|(?!謝謝|谢谢)[{_SURNAMES_ZH}][一-龯]{{0,2}}(?:先生|小姐|女士|太太)"
        ),
        lambda _: True,
    ),
    (Rule.ROC_ID, re.compile(r"(?<![A-Z0-9])[A-Z][12890A-D]\d{8}(?![A-Z0-9])"), is_roc_id),
)


def personal(text: str) -> Iterator[tuple[Rule, int, int]]:
    """Each piece of personal data in `text` with its half-open range, in code points. Full-width digits count."""
    plain = text.translate(WIDE)
    taken: list[tuple[int, int]] = []
    for rule, form, valid in _FORMS:
        for match in form.finditer(plain):
            start, end = match.span()
            if valid(match[0]) and not any(start < high and end > low for low, high in taken):
                taken.append((start, end))
                yield rule, start, end
