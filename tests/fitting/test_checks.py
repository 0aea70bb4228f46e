"""Checks of a table before a fit: each fault names its row and column, and good tables pass unchanged."""

import jax.numpy as jnp
import numpy as np
import pytest

from infinity.fitting.checks import check_table, check_unknowns

X = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [4.0, 0.0]])
Y = np.array([1.0, 2.0, 4.0, 3.0])


def _with(array, row, column, value):
    changed = np.array(array, dtype=np.result_type(array, type(value)))
    changed[row, column] = value
    return changed


FAULTS = {
    "NaN": ({"x": _with(X, 2, 1, np.nan)}, "row 3, column 'width': nan is not a finite number"),
    "infinite target": ({"y": np.array([1, np.inf, 2, 3])}, "row 2, column 'load': inf"),
    "constant input": ({"x": _with(_with(X, slice(None), 0, 7.0), 0, 1, 9.0)}, "input 'height' is 7 in every row"),
    "constant target": ({"y": np.full(4, 2.0)}, "target 'load' is 2 in every row"),
    "target is input": ({"y": X[:, 1]}, "target 'load' is equal to the input 'width'"),
    "repeated name": ({"names": ["a", "a"]}, "two columns are called 'a'"),
    "target named as input": ({"target": "width"}, "two columns are called 'width'"),
    "name count": ({"names": ["a"]}, "names has 1 entries and x has 2 columns"),
    "target count": ({"target": ["a", "b"]}, "target has 2 names and y has 1 columns"),
    "lengths": ({"y": Y[:3]}, "x has 4 rows and y has 3"),
    "one row": ({"x": X[:1], "y": Y[:1]}, "one row"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "no rows"),
    "no inputs": ({"x": X[:, :0]}, "must be an input"),
    "dimensions": ({"x": X[None]}, r"shape \(1, 4, 2\)"),
    "text": ({"x": X.astype(str)}, "holds text"),
    "object": ({"y": Y.astype(object)}, "holds objects"),
    "complex": ({"y": Y + 1j}, "holds complex numbers"),
    "ragged": ({"x": [[1.0], [1.0, 2.0], [3.0], [4.0]]}, "not a rectangular table"),
    "integer overflow": (
        {"x": np.array([[1, 2], [3, 2**53 + 1], [5, 6], [7, 8]])},
        "row 2, column 'width': the integer 9007199254740993",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_names_its_place(case):
    change, expected = FAULTS[case]
    arguments = {"x": X, "y": Y, "names": ["height", "width"], "target": "load"} | change
    with pytest.raises(ValueError, match=expected) as caught:
        check_table(**arguments)
    assert "\n" not in str(caught.value)


def test_good_tables_pass_with_their_dtype(dtype):
    for x, y in [(X, Y), (jnp.asarray(X), jnp.asarray(Y)), (X[:, 0], Y[:, None])]:
        inputs, outputs, names, targets = check_table(np.asarray(x).astype(dtype), np.asarray(y).astype(dtype))
        assert inputs.dtype == outputs.dtype == dtype
        assert inputs.shape == (4, len(names))
        assert outputs.shape == (4, 1)
        assert targets == ("y",)
    inputs, _, names, targets = check_table([[1, True], [2, False]], [[1, 2], [3, 4]], target="t")
    assert inputs.tolist() == [[1.0, 1.0], [2.0, 0.0]]
    assert inputs.dtype == np.float64
    assert (names, targets) == (("x0", "x1"), ("t0", "t1"))


def test_more_unknowns_than_rows():
    check_unknowns(10, 10)
    with pytest.raises(ValueError, match=r"11 unknowns and the table only 10 rows.*fewer modes"):
        check_unknowns(11, 10)
