// ONNX operators on signals. Source: ONNX operator schemas HannWindow, HammingWindow,
// BlackmanWindow, MelWeightMatrix 17, DFT 17/20, STFT 17.
#include "leat/tensor/ops_signal.h"

#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

template <ops::SignalWindow kind>
Result<TensorId> import_window(OnnxNode& node) {
  const ops::SignalWindowOptions options = {
      .size = node.constant_integer(0, "size", 0),
      .periodic = node.flag("periodic", true),
      .dtype = node.element_type("output_datatype", DType::f32)};
  if (node.failure()) return *node.failure();
  return ops::signal_window(node.graph(), node.name(), kind, options);
}

Result<TensorId> import_mel(OnnxNode& node) {
  const ops::MelOptions options = {.bins = node.constant_integer(0, "num_mel_bins", 0),
                                   .dft_length = node.constant_integer(1, "dft_length", 0),
                                   .sample_rate = node.constant_integer(2, "sample_rate", 0),
                                   .lower_hertz = node.constant_number(3, "lower_edge_hertz", 0),
                                   .upper_hertz = node.constant_number(4, "upper_edge_hertz", 0),
                                   .dtype = node.element_type("output_datatype", DType::f32)};
  if (node.failure()) return *node.failure();
  return ops::mel_weight_matrix(node.graph(), node.name(), options);
}

Result<TensorId> import_dft(OnnxNode& node) {
  ops::DftOptions options;
  options.axis = node.opset() < 20 ? node.integer("axis", 1) : node.constant_integer(2, "axis", -2);
  if (node.has_input(1)) options.length = node.constant_integer(1, "dft_length", 0);
  options.inverse = node.flag("inverse", false);
  options.onesided = node.flag("onesided", false);
  if (node.failure()) return *node.failure();
  return ops::dft(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_stft(OnnxNode& node) {
  ops::StftOptions options;
  options.step = node.constant_integer(1, "frame_step", 0);
  if (node.has_input(3)) options.length = node.constant_integer(3, "frame_length", 0);
  options.onesided = node.flag("onesided", true);
  if (node.failure()) return *node.failure();
  TensorId signal = node.input(0);
  if (node.rank(0) == 2) {  // real numbers without a dimension of their own, as torch writes them
    TRY_ASSIGN(signal, ops::unsqueeze(node.graph(), node.name() + "/signal", signal, {2}));
  }
  return ops::stft(node.graph(), node.name(), signal, node.input(2), options);
}

constexpr OnnxOperator kOperators[] = {
    {"HannWindow", 17, 1, 1, 1, "float, int", import_window<ops::SignalWindow::hann>,
     "constant size"},
    {"HammingWindow", 17, 1, 1, 1, "float, int", import_window<ops::SignalWindow::hamming>,
     "constant size"},
    {"BlackmanWindow", 17, 1, 1, 1, "float, int", import_window<ops::SignalWindow::blackman>,
     "constant size"},
    {"MelWeightMatrix", 17, 5, 5, 1, "float, int", import_mel, "constant inputs"},
    {"DFT", 17, 1, 3, 1, "float", import_dft,
     "constant length and axis; long lengths of prime factors up to 1024", "", false, false, true},
    {"STFT", 17, 2, 4, 1, "float", import_stft, "constant step and length", "", false, false, true},
};

}  // namespace

std::span<const OnnxOperator> signal_operators() { return kOperators; }

}  // namespace leat::onnx_ops
