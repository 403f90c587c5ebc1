#include "scratch.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "kernel.h"

namespace hla {
namespace {

// A buffer above this goes back to the system at once, and so does what would make the idle ones exceed it together.
constexpr int64_t kMaxIdleFloats = int64_t{1} << 20;  // 4 MiB

struct Buffer {
  float* data;
  int64_t floats;
};

class Pool {
 public:
  ~Pool() {
    for (const Buffer& buffer : idle_) std::free(buffer.data);
  }

  Buffer take(int64_t floats) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = 0; i < idle_.size(); ++i) {
        if (idle_[i].floats < floats || idle_[i].floats / 4 > floats) continue;
        const Buffer buffer = idle_[i];
        idle_[i] = idle_.back();
        idle_.pop_back();
        idle_floats_ -= buffer.floats;
        return buffer;
      }
    }
    constexpr int64_t kLine = kAlignment / static_cast<int64_t>(sizeof(float));
    const int64_t rounded = (floats + kLine - 1) / kLine * kLine;
    void* data = std::aligned_alloc(kAlignment, static_cast<size_t>(rounded) * sizeof(float));
    if (data == nullptr) throw std::bad_alloc();
    return {static_cast<float*>(data), rounded};
  }

  void give_back(Buffer buffer) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (idle_floats_ + buffer.floats <= kMaxIdleFloats) {
        idle_.push_back(buffer);
        idle_floats_ += buffer.floats;
        return;
      }
    }
    std::free(buffer.data);
  }

 private:
  std::mutex mutex_;
  std::vector<Buffer> idle_;
  int64_t idle_floats_ = 0;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

}  // namespace

Scratch::Scratch(int64_t floats) {
  const Buffer buffer = pool().take(floats);
  data_ = buffer.data;
  floats_ = buffer.floats;
}

Scratch::~Scratch() { pool().give_back({data_, floats_}); }

}  // namespace hla
