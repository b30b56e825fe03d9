"""Logs as CleanRL's scripts write them."""

from pathlib import Path


def write_cleanrl(folder, returns, *, seed, algorithm="ppo", env_id="CartPole-v1", settings=True, **hyperparameters):
    """An event file with the tags of CleanRL's `ppo.py`; an episode of each return ends every 100 steps."""
    from torch.utils.tensorboard import SummaryWriter

    run = Path(folder) / f"{env_id}__{algorithm}__{seed}__1700000000"
    writer = SummaryWriter(str(run))
    if settings:
        values = {"exp_name": algorithm, "seed": seed, "env_id": env_id, "track": False, **hyperparameters}
        rows = "\n".join(f"|{key}|{value}|" for key, value in values.items())
        writer.add_text("hyperparameters", f"|param|value|\n|-|-|\n{rows}")
    for index, value in enumerate(returns, 1):
        writer.add_scalar("charts/episodic_return", value, 100 * index)
        writer.add_scalar("charts/episodic_length", value, 100 * index)
        if index % 10 == 0:
            writer.add_scalar("charts/learning_rate", 2.5e-4, 100 * index)
            writer.add_scalar("losses/value_loss", 0.5, 100 * index)
            writer.add_scalar("losses/entropy", 0.6, 100 * index)
    writer.close()
    return run


def write_events(file, *records):
    """An event file of these protobuf messages, framed as TFRecords."""
    import struct

    content = b"".join(struct.pack("<QI", len(record), 0) + record + b"\0" * 4 for record in records)
    file.write_bytes(content)
