#include "op_support.h"

#include "monomials.h"

#include <atomic>

namespace hla {
namespace {

std::atomic<const ort::Api*> inference_api{nullptr};

class TensorInfo {
 public:
  TensorInfo(const ort::Api* api, ort::TensorInfo* info) : api_(api), info_(info) {}
  ~TensorInfo() { ort::ReleaseTensorInfo::call(api_, info_); }
  TensorInfo(const TensorInfo&) = delete;
  TensorInfo& operator=(const TensorInfo&) = delete;

  ort::TensorInfo* get() const { return info_; }

 private:
  const ort::Api* api_;
  ort::TensorInfo* info_;
};

Dims dims_of(const ort::Api* api, const ort::TensorInfo* info) {
  size_t count = 0;
  check(api, ort::GetDimensionsCount::call(api, info, &count));
  Dims dims(count);
  check(api, ort::GetDimensions::call(api, info, dims.data(), count));
  return dims;
}

std::vector<const char*> symbols_of(const ort::Api* api, const ort::TensorInfo* info, size_t count) {
  std::vector<const char*> symbols(count);
  check(api, ort::GetSymbolicDimensions::call(api, info, symbols.data(), count));
  return symbols;
}

void set_output(const ort::Api* api, ort::ShapeInferContext* context, size_t index, ort::ElementType type, const Dims& dims,
                const std::vector<const char*>& symbols) {
  ort::TensorInfo* raw = nullptr;
  check(api, ort::CreateTensorInfo::call(api, &raw));
  const TensorInfo result(api, raw);
  check(api, ort::SetTensorElementType::call(api, result.get(), type));
  check(api, ort::SetDimensions::call(api, result.get(), dims.data(), dims.size()));
  std::vector<const char*> names(symbols);
  check(api, ort::SetSymbolicDimensions::call(api, result.get(), names.data(), names.size()));
  check(api, ort::ShapeInferSetOutputTypeShape::call(api, context, index, result.get()));
}

std::vector<int64_t> attribute_ints(const ort::Api* api, ort::ShapeInferContext* context, const char* name) {
  const ort::OpAttr* attribute = nullptr;
  check(api, ort::ShapeInferGetAttribute::call(api, context, name, &attribute));
  size_t bytes = 0;
  // Asked for nothing, it fails and says how much there is.
  if (ort::Status* status = ort::ReadOpAttr::call(api, attribute, ort::kAttributeInts, nullptr, 0, &bytes)) {
    ort::ReleaseStatus::call(api, status);
  }
  std::vector<int64_t> values(bytes / sizeof(int64_t));
  check(api, ort::ReadOpAttr::call(api, attribute, ort::kAttributeInts, values.data(), bytes, &bytes));
  return values;
}

}  // namespace

void check(const ort::Api* api, ort::Status* status) {
  if (status == nullptr) return;
  const std::string message = ort::GetErrorMessage::call(api, status);
  ort::ReleaseStatus::call(api, status);
  throw std::runtime_error(message);
}

NodeInfo::NodeInfo(const ort::Api* api, const ort::KernelInfo* info, const char* op) : api_(api), info_(info) {
  size_t size = 0;
  check(api, ort::KernelInfoGetNodeName::call(api, info, nullptr, &size));
  std::string name(size, '\0');
  check(api, ort::KernelInfoGetNodeName::call(api, info, name.data(), &size));
  what_ = std::string("ai.hla::") + op + " node '" + name.c_str() + "': ";
}

std::vector<int64_t> NodeInfo::ints(const char* name) const {
  size_t count = 0;
  ort::Status* status = ort::KernelInfoGetAttributeArrayInt64::call(api_, info_, name, nullptr, &count);
  std::vector<int64_t> values(count);
  if (status == nullptr) {
    status = ort::KernelInfoGetAttributeArrayInt64::call(api_, info_, name, values.data(), &count);
  }
  if (status != nullptr) {
    ort::ReleaseStatus::call(api_, status);
    fail(std::string("attribute ") + name + ": expected a list of integers, came none");
  }
  // Of an attribute of another type the runtime says that it has no integers.
  if (values.empty()) fail(std::string("attribute ") + name + ": expected a list of integers, came an empty one or another type");
  return values;
}

float NodeInfo::real(const char* name) const {
  float value = 0;
  if (ort::Status* status = ort::KernelInfoGetAttributeFloat::call(api_, info_, name, &value)) {
    ort::ReleaseStatus::call(api_, status);
    fail(std::string("attribute ") + name + ": expected a float, came none or another type");
  }
  return value;
}

bool NodeInfo::integer(const char* name, int64_t& value) const {
  ort::Status* const status = ort::KernelInfoGetAttributeInt64::call(api_, info_, name, &value);
  if (status == nullptr) return true;
  const std::string message = ort::GetErrorMessage::call(api_, status);
  ort::ReleaseStatus::call(api_, status);
  // The runtime's words, at least in 1.29 and 1.30, name the type where that is another one, and not where there is no such attribute.
  if (message.find("type") != std::string::npos) fail(std::string("attribute ") + name + ": expected an integer, came another type");
  return false;
}

std::string NodeInfo::text(const char* name) const {
  size_t size = 0;
  ort::Status* status = ort::KernelInfoGetAttributeString::call(api_, info_, name, nullptr, &size);
  std::string value(size, '\0');
  if (status == nullptr) status = ort::KernelInfoGetAttributeString::call(api_, info_, name, value.data(), &size);
  if (status != nullptr) {
    ort::ReleaseStatus::call(api_, status);
    fail(std::string("attribute ") + name + ": expected a string, came none or another type");
  }
  if (!value.empty() && value.back() == '\0') value.pop_back();
  return value;
}

Dims NodeInfo::stated_input(size_t index) const {
  ort::TypeInfo* type = nullptr;
  check(api_, ort::KernelInfoGetInputTypeInfo::call(api_, info_, index, &type));
  const ort::TensorInfo* tensor = nullptr;  // belongs to `type`
  ort::Status* status = ort::CastTypeInfoToTensorInfo::call(api_, type, &tensor);
  Dims dims;
  if (status != nullptr) {
    ort::ReleaseStatus::call(api_, status);
  } else if (tensor != nullptr) {
    dims = dims_of(api_, tensor);
  }
  ort::ReleaseTypeInfo::call(api_, type);
  return dims;
}

Tensor input(const ort::Api* api, const ort::KernelContext* context, size_t index) {
  const Tensor tensor = optional_input(api, context, index);
  if (tensor.data == nullptr && count(tensor.dims) != 0) {
    throw std::invalid_argument("input " + std::to_string(index) + " is missing");
  }
  return tensor;
}

Tensor optional_input(const ort::Api* api, const ort::KernelContext* context, size_t index) {
  const ort::Value* value = nullptr;
  check(api, ort::KernelContextGetInput::call(api, context, index, &value));
  if (value == nullptr) return {nullptr, {}, false};
  ort::TensorInfo* raw = nullptr;
  check(api, ort::GetTensorTypeAndShape::call(api, value, &raw));
  const TensorInfo info(api, raw);
  void* data = nullptr;
  check(api, ort::GetTensorMutableData::call(api, const_cast<ort::Value*>(value), &data));
  return {data, dims_of(api, info.get())};
}

Tensor output(const ort::Api* api, ort::KernelContext* context, size_t index, const Dims& dims) {
  const Tensor tensor = optional_output(api, context, index, dims);
  if (tensor.data == nullptr && count(dims) != 0) {
    throw std::invalid_argument("output " + std::to_string(index) + " is missing");
  }
  return tensor;
}

Tensor optional_output(const ort::Api* api, ort::KernelContext* context, size_t index, const Dims& dims) {
  ort::Value* value = nullptr;
  check(api, ort::KernelContextGetOutput::call(api, context, index, dims.data(), dims.size(), &value));
  if (value == nullptr) return {nullptr, {}, false};
  void* data = nullptr;
  check(api, ort::GetTensorMutableData::call(api, value, &data));
  return {data, dims};
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    text += (i ? "," : "") + (dims[i] < 0 ? std::string("?") : std::to_string(dims[i]));
  }
  return text + "]";
}

int64_t count(const Dims& dims) {
  int64_t product = 1;
  for (int64_t dim : dims) product *= dim;
  return product;
}

void set_shape_inference_api(const ort::Api* api) { inference_api = api; }

const ort::Api* shape_inference_api() { return inference_api; }

void infer_like(const ort::Api* api, ort::ShapeInferContext* context, size_t shape_of, size_t width_of) {
  // Both belong to the context: releasing them ends the process.
  ort::TensorInfo* shape = nullptr;
  ort::TensorInfo* width = nullptr;
  check(api, ort::ShapeInferGetInputTypeShape::call(api, context, shape_of, &shape));
  check(api, ort::ShapeInferGetInputTypeShape::call(api, context, width_of, &width));
  Dims dims = dims_of(api, shape);
  const Dims width_dims = dims_of(api, width);
  if (dims.empty() || dims.size() != width_dims.size()) return;
  std::vector<const char*> symbols = symbols_of(api, shape, dims.size());
  dims.back() = width_dims.back();
  symbols.back() = symbols_of(api, width, width_dims.size()).back();
  for (size_t i = 0; i < dims.size(); ++i) {
    // The API has no unknown size without a name: -1 would be taken for a size, and fail a Reshape further on.
    if (dims[i] < 0 && *symbols[i] == 0) return;
  }

  // The runtime asks the first operator of a name for all types of that name, so the type is the input's.
  ort::ElementType type = ort::kUndefined;
  check(api, ort::GetTensorElementType::call(api, shape, &type));
  set_output(api, context, 0, type, dims, symbols);
}

void infer_state(const ort::Api* api, ort::ShapeInferContext* context) {
  ort::TensorInfo* query = nullptr;
  ort::TensorInfo* value = nullptr;
  check(api, ort::ShapeInferGetInputTypeShape::call(api, context, 0, &query));
  check(api, ort::ShapeInferGetInputTypeShape::call(api, context, 2, &value));
  const Dims query_dims = dims_of(api, query);
  const Dims value_dims = dims_of(api, value);
  if (query_dims.size() != 4 || value_dims.size() != 4) return;
  const int64_t products = MonomialPlan::count(attribute_ints(api, context, "ranks"), attribute_ints(api, context, "powers"));
  const Dims dims{query_dims[0], query_dims[1], products, value_dims[3] < 0 ? -1 : value_dims[3] + 1};
  const std::vector<const char*> query_symbols = symbols_of(api, query, 4);
  const std::string width = std::string(symbols_of(api, value, 4)[3]) + " + 1";
  const std::vector<const char*> symbols{query_symbols[0], query_symbols[1], "", dims[3] < 0 ? width.c_str() : ""};
  if ((dims[0] < 0 && *symbols[0] == 0) || (dims[1] < 0 && *symbols[1] == 0) || (dims[3] < 0 && width == " + 1")) return;
  set_output(api, context, 1, ort::kFloat, dims, symbols);
}

View heads_first(void* data, int64_t heads, int64_t tokens, int64_t width) {
  return {data, heads * tokens * width, tokens * width, width};
}

View tokens_first(void* data, int64_t heads, int64_t tokens, int64_t width) {
  return {data, heads * tokens * width, width, heads * width};
}

Element element_of(ort::ElementType type) {
  switch (type) {
    case ort::kFloat: return Element::kFloat32;
    case ort::kFloat16: return Element::kFloat16;
    case ort::kBfloat16: return Element::kBfloat16;
    default: throw std::invalid_argument("no kernel for element type " + std::to_string(type));
  }
}

void SessionThreads::run(size_t total, void (*task)(void*, size_t), void* data) {
  // 0 batches: the pool hands out single tasks as threads get free.
  check(api_, ort::KernelContextParallelFor::call(api_, context_, task, total, 0, data));
}

ort::CustomOp common_callbacks() {
  ort::CustomOp op{};
  op.version = ort::kCustomOpVersion;
  op.GetExecutionProviderType = [](const ort::CustomOp*) -> const char* { return nullptr; };
  op.GetOutputTypeCount = [](const ort::CustomOp*) -> size_t { return 1; };
  op.GetInputCharacteristic = [](const ort::CustomOp*, size_t) { return ort::kRequired; };
  op.GetOutputCharacteristic = [](const ort::CustomOp*, size_t) { return ort::kRequired; };
  op.GetInputMemoryType = [](const ort::CustomOp*, size_t) { return ort::kDefaultMemory; };
  op.GetVariadicInputMinArity = [](const ort::CustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const ort::CustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const ort::CustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const ort::CustomOp*) { return 1; };
  op.GetStartVersion = [](const ort::CustomOp*) { return 1; };
  op.GetEndVersion = [](const ort::CustomOp*) { return 0x7fffffff; };
  return op;
}

}  // namespace hla
