"""The cuda launcher against a stand-in for cupy: options, launches, and every error on the way.

That CuPy and the driver take what is recorded here can only be seen on a GPU.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.cli import main
from gpucnn.errors import DeviceError, KernelError, ShapeError
from gpucnn.runtime import cuda, cuda_checks, registry, source
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.launch import Kernel
from tests.runtime import fake_cupy
from tests.runtime.fake_cupy import FakeCupy

RELU = Kernel("relu_forward", "relu_forward", (("SCALAR", "float"),))
ONE = (1, 1, 1)


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "0")
    monkeypatch.setattr(cuda_checks, "DISTRIBUTIONS", ())


def install(monkeypatch: pytest.MonkeyPatch, **options: Any) -> FakeCupy:
    cupy = FakeCupy(**options)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    return install(monkeypatch)


def relu_arguments(launcher: CudaLauncher) -> list[Any]:
    return [launcher.xp.zeros((6,), "float32"), launcher.xp.empty((6,), "float32"), 6]


def test_the_text_and_the_options_of_a_compilation(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    tile = (("SCALAR", "double"), ("TILE_M", "64"))
    launcher.compile(Kernel("linear_forward", "linear_forward", tile))
    (text, options) = cupy.modules[0]
    assert options == ("-std=c++17", "-DSCALAR=double", "-DTILE_M=64")
    assert '#line 1 "kernels/linear_forward.cu"' in text
    assert '#include "' not in text, "CuPy's cache would not see an edited header"


@pytest.mark.parametrize("file", registry.files())
def test_the_text_is_ascii_whatever_the_comments_hold(file: str) -> None:
    """CuPy writes it to a file in the locale's encoding."""
    assert source.assemble(file).isascii()


def test_a_file_is_compiled_once_for_its_symbols(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    for symbol in ("all_finite", "all_finite_partial", "all_finite"):
        launcher.compile(Kernel("all_finite", symbol, RELU.macros))
    assert len(cupy.modules) == 1


def test_another_launcher_compiles_nothing_again(cupy: FakeCupy) -> None:
    """CuPy keeps modules by text and options for the process, and by them on disk."""
    for _ in range(2):
        CudaLauncher().compile(RELU)
    assert len(cupy.modules) == 1


def test_the_command_builds_ahead(cupy: FakeCupy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "build", "max_abs", "relu_forward", "--device", "cuda:1"]) == 0
    assert "4 builds of kernels are compiled for cuda:1" in capsys.readouterr().out
    assert {options[1] for _, options in cupy.modules} == {"-DSCALAR=float", "-DSCALAR=double"}
    assert len(cupy.modules) == 4
    assert cupy.launches == []


def test_a_launch(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    x, y, count = relu_arguments(launcher)
    launcher.launch(RELU, (3, 1, 1), (64, 1, 1), [x, y, count])
    (launch,) = cupy.launches
    assert (launch["symbol"], launch["grid"], launch["block"]) == (
        "relu_forward", (3, 1, 1), (64, 1, 1),
    )  # fmt: skip
    assert launch["args"][0] is x
    assert launch["args"][2].dtype == "int32"


def test_a_null_pointer_is_eight_bytes_of_zero(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    a = launcher.xp.zeros((4,), "float32")
    sgd = Kernel("sgd_update", "sgd_update", RELU.macros)
    numbers = [0.0, 1.0, 0.1, 0.0, 0, 0.0, 4]
    launcher.launch(sgd, ONE, (64, 1, 1), [a, a, *[None] * 6, *numbers])
    null = cupy.launches[0]["args"][2]
    assert (null.dtype, null) == ("uint64", 0)


def test_shared_memory(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    launcher.launch(RELU, ONE, ONE, relu_arguments(launcher), shared_bytes=64 * 1024)
    assert cupy.launches[0]["shared"] == 64 * 1024
    with pytest.raises(ShapeError, match="102400 of device 'cuda'"):
        launcher.launch(RELU, ONE, ONE, relu_arguments(launcher), shared_bytes=100 * 1024 + 1)


def test_a_device_by_number(cupy: FakeCupy) -> None:
    ops = gpucnn.get_ops("cuda:1")
    assert ops.name == "cuda:1"
    assert cupy.used == [1]
    x = ops.asarray(np.ones(6, "float32"))
    ops.relu_forward(x)
    assert cupy.launches[0]["device"] == 1
    assert cupy.active == [0], "the caller's device is as it was"
    with pytest.raises(DeviceError, match="must be an array of device 'cuda'"):
        gpucnn.get_ops("cuda").relu_forward(x)
    with pytest.raises(DeviceError, match=r"ops\.asarray"):
        ops.relu_forward(np.ones(6, "float32"))


def test_a_device_that_is_not_there(cupy: FakeCupy) -> None:
    with pytest.raises(DeviceError, match=r"'cuda:2' is not available.*cuda:0 to cuda:1"):
        CudaLauncher(2)


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, devices=0)
    with pytest.raises(DeviceError, match=r"shows no GPU.*CUDA_VISIBLE_DEVICES"):
        CudaLauncher()


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = install(monkeypatch)
    cupy.fail = fake_cupy.CUDARuntimeError("cudaErrorInsufficientDriver")
    with pytest.raises(DeviceError, match=r"no working NVIDIA driver .*Insufficient.*nvidia-smi"):
        CudaLauncher()
    install(monkeypatch, driver=0)
    with pytest.raises(DeviceError, match="no working NVIDIA driver"):
        CudaLauncher()


@pytest.mark.parametrize(
    ("driver", "built", "remedy"),
    [
        (12080, 13000, r'runs CUDA 12\.8.*built for CUDA 13\.0.*pip install "gpucnn\[cuda12\]"'),
        (11040, 12000, r"runs CUDA 11\.4.*install a newer NVIDIA driver"),
    ],
)
def test_an_old_driver(
    monkeypatch: pytest.MonkeyPatch, driver: int, built: int, remedy: str
) -> None:
    install(monkeypatch, driver=driver, built=built)
    with pytest.raises(DeviceError, match=f"driver is too old: it {remedy}"):
        CudaLauncher()


def test_a_driver_of_the_same_major_version_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, driver=13000, built=13020)
    CudaLauncher()


def test_no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(cuda.importlib, "import_module", missing)
    words = r"""'cuda:1' is not available: CuPy is not installed: pip install "gpucnn\[cuda13\]"""
    with pytest.raises(DeviceError, match=words):
        gpucnn.get_ops("cuda:1")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libnvrtc.so.13: cannot open shared object file\nmore"),
        ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
    ],
)
def test_a_broken_cupy(monkeypatch: pytest.MonkeyPatch, error: ImportError) -> None:
    def broken(name: str) -> Any:
        raise error

    monkeypatch.setattr(cuda.importlib, "import_module", broken)
    with pytest.raises(DeviceError, match=r"does not import: .*pip uninstall -y cupy &&"):
        CudaLauncher()


def test_several_cupys(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"cupy-cuda12x": "14.0.0", "cupy-cuda13x": "14.0.0"}
    monkeypatch.setattr(cuda, "installed", lambda: both)
    with pytest.raises(DeviceError, match=r"several CuPy .*uninstall -y cupy-cuda12x cupy-cuda13x"):
        CudaLauncher()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to find CUDA headers"),
        fake_cupy.CompileException("cannot open source file cuda_fp16.h"),
        fake_cupy.CUDARuntimeError("cudaErrorNoKernelImageForDevice"),
    ],
)
def test_a_cupy_that_cannot_compile_its_own_kernels(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    cupy = install(monkeypatch)

    def fail(shape: Any, dtype: Any) -> Any:
        raise error

    monkeypatch.setattr(cupy, "zeros", fail)
    with pytest.raises(DeviceError, match=rf"does not work on it \(sm_90\): {error}.*pip "):
        CudaLauncher()


def test_out_of_memory(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    cupy.fail = fake_cupy.OutOfMemoryError()
    with pytest.raises(
        DeviceError,
        match=r"shape \(1024, 1024, 256\) wants 1\.00 GiB; gpucnn holds 3\.00 GiB, and 1\.00 GiB of"
        r" 8\.00 GiB are free: lower data\.batch_size",
    ):
        launcher.xp.empty((1024, 1024, 256), "float32")


def test_a_kernel_that_does_not_compile(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    cupy.fail = fake_cupy.CompileException("kernels/relu_forward.cu(12): error: expected a ;")
    with pytest.raises(KernelError, match=r"sm_90 .*'SCALAR': 'float'.*relu_forward\.cu\(12\)"):
        launcher.compile(RELU)


def test_a_launch_that_fails(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    args = relu_arguments(launcher)
    launcher.compile(RELU)
    cupy.fail = fake_cupy.CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS")
    with pytest.raises(
        KernelError,
        match=r"kernels/relu_forward\.cu: relu_forward on cuda \(sm_90\), grid \(1, 1, 1\).*ILLEGAL"
        r".*compute-sanitizer",
    ):
        launcher.launch(RELU, ONE, ONE, args)
    cupy.fail = fake_cupy.CUDARuntimeError("cudaErrorLaunchFailure")
    with pytest.raises(KernelError, match="earlier launch"):
        launcher.synchronize()


def test_an_error_that_a_copy_brings(cupy: FakeCupy) -> None:
    ops = gpucnn.get_ops("cuda")
    x = ops.zeros((2,), "float32")
    assert type(ops.to_numpy(x)) is np.ndarray
    cupy.fail = fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress")
    with pytest.raises(KernelError, match=r"copying from device 'cuda' \(sm_90\).*earlier launch"):
        ops.to_numpy(x)


def test_out_of_memory_without_a_pool(cupy: FakeCupy) -> None:
    launcher = CudaLauncher()
    cupy.fail = fake_cupy.CUDARuntimeError("cudaErrorMemoryAllocation")
    cupy.fail.status = 2
    with pytest.raises(DeviceError, match=r"\(2, 3\) wants 0\.0 MiB.*lower data\.batch_size"):
        launcher.xp.zeros((2, 3), "float32")
    cupy.fail = fake_cupy.CUDARuntimeError("cudaErrorLaunchFailure")
    with pytest.raises(KernelError, match=r"LaunchFailure.*earlier launch"):
        launcher.xp.zeros((2, 3), "float32")


def test_an_array_that_another_library_holds_on_the_gpu(cupy: FakeCupy) -> None:
    """It is handed to CuPy, never to NumPy, which cannot read it."""

    class Tensor:
        __cuda_array_interface__ = None
        shape, dtype = (3,), "torch.float32"

        def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
            if not cupy.active[1:]:
                raise TypeError("can't convert a CUDA tensor to numpy")
            return np.arange(3, dtype="float32")

    ops = gpucnn.get_ops("cuda:1")
    x = ops.asarray(Tensor(), "float64")
    assert ops.is_array(x)
    assert (x.dtype, x.tolist()) == ("float64", [0, 1, 2])


def test_a_layer_takes_another_library_s_array_of_its_gpu(cupy: Any) -> None:
    """DLPack: in place, and from this GPU alone."""

    class Tensor:
        content = np.ones((1, 2), "float32")

        def __init__(self, index: int) -> None:
            self.index = index

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, self.index

        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError("CuPy reads it")

    ops = gpucnn.get_ops("cuda:1")
    layer = gpucnn.layers.Flatten()
    layer.build((2,), ops, seed=0)
    assert ops.is_array(ops.from_dlpack(Tensor(1)))
    assert np.shares_memory(layer.forward(Tensor(1), train=False), Tensor.content)
    for other in (Tensor(0), Tensor.content):
        with pytest.raises(DeviceError, match=r"x must be .*device 'cuda:1'.*ops\.asarray\(x\)"):
            layer.forward(other, train=False)


def test_an_unwritable_cache_is_not_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, cupy: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "file" / "cache"))
    at_import = []

    def load(name: str) -> Any:
        at_import.append(os.environ["CUPY_CACHE_DIR"])
        return cupy

    monkeypatch.setattr(cuda.importlib, "import_module", load)
    CudaLauncher()
    assert os.environ["CUPY_CACHE_IN_MEMORY"] == "1"
    # Importing cupy makes the folder it is told, and fails where it cannot.
    assert os.path.isdir(at_import[0])
    assert "cannot be written (Not a directory)" in caplog.text
    assert "CUPY_CACHE_DIR" in caplog.text


def test_a_disk_that_is_full_is_not_an_error(
    cupy: FakeCupy, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = CudaLauncher()
    cupy.fail = OSError(28, "No space left on device")
    launcher.compile(RELU)
    assert os.environ["CUPY_CACHE_IN_MEMORY"] == "1"
    assert "cannot be written (No space left on device)" in caplog.text
    assert len(cupy.modules) == 1
