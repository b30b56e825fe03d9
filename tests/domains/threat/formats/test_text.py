"""Text of every encoding, with the heads, names and empty rows that exports have."""

import gzip
import io

import numpy as np
import pytest

from rl_eval.domains.threat.formats.limits import MAX_BYTES, MAX_RECORD_BYTES
from rl_eval.domains.threat.formats.table_reader import open_table, read_sheet
from rl_eval.errors import InputError


def sheet(tmp_path, content, name="flows.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_sheet(path)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("a,b\n1,é\n".encode(), "UTF-8"),
        ("a,b\n1,é–\n".encode("cp1252"), "Windows-1252"),
        ("a,b\n1,é\n".encode("utf-16"), "UTF-16-LE"),
        (b"a,b\n1,2\n", "ASCII"),
    ],
)
def test_the_encoding_is_told_by_mark_or_content(tmp_path, content, encoding):
    read = sheet(tmp_path, content)
    assert read.layout.encoding == encoding
    assert read.frame["b"].to_list()[0][0] in "é2"


@pytest.mark.parametrize(
    ("content", "names", "first_line"),
    [
        ("# made by x\n#\n a , b \n1,2\n", ["a", "b"], 4),
        ("#a,b\n1,2\n", ["#a", "b"], 2),
        ("# a, b\nx,y\n1,2\n", ["x", "y"], 3),
        ("sep=;\na;b\n1;2\n", ["a", "b"], 3),
        ("\n\na;b,c\n1;2\n", ["a", "b,c"], 4),
        ('"a";"b;c"\n1;2\n', ["a", "b;c"], 2),
        ('"a\nx";b\n1;2\n', ["a\nx", "b"], 3),
        ("a\tb\n1\t\n", ["a", "b"], 2),
        ("size,agent\n1,Mozilla; X11\n2,Opera; a; b\n", ["size", "agent"], 2),
        ("a,b\n\n  \n1,2\n", ["a", "b"], 4),
        ("bytes,a b,bytes,bytes.1,\n1,2,3,4,5\n", ["bytes", "a b", "bytes.2", "bytes.1", "Unnamed: 4"], 2),
        (",a\n0,2\n", ["Unnamed: 0", "a"], 2),
    ],
)
def test_heads_and_names(tmp_path, content, names, first_line):
    read = sheet(tmp_path, content)
    assert read.frame.columns == names
    assert read.lines[0] == first_line


def test_rows_without_a_cell_are_left_out_as_spreadsheets_append_them(tmp_path):
    read = sheet(tmp_path, "a,b\n1,2\n,\n,3\n,\n,\n")
    assert read.lines.tolist() == [2, 4]
    with pytest.raises(InputError, match="no rows"):
        sheet(tmp_path, "a,b\n,\n,\n")


def test_blocks_end_where_records_end(tmp_path, monkeypatch):
    rows = [f'{i},"x\n{"y" * (i % 7)}",z' for i in range(300)]
    content = "\n".join(["n,t,u", *rows])
    whole = sheet(tmp_path, content)
    for size in (1, 17, 100, 1000):
        monkeypatch.setattr("rl_eval.domains.threat.formats.text_blocks.BLOCK_BYTES", size)
        monkeypatch.setattr("rl_eval.domains.threat.formats.byte_source.LEAST_BYTES", 1)
        read = sheet(tmp_path, content) if size >= 17 else whole
        assert read.frame.equals(whole.frame)
        assert np.array_equal(read.lines, whole.lines)
    assert whole.lines.tolist() == list(range(2, 602, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8bnot gzip", r"cannot be read as gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], r"cannot be read as gzip \(it is cut off\)"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"looks like UTF-16 without its mark: save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-be"), r"looks like UTF-16 without its mark"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', r"line 3: a quote is opened and never closed"),
        (b"PK\x03\x04...", r"is a zip archive or an Excel workbook"),
        (b"\xd4\xc3\xb2\xa1...", r"is a packet capture: make flows of it"),
        (b"\xff\xfea\0,\0b\0\n\0\0\xd8", r"begins as UTF-16-LE does and is not"),
        (b"[{}]", r"is one JSON array"),
        (b'a,b\n1,"2\n' + b"x,y\n" * (1 << 19), r"line 2: a row of more than 1024 KiB.*close an open quote"),
        (b"a,b\n1,2\n" + b"x" * (2 << 20) + b",y\n", r"line 3: a row of more than 1024 KiB"),
        (",".join(f"c{i}" for i in range(501)).encode() + b"\n", r"has 501 columns; at most 500"),
        (b"# nothing\n# else\n", r"line 2: only one column"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        sheet(tmp_path, content)
    assert "\n" not in str(error.value)


def test_more_than_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(2 * MAX_BYTES)
    with pytest.raises(InputError, match=r"has 2\.0 GiB and at most 1 GiB is read to train on"):
        read_sheet(path)
    monkeypatch.setattr("rl_eval.domains.threat.formats.table_reader.MAX_BYTES", 4096)
    with pytest.raises(InputError, match="GiB of text"):
        sheet(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 9999))
    assert MAX_RECORD_BYTES < MAX_BYTES


def test_a_stream_of_any_size_is_read_in_blocks():
    rows = b"1,2\n" * 600_000
    with open_table(io.BytesIO(b"a,b\n" + rows)) as reader:
        assert sum(len(part) for part in reader.sheets(["b"])) == 600_000
