// Lowering, the look into the cache and emission are done by as many threads as there are cores,
// each taking the next step; the device loads what they made in the steps' order on the caller's
// thread.
#include "leat/run/compile.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "leat/base/cpu_count.h"
#include "leat/base/thread_start.h"
#include "leat/emit/emit.h"
#include "leat/lower/lower.h"

namespace leat {

namespace {

/// A kernel on its way to the device.
struct Job {
  LoweredKernel lowered;
  CacheKey key;
  std::optional<KernelBinary> cached;
  std::optional<KernelBinary> emitted;
};

/// work(i) for each i below `count`, by as many threads as there are cores.
template <typename Work>
void on_all_cores(size_t count, const Work& work) {
  std::atomic<size_t> next = 0;
  const auto do_some = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min<size_t>(usable_cpus(), count); ++i) {
    Result<std::thread> helper = start_thread(do_some);
    if (!helper) break;  // fewer do the same work
    helpers.push_back(std::move(*helper));
  }
  do_some();
  for (std::thread& helper : helpers) helper.join();
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
    on_all_cores(wishes_.size(), [this](size_t i) { jobs_[i] = make(i); });
  }

  Result<CompiledKernels> load_all() {
    CompiledKernels result;
    for (size_t i = 0; i < wishes_.size(); ++i) {
      Result<std::unique_ptr<Kernel>> kernel = load(jobs_[i], result.compiled);
      if (!kernel)
        return kernel.error().during("compiling kernel " +
                                     node_of(schedule_, wishes_[i].step).name);
      result.kernels.push_back(std::move(*kernel));
    }
    return result;
  }

 private:
  Result<Job> make(size_t i) const {
    const KernelWish& wish = wishes_[i];
    Job job;
    if (wish.lowered != nullptr) {
      job.lowered = *wish.lowered;
    } else {
      TRY_ASSIGN(job.lowered, lower(schedule_, schedule_.steps[wish.step], device_.target()));
    }
    job.key = cache_.key_of(job.lowered.text, device_.target(), device_.info().driver);
    job.cached = cache_.find(job.key, device_.target());
    if (job.cached) return job;
    return emitted(std::move(job));
  }

  Result<Job> emitted(Job job) const {
    TRY_ASSIGN(job.emitted, emit(job.lowered.program, device_.target()));
    return job;
  }

  Result<std::unique_ptr<Kernel>> load(std::optional<Result<Job>>& made, uint32_t& compiled) const {
    if (!*made) return made->error();
    Job& job = **made;
    if (job.cached) {
      Result<std::unique_ptr<Kernel>> kernel = device_.load(*job.cached);
      if (kernel) return kernel;
      Result<Job> again = emitted(std::move(job));
      if (!again) return again.error();
      job = std::move(*again);
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
