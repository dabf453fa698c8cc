from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.domain.cursors import decode_cursor, encode_cursor
from lambdas.domain.errors import InvalidCursorError
from lambdas.domain.records import JobPosition

positions = st.builds(
    JobPosition,
    st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
    st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
)


@settings(deadline=None)
@given(positions)
def test_cursors_come_back(position: JobPosition) -> None:
    cursor = encode_cursor(position)
    assert decode_cursor(cursor) == position
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), st.binary(max_size=60).map(lambda data: data.hex())))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor(text)


@settings(deadline=None)
@given(positions, st.data())
def test_a_changed_cursor_is_refused_or_names_another_place(
    position: JobPosition, data: st.DataObject
) -> None:
    cursor = encode_cursor(position)
    index = data.draw(st.integers(0, len(cursor) - 1))
    character = data.draw(st.characters(codec="ascii"))
    changed = cursor[:index] + character + cursor[index + 1 :]
    try:
        decoded = decode_cursor(changed)
    except InvalidCursorError:
        return
    assert encode_cursor(decoded) == changed
