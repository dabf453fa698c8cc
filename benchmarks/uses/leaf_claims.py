"""From measured probabilities to claims and tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from benchmarks.claims import Claim
from benchmarks.uses.classification import (
    accuracy,
    auroc,
    calibration_error,
    confusion,
    macro_f1,
)
from benchmarks.uses.leaf_sets import CORRUPTIONS

__all__ = ["Measured", "claims_of", "tables_of"]

Arrays = dict[str, npt.NDArray[Any]]

_ACCURACY_GOAL, _F1_GOAL, _AUROC_GOAL, _MS_GOAL, _BYTES_GOAL = 99.0, 0.99, 0.95, 300, 10e6
_PRECISIONS = {"nvfp4": "NVFP4", "full": "full precision"}


@dataclass(frozen=True)
class Measured:
    """Everything that was measured.

    Attributes:
        labels: [N] of the held-out photos.
        classes: Names of the labels.
        duplicates: [N] bool, photos that are copies of training photos.
        fast: By precision: probabilities by corruption, and "unlike_<corruption>".
        foreign: By precision: how unlike the training's leaves foreign pictures are, by kind.
        baseline: Probabilities of the baseline by corruption.
        thorough: By precision and number of noise levels.
        thorough_labels: Labels of the photos of each number of levels.
        timing: Of the artifact, in a process of its own.
        artifact_bytes: Its size.
    """

    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    duplicates: npt.NDArray[np.bool_]
    fast: dict[str, Arrays]
    foreign: dict[str, Arrays]
    baseline: Arrays
    thorough: dict[tuple[str, int], Arrays]
    thorough_labels: dict[int, npt.NDArray[np.int64]]
    timing: dict[str, float]
    artifact_bytes: int


def _percent(probabilities: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> float:
    return 100 * accuracy(probabilities.argmax(axis=1), labels)


def claims_of(m: Measured) -> list[Claim]:
    """The claims, promises first."""
    return [*_promised(m), *_classification(m), *_foreign(m), *_thorough(m), *_cost(m)]


def _promised(m: Measured) -> list[Claim]:
    known = m.fast["nvfp4"]["unlike_clean"]
    everything = np.concatenate(list(m.foreign["nvfp4"].values()))
    answers = (
        ("", m.thorough["nvfp4", 20]["fused"], m.thorough_labels[20], "thorough, 20 noise levels"),
        ("_fast", m.fast["nvfp4"]["clean"], m.labels, "fast path"),
    )
    scores = []
    for suffix, probabilities, labels, words in answers:
        note = f"{len(labels)} held-out photos, NVFP4, {words}"
        value = _percent(probabilities, labels)
        f1 = macro_f1(probabilities.argmax(axis=1), labels, len(m.classes))
        scores += [
            Claim(f"accuracy{suffix}", value, "%", _ACCURACY_GOAL, "higher", note),
            Claim(f"macro_f1{suffix}", f1, "", _F1_GOAL, "higher", note),
        ]
    return [
        *scores,
        Claim(
            "ood_auroc",
            auroc(known, everything),
            "",
            _AUROC_GOAL,
            "higher",
            f"held-out leaves against {', '.join(m.foreign['nvfp4'])}",
        ),
        Claim(
            "ms_per_photo",
            m.timing["fast_ms"],
            "ms",
            _MS_GOAL,
            "lower",
            "fast path, 1024x1024 photo, NVFP4, median of 25",
        ),
        Claim("artifact_bytes", m.artifact_bytes, "bytes", _BYTES_GOAL, "lower", "NVFP4 artifact"),
    ]


def _classification(m: Measured) -> list[Claim]:
    claims = []
    group = "Accuracy on held-out photos, by how bad the photo is"
    for kind in CORRUPTIONS:
        bar = _percent(m.baseline[kind], m.labels)
        for name, words in _PRECISIONS.items():
            value = _percent(m.fast[name][kind], m.labels)
            claims.append(
                Claim(
                    f"accuracy_{kind}_{name}",
                    value,
                    "%",
                    bar if name == "nvfp4" and kind != "clean" else None,
                    "higher",
                    f"{words}, fast path; the goal is the baseline's",
                    group,
                )
            )
        note = "EfficientNet-Lite0 features and logistic regression"
        claims.append(Claim(f"accuracy_{kind}_baseline", bar, "%", None, "higher", note, group))
    copies = float(m.duplicates.sum())
    note = "held-out photos that are turned or mirrored training photos"
    claims.append(Claim("held_out_copies", copies, "", None, "lower", note, group))
    group = "Calibration"
    for kind in ("clean", "all"):
        kinds = list(CORRUPTIONS) if kind == "all" else [kind]
        labels = np.tile(m.labels, len(kinds))
        for name, arrays in (("nvfp4", m.fast["nvfp4"]), ("baseline", m.baseline)):
            value = calibration_error(np.concatenate([arrays[k] for k in kinds]), labels)
            note = f"expected calibration error, 15 bins, {kind} photos"
            claims.append(Claim(f"ece_{kind}_{name}", value, "", None, "lower", note, group))
    return claims


def _foreign(m: Measured) -> list[Claim]:
    claims, group = [], "Foreign pictures: area under the ROC curve, and share turned away"
    for name, words in _PRECISIONS.items():
        known = m.fast[name]["unlike_clean"]
        for kind, unlike in m.foreign[name].items():
            note = f"{words}, {len(unlike)} pictures, {np.mean(unlike > 1):.0%} turned away"
            value = auroc(known, unlike)
            claims.append(Claim(f"ood_auroc_{kind}_{name}", value, "", None, "higher", note, group))
        for kind in CORRUPTIONS:
            value = 100 * float((m.fast[name][f"unlike_{kind}"] > 1).mean())
            note = f"{words}, held-out leaves wrongly turned away, {kind}"
            claims.append(
                Claim(f"turned_away_{kind}_{name}", value, "%", None, "lower", note, group)
            )
    return claims


def _thorough(m: Measured) -> list[Claim]:
    claims, group = [], "Thorough method"
    for (name, steps), arrays in m.thorough.items():
        labels = m.thorough_labels[steps]
        words = f"{_PRECISIONS[name]}, {steps} noise levels, {len(labels)} photos"
        for key, what in (("errors", "prediction errors alone"), ("fused", "both ways together")):
            claims.append(
                Claim(
                    f"accuracy_{key}_{steps}_{name}",
                    _percent(arrays[key], labels),
                    "%",
                    None,
                    "higher",
                    f"{words}, {what}",
                    group,
                )
            )
    fused, labels = m.thorough["nvfp4", 20]["fused"], m.thorough_labels[20]
    note = "expected calibration error, 15 bins, both ways together, NVFP4, 20 noise levels"
    value = calibration_error(fused, labels)
    claims.append(Claim("ece_thorough", value, "", None, "lower", note, group))
    severity = m.thorough["nvfp4", 20]["severity"]
    for label, name in enumerate(m.classes):
        values = 100 * severity[(labels == label) & np.isfinite(severity)]
        claims.append(
            Claim(
                f"severity_median_{name.lower()}",
                float(np.median(values)),
                "%",
                None,
                "lower",
                "median share of the leaf called affected; there is no ground truth",
                group,
            )
        )
    return claims


def _cost(m: Measured) -> list[Claim]:
    group = "Time and memory of one process, NVFP4"
    claims = [
        Claim(f"ms_thorough_{n}", m.timing[f"{n}_ms"], "ms", None, "lower", f"{n} levels", group)
        for n in (10, 20, 50)
    ]
    note = "fast path, processor time of all threads"
    claims.append(Claim("cpu_ms_fast", m.timing["fast_cpu_ms"], "ms", None, "lower", note, group))
    peak = m.timing["peak_bytes"]
    claims.append(Claim("peak_bytes", peak, "bytes", None, "lower", "with torch", group))
    return claims


def tables_of(m: Measured) -> list[Table]:
    """The same for people."""
    robust = Table("photos", "NVFP4", "full precision", "baseline", title="Accuracy, %")
    for kind in CORRUPTIONS:
        sources = (m.fast["nvfp4"], m.fast["full"], m.baseline)
        robust.add_row(kind, *(f"{_percent(s[kind], m.labels):.2f}" for s in sources))
    matrix = Table("truth \\ found", *m.classes, title="Confusion, NVFP4: fast / thorough")
    both = (m.fast["nvfp4"]["clean"], m.thorough["nvfp4", 20]["fused"])
    counts = [confusion(p.argmax(axis=1), m.labels, len(m.classes)) for p in both]
    for name, *rows in zip(m.classes, *counts, strict=True):
        matrix.add_row(name, *(f"{a} / {b}" for a, b in zip(*rows, strict=True)))
    foreign = Table("pictures", "number", "AUROC", "turned away", title="Foreign pictures, NVFP4")
    for kind, unlike in m.foreign["nvfp4"].items():
        value = auroc(m.fast["nvfp4"]["unlike_clean"], unlike)
        foreign.add_row(kind, str(len(unlike)), f"{value:.4f}", f"{np.mean(unlike > 1):.1%}")
    rest = Table("claim", "value", "note", title="Everything")
    for claim in claims_of(m):
        rest.add_row(claim.id, f"{claim.value:.4g} {claim.unit}", claim.note)
    return [robust, matrix, foreign, rest]
