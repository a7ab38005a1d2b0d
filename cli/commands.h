// The commands of `leat`, one file each; main.cpp has the table.
//
// A command declares its options and hands back what to do once they are parsed. It prints results
// to stdout; an error it returns becomes one sentence on stderr and exit code 1.
#pragma once

#include <chrono>
#include <functional>

#include "leat/base/result.h"

namespace CLI {
class App;
}

namespace leat::cli {

/// When this process began: where main() did, and the processor time spent before that by the
/// loader, which is close to the time that passed.
struct ProcessStart {
  std::chrono::steady_clock::time_point main_began;
  double ms_before_main = 0;

  double ms_since() const {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - main_began;
    return passed.count() + ms_before_main;
  }
};

/// Returns the exit code.
using CommandRun = std::function<Result<int>(const ProcessStart& start)>;

CommandRun add_devices(CLI::App& command);
CommandRun add_run(CLI::App& command);
CommandRun add_inspect(CLI::App& command);
CommandRun add_compare(CLI::App& command);
CommandRun add_test_onnx(CLI::App& command);
CommandRun add_bench(CLI::App& command);
CommandRun add_tune(CLI::App& command);
CommandRun add_pack(CLI::App& command);
CommandRun add_dump(CLI::App& command);
CommandRun add_kernel(CLI::App& command);
CommandRun add_doctor(CLI::App& command);
CommandRun add_cache(CLI::App& command);

}  // namespace leat::cli
