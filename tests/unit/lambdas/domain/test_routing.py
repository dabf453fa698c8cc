import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.domain.errors import LaneUnavailableError
from lambdas.domain.routing import Demand, choose_lane, demand_of
from nvfp4_ddim_contracts import GenerationRequest, Lane, LaneOffer, LaneOffers, LaneWish
from nvfp4_ddim_contracts.models import LiveModel

ASYNC = LaneOffer(lane=Lane.ASYNC)
LAMBDA = LaneOffer(lane=Lane.LAMBDA, max_model_bytes=1_000, max_pixel_steps=100, max_pixels=50)
REALTIME = LaneOffer(lane=Lane.REALTIME, max_pixel_steps=1_000)
SERVERLESS = LaneOffer(lane=Lane.SERVERLESS, max_model_bytes=500)
ALL = (ASYNC, LAMBDA, REALTIME, SERVERLESS)


def small(*, waiting: bool) -> Demand:
    return Demand(model_bytes=10, pixel_steps=10, pixels=5, waiting=waiting)


def large(*, waiting: bool) -> Demand:
    return Demand(model_bytes=10_000, pixel_steps=10_000, pixels=500, waiting=waiting)


@pytest.mark.parametrize(
    ("wish", "demand", "offers", "lane"),
    [
        ("auto", small(waiting=False), ALL, Lane.ASYNC),
        ("auto", small(waiting=True), ALL, Lane.REALTIME),
        ("auto", small(waiting=True), (ASYNC, LAMBDA, SERVERLESS), Lane.LAMBDA),
        ("auto", small(waiting=True), (ASYNC, SERVERLESS), Lane.SERVERLESS),
        ("auto", small(waiting=True), (ASYNC,), Lane.ASYNC),
        ("auto", large(waiting=True), ALL, Lane.ASYNC),
        ("lambda", small(waiting=False), ALL, Lane.LAMBDA),
        ("realtime", small(waiting=False), ALL, Lane.REALTIME),
        ("async", small(waiting=True), ALL, Lane.ASYNC),
    ],
)
def test_chooses(wish: str, demand: Demand, offers: tuple[LaneOffer, ...], lane: Lane) -> None:
    assert choose_lane(LaneWish(wish), demand, LaneOffers(lanes=offers)) is lane


@pytest.mark.parametrize(
    ("wish", "demand", "offers", "message"),
    [
        ("lambda", small(waiting=False), (ASYNC,), "no lane 'lambda' here.*auto, async"),
        ("lambda", large(waiting=False), ALL, "10000 bytes, at most 1000 fit"),
        ("realtime", large(waiting=False), ALL, "10000, at most 1000 fit"),
        (
            "lambda",
            Demand(model_bytes=1, pixel_steps=1, pixels=51, waiting=False),
            ALL,
            "51 pixels, at most 50 fit",
        ),
        ("auto", large(waiting=True), (LAMBDA,), "No lane can take this job"),
    ],
)
def test_refuses_and_names_the_field(
    wish: str, demand: Demand, offers: tuple[LaneOffer, ...], message: str
) -> None:
    with pytest.raises(LaneUnavailableError, match=message) as caught:
        choose_lane(LaneWish(wish), demand, LaneOffers(lanes=offers))
    assert [error.field for error in caught.value.errors] == ["lane"]


def test_a_lane_may_be_kept_for_those_who_ask() -> None:
    offers = LaneOffers(lanes=(ASYNC, LAMBDA.model_copy(update={"automatic": False})))
    assert choose_lane(LaneWish.AUTO, small(waiting=True), offers) is Lane.ASYNC
    assert choose_lane(LaneWish.LAMBDA, small(waiting=True), offers) is Lane.LAMBDA


def test_demand_takes_the_models_own_size_where_none_is_given() -> None:
    model = LiveModel(
        name="emoji-64",
        artifact_sha256="ab" * 32,
        created=1,
        license="CC-BY-4.0",
        artifact_bytes=7,
        native_width=64,
        native_height=32,
    )
    request = GenerationRequest(prompt="a pear", num_inference_steps=3, num_images=2)
    assert demand_of(request, model, waiting=True) == Demand(7, 64 * 32 * 2 * 3, 64 * 32 * 2, True)
    wide = request.model_copy(update={"width": 128, "num_inference_steps": None})
    assert demand_of(wide, model, waiting=False).pixel_steps == 128 * 32 * 2 * 20


LIMITS = st.one_of(st.none(), st.integers(1, 100))
OFFERS = st.lists(
    st.builds(
        LaneOffer,
        lane=st.sampled_from(Lane),
        automatic=st.booleans(),
        max_model_bytes=LIMITS,
        max_pixel_steps=LIMITS,
        max_pixels=LIMITS,
    ),
    unique_by=lambda offer: offer.lane,
).map(tuple)
DEMANDS = st.builds(
    Demand,
    model_bytes=st.integers(1, 120),
    pixel_steps=st.integers(1, 120),
    pixels=st.integers(1, 120),
    waiting=st.booleans(),
)


@given(st.sampled_from(LaneWish), DEMANDS, OFFERS)
def test_what_is_chosen_is_offered_and_fits(
    wish: LaneWish, demand: Demand, offers: tuple[LaneOffer, ...]
) -> None:
    def fits(offer: LaneOffer) -> bool:
        pairs = (
            (demand.model_bytes, offer.max_model_bytes),
            (demand.pixel_steps, offer.max_pixel_steps),
            (demand.pixels, offer.max_pixels),
        )
        return all(limit is None or held <= limit for held, limit in pairs)

    possible = {
        offer.lane
        for offer in offers
        if fits(offer) and (offer.automatic if wish is LaneWish.AUTO else offer.lane == wish)
    }
    try:
        chosen = choose_lane(wish, demand, LaneOffers(lanes=offers))
    except LaneUnavailableError:
        assert not possible
    else:
        assert chosen in possible
