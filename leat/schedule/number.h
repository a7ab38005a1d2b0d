// Numbers that a kernel is made with, of which some may be open: told to it at its launch, so that
// one kernel serves many shapes.
//
// A Number always has a value, that of the shape at hand. An open one remembers besides how it was
// made of the kernel's open numbers, and whoever asks anything of it (is it zero, does it divide)
// leaves a guard with the answer. So a kernel that was made with open numbers is right for all
// others for which every guard gives the same answer, and needs only their values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "leat/tensor/affine.h"

namespace leat {

/// Open numbers that are not negative are less than this: so a counter that goes to one of them
/// stays in 32 bits with the step that is added behind its last round. A shape that has a larger
/// one gets kernels of its own.
inline constexpr int64_t kNaturalMax = int64_t{1} << 30;

class Formulas;

class Number {
 public:
  Number(int64_t value = 0) : value_(value) {}  // NOLINT: a plain number is one

  bool is_open() const { return formulas_ != nullptr; }
  /// Open, and not negative for any shape; or plain and not negative now.
  bool is_natural() const;
  /// The value, for what is written into the kernel; leaves the guard that it is this.
  int64_t fixed() const;

  Number& operator+=(const Number& other) { return *this = *this + other; }
  Number& operator*=(const Number& other) { return *this = *this * other; }
  friend Number operator+(const Number& a, const Number& b);
  friend Number operator-(const Number& a, const Number& b);
  friend Number operator*(const Number& a, const Number& b);
  /// Towards zero, as in C++; the divisor is not 0.
  friend Number operator/(const Number& a, const Number& b);
  friend Number operator%(const Number& a, const Number& b);
  friend Number smaller_of(const Number& a, const Number& b);
  friend bool operator==(const Number& a, const Number& b);
  friend bool operator<(const Number& a, const Number& b);
  friend bool operator>(const Number& a, const Number& b) { return b < a; }
  friend bool operator<=(const Number& a, const Number& b) { return !(b < a); }
  friend bool operator>=(const Number& a, const Number& b) { return !(a < b); }

 private:
  friend class Formulas;
  Number(int64_t value, Formulas* formulas, uint32_t formula)
      : value_(value), formulas_(formulas), formula_(formula) {}

  int64_t value_ = 0;
  Formulas* formulas_ = nullptr;
  uint32_t formula_ = 0;
};

using Numbers = std::vector<Number>;
/// Rounded up.
Number divided_up(const Number& a, const Number& b);
Number product_of(std::span<const Number> numbers);

/// How a kernel's open numbers are made, and what was asked of them.
class Formulas {
 public:
  /// The number at `position` of those that a launch is for (kernel_numbers.h).
  Number given(uint32_t position, int64_t value, bool natural);
  /// The formula of a number, for values_at.
  uint32_t id_of(const Number& number);

  /// The value of every formula, by its id, for other given numbers. Nothing where a guard gives
  /// another answer, or a value does not fit 32 bits.
  std::optional<std::vector<int64_t>> values_at(std::span<const int64_t> given) const;

 private:
  friend class Number;
  enum class Op : uint8_t { given, constant, add, sub, mul, div, rem, min };
  enum class Relation : uint8_t { equal, less };
  struct Formula {
    Op op = Op::constant;
    uint32_t a = 0, b = 0;  // formulas; given: a = position
    int64_t constant = 0;
    bool natural = false;
    bool operator==(const Formula&) const = default;
  };
  struct Guard {
    Relation relation = Relation::equal;
    uint32_t a = 0, b = 0;
    bool answer = false;
    bool operator==(const Guard&) const = default;
  };

  static Number apply(Op op, const Number& a, const Number& b);
  static bool compare(Relation relation, const Number& a, const Number& b);
  uint32_t add(const Formula& formula);
  /// a is a multiple of the plain `divisor`, whatever the given numbers are.
  bool is_multiple(uint32_t a, int64_t divisor) const;
  friend Number operator+(const Number& a, const Number& b);
  friend Number operator-(const Number& a, const Number& b);
  friend Number operator*(const Number& a, const Number& b);
  friend Number operator/(const Number& a, const Number& b);
  friend Number operator%(const Number& a, const Number& b);
  friend Number smaller_of(const Number& a, const Number& b);
  friend bool operator==(const Number& a, const Number& b);
  friend bool operator<(const Number& a, const Number& b);

  std::vector<Formula> formulas_;  // each after those that it is made of
  std::vector<Guard> guards_;
};

using NumberForm = Form<Number>;

}  // namespace leat
