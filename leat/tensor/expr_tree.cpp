// Building expression trees: types that follow from operands, operands that are constants or change
// nothing. Equal nodes are found by a search from the newest node back: trees have tens of nodes,
// and users mostly stand close to what they use.
#include "leat/tensor/expr.h"

#include <bit>
#include <optional>

#include "leat/base/check.h"
#include "leat/tensor/scalar_math.h"

namespace leat {
namespace {

struct ScalarOpInfo {
  std::string_view name;
  int operand_count;
  std::string_view types;
};

constexpr ScalarOpInfo kScalarOps[] = {
#define LEAT_SCALAR_OP(name, operands, types) {#name, operands, #types},
#include "leat/tensor/scalar_ops.def"
#undef LEAT_SCALAR_OP
};

const ScalarOpInfo& info_of(ScalarOp op) { return kScalarOps[static_cast<size_t>(op)]; }

/// Of to_f32 and its like.
std::optional<ScalarType> converted_type(ScalarOp op) {
  if (op == ScalarOp::to_f32) return ScalarType::f32;
  if (op == ScalarOp::to_i32) return ScalarType::i32;
  if (op == ScalarOp::to_i64) return ScalarType::i64;
  if (op == ScalarOp::to_u64) return ScalarType::u64;
  if (op == ScalarOp::to_f64) return ScalarType::f64;
  return std::nullopt;
}

ScalarType result_type(ScalarOp op, std::span<const ExprNode* const> operands) {
  const ScalarType first = operands[0]->type;
  const std::string_view types = info_of(op).types;
  if (op == ScalarOp::select) {
    CHECK(first == ScalarType::b1 && operands[1]->type == operands[2]->type);
    return operands[1]->type;
  }
  if (const auto converted = converted_type(op)) return *converted;
  if (op == ScalarOp::float_from_code || op == ScalarOp::code_from_float) {
    const bool decodes = op == ScalarOp::float_from_code;
    CHECK(first == (decodes ? ScalarType::i32 : ScalarType::f32));
    CHECK(operands[1]->kind == ExprKind::constant && operands[1]->type == ScalarType::i32);
    return decodes ? ScalarType::f32 : ScalarType::i32;
  }
  for (const ExprNode* operand : operands) CHECK(operand->type == first);
  if (types == "ff" || types == "fn") CHECK(is_float(first));
  if (types == "ii") CHECK(is_whole(first));
  if (types == "bb") CHECK(first == ScalarType::b1);
  if (types == "nn" || types == "nb") CHECK(first != ScalarType::b1);
  return types == "nb" ? ScalarType::b1 : first;
}

bool is_constant(const ExprNode& node, double value) {
  return node.kind == ExprKind::constant && node.number == value;
}

/// The operand that op(a, b) equals whatever its value is, or none.
std::optional<ExprId> identity_of(ScalarOp op, const ExprNode& a, ExprId id_a, const ExprNode& b,
                                  ExprId id_b) {
  const auto when = [](bool condition, ExprId id) {
    return condition ? std::optional(id) : std::nullopt;
  };
  if (op == ScalarOp::add) {
    return is_constant(a, 0) ? std::optional(id_b) : when(is_constant(b, 0), id_a);
  }
  if (op == ScalarOp::sub) return when(is_constant(b, 0), id_a);
  if (op == ScalarOp::mul) {
    if (is_whole(a.type) && is_constant(a, 0)) return id_a;
    if (is_whole(a.type) && is_constant(b, 0)) return id_b;
    return is_constant(a, 1) ? std::optional(id_b) : when(is_constant(b, 1), id_a);
  }
  if (op == ScalarOp::div) return when(is_constant(b, 1), id_a);
  if (op == ScalarOp::logical_and) {
    if (a.kind == ExprKind::constant) return a.number != 0 ? id_b : id_a;
    return when(b.kind == ExprKind::constant, b.number != 0 ? id_a : id_b);
  }
  if (op == ScalarOp::logical_or) {
    if (a.kind == ExprKind::constant) return a.number != 0 ? id_a : id_b;
    return when(b.kind == ExprKind::constant, b.number != 0 ? id_b : id_a);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(ScalarOp op) { return info_of(op).name; }

int operand_count_of(ScalarOp op) { return info_of(op).operand_count; }
bool is_function(ScalarOp op) { return info_of(op).types == "fn"; }

bool ExprNode::operator==(const ExprNode& other) const {
  return kind == other.kind && type == other.type && op == other.op && index == other.index &&
         std::bit_cast<uint64_t>(number) == std::bit_cast<uint64_t>(other.number) &&
         integer == other.integer && arguments == other.arguments && mask == other.mask &&
         indices == other.indices;
}

ExprId ExprTree::add(ExprNode node) {
  for (size_t i = nodes_.size(); i > 0; --i) {
    if (nodes_[i - 1] == node) return static_cast<ExprId>(i - 1);
  }
  nodes_.push_back(std::move(node));
  return static_cast<ExprId>(nodes_.size() - 1);
}

ExprId ExprTree::constant(double value) {
  return add({.kind = ExprKind::constant, .type = ScalarType::f32, .number = value});
}

ExprId ExprTree::constant_int(int64_t value) { return constant_whole(ScalarType::i32, value); }

ExprId ExprTree::constant_whole(ScalarType type, int64_t value) {
  const double number = type == ScalarType::u64 ? static_cast<double>(static_cast<uint64_t>(value))
                                                : static_cast<double>(value);
  return add({.kind = ExprKind::constant, .type = type, .number = number, .integer = value});
}

ExprId ExprTree::constant_bool(bool value) { return constant_whole(ScalarType::b1, value ? 1 : 0); }

ExprId ExprTree::constant_of(ScalarType type, double value) {
  if (is_float(type)) return add({.kind = ExprKind::constant, .type = type, .number = value});
  if (type == ScalarType::b1) return constant_bool(value != 0);
  return constant_whole(type, truncate_to(type, value));
}

ExprId ExprTree::axis(uint32_t index) {
  return add({.kind = ExprKind::axis, .type = ScalarType::i32, .index = index});
}

ExprId ExprTree::accumulator(ScalarType type) {
  return add({.kind = ExprKind::accumulator, .type = type});
}

ExprId ExprTree::load(uint32_t input, ScalarType type, std::vector<ExprId> indices, ExprId mask,
                      double fill) {
  ExprNode node = {.kind = ExprKind::load, .type = type, .index = input};
  if (mask != kNoExpr) {
    const ExprNode& filled = nodes_[constant_of(type, fill)];
    node.number = filled.number;
    node.integer = filled.integer;
  }
  return load_as(node, input, std::move(indices), mask);
}

ExprId ExprTree::load_as(const ExprNode& load, uint32_t input, std::vector<ExprId> indices,
                         ExprId mask) {
  for (ExprId index : indices) CHECK(nodes_[index].type == ScalarType::i32);
  ExprNode node = {.kind = ExprKind::load, .type = load.type, .index = input};
  if (mask != kNoExpr) {
    CHECK(nodes_[mask].type == ScalarType::b1);
    if (is_constant(nodes_[mask], 0)) return fill_of(load);
    if (!is_constant(nodes_[mask], 1)) {
      node.mask = mask;
      node.number = load.number;
      node.integer = load.integer;
    }
  }
  node.indices = std::move(indices);
  return add(std::move(node));
}

ExprId ExprTree::fill_of(const ExprNode& node) {
  return is_float(node.type) ? constant_of(node.type, node.number)
                             : constant_whole(node.type, node.integer);
}

ExprId ExprTree::apply(ScalarOp op, ExprId a, ExprId b, ExprId c) {
  const int count = operand_count_of(op);
  const std::array<ExprId, 3> ids = {a, count > 1 ? b : kNoExpr, count > 2 ? c : kNoExpr};
  std::array<const ExprNode*, 3> operands = {};
  std::array<ScalarValue, 3> values;
  bool all_constant = true;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    CHECK(ids[i] < nodes_.size());
    operands[i] = &nodes_[ids[i]];
    all_constant = all_constant && operands[i]->kind == ExprKind::constant;
    values[i] = {operands[i]->number, operands[i]->integer};
  }
  const ScalarType type = result_type(op, std::span(operands).first(static_cast<size_t>(count)));
  if (op == ScalarOp::select) {
    if (operands[0]->kind == ExprKind::constant) return operands[0]->number != 0 ? b : c;
    if (b == c) return b;
  }
  if (converted_type(op) == operands[0]->type) return a;
  if (all_constant) {
    const ScalarValue value = apply_scalar(op, operands[0]->type, values);
    return is_float(type) ? constant_of(type, value.number) : constant_whole(type, value.integer);
  }
  if (op == ScalarOp::rem && is_constant(*operands[1], 1)) return constant_whole(type, 0);
  if (count == 2) {
    if (const auto same = identity_of(op, *operands[0], a, *operands[1], b)) return *same;
  }
  return add({.kind = ExprKind::apply, .type = type, .op = op, .arguments = ids});
}

}  // namespace leat
