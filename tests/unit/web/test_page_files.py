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
