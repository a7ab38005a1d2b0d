// A whole NVIDIA GPU with its kernel driver, in this process: what the direct route is opened on in
// tests. The doorbell runs the engines on the caller's thread, so a submit is done when it returns,
// unless the test holds the engines back.
#pragma once

#include "tests/wire/mock_engine.h"
#include "tests/wire/mock_rm.h"

namespace leat::mock {

class Nvidia {
 public:
  explicit Nvidia(const ChipOptions& options = {});
  Nvidia(const Nvidia&) = delete;
  Nvidia& operator=(const Nvidia&) = delete;

  const NvidiaOs& os() const { return os_; }
  ResourceServer& server() { return server_; }
  Engines& engines() { return engines_; }
  /// While held, doorbells are only noted.
  void hold(bool held) { held_ = held; }
  void run() { engines_.run(); }
  uint64_t doorbells() const { return doorbells_; }

 private:
  static Nvidia& self(void* context) { return *static_cast<Nvidia*>(context); }
  void ring(const volatile uint32_t* doorbell, uint32_t token);

  GpuMemory memory_;
  ResourceServer server_;
  Engines engines_;
  NvidiaOs os_;
  bool held_ = false;
  uint64_t doorbells_ = 0;
};

}  // namespace leat::mock
