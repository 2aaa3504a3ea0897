"""The whole service against a dictionary: whatever is done in whatever order, questions see what they should."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from common.errors import NotFound
from tests.retrieval.house import Chroma, House, someone

NAMES = st.sampled_from(["a", "b", "c/d"])
PRICES = st.integers(1, 3)
LABELS = st.sampled_from([None, ("public",), ("hr",), ("public", "hr"), ()])
STAFF, PUBLIC, NOBODY = someone("default", "hr", "staff"), someone("default", "public"), someone("default", "none")

State = dict[str, tuple[str, int]]
"""Text and revision of each document that is present."""


@dataclass
class Model:
    history: list[State] = field(default_factory=lambda: [{}])
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    revisions: dict[str, int] = field(default_factory=dict[str, int])
    staged: dict[str, tuple[str | None, int, tuple[str, ...] | None]] = field(default_factory=dict)

    @property
    def now(self) -> State:
        return self.history[-1]

    def move(self, state: State) -> None:
        self.history.append(state)

    def relabel(self, name: str, labels: tuple[str, ...] | None) -> None:
        if labels is not None or name not in self.labels:
            self.labels[name] = labels if labels is not None else ("public",)


class Service(RuleBasedStateMachine):
    chroma: str

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="groundtone-model-"))
        self.house = House(self.home, self.chroma)
        self.house.open()
        self.house.base()
        self.model = Model()

    def teardown(self) -> None:
        self.house.close()
        shutil.rmtree(self.home)

    @rule(name=NAMES, price=PRICES, labels=LABELS, publish=st.booleans())
    def put(self, name: str, price: int, labels: tuple[str, ...] | None, publish: bool) -> None:
        text, model = f"The {name} costs {price} yen.", self.model
        revision, snapshot = self.house.put(name, text, labels=labels, publish=publish)
        model.staged.pop(name, None)
        if model.now.get(name, ("", 0))[0] == text:
            model.relabel(name, labels)
        else:
            number = model.revisions[name] = model.revisions.get(name, 0) + 1
            model.labels.setdefault(name, labels if labels is not None else ("public",))
            if publish:
                model.relabel(name, labels)
                model.move(model.now | {name: (text, number)})
            else:
                model.staged[name] = (text, number, labels)
            assert revision == number
        assert snapshot == (len(model.history) - 1 if publish else None)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if name not in self.model.now:
            if self.model.staged.pop(name, None):  # what only waits is taken back
                self.house.put(name, None)
                return
            with pytest.raises(NotFound):
                self.house.put(name, None)
            return
        self.house.put(name, None)
        self.model.staged.pop(name, None)
        self.model.move({n: state for n, state in self.model.now.items() if n != name})

    @rule()
    def publish_staged(self) -> None:
        model = self.model
        number = self.house.knowledge.publisher.publish_staged(self.house.me, "kb", "").result(30)
        if model.staged:
            for name, (_, _, labels) in model.staged.items():
                model.relabel(name, labels)
            model.move(model.now | {name: (text or "", n) for name, (text, n, _) in model.staged.items()})
            model.staged.clear()
        assert number == len(model.history) - 1

    @rule(back=st.integers(0, 5))
    def restore(self, back: int) -> None:
        number = max(0, len(self.model.history) - 1 - back)
        got = self.house.knowledge.publisher.restore(self.house.me, number, None).result(30)
        if self.model.history[number] != self.model.now:
            self.model.move(self.model.history[number])
        assert got == len(self.model.history) - 1

    @rule()
    def restart(self) -> None:
        self.house.reopen()

    @invariant()
    def questions_see_what_they_should(self) -> None:
        model, head = self.model, len(self.model.history) - 1
        for number in {head, head // 2}:
            for who in (self.house.me, STAFF, PUBLIC, NOBODY):
                found = self.house.search("costs yen", me=who, as_of=None if number == head else number)
                assert found.snapshot == number
                expected = {t for n, (t, _) in model.history[number].items() if who.reads(model.labels[n])}
                assert sorted(one.text for one in found.evidence) == sorted(expected)


def test_the_service_agrees_with_a_dictionary(shared_chroma: Chroma) -> None:
    """Documents, labels, staging, restores and restarts in any order; a few rounds of many steps."""
    _run(shared_chroma, rounds=5, steps=15)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_service_agrees_with_a_dictionary_for_long(shared_chroma: Chroma) -> None:
    """The same, many more rounds."""
    _run(shared_chroma, rounds=100, steps=40)


def _run(chroma: Chroma, rounds: int, steps: int) -> None:
    Service.chroma = chroma.url
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=rounds,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
