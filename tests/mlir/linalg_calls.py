"""Decompositions lowered for machines that are not there: which library calls JAX makes, as golden facts.

Run as a script by a Python that has JAX 0.10.2, it writes `data/linalg_calls.json`.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import numpy as np

DATA = pathlib.Path(__file__).parent / "data" / "linalg_calls.json"
DTYPES = ("float32", "complex128")


def cases(lax: Any, spec: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Name -> function and types of its arguments, for a framework's `lax` and its `ShapeDtypeStruct`."""
    la = lax.linalg
    svd, eigh, eig = la.SvdAlgorithm, la.EighImplementation, la.EigImplementation
    found: dict[str, tuple[Any, list[Any]]] = {}
    for name in DTYPES:

        def add(label: str, function: Any, *shapes: tuple[int, ...], name: str = name) -> None:
            found[f"{label} {name}"] = function, [spec(shape, np.dtype(name)) for shape in shapes]

        add("cholesky", la.cholesky_p.bind, (2, 4, 4))
        add("lu", la.lu_p.bind, (2, 4, 3))
        add("lu one", la.lu_p.bind, (3, 4))
        add("qr", la.qr, (2, 5, 3))
        add("qr reduced", lambda x: la.qr(x, full_matrices=False), (2, 5, 3))
        add("qr wide", la.qr, (3, 5))
        for magma in (None, True, False):
            add(f"qr pivoting {magma}", lambda x, m=magma: la.qr(x, pivoting=True, use_magma=m), (2, 5, 3))
        add("householder_product", la.householder_product, (2, 5, 3), (2, 3))
        add(
            "ormqr",
            lambda a, t, c: la.ormqr(a, t, c, left=True, transpose=True),
            (2, 5, 3),
            (2, 3),
            (2, 5, 4),
        )
        add("eigh", la.eigh, (2, 4, 4))
        add("eigh upper", lambda x: la.eigh(x, lower=False, sort_eigenvalues=False), (4, 4))
        for algorithm in (eigh.QR, eigh.JACOBI):
            add(f"eigh {algorithm.name}", lambda x, i=algorithm: la.eigh(x, implementation=i), (4, 4))
        for full in (True, False):
            for shape in ((2, 5, 3), (3, 5), (40, 41), (1025, 3), (3, 1025)):
                add(f"svd {shape} {full}", lambda x, f=full: la.svd(x, full_matrices=f), shape)
        add("svd values", lambda x: la.svd(x, compute_uv=False), (2, 5, 3))
        add("svd values big", lambda x: la.svd(x, compute_uv=False, full_matrices=False), (40, 41))
        for algorithm in (svd.QR, svd.JACOBI, svd.POLAR, svd.DIVIDE_AND_CONQUER):
            for shape in ((2, 5, 3), (3, 5)):
                add(
                    f"svd {shape} {algorithm.name}",
                    lambda x, a=algorithm: la.svd(x, full_matrices=False, algorithm=a),
                    shape,
                )
        for left, right in ((True, True), (False, True), (False, False)):
            add(
                f"eig {left} {right}",
                lambda x, left=left, right=right: la.eig(
                    x, compute_left_eigenvectors=left, compute_right_eigenvectors=right
                ),
                (2, 4, 4),
            )
        for library in (eig.MAGMA, eig.LAPACK):
            add(f"eig {library.name}", lambda x, i=library: la.eig(x, implementation=i), (4, 4))
        add("tridiagonal", la.tridiagonal, (2, 4, 4))
        add("tridiagonal_solve", la.tridiagonal_solve, (2, 4), (2, 4), (2, 4), (2, 4, 2))
        add(
            "tridiagonal_solve perturbed",
            lambda dl, d, du, b: la.tridiagonal_solve(dl, d, du, b, perturb_singular=True),
            (4,),
            (4,),
            (4,),
            (4, 2),
        )
    single = np.dtype("float32")
    found["cholesky_update"] = la.cholesky_update, [spec((4, 4), single), spec((4,), single)]
    found["symmetric_product"] = (
        lambda a, c: la.symmetric_product(a, c, alpha=2.0, beta=3.0),
        [spec((2, 4, 3), single), spec((2, 4, 4), single)],
    )
    found["lu_pivots"] = (
        lambda p: la.lu_pivots_to_permutation(p, 5),
        [spec((2, 4), np.dtype("int32"))],
    )
    return found


def library_calls(text: str) -> list[dict[str, Any]]:
    """What a module asks of libraries: each call's name, options, layouts, shared memory and types."""
    calls = []
    for line in text.splitlines():
        found = re.search(r"stablehlo\.custom_call @(\w+)\(", line)
        if not found:
            continue
        options = re.findall(r'backend_config = (\{[^}]*\}|"[^"]+")', line)
        rule = re.search(r"sdy\.sharding_rule = (#sdy.*?custom>)", line)
        calls.append(
            {
                "target": found.group(1),
                "options": options[0] if options else "",
                "operand_layouts": _layouts(line, "operand_layouts"),
                "result_layouts": _layouts(line, "result_layouts"),
                "aliases": re.findall(r"output_tuple_indices = \[(\d*)\], operand_index = (\d+)", line),
                "batch": re.findall(r'num_batch_dims = "(\d+)"', line),
                "sharding": rule.group(1) if rule else None,
                "types": line.rsplit(" : ", 1)[1].strip(),
            }
        )
    return calls


def _layouts(line: str, name: str) -> list[str]:
    found = re.search(name + r" = \[((?:dense<[^>]*> : tensor<\d+xindex>(?:, )?)*)\]", line)
    return re.findall(r"dense<([^>]*)>", found.group(1)) if found else []


def _write() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    facts: dict[str, Any] = {}
    for platform in ("cuda", "rocm", "tpu", "cpu"):
        for name, (function, args) in cases(jax.lax, jax.ShapeDtypeStruct).items():
            try:
                lowered = jax.jit(function).trace(*args).lower(lowering_platforms=(platform,))
            except (NotImplementedError, RuntimeError, ValueError):
                continue  # JAX has nothing to compare with there
            calls = library_calls(lowered.as_text())
            if platform != "tpu" or len(calls) <= 2:  # there, larger programs are each framework's own
                facts[f"{platform} {name}"] = calls
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(facts, indent=0) + "\n")


if __name__ == "__main__":
    _write()
