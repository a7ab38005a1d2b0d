// Fourier transforms against plain sums in double; windows and filters against their formulas.
#include "leat/tensor/ops_signal.h"

#include <cmath>
#include <complex>
#include <numbers>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

using Complex = std::complex<double>;
using Line = std::vector<Complex>;

Complex turned(double share, double sign) {
  const double angle = sign * 2 * std::numbers::pi * share;
  return {std::cos(angle), std::sin(angle)};
}

Line transformed(const Line& x, bool inverse) {
  const size_t length = x.size();
  Line out(length);
  for (size_t k = 0; k < length; ++k) {
    for (size_t n = 0; n < length; ++n) {
      const double share = static_cast<double>(k * n % length) / static_cast<double>(length);
      out[k] += x[n] * turned(share, inverse ? 1 : -1);
    }
    if (inverse) out[k] /= static_cast<double>(length);
  }
  return out;
}

/// Of (outer, points, inner, parts) one line, cut or filled with zeros.
Line line_of(const Numbers& x, const Shape& shape, size_t outer, size_t inner, size_t length) {
  const auto at = [&](size_t d) { return static_cast<size_t>(shape[d]); };
  Line line(length);
  for (size_t n = 0; n < std::min(length, at(1)); ++n) {
    const size_t first = ((outer * at(1) + n) * at(2) + inner) * at(3);
    line[n] = {x[first], at(3) == 2 ? x[first + 1] : 0};
  }
  return line;
}

struct DftCase {
  Shape shape;
  std::optional<int64_t> length;
  bool inverse = false;
  bool onesided = false;
};

/// What dft gives along axis 1.
Numbers expected_of(const Numbers& x, const DftCase& test) {
  const bool from_half = test.inverse && test.onesided;
  const int64_t extent = test.shape[1];
  const auto length =
      static_cast<size_t>(test.length.value_or(from_half ? 2 * extent - 2 : extent));
  const size_t rows = test.onesided && !test.inverse ? length / 2 + 1 : length;
  const size_t outers = static_cast<size_t>(test.shape[0]);
  const size_t inners = static_cast<size_t>(test.shape[2]), parts = from_half ? 1 : 2;
  Numbers out(outers * rows * inners * parts);
  for (size_t outer = 0; outer < outers; ++outer) {
    for (size_t inner = 0; inner < inners; ++inner) {
      Line line = line_of(x, test.shape, outer, inner, length);
      if (from_half) {
        for (size_t k = 0; k <= length / 2; ++k) {
          if (k == 0 || 2 * k == length) line[k] = line[k].real();
          if (k > 0) line[length - k] = std::conj(line[k]);
        }
      }
      const Line result = transformed(line, test.inverse);
      for (size_t k = 0; k < rows; ++k) {
        const size_t at = ((outer * rows + k) * inners + inner) * parts;
        out[at] = result[k].real();
        if (parts == 2) out[at + 1] = result[k].imag();
      }
    }
  }
  return out;
}

TEST(Dft, ShortAndLongOfAllKinds) {
  const DftCase cases[] = {
      {{2, 6, 3, 1}, {}},
      {{2, 7, 1, 2}, {}},
      {{1, 6, 2, 2}, {}, true},
      {{1, 6, 2, 1}, 8},                // padded
      {{1, 9, 2, 2}, 4, true},          // cut
      {{1, 9, 2, 1}, {}, false, true},  // half a spectrum
      {{1, 8, 2, 1}, 5, false, true},
      {{1, 6, 2, 2}, {}, true, true},  // and back
      {{1, 6, 2, 2}, 9, true, true},
      {{1, 3, 1, 2}, 12, true, true},  // lines that are not there
      {{1, 1, 1, 1}, 1},
      {{1, 1200, 2, 1}, {}},        // 30 * 40
      {{1, 2310, 1, 2}, {}, true},  // 42 * 55
      {{1, 1000, 1, 1}, 1100, false, true},
      {{1, 700, 1, 2}, 1400, true, true},
      {{1, 1200, 1, 2}, 1025, false},  // 25 * 41, cut
  };
  for (const DftCase& test : cases) {
    SCOPED_TRACE(to_string(test.shape));
    const Numbers x = Probe::noise(test.shape, 8);
    Probe probe;
    const auto y =
        dft(probe.graph, "", probe.feed(test.shape, x),
            {.axis = 1, .length = test.length, .inverse = test.inverse, .onesided = test.onesided});
    // Sums of up to 2,310 terms below 7 whose tables and steps are rounded to f32.
    expect_close(probe.numbers(y), expected_of(x, test), 2e-4);
  }
}

TEST(Dft, LongOnesAreChainsOfSmallTables) {
  Probe probe;
  ASSERT_TRUE(dft(probe.graph, "", probe.feed({1, 1 << 14, 1}, Numbers(1 << 14)), {.axis = 1}));
  for (const Tensor& tensor : probe.graph.tensors) {
    EXPECT_LE(element_count(tensor.shape), int64_t{4} << 14) << tensor.name;
  }
}

TEST(Dft, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 4, 2}, Numbers(8));
  expect_error(dft(probe.graph, "d", x, {.axis = 2}), "Axis (2)");
  expect_error(dft(probe.graph, "d", x, {.axis = 1, .onesided = true}), "real");
  expect_error(dft(probe.graph, "d", x, {.axis = 1, .length = 0}), "(0)");
  expect_error(dft(probe.graph, "d", x, {.axis = 1, .length = kDftMax + 1}), "1048577");
  expect_error(dft(probe.graph, "d", probe.feed({1, 4, 3}, Numbers(12)), {.axis = 1}), "(3)");
  const auto prime = dft(probe.graph, "d", x, {.axis = 1, .length = 1031});
  ASSERT_FALSE(prime);
  EXPECT_EQ(prime.error().kind(), ErrorKind::unsupported);
}

TEST(Stft, FramesOfASignal) {
  const Numbers signal = Probe::noise({2, 20, 1}, 6), window = {0.5, 1, 2, 1, 0.5, 0.25};
  for (bool onesided : {false, true}) {
    Probe probe;
    Numbers expected;
    for (size_t batch = 0; batch < 2; ++batch) {
      for (size_t frame = 0; frame < 4; ++frame) {
        Line line;
        for (size_t n = 0; n < 6; ++n) {
          line.emplace_back(signal[batch * 20 + frame * 4 + n] * window[n]);
        }
        const Line lines = transformed(line, false);
        for (size_t k = 0; k < (onesided ? 4u : 6u); ++k) {
          expected.insert(expected.end(), {lines[k].real(), lines[k].imag()});
        }
      }
    }
    const TensorId x = probe.feed({2, 20, 1}, signal);
    const auto y =
        stft(probe.graph, "", x, probe.feed({6}, window), {.step = 4, .onesided = onesided});
    expect_close(probe.numbers(y), expected, 1e-5);
    expect_error(stft(probe.graph, "s", x, kNoTensor, {.step = 0}), "0 apart");
    expect_error(stft(probe.graph, "s", x, kNoTensor, {.step = 1, .length = 21}), "21 points");
    expect_error(stft(probe.graph, "s", x, probe.feed({5}, Numbers(5)), {.step = 1, .length = 6}),
                 "(5)");
  }
}

TEST(SignalWindow, SumsOfCosines) {
  Probe probe;
  for (bool periodic : {true, false}) {
    const double period = periodic ? 6 : 5;
    Numbers hann, hamming, blackman;
    for (int i = 0; i < 6; ++i) {
      const double angle = 2 * std::numbers::pi * i / period;
      hann.push_back(0.5 - 0.5 * std::cos(angle));
      hamming.push_back(25.0 / 46 - 21.0 / 46 * std::cos(angle));
      blackman.push_back(0.42 - 0.5 * std::cos(angle) + 0.08 * std::cos(2 * angle));
    }
    const auto window = [&](SignalWindow kind) {
      return probe.numbers(signal_window(probe.graph, "", kind, {.size = 6, .periodic = periodic}));
    };
    expect_close(window(SignalWindow::hann), hann, kRounding);
    expect_close(window(SignalWindow::hamming), hamming, kRounding);
    expect_close(window(SignalWindow::blackman), blackman, kRounding);
  }
  const SignalWindowOptions single = {.size = 1, .periodic = false};
  EXPECT_EQ(probe.numbers(signal_window(probe.graph, "", SignalWindow::hann, single)), Numbers{1});
  expect_error(signal_window(probe.graph, "w", SignalWindow::hann, {.size = -1}), "-1");
  expect_error(
      signal_window(probe.graph, "w", SignalWindow::hann, {.size = 2, .dtype = DType::boolean}),
      "(bool)");
}

TEST(MelWeightMatrix, TrianglesBetweenLines) {
  Probe probe;
  const MelOptions options = {
      .bins = 3, .dft_length = 32, .sample_rate = 8000, .lower_hertz = 100, .upper_hertz = 3900};
  const Numbers got = probe.numbers(mel_weight_matrix(probe.graph, "", options));
  Numbers corners, expected(17 * 3, 0);
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  for (int i = 0; i < 5; ++i) {
    const double at = mel(100) + i * (mel(3900) - mel(100)) / 5;
    corners.push_back(std::floor(33 * (700 * (std::pow(10, at / 2595) - 1)) / 8000));
  }
  for (size_t bin = 0; bin < 3; ++bin) {
    for (size_t line = 0; line < 17; ++line) {
      const double at = static_cast<double>(line);
      double& value = expected[line * 3 + bin];
      const double low = corners[bin], centre = corners[bin + 1], high = corners[bin + 2];
      if (at >= low && at < centre) value = (at - low) / (centre - low);
      if (at >= centre && at < high) value = (high - at) / (high - centre);
    }
  }
  expect_close(got, expected, kRounding);
  expect_error(mel_weight_matrix(probe.graph, "m", {.bins = 0}), "0 bins");
  expect_error(mel_weight_matrix(probe.graph, "m", {.bins = 1 << 20}), "1048576 bins");
}

}  // namespace
}  // namespace leat::ops
