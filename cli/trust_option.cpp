// See trust_option.h.
#include "cli/trust_option.h"

namespace leat::cli {

void add_trust_option(CLI::App& command, bool& trusts_kernels) {
  command.add_flag("--trust", trusts_kernels,
                   "Kernels in the model are not checked by the interpreter before they run");
}

}  // namespace leat::cli
