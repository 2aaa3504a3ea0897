"""An answer as it comes in, and what is told about it: sources, figures, receipt."""

from typing import Any

from serving.cli.output import Output, excerpt


class Answer:
    """Takes the events of a stream; afterwards `text` is the answer and `facts` is the `groundtone` object."""

    def __init__(self) -> None:
        self.text = ""
        self.facts: dict[str, Any] = {}

    def take(self, event: dict[str, Any]) -> str:
        """The text that `event` adds."""
        self.facts |= event.get("groundtone") or {}
        choices = event.get("choices") or [{}]
        piece = (choices[0].get("delta") or {}).get("content") or ""
        self.text += piece
        return piece

    def summary(self) -> str:
        """One line: outcome, guard, snapshot, adapter, receipt."""
        facts = self.facts
        parts = [facts.get("outcome")]
        if (guard := facts.get("guard")) and guard.get("verdict") != "off":
            parts.append(f"figures {guard['verdict']}")
        if (snapshot := facts.get("snapshot")) is not None:
            parts.append(f"snapshot {snapshot}")
        parts.append(facts.get("adapter") or facts.get("base_model"))
        parts.append(facts.get("receipt"))
        return " · ".join(str(part) for part in parts if part)

    def tell(self, output: Output) -> None:
        """Sources and figures with their verdicts, then the summary."""
        if citations := self.facts.get("citations") or []:
            output.line("\nSources")
            for number, citation in enumerate(citations, 1):
                output.line(f"  [{number}] {_source(citation)}")
                output.line(f"      {excerpt(citation.get('text') or '')}")
        if figures := (self.facts.get("guard") or {}).get("figures") or []:
            output.line("\nFigures")
            for figure in figures:
                output.line(f"  {figure['text']}  {figure['status']}")
        output.line(f"\n{self.summary()}")


def _source(citation: dict[str, Any]) -> str:
    page = f", page {citation['page']}" if citation.get("page") else ""
    title = citation.get("title") or citation["document"]
    return f"{title} ({citation['document']}, revision {citation['revision']}{page})"
