// The runtime's C interface with exceptions inside: a failed call throws, and guard() turns whatever was thrown into a
// status, so that nothing but a status ever leaves the library.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel.h"
#include "launcher.h"
#include "ort_abi.h"

namespace hla {

using Dims = std::vector<int64_t>;

void check(const ort::Api* api, ort::Status* status);

// Runs `body`; returns null, or a status with the exception's message.
template <typename Body>
ort::Status* guard(const ort::Api* api, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::invalid_argument& e) {
    return ort::CreateStatus::call(api, ort::kInvalidArgument, e.what());
  } catch (const std::bad_alloc&) {
    return ort::CreateStatus::call(api, ort::kFail, "ai.hla: out of memory");
  } catch (const std::exception& e) {
    return ort::CreateStatus::call(api, ort::kFail, e.what());
  } catch (...) {
    return ort::CreateStatus::call(api, ort::kFail, "ai.hla: unknown failure");
  }
}

// The node being created: its name and attributes. Every message begins with `what()`.
class NodeInfo {
 public:
  NodeInfo(const ort::Api* api, const ort::KernelInfo* info, const char* op);

  const std::string& what() const { return what_; }
  const ort::KernelInfo* info() const { return info_; }
  [[noreturn]] void fail(const std::string& message) const { throw std::invalid_argument(what_ + message); }

  std::vector<int64_t> ints(const char* name) const;
  float real(const char* name) const;
  std::string text(const char* name) const;
  bool integer(const char* name, int64_t& value) const;

  // The dimensions that the model states for an input: -1 for one it leaves open, empty where it says nothing.
  Dims stated_input(size_t index) const;

 private:
  const ort::Api* api_;
  const ort::KernelInfo* info_;
  std::string what_;
};

// Runs `body` and says of which node it is where memory does not suffice.
template <typename Body>
void for_node(const std::string& what, const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    throw std::runtime_error(what + "out of memory");
  }
}

// A tensor of the running node. One without numbers may have no memory, and is there all the same.
struct Tensor {
  void* data;
  Dims dims;
  bool there = true;
};
Tensor input(const ort::Api* api, const ort::KernelContext* context, size_t index);
Tensor output(const ort::Api* api, ort::KernelContext* context, size_t index, const Dims& dims);
// The same of what a node may leave out: then it is not there.
Tensor optional_input(const ort::Api* api, const ort::KernelContext* context, size_t index);
Tensor optional_output(const ort::Api* api, ort::KernelContext* context, size_t index, const Dims& dims);

std::string to_string(const Dims& dims);
int64_t count(const Dims& dims);

// The callback for shape inference gets no table of functions; it uses the one that RegisterCustomOps was given.
void set_shape_inference_api(const ort::Api* api);
const ort::Api* shape_inference_api();

// Copies the type and shape of input `shape_of` to output 0, its last dimension replaced by that of input `width_of`,
// where both have the same number of dimensions.
void infer_like(const ort::Api* api, ort::ShapeInferContext* context, size_t shape_of, size_t width_of);

// Gives output 1, where the node has it, the shape of a state [B,H,D,dv + 1]: B and H of input 0, D of attributes ranks and
// powers, dv of input 2. Says nothing where D or the shapes are not known.
void infer_state(const ort::Api* api, ort::ShapeInferContext* context);

// Dense tensors [B,H,tokens,width] and [B,tokens,H,width].
View heads_first(void* data, int64_t heads, int64_t tokens, int64_t width);
View tokens_first(void* data, int64_t heads, int64_t tokens, int64_t width);

Element element_of(ort::ElementType type);

// The session's threads, for the duration of one call.
class SessionThreads final : public Parallel {
 public:
  SessionThreads(const ort::Api* api, const ort::KernelContext* context) : api_(api), context_(context) {}
  void run(size_t total, void (*task)(void*, size_t), void* data) override;

 private:
  const ort::Api* api_;
  const ort::KernelContext* context_;
};

// The callbacks that all our operators share. The runtime has no user data besides the operator itself, so an operator's
// struct begins with the runtime's and goes on with what it needs.
ort::CustomOp common_callbacks();

}  // namespace hla
