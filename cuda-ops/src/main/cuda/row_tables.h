// A MonomialPlan in the form that the kernels read. The plan's inner products are written out as lists of features, and
// the rows are cut into segments that need few nodes each: a block forms a segment's nodes once in shared memory, whatever
// the size of the whole plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel_args.h"
#include "monomials.h"

namespace hla::cuda {

class RowTables {
 public:
  explicit RowTables(const MonomialPlan& plan);

  int64_t features() const { return features_; }
  int32_t rows() const { return rows_; }
  // Where the rows are all products of one feature of each of two factors, row by row as the definition counts them: the
  // first factor's rank. Else 0.
  int32_t first_rank_of_pair() const { return first_rank_of_pair_; }
  int32_t row_tiles() const { return static_cast<int32_t>(state_.segments.size()); }
  int32_t output_tiles() const { return output_tiles_; }
  int32_t output_segments() const { return static_cast<int32_t>(output_.segments.size()); }
  int32_t state_nodes() const { return state_.max_nodes; }
  int32_t output_nodes() const { return output_.max_nodes; }

  // Everything in one block of memory, for one copy to the device.
  const std::vector<int32_t>& words() const { return words_; }
  // The parts, where `words` lies at `base`.
  Table state_table(const int32_t* base) const { return table(state_, base); }
  Table output_table(const int32_t* base) const { return table(output_, base); }
  const float* weights(const int32_t* base) const;

 private:
  struct Part {
    std::vector<Segment> segments;
    std::vector<int32_t> nodes;
    std::vector<uint32_t> pairs;
    int32_t max_nodes = 0;
    size_t segments_at = 0, nodes_at = 0, pairs_at = 0;
  };

  Part cut(const PlanView& plan, int32_t step, int32_t max_nodes, int64_t max_rows) const;
  void append(Part& part);
  Table table(const Part& part, const int32_t* base) const;

  int64_t features_;
  int32_t rows_;
  int32_t first_rank_of_pair_;
  int32_t output_tiles_;
  std::vector<int32_t> codes_;  // of every node of the plan
  std::vector<int32_t> lists_;
  Part state_, output_;
  size_t lists_at_ = 0, weights_at_ = 0;
  bool weighted_;
  std::vector<int32_t> words_;
};

}  // namespace hla::cuda
