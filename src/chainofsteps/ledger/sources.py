"""Which modules of the package a script uses: Snakemake and DVC see files, not imports."""

from __future__ import annotations

import ast
import functools
import json
from pathlib import Path

PACKAGE = "chainofsteps"
LOCK = Path("requirements.lock")  # versions of what is imported from elsewhere


def module_files(script: str | Path, package_root: str | Path) -> tuple[str, ...]:
    """Files of the package that a script imports, directly or not.

    Imports are read, not run; packages count with their ``__init__``. A module that is imported by a computed name (a
    world's family) is not seen: name its file beside the result.

    Parameters
    ----------
    script : path
        A Python file or a notebook.
    package_root : path
        Folder that holds the package folder, ``src``.

    Returns
    -------
    tuple of str
        Paths below ``package_root`` as it was given, sorted.
    """
    root = Path(package_root)
    found: set[Path] = set()
    waiting = [Path(script)]
    while waiting:
        for file in _imported(waiting.pop(), root):
            if file not in found:
                found.add(file)
                waiting.append(file)
    return tuple(sorted(file.as_posix() for file in found))


@functools.cache
def _imported(file: Path, root: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(_code(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(path for name in names if name.split(".")[0] == PACKAGE for path in _files(name, root))


def _code(file: Path) -> str:
    """Python of a module, a script, or the code cells of a notebook."""
    text = file.read_text()
    if file.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _files(name: str, root: Path) -> list[Path]:
    """Files that importing a dotted name runs: the ``__init__`` of each package on the way, then the module."""
    parts = name.split(".")
    ways = [root.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    files = [way / "__init__.py" for way in ways] + [ways[-1].with_suffix(".py")]
    return [file for file in files if file.is_file()]
