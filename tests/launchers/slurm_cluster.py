"""A Slurm of one node with files of its own in a folder, for tests: `with slurm_cluster(folder): …`."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
PLACES = "/usr/sbin", "/sbin"  # not on everybody's PATH
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
MinJobAge=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def skip_without_slurm():
    missing = [name for name in (*DAEMONS, "sbatch") if _program(name) is None]
    if missing:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)})")
    if os.getuid() != 0:
        pytest.skip("a Slurm of one's own is started as root")


def _program(name):
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def slurm_cluster(folder: Path, cpus: int = 2):
    """Start it; SLURM_CONF names its config. Everything ends with the context."""
    skip_without_slurm()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    ports = {"port": _free_port(), "node_port": _free_port()}
    conf.write_text(CONF.format(host=host, folder=folder, cpus=cpus, **ports))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    munge = [f"--{name}={folder / file}" for name, file in {
        "key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log",
        "seed-file": "munge.seed",
    }.items()]  # fmt: skip
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    processes = []
    try:
        for command in (
            [_program("munged"), "--foreground", "--force", *munge],
            [_program("slurmctld"), "-D", "-f", str(conf)],
            [_program("slurmd"), "-D", "-f", str(conf), "-N", host],
        ):
            log = (folder / f"{Path(command[0]).name}.out").open("w")
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            time.sleep(0.5)
        _wait_until_idle(folder)
        yield conf
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(["scancel", "--me", "--full"], capture_output=True, timeout=30, check=False)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def _wait_until_idle(folder, seconds=90):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=60, check=False
        )
        if done.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(f"{file.name}:\n{file.read_text()[-1500:]}" for file in sorted(folder.glob("*.[lo]*[gt]")))
    raise RuntimeError(f"Slurm does not answer: {done.stdout}{done.stderr}\n{logs}")
