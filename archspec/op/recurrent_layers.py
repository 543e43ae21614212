"""PyTorch's recurrent layers, batch first, with states by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from archspec.op.torch_layers import _Layer

KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


class _Recurrent(_Layer, nn.RNNBase):
    """Recurrent layers over [N, L, in], from zeros or from given states; gives the last states too if `state`.

    Where sequences are `stacked`, [N, *S, L, in], each is one on its own.
    """

    def __init__(self, state: bool, stacked: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.state, self.stacked = state, stacked

    def forward(self, input: Tensor, *, h: Tensor | None = None, c: Tensor | None = None) -> Any:
        """[N, L, in] -> [N, L, out], and states of [N, layers * directions, width]."""
        sizes = input.shape
        if self.stacked:
            input = input.flatten(0, -3)
        states = [self._first(input, h, self.proj_size or self.hidden_size)]
        if self.mode == "LSTM":
            states.append(self._first(input, c, self.hidden_size))
        outputs, *last = KERNELS[self.mode](
            input,
            states if self.mode == "LSTM" else states[0],
            # By name: those in `_flat_weights` are not replaced where weights are assigned.
            [getattr(self, name) for name in self._flat_weights_names],
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            True,
        )
        if self.stacked:
            return outputs.view(*sizes[:-1], outputs.shape[-1])
        return (outputs, *(state.transpose(0, 1) for state in last)) if self.state else outputs

    def _first(self, input: Tensor, state: Tensor | None, width: int) -> Tensor:
        """A first state as kernels take it: [layers * directions, N, width]. One without a batch is that of each sample."""
        if state is None:
            state = input.new_zeros(self.num_layers * (2 if self.bidirectional else 1), width)
        if state.ndim == 2:
            state = state.expand(input.shape[0], -1, -1)
        return state.transpose(0, 1).contiguous()


class LSTM(_Recurrent, nn.LSTM):  # type: ignore[misc]
    """`nn.LSTM`, batch first."""


class GRU(_Recurrent, nn.GRU):  # type: ignore[misc]
    """`nn.GRU`, batch first."""


class RNN(_Recurrent, nn.RNN):  # type: ignore[misc]
    """`nn.RNN`, batch first."""
