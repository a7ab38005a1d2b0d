// The cuda route: lists what the CUDA driver offers and opens one of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/route/found_route.h"

namespace leat {

struct CudaApi;

/// In the driver's order. When there is no CUDA driver: one entry without a chip that says why.
std::vector<FoundRoute> find_cuda_devices();
std::vector<FoundRoute> find_cuda_devices_on(const CudaApi& api);

/// Opens entry `index` of find_cuda_devices() under `name`.
/// Errors: unsupported (the refusal), io, out_of_memory.
Result<std::unique_ptr<Device>> open_cuda_device(size_t index, std::string name);
Result<std::unique_ptr<Device>> open_cuda_device_on(const CudaApi& api, size_t index,
                                                    std::string name);

}  // namespace leat
