// The part of ONNX Runtime's C ABI that this library calls, declared by hand: neither the Java nor the Python package
// of ONNX Runtime carries its headers, and the function table only ever grows at its end, so an index is a stable name.
// Functions are fetched by index and cast to the type given here; nothing else of the table is declared.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hla::ort {

// Opaque to us.
struct Status;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct ShapeInferContext;
struct TensorInfo;
struct TypeInfo;
struct Value;
struct OpAttr;

enum ErrorCode : int { kOk = 0, kFail = 1, kInvalidArgument = 2, kNotImplemented = 9 };

enum ElementType : int { kUndefined = 0, kFloat = 1, kUint8 = 2, kInt64 = 7, kFloat16 = 10, kBfloat16 = 16 };

enum Characteristic : int { kRequired = 0, kOptional = 1 };

enum OpAttrType : int { kAttributeInts = 2 };

enum MemoryType : int { kDefaultMemory = 0 };

// A table of function pointers; see Function below.
struct Api {
  void* entry[1];
};

struct ApiBase {
  const Api* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

// What the runtime reads of an operator. It keeps the pointer, so every instance is static.
// Version 18 with the V2 callbacks: below 16 the runtime calls the unset first-generation callbacks and dies.
struct CustomOp {
  uint32_t version;
  void* (*CreateKernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*GetName)(const CustomOp*);
  const char* (*GetExecutionProviderType)(const CustomOp*);
  ElementType (*GetInputType)(const CustomOp*, size_t index);
  size_t (*GetInputTypeCount)(const CustomOp*);
  ElementType (*GetOutputType)(const CustomOp*, size_t index);
  size_t (*GetOutputTypeCount)(const CustomOp*);
  void (*KernelCompute)(void* kernel, KernelContext*);
  void (*KernelDestroy)(void* kernel);
  Characteristic (*GetInputCharacteristic)(const CustomOp*, size_t index);
  Characteristic (*GetOutputCharacteristic)(const CustomOp*, size_t index);
  MemoryType (*GetInputMemoryType)(const CustomOp*, size_t index);
  int (*GetVariadicInputMinArity)(const CustomOp*);
  int (*GetVariadicInputHomogeneity)(const CustomOp*);
  int (*GetVariadicOutputMinArity)(const CustomOp*);
  int (*GetVariadicOutputHomogeneity)(const CustomOp*);
  Status* (*CreateKernelV2)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*KernelComputeV2)(void* kernel, KernelContext*);
  Status* (*InferOutputShape)(const CustomOp*, ShapeInferContext*);
  int (*GetStartVersion)(const CustomOp*);
  int (*GetEndVersion)(const CustomOp*);
  size_t (*GetMayInplace)(int** input_index, int** output_index);
  void (*ReleaseMayInplace)(int* input_index, int* output_index);
  size_t (*GetAliasMap)(int** input_index, int** output_index);
  void (*ReleaseAliasMap)(int* input_index, int* output_index);
};
static_assert(sizeof(CustomOp) == 26 * sizeof(void*), "OrtCustomOp of API version 18 has 26 fields");

constexpr uint32_t kCustomOpVersion = 18;
// The lowest API version that holds every function below and the fields of CustomOp; newer runtimes still serve it.
constexpr uint32_t kApiVersion = 18;

// One function of the table: its index and its type.
template <int kIndex, typename Signature>
struct Function;
template <int kIndex, typename Result, typename... Args>
struct Function<kIndex, Result(Args...)> {
  static Result call(const Api* api, Args... args) {
    return reinterpret_cast<Result (*)(Args...)>(api->entry[kIndex])(args...);
  }
};

using CreateStatus = Function<0, Status*(ErrorCode, const char*)>;
using GetErrorMessage = Function<2, const char*(const Status*)>;
using CreateCustomOpDomain = Function<26, Status*(const char*, CustomOpDomain**)>;
using CustomOpDomainAdd = Function<27, Status*(CustomOpDomain*, const CustomOp*)>;
using AddCustomOpDomain = Function<28, Status*(SessionOptions*, CustomOpDomain*)>;
using GetTensorMutableData = Function<51, Status*(Value*, void**)>;
using CastTypeInfoToTensorInfo = Function<55, Status*(const TypeInfo*, const TensorInfo**)>;
using CreateTensorInfo = Function<57, Status*(TensorInfo**)>;
using SetTensorElementType = Function<58, Status*(TensorInfo*, ElementType)>;
using SetDimensions = Function<59, Status*(TensorInfo*, const int64_t*, size_t)>;
using GetTensorElementType = Function<60, Status*(const TensorInfo*, ElementType*)>;
using GetDimensionsCount = Function<61, Status*(const TensorInfo*, size_t*)>;
using GetDimensions = Function<62, Status*(const TensorInfo*, int64_t*, size_t)>;
using GetSymbolicDimensions = Function<63, Status*(const TensorInfo*, const char**, size_t)>;
using GetTensorTypeAndShape = Function<65, Status*(const Value*, TensorInfo**)>;
using KernelInfoGetAttributeFloat = Function<85, Status*(const KernelInfo*, const char*, float*)>;
using KernelInfoGetAttributeInt64 = Function<86, Status*(const KernelInfo*, const char*, int64_t*)>;
using KernelInfoGetAttributeString = Function<87, Status*(const KernelInfo*, const char*, char*, size_t*)>;
using KernelContextGetInput = Function<90, Status*(const KernelContext*, size_t, const Value**)>;
using KernelContextGetOutput = Function<91, Status*(KernelContext*, size_t, const int64_t*, size_t, Value**)>;
using ReleaseStatus = Function<93, void(Status*)>;
using ReleaseTypeInfo = Function<98, void(TypeInfo*)>;
using ReleaseTensorInfo = Function<99, void(TensorInfo*)>;
using ReleaseCustomOpDomain = Function<101, void(CustomOpDomain*)>;
using KernelInfoGetAttributeArrayInt64 = Function<163, Status*(const KernelInfo*, const char*, int64_t*, size_t*)>;
using KernelInfoGetInputTypeInfo = Function<234, Status*(const KernelInfo*, size_t, TypeInfo**)>;
using KernelInfoGetNodeName = Function<244, Status*(const KernelInfo*, char*, size_t*)>;
using ShapeInferGetInputTypeShape = Function<268, Status*(const ShapeInferContext*, size_t, TensorInfo**)>;
using ShapeInferGetAttribute = Function<269, Status*(const ShapeInferContext*, const char*, const OpAttr**)>;
using ShapeInferSetOutputTypeShape = Function<270, Status*(const ShapeInferContext*, size_t, const TensorInfo*)>;
using SetSymbolicDimensions = Function<271, Status*(TensorInfo*, const char**, size_t)>;
using ReadOpAttr = Function<272, Status*(const OpAttr*, OpAttrType, void*, size_t, size_t*)>;
using KernelContextParallelFor =
    Function<274, Status*(const KernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>;

}  // namespace hla::ort
