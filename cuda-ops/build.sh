#!/bin/sh
# Builds this folder with CMake, for Maven and for gpu-check: configures where something changed, then builds what changed.
#   build.sh BUILD_DIR TARGETS CMAKE_OPTION...      (TARGETS: one word, commas between)
# Targets that need the CUDA compiler are left out, with one line, where there is none.
set -eu

source_dir=$(cd "$(dirname "$0")" && pwd)
build_dir=$1
targets=$(echo "$2" | tr ',' ' ')
shift 2

need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "hla: the CUDA kernels and their tests need $1 to build and it is not on the PATH; on Debian or Ubuntu: apt-get install $2" >&2
  exit 1
}
need cmake cmake
need make make
[ -n "${CXX:-}" ] || need g++ g++

nvcc=${HLA_NVCC-$(command -v nvcc || true)}
if [ -z "$nvcc" ] && [ -x /usr/local/cuda/bin/nvcc ] && [ -z "${HLA_NVCC+set}" ]; then nvcc=/usr/local/cuda/bin/nvcc; fi
if [ -z "$nvcc" ]; then
  wanted=$targets
  targets=
  for target in $wanted; do
    case $target in
      hla_ops_cuda|hla_gpu_check) ;;
      *) targets="$targets $target" ;;
    esac
  done
  if [ "$targets" != " $wanted" ]; then
    echo "hla: no nvcc on the PATH: the CUDA plugin is not built, models run on the CPU (NVIDIA's CUDA toolkit 13.0 has nvcc)" >&2
  fi
  [ -n "$targets" ] || exit 0
fi

mkdir -p "$build_dir"
# CMake refuses a cache that was made in another folder: this one is a copy of it.
if [ -e "$build_dir/CMakeCache.txt" ] && ! grep -qxF "CMAKE_CACHEFILE_DIR:INTERNAL=$(cd "$build_dir" && pwd -P)" "$build_dir/CMakeCache.txt"; then
  rm -rf "$build_dir/CMakeCache.txt" "$build_dir/CMakeFiles" "$build_dir/Makefile"
fi
log=$build_dir/build.log
options="-DHLA_NVCC=$nvcc $*"
if [ ! "$build_dir/Makefile" -nt "$source_dir/CMakeLists.txt" ] || [ "$(cat "$build_dir/options" 2>/dev/null)" != "$options" ]; then
  cmake -S "$source_dir" -B "$build_dir" -G "Unix Makefiles" "-DHLA_NVCC=$nvcc" "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  echo "$options" >"$build_dir/options"
fi
# shellcheck disable=SC2086
cmake --build "$build_dir" --parallel --target $targets >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
grep -E "warning:" "$log" >&2 || true
