"""The contact sheet: one page with relative links, so that it works wherever the folder lies."""

from collections.abc import Iterable
from html import escape
from pathlib import PurePosixPath

from nvfp4_ddim_contracts.batches import BatchEntry, BatchSummary

__all__ = ["render_page"]

_SHOWN = frozenset({"image/png", "image/jpeg", "image/webp"})
_STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem }
figure { margin: 0 } img { width: 100%; height: auto; image-rendering: auto }
figcaption { overflow-wrap: anywhere } .error { color: #a00 }
"""


def render_page(summary: BatchSummary, entries: Iterable[BatchEntry]) -> bytes:
    """The page of a batch, UTF-8."""
    title = escape(summary.batch)
    states = ", ".join(f"{count} {state}" for state, count in sorted(summary.states.items()))
    figures = "\n".join(figure for entry in entries for figure in _figures(entry))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{title}</h1><p>{summary.rows} rows: {escape(states)}; {summary.reused} from earlier "
        f"runs. {summary.seconds:.0f} s.</p>\n<main>\n{figures}\n</main></body></html>\n"
    ).encode()


def _task_figure(name: str, entry: BatchEntry) -> str:
    """A task's pictures, and links to all of its files."""
    pictures, links = [], []
    for file in entry.files:
        key = escape(file.key, quote=True)
        label = escape(PurePosixPath(file.key).name)
        if file.media_type in _SHOWN:
            pictures.append(
                f'<a href="{key}"><img src="{key}" alt="{name}: {label}" loading="lazy"></a>'
            )
        links.append(f'<a href="{key}">{label}</a>')
    shown = "".join(pictures)
    return f"<figure>{shown}<figcaption>{name}: {', '.join(links)}</figcaption></figure>"


def _figures(entry: BatchEntry) -> Iterable[str]:
    name = escape(entry.id or f"line {entry.line}")
    if entry.files:
        yield _task_figure(name, entry)
        return
    if not entry.images:
        error = escape(entry.error or str(entry.state))
        yield f'<figure class="error"><figcaption>{name}: {error}</figcaption></figure>'
    for image in entry.images:
        key = escape(image.key, quote=True)
        yield (
            f'<figure><a href="{key}"><img src="{key}" alt="{name}" loading="lazy"></a>'
            f"<figcaption>{name}, seed {image.seed}</figcaption></figure>"
        )
