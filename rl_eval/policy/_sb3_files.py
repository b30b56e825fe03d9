"""The files of a Stable-Baselines3 model: what a name means, and which algorithm a file holds.

Nothing is loaded here.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from rl_eval.untrusted_files import only_regular

MAX_BYTES = 64 << 20  # of `data`
STATISTICS = "vecnormalize.pkl"  # the usual name of what a VecNormalize saves
# Settings that only one algorithm has, and else its module of policies.
_SETTINGS = {
    "top_quantiles_to_drop_per_net": "tqc",
    "n_quantiles": "qrdqn",
    "cg_max_steps": "trpo",
    "delta_std_schedule": "ars",
    "exploration_fraction": "dqn",
    "target_noise_clip": "td3",
}
_MODULES = {
    "sb3_contrib.common.maskable.": "maskableppo",
    "sb3_contrib.common.recurrent.": "recurrentppo",
    "sb3_contrib.crossq.": "crossq",
    "sb3_contrib.qrdqn.": "qrdqn",
    "stable_baselines3.sac.": "sac",
}
SAME = {"ddpg": "td3"}  # saved alike, and they act alike


def zip_and_statistics(files: str) -> tuple[str, str]:
    """`<zip>+<statistics>` in its two parts, the second empty if there is none; both paths may hold a `+`.

    As in Stable-Baselines3 itself, `.zip` at the end may be left out.
    """
    splits = [(files[:index], files[index + 1 :]) for index, character in enumerate(files) if character == "+"]
    for name, statistics in [(files, ""), *splits]:
        for zip_file in (name, f"{name}.zip"):
            if Path(zip_file).is_file() and (not statistics or Path(statistics).is_file()):
                return zip_file, statistics
    # one of them does not exist: the message names it
    return next(
        (split for split in splits if Path(split[0]).is_file() or split[0].endswith(".zip")),
        (files, ""),
    )


def unnamed_statistics(zip_file: str) -> Path | None:
    """The statistics that are in the folder of a model under their usual name, or under its name with `.pkl`."""
    file = Path(zip_file)
    names = (STATISTICS, "vec_normalize.pkl", f"{file.stem}.pkl", f"{file.stem}_{STATISTICS}")
    return next((file.with_name(name) for name in names if file.with_name(name).is_file()), None)


def algorithm_of(zip_file: str) -> str | None:
    """Which algorithm saved a model, by the settings in it; None where they do not tell."""
    try:
        with (
            open(zip_file, "rb", opener=only_regular) as file,
            zipfile.ZipFile(file) as archive,
            archive.open("data") as data,
        ):
            return _algorithm(json.loads(data.read(MAX_BYTES)))
    except Exception:  # a damaged archive raises anything; loading says what is wrong
        return None


def _algorithm(settings: dict[str, Any]) -> str | None:
    module = str(settings["policy_class"].get("__module__", ""))
    for setting, name in _SETTINGS.items():
        if setting in settings and not (name == "dqn" and module.startswith("sb3_contrib.")):
            return name
    for start, name in _MODULES.items():
        if module.startswith(start):
            return name
    if module == "stable_baselines3.common.policies" and "gae_lambda" in settings:
        return "ppo" if "clip_range" in settings else "a2c"
    return None
