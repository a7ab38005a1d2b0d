// What classical models do to features, against values worked out beside.
#include "leat/tensor/ops_feature.h"

#include <cmath>
#include <functional>
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Features, BinarizeScaleNormalize) {
  Probe probe;
  const TensorId x = probe.feed({2, 3}, {1, -2, 2, 0, 0, 0});
  EXPECT_EQ(probe.numbers(binarize(probe.graph, "", x, 0.5)), (Numbers{1, 0, 1, 0, 0, 0}));
  const TensorId whole = probe.feed({3}, {0, 1, 2}, DType::i64);
  EXPECT_EQ(probe.numbers(binarize(probe.graph, "", whole, 1.5)), (Numbers{0, 0, 1}));
  EXPECT_EQ(probe.numbers(scale_features(probe.graph, "", x, {{1, 2, 3}, {2}})),
            (Numbers{0, -8, -2, -2, -4, -6}));
  EXPECT_EQ(probe.numbers(scale_features(probe.graph, "", whole, {})), (Numbers{0, 1, 2}));
  const auto normal = [&](RowNorm norm) {
    return probe.numbers(normalize_rows(probe.graph, "", x, norm));
  };
  expect_close(normal(RowNorm::max), {0.5, -1, 1, 0, 0, 0}, kRounding);
  expect_close(normal(RowNorm::l1), {0.2, -0.4, 0.4, 0, 0, 0}, kRounding);
  expect_close(normal(RowNorm::l2), {1.0 / 3, -2.0 / 3, 2.0 / 3, 0, 0, 0}, kRounding);
  expect_error(scale_features(probe.graph, "s", x, {{1, 2}, {1}}), "(2)");
  expect_error(binarize(probe.graph, "b", probe.feed({1}, {1}, DType::boolean), 0), "(bool)");
  expect_error(normalize_rows(probe.graph, "n", probe.feed({1, 1, 1}, {1}), RowNorm::l1),
               "(1, 1, 1)");
}

TEST(Features, Impute) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, {kNan, 1, 2, kNan});
  EXPECT_EQ(probe.numbers(impute(probe.graph, "", x, {kNan, {7, 8}})), (Numbers{7, 1, 2, 8}));
  const TensorId zeros = probe.feed({2, 2}, {0, 1, 2, 0});
  EXPECT_EQ(probe.numbers(impute(probe.graph, "", zeros, {0, {5}})), (Numbers{5, 1, 2, 5}));
  const TensorId whole = probe.feed({1, 2}, {-1, 3}, DType::i64);
  EXPECT_EQ(probe.numbers(impute_whole(probe.graph, "", whole, -1, {4, 9})), (Numbers{4, 3}));
  const TensorId narrow = probe.feed({1, 2}, {0, -1}, DType::i32);
  for (const int64_t shift : {0, 1}) {  // neither is an i32, though its low bits are
    const int64_t replaced = (int64_t{1} << 32) - shift;
    EXPECT_EQ(probe.numbers(impute_whole(probe.graph, "", narrow, replaced, {5})),
              (Numbers{0, -1}));
  }
  probe.expect_constants_fit();
  expect_error(impute_whole(probe.graph, "i", narrow, 0, {int64_t{1} << 32}), "(4294967296)");
  expect_error(impute(probe.graph, "i", zeros, {0, {}}), "(0)");
  expect_error(impute_whole(probe.graph, "i", whole, 0, {1, 2, 3}), "3 values");
}

TEST(Features, LabelsOfNumbers) {
  Probe probe;
  const LabelTable table = {.keys = host_tensor(DType::f32, {4}, {1, kNan, 3, 1}),
                            .values = host_tensor(DType::i16, {4}, {10, 20, 30, 40}),
                            .fallback = host_tensor(DType::i16, {1}, {-1})};
  const TensorId x = probe.feed({5}, {3, 1, kNan, 2, 3});
  const auto y = encode_labels(probe.graph, "", x, table);
  EXPECT_EQ(probe.numbers(y), (Numbers{30, 40, 20, -1, 30}));
  EXPECT_EQ(probe.dtype(*y), DType::i16);
  const TensorId whole = probe.feed({1}, {1}, DType::i64);
  expect_error(encode_labels(probe.graph, "l", whole, table), "i64");
}

TEST(Features, LinearModelsAndTheirScores) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, {1, 2, 3, -1}, DType::i64);
  expect_close(probe.numbers(linear_scores(
                   probe.graph, "", x,
                   {.targets = 2, .coefficients = {1, 1, 2, 0}, .intercepts = {0.5, -1}})),
               {3.5, 1, 2.5, 5}, kRounding);
  expect_error(linear_scores(probe.graph, "l", x, {.targets = 2, .coefficients = {1, 2, 3}}),
               "3 coefficients");
  const TensorId scores = probe.feed({2, 2}, {0, 1, 0, 0});
  const auto transformed = [&](ScoreTransform transform) {
    return probe.numbers(transform_scores(probe.graph, "", scores, transform));
  };
  const double e = std::exp(1);
  expect_close(transformed(ScoreTransform::none), {0, 1, 0, 0}, 0);
  expect_close(transformed(ScoreTransform::softmax), {1 / (1 + e), e / (1 + e), 0.5, 0.5},
               kRounding);
  expect_close(transformed(ScoreTransform::logistic), {0.5, e / (1 + e), 0.5, 0.5}, kRounding);
  expect_close(transformed(ScoreTransform::softmax_zero), {0, 1, 0.5, 0.5}, kRounding);
  // 0.975 of the normal distribution lies below 1.95996.
  const TensorId share = probe.feed({1, 3}, {0.5, 0.975, 0.025});
  expect_close(probe.numbers(transform_scores(probe.graph, "", share, ScoreTransform::probit)),
               {0, 1.95996, -1.95996}, 2e-3);
  const TensorId ends = probe.feed({1, 2}, {0, 1});
  const double infinity = std::numeric_limits<double>::infinity();
  expect_close(probe.numbers(transform_scores(probe.graph, "", ends, ScoreTransform::probit)),
               {-infinity, infinity}, 0);
}

TEST(Features, SvmRegression) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, {1, 2, 0, -1});
  const Numbers vectors = {1, 0, -1, 1}, coefficients = {2, -3};
  const auto kernel = [](SvmKernel kind, double a, double b, double c, double d) {
    const double product = a * c + b * d;
    if (kind == SvmKernel::poly) return std::pow(0.5 * product + 1, 2);
    if (kind == SvmKernel::rbf) return std::exp(-0.5 * (std::pow(a - c, 2) + std::pow(b - d, 2)));
    return kind == SvmKernel::linear ? product : std::tanh(0.5 * product + 1);
  };
  for (SvmKernel kind : {SvmKernel::linear, SvmKernel::poly, SvmKernel::rbf, SvmKernel::sigmoid}) {
    Numbers expected, signs;
    for (const auto& [a, b] : {std::pair{1.0, 2.0}, std::pair{0.0, -1.0}}) {
      expected.push_back(2 * kernel(kind, a, b, 1, 0) - 3 * kernel(kind, a, b, -1, 1) + 0.25);
      signs.push_back(expected.back() > 0 ? 1 : -1);
    }
    SvmOptions options = {.kernel = kind,
                          .gamma = 0.5,
                          .coef0 = 1,
                          .degree = 2,
                          .supports = 2,
                          .vectors = vectors,
                          .coefficients = coefficients,
                          .rho = 0.25};
    expect_close(probe.numbers(svm_regress(probe.graph, "", x, options)), expected, 1e-5);
    options.one_class = true;
    EXPECT_EQ(probe.numbers(svm_regress(probe.graph, "", x, options)), signs);
    options.supports = 3;
    expect_error(svm_regress(probe.graph, "s", x, options), "3 vectors");
  }
  const SvmOptions linear = {.coefficients = {1, 1}, .rho = 1};
  expect_close(probe.numbers(svm_regress(probe.graph, "", x, linear)), {4, 0}, kRounding);
}

/// How often `gram` occurs with that many tokens between its own.
double occurrences(const Numbers& row, const Ints& gram, int64_t skips) {
  double count = 0;
  for (size_t skip = 0; skip <= (gram.size() == 1 ? 0 : static_cast<size_t>(skips)); ++skip) {
    for (size_t first = 0; first + (gram.size() - 1) * (skip + 1) < row.size(); ++first) {
      bool is_it = true;
      for (size_t k = 0; k < gram.size(); ++k) {
        is_it = is_it && row[first + k * (skip + 1)] == static_cast<double>(gram[k]);
      }
      count += is_it ? 1 : 0;
    }
  }
  return count;
}

TEST(Grams, CountsAndWeights) {
  const Numbers rows = {1, 2, 1, 2, 3, 1, 2, 2, 2, 2, 1, 9};
  const std::vector<Ints> grams = {{1}, {3}, {1, 2}, {2, 2}, {1, 1, 3}};
  GramOptions options = {.shortest = 1,
                         .longest = 3,
                         .skips_max = 2,
                         .pool = {1, 3, 1, 2, 2, 2, 1, 1, 3},
                         .starts = {0, 2, 6},
                         .positions = {4, 0, 1, 6, 2},
                         .weights = {1, 2, 3, 4, 5}};
  for (GramWeight weight : {GramWeight::tf, GramWeight::idf, GramWeight::tfidf}) {
    options.weight = weight;
    Numbers expected(14, 0);
    for (size_t row = 0; row < 2; ++row) {
      const Numbers tokens(rows.begin() + static_cast<ptrdiff_t>(row * 6),
                           rows.begin() + static_cast<ptrdiff_t>(row * 6 + 6));
      for (size_t g = 0; g < grams.size(); ++g) {
        const double count = occurrences(tokens, grams[g], 2);
        const double w = options.weights[g];
        expected[row * 7 + static_cast<size_t>(options.positions[g])] =
            weight == GramWeight::tf ? count : w * (weight == GramWeight::idf ? count > 0 : count);
      }
    }
    Probe probe;
    for (DType dtype : {DType::i32, DType::i64}) {
      const TensorId x = probe.feed({2, 6}, rows, dtype);
      EXPECT_EQ(probe.numbers(count_grams(probe.graph, "", x, options)), expected);
    }
  }
}

TEST(Grams, TokensBeyondTheDTypeMatchNothing) {
  Probe probe;
  const TensorId x = probe.feed({3}, {1, 1, 2}, DType::i32);
  const GramOptions options = {
      .pool = {(int64_t{1} << 32) + 1, 2}, .starts = {0}, .positions = {0, 1}};
  EXPECT_EQ(probe.numbers(count_grams(probe.graph, "", x, options)), (Numbers{0, 1}));
}

TEST(Grams, RefusesBadPools) {
  Probe probe;
  const TensorId x = probe.feed({4}, Numbers(4), DType::i32);
  const GramOptions good = {.pool = {1, 2}, .starts = {0}, .positions = {0, 1}};
  EXPECT_EQ(probe.numbers(count_grams(probe.graph, "", x, good)), (Numbers{0, 0}));
  const auto refused = [&](const std::function<void(GramOptions&)>& spoil,
                           const std::string& part) {
    GramOptions bad = good;
    spoil(bad);
    expect_error(count_grams(probe.graph, "g", x, bad), part);
  };
  refused([](GramOptions& o) { o.positions = {0, 0}; }, "2 positions");
  refused([](GramOptions& o) { o.positions = {0, 1 << 20}; }, "2 positions");
  refused(
      [](GramOptions& o) {
        o.starts = {0, 1};
        o.positions = {0};
      },
      "from 1 to 2");
  refused([](GramOptions& o) { o.starts = {3}; }, "from 3 to 2");
  refused([](GramOptions& o) { o.weights = {1}; }, "1 weights");
  refused([](GramOptions& o) { o.longest = 0; }, "1 to 0");
  expect_error(count_grams(probe.graph, "g", probe.feed({4}, Numbers(4)), good), "f32");
}

}  // namespace
}  // namespace leat::ops
