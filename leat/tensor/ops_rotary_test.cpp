// RotaryEmbedding against a plain computation, pair by pair.
#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr size_t kBatch = 2, kHeads = 3, kLength = 4, kHeadSize = 6, kRows = 5;

struct Case {
  bool packed = false;
  bool positions = false;
  RotaryOptions options;
};

size_t index_of(const Case& test, size_t n, size_t h, size_t s, size_t d) {
  return test.packed ? ((n * kLength + s) * kHeads + h) * kHeadSize + d
                     : ((n * kHeads + h) * kLength + s) * kHeadSize + d;
}

/// Places of the two elements of pair j.
std::pair<size_t, size_t> pair_of(const Case& test, size_t j, size_t half) {
  if (test.options.interleaved) return {2 * j, 2 * j + 1};
  return {j, j + half};
}

void expect_rotated(const Case& test) {
  const size_t half =
      test.options.rotated == 0 ? kHeadSize / 2 : static_cast<size_t>(test.options.rotated / 2);
  const int64_t pairs = static_cast<int64_t>(half);
  const Shape x_shape = test.packed ? Shape{kBatch, kLength, kHeads * kHeadSize}
                                    : Shape{kBatch, kHeads, kLength, kHeadSize};
  const Shape table = test.positions ? Shape{kRows, pairs} : Shape{kBatch, kLength, pairs};
  const Numbers x = Probe::noise(x_shape), c = Probe::noise(table, 2), s = Probe::noise(table, 3);
  const Numbers positions = {0, 4, 2, 2, 1, -1, 3, 0};
  Probe probe;
  const TensorId t = probe.feed(x_shape, x);
  RotaryTables tables = {.cosine = probe.feed(table, c), .sine = probe.feed(table, s)};
  if (test.positions) tables.positions = probe.feed({kBatch, kLength}, positions, DType::i64);
  Numbers expected = x;
  for (size_t i = 0; i < kBatch * kHeads * kLength * half; ++i) {
    const size_t j = i % half, place = i / half % kLength, h = i / half / kLength % kHeads;
    const size_t n = i / half / kLength / kHeads;
    const double given = positions[n * kLength + place];
    const size_t row = test.positions ? static_cast<size_t>(given < 0 ? given + kRows : given)
                                      : n * kLength + place;
    const double cosine = c[row * half + j], sine = s[row * half + j];
    const auto [real, imaginary] = pair_of(test, j, half);
    const size_t a = index_of(test, n, h, place, real), b = index_of(test, n, h, place, imaginary);
    expected[a] = cosine * x[a] - sine * x[b];
    expected[b] = sine * x[a] + cosine * x[b];
  }
  expect_close(probe.numbers(rotary_embedding(probe.graph, "y", t, tables, test.options)), expected,
               kRounding);
}

TEST(RotaryEmbedding, TurnsPairs) {
  for (bool packed : {false, true}) {
    for (bool positions : {false, true}) {
      for (int64_t rotated : {0, 4, 6}) {
        for (bool interleaved : {false, true}) {
          SCOPED_TRACE(testing::Message() << packed << positions << rotated << interleaved);
          expect_rotated({.packed = packed,
                          .positions = positions,
                          .options = {.heads = packed ? static_cast<int64_t>(kHeads) : 0,
                                      .rotated = rotated,
                                      .interleaved = interleaved}});
        }
      }
    }
  }
}

TEST(RotaryEmbedding, RefusesWhatDoesNotFit) {
  Probe probe;
  const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) {
    return probe.feed(shape, Numbers(static_cast<size_t>(element_count(shape))), dtype);
  };
  const TensorId x = zeros({1, 2, 6}), table = zeros({1, 2, 3}), rows = zeros({5, 3});
  const auto rotate = [&](TensorId input, const RotaryTables& tables, RotaryOptions options) {
    return rotary_embedding(probe.graph, "y", input, tables, options);
  };
  const RotaryTables tables = {.cosine = table, .sine = table};
  EXPECT_TRUE(rotate(x, tables, {.heads = 1}));
  expect_error(rotate(zeros({2, 6}), tables, {}), "(2, 6)");
  expect_error(rotate(x, tables, {}), "0 heads");
  expect_error(rotate(x, tables, {.heads = 4}), "(6)");
  expect_error(rotate(x, tables, {.heads = 2}), "(3)");
  expect_error(rotate(x, tables, {.heads = 1, .rotated = 8}), "(8)");
  expect_error(rotate(x, tables, {.heads = 1, .rotated = 4}), "2 pairs");
  expect_error(rotate(x, {.cosine = table, .sine = rows}, {.heads = 1}), "(5, 3)");
  const TensorId positions = zeros({1, 3}, DType::i64);
  expect_error(rotate(x, {.cosine = rows, .sine = rows, .positions = positions}, {.heads = 1}),
               "(1, 3)");
}

}  // namespace
}  // namespace leat::ops
