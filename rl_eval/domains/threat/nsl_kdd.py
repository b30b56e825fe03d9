"""`env.data=nsl_kdd`: read the public NSL-KDD files (Tavallaee et al. 2009).

They have no header: 41 features, the label (`normal` or one of 39 attack types) and, in most copies, a difficulty. The
difficulty counts classifiers that got the flow right, so it is not a feature.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rl_eval.domains.threat.columns.fields import table_of
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.csv_data import existing_file
from rl_eval.domains.threat.flow_table import Reading, Table
from rl_eval.domains.threat.formats.table_reader import read_sheet
from rl_eval.errors import InputError, nearest

TRAIN, TEST = "KDDTrain+.txt", "KDDTest+.txt"
CATEGORICAL = ("protocol_type", "service", "flag")
FEATURES = (
    "duration", *CATEGORICAL, "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent", "hot",
    "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root",
    "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login",
    "is_guest_login", "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate",
    "srv_rerror_rate", "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate", "dst_host_count",
    "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
)  # fmt: skip
ATTACKS = frozenset(
    # in the training file
    "back buffer_overflow ftp_write guess_passwd imap ipsweep land loadmodule multihop neptune nmap perl phf "
    "pod portsweep rootkit satan smurf spy teardrop warezclient warezmaster "
    # in the test file only
    "apache2 httptunnel mailbomb mscan named processtable ps saint sendmail snmpgetattack snmpguess sqlattack "
    "udpstorm worm xlock xsnoop xterm".split()
)


def files(config: Config) -> tuple[Path, ...]:
    """The training and the test file of the folder."""
    if not config.path:
        raise InputError(
            f"env.data=nsl_kdd needs env.path: give the folder that holds the public files {TRAIN} and {TEST}"
        )
    folder = Path(config.path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"env.path={config.path} is a file: give the folder that holds {TRAIN} and {TEST}")
    if not folder.is_dir():
        raise InputError(f"env.path={config.path} does not exist: give the folder that holds {TRAIN} and {TEST}")
    return existing_file(folder / TRAIN), existing_file(folder / TEST)


def read(config: Config) -> tuple[Table, Table]:
    """Flows to learn from (`KDDTrain+`) and the published test set (`KDDTest+`)."""
    train, test = files(config)
    return _read(train, config), _read(test, config)


def _read(path: Path, config: Config) -> Table:
    sheet = read_sheet(path, headerless={42: [*FEATURES, "label"], 43: [*FEATURES, "label", "difficulty"]})
    names, category = sheet.levels("label")
    for code, name in enumerate(names):
        if name != "normal" and name not in ATTACKS:
            row = int(np.flatnonzero(category == code)[0])
            raise InputError(
                f"{sheet.at(row)}: the label {name!r} is unknown: {nearest(name, ['normal', *ATTACKS])}"
                "the labels are 'normal' and the 39 attack types of NSL-KDD"
            )
    label = np.array([name != "normal" for name in names], np.int8)[category]
    # All fields except three are numbers by definition, so anything else is an error in the file.
    reading = Reading(FEATURES, frozenset(FEATURES) - set(CATEGORICAL))
    return table_of(sheet, reading, label, names, category, missing_allowed=config.missing != "error")
