"""Finished runs whose scores are written by hand, for scripts that only read scores."""

from drnet_jax.runs import metrics_writer as writer
from drnet_jax.runs import run as run_lib
from experiments.shared import runs, variations
from tests.test_configs import load

TRIVIAL = ("copy_content_frame", "copy_pose_frame", "mean_frame")


def tiny(name, data_dir):
    """Returns settings of configs/<name>.py that make everything as small as possible."""
    config = load(name, "smoke")
    config.data.update(image_size=16, data_dir=str(data_dir))
    config.model.update(width=2, content_dim=4, pose_dim=3, discriminator_width=8)
    config.drnet.update(batch_size=4, num_steps=2)
    config.predictor.update(batch_size=4, num_steps=2, hidden_dim=8, num_observed=3)
    config.evaluation.update(num_clips=4, batch_size=4, horizon=3, rollout_steps=6)
    config.evaluation.update(probe_clips=60)
    config.rollout.update(num_clips=2, num_steps=8, frames_at_once=16)
    return config


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
    """Returns those parts of an `evaluation.json` that tables read."""
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


def finish(config, workdir, record):
    """Returns a run without networks, with the scores in `record` in its workdir."""
    run = run_lib.create_run(config, workdir)
    writer.write_json(workdir / "config.json", run.config.to_dict())
    writer.write_json(workdir / "evaluation.json", record)
    return runs.Trained(run, model=None)


def people_config(data_dir):
    """Returns the settings of a run of people, whose actions have labels and whose clips end."""
    config = tiny("kth", data_dir)
    config.data.stand_in.update(num_people=2, clip_length=30)
    return config


def finish_both(data_dir, folder, record, baseline):
    """Returns finished runs of people by DrNET and by the baseline, with the given scores."""
    config = people_config(data_dir)
    own = finish(config, folder / "kth", record)
    variations.one_encoder(config)
    return own, finish(config, folder / "kth_one_encoder", baseline)
