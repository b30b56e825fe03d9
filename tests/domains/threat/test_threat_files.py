"""Files with faults: each fault is one sentence with the file and the line."""

import numpy as np
import pytest

from rl_eval.domains import threat
from rl_eval.domains.threat import csv_data, nsl_kdd, unsw_nb15
from rl_eval.domains.threat.data import load_dataset
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
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_marks_and_crlf_change_nothing(tmp_path, prefix, end):
    table = read(written(tmp_path, [HEADER, *ROWS], end=end, prefix=prefix))
    assert table.numeric[:, 0].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert table.levels == (("icmp", "tcp", "udp"),)
    assert table.label.tolist() == [0, 1, 0, 1]


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
        (["1,tcp,0", "", "2,udp,1"], r"flows\.csv, line 3: 1 column where 3 are expected"),
        (["1,tcp,0", "2,udp,maybe"], r"flows\.csv, line 3: the label 'maybe' in column 'label' is unknown"),
        (["1,tcp,0", "2,udp,"], r"flows\.csv, line 3: the label '' in column 'label' is unknown"),
        (["1,tcp,0", ",udp,1"], r"flows\.csv, line 3: the column 'size' is empty where a finite number"),
        (["1,tcp,0", "2,tcp,0", "NaN,udp,1"], r"flows\.csv, line 4: the column 'size' holds 'NaN'"),
        (["1,tcp,0", "2,tcp,0", "inf,udp,1"], r"flows\.csv, line 4: the column 'size' holds 'inf'"),
        (["1,tcp,0", "2,tcp,0", "12x,udp,1"], r"flows\.csv, line 4: the column 'size' holds '12x'"),
        ([], r"flows\.csv has a header and no rows"),
        (['1,"tcp,0', "2,udp,1"], r"flows\.csv, line 2: 2 columns where 3 are expected"),
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
        (b"size,proto,label\n1,\xff\xfe,0\n", r"flows\.csv, line 2: not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"flows\.csv, line 1: not UTF-8 text"),
        (b"size,proto,label\n1,a\0b,0\n", r"flows\.csv, line 2: not UTF-8 text"),
        (b"size;proto;label\n1;tcp;0\n", r"flows\.csv, line 1: only one column"),
        (b"size,size,label\n1,2,0\n", r"line 1: the column 'size' twice"),
        (b"size,,label\n1,2,0\n", r"line 1: a column without a name"),
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
