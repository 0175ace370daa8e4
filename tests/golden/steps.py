"""Checks of whole training steps against their golden files, in float32 and in float64.

The float32 run shows that the shipped precision follows the reference. It drifts, because Adam
turns gradients at the level of rounding into full steps. The float64 run is the strict one.
"""

import functools

import jax
import numpy as np
import optax

from drnet_jax.interop import torch_networks, torch_weights
from drnet_jax.models import state as states
from drnet_jax.models.pose_lstm import PoseLSTM, teacher_forced
from drnet_jax.training import steps
from drnet_jax.training.optim import DrnetOptimizers
from drnet_jax.training.pose_clips import PoseClips
from tests.golden.compare import running_statistics
from tests.golden.limits import DRNET, LSTM
from tests.helpers.networks import create_networks

OURS = {
    "netEC": "content_encoder",
    "netEP": "pose_encoder",
    "netD": "decoder",
    "netC": "discriminator",
    "lstm": "predictor",
}
_OPTIMIZED = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}


class StepCheck:
    """One golden step file in one precision."""

    def __init__(self, golden, compare, precision, limits):
        self.golden, self.precision, self.limits = golden, precision, limits[precision]
        self._compare = compare
        self.wide = precision == "float64"
        dtype = np.dtype(precision)
        self.states = {
            net: {name: array.astype(dtype) for name, array in golden.state(net).items()}
            for net in golden["state_seeds"]
        }
        readers = {net: getattr(torch_networks, OURS[net]) for net in self.states}
        self.networks = {net: readers[net](state) for net, state in self.states.items()}
        # [time, batch, side, side, channels]
        self.frames = np.moveaxis(golden.inputs()["x"], 2, -1).astype(dtype)
        self.settings = self._settings()

    def compile(self, function):
        """Returns `function`, compiled."""
        # Tests do not optimize, but without it convolutions of float64 take longer than compiling.
        return jax.jit(function, compiler_options=_OPTIMIZED if self.wide else None)

    def _settings(self):
        config, content, pose = self.golden.config, self.networks["netEC"], self.networks["netEP"]
        settings = {name: content.sizes[name] for name in ("image_size", "channels", "width")}
        settings |= {
            "content_encoder": content.name,
            "pose_encoder": pose.name,
            "decoder": content.name if "unet" in content.name else "dcgan",
            "content_dim": content.sizes["dim"],
            "pose_dim": pose.sizes["dim"],
            "normalize": config["normalize"],
            "dtype": np.dtype(self.precision),
        }
        theirs = {
            "image_width": "image_size",
            "content_model": "content_encoder",
            "pose_model": "pose_encoder",
        }
        theirs |= {name: name for name in ("channels", "content_dim", "pose_dim")}
        for name, ours in theirs.items():
            assert config[name] == settings[ours], name
        return settings

    def optimizer(self):
        """Adam as in the file, which also remembers the gradients it was given."""
        config = self.golden.config
        assert config["optimizer"] == "adam"
        remember = optax.GradientTransformation(
            lambda params: params, lambda grads, state, params=None: (grads, grads)
        )
        rates = {"b1": config["beta1"], "b2": config["beta2"], "eps": config["eps"]}
        return optax.chain(remember, optax.adam(config["lr"], **rates))

    def field(self, name):
        return self.golden[f"f64/{name}" if self.wide else name]

    def noise(self, name, iteration):
        """Ten times the reference's own rounding, in float32 at least 1e-6: a fair limit."""
        noise = self.field("noise") if not self.wide or "f64/noise" in self.golden else {}
        return max(10 * noise.get(f"{name}@{iteration}", 0.0), 0.0 if self.wide else 1e-6)

    def compare(self, name, iteration, found, expected, **limits):
        name = f"{name}@{iteration}"
        self._compare(self.golden, name, found, expected, precision=self.precision, **limits)

    def losses(self, iteration, found):
        for name, value in found.items():
            limit, atol = self.limits.at(iteration, "losses"), self.noise(name, iteration)
            expected = self.field(name)[iteration]
            self.compare(name, iteration, value, expected, atol=atol, rtol=limit)

    def activations(self, found):
        for name, value in found.items():
            # Without the axes of length 1 that vectors have there.
            expected = self.golden[f"act/{name}"].reshape(np.shape(value))
            if self.wide:  # Stored in float32: not part of the strict comparison.
                np.testing.assert_allclose(value, expected, rtol=0, atol=1e-4)
            else:
                self.compare(f"act/{name}", 0, value, expected, atol=1e-4)

    def trained(self, net, iteration, params, grads):
        """Compares the gradients and parameters of network `net` after `iteration`."""
        forced = self.golden[f"no_gradient/{net}"]
        layers = self.networks[net].layers
        stats = self.networks[net].variables.get("batch_stats", {})
        params, grads = (
            torch_weights.to_state(layers, {"params": tree, "batch_stats": stats})
            for tree in (params, grads)
        )
        for index, name in enumerate(self.golden[f"params/{net}"]):
            if not forced[index]:
                self._tensor(net, iteration, index, name, params[name], grads[name])

    def _tensor(self, net, iteration, index, name, param, grad):
        def check(field, found, *, atol=0.0, rtol=0.0):
            expected = self.field(f"{field}/{net}")[iteration, index]
            expected = expected[: len(found)] if field.endswith("first8") else expected
            noise = self.noise(f"{field}/{net}", iteration)
            if rtol:
                rtol = max(rtol, noise)
            else:
                atol = max(atol, noise)
            label = f"{field}/{net}/{name}"
            self.compare(label, iteration, found, expected, atol=atol, rtol=rtol)

        limits, param, grad = self.limits, param.astype(np.float64), grad.astype(np.float64)
        gradient, norm = limits.at(iteration, "gradients"), np.linalg.norm(grad)
        check("grad_norm", norm, rtol=gradient)
        check("grad_first8", grad.flat[:8], atol=gradient * norm)
        check("after_mean", param.mean(), atol=limits.at(iteration, "parameters"))
        check("after_std", param.std(), atol=limits.at(iteration, "parameters"))
        change = np.linalg.norm(param - self.states[net][name].astype(np.float64))
        check("delta_norm", change, rtol=gradient)
        check("after_first8", param.flat[:8], atol=limits.at(iteration, "elements"))

    def statistics(self, net, iteration, variables):
        """Compares the running statistics of network `net` after `iteration`."""
        found = running_statistics(self.networks[net].layers, self.states[net], variables)
        for index, name in enumerate(self.golden[f"stats/{net}"]):
            value = found[name].astype(np.float64)
            forced = name.endswith("mean") * self.limits.forced_bias * (iteration + 1)
            limit = self.limits.at(iteration, "statistics")
            results = {"mean": value.mean(), "std": value.std(), "first8": value[:8]}
            for kind, result in results.items():
                expected = self.field(f"stat_{kind}/{net}")[iteration, index]
                expected = expected[: len(result)] if kind == "first8" else expected
                atol = forced + max(limit, self.noise(f"stat_{kind}/{net}", iteration))
                label = f"stat_{kind}/{net}/{name}"
                self.compare(label, iteration, result, expected, atol=atol, rtol=limit)


def in_both_precisions(limits):
    """Returns the decorator that makes `run(check)` a check of (golden file, comparison)."""

    def decorate(run):
        def check_both(golden, compare):
            for precision in ("float32", "float64"):
                with jax.enable_x64(precision == "float64"):
                    run(StepCheck(golden, compare, precision, limits))

        return check_both

    return decorate


@in_both_precisions(DRNET)
def drnet(check):
    """Checks a file of the first stage's training steps."""
    golden, config = check.golden, check.golden.config
    networks = create_networks(**check.settings, discriminator_width=config["sd_nf"])
    tx = check.optimizer()
    variables = {OURS[net]: network.variables for net, network in check.networks.items()}
    autoencoder = {name: variables[name] for name in ("content_encoder", "pose_encoder", "decoder")}
    init = jax.jit(functools.partial(states.NetworkState.create, tx=tx))
    discriminator = {"discriminator": variables["discriminator"]}
    state = states.DrnetState(states.first_step(), init(autoencoder), init(discriminator))
    step = check.compile(
        steps.make_drnet_step(
            networks,
            DrnetOptimizers(tx, tx),
            similarity_weight=1.0,
            adversarial_weight=config["sd_weight"],
        )
    )
    # The reference shuffles the first half and calls it 1, which here is the same clip.
    num_clips, shuffled = check.frames.shape[1], golden["perm"]
    partners = np.arange(num_clips)
    partners[: len(shuffled)] = shuffled
    targets = (np.arange(num_clips) < len(shuffled)).astype(check.precision)
    batch = steps.DrnetBatch(np.swapaxes(check.frames, 0, 1), steps.PosePairs(partners, targets))
    for iteration in range(config["steps"]):
        before, (state, metrics) = state, step(state, batch)
        if iteration == 0:
            check.activations(_drnet_activations(check, networks, before, state, batch))
        names = {
            "sd_bce": "discriminator",
            "sd_acc": "discriminator_accuracy",
            "sim": "similarity",
            "rec": "reconstruction",
            "adv_bce": "adversarial",
            "total": "total",
        }
        check.losses(iteration, {theirs: metrics[ours] for theirs, ours in names.items()})
        for net in check.networks:
            part = state.discriminator if net == "netC" else state.autoencoder
            name = OURS[net]
            check.trained(net, iteration, part.params[name], part.opt_state[0][name])
            if net != "netC":
                check.statistics(net, iteration, part.variables(name))


def _drnet_activations(check, networks, before, after, batch):
    """Returns the activations of the first iteration, by the names of the files."""
    passes = _compiled_passes(check, networks, frozen=False)

    def run(name, *inputs):
        return passes[name](before.autoencoder.variables(name), *inputs)[0]

    @jax.jit
    def judge(discriminator, *poses):
        params = discriminator.params["discriminator"]
        return jax.nn.sigmoid(networks.discriminator.apply({"params": params}, *poses))

    frames = [batch.frames[:, index] for index in range(4)]
    contents = [run("content_encoder", frame) for frame in frames[:2]]
    poses = [run("pose_encoder", frame) for frame in frames]
    decoded = run("decoder", contents[0], poses[2])
    return {
        "sd_pose0": poses[0],
        "sd_pose1": poses[1],
        "sd_out": judge(before.discriminator, poses[0], poses[1][batch.pairs.partners]),
        "content0": contents[0].vector,
        "content1": contents[1].vector,
        "pose2": poses[2],
        "pose3": poses[3],
        "rec": decoded.transpose(0, 3, 1, 2)[:1, :, ::2, ::2],
        "adv_out": judge(after.discriminator, poses[2], poses[3]),
    }


def _compiled_passes(check, networks, *, frozen):
    """Returns by network what maps variables and inputs to (output, updated collections)."""
    mode = {"train": not frozen, "mutable": [] if frozen else ["batch_stats"]}
    return {
        name: check.compile(functools.partial(getattr(networks, name).apply, **mode))
        for name in ("content_encoder", "pose_encoder", "decoder")
    }


@in_both_precisions(LSTM)
def predictor(check):
    """Checks a file of the predictor's training steps."""
    config = check.golden.config
    assert config["encoder_mode"] in ("train", "eval")
    frozen = config["encoder_mode"] == "eval"
    networks = create_networks(**check.settings)
    module = PoseLSTM(
        pose_dim=config["pose_dim"],
        hidden_dim=config["rnn_size"],
        num_layers=config["rnn_layers"],
        normalize=config["normalize"],
        dtype=check.settings["dtype"],
    )
    assert len(check.frames) == config["n_past"] + config["n_future"]
    tx = check.optimizer()
    autoencoder = {OURS[net]: check.networks[net].variables for net in ("netEC", "netEP")}
    autoencoder = states.NetworkState.create(autoencoder, optax.identity())
    lstm = {"predictor": check.networks["lstm"].variables}
    state = states.PredictorState(states.first_step(), states.NetworkState.create(lstm, tx))
    step = check.compile(steps.make_predictor_step(module, tx, num_observed=config["n_past"]))
    passes = _compiled_passes(check, networks, frozen=frozen)
    predict = check.compile(functools.partial(teacher_forced, module))
    for iteration in range(config["steps"]):
        content, poses, autoencoder = _encode(passes, autoencoder, check.frames, config["n_past"])
        before, (state, metrics) = state, step(state, PoseClips(poses, content))
        variables = {"params": before.predictor.params["predictor"]}
        _, predicted = predict(variables, poses[:, :-1], content)
        if iteration == 0:
            over_time = {"poses": poses, "preds": predicted}
            over_time = {name: np.swapaxes(array, 0, 1) for name, array in over_time.items()}
            check.activations({"content": content} | over_time)
        errors = np.square(np.asarray(predicted - poses[:, 1:], np.float64)).mean((0, 2))
        num_frames = len(check.frames)
        check.losses(
            iteration,
            {
                "returned": metrics["prediction"] * (num_frames - 1) / num_frames,
                "mse_per_step": errors,
                "trap_broadcast_returned": _broadcast_loss(predicted, poses[:, 1:]) / num_frames,
            },
        )
        params = state.predictor.params["predictor"]
        grads = state.predictor.opt_state[0]["predictor"]
        check.trained("lstm", iteration, params, grads)
        for net in ("netEC", "netEP"):
            # Frozen: there is nothing to compare these with.
            check.golden[f"no_gradient/{net}"], check.golden[f"params/{net}"]
            check.statistics(net, iteration, autoencoder.variables(OURS[net]))


def _encode(passes, autoencoder, frames, num_observed):
    """Returns content, poses and the encoders after these passes, in the reference's order."""
    variables = {name: autoencoder.variables(name) for name in autoencoder.params}

    def run(name, frame):
        output, updates = passes[name](variables[name], frame)
        variables[name] = variables[name] | updates
        return output

    content = run("content_encoder", frames[num_observed - 1]).vector
    poses = np.stack([run("pose_encoder", frame) for frame in frames], axis=1)
    stats = {name: tree["batch_stats"] for name, tree in variables.items()}
    return content, poses, autoencoder.replace(batch_stats=stats)


def _broadcast_loss(predicted, targets):
    """Returns the loss of today's PyTorch: `[B, D]` against `[B, D, 1, 1]`, that is, all pairs."""
    predicted, targets = (np.asarray(array, np.float64) for array in (predicted, targets))
    return sum(
        np.square(predicted[None, None, :, t] - targets[:, t, :, None, None]).mean()
        for t in range(targets.shape[1])
    )
