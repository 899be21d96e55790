"""Reading a file that the user named."""

from difflib import get_close_matches
from pathlib import Path

from gpucnn.config.messages import one_line
from gpucnn.config.source import MAX_CHARACTERS
from gpucnn.errors import ConfigError


def read_text(path: Path, what: str = "config") -> str:
    """The file's text; ConfigError where it is missing or not UTF-8. Stops where it is too long.

    `what` is the file's kind in words.
    """
    name = one_line(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        near = _nearest(path) if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{name}: cannot read the {what}: {reason}{near}") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        at, byte = error.start, data[error.start]
        line, column = data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
        raise ConfigError(
            f"{name}:{line}:{column}: expected UTF-8 text, got the byte 0x{byte:02x}"
        ) from None


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    near = get_close_matches(path.name, names, n=1)
    return f"; did you mean {str(path.parent / near[0])!r}?" if near else ""
