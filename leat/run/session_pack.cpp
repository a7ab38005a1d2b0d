// Models that come with their kernels. See session.h.
#include <atomic>
#include <utility>

#include "leat/run/known_answer.h"
#include "leat/run/session.h"

namespace leat {

namespace {

/// The target of a pack that was looked at to the last byte.
using SoundTarget = std::shared_ptr<std::atomic<const PackTarget*>>;

/// What the pack has for the device, once it is known to be sound.
Result<const PackTarget*> target_on(const Pack& pack, const Device& device, SoundTarget sound) {
  TRY_ASSIGN(const PackTarget* const target, pack.target_for(device.target(), device.info().name));
  if (sound->load() != target) TRY(pack.check_blobs(*target));
  sound->store(target);
  return target;
}

}  // namespace

NetworkSource packed_networks(std::shared_ptr<const Pack> pack) {
  const auto sound = std::make_shared<std::atomic<const PackTarget*>>(nullptr);
  const auto check = [pack, sound](Device& device) -> Result<void> {
    TRY_ASSIGN(const PackTarget* const target, target_on(*pack, device, sound));
    TRY_ASSIGN(const std::unique_ptr<Network> network,
               Network::load(device, target->known_answer, {}));
    return check_known_answer(*network);
  };
  const auto make = [pack, sound](Device& device, const Model&,
                                  NetworkOptions options) -> Result<std::unique_ptr<Network>> {
    TRY_ASSIGN(const PackTarget* const target, target_on(*pack, device, sound));
    options.shape_kernels = nullptr;
    return Network::load(device, target->plan, options);
  };
  return {.check = check, .make = make, .look_ahead = {}};
}

Result<std::unique_ptr<LoadedModel>> Session::load(std::shared_ptr<const Pack> pack,
                                                   LoadOptions options) {
  CHECK(!options.specialise);
  Model model = pack->model();
  return load_from(std::move(model), std::move(options), packed_networks(std::move(pack)));
}

}  // namespace leat
