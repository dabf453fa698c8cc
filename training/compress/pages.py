"""Pages, slides and diagrams drawn from a seed: what people send besides photographs.

The text is random English words, so that a reader (or an OCR program) can be scored on it.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Page", "draw_page"]

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what its about than into them can only other time new some could these "
    "two may first then do any like my now over such our man me even most made after also did many "
    "off before must well back through years where much your way down should because long each "
    "just state those people too mister how little good world make very year still see own work "
    "men day get here old life both between being under three never know same last another while "
    "us might great go come since against right came take used himself few house american use "
    "place during high without again home around small however found mrs part school thought went "
    "say general once upon water every war left always city light number field river plant doctor "
    "village teacher answer question market season measure weight medicine harvest letter"
)
WORD_LIST = WORDS.split()
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono")


@dataclass(frozen=True)
class Page:
    """A drawn page and the text on it.

    Attributes:
        image: RGB.
        text: All words in reading order.
        kind: "text", "slide" or "diagram".
    """

    image: Image.Image
    text: str
    kind: str


def _font(rng: random.Random, size: int, face: str | None = None) -> ImageFont.FreeTypeFont:
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / f"{face or rng.choice(FACES)}.ttf"), size)


def _sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORD_LIST) for _ in range(words)).capitalize()


def _colours(rng: random.Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Paper and ink."""
    if rng.random() < 0.6:
        return (255, 255, 255), (0, 0, 0)
    paper = rng.randint(225, 255), rng.randint(225, 255), rng.randint(215, 255)
    ink = rng.randint(0, 90), rng.randint(0, 90), rng.randint(0, 110)
    return (ink, paper) if rng.random() < 0.15 else (paper, ink)


def _lines(
    pen: ImageDraw.ImageDraw,
    rng: random.Random,
    font: ImageFont.FreeTypeFont,
    box: tuple[int, int, int, int],
    ink: tuple[int, int, int],
) -> list[str]:
    """Fill a box with lines of words; the words."""
    left, top, right, bottom = box
    words: list[str] = []
    step = round(font.size * rng.uniform(1.25, 1.6))
    while top + step <= bottom:
        line = _sentence(rng, 2)
        while pen.textlength(f"{line} {(word := rng.choice(WORD_LIST))}", font=font) < right - left:
            line = f"{line} {word}"
        pen.text((left, top), line, fill=ink, font=font)
        words += line.split()
        top += step * (2 if rng.random() < 0.08 else 1)
    return words


def _text_page(rng: random.Random, size: tuple[int, int], letter: int) -> Page:
    paper, ink = _colours(rng)
    image = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(image)
    margin = size[0] // 16
    box = (margin, margin, size[0] - margin, size[1] - margin)
    words = _lines(pen, rng, _font(rng, letter), box, ink)
    return Page(image, " ".join(words), "text")


def _slide(rng: random.Random, size: tuple[int, int], letter: int) -> Page:
    paper, ink = _colours(rng)
    image = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(image)
    width, height = size
    accent = rng.randint(0, 200), rng.randint(0, 200), rng.randint(0, 220)
    title = _sentence(rng, 3)
    pen.rectangle((0, 0, width, 2 * letter + height // 12), fill=accent)
    pen.text((width // 20, height // 30), title, "white", _font(rng, 2 * letter, "DejaVuSans-Bold"))
    words, top = title.split(), 3 * letter + height // 8
    font = _font(rng, round(1.3 * letter))
    while top + 3 * letter < height:
        line = _sentence(rng, rng.randint(3, 5))
        dot = top + letter // 2
        pen.ellipse((width // 20, dot, width // 20 + 6, dot + 6), accent)
        pen.text((width // 20 + 16, top), line, ink, font)
        words += line.split()
        top += round(2.4 * letter)
    return Page(image, " ".join(words), "slide")


def _diagram(rng: random.Random, size: tuple[int, int], letter: int) -> Page:
    paper, ink = _colours(rng)
    image = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(image)
    width, height = size
    font, words = _font(rng, letter, "DejaVuSans"), []
    columns, rows = 3, 3
    for row in range(rows):
        for column in range(columns):
            fill = tuple(rng.randint(150, 255) for _ in range(3))
            left, top = width * (2 * column + 1) // 7, height * (2 * row + 1) // 7
            right, bottom = left + width // 6, top + height // 9
            pen.rectangle((left, top, right, bottom), fill, ink, width=2)
            word = rng.choice(WORD_LIST)
            pen.text((left + 6, top + 4), word, (0, 0, 0), font)
            words.append(word)
            if column + 1 < columns:
                pen.line((right, top + 20, width * (2 * column + 3) // 7, top + 20), ink, 2)
    points = [(width * i // 12, height - rng.randint(4, height // 8)) for i in range(13)]
    pen.line(points, (rng.randint(0, 255), 0, rng.randint(0, 255)), 3)
    return Page(image, " ".join(words), "diagram")


def draw_page(seed: int, kind: str, size: tuple[int, int] = (768, 1024), letter: int = 18) -> Page:
    """Draw one page.

    Args:
        seed: Decides words, colours, fonts and layout.
        kind: "text", "slide" or "diagram".
        size: Width and height in pixels.
        letter: Height of the body text's font in pixels.
    """
    rng = random.Random(f"{seed} {kind}")
    draw = {"text": _text_page, "slide": _slide, "diagram": _diagram}[kind]
    return draw(rng, size, letter)
