import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.errors import ResourceError
from lambdas.domain.publishing import FilePublisher, Publication, content_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("app.JS", "text/javascript; charset=utf-8"),
        ("a/b/config.json", "application/json"),
        ("unet/model.safetensors", "application/octet-stream"),
        ("picture.webp", "image/webp"),
        ("icon.png", "image/png"),
        ("tokenizer/merges.txt", "text/plain; charset=utf-8"),
        ("LICENSE", "application/octet-stream"),
        ("odd.unknown-extension", "application/octet-stream"),
    ],
)
def test_types_follow_extensions(name: str, expected: str) -> None:
    assert content_type_of(name) == expected


class _Archive:
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def names(self) -> tuple[str, ...]:
        return self._names

    def size(self, name: str) -> int:
        return len(name)

    def open(self, name: str) -> object:
        import io

        return io.BytesIO(name.encode())


class _Files:
    def __init__(self) -> None:
        self.written: list[str] = []
        self.kept: frozenset[str] | None = None

    def upload(self, key: str, stream: object, content_type: str, cache_control: str) -> None:
        self.written.append(key)

    def read(self, key: str) -> bytes | None:
        return None

    def delete(self, key: str) -> None:
        raise AssertionError(key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        assert not purge_versions
        self.kept = keep


def test_the_last_file_is_last_and_the_pointer_after_it() -> None:
    files = _Files()
    report = FilePublisher(files, lambda: None).publish(
        _Archive(("manifest.json", "a", "b", "config.json")),
        Publication(
            prefix="p/",
            last_name="manifest.json",
            inline_files={"config.json": "{}"},
            pointer_key="live.json",
            pointer_body="x",
        ),
    )
    assert files.written == ["p/a", "p/b", "p/manifest.json", "p/config.json", "live.json"]
    assert files.kept == {"p/a", "p/b", "p/manifest.json", "p/config.json", "live.json"}
    assert report.file_count == 4
    assert report.total_bytes == len("ab") + len("manifest.json") + len("{}")


def test_a_missing_last_file_stops_before_anything_is_written() -> None:
    files = _Files()
    with pytest.raises(ResourceError, match=r"manifest\.json"):
        FilePublisher(files, lambda: None).publish(
            _Archive(("a",)), Publication(last_name="manifest.json")
        )
    assert files.written == []


segments = st.sampled_from(["", ".", "..", "a", "b.txt", "..a", "a\\b", "a\n"])


@settings(deadline=None)
@given(st.lists(segments, min_size=1, max_size=5).map("/".join))
def test_only_names_that_stay_below_the_prefix_are_written(name: str) -> None:
    import posixpath

    files = _Files()
    try:
        FilePublisher(files, lambda: None).publish(_Archive((name,)), Publication(prefix="p/"))
    except ResourceError:
        assert files.written == []
        return
    assert files.written == [f"p/{name}"]
    assert posixpath.normpath(files.written[0]) == files.written[0]
    assert files.written[0].startswith("p/")
    assert "\\" not in name
