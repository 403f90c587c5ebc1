#include "monomials.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace hla {
namespace {

constexpr int64_t kMaxFactors = 8;
constexpr int64_t kMaxPower = 4;
constexpr int64_t kMaxDegree = 6;
constexpr int64_t kMaxSize = int64_t{1} << 26;  // keeps node numbers far inside int32

std::string list(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + std::to_string(values[i]);
  return text + "]";
}

}  // namespace

int64_t MonomialPlan::count(const std::vector<int64_t>& ranks, const std::vector<int64_t>& powers) {
  if (ranks.empty() || static_cast<int64_t>(ranks.size()) > kMaxFactors) {
    throw std::invalid_argument("attribute ranks: expected 1 to 8 factors, came " + list(ranks));
  }
  if (powers.size() != ranks.size()) {
    throw std::invalid_argument("attribute powers: expected one for each of ranks " + list(ranks) + ", came " +
                                list(powers));
  }
  int64_t degree = 0;
  double size = 1;
  for (size_t f = 0; f < ranks.size(); ++f) {
    if (ranks[f] < 1) throw std::invalid_argument("attribute ranks: expected numbers from 1, came " + list(ranks));
    if (powers[f] < 1 || powers[f] > kMaxPower) {
      throw std::invalid_argument("attribute powers: expected numbers from 1 to 4, came " + list(powers));
    }
    if (ranks[f] == 1) continue;
    degree += powers[f];
    for (int64_t k = 0; k < powers[f]; ++k) size = size * (static_cast<double>(ranks[f]) + static_cast<double>(k)) / static_cast<double>(k + 1);
  }
  if (degree > kMaxDegree) {
    throw std::invalid_argument("attribute powers: expected a sum of at most 6 over the factors of rank above 1, came " +
                                list(powers) + " with ranks " + list(ranks));
  }
  if (size > static_cast<double>(kMaxSize)) {
    throw std::invalid_argument("attribute ranks: " + list(ranks) + " with powers " + list(powers) +
                                " need more than 67108864 products for a token");
  }
  return std::llround(size);
}

MonomialPlan::MonomialPlan(const std::vector<int64_t>& ranks, const std::vector<int64_t>& powers) {
  const int64_t size = count(ranks, powers);  // nothing is allocated for what it refuses
  weights_.reserve(static_cast<size_t>(size));
  for (int64_t rank : ranks) features_ += rank;
  nodes_ = 1 + features_;

  constexpr int64_t kOne = 0;
  int64_t gate = kOne;
  std::vector<size_t> factors;  // those that enlarge the product
  std::vector<int64_t> first_feature;
  int64_t feature = 1;
  for (size_t f = 0; f < ranks.size(); ++f) {
    first_feature.push_back(feature);
    if (ranks[f] > 1) {
      factors.push_back(f);
    } else {
      for (int64_t k = 0; k < powers[f]; ++k) gate = gate == kOne ? feature : add_inner(gate, feature, 1);
    }
    feature += ranks[f];
  }

  std::vector<Monomial> prefix;
  for (size_t f : factors) {
    const bool first = prefix.empty();
    const bool last = f == factors.back();
    const int64_t begin = first_feature[f];
    if (first && last && powers[f] == 1) {
      add_rows(gate, begin, ranks[f]);
      weights_.assign(static_cast<size_t>(ranks[f]), 1.0f);
      continue;
    }
    std::vector<Monomial> own = degree_one(begin, ranks[f], first ? gate : kOne);
    for (int64_t degree = 2; degree <= powers[f]; ++degree) {
      own = raise(own, begin, ranks[f], degree, first && last && degree == powers[f]);
    }
    if (first) {
      prefix = std::move(own);
      continue;
    }
    const auto count = static_cast<int64_t>(own.size());
    std::vector<Monomial> product;
    for (const Monomial& left : prefix) {
      if (last) {
        // The most there are, and only their weights are needed.
        add_rows(left.node, own[0].node, count);
        for (const Monomial& right : own) weights_.push_back(static_cast<float>(left.weight * right.weight));
        continue;
      }
      const int64_t node = add_inner(left.node, own[0].node, count);
      for (int64_t i = 0; i < count; ++i) product.push_back({node + i, 0, 0, left.weight * own[static_cast<size_t>(i)].weight});
    }
    prefix = std::move(product);
  }
  if (factors.empty()) {
    add_rows(kOne, gate, 1);
    weights_.push_back(1.0f);
  }
  if (weights_.empty()) {
    for (const Monomial& monomial : prefix) weights_.push_back(static_cast<float>(monomial.weight));
  }
  for (float weight : weights_) weighted_ = weighted_ || weight != 1.0f;
}

int64_t MonomialPlan::add_inner(int64_t parent, int64_t leaf, int64_t count) {
  const int64_t first = nodes_;
  inner_.push_back({static_cast<int32_t>(first), static_cast<int32_t>(parent), static_cast<int32_t>(leaf),
                    static_cast<int32_t>(count)});
  nodes_ += count;
  return first;
}

void MonomialPlan::add_rows(int64_t parent, int64_t leaf, int64_t count) {
  const int64_t first = rows_.empty() ? 0 : rows_.back().first + rows_.back().count;
  rows_.push_back({static_cast<int32_t>(first), static_cast<int32_t>(parent), static_cast<int32_t>(leaf),
                   static_cast<int32_t>(count)});
}

std::vector<MonomialPlan::Monomial> MonomialPlan::degree_one(int64_t first_feature, int64_t rank, int64_t gate) {
  const int64_t node = gate == 0 ? first_feature : add_inner(gate, first_feature, rank);
  std::vector<Monomial> monomials;
  for (int64_t i = 0; i < rank; ++i) monomials.push_back({node + i, i, 1, 1.0});
  return monomials;
}

std::vector<MonomialPlan::Monomial> MonomialPlan::raise(const std::vector<Monomial>& lower, int64_t first_feature,
                                                        int64_t rank, int64_t degree, bool last) {
  std::vector<Monomial> higher;
  for (const Monomial& m : lower) {
    const int64_t count = rank - m.last;
    const int64_t node = last ? 0 : add_inner(m.node, first_feature + m.last, count);
    if (last) add_rows(m.node, first_feature + m.last, count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t times = i == 0 ? m.times + 1 : 1;
      higher.push_back({node + i, m.last + i, times, m.weight * static_cast<double>(degree) / static_cast<double>(times)});
    }
  }
  return higher;
}

PlanView MonomialPlan::view() const {
  return {features_,
          nodes_,
          size(),
          inner_.data(),
          static_cast<int64_t>(inner_.size()),
          rows_.data(),
          static_cast<int64_t>(rows_.size()),
          weighted_ ? weights_.data() : nullptr};
}

}  // namespace hla
