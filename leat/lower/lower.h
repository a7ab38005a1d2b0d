// From a node of the schedule to a wave program. The two families are lowered here, under their
// schedule parameters, for any Target; passes.h then prepares the program for that target's
// emitter.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/ir.h"
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
/// once, then the one that it writes.
std::vector<TensorId> arguments_of(const Node& node);

/// Lowers the node of `step`; `keep_stages` fills LoweredKernel::stages for `leat dump`.
/// Errors: unsupported (more buffers than the target binds, an index beyond 32 bits).
Result<LoweredKernel> lower(const Schedule& schedule, const Step& step, const Target& target,
                            bool keep_stages = false);

/// The two families; used by lower().
ir::Program lower_contraction(const Schedule& schedule, const Node& node,
                              const ContractionParams& params, const Target& target);
ir::Program lower_map_reduce(const Schedule& schedule, const Node& node,
                             const MapReduceParams& params, const Target& target);

/// Writes constant `value` (b's tensor) into the packed order, as `storage` (f32 or f16):
/// element ((batch * column_tiles + column_tile) * k_count + k) * tile_n + column.
void pack_b(const Contraction& contraction, const ContractionParams& params,
            const HostTensor& value, DType storage, std::span<std::byte> packed);

}  // namespace leat
