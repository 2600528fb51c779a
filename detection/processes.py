"""The processes that train or test together: joined once, over NCCL where there are GPUs and over gloo elsewhere."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import distributed

from scenes import InputError

_FIRST_PORT: Final = 20000
_PORTS: Final = 20000


@contextmanager
def joined_processes(launcher: str) -> Iterator[None]:
    """Work together with the other processes of this run, if a launcher started several.

    Args:
        launcher: `none`; `pytorch`, when torchrun started this process; `slurm`, when srun did.

    Raises:
        InputError: the launcher has not started this process; or another process has ended in the middle of the work.
    """
    if launcher == "none":
        yield
        return
    if launcher == "slurm":
        _describe_slurm_job()
    if "RANK" not in os.environ:
        raise InputError("launcher pytorch: this process was not started by torchrun; see tools/dist_train.sh")
    if torch.cuda.is_available():
        # A cluster may show each process its own GPU alone.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        distributed.barrier()  # nobody leaves while another still talks to it
    except Exception as error:
        _leave_at_once()
        if _has_lost_another(error):
            raise InputError("another process of this run has ended; what it said last is the reason") from error
        raise
    _leave()


def is_restarted() -> bool:
    """Whether the launcher has started the processes of this run again, after one of them ended.

    torchrun counts that in the environment, and tools/slurm_train.sh in the same variable.
    """
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def _leave() -> None:
    """End the group. What talked over it keeps it in reference cycles; were it destroyed with the interpreter, one of
    gloo's threads could abort the process after all its work is done."""
    gc.collect()
    distributed.destroy_process_group()


def _leave_at_once() -> None:
    """End the group although others may wait in it for this process. NCCL would wait for them unless it is aborted."""
    if distributed.get_backend() != "nccl":
        _leave()
    elif hasattr(distributed.distributed_c10d, "_abort_process_group"):  # from torch 2.6 on
        distributed.distributed_c10d._abort_process_group()


def _has_lost_another(error: Exception) -> bool:
    """Whether an error says that a process at the other end is gone. Gloo knows no type for it."""
    lost = isinstance(error, (distributed.DistBackendError, distributed.DistNetworkError))
    return lost or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))


def _describe_slurm_job() -> None:
    """Set what torch reads from the environment from what Slurm writes there; MASTER_PORT may be given."""
    job = os.environ
    if "SLURM_PROCID" not in job:
        raise InputError("launcher slurm: this process was not started by srun; see tools/slurm_train.sh")
    job.setdefault("MASTER_ADDR", _first_host(job["SLURM_JOB_NODELIST"]))
    # Every process of a job finds the same port, and two jobs on a node hardly ever do.
    job.setdefault("MASTER_PORT", str(_FIRST_PORT + int(job["SLURM_JOB_ID"]) % _PORTS))
    job.update(RANK=job["SLURM_PROCID"], WORLD_SIZE=job["SLURM_NTASKS"], LOCAL_RANK=job["SLURM_LOCALID"])


def _first_host(nodes: str) -> str:
    """The first host of a Slurm node list such as `gpu[01-04]`."""
    try:
        shown = subprocess.run(["scontrol", "show", "hostnames", nodes], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"launcher slurm: scontrol cannot list the hosts of '{nodes}'; set MASTER_ADDR") from error
    return shown.stdout.split()[0]
