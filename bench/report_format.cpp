// See report_format.h. The digest is BLAKE2b of the object without it, in the order of its keys: it
// shows damage and edits, not who wrote it.
#include "bench/report_format.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "leat/base/digest.h"
#include "leat/base/files.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kReportBytesMax = size_t{64} << 20;

Error wrong(const std::string& file, const std::string& what) {
  return Error(ErrorKind::invalid_argument, fmt::format("Report \"{}\" {}.", file, what));
}

Result<void> check_results(const std::string& file, const Json& results) {
  static const std::set<std::string> names = {"self_test", "latency", "conv2d", "conformance",
                                              "faults"};
  if (!results.is_array() || results.empty()) return wrong(file, "has no results");
  for (const Json& result : results) {
    const bool has_words = result.is_object() && result.contains("name") &&
                           result["name"].is_string() && result.contains("device") &&
                           result["device"].is_string() && result.contains("status");
    if (!has_words || !names.contains(result["name"].get<std::string>())) {
      return wrong(file, fmt::format("has a result that is none: {}", result.dump().substr(0, 80)));
    }
    const bool is_passed = result["status"] == "passed";
    if (!is_passed && result["status"] != "failed") return wrong(file, "has a status of no kind");
    const bool is_measured = result["name"] != "self_test";
    if (is_passed && is_measured && !result.contains("object")) {
      return wrong(file, fmt::format("says that {} passed, without its object",
                                     result["name"].get<std::string>()));
    }
    if (!is_passed && !result.contains("object") && !result.contains("reason")) {
      return wrong(file, "has a failure without its reason");
    }
  }
  return {};
}

}  // namespace

std::string report_digest(Json object) {
  object.erase("digest");
  SecureHasher hasher;
  hasher.add(object.dump());
  return hex_of(hasher.digest());
}

bool is_report(const Json& object) {
  return object.is_object() && object.value("kind", Json()) == kReportKind;
}

Result<void> check_report(const std::string& file) {
  TRY_ASSIGN(const std::string text, read_file(file, kReportBytesMax));
  const Json report = Json::parse(text, nullptr, false);
  if (!is_report(report)) return wrong(file, "is no report of leat doctor");
  if (report.value("format", Json()) != kReportFormat)
    return wrong(file, "has a format that is unknown");
  for (const char* key : {"leat", "device", "commit", "host", "date", "digest"}) {
    if (!report.contains(key) || !report[key].is_string()) {
      return wrong(file, fmt::format("lacks \"{}\"", key));
    }
  }
  if (!report.contains("refusal")) {
    for (const char* key : {"chip", "route", "driver"}) {
      if (!report.contains(key) || !report[key].is_string()) {
        return wrong(file, fmt::format("lacks \"{}\"", key));
      }
    }
  }
  if (report["digest"] != report_digest(report))
    return wrong(file, "was changed after it was written");
  return check_results(file, report.value("results", Json()));
}

}  // namespace leat::cli
