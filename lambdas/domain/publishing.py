"""Publishing the files of an archive below a prefix of a bucket."""

import io
import mimetypes
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .errors import ResourceError
from .ports import Archive, FileStore
from .release_signing import ReleaseSigning

__all__ = ["FilePublisher", "Publication", "PublicationReport", "content_type_of"]

_NO_CACHE = "no-cache"
# Segments that are "", "." or ".." would leave the prefix, or name it twice; "\" is Windows' slash.
_SAFE_NAME = re.compile(r"(?!/)(?!.*(?:^|/)\.{0,2}(?:/|$))[^\\\x00-\x1f]+")
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Publication:
    """What to publish where; see `lambdas.handlers.publish_files` for the meaning of each part."""

    prefix: str = ""
    last_name: str | None = None
    cache_control: str = _NO_CACHE
    inline_files: dict[str, str] = field(default_factory=dict)
    pointer_key: str | None = None
    pointer_body: str = ""
    purge_versions: bool = False


@dataclass(frozen=True)
class PublicationReport:
    """What was published."""

    file_count: int
    total_bytes: int


@dataclass(frozen=True)
class FilePublisher:
    """Publishes to one bucket. `check_time` is called before every file; it may raise to stop.

    With `signing`, the file that is written last is signed first: whoever sees it finds the
    signature and the public key in their places.
    """

    files: FileStore
    check_time: Callable[[], None]
    signing: ReleaseSigning | None = None

    def publish(self, archive: Archive | None, publication: Publication) -> PublicationReport:
        """Write the archive's files, the inline files and the pointer, in this order.

        Files below the prefix that belong to neither are removed before the pointer is written.

        Raises:
            ResourceError: A name would leave the prefix, or the file to write last is missing.
        """
        names = _in_order(archive.names() if archive else (), publication)
        signed = self._signed(archive, publication)
        total = self._upload_members(archive, names, publication, signed) if archive else 0
        for name, text in publication.inline_files.items():
            total += self._write_text(publication.prefix + name, text)
        if archive is not None or publication.inline_files:
            written = {publication.prefix + name for name in (*names, *publication.inline_files)}
            kept = written | signed.keys()
            if publication.pointer_key:
                kept.add(publication.pointer_key)
            self.files.delete_below(publication.prefix, keep=frozenset(kept), purge_versions=False)
        if publication.pointer_key is not None:
            self._write_text(publication.pointer_key, publication.pointer_body)
        return PublicationReport(len(names) + len(publication.inline_files), total)

    def withdraw(self, publication: Publication) -> None:
        """Remove everything below the prefix, and the pointer if it still points here."""
        pointer = publication.pointer_key
        if pointer and self.files.read(pointer) == publication.pointer_body.encode():
            self.files.delete(pointer)
        self.check_time()
        self.files.delete_below(
            publication.prefix, keep=frozenset(), purge_versions=publication.purge_versions
        )

    def _signed(self, archive: Archive | None, publication: Publication) -> dict[str, str]:
        """Signature and public key by their keys in the bucket; none without a signer."""
        last = publication.last_name
        if self.signing is None or archive is None or last is None:
            return {}
        with archive.open(last) as stream:
            return self.signing.companions(stream, publication.prefix)

    def _upload_members(
        self,
        archive: Archive,
        names: list[str],
        publication: Publication,
        before_last: dict[str, str],
    ) -> int:
        total = 0
        for name in names:
            self.check_time()
            if name == publication.last_name:
                for key, text in before_last.items():
                    self._write_text(key, text)
            with archive.open(name) as stream:
                self.files.upload(
                    publication.prefix + name,
                    stream,
                    content_type_of(name),
                    publication.cache_control,
                )
            total += archive.size(name)
        return total

    def _write_text(self, key: str, text: str) -> int:
        self.check_time()
        body = text.encode()
        self.files.upload(key, io.BytesIO(body), content_type_of(key), _NO_CACHE)
        return len(body)


def content_type_of(name: str) -> str:
    """The media type that a file's extension stands for."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    # The host's own table differs from machine to machine, hence the explicit ones first.
    guessed = _CONTENT_TYPES.get(suffix) or mimetypes.types_map.get(suffix)
    return guessed or "application/octet-stream"


def _in_order(names: Iterable[str], publication: Publication) -> list[str]:
    ordered = [name for name in names if name not in publication.inline_files]
    for name in (*ordered, *publication.inline_files):
        if not _SAFE_NAME.fullmatch(name):
            raise ResourceError(f"The file name {name!r} would leave the destination's prefix.")
    last = publication.last_name
    if last is not None:
        if last not in ordered:
            raise ResourceError(f"LastKey '{last}' is not in the archive.")
        ordered.remove(last)
        ordered.append(last)
    return ordered
