"""Every way of indexing, and every mode for indices out of bounds: expressions for `test_indexing_modes`.

Run in an environment that has JAX, from the root of the repository:

    python -m tests.numpy.indexing_modes > tests/numpy/data/indexing_modes.json
"""

import importlib
import json
import sys

import numpy as np

EXPRESSIONS = """
v[jnp.array(7)]
v[jnp.array(-9)]
v[k]
v[[0,7]]
jax.jit(lambda v,i: v[i])(v,7)
jax.jit(lambda v,i: v[i])(v,-9)
jax.jit(lambda v,k: v[k])(v,k)
jax.jit(lambda m,i: m[i,:2])(m,9)
jax.jit(lambda m,i,j: m[i,j])(m,9,-9)
u[jnp.array([1,9])]
jnp.arange(5)[jnp.array([1,9])]
v.at[7].get()
v.at[k].get()
v.at[k].get(mode='clip')
v.at[k].get(mode='fill')
v.at[k].get(mode='fill',fill_value=-1)
v.at[k].get(mode='drop')
v.at[k].get(mode='wrap')
v.at[k].get(mode='promise_in_bounds').shape
v.at[k].get(mode='foo')
v.at[k].get(mode=None)
v.at[k].get(fill_value=3.)
v.at[k].get(mode='clip',fill_value=3.)
v.at[k].get(wrap_negative_indices=False)
v.at[k].get(mode='clip',wrap_negative_indices=False)
v.at[k].get(mode='fill',wrap_negative_indices=False,fill_value=0)
v.at[7].get(mode='clip')
v.at[7].get(mode='fill',fill_value=9)
v.at[-7].get(mode='clip')
m.at[5].get(mode='fill',fill_value=0)
m.at[jnp.array([0,5])].get(mode='clip')
m.at[jnp.array([0,5]),1:3].get(mode='fill',fill_value=0)
m.at[jnp.array([0,5]),jnp.array([9,1])].get(mode='clip')
v.at[7].set(0.)
v.at[-9].set(0.)
v.at[k].set(0.)
v.at[k].set(0.,mode='drop')
v.at[k].set(0.,mode='clip')
v.at[k].set(0.,mode='fill')
v.at[k].set(0.,mode='promise_in_bounds').shape
v.at[k].set(0.,mode='wrap')
v.at[k].set(0.,mode='xx')
v.at[k].set(jnp.arange(4.),mode='clip')
v.at[k].set(0.,wrap_negative_indices=False)
v.at[k].set(0.,wrap_negative_indices=False,mode='clip')
v.at[k].add(1.)
v.at[k].add(1.,mode='clip')
v.at[k].multiply(2.,mode='clip')
v.at[k].min(0.,mode='clip')
v.at[k].max(9.,mode='drop')
v.at[k].power(2.,mode='clip')
v.at[k].divide(2.,mode='clip')
v.at[k].subtract(2.,mode='clip')
v.at[k].apply(jnp.sin)
v.at[k].apply(jnp.sin,mode='clip')
m.at[5].set(0.)
m.at[5].set(0.,mode='clip')
m.at[:,9].set(0.)
m.at[:,9].set(0.,mode='drop')
m.at[1:9].set(0.)
m.at[7:9].set(0.)
m[7:9].shape
m[2:0].shape
m[:,::-2]
m[...,-1]
m[...,...]
m[None,1,None]
m[b8]
m[b8,1]
m[jnp.array([True,False])]
m[np.array([True,False])]
m[m>5]
m.at[m>5].set(0.)
m.at[b8].set(0.)
m.at[b8].add(jnp.ones(4))
m.at[b8].set(jnp.ones((1,4)))
m[True].shape
m[False].shape
m[1.]
m['a']
m[1,2,3]
m[jnp.array([1.])]
m[(0,1),(1,2)]
m[[0,1],[1,2]]
m[[0,1]]
m[[[0,1],[1,2]]].shape
m[((0,1),(1,2))]
m[jnp.array([0,1]),:,None].shape
m[:,jnp.array([0,1]),None].shape
m[slice(None,jnp.int32(2))]
jax.jit(lambda m,i: m[:i])(m,2)
m[jnp.int8(1)]
m[jnp.uint8(200)]
v[jnp.array([],'int32')]
v[[]]
jnp.take(v,k)
jnp.take(v,7)
jnp.take(v,k,mode='clip')
jnp.take(v,k,mode='wrap')
jnp.take(v,k,mode='fill')
jnp.take(v,k,mode='fill',fill_value=0)
jnp.take(v,k,mode='raise')
jnp.take(jnp.arange(5),k)
jnp.take(u,k)
jnp.take(m>5,jnp.array([20]))
jnp.take_along_axis(m,jnp.array([[9]]),1)
jnp.take_along_axis(m,jnp.array([[9],[0],[-9]]),1)
jnp.take_along_axis(m,jnp.array([[9],[0],[-9]]),1,mode='clip')
jnp.take_along_axis(m,jnp.array([[9],[0],[-9]]),1,mode='fill',fill_value=0)
jnp.choose(jnp.array([0,5]),[v[:2],v[2:4]],mode='clip')
jnp.choose(jnp.array([0,5]),[v[:2],v[2:4]],mode='wrap')
jnp.choose(jnp.array([0,5]),[v[:2],v[2:4]])
jnp.delete(v,jnp.array([7]))
jnp.unravel_index(20,(3,4))
jnp.unravel_index(jnp.array([20,-20]),(3,4))
jnp.ravel_multi_index((jnp.array([5]),jnp.array([1])),(3,4))
jnp.ravel_multi_index((jnp.array([5]),jnp.array([1])),(3,4),mode='clip')
jnp.ravel_multi_index((jnp.array([5]),jnp.array([1])),(3,4),mode='wrap')
jnp.compress(jnp.array([True,False,True,True]),v)
jnp.compress(jnp.array([True]*7),v)
jnp.extract(m>5,m,size=3,fill_value=-1)
jnp.nonzero(m>5,size=2)
jnp.nonzero(m>50,size=2,fill_value=-1)
jax.lax.dynamic_slice(v,(9,),(2,))
jax.lax.dynamic_index_in_dim(v,9)
jax.lax.dynamic_update_slice(v,jnp.zeros(2),(9,))
jax.lax.slice(v,(3,),(9,))
v.at[jnp.array([1,1])].set(jnp.array([5.,6.]),unique_indices=False)
v.at[0].set(jnp.array([1.,2.]))
v.at[0].set('a')
v.at[0].set([1.])
i.at[0].set(2.7)
i.at[0].add(1.5)
v.at[0].foo(1)
m[[0,1],1]
m[(0,1),1]
m[(0,1),]
m[0,(1,2)]
m[:,(1,2)]
m[:,((1,2),(0,1))].shape
m[(0,1.5),]
m[:,(jnp.int32(1),2)]
m[()]
m[(),].shape
m.at[(0,1),(1,2)].set(0.)
m[(slice(0,1),0),]
"""

# Canter raises IndexError for these, whose indices are known to be out of bounds while tracing; JAX clamps them.
OUT_OF_BOUNDS = """
v[7]
v[-6]
m[1,9]
m[5]
m[:,4]
m[-4,0]
v[np.int64(7)]
v[np.array(7)]
v[np.array([0,7])]
jax.jit(lambda v: v[7])(v)
jnp.insert(v,7,1.)
jnp.insert(v,jnp.array([9]),1.)
"""


def describe(value):
    """A result as JSON: its dtypes and values."""
    if isinstance(value, (tuple, list)):
        return [describe(item) for item in value]
    array = np.asarray(value)
    return {"dtype": str(array.dtype), "value": array.tolist()}


def evaluate(expression, framework):
    """What an expression gives, or the class of the exception that it raises."""
    jax, jnp = importlib.import_module(framework), importlib.import_module(f"{framework}.numpy")
    scope = {
        "jax": jax, "jnp": jnp, "np": np, "v": jnp.arange(1.0, 6.0), "m": jnp.arange(12.0).reshape(3, 4),
        "k": jnp.array([0, 7, -9, -1]), "u": jnp.arange(5, dtype="uint8"), "b8": jnp.arange(3) > 1,
        "i": jnp.arange(6).reshape(2, 3),
    }  # fmt: skip
    try:
        return describe(eval(expression, scope))
    except Exception as error:
        return {"error": [cls.__name__ for cls in type(error).__mro__]}


def main():
    found = {line: evaluate(line, "jax") for line in EXPRESSIONS.strip().splitlines()}
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items())
    sys.stdout.write("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
