"""Personal data that can be told by its form: e-mail addresses, and numbers with check digits.

Luhn (ISO/IEC 7812-1) for cards, modulo 97 (ISO 13616) for IBANs, and the check digits of Japan's My Number (Order of
the Ministry of Internal Affairs and Communications No. 85 of 2014, Art. 5) and of Taiwan's identity and resident
certificate numbers. Doesn't cover: names and addresses of people, which have no form.
"""

import re
from collections.abc import Callable, Iterator

from adapters.lint.finding import Rule

_WIDE = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}
_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""Taiwan's letters by their value, A being 10."""


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
    (Rule.ROC_ID, re.compile(r"(?<![A-Z0-9])[A-Z][12890A-D]\d{8}(?![A-Z0-9])"), is_roc_id),
)


def personal(text: str) -> Iterator[tuple[Rule, int, int]]:
    """Each piece of personal data in `text` with its half-open range, in code points. Full-width digits count."""
    plain = text.translate(_WIDE)
    taken: list[tuple[int, int]] = []
    for rule, form, valid in _FORMS:
        for match in form.finditer(plain):
            start, end = match.span()
            if valid(match[0]) and not any(start < high and end > low for low, high in taken):
                taken.append((start, end))
                yield rule, start, end
