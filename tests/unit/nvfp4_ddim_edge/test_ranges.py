from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_edge.partial_file import PartialFile
from nvfp4_ddim_edge.ranges import Ranges

SIZE = 60
spans = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda s: (min(s), max(s)))


def _bytes(ranges: list[tuple[int, int]]) -> set[int]:
    return {position for start, end in ranges for position in range(start, end)}


@given(st.lists(spans), st.integers(1, 20))
def test_what_is_there_and_what_is_missing_make_the_whole(
    given_spans: list[tuple[int, int]], chunk: int
) -> None:
    ranges = Ranges.of(given_spans)
    missing = list(ranges.missing(SIZE, chunk))
    assert _bytes(list(ranges.spans)) == _bytes(given_spans)
    assert ranges.total == len(_bytes(given_spans))
    assert _bytes(missing) == set(range(SIZE)) - _bytes(given_spans)
    assert sum(end - start for start, end in missing) == SIZE - ranges.total
    assert all(0 < end - start <= chunk for start, end in missing)
    neighbours = zip(ranges.spans, ranges.spans[1:], strict=False)
    assert all(end < start for (_, end), (start, _) in neighbours)


@pytest.mark.parametrize("span", [(-1, 3), (5, 4)])
def test_nonsense_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no range"):
        Ranges.of([span])


def test_a_partial_file_goes_on_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with PartialFile(path, 10) as partial:
        partial.write(6, b"wxyz")
        partial.commit(6, 10)
        partial.write(0, b"lost")
    assert PartialFile.recorded_bytes(path, 10) == 4
    with PartialFile(path, 10) as partial:
        assert partial.done.spans == ((6, 10),)
        partial.write(0, b"abcdef")
        partial.commit(0, 6)
        partial.finish(tmp_path / "deep" / "whole")
    assert (tmp_path / "deep" / "whole").read_bytes() == b"abcdefwxyz"
    assert [each.name for each in tmp_path.iterdir()] == ["deep"]


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{}",
        '{"size": 11, "done": [[0, 5]]}',
        '{"size": 10, "done": [[5, 0]]}',
        '{"size": 10, "done": [[0, 50]]}',
        '{"size": 10, "done": "x"}',
    ],
)
def test_a_record_that_makes_no_sense_is_ignored(tmp_path: Path, record: str) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "file.ranges").write_text(record)
    with PartialFile(tmp_path / "file", 10) as partial:
        assert partial.done == Ranges()
