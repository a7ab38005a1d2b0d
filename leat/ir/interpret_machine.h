// The interpreter's inside: one class over three files. interpret.cpp has control and arithmetic,
// interpret_access.cpp memory, interpret_exchange.cpp what lanes do together. For users:
// interpret.h.
#pragma once

#include <array>
#include <bit>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/ir/flatten.h"
#include "leat/ir/interpret_memory.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// The bits of one lane of one component; those of 32-bit types are the low ones, the rest is zero.
using Word = uint64_t;

/// A value's words as an operand: word(component, lane) for any width and lane of the result.
struct Operand {
  const Word* words = nullptr;
  size_t component_step = 0;
  size_t lane_step = 0;

  Word word(size_t component, size_t lane) const {
    return words[component * component_step + lane * lane_step];
  }
};

inline uint32_t low(Word word) { return static_cast<uint32_t>(word); }

/// A word as the number of type T, and back.
template <typename T>
T number(Word word) {
  if constexpr (sizeof(T) == 4)
    return std::bit_cast<T>(low(word));
  else
    return std::bit_cast<T>(word);
}
inline Word word_of(float value) { return std::bit_cast<uint32_t>(value); }
inline Word word_of(double value) { return std::bit_cast<uint64_t>(value); }
inline Word word_of(int32_t value) { return static_cast<uint32_t>(value); }
inline Word word_of(int64_t value) { return static_cast<uint64_t>(value); }
inline Word word_of(bool value) { return value ? 1 : 0; }

/// Calls function with a number of the type that `scalar` names, for its type only.
template <typename Function>
Word with_float(Scalar scalar, Function function) {
  return scalar == Scalar::f64 ? function(double{}) : function(float{});
}
template <typename Function>
Word with_int(Scalar scalar, Function function) {
  return scalar == Scalar::i64 ? function(int64_t{}) : function(int32_t{});
}

/// An element on its way to local memory.
struct PendingCopy {
  uint32_t slot = 0;
  AccessPoint point;
  uint64_t bits = 0;
};

struct Wave {
  uint32_t number = 0;  // in its workgroup
  uint32_t step = 0;
  std::vector<Word> words;
  std::vector<std::vector<PendingCopy>> copies;  // by group, oldest first; the last is still open
  std::set<ValueId> products;                    // sums whose products are under way
};

class Machine {
 public:
  Machine(const Program& program, std::span<const std::span<std::byte>> buffers, uint64_t steps_max,
          bool refuses_unwritten);
  Result<void> run();
  std::vector<int64_t> written() const;
  uint64_t steps_left() const { return steps_left_; }

 private:
  Result<void> run_group();
  Result<bool> run_to_barrier(Wave& wave);
  Result<void> meet(const Instruction& instruction);
  Result<void> run_plain(const Instruction& instruction, Wave& wave);
  void enter_loop(const Instruction& loop, Wave& wave, uint32_t leave);
  void next_round(const Instruction& loop, Wave& wave, uint32_t body);
  void carry(std::span<const ValueId> from, ValueId first_to, Wave& wave);
  Error wrong(const Instruction& instruction, std::string_view what) const;

  template <Opcode op>
  Result<void> execute(const Instruction& instruction, Wave& wave);
  template <typename Function>
  void each1(const Instruction& instruction, Wave& wave, Function function);
  template <typename Function>
  void each2(const Instruction& instruction, Wave& wave, Function function);
  template <typename Function>
  void each3(const Instruction& instruction, Wave& wave, Function function);
  void fill(ValueId value, Wave& wave, Word word, uint32_t lane_step);
  void make_vector(const Instruction& instruction, Wave& wave);

  // interpret_exchange.cpp
  void reduce(const Instruction& instruction, Wave& wave);
  void shuffle(const Instruction& instruction, Wave& wave);
  void fill_fragment(const Instruction& instruction, Wave& wave);
  void multiply(const Instruction& instruction, Wave& wave);
  void multiply_floats(const Instruction& instruction, Wave& wave);
  void multiply_ints(const Instruction& instruction, Wave& wave);
  Result<void> access_fragment(const Instruction& instruction, Wave& wave);
  void take_element(const Instruction& instruction, Wave& wave);
  /// That the sum's products are there.
  Result<void> check_products(const Instruction& instruction, ValueId sum, const Wave& wave) const;

  // interpret_access.cpp
  Result<void> access_global(const Instruction& instruction, Wave& wave);
  Result<void> add_atomically(const Instruction& instruction, Wave& wave);
  Result<void> access_local(const Instruction& instruction, Wave& wave);
  Result<void> start_copy(const Instruction& instruction, Wave& wave);
  Result<void> check_prefetch(const Instruction& instruction, Wave& wave);
  Result<void> copy_lane(const Instruction& instruction, Wave& wave, uint32_t lane);
  Result<void> finish_copies(const Instruction& instruction, Wave& wave, size_t pending_groups);
  Result<void> check_copies() const;

  Operand operand(const Instruction& instruction, size_t i, const Wave& wave) const {
    return value(program_.operands_of(instruction)[i], wave);
  }
  Operand value(ValueId id, const Wave& wave) const;
  Word* words(ValueId id, Wave& wave) const { return wave.words.data() + offsets_[id]; }
  /// Words of a value: one for each element of a fragment, else for each lane of each component.
  size_t word_count_of(ValueId id) const {
    const Type& type = program_.values[id];
    if (type.is_fragment()) return size_t{type.fragment.rows()} * type.fragment.columns();
    return size_t{type.width} * lanes_of(id);
  }
  uint32_t lanes_of(ValueId id) const {
    return program_.values[id].varying ? program_.wave_lanes : 1;
  }
  int32_t scalar(ValueId id, const Wave& wave) const {
    return number<int32_t>(wave.words[offsets_[id]]);
  }

  const Program& program_;
  std::vector<Step> steps_;
  uint64_t steps_left_;
  std::vector<size_t> offsets_;  // value -> its first word
  std::vector<Wave> waves_;
  GroupOrder order_;
  std::vector<GlobalBuffer> buffers_;
  std::vector<LocalBuffer> locals_;
  std::array<uint32_t, 3> group_ = {0, 0, 0};
  uint32_t first_wave_ = 0;  // of the workgroup, counted over the whole grid
  std::vector<Word> carried_;
};

}  // namespace leat::ir
