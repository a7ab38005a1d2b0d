#include "leat/backend/amd/amd_device.h"

#include "leat/backend/amd/amd_submitter.h"
#include "leat/route/direct_device.h"

namespace leat {

namespace {

// Files are opened and the version is asked, no more: an address space is bound to a card once.
Result<FoundRoute> inspect(const AmdOs& os, Result<AmdCard>& card) {
  if (!card) return card.error();
  AmdKfd kfd(os);
  Result<void> opened = kfd.open();
  if (opened) opened = kfd.open_render(*card);
  FoundRoute found = {std::move(card->info), std::move(card->uuid_hex), ""};
  if (!opened) {
    found.refusal = opened.error().message();
    return found;
  }
  found.info.driver = kfd.version();
  return found;
}

}  // namespace

std::vector<FoundRoute> find_amd_devices_on(const AmdOs& os) {
  return find_routes(Route::direct, find_amd_cards(os), "KFD's topology shows no GPU.",
                     [&](Result<AmdCard>& card) { return inspect(os, card); });
}

std::vector<FoundRoute> find_amd_devices() { return find_amd_devices_on(system_amd_os()); }

Result<std::unique_ptr<Device>> open_amd_device_on(const AmdOs& os, size_t index,
                                                   std::string name) {
  return open_direct_device<AmdSubmitter>(os, index, std::move(name));
}

Result<std::unique_ptr<Device>> open_amd_device(size_t index, std::string name) {
  return open_amd_device_on(system_amd_os(), index, std::move(name));
}

}  // namespace leat
