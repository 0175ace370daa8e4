"""Finished runs whose scores are written by hand, for scripts that only read those."""

from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from experiments.shared import runs


def interval(mean, chance=None):
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.02} | (
        {} if chance is None else {"chance": chance}
    )


def probe(factor, code, kind, seen, unseen, *, of="content", chance=0.2):
    return {
        "factor": factor,
        "of": of,
        "code": code,
        "probe": kind,
        "score": "accuracy" if of == "content" else "r_squared",
        "held_out_clips": interval(seen, chance),
        "held_out_objects": None if unseen is None else interval(unseen, chance),
    }


def scores(*probes, swap=20.0, auc=0.6, same_objects=None):
    """Returns what scripts here read of an `evaluation.json`."""
    pictures = {"psnr": interval(swap)}
    trivial = {name: {"psnr": interval(17.0 - i)} for i, name in enumerate(TRIVIAL)}
    pairs = {"same_clip": interval(auc, 0.5), "same_clip_by_factors": None}
    pairs["same_objects"] = None if same_objects is None else interval(same_objects, 0.5)
    return {
        "reconstruction": {"psnr": interval(swap + 2)} | trivial,
        "swap": {"horizon": 3, "model": pictures} | trivial,
        "prediction": {
            "horizon": 3,
            "model": {"psnr": interval(swap + 1)},
            "copy_last_frame": {"psnr": interval(15.5)},
        },
        "leakage": {"probes": list(probes), "discriminator": pairs},
    }


TRIVIAL = ("copy_content_frame", "copy_pose_frame", "mean_frame")


def finish(config, workdir, record):
    """Returns a run without networks, and leaves the scores in `record` in its workdir."""
    run = run_lib.create_run(config, workdir)
    writer.write_json(workdir / "config.json", run.config.to_dict())
    writer.write_json(workdir / "evaluation.json", record)
    return runs.Trained(run, model=None)
