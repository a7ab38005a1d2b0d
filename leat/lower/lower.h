// From a node of the schedule to a wave program, under the parameters that the schedule chose, for
// any Target; passes.h then prepares the program for that target's
// emitter.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/ir.h"
#include "leat/schedule/number.h"
#include "leat/schedule/plan.h"

namespace leat {

/// A kernel's program. It has no name of a node or tensor in it, so that equal nodes have equal
/// programs: it is called after the hash of its text.
struct LoweredKernel {
  ir::Program program;
  std::string text;  // of the program, as print_program gives it
  struct Stage {
    std::string_view name;  // "lower", then those of passes()
    std::string text;
  };
  std::vector<Stage> stages;  // when asked for
};

/// The tensors that the node's kernel takes, in the order of its parameters: each that it reads
/// once, then those that it writes, then the step's scratch.
std::vector<TensorId> arguments_of(const Node& node, std::span<const TensorId> scratch);

/// Lowers the node of `step`; `keep_stages` fills LoweredKernel::stages for `leat dump`.
/// Errors: unsupported (more buffers than the target binds, an index beyond 32 bits).
Result<LoweredKernel> lower(const Schedule& schedule, const Step& step, const Target& target,
                            bool keep_stages = false);

/// The program before the passes.
ir::Program lower_step(const Schedule& schedule, const Step& step, const Target& target);

/// A kernel for every step of the same structure whose numbers (step_key) differ only where `open`
/// says and for which no guard gives another answer. Its last argument is a buffer of i32: what
/// `formulas` gives for the numbers, for each of `words`; and `groups` is how many workgroups a
/// launch has along x.
struct OpenKernel {
  LoweredKernel lowered;
  Formulas formulas;
  std::vector<uint32_t> words;
  uint32_t groups = 0;
};
/// Whether the step has such a kernel: a product in parts of k has none, nor what somebody wrote.
bool can_be_open(const Schedule& schedule, const Step& step);
/// Errors: those of lower(); unsupported, where a launch has more workgroups than the target counts
/// along x.
Result<std::unique_ptr<OpenKernel>> lower_open(const Schedule& schedule, const Step& step,
                                               const Target& target, const std::vector<bool>& open);
/// What lower() refuses before it begins, which depends on sizes.
Result<void> check_kernel(const Schedule& schedule, const Step& step, const Target& target);

/// The order of a product's constant b operand in memory: all of a step and its parameters that
/// decides it, so that steps of the same order share the bytes.
struct PackedOrder {
  Affine address;  // of an element of the row-major constant, over batch, n, k in this order
  Shape batch, n, k;
  int64_t tile_n = 1;
  int64_t k_dot = 1;

  bool operator==(const PackedOrder&) const = default;
};

/// Of the step's product, which may be computed in parts of k; `shape` is the constant's.
PackedOrder packed_order(const Graph& graph, const Step& step, const Shape& shape);

/// Writes the constant in this order, as `storage`: element
/// ((batch * column_tiles + column_tile) * k_count + k) * tile_n + column.
void pack_weights(const PackedOrder& order, const HostTensor& value, DType storage,
                  std::span<std::byte> packed);

}  // namespace leat
