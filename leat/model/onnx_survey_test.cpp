// What is told of models, above all of those that do not run.
#include "leat/model/onnx_survey.h"

#include <chrono>

#include "leat/base/scratch_folder_test.h"
#include "leat/model/onnx_builder.h"

namespace leat {
namespace {

class OnnxSurvey : public ScratchFolder {
 protected:
  ModelSurvey survey_of(const OnnxBuilder& builder) {
    write("model.onnx", builder.bytes());
    Result<ModelSurvey> survey = survey_onnx(path("model.onnx"));
    EXPECT_TRUE(survey) << survey.error().message();
    return survey ? std::move(*survey) : ModelSurvey();
  }
  static const ModelProblem* problem_of(const ModelSurvey& survey, const std::string& part) {
    for (const ModelProblem& problem : survey.problems) {
      if (problem.sentence.find(part) != std::string::npos) return &problem;
    }
    return nullptr;
  }
};

TEST_F(OnnxSurvey, TellsOfAModelThatRuns) {
  OnnxBuilder builder;
  builder.proto().set_producer_name("somebody");
  builder.input("x", {-1, 3});
  builder.weights("w", {3, 4});
  builder.node("MatMul", {"x", "w"}, {"p"});
  builder.node("Relu", {"p"}, {"q"});
  builder.node("Relu", {"q"}, {"y"});
  builder.output("y");
  const ModelSurvey survey = survey_of(builder);
  EXPECT_EQ(survey.producer, "somebody");
  EXPECT_EQ(survey.opsets.at(""), 13);
  ASSERT_EQ(survey.inputs.size(), 1u);
  EXPECT_EQ(survey.inputs[0].type, "f32");
  EXPECT_EQ(survey.inputs[0].dims, (std::vector<std::string>{"unknown", "3"}));
  EXPECT_EQ(survey.weights.tensors, 1);
  EXPECT_EQ(survey.weights.elements, 12);
  EXPECT_EQ(survey.weights.bytes, 48);
  ASSERT_EQ(survey.operators.size(), 2u);
  EXPECT_EQ(survey.operators[0].name, "Relu");
  EXPECT_EQ(survey.operators[0].count, 2);
  EXPECT_TRUE(survey.problems.empty());
  ASSERT_TRUE(survey.model);
  EXPECT_EQ(survey.outputs[0].type, "f32") << "the file does not tell it";
  EXPECT_EQ(survey.outputs[0].dims, (std::vector<std::string>{"1", "4"}));
}

TEST_F(OnnxSurvey, NamesAllThatIsMissingAtOnce) {
  OnnxBuilder builder;
  builder.input("x", {2, 3});
  builder.input("s", {1}, onnx::TensorProto::STRING);
  builder.node("Frobnicate", {"x"}, {"a"});
  builder.node("Frobnicate", {"x"}, {"b"});
  builder.node("StringNormalizer", {"s"}, {"t"});
  builder.node("Relu", {"x"}, {"c"}).set("colour", 3);
  builder.node("Add", {"a", "x"}, {"d"});     // behind one that is missing
  builder.node("Sigmoid", {"x"}, {"e"});      // right
  builder.node("Concat", {"x", "e"}, {"f"});  // lacks its axis
  for (const char* output : {"b", "c", "d", "e", "f", "nobody"}) builder.output(output);
  const ModelSurvey survey = survey_of(builder);
  EXPECT_FALSE(survey.model);
  const ModelProblem* missing = problem_of(survey, "Operator Frobnicate");
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ(missing->count, 2);
  EXPECT_EQ(missing->node, "a_node");
  EXPECT_EQ(missing->kind, ErrorKind::unsupported);
  EXPECT_NE(problem_of(survey, "StringNormalizer"), nullptr);
  EXPECT_NE(problem_of(survey, "Element type string"), nullptr);
  EXPECT_NE(problem_of(survey, "\"colour\""), nullptr);
  EXPECT_NE(problem_of(survey, "axis"), nullptr);
  EXPECT_NE(problem_of(survey, "\"nobody\""), nullptr);
  EXPECT_EQ(survey.passed_over, 1) << "Add; the others are problems of their own";
  for (const SurveyedOperator& row : survey.operators) {
    EXPECT_EQ(row.is_supported, row.name != "Frobnicate" && row.name != "StringNormalizer");
  }
}

TEST_F(OnnxSurvey, LooksIntoGraphsAndFunctions) {
  OnnxBuilder builder(18);
  onnx::GraphProto body;
  body.add_node()->set_op_type("Frobnicate");
  body.mutable_node(0)->add_input("x");
  body.mutable_node(0)->add_output("z");
  body.add_output()->set_name("z");
  builder.input("x", {2});
  builder.input("c", {}, onnx::TensorProto::BOOL);
  builder.node("If", {"c"}, {"y"}).set("then_branch", body).set("else_branch", body);
  builder.output("y");
  const ModelSurvey survey = survey_of(builder);
  const ModelProblem* missing = problem_of(survey, "Operator Frobnicate of domain");
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ(missing->count, 2);
  EXPECT_EQ(survey.nodes, 3);
}

/// What is behind a size that only a run tells is counted: its operator was looked at, no more.
TEST_F(OnnxSurvey, CountsWhatIsBehindValues) {
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.node("NonZero", {"x"}, {"places"});
  builder.node("Cast", {"places"}, {"floats"}).set("to", 1);
  builder.node("LRN", {"floats"}, {"y"}).set("size", 3);  // takes no two dimensions
  builder.output("y");
  const ModelSurvey survey = survey_of(builder);
  EXPECT_TRUE(survey.is_in_parts);
  EXPECT_TRUE(survey.problems.empty());
  EXPECT_EQ(survey.passed_over, 2);
  builder.output("nobody");
  EXPECT_NE(problem_of(survey_of(builder), "\"nobody\""), nullptr);
}

TEST_F(OnnxSurvey, TellsOfDataElsewhere) {
  OnnxBuilder builder;
  builder.input("x", {3});
  onnx::TensorProto& w = *builder.proto().mutable_graph()->add_initializer();
  w.set_name("w");
  w.set_data_type(onnx::TensorProto::FLOAT);
  w.add_dims(3);
  w.set_data_location(onnx::TensorProto::EXTERNAL);
  auto* entry = w.add_external_data();
  entry->set_key("location");
  entry->set_value("w.bin");
  builder.node("Add", {"x", "w"}, {"y"});
  builder.output("y");
  const ModelSurvey without = survey_of(builder);
  EXPECT_EQ(without.weights.external_tensors, 1);
  EXPECT_FALSE(without.weights.external_files.at("w.bin"));
  EXPECT_NE(problem_of(without, "w.bin"), nullptr);
  EXPECT_EQ(without.passed_over, 1);
  write("w.bin", std::string(12, '\0'));
  const ModelSurvey with = survey_of(builder);
  EXPECT_TRUE(with.weights.external_files.at("w.bin"));
  EXPECT_TRUE(with.model);
}

TEST_F(OnnxSurvey, TellsOfFramesThatAreNone) {
  OnnxBuilder builder(99);
  builder.input("x", {2});
  builder.node("Relu", {"nowhere"}, {"a"});
  builder.node("Relu", {"x"}, {"b"});
  const ModelSurvey survey = survey_of(builder);
  EXPECT_NE(problem_of(survey, "Opset version (99)"), nullptr);
  EXPECT_NE(problem_of(survey, "no outputs"), nullptr);
  EXPECT_NE(problem_of(survey, "\"nowhere\""), nullptr);
  EXPECT_EQ(survey.operators[0].count, 2);
}

TEST_F(OnnxSurvey, NoModelIsOneError) {
  write("model.onnx", "no model at all, by no means");
  const Result<ModelSurvey> survey = survey_onnx(path("model.onnx"));
  ASSERT_FALSE(survey);
  EXPECT_EQ(survey.error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(survey_onnx(path("missing.onnx")).error().kind(), ErrorKind::io);
}

TEST_F(OnnxSurvey, ProblemsAreBoundedAndCounted) {
  OnnxBuilder builder;
  builder.input("x", {2});
  for (int i = 0; i < 1500; ++i) {
    builder.node("Op" + std::to_string(i), {"x"}, {"y" + std::to_string(i)});
  }
  builder.output("y0");
  const ModelSurvey survey = survey_of(builder);
  EXPECT_EQ(survey.problems.size(), kProblemsMax);
  EXPECT_EQ(survey.problem_count, 1500);
}

}  // namespace
}  // namespace leat
