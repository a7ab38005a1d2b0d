// The look into the cache, lowering and emission are done by as many threads as there are cores,
// each taking the next step; the device loads what they made in the steps' order on the caller's
// thread. What is in the cache is not even lowered: a step's key decides its code.
#include "leat/run/compile.h"

#include <optional>

#include "leat/base/all_cores.h"
#include "leat/base/byte_stream.h"
#include "leat/emit/emit.h"
#include "leat/lower/lower.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

namespace {

/// A kernel on its way to the device.
struct Job {
  CacheKey key;
  std::optional<KernelBinary> cached;
  std::optional<KernelBinary> emitted;
};

/// Of a step's key, which no program's text begins like.
std::string bytes_of(const StepKey& key) {
  ByteWriter writer;
  writer.add_string("step");
  writer.add_string(key.structure);
  for (const int64_t number : key.numbers) writer.add(number);
  return std::move(writer.bytes);
}

const Node& node_of(const Schedule& schedule, uint32_t step) {
  return schedule.graph.nodes[schedule.steps[step].node];
}

class Compilation {
 public:
  Compilation(const Schedule& schedule, std::span<const KernelWish> wishes, Device& device,
              KernelCache& cache)
      : schedule_(schedule),
        wishes_(wishes),
        device_(device),
        cache_(cache),
        jobs_(wishes.size()) {}

  void make_all() {
    on_all_cores(wishes_.size(), [this](size_t i) { jobs_[i] = make(wishes_[i]); });
  }

  Result<CompiledKernels> load_all() {
    CompiledKernels result;
    for (size_t i = 0; i < wishes_.size(); ++i) {
      Result<std::unique_ptr<Kernel>> kernel = load(i, result.compiled);
      if (!kernel)
        return kernel.error().during("compiling kernel " +
                                     node_of(schedule_, wishes_[i].step).name);
      result.kernels.push_back(std::move(*kernel));
    }
    return result;
  }

 private:
  Result<Job> make(const KernelWish& wish) const {
    const std::string identity = wish.lowered != nullptr
                                     ? wish.lowered->text
                                     : bytes_of(step_key(schedule_, schedule_.steps[wish.step]));
    Job job;
    job.key = cache_.key_of(identity, device_.target(), device_.info().driver);
    job.cached = cache_.find(job.key, device_.target());
    if (!job.cached) {
      TRY_ASSIGN(job.emitted, emitted(wish));
    }
    return job;
  }

  Result<KernelBinary> emitted(const KernelWish& wish) const {
    if (wish.lowered != nullptr) return emit(wish.lowered->program, device_.target());
    TRY_ASSIGN(const LoweredKernel lowered,
               lower(schedule_, schedule_.steps[wish.step], device_.target()));
    return emit(lowered.program, device_.target());
  }

  Result<std::unique_ptr<Kernel>> load(size_t i, uint32_t& compiled) {
    Result<Job>& made = *jobs_[i];
    if (!made) return made.error();
    Job& job = *made;
    if (job.cached) {
      Result<std::unique_ptr<Kernel>> kernel = device_.load(*job.cached);
      if (kernel) return kernel;
      TRY_ASSIGN(job.emitted, emitted(wishes_[i]));
    }
    ++compiled;
    TRY_ASSIGN(std::unique_ptr<Kernel> kernel, device_.load(*job.emitted));
    cache_.store(job.key, *job.emitted);
    return kernel;
  }

  const Schedule& schedule_;
  std::span<const KernelWish> wishes_;
  Device& device_;
  KernelCache& cache_;
  std::vector<std::optional<Result<Job>>> jobs_;  // each written by one thread
};

}  // namespace

Result<CompiledKernels> compile_kernels(const Schedule& schedule,
                                        std::span<const KernelWish> wishes, Device& device,
                                        KernelCache& cache) {
  Compilation compilation(schedule, wishes, device, cache);
  compilation.make_all();
  return compilation.load_all();
}

Result<std::vector<KernelBinary>> emit_kernels(const Schedule& schedule,
                                               std::span<const uint32_t> steps,
                                               const Target& target) {
  std::vector<std::optional<Result<KernelBinary>>> made(steps.size());
  const auto make = [&](uint32_t step) -> Result<KernelBinary> {
    TRY_ASSIGN(const LoweredKernel lowered, lower(schedule, schedule.steps[step], target));
    return emit(lowered.program, target);
  };
  on_all_cores(steps.size(), [&](size_t i) { made[i] = make(steps[i]); });
  std::vector<KernelBinary> binaries;
  for (size_t i = 0; i < steps.size(); ++i) {
    Result<KernelBinary>& one = *made[i];
    if (!one) {
      return one.error().during("compiling kernel " + node_of(schedule, steps[i]).name + " for " +
                                target.name);
    }
    binaries.push_back(std::move(*one));
  }
  return binaries;
}

}  // namespace leat
