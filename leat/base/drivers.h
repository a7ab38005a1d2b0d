// Drivers of GPUs are libraries of somebody else's that run in this process and believe its
// environment: where they load code from, and in which folder they keep what they compiled.
#pragma once

#include <string>
#include <vector>

namespace leat {

/// Opens a driver's library, never to be unloaded: drivers built on LLVM leave exit handlers
/// behind. Null: dlerror() says why. Before the first one guard_environment() is called.
void* open_driver(const char* name);

/// Keeps drivers from what others could have written. The first call does the work, and changes
/// environment variables: in a process of several threads none may read them meanwhile.
/// With borrowed rights (setuid, file capabilities) the environment is emptied, for not all that
/// drivers load heeds these, and no driver keeps anything.
/// Else each driver's cache whose folder others could write, or make, is switched off. One in a
/// folder that only this user and root can write stays as the user set it.
void guard_environment();

/// Why caches of drivers are switched off, a sentence each.
std::vector<std::string> closed_driver_caches();

}  // namespace leat
