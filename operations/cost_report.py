"""A cost estimate as text, with everything that it assumes."""

from collections.abc import Iterator
from dataclasses import asdict

from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.pricing import PRICE_REGION, PRICES_AS_OF

from .costs import Assumptions, StageCost
from .load import Load

__all__ = ["as_markdown", "as_text"]

_Row = tuple[str, str, str]
_NAMES = {
    Lane.ASYNC: "asynchronous",
    Lane.LAMBDA: "function",
    Lane.REALTIME: "real-time",
    Lane.SERVERLESS: "serverless",
}


def as_text(cost: StageCost, load: Load, assumptions: Assumptions) -> str:
    """For a terminal."""
    rows = [(f"Stage {cost.stage}", "a picture", "a month"), *_rows(cost)]
    width = max(len(name) for name, _, _ in rows) + 2
    lines = [f"{name:<{width}}{each:>14}{month:>14}" for name, each, month in rows]
    return "\n".join([*lines, "", *_assumed(load, assumptions)])


def as_markdown(cost: StageCost, load: Load, assumptions: Assumptions) -> str:
    """For docs/guides/costs.md."""
    head = [f"| stage `{cost.stage}` | a picture | a month |", "| --- | ---: | ---: |"]
    rows = [f"| {name} | {each} | {month} |" for name, each, month in _rows(cost)]
    return "\n".join([*head, *rows, "", *(f"- {line}" for line in _assumed(load, assumptions))])


def _rows(cost: StageCost) -> Iterator[_Row]:
    for lane in cost.lanes:
        name = f"{_NAMES[lane.lane]} lane, {lane.machine}"
        work = lane.work_usd_per_month
        yield f"{name}: work", _fine(lane.machine_usd_per_image), _usd(work)
        yield f"{name}: idle", "", _usd(lane.idle_usd_per_month)
    machines = sum(lane.usd_per_month for lane in cost.lanes)
    services = cost.usd_per_month - machines - cost.standing_usd_per_month
    each = _fine(cost.services_usd_per_image)
    yield "API, functions, table, storage, delivery", each, _usd(services)
    yield "Keys, secrets, alarms, metrics", "", _usd(cost.standing_usd_per_month)
    average = "" if cost.usd_per_image is None else _fine(cost.usd_per_image)
    yield "Everything", average, _usd(cost.usd_per_month)
    each = _usd(cost.quantization_usd)
    yield f"Beside it, a quantised model, {cost.quantization_instance_type}", f"{each} a model", ""


def _assumed(load: Load, assumptions: Assumptions) -> Iterator[str]:
    yield f"List prices of {PRICE_REGION}, {PRICES_AS_OF}, US dollars, without free tiers and tax."
    facts = asdict(load)
    shares = facts.pop("shares")
    for source in (facts, asdict(assumptions)):
        for name, value in source.items():
            yield f"Assumed {name.replace('_', ' ')}: {value:,}"
    for lane, share in shares.items():
        yield f"Assumed share of the {_NAMES[lane]} lane: {share} %"


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"


def _fine(amount: float) -> str:
    return f"${amount:.6f}"
