"""What the guard costs: processor time per token, and how long a figure is held back.

    python -m benchmarks.guard [--rounds 40] [--write]

One process, no sockets: the same events go through the transducer under every policy, in rounds that alternate. `off`
is the pass-through; what the others take more is the guard's. Tokens are words in English and characters in Japanese
and Chinese, which is what a large model's tokenizer about makes of them. The delay is measured on answers with figures:
how many characters and tokens of the answer were written when a figure's last character left, beyond that character.
"""

import argparse
import re
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.stack import bootstrap, machine, median, percentile, publish
from common.canonical import digest
from common.evidence import Evidence
from common.language import Language
from common.settings import Guard as Policy
from serving.chat.transducer import Transducer

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[ ]?[A-Za-z]{1,8}|[ ]?[0-9]{1,3}|\s|.", re.DOTALL)
POLICIES = (Policy.OFF, Policy.FLAG, Policy.WITHHOLD)

PLAIN = {
    "English": "Thank you for asking. The notice is sent to everyone who has an account with us, and nobody needs to "
    "answer it before the end of the season; our staff are glad to help with any question about it. ",
    "Japanese": "お問い合わせありがとうございます。担当者が確認のうえ、改めてご連絡いたします。",
    "Chinese": "感謝您的來信。我們的專員確認之後會儘快與您聯絡，也歡迎隨時告訴我們其他問題。",
}
EVIDENCE = (
    ("Harbour Cards › Harbour Gold Card", "The annual fee of the Harbour Gold Card is 11,000 yen. It adds insurance."),
    ("Harbour Cards › Harbour Basic Card", "The annual fee of the Harbour Basic Card is 1,650 yen."),
    ("Harbour Cards › Harbour Gold Card", "Minimum age: 20 years"),
    ("潮騒カード › 潮騒ゴールドカード", "潮騒ゴールドカードの年会費は12,100円（税込）です。"),
    ("墨竹信用卡 › 墨竹金卡", "墨竹金卡的年費為新臺幣3,600元，附旅遊平安保險。"),
)
FIGURES = {
    "names the subject first": (
        "The annual fee of the Harbour Gold Card is 11,000 yen, and it comes with insurance for every journey.",
        "潮騒ゴールドカードの年会費は12,100円で、空港ラウンジもご利用いただけます。",
        "墨竹金卡的年費為新臺幣3,600元，並附旅遊平安保險與機場接送。",
    ),
    "names no subject": (
        "It costs 11,000 yen a year, and it comes with insurance for every journey that you make.",
        "年会費は12,100円で、空港ラウンジもご利用いただけます。",
        "年費為新臺幣3,600元，並附旅遊平安保險與機場接送。",
    ),
    "is not in the evidence": (
        "The annual fee of the Harbour Gold Card is 12,345 yen, and it comes with insurance for every journey.",
        "潮騒ゴールドカードの年会費は12,345円で、空港ラウンジもご利用いただけます。",
        "墨竹金卡的年費為新臺幣12,345元，並附旅遊平安保險與機場接送。",
    ),
}
FIGURE = re.compile(r"(?:新臺幣)?[0-9]+,[0-9]+(?: yen|円|元)")


def chunk(number: int, path: str, text: str) -> Evidence:
    heading = tuple(path.split(" › "))
    lang = "en" if text.isascii() else "ja" if "の" in text else "zh-TW"
    span = (0, len(text))
    return Evidence(
        f"c_{number}", digest(text.encode()), "bench", f"{number}.md", 1, heading[0], heading, text, span, None, lang,
        number, 0.9, f"{number:08x}",
    )  # fmt: skip


CHUNKS = tuple(chunk(number, path, text) for number, (path, text) in enumerate(EVIDENCE))


def events(text: str) -> list[dict[str, Any]]:
    return [
        {"choices": [{"index": 0, "delta": {"content": token}, "logprobs": None, "finish_reason": None}]}
        for token in _TOKEN.findall(text)
    ]


def transducer(policy: Policy) -> Transducer:
    return Transducer("What does it cost?", CHUNKS, policy, Language.ENGLISH)


def per_token(policy: Policy, text: str) -> float:
    """Processor seconds a token of `text`."""
    given, passing = events(text), transducer(policy)
    started = time.process_time()
    for event in given:
        for _ in passing.feed(event):
            pass
    return (time.process_time() - started) / len(given)


def delays(text: str) -> tuple[int, int]:
    """Characters and tokens that were written after a figure's last one when that left."""
    found = FIGURE.search(text)
    assert found is not None
    passing = transducer(Policy.WITHHOLD)
    written = at = sent = 0
    after = 0
    for event in events(text):
        written += len(event["choices"][0]["delta"]["content"])
        after += written > found.end()
        for _ in passing.feed(event):
            at += 1
            sent += len(_TOKEN.findall(text)[at - 1])
            if sent >= found.end():
                return written - found.end(), after
    return len(text) - found.end(), after


def report(rounds: Sequence[dict[tuple[str, Policy], float]], options: argparse.Namespace) -> str:
    rows = [
        "| text without figures | pass-through, µs | flag adds, µs | withhold adds, µs |",
        "| --- | --- | --- | --- |",
    ]
    for name in PLAIN:
        passing = bootstrap(rounds, lambda drawn, n=name: 1e6 * median([one[n, Policy.OFF] for one in drawn]))
        cells = [passing.text()]
        for policy in POLICIES[1:]:
            more = bootstrap(
                rounds,
                lambda drawn, n=name, p=policy: 1e6 * median([one[n, p] - one[n, Policy.OFF] for one in drawn]),
            )
            cells.append(more.text())
        rows.append(f"| {name} | {' | '.join(cells)} |")
    rows += [
        "",
        "| a figure whose sentence | answers | characters held, median and most | tokens held, median and most |",
    ]
    rows += ["| --- | --- | --- | --- |"]
    for name, texts in FIGURES.items():
        found = [delays(text) for text in texts]
        characters, tokens = ([pair[i] for pair in found] for i in (0, 1))
        cells = (f"{percentile(one, 0.5):.0f}, {max(one)}" for one in (characters, tokens))
        rows.append(f"| {name} | {len(texts)} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "# What the guard costs",
            "",
            f"`python -m benchmarks.guard --rounds {options.rounds}` on {machine()}. Processor time a token, "
            f"{options.rounds} interleaved rounds; brackets are 95 % bootstrap bounds over rounds. The aim: at most "
            "15 µs added. A figure is held until its verdict is certain: it leaves at once where its sentence named "
            "its subject, else at the end of the sentence. Counted is what was written after its last character.",
            "",
            *rows,
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    rounds: list[dict[tuple[str, Policy], float]] = []
    for number in range(options.rounds):
        order = POLICIES if number % 2 else POLICIES[::-1]
        rounds.append({(name, policy): per_token(policy, text * 8) for policy in order for name, text in PLAIN.items()})
    publish("guard", report(rounds, options) + "\n", options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
