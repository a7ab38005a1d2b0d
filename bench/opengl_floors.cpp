// What an OpenGL driver takes at least from the first call to the moment at which the host sees the
// fence's number, by each way to raise it, on the thread that owns the context and with nothing of
// Leat's in between. Beside it, for the ways that could be a fence: how often the host, once it
// sees the number, still finds an old word in mapped memory that the work before has written.
// Sources: OpenGL 4.6 core specification; GLSL 4.50, section 8.17 (memoryBarrier).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "leat/backend/opengl/opengl_context.h"
#include "leat/base/printable.h"
#include "leat/device/spin.h"
#include "leat_version.h"

using namespace leat;

namespace {

constexpr int kNoOpengl = 77;                 // exit code by which a test is skipped
constexpr uint64_t kLoadNs = 400'000'000;     // until the clock of an H200 is up
constexpr uint64_t kPauseNs = 3'000;          // between rounds
constexpr uint64_t kGivenUpNs = 500'000'000;  // such a number never comes
constexpr GLuint kWorkgroups = 1056;          // of the work whose order is looked at
constexpr GLuint kLanes = 256;
constexpr size_t kWords = size_t{kWorkgroups} * kLanes;
constexpr GLbitfield kMapFlags =
    GL_MAP_READ_BIT | GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;
constexpr GLbitfield kBarrier = GL_SHADER_STORAGE_BARRIER_BIT | GL_BUFFER_UPDATE_BARRIER_BIT |
                                GL_CLIENT_MAPPED_BUFFER_BARRIER_BIT;

constexpr const char* kBlocks = R"(
layout(std430, binding = 0) coherent buffer Counter { uint count; uint groups_done; };
layout(std430, binding = 1) coherent buffer Number { uint number; };
layout(std430, binding = 2) coherent buffer Words { uint words[]; };
layout(std430, binding = 3) buffer Parameter { uint parameter; };
)";
// Workgroups take different times and write their words last.
constexpr const char* kWork = R"(
void work() {
  uint value = parameter, x = value + gl_GlobalInvocationID.x;
  for (uint i = 0u; i < gl_WorkGroupID.x % 64u * 20u; ++i) x = x * 1664525u + 1013904223u;
  words[gl_GlobalInvocationID.x] = x == 7u ? 7u : value;
}
)";
// The last workgroup raises the number, behind GLSL's widest barrier.
constexpr const char* kTail = R"(
void tail() {
  memoryBarrier();
  barrier();
  if (gl_LocalInvocationIndex != 0u) return;
  uint groups = gl_NumWorkGroups.x;
  if (groups > 1u && atomicAdd(groups_done, 1u) != groups - 1u) return;
  groups_done = 0u;
  uint next = count + 1u;
  count = next;
  memoryBarrier();
  number = next;
}
)";

/// A way to raise the number.
struct Way {
  std::string name;
  bool is_counted = false;  // the device counts, else the host says the value
  std::function<void()> calls;
  GLuint work = 0;        // stands in front of the calls, when order is looked at
  bool is_fence = false;  // late data are an error
};

struct Timing {
  std::string name;
  double median_us = 0, p10_us = 0, p99_us = 0;
  double host_us = 0;  // of them, until glFlush has returned; the median
};

struct Order {
  std::string name;
  uint32_t wrong_rounds = 0;
  uint64_t wrong_words = 0;
};

double quantile(std::vector<double>& values, double share) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * share)];
}

class Floors {
 public:
  Floors(const EglApi& egl, const GlApi& gl, bool is_nvidia)
      : egl_(egl), gl_(gl), clears_(is_nvidia) {}

  Result<void> open();
  Result<void> measure(uint32_t rounds, std::vector<Timing>& timings);
  Result<void> look_at_order(uint32_t rounds, std::vector<Order>& orders);

 private:
  template <typename Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(egl_.get_proc_address(name));
  }
  Result<GLuint> link(GLuint lanes, const std::string& body) const;
  void load() const;
  void await_idle() const;
  void dispatch(GLuint program, GLuint workgroups = 1) const;
  void clear() const;
  /// The next number that `way` raises: of the device's own counter, or simply one more.
  void want_next(const Way& way);
  /// Waits until the number has come. Errors: device_lost, when it never does.
  Result<void> await_number(const Way& way) const;
  Result<Timing> time(const Way& way, uint32_t rounds);
  Result<Order> order(const Way& way, uint32_t rounds);

  const EglApi& egl_;
  const GlApi& gl_;
  bool clears_;
  GLuint empty_ = 0, raise_ = 0, tail_ = 0, work_ = 0, work_and_tail_ = 0;
  GLuint buffers_[4] = {};
  uint32_t* number_ = nullptr;
  uint32_t* words_ = nullptr;
  uint32_t* parameter_ = nullptr;
  uint32_t wanted_ = 0, counted_ = 0;
};

Result<GLuint> Floors::link(GLuint lanes, const std::string& body) const {
  const std::string source =
      fmt::format("#version 450\nlayout(local_size_x = {}) in;\n", lanes) + kBlocks + body;
  const char* const text = source.c_str();
  const GLuint shader = gl_.create_shader(GL_COMPUTE_SHADER);
  find<PFNGLSHADERSOURCEPROC>("glShaderSource")(shader, 1, &text, nullptr);
  find<PFNGLCOMPILESHADERPROC>("glCompileShader")(shader);
  const GLuint program = gl_.create_program();
  gl_.attach_shader(program, shader);
  gl_.link_program(program);
  gl_.delete_shader(shader);
  GLint linked = 0;
  gl_.get_program(program, GL_LINK_STATUS, &linked);
  if (linked == GL_TRUE) return program;
  char log[1024] = {};
  gl_.get_program_info_log(program, sizeof log, nullptr, log);
  return Error(ErrorKind::unsupported, fmt::format("A program does not link ({}).", log));
}

Result<void> Floors::open() {
  TRY_ASSIGN(empty_, link(32, "void main() {}"));
  TRY_ASSIGN(raise_,
             link(1, "void main() { uint next = count + 1u; count = next; number = next; }"));
  TRY_ASSIGN(tail_, link(32, std::string(kTail) + "void main() { tail(); }"));
  TRY_ASSIGN(work_, link(kLanes, std::string(kWork) + "void main() { work(); }"));
  TRY_ASSIGN(work_and_tail_,
             link(kLanes, std::string(kWork) + kTail + "void main() { work(); tail(); }"));
  const std::vector<uint32_t> zeros(kWords);
  const GLsizeiptr sizes[4] = {64, 64, kWords * sizeof(uint32_t), 64};
  const GLintptr offsets[4] = {};
  uint32_t** const mapped[4] = {nullptr, &number_, &words_, &parameter_};
  gl_.create_buffers(4, buffers_);
  for (size_t i = 0; i < 4; ++i) {
    const GLbitfield flags = mapped[i] != nullptr ? kMapFlags | GL_CLIENT_STORAGE_BIT : 0;
    gl_.buffer_storage(buffers_[i], sizes[i], zeros.data(), flags);
    if (mapped[i] == nullptr) continue;
    *mapped[i] = static_cast<uint32_t*>(gl_.map_buffer_range(buffers_[i], 0, sizes[i], kMapFlags));
  }
  gl_.bind_buffers_range(GL_SHADER_STORAGE_BUFFER, 0, 4, buffers_, offsets, sizes);
  const GLenum error = gl_.get_error();
  if (error == GL_NO_ERROR && number_ != nullptr && words_ != nullptr && parameter_ != nullptr) {
    return {};
  }
  return Error(ErrorKind::unsupported,
               fmt::format("The driver maps no buffers ({}).", gl_error_text(error)));
}

void Floors::load() const {
  const uint64_t start_ns = steady_now_ns();
  while (steady_now_ns() - start_ns < kLoadNs) {
    dispatch(work_, kWorkgroups);
    await_idle();
  }
}

void Floors::await_idle() const {
  const GLsync sync = gl_.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl_.client_wait_sync(sync, GL_SYNC_FLUSH_COMMANDS_BIT, kGivenUpNs);
  gl_.delete_sync(sync);
}

void Floors::dispatch(GLuint program, GLuint workgroups) const {
  gl_.use_program(program);
  gl_.dispatch_compute(workgroups, 1, 1);
}

void Floors::clear() const {
  const uint32_t halves[2] = {wanted_, 0};
  gl_.clear_buffer(buffers_[1], GL_RG32UI, 0, sizeof halves, GL_RG_INTEGER, GL_UNSIGNED_INT,
                   halves);
}

void Floors::want_next(const Way& way) {
  if (way.is_counted) {
    wanted_ = ++counted_;
  } else {
    ++wanted_;
  }
}

Result<void> Floors::await_number(const Way& way) const {
  const std::atomic_ref<uint32_t> number(*number_);
  const uint64_t start_ns = steady_now_ns();
  while (number.load(std::memory_order_acquire) != wanted_) {
    if (steady_now_ns() - start_ns < kGivenUpNs) continue;
    return Error(ErrorKind::device_lost,
                 fmt::format("\"{}\": the number ({}) does not come; it is ({}).", way.name,
                             wanted_, number.load()));
  }
  return {};
}

Result<Timing> Floors::time(const Way& way, uint32_t rounds) {
  load();
  *number_ = 0;
  std::vector<double> all_us, host_us;
  for (uint32_t i = 0; i < rounds; ++i) {
    want_next(way);
    const uint64_t start_ns = steady_now_ns();
    way.calls();
    gl_.flush();
    const uint64_t flushed_ns = steady_now_ns();
    TRY(await_number(way));
    const uint64_t seen_ns = steady_now_ns();
    all_us.push_back(static_cast<double>(seen_ns - start_ns) * 1e-3);
    host_us.push_back(static_cast<double>(flushed_ns - start_ns) * 1e-3);
    while (steady_now_ns() - seen_ns < kPauseNs) pause_core();
  }
  return Timing{way.name, quantile(all_us, 0.5), quantile(all_us, 0.1), quantile(all_us, 0.99),
                quantile(host_us, 0.5)};
}

Result<Order> Floors::order(const Way& way, uint32_t rounds) {
  await_idle();
  *number_ = 0;
  Order found{.name = way.name};
  for (uint32_t i = 0; i < rounds; ++i) {
    const uint32_t value = i + 1000;
    *parameter_ = value;
    want_next(way);
    dispatch(way.work, kWorkgroups);
    way.calls();
    gl_.flush();
    TRY(await_number(way));
    uint64_t wrong = 0;
    for (size_t k = kWords; k-- > 0;) wrong += words_[k] != value ? 1 : 0;  // the last ones first
    found.wrong_words += wrong;
    found.wrong_rounds += wrong > 0 ? 1 : 0;
    await_idle();
  }
  if (!way.is_fence || found.wrong_rounds == 0) return found;
  return Error(ErrorKind::internal,
               fmt::format("\"{}\" is no fence: late data in ({}) of ({}) rounds, ({}) words.",
                           way.name, found.wrong_rounds, rounds, found.wrong_words));
}

Result<void> Floors::measure(uint32_t rounds, std::vector<Timing>& timings) {
  const auto barrier = [&] { gl_.memory_barrier(kBarrier); };
  const Way ways[] = {
      {"a clear that sets the number, no work", false, [&] { clear(); }},
      {"one dispatch, whose kernel writes the number", true, [&] { dispatch(raise_); }},
      {"empty dispatch, whose tail writes the number", true, [&] { dispatch(tail_); }},
      {"empty dispatch, a clear that sets the number", false, [&] { dispatch(empty_), clear(); }},
      {"empty dispatch, barrier, a clear that sets the number", false,
       [&] { dispatch(empty_), barrier(), clear(); }},
      {"empty dispatch, barrier, the number's dispatch", true,
       [&] { dispatch(empty_), barrier(), dispatch(raise_); }}};
  for (const Way& way : ways) {
    TRY_ASSIGN(const Timing timing, time(way, rounds));
    timings.push_back(timing);
  }
  return {};
}

Result<void> Floors::look_at_order(uint32_t rounds, std::vector<Order>& orders) {
  const auto barrier = [&] { gl_.memory_barrier(kBarrier); };
  // Leat takes the first on NVIDIA's driver and the second on others (opengl_number.cpp).
  const Way ways[] = {
      {"barrier, a clear that sets the number", false, [&] { barrier(), clear(); }, work_, clears_},
      {"barrier, the number's dispatch", true, [&] { barrier(), dispatch(raise_); }, work_,
       !clears_},
      {"a tail that writes the number", true, [] {}, work_and_tail_}};
  for (const Way& way : ways) {
    TRY_ASSIGN(const Order found, order(way, rounds));
    orders.push_back(found);
  }
  return {};
}

nlohmann::ordered_json json_of(const DeviceInfo& info, uint32_t rounds,
                               const std::vector<Timing>& timings,
                               const std::vector<Order>& orders) {
  nlohmann::ordered_json object = {
      {"chip", info.chip}, {"driver", info.driver}, {"commit", kLeatCommit}, {"rounds", rounds}};
  for (const Timing& row : timings) {
    object["results"].push_back({{"name", row.name},
                                 {"median_us", row.median_us},
                                 {"p10_us", row.p10_us},
                                 {"p99_us", row.p99_us},
                                 {"host_us", row.host_us}});
  }
  for (const Order& row : orders) {
    object["order"].push_back(
        {{"name", row.name}, {"wrong_rounds", row.wrong_rounds}, {"wrong_words", row.wrong_words}});
  }
  return object;
}

Result<void> run(size_t chip_index, uint32_t rounds, bool as_json) {
  TRY_ASSIGN(const EglApi egl, load_egl());
  TRY_ASSIGN(const std::vector<EglChip> chips, list_egl_chips(egl));
  if (chip_index >= chips.size()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Chip ({}) is not below their number ({}).", chip_index, chips.size()));
  }
  TRY_ASSIGN(const auto context, OpenglContext::create(egl, chips[chip_index]));
  const DeviceInfo info = context->facts().info;
  Floors floors(egl, context->gl(), info.vendor == "NVIDIA Corporation");
  std::vector<Timing> timings;
  std::vector<Order> orders;
  TRY(floors.open());
  TRY(floors.measure(rounds, timings));
  TRY(floors.look_at_order(rounds, orders));
  if (as_json) {
    std::puts(json_of(info, rounds, timings, orders)
                  .dump(1, ' ', true, nlohmann::ordered_json::error_handler_t::replace)
                  .c_str());
    return {};
  }
  fmt::print("{} ({}), {} rounds\n", leat::printable(info.chip), leat::printable(info.driver),
             rounds);
  for (const Timing& row : timings) {
    fmt::print("{:68} {:7.2f} us, p10 {:.2f}, p99 {:.2f}; of them the host's calls {:.2f}\n",
               row.name, row.median_us, row.p10_us, row.p99_us, row.host_us);
  }
  for (const Order& row : orders) {
    fmt::print("{:68} late data in {} rounds, {} words\n", row.name, row.wrong_rounds,
               row.wrong_words);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What an OpenGL driver takes at least from submit to seen, and in which order.");
  size_t chip = 0;
  uint32_t rounds = 3000;
  bool as_json = false;
  app.add_option("--chip", chip, "position in EGL's list of devices");
  app.add_option("--rounds", rounds, "of each row")->check(CLI::PositiveNumber);
  app.add_flag("--json", as_json, "prints one JSON object");
  CLI11_PARSE(app, argc, argv);
  const Result<void> result = run(chip, rounds, as_json);
  if (result) return 0;
  std::fprintf(stderr, "%s\n", leat::printable(result.error().message()).c_str());
  return result.error().kind() == ErrorKind::unsupported ? kNoOpengl : 1;
}
