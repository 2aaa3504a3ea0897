"""Written by hand: texts with the figures that stand in them, and texts in which none does."""

FOUND = """
The fee is 11,000 yen. => 11,000 yen|money|11000|JPY
It costs JPY 11,000 a year. => JPY 11,000|money|11000|JPY
It costs ¥11,000. => ¥11,000|money|11000|JPY
A fee of $1,200 applies. => $1,200|money|1200|USD
A fee of $1200 applies. => $1200|money|1200|USD
A fee of US$1.5 million => US$1.5 million|money|1500000|USD
worth $3m today => $3m|money|3000000|USD
worth $3.5bn today => $3.5bn|money|3500000000|USD
worth €12k => €12k|money|12000|EUR
about £9.99 => £9.99|money|9.99|GBP
€1.234,56 in total => €1.234,56|money|1234.56|EUR
NT$3,600 per year => NT$3,600|money|3600|TWD
TWD 3,600 and HK$20 => TWD 3,600|money|3600|TWD; HK$20|money|20|HKD
3,600 New Taiwan dollars => 3,600 New Taiwan dollars|money|3600|TWD
50 dollars or 40 euros => 50 dollars|money|50|USD; 40 euros|money|40|EUR
fifty dollars => fifty dollars|money|50|USD
50 cents => 50 cents|money|0.5|USD
20 pounds => 20 pounds|money|20|GBP
3.5 million yen => 3.5 million yen|money|3500000|JPY
a change of -$12.50 => -$12.50|money|-12.5|USD
USD 1'000'000 => USD 1'000'000|money|1000000|USD
RMB 500 => RMB 500|money|500|CNY
10,000 to 20,000 yen => 10,000|money|10000|JPY; 20,000 yen|money|20000|JPY
$3–5 million => $3|money|3000000|USD; 5 million|money|5000000|USD
$5 to $7 => $5|money|5|USD; $7|money|7|USD
¥1,000〜2,000 => ¥1,000|money|1000|JPY; 2,000|money|2000|JPY
$5 and 10 people => $5|money|5|USD; 10 people|quantity|10|person
$.50 a piece => $.50|money|0.5|USD
12% of the sum => 12%|percent|12|%
12.0 % of the sum => 12.0 %|percent|12|%
12 percent => 12 percent|percent|12|%
twelve per cent => twelve per cent|percent|12|%
0.35 % per annum => 0.35 %|percent|0.35|%
3–5 % => 3|percent|3|%; 5 %|percent|5|%
3% to 5% => 3%|percent|3|%; 5%|percent|5|%
25 basis points => 25 basis points|percent|0.25|%
up 25bps => 25bps|percent|0.25|%
−0.1% => −0.1%|percent|-0.1|%
+2.5% growth => +2.5%|percent|2.5|%
2 percentage points => 2 percentage points|percent|2|%
3 business days => 3 business days|duration|3|business day
within three business days => three business days|duration|3|business day
a 30-day notice => 30-day|duration|30|day
a two-year contract => two-year|duration|2|year
30 minutes => 30 minutes|duration|30|minute
two and a half years => two and a half years|duration|2.5|year
within one year => one year|duration|1|year
one to three days => one|duration|1|day; three days|duration|3|day
three to five business days => three|duration|3|business day; five business days|duration|5|business day
between 3 and 5 weeks => 3|duration|3|week; 5 weeks|duration|5|week
3-5 days => 3|duration|3|day; 5 days|duration|5|day
24 hours => 24 hours|duration|24|hour
1 hour 30 minutes => 1 hour|duration|1|hour; 30 minutes|duration|30|minute
2.5 kg => 2.5 kg|quantity|2.5|kg
12km away => 12km|quantity|12|km
a 12 m mast => 12 m|quantity|12|m
64 GB => 64 GB|quantity|64|GB
18 years old => 18 years old|quantity|18|year old
4 people => 4 people|quantity|4|person
3 times a day => 3 times|quantity|3|time
500 points => 500 points|quantity|500|point
twelve => twelve|number|12|None
Twelve branches are open. => Twelve|number|12|None
twenty-five branches => twenty-five|number|25|None
one hundred and twenty branches => one hundred and twenty|number|120|None
two thousand five hundred => two thousand five hundred|number|2500|None
a hundred and five => hundred and five|number|105|None
three million users => three million|number|3000000|None
5M users => 5M|number|5000000|None
12k users => 12k|number|12000|None
1,234,567 users => 1,234,567|number|1234567|None
1 234 567 users => 1 234 567|number|1234567|None
3.14 is close => 3.14|number|3.14|None
we have 12. => 12|number|12|None
1, 2 and 3 => 1|number|1|None; 2|number|2|None; 3|number|3|None
2½ litres => 2½ litres|quantity|2.5|L
1 April 2026 => 1 April 2026|date|2026-4-1|None
1st of April 2026 => 1st of April 2026|date|2026-4-1|None
April 1, 2026 => April 1, 2026|date|2026-4-1|None
April 1st => April 1st|date|None-4-1|None
Apr. 1, 2026 => Apr. 1, 2026|date|2026-4-1|None
on 5 May we => 5 May|date|None-5-5|None
April 2026 => April 2026|date|2026-4-None|None
by April, or in May => April|date|None-4-None|None; May|date|None-5-None|None
1–5 April 2026 => 1|date|2026-4-1|None; 5 April 2026|date|2026-4-5|None
2026-04-01 => 2026-04-01|date|2026-4-1|None
2026/4/1 => 2026/4/1|date|2026-4-1|None
2026.4.1 => 2026.4.1|date|2026-4-1|None
4/1/2026 => 4/1/2026|date|2026-4-1|None
31/12/2026 => 31/12/2026|date|2026-12-31|None
2026-04 => 2026-04|date|2026-4-None|None
in 2026 we => 2026|number|2026|None
9:00–15:00 => 9:00|time|540|None; 15:00|time|900|None
9 a.m. to 5 p.m. => 9 a.m.|time|540|None; 5 p.m.|time|1020|None
9am => 9am|time|540|None
9–11 a.m. => 9|time|540|None; 11 a.m.|time|660|None
12:30 pm => 12:30 pm|time|750|None
12:15 AM => 12:15 AM|time|15|None
+81 6-1234-5678 => +81 6-1234-5678|phone|+81612345678|None
+886-2-2345-6789 => +886-2-2345-6789|phone|+886223456789|None
06-1234-5678 => 06-1234-5678|phone|0612345678|None
0120-123-456 => 0120-123-456|phone|0120123456|None
0120-123456 => 0120-123456|phone|0120123456|None
(02) 2345-6789 => (02) 2345-6789|phone|0223456789|None
（０２）２３４５－６７８９ => （０２）２３４５－６７８９|phone|0223456789|None
1-800-123-4567 => 1-800-123-4567|phone|18001234567|None
(415) 555-2671 => (415) 555-2671|phone|4155552671|None
03(1234)5678 => 03(1234)5678|phone|0312345678|None
090 1234 5678 => 090 1234 5678|phone|09012345678|None
card 1234-5678-9012-3456 => 1234-5678-9012-3456|code|1234567890123456|None
card 1234 5678 9012 3456 => 1234 5678 9012 3456|code|1234567890123456|None
〒530-0001 => 530-0001|code|530-0001|None
account 0012345 => 0012345|code|0012345|None
ABC-12 => ABC-12|code|ABC-12|None
KT-2025A is new => KT-2025A|code|KT-2025A|None
型番ＫＴ－２０２５Ａは => ＫＴ－２０２５Ａ|code|KT-2025A|None
model X200, or GT-R35. => X200|code|X200|None; GT-R35|code|GT-R35|None
version 1.2.3 => 1.2.3|code|1.2.3|None
in Q1 2026, FY2024 or 3Q => 2026|number|2026|None
a loss of $(2,310) million => $(2,310) million|money|-2310000000|USD
Fuel (6.8)% => (6.8)%|percent|-6.8|%
from $2.0 to $2.3 billion => $2.0|money|2000000000|USD; $2.3 billion|money|2300000000|USD
113年度營收 => 113年|date|2024-None-None|None
年会費は11,000円です。 => 11,000円|money|11000|JPY
年会費は１１，０００円です。 => １１，０００円|money|11000|JPY
一万二千円 => 一万二千円|money|12000|JPY
壱万弐千円 => 壱万弐千円|money|12000|JPY
1.2万円 => 1.2万円|money|12000|JPY
1万2千円 => 1万2千円|money|12000|JPY
1億2000万円 => 1億2000万円|money|120000000|JPY
３億円 => ３億円|money|300000000|JPY
1万円〜3万円 => 1万円|money|10000|JPY; 3万円|money|30000|JPY
1〜3万円 => 1|money|10000|JPY; 3万円|money|30000|JPY
500〜1,000円 => 500|money|500|JPY; 1,000円|money|1000|JPY
￥5,500（税込） => ￥5,500|money|5500|JPY
千円札と百円玉 => 千円|money|1000|JPY; 百円|money|100|JPY
△1,000円 => △1,000円|money|-1000|JPY
100ドル => 100ドル|money|100|USD
年利0.35％ => 0.35％|percent|0.35|%
年率１２パーセント => １２パーセント|percent|12|%
3割引き => 3割|percent|30|%
12か月 => 12か月|duration|12|month
12ヶ月 => 12ヶ月|duration|12|month
12カ月間 => 12カ月間|duration|12|month
5営業日以内 => 5営業日|duration|5|business day
2年 => 2年|duration|2|year
2年半 => 2年半|duration|2.5|year
90分 => 90分|duration|90|minute
2時間 => 2時間|duration|2|hour
3日以内 => 3日|duration|3|day
十年 => 十年|duration|10|year
2026年 => 2026年|date|2026-None-None|None
二〇二六年 => 二〇二六年|date|2026-None-None|None
２０２６年４月 => ２０２６年４月|date|2026-4-None|None
2026年4月1日から => 2026年4月1日|date|2026-4-1|None
4月1日 => 4月1日|date|None-4-1|None
3月 => 3月|date|None-3-None|None
3か月 => 3か月|duration|3|month
毎月5日に => 5日|date|None-None-5|None
令和8年4月1日 => 令和8年4月1日|date|2026-4-1|None
令和元年 => 令和元年|date|2019-None-None|None
平成30年4月 => 平成30年4月|date|2018-4-None|None
R8.4.1 => R8.4.1|date|2026-4-1|None
午前9時から午後3時 => 午前9時|time|540|None; 午後3時|time|900|None
9時30分 => 9時30分|time|570|None
15時 => 15時|time|900|None
午後3時半 => 午後3時半|time|930|None
18歳以上 => 18歳|quantity|18|year old
3名様 => 3名様|quantity|3|person
5枚 => 5枚|quantity|5|sheet
3件 => 3件|quantity|3|case
月2回 => 2回|quantity|2|time
500ポイント => 500ポイント|quantity|500|point
三つの店 => 三つ|quantity|3|item
一万二千 => 一万二千|number|12000|None
三百六十人 => 三百六十人|quantity|360|person
3分の1 => 3分の1|number|0.3333333333333333333333333333|None
新臺幣3,600元 => 新臺幣3,600元|money|3600|TWD
新台幣參仟陸佰元整 => 新台幣參仟陸佰元整|money|3600|TWD
年費為3,600元 => 3,600元|money|3600|元
年費三千六百元 => 三千六百元|money|3600|元
人民幣 500 元 => 人民幣 500 元|money|500|CNY
人民币1.2万元 => 人民币1.2万元|money|12000|CNY
100美元 => 100美元|money|100|USD
1萬2千元 => 1萬2千元|money|12000|元
3亿元 => 3亿元|money|300000000|元
3万亿元 => 3万亿元|money|3000000000000|元
百分之三 => 百分之三|percent|3|%
百分之三點五 => 百分之三點五|percent|3.5|%
千分之五 => 千分之五|percent|0.5|%
上調0.5個百分點 => 0.5個百分點|percent|0.5|%
三個月 => 三個月|duration|3|month
三个月 => 三个月|duration|3|month
5個工作天 => 5個工作天|duration|5|business day
三個工作日內 => 三個工作日|duration|3|business day
三至五天 => 三|duration|3|day; 五天|duration|5|day
3到5天 => 3|duration|3|day; 5天|duration|5|day
兩年 => 兩年|duration|2|year
30分鐘 => 30分鐘|duration|30|minute
兩小時 => 兩小時|duration|2|hour
民國115年4月1日 => 民國115年4月1日|date|2026-4-1|None
中華民國一百一十五年 => 中華民國一百一十五年|date|2026-None-None|None
115年4月1日 => 115年4月1日|date|2026-4-1|None
2026 年 4 月 1 日 => 2026 年 4 月 1 日|date|2026-4-1|None
2026年4月1号 => 2026年4月1号|date|2026-4-1|None
上午9點 => 上午9點|time|540|None
下午3点30分 => 下午3点30分|time|930|None
早上九點半 => 早上九點半|time|570|None
每週三 9點到18點 => 9點|time|540|None; 18點|time|1080|None
年满18岁 => 18岁|quantity|18|year old
限兩張 => 兩張|quantity|2|sheet
500點紅利 => 500點|quantity|500|point
得1點，滿9點整 => 1點|quantity|1|point; 9點整|time|540|None
下调25个基点 => 25个基点|percent|0.25|%
a 16-digit number => 16|number|16|None
八折 => 八折|quantity|8|fold off
最高八成 => 八成|percent|80|%
貸款成數：最高七成五 => 七成五|percent|75|%
七成半 => 七成半|percent|75|%
8成5的客戶 => 8成5|percent|85|%
七至八成 => 七|percent|70|%; 八成|percent|80|%
七成、八成 => 七成|percent|70|%; 八成|percent|80|%
三成五年內還清 => 三成|percent|30|%; 五年|duration|5|year
自己負担は3割です => 3割|percent|30|%
打率は3割5分 => 3割5分|percent|35|%
３割５分２厘 => ３割５分２厘|percent|35.2|%
三割五分 => 三割五分|percent|35|%
3年半 => 3年半|duration|3.5|year
FISCAL 2022 % CHANGE => 2022|number|2022|None
一百多人 => 一百多人|quantity|100|person
公司有12個據點 => 12個|quantity|12|item
客服 0800-123-456 => 0800-123-456|phone|0800123456|None
"""
CASES = [
    (text, [mark for mark in wanted.split("; ") if mark])
    for text, wanted in (line.split(" =>") for line in FOUND.strip().splitlines())
    for wanted in [wanted.strip()]
]

NOTHING = """
1. Open the app
2) Sign in
（3）申込書
①本人確認書類
  4. nested item
> 5. quoted item
- 2. item
## 2 Fees
### 2.1 Fees
1、開戶
一、開戶
the 1st floor
on the 2nd try
a 3rd party
the first time
the second half
第3条
第 3 條
第一
第三者
第十二章
3番目
2丁目
3回目
2年目
see Section 4.2
Article 5 applies
Step 2: wait
as shown in Table 3
a source [1] and [12]
(1) foo; (2) bar
no one knows
one of our staff
which one is it
one by one
at one point
one-time password
the two of them
these three options
two of them
e5-small
the multilingual-e5 model
COVID-19
a B2B firm
CO2 emissions
sha256
iPhone15
web3
Type-2
x_1
open 24/7
a 50/50 split
5G
https://example.com/2026/04/01?id=12
see www.example.com/12 now
mail 12@example.com or bob.12@example.com
一成不變
成績
分割払い
一般
一緒に
一起去
統一する
唯一
一定の
万一の場合
十分です
三井銀行
四国
千葉県
百貨店
一部の店
一時的に
一時停止
一方で
一個人
一些
一下
有一點
七夕
三重県
五反田
八王子
九州
六本木
二次会
一元化
千代田区
単位：百万円
（千円）
數百人
数千円
何十年
星期三
每周五
十字路口
三位一体
四半期
She may march on.
I can do it again
They said "ok" - fine.
Seven Bank is a bank
A-B testing
NASA and I
yen, dollars and euros
円安が進む
日本円で
新臺幣計價
上午處理
令和の時代
a.b.c
"""
FALSE_ALARMS = [line for line in NOTHING.strip("\n").splitlines() if line]


def listed(line: str) -> list[str]:
    """The words of a line."""
    return line.split()
