"""Captions as people would word them, drawn anew each time an image is shown.

Every drawing has a name, a Unicode label, short names and keywords. `Captioner.sample` turns one of
them into a phrase: with an article or "a picture of", with further keywords, with its main colour
or its category, in the plural, or from its rare keywords alone.
"""

import colorsys
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Captioner", "Entry", "load_entries", "sampling_weights"]

TEMPLATES = (
    *["{}"] * 8,
    *["a {}"] * 4,
    "the {}",
    "a picture of a {}",
    "a picture of {}",
    "an emoji of a {}",
    "emoji of {}",
    "{} emoji",
    "a drawing of a {}",
    "an icon of a {}",
    "{} icon",
    "a photo of a {}",
    "one {}",
    "a cute {}",
    "a small {}",
    "draw a {}",
)
CATEGORY_WORDS = {
    "Activities": ("activity", "game", "sport"),
    "Animals & Nature": ("animal", "nature"),
    "Flags": ("flag",),
    "Food & Drink": ("food", "food and drink"),
    "Objects": ("object", "thing"),
    "Smileys & Emotion": ("smiley", "face", "emotion"),
    "Travel & Places": ("travel", "place"),
}
EXTRA_PHRASES = {
    "watermelon": ("slice of watermelon", "watermelon slice"),
    "pizza": ("slice of pizza", "pizza slice"),
    "shortcake": ("slice of cake", "piece of cake", "cake"),
    "birthday cake": ("cake with candles", "cake"),
    "dog face": ("dog", "head of a dog"),
    "cat face": ("cat", "head of a cat"),
    "red heart": ("heart", "red heart shape", "love"),
    "automobile": ("car", "red car"),
    "sun": ("sunshine", "yellow sun"),
    "hamburger": ("burger", "cheeseburger"),
    "hot beverage": ("cup of coffee", "cup of tea", "coffee"),
    "snowman without snow": ("snowman",),
    "house": ("home", "small house"),
    "deciduous tree": ("tree", "green tree"),
    "evergreen tree": ("pine tree", "fir tree", "tree"),
    "red apple": ("apple", "red apple with a leaf"),
    "star": ("yellow star",),
    "airplane": ("plane", "aeroplane"),
    "bicycle": ("bike",),
    "mobile phone": ("phone", "smartphone"),
    "soccer ball": ("football", "soccer ball"),
    "glass of milk": ("milk", "glass of milk"),
    "french fries": ("fries", "chips"),
    "crescent moon": ("moon", "yellow moon"),
    "alien": ("alien face", "grey alien"),
}
COLOURLESS_CATEGORIES = ("Flags", "Smileys & Emotion")
COLOUR_PATTERN = re.compile(
    r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y|golden)\b"
)
RARE = 4


@dataclass(frozen=True)
class Entry:
    """What is known of one drawing.

    Attributes:
        phrases: ways to name it, the Unicode label first.
        keywords: further words, in no order.
        category: as in the data set.
        colour: the colour of most of its area, or None.
    """

    phrases: tuple[str, ...]
    keywords: tuple[str, ...]
    category: str
    colour: str | None


def _clean(text: str) -> str:
    text = text.lower().replace("’", "'").replace("“", "").replace("”", "")
    text = re.sub(r"^flag: (.*)$", r"flag of \1", text)
    return re.sub(r"\s+", " ", text.replace(":", "").replace("_", " ")).strip()


def _short_phrases(short_names: str) -> list[str]:
    """Short names that read as words: no codes such as "u7533", "tiger2" or "flag-bo"."""
    spaced = (name.replace("_", " ").replace("-", " ") for name in short_names.split())
    return [name for name in spaced if not re.search(r"\d|^flag |^[a-z]{1,2}$", name)]


def _main_colour(image: np.ndarray) -> str | None:
    """Name of the colour covering over half of the drawn area. image: [H, W, 3] uint8."""
    drawn = image.reshape(-1, 3)[image.reshape(-1, 3).min(axis=1) < 245]
    if len(drawn) < 100:
        return None
    rng = np.random.default_rng(0)
    names = Counter(_colour_name(pixel) for pixel in rng.choice(drawn, 300))
    name, count = names.most_common(1)[0]
    return name if count > 150 else None


def _colour_name(pixel: np.ndarray) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255.0))
    if value < 0.25:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.9 else "grey"
    degrees = 360 * hue
    if 10 <= degrees < 50 and value < 0.8:
        return "brown"
    bounds = (
        (12, "red"),
        (40, "orange"),
        (65, "yellow"),
        (165, "green"),
        (255, "blue"),
        (290, "purple"),
        (335, "pink"),
    )
    return next((name for bound, name in bounds if degrees < bound), "red")


def load_entries(data: Path) -> list[Entry]:
    """One Entry for every drawing of the npz that `training.emoji_data` writes."""
    with np.load(data) as arrays:
        columns = [arrays[key] for key in ("images", "captions", "category", "keywords")]
    entries = []
    for image, caption, category, keywords in zip(*columns, strict=True):
        name, short_names = str(caption).split(" | ")
        label, *words = str(keywords).split("; ")
        label = _clean(label) or _clean(name)
        phrases = [label, _clean(name), *_short_phrases(short_names)]
        phrases += EXTRA_PHRASES.get(label, ())
        kept = tuple(_clean(word) for word in words if len(word) > 1)
        colour = None if category in COLOURLESS_CATEGORIES else _main_colour(image)
        entries.append(Entry(tuple(dict.fromkeys(phrases)), kept, str(category), colour))
    return entries


def sampling_weights(entries: list[Entry]) -> np.ndarray:
    """How often to show each drawing: the best-known ones more. [N] float64, mean 1."""
    weights = np.array([1.5 if entry.phrases[0] in EXTRA_PHRASES else 1.0 for entry in entries])
    shares: np.ndarray = weights / weights.mean()
    return shares


class Captioner:
    """Draws captions for the entries of a data set."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self._frequency = Counter(word for entry in entries for word in set(entry.keywords))

    def sample(self, index: int, rng: random.Random) -> str:
        """One caption for the drawing at `index`."""
        entry, choice = self.entries[index], rng.random()
        phrase = self._phrase(entry, rng)
        if choice < 0.15 and entry.keywords:
            return self._with_keywords(entry, phrase, rng)
        if choice < 0.27:
            rare = [word for word in entry.keywords if self._frequency[word] <= RARE]
            if rare and rng.random() < 0.5:
                return rng.choice(TEMPLATES).format(rng.choice(rare))
            if len(entry.keywords) >= 2:
                count = min(len(entry.keywords), rng.choice((2, 3, 4)))
                return rng.choice((" ", ", ")).join(rng.sample(entry.keywords, count))
        if choice < 0.37 and entry.colour and not COLOUR_PATTERN.search(phrase):
            phrase = rng.choice((f"{entry.colour} {phrase}", f"{phrase}, {entry.colour}"))
        elif choice < 0.43:
            word = rng.choice(CATEGORY_WORDS.get(entry.category, ("thing",)))
            return rng.choice((f"{phrase}, {word}", f"{word}, {phrase}", f"{word} {phrase}"))
        elif choice < 0.48:
            return rng.choice(("{}", "some {}", "two {}")).format(_plural(phrase))
        return _with_article(rng.choice(TEMPLATES), phrase)

    def _phrase(self, entry: Entry, rng: random.Random) -> str:
        phrase = entry.phrases[0] if rng.random() < 0.45 else rng.choice(entry.phrases)
        if entry.category == "Flags" and phrase.startswith("flag of "):
            country = phrase.removeprefix("flag of ")
            return rng.choice((phrase, f"{country} flag", f"flag of {country}", country))
        return phrase

    def _with_keywords(self, entry: Entry, phrase: str, rng: random.Random) -> str:
        extra = rng.sample(entry.keywords, min(len(entry.keywords), rng.choice((1, 1, 2, 3))))
        parts = [phrase, *extra] if rng.random() < 0.7 else [*extra, phrase]
        return rng.choice((" ", ", ", " with ") if len(extra) == 1 else (" ", ", ")).join(parts)


def _plural(phrase: str) -> str:
    if phrase.endswith("s"):
        return phrase
    if phrase.endswith(("x", "ch", "sh")):
        return phrase + "es"
    return phrase[:-1] + "ies" if re.search(r"[^aeiou]y$", phrase) else phrase + "s"


def _with_article(template: str, phrase: str) -> str:
    text = template.format(phrase)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
