"""JSON Schema for API Gateway's request validation, from the contracts.

API Gateway reads draft 4 and answers a refused body with a text that names no field. So it gets
the shape only (required fields and types) and refuses what no client of ours would send; bounds,
patterns and allowed values stay with the function, whose answer names each wrong field.
"""

from typing import Any

from pydantic import BaseModel

__all__ = ["DRAFT_4", "shape_schema"]

DRAFT_4 = "http://json-schema.org/draft-04/schema#"


def shape_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The shape of a model's JSON: types and required fields, in JSON Schema draft 4.

    Args:
        model: A request contract.

    Returns:
        A schema without references, ready for an API Gateway model.
    """
    schema = model.model_json_schema(mode="validation")
    shape = _shape(schema, schema.get("$defs", {}))
    return {"$schema": DRAFT_4, "title": model.__name__, **shape}


def _shape(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _shape(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        # Several shapes may fit at once: what tells the choices apart is not in them.
        return {"anyOf": [_shape(choice, definitions) for choice in choices]}
    shape: dict[str, Any] = {key: schema[key] for key in ("type", "required") if key in schema}
    if "properties" in schema:
        shape["properties"] = {
            name: _shape(field, definitions) for name, field in schema["properties"].items()
        }
    if "items" in schema:
        shape["items"] = _shape(schema["items"], definitions)
    return shape
