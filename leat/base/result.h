// Result<T>: a value or an Error. Nothing in this tree throws; a failure is a value that says what
// the caller can do next (ErrorKind) and one full sentence for a person.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "leat/base/check.h"

namespace leat {

/// Named by what the caller does next: mend the call, ask another device, free memory, give the
/// device up, look at the file or driver, report a bug.
enum class ErrorKind { invalid_argument, unsupported, out_of_memory, device_lost, io, internal };

/// The kind's name as it stands in the code, for logs and `--json`.
std::string_view name_of(ErrorKind kind);

/// Why something failed. `message` is one full sentence with the values in parentheses.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  /// Returns this error with " (while <what>)" added, for the place it passed on its way up.
  Error during(std::string_view what) const;

 private:
  ErrorKind kind_;
  std::string message_;
};

/// A T or an Error; the member names are those of std::expected.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }
  T& value() & { return CHECK(has_value()), *value_; }
  const T& value() const& { return CHECK(has_value()), *value_; }
  T&& value() && { return CHECK(has_value()), std::move(*value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return CHECK(!has_value()), *error_; }

 private:
  std::optional<T> value_;
  std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  const Error& error() const { return CHECK(!has_value()), *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace leat

#define LEAT_JOIN_AGAIN(a, b) a##b
#define LEAT_JOIN(a, b) LEAT_JOIN_AGAIN(a, b)

// Leaves the function with the error of `expression` (a Result), if it has one.
#define TRY(expression)                                \
  do {                                                 \
    if (auto try_result = (expression); !try_result) { \
      return try_result.error();                       \
    }                                                  \
  } while (false)

// Declares or assigns `target` from the value of `expression`, or leaves with its error.
#define TRY_ASSIGN(target, expression)                                                    \
  auto LEAT_JOIN(try_assign_, __LINE__) = (expression);                                   \
  if (!LEAT_JOIN(try_assign_, __LINE__)) return LEAT_JOIN(try_assign_, __LINE__).error(); \
  target = std::move(LEAT_JOIN(try_assign_, __LINE__)).value()
