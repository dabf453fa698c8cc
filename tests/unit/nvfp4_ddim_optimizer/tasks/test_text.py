import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from nvfp4_ddim_optimizer.tasks import PromptTruncatedWarning, TextConditioner


@pytest.fixture
def conditioner(tiny_pipeline: Callable[..., Any]) -> TextConditioner:
    pipeline = tiny_pipeline("sd1")
    return TextConditioner(pipeline.tokenizer, pipeline.text_encoder, torch.device("cpu"))


@torch.inference_mode()
def test_embeds_as_diffusers_does(
    tiny_pipeline: Callable[..., Any], conditioner: TextConditioner
) -> None:
    expected, _ = tiny_pipeline("sd1").encode_prompt(
        ["cat", "a dog"], torch.device("cpu"), 1, do_classifier_free_guidance=False
    )
    torch.testing.assert_close(conditioner.encode(["cat", "a dog"]), expected)


@torch.inference_mode()
def test_remembers_prompts_but_not_forever(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    calls: list[int] = []
    pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    conditioner = TextConditioner(pipeline.tokenizer, pipeline.text_encoder, torch.device("cpu"))
    first = conditioner.encode(["cat", "cat", "dog"])
    assert len(calls) == 2
    torch.testing.assert_close(conditioner.encode(["cat", "cat", "dog"]), first, rtol=0, atol=0)
    assert len(calls) == 2
    for number in range(64):
        conditioner.encode([str(number)])
    conditioner.encode(["cat"])
    assert len(calls) == 67


@torch.inference_mode()
def test_says_what_a_long_prompt_loses(conditioner: TextConditioner) -> None:
    """The tiny tokenizer has a token for each letter; 16 less the two marks count."""
    with pytest.warns(PromptTruncatedWarning, match="first 16 tokens") as caught:
        long = conditioner.encode(["abcdefghijklmnopq"])
    warning = caught[0].message
    assert isinstance(warning, PromptTruncatedWarning)
    assert warning.lost == "opq"
    assert warning.limit == 16
    assert long.shape == (1, 16, 32)


@torch.inference_mode()
def test_says_it_again_for_a_remembered_prompt(conditioner: TextConditioner) -> None:
    for _ in range(2):
        with pytest.warns(PromptTruncatedWarning):
            conditioner.encode(["x" * 30])


@torch.inference_mode()
def test_a_prompt_that_fits_exactly_loses_nothing(conditioner: TextConditioner) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conditioner.encode(["abcdefghijklmn", ""])


@torch.inference_mode()
def test_threads_share_what_is_remembered(tiny_pipeline: Callable[..., Any]) -> None:
    pipeline = tiny_pipeline("sd1")
    conditioner = TextConditioner(pipeline.tokenizer, pipeline.text_encoder, torch.device("cpu"))
    prompts = ["cat", "dog", "", "cow"] * 8
    expected = conditioner.encode(prompts)

    def encode(prompt: str) -> torch.Tensor:
        with torch.inference_mode():
            return conditioner.encode([prompt])

    with ThreadPoolExecutor(8) as pool:
        assert torch.equal(torch.cat(list(pool.map(encode, prompts))), expected)
