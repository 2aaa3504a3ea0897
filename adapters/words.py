"""The words that invented products are made of: names, attributes and ways to ask, in three languages.

Nothing here is a fact. Each attribute has one key across languages, so that a question in one language can be asked
about evidence in another. `names` is how documents call it, `asks` how people ask for it, often without its name;
`says` are sentences that state it without its name.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What sort of value an attribute has; `draw.value` draws one."""

    MONEY = "money"
    LARGE = "large"
    RATE = "rate"
    SHARE = "share"
    HOURS = "hours"
    DATE = "date"
    DAYS = "days"
    TERM = "term"
    AGE = "age"
    PHONE = "phone"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Wording:
    names: tuple[str, ...]
    asks: tuple[str, ...]
    says: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    key: str
    kind: Kind
    wordings: dict[str, Wording]


def _attribute(key: str, kind: Kind, en: Wording, ja: Wording, zh: Wording) -> Attribute:
    return Attribute(key, kind, {"en": en, "ja": ja, "zh-TW": zh})


ATTRIBUTES: dict[str, Attribute] = {
    a.key: a
    for a in (
        _attribute(
            "annual_fee",
            Kind.MONEY,
            Wording(
                ("annual fee", "yearly fee", "annual charge"),
                (
                    "What does the {product} cost me per year?",
                    "How much is charged every year for the {product}?",
                    "Yearly price of the {product}?",
                ),
                ("The {product} costs {value} a year.",),
            ),
            Wording(
                ("年会費", "年間手数料", "年間利用料"),
                (
                    "{product}は一年でいくらかかりますか。",
                    "{product}を持つと毎年いくら払いますか。",
                    "{product}の一年分の費用を知りたいです。",
                ),
                ("{product}は年{value}でご利用いただけます。",),
            ),
            Wording(
                ("年費", "年度費用", "年租金"),
                ("{product}一年要付多少錢？", "持有{product}每年要繳多少？", "{product}每年的費用是多少？"),
                ("持有{product}每年收取{value}。",),
            ),
        ),
        _attribute(
            "monthly_fee",
            Kind.MONEY,
            Wording(
                ("monthly fee", "monthly maintenance fee", "account-keeping fee"),
                (
                    "What do you charge each month for the {product}?",
                    "How much does keeping the {product} cost a month?",
                ),
                ("Clients pay {value} a month for the {product}.",),
            ),
            Wording(
                ("月額手数料", "口座維持手数料", "月額利用料"),
                ("{product}は毎月いくらかかりますか。", "{product}を維持するのに月いくら必要ですか。"),
                ("{product}には毎月{value}を頂戴します。",),
            ),
            Wording(
                ("月費", "帳戶管理費", "每月管理費"),
                ("{product}每個月要付多少錢？", "維持{product}每月要多少費用？"),
                ("{product}每月收取{value}。",),
            ),
        ),
        _attribute(
            "fee",
            Kind.MONEY,
            Wording(
                ("fee", "handling fee", "charge", "price"),
                ("How much is the {product}?", "What will I pay for the {product}?", "What does the {product} cost?"),
                ("The {product} costs {value}.", "{value} is charged for the {product}."),
            ),
            Wording(
                ("手数料", "利用手数料", "料金", "取扱手数料"),
                (
                    "{product}はいくらですか。",
                    "{product}を使うといくらかかりますか。",
                    "{product}の費用はどのくらいですか。",
                ),
                ("{product}は{value}で承ります。", "{product}には{value}がかかります。"),
            ),
            Wording(
                ("手續費", "費用", "服務費", "處理費"),
                ("{product}要多少錢？", "辦{product}收多少？", "用{product}要花多少錢？"),
                ("辦理{product}收取{value}。", "{product}每次收費{value}。"),
            ),
        ),
        _attribute(
            "reissue_fee",
            Kind.MONEY,
            Wording(
                ("replacement fee", "reissue fee", "fee for a new copy"),
                ("I lost my {product}. What does a new one cost?", "How much is a replacement of the {product}?"),
                ("A replacement of the {product} costs {value}.",),
            ),
            Wording(
                ("再発行手数料", "再作製料", "発行手数料"),
                (
                    "{product}をなくしました。作り直すといくらですか。",
                    "{product}を新しく発行してもらうといくらですか。",
                ),
                ("{product}の再発行は{value}で承ります。",),
            ),
            Wording(
                ("補發費用", "掛失手續費", "換發費"),
                ("{product}不見了，補辦要多少錢？", "重新申請{product}要付多少？"),
                ("{product}遺失補發收費{value}。",),
            ),
        ),
        _attribute(
            "arrangement_fee",
            Kind.MONEY,
            Wording(
                ("arrangement fee", "set-up fee", "application fee"),
                ("What does it cost to set up the {product}?", "What do I pay at the start of the {product}?"),
                ("Setting up the {product} costs {value}.",),
            ),
            Wording(
                ("事務手数料", "基本手数料", "申込手数料"),
                ("{product}の申し込みのときにいくら払いますか。", "{product}を始めるのにいくら必要ですか。"),
                ("{product}のお申し込みには{value}を頂戴します。",),
            ),
            Wording(
                ("開辦費", "簽約費", "申請費"),
                ("申請{product}時要付多少錢？", "辦{product}一開始要繳多少？"),
                ("辦理{product}時一次收取{value}。",),
            ),
        ),
        _attribute(
            "early_fee",
            Kind.MONEY,
            Wording(
                ("early-withdrawal fee", "early-repayment fee", "cancellation fee"),
                (
                    "What does it cost to end the {product} early?",
                    "If I leave the {product} before its term, what do I pay?",
                ),
                ("Ending the {product} early costs {value}.",),
            ),
            Wording(
                ("中途解約手数料", "繰上返済手数料", "解約手数料"),
                ("{product}を途中でやめるといくらかかりますか。", "{product}を早く返すと手数料はいくらですか。"),
                ("{product}を途中で終えられる場合は{value}を頂戴します。",),
            ),
            Wording(
                ("提前解約費", "提前清償違約金", "解約手續費"),
                ("提前結束{product}要付多少？", "{product}提早還清要繳多少錢？"),
                ("提前結束{product}收取{value}。",),
            ),
        ),
        _attribute(
            "rate",
            Kind.RATE,
            Wording(
                ("interest rate", "annual rate", "rate"),
                (
                    "What interest does the {product} pay?",
                    "How many per cent do I get on the {product}?",
                    "What rate is the {product} at now?",
                ),
                ("The {product} bears interest at {value}.",),
            ),
            Wording(
                ("金利", "適用金利", "年利"),
                (
                    "{product}の利息はどのくらい付きますか。",
                    "{product}はいま何パーセントですか。",
                    "{product}の利回りを知りたいです。",
                ),
                ("{product}には{value}の利息が付きます。",),
            ),
            Wording(
                ("利率", "年利率", "固定利率"),
                ("{product}的利息有多少？", "存{product}可以拿幾趴？", "{product}現在是百分之幾？"),
                ("{product}以{value}計息。",),
            ),
        ),
        _attribute(
            "reward",
            Kind.SHARE,
            Wording(
                ("reward", "cash-back rate", "points rate"),
                (
                    "How much do I get back when I pay with the {product}?",
                    "What do I earn on purchases with the {product}?",
                ),
                ("The {product} gives back {value} of each purchase.",),
            ),
            Wording(
                ("ポイント還元率", "還元率", "キャッシュバック率"),
                ("{product}で買い物をするとどのくらい戻りますか。", "{product}のポイントは何パーセントですか。"),
                ("{product}のお支払いには{value}のポイントが付きます。",),
            ),
            Wording(
                ("現金回饋", "紅利回饋", "回饋率"),
                ("用{product}消費可以回饋多少？", "{product}的回饋是百分之幾？"),
                ("以{product}消費可得{value}回饋。",),
            ),
        ),
        _attribute(
            "foreign_fee",
            Kind.SHARE,
            Wording(
                ("conversion margin", "foreign transaction fee", "margin"),
                (
                    "What is added when I use the {product} abroad?",
                    "How much does the {product} cost me in a foreign country?",
                ),
            ),
            Wording(
                ("海外事務手数料", "為替手数料", "スプレッド"),
                (
                    "{product}を海外で使うと何パーセント加算されますか。",
                    "外国で{product}を使うときの上乗せはどのくらいですか。",
                ),
            ),
            Wording(
                ("國外交易手續費", "海外手續費", "買賣價差"),
                ("{product}在國外使用要加收多少？", "出國刷{product}會收百分之幾？"),
            ),
        ),
        _attribute(
            "share",
            Kind.SHARE,
            Wording(
                ("lending ratio", "administration charge", "share of the assets"),
                ("What percentage applies to the {product}?", "How much of the value does the {product} cover?"),
            ),
            Wording(
                ("融資割合", "管理報酬", "信託報酬"),
                ("{product}は何パーセントまで認められますか。", "{product}の報酬は何パーセントですか。"),
            ),
            Wording(
                ("貸款成數", "管理費率", "信託管理費"),
                ("{product}可以貸到幾成？", "{product}每年收百分之幾的管理費？"),
            ),
        ),
        _attribute(
            "daily_limit",
            Kind.LARGE,
            Wording(
                ("daily limit", "daily withdrawal limit", "daily ATM withdrawal limit"),
                (
                    "How much can I take out or send in one day with the {product}?",
                    "What is the most per day with the {product}?",
                ),
                ("Clients may withdraw {value} a day with the {product}.",),
            ),
            Wording(
                ("一日の限度額", "1日あたりの限度額", "1日のお引き出し限度額"),
                ("{product}で1日に引き出せるのはいくらまでですか。", "{product}は一日いくらまで使えますか。"),
                ("{product}での1日のお引き出しは{value}までです。",),
            ),
            Wording(
                ("每日限額", "每日提款限額", "每日轉帳限額"),
                ("{product}一天可以提多少錢？", "用{product}每天最多能轉多少？"),
                ("{product}每日最多可提領{value}。",),
            ),
        ),
        _attribute(
            "spending_limit",
            Kind.LARGE,
            Wording(
                ("monthly spending limit", "credit limit", "spending limit"),
                ("How much can I spend with the {product}?", "Up to what amount may I use the {product}?"),
            ),
            Wording(
                ("ご利用限度額", "利用枠", "ご利用可能額"),
                ("{product}はいくらまで使えますか。", "{product}の枠はどのくらいですか。"),
            ),
            Wording(
                ("信用額度", "消費額度", "額度上限"),
                ("{product}可以刷多少錢？", "{product}的額度有多高？"),
            ),
        ),
        _attribute(
            "minimum",
            Kind.LARGE,
            Wording(
                ("minimum deposit", "minimum opening deposit", "smallest amount"),
                ("With how much can I start the {product}?", "What is the least I must pay in for the {product}?"),
                ("The {product} can be opened with {value} or more.",),
            ),
            Wording(
                ("最低お預け入れ額", "お預け入れ金額", "最低預入額"),
                ("{product}はいくらから始められますか。", "{product}を開くには最低いくら必要ですか。"),
                ("{product}は{value}からお預け入れいただけます。",),
            ),
            Wording(
                ("最低存款金額", "最低開戶金額", "起存金額"),
                ("{product}最少要存多少錢？", "開{product}至少要放多少？"),
                ("{product}自{value}起存。",),
            ),
        ),
        _attribute(
            "maximum",
            Kind.LARGE,
            Wording(
                ("largest loan", "loan limit", "maximum amount"),
                ("How much can I borrow with the {product}?", "What is the highest amount of the {product}?"),
                ("Up to {value} can be borrowed with the {product}.",),
            ),
            Wording(
                ("ご融資額", "ご融資額の上限", "お預け入れの上限"),
                ("{product}ではいくらまで借りられますか。", "{product}の上限はいくらですか。"),
                ("{product}は{value}までご融資いたします。",),
            ),
            Wording(
                ("貸款額度", "最高額度", "貸款金額上限"),
                ("{product}最多可以借多少？", "{product}能貸到多少錢？"),
                ("{product}最高可貸{value}。",),
            ),
        ),
        _attribute(
            "hours",
            Kind.HOURS,
            Wording(
                ("opening hours", "business hours", "counter hours"),
                ("Until what time can I come to the {product}?", "What time does the {product} open and close?"),
                ("The {product} is open {value} on business days.",),
            ),
            Wording(
                ("営業時間", "窓口営業時間", "ご利用時間", "受付時間"),
                ("{product}は何時までやっていますか。", "{product}は何時から開きますか。"),
                ("{product}は{value}に承ります。",),
            ),
            Wording(
                ("營業時間", "服務時間", "開放時間"),
                ("{product}幾點到幾點有開？", "{product}開到幾點？"),
                ("{product}於{value}開放。",),
            ),
        ),
        _attribute(
            "phone",
            Kind.PHONE,
            Wording(
                ("telephone number", "contact number", "telephone"),
                ("What number do I ring for the {product}?", "How do I call the {product}?"),
                ("Please call the {product} on {value}.",),
            ),
            Wording(
                ("電話番号", "電話", "連絡先"),
                ("{product}は何番に電話すればつながりますか。", "{product}の番号を知りたいです。"),
                ("{product}（電話 {value}）へご連絡ください。",),
            ),
            Wording(
                ("電話號碼", "聯絡電話", "專線"),
                ("{product}要打哪一支電話？", "怎麼打電話給{product}？"),
                ("請撥打{product}專線{value}。",),
            ),
        ),
        _attribute(
            "effective",
            Kind.DATE,
            Wording(
                ("effective date", "effective from", "start date"),
                ("Since when do the terms of the {product} apply?", "When does the new fee of the {product} start?"),
                ("The terms of the {product} apply from {value}.",),
            ),
            Wording(
                ("適用開始日", "適用日", "開始日"),
                ("{product}の新しい条件は何日からですか。", "{product}の手数料はいつから変わりますか。"),
                ("{product}の条件は{value}から適用いたします。",),
            ),
            Wording(
                ("適用日期", "生效日期", "開始日期"),
                ("{product}的新費用何時開始？", "{product}哪一天起適用？"),
                ("{product}的規定自{value}起適用。",),
            ),
        ),
        _attribute(
            "handling",
            Kind.DAYS,
            Wording(
                ("handling time", "processing time", "time of delivery"),
                ("How many days does the {product} take?", "How long must I wait for the {product}?"),
                ("The {product} is handled within {value}.",),
            ),
            Wording(
                ("お手続き期間", "審査期間", "所要日数"),
                ("{product}は何日かかりますか。", "{product}はどのくらい待ちますか。"),
                ("{product}のお手続きには{value}をいただきます。",),
            ),
            Wording(
                ("處理時間", "審核時間", "工作天數"),
                ("{product}要幾天？", "{product}多久可以完成？"),
                ("{product}需{value}辦理。",),
            ),
        ),
        _attribute(
            "term",
            Kind.TERM,
            Wording(
                ("longest term", "term", "notice period"),
                ("Over how many years can the {product} run?", "For how long at most can I have the {product}?"),
            ),
            Wording(
                ("ご融資期間", "最長期間", "積立期間"),
                ("{product}は何年まで組めますか。", "{product}は最長でどのくらいですか。"),
            ),
            Wording(
                ("貸款期間", "最長期間", "存款期間"),
                ("{product}最長可以多久？", "{product}可以分幾年？"),
            ),
        ),
        _attribute(
            "age",
            Kind.AGE,
            Wording(
                ("minimum age", "age at application", "age limit"),
                ("From what age can one have the {product}?", "How old must I be to get the {product}?"),
            ),
            Wording(
                ("お申し込み年齢", "対象年齢", "ご利用年齢"),
                ("{product}は何歳から使えますか。", "{product}を申し込むのに年齢の条件はありますか。"),
            ),
            Wording(
                ("申請年齡", "年齡限制", "適用年齡"),
                ("幾歲才能辦{product}？", "辦{product}要滿幾歲？"),
            ),
        ),
        _attribute(
            "count",
            Kind.COUNT,
            Wording(
                ("visits a year", "number of cards", "free transfers"),
                ("How many are included in the {product}?",),
            ),
            Wording(
                ("発行枚数", "ご利用回数", "登録人数"),
                ("{product}は何回まで使えますか。",),
            ),
            Wording(
                ("使用次數", "登記人數", "免費次數"),
                ("{product}可以用幾次？",),
            ),
        ),
    )
}

_CARD = ("annual_fee", "spending_limit", "age", "reward", "foreign_fee", "reissue_fee", "count", "handling")
_ACCOUNT = ("monthly_fee", "minimum", "rate", "daily_limit", "age", "reissue_fee", "handling")
_DEPOSIT = ("rate", "minimum", "term", "early_fee", "effective", "maximum")
_LOAN = ("rate", "maximum", "term", "arrangement_fee", "age", "share", "early_fee", "handling")
_SERVICE = ("fee", "daily_limit", "handling", "hours", "effective", "count")
_DESK = ("hours", "phone", "handling")
_TRUST = ("arrangement_fee", "annual_fee", "minimum", "share", "handling", "age")

FAMILIES: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "en": (
        (("Card", "Credit Card", "Debit Card"), _CARD),
        (("Account", "Current Account", "Savings Account"), _ACCOUNT),
        (("Term Deposit", "Deposit", "Notice Deposit"), _DEPOSIT),
        (("Home Loan", "Loan", "Bridging Loan", "Car Loan"), _LOAN),
        (("Transfer", "Standing Order", "Safe-Deposit Box", "Statement"), _SERVICE),
        (("Desk", "Office", "Branch", "Helpdesk"), _DESK),
        (("Trust", "Estate Service", "Custody Account"), _TRUST),
    ),
    "ja": (
        (("カード", "クレジットカード", "デビットカード"), _CARD),
        (("普通預金", "口座", "総合口座"), _ACCOUNT),
        (("定期預金", "積立定期", "定期"), _DEPOSIT),
        (("住宅ローン", "ローン", "教育ローン"), _LOAN),
        (("振込", "貸金庫", "送金サービス", "証明書"), _SERVICE),
        (("支店", "本店", "デスク", "相談窓口"), _DESK),
        (("遺言信託", "信託", "教育資金信託"), _TRUST),
    ),
    "zh-TW": (
        (("金卡", "信用卡", "普卡", "白金卡"), _CARD),
        (("儲蓄帳戶", "數位帳戶", "帳戶"), _ACCOUNT),
        (("定期存款", "存款", "大額存款"), _DEPOSIT),
        (("購屋貸款", "貸款", "信用貸款"), _LOAN),
        (("匯款", "保管箱", "轉帳", "存款證明"), _SERVICE),
        (("分行", "服務處", "諮詢室", "專線"), _DESK),
        (("安養信託", "信託", "遺囑信託"), _TRUST),
    ),
}

_BRANDS = {
    "en": (
        "Willow Granite Falcon Maple Cedar Orchid Summit Canyon Pearl Amber Juniper Delta Heron Laurel "
        "Quartz Saffron Tidal Umber Vesper Wren Aster Birch Cobalt Dover Ember Fjord Glen Hazel "
        "Indigo Jasper Kestrel Linden Meadow Northgate Opal Pinewood Quill Rowan Sterling Thistle Union Violet "
        "Windsor Yarrow Zenith Albion Bristol"
    ),
    "ja": (
        "あおぞら 若葉 桜川 みどり 天神 いぶき 白鷺 富士見 ひなた 紅梅 瀬戸 朝凪 きずな 千鳥 月見 はるか 銀杏 浜風 "
        "つばめ 清流 山吹 こだま 藤波 ほたる 松風 のぞみ 錦 あかつき 緑丘 しらゆき 淀 かもめ 東雲 たまき 椿 海鳴 "
        "まごころ 星空 梅園 やまなみ"
    ),
    "zh-TW": (
        "翠峰 金穗 藍海 福星 玉山 長河 春曉 明月 瑞雪 雲海 紅葉 福田 東籬 碧湖 銀杏 鴻圖 安康 星辰 "
        "朝陽 綠園 海棠 百合 豐年 遠帆 靜湖 彩虹 聚寶 祥雲 龍泉 新月 竹林 花漾 平安 富源 天晴 映雪 "
        "梅嶺 千里 白鷺 和風"
    ),
}
BRANDS: dict[str, tuple[str, ...]] = {lang: tuple(words.split()) for lang, words in _BRANDS.items()}

TIERS: dict[str, tuple[str, ...]] = {
    "en": ("", "Basic", "Gold", "Premium", "Student", "Plus", "Silver", "Family", "Private", "Dollar", "Euro"),
    "ja": ("", "ベーシック", "ゴールド", "プレミアム", "プラス", "学生", "ファミリー", "変動", "固定", "大口"),
    "zh-TW": ("", "基本", "尊榮", "精選", "學生", "家庭", "外幣", "首選", "美元", "優利"),
}

COLUMNS: dict[str, tuple[str, ...]] = {
    "en": ("Service", "Product", "Name", "Card", "Offer"),
    "ja": ("サービス名", "商品名", "名称", "種類"),
    "zh-TW": ("服務項目", "商品名稱", "項目名稱", "卡別"),
}

ASIDES: dict[str, tuple[str, ...]] = {
    "en": (
        "It is meant for clients who travel often.",
        "Please bring an identity document.",
        "All fees include tax.",
        "Further terms are explained by a client adviser.",
        "The terms are reviewed twice a year.",
    ),
    "ja": (
        "詳しくは窓口でご案内いたします。",
        "お手続きには本人確認書類をお持ちください。",
        "手数料はすべて税込の金額です。",
        "はじめての方にもお使いいただけます。",
        "店頭でのみお取り扱いしております。",
    ),
    "zh-TW": (
        "詳情請洽服務專員。",
        "申請時請攜帶身分證明文件。",
        "以上費用均為含稅金額。",
        "適合經常出國的貴賓。",
        "條件每半年檢視一次。",
    ),
}
