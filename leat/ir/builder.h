// Builder: writes a wave program instruction by instruction, inferring types. It folds constants
// and the identities that index arithmetic is full of (x+0, x*1, x*0, x/1, x%1, nested constant
// adds, (a*c+b)/c with b < c), never computes the same pure value twice, and puts a pure
// instruction outside of every loop that does not change it; so a lowering may write the general
// formula and get the special case's code. An index of the form uniform + lane * constant becomes a
// lane_stride. A result may be "more uniform" than its operands' types say (x*0 is the uniform 0).
// A misuse (wrong scalar, unequal widths, a value of a closed block) is a CHECK: a builder's caller
// is our own code.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

#include "leat/ir/ir.h"
#include "leat/ir/range.h"

namespace leat::ir {

class Builder {
 public:
  Builder(std::string name, uint32_t wave_lanes, uint32_t waves_per_workgroup);

  /// Set the grid before the first group_id(): it then bounds group_id (a grid of 1, 1, 1 counts as
  /// not set). finish() checks that it did not change afterwards.
  Program& program() { return program_; }
  const Program& program() const { return program_; }
  /// Ends the program, drops what nothing uses and hands it over.
  Program finish();

  /// Names become identifiers, made unique with a number where needed.
  uint32_t parameter(std::string name, DType storage, bool written, int64_t element_count);
  uint32_t local(std::string name, DType storage, uint8_t width, uint32_t count);

  ValueId f32(float value);
  /// The low 32 bits of a value in -2^31 .. 2^32-1.
  ValueId i32(int64_t value);
  ValueId b1(bool value);
  ValueId i64(int64_t value);
  ValueId f64(double value);
  ValueId lane_id();
  ValueId wave_id();
  ValueId group_id(int axis);

  /// Any one- or two-operand instruction of ops.def's classes. A uniform and a varying operand give
  /// a varying result; a width-1 operand beside a wider one is used for every component.
  ValueId unary(Opcode op, ValueId a);
  ValueId binary(Opcode op, ValueId a, ValueId b);
  ValueId add(ValueId a, ValueId b);  // i32 or f32 by the operands' type
  ValueId sub(ValueId a, ValueId b);
  ValueId mul(ValueId a, ValueId b);
  /// i32 only; the divisor is a positive constant. The dividend must not be negative, and neither
  /// it nor a sum or product it is made of may wrap: index arithmetic, in which terms that are
  /// multiples of the divisor are taken out.
  ValueId div(ValueId a, int64_t divisor);
  ValueId rem(ValueId a, int64_t divisor);
  ValueId fma(ValueId a, ValueId b, ValueId c);
  ValueId select(ValueId condition, ValueId a, ValueId b);
  ValueId not_b(ValueId a);
  ValueId logical_and(ValueId a, ValueId b);
  /// int_from_float .. float_from_bits. `to` is of int_from_float and float_from_int only.
  ValueId convert(Opcode op, ValueId a);
  ValueId convert(Opcode op, ValueId a, Scalar to);
  ValueId vector(std::span<const ValueId> components);
  ValueId extract(ValueId vector, int component);

  /// `mask` may be kNone. The result has `width` elements per lane.
  ValueId load(uint32_t parameter, ValueId index, uint8_t width = 1, ValueId mask = kNone);
  /// An i32 of a parameter that is not written, loaded once at the top of the program.
  ValueId load_once(uint32_t parameter, uint32_t index);
  void store(uint32_t parameter, ValueId index, ValueId value, ValueId mask = kNone);
  ValueId load_local(uint32_t local, ValueId index, uint8_t width = 1);
  void store_local(uint32_t local, ValueId index, ValueId value);
  void barrier();
  ValueId reduce(Opcode op, ValueId a);
  /// The bound of a loop of which each lane needs `own` rounds, and may take more: see ir.h.
  ValueId rounds(ValueId own);
  /// Every lane adds its value (i32 or f32, width 1) and gets what was there before. Lanes of which
  /// only one shall add are masked off. `mask` may be kNone.
  ValueId atomic_add(uint32_t parameter, ValueId index, ValueId value, ValueId mask = kNone);
  /// True in all waves of the last of `count` workgroups to come here with the counter at `index`,
  /// which is 0 before the first comes and again after the last. See ir.h.
  ValueId last_group(uint32_t parameter, ValueId index, ValueId count);

  /// The value of another lane: of lane `index`, or by `amount` for shuffle_xor, _up and _down.
  ValueId shuffle(ValueId value, ValueId index);
  ValueId shuffle(Opcode op, ValueId value, int64_t amount);
  /// dot_ss, dot_us, dot_uu, dot_bf16: c + products of the parts of a and b, see ir.h.
  ValueId dot(Opcode op, ValueId a, ValueId b, ValueId c);

  /// Each lane copies `count` elements, 4, 8 or 16 bytes, from element `source` of the parameter to
  /// element `index` of the local memory; see ir.h. `mask` may be kNone.
  void copy_async(uint32_t local, ValueId index, uint32_t parameter, ValueId source, int count,
                  ValueId mask = kNone);
  void copy_commit();
  /// At most the newest `pending` groups have not arrived afterwards.
  void copy_wait(int pending);
  /// Elements of a parameter that are read soon; of 16 bytes or a multiple.
  void prefetch(uint32_t parameter, ValueId index, int64_t count);

  struct FragmentPlace {
    uint32_t slot = 0;
    ValueId index = kNone;   // of element (0, 0)
    ValueId stride = kNone;  // elements from row to row, or from column to column
    bool by_columns = false;
    bool is_local = false;
    bool swizzled = false;
    bool in_words = false;
  };
  ValueId fragment_fill(const Fragment& fragment, ValueId value);
  ValueId fragment_load(const Fragment& fragment, const FragmentPlace& place);
  void fragment_store(const FragmentPlace& place, ValueId fragment);
  ValueId mma(ValueId a, ValueId b, ValueId c);
  /// At most the newest `pending` products in a row are not there afterwards.
  ValueId mma_wait(ValueId sum, int pending);
  /// fragment_part, fragment_row, fragment_column of the lane's element of that number.
  ValueId fragment_element(Opcode op, ValueId sum, int64_t number);

  using LoopBody = std::function<std::vector<ValueId>(ValueId, std::span<const ValueId>)>;
  /// body(counter, carried) returns the next carried values. A carried value is made varying when
  /// `varying_carried` says so, whatever its initial value is (a loop cannot infer it).
  /// A loop that runs once is written out, one that never runs gives its initial values.
  std::vector<ValueId> loop(ValueId lo, ValueId hi, int64_t step, std::span<const ValueId> init,
                            bool varying_carried, const LoopBody& body, int unroll = 1);
  /// The same, with a choice for each carried value.
  std::vector<ValueId> loop(ValueId lo, ValueId hi, int64_t step, std::span<const ValueId> init,
                            const std::vector<bool>& varying_carried, const LoopBody& body,
                            int unroll = 1);
  /// The same from 0 on, one by one, `count` times.
  std::vector<ValueId> repeat(ValueId count, std::span<const ValueId> init, bool varying_carried,
                              const LoopBody& body, int unroll = 1) {
    return loop(i32(0), count, 1, init, varying_carried, body, unroll);
  }
  void branch(ValueId condition, const std::function<void()>& then,
              const std::function<void()>& otherwise = nullptr);

  const Type& type(ValueId value) const { return program_.values[value]; }
  /// The value's constant bits, if it is a constant.
  std::optional<int64_t> constant(ValueId value) const;
  /// What is known of an i32 value.
  Range range(ValueId value) const { return facts_[value].range; }

 private:
  /// A pure instruction, for value numbering.
  struct Key {
    Opcode op = Opcode::constant;
    uint32_t operand_count = 0;
    std::array<ValueId, 4> operands = {kNone, kNone, kNone, kNone};
    int64_t imm = 0;
    Scalar scalar = Scalar::f32;  // of the result
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  /// What is known of a value besides its type.
  struct Facts {
    InstructionId definition = kNone;  // kNone: a loop's argument
    BlockId block = 0;
    Range range;
    std::optional<int64_t> lane_stride;  // i32: value = uniform + lane * lane_stride
    uint32_t stride_depth = 0;           // instructions between the value and lane_id
  };
  struct OpenBlock {
    BlockId id = 0;
    bool is_loop = false;
    std::vector<Key> known;  // leaves the value numbering when the block is closed
  };
  /// value = constant + sum of coefficient * term, in exact arithmetic.
  struct LinearForm {
    std::vector<std::pair<ValueId, int64_t>> terms;
    int64_t constant = 0;
    int visits = 0;
    bool too_long = false;
  };
  struct Address {
    ValueId index = kNone;
    int32_t lane_stride = kIndexed;
    bool varying = false;
  };

  // builder.cpp
  ValueId constant_value(Scalar scalar, int64_t bits);
  ValueId emit(Opcode op, Type type, std::span<const ValueId> operands, int64_t imm = 0);
  InstructionId append(Instruction instruction, std::span<const ValueId> operands,
                       std::span<const Type> results, size_t depth);
  ValueId append_here(Instruction instruction, std::span<const ValueId> operands, Type type);
  ValueId add_value(Type type, Facts facts);
  size_t depth_of(ValueId value) const;
  size_t depth_for(Opcode op, std::span<const ValueId> operands) const;
  Range result_range(Opcode op, std::span<const ValueId> operands, int64_t imm) const;
  void note_lane_stride(Opcode op, std::span<const ValueId> operands, Facts& facts) const;
  BlockId open_block(bool is_loop);
  void close_block();
  std::string unique_name(std::string name) const;
  Address address_of(ValueId index, bool varying_access);
  ValueId uniform_part(ValueId value);
  ValueId as_varying(ValueId index);
  void drop_unused();

  // builder_arithmetic.cpp
  const Instruction* definition(ValueId value, Opcode op) const;
  ValueId operand(const Instruction& instruction, size_t i) const;
  Type common_type(ValueId a, ValueId b, Scalar scalar) const;
  std::optional<float> float_constant(ValueId value) const;
  std::optional<ValueId> fold_float(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> fold_bool(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> fold_compare(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> fold_conversion(Opcode op, ValueId a, Scalar to);

  // builder_index.cpp
  ValueId unary_int(Opcode op, ValueId a);
  std::optional<ValueId> fold_int(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> fold_i64(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> fold_add(ValueId a, ValueId b);
  std::optional<ValueId> fold_sub(ValueId a, ValueId b);
  std::optional<ValueId> fold_mul(ValueId a, int64_t factor);
  std::optional<ValueId> fold_with_constant(Opcode op, ValueId a, int64_t b);
  std::optional<ValueId> fold_same(Opcode op, ValueId a);
  std::optional<ValueId> fold_by_range(Opcode op, ValueId a, ValueId b);
  std::optional<ValueId> join_division(ValueId a, ValueId b);
  std::optional<std::pair<ValueId, int64_t>> as_product(ValueId value) const;
  std::optional<std::pair<ValueId, int64_t>> as_quotient(ValueId value) const;
  std::optional<std::pair<ValueId, int64_t>> as_remainder(ValueId value) const;
  void gather_terms(ValueId value, int64_t factor, LinearForm& form) const;
  /// Moves the terms that are multiples of `divisor` from `form` to the result, divided by it.
  static LinearForm take_multiples(LinearForm& form, int64_t divisor);
  Range range_of_form(const LinearForm& form) const;
  ValueId value_of_form(const LinearForm& form);
  ValueId plain_div(ValueId a, int64_t divisor);
  ValueId plain_rem(ValueId a, int64_t divisor);

  Program program_;
  std::vector<OpenBlock> open_blocks_;                // innermost last
  std::vector<size_t> block_depths_;                  // block -> its place in open_blocks_
  std::vector<Facts> facts_;                          // parallel to Program::values
  std::unordered_map<Key, ValueId, KeyHash> known_;   // pure values of the open blocks
  std::optional<std::array<uint32_t, 3>> grid_used_;  // what group_id was bounded with
};

}  // namespace leat::ir
