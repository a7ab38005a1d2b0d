// Copying and printing of expression trees; expr_tree.cpp builds them.
#include "leat/tensor/expr.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/check.h"

namespace leat {

// --- Copying
// --------------------------------------------------------------------------------------

namespace {

/// Copies with a memory of what was copied, so that shared parts stay shared.
class ExprCopier {
 public:
  ExprCopier(const ExprTree& source, ExprTree& target, const ExprSubstitution& substitution)
      : source_(source),
        target_(target),
        substitution_(substitution),
        copies_(source.size(), kNoExpr) {}

  ExprId copy(ExprId id) {
    if (id == kNoExpr) return kNoExpr;
    if (copies_[id] == kNoExpr) copies_[id] = make(source_.node(id));
    return copies_[id];
  }

 private:
  ExprId make(const ExprNode& node) {
    switch (node.kind) {
      case ExprKind::constant: return target_.fill_of(typed(node));
      case ExprKind::axis:
        if (substitution_.axes.empty()) return target_.axis(node.index);
        CHECK(node.index < substitution_.axes.size());
        return substitution_.axes[node.index];
      case ExprKind::accumulator:
        if (substitution_.accumulator != kNoExpr) return substitution_.accumulator;
        return target_.accumulator(typed(node).type);
      case ExprKind::load: return load(node);
      case ExprKind::apply: {
        std::array<ExprId, 3> copies;
        for (size_t i = 0; i < 3; ++i) copies[i] = copy(node.arguments[i]);
        const bool narrows = substitution_.f64_as_f32 && node.op == ScalarOp::to_f64;
        return target_.apply(narrows ? ScalarOp::to_f32 : node.op, copies[0], copies[1], copies[2]);
      }
    }
    return kNoExpr;
  }

  ExprNode typed(const ExprNode& node) const {
    ExprNode typed = node;
    const bool narrows = substitution_.f64_as_f32 && node.type == ScalarType::f64;
    if (narrows) typed.type = ScalarType::f32;
    return typed;
  }

  ExprId load(const ExprNode& node) {
    std::vector<ExprId> indices;
    for (ExprId index : node.indices) indices.push_back(copy(index));
    ExprId mask = copy(node.mask);
    if (mask == kNoExpr) {
      mask = substitution_.mask;
    } else if (substitution_.mask != kNoExpr) {
      mask = target_.apply(ScalarOp::logical_and, mask, substitution_.mask);
    }
    if (substitution_.load) {
      const ExprId replaced = substitution_.load(node, indices, mask);
      if (replaced != kNoExpr) return replaced;
    }
    uint32_t input = node.index;
    if (!substitution_.inputs.empty()) {
      CHECK(input < substitution_.inputs.size());
      input = substitution_.inputs[input];
    }
    return target_.load_as(typed(node), input, std::move(indices), mask);
  }

  const ExprTree& source_;
  ExprTree& target_;
  const ExprSubstitution& substitution_;
  std::vector<ExprId> copies_;
};

// --- Printing ---

struct Infix {
  ScalarOp op;
  std::string_view sign;
};
constexpr Infix kInfixes[] = {
    {ScalarOp::add, "+"},          {ScalarOp::sub, "-"},          {ScalarOp::mul, "*"},
    {ScalarOp::div, "/"},          {ScalarOp::rem, "%"},          {ScalarOp::bit_and, "&"},
    {ScalarOp::bit_or, "|"},       {ScalarOp::bit_xor, "^"},      {ScalarOp::shift_left, "<<"},
    {ScalarOp::shift_right, ">>"}, {ScalarOp::less, "<"},         {ScalarOp::less_equal, "<="},
    {ScalarOp::equal, "=="},       {ScalarOp::logical_and, "&&"}, {ScalarOp::logical_or, "||"},
};

/// "" for what is written as a function.
std::string_view infix_of(ScalarOp op) {
  const auto* found = std::ranges::find(kInfixes, op, &Infix::op);
  return found == std::end(kInfixes) ? "" : found->sign;
}

std::string print(const ExprTree& tree, ExprId id, bool nested);

std::string print_list(const ExprTree& tree, std::span<const ExprId> ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    text += (i > 0 ? ", " : "") + print(tree, ids[i], false);
  }
  return text;
}

std::string print_apply(const ExprTree& tree, const ExprNode& node, bool nested) {
  const std::string_view infix = infix_of(node.op);
  if (infix.empty()) {
    const auto count = static_cast<size_t>(operand_count_of(node.op));
    return fmt::format("{}({})", name_of(node.op),
                       print_list(tree, std::span(node.arguments).first(count)));
  }
  const std::string text = fmt::format("{} {} {}", print(tree, node.arguments[0], true), infix,
                                       print(tree, node.arguments[1], true));
  return nested ? "(" + text + ")" : text;
}

std::string print_constant(const ExprNode& node) {
  if (node.type == ScalarType::b1) return node.number != 0 ? "true" : "false";
  if (node.type == ScalarType::u64) return fmt::format("{}", static_cast<uint64_t>(node.integer));
  return is_float(node.type) ? fmt::format("{}", node.number) : fmt::format("{}", node.integer);
}

std::string print(const ExprTree& tree, ExprId id, bool nested) {
  const ExprNode& node = tree.node(id);
  switch (node.kind) {
    case ExprKind::constant: return print_constant(node);
    case ExprKind::axis: return fmt::format("a{}", node.index);
    case ExprKind::accumulator: return "acc";
    case ExprKind::load: {
      std::string text = fmt::format("load{}[{}", node.index, print_list(tree, node.indices));
      if (node.mask != kNoExpr) {
        text += fmt::format(" if {} else {}", print(tree, node.mask, false), node.number);
      }
      return text + "]";
    }
    case ExprKind::apply: return print_apply(tree, node, nested);
  }
  return "";
}

}  // namespace

ExprId copy_expr(const ExprTree& source, ExprId id, ExprTree& target,
                 const ExprSubstitution& substitution) {
  CHECK(&source != &target);
  return ExprCopier(source, target, substitution).copy(id);
}

std::string to_string(const ExprTree& tree, ExprId id) { return print(tree, id, false); }

}  // namespace leat
