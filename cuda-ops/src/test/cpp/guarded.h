// Memory whose two neighbouring pages may not be touched: what it holds ends where the last of its own pages ends, so that
// a read or write beyond either end stops the process. Under AddressSanitizer a plain allocation, which is checked to the
// byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

class Guarded {
 public:
  // `alignment` of the first byte; up to that many bytes less one are left at the end, and are checked when it goes.
  Guarded(int64_t bytes, size_t alignment) : size_(static_cast<size_t>(bytes)) {
#if defined(__SANITIZE_ADDRESS__)
    memory_ = static_cast<unsigned char*>(std::aligned_alloc(whole(alignment), room(alignment)));
    slack_ = 0;
    begin_ = memory_;
    // aligned_alloc wants whole lines: the rest of the last one is poisoned by hand.
    rest_ = room(alignment) - size_;
    __asan_poison_memory_region(begin_ + size_, rest_);
#else
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t own = (size_ + alignment + page - 1) / page * page;
    mapped_ = own + 2 * page;
    void* all = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) std::abort();
    memory_ = static_cast<unsigned char*>(all);
    mprotect(memory_, page, PROT_NONE);
    mprotect(memory_ + page + own, page, PROT_NONE);
    const size_t rounded = (size_ + alignment - 1) / alignment * alignment;
    begin_ = memory_ + page + own - rounded;
    slack_ = rounded - size_;
    std::memset(begin_ + size_, kGuard, slack_);
#endif
  }
  ~Guarded() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(begin_ + size_, rest_);
    std::free(memory_);
#else
    for (size_t i = 0; i < slack_; ++i) {
      if (begin_[size_ + i] == kGuard) continue;
      std::printf("guard: a byte behind an allocation of %zu was written\n", size_);
      std::fflush(stdout);
      std::_Exit(1);
    }
    munmap(memory_, mapped_);
#endif
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  unsigned char* data() { return begin_; }
  const unsigned char* data() const { return begin_; }
  size_t size() const { return size_; }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static size_t whole(size_t alignment) { return alignment < 64 ? 64 : alignment; }
  size_t room(size_t alignment) const { return (size_ / whole(alignment) + 1) * whole(alignment); }
  size_t rest_ = 0;
#endif
  static constexpr unsigned char kGuard = 0xa5;
  size_t size_;
  size_t mapped_ = 0;
  size_t slack_ = 0;
  unsigned char* memory_ = nullptr;
  unsigned char* begin_ = nullptr;
};
