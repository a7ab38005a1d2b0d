// Which LLVM an emitter uses.
#pragma once

#include <string>

namespace leat {

/// The version and the build-id of the library that is loaded, empty when that cannot be told. Only
/// in builds that have LLVM.
std::string llvm_build();

}  // namespace leat
