// Libraries that ours is compared with, in benchmarks only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/conv_case.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

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

/// Whether a peer can be measured beside `device`: onednn on the CPU, cudnn and
/// cublas on NVIDIA's GPUs.
/// Errors: invalid_argument, when it runs elsewhere.
Result<void> check_peer(const std::string& peer, Device& device);

/// On `device`'s chip; on the CPU with as many threads. `data` is copied.
/// Errors: unsupported, when the peer lacks the dtype or does not open.
Result<PeerConv> make_peer_conv(const std::string& peer, const ConvShape& shape,
                                const ConvData& data, Device& device);

/// oneDNN; peer_onednn.cpp, in builds that have it.
Result<PeerConv> make_onednn_conv(const ConvShape& shape, const ConvData& data, uint32_t threads);
/// "oneDNN 2.6.3".
std::string onednn_version();
/// cuDNN; peer_cudnn.cpp, opened at run time. `chip` is the GPU's name.
Result<PeerConv> make_cudnn_conv(const ConvShape& shape, const ConvData& data,
                                 const std::string& chip);
/// "cuDNN 9.19.0"; says so when it does not open.
std::string cudnn_version();
/// cuBLAS; peer_cublas.cpp, opened at run time. Errors: unsupported, for what is no product.
Result<PeerConv> make_cublas_product(const ConvShape& shape, const ConvData& data,
                                     const std::string& chip);
/// "cuBLAS 13.0.2"; says so when it does not open.
std::string cublas_version();

/// One way to launch an empty kernel and to see its end through the CUDA driver itself.
struct PeerLaunch {
  std::string name;
  std::string text;
  std::function<Result<double>()> once;  // seconds
};
/// Launch and synchronise, and a graph whose kernel writes a word that the host polls.
/// Errors: unsupported, when there is no CUDA driver for `chip`.
Result<std::vector<PeerLaunch>> make_cuda_launches(const std::string& chip);

/// Name and version of a peer of peer_names().
std::string peer_version(const std::string& peer);

}  // namespace leat::cli
