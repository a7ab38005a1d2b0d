// What an instruction set has beyond arithmetic and plain memory: facts that follow from what a
// Target names, in one place, for the plan, the passes and the emitters. Plain data.
#pragma once

#include <vector>

#include "leat/base/dtype.h"
#include "leat/base/target.h"

namespace leat {

/// One product of matrix units: sum (m x n) += a (m x k) * b (k x n).
struct MatrixShape {
  DType a = DType::f16;
  DType b = DType::f16;
  DType sum = DType::f32;
  bool tf32 = false;  // a and b are f32 of which the unit uses 10 bits of mantissa
  uint16_t m = 16;
  uint16_t n = 8;
  uint16_t k = 16;
  uint8_t waves = 1;  // that hold and multiply it together

  bool operator==(const MatrixShape&) const = default;
};

struct TargetFacts {
  bool has_any_local_width = false;  // local memory is accessed in any width up to its own
  // All elements below 32 bits, in buffers and local memory. Without it i16, u16 and f16 in buffers
  // are Target::storage_f16's matter.
  bool has_narrow_storage = false;
  // In buffers and arithmetic. Without has_i64 two words of 32 bits stand for a number, see
  // lower/expand_int64; without has_f64 doubles are computed as f32.
  bool has_i64 = false;
  bool has_f64 = false;
  bool has_atomic_add = false;      // on 32-bit whole numbers in buffers, with last_group
  bool has_atomic_add_f32 = false;  // on f32 in buffers
  /// Parts of a sum are added up by the workgroup that comes last rather than by another kernel:
  /// where that was measured to pay.
  bool joins_parts = false;
  // Between lanes, without local memory: shuffles and reductions over a wave.
  bool has_shuffle = false;
  bool has_dot = false;                    // sums of four products of bytes in one instruction
  bool has_dot_us = false;                 // the same, of bytes without a sign by bytes with one
  bool has_dot_bf16 = false;               // and of two products of bf16, with sums of f32
  bool has_async_copy = false;             // from buffers to local memory, going on by itself
  bool has_prefetch = false;               // of many bytes into a cache, by one instruction
  std::vector<MatrixShape> matrix_shapes;  // empty: no matrix units
  bool knows_sums = false;                 // which lane holds which elements of the units' sums

  bool divides_exactly = false;         // quotients and square roots are rounded correctly
  bool has_signed_remainder = false;    // the remainder of negative numbers is defined
  bool converts_by_saturation = false;  // f32 to i32: the nearest i32, NaN to 0
  // Rounds of nested loops, beyond which a loop with known bounds is unrolled; 0: no limit.
  uint32_t loop_rounds_max = 0;
};

TargetFacts facts_of(const Target& target);

}  // namespace leat
