"""The Wilson score interval of a share (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""

_Z = 1.959964


def wilson(right: float, n: int) -> tuple[float, float]:
    """The 95 % interval around `right` of `n`; 0 to 1 where nothing was seen.

    Made for shares. A mean of other values in 0..1, `right` being their sum, varies less than a share of the same size,
    so there it errs to the wide side; and unlike the bootstrap it stays open where all values are equal.
    """
    if n == 0:
        return 0.0, 1.0
    p = right / n
    centre, width = p + _Z**2 / (2 * n), _Z * (p * (1 - p) / n + _Z**2 / (4 * n * n)) ** 0.5
    # Rounding may put a bound past the share itself where that is 0 or 1.
    low, high = (centre - width) / (1 + _Z**2 / n), (centre + width) / (1 + _Z**2 / n)
    return max(0.0, min(p, low)), min(1.0, max(p, high))
