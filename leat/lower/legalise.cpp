// legalise: what a target lacks of memory and of instructions beyond arithmetic, out of what it
// has. Before it, a program may use everything but functions; after it, no matrix product,
// asynchronous copy, dot product or stored type that facts_of(target) lacks and that a pass can
// make good. What is left emit/supported.h refuses.
#include "leat/lower/passes.h"

namespace leat {

PassResult legalise(const ir::Program& program, const Target& target) {
  const TargetFacts facts = facts_of(target);
  TRY_ASSIGN(ir::Program result, expand_fragments(program, facts));
  result = expand_async_copy(result, facts);
  result = expand_dot(result, facts);
  result = expand_int64(result, facts);
  return std::optional(expand_storage(result, facts));
}

}  // namespace leat
