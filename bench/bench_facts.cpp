// See bench_facts.h.
#include "bench/bench_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cli/device_choice.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

void add_bench_facts(nlohmann::ordered_json& object, Device& device) {
  add_device_facts(object, device);
  add_bench_place(object);
}

void add_bench_place(nlohmann::ordered_json& object) {
  object["commit"] = kLeatCommit;
  object["host"] = host_name();
  object["date"] = utc_now();
}

nlohmann::ordered_json microseconds_json(const std::vector<double>& seconds) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const double value : seconds) array.push_back(std::round(value * 1e9) * 1e-3);
  return array;
}

}  // namespace leat::cli
