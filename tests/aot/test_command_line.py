"""`canter compile --for`: hardware that is not here, from a shell."""

import json

import pytest

from canter.cli import main

MODEL = "import canter.numpy as cnp\n\ndef model(x):\n    return cnp.tanh(x @ x.T).sum()\n"


@pytest.mark.parametrize("target, hardware", [("tpu:v5e:2x2", "TPU v5 lite"), ("cuda:h100:8", "H100")])
def test_compile_for_hardware_elsewhere(capsys, tmp_path, target, hardware):
    (tmp_path / "model.py").write_text(MODEL)
    exported, compiled = str(tmp_path / "model.canter"), str(tmp_path / "model.compiled")
    command = ["export", f"{tmp_path / 'model.py'}:model", "--args", "f32[16,8]", "-o", exported]
    assert main([*command, "--platforms", "cpu,cuda,tpu"]) == 0
    if main(["compile", exported, "--for", target, "-o", compiled]) != 0:
        complaint = capsys.readouterr().err
        assert "PJRT plugin, which is not installed" in complaint
        pytest.skip(complaint)
    assert "compiled" in capsys.readouterr().out
    assert main(["inspect", compiled, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["function"] == "model" and hardware in said["hardware"]
    assert main(["run", compiled, "--input", str([[1.0] * 8] * 16)]) == 1  # nothing to run on
    assert capsys.readouterr().err.count("\n") == 1
