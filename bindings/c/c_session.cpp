// Sessions and the list of devices.
#include <utility>

#include "bindings/c/c_model.h"
#include "leat/base/env.h"
#include "leat/base/files.h"

namespace leat::c {

namespace {

/// Empty: none is kept.
std::string cache_folder_of(const leat_session_options& options) {
  if (!env_flag("LEAT_CACHE", true)) return "";
  return options.cache_folder == nullptr ? cache_folder() : options.cache_folder;
}

}  // namespace

Result<std::shared_ptr<SessionState>> make_session(const leat_session_options* given) {
  TRY_ASSIGN(const leat_session_options options, read_struct(given, "leat_session_options"));
  TRY(check_env());
  if (options.threads > kThreadsMax) {
    return Error(ErrorKind::invalid_argument,
                 "Number of threads (" + std::to_string(options.threads) +
                     ") is larger than the limit (" + std::to_string(kThreadsMax) + ").");
  }
  SessionOptions own;
  own.cache_folder = cache_folder_of(options);
  const uint32_t threads = options.threads > 0 ? options.threads : env_count("LEAT_THREADS", 0);
  own.devices = machine_devices(threads);
  if (options.log != nullptr) {
    own.on_move = [log = options.log, context = options.log_context](const Error& reason,
                                                                     const std::string& next) {
      log(context, (reason.message() + " Device \"" + next + "\" is tried next.").c_str());
    };
  }
  add_tuning(own, options);
  const std::string cache_folder = own.cache_folder;
  auto state = std::make_shared<SessionState>(std::move(own));
  state->cache_folder = cache_folder;
  state->device = text_of(options.device);
  return state;
}

leat_device_info info_of(const DeviceInfo& info, const std::string& refusal) {
  leat_device_info told{};
  told.name = info.name.c_str();
  told.chip = info.chip.c_str();
  told.vendor = info.vendor.c_str();
  told.driver = info.driver.c_str();
  told.route = name_of(info.route).data();  // a literal
  told.refusal = refusal.c_str();
  told.is_software = info.software ? 1 : 0;
  told.has_unified_memory = info.unified_memory ? 1 : 0;
  told.memory_bytes = info.memory_bytes;
  return told;
}

}  // namespace leat::c

using namespace leat;

leat_status leat_session_open(const leat_session_options* options, leat_session** session) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(session, "session"));
    TRY_ASSIGN(auto state, c::make_session(options));
    *session = new leat_session{std::move(state)};
    return {};
  });
}

void leat_session_close(leat_session* session) { delete session; }

leat_status leat_session_uses(leat_session* session, leat_device_use* uses, size_t capacity,
                              size_t* count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(session, "session"));
    TRY(c::check_given(count, "count"));
    if (capacity > 0) TRY(c::check_given(uses, "uses"));
    session->state->uses = session->state->session.uses();
    *count = session->state->uses.size();
    for (size_t i = 0; i < std::min(capacity, *count); ++i) {
      const DeviceUse& use = session->state->uses[i];
      leat_device_use told{};
      told.name = use.info.name.c_str();
      told.users = use.users;
      told.submits = use.counts.submits;
      told.replays = use.counts.replays;
      told.memory_bytes = use.info.memory_bytes;
      TRY(c::write_struct(told, &uses[i], "leat_device_use"));
    }
    return {};
  });
}

leat_status leat_devices_find(leat_devices** devices) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(devices, "devices"));
    *devices = new leat_devices{find_devices()};
    return {};
  });
}

size_t leat_devices_count(const leat_devices* devices) {
  return devices == nullptr ? 0 : devices->found.size();
}

leat_status leat_devices_get(const leat_devices* devices, size_t index, leat_device_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(devices, "devices"));
    TRY(c::check_below(index, devices->found.size(), "Index of a device"));
    const FoundDevice& found = devices->found[index];
    return c::write_struct(c::info_of(found.info, found.refusal), info, "leat_device_info");
  });
}

void leat_devices_free(leat_devices* devices) { delete devices; }
