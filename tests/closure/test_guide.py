"""Every example of the guide page and of the public names runs and prints what it says."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "closure.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["certificate", "labels", "verification"])
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"infinity.closure.{name}")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_guide_runs():
    """Blocks with `>>>` are compared with what they show; the names of one block serve the next."""
    names = {}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert BLOCKS
    for number, block in enumerate(BLOCKS):
        example = parser.get_doctest(block, names, f"block {number}", str(GUIDE), 0)
        assert example.examples, "each block is written with `>>>`"
        runner.run(example, clear_globs=False)
        names.update(example.globs)
    assert runner.summarize(verbose=False).failed == 0


def test_the_guide_shows_the_table_as_produced():
    rows = [
        line
        for line in (GUIDE.parents[1] / "benchmarks" / "results" / "closure-zoo.md").read_text().splitlines()
        if line[:1] == "|"
    ]
    text = GUIDE.read_text()
    for row in rows[2:]:
        without_seconds = row.rsplit("|", 2)[0].strip()
        assert without_seconds in text, row
