// The builder's structure: values, blocks, value numbering, memory and control flow. The folding is
// in builder_arithmetic.cpp and builder_index.cpp.
//
// The instruction of a loop or branch is appended to its block after its regions are built. So what
// is appended to an outer block meanwhile stands before it, which is how invariant values leave
// loops.
#include "leat/ir/builder.h"

#include <algorithm>
#include <bit>

#include "leat/base/check.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

constexpr Type kUniformInt = {Scalar::i32, 1, false};

/// A longer chain of sums counts as no stride: uniform_part walks it.
constexpr uint32_t kStrideDepthMax = 64;

bool is_identifier_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool has_same_shape(Type a, Type b) {
  return a.scalar == b.scalar && a.width == b.width && a.fragment == b.fragment;
}

}  // namespace

size_t Builder::KeyHash::operator()(const Key& key) const {
  uint64_t hash = static_cast<uint64_t>(key.op) * 31 + static_cast<uint64_t>(key.imm);
  hash = hash * 5 + static_cast<uint64_t>(key.scalar);
  for (ValueId operand : key.operands) hash = (hash ^ operand) * 0x9e3779b97f4a7c15ull;
  return static_cast<size_t>(hash ^ (hash >> 32));
}

Builder::Builder(std::string name, uint32_t wave_lanes, uint32_t waves_per_workgroup) {
  CHECK(std::has_single_bit(wave_lanes) && waves_per_workgroup >= 1);
  program_.name = std::move(name);
  program_.wave_lanes = wave_lanes;
  program_.waves_per_workgroup = waves_per_workgroup;
  open_block(false);
}

Program Builder::finish() {
  CHECK(open_blocks_.size() == 1);
  CHECK(!grid_used_ || *grid_used_ == program_.grid);
  drop_unused();
  return std::move(program_);
}

// --- Parameters and locals ---

std::string Builder::unique_name(std::string name) const {
  for (char& c : name) {
    if (!is_identifier_character(c)) c = '_';
  }
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name.insert(name.begin(), '_');
  const auto is_taken = [this](const std::string& candidate) {
    const auto has_name = [&](const auto& declared) { return declared.name == candidate; };
    return std::ranges::any_of(program_.parameters, has_name) ||
           std::ranges::any_of(program_.locals, has_name);
  };
  if (!is_taken(name)) return name;
  int number = 2;
  while (is_taken(name + "_" + std::to_string(number))) ++number;
  return name + "_" + std::to_string(number);
}

uint32_t Builder::parameter(std::string name, DType storage, bool written, int64_t element_count) {
  CHECK(storage != DType::boolean);
  program_.parameters.push_back({unique_name(std::move(name)), storage, written, element_count});
  return static_cast<uint32_t>(program_.parameters.size() - 1);
}

uint32_t Builder::local(std::string name, DType storage, uint8_t width, uint32_t count) {
  CHECK(storage != DType::boolean && (width == 1 || width == 2 || width == 4) && count > 0);
  program_.locals.push_back({unique_name(std::move(name)), storage, width, count});
  return static_cast<uint32_t>(program_.locals.size() - 1);
}

// --- Values ---

ValueId Builder::add_value(Type type, Facts facts) {
  program_.values.push_back(type);
  facts_.push_back(facts);
  return static_cast<ValueId>(program_.values.size() - 1);
}

size_t Builder::depth_of(ValueId value) const {
  CHECK(value < facts_.size());
  const size_t depth = block_depths_[facts_[value].block];
  // A value of a block that was closed is not visible here.
  CHECK(depth < open_blocks_.size() && open_blocks_[depth].id == facts_[value].block);
  return depth;
}

InstructionId Builder::append(Instruction instruction, std::span<const ValueId> operands,
                              std::span<const Type> results, size_t depth) {
  CHECK(operands.size() <= UINT8_MAX && results.size() <= UINT8_MAX);
  for (ValueId operand : operands) CHECK(depth_of(operand) <= depth);
  const InstructionId id = static_cast<InstructionId>(program_.instructions.size());
  const BlockId block = open_blocks_[depth].id;
  instruction.operand_count = static_cast<uint8_t>(operands.size());
  instruction.result_count = static_cast<uint8_t>(results.size());
  instruction.first_operand = static_cast<uint32_t>(program_.operands.size());
  instruction.first_result = static_cast<ValueId>(program_.values.size());
  program_.operands.insert(program_.operands.end(), operands.begin(), operands.end());
  for (Type type : results) {
    Facts facts{.definition = id, .block = block};
    if (!type.varying) facts.lane_stride = 0;
    add_value(type, facts);
  }
  program_.instructions.push_back(instruction);
  program_.blocks[block].instructions.push_back(id);
  return id;
}

ValueId Builder::append_here(Instruction instruction, std::span<const ValueId> operands,
                             Type type) {
  const InstructionId id =
      append(instruction, operands, std::span(&type, 1), open_blocks_.size() - 1);
  return program_.instructions[id].first_result;
}

// A pure instruction goes to the outermost block that it can leave loops for. A branch is not left:
// what stands in it is not to be paid by the waves that skip it. Constants go to the top. Division
// by what may be 0 stays, as some devices trap.
size_t Builder::depth_for(Opcode op, std::span<const ValueId> operands) const {
  if (op == Opcode::constant) return 0;
  size_t needed = 0;
  for (ValueId operand : operands) needed = std::max(needed, depth_of(operand));
  const bool may_trap =
      (op == Opcode::div_i || op == Opcode::rem_i) && constant(operands[1]).value_or(0) == 0;
  size_t depth = open_blocks_.size() - 1;
  while (!may_trap && depth > needed && open_blocks_[depth].is_loop) --depth;
  return depth;
}

Range Builder::result_range(Opcode op, std::span<const ValueId> operands, int64_t imm) const {
  if (op == Opcode::constant) return {imm, imm};
  if (op == Opcode::lane_id) return {0, program_.wave_lanes - 1};
  if (op == Opcode::wave_id) return {0, program_.waves_per_workgroup - 1};
  if (op == Opcode::group_id) {
    return {0, grid_used_ ? int64_t{(*grid_used_)[static_cast<size_t>(imm)]} - 1 : INT32_MAX};
  }
  if (op == Opcode::int_from_bool) return {0, 1};
  if (op == Opcode::popcount) return {0, 32};
  if (op == Opcode::select) return union_of(range(operands[1]), range(operands[2]));
  if (class_of(op) == OpClass::binary_int) {
    return range_of(op, range(operands[0]), range(operands[1]));
  }
  return kAnyInt;
}

// Of a varying i32; a uniform value has stride 0 from append.
void Builder::note_lane_stride(Opcode op, std::span<const ValueId> operands, Facts& facts) const {
  if (op == Opcode::lane_id) facts.lane_stride = 1;
  if (op != Opcode::mul_i && op != Opcode::add_i && op != Opcode::sub_i) return;
  const Facts& first = facts_[operands[0]];
  const Facts& second = facts_[operands[1]];
  const std::optional<int64_t> a = first.lane_stride;
  const std::optional<int64_t> b = op == Opcode::mul_i ? constant(operands[1]) : second.lane_stride;
  if (!a || !b) return;
  const int64_t stride = op == Opcode::mul_i ? *a * *b : op == Opcode::add_i ? *a + *b : *a - *b;
  facts.stride_depth = 1 + std::max(first.stride_depth, second.stride_depth);
  const bool fits = stride > INT32_MIN && stride <= INT32_MAX;  // INT32_MIN is kIndexed
  if (fits && facts.stride_depth <= kStrideDepthMax) facts.lane_stride = stride;
}

ValueId Builder::emit(Opcode op, Type type, std::span<const ValueId> operands, int64_t imm) {
  Key key{.op = op, .operand_count = static_cast<uint32_t>(operands.size()), .imm = imm};
  CHECK(operands.size() <= key.operands.size());
  std::ranges::copy(operands, key.operands.begin());
  key.scalar = type.scalar;
  if (const auto found = known_.find(key); found != known_.end()) return found->second;

  const bool is_index = type.scalar == Scalar::i32 && type.width == 1;
  const Range range = is_index ? result_range(op, operands, imm) : kAnyInt;
  if (is_index && range.is_single() && op != Opcode::constant) return i32(range.lo);
  const size_t depth = depth_for(op, operands);
  const InstructionId id = append({.op = op, .imm = imm}, operands, std::span(&type, 1), depth);
  const ValueId result = program_.instructions[id].first_result;
  facts_[result].range = range;
  if (is_index && type.varying) {
    Facts facts = facts_[result];
    note_lane_stride(op, operands, facts);
    facts_[result] = facts;
  }
  known_.emplace(key, result);
  open_blocks_[depth].known.push_back(key);
  return result;
}

ValueId Builder::constant_value(Scalar scalar, int64_t bits) {
  return emit(Opcode::constant, {scalar, 1, false}, {}, bits);
}

ValueId Builder::f32(float value) {
  return constant_value(Scalar::f32, int64_t{std::bit_cast<uint32_t>(value)});
}

ValueId Builder::i32(int64_t value) {
  CHECK(value >= INT32_MIN && value <= int64_t{UINT32_MAX});
  return constant_value(Scalar::i32, static_cast<int32_t>(value));
}

ValueId Builder::i64(int64_t value) { return constant_value(Scalar::i64, value); }

ValueId Builder::f64(double value) {
  return constant_value(Scalar::f64, std::bit_cast<int64_t>(value));
}

ValueId Builder::b1(bool value) { return constant_value(Scalar::b1, value ? 1 : 0); }

ValueId Builder::lane_id() { return emit(Opcode::lane_id, {Scalar::i32, 1, true}, {}); }

ValueId Builder::wave_id() { return emit(Opcode::wave_id, kUniformInt, {}); }

ValueId Builder::group_id(int axis) {
  CHECK(axis >= 0 && axis < 3);
  if (!grid_used_ && program_.grid != std::array<uint32_t, 3>{1, 1, 1}) grid_used_ = program_.grid;
  return emit(Opcode::group_id, kUniformInt, {}, axis);
}

std::optional<int64_t> Builder::constant(ValueId value) const {
  const InstructionId id = facts_[value].definition;
  if (id == kNone || program_.instructions[id].op != Opcode::constant) return std::nullopt;
  return program_.instructions[id].imm;
}

// --- Memory ---

ValueId Builder::uniform_part(ValueId value) {
  if (!type(value).varying) return value;
  const Instruction instruction = program_.instructions[facts_[value].definition];
  if (instruction.op == Opcode::lane_id) return i32(0);
  const ValueId a = operand(instruction, 0);
  const ValueId b = operand(instruction, 1);
  if (instruction.op == Opcode::mul_i) return mul(uniform_part(a), b);
  CHECK(instruction.op == Opcode::add_i || instruction.op == Opcode::sub_i);
  const ValueId uniform_a = uniform_part(a);
  return binary(instruction.op, uniform_a, uniform_part(b));
}

Builder::Address Builder::address_of(ValueId index, bool varying_access) {
  CHECK(has_same_shape(type(index), kUniformInt));
  if (!type(index).varying) return {index, varying_access ? 0 : kIndexed, varying_access};
  const std::optional<int64_t> stride = facts_[index].lane_stride;
  if (!stride) return {index, kIndexed, true};
  return {uniform_part(index), static_cast<int32_t>(*stride), true};
}

ValueId Builder::load(uint32_t parameter, ValueId index, uint8_t width, ValueId mask) {
  CHECK(parameter < program_.parameters.size() && (width == 1 || width == 2 || width == 4));
  CHECK(mask == kNone || (type(mask).scalar == Scalar::b1 && type(mask).width == 1));
  const Scalar scalar = compute_of(program_.parameters[parameter].storage);
  if (mask != kNone && constant(mask) == 0) {
    const std::vector<ValueId> zeros(width, constant_value(scalar, 0));
    return vector(zeros);
  }
  const bool masked = mask != kNone && !constant(mask);
  const Address address = address_of(index, masked && type(mask).varying);
  std::vector<ValueId> operands = {address.index};
  if (masked) operands.push_back(mask);
  return append_here(
      {.op = Opcode::load, .masked = masked, .slot = parameter, .lane_stride = address.lane_stride},
      operands, {scalar, width, address.varying});
}

ValueId Builder::load_once(uint32_t parameter, uint32_t index) {
  CHECK(parameter < program_.parameters.size() && !program_.parameters[parameter].written);
  CHECK(program_.parameters[parameter].storage == DType::i32);
  const ValueId place = i32(index);
  Key key{.op = Opcode::load, .operand_count = 1, .imm = parameter, .scalar = Scalar::i32};
  key.operands[0] = place;
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  const InstructionId id = append({.op = Opcode::load, .slot = parameter}, std::span(&place, 1),
                                  std::span(&kUniformInt, 1), 0);
  const ValueId result = program_.instructions[id].first_result;
  known_.emplace(key, result);
  open_blocks_[0].known.push_back(key);
  return result;
}

void Builder::store(uint32_t parameter, ValueId index, ValueId value, ValueId mask) {
  CHECK(parameter < program_.parameters.size() && program_.parameters[parameter].written);
  CHECK(type(value).scalar == compute_of(program_.parameters[parameter].storage));
  CHECK(mask == kNone || (type(mask).scalar == Scalar::b1 && type(mask).width == 1));
  if (mask != kNone && constant(mask) == 0) return;
  const bool masked = mask != kNone && !constant(mask);
  const Address address = address_of(index, type(value).varying || (masked && type(mask).varying));
  std::vector<ValueId> operands = {address.index, value};
  if (masked) operands.push_back(mask);
  append({.op = Opcode::store,
          .masked = masked,
          .slot = parameter,
          .lane_stride = address.lane_stride},
         operands, {}, open_blocks_.size() - 1);
}

ValueId Builder::load_local(uint32_t local, ValueId index, uint8_t width) {
  CHECK(local < program_.locals.size() && has_same_shape(type(index), kUniformInt));
  const LocalMemory& memory = program_.locals[local];
  CHECK(width == 1 || memory.width % width == 0);
  return append_here({.op = Opcode::load_local, .slot = local}, std::span(&index, 1),
                     {compute_of(memory.storage), width, type(index).varying});
}

// Of a program whose lanes all store to one place, which the index's type did not show.
ValueId Builder::as_varying(ValueId index) {
  const Type varying = {Scalar::i32, 1, true};
  const ValueId zero = append_here({.op = Opcode::mul_i}, std::array{lane_id(), i32(0)}, varying);
  return append_here({.op = Opcode::add_i}, std::array{index, zero}, varying);
}

void Builder::store_local(uint32_t local, ValueId index, ValueId value) {
  CHECK(local < program_.locals.size() && has_same_shape(type(index), kUniformInt));
  const LocalMemory& memory = program_.locals[local];
  const Type stored = type(value);
  CHECK(stored.scalar == compute_of(memory.storage) && memory.width % stored.width == 0);
  if (stored.varying && !type(index).varying) index = as_varying(index);
  append({.op = Opcode::store_local, .slot = local}, std::array{index, value}, {},
         open_blocks_.size() - 1);
}

void Builder::barrier() { append({.op = Opcode::barrier}, {}, {}, open_blocks_.size() - 1); }

ValueId Builder::atomic_add(uint32_t parameter, ValueId index, ValueId value, ValueId mask) {
  CHECK(parameter < program_.parameters.size() && program_.parameters[parameter].written);
  CHECK(size_bytes_of(program_.parameters[parameter].storage) == 4 && type(value).width == 1);
  CHECK(type(value).scalar == compute_of(program_.parameters[parameter].storage));
  CHECK(mask == kNone || (type(mask).scalar == Scalar::b1 && type(mask).width == 1));
  if (mask != kNone && constant(mask) == 0) return constant_value(type(value).scalar, 0);
  const bool masked = mask != kNone && !constant(mask);
  const Address address = address_of(index, true);
  std::vector<ValueId> operands = {address.index, value};
  if (masked) operands.push_back(mask);
  return append_here({.op = Opcode::atomic_add,
                      .masked = masked,
                      .slot = parameter,
                      .lane_stride = address.lane_stride},
                     operands, {type(value).scalar, 1, true});
}

ValueId Builder::last_group(uint32_t parameter, ValueId index, ValueId count) {
  CHECK(parameter < program_.parameters.size() && program_.parameters[parameter].written);
  CHECK(program_.parameters[parameter].storage == DType::i32);
  CHECK(type(index) == kUniformInt && type(count) == kUniformInt);
  return append_here({.op = Opcode::last_group, .slot = parameter}, std::array{index, count},
                     {Scalar::b1, 1, false});
}

ValueId Builder::reduce(Opcode op, ValueId a) {
  CHECK(op == Opcode::reduce_add || op == Opcode::reduce_min || op == Opcode::reduce_max);
  const Type operand = type(a);
  CHECK((operand.scalar == Scalar::i32 || operand.scalar == Scalar::f32) && operand.width == 1);
  if (operand.varying) {
    return append_here({.op = op}, std::span(&a, 1), {operand.scalar, 1, false});
  }
  // All lanes hold the same; a halving tree of doublings is exactly a product.
  if (op != Opcode::reduce_add || program_.wave_lanes == 1) return a;
  if (operand.scalar == Scalar::i32) return mul(a, i32(program_.wave_lanes));
  return mul(a, f32(static_cast<float>(program_.wave_lanes)));
}

ValueId Builder::rounds(ValueId own) {
  const Type operand = type(own);
  CHECK(operand.scalar == Scalar::i32 && operand.width == 1);
  if (!operand.varying) return own;
  return append_here({.op = Opcode::rounds}, std::span(&own, 1), {Scalar::i32, 1, false});
}

// --- Control flow ---

BlockId Builder::open_block(bool is_loop) {
  const BlockId id = static_cast<BlockId>(program_.blocks.size());
  program_.blocks.emplace_back();
  block_depths_.push_back(open_blocks_.size());
  open_blocks_.push_back({.id = id, .is_loop = is_loop});
  return id;
}

void Builder::close_block() {
  for (const Key& key : open_blocks_.back().known) known_.erase(key);
  open_blocks_.pop_back();
}

std::vector<ValueId> Builder::loop(ValueId lo, ValueId hi, int64_t step,
                                   std::span<const ValueId> init, bool varying_carried,
                                   const LoopBody& body, int unroll) {
  return loop(lo, hi, step, init, std::vector<bool>(init.size(), varying_carried), body, unroll);
}

std::vector<ValueId> Builder::loop(ValueId lo, ValueId hi, int64_t step,
                                   std::span<const ValueId> init,
                                   const std::vector<bool>& varying_carried, const LoopBody& body,
                                   int unroll) {
  CHECK(type(lo) == kUniformInt && type(hi) == kUniformInt);
  CHECK(step > 0 && step <= INT32_MAX && unroll >= 0 && varying_carried.size() == init.size());
  const Range first = range(lo);
  const Range end = range(hi);
  if (end.hi <= first.lo) return {init.begin(), init.end()};
  if (first.hi < end.lo && end.hi - first.lo <= step) return body(lo, init);

  std::vector<ValueId> operands = {lo, hi, i32(step)};
  operands.insert(operands.end(), init.begin(), init.end());
  std::vector<Type> types;
  for (size_t i = 0; i < init.size(); ++i) {
    types.push_back(type(init[i]));
    if (varying_carried[i] && !types.back().is_fragment()) types.back().varying = true;
  }
  const BlockId block = open_block(true);
  const int64_t rounds_after_first = (end.hi - 1 - first.lo) / step;
  const int64_t last = first.is_single() ? first.lo + rounds_after_first * step : end.hi - 1;
  // A counter of 32 bits that passes them behind the last round goes on below.
  const bool can_wrap = end.hi - 1 + step > INT32_MAX;
  const Range range = can_wrap ? kAnyInt : Range{first.lo, last};
  const ValueId counter =
      add_value(kUniformInt, {.block = block, .range = range, .lane_stride = 0});
  std::vector<ValueId> carried;
  for (Type type : types) carried.push_back(add_value(type, {.block = block}));
  for (ValueId value : carried) {
    if (!type(value).varying) facts_[value].lane_stride = 0;
  }
  program_.blocks[block].first_argument = counter;
  program_.blocks[block].argument_count = static_cast<uint32_t>(1 + carried.size());

  const std::vector<ValueId> next = body(counter, carried);
  CHECK(next.size() == carried.size());
  for (size_t i = 0; i < next.size(); ++i) {
    CHECK(has_same_shape(type(next[i]), types[i]));
    // A uniform carried value that a round makes varying must be declared so: varying_carried.
    CHECK(types[i].varying || !type(next[i]).varying);
  }
  append({.op = Opcode::yield}, next, {}, open_blocks_.size() - 1);
  close_block();

  const InstructionId id = append({.op = Opcode::loop, .imm = unroll, .regions = {block, kNone}},
                                  operands, types, open_blocks_.size() - 1);
  std::vector<ValueId> results(types.size());
  for (size_t i = 0; i < results.size(); ++i) {
    results[i] = program_.instructions[id].first_result + static_cast<ValueId>(i);
  }
  return results;
}

void Builder::branch(ValueId condition, const std::function<void()>& then,
                     const std::function<void()>& otherwise) {
  CHECK((type(condition) == Type{Scalar::b1, 1, false}));
  if (const std::optional<int64_t> known = constant(condition)) {
    if (*known != 0) then();
    if (*known == 0 && otherwise) otherwise();
    return;
  }
  Instruction instruction{.op = Opcode::branch};
  instruction.regions[0] = open_block(false);
  then();
  close_block();
  if (otherwise) {
    instruction.regions[1] = open_block(false);
    otherwise();
    close_block();
  }
  append(instruction, std::span(&condition, 1), {}, open_blocks_.size() - 1);
}

// --- The end ---

// Uses are counted over the instructions in blocks; one backward sweep in order of creation
// suffices, as an operand is always older than its user. Unused loads go too.
void Builder::drop_unused() {
  std::vector<bool> used(program_.values.size(), false);
  std::vector<bool> kept(program_.instructions.size(), false);
  const auto is_droppable = [](Opcode op) {
    return is_pure(op) || op == Opcode::load || op == Opcode::load_local || is_shuffle(op) ||
           op == Opcode::fragment_fill || op == Opcode::fragment_load ||
           op == Opcode::fragment_load_local || op == Opcode::mma || op == Opcode::mma_wait ||
           is_fragment_element(op) || op == Opcode::reduce_add || op == Opcode::reduce_min ||
           op == Opcode::reduce_max || op == Opcode::rounds;
  };
  for (size_t i = program_.instructions.size(); i-- > 0;) {
    const Instruction& instruction = program_.instructions[i];
    kept[i] = !is_droppable(instruction.op) || used[instruction.first_result];
    if (!kept[i]) continue;
    for (ValueId operand : program_.operands_of(instruction)) used[operand] = true;
  }
  for (Block& block : program_.blocks) {
    std::erase_if(block.instructions, [&](InstructionId id) { return !kept[id]; });
  }
}

}  // namespace leat::ir
