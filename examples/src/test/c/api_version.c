/* Asks for a version of ONNX Runtime's C API that the runtime does not have, for ErrorsTest.

     api_version LIBONNXRUNTIME               asks for version 1000 itself
     api_version LIBONNXRUNTIME LIBHLA_OPS    lets the operator library ask, and answers as ONNX Runtime 1.17 would */
#include <dlfcn.h>
#include <stdio.h>

#include "onnxruntime_subset.h"

static const OrtApiBase* newest;

static const OrtApi* up_to_17(uint32_t version) { return version <= 17 ? newest->GetApi(version) : NULL; }

int main(int argc, char** argv) {
  const OrtApiBase* (*get_base)(void) = NULL;
  void* runtime = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (runtime == NULL) return 2;
  *(void**)&get_base = dlsym(runtime, "OrtGetApiBase");
  newest = get_base();
  if (argc == 2) return newest->GetApi(1000) == NULL ? 0 : 1;

  const OrtApiBase older = {up_to_17, newest->GetVersionString};
  OrtStatus* (*register_ops)(OrtSessionOptions*, const OrtApiBase*) = NULL;
  void* library = dlopen(argv[2], RTLD_NOW);
  if (library == NULL) return 2;
  *(void**)&register_ops = dlsym(library, "RegisterCustomOps");
  OrtStatus* status = register_ops(NULL, &older);
  if (status == NULL) return 1;
  puts(newest->GetApi(1)->GetErrorMessage(status));
  return 0;
}
