"""Where data files lie, and how they are fetched: verified before they get their name."""

import hashlib
import http.client
import logging
import os
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.errors import DataError

ENVIRONMENT = "GPUCNN_DATA"  # names a folder with a sub-folder for each data set
TIMEOUT = 30.0  # seconds without a byte before a mirror is given up
_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """A file that mirrors serve: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


def folders(name: str, root: str | os.PathLike[str]) -> list[Path]:
    """The folders to look for a data set in: root, root/<name>, then $GPUCNN_DATA/<name>."""
    places = [Path(root), Path(root) / name]
    if os.environ.get(ENVIRONMENT):
        places.append(Path(os.environ[ENVIRONMENT]) / name)
    return places


def find(places: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file that exists: the places in order, in each the names in order."""
    return next((p / n for p in places for n in names if (p / n).is_file()), None)


def missing(what: str, places: Sequence[Path], name: str) -> DataError:
    """The error for files that are in none of the places."""
    looked = ", ".join(str(p) for p in places)
    return DataError(
        f"{what} not found in {looked}. Run `gpucnn download-data {name} --root {places[0]}` or set"
        f" data.download: true; without a network, copy the files to {places[0]}, or to"
        f" <folder>/{name} and set {ENVIRONMENT}=<folder>"
    )


def fetch(file: RemoteFile, mirrors: Sequence[str], folder: Path) -> Path:
    """Download `file` into `folder` from the first mirror that has it whole.

    It is written to a temporary file and gets its name only once its SHA-256 is right; a file
    that already has the name is not touched. DataError with each mirror's reason otherwise.
    """
    target = folder / file.name
    if target.exists():
        raise DataError(f"{target} exists and is not written over: move or remove it, then retry")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error}; choose another root") from error
    reasons = []
    for mirror in mirrors:
        url = mirror + file.name
        _log.info("downloading %s", url)
        reason = _fetch_one(file, url, target)
        if reason is None:
            return target
        reasons.append(f"{url}: {reason}")
    raise DataError(
        f"could not download {file.name}: " + "; ".join(reasons) + ". Without a network, download"
        f" it elsewhere (SHA-256 {file.sha256}) and copy it to {folder}"
    )


def _fetch_one(file: RemoteFile, url: str, target: Path) -> str | None:
    """Try one mirror; None, or the reason why it did not work."""
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise DataError(f"cannot write in {target.parent}: {error}; choose another root") from error
    try:
        with os.fdopen(handle, "wb") as out:
            digest, size = hashlib.sha256(), 0
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                # One byte over the size is enough to know; a mirror cannot fill the disk.
                while chunk := response.read(min(_CHUNK, file.size + 1 - size)):
                    digest.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
            if size != file.size:
                more = "more than " if size > file.size else f"{size} instead of "
                return f"sent {more}{file.size} bytes"
            if digest.hexdigest() != file.sha256:
                return f"damaged, its SHA-256 is {digest.hexdigest()}"
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's own mode keeps other users out
        os.replace(temporary, target)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        Path(temporary).unlink(missing_ok=True)
    return None
