"""How much each layer's quantisation changes a model's output."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nvfp4_ddim_optimizer.nn import KeepRule, LayerPolicy, plan_layers

from .noising import relative_error
from .subjects import Subject
from .swapping import swapped
from .weight_formats import WeightFormat

__all__ = [
    "POLICIES",
    "KindSummary",
    "LayerError",
    "PolicyError",
    "SensitivityResults",
    "kind_of",
    "layer_names",
    "measure_layer",
    "measure_policy",
    "summarise",
]

# In this order; the first whose pattern is found in "component.path" names a layer's kind.
_KINDS = (
    (r"^text_encoder\.", "text encoder"),
    (r"conv_(in|out)(\.|$)", "conv_in, conv_out"),
    (r"time_embedding", "time MLP"),
    (r"time_emb_proj", "time_emb_proj"),
    (r"attn\d", "attention"),
    (r"\.ff\.", "feed-forward"),
    (r"proj_(in|out)$", "proj_in, proj_out"),
    (r"shortcut", "shortcut conv"),
    (r"conv", "conv"),
)
_DEFAULT = LayerPolicy()
_SAVED_BITS_PER_WEIGHT = 16


def _keeping(pattern: str) -> LayerPolicy:
    rule = KeepRule("unet", pattern, "to see what it costs")
    return LayerPolicy(rules=(*_DEFAULT.rules, rule))


def _quantising(pattern: str) -> LayerPolicy:
    return LayerPolicy(rules=tuple(r for r in _DEFAULT.rules if not re.search(pattern, r.layer)))


POLICIES: Mapping[str, LayerPolicy] = {
    "default": _DEFAULT,
    "everything": LayerPolicy(rules=(), min_parameters=0),
    "with conv_in, conv_out": _quantising("conv_in"),
    "with time MLP": _quantising("time_embedding"),
    "without time_emb_proj": _keeping(r".*time_emb_proj"),
    "without attention": _keeping(r".*attn\d"),
    "without feed-forward": _keeping(r".*\.ff\."),
    "without conv": _keeping(r".*conv\d?$|blocks\.\d\.conv"),
    "without text encoder": LayerPolicy(
        rules=(*_DEFAULT.rules, KeepRule("text_encoder", "", "to see what it costs"))
    ),
}
"""The default policy, and policies that quantise one kind of layer more or less."""


@dataclass(frozen=True)
class LayerError:
    """One layer, quantised alone.

    Attributes:
        name: Component and path.
        kind: See `KindSummary`.
        parameters: Weights it has.
        bytes_saved: Against 16 bits a weight.
        weight_error: |w - w'|^2 / |w|^2.
        output_error: Relative error of the UNet's output.
        kept_because: Why the default policy leaves it; None where it is quantised.
    """

    name: str
    kind: str
    parameters: int
    bytes_saved: float
    weight_error: float
    output_error: float
    kept_because: str | None


@dataclass(frozen=True)
class KindSummary:
    """All layers of a kind. Errors of many layers add up as squares, nearly.

    Attributes:
        kind: Its name.
        layers: How many.
        bytes_saved: Against 16 bits a weight.
        output_error: Root of the sum of the squares of its layers' errors.
        kept: Whether the default policy leaves most of its weights as they are.
    """

    kind: str
    layers: int
    bytes_saved: float
    output_error: float
    kept: bool

    @property
    def squared_error_per_megabyte(self) -> float:
        """What saving one more megabyte (10^6 bytes) here costs."""
        return self.output_error**2 / (self.bytes_saved / 1e6)


@dataclass(frozen=True)
class PolicyError:
    """A whole model quantised by a policy.

    Attributes:
        policy: Its name in `POLICIES`.
        stored_bytes: Of all parameters, in a file.
        output_error: Relative error of the UNet's output.
    """

    policy: str
    stored_bytes: float
    output_error: float


@dataclass(frozen=True)
class SensitivityResults:
    """All about one model.

    Attributes:
        subject: The model's name.
        weight_format: Title of the format that layers were quantised to.
        layers: Each layer alone.
        policies: The whole model by each policy.
    """

    subject: str
    weight_format: str
    layers: list[LayerError]
    policies: list[PolicyError]


@dataclass(frozen=True)
class _Only(LayerPolicy):
    """Quantises one layer."""

    name: str = ""

    def reason_to_keep(self, component: str, name: str, layer: nn.Module) -> str | None:
        del layer
        return None if f"{component}.{name}" == self.name else "another layer is measured"


def measure_layer(
    subject: Subject, name: str, weight_format: WeightFormat, exact: Sequence[Tensor]
) -> LayerError:
    """Quantise one layer, see what the output becomes, and put it back.

    Args:
        subject: The model.
        name: Component and path.
        weight_format: What to quantise to.
        exact: `subject.probe()` in full precision.
    """
    component, _, path = name.partition(".")
    layer = subject.components[component].get_submodule(path)
    with swapped(subject, weight_format, _Only(name=name)) as cost:
        error = relative_error(exact, subject.probe())
    parameters = layer.get_parameter("weight").numel()
    saved_bits = _SAVED_BITS_PER_WEIGHT - cost.bits_per_weight
    return LayerError(
        name=name,
        kind=kind_of(name),
        parameters=parameters,
        bytes_saved=parameters * saved_bits / 8,
        weight_error=cost.relative_error,
        output_error=error,
        kept_because=_DEFAULT.reason_to_keep(component, path, layer),
    )


def measure_policy(
    subject: Subject, policy: str, weight_format: WeightFormat, exact: Sequence[Tensor]
) -> PolicyError:
    """Quantise a whole model by a policy, see what the output becomes, and put it back.

    Args:
        subject: The model.
        policy: A key of `POLICIES`.
        weight_format: What to quantise to.
        exact: `subject.probe()` in full precision.
    """
    with swapped(subject, weight_format, POLICIES[policy]) as cost:
        return PolicyError(policy, cost.stored_bytes, relative_error(exact, subject.probe()))


def kind_of(name: str) -> str:
    """The kind of a layer, from its component and path."""
    return next((kind for pattern, kind in _KINDS if re.search(pattern, name)), "other")


def layer_names(subject: Subject) -> list[str]:
    """All linear layers and convolutions, kept or not."""
    return [
        f"{component}.{planned.name}"
        for component, module in subject.components.items()
        for planned in plan_layers(module, component, _DEFAULT)
    ]


def summarise(errors: Iterable[LayerError]) -> list[KindSummary]:
    """By kind, the costliest megabyte first."""
    kinds: dict[str, list[LayerError]] = {}
    for error in errors:
        kinds.setdefault(error.kind, []).append(error)
    summaries = [
        KindSummary(
            kind=kind,
            layers=len(found),
            bytes_saved=sum(e.bytes_saved for e in found),
            output_error=math.sqrt(sum(e.output_error**2 for e in found)),
            kept=2 * sum(e.parameters for e in found if e.kept_because)
            > sum(e.parameters for e in found),
        )
        for kind, found in kinds.items()
    ]
    return sorted(summaries, key=lambda s: s.squared_error_per_megabyte, reverse=True)
