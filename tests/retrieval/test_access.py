"""Who may read what: decided by labels as they are now, for every snapshot and every filter."""

import pytest

from common.errors import InvalidRequest, NotFound
from common.principal import Principal, Scope
from tests.retrieval.house import House, someone


def test_a_document_is_read_by_those_who_share_a_label(house: House) -> None:
    """One shared label suffices; none shared, or none at all, is a no."""
    house.put("open.md", "The apple costs 1 yen.")
    house.put("hr.md", "The apple budget is 2 yen.", labels=("hr", "board"))
    house.put("sealed.md", "The apple secret is 3 yen.", labels=())
    assert house.found("apple", me=someone("default", "public")) == {"open.md"}
    assert house.found("apple", me=someone("default", "board", "x")) == {"hr.md"}
    assert house.found("apple", me=someone("default", "public", "hr")) == {"open.md", "hr.md"}
    assert house.found("apple", me=someone()) == {"open.md", "hr.md", "sealed.md"}


def test_no_labels_give_nothing(house: House) -> None:
    """An empty set is not everything."""
    house.put("open.md", "The apple costs 1 yen.")
    nobody = Principal("default", "k", frozenset(), frozenset(Scope))
    assert house.search("apple", me=nobody).evidence == ()


def test_what_may_not_be_read_changes_nothing_in_what_may(house: House) -> None:
    """Evidence, order and scores are the same whether the hidden documents are there or not."""
    for n in range(5):
        house.put(f"{n}.md", f"Item {n} of the apple list costs {n} yen.")
    reader = someone("default", "public")

    def seen() -> list[tuple[str, float]]:
        return [(one.chunk, one.score) for one in house.search("apple list item 3", me=reader).evidence]

    before = seen()
    for n in range(30):
        house.put(f"hidden{n}.md", f"The apple list item 3 secretly costs {n} yen.", labels=("hr",))
    assert seen() == before


def test_labels_apply_to_the_past_as_they_are_now(house: House) -> None:
    """Time travel changes what existed, never who may see it."""
    reader = someone("default", "public")
    _, before = house.put("a.md", "The apple costs 1 yen.")
    house.put("a.md", "The apple costs 2 yen.", labels=("hr",))
    assert house.found("apple", me=reader) == set()
    assert house.found("apple", me=reader, as_of=before) == set()
    house.knowledge.publisher.restore(house.me, before or 0, None).result(30)
    assert house.found("apple", me=reader) == set()
    assert house.texts("apple") == ["The apple costs 1 yen."]


def test_new_labels_never_open_old_content(house: House) -> None:
    """They come with the content that they were sent with, in the same snapshot."""
    reader = someone("default", "public")
    house.put("a.md", "The apple secret is 1 yen.", labels=("hr",))
    house.put("a.md", "The apple costs 2 yen.", labels=("public",), publish=False)
    assert house.found("apple", me=reader) == set()
    house.knowledge.publisher.publish_staged(house.me, "kb", "").result(30)
    assert house.texts("apple", me=reader) == ["The apple costs 2 yen."]


def test_a_knowledge_base_that_is_made_again_is_open_to_those_who_could_read_it(house: House) -> None:
    """Unless labels are said, which are those of now for its past too."""
    house.base(labels=["hr"])
    _, before = house.put("a.md", "The apple secret is 1 yen.")
    house.knowledge.publisher.drop(house.me, "kb").result(30)
    house.base()
    assert house.found("apple", me=someone("default", "public"), as_of=before) == set()
    assert house.found("apple", me=someone("default", "hr"), as_of=before) == {"a.md"}


def test_a_document_that_is_opened_is_opened_with_its_past(house: House) -> None:
    """Labels are those of now for every snapshot: what must stay closed needs an id of its own."""
    reader = someone("default", "public")
    _, closed = house.put("a.md", "The apple secret is 1 yen.", labels=("hr",))
    house.put("a.md", "The apple costs 2 yen.", labels=("public",))
    assert house.texts("apple", me=reader, as_of=closed) == ["The apple secret is 1 yen."]


def test_labels_alone_change_without_a_snapshot(house: House) -> None:
    """Access is not history, and the next question obeys it."""
    first = house.put("a.md", "The apple costs 1 yen.", labels=("public",))
    assert house.put("a.md", "The apple costs 1 yen.", labels=("hr",)) == first
    assert house.found("apple", me=someone("default", "public")) == set()
    assert house.found("apple", me=someone("default", "hr")) == {"a.md"}


def test_a_knowledge_bases_labels_are_inherited(house: House) -> None:
    """By every document without labels of its own, as soon as they change."""
    house.put("a.md", "The apple costs 1 yen.")
    house.put("b.md", "The apple list.", labels=("public",))
    house.base(labels=["staff"])
    assert house.found("apple", me=someone("default", "staff")) == {"a.md"}
    assert house.found("apple", me=someone("default", "public")) == {"b.md"}


def test_a_hidden_document_can_be_neither_changed_nor_removed(house: House) -> None:
    """And the error is that of a document that isn't there."""
    house.put("a.md", "The apple secret is 1 yen.", labels=("hr",))
    writer = someone("default", "public")
    for text in ("The apple costs 2 yen.", None):
        with pytest.raises(NotFound):
            house.put("a.md", text, me=writer)


def test_filters_must_all_hold(house: House) -> None:
    """A value or a list of values, by document, source, language and metadata; `1` is not `true`."""
    house.put("a.md", "The apple costs 1 yen.", metadata={"kind": "fruit", "rank": 1})
    house.put("b.md", "The apple pie costs 2 yen.", metadata={"kind": ["cake", "fruit"], "rank": True})
    house.put("c.md", "りんごの値段は三円です。apple", metadata={"kind": "fruit"})
    assert house.found("apple", filters={"document": ["a.md", "b.md"]}) == {"a.md", "b.md"}
    assert house.found("apple", filters={"lang": "ja"}) == {"c.md"}
    assert house.found("apple", filters={"metadata.kind": "cake"}) == {"b.md"}
    assert house.found("apple", filters={"metadata.rank": 1}) == {"a.md"}
    assert house.found("apple", filters={"metadata.kind": "fruit", "lang": "en"}) == {"a.md", "b.md"}
    assert house.found("apple", filters={"source": "push"}) == {"a.md", "b.md", "c.md"}
    assert house.found("apple", filters={"source": "folder"}) == set()
    assert house.found("apple", filters={"document": []}) == set()
    for wrong in ({"tenant": "other"}, {"metadata.": 1}, {"lang": {"not": "ja"}}):
        with pytest.raises(InvalidRequest):
            house.search("apple", filters=wrong)
