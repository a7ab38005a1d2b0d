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
    std::vector<std::thread> helpers;
    for (size_t i = 1; i < std::min<size_t>(usable_cpus(), wishes_.size()); ++i) {
      Result<std::thread> helper = start_thread([this] { make_some(); });
      if (!helper) break;  // fewer do the same work
      helpers.push_back(std::move(*helper));
    }
    make_some();
    for (std::thread& helper : helpers) helper.join();
  }

  Result<CompiledKernels> load_all() {
    CompiledKernels result;
    for (size_t i = 0; i < wishes_.size(); ++i) {
      Result<std::unique_ptr<Kernel>> kernel = load(jobs_[i], result.compiled);
      if (!kernel) return kernel.error().during("compiling kernel " + node_of(i).name);
      result.kernels.push_back(std::move(*kernel));
    }
    return result;
  }

 private:
  const Node& node_of(size_t i) const {
    return schedule_.graph.nodes[schedule_.steps[wishes_[i].step].node];
  }

  void make_some() {
    for (size_t i = next_++; i < wishes_.size(); i = next_++) jobs_[i] = make(i);
  }

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
  std::atomic<size_t> next_ = 0;
};

}  // namespace

Result<CompiledKernels> compile_kernels(const Schedule& schedule,
                                        std::span<const KernelWish> wishes, Device& device,
                                        KernelCache& cache) {
  Compilation compilation(schedule, wishes, device, cache);
  compilation.make_all();
  return compilation.load_all();
}

}  // namespace leat
