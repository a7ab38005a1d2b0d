// Expressions: what a kernel computes for one element, as a small DAG of scalar operations. They
// are the element and the values of a node, and they also say where a load reads, so that gather,
// resize, padding and views need nothing of their own.
//
// Types: f32 (also for f16 tensors; the host evaluator computes it as double), i32 (whole numbers
// of 32 bits and less, and all indices), b1 (boolean tensors and masks), i64 (also for u32 tensors,
// whose results wrap_to brings back), u64, f64. Whole numbers wrap at their width. div and rem
// truncate towards zero; the divisor of an index expression is a positive constant and its dividend
// is not negative.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leat {

using ExprId = uint32_t;
inline constexpr ExprId kNoExpr = 0xffffffffu;

enum class ScalarType : uint8_t { f32, i32, b1, i64, u64, f64 };

constexpr bool is_float(ScalarType type) {
  return type == ScalarType::f32 || type == ScalarType::f64;
}
/// i32, i64 or u64.
constexpr bool is_whole(ScalarType type) { return !is_float(type) && type != ScalarType::b1; }

enum class ScalarOp : uint8_t {
#define LEAT_SCALAR_OP(name, operands, types) name,
#include "leat/tensor/scalar_ops.def"
#undef LEAT_SCALAR_OP
};

std::string_view name_of(ScalarOp op);
int operand_count_of(ScalarOp op);
/// exp, log, tanh and their like: a sequence of many instructions on a device.
bool is_function(ScalarOp op);

enum class ExprKind : uint8_t {
  constant,     // number of a float, integer of the others
  axis,         // loop variable `index`, i32
  accumulator,  // what the node accumulated for this output element
  load,         // input `index` at the multi-index `indices`, one i32 expression per dimension
  apply,        // op on arguments
};

struct ExprNode {
  ExprKind kind = ExprKind::constant;
  ScalarType type = ScalarType::f32;
  ScalarOp op = ScalarOp::neg;
  uint32_t index = 0;
  double number = 0;    // constant; load: value where the mask is false
  int64_t integer = 0;  // the same of whole numbers and b1, exact; number is the nearest to it
  std::array<ExprId, 3> arguments = {kNoExpr, kNoExpr, kNoExpr};
  std::vector<ExprId> indices;  // load; logical coordinates, any layout
  ExprId mask = kNoExpr;        // load: b1, or none when always inside

  /// Tells 0 from -0 and finds NaN equal to itself.
  bool operator==(const ExprNode& other) const;
};

/// The expressions of one node. Equal nodes share an id; arguments stand before their users.
class ExprTree {
 public:
  ExprId constant(double value);                          // f32
  ExprId constant_int(int64_t value);                     // i32
  ExprId constant_whole(ScalarType type, int64_t value);  // i32, i64 or the bits of u64
  /// Of any type; whole numbers of the nearest that the type has, NaN 0.
  ExprId constant_of(ScalarType type, double value);
  ExprId constant_bool(bool value);
  ExprId axis(uint32_t index);
  ExprId accumulator(ScalarType type);
  /// Where `mask` is false the load touches no memory and gives `fill`.
  ExprId load(uint32_t input, ScalarType type, std::vector<ExprId> indices, ExprId mask = kNoExpr,
              double fill = 0);
  /// `load` with other indices, mask and input number: its type and fill are kept.
  ExprId load_as(const ExprNode& load, uint32_t input, std::vector<ExprId> indices, ExprId mask);
  /// A constant of the value of another tree's constant, or of a load where its mask is false.
  ExprId fill_of(const ExprNode& node);
  /// Folds constants and x+0, x*1, x*0 (i32), select of a constant.
  ExprId apply(ScalarOp op, ExprId a, ExprId b = kNoExpr, ExprId c = kNoExpr);

  const ExprNode& node(ExprId id) const { return nodes_[id]; }
  ScalarType type(ExprId id) const { return nodes_[id].type; }
  size_t size() const { return nodes_.size(); }
  bool operator==(const ExprTree&) const = default;

 private:
  ExprId add(ExprNode node);
  std::vector<ExprNode> nodes_;
};

/// How copy_expr replaces leaves of the source tree. What is empty, or kNoExpr, replaces nothing.
struct ExprSubstitution {
  std::vector<ExprId> axes;      // target expression for source axis i
  std::vector<uint32_t> inputs;  // target input number for source input i
  ExprId accumulator = kNoExpr;  // target expression for the accumulator
  ExprId mask = kNoExpr;         // condition of the target tree for every load that is copied
  bool f64_as_f32 = false;       // what is f64 becomes f32
  /// The target expression that stands for a load, whose indices and mask are copies already; or
  /// kNoExpr for a load that is copied as it is.
  std::function<ExprId(const ExprNode& load, const std::vector<ExprId>& indices, ExprId mask)> load;
};

/// Copies expression `id` of `source` into `target` under the substitution.
ExprId copy_expr(const ExprTree& source, ExprId id, ExprTree& target,
                 const ExprSubstitution& substitution);

/// "max(load0[a0, a1] + 0.5, 0)": for dumps and tests.
std::string to_string(const ExprTree& tree, ExprId id);

}  // namespace leat
