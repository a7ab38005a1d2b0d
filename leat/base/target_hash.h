// Hashes all of a Target, for the keys of what was made for it.
#pragma once

#include "leat/base/digest.h"
#include "leat/base/target.h"

namespace leat {

/// Every field; one that is added to Target and not hashed does not compile.
void add_target(SecureHasher& hasher, const Target& target);

}  // namespace leat
