// `--precision` through the program: what the report says of it, and names that are none.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/leat_program.h"

namespace leat {
namespace {

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";

std::vector<std::string> run_of(const std::string& model, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run", model,      "--input", kSeven,     "--top",
                                        "1",   "--device", "cpu",     "--repeat", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::json facts_of(const std::string& model, std::vector<std::string> more) {
  more.push_back("--json");
  const ProgramResult result = run_leat(run_of(model, std::move(more)));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return nlohmann::json::parse(result.out, nullptr, false);
}

// Which products a CPU rounds hangs on what it has.
TEST(Precision, IsReported) {
  const nlohmann::json plain = facts_of(kDigits, {});
  EXPECT_EQ(plain["precision"], "f32");
  EXPECT_EQ(plain["rounded_products"], 0);
  EXPECT_GT(plain["products"], 0);
  for (const std::string name : {"tf32", "bf16", "f16", "i8"}) {
    const nlohmann::json facts = facts_of(kDigits, {"--precision", name});
    EXPECT_EQ(facts["precision"], name);
    EXPECT_EQ(facts["products"], plain["products"]);
    EXPECT_LE(facts["rounded_products"], facts["products"]);
    EXPECT_EQ(facts["top"][0]["label"], plain["top"][0]["label"]);
  }
  const ProgramResult text = run_leat(run_of(kDigits, {"--precision", "bf16"}));
  EXPECT_NE(text.out.find("\nproducts  "), std::string::npos) << text.out;
  EXPECT_NE(text.out.find(" in bf16"), std::string::npos) << text.out;
  const ProgramResult silent = run_leat(run_of(kDigits, {"--precision", "f32"}));
  EXPECT_EQ(silent.out.find("\nproducts  "), std::string::npos) << silent.out;
}

TEST(Precision, HasANameThatThereIs) {
  for (const std::string command : {"run", "compare", "tune", "dump"}) {
    const ProgramResult result = run_leat({command, kDigits, "--precision", "fp16"});
    EXPECT_NE(result.exit_code, 0) << command;
    EXPECT_NE(result.err.find("\"fp16\"; there are (f32, tf32, bf16, f16, i8)"), std::string::npos)
        << result.err;
  }
}

TEST(Precision, IsOfPlans) {
  const ProgramResult plan = run_leat({"dump", kDigits, "--target", "sapphirerapids", "--precision",
                                       "bf16", "--after", "schedule"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find(" bf16 "), std::string::npos) << plan.out;
  const ProgramResult packets =
      run_leat({"dump", kDigits, "--after", "packets", "--precision", "bf16"});
  EXPECT_NE(packets.err.find("--precision is for a model"), std::string::npos) << packets.err;
}

// A pack has what it was made with, tells it, and takes no other.
TEST(Precision, IsInThePack) {
  const std::string path = scratch_path("digits-bf16.leat");
  const ProgramResult packed =
      run_leat({"pack", kDigits, "--for", "cpu", "--precision", "bf16", "-o", path});
  if (packed.err.find("linker") != std::string::npos) GTEST_SKIP() << packed.err;
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const nlohmann::json facts = facts_of(path, {});
  EXPECT_EQ(facts["precision"], "bf16");
  const nlohmann::json compiled = facts_of(kDigits, {"--precision", "bf16"});
  EXPECT_EQ(facts["products"], compiled["products"]);
  EXPECT_EQ(facts["rounded_products"], compiled["rounded_products"]);
  EXPECT_EQ(facts["top"], compiled["top"]);
  const ProgramResult refused = run_leat(run_of(path, {"--precision", "bf16"}));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("--precision"), std::string::npos) << refused.err;
}

TEST(Precision, IsCompared) {
  const ProgramResult result = run_leat(
      {"compare", kDigits, "--device", "cpu", "--precision", "bf16", "--repeat", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json facts = nlohmann::json::parse(result.out, nullptr, false);
  EXPECT_EQ(facts["precision"], "bf16");
  const nlohmann::json& cpu = facts["devices"][0];
  EXPECT_GT(cpu["products"], 0);
  const double error = cpu["max_error"];
  EXPECT_LE(error, 8 * 0x1p-8);
  EXPECT_TRUE(cpu["rounded_products"] == 0 || error > 1e-6) << error;
}

}  // namespace
}  // namespace leat
