// The CUDA driver's library as peers in benchmarks use it, opened at run time. The cuda backend has
// a table of its own: a peer must not lean on what it is compared with.
// Source: NVIDIA's "CUDA Driver API" reference, 13.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat::cli {

struct CudaDriver {
  int (*init)(unsigned flags) = nullptr;
  int (*version)(int* version) = nullptr;
  int (*device_count)(int* count) = nullptr;
  int (*device_name)(char* name, int size, int device) = nullptr;
  int (*retain)(void** context, int device) = nullptr;
  int (*set_current)(void* context) = nullptr;
  int (*stream_create)(void** stream, unsigned flags) = nullptr;
  int (*stream_destroy)(void* stream) = nullptr;
  int (*stream_synchronize)(void* stream) = nullptr;
  int (*begin_capture)(void* stream, int mode) = nullptr;
  int (*end_capture)(void* stream, void** graph) = nullptr;
  int (*graph_instantiate)(void** executable, void* graph, unsigned long long flags) = nullptr;
  int (*graph_launch)(void* executable, void* stream) = nullptr;
  int (*graph_exec_destroy)(void* executable) = nullptr;
  int (*graph_destroy)(void* graph) = nullptr;
  int (*mem_alloc)(uint64_t* address, size_t size_bytes) = nullptr;
  int (*mem_free)(uint64_t address) = nullptr;
  int (*copy_in)(uint64_t target, const void* source, size_t size_bytes) = nullptr;
  int (*copy_out)(void* target, uint64_t source, size_t size_bytes) = nullptr;
  int (*host_alloc)(void** host, size_t size_bytes, unsigned flags) = nullptr;
  int (*host_free)(void* host) = nullptr;
  int (*host_address)(uint64_t* address, void* host, unsigned flags) = nullptr;
  int (*module_load)(void** module, const void* image) = nullptr;
  int (*module_unload)(void* module) = nullptr;
  int (*function)(void** function, void* module, const char* name) = nullptr;
  int (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream,
                void** parameters, void** extra) = nullptr;

  /// Opened once in the process. Errors: unsupported, with the reason.
  static Result<const CudaDriver*> open();
};

/// An Error that names the call, unless `code` is 0.
Result<void> check_cuda(int code, std::string_view call);

/// The primary context of the GPU of that name, current in this thread, and a stream of its own.
class CudaPeer {
 public:
  /// `chip` as in DeviceInfo, empty: the first GPU. Errors: unsupported, io.
  static Result<CudaPeer> open(const std::string& chip);
  CudaPeer(CudaPeer&& other) noexcept : driver_(other.driver_), stream_(other.stream_) {
    other.stream_ = nullptr;
  }
  CudaPeer& operator=(CudaPeer&&) = delete;
  ~CudaPeer() {
    if (stream_ != nullptr) driver_->stream_destroy(stream_);
  }

  const CudaDriver& driver() const { return *driver_; }
  void* stream() const { return stream_; }
  /// Memory of the GPU, freed by driver().mem_free. Errors: io.
  Result<uint64_t> allocate(size_t size_bytes) const;
  Result<uint64_t> upload(std::span<const std::byte> bytes) const;

 private:
  explicit CudaPeer(const CudaDriver* driver) : driver_(driver) {}
  const CudaDriver* driver_;
  void* stream_ = nullptr;
};

/// A peer's executions, so many at once as one CUDA graph, recorded once for each number of them;
/// or, what cannot be captured, as many calls in the stream. `peer` outlives it.
class CudaRepeats {
 public:
  using Execute = std::function<Result<void>(uint32_t repeats)>;
  CudaRepeats(const CudaPeer& peer, Execute execute) : peer_(peer), execute_(std::move(execute)) {}
  CudaRepeats(const CudaRepeats&) = delete;
  ~CudaRepeats();

  /// Seconds from the launch to the end of the last execution.
  Result<double> run(uint32_t repeats);

 private:
  Result<void*> graph_of(uint32_t repeats);

  const CudaPeer& peer_;
  Execute execute_;
  std::map<uint32_t, void*> graphs_;  // null: it cannot be captured
};

}  // namespace leat::cli
