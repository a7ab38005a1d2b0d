// What `leat kernel` is told of a launch: files and numbers for parameters, the grid.
//
// A text is a whole launch. Files of other sizes than it says go with a grid; then each parameter
// has as many elements as its file.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/run/user_kernel.h"
#include "leat/tensor/graph.h"

namespace CLI {
class App;
}

namespace leat::cli {

struct LaunchOptions {
  std::string file;
  std::vector<std::string> inputs;   // NAME=FILE.npy
  std::vector<std::string> numbers;  // NAME=V[,V...]
  std::vector<std::string> outputs;  // NAME=FILE.npy[:TYPE[EXTENT,...]]
  std::string grid;                  // X[,Y[,Z]]; empty: the text's
};

/// Declares FILE, --in, --set, --grid, and --out where `has_outputs`.
void add_launch_options(CLI::App& command, LaunchOptions& options, bool has_outputs);

/// A file that a parameter is written to.
struct KernelOutput {
  size_t parameter = 0;
  std::string path;
};

struct Launch {
  UserKernel kernel;
  std::vector<HostTensor> values;     // of each parameter, as its storage
  std::vector<std::string> invented;  // parameters whose values are made up
  std::vector<KernelOutput> outputs;
  std::vector<std::string> read;  // files: the text, and those of --in

  std::vector<std::span<std::byte>> arguments();
};

/// What is only read and not given is an error, or with `invents` made up: small numbers, 0 for
/// whole ones. What is written and not given is 0.
/// Errors: io; invalid_argument, naming file and parameter.
Result<Launch> read_launch(const LaunchOptions& options, bool invents);

}  // namespace leat::cli
