"""CuPy itself, as far as it goes without a GPU: what the cuda launcher and the scripts use of it.

Names and signatures, options, compilation to machine code, and the bytes of packed arguments. The
layout of the parameter structs is asked of NVRTC alone.
"""

import ast
import ctypes
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import DeviceError
from gpucnn.ops.kernels import convolution, dense, pooling
from gpucnn.ops.shapes import Conv2dShape, Pool2dShape
from gpucnn.runtime import cuda, nvrtc, registry
from gpucnn.runtime.launch import Kernel
from tests.runtime.fake_cupy import FakeCupy

ROOT = Path(__file__).resolve().parents[2]
USERS = ("gpucnn/runtime/cuda.py", "gpucnn/runtime/cuda_checks.py", "gpucnn/runtime/cuda_graph.py",
         "gpucnn/runtime/memory.py", "gpucnn/runtime/staging.py", "gpucnn/runtime/timing.py",
         "scripts/acceptance/machine.py", "scripts/acceptance/timing.py",
         "gpucnn/profiling/benchmark/device.py")  # fmt: skip

CONV = Conv2dShape.of((2, 5, 9, 7), (4, 5, 3, 3), stride=2, padding=1, dilation=1, groups=1)
POOL = Pool2dShape.of((2, 5, 9, 7), kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)
# struct -> a kernel that takes it, and the host's value
STRUCTS = {
    "Conv2dParams": ("conv2d_forward", convolution.params(CONV)),
    "Pool2dParams": ("max_pool2d_forward", pooling._geometry(POOL)),
    "GemmParams": ("linear_forward", dense.GemmPlan.of(5, 6, 7, 4).params),
}


@pytest.fixture(scope="module")
def cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")


def attributes(path: str) -> Iterator[str]:
    """The dotted names that begin with `cupy` (or self._cupy) in a file."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and names:
            dotted = ".".join([node.id, *reversed(names)]).removeprefix("self._")
            if dotted.startswith("cupy."):
                yield dotted.removeprefix("cupy.")


def reach(module: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        module = getattr(module, name)
    return module


@pytest.mark.parametrize("path", USERS)
def test_every_name_that_is_used_is_there(cupy: Any, path: str) -> None:
    used = set(attributes(path))
    for dotted in used:
        reach(cupy, dotted)
    assert used


def test_the_stand_in_has_nothing_that_cupy_has_not(cupy: Any) -> None:
    fake = FakeCupy()
    for name in (n for n in vars(fake.cuda) if n not in ("runtime", "driver", "memory")):
        reach(cupy.cuda, name)
    for module in ("runtime", "driver", "memory", "compiler"):
        for name in vars(getattr(fake.cuda, module)):
            reach(cupy.cuda, f"{module}.{name}")
    for name in (n for n in dir(fake) if not n.startswith("_")):
        own = {"modules", "launches", "used", "active", "fail", "cuda"}
        assert name in own or hasattr(cupy, name), name


def test_the_emulated_cupy_has_nothing_that_cupy_has_not(cupy: Any) -> None:
    """Its modules by their text: they go by the name of the real one."""
    folder = ROOT / "tests" / "emulated_cupy" / "cupy"

    def compare(file: str, real: Any, own: set[str]) -> None:
        for node in ast.parse((folder / file).read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                (target,) = node.targets
                for keyword in node.value.keywords:
                    if target.id not in own:
                        reach(real, f"{target.id}.{keyword.arg}")
            elif isinstance(node, ast.ClassDef) and hasattr(real, node.name):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef) and part.name not in own:
                        reach(real, f"{node.name}.{part.name}")
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert node.name in own or reach(real, node.name)

    compare("__init__.py", cupy, set())
    compare("cuda.py", cupy.cuda, {"pool"})
    compare("_raw.py", cupy, {"__init__", "_launch", "_unpacked"})
    compare("_array.py", cupy, {"__getattr__", "_done"})
    private = {"_reached", "_not_captured", "_add", "_step"}
    compare("_streams.py", cupy.cuda, {"submit", "synchronize", *private})
    for name in ("num_regs", "local_size_bytes", "shared_size_bytes"):
        reach(cupy.RawKernel, name)
    pool = cupy.get_default_memory_pool()
    assert all(hasattr(pool, name) for name in ("total_bytes", "free_bytes", "free_all_blocks"))


def test_errors_are_of_the_kinds_that_are_caught(cupy: Any) -> None:
    """check_toolkit catches RuntimeError and thinks that CUDA's own are among them."""
    errors = cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError
    assert all(issubclass(error, RuntimeError) for error in errors)
    assert not issubclass(cupy.cuda.memory.OutOfMemoryError, (RuntimeError, OSError))
    assert not issubclass(cupy.cuda.compiler.CompileException, (RuntimeError, OSError))
    error = cupy.cuda.compiler.CompileException("x.cu(3): error", "", "x.cu", ())
    assert error.get_message() == "x.cu(3): error"


def test_the_calls_have_these_signatures(cupy: Any) -> None:
    module = cupy.RawModule(code="", options=("-std=c++17",), backend="nvrtc")
    assert callable(module.get_function)
    inspect.signature(cupy.asarray).bind([], dtype=None, order="C")
    assert callable(cupy.from_dlpack)  # of cython, without a signature
    inspect.signature(cupy.empty).bind((2,), "float32")
    inspect.signature(cupy.zeros).bind((2,), "float32")
    assert hasattr(cupy.RawKernel.max_dynamic_shared_size_bytes, "__set__")
    device = cupy.cuda.Device(0)
    assert device.id == 0
    for name in ("use", "synchronize", "__enter__", "__exit__"):
        assert callable(getattr(device, name))
    for name in ("mem_info", "attributes", "compute_capability"):
        assert hasattr(type(device), name)
    assert int(cupy.cuda.runtime.runtimeGetVersion()) >= 12000
    # Device.attributes has the names without cudaDevAttr.
    for name in ("MaxSharedMemoryPerBlockOptin", "ComputeMode"):
        assert hasattr(cupy.cuda.runtime, f"cudaDevAttr{name}")


def test_the_calls_of_a_capture(cupy: Any) -> None:
    """Cython's methods have no signature to bind; their docstrings begin with it."""
    stream, graph = cupy.cuda.Stream, cupy.cuda.Graph
    assert "non_blocking=False" in (stream.__init__.__doc__ or "")
    for method, signature in (
        (stream.begin_capture, "begin_capture(self, mode=None)"),
        (stream.end_capture, "end_capture(self)"),
        (graph.launch, "launch(self, stream=None)"),
        (cupy.ndarray.set, "set(self, arr, stream=None)"),
    ):
        assert signature in method.__doc__


def test_the_calls_of_the_staging(cupy: Any) -> None:
    event, stream = cupy.cuda.Event, cupy.cuda.Stream
    for method, signature in (
        (event.__init__, "__init__(self, block=False, disable_timing=False, "),
        (event.synchronize, "synchronize(self)"),
        (stream.record, "record(self, event=None)"),
        (stream.wait_event, "wait_event(self, event)"),
        (stream.synchronize, "synchronize(self)"),
        (cupy.cuda.get_current_stream, "get_current_stream("),
        (cupy.cuda.alloc_pinned_memory, "alloc_pinned_memory(size_t size) -> PinnedMemoryPointer"),
    ):
        assert signature in method.__doc__
    # A thread that copies while another captures does not end the capture.
    assert "Default is\n        :data:`~cupy.cuda.runtime.streamCaptureModeRelaxed`" in (
        stream.begin_capture.__doc__
    )
    buffer = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(0), 0)
    assert np.ndarray((0,), np.uint8, buffer).flags.writeable


def test_the_options_are_those_of_the_report(cupy: Any) -> None:
    """The report on registers and spills compiles what the device will run."""
    compiler = pytest.importorskip("cupy._core.core", reason="this CuPy has no cupy._core.core")
    kernel = Kernel("relu_forward", "relu_forward", (("SCALAR", "float"),))
    try:
        found = compiler.assemble_cupy_compiler_options(cuda.options_of(kernel))
    except RuntimeError as error:
        pytest.skip(str(error))
    plain = [option for option in found if not option.startswith("-I")]
    assert plain == ["-std=c++17", "-DSCALAR=float"]
    text = inspect.getsource(cupy.cuda.compiler)
    for option in nvrtc.OPTIONS:
        assert option in (*cuda.OPTIONS, "--ptxas-options=-v") or f"'{option}'" in text


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("file", ["conv2d_backward_weight", "linear_forward", "all_finite"])
def test_cupy_compiles_the_kernels_to_machine_code(cupy: Any, file: str, arch: str) -> None:
    build = next(build for build in registry.builds() if build.file == file)
    (kernel, *_) = build.kernels()
    program = cupy.cuda.compiler._NVRTCProgram(kernel.source, f"{file}.cu", method="cubin")
    options = (*cuda.options_of(kernel), "-ftz=true", f"-arch={arch}")
    code, names = program.compile((*options, "--device-as-default-execution-space"))
    assert (code[:4], names) == (b"\x7fELF", None)
    for symbol in build.symbols:
        assert symbol.encode() + b"\0" in code


def test_a_program_that_does_not_compile(cupy: Any) -> None:
    """The message names kernels/….cu and the line, by the #line that the assembled text holds."""
    text = '#line 7 "kernels/wrong.cu"\nint f() { return nothing; }\n'
    program = cupy.cuda.compiler._NVRTCProgram(text, "wrong.cu", method="cubin")
    with pytest.raises(cupy.cuda.compiler.CompileException) as caught:
        program.compile((*cuda.OPTIONS, "-arch=sm_90"))
    assert 'kernels/wrong.cu(7): error: identifier "nothing"' in caught.value.get_message()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int32(-5), np.int32(-5).tobytes()),
        (np.uint64(2**64 - 1), b"\xff" * 8),
        (np.float32(0.1), np.float32(0.1).tobytes()),
        (np.float64(0.1), np.float64(0.1).tobytes()),
        (np.bool_(True), b"\1"),
        (None, bytes(8)),
    ],
)
def test_a_packed_number_is_its_bytes(cupy: Any, value: Any, expected: bytes) -> None:
    from cupy._core import _scalar

    (number,) = cuda.packed([value])
    scalar = _scalar.CScalar(number)
    assert ctypes.string_at(scalar.ptr, len(expected)) == expected
    assert scalar.dtype.itemsize == len(expected)


@pytest.mark.parametrize("name", STRUCTS)
def test_a_packed_struct_is_its_bytes(cupy: Any, name: str) -> None:
    _, value = STRUCTS[name]
    (given,) = cuda.packed([value])
    pointer = cupy.cuda.function.CNumpyArray(given)
    assert ctypes.string_at(pointer.ptr, value.dtype.itemsize) == value.tobytes()


@pytest.mark.parametrize("name", STRUCTS)
def test_nvrtc_lays_a_struct_out_as_numpy_does(name: str) -> None:
    file, value = STRUCTS[name]
    kernel = Kernel(file, file, (("SCALAR", "float"),))
    dtype = value.dtype
    assert [field for field, _ in kernel.structs[name]] == list(dtype.names)
    claims = [f'static_assert(sizeof({name}) == {dtype.itemsize}, "size");']
    claims += [
        f'static_assert(__builtin_offsetof({name}, {field}) == {offset}, "{field}");'
        for field, (_, offset) in dtype.fields.items()
    ]
    try:
        nvrtc.compile_log("\n".join([kernel.source, *claims]), file, kernel.macros, "sm_80")
    except DeviceError as error:
        pytest.skip(str(error))


def test_the_structs_above_are_all() -> None:
    taken = {
        parameter.type
        for build in registry.builds()
        for kernel in build.kernels()
        for parameter in kernel.parameters
        if not parameter.pointer and kernel.dtype(parameter.type) is None
    }
    assert taken == set(STRUCTS)


def imported(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `code` in a fresh process: CuPy reads its cache's name when it is imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("cupy")
def test_cupy_imports_where_its_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "cache")
    # Or else this test would prove nothing.
    assert "NotADirectoryError" in imported("import cupy", CUPY_CACHE_DIR=folder).stderr
    code = (
        "from gpucnn.runtime.cuda_checks import keep_cache_writable; keep_cache_writable();"
        "import cupy; from cupy.cuda import compiler;"
        "print(compiler._get_bool_env_variable('CUPY_CACHE_IN_MEMORY', False))"
    )
    done = imported(code, CUPY_CACHE_DIR=folder)
    assert done.stdout == "True\n", done.stderr
    assert "cannot be written" in done.stderr


@pytest.mark.usefixtures("cupy")
def test_without_a_driver_cuda_is_refused_in_words() -> None:
    code = "import gpucnn; gpucnn.get_ops('cuda')"
    done = imported(code, CUDA_VISIBLE_DEVICES="")
    assert "gpucnn.errors.DeviceError: device 'cuda' is not available: " in done.stderr
    assert "no working NVIDIA driver" in done.stderr or "shows no GPU" in done.stderr
