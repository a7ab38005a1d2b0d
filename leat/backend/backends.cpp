// The backends that the build has, and the naming of what they find. A GPU's backend is known by
// two functions, which leat_backends.def (written by CMakeLists.txt) declares and lists here. A
// chip reached by two routes is one device: matched by the UUID that both APIs report, else by the
// chip's name.
#include "leat/backend/backends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "leat/backend/cpu/cpu_device.h"
#include "leat/backend/gpu_nodes.h"
#include "leat/backend/null/null_device.h"
#include "leat/backend/route_facts.h"
#include "leat/base/borrowed_rights.h"
#include "leat/base/child_process.h"
#ifdef LEAT_HAS_AMD
#include "leat/backend/amd/amd_recorder.h"
#endif
#include "leat/route/found_route.h"

namespace leat {

// What a backend of a GPU provides: all places where its route finds a device, in the driver's
// order, or one entry that says why there is none; and the opening of entry `index` under `name`.
#define LEAT_BACKEND(folder, route)                  \
  std::vector<FoundRoute> find_##folder##_devices(); \
  Result<std::unique_ptr<Device>> open_##folder##_device(size_t index, std::string name);
#include <leat_backends.def>
#undef LEAT_BACKEND

namespace {

/// A backend's two functions.
struct RouteBackend {
  Route route;
  std::vector<FoundRoute> (*find)();
  Result<std::unique_ptr<Device>> (*open)(size_t index, std::string name);
};

/// In the order of preference. An array may not be empty, hence the last row.
constexpr RouteBackend kBackends[] = {
#define LEAT_BACKEND(folder, route) {Route::route, find_##folder##_devices, open_##folder##_device},
#include <leat_backends.def>
#undef LEAT_BACKEND
    {Route::null, [] { return std::vector<FoundRoute>(); }, nullptr},
};

// A driver that must be woken first takes seconds.
constexpr uint64_t kAskTimeoutNs = 60'000'000'000;

/// One route to one chip.
struct ChipRoute : FoundRoute {
  const RouteBackend* backend = nullptr;
  size_t index = 0;  // of the backend's list
};

/// The routes to one chip, best first; the chip's number is its place in the list.
using FoundChip = std::vector<ChipRoute>;

struct FoundGpus {
  std::vector<FoundChip> chips;    // real ones first
  std::vector<ChipRoute> nothing;  // routes that find no device, with the reason
};

void add_routes(std::vector<ChipRoute>& routes, const RouteBackend& backend,
                std::vector<FoundRoute> found) {
  for (size_t i = 0; i < found.size(); ++i) {
    found[i].info.route = backend.route;
    routes.push_back({std::move(found[i]), &backend, i});
  }
}

std::vector<FoundRoute> found_by(const RouteBackend& backend) {
  const BorrowedFileRights rights;
  return backend.find();
}

void find_routes(std::vector<ChipRoute>& routes, const RouteBackend& backend) {
  add_routes(routes, backend, found_by(backend));
}

/// Adds what the backend finds in a child process.
void ask_routes(std::vector<ChipRoute>& routes, const RouteBackend& backend) {
  const Result<std::string> text =
      run_in_child([&] { return text_of_routes(found_by(backend)); }, kAskTimeoutNs);
  if (text) return add_routes(routes, backend, routes_of_text(*text));
  const Error error = text.error().during("asking the route's driver what there is");
  add_routes(routes, backend, {refused_route(backend.route, error)});
}

// OpenGL puts bus and driver behind the chip: "NVIDIA H200/PCIe/SSE2", "llvmpipe (LLVM 15.0.6,
// ...".
std::string_view bare_name(std::string_view chip) {
  return chip.substr(0, std::min(chip.find('/'), chip.find(" (")));
}

bool is_same_chip(const ChipRoute& a, const ChipRoute& b) {
  if (a.info.software != b.info.software) return false;
  const bool both_have_uuids = !a.uuid_hex.empty() && !b.uuid_hex.empty();
  if (both_have_uuids && a.uuid_hex == b.uuid_hex) return true;
  if (both_have_uuids && !a.info.software) return false;
  return bare_name(a.info.chip) == bare_name(b.info.chip);
}

// Two drivers, or two places of one driver's list, may show one chip by the same route. Without a
// UUID only software is known to be the same; two real chips of one name are two chips.
bool is_duplicate(const ChipRoute& a, const ChipRoute& b) {
  return a.info.route == b.info.route && is_same_chip(a, b) &&
         (a.info.software || !a.uuid_hex.empty());
}

/// The chip of `chips` that `route` reaches too, or null.
FoundChip* find_chip(std::vector<FoundChip>& chips, const ChipRoute& route) {
  for (FoundChip& chip : chips) {
    const bool taken = std::ranges::any_of(
        chip, [&](const ChipRoute& known) { return known.info.route == route.info.route; });
    if (!taken && is_same_chip(chip.front(), route)) return &chip;
  }
  return nullptr;
}

void add_usable(std::vector<FoundChip>& chips, ChipRoute route) {
  for (const FoundChip& chip : chips) {
    for (const ChipRoute& known : chip) {
      if (is_duplicate(known, route)) return;
    }
  }
  FoundChip* chip = find_chip(chips, route);
  if (chip == nullptr) chip = &chips.emplace_back();
  chip->push_back(std::move(route));
}

// A refused route is shown with the chip that another route reaches; alone it makes no device.
FoundGpus chips_of(std::vector<ChipRoute> routes) {
  FoundGpus found;
  std::vector<ChipRoute> refused;
  for (ChipRoute& route : routes) {
    if (!route.refusal.empty()) {
      refused.push_back(std::move(route));
    } else {
      add_usable(found.chips, std::move(route));
    }
  }
  for (ChipRoute& route : refused) {
    FoundChip* chip = find_chip(found.chips, route);
    if (chip == nullptr) {
      route.info.name = name_of(route.info.route);
      found.nothing.push_back(std::move(route));
    } else {
      chip->push_back(std::move(route));
    }
  }
  std::ranges::stable_partition(found.chips,
                                [](const FoundChip& chip) { return !chip[0].info.software; });
  for (size_t i = 0; i < found.chips.size(); ++i) {
    for (ChipRoute& route : found.chips[i]) {
      route.info.name = fmt::format("gpu{}:{}", i, name_of(route.info.route));
    }
  }
  return found;
}

FoundGpus find_gpus() {
  std::vector<ChipRoute> routes;
  for (const RouteBackend& backend : kBackends) find_routes(routes, backend);
  return chips_of(std::move(routes));
}

FoundDevice find_cpu() {
  const Result<std::unique_ptr<Device>> device = open_cpu_device(1);
  if (device) return {(*device)->info(), ""};
  DeviceInfo info;
  info.name = "cpu";
  return {info, device.error().message()};
}

/// The device, if it passes.
Result<std::unique_ptr<Device>> checked(Result<std::unique_ptr<Device>> device,
                                        const DeviceCheck& check) {
  if (device && check != nullptr) TRY(check(**device));
  return device;
}

Error unknown_device(std::string_view spec, const FoundGpus& found) {
  std::vector<std::string> names = {"cpu"};
  for (const FoundChip& chip : found.chips) {
    for (const ChipRoute& route : chip) names.push_back(route.info.name);
  }
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("No device is named \"{}\"; there are ({}).", spec, fmt::join(names, ", ")));
}

/// The routes that `spec` asks for, in the order in which they are tried.
std::vector<ChipRoute> routes_of(std::string_view spec, const FoundGpus& found, bool software) {
  const bool is_any = spec.empty() || spec == "best";
  std::vector<ChipRoute> routes;
  for (size_t i = 0; i < found.chips.size(); ++i) {
    const FoundChip& chip = found.chips[i];
    if (chip[0].info.software && (is_any || !software)) continue;
    const bool is_all = is_any || spec == fmt::format("gpu{}", i);
    for (const ChipRoute& route : chip) {
      if (is_all || spec == route.info.name) routes.push_back(route);
    }
  }
  return routes;
}

Result<std::unique_ptr<Device>> opened(const ChipRoute& route) {
  const BorrowedFileRights rights;
  return route.backend->open(route.index, route.info.name);
}

/// Tries routes in turn, each once.
class RouteTrial {
 public:
  explicit RouteTrial(const DeviceCheck& check) : check_(check) {}

  /// The first device that opens and passes, or null.
  std::unique_ptr<Device> open_first(const std::vector<ChipRoute>& routes) {
    for (const ChipRoute& route : routes) {
      if (!route.refusal.empty()) {
        if (!error_) error_ = Error(ErrorKind::unsupported, route.refusal);
        continue;
      }
      if (std::ranges::find(tried_, route.info.name) != tried_.end()) continue;
      tried_.push_back(route.info.name);
      Result<std::unique_ptr<Device>> device = checked(opened(route), check_);
      if (device) return std::move(*device);
      error_ = device.error().during(fmt::format("opening {}", route.info.name));
    }
    return nullptr;
  }
  /// Why the last one did not open.
  const std::optional<Error>& error() const { return error_; }

 private:
  const DeviceCheck& check_;
  std::vector<std::string> tried_;
  std::optional<Error> error_;
};

// Route by route, because most of a start would go into opening drivers that nobody needs: a real
// chip has its number as soon as one route has found it, since those found later stand behind.
Result<std::unique_ptr<Device>> open_named(std::string_view spec, uint32_t threads,
                                           const DeviceCheck& check) {
  if (spec == "cpu") return checked(open_cpu_device(threads), check);
  if (spec == "null") return open_null_device();  // computes nothing, so there is nothing to check
  const bool is_any = spec.empty() || spec == "best";
  if (is_any && !may_have_gpu()) return checked(open_cpu_device(threads), check);
  RouteTrial trial(check);
  std::vector<ChipRoute> routes;
  FoundGpus found;
  for (const RouteBackend& backend : kBackends) {
    find_routes(routes, backend);
    found = chips_of(routes);
    if (auto device = trial.open_first(routes_of(spec, found, false))) return device;
  }
  if (auto device = trial.open_first(routes_of(spec, found, true))) return device;
  if (is_any) return checked(open_cpu_device(threads), check);
  if (trial.error()) return *trial.error();
  return unknown_device(spec, found);
}

/// In the order of preference.
std::vector<FoundDevice> devices_of(FoundGpus found) {
  std::vector<FoundDevice> devices;
  const auto add_gpus = [&](bool software) {
    for (FoundChip& chip : found.chips) {
      if (chip[0].info.software != software) continue;
      for (ChipRoute& route : chip) devices.push_back({route.info, route.refusal});
    }
  };
  add_gpus(false);
  devices.push_back(find_cpu());
  add_gpus(true);
  for (ChipRoute& route : found.nothing) devices.push_back({route.info, route.refusal});
  return devices;
}

}  // namespace

std::vector<FoundDevice> find_devices() { return devices_of(find_gpus()); }

std::vector<FoundDevice> ask_devices() {
  std::vector<ChipRoute> routes;
  for (const RouteBackend& backend : kBackends) ask_routes(routes, backend);
  return devices_of(chips_of(std::move(routes)));
}

std::optional<std::string> next_route(std::string_view name) {
  for (const FoundChip& chip : find_gpus().chips) {
    const auto is_it = [&](const ChipRoute& route) { return route.info.name == name; };
    auto route = std::ranges::find_if(chip, is_it);
    if (route == chip.end()) continue;
    while (++route != chip.end()) {
      if (route->refusal.empty()) return route->info.name;
    }
  }
  return std::nullopt;
}

Result<std::unique_ptr<Recorder>> open_recorder(std::string_view target) {
#ifdef LEAT_HAS_AMD
  return open_amd_recorder(target);
#else
  return Error(ErrorKind::unsupported,
               fmt::format("This build makes no packets for target \"{}\".", target));
#endif
}

Result<std::unique_ptr<Device>> open_device(std::string_view spec, uint32_t threads,
                                            const DeviceCheck& check, size_t fences) {
  if (fences == 0) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Device \"{}\" is to have (0) fences.", spec));
  }
  TRY_ASSIGN(std::unique_ptr<Device> device, open_named(spec, threads, check));
  device->size_fences(fences);
  return device;
}

}  // namespace leat
