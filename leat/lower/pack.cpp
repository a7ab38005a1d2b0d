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

}  // namespace

void pack_b(const Contraction& contraction, const ContractionParams& params,
            const HostTensor& value, DType storage, std::span<std::byte> packed) {
  const int64_t tile = params.tile_n();
  const int64_t element_bytes = size_bytes_of(storage);
  const int64_t word = params.k_dot > 1 ? kDotWordBytes / element_bytes : 1;
  const int64_t inner = contraction.k.empty() ? 1 : contraction.k.back();
  const int64_t inner_padded = (inner + params.k_dot - 1) / params.k_dot * params.k_dot;
  CHECK(static_cast<int64_t>(packed.size()) >=
        packed_element_count(contraction, params) * element_bytes);
  std::memset(packed.data(), 0, packed.size());

  const Affine address =
      address_of(row_major_strides(value.shape), contraction.b.index, contraction.axes.size());
  const size_t n_first = contraction.batch.size() + contraction.m.size();
  const std::vector<int64_t> batches = offsets_of(address, 0, contraction.batch);
  const std::vector<int64_t> columns = offsets_of(address, n_first, contraction.n);
  const std::vector<int64_t> ks =
      offsets_of(address, n_first + contraction.n.size(), contraction.k);
  const int64_t tiles = (static_cast<int64_t>(columns.size()) + tile - 1) / tile;
  const int64_t panel_ks =
      static_cast<int64_t>(ks.size()) / std::max<int64_t>(inner, 1) * inner_padded;

  for (size_t g = 0; g < batches.size(); ++g) {
    for (size_t n = 0; n < columns.size(); ++n) {
      const int64_t column_tile = static_cast<int64_t>(n) / tile;
      const int64_t panel = (static_cast<int64_t>(g) * tiles + column_tile) * panel_ks;
      for (size_t k = 0; k < ks.size(); ++k) {
        const int64_t source = address.constant + batches[g] + columns[n] + ks[k];
        const auto flat = static_cast<int64_t>(k);
        const int64_t in_word = flat % inner % word;
        const int64_t row = flat / inner * inner_padded + flat % inner - in_word;
        const int64_t target =
            (panel + row) * tile + static_cast<int64_t>(n) % tile * word + in_word;
        std::byte* place = packed.data() + target * element_bytes;
        if (value.dtype == storage) {
          std::memcpy(place, value.bytes.data() + source * element_bytes,
                      static_cast<size_t>(element_bytes));
          continue;
        }
        if (!is_float(storage)) {
          const auto whole = static_cast<int32_t>(value.integer(source));
          std::memcpy(place, &whole, sizeof whole);
          continue;
        }
        const float number = static_cast<float>(value.number(source));
        if (element_bytes == sizeof number) {
          std::memcpy(place, &number, sizeof number);
          continue;
        }
        const bool is_half = storage == DType::f16;
        const uint16_t bits = is_half ? half_from_float(number) : bfloat16_from_float(number);
        std::memcpy(place, &bits, sizeof bits);
      }
    }
  }
}

void pack_weights(const Graph& graph, const Step& step, const HostTensor& value, DType storage,
                  std::span<std::byte> packed) {
  const auto& params = std::get<ContractionParams>(step.params);
  const Node& node = graph.nodes[step.node];
  const auto contraction =
      find_contraction(graph, params.split_k > 1 ? part_of_k(node, params.split_k) : node);
  CHECK(contraction.has_value());
  pack_b(*contraction, params, value, storage, packed);
}

}  // namespace leat
