// `leat bench host`: what the direct route to AMD GPUs costs the host, over its recorder, which
// keeps what a card would see. Beside NVIDIA's route: tests/wire/wire_host.cpp.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/host_rows.h"
#include "bench/syscall_count.h"
#include "cli/report.h"
#include "leat/backend/backends.h"
#include "leat/run/probe_kernels.h"

namespace leat::cli {

namespace {

constexpr uint32_t kRounds = 2000;

struct Options {
  std::string target = "gfx1100";
  bool traced = false;
  JsonTarget json;
};

Result<int> run(const Options& options) {
  TRY(check_files(options.json));
  TRY_ASSIGN(const std::unique_ptr<Recorder> recorder, open_recorder(options.target));
  Device& device = recorder->device();
  TRY_ASSIGN(const KernelBinary count, count_kernel(device.target()));
  TRY_ASSIGN(const KernelBinary empty, empty_kernel(device.target()));
  TRY_ASSIGN(HostWork work, HostWork::make(device, count, empty));
  if (options.traced) {
    TRY(work.mark_once());
    return 0;
  }
  TRY_ASSIGN(const SyscallCount syscalls,
             count_syscalls({"host", "--target", options.target, "--traced"}));
  TRY_ASSIGN(const std::vector<HostRow> rows, work.measure(kRounds));
  TRY_ASSIGN(const uint64_t allocations, work.allocations());
  if (options.json.wanted()) {
    nlohmann::ordered_json object;
    add_bench_facts(object, device);
    object["what"] = "the host's work over a recorder; no card is there";
    object["system_calls"] = syscalls.all;
    object["allocations"] = allocations;
    object["counted_over"] = kHostCount * rows.size();
    object["results"] = json_of(rows);
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  print_text(fmt::format(
      "The host's work for {}, no card is there\n{}{} system calls (traced) and "
      "{} allocations in {} of these\n",
      options.target, text_of(rows), syscalls.all, allocations, kHostCount * rows.size()));
  return 0;
}

}  // namespace

CommandRun add_bench_host(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  command.add_option("--target", options->target, "The chip (gfx1100)")->type_name("NAME");
  command
      .add_flag("--traced", options->traced, "What the child does whose system calls are counted")
      ->group("");
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
