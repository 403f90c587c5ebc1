// The functions of ONNX Runtime's C ABI that only operators on a device need; see ort_abi.h.
#pragma once

#include "ort_abi.h"

namespace hla::ort {

struct Allocator;
struct MemoryInfo;

using MemoryInfoGetId = Function<72, Status*(const MemoryInfo*, int*)>;
using AllocatorAlloc = Function<75, Status*(Allocator*, size_t, void**)>;
using AllocatorFree = Function<76, Status*(Allocator*, void*)>;
using AllocatorGetInfo = Function<77, Status*(const Allocator*, const MemoryInfo**)>;
using ReleaseAllocator = Function<132, void(Allocator*)>;
using KernelContextGetGpuComputeStream = Function<193, Status*(const KernelContext*, void**)>;
using KernelContextGetAllocator = Function<253, Status*(const KernelContext*, const MemoryInfo*, Allocator**)>;
using KernelContextGetScratchBuffer = Function<277, Status*(const KernelContext*, const MemoryInfo*, size_t, void**)>;
using KernelInfoGetAllocator = Function<278, Status*(const KernelInfo*, MemoryType, Allocator**)>;

}  // namespace hla::ort
