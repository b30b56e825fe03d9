"""Zeek logs, JSON lines and Suricata's EVE: what only these formats say, and their faults."""

import json

import pytest

from rl_eval.domains import threat
from rl_eval.domains.threat import csv_data
from rl_eval.domains.threat.formats.eve import events_of, with_alerts
from rl_eval.domains.threat.formats.table_reader import read_sheet
from rl_eval.errors import InputError

HEAD = "#separator \\x09\n#unset_field\t-\n#empty_field\t(empty)\n#path\tconn\n"
FIELDS = "#fields\tts\tuid\tid.orig_h\tid.resp_p\tduration\tservice\n"
FIELDS += "#types\ttime\tstring\taddr\tport\tinterval\tstring\n"
ROW = "1700000000.5\tCx1\t10.0.0.1\t80\t-\t(empty)\n"


def sheet(tmp_path, text, name="conn.log"):
    path = tmp_path / name
    path.write_text(text)
    return read_sheet(path)


def test_a_zeek_log_says_what_its_columns_are(tmp_path):
    read = sheet(tmp_path, HEAD + FIELDS + ROW + "#close\t2026\n")
    assert read.layout.format == "Zeek log"
    assert read.layout.declared == {
        "ts": "time", "id.orig_h": "address", "id.resp_p": "number", "duration": "number",
    }  # fmt: skip
    assert read.layout.identifiers == {"uid"}
    assert read.frame.row(0) == ("1700000000.5", "Cx1", "10.0.0.1", "80", None, None)
    assert read.lines.tolist() == [7]


def test_logs_that_follow_each_other_in_one_file_are_one_table(tmp_path):
    read = sheet(tmp_path, (HEAD + FIELDS + ROW + "#close\t2026\n") * 3)
    assert read.lines.tolist() == [7, 15, 23]
    with pytest.raises(InputError, match="holds logs with different #fields"):
        sheet(tmp_path, HEAD + FIELDS + ROW + HEAD + FIELDS.replace("service", "proto") + ROW)


def test_labelled_logs_may_separate_their_last_fields_by_blanks(tmp_path):
    text = HEAD + FIELDS.replace("service", "service   label   detail").replace(
        "\tstring\n", "\tstring   string   string\n"
    )
    read = sheet(tmp_path, text + ROW.replace("(empty)\n", "http   Malicious   C&C\n"))
    assert read.frame.columns[-3:] == ["service", "label", "detail"]
    assert read.frame.row(0)[-3:] == ("http", "Malicious", "C&C")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "1\t2\n", r"has no line #fields"),
        (HEAD + FIELDS + "1\t2\n", r"conn\.log, line 7: 2 columns where 6 are expected"),
        (HEAD + FIELDS, r"has a header and no rows"),
        ("#separator ab\n#fields\ta\n", r"one ASCII character is expected"),
    ],
)
def test_faults_of_zeek_logs_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        sheet(tmp_path, text)


def test_nested_objects_are_columns_and_numbers_stay_as_written(tmp_path):
    lines = [
        '{"a": {"b": 1e300, "c": [1, 2]}, "d": true}',
        "",
        '{"a": {"e": [{"f": 1}]}, "d": null, "g": 12345678901234567890}',
    ]
    read = sheet(tmp_path, "\n".join(lines))
    assert read.frame.to_dicts() == [
        {"a.b": "1e300", "a.c": "1,2", "d": "true", "a.e": None, "g": None},
        {"a.b": None, "a.c": None, "d": None, "a.e": '[{"f": "1"}]', "g": "12345678901234567890"},
    ]
    assert read.lines.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', r"conn\.log, line 2: not JSON"),
        ('{"a": 1}\n3\n', r"conn\.log, line 2: '3' where an object is expected"),
        ("{" * 5 + "\n", r"line 1: not JSON"),
        ('{"a":' * 9999 + "1" + "}" * 9999 + "\n", r"line 1: not JSON \(it is nested too deep\)"),
        ("\n".join(json.dumps({f"k{i}": i}) for i in range(2500)), r"more than 2,000 different keys"),
    ],
)
def test_faults_of_json_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        sheet(tmp_path, text)


def event(kind, flow_id, **values):
    return {"timestamp": "2026-01-01T10:00:00.000000+0000", "event_type": kind, "flow_id": flow_id, **values}


ALERT = {"signature": "ET SCAN", "category": "Recon", "severity": 2}
EVENTS = [
    event("alert", 1, alert=ALERT),
    event("flow", 1, flow={"bytes_toserver": 10}),
    event("flow", 2, flow={"bytes_toserver": 20, "alerted": False}),
    event("dns", 2, dns={"rrname": "a.example"}),
    event("flow", 3, flow={"bytes_toserver": 30, "alerted": True}),
    event("stats", 0, stats={"uptime": 7}),
    event("flow", 4, flow={"bytes_toserver": 40}),
    event("alert", 4, alert={**ALERT, "category": "Trojan"}),
]


def eve(tmp_path, events=EVENTS):
    path = tmp_path / "eve.json"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in events))
    return path


def test_flows_of_eve_are_labelled_by_the_alerts_of_their_flow(tmp_path):
    config = threat.Config(data="csv", path=str(eve(tmp_path)), label="alert", missing="median")
    table, _ = csv_data.read(config)
    assert table.label.tolist() == [1, 0, 1, 1]
    assert [table.category_names[c] for c in table.category] == ["Recon", "", "", "Trojan"]
    assert "flow.bytes_toserver" in table.numeric_names
    left_out = {entry.column: entry.reason for entry in table.reading.left_out}
    assert {"flow_id", "alert.signature", "alert.severity", "flow.alerted"} <= set(left_out)
    assert table.reading.events == ("flow",)
    assert not any(
        name.startswith(("alert", "dns", "stats")) for name in (*table.numeric_names, *table.categorical_names)
    )


def test_rows_of_eve_are_the_events_that_have_the_label(tmp_path):
    events = [{**entry, "verdict": "bad"} if entry["event_type"] == "alert" else entry for entry in EVENTS]
    whole = with_alerts(read_sheet(eve(tmp_path, events)))
    assert events_of(whole, "verdict") == ("alert",)
    assert events_of(whole, None) == ("flow",)
    config = threat.Config(
        data="csv", path=str(eve(tmp_path, events)), label="verdict", threat_labels=("bad",), missing="median"
    )
    table, _ = csv_data.read(config)
    assert len(table) == 2
    assert "alert.category" in table.categorical_names  # what the sensor says is known when an analyst decides
    with pytest.raises(InputError, match=r"no column 'verdicts': did you mean 'verdict'"):
        csv_data.read(config.model_copy(update={"label": "verdicts"}))


def test_a_file_of_alerts_alone_has_alerts_as_rows(tmp_path):
    without_flow = {key: value for key, value in EVENTS[-1].items() if key != "flow_id"}
    only = with_alerts(read_sheet(eve(tmp_path, [EVENTS[0], without_flow])))
    assert events_of(only, None) == ("alert",)
    assert only.frame["alert"].to_list() == ["1", "1"]
