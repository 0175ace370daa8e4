"""The authors' way to generate, in PyTorch: predict a pose, decode it, and so on."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from benchmarks.torch_peer import networks, weights
from benchmarks.torch_peer.train_step import device, precision, to_maps
from drnet_jax.base.arrays import Tree
from drnet_jax.interop import torch_names, torch_weights
from drnet_jax.models.state import NetworkState


class PoseLstm(nn.Module):
    """`drnet_jax.models.pose_lstm.PoseLSTM` in PyTorch."""

    def __init__(self, pose_dim: int, content_dim: int, hidden_dim: int, num_layers: int):
        super().__init__()
        self.embed = nn.Linear(pose_dim + content_dim, hidden_dim)
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden_dim, hidden_dim) for _ in range(num_layers))
        self.output = nn.Sequential(nn.Linear(hidden_dim, pose_dim), nn.Tanh())

    def forward(self, states: list, pose: torch.Tensor, content: torch.Tensor):
        x, new_states = self.embed(torch.cat([pose, content], 1)), []
        for cell, state in zip(self.lstm, states, strict=True):
            new_states.append(cell(x, state))
            x = new_states[-1][0]
        return new_states, self.output(x)

    def load(self, variables: dict[str, Tree]) -> None:
        """Copies our variables into this module, whose names are those of the release."""
        layers = torch_names.predictor(len(self.lstm))
        state = torch_weights.to_state(layers, variables)
        self.load_state_dict({k: torch.tensor(np.ascontiguousarray(v)) for k, v in state.items()})


class Rollout:
    """Maps observed frames to generated ones, uint8 `[batch, num_steps, ...]`."""

    def __init__(self, settings: dict, autoencoder: NetworkState, lstm: PoseLstm, num_steps: int):
        self.networks = networks.create(settings).eval()
        for name in ("content_encoder", "pose_encoder", "decoder"):
            weights.copy(autoencoder.variables(name), self.networks[name])
            self.networks[name].to(device(), memory_format=torch.channels_last)
        self.lstm, self.num_steps = lstm.to(device()).eval(), num_steps
        self.normalize, self.dtype = settings["normalize"], settings["dtype"]

    @torch.inference_mode()
    def __call__(self, observed: np.ndarray) -> np.ndarray:
        with precision(self.dtype):
            return self._generate(observed)

    def _generate(self, observed: np.ndarray) -> np.ndarray:
        frames = [to_maps(observed[:, t]) for t in range(observed.shape[1])]
        content, skips = self.networks["content_encoder"](frames[-1])
        states = [None] * len(self.lstm.lstm)
        for frame in frames:
            pose, _ = self.networks["pose_encoder"](frame)
            states, pose = self._advance(states, self._scale(pose), content)
        generated = []
        for _ in range(self.num_steps):
            decoded = self.networks["decoder"](content, skips, pose)
            pixels = (decoded * 255).round().to(torch.uint8)
            generated.append(pixels.permute(0, 2, 3, 1).cpu().numpy())
            states, pose = self._advance(states, pose, content)
        return np.stack(generated, axis=1)

    def _advance(self, states: list, pose: torch.Tensor, content: torch.Tensor):
        states, pose = self.lstm(states, pose, content)
        return states, self._scale(pose)

    def _scale(self, pose: torch.Tensor) -> torch.Tensor:
        return F.normalize(pose, dim=1) if self.normalize else pose
