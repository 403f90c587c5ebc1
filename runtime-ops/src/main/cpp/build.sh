#!/bin/sh
# Builds this folder with CMake, for Maven: configures once, then only builds what changed.
#   build.sh BUILD_DIR TARGETS CMAKE_OPTION...      (TARGETS: one word, commas between)
set -eu

source_dir=$(cd "$(dirname "$0")" && pwd)
build_dir=$1
targets=$(echo "$2" | tr ',' ' ')
shift 2

need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "hla: the operator library needs $1 to build and it is not on the PATH; on Debian or Ubuntu: apt-get install $2" >&2
  exit 1
}
need cmake cmake
need make make
[ -n "${CXX:-}" ] || need g++ g++

mkdir -p "$build_dir"
# CMake refuses a cache that was made in another folder: this one is a copy of it.
if [ -e "$build_dir/CMakeCache.txt" ] && ! grep -qxF "CMAKE_CACHEFILE_DIR:INTERNAL=$(cd "$build_dir" && pwd -P)" "$build_dir/CMakeCache.txt"; then
  rm -rf "$build_dir/CMakeCache.txt" "$build_dir/CMakeFiles" "$build_dir/Makefile"
fi
log=$build_dir/build.log
# A change of an option or of CMakeLists.txt configures again (make alone would not see a new target in time).
if [ ! "$build_dir/Makefile" -nt "$source_dir/CMakeLists.txt" ] || [ "$(cat "$build_dir/options" 2>/dev/null)" != "$*" ]; then
  cmake -S "$source_dir" -B "$build_dir" -G "Unix Makefiles" "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  echo "$*" >"$build_dir/options"
fi
# shellcheck disable=SC2086
cmake --build "$build_dir" --parallel --target $targets >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
grep -E "warning:" "$log" >&2 || true
