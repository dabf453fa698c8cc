"""The base of every contract model: frozen, strict about unknown fields, discreet in errors."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Contract"]


class Contract(BaseModel):
    """An immutable message; a field it does not know is refused.

    The text of a validation error never repeats the input, so that no prompt ends in a log.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )
