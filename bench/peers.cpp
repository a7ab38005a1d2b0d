// The list of peers, written out. This is the only file that asks which peers a build has.
#include "bench/peers.h"

namespace leat::cli {

std::vector<std::string> peer_names() {
  std::vector<std::string> names = {"cudnn", "cublas"};
#ifdef LEAT_HAS_ONEDNN
  names.emplace_back("onednn");
#endif
  return names;
}

Result<void> check_peer(const std::string& peer, Device& device) {
  const bool is_cpu = device.target().is_cpu;
  const bool is_nvidia = device.info().chip.find("NVIDIA") != std::string::npos;
  const bool for_nvidia = peer == "cudnn" || peer == "cublas";
  if (for_nvidia ? is_nvidia : is_cpu) return {};
  return Error(ErrorKind::invalid_argument,
               "Peer \"" + peer + "\" runs on " + (for_nvidia ? "GPUs of NVIDIA" : "the CPU") +
                   "; Device \"" + device.info().name + "\" is another one.");
}

Result<PeerConv> make_peer_conv(const std::string& peer, const ConvShape& shape,
                                const ConvData& data, Device& device) {
  if (peer == "cudnn") return make_cudnn_conv(shape, data, device.info().chip);
  if (peer == "cublas") return make_cublas_product(shape, data, device.info().chip);
#ifdef LEAT_HAS_ONEDNN
  if (peer == "onednn") return make_onednn_conv(shape, data, device.target().compute_units);
#endif
  return Error(ErrorKind::unsupported, "This build has no peer \"" + peer + "\".");
}

std::string peer_version(const std::string& peer) {
  if (peer == "cudnn") return cudnn_version();
  if (peer == "cublas") return cublas_version();
#ifdef LEAT_HAS_ONEDNN
  if (peer == "onednn") return onednn_version();
#endif
  return peer;
}

}  // namespace leat::cli
