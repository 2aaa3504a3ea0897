"""Draws what nobody can remember: products that don't exist, with values in the formats of three languages."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from adapters.redraw import MONTHS
from adapters.words import ATTRIBUTES, BRANDS, FAMILIES, TIERS, Attribute, Kind

_HAN_DIGITS = "一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Product:
    """An invented product: `values` maps an attribute's key to the name it has here and its value."""

    name: str
    lang: str
    values: dict[str, tuple[str, str]]


def family(lang: str, size: int, rng: random.Random) -> tuple[str, list[Product]]:
    """A brand's title and `size` products of one sort: close neighbours, each value of its own."""
    kinds, keys = rng.choice(FAMILIES[lang])
    brand = rng.choice(BRANDS[lang])
    chosen = rng.sample(keys, min(len(keys), rng.randint(2, 6)))
    shared = {key: rng.choice(ATTRIBUTES[key].wordings[lang].names) for key in chosen}
    kind, products, taken = rng.choice(kinds), list[Product](), set[str]()
    tiers = rng.sample(TIERS[lang], min(size, len(TIERS[lang])))
    for tier in tiers:
        own_brand = brand if rng.random() < 0.7 else rng.choice(BRANDS[lang])
        values = {key: (name, _fresh(ATTRIBUTES[key], lang, rng, taken)) for key, name in shared.items()}
        products.append(Product(_name(lang, own_brand, tier, kind), lang, values))
    return (f"{brand} {kind}s" if lang == "en" else f"{brand}{kind}"), products


def value(attribute: Attribute, lang: str, rng: random.Random) -> str:
    """A value of `attribute` as documents in `lang` write it."""
    return _VALUES[attribute.kind](lang, rng)


def _name(lang: str, brand: str, tier: str, kind: str) -> str:
    return " ".join(part for part in (brand, tier, kind) if part) if lang == "en" else f"{brand}{tier}{kind}"


def _fresh(attribute: Attribute, lang: str, rng: random.Random, taken: set[str]) -> str:
    """A value that no neighbour has, so that the right one can be told from the wrong ones."""
    drawn = value(attribute, lang, rng)
    for _ in range(19):
        if drawn not in taken:
            break
        drawn = value(attribute, lang, rng)
    taken.add(drawn)
    return drawn


def _round(rng: random.Random, low: int, high: int) -> int:
    """An amount with a few significant digits, even over magnitudes, as prices are."""
    magnitude = rng.randint(low, high)
    digits = rng.choice((1, 2, 2, 3, 4))
    head = rng.randint(10 ** (digits - 1), 10**digits - 1)
    return max(1, head * 10 ** max(0, magnitude - digits))


def _money(lang: str, rng: random.Random) -> str:
    amount = _round(rng, 2, 5)
    foreign = f"{rng.randint(2, 300)}"
    if lang == "en":
        return rng.choice(
            (
                f"{amount:,} yen",
                f"{amount:,} yen",
                f"USD {foreign}",
                f"GBP {foreign}",
                f"EUR {foreign}.{rng.randint(10, 99)}",
                f"¥{amount:,}",
                f"${foreign}",
            )
        )
    if lang == "ja":
        wide = f"{amount:,}円".translate(str.maketrans("0123456789,", "０１２３４５６７８９，"))
        return rng.choice(
            (
                f"{amount:,}円",
                f"{amount:,}円",
                f"{amount:,}円",
                f"{amount:,}円（税込）",
                wide,
                f"{rng.randint(1, 99)}万円",
                f"{rng.randint(1, 9)}万{rng.randint(1, 9)}千円",
                f"月{amount:,}円",
                "無料",
            )
        )
    return rng.choice(
        (
            f"新臺幣{amount:,}元",
            f"新臺幣{amount:,}元",
            f"{amount:,}元",
            f"{amount:,}元",
            f"{foreign}美元",
            f"每筆{amount:,}元",
            f"新臺幣{rng.randint(1, 99)}萬元",
            "免費",
        )
    )


def _large(lang: str, rng: random.Random) -> str:
    amount = _round(rng, 5, 8)
    tens = rng.choice((rng.randint(1, 99), rng.randint(1, 99) * 10, rng.randint(1, 99) * 100))
    if lang == "en":
        foreign = f"{_round(rng, 3, 5):,}"
        return rng.choice(
            (
                f"{amount:,} yen",
                f"{amount:,} yen",
                f"USD {foreign}",
                f"GBP {foreign}",
                f"EUR {foreign}",
                f"up to {amount:,} yen",
            )
        )
    if lang == "ja":
        return rng.choice(
            (
                f"{tens:,}万円",
                f"{tens:,}万円",
                f"{tens:,}万円まで",
                f"{amount:,}円",
                f"月{tens:,}万円",
                f"{rng.randint(1, 9)}億円まで",
                f"{tens:,}万円以上",
            )
        )
    han = rng.choice(_HAN_DIGITS[1:]) + rng.choice("十百") + "萬"
    return rng.choice(
        (
            f"新臺幣{tens:,}萬元",
            f"新臺幣{tens:,}萬元",
            f"新臺幣{amount:,}元",
            f"最高{tens:,}萬元",
            f"新臺幣{han}元",
            f"{rng.randint(1, 20)}萬美元",
            f"{_round(rng, 3, 5):,}美元",
        )
    )


def _rate(lang: str, rng: random.Random) -> str:
    percent = rng.randint(0, 6)
    two, other, three = f"{rng.randint(1, 99):02}", f"{rng.randint(1, 99):02}", f"{rng.randint(1, 999):03}"
    number = f"{percent}.{rng.choice((two, other, three))}"
    if lang == "en":
        return rng.choice((f"{number} %", f"{number} %", f"{number}%", f"{number} % a year"))
    if lang == "ja":
        return rng.choice((f"年{number}%", f"年{number}%", f"年{number}％", f"{number}%"))
    return rng.choice((f"{number}%", f"{number}%", f"{number}％", f"年{number}%"))


def _share(lang: str, rng: random.Random) -> str:
    number = rng.choice((f"{rng.randint(0, 4)}.{rng.randint(1, 9)}", f"{rng.randint(5, 95)}"))
    if lang == "en":
        return rng.choice((f"{number} %", f"{number} %", f"up to {number} %"))
    if lang == "ja":
        return rng.choice((f"{number}%", f"{number}%", f"{number}％", f"年{number}%"))
    return rng.choice(
        (f"{number}%", f"{number}%", f"{number}%", f"最高{rng.choice(_HAN_DIGITS)}成{rng.choice(('', '五'))}")
    )


def _hours(lang: str, rng: random.Random) -> str:
    opens, closes = rng.randint(7, 11), rng.randint(14, 22)
    span = f"{opens}:{rng.choice(('00', '15', '30', '45'))}–{closes}:{rng.choice(('00', '00', '30', '45'))}"
    prefix = {"en": ("", ""), "ja": ("", "平日", "毎日"), "zh-TW": ("", "週一至週五", "每日")}[lang]
    return rng.choice(prefix) + span


def _date(lang: str, rng: random.Random) -> str:
    year, month, day = rng.randint(2024, 2029), rng.randint(1, 12), rng.randint(1, 28)
    if lang == "en":
        return f"{day} {MONTHS[month - 1]} {year}"
    era = f"令和{year - 2018}年" if lang == "ja" else f"民國{year - 1911}年"
    return f"{rng.choice((era, f'{year}年'))}{month}月{day}日"


def _days(lang: str, rng: random.Random) -> str:
    count = rng.randint(2, 30)
    forms = {
        "en": (
            f"{count} business days",
            f"{count} business days",
            f"{count} days",
            f"{count} hours",
            "same business day",
        ),
        "ja": (f"{count}営業日", f"{count}営業日", f"{count}日", f"{count}時間", "即日"),
        "zh-TW": (f"{count}個工作天", f"{count}個工作天", f"{count}天", f"{count}小時", "當日"),
    }
    return rng.choice(forms[lang])


def _term(lang: str, rng: random.Random) -> str:
    count = rng.randint(2, 40)
    forms = {
        "en": (f"{count} years", f"{count} months", f"{count} days", f"up to {count} years"),
        "ja": (f"最長{count}年", f"最長{count}年", f"{count}年", f"{count}か月"),
        "zh-TW": (f"最長{count}年", f"最長{count}年", f"{count}年", f"{count}個月"),
    }
    return rng.choice(forms[lang])


def _age(lang: str, rng: random.Random) -> str:
    low = rng.randint(15, 60)
    high = low + rng.randint(5, 45)
    forms = {
        "en": (f"{low} years", f"{low} years", f"{low} to {high} years"),
        "ja": (f"満{low}歳以上", f"満{low}歳以上", f"{low}歳以上", f"満{low}歳以上満{high}歳以下"),
        "zh-TW": (f"年滿{low}歲", f"年滿{low}歲", f"{low}歲至{high}歲"),
    }
    return rng.choice(forms[lang])


def _phone(lang: str, rng: random.Random) -> str:
    last = f"{rng.randint(0, 9999):04}"
    if lang == "en":
        return rng.choice(
            (
                f"+81 6 0120 {last}",
                f"+44 20 7946 {last}",
                f"+1 212 555 {last}",
                f"+81 3 0{rng.randint(100, 999)} {last}",
            )
        )
    if lang == "ja":
        return rng.choice(
            (
                f"06-01{rng.randint(10, 99)}-{last}",
                f"0798-01-{last}",
                f"078-0{rng.randint(10, 99)}-{last}",
                f"0120-{rng.randint(100, 999)}-{last[1:]}",
            )
        )
    return rng.choice(
        (
            f"02-01{rng.randint(10, 99)}-{last}",
            f"02-2{rng.randint(100, 999)}-{last}",
            f"04-0{rng.randint(100, 999)}-{last}",
        )
    )


def _count(lang: str, rng: random.Random) -> str:
    count = rng.randint(2, 24)
    forms = {
        "en": (f"{count}", f"{count} a year"),
        "ja": (f"年{count}回まで", f"{count}枚まで", f"{count}名まで"),
        "zh-TW": (f"每年{count}次", f"{count}次", f"{count}位"),
    }
    return rng.choice(forms[lang])


_VALUES: dict[Kind, Callable[[str, random.Random], str]] = {
    Kind.MONEY: _money,
    Kind.LARGE: _large,
    Kind.RATE: _rate,
    Kind.SHARE: _share,
    Kind.HOURS: _hours,
    Kind.DATE: _date,
    Kind.DAYS: _days,
    Kind.TERM: _term,
    Kind.AGE: _age,
    Kind.PHONE: _phone,
    Kind.COUNT: _count,
}
