#include "leat/backend/nvidia/nvidia_device.h"

#include "leat/backend/nvidia/nvidia_submitter.h"
#include "leat/route/direct_device.h"

namespace leat {

namespace {

Result<FoundRoute> inspect(const NvidiaOs& os, const rm::CardInfo& card) {
  NvidiaRm rm(os);
  TRY(rm.open_control());
  TRY(rm.open_card(card));
  TRY_ASSIGN(NvidiaCard found, inspect_nvidia_card(rm));
  FoundRoute info = {std::move(found.info), std::move(found.uuid_hex), ""};
  if (found.copy_engine_type == 0) info.refusal = "The card shows no copy engine of its own.";
  return info;
}

Result<std::vector<rm::CardInfo>> find_cards(const NvidiaOs& os) {
  NvidiaRm rm(os);
  TRY(rm.open_control());
  return rm.cards();
}

}  // namespace

std::vector<FoundRoute> find_nvidia_devices_on(const NvidiaOs& os) {
  return find_routes(Route::direct, find_cards(os), "NVIDIA's kernel driver shows no card.",
                     [&](const rm::CardInfo& card) { return inspect(os, card); });
}

std::vector<FoundRoute> find_nvidia_devices() { return find_nvidia_devices_on(system_nvidia_os()); }

Result<std::unique_ptr<Device>> open_nvidia_device_on(const NvidiaOs& os, size_t index,
                                                      std::string name) {
  return open_direct_device<NvidiaSubmitter>(os, index, std::move(name));
}

Result<std::unique_ptr<Device>> open_nvidia_device(size_t index, std::string name) {
  return open_nvidia_device_on(system_nvidia_os(), index, std::move(name));
}

}  // namespace leat
