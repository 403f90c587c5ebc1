#include "row_tables.h"

#include <cstring>
#include <stdexcept>
#include <unordered_map>

namespace hla::cuda {
namespace {

// The parts begin at multiples of 16 bytes: the kernels copy some of them 16 bytes at a time.
constexpr size_t kPartWords = 4;

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

template <typename T>
size_t put(std::vector<int32_t>& words, const std::vector<T>& part) {
  static_assert(sizeof(T) % sizeof(int32_t) == 0, "whole words");
  words.resize(static_cast<size_t>(round_up(static_cast<int64_t>(words.size()), kPartWords)));
  const size_t at = words.size();
  words.resize(at + part.size() * sizeof(T) / sizeof(int32_t));
  if (!part.empty()) std::memcpy(words.data() + at, part.data(), part.size() * sizeof(T));
  return at;
}

// The nodes of the segment being cut, numbered as they come up.
class Numbering {
 public:
  uint32_t of(int32_t code) {
    const auto [place, fresh] = numbers_.try_emplace(code, static_cast<uint32_t>(codes_.size()));
    if (fresh) codes_.push_back(code);
    return place->second;
  }
  int32_t size() const { return static_cast<int32_t>(codes_.size()); }
  const std::vector<int32_t>& codes() const { return codes_; }

 private:
  std::unordered_map<int32_t, uint32_t> numbers_;
  std::vector<int32_t> codes_;
};

struct Row {
  int32_t parent;
  int32_t leaf;
};

// Feature f is node 1 + f: a run for every feature of the first factor, over all of the second.
int32_t pair_in(const PlanView& plan) {
  if (plan.weights != nullptr) return 0;
  for (int64_t r = 0; r < plan.row_count; ++r) {
    const Run& run = plan.rows[r];
    if (run.parent != 1 + r || run.leaf != 1 + plan.row_count || run.count != plan.features - plan.row_count) return 0;
  }
  return static_cast<int32_t>(plan.row_count);
}

}  // namespace

RowTables::RowTables(const MonomialPlan& monomials) {
  const PlanView plan = monomials.view();
  features_ = plan.features;
  rows_ = static_cast<int32_t>(plan.size);
  first_rank_of_pair_ = pair_in(plan);
  weighted_ = plan.weights != nullptr;

  codes_.resize(static_cast<size_t>(plan.nodes));
  codes_[0] = kOneNode;
  for (int64_t f = 0; f < plan.features; ++f) codes_[static_cast<size_t>(1 + f)] = static_cast<int32_t>(f);
  const auto append_features = [this](std::vector<int32_t>& list, int32_t code) {
    if (code >= 0) list.push_back(code);
    if (code > kFirstLongNode) return;
    const auto at = static_cast<size_t>(kFirstLongNode - code);
    for (int32_t i = 0; i < lists_[at]; ++i) list.push_back(lists_[at + 1 + static_cast<size_t>(i)]);
  };
  for (int64_t r = 0; r < plan.inner_count; ++r) {
    const Run& run = plan.inner[r];
    for (int32_t i = 0; i < run.count; ++i) {
      std::vector<int32_t> list;
      append_features(list, codes_[static_cast<size_t>(run.parent)]);
      append_features(list, codes_[static_cast<size_t>(run.leaf + i)]);
      int32_t& code = codes_[static_cast<size_t>(run.first + i)];
      if (list.size() == 1) {
        code = list[0];
        continue;
      }
      if (lists_.size() > 0x7fff0000u) throw std::invalid_argument("attribute ranks: too many products for the CUDA kernels");
      code = kFirstLongNode - static_cast<int32_t>(lists_.size());
      lists_.push_back(static_cast<int32_t>(list.size()));
      lists_.insert(lists_.end(), list.begin(), list.end());
    }
  }

  state_ = cut(plan, kStateRows, 2 * kStateRows + 1, kStateRows);
  output_ = cut(plan, kOutputRows, kOutputNodes, plan.size + kOutputRows);
  output_tiles_ = static_cast<int32_t>(round_up(plan.size, kOutputRows) / kOutputRows);
  append(state_);
  append(output_);
  lists_at_ = put(words_, lists_);
  if (weighted_) weights_at_ = put(words_, std::vector<float>(plan.weights, plan.weights + plan.size));
  words_.resize(static_cast<size_t>(round_up(static_cast<int64_t>(words_.size()), kPartWords)));
  codes_ = {};
}

// Segments of whole steps of rows, each as long as its nodes stay within `max_nodes`. A step alone always does: its rows
// have two nodes each, and where padding needs the zero node there are fewer rows than places.
RowTables::Part RowTables::cut(const PlanView& plan, int32_t step, int32_t max_nodes, int64_t max_rows) const {
  std::vector<Row> rows;
  rows.reserve(static_cast<size_t>(plan.size));
  for (int64_t r = 0; r < plan.row_count; ++r) {
    const Run& run = plan.rows[r];
    for (int32_t i = 0; i < run.count; ++i) {
      rows.push_back({codes_[static_cast<size_t>(run.parent)], codes_[static_cast<size_t>(run.leaf + i)]});
    }
  }

  Part part;
  const int64_t padded = round_up(plan.size, step);
  const auto row_at = [&](int64_t r) { return r < plan.size ? rows[static_cast<size_t>(r)] : Row{kZeroNode, kZeroNode}; };
  for (int64_t begin = 0; begin < padded;) {
    Numbering numbering;
    int64_t end = begin;
    while (end < padded && end - begin < max_rows) {
      Numbering longer = numbering;
      for (int64_t r = end; r < end + step; ++r) {
        longer.of(row_at(r).parent);
        longer.of(row_at(r).leaf);
      }
      if (end > begin && longer.size() > max_nodes) break;
      numbering = std::move(longer);
      end += step;
    }
    for (int64_t r = begin; r < end; ++r) {
      part.pairs.push_back(numbering.of(row_at(r).parent) | numbering.of(row_at(r).leaf) << 16);
    }
    part.segments.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end - begin),
                             static_cast<int32_t>(part.nodes.size()), numbering.size()});
    part.nodes.insert(part.nodes.end(), numbering.codes().begin(), numbering.codes().end());
    if (numbering.size() > part.max_nodes) part.max_nodes = numbering.size();
    begin = end;
  }
  return part;
}

void RowTables::append(Part& part) {
  part.segments_at = put(words_, part.segments);
  part.nodes_at = put(words_, part.nodes);
  part.pairs_at = put(words_, part.pairs);
}

Table RowTables::table(const Part& part, const int32_t* base) const {
  return {reinterpret_cast<const Segment*>(base + part.segments_at), base + part.nodes_at, base + lists_at_,
          reinterpret_cast<const uint32_t*>(base + part.pairs_at)};
}

const float* RowTables::weights(const int32_t* base) const {
  return weighted_ ? reinterpret_cast<const float*>(base + weights_at_) : nullptr;
}

}  // namespace hla::cuda
