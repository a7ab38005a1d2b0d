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
//   constant            imm = bits of the value; uniform
//   lane_id             varying i32, 0 .. wave_lanes-1
//   wave_id             uniform i32, this wave's number in its workgroup
//   group_id            uniform i32, imm = axis 0..2
//   fma a, b, c         a*b+c, rounded once
//   select c, a, b      lane-wise c ? a : b; c is b1 of width 1 or of the width of a
//   int_from_float      truncates towards zero (saturates outside of i32 or i64; NaN gives 0); of
//                       this and float_from_int either type may have 32 or 64 bits
//   widen_i, widen_u    i32 -> i64, with sign and without;  narrow_i: i64 -> i32, the low half
//   widen_f, narrow_f   f32 -> f64 and back, rounded to nearest even
//   vector v0, v1, ..   2 or 4 scalars to one short vector;  extract v: imm = component
//   load index [mask]   slot = parameter; the storage widens to the type it is computed in, see
//                       storage.h. Masked-off lanes give 0 and touch no memory. lane_stride:
//                       kIndexed, or the address is index + lane*lane_stride with a uniform index
//                       (the result is then varying; 0 is a broadcast)
//   store index, value [mask]   the same, the value is narrowed to the storage
//   load_local / store_local    slot = local memory declaration; no mask; width 1, the local's
//                       width, or one that divides it; an access counts in its own width
//   barrier             all waves of the workgroup arrive; local memory is then visible
//   atomic_add index, value [mask]   slot = parameter (i32 or f32), width 1, always varying: every
//   lane
//                       that is not masked off adds at its place, in any order, and gets what stood
//                       there before; masked-off lanes get 0. It orders nothing else
//   last_group index, count   slot = an i32 parameter, the counter. A barrier; then one lane adds 1
//   to
//                       the counter, or sets it to 0 if that makes count, which tells the last of
//                       count workgroups. Its b1 is true in all waves of that workgroup, and what
//                       the others stored to parameters before is then visible there
//   reduce_add/min/max  varying -> uniform, over all lanes of the wave; the order of the sum is a
//                       halving tree (lane i + lane i+n/2, ...)
//   rounds a            varying i32 -> uniform: the bound of a loop that each lane needs another
//                       number of rounds of. Where lanes are threads it is the lane's own number,
//                       where they are not the largest of the wave; so what a lane gets in rounds
//                       beyond its own is not to be used, and no barrier stands in the loop
//   shuffle v, i        the value of lane i of the wave (modulo wave_lanes); as varying as i is.
//                       shuffle_xor: of lane l xor imm; shuffle_up, shuffle_down: of lane l - imm,
//                       l
//                       + imm, its own where there is no such lane. v is a varying f32 or i32. All
//                       waves of the workgroup arrive, as at a barrier
//   dot_ss/us/uu a, b, c   c + the sum of four products of bytes of the i32 a and b; s: bytes with
//                       sign, u: without. Wraps
//   dot_bf16 a, b, c    the f32 c + the products of the two bf16 in the i32 a and b, each exact; in
//                       which order they are added is the unit's own, and what is below 2^-126 may
//                       count as 0
//   copy_async index, source [mask]   slot = local memory, source = parameter of the same storage;
//                       each lane copies imm elements from parameter to local memory (both indices
//                       count elements), 4, 8 or 16 bytes aligned so; masked-off lanes write zeros.
//                       The elements are there after the copy_wait of their group and may not be
//                       touched until then
//   copy_commit         closes the group of the wave's copies since the last;  copy_wait: imm = how
//                       many of the newest groups need not have arrived
//   prefetch index      slot = parameter; imm elements from the uniform index on, a multiple of 16
//                       bytes, will be read soon: a hint that changes no value
//   fragment_fill v     a sum all of whose elements are the uniform v, rounded to its type
//   fragment_load(_local) index, stride   slot; element (row, column) is read at index + row *
//   stride
//                       + column, with imm = 1 (columns) at index + row + column * stride, counted
//                       in elements. The storage is the fragment's element (f32 for tf32)
//   fragment_store(_local) index, stride, fragment   the same, of a sum
//                       fragment_load_local with imm = 2 or 3 (swizzled): rows of 128 bytes, see
//                       docs/kernel-format.md; only of a and b that several waves hold.
//                       With imm = 4 (words), only of a b of 1 or 2 bytes an element: E of its rows
//                       lie side by side in 4 bytes, at index + row / E * stride + column * E +
//                       row % E
//   mma a, b, c         the sum c + a * b; the order of its additions is the unit's own. Of several
//                       waves it goes on by itself: until a mma_wait only another mma takes its sum
//   mma_wait c          imm = how many of the wave's newest products in a row need not be there; c,
//                       which only mma and mma_wait take where that is not 0. Products in a row are
//                       those with no barrier, copy, branch or loop between them
//   fragment_part c     varying: element imm of the lane's m * n / (lanes * waves) elements of the
//                       sum; fragment_row, fragment_column: where it lies in the matrix, varying
//                       i32. Which those are is the target's own, but elements 2 i and 2 i + 1 are
//                       neighbours in a row
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

enum class Scalar : uint8_t { f32, i32, b1, i64, f64 };

constexpr bool is_float(Scalar scalar) { return scalar == Scalar::f32 || scalar == Scalar::f64; }
constexpr bool is_int(Scalar scalar) { return scalar == Scalar::i32 || scalar == Scalar::i64; }
/// Of values that are stored.
constexpr uint32_t bytes_of(Scalar scalar) {
  return scalar == Scalar::i64 || scalar == Scalar::f64 ? 8 : 4;
}
/// What a load of elements stored so gives: f32 for floats of 32 bits and less, i32 for whole
/// numbers of 32 bits and less, i64 and f64; b1 for boolean, which is not stored.
Scalar compute_of(DType storage);

/// What a matrix is in sum (m x n) += a (m x k) * b (k x n).
enum class Role : uint8_t { none, a, b, sum };

/// A matrix that the lanes of one or several waves hold together, in an order that is the target's
/// own. Role none: no fragment.
struct Fragment {
  Role role = Role::none;
  DType element = DType::f32;
  bool tf32 = false;  // element is f32, of which the unit uses 10 bits of mantissa
  uint16_t m = 0;
  uint16_t n = 0;
  uint16_t k = 0;
  uint8_t waves = 1;

  bool operator==(const Fragment&) const = default;
  uint32_t rows() const { return role == Role::b ? k : m; }
  uint32_t columns() const { return role == Role::a ? k : n; }
};

/// Type of a value. width is 1, 2 or 4. A fragment is uniform, of width 1, and its scalar is what
/// its elements are computed in.
struct Type {
  Scalar scalar = Scalar::f32;
  uint8_t width = 1;
  bool varying = false;
  Fragment fragment = {};

  bool is_fragment() const { return fragment.role != Role::none; }

  bool operator==(const Type&) const = default;
};

enum class Opcode : uint8_t {
#define LEAT_IR_OP(name, operands, kind, version) name,
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
};

enum class OpClass : uint8_t {
  unary_float,
  binary_float,
  function,
  unary_int,
  binary_int,
  binary_bool,
  compare,
  other
};

std::string_view name_of(Opcode op);
/// True when `slot` is a parameter, and when it is a local memory.
bool is_global_access(Opcode op);
bool is_local_access(Opcode op);
bool is_shuffle(Opcode op);
/// fragment_load .. fragment_store_local.
bool is_fragment_access(Opcode op);
/// fragment_part, fragment_row, fragment_column.
bool is_fragment_element(Opcode op);
/// prefetch: bytes of a piece.
inline constexpr int64_t kPrefetchedBytes = 16;
/// Bits of imm of a fragment's access.
inline constexpr int64_t kByColumns = 1;
inline constexpr int64_t kSwizzled = 2;
inline constexpr int64_t kInWords = 4;
/// Rows of a b that a word holds side by side.
constexpr int64_t rows_in_word(int64_t element_bytes) { return 4 / element_bytes; }
/// Bytes of a row of swizzled local memory; eight of them repeat.
inline constexpr uint32_t kSwizzledRowBytes = 128;
/// Where element `place` of swizzled local memory lies.
constexpr int64_t swizzled(int64_t place, int64_t element_bytes) {
  const int64_t row = place * element_bytes / kSwizzledRowBytes;
  return place ^ (row % 8 * 16 / element_bytes);
}
/// -1 when the number of operands varies.
int operand_count_of(Opcode op);
OpClass class_of(Opcode op);
/// The first version of the text form that has the instruction.
int version_of(Opcode op);
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
  uint32_t source = kNone;         // copy_async: the parameter
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
  DType storage = DType::f32;  // any but boolean
  bool written = false;
  int64_t element_count = 0;  // for bounds in debug mode and the interpreter
};

/// Workgroup memory: `count` accesses of `width` elements each.
struct LocalMemory {
  std::string name;
  DType storage = DType::f32;  // any but boolean
  uint8_t width = 1;
  uint32_t count = 0;

  uint32_t size_bytes() const {
    return count * width * static_cast<uint32_t>(size_bytes_of(storage));
  }
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
