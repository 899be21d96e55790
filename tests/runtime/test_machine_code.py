"""What a kernel became under NVRTC, where the emulator's compiler would do otherwise."""

import re

import pytest

from gpucnn.errors import DeviceError
from gpucnn.runtime import nvrtc, registry, report
from gpucnn.runtime.source import assemble

IN_DOUBLE = {"clip_by_global_norm", "rotate_images"}
"""The files whose float32 variants compute in float64 on purpose."""


@pytest.fixture(autouse=True)
def _nvrtc() -> None:
    try:
        nvrtc.find()
    except DeviceError as error:
        pytest.skip(str(error))


def doubles(text: str, name: str) -> list[str]:
    """The instructions on float64 of a text compiled for float32."""
    code = nvrtc.ptx(text, name, (("SCALAR", "float"),), "compute_80")
    assert f".entry {name}" in code
    return [line for line in code.splitlines() if re.search(r"^\s+(?!\.)\S*\.f64", line)]


@pytest.mark.parametrize("file", registry.files())
def test_float32_is_not_computed_in_float64(file: str) -> None:
    """A literal without scalar_t(...) would be: at a 32nd or 64th of the speed on most GPUs."""
    assert bool(doubles(assemble(file), file)) == (file in IN_DOUBLE)


@pytest.mark.parametrize(("half", "found"), [("0.5", True), ("0.5f", False), ("float(0.5)", False)])
def test_a_literal_of_the_wrong_type_is_found(half: str, found: bool) -> None:
    text = (
        f'extern "C" __global__ void scale(float* x) {{ x[threadIdx.x] *= 0.1f + {half} * x[9]; }}'
    )
    assert bool(doubles(text, "scale")) == found


@pytest.mark.parametrize(("place", "bytes_"), [("k[i] % 64", 256), ("i", 0)])
def test_an_array_that_is_indexed_at_run_time_counts_as_spilled(
    place: str, bytes_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""extern "C" __global__ void count(const unsigned* k, float* x) {{
        float held[64] = {{}};
    #pragma unroll
        for (int i = 0; i < 64; ++i) held[{place}] += x[i];
    #pragma unroll
        for (int i = 0; i < 64; ++i) x[64 * threadIdx.x + i] = held[i];
    }}"""
    monkeypatch.setattr(report, "assemble", lambda file: text)
    build = registry.Build("count", (("SCALAR", "float"),), ("count",))
    (usage,) = report.usages(build, "sm_80")
    assert usage.spilled == bytes_
