"""The base of every contract model: frozen, and strict about unknown fields."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Contract"]


class Contract(BaseModel):
    """An immutable message; a field it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
