// What a comparison is written as: JSON that reads back, and a page that keeps foreign names.
#include "leat/report/comparison.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "leat/report/comparison_charts.h"
#include "leat/report/comparison_page.h"

namespace leat {
namespace {

ComparedDevice measured_device() {
  ComparedDevice device;
  device.name = "gpu0:vulkan";
  device.chip = "A <chip> & more";
  device.route = "vulkan";
  device.median_ms = 2;
  device.run_ms = {2, 3};
  device.gflops = 10;
  device.peak_gflops = 100;
  device.copy_gbps = 20;
  device.max_error = 1e-6;
  device.planned_bytes = 2048;
  device.lower_bound_bytes = 1024;
  for (int i = 0; i < 3; ++i) {
    ComparedKernel kernel;
    kernel.name = "k" + std::to_string(i);
    kernel.op = i == 1 ? "Transpose" : "Conv";
    kernel.shape = "1x8";
    kernel.flop = i == 1 ? 0 : 1e6 * (i + 1);
    kernel.bytes = 1e5;
    kernel.begin_us = 100.0 * i;
    kernel.time_us = 100;
    device.kernels.push_back(kernel);
  }
  device.tensors = {{"a", "f32 8", 0, 1024, 0, 1}, {"b", "f32 8", 1024, 1024, 1, 2}};
  return device;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Comparison, ADeviceReadsBack) {
  ComparedDevice device = measured_device();
  device.joules = std::nullopt;
  device.gflops = std::numeric_limits<double>::infinity();  // becomes null, and stays what it was
  const auto read = compared_device_of(json_text(device));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, device.name);
  EXPECT_EQ(read->run_ms, device.run_ms);
  EXPECT_EQ(read->copy_gbps, device.copy_gbps);
  EXPECT_FALSE(read->joules);
  EXPECT_EQ(read->gflops, 0);
  ASSERT_EQ(read->kernels.size(), 3u);
  EXPECT_EQ(read->kernels[2].flop, 3e6);
  EXPECT_EQ(read->tensors[1].offset_bytes, 1024);
  EXPECT_EQ(json_text(*compared_device_of(json_text(*read))), json_text(*read));
  EXPECT_FALSE(compared_device_of("[1"));
}

TEST(Comparison, AFailureIsAllThatARowHas) {
  ComparedDevice device;
  device.name = "gpu0";
  device.failure = "It burnt.";
  Comparison comparison;
  comparison.devices.push_back(device);
  const auto object = json_of(comparison);
  EXPECT_EQ(object["devices"][0]["failure"], "It burnt.");
  EXPECT_FALSE(object["devices"][0].contains("median_ms"));
  EXPECT_FALSE(comparison.any_measured());
  const std::string page = html_page(comparison);
  EXPECT_EQ(count_of(page, "It burnt."), 1u);
  EXPECT_EQ(count_of(page, "<section"), 0u);
}

TEST(Comparison, PicturesHaveEveryKernelAndTensor) {
  const ComparedDevice device = measured_device();
  Comparison comparison;
  comparison.devices = {device};
  const OpColours colours(comparison);
  EXPECT_EQ(colours.named(), (std::vector<std::string>{"Conv", "Transpose"}));
  EXPECT_EQ(colours.class_of("Conv"), "c0");
  EXPECT_EQ(colours.class_of("Softmax"), "c8");
  EXPECT_EQ(roofline_points(device), 2u) << "one has no FLOP";
  EXPECT_EQ(count_of(roofline_svg(device, colours), "<circle"), 2u);
  EXPECT_EQ(count_of(timeline_svg(device, colours), "class=\"k "), 3u);
  EXPECT_EQ(count_of(memory_svg(device, colours), "class=\"m "), 2u);
}

TEST(Comparison, LongNetworksTakeSeveralLines) {
  ComparedDevice device = measured_device();
  device.kernels.assign(500, device.kernels[0]);
  for (size_t i = 0; i < 500; ++i) device.kernels[i].begin_us = 100.0 * static_cast<double>(i);
  Comparison comparison;
  comparison.devices = {device};
  const std::string svg = timeline_svg(device, OpColours(comparison));
  EXPECT_GE(count_of(svg, "class=\"k "), 500u);
  EXPECT_LE(count_of(svg, "class=\"k "), 508u) << "one that is cut at a line's end is there twice";
  for (const char* index : {"0", "250", "499"}) {
    EXPECT_GE(count_of(svg, std::string("data-k=\"") + index + "\""), 1u) << index;
  }
}

TEST(Comparison, NothingForeignIsMarkup) {
  Comparison comparison;
  comparison.name = "</title><script>alert(1)</script>";
  comparison.model = "a\"b'c&.onnx";
  comparison.inputs = {"x\xff\x1b[31m"};
  ComparedDevice device = measured_device();
  device.name = "\"><img src=x onerror=alert(1)>";
  device.kernels[0].name = "<b>\u202eevil";
  device.kernels[0].op = "<i>";
  device.tensors[0].name = "<u>";
  comparison.devices = {device};
  const std::string page = html_page(comparison);
  EXPECT_EQ(count_of(page, "<script>"), 1u) << "ours";
  for (const char* part : {"<img", "<b>", "<i>", "<u>", "\u202e", "\x1b", "\xff"}) {
    EXPECT_EQ(count_of(page, part), 0u) << part;
  }
  EXPECT_EQ(count_of(page, "http"), count_of(page, "http-equiv")) << "it refers to nothing";
}

TEST(Comparison, DegenerateNumbersDrawNothingInfinite) {
  ComparedDevice device = measured_device();
  device.peak_gflops = 0;
  device.copy_gbps.reset();
  device.planned_bytes = 0;
  for (ComparedKernel& kernel : device.kernels) kernel = {.name = "k", .op = "Conv"};
  Comparison comparison;
  comparison.devices = {device};
  const OpColours colours(comparison);
  const std::string svg =
      roofline_svg(device, colours) + timeline_svg(device, colours) + memory_svg(device, colours);
  EXPECT_EQ(count_of(svg, "nan") + count_of(svg, "inf\""), 0u) << svg;
  device.kernels.clear();
  EXPECT_EQ(count_of(timeline_svg(device, colours), "nan"), 0u);
}

TEST(Comparison, RandomInputsAreOfTheirTypeAndSeed) {
  Model model;
  model.inputs = {
      {"x", DType::f32, {100}, 0}, {"i", DType::i64, {100}, 1}, {"b", DType::i8, {100}, 2}};
  const auto inputs = random_inputs(model, 7);
  EXPECT_EQ(inputs[0].bytes, random_inputs(model, 7)[0].bytes);
  EXPECT_NE(inputs[0].bytes, random_inputs(model, 8)[0].bytes);
  int64_t lowest = 0;
  for (int64_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(inputs[0].number(i) >= 0 && inputs[0].number(i) < 1);
    EXPECT_TRUE(inputs[1].integer(i) == 0 || inputs[1].integer(i) == 1);
    lowest = std::min(lowest, inputs[2].integer(i));
  }
  EXPECT_LT(lowest, -64);
}

TEST(Comparison, NumbersAreShort) {
  EXPECT_EQ(short_number(1234.5), "1234");
  EXPECT_EQ(short_number(12.345), "12.3");
  EXPECT_EQ(short_number(0.0123), "0.012");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(0), "0 B");
}

}  // namespace
}  // namespace leat
