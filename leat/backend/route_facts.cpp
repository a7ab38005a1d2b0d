// See route_facts.h.
#include "leat/backend/route_facts.h"

#include <nlohmann/json.hpp>

namespace leat {

namespace {

using Json = nlohmann::json;

Json json_of(const FoundRoute& route) {
  const DeviceInfo& info = route.info;
  return {{"name", info.name},
          {"chip", info.chip},
          {"vendor", info.vendor},
          {"driver", info.driver},
          {"software", info.software},
          {"unified_memory", info.unified_memory},
          {"uuid_hex", route.uuid_hex},
          {"refusal", route.refusal},
          {"memory_bytes", info.memory_bytes}};
}

FoundRoute route_of(const Json& object) {
  FoundRoute route;
  DeviceInfo& info = route.info;
  info.name = object.value("name", "");
  info.chip = object.value("chip", "");
  info.vendor = object.value("vendor", "");
  info.driver = object.value("driver", "");
  info.software = object.value("software", false);
  info.unified_memory = object.value("unified_memory", false);
  info.memory_bytes = object.value("memory_bytes", uint64_t{0});
  route.uuid_hex = object.value("uuid_hex", "");
  route.refusal = object.value("refusal", "");
  return route;
}

}  // namespace

std::string text_of_routes(const std::vector<FoundRoute>& routes) {
  Json list = Json::array();
  for (const FoundRoute& route : routes) list.push_back(json_of(route));
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<FoundRoute> routes_of_text(std::string_view text) {
  const Json list = Json::parse(text, nullptr, false);
  std::vector<FoundRoute> routes;
  if (!list.is_array()) return routes;
  for (const Json& object : list) routes.push_back(route_of(object));
  return routes;
}

}  // namespace leat
