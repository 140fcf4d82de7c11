"""The runtime's types by name: as the package alone would have them, and what is left out of values."""

from __future__ import annotations

from typing import Any

import pytest
from runtime_metadata import Runtime
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes, ScaleDecoder
from scalecodec.type_registry import load_type_registry_preset

from faas_blueprint.job import EXECUTE_PARAMETERS, encode_job, make_job
from faas_blueprint.tangle.fields import to_fields
from faas_blueprint.tangle.runtime_metadata import RuntimeMetadata, RuntimeTypes
from faas_sdk.substrate import metadata as sdk


def _read(types: RuntimeConfigurationObject, encoded: bytes) -> Any:
    metadata = types.create_scale_object("MetadataVersioned", data=ScaleBytes(encoded))
    values = metadata.decode()
    types.add_portable_registry(metadata)
    return values


def _described(kind: type[ScaleDecoder] | None) -> list[tuple[object, ...]]:
    """A class and those that it is made from."""
    return [
        (base.__name__, base.sub_type, base.type_mapping, getattr(base, "element_count", None))
        for base in (kind.__mro__ if kind else ())
        if issubclass(base, ScaleDecoder)
    ]


@pytest.fixture(scope="module")
def as_alone(runtime: Runtime) -> tuple[RuntimeConfigurationObject, Any]:
    """What the package alone makes of the metadata."""
    alone = RuntimeConfigurationObject(ss58_format=42)
    alone.update_type_registry(load_type_registry_preset("core"))
    return alone, _read(alone, runtime.v14)


@pytest.mark.parametrize("kind", [RuntimeTypes, sdk.RuntimeTypes])
def test_types_are_as_the_package_has_them(
    as_alone: tuple[RuntimeConfigurationObject, Any],
    runtime: Runtime,
    kind: type[RuntimeConfigurationObject],
):
    (alone, expected), types = as_alone, kind()
    assert _read(types, runtime.v14) == expected
    theirs, ours = alone.type_registry["types"], types.type_registry["types"]
    of_runtime = [name for name in theirs if name.startswith("scale_info::")]
    assert len(of_runtime) > 800
    for name in of_runtime:
        assert _described(ours[name]) == _described(theirs[name]), name
    names = ["Vec<u8>", "Option<scale_info::0>", "(u8, Vec<u16>)", "[u8; 12]", "Compact<u128>"]
    for name in names:
        assert _described(types.get_decoder_class(name)) == _described(alone.get_decoder_class(name))
        assert types.get_decoder_class(name) is types.get_decoder_class(name)
    assert types.get_decoder_class("Nothing<u8>") is None


def test_arguments_are_left_out_of_a_stored_call(runtime: Runtime):
    arguments = to_fields(EXECUTE_PARAMETERS, encode_job(make_job("python", "print(1)", stdin=b"x" * 5000)))
    stored = (7).to_bytes(8, "little") + b"\3" + arguments
    metadata = RuntimeMetadata(runtime.v14)
    assert metadata.storage_value("Services", "JobCalls", stored) == {"service_id": 7, "job": 3}
    whole = runtime.types.create_scale_object(
        "tangle_primitives::services::jobs::JobCall", ScaleBytes(stored)
    )
    values = whole.decode()
    assert (values["service_id"], values["job"], len(values)) == (7, 3, 3)
    for damaged in (stored[:-1], stored + b"\0", stored[:9] + b"\xff" * 5):
        with pytest.raises(ValueError, match=r"args: |JobCalls ends at byte"):
            metadata.storage_value("Services", "JobCalls", damaged)
