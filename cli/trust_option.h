// `--trust`: the kernels that a model's file brings are taken as right.
#pragma once

#include <CLI/CLI.hpp>

namespace leat::cli {

void add_trust_option(CLI::App& command, bool& trusts_kernels);

}  // namespace leat::cli
