"""The tables of an artifact: those of `jax.export`, whose field numbers are the format."""

from __future__ import annotations

from .flatbuffer import Schema

__all__ = ["DTYPES", "KEY_IMPLEMENTATIONS", "SERIALIZATION_VERSION", "artifact"]

#: What `serialization_version` says in artifacts of this format; a newer one may mean something else.
SERIALIZATION_VERSION = 3

artifact = Schema(
    {
        # From `avals` on, types and shardings are told once each and referred to by number; number 0 of a sharding
        # is none. The fields before them say the same for older readers.
        "Exported": "serialization_version:u16 fun_name:string in_tree:Tree in_avals:[Aval] out_tree:Tree "
        "out_avals:[Aval] nr_devices_before_3:u16 in_shardings:[Sharding] out_shardings:[Sharding] "
        "platforms:[string] ordered_effects:[Effect] unordered_effects:[Effect] disabled_checks:[Check] "
        "module:bytes calling_convention_version:u16 module_kept_var_idx:[u16] uses_global_constants:bool "
        "vjp:Exported nr_devices:u32 avals:[Aval] meshes:[Mesh] named_shardings:[NamedSharding] "
        "in_aval_numbers:[u32] out_aval_numbers:[u32] in_sharding_numbers:[u32] out_sharding_numbers:[u32]",
        "Tree": "kind:u8 children:[Tree] keys:[string] custom_name:string custom_data:bytes",
        "Aval": "kind:u8 shape:[string] dtype:u8 memory_space:u8",
        "Sharding": "kind:u8 hlo:bytes named:NamedSharding",
        "NamedSharding": "mesh:Mesh spec:Spec memory_kind:string",
        "Mesh": "axis_sizes:[u32] axis_names:[string] axis_types:[u8] device:Device",
        "Device": "kind:string num_cores:u32 platform:string",
        "Spec": "entries:[SpecEntry] reduced:[string] unreduced:[string]",
        "SpecEntry": "axes:[string]",
        "Effect": "type_name:string",
        "Check": "kind:u8 target:string",
    }
)

#: Names of dtypes by their numbers.
DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 bfloat16 int4 "
    "uint4 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float0 float8_e4m3 "
    "float8_e3m4 float8_e8m0fnu float4_e2m1fn"
).split()

#: Random generators whose keys are dtypes; their numbers come after those of `DTYPES`.
KEY_IMPLEMENTATIONS = ("threefry2x32", "rbg", "unsafe_rbg")
