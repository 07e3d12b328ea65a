"""S3: large objects live in files, and are read as far as they are asked for.

moto reads all of an object for each range of it. It keeps one in a temporary file that is memory at first,
and copies it to answer, to join it, or to list its versions. Here one that has outgrown memory is a map of
its file (mmap), which can be cut, hashed and written like bytes.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart, MultipartChecksumBuilder
from moto.s3.responses import S3Response
from moto.s3.utils import compute_checksum
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from sandbox.api.call import current_call
from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()

_IN_MEMORY_BYTES = 1 << 20
"""What is larger is in a file; chosen: configurations and pictures are smaller, parts of uploads are not."""


class _Whole(mmap.mmap):
    """A new file, on its way into the object that it becomes.

    Attributes:
        file: the open file.
    """

    file: Any


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Replace what reads, joins and answers objects."""
    substitute(FakeKey, "value", property(_read, _write))
    substitute(FakeKey, "__deepcopy__", _twin)
    substitute(FakeMultipart, "complete", _join)
    substitute(S3Response, "key_response", _unread(S3Response.key_response))


def _map(file: Any, kind: type[mmap.mmap] = mmap.mmap) -> Any:
    file.flush()
    return kind(file.fileno(), 0, access=mmap.ACCESS_READ)


def _read(key: Any) -> Any:
    """Give the content: bytes, or a map of the file."""
    joined = getattr(key, "joined", None)
    if joined is not None:
        whole, start = joined
        return whole[start : start + key.contentsize]
    with key.lock:
        if key.contentsize > _IN_MEMORY_BYTES:
            return _map(key._value_buffer)  # noqa: SLF001 - moto's own
        key._value_buffer.seek(0)  # noqa: SLF001 - moto's own
        return key._value_buffer.read()  # noqa: SLF001 - moto's own


def _write(key: Any, value: Any) -> None:
    """Take new content; somebody may still read the old."""
    if isinstance(value, _Whole):
        file = value.file
    else:
        value = value.encode() if isinstance(value, str) else value
        large = len(value) > _IN_MEMORY_BYTES
        file = tempfile.TemporaryFile() if large else tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the key closes it
        file.write(value)
    key._value_buffer, key.contentsize = file, len(value)  # noqa: SLF001 - moto's own


def _twin(key: Any, _: Any) -> Any:
    """Copy what is said of an object, for a list of versions; the content stays where it is.

    When the copy goes, moto closes what it has: that must not be the object's own file.
    """
    _ = key.etag  # moto works it out when it is first asked for, from the content
    twin = object.__new__(type(key))
    twin.__dict__.update(key.__dict__, _value_buffer=io.BytesIO(), multipart=None, disposed=True)
    return twin


def _join(upload: Any, body: Iterable[tuple[int, str]]) -> tuple[Any, str, Any]:
    """Complete an upload as moto does, in a file; its parts are parts of that file from then on."""
    checksums = MultipartChecksumBuilder(
        upload.metadata.get("x-amz-checksum-algorithm"), upload.metadata.get("x-amz-checksum-type")
    )
    parts: list[Any] = []
    for number, etag in body:
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        parts.append(part)
    if not parts:
        raise MalformedXML
    file, starts, sums = tempfile.TemporaryFile(), [], b""  # noqa: SIM115 - the key closes it
    for part in parts:
        starts.append(file.tell())
        file.write(part.value)
        sums += bytes.fromhex(part.etag.strip('"'))
        if checksums.checksum_type == "COMPOSITE":
            checksums.addPart(part.value)
    whole = b""
    if file.tell():
        whole = _map(file, _Whole)
        whole.file = file
    for part, start in zip(parts, starts, strict=True):
        part._value_buffer.close()  # noqa: SLF001 - moto's own
        part.joined = whole, start
    details = checksums.build()
    if checksums.checksum_type != "COMPOSITE":
        sum_ = compute_checksum(whole, checksums.checksum_algorithm).decode()
        details = checksums.checksum_type, sum_, 1
    return whole, f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(parts)}", details


def _unread(key_response: Callable[..., Any]) -> Callable[..., Any]:
    """Hand a whole large object on as it is; a part of one is bytes."""

    def answer(self: Any, request: Any, full_url: str, headers: Any) -> Any:
        status, sent, content = key_response(self, request, full_url, headers)
        call = current_call.get()
        if isinstance(content, mmap.mmap) and call is not None:
            call.content = content
            return status, sent, b""
        return status, sent, content

    return answer
