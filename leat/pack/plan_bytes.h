// A Model's names and a RunPlan as bytes, for packed_model.h. Code and weights are blobs, known by
// their number: equal ones are one.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "leat/base/byte_stream.h"
#include "leat/pack/run_plan.h"
#include "leat/tensor/model.h"

namespace leat {

using BlobNumber = std::function<uint32_t(std::span<const std::byte> bytes)>;
/// The bytes of a blob; null when there is none of the number.
using BlobBytes = std::function<const std::span<const std::byte>*(uint32_t number)>;

void add_model(ByteWriter& writer, const Model& model);
void add_target_facts(ByteWriter& writer, const Target& target);
void add_plan(ByteWriter& writer, const RunPlan& plan, const BlobNumber& number_of);

/// The reverse; the reader has failed where the bytes are none. What was taken is not yet checked.
Model take_model(ByteReader& reader);
Target take_target_facts(ByteReader& reader);
RunPlan take_plan(ByteReader& reader, const BlobBytes& blob);

}  // namespace leat
