"""CSV files: what is read, and which line an error names."""

from __future__ import annotations

import numpy as np
import pytest

from steepest.apps.fits.table import TableError, read_table


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return str(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_and_units(tmp_path, separator):
    rows = ["t [s] ", "U (mV)", "note "], ["1", " 2.5 ", "first"], ["3e0", "-4", "second"]
    table = read_table(written(tmp_path, "\n".join(separator.join(row) for row in rows)))
    assert table.units == {"t": "s", "U": "mV", "note": ""}
    np.testing.assert_array_equal(table.column("t"), [1, 3])
    np.testing.assert_array_equal(table.column("U"), [2.5, -4])


def test_names_are_spelled_as_formulas_are_and_units_as_they_stand(tmp_path):
    table = read_table(written(tmp_path, "\N{MICRO SIGN} [m²],t（s）\n1,2\n"))
    assert table.units == {"\N{GREEK SMALL LETTER MU}": "m²", "t": "s"}


def test_comments_blank_lines_quotes_byte_order_mark_and_crlf(tmp_path):
    text = '\ufeff# made by hand\r\n\r\n"x, long [m]",y\r\n1,2\r\n  \r\n #3,4\r\n5,6'
    table = read_table(written(tmp_path, text))
    assert table.units == {"x, long": "m", "y": ""}
    np.testing.assert_array_equal(table.column("x, long"), [1, 5])
    assert table.lines == [4, 7]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheets_word_for_its_separator_is_no_header(tmp_path, separator):
    text = f"sep={separator}\r\nx{separator}y\r\n1{separator}2\r\n"
    table = read_table(written(tmp_path, text))
    assert table.units == {"x": "", "y": ""} and table.header_line == 2 and table.lines == [3]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_space_may_stand_before_a_quote(tmp_path, separator):
    lines = ['"x"', '"y, long [m]"'], ['"1"', '"2"'], ["3", "4"]
    table = read_table(written(tmp_path, "\n".join(f"{separator} ".join(row) for row in lines)))
    assert table.units == {"x": "", "y, long": "m"}
    np.testing.assert_array_equal(table.column("y, long"), [2, 4])


def test_a_numbers_line_is_named_after_comments(tmp_path):
    table = read_table(written(tmp_path, "# note\nx,y\n1,2\n\n3,four\n"))
    with pytest.raises(TableError, match=r"data.csv, line 5: column 'y': 'four' is not a number$"):
        table.column("y")


@pytest.mark.parametrize("header", ["t  U[mV]", "  t U[mV] ", '"t" "U [mV]"'])
def test_blanks_separate_where_nothing_else_does(tmp_path, header):
    table = read_table(written(tmp_path, f"{header}\n 1 2\n3\t  4 \n\n# 5 6\n7 8"))
    assert table.units["t"] == "" and table.units["U"] == "mV" and len(table.units) == 2
    np.testing.assert_array_equal(table.column("t"), [1, 3, 7])
    np.testing.assert_array_equal(table.column("U"), [2, 4, 8])
    assert table.lines == [2, 3, 6]


@pytest.mark.parametrize("separator", [" ", ",", ";", "\t"])
def test_what_savetxt_writes_is_read(tmp_path, separator):
    path = tmp_path / "data.txt"
    numbers = np.random.default_rng(0).standard_normal((3, 2))
    header = separator.join(["t", "U"])
    np.savetxt(path, numbers, delimiter=separator, header=f"made by hand\n{header}")
    table = read_table(str(path))
    assert table.units == {"t": "", "U": ""} and table.header_line == 2
    np.testing.assert_array_equal(np.stack([table.column("t"), table.column("U")], 1), numbers)


HEADERS = {  # and the units read from it
    "T,t,2": {"T": "", "t": "", "2": ""},
    "k (1/(s M)),U (rms) [V],b],f)": {"k": "1/(s M)", "U (rms)": "V", "b]": "", "f)": ""},
    "t [h;m]\tU": {"t": "h;m", "U": ""},
    "t [a,b];U": {"t": "a,b", "U": ""},
    '"two\nlines",y': {"two\nlines": "", "y": ""},
}


@pytest.mark.parametrize("header", HEADERS)
def test_names_and_units_of_a_header(tmp_path, header):
    n, mark = len(HEADERS[header]), next(mark for mark in "\t;," if mark in header)
    table = read_table(written(tmp_path, f"{header}\n{mark.join('12345'[:n])}\n"))
    assert table.units == HEADERS[header]
    assert table.column(list(table.units)[-1]) == n


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_line_ends_where_an_editor_ends_it(tmp_path, mark):
    table = read_table(written(tmp_path, f"# a{mark}b\rnote,x\r\na{mark};b,1\nc;,oops\n"))
    assert table.rows == [[f"a{mark};b", "1"], ["c;", "oops"]]
    assert table.lines == [3, 4]


@pytest.mark.parametrize(
    "text, names",
    [
        (",y\n0,4\n1,5\n", ["column_1", "y"]),  # as pandas writes its index
        ("t;y;\n0;4;\n1;5;\n", ["t", "y", "column_3"]),
        ("t,[s],y\n0,9,4\n1,9,5\n", ["t", "column_2", "y"]),
    ],
)
def test_a_column_without_a_name_is_named_by_its_place(tmp_path, text, names):
    table = read_table(written(tmp_path, text))
    assert list(table.names) == names
    np.testing.assert_array_equal(table.column("y"), [4, 5])


@pytest.mark.parametrize("header", ["t,u,t,v", "t [s],u,t [ms],v", "lap t,u,lap-t,v"])
def test_a_name_that_comes_twice_is_refused_where_it_is_used(tmp_path, header):
    """As an oscilloscope writes its channels."""
    table = read_table(written(tmp_path, f"{header}\n1,2,3,4\n"))
    assert [table.column(name) for name in "uv"] == [2, 4]
    name = list(table.names)[0]
    with pytest.raises(TableError, match=f"data.csv, line 1: two columns are named '{name}'"):
        table.column(name)
    assert table.column(list(table.names)[2]) == 3


def test_a_name_that_looks_like_that_of_a_second_column_is_no_column_less(tmp_path):
    table = read_table(written(tmp_path, '"t, column 3",t,t,y\n1,2,3,4\n'))
    assert len(table.units) == 4 and table.column("y") == 4


ERRORS = [
    ("", 1, "no header; the first line names the columns"),
    ("\n# only a comment\n", 1, "no header; the first line names the columns"),
    ("x,y\n", 1, "no rows after the header"),
    ("# note\n\nx,y\n", 3, "no rows after the header"),
    ("x,y\n1,2\n3\n", 3, "1 field, where the header has 2"),
    ("x,y\n1,2,3\n", 2, "3 fields, where the header has 2"),
    ("1,2.5\n2,3\n", 1, "numbers; the first line names the columns"),
    ("# a note on these\n1,2\n", 2, "numbers; the first line names the columns"),
    ("# x,y\n\n1,2\n", 3, "numbers; the first line names the columns"),
    ("1,2\n3,4\n# x,y\n", 1, "numbers; the first line names the columns"),
    ("sep=;\n1;2\n", 2, "numbers; the first line names the columns"),
    ("# 1,2\n3,4\n", 1, "numbers; the first line names the columns"),
    ("x y\n1 2 3\n", 2, "3 fields, where the header has 2"),
    ("time ms\n1\n", 2, "1 field, where the header has 2"),
    ("# x y\n1 2\n3\n", 3, "1 field, where the header has 2"),
    ('x,y\n1,"2\n', 2, "unexpected end of data"),
    (
        b"x,y\n1,2\n3,\xff\n",
        3,
        "not text in UTF-8; save it as that, or give --encoding, such as latin-1",
    ),
    (
        "x,y\n1,2\n".encode("utf-16"),
        1,
        "not text in UTF-8; save it as that, or give --encoding, such as utf-16",
    ),
]


@pytest.mark.parametrize(("text", "line", "problem"), ERRORS)
def test_an_unreadable_file_names_the_line(tmp_path, text, line, problem):
    with pytest.raises(TableError) as caught:
        read_table(written(tmp_path, text))
    assert str(caught.value).endswith(f"data.csv, line {line}: {problem}")
    assert caught.value.line == line


LEFT_OUT = "; --omit-missing leaves such rows out"
DATED = "; write a date or a time as a number, such as the days since the first"
FIELDS = [
    ("", f"an empty field is not a number{LEFT_OUT}"),
    ("  ", f"an empty field is not a number{LEFT_OUT}"),
    ('"1,5"', r"'1,5' \(a decimal has a point\) is not a number"),
    ("2024-01-31", f"'2024-01-31' is not a number{DATED}"),
    ("31.1.2024 9:00", f"'31.1.2024 9:00' is not a number{DATED}"),
    ("12:30:00", f"'12:30:00' is not a number{DATED}"),
    ("1-2", "'1-2' is not a number"),
    ('"1,5,5"', "'1,5,5' is not a number"),
    ('" "', f"an empty field is not a number{LEFT_OUT}"),
    ("NA", f"'NA' is not a number{LEFT_OUT}"),
    ('"a,5"', "'a,5' is not a number"),
    ("one ", "'one' is not a number"),
    ("1 000", "'1 000' is not a number"),
    ("1_000", "'1_000' is not a number"),
    ("1_", "'1_' is not a number"),
    ("nan", f"nan is not finite{LEFT_OUT}"),
    ("-inf", "-inf is not finite"),
    ("1e999 ", "1e999 is not finite"),
]


@pytest.mark.parametrize(("field", "problem"), FIELDS)
def test_a_field_that_is_no_number_names_line_and_column(tmp_path, field, problem):
    table = read_table(written(tmp_path, f"x,y\n1,2\n{field},4\n"))
    with pytest.raises(TableError, match=f"data.csv, line 3: column 'x': {problem}$"):
        table.column("x")
    np.testing.assert_array_equal(table.column("y"), [2, 4])


def test_a_column_has_a_name_that_formulas_can_say(tmp_path):
    text = "lap time [s],t-s,lambda,2,%,x\n1,2,3,4,5,6\n"
    table = read_table(written(tmp_path, text))
    names = {"lap_time": "s", "t_s": "", "lambda_": "", "_2": "", "%": "", "x": ""}
    assert table.names == names
    assert [table.column(name)[0] for name in names] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(table.column("lap time"), [1])


def test_between_semicolons_a_decimal_may_have_a_comma(tmp_path):
    table = read_table(written(tmp_path, "x;y;z\n1,5;-2,25e-3; 7\n2.5;1,000;1,2,3\n"))
    np.testing.assert_array_equal(table.column("x"), [1.5, 2.5])
    np.testing.assert_array_equal(table.column("y"), [-2.25e-3, 1])
    with pytest.raises(TableError, match="line 3: column 'z': '1,2,3' is not a number$"):
        table.column("z")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_a_file_in_another_encoding(tmp_path, encoding):
    path = written(tmp_path, "t [\N{MICRO SIGN}s],y\n1,2\n".encode(encoding))
    assert read_table(path, encoding).units == {"t": "\N{MICRO SIGN}s", "y": ""}
    with pytest.raises(ValueError, match="--encoding: 'latin-7b' is not known"):
        read_table(path, "latin-7b")


def test_rows_with_missing_fields_are_left_out(tmp_path):
    text = "x,y,note\n1,2,\nNA,3,a\n4,,b\n5,NaN,c\n6,7,\n"
    table = read_table(written(tmp_path, text)).without_missing(["y", "x"])
    np.testing.assert_array_equal(table.column("x"), [1, 6])
    assert table.omitted == 3 and table.lines == [2, 6]
    assert table.without_missing(["x"]).rows == table.rows
    with pytest.raises(TableError, match="line 1: every row has a missing field$"):
        table.without_missing(["note"])


def test_a_missing_column_lists_those_there_are(tmp_path):
    table = read_table(written(tmp_path, "# note\nx,y\n1,2\n"))
    with pytest.raises(TableError, match=r"line 2: no column 'z'; the header has x, y$"):
        table.column("z")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(str(tmp_path / "none.csv"))
