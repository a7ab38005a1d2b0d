// Packing of constant weights: column tiles one after the other, in each the k rows, in each row
// the tile's columns, so that the inner loop reads B as one forward stream of full vectors. Where
// several k are multiplied at once a row has as many as fit a word, side by side in each column.
#include <algorithm>
#include <cstring>

#include "leat/base/half.h"
#include "leat/lower/address.h"
#include "leat/lower/lower.h"
#include "leat/schedule/split_k.h"

namespace leat {

namespace {

constexpr int64_t kDotWordBytes = 4;

/// Walks all coordinates of `extents` in row-major order, calling visit(coordinates).
template <typename Visit>
void for_each_coordinate(const Shape& extents, Visit visit) {
  std::vector<int64_t> at(extents.size(), 0);
  const int64_t count = element_count(extents);
  for (int64_t i = 0; i < count; ++i) {
    visit(at);
    for (size_t d = extents.size(); d > 0; --d) {
      if (++at[d - 1] < extents[d - 1]) break;
      at[d - 1] = 0;
    }
  }
}

int64_t dot(const Affine& affine, size_t first, const std::vector<int64_t>& coordinates) {
  int64_t sum = 0;
  for (size_t i = 0; i < coordinates.size(); ++i) {
    sum += affine.coefficients[first + i] * coordinates[i];
  }
  return sum;
}

std::vector<int64_t> offsets_of(const Affine& address, size_t first, const Shape& extents) {
  std::vector<int64_t> offsets;
  for_each_coordinate(
      extents, [&](const std::vector<int64_t>& at) { offsets.push_back(dot(address, first, at)); });
  return offsets;
}

/// k of one column tile, each group of which is padded.
int64_t panel_ks_of(const PackedOrder& order) {
  const int64_t inner = order.k.empty() ? 1 : order.k.back();
  const int64_t padded = (inner + order.k_dot - 1) / order.k_dot * order.k_dot;
  return element_count(order.k) / std::max<int64_t>(inner, 1) * padded;
}

int64_t packed_elements_of(const PackedOrder& order) {
  const int64_t tiles = (element_count(order.n) + order.tile_n - 1) / order.tile_n;
  return element_count(order.batch) * tiles * panel_ks_of(order) * order.tile_n;
}

/// Writes element after element of what `read` gives for its place in the constant.
template <typename Word, typename Read>
void place_all(const PackedOrder& order, Word* packed, const Read& read) {
  const size_t n_first = order.batch.size();
  const size_t k_first = n_first + order.n.size();
  const std::vector<int64_t> batches = offsets_of(order.address, 0, order.batch);
  const std::vector<int64_t> columns = offsets_of(order.address, n_first, order.n);
  const std::vector<int64_t> ks = offsets_of(order.address, k_first, order.k);
  const int64_t word = order.k_dot > 1 ? kDotWordBytes / static_cast<int64_t>(sizeof(Word)) : 1;
  const int64_t inner = order.k.empty() ? 1 : order.k.back();
  const int64_t inner_padded = (inner + order.k_dot - 1) / order.k_dot * order.k_dot;
  const int64_t panel_size = panel_ks_of(order) * order.tile_n;
  Word* panel = packed;
  for (const int64_t batch : batches) {
    for (size_t first = 0; first < columns.size(); first += static_cast<size_t>(order.tile_n)) {
      const size_t end = std::min(columns.size(), first + static_cast<size_t>(order.tile_n));
      for (size_t k = 0; k < ks.size(); ++k) {
        const auto flat = static_cast<int64_t>(k);
        const int64_t in_word = flat % inner % word;
        const int64_t row = flat / inner * inner_padded + flat % inner - in_word;
        Word* place = panel + row * order.tile_n + in_word;
        const int64_t source = order.address.constant + batch + ks[k];
        for (size_t n = first; n < end; ++n, place += word) *place = read(source + columns[n]);
      }
      panel += panel_size;
    }
  }
}

/// The constant's bytes are those that are stored.
template <typename Word>
void place_as_is(const PackedOrder& order, const HostTensor& value, std::byte* packed) {
  const std::byte* const bytes = value.bytes.data();
  place_all(order, reinterpret_cast<Word*>(packed), [&](int64_t source) {
    Word element;
    std::memcpy(&element, bytes + source * static_cast<int64_t>(sizeof element), sizeof element);
    return element;
  });
}

}  // namespace

PackedOrder packed_order(const Graph& graph, const Step& step, const Shape& shape) {
  const auto& params = std::get<ContractionParams>(step.params);
  const Node& node = graph.nodes[step.node];
  const auto found =
      find_contraction(graph, params.split_k > 1 ? part_of_k(node, params.split_k) : node);
  CHECK(found.has_value());
  const Affine whole = address_of(row_major_strides(shape), found->b.index, found->axes.size());
  PackedOrder order = {.address = {whole.constant, {}},
                       .batch = found->batch,
                       .n = found->n,
                       .k = found->k,
                       .tile_n = params.tile_n(),
                       .k_dot = params.k_dot};
  for (size_t axis = 0; axis < found->axes.size(); ++axis) {
    const bool is_row = axis >= found->batch.size() && axis < found->batch.size() + found->m.size();
    if (!is_row) order.address.coefficients.push_back(whole.coefficients[axis]);
  }
  return order;
}

void pack_weights(const PackedOrder& order, const HostTensor& value, DType storage,
                  std::span<std::byte> packed) {
  CHECK(static_cast<int64_t>(packed.size()) >= packed_elements_of(order) * size_bytes_of(storage));
  std::memset(packed.data(), 0, packed.size());
  if (lies_as_it_is(value.dtype, storage)) {
    switch (size_bytes_of(storage)) {
      case 1: return place_as_is<uint8_t>(order, value, packed.data());
      case 2: return place_as_is<uint16_t>(order, value, packed.data());
      case 4: return place_as_is<uint32_t>(order, value, packed.data());
      default: return place_as_is<uint64_t>(order, value, packed.data());
    }
  }
  if (!is_float(storage)) {
    CHECK(size_bytes_of(storage) == sizeof(int32_t));
    return place_all(order, reinterpret_cast<int32_t*>(packed.data()),
                     [&](int64_t source) { return static_cast<int32_t>(value.integer(source)); });
  }
  const auto number = [&](int64_t source) { return static_cast<float>(value.number(source)); };
  if (size_bytes_of(storage) == sizeof(float)) {
    return place_all(order, reinterpret_cast<float*>(packed.data()), number);
  }
  const bool is_half = storage == DType::f16;
  place_all(order, reinterpret_cast<uint16_t*>(packed.data()), [&](int64_t source) {
    return is_half ? half_from_float(number(source)) : bfloat16_from_float(number(source));
  });
}

}  // namespace leat
