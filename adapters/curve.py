"""The curves of loss and metrics as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_COLOURS = ("#0b6e99", "#4d7c0f", "#c2410c")


def draw_curve(losses: Sequence[float], path: Path, title: str, measured: Sequence[Mapping[str, float]] = ()) -> None:
    """Each step's loss and the mean of the last twenty, written to `path` as PNG.

    Below it what was measured in between: shares by their names, and the `step` that they were taken after.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, drawn = pyplot.subplots(2 if measured else 1, figsize=(7, 7 if measured else 4), dpi=110, squeeze=False)
    axes = drawn[0, 0]
    steps = range(1, len(losses) + 1)
    means = [sum(losses[max(0, i - 20) : i]) / len(losses[max(0, i - 20) : i]) for i in steps]
    axes.plot(steps, losses, color="#9db4c8", linewidth=0.8, label="step")
    axes.plot(steps, means, color="#12395b", linewidth=1.8, label="mean of 20")
    axes.set(xlabel="step", ylabel="loss", title=title, yscale="log")
    axes.grid(visible=True, alpha=0.3, which="both")
    axes.legend()
    if measured:
        below = drawn[1, 0]
        for name, colour in zip((name for name in measured[0] if name != "step"), _COLOURS, strict=False):
            below.plot(
                [one["step"] for one in measured], [one[name] for one in measured], "o-", color=colour, label=name
            )
        below.set(xlabel="step", ylabel="share", ylim=(-0.03, 1.03))
        below.grid(visible=True, alpha=0.3)
        below.legend()
    figure.tight_layout()
    # No date and no version of the library in the file: the same losses give the same bytes.
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
