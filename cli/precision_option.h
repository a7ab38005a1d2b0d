// `--precision`: to what products of a model in f32 may be rounded.
#pragma once

#include <CLI/CLI.hpp>

#include "leat/base/precision.h"

namespace leat::cli {

void add_precision_option(CLI::App& command, Precision& precision);

}  // namespace leat::cli
