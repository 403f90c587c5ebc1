#include "cuda_node.h"

#include "launcher.h"
#include "options.h"
#include "sizes.h"

namespace hla::cuda {
namespace {

// Device memory for one call. The runtime marks such a buffer with the stream of the call, so that a later call on another
// stream does not get it while kernels still use it; giving it back is ours to do, right after the launches.
class StreamBuffer {
 public:
  StreamBuffer(const ort::Api* api, const ort::KernelContext* context, const ort::MemoryInfo* memory, size_t bytes) : api_(api) {
    if (bytes == 0) return;
    check(api, ort::KernelContextGetAllocator::call(api, context, memory, &allocator_));
    ort::Status* status = ort::KernelContextGetScratchBuffer::call(api, context, memory, bytes, &data_);
    if (status == nullptr && data_ != nullptr) return;
    ort::ReleaseAllocator::call(api, allocator_);
    check(api, status);
    throw std::bad_alloc();
  }
  ~StreamBuffer() {
    if (data_ == nullptr) return;
    if (ort::Status* status = ort::AllocatorFree::call(api_, allocator_, data_)) ort::ReleaseStatus::call(api_, status);
    ort::ReleaseAllocator::call(api_, allocator_);
  }
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;

  void* data() const { return data_; }

 private:
  const ort::Api* api_;
  ort::Allocator* allocator_ = nullptr;
  void* data_ = nullptr;
};

Rows rows_of(const View& view) { return {view.data, view.batch_stride, view.head_stride, view.token_stride}; }

Activations activations_of(const std::vector<ActivationRun>& runs) {
  Activations result{static_cast<int32_t>(runs.size()), {}, {}};
  for (size_t i = 0; i < runs.size(); ++i) {
    result.ends[i] = static_cast<int32_t>(runs[i].first + runs[i].count);
    result.kinds[i] = runs[i].kind;
  }
  return result;
}

}  // namespace

void CudaNode::acquire(const NodeInfo& node) {
  check(api(), ort::KernelInfoGetAllocator::call(api(), node.info(), ort::kDefaultMemory, &allocator_));
  check(api(), ort::AllocatorGetInfo::call(api(), allocator_, &memory_));
  check(api(), ort::MemoryInfoGetId::call(api(), memory_, &device_));
  const DeviceScope scope(device_);
  multiprocessors_ = multiprocessors(device_);
  warpgroups_ = warpgroups_wanted() && has_warpgroups(device_);
  const size_t bytes = tables_.words().size() * sizeof(int32_t);
  void* words = nullptr;
  check(api(), ort::AllocatorAlloc::call(api(), allocator_, bytes, &words));
  words_ = static_cast<int32_t*>(words);
  upload(words_, tables_.words().data(), bytes);
}

CudaNode::~CudaNode() {
  if (words_ != nullptr) {
    if (ort::Status* status = ort::AllocatorFree::call(api(), allocator_, words_)) ort::ReleaseStatus::call(api(), status);
  }
  if (allocator_ != nullptr) ort::ReleaseAllocator::call(api(), allocator_);
}

void CudaNode::run(ort::KernelContext* context, Problem problem) const {
  complete(problem);
  const DeviceScope scope(device_);
  void* stream = nullptr;
  check(api(), ort::KernelContextGetGpuComputeStream::call(api(), context, &stream));
  StreamLauncher launcher(stream);

  const Sizes sizes{problem.batch, problem.heads, problem.queries, problem.keys, problem.value_width};
  CoreCall call{sizes,
                problem.element,
                problem.element,
                rows_of(problem.query_features),
                rows_of(problem.key_features),
                rows_of(problem.value),
                rows_of(problem.output),
                problem.epsilon};

  const int terms = terms_of(problem.element, sizes.keys);
  const bool mapped = problem.query_map.weight != nullptr;
  if (mapped) call.feature_element = mapped_element(tables_, call, terms, warpgroups_);
  const auto feature_bytes = [&](int64_t tokens) {
    return mapped ? static_cast<size_t>(sizes.batch * sizes.heads * tokens * features() * bytes_of(call.feature_element)) : size_t{0};
  };
  const StreamBuffer query_features(api(), context, memory_, feature_bytes(sizes.queries));
  const StreamBuffer key_features(api(), context, memory_, feature_bytes(sizes.keys));
  if (mapped) {
    const auto map = [&](const Rows& x, int64_t tokens, const Map& by, const KeyMask& mask, const StreamBuffer& to) {
      run_maps(launcher, problem.element, sizes, by.width, features(), {x, tokens, by.weight, by.bias, mask},
               activations_of(*by.activations), call.feature_element, to.data(), multiprocessors_);
      return map_rows(to.data(), sizes.heads, tokens, features());
    };
    call.query_features = map(call.query_features, sizes.queries, problem.query_map, {}, query_features);
    call.key_features = map(call.key_features, sizes.keys, problem.key_map, problem.key_mask, key_features);
  }

  const CoreSchedule schedule(tables_, words_, call, multiprocessors_, terms, warpgroups_);
  const StreamBuffer workspace(api(), context, memory_, schedule.workspace_bytes());
  schedule.run(launcher, workspace.data());
}

}  // namespace hla::cuda
