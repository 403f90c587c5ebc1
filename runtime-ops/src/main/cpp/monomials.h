// From (ranks, powers) to the list of products that make one row of the Khatri-Rao matrix.
//
// A row's entries are products of the token's features. Feature f has node number 1 + f, node 0 is the constant one, and
// further nodes are products of two earlier ones, so that every entry of a row costs one multiplication:
//   entry = node[parent] * node[leaf].
// A factor of power p gives its C(r+p-1, p) monomials, not r^p products: the multinomial count of each monomial is a
// weight, applied once to the state instead of to every token. A factor of rank 1 (a gate) enlarges nothing: its power is
// multiplied into the first nodes of every product.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel.h"

namespace hla {

class MonomialPlan {
 public:
  // Throws std::invalid_argument, its message saying which attribute is wrong and how.
  MonomialPlan(const std::vector<int64_t>& ranks, const std::vector<int64_t>& powers);

  // D without the plan. Throws as the constructor.
  static int64_t count(const std::vector<int64_t>& ranks, const std::vector<int64_t>& powers);

  int64_t features() const { return features_; }
  int64_t size() const { return static_cast<int64_t>(weights_.size()); }
  PlanView view() const;

 private:
  // A product of features of one factor, or of several factors.
  struct Monomial {
    int64_t node;
    int64_t last;   // the highest feature index of its factor, so that each monomial is formed once
    int64_t times;  // how often it holds that feature
    double weight;
  };

  int64_t add_inner(int64_t parent, int64_t leaf, int64_t count);
  void add_rows(int64_t parent, int64_t leaf, int64_t count);
  std::vector<Monomial> degree_one(int64_t first_feature, int64_t rank, int64_t gate);
  std::vector<Monomial> raise(const std::vector<Monomial>& lower, int64_t first_feature, int64_t rank, int64_t degree,
                              bool last);

  int64_t features_ = 0;
  int64_t nodes_ = 1;
  std::vector<Run> inner_;
  std::vector<Run> rows_;
  std::vector<float> weights_;
  bool weighted_ = false;
};

}  // namespace hla
