#include "leat/backend/amd/amd_device.h"

#include <fmt/format.h>

#include "leat/backend/amd/amd_submitter.h"
#include "leat/route/direct_device.h"

namespace leat {

namespace {

// Files are opened and versions are asked, no more: an address space is bound to a card once.
Result<void> look_by_kfd(const AmdOs& os, const AmdCard& card, std::string& version) {
  if (card.gpu_id == 0) return Error(ErrorKind::unsupported, "KFD does not show the card.");
  AmdKfd kfd(os);
  TRY(kfd.open());
  TRY(kfd.open_render(card));
  version = kfd.version();
  return {};
}

/// Both ways' reasons, where neither is open.
Error neither(const Error& kfd, const Error& drm) {
  return Error(kfd.kind(),
               fmt::format("{} Nor by the render node: {}", kfd.message(), drm.message()));
}

Result<FoundRoute> inspect(const AmdOs& os, Result<AmdCard>& card) {
  if (!card) return card.error();
  FoundRoute found = {std::move(card->info), std::move(card->uuid_hex), ""};
  const Result<void> kfd = look_by_kfd(os, *card, found.info.driver);
  if (kfd) return found;
  AmdDrm drm(os);
  const Result<void> opened = drm.open(card->render_minor);
  if (opened) {
    found.info.driver = fmt::format("{}, not KFD: {}", drm.version(), kfd.error().message());
  } else {
    found.refusal = neither(kfd.error(), opened.error()).message();
  }
  return found;
}

}  // namespace

std::vector<FoundRoute> find_amd_devices_on(const AmdOs& os) {
  return find_routes(Route::direct, find_amd_cards(os),
                     "Neither KFD's topology nor a render node shows a GPU.",
                     [&](Result<AmdCard>& card) { return inspect(os, card); });
}

std::vector<FoundRoute> find_amd_devices() { return find_amd_devices_on(system_amd_os()); }

Result<std::unique_ptr<Device>> open_amd_device_on(const AmdOs& os, size_t index,
                                                   std::string name) {
  Result<std::unique_ptr<Device>> by_kfd = open_direct_device<AmdSubmitter>(os, index, name);
  if (by_kfd) return by_kfd;
  Result<std::unique_ptr<Device>> by_drm = open_amd_render_on(os, index, std::move(name));
  if (by_drm) return by_drm;
  return neither(by_kfd.error(), by_drm.error());
}

Result<std::unique_ptr<Device>> open_amd_render_on(const AmdOs& os, size_t index,
                                                   std::string name) {
  return open_direct_device<AmdSubmitter>(os, index + AmdContext::kByDrm, std::move(name));
}

Result<std::unique_ptr<Device>> open_amd_device(size_t index, std::string name) {
  return open_amd_device_on(system_amd_os(), index, std::move(name));
}

}  // namespace leat
