// A case in the memory of this machine's device, ready to run again and again, for gpu_check.cu.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "launcher.h"
#include "reference.h"
#include "sizes.h"

namespace cases {

using hla::cuda::CoreCall;
using hla::cuda::CoreSchedule;
using hla::cuda::RowTables;
using hla::cuda::Rows;
using hla::cuda::Sizes;
using hla::cuda::StreamLauncher;

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "hla_gpu_check: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Device memory with a zone before and behind it that no kernel may change. New memory holds NaNs.
class Device {
 public:
  explicit Device(size_t bytes) : bytes_(bytes), all_(bytes + 2 * kZone) {
    check(cudaMalloc(&memory_, all_), "allocation");
    check(cudaMemset(memory_, 0xff, all_), "memset");
  }
  ~Device() { cudaFree(memory_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  unsigned char* data() const { return static_cast<unsigned char*>(memory_) + kZone; }
  void put(const void* from, size_t bytes) { check(cudaMemcpy(data(), from, bytes, cudaMemcpyHostToDevice), "copy in"); }
  std::vector<unsigned char> get() const {
    std::vector<unsigned char> bytes(bytes_);
    check(cudaMemcpy(bytes.data(), data(), bytes_, cudaMemcpyDeviceToHost), "copy out");
    return bytes;
  }
  bool zones_whole() const {
    std::vector<unsigned char> before(kZone), behind(kZone);
    check(cudaMemcpy(before.data(), memory_, kZone, cudaMemcpyDeviceToHost), "copy out");
    check(cudaMemcpy(behind.data(), data() + bytes_, kZone, cudaMemcpyDeviceToHost), "copy out");
    const auto untouched = [](unsigned char byte) { return byte == 0xff; };
    return std::all_of(before.begin(), before.end(), untouched) && std::all_of(behind.begin(), behind.end(), untouched);
  }

 private:
  static constexpr size_t kZone = 4096;
  size_t bytes_, all_;
  void* memory_ = nullptr;
};

// One case in device memory, ready to run again and again.
class Prepared {
 public:
  Prepared(const Case& c, const Type& type, bool tokens_first, int terms_or_choice = 0, bool warpgroups = false)
      : case_(c), type_(type), tables_(hla::MonomialPlan(c.ranks, c.powers)) {
    int device = 0;
    check(cudaGetDevice(&device), "device");
    multiprocessors_ = hla::cuda::multiprocessors(device);
    const bool by_warpgroups = warpgroups && hla::cuda::has_warpgroups(device);
    const int terms = terms_or_choice > 0 ? terms_or_choice : hla::cuda::terms_of(type.element, c.keys);
    const int64_t columns = c.depth > 0 ? c.depth : c.features();
    query_layout_ = {c.batch, c.heads, c.queries, columns, tokens_first};
    key_layout_ = {c.batch, c.heads, c.keys, columns, tokens_first};
    value_layout_ = {c.batch, c.heads, c.keys, c.width, tokens_first};
    output_layout_ = {c.batch, c.heads, c.queries, c.width, tokens_first};
    query_ = tensor(query_layout_, c.query);
    key_ = tensor(key_layout_, c.key);
    value_ = tensor(value_layout_, c.value);
    output_ = std::make_unique<Device>(static_cast<size_t>(output_layout_.count() * type.size));
    words_ = std::make_unique<Device>(tables_.words().size() * 4);
    words_->put(tables_.words().data(), tables_.words().size() * 4);
    const Sizes sizes{c.batch, c.heads, c.queries, c.keys, c.width};
    call_ = {sizes,
             type.element,
             type.element,
             query_layout_.rows(query_->data()),
             key_layout_.rows(key_->data()),
             value_layout_.rows(value_->data()),
             output_layout_.rows(output_->data()),
             static_cast<float>(c.epsilon)};
    if (c.depth > 0) {
      const Layout weight{1, c.heads, c.depth, c.features(), false};
      const Layout bias{1, c.heads, 1, c.features(), false};
      query_map_ = {call_.query_features, c.queries, (parameters_[0] = tensor(weight, c.query_weight))->data(),
                    (parameters_[1] = tensor(bias, c.query_bias))->data(), {}};
      key_map_ = {call_.key_features, c.keys, (parameters_[2] = tensor(weight, c.key_weight))->data(),
                  (parameters_[3] = tensor(bias, c.key_bias))->data(), {}};
      if (c.mask_rows > 0) {
        key_mask_ = std::make_unique<Device>(c.key_mask.size() * sizeof(float));
        key_mask_->put(c.key_mask.data(), c.key_mask.size() * sizeof(float));
        key_map_.mask = c.mask_in(key_mask_->data());
      }
      call_.feature_element = hla::cuda::mapped_element(tables_, call_, terms, by_warpgroups);
      const int64_t row_bytes = c.features() * hla::cuda::bytes_of(call_.feature_element);
      query_features_ = std::make_unique<Device>(static_cast<size_t>(c.batch * c.heads * c.queries * row_bytes));
      key_features_ = std::make_unique<Device>(static_cast<size_t>(c.batch * c.heads * c.keys * row_bytes));
      call_.query_features = hla::cuda::map_rows(query_features_->data(), c.heads, c.queries, c.features());
      call_.key_features = hla::cuda::map_rows(key_features_->data(), c.heads, c.keys, c.features());
    }
    schedule_ = std::make_unique<CoreSchedule>(tables_, reinterpret_cast<const int32_t*>(words_->data()), call_,
                                               multiprocessors_, terms, by_warpgroups);
    workspace_ = std::make_unique<Device>(schedule_->workspace_bytes());
  }

  void run() {
    StreamLauncher launcher(nullptr);
    run(launcher);
  }
  void run(hla::cuda::Launcher& launcher) {
    if (case_.depth > 0) {
      hla::cuda::run_maps(launcher, type_.element, call_.sizes, case_.depth, case_.features(), query_map_,
                          case_.activation_runs(), call_.feature_element, query_features_->data(), multiprocessors_);
      hla::cuda::run_maps(launcher, type_.element, call_.sizes, case_.depth, case_.features(), key_map_,
                          case_.activation_runs(), call_.feature_element, key_features_->data(), multiprocessors_);
    }
    schedule_->run(launcher, workspace_->data());
  }
  std::vector<unsigned char> output() const {
    check(cudaDeviceSynchronize(), "kernels");
    return output_->get();
  }
  const Layout& output_layout() const { return output_layout_; }
  int chunks() const { return schedule_->chunks(); }
  bool by_warpgroups() const { return schedule_->by_warpgroups(); }
  bool zones_whole() const {
    for (const auto* device : {&query_, &key_, &value_, &output_, &words_, &workspace_, &query_features_, &key_features_, &key_mask_}) {
      if (*device && !(*device)->zones_whole()) return false;
    }
    return true;
  }

 private:
  std::unique_ptr<Device> tensor(const Layout& layout, const std::vector<float>& dense) {
    std::vector<unsigned char> bytes(static_cast<size_t>(layout.count() * type_.size));
    store_all(type_, layout, dense, bytes.data());
    auto device = std::make_unique<Device>(bytes.size());
    device->put(bytes.data(), bytes.size());
    return device;
  }

  const Case& case_;
  const Type& type_;
  int multiprocessors_ = 0;
  RowTables tables_;
  Layout query_layout_, key_layout_, value_layout_, output_layout_;
  std::unique_ptr<Device> query_, key_, value_, output_, words_, workspace_, query_features_, key_features_, key_mask_, parameters_[4];
  hla::cuda::MapCall query_map_{}, key_map_{};
  CoreCall call_{};
  std::unique_ptr<CoreSchedule> schedule_;
};

inline std::string name_of(const Case& c) {
  std::ostringstream text;
  text << (c.depth > 0 ? "fused" : "core") << " B" << c.batch << " H" << c.heads << " N" << c.queries << " M" << c.keys << " dv"
       << c.width;
  if (c.depth > 0) text << " d" << c.depth;
  text << " ranks";
  for (size_t f = 0; f < c.ranks.size(); ++f) text << (f ? "," : " ") << c.ranks[f] << (c.powers[f] > 1 ? "^" + std::to_string(c.powers[f]) : "");
  return text.str();
}

}  // namespace cases
