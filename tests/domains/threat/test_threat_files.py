"""Files with faults: each fault is one sentence with the file and the line."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from rl_eval import domains
from rl_eval.domains import threat
from rl_eval.domains.threat import csv_data, nsl_kdd, unsw_nb15
from rl_eval.domains.threat.data import load_dataset
from rl_eval.domains.threat.flow_table import row_hashes
from rl_eval.errors import InputError

HEADER = "size,proto,label"
ROWS = ["1.5,tcp,0", "2.5,udp,1", "3.5,tcp,0", "4.5,icmp,1"]


def config(path, **values):
    return threat.Config(data="csv", path=str(path), **{"label": "label", **values})


def read(path, **values):
    return csv_data.read(config(path, **values))[0]


def written(tmp_path, lines, *, end="\n", prefix=b"", name="flows.csv"):
    path = tmp_path / name
    path.write_bytes(prefix + end.join([*lines, ""]).encode())
    return path


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends_change_nothing(tmp_path, prefix, end):
    table = read(written(tmp_path, [HEADER, *ROWS], end=end, prefix=prefix))
    assert table.numeric[:, 0].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert table.levels == (("icmp", "tcp", "udp"),)
    assert table.label.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("header", ["size,pro\rto,label", f"size,{'p' * (1 << 18)},label"])
def test_a_header_that_cannot_be_read_is_one_sentence(tmp_path, header):
    with pytest.raises(InputError, match=r"flows\.csv, line 1: ") as error:
        read(written(tmp_path, [header, *ROWS]))
    assert len(str(error.value).splitlines()) == 1


def test_quoted_cells_may_hold_commas_and_line_ends(tmp_path):
    rows = ['1,"a, ""b""",0', '2,"two\nlines",1', "3,c,what"]
    with pytest.raises(InputError, match=r"flows\.csv, line 5: the label 'what'"):
        read(written(tmp_path, [HEADER, *rows]))
    assert read(written(tmp_path, [HEADER, *rows[:2]])).levels == (('a, "b"', "two\nlines"),)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,tcp,0", "2,udp", "3,tcp,1"], r"flows\.csv, line 3: 2 columns where 3 are expected"),
        (["1,tcp,0", "2,udp,1,9"], r"flows\.csv, line 3: 4 columns where 3 are expected"),
        (["1,tcp,0", "", "2,udp"], r"flows\.csv, line 4: 2 columns where 3 are expected"),
        (["1,tcp,0", "2,udp,maybe"], r"flows\.csv, line 3: the label 'maybe' in column 'label' is unknown"),
        (["1,tcp,0", "2,udp,"], r"flows\.csv, line 3: the label '' in column 'label' is unknown"),
        (["1,tcp,0", ",udp,1"], r"flows\.csv, line 3: the column 'size' is empty where a finite number"),
        (["1,tcp,0", "2,tcp,0", "NaN,udp,1"], r"flows\.csv, line 4: the column 'size' holds 'NaN'"),
        (["1,tcp,0", "2,tcp,0", "inf,udp,1"], r"flows\.csv, line 4: the column 'size' holds 'inf'"),
        (["1,tcp,0", "2,tcp,0", "12x,udp,1"], r"flows\.csv, line 4: the column 'size' holds '12x'"),
        ([], r"flows\.csv has a header and no rows"),
        (['1,"tcp,0', "2,udp,1"], r"flows\.csv, line 2: a quote is opened and never closed"),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, [HEADER, *rows]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"flows\.csv is empty"),
        (b"\n\n", r"flows\.csv is empty"),
        (b"\xef\xbb\xbf\r\n", r"flows\.csv is empty"),
        (b"size,proto,label\n1,\xff\x81,0\n", r"flows\.csv, line 2: not UTF-8 text \(nor Windows-1252\)"),
        (b"size,proto,label\n1,\xc3\xbc,0\n" + b"1,a,0\n" * (1 << 21) + b"1,\xff,0\n", r"line 2097155: not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"flows\.csv, line 1: not UTF-8 text"),
        (b"size,proto,label\n1,a\0b,0\n", r"flows\.csv, line 2: not UTF-8 text"),
        (b"size|proto|label\n1|tcp|0\n", r"flows\.csv, line 1: only one column"),
        (b"sep=|\nsize|proto|label\n1|tcp|0\n", r"flows\.csv, line 1: the separator is '\|'"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "flows.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_a_garbled_parquet_file_is_named(tmp_path):
    path = tmp_path / "flows.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(InputError, match=r"flows\.parquet cannot be read as Parquet"):
        read(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label": "labell"}, r"no column 'labell': did you mean 'label'\? it has size, proto, label; set env\.label"),
        ({"label": None}, r"needs env\.label"),
        ({"category": "kind"}, r"no column 'kind'.*env\.category"),
        ({"ignore": ["id"]}, r"no column 'id'.*env\.ignore"),
        ({"path": "nowhere.csv"}, r"nowhere\.csv does not exist: set env\.path"),
        ({"path": "."}, rf"is a folder, and a file is needed: set env\.path to a file, relative to {Path.cwd()}"),
        ({"path": None}, r"env\.data=csv needs env\.path and env\.label"),
    ],
)
def test_keys_that_name_nothing_are_named(tmp_path, values, message):
    path = written(tmp_path, [HEADER, *ROWS])
    with pytest.raises(InputError, match=message):
        csv_data.read(threat.Config(data="csv", **{"path": str(path), "label": "label", **values}))


def test_one_class_is_not_enough(tmp_path):
    path = written(tmp_path, [HEADER, *(f"{i},tcp,0" for i in range(50))])
    with pytest.raises(InputError, match=r"flows\.csv: the train part has only benign flows"):
        load_dataset(config(path))


def test_labels_may_be_words_and_any_other_may_be_a_threat(tmp_path):
    path = written(tmp_path, [HEADER, "1,tcp,Benign", "2,tcp,DoS", "3,udp,PortScan", "4,udp,BENIGN"])
    with pytest.raises(InputError, match=r"line 3: the label 'DoS'.*threat_labels=\['\*'\]"):
        read(path)
    table = read(path, threat_labels=["*"])
    assert table.label.tolist() == [0, 1, 1, 0]
    assert [table.category_names[c] for c in table.category] == ["Benign", "DoS", "PortScan", "BENIGN"]


def test_the_category_column_and_ignored_columns_are_no_features(tmp_path):
    path = written(tmp_path, ["id,size,kind,port,label", "1,2.0,normal,80,0", "2,3.0,worm,443,1"])
    table = read(path, category="kind", ignore=["id"], categorical=["port"])
    assert (table.numeric_names, table.categorical_names) == (("size",), ("port",))
    assert table.category_names == ("normal", "worm")


def test_nsl_kdd_errors_name_the_expected_files(tmp_path):
    for path, message in [
        (None, r"env\.data=nsl_kdd needs env\.path: .* KDDTrain\+\.txt and KDDTest\+\.txt"),
        ("nowhere", r"env\.path=nowhere does not exist: give the folder that holds KDDTrain\+\.txt"),
        (str(tmp_path), r"KDDTrain\+\.txt does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            nsl_kdd.files(threat.Config(data="nsl_kdd", path=path))


def kdd_row(label, difficulty=",20"):
    return "0,tcp,http,SF," + ",".join(["1"] * 37) + f",{label}{difficulty}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (kdd_row("neptun"), r"KDDTest\+\.txt, line 2: the label 'neptun' is unknown: did you mean 'neptune'"),
        (kdd_row("normal")[2:], r"KDDTest\+\.txt, line 2: 42 columns where 43 are expected"),
        (kdd_row("normal").replace("SF,1", "SF,x"), r"KDDTest\+\.txt, line 2: the column 'src_bytes' holds 'x'"),
    ],
)
def test_nsl_kdd_rows_are_checked(tmp_path, row, message):
    written(tmp_path, [kdd_row("normal"), kdd_row("smurf")], name=nsl_kdd.TRAIN)
    written(tmp_path, [kdd_row("normal"), row], name=nsl_kdd.TEST)
    with pytest.raises(InputError, match=message):
        nsl_kdd.read(threat.Config(data="nsl_kdd", path=str(tmp_path)))


def test_nsl_kdd_may_come_without_difficulty(tmp_path):
    for name in (nsl_kdd.TRAIN, nsl_kdd.TEST):
        written(tmp_path, [kdd_row("normal", ""), kdd_row("mscan", "")], name=name)
    train, _ = nsl_kdd.read(threat.Config(data="nsl_kdd", path=str(tmp_path)))
    assert train.label.tolist() == [0, 1]


def unsw_file(tmp_path, name, rows, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    names = ["id", "dur", *unsw_nb15.CATEGORICAL, *unsw_nb15.NUMERIC[1:], "attack_cat", "label"]
    lines = [",".join(names)]
    for i in range(rows):
        kind = ["Normal", "Exploits", "Fuzzers "][rng.integers(3)]
        numbers = rng.integers(0, 9, len(unsw_nb15.NUMERIC) - 1)
        lines.append(f"{i},{rng.random():.6f},tcp,-,FIN,{','.join(map(str, numbers))},{kind},{int(kind != 'Normal')}")
    return written(tmp_path, lines, name=name, **kwargs)


def test_unsw_nb15_reads_its_45_columns_with_mark_and_crlf(tmp_path):
    unsw_file(tmp_path, unsw_nb15.TRAIN, 300, end="\r\n", prefix=b"\xef\xbb\xbf")
    unsw_file(tmp_path, unsw_nb15.TEST, 100, seed=1)
    dataset = load_dataset(threat.Config(data="unsw_nb15", path=str(tmp_path)))
    assert len(dataset.parts["test"]) == 100
    assert dataset.category_names == ("Exploits", "Fuzzers", "Normal")
    assert not any(name.startswith("id") for name in dataset.preprocessing.columns())
    alone = load_dataset(threat.Config(data="unsw_nb15", path=str(tmp_path / unsw_nb15.TRAIN)))
    assert sum(len(part) for part in alone.parts.values()) == 300


def test_unsw_nb15_refuses_labels_that_contradict_themselves(tmp_path):
    path = unsw_file(tmp_path, "one.csv", 30)
    path.write_text(path.read_text().replace(",Normal,0", ",Normal,1", 1))
    with pytest.raises(InputError, match=r"one\.csv, line \d+: label 1 contradicts attack_cat 'Normal'"):
        unsw_nb15.read(threat.Config(data="unsw_nb15", path=str(path)))
    with pytest.raises(InputError, match=r"env\.data=unsw_nb15 needs env\.path"):
        unsw_nb15.files(threat.Config(data="unsw_nb15"))


def rows_with_times(count=200, times=None):
    rng = np.random.default_rng(0)
    label = rng.random(count) < 0.4
    times = range(count) if times is None else times
    return [f"{t},{v:.9f},tcp,{int(y)}" for t, v, y in zip(times, rng.random(count), label, strict=True)]


TIMED = {"split": "time", "time_column": "ts"}


def test_a_test_file_of_its_own_is_the_test_part(tmp_path):
    train = written(tmp_path, [HEADER, *(f"{i},tcp,{i % 2}" for i in range(60))])
    test = written(tmp_path, ["label,more,proto,size", "0,9,tcp,1", "1,9,gre,2", "1,9,tcp,70"], name="test.csv")
    parts = load_dataset(config(train, test_path=str(test))).parts
    assert parts["test"].label.tolist() == [0, 1, 1]
    assert len(parts["train"]) + len(parts["validation"]) == 60
    alone = load_dataset(config(train)).parts
    assert len(alone["train"]) + len(alone["validation"]) + len(alone["test"]) == 60
    assert parts["test"].hashes[0] in np.concatenate([parts["train"].hashes, parts["validation"].hashes])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["size,label", "1,0"], r"test\.csv lacks the column proto"),
        ([HEADER, "1,tcp,0", "many,tcp,1"], r"test\.csv, line 3: .*'size' holds 'many'"),
        ([HEADER, "1,tcp,0", "2,tcp,what"], r"test\.csv, line 3: the label 'what'"),
    ],
)
def test_a_test_file_must_fit_the_training_file(tmp_path, lines, message):
    train, test = written(tmp_path, [HEADER, *ROWS]), written(tmp_path, lines, name="test.csv")
    with pytest.raises(InputError, match=message):
        csv_data.read(config(train, test_path=str(test)))


def test_a_test_file_is_another_file_that_exists(tmp_path):
    train = written(tmp_path, [HEADER, *ROWS])
    for path, message in ((train, "is the file of env.path"), (tmp_path / "no.csv", "set env.test_path")):
        with pytest.raises(InputError, match=message):
            csv_data.read(config(train, test_path=str(path)))


@pytest.mark.parametrize(
    "times",
    [
        [float(i) for i in range(200)],
        [f"2026-01-{1 + i // 24:02d}T{i % 24:02d}:00:00" for i in range(200)],
        [f"2026-01-{1 + i // 24:02d} {i % 24:02d}:30" for i in range(200)],
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_split_by_time_keeps_the_latest_flows_for_the_test(tmp_path, times, suffix):
    order = np.random.default_rng(1).permutation(200)
    rows = rows_with_times(times=times)
    path = written(tmp_path, ["ts,size,proto,label", *(rows[i] for i in order)])
    if suffix == "parquet":
        pl.read_csv(path, try_parse_dates=True).write_parquet(tmp_path / "flows.parquet")
        path = tmp_path / "flows.parquet"
    parts = load_dataset(config(path, **TIMED)).parts
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [128, 22, 50]
    plain = read(path, ignore=["ts"])
    by_hash = dict(zip(row_hashes(plain).tolist(), order.tolist(), strict=True))
    latest = {name: [by_hash[value] for value in part.hashes.tolist()] for name, part in parts.items()}
    assert max(latest["train"]) < min(latest["validation"])
    assert max(latest["validation"]) < min(latest["test"])


def test_flows_of_one_time_stay_together(tmp_path):
    path = written(tmp_path, ["ts,size,proto,label", *rows_with_times(times=[i // 40 for i in range(200)])])
    parts = load_dataset(config(path, **TIMED)).parts
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [80, 40, 80]
    path = written(tmp_path, ["ts,size,proto,label", *rows_with_times(times=[7] * 200)])
    with pytest.raises(InputError, match="the train part has no flows"):
        load_dataset(config(path, **TIMED))


@pytest.mark.parametrize("cell", ["soon", "01/02/2026", ""])
def test_times_that_are_none_are_named(tmp_path, cell):
    path = written(tmp_path, ["ts,size,proto,label", "2026-01-01,1,tcp,0", f"{cell},2,tcp,1"])
    with pytest.raises(InputError, match=r"line 3: the column 'ts'"):
        read(path, **TIMED)


def test_a_time_column_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path, ["ts,size,proto,label", "1,1,tcp,0", "2,2,tcp,1"])
    with pytest.raises(InputError, match=r"no column 'when'.*env\.time_column"):
        read(path, split="time", time_column="when")


@pytest.mark.parametrize(
    "values",
    [
        {"data": "csv", "split": "time"},
        {"data": "csv", "time_column": "ts"},
        {"data": "nsl_kdd", "test_path": "a"},
        {"split": "time", "time_column": "ts"},
    ],
)
def test_keys_of_the_split_need_csv_and_each_other(values):
    with pytest.raises(ValidationError):
        threat.Config(**values)


def test_keys_that_are_not_set_are_no_part_of_what_the_data_is():
    assert not {"split", "time_column", "test_path"} & set(domains.identity(threat.Config()))
    timed = threat.Config(data="csv", path="a", label="b", split="time", time_column="ts")
    assert domains.identity(timed)["time_column"] == "ts"
