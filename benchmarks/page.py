"""Make `docs/benchmarks/README.md` from the claims beside it.

Run: python -m benchmarks.page
"""

import json
from typing import Any

from .claims import DOCS

__all__ = ["main", "render"]

_INTRODUCTION = """\
# Benchmarks

Every number that this project states, with its goal, the command that measures it again and the
machine it was measured on. Made by `python -m benchmarks.page` from the JSON files in this folder.
"""


def _verdict(claim: dict[str, Any]) -> str:
    if claim["goal"] is None:
        return ""
    if claim["better"] == "lower":
        return "met" if claim["value"] <= claim["goal"] else "**missed**"
    return "met" if claim["value"] >= claim["goal"] else "**missed**"


def render(topics: dict[str, list[dict[str, Any]]], pictures: list[str]) -> str:
    """The page, from claims by topic and the names of pictures beside it."""
    parts = [_INTRODUCTION]
    for topic, claims in topics.items():
        parts.append(f"## {topic.replace('_', ' ').capitalize()}\n")
        parts.append("| claim | value | goal | | what it is |\n| --- | --- | --- | --- | --- |")
        for claim in claims:
            sign = "≤" if claim["better"] == "lower" else "≥"
            goal = "" if claim["goal"] is None else f"{sign} {claim['goal']:g}"
            parts.append(
                f"| `{claim['id']}` | {claim['value']:.4g} {claim['unit']} | {goal} "
                f"| {_verdict(claim)} | {claim['note']} |"
            )
        first = claims[0]
        parts.append(f"\n`{first['command']}` — {first['machine']}, {first['date']}\n")
        parts += [f"![{picture}]({picture})\n" for picture in pictures if picture.startswith(topic)]
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    topics = {path.stem: json.loads(path.read_text()) for path in sorted(DOCS.glob("*.json"))}
    pictures = sorted(path.name for path in DOCS.glob("*.png"))
    (DOCS / "README.md").write_text(render(topics, pictures))


if __name__ == "__main__":
    main()
