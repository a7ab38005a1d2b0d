// See conformance_json.h.
#include "cli/conformance_json.h"

#include <nlohmann/json.hpp>

#include "cli/device_choice.h"

namespace leat::cli {

using Json = nlohmann::ordered_json;

Json json_of(const Summary& summary, Device& device) {
  Json object;
  add_device_facts(object, device);
  object["passed"] = summary.passed;
  object["failed"] = summary.failed;
  object["skipped"] = summary.skipped;
  object["skip_reasons"] = Json::object();
  for (const auto& [reason, count] : skip_reasons(summary)) object["skip_reasons"][reason] = count;
  object["cases"] = Json::array();
  for (const CaseResult& result : summary.cases) {
    Json entry = {{"name", result.name}, {"outcome", name_of(result.outcome)}};
    if (!result.op.empty()) entry["op"] = result.op;
    if (!result.reason.empty()) entry["reason"] = result.reason;
    object["cases"].push_back(entry);
  }
  return object;
}

}  // namespace leat::cli
