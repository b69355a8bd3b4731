"""The store: immutable folders under a local path or ``s3://bucket/prefix``, each finished by its manifest.

A job writes a folder under a scratch name, then publishes it: files first, ``manifest.json`` last. A folder with a
manifest is complete for ever; one without does not exist. The name of a folder is the key of the work that made it
(`work_key`), so a job that starts again finds what it had finished, and two runs on the same inputs make one folder.

S3 is reached through Arrow's file system; endpoint and credentials come from the standard ``AWS_*`` variables.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.fs as pafs

from frontdesk.errors import StorageError, UnreadableFile

MANIFEST = "manifest.json"
_BLOCK = 1 << 20


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, indented, ended by a newline."""
    return orjson.dumps(
        value,
        option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY,
    )


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON, or of bytes as they are."""
    return hashlib.sha256(value if isinstance(value, bytes) else canonical_json(value)).hexdigest()


def work_key(job: str, **inputs: Any) -> str:
    """Return the name of a piece of work: 20 hex digits over its job, inputs and the library's source."""
    from frontdesk.version import code_digest

    return digest({"job": job, "code": code_digest(), **inputs})[:20]


def file_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"sha256", "bytes"}}`` of every file below a folder except its manifest."""
    return {
        path.relative_to(folder).as_posix(): {"sha256": file_digest(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    }


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the Arrow file system of a path or ``s3://`` address, and the path inside it."""
    if not uri.startswith("s3://"):
        return pafs.LocalFileSystem(), str(Path(uri.removeprefix("file://")).absolute())
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    scheme, _, host = endpoint.rpartition("://")
    options: dict[str, Any] = {"allow_bucket_creation": True, "connect_timeout": 5.0, "request_timeout": 60.0}
    if endpoint:
        options |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    options["region"] = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"
    return pafs.S3FileSystem(**options), uri.removeprefix("s3://").rstrip("/")


def _silent(error: OSError, where: str) -> StorageError:
    return StorageError(
        f"the store does not answer ({type(error).__name__})", where=where, remedy="Check AWS_* and the network"
    )


@contextmanager
def reading(uri: str) -> Iterator[pa.NativeFile]:
    """Open a file for random reads.

    Raises:
        UnreadableFile: the file is missing or cannot be opened.
        StorageError: the object store does not answer.
    """
    files, path = filesystem(uri)
    try:
        file = files.open_input_file(path)
    except FileNotFoundError as error:
        raise UnreadableFile("there is no such file", where=uri, remedy="Check the path") from error
    except OSError as error:
        if uri.startswith("s3://"):
            raise _silent(error, uri) from error
        raise UnreadableFile(f"the file cannot be opened ({type(error).__name__})", where=uri) from error
    with file:
        yield file


@dataclass(frozen=True)
class Store:
    """A root of immutable folders.

    Args:
        root: a local folder or ``s3://bucket/prefix``.
    """

    root: str

    @property
    def local(self) -> bool:
        """Whether the store is a local folder."""
        return not self.root.startswith("s3://")

    def uri(self, *parts: str) -> str:
        """Return the address of a folder or file of the store."""
        root = self.root.rstrip("/") if not self.local else str(Path(self.root).absolute())
        return "/".join([root, *parts])

    def read_bytes(self, *parts: str) -> bytes:
        """Return the content of a file."""
        with reading(self.uri(*parts)) as file:
            return bytes(file.read())

    def manifest(self, *parts: str) -> dict[str, Any] | None:
        """Return the manifest of a finished folder, or None where there is none."""
        files, path = filesystem(self.uri(*parts, MANIFEST))
        try:
            info = files.get_file_info(path)
        except OSError as error:
            raise _silent(error, self.root) from error
        if info.type != pafs.FileType.File:
            return None
        content: dict[str, Any] = orjson.loads(self.read_bytes(*parts, MANIFEST))
        return content

    @contextmanager
    def writing(self, *parts: str) -> Iterator[Path]:
        """Yield an empty scratch folder and publish it as ``parts`` when the block ends well.

        The block must write ``manifest.json``; it is sent last. What an earlier, killed attempt left is removed.
        """
        if self.local:
            target = Path(self.uri(*parts))
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".{target.name}.partial")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                yield scratch
                self._require_manifest(scratch)
            except Exception:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            shutil.rmtree(target, ignore_errors=True)  # a folder without a manifest: never finished
            scratch.rename(target)
            return
        with tempfile.TemporaryDirectory(prefix="frontdesk-") as name:
            scratch = Path(name)
            yield scratch
            self._require_manifest(scratch)
            self.upload(scratch, *parts)

    def upload(self, folder: Path, *parts: str) -> None:
        """Copy a local folder into the store, its manifest last."""
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        names.sort(key=lambda name: name == MANIFEST)
        files, root = filesystem(self.uri(*parts))
        try:
            for name in names:
                files.create_dir(f"{root}/{name}".rpartition("/")[0], recursive=True)
                with (folder / name).open("rb") as source, files.open_output_stream(f"{root}/{name}") as sink:
                    shutil.copyfileobj(source, sink, _BLOCK)
        except OSError as error:
            raise StorageError(f"the store refused a file ({type(error).__name__})", where=self.uri(*parts)) from error

    def fetch(self, *parts: str, to: Path) -> Path:
        """Copy a folder of the store to a local one, in place of what stands there."""
        files, root = filesystem(self.uri(*parts))
        scratch = to.with_name(f".{to.name}.partial")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            for info in files.get_file_info(pafs.FileSelector(root, recursive=True)):
                if info.type != pafs.FileType.File:
                    continue
                path = scratch / info.path.removeprefix(root).lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                with files.open_input_stream(info.path) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, _BLOCK)
        except OSError as error:
            raise StorageError(f"a folder cannot be read ({type(error).__name__})", where=self.uri(*parts)) from error
        shutil.rmtree(to, ignore_errors=True)
        scratch.rename(to)
        return to

    def put(self, content: bytes, *parts: str) -> None:
        """Write or replace one file; a reader meets the old content or the new."""
        if self.local:
            write_atomically(Path(self.uri(*parts)), content)
            return
        files, path = filesystem(self.uri(*parts))
        try:
            with files.open_output_stream(path) as sink:
                sink.write(content)
        except OSError as error:
            raise StorageError(f"the store refused a file ({type(error).__name__})", where=self.uri(*parts)) from error

    def remove(self, *parts: str) -> None:
        """Remove a folder that is there, its manifest first."""
        files, path = filesystem(self.uri(*parts))
        try:
            if files.get_file_info(f"{path}/{MANIFEST}").type == pafs.FileType.File:
                files.delete_file(f"{path}/{MANIFEST}")
            files.delete_dir(path)
        except OSError as error:
            words = f"a folder cannot be removed ({type(error).__name__})"
            raise StorageError(words, where=self.uri(*parts)) from error

    @staticmethod
    def _require_manifest(scratch: Path) -> None:
        if not (scratch / MANIFEST).is_file():
            raise StorageError("a folder without a manifest cannot be published", where=str(scratch))
