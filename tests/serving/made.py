"""Made evidence and answers whose verdicts are known, because the values were drawn first. Shares no code with figures.

A firm of made products, each with an annual fee, a replacement fee, a minimum age, a reward, a handling time and a
start date, in one of three languages and one of five layouts. No value is drawn twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from common.evidence import Evidence

HAN = "〇一二三四五六七八九"
ATTRIBUTES = ("fee", "replacement", "age", "reward", "time", "start")
LABELS = {
    "en": ("Annual fee", "Replacement fee", "Minimum age", "Reward", "Handling time", "Available from"),
    "ja": ("年会費", "再発行手数料", "お申し込み年齢", "ポイント還元率", "お手続き日数", "取扱開始日"),
    "zh-TW": ("年費", "補發手續費", "申請年齡", "現金回饋", "處理時間", "適用日期"),
}
KEY = {"en": "Product", "ja": "商品名", "zh-TW": "項目"}
SAYS = {
    "en": (
        "The {a} of the {p} is {v}.",
        "For the {p}, the {a} is {v}.",
        "Thank you for asking. The {p} has this {a}: {v}. We are glad to help.",
        "{v} is the {a} of the {p}.",
        "**{p}**\n- {A}: {v}",
    ),
    "ja": (
        "{p}の{a}は{v}です。",
        "お問い合わせありがとうございます。{p}の{a}は、{v}でございます。",
        "{p}について申し上げますと、{a}は{v}となっております。",
        "**{p}**\n- {a}：{v}",
    ),
    "zh-TW": (
        "{p}的{a}為{v}。",
        "感謝您的來信，{p}的{a}為{v}，敬請參考。",
        "關於{p}，{a}是{v}。",
        "**{p}**\n- {a}：{v}",
    ),
}
BARE = {"en": "It is {v}.", "ja": "{v}です。", "zh-TW": "為{v}。"}
ASKS = {"en": "What is the {a} of the {p}?", "ja": "{p}の{a}を教えてください。", "zh-TW": "{p}的{a}是多少？"}
DENIES = {"en": "No, it is not {w}. The {a} of the {p} is {v}.", "ja": "いいえ、{w}ではありません。{p}の{a}は{v}です。",
          "zh-TW": "不，不是{w}。{p}的{a}為{v}。"}  # fmt: skip
GUESSES = {"en": "Is the {a} of the {p} {w}?", "ja": "{p}の{a}は{w}ですか？", "zh-TW": "{p}的{a}是{w}嗎？"}
BOTH = {"en": "The {a} is {v} for the {p} and {w} for the {q}", "ja": "{a}は、{p}が{v}、{q}が{w}",
        "zh-TW": "{p}的{a}為{v}，{q}的{a}為{w}"}  # fmt: skip
SUMS = {"en": ", {s} in total.", "ja": "で、合計{s}です。", "zh-TW": "，合計{s}。"}
GAPS = {"en": ", a difference of {s}.", "ja": "で、差額は{s}です。", "zh-TW": "，相差{s}。"}


@dataclass(frozen=True)
class Case:
    """An answer in pieces: text, and figures with the verdict that they must get."""

    name: str
    lang: str
    question: str
    evidence: tuple[Evidence, ...]
    answer: str
    verdicts: tuple[tuple[str, str], ...]


def products(draw: Random, lang: str) -> list[str]:
    """Three to five neighbours of one family."""
    count = draw.randint(3, 5)
    if lang == "en":
        family, noun = draw.choice(["Quay", "Larch", "Ember", "Cobalt"]), draw.choice(["Card", "Account", "Plan"])
        return [
            f"{family} {tier} {noun}" for tier in draw.sample(["Basic", "Gold", "Premium", "Travel", "Family"], count)
        ]
    if lang == "ja":
        family, noun = draw.choice(["渚", "ひばり", "楓"]), draw.choice(["カード", "口座", "プラン"])
        tiers = ["ベーシック", "ゴールド", "プレミアム", "トラベル", "ファミリー"]
        return [f"{family}{tier}{noun}" for tier in draw.sample(tiers, count)]
    family, noun = draw.choice(["青松", "雲海", "長河"]), draw.choice(["卡", "帳戶"])
    return [f"{family}{tier}{noun}" for tier in draw.sample(["普通", "金", "白金", "學生", "尊榮"], count)]


def han(number: int) -> str:
    """Below 100,000,000, as Japanese and Chinese write it alike."""
    if number >= 10_000:
        return han(number // 10_000) + "万" + (han(number % 10_000) if number % 10_000 else "")
    out, zero = "", False
    for unit, mark in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            out += ("零" if zero and out else "") + HAN[digit] + mark
            zero = False
        else:
            zero = bool(out)
    return out


def wide(text: str) -> str:
    return "".join(chr(ord(mark) + 0xFEE0) if "!" <= mark <= "~" else mark for mark in text)


def money(draw: Random, lang: str, value: int) -> str:
    if lang == "en":
        return draw.choice([f"{value:,} yen", f"JPY {value:,}", f"¥{value}", f"{value} yen"])
    if lang == "ja":
        styles = [f"{value:,}円", f"{value}円", wide(f"{value:,}") + "円", f"{han(value).replace('零', '')}円"]
        if value % 100 == 0 and value > 10_000:
            styles.append(f"{value / 10_000:g}万円")
        return draw.choice(styles)
    return draw.choice([f"新臺幣{value:,}元", f"{value}元", f"NT${value:,}", f"{han(value).replace('万', '萬')}元"])


def age(draw: Random, lang: str, value: int) -> str:
    return {"en": f"{value} years", "ja": draw.choice([f"{value}歳", wide(str(value)) + "歳"]), "zh-TW": f"{value}歲"}[
        lang
    ]


def share(draw: Random, lang: str, value: int) -> str:
    """`value` in hundredths of a percent."""
    plain = f"{value / 100:.2f}"
    styles = [f"{plain}%", f"{plain} %", f"{plain.rstrip('0').rstrip('.')}%"]
    return draw.choice(styles + ([wide(plain) + "％"] if lang != "en" else [f"{plain} percent"]))


def span(draw: Random, lang: str, value: int) -> str:
    name = {"en": f"{value} business days", "ja": f"{value}営業日", "zh-TW": f"{value}個工作天"}[lang]
    return draw.choice([name, wide(name)]) if lang != "en" else name


def day(draw: Random, lang: str, value: int) -> str:
    then = date(2026, 1, 1) + timedelta(value)
    if lang == "en":
        return draw.choice(
            [f"{then.day} {then:%B} {then.year}", f"{then:%B} {then.day}, {then.year}", then.isoformat()]
        )
    if lang == "ja":
        year = draw.choice([f"{then.year}年", f"令和{then.year - 2018}年"])
        return f"{year}{then.month}月{then.day}日"
    return f"{draw.choice([f'{then.year}年', f'民國{then.year - 1911}年'])}{then.month}月{then.day}日"


WRITES: dict[str, Callable[[Random, str, int], str]] = {
    "fee": money, "replacement": money, "age": age, "reward": share, "time": span, "start": day,
}  # fmt: skip
RANGES = {"fee": (1_000, 60_000), "replacement": (61_000, 99_000), "age": (16, 70), "reward": (11, 999),
          "time": (2, 60), "start": (0, 900)}  # fmt: skip


class Firm:
    """Made products with their values, and the chunks that state them."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.lang = draw.choice(["en", "ja", "zh-TW"])
        self.names = products(draw, self.lang)
        self.values = {
            attribute: dict(zip(self.names, draw.sample(range(*RANGES[attribute]), len(self.names)), strict=True))
            for attribute in ATTRIBUTES
        }
        self.layout = draw.choice(["prose", "list", "table", "transposed", "paragraph"])

    def label(self, attribute: str) -> str:
        return LABELS[self.lang][ATTRIBUTES.index(attribute)]

    def named(self, attribute: str) -> str:
        """The attribute inside a sentence."""
        return self.label(attribute).lower() if self.lang == "en" else self.label(attribute)

    def write(self, attribute: str, value: int) -> str:
        return WRITES[attribute](self.draw, self.lang, value)

    def new(self, attribute: str) -> int:
        """A value that no product has."""
        taken = set(self.values[attribute].values())
        while (value := self.draw.randrange(*RANGES[attribute])) in taken:
            pass
        return value

    def evidence(self, names: list[str]) -> tuple[Evidence, ...]:
        """What the documents say of `names`, cut as the knowledge base cuts them."""
        texts: list[tuple[tuple[str, ...], str]] = []
        tell = SAYS[self.lang][0]
        for name in names:
            cells = [(self.label(a), self.write(a, self.values[a][name])) for a in ATTRIBUTES]
            told = [tell.format(p=name, a=self.named(a), v=v) for a, (_, v) in zip(ATTRIBUTES, cells, strict=True)]
            if self.layout == "table":
                row = "; ".join(f"{label}: {value}" for label, value in [(KEY[self.lang], name), *cells])
                texts.append((("Catalogue",), row))
            elif self.layout == "transposed":
                texts += [
                    (("Catalogue", name), f"{KEY[self.lang]}: {label}; {name}: {value}") for label, value in cells
                ]
            elif self.layout == "list":
                colon = ": " if self.lang == "en" else "："
                texts += [(("Catalogue", name), f"{label}{colon}{value}") for label, value in cells]
            elif self.layout == "prose":
                texts.append((("Catalogue", name), (" " if self.lang == "en" else "").join(told)))
            else:
                texts.append((("Catalogue",), (" " if self.lang == "en" else "").join(told)))
        return tuple(chunk(i, self.lang, heading, text) for i, (heading, text) in enumerate(texts))


def chunk(number: int, lang: str, heading: tuple[str, ...], text: str) -> Evidence:
    """A chunk of the made catalogue."""
    span = (0, len(text))
    return Evidence(
        f"c{number}", "sha256:0", "made", "made.md", 1, "Catalogue", heading, text, span, None, lang, number, 0.8,
        f"{number:08x}",
    )  # fmt: skip


def case(draw: Random) -> Case:
    """One answer over one made firm."""
    firm = Firm(draw)
    lang, names = firm.lang, firm.names
    mine, other = draw.sample(names, 2)
    attribute = draw.choice(ATTRIBUTES)
    named, label = firm.named(attribute), firm.label(attribute)
    value, theirs = firm.values[attribute][mine], firm.values[attribute][other]
    asked = ASKS[lang].format(p=mine, a=named)
    say = draw.choice(SAYS[lang])
    kind = draw.choice(KINDS)
    shown = names

    def one(number: int, verdict: str, template: str = say) -> tuple[str, tuple[tuple[str, str], ...]]:
        text = firm.write(attribute, number)
        return template.format(p=mine, a=named, A=label, v=text), ((text, verdict),)

    if kind == "right":
        answer, verdicts = one(value, "supported")
    elif kind == "right, named by the question":
        answer, verdicts = one(value, "supported", BARE[lang])
    elif kind == "another product's":
        answer, verdicts = one(theirs, "misattributed")
    elif kind == "another product's, named by the question":
        answer, verdicts = one(theirs, "misattributed", BARE[lang])
    elif kind == "of a product that was removed":
        shown = [other]
        answer, verdicts = one(theirs, "misattributed")
    elif kind == "invented":
        answer, verdicts = one(firm.new(attribute), "unsupported")
    elif kind == "denied":
        guess, text = firm.write(attribute, firm.new(attribute)), firm.write(attribute, value)
        asked = GUESSES[lang].format(p=mine, a=named, w=guess)
        answer = DENIES[lang].format(p=mine, a=named, v=text, w=guess)
        verdicts = ((guess, "echoed"), (text, "supported"))
    elif kind == "affirmed":
        answer, verdicts = one(firm.new(attribute), "unsupported")
        asked = GUESSES[lang].format(p=mine, a=named, w=verdicts[0][0])
    elif kind in ("both", "swapped"):
        a, b = (value, theirs) if kind == "both" else (theirs, value)
        verdict = "supported" if kind == "both" else "misattributed"
        first, second = firm.write(attribute, a), firm.write(attribute, b)
        answer = BOTH[lang].format(p=mine, q=other, a=named, v=first, w=second) + ("." if lang == "en" else "。")
        verdicts = ((first, verdict), (second, verdict))
    else:
        value, theirs = firm.values["fee"][mine], firm.values["fee"][other]
        wrong = draw.choice([0, 100, -100, 1]) if kind != "computed" else 0
        total, ending = draw.choice([(value + theirs, SUMS), (abs(value - theirs), GAPS)])
        texts = [money(draw, lang, number) for number in (value, theirs, total + wrong)]
        answer = BOTH[lang].format(p=mine, q=other, a=firm.named("fee"), v=texts[0], w=texts[1])
        answer += ending[lang].format(s=texts[2])
        verdict = "unsupported" if wrong else "derived"
        verdicts = ((texts[0], "supported"), (texts[1], "supported"), (texts[2], verdict))
    return Case(f"{kind}, {firm.layout}", lang, asked, firm.evidence(shown), answer, verdicts)


KINDS = (
    "right", "right, named by the question", "another product's", "another product's, named by the question",
    "of a product that was removed", "invented", "denied", "affirmed", "both", "swapped", "computed", "miscomputed",
)  # fmt: skip
