// The number rises by both ways, on whatever OpenGL there is.
#include "leat/backend/opengl/opengl_number.h"

#include <gtest/gtest.h>

#include "leat/backend/opengl/opengl_context.h"

namespace leat {
namespace {

constexpr GLuint64 kWaitNs = 10'000'000'000;

void expect_rises(const GlApi& gl, bool is_cleared) {
  OpenglNumber number;
  ASSERT_EQ(number.open(gl, is_cleared), "");
  EXPECT_EQ(number.program() == 0, is_cleared);
  gl.use_program(number.program());
  for (uint64_t value = 1; value <= 5; ++value) {
    gl.memory_barrier(GL_ALL_BARRIER_BITS);
    number.raise(gl, value);
    const GLsync sync = gl.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
    const GLenum state = gl.client_wait_sync(sync, GL_SYNC_FLUSH_COMMANDS_BIT, kWaitNs);
    gl.delete_sync(sync);
    ASSERT_TRUE(state == GL_ALREADY_SIGNALED || state == GL_CONDITION_SATISFIED);
    EXPECT_EQ(number.poll(), value);
  }
  gl.use_program(0);
  number.close(gl);
  EXPECT_EQ(number.poll(), 0u);
  EXPECT_EQ(gl.get_error(), static_cast<GLenum>(GL_NO_ERROR));
}

TEST(OpenglNumber, RisesByAProgramAndByAClear) {
  const Result<EglApi> egl = load_egl();
  if (!egl) GTEST_SKIP() << egl.error().message();
  const Result<std::vector<EglChip>> chips = list_egl_chips(*egl);
  if (!chips) GTEST_SKIP() << chips.error().message();
  for (const EglChip& chip : *chips) {
    const Result<std::unique_ptr<OpenglContext>> context = OpenglContext::create(*egl, chip);
    if (!context) continue;
    expect_rises((*context)->gl(), false);
    expect_rises((*context)->gl(), true);
  }
}

}  // namespace
}  // namespace leat
