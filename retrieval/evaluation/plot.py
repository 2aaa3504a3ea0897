"""Two small pictures as SVG: no plotting library is in the gateway's environment, and these need none."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _ROW = 720, 420, 64, 24, 56, 26
_INK, _SOFT = "#1a1a2e", "#8a8fa3"
_COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of shares, 0..1, over thresholds, 0..1."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A value in 0..1 with its interval. `marked` is drawn in another colour."""

    name: str
    value: float
    low: float
    high: float
    marked: bool = False


def lines(title: str, drawn: Sequence[Line], marks: Sequence[tuple[str, float]]) -> str:
    """Lines over one axis from 0 to 1; `marks` are named upright lines."""
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - 64
    out = [_text(_LEFT, 26, title, size=16)]
    for step in range(0, 11, 2):
        x, y = _LEFT + across * step / 10, _TOP + down * (1 - step / 10)
        out += [_rule(_LEFT, y, _LEFT + across, y), _text(_LEFT - 8, y + 4, f"{step * 10} %", anchor="end")]
        out.append(_text(x, _TOP + down + 18, f"{step / 10:g}", anchor="middle"))
    for i, (name, at) in enumerate(marks):
        x = _LEFT + across * at
        out += [_rule(x, _TOP, x, _TOP + down, _INK, "4 3"), _text(x + 4, _TOP + 12 + 14 * i, name)]
    for i, line in enumerate(drawn):
        points = " ".join(f"{_LEFT + across * x:.1f},{_TOP + down * (1 - y):.1f}" for x, y in line.points)
        colour = _COLOURS[i % len(_COLOURS)]
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(_text(_LEFT + 240 * i, _HEIGHT - 14, f"— {line.name}", colour=colour))
    return _svg(_HEIGHT, out)


def bars(title: str, drawn: Sequence[Bar]) -> str:
    """A row each: a dot for the value, a line for its interval."""
    left = 300
    across, height = _WIDTH - left - 80, _TOP + _ROW * len(drawn) + 40
    out = [_text(16, 26, title, size=16)]
    for step in range(0, 11, 2):
        x = left + across * step / 10
        out += [_rule(x, _TOP - 8, x, height - 32), _text(x, height - 14, f"{step / 10:g}", anchor="middle")]
    for i, bar in enumerate(drawn):
        y, colour = _TOP + _ROW * i + 8, _COLOURS[1 if bar.marked else 0]
        low, at, high = (left + across * share for share in (bar.low, bar.value, bar.high))
        out += [_text(left - 12, y + 4, bar.name, anchor="end"), _rule(low, y, high, y, colour, width=2)]
        out.append(f'<circle cx="{at:.1f}" cy="{y}" r="4" fill="{colour}"/>')
        out.append(_text(left + across + 12, y + 4, f"{bar.value:.3f}"))
    return _svg(height, out)


def _svg(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{height:g}" fill="white"/>', *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", colour: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str = "#e3e5ec", dash: str = "", width: int = 1) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dashed}/>'
