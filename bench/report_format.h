// The file that the owner of a card can send (`leat doctor --report`): one JSON object, with device
// and driver inside, and a digest that tells when it was changed. What bench/results/ takes of this
// kind must pass check_report(), which a test sees to.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "leat/base/result.h"

namespace leat::cli {

inline constexpr char kReportKind[] = "leat-report";
inline constexpr int kReportFormat = 1;

/// Of the object, without the digest that it may have.
std::string report_digest(nlohmann::ordered_json object);

/// Whether the object says that it is one.
bool is_report(const nlohmann::ordered_json& object);

/// Whether the file is a report that nobody has changed, and complete. Errors: io;
/// invalid_argument, naming what is missing or wrong.
Result<void> check_report(const std::string& file);

}  // namespace leat::cli
