"""Builds the native kernels; everything else about the package is in pyproject.toml.

Without a C++ compiler the package installs all the same, and its layers run in plain torch.
"""

import platform
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

SOURCES = Path("inference/nvfp4_ddim_optimizer/native/csrc")
# -ffp-contract=off: a product that is to be rounded must not be fused with a sum; see fma().
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
X86_FLAGS = {
    "avx2.cpp": ["-mavx2", "-mfma"],
    "avx512.cpp": [
        "-mavx2",
        "-mfma",
        "-mavx512f",
        "-mavx512bw",
        "-mavx512dq",
        "-mavx512vl",
        "-mprefer-vector-width=512",
    ],
}
COMMON = ["attention.cpp", "baseline.cpp", "convolve.cpp", "dispatch.cpp", "threads.cpp"]


class BuildKernels(build_ext):
    """Compiles each instruction set's file with flags of its own, which Extension can't say."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link one extension."""
        openmp = self._openmp_flags()
        objects = []
        for source in ext.sources:
            extra = X86_FLAGS.get(Path(source).name, [])
            objects += self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                extra_postargs=[*FLAGS, *openmp, *extra],
                depends=ext.depends,
            )
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=openmp, target_lang="c++"
        )

    def _openmp_flags(self) -> list[str]:
        """Apple's Clang, for one, has no OpenMP; the kernels then use one thread."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "openmp.cpp"
            source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }")
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=["-fopenmp"]
                )
                self.compiler.link_executable(
                    objects, str(Path(folder) / "openmp"), extra_postargs=["-fopenmp"]
                )
            except CCompilerError:
                return []
        return ["-fopenmp"]


def _sources() -> list[str]:
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    names = [*COMMON, *(X86_FLAGS if is_x86 else ())]
    return [str(SOURCES / name) for name in names]


setup(
    ext_modules=[
        Extension(
            "nvfp4_ddim_optimizer.native._kernels",
            sources=_sources(),
            depends=[str(path) for path in sorted(SOURCES.glob("*.h"))],
            language="c++",
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
