"""Train the model's own small CLIP tokenizer (byte-pair encoding) on sampled captions."""

import json
import random
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTokenizer

from training.captions import Captioner, load_entries

__all__ = ["MAX_TOKENS", "tokenize", "train_tokenizer"]

app = typer.Typer(help=__doc__)

MAX_TOKENS = 32
VOCABULARY = 3072
START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_WORDS = Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")


def train_tokenizer(texts: list[str], folder: Path) -> CLIPTokenizer:
    """Fit merges on texts and save a CLIPTokenizer with `MAX_TOKENS` tokens to folder."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(CLIP_WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
    )
    tokenizer.train_from_iterator(texts, trainer)
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer.model.save(temporary)
        vocabulary: dict[str, int] = json.loads(Path(temporary, "vocab.json").read_text())
        lines = Path(temporary, "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    letters = pre_tokenizers.ByteLevel.alphabet()
    known = set(tokens)
    tokens += [end for letter in sorted(letters) if (end := f"{letter}</w>") not in known]
    ordered = {token: index for index, token in enumerate([*tokens, START, END])}
    clip = CLIPTokenizer(
        vocab=ordered,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )
    clip.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids [B, MAX_TOKENS] int64, padded and cut as StableDiffusionPipeline does it."""
    encoded = tokenizer(
        texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    ids: Tensor = encoded["input_ids"]
    return ids


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="npz of images")] = Path("training/data/emoji_64.npz"),
    output: Annotated[Path, typer.Option(help="folder")] = Path("training/runs/tokenizer"),
    per_drawing: Annotated[int, typer.Option(help="captions drawn for each drawing")] = 40,
    seed: int = 0,
) -> None:
    """Draw captions and fit the tokenizer on them."""
    captioner, rng = Captioner(load_entries(data)), random.Random(seed)
    count = len(captioner.entries)
    texts = [captioner.sample(index, rng) for index in range(count) for _ in range(per_drawing)]
    tokenizer = train_tokenizer(texts, output)
    lengths = sorted(len(tokenizer(text)["input_ids"]) for text in texts[::20])
    typer.echo(f"{len(tokenizer)} tokens; caption length median {lengths[len(lengths) // 2]}")
    typer.echo(f"99 % of captions have at most {lengths[int(0.99 * len(lengths))]} tokens")


if __name__ == "__main__":
    app()
