from pathlib import Path

import torch
from filelock import FileLock

from benchmarks.evaluation.samples import SampleStore, SetKey

from .conftest import TinySubject

KEY = SetKey("weights", steps=10, seed=5)


def test_goes_on_where_it_stopped(tiny: TinySubject, tmp_path: Path) -> None:
    made: list[int] = []
    SampleStore(tmp_path).make(tiny, KEY, 2, made.append)
    assert SampleStore(tmp_path).missing(tiny, KEY, 6) == 4
    assert SampleStore(tmp_path).read(tiny, KEY, 6) is None

    SampleStore(tmp_path).make(tiny, KEY, 6, made.append)
    assert tiny.sampled == [0, 2, 4]
    assert made == [2, 2, 2]
    found = SampleStore(tmp_path).read(tiny, KEY, 6)
    assert found is not None
    assert torch.equal(found.images, tiny.sample(0, 6, 10, 5))
    assert found.features.shape == (6, 1280)
    assert not list(tmp_path.rglob(".*"))


def test_leaves_parts_to_the_process_that_makes_them(tiny: TinySubject, tmp_path: Path) -> None:
    store = SampleStore(tmp_path)
    store.make(tiny, KEY, 2, lambda _: None)
    (part,) = tmp_path.rglob("000000.npz")
    made: list[int] = []
    with FileLock(part.with_name("000002.lock")):
        store.make(tiny, KEY, 6, made.append)
    assert made == [2]
    assert store.missing(tiny, KEY, 6) == 2


def test_features_depend_on_the_picture_alone(tiny: TinySubject, tmp_path: Path) -> None:
    store = SampleStore(tmp_path)
    store.make(tiny, KEY, 4, lambda _: None)
    tiny.batch = 4
    other = SetKey("weights", steps=9, seed=6)
    store.make(tiny, other, 4, lambda _: None)
    first, second = store.read(tiny, other, 4), None
    tiny.batch = 2
    second = store.read(tiny, KEY, 4)
    assert first is not None
    assert second is not None
    assert torch.equal(first.images, second.images)
    assert torch.allclose(first.features, second.features, rtol=1e-4, atol=1e-5)


def test_sets_of_other_weights_steps_seeds_and_settings_are_apart(
    tiny: TinySubject, tmp_path: Path
) -> None:
    store = SampleStore(tmp_path)
    store.make(tiny, KEY, 2, lambda _: None)
    for key in (SetKey("other", 10, 5), SetKey("weights", 20, 5), SetKey("weights", 10, 6)):
        assert store.missing(tiny, key, 2) == 2
    tiny.settings = "guidance 3"
    assert store.missing(tiny, KEY, 2) == 2


def test_keeps_the_references_features(tiny: TinySubject, tmp_path: Path) -> None:
    first = SampleStore(tmp_path).reference(tiny)
    assert len(first) == 3
    assert len(list(tmp_path.rglob("reference-*.npz"))) == 1
    assert torch.equal(SampleStore(tmp_path).reference(tiny).features, first.features)
