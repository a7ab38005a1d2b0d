// Environment variables: one table, one sentence each; nothing else in the tree reads the
// environment.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

/// What a variable may hold: anything; 0 or 1; a whole number from 1 to count_max; the name of a
/// limits profile (limits_profile.h).
enum class EnvKind : uint8_t { text, flag, count, profile };

struct EnvVariable {
  std::string_view name;
  std::string_view meaning;
  EnvKind kind = EnvKind::text;
  uint32_t count_max = 0;
};

/// More threads of a cpu device are a mistake.
inline constexpr uint32_t kThreadsMax = 4096;

/// Every variable Leat reads, for `leat doctor`.
std::span<const EnvVariable> env_variables();

/// Errors: invalid_argument, naming the first variable that holds what it may not. A program asks
/// once, before anything else; afterwards such a variable counts as unset.
Result<void> check_env();

/// The variable's value, empty when unset, and with borrowed rights (borrowed_rights.h). `name`
/// must be in the table.
std::string env(std::string_view name);
/// Of kind flag.
bool env_flag(std::string_view name, bool fallback = false);
/// Of kind count; `fallback` when unset.
uint32_t env_count(std::string_view name, uint32_t fallback);

}  // namespace leat
