// The list of passes that replace what a target lacks. A program that uses nothing of it comes out
// as it went in.
#include "leat/lower/passes.h"

namespace leat {

Result<ir::Program> legalise(const ir::Program& program, const Target& target) {
  const TargetFacts facts = facts_of(target);
  TRY_ASSIGN(ir::Program result, expand_fragments(program, facts));
  result = expand_async_copy(result, facts);
  result = expand_dot(result, facts);
  return expand_storage(result, facts);
}

}  // namespace leat
