// An equality of shapes, put together from the types of a product's operands.
#include "leat/ir/matrix_shape.h"

#include <algorithm>

namespace leat::ir {

bool has_product(const Program& program, const Instruction& mma, const TargetFacts& facts) {
  const std::span<const ValueId> operands = program.operands_of(mma);
  const Fragment& a = program.values[operands[0]].fragment;
  const MatrixShape shape = {.a = a.element,
                             .b = program.values[operands[1]].fragment.element,
                             .sum = program.values[operands[2]].fragment.element,
                             .tf32 = a.tf32,
                             .m = a.m,
                             .n = a.n,
                             .k = a.k,
                             .waves = a.waves};
  return std::ranges::find(facts.matrix_shapes, shape) != facts.matrix_shapes.end();
}

bool has_fragment(const Fragment& fragment, const TargetFacts& facts) {
  return std::ranges::any_of(facts.matrix_shapes, [&](const MatrixShape& shape) {
    const DType element = fragment.role == Role::a   ? shape.a
                          : fragment.role == Role::b ? shape.b
                                                     : shape.sum;
    return element == fragment.element && shape.m == fragment.m && shape.n == fragment.n &&
           shape.k == fragment.k && shape.waves == fragment.waves &&
           (fragment.role == Role::sum || shape.tf32 == fragment.tf32);
  });
}

bool multiplies(DType element, const TargetFacts& facts) {
  return std::ranges::find(facts.matrix_shapes, element, &MatrixShape::a) !=
         facts.matrix_shapes.end();
}

bool has_dot(Opcode op, const TargetFacts& facts) {
  if (op == Opcode::dot_bf16) return facts.has_dot_bf16;
  return op == Opcode::dot_us ? facts.has_dot_us : facts.has_dot;
}

bool uses_fragments(const Program& program) {
  return std::ranges::any_of(program.values, &Type::is_fragment);
}

}  // namespace leat::ir
