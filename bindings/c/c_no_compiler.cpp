// The same in the small runtime: packed models alone, and no operators.
#include <fmt/format.h>

#include "bindings/c/c_model.h"

namespace leat::c {

namespace {

leat_status refuse_operator() {
  return guarded([]() -> Result<void> {
    return Error(ErrorKind::unsupported,
                 "This build of Leat has no compiler: it runs packed models, and no operators.");
  });
}

}  // namespace

void add_tuning(SessionOptions&, const leat_session_options&) {}

Result<std::unique_ptr<LoadedModel>> load_compiled(Session&, const ModelFile& file,
                                                   const leat_load_options&, LoadOptions) {
  return Error(
      ErrorKind::unsupported,
      fmt::format("File \"{}\" is no packed model, and this build of Leat has no compiler: "
                  "pack it elsewhere with leat pack.",
                  file.path));
}

}  // namespace leat::c

using namespace leat;

leat_status leat_operator(leat_session*, const char*, const leat_attribute*, size_t,
                          const leat_tensor*, size_t, leat_tensor*, size_t) {
  return c::refuse_operator();
}

leat_status leat_conv2d(leat_session*, const leat_conv2d_options*, const leat_tensor*,
                        const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse_operator();
}

leat_status leat_matmul(leat_session*, const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse_operator();
}

leat_status leat_add(leat_session*, const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse_operator();
}

leat_status leat_relu(leat_session*, const leat_tensor*, leat_tensor*) {
  return c::refuse_operator();
}

leat_status leat_softmax(leat_session*, int64_t, const leat_tensor*, leat_tensor*) {
  return c::refuse_operator();
}
