// Network: an op graph made ready on one device, and the spine that leads a tensor through it:
// schedule, lower, emit (or the cache), load, record once; then every run is one replayed submit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/device/device.h"
#include "leat/run/kernel_cache.h"
#include "leat/schedule/schedule.h"

namespace leat {

struct NetworkOptions {
  ScheduleOptions schedule;
  std::string cache_folder;  // empty: no cache is read or written
  /// Where graph inputs and outputs lie. Shared ones are written by the host in place; device ones
  /// are staged, which benchmarks of kernels want.
  MemoryKind external_memory = MemoryKind::shared;
};

/// What making a network ready took, and what it moved.
struct NetworkStats {
  uint32_t kernels = 0;
  uint32_t compiled = 0;      // not found in the cache
  double compile_ms = 0;      // lowering, emission and loading, cache hits included
  uint64_t staged_bytes = 0;  // copied twice on their way, since load
};

/// One kernel of a profiled run.
struct KernelTime {
  std::string name;
  std::string op;
  std::string params;
  double flop = 0;
  uint64_t bytes = 0;    // tensors read and written once
  uint64_t time_ns = 0;  // on the device's clock
};

class Network {
 public:
  /// The device must outlive the network.
  /// Errors: unsupported, out_of_memory, and what a driver says.
  static Result<std::unique_ptr<Network>> load(Device& device, const Graph& graph,
                                               const NetworkOptions& options);

  /// Shape and dtype must be those of graph input `index`. Errors: invalid_argument.
  Result<void> set_input(size_t index, const HostTensor& value);
  /// Runs once and waits for the fence. Errors: device_lost at the deadline.
  Result<void> run();
  /// Starts a run; the fence value of its end. At most one run is in flight.
  Result<uint64_t> start();
  /// Waits for a started run.
  Result<void> wait(uint64_t fence_value);
  /// The output of the last finished run.
  Result<HostTensor> output(size_t index);

  /// Records the commands `count` times in a row, so that one start() runs the network that often:
  /// for measuring what is shorter than a submit. No run may be in flight. After load it is 1.
  Result<void> record_repeats(uint32_t count);

  /// Runs every kernel by itself, between two time marks.
  Result<std::vector<KernelTime>> profile();

  const Schedule& schedule() const { return schedule_; }
  const NetworkStats& stats() const { return stats_; }
  Device& device() { return device_; }

 private:
  Network(Device& device, const NetworkOptions& options)
      : device_(device), options_(options), cache_(options.cache_folder) {}

  struct LoadedKernel {
    std::unique_ptr<Kernel> kernel;
    std::vector<BufferRange> arguments;
    uint32_t step = 0;
  };

  Result<void> prepare(const Graph& graph);
  Result<void> allocate();
  Result<void> upload_weights();
  Result<void> load_kernels();
  Result<void> launch_all(uint32_t count);
  Result<std::unique_ptr<Kernel>> compile(const Step& step, std::vector<TensorId>& arguments);
  BufferRange range_of(TensorId tensor) const;
  size_t bytes_of(TensorId tensor) const;

  Device& device_;
  NetworkOptions options_;
  KernelCache cache_;
  Schedule schedule_;
  Buffer weights_;
  Buffer activations_;
  std::vector<Buffer> externals_;  // by tensor id, empty where not external
  std::vector<LoadedKernel> kernels_;
  std::unique_ptr<RecordedList> list_;
  NetworkStats stats_;
};

}  // namespace leat
