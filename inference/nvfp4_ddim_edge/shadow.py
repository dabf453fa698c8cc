"""The shadow document: what the device reports.

Source: AWS IoT Core developer guide, "Device Shadow service documents".
"""

import json
from typing import Any

from nvfp4_ddim_contracts.edge import DeviceState

__all__ = ["reported", "shadow_payload"]


def reported(state: DeviceState) -> dict[str, Any]:
    """The part `state.reported`. A null removes the property from the shadow, as it should."""
    return state.model_dump(mode="json")


def shadow_payload(state: DeviceState) -> bytes:
    """The whole document."""
    return json.dumps({"state": {"reported": reported(state)}}).encode()
