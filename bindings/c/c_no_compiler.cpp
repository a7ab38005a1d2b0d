// The same in the small runtime: packed models alone.
#include <fmt/format.h>

#include "bindings/c/c_model.h"

namespace leat::c {

namespace {

leat_status refuse() {
  return guarded([]() -> Result<void> {
    return Error(ErrorKind::unsupported,
                 "This build of Leat has no compiler: it runs packed models, but no operators and "
                 "kernels, and tunes nothing.");
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
  return c::refuse();
}

leat_status leat_conv2d(leat_session*, const leat_conv2d_options*, const leat_tensor*,
                        const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse();
}

leat_status leat_matmul(leat_session*, const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse();
}

leat_status leat_add(leat_session*, const leat_tensor*, const leat_tensor*, leat_tensor*) {
  return c::refuse();
}

leat_status leat_relu(leat_session*, const leat_tensor*, leat_tensor*) { return c::refuse(); }

leat_status leat_softmax(leat_session*, int64_t, const leat_tensor*, leat_tensor*) {
  return c::refuse();
}

leat_status leat_model_tune(leat_model*, const leat_tune_options*, leat_tune_result*) {
  return c::refuse();
}

leat_status leat_kernel_load(leat_session*, const char*, size_t, const char*,
                             const leat_kernel_options*, leat_kernel**) {
  return c::refuse();
}

void leat_kernel_close(leat_kernel*) {}

size_t leat_kernel_parameter_count(const leat_kernel*) { return 0; }

leat_status leat_kernel_parameter(const leat_kernel*, size_t, leat_parameter_info*) {
  return c::refuse();
}

leat_status leat_kernel_device(const leat_kernel*, leat_device_info*) { return c::refuse(); }

leat_status leat_kernel_check(leat_kernel*, const leat_tensor*, size_t) { return c::refuse(); }

leat_status leat_kernel_run(leat_kernel*, const leat_tensor*, size_t) { return c::refuse(); }

leat_status leat_kernel_measure(leat_kernel*, double, leat_kernel_rate*) { return c::refuse(); }

leat_status leat_kernel_format(const char*, size_t, const char*, char*, size_t, size_t*) {
  return c::refuse();
}
