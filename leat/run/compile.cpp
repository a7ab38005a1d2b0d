// Lowering, the look into the cache and emission are done by as many threads as there are cores,
// each taking the next step; the device loads what they made in the steps' order on the caller's
// thread.
#include "leat/run/compile.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "leat/emit/emit.h"
#include "leat/lower/lower.h"

namespace leat {

namespace {

/// A cached kernel is trusted by its key; this catches a renamed file or a colliding hash.
bool is_binary_of(const KernelBinary& binary, const ir::Program& program) {
  const auto is_of = [](const KernelArgument& argument, const ir::Parameter& parameter) {
    return argument.storage == parameter.storage && argument.written == parameter.written;
  };
  return binary.name == program.name && std::ranges::equal(binary.grid, program.grid) &&
         std::ranges::equal(binary.arguments, program.parameters, is_of);
}

/// A kernel on its way to the device.
struct Job {
  LoweredKernel lowered;
  uint64_t key = 0;
  std::optional<KernelBinary> cached;
  std::optional<KernelBinary> emitted;
};

class Compilation {
 public:
  Compilation(const Schedule& schedule, std::span<const uint32_t> steps, Device& device,
              const KernelCache& cache)
      : schedule_(schedule), steps_(steps), device_(device), cache_(cache), jobs_(steps.size()) {}

  void make_all() {
    const size_t cores = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < std::min(cores, steps_.size()); ++i) {
      helpers.emplace_back([this] { make_some(); });
    }
    make_some();
  }

  Result<CompiledKernels> load_all() {
    CompiledKernels result;
    for (size_t i = 0; i < steps_.size(); ++i) {
      Result<std::unique_ptr<Kernel>> kernel = load(jobs_[i], result.compiled);
      if (!kernel) return kernel.error().during("compiling kernel " + node_of(i).name);
      result.kernels.push_back(std::move(*kernel));
    }
    return result;
  }

 private:
  const Node& node_of(size_t i) const {
    return schedule_.graph.nodes[schedule_.steps[steps_[i]].node];
  }

  void make_some() {
    for (size_t i = next_++; i < steps_.size(); i = next_++) jobs_[i] = make(i);
  }

  Result<Job> make(size_t i) const {
    Result<LoweredKernel> lowered = lower(schedule_, schedule_.steps[steps_[i]], device_.target());
    if (!lowered) return lowered.error();
    Job job;
    job.lowered = std::move(*lowered);
    job.key = KernelCache::key_of(job.lowered.text, device_.target(),
                                  emitter_version(device_.target()), device_.info().driver);
    job.cached = cache_.find(job.key, device_.target());
    if (job.cached && !is_binary_of(*job.cached, job.lowered.program)) job.cached.reset();
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
  std::span<const uint32_t> steps_;
  Device& device_;
  const KernelCache& cache_;
  std::vector<std::optional<Result<Job>>> jobs_;  // each written by one thread
  std::atomic<size_t> next_ = 0;
};

}  // namespace

Result<CompiledKernels> compile_kernels(const Schedule& schedule, std::span<const uint32_t> steps,
                                        Device& device, const KernelCache& cache) {
  Compilation compilation(schedule, steps, device, cache);
  compilation.make_all();
  return compilation.load_all();
}

}  // namespace leat
