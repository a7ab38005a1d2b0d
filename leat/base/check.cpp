// The failing side of CHECK: one line to stderr, then abort.
#include "leat/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace leat {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK(%s) failed. This is a bug in Leat; please report it.\n", file,
               line, condition);
  std::abort();
}

}  // namespace leat
