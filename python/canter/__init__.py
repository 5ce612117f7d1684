"""Canter: composable transformations of array programs, compiled by XLA.

    import canter as ct
    import canter.numpy as cnp

Names are loaded when first used, so that `import canter` costs little.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .core.single_framework import refuse_second_framework as _refuse_second_framework
from .core.uncaught import filter_uncaught as _filter_uncaught
from .version import __version__ as __version__, __version_info__ as __version_info__

_refuse_second_framework()
_filter_uncaught()

if TYPE_CHECKING:
    from .core.avals import typeof as typeof
    from .core.config import (
        allow_f16_reductions as allow_f16_reductions,
        array_garbage_collection_guard as array_garbage_collection_guard,
        auto_pcast as auto_pcast,
        check_tracer_leaks as check_tracer_leaks,
        checking_leaks as checking_leaks,
        config as config,
        debug_infs as debug_infs,
        debug_key_reuse as debug_key_reuse,
        debug_nans as debug_nans,
        default_device as default_device,
        default_matmul_precision as default_matmul_precision,
        default_prng_impl as default_prng_impl,
        disable_jit as disable_jit,
        enable_checks as enable_checks,
        enable_custom_prng as enable_custom_prng,
        enable_x64 as enable_x64,
        explain_cache_misses as explain_cache_misses,
        jax2tf_associative_scan_reductions as jax2tf_associative_scan_reductions,
        legacy_prng_key as legacy_prng_key,
        log_compiles as log_compiles,
        make_user_context as make_user_context,
        no_execution as no_execution,
        no_tracing as no_tracing,
        numpy_dtype_promotion as numpy_dtype_promotion,
        numpy_rank_promotion as numpy_rank_promotion,
        remove_size_one_mesh_axis_from_type as remove_size_one_mesh_axis_from_type,
        softmax_custom_jvp as softmax_custom_jvp,
        thread_guard as thread_guard,
        threefry_partitionable as threefry_partitionable,
        transfer_guard as transfer_guard,
        transfer_guard_device_to_device as transfer_guard_device_to_device,
        transfer_guard_device_to_host as transfer_guard_device_to_host,
        transfer_guard_host_to_device as transfer_guard_host_to_device,
    )
    from .core.dtypes import float0 as float0
    from .core.mesh import set_mesh as set_mesh
    from .core.partition_spec import P as P
    from .core.sharding import NamedSharding as NamedSharding
    from .core.slices import ds as ds
    from .parallel.pmap import pmap as pmap
    from .parallel.shard_map import shard_map as shard_map, smap as smap
    from .ref import (
        Ref as Ref,
        empty_ref as empty_ref,
        free_ref as free_ref,
        freeze as freeze,
        new_ref as new_ref,
    )
    from .runtime.abstract import eval_shape as eval_shape, make_jaxpr as make_jaxpr
    from .runtime.array import Array as Array, Shard as Shard
    from .runtime.backend import (
        Device as Device,
        default_backend as default_backend,
        device_count as device_count,
        devices as devices,
        host_count as host_count,
        host_id as host_id,
        host_ids as host_ids,
        live_arrays as live_arrays,
        local_device_count as local_device_count,
        local_devices as local_devices,
        process_count as process_count,
        process_index as process_index,
        process_indices as process_indices,
    )
    from .runtime.callbacks import pure_callback as pure_callback
    from .runtime.constraints import reshard as reshard
    from .runtime.device_put import (
        block_until_ready as block_until_ready,
        copy_to_host_async as copy_to_host_async,
        device_get as device_get,
        device_put as device_put,
    )
    from .runtime.effects import effects_barrier as effects_barrier
    from .runtime.environment import print_environment_info as print_environment_info
    from .runtime.fwd_and_bwd import fwd_and_bwd as fwd_and_bwd
    from .runtime.jit import clear_caches as clear_caches, jit as jit
    from .runtime.mesh_utils import make_mesh as make_mesh
    from .runtime.plan import Plan as Plan, plan as plan
    from .runtime.shape_dtype import ShapeDtypeStruct as ShapeDtypeStruct
    from .runtime.sharded_arrays import (
        make_array_from_callback as make_array_from_callback,
        make_array_from_process_local_data as make_array_from_process_local_data,
        make_array_from_single_device_arrays as make_array_from_single_device_arrays,
    )
    from .transforms.checkpoint_policies import checkpoint_policies as checkpoint_policies
    from .transforms.custom_gradient import custom_gradient as custom_gradient
    from .transforms.custom_rules import custom_jvp as custom_jvp, custom_vjp as custom_vjp
    from .transforms.derivatives import (
        grad as grad,
        hessian as hessian,
        jacfwd as jacfwd,
        jacobian as jacobian,
        jacrev as jacrev,
        jvp as jvp,
        linear_transpose as linear_transpose,
        linearize as linearize,
        value_and_grad as value_and_grad,
        vjp as vjp,
    )
    from .transforms.pull_back import ad as ad
    from .transforms.remat import checkpoint as checkpoint, remat as remat
    from .transforms.scopes import (
        closure_convert as closure_convert,
        ensure_compile_time_eval as ensure_compile_time_eval,
        named_call as named_call,
        named_scope as named_scope,
    )
    from .transforms.vmap import vmap as vmap

# Public name -> module; kept in step with the imports above by tests/core/test_surface.py.
_names: dict[str, str] = {
    public: module
    for module, publics in {
        "core.avals": "typeof",
        "core.config": "allow_f16_reductions array_garbage_collection_guard auto_pcast "
        "jax2tf_associative_scan_reductions make_user_context remove_size_one_mesh_axis_from_type softmax_custom_jvp "
        "thread_guard check_tracer_leaks checking_leaks config debug_infs debug_key_reuse debug_nans "
        "default_device "
        "default_matmul_precision default_prng_impl disable_jit enable_checks enable_custom_prng enable_x64 "
        "explain_cache_misses log_compiles no_execution no_tracing numpy_dtype_promotion "
        "legacy_prng_key threefry_partitionable numpy_rank_promotion transfer_guard transfer_guard_device_to_device "
        "transfer_guard_device_to_host transfer_guard_host_to_device",
        "core.dtypes": "float0",
        "core.mesh": "set_mesh",
        "core.partition_spec": "P",
        "core.sharding": "NamedSharding",
        "core.slices": "ds",
        "parallel.pmap": "pmap",
        "parallel.shard_map": "shard_map smap",
        "ref": "Ref empty_ref free_ref freeze new_ref",
        "runtime.abstract": "eval_shape make_jaxpr",
        "runtime.array": "Array Shard",
        "runtime.backend": "Device default_backend device_count devices host_count host_id host_ids live_arrays "
        "local_device_count local_devices process_count process_index process_indices",
        "runtime.callbacks": "pure_callback",
        "runtime.device_put": "block_until_ready copy_to_host_async device_get device_put",
        "runtime.effects": "effects_barrier",
        "runtime.environment": "print_environment_info",
        "runtime.fwd_and_bwd": "fwd_and_bwd",
        "runtime.jit": "clear_caches jit",
        "runtime.constraints": "reshard",
        "runtime.mesh_utils": "make_mesh",
        "runtime.plan": "Plan plan",
        "runtime.sharded_arrays": "make_array_from_callback make_array_from_process_local_data "
        "make_array_from_single_device_arrays",
        "runtime.shape_dtype": "ShapeDtypeStruct",
        "transforms.checkpoint_policies": "checkpoint_policies",
        "transforms.custom_gradient": "custom_gradient",
        "transforms.custom_rules": "custom_jvp custom_vjp",
        "transforms.derivatives": "grad hessian jacfwd jacobian jacrev jvp linear_transpose linearize "
        "value_and_grad vjp",
        "transforms.pull_back": "ad",
        "transforms.remat": "checkpoint remat",
        "transforms.scopes": "closure_convert ensure_compile_time_eval named_call named_scope",
        "transforms.vmap": "vmap",
    }.items()
    for public in publics.split()
}

_submodules = frozenset(
    "ad_checkpoint api_util core custom_batching custom_derivatives custom_transpose debug distributed dlpack dtypes "
    "errors experimental export extend ffi flatten_util image interpreters lax lib memory monitoring nn "
    "numpy ops profiler random ref scipy sharding stages test_util testing tree tree_util "
    "typing".split()
)

__all__ = [*_names, "__version__", "__version_info__"]


def __getattr__(name: str) -> Any:
    module = _names.get(name)
    if module is not None:
        _import_module(f"{__name__}.numpy.array_methods")  # gives arrays and tracers their operators
        value = getattr(_import_module(f"{__name__}.{module}"), name)
    elif name in _submodules:
        value = _import_module(f"{__name__}.{name}")
    else:
        from .core.errors import unknown_attribute

        raise unknown_attribute("canter", name, __dir__())
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_names, *_submodules})
