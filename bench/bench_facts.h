// What a benchmark's JSON object says besides its results: where, when and from which commit.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "leat/device/device.h"

namespace leat::cli {

/// Adds device, chip, route, driver, software, threads, commit, host and date (UTC).
void add_bench_facts(nlohmann::ordered_json& object, Device& device);
/// Of these the last three, where no device could be opened.
void add_bench_place(nlohmann::ordered_json& object);

/// Seconds as microseconds with three decimals, which is below any clock's resolution.
nlohmann::ordered_json microseconds_json(const std::vector<double>& seconds);

}  // namespace leat::cli
