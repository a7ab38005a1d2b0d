// The builder's instructions beyond arithmetic and plain memory: what lanes exchange, asynchronous
// copies and fragments. None of them is folded, save that equal lanes need no exchange.
#include "leat/base/check.h"
#include "leat/ir/builder.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

constexpr Type kUniformInt = {Scalar::i32, 1, false};

bool is_plain_32(const Type& type) {
  return type.width == 1 && !type.is_fragment() &&
         (type.scalar == Scalar::f32 || type.scalar == Scalar::i32);
}

int64_t layout_of(const Builder::FragmentPlace& place) {
  return (place.by_columns ? kByColumns : 0) | (place.swizzled ? kSwizzled : 0) |
         (place.in_words ? kInWords : 0);
}

}  // namespace

ValueId Builder::shuffle(ValueId value, ValueId index) {
  CHECK(is_plain_32(type(value)) && type(index).scalar == Scalar::i32 && type(index).width == 1);
  if (!type(value).varying) return value;
  return append_here({.op = Opcode::shuffle}, std::array{value, index},
                     {type(value).scalar, 1, type(index).varying});
}

ValueId Builder::shuffle(Opcode op, ValueId value, int64_t amount) {
  CHECK(is_shuffle(op) && op != Opcode::shuffle && is_plain_32(type(value)));
  CHECK(amount >= 0 && amount < program_.wave_lanes);
  if (!type(value).varying || amount == 0) return value;
  return append_here({.op = op, .imm = amount}, std::span(&value, 1),
                     {type(value).scalar, 1, true});
}

ValueId Builder::dot(Opcode op, ValueId a, ValueId b, ValueId c) {
  CHECK(is_dot(op));
  const Scalar sum = op == Opcode::dot_bf16 ? Scalar::f32 : Scalar::i32;
  Type result = common_type(a, b, sum);
  CHECK(type(a).scalar == Scalar::i32 && type(b).scalar == Scalar::i32 && type(c).scalar == sum);
  CHECK(result.width == 1 && type(c).width == 1);
  result.varying = result.varying || type(c).varying;
  return emit(op, result, std::array{a, b, c});
}

void Builder::copy_async(uint32_t local, ValueId index, uint32_t parameter, ValueId source,
                         int count, ValueId mask) {
  CHECK(local < program_.locals.size() && parameter < program_.parameters.size());
  const DType storage = program_.locals[local].storage;
  CHECK(program_.parameters[parameter].storage == storage);
  const int64_t bytes = size_bytes_of(storage) * count;
  CHECK(bytes == 4 || bytes == 8 || bytes == 16);
  const bool masked = mask != kNone && constant(mask).value_or(0) == 0;
  std::vector<ValueId> operands = {index, source};
  if (masked) operands.push_back(mask);
  append({.op = Opcode::copy_async,
          .masked = masked,
          .slot = local,
          .source = parameter,
          .imm = count},
         operands, {}, open_blocks_.size() - 1);
}

void Builder::copy_commit() {
  append({.op = Opcode::copy_commit}, {}, {}, open_blocks_.size() - 1);
}

void Builder::copy_wait(int pending) {
  append({.op = Opcode::copy_wait, .imm = pending}, {}, {}, open_blocks_.size() - 1);
}

void Builder::prefetch(uint32_t parameter, ValueId index, int64_t count) {
  CHECK(parameter < program_.parameters.size() && (type(index) == Type{Scalar::i32, 1, false}));
  append({.op = Opcode::prefetch, .slot = parameter, .imm = count}, std::span(&index, 1), {},
         open_blocks_.size() - 1);
}

ValueId Builder::fragment_fill(const Fragment& fragment, ValueId value) {
  const Scalar scalar = compute_of(fragment.element);
  CHECK(fragment.role == Role::sum && (type(value) == Type{scalar, 1, false}));
  return append_here({.op = Opcode::fragment_fill}, std::span(&value, 1),
                     {scalar, 1, false, fragment});
}

ValueId Builder::fragment_load(const Fragment& fragment, const FragmentPlace& place) {
  CHECK(type(place.index) == kUniformInt && type(place.stride) == kUniformInt);
  const Opcode op = place.is_local ? Opcode::fragment_load_local : Opcode::fragment_load;
  return append_here({.op = op, .slot = place.slot, .imm = layout_of(place)},
                     std::array{place.index, place.stride},
                     {compute_of(fragment.element), 1, false, fragment});
}

void Builder::fragment_store(const FragmentPlace& place, ValueId fragment) {
  CHECK(type(place.index) == kUniformInt && type(place.stride) == kUniformInt);
  CHECK(type(fragment).fragment.role == Role::sum);
  const Opcode op = place.is_local ? Opcode::fragment_store_local : Opcode::fragment_store;
  append({.op = op, .slot = place.slot, .imm = layout_of(place)},
         std::array{place.index, place.stride, fragment}, {}, open_blocks_.size() - 1);
}

ValueId Builder::mma(ValueId a, ValueId b, ValueId c) {
  CHECK(type(a).fragment.role == Role::a && type(b).fragment.role == Role::b);
  CHECK(type(c).fragment.role == Role::sum);
  return append_here({.op = Opcode::mma}, std::array{a, b, c}, type(c));
}

ValueId Builder::mma_wait(ValueId sum, int pending) {
  CHECK(type(sum).fragment.role == Role::sum);
  return append_here({.op = Opcode::mma_wait, .imm = pending}, std::span(&sum, 1), type(sum));
}

ValueId Builder::fragment_element(Opcode op, ValueId sum, int64_t number) {
  CHECK(is_fragment_element(op) && type(sum).fragment.role == Role::sum);
  const Scalar scalar = op == Opcode::fragment_part ? type(sum).scalar : Scalar::i32;
  return append_here({.op = op, .imm = number}, std::span(&sum, 1), {scalar, 1, true});
}

}  // namespace leat::ir
