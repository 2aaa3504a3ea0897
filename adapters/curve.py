"""The loss curve as a picture."""

from collections.abc import Sequence
from pathlib import Path


def draw_curve(losses: Sequence[float], path: Path, title: str) -> None:
    """Each step's loss and the mean of the last twenty, written to `path` as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    steps = range(1, len(losses) + 1)
    means = [sum(losses[max(0, i - 20) : i]) / len(losses[max(0, i - 20) : i]) for i in steps]
    axes.plot(steps, losses, color="#9db4c8", linewidth=0.8, label="step")
    axes.plot(steps, means, color="#12395b", linewidth=1.8, label="mean of 20")
    axes.set(xlabel="step", ylabel="loss", title=title, yscale="log")
    axes.grid(visible=True, alpha=0.3, which="both")
    axes.legend()
    figure.tight_layout()
    # No date and no version of the library in the file: the same losses give the same bytes.
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
