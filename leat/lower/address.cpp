// Linear forms and coordinates; see address.h.
#include "leat/lower/address.h"

namespace leat {

void LinearForm::add(int64_t coefficient, ir::ValueId value) {
  if (coefficient != 0) terms.emplace_back(coefficient, value);
}

bool LinearForm::divisible_by(int64_t divisor) const {
  if (constant % divisor != 0) return false;
  for (const auto& [coefficient, value] : terms) {
    if (coefficient % divisor != 0) return false;
  }
  return true;
}

ir::ValueId build(ir::Builder& builder, const LinearForm& form, int64_t divisor) {
  CHECK(form.divisible_by(divisor));
  // Uniform terms first: they stay one scalar chain that hoists out of loops.
  ir::ValueId sum = builder.i32(0);
  for (bool varying : {false, true}) {
    for (const auto& [coefficient, value] : form.terms) {
      if (builder.type(value).varying != varying) continue;
      sum = builder.add(sum, builder.mul(value, builder.i32(coefficient / divisor)));
    }
  }
  return builder.add(sum, builder.i32(form.constant / divisor));
}

std::vector<ir::ValueId> decompose(ir::Builder& builder, ir::ValueId flat, const Shape& extents) {
  std::vector<ir::ValueId> coordinates(extents.size());
  for (size_t i = extents.size(); i > 0; --i) {
    const int64_t extent = extents[i - 1];
    if (i == 1) {
      coordinates[0] = flat;
      break;
    }
    coordinates[i - 1] = builder.rem(flat, extent);
    flat = builder.div(flat, extent);
  }
  return coordinates;
}

namespace {

std::optional<Affine> combine(const Affine& a, const Affine& b, int64_t sign) {
  Affine sum = a;
  sum.constant += sign * b.constant;
  for (size_t i = 0; i < sum.coefficients.size(); ++i) {
    sum.coefficients[i] += sign * b.coefficients[i];
  }
  return sum;
}

bool is_constant(const Affine& a) {
  for (int64_t coefficient : a.coefficients) {
    if (coefficient != 0) return false;
  }
  return true;
}

std::optional<Affine> product(const Affine& a, const Affine& b) {
  if (!is_constant(a)) return is_constant(b) ? product(b, a) : std::nullopt;
  Affine scaled = b;
  scaled.constant *= a.constant;
  for (int64_t& coefficient : scaled.coefficients) coefficient *= a.constant;
  return scaled;
}

}  // namespace

std::optional<Affine> affine_of(const ExprTree& tree, ExprId id, size_t axis_count) {
  const ExprNode& node = tree.node(id);
  if (node.type != ScalarType::i32) return std::nullopt;
  Affine leaf{0, std::vector<int64_t>(axis_count, 0)};
  if (node.kind == ExprKind::constant) {
    leaf.constant = static_cast<int64_t>(node.number);
    return leaf;
  }
  if (node.kind == ExprKind::axis) {
    CHECK(node.index < axis_count);
    leaf.coefficients[node.index] = 1;
    return leaf;
  }
  if (node.kind != ExprKind::apply) return std::nullopt;
  if (node.op != ScalarOp::add && node.op != ScalarOp::sub && node.op != ScalarOp::mul) {
    return std::nullopt;
  }
  const std::optional<Affine> a = affine_of(tree, node.arguments[0], axis_count);
  const std::optional<Affine> b = affine_of(tree, node.arguments[1], axis_count);
  if (!a || !b) return std::nullopt;
  if (node.op == ScalarOp::mul) return product(*a, *b);
  return combine(*a, *b, node.op == ScalarOp::add ? 1 : -1);
}

Affine address_of(const std::vector<int64_t>& strides, const std::vector<Affine>& index) {
  CHECK(strides.size() == index.size());
  Affine address;
  for (size_t d = 0; d < index.size(); ++d) {
    address.coefficients.resize(index[d].coefficients.size(), 0);
    address.constant += strides[d] * index[d].constant;
    for (size_t i = 0; i < index[d].coefficients.size(); ++i) {
      address.coefficients[i] += strides[d] * index[d].coefficients[i];
    }
  }
  return address;
}

}  // namespace leat
