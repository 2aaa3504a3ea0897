"""The vocabulary of figures: currencies, units, scales, months, eras; how each is written and what it means.

A mark maps to `(kind, canonical unit, factor)`. Currencies follow ISO 4217; KB, MB, GB are decimal (IEC 80000-13).
"""

from decimal import Decimal
from typing import NamedTuple

from .script import listed
from .value import Kind, exact


class Unit(NamedTuple):
    """What a mark after a number means: the value is the written number times `factor`, and `plus` (2年半, 七成五)."""

    kind: Kind
    name: str
    factor: Decimal = Decimal(1)
    plus: Decimal = Decimal(0)

    def of(self, number: Decimal, sign: int = 1) -> Decimal:
        """The value of `number` with this unit."""
        return exact(exact(number, self.factor) + self.plus, sign)


def _table(kind: Kind, marks: dict[str, str], factor: str = "1") -> dict[str, Unit]:
    return {mark: Unit(kind, name, Decimal(factor)) for name, line in marks.items() for mark in line.split()}


CURRENCY_CODES = frozenset(listed("JPY USD TWD NTD EUR GBP CNY RMB HKD KRW SGD AUD CAD CHF NZD THB"))
_ALIASES = {
    alias: code
    for code, line in {
        "TWD": "NTD NT",
        "CNY": "RMB CN",
        "USD": "US",
        "HKD": "HK",
        "AUD": "AU A",
        "CAD": "CA C",
        "SGD": "SG S",
        "NZD": "NZ",
        "JPY": "JP",
    }.items()
    for alias in line.split()
}
SIGNS = {"$": "USD", "¥": "JPY", "€": "EUR", "£": "GBP", "₩": "KRW"}
BEFORE = {
    mark: name
    for name, line in {
        "TWD": "新臺幣 新台幣 新台币 臺幣 台幣 台币",
        "CNY": "人民幣 人民币",
        "JPY": "日幣 日币 日圓",
        "USD": "美金 美元",
        "HKD": "港幣 港币",
        "EUR": "歐元 欧元",
    }.items()
    for mark in line.split()
}
"""Currency names of Chinese that stand before the amount."""


def currency(letters: str) -> str:
    """Return the ISO 4217 code for letters as written before an amount (`NT`, `RMB`, `JPY`)."""
    return _ALIASES.get(letters, letters)


_MONEY = {
    "JPY": "円 日圓 日元 日円",
    "元": "元 圓 塊 块",
    "USD": "美元 美金 米ドル ドル",
    "EUR": "歐元 欧元 ユーロ",
    "GBP": "英鎊 英镑 ポンド",
    "HKD": "港元 港幣 港币",
    "TWD": "新臺幣 新台幣 台幣 臺幣",
    "CNY": "人民幣 人民币",
    "KRW": "ウォン 韓元 韩元",
}
_DURATION = {
    "second": "秒 秒間 秒鐘 秒钟",
    "minute": "分 分間 分鐘 分钟",
    "hour": "時間 小時 小时 個小時 个小时 個鐘頭 个钟头",
    "day": "日 日間 天 日内 日內",
    "business day": "営業日 營業日 营业日 工作天 工作日 個工作天 個工作日 个工作日 个工作天 個營業日 个营业日 平日",
    "week": "週間 週 周 周間 星期 個星期 个星期 個禮拜 个礼拜",
    "month": "か月 ヶ月 カ月 ケ月 ヵ月 箇月 個月 个月 か月間 ヶ月間 カ月間 ケ月間 ヵ月間 箇月間",
    "year": "年 年間",
}
_QUANTITY = {
    "kg": "キログラム 公斤 千克 ㎏",
    "g": "グラム 公克 克",
    "mg": "ミリグラム 毫克",
    "µg": "µg μg 微克 マイクログラム",
    "km": "キロメートル 公里 ㎞",
    "m": "メートル 公尺",
    "cm": "センチメートル センチ 公分 厘米 ㎝",
    "mm": "ミリメートル ミリ 毫米 ㎜",
    "L": "リットル 公升 升",
    "mL": "ミリリットル 毫升",
    "m2": "平米 平方メートル 平方公尺 平方米 ㎡",
    "tsubo": "坪",
    "°C": "℃ °C",
    "degree": "度 °",
    "GB": "ギガバイト ギガ",
    "year old": "歳 歲 岁 才",
    "person": "名 人 名様 名樣",
    "sheet": "枚 張 张",
    "case": "件 例",
    "time": "回 次",
    "fold": "倍",
    "point": "ポイント 点 點 積分",
    "item": "個 个 つ 箇 コ 項 项",
    "unit": "台 臺 輛 辆",
    "company": "社 家",
    "store": "店舗 店",
    "volume": "冊 册 本 部",
    "kind": "種類 种 種 種类",
    "page": "頁 页 ページ",
    "character": "文字 字",
    "set": "組 组 セット",
    "floor": "階 樓 楼 層 层",
    "share": "株 股",
    "lot": "口",
    "night": "泊 晚",
    "tablet": "錠 锭 粒",
    "household": "戶 户 世帯",
    "fold off": "折",
}
AFTER: dict[str, Unit] = (
    _table(Kind.MONEY, _MONEY)
    | _table(Kind.DURATION, _DURATION)
    | _table(Kind.QUANTITY, _QUANTITY)
    | _table(Kind.PERCENT, {"%": "% パーセント 個百分點 个百分点 百分點 百分点"})
    | _table(Kind.PERCENT, {"%": "割 成"}, "10")
    | _table(Kind.PERCENT, {"%": "基点 基點 个基点 個基點 ベーシスポイント"}, "0.01")
    | _table(Kind.PERCENT, {"%": "‰"}, "0.1")
)
"""Marks that follow a number directly or after one space, in Chinese, Japanese and signs."""

VETOES = {
    "成": "立為为员員功本交年長长果分就熟績绩不都套",
    "分": "の之野析配別别布類类割",
    "元": "化素祖旦気氣宵論论性年月",
    "割": "るりれっ合当當",
    "円": "満高形周安滑卓",
    "点": "検检击擊評评",
    "年": "生級级次",
    "人": "工気氣口材類类物生",
    "名": "義义前称稱詞词",
    "回": "答復複复",
    "日": "本",
    "件": "名",
    "個": "人性別体體案",
    "个": "人性别体案",
    "本": "社店体当人日",
    "台": "湾灣北中南",
    "次": "第元世",
    "部": "門门分",
    "社": "会會員区區",
    "家": "族庭具賃",
    "店": "長长",
    "周": "辺边年",
    "口": "座",
    "例": "えのにとし如子外年",
    "戶": "口籍外",
    "户": "口籍外",
    "粒": "子度",
}
"""A mark is no unit where one of these follows: 3分の1 is no minutes, 一元化 no money."""

HAN_WEAK = frozenset(listed("部 本 口 家 社 字 度 店 組 组 種 种 点 點 階 層 层 室 台 升 次 項 项"))
"""Marks that make words rather than amounts of small Chinese numerals (二次, 三部, 二度)."""

TENTHS = frozenset("成割")
"""Marks of tenths, which go on: 七成五, 3割5分."""

HALF = frozenset({"hour", "day", "month", "year"})
"""Durations after which 半 adds a half: 2年半."""

WORDS: dict[str, Unit] = {
    phrase.replace("_", " "): unit
    for table in (
        _table(
            Kind.MONEY,
            {
                "JPY": "yen jpy japanese_yen",
                "USD": "dollar dollars usd us_dollar us_dollars",
                "EUR": "euro euros eur",
                "GBP": "pound pounds gbp pounds_sterling",
                "TWD": "twd ntd nt_dollars nt_dollar new_taiwan_dollars",
                "CNY": "cny rmb yuan renminbi",
                "HKD": "hkd hong_kong_dollars",
                "KRW": "krw won",
                "CHF": "chf",
                "SGD": "sgd",
                "AUD": "aud",
                "CAD": "cad",
            },
        ),
        _table(Kind.MONEY, {"USD": "cent cents"}, "0.01"),
        _table(Kind.MONEY, {"GBP": "pence"}, "0.01"),
        _table(Kind.PERCENT, {"%": "percent per_cent pct percentage_point percentage_points"}),
        _table(Kind.PERCENT, {"%": "bp bps basis_point basis_points"}, "0.01"),
        _table(
            Kind.DURATION,
            {
                "second": "second seconds sec secs",
                "minute": "minute minutes min mins",
                "hour": "hour hours hr hrs h",
                "day": "day days calendar_day calendar_days",
                "business day": "business_day business_days working_day working_days banking_day banking_days",
                "week": "week weeks wk wks",
                "month": "month months calendar_month calendar_months",
                "year": "year years yr yrs",
            },
        ),
        _table(
            Kind.QUANTITY,
            {
                "kg": "kg kgs kilogram kilograms kilo kilos",
                "g": "g gram grams",
                "mg": "mg milligram milligrams",
                "t": "t tonne tonnes ton tons",
                "km": "km kilometre kilometres kilometer kilometers",
                "m": "m metre metres meter meters",
                "cm": "cm centimetre centimetres centimeter centimeters",
                "mm": "mm millimetre millimetres millimeter millimeters",
                "mile": "mile miles",
                "foot": "foot feet ft",
                "inch": "inch inches",
                "L": "l litre litres liter liters",
                "mL": "ml millilitre millilitres milliliter milliliters",
                "m2": "sqm square_metres square_meters",
                "KB": "kb kilobytes",
                "MB": "mb megabyte megabytes",
                "GB": "gb gigabyte gigabytes",
                "TB": "tb terabyte terabytes",
                "PB": "pb",
                "W": "w watt watts",
                "kW": "kw",
                "MW": "mw",
                "Wh": "wh",
                "kWh": "kwh",
                "Hz": "hz",
                "year old": "years_old year_old years_of_age",
                "person": "people person persons",
                "sheet": "sheet sheets",
                "case": "cases",
                "time": "times time",
                "fold": "fold x",
                "point": "point points pt pts",
                "item": "item items",
                "piece": "piece pieces pcs",
                "unit": "unit units",
                "page": "page pages",
                "share": "share shares",
                "store": "store stores",
                "company": "company companies",
                "night": "night nights",
                "tablet": "tablet tablets",
            },
        ),
    )
    for phrase, unit in table.items()
}
PHRASE_HEADS = frozenset(
    " ".join(words[:count]) for words in (phrase.split() for phrase in WORDS) for count in range(1, len(words))
)
PHRASE_WORDS = frozenset(word for phrase in WORDS for word in phrase.split())
GLUED_ONLY = frozenset({"x", "fold"})

SCALE_WORDS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALE_MARKS = {
    mark: scale
    for scale, line in {10**3: "k K", 10**6: "M MM mn mil", 10**9: "B bn Bn", 10**12: "tn"}.items()
    for mark in line.split()
}
MONEY_SCALE_MARKS = {"m": 10**6, "b": 10**9, "t": 10**12}
"""`m`, `b` and `t` are scales of money only; elsewhere they are metres, nothing, and tonnes."""

MONTHS = {
    name: 1 + at
    for at, name in enumerate(
        listed("January February March April May June July August September October November December")
    )
}
MONTHS_SHORT = {name[:3]: number for name, number in MONTHS.items()} | {"Sept": 9}

ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
"""Gregorian year before each Japanese era's first, so that year 1 (元年) is the era's start."""
ERA_LETTERS = {"M": 1867, "T": 1911, "S": 1925, "H": 1988, "R": 2018}
ROC = {"民國": 1911, "民国": 1911, "中華民國": 1911}
"""Republic of China calendar: year 1 is 1912."""
DAY_HALVES = {
    mark: late
    for late, line in enumerate(("午前 上午 早上 凌晨 清晨", "午後 午后 下午 晚上 傍晚 中午"))
    for mark in line.split()
}
"""Marks before a clock time; 1 where hours below 12 are of the afternoon."""

LITERALS = frozenset(BEFORE) | frozenset(ERAS) | frozenset(ROC) | frozenset(DAY_HALVES)
"""Chinese and Japanese words that a figure can begin with."""

PLUS_MINUS = "+-−△▲±"
MINUS = "-−△▲"
"""△ and ▲ are minus signs in Japanese accounts."""
CONNECTORS = ("から", "ないし", "乃至", "或", "~", "〜", "～", "-", "–", "—", "至", "到")
"""Marks between the two numbers of a range; `to`, `or` and (behind `between`) `and` are the words."""
ORDINAL_MARKS = frozenset(listed("番目 番 位 丁目 番地 号室 號室 号線 級 级 等 世 代目 つ目 合目"))
"""Marks that make a number a place in an order, or a part of an address."""
