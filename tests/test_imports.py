"""Arrows point one way, and importing the package is light and changes nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import infinity

PACKAGE = Path(infinity.__file__).parent

# What each part may import from the others. A result saves itself, so `fitting` may reach the files; they import nothing but know the names of parts.
ALLOWED = {
    "basis": set(),
    "closure": set(),
    "models": {"basis"},
    "descent": {"closure"},
    "fitting": {"basis", "models", "closure", "descent", "io"},
    "inverse": {"basis", "models", "fitting"},
    "io": {"basis", "models", "fitting"},
    "pde": {"basis", "models", "closure", "descent", "io"},
    "plot": {"fitting", "models", "basis"},
    "sklearn": {"models", "closure", "descent", "fitting"},
    "symbolic": {"basis", "models", "closure", "descent", "fitting", "io"},
    "cli": {"basis", "models", "closure", "descent", "fitting", "inverse", "io", "pde", "plot", "symbolic"},
}


def edges():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if len(parts) == 1:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = (
                    [(node.module or "")]
                    if node.level <= len(parts) - 1 or node.module
                    else [a.name for a in node.names]
                )
                if node.level == len(parts):
                    for name in names:
                        yield parts[0], name.split(".")[0], path
                elif node.level == 0 and (node.module or "").startswith("infinity."):
                    yield parts[0], (node.module or "").split(".")[1], path


def test_every_part_imports_only_what_it_may():
    wrong = [
        f"{source} -> {target} in {path.name}"
        for source, target, path in edges()
        if target in ALLOWED and target != source and target not in ALLOWED[source]
    ]
    assert not wrong
    assert {source for source, _, _ in edges()} >= {"models", "descent", "fitting", "cli"}


def test_private_interfaces_of_jax_stay_behind_one_adapter():
    users = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if "jax._src" in path.read_text(encoding="utf-8") or "jax.extend" in path.read_text(encoding="utf-8")
    }
    assert users <= {"jax_internals.py"}


def test_import_is_light_and_changes_no_setting():
    code = (
        "import sys, jax; before = dict(jax.config.values); import infinity; assert dict(jax.config.values) == before; "
        "heavy = {'sympy', 'matplotlib', 'pydantic', 'typer', 'rich', 'sklearn', 'pyarrow', 'plotly', 'pandas'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", infinity.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(infinity, name).__doc__
