"""What pydantic found wrong, in the contract's words and without the input itself."""

from pydantic import ValidationError

from nvfp4_ddim_contracts import FieldError

__all__ = ["MAX_BODY_BYTES", "field_errors"]

# The longest prompts, every character of them escaped as JSON allows, have 48,000 bytes. It is also
# as much of a body as AWS WAF can look at.
MAX_BODY_BYTES = 65_536


def field_errors(error: ValidationError) -> tuple[FieldError, ...]:
    """One entry per field; an error of the whole body is called 'body'."""
    return tuple(
        FieldError(
            field=".".join(str(part) for part in entry["loc"]) or "body", message=entry["msg"]
        )
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    )
