"""Make `docs/benchmarks/README.md` from the claims beside it.

First a table of everything that was promised, then each topic: its promises, its further numbers by
group, the commands and machines that gave them, and its plots.

Run: python -m benchmarks.page
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from .claims import DOCS

__all__ = ["main", "render", "write_page"]

_INTRODUCTION = """\
# Benchmarks

What this project claims of its work: every number with its goal, if one was set, the command that
measures it again and the machine it was measured on. Made by `python -m benchmarks.page` from the
JSON files in this folder; `make bench` runs every benchmark that can run on the machine and then
makes this page.
"""
_HEADER = "| claim | value | goal | | what it is |\n| --- | --- | --- | --- | --- |"
_BYTE_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))

Claims = list[dict[str, Any]]


def _amount(value: float, unit: str) -> str:
    """A number for people: bytes in decimal units, large numbers without an exponent."""
    if unit == "bytes":
        for size, name in _BYTE_UNITS:
            if abs(value) >= size:
                return f"{value / size:.4g} {name}"
    digits = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{digits} {unit}".rstrip()


def _met(claim: dict[str, Any]) -> bool:
    if claim["better"] == "lower":
        return bool(claim["value"] <= claim["goal"])
    return bool(claim["value"] >= claim["goal"])


def _verdict(claim: dict[str, Any]) -> str:
    """Whether a goal is met, and by how much it is missed."""
    if claim["goal"] is None:
        return ""
    if _met(claim):
        return "met"
    if not claim["goal"]:
        return "**missed**"
    distance = abs(claim["value"] - claim["goal"])
    if claim["goal"] < 0:  # a scale without a zero: shares of it mean nothing
        return f"**missed** by {_amount(distance, claim['unit'])}"
    per_cent = 100 * distance / claim["goal"]
    if per_cent < 0.01:
        return "**missed** by less than 0.01 %"
    return f"**missed** by {f'{per_cent:.0f}' if per_cent >= 1 else f'{per_cent:.1g}'} %"


def _goal(claim: dict[str, Any]) -> str:
    if claim["goal"] is None:
        return ""
    sign = "≤" if claim["better"] == "lower" else "≥"
    return f"{sign} {_amount(claim['goal'], claim['unit'])}"


def _row(claim: dict[str, Any]) -> str:
    return (
        f"| `{claim['id']}` | {_amount(claim['value'], claim['unit'])} | {_goal(claim)} "
        f"| {_verdict(claim)} | {claim['note'].replace('|', '/')} |"
    )


def _title(topic: str) -> str:
    return topic.replace("_", " ").capitalize()


def _summary(topics: dict[str, Claims]) -> list[str]:
    """Everything that was promised, in one table."""
    promised = [
        (topic, claim)
        for topic, claims in topics.items()
        for claim in claims
        if claim["goal"] is not None
    ]
    if not promised:
        return []
    met = sum(_met(claim) for _, claim in promised)
    parts = [
        f"## Promises\n\n{met} of {len(promised)} are met.\n",
        "| topic | claim | value | goal | |\n| --- | --- | --- | --- | --- |",
    ]
    for topic, claim in promised:
        link = f"[{_title(topic)}](#{_title(topic).lower().replace(' ', '-')})"
        value = _amount(claim["value"], claim["unit"])
        parts.append(f"| {link} | `{claim['id']}` | {value} | {_goal(claim)} | {_verdict(claim)} |")
    return [*parts, ""]


def _tables(claims: Claims) -> list[str]:
    """One table for each group, in the order in which groups first appear; promises come first."""
    order = list(dict.fromkeys(claim.get("group", "") for claim in claims))
    ranked = sorted(claims, key=lambda c: (order.index(c.get("group", "")), c["goal"] is None))
    parts = []
    for group, members in groupby(ranked, key=lambda claim: str(claim.get("group", ""))):
        if group:
            parts.append(f"### {group}\n")
        parts += [_HEADER, *map(_row, members), ""]
    return parts


def _origins(claims: Claims) -> list[str]:
    """Where the numbers come from: one line for each command, machine and day."""
    lines = (f"`{c['command']}` — {c['machine']}, {c['date']}" for c in claims)
    return [f"{line}\n" for line in dict.fromkeys(lines)]


def render(topics: dict[str, Claims], pictures: list[str]) -> str:
    """The page.

    Args:
        topics: Claims by topic, as `write_claims` wrote them.
        pictures: Names of files beside the page; one whose name begins with a topic's and an
            underscore is shown there.
    """
    parts = [_INTRODUCTION, *_summary(topics)]
    for topic, claims in topics.items():
        if not claims:
            continue
        parts += [f"## {_title(topic)}\n", *_tables(claims), *_origins(claims)]
        for picture in pictures:
            if picture.startswith(f"{topic}_") and _owner(picture, topics) == topic:
                alternative = _title(picture.removesuffix(".png"))
                parts.append(f"![{alternative}]({picture})\n")
    return "\n".join(parts)


def _owner(picture: str, topics: dict[str, Claims]) -> str:
    """The longest topic that begins a picture's name: "speed_gpu_steps.png" isn't "speed"'s."""
    return max((t for t in topics if picture.startswith(f"{t}_")), key=len)


def write_page(docs: Path) -> Path:
    """Write `README.md` from the JSON files and pictures in a folder."""
    topics = {path.stem: json.loads(path.read_text()) for path in sorted(docs.glob("*.json"))}
    page = docs / "README.md"
    page.write_text(render(topics, sorted(path.name for path in docs.glob("*.png"))))
    return page


def main() -> None:
    """Write the page beside the published claims."""
    write_page(DOCS)


if __name__ == "__main__":
    main()
