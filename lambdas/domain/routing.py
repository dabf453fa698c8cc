"""Choosing the lane of a job: a pure function of what it takes, how urgent it is, what there is."""

from dataclasses import dataclass

from nvfp4_ddim_contracts import AnyRequest, GenerationRequest
from nvfp4_ddim_contracts.lanes import Lane, LaneOffer, LaneOffers, LaneWish
from nvfp4_ddim_contracts.models import LiveModel

from .errors import LaneUnavailableError

__all__ = ["Demand", "choose_lane", "demand_of"]

# A caller who waits is served by what starts soonest; one who doesn't, by what never turns down.
_SOONEST_FIRST = (Lane.REALTIME, Lane.LAMBDA, Lane.SERVERLESS, Lane.ASYNC)
_LARGEST_FIRST = (Lane.ASYNC, Lane.LAMBDA, Lane.SERVERLESS, Lane.REALTIME)


@dataclass(frozen=True)
class Demand:
    """What a job takes of the lane that runs it; None where the request does not tell.

    Attributes:
        model_bytes: Size of the model's artifact.
        pixel_steps: Width x height x steps x pictures.
        pixels: Width x height x pictures.
        waiting: Whether the caller waits for the answer.
    """

    model_bytes: int | None
    pixel_steps: int | None
    pixels: int | None
    waiting: bool


def demand_of(request: AnyRequest, model: LiveModel | None, *, waiting: bool) -> Demand:
    """What a request takes with a model; that of a task depends on its files, of any size."""
    if model is None or not isinstance(request, GenerationRequest):
        return Demand(model.artifact_bytes if model else None, None, None, waiting)
    pixels = (
        (request.width or model.native_width)
        * (request.height or model.native_height)
        * request.num_images
    )
    steps = request.num_inference_steps or request.preset.steps
    return Demand(model.artifact_bytes, pixels * steps, pixels, waiting)


def choose_lane(wish: LaneWish, demand: Demand, offers: LaneOffers) -> Lane:
    """Choose the lane of a job.

    Args:
        wish: What the caller asks for.
        demand: What the job takes.
        offers: What the stage has.

    Returns:
        The lane asked for; with `auto`, the first that can take the job.

    Raises:
        LaneUnavailableError: The stage does not have the lane asked for, or that one can't take
            the job; with `auto`, no lane can.
    """
    offered = {offer.lane: offer for offer in offers.lanes}
    if wish is not LaneWish.AUTO:
        offer = offered.get(Lane(wish))
        if offer is None:
            names = ", ".join(["auto", *offered])
            raise LaneUnavailableError(f"There is no lane '{wish}' here. Choose one of: {names}.")
        if obstacle := _obstacle(offer, demand) or _answer_obstacle(offer, demand):
            raise LaneUnavailableError(f"The lane '{wish}' can't take this job: {obstacle}.")
        return offer.lane
    for lane in _SOONEST_FIRST if demand.waiting else _LARGEST_FIRST:
        offer = offered.get(lane)
        if offer is None or not offer.automatic or _obstacle(offer, demand) is not None:
            continue
        if demand.pixels is not None or _is_boundless(offer):
            return lane
    raise LaneUnavailableError("No lane can take this job: it is too large for every one of them.")


def _is_boundless(offer: LaneOffer) -> bool:
    """Whether a lane takes work of any size: the one for what can't be told beforehand."""
    return offer.max_pixel_steps is None and offer.max_pixels is None


def _answer_obstacle(offer: LaneOffer, demand: Demand) -> str | None:
    if demand.pixels is None and offer.max_pixels is not None:
        return "the task's files may be larger than an answer that fits through it"
    return None


def _obstacle(offer: LaneOffer, demand: Demand) -> str | None:
    for held, limit, what in (
        (demand.model_bytes, offer.max_model_bytes, "the model has {held} bytes, at most {limit}"),
        (
            demand.pixel_steps,
            offer.max_pixel_steps,
            "width x height x steps x pictures is {held}, at most {limit}",
        ),
        (demand.pixels, offer.max_pixels, "its pictures have {held} pixels, at most {limit}"),
    ):
        if limit is not None and held is not None and held > limit:
            return what.format(held=held, limit=limit) + " fit"
    return None
