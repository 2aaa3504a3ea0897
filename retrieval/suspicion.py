"""How much a document looks as if it were written for the model and not for a reader.

Small on purpose: every reason is a pattern that an editor can be shown. Each kind counts once, and kinds add up as
independent doubts do, `1 - product of (1 - weight)`. A score tells an editor where to look; it proves nothing, and a
patient author avoids every phrase here. What protects an answer are the fences and the filter, whatever the score.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.errors import ErrorCode, InvalidRequest
from common.prompt import control_tokens

LONGEST_QUOTE = 80
MOST_CHARACTERS = 1_000_000
"""Of a longer document only so much is read for this."""
SCORE, REASONS = "suspicion", "suspicion_reasons"
"""The document's metadata that hold the score and its reasons."""


class Kind(StrEnum):
    """What a passage tries."""

    OVERRIDE = "override"
    ROLE = "role"
    FORCED_REPLY = "forced reply"
    CONCEAL = "conceal"
    EXFILTRATION = "exfiltration"
    TOOL = "tool"
    CONTROL_TOKEN = "control token"  # noqa: S105  # of a chat template, and no secret
    INVISIBLE = "invisible characters"


_WEIGHTS = {
    Kind.OVERRIDE: 0.6,
    Kind.ROLE: 0.4,
    Kind.FORCED_REPLY: 0.4,
    Kind.CONCEAL: 0.3,
    Kind.EXFILTRATION: 0.6,
    Kind.TOOL: 0.4,
    Kind.CONTROL_TOKEN: 0.6,
    Kind.INVISIBLE: 0.5,
}
_LINK = r"(?:https?://|www\.|!\[)"
_PATTERNS = {
    Kind.OVERRIDE: (
        r"\b(?:ignore|disregard|forget|override|bypass|do not (?:follow|obey))\b[^.\n]{0,40}"
        r"\b(?:instructions?|rules?|prompts?|guidelines|directions|told|above|sources)\b",
        r"(?:指示|命令|ルール|規則|プロンプト|指令|資料)[^。\n]{0,15}(?:無視|忘れ|破棄|従わ|上書き)",
        r"(?:忽略|無視|无视|忘記|忘记|忘掉|不要理會|不要理会|不要遵守|不必遵守|推翻|覆蓋|覆盖)[^。\n]{0,20}"
        r"(?:指示|指令|規則|规则|提示|要求|設定|设定|內容|内容)",
    ),
    Kind.ROLE: (
        r"\b(?:you are now|from now on,? you|system (?:prompt|message|override|note)|new instructions?"
        r"|developer mode|(?:note|message|instructions?) (?:to|for) (?:the )?(?:ai|assistant|model|language model))\b",
        r"(?:あなたは(?:今|これ)から|システム(?:プロンプト|メッセージ|通知|指示)|新しい(?:指示|命令)"
        r"|(?:AI|アシスタント|モデル)への(?:指示|命令|注意))",
        r"(?:[你您](?:現在|现在|從現在|从现在)|(?:從|从)(?:現在|现在)起|系統(?:提示|訊息|通知|指令)|系统(?:提示|消息|通知|指令)"
        r"|新的?(?:指示|指令)|給(?:AI|助理|模型)的|给(?:AI|助理|模型)的)",
    ),
    Kind.FORCED_REPLY: (
        r"\b(?:(?:reply|answer|respond|output|print|say|write)(?: to (?:every|each|all|any)[^.\n]{0,20})?"
        r" (?:only|exactly|nothing|with (?:only|exactly|the words?|one word))"
        r"|(?:begin|start|end) (?:every|each|your) (?:reply|answer|response))\b",
        r"(?:とだけ|のみを?|必ず|すべての回答に)[^。\n]{0,12}(?:答え|返答|回答|出力|書い|書き)",
        r"(?:只|僅|仅|一律|務必|务必)[^。\n]{0,8}(?:回答|回覆|回复|輸出|输出|寫|写)",
    ),
    Kind.CONCEAL: (
        r"\b(?:do not|don't|never)\b[^.\n]{0,20}\b(?:tell|mention|reveal|inform|show)\b[^.\n]{0,25}"
        r"\b(?:users?|customers?|clients?|this (?:note|instruction))\b",
        r"(?:利用者|ユーザー|お客さま|お客様|顧客)[^。\n]{0,15}(?:言わな|伝えな|知らせな|明かさな|見せな)",
        r"(?:不要|切勿|不得|別)[^。\n]{0,4}(?:告訴|告诉|告知|透露|提到|顯示|显示)[^。\n]{0,6}(?:使用者|用戶|用户|客戶|客户|貴賓)",
    ),
    Kind.EXFILTRATION: (
        r"(?:https?://|www\.)[^\s<>)\"]{0,300}[?&=/](?:\{|\[|%7b|<|\$)",
        r"!\[[^\]\n]{0,200}\]\([^)\n]{0,300}\?",
        rf"\b(?:send|post|forward|append|encode|include|embed|transmit|add|attach)\b[^\n]{{0,100}}{_LINK}",
        rf"{_LINK}[^\n]{{0,80}}(?:送信|転送|付け|追加|埋め込|傳送|传送|發送|发送|附加|附上|加到|加上)",
        rf"(?:送信|転送|付け加え|追加|埋め込|傳送|传送|發送|发送|附加|附上|加到|加上)[^\n]{{0,80}}{_LINK}",
    ),
    Kind.TOOL: (
        r"\b(?:call|invoke|run|execute|use) (?:the )?(?:[\w-]{1,40} (?:tool|function)|\b[a-z]{1,40}_[a-z_]{1,60})\b",
        r"(?:ツール|関数|\b[a-z]{1,40}_[a-z_]{1,60})[^。\n]{0,12}(?:呼び出|実行|使っ)",
        r"(?:呼叫|調用|调用|執行|执行|使用)[^。\n]{0,10}(?:工具|函式|函數|函数|\b[a-z]{1,40}_[a-z_]{1,60})",
        r"\"(?:name|function|tool)\"\s?:\s?\"\w{1,60}\"\s?,\s?\"(?:arguments|parameters)\"",
    ),
}
_COMPILED = {kind: [re.compile(p, re.IGNORECASE) for p in some] for kind, some in _PATTERNS.items()}
# Not soft hyphens, joiners and byte order marks, which honest documents hold.
_HIDING = re.compile(
    "[\u202d\u202e\u2066-\u2069\U000e0001-\U000e007f\U000e0100-\U000e01ef]|(?:[\u200b\u2060\u2061-\u2064]\\S?){4}"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A passage that counts, as it stands in the document."""

    kind: Kind
    quote: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.quote}" if self.quote else self.kind


@dataclass(frozen=True, slots=True)
class Suspicion:
    """`score` in 0..1, 0 where there is no reason."""

    score: float
    reasons: tuple[Reason, ...]

    def noted_in(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """`metadata` with score and reasons where there are any. Nobody else can set these two."""
        others = {name: value for name, value in metadata.items() if name not in (SCORE, REASONS)}
        noted = {SCORE: self.score, REASONS: [str(reason) for reason in self.reasons]} if self.reasons else {}
        return others | noted


def suspicion(text: str, raw: bytes = b"") -> Suspicion:
    """How suspicious a document is. `text` is what was read of it, `raw` its bytes, from which reading takes hiding
    characters away."""
    reasons = tuple(_reasons(text[:MOST_CHARACTERS], raw[:MOST_CHARACTERS].decode(errors="ignore")))
    doubt = 1.0
    for reason in reasons:
        doubt *= 1 - _WEIGHTS[reason.kind]
    return Suspicion(round(1 - doubt, 2), reasons)


def check(metadata: Mapping[str, Any], hold: float | None) -> None:
    """Raises InvalidRequest for a document whose suspicion reaches `hold`; None holds nothing back."""
    if hold is not None and metadata.get(SCORE, 0.0) >= hold:
        kinds = ", ".join(reason.partition(":")[0] for reason in metadata[REASONS])
        raise InvalidRequest(
            f"The document is held back: its suspicion is {metadata[SCORE]} ({kinds}).",
            "Review it; then send it with publish=false and publish what is staged, or take the passages out.",
            code=ErrorCode.SUSPICIOUS_DOCUMENT,
            param="document",
        )


def _reasons(text: str, raw: str) -> Iterator[Reason]:
    """One reason a kind at most."""
    for kind, patterns in _COMPILED.items():
        if match := next((found for pattern in patterns if (found := pattern.search(text))), None):
            yield Reason(kind, " ".join(match[0].split())[:LONGEST_QUOTE])
    if control_tokens(text):
        yield Reason(Kind.CONTROL_TOKEN, "")
    if _HIDING.search(raw) or _HIDING.search(text):
        yield Reason(Kind.INVISIBLE, "")
