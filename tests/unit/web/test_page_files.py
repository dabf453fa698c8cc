"""The console's files: small, self-contained, and in step with the contracts."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nvfp4_ddim_contracts import JobState, Preset
from nvfp4_ddim_contracts.generation import (
    MAX_IMAGES,
    MAX_PIXELS_PER_SIDE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_STEPS,
)

WEB = Path(__file__).parents[3] / "web"
FILES = sorted(path for path in WEB.rglob("*") if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js"]
MAX_BYTES = 100_000
SVG_NAMESPACE = "http://www.w3.org/2000/svg"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


def evaluate(expression: str) -> object:
    """The value of an expression over the exports of settings.js and text.js, through Node."""
    script = (
        f"import * as settings from {json.dumps((WEB / 'settings.js').as_uri())};"
        f"import * as text from {json.dumps((WEB / 'text.js').as_uri())};"
        f"console.log(JSON.stringify({expression}));"
    )
    command = ["node", "--no-warnings", "--experimental-default-type=module", "-e", script]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < MAX_BYTES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_asks_another_origin(path: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text())
    assert set(addresses) <= {SVG_NAMESPACE}


def test_the_document_fits_a_strict_content_security_policy() -> None:
    html = (WEB / "index.html").read_text()
    assert not re.search(r"\s(style|on\w+)=", html)
    assert "<style" not in html
    scripts = re.findall(r"<script\b[^>]*>[^<]*</script>", html)
    assert scripts == ['<script type="module" src="app.js"></script>']
    forbidden = r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b"
    assert not [path.name for path in MODULES if re.search(forbidden, path.read_text())]


def test_every_module_is_preloaded_so_that_a_slow_line_waits_once() -> None:
    html = (WEB / "index.html").read_text()
    preloaded = set(re.findall(r'rel="modulepreload" href="([^"]+)"', html))
    assert preloaded == {path.name for path in MODULES} - {"app.js"}


@needs_node
def test_the_settings_are_the_contracts() -> None:
    assert evaluate("settings.PRESET_STEPS") == {preset: preset.steps for preset in Preset}
    assert evaluate("settings.MAX_PROMPT_CHARACTERS") == MAX_PROMPT_CHARACTERS
    assert evaluate("settings.MAX_SEED") == MAX_SEED
    terminal = [state for state in JobState if state.is_terminal]
    assert sorted(evaluate("settings.TERMINAL_STATES")) == sorted(terminal)  # type: ignore[call-overload]
    assert evaluate("Object.keys(text.TEXT.presets)") == list(Preset)


@pytest.mark.parametrize(
    ("name", "maximum"),
    [
        ("num_inference_steps", MAX_STEPS),
        ("seed", MAX_SEED),
        ("width", MAX_PIXELS_PER_SIDE),
        ("height", MAX_PIXELS_PER_SIDE),
        ("num_images", MAX_IMAGES),
    ],
)
def test_a_controls_limit_is_the_contracts(name: str, maximum: int) -> None:
    html = (WEB / "index.html").read_text()
    control = re.search(rf'<input[^>]*name="{name}"[^>]*>', html)
    assert control is not None
    assert f'max="{maximum}"' in control[0]


@needs_node
def test_every_word_asked_for_exists() -> None:
    html = (WEB / "index.html").read_text()
    keys = re.findall(r'data-(?:text|hint|label|tip)="([^"]+)"', html)
    assert keys
    lookup = f"{json.dumps(keys)}.map((key) => key.split('.').reduce((o, k) => o?.[k], text.TEXT))"
    assert all(isinstance(words, str) and words for words in evaluate(lookup))  # type: ignore[attr-defined]


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb. Source: WCAG 2.2, "relative luminance"."""
    digits = colour.lstrip("#")
    pairs = [digit * 2 for digit in digits] if len(digits) == 3 else re.findall("..", digits)
    channels = [int(pair, 16) / 255 for pair in pairs]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: str) -> None:
    css = (WEB / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#\w+);", dark))
    pairs = [
        *((word, ground) for word in ("ink", "quiet") for ground in ("paper", "card", "sunken")),
        *((word, ground) for word in ("accent", "bad") for ground in ("paper", "card")),
        ("accent", "sunken"),
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("ink", "tint"),
        ("ink", "bad-tint"),
        ("bad", "bad-tint"),
        ("ink", "warn-tint"),
    ]
    faint = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in faint.items() if value < 4.5} == {}
