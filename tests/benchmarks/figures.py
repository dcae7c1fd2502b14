"""Figures out of measurements: medians, percentiles, paired ratios, and the Markdown tables that show them.

Knows nothing of what was measured. Units ride in the names of the columns.
"""

from collections.abc import Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share (0 to 1) of the values lies; the nearest one that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def paired_ratio(ours: Sequence[float], floor: Sequence[float]) -> float:
    """The median of ours over floor, each with its partner: what both rounds suffered alike falls out."""
    return median(one / other for one, other in zip(ours, floor, strict=True))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under a bold title; every column but the first is aligned right."""
    head = "| " + " | ".join(columns) + " |"
    rule = "| --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([f"**{title}**", "", head, rule, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def verdict(value: float, aim: float, *, is_at_least: bool) -> str:
    """A ratio with its aim, and whether it is met."""
    is_met = value >= aim if is_at_least else value <= aim
    return f"{value:.2f} (aim: at {'least' if is_at_least else 'most'} {aim:g}; {'met' if is_met else 'missed'})"
