"""Tables: every number comes back exactly, and every fault is one sentence that names the place."""

import csv
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infinity.io import column_names, read_table, write_table
from infinity.io.text import _read_carefully, _read_fast


def _file(folder, content, name="data.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


TEXT_FAULTS = {
    "text": ("a,b\n1,2\n3,red\n", "line 3, column 'b': 'red' is not a number"),
    "text column": (
        "a,b\n1,red\n3,blue\n",
        r"column 'b': the column holds text \('red'\).*--categorical b.*--ignore b",
    ),
    "empty cell": ("a,b\n1,2\n,4\n", "line 3, column 'a': the value is missing"),
    "NaN": ("a,b\n1,2\n3,nan\n", "line 3, column 'b': the value is missing"),
    "NA": ("a,b\n1,NA\n3,4\n", "line 2, column 'b': the value is missing"),
    "inf": ("a,b\n1,2\n3,-inf\n", "line 3, column 'b': '-inf' is not a finite number"),
    "line numbers count comments and blank lines": ("# c\na,b\n\n1,2\n# d\n3,x\n5,6\n", "line 6, column 'b'"),
    "ragged short": ("a,b\n1,2\n3\n", "line 3: 1 cells where the header names 2 columns"),
    "ragged long": ("a,b\n1,2\n3,4,5\n", "line 3: 3 cells"),
    "trailing delimiter": ("a,b\n1,2,\n", "remove the delimiter at the end"),
    "duplicate names": ("a,b,a\n1,2,3\n", "columns 1, 3 are all called 'a'"),
    "no header": ("1,2\n3,4\n", "has no header: line 1 is all numbers"),
    "commented header": ("# a,b\n1,2\n3,4\n", "Line 1 starts with # and was taken as a comment"),
    "no name": (",a\n0,1\n", "column 1 has no name.*index=False"),
    "header only": ("a,b\n", "column names but no rows"),
    "empty": ("", "is empty"),
    "only comments": ("# a\n\n", "no header and no data"),
    "overflow": ("a\n1\n1e400\n", "line 3, column 'a': 1e400 is larger than a float64"),
    "large integer": ("a\n1\n9007199254740993\n", "line 3, column 'a': the integer 9007199254740993 is too large"),
    "very large integer": ("a\n1\n" + "9" * 500 + "\n", "line 3, column 'a': the integer"),
    "thousands": ('a\n1\n"1,234.5"\n', "without thousands separators"),
    "thousands by underscore": ("a\n1\n1_000\n", "without thousands separators"),
    "decimal comma": ("a;b\n1,5;2\n", "line 2, column 'a'.*decimals with a point"),
    "boolean": ("a,b\n1,True\n2,False\n", "yes and no as 1 and 0"),
    "spaces": ("a b\n1 2\n3 4\n", "separate the columns by commas"),
    "unit": ("a\n1\n2.5 mm\n", "without its unit"),
    "open quote": ('a,b\n1,"2\n3,4\n', "quotation mark left open"),
    "latin-1": (b"a,b\n1,2\n3,\xe9\n", "line 3: this is not UTF-8 text"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "not UTF-8 text|zero byte"),
    "Parquet in disguise": (b"PAR1xxxx", "is a Parquet file"),
    "zip in disguise": (b"PK\x03\x04xxxx", "is a zip"),
    "gzip in disguise": (b"\x1f\x8bxxxx", "compressed with gzip"),
}


@pytest.mark.parametrize("case", TEXT_FAULTS)
def test_text_fault_is_one_sentence_with_its_place(tmp_path, case):
    content, expected = TEXT_FAULTS[case]
    path = _file(tmp_path, content)
    with pytest.raises(ValueError, match=expected) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n3,4\n",
        "\ufeffa,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4\r\n",
        ' a , "b"\n 1,"2"\n3 , 4\n',
        "a;b\n1;2\n3;4",
        "a\tb\n1\t2\n3\t4\n",
        "# units: m\na,b\n\n1,2\n# between\n3,4\n\n",
    ],
)
def test_variants_of_text_tables_read_the_same(tmp_path, content):
    table = read_table(_file(tmp_path, content))
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.matrix(), [[1.0, 2.0], [3.0, 4.0]])
    assert table.matrix().dtype == np.float64


def test_columns_that_are_not_wanted_may_hold_anything(tmp_path):
    path = _file(tmp_path, 'a,city,b\n1,"Rome, old",2\n3,,4\n')
    table = read_table(path, ["b", "a"])
    assert table.names == ("b", "a")
    np.testing.assert_array_equal(table.matrix(), [[2.0, 1.0], [4.0, 3.0]])
    with pytest.raises(ValueError, match="has no column 'cty'; did you mean 'city'"):
        read_table(path, ["cty"])


def test_ragged_rows_show_even_when_the_wanted_columns_are_whole(tmp_path):
    path = _file(tmp_path, "a,b,c\n1,x,3\n4,6\n")
    with pytest.raises(ValueError, match="line 3: 2 cells"):
        read_table(path, ["a"])


def test_large_integers_that_are_exact_pass(tmp_path):
    table = read_table(_file(tmp_path, f"a\n{2**60}\n1e20\n-{2**70}\n"))
    assert table.columns["a"].tolist() == [2.0**60, 1e20, -(2.0**70)]


@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_any_float_survives_writing_and_reading(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("floats")
    columns = dict(zip(("file", "b"), np.array(rows, dtype=np.float64).T, strict=True))
    for name in ("t.csv", "t.tsv", "t.npz"):
        write_table(folder / name, columns)
        table = read_table(folder / name)
        for key in columns:
            assert table.columns[key].tobytes() == np.ascontiguousarray(columns[key]).tobytes()


def test_the_fast_and_the_careful_way_agree(tmp_path):
    values = np.random.default_rng(0).standard_normal((200, 3)) * 10.0 ** np.arange(-5, 10, 5)
    path = tmp_path / "t.csv"
    write_table(path, dict(zip("abc", values.T, strict=True)))
    fast = _read_fast(path, ",", 1, list("abc"), list("abc"))
    careful = _read_carefully(path, ",", 1, list("abc"), list("abc"))
    assert fast is not None
    for name in "abc":
        np.testing.assert_array_equal(fast[name], careful[name])


def test_missing_file_folder_and_unknown_endings(tmp_path):
    _file(tmp_path, "a\n1\n", "measured.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*mesured.csv; did you mean .*measured.csv"):
        read_table(tmp_path / "mesured.csv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_table(tmp_path)
    for name, expected in {"a.xlsx": "spreadsheet", "a.csv.gz": "unpack", "a.foo": r"'\.foo' is not a table"}.items():
        with pytest.raises(ValueError, match=expected):
            read_table(_file(tmp_path, "a\n1\n", name))


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def write(**columns):
        parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
        return tmp_path / "t.parquet"

    path = write(
        a=[1.5, 2.5], b=[1, 2], c=[True, False], d=["x", "y"], e=[[1], [2]], f=[1.0, None], g=[2**53 + 1, 1],
        h=[1.0, float("nan")],
    )  # fmt: skip
    np.testing.assert_array_equal(read_table(path, ["c", "a", "b"]).matrix(), [[1, 1.5, 1], [0, 2.5, 2]])
    faults = {
        "d": "column 'd': it holds string, not numbers",
        "e": "column 'e': it holds list",
        "f": "row 2, column 'f': the value is missing",
        "g": "row 1, column 'g': the integer 9007199254740993 is too large",
        "h": "row 2, column 'h': nan is not a finite number",
    }
    for name, expected in faults.items():
        with pytest.raises(ValueError, match=expected):
            read_table(path, ["a", name])
    content = path.read_bytes()
    for cut in (6, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="is damaged"):
            read_table(path, ["a"])
    with pytest.raises(ValueError, match="no rows"):
        read_table(write(a=pyarrow.array([], pyarrow.float64())))
    write_table(tmp_path / "out.parquet", {"a": np.array([0.1, 0.2])})
    assert read_table(tmp_path / "out.parquet").columns["a"].tolist() == [0.1, 0.2]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=re.escape("pip install 'infinity[tables]'")):
        read_table(_file(tmp_path, b"PAR1", "t.parquet"))


def test_npz(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, x=np.arange(6.0).reshape(3, 2), y=np.array([1, 2, 3]), flag=np.array([True, False, True]))
    assert column_names(path) == ("x0", "x1", "y", "flag")
    np.testing.assert_array_equal(read_table(path, ["x1", "flag"]).matrix(), [[1, 1], [3, 0], [5, 1]])
    faults = {
        "object": ({"a": np.array([1, "x"], dtype=object)}, "it holds object"),
        "text": ({"a": np.array(["x", "y"])}, "column 'a': it holds <U1"),
        "complex": ({"a": np.array([1j])}, "it holds complex128"),
        "cube": ({"a": np.zeros((2, 2, 2))}, r"shape \(2, 2, 2\)"),
        "scalar": ({"a": np.array(1.0)}, r"shape \(\)"),
        "lengths": ({"a": np.zeros(2), "b": np.zeros(3)}, "'a' has 2 rows and 'b' has 3"),
        "integer": ({"a": np.array([1, 2**63 - 1])}, "row 2, column 'a': the integer 9223372036854775807"),
        "unsigned": ({"a": np.array([2**64 - 1], dtype=np.uint64)}, "the integer 18446744073709551615"),
        "nan": ({"a": np.array([1.0, np.nan])}, "row 2, column 'a': nan"),
        "clash": ({"x": np.zeros((2, 2)), "x0": np.zeros(2)}, "called 'x0'"),
        "no rows": ({"a": np.zeros(0)}, "no rows"),
        "nothing": ({}, "holds no arrays"),
    }
    for columns, expected in faults.values():
        np.savez(path, **columns)
        with pytest.raises(ValueError, match=expected):
            read_table(path)
    np.savez(path, a=np.arange(100.0))
    content = path.read_bytes()
    for cut in (3, len(content) // 2, len(content) - 4):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="damaged"):
            read_table(path)
    with path.open("wb") as file:
        np.save(file, np.arange(3.0))
    with pytest.raises(ValueError, match="single array"):
        read_table(path)


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.csv"
    write_table(path, {"a": np.array([1.0])})

    class Interrupting(np.ndarray):
        def tolist(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(path, {"a": np.zeros(1).view(Interrupting)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
    with path.open() as file:
        assert list(csv.reader(file)) == [["a"], ["1.0"]]


MIXED = {"a": [1.5, None, 3.0], "kind": ["red", None, "007"], "y": [1.0, 2.0, 3.0]}


def mixed_table(path):
    """A table with a category and gaps in each format."""
    if path.suffix == ".parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table(MIXED), path)
    elif path.suffix == ".npz":
        kinds = np.array(["red", " ", "007"])
        np.savez(path, a=np.array([1.5, np.nan, 3.0]), kind=kinds, y=np.array(MIXED["y"]))
    else:
        path.write_text("a,kind,y\n1.5, red,1\nNA,,2\n3,007,3\n")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npz"])
def test_categories_and_gaps(tmp_path, name):
    path = mixed_table(tmp_path / name)
    table = read_table(path, ["kind", "a", "y"], categories=["kind"], gaps=True)
    assert table.columns["kind"].tolist() == ["red", None, "007"]
    np.testing.assert_array_equal(table.columns["a"], [1.5, np.nan, 3.0])
    assert table.matrix(["a", "kind"]).dtype == object
    write_table(tmp_path / f"again-{name}", table.columns)
    again = read_table(tmp_path / f"again-{name}", categories=["kind"], gaps=True)
    assert again.columns["kind"].tolist() == ["red", None, "007"]
    np.testing.assert_array_equal(again.columns["a"], [1.5, np.nan, 3.0])
    with pytest.raises(ValueError, match=r"(line 3|row 2), column 'a': .*(missing|not a finite number)"):
        read_table(path, ["kind", "a"], categories=["kind"])
    with pytest.raises(ValueError, match=r"column 'kind'.*--categorical"):
        read_table(path, ["kind", "y"], gaps=True)
