// The commands of the small runtime: `leat run` of packed models alone, and devices that no
// compiler tests when they are opened.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/bench.h"
#include "cli/device_choice.h"
#include "cli/run_files.h"
#include "leat/pack/packed_model.h"

namespace leat::cli {

Result<std::unique_ptr<Device>> open_by_spec(const std::string& spec) {
  return command_devices().open(spec, nullptr);
}

Result<int> run_bench(const std::vector<std::string>&) {
  return Error(ErrorKind::unsupported, "This build of Leat has no benchmarks.");
}

CommandRun add_run(CLI::App& command) {
  const auto options = std::make_shared<RunOptions>();
  declare_run_options(command, *options);
  return [options](const ProcessStart& start) { return run_pack(*options, start); };
}

}  // namespace leat::cli
