"""The training step of `drnet_jax.training.steps.make_drnet_step` in PyTorch."""

import contextlib
import functools

import jax
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.torch_peer import networks, weights
from drnet_jax.models.state import DrnetState
from drnet_jax.training.steps import DrnetBatch


@functools.cache
def device() -> torch.device:
    """Returns the GPU if JAX computes on one, else the CPU.

    On a GPU this also turns on PyTorch's fastest settings: cuDNN's kernels by measurement, and
    TensorFloat-32 for products of float32, like JAX there.
    """
    if jax.default_backend() != "gpu":
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def precision(dtype: str) -> contextlib.AbstractContextManager:
    """Returns the context in which networks compute in `dtype`."""
    if dtype == "bfloat16":
        return torch.autocast(device().type, torch.bfloat16)
    return contextlib.nullcontext()


def to_maps(frames: np.ndarray) -> torch.Tensor:
    """Returns frames `[batch, height, width, channels]` as channels-last maps."""
    maps = torch.tensor(np.asarray(frames), device=device()).permute(0, 3, 1, 2)
    return maps.contiguous(memory_format=torch.channels_last)


class TrainStep:
    """One update of autoencoder and discriminator per call, from the weights of `state`.

    Args:
      settings: arguments of `registry.create_networks`.
      state: the initial weights.
      learning_rate: of Adam in both optimizers.
      beta1: of the same.
      similarity_weight: as in `make_drnet_step`.
      adversarial_weight: as in `make_drnet_step`.
      compile_mode: of `torch.compile`, through which the networks run; None: they run eagerly.
    """

    def __init__(
        self,
        settings: dict,
        state: DrnetState,
        *,
        learning_rate: float,
        beta1: float,
        similarity_weight: float,
        adversarial_weight: float,
        compile_mode: str | None,
    ):
        self.networks = networks.create(settings)
        for name, module in self.networks.items():
            part = state.discriminator if name == "discriminator" else state.autoencoder
            weights.copy(part.variables(name), module)
            module.to(device(), memory_format=torch.channels_last)
        self.similarity_weight, self.adversarial_weight = similarity_weight, adversarial_weight
        self.normalize, self.dtype = settings["normalize"], settings["dtype"]

        def adam(*names: str) -> torch.optim.Adam:
            params = [p for name in names for p in self.networks[name].parameters()]
            return torch.optim.Adam(params, learning_rate, (beta1, 0.999), fused=True)

        self.main_tx = adam("content_encoder", "pose_encoder", "decoder")
        self.discriminator_tx = adam("discriminator")
        self.has_graphs = compile_mode == "reduce-overhead"
        if compile_mode:
            # Above the default of 8 variants of a function, networks would silently run eagerly.
            torch._dynamo.config.cache_size_limit = 64
            for module in self.networks.values():
                module.compile(mode=compile_mode)

    def __call__(self, batch: "Batch") -> dict[str, torch.Tensor]:
        """Returns the losses by the names of ours."""
        if self.has_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # The maps of the step before may go.
        discriminator_loss = self._move_discriminator(batch)
        with precision(self.dtype):
            terms = self._main_terms(batch)
        terms["total"] = (
            terms["reconstruction"]
            + self.similarity_weight * terms["similarity"]
            + self.adversarial_weight * terms["adversarial"]
        )
        self.main_tx.zero_grad(set_to_none=True)
        terms["total"].backward()
        self.main_tx.step()
        return {"discriminator": discriminator_loss} | {k: v.detach() for k, v in terms.items()}

    def _move_discriminator(self, batch: "Batch") -> torch.Tensor:
        with precision(self.dtype):
            with torch.no_grad():
                poses = [self._pose(frame) for frame in batch.frames[:2]]
            logits = self.networks["discriminator"](poses[0], poses[1][batch.partners])
            loss = F.binary_cross_entropy_with_logits(logits, batch.targets)
        self.discriminator_tx.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_tx.step()
        return loss.detach()

    def _main_terms(self, batch: "Batch") -> dict[str, torch.Tensor]:
        discriminator = self.networks["discriminator"]
        content, skips = self.networks["content_encoder"](batch.frames[0])
        with torch.no_grad():
            other_content, _ = self.networks["content_encoder"](batch.frames[1])
        pose = self._pose(batch.frames[2])
        with torch.no_grad():
            other_pose = self._pose(batch.frames[3])
        decoded = self.networks["decoder"](content, skips, pose)
        # Its weights are constant here, so no gradients of them are computed.
        discriminator.requires_grad_(False)
        logits = discriminator(pose, other_pose)
        discriminator.requires_grad_(True)
        half = torch.full_like(logits, 0.5)
        return {
            "reconstruction": F.mse_loss(decoded, batch.frames[2]),
            "similarity": F.mse_loss(content, other_content),
            "adversarial": F.binary_cross_entropy_with_logits(logits, half),
        }

    def _pose(self, frame: torch.Tensor) -> torch.Tensor:
        pose, _ = self.networks["pose_encoder"](frame)
        return F.normalize(pose, dim=1) if self.normalize else pose


class Batch:
    """Our `DrnetBatch` as tensors."""

    def __init__(self, batch: DrnetBatch):
        frames = np.asarray(batch.frames)
        self.frames = [to_maps(frames[:, i]) for i in range(frames.shape[1])]
        partners, targets = np.asarray(batch.pairs.partners), np.asarray(batch.pairs.targets)
        self.partners = torch.tensor(partners, dtype=torch.long, device=device())
        self.targets = torch.tensor(targets, device=device())
