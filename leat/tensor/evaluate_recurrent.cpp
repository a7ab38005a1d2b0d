// What recurrence and linear_attention mean, in double.
#include "leat/tensor/evaluate_recurrent.h"

#include <algorithm>
#include <cmath>

#include "leat/tensor/recurrent_cell.h"

namespace leat {
namespace {

/// The arithmetic of RecurrentCell.
struct DoubleMath {
  using Value = double;
  double number(double x) const { return x; }
  double add(double a, double b) const { return a + b; }
  double sub(double a, double b) const { return a - b; }
  double mul(double a, double b) const { return a * b; }
  double div(double a, double b) const { return a / b; }
  double larger(double a, double b) const { return a < b ? b : a; }
  double smaller(double a, double b) const { return b < a ? b : a; }
  bool is_less(double a, double b) const { return a < b; }
  double select(bool condition, double a, double b) const { return condition ? a : b; }
  double abs(double x) const { return std::abs(x); }
  double exp(double x) const { return std::exp(x); }
  double expm1(double x) const { return std::expm1(x); }
  double log1p(double x) const { return std::log1p(x); }
  double tanh(double x) const { return std::tanh(x); }
};

int64_t flat_of(const HostTensor& tensor, std::initializer_list<int64_t> at) {
  int64_t flat = 0;
  size_t d = 0;
  for (const int64_t coordinate : at) flat = flat * tensor.shape[d++] + coordinate;
  return flat;
}

double number_at(const HostTensor& tensor, std::initializer_list<int64_t> at) {
  return tensor.number(flat_of(tensor, at));
}

/// One direction of one batch element.
class Sequence {
 public:
  Sequence(const Recurrence& recurrence, std::span<const HostTensor* const> inputs,
           std::span<HostTensor* const> outputs, int64_t direction, int64_t batch)
      : r_(recurrence),
        inputs_(inputs),
        outputs_(outputs),
        direction_(direction),
        batch_(batch),
        steps_(inputs[0]->shape[0]),
        units_(inputs[1]->shape[2]),
        gates_(inputs[1]->shape[3]),
        hidden_(static_cast<size_t>(units_)),
        cell_(static_cast<size_t>(units_)),
        sums_(static_cast<size_t>(units_ * gates_)) {
    size_t next = 2;
    initial_ = r_.has_initial ? inputs[next++] : nullptr;
    extra_ = r_.has_extra ? inputs[next++] : nullptr;
    const HostTensor* lengths = r_.has_lengths ? inputs[next++] : nullptr;
    length_ = lengths ? std::clamp<int64_t>(lengths->integer(batch), 0, steps_) : steps_;
  }

  void run() {
    const bool is_reverse = inputs_[0]->shape[2] == 2 ? direction_ == 1 : r_.is_reverse;
    if (initial_) {
      for (int64_t h = 0; h < units_; ++h) {
        hidden_[place(h)] = initial_->number(state_index(*initial_, 0, h));
        if (has_cell()) cell_[place(h)] = initial_->number(state_index(*initial_, 1, h));
      }
    }
    for (int64_t t = 0; t < steps_; ++t) {
      const bool is_inside = t < length_;
      const int64_t time = is_inside && is_reverse ? length_ - 1 - t : t;
      if (is_inside) step(time);
      HostTensor& y = *outputs_[0];
      for (int64_t h = 0; h < units_; ++h) {
        const int64_t flat = r_.batch_first ? flat_of(y, {batch_, time, direction_, h})
                                            : flat_of(y, {time, direction_, batch_, h});
        y.set_number(flat, is_inside ? hidden_[place(h)] : 0);
      }
    }
    HostTensor& last = *outputs_[1];
    for (int64_t h = 0; h < units_; ++h) {
      last.set_number(state_index(last, 0, h), length_ > 0 ? hidden_[place(h)] : 0);
      if (has_cell()) last.set_number(state_index(last, 1, h), length_ > 0 ? cell_[place(h)] : 0);
    }
  }

 private:
  static size_t place(int64_t index) { return static_cast<size_t>(index); }
  bool has_cell() const { return r_.cell == CellKind::lstm; }
  int64_t state_index(const HostTensor& tensor, int64_t which, int64_t h) const {
    return r_.batch_first ? flat_of(tensor, {which, batch_, direction_, h})
                          : flat_of(tensor, {which, direction_, batch_, h});
  }
  double weight(int64_t from, int64_t gate, int64_t to) const {
    return number_at(*inputs_[1],
                     {direction_, to / kRecurrentBlock, from, gate, to % kRecurrentBlock});
  }
  double input(int64_t time, int64_t gate, int64_t h) const {
    return number_at(*inputs_[0], {time, batch_, direction_, gate * units_ + h});
  }
  double extra(int64_t which, int64_t h) const {
    return extra_ ? number_at(*extra_, {direction_, which, h}) : 0;
  }
  /// The products of gate `gate` with `state`, without the inputs.
  void multiply(int64_t gate, const std::vector<double>& state) {
    for (int64_t h = 0; h < units_; ++h) {
      double sum = 0;
      for (int64_t k = 0; k < units_; ++k) sum += weight(k, gate, h) * state[place(k)];
      sums_[place(gate * units_ + h)] = sum;
    }
  }
  double product(int64_t gate, int64_t h) const { return sums_[place(gate * units_ + h)]; }

  void step(int64_t time) {
    DoubleMath math;
    const auto& functions = r_.activations[place(direction_)];
    const auto activation = [&](size_t which, double x) {
      return activated(math, functions[which], which < 2 ? clipped(math, r_.clip, x) : x);
    };
    const RecurrentCell cell(math, r_, activation);
    const int64_t before_reset = r_.cell == CellKind::gru && !r_.linear_before_reset ? 1 : 0;
    for (int64_t g = 0; g < gates_ - before_reset; ++g) multiply(g, hidden_);
    const auto sum = [&](int64_t g, int64_t h) { return input(time, g, h) + product(g, h); };
    if (r_.cell == CellKind::gru) return step_gru(cell, time, sum);
    for (int64_t h = 0; h < units_; ++h) {
      if (r_.cell == CellKind::rnn) {
        hidden_[place(h)] = cell.rnn(sum(0, h));
        continue;
      }
      const auto next = cell.lstm({sum(0, h), sum(1, h), sum(2, h), sum(3, h)},
                                  {extra(0, h), extra(1, h), extra(2, h)}, cell_[place(h)]);
      hidden_[place(h)] = next.hidden;
      cell_[place(h)] = next.cell;
    }
  }

  template <typename Cell, typename Sum>
  void step_gru(const Cell& cell, int64_t time, const Sum& sum) {
    std::vector<double> reset(hidden_.size()), update(hidden_.size()), scaled(hidden_.size());
    for (int64_t h = 0; h < units_; ++h) {
      update[place(h)] = cell.gate(sum(0, h));
      reset[place(h)] = cell.gate(sum(1, h));
      scaled[place(h)] = reset[place(h)] * hidden_[place(h)];
    }
    if (!r_.linear_before_reset) multiply(2, scaled);
    for (int64_t h = 0; h < units_; ++h) {
      const double factor = r_.linear_before_reset ? reset[place(h)] : 1;
      const double total = input(time, 2, h) + factor * (product(2, h) + extra(0, h));
      hidden_[place(h)] = cell.gru(update[place(h)], total, hidden_[place(h)]);
    }
  }

  const Recurrence& r_;
  std::span<const HostTensor* const> inputs_;
  std::span<HostTensor* const> outputs_;
  int64_t direction_, batch_, steps_, units_, gates_, length_ = 0;
  const HostTensor* initial_ = nullptr;
  const HostTensor* extra_ = nullptr;
  std::vector<double> hidden_, cell_, sums_;
};

}  // namespace

void evaluate_recurrence(const Recurrence& recurrence, std::span<const HostTensor* const> inputs,
                         std::span<HostTensor* const> outputs) {
  for (int64_t batch = 0; batch < inputs[0]->shape[1]; ++batch) {
    for (int64_t direction = 0; direction < inputs[0]->shape[2]; ++direction) {
      Sequence(recurrence, inputs, outputs, direction, batch).run();
    }
  }
}

void evaluate_linear_attention(const LinearAttention& a, std::span<const HostTensor* const> inputs,
                               std::span<HostTensor* const> outputs) {
  const HostTensor &query = *inputs[0], &key = *inputs[1], &value = *inputs[2];
  HostTensor &y = *outputs[0], &present = *outputs[1];
  size_t next = 3;
  const HostTensor* past = a.has_past ? inputs[next++] : nullptr;
  const HostTensor* decay = a.has_decay ? inputs[next++] : nullptr;
  const HostTensor* beta = a.has_beta ? inputs[next++] : nullptr;
  const int64_t size = present.shape[2], value_size = present.shape[3];
  const int64_t group = a.q_heads / a.kv_heads;
  std::vector<double> state(static_cast<size_t>(size));
  const auto column = [&](int64_t n, int64_t head, int64_t e) {
    for (int64_t i = 0; i < size; ++i) {
      state[static_cast<size_t>(i)] = past ? number_at(*past, {n, head, i, e}) : 0;
    }
    for (int64_t t = 0; t < key.shape[1]; ++t) {
      const auto k = [&](int64_t i) { return number_at(key, {n, t, head * size + i}); };
      double known = 0;
      for (int64_t i = 0; i < size; ++i) {
        double& element = state[static_cast<size_t>(i)];
        const int64_t own = decay && decay->shape[2] == a.kv_heads ? head : head * size + i;
        if (decay) element *= std::exp(number_at(*decay, {n, t, own}));
        known += k(i) * element;
      }
      double added = number_at(value, {n, t, head * value_size + e}) - (a.corrects ? known : 0);
      if (beta) added *= number_at(*beta, {n, t, beta->shape[2] == 1 ? 0 : head});
      for (int64_t i = 0; i < size; ++i) state[static_cast<size_t>(i)] += k(i) * added;
      for (int64_t q = head * group; q < (head + 1) * group; ++q) {
        double sum = 0;
        for (int64_t i = 0; i < size; ++i) {
          sum += number_at(query, {n, t, q * size + i}) * state[static_cast<size_t>(i)];
        }
        y.set_number(flat_of(y, {n, t, q * value_size + e}), a.scale * sum);
      }
    }
    for (int64_t i = 0; i < size; ++i) {
      present.set_number(flat_of(present, {n, head, i, e}), state[static_cast<size_t>(i)]);
    }
  };
  for (int64_t n = 0; n < key.shape[0]; ++n) {
    for (int64_t head = 0; head < a.kv_heads; ++head) {
      for (int64_t e = 0; e < value_size; ++e) column(n, head, e);
    }
  }
}

}  // namespace leat
