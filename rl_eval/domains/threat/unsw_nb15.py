"""`env.data=unsw_nb15`: read the public UNSW-NB15 partition (Moustafa & Slay 2015), 45 columns with a header."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rl_eval.domains.threat.columns.fields import table_of
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.csv_data import existing_file
from rl_eval.domains.threat.flow_table import Reading, Table
from rl_eval.domains.threat.formats.table_reader import read_sheet
from rl_eval.domains.threat.labels import binary_label
from rl_eval.errors import InputError

TRAIN, TEST = "UNSW_NB15_training-set.csv", "UNSW_NB15_testing-set.csv"
CATEGORICAL = ("proto", "service", "state")
NUMERIC = (
    "dur spkts dpkts sbytes dbytes rate sttl dttl sload dload sloss dloss sinpkt dinpkt sjit djit swin stcpb "
    "dtcpb dwin tcprtt synack ackdat smean dmean trans_depth response_body_len ct_srv_src ct_state_ttl "
    "ct_dst_ltm ct_src_dport_ltm ct_dst_sport_ltm ct_dst_src_ltm is_ftp_login ct_ftp_cmd ct_flw_http_mthd "
    "ct_src_ltm ct_srv_dst is_sm_ips_ports"
).split()
# `id` is left out: rows are sorted by class, so it would reveal the label.


def files(config: Config) -> tuple[Path, ...]:
    """The training and the test file of a folder, or one file."""
    if not config.path:
        raise InputError(
            f"env.data=unsw_nb15 needs env.path: give the folder that holds the public files {TRAIN} and {TEST}, "
            "or one of them to be split"
        )
    path = Path(config.path)
    if path.is_dir():
        return existing_file(path / TRAIN), existing_file(path / TEST)
    if not path.exists():
        raise InputError(
            f"env.path={config.path} does not exist: give the folder that holds {TRAIN} and {TEST}, or one file"
        )
    return (path,)


def read(config: Config) -> tuple[Table, Table | None]:
    """Training flows and, if there are two files, the published test set."""
    tables = [_read(path, config) for path in files(config)]
    return tables[0], tables[1] if len(tables) == 2 else None


def _read(path: Path, config: Config) -> Table:
    sheet = read_sheet(path)
    missing = [name for name in (*NUMERIC, *CATEGORICAL, "attack_cat", "label") if name not in sheet.frame.columns]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r} ({len(missing)} of UNSW-NB15's are missing): give the public file "
            "with its header, or read another layout with env.data=csv"
        )
    label = binary_label(sheet, "label", ("0",), ("1",), fixed=True)
    names, category = sheet.levels("attack_cat")
    benign = np.array([name.lower() in {"normal", ""} for name in names])[category]
    contradicts = np.flatnonzero(benign == (label == 1))
    if len(contradicts):
        row = contradicts[0]
        raise InputError(
            f"{sheet.at(row)}: label {label[row]} contradicts attack_cat {names[category[row]]!r}: "
            "0 goes with Normal and 1 with an attack"
        )
    reading = Reading((*NUMERIC, *CATEGORICAL), frozenset(NUMERIC))
    return table_of(sheet, reading, label, names, category, missing_allowed=config.missing != "error")
