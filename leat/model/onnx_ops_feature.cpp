// ONNX operators of classical models on rows of features. Source: ONNX operator schemas of
// ai.onnx.ml: ArrayFeatureExtractor, Binarizer, FeatureVectorizer, Imputer, LinearClassifier,
// LinearRegressor, Normalizer, Scaler, SVMRegressor 1, LabelEncoder 1/2/4; TfIdfVectorizer 9.
#include "leat/tensor/ops_feature.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_scores.h"

namespace leat::onnx_ops {

using ops::Reals;

void refuse_strings(OnnxNode& node, std::initializer_list<std::string_view> attributes) {
  for (std::string_view attribute : attributes) {
    if (!node.has_attribute(attribute)) continue;
    node.fail(ErrorKind::unsupported,
              fmt::format("Attribute \"{}\": strings are not supported.", attribute));
  }
}

ops::ScoreTransform read_transform(OnnxNode& node) {
  constexpr std::string_view kNames[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  const std::string name = node.text("post_transform", "NONE");
  const auto* found = std::ranges::find(kNames, name);
  if (found != std::end(kNames)) return static_cast<ops::ScoreTransform>(found - kNames);
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"post_transform\" (\"{}\") is not a known one.", name));
  return ops::ScoreTransform::none;
}

Result<TensorId> add_labels(OnnxNode& node, TensorId scores, const Ints& labels) {
  Graph& graph = node.graph();
  TRY_ASSIGN(const TensorId best,
             ops::arg_max(graph, node.name() + "/best", scores, {.axis = 1, .keep_dims = false}));
  const TensorId table = ops::vector_i64(graph, node.name() + "/labels", labels);
  return ops::gather(graph, node.name(), table, best, 0);
}

Result<TensorId> both_scores(OnnxNode& node, TensorId score, bool is_share) {
  Graph& graph = node.graph();
  const TensorId total =
      ops::scalar(graph, node.name() + "/total", graph.tensors[score].dtype, is_share ? 1 : 0);
  TRY_ASSIGN(const TensorId other,
             ops::binary(graph, node.name() + "/other", ScalarOp::sub, total, score));
  return ops::concat(graph, node.name() + "/both", std::array{other, score}, 1);
}

namespace {

Result<TensorId> import_binarizer(OnnxNode& node) {
  const double threshold = node.number("threshold", 0);
  return ops::binarize(node.graph(), node.name(), node.input(0), threshold);
}

/// A vector is one row.
Result<TensorId> import_extractor(OnnxNode& node) {
  Graph& graph = node.graph();
  const Shape indices = node.shape(1);
  TRY_ASSIGN(const TensorId list, ops::reshape(graph, node.name() + "/list", node.input(1), {-1}));
  TensorId x = node.input(0);
  if (node.rank(0) == 1) {
    TRY_ASSIGN(x, ops::unsqueeze(graph, node.name() + "/row", x, {0}));
  }
  return ops::gather(graph, node.name(), x, list, -1);
}

Result<TensorId> import_scaler(OnnxNode& node) {
  const ops::ScaleOptions options = {.offset = node.numbers("offset"),
                                     .scale = node.numbers("scale")};
  return ops::scale_features(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_normalizer(OnnxNode& node) {
  const std::string norm = node.text("norm", "MAX");
  if (norm != "MAX" && norm != "L1" && norm != "L2") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"norm\" (\"{}\") is not MAX, L1 or L2.", norm));
  }
  const ops::RowNorm kind = norm == "MAX"  ? ops::RowNorm::max
                            : norm == "L1" ? ops::RowNorm::l1
                                           : ops::RowNorm::l2;
  return ops::normalize_rows(node.graph(), node.name(), node.input(0), kind);
}

Result<TensorId> import_imputer(OnnxNode& node) {
  if (node.has_attribute("imputed_value_int64s")) {
    const Ints values = node.integers("imputed_value_int64s");
    const int64_t replaced = node.integer("replaced_value_int64", 0);
    return ops::impute_whole(node.graph(), node.name(), node.input(0), replaced, values);
  }
  const ops::ImputeOptions options = {.replaced = node.number("replaced_value_float", 0),
                                      .values = node.numbers("imputed_value_floats")};
  return ops::impute(node.graph(), node.name(), node.input(0), options);
}

/// The list that the attributes "PART_floats", "PART_int64s" or "PART_tensor" hold.
HostTensor read_list(OnnxNode& node, const std::string& part) {
  if (node.has_attribute(part + "_tensor")) {
    return node.tensor(part + "_tensor").value_or(HostTensor());
  }
  const bool is_float_list = node.has_attribute(part + "_floats");
  const Reals floats = node.numbers(part + "_floats");
  const Ints whole = node.integers(part + "_int64s");
  const int64_t count = static_cast<int64_t>(is_float_list ? floats.size() : whole.size());
  HostTensor list = HostTensor::zeros(is_float_list ? DType::f32 : DType::i64, {count});
  for (int64_t i = 0; i < count; ++i) {
    if (is_float_list) list.set_number(i, floats[static_cast<size_t>(i)]);
    if (!is_float_list) list.set_integer(i, whole[static_cast<size_t>(i)]);
  }
  return list;
}

HostTensor read_fallback(OnnxNode& node, DType dtype) {
  if (node.has_attribute("default_tensor")) {
    return node.tensor("default_tensor").value_or(HostTensor());
  }
  HostTensor value = HostTensor::zeros(dtype, {});
  const double real = node.number("default_float", -0.0);
  const int64_t whole = node.integer("default_int64", -1);
  if (is_float(dtype)) value.set_number(0, real);
  if (!is_float(dtype)) value.set_integer(0, whole);
  return value;
}

Result<TensorId> import_label_encoder(OnnxNode& node) {
  refuse_strings(node, {"keys_strings", "values_strings", "classes_strings"});
  node.ignore({"default_string"});
  ops::LabelTable table = {.keys = read_list(node, "keys"), .values = read_list(node, "values")};
  table.fallback = read_fallback(node, table.values.dtype);
  if (node.failure()) return *node.failure();
  return ops::encode_labels(node.graph(), node.name(), node.input(0), table);
}

Result<TensorId> import_vectorizer(OnnxNode& node) {
  Graph& graph = node.graph();
  const Ints widths = node.integers("inputdimensions");
  std::vector<TensorId> parts;
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i) || node.rank(i) < 1 || node.rank(i) > 2 ||
        (!widths.empty() && (i >= widths.size() || widths[i] != node.shape(i).back()))) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Input {} has not the rows of the width that attribute "
                               "\"inputdimensions\" says.",
                               i));
    }
    TensorId part = node.input(i);
    const std::string name = fmt::format("{}/{}", node.name(), i);
    if (node.rank(i) == 1) {
      TRY_ASSIGN(part, ops::unsqueeze(graph, name + "/row", part, {0}));
    }
    TRY_ASSIGN(part, ops::cast(graph, name, part, DType::f32));
    parts.push_back(part);
  }
  return ops::concat(graph, node.name(), parts, 1);
}

Result<TensorId> import_linear_regressor(OnnxNode& node) {
  const ops::LinearOptions options = {.targets = node.integer("targets", 1),
                                      .coefficients = node.numbers("coefficients"),
                                      .intercepts = node.numbers("intercepts")};
  const ops::ScoreTransform transform = read_transform(node);
  TRY_ASSIGN(const TensorId scores,
             ops::linear_scores(node.graph(), node.name() + "/scores", node.input(0), options));
  return ops::transform_scores(node.graph(), node.name(), scores, transform);
}

Result<TensorId> import_linear_classifier(OnnxNode& node) {
  refuse_strings(node, {"classlabels_strings"});
  node.ignore({"multi_class"});  // names how it was trained
  const Ints labels = node.integers("classlabels_ints");
  const Reals coefficients = node.numbers("coefficients");
  const Reals intercepts = node.numbers("intercepts");
  const ops::ScoreTransform transform = read_transform(node);
  if (node.failure()) return *node.failure();
  Graph& graph = node.graph();
  const int64_t classes = static_cast<int64_t>(labels.size());
  const int64_t features = node.rank(0) == 2 ? node.shape(0)[1] : 0;
  // Of two classes the scores may be those of the second alone.
  const bool is_single = classes == 2 && static_cast<int64_t>(coefficients.size()) == features;
  const ops::LinearOptions options = {
      .targets = is_single ? 1 : classes, .coefficients = coefficients, .intercepts = intercepts};
  TRY_ASSIGN(TensorId scores,
             ops::linear_scores(graph, node.name() + "/linear", node.input(0), options));
  if (is_single) {
    TRY_ASSIGN(scores, both_scores(node, scores, false));
  }
  TRY_ASSIGN(scores, ops::transform_scores(graph, node.name() + "/scores", scores, transform));
  node.set_output(1, scores);
  return add_labels(node, scores, labels);
}

ops::SvmKernel read_kernel(OnnxNode& node) {
  constexpr std::string_view kNames[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  const std::string name = node.text("kernel_type", "LINEAR");
  const auto* found = std::ranges::find(kNames, name);
  if (found != std::end(kNames)) return static_cast<ops::SvmKernel>(found - kNames);
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"kernel_type\" (\"{}\") is not a known one.", name));
  return ops::SvmKernel::linear;
}

Result<TensorId> import_svm_regressor(OnnxNode& node) {
  Reals parameters = node.numbers("kernel_params");
  parameters.resize(3, 0);
  const Reals rho = node.numbers("rho");
  if (rho.size() != 1) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"rho\" has {} numbers instead of 1.", rho.size()));
  }
  if (read_transform(node) != ops::ScoreTransform::none) {
    node.fail(ErrorKind::unsupported, "Attribute \"post_transform\" other than NONE.");
  }
  ops::SvmOptions options = {.kernel = read_kernel(node),
                             .gamma = parameters[0],
                             .coef0 = parameters[1],
                             .degree = parameters[2],
                             .supports = node.integer("n_supports", 0),
                             .vectors = node.numbers("support_vectors"),
                             .coefficients = node.numbers("coefficients"),
                             .one_class = node.flag("one_class", false)};
  if (node.failure()) return *node.failure();
  options.rho = rho[0];
  return ops::svm_regress(node.graph(), node.name(), node.input(0), options);
}

ops::GramWeight read_gram_weight(OnnxNode& node) {
  const std::string mode = node.text("mode", "");
  if (mode == "IDF") return ops::GramWeight::idf;
  if (mode == "TFIDF") return ops::GramWeight::tfidf;
  if (mode != "TF") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"mode\" (\"{}\") is not TF, IDF or TFIDF.", mode));
  }
  return ops::GramWeight::tf;
}

Result<TensorId> import_grams(OnnxNode& node) {
  refuse_strings(node, {"pool_strings"});
  const ops::GramOptions options = {.shortest = node.required_integer("min_gram_length"),
                                    .longest = node.required_integer("max_gram_length"),
                                    .skips_max = node.required_integer("max_skip_count"),
                                    .pool = node.integers("pool_int64s"),
                                    .starts = node.integers("ngram_counts"),
                                    .positions = node.integers("ngram_indexes"),
                                    .weights = node.numbers("weights"),
                                    .weight = read_gram_weight(node)};
  if (node.failure()) return *node.failure();
  return ops::count_grams(node.graph(), node.name(), node.input(0), options);
}

constexpr std::string_view kDomain = "ai.onnx.ml";
constexpr std::string_view kNoStrings = "no strings";

constexpr OnnxOperator kOperators[] = {
    {"Binarizer", 1, 1, 1, 1, "float, int", import_binarizer, "", kDomain},
    {"ArrayFeatureExtractor", 1, 2, 2, 1, "float, int", import_extractor, kNoStrings, kDomain},
    {"Scaler", 1, 1, 1, 1, "float, int", import_scaler, "", kDomain},
    {"Normalizer", 1, 1, 1, 1, "float, int", import_normalizer, "", kDomain},
    {"Imputer", 1, 1, 1, 1, "float, int", import_imputer, "", kDomain},
    {"LabelEncoder", 2, 1, 1, 1, "float, int", import_label_encoder, kNoStrings, kDomain},
    {"FeatureVectorizer", 1, 1, kAnyNumber, 1, "float, int", import_vectorizer, "", kDomain},
    {"LinearRegressor", 1, 1, 1, 1, "float, int", import_linear_regressor, "", kDomain},
    {"LinearClassifier", 1, 1, 1, 2, "float, int", import_linear_classifier, kNoStrings, kDomain},
    {"SVMRegressor", 1, 1, 1, 1, "float, int", import_svm_regressor, "", kDomain},
    {"TfIdfVectorizer", 9, 1, 1, 1, "int", import_grams, "whole numbers, no strings"},
};

}  // namespace

std::span<const OnnxOperator> feature_operators() { return kOperators; }

}  // namespace leat::onnx_ops
