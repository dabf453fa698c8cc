from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cloudformation.ordering import creation_order, references
from local.errors import ProvisioningError


def test_every_way_of_referring_is_found() -> None:
    properties = {
        "A": {"Ref": "One"},
        "B": {"Fn::GetAtt": ["Two", "Arn"]},
        "C": {"Fn::GetAtt": "Three.Arn"},
        "D": {"Fn::Sub": "${Four}-${Five.Arn}-${!NotThis}"},
        "E": {"Fn::Sub": ["${Six}${Seven}", {"Seven": {"Ref": "Eight"}}]},
        "F": {"Fn::Join": ["", [{"Fn::Select": [0, [{"Ref": "Nine"}]]}]]},
    }
    assert references(properties) >= {
        "One", "Two", "Three", "Four", "Five", "Six", "Eight", "Nine",
    }  # fmt: skip
    assert "NotThis" not in references(properties)


@given(st.permutations("abcdef"))
def test_needed_resources_come_first_in_any_order(names: list[str]) -> None:
    resources: dict[str, Any] = {
        "a": {"Properties": {"x": {"Ref": "b"}}},
        "b": {"DependsOn": ["c", "d"]},
        "c": {"DependsOn": "e"},
        "d": {},
        "e": {"Properties": {"x": {"Ref": "AWS::Region"}}},
        "f": {},
    }
    order = creation_order({name: resources[name] for name in names})
    assert sorted(order) == sorted(names)
    assert order.index("a") > order.index("b") > max(order.index("c"), order.index("d"))
    assert order.index("c") > order.index("e")


def test_a_circle_is_named() -> None:
    resources = {
        "a": {"Properties": {"x": {"Ref": "b"}}},
        "b": {"DependsOn": "a"},
    }
    with pytest.raises(ProvisioningError, match="a -> b -> a"):
        creation_order(resources)
