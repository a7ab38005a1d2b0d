// Recurrent layers and linear attention: one workgroup for each sequence, which keeps the state in
// local memory from step to step. Uniform values are those of the sequence and the step; lanes are
// hidden units, or columns of the state.
#include "leat/lower/lower_recurrent.h"

#include "leat/lower/address.h"
#include "leat/lower/conversions.h"
#include "leat/lower/expr_lowering.h"
#include "leat/lower/lower.h"
#include "leat/tensor/recurrent_cell.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// Sums that one lane of a recurrence carries at once: enough to hide the latency of additions.
constexpr int64_t kSumsMax = 8;
constexpr int64_t kLanesOfWorkgroup = 256;
constexpr int kRoundsAtOnce = 4;

/// The arithmetic of RecurrentCell.
struct BuilderMath {
  using Value = ValueId;
  KernelBuilder& b;
  ScalarType type;

  ValueId number(double x) { return constant_of(b, type, x); }
  ValueId add(ValueId x, ValueId y) { return b.add(x, y); }
  ValueId sub(ValueId x, ValueId y) { return b.sub(x, y); }
  ValueId mul(ValueId x, ValueId y) { return b.mul(x, y); }
  ValueId div(ValueId x, ValueId y) { return b.binary(Opcode::div_f, x, y); }
  ValueId larger(ValueId x, ValueId y) { return b.binary(Opcode::max_f, x, y); }
  ValueId smaller(ValueId x, ValueId y) { return b.binary(Opcode::min_f, x, y); }
  ValueId is_less(ValueId x, ValueId y) { return b.binary(Opcode::lt_f, x, y); }
  ValueId select(ValueId condition, ValueId x, ValueId y) { return b.select(condition, x, y); }
  ValueId abs(ValueId x) { return b.unary(Opcode::abs, x); }
  ValueId exp(ValueId x) { return apply_function(b, Opcode::exp, x); }
  ValueId expm1(ValueId x) { return apply_function(b, Opcode::expm1, x); }
  ValueId log1p(ValueId x) { return apply_function(b, Opcode::log1p, x); }
  ValueId tanh(ValueId x) { return apply_function(b, Opcode::tanh, x); }
};

/// How the workgroup's lanes share the hidden units: each has some, a workgroup's lanes apart.
struct UnitShares {
  UnitShares(int64_t units, int64_t gates, const Target& target) {
    // Waves of a CPU do not wait for each other; those of a software GPU gain nothing by it.
    const int64_t wanted = divided_up(units, target.wave_lanes).fixed();
    const int64_t most =
        std::max<int64_t>(1, std::min<int64_t>(kLanesOfWorkgroup, target.lanes_per_workgroup_max) /
                                 target.wave_lanes);
    waves = target.local_memory_is_fast ? std::min(wanted, most) : 1;
    lanes = waves * target.wave_lanes;
    const int64_t blocks = divided_up(units, lanes).fixed();
    per_round = std::clamp<int64_t>(kSumsMax / gates, 1, blocks);
    rounds = divided_up(blocks, per_round).fixed();
  }
  /// Of one state, with the units that lanes of the last round have in vain.
  int64_t padded() const { return rounds * per_round * lanes; }

  int64_t waves = 1, lanes = 1, per_round = 1, rounds = 1;
};

int64_t gate_count(CellKind cell) {
  switch (cell) {
    case CellKind::rnn: return 1;
    case CellKind::gru: return 3;
    case CellKind::lstm: return 4;
  }
  return 1;
}

bool resets_first(const Recurrence& r) { return r.cell == CellKind::gru && !r.linear_before_reset; }

int64_t state_count(const Recurrence& r) {
  return 2 + (r.cell == CellKind::lstm ? 1 : 0) + (resets_first(r) ? 2 : 0);
}

DType local_type(ScalarType type) { return type == ScalarType::f64 ? DType::f64 : DType::f32; }

/// What both programs know of their node.
class RecurrentLowering {
 public:
  RecurrentLowering(const StepSource& source, uint32_t waves)
      : numbers_(source.numbers),
        builder_("program", source.target.wave_lanes, waves),
        slots_(declare_parameters(builder_, source)),
        type_(type_of_elements(source.schedule.graph.tensors[source.node.inputs[0]].dtype,
                               slots_.input_storage[0])),
        math_{builder_, type_} {}

 protected:
  ValueId address(const TensorNumbers& tensor, std::initializer_list<ValueId> at) {
    LinearForm form;
    size_t d = 0;
    for (const ValueId coordinate : at) form.add(tensor.strides[d++], coordinate);
    return build(builder_, form);
  }
  ValueId load(size_t input, std::initializer_list<ValueId> at, ValueId mask = ir::kNone) {
    const ValueId value =
        builder_.load(slots_.input_slots[input], address(numbers_.inputs[input], at), 1, mask);
    return converted_to(value, type_);
  }
  void store(size_t result, std::initializer_list<ValueId> at, ValueId value, ValueId mask) {
    const bool is_wide = slots_.result_storage[result] == DType::f64;
    const ValueId stored = converted_to(value, is_wide ? ScalarType::f64 : ScalarType::f32);
    builder_.store(slots_.result_slots[result], address(numbers_.outputs[result], at), stored,
                   mask);
  }
  ValueId i32(int64_t value) { return builder_.i32(value); }
  /// `mask` also where the lane's place is below `count`.
  ValueId below(ValueId place, int64_t count, ValueId mask) {
    return builder_.logical_and(mask, builder_.binary(Opcode::lt_i, place, i32(count)));
  }

 private:
  ValueId converted_to(ValueId value, ScalarType type) {
    const bool is_wide = builder_.type(value).scalar == ir::Scalar::f64;
    if (is_wide == (type == ScalarType::f64)) return value;
    return builder_.convert(is_wide ? Opcode::narrow_f : Opcode::widen_f, value);
  }

 protected:
  const NodeNumbers& numbers_;
  KernelBuilder builder_;
  KernelSlots slots_;
  ScalarType type_;
  BuilderMath math_;
};

// --- Recurrence ----------------------------------------------------------------------------------

class RecurrenceLowering : RecurrentLowering {
 public:
  explicit RecurrenceLowering(const StepSource& source)
      : RecurrentLowering(source, static_cast<uint32_t>(shares_of(source).waves)),
        r_(source.node.program->recurrence),
        shares_(shares_of(source)),
        units_(units_of(source.numbers)),
        directions_(source.numbers.inputs[0].shape[2].fixed()),
        steps_(source.numbers.inputs[0].shape[0]) {
    const Number groups = source.numbers.inputs[0].shape[1] * directions_;
    const ValueId group = start_groups(builder_, groups, source.target);
    exists_ = builder_.binary(Opcode::lt_i, group, builder_.i32(groups));
    // A workgroup too many computes what the last one does, and stores nothing.
    const ValueId one = i32(1);
    const ValueId last = builder_.sub(builder_.i32(groups), one);
    const ValueId own = builder_.binary(Opcode::min_i, group, last);
    batch_ = builder_.div(own, directions_);
    direction_ = builder_.rem(own, directions_);
    lane_ = builder_.lane_of_workgroup();
    size_t next = 2;
    if (r_.has_initial) initial_ = next++;
    if (r_.has_extra) extra_ = next++;
    length_ = builder_.i32(steps_);
    if (r_.has_lengths) {
      const ValueId given =
          builder_.load(slots_.input_slots[next], address(numbers_.inputs[next], {batch_}));
      const ValueId within = builder_.binary(Opcode::min_i, given, length_);
      length_ = builder_.binary(Opcode::max_i, i32(0), within);
    }
    hidden_ = local("hidden", 2);
    if (r_.cell == CellKind::lstm) cell_ = local("cell", 1);
    if (resets_first(r_)) update_ = local("update", 1), scaled_ = local("scaled", 1);
  }

  StepProgram emit() {
    for_each_unit([&](ValueId unit) {
      builder_.store_local(hidden_, unit, initial(0, unit));
      if (cell_ != ir::kNone) builder_.store_local(cell_, unit, initial(1, unit));
    });
    builder_.barrier();
    builder_.repeat(builder_.i32(steps_), {}, false, [&](ValueId t, std::span<const ValueId>) {
      emit_step(t);
      return std::vector<ValueId>{};
    });
    // The states move on behind a sequence's end, too, unchanged.
    const ValueId apart = i32(shares_.padded());
    const ValueId current = builder_.mul(builder_.rem(builder_.i32(steps_), 2), apart);
    for_each_unit([&](ValueId unit) {
      const ValueId mask = unit_mask(unit);
      store_state(0, unit, builder_.load_local(hidden_, builder_.add(current, unit)), mask);
      if (cell_ != ir::kNone) store_state(1, unit, builder_.load_local(cell_, unit), mask);
    });
    return builder_.finish_step();
  }

  static int64_t units_of(const NodeNumbers& numbers) { return numbers.inputs[1].shape[2].fixed(); }

 private:
  using Lanes = std::vector<ValueId>;

  static UnitShares shares_of(const StepSource& source) {
    return UnitShares(units_of(source.numbers), gate_count(source.node.program->recurrence.cell),
                      source.target);
  }
  uint32_t local(const char* name, int64_t states) {
    return builder_.local(name, local_type(type_), 1,
                          static_cast<uint32_t>(states * shares_.padded()));
  }
  ValueId unit_mask(ValueId unit) { return below(unit, units_, exists_); }

  /// Calls body(units) for each round of the lane's units.
  template <typename Body>
  void for_each_round(Body body) {
    builder_.repeat(i32(shares_.rounds), {}, false, [&](ValueId round, std::span<const ValueId>) {
      Lanes units;
      for (int64_t u = 0; u < shares_.per_round; ++u) {
        const ValueId number = i32(u);
        const ValueId block = builder_.add(builder_.mul(round, i32(shares_.per_round)), number);
        units.push_back(builder_.add(builder_.mul(block, i32(shares_.lanes)), lane_));
      }
      body(units);
      return std::vector<ValueId>{};
    });
  }
  template <typename Body>
  void for_each_unit(Body body) {
    for_each_round([&](const Lanes& units) {
      for (const ValueId unit : units) body(unit);
    });
  }

  ValueId initial(int64_t which, ValueId unit) {
    if (!r_.has_initial) return math_.number(0);
    const ValueId mask = unit_mask(unit);
    return r_.batch_first ? load(initial_, {i32(which), batch_, direction_, unit}, mask)
                          : load(initial_, {i32(which), direction_, batch_, unit}, mask);
  }
  /// A sequence without a step has no state at its end.
  void store_state(int64_t which, ValueId unit, ValueId state, ValueId mask) {
    const ValueId none = math_.number(0);
    const ValueId value =
        builder_.select(builder_.binary(Opcode::lt_i, i32(0), length_), state, none);
    if (r_.batch_first) return store(1, {i32(which), batch_, direction_, unit}, value, mask);
    store(1, {i32(which), direction_, batch_, unit}, value, mask);
  }
  void store_output(ValueId time, ValueId unit, ValueId value, ValueId mask) {
    if (r_.batch_first) return store(0, {batch_, time, direction_, unit}, value, mask);
    store(0, {time, direction_, batch_, unit}, value, mask);
  }
  ValueId in_gates(int64_t gate, ValueId unit) { return builder_.add(unit, i32(gate * units_)); }
  ValueId input(ValueId time, int64_t gate, ValueId unit) {
    const ValueId mask = unit_mask(unit);
    return load(0, {time, batch_, direction_, in_gates(gate, unit)}, mask);
  }
  ValueId extra(int64_t which, ValueId unit) {
    if (!r_.has_extra) return math_.number(0);
    const ValueId mask = unit_mask(unit);
    return load(extra_, {direction_, i32(which), unit}, mask);
  }

  ValueId load_weight(ValueId from, int64_t gate, ValueId unit) {
    const int64_t padded = numbers_.inputs[1].shape[1].fixed() * kRecurrentBlock;
    const ValueId mask = builder_.binary(Opcode::lt_i, unit, i32(padded));
    return load(1,
                {direction_, builder_.div(unit, kRecurrentBlock), from, i32(gate),
                 builder_.rem(unit, kRecurrentBlock)},
                mask);
  }
  /// For the gates [first, first + count) and the round's units, gate by gate: begin plus the
  /// products with the state at `base` of a local memory.
  Lanes products(Lanes begin, const Lanes& units, int64_t first, int64_t count, uint32_t state,
                 ValueId base) {
    return builder_.repeat(
        i32(units_), begin, true,
        [&](ValueId k, std::span<const ValueId> sums) {
          const ValueId from = builder_.load_local(state, builder_.add(base, k));
          std::vector<ValueId> next;
          for (int64_t g = 0; g < count; ++g) {
            for (const ValueId unit : units) {
              const ValueId weight = load_weight(k, first + g, unit);
              next.push_back(builder_.fma(weight, from, sums[next.size()]));
            }
          }
          return next;
        },
        kRoundsAtOnce);
  }

  /// f(which, x) of the own direction.
  auto activation() {
    return [this](size_t which, ValueId x) {
      const ValueId bound = which < 2 ? clipped(math_, r_.clip, x) : x;
      const CellActivation& forward = r_.activations[0][which];
      const CellActivation& backward = r_.activations[1][which];
      const ValueId first = activated(math_, forward, bound);
      if (directions_ == 1 || forward == backward) return first;
      const ValueId is_first = builder_.binary(Opcode::eq_i, direction_, i32(0));
      return builder_.select(is_first, first, activated(math_, backward, bound));
    };
  }

  void emit_step(ValueId t) {
    const ValueId is_inside = builder_.binary(Opcode::lt_i, t, length_);
    ValueId time = t;
    if (directions_ == 2 || r_.is_reverse) {
      const ValueId mirrored = builder_.sub(builder_.sub(length_, i32(1)), t);
      ValueId is_mirrored = is_inside;
      if (directions_ == 2) {
        is_mirrored =
            builder_.logical_and(is_inside, builder_.binary(Opcode::eq_i, direction_, i32(1)));
      }
      time = builder_.select(is_mirrored, mirrored, t);
    }
    const ValueId parity = builder_.rem(t, 2);
    const ValueId padded = i32(shares_.padded());
    const Moment moment = {.time = time,
                           .is_inside = is_inside,
                           .current = builder_.mul(parity, padded),
                           .next = builder_.mul(builder_.sub(i32(1), parity), padded)};
    if (resets_first(r_)) {
      emit_resets(moment);
      builder_.barrier();
    }
    for_each_round([&](const Lanes& units) { emit_units(moment, units); });
    builder_.barrier();
  }

  struct Moment {
    ValueId time, is_inside;
    ValueId current, next;  // where in `hidden` the states before and after the step lie
  };

  Lanes inputs_of(const Moment& moment, const Lanes& units, int64_t first, int64_t count) {
    Lanes begin;
    for (int64_t g = first; g < first + count; ++g) {
      for (const ValueId unit : units) begin.push_back(input(moment.time, g, unit));
    }
    return begin;
  }

  /// Of a gru that resets before its product: the update gate, and the state times the reset gate.
  void emit_resets(const Moment& moment) {
    auto f = activation();
    const RecurrentCell cell(math_, r_, f);
    for_each_round([&](const Lanes& units) {
      const Lanes sums =
          products(inputs_of(moment, units, 0, 2), units, 0, 2, hidden_, moment.current);
      for (size_t u = 0; u < units.size(); ++u) {
        const ValueId hidden = builder_.load_local(hidden_, builder_.add(moment.current, units[u]));
        builder_.store_local(update_, units[u], cell.gate(sums[u]));
        builder_.store_local(scaled_, units[u],
                             builder_.mul(cell.gate(sums[units.size() + u]), hidden));
      }
    });
  }

  void emit_units(const Moment& moment, const Lanes& units) {
    auto f = activation();
    const RecurrentCell cell(math_, r_, f);
    switch (r_.cell) {
      case CellKind::rnn: {
        const Lanes sums =
            products(inputs_of(moment, units, 0, 1), units, 0, 1, hidden_, moment.current);
        for (size_t u = 0; u < units.size(); ++u) keep(moment, units[u], cell.rnn(sums[u]));
        return;
      }
      case CellKind::gru: return emit_gru(cell, moment, units);
      case CellKind::lstm: return emit_lstm(cell, moment, units);
    }
  }

  template <typename Cell>
  void emit_gru(const Cell& cell, const Moment& moment, const Lanes& units) {
    const size_t count = units.size();
    if (resets_first(r_)) {
      const ValueId base = i32(0);
      const Lanes sums = products(inputs_of(moment, units, 2, 1), units, 2, 1, scaled_, base);
      for (size_t u = 0; u < count; ++u) {
        const ValueId update = builder_.load_local(update_, units[u]);
        keep(moment, units[u], cell.gru(update, sums[u], hidden_before(moment, units[u])));
      }
      return;
    }
    // The hidden gate's product is reset before the input is added.
    Lanes begin = inputs_of(moment, units, 0, 2);
    for (const ValueId unit : units) begin.push_back(extra(0, unit));
    const Lanes sums = products(begin, units, 0, 3, hidden_, moment.current);
    for (size_t u = 0; u < count; ++u) {
      const ValueId reset = cell.gate(sums[count + u]);
      const ValueId product = builder_.mul(reset, sums[2 * count + u]);
      const ValueId sum = builder_.add(input(moment.time, 2, units[u]), product);
      const ValueId before = hidden_before(moment, units[u]);
      keep(moment, units[u], cell.gru(cell.gate(sums[u]), sum, before));
    }
  }

  template <typename Cell>
  void emit_lstm(const Cell& cell, const Moment& moment, const Lanes& units) {
    const size_t count = units.size();
    const Lanes sums =
        products(inputs_of(moment, units, 0, 4), units, 0, 4, hidden_, moment.current);
    for (size_t u = 0; u < count; ++u) {
      const ValueId unit = units[u];
      const ValueId before = builder_.load_local(cell_, unit);
      const auto next =
          cell.lstm({sums[u], sums[count + u], sums[2 * count + u], sums[3 * count + u]},
                    {extra(0, unit), extra(1, unit), extra(2, unit)}, before);
      builder_.store_local(cell_, unit, builder_.select(moment.is_inside, next.cell, before));
      keep(moment, unit, next.hidden);
    }
  }

  ValueId hidden_before(const Moment& moment, ValueId unit) {
    return builder_.load_local(hidden_, builder_.add(moment.current, unit));
  }
  /// The state after the step; behind the sequence's end it stays, and the output is 0.
  void keep(const Moment& moment, ValueId unit, ValueId hidden) {
    const ValueId state = builder_.select(moment.is_inside, hidden, hidden_before(moment, unit));
    builder_.store_local(hidden_, builder_.add(moment.next, unit), state);
    const ValueId mask = unit_mask(unit);
    store_output(moment.time, unit, builder_.select(moment.is_inside, hidden, math_.number(0)),
                 mask);
  }

  const Recurrence& r_;
  UnitShares shares_;
  int64_t units_, directions_;
  Number steps_;
  size_t initial_ = 0, extra_ = 0;
  uint32_t hidden_ = ir::kNone, cell_ = ir::kNone, update_ = ir::kNone, scaled_ = ir::kNone;
  ValueId exists_ = ir::kNone, batch_ = ir::kNone, direction_ = ir::kNone, lane_ = ir::kNone,
          length_ = ir::kNone;
};

// --- Linear attention ----------------------------------------------------------------------------

/// Columns of the state do not know of each other: each lane has one, for all steps.
class LinearAttentionLowering : RecurrentLowering {
 public:
  explicit LinearAttentionLowering(const StepSource& source)
      : RecurrentLowering(source, 1),
        a_(source.node.program->linear_attention),
        lanes_(source.target.wave_lanes),
        size_(source.numbers.outputs[1].shape[2].fixed()),
        columns_(source.numbers.outputs[1].shape[3].fixed()),
        steps_(source.numbers.inputs[0].shape[1]) {
    const int64_t blocks = divided_up(columns_, lanes_).fixed();
    const Number groups = source.numbers.inputs[0].shape[0] * (a_.kv_heads * blocks);
    const ValueId group = start_groups(builder_, groups, source.target);
    const ValueId rows = builder_.div(group, blocks);
    batch_ = builder_.div(rows, a_.kv_heads);
    head_ = builder_.rem(rows, a_.kv_heads);
    lane_ = builder_.lane_id();
    const ValueId lanes = i32(lanes_);
    column_ = builder_.add(builder_.mul(builder_.rem(group, blocks), lanes), lane_);
    exists_ = below(column_, columns_, builder_.binary(Opcode::lt_i, group, builder_.i32(groups)));
    // What is uniform has no mask: a workgroup too many reads what the last one does.
    const ValueId one = i32(1);
    const ValueId last = builder_.sub(builder_.i32(source.numbers.inputs[0].shape[0]), one);
    batch_ = builder_.binary(Opcode::min_i, batch_, last);
    size_t next = 3;
    if (a_.has_past) past_ = next++;
    if (a_.has_decay) decay_ = next++;
    if (a_.has_beta) beta_ = next++;
    state_ = builder_.local("state", local_type(type_), 1, static_cast<uint32_t>(size_ * lanes_));
  }

  StepProgram emit() {
    for_each_row([&](ValueId i) {
      set_state(i,
                a_.has_past ? load(past_, {batch_, head_, i, column_}, exists_) : math_.number(0));
    });
    builder_.repeat(builder_.i32(steps_), {}, false, [&](ValueId t, std::span<const ValueId>) {
      emit_step(t);
      return std::vector<ValueId>{};
    });
    for_each_row([&](ValueId i) { store(1, {batch_, head_, i, column_}, state(i), exists_); });
    return builder_.finish_step();
  }

 private:
  ValueId place(ValueId i) { return builder_.add(builder_.mul(i, i32(lanes_)), lane_); }
  ValueId state(ValueId i) { return builder_.load_local(state_, place(i)); }
  void set_state(ValueId i, ValueId value) { builder_.store_local(state_, place(i), value); }
  template <typename Body>
  void for_each_row(Body body) {
    builder_.repeat(i32(size_), {}, false, [&](ValueId i, std::span<const ValueId>) {
      body(i);
      return std::vector<ValueId>{};
    });
  }
  template <typename Body>
  std::vector<ValueId> sum_over_rows(size_t count, Body body) {
    const ValueId zero = math_.number(0);
    return builder_.repeat(i32(size_), std::vector<ValueId>(count, zero), true, body,
                           kRoundsAtOnce);
  }
  ValueId in_head(ValueId head, int64_t size, ValueId element) {
    return builder_.add(builder_.mul(head, i32(size)), element);
  }
  ValueId key(ValueId t, ValueId i) { return load(1, {batch_, t, in_head(head_, size_, i)}); }
  bool decays_by_head() const { return numbers_.inputs[decay_].shape[2].fixed() == a_.kv_heads; }
  /// The state as it is at the step before anything is added to it.
  ValueId decayed(ValueId t, ValueId i) {
    if (!a_.has_decay) return state(i);
    const ValueId own = decays_by_head() ? head_ : in_head(head_, size_, i);
    const ValueId decay = math_.exp(load(decay_, {batch_, t, own}));
    return builder_.mul(state(i), decay);
  }

  void emit_step(ValueId t) {
    ValueId added = load(2, {batch_, t, in_head(head_, columns_, column_)}, exists_);
    if (a_.corrects) {
      const auto known = sum_over_rows(1, [&](ValueId i, std::span<const ValueId> sum) {
        const ValueId before = decayed(t, i);
        return std::vector<ValueId>{builder_.fma(key(t, i), before, sum[0])};
      });
      added = builder_.sub(added, known[0]);
    }
    if (a_.has_beta) {
      const bool is_shared = numbers_.inputs[beta_].shape[2].fixed() == 1;
      added = builder_.mul(added, load(beta_, {batch_, t, is_shared ? i32(0) : head_}));
    }
    const int64_t group = a_.q_heads / a_.kv_heads;
    const auto query = [&](int64_t q) {
      const ValueId number = i32(q);
      return builder_.add(builder_.mul(head_, i32(group)), number);
    };
    const auto sums =
        sum_over_rows(static_cast<size_t>(group), [&](ValueId i, std::span<const ValueId> sum) {
          const ValueId before = decayed(t, i);
          const ValueId value = builder_.fma(key(t, i), added, before);
          set_state(i, value);
          std::vector<ValueId> next;
          for (int64_t q = 0; q < group; ++q) {
            const ValueId of_query = load(0, {batch_, t, in_head(query(q), size_, i)});
            next.push_back(builder_.fma(of_query, value, sum[next.size()]));
          }
          return next;
        });
    for (int64_t q = 0; q < group; ++q) {
      const ValueId y = builder_.mul(sums[static_cast<size_t>(q)], math_.number(a_.scale));
      store(0, {batch_, t, in_head(query(q), columns_, column_)}, y, exists_);
    }
  }

  const LinearAttention& a_;
  int64_t lanes_, size_, columns_;
  Number steps_;
  size_t past_ = 0, decay_ = 0, beta_ = 0;
  uint32_t state_ = ir::kNone;
  ValueId batch_ = ir::kNone, head_ = ir::kNone, lane_ = ir::kNone, column_ = ir::kNone,
          exists_ = ir::kNone;
};

}  // namespace

StepProgram lower_recurrence(const StepSource& source) { return RecurrenceLowering(source).emit(); }

StepProgram lower_linear_attention(const StepSource& source) {
  return LinearAttentionLowering(source).emit();
}

uint64_t recurrent_local_bytes(const Schedule& schedule, const Node& node, const Target& target) {
  if (!node.program || !facts_of(node.program->op).is_recurrent) return 0;
  const bool is_f64 = schedule.placements[node.inputs[0]].storage == DType::f64;
  const int64_t element = is_f64 ? 8 : 4;
  const auto shape = [&](TensorId id) -> const Shape& { return schedule.graph.tensors[id].shape; };
  if (node.program->op == ProgramOp::recurrence) {
    const Recurrence& r = node.program->recurrence;
    const UnitShares shares(shape(node.inputs[1])[2], gate_count(r.cell), target);
    return static_cast<uint64_t>(element * state_count(r) * shares.padded());
  }
  return static_cast<uint64_t>(element * shape(node.results[1].output)[2] * target.wave_lanes);
}

ValueId start_groups(KernelBuilder& builder, const Number& groups, const Target& target) {
  const Number x = groups.is_open() ? groups : smaller_of(groups, target.workgroups_max[0]);
  builder.set_grid(x, groups.is_open() ? 1 : divided_up(groups, x), 1, target);
  return builder.flat_group(x);
}

ScalarType type_of_elements(DType dtype, DType storage) {
  return storage == DType::f32 ? ScalarType::f32 : scalar_type_of(dtype);
}

}  // namespace leat
