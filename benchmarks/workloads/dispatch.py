"""What one call costs: jitted functions of few and of many arrays, and work without jit."""

import itertools

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import repeated


def _dict_of_scalars(api, leaves: int) -> dict:
    return {f"leaf{i:04d}": api.cnp.asarray(np.float32(i)) for i in range(leaves)}


def jit_dict50(framework: str):
    """Fifty arrays in, fifty out, as an optimizer has them."""
    api = load(framework)
    tree = _dict_of_scalars(api, 50)
    increment = api.ct.jit(lambda tree: api.tree.tree_map(lambda x: x + 1, tree))
    return repeated(lambda: increment(tree))


def jit_dict2000(framework: str):
    """Two thousand arrays in, one out: the cost of the argument alone."""
    api = load(framework)
    tree = _dict_of_scalars(api, 2000)
    first = api.ct.jit(lambda tree: tree["leaf0000"] + 1, keep_unused=True)
    return repeated(lambda: first(tree))


def jit_scalar(framework: str):
    api = load(framework)
    x = api.cnp.asarray(np.float32(1))
    increment = api.ct.jit(lambda x: x + 1)
    return repeated(lambda: increment(x))


def _vector(api):
    values = np.arange(16, dtype=np.float32)
    return api.torch.from_numpy(values.copy()) if api.name == "torch" else api.cnp.asarray(values)


def eager_add(framework: str):
    x = _vector(load(framework))
    y = x + x
    return repeated(lambda: x + y)


def eager_index(framework: str):
    x = _vector(load(framework))
    positions = itertools.cycle(range(16))
    return repeated(lambda: x[next(positions)])


def eager_set(framework: str):
    api = load(framework)
    x = _vector(api)
    if api.name == "torch":
        return repeated(lambda: x.index_fill(0, api.torch.tensor(0), 1.0))
    return repeated(lambda: x.at[0].set(1.0))


def eager_grad(framework: str):
    api = load(framework)
    if api.name == "torch":
        torch = api.torch

        def derivative():
            x = torch.tensor(1.0, requires_grad=True)
            return torch.autograd.grad(torch.sin(x), x)

        return repeated(derivative)
    return repeated(lambda: api.ct.grad(api.cnp.sin)(1.0))
