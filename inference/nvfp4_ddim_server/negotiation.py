"""Which representation the caller wants, and whether the body is what it must be.

Source: RFC 9110, sections 8.3 (Content-Type) and 12.5.1 (Accept).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

from nvfp4_ddim_contracts import GenerationRequest, ImageFormat

from .errors import MediaTypeError, NotAcceptableError

__all__ = ["check_content_type", "choose_file", "choose_representation"]

JSON = "application/json"
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_IMAGE_TYPES = {f"image/{image_format}": image_format for image_format in ImageFormat}


@dataclass(frozen=True)
class _Range:
    """One media range of an Accept header."""

    media_type: str
    quality: float

    @property
    def specificity(self) -> int:
        return 2 - self.media_type.count("*")

    def covers(self, offer: str) -> bool:
        kind, _, subtype = self.media_type.partition("/")
        offered_kind, _, offered_subtype = offer.partition("/")
        return kind in ("*", offered_kind) and subtype in ("*", offered_subtype)


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is declared to be anything but JSON; undeclared means JSON.

    Raises:
        MediaTypeError: It is declared to be something else.
    """
    if content_type is None:
        return
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != JSON:
        raise MediaTypeError(f"Send the request as {JSON}, not as {content_type!r}.")


def choose_representation(
    accept: str | None, request: GenerationRequest
) -> tuple[bool, ImageFormat]:
    """Choose between JSON and a bare picture.

    Args:
        accept: The Accept header; absent means anything.
        request: Several pictures fit into JSON only; `image/*` means the request's own format.

    Returns:
        Whether to answer with a bare picture, and the encoding of the pictures.

    Raises:
        NotAcceptableError: Nothing acceptable can be had.
    """
    ranges = _parse(accept or "*/*")
    preferred = f"image/{request.image_format}"
    # Order settles ties: JSON, then the format that the body asks for, then the others.
    offers = [JSON]
    if request.num_images == 1:
        offers += [preferred, *(name for name in _IMAGE_TYPES if name != preferred)]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        several = "; several pictures come as application/json only" if len(offers) == 1 else ""
        raise NotAcceptableError(f"This can be had as {', '.join(offers)}{several}.")
    if best == JSON:
        return False, request.image_format
    return True, _IMAGE_TYPES[best]


def choose_file(accept: str | None, media_types: Sequence[str]) -> int | None:
    """Choose between JSON and one of a task's files.

    Args:
        accept: The Accept header; absent means anything.
        media_types: Of the files. Of several of one type none can be asked for by it.

    Returns:
        The file's index, or None for JSON.

    Raises:
        NotAcceptableError: Nothing acceptable can be had.
    """
    ranges = _parse(accept or "*/*")
    single = [each for each in media_types if media_types.count(each) == 1]
    offers = [JSON, *single]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(f"This can be had as {', '.join(offers)}.")
    return None if best == JSON else media_types.index(best)


def _quality(offer: str, ranges: list[_Range]) -> float:
    covering = [one for one in ranges if one.covers(offer)]
    return max(covering, key=lambda one: one.specificity).quality if covering else 0.0


def _parse(accept: str) -> list[_Range]:
    ranges = []
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [_WEIGHT.fullmatch(text) for text in parameters if text.startswith("q=")]
        # A range that breaks the grammar is as good as absent.
        if "/" in media_type and None not in weights:
            quality = min((float(weight[1]) for weight in weights if weight), default=1.0)
            ranges.append(_Range(media_type, quality))
    return ranges
