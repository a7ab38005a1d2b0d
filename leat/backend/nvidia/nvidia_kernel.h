// A kernel in the card's memory, with its launch descriptor and its constant bank as far as they
// are the same for every launch.
#pragma once

#include "leat/backend/nvidia/nvidia_context.h"
#include "leat/backend/nvidia/nvidia_cubin.h"
#include "leat/backend/nvidia/nvidia_qmd.h"

namespace leat {

class NvidiaKernel final : public Kernel {
 public:
  /// Errors: invalid_argument (the binary is damaged or past a limit), out_of_memory, io.
  static Result<std::unique_ptr<Kernel>> load(NvidiaContext& context, const KernelBinary& binary);
  NvidiaKernel(NvidiaContext& context, const KernelBinary& binary);  // for load()
  ~NvidiaKernel() override { context_.retire(code_, std::move(bank_)); }
  NvidiaKernel(const NvidiaKernel&) = delete;
  NvidiaKernel& operator=(const NvidiaKernel&) = delete;

  /// Without bank address, release and dependent.
  const Qmd& qmd() const { return qmd_; }
  const NvidiaBank& bank() const { return *bank_; }

 private:
  Result<void> fill(const KernelBinary& binary, Cubin& cubin);
  void fill_bank(const KernelBinary& binary, const Cubin& cubin);
  void fill_qmd(const KernelBinary& binary, const Cubin& cubin);
  void fill_shared_memory(const KernelBinary& binary, const Cubin& cubin);

  NvidiaContext& context_;
  DirectRange code_;
  Qmd qmd_;
  std::unique_ptr<NvidiaBank> bank_ = std::make_unique<NvidiaBank>();
};

/// The constant bank's part that every kernel may read; on Blackwell it lies further up, and the
/// bank counts as dense.
inline constexpr uint32_t kBankHeadBytes = 64;

}  // namespace leat
