/* Runs a converted model from plain C.

     run_model LIBONNXRUNTIME MODEL INPUTS OUTPUT [LIBHLA_OPS]

   LIBONNXRUNTIME is the runtime's shared library (libonnxruntime.so of any release since 1.14), INPUTS a folder with
   NAME.npy for every input, OUTPUT the .npy file for the first output. With LIBHLA_OPS (libhla_ops.so) the
   converted attentions run in the operator library, without it as the plain ONNX functions that the file carries. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<onnxruntime_c_api.h>)
#include <onnxruntime_c_api.h>
#else
#include "onnxruntime_subset.h"
#endif

#include "npy.h"

/* RegisterCustomOpsLibrary_V2 came with this version of the API; newer runtimes go on serving it. */
#define API_VERSION 14

static const OrtApi* ort;

static void check(OrtStatus* status) {
  if (status == NULL) return;
  fprintf(stderr, "%s\n", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  exit(1);
}

static void load_runtime(const char* path) {
  void* runtime = dlopen(path, RTLD_NOW);
  const OrtApiBase* (*get_base)(void) = NULL;
  if (runtime != NULL) *(void**)&get_base = dlsym(runtime, "OrtGetApiBase");
  if (get_base == NULL) {
    fprintf(stderr, "%s: %s\n", path, dlerror());
    exit(1);
  }
  ort = get_base()->GetApi(API_VERSION);
  if (ort == NULL) {
    fprintf(stderr, "%s: ONNX Runtime %s is older than 1.%d\n", path, get_base()->GetVersionString(), API_VERSION);
    exit(1);
  }
}

static ONNXTensorElementDataType type_of(const Array* array, const char* file) {
  if (strcmp(array->type, "f4") == 0) return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  if (strcmp(array->type, "f2") == 0) return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  if (strcmp(array->type, "i8") == 0) return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  fprintf(stderr, "%s: holds %s; this example knows f4, f2 and i8\n", file, array->type);
  exit(1);
}

static OrtValue* read_tensor(const OrtMemoryInfo* cpu, const char* folder, const char* name) {
  char file[4096];
  snprintf(file, sizeof file, "%s/%s.npy", folder, name);
  Array array = read_npy(file); /* its data live as long as the tensor: to the end of the program */
  OrtValue* tensor = NULL;
  check(ort->CreateTensorWithDataAsOrtValue(cpu, array.data, array_bytes(&array), array.shape, array.rank, type_of(&array, file), &tensor));
  return tensor;
}

static void write_tensor(OrtValue* tensor, const char* file) {
  OrtTensorTypeAndShapeInfo* info = NULL;
  ONNXTensorElementDataType type;
  Array array = {"f4", 4, {0}, 0, NULL};
  check(ort->GetTensorTypeAndShape(tensor, &info));
  check(ort->GetTensorElementType(info, &type));
  check(ort->GetDimensionsCount(info, &array.rank));
  if ((type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) || array.rank > 8) {
    fprintf(stderr, "%s: this example writes float and float16 of up to 8 dimensions\n", file);
    exit(1);
  }
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) {
    strcpy(array.type, "f2");
    array.item = 2;
  }
  check(ort->GetDimensions(info, array.shape, array.rank));
  check(ort->GetTensorMutableData(tensor, &array.data));
  write_npy(file, &array);
}

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    fprintf(stderr, "run_model LIBONNXRUNTIME MODEL INPUTS OUTPUT [LIBHLA_OPS]\n");
    return 2;
  }
  load_runtime(argv[1]);

  OrtEnv* env = NULL;
  OrtSessionOptions* options = NULL;
  OrtSession* session = NULL;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "run_model", &env)); /* errors come as status, once is enough */
  check(ort->CreateSessionOptions(&options));
  if (argc == 6) check(ort->RegisterCustomOpsLibrary_V2(options, argv[5])); /* the only line that the library needs */
  check(ort->CreateSession(env, argv[2], options, &session));

  OrtAllocator* allocator = NULL;
  OrtMemoryInfo* cpu = NULL;
  size_t count = 0;
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu));
  check(ort->SessionGetInputCount(session, &count));
  const char** names = calloc(count, sizeof *names);
  const OrtValue** inputs = calloc(count, sizeof *inputs);
  for (size_t i = 0; i < count; ++i) {
    char* name = NULL;
    check(ort->SessionGetInputName(session, i, allocator, &name));
    names[i] = name;
    inputs[i] = read_tensor(cpu, argv[3], name);
  }

  char* output_name = NULL;
  OrtValue* output = NULL;
  check(ort->SessionGetOutputName(session, 0, allocator, &output_name));
  check(ort->Run(session, NULL, names, inputs, count, (const char* const*)&output_name, 1, &output));
  write_tensor(output, argv[4]);

  /* Sessions before what they were made of; what is left goes with the process. */
  ort->ReleaseValue(output);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(env);
  return 0;
}
