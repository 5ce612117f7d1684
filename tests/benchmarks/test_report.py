"""Rows are chosen by name, figures are medians, and a ceiling is kept or not."""

import json

import pytest

from benchmarks.report import dearest, figure_of, table, write_json
from benchmarks.rows import FAST_FAMILIES, ROWS, Row, select
from benchmarks.worker import workload_named

SPEED = Row("speed", "how fast", "us", 0.5, "speed")
GROWTH = Row("grow", "how it grows", "us", 1.3, "grow", growth=True)


def test_rows_are_selected_by_name_and_by_beginning():
    assert [row.name for row in select("import")] == ["import"]
    assert [row.name for row in select("lower")] == ["lower"]
    assert {row.name for row in select("gpt,memory")} == {
        "memory",
        "gpt_trace",
        "gpt_lower",
        "gpt_compile",
        "gpt_step",
        "gpt4_step",
    }
    assert {row.name for row in select("step")} == {"gpt_step", "gpt4_step", "step_mlp", "step_convnet"}
    assert [row.name for row in select("step_gpt4")] == ["gpt4_step"]
    assert select("all") == list(ROWS)
    with pytest.raises(ValueError, match="no row 'nonsense'"):
        select("nonsense")


@pytest.mark.parametrize("name", sorted({row.workload for row in ROWS}))
def test_every_row_has_a_workload(name):
    assert callable(workload_named(name))


def test_a_ratio_of_medians_is_held_against_the_ceiling():
    samples = {"canter": {"value": [3e-6, 1e-6, 2e-6]}, "jax": {"value": [5e-6, 4e-6, 90e-6]}}
    figure = figure_of(SPEED, samples)
    assert figure.values == pytest.approx({"canter": 2.0, "jax": 5.0})
    assert figure.ratio == pytest.approx(0.4)
    assert figure.passed is True
    samples["canter"]["value"] = [3e-6]
    assert figure_of(SPEED, samples).passed is False


def test_a_ceiling_is_broken_when_the_noise_cannot_explain_it():
    row = Row("speed", "how fast", "us", 1.0, "speed")
    near = {"canter": {"value": [1e-6, 1.2e-6] * 8}, "jax": {"value": [1.1e-6, 0.9e-6] * 8}}
    figure = figure_of(row, near)
    assert figure.ratio == pytest.approx(1.1)
    assert figure.interval == pytest.approx((1 / 1.1, 1.2 / 0.9))
    assert figure.passed is True
    assert "even: 0.91 to 1.33" in table([figure])
    far = {"canter": {"value": [1.3e-6, 1.2e-6] * 8}, "jax": near["jax"]}
    assert figure_of(row, far).passed is False
    assert "OVER" in table([figure_of(row, far)])
    few = {name: {"value": fields["value"][:4]} for name, fields in near.items()}
    assert figure_of(row, few).interval is None
    assert figure_of(row, few).passed is False


def test_a_ceiling_against_torch_is_kept_too():
    row = Row("speed", "how fast", "us", 0.8, "speed", peers=("jax", "torch"), torch_ceiling=1.0)
    samples = {"canter": {"value": [2e-6]}, "jax": {"value": [4e-6]}, "torch": {"value": [2.5e-6]}}
    figure = figure_of(row, samples)
    assert figure.torch.ratio == pytest.approx(0.8)
    assert figure.passed is True
    samples["torch"]["value"] = [1e-6]
    assert figure_of(row, samples).passed is False
    assert "OVER" in table([figure_of(row, samples)])
    del samples["torch"]
    assert figure_of(row, samples).passed is None
    assert figure_of(row, samples | {"canter": {"value": [5e-6]}}).passed is False


def test_growth_is_a_larger_size_over_a_smaller_one():
    samples = {"canter": {"250": [1e-6, 1e-6], "8000": [2e-6, 2e-6]}, "jax": {"250": [4e-6], "8000": [1e-6]}}
    figure = figure_of(GROWTH, samples)
    assert figure.ratio == pytest.approx(2.0)
    assert figure.passed is False
    assert figure.values["jax"] == pytest.approx(0.25)
    assert figure.detail["canter"] == pytest.approx({"250": 1.0, "8000": 2.0})


def test_a_row_of_many_calls_names_those_above_their_ceilings():
    row = Row("many", "calls", "us", 0.7, "many", each=1.3, families=(("index", 0.5),))
    own = {"sin": [2e-6, 1e-6], "index: x[3]": [6e-6, 6e-6], "sum": [2e-6, 2e-6], "cos": [1e-6, 1e-6]}
    samples = {"canter": own, "jax": {name: [1e-5, 1e-5] for name in own}}
    figure = figure_of(row, samples)
    assert figure.ratio == pytest.approx(0.15)  # the least sample of each call
    assert list(figure.calls) == ["index: x[3]", "sum", "sin", "cos"]
    assert [call.ceiling for call in figure.calls.values()] == [0.5, 1.3, 1.3, 1.3]
    assert figure.passed is False
    text = dearest(figure, 2).splitlines()
    assert text[0].startswith("many: 1 of 4 calls are above their ceiling")
    assert "index: x[3]" in text[1] and text[1].endswith("0.50  OVER")
    assert "sum" in text[2] and text[2].endswith("ok") and len(text) == 3
    assert "OVER" in table([figure])
    own["index: x[3]"] = [4e-6, 4e-6]
    assert figure_of(row, samples).passed is True
    assert figure_of(row, {"canter": own}).passed is None


def test_there_are_120_calls():
    from benchmarks.frameworks import load
    from benchmarks.workloads.calls import FAMILIES, inputs

    api = load("canter")
    data = inputs(api)
    calls = [name for family in FAMILIES for name in family(api, data)]
    assert len(calls) == len(set(calls)) == 120
    known = {name.split(":")[0] for name in calls}
    assert set(FAST_FAMILIES) <= known


def test_what_was_not_measured_is_said(tmp_path):
    figure = figure_of(SPEED, {"jax": {"value": [5e-6]}})
    assert figure.passed is None
    assert "not measured" in table([figure])
    write_json(tmp_path / "out" / "figures.json", [figure], {"jax": "0.10.2"}, {"canter": "reason"})
    document = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert document["rows"][0]["values"] == {"jax": 5.0}
    assert document["not_measured"] == {"canter": "reason"}
