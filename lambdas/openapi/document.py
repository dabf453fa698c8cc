"""The OpenAPI 3.1 document as a whole."""

import json
from typing import Any

from .operations import paths, shared_headers, webhooks
from .schemas import component_schemas

__all__ = ["build_document", "render_document"]

_API_VERSION = "1.0.0"


def build_document() -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "NVFP4-DDIM",
            "version": _API_VERSION,
            "summary": "Diffusion models quantised to NVFP4, sampled with DDIM: text to image and "
            "other tasks.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": "{apiUrl}",
                "description": "The stack's output `ApiUrl`, without the slash at its end.",
                "variables": {"apiUrl": {"default": "http://127.0.0.1:4611"}},
            }
        ],
        "security": [{"apiKey": []}, {"bearer": []}],
        "tags": [
            {"name": "jobs", "description": "Work as jobs: submit, follow, cancel."},
            {"name": "images", "description": "For clients that speak OpenAI's Images API."},
            {"name": "uploads", "description": "Files that a later request names by their id."},
            {"name": "models", "description": "What can be asked for."},
            {"name": "webhooks", "description": "Being told that a job has ended."},
        ],
        "paths": paths(),
        "webhooks": webhooks(),
        "components": {
            "schemas": component_schemas(),
            "headers": shared_headers(),
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The same API key, as OpenAI's clients send it, or the access "
                    "token of a person who has signed in.",
                },
            },
        },
    }


def render_document() -> str:
    """The document as the text of `docs/openapi.json`."""
    return json.dumps(build_document(), indent=2, ensure_ascii=False) + "\n"
