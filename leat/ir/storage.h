// How elements in memory become the values that a kernel computes with, and back: the one place
// that says so. A value is its bits in 64: an f32 or i32 in the low 32, the others zero.
//
// Loads are exact. Stores round floats to nearest even, what is too large to infinity; whole
// numbers keep their low bits. So does ONNX's Cast.
#pragma once

#include <cstdint>

#include "leat/ir/ir.h"

namespace leat::ir {

/// The value of an element whose bits are the low ones of `bits`.
uint64_t widened(DType storage, uint64_t bits);
/// The bits of the element that stores `value`.
uint64_t narrowed(DType storage, uint64_t value);

}  // namespace leat::ir
