"""Writes modules that torch-mlir makes of PyTorch models, with inputs and outputs.

Run it where torch and torch-mlir are installed: `python make_torch.py`.
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch_mlir import fx

HERE = pathlib.Path(__file__).parent


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):
        return torch.softmax(self.second(F.gelu(self.first(x))), -1)


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 4)

    def forward(self, x):
        y = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return F.log_softmax(self.head(y.mean((2, 3))), -1)


class Block(nn.Module):
    """A layer of a transformer over embedded tokens."""

    def __init__(self):
        super().__init__()
        self.tokens, self.norm = nn.Embedding(7, 8), nn.LayerNorm(8)
        self.attend, self.join = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, tokens):
        x = self.tokens(tokens)
        q, k, v = self.attend(self.norm(x)).chunk(3, -1)
        scores = q @ k.transpose(1, 2) / 8**0.5
        mask = torch.tril(torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool))
        weights = torch.softmax(scores.masked_fill(~mask, -1e9), -1)
        return x + self.join(weights @ v)


class Mixture(nn.Module):
    def forward(self, x, y):
        total = torch.cumsum(x, 1)
        least = torch.where(x > y, torch.minimum(x, y), torch.erf(x) + torch.sigmoid(y))
        return total, least.amax(1), torch.argmax(x, 1), torch.flip(x, (0,)) @ y.T


MODELS = {
    "mlp": (Mlp, [torch.randn(3, 4)]),
    "pictures": (Pictures, [torch.randn(2, 2, 6, 6)]),
    "block": (Block, [torch.randint(0, 7, (2, 5))]),
    "mixture": (Mixture, [torch.randn(3, 4), torch.randn(3, 4)]),
}


def main():
    torch.manual_seed(0)
    for name, (build, inputs) in MODELS.items():
        model = build().eval()
        module = fx.export_and_import(model, *inputs, output_type="stablehlo", func_name="main")
        outputs = model(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        (HERE / f"torch_{name}.mlir").write_text(str(module))
        arrays = {f"in{i}": x.numpy() for i, x in enumerate(inputs)}
        arrays |= {f"out{i}": y.detach().numpy() for i, y in enumerate(outputs)}
        np.savez(HERE / f"torch_{name}.npz", **arrays)


main()
