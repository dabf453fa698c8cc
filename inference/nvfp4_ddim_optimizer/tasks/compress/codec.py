"""The picture codec: pictures to files of a given size, and back."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nvfp4_ddim_contracts.tasks.compress import Content, Quality
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import BitstreamError, InvalidInputError
from nvfp4_ddim_optimizer.networks.codec_transforms import BLOCK
from nvfp4_ddim_optimizer.task_model import TaskModel

from .container import (
    MAX_PIXELS,
    MAX_SIDE,
    Mode,
    PictureFile,
    pack,
    symbol_checksum,
    unpack,
    unpack_partial,
)
from .entropy_model import MAX_STEP_INDEX
from .latent_coder import CodedLatent, LatentCoder
from .page import COLOURS, EIGHTHS, Page, decode_page, encode_page, estimate_bits, make_page
from .rate_control import Budget, search_step
from .refinement import Refinement
from .transforms import Transforms, from_pixels, model_id, to_pixels

__all__ = ["EncodedPicture", "PictureCodec", "Stage"]

_NO_MODEL = bytes(4)
_LATENT_HEADER, _PAGE_HEADER = 30, 26
"""About how many bytes the header takes."""


Stage = Literal["preview", "base", "refined"]


@dataclass(frozen=True)
class EncodedPicture:
    """A compressed picture.

    Attributes:
        data: The file.
        content: PHOTO or PAGE.
        psnr: Of what the decoder shows without refinement, in dB; infinite where it is exact.
    """

    data: bytes
    content: Content
    psnr: float


class PictureCodec:
    """Compresses and decompresses RGB pictures with a model's components."""

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components.

        Raises:
            ModelNotSupportedError: One is missing or of another class.
        """
        self._tables = {
            name: tensor.cpu().numpy()
            for name, tensor in model.component("tables", "Tables").state_dict().items()
        }
        self._transforms = Transforms(
            model.component("analysis", "CodecAnalysis"),
            model.component("synthesis", "CodecSynthesis"),
            model.component("hyper_analysis", "CodecHyperAnalysis"),
        )
        self._coder = LatentCoder(self._tables)
        self._refinement = Refinement(model)
        self.model_id = model_id(self._tables)

    def compress(
        self,
        image: Image.Image,
        target_bitrate: float,
        *,
        quality: Quality = Quality.FIDELITY,
        content: Content = Content.AUTO,
        seed: int = 0,
    ) -> EncodedPicture:
        """Compress a picture to a given size.

        Args:
            image: Any size; converted to RGB.
            target_bitrate: Bits a pixel. The file has this size to 5 %, or less where the codec's
                highest quality takes less.
            quality: What matters.
            content: How to code it.
            seed: Of the refinement's noise; stored in the file.

        Raises:
            InvalidInputError: The picture is too large, or can't be made so small.
        """
        picture = image.convert("RGB")
        _check_size(*picture.size)
        if not (math.isfinite(target_bitrate) and target_bitrate > 0):
            raise InvalidInputError(f"the target bit rate must be positive, not {target_bitrate}")
        budget = Budget.of(target_bitrate, *picture.size, strict=quality is Quality.STRICT)
        candidates: list[EncodedPicture] = []
        refused: InvalidInputError | None = None
        if content is not Content.PAGE:
            try:
                candidates.append(self._as_photo(picture, budget, quality, seed))
            except InvalidInputError as error:
                refused = error
        if content is not Content.PHOTO:
            best = max((candidate.psnr for candidate in candidates), default=-math.inf)
            candidates += _page_candidates(picture, budget, best)
        if not candidates:
            raise refused or InvalidInputError(
                f"as a page the picture takes more than the {budget.limit} bytes that the target "
                "bit rate allows: ask for a higher bit rate, or for photo"
            )
        return max(candidates, key=lambda candidate: candidate.psnr)

    def _as_photo(
        self, image: Image.Image, budget: Budget, quality: Quality, seed: int
    ) -> EncodedPicture:
        picture = from_pixels(image)
        flags = int(quality is Quality.PERCEPTUAL)
        latents: dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

        def analyse(index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            if index not in latents:
                latents[index] = self._transforms.analyse(picture, index)
            return latents[index]

        def estimate(index: int) -> float:
            return self._coder.bits(*analyse(index), index) / 8 + _LATENT_HEADER

        def encode(index: int) -> tuple[int, tuple[bytes, CodedLatent, int]]:
            coded = self._coder.encode(*analyse(index), index)
            settings = (index, flags, seed)
            checksum = symbol_checksum(coded.symbols.astype("<i2").tobytes())
            file = PictureFile(
                Mode.LATENT, self.model_id, *image.size, settings, coded.segments, checksum
            )
            data = pack(file)
            return len(data), (data, coded, index)

        data, coded, index = search_step(budget, MAX_STEP_INDEX, estimate, encode)
        shown = self._transforms.synthesise(coded.latent, index, image.height, image.width)
        return EncodedPicture(data, Content.PHOTO, _psnr(to_pixels(shown), np.asarray(image)))

    def decompress(
        self,
        data: bytes,
        *,
        quality: Quality | None = None,
        num_inference_steps: int = 10,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Image.Image:
        """Decompress a file.

        Args:
            data: The file.
            quality: Whether to refine; as the file says if None.
            num_inference_steps: DDIM steps of the refinement.
            on_step: Called after each step.
            should_cancel: Asked before each step.

        Raises:
            BitstreamError: It is another kind of file, truncated, damaged, or of another model.
            GenerationCancelled: `should_cancel` said so.
        """
        file = unpack(data)
        if file.mode is Mode.PAGE:
            return _open_page(file).image()
        picture = self._base(file)
        if self.is_refined(file, quality):
            picture = self._refinement.refine(
                picture,
                file.settings[0],
                file.settings[2],
                num_inference_steps,
                on_step=on_step,
                should_cancel=should_cancel,
            )
        return Image.fromarray(to_pixels(picture))

    def decompress_progressively(
        self, data: bytes, *, quality: Quality | None = None, num_inference_steps: int = 10
    ) -> Iterator[tuple[Stage, Image.Image]]:
        """The best pictures that a file gives, each as soon as it is there.

        Args:
            data: The file, or its beginning where the rest has not arrived: then, once the first
                of its two segments is there, a preview of low frequencies comes.
            quality: Whether to refine; as the file says if None.
            num_inference_steps: DDIM steps of the refinement.

        Yields:
            "preview", or "base" and then, where asked for, "refined".

        Raises:
            BitstreamError: As `decompress`.
        """
        partial = unpack_partial(data)
        if partial is None or partial.segments[0] is None:
            return
        if None in partial.segments:
            yield "preview", Image.fromarray(to_pixels(self._base(partial)))
            return
        yield "base", self.decompress(data, quality=Quality.FIDELITY)
        if self.is_refined(partial, quality):
            steps = num_inference_steps
            refined = self.decompress(data, quality=Quality.PERCEPTUAL, num_inference_steps=steps)
            yield "refined", refined

    @staticmethod
    def is_refined(file: PictureFile, quality: Quality | None) -> bool:
        """Whether a file is shown with detail added; pages never are."""
        if file.mode is Mode.PAGE:
            return False
        return bool(file.settings[1]) if quality is None else quality is Quality.PERCEPTUAL

    def _base(self, file: PictureFile) -> Tensor:
        """[3, H, W] float32 in [-0.5, 0.5]."""
        if file.model_id != self.model_id:
            raise BitstreamError(
                f"the picture was compressed with model {file.model_id.hex()}, and this is "
                f"{self.model_id.hex()}: decompress it with the model that made it"
            )
        index = file.settings[0]
        first, second = file.segments
        if index > MAX_STEP_INDEX or first is None:
            raise BitstreamError("the compressed picture's header is damaged")
        height, width = -(-file.height // BLOCK), -(-file.width // BLOCK)
        latent, symbols = self._coder.decode((first, second), height, width, index)
        checksum = symbol_checksum(symbols.astype("<i2").tobytes())
        if second is not None and checksum != file.checksum:
            raise BitstreamError(
                "the decoded symbols are not those that were coded: the file is damaged, or this "
                "machine's arithmetic differs, which should be reported"
            )
        return self._transforms.synthesise(latent, index, file.height, file.width)


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InvalidInputError(
            f"a picture of {width}x{height} pixels is too large: up to {MAX_SIDE} pixels a side "
            f"and {MAX_PIXELS // 2**20} Mi pixels can be compressed"
        )


def _psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    error = float(np.square(first.astype(np.float64) - second).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _page_candidates(
    image: Image.Image, budget: Budget, psnr_to_beat: float
) -> list[EncodedPicture]:
    """The page with the highest resolution and then the most colours that fits, if any does.

    Coding a page takes a second, so one that is further from the picture than `psnr_to_beat` in
    dB is not coded at all.
    """
    for eighths in EIGHTHS:
        fitting: list[Page] = []
        for colours in COLOURS:
            page = make_page(image, colours, eighths)
            if estimate_bits(page) / 8 + _PAGE_HEADER > 1.25 * budget.limit:
                break
            fitting.append(page)
        for page in reversed(fitting):
            psnr = _psnr(np.asarray(page.image()), np.asarray(image))
            if psnr <= psnr_to_beat:
                return []
            data = _pack_page(page)
            if len(data) <= budget.limit:
                return [EncodedPicture(data, Content.PAGE, psnr)]
    return []


def _pack_page(page: Page) -> bytes:
    settings = (len(page.palette), page.eighths)
    checksum = symbol_checksum(page.indices.tobytes())
    segments = (encode_page(page),)
    return pack(
        PictureFile(Mode.PAGE, _NO_MODEL, page.width, page.height, settings, segments, checksum)
    )


def _open_page(file: PictureFile) -> Page:
    if file.segments[0] is None:
        raise BitstreamError("the compressed page is truncated")
    page = decode_page(file.segments[0], file.settings, file.width, file.height)
    if symbol_checksum(page.indices.tobytes()) != file.checksum:
        raise BitstreamError("the compressed page is damaged: its symbols do not match")
    return page
