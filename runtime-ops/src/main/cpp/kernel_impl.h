// The kernel, compiled once for each instruction set by kernel_*.cpp, which set
//   HLA_LANES (floats in a vector), HLA_STATE_ROWS, HLA_OUTPUT_TOKENS (register tiles) and HLA_KERNEL_NAME, _DESCRIPTION.
//
// Two passes over tokens, each a matrix product whose left side, the Khatri-Rao matrix, exists only as small panels:
//   state   S[D][dv]  += Psi^T V      tile: kStateRows monomials x 2 vectors of values, over a chunk of tokens
//   output  Y[N][dv]   = Phi S        tile: kOutputTokens tokens x 2 vectors of values, over a block of monomials
// The value columns are cut into blocks of 2 vectors (the last may have 1); the state is laid out [block][D][width], then
// the D denominators. Panels are computed with tokens along the vector, from features transposed once per chunk.
//
// What each version taught. Share of the multiply-add peak of one core in the same run (AMD Zen 5, AVX-512, 48 KiB L1,
// 1 MiB L2; 12 heads, dv = 128, 4096 tokens, float; hla_micro_bench --threads 1 --clock cpu), at ranks
// 16,16 / 16^2 / 32,32 / 8,8:
//   1  84.0  77.0  91.0  63.6 %  as above, chunks of 256 tokens, outputs through a buffer. The register tiles alone run at
//                                the peak; of the 16 % beside them, half was waiting for the first touch of values and
//                                of output lines, not arithmetic.
//   2  88.2  87.5  90.7  74.6 %  outputs scaled and written from the tile's registers, so that the stores drain under the
//                                next tile; values packed in the order of memory; the next chunk's rows prefetched a few
//                                lines before each tile.
//   3  89.8  87.5     -     - %  prefetch into L1 instead of L2.
//   4  89.5  86.9  92.7  81.3 %  chunks of 128 tokens (160, 192 and 256 came out worse side by side), output blocks of up to
//                                512 monomials cut evenly (blocks of 128 cost 8 points at 16^2: 136 = 128 + 8). On a busy
//                                machine; 91, 89 and 93 % in its best moments.
// On AMD Zen 4 (32 KiB L1, 1 MiB L2, the peak the same for 512 as for 2 x 256 bits) version 4 gives 90.5  85.5  94.0  71.5 %.
//   5  92.8  90.8  94.3  84.3 %  prefetches spread over the steps of the register tiles, one or two lines every eight steps:
//                                those between the tiles, 30 lines at once, took all places for lines on their way, and cost
//                                more than they saved where rows are apart. The tile's own output lines come the same way.
//                                Ranks 64: 65 to 82 %, 256: 78 to 86 %. Fused, 16,16 / 16^2 / 32,32: 85.0, 78.2, 91.5 to
//                                88.0, 85.4, 91.9 %. Asking for output lines earlier gave nothing.
//   6  the same: where tokens lie before heads, several heads take turns chunk by chunk. Such a tensor's rows touch a page each,
//                and one head alone goes through all pages for an eighth of each. Fused, BNHD, 16,16 / 16^2 / 22^2 / 32,32:
//                71, 68, 70, 85 % to 83, 79.5, 80.5, 88.5 % (12, 12, 12, 3 heads on one thread; 6 heads: 82 and 78 % at 16,16 and 16^2).
//                States that outgrow L2 are no loss: one is read once a chunk.
//   7  the fused operator's float rows read where they lie, 14 of them with 5 pointers, instead of from a copy: medians of
//                alternating runs on one thread, 6 heads, d = 128: 16^2 BNHD 79.6 to 80.9 %, BHND 83.0 to 83.6 %, 16,16 BNHD 82.5
//                to 83.8 % (the best ones rose by 1, 2 and 0.5 points). One head's queries are shared out in whole steps: at 8192
//                tokens one part of eight was a third as long as the others. Two threads against one, H = 1, medians (best ones):
//                core 16^2 1.80 (1.83) to 1.82 (1.86), 16,16 1.83 (1.88) to 1.86 (1.94), fused 16^2 1.83 (1.85) to 1.90 (1.95).
//                In a calm minute on two threads, 12 heads, 4096 tokens, two runs: BNHD 16^2 84, 85 %, 16,16 81, 84 %, 22^2 84,
//                86 %, 32,32 88, 91 % (medians 1 to 3 points lower).
//                Left out: sharing out tokens of BNHD rows instead of heads, so that all 12 heads take turns on both threads: 24.7
//                and 25.1 ms where 6 heads a thread took 21.3 and 22.3 in the same minute (16^2, 4096 tokens; why is not known).
//                Two threads, 8192 tokens, `hla bench op`, version 6: core 94.4  92.4  93.8 % at 16,16 / 16^2 / 32,32 (36 and 67 times
//                MultiHeadAttention at the first two), fused 89.5  87.2  91.7 %; BNHD at 4096: 82, 78, 89 %, 22^2 80 %.
//   8  for Intel Sapphire Rapids (48 KiB L1, 2 MiB L2), where the register tiles alone run at the peak and version 7's output pass at
//      79  79  83 %: the prefetcher's branches at the ends of rows were guessed wrong, and each wrong guess held up the tile it stood
//      in. Without them, and with the eight steps of a segment unrolled, the pass runs at 87  86  89 %; both passes, version 7
//      to 8 (best of 36 rounds in turns, 3 heads, one thread): 81.8  78.1  85.9 to 84.9  81.1  88.0 %, ranks 64 the same (64, 63 %),
//      fused 77  75  82 to 79  76  83 %; a draft with the same tiles in a calmer minute 82.9  81.7  85.8 to 86.9  84.1  89.2 %. AVX2
//      stays at 89  88  91 % of its peak. Where other heads' rows lie between, output rows are gathered and written whole: a column
//      block at a time, every store met another page (with stores to one place the pass rose from 50 to 73 % at 16^2).
//      Fused, BNHD, 16,16 / 16^2 / 22^2 / 32,32 (6 heads): 68  57  66  76 to 75  65  71  81 %. In minutes when something
//      else runs on the same core, its other thread perhaps, the tiles alone fall to 81 % and all of these to 50 to 65 %.
//      Not timed on AMD. Left out: a parent's vectors kept in registers for all rows of a run of the state's panel (nothing).
//   9  every other row's number comes from memory with the multiply-add: a step of the state's tile is 22 instructions for 16
//      multiply-adds, not 26. On Intel Cascade Lake (32 KiB L1, four instructions a cycle), others busy on the same cores, so that the tiles alone
//      reach 62 to 65 %: 16,16 66.8 to 69.9, 16^2 63.0 to 65.9, 32,32 74.7 to 76.3 % (medians of the best of 40 alternating runs, one
//      thread, one head; in restless minutes 4 to 9 points), fused, BNHD, 16^2, 6 heads 47 to 48 %. All but every fourth row: no better. The
//      first half of the rows instead of every other one: half as much. Not timed on AMD or Sapphire Rapids. Tiles of 9 x 48 gain 12 %
//      where the state's alone runs here, 4 % where the output's does; these rows gain 8 and 9 %, and change no layout.
// Ranks 16,16 at other widths of values, version 6: dv 16 81 %, 64 91 %, 80 92 %, 96 93 %, 256 93 %; at dv = 1 the panels are
// the work (9 ms for 4096 tokens of 12 heads, as at 16).
// Also (Zen 5, version 4): AVX2 reaches 95 % of its own, lower peak, the baseline 65 % (its peak counts a multiply and an add as two). float16
// and bfloat16 are 1 to 3 % faster than float. With the fused operator's maps (d = 128, softplus, their FLOPs counted) version 4
// ran 16,16 at 82 % and 32,32 at 88 %; with tokens before heads (--layout BNHD, rows 6 KB apart) at 73 to 77 % and 80 to 86 %.
// Most of that loss is address translation: 2 MB pages gave 78 to 80 % and 87 %; prefetching to L2 or touching each row
// gave nothing. Starting each chunk's sums from zero costs nothing and keeps long sums accurate.
#pragma once

#include "kernel.h"
#include "vec.h"

namespace hla {
namespace {

constexpr int64_t kStateRows = HLA_STATE_ROWS;
constexpr int64_t kOutputTokens = HLA_OUTPUT_TOKENS;
constexpr int64_t kWidth = 2 * kLanes;

}  // namespace
}  // namespace hla

#include "feature_map.h"

namespace hla {
namespace {

// The state pass takes kChunk tokens at a time: a block of values (kChunk x kWidth) and a panel tile stay in L1.
constexpr int64_t kChunk = 128;
constexpr int64_t kStateBlock = 8 * kStateRows;
// The output pass takes kGroup tiles of tokens at a time against at most kOutputBlock monomials: that block of the state
// (kOutputBlock x kWidth) stays near while the panels of the group stream past it.
constexpr int64_t kGroup = 8;
constexpr int64_t kOutputBlock = 512;
// A register tile asks for a few lines of memory after every kSegment of its steps.
constexpr int64_t kSegment = 8;  // for_segments unrolls as many
// Room for transposed features and inner products (floats); very large ranks shorten the chunk instead of leaving L2.
constexpr int64_t kNodeBudget = 64 * 1024;

static_assert(kChunk % kLanes == 0 && kOutputTokens <= kLanes, "tiles fit vectors");

struct Columns {
  int64_t blocks;      // of kWidth, the last perhaps narrower
  int64_t last_width;  // kLanes or kWidth
  int64_t padded;      // floats in a packed row
};

HLA_INLINE Columns columns(int64_t value_width) {
  const int64_t blocks = (value_width + kWidth - 1) / kWidth;
  const int64_t rest = value_width - (blocks - 1) * kWidth;
  const int64_t last = rest <= kLanes ? kLanes : kWidth;
  return {blocks, last, (blocks - 1) * kWidth + last};
}

HLA_INLINE int64_t segments(int64_t steps) { return (steps + kSegment - 1) / kSegment; }

// One step of a register tile: the product of a column, its numbers `stride` floats apart, and a row is added to it.
template <int64_t kRows, int kVectors>
HLA_INLINE void add_product(vf (&tile)[kRows][kVectors], const float* column, int64_t stride, const float* row) {
  vf value[kVectors];
#pragma GCC unroll 2
  for (int c = 0; c < kVectors; ++c) value[c] = load(row + c * kLanes);
#pragma GCC unroll 16
  for (int64_t r = 0; r < kRows; ++r) {
    // Every other number straight from memory: all of them would take more reads than a core makes in the time of the products.
    if (kReadsNumbers && r % 2 == 0) {
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) add_scaled(tile[r][c], column + r * stride, value[c]);
    } else {
      const vf x = splat(column[r * stride]);
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) tile[r][c] += x * value[c];
    }
  }
}

HLA_INLINE int64_t padded_rows(int64_t size) { return round_up(size, kStateRows); }

// Tokens of a state chunk.
HLA_INLINE int64_t chunk_tokens(const PlanView& plan, int64_t padded_columns) {
  const int64_t by_nodes = kNodeBudget / plan.nodes;
  const int64_t by_values = kNodeBudget / padded_columns;
  const int64_t tokens = smaller(kChunk, smaller(by_nodes, by_values)) / kLanes * kLanes;
  return tokens < kLanes ? kLanes : tokens;
}

// Tiles of an output group.
HLA_INLINE int64_t group_tiles(const PlanView& plan) {
  const int64_t tiles = smaller(kGroup, kNodeBudget / (plan.nodes * kLanes));
  return tiles < 1 ? 1 : tiles;
}

// Monomials of an output block: equal blocks, so that the last is not a sliver that costs a whole round of tiles.
HLA_INLINE int64_t output_block(const PlanView& plan) {
  const int64_t blocks = (plan.size + kOutputBlock - 1) / kOutputBlock;
  return (plan.size + blocks - 1) / blocks;
}

// ---- Features to nodes

// Transposes rows of features into node rows 1 .. R: tile t of `per_tile` tokens fills lanes [t * kLanes, + per_tile) of
// every node row, and zeros beyond the last token. Returns nothing; the node rows are `stride` floats apart.
template <typename E>
void load_features(const ConstRows& rows, int64_t head, int64_t first, int64_t tokens, int64_t per_tile, const PlanView& plan,
                   float* nodes, int64_t stride) {
  using S = typename E::Storage;
  const S* base = static_cast<const S*>(rows.data) + head * rows.head_stride + first * rows.stride;
  const int64_t width = plan.features;
  const int64_t tiles = (tokens + per_tile - 1) / per_tile;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = tile * per_tile;
    const int64_t count = smaller(per_tile, tokens - begin);
    store(nodes + tile * kLanes, splat(1.0f));
    for (int64_t f = 0; f < width; f += kLanes) {
      const int64_t part = smaller(kLanes, width - f);
      vf square[kLanes];
      const S* source = base + begin * rows.stride + f;
      if (part == kLanes && count == per_tile) {
#pragma GCC unroll 16
        for (int64_t t = 0; t < kLanes; ++t) {
          square[t] = t < per_tile ? load_as<E>(source + t * rows.stride) : vf{};
        }
      } else {
        for (int64_t t = 0; t < kLanes; ++t) {
          square[t] = t < count ? load_part<E>(source + t * rows.stride, part) : vf{};
        }
      }
      transpose(square);
      float* target = nodes + (1 + f) * stride + tile * kLanes;
      if (part == kLanes) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) store(target + i * stride, square[i]);
      } else {
        for (int64_t i = 0; i < part; ++i) store(target + i * stride, square[i]);
      }
    }
  }
}

void build_inner(const PlanView& plan, float* nodes, int64_t stride, int64_t lanes) {
  for (int64_t r = 0; r < plan.inner_count; ++r) {
    const Run run = plan.inner[r];
    const float* parent = nodes + run.parent * stride;
    for (int64_t i = 0; i < run.count; ++i) {
      const float* leaf = nodes + (run.leaf + i) * stride;
      float* target = nodes + (run.first + i) * stride;
      for (int64_t v = 0; v < lanes; v += kLanes) store(target + v, load(parent + v) * load(leaf + v));
    }
  }
}

// Asks for rows of memory a line or two at a time, from inside the register tiles, so that they have come when they are
// needed. Only few lines can be on their way at once: asking for a tile's share in one go holds up the tile's own loads.
class Prefetcher {
 public:
  // `calls` is how often next() will be called.
  HLA_INLINE Prefetcher(const void* rows, int64_t stride_bytes, int64_t row_bytes, int64_t count, int64_t calls)
      : row_(static_cast<const char*>(rows)), stride_(stride_bytes), bytes_(row_bytes), left_(count) {
    const int64_t lines = count * ((row_bytes + kLine - 1) / kLine);
    per_call_ = calls > 0 ? (lines + calls - 1) / calls : 0;
  }

  // Without branches that depend on where a row ends: they are guessed wrong often, and a register tile waits for each guess.
  HLA_INLINE void next() {
    for (int64_t i = 0; i < per_call_; ++i) {
      __builtin_prefetch(row_ + at_);
      at_ += kLine;
      const int64_t row_done = -static_cast<int64_t>(at_ >= bytes_);  // all bits or none
      at_ &= ~row_done;
      row_ += stride_ & row_done;
      left_ += row_done;
    }
    per_call_ &= -static_cast<int64_t>(left_ > 0);
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* row_;
  int64_t stride_;
  int64_t bytes_;
  int64_t left_;
  int64_t at_ = 0;
  int64_t per_call_;
};

// The steps of a register tile, with the calls that ask for memory between them; calls beyond those announced find nothing left.
template <typename Step>
HLA_INLINE void for_segments(int64_t steps, const Step& step, Prefetcher& one, Prefetcher& other) {
  int64_t done = 0;
  for (; done + kSegment <= steps; done += kSegment) {
    one.next();
    other.next();
#pragma GCC unroll 8
    for (int64_t i = 0; i < kSegment; ++i) step(done + i);
  }
  one.next();
  other.next();
  for (; done < steps; ++done) step(done);
}

// What a pass over heads and tokens takes up after (head, first): the next head's rows of the same tokens, or the first
// head's of the next.
struct Next {
  int64_t head;
  int64_t first;
  int64_t tokens;

  HLA_INLINE Next(int64_t done_head, int64_t heads, int64_t done_first, int64_t step, int64_t total)
      : head(done_head + 1 < heads ? done_head + 1 : 0),
        first(head > 0 ? done_first : smaller(total, done_first + step)),
        tokens(smaller(step, total - first)) {}
};

template <typename E>
HLA_INLINE Prefetcher prefetch_rows(const ConstRows& rows, int64_t width, const Next& next, int64_t calls) {
  using S = typename E::Storage;
  const int64_t size = sizeof(S);
  return {static_cast<const S*>(rows.data) + next.head * rows.head_stride + next.first * rows.stride, rows.stride * size,
          width * size, next.tokens, calls};
}

// Masks the features of a state chunk, in node rows 1 .. R.
HLA_INLINE void mask_nodes(const KeyMask& mask, int64_t first, int64_t tokens, const PlanView& plan, float* nodes, int64_t stride) {
  for (int64_t v = 0; v < tokens; v += kLanes) {
    float numbers[kLanes] = {};
    for (int64_t t = 0; t < smaller(kLanes, tokens - v); ++t) numbers[t] = mask.data[(first + v + t) * mask.token_stride];
    const vf factor = exponential(load(numbers) * mask.share);
    float* row = nodes + stride + v;
    for (int64_t f = 0; f < plan.features; ++f, row += stride) store(row, load(row) * factor);
  }
}

// Features of tokens to node rows: given ones, or mapped ones.
template <typename E>
void prepare_nodes(const ConstRows& rows, const FeatureMap& map, const MapScratch& map_scratch, int64_t head,
                   int64_t first, int64_t tokens, int64_t per_tile, const PlanView& plan, const KeyMask& mask, float* nodes,
                   int64_t stride) {
  const int64_t lanes = (tokens + per_tile - 1) / per_tile * kLanes;
  if (map.weight == nullptr) {
    load_features<E>(rows, head, first, tokens, per_tile, plan, nodes, stride);
  } else {
    map_rows<E>(rows, head, first, tokens, map, plan.features, map_scratch);
    const ConstRows mapped{map_scratch.z, padded_features(plan.features), 0};
    load_features<Float32>(mapped, 0, 0, tokens, per_tile, plan, nodes, stride);
    // Only a state chunk's lanes are its tokens in order; of an output group the lanes beyond a tile's tokens are unused.
    activate_nodes(map, nodes, stride, lanes, per_tile == kLanes ? tokens : lanes);
  }
  if (mask.data != nullptr) mask_nodes(mask, first, tokens, plan, nodes, stride);
  build_inner(plan, nodes, stride, lanes);
}

// Where in the plan's runs a block of rows begins.
struct Cursor {
  const Run* run;
  int64_t done;  // rows of *run already taken
};

// ---- State pass

// Rows [0, count) of a panel, each kChunk floats apart with tokens along it, zeros up to a whole tile; adds each row's sum
// to its denominator.
HLA_INLINE void build_state_panel(Cursor& cursor, int64_t count, const float* nodes, int64_t stride, int64_t lanes,
                                  float* panel, float* denominators) {
  for (int64_t row = 0; row < count;) {
    const Run& run = *cursor.run;
    const int64_t take = smaller(run.count - cursor.done, count - row);
    const float* parent = nodes + run.parent * stride;
    for (int64_t i = 0; i < take; ++i) {
      const float* leaf = nodes + (run.leaf + cursor.done + i) * stride;
      float* target = panel + (row + i) * kChunk;
      vf total{};
      for (int64_t v = 0; v < lanes; v += kLanes) {
        const vf product = load(parent + v) * load(leaf + v);
        store(target + v, product);
        total += product;
      }
      denominators[row + i] += sum(total);
    }
    row += take;
    cursor.done += take;
    if (cursor.done == run.count) cursor = {cursor.run + 1, 0};
  }
  for (int64_t row = count; row < round_up(count, kStateRows); ++row) {
    for (int64_t v = 0; v < lanes; v += kLanes) store(panel + row * kChunk + v, vf{});
  }
}

// The register tile: kStateRows x kVectors vectors, summed over a chunk from zero and then added to the state. Starting
// from zero keeps the rounding error that of two short sums instead of one long one.
template <int kVectors>
void state_tile(const float* __restrict panel, const float* __restrict values, int64_t tokens, float* __restrict state,
                Prefetcher& next_values, Prefetcher& next_features) {
  vf acc[kStateRows][kVectors] = {};
#pragma GCC unroll 16
  for (int64_t r = 0; r < kStateRows; ++r) __builtin_prefetch(state + r * kVectors * kLanes, 1);
  const auto step = [&](int64_t t) __attribute__((always_inline)) {
    add_product(acc, panel + t, kChunk, values + t * kVectors * kLanes);
  };
  for_segments(tokens, step, next_values, next_features);
#pragma GCC unroll 16
  for (int64_t r = 0; r < kStateRows; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) {
      float* target = state + (r * kVectors + c) * kLanes;
      store(target, load(target) + acc[r][c]);
    }
  }
}

// Values of a chunk as [block][token][width], zeros beyond dv. Rows are read whole, in the order of memory.
template <typename E>
void pack_values(const ConstRows& rows, int64_t head, int64_t first, int64_t tokens, int64_t value_width, float* packed,
                 int64_t chunk) {
  using S = typename E::Storage;
  const Columns cols = columns(value_width);
  const S* source = static_cast<const S*>(rows.data) + head * rows.head_stride + first * rows.stride;
  for (int64_t t = 0; t < tokens; ++t, source += rows.stride) {
    for (int64_t block = 0; block + 1 < cols.blocks; ++block) {
      float* target = packed + (block * chunk + t) * kWidth;
      store(target, load_as<E>(source + block * kWidth));
      store(target + kLanes, load_as<E>(source + block * kWidth + kLanes));
    }
    const int64_t done = (cols.blocks - 1) * kWidth;
    float* target = packed + done * chunk + t * cols.last_width;
    for (int64_t c = 0; c < cols.last_width; c += kLanes) {
      const int64_t present = value_width - done - c;
      store(target + c, present >= kLanes ? load_as<E>(source + done + c) : load_part<E>(source + done + c, present));
    }
  }
}

void apply_weights(const PlanView& plan, const Columns& cols, float* head_state) {
  if (plan.weights == nullptr) return;
  const int64_t rows = padded_rows(plan.size);
  for (int64_t block = 0; block < cols.blocks; ++block) {
    const int64_t width = block + 1 < cols.blocks ? kWidth : cols.last_width;
    float* state = head_state + rows * block * kWidth;
    for (int64_t row = 0; row < plan.size; ++row) {
      for (int64_t c = 0; c < width; c += kLanes) {
        float* target = state + row * width + c;
        store(target, load(target) * plan.weights[row]);
      }
    }
  }
  float* const denominators = head_state + rows * cols.padded;
  for (int64_t row = 0; row < plan.size; ++row) denominators[row] *= plan.weights[row];
}

template <typename E>
void state_pass(const StateJob& job) {
  const PlanView& plan = job.plan;
  const Columns cols = columns(job.value_width);
  const int64_t rows = padded_rows(plan.size);
  const int64_t chunk = chunk_tokens(plan, cols.padded);
  for (int64_t head = 0; head < job.heads; ++head) {
    __builtin_memset(job.state + head * job.state_stride, 0, static_cast<uint64_t>(rows * (cols.padded + 1)) * sizeof(float));
  }

  float* const packed = static_cast<float*>(job.scratch);
  float* const panel = packed + chunk * cols.blocks * kWidth;
  float* const nodes = panel + kStateBlock * kChunk;
  const MapScratch map_scratch(nodes + plan.nodes * chunk, plan.features, job.map.width, job.heads);
  const int64_t feature_width = job.map.weight == nullptr ? plan.features : job.map.width;
  pack_maps<E>(job.map, plan.features, job.heads, map_scratch);

  for (int64_t first = 0; first < job.tokens; first += chunk) {
    const int64_t tokens = smaller(chunk, job.tokens - first);
    const int64_t lanes = round_up(tokens, kLanes);
    for (int64_t head = 0; head < job.heads; ++head) {
      float* const head_state = job.state + head * job.state_stride;
      float* const denominators = head_state + rows * cols.padded;
      prepare_nodes<E>(job.features, job.map, map_scratch, head, first, tokens, kLanes, plan, job.mask, nodes, chunk);
      pack_values<E>(job.value, head, first, tokens, job.value_width, packed, chunk);

      const Next next(head, job.heads, first, chunk, job.tokens);
      const int64_t calls = rows / kStateRows * cols.blocks * segments(tokens);
      Prefetcher next_values = prefetch_rows<E>(job.value, job.value_width, next, calls);
      Prefetcher next_features = prefetch_rows<E>(job.features, feature_width, next, calls);

      Cursor cursor{plan.rows, 0};
      for (int64_t begin = 0; begin < plan.size; begin += kStateBlock) {
        const int64_t count = smaller(kStateBlock, plan.size - begin);
        build_state_panel(cursor, count, nodes, chunk, lanes, panel, denominators + begin);
        for (int64_t block = 0; block < cols.blocks; ++block) {
          const int64_t width = block + 1 < cols.blocks ? kWidth : cols.last_width;
          const float* values = packed + block * chunk * kWidth;
          float* state = head_state + rows * block * kWidth + begin * width;
          for (int64_t row = 0; row < count; row += kStateRows) {
            const auto tile = width == kWidth ? state_tile<2> : state_tile<1>;
            tile(panel + row * kChunk, values, tokens, state + row * width, next_values, next_features);
          }
        }
      }
    }
  }
  for (int64_t head = 0; head < job.heads; ++head) apply_weights(plan, cols, job.state + head * job.state_stride);
}

// ---- Output pass

// `kTiles` panels of kOutputTokens tokens (one vector each), [tile][row][kLanes], tiles `tile_stride` floats apart; adds
// row . denominators to each tile's vector. Several tiles at once, because one chain of additions would be the limit.
template <int kTiles>
HLA_INLINE Cursor build_output_panel(Cursor cursor, int64_t count, const float* nodes, int64_t stride, float* panel,
                                     int64_t tile_stride, const float* denominators, float* totals) {
  vf total[kTiles];
#pragma GCC unroll 8
  for (int t = 0; t < kTiles; ++t) total[t] = load(totals + t * kLanes);
  for (int64_t row = 0; row < count;) {
    const Run& run = *cursor.run;
    const int64_t take = smaller(run.count - cursor.done, count - row);
    vf parent[kTiles];
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) parent[t] = load(nodes + run.parent * stride + t * kLanes);
    const float* leaf = nodes + (run.leaf + cursor.done) * stride;
    for (int64_t i = 0; i < take; ++i, leaf += stride) {
      const vf weight = splat(denominators[row + i]);
#pragma GCC unroll 8
      for (int t = 0; t < kTiles; ++t) {
        const vf product = parent[t] * load(leaf + t * kLanes);
        store(panel + t * tile_stride + (row + i) * kLanes, product);
        total[t] += product * weight;
      }
    }
    row += take;
    cursor.done += take;
    if (cursor.done == run.count) cursor = {cursor.run + 1, 0};
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTiles; ++t) store(totals + t * kLanes, total[t]);
  return cursor;
}

// The register tile: kOutputTokens x kVectors vectors, over a block of monomials. `earlier`, where not null, holds the
// sums over the blocks before. The result goes to `target`, rows `stride` apart, each multiplied by its token's `scale`;
// `own_lines` walks through the lines of the output, which stores would otherwise wait for.
template <int kVectors, typename E>
void output_tile(const float* __restrict panel, const float* __restrict state, int64_t count,
                 const float* __restrict earlier, const float* __restrict scale, typename E::Storage* __restrict target,
                 int64_t stride, Prefetcher& next_features, Prefetcher& own_lines) {
  vf acc[kOutputTokens][kVectors] = {};
  const auto step = [&](int64_t d) __attribute__((always_inline)) {
    add_product(acc, panel + d * kLanes, 1, state + d * kVectors * kLanes);
  };
  for_segments(count, step, next_features, own_lines);
  if (earlier != nullptr) {
#pragma GCC unroll 16
    for (int64_t t = 0; t < kOutputTokens; ++t) {
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) acc[t][c] += load(earlier + (t * kVectors + c) * kLanes);
    }
  }
#pragma GCC unroll 16
  for (int64_t t = 0; t < kOutputTokens; ++t) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) store_as<E>(target + t * stride + c * kLanes, acc[t][c] * splat(scale[t]));
  }
}

// 1 / (denominator + epsilon) for a tile's tokens. False where a reciprocal would leave the range of floats although the
// quotient need not: then the tile is divided instead.
HLA_INLINE bool reciprocals(const float* totals, float epsilon, int64_t tokens, float* scale) {
  bool plain = true;
  for (int64_t t = 0; t < tokens; ++t) {
    const float denominator = totals[t] + epsilon;
    const float size = denominator < 0 ? -denominator : denominator;
    plain = plain && size > 0x1p-100f && size < 0x1p100f;
  }
  store(scale, splat(1.0f) / (load(totals) + splat(epsilon)));
  return plain;
}

// What a tile could not write itself, from its sums in blocks of columns: columns [from, value_width) of its tokens' rows.
template <typename E>
void write_rows(const float* sums, int64_t block_floats, const Columns& cols, int64_t from, int64_t value_width,
                const float* totals, float epsilon, const float* scale, bool plain, int64_t tokens,
                typename E::Storage* target, int64_t stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = from; c < value_width; c += kLanes) {
      const int64_t block = c / kWidth;
      const int64_t width = block + 1 < cols.blocks ? kWidth : cols.last_width;
      const vf numerators = load(sums + block * block_floats + t * width + c % kWidth);
      const vf y = plain ? numerators * splat(scale[t]) : numerators / splat(totals[t] + epsilon);
      if (value_width - c >= kLanes) {
        store_as<E>(target + t * stride + c, y);
      } else {
        store_part<E>(target + t * stride + c, y, value_width - c);
      }
    }
  }
}

// One tile against one block of the state: to `target` where that is not null, else to `sums`.
template <int kVectors, typename E>
HLA_INLINE void run_output_tile(const float* panel, const float* state, int64_t count, bool first, const float* scale,
                                float* sums, typename E::Storage* target, int64_t stride, Prefetcher& next_features,
                                Prefetcher& own_lines) {
  const float* earlier = first ? nullptr : sums;
  if (target != nullptr) {
    output_tile<kVectors, E>(panel, state, count, earlier, scale, target, stride, next_features, own_lines);
    return;
  }
  float ones[kLanes];
  store(ones, splat(1.0f));
  output_tile<kVectors, Float32>(panel, state, count, earlier, ones, sums, kVectors * kLanes, next_features, own_lines);
}

template <typename E>
void output_pass(const OutputJob& job) {
  using S = typename E::Storage;
  constexpr int64_t kSize = sizeof(S);
  const PlanView& plan = job.plan;
  const Columns cols = columns(job.value_width);
  const int64_t rows = padded_rows(plan.size);
  const int64_t group = group_tiles(plan);
  const int64_t stride = group * kLanes;
  const int64_t block_rows = output_block(plan);
  const int64_t panel_floats = block_rows * kLanes;
  const int64_t sums_floats = group * kOutputTokens * kWidth;  // of a block of columns
  // Rows that others lie between touch a page each: they are written whole, not a block of columns at a time.
  const bool apart = job.output.stride != job.value_width;
  const int64_t whole_columns = job.value_width == cols.padded ? cols.padded : (cols.blocks - 1) * kWidth;

  float* const panel = static_cast<float*>(job.scratch);
  float* const totals = panel + group * panel_floats;
  float* const scales = totals + group * kLanes;
  float* const sums = scales + group * kLanes;
  float* const nodes = sums + cols.blocks * sums_floats;
  const MapScratch map_scratch(nodes + plan.nodes * stride, plan.features, job.map.width, job.heads);
  const int64_t feature_width = job.map.weight == nullptr ? plan.features : job.map.width;
  pack_maps<E>(job.map, plan.features, job.heads, map_scratch);

  const int64_t step = group * kOutputTokens;
  for (int64_t turn = 0; turn < (job.tokens + step - 1) / step * job.heads; ++turn) {
    const int64_t first = turn / job.heads * step;
    const int64_t head = turn % job.heads;
    const float* const head_state = job.state + head * job.state_stride;
    const float* const denominators = head_state + rows * cols.padded;
    const int64_t tokens = smaller(step, job.tokens - first);
    const int64_t tiles = (tokens + kOutputTokens - 1) / kOutputTokens;
    prepare_nodes<E>(job.features, job.map, map_scratch, head, first, tokens, kOutputTokens, plan, KeyMask{}, nodes, stride);
    for (int64_t t = 0; t < tiles; ++t) store(totals + t * kLanes, vf{});

    const int64_t calls = (plan.size + block_rows - 1) / block_rows * cols.blocks * tiles * segments(block_rows);
    Prefetcher next_features =
        prefetch_rows<E>(job.features, feature_width, Next(head, job.heads, first, step, job.tokens), calls);
    S* const output = static_cast<S*>(job.output.data) + head * job.output.head_stride + first * job.output.stride;

    Prefetcher own_rows(output, job.output.stride * kSize, job.value_width * kSize, apart ? tokens : 0, calls);

    bool plain[kGroup];
    bool direct[kGroup] = {};
    Cursor cursor{plan.rows, 0};
    for (int64_t begin = 0; begin < plan.size; begin += block_rows) {
      const int64_t count = smaller(block_rows, plan.size - begin);
      const bool last = begin + count == plan.size;
      Cursor end = cursor;
      int64_t t = 0;
      for (; t + 4 <= tiles; t += 4) {
        end = build_output_panel<4>(cursor, count, nodes + t * kLanes, stride, panel + t * panel_floats, panel_floats,
                                    denominators + begin, totals + t * kLanes);
      }
      for (; t < tiles; ++t) {
        end = build_output_panel<1>(cursor, count, nodes + t * kLanes, stride, panel + t * panel_floats, panel_floats,
                                    denominators + begin, totals + t * kLanes);
      }
      cursor = end;
      if (last) {
        for (int64_t tile = 0; tile < tiles; ++tile) {
          const int64_t present = smaller(kOutputTokens, tokens - tile * kOutputTokens);
          plain[tile] = reciprocals(totals + tile * kLanes, job.epsilon, present, scales + tile * kLanes);
          direct[tile] = !apart && plain[tile] && present == kOutputTokens;
        }
      }
      for (int64_t block = 0; block < cols.blocks; ++block) {
        const int64_t width = block + 1 < cols.blocks ? kWidth : cols.last_width;
        const bool whole = block * kWidth < whole_columns;
        const float* state = head_state + rows * block * kWidth + begin * width;
        Prefetcher own_lines(output + block * kWidth, job.output.stride * kSize, width * kSize, last && !apart ? tokens : 0,
                             tiles * segments(count));
        Prefetcher& own = apart ? own_rows : own_lines;
        for (int64_t tile = 0; tile < tiles; ++tile) {
          S* const target = direct[tile] && whole ? output + tile * kOutputTokens * job.output.stride + block * kWidth : nullptr;
          const auto run = width == kWidth ? run_output_tile<2, E> : run_output_tile<1, E>;
          run(panel + tile * panel_floats, state, count, begin == 0, scales + tile * kLanes,
              sums + block * sums_floats + tile * kOutputTokens * kWidth, target, job.output.stride, next_features, own);
        }
      }
    }
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t token = tile * kOutputTokens;
      write_rows<E>(sums + token * kWidth, sums_floats, cols, direct[tile] ? whole_columns : 0, job.value_width,
                    totals + tile * kLanes, job.epsilon, scales + tile * kLanes, plain[tile],
                    smaller(kOutputTokens, tokens - token), output + token * job.output.stride, job.output.stride);
    }
  }
}

// ---- The table

int64_t state_floats(int64_t size, int64_t value_width) {
  return round_up(padded_rows(size) * (columns(value_width).padded + 1), 16);
}

int64_t scratch_floats(const PlanView& plan, int64_t value_width, int64_t map_width, int64_t heads) {
  const Columns cols = columns(value_width);
  const int64_t chunk = chunk_tokens(plan, cols.padded);
  const int64_t state = chunk * cols.blocks * kWidth + kStateBlock * kChunk + plan.nodes * chunk +
                        map_floats(plan.features, map_width, chunk, heads);
  const int64_t group = group_tiles(plan);
  const int64_t output = group * output_block(plan) * kLanes + 2 * group * kLanes +
                         cols.blocks * group * kOutputTokens * kWidth + plan.nodes * group * kLanes +
                         map_floats(plan.features, map_width, group * kOutputTokens, heads);
  return state > output ? state : output;
}

void state(const StateJob& job) {
  switch (job.element) {
    case Element::kFloat32: return state_pass<Float32>(job);
    case Element::kFloat16: return state_pass<Float16>(job);
    case Element::kBfloat16: return state_pass<Bfloat16>(job);
  }
}

void output(const OutputJob& job) {
  switch (job.element) {
    case Element::kFloat32: return output_pass<Float32>(job);
    case Element::kFloat16: return output_pass<Float16>(job);
    case Element::kBfloat16: return output_pass<Bfloat16>(job);
  }
}

void add(float* into, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(into + i, load(into + i) + load(from + i));
  for (; i < count; ++i) into[i] += from[i];
}

// Calls body(numbers of the state, the same of the carried one, how many) for all runs that are dense in both.
template <typename Body>
HLA_INLINE void for_each_carried(int64_t size, int64_t value_width, const Body& body) {
  const Columns cols = columns(value_width);
  const int64_t rows = padded_rows(size);
  for (int64_t row = 0; row < size; ++row) {
    const int64_t carried = row * (value_width + 1);
    for (int64_t block = 0; block < cols.blocks; ++block) {
      const int64_t width = block + 1 < cols.blocks ? kWidth : cols.last_width;
      const int64_t done = block * kWidth;
      body(rows * done + row * width, carried + done, smaller(width, value_width - done));
    }
    body(rows * cols.padded + row, carried + value_width, 1);
  }
}

void add_carried(float* state, const float* carried, int64_t size, int64_t value_width) {
  for_each_carried(size, value_width, [=](int64_t here, int64_t there, int64_t count) {
    for (int64_t i = 0; i < count; ++i) state[here + i] += carried[there + i];
  });
}

void copy_carried(const float* state, float* carried, int64_t size, int64_t value_width) {
  for_each_carried(size, value_width, [=](int64_t here, int64_t there, int64_t count) {
    for (int64_t i = 0; i < count; ++i) carried[there + i] = state[here + i];
  });
}

double peak(int64_t rounds, float* sink) {
  constexpr int kChains = 12;
  vf acc[kChains];
  const vf x = splat(sink[0]);
  const vf y = splat(sink[1]);
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) acc[i] = splat(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = acc[i] * x + y;
  }
  vf total{};
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total += acc[i];
  sink[2] = sum(total);
  return 2.0 * kChains * kLanes * static_cast<double>(rounds);
}

constexpr Kernel kTable{HLA_KERNEL_NAME, HLA_KERNEL_DESCRIPTION, kGroup * kOutputTokens, state_floats, scratch_floats,
                        state,           output,                 add,                    add_carried,  copy_carried,
                        peak};

}  // namespace
}  // namespace hla
