"""`compiled.memory_analysis()`: figures, the values alive at the peak, their lines, and what could be donated."""

from __future__ import annotations

import inspect

import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax, nn
from canter.runtime.liveness import liveness
from canter.runtime.memory_analysis import bytes_text, lines_of, type_text
from canter_pjrt import hlo

F32 = "float32"


def spec(*shape):
    return ct.ShapeDtypeStruct(shape, F32)


def analysis(f, *specs, **options):
    return ct.jit(f, **options).lower(*specs).compile().memory_analysis()


def layer(w, x):
    return cnp.tanh(cnp.sin(x @ w))


def loss(ws, x):
    for w in ws:
        x = layer(w, x)
    return (x**2).sum()


def step(ws, x):
    return [w - 0.1 * d for w, d in zip(ws, ct.grad(loss)(ws, x), strict=True)]


WEIGHTS = [spec(32, 32)] * 4


@pytest.fixture(scope="module")
def mlp():
    return analysis(step, WEIGHTS, spec(256, 32))


def attend(w, x):
    q, k, v = cnp.split(x @ w["qkv"], 3, axis=-1)
    x = x + nn.softmax(q @ cnp.swapaxes(k, -1, -2)) @ v
    return x + nn.gelu(x @ w["up"]) @ w["down"]


def scanned(body):
    def run(w, x):
        return (lax.scan(lambda c, w: (body(w, c), None), x, w)[0] ** 2).sum()

    return ct.grad(run)


BLOCKS = {"qkv": spec(4, 16, 48), "up": spec(4, 16, 64), "down": spec(4, 64, 16)}
TOKENS = spec(4, 64, 16)


@pytest.fixture(scope="module")
def gpt():
    return analysis(scanned(attend), BLOCKS, TOKENS)


@pytest.fixture(scope="module")
def gpt_remat():
    return analysis(scanned(ct.checkpoint(attend)), BLOCKS, TOKENS)


@pytest.fixture(scope="module")
def gpt_unrolled():
    def run(ws, x):
        for w in ws:
            x = attend(w, x)
        return (x**2).sum()

    blocks = [{name: spec(*leaf.shape[1:]) for name, leaf in BLOCKS.items()}] * 2
    return analysis(ct.grad(run), blocks, TOKENS)


@pytest.fixture(scope="module")
def scan():
    return analysis(scanned(layer), spec(8, 32, 32), spec(256, 32))


@pytest.fixture(scope="module")
def scan_remat():
    return analysis(scanned(ct.checkpoint(layer)), spec(8, 32, 32), spec(256, 32))


@pytest.fixture(scope="module")
def donated():
    return analysis(step, WEIGHTS, spec(256, 32), donate_argnums=0)


@pytest.fixture(scope="module")
def branches():
    def f(p, x):
        return lax.cond(p, lambda x: cnp.sin(x) @ x.T, lambda x: cnp.cos(x) @ x.T, x)

    return analysis(f, ct.ShapeDtypeStruct((), "bool"), spec(256, 32))


@pytest.fixture(scope="module")
def attention():
    """Fusions that write where an operand was, as only the compiler's assignment tells."""
    return analysis(ct.grad(lambda q: (nn.softmax(q @ cnp.swapaxes(q, -1, -2)) @ q).sum()), spec(8, 128, 16))


@pytest.fixture(scope="module")
def running_sum():
    return analysis(lambda a: cnp.cumsum(a, 0), spec(256, 64))


PROGRAMS = ["mlp", "gpt", "gpt_remat", "gpt_unrolled", "scan", "scan_remat", "donated", "branches"]


@pytest.mark.parametrize("name", [*PROGRAMS, "attention", "running_sum"])
def test_the_predicted_peak_is_what_the_compiler_sets_aside(name, request):
    memory = request.getfixturevalue(name)
    assert memory.liveness.peak_bytes == pytest.approx(memory.peak_bytes, rel=0.03)
    assert memory.liveness.temporary_bytes == pytest.approx(memory.temp_size_in_bytes, rel=0.03, abs=600)
    assert memory.liveness.argument_bytes == memory.argument_size_in_bytes
    alone = memory.liveness.result_bytes + memory.alias_size_in_bytes
    assert alone == pytest.approx(memory.output_size_in_bytes, rel=0.02, abs=200)  # the table of results
    assert sum(value.nbytes for value in memory.values) == memory.liveness.peak_bytes


@pytest.mark.parametrize("name", PROGRAMS)
def test_without_the_assignment_the_order_of_instructions_is_nearly_enough(name, request):
    memory = request.getfixturevalue(name)
    assert liveness(memory.module).peak_bytes == pytest.approx(memory.peak_bytes, rel=0.25)


def test_recomputation_needs_less(gpt, gpt_remat, scan, scan_remat):
    assert gpt_remat.temp_size_in_bytes < 0.8 * gpt.temp_size_in_bytes
    assert gpt_remat.liveness.temporary_bytes < 0.8 * gpt.liveness.temporary_bytes
    assert scan_remat.liveness.temporary_bytes < 0.7 * scan.liveness.temporary_bytes


def test_values_have_types_and_lines(mlp):
    line = inspect.getsourcelines(layer)[1] + 1
    made = [value for value in mlp.values if value.primitive == "tanh"]
    assert made and all(value.shape == (256, 32) and value.dtype == F32 for value in made)
    assert {(value.file, value.line, value.function) for value in made} == {(__file__, line, "layer")}
    assert all(value.nbytes == 256 * 32 * 4 and value.kind == "temporary" for value in made)
    assert list(mlp.values) == sorted(mlp.values, key=lambda value: -value.nbytes)
    arguments = {value.primitive for value in mlp.values if value.kind == "argument"}
    assert arguments == {"ws[0]", "ws[1]", "ws[2]", "ws[3]", "x"}
    assert mlp.lines_are_current


def test_values_of_instructions_that_the_compiler_added_have_the_line_inside(running_sum):
    assert {(v.primitive, v.file) for v in running_sum.values if v.kind != "argument"} == {
        ("cumsum", __file__)
    }


def test_the_state_of_a_loop_has_one_place(scan):
    residuals = [value for value in scan.values if value.shape == (8, 256, 32)]
    assert residuals and {value.primitive for value in residuals} <= {"scan", "copy of scan"}
    assert sum(value.nbytes for value in residuals) <= scan.temp_size_in_bytes


def test_groups_put_alike_values_together(mlp):
    assert sum(group.nbytes for group in mlp.groups) == mlp.liveness.peak_bytes
    assert sum(group.times for group in mlp.groups) == len(mlp.values)
    (weights,) = [g for g in mlp.groups if g.value.kind == "argument" and g.value.shape == (32, 32)]
    assert weights.times == 4 and weights.nbytes == 4 * 32 * 32 * 4


def test_printed_it_is_a_short_table(mlp, gpt):
    text = str(mlp)
    assert text.startswith("Memory of jit(step): ") and "temporary  tanh at " in text
    assert "ws[0] and 3 more" in text and "test_memory_analysis.py" in text
    assert repr(mlp) == text
    assert len(str(gpt).splitlines()) <= 20


def test_what_could_be_donated(mlp, donated):
    assert [one.argument for one in mlp.donatable] == ["ws[0]", "ws[1]", "ws[2]", "ws[3]"]
    assert "Could be donated" in str(mlp) and mlp.donatable[0].nbytes == 32 * 32 * 4
    assert donated.donatable == () and "donated" not in str(donated).splitlines()[-1]
    assert "- donated" in str(donated).splitlines()[0]
    assert donated.peak_bytes < mlp.peak_bytes


def test_figures_of_the_compiler(mlp):
    for name in ("argument", "output", "temp", "alias", "generated_code"):
        assert getattr(mlp, f"{name}_size_in_bytes") >= 0
        assert getattr(mlp, f"host_{name}_size_in_bytes") == 0
    assert mlp.peak_memory_in_bytes > 0 and isinstance(mlp.serialized_buffer_assignment_proto, bytes)
    assert {"temp_size_in_bytes", "peak_bytes", "values"} <= set(dir(mlp))
    with pytest.raises(AttributeError):
        mlp.no_such_figure


def test_over_a_mesh_the_figures_are_of_one_device():
    mesh = ct.make_mesh((4,), ("x",))
    rows = ct.NamedSharding(mesh, ct.P("x"))
    memory = analysis(lambda x: cnp.sin(x) + 1, spec(64, 32), in_shardings=rows, out_shardings=rows)
    assert memory.argument_size_in_bytes == 16 * 32 * 4
    assert {value.shape for value in memory.values} == {(16, 32)}


def test_lines_of_an_executable_from_elsewhere_are_said_to_be(mlp):
    compiled = ct.jit(lambda x: cnp.sin(x) * 2).lower(spec(3)).compile()
    memory = compiled.memory_analysis()
    memory._lines = lambda: {("elsewhere.py", 1)}
    assert "compilation cache" in str(memory)
    assert (__file__, inspect.getsourcelines(layer)[1] + 1) in lines_of(
        ct.make_jaxpr(step)(WEIGHTS, spec(8, 32)).jaxpr
    )


def test_captured_arrays_are_told_from_arguments():
    captured = [cnp.ones((64, 64)) + i for i in range(2)]
    memory = analysis(lambda x: x @ captured[0] @ captured[1], spec(64, 64))
    kinds = {
        (group.value.primitive, group.times) for group in memory.groups if group.value.kind == "argument"
    }
    assert kinds == {("x", 1), ("captured array", 2)}
    assert "32.0 KiB  2 x f32[64,64]  argument   captured array\n" in str(memory)


def test_texts():
    assert [bytes_text(n) for n in (0, 1023, 1024, 150 << 20, 5 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "150 MiB", "5.0 TiB",
    ]  # fmt: skip
    assert type_text((2, 3), "bfloat16") == "bf16[2,3]" and type_text((), "bool") == "bool[]"


# Shapes by hand: what the wire format says of layouts.


def field(number, content):
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def test_shapes_are_padded_to_tiles():
    layout = field(1, bytes([1, 0])) + field(6, field(1, bytes([8, 16])))
    shape = hlo._shape(field(2, 11) + field(3, bytes([9, 17])) + field(5, layout))
    assert shape == hlo.ArrayShape((9, 17), F32, 16 * 32 * 4)
    transposed = field(1, bytes([0, 1])) + field(6, field(1, bytes([8, 16]))) + field(8, 1)
    shape = hlo._shape(field(2, 16) + field(3, bytes([9, 17])) + field(5, transposed))
    assert shape == hlo.ArrayShape((9, 17), "bfloat16", 24 * 16 * 2, 1)
    assert hlo._shape(field(2, 17)) == hlo.ArrayShape((), "", 0)
    pair = hlo._shape(field(2, 13) + field(4, field(2, 1)) + field(4, field(2, 12)))
    assert [part.nbytes for part in pair] == [1, 8]


def test_a_program_without_values_says_so():
    memory = ct.jit(lambda x: x).lower(cnp.ones(0)).compile().memory_analysis()
    assert memory.values == () and memory.peak_bytes == 0
    assert "no value takes memory" in str(memory)
