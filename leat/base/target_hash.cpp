// See target_hash.h.
#include "leat/base/target_hash.h"

#include <type_traits>

#include "leat/base/target_fields.h"

namespace leat {

namespace {

void add_field(SecureHasher& hasher, const std::string& text) { hasher.add(text); }

template <typename T>
requires(std::is_integral_v<T> || std::is_enum_v<T>) void add_field(SecureHasher& hasher, T value) {
  hasher.add(static_cast<int64_t>(value));
}

template <typename T, size_t count>
void add_field(SecureHasher& hasher, const T (&values)[count]) {
  for (const T& value : values) add_field(hasher, value);
}

}  // namespace

void add_target(SecureHasher& hasher, const Target& target) {
  visit_target_fields(target, [&](const auto& field) { add_field(hasher, field); });
}

}  // namespace leat
