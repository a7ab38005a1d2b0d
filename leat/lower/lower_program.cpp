// Operators that are no loops and expressions, each a wave program written for it once, for every
// target. They work along rows, which are counted by the node's extents: either every lane walks a
// row of its own, or a wave takes one row and its lanes share it.
#include <limits>

#include "leat/lower/address.h"
#include "leat/lower/conversions.h"
#include "leat/lower/expr_lowering.h"
#include "leat/lower/lower.h"
#include "leat/lower/lower_recurrent.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();
constexpr int64_t kElementsAtOnce = 4;
/// Elements of a row that a lane adds up one after the other, before they join the others.
constexpr int64_t kRowStretch = 32;

class ProgramLowering {
 public:
  ProgramLowering(const StepSource& source, const ProgramParams& params)
      : schedule_(source.schedule),
        node_(source.node),
        numbers_(source.numbers),
        program_(*node_.program),
        shares_rows_(params.lanes_row == 1),
        builder_("program", source.target.wave_lanes, 1),
        slots_(declare_parameters(builder_, source)),
        lanes_(source.target.wave_lanes),
        rows_(product_of(numbers_.extents)),
        length_(numbers_.inputs[0].shape[program_.axis]),
        storage_(schedule_.placements[node_.inputs[0]].storage),
        type_(type_of_elements(schedule_.graph.tensors[node_.inputs[0]].dtype, storage_)),
        waves_of_row_(waves_of_row()) {
    const Number groups = shares_rows_ ? rows_ * Number(waves_of_row_) : divided_up(rows_, lanes_);
    const ValueId group = start_groups(builder_, groups, source.target);
    lane_ = builder_.lane_id();
    part_ = builder_.rem(group, waves_of_row_);
    row_ = shares_rows_ ? builder_.div(group, waves_of_row_)
                        : builder_.add(builder_.mul(group, builder_.i32(lanes_)), lane_);
    exists_ = builder_.binary(Opcode::lt_i, row_, builder_.i32(rows_));
    coordinates_ = decompose(builder_, row_, numbers_.extents);
  }

  StepProgram emit() {
    switch (program_.op) {
      case ProgramOp::scan:
      case ProgramOp::scan_product: emit_scan(); break;
      case ProgramOp::top_k: emit_top_k(); break;
      case ProgramOp::softmax:
      case ProgramOp::log_softmax: emit_softmax(); break;
      case ProgramOp::normalise: emit_normalise(); break;
      case ProgramOp::scatter: emit_scatter(); break;
      case ProgramOp::recurrence:
      case ProgramOp::written:
      case ProgramOp::linear_attention: CHECK(false);  // lower_program has them elsewhere
    }
    return builder_.finish_step();
  }

 private:
  /// Address of the row's element `at` in a tensor of these strides.
  ValueId address(const Numbers& strides, ValueId at) {
    LinearForm form;
    for (size_t d = 0; d < strides.size(); ++d) {
      form.add(strides[d], d == program_.axis ? at : coordinates_[d]);
    }
    return build(builder_, form);
  }
  ValueId load(ValueId at, ValueId mask) {
    return load_from(slots_.input_slots[0], numbers_.inputs[0].strides, at, mask);
  }
  /// Of a tensor stored as input 0 is.
  ValueId load_from(uint32_t slot, const Numbers& strides, ValueId at, ValueId mask) {
    const ValueId value = builder_.load(slot, address(strides, at), 1, mask);
    return storage_ == DType::u32 ? builder_.convert(Opcode::widen_u, value) : value;
  }
  void store(size_t result, ValueId at, ValueId value, ValueId mask) {
    const TensorId output = node_.results[result].output;
    const bool is_wide = size_bytes_of(schedule_.placements[output].storage) == 8;
    const ir::Scalar scalar = builder_.type(value).scalar;
    if (scalar == ir::Scalar::i32 && is_wide) value = builder_.convert(Opcode::widen_i, value);
    if (scalar == ir::Scalar::i64 && !is_wide) value = builder_.convert(Opcode::narrow_i, value);
    builder_.store(slots_.result_slots[result], address(numbers_.outputs[result].strides, at),
                   value, mask);
  }
  ValueId number(double value) { return constant_of(builder_, type_, value); }
  bool is_wide() const { return type_ != ScalarType::f32 && type_ != ScalarType::i32; }
  ValueId from_its_end(ValueId at) {
    return program_.reverse ? builder_.sub(builder_.i32(length_ - 1), at) : at;
  }
  /// Whole numbers of fewer bits wrap.
  ValueId wrapped(ValueId value) {
    const DType dtype = schedule_.graph.tensors[node_.results[0].output].dtype;
    const int64_t bits = 8 * size_bytes_of(dtype);
    if (is_float(type_) || bits >= 32) return value;
    const ValueId mask = builder_.i32((int64_t{1} << bits) - 1);
    const bool has_sign = dtype == DType::i8 || dtype == DType::i16;
    const int64_t low = has_sign ? int64_t{1} << (bits - 1) : 0;
    const ValueId moved = builder_.add(value, builder_.i32(low));
    const ValueId lowest = builder_.i32(low);
    return builder_.sub(builder_.binary(Opcode::and_i, moved, mask), lowest);
  }

  // --- Running sums and products -----------------------------------------------------------------

  ValueId neutral() { return number(program_.op == ProgramOp::scan_product ? 1 : 0); }
  ValueId combined(ValueId a, ValueId b) {
    return program_.op == ProgramOp::scan_product ? builder_.mul(a, b) : builder_.add(a, b);
  }

  /// Over the elements [first, first + rounds) of the row; the value after them. Behind the row's
  /// end it means nothing, and nobody stores it.
  ValueId walk(ValueId first, const Number& rounds, ValueId begin, bool stores) {
    const ValueId init[] = {begin};
    return builder_.repeat(
        builder_.i32(rounds), init, true, [&](ValueId counter, std::span<const ValueId> carried) {
          const ValueId number = builder_.add(first, counter);
          const ValueId at = from_its_end(number);
          ValueId mask = exists_;
          if (shares_rows_) {
            mask = builder_.logical_and(
                mask, builder_.binary(Opcode::lt_i, number, builder_.i32(length_)));
          }
          const ValueId next = combined(carried[0], load(at, mask));
          if (stores) {
            store(0, at, wrapped(program_.exclusive ? carried[0] : next), mask);
          }
          return std::vector<ValueId>{next};
        })[0];
  }

  /// Where lanes share a row, each has a stretch of it: it walks the stretch, learns from local
  /// memory what the lanes before have, and walks the stretch again.
  void emit_scan() {
    if (!shares_rows_) {
      const ValueId begin = neutral();
      walk(builder_.i32(0), length_, begin, true);
      return;
    }
    const Number stretch = divided_up(length_, lanes_);
    const ValueId first = builder_.mul(lane_, builder_.i32(stretch));
    const uint32_t parts = shared("sums", walk(first, stretch, neutral(), false));
    const ValueId init[] = {neutral()};
    const ValueId before = builder_.repeat(
        builder_.i32(lanes_), init, true, [&](ValueId other, std::span<const ValueId> carried) {
          const ValueId part = builder_.load_local(parts, other);
          const ValueId is_before = builder_.binary(Opcode::lt_i, other, lane_);
          return std::vector<ValueId>{
              combined(carried[0], builder_.select(is_before, part, neutral()))};
        })[0];
    walk(first, stretch, before, true);
  }

  /// Every lane's value in local memory, where all see it.
  uint32_t shared(const char* name, ValueId value) {
    const DType storage = !is_wide()        ? type_ == ScalarType::f32 ? DType::f32 : DType::i32
                          : is_float(type_) ? DType::f64
                                            : DType::i64;
    const uint32_t parts = builder_.local(name, storage, 1, static_cast<uint32_t>(lanes_));
    builder_.store_local(parts, lane_, value);
    builder_.barrier();
    return parts;
  }

  // --- Soft-max ----------------------------------------------------------------------------------

  /// Calls body(position, mask, carried) for this lane's elements of the row, some at once.
  template <typename Body>
  ValueId for_each_element(ValueId init, Body body) {
    const int64_t step = shares_rows_ ? lanes_ : 1;
    const Number rounds = divided_up(length_, step);
    const ValueId begin[] = {init};
    return builder_.repeat(
        builder_.i32(rounds), begin, true,
        [&](ValueId round, std::span<const ValueId> carried) {
          if (!shares_rows_) return std::vector<ValueId>{body(round, exists_, carried[0])};
          const ValueId at = builder_.add(builder_.mul(round, builder_.i32(lanes_)), lane_);
          ValueId mask = exists_;
          if (has_rest(length_, lanes_)) {
            mask = builder_.logical_and(mask,
                                        builder_.binary(Opcode::lt_i, at, builder_.i32(length_)));
          }
          return std::vector<ValueId>{body(at, mask, carried[0])};
        },
        static_cast<int>(rounds.is_open() ? kElementsAtOnce
                                          : smaller_of(rounds, kElementsAtOnce).fixed()))[0];
  }
  /// The sum or the maximum over the lanes that share the row.
  ValueId joined(Opcode op, ValueId own) {
    if (!shares_rows_) return own;
    if (!is_wide()) return builder_.reduce(op, own);
    const uint32_t parts = shared("parts", own);
    const ValueId init[] = {builder_.load_local(parts, builder_.i32(0))};
    const ValueId end = builder_.i32(lanes_);
    return builder_.loop(
        builder_.i32(1), end, 1, init, false, [&](ValueId lane, std::span<const ValueId> carried) {
          const ValueId part = builder_.load_local(parts, lane);
          const bool adds = op == Opcode::reduce_add;
          return std::vector<ValueId>{
              builder_.binary(adds ? Opcode::add_f : Opcode::max_f, carried[0], part)};
        })[0];
  }

  void emit_softmax() {
    const ValueId lowest = number(-std::numeric_limits<double>::infinity());
    const ValueId largest = joined(
        Opcode::reduce_max, for_each_element(lowest, [&](ValueId at, ValueId mask, ValueId most) {
          const ValueId value = builder_.select(mask, load(at, mask), lowest);
          return builder_.binary(Opcode::max_f, most, value);
        }));
    const auto power = [&](ValueId at, ValueId mask) {
      return apply_function(builder_, Opcode::exp, builder_.sub(load(at, mask), largest));
    };
    const ValueId sum =
        joined(Opcode::reduce_add,
               for_each_element(number(0), [&](ValueId at, ValueId mask, ValueId before) {
                 const ValueId none = number(0);
                 return builder_.add(before, builder_.select(mask, power(at, mask), none));
               }));
    const bool is_log = program_.op == ProgramOp::log_softmax;
    const ValueId log_sum = is_log ? apply_function(builder_, Opcode::log, sum) : ir::kNone;
    for_each_element(number(0), [&](ValueId at, ValueId mask, ValueId nothing) {
      const ValueId value = is_log ? builder_.sub(builder_.sub(load(at, mask), largest), log_sum)
                                   : builder_.binary(Opcode::div_f, power(at, mask), sum);
      store(0, at, value, mask);
      return nothing;
    });
  }

  // --- Normalisation -----------------------------------------------------------------------------

  /// Of term(position) over the row. A lane adds up stretches, so that no sum is one long chain.
  template <typename Term>
  ValueId sum_of(Term term) {
    const int64_t owners = shares_rows_ ? lanes_ : 1;
    const Number stretches = divided_up(length_, owners * kRowStretch);
    const ValueId begin[] = {number(0)};
    const auto add_stretch = [&](ValueId stretch, std::span<const ValueId> total) {
      const ValueId first = builder_.mul(stretch, builder_.i32(kRowStretch));
      const auto add = [&](ValueId counter, std::span<const ValueId> sum) {
        const ValueId round = builder_.add(first, counter);
        const ValueId place = builder_.mul(round, builder_.i32(owners));
        const ValueId at = shares_rows_ ? builder_.add(place, lane_) : place;
        const ValueId is_inside = builder_.binary(Opcode::lt_i, at, builder_.i32(length_));
        const ValueId mask = builder_.logical_and(exists_, is_inside);
        const ValueId nothing = number(0);
        const ValueId value = builder_.select(mask, term(at, mask), nothing);
        return std::vector<ValueId>{builder_.add(sum[0], value)};
      };
      const ValueId end = builder_.i32(kRowStretch);
      const std::vector<ValueId> own = builder_.loop(builder_.i32(0), end, 1, begin, true, add,
                                                     static_cast<int>(kElementsAtOnce));
      return std::vector<ValueId>{builder_.add(total[0], own[0])};
    };
    const ValueId end = builder_.i32(stretches);
    const std::vector<ValueId> total =
        builder_.loop(builder_.i32(0), end, 1, begin, true, add_stretch);
    return joined(Opcode::reduce_add, total[0]);
  }

  /// Of an input that has an element for each position of a row.
  ValueId load_parameter(size_t input, ValueId at, ValueId mask) {
    const ValueId place = builder_.mul(at, builder_.i32(numbers_.inputs[input].strides[0]));
    return builder_.load(slots_.input_slots[input], place, 1, mask);
  }

  ValueId row_length() {
    if (!length_.is_open()) return number(static_cast<double>(length_.fixed()));
    const ir::Scalar scalar = type_ == ScalarType::f64 ? ir::Scalar::f64 : ir::Scalar::f32;
    return builder_.convert(Opcode::float_from_int, builder_.i32(length_), scalar);
  }

  void emit_normalise() {
    const Normalisation& options = program_.normalisation;
    const ValueId count = row_length();
    const auto mean_of = [&](auto term) {
      return builder_.binary(Opcode::div_f, sum_of(term), count);
    };
    const ValueId mean = options.centres
                             ? mean_of([&](ValueId at, ValueId mask) { return load(at, mask); })
                             : number(0);
    const auto centred = [&](ValueId at, ValueId mask) {
      const ValueId value = load(at, mask);
      return options.centres ? builder_.sub(value, mean) : value;
    };
    const ValueId variance = mean_of([&](ValueId at, ValueId mask) {
      const ValueId value = centred(at, mask);
      return builder_.mul(value, value);
    });
    const ValueId root =
        builder_.unary(Opcode::sqrt, builder_.add(variance, number(options.epsilon)));
    const ValueId factor = builder_.binary(Opcode::div_f, number(1), root);
    for_each_element(number(0), [&](ValueId at, ValueId mask, ValueId nothing) {
      const ValueId normal = builder_.mul(centred(at, mask), factor);
      ValueId value = builder_.mul(normal, load_parameter(1, at, mask));
      if (options.has_bias) value = builder_.add(value, load_parameter(2, at, mask));
      store(0, at, value, mask);
      return nothing;
    });
  }

  // --- The first in order ------------------------------------------------------------------------

  /// A whole number that is the larger, the earlier the element stands. The bits of a float, as a
  /// number with sign and magnitude, grow with it, NaN above all; adding 0 makes one of the zeros.
  ValueId key_of(ValueId value) {
    ValueId key = value;
    if (is_float(type_)) {
      const ValueId is_number = builder_.binary(Opcode::eq_f, value, value);
      const ValueId bits =
          builder_.convert(Opcode::bits_from_float, builder_.add(value, number(0)));
      const ValueId magnitude = builder_.binary(Opcode::and_i, bits, key_constant(highest_key()));
      const ValueId is_negative = builder_.binary(Opcode::lt_i, bits, key_constant(0));
      key = builder_.select(is_negative, builder_.sub(key_constant(0), magnitude), bits);
      key = builder_.select(is_number, key, key_constant(highest_key()));
    } else if (type_ == ScalarType::u64) {
      key = builder_.binary(Opcode::xor_i, value, key_constant(INT64_MIN));
    }
    return program_.ascending ? builder_.binary(Opcode::xor_i, key, key_constant(-1)) : key;
  }
  int64_t highest_key() const { return is_wide() ? INT64_MAX : kHighest; }
  ValueId key_constant(int64_t value) {
    return is_wide() ? builder_.i64(value) : builder_.i32(value);
  }

  /// The largest key of the lanes. Lanes compare words: first the upper ones, then, of those that
  /// have it, the lower ones, which have no sign.
  ValueId largest_key(ValueId own) {
    if (!is_wide()) return builder_.reduce(Opcode::reduce_max, own);
    const ValueId width = builder_.i64(32);
    const ValueId high =
        builder_.convert(Opcode::narrow_i, builder_.binary(Opcode::shr_s, own, width));
    const ValueId most = builder_.reduce(Opcode::reduce_max, high);
    const ValueId lowest = builder_.i32(kLowest);
    const ValueId low =
        builder_.binary(Opcode::xor_i, builder_.convert(Opcode::narrow_i, own), lowest);
    const ValueId holds = builder_.binary(Opcode::eq_i, high, most);
    const ValueId rest = builder_.reduce(Opcode::reduce_max, builder_.select(holds, low, lowest));
    const ValueId top =
        builder_.binary(Opcode::shl_i, builder_.convert(Opcode::widen_i, most), width);
    return builder_.binary(
        Opcode::or_i, top,
        builder_.convert(Opcode::widen_u, builder_.binary(Opcode::xor_i, rest, lowest)));
  }

  struct Best {
    ValueId key, at;
  };

  /// Of the row's elements that stand after (key, at), the first.
  Best next_after(const Best& last) {
    const ValueId init[] = {key_constant(-highest_key() - 1), builder_.i32(kHighest)};
    const Number rounds = divided_up(length_, lanes_);
    const std::vector<ValueId> own = builder_.repeat(
        builder_.i32(rounds), init, true, [&](ValueId round, std::span<const ValueId> carried) {
          const ValueId at = builder_.add(builder_.mul(round, builder_.i32(lanes_)), lane_);
          const ValueId inside = builder_.binary(Opcode::lt_i, at, builder_.i32(length_));
          const ValueId key = key_of(load(at, inside));
          const ValueId is_left = is_first({last.key, last.at}, {key, at});
          const ValueId is_better = is_first({key, at}, {carried[0], carried[1]});
          const ValueId takes =
              builder_.logical_and(inside, builder_.logical_and(is_left, is_better));
          return std::vector<ValueId>{builder_.select(takes, key, carried[0]),
                                      builder_.select(takes, at, carried[1])};
        });
    const ValueId key = largest_key(own[0]);
    const ValueId holds = builder_.binary(Opcode::eq_i, own[0], key);
    const ValueId at = builder_.select(holds, own[1], builder_.i32(kHighest));
    return {key, builder_.reduce(Opcode::reduce_min, at)};
  }

  ValueId is_first(const Best& a, const Best& b) {
    const ValueId larger = builder_.binary(Opcode::lt_i, b.key, a.key);
    const ValueId equal = builder_.binary(Opcode::eq_i, a.key, b.key);
    const ValueId before = builder_.binary(Opcode::lt_i, a.at, b.at);
    return builder_.binary(Opcode::or_b, larger, builder_.logical_and(equal, before));
  }

  /// One round over the row for each that is wanted.
  void emit_top_k() {
    const Number& k = numbers_.outputs[0].shape[program_.axis];
    const ValueId first = builder_.binary(Opcode::eq_i, lane_, builder_.i32(0));
    const ValueId mask = builder_.logical_and(first, exists_);
    const ValueId init[] = {key_constant(highest_key()), builder_.i32(-1)};
    builder_.repeat(builder_.i32(k), init, false,
                    [&](ValueId round, std::span<const ValueId> carried) {
                      const Best found = next_after({carried[0], carried[1]});
                      store(0, round, load(found.at, mask), mask);
                      store(1, round, found.at, mask);
                      return std::vector<ValueId>{found.key, found.at};
                    });
  }

  // --- Elements to places that are looked up
  // -------------------------------------------------------

  /// Where waves share a row, each place of it belongs to one lane, which copies what was there and
  /// takes every update of it in order; all lanes look at all updates. So no lane waits for
  /// another.
  int64_t waves_of_row() const {
    constexpr int64_t kPlacesOfLane = 8, kWavesMax = 64;
    int64_t waves = 1;
    if (program_.op != ProgramOp::scatter || !shares_rows_ || length_.is_open()) return waves;
    while (waves < kWavesMax && waves * lanes_ * kPlacesOfLane < length_.fixed()) waves *= 2;
    return waves;
  }

  void emit_scatter() {
    const int64_t owners = shares_rows_ ? lanes_ * waves_of_row_ : 1;
    const ValueId owner = builder_.add(builder_.mul(part_, builder_.i32(lanes_)), lane_);
    for_each_count(divided_up(length_, owners), [&](ValueId round) {
      ValueId at = round;
      ValueId mask = exists_;
      if (shares_rows_) {
        at = builder_.add(builder_.mul(round, builder_.i32(owners)), owner);
        mask = builder_.logical_and(mask, builder_.binary(Opcode::lt_i, at, builder_.i32(length_)));
      }
      store(0, at, load(at, mask), mask);
    });
    const Numbers& shape = numbers_.inputs[2].shape;
    ValueId has_updates = exists_;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d == program_.axis || shape[d] == numbers_.extents[d]) continue;
      has_updates = builder_.logical_and(
          has_updates, builder_.binary(Opcode::lt_i, coordinates_[d], builder_.i32(shape[d])));
    }
    Numbers place_strides = numbers_.inputs[1].strides;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d != program_.axis && numbers_.inputs[1].shape[d] == 1) place_strides[d] = 0;
    }
    for_each_count(shape[program_.axis], [&](ValueId at) {
      const ValueId given =
          builder_.load(slots_.input_slots[1], address(place_strides, at), 1, has_updates);
      ValueId takes = builder_.logical_and(
          has_updates, builder_.binary(Opcode::lt_u, given, builder_.i32(length_)));
      const ValueId place = builder_.select(takes, given, builder_.i32(0));
      if (shares_rows_) {
        takes = builder_.logical_and(
            takes, builder_.binary(Opcode::eq_i, builder_.rem(place, owners), owner));
      }
      ValueId value = load_from(slots_.input_slots[2], numbers_.inputs[2].strides, at, takes);
      if (program_.updates != ReduceOp::none) {
        const ValueId before =
            load_from(slots_.result_slots[0], numbers_.outputs[0].strides, place, takes);
        value = updated(before, value);
      }
      store(0, place, value, takes);
    });
  }

  /// Calls body(i) for 0 .. count-1, one after the other.
  template <typename Body>
  void for_each_count(const Number& count, Body body) {
    builder_.repeat(builder_.i32(count), {}, false, [&](ValueId i, std::span<const ValueId>) {
      body(i);
      return std::vector<ValueId>{};
    });
  }

  ValueId updated(ValueId before, ValueId update) {
    switch (program_.updates) {
      case ReduceOp::none: return update;
      case ReduceOp::sum: return wrapped(builder_.add(before, update));
      case ReduceOp::product: return wrapped(builder_.mul(before, update));
      case ReduceOp::min: return extreme(ScalarOp::min, before, update);
      case ReduceOp::max: return extreme(ScalarOp::max, before, update);
      case ReduceOp::max_number: return builder_.select(is_less(before, update), update, before);
    }
    return update;
  }
  ValueId extreme(ScalarOp op, ValueId before, ValueId update) {
    if (is_float(type_)) return apply_extreme(builder_, op, before, update);
    const bool is_min = op == ScalarOp::min;
    const ValueId takes = is_min ? is_less(update, before) : is_less(before, update);
    return builder_.select(takes, update, before);
  }
  ValueId is_less(ValueId a, ValueId b) {
    if (type_ == ScalarType::u64) return apply_unsigned(builder_, ScalarOp::less, a, b);
    return builder_.binary(is_float(type_) ? Opcode::lt_f : Opcode::lt_i, a, b);
  }

  const Schedule& schedule_;
  const Node& node_;
  const NodeNumbers& numbers_;
  const Program& program_;
  bool shares_rows_;
  KernelBuilder builder_;
  KernelSlots slots_;
  int64_t lanes_;
  Number rows_, length_;
  DType storage_;    // of the input
  ScalarType type_;  // of its elements
  int64_t waves_of_row_;
  ValueId lane_ = ir::kNone, part_ = ir::kNone, row_ = ir::kNone, exists_ = ir::kNone;
  std::vector<ValueId> coordinates_;
};

}  // namespace

StepProgram lower_program(const StepSource& source, const ProgramParams& params) {
  switch (source.node.program->op) {
    case ProgramOp::recurrence: return lower_recurrence(source);
    case ProgramOp::linear_attention: return lower_linear_attention(source);
    case ProgramOp::written: {
      Result<ir::Program> program = written_program(source.schedule, source.node, source.target);
      CHECK(program.has_value());  // check_kernel has seen it
      return {.program = std::move(*program), .words = {}};
    }
    case ProgramOp::scan:
    case ProgramOp::scan_product:
    case ProgramOp::top_k:
    case ProgramOp::softmax:
    case ProgramOp::log_softmax:
    case ProgramOp::normalise:
    case ProgramOp::scatter: break;
  }
  return ProgramLowering(source, params).emit();
}

}  // namespace leat
