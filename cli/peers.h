// Libraries that ours is compared with, in benchmarks only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/conv_case.h"
#include "leat/base/result.h"

namespace leat::cli {

/// One convolution made ready by a peer, in the layout it likes best; reorders are not timed.
struct PeerConv {
  /// Executes it `repeats` times and returns the seconds that took.
  std::function<Result<double>(uint32_t repeats)> run;
  /// The result of the last execution, row-major. Empty when it cannot be had.
  std::function<Result<std::vector<float>>()> output;
};

/// Names for --peer; empty when this build has none.
std::vector<std::string> peer_names();

/// On the CPU, with that many threads. `data` is copied.
/// Errors: unsupported, when the peer lacks the dtype.
Result<PeerConv> make_peer_conv(const std::string& peer, const ConvShape& shape,
                                const ConvData& data, uint32_t threads);

/// oneDNN; peer_onednn.cpp, in builds that have it.
Result<PeerConv> make_onednn_conv(const ConvShape& shape, const ConvData& data, uint32_t threads);
/// "oneDNN 2.6.3".
std::string onednn_version();

/// Name and version of a peer of peer_names().
std::string peer_version(const std::string& peer);

}  // namespace leat::cli
