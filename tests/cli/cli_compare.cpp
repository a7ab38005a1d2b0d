// `leat compare` and `leat inspect`: what they tell, what they refuse, and the page in a browser.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "leat/backend/backends.h"
#include "leat/backend/faulty/faulty_device.h"
#include "leat/base/child_process.h"
#include "leat/base/files.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"
#include "leat/report/comparison.h"
#include "leat/report/comparison_charts.h"
#include "leat/report/comparison_page.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
constexpr size_t kPageBytesMax = 64 << 20;

Json json_of(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json object = Json::parse(result.out, nullptr, false);
  EXPECT_TRUE(object.is_object()) << result.out;
  return object.is_object() ? object : Json();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string text_at(const std::string& path) {
  const Result<std::string> text = read_file(path, kPageBytesMax);
  return text ? *text : "";
}

/// The first software GPU by Vulkan, or nothing.
std::string software_gpu() {
  for (const FoundDevice& found : ask_devices()) {
    if (found.info.software && found.refusal.empty() && found.info.route == Route::vulkan) {
      return found.info.name;
    }
  }
  return "";
}

// --- What is measured ----------------------------------------------------------------------------

void expect_measured(const Json& device) {
  EXPECT_EQ(device["failure"], "") << device["device"];
  EXPECT_GT(device["median_ms"], 0.0);
  EXPECT_GE(device["p99_ms"], device["median_ms"]);
  EXPECT_EQ(device["run_ms"].size(), 3u);
  EXPECT_GT(device["peak_gflops"], 0.0);
  EXPECT_GT(device["copy_gbps"], 0.0);
  EXPECT_LT(device["max_error"], 1e-5);
  EXPECT_EQ(device["nonfinite"], 0);
  ASSERT_GT(device["kernels"].size(), 5u);
  double before_us = 0;
  for (const Json& kernel : device["kernels"]) {
    EXPECT_GE(kernel["begin_us"], before_us - 1e-6);
    before_us = kernel["begin_us"].get<double>() + kernel["time_us"].get<double>();
    EXPECT_FALSE(kernel["shape"].get<std::string>().empty());
  }
  ASSERT_GT(device["tensors"].size(), 5u);
  for (const Json& tensor : device["tensors"]) {
    EXPECT_LE(tensor["first_kernel"], tensor["last_kernel"]);
    EXPECT_LT(tensor["last_kernel"], device["kernels"].size());
    EXPECT_LE(tensor["offset_bytes"].get<double>() + tensor["size_bytes"].get<double>(),
              device["planned_bytes"].get<double>());
  }
}

/// No two tensors lie at the same address at the same time.
void expect_disjoint(const Json& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Json& a = tensors[i];
      const Json& b = tensors[j];
      const bool in_time =
          a["first_kernel"] <= b["last_kernel"] && b["first_kernel"] <= a["last_kernel"];
      const auto end = [](const Json& t) {
        return t["offset_bytes"].get<double>() + t["size_bytes"].get<double>();
      };
      const bool in_space = a["offset_bytes"] < end(b) && b["offset_bytes"] < end(a);
      EXPECT_FALSE(in_time && in_space) << a << b;
    }
  }
}

TEST(CliCompare, MeasuresDevicesSideBySide) {
  const std::string gpu = software_gpu();
  const Json object =
      json_of(run_leat({"compare", kDigits, "--device", gpu.empty() ? "cpu" : "cpu," + gpu,
                        "--repeat", "3", "--json"}));
  ASSERT_EQ(object["devices"].size(), gpu.empty() ? 1u : 2u);
  EXPECT_EQ(object["devices"][0]["device"], "cpu");
  EXPECT_EQ(object["input_source"], "random, seed 0");
  EXPECT_TRUE(contains(object["reference"], "in double"));
  EXPECT_GT(object["gflop"], 0.001);
  EXPECT_EQ(object["interrupted"], false);
  for (const Json& device : object["devices"]) {
    expect_measured(device);
    expect_disjoint(device["tensors"]);
  }
}

TEST(CliCompare, PrintsATableAndTakesFiles) {
  const std::string picture = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";
  const ProgramResult result =
      run_leat({"compare", kDigits, "--device", "cpu", "--repeat", "3", "-i", picture});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"of peak", "native", "p99 ms", "energy", "error", "7.png"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  }
}

TEST(CliCompareSlow, EveryRouteHasARow) {
  const Json devices = json_of(run_leat({"devices", "--json"}));
  std::set<std::string> names;
  for (const char* list : {"devices", "refused"}) {
    for (const Json& device : devices[list]) {
      const std::string name = device["name"];
      if (name == "cpu" || name.starts_with("gpu")) names.insert(name);
    }
  }
  std::set<std::string> rows;
  const Json compared = json_of(run_leat({"compare", kDigits, "--repeat", "3", "--json"}));
  for (const Json& device : compared["devices"]) {
    rows.insert(device["device"].get<std::string>());
    if (device["failure"] == "") expect_measured(device);
  }
  EXPECT_EQ(rows, names);
}

// --- What is refused, and what fails -------------------------------------------------------------

TEST(CliCompare, RefusesBeforeTheWork) {
  const std::string page = scratch_path("page.html");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"compare", kDigits, "--device", "gpu77"}, "No device is named \"gpu77\""},
      {{"compare", kDigits, "--html", scratch_path("missing/p.html")}, "No such file"},
      {{"compare", kDigits, "--html", kDigits}, "digits.onnx"},
      {{"compare", kDigits, "--html", page, "--json=" + page}, "page.html"},
      {{"compare", scratch_file("no.onnx", "none"), "--html", page}, "not an ONNX model"},
      {{"compare", scratch_path("missing.onnx")}, "missing.onnx"},
      {{"compare", kDigits, "--device", "cpu", "-i", scratch_path("missing.npy")}, "missing.npy"},
  };
  for (const auto& [arguments, part] : cases) {
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 1) << part;
    EXPECT_TRUE(contains(result.err, part)) << result.err;
    EXPECT_EQ(count_of(result.err, "\n"), 1u) << result.err;
    EXPECT_TRUE(result.out.empty()) << result.out;
    EXPECT_NE(access(page.c_str(), F_OK), 0) << part;
  }
  EXPECT_EQ(run_leat({"compare", kDigits, "--repeat", "0"}).exit_code, 2);
  EXPECT_EQ(run_leat({"compare"}).exit_code, 2);
}

TEST(CliCompare, InterruptedItShowsWhatItHas) {
  const std::string json = scratch_path("interrupted.json");
  const std::string page = scratch_path("interrupted.html");
  const ProgramResult result =
      interrupt_leat({"compare", kDigits, "--device", "cpu,cpu", "--repeat", "1000000",
                      "--json=" + json, "--html", page},
                     2500);
  EXPECT_EQ(result.exit_code, 128 + SIGINT) << result.err;
  EXPECT_TRUE(contains(result.out, "Interrupted before it was measured.")) << result.out;
  const Json object = Json::parse(text_at(json), nullptr, false);
  ASSERT_TRUE(object.is_object());
  EXPECT_EQ(object["interrupted"], true);
  EXPECT_EQ(object["devices"].size(), 2u);
  EXPECT_TRUE(contains(text_at(page), "then interrupted"));
}

/// Devices that fail in every way there is, in the place of gpu0 and its like.
SessionOptions failing_devices() {
  SessionOptions options;
  options.devices.open = [](const std::string& spec,
                            const auto&) -> Result<std::unique_ptr<Device>> {
    if (spec == "gpu0") return Error(ErrorKind::unsupported, "It is not plugged in.");
    if (spec == "gpu1") std::abort();
    if (spec == "gpu2") pause();
    TRY_ASSIGN(std::unique_ptr<Device> cpu, open_device("cpu", 1));
    if (spec == "cpu") return cpu;
    const uint64_t lost_at = spec == "gpu3" ? 1 : 40;
    return make_faulty_device(std::move(cpu), {.share = 0, .lost_at = lost_at}, nullptr);
  };
  options.devices.names = [] { return std::vector<std::string>(); };
  options.devices.next_route = [](const std::string&) { return std::optional<std::string>(); };
  return options;
}

TEST(CliCompare, ADeviceThatFailsIsARow) {
  const Result<Model> model = import_onnx(kDigits);
  ASSERT_TRUE(model);
  std::vector<CompareCandidate> candidates = {{{.name = "gpu9"}, "Its driver is too old."}};
  for (const char* name : {"gpu0", "gpu1", "gpu2", "gpu3", "gpu4", "cpu"}) {
    candidates.push_back({{.name = name}, ""});
  }
  CompareOptions options;
  options.session = failing_devices;
  options.repeat = 30;
  options.timeout_ns = 20'000'000'000;
  Comparison comparison;
  const auto compare_one = [&](const CompareCandidate& candidate) {
    options.timeout_ns = candidate.info.name == "gpu2" ? 1'000'000'000 : 60'000'000'000;
    compare(*model, random_inputs(*model, 0), {candidate}, options, comparison);
  };
  for (const CompareCandidate& candidate : candidates) compare_one(candidate);
  ASSERT_EQ(comparison.devices.size(), 7u);
  const std::vector<std::string> reasons = {"too old",        "not plugged in", "signal 6",
                                            "answer in time", "lost",           "lost"};
  for (size_t i = 0; i < reasons.size(); ++i) {
    const std::string& failure = comparison.devices[i].failure;
    EXPECT_TRUE(contains(failure, reasons[i])) << comparison.devices[i].name << ": " << failure;
  }
  EXPECT_TRUE(comparison.devices[6].is_measured()) << comparison.devices[6].failure;
  EXPECT_LT(comparison.devices[6].max_error.value_or(1), 1e-5);
  EXPECT_EQ(count_of(html_page(comparison), "<section"), 1u);
}

TEST(CliCompare, NothingMeasuredExitsWithOne) {
  OnnxBuilder builder;  // opset 13 has it, and no device finds its index
  builder.input("x", {2, 2});
  builder.constant("i", std::vector<int64_t>{7});
  builder.node("Gather", {"x", "i"}, {"y"});
  builder.output("y");
  const ProgramResult result = run_leat(
      {"compare", scratch_file("gather.onnx", builder.bytes()), "--device", "cpu", "--json"});
  EXPECT_EQ(result.exit_code, 1);
}

// --- The page in a browser -----------------------------------------------------------------------

std::string browser() {
  for (const char* path : {"/usr/bin/chromium-headless-shell", "/usr/bin/chromium"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return "";
}

/// What the browser has made of the page, its scripts run; and a picture of it, where one is asked
/// for, of LEAT_PAGE_PICTURES.
std::string dom_of(const std::string& page) {
  const std::string dom = scratch_path("dom.html");
  const auto become_browser = [&](std::vector<std::string> more) {
    const pid_t child = fork();
    if (child == 0) {
      redirect(dom, STDOUT_FILENO);
      redirect("/dev/null", STDERR_FILENO);
      std::vector<std::string> words = {browser(), "--no-sandbox", "--disable-gpu",
                                        "--user-data-dir=" + scratch_path("browser")};
      words.insert(words.end(), more.begin(), more.end());
      words.push_back("file://" + page);
      std::vector<char*> pointers;
      for (std::string& word : words) pointers.push_back(word.data());
      pointers.push_back(nullptr);
      execv(pointers[0], pointers.data());
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  };
  const std::string picture = scratch_path("page.png");
  become_browser({"--hide-scrollbars", "--window-size=1240,2400", "--screenshot=" + picture});
  EXPECT_GT(text_at(picture).size(), 10'000u);
  become_browser({"--dump-dom"});
  return text_at(dom);
}

void expect_page(const std::string& dom, size_t points, size_t kernels, size_t tensors,
                 size_t sections) {
  EXPECT_TRUE(contains(dom, "data-ready=\"yes\""));
  EXPECT_FALSE(contains(dom, "data-error=")) << dom.substr(0, 400);
  EXPECT_EQ(count_of(dom, "<circle"), points);
  EXPECT_EQ(count_of(dom, "<tr data-k="), kernels);
  EXPECT_GE(count_of(dom, "<rect class=\"k "), kernels);
  EXPECT_EQ(count_of(dom, "<rect class=\"m "), tensors);
  EXPECT_EQ(count_of(dom, "<section"), sections);
  EXPECT_EQ(count_of(dom, "hidden=\"\""), sections - 1) << "one device is shown";
  EXPECT_EQ(count_of(dom, "aria-pressed=\"true\""), 1u);
}

TEST(CliComparePage, ABrowserShowsEveryKernel) {
  if (browser().empty()) GTEST_SKIP() << "There is no chromium.";
  const std::string gpu = software_gpu();
  const std::string page = scratch_path("digits.html");
  const std::string json = scratch_path("digits.json");
  const ProgramResult result =
      run_leat({"compare", kDigits, "--device", gpu.empty() ? "cpu" : "cpu," + gpu, "--repeat", "3",
                "--html", page, "--json=" + json});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json object = Json::parse(text_at(json), nullptr, false);
  size_t points = 0;
  size_t kernels = 0;
  size_t tensors = 0;
  for (const Json& device : object["devices"]) {
    const auto read = compared_device_of(device.dump());
    ASSERT_TRUE(read);
    points += roofline_points(*read);
    kernels += read->kernels.size();
    tensors += read->tensors.size();
  }
  EXPECT_GT(points, 5u);
  expect_page(dom_of(page), points, kernels, tensors, object["devices"].size());
}

TEST(CliComparePage, ABrowserShowsALongNetwork) {
  if (browser().empty()) GTEST_SKIP() << "There is no chromium.";
  Comparison comparison;
  comparison.name = "<b>long</b> & 'wide' \"";
  ComparedDevice device;
  device.name = "cpu";
  device.median_ms = 50;
  device.peak_gflops = 200;
  device.copy_gbps = 20;
  device.planned_bytes = 600.0 * 4096;
  device.lower_bound_bytes = device.planned_bytes / 2;
  for (uint32_t i = 0; i < 600; ++i) {
    ComparedKernel kernel;
    kernel.name = "/model/layers." + std::to_string(i) + "/self_attn/<MatMul>";
    kernel.op = "Op" + std::to_string(i % 12);
    kernel.shape = "1x128x768";
    kernel.flop = 1e6 * (1 + i % 50);
    kernel.bytes = 1e5 * (1 + i % 9);
    kernel.begin_us = 80.0 * i;
    kernel.time_us = 80;
    device.kernels.push_back(kernel);
    device.tensors.push_back(
        {"t" + std::to_string(i), "f32 1024", 4096.0 * i, 4096, i, std::min(i + 3, 599u)});
  }
  comparison.devices = {device};
  expect_page(dom_of(scratch_file("long.html", html_page(comparison))), 600, 600, 600, 1);
}

// --- Names of kernels in a trace -----------------------------------------------------------------

/// Of the track "kernels", in order; none overlaps the next.
std::vector<std::string> kernels_in_trace(const std::string& path) {
  const Json events = Json::parse(text_at(path), nullptr, false)["traceEvents"];
  int64_t track = -1;
  for (const Json& event : events) {
    if (event["name"] == "thread_name" && event["args"]["name"] == "kernels") track = event["tid"];
  }
  std::vector<std::string> names;
  double end_us = 0;
  for (const Json& event : events) {
    if (event["ph"] != "X" || event["tid"] != track) continue;
    names.push_back(event["name"]);
    EXPECT_GE(event["ts"].get<double>(), end_us - 0.01);
    end_us = event["ts"].get<double>() + event["dur"].get<double>();
  }
  return names;
}

TEST(CliTrace, HasEveryKernelByName) {
  const std::string trace = scratch_path("trace.json");
  const std::string pictures = LEAT_SOURCE_DIR "/examples/digits/pictures";
  const Json run = json_of(run_leat({"run", kDigits, "-i", pictures + "/7.png", "--device", "cpu",
                                     "--repeat", "2", "--trace", trace, "--profile", "--json"}));
  const std::vector<std::string> names = kernels_in_trace(trace);
  ASSERT_EQ(names.size(), run["profile"].size());
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(run["profile"][i]["name"], names[i]);
  const ProgramResult stream =
      run_leat({"run", kDigits, "-i", pictures, "-o", scratch_path("results"), "--device", "cpu",
                "--trace", trace});
  EXPECT_EQ(stream.exit_code, 0) << stream.err;
  EXPECT_EQ(kernels_in_trace(trace), names);
}

// --- leat inspect --------------------------------------------------------------------------------

TEST(CliInspect, TellsOfAModelThatRuns) {
  const Json object = json_of(run_leat({"inspect", kDigits, "--json"}));
  EXPECT_EQ(object["runs"], true);
  EXPECT_EQ(object["inputs"][0]["shape"], Json({1, 1, 28, 28}));
  EXPECT_EQ(object["opsets"]["ai.onnx"], 13);
  EXPECT_EQ(object["weights"]["parameters"], 73115);
  EXPECT_GT(object["gflop"], 0.01);
  EXPECT_GE(object["plan"]["activations_bytes"], object["plan"]["lower_bound_bytes"]);
  const ProgramResult text = run_leat({"inspect", kDigits});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_TRUE(contains(text.out, "Nothing is missing.")) << text.out;
}

TEST(CliInspect, NamesAllThatIsMissing) {
  OnnxBuilder builder;
  builder.input("x", {-1, 3});
  builder.node("Frobnicate", {"x"}, {"a"});
  builder.node("Defenestrate", {"x"}, {"b"});
  builder.node("Relu", {"x"}, {"c"}).set("colour\x1b[31m", 3);
  for (const char* output : {"a", "b", "c"}) builder.output(output);
  const std::string path = scratch_file("missing_ops.onnx", builder.bytes());
  const ProgramResult text = run_leat({"inspect", path});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"Frobnicate  MISSING", "Defenestrate  MISSING", "(unknown, 3)",
                           "In the way (3)", "colour\\x1b[31m"}) {
    EXPECT_TRUE(contains(text.out, part)) << part << "\n" << text.out;
  }
  const Json object = json_of(run_leat({"inspect", path, "--json"}));
  EXPECT_EQ(object["runs"], false);
  EXPECT_EQ(object["problems"].size(), 3u);
  EXPECT_EQ(object["inputs"][0]["shape"], Json({"unknown", 3}));
  EXPECT_TRUE(object["gflop"].is_null());
}

TEST(CliInspect, NoModelIsOneSentence) {
  for (const std::string& path :
       {scratch_file("text.onnx", "not a model"), scratch_path("missing.onnx")}) {
    const ProgramResult result = run_leat({"inspect", path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(count_of(result.err, "\n"), 1u) << result.err;
  }
}

TEST(CliInspect, SaysWhatItCannotLookAt) {
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.node("NonZero", {"x"}, {"places"});
  builder.node("Neg", {"places"}, {"y"});
  builder.output("y");
  const std::string path = scratch_file("places.onnx", builder.bytes());
  const Json object = json_of(run_leat({"inspect", path, "--json"}));
  EXPECT_EQ(object["in_parts"], true);
  EXPECT_EQ(object["passed_over"], 1);
  const ProgramResult text = run_leat({"inspect", path});
  EXPECT_FALSE(contains(text.out, "Nothing is missing.")) << text.out;
  EXPECT_TRUE(contains(text.out, "values that only a run tells (1)")) << text.out;
}

TEST(CliInspect, IsQuickOnAHundredThousandNodes) {
  OnnxBuilder builder;
  builder.input("x", {1, 4});
  std::string value = "x";
  for (int i = 0; i < 100'000; ++i) {
    const std::string next = "v" + std::to_string(i);
    builder.node(i % 1000 == 999 ? "Frobnicate"
                 : i % 2 == 0    ? "Relu"
                                 : "Tanh",
                 {i % 1000 == 0 ? "x" : value}, {next});
    value = next;
  }
  builder.output(value);
  const std::string path = scratch_file("long.onnx", builder.bytes());
  const auto start = std::chrono::steady_clock::now();
  const Json object = json_of(run_leat({"inspect", path, "--json"}));
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(object["nodes"], 100'000);
  EXPECT_EQ(object["problems"][0]["count"], 100);
  EXPECT_LT(passed.count(), 30) << "linear; what is not takes minutes";
}

}  // namespace
}  // namespace leat
