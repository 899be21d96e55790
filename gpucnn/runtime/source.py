"""Finds the kernels' files and puts the text together that a compiler sees.

CuPy's disk cache leaves the contents of #included headers out of its key, so an edited header would
run the old code. Here our own headers are pasted in, with `#line` so that messages name the file
and line they stand on.
"""

import re
from functools import cache
from pathlib import Path

from gpucnn.errors import KernelError

_INCLUDE = re.compile(r'^#include "([\w.]+)"$')
_PACKAGE = Path(__file__).parent.parent


@cache
def kernels_folder() -> Path:
    """The folder of the .cu files: in the wheel gpucnn/_kernels, in a checkout kernels/."""
    for folder in (_PACKAGE / "_kernels", _PACKAGE.parent / "kernels"):
        if (folder / "common.cuh").is_file():
            return folder
    raise KernelError(
        f"the kernels' files are missing beside {_PACKAGE}: reinstall gpucnn, or install a checkout"
        " with pip install -e ."
    )


def assemble(name: str, folder: Path | None = None) -> str:
    """The text of kernels/`name`.cu with our own headers pasted in, each once.

    In ASCII, with a "?" for what the comments hold beyond it: CuPy writes the text to a file in the
    encoding of the user's locale, which may be a smaller one.
    """
    text = "\n".join(_lines(f"{name}.cu", folder or kernels_folder(), set())) + "\n"
    return text.encode("ascii", "replace").decode()


def _lines(file: str, folder: Path, seen: set[str]) -> list[str]:
    seen.add(file)
    try:
        text = (folder / file).read_text(encoding="utf-8")
    except OSError as error:
        raise KernelError(f"cannot read kernels/{file}: {error.strerror}") from error
    lines = [f'#line 1 "kernels/{file}"']
    for number, line in enumerate(text.splitlines(), start=1):
        include = _INCLUDE.match(line)
        if include is None:
            lines.append(line)
        elif include[1] not in seen:
            lines += _lines(include[1], folder, seen)
            lines.append(f'#line {number + 1} "kernels/{file}"')
        else:
            lines.append("")
    return lines
