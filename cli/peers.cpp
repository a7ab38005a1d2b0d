// The list of peers, written out. This is the only file that asks which peers a build has.
#include "cli/peers.h"

namespace leat::cli {

std::vector<std::string> peer_names() {
  std::vector<std::string> names;
#ifdef LEAT_HAS_ONEDNN
  names.emplace_back("onednn");
#endif
  return names;
}

Result<PeerConv> make_peer_conv(const std::string& peer, [[maybe_unused]] const ConvShape& shape,
                                [[maybe_unused]] const ConvData& data,
                                [[maybe_unused]] uint32_t threads) {
#ifdef LEAT_HAS_ONEDNN
  if (peer == "onednn") return make_onednn_conv(shape, data, threads);
#endif
  return Error(ErrorKind::unsupported, "This build has no peer \"" + peer + "\".");
}

std::string peer_version(const std::string& peer) {
#ifdef LEAT_HAS_ONEDNN
  if (peer == "onednn") return onednn_version();
#endif
  return peer;
}

}  // namespace leat::cli
