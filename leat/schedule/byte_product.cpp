// See byte_product.h.
#include "leat/schedule/byte_product.h"

namespace leat {

namespace {

std::optional<ByteProduct::Factor> factor_of(const Schedule& schedule, const Node& node,
                                             const ContractionOperand& operand, DType wanted) {
  const Placement& placed = schedule.placements[node.inputs[operand.input]];
  const bool is_byte = placed.storage == DType::i8 || placed.storage == DType::u8;
  const auto shifted = shifted_factor(node, operand);
  if (!is_byte || placed.is_in_words() || !shifted) return std::nullopt;
  return ByteProduct::Factor{shifted->shift, placed.storage != wanted};
}

/// Whether s' or t' is 0 for certain; `offset` is what it is more than s or t.
bool is_zero(const Node& node, const ByteProduct::Factor& factor, int64_t offset) {
  const int64_t more = factor.turns ? offset : 0;
  if (factor.shift == kNoExpr) return more == 0;
  const ExprNode& shift = node.exprs.node(factor.shift);
  return shift.kind == ExprKind::constant && shift.integer == -more;
}

}  // namespace

std::optional<ByteProduct> byte_product(const Schedule& schedule, const Node& node,
                                        const Contraction& contraction) {
  if (contraction.type != ScalarType::i32) return std::nullopt;
  const auto a = factor_of(schedule, node, contraction.a, DType::u8);
  const auto b = factor_of(schedule, node, contraction.b, DType::i8);
  if (!a || !b) return std::nullopt;
  ByteProduct product = {.a = *a, .b = *b};
  product.sums_columns = !is_zero(node, *a, ByteProduct::kOffset);
  product.sums_rows = !is_zero(node, *b, -ByteProduct::kOffset);
  return product;
}

}  // namespace leat
