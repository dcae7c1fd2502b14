"""A plan that the engine would refuse is known beforehand, by the engine's own rule."""

import msgspec
import pytest

from app.core.statepoint import NO_STATE, StatePoint, has_moved

HERE = StatePoint(serial=4, lineage="a")


@pytest.mark.parametrize(
    ("planned", "current", "moved"),
    [
        (HERE, HERE, False),
        (HERE, StatePoint(serial=5, lineage="a"), True),
        (HERE, StatePoint(serial=3, lineage="a"), True),
        (HERE, StatePoint(serial=4, lineage="b"), True),
        (HERE, None, True),
        (NO_STATE, None, False),
        (NO_STATE, StatePoint(serial=1, lineage="a"), True),
        (NO_STATE, StatePoint(serial=0, lineage="a"), False),
    ],
)
def test_a_plan_is_stale_when_lineage_or_serial_differ(
    planned: StatePoint, current: StatePoint | None, *, moved: bool
) -> None:
    assert has_moved(planned, current) is moved


@pytest.mark.parametrize("raw", [b'{"serial": -1, "lineage": "a"}', b'{"serial": 9223372036854775807, "lineage": "a"}'])
def test_a_point_from_a_worker_has_bounds(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=StatePoint)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"serial": 1, "lineage": "%s"}' % (b"a" * 101), type=StatePoint)
