"""How often the sample assistant is right, in its tone, in the right language, and silent where it should be.

    python -m benchmarks.sample                 with an engine of its own and the shipped adapter
    python -m benchmarks.sample --engine http://127.0.0.1:8000 --adapter kitahama@9f2c… --base SmolLM2-135M-Instruct
    python -m benchmarks.sample --gateway http://127.0.0.1:8080 --key-file .groundtone/admin.key

Against an engine the evidence is chosen here (see `benchmarks.sample_cases`) and most figures are redrawn, so that
nothing could have been remembered. Against a gateway its own search chooses, and the figures are the documents' own.
Greedy, 160 new tokens, 95 % Wilson bounds. A figure is right when every expected figure stands in the answer and none
of the evidence's others does.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.evaluation.judge import declined, in_tone, right
from benchmarks.sample_cases import LANGUAGES, Case, cases, unanswerable
from benchmarks.sample_engine import answers, on_its_own
from benchmarks.stack import machine
from common.language import language_of
from common.wilson import wilson

SAMPLE = Path(__file__).parent.parent / "examples" / "kitahama"
RESULTS = Path(__file__).parent / "results"
MAX_TOKENS = 160
METRICS = ("figure", "tone", "language", "abstain")


@dataclass(frozen=True, slots=True)
class Judged:
    """What one answer was. None where a metric does not apply."""

    case: str
    lang: str
    question: str
    expected: tuple[str, ...]
    answer: str
    figure: bool | None
    tone: bool
    language: bool
    abstain: bool | None


def judge(case: Case, answer: str, tone: dict[str, Any], refusals: Sequence[str]) -> Judged:
    """The verdict on one answer."""
    return Judged(
        case.id,
        case.lang,
        case.question,
        case.expected,
        answer,
        right(case, answer) if case.expected else None,
        in_tone(answer, tone[case.lang]),
        str(language_of(answer)) == case.lang,
        None if case.expected else declined(case, answer, refusals),
    )


def summary(judged: Iterable[Judged]) -> dict[str, Any]:
    """Per language and metric: value, bounds and number of cases."""
    rows = list(judged)
    found: dict[str, Any] = {}
    for lang in LANGUAGES:
        found[lang] = {}
        for metric in METRICS:
            # Tone and language are those of answers with a figure; refusals have a metric of their own.
            of = [r for r in rows if r.lang == lang and (r.figure is not None or metric == "abstain")]
            values = [value for r in of if (value := getattr(r, metric)) is not None]
            low, high = wilson(sum(values), len(values))
            value = sum(values) / len(values) if values else None
            found[lang][metric] = {"value": value, "low": low, "high": high, "n": len(values)}
    return found


def table(measured: dict[str, dict[str, Any]]) -> str:
    """The summaries side by side, as Markdown."""
    lines = [
        "| model | language | " + " | ".join(METRICS) + " |",
        "| --- | --- | " + " | ".join("---" for _ in METRICS) + " |",
    ]
    for model, by_lang in measured.items():
        for lang in LANGUAGES:
            cells = [_cell(by_lang[lang][metric]) for metric in METRICS]
            lines.append(f"| {model} | {lang} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    took = ", ".join(f"{label} {seconds:.0f} s" for label, seconds in result["seconds"].items())
    return (
        "# The sample assistant: right figures, tone, language, abstention\n\n"
        f"`{result['command']}` on {result['machine']}; {took}.\n\n{table(result['summary'])}\n\n"
        "Greedy, 160 new tokens. `figure`: every expected figure stands in the answer, and no other of the "
        "evidence's figures of that kind. `tone`: opening and closing are exact. `language`: the question's. "
        "`abstain`: what the evidence does not answer is refused, without a figure. In brackets 95 % Wilson bounds.\n"
    )


def _cell(m: dict[str, Any]) -> str:
    if not m["n"]:
        return "–"
    return f"{m['value']:.1%} ({m['low']:.1%} to {m['high']:.1%}; n = {m['n']})"


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    # The adapter's words and the gateway's.
    refusals = ("do not state this", "記載がございません", "未載明", "沒有相關記載")
    gateway = arguments.gateway is not None
    answerable = cases(SAMPLE, arguments.n, arguments.seed, change=not gateway)
    silent = unanswerable(SAMPLE, arguments.abstain, arguments.seed)
    if gateway:
        silent = [case for case in silent if "-u" in case.id]
    models = {"with adapter": arguments.adapter, "base": arguments.base}
    measured: dict[str, Any] = {}
    given: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    asked = [*answerable, *silent]
    told = [[case.messages[-1]] if gateway else case.messages for case in asked]
    where = arguments.gateway or arguments.engine
    for label, model in models.items():
        if not model:
            continue
        started = time.monotonic()
        said = await answers(where, model, told, streams=arguments.streams, most=MAX_TOKENS, key=arguments.key)
        judged = [judge(case, answer, arguments.rules, refusals) for case, answer in zip(asked, said, strict=True)]
        measured[label] = summary(judged)
        seconds[label] = round(time.monotonic() - started, 1)
        given[label] = [asdict(one) for one in judged]
    return {
        "command": "python -m benchmarks.sample " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "models": models,
        "seed": arguments.seed,
        "seconds": seconds,
        "summary": measured,
        "answers": given,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample", description="Measure the sample assistant.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--engine", help="URL of a vLLM server")
    where.add_argument("--gateway", help="URL of groundtone")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("GROUNDTONE_HOME", ".groundtone")))
    parser.add_argument("--adapter-folder", type=Path, default=SAMPLE / "adapter", help="for an engine of its own")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--adapter", help="the model's name with the adapter (gateway: kitahama)")
    parser.add_argument("--base", help="the model's name without it (gateway: kitahama-plain)")
    parser.add_argument("-n", type=int, default=110, help="answerable cases per language")
    parser.add_argument("--abstain", type=int, default=30, help="unanswerable cases per language")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--output", default="sample", help="name of the result files")
    arguments = parser.parse_args()
    arguments.key = arguments.key_file.read_text().strip() if arguments.key_file else None
    arguments.rules = tomllib.loads((SAMPLE / "glossary.toml").read_text(encoding="utf-8"))
    if arguments.gateway and not (arguments.adapter or arguments.base):
        arguments.adapter, arguments.base = "kitahama", "kitahama-plain"
    result = asyncio.run(
        measure(arguments) if arguments.engine or arguments.gateway else on_its_own(arguments, "kitahama", measure)
    )
    RESULTS.mkdir(exist_ok=True)
    text = report(result)
    (RESULTS / f"{arguments.output}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{arguments.output}.json").write_text(
        json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
