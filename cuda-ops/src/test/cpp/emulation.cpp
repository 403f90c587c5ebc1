#include "emulation.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "guarded.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the callee's registers on the stack, notes the stack's top in *from, and goes on where `to` left off.
#if defined(__x86_64__)
extern "C" void hla_emulation_switch(void** from, void* to);
asm(R"(
.text
.type hla_emulation_switch, @function
hla_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size hla_emulation_switch, .-hla_emulation_switch
)");
#else
#include <ucontext.h>
#endif

namespace emulation {
namespace {

constexpr int kLanes = 32;
constexpr size_t kStackBytes = 128 * 1024;

enum class State { kReady, kAtBarrier, kAtCollective, kDone };
enum class Collective { kNone, kShuffle, kProduct, kLoad, kBarrier, kGroups };

// What a lane brings to a collective, and where it wants the result.
struct Operands {
  Collective kind = Collective::kNone;
  float value = 0;
  int lane = 0;
  float* sums = nullptr;
  uint32_t a[4] = {};
  uint32_t b[2] = {};
  uint32_t* to = nullptr;
  int count = 0;
  const uint16_t* row = nullptr;
  bool transposed = false;
};

struct Copy {
  unsigned char* shared;
  const void* global;  // null for zeros
};

// One thread's share of a warpgroup product.
struct GroupProduct {
  float* sums;
  const uint32_t* a;
  uint64_t descriptor;
  int columns;
};

// Groups that end in order, and the one that is still open.
template <typename T>
struct Groups {
  std::vector<T> open;
  std::vector<std::vector<T>> closed;
  void close() {
    closed.push_back(std::move(open));
    open.clear();
  }
};

struct Thread {
  State state = State::kReady;
  Operands operands;
  Groups<Copy> copies;
  std::vector<unsigned char*> unshown;  // copied, and not yet shown to products
  Groups<GroupProduct> products;
  int pending_products = 0;             // groups that may go on after the collective it is in
  bool fenced = false;
  unsigned char* stack = nullptr;
#if defined(__x86_64__)
  void* top = nullptr;
#else
  ucontext_t context{};
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
#endif
};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u) {}
  uint32_t below(uint32_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>((state_ >> 32) % bound);
  }

 private:
  uint64_t state_;
};

class Block {
 public:
  Block(int threads, int shared, uint64_t seed, const std::function<void(unsigned char*)>& kernel)
      : kernel_(kernel), random_(seed), run_ahead_(seed % 2 == 1), threads_(static_cast<size_t>(threads)),
        shared_(shared, shared % 1024 == 0 ? 1024 : 16), unshown_(static_cast<size_t>(shared) / 16 + 1) {
    for (Thread& thread : threads_) {
      void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (stack == MAP_FAILED) fail("no memory for a stack");
      thread.stack = static_cast<unsigned char*>(stack);
    }
  }
  ~Block() {
    for (Thread& thread : threads_) munmap(thread.stack, kStackBytes);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void run(int64_t index);

  int64_t index() const { return index_; }
  int current() const { return current_; }
  Thread& thread() { return threads_[static_cast<size_t>(current_)]; }
  unsigned char* shared() { return shared_.data(); }
  // A shared-memory address of `bytes` that a kernel made.
  void check_shared(const void* p, size_t bytes, size_t alignment, const char* what) {
    const auto* at = static_cast<const unsigned char*>(p);
    if (at < shared_.data() || at + bytes > shared_.data() + shared_.size()) fail("%s outside shared memory", what);
    if (reinterpret_cast<uintptr_t>(p) % alignment != 0) fail("%s at an odd address", what);
  }
  void wait(State state) {
    thread().state = state;
    leave();
  }
  [[noreturn]] void finish();
  const std::function<void(unsigned char*)>& kernel() const { return kernel_; }
  bool copies_at_once() const { return !run_ahead_; }
  bool products_at_once() const { return run_ahead_; }
  void copy(Thread& thread, const Copy& copy) {
    if (copy.global == nullptr) {
      std::memset(copy.shared, 0, 16);
    } else {
      std::memcpy(copy.shared, copy.global, 16);
    }
    thread.unshown.push_back(copy.shared);
    unshown_[granule(copy.shared)] = true;
  }
  void show(Thread& thread) {
    for (unsigned char* at : thread.unshown) unshown_[granule(at)] = false;
    thread.unshown.clear();
  }
  void entered();

 private:
  void start(Thread& thread);
  void resume(int which);
  void leave();
  void make_ready(int which);
  void arrived(int which);
  void collect(int warp);
  void product(Thread* lanes);
  void group_products(Thread* lanes);
  void group_product(Thread* lanes, size_t which);
  void load(Thread* lanes);
  size_t granule(const unsigned char* at) const { return static_cast<size_t>(at - shared_.data()) / 16; }

  const std::function<void(unsigned char*)>& kernel_;
  Random random_;
  bool run_ahead_;
  std::vector<Thread> threads_;
  Guarded shared_;
  std::vector<bool> unshown_;  // of each 16 bytes of shared memory
  int64_t index_ = 0;
  int current_ = 0;
  std::vector<int> ready_;
  std::vector<int> at_collective_;  // of each warp
  int at_barrier_ = 0;
  int done_ = 0;
#if defined(__x86_64__)
  void* scheduler_ = nullptr;
#else
  ucontext_t scheduler_{};
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_stack_bytes_ = 0;
#endif
};

Block* block = nullptr;

void entry() {
  block->entered();
  block->kernel()(block->shared());
  block->finish();
}

void Block::start(Thread& thread) {
  thread.state = State::kReady;
  thread.copies = {};
  thread.unshown.clear();
  thread.products = {};
  thread.fenced = false;
#if defined(__SANITIZE_ADDRESS__)
  // What the thread before left there when it ended.
  __asan_unpoison_memory_region(thread.stack, kStackBytes);
#endif
#if defined(__x86_64__)
  // As if `entry` had been switched away from before its first instruction: six registers, its address, and a return
  // address that is never used and makes the stack's alignment what it is after a call.
  auto* top = reinterpret_cast<void**>(thread.stack + kStackBytes) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(&entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  thread.top = top;
#else
  getcontext(&thread.context);
  thread.context.uc_stack.ss_sp = thread.stack;
  thread.context.uc_stack.ss_size = kStackBytes;
  thread.context.uc_link = nullptr;
  makecontext(&thread.context, entry, 0);
#endif
}

void Block::resume(int which) {
  current_ = which;
  Thread& next = threads_[static_cast<size_t>(which)];
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&scheduler_fake_stack_, next.stack, kStackBytes);
#endif
#if defined(__x86_64__)
  hla_emulation_switch(&scheduler_, next.top);
#else
  swapcontext(&scheduler_, &next.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(scheduler_fake_stack_, nullptr, nullptr);
#endif
}

void Block::entered() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(thread().fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#endif
}

void Block::leave() {
  Thread& self = thread();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&self.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
#endif
#if defined(__x86_64__)
  hla_emulation_switch(&self.top, scheduler_);
#else
  swapcontext(&self.context, &scheduler_);
#endif
  entered();
}

void Block::finish() {
  if (!thread().products.open.empty() || !thread().products.closed.empty()) fail("a thread ends before its products");
  thread().state = State::kDone;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, scheduler_stack_, scheduler_stack_bytes_);
#endif
#if defined(__x86_64__)
  void* unused = nullptr;
  hla_emulation_switch(&unused, scheduler_);
#else
  setcontext(&scheduler_);
#endif
  fail("a thread that has ended runs again");
}

// Into a random place; the last one runs next. Odd seeds let a warp run ahead of the others as far as it can.
void Block::make_ready(int which) {
  threads_[static_cast<size_t>(which)].state = State::kReady;
  ready_.push_back(which);
  if (!run_ahead_) std::swap(ready_.back(), ready_[random_.below(static_cast<uint32_t>(ready_.size()))]);
}

void Block::run(int64_t index) {
  index_ = index;
  const int count = static_cast<int>(threads_.size());
  std::memset(shared_.data(), 0xff, shared_.size());  // NaN, in float32 and bfloat16
  unshown_.assign(unshown_.size(), false);
  at_collective_.assign(threads_.size() / kLanes, 0);
  at_barrier_ = 0;
  done_ = 0;
  const auto all_ready = [&] {
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    for (int i = count - 1; i > 0; --i) {
      std::swap(order[static_cast<size_t>(i)], order[random_.below(static_cast<uint32_t>(i + 1))]);
    }
    for (int which : order) make_ready(which);
  };
  ready_.clear();
  for (Thread& thread : threads_) start(thread);
  all_ready();
  while (done_ < count) {
    if (ready_.empty()) {
      if (at_barrier_ + done_ != count) fail("block %lld: lanes wait for the rest of their warp", static_cast<long long>(index));
      if (done_ > 0) fail("block %lld: a barrier that not all threads reach", static_cast<long long>(index));
      at_barrier_ = 0;
      all_ready();
    }
    const int which = ready_.back();
    ready_.pop_back();
    resume(which);
    arrived(which);
  }
}

void Block::arrived(int which) {
  switch (threads_[static_cast<size_t>(which)].state) {
    case State::kDone: ++done_; break;
    case State::kAtBarrier: ++at_barrier_; break;
    case State::kAtCollective:
      if (++at_collective_[static_cast<size_t>(which / kLanes)] == kLanes) collect(which / kLanes);
      break;
    case State::kReady: fail("a thread left without a reason");
  }
}

void Block::collect(int warp) {
  Thread* const lanes = &threads_[static_cast<size_t>(warp * kLanes)];
  const Collective kind = lanes[0].operands.kind;
  for (int i = 1; i < kLanes; ++i) {
    if (lanes[i].operands.kind != kind) fail("lanes of one warp in different collectives");
  }
  if (kind == Collective::kProduct) product(lanes);
  if (kind == Collective::kLoad) load(lanes);
  if (kind == Collective::kGroups) group_products(lanes);
  if (kind == Collective::kShuffle) {
    float values[kLanes];
    for (int i = 0; i < kLanes; ++i) values[i] = lanes[lanes[i].operands.lane & (kLanes - 1)].operands.value;
    for (int i = 0; i < kLanes; ++i) lanes[i].operands.value = values[i];
  }
  at_collective_[static_cast<size_t>(warp)] = 0;
  for (int i = 0; i < kLanes; ++i) make_ready(warp * kLanes + i);
}

double bfloat16(uint32_t word, int half) {
  const uint32_t bits = half == 0 ? word << 16 : word & 0xffff0000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// sums += a * b, the products exact, added eight at a time and then cut, not rounded, to float32. The tensor cores' own
// adder keeps a few bits more, so this is the worse of the two.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void multiply(float (&sums)[16][8], const double (&a)[16][16], const double (&b)[16][8]) {
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; k += 8) {
      double exact[8];
      for (int n = 0; n < 8; ++n) exact[n] = sums[row][n];
      for (int j = k; j < k + 8; ++j) {
        for (int n = 0; n < 8; ++n) exact[n] += a[row][j] * b[j][n];
      }
      for (int n = 0; n < 8; ++n) {
        const auto nearest = static_cast<float>(exact[n]);
        uint32_t bits;
        std::memcpy(&bits, &nearest, sizeof bits);
        bits -= std::fabs(static_cast<double>(nearest)) > std::fabs(exact[n]) ? 1 : 0;
        std::memcpy(&sums[row][n], &bits, sizeof bits);
      }
    }
  }
}

// mma.m16n8k16 with the manual's fragments.
void Block::product(Thread* lanes) {
  static double a[16][16], b[16][8];
  static float sums[16][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const Operands& o = lanes[lane].operands;
    const int quad = lane / 4;
    const int pair = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      for (int half = 0; half < 2; ++half) a[quad + i % 2 * 8][pair + i / 2 * 8 + half] = bfloat16(o.a[i], half);
      sums[quad + i / 2 * 8][pair + i % 2] = o.sums[i];
    }
    for (int i = 0; i < 2; ++i) {
      for (int half = 0; half < 2; ++half) b[pair + i * 8 + half][quad] = bfloat16(o.b[i], half);
    }
  }
  multiply(sums, a, b);
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) lanes[lane].operands.sums[i] = sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

// Where a warpgroup product finds number (row, column) of its 16 x N operand, columns side by side ("MN-major"), by the
// descriptor's bits: 0-13 address, 16-29 leading and 32-45 stride offset, all without their last four bits; 62-63 order.
class SharedOperand {
 public:
  explicit SharedOperand(uint64_t descriptor)
      : address_(static_cast<int>(descriptor & 0x3fff) << 4), leading_(static_cast<int>(descriptor >> 16 & 0x3fff) << 4),
        stride_(static_cast<int>(descriptor >> 32 & 0x3fff) << 4), order_(static_cast<int>(descriptor >> 62)) {
    if ((descriptor >> 46 & 0xffff) != 0) fail("a descriptor with an offset of its base, or with bits that must be 0");
    if (order_ > 1) fail("a descriptor of an order that the emulation has not");
  }
  // In bytes.
  int address(int row, int column) const {
    if (order_ == 0) {
      // Core matrices of 8 rows by 8 columns.
      return address_ + column / 8 * stride_ + row / 8 * leading_ + row % 8 * 16 + column % 8 * 2;
    }
    // 8 rows of 128 bytes. Bits 4-6 of an address are changed by its bits 7-9: of the whole address, not of the tile's.
    const int plain = address_ + column / 64 * leading_ + row / 8 * stride_ + row % 8 * 128 + column % 64 * 2;
    return plain ^ (plain >> 7 & 7) << 4;
  }

 private:
  int address_, leading_, stride_, order_;
};

// Where shared memory begins, as on devices: a descriptor without it is wrong.
constexpr int kSharedBase = 1024;

// A warp's share, 16 rows, of wgmma.m64nNk16 with the manual's fragments.
void Block::group_product(Thread* lanes, size_t which) {
  static double a[16][16], b[16][8];
  static float sums[16][8];
  const GroupProduct& first = lanes[0].products.closed[0][which];
  for (int lane = 0; lane < kLanes; ++lane) {
    const GroupProduct& p = lanes[lane].products.closed[0][which];
    if (p.descriptor != first.descriptor || p.columns != first.columns) fail("lanes of one warp in different products");
    for (int i = 0; i < 4; ++i) {
      for (int half = 0; half < 2; ++half) {
        a[lane / 4 + i % 2 * 8][lane % 4 * 2 + i / 2 * 8 + half] = bfloat16(p.a[i], half);
      }
    }
  }
  const SharedOperand operand(first.descriptor);
  for (int column = 0; column < first.columns; column += 8) {
    for (int row = 0; row < 16; ++row) {
      for (int n = 0; n < 8; ++n) {
        const unsigned char* const at = shared_.data() + operand.address(row, column + n) - kSharedBase;
        check_shared(at, 2, 2, "a product's operand");
        if (unshown_[granule(at)]) fail("a product of copied bytes that no proxy fence follows");
        uint16_t bits;
        std::memcpy(&bits, at, sizeof bits);
        b[row][n] = bfloat16(bits, 0);
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 4; ++i) {
        sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2] = lanes[lane].products.closed[0][which].sums[column / 2 + i];
      }
    }
    multiply(sums, a, b);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 4; ++i) {
        lanes[lane].products.closed[0][which].sums[column / 2 + i] = sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
      }
    }
  }
}

// Groups run in order until no more are open than the lanes allow.
void Block::group_products(Thread* lanes) {
  for (int lane = 1; lane < kLanes; ++lane) {
    if (lanes[lane].products.closed.size() != lanes[0].products.closed.size() ||
        lanes[lane].pending_products != lanes[0].pending_products) {
      fail("lanes of one warp with different groups of products");
    }
  }
  while (static_cast<int>(lanes[0].products.closed.size()) > lanes[0].pending_products) {
    for (int lane = 1; lane < kLanes; ++lane) {
      if (lanes[lane].products.closed[0].size() != lanes[0].products.closed[0].size()) {
        fail("lanes of one warp with different groups of products");
      }
    }
    for (size_t i = 0; i < lanes[0].products.closed[0].size(); ++i) group_product(lanes, i);
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane].products.closed.erase(lanes[lane].products.closed.begin());
  }
}

void Block::load(Thread* lanes) {
  const Operands& first = lanes[0].operands;
  for (int i = 1; i < kLanes; ++i) {
    if (lanes[i].operands.count != first.count || lanes[i].operands.transposed != first.transposed) {
      fail("lanes of one warp in different loads");
    }
  }
  uint32_t loaded[kLanes][4] = {};
  for (int matrix = 0; matrix < first.count; ++matrix) {
    const uint16_t* rows[8];
    for (int i = 0; i < 8; ++i) {
      rows[i] = lanes[matrix * 8 + i].operands.row;
      check_shared(rows[i], 16, 16, "a row of a matrix load");
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const int major = lane / 4;
      const int minor = lane % 4 * 2;
      const uint16_t low = first.transposed ? rows[minor][major] : rows[major][minor];
      const uint16_t high = first.transposed ? rows[minor + 1][major] : rows[major][minor + 1];
      loaded[lane][matrix] = low | static_cast<uint32_t>(high) << 16;
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < first.count; ++i) lanes[lane].operands.to[i] = loaded[lane][i];
  }
}

}  // namespace

void run(int64_t blocks, int threads, int shared, uint64_t seed, const std::function<void(unsigned char*)>& kernel) {
  Block machine(threads, shared, seed, kernel);
  block = &machine;
  for (int64_t i = 0; i < blocks; ++i) machine.run(i);
  block = nullptr;
}

int thread_index() { return block->current(); }
int64_t block_index() { return block->index(); }
void barrier() { block->wait(State::kAtBarrier); }

float shuffle(float value, int lane) {
  Operands& o = block->thread().operands;
  o.kind = Collective::kShuffle;
  o.value = value;
  o.lane = lane;
  block->wait(State::kAtCollective);
  return o.value;
}

void multiply_add(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1) {
  Operands& o = block->thread().operands;
  o.kind = Collective::kProduct;
  o.sums = sums;
  std::memcpy(o.a, a, sizeof o.a);
  o.b[0] = b0;
  o.b[1] = b1;
  block->wait(State::kAtCollective);
}

void load_matrices(uint32_t* to, int count, const uint16_t* row, bool transposed) {
  Operands& o = block->thread().operands;
  o.kind = Collective::kLoad;
  o.to = to;
  o.count = count;
  o.row = row;
  o.transposed = transposed;
  block->wait(State::kAtCollective);
}

void warp_barrier() {
  block->thread().operands.kind = Collective::kBarrier;
  block->wait(State::kAtCollective);
}

void copy_later(void* shared, const void* global, bool there) {
  block->check_shared(shared, 16, 16, "a copy");
  if (there && reinterpret_cast<uintptr_t>(global) % 16 != 0) fail("a copy from an odd address");
  const Copy copy{static_cast<unsigned char*>(shared), there ? global : nullptr};
  if (block->copies_at_once()) {
    block->copy(block->thread(), copy);
  } else {
    block->thread().copies.open.push_back(copy);
  }
}

void commit_copies() { block->thread().copies.close(); }

// -1: all, committed or not.
void wait_for_copies(int pending_groups) {
  Thread& thread = block->thread();
  if (pending_groups < 0) thread.copies.close();
  while (static_cast<int>(thread.copies.closed.size()) > std::max(0, pending_groups)) {
    for (const Copy& copy : thread.copies.closed[0]) block->copy(thread, copy);
    thread.copies.closed.erase(thread.copies.closed.begin());
  }
}

void show_to_products() { block->show(block->thread()); }

uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(static_cast<const unsigned char*>(p) - block->shared()) + kSharedBase;
}

void wgmma(float* sums, const uint32_t* a, uint64_t descriptor, int columns) {
  Thread& thread = block->thread();
  if (!thread.fenced) fail("a group of products without a fence");
  thread.products.open.push_back({sums, a, descriptor, columns});
}

void wgmma_fence() { block->thread().fenced = true; }

void wgmma_commit() {
  Thread& thread = block->thread();
  thread.fenced = false;
  thread.products.close();
  thread.pending_products = 0;
  thread.operands.kind = Collective::kGroups;
  if (block->products_at_once()) block->wait(State::kAtCollective);
}

void wgmma_wait(int pending_groups) {
  Thread& thread = block->thread();
  thread.pending_products = pending_groups;
  thread.operands.kind = Collective::kGroups;
  block->wait(State::kAtCollective);
}

void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("emulation: ", stdout);
  std::vprintf(format, arguments);
  std::fputs("\n", stdout);
  va_end(arguments);
  std::fflush(stdout);
  std::_Exit(1);
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

uint16_t to_bfloat16(float value) {
  const uint32_t bits = bits_of(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_float16(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float magnitude = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                          : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                          : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

uint16_t to_float16(float value) {
  const uint32_t bits = bits_of(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x1p-14f) return static_cast<uint16_t>(sign | static_cast<int>(std::rint(magnitude * 0x1p24f)));
  const uint32_t exact = (bits & 0x7fffffff) - (112u << 23);
  return static_cast<uint16_t>(sign | (exact + 0xfff + (exact >> 13 & 1)) >> 13);
}

}  // namespace emulation
