"""The examples in docstrings, README and the guide run and print what they say."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import infinity

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(infinity.__path__, "infinity.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    failures, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failures == 0


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/closure.md",
        "docs/differential-equations.md",
        "docs/discovery.md",
        "docs/drop-in.md",
        "docs/infinite-descent.md",
        "docs/interpolants.md",
        "docs/inversion.md",
        "docs/sklearn.md",
        "docs/surrogate.md",
        pytest.param("docs/when-formulas-fail.md", marks=pytest.mark.slow),  # five searches and their surrogates
        pytest.param("docs/when-not.md", marks=pytest.mark.slow),  # nine fits beside other methods
    ],
)
def test_pages(page, tmp_path, monkeypatch):
    """All Python blocks of a page, one after another in one namespace."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    for number, block in enumerate(blocks):
        if block.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, namespace, page, page, number)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
            runner.run(test, clear_globs=False)
            assert runner.failures == 0
            namespace.update(test.globs)
        else:
            source = tmp_path / f"page{number}.py"
            source.write_text(block, encoding="utf-8")
            exec(compile(block, str(source), "exec"), namespace)
