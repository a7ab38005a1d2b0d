// Programs: what a node computes that is no loops and expressions. Each has a wave program of its
// own, which lower/ writes for every target; evaluate_program is its meaning.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

struct HostTensor;

/// min and max of a NaN are NaN; max_number passes over it.
enum class ReduceOp : uint8_t { none, sum, product, min, max, max_number };

enum class ProgramOp : uint8_t {
  scan,          // one result: the running sums of input 0 along the axis
  scan_product,  // one: the running products
  top_k,  // two: the first elements of input 0 along the axis in descending (ascending) order, the
          // lower position first among equals and NaN as the largest, and their positions
  softmax,      // one: exp(x - max) / sum of those, along the axis
  log_softmax,  // one: x - max - log(sum of exp(x - max))
  normalise,    // one: see Normalisation
  scatter,      // one: input 0, and then, in the order of the axis, each element of input 2 at the
                // place along the axis that input 1 (i32) has for it; no place outside is written.
                // Input 2 is no larger than input 0 besides the axis; input 1 has its extents or 1
  recurrence,   // two: see Recurrence
  linear_attention,  // two: see LinearAttention
  written,           // see WrittenKernel
};

/// When the lanes of a wave work on one row along the axis together, rather than on one each.
enum class RowSharing : uint8_t {
  few_rows,      // rows do not keep every lane of the target busy
  side_by_side,  // or the elements of a row lie side by side
  always
};

/// What the stages have to know of a program besides its meaning.
struct ProgramFacts {
  std::string_view name;
  size_t results = 1;
  RowSharing sharing = RowSharing::few_rows;
  /// Its results are no rows of input 0.
  bool is_recurrent = false;
};
ProgramFacts facts_of(ProgramOp op);

enum class CellKind : uint8_t { rnn, gru, lstm };

enum class CellFunction : uint8_t {
  tanh,
  sigmoid,
  relu,
  affine,            // alpha * x + beta
  leaky_relu,        // alpha: slope below 0
  thresholded_relu,  // alpha: threshold, which is kept
  scaled_tanh,       // alpha * tanh(beta * x)
  hard_sigmoid,      // max(0, min(1, alpha * x + beta))
  elu,               // alpha
  softsign,
  softplus,
};

struct CellActivation {
  CellFunction function = CellFunction::tanh;
  double alpha = 0;
  double beta = 0;
  bool operator==(const CellActivation&) const = default;
};

/// A recurrent layer of S steps, B batch elements, D directions, G gates (rnn 1, gru 3, lstm 4) and
/// H hidden units, whose products with the inputs are there already. Inputs:
///   gates    (S, B, D, G * H): what each step adds to the gates
///   weights  (D, blocks, H, G, 16): of 16 units that are written, for each that is read, one after
///            the other as they are multiplied; 0 for units behind the last
///   initial  (N, D, B, H), if has_initial: hidden state and, of an lstm (N = 2), cell; else zeros
///   extra    (D, 3, H), if has_extra, of an lstm: peepholes of input, output and forget gate;
///            (D, 1, H) of a gru: what is added to the hidden gate's product before the reset
///   lengths  (B) i32, if has_lengths: steps of each; behind them, and without any, results are 0
/// Results: the hidden states (S, D, B, H), and the last states, as `initial`. With batch_first B
/// stands before S and before D there and in `initial`. Gates stand in the order of ONNX: i o f c,
/// and z r h.
struct Recurrence {
  CellKind cell = CellKind::rnn;
  bool batch_first = false;
  bool has_initial = false;
  bool has_extra = false;
  bool has_lengths = false;
  bool is_reverse = false;  // of one direction; of two the second is
  bool linear_before_reset = false;
  bool input_forget = false;  // lstm: the forget gate is 1 - input gate
  double clip = 0;            // above 0: bound of what goes into f and g
  /// By direction; of an rnn the first, of a gru the first two: ONNX' f, g and h.
  std::array<std::array<CellActivation, 3>, 2> activations = {};
  bool operator==(const Recurrence&) const = default;
};

/// What is kept of keys and values is a state of (D, Dv) for each of B batch elements and K heads,
/// which changes at each of T steps:
///   state = exp(decay) * state + outer(key, beta * (value - key' exp(decay) * state))
///   y = scale * query' state
/// without `- key' ...` unless corrects, and without decay or beta where they are not there.
/// Inputs: query (B, T, Q * D), key (B, T, K * D), value (B, T, K * Dv), then, if they are there,
/// past (B, K, D, Dv), decay (B, T, K * D) or, one for a head, (B, T, K), beta (B, T, K) or (B, T,
/// 1). Results: y (B, T, Q * Dv), present (B, K, D, Dv). Q / K query heads share a state.
struct LinearAttention {
  int64_t q_heads = 1;
  int64_t kv_heads = 1;
  bool corrects = false;
  bool has_past = false;
  bool has_decay = false;
  bool has_beta = false;
  double scale = 1;
  bool operator==(const LinearAttention&) const = default;
};

/// Rows along the last axis with a mean of 0 and a variance of 1, times input 1 and, if has_bias,
/// plus input 2, which have an element for each position of a row:
///   y = (x - mean) / sqrt(mean of (x - mean)^2 + epsilon) * scale + bias
/// where the mean is 0 unless it centres.
struct Normalisation {
  bool centres = true;
  bool has_bias = false;
  double epsilon = 0;
  bool operator==(const Normalisation&) const = default;
};

/// A kernel that somebody wrote (docs/kernels.md). The parameters that it only reads are the node's
/// inputs in their order, those that it writes its results. Nothing is known of it but this.
struct WrittenKernel {
  /// A whole launch in text form, which touches no memory but its arguments, whatever they hold;
  /// each parameter has as many elements as its tensor, and is stored as its dtype says.
  std::string text;
  /// Of each result: what the kernel does not write is 0, as is what it finds there.
  std::vector<bool> starts_at_zero;
  double flop = 0;  // of a launch, where that is known
  /// Its meaning; outputs are zeros before. Errors: those of the interpreter.
  std::function<Result<void>(std::span<const HostTensor* const> inputs,
                             std::span<HostTensor* const> outputs)>
      interpret;
};

struct Program {
  ProgramOp op = ProgramOp::scan;
  size_t axis = 0;
  bool exclusive = false;             // scans: without the element itself
  bool reverse = false;               // scans: from the end
  bool ascending = false;             // top_k
  ReduceOp updates = ReduceOp::none;  // scatter: how an element joins what is at its place
  Recurrence recurrence = {};
  LinearAttention linear_attention = {};
  Normalisation normalisation = {};
  std::shared_ptr<const WrittenKernel> kernel = nullptr;  // written
  bool operator==(const Program&) const = default;
};

}  // namespace leat
