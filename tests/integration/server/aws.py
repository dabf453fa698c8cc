"""An AWS of our own for server processes, and a model published into it."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.keys import artifact_prefix, live_pointer_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_contracts.models import LiveModel

__all__ = ["ARTIFACTS", "publish"]

ARTIFACTS = "artifacts"


def publish(s3: Any, artifact: Path, name: str, scratch: Path, spoiled: str = "") -> LiveModel:
    """Publish a copy of an artifact under another name, one of its files spoiled if asked for."""
    directory = Path(shutil.copytree(artifact, scratch / name))
    path = directory / MANIFEST_NAME
    content = json.loads(path.read_text()) | {"name": name}
    path.write_text(json.dumps(content))
    manifest = Manifest.model_validate(content)
    live = LiveModel(
        name=name,
        artifact_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        created=1,
        license=manifest.license,
        artifact_bytes=manifest.artifact_bytes,
        native_width=manifest.native_width,
        native_height=manifest.native_height,
    )
    prefix = artifact_prefix(name, live.artifact_sha256)
    for file in manifest.files:
        data = (directory / file.path).read_bytes()
        if file.path == spoiled:
            data = data[:-1] + bytes([data[-1] ^ 1])
        s3.put_object(Bucket=ARTIFACTS, Key=prefix + file.path, Body=data)
    s3.put_object(Bucket=ARTIFACTS, Key=prefix + MANIFEST_NAME, Body=path.read_bytes())
    s3.put_object(Bucket=ARTIFACTS, Key=live_pointer_key(name), Body=live.model_dump_json())
    return live
