"""How well the forms of examples/forms come out: with the adapter, and of the base model that is told the form.

    python -m benchmarks.forms                  with an engine of its own and the shipped adapter
    python -m benchmarks.forms --engine http://127.0.0.1:8000 --adapter forms@… --base SmolLM2-135M-Instruct

Files, questions, names and figures are none of training's (`unseen.jsonl`, `[unseen]` of forms.toml); every third file
has a wrong one beside it, every fifth leaves a statement out. `adapter` and `base` get the same prompt, `base, told`
the schema or the sections with the list of words as well. Greedy, without constrained decoding, 95 % Wilson bounds.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.evaluation.bounds import Share
from adapters.forms import Shape
from adapters.pieces import Piece, evidence_of
from adapters.records import LANGUAGES, File, file
from adapters.samples import FormSample, read_samples
from benchmarks.sample_engine import answers, on_its_own
from benchmarks.stack import machine
from common.prompt import Message, compose

EXAMPLE = Path(__file__).parent.parent / "examples" / "forms"
RESULTS = Path(__file__).parent / "results"
FIRM = "Kawabe Records"
MAX_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Case:
    """One form to fill: the file it is about, and the messages without and with the form told."""

    sample: FormSample
    file: File
    messages: tuple[Message, ...]
    told: tuple[Message, ...]


def cases(n: int, seed: int) -> Iterator[Case]:
    """`n` of each language, form and shape."""
    samples = [s for s in read_samples(EXAMPLE / "unseen.jsonl") if isinstance(s, FormSample)]
    for lang in LANGUAGES:
        own = [s for s in samples if s.lang == lang]
        for name, shape in sorted({(s.form.name, s.shape) for s in own}):
            fitting = [s for s in own if s.form.name == name and s.shape is shape]
            for i in range(n):
                rng = random.Random(f"{seed}/{lang}/{name}/{shape}/{i}")
                yield _case(fitting[i % len(fitting)], own, i, rng)


def _case(sample: FormSample, own: Sequence[FormSample], i: int, rng: random.Random) -> Case:
    about = file(sample, rng, silent=i % 5 == 4, unseen=True)
    files = [about]
    while i % 3 == 2 and len(files) < 2:
        other = file(rng.choice(own), rng, unseen=True)
        files += [other] if other.name != about.name else []
    question = about.ask(sample).question
    evidence = evidence_of([Piece((one.name,), one.text, ()) for one in files], sample.lang, rng)
    plain, told = (
        tuple(compose(FIRM, evidence, [{"role": "user", "content": text}]))
        for text in (question, f"{question}\n\n{_told(sample)}")
    )
    return Case(sample, about, plain, told)


def _told(sample: FormSample) -> str:
    """What a prompt would have to say without an adapter: the schema or the sections, and the words to use."""
    form, lang = sample.form, sample.lang
    words = {field: [*terms, form.absent[lang]] for field, terms in form.terms[lang].items()}
    absent = f'Write "{form.absent[lang]}" where the file states nothing.'
    if sample.shape is Shape.JSON:
        properties = {f: {"enum": words[f]} if f in words else {"type": "string"} for f in form.fields}
        schema: dict[str, Any] = {"type": "object", "required": list(form.fields), "properties": properties}
        shown = json.dumps(schema, ensure_ascii=False)
        return f"Answer with one JSON object that this schema takes, and nothing else. {absent}\n{shown}"
    sections = "\n".join(
        f"## {heading}\n({'one of: ' + ', '.join(words[f]) if f in words else 'as in the file'})"
        for heading, f in zip(form.headings[lang], form.fields, strict=True)
    )
    return f"Answer with these sections in this order, a line each, and nothing else. {absent}\n{sections}"


def judge(case: Case, answer: str) -> dict[str, Any]:
    """The verdict on one answer.

    `format` reads the whole answer as the form. `terms` and `stated` don't need it: the right term of each listed field
    stands in the answer and none of its other names does, and every value of the record stands in it. `right` is the
    form with every field as the record has it, `fields` how many of them are.
    """
    form, lang, record = case.sample.form, case.sample.lang, case.file.record
    read = form.read(answer.strip(), case.sample.shape, lang)
    given = {field: (read or {}).get(field) == value for field, value in record.items()}
    named = [(record[field], terms[record[field]]) for field, terms in form.terms[lang].items()]
    return {
        "format": read is not None,
        "terms": all(term in answer and not any(other in answer for other in others) for term, others in named),
        "stated": all(value in answer for value in record.values()),
        "right": all(given.values()),
        "fields": sum(given.values()),
        "of": len(given),
    }


def table(judged: dict[str, list[tuple[Case, dict[str, Any]]]]) -> str:
    """The shares side by side, as Markdown."""
    lines = [
        "| model | language | valid JSON | sections in order | glossary's terms | every value in it | right | fields |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model, verdicts in judged.items():
        for lang in LANGUAGES:
            own = [(case, verdict) for case, verdict in verdicts if case.sample.lang == lang]
            shares = [
                [v["format"] for c, v in own if c.sample.shape is shape] for shape in (Shape.JSON, Shape.DOCUMENT)
            ]
            shares += [[v[metric] for _, v in own] for metric in ("terms", "stated", "right")]
            fields = sum(v["fields"] for _, v in own) / max(1, sum(v["of"] for _, v in own))
            cells = [_cell(Share.of(share)) for share in shares]
            lines.append(f"| {model} | {lang} | {' | '.join(cells)} | {fields:.1%} |")
    return "\n".join(lines)


def _cell(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%}; n = {share.n})"


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    chosen = list(cases(arguments.n, arguments.seed))
    arms: dict[str, tuple[str, Callable[[Case], tuple[Message, ...]]]] = {
        "adapter": (arguments.adapter, lambda case: case.messages),
        "base, told": (arguments.base, lambda case: case.told),
        "base": (arguments.base, lambda case: case.messages),
    }
    judged: dict[str, list[tuple[Case, dict[str, Any]]]] = {}
    result: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.forms", *sys.argv[1:]]),
        "machine": machine(),
        "models": {"adapter": arguments.adapter, "base": arguments.base},
        "seed": arguments.seed,
        "seconds": {},
        "answers": {},
    }
    for arm, (model, messages) in arms.items():
        started = time.monotonic()
        asked = [messages(case) for case in chosen]
        said = await answers(arguments.engine, model, asked, streams=arguments.streams, most=MAX_TOKENS)
        verdicts = [(case, judge(case, answer)) for case, answer in zip(chosen, said, strict=True)]
        judged[arm] = verdicts
        result["seconds"][arm] = round(time.monotonic() - started, 1)
        result["answers"][arm] = [
            {"case": c.sample.id, "question": c.messages[-1]["content"], "file": c.file.text, "record": c.file.record}
            | {"answer": answer}
            | verdict
            for (c, verdict), answer in zip(verdicts, said, strict=True)
        ]
        write(result, judged, arguments.output)
    return result


def write(result: dict[str, Any], judged: dict[str, list[tuple[Case, dict[str, Any]]]], output: str) -> None:
    """The result so far, as Markdown and JSON."""
    took = ", ".join(f"{arm} {seconds:.0f} s" for arm, seconds in result["seconds"].items())
    text = (
        "# Forms: validity, sections, terms and values, with the adapter and without\n\n"
        f"`{result['command']}` on {result['machine']}; {took}.\n\n{table(judged)}\n\n"
        f"`adapter` is {result['models']['adapter']}, `base` the same prompt without it, and `base, told` is told the "
        "schema (or the sections) and the list of words in the question. Greedy, "
        f"{MAX_TOKENS} new tokens, no constrained decoding. Neither files, questions, names nor figures stood in the "
        "training; every third file has a wrong one beside it, every fifth leaves a statement out.\n\n"
        "* valid JSON, sections in order: the whole answer is the form and nothing else\n"
        "* glossary's terms: the right term of every listed field stands in the answer, and no other name of it\n"
        "* every value in it: in any form\n"
        "* right: the form is kept and every field is the record's; fields: how many of all fields are, where an "
        "answer that does not keep the form has none (no bounds: the fields of one answer hang together)\n\n"
        "In brackets 95 % Wilson bounds and the number of answers.\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{output}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{output}.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forms", description="Measure the forms.")
    parser.add_argument("--engine", help="URL of a vLLM server; without it one is started")
    parser.add_argument("--adapter", help="the model's name with the adapter")
    parser.add_argument("--base", help="the model's name without it")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("GROUNDTONE_HOME", ".groundtone")))
    parser.add_argument("--adapter-folder", type=Path, default=EXAMPLE / "adapter", help="for an engine of its own")
    parser.add_argument("-n", type=int, default=25, help="cases a language, form and shape")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--output", default="forms", help="name of the result files")
    arguments = parser.parse_args()
    if not arguments.engine and not arguments.adapter_folder.is_dir():
        parser.error("There is no adapter; groundtone adapter train examples/forms/recipe.toml makes it.")
    asyncio.run(measure(arguments) if arguments.engine else on_its_own(arguments, "forms", measure))


if __name__ == "__main__":
    main()
