// The programs: each returns a whole wave program through the builder. Inputs come from buffers, so
// that the builder cannot fold them.
#include "leat/emit/spirv_programs_test.h"

namespace leat::spirv {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

using Values = std::vector<ValueId>;

// A value of each width is loaded, worked on and stored again.
ir::Program float_program(uint8_t width) {
  Builder b("float_ops", 32, 2);
  const uint32_t x = b.parameter("x", DType::f32, false, 1024);
  const uint32_t y = b.parameter("y", DType::f32, true, 1024);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId a = b.load(x, index, width);
  const ValueId c = b.load(x, b.add(index, b.i32(64)), width);
  ValueId sum = b.f32(0.5f);
  for (const Opcode op :
       {Opcode::neg, Opcode::abs, Opcode::sqrt, Opcode::floor, Opcode::ceil, Opcode::round_even}) {
    sum = b.binary(Opcode::add_f, sum, b.unary(op, a));
  }
  for (const Opcode op :
       {Opcode::add_f, Opcode::sub_f, Opcode::mul_f, Opcode::div_f, Opcode::min_f, Opcode::max_f}) {
    sum = b.binary(Opcode::add_f, sum, b.binary(op, a, c));
  }
  sum = b.fma(sum, b.f32(2.0f), c);
  for (const Opcode op : {Opcode::lt_f, Opcode::le_f, Opcode::eq_f}) {
    sum = b.select(b.binary(op, sum, c), sum, a);
  }
  b.store(y, index, sum);
  return b.finish();
}

ir::Program int_program(uint8_t width, DType storage) {
  Builder b("int_ops", 32, 1);
  const uint32_t x = b.parameter("x", storage, false, 1024);
  const uint32_t y = b.parameter("y", storage, true, 1024);
  const ValueId index = b.lane_id();
  const ValueId a = b.load(x, index, width);
  const ValueId c = b.load(x, b.add(index, b.i32(32)), width);
  ValueId sum = a;
  for (const Opcode op : {Opcode::add_i, Opcode::sub_i, Opcode::mul_i, Opcode::div_i, Opcode::rem_i,
                          Opcode::min_i, Opcode::max_i, Opcode::and_i, Opcode::or_i, Opcode::xor_i,
                          Opcode::shl_i, Opcode::shr_s, Opcode::shr_u}) {
    sum = b.binary(Opcode::xor_i, sum, b.binary(op, a, c));
  }
  sum = b.add(sum, b.unary(Opcode::popcount, c));
  const ValueId p = b.binary(Opcode::lt_i, a, c), q = b.binary(Opcode::le_i, a, c);
  const ValueId r = b.binary(Opcode::lt_u, a, c), s = b.binary(Opcode::eq_i, a, c);
  const ValueId all =
      b.binary(Opcode::xor_b, b.binary(Opcode::and_b, p, b.not_b(q)), b.binary(Opcode::or_b, r, s));
  ValueId whole = b.convert(Opcode::int_from_bool, all);
  if (storage == DType::i64) whole = b.convert(Opcode::widen_u, whole);
  b.store(y, index, b.select(all, sum, whole));
  return b.finish();
}

ir::Program conversion_program(uint8_t width) {
  Builder b("conversions", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 128);
  const uint32_t y = b.parameter("y", DType::i32, true, 128);
  const uint32_t z = b.parameter("z", DType::f32, true, 256);
  const ValueId a = b.load(x, b.lane_id(), width);
  const ValueId whole = b.convert(Opcode::int_from_float, a);
  b.store(y, b.lane_id(), whole);
  b.store(z, b.lane_id(), b.convert(Opcode::float_from_int, whole));
  const ValueId bits = b.convert(Opcode::bits_from_float, a);
  const ValueId flipped = b.binary(Opcode::xor_i, bits, b.i32(1));
  b.store(z, b.add(b.lane_id(), b.i32(32)), b.convert(Opcode::float_from_bits, flipped));
  return b.finish();
}

// Every storage type and width, by index, with a stride of the lane and as a broadcast.
ir::Program memory_program(DType storage) {
  Builder b("memory", 32, 2);
  const uint32_t x = b.parameter("x", storage, false, 4096);
  b.parameter("unused", DType::f32, false, 1);
  const uint32_t y = b.parameter("y", storage, true, 3 * 2048);
  int64_t place = 0;
  const ValueId base = b.mul(b.wave_id(), b.i32(64));
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}, uint8_t{4}}) {
    const ValueId near = b.load(x, b.add(base, b.lane_id()), width);
    const ValueId far = b.load(x, b.add(base, b.mul(b.lane_id(), b.i32(3))), width);
    const ValueId odd = b.load(x, b.binary(Opcode::xor_i, b.lane_id(), b.i32(5)), width);
    const ValueId one = b.load(x, base, width);
    const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(7));
    const ValueId some = b.load(x, b.add(base, b.lane_id()), width, mask);
    // Each width and each of the two stores has 1024 elements of y to itself.
    const ValueId sum = b.add(b.add(near, far), b.add(odd, one));
    b.store(y, b.add(b.add(base, b.lane_id()), b.i32(place / width)), sum);
    const ValueId spread = b.add(base, b.mul(b.lane_id(), b.i32(2)));
    b.store(y, b.add(spread, b.i32((place + 1024) / width)), some, mask);
    place += 2048;
  }
  return b.finish();
}

ir::Program local_program(ir::Scalar scalar, uint8_t width) {
  Builder b("local", 32, 2);
  const DType storage = scalar == ir::Scalar::f32 ? DType::f32 : DType::i32;
  const uint32_t x = b.parameter("x", storage, false, 4096);
  const uint32_t y = b.parameter("y", storage, true, 4096);
  const uint32_t tile = b.local("tile", storage, width, 64);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  b.store_local(tile, index, b.load(x, index, width));
  b.barrier();
  b.store(y, index, b.load_local(tile, b.binary(Opcode::xor_i, index, b.i32(1)), width));
  b.barrier();
  const ValueId element = b.mul(index, b.i32(width));
  for (int i = 0; i < width; ++i) b.store_local(tile, b.add(element, b.i32(i)), b.load(x, index));
  b.barrier();
  b.store(y, b.add(index, b.i32(1024)),
          b.load_local(tile, b.binary(Opcode::xor_i, element, b.i32(width - 1))));
  return b.finish();
}

// A loop in a loop, the inner bounds known only on the device, a branch with an else inside.
ir::Program control_program() {
  Builder b("control", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 4096);
  const uint32_t n = b.parameter("n", DType::i32, false, 8);
  const uint32_t y = b.parameter("y", DType::f32, true, 4096);
  const ValueId limit = b.load(n, b.group_id(0));
  const Values init = {b.f32(0.0f), b.i32(0)};
  const auto outer = [&](ValueId i, std::span<const ValueId> carried) {
    const Values inner_init = {carried[0]};
    const Values inner = b.loop(
        b.i32(0), limit, 3, inner_init, true,
        [&](ValueId j, std::span<const ValueId> sum) {
          const ValueId read = b.load(x, b.add(b.add(i, j), b.lane_id()));
          return Values{b.add(sum[0], read)};
        },
        4);
    b.branch(
        b.binary(Opcode::lt_i, i, limit), [&] { b.store(y, b.lane_id(), inner[0]); },
        [&] {
          b.branch(b.binary(Opcode::eq_i, i, limit),
                   [&] { b.store(y, b.add(b.lane_id(), b.i32(32)), inner[0]); });
        });
    return Values{inner[0], b.add(carried[1], limit)};
  };
  const Values result = b.loop(b.i32(2), b.i32(13), 2, init, true, outer, 2);
  b.store(y, b.add(b.lane_id(), b.i32(64)),
          b.add(result[0], b.convert(Opcode::float_from_int, result[1])));
  return b.finish();
}

ir::Program rounds_program() {
  Builder b("rounds", 32, 2);
  const uint32_t x = b.parameter("x", DType::i32, false, 4096);
  const uint32_t y = b.parameter("y", DType::i32, true, 4096);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId own = b.binary(Opcode::and_i, b.load(x, index), b.i32(7));
  const Values init = {b.load(x, b.add(index, b.i32(64)))};
  const auto body = [&](ValueId i, std::span<const ValueId> sum) {
    const ValueId next = b.add(b.mul(sum[0], b.i32(3)), i);
    return Values{b.select(b.binary(Opcode::lt_i, i, own), next, sum[0])};
  };
  b.store(y, index, b.loop(b.i32(0), b.rounds(own), 1, init, true, body)[0]);
  return b.finish();
}

ir::Program wide_loop_program() {
  Builder b("wide_loop", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 4096);
  const uint32_t y = b.parameter("y", DType::f32, true, 8192);
  const Values init(250, b.f32(0.0f));
  const Values sums =
      b.loop(b.i32(0), b.i32(128), 1, init, true, [&](ValueId k, std::span<const ValueId> carried) {
        const ValueId a = b.load(x, b.add(k, b.lane_id()));
        Values next;
        for (const ValueId value : carried) {
          next.push_back(b.fma(a, b.f32(1.5f), value));
        }
        return next;
      });
  for (size_t i = 0; i < sums.size(); ++i) {
    b.store(y, b.add(b.lane_id(), b.i32(static_cast<int64_t>(i) * 32)), sums[i]);
  }
  return b.finish();
}

ir::Program vector_program() {
  Builder b("vectors", 16, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 4096);
  const uint32_t y = b.parameter("y", DType::f32, true, 4096);
  const ValueId four = b.load(x, b.lane_id(), 4);
  const Values swapped = {b.extract(four, 3), b.extract(four, 2)};
  b.store(y, b.lane_id(), b.vector(swapped));
  const ValueId mask = b.binary(Opcode::lt_i, b.group_id(1), b.group_id(2));
  b.store(y, b.add(b.lane_id(), b.i32(16)), b.select(mask, four, b.mul(four, four)));
  return b.finish();
}

/// Masked and unmasked additions at every kind of address, and a counter behind which the last
/// workgroup reads. `vectors`: the buffers are accessed by four elements too.
ir::Program atomic_program(bool vectors) {
  Builder b("atomics", 32, 2);
  b.program().grid = {4, 1, 1};
  const uint32_t counts = b.parameter("counts", DType::i32, true, 4096);
  const uint32_t y = b.parameter("y", DType::i32, true, 4096);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(7));
  const ValueId own = b.atomic_add(counts, index, b.i32(1));
  const ValueId same = b.atomic_add(counts, b.i32(100), index, mask);
  const ValueId any = b.atomic_add(counts, b.binary(Opcode::xor_i, own, b.i32(1)), b.i32(2));
  b.store(y, index, b.add(any, same));
  if (vectors) b.store(y, b.add(index, b.i32(64)), b.load(y, b.add(index, b.i32(128)), 4));
  const ValueId is_last = b.last_group(counts, b.i32(200), b.i32(4));
  b.branch(is_last, [&] { b.store(y, b.add(index, b.i32(2048)), b.load(y, b.lane_id())); });
  const ValueId again = b.last_group(counts, b.group_id(0), b.i32(1));
  b.store(y, b.i32(0), b.convert(Opcode::int_from_bool, again));
  return b.finish();
}

ir::Program shuffle_program(uint32_t waves) {
  Builder b("shuffles", 32, waves);
  const uint32_t x = b.parameter("x", DType::f32, false, 1024);
  const uint32_t n = b.parameter("n", DType::i32, false, 1024);
  const uint32_t y = b.parameter("y", DType::f32, true, 1024);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId value = b.load(x, index), whole = b.load(n, index);
  ValueId sum = b.shuffle(value, whole);
  for (const Opcode op : {Opcode::shuffle_xor, Opcode::shuffle_up, Opcode::shuffle_down}) {
    sum = b.add(sum, b.shuffle(op, value, 3));
    sum = b.add(sum, b.convert(Opcode::float_from_int, b.shuffle(op, whole, 8)));
  }
  b.store(y, index, b.add(sum, b.shuffle(value, b.i32(5))));
  return b.finish();
}

Target vulkan_target(CodeFormat format) {
  Target target;
  target.name = "test";
  target.format = format;
  target.shader_64bit = true;
  return target;
}

}  // namespace

ir::Program reduce_program(uint32_t lanes, uint32_t waves) {
  Builder b("reduce", lanes, waves);
  const uint32_t x = b.parameter("x", DType::f32, false, 4096);
  const uint32_t m = b.parameter("m", DType::i32, false, 4096);
  const uint32_t y = b.parameter("y", DType::f32, true, 4096);
  const uint32_t z = b.parameter("z", DType::i32, true, 4096);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(lanes)), b.lane_id());
  const ValueId value = b.load(x, index), whole = b.load(m, index);
  int64_t place = 0;
  for (const Opcode op : {Opcode::reduce_add, Opcode::reduce_min, Opcode::reduce_max}) {
    b.store(y, b.add(b.wave_id(), b.i32(place * waves)), b.reduce(op, value));
    b.store(z, b.add(b.wave_id(), b.i32(place * waves)), b.reduce(op, whole));
    ++place;
  }
  return b.finish();
}

Target pointers_target() { return vulkan_target(CodeFormat::spirv_pointers); }

Target bindings_target() { return vulkan_target(CodeFormat::spirv_bindings); }

Target opengl_target() {
  Target target = bindings_target();
  target.opengl = true;
  target.storage_f16 = false;
  target.shader_64bit = false;
  return target;
}

ir::Program saxpy_program(uint32_t count) {
  Builder b("saxpy", 32, 4);
  b.program().grid = {(count + 127) / 128, 1, 1};
  const uint32_t alpha = b.parameter("alpha", DType::f32, false, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, count);
  const uint32_t out = b.parameter("out", DType::f32, true, count);
  // One by one: in which order the arguments of a call are made is the compiler's choice.
  const ValueId wave_in_group = b.wave_id(), lane = b.lane_id();
  const ValueId wave = b.add(b.mul(b.group_id(0), b.i32(4)), wave_in_group);
  const ValueId index = b.add(b.mul(wave, b.i32(32)), lane);
  const ValueId mask = b.binary(Opcode::lt_i, index, b.i32(count));
  const ValueId scale = b.load(alpha, b.i32(0));
  const ValueId y = b.load(out, index, 1, mask);
  const ValueId sum = b.fma(scale, b.load(x, index, 1, mask), y);
  b.store(out, index, sum, mask);
  return b.finish();
}

ir::Program empty_program() { return Builder("empty", 32, 1).finish(); }

ir::Program loop_program(int64_t trips, int unroll) {
  Builder b("loop", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, (1 + trips * 2) * 32);
  const uint32_t y = b.parameter("y", DType::f32, true, 32);
  const Values init = {b.f32(0.0f)};
  const Values sum = b.loop(
      b.i32(1), b.i32(1 + trips * 2), 2, init, true,
      [&](ValueId i, std::span<const ValueId> carried) {
        return Values{b.add(carried[0], b.load(x, b.add(b.mul(i, b.i32(32)), b.lane_id())))};
      },
      unroll);
  b.store(y, b.lane_id(), sum[0]);
  return b.finish();
}

std::vector<NamedProgram> shader_programs() {
  std::vector<NamedProgram> programs = {
      {"vectors", vector_program},
      {"control", control_program},
      {"wide_loop", wide_loop_program},
      {"saxpy", [] { return saxpy_program(1000); }},
      {"empty", empty_program},
      {"atomics", [] { return atomic_program(false); }},
      {"atomics_and_vectors", [] { return atomic_program(true); }},
      {"rounds", rounds_program},
      {"memory_f32", [] { return memory_program(DType::f32); }},
      {"memory_i32", [] { return memory_program(DType::i32); }},
      {"memory_f16", [] { return memory_program(DType::f16); }, true},
      {"memory_i16", [] { return memory_program(DType::i16); }, true},
      {"memory_u16", [] { return memory_program(DType::u16); }, true},
      {"memory_u32", [] { return memory_program(DType::u32); }},
  };
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}, uint8_t{4}}) {
    const std::string suffix = "_" + std::to_string(width);
    programs.push_back({"float" + suffix, [width] { return float_program(width); }});
    programs.push_back({"int" + suffix, [width] { return int_program(width, DType::i32); }});
    programs.push_back(
        {"int_64" + suffix, [width] { return int_program(width, DType::i64); }, true});
    programs.push_back({"conversion" + suffix, [width] { return conversion_program(width); }});
    programs.push_back(
        {"local_f32" + suffix, [width] { return local_program(ir::Scalar::f32, width); }});
    programs.push_back(
        {"local_i32" + suffix, [width] { return local_program(ir::Scalar::i32, width); }});
  }
  for (const auto& [trips, unroll] : {std::pair(7, 1), {8, 4}, {7, 3}, {3, 8}, {1000, 1000}}) {
    programs.push_back({"loop_" + std::to_string(trips) + "_by_" + std::to_string(unroll),
                        [trips, unroll] { return loop_program(trips, unroll); }});
  }
  return programs;
}

std::vector<NamedProgram> all_programs() {
  std::vector<NamedProgram> programs = shader_programs();
  programs.push_back({"reduce_1", [] { return reduce_program(1, 1); }});
  programs.push_back({"reduce_32", [] { return reduce_program(32, 1); }});
  programs.push_back({"reduce_16x4", [] { return reduce_program(16, 4); }});
  programs.push_back({"shuffles", [] { return shuffle_program(1); }});
  programs.push_back({"shuffles_of_waves", [] { return shuffle_program(2); }});
  return programs;
}

}  // namespace leat::spirv
