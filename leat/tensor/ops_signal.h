// Signals: windows, Fourier transforms, mel filters. Complex numbers are a last dimension of two:
// real, imaginary. Source: ONNX operator schemas HannWindow, HammingWindow, BlackmanWindow 17,
// MelWeightMatrix 17, DFT 17/20, STFT 17.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

enum class SignalWindow : uint8_t { hann, hamming, blackman };

struct SignalWindowOptions {
  int64_t size = 1;
  bool periodic = true;  // the first `size` points of a window of one more; a single one is 1
  DType dtype = DType::f32;
};

Result<TensorId> signal_window(Graph& graph, std::string_view name, SignalWindow kind,
                               const SignalWindowOptions& options);

struct MelOptions {
  int64_t bins = 1;
  int64_t dft_length = 1;
  int64_t sample_rate = 1;
  double lower_hertz = 0;
  double upper_hertz = 0;
  DType dtype = DType::f32;
};

/// (dft_length / 2 + 1, bins): triangles of height 1 whose corners lie evenly on the mel scale,
/// rounded down to the spectrum's lines.
Result<TensorId> mel_weight_matrix(Graph& graph, std::string_view name, const MelOptions& options);

/// Lengths up to kDftDirectMax are one product with a table; longer ones, up to kDftMax, are split
/// into factors of at most that.
inline constexpr int64_t kDftDirectMax = 1024;
inline constexpr int64_t kDftMax = 1 << 20;

struct DftOptions {
  int64_t axis = -2;              // not the last
  std::optional<int64_t> length;  // cuts or pads with zeros; else the extent
  bool inverse = false;
  /// Forward: a real x, of whose spectrum the lines 0 to length / 2. Inverse: x is such a
  /// spectrum, and the result, of 2 * (extent - 1) points without a length, is real.
  bool onesided = false;
};

/// x (..., 1) real or (..., 2) complex.
/// Errors: unsupported, for a long length with a prime factor above kDftDirectMax.
Result<TensorId> dft(Graph& graph, std::string_view name, TensorId x, const DftOptions& options);

struct StftOptions {
  int64_t step = 1;
  std::optional<int64_t> length;  // of a frame; else the window's, else the signal's
  bool onesided = true;
};

/// signal (batch, points, 1 or 2), window (length) or none: (batch, frames, lines, 2).
Result<TensorId> stft(Graph& graph, std::string_view name, TensorId signal, TensorId window,
                      const StftOptions& options);

}  // namespace leat::ops
