// The commands of `leat-bench`, one file each; bench_main.cpp has the table.
#pragma once

#include "cli/commands.h"

namespace leat::cli {

CommandRun add_bench_conv2d(CLI::App& command);
CommandRun add_bench_matmul(CLI::App& command);
CommandRun add_bench_latency(CLI::App& command);
CommandRun add_bench_flow(CLI::App& command);
CommandRun add_bench_library(CLI::App& command);
CommandRun add_bench_tune(CLI::App& command);
CommandRun add_bench_project(CLI::App& command);
CommandRun add_bench_host(CLI::App& command);
CommandRun add_bench_report(CLI::App& command);

}  // namespace leat::cli
