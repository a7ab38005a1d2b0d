// See number.h.
#include "leat/schedule/number.h"

#include <algorithm>

#include "leat/base/check.h"

namespace leat {

Number operator+(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::add, a, b);
}
Number operator-(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::sub, a, b);
}
Number operator*(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::mul, a, b);
}
Number operator/(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::div, a, b);
}
Number operator%(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::rem, a, b);
}
Number smaller_of(const Number& a, const Number& b) {
  return Formulas::apply(Formulas::Op::min, a, b);
}
bool operator==(const Number& a, const Number& b) {
  return Formulas::compare(Formulas::Relation::equal, a, b);
}
bool operator<(const Number& a, const Number& b) {
  return Formulas::compare(Formulas::Relation::less, a, b);
}

Number divided_up(const Number& a, const Number& b) { return (a + b - 1) / b; }

Number product_of(std::span<const Number> numbers) {
  Number product = 1;
  for (const Number& number : numbers) product *= number;
  return product;
}

bool Number::is_natural() const {
  return is_open() ? formulas_->formulas_[formula_].natural : value_ >= 0;
}

int64_t Number::fixed() const {
  const bool is_this = *this == Number(value_);
  CHECK(is_this);
  return value_;
}

uint32_t Formulas::add(const Formula& formula) {
  const auto found = std::ranges::find(formulas_, formula);
  if (found != formulas_.end()) return static_cast<uint32_t>(found - formulas_.begin());
  formulas_.push_back(formula);
  return static_cast<uint32_t>(formulas_.size() - 1);
}

Number Formulas::given(uint32_t position, int64_t value, bool natural) {
  return {value, this, add({.op = Op::given, .a = position, .natural = natural})};
}

uint32_t Formulas::id_of(const Number& number) {
  if (number.is_open()) {
    CHECK(number.formulas_ == this);
    return number.formula_;
  }
  return add({.op = Op::constant, .constant = number.value_, .natural = number.value_ >= 0});
}

bool Formulas::is_multiple(uint32_t a, int64_t divisor) const {
  const Formula& formula = formulas_[a];
  switch (formula.op) {
    case Op::constant: return formula.constant % divisor == 0;
    case Op::mul: return is_multiple(formula.a, divisor) || is_multiple(formula.b, divisor);
    case Op::add:
    case Op::sub: return is_multiple(formula.a, divisor) && is_multiple(formula.b, divisor);
    case Op::given:
    case Op::div:
    case Op::rem:
    case Op::min: return false;
  }
  return false;
}

namespace {

int64_t divided(int64_t a, int64_t b) {
  CHECK(b != 0);
  return a / b;
}

}  // namespace

Number Formulas::apply(Op op, const Number& a, const Number& b) {
  int64_t value = 0;
  switch (op) {
    case Op::add: value = a.value_ + b.value_; break;
    case Op::sub: value = a.value_ - b.value_; break;
    case Op::mul: value = a.value_ * b.value_; break;
    case Op::div: value = divided(a.value_, b.value_); break;
    case Op::rem: value = a.value_ - divided(a.value_, b.value_) * b.value_; break;
    case Op::min: value = std::min(a.value_, b.value_); break;
    case Op::given:
    case Op::constant: CHECK(false);
  }
  if (!a.is_open() && !b.is_open()) return value;
  const auto is_plain = [](const Number& number, int64_t wanted) {
    return !number.is_open() && number.value_ == wanted;
  };
  const bool is_sum = op == Op::add || op == Op::sub;
  const bool by_one = op == Op::mul || op == Op::div;
  if ((is_sum && is_plain(b, 0)) || (by_one && is_plain(b, 1))) return a;
  if ((op == Op::add && is_plain(a, 0)) || (op == Op::mul && is_plain(a, 1))) return b;
  if (op == Op::mul && (is_plain(a, 0) || is_plain(b, 0))) return 0;
  if (op == Op::rem && is_plain(b, 1)) return 0;
  Formulas& formulas = a.is_open() ? *a.formulas_ : *b.formulas_;
  if (op == Op::rem && !b.is_open() && formulas.is_multiple(a.formula_, b.value_)) return 0;
  const bool natural = op != Op::sub && a.is_natural() && b.is_natural();
  const uint32_t first = formulas.id_of(a);
  const uint32_t second = formulas.id_of(b);
  return {value, &formulas, formulas.add({.op = op, .a = first, .b = second, .natural = natural})};
}

bool Formulas::compare(Relation relation, const Number& a, const Number& b) {
  const bool answer = relation == Relation::equal ? a.value_ == b.value_ : a.value_ < b.value_;
  if (!a.is_open() && !b.is_open()) return answer;
  Formulas& formulas = a.is_open() ? *a.formulas_ : *b.formulas_;
  const Guard guard = {relation, formulas.id_of(a), formulas.id_of(b), answer};
  if (guard.a == guard.b) return answer;
  if (std::ranges::find(formulas.guards_, guard) == formulas.guards_.end()) {
    formulas.guards_.push_back(guard);
  }
  return answer;
}

std::optional<std::vector<int64_t>> Formulas::values_at(std::span<const int64_t> given) const {
  std::vector<int64_t> values;
  for (const Formula& formula : formulas_) {
    const bool is_leaf = formula.op == Op::given || formula.op == Op::constant;
    const int64_t a = is_leaf ? 0 : values[formula.a];
    const int64_t b = is_leaf ? 0 : values[formula.b];
    int64_t value = 0;
    switch (formula.op) {
      case Op::given: value = given[formula.a]; break;
      case Op::constant: value = formula.constant; break;
      case Op::add: value = a + b; break;
      case Op::sub: value = a - b; break;
      case Op::mul: value = a * b; break;
      case Op::div:
      case Op::rem:
        if (b == 0) return std::nullopt;
        value = formula.op == Op::div ? a / b : a % b;
        break;
      case Op::min: value = std::min(a, b); break;
    }
    if (value < INT32_MIN || value > INT32_MAX) return std::nullopt;
    const bool is_told = formula.op != Op::constant && formula.natural;
    if (is_told && (value < 0 || value >= kNaturalMax)) return std::nullopt;
    values.push_back(value);
  }
  for (const Guard& guard : guards_) {
    const int64_t a = values[guard.a];
    const int64_t b = values[guard.b];
    const bool answer = guard.relation == Relation::equal ? a == b : a < b;
    if (answer != guard.answer) return std::nullopt;
  }
  return values;
}

}  // namespace leat
