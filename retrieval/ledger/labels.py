"""Labels as documents and knowledge bases carry them."""

from collections.abc import Iterable

from common.errors import InvalidRequest

_MOST = 64


def clean(labels: Iterable[str]) -> tuple[str, ...]:
    """`labels` sorted and without repetition. None at all is allowed: only the holder of every label reads that."""
    cleaned = sorted({label.strip() for label in labels})
    if len(cleaned) > _MOST or any(not _usable(label) for label in cleaned):
        raise InvalidRequest(
            "The labels are not usable.",
            f"Use at most {_MOST} labels of 1 to 64 printable characters, without '*' and ','.",
            param="labels",
        )
    return tuple(cleaned)


def _usable(label: str) -> bool:
    return 1 <= len(label) <= 64 and label.isprintable() and not {"*", ","} & set(label)
