// A step as the ways to lower it take it: as a product of matrices, as loops, as its program.
#pragma once

#include "leat/base/target.h"
#include "leat/lower/kernel_builder.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

/// What a step is lowered from. Of sizes only `numbers` may be asked: those of schedule and node
/// are of one shape.
struct StepSource {
  const Schedule& schedule;
  const Step& step;
  const Node& node;
  const NodeNumbers& numbers;
  const Target& target;
  const TakeNumber& take;        // for what is found in the node (ContractionNumbers)
  Formulas* formulas = nullptr;  // where numbers may be open
};

StepProgram lower_contraction(const StepSource& source);
StepProgram lower_map_reduce(const StepSource& source, const MapReduceParams& params);
StepProgram lower_program(const StepSource& source, const ProgramParams& params);
/// The program of a kernel that somebody wrote, whose parameters are the arguments of its step, as
/// they are stored. Errors: unsupported, when the target stores one in another way than the kernel
/// can take.
Result<ir::Program> written_program(const Schedule& schedule, const Node& node,
                                    const Target& target);
/// Bytes of local memory that the kernel of a node takes which goes along a sequence; of others 0.
uint64_t recurrent_local_bytes(const Schedule& schedule, const Node& node, const Target& target);

}  // namespace leat
