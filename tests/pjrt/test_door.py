"""The door to jaxlib: what it promises the rest of Canter, on whatever jaxlib is installed."""

import pytest

from canter_pjrt import jaxlib_door as door


@pytest.mark.smoke
def test_every_promised_name_is_there():
    for name in door.__all__:
        assert getattr(door, name) is not None or name == "dlpack_version"


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(door._LATE))
def test_late_names_load(name):
    assert getattr(door, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        door.no_such_name


def test_version_is_in_the_supported_range():
    assert (0, 10, 2) <= door.jaxlib_version < (0, 13)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", None),
        ("--xla_force_host_platform_device_count=3", 3),
        (
            "--a --xla_force_host_platform_device_count=3 --xla_force_host_platform_device_count=5 --b=2",
            5,
        ),
    ],
)
def test_device_count_in_xla_flags(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert door.xla_flags_device_count() == expected
