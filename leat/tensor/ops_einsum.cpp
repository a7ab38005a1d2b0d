// See ops_einsum.h. Dimensions that an ellipsis stands for become labels of their own, digits
// counted from the right, so that all that follows knows labels only.
#include "leat/tensor/ops_einsum.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

/// Of an ellipsis: what ten digits name.
constexpr size_t kEllipsisMax = 10;

struct Operand {
  TensorId tensor = kNoTensor;
  std::string labels;  // one a dimension; may repeat
};

struct Sum {
  std::vector<Operand> operands;
  std::string result;
  std::map<char, int64_t> extents;  // 1 only where all are
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// "ab...c" with an ellipsis of `count` dimensions: "ab10c".
Result<std::string> labels_of(const Place& place, std::string_view term, size_t count) {
  std::string labels;
  bool has_ellipsis = false;
  for (size_t i = 0; i < term.size(); ++i) {
    if (is_letter(term[i])) {
      labels += term[i];
    } else if (term.substr(i, 3) == "..." && !has_ellipsis) {
      has_ellipsis = true;
      for (size_t d = count; d > 0; --d) labels += static_cast<char>('0' + d - 1);
      i += 2;
    } else {
      return place.error(
          fmt::format("The part \"{}\" of the equation is not letters and at most "
                      "one ellipsis.",
                      term));
    }
  }
  return labels;
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Result<Operand> operand_of(const Graph& graph, const Place& place, TensorId tensor,
                           const std::string& term) {
  const size_t rank = shape_of(graph, tensor).size();
  const bool has_ellipsis = term.find('.') != std::string::npos;
  const size_t letters = static_cast<size_t>(std::ranges::count_if(term, is_letter));
  const size_t rest = rank - std::min(rank, letters);
  if (letters > rank || (rest > 0 && !has_ellipsis) || rest > kEllipsisMax) {
    return place.error(fmt::format("The part \"{}\" of the equation does not fit the shape {}.",
                                   term, to_string(shape_of(graph, tensor))));
  }
  TRY_ASSIGN(std::string labels, labels_of(place, term, rest));
  return Operand{tensor, std::move(labels)};
}

Result<void> note_extents(const Graph& graph, const Place& place, Sum& sum) {
  for (const Operand& operand : sum.operands) {
    const Shape& shape = shape_of(graph, operand.tensor);
    for (size_t d = 0; d < shape.size(); ++d) {
      int64_t& extent = sum.extents.try_emplace(operand.labels[d], 1).first->second;
      if (shape[d] == 1) continue;
      if (extent != 1 && extent != shape[d]) {
        return place.error(fmt::format("The extents ({} and {}) of the dimension \"{}\" differ.",
                                       extent, shape[d], operand.labels[d]));
      }
      extent = shape[d];
    }
  }
  return {};
}

/// The result's labels where the equation has none: the ellipsis, then what occurs once, sorted.
std::string implied_result(const Sum& sum) {
  std::string all, result;
  for (const Operand& operand : sum.operands) all += operand.labels;
  for (const auto& [label, extent] : sum.extents) {
    if (!is_letter(label)) result.insert(result.begin(), label);
    if (is_letter(label) && std::ranges::count(all, label) == 1) result += label;
  }
  return result;
}

Result<void> read_result(const Place& place, std::string_view given, Sum& sum) {
  size_t ellipsis = 0;
  for (const auto& [label, extent] : sum.extents) ellipsis += is_letter(label) ? 0 : 1;
  TRY_ASSIGN(sum.result, labels_of(place, given, ellipsis));
  for (char label : sum.result) {
    if (sum.extents.contains(label) && std::ranges::count(sum.result, label) == 1) continue;
    return place.error(
        fmt::format("The result \"{}\" names the dimension \"{}\", which no operand "
                    "has, or names it twice.",
                    given, label));
  }
  return {};
}

Result<Sum> read_equation(const Graph& graph, const Place& place, std::string_view equation,
                          std::span<const TensorId> inputs) {
  std::string text;
  std::ranges::copy_if(equation, std::back_inserter(text), [](char c) { return c != ' '; });
  const size_t arrow = text.find("->");
  const std::vector<std::string> terms = split_at_commas(text.substr(0, arrow));
  if (terms.size() != inputs.size()) {
    return place.error(fmt::format("The equation \"{}\" has {} operands instead of {}.", equation,
                                   terms.size(), inputs.size()));
  }
  Sum sum;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TRY_ASSIGN(Operand operand, operand_of(graph, place, inputs[i], terms[i]));
    sum.operands.push_back(std::move(operand));
  }
  TRY(note_extents(graph, place, sum));
  if (arrow == std::string::npos) {
    sum.result = implied_result(sum);
  } else {
    TRY(read_result(place, std::string_view(text).substr(arrow + 2), sum));
  }
  return sum;
}

/// The distinct labels of `from`, in order.
std::string distinct(std::string_view from) {
  std::string labels;
  for (char label : from) {
    if (labels.find(label) == std::string::npos) labels += label;
  }
  return labels;
}

Shape extents_of(const Sum& sum, std::string_view labels) {
  Shape shape;
  for (char label : labels) shape.push_back(sum.extents.at(label));
  return shape;
}

Term load_at(const Graph& graph, NodeWriter& writer, const Operand& operand,
             const std::map<char, Term>& axes) {
  const Shape& shape = shape_of(graph, operand.tensor);
  std::vector<Term> index;
  for (size_t d = 0; d < shape.size(); ++d) {
    index.push_back(shape[d] == 1 ? writer.integer(0) : axes.at(operand.labels[d]));
  }
  return writer.load(operand.tensor, index);
}

/// One node: the product of one or two operands at the labels `kept`, summed over their others. Its
/// axes are, as those of a matrix product, what both have, what the first has, what the second has.
Result<Operand> write_product(Graph& graph, const Place& place, const std::string& suffix,
                              const Sum& sum, std::span<const Operand> factors,
                              const std::string& kept) {
  const auto has = [&](size_t factor, char label) {
    return factor < factors.size() && factors[factor].labels.find(label) != std::string::npos;
  };
  std::string outer = kept, summed;
  std::ranges::stable_sort(outer, {},
                           [&](char label) { return has(0, label) ? (has(1, label) ? 0 : 1) : 2; });
  std::string all;
  for (const Operand& factor : factors) all += factor.labels;
  for (char label : distinct(all)) {
    if (kept.find(label) == std::string::npos) summed += label;
  }
  NodeWriter writer(graph, place, suffix);
  std::map<char, Term> axes;
  for (char label : outer + summed) axes.emplace(label, writer.axis(axes.size()));
  Term element = load_at(graph, writer, factors[0], axes);
  if (factors.size() == 2) element = element * load_at(graph, writer, factors[1], axes);
  Loops loops = {.extents = extents_of(sum, outer), .index = {}};
  for (char label : kept) loops.index.push_back(axes.at(label));
  const DType dtype = dtype_of(graph, factors[0].tensor);
  const Shape shape = extents_of(sum, kept);
  TRY(require_shape(place, shape));
  Operand product = {.labels = kept};
  if (summed.empty()) {
    product.tensor = graph.add_tensor(place.name + suffix, dtype, shape);
    TRY(writer.map_into(product.tensor, loops, wrap_to(element, dtype)));
    return product;
  }
  const Term value = wrap_to(writer.accumulator(element.type()), dtype);
  TRY_ASSIGN(
      product.tensor,
      writer.reduce(dtype, shape, loops, {ReduceOp::sum, extents_of(sum, summed), element}, value));
  return product;
}

/// How many of the operands that are not multiplied yet have a label.
class LabelCounts {
 public:
  explicit LabelCounts(const Sum& sum) : result_(sum.result) {
    for (const Operand& operand : sum.operands) add(operand);
  }
  void add(const Operand& operand) { count(operand, 1); }
  void remove(const Operand& operand) { count(operand, -1); }
  /// The labels of `from` that the result or one of those operands has.
  std::string needed(std::string_view from) const {
    std::string kept;
    for (char label : distinct(from)) {
      const auto found = counts_.find(label);
      const bool is_wanted = found != counts_.end() && found->second > 0;
      if (is_wanted || result_.find(label) != std::string::npos) kept += label;
    }
    return kept;
  }

 private:
  void count(const Operand& operand, int64_t step) {
    for (char label : distinct(operand.labels)) counts_[label] += step;
  }

  std::string result_;
  std::map<char, int64_t> counts_;
};

/// Sums over what no other operand and not the result has, before it is multiplied.
Result<void> sum_alone(Graph& graph, const Place& place, Sum& sum, LabelCounts& others) {
  for (size_t i = 0; i < sum.operands.size(); ++i) {
    Operand& operand = sum.operands[i];
    others.remove(operand);
    const std::string kept = others.needed(operand.labels);
    if (kept != distinct(operand.labels)) {
      TRY_ASSIGN(operand, write_product(graph, place, fmt::format("/sum_{}", i), sum,
                                        std::span(&operand, 1), kept));
    }
    others.add(operand);
  }
  return {};
}

}  // namespace

Result<TensorId> einsum(Graph& graph, std::string_view name, std::string_view equation,
                        std::span<const TensorId> inputs) {
  const Place place(graph, "Einsum", name);
  if (inputs.empty()) return place.error("The number of operands (0) is not positive.");
  for (TensorId input : inputs) {
    TRY(require_same_dtype(graph, place, inputs[0], input));
    const DType dtype = dtype_of(graph, input);
    if (is_float(dtype) || is_whole_number(dtype)) continue;
    return place.error(fmt::format("The dtype ({}) has no products.", name_of(dtype)));
  }
  TRY_ASSIGN(Sum sum, read_equation(graph, place, equation, inputs));
  LabelCounts others(sum);
  if (sum.operands.size() > 1) TRY(sum_alone(graph, place, sum, others));
  // Two are left for the last product: what was multiplied so far, and the last operand.
  std::vector<Operand> factors = {sum.operands[0]};
  others.remove(sum.operands[0]);
  for (size_t i = 1; i < sum.operands.size(); ++i) {
    factors.push_back(sum.operands[i]);
    others.remove(sum.operands[i]);
    if (i + 1 == sum.operands.size()) break;
    const std::string kept = others.needed(factors[0].labels + factors[1].labels);
    TRY_ASSIGN(Operand product,
               write_product(graph, place, fmt::format("/{}", i - 1), sum, factors, kept));
    factors = {std::move(product)};
  }
  TRY_ASSIGN(const Operand result, write_product(graph, place, "", sum, factors, sum.result));
  return result.tensor;
}

// --- Det
// ------------------------------------------------------------------------------------------

namespace {

struct Elimination {
  TensorId rest = kNoTensor;  // what is left of the matrices, f32 or f64
  TensorId det = kNoTensor;   // of the rows that are gone; none before the first
};

/// Takes the row with the largest first element away, and the first column by it.
Result<Elimination> eliminate(Graph& graph, const Place& place, const Elimination& before,
                              Shape batch) {
  const size_t rank = batch.size();
  const int64_t rows = shape_of(graph, before.rest).back();
  const std::string step = fmt::format("/{}", rows);
  const DType dtype = dtype_of(graph, before.rest);
  Shape column = batch;
  column.push_back(rows);
  NodeWriter sizes(graph, place, step + "/sizes");
  std::vector<Term> first = sizes.axes(rank + 1);
  first.push_back(sizes.integer(0));
  TRY_ASSIGN(const TensorId size, sizes.map(dtype, column, abs(sizes.load(before.rest, first))));
  TRY_ASSIGN(const TensorId largest,
             arg_max(graph, place.name + step + "/row", size, {.axis = -1, .keep_dims = false}));
  const auto at = [&](NodeWriter& writer, Term row, Term place_in_row) {
    std::vector<Term> index = writer.axes(rank);
    index.push_back(row);
    index.push_back(place_in_row);
    // The row is a position that another node found; it lies inside.
    return writer.load(before.rest, index, both(0 <= row, row < static_cast<double>(rows)));
  };
  const auto pivot_row = [&](NodeWriter& writer) {
    return convert(writer.load(largest, writer.axes(rank)), ScalarType::i32);
  };
  Elimination after;
  NodeWriter product(graph, place, rows == 1 ? "/product" : step + "/det");
  const Term row = pivot_row(product);
  const Term pivot = at(product, row, product.integer(0));
  const Term is_odd = equal(apply(ScalarOp::bit_and, row, 1.0), 1);
  Term det = select(is_odd, -pivot, pivot);
  if (before.det != kNoTensor) det = det * product.load(before.det, product.axes(rank));
  TRY_ASSIGN(after.det, product.map(dtype, batch, det));
  if (rows == 1) return after;
  NodeWriter writer(graph, place, step + "/rest");
  const Term gone = pivot_row(writer);
  const Term below = writer.axis(rank);
  const Term kept_row = select(gone <= below, below + 1, below);
  const Term next = writer.axis(rank + 1) + 1;
  const Term divisor = at(writer, gone, writer.integer(0));
  const Term factor = at(writer, kept_row, writer.integer(0)) / divisor;
  const Term share = select(equal(divisor, 0), 0, factor * at(writer, gone, next));
  batch.insert(batch.end(), {rows - 1, rows - 1});
  TRY_ASSIGN(after.rest, writer.map(dtype, batch, at(writer, kept_row, next) - share));
  return after;
}

}  // namespace

Result<TensorId> det(Graph& graph, std::string_view name, TensorId x) {
  const Place place(graph, "Det", name);
  TRY(require_float(graph, place, x));
  const DType dtype = dtype_of(graph, x);
  Shape batch = shape_of(graph, x);
  const int64_t rows = batch.size() < 2 ? 0 : batch.back();
  if (rows < 1 || rows > kDetRowsMax || batch[batch.size() - 2] != rows) {
    return place.error(fmt::format("The shape {} is not that of square matrices of 1 to {} rows.",
                                   to_string(batch), kDetRowsMax));
  }
  batch.resize(batch.size() - 2);
  Elimination state;
  TRY_ASSIGN(state.rest, cast(graph, place.name + "/wide", x, wide_dtype_of(dtype)));
  for (int64_t row = 0; row < rows; ++row) {
    TRY_ASSIGN(state, eliminate(graph, place, state, batch));
  }
  return cast(graph, place.name, state.det, dtype);
}

}  // namespace leat::ops
