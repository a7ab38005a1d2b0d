// Captures made by hand, in the shape of the format's example: two dependent launches of saxpy.
// They pass; each thing that the contract lets a checker refuse is broken once; then each bit is
// turned.
#include "tests/amd/amd_capture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/amd/amd_code_object.h"
#include "tests/amd/amd_kernel_run.h"
#include "tests/amd/amd_mutations.h"
#include "tests/amd/amd_stream.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr char kSaxpy[] = R"(target triple = "amdgcn-amd-amdhsa"
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workitem.id.x()
declare float @llvm.fma.f32(float, float, float)
define amdgpu_kernel void @saxpy(ptr addrspace(1) noalias %y, ptr addrspace(1) noalias readonly %x,
                                 float %a, i32 %n) #0 {
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %base = shl i32 %wg, 6
  %i = or disjoint i32 %base, %t
  %in = icmp slt i32 %i, %n
  br i1 %in, label %body, label %done
body:
  %o = zext nneg i32 %i to i64
  %px = getelementptr inbounds float, ptr addrspace(1) %x, i64 %o
  %py = getelementptr inbounds float, ptr addrspace(1) %y, i64 %o
  %xv = load float, ptr addrspace(1) %px, align 4
  %yv = load float, ptr addrspace(1) %py, align 4
  %r = call float @llvm.fma.f32(float %a, float %xv, float %yv)
  store float %r, ptr addrspace(1) %py, align 4
  br label %done
done:
  ret void
}
)";

constexpr uint32_t kCount = 100, kThreads = 64;
constexpr uint64_t kCode = 0x200000000000, kX = 0x200000400000, kY = 0x200000800000,
                   kZ = 0x200000a00000, kArguments = 0x200000c00000, kSignal = 0x200001000000,
                   kRing = 0x200001400000;

std::string hex(uint64_t value) { return fmt::format("0x{:x}", value); }

/// y += 2 x; then z += 2 y, in one submission.
struct CaptureFolder {
  explicit CaptureFolder(const std::string& target, const std::string& name)
      : path(fs::temp_directory_path() / fmt::format("leat-capture-{}-{}", ::getpid(), name)) {
    fs::create_directories(path);
    const auto object = compile_object(target, kSaxpy + kernel_attributes(kThreads));
    CHECK(object.has_value());
    const auto image = load_code_object(*object);
    CHECK(image.has_value());
    const KernelDescriptor& kernel = image->kernels.at(0);
    write("code.bin", image->bytes);
    std::vector<float> x(1024), y(1024), z(1024), want_y(kCount), want_z(kCount);
    for (uint32_t k = 0; k < 1024; ++k) x[k] = float(k), y[k] = float(k % 7), z[k] = 0.5F;
    for (uint32_t k = 0; k < kCount; ++k)
      want_y[k] = 2 * x[k] + y[k], want_z[k] = 2 * want_y[k] + z[k];
    write("x.bin", x), write("y.bin", y), write("z.bin", z);
    write("want_y.bin", want_y), write("want_z.bin", want_z);
    const float a = 2;
    std::vector<uint64_t> arguments(32);
    const auto block = [&](size_t at, uint64_t to, uint64_t from) {
      arguments[at] = to, arguments[at + 1] = from;
      std::memcpy(&arguments[at + 2], &a, 4);
      arguments[at + 2] |= uint64_t{kCount} << 32;
    };
    block(0, kY, kX), block(8, kZ, kY);
    write("args.bin", arguments);
    Stream stream(target.starts_with("gfx12"));
    Launch launch = *launch_of(kernel, kCode, kArguments);
    launch.groups = {2, 1, 1}, launch.threads = {kThreads, 1, 1};
    if (target.starts_with("gfx110")) launch.rsrc1 |= 1U << 20;  // PRIV
    stream.system_acquire();
    stream.launch(launch);
    stream.partial_flush(), stream.light_acquire();
    stream.set(0x240, {uint32_t(kArguments + 64), uint32_t((kArguments + 64) >> 32)});
    stream.dispatch(launch);
    stream.release(kSignal, 1);
    write("ring.bin", stream.words);
    describe(target, kernel, image->bytes.size(), stream.words.size());
  }
  ~CaptureFolder() { fs::remove_all(path); }

  template <class T>
  void write(const std::string& name, const std::vector<T>& values) {
    std::ofstream(path / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()),
               std::streamsize(values.size() * sizeof(T)));
  }
  void save() { std::ofstream(path / "capture.json") << root; }

  void describe(const std::string& target, const KernelDescriptor& kernel, size_t code_bytes,
                size_t words) {
    const auto region = [](const char* name, uint64_t va, uint64_t size, const char* access,
                           const char* kind, const json& file) {
      return json{{"name", name},     {"va", hex(va)}, {"size", size},
                  {"access", access}, {"kind", kind},  {"file", file}};
    };
    const auto tensor = [](const char* name, uint64_t va) {
      return json{{"name", name}, {"va", hex(va)}, {"dtype", "f32"}, {"shape", {kCount}}};
    };
    root = {{"format", "gpu-capture"}, {"version", 1}, {"target", target}, {"producer", "test"}};
    root["kernels"] = json::array({{{"name", "saxpy"},
                                    {"entry", hex(kCode + kernel.entry_offset)},
                                    {"descriptor", hex(kCode + kernel.descriptor_offset)}}});
    root["regions"] = json::array({region("code", kCode, code_bytes, "rx", "code", "code.bin"),
                                   region("x", kX, 4096, "r", "data", "x.bin"),
                                   region("y", kY, 4096, "rw", "data", "y.bin"),
                                   region("z", kZ, 4096, "rw", "data", "z.bin"),
                                   region("args", kArguments, 4096, "r", "args", "args.bin"),
                                   region("signal", kSignal, 4096, "rw", "signal", nullptr),
                                   region("ring", kRing, 65536, "rx", "ring", "ring.bin")});
    const json groups = {2, 1, 1}, local = {kThreads, 1, 1};
    json submit = {{"do", "submit"}};
    submit["ring"] = {{"va", hex(kRing)}, {"size_dw", 16384}, {"read_dw", 0}, {"write_dw", words}};
    submit["fences"] = json::array({{{"va", hex(kSignal)}, {"bits", 32}, {"value", 1}}});
    submit["dispatches"] = json::array(
        {{{"kernel", "saxpy"}, {"groups", groups}, {"local", local}, {"args", hex(kArguments)}},
         {{"kernel", "saxpy"},
          {"groups", groups},
          {"local", local},
          {"args", hex(kArguments + 64)}}});
    submit["writes"] = json::array(
        {{{"va", hex(kY)}, {"size", 4 * kCount}}, {{"va", hex(kZ)}, {"size", 4 * kCount}}});
    const json nodes =
        json::array({{{"op", "Add"}, {"inputs", {"x", "x"}}, {"outputs", {"twice"}}},
                     {{"op", "Add"}, {"inputs", {"twice", "y0"}}, {"outputs", {"y"}}}});
    submit["ops"] = json::array({{{"name", "axpy"},
                                  {"first", 0},
                                  {"last", 0},
                                  {"inputs", {tensor("x", kX), tensor("y0", kY)}},
                                  {"nodes", nodes},
                                  {"outputs", {tensor("y", kY)}}}});
    const auto expect = [&](const char* name, uint64_t va, const char* file) {
      json step = tensor(name, va);
      step["do"] = "expect", step["file"] = file, step["inout"] = true;
      return step;
    };
    root["steps"] =
        json::array({submit, expect("y", kY, "want_y.bin"), expect("z", kZ, "want_z.bin")});
    save();
  }

  /// The failures of a run, or the error that kept it from running.
  std::vector<std::string> failures(WaveOrder order = WaveOrder::forward) {
    const auto report = check_capture(path.string(), {.order = order});
    if (!report) return {report.error().message()};
    return report->failures;
  }

  fs::path path;
  json root;
};

class CaptureTest : public testing::TestWithParam<std::string> {};

TEST_P(CaptureTest, PassesInEveryOrder) {
  CaptureFolder capture(GetParam(), "passes");
  for (const WaveOrder order : {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed}) {
    EXPECT_EQ(capture.failures(order), std::vector<std::string>{});
  }
  const auto report = check_capture(capture.path.string(), {});
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->launches, 2u);
  EXPECT_EQ(report->tensors, 3u);  // one of ops, two expected
}

TEST_P(CaptureTest, TellsWhatIsWrong) {
  CaptureFolder capture(GetParam(), "wrong");
  const json healthy = capture.root;
  const auto tells = [&](const std::string& reason, const auto& change) {
    capture.root = healthy;
    change(capture.root);
    capture.save();
    const auto failures = capture.failures();
    ASSERT_FALSE(failures.empty()) << reason;
    EXPECT_NE(failures[0].find(reason), std::string::npos) << failures[0];
  };
  auto& steps = "steps";
  tells("instead of 2", [&](json& r) { r[steps][0]["fences"][0]["value"] = 2; });
  tells("before the submission", [&](json& r) { r[steps][0]["fences"][0]["value"] = 0; });
  tells("groups", [&](json& r) { r[steps][0]["dispatches"][1]["groups"] = {3, 1, 1}; });
  tells("local", [&](json& r) { r[steps][0]["dispatches"][0]["local"] = {32, 1, 1}; });
  tells("arguments at", [&](json& r) { r[steps][0]["dispatches"][0]["args"] = "0x0"; });
  tells("ran instead of 1", [&](json& r) { r[steps][0]["dispatches"].erase(1); });
  tells("which no \"writes\" names", [&](json& r) { r[steps][0]["writes"].erase(1); });
  tells("tensor \"y\", element", [&](json& r) { r[steps][0]["ops"][0]["nodes"][0]["op"] = "Mul"; });
  tells("is not computed here", [&](json& r) { r[steps][0]["ops"][0]["nodes"][0]["op"] = "Foo"; });
  tells("tensor \"z\", element", [&](json& r) { r[steps][2]["file"] = "x.bin"; });
  tells("must not be written", [&](json& r) { r["regions"][2]["access"] = "r"; });
  tells("entry 0x", [&](json& r) { r["regions"][0]["access"] = "r"; });
  tells("enters at", [&](json& r) { r["kernels"][0]["entry"] = "0x200000000f00"; });
  tells("longer than what was submitted", [&](json& r) { r[steps][0]["ring"]["write_dw"] = 40; });
  tells("not one of this folder", [&](json& r) { r["regions"][1]["file"] = "../x.bin"; });
  tells("overlaps", [&](json& r) { r["regions"][1]["va"] = r["regions"][2]["va"]; });
  tells("no gpu-capture", [&](json& r) { r["version"] = 2; });
  tells("capture.json: ", [&](json& r) { r.erase("target"); });
  if (GetParam() == "gfx1100") {
    tells("has PRIV", [&](json& r) { r["target"] = "gfx1150"; });
  }
}

/// The share of caught bits and bytes in percent.
double caught_percent(const std::string& target, uint32_t stride, std::string& text) {
  CaptureFolder capture(target, "mutations");
  const auto report = mutate_capture(capture.path.string(), {stride, stride, stride});
  if (!report) return text = report.error().message(), 0;
  text = summary_of(*report) + "\n";
  for (const std::string& survivor : report->survivors) text += survivor + "\n";
  const MutationShare whole = whole_of(*report);
  return whole.turned == 0 ? 0 : 100.0 * whole.caught / whole.turned;
}

// A sample, so that the test is quick; a prime stride meets all positions of a word.
TEST_P(CaptureTest, TurnedBitsAreCaught) {
  std::string text;
  EXPECT_GE(caught_percent(GetParam(), 37, text), 90) << text;
}

TEST_P(CaptureTest, SlowAllTurnedBitsAreCaught) {
  std::string text;
  EXPECT_GE(caught_percent(GetParam(), 1, text), 95) << text;
}

INSTANTIATE_TEST_SUITE_P(Targets, CaptureTest, testing::Values("gfx1100", "gfx1201"));

}  // namespace
}  // namespace leat::amd_card
