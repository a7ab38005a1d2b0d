// What the programs mean, in double and 64-bit integers.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "leat/base/check.h"
#include "leat/tensor/evaluate_recurrent.h"
#include "leat/tensor/graph.h"

namespace leat {
namespace {

/// The places of one row along the axis, in row-major order of a tensor of this shape.
struct Rows {
  Rows(const Shape& shape, size_t axis)
      : length(shape[axis]), step(row_major_strides(shape)[axis]) {
    count = length == 0 ? 0 : element_count(shape) / length;
  }
  int64_t first(int64_t row) const { return row / step * step * length + row % step; }

  int64_t length, step, count;
};

/// NaN if one is.
double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }

/// Sums or products, which wrap.
void scan(const Program& program, const HostTensor& x, HostTensor& y) {
  const Rows rows(x.shape, program.axis);
  const bool multiplies = program.op == ProgramOp::scan_product;
  for (int64_t row = 0; row < rows.count; ++row) {
    double number = multiplies ? 1 : 0;
    uint64_t integer = multiplies ? 1 : 0;
    for (int64_t i = 0; i < rows.length; ++i) {
      const int64_t at = program.reverse ? rows.length - 1 - i : i;
      const int64_t flat = rows.first(row) + at * rows.step;
      const double before = number;
      const uint64_t integer_before = integer;
      if (is_float(x.dtype)) {
        number = multiplies ? number * x.number(flat) : number + x.number(flat);
        y.set_number(flat, program.exclusive ? before : number);
      } else {
        const uint64_t element = static_cast<uint64_t>(x.integer(flat));
        integer = multiplies ? integer * element : integer + element;
        y.set_integer(flat, static_cast<int64_t>(program.exclusive ? integer_before : integer));
      }
    }
  }
}

void softmax(const Program& program, const HostTensor& x, HostTensor& y) {
  const Rows rows(x.shape, program.axis);
  for (int64_t row = 0; row < rows.count; ++row) {
    const auto flat = [&](int64_t at) { return rows.first(row) + at * rows.step; };
    double largest = -std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < rows.length; ++i) largest = larger(largest, x.number(flat(i)));
    double sum = 0;
    for (int64_t i = 0; i < rows.length; ++i) sum += std::exp(x.number(flat(i)) - largest);
    for (int64_t i = 0; i < rows.length; ++i) {
      const double above = x.number(flat(i)) - largest;
      const bool is_log = program.op == ProgramOp::log_softmax;
      y.set_number(flat(i), is_log ? above - std::log(sum) : std::exp(above) / sum);
    }
  }
}

/// Whether x[a] stands before x[b], of one row.
bool stands_before(const HostTensor& x, int64_t a, int64_t b, bool ascending) {
  if (!is_float(x.dtype)) {
    if (x.integer(a) == x.integer(b)) return a < b;
    const bool is_less = x.dtype == DType::u64 ? static_cast<uint64_t>(x.integer(a)) <
                                                     static_cast<uint64_t>(x.integer(b))
                                               : x.integer(a) < x.integer(b);
    return ascending == is_less;
  }
  const double left = x.number(a);
  const double right = x.number(b);
  if (std::isnan(left) != std::isnan(right)) return std::isnan(left) != ascending;
  if (left == right || std::isnan(left)) return a < b;
  return ascending == (left < right);
}

void top_k(const Program& program, const HostTensor& x, HostTensor& values, HostTensor& indices) {
  const Rows rows(x.shape, program.axis);
  const Rows outputs(values.shape, program.axis);
  std::vector<int64_t> order(static_cast<size_t>(rows.length));
  for (int64_t row = 0; row < rows.count; ++row) {
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto flat = [&](int64_t at) { return rows.first(row) + at * rows.step; };
    std::ranges::sort(order, [&](int64_t a, int64_t b) {
      return stands_before(x, flat(a), flat(b), program.ascending);
    });
    for (int64_t i = 0; i < outputs.length; ++i) {
      const int64_t from = order[static_cast<size_t>(i)];
      const int64_t to = outputs.first(row) + i * outputs.step;
      if (is_float(x.dtype)) values.set_number(to, x.number(flat(from)));
      if (!is_float(x.dtype)) values.set_integer(to, x.integer(flat(from)));
      indices.set_integer(to, from);
    }
  }
}

}  // namespace

void evaluate_program(const Node& node, std::span<const HostTensor* const> inputs,
                      std::span<HostTensor* const> outputs) {
  CHECK(node.program.has_value());
  switch (node.program->op) {
    case ProgramOp::scan:
    case ProgramOp::scan_product: return scan(*node.program, *inputs[0], *outputs[0]);
    case ProgramOp::top_k: return top_k(*node.program, *inputs[0], *outputs[0], *outputs[1]);
    case ProgramOp::softmax:
    case ProgramOp::log_softmax: return softmax(*node.program, *inputs[0], *outputs[0]);
    case ProgramOp::recurrence:
      return evaluate_recurrence(node.program->recurrence, inputs, outputs);
    case ProgramOp::linear_attention:
      return evaluate_linear_attention(node.program->linear_attention, inputs, outputs);
  }
}

}  // namespace leat
