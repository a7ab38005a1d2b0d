// Layers that go along a sequence: RNN, GRU, LSTM and linear attention. The rules that all
// operators share stand in ops.h.
#pragma once

#include <string_view>
#include <vector>

#include "leat/tensor/graph.h"
#include "leat/tensor/program.h"

namespace leat::ops {

/// S steps of B batch elements with I inputs each, D directions, G gates (1, 3 or 4) of H hidden
/// units. Gates stand in the order of ONNX: z r h, and i o f c. With batch_first B stands before S,
/// and before D in what is of the state.
struct RecurrentInputs {
  TensorId x = kNoTensor;          // (S, B, I)
  TensorId w = kNoTensor;          // (D, G * H, I)
  TensorId r = kNoTensor;          // (D, G * H, H)
  TensorId bias = kNoTensor;       // (D, 2 * G * H): of w, then of r
  TensorId lengths = kNoTensor;    // (B) i32: steps of each batch element
  TensorId initial_h = kNoTensor;  // (D, B, H); left out: zeros
  TensorId initial_c = kNoTensor;  // lstm: the same
  TensorId peepholes = kNoTensor;  // lstm: (D, 3 * H), of input, output and forget gate
};

enum class RecurrentDirection : uint8_t { forward, reverse, bidirectional };

struct RecurrentOptions {
  CellKind cell = CellKind::rnn;
  RecurrentDirection direction = RecurrentDirection::forward;
  bool batch_first = false;
  bool linear_before_reset = false;  // gru
  bool input_forget = false;         // lstm
  /// Above 0: bound of what goes into the activations of gates. ONNX says of all activations; ONNX
  /// Runtime leaves out that of an LSTM's cell, and models are trained for it.
  double clip = 0;
  /// 1, 2 or 3 for each direction, one after the other; empty: those of ONNX.
  std::vector<CellActivation> activations;
};

struct RecurrentResult {
  TensorId y = kNoTensor;    // (S, D, B, H), batch_first: (B, S, D, H); 0 behind a sequence's end
  TensorId y_h = kNoTensor;  // (D, B, H): the last hidden states, 0 of a sequence without steps
  TensorId y_c = kNoTensor;  // lstm: the last cells
};

/// The products with x are one product of matrices over all steps; the rest is one kernel whose
/// state stays in local memory, so that a target with too little of it refuses. A reverse direction
/// begins at the end of each batch element's own steps. Source: ONNX operator schemas RNN, GRU and
/// LSTM 7/14/22.
Result<RecurrentResult> recurrent(Graph& graph, std::string_view name,
                                  const RecurrentInputs& inputs, const RecurrentOptions& options);

struct LinearAttentionInputs {
  TensorId q = kNoTensor, k = kNoTensor, v = kNoTensor;
  TensorId past = kNoTensor, decay = kNoTensor, beta = kNoTensor;  // may be left out
};

struct LinearAttentionResult {
  TensorId y = kNoTensor;
  TensorId present = kNoTensor;
};

/// Shapes and meaning stand at LinearAttention (program.h), whose heads, corrects and scale count
/// here; scale 0: 1 / sqrt(D). Source: ONNX operator schema LinearAttention 27.
Result<LinearAttentionResult> linear_attention(Graph& graph, std::string_view name,
                                               const LinearAttentionInputs& inputs,
                                               const LinearAttention& options);

}  // namespace leat::ops
