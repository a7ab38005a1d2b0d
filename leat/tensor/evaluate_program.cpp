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

void normalise(const Program& program, std::span<const HostTensor* const> inputs, HostTensor& y) {
  const HostTensor& x = *inputs[0];
  const Normalisation& options = program.normalisation;
  const Rows rows(x.shape, program.axis);
  const auto count = static_cast<double>(rows.length);
  for (int64_t row = 0; row < rows.count; ++row) {
    const auto flat = [&](int64_t at) { return rows.first(row) + at * rows.step; };
    double mean = 0, variance = 0;
    for (int64_t i = 0; options.centres && i < rows.length; ++i) mean += x.number(flat(i)) / count;
    for (int64_t i = 0; i < rows.length; ++i) {
      variance += (x.number(flat(i)) - mean) * (x.number(flat(i)) - mean) / count;
    }
    for (int64_t i = 0; i < rows.length; ++i) {
      const double normal = (x.number(flat(i)) - mean) / std::sqrt(variance + options.epsilon);
      const double bias = options.has_bias ? inputs[2]->number(i) : 0;
      y.set_number(flat(i), normal * inputs[1]->number(i) + bias);
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

double joined(ReduceOp op, double a, double b) {
  switch (op) {
    case ReduceOp::none: return b;
    case ReduceOp::sum: return a + b;
    case ReduceOp::product: return a * b;
    case ReduceOp::min: return std::isnan(a) || a < b ? a : b;
    case ReduceOp::max: return std::isnan(a) || a > b ? a : b;
    case ReduceOp::max_number: return std::isnan(b) || a > b ? a : b;
  }
  return b;
}

int64_t joined(ReduceOp op, int64_t a, int64_t b, bool has_sign) {
  const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  const bool is_less = has_sign ? a < b : x < y;
  switch (op) {
    case ReduceOp::none: return b;
    case ReduceOp::sum: return static_cast<int64_t>(x + y);
    case ReduceOp::product: return static_cast<int64_t>(x * y);
    case ReduceOp::min: return is_less ? a : b;
    case ReduceOp::max:
    case ReduceOp::max_number: return is_less ? b : a;
  }
  return b;
}

void scatter(const Program& program, const HostTensor& x, const HostTensor& places,
             const HostTensor& updates, HostTensor& y) {
  y.bytes = x.bytes;
  const std::vector<int64_t> strides = row_major_strides(x.shape);
  std::vector<int64_t> place_strides = row_major_strides(places.shape);
  for (size_t d = 0; d < places.shape.size(); ++d) {
    if (places.shape[d] == 1) place_strides[d] = 0;
  }
  const std::vector<int64_t> update_strides = row_major_strides(updates.shape);
  // Row-major order is the axis' order for each place.
  for (int64_t i = 0; i < element_count(updates.shape); ++i) {
    int64_t from = 0, to = 0;
    for (size_t d = 0; d < x.shape.size(); ++d) {
      const int64_t at = i / update_strides[d] % updates.shape[d];
      from += at * place_strides[d];
      if (d != program.axis) to += at * strides[d];
    }
    const int64_t place = places.integer(from);
    if (place < 0 || place >= x.shape[program.axis]) continue;
    to += place * strides[program.axis];
    if (is_float(x.dtype)) {
      y.set_number(to, joined(program.updates, y.number(to), updates.number(i)));
    } else {
      y.set_integer(
          to, joined(program.updates, y.integer(to), updates.integer(i), x.dtype != DType::u64));
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
    case ProgramOp::normalise: return normalise(*node.program, inputs, *outputs[0]);
    case ProgramOp::softmax:
    case ProgramOp::log_softmax: return softmax(*node.program, *inputs[0], *outputs[0]);
    case ProgramOp::scatter:
      return scatter(*node.program, *inputs[0], *inputs[1], *inputs[2], *outputs[0]);
    case ProgramOp::recurrence:
      return evaluate_recurrence(node.program->recurrence, inputs, outputs);
    case ProgramOp::linear_attention:
      return evaluate_linear_attention(node.program->linear_attention, inputs, outputs);
    case ProgramOp::written: CHECK(false);  // evaluate_node has them
  }
}

}  // namespace leat
