"""A training ends when the gate's metrics get no better, and never by itself where nobody asked for that."""

from pathlib import Path

import pytest

from adapters.curve import draw_curve
from adapters.stopping import best, enough


def measured(*faithful: float) -> list[dict[str, float]]:
    return [{"step": i, "faithful": share, "tone": 1.0, "stale": 0.0} for i, share in enumerate(faithful)]


@pytest.mark.parametrize(
    ("shares", "patience", "place", "over"),
    [
        ((), 2, -1, False),
        ((0.5, 0.6, 0.7), 2, 2, False),
        ((0.5, 0.7, 0.6), 2, 1, False),
        ((0.5, 0.7, 0.6, 0.7), 2, 1, True),
        ((0.5, 0.4, 0.3, 0.2), 0, 0, False),
    ],
)
def test_patience_counts_the_measures_since_the_best(
    shares: tuple[float, ...], patience: int, place: int, over: bool
) -> None:
    """Equal is not better: the first of the best is kept."""
    assert (best(measured(*shares)), enough(measured(*shares), patience)) == (place, over)


def test_old_figures_weigh_against_right_ones() -> None:
    """What copies more but recites too is no better."""
    assert best([*measured(0.8), {"step": 1, "faithful": 0.9, "tone": 1.0, "stale": 0.3}]) == 0


def test_curves_are_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    """Losses alone, or with what was measured in between below them."""
    pictures: list[bytes] = []
    for name, shares in (("a.png", ()), ("b.png", ()), ("c.png", measured(0.2, 0.8))):
        draw_curve([2.0, 1.0, 0.5], tmp_path / name, "loss", shares)
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]
    assert pictures[0].startswith(b"\x89PNG")
