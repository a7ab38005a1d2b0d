// The mock's engines: they read rings, push buffers and launch descriptors as the chip does, and
// are as unforgiving. What only goes wrong now and then on the chip (launches without order, stale
// caches) is a broken rule here, every time.
// Source: open-gpu-doc classes/host/clc56f.h, classes/compute/clcbc0.h, classes/dma-copy/clc8b5.h,
// manuals/ampere/ga100/dev_pbdma.ref.txt, pri_sked.ref.txt; bad cases seen on an H200.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "leat/backend/nvidia/nvidia_qmd.h"
#include "leat/ir/ir.h"
#include "tests/wire/mock_rm.h"

namespace leat::mock {

/// What tests script.
struct FaultScript {
  uint64_t at_launch = 0;  // 1 is the first; 0: never
  uint32_t code = 0;       // of the notifier; 0: the launch never ends
};

class Engines {
 public:
  Engines(ResourceServer& server, GpuMemory& memory) : server_(server), memory_(memory) {}

  /// Runs all channels until none can go on.
  void run();
  /// A channel was rung: it looks at its ring from now on.
  void ring(uint32_t token);
  void script(const FaultScript& fault) { fault_ = fault; }

  uint64_t launches() const { return launches_; }
  uint64_t copies() const { return copies_; }
  /// From now on copies are checked and counted, and nothing is moved.
  void count_copies_only() { moves_copies_ = false; }
  uint64_t copied_bytes() const { return copied_bytes_; }
  /// Methods and launch descriptors as text from now on. Addresses are named in the order in which
  /// they appear ("A1"), so that the text does not depend on where memory lies.
  void start_log() { logs_ = true; }
  std::string take_log();
  /// One sentence for each rule of the hardware that was broken.
  const std::vector<std::string>& broken_rules() const { return broken_; }

 private:
  struct Method {
    uint32_t subchannel = 0, method = 0, data = 0;
  };
  struct Access {
    uint64_t address = 0, size_bytes = 0;
    bool written = false;
    uint64_t chain = 0;
  };
  struct State {
    uint32_t get = 0, put = 0;
    bool is_dead = false, is_stuck = false, is_waiting = false;
    std::deque<Method> methods;
    std::map<uint32_t, uint32_t> values;  // the last data of each method
    std::set<uint32_t> bound;             // subchannels with an object
    std::vector<Access> accesses;         // of launches since the engine was last idle
    uint64_t chains = 0;
  };

  bool step(ChannelObject& channel, State& state);
  bool fetch(ChannelObject& channel, State& state);
  bool decode(const std::byte* words, uint32_t count, State& state);
  bool execute(ChannelObject& channel, State& state, const Method& method);
  bool semaphore(ChannelObject& channel, State& state, uint32_t execute);
  void compute_method(ChannelObject& channel, State& state, const Method& method);
  void copy_method(ChannelObject& channel, State& state, const Method& method);
  void launch_chain(ChannelObject& channel, State& state, uint64_t address);
  bool launch(ChannelObject& channel, State& state, const Qmd& qmd, uint64_t chain, bool chained);
  std::string check_schedule(const State& state, const Qmd& qmd) const;
  bool read_bank(const Qmd& qmd, std::vector<std::byte>& bank);
  std::string check_bank(const Qmd& qmd, const std::vector<std::byte>& bank) const;
  bool run_program(ChannelObject& channel, State& state, const Qmd& qmd, uint64_t chain,
                   const std::vector<std::byte>& bank);
  void order(State& state, std::vector<Access> accesses, const std::string& name);
  bool release(const State& state, const Qmd& qmd, uint64_t chain);
  void idle(State& state) { state.accesses.clear(); }
  void fault(ChannelObject& channel, State& state, uint32_t code, const std::string& text);
  void log(const std::string& text) {
    if (logs_) log_ += text;
  }
  void break_rule(const std::string& text) { broken_.push_back(text); }

  ResourceServer& server_;
  GpuMemory& memory_;
  std::map<uint32_t, State> states_;                              // by channel handle
  std::map<uint64_t, std::vector<std::byte>> constants_;          // the constant cache, by address
  std::map<uint64_t, std::pair<std::string, ir::Program>> code_;  // programs by address, with text
  FaultScript fault_;
  uint64_t launches_ = 0;
  uint64_t copies_ = 0;
  uint64_t copied_bytes_ = 0;
  bool moves_copies_ = true;
  std::vector<std::string> broken_;
  bool logs_ = false;
  std::string log_;
};

}  // namespace leat::mock
