// A kernel: a module made of one cubin, and its entry.
#pragma once

#include "leat/backend/cuda/cuda_context.h"

namespace leat {

class CudaKernel final : public Kernel {
 public:
  /// Errors: invalid_argument (format, limits), io (not a cubin of this chip; the driver refuses).
  static Result<std::unique_ptr<Kernel>> load(CudaContext& context, const KernelBinary& binary);
  CudaKernel(CudaContext& context, const KernelBinary& binary);  // for load()
  ~CudaKernel() override;
  CudaKernel(const CudaKernel&) = delete;
  CudaKernel& operator=(const CudaKernel&) = delete;

  /// More than any lowering asks for; Target::buffer_bindings_max.
  static constexpr size_t kBuffersMax = 64;

  /// Puts one launch into `stream`. `addresses` stand in the kernel's order.
  Result<void> launch(CudaHandle stream, std::span<uint64_t> addresses, const Grid& grid) const;

 private:
  Result<void> create(const KernelBinary& binary);

  CudaContext& context_;
  CudaHandle module_ = nullptr;
  CudaHandle function_ = nullptr;
  unsigned threads_ = 1;
  unsigned shared_bytes_ = 0;
};

}  // namespace leat
