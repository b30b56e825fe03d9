"""Reads what W&B keeps of a run on disk: `run-<id>.wandb`, LevelDB's log format around protobuf records."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER, FILE_HEADER = 32_768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbFile:
    """What a `.wandb` file says."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    panels: dict[str, str] = field(default_factory=dict)  # name of a plot -> the chart that draws it
    artifacts: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # name -> type, files by name


def read_wandb_file(run_dir: Path) -> WandbFile:
    """The one offline run below `run_dir/wandb`."""
    from wandb.proto import wandb_internal_pb2 as pb

    (path,) = run_dir.glob("wandb/*run-*/run-*.wandb")
    logged = WandbFile()
    for payload in _payloads(path.read_bytes()):
        record = pb.Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            logged.run = record.run
            logged.config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
        elif kind == "config":
            for item in record.config.update:
                if list(item.nested_key[:2]) == ["_wandb", "visualize"]:
                    logged.panels[item.nested_key[2]] = json.loads(item.value_json)["panel_config"]["panelDefId"]
        elif kind == "artifact":
            files = {entry.path: entry.local_path for entry in record.artifact.manifest.contents}
            logged.artifacts[record.artifact.name] = record.artifact.type, files
        elif kind == "history":
            logged.history.append(_items(record.history.item))
        elif kind == "summary":
            logged.summary.update(_items(record.summary.update))
        elif kind == "metric":
            logged.step_metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            logged.exit_code = record.exit.exit_code
    return logged


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _payloads(data: bytes) -> list[bytes]:
    assert data[:4] == b":W&B"
    payloads, parts, at = [], b"", FILE_HEADER
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        at += HEADER
        parts = (b"" if kind in (FULL, FIRST) else parts) + data[at : at + length]
        at += length
        if kind in (FULL, LAST):
            payloads.append(parts)
    return payloads
