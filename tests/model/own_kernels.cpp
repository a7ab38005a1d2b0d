// Kernels that somebody wrote, as nodes of a model between others, on every device found: what
// they compute there is what the interpreter says, however the device stores their tensors.
#include <gtest/gtest.h>

#include <cmath>

#include "leat/model/onnx_builder.h"
#include "tests/model/shared_data.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

/// `body` is of 32 lanes, which have the elements %i of a flat launch where %inside.
std::string flat_kernel(const std::string& name, const std::string& parameters, int64_t count,
                        const std::string& body) {
  return "leat-kernel 2\nkernel \"" + name + "\" lanes 32 waves 1 grid " +
         std::to_string((count + 31) / 32) + " 1 1\n" + parameters +
         "{\n"
         "  %lane : v.i32 = lane_id\n"
         "  %group : u.i32 = group_id 0\n"
         "  %lanes : u.i32 = constant 32\n"
         "  %count : u.i32 = constant " +
         std::to_string(count) +
         "\n"
         "  %first : u.i32 = mul_i %group, %lanes\n"
         "  %i : v.i32 = add_i %lane, %first\n"
         "  %inside : v.b1 = lt_i %i, %count\n" +
         body + "}\n";
}

class OwnKernels : public DeviceTest {
 protected:
  OwnKernels() : builder_(18) {
    onnx::OperatorSetIdProto* entry = builder_.proto().add_opset_import();
    entry->set_domain("leat");
    entry->set_version(1);
  }

  OnnxNodeBuilder kernel(const std::string& op, const std::vector<std::string>& inputs,
                         const std::vector<std::string>& outputs, const std::string& text) {
    OnnxNodeBuilder node = builder_.node(op, inputs, outputs);
    node.proto().set_domain("leat");
    return node.set("kernel", text.c_str());
  }

  /// Element i of each input is `i` % 13 - 6.
  void expect_reference(bool trusts = false) {
    const auto model = import_onnx_bytes(builder_.bytes(), "model", {.trusts_kernels = trusts});
    ASSERT_OK(model);
    std::vector<HostTensor> inputs;
    for (const ModelValue& input : model->inputs) {
      inputs.push_back(HostTensor::zeros(input.dtype, input.shape));
      for (int64_t i = 0; i < element_count(input.shape); ++i) {
        inputs.back().set_number(i, static_cast<double>(i % 13 - 6));
      }
    }
    const auto want = evaluate(model->graph, inputs);
    ASSERT_OK(want);
    const auto network = Network::load(device(), model->graph, {});
    ASSERT_OK(network);
    for (int run = 0; run < 2; ++run) {  // the second finds what the first has left
      for (size_t i = 0; i < inputs.size(); ++i) ASSERT_OK((*network)->set_input(i, inputs[i]));
      ASSERT_OK((*network)->run());
      for (size_t i = 0; i < want->size(); ++i) {
        const auto got = (*network)->output(i);
        ASSERT_OK(got);
        expect_near(*got, (*want)[i], model->outputs[i].name);
      }
    }
  }

  static void expect_near(const HostTensor& got, const HostTensor& want, const std::string& name) {
    ASSERT_EQ(got.shape, want.shape) << name;
    for (int64_t i = 0; i < element_count(want.shape); ++i) {
      const double w = want.number(i);
      ASSERT_NEAR(got.number(i), w, 2e-5 * std::max(1.0, std::abs(w))) << name << " " << i;
    }
  }

  OnnxBuilder builder_;
};

/// Convolutions want their channels innermost; the kernel between them, which adds to each element
/// the next one in row-major order, does not see that.
TEST_P(OwnKernels, StandBetweenConvolutions) {
  constexpr int64_t kCount = 8 * 9 * 9;
  builder_.input("x", {1, 8, 9, 9});
  builder_.weights("w1", {8, 8, 3, 3});
  builder_.weights("w2", {4, 8, 3, 3});
  builder_.node("Conv", {"x", "w1"}, {"a"}).set("pads", std::vector<int64_t>{1, 1, 1, 1});
  builder_.node("Relu", {"a"}, {"b"});
  const std::string parameters = "parameter v : f32[648] read\nparameter y : f32[648] write\n";
  kernel("next", {"b"}, {"c"},
         flat_kernel("next", parameters, kCount,
                     "  %one : u.i32 = constant 1\n"
                     "  %last : u.i32 = constant 647\n"
                     "  %after : v.i32 = add_i %i, %one\n"
                     "  %j : v.i32 = min_i %after, %last\n"
                     "  %a : v.f32 = load v[%first + lane * 1] if %inside\n"
                     "  %b : v.f32 = load v[%j] if %inside\n"
                     "  %s : v.f32 = add_f %a, %b\n"
                     "  store y[%first + lane * 1], %s if %inside\n"))
      .set("like", std::vector<int64_t>{0});
  builder_.node("Conv", {"c", "w2"}, {"d"}).set("pads", std::vector<int64_t>{1, 1, 1, 1});
  builder_.node("Sigmoid", {"d"}, {"y"});
  builder_.output("y");
  expect_reference();
}

/// Of nothing: each element is its place.
TEST_P(OwnKernels, MayReadNothing) {
  builder_.input("x", {70});
  kernel("places", {}, {"p"},
         flat_kernel("places", "parameter y : i32[70] write\n", 70,
                     "  store y[%first + lane * 1], %i if %inside\n"));
  builder_.node("Cast", {"p"}, {"f"}).set("to", int64_t{1});
  builder_.node("Add", {"f", "x"}, {"y"});
  builder_.output("y");
  expect_reference();
}

/// Both results, of other types and shapes than the inputs; a constant; one tensor taken twice.
TEST_P(OwnKernels, HaveSeveralInputsAndResults) {
  builder_.input("x", {5, 10});
  builder_.weights("w", {50});
  builder_.node("Abs", {"x"}, {"p"});
  const std::string parameters =
      "parameter above : i32[50] write\nparameter a : f32[50] read\nparameter b : f32[50] read\n"
      "parameter y : f32[50] write\nparameter w : f32[50] read\n";
  kernel("mixed", {"p", "p", "w"}, {"above", "y"},
         flat_kernel("mixed", parameters, 50,
                     "  %a : v.f32 = load a[%first + lane * 1] if %inside\n"
                     "  %b : v.f32 = load b[%first + lane * 1] if %inside\n"
                     "  %w : v.f32 = load w[%first + lane * 1] if %inside\n"
                     "  %m : v.f32 = mul_f %a, %b\n"
                     "  %s : v.f32 = add_f %m, %w\n"
                     "  %ten : u.f32 = constant 10\n"
                     "  %is : v.b1 = lt_f %ten, %s\n"
                     "  %n : v.i32 = int_from_bool %is\n"
                     "  store y[%first + lane * 1], %s if %inside\n"
                     "  store above[%first + lane * 1], %n if %inside\n"));
  builder_.node("Cast", {"above"}, {"f"}).set("to", onnx::TensorProto::FLOAT);
  builder_.node("Mul", {"f", "y"}, {"z"});
  for (const char* output : {"above", "z"}) builder_.output(output);
  expect_reference();
}

/// 100 + 100 is -56 in 8 bits, wherever they are stored.
TEST_P(OwnKernels, NarrowNumbersWrap) {
  builder_.input("x", {40}, onnx::TensorProto::INT8);
  HostTensor hundred = HostTensor::zeros(DType::i8, {1});
  hundred.set_integer(0, 100);
  builder_.constant("hundred", hundred);
  builder_.node("Add", {"x", "hundred"}, {"a"});
  kernel("twice", {"a"}, {"b"},
         flat_kernel("twice", "parameter x : i8[40] read\nparameter y : i8[40] write\n", 40,
                     "  %v : v.i32 = load x[%first + lane * 1] if %inside\n"
                     "  %w : v.i32 = add_i %v, %v\n"
                     "  store y[%first + lane * 1], %w if %inside\n"));
  builder_.node("Cast", {"b"}, {"y"}).set("to", onnx::TensorProto::INT32);
  builder_.output("y");
  expect_reference();
}

TEST_P(OwnKernels, HalvesMayBeStoredWider) {
  builder_.input("x", {40}, onnx::TensorProto::FLOAT16);
  builder_.node("Neg", {"x"}, {"a"});
  kernel("half", {"a"}, {"b"},
         flat_kernel("half", "parameter x : f16[40] read\nparameter y : f16[40] write\n", 40,
                     "  %v : v.f32 = load x[%first + lane * 1] if %inside\n"
                     "  %half : u.f32 = constant 0.5\n"
                     "  %w : v.f32 = mul_f %v, %half\n"
                     "  store y[%first + lane * 1], %w if %inside\n"));
  builder_.node("Cast", {"b"}, {"y"}).set("to", onnx::TensorProto::FLOAT);
  builder_.output("y");
  expect_reference();
}

/// What nothing is written to is 0 in each run, as is what is added to.
TEST_P(OwnKernels, ResultsStartAtZero) {
  builder_.input("x", {64}, onnx::TensorProto::INT32);
  builder_.node("Abs", {"x"}, {"a"});
  kernel("count", {"a"}, {"counts", "some"},
         flat_kernel("count",
                     "parameter x : i32[64] read\nparameter counts : i32[8] write\n"
                     "parameter some : i32[64] write\n",
                     64,
                     "  %v : v.i32 = load x[%first + lane * 1]\n"
                     "  %one : u.i32 = constant 1\n"
                     "  %three : u.i32 = constant 3\n"
                     "  %before : v.i32 = atomic_add counts[%v], %one\n"
                     "  %is : v.b1 = eq_i %v, %three\n"
                     "  store some[%first + lane * 1], %v if %is\n"));
  for (const char* output : {"counts", "some"}) builder_.output(output);
  expect_reference();
}

/// x has 40 elements where the launch reads 64, and places that do not exist.
TEST_P(OwnKernels, AreMaskedWhenTheyAreTrusted) {
  builder_.input("x", {40}, onnx::TensorProto::INT32);
  builder_.node("Add", {"x", "x"}, {"a"});
  kernel("wild", {"a"}, {"y", "z"},
         flat_kernel("wild",
                     "parameter x : i32[64] read\nparameter y : i32[64] write\n"
                     "parameter z : i32[64] write\n",
                     64,
                     "  %v : v.i32 = load x[%first + lane * 1]\n"
                     "  %far : u.i32 = constant 1000\n"
                     "  %w : v.i32 = mul_i %v, %far\n"
                     "  store y[%w], %v\n"
                     "  %u : v.i32 = load x[%w]\n"
                     "  %s : v.i32 = add_i %u, %i\n"
                     "  store z[%first + lane * 1], %s\n"));
  for (const char* output : {"y", "z"}) builder_.output(output);
  expect_reference(true);
}

INSTANTIATE_TEST_SUITE_P(Devices, OwnKernels, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
