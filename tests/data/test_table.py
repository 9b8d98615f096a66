"""Tables from files: types are found, train alone fills gaps, and what is wrong is named by line and column."""

from __future__ import annotations

import csv
import os
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from dlcore.data import read_table, split
from dlcore.data._columns import Column, encoded
from dlcore.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(header, line, count=40):
    return header + "\n" + "\n".join(line(i) for i in range(count)) + "\n"


def column(value, count=40):
    return rows("a,y", lambda i: f"{value(i)},0", count)


def test_numbers_booleans_and_categories_become_columns(write):
    def line(i):
        return f"{i},{i / 8}e1,{'TRUE' if i % 3 else 'false'},{'uv'[i % 2]},{['no', 'yes'][i % 2]}"

    path = write(rows("a,b,c,d,y", line))
    data = read_table(path, target="y")
    assert repr(data) == "Dataset table: 32 train / 4 validation / 4 test, x (6,) float32, y 2 classes"
    assert data.classes == ("no", "yes")
    assert data.feature_names == ("a", "b", "c", "d=u", "d=v", "d=unknown")
    expected = split(np.zeros(40), np.arange(40) % 2)
    for part, i in zip(data.splits.values(), expected, strict=True):
        columns = [i, i / 0.8, i % 3 > 0, i % 2 == 0, i % 2 == 1, 0 * i]
        np.testing.assert_allclose(part["x"], np.stack(columns, 1), rtol=1e-6)
        np.testing.assert_array_equal(part["y"], i % 2)


def test_the_kind_of_target_decides_the_task(write):
    def task(line, **options):
        data = read_table(write(rows("a,y", line)), target="y", **options)
        return data.task, tuple(data.classes), data.train["y"].dtype.name, data.train["y"].shape[1:]

    assert task(lambda i: f"{i},{i % 11}") == ("classification", tuple(map(str, range(11))), "int32", ())
    assert task(lambda i: f"{i},{i % 2}.5") == ("regression", (), "float32", (1,))
    assert task(lambda i: f"{i},{i % 2}", task="regression") == ("regression", (), "float32", (1,))
    assert task(lambda i: f"{i},{i % 2}.0", task="classification")[1] == ("0", "1")
    assert task(lambda i: f"{i},{'true' if i % 2 else 'false'}")[1] == ("False", "True")
    assert task(lambda i: f"{i},0{i % 2}", categorical=["y"])[1] == ("00", "01")


def test_quotes_a_byte_order_mark_other_line_ends_and_delimiters_are_read(write):
    content = '\ufeff"a b"; c;"y"\r\n' + "".join(f'{i}; "x;""{i % 2}\r\n"; {"pq"[i % 2]}\r\n' for i in range(40))
    data = read_table(write(content), target="y", delimiter=";")
    assert data.feature_names == ("a b", 'c=x;"0', 'c=x;"1', "c=unknown")
    assert data.classes == ("p", "q")


def test_features_are_chosen_in_order(write):
    path = write(rows("a,b,c,y", lambda i: f"{i},x{i},{-i},{i % 2}"))
    data = read_table(path, target="y", features=["c", "a"])
    assert data.feature_names == ("c", "a")
    np.testing.assert_array_equal(data.train["x"][:, 0], -data.train["x"][:, 1])


@pytest.mark.parametrize(
    ("missing", "strategy"), [("mean", "mean"), ("median", "median"), ("most_common", "most_frequent")]
)
def test_gaps_are_filled_as_scikit_learn_fills_them_from_train_alone(write, missing, strategy):
    numbers = np.random.default_rng(0).integers(0, 9, 80).astype(float) ** 2
    gap = np.arange(80) % 5 == 0
    words = np.where(np.arange(80) % 7 == 0, "", np.where(numbers > 20, "high", "low"))
    marks = ["", "NA", "nan", "NaN", "null", " "]
    table = rows("a,b,y", lambda i: f"{marks[i % 6] if gap[i] else numbers[i]},{words[i]},{i % 2}", 80)
    data = read_table(write(table), target="y", missing=missing)
    parts = split(np.zeros(80), np.arange(80) % 2)
    imputer = SimpleImputer(strategy=strategy).fit(np.where(gap, np.nan, numbers)[parts[0], None])
    texts: Any = np.array([[word or None] for word in words], object)
    fill = SimpleImputer(strategy="most_frequent", missing_values=None).fit(texts[parts[0]])  # pyright: ignore[reportArgumentType]
    encoder = OneHotEncoder(sparse_output=False).fit(fill.transform(texts[parts[0]]))
    for found, part in zip(data.splits.values(), parts, strict=True):
        filled: Any = imputer.transform(np.where(gap, np.nan, numbers)[part, None])
        np.testing.assert_allclose(found["x"][:, :1], filled, rtol=1e-6)
        np.testing.assert_array_equal(found["x"][:, 1:3], encoder.transform(fill.transform(texts[part])))


def test_nothing_of_validation_and_test_reaches_train(write):
    """Other numbers and categories there leave train as it was, gaps and all."""
    parts = split(np.zeros(40), np.arange(40) % 2)
    held_out = set(parts[1].tolist()) | set(parts[2].tolist())

    def table(number, word):
        def line(i):
            if i in held_out:
                return f"{number + i},{word},{i % 2}"
            return f"{'' if i % 4 == 0 else i},{'' if i % 5 == 0 else 'uv'[i % 2]},{i % 2}"

        return read_table(write(rows("a,b,y", line)), target="y")

    one, other = table(0, "u"), table(1e6, "w")
    np.testing.assert_array_equal(one.train["x"], other.train["x"])
    assert one.feature_names == other.feature_names == ("a", "b=u", "b=v", "b=unknown")
    assert other.test is not None and other.test["x"][:, 3].all()  # a category that train does not have


def test_of_two_values_that_are_as_common_the_smaller_one_fills(write):
    column = Column("a", [8, 3, None, 3, 8, None], range(2, 8), "line", is_text=False)
    np.testing.assert_array_equal(encoded("a.csv", column, np.arange(6), "most_common")[0][:, 0], [8, 3, 3, 3, 8, 3])


def test_a_category_called_unknown_has_a_column_of_its_own(write):
    data = read_table(write(rows("a,y", lambda i: f"{['unknown', 'b'][i % 2]},{i % 2}")), target="y")
    assert data.feature_names == ("a=b", "a=unknown", "a=not in train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a header and rows, found an empty file"),
        ("a,y\n", "expected rows below the header, found none"),
        ("a,y\n\n1,2\n\n3\n", r"e\.csv: line 5: expected 2 fields as in the header, found 1, the first of them '3'"),
        ('a,y\n"1\n2",3\n4,5,6\n', "line 4: expected 2 fields .* found 3"),
        ("a,y,a\n1,2,3\n", "line 1: expected different column names, found 'a' for the columns 1 and 3"),
        (",y\n1,2\n", "line 1: expected a name for column 1, found none"),
        (b"a,y\n1,\xff\n", r"expected text in UTF-8, found 0xff at byte 6 \(line 2\)"),
        ("a,y\n1,2\n".encode("utf-16"), "found UTF-16; save it as UTF-8"),
        (b"a,y\n1,\0\n", r"found a NUL byte at byte 6 \(line 2\)"),
        ('a,y\n1,"2\n', "line 2: expected a row of a CSV file, found none .unexpected end of data"),
        ('a,y\n1,"2"3\n', "line 2: expected a row"),
        (f"a,y\n1,{'x' * 200_000}\n", "line 2: expected a row .*field larger than field limit"),
        (rows("a,y", lambda i: f"{i},{'' if i == 7 else 1}"), "line 9, column 'y': expected a value of the target"),
        (column(lambda i: "12;" if i == 3 else i), "line 5, column 'a': expected a number .*39 of 40.*, found '12;'"),
        (column(lambda i: f'"{i},5"'), "line 2, column 'a': expected a number such as -1234.5, .* found '0,5'"),
        (column(lambda i: "1e99" if i == 3 else i), "line 5, column 'a': expected a finite number .* found '1e\\+99'"),
        (column(lambda i: "inf" if i == 3 else i), "line 5, column 'a': expected a finite number"),
        (column(lambda i: "9" * 500), "line 2, column 'a': expected a number of fewer digits, found '9999"),
        (column(lambda i: f"2020-01-{i}"), "line 2, column 'a': expected numbers, text .* found '2020-01-0'; .* year"),
        (column(lambda i: f"{i}:30"), "found '0:30'"),
        (column(lambda i: "NA"), "column 'a': expected a value in some row of train, found none"),
        (column(lambda i: f"Ms {i}", 100), "column 'a': expected at most 1000 categories .* found 80 in 80 rows"),
        (rows("a,y", lambda i: f"{i},{i}", 1100), "column 'y': expected at most 1000 classes, found 1100; pass task"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_by_line_and_column(write, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_table(write(content), target="y")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "lable"}, ValueError, "target: there is no column 'lable' in .*; did you mean 'label'"),
        ({"features": ["sise"]}, ValueError, "features: there is no column 'sise' .* did you mean 'size'"),
        ({"features": "size"}, TypeError, "features: expected a sequence of column names, found 'size'"),
        ({"features": ["size", "size"]}, ValueError, "expected different names"),
        ({"features": ["size", "label"]}, ValueError, "other than the target, found 'label' among them"),
        ({"features": []}, ValueError, "at least one column besides 'label'"),
        ({"categorical": ["x"]}, ValueError, "categorical: there is no column 'x'"),
        ({"missing": "mena"}, ValueError, "did you mean 'mean'"),
        ({"task": "clasification"}, ValueError, "did you mean 'classification'"),
        ({"delimiter": ""}, ValueError, "delimiter: expected one character"),
        ({"max_bytes": 0}, ValueError, "max_bytes: expected at least 1"),
        ({"max_bytes": 20}, DataError, "expected a CSV file of at most 20 bytes"),
        (
            {"missing": "error"},
            DataError,
            "line 3, column 'size': expected a value, found a missing value; pass",
        ),
        ({"task": "regression", "target": "word", "features": ["size"]}, DataError, "a number as the target of regr"),
        ({"task": "classification", "target": "size", "features": ["label"], "missing": "mean"}, DataError, "target"),
        ({"fractions": (1, 0, 0)}, ValueError, "three positive numbers"),
        ({"kee": 1}, TypeError, "did you mean 'key'"),
    ],
)
def test_wrong_arguments_are_refused(write, options, error, message):
    path = write(rows("size,word,label", lambda i: f"{'' if i == 1 else i},w{i % 3},{i % 2}"))
    with pytest.raises(error, match=message):
        read_table(path, **{"target": "label", **options})


def test_the_wrong_delimiter_is_recognised(write):
    with pytest.raises(ValueError, match="its header looks like delimiter=';', not ','"):
        read_table(write("a;y\n1;2\n"), target="y")


def test_a_broken_class_number_and_too_few_rows_are_refused(write):
    with pytest.raises(DataError, match="line 3, column 'y': expected a whole number as a class, found '0.5'"):
        read_table(write(rows("a,y", lambda i: f"{i},{i / 2}")), target="y", task="classification")
    with pytest.raises(ValueError, match="would be empty"):
        read_table(write("a,y\n1,2\n"), target="y")


def test_what_is_not_a_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected a CSV file, found a folder"):
        read_table(tmp_path, target="y")
    with pytest.raises(DataError, match="expected a CSV file, found nothing there"):
        read_table(tmp_path / "absent.csv", target="y")


def test_a_parquet_file_without_pyarrow_tells_what_to_install(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"not installed; run: pip install 'dlcore\[parquet\]'"):
        read_table(write(b"", "a.parquet"), target="y")


def test_a_parquet_file_gives_what_the_csv_file_gives(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "a": [None if i % 5 == 0 else i for i in range(40)],
        "b": [float("nan") if i % 7 == 0 else i / 8 for i in range(40)],
        "c": [i % 3 == 0 for i in range(40)],
        "d": [None if i % 4 == 0 else "uv"[i % 2] for i in range(40)],
        "y": ["no yes".split()[i % 2] for i in range(40)],
    }
    table = pyarrow.table(columns)
    table = table.set_column(3, "d", table["d"].dictionary_encode())
    parquet.write_table(table, tmp_path / "t.parquet")
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    for features in (None, ["d", "a"]):
        one = read_table(tmp_path / "t.parquet", target="y", features=features)
        other = read_table(tmp_path / "t.csv", target="y", features=features)
        assert one.classes == other.classes and one.feature_names == other.feature_names
        for name, part in one.splits.items():
            np.testing.assert_array_equal(part["x"], other.splits[name]["x"])
            np.testing.assert_array_equal(part["y"], other.splits[name]["y"])


def test_parquet_files_that_cannot_be_used_are_refused(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    import datetime

    path = tmp_path / "t.parquet"

    def refused(message, error: type[Exception] = DataError, **options):
        with pytest.raises(error, match=message) as caught:
            read_table(path, **{"target": "y", **options})
        assert "\n" not in str(caught.value)

    parquet.write_table(pyarrow.table({"a": [datetime.date(2020, 1, 1)] * 40, "l": [[1]] * 40, "y": [0, 1] * 20}), path)
    refused("column 'a': expected numbers, text or booleans, found dates or times", features=["a"])
    refused("column 'l': expected numbers, text or booleans, found list", features=["l"])
    refused("there is no column 'b' in", ValueError, features=["b"])
    path.write_bytes(path.read_bytes()[:-20])
    refused("expected a Parquet file, found none that can be read")
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], "int32"), "y": pyarrow.array([], "int32")}), path)
    refused("expected rows, found none")
    parquet.write_table(pyarrow.table({"a": np.zeros(200_000, np.int32), "y": np.zeros(200_000, np.int32)}), path)
    assert os.path.getsize(path) < 50_000
    refused("expected at most 50000 values, found 400000", max_bytes=50_000)
    parquet.write_table(pyarrow.table({"a": [float("inf")] * 40, "y": [0, 1] * 20}), path)
    refused("row 1, column 'a': expected a finite number")
