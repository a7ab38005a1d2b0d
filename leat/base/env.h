// Environment variables: one table, one sentence each; nothing else in the tree reads the
// environment.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace leat {

struct EnvVariable {
  std::string_view name;
  std::string_view meaning;
};

/// Every variable Leat reads, for `leat doctor`.
std::span<const EnvVariable> env_variables();

/// The variable's value, empty when unset. `name` must be in the table.
std::string env(std::string_view name);
/// A whole number >= 0, or `fallback` when unset or malformed.
int64_t env_number(std::string_view name, int64_t fallback);

}  // namespace leat
