"""Names of things in text: how they are written, shortened, and told apart from their neighbours."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.figures.script import listed
from common.language import Language


class _Folding(dict[int, str]):
    """Width and case of one code point, worked out when first met; the length of a text never changes."""

    def __missing__(self, code: int) -> str:
        plain = unicodedata.normalize("NFKC", chr(code)).casefold()
        self[code] = plain = plain if len(plain) == 1 else chr(code)
        return plain


_FOLDING = _Folding({ord("臺"): "台", ord("\u00a0"): " ", ord("’"): "'", ord("‐"): "-", ord("‑"): "-"})


def fold(text: str) -> str:
    """`text` without width and case; every index stays."""
    return text.translate(_FOLDING)


_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc]{3,}")
_NAME_MARK = re.compile(r"[\u30a1-\u30fa\u30fc\u3400-\u9fff々]")
_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")

# A run of capitalised words; `of` and `&` may join it.
_LATIN_RUN = re.compile(r"\b[A-Z][\w'’&-]*(?:[ \u00a0](?:(?:of|of the|&)[ \u00a0])?[A-Z][\w'’&-]*)*")
_NO_NAMES = frozenset(
    listed(
        "the a an our your their his her its this that these those for in on at if when with as by from to and or "
        "but so yes no not please thank thanks dear sincerely regards it they we you he she i there here each "
        "every all both how what which who where why is are was were do does did can could may will would also "
        "however therefore note january february march april may june july august september october november "
        "december jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday "
        "saturday sunday fiscal fy q1 q2 q3 q4 usd jpy eur gbp twd ntd cny rmb hkd krw sgd aud cad chf us total "
        "about up under over "
    )
)
_PERSONS = frozenset({"mr", "mrs", "ms", "dr", "dear"})
_CJK_RUN = re.compile(r"[\u30a1-\u30fa\u30fc・\u3400-\u9fff々A-Za-z0-9]+")
_DATED = re.compile(r"\d年|年度|月期|四半期|第[一二三四]季")
# What joins names in Chinese; Japanese joins with hiragana, which no run holds.
_CHINESE_JOINTS = re.compile(r"[的之與和及或為是在於有每請您我們該此若則比較而但從跟需可由對為与为请您们则对於每]")


@dataclass(frozen=True, slots=True)
class Mention:
    """A name as it stands at `[start, end)` of a text; `name` is folded and whole."""

    start: int
    end: int
    name: str


def is_cjk(text: str) -> bool:
    return _CJK.search(text) is not None


def words(text: str) -> tuple[str, ...]:
    """The folded words of Latin text, plurals as singulars."""
    return tuple(_singular(word) for word in _WORD.findall(fold(text)))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word.removesuffix("'s")


def occurrences(form: str, folded: str) -> Iterator[tuple[int, int]]:
    """Where the folded `form` stands in `folded`: whole words in Latin script, a plural counts too."""
    latin = not is_cjk(form)
    at = folded.find(form)
    while at >= 0:
        end = at + len(form)
        if latin:
            if folded.startswith("'s", end):
                end += 2
            elif folded.startswith("s", end):
                end += 1
            before, after = folded[at - 1 : at], folded[end : end + 1]
            whole = not (_word_mark(before) or _word_mark(after))
        else:
            whole = True
        if whole:
            yield at, end
        at = folded.find(form, at + 1)


def _word_mark(mark: str) -> bool:
    return bool(mark) and mark.isascii() and (mark.isalnum() or mark == "_")


def runs(text: str, *, openers: bool = False) -> list[Mention]:
    """What looks like the name of a thing in `text`: capitalised words, or a run of Han and katakana.

    A single word that opens a sentence is capitalised anyway: it comes along only where `openers` asks for it.
    """
    found: list[Mention] = []
    for run in _LATIN_RUN.finditer(text):
        start, parts = run.start(), re.split(r"[ \u00a0]", run[0])
        if any(part.lower().rstrip(".") in _PERSONS for part in parts):
            continue
        opening = _opens_sentence(text, start)
        while parts and parts[0].lower() in _NO_NAMES:
            start += len(parts[0]) + 1
            parts, opening = parts[1:], False
        while parts and parts[-1].lower() in _NO_NAMES:
            parts = parts[:-1]
        name = " ".join(parts)
        lone = len(parts) == 1 and ((opening and not openers) or (name.isupper() and len(name) <= 4))
        if parts and not lone and len(name) > 2:
            found.append(Mention(start, start + len(name), fold(name)))
    if is_cjk(text):
        for run in _CJK_RUN.finditer(text):
            at = run.start()
            for part in _CHINESE_JOINTS.split(run[0]):
                if len(part) >= 3 and is_cjk(part):
                    found.append(Mention(at, at + len(part), fold(part)))
                at += len(part) + 1
    return found


def _opens_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip(" \"'“‘(*_>#-•|")
    return not before or before[-1] in ".!?:\n。！？："


def is_opener(text: str, mention: Mention) -> bool:
    return " " not in mention.name and not is_cjk(mention.name) and _opens_sentence(text, mention.start)


def owners(text: str) -> set[str]:
    """Names in `text` in front of の or 的: what something is asked or said of. Folded."""
    found: set[str] = set()
    for name in runs(text):
        if name.name[0] in "这這此本该該那哪什何":
            continue
        follows = text[name.end : name.end + 1]
        telling = _KATAKANA.search(name.name) or len(name.name) >= 4
        dated = _DATED.search(name.name)
        if is_cjk(name.name) and follows in ("の", "的") and follows and telling and not dated:
            found.add(name.name)
    return found


def siblings(a: str, b: str) -> bool:
    """Whether two names tell two things of one family apart: Gold Card and Basic Card, 墨竹金卡 and 墨竹白金卡.

    A shortened name is no sibling: Gold Card of Harbour Gold Card, 金卡 of 墨竹金卡.
    """
    if is_cjk(a) != is_cjk(b):
        return False
    if not is_cjk(a):
        one, other = set(words(a)), set(words(b))
        return bool(one & other) and bool(one - other) and bool(other - one)
    if a in b or b in a:
        return False
    head = _common(a, b)
    tail = _common(a[::-1], b[::-1])
    tail = min(tail, min(len(a), len(b)) - head)
    inner_a, inner_b = a[head : len(a) - tail], b[head : len(b) - tail]
    if inner_a and inner_b:
        # 連結業績 is another word for 連結経営成績, and no other thing.
        alike = head + tail > max(len(inner_a), len(inner_b)) or _KATAKANA.search(inner_a + inner_b)
        return bool(alike) and ((head >= 2 and tail >= 1) or tail >= 2)
    return head >= 2 and tail >= 1


def abbreviates(short: str, name: str) -> bool:
    """Whether all characters of a shorter name stand in `name` in this order: 循環利率 of 循環信用年利率."""
    rest = iter(name)
    return len(short) < len(name) and all(mark in rest for mark in short)


def sibling_within(name: str, run: str) -> bool:
    """Whether the Chinese or Japanese `run` begins with a sibling of `name`: 墨竹金卡年費 with one of 墨竹白金卡."""
    if not is_cjk(name) or not is_cjk(run) or name in run or run in name:
        return False
    if siblings(run, name):
        return True
    head = _common(name, run)
    if head < 2:
        return False
    for size in range(min(len(name) - head, 6), 0, -1):
        tail = name[len(name) - size :]
        at = run.find(tail, head, head + 12)
        if at >= 0:
            return siblings(run[: at + size], name)
    return False


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    size = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        size += 1
    return size


def shortenings(name: str, others: Iterable[str]) -> set[str]:
    """How `name` is shortened among `others` of its kind: Gold Card, ゴールド, 白金卡. All folded."""
    found: set[str] = set()
    for other in others:
        if other == name or is_cjk(name) != is_cjk(other):
            continue
        if is_cjk(name):
            head, tail = _common(name, other), _common(name[::-1], other[::-1])
            rest = name[head:]
            core = name[head : len(name) - tail] if head + tail < len(name) else ""
            if head >= 2 and tail >= 1 and len(rest) >= 2:
                found.add(rest)
            telling = _KATAKANA.fullmatch(core) or (head >= 2 and tail >= 2 and len(core) >= 2)
            if (head >= 2 or tail >= 2) and telling:
                found.add(core)
            continue
        mine, theirs = name.split(), other.split()
        head = _common(mine, theirs)
        if head and len(mine) > head + 1:
            found.add(" ".join(mine[head:]))
    return found


def stands_alone(folded: str, start: int) -> bool:
    """Whether a shortened Chinese or Japanese name at `start` is not the end of a longer one."""
    return start == 0 or not _NAME_MARK.match(folded[start - 1]) or bool(_CHINESE_JOINTS.match(folded[start - 1]))


def comparable(lang: str, language: Language) -> bool:
    """Whether names of a chunk in `lang` are written as an answer in `language` writes them."""
    return lang == language.value or (lang[:2] == language.value[:2] and not lang.startswith("zh"))
