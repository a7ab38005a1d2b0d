// Einsum against sums over all values of all letters; determinants against Leibniz' formula.
#include "leat/tensor/ops_einsum.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <numeric>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

struct Factor {
  std::string labels;
  Shape shape;
  Numbers values;
};

/// Every letter runs over its extent; extents of 1 stay at 0.
Numbers summed(const std::vector<Factor>& factors, const std::string& result) {
  std::map<char, int64_t> extents;
  for (const Factor& factor : factors) {
    for (size_t d = 0; d < factor.shape.size(); ++d) {
      int64_t& extent = extents[factor.labels[d]];
      extent = std::max(extent, factor.shape[d]);
    }
  }
  int64_t points = 1, size = 1;
  for (const auto& [label, extent] : extents) points *= extent;
  for (char label : result) size *= extents[label];
  Numbers out(static_cast<size_t>(size), 0);
  for (int64_t point = 0; point < points; ++point) {
    std::map<char, int64_t> at;
    int64_t rest = point;
    for (const auto& [label, extent] : extents) {
      at[label] = rest % extent;
      rest /= extent;
    }
    double product = 1;
    for (const Factor& factor : factors) {
      int64_t place = 0;
      for (size_t d = 0; d < factor.shape.size(); ++d) {
        place = place * factor.shape[d] + (factor.shape[d] == 1 ? 0 : at[factor.labels[d]]);
      }
      product *= factor.values[static_cast<size_t>(place)];
    }
    int64_t place = 0;
    for (char label : result) place = place * extents[label] + at[label];
    out[static_cast<size_t>(place)] += product;
  }
  return out;
}

/// `plain` is the equation without ellipses: letters of each operand, then of the result.
struct EinsumCase {
  std::string equation;
  std::vector<Shape> shapes;
  std::vector<std::string> plain;
};

TEST(Einsum, SumsOverNamedDimensions) {
  const EinsumCase cases[] = {
      {"ij,jk->ik", {{2, 3}, {3, 4}}, {"ij", "jk", "ik"}},
      {"ij , jk", {{2, 3}, {3, 4}}, {"ij", "jk", "ik"}},
      {"bij,bjk->bki", {{2, 3, 4}, {2, 4, 5}}, {"bij", "bjk", "bki"}},
      {"ii->i", {{3, 3}}, {"ii", "i"}},
      {"ii", {{3, 3}}, {"ii", ""}},
      {"iji->ji", {{3, 2, 3}}, {"iji", "ji"}},
      {"ij->ji", {{2, 3}}, {"ij", "ji"}},
      {"ba", {{2, 3}}, {"ba", "ab"}},
      {"i,j->ij", {{2}, {3}}, {"i", "j", "ij"}},
      {"ij,jk,kl->il", {{2, 3}, {3, 2}, {2, 4}}, {"ij", "jk", "kl", "il"}},
      {"ij,ik,il->jkl", {{4, 2}, {4, 3}, {4, 2}}, {"ij", "ik", "il", "jkl"}},
      {"ij,jk->k", {{2, 3}, {3, 4}}, {"ij", "jk", "k"}},
      {"...ij,jk->...ik", {{5, 2, 2, 3}, {3, 4}}, {"xyij", "jk", "xyik"}},
      {"...i,...i->...", {{4, 1, 3}, {2, 3}}, {"xyi", "yi", "xy"}},
      {"a...b->b...a", {{2, 3, 4, 5}}, {"axyb", "bxya"}},
      {"...ii->...", {{2, 3, 3}}, {"xii", "x"}},
      {"ij,ij->ij", {{2, 3}, {1, 3}}, {"ij", "ij", "ij"}},
      {",i->i", {{}, {3}}, {"", "i", "i"}},
  };
  for (const EinsumCase& test : cases) {
    SCOPED_TRACE(test.equation);
    Probe probe;
    std::vector<TensorId> inputs;
    std::vector<Factor> factors;
    for (size_t i = 0; i < test.shapes.size(); ++i) {
      const Numbers values = Probe::noise(test.shapes[i], static_cast<uint32_t>(i) + 3);
      inputs.push_back(probe.feed(test.shapes[i], values));
      factors.push_back({test.plain[i], test.shapes[i], values});
    }
    expect_close(probe.numbers(einsum(probe.graph, "", test.equation, inputs)),
                 summed(factors, test.plain.back()), kRounding);
  }
}

TEST(Einsum, ProductsAreOneNode) {
  Probe probe;
  const std::vector<TensorId> inputs = {probe.feed({2, 3}, Numbers(6)),
                                        probe.feed({3, 4}, Numbers(12))};
  ASSERT_TRUE(einsum(probe.graph, "", "ij,jk", inputs));
  EXPECT_EQ(probe.graph.nodes.size(), 1u);
}

/// As many operands as a file can name are a matter of a second, not of their square.
TEST(Einsum, OfManyOperands) {
  constexpr size_t kCount = 40'000;
  Probe probe;
  const TensorId x = probe.feed({2}, {1, -1});
  std::string equation = "a";
  for (size_t i = 1; i < kCount; ++i) equation += ",a";
  const std::vector<TensorId> inputs(kCount, x);
  const std::clock_t start = std::clock();
  const auto y = einsum(probe.graph, "", equation + "->a", inputs);
  // Some 0.4 s; what compares each with all others takes most of a minute.
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
  EXPECT_TRUE(y);
}

TEST(Einsum, WholeNumbersWrap) {
  Probe probe;
  const std::vector<TensorId> inputs = {probe.feed({2}, {100, 100}, DType::u8),
                                        probe.feed({2}, {2, 2}, DType::u8)};
  EXPECT_EQ(probe.numbers(einsum(probe.graph, "", "i,i", inputs)), (Numbers{144}));
}

TEST(Einsum, RefusesBadEquations) {
  Probe probe;
  const TensorId x = probe.feed({2, 3}, Numbers(6));
  const std::pair<std::string, std::string> bad[] = {
      {"ij,jk", "2 operands"}, {"i", "(2, 3)"},       {"ij1", "letters"},
      {"ij->k", "\"k\""},      {"ij->ii", "\"i\""},   {"ii", "(2 and 3)"},
      {"ijk", "(2, 3)"},       {"......", "letters"}, {"ij->i->j", "letters"},
  };
  for (const auto& [equation, part] : bad) {
    SCOPED_TRACE(equation);
    expect_error(einsum(probe.graph, "e", equation, std::vector{x}), part);
  }
  const TensorId truth = probe.feed({2}, {0, 1}, DType::boolean);
  expect_error(einsum(probe.graph, "e", "i", std::vector{truth}), "(bool)");
  expect_error(einsum(probe.graph, "e", "ij,ij", std::vector{x, truth}), "differ");
  expect_error(einsum(probe.graph, "e", "", {}), "(0)");
}

double leibniz(const Numbers& matrix, size_t rows) {
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  double sum = 0;
  do {
    double product = 1;
    for (size_t i = 0; i < rows; ++i) {
      product *= matrix[i * rows + order[i]];
      for (size_t j = 0; j < i; ++j) product *= order[j] > order[i] ? -1 : 1;
    }
    sum += product;
  } while (std::next_permutation(order.begin(), order.end()));
  return sum;
}

TEST(Det, OfOneToFiveRows) {
  for (int64_t rows = 1; rows <= 5; ++rows) {
    const Shape shape = {3, rows, rows};
    const Numbers x = Probe::noise(shape, static_cast<uint32_t>(rows) + 20);
    Numbers expected;
    for (ptrdiff_t i = 0; i < 3; ++i) {
      const auto first = x.begin() + i * rows * rows;
      expected.push_back(leibniz(Numbers(first, first + rows * rows), static_cast<size_t>(rows)));
    }
    Probe probe;
    // Products of a few thousand whose pivots are rounded to f32.
    expect_close(probe.numbers(det(probe.graph, "", probe.feed(shape, x))), expected, 1e-5);
  }
}

TEST(Det, ZerosAndRefusals) {
  Probe probe;
  const TensorId x = probe.feed({2, 2, 2}, {0, 1, 1, 0, 0, 0, 0, 5});
  expect_close(probe.numbers(det(probe.graph, "", x)), {-1, 0}, 0);
  expect_error(det(probe.graph, "d", probe.feed({2, 3}, Numbers(6))), "(2, 3)");
  expect_error(det(probe.graph, "d", probe.feed({2}, Numbers(2))), "(2)");
  expect_error(det(probe.graph, "d", probe.feed({65, 65}, Numbers(65 * 65))), "64 rows");
}

}  // namespace
}  // namespace leat::ops
