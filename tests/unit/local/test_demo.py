from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from local.demo import picture_path
from nvfp4_ddim_contracts import GenerationRequest


def test_the_picture_is_named_after_the_prompt() -> None:
    request = GenerationRequest(prompt="A slice of Watermelon!")
    assert picture_path(request) == Path("out/a-slice-of-watermelon.png")


@given(st.text(min_size=1, max_size=300))
def test_no_prompt_leaves_the_directory(prompt: str) -> None:
    try:
        path = picture_path(GenerationRequest(prompt=prompt))
    except ValidationError:
        return
    assert path.parent == Path("out")
    assert path.name.endswith(".png")
    assert len(path.name) > len(".png")
    assert "/" not in path.name


@pytest.mark.parametrize("prompt", ["../../etc/passwd", "...", "/"])
def test_paths_in_prompts_are_only_words(prompt: str) -> None:
    assert picture_path(GenerationRequest(prompt=prompt)).parent == Path("out")
