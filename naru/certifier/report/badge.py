"""The verdict as a badge for a README: an SVG that needs no font and no server."""

from __future__ import annotations

from html import escape

from naru.certifier.report.clean import clean_text
from naru.certifier.report.score import count, won
from naru.certifier.report.screen import columns
from naru.certifier.result import Run

_LABEL = "naru certify"
_GREEN, _RED = "#0a6b3d", "#b3261e"


def text(run: Run) -> str:
    """`naru certify | 43/43 held`, or what was lost. Its contrast is above 4.5 on both halves."""
    score = count(run)
    if run.passed:
        said = f"{score.held}/{score.tried} held"
    elif run.cost:
        said = f"robbed of {won(run.cost).en}"
    elif score.broken:
        said = f"{score.broken} of {score.tried} broken"
    elif score.trouble:
        said = f"{score.trouble} not tried"
    else:
        said = "nothing tried"
    left, right = _width(_LABEL), _width(said)
    whole, middle, colour = left + right, left + right / 2, _GREEN if run.passed else _RED
    title = escape(clean_text(f"{_LABEL}: {run.shop}: {said}", 200))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n"
        f'<rect width="{whole}" height="20" rx="3" fill="#2f3d3a"/>\n'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" fill="{colour}"/>\n'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">\n'
        f'<text x="{left / 2}" y="14" textLength="{left - 12}">{_LABEL}</text>\n'
        f'<text x="{middle}" y="14" textLength="{right - 12}">{escape(said)}</text>\n'
        "</g>\n</svg>\n"
    )


def _width(said: str) -> int:
    return round(columns(said) * 6.7) + 12
