// The end of a contraction: the epilogue expression on every accumulator, then the store. Where the
// innermost column axis is contiguous in the output, vec_n results are stored at once.
#include "leat/lower/contraction.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// Address of an output element as a form over the output coordinates' values.
LinearForm output_address(const Placement& placement, const OutputView& view,
                          std::span<const ValueId> coordinates) {
  LinearForm address;
  for (size_t d = 0; d < coordinates.size(); ++d) {
    address.constant += placement.strides[d] * view.offset[d];
    address.add(placement.strides[d] * view.step[d], coordinates[d]);
  }
  return address;
}

/// Output address over the loop axes, to see whether columns are contiguous and aligned.
Affine output_affine(const ContractionLowering& l, const Placement& placement) {
  std::vector<Affine> index = l.contraction.out_index;
  for (size_t d = 0; d < index.size(); ++d) {
    index[d].constant = index[d].constant * l.node.view.step[d] + l.node.view.offset[d];
    for (int64_t& coefficient : index[d].coefficients) coefficient *= l.node.view.step[d];
  }
  return address_of(placement.strides, index);
}

/// True when groups of vec_n columns are one aligned vector of the output.
bool columns_vectorise(const ContractionLowering& l, const Placement& placement) {
  const int64_t vec = l.params.vec_n;
  if (vec == 1 || l.contraction.n.size() != 1 || l.n_count % vec != 0) return false;
  const Affine address = output_affine(l, placement);
  if (address.constant % vec != 0) return false;
  for (size_t axis = 0; axis < address.coefficients.size(); ++axis) {
    const int64_t wanted = axis == l.n_first ? 1 : 0;
    const int64_t coefficient = address.coefficients[axis];
    if (wanted == 1 ? coefficient != 1 : coefficient % vec != 0) return false;
  }
  return true;
}

}  // namespace

void ContractionLowering::store_tile(std::span<const ValueId> accumulators) {
  for (uint32_t i = 0; i < params.reg_m; ++i) {
    store_row(i, accumulators.subspan(size_t{i} * params.reg_n, params.reg_n));
  }
}

void ContractionLowering::store_row(uint32_t i, std::span<const ValueId> accumulators) {
  const Placement& placement = schedule.placements[node.output];
  const ValueId row =
      builder.add(builder.mul(m_tile, builder.i32(params.tile_m())), row_in_tile(i));
  const ValueId row_mask =
      m_tail() ? builder.binary(Opcode::lt_i, row, builder.i32(m_count)) : ir::kNone;
  const std::vector<ValueId> m_coordinates = decompose(builder, row, contraction.m);
  const bool vectorise = columns_vectorise(*this, placement);
  const uint32_t width = vectorise ? params.vec_n : 1;
  ExprLowering exprs(builder, schedule, node, slots);

  for (uint32_t j = 0; j < params.reg_n; j += width) {
    std::vector<ValueId> components;
    LinearForm address;
    ValueId mask = row_mask;
    for (uint32_t v = 0; v < width; ++v) {
      const ValueId column =
          builder.add(builder.mul(n_tile, builder.i32(params.tile_n())), column_in_tile(j + v));
      if (n_tail() && v == 0) {
        const ValueId inside = builder.binary(Opcode::lt_i, column, builder.i32(n_count));
        mask = mask == ir::kNone ? inside : builder.logical_and(mask, inside);
      }
      const std::vector<ValueId> n_coordinates = decompose(builder, column, contraction.n);
      std::vector<ValueId> coordinates;
      for (const Affine& affine : contraction.out_index) {
        LinearForm form;
        form.constant = affine.constant;
        for (size_t x = 0; x < m_first; ++x) form.add(affine.coefficients[x], batch_coordinates[x]);
        for (size_t x = 0; x < m_coordinates.size(); ++x) {
          form.add(affine.coefficients[m_first + x], m_coordinates[x]);
        }
        for (size_t x = 0; x < n_coordinates.size(); ++x) {
          form.add(affine.coefficients[n_first + x], n_coordinates[x]);
        }
        coordinates.push_back(build(builder, form));
      }
      components.push_back(exprs.stored_value(
          node.result, {.axes = coordinates, .accumulator = accumulators[j + v], .mask = mask}));
      if (v == 0) address = output_address(placement, node.view, coordinates);
    }
    if (!vectorise) {
      builder.store(slots.output_slot, build(builder, address), components[0], mask);
      continue;
    }
    // The address is a multiple of the width by columns_vectorise; the division is a shift.
    builder.store(slots.output_slot, builder.div(build(builder, address), width),
                  builder.vector(components), mask);
  }
}

}  // namespace leat
