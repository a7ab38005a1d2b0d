// RotaryEmbedding: each pair of elements of a head is a point in the plane, turned by the angle of
// its place in the sequence. An axis of extent 2 runs over the pair, so that every load is affine
// whether the pairs lie side by side or half a head apart.
#include <fmt/format.h>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

struct Rotary {
  Shape x_shape;
  int64_t heads = 0;
  int64_t head_size = 0;
  int64_t half = 0;  // pairs that are turned
  bool interleaved = false;

  bool packed() const { return x_shape.size() == 3; }
  int64_t batch() const { return x_shape[0]; }
  int64_t length() const { return packed() ? x_shape[1] : x_shape[2]; }
  /// Outer loops in the order of memory: (batch, length, heads) or (batch, heads, length).
  Shape outer() const {
    return packed() ? Shape{batch(), length(), heads} : Shape{batch(), heads, length()};
  }
  Term place(NodeWriter& writer) const { return writer.axis(packed() ? 1 : 2); }
  /// x's coordinates of element `inside` of a head, whose head is an axis of outer().
  std::vector<Term> index(NodeWriter& writer, Term inside) const {
    std::vector<Term> at = writer.axes(packed() ? 2 : 3);
    const Term first = writer.axis(2) * static_cast<double>(head_size);
    at.push_back(packed() ? first + inside : inside);
    return at;
  }
};

Result<Rotary> resolve(const Place& place, const Shape& shape, const RotaryOptions& options) {
  Rotary rotary = {.x_shape = shape, .interleaved = options.interleaved};
  if (shape.size() != 3 && shape.size() != 4) {
    return place.error(
        fmt::format("The input's shape {} has neither 3 nor 4 dimensions.", to_string(shape)));
  }
  rotary.heads = rotary.packed() ? options.heads : shape[1];
  if (rotary.packed() &&
      (rotary.heads < 1 || rotary.heads > shape[2] || shape[2] % rotary.heads != 0)) {
    return place.error(fmt::format("The extent ({}) of axis 2 does not divide into {} heads.",
                                   shape[2], rotary.heads));
  }
  rotary.head_size = rotary.packed() ? shape[2] / rotary.heads : shape[3];
  const int64_t turned = options.rotated == 0 ? rotary.head_size : options.rotated;
  if (turned < 0 || turned > rotary.head_size || turned % 2 != 0) {
    return place.error(
        fmt::format("The number ({}) of elements to rotate is odd or outside 0 to "
                    "the head's size ({}).",
                    turned, rotary.head_size));
  }
  rotary.half = turned / 2;
  return rotary;
}

/// One row of the table (rows, half) or, without positions, (batch, length, half) for each place.
Result<TensorId> table_of(Graph& graph, const Place& place, const Rotary& rotary, TensorId table,
                          TensorId positions, std::string_view suffix) {
  const Shape shape = shape_of(graph, table);
  const bool fits = positions == kNoTensor
                        ? shape == Shape{rotary.batch(), rotary.length(), rotary.half}
                        : shape.size() == 2 && shape[1] == rotary.half;
  if (!fits) {
    return place.error(
        fmt::format("The table's shape {} does not fit the input's shape {} with {} "
                    "pairs to rotate.",
                    to_string(shape), to_string(rotary.x_shape), rotary.half));
  }
  if (positions == kNoTensor) return table;
  return gather(graph, place.name + std::string(suffix), table, positions);
}

Result<void> rotate_into(Graph& graph, const Place& place, const Rotary& rotary, TensorId x,
                         const RotaryTables& tables, TensorId output) {
  NodeWriter writer(graph, place, "/rotated");
  const Term pair = writer.axis(rotary.interleaved ? 3 : 4);
  const Term side = writer.axis(rotary.interleaved ? 4 : 3);
  const double pair_step = rotary.interleaved ? 2 : 1;
  const double side_step = rotary.interleaved ? 1 : static_cast<double>(rotary.half);
  const auto element = [&](Term of_side) {
    return rotary.index(writer, pair * pair_step + of_side * side_step);
  };
  Loops loops = {rotary.outer(), element(side)};
  loops.extents.push_back(rotary.interleaved ? rotary.half : 2);
  loops.extents.push_back(rotary.interleaved ? 2 : rotary.half);
  const std::vector<Term> row = {writer.axis(0), rotary.place(writer), pair};
  const Term sine = writer.load(tables.sine, row);
  const Term turned = writer.load(x, element(1 - side)) * select(equal(side, 0), -sine, sine);
  const Term cosine = writer.load(tables.cosine, row);
  return writer.map_into(output, loops, writer.load(x, loops.index) * cosine + turned);
}

/// The elements of each head behind the pairs; none as a rule.
Result<void> copy_rest_into(Graph& graph, const Place& place, const Rotary& rotary, TensorId x,
                            TensorId output) {
  NodeWriter writer(graph, place, "/rest");
  const double first = static_cast<double>(2 * rotary.half);
  Loops loops = {rotary.outer(), rotary.index(writer, writer.axis(3) + first)};
  loops.extents.push_back(rotary.head_size - 2 * rotary.half);
  return writer.map_into(output, loops, writer.load(x, loops.index));
}

}  // namespace

Result<TensorId> rotary_embedding(Graph& graph, std::string_view name, TensorId x,
                                  const RotaryTables& tables, const RotaryOptions& options) {
  const Place place(graph, "RotaryEmbedding", name);
  TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, x, tables.cosine));
  TRY(require_same_dtype(graph, place, x, tables.sine));
  TRY_ASSIGN(const Rotary rotary, resolve(place, shape_of(graph, x), options));
  const TensorId positions = tables.positions;
  if (positions != kNoTensor &&
      shape_of(graph, positions) != Shape{rotary.batch(), rotary.length()}) {
    return place.error(fmt::format("The positions' shape {} does not fit the input's shape {}.",
                                   to_string(shape_of(graph, positions)),
                                   to_string(rotary.x_shape)));
  }
  RotaryTables rows;
  TRY_ASSIGN(rows.cosine, table_of(graph, place, rotary, tables.cosine, positions, "/cosine"));
  TRY_ASSIGN(rows.sine, table_of(graph, place, rotary, tables.sine, positions, "/sine"));
  const TensorId output = graph.add_tensor(place.name, dtype_of(graph, x), rotary.x_shape);
  TRY(rotate_into(graph, place, rotary, x, rows, output));
  TRY(copy_rest_into(graph, place, rotary, x, output));
  return output;
}

}  // namespace leat::ops
