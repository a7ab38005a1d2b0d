// The wave program: Leat's kernel IR, written from the view of one wave (SIMD group).
//
// A value is uniform (one per wave) or varying (one per lane). Control flow is uniform; what
// differs by lane is the mask of a load, a store or a select, never a branch. On a GPU a varying
// value is a register of each thread and a uniform one should be a scalar register; on a CPU a
// varying value is one SIMD vector of `wave_lanes` lanes, a uniform one a scalar, and a workgroup
// is one wave. SSA, structured regions, ids instead of pointers; the whole program lives in a few
// vectors.
//
// Instructions beyond the arithmetic of ops.def ("index" is an i32, counted in accesses, that is in
// units of the accessed type's width: a load of width 4 at index 3 reads elements 12..15):
//   constant            imm = bits of the value (f32, i32, b1); uniform
//   lane_id             varying i32, 0 .. wave_lanes-1
//   wave_id             uniform i32, this wave's number in its workgroup
//   group_id            uniform i32, imm = axis 0..2
//   fma a, b, c         a*b+c, rounded once
//   select c, a, b      lane-wise c ? a : b; c is b1 of width 1 or of the width of a
//   int_from_float      truncates towards zero (saturates outside i32; NaN gives 0)
//   vector v0, v1, ..   2 or 4 scalars to one short vector;  extract v: imm = component
//   load index [mask]   slot = parameter. f16 storage widens to f32. Masked-off lanes give 0 and
//   touch
//                       no memory. lane_stride: kIndexed, or the address is index +
//                       lane*lane_stride with a uniform index (the result is then varying; 0 is a
//                       broadcast)
//   store index, value [mask]   the same, f32 is rounded to nearest even when storage is f16
//   load_local / store_local    slot = local memory declaration; no mask; width 1 or the local's
//   width;
//                       a width-1 access counts single elements even when the local is declared
//                       wider
//   barrier             all waves of the workgroup arrive; local memory is then visible
//   reduce_add/min/max  varying -> uniform, over all lanes of the wave; the order of the sum is a
//                       halving tree (lane i + lane i+n/2, ...)
//   loop lo, hi, step, init...   operands 0..2 uniform i32 (step > 0); region[0] has as its
//   arguments the
//                       counter and the carried values; ends with yield next...; results = the
//                       carried values after the last round. imm = unroll factor (0 or 1: leave
//                       rolled)
//   branch cond         uniform b1; region[0] runs if true. No results, no else: region[1] may be
//   the else
// Waves of a workgroup may differ in uniform values; but a barrier must be reached by all of them,
// so loops and branches around a barrier have bounds that are the same for the whole workgroup.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/dtype.h"

namespace leat::ir {

enum class Scalar : uint8_t { f32, i32, b1 };

/// Type of a value. width is 1, 2 or 4.
struct Type {
  Scalar scalar = Scalar::f32;
  uint8_t width = 1;
  bool varying = false;

  bool operator==(const Type&) const = default;
};

enum class Opcode : uint8_t {
#define LEAT_IR_OP(name, operands, kind) name,
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
};

enum class OpClass : uint8_t {
  unary_float,
  binary_float,
  function,
  binary_int,
  binary_bool,
  compare,
  other
};

std::string_view name_of(Opcode op);
/// -1 when the number of operands varies.
int operand_count_of(Opcode op);
OpClass class_of(Opcode op);
/// exp, pow and their like, which lower/expand_math replaces: no emitter takes them.
bool is_function(Opcode op);

using ValueId = uint32_t;
using InstructionId = uint32_t;
using BlockId = uint32_t;
inline constexpr uint32_t kNone = 0xffffffffu;
/// lane_stride of a load or store whose index operand is the whole address.
inline constexpr int32_t kIndexed = INT32_MIN;

struct Instruction {
  Opcode op = Opcode::constant;
  bool masked = false;        // load, store: the last operand is the mask
  uint8_t operand_count = 0;  // loops may carry up to 252 values
  uint8_t result_count = 0;
  uint32_t first_operand = 0;      // into Program::operands
  ValueId first_result = 0;        // results are consecutive values
  uint32_t slot = 0;               // parameter or local memory
  int32_t lane_stride = kIndexed;  // load, store
  int64_t imm = 0;
  std::array<BlockId, 2> regions = {kNone, kNone};
};

/// A block is a list of instructions; block 0 is the program's body. Loop blocks have arguments.
struct Block {
  std::vector<InstructionId> instructions;
  ValueId first_argument = kNone;
  uint32_t argument_count = 0;
};

/// A buffer the kernel gets.
struct Parameter {
  std::string name;
  DType storage = DType::f32;  // f32, f16 or i32
  bool written = false;
  int64_t element_count = 0;  // for bounds in debug mode and the interpreter
};

/// Workgroup memory: `count` accesses of `width` elements each.
struct LocalMemory {
  std::string name;
  Scalar scalar = Scalar::f32;  // f32 or i32
  uint8_t width = 1;
  uint32_t count = 0;
};

struct Program {
  std::string name;
  uint32_t wave_lanes = 1;
  uint32_t waves_per_workgroup = 1;
  std::array<uint32_t, 3> grid = {1, 1, 1};
  std::vector<Parameter> parameters;
  std::vector<LocalMemory> locals;

  std::vector<Type> values;
  std::vector<uint32_t> operands;
  std::vector<Instruction> instructions;
  std::vector<Block> blocks;

  std::span<const ValueId> operands_of(const Instruction& instruction) const {
    return {operands.data() + instruction.first_operand, instruction.operand_count};
  }
  uint32_t local_bytes() const;
};

}  // namespace leat::ir
