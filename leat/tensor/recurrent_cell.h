// One step of a recurrent layer for one hidden unit, once for all who compute it: on the host in
// double, and in wave programs. `Math` has a type Value and number, add, sub, mul, div, larger,
// smaller, is_less, select, abs, exp, expm1, log1p and tanh.
#pragma once

#include <array>

#include "leat/tensor/program.h"

namespace leat {

/// Units of a block of weights.
inline constexpr int64_t kRecurrentBlock = 16;

template <typename Math>
typename Math::Value activated(Math& m, const CellActivation& activation, typename Math::Value x) {
  const auto zero = m.number(0);
  const auto one = m.number(1);
  const auto alpha = [&] { return m.number(activation.alpha); };
  const auto line = [&] {
    const auto beta = m.number(activation.beta);
    return m.add(m.mul(alpha(), x), beta);
  };
  const auto if_negative = [&](auto then, auto otherwise) {
    return m.select(m.is_less(x, zero), then, otherwise);
  };
  switch (activation.function) {
    case CellFunction::tanh: return m.tanh(x);
    case CellFunction::sigmoid: return m.div(one, m.add(one, m.exp(m.sub(zero, x))));
    case CellFunction::relu: return m.larger(x, zero);
    case CellFunction::affine: return line();
    case CellFunction::leaky_relu: return if_negative(m.mul(alpha(), x), x);
    case CellFunction::thresholded_relu: return m.select(m.is_less(x, alpha()), zero, x);
    case CellFunction::scaled_tanh: {
      const auto tanh = m.tanh(m.mul(m.number(activation.beta), x));
      return m.mul(alpha(), tanh);
    }
    case CellFunction::hard_sigmoid: return m.larger(zero, m.smaller(one, line()));
    case CellFunction::elu: return if_negative(m.mul(alpha(), m.expm1(x)), x);
    case CellFunction::softsign: return m.div(x, m.add(one, m.abs(x)));
    case CellFunction::softplus: {
      const auto rest = m.log1p(m.exp(m.sub(zero, m.abs(x))));
      return m.add(m.larger(x, zero), rest);
    }
  }
  return x;
}

/// What goes into an activation, within its bound.
template <typename Math>
typename Math::Value clipped(Math& m, double bound, typename Math::Value x) {
  if (bound <= 0) return x;
  const auto below = m.smaller(m.number(bound), x);
  return m.larger(m.number(-bound), below);
}

/// activation(number, x) is one of a direction's, with the bound of those of gates, 0 and 1.
template <typename Math, typename Activation>
class RecurrentCell {
 public:
  using Value = typename Math::Value;
  RecurrentCell(Math& math, const Recurrence& recurrence, Activation activation)
      : m_(math), recurrence_(recurrence), activation_(activation) {}

  struct Lstm {
    Value hidden, cell;
  };
  /// Gates i, o, f, c; peepholes i, o, f, if there are any.
  Lstm lstm(const std::array<Value, 4>& gates, const std::array<Value, 3>& peepholes,
            Value cell) const {
    const auto with_peephole = [&](size_t gate, Value state) {
      return recurrence_.has_extra ? m_.add(gates[gate], m_.mul(peepholes[gate], state))
                                   : gates[gate];
    };
    const Value input = activation_(0, with_peephole(0, cell));
    const Value forget = recurrence_.input_forget ? m_.sub(m_.number(1), input)
                                                  : activation_(0, with_peephole(2, cell));
    const Value added = m_.mul(input, activation_(1, gates[3]));
    const Value next = m_.add(m_.mul(forget, cell), added);
    const Value output = activation_(0, with_peephole(1, next));
    return {m_.mul(output, activation_(2, next)), next};
  }
  /// The update or the reset gate of a gru.
  Value gate(Value sum) const { return activation_(0, sum); }
  /// The next hidden state of a gru: of its update gate, hidden gate's sum and last state.
  Value gru(Value update, Value sum, Value hidden) const {
    const Value fresh = activation_(1, sum);
    const Value kept = m_.mul(update, hidden);
    return m_.add(m_.mul(m_.sub(m_.number(1), update), fresh), kept);
  }
  Value rnn(Value sum) const { return activation_(0, sum); }

 private:
  Math& m_;
  const Recurrence& recurrence_;
  Activation activation_;
};

}  // namespace leat
